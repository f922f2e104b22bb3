"""Null hypotheses: from what the user writes to arrays with NaN for what is left free."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skgm.inference.families._base import Family

__all__ = ["check_covariance", "check_parameter_space", "parse_null"]


def parse_null(null: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return one float64 array per parameter, NaN where the null leaves it free.

    Parameters
    ----------
    null : mapping of str to float or array-like
        Values by parameter name. A number stands for every column; NaN entries of an array are
        not restricted.
    shapes : mapping of str to tuple
        The shape of each parameter.

    Returns
    -------
    null : dict of str to ndarray
        For every parameter, in the order of `shapes`.

    Raises
    ------
    ValueError
        Not a mapping, an unknown name, a wrong shape, infinite values, a matrix that is not
        symmetric, or nothing restricted.
    """
    if not isinstance(null, Mapping):
        raise ValueError(
            f"null must be a dict from parameter names to values, such as "
            f"{{{next(iter(shapes))!r}: 1.0}}; got {null!r}."
        )
    unknown = [name for name in null if name not in shapes]
    if unknown:
        raise ValueError(
            f"null names unknown parameters {unknown}; this model has {', '.join(shapes)}."
        )
    parsed = {
        name: _values(name, null[name], shape) if name in null else np.full(shape, np.nan)
        for name, shape in shapes.items()
    }
    if all(np.isnan(value).all() for value in parsed.values()):
        raise ValueError("null restricts nothing: it is empty or all its values are NaN.")
    return parsed


def _values(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"null[{name!r}] must hold numbers; got {value!r}.") from error
    if array.ndim == 0 and (len(shape) < 2 or shape == (1, 1)):
        array = np.full(shape, array)
    if array.shape != shape:
        wanted = f"shape {shape}" + (" or a single number" if len(shape) < 2 else "")
        raise ValueError(f"null[{name!r}] must have {wanted}; got shape {array.shape}.")
    if np.isinf(array).any():
        raise ValueError(f"null[{name!r}] must be finite (NaN: not restricted).")
    if array.ndim == 2 and not np.array_equal(array, array.T, equal_nan=True):
        raise ValueError(f"null[{name!r}] must be symmetric.")
    return array


def check_covariance(name: str, null: np.ndarray) -> None:
    """Raise a ValueError for entries (NaN: free) that no covariance, (p, p) or (p,), can have."""
    variance = np.diag(null) if null.ndim == 2 else null
    if (variance <= 0).any():
        raise ValueError(
            f"null[{name!r}] must have positive variances; got {np.nanmin(variance):g}."
        )
    if null.ndim < 2:
        return
    off_diagonal = ~np.eye(len(null), dtype=bool)
    if (null**2 >= np.outer(variance, variance))[off_diagonal].any():
        raise ValueError(f"null[{name!r}] must be positive definite.")
    if not np.isnan(null).any():
        sd = np.sqrt(variance)  # eigenvalues in the table's own units would drown in rounding
        if np.linalg.eigvalsh(null / sd / sd[:, None]).min() <= 0:
            raise ValueError(f"null[{name!r}] must be positive definite.")


def check_parameter_space(family: Family, null: Mapping[str, np.ndarray]) -> None:
    """Raise a ValueError for values outside, or on the edge of, the parameter space.

    On the edge the statistics are not chi-square, so it is refused as well.
    """
    for parameter in family.parameters:
        value = null[parameter.name]
        outside = parameter.on_boundary(value)  # false for NaN
        if outside.any():
            raise ValueError(
                f"null[{parameter.name!r}] must be {parameter.describe_space()} for the "
                f"{family.name} family; got {value[outside][0]:g}."
            )
        if value.ndim == 2:  # the one kind of matrix among parameters
            check_covariance(parameter.name, value)
