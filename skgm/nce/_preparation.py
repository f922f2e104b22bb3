"""Prepares training rows: carries out weights, and finds constant columns and rounded values."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import LinAlgWarning

from skgm._numerics.epochs import bounded_repetitions
from skgm._warnings import warn_user
from skgm.tables._margins import repeated_values
from skgm.tables._reader import TableReader

__all__ = [
    "LatticeReport",
    "Prepared",
    "check_no_degenerate_columns",
    "dependent_columns",
    "dequantize",
    "duplicated_columns",
    "inspect_lattice",
    "lattice_step",
    "needs_chain",
    "point_masses",
    "prepare_rows",
    "repeat_rows",
    "warn_lattice",
]


# Rounded and repeated rows inflate the likelihood of any flexible density.

MAX_UNIQUE = 0.5  # share of unique values at and below which a column counts as rounded
ON_LATTICE = 0.9  # share of values that must be multiples of the step
MAX_DUPLICATES = 0.01  # share of rows that repeat another
MAX_STEPS = 1000  # tried per column, widest first
MIN_ROWS = 20  # fewer say nothing


@dataclass(frozen=True)
class LatticeReport:
    """How discrete a table is.

    Attributes
    ----------
    unique_share : ndarray of shape (d,)
        Share of values of each column that are different from those before.
    step : ndarray of shape (d,)
        Width of the lattice that a column is rounded to; 0 for a column that is not.
    duplicate_share : float
        Share of rows that repeat an earlier row.
    """

    unique_share: np.ndarray
    step: np.ndarray
    duplicate_share: float

    @property
    def suspicious(self) -> bool:
        """Whether the likelihood of a free density would be inflated."""
        return bool(self.step.any()) or self.duplicate_share > MAX_DUPLICATES


def inspect_lattice(X: np.ndarray) -> LatticeReport:
    """Report which columns of X, (n, d), are rounded, and how many rows repeat others.

    NaN are holes.
    """
    n = len(X)
    columns = [column[~np.isnan(column)] for column in X.T]
    unique_share = np.array([len(np.unique(x)) / max(len(x), 1) for x in columns])
    if n < MIN_ROWS:
        return LatticeReport(unique_share, np.zeros(X.shape[1]), 0.0)
    rounded = unique_share <= MAX_UNIQUE
    step = np.array([lattice_step(x) if yes else 0.0 for x, yes in zip(columns, rounded)])
    duplicates = 1 - len(np.unique(X, axis=0)) / n
    return LatticeReport(unique_share, step, duplicates)


def lattice_step(x: np.ndarray) -> float:
    """Return the widest step of which nine tenths of the values are multiples, or 0.

    The widest, not the smallest gap: a few values with more digits than the others (9.5333 among
    tenths) must not hide the lattice. Multiples are counted from the most frequent value, which
    does not count itself: a spike at zero is no lattice.
    """
    values, counts = np.unique(x, return_counts=True)
    if len(values) < 2:
        return 0.0
    mode = int(np.argmax(counts))
    distance = np.delete(values, mode) - values[mode]
    counts = np.delete(counts, mode)
    gaps = np.sort(np.diff(values))
    distinct = np.append(np.diff(gaps) > 1e-6 * gaps[1:], True)
    for step in gaps[distinct][::-1][:MAX_STEPS]:
        place = distance / step
        if counts[np.abs(place - np.round(place)) < 1e-3].sum() >= ON_LATTICE * counts.sum():
            return float(step)
    return 0.0


def dequantize(X: np.ndarray, report: LatticeReport, rng: np.random.Generator) -> np.ndarray:
    """Spread every rounded value evenly over its cell: plus uniform noise of one step."""
    return X + report.step * (rng.uniform(size=X.shape) - 0.5)


def warn_lattice(report: LatticeReport, names: list[str]) -> None:
    """Warn of rounded columns and repeated rows, and say what they do to a likelihood."""
    if not report.suspicious:
        return
    found = []
    if report.step.any():
        j = int(np.argmin(np.where(report.step > 0, report.unique_share, np.inf)))
        found.append(
            f"{np.count_nonzero(report.step)} column(s) hold rounded values (in {names[j]!r} only "
            f"{report.unique_share[j]:.1%} of the values are unique; step {report.step[j]:.3g})"
        )
    if report.duplicate_share > MAX_DUPLICATES:
        found.append(f"{report.duplicate_share:.1%} of the rows repeat an earlier row")
    warn_user(
        f"{' and '.join(found)}. A density can rise without limit at values that repeat, so its "
        "likelihood is inflated and cannot be compared with that of a smoother model. Drop "
        "repeated rows; lattice='dequantize' spreads each rounded value over its cell; "
        "lattice='ignore' silences this.",
        UserWarning,
    )


def _warn_of_point_masses(X: np.ndarray, report: LatticeReport, names: list[str]) -> None:
    spikes = [j for j in np.flatnonzero(report.step == 0) if point_masses(X[:, j])]
    if spikes:
        value, count = np.unique(X[:, spikes[0]], return_counts=True)
        warn_user(
            f"Column {names[spikes[0]]!r} holds {value[np.argmax(count)]:g} in "
            f"{count.max() / len(X):.1%} of the rows: a point mass, at which a density can rise "
            "without limit. A classifier with noise='auto' or 'chain' gives it a probability; "
            "lattice='ignore' silences this.",
            UserWarning,
        )


def point_masses(x: np.ndarray) -> bool:
    """Tell whether one of the numbers of a column stands in too many rows for a density."""
    x = x[~np.isnan(x)]
    if len(x) < MIN_ROWS:
        return False
    return bool(repeated_values(np.unique(x, return_counts=True)[1].astype(np.float64)).any())


def needs_chain(reader: TableReader, coded: np.ndarray, lattice: str) -> bool:
    """Tell whether a table without holes has columns that are no smooth numbers.

    Zeros and ones alone are coins, which have noise of their own. Rounded numbers alone are left
    to `lattice`; spread out, they have no point masses.
    """
    if not reader.is_real:
        bits = [
            about["kind"] == "integer" or about.get("values") == [False, True]
            for about in reader.columns
        ]
        return not (all(bits) and ((coded == 0) | (coded == 1)).all())
    return any(
        point_masses(x) and not (lattice == "dequantize" and lattice_step(x) > 0) for x in coded.T
    )


def duplicated_columns(X: np.ndarray) -> tuple[int, int] | None:
    """Return a pair of columns that are equal up to scale and shift, or None."""
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    correlation = np.abs(Z.T @ Z) / len(Z)
    pairs = np.argwhere(np.triu(correlation > 1 - 1e-10, 1))
    return (int(pairs[0, 0]), int(pairs[0, 1])) if len(pairs) else None


def dependent_columns(X: np.ndarray) -> list[int]:
    """Return columns of which one is a linear combination of the others, or none.

    Of more rows than columns: fewer always lie in a plane.
    """
    if len(X) <= X.shape[1] + 1:
        return []
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    values, vectors = np.linalg.eigh(Z.T @ Z / len(Z))
    if values[0] > 1e-10:
        return []
    loading = np.abs(vectors[:, 0])
    return np.flatnonzero(loading > 1e-3 * loading.max()).tolist()


class Prepared(NamedTuple):
    """Rows ready for estimation.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        Float64.
    weight : ndarray of shape (n,) or None
        Positive; None where all are one.
    lattice : LatticeReport or None
        None for tables of zeros and ones.
    columns : list of dict or None
        Descriptions of the columns of a coded table of several kinds; None for numbers alone.
    in_chain : ndarray of shape (d,) or None
        Which of these columns are no smooth numbers.
    """

    X: np.ndarray
    weight: np.ndarray | None
    lattice: LatticeReport | None
    columns: list[dict[str, Any]] | None = None
    in_chain: np.ndarray | None = None

    @property
    def categories(self) -> np.ndarray | None:
        """Which columns are categories, (d,); None where none is."""
        found = np.array([about["kind"] == "category" for about in self.columns or ()], dtype=bool)
        return found if found.any() else None


def prepare_rows(
    table: np.ndarray,
    weight: np.ndarray | None,
    names: list[str],
    *,
    lattice: str,
    discrete: bool,
    rng: np.random.Generator,
) -> Prepared:
    """Drop rows of weight zero, repeat rows of whole weight, and treat rounded columns."""
    X = table.astype(np.float64)
    if weight is not None:
        X, weight = X[weight > 0], weight[weight > 0]
    if len(X) < 2:
        raise ValueError(
            f"Found {len(X)} sample(s) with positive weight while a minimum of 2 is required."
        )
    if discrete:
        return Prepared(*repeat_rows(X, weight), None)
    check_no_degenerate_columns(X, names)
    report = inspect_lattice(X)
    if lattice == "warn":
        warn_lattice(report, names)
        _warn_of_point_masses(X, report, names)
    elif lattice == "dequantize":
        X = dequantize(X, report, rng)
    _warn_of_singular_columns(X, names)
    return Prepared(*repeat_rows(X, weight), report)


def repeat_rows(X: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn whole-number weights into repetitions, where these are few; others stay as they are."""
    if weight is None:
        return X, None
    if (weight == np.round(weight)).all() and bounded_repetitions(weight) is weight:
        return np.repeat(X, weight.astype(np.intp), axis=0), None
    return X, weight


