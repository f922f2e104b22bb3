"""Finds synthetic rows that repeat or nearly repeat real ones, and what chance would give."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from skgm.tables._coded import Tables, distance_codes, thinned

__all__ = ["Copies", "Nearest", "find_copies", "nearest_records"]

_SOME_ROWS, _MOST_COPIES = 300, 300  # rows that are compared with all real ones
_UNLIKELY = 0.01  # synthetic rows that repeat a row by chance
_SAME = 1e-7  # chance that two numbers of full precision agree
_NEAREST_ROWS = 5000


@dataclass(frozen=True)
class Copies:
    """Synthetic rows that equal a real row in every column.

    Attributes
    ----------
    n_exact : int
        Their number.
    share, low, high : float
        Their share of the synthetic rows, with its binomial interval.
    expected : float
        Number that chance would give, from the rows that real rows repeat among themselves.
    hidden : int
        So many copies more than expected would not be told from chance.
    pvalue : float
        Of as many or more by chance.
    rows : tuple of int
        The first of them, by position.
    sources : tuple of int
        The real row that each repeats first.
    repeated, repeated_real : float
        Share of the rows of each table that equal an earlier one, of equally many rows.
    repeated_pvalue : float
        Of the first share, were both alike.
    """

    n_exact: int
    share: float
    low: float
    high: float
    expected: float
    hidden: int
    pvalue: float
    rows: tuple[int, ...]
    sources: tuple[int, ...]
    repeated: float = 0.0
    repeated_real: float = 0.0
    repeated_pvalue: float = 1.0

    def by_chance(self) -> str:
        """Return in words what chance gives, and how many copies more it would hide.

        Returns
        -------
        words : str
        """
        words = f"by chance about {self.expected:.3g}"
        return f"{words}, which would hide up to {self.hidden} more" if self.hidden else words


@dataclass(frozen=True)
class Nearest:
    """Whether synthetic rows are nearer to training rows than to rows held out.

    Attributes
    ----------
    share, low, high : float
        Share of the synthetic rows whose nearest real row is a training row, out of equally many
        training and held-out rows; ties count half. 0.5: no row is given away. With its binomial
        interval, where rows with the same nearest real row count as a cluster.
    pvalue : float
        One-sided, of a share of one half.
    n_rows, n_real : int
        Synthetic rows, and rows of either kind.
    near, near_expected : float
        Share of the synthetic rows that are very near to a training row, and that of held-out rows:
        nearer than all of them, or as near as one in a hundred.
    near_pvalue : float
        Of as many such rows.
    """

    share: float
    low: float
    high: float
    pvalue: float
    n_rows: int
    n_real: int
    near: float
    near_expected: float
    near_pvalue: float


def find_copies(tables: Tables, level: float, most: int = 20) -> Copies:
    """Count the synthetic rows that equal a real row, and what chance would give."""
    keys = _keys(tables.real, tables.synthetic)
    real, drawn = keys[: len(tables.real)], keys[len(tables.real) :]
    value, first, count = np.unique(real, return_index=True, return_counts=True)
    at = np.minimum(np.searchsorted(value, drawn), len(value) - 1)
    copied = np.flatnonzero(value[at] == drawn)
    n, m = len(real), len(drawn)
    expected, pvalue = _chance(tables, copied, count, n, m)
    low, high = stats.binomtest(len(copied), m).proportion_ci(level, "wilson")
    shown, size = copied[:most], min(n, m)
    again = [size - len(np.unique(part[:: len(part) // size][:size])) for part in (drawn, real)]
    table = [[count, size - count] for count in again]
    return Copies(
        n_exact=len(copied),
        share=len(copied) / m,
        low=float(low),
        high=float(high),
        expected=expected,
        # the error of a difference of two counts, among m rows and (scaled) among n
        hidden=int(stats.norm.isf(_UNLIKELY) * np.sqrt(expected * (1 + m / n))),
        pvalue=pvalue,
        rows=tuple(map(int, shown)),
        sources=tuple(int(first[at[i]]) for i in shown),
        repeated=again[0] / size,
        repeated_real=again[1] / size,
        repeated_pvalue=float(stats.fisher_exact(table, alternative="greater")[1]),
    )


def _keys(*tables: np.ndarray) -> np.ndarray:
    """Return a number for each row, equal where all values are (and holes stand together)."""
    rows = np.ascontiguousarray(np.vstack(tables)) + 0.0  # -0.0 equals 0.0
    rows[np.isnan(rows)] = np.inf  # no value is infinite
    whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return np.asarray(np.unique(whole, return_inverse=True)[1]).ravel()


def _chance(
    tables: Tables, copied: np.ndarray, count: np.ndarray, n: int, m: int
) -> tuple[float, float]:
    """Return how many synthetic rows would repeat a real row by chance, and the p-value.

    Were all rows exchangeable, a synthetic row would repeat one of the n real rows about as often
    as a real row repeats one of the others. Rows that hardly any real row resembles are counted by
    themselves; and a row with a number of full precision that stands once in the real table repeats
    nothing by chance.
    """
    repeated = int(count[count > 1].sum())
    expected = m * repeated / n
    if not len(copied):
        return expected, 1.0
    table = [[len(copied), m - len(copied)], [repeated, n - repeated]]
    pvalue = float(stats.fisher_exact(table, alternative="greater")[1])
    pvalue = min(pvalue, _unlikely_copies(tables, copied))
    unique = _unrepeatable(tables, copied)
    if len(unique):
        bound = n * m * float((_SAME**unique).max())
        pvalue = min(pvalue, float(stats.poisson.sf(len(unique) - 1, bound)))
    return expected, min(3 * pvalue, 1.0)  # the least of three


def _unlikely_copies(tables: Tables, copied: np.ndarray) -> float:
    """Return the p-value of as many copies of rows that are unlikely to be repeated by chance.

    Their number is of Poisson's law. Its mean is the sum of the chances of such real rows, three
    times over since these are extrapolated, or one more than such real rows repeat others if that
    is more.
    """
    real, drawn = tables.real, tables.synthetic
    n, m = len(real), len(drawn)
    some = real[:: max(1, n // _SOME_ROWS)]
    chance = _chances(some, real) * m / n
    unlikely = chance < _UNLIKELY
    mean = 3 * float(chance[unlikely].sum()) * n / len(some)
    keys = _keys(real)
    own = real[np.flatnonzero(np.bincount(keys)[keys] > 1)[:_MOST_COPIES]]
    own_unlikely = int((_chances(own, real) * m / n < _UNLIKELY).sum())
    mean = max(mean, (own_unlikely + 1) * m / n)
    chosen = drawn[copied[:_MOST_COPIES]]
    observed = int((_chances(chosen, real) * m / n < _UNLIKELY).sum())
    return float(stats.poisson.sf(observed - 1, mean)) if observed else 1.0


def _chances(rows: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Return how many real rows would equal each row, from those that agree in part of the columns.

    Their number falls at least as fast beyond the last count of five as before it, if its logarithm
    is concave in the number of columns that agree.
    """
    d = rows.shape[1]
    found = np.empty(len(rows))
    holes = np.isnan(real)
    for i, row in enumerate(rows):
        agree = ((real == row) | (holes & np.isnan(row))).sum(axis=1)
        agree = agree[agree < d]  # not the row itself and its copies
        at_least = np.cumsum(np.bincount(agree, minlength=d + 1)[::-1])[::-1].astype(float)
        last = int(np.flatnonzero(at_least >= 5)[-1]) if at_least[0] >= 5 else 0
        before = at_least[last - 1] if last else max(at_least[0], 1.0)
        ratio = at_least[last] / before if last else (at_least[min(1, d)] + 1) / (before + 1)
        found[i] = max(at_least[last], 1.0) * ratio ** (d - last)
    return found


