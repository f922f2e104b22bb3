"""Compares the columns one by one: distances with intervals, holes, point masses and ends."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

from skgm.tables._coded import Column, Tables
from skgm.tables._margins import resolution

__all__ = ["Margin", "Special", "compare_margins", "special_values", "total_variation"]

_LEAST_EXPECTED = 5.0  # rows in a cell of a chi-square test
_LEAST_ATOM = (0.01, 5.0)  # share of the rows, and times the usual number of repetitions
_MOST_ATOMS = 5
_LEAST_VALUES = 10  # of a column that may be rounded
_TAIL = 0.1  # share of the values whose decay is measured
_CERTAIN = 1e-4  # p-value from which on a shift is put in words


@dataclass(frozen=True)
class Margin:
    """One column: the distance of its two distributions, and what is behind it.

    Attributes
    ----------
    column : object
        Its label.
    measure : {"KS", "TV"}
        Kolmogorov-Smirnov distance of numbers, total variation of categories.
    distance, low, high : float
        The distance of the two tables, and an interval for that of the distributions behind them.
    shape : float
        1 - distance, rounded as the libraries that publish this score do.
    pvalue : float
        Of the hypothesis that both tables come from one distribution.
    lost, new : tuple of (str, float)
        Categories of the real rows that synthetic rows lack beyond chance, and the reverse, with
        their shares.
    lost_pvalue : float
        Of the lost categories, for as many as the column has.
    cause : str
        How the distributions differ, in words: in place, in spread, or in one category.
    """

    column: Any
    measure: str
    distance: float
    low: float
    high: float
    shape: float
    pvalue: float
    lost: tuple[tuple[str, float], ...] = ()
    new: tuple[tuple[str, float], ...] = ()
    lost_pvalue: float = 1.0
    cause: str = ""


@dataclass(frozen=True)
class Special:
    """A share that real and synthetic rows should have in common.

    `kind` is "holes", "point mass", "above the largest", "below the smallest", "decimals" or "fewer
    decimals".
    """

    column: Any
    kind: str
    value: str
    real: float
    synthetic: float
    low: float
    high: float
    pvalue: float


def compare_margins(tables: Tables, level: float) -> list[Margin]:
    """Return a Margin for each shared column that has values in both tables."""
    found = []
    for j, column in enumerate(tables.columns):
        x, z = (part[~np.isnan(part[:, j]), j] for part in (tables.real, tables.synthetic))
        if not len(x) or not len(z):
            continue
        compare = _categories if column.is_category else _numbers
        found.append(compare(column, x, z, level))
    return found


def _numbers(column: Column, x: np.ndarray, z: np.ndarray, level: float) -> Margin:
    """Return the Kolmogorov-Smirnov distance with the interval of a uniform band.

    The distance of the tables misses that of the distributions by no more than the largest error
    of the difference of the two empirical distribution functions, of Kolmogorov's law in the
    limit, and of less where values repeat. The p-value is that of three tests, of the distance and
    of ranks: in the pooled column, and of the distance from its median.
    """
    distance = float(stats.ks_2samp(x, z, method="asymp").statistic)
    # sdmetrics rounds at 15 decimals, which large numbers do not have
    coarse = [
        np.where(np.abs(part) < 1, np.round(np.clip(part, -1, 1), 15), part) for part in (x, z)
    ]
    published = stats.ks_2samp(*coarse, method="asymp").statistic
    spread = np.sqrt(1 / len(x) + 1 / len(z))
    band = float(special.kolmogi(1 - level) * spread)
    shift, width, cause = _differing(column, x, z)
    pvalue = 3 * min(float(special.kolmogorov(distance / spread)), shift, width)
    return Margin(
        column=column.name,
        measure="KS",
        distance=distance,
        low=max(distance - band, 0.0),
        high=min(distance + band, 1.0),
        shape=1 - float(published),
        pvalue=min(pvalue, 1.0),
        cause=cause,
    )


def _differing(column: Column, x: np.ndarray, z: np.ndarray) -> tuple[float, float, str]:
    """Return the p-values of place and of spread, and what differs by much, in words."""
    middle = np.median(np.concatenate([x, z]))
    pairs = (x, z), (np.abs(x - middle), np.abs(z - middle))
    shift, width = (
        1.0
        if np.ptp(np.concatenate(pair)) == 0
        else float(stats.mannwhitneyu(*pair, method="asymptotic").pvalue)
        for pair in pairs
    )
    low, high = (np.quantile(part, [0.25, 0.75]) for part in (x, z))
    quartiles = np.ptp(low), np.ptp(high)
    medians = float(np.median(x)), float(np.median(z))
    told = []
    if shift < _CERTAIN and abs(medians[1] - medians[0]) > 0.25 * quartiles[0]:
        words = [column.written(value) for value in medians]
        told.append(f"its median is {words[1]}, that of the real rows {words[0]}")
    if width < _CERTAIN and min(quartiles) > 0 and abs(np.log(quartiles[1] / quartiles[0])) > 0.1:
        told.append(
            f"its middle half is {quartiles[1] / quartiles[0]:.2f} times as wide as that of the "
            "real rows"
        )
    if np.ptp(z) == 0 < np.ptp(x):
        told = [f"it is always {column.written(float(z[0]))}"]
    return shift, width, " and ".join(told)


def _categories(column: Column, x: np.ndarray, z: np.ndarray, level: float) -> Margin:
    k = len(column.values)
    real, drawn = (np.bincount(part.astype(np.intp), minlength=k) for part in (x, z))
    distance, low, high = total_variation(real, drawn, level)
    lost_pvalue, lost = _lost(column, real, drawn)
    new_pvalue, new = _lost(column, drawn, real)
    return Margin(
        column=column.name,
        measure="TV",
        distance=distance,
        low=low,
        high=high,
        shape=1 - distance,
        pvalue=min(_chi_square(real, drawn), 1.0),
        lost=lost,
        new=new,
        lost_pvalue=min(lost_pvalue, new_pvalue),
        cause=_most_changed(column, real, drawn),
    )


def _most_changed(column: Column, real: np.ndarray, drawn: np.ndarray) -> str:
    """Return in words the category whose share differs most, in units of its error."""
    p, q = real / real.sum(), drawn / drawn.sum()
    both = (real + drawn) / (real.sum() + drawn.sum())
    code = int(np.argmax(np.abs(q - p) / np.sqrt(np.maximum(both * (1 - both), 1e-12))))
    value = column.written(code)
    return f"{value} is {q[code]:.1%} of the synthetic rows and {p[code]:.1%} of the real ones"


def total_variation(
    real: np.ndarray, drawn: np.ndarray, level: float
) -> tuple[float, float, float]:
    """Return the total variation distance of two tables of counts, and its interval.

    The distance of the tables misses that of the distributions by half the sum of the absolute
    errors of the cells at most. That sum has a mean, a cell at a time by the normal law, and a
    spread of at most sqrt(1/n + 1/m) / 2, by the concentration of Gaussian measure.
    """
    n, m = real.sum(), drawn.sum()
    p, q = real / n, drawn / m
    distance = float(np.abs(p - q).sum() / 2)
    error = np.sqrt(p * (1 - p) / n + q * (1 - q) / m)
    mean = float(error.sum() / np.sqrt(2 * np.pi))
    band = mean + float(special.ndtri(level)) * 0.5 * np.sqrt(1 / n + 1 / m)
    return distance, max(distance - band, 0.0), min(distance + band, 1.0)


def _lost(
    column: Column, there: np.ndarray, gone: np.ndarray
) -> tuple[float, tuple[tuple[str, float], ...]]:
    """Return the categories of one table that the other lacks: p-value, words and shares.

    Were the tables exchangeable, all rows of a category would be of the first with hypergeometric
    probability; it is multiplied by the number of categories.
    """
    lost = np.flatnonzero((gone == 0) & (there > 0))
    if not len(lost):
        return 1.0, ()
    n, m = int(there.sum()), int(gone.sum())
    used = int(((gone > 0) | (there > 0)).sum())
    found = []
    for code in lost[np.argsort(-there[lost], kind="stable")]:
        pvalue = used * float(stats.hypergeom.pmf(0, n + m, int(there[code]), m))
        found.append((pvalue, (column.written(code), float(there[code] / n))))
    return min(found[0][0], 1.0), tuple(words for pvalue, words in found if pvalue < 0.01)


def _chi_square(real: np.ndarray, drawn: np.ndarray) -> float:
    """Return the p-value of homogeneity; cells with fewer than five expected rows are merged."""
    both = np.array([real, drawn], dtype=np.float64)
    both = both[:, both.sum(axis=0) > 0]
    smaller = both.sum(axis=1).min() / both.sum()
    rare = both.sum(axis=0) * smaller < _LEAST_EXPECTED
    merged = np.column_stack([both[:, ~rare], both[:, rare].sum(axis=1)])
    merged = merged[:, merged.sum(axis=0) > 0]
    if merged.shape[1] < 2:
        return 1.0
    return float(stats.chi2_contingency(merged, correction=False).pvalue)


def special_values(tables: Tables, level: float) -> list[Special]:
    """Return the shares of holes and point masses, and what lies beyond the real ends."""
    found = []
    for j, column in enumerate(tables.columns):
        x, z = tables.real[:, j], tables.synthetic[:, j]
        holes = np.isnan(x), np.isnan(z)
        if holes[0].any() or holes[1].any():
            found.append(_share(column.name, "holes", "", holes[0], holes[1], level))
        x, z = x[~holes[0]], z[~holes[1]]
        if column.is_category or not len(x) or not len(z):
            continue
        found += [
            _share(column.name, "point mass", column.written(atom), x == atom, z == atom, level)
            for atom in _atoms(x, column.step)
        ]
        found += _ends(column, x, z, level)
        if column.step:
            coarse, fine = (~_on_grid(part, column.step) for part in (x, z))
            if fine.any():
                step = f"{column.step:g}"
                found.append(_share(column.name, "decimals", step, coarse, fine, level))
        found += _coarser(column, x, z, level)
    return found


def _coarser(column: Column, x: np.ndarray, z: np.ndarray, level: float) -> list[Special]:
    """Return the share of real values between the multiples on which all synthetic ones lie."""
    step = resolution(z)
    if not step or step < 1.5 * column.step or len(np.unique(z)) < _LEAST_VALUES:
        return []
    between, none = (~_on_grid(part, step) for part in (x, z))
    return [_share(column.name, "fewer decimals", f"{step:g}", between, none, level)]


def _on_grid(values: np.ndarray, step: float) -> np.ndarray:
    scaled = values / step
    return np.asarray(np.abs(scaled - np.rint(scaled)) <= 1e-6 * np.maximum(np.abs(scaled), 1.0))


def _atoms(x: np.ndarray, step: float) -> list[float]:
    """Return values that many rows share: in a hundredth of them, and five times the usual.

    Of a column of few recorded values, none is special.
    """
    value, count = np.unique(x, return_counts=True)
    share, times = _LEAST_ATOM
    usual = len(x) / len(value) if step else 1.0
    many = (count >= share * len(x)) & (count >= times * usual) & (count >= 5)
    heaviest = np.flatnonzero(many)[np.argsort(-count[many], kind="stable")]
    return [float(v) for v in value[heaviest[:_MOST_ATOMS]]]


def _share(name: Any, kind: str, value: str, x: np.ndarray, z: np.ndarray, level: float) -> Special:
    """Return two shares, the interval of their difference (Newcombe), and Fisher's p-value."""
    a, n, b, m = int(x.sum()), len(x), int(z.sum()), len(z)
    low, high = _newcombe(b, m, a, n, level)
    pvalue = float(stats.fisher_exact([[a, n - a], [b, m - b]])[1])
    return Special(name, kind, value, a / n, b / m, low, high, pvalue)


