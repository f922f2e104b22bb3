"""Null hypotheses about a vector of parameters, as linear restrictions R theta = q."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Restriction", "linear_restriction"]


class Restriction(NamedTuple):
    """R (r, k), q (r,), and what the user wrote."""

    matrix: np.ndarray
    values: np.ndarray
    null: Mapping[str, Any]
    fixed_entries: np.ndarray | None = None  # where each row of R picks one parameter


def linear_restriction(null: Any, names: list[str]) -> Restriction:
    """Return the null as a matrix and a vector.

    Parameters
    ----------
    null : dict of str to float, or (R, q)
        Values by parameter name; or R of shape (r, k) or (k,) and q of shape (r,) or a number,
        for R theta = q.
    names : list of str
        The k parameters.

    Raises
    ------
    ValueError
        Unknown names, wrong shapes, values that are not finite numbers, no restriction, or
        restrictions that repeat or contradict each other.
    """
    if isinstance(null, Mapping):
        return _by_name(null, names)
    if isinstance(null, tuple) and len(null) == 2:
        return _by_matrix(*null, names)
    raise ValueError(
        f"null must be a dict from parameter names to values, such as {{{names[0]!r}: 0.0}}, a "
        f"tuple (R, q) for R theta = q, or a fitted restricted model; got {type(null).__name__}."
    )


def _by_name(null: Mapping[str, Any], names: list[str]) -> Restriction:
    unknown = [name for name in null if name not in names]
    if unknown:
        raise ValueError(
            f"null names unknown parameters {unknown}; this model has {', '.join(names)}."
        )
    if not null:
        raise ValueError("null restricts nothing: it is empty.")
    values = np.array([_number(name, value) for name, value in null.items()])
    entries = np.array([names.index(name) for name in null])
    return Restriction(np.eye(len(names))[entries], values, dict(null), entries)


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"null[{name!r}] must be a number; got {value!r}.") from error
    if not np.isfinite(number):
        raise ValueError(f"null[{name!r}] must be finite; got {number}.")
    return number


def _by_matrix(matrix: Any, values: Any, names: list[str]) -> Restriction:
    try:
        R = np.atleast_2d(np.asarray(matrix, dtype=np.float64))
        q = np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ValueError("null=(R, q) must hold a matrix and a vector of numbers.") from error
    if R.ndim != 2 or R.shape[1] != len(names) or len(R) == 0:
        raise ValueError(
            f"R of null=(R, q) must have one column per parameter ({len(names)}: "
            f"{', '.join(names)}); got shape {R.shape}."
        )
    q = np.full(len(R), q[0]) if q.shape == (1,) else q
    if q.shape != (len(R),):
        raise ValueError(
            f"q of null=(R, q) must have one entry per row of R ({len(R)}); got shape {q.shape}."
        )
    if not (np.isfinite(R).all() and np.isfinite(q).all()):
        raise ValueError("R and q of null=(R, q) must be finite.")
    size = np.abs(R).max(axis=0)
    scaled = R / np.where(size > 0, size, 1.0)
    length = np.linalg.norm(scaled, axis=1, keepdims=True)
    scaled = scaled / np.where(length > 0, length, 1.0)
    if np.linalg.matrix_rank(scaled) < len(R):
        raise ValueError(
            "The rows of R in null=(R, q) are linearly dependent: a restriction is empty, or "
            "repeats or contradicts the others. Drop it."
        )
    return Restriction(R, q, {"R": R, "q": q})
