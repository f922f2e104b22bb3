"""Fitting the steps one after the other: weights, domains, callbacks."""

import warnings
from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import PowerTransformer
from sklearn.utils.validation import has_fit_parameter

from skgm._sklearn import step_task
from skgm.compose._columns import names_of
from skgm.compose._compile import (
    Table,
    acts_by_column,
    build,
    check_takes_weights,
    domain_of,
    examine,
)
from skgm.compose._registry import is_passthrough, leaves
from skgm.tables._frames import frame_schema

__all__ = [
    "check_domain",
    "check_output",
    "fit_alone",
    "fit_steps",
    "fit_transform_quietly",
    "fit_transformer",
    "follow_columns",
    "keep_param_rows",
    "keep_rows",
    "last_step_params",
    "rows_at",
    "rows_in_order",
]


def keep_rows(X: Any, kept: np.ndarray) -> Any:
    """Return the rows of an array or data frame where `kept`, (n,), is True."""
    if frame_schema(X) is None:
        return X[kept]
    return nw.from_native(X, eager_only=True).filter(kept.tolist()).to_native()


def rows_at(rows: Any, numbers_: np.ndarray) -> Any:
    """Return rows by number, of an array or a frame."""
    if frame_schema(rows) is None:
        return np.asarray(rows)[numbers_]
    return nw.from_native(rows, eager_only=True)[numbers_.tolist()].to_native()


def rows_in_order(parts: list[Any], order: np.ndarray, given: Any = None, times: int = 1) -> Any:
    """Return rows of several tables, of arrays or frames, in a new order."""
    if frame_schema(parts[0]) is None:
        return np.concatenate(parts)[order]
    frames = [nw.from_native(part, eager_only=True) for part in parts]
    if nw.dependencies.is_pandas_dataframe(parts[0]):
        import pandas as pd  # the frames are of pandas, so it is loaded

        rows = pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)
        if nw.dependencies.is_pandas_dataframe(given):
            rows.index = given.index.repeat(times)
        return rows
    return nw.concat(frames)[order.tolist()].to_native()


def fit_steps(
    owner: Any,
    table: Table,
    weight: np.ndarray | None,
    last_params: Mapping[str, Any],
    context: Any,
) -> tuple[Pipeline, dict[str, Any]]:
    """Fit clones of the owner's steps; return them, and the frames that custom steps saw."""
    rows, labels, fitted, schemas = table.X, table.labels, [], {}
    for name, unfitted in owner.steps[:-1]:
        step = unfitted if is_passthrough(unfitted) else clone(unfitted)
        if name in owner._custom:
            schemas[name] = frame_schema(rows)
        with step_task(context, owner, name=name, step=step, X=rows):
            rows, labels = fit_transformer(step, name, rows, labels, weight, owner._custom)
        fitted.append((name, step))
    name, density = owner.steps[-1][0], clone(owner.steps[-1][1])
    rows = np.asarray(rows, dtype=owner._sample_dtype)
    told = follow_columns(last_params, fitted, rows.shape[1])
    if weight is not None:
        told["sample_weight"] = weight
    with step_task(context, owner, name=name, step=density, X=rows):
        density.fit(rows, **told)
    return Pipeline([*fitted, (name, density)]), schemas


def fit_alone(
    owner: Any, X: Any, sample_weight: Any, last_params: Mapping[str, Any], context: Any
) -> None:
    """Fit a clone of the last step to the table as it is; the owner becomes that density."""
    name, density = owner.steps[-1][0], clone(owner.steps[-1][1])
    told = dict(last_params)
    if sample_weight is not None:
        check_takes_weights(owner.steps)
        told["sample_weight"] = sample_weight
    with step_task(context, owner, name=name, step=density, X=X):
        density.fit(X, **told)
    for attribute in ("feature_names_in_", "_column_labels"):
        vars(owner).pop(attribute, None)
    known = ("n_features_in_", "feature_names_in_", "_column_labels", "log_density_kind_")
    vars(owner).update({key: vars(density)[key] for key in known if key in vars(density)})
    owner.pipeline_ = Pipeline([*owner.steps[:-1], (name, density)])
    owner.log_image_probability_, owner._step_schemas = 0.0, {}


