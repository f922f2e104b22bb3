"""The transformers whose Jacobian is known: one table, one row per class."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from skgm._sklearn import power_scaler
from skgm.compose._bijections import (
    FUNCTIONS,
    Affine,
    Bijection,
    Chain,
    Elementwise,
    Rotation,
    box_cox,
    piecewise_linear,
    yeo_johnson,
)

__all__ = ["KNOWN", "Rule", "is_passthrough", "leaves"]

_LINE = (-np.inf, np.inf)


@dataclass(frozen=True)
class Rule:
    """What is known about one class of transformers.

    Attributes
    ----------
    build : callable
        From a fitted transformer to its :class:`Bijection`.
    fault : callable
        From an unfitted transformer and the shape of its input (None where not known yet) to the
        reason why it is not invertible, with the cure, or None.
    domain : callable
        From an unfitted transformer to the open interval that its input must lie in.
    by_column : bool
        Each output column depends on one input column.
    affine : bool
        The fitted map is affine.
    moves_zero : callable
        From an unfitted transformer to whether its affine map may have a shift.
    """

    build: Callable[[Any], Bijection]
    fault: Callable[[Any, tuple[int, int] | None], str | None] = lambda t, shape: None
    domain: Callable[[Any], tuple[float, float]] = lambda t: _LINE
    by_column: bool = True
    affine: bool = True
    moves_zero: Callable[[Any], bool] = lambda t: True


def _standard(t: StandardScaler) -> Bijection:
    return _affine(t.mean_ if t.with_mean else None, t.scale_ if t.with_std else None)


def _robust(t: RobustScaler) -> Bijection:
    return _affine(t.center_ if t.with_centering else None, t.scale_ if t.with_scaling else None)


def _max_abs(t: MaxAbsScaler) -> Bijection:
    return _affine(None, t.scale_)


def _min_max(t: MinMaxScaler) -> Bijection:
    scale = 1 / np.asarray(t.scale_, dtype=np.float64)
    return _affine(t.data_min_ - t.feature_range[0] * scale, scale)


def _affine(shift: Any, scale: Any) -> Bijection:
    return Affine(
        0.0 if shift is None else np.asarray(shift, dtype=np.float64),
        1.0 if scale is None else np.asarray(scale, dtype=np.float64),
    )


def _clip_fault(t: Any, shape: Any) -> str | None:
    if not getattr(t, "clip", False):  # MaxAbsScaler has the option since scikit-learn 1.9
        return None
    return "clipping is not invertible; set clip=False"


def _power(t: PowerTransformer) -> Bijection:
    family = {"box-cox": box_cox, "yeo-johnson": yeo_johnson}[t.method]
    curve = Elementwise(family(np.asarray(t.lambdas_, dtype=np.float64)))
    scaler = power_scaler(t)
    return curve if scaler is None else Chain((curve, _standard(scaler)))


def _quantile(t: QuantileTransformer) -> Bijection:
    normal = t.output_distribution == "normal"
    return Elementwise(piecewise_linear(t.quantiles_, t.references_, normal=normal))


def _quantile_fault(t: QuantileTransformer, shape: tuple[int, int] | None) -> str | None:
    fitted = hasattr(t, "quantiles_")
    if not fitted and shape is not None and t.subsample is not None and shape[0] > t.subsample:
        return (
            f"it reads {t.subsample} of the {shape[0]} rows and clips those beyond them; set "
            "subsample=None"
        )
    if not fitted:
        return None
    gaps = np.diff(t.quantiles_, axis=0)
    tied = (gaps <= 0).any(axis=0)
    if tied.any():
        return (
            f"{int((gaps[:, tied] <= 0).sum())} of its quantiles are as large as the next one, in "
            f"its column {int(np.argmax(tied))}, where values come again; set n_quantiles to fewer "
            f"than {t.n_quantiles_}, or take PowerTransformer, or DensityChain without it, whose "
            "cells follow the quantiles"
        )
    if t.output_distribution == "normal" and gaps[[0, -1]].min() <= 1e-6:
        return (
            "scikit-learn clips values nearer than 1e-7 to the least or the largest one, which is "
            "much in the units of this table; put a StandardScaler before it"
        )
    return None


def _pca(t: PCA) -> Bijection:
    spread = np.sqrt(np.asarray(t.explained_variance_, dtype=np.float64))
    return Rotation(
        np.asarray(t.mean_, dtype=np.float64),
        np.asarray(t.components_, dtype=np.float64),
        spread if t.whiten else np.ones_like(spread),
    )


def _pca_fault(t: PCA, shape: tuple[int, int] | None) -> str | None:
    kept = getattr(t, "n_components_", None)
    if kept is not None:
        if kept < t.n_features_in_:
            return _rank_fault(f"keeps {kept} of {t.n_features_in_} components")
        return _whitening_fault(t) if t.whiten else None
    if shape is None:
        return None
    n, d = shape
    wanted = t.n_components
    if isinstance(wanted, int | np.integer) and wanted < d:
        return _rank_fault(f"keeps {wanted} of {d} components")
    if n < d:
        return _rank_fault(f"finds at most {n} components in {n} rows of {d} columns")
    return None


def _rank_fault(what: str) -> str:
    return (
        f"it {what}, which loses information; leave n_components=None and give it more rows "
        "than columns"
    )


def _whitening_fault(t: PCA) -> str | None:
    variance = np.asarray(t.explained_variance_, dtype=np.float64)
    # relative to rounding of the covariance in the precision that it was computed in
    tiny = variance <= len(variance) * np.finfo(t.components_.dtype).eps * variance.max()
    if not tiny.any():
        return None
    return (
        f"whitening divides by the spread, which is zero along {int(tiny.sum())} of "
        f"{len(tiny)} components; drop constant, duplicated or collinear columns, give it more "
        "rows, or set whiten=False"
    )


def _function(t: FunctionTransformer) -> Bijection:
    return _affine(None, None) if t.func is None else Elementwise(FUNCTIONS[t.func])


_NAMES_OF_FUNCTIONS = ", ".join(f.__name__ for f in FUNCTIONS)


def _function_fault(t: FunctionTransformer, shape: Any) -> str | None:
    if t.kw_args or t.inv_kw_args:
        return "the Jacobian of a function with kw_args is unknown; leave them out"
    if t.func is None:
        return None if t.inverse_func is None else "inverse_func is given without func"
    if not _is_known_function(t.func):
        return (
            f"the Jacobian of {getattr(t.func, '__name__', t.func)!r} is unknown; use numpy's "
            f"{_NAMES_OF_FUNCTIONS}"
        )
    if t.inverse_func is None or _is_inverse(t.inverse_func, FUNCTIONS[t.func]):
        return None
    return (
        f"inverse_func is not the inverse of {t.func.__name__}; leave it out (it is supplied) or "
        f"give numpy.{FUNCTIONS[t.func].inverse.__name__}"
    )


def _is_known_function(function: Any) -> bool:
    try:
        return function in FUNCTIONS
    except TypeError:  # not hashable
        return False


def _is_inverse(candidate: Callable[[Any], Any], function: Any) -> bool:
    probes = np.array([[0.25], [0.5], [1.0], [2.0]])  # inside every domain
    return bool(np.allclose(candidate(function.forward(probes)), probes))


def _merging_fault(t: OrdinalEncoder, shape: Any) -> str | None:
    if t.min_frequency is None and t.max_categories is None:
        return None
    return (
        "rare categories share a code; set min_frequency and max_categories to None, or merge them "
        "in the table"
    )


KNOWN: dict[type, Rule] = {
    # the last step is handed the categories that the codes stand for, see `_beside`
    OrdinalEncoder: Rule(lambda t: Chain(()), fault=_merging_fault, affine=False),
    StandardScaler: Rule(_standard, moves_zero=lambda t: t.with_mean),
    MinMaxScaler: Rule(_min_max, fault=_clip_fault),
    MaxAbsScaler: Rule(_max_abs, fault=_clip_fault, moves_zero=lambda t: False),
    RobustScaler: Rule(_robust, moves_zero=lambda t: t.with_centering),
    PowerTransformer: Rule(
        _power,
        domain=lambda t: (0.0, np.inf) if t.method == "box-cox" else _LINE,
        affine=False,
    ),
    QuantileTransformer: Rule(_quantile, fault=_quantile_fault, affine=False),
    PCA: Rule(_pca, fault=_pca_fault, by_column=False),
    FunctionTransformer: Rule(
        _function,
        fault=_function_fault,
        domain=lambda t: FUNCTIONS[t.func].domain if _is_known_function(t.func) else _LINE,
        affine=False,
    ),
}


def is_passthrough(step: Any) -> bool:
    """Return whether a step of a Pipeline or a part of a ColumnTransformer does nothing."""
    return step is None or (isinstance(step, str) and step == "passthrough")


def leaves(step: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield (path, transformer) for every transformer inside a step that is no composition."""
    if is_passthrough(step) or isinstance(step, str):
        return
    if type(step) is Pipeline:
        inner = [(name, part) for name, part in step.steps]
    elif type(step) is ColumnTransformer:
        inner = [(name, part) for name, part, _ in step.transformers]
        inner.append(("remainder", step.remainder))
    else:
        yield path, step
        return
    for name, part in inner:
        yield from leaves(part, f"{path}__{name}")
