"""From transformers to bijections: refusals by name before fitting, formulas after it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from skgm.compose._bijections import Bijection, Chain, Custom, Partition
from skgm.compose._columns import column_parts, keep_columns, partition_fault
from skgm.compose._registry import KNOWN, is_passthrough

__all__ = ["Table", "build", "domain_of", "examine"]


@dataclass(frozen=True)
class Table:
    """What is known about the input of a step before it is fitted."""

    X: Any
    names: list[str] | None  # those by which columns can be selected
    labels: list[str]  # those by which messages call them
    n_rows: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.n_rows, len(self.labels)

    def columns(self, positions: np.ndarray) -> "Table":
        """Return the table that a part of a ColumnTransformer sees."""
        names = None if self.names is None else [self.names[j] for j in positions]
        labels = [self.labels[j] for j in positions]
        return Table(keep_columns(self.X, positions), names, labels, self.n_rows)


def examine(step: Any, path: str, table: Table | None, custom: Mapping[str, Any]) -> None:
    """Raise a ValueError that names a step that is not invertible, or of unknown Jacobian.

    Parameters
    ----------
    step : transformer or "passthrough"
        Fitted or not; what only a fit can tell is checked where it is fitted.
    path : str
        Its name in the pipeline; parts inside it are called ``path__part``.
    table : Table or None
        Its input, None where earlier steps have yet to be fitted.
    custom : mapping of str to callable
        Log-Jacobians supplied by the user, by path.
    """
    if path in custom:
        _require_inverse(step, path)
    elif is_passthrough(step):
        return
    elif type(step) is Pipeline:
        for name, inner in step.steps:
            examine(inner, f"{path}__{name}", None, custom)
    elif type(step) is ColumnTransformer:
        _examine_columns(step, path, table, custom)
    elif type(step) in KNOWN:
        fault = KNOWN[type(step)].fault(step, None if table is None else table.shape)
        if fault is not None:
            raise ValueError(f"Step {path!r} ({type(step).__name__}) cannot be undone: {fault}.")
    else:
        raise ValueError(
            f"Step {path!r} ({type(step).__name__}) is not invertible, or its Jacobian is "
            f"unknown. Known are {', '.join(sorted(known.__name__ for known in KNOWN))}, and "
            "ColumnTransformer and Pipeline of these. If it has an inverse_transform, pass "
            f"log_jacobians={{{path!r}: function}}, where function(X) returns the log of the "
            "absolute Jacobian determinant at each row of the step's input."
        )


def _require_inverse(step: Any, path: str) -> None:
    if not hasattr(step, "inverse_transform") or not hasattr(step, "transform"):
        raise ValueError(
            f"log_jacobians names {path!r} ({type(step).__name__}), which has no "
            "inverse_transform. Write a transformer that has one, or use a FunctionTransformer "
            "with inverse_func."
        )
    if hasattr(step, "inverse_func") and step.inverse_func is None and step.func is not None:
        raise ValueError(
            f"log_jacobians names {path!r}, a FunctionTransformer without inverse_func, whose "
            "inverse_transform does nothing. Give it inverse_func."
        )


def _examine_columns(step: Any, path: str, table: Table | None, custom: Mapping[str, Any]) -> None:
    if step.transformer_weights:
        raise ValueError(
            f"Step {path!r} (ColumnTransformer) has transformer_weights, whose Jacobian is not "
            "known. Leave them out; the density does not need them."
        )
    if table is None and not hasattr(step, "transformers_"):
        for name, part, _ in step.transformers:
            if not (isinstance(part, str) and part == "drop"):
                examine(part, f"{path}__{name}", None, custom)
        return
    names, d = (table.names, table.shape[1]) if table is not None else _fitted_input(step)
    labels = table.labels if table is not None else [f"x{j}" for j in range(d)]
    parts = column_parts(step, None if table is None else table.X, names, d)
    fault = partition_fault(parts, labels)
    if fault is not None:
        raise ValueError(
            f"Step {path!r} (ColumnTransformer) does not partition the columns: {fault}."
        )
    for name, part, columns in parts:
        inner = None if table is None else table.columns(columns)
        examine(part, f"{path}__{name}", inner, custom)


def _fitted_input(step: Any) -> tuple[list[str] | None, int]:
    names = getattr(step, "feature_names_in_", None)
    return None if names is None else list(names), step.n_features_in_


def domain_of(
    step: Any, path: str, table: Table, custom: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the open box that the input of an unfitted step must lie in, (d,) and (d,)."""
    d = table.shape[1]
    low, high = np.full(d, -np.inf), np.full(d, np.inf)
    if path in custom or is_passthrough(step):
        return low, high
    if type(step) is Pipeline:
        doing = [(name, s) for name, s in step.steps if not is_passthrough(s)]
        return (
            domain_of(doing[0][1], f"{path}__{doing[0][0]}", table, custom)
            if doing
            else (low, high)
        )
    if type(step) is ColumnTransformer:
        for name, part, columns in column_parts(step, table.X, table.names, d):
            inner = domain_of(part, f"{path}__{name}", table.columns(columns), custom)
            low[columns], high[columns] = inner
        return low, high
    low[:], high[:] = KNOWN[type(step)].domain(step)
    return low, high


def build(
    step: Any, path: str, custom: Mapping[str, Any], schema: dict[str, Any] | None = None
) -> Bijection:
    """Return the map of a fitted step; `schema` is the frame that a custom one was fitted on."""
    if path in custom:
        return Custom(step, custom[path], path, schema)
    if is_passthrough(step):
        return Chain(())
    if type(step) is Pipeline:
        return Chain(tuple(build(s, f"{path}__{name}", custom) for name, s in step.steps))
    if type(step) is ColumnTransformer:
        positions = np.arange(step.n_features_in_)
        return Partition(
            tuple(
                (
                    columns,
                    positions[step.output_indices_[name]],
                    build(part, f"{path}__{name}", custom),
                )
                for name, part, columns in column_parts(step, None, *_fitted_input(step))
            )
        )
    return KNOWN[type(step)].build(step)
