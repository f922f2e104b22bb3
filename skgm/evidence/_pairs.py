"""Compares columns in pairs: correlations, contingency tables, and tests free of margins."""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from skgm.evidence._margins import total_variation
from skgm.tables._coded import Column, Tables, places, thinned

__all__ = ["Association", "Pair", "compare_associations", "compare_pairs"]

_MOST_LEVELS = 6  # categories of a column whose share of other columns' variation is compared
_LEAST_ROWS = 10  # rows of such a category, in either table
_MOST_ROWS = 5000
_GRAM_ROWS, _GRAM_COST = 500, 5e7
_MOST_CELLS = 200_000_000  # rows times pairs
_N_BINS = 10
_MOST_NAMED = 8
_WORTH_A_LOOK = 0.05  # p-value


@dataclass(frozen=True)
class Pair:
    """Two columns: how far their joint distributions are apart.

    Attributes
    ----------
    first, second : object
        Labels.
    measure : {"correlation", "contingency"}
        Pearson's, of two columns of numbers; else of a table of cells, where numbers are cut into
        ten bins of equal width.
    real, synthetic : float
        The correlations; NaN for contingency tables.
    distance, low, high : float
        Synthetic less real correlation, or total variation of the cells (in the bins of the real
        rows), and their intervals.
    trend : float
        The score that sdmetrics calls pair trend: 1 - |difference| / 2, or 1 - total variation
        with bins for each table by itself.
    """

    first: Any
    second: Any
    measure: str
    real: float
    synthetic: float
    distance: float
    low: float
    high: float
    trend: float


@dataclass(frozen=True)
class Association:
    """How one column goes with all the others, compared between the tables.

    Attributes
    ----------
    column : object
        Its label.
    pvalue : float
        Of equal correlations of its scores with those of all other columns.
    partner : object
        The column with which it differs most.
    real, synthetic : float
        The correlation of the pair of scores that differ most.
    scores : str
        What these scores are, in words.
    n_partners : int
        Columns whose correlation with this one differs at the one per cent level.
    """

    column: Any
    pvalue: float
    partner: Any
    real: float
    synthetic: float
    scores: str
    n_partners: int


