"""Attacks on the rows a model was fitted to: membership, singling out, and guessing a column."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from skgm.evidence._joint import area
from skgm.tables._coded import Column, Tables, distance_codes, thinned

__all__ = [
    "Guess",
    "Membership",
    "RareValue",
    "infer_attributes",
    "membership",
    "rare_values",
    "single_out",
]

_FALSE_POSITIVES = 0.01
_RARE = 3  # rows of the training table that have a rare value
_PREDICATE_COLUMNS = 3
_TOLERANCE = 0.05  # of a guessed number, relative to the true one


@dataclass(frozen=True)
class Membership:
    """An attack that calls rows of high score training rows.

    Attributes
    ----------
    score : {"log-density", "likelihood ratio"}
        What is high for training rows: log p(x), or log p(x) less that of a refit without the row.
    auc, low, high : float
        Area under the ROC curve of training against held-out rows, with DeLong's interval. 0.5: no
        row is told.
    tpr, tpr_low, tpr_high : float
        Share of the training rows that are told where at most one in a hundred held-out rows is
        taken for one.
    pvalue : float
        One-sided, of an area of one half.
    n_train, n_holdout : int
        Rows that were scored.
    """

    score: str
    auc: float
    low: float
    high: float
    tpr: float
    tpr_low: float
    tpr_high: float
    pvalue: float
    n_train: int
    n_holdout: int


@dataclass(frozen=True)
class Guess:
    """An attack after anonymeter: how often it succeeds on training and on held-out rows.

    Attributes
    ----------
    attack : {"singling out, one column", "singling out, several columns", "attribute inference"}
        Which.
    column : object
        The guessed column, of attribute inference; else None.
    rate, control : float
        Shares of the guesses that are right about training rows and about held-out rows.
    risk, low, high : float
        (rate - control) / (1 - control): what only the training rows explain, with its interval.
    pvalue : float
        One-sided, of equal rates.
    n_attacks : int
        Guesses about either kind of rows.
    """

    attack: str
    column: Any
    rate: float
    control: float
    risk: float
    low: float
    high: float
    pvalue: float
    n_attacks: int


@dataclass(frozen=True)
class RareValue:
    """A category of few training rows, and of no held-out row, that synthetic rows repeat."""

    column: Any
    value: str
    n_train: int
    n_synthetic: int


def membership(name: str, train: np.ndarray, held_out: np.ndarray, level: float) -> Membership:
    """Return how well a score separates training from held-out rows."""
    auc, error = area(train, held_out)
    error = max(error, 0.5 / (len(train) + len(held_out)))
    half = stats.norm.isf((1 - level) / 2) * error
    ordered, n = np.sort(held_out)[::-1], len(held_out)
    at = int(_FALSE_POSITIVES * n)
    # the threshold is itself a quantile of few rows: its rank has a binomial law
    tail = (1 - level) / 4
    least, most = (int(stats.binom.ppf(q, n, _FALSE_POSITIVES)) for q in (tail, 1 - tail))
    told = [
        int((train > ordered[min(rank, n - 1)]).sum()) for rank in (at, max(least - 1, 0), most)
    ]
    ends = [
        stats.binomtest(k, len(train)).proportion_ci((1 + level) / 2, "wilson") for k in told[1:]
    ]
    return Membership(
        score=name,
        auc=auc,
        low=max(auc - half, 0.0),
        high=min(auc + half, 1.0),
        tpr=told[0] / len(train),
        tpr_low=float(ends[0].low),
        tpr_high=float(ends[1].high),
        pvalue=float(stats.norm.sf((auc - 0.5) / error)),
        n_train=len(train),
        n_holdout=n,
    )


def rare_values(tables: Tables) -> tuple[RareValue, ...]:
    """Return the rare categories that were copied out, the rarest first."""
    held_out: Any = tables.holdout
    found = []
    for j, column in enumerate(tables.columns):
        if not column.is_category:
            continue
        k = len(column.values)
        train, held, drawn = (
            np.bincount(part[~np.isnan(part[:, j]), j].astype(np.intp), minlength=k)
            for part in (tables.real, held_out, tables.synthetic)
        )
        copied = (train > 0) & (train <= _RARE) & (held == 0) & (drawn > 0)
        found += [
            RareValue(column.name, column.written(float(code)), int(train[code]), int(drawn[code]))
            for code in np.flatnonzero(copied)
        ]
    return tuple(sorted(found, key=lambda value: (value.n_train, -value.n_synthetic)))


def _guess(name: str, column: Any, right: Any, level: float) -> Guess:
    """Return rates and risk; the errors are those of Wilson's intervals, by the delta method."""
    (a, n), (c, m) = ((int(np.sum(part)), len(part)) for part in right)
    z2 = float(stats.norm.isf((1 - level) / 2)) ** 2
    (rate, error), (control, slip) = (
        ((k + z2 / 2) / (s + z2), np.sqrt(z2) / (s + z2) * np.sqrt(k * (s - k) / s + z2 / 4))
        for k, s in ((a, n), (c, m))
    )
    risk = (rate - control) / (1 - control)
    half = math.hypot(error / (1 - control), slip * (1 - rate) / (1 - control) ** 2)
    pvalue = float(stats.fisher_exact([[a, n - a], [c, m - c]], alternative="greater")[1])
    low, high = (min(max(end, 0.0), 1.0) for end in (risk - half, risk + half))
    return Guess(name, column, a / n, c / m, min(max(risk, 0.0), 1.0), low, high, pvalue, n)


