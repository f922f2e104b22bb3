"""Checks that `score_samples` is the log of a density, and a useful one."""

# ruff: noqa: D401 -- the first line of a check states the promise that it checks

from typing import Any
from unittest import SkipTest

import numpy as np
from numpy.testing import assert_allclose
from scipy.special import logsumexp

from skgm.tables._validation import SUPPORTS
from skgm.testing._data import held_out_baseline, table_for
from skgm.testing._quadrature import Grid, grid_for
from skgm.testing._registry import (
    continuous,
    density_check,
    equivariant,
    get_density_tags,
    has_method,
    score_is_gradient,
)
from skgm.testing._tools import fit_clone, log_density, require

__all__: list[str] = []

KINDS = ("exact", "estimate", "lower_bound")
GROUPS = ("affine", "location-scale", "scale", "none")


@density_check()
def check_tags_are_valid(estimator: Any) -> None:
    """The density tags take values that the suite knows."""
    tags = get_density_tags(estimator)
    require(tags.support in SUPPORTS, f"support {tags.support!r} is none of {[*SUPPORTS]}")
    require(tags.equivariance in GROUPS, f"equivariance {tags.equivariance!r}: none of {GROUPS}")
    flags = (
        "independent_columns",
        "deterministic_fit",
        "score_function_is_gradient",
        "takes_weights",
        "converts_outside",
        "mixed_columns",
    )
    for name in flags:
        require(isinstance(getattr(tags, name), bool), f"{name} must be True or False")


@density_check()
def check_log_density_kind(estimator: Any) -> None:
    """A fitted estimator says what `score_samples` returns, in `log_density_kind_`."""
    fitted = fit_clone(estimator, table_for(estimator))
    kind = getattr(fitted, "log_density_kind_", None)
    require(kind in KINDS, f"log_density_kind_ is {kind!r}; it must be one of {KINDS}")


def _log_total(fitted: Any, grid: Grid) -> float:
    """Return the log of the integral, or of the sum, of the density over the support."""
    return float(logsumexp(log_density(fitted, grid.nodes) + grid.log_volume))


@density_check()
def check_density_integrates_to_one(estimator: Any) -> None:
    """The density integrates, or the mass sums, to one: for one column and for two."""
    tags = get_density_tags(estimator)
    for n_columns in (1, 2):
        X = table_for(estimator, n_columns=n_columns)
        fitted = fit_clone(estimator, X)
        kind = getattr(fitted, "log_density_kind_", "exact")
        if kind == "lower_bound":
            raise SkipTest("score_samples is a lower bound, which integrates to less than one")
        grid = grid_for(tags, X)
        total = np.exp(min(_log_total(fitted, grid), 700.0))
        # an estimated normalizer is off by a factor; points that are scattered are less accurate
        tolerance = 0.1 if kind != "exact" else 0.005 if tags.smooth else 0.02
        assert_allclose(total, 1.0, atol=tolerance, rtol=0, err_msg=f"{n_columns} column(s)")


@density_check(continuous, has_method("score_function"))
def check_score_function_shape(estimator: Any) -> None:
    """`score_function` is a finite floating array of the shape of X."""
    X = table_for(estimator)
    gradient = fit_clone(estimator, X).score_function(X)
    require(isinstance(gradient, np.ndarray), f"score_function returned {gradient!r}")
    require(gradient.shape == X.shape, f"shape {gradient.shape} for X of shape {X.shape}")
    require(gradient.dtype.kind == "f", f"score_function returned {gradient.dtype}")
    require(np.isfinite(gradient).all(), "score_function is not finite at the training rows")


def _finite_differences(fitted: Any, X: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Differentiate score_samples by central differences of fourth order."""
    gradient = np.empty_like(X)
    for j in range(X.shape[1]):
        shift = np.zeros_like(X)
        shift[:, j] = step[:, j]
        narrow = log_density(fitted, X + shift) - log_density(fitted, X - shift)
        wide = log_density(fitted, X + 2 * shift) - log_density(fitted, X - 2 * shift)
        gradient[:, j] = (8 * narrow - wide) / (12 * step[:, j])
    return gradient


@density_check(continuous, has_method("score_function"), score_is_gradient)
def check_score_function_is_gradient(estimator: Any) -> None:
    """`score_function` agrees with finite differences of `score_samples`."""
    fitted = fit_clone(estimator, table_for(estimator))
    X = table_for(estimator, 30, seed=1)
    spread = np.full_like(X, X.std())
    room = {"real": spread, "circle": spread, "unit": X * (1 - X)}
    step = 1e-3 * room.get(get_density_tags(estimator).support, X)
    numeric = _finite_differences(fitted, X, step)
    assert_allclose(fitted.score_function(X), numeric, rtol=1e-4, atol=1e-4 / X.std())


@density_check(continuous, equivariant)
def check_equivariance(estimator: Any) -> None:
    """Fitting X A' + b changes the log-density by -log|det A|, for all A and b of the tag."""
    group = get_density_tags(estimator).equivariance
    matrix = np.array([[3.0, 1.0], [-0.5, 0.25]]) if group == "affine" else np.diag([5.0, 0.2])
    shift = np.zeros(2) if group == "scale" else np.array([10.0, -3.0])
    train, X = table_for(estimator), table_for(estimator, seed=1)
    before = log_density(fit_clone(estimator, train), X)
    after = log_density(fit_clone(estimator, train @ matrix.T + shift), X @ matrix.T + shift)
    log_det = np.linalg.slogdet(matrix)[1]
    assert_allclose(after, before - log_det, rtol=1e-6, atol=1e-6)


@density_check()
def check_beats_independent_margins(estimator: Any) -> None:
    """On new rows with dependent columns, the density beats a product of fitted margins.

    One with independent columns need only be no worse, to a quarter of a nat per column. "Beats"
    means by more than two standard errors of the mean difference; the data are dependent enough
    for the gain to be many times that. A density that integrates to more than one is divided by
    its integral, so that scale alone wins nothing.
    """
    tags = get_density_tags(estimator)
    train = table_for(estimator, 200, correlation=0.9)
    X = table_for(estimator, 400, correlation=0.9, seed=1)
    fitted = fit_clone(estimator, train)
    surplus = max(_log_total(fitted, grid_for(tags, train)), 0.0)
    gain = log_density(fitted, X) - surplus - held_out_baseline(tags.support, train, X)
    require(np.isfinite(gain).all(), "the log-density of a new row is infinite")
    margin = 2 * gain.std() / np.sqrt(len(X))
    least = -0.25 * X.shape[1] if tags.independent_columns else margin
    require(
        gain.mean() > least,
        f"gain over independent margins: {gain.mean():.3f} nats a row; needed: {least:.3f}",
    )
