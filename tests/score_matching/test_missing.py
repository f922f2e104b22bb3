"""NaN in the training table: the maximum of the observed likelihood."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score

from skgm import ScoreMatchingGaussian
from skgm.score_matching._gaussian import missing

COVARIANCE = np.array([[1.0, 0.6, 0.3], [0.6, 2.0, -0.4], [0.3, -0.4, 0.5]])
MEAN = np.array([1.0, -2.0, 0.5])


def holed(n, share=0.3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.multivariate_normal(MEAN, COVARIANCE, size=n)
    X[rng.random(X.shape) < share] = np.nan
    return X


def observed_loglik(X, mean, covariance):
    total = 0.0
    for row in X:
        seen = ~np.isnan(row)
        if seen.any():
            law = stats.multivariate_normal(mean[seen], covariance[np.ix_(seen, seen)])
            total += law.logpdf(row[seen])
    return total


@pytest.mark.slow
def test_it_is_the_maximum_of_the_observed_likelihood():
    """A general optimizer over mean and Cholesky factor finds nothing better."""
    X = holed(60)
    fitted = ScoreMatchingGaussian(missing="em").fit(X)
    assert_allclose(
        fitted.loglik_, observed_loglik(X, fitted.location_, fitted.covariance_), rtol=1e-10
    )
    lower = np.tril_indices(3)

    def loss(theta):
        L = np.zeros((3, 3))
        L[lower] = theta[3:]
        return -observed_loglik(X, theta[:3], L @ L.T + 1e-12 * np.eye(3))

    start = np.concatenate([fitted.location_, np.linalg.cholesky(fitted.covariance_)[lower]])
    best = optimize.minimize(loss, start * 1.05, method="BFGS")
    assert -best.fun < fitted.loglik_ + 1e-4
    assert_allclose(best.x, start, atol=0.01)


def test_a_monotone_pattern_has_the_factored_solution():
    """Column 1 missing in the last rows: regression of it on column 0, in closed form."""
    X = holed(80, share=0.0)[:, :2]
    X[50:, 1] = np.nan
    fitted = ScoreMatchingGaussian(missing="em").fit(X)
    slope, level = np.polyfit(X[:50, 0], X[:50, 1], 1)
    noise = np.mean((X[:50, 1] - level - slope * X[:50, 0]) ** 2)
    assert_allclose(fitted.location_, [X[:, 0].mean(), level + slope * X[:, 0].mean()], rtol=1e-6)
    variance = X[:, 0].var()
    assert_allclose(fitted.covariance_[0], [variance, slope * variance], rtol=1e-6)
    assert_allclose(fitted.covariance_[1, 1], noise + slope**2 * variance, rtol=1e-6)


def test_complete_tables_and_units():
    X = holed(100, share=0.0)
    plain, em = ScoreMatchingGaussian().fit(X), ScoreMatchingGaussian(missing="em").fit(X)
    assert_allclose(em.covariance_, plain.covariance_, rtol=1e-7)
    assert_allclose(em.loglik_, plain.loglik_, rtol=1e-9)
    assert_allclose(em.standard_errors()["location"], plain.standard_errors()["location"])
    scale = np.array([1e-8, 1.0, 1e8])
    X = holed(100)
    one = ScoreMatchingGaussian(missing="em").fit(X)
    other = ScoreMatchingGaussian(missing="em").fit(X * scale)
    assert_allclose(other.covariance_, one.covariance_ * np.outer(scale, scale), rtol=1e-6)


def test_errors_shrink_where_listwise_deletion_is_biased():
    """Missing at random: column 1 is seen only where column 0 is low.

    20,000 rows: the error of the mean is about sqrt(2 / 10000) = 0.014, compared at 4.9 of it.
    """
    X = np.random.default_rng(0).multivariate_normal(MEAN[:2], COVARIANCE[:2, :2], size=20_000)
    X[X[:, 0] > 1.0, 1] = np.nan
    fitted = ScoreMatchingGaussian(missing="em").fit(X)
    assert abs(fitted.location_[1] - MEAN[1]) < 4.9 * 0.02
    assert abs(np.nanmean(X[:, 1]) - MEAN[1]) > 0.3


def test_weights_are_repetitions():
    X = holed(50)
    weight = np.random.default_rng(0).integers(0, 3, size=50)
    one = ScoreMatchingGaussian(missing="em").fit(X, sample_weight=weight)
    other = ScoreMatchingGaussian(missing="em").fit(np.repeat(X, weight, axis=0))
    assert_allclose(one.covariance_, other.covariance_, rtol=1e-9)
    assert_allclose(one.loglik_, other.loglik_, rtol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {"assume_centered": True},
        {"covariance_type": "diag"},
        {"covariance_type": "spherical"},
        {"penalty": "l1"},
    ],
)
def test_with_other_options(options):
    X = holed(400)
    fitted = ScoreMatchingGaussian(missing="em", **options).fit(X)
    assert np.isfinite(fitted.loglik_)
    assert fitted.impute(X, random_state=0).shape == X.shape
    if options.get("assume_centered"):
        assert_allclose(fitted.covariance_[0, 0], COVARIANCE[0, 0] + MEAN[0] ** 2, rtol=0.2)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("complete", [True, False])
def test_repeated_columns_get_the_ridge_and_a_penalty_is_the_cure(dtype, complete):
    X = np.random.default_rng(0).normal(size=(50, 3))
    if not complete:
        X[np.random.default_rng(1).random(X.shape) < 0.3] = np.nan
    X = np.column_stack([X, 2 * X[:, 0]]).astype(dtype)
    with pytest.warns(LinAlgWarning, match=r"determine one another \('x0', 'x3'\)"):
        fitted = ScoreMatchingGaussian(missing="em").fit(X)
    assert fitted.ridge_ > 0
    assert np.isfinite(fitted.loglik_)
    for penalty in ("l1", "l2"):
        cured = ScoreMatchingGaussian(missing="em", penalty=penalty).fit(X)
        assert cured.ridge_ == 0
        assert np.isfinite(cured.loglik_)


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"assume_centered": True},
        {"covariance_type": "diag"},
        {"covariance_type": "spherical"},
        {"penalty": "l1"},
    ],
)
@pytest.mark.parametrize("value", [3.7, 0.0])
def test_constant_columns_are_as_in_a_complete_table(value, options, holes):
    """Missing entries of a constant column are that constant: filled in, the fit is the same."""
    X = holed(60, share=0.0)
    X[:, 1] = value
    with warnings.catch_warnings(record=True) as expected:
        warnings.simplefilter("always", LinAlgWarning)
        plain = ScoreMatchingGaussian(**options).fit(X)
    if holes:
        X[::3, 1] = np.nan
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", LinAlgWarning)
        em = ScoreMatchingGaussian(missing="em", **options).fit(X)
    assert np.isfinite(em.loglik_)
    if holes and options == {"assume_centered": True} and value:
        return  # about a mean of zero the column varies: its missing entries are not known
    assert [str(w.message) for w in told] == [str(w.message) for w in expected]
    assert [w.filename for w in told] == [w.filename for w in expected]
    assert em.ridge_ == plain.ridge_
    assert_allclose(em.location_, plain.location_, rtol=1e-7)
    assert_allclose(em.covariance_, plain.covariance_, rtol=1e-6, atol=1e-9)
    if not holes:
        assert_allclose(em.loglik_, plain.loglik_, rtol=1e-6)
    if "spherical" not in options.values() and "assume_centered" not in options:
        filled = em.impute(X, random_state=0)
        assert_allclose(filled[:, 1], value, atol=1e-2)


def test_constant_columns_beside_others_with_holes():
    """The other columns are fitted as if the constant one were not there; it is named."""
    X = holed(60)
    alone = ScoreMatchingGaussian(missing="em").fit(X[:, [0, 2]])
    X[:, 1] = np.where(np.isnan(X[:, 1]), np.nan, 5.0)
    with pytest.warns(LinAlgWarning, match=r"constant columns \('x1'\)"):
        fitted = ScoreMatchingGaussian(missing="em").fit(X)
    assert_allclose(fitted.location_[[0, 2]], alone.location_, rtol=1e-9)
    assert_allclose(fitted.covariance_[np.ix_([0, 2], [0, 2])], alone.covariance_, rtol=1e-6)
    with pytest.raises(ValueError, match="no standard errors"):
        fitted.standard_errors()
    with pytest.warns(LinAlgWarning, match="constant columns"):
        every = ScoreMatchingGaussian(missing="em").fit(np.where(np.isnan(X), np.nan, 2.0))
    assert_allclose(every.location_, 2.0)


@pytest.mark.parametrize(("n", "share"), [(6, 0.2), (12, 0.1), (20, 0.2)])
def test_too_few_rows_for_the_columns_are_warned_of(n, share):
    """The likelihood of ten columns is unbounded: some direction has no variance left."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 10))
    X[rng.random(X.shape) < share] = np.nan
    with pytest.warns(LinAlgWarning, match="singular"):
        fitted = ScoreMatchingGaussian(missing="em").fit(X)
    assert (np.linalg.eigvalsh(fitted.precision_) > 0).all()


