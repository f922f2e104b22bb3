"""Fitting the candidates and the baselines, and their test log-densities."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from skgm._main._errors import JobError, one_line
from skgm._main._models import MODELS, Setting
from skgm._main._split import Split

__all__ = ["Fitted", "fit_baselines", "fit_model", "quietly"]

NORMALS = {"independent normals": "normal", "joint normal": "multivariate_normal"}


@dataclass(frozen=True)
class Fitted:
    """A density fitted to the training rows.

    `cv_score` is the mean held-out log-density over the folds, NaN where there was nothing to
    choose; `log_density` that of each test row; both in nats. `chosen` says what the grid search
    chose, and `density` is the fitted density with it.
    """

    name: str
    density: Any
    cv_score: float
    log_density: np.ndarray
    chosen: str = ""


def fit_model(name: str, split: Split, setting: Setting, *, alone: bool = False) -> Fitted:
    """Choose a model's options by cross-validation on the training rows and fit it to them all.

    An `alone` model without options is only fitted.
    """
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV

    model = MODELS[name]
    density, grid = model.build(setting)
    train, test = split.spread_train, split.spread_test
    if model.reads_cells:
        train, test = split.train, split.test
    if alone and not grid:
        best, cv_score, chosen = clone(density).fit(train), np.nan, ""
    else:
        search = GridSearchCV(density, dict(grid), cv=split.folds, error_score="raise").fit(train)
        best, cv_score = search.best_estimator_, float(search.best_score_)
        chosen = _in_words(search.best_params_)
        if np.isnan(cv_score):
            raise ValueError("its log-density of held-out rows is NaN")
    log_density = best.score_samples(test)
    if not (log_density < np.inf).all():  # -inf is honest: zero density
        raise ValueError("its log-density of held-out rows is NaN or +inf")
    return Fitted(name, best, cv_score, log_density, chosen)


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
    told = dict.fromkeys(f"{what}: {one_line(warning.message)}" for warning in caught)
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
