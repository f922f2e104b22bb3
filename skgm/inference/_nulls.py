"""Null hypotheses: from what the user writes to arrays with NaN for what is left free."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skgm.inference._flattening import flat_values
from skgm.inference._models._null import linear_restriction
from skgm.inference._results import parameter_labels
from skgm.inference.families._base import Family

__all__ = [
    "Null",
    "check_covariance",
    "check_parameter_space",
    "parse_null",
    "read_null",
    "refuse_edge",
]

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Null:
    """A null hypothesis about the flat vector of parameters.

    Attributes
    ----------
    shown : mapping
        What the result shows of it.
    values : dict of str to ndarray
        Values by parameter, NaN where free; all NaN where restrictions couple entries.
    matrix, target : ndarray of shape (r, k) and (r,), or None
        R and q of R theta = q, where restrictions couple entries.
    """

    shown: Mapping[str, Any]
    values: dict[str, np.ndarray]
    matrix: np.ndarray | None = field(default=None)
    target: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def is_linear(self) -> bool:
        """Whether restrictions couple entries."""
        return self.matrix is not None

    @property
    def on_edge(self) -> bool:
        """Whether a parameter is held at infinity."""
        return bool(np.isinf(self.flat).any())

    @property
    def flat(self) -> np.ndarray:
        """Values as one vector, NaN where free."""
        return flat_values(self.values)

    @property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """R (r, k) and q (r,), also of a null that holds entries at values."""
        if self.matrix is not None:
            return self.matrix, self.target
        fixed = ~np.isnan(self.flat)
        return np.eye(len(fixed))[fixed], self.flat[fixed]


def read_null(
    null: Any,
    shapes: Shapes,
    columns: list[str],
    *,
    aliases: Mapping[str, str] | None = None,
    endless: tuple[str, ...] = (),
) -> Null:
    """Return what the user wrote as a null hypothesis.

    Parameters
    ----------
    null : mapping or (R, q)
        Values by parameter, or a matrix and a vector (or number) for R theta = q, theta being the
        parameters in the order of `shapes`, of a symmetric matrix the lower triangle by rows.
    shapes : mapping of str to tuple
        The shape of each parameter.
    columns : list of str
        Names of the columns, for messages.
    aliases : mapping of str to str, default=None
        Other names of parameters.
    endless : tuple of str
        Parameters that may be infinite.

    Returns
    -------
    null : Null

    Raises
    ------
    ValueError
        As in :func:`parse_null`; a matrix or vector of the wrong shape, or of dependent rows.
    """
    if not isinstance(null, tuple):
        return Null(_shown(null), parse_null(null, shapes, aliases, endless))
    free = {name: np.full(shape, np.nan) for name, shape in shapes.items()}
    labels = flat_labels(free, columns)
    found = linear_restriction(null, labels)
    used = found.matrix != 0
    if (used.sum(axis=1) > 1).any():
        return Null(found.null, free, found.matrix, found.values)
    flat = np.full(len(labels), np.nan)  # every row picks one entry: the same as a dict
    flat[used.argmax(axis=1)] = found.values / found.matrix[used]
    return Null(found.null, _unflatten(flat, free))


def flat_labels(params: Mapping[str, np.ndarray], columns: list[str]) -> list[str]:
    """Return the names of the entries of the flat vector of parameters."""
    labels: list[str] = []
    for name, value in params.items():
        entries = parameter_labels(name, value, columns)
        part = entries[np.tril_indices(len(entries))] if entries.ndim == 2 else entries
        labels += [str(label) for label in np.ravel(part)]
    return labels


def _unflatten(flat: np.ndarray, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    values, start = {}, 0
    for name, value in like.items():
        array = np.full(value.shape, np.nan)
        if value.ndim == 2:
            i, j = np.tril_indices(len(value))
            array[i, j] = array[j, i] = flat[start : start + len(i)]
            start += len(i)
        else:
            array[...] = flat[start : start + value.size].reshape(value.shape)
            start += value.size
        values[name] = array
    return values


def _shown(null: Any) -> Any:
    return dict(null) if isinstance(null, Mapping) else null


def parse_null(
    null: Any,
    shapes: Shapes,
    aliases: Mapping[str, str] | None = None,
    endless: tuple[str, ...] = (),
) -> dict[str, np.ndarray]:
    """Return one float64 array per parameter, NaN where the null leaves it free.

    Parameters
    ----------
    null : mapping of str to float or array-like
        Values by parameter name. A number stands for every column; NaN entries of an array are
        not restricted.
    shapes : mapping of str to tuple
        The shape of each parameter.
    aliases : mapping of str to str, default=None
        Other names of parameters.
    endless : tuple of str
        Parameters that may be infinite.

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
            f"{{{next(iter(shapes))!r}: 1.0}}, or a tuple (R, q) for R theta = q; got {null!r}."
        )
    null = {(aliases or {}).get(name, name): value for name, value in null.items()}
    unknown = [name for name in null if name not in shapes]
    if unknown:
        raise ValueError(
            f"null names unknown parameters {unknown}; this model has {', '.join(shapes)}."
        )
    parsed = {
        name: _values(name, null[name], shape, name in endless)
        if name in null
        else np.full(shape, np.nan)
        for name, shape in shapes.items()
    }
    if all(np.isnan(value).all() for value in parsed.values()):
        raise ValueError("null restricts nothing: it is empty or all its values are NaN.")
    return parsed


def _values(name: str, value: Any, shape: tuple[int, ...], may_be_infinite: bool) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"null[{name!r}] must hold numbers; got {value!r}.") from error
    if array.ndim == 0 and (len(shape) < 2 or shape == (1, 1)):
        array = np.full(shape, array)
    if array.shape != shape:
        wanted = f"shape {shape}" + (" or a single number" if len(shape) < 2 else "")
        raise ValueError(f"null[{name!r}] must have {wanted}; got shape {array.shape}.")
    if np.isneginf(array).any() or (np.isinf(array).any() and not may_be_infinite):
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


def refuse_edge(
    null: Null, test: str, other: str = "likelihood_ratio_test", *, refused: bool = True
) -> None:
    """Raise for a null at infinity, where not every test exists."""
    if null.on_edge and refused:
        raise ValueError(
            f"{test} does not exist for a null at infinity, where the parameter has no standard "
            f"error; use {other}."
        )


def check_parameter_space(family: Family, null: Mapping[str, np.ndarray]) -> None:
    """Raise a ValueError for values outside, or on the edge of, the parameter space.

    On the edge the statistics are not chi-square. Infinity, where a parameter may be infinite, is
    let through: its law is known (see `likelihood_ratio_test`).
    """
    for parameter in family.parameters:
        value = null[parameter.name]
        outside = parameter.on_boundary(value)  # false for NaN
        if parameter.may_be_infinite:
            outside &= ~np.isposinf(value)
        if outside.any():
            got = value[outside][0]
            edge = (
                " On that edge the model is not regular (its support or its scores degenerate), "
                "and no test statistic has a known law there."
                if got in (parameter.low, parameter.high)
                else ""
            )
            if family.name == "von_mises" and got == 0:
                edge = " Uniform angles: use score_test or likelihood_ratio_test, mu being free."
            raise ValueError(
                f"null[{parameter.name!r}] must be {parameter.describe_space()} for the "
                f"{family.name} family; got {got:g}.{edge}"
            )
        if value.ndim == 2:  # the one kind of matrix among parameters
            check_covariance(parameter.name, value)