def test_columns_that_are_never_seen_together_are_named():
    X = np.random.default_rng(0).normal(size=(60, 3))
    X[:30, 0] = X[30:, 2] = np.nan
    with pytest.warns(ConvergenceWarning, match="No row holds both 'x0' and 'x2'") as told:
        ScoreMatchingGaussian(missing="em").fit(X)
    assert told[0].filename == __file__


def test_no_partial_fit():
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'") as caught:
        ScoreMatchingGaussian(missing="em").partial_fit(holed(50))
    assert "fills every row in from all others" in str(caught.value.__cause__)


def test_missing_values_are_pointed_to_the_option():
    """Where it exists: not with bounds, nor for infinity."""
    X = holed(50)
    for fit in (ScoreMatchingGaussian().fit, ScoreMatchingGaussian().partial_fit):
        with pytest.raises(ValueError, match=r"NaN in column 'x\d'.*use missing='em'"):
            fit(X)
    bounded = ScoreMatchingGaussian(bounds=(-99, 99), missing="em")
    with pytest.raises(ValueError, match="with bounds there is no missing='em'"):
        bounded.fit(X)
    assert not bounded.__sklearn_tags__().input_tags.allow_nan
    X[0, 0] = np.inf
    with pytest.raises(ValueError, match="infinity") as caught:
        ScoreMatchingGaussian().fit(np.nan_to_num(X, nan=0.0, posinf=np.inf))
    assert "em" not in str(caught.value).split("infinity")[1].split()