def _unrepeatable(tables: Tables, copied: np.ndarray) -> np.ndarray:
    """Return, for rows with numbers of full precision that real rows have once, how many."""
    numbers = np.zeros(len(copied), dtype=np.intp)
    for j, column in enumerate(tables.columns):
        x = tables.real[:, j]
        if column.is_category or column.step:
            continue
        value, count = np.unique(x[~np.isnan(x)], return_counts=True)
        if len(value):
            numbers += np.isin(tables.synthetic[copied, j], value[count == 1])
    return numbers[numbers > 0]


def nearest_records(tables: Tables, level: float, rng: np.random.Generator) -> Nearest | None:
    """Compare the distances of synthetic rows to training and to held-out rows."""
    if tables.holdout is None:
        return None
    size = min(len(tables.real), len(tables.holdout), _NEAREST_ROWS)
    train, held_out = (thinned(part, size, rng) for part in (tables.real, tables.holdout))
    drawn = thinned(tables.synthetic, _NEAREST_ROWS, rng)
    base = np.vstack(
        [train, held_out, drawn]
    )  # all three: places of its own rows are spread evenly
    points = distance_codes(tables.columns, base, train, held_out, drawn)
    to_train, to_held_out = (_distance(points[2], points[i]) for i in (0, 1))
    win = np.where(np.abs(to_train - to_held_out) <= 1e-9, 0.5, to_train < to_held_out)
    n = len(drawn)
    share = float(win.mean())
    spread = float(np.sqrt(_variance(points)))
    alone = max(round(1 / (4 * spread**2)), 1)  # independent rows that would be as informative
    low, high = stats.binomtest(round(share * alone), alone).proportion_ci(level, "wilson")
    known = np.sort(_distance(points[1], points[0]))
    least, near, few = _near_copies(to_train, known)
    return Nearest(
        share=share,
        low=float(low),
        high=float(high),
        pvalue=float(stats.norm.sf((share - 0.5) / spread)),
        n_rows=n,
        n_real=size,
        near=near / n,
        near_expected=few / len(known),
        near_pvalue=least,
    )


def _near_copies(to_train: np.ndarray, known: np.ndarray) -> tuple[float, int, int]:
    """Return p-value and counts of synthetic and held-out rows that lie very near to training rows.

    "Very near" is nearer than every held-out row, or as near as one in a hundred of them: the one
    with the smaller p-value, which is doubled.
    """
    end = known[max(len(known) // 100, 1) - 1]
    nearest, usual = int((to_train < known[0]).sum()), int((to_train <= end).sum())
    found = []
    for near, few in ((nearest, 0), (usual, int((known <= end).sum()))):
        table = [[near, len(to_train) - near], [few, len(known) - few]]
        found.append((2 * float(stats.fisher_exact(table, alternative="greater")[1]), near, few))
    least, near, few = min(found)
    return min(least, 1.0), near, few


def _variance(points: Any) -> float:
    """Return the variance of the share: rows whose nearest real row is the same vote together."""
    from sklearn.neighbors import NearestNeighbors

    train, held_out, drawn = points
    tree = NearestNeighbors(n_neighbors=1).fit(np.vstack([train, held_out]))
    together = np.bincount(tree.kneighbors(drawn, return_distance=False)[:, 0])
    return float((together.astype(np.float64) ** 2).sum()) / (4 * len(drawn) ** 2)


def _distance(rows: np.ndarray, to: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    return np.asarray(NearestNeighbors(n_neighbors=1).fit(to).kneighbors(rows)[0][:, 0])
