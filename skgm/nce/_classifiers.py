"""Trains classifiers as critics: their log-odds give log-ratios of data to noise."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy.special import expit
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.validation import has_fit_parameter

from skgm._numerics.distributions import Noise, check_rows_inside
from skgm._numerics.forest import Forest
from skgm._numerics.importance import RoughRatio, conditional_resampling
from skgm._parallel import LARGE, ordered_map
from skgm._sklearn import boosted_forest, boosting_to_best_iteration

__all__ = [
    "HOLE_ROUNDS",
    "MIN_ROWS",
    "ClassifierCritic",
    "boosted_trees",
    "complete_tables",
    "constant_critic",
    "fit_classifier_critic",
    "is_classifier_like",
    "log_odds",
]

SMALLEST_PROBABILITY = 1e-6  # probabilities of 0 and 1 have no log-odds
MIN_ROWS = 50  # with fewer, boosted trees have nothing to be validated on
MAX_TREES = 400
FIRST_ROUNDS, MANY_TREES = 12, 100  # rounds of boosting that give a rough ratio, and trees in all
DRAW = 80  # trees that take as long as the draw of a row of noise and its bins
LEARNING_RATE = 0.2  # against 0.1, half of the trees at equal held-out likelihood
HOLE_ROUNDS = 3  # fits to rows completed by the noise, then by noise and critics
HOLE_CANDIDATES = 20  # completions that one is picked from
FEW_ROWS, FEW_ROWS_VALIDATION = 500, 0.2  # below this many rows, hold out a fifth, not a tenth


class Step(Protocol):
    """Opens a callback context around the fit of one member."""

    def __call__(self, name: str, member: Any | None) -> AbstractContextManager[None]:
        """Return the context."""


@dataclass(frozen=True)
class ClassifierCritic:
    """A bag of classifiers whose log-odds are averaged.

    Attributes
    ----------
    members : tuple of classifiers
        Fitted to tell data (1) from noise (0); none for a constant critic.
    log_nu : float
        Log of the ratio of noise to data that they were fitted on.
    decides : bool
        Whether `decision_function` is the log-odds; else they come from `predict_proba`.
    """

    members: tuple[Any, ...]
    log_nu: float
    decides: bool = True

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be computed again."""
        return {key: value for key, value in vars(self).items() if key != "_forest"}

    @cached_property
    def _forest(self) -> Forest | None:
        """The trees of all members, if they are trees."""
        return boosted_forest(self.members)

    def log_ratio(self, X: np.ndarray) -> np.ndarray:
        """Return log p - log q up to log Z, (n,): mean log-odds plus log nu."""
        if not self.members:
            return np.zeros(len(X))
        if self._forest is not None:
            return self._forest(X) + self.log_nu
        odds = [log_odds(member, X, self.decides) for member in self.members]
        return np.mean(odds, axis=0) + self.log_nu

    def rough(self) -> RoughRatio | None:
        """Return the log-ratio of the first trees alone; None unless they are few of many."""
        sizes = np.array([getattr(member, "n_iter_", 0) for member in self.members])
        forest = self._forest
        if forest is None or sizes.sum() < MANY_TREES:
            return None
        first = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) < FIRST_ROUNDS
        part = forest.part(np.flatnonzero(first))
        cost = (DRAW + first.sum()) / (DRAW + len(first))
        return RoughRatio(part, float(cost))

    def overlap(self, X: np.ndarray, noise_rows: np.ndarray) -> float:
        """Return the sum of h (1 - h) over data and noise, relative to that of equal ones.

        h is the posterior probability of data. One: noise like the data; near zero: told apart.
        """
        nu = np.exp(self.log_nu)
        data, noise = self.log_ratio(X) - self.log_nu, self.log_ratio(noise_rows) - self.log_nu
        spread = np.mean(expit(data) * expit(-data)) + nu * np.mean(expit(noise) * expit(-noise))
        return float(spread * (1 + nu) / nu)


def is_classifier_like(critic: Any) -> bool:
    """Tell whether an object can be fitted to labels and asked for odds."""
    scores = hasattr(critic, "decision_function") or hasattr(critic, "predict_proba")
    return hasattr(critic, "fit") and scores and not isinstance(critic, type)


def log_odds(classifier: Any, X: np.ndarray, decides: bool) -> np.ndarray:
    """Return the classifier's log-odds of class 1, (n,)."""
    if decides:
        return np.asarray(classifier.decision_function(X), dtype=np.float64)
    probability = np.asarray(classifier.predict_proba(X), dtype=np.float64)[:, 1]
    inside = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return np.log(inside) - np.log1p(-inside)


def _decides(classifier: Any, X: np.ndarray) -> bool:
    """Whether decision_function gives the log-odds of predict_proba, or stands alone."""
    if not hasattr(classifier, "predict_proba"):
        return True
    if not hasattr(classifier, "decision_function"):
        return False
    implied = expit(classifier.decision_function(X[:100]))
    return bool(np.allclose(implied, classifier.predict_proba(X[:100])[:, 1], atol=1e-6))


