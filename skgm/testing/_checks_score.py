"""Checks of `score_samples` as a function of rows, and of `score` as its mean."""

# ruff: noqa: D401 -- the first line of a check states the promise that it checks

from typing import Any

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from skgm.testing._data import far_tables, outside_support, table_for
from skgm.testing._registry import density_check, get_density_tags, limited_support, takes
from skgm.testing._tools import RTOL, fit_clone, log_density, require

__all__: list[str] = []


@density_check()
def check_score_is_mean_of_score_samples(estimator: Any) -> None:
    """`score` is the mean of `score_samples`, whatever the number of rows."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    for rows in (X, X[:7]):
        assert_allclose(fitted.score(rows), log_density(fitted, rows).mean(), rtol=1e-6)


@density_check()
def check_score_is_float(estimator: Any) -> None:
    """`score` returns one finite float."""
    X = table_for(estimator)
    score = fit_clone(estimator, X).score(X)
    require(isinstance(score, float | np.floating), f"score returned {type(score).__name__}")
    require(np.isfinite(score), f"score is {score} on the training table")


@density_check(takes("score", "sample_weight"))
def check_score_uses_weights(estimator: Any) -> None:
    """`score` with weights is the weighted mean; rows of weight zero are absent."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    values = log_density(fitted, X)
    weight = 3.0 * (np.argsort(np.argsort(values)) >= len(X) // 2)
    expected = np.average(values, weights=weight)
    assert_allclose(fitted.score(X, sample_weight=weight), expected, rtol=1e-6)


@density_check()
def check_score_samples_shape_and_dtype(estimator: Any) -> None:
    """`score_samples` is a float64 array of shape (n_samples,), also for one row and float32."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    for rows in (X, X[:1], X.astype(np.float32)):
        values = fitted.score_samples(rows)
        require(isinstance(values, np.ndarray), f"score_samples returned {values!r}")
        require(values.shape == (len(rows),), f"shape {values.shape} for {len(rows)} rows")
        require(values.dtype == np.float64, f"score_samples returned {values.dtype}")


@density_check()
def check_score_samples_deterministic(estimator: Any) -> None:
    """Two calls of `score_samples` agree."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    assert_allclose(log_density(fitted, X), log_density(fitted, X), rtol=RTOL)


@density_check()
def check_score_samples_batch_invariant(estimator: Any) -> None:
    """A row has the same log-density alone and in any batch."""
    X = table_for(estimator, 24)
    fitted = fit_clone(estimator, X)
    whole = log_density(fitted, X)
    for size in (1, 7):
        starts = range(0, len(X), size)
        parts = np.concatenate([log_density(fitted, X[i : i + size]) for i in starts])
        assert_allclose(parts, whole, rtol=RTOL, atol=RTOL, err_msg=f"batches of {size}")


@density_check()
def check_score_samples_order_invariant(estimator: Any) -> None:
    """A row has the same log-density wherever it stands in the table."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    order = np.random.default_rng(0).permutation(len(X))
    assert_allclose(log_density(fitted, X[order]), log_density(fitted, X)[order], rtol=RTOL)


@density_check()
def check_score_samples_finite_inside_support(estimator: Any) -> None:
    """New rows like the training rows have a finite log-density."""
    fitted = fit_clone(estimator, table_for(estimator))
    values = log_density(fitted, table_for(estimator, 200, seed=1))
    require(np.isfinite(values).all(), "score_samples is infinite inside the support")


@density_check()
def check_score_samples_never_nan(estimator: Any) -> None:
    """Rows far away have a log-density of -inf or a finite number, never NaN or +inf."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    support = get_density_tags(estimator).support
    tables = far_tables(support, X)
    if support == "real":
        tables += [np.full_like(X, 1e100), X * [1e100, -1e90]]
    for rows in tables:
        require((log_density(fitted, rows) < np.inf).all(), "score_samples returned +inf")


@density_check(limited_support)
def check_minus_infinity_outside_support(estimator: Any) -> None:
    """A row with any value outside the support has a log-density of -inf."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    values = outside_support(get_density_tags(estimator).support)
    rows = np.repeat(X[:1], 2 * len(values), axis=0)
    for column in (0, 1):
        rows[column::2, column] = values
    assert_array_equal(log_density(fitted, rows), -np.inf)


@density_check()
def check_training_rows_beat_far_rows(estimator: Any) -> None:
    """Rows like the training rows are at least as likely as rows far away, in any direction."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    near = log_density(fitted, table_for(estimator, seed=1)).mean()
    for rows in far_tables(get_density_tags(estimator).support, X):
        far = log_density(fitted, rows).mean()
        require(near >= far, f"far rows: {far:.3g} nats; rows like the training rows: {near:.3g}")
