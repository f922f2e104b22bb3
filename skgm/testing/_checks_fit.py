"""Checks of `fit` and `partial_fit`: what they depend on, and what they leave behind."""

# ruff: noqa: D401 -- the first line of a check states the promise that it checks
from typing import Any

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skgm._parallel import worker_threads
from skgm.testing._data import far_tables, table_for
from skgm.testing._registry import (
    density_check,
    fit_takes_weights,
    get_density_tags,
    has_method,
    has_random_state,
)
from skgm.testing._tools import (
    RTOL,
    assert_same_density,
    draw,
    expect_error,
    fit_clone,
    log_density,
    require,
    rows_of,
    seeded_clone,
)

__all__: list[str] = []


@density_check()
def check_fit_returns_self(estimator: Any) -> None:
    """`fit` returns the estimator itself."""
    twin = seeded_clone(estimator)
    require(twin.fit(table_for(estimator)) is twin, "fit must return self")


@density_check()
def check_fit_learns_from_data(estimator: Any) -> None:
    """New rows like the training table are likelier than under a fit to another table."""
    X, other = table_for(estimator), table_for(estimator, shift=2.0)
    rows = table_for(estimator, seed=1)
    near = log_density(fit_clone(estimator, X), rows).mean()
    far = log_density(fit_clone(estimator, other), rows).mean()
    require(near > far, f"{near:.4g} nats a row; fitted to another table: {far:.4g}")


@density_check()
def check_fit_is_idempotent(estimator: Any) -> None:
    """Fitting twice to the same table under the same seed gives the same density."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    first = log_density(fitted, X)
    fitted.fit(X)
    assert_allclose(log_density(fitted, X), first, rtol=RTOL, err_msg="same object")
    assert_allclose(log_density(fit_clone(estimator, X), X), first, rtol=RTOL, err_msg="clone")


@density_check()
def check_workers_change_nothing(estimator: Any) -> None:
    """Fits, scores and draws are the same bit for bit with one worker and with two."""
    X, found = table_for(estimator, 60), []
    for n_jobs in (1, 2):
        with worker_threads(n_jobs):
            fitted = fit_clone(estimator, X)
            found.append((log_density(fitted, X.copy()), draw(fitted, 9)))
    assert_array_equal(found[1][0], found[0][0], err_msg="log-densities, with two workers")
    assert_array_equal(found[1][1], found[0][1], err_msg="draws, with two workers")


@density_check()
def check_fit_resets_state(estimator: Any) -> None:
    """A second `fit`, to a table of another width, keeps nothing of the first."""
    X = table_for(estimator)
    used = fit_clone(estimator, table_for(estimator, 80, 3, seed=5))
    used.fit(X)
    expected = log_density(fit_clone(estimator, X), X)
    assert_allclose(log_density(used, X), expected, rtol=RTOL)


@density_check()
def check_y_is_ignored(estimator: Any) -> None:
    """`fit`, `partial_fit` and `score` take a `y` and make nothing of it."""
    X = table_for(estimator)
    y = np.arange(len(X)) % 3
    for method in ("fit", "partial_fit"):
        if method == "fit" or hasattr(estimator, method):
            one, other = seeded_clone(estimator), seeded_clone(estimator)
            getattr(one, method)(X)
            getattr(other, method)(X, y)
            assert_allclose(log_density(other, X), log_density(one, X), rtol=RTOL, err_msg=method)
            assert_allclose(other.score(X, y), one.score(X), rtol=RTOL, err_msg="score")


@density_check()
def check_X_is_not_modified(estimator: Any) -> None:
    """`fit` and `score_samples` never write into their input, which may be read-only."""
    X = table_for(estimator)
    writeable = X.copy()
    log_density(fit_clone(estimator, writeable), writeable)
    assert_array_equal(writeable, X)
    X.setflags(write=False)
    log_density(fit_clone(estimator, X), X)


@density_check()
def check_clone(estimator: Any) -> None:
    """A clone has equal parameters, is not fitted, and fits to the same density."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    twin = clone(fitted)
    require(repr(twin.get_params()) == repr(fitted.get_params()), "clone changed the parameters")
    with expect_error("score_samples of a clone", Exception):
        twin.score_samples(X)
    twin.fit(X)
    assert_allclose(log_density(twin, X), log_density(fitted, X), rtol=RTOL)


@density_check()
def check_get_and_set_params(estimator: Any) -> None:
    """`set_params` takes what `get_params` gives and returns self; `fit` changes no parameter."""
    twin = seeded_clone(estimator)
    before = repr(twin.get_params())
    require(twin.set_params(**twin.get_params(deep=False)) is twin, "set_params must return self")
    twin.fit(table_for(estimator))
    require(repr(twin.get_params()) == before, "fit changed a constructor parameter")


@density_check(has_random_state)
def check_random_state_in_constructor(estimator: Any) -> None:
    """The constructor takes an int, a RandomState, a Generator or None; equal seeds, equal fits."""
    X = table_for(estimator)
    for make in (int, np.random.RandomState, np.random.default_rng):
        one, other = (fit_clone(estimator, X, seed=make(3)) for _ in range(2))
        assert_allclose(log_density(one, X), log_density(other, X), rtol=RTOL)
    log_density(fit_clone(estimator, X, seed=None), X)


@density_check(has_method("partial_fit"))
def check_partial_fit_split_invariance(estimator: Any) -> None:
    """`partial_fit` on parts of any size is as good as on the whole, and returns self."""
    X = table_for(estimator)
    whole = seeded_clone(estimator)
    require(whole.partial_fit(X) is whole, "partial_fit must return self")
    for sizes in ([60, 60], [1, 19, 30, 70]):
        parts = seeded_clone(estimator)
        for part in np.split(X, np.cumsum(sizes)[:-1]):
            parts.partial_fit(part)
        assert_same_density(estimator, parts, whole, X, f"parts of {sizes} rows")


@density_check()
def check_failed_refit_leaves_estimator_usable(estimator: Any) -> None:
    """A `fit` that raises leaves the fitted density as it was."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    before, bad = log_density(fitted, X), table_for(estimator, 30, 3)
    bad[-1, -1] = np.inf
    for table in (bad, bad[:0]):
        with expect_error("fit to an infinite or empty table", ValueError):
            fitted.fit(table)
        assert_allclose(log_density(fitted, X), before, rtol=RTOL)
        rows_of(fitted.sample(2))


class _FlatDensity(BaseEstimator):
    """A rival for the grid search: minus ten nats per column, everywhere."""

    def fit(self, X: Any, y: Any = None) -> "_FlatDensity":
        self.n_features_in_ = X.shape[1]
        return self

    def score(self, X: Any, y: Any = None) -> float:
        return -10.0 * X.shape[1]


@density_check()
def check_grid_search(estimator: Any) -> None:
    """GridSearchCV picks by mean log-likelihood per row, whatever the sizes of the folds."""
    X = table_for(estimator, 90)
    ids = np.arange(len(X))
    folds = [(ids[10:], ids[:10]), (ids[:50], ids[50:])]
    candidate = seeded_clone(estimator)
    pipeline = Pipeline([("density", candidate)])
    search = GridSearchCV(
        pipeline, {"density": [_FlatDensity(), candidate]}, cv=folds, error_score="raise"
    ).fit(X)
    means = [log_density(fit_clone(estimator, X[fit]), X[test]).mean() for fit, test in folds]
    assert_allclose(search.cv_results_["mean_test_score"][1], np.mean(means), rtol=1e-6)
    require(search.best_index_ == 1, "a flat density was preferred")


# Checks of `sample_weight` in `fit`: a weight is a number of repetitions.


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