@pytest.mark.parametrize("scale", [1e-311, 1e-160, 1e160])
def test_columns_whose_squares_leave_the_range_are_refused(scale):
    X = holed(50)
    X[:, 1] *= scale
    with pytest.raises(ValueError, match="The squares of column 'x1' leave the range"):
        ScoreMatchingGaussian(missing="em").fit(X)


def test_refusals(monkeypatch):
    X = holed(50)
    fitted = ScoreMatchingGaussian(missing="em").fit(X)
    with pytest.raises(ValueError, match="no standard errors or intervals of a fit to missing"):
        fitted.standard_errors()
    for bad, message in ((np.inf, "infinity in column 'x1'"), (np.nan, "Column 'x1' has no two")):
        Y = X.copy()
        Y[:, 1] = bad
        with pytest.raises(ValueError, match=message):
            ScoreMatchingGaussian(missing="em").fit(Y)
    X[1:, 1], X[0, 1] = np.nan, 1.0
    with pytest.raises(ValueError, match="Column 'x1' has no two observed"):
        ScoreMatchingGaussian(missing="em").fit(X)
    X = holed(50)
    monkeypatch.setattr(missing, "MAX_ITER", 2)
    with pytest.warns(UserWarning, match="did not converge in 2 steps"):
        ScoreMatchingGaussian(missing="em").fit(X)


def test_an_infinite_row_of_weight_zero_is_absent():
    X = np.random.default_rng(0).normal(size=(30, 2))
    one = ScoreMatchingGaussian(missing="em").fit(X)
    other = ScoreMatchingGaussian(missing="em").fit(
        np.vstack([X, [[np.inf, 0.0]]]), sample_weight=np.append(np.ones(30), 0.0)
    )
    assert other.loglik_ == pytest.approx(one.loglik_)


def test_rows_with_holes_are_scored_by_what_they_observe():
    """Against scipy's normal of the observed columns, for every covariance type and in folds."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3)) + 5
    X[rng.random(X.shape) < 0.3] = np.nan
    for kind in ("full", "diag", "spherical"):
        fitted = ScoreMatchingGaussian(kind, missing="em").fit(X)
        covariance = fitted._fitted().covariance
        for row, found in zip(X, fitted.score_samples(X)):
            seen = ~np.isnan(row)
            block = covariance[np.ix_(seen, seen)]
            law = stats.multivariate_normal(fitted.location_[seen], block) if seen.any() else None
            assert found == pytest.approx(law.logpdf(row[seen]) if law else 0.0, abs=1e-9)
        assert fitted.score_samples(X).sum() == pytest.approx(fitted.loglik_)
    scores = cross_val_score(ScoreMatchingGaussian(missing="em"), X, cv=3)
    assert np.isfinite(scores).all()
    with pytest.raises(ValueError, match="infinity in column 'x1'"):
        fitted.score_samples([[np.nan, np.inf, 0.0]])
