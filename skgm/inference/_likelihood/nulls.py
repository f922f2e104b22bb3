"""Null hypotheses: from what the user writes to arrays with NaN for what is left free."""

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skgm.inference._results import parameter_labels

if TYPE_CHECKING:  # the families stand above the likelihood
    from skgm.inference.families._base import Family

__all__ = [
    "Null",
    "Restriction",
    "check_covariance",
    "check_off_edge",
    "check_parameter_space",
    "did_you_mean",
    "flat_information",
    "flat_scores",
    "flat_values",
    "linear_restriction",
    "parse_null",
    "read_equations",
    "read_null",
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
        flat = self.flat
        fixed = np.flatnonzero(~np.isnan(flat))
        matrix = np.zeros((len(fixed), len(flat)))
        matrix[np.arange(len(fixed)), fixed] = 1.0
        return matrix, flat[fixed]


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
    null : mapping, str or (R, q)
        Values by parameter, equations between them, or a matrix and a vector (or number) for
        R theta = q, theta being the parameters in the order of `shapes`, of a symmetric matrix the
        lower triangle by rows.
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
    if isinstance(null, Mapping):
        return Null(dict(null), parse_null(null, shapes, aliases, endless))
    free = {name: np.full(shape, np.nan) for name, shape in shapes.items()}
    labels = flat_labels(free, columns)
    if isinstance(null, list) and null and all(isinstance(part, str) for part in null):
        null = ", ".join(null)
    if isinstance(null, str):
        null = read_equations(null, list(shapes) if len(shapes) == len(labels) else labels)
        if isinstance(null, Mapping) and not set(null) <= set(shapes):  # "shape[x0]"
            R = np.eye(len(labels))[[labels.index(label) for label in null]]
            null = (R, np.array(list(null.values())))
    if not isinstance(null, tuple):
        return Null(null, parse_null(null, shapes, aliases, endless))
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
            f"{{{next(iter(shapes))!r}: 1.0}}, equations as a string, or a tuple (R, q) for "
            f"R theta = q; got {null!r}."
        )
    null = {(aliases or {}).get(name, name): value for name, value in null.items()}
    unknown = [name for name in null if name not in shapes]
    if unknown:
        raise ValueError(
            f"null names unknown parameters {unknown}; this model has {', '.join(shapes)}."
            f"{did_you_mean(unknown[0], [*shapes, *(aliases or {})])}"
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


def check_off_edge(
    null: Null, test: str, other: str = "likelihood_ratio_test", *, refused: bool = True
) -> None:
    """Raise for a null at infinity, where not every test exists."""
    if null.on_edge and refused:
        raise ValueError(
            f"{test} does not exist for a null at infinity, where the parameter has no standard "
            f"error; use {other}."
        )


def check_parameter_space(family: "Family", null: Mapping[str, np.ndarray]) -> None:
    """Raise a ValueError for values outside, or on the edge of, the parameter space.

    On the edge the statistics are not chi-square. Infinity, where a parameter may be infinite, is
    let through: its law is known (see `likelihood_ratio_test`).
    """
    for parameter in family.parameters:
        value = null[parameter.name]
        outside = parameter.on_boundary(value)  # false for NaN
        if parameter.may_be_infinite:
            outside &= ~np.isposinf(value)
        if parameter.tested_low:
            outside &= value != parameter.low
        if outside.any():
            got = value[outside][0]
            edge = (
                " On that edge the model is not regular (its support or its scores degenerate), "
                "and no test statistic has a known law there."
                if got in (parameter.low, parameter.high)
                else ""
            )
            if got == parameter.low and parameter.at_low:
                edge = f" {parameter.at_low}"
            raise ValueError(
                f"null[{parameter.name!r}] must be {parameter.describe_space()} for the "
                f"{family.name} family; got {got:g}.{edge}"
            )
        if value.ndim == 2:  # the one kind of matrix among parameters
            check_covariance(parameter.name, value)


# Null hypotheses about a vector of parameters, as linear restrictions R theta = q.


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
    null : dict of str to float, str or (R, q)
        Values by parameter name; equations; or R of shape (r, k) or (k,) and q of shape (r,) or a
        number, for R theta = q.
    names : list of str
        The k parameters.

    Raises
    ------
    ValueError
        Unknown names, wrong shapes, values that are not finite numbers, no restriction, or
        restrictions that repeat or contradict each other.
    """
    if isinstance(null, list) and null and all(isinstance(part, str) for part in null):
        null = ", ".join(null)
    if isinstance(null, str):
        null = read_equations(null, names)
    if isinstance(null, Mapping):
        return _by_name(null, names)
    if isinstance(null, tuple) and len(null) == 2:
        return _by_matrix(*null, names)
    raise ValueError(
        f"null must be a dict from parameter names to values, such as {{{names[0]!r}: 0.0}}, a "
        f"tuple (R, q) for R theta = q, or a fitted restricted model; got {type(null).__name__}."
    )


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """Return a question that names the nearest of the known names; "" where none is near."""
    near = get_close_matches(str(name).lower(), list(known), n=1, cutoff=0.7)
    return f" Did you mean {near[0]!r}?" if near else ""


def read_equations(text: str, names: list[str]) -> Any:
    """Return a null hypothesis from equations such as "a = 1, (b - 2 * c) / 3 = a = 0, d".

    Parameters
    ----------
    text : str
        Equations between linear expressions of the parameters, separated by commas; an expression
        alone is zero.
    names : list of str
        The k parameters.

    Returns
    -------
    null : dict of str to float, or (R, q)

    Raises
    ------
    ValueError
        What is no such equation.
    """
    # names may hold any sign: others stand for them; longer ones first, as one may begin another
    any_name = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    whole = rf"(?<![\w.])(?:{any_name})(?!\w)"
    plain = re.sub(whole, lambda match: f" _{names.index(match[0])}_ ", text)
    rows = []
    for equation in plain.split(","):
        sides = [_linear(side, len(names)) for side in equation.split("=")]
        sides += [np.zeros(len(names) + 1)] if len(sides) == 1 else []
        if any(side is None for side in sides):
            words = re.findall(r"[^\W\d_]\w*", re.sub("_\\d+_", "", equation))
            raise ValueError(
                f'null must hold equations such as "{names[0]} = 1", of numbers and multiples '
                f"of {', '.join(names)}, separated by commas; got {text!r}."
                f"{did_you_mean(words[0], names) if words else ''}"
            )
        rows += [left - right for left, right in pairwise(sides)]
    R, q = np.array(rows)[:, :-1], -np.array(rows)[:, -1]
    if ((R != 0).sum(axis=1) == 1).all() and R.any(axis=0).sum() == len(R):
        entries = (R != 0).argmax(axis=1)
        return {names[j]: float(q[i] / R[i, j]) + 0.0 for i, j in enumerate(entries)}  # no -0
    return R, q


def _linear(text: str, k: int) -> Any:
    """Return the coefficients of k parameters and the constant of an expression; None if none."""

    def read(node: Any) -> np.ndarray:
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return node.value * constant
        if isinstance(node, ast.Name) and re.fullmatch(r"_\d+_", node.id):
            return np.eye(k + 1)[int(node.id[1:-1])]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            return read(node.operand) * (-1 if isinstance(node.op, ast.USub) else 1)
        if isinstance(node, ast.BinOp):
            left, right = read(node.left), read(node.right)
            numbers = [not side[:-1].any() for side in (left, right)]
            if isinstance(node.op, ast.Add | ast.Sub):
                return left + right * (1 if isinstance(node.op, ast.Add) else -1)
            if isinstance(node.op, ast.Mult) and any(numbers):
                return left * right[-1] if numbers[1] else left[-1] * right
            if isinstance(node.op, ast.Div) and numbers[1] and right[-1]:
                return left / right[-1]
        raise SyntaxError

    constant = np.eye(k + 1)[-1]
    try:
        return read(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError):  # ValueError: a null byte
        return None


def _by_name(null: Mapping[str, Any], names: list[str]) -> Restriction:
    unknown = [name for name in null if name not in names]
    if unknown:
        raise ValueError(
            f"null names unknown parameters {unknown}; this model has {', '.join(names)}."
            f"{did_you_mean(unknown[0], names)}"
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


# From named parameters to one flat vector, in the order of ``params_``.
#
# Columns of the first parameter come first, then those of the next; of a symmetric matrix, the
# lower triangle row by row, so that each free number stands once.


def flat_scores(family: "Family", X: np.ndarray, params: Any, statistics: Any = None) -> np.ndarray:
    """Return parameter scores (n, k): all columns of the first parameter, then of the next.

    Where rows do not say all (right censoring), they are those of the rows in the statistics.
    """
    if family.has_information:
        psi = family.score(X, params)
    else:
        psi = family.kept_scores(statistics, params)
    return psi if psi.ndim == 2 else np.swapaxes(psi, 1, 2).reshape(len(psi), -1)


def flat_information(
    family: "Family", params: Any, statistics: Any = None, *, model: bool = False
) -> np.ndarray:
    """Return the information per observation of the flat parameter vector, (k, k).

    Observed where `statistics` are given: a sandwich needs it, as its bread is right in a wrong
    model too (the two agree in exponential families). That of the model where `model` is true.
    """
    if statistics is None:
        information = family.information(params)
    elif model:
        information = family.model_information(statistics, params)
    else:
        information = family.observed_information(statistics, params)
    if information.ndim == 2:
        return information
    d, k, _ = information.shape
    flat = np.zeros((k, d, k, d))
    flat[:, np.arange(d), :, np.arange(d)] = information
    return flat.reshape(k * d, k * d)


def flat_values(params: Mapping[str, Any]) -> np.ndarray:
    """Return the parameters as one vector; of a symmetric matrix, the lower triangle by rows."""
    parts = []
    for value in params.values():
        array = np.asarray(value, dtype=np.float64)
        parts.append(array[np.tril_indices(len(array))] if array.ndim == 2 else np.ravel(array))
    return np.concatenate(parts)