def fit_transformer(
    step: Any, path: str, X: Any, labels: list[str], weight: Any, custom: Mapping[str, Any]
) -> tuple[Any, list[str]]:
    """Fit one step in place; return its output and labels for the output columns.

    Raises
    ------
    ValueError
        A step that cannot be undone, a value outside its domain (column and row named), or one
        that the step turns into NaN or infinity.
    """
    if is_passthrough(step):
        return X, labels
    table = Table(X, names_of(X), labels, len(X))
    examine(step, path, table, custom)
    check_domain(step, path, table, custom, np.asarray(X, dtype=np.float64))
    Z = fit_transform_quietly(step, path, X, weight)
    examine(step, path, None, custom)
    labels = build(step, path, custom).names_out(labels)
    check_output(Z, path, labels, X)
    if isinstance(step, PowerTransformer):
        _check_power(step, path, labels, X, Z)
    return Z, labels


def fit_transform_quietly(step: Any, path: str, X: Any, weight: Any) -> Any:
    """Fit a step in place and return its output, which has yet to be checked."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # the checks say more than a RuntimeWarning, and scipy's warning is an error of ours
        warnings.filterwarnings("error", message="The optimal lambda is")
        try:
            return _fit_transform(step, X, weight)
        except UserWarning as error:
            if not isinstance(step, PowerTransformer):
                raise
            raise ValueError(
                f"Step {path!r} ({type(step).__name__}) finds no power: values raised to the best "
                f"one overflow. {_CURE}"
            ) from error


def _check_power(step: Any, path: str, labels: list[str], X: Any, Z: Any) -> None:
    """Raise where a power is so extreme that different values become the same number."""
    before, after = np.asarray(X, dtype=np.float64), np.asarray(Z, dtype=np.float64)
    lost = (before != before[0]).any(axis=0) & (after == after[0]).all(axis=0)
    if lost.any():
        column = int(np.flatnonzero(lost)[0])
        raise ValueError(
            f"Step {path!r} (PowerTransformer) turns the different values of column "
            f"{labels[column]!r} into one: the power {step.lambdas_[column]:.4g} that it chose "
            f"underflows or overflows. {_CURE}"
        )


_CURE = "Standardize the columns before that step, or choose another transformer."


def _fit_transform(step: Any, X: Any, weight: Any) -> Any:
    if weight is None:
        return _fit_then_transform(step, X)
    if type(step) not in (Pipeline, ColumnTransformer):
        takes = has_fit_parameter(step, "sample_weight")
        return _fit_then_transform(step, X, **({"sample_weight": weight} if takes else {}))
    # Metadata routing is scikit-learn's only way to hand weights to the parts of a composition.
    with config_context(enable_metadata_routing=True):
        takers = [t for _, t in leaves(step, "") if has_fit_parameter(t, "sample_weight")]
        for taker in takers:
            taker.set_fit_request(sample_weight=True)
        return _fit_then_transform(step, X, **({"sample_weight": weight} if takers else {}))


def _fit_then_transform(step: Any, X: Any, **weights: Any) -> Any:
    if hasattr(step, "fit_transform"):
        return step.fit_transform(X, **weights)
    return step.fit(X, **weights).transform(X)


def check_domain(
    step: Any, path: str, table: Table, custom: Mapping[str, Any], array: np.ndarray
) -> None:
    """Raise where numbers of the table, (n, d), lie outside the domain of an unfitted step."""
    low, high = domain_of(step, path, table, custom)
    outside = ~(((array > low) & (array < high)) | np.isnan(array))
    if not outside.any():
        return
    row, column = np.argwhere(outside)[0]
    raise ValueError(
        f"Step {path!r} ({type(step).__name__}) needs numbers > {low[column]:g} in column "
        f"{table.labels[column]!r}; got {float(array[row, column])!r} at row {row}. Drop such "
        "rows, shift the column, or choose another transformer for it."
    )


def check_output(Z: Any, path: str, labels: list[str], X: Any) -> None:
    """Raise where a step makes NaN or infinity of numbers."""
    array = np.asarray(Z, dtype=np.float64)
    bad = ~np.isfinite(array)
    if bad.any():  # holes stay holes, in an order that a ColumnTransformer may change
        holes = np.isnan(np.asarray(X, dtype=np.float64)).sum(axis=1, keepdims=True)
        lost = np.isnan(array)
        bad &= ~lost | (lost.sum(axis=1, keepdims=True) > holes)
    if not bad.any():
        return
    row, column = np.argwhere(bad)[0]
    raise ValueError(
        f"Step {path!r} turns row {row} into NaN or infinity in column {labels[column]!r}: the "
        "row lies outside the domain of the step, or overflows. Drop it or choose another "
        "transformer."
    )


# What `fit` takes besides rows and weights: arguments of the last step, and censoring.

Steps = list[tuple[str, Any]]


def last_step_params(
    steps: Steps, event: Any, params: Mapping[str, Any], custom: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of the last step's `fit`, from `event` and ``step__parameter``.

    Raises
    ------
    ValueError
        An argument of no step, or of one that is not the last; one that its `fit` does not take;
        events with transformers that do not carry them.
    """
    name, density = steps[-1]
    found = _of_last_step(params, name)
    if event is not None:
        if "event" in found:
            raise ValueError(f"Give event or {name}__event, not both.")
        found["event"] = event
    for key in found:
        if not has_fit_parameter(density, key):
            raise ValueError(
                f"The last step, {name!r} ({type(density).__name__}), takes no {key!r} in fit; "
                "leave it out."
            )
    told = [key for key in ("upper", "entry") if found.get(key) is not None]
    if told and len(steps) > 1:
        raise ValueError(
            f"{told[0]} holds values of X, which the transformers would have to transform with it. "
            "Fit the last step alone, on transformed ends."
        )
    if found.get("event") is None:
        found.pop("event", None)
    elif not acts_by_column(steps, custom):
        raise ValueError(
            "event needs transformers that are known to act on each column alone and to increase, "
            "so that a value known to be larger is still known to be larger after them. Leave out "
            "PCA and steps with log_jacobians."
        )
    return found


