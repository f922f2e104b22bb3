"""Checks of `sample_weight` in `fit`: a weight is a number of repetitions."""

# ruff: noqa: D401 -- the first line of a check states the promise that it checks

from typing import Any

import numpy as np
from numpy.testing import assert_allclose

from skgm.testing._data import far_tables, table_for
from skgm.testing._registry import density_check
from skgm.testing._rules import fit_takes_weights, get_density_tags
from skgm.testing._tools import (
    RTOL,
    assert_same_density,
    expect_error,
    fit_clone,
    log_density,
    require,
)

__all__: list[str] = []


@density_check(fit_takes_weights)
def check_weights_are_repetitions(estimator: Any) -> None:
    """A row of integer weight w counts as w rows."""
    X = table_for(estimator, 60)
    weight = 1 + 4 * (X[:, 0] > X[:, 0].mean())  # ignoring these would move the fit
    one = fit_clone(estimator, X, sample_weight=weight.astype(np.float64))
    other = fit_clone(estimator, np.repeat(X, weight, axis=0))
    assert_same_density(estimator, one, other, table_for(estimator, seed=1), "weighted, repeated")


@density_check(fit_takes_weights)
def check_weights_move_the_fit(estimator: Any) -> None:
    """Weights raise the weighted mean log-density of the rows above that of a fit without."""
    X = table_for(estimator, 60)
    weight = 1.0 + 9.0 * (X[:, 0] > X[:, 0].mean())
    one, none = fit_clone(estimator, X, sample_weight=weight), fit_clone(estimator, X)
    gain = np.average(log_density(one, X) - log_density(none, X), weights=weight)
    require(gain > 0, f"weighting rows tenfold changed their mean log-density by {gain:.3g}")


@density_check(fit_takes_weights)
def check_unit_weights_change_nothing(estimator: Any) -> None:
    """Weights of one give the fit without weights."""
    X = table_for(estimator, 60)
    one = fit_clone(estimator, X, sample_weight=np.ones(len(X)))
    none = fit_clone(estimator, X, sample_weight=None)
    assert_allclose(log_density(one, X), log_density(none, X), rtol=RTOL)


@density_check(fit_takes_weights)
def check_zero_weight_rows_are_absent(estimator: Any) -> None:
    """Rows of weight zero, however far away, have no influence."""
    X = table_for(estimator, 60)
    far = far_tables(get_density_tags(estimator).support, X)[0]
    weight = np.repeat([1.0, 0.0], len(X))
    one = fit_clone(estimator, np.concatenate([X, far]), sample_weight=weight)
    other = fit_clone(estimator, X)
    assert_same_density(estimator, one, other, X, "with rows of weight zero, and without")


@density_check(fit_takes_weights)
def check_bad_weights_raise(estimator: Any) -> None:
    """Weights that are negative, NaN, all zero or of the wrong length raise a ValueError."""
    X = table_for(estimator, 30)
    bad = {
        "negative weights": np.where(np.arange(30) == 3, -1.0, 1.0),
        "NaN weights": np.where(np.arange(30) == 3, np.nan, 1.0),
        "weights that are all zero": np.zeros(30),
        "weights of the wrong length": np.ones(29),
    }
    for what, weight in bad.items():
        with expect_error(what, ValueError, words=("weight",)):
            fit_clone(estimator, X, sample_weight=weight)
