"""Lets categories, whole numbers and dates pass beside the transformers of other columns.

The last step reads the frame as it is, but for the columns that transformers change. An
OrdinalEncoder is a bijection between categories and codes, log|J| = 0 under the counting measure.
The last step reads categories, so it is handed those that the codes stand for.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from skgm._sklearn import step_task
from skgm.base import DensityTags
from skgm.compose._bijections import Bijection, Chain, Partition
from skgm.compose._columns import column_parts, keep_columns, names_of
from skgm.compose._compile import (
    Table,
    build,
    check_loses_none,
    examine,
    fitted_input,
    kinds_read_by,
)
from skgm.compose._fitting import (
    check_domain,
    check_output,
    fit_transform_quietly,
    keep_rows,
    rows_at,
    rows_in_order,
)
from skgm.compose._pull_back import MAX_ROUNDS
from skgm.compose._registry import is_passthrough
from skgm.tables._columns import code_table, describe_columns, table_shape
from skgm.tables._frames import frame_schema, restore_frame
from skgm.tables._times import TIMES
from skgm.tables._validation import check_finite

__all__ = ["Beside", "fit_beside"]

_UNKNOWN = (
    "Drop or recode such rows. Or set handle_unknown='use_encoded_value' in the OrdinalEncoder: "
    "then the last step decides by its own handle_unknown."
)


@dataclass(frozen=True, eq=False)
class Beside:
    """Which columns of a frame the transformers change, and where they put them.

    Attributes
    ----------
    changed : ndarray of shape (d,)
        Whether a column is changed.
    order : ndarray of shape (d,)
        Position of each column behind the transformers.
    known : dict of int to list
        By column, the categories of an encoder that refuses others.
    schema : dict
        Of the frame that `fit` saw.
    """

    changed: np.ndarray
    order: np.ndarray
    known: dict[int, list[Any]]
    schema: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """Labels of the columns."""
        return [str(label) for label in self.schema["columns"]]

    def values(self, X: Any, *, holes: bool) -> np.ndarray:
        """Return the numbers of a frame in the columns that are changed, 0 in others, (n, d)."""
        for j, categories in self.known.items():
            about = {"name": self.schema["columns"][j], "kind": "category", "values": categories}
            try:
                code_table(keep_columns(X, np.array([j])), [about])
            except ValueError as error:
                said = str(error).partition(" Drop or recode")[0]
                raise ValueError(f"{said} {_UNKNOWN}") from error
        return _numbers(X, self.changed, self.names, holes=holes)

    def behind(self, X: Any, Z: np.ndarray) -> Any:
        """Return the frame that the last step reads, from X and the mapped numbers Z, (n, d)."""
        which = np.flatnonzero(self.changed)
        return _replaced(X, which, list(Z[:, self.order[which]].T))

    def before(self, drawn: Any, chain: Chain) -> np.ndarray:
        """Return the numbers of drawn rows in original units, NaN where there are none, (n, d)."""
        Z = np.zeros((table_shape(drawn)[0], len(self.changed)))
        Z[:, self.order] = _numbers(drawn, self.changed, self.names, holes=True)
        with np.errstate(all="ignore"):
            return chain.inverse(Z)

    def restored(self, drawn: Any, values: np.ndarray) -> Any:
        """Return drawn rows with the numbers `values`, (n, d), in the columns that are changed."""
        which = np.flatnonzero(self.changed)
        if not len(which):
            return drawn
        parts = ("columns", "dtypes", "native")
        own = {k: [self.schema[k][j] for j in which] for k in parts if k in self.schema}
        frame = restore_frame(values[:, which], {"backend": self.schema["backend"]} | own)
        columns = nw.from_native(frame, eager_only=True).iter_columns()
        return _replaced(drawn, which, [column.to_native() for column in columns])

    def draw(self, density: Any, chain: Chain, n_samples: int, rng: np.random.Generator) -> Any:
        """Return draws in original units; those outside the image are drawn again."""
        drawn = density.sample(n_samples, random_state=rng)
        return self._accepted(
            drawn, chain, lambda lost: density.sample(len(lost), random_state=rng)
        )

    def complete(
        self, density: Any, chain: Chain, given: Any, n_samples: int, rng: np.random.Generator
    ) -> Any:
        """Return completions of the rows of a frame, `n_samples` of each."""
        values = self.values(given, holes=True)
        with np.errstate(all="ignore"):
            Z = chain.forward(values)
            lost = np.isnan(chain.inverse(Z)) & ~np.isnan(values)
        if lost.any():
            row, j = np.argwhere(lost)[0]
            raise ValueError(
                f"given holds {float(values[row, j])!r} in column {self.names[j]!r} (row {row}), "
                "outside the support of the pipeline."
            )
        told = self.behind(given, Z)
        numbers = np.repeat(np.arange(len(values)), n_samples)
        drawn = density.sample(n_samples, random_state=rng, given=told)

        def again(lost: np.ndarray) -> Any:
            return density.sample(1, random_state=rng, given=rows_at(told, numbers[lost]))

        return self._accepted(drawn, chain, again, values[numbers], given, n_samples)

    def _accepted(
        self,
        drawn: Any,
        chain: Chain,
        again: Any,
        held: np.ndarray | None = None,
        given: Any = None,
        times: int = 1,
    ) -> Any:
        values = self.before(drawn, chain)
        for _ in range(MAX_ROUNDS):
            lost = np.flatnonzero(np.isnan(values).any(axis=1))
            if not len(lost):
                break
            kept = np.setdiff1d(np.arange(len(values)), lost)
            order = np.argsort(np.concatenate([kept, lost]), kind="stable")
            fresh = again(lost)
            parts = [keep_rows(drawn, np.isin(np.arange(len(values)), kept)), fresh]
            drawn = rows_in_order(parts, order, given, times)
            values[lost] = self.before(fresh, chain)
        else:
            raise ValueError(
                f"After {MAX_ROUNDS} rounds the last step still draws values that the transformers "
                "cannot produce. Use a transformer that maps onto the whole line."
            )
        if held is not None:
            values = np.where(np.isnan(held), values, held)
        return self.restored(drawn, values)


@dataclass(frozen=True, eq=False)
class Numbers:
    """The draws of a density as numbers, 0 in columns that are not changed."""

    density: Any
    beside: Beside

    @property
    def n_features_in_(self) -> int:
        """Number of columns."""
        return len(self.beside.changed)

    def __density_tags__(self) -> DensityTags:
        """Return the defaults."""
        return DensityTags()

    def sample(self, n_samples: int, random_state: np.random.Generator) -> np.ndarray:
        """Return draws behind the transformers, (n_samples, n_features)."""
        drawn = self.density.sample(n_samples, random_state=random_state)
        return self.beside.before(drawn, Chain(()))


def fit_beside(
    owner: Any, X: Any, weight: np.ndarray | None, last_params: Mapping[str, Any], context: Any
) -> tuple[Pipeline, Beside]:
    """Fit clones of the owner's steps to a frame; return them and which columns they change.

    Raises
    ------
    ValueError
        A step that changes a column which the last step reads as anything but real numbers, an
        encoder of a column that it does not read as categories, and what `fit_transformer` refuses.
    """
    labels, kinds = names_of(X) or [], kinds_read_by(owner.steps[-1][1], X) or []
    n, d = table_shape(X)
    changed, places, values = np.zeros(d, bool), np.arange(d), np.zeros((n, d))
    rows, fitted, known = X, [], dict[int, list[Any]]()
    for name, unfitted in owner.steps[:-1]:
        step = unfitted if is_passthrough(unfitted) else clone(unfitted)
        fitted.append((name, step))
        if is_passthrough(step):
            continue
        table = Table(rows, names_of(rows), [str(labels[j]) for j in places], n)
        examine(step, name, table, owner._custom)
        acts = _columns_changed(step, name, table, owner._custom)
        touched = places[acts]
        own = [labels[j] for j in touched]
        check_loses_none(name, step, owner.steps[-1][1], own, [kinds[j] for j in touched])
        fresh = acts & ~changed[places]
        numbers = _numbers(
            X, np.isin(np.arange(d), places[fresh]), labels, holes=owner._takes_holes
        )
        values[:, fresh] = numbers[:, places[fresh]]
        changed[touched] = True
        rows = rows if rows is X else values
        check_domain(step, name, table, owner._custom, values)
        task = step_task(context, owner, name=name, step=step, X=rows)
        with task, _output_that_holds(X, kinds):
            fit_transform_quietly(step, name, rows, weight)
        examine(step, name, None, owner._custom)
        for encoder, columns in _encoders(step, places):
            _check_encoded(name, [(labels[j], kinds[j]) for j in columns])
            if encoder.handle_unknown == "error":
                known.update(_known(encoder, columns, X))
        bijection = build(step, name, owner._custom)
        mapped, places = bijection.forward(values), _moved(bijection, places)
        check_output(mapped, name, [str(labels[j]) for j in places], values)
        rows = values = mapped
    beside = Beside(changed, np.argsort(places), known, owner._frame_schema)
    fitted.append(_fit_last(owner, beside.behind(X, values), weight, last_params, context))
    return Pipeline(fitted), beside


def _fit_last(
    owner: Any, last: Any, weight: np.ndarray | None, last_params: Mapping[str, Any], context: Any
) -> tuple[str, Any]:
    name, density = owner.steps[-1][0], clone(owner.steps[-1][1])
    told = dict(last_params) | ({} if weight is None else {"sample_weight": weight})
    with step_task(context, owner, name=name, step=density, X=last):
        density.fit(last, **told)
    return name, density


@contextmanager
def _output_that_holds(X: Any, kinds: list[str]) -> Iterator[None]:
    """Let a ColumnTransformer return a frame where an array cannot hold dates beside numbers."""
    backend = (frame_schema(X) or {}).get("backend")
    if not set(TIMES) & set(kinds) or backend not in ("pandas", "polars"):
        yield
        return
    with config_context(transform_output=backend), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="When `set_output` is configured")
        yield


def _known(encoder: Any, columns: np.ndarray, X: Any) -> dict[int, list[Any]]:
    """Return by column the categories that an encoder or the dtype of the column lists."""
    known = {}
    for j, listed in zip(columns.tolist(), encoder.categories_):
        [about] = describe_columns(keep_columns(X, np.array([j])), ["category"])
        own = [item for item in listed.tolist() if item is not None and item == item]
        known[j] = list(dict.fromkeys([*own, *about["values"]]))
    return known


def _check_encoded(name: str, columns: list[tuple[Any, str]]) -> None:
    for label, kind in columns:
        if kind != "category":
            raise ValueError(
                f"Step {name!r} encodes column {label!r} as categories, which the last step would "
                f"read as a column of kind {kind!r}. Make it text or a categorical of pandas, name "
                "it in categorical_features of the last step, or let it pass through."
            )


def _columns_changed(step: Any, path: str, table: Table, custom: Mapping[str, Any]) -> np.ndarray:
    """Return which columns of its input an unfitted step changes; encoded ones count as kept."""
    changed = np.zeros(table.shape[1], dtype=bool)
    if path in custom:
        return ~changed
    if is_passthrough(step) or type(step) is OrdinalEncoder:
        return changed
    if type(step) is Pipeline:
        doing = [(name, part) for name, part in step.steps if not is_passthrough(part)]
        if len(doing) > 1:
            return ~changed
        for name, part in doing:
            changed = _columns_changed(part, f"{path}__{name}", table, custom)
        return changed
    if type(step) is ColumnTransformer:
        for name, part, columns in column_parts(step, table.X, table.names, table.shape[1]):
            inner = table.columns(columns)
            changed[columns] = _columns_changed(part, f"{path}__{name}", inner, custom)
        return changed
    return ~changed


def _encoders(step: Any, columns: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield the encoders inside a fitted step, and the columns of the table that they encode."""
    if type(step) is OrdinalEncoder:
        yield step, columns
    elif type(step) is Pipeline:
        for _, part in step.steps:
            yield from _encoders(part, columns)
    elif type(step) is ColumnTransformer:
        for _, part, inner in column_parts(step, None, *fitted_input(step)):
            yield from _encoders(part, columns[inner])


