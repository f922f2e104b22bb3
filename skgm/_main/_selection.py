"""Fitting the candidates and the baselines, and their test log-densities."""

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from skgm._main._errors import JobError, one_line
from skgm._main._models import MODELS
from skgm._main._split import Split
from skgm._sklearn import progress_bar

__all__ = ["BASELINES", "Fitted", "fit_baselines", "fit_model", "quietly"]

BASELINES = {"independent normals": "normal", "joint normal": "multivariate_normal"}


@dataclass(frozen=True)
class Fitted:
    """A density fitted to the training rows.

    `cv_score` is the mean held-out log-density over the folds; `log_density` that of each test
    row; both in nats. `chosen` says what the grid search chose.
    """

    name: str
    density: Any
    cv_score: float
    log_density: np.ndarray
    chosen: str = ""


def fit_model(name: str, split: Split, random_state: int) -> Fitted:
    """Choose a model's options by cross-validation on the training rows and fit it to them all."""
    from sklearn.model_selection import GridSearchCV

    pipeline, grid = MODELS[name].build(random_state)
    search = GridSearchCV(pipeline, dict(grid), cv=split.folds, error_score="raise")
    shown = sys.stdout is not None and sys.stdout.isatty()  # None: stdout was closed
    bar = progress_bar() if shown else None
    if bar is not None:
        search.set_callbacks(bar)
    search.fit(split.train)
    best, cv_score = search.best_estimator_, float(search.best_score_)
    log_density = best.score_samples(split.test)
    if np.isnan(cv_score) or not (log_density < np.inf).all():  # -inf is honest: zero density
        raise ValueError("its log-density of held-out rows is NaN or +inf")
    return Fitted(name, best, cv_score, log_density, _in_words(search.best_params_))


def fit_baselines(split: Split) -> list[Fitted]:
    """Fit the baselines to the training rows, in the units of the table."""
    from sklearn.model_selection import cross_val_score

    from skgm.inference import MLEDensity

    fitted = []
    for name, family in BASELINES.items():
        scores = cross_val_score(
            MLEDensity(family), split.train, cv=split.folds, error_score="raise"
        )
        density = MLEDensity(family).fit(split.train)
        log_density = density.score_samples(split.test)
        fitted.append(Fitted(name, density, float(np.mean(scores)), log_density))
    return fitted


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