def compare_pairs(tables: Tables, level: float, rng: np.random.Generator) -> list[Pair]:
    """Return a Pair for every two columns, on part of the rows where there are many pairs."""
    n_pairs = len(tables.columns) * (len(tables.columns) - 1) // 2
    most = max(_MOST_CELLS // max(n_pairs, 1), 1000)
    real, drawn = (thinned(part, most, rng) for part in (tables.real, tables.synthetic))
    tables = replace(tables, real=real, synthetic=drawn)
    binned = [_binned(column, *parts) for column, *parts in _columns(tables)]
    found = []
    for i, j in combinations(range(len(tables.columns)), 2):
        names: Any = tables.columns[i].name, tables.columns[j].name
        if tables.columns[i].is_category or tables.columns[j].is_category:
            found.append(_contingency(names, binned[i], binned[j], level))
        else:
            real, drawn = (part[:, [i, j]] for part in (tables.real, tables.synthetic))
            found.append(_correlation(names, real, drawn, level))
    return found


def _columns(tables: Tables) -> list[tuple[Column, np.ndarray, np.ndarray]]:
    return list(zip(tables.columns, tables.real.T, tables.synthetic.T))


@dataclass(frozen=True, eq=False)
class _Binned:
    """Codes of one column: real, synthetic in the bins of the real rows, synthetic in its own."""

    n_codes: int
    real: np.ndarray
    synthetic: np.ndarray
    own: np.ndarray


def _binned(column: Column, x: np.ndarray, z: np.ndarray) -> _Binned:
    if column.is_category:
        hole = len(column.values)
        real, drawn = (np.where(np.isnan(part), hole, part).astype(np.intp) for part in (x, z))
        return _Binned(hole + 1, real, drawn, drawn)
    real, edges = _digitized(x)
    drawn = real[:0] if edges is None else np.digitize(z, edges)
    return _Binned(_N_BINS + 2, real, drawn, _digitized(z)[0])


def _digitized(x: np.ndarray) -> tuple[np.ndarray, Any]:
    """Return bins as sdmetrics has them: holes stand in the last, beside the largest value."""
    known = x[~np.isnan(x)]
    if not len(known):
        return np.full(len(x), _N_BINS + 1), np.zeros(1)
    edges = np.histogram_bin_edges(known)
    return np.digitize(x, edges), edges


def _contingency(names: Any, first: _Binned, second: _Binned, level: float) -> Pair:
    def counted(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.bincount(a * second.n_codes + b, minlength=first.n_codes * second.n_codes)

    real = counted(first.real, second.real)
    distance, low, high = total_variation(real, counted(first.synthetic, second.synthetic), level)
    published = total_variation(real, counted(first.own, second.own), level)[0]
    return Pair(
        first=names[0],
        second=names[1],
        measure="contingency",
        real=np.nan,
        synthetic=np.nan,
        distance=distance,
        low=low,
        high=high,
        trend=1 - published,
    )


def _correlation(names: Any, real: np.ndarray, drawn: np.ndarray, level: float) -> Pair:
    """Return both Pearson correlations; the interval is that of their influence functions."""
    parts = [part[~np.isnan(part).any(axis=1)] for part in (real, drawn)]
    if min(map(len, parts)):  # so that squares neither overflow nor underflow
        size = np.maximum(np.abs(parts[0]).max(axis=0), np.abs(parts[1]).max(axis=0))
        parts = [part / np.where(size > 0, size, 1.0) for part in parts]
    if min(map(len, parts)) < 3 or any(np.ptp(part, axis=0).min() == 0 for part in parts):
        nothing = dict.fromkeys(("real", "synthetic", "distance", "low", "high", "trend"), np.nan)
        return Pair(names[0], names[1], "correlation", **nothing)
    found = [_with_error(*((part - part.mean(axis=0)) / part.std(axis=0)).T) for part in parts]
    (r, r_error), (s, s_error) = found
    half = stats.norm.isf((1 - level) / 2) * np.hypot(r_error, s_error)
    low, high = max(s - r - half, -2.0), min(s - r + half, 2.0)
    return Pair(
        first=names[0],
        second=names[1],
        measure="correlation",
        real=r,
        synthetic=s,
        distance=s - r,
        low=low,
        high=high,
        trend=1 - abs(s - r) / 2,
    )


def _with_error(u: np.ndarray, v: np.ndarray) -> tuple[float, float]:
    r = float(np.mean(u * v))
    return r, float(np.std(u * v - r / 2 * (u**2 + v**2)) / np.sqrt(len(u)))


# Associations beyond margins: correlations of scores. A number has two, its place among the values
# of both tables and the distance of that place from the middle; a category has one score for each
# of its frequent values, and a column with holes one for the hole. Where both tables have one law,
# that the places are estimated cancels in the difference of the correlations.


@dataclass(frozen=True, eq=False)
class _Scores:
    """Standardized scores of both tables, with the column and the words of each."""

    real: np.ndarray
    drawn: np.ndarray
    column: np.ndarray
    words: list[str]


def compare_associations(tables: Tables, rng: np.random.Generator) -> list[Association]:
    """Return an Association for each column that has scores, the least p-value first.

    Once a column is named, its pairs are left out for the next ones: a shuffled column is found
    once, not again with every other.
    """
    scores = _scores(tables, rng)
    if len(np.unique(scores.column)) < 2:
        return []
    correlations, errors = zip(*(_with_errors(part) for part in (scores.real, scores.drawn)))
    difference = correlations[1] - correlations[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        z = difference / np.hypot(*errors)
    same = scores.column[:, None] == scores.column
    z = np.where(same | ~np.isfinite(z), 0.0, z)
    left = list(np.unique(scores.column))
    found: list[Association] = []
    first = {j: _omnibus(scores, z, errors, correlations, j) for j in left}
    while len(left) > 1 and len(found) < _MOST_NAMED:
        within = np.isin(scores.column, left)
        kept = np.where(within, z, 0.0)
        # a column that was far from a fault with all its pairs is not tried again without some
        again = [j for j in left if len(left) < len(first) and first[j][0] <= _WORTH_A_LOOK]
        current = {j: first[j] for j in left}
        current |= {j: _omnibus(scores, kept, errors, correlations, j) for j in again}
        worst = min(left, key=lambda j: (current[j][0], -current[j][1]))
        found.append(_named(tables, scores, np.where(within, z, 0.0), correlations, worst, current))
        if current[worst][0] > 0.01:  # nothing is left to be explained
            break
        left.remove(worst)
    return found


def _scores(tables: Tables, rng: np.random.Generator) -> _Scores:
    real, drawn = (thinned(part, _MOST_ROWS, rng) for part in (tables.real, tables.synthetic))
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    place, words = [], []
    for j, column in enumerate(tables.columns):
        for name, *pair in _column_scores(column, real[:, j], drawn[:, j]):
            if min(np.std(part) for part in pair) > 0:
                parts.append(tuple((part - part.mean()) / part.std() for part in pair))
                place.append(j)
                words.append(name)
    if not parts:
        return _Scores(real[:, :0], drawn[:, :0], np.zeros(0, dtype=np.intp), [])
    stacked = [np.column_stack(side) for side in zip(*parts)]
    return _Scores(stacked[0], stacked[1], np.array(place), words)


def _column_scores(column: Column, x: np.ndarray, z: np.ndarray) -> Any:
    holes = np.isnan(x), np.isnan(z)
    if min(hole.sum() for hole in holes) >= _LEAST_ROWS and min((~h).sum() for h in holes) > 0:
        yield f"{column.name} missing", *(hole.astype(np.float64) for hole in holes)
    if column.is_category:
        counts = [np.bincount(part[~np.isnan(part)].astype(np.intp)) for part in (x, z)]
        size = min(map(len, counts))
        both = np.minimum(counts[0][:size], counts[1][:size])
        usual = np.argsort(-both, kind="stable")[:_MOST_LEVELS]
        for code in usual[both[usual] >= _LEAST_ROWS]:
            yield (
                f"{column.name} = {column.written(code)}",
                *((part == code).astype(np.float64) for part in (x, z)),
            )
        return
    if min((~hole).sum() for hole in holes) < _LEAST_ROWS:
        return
    known = np.sort(np.concatenate([part[~hole] for part, hole in zip((x, z), holes)]))
    ranks = [np.where(hole, 0.5, places(known, part)) for part, hole in zip((x, z), holes)]
    yield str(column.name), *ranks
    yield f"distance of {column.name} from its middle", *(np.abs(rank - 0.5) for rank in ranks)


def _with_errors(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the correlations of standardized scores and their standard errors, (k, k) each.

    The influence function of a correlation is u v - r (u^2 + v^2) / 2; its variance expands into
    products of powers of the scores, which are matrix products.
    """
    n = len(scores)
    square = scores**2
    r = scores.T @ scores / n
    mixed, cubic = square.T @ square / n, (square * scores).T @ scores / n
    fourth = np.diag(mixed)
    variance = mixed + r**2 / 4 * (fourth[:, None] + fourth + 2 * mixed) - r * (cubic + cubic.T)
    return r, np.sqrt(np.maximum(variance, 1e-4) / (n - 1))


def _omnibus(
    scores: _Scores, z: np.ndarray, errors: Any, correlations: Any, j: int
) -> tuple[float, float]:
    """Return the p-value of the sum of squared z of one column, and that sum.

    The sum is a mixture of chi-squares; its first two moments, from the influence functions of its
    terms, give a scaled chi-square.
    """
    own, others = np.where(scores.column == j)[0], np.where(z.any(axis=0))[0]
    pairs = np.array([(e, f) for e in own for f in others if z[e, f] != 0.0])
    if not len(pairs):
        return 1.0, 0.0
    first, second = pairs.T
    total = float((z[first, second] ** 2).sum())
    error = np.hypot(*errors)[first, second]
    most = int(np.clip(np.sqrt(_GRAM_COST / len(pairs)), 60, _GRAM_ROWS))
    rows = []  # whose cross products add up to the covariance of the z
    for part, correlation, own_error in zip((scores.real, scores.drawn), correlations, errors):
        some = part[:: max(1, len(part) // most)]
        u, v, r = some[:, first], some[:, second], correlation[first, second]
        influence = u * v - r / 2 * (u**2 + v**2)
        influence -= influence.mean(axis=0)
        spread = np.maximum(influence.std(axis=0), 1e-2) * np.sqrt(len(some))
        rows.append(influence / spread * (own_error[first, second] / error))
    stacked = np.vstack(rows)
    squares = float(((stacked @ stacked.T) ** 2).sum())
    squares = max(squares, float(len(pairs)))
    scale = squares / len(pairs)
    pvalue = float(stats.chi2.sf(total / scale, len(pairs) / scale))
    worst = float(np.abs(z[first, second]).max())
    df = min(len(scores.real), len(scores.drawn)) - 1
    single = 2 * len(pairs) * float(stats.t.sf(worst, df))
    return min(2 * min(pvalue, single), 1.0), total


def _named(
    tables: Tables, scores: _Scores, z: np.ndarray, correlations: Any, j: int, current: Any
) -> Association:
    own = np.where(scores.column == j)[0]
    e, f = np.unravel_index(np.argmax(np.abs(z[own])), z[own].shape)
    e = own[e]
    strong = np.abs(z[own]).max(axis=0) > stats.norm.isf(0.005 / len(z))
    return Association(
        column=tables.columns[j].name,
        pvalue=current[j][0],
        partner=tables.columns[scores.column[f]].name,
        real=float(correlations[0][e, f]),
        synthetic=float(correlations[1][e, f]),
        scores=f"{scores.words[e]} and {scores.words[f]}",
        n_partners=len(np.unique(scores.column[strong])),
    )