def _newcombe(a: int, n: int, b: int, m: int, level: float) -> tuple[float, float]:
    """Return the interval of a/n - b/m from the score intervals of both (Newcombe's tenth)."""
    ends = [stats.binomtest(k, size).proportion_ci(level, "wilson") for k, size in ((a, n), (b, m))]
    p, q = a / n, b / m
    low = p - q - np.hypot(p - ends[0].low, ends[1].high - q)
    high = p - q + np.hypot(ends[0].high - p, q - ends[1].low)
    return float(low), float(high)


def _ends(column: Column, x: np.ndarray, z: np.ndarray, level: float) -> list[Special]:
    """Compare what lies beyond the ends of the real values, if chance does not explain it.

    Were all rows exchangeable, the k largest would all be synthetic with probability
    m (m - 1) ... / (n + m) ... ; likewise for the smallest, and for the real rows beyond the
    synthetic ones, where a tail is cut off.
    """
    found = []
    n, m = len(x), len(z)
    for kind, sign in (("above the largest", 1.0), ("below the smallest", -1.0)):
        over = int((sign * z > (sign * x).max()).sum())
        if over:
            odds = np.log((m - np.arange(over)) / (n + m - np.arange(over)))
            pvalue = min(float(np.exp(odds.sum())), 2 * _far_out(sign * x, sign * z))
            edge = column.written(float(sign * (sign * x).max()))
            low, high = stats.binomtest(over, m).proportion_ci(level, "wilson")
            found.append(Special(column.name, kind, edge, 0.0, over / m, low, high, pvalue))
    return found


def _far_out(x: np.ndarray, z: np.ndarray) -> float:
    """Return the probability of a largest value as far out as that of z, by the tail of x.

    Beyond the largest real value the tail is taken for a power law, with the lower end of an
    interval of three standard errors for Hill's exponent.
    """
    middle = np.median(x)
    far = np.sort(x - middle)[-max(int(_TAIL * len(x)), 1) :]
    if len(far) < _LEAST_VALUES or far[0] <= 0 or far[-1] == far[0]:
        return 1.0
    decay = (1 - 3 / np.sqrt(len(far) + 9)) / np.mean(np.log(far / far[0]))
    times = (z.max() - middle) / far[-1]
    return float(1 / (1 + len(x) / len(z) * times**decay))