def _moved(bijection: Bijection, places: np.ndarray) -> np.ndarray:
    """Return which column of the table each output column of a map stands for."""
    if isinstance(bijection, Chain):
        for part in bijection.maps:
            places = _moved(part, places)
        return places
    if isinstance(bijection, Partition):
        moved = places.copy()
        for inputs, outputs, part in bijection.parts:
            moved[outputs] = _moved(part, places[inputs])
        return moved
    return places


def _numbers(X: Any, which: np.ndarray, labels: list[Any], *, holes: bool) -> np.ndarray:
    """Return the columns `which`, (d,), of a frame as numbers, and 0 in the others, (n, d)."""
    values = np.zeros((table_shape(X)[0], len(which)))
    chosen = np.flatnonzero(which)
    if len(chosen):
        about = [{"name": labels[j], "kind": "real"} for j in chosen]
        values[:, chosen] = code_table(keep_columns(X, chosen), about)
    known = np.where(np.isnan(values), 0.0, values) if holes else values
    check_finite(known, [str(label) for label in labels])
    return values


def _replaced(X: Any, which: np.ndarray, columns: list[Any]) -> Any:
    """Return a frame with other values in some columns, by position."""
    if not len(which):
        return X
    if nw.dependencies.is_pandas_dataframe(X):
        X = X.copy(deep=False)
        for j, column in zip(which.tolist(), columns):
            X.isetitem(j, getattr(column, "array", column))
        return X
    frame = nw.from_native(X, eager_only=True)
    backend, names = frame.implementation, frame.columns
    fresh = [
        (
            nw.new_series(names[j], column, backend=backend)
            if isinstance(column, np.ndarray)
            else nw.from_native(column, series_only=True).alias(names[j])
        )
        for j, column in zip(which.tolist(), columns)
    ]
    return frame.with_columns(*fresh).to_native()
