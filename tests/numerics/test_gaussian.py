"""The one criterion of singularity, and that both Gaussian estimators go by it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import LinAlgWarning

from skgm import MLEDensity, ScoreMatchingGaussian
from skgm._numerics.gaussian import RIDGE, factorize, factorize_diagonal, log_determinant


def test_dependent_columns_are_found_at_any_scale():
    X = np.random.default_rng(0).standard_normal((40, 5)) * [1e-9, 1.0, 1e9, 1.0, 1.0]
    assert factorize(np.cov(X.T), X.mean(axis=0)).ridge == 0.0
    X[:, 3] = X[:, 0] * 1e9 - X[:, 1]
    factor = factorize(np.cov(X.T), X.mean(axis=0))
    assert factor.ridge == RIDGE
    assert_array_equal(factor.dependent, [0, 1, 3])


@pytest.mark.parametrize("correlation", [0.999999, 1 - 1e-9])
def test_near_dependence_is_not_dependence(correlation):
    covariance = np.array([[1.0, correlation], [correlation, 1.0]])
    assert factorize(covariance, np.zeros(2)).ridge == 0.0


def test_factor_against_numpy():
    root = np.random.default_rng(1).standard_normal((6, 6)) * 10.0 ** np.arange(-3, 3)
    covariance = root.T @ root
    factor = factorize(covariance, np.zeros(6))
    # on the scale of correlations, where the condition is about 1e3
    sd = np.sqrt(np.diag(covariance))
    inverse = np.linalg.inv(covariance / np.outer(sd, sd))
    assert_allclose(factor.precision * np.outer(sd, sd), inverse, rtol=1e-9)
    assert log_determinant(factor.scaled) == pytest.approx(np.linalg.slogdet(covariance)[1])
    diagonal = factorize_diagonal(np.diag(covariance), np.zeros(6), pooled=False)
    assert_allclose(diagonal.precision, 1 / np.diag(covariance))


def constant_to_rounding(rng):
    X = rng.standard_normal((50, 3))
    X[:, 1] = 0.1 * 3
    X[::2, 1] = 0.3  # 0.1 * 3 differs from 0.3 in the last bit
    return X, "x1", "constant"


def near_constant(rng):
    X = rng.standard_normal((50, 3))
    X[:, 1] = 1e7 + 1e-6 * X[:, 1]  # a spread of some hundred roundings
    return X, None, None


def collinear(rng):
    X = rng.standard_normal((50, 3)) * [1e-6, 1.0, 1e6]
    return np.column_stack([X, X[:, 0] * 1e6 + X[:, 1]]), "x0 x1 x3", "dependent"


def nearly_collinear(rng):
    X = rng.standard_normal((50, 3))
    X[:, 2] = X[:, 0] + 1e-5 * X[:, 2]
    return X, None, None


def duplicated_to_rounding(rng):
    X = rng.standard_normal((50, 2))
    return np.column_stack([X, X[:, 0] * (1 + 1e-15)]), "x0 x2", "dependent"


def few_rows(rng):
    return rng.standard_normal((3, 3)), "x0 x1 x2", "dependent"


CASES = (
    constant_to_rounding,
    near_constant,
    collinear,
    nearly_collinear,
    duplicated_to_rounding,
    few_rows,
)


@pytest.mark.parametrize("case", CASES)
def test_likelihood_refuses_what_score_matching_warns_of(case):
    """The same columns in the error of the one and in the warning of the other."""
    X, names, kind = case(np.random.default_rng(2))
    if names is None:
        assert ScoreMatchingGaussian().fit(X).ridge_ == 0.0
        MLEDensity("mvn").fit(X)
        return
    quoted = ", ".join(repr(name) for name in names.split())
    with pytest.warns(LinAlgWarning, match=rf"\({quoted}\)"):
        ScoreMatchingGaussian().fit(X)
    what = "constant columns" if kind == "constant" else "linear combinations of the others"
    with pytest.raises(ValueError, match=rf"{what} \({', '.join(names.split())};"):
        MLEDensity("mvn").fit(X)


def test_constant_to_rounding_in_models_of_independent_columns():
    X, *_ = constant_to_rounding(np.random.default_rng(3))
    with pytest.warns(LinAlgWarning, match=r"constant columns \('x1'\)"):
        ScoreMatchingGaussian("diag").fit(X)
    with pytest.raises(ValueError, match=r"constant columns \(x1;"):
        MLEDensity().fit(X)
