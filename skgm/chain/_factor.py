"""Fit one factor of the chain, p(x_j | earlier columns), by a classifier over binary splits.

Every row gives one example for each split on the path to its cell: the features are the earlier
columns and what tells the splits apart, the target is the side taken. One classifier serves all
splits of the column. The marginal log-odds of a split are among the features, so a classifier that
finds nothing gives back the margin.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit, logit
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.validation import has_fit_parameter

from skgm._numerics.blocks import row_blocks
from skgm._numerics.forest import Forest
from skgm._sklearn import boosted_forest, fit_boosting
from skgm.chain._linear import LinearModel, NormalModel
from skgm.chain._splits import Splits, centering_shift, log_probability
from skgm.tables._margins import CategoryMargin, Margin

__all__ = ["FEW_ROWS", "Factor", "Training", "column_features", "fit_factor"]

_ONE_HOT_UP_TO = 30  # categories; beyond, their rank by frequency
FEW_ROWS = 1000  # up to here the number of trees is chosen by cross-fitting, then all rows train
_FOLDS, _HELD_OUT = 3, 0.1
_FOLDS_OF_NORMALS = 10  # they cost little
_LEAST_SHRINKAGE = 0.02  # below, the column counts as independent of the earlier ones
_MOST_LINEAR = 3.0  # a logistic regression with a penalty is too cautious
_MAX_TREES, _PATIENCE = 500, 15
_LEAST_CALIBRATED = 30  # simulated rows at a split; also the prior weight of a shift of zero
_MOST_FEATURES, _SCREENED = 100, 50  # with more, those that differ most between the cells serve
_CERTAIN = 1e-9  # probabilities of a classifier are kept away from 0 and 1 by this


@dataclass(frozen=True)
class Training:
    """What the factors of one fit share.

    Attributes
    ----------
    estimator : classifier or None
        Fitted to the splits of every column; None stands for boosted trees.
    weight : ndarray of shape (n,)
        Weights of the rows.
    place : ndarray of shape (n,)
        A number in [0, 1) for every row, which decides whether it trains or is held out.
    seed : int
        Seed of the classifiers.
    """

    estimator: Any
    weight: np.ndarray
    place: np.ndarray
    seed: int


def column_features(x: np.ndarray, margin: Margin) -> np.ndarray:
    """Return a column as features of the later ones, (n, k): numbers, or bits of categories."""
    if not isinstance(margin, CategoryMargin):
        return x[:, None]
    hole = np.isnan(x)
    cell = np.where(hole, np.nan, margin.cells(np.where(hole, 0.0, x)))[:, None]
    n_cells = len(margin.mass)
    if n_cells <= 2 or n_cells > _ONE_HOT_UP_TO:
        return np.asarray(cell)
    return np.where(hole[:, None], np.nan, cell == np.arange(n_cells))


@dataclass(frozen=True, eq=False)
class Factor:
    """The distribution of one column given the earlier ones.

    Attributes
    ----------
    margin : Margin
        How values are spread inside a cell, and the mass of each cell without conditions.
    splits : Splits
        The tree over the cells.
    model : classifier or None
        None where the column does not depend on the earlier ones.
    shift : ndarray of shape (n_splits,)
        Added to the log-odds, so that drawn tables keep the margin.
    shrinkage : float
        How far to go from the log-odds of the margin to those of the model.
    chosen : ndarray of int or None
        Which features of the earlier columns the models see; None for all.
    linear : LinearModel, NormalModel or None
        Of categories and of numbers without atoms, in tables of few rows.
    linear_share : float
        How far to go from the log-odds of the margin to those of `linear`.
    """

    margin: Margin
    splits: Splits
    model: Any
    shift: np.ndarray
    shrinkage: float = 1.0
    chosen: np.ndarray | None = None
    linear: LinearModel | NormalModel | None = None
    linear_share: float = 0.0

    def log_odds(self, prefix: np.ndarray, rows: np.ndarray, splits: np.ndarray) -> np.ndarray:
        """Return the log-odds of going right at splits for rows of features, in order, (m,)."""
        margin = self.splits.log_odds[splits]
        if (self.model is None and self.linear is None) or not len(splits):
            return np.asarray(margin)
        prefix = prefix if self.chosen is None else prefix[:, self.chosen]
        result = margin + self.shift[splits]
        if self.linear is not None:
            used, place = np.unique(rows, return_inverse=True)
            found = self.linear.log_odds(prefix[used], self.splits)[place, splits]
            result = result + self.linear_share * (found - margin)
        if self.model is None:
            return np.asarray(result)
        every = self.splits.features(np.arange(len(self.splits)))
        forest = _forest(self.model)
        if forest is None:
            found = _odds(self.model, np.hstack([prefix[rows], every[splits]]))
        else:
            found = forest.at_pairs(prefix, every, rows, splits)
        return np.asarray(result + self.shrinkage * (found - margin))

    def log_density(self, prefix: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return log p(x | prefix), (n,); zero for holes, -inf outside the support."""
        result = np.zeros(len(x))
        seen = np.flatnonzero(~np.isnan(x))
        cells = self.margin.cells(x[seen])
        result[seen] = self.margin.log_density_in_cell(x[seen], cells)
        inside = seen[cells >= 0]
        result[seen[cells < 0]] = -np.inf
        result[inside] += self.log_cell_probability(prefix[inside], cells[cells >= 0])
        return result

    def log_cell_probability(self, prefix: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Return log P(cell | prefix), (n,)."""
        rows, splits, right = self.splits.examples(cells)
        steps = log_probability(self.log_odds(prefix, rows, splits), right)
        return np.bincount(rows, steps, minlength=len(cells))

    def log_cell_probabilities(self, prefix: np.ndarray) -> np.ndarray:
        """Return log P(cell | prefix) of every cell, (n, n_cells)."""
        n, n_splits = len(prefix), len(self.splits)
        every = np.tile(np.arange(n_splits), n)
        rows = np.repeat(np.arange(n), n_splits)
        odds = self.log_odds(prefix, rows, every).reshape(n, n_splits)
        sides = np.stack([log_probability(odds, np.full(odds.shape, side)) for side in (0, 1)])
        result = np.zeros((n, len(self.splits.path)))
        for cell, (path, right) in enumerate(zip(self.splits.path, self.splits.went_right)):
            used = path >= 0
            result[:, cell] = sides[right[used].astype(int), :, path[used]].sum(axis=0)
        return result

    def draw(self, prefix: np.ndarray, rng: np.random.Generator, *, balanced: bool) -> np.ndarray:
        """Return one value for each row of features, (n,)."""
        sides = _balanced_sides if balanced else _independent_sides
        return self.margin.draw_in_cell(self._descend(prefix, rng, sides), rng)

    def calibrated(self, prefix: np.ndarray, rng: np.random.Generator) -> "Factor":
        """Return the factor with shifts that give simulated rows, (n, p), the mass of the margin.

        At every split the mean probability of going right, over the rows that come there, is made
        that of the margin; where few come the shift is shrunk.
        """
        if self.model is None and self.linear is None:
            return self
        shift = self.shift.copy()
        found = replace(self, shift=shift)

        def sides(splits: np.ndarray, odds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            added = np.zeros(len(shift))
            for split in np.unique(splits):
                here = odds[splits == split]
                if len(here) >= _LEAST_CALIBRATED:
                    step = centering_shift(here, self.splits.log_odds[split])
                    # rows that are sure of their side say nothing of a shift
                    told = (4 * expit(here) * expit(-here)).sum()
                    added[split] = step * told / (told + _LEAST_CALIBRATED)
            shift[:] += added
            return _independent_sides(splits, odds + added[splits], rng)

        found._descend(prefix, rng, sides)
        return found

    def _descend(self, prefix: np.ndarray, rng: np.random.Generator, sides: Callable) -> np.ndarray:
        """Return the cell that each row of features comes to, (n,), level by level."""
        if not len(self.splits):
            return np.zeros(len(prefix), dtype=np.intp)
        place = np.zeros(len(prefix), dtype=np.intp)  # a split, or -1 - cell
        while (moving := np.flatnonzero(place >= 0)).size:
            splits = place[moving]
            odds = self.log_odds(prefix, moving, splits)
            place[moving] = self.splits.children[splits, sides(splits, odds, rng).astype(np.intp)]
        return -1 - place


def _independent_sides(
    splits: np.ndarray, log_odds: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    return rng.uniform(size=len(log_odds)) < expit(log_odds)


def _balanced_sides(
    splits: np.ndarray, log_odds: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw sides systematically: each is right with its own probability, their number is exact.

    With rows sorted by split and log-odds, c_i = floor(p_1 + .. + p_i + u) rises by one at row i
    with probability p_i, for uniform u.
    """
    order = np.lexsort((log_odds + 1e-6 * rng.uniform(size=len(log_odds)), splits))
    rising = np.floor(np.cumsum(expit(log_odds[order])) + rng.uniform())
    sides = np.empty(len(order), dtype=bool)
    sides[order] = np.diff(rising, prepend=0.0) > 0.5
    return sides


def fit_factor(prefix: np.ndarray, x: np.ndarray, margin: Margin, training: Training) -> Factor:
    """Fit the factor of a coded column given the features of the earlier ones, (n, p)."""
    splits = Splits.of(margin.mass)
    independent = Factor(margin, splits, None, np.zeros(len(splits)))
    seen = np.flatnonzero(~np.isnan(x))
    if not prefix.shape[1] or not len(splits):
        return independent
    cells = margin.cells(x[seen])
    rows, taken, right = splits.examples(cells)
    rows = seen[rows]
    if right.all() or not right.any():
        return independent
    chosen = None
    if prefix.shape[1] > _MOST_FEATURES:
        chosen = _screened(prefix[seen], cells, training.weight[seen])
        prefix = prefix[:, chosen]
    features = np.hstack([prefix[rows], splits.features(taken)])
    fit = _fit_boosted if training.estimator is None else _fit_classifier
    linear, smooth = None, None
    if training.estimator is None and len(seen) <= FEW_ROWS:
        linear, odds = _fit_linear(prefix[seen], x[seen], margin, splits, training, seen)
        smooth = None if odds is None else odds[np.searchsorted(seen, rows), taken]
    model, (shrinkage, share) = fit(features, right, rows, training, smooth)
    if shrinkage < _LEAST_SHRINKAGE:
        model, shrinkage = None, 0.0
    linear = linear if share >= _LEAST_SHRINKAGE else None
    if model is None and linear is None:
        return independent
    shift = np.zeros(len(splits))
    return Factor(margin, splits, model, shift, shrinkage, chosen, linear, share)


def _fit_linear(
    features: np.ndarray,
    x: np.ndarray,
    margin: Margin,
    splits: Splits,
    training: Training,
    seen: np.ndarray,
) -> tuple[LinearModel | NormalModel | None, np.ndarray | None]:
    """Fit a regression to few rows; return it and cross-fitted log-odds at all splits."""
    n_cells, weight, cells = len(splits.path), training.weight[seen], margin.cells(x)
    if isinstance(margin, CategoryMargin):
        unfit = n_cells > _ONE_HOT_UP_TO
    else:
        unfit = len(margin.atoms) > 0
    if unfit:
        return None, None

    def fit(rows: np.ndarray) -> LinearModel | NormalModel | None:
        if isinstance(margin, CategoryMargin):
            return LinearModel.fit(features[rows], cells[rows], n_cells, weight[rows])
        return NormalModel.fit(features[rows], x[rows], margin.edges, margin.mass, weight[rows])

    n_folds = _FOLDS if isinstance(margin, CategoryMargin) else _FOLDS_OF_NORMALS
    fold = (training.place[seen] * n_folds).astype(int)
    odds = np.tile(splits.log_odds, (len(seen), 1))
    for held in (fold == k for k in range(n_folds)):
        part = fit(~held) if held.any() and not held.all() else None
        if part is not None:
            odds[held] = part.log_odds(features[held], splits)
    return fit(np.ones(len(x), dtype=bool)), odds


def _screened(prefix: np.ndarray, cells: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the features whose ranks differ most between the cells, in their order, (s,).

    By the share of variance between cells (the correlation ratio) of the rank, or of its distance
    from the middle, where that is more; holes stand in the middle.
    """
    share = csr_array((weight, (cells, np.arange(len(cells)))))
    share = share[share.sum(axis=1) > 0]
    mass = share.sum(axis=1)
    found = np.empty(prefix.shape[1])
    for part in row_blocks(prefix.shape[1], _SCREENED):
        ranks = rankdata(prefix[:, part], axis=0, nan_policy="omit")
        ranks = np.nan_to_num(ranks / np.nanmax(ranks, axis=0) - 0.5)
        ratios = []
        for values in (ranks, np.abs(ranks)):
            values = values - np.average(values, axis=0, weights=weight)
            total = np.maximum((weight[:, None] * values**2).sum(axis=0), 1e-12)
            ratios.append((((share @ values) ** 2) / mass[:, None]).sum(axis=0) / total)
        found[part] = np.maximum(*ratios)
    return np.sort(np.argsort(-found, kind="stable")[:_SCREENED])


def _shares(
    odds: np.ndarray,
    smooth: np.ndarray | None,
    margin: np.ndarray,
    right: np.ndarray,
    weight: np.ndarray,
) -> tuple[float, float]:
    """Return how far to go to the trees and to the regression, so that held-out sides are likely.

    The log-likelihood of a logistic regression on two features is concave in both shares together.
    """
    gains = np.column_stack([odds - margin, (margin if smooth is None else smooth) - margin])

    def loss(shares: np.ndarray) -> tuple[float, np.ndarray]:
        total = margin + gains @ shares
        value = weight @ np.logaddexp(0.0, np.where(right, -total, total))
        return float(value), gains.T @ (weight * (expit(total) - right))

    bounds = [(0.0, 1.0), (0.0, _MOST_LINEAR)]
    fine = {"ftol": 1e-13, "gtol": 1e-9}  # where classes are apart the optimum is far and flat
    found = minimize(loss, (0.5, 1.0), jac=True, bounds=bounds, method="L-BFGS-B", options=fine).x
    return float(found[0]), 0.0 if smooth is None else float(found[1])


def _fit_held_out(
    fit: Callable,
    features: np.ndarray,
    right: np.ndarray,
    rows: np.ndarray,
    training: Training,
    smooth: np.ndarray | None,
) -> tuple[list[Any], tuple[float, float]]:
    """Fit `fit(held)` for one or several folds; return the models and the shares of both kinds.

    `smooth` are log-odds of a regression that has not seen the row, (m,), or None.
    """
    weight, place = training.weight[rows], training.place[rows]
    few = len(np.unique(rows)) <= FEW_ROWS
    folds = [(place * _FOLDS).astype(int) == fold for fold in range(_FOLDS)]
    models, told = [], []
    for held in folds if few else [place < _HELD_OUT]:
        sides = right[~held]
        if not held.any() or sides.all() or not sides.any():
            continue
        models.append(fit(held))
        told.append((_odds(models[-1], features[held]), held))
    if not models:
        return [], (0.0, 0.0)
    held = np.concatenate([np.flatnonzero(mask) for _, mask in told])
    odds = np.concatenate([found for found, _ in told])
    other = None if smooth is None else smooth[held]
    return models, _shares(odds, other, features[held, -1], right[held], weight[held])


_FORESTS: WeakKeyDictionary[Any, Forest | None] = WeakKeyDictionary()  # of models in use


def _forest(model: Any) -> Forest | None:
    """Return the trees of a fitted model for fast evaluation, read once; None of another kind."""
    if model not in _FORESTS:
        _FORESTS[model] = boosted_forest([model])
    return _FORESTS[model]


def _odds(model: Any, features: np.ndarray) -> np.ndarray:
    """Return the log-odds of the second class, (n,)."""
    if hasattr(model, "decision_function"):
        return np.asarray(model.decision_function(features), dtype=np.float64)
    share = model.predict_proba(features)[:, 1]
    return np.asarray(logit(np.clip(share, _CERTAIN, 1 - _CERTAIN)), dtype=np.float64)


def _fit_classifier(
    features: np.ndarray,
    right: np.ndarray,
    rows: np.ndarray,
    training: Training,
    smooth: np.ndarray | None,
) -> tuple[Any, tuple[float, float]]:
    """Fit clones of the user's classifier: to parts, to find the shrinkage, and to all rows."""
    weight = training.weight[rows]
    takes_weight = has_fit_parameter(training.estimator, "sample_weight")
    if np.ptp(weight) and not takes_weight:
        raise ValueError(
            f"estimator={training.estimator!r} takes no sample_weight in its fit, which the table "
            "needs (repeated rows are fitted once, with a weight). Give another classifier."
        )

    def fit(held: np.ndarray) -> Any:
        model = clone(training.estimator)
        seeds = [key for key in model.get_params() if key.split("__")[-1] == "random_state"]
        model.set_params(**dict.fromkeys(seeds, training.seed))
        # weighted quantiles would take half of the time of boosting few rows
        told = takes_weight and (weight != 1).any()
        options = {"sample_weight": weight[~held]} if told else {}
        return model.fit(features[~held], right[~held], **options)

    models, shares = _fit_held_out(fit, features, right, rows, training, smooth)
    if len(models) == 1:  # of many rows; the tenth that it has not seen would hardly change it
        return models[0], shares
    return fit(np.zeros(len(rows), dtype=bool)), shares


def _fit_boosted(
    features: np.ndarray,
    right: np.ndarray,
    rows: np.ndarray,
    training: Training,
    smooth: np.ndarray | None,
) -> tuple[Any, tuple[float, float]]:
    """Fit boosted trees, stopped early on rows held out.

    Few rows are held out in turn; the mean number of trees is then fitted to all of them.
    """
    weight, distinct = training.weight[rows], np.unique(rows)
    share = (float(training.weight[distinct].sum()), len(distinct))

    def fit(held: np.ndarray) -> Any:
        trees = _trees(*share, training.seed)
        return fit_boosting(trees, features, right, weight, held_out=held)

    models, shares = _fit_held_out(fit, features, right, rows, training, smooth)
    if len(models) < 2:
        return (models[0] if models else None), shares
    n_trees = max(1, round(float(np.mean([model.n_iter_ for model in models]))))
    trees = _trees(*share, training.seed).set_params(max_iter=n_trees)
    nobody = np.zeros(len(rows), dtype=bool)
    return fit_boosting(trees, features, right, weight, held_out=nobody), shares


def _trees(n_rows: float, n_distinct: int, seed: int) -> HistGradientBoostingClassifier:
    """Return unfitted boosted trees; leaves hold a fortieth of the rows, 5 to 20 of them.

    Trees count distinct rows, of which a table of few categories may have a dozen in all.
    """
    in_leaf = np.clip(n_rows / 40, 5, 20) * n_distinct / n_rows
    return HistGradientBoostingClassifier(
        max_iter=_MAX_TREES,
        learning_rate=0.12,
        max_leaf_nodes=31,
        max_depth=6,
        min_samples_leaf=max(int(in_leaf), 1),
        l2_regularization=2.0,
        max_features=0.7,
        early_stopping=True,
        n_iter_no_change=_PATIENCE,
        random_state=seed,
    )
