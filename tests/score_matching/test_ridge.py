"""What happens to singular covariances: warning, ridge, refusal of standard errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import LinAlgWarning

from skgm import ScoreMatchingGaussian
from skgm._numerics.gaussian import RIDGE

SINGULAR = pytest.warns(LinAlgWarning, match="covariance is singular")


def fitted(X, *args, match, weight=None, **kwargs):
    with pytest.warns(LinAlgWarning, match=match):
        density = ScoreMatchingGaussian(*args, **kwargs).fit(X, sample_weight=weight)
    assert density.ridge_ == RIDGE
    assert np.isfinite(density.score_samples(X)).all()
    assert np.isfinite(density.score_function(X)).all()
    assert np.isfinite(density.sample(5, 0)).all()
    assert np.isfinite([density.loss_, density.loglik_]).all()
    assert density.loss(X, sample_weight=weight) == pytest.approx(density.loss_, rel=1e-6)
    total = np.sum(density.score_samples(X) * (1 if weight is None else weight))
    assert density.loglik_ == pytest.approx(total, rel=1e-6)
    return density


@pytest.fixture
def X(rng):
    return rng.standard_normal((200, 4)) * [1e-6, 1.0, 1e6, 3.0] + [0.0, 1.0, 1e8, 0.0]


def test_constant_columns_are_named(X):
    X[:, 1], X[:, 3] = 5.0, 0.0
    density = fitted(X, match=r"constant columns \('x1', 'x3'\)")
    # relative to the squared value, or to one for a column of zeros
    assert density.covariance_[1, 1] == pytest.approx(25 * RIDGE)
    assert density.covariance_[3, 3] == pytest.approx(RIDGE)
    assert density.covariance_[0, 0] == pytest.approx(X[:, 0].var() * (1 + RIDGE))
    assert not density.covariance_[1, [0, 2, 3]].any()


@pytest.mark.parametrize("covariance_type", ["diag", "spherical"])
def test_constant_columns_of_independent_models(X, covariance_type):
    X[:, 1] = 5.0
    if covariance_type == "diag":
        density = fitted(X, "diag", match=r"constant columns \('x1'\)")
        assert density.covariance_[1] == pytest.approx(25 * RIDGE)
    else:  # one constant column leaves the common variance positive
        assert ScoreMatchingGaussian("spherical").fit(X).ridge_ == 0.0
        X[:] = [5.0, 0.0, -2.0, 1.0]
        density = fitted(X, "spherical", match="constant columns")
        assert density.covariance_ == pytest.approx(RIDGE * (25 + 1 + 4 + 1) / 4)
    with pytest.raises(ValueError, match="no standard errors or intervals"):
        density.standard_errors()


def test_duplicated_and_collinear_columns_are_named(X):
    twice = np.column_stack([X, 3 - 7 * X[:, 1]])
    fitted(twice, match=r"columns that determine one another \('x1', 'x4'\)")
    names = r"columns that determine one another \('x0', 'x2', 'x3', 'x4'\)"
    fitted(np.column_stack([X, X[:, 0] * 1e6 + X[:, 2] * 1e-6 - X[:, 3]]), match=names)
    both = np.column_stack([X, np.ones(len(X)), X[:, 0]])
    fitted(
        both, match=r"constant columns \('x4'\); columns that determine one another \('x0', 'x5'"
    )


def test_too_few_rows_are_counted(rng):
    X = rng.standard_normal((15, 30))
    density = fitted(X, match=r"too few rows \(15\) for 30 columns \('x0', .* and 20 more\)")
    with pytest.raises(ValueError, match="no standard errors or intervals"):
        density.confidence_intervals(X=X)
    assert ScoreMatchingGaussian("diag").fit(X).ridge_ == 0.0
    weight = np.arange(15.0) * 10  # one row is absent, the others count once
    fitted(X, match=r"too few rows \(14\) for 30", weight=weight)
    with pytest.warns(LinAlgWarning, match=r"too few rows \(29\) for 30"):
        density.partial_fit(X, sample_weight=weight)


def test_just_enough_rows_need_no_ridge(rng):
    X = rng.standard_normal((6, 5))
    assert ScoreMatchingGaussian().fit(X).ridge_ == 0.0
    fitted(X[:5], match=r"too few rows \(5\) for 5 columns")
    assert ScoreMatchingGaussian(assume_centered=True).fit(X[:5]).ridge_ == 0.0


@pytest.mark.parametrize("correlation", [0.999, 0.9999999])
def test_strong_correlation_is_not_singular(rng, correlation):
    z = rng.standard_normal((500, 2))
    X = np.column_stack([z[:, 0], correlation * z[:, 0] + np.sqrt(1 - correlation**2) * z[:, 1]])
    X = X * [1e-6, 1e6] + [0, 1e8]
    density = ScoreMatchingGaussian().fit(X)
    assert density.ridge_ == 0.0
    assert np.isfinite(density.standard_errors()["covariance"]).all()


def test_weight_is_repetition_without_full_rank(rng):
    X = rng.standard_normal((15, 30))
    weight = rng.integers(0, 5, 15)
    repeated = fitted(np.repeat(X, weight, axis=0), match="covariance is singular")
    weighted = fitted(X, match="covariance is singular", weight=weight.astype(float))
    rows = rng.standard_normal((10, 30))
    # the null directions amplify rounding by 1 / RIDGE: 2^26 * 1e-16 * a few
    assert_allclose(weighted.score_samples(rows), repeated.score_samples(rows), rtol=1e-6)
    assert_allclose(weighted.covariance_, repeated.covariance_, rtol=1e-12, atol=1e-14)


def test_ridge_is_equivariant_to_location_and_scale(rng):
    X = rng.standard_normal((15, 30))
    scale, shift = 10.0 ** rng.uniform(-3, 3, 30), rng.standard_normal(30)
    density = fitted(X, match="singular")
    moved = fitted(X * scale + shift, match="singular")
    rows = rng.standard_normal((10, 30))
    got = moved.score_samples(rows * scale + shift) + np.log(scale).sum()
    assert_allclose(got, density.score_samples(rows), rtol=1e-5)


def test_the_warning_points_at_the_caller(rng):
    with SINGULAR as caught:
        ScoreMatchingGaussian().fit(np.ones((3, 2)))
    assert caught[0].filename == __file__


@pytest.mark.parametrize("value", [1e200, 1e-200, 0.0, 1e100])
def test_extreme_constants(rng, value):
    X = np.column_stack([rng.standard_normal(20), np.full(20, value)])
    if value == 1e200:
        with pytest.raises(ValueError, match="column 'x1' leave the range"):
            ScoreMatchingGaussian().fit(X)
    else:
        fitted(X, match=r"constant columns \('x1'\)")


def test_one_repeated_row():
    X = np.array([[1.0, 2.0], [3.0, 4.0]])
    with SINGULAR:
        weighted = ScoreMatchingGaussian().fit(X, sample_weight=[3, 0])
    with SINGULAR:
        repeated = ScoreMatchingGaussian().fit(np.repeat(X[:1], 3, axis=0))
    assert_allclose(weighted.covariance_, repeated.covariance_)


def test_conditional_draws_work_with_a_ridge(rng):
    X = rng.standard_normal((15, 30))
    density = fitted(X, match="singular")
    holes = np.where(rng.uniform(size=X.shape) < 0.4, np.nan, X)
    filled = density.impute(holes, 0)
    assert np.isfinite(filled).all()
    duplicated = rng.standard_normal((100, 1)) @ [[1.0, 2.0]]
    density = fitted(duplicated, match="determine one another")
    draws = density.sample(50, 0, given=[[1.0, np.nan]])
    assert_allclose(draws[:, 1], 2.0, atol=1e-2)  # a ridge of 1.5e-8 is a noise of 2e-4
