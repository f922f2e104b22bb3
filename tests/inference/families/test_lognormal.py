"""The lognormal family is the normal family of log x."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm import MLEDensity


def fitted_pair():
    X = np.random.default_rng(0).lognormal(0.4, 1.3, size=(9, 2))
    return X, MLEDensity("lognorm").fit(X), MLEDensity("normal").fit(np.log(X))


def test_estimates_and_every_interval_are_the_normal_ones():
    _, model, normal = fitted_pair()
    for method in ("auto", "wald", "wald-transformed", "score", "profile", "exact"):
        found = model.confidence_intervals(method=method)
        expected = normal.confidence_intervals(method=method)
        for name in ("mu", "sigma"):
            assert_allclose(model.params_[name], normal.params_[name], rtol=1e-14)
            assert_allclose(found[name], expected[name], rtol=1e-13)


def test_log_likelihood_has_the_jacobian():
    X, model, _ = fitted_pair()
    expected = sum(
        stats.lognorm(s, scale=np.exp(m)).logpdf(X[:, j]).sum()
        for j, (m, s) in enumerate(zip(model.params_["mu"], model.params_["sigma"]))
    )
    assert_allclose(model.loglik_, expected, rtol=1e-13)


def test_exact_intervals_are_students_t_and_chi_square():
    X, model, _ = fitted_pair()
    t = np.log(X)
    found = model.confidence_intervals(0.9)
    half = stats.t.ppf(0.95, 8) * t.std(axis=0, ddof=1) / 3
    assert_allclose(found["mu"], [t.mean(axis=0) - half, t.mean(axis=0) + half], rtol=1e-12)
    ends = np.sqrt(8 * t.var(axis=0, ddof=1) / stats.chi2.ppf([[0.95], [0.05]], 8))
    assert_allclose(found["sigma"], ends, rtol=1e-12)


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_scale_moves_mu_only(factor):
    X, model, _ = fitted_pair()
    scaled = MLEDensity("lognormal").fit(X * factor)
    assert_allclose(scaled.params_["sigma"], model.params_["sigma"], rtol=1e-12)
    assert_allclose(scaled.params_["mu"], model.params_["mu"] + np.log(factor), rtol=1e-13)


def test_weights_are_repetitions():
    X, weight = fitted_pair()[0], np.arange(1, 10)
    one = MLEDensity("lognormal").fit(X, sample_weight=weight)
    many = MLEDensity("lognormal").fit(X.repeat(weight, axis=0))
    assert_allclose(one.loglik_, many.loglik_, rtol=1e-13)
    for name in ("mu", "sigma"):
        assert_allclose(one.params_[name], many.params_[name], rtol=1e-13)


def test_rounded_logarithms_of_a_constant_are_refused():
    """scipy returns s = 2.6e-16 here."""
    with pytest.raises(ValueError, match="lognormal family has no estimate for constant columns"):
        MLEDensity("lognormal").fit(np.full((5, 1), 0.1))