def _of_last_step(params: Mapping[str, Any], last: str) -> dict[str, Any]:
    """Return those of `params` by the names that the last step knows them by."""
    found = {}
    for key, value in params.items():
        step, _, argument = key.partition("__")
        if step != last or not argument:
            raise ValueError(
                f"fit takes {last}__parameter=..., an argument of the last step's fit; got "
                f"{key!r}. The transformers learn from X and sample_weight alone."
            )
        if argument == "sample_weight":
            raise ValueError(f"Give sample_weight, which goes to every step; got {key!r}.")
        found[argument] = value
    return found


def keep_param_rows(params: Mapping[str, Any], kept: np.ndarray) -> dict[str, Any]:
    """Return arguments with one value per row, for the rows where `kept`, (n,), is True."""
    return {
        name: np.asarray(value)[kept] if np.shape(value)[:1] == kept.shape else value
        for name, value in params.items()
    }


def follow_columns(params: Mapping[str, Any], fitted: Steps, n_features: int) -> dict[str, Any]:
    """Return arguments with the events, (n, d), in the order of columns that the steps leave."""
    event: Any = params.get("event")
    if np.shape(event)[1:] != (n_features,):
        return dict(params)
    places: Any = list(range(n_features))
    for name, step in fitted:  # a ColumnTransformer moves columns
        places = build(step, name, {}).names_out(places)
    return {**params, "event": np.asarray(event)[:, places]}
