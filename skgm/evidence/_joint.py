"""Compares whole rows: a classifier told to separate them, the energy test, and use as training."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from skgm.metrics import compare_densities, two_sample_test
from skgm.tables._coded import Column, Tables, places, rounded, thinned

__all__ = [
    "Energy",
    "TwoSample",
    "Utility",
    "area",
    "classifier_test",
    "energy_test",
    "train_on_synthetic",
]

_CLASSIFIER_ROWS = 4000  # of each table
_IMPORTANCE_ROWS = 1000
_ENERGY_ROWS, _N_PERMUTATIONS = 300, 1999
_UTILITY_ROWS = 10_000
_MOST_CODES = 250  # of categories that a tree takes as such
_FEW_VALUES = 10  # whole numbers of as few values are classes


@dataclass(frozen=True)
class TwoSample:
    """A classifier that learns, on half of the rows, to tell synthetic rows from real ones.

    Synthetic numbers are rounded as real ones are first: decimals alone would give them away.

    Attributes
    ----------
    auc, low, high : float
        Area under its receiver operating characteristic on the other half: the probability that
        it tells which of two rows is synthetic. 0.5: it cannot.
    pvalue : float
        One-sided, of an area of one half.
    n_rows : int
        Rows that it was judged on.
    against : {"real", "holdout"}
        The real rows.
    columns : tuple of (str, float)
        The columns that give synthetic rows away: what the area loses where their values are
        shuffled, the most first.
    """

    auc: float
    low: float
    high: float
    pvalue: float
    n_rows: int
    against: str
    columns: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Energy:
    """The energy statistic of :func:`skgm.two_sample_test`, on part of the rows."""

    statistic: float
    pvalue: float
    n_rows: int
    n_permutations: int


@dataclass(frozen=True)
class Utility:
    """Trees that predict a column of held-out rows, trained on synthetic and on real rows.

    Attributes
    ----------
    target : object
        The column.
    measure : {"AUC", "accuracy", "R2"}
        Of two classes, of several, and of numbers.
    synthetic, real : float
        The measure after training on as many rows of either kind.
    difference, low, high : float
        Synthetic less real, in nats of predictive log-probability per held-out row. The interval
        answers for the choice of the held-out rows, not of the training rows.
    pvalue : float
        Of no difference.
    n_train, n_test : int
        Rows.
    """

    target: Any
    measure: str
    synthetic: float
    real: float
    difference: float
    low: float
    high: float
    pvalue: float
    n_train: int
    n_test: int


def classifier_test(tables: Tables, level: float, rng: np.random.Generator) -> TwoSample:
    """Train and judge a classifier of real and synthetic rows."""
    against, base = "real", tables.real
    if tables.holdout is not None and len(tables.holdout) >= len(tables.real) / 4:
        against, base = "holdout", tables.holdout
    size = min(len(base), len(tables.synthetic), _CLASSIFIER_ROWS)
    halves: list[list[np.ndarray]] = [[], []]
    for part in (base, rounded(tables)):
        rows = part[rng.permutation(len(part))[:size]]
        halves[0].append(rows[: size // 2])
        halves[1].append(rows[size // 2 :])
    codes, categories = _tree_codes(tables.columns, *halves[0], *halves[1])
    train, test = np.vstack(codes[:2]), np.vstack(codes[2:])
    label, truth = (np.repeat([0, 1], [len(part) for part in half]) for half in halves)
    model = _trees(categories, True, rng).fit(train, label)
    score = model.predict_proba(test)[:, 1]
    auc, error = area(score[truth == 1], score[truth == 0])
    n, m = int((truth == 1).sum()), int((truth == 0).sum())
    null = np.sqrt((n + m + 1) / (12 * n * m))
    half = stats.norm.isf((1 - level) / 2) * max(error, 1 / (n + m))
    given_away = _importance(model, test, truth, tables.columns, auc, rng)
    pvalue = float(stats.norm.sf((auc - 0.5) / null))
    low, high = float(max(auc - half, 0.0)), float(min(auc + half, 1.0))
    return TwoSample(auc, low, high, pvalue, len(test), against, given_away)


def _tree_codes(columns: tuple[Column, ...], *tables: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return tables as trees take them: of many categories, the rare ones are one."""
    coded = [table.copy() for table in tables]
    whole = np.vstack(tables)
    for j, column in enumerate(columns):
        if any(np.isnan(table[:, j]).all() for table in tables[:2]):  # trees refuse it
            for table in coded:
                table[:, j] = 0.0
        if not column.is_category:
            continue
        known = whole[~np.isnan(whole[:, j]), j].astype(np.intp)
        count = np.bincount(known, minlength=len(column.values))
        order = np.argsort(-count, kind="stable")
        least = count[order[_MOST_CODES]] if len(order) > _MOST_CODES else 0
        kept = order[count[order] > least]  # all of equally frequent ones, or none
        place = np.full(len(count), len(kept))
        place[kept] = np.arange(len(kept))
        for table in coded:
            seen = ~np.isnan(table[:, j])
            table[seen, j] = place[table[seen, j].astype(np.intp)]
    return coded, np.array([column.is_category for column in columns])


