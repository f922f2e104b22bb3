"""Fitting the candidates and the baselines, and their test log-densities."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp

from skgm._main._errors import JobError, one_line
from skgm._main._models import MODELS, Setting
from skgm._main._split import Split

__all__ = ["Fitted", "Stack", "fit_baselines", "fit_model", "quietly", "stack_models"]

MIN_WEIGHT = 0.05  # of a member, as in skgm.StackedDensity
NORMALS = {"independent normals": "normal", "joint normal": "multivariate_normal"}


@dataclass(frozen=True)
class Fitted:
    """A density fitted to the training rows.

    `cv_score` is the mean held-out log-density over the folds, NaN where there was nothing to
    choose; `held` has that of each row held out and `log_density` that of each test row, in nats.
    `chosen` says what was chosen in words, and `density` is the fitted density with it. A stack
    has `members` with their weights.
    """

    name: str
    density: Any
    cv_score: float
    log_density: np.ndarray
    chosen: str = ""
    held: np.ndarray | None = None
    members: "tuple[tuple[float, Fitted], ...]" = ()


class Stack:
    """A mixture of fitted densities that may read rows in different ways, so that it only draws."""

    def __init__(self, weights: Sequence[float], densities: Sequence[Any]) -> None:
        self.weights, self.densities = weights, densities

    def sample(self, n_samples: int, random_state: int) -> Any:
        """Return from each member its share of the rows, in random order."""
        import pandas as pd

        from skgm._numerics.importance import systematic_picks

        rng = np.random.default_rng(random_state)
        picks = systematic_picks(np.log(self.weights), n_samples, rng)
        counts = np.bincount(picks, minlength=len(self.weights))
        parts = [
            density.sample(int(count), random_state=rng)
            for count, density in zip(counts, self.densities)
            if count
        ]
        return pd.concat(parts).iloc[rng.permutation(n_samples)].reset_index(drop=True)


def fit_model(name: str, split: Split, setting: Setting, *, alone: bool = False) -> Fitted:
    """Choose a model's options by cross-validation on the training rows and fit it to them all.

    An `alone` model without options is only fitted.
    """
    from sklearn.base import clone
    from sklearn.model_selection import ParameterGrid

    model = MODELS[name]
    density, grid = model.build(setting)
    train, test = split.spread_train, split.spread_test
    if model.reads_cells:
        train, test = split.train, split.test
    cv_score, chosen, held = np.nan, {}, None
    for options in ParameterGrid(dict(grid)) if grid or not alone else ():
        density.set_params(**options)
        parts = [
            clone(density).fit(train.iloc[fitted]).score_samples(train.iloc[left])
            for fitted, left in split.folds
        ]
        score = float(np.mean([part.mean() for part in parts]))
        if np.isnan(score):
            raise ValueError("its log-density of held-out rows is NaN")
        if held is None or score > cv_score:
            cv_score, chosen, held = score, options, np.concatenate(parts)
    best = clone(density.set_params(**chosen)).fit(train)
    log_density = best.score_samples(test)
    if not (log_density < np.inf).all():  # -inf is honest: zero density
        raise ValueError("its log-density of held-out rows is NaN or +inf")
    return Fitted(name, best, cv_score, log_density, _in_words(chosen), held)


def stack_models(models: Sequence[Fitted]) -> Fitted | None:
    """Return the mixture of the models that rows held out weigh best, as StackedDensity does it.

    None if it has a single member. Its `cv_score` is of halves of these rows, each under the
    weights of the other half.
    """
    from skgm._numerics.importance import kept_weights

    if len(models) < 2:
        return None
    held = np.column_stack([fitted.held for fitted in models if fitted.held is not None])
    halves = [np.arange(len(held)) % 2 == half for half in (0, 1)]
    parts = (held[rows] for rows in (*halves, slice(None)))
    *weights, found = [kept_weights(part, np.ones(len(part)), MIN_WEIGHT)[0] for part in parts]
    if (found > 0).sum() < 2:
        return None
    with np.errstate(divide="ignore"):
        scores = [
            logsumexp(held[rows] + np.log(weight), axis=1)
            for rows, weight in zip(halves[::-1], weights)
        ]
        test = np.column_stack([fitted.log_density for fitted in models]) + np.log(found)
    members = tuple((w, fitted) for w, fitted in zip(found.tolist(), models) if w)
    chosen = " + ".join(f"{w:.2f} {fitted.name}" for w, fitted in members)
    stack = Stack([w for w, _ in members], [fitted.density for _, fitted in members])
    cv_score = float(np.concatenate(scores).mean())
    return Fitted("stacked", stack, cv_score, logsumexp(test, axis=1), chosen, members=members)


def fit_baselines(split: Split, random_state: int) -> list[Fitted]:
    """Fit the baselines: two normals in the units of the table, or columns by themselves."""
    from sklearn.model_selection import cross_val_score

    from skgm.inference import MLEDensity

    if split.obstacles.to_numbers is not None:
        return [_independent_columns(split, random_state)]
    fitted = []
    for name, family in NORMALS.items():
        scores = cross_val_score(
            MLEDensity(family), split.spread_train, cv=split.folds, error_score="raise"
        )
        density = MLEDensity(family).fit(split.spread_train)
        log_density = density.score_samples(split.spread_test)
        fitted.append(Fitted(name, density, float(np.mean(scores)), log_density))
    return fitted


def _independent_columns(split: Split, random_state: int) -> Fitted:
    """Return independent columns over the base measure of a chain: nothing is learned."""
    from sklearn.dummy import DummyClassifier

    from skgm.chain import DensityChain

    nothing = DummyClassifier(strategy="prior")
    chain = DensityChain(nothing, n_orders=1, calibrate=False, random_state=random_state)
    log_density = chain.fit(split.train).score_samples(split.test)
    return Fitted("independent columns", chain, np.nan, log_density)


def quietly(what: str, function: Callable[..., Any], *arguments: Any) -> tuple[Any, list[str]]:
    """Call `function`; return its result and its warnings, one line each.

    Raises
    ------
    JobError
        The call failed on numerical grounds; the message says in what.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(*arguments)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            raise JobError(f"{what} failed: {one_line(error)}") from error
    messages = [
        str(warning.message).partition("\nSee troubleshooting.html")[0] for warning in caught
    ]
    told = dict.fromkeys(f"{what}: {one_line(message)}" for message in messages)
    return result, list(told)


def _in_words(chosen: Mapping[str, Any]) -> str:
    """Write grid-search parameters as "PowerTransformer, covariance_type=full": steps first."""
    steps = [type(value).__name__ for value in chosen.values() if _is_step(value)]
    options = [
        f"{name.rpartition('__')[2]}={value}"
        for name, value in chosen.items()
        if not _is_step(value)
    ]
    return ", ".join(steps + options)


def _is_step(value: Any) -> bool:
    return hasattr(value, "get_params")