def single_out(
    tables: Tables, n_attacks: int, level: float, rng: np.random.Generator
) -> Iterator[Guess]:
    """Yield how often a predicate that holds for one synthetic row holds for one real row."""
    held_out: Any = tables.holdout
    size = min(len(tables.real), len(held_out))
    train, control = (thinned(part, size, rng) for part in (tables.real, held_out))
    for name, make in (
        ("singling out, one column", _one_column),
        ("singling out, several columns", _several_columns),
    ):
        predicates: list[Predicate] = []  # different ones: equal guesses are one piece of evidence
        for _ in range(4 * n_attacks):
            if len(predicates) == n_attacks:
                break
            predicate = make(tables.columns, tables.synthetic, rng)
            if predicate is None or predicate in predicates:
                continue
            if _holds(predicate, tables.synthetic) == 1:
                predicates.append(predicate)
        if predicates:
            right = [[_holds(p, rows) == 1 for p in predicates] for rows in (train, control)]
            yield _guess(name, None, right, level)


Predicate = list[tuple[int, str, float]]


def _one_column(columns: tuple[Column, ...], rows: np.ndarray, rng: Any) -> Predicate | None:
    """Return a value that one synthetic row has alone, or an end of a column of numbers."""
    j = int(rng.integers(len(columns)))
    known = rows[~np.isnan(rows[:, j]), j]
    if not len(known):
        return None
    if not columns[j].is_category and rng.uniform() < 0.5:
        return [(j, "<=", float(known.min())) if rng.uniform() < 0.5 else (j, ">=", known.max())]
    value, count = np.unique(known, return_counts=True)
    alone = value[count == 1]
    return [(j, "==", float(rng.choice(alone)))] if len(alone) else None


def _several_columns(columns: tuple[Column, ...], rows: np.ndarray, rng: Any) -> Predicate | None:
    """Return a box with a synthetic row at its corner, in up to three columns."""
    chosen = np.sort(rng.permutation(len(columns))[:_PREDICATE_COLUMNS])
    row = rows[rng.integers(len(rows))]
    found: Predicate = []
    for j in chosen:
        if columns[j].is_category or np.isnan(row[j]):
            found.append((int(j), "==", float(row[j])))
        else:
            above = row[j] >= np.nanmedian(rows[:, j])
            found.append((int(j), ">=" if above else "<=", float(row[j])))
    return found


def _holds(predicate: Predicate, rows: np.ndarray) -> int:
    """Return for how many rows a predicate holds."""
    kept = np.ones(len(rows), dtype=bool)
    for j, relation, value in predicate:
        x = rows[:, j]
        if relation == "==":
            kept &= np.isnan(x) if np.isnan(value) else x == value
        else:
            kept &= (x >= value) if relation == ">=" else (x <= value)
    return int(kept.sum())


def infer_attributes(
    tables: Tables, n_attacks: int, level: float, rng: np.random.Generator
) -> Iterator[Guess]:
    """Yield for each column how often the nearest synthetic row in all others has its value."""
    from sklearn.neighbors import NearestNeighbors

    held_out: Any = tables.holdout
    if len(tables.columns) < 2:
        return
    size = min(n_attacks, len(tables.real), len(held_out))
    targets = [thinned(part, size, rng) for part in (tables.real, held_out)]
    drawn = thinned(tables.synthetic, 10_000, rng)
    for j, column in enumerate(tables.columns):
        rest = tuple(c for c in tables.columns if c is not column)
        base, *others = (np.delete(part, j, axis=1) for part in (drawn, *targets))
        points = distance_codes(rest, base, base, *others)
        tree = NearestNeighbors(n_neighbors=1).fit(points[0])
        right = []
        for rows, known in zip(targets, points[1:]):
            guess = drawn[tree.kneighbors(known, return_distance=False)[:, 0], j]
            right.append(_right(column, rows[:, j], guess))
        if all(map(len, right)):
            yield _guess("attribute inference", column.name, right, level)


def _right(column: Column, truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Return which guesses are right, of the rows whose value is known."""
    known = ~np.isnan(truth)
    truth, guess = truth[known], guess[known]
    if column.is_category:
        return np.asarray(truth == guess)
    return np.asarray(np.abs(guess - truth) <= _TOLERANCE * np.abs(truth))