def _trees(categories: np.ndarray, classify: bool, rng: np.random.Generator) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    build = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
    return build(
        max_iter=60,
        learning_rate=0.15,
        max_leaf_nodes=15,
        min_samples_leaf=10,
        l2_regularization=1.0,
        early_stopping=False,
        categorical_features=categories if categories.any() else None,
        random_state=int(rng.integers(2**31)),
    )


def area(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    """Return the area under the ROC curve and its standard error after DeLong."""
    places = []
    for own, other in ((positive, np.sort(negative)), (negative, np.sort(positive))):
        sides = [np.searchsorted(other, own, side=side) for side in ("left", "right")]
        places.append((sides[0] + sides[1]) / (2 * len(other)))
    variance = sum(np.var(place, ddof=1) / len(place) for place in places if len(place) > 1)
    return float(places[0].mean()), float(np.sqrt(variance))


def _importance(
    model: Any, test: np.ndarray, truth: np.ndarray, columns: Any, auc: float, rng: Any
) -> tuple[tuple[str, float], ...]:
    """Return the columns by what the area loses where their values are shuffled."""
    some = np.sort(rng.permutation(len(test))[:_IMPORTANCE_ROWS])
    rows, truth = test[some], truth[some]
    score = model.predict_proba(rows)[:, 1]
    base = area(score[truth == 1], score[truth == 0])[0]
    losses = []
    for j in range(rows.shape[1]):
        shuffled = rows.copy()
        shuffled[:, j] = rng.permutation(rows[:, j])
        score = model.predict_proba(shuffled)[:, 1]
        losses.append(base - area(score[truth == 1], score[truth == 0])[0])
    order = np.argsort(losses)[::-1]
    return tuple((str(columns[j].name), float(losses[j])) for j in order if losses[j] > 0)


def energy_test(tables: Tables, rng: np.random.Generator) -> Energy:
    """Test equality of the distributions of rows by the energy distance (Szekely and Rizzo)."""
    base = tables.real if tables.holdout is None else tables.holdout
    parts = [thinned(part, _ENERGY_ROWS, rng) for part in (base, rounded(tables))]
    codes, _ = _tree_codes(tables.columns, *parts)
    a, b = (_places_and_names(tables.columns, base, part) for part in codes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of columns that name rows
        found = two_sample_test(a, b, n_resamples=_N_PERMUTATIONS, random_state=rng)
    return Energy(found.statistic, found.pvalue, found.n_a + found.n_b, found.n_resamples)


def _places_and_names(columns: tuple[Column, ...], base: np.ndarray, rows: np.ndarray) -> Any:
    """Return a frame of categories, and of the places of numbers among those of `base`."""
    import pandas as pd

    frame = {}
    for j, column in enumerate(columns):
        x, known = rows[:, j], base[~np.isnan(base[:, j]), j]
        values: Any = np.where(np.isnan(x), np.nan, places(np.sort(known), x))
        if column.is_category:
            values = np.where(np.isnan(x), "", x.astype(object).astype(str))
        frame[f"x{j}"] = values
    return pd.DataFrame(frame)


def train_on_synthetic(
    tables: Tables, target: Any, level: float, rng: np.random.Generator
) -> Utility | None:
    """Predict `target` of held-out real rows after training on synthetic and on real rows.

    Without a holdout half of the real rows is held out. None where there is nothing to learn.
    """
    if target not in tables.names:
        raise ValueError(
            f"target must be a shared column of real and synthetic; got {target!r}. They share "
            f"{tables.names[:20]}."
        )
    j = tables.names.index(target)
    real, test = tables.real, tables.holdout
    if test is None:
        order = rng.permutation(len(real))
        real, test = real[order[len(order) // 2 :]], real[order[: len(order) // 2]]
    parts = [part[~np.isnan(part[:, j])] for part in (tables.synthetic, real, test)]
    size = min(len(parts[0]), len(parts[1]), _UTILITY_ROWS)
    if size < 20 or len(parts[2]) < 20:
        return None
    parts = [thinned(part, most, rng) for part, most in zip(parts, (size, size, _UTILITY_ROWS))]
    column = tables.columns[j]
    few = column.step == 1 and len(np.unique(parts[1][:, j])) <= _FEW_VALUES
    classify = column.is_category or few
    rest = [c for c in tables.columns if c.name != target]
    codes, categories = _tree_codes(tuple(rest), *(np.delete(part, j, axis=1) for part in parts))
    y = [part[:, j] for part in parts]
    if not rest or min(len(np.unique(values)) for values in y[:2]) < 2:
        return None
    judge = _judge_classes if classify else _judge_numbers
    seed = int(rng.integers(2**31))
    models = []
    for i in (0, 1):
        trees = _trees(categories, classify, np.random.default_rng(seed))
        models.append(judge(trees.fit(codes[i], y[i]), codes[2], y[2], codes[i], y[i]))
    (synthetic, ours), (trained, theirs) = ((score, nats) for score, nats, _ in models)
    measure = models[0][2]
    paired = compare_densities(ours, theirs, level=level)
    ends = paired.difference, paired.low, paired.high, paired.pvalue
    return Utility(target, measure, synthetic, trained, *ends, size, len(y[2]))


def _judge_classes(model: Any, X: Any, y: Any, _: Any, seen: Any) -> tuple[float, Any, str]:
    """Return AUC or accuracy, and the log-probability of each label, a thousandth kept for all."""
    classes = np.unique(y)
    probability = np.full((len(X), len(classes)), 1e-3 / len(classes))
    found = model.predict_proba(X)
    for i, label in enumerate(model.classes_):
        at = np.flatnonzero(classes == label)
        if len(at):
            probability[:, at[0]] += (1 - 1e-3) * found[:, i]
    place = np.searchsorted(classes, y)
    nats = np.log(probability[np.arange(len(y)), place])
    if len(classes) == 2:
        score = probability[:, 1] - probability[:, 0]
        return area(score[place == 1], score[place == 0])[0], nats, "AUC"
    return float((probability.argmax(axis=1) == place).mean()), nats, "accuracy"


def _judge_numbers(model: Any, X: Any, y: Any, train: Any, seen: Any) -> tuple[float, Any, str]:
    """Return R2, and the normal log-density of each value with the best spread on those rows."""
    residual = y - model.predict(X)
    spread = max(float(np.mean(residual**2)), 1e-12 * float(np.var(y)), 1e-300)
    nats = -0.5 * (residual**2 / spread + np.log(2 * np.pi * spread))
    return 1 - float(np.mean(residual**2) / max(np.var(y), 1e-300)), nats, "R2"