def check_no_degenerate_columns(X: np.ndarray, names: list[str]) -> None:
    """Raise a ValueError that names a column that is constant or whose squares overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        spread = X.std(axis=0)
    constant = np.ptp(X, axis=0) == 0
    extreme = ~np.isfinite(spread) | (spread > 1e150) | (~constant & (spread == 0))
    if constant.any():
        j = int(np.argmax(constant))
        raise ValueError(
            f"Column {names[j]!r} is constant ({X[0, j]:g}), so it has no density. Drop it "
            "(for example with sklearn.feature_selection.VarianceThreshold)."
        )
    if extreme.any():
        j = int(np.argmax(extreme))
        how = "underflows" if spread[j] == 0 else "overflows"
        raise ValueError(
            f"The variance of column {names[j]!r} {how}. Rescale the columns before fitting."
        )


def _warn_of_singular_columns(X: np.ndarray, names: list[str]) -> None:
    twins = duplicated_columns(X)
    dependent = dependent_columns(X) if twins is None else []
    if twins is not None:
        one, other = (names[j] for j in twins)
        found, cure = f"{one!r} and {other!r} are equal up to scale and shift", "Drop one."
    elif dependent:
        shown = ", ".join(repr(names[j]) for j in dependent[:5])
        more = f" and {len(dependent) - 5} more" if len(dependent) > 5 else ""
        found, cure = f"{shown}{more} determine one another linearly", "Drop one of them."
    else:
        return
    warn_user(
        f"Columns {found}: they have no joint density, and the likelihood depends on the ridge "
        f"that replaces it. {cure}",
        LinAlgWarning,
    )