def boosted_trees(
    n_rows: int, categories: np.ndarray | None = None
) -> HistGradientBoostingClassifier:
    """Return the default classifier: boosted trees, stopped early on held-out log-loss."""
    held_out = FEW_ROWS_VALIDATION if n_rows < FEW_ROWS else 0.1
    return HistGradientBoostingClassifier(
        learning_rate=LEARNING_RATE,
        max_iter=MAX_TREES,
        early_stopping=True,
        validation_fraction=held_out,
        categorical_features=categories,
    )


def constant_critic(noise_ratio: float) -> ClassifierCritic:
    """Return the critic that tells nothing apart: the density is the noise."""
    return ClassifierCritic((), float(np.log(noise_ratio)))


def complete_tables(
    critic: ClassifierCritic, noise: Any, X: np.ndarray, n: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return n tables with the holes of X filled, by draws from the noise times the ratio."""
    options: dict[str, Any] = {"candidates": HOLE_CANDIDATES, "attempts": 1}
    holed = np.isnan(X).any(axis=1)
    rows, ess = conditional_resampling(critic.log_ratio, noise, X[holed], n, rng, **options)
    if (ess == 0).any():
        raise ValueError(
            f"Row {int(np.flatnonzero(holed)[np.argmin(ess)])} of X holds values at which the "
            "noise has no density, so its holes cannot be filled. Choose noise that covers the "
            "data."
        )
    tables = np.repeat(X[None], n, axis=0)
    tables[:, holed] = rows.transpose(1, 0, 2)
    return list(tables)


def fit_classifier_critic(
    tables: list[np.ndarray],
    weight: np.ndarray | None,
    noise: Noise,
    classifier: Any,
    *,
    noise_ratio: float,
    rng: np.random.Generator,
    step: Step,
    n_jobs: int | None = None,
    categories: np.ndarray | None = None,
) -> ClassifierCritic:
    """Fit a classifier to each table against independent draws of noise (eq. nce-objective).

    The tables are the same, but for what holes were filled with. `classifier` is cloned; None
    stands for boosted trees, cut back to their best iteration. Weights count by their proportions.
    Boosted trees see repeated rows once, with their number as weight.

    Raises
    ------
    ValueError
        Rows outside the support of the noise; weights that the classifier cannot take.
    """
    X = tables[0]
    check_rows_inside(noise.log_density(X))
    n_rows, n_noise = len(X), max(2, round(noise_ratio * len(X)))
    if weight is not None:
        weight = weight / weight.mean()
    elif classifier is None and not noise.discrete and X is tables[-1]:
        X, weight = _collapse(X)
        tables = [X] * len(tables)
    y = np.repeat([1, 0], [len(X), n_noise])
    options = {} if weight is None else {"sample_weight": np.append(weight, np.ones(n_noise))}
    unfitted = [
        boosted_trees(n_rows, categories) if classifier is None else clone(classifier)
        for _ in tables
    ]

    def work() -> Iterator[tuple[Any, np.ndarray]]:
        for member, rows in zip(unfitted, tables):
            _check_weights(member, options)
            _seed(member, rng)
            yield member, np.vstack([rows, noise.sample(n_noise, rng)])

    def fit(task: tuple[Any, np.ndarray]) -> Any:
        member, rows = task
        member.fit(rows, y, **options)
        return boosting_to_best_iteration(member) if classifier is None else member

    def around(i: int, here: bool) -> AbstractContextManager[None]:
        return step(f"critic-{i}", unfitted[i] if here else None)

    threads = (len(X) + n_noise) * X.shape[1] > LARGE
    fits = ordered_map(fit, work(), n_jobs=n_jobs, threads=threads, around=around)
    members = tuple(fits)
    log_nu = float(np.log(n_noise / n_rows))
    return ClassifierCritic(members, log_nu, _decides(members[0], X))


def _collapse(X: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return every row once, where it came first, and how often it came; None if all once.

    The loss is the same, but a row is then either trained on or held out: copies on both sides
    would pass learning by heart for a fit.
    """
    _, first, counts = np.unique(X, axis=0, return_index=True, return_counts=True)
    if len(first) == len(X):
        return X, None
    order = np.argsort(first)
    return X[first[order]], counts[order].astype(np.float64)


def _check_weights(member: Any, options: dict[str, Any]) -> None:
    if options and not has_fit_parameter(member, "sample_weight"):
        raise ValueError(
            f"critic={member!r} takes no sample_weight in its fit. Give whole-number weights, "
            "which are taken as repetitions, or another classifier."
        )


def _seed(member: Any, rng: np.random.Generator) -> None:
    seeds = [key for key in member.get_params() if key.split("__")[-1] == "random_state"]
    member.set_params(**{key: int(rng.integers(2**31)) for key in sorted(seeds)})
