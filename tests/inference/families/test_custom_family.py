"""A family that a user would write: geometric waiting times, with the abstract methods only."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special, stats
from sklearn.base import clone

from skgm.inference import (
    Family,
    MLEDensity,
    likelihood_ratio_test,
    score_test,
    wald_test,
)
from skgm.inference.families import (
    Binomial,
    ExponentialFamily,
    Parameter,
    ScipyFamily,
    Sums,
    reduce_chunks,
)


class Failures(ExponentialFamily):
    """Number of failures before the first success, p(x) = p (1 - p)^x."""

    name = "failures"
    support = "counts"
    discrete = True
    parameters = (Parameter("p", low=0.0, high=1.0, link="logit"),)
    statistics_type = Sums

    def summarize(self, X, weight):
        return reduce_chunks(Sums.from_chunk, X, weight)

    def check_statistics(self, statistics, names):
        pass

    def restricted_estimate(self, statistics, null):
        return {"p": np.where(np.isnan(null["p"]), 1 / (1 + statistics.mean), null["p"])}

    def log_likelihood(self, statistics, params):
        p = params["p"]
        return statistics.n * np.log(p) + special.xlog1py(statistics.total, -p)

    def log_density(self, X, params):
        return np.log(params["p"]) + special.xlog1py(X, -params["p"])

    def score(self, X, params):
        return (1 / params["p"] - X / (1 - params["p"]))[..., None]

    def information(self, params):
        return (1 / (params["p"] ** 2 * (1 - params["p"])))[..., None, None]

    def sample(self, params, n_samples, rng):
        return rng.geometric(params["p"], (n_samples, len(params["p"]))) - 1.0


X = np.random.default_rng(0).geometric(0.3, (120, 2)) - 1.0
MODEL = MLEDensity(Failures())


def test_fit_and_errors():
    model = MLEDensity(Failures()).fit(X)
    p = 1 / (1 + X.mean(axis=0))
    assert_allclose(model.params_["p"], p)
    assert_allclose(model.standard_errors()["p"], p * np.sqrt((1 - p) / 120))
    total = stats.geom(p).logpmf(X + 1).sum()
    assert_allclose(model.loglik_, total)


def test_profile_is_the_default_and_ends_where_the_ratio_test_rejects():
    found = MLEDensity(Failures()).fit(X).confidence_intervals()
    assert found.methods["p"] == "profile"
    for end in found["p"]:
        result = likelihood_ratio_test(MODEL, X[:, [0]], {"p": end[0]})
        assert_allclose(result.statistic, stats.chi2.ppf(0.95, 1), rtol=1e-8)


@pytest.mark.parametrize("method", ["wald", "wald-transformed", "robust"])
def test_other_intervals_lie_near(method):
    model = MLEDensity(Failures()).fit(X)
    auto = model.confidence_intervals()["p"]
    other = model.confidence_intervals(method=method, X=X)["p"]
    width = auto[1] - auto[0]
    assert (np.abs(np.array(other) - auto) < 0.15 * width).all()


def test_the_three_tests_agree_roughly():
    values = [t(MODEL, X, {"p": 0.3}).statistic for t in (score_test, likelihood_ratio_test)]
    values.append(wald_test(MODEL, X, {"p": 0.3}).statistic)
    assert_allclose(values, np.mean(values), rtol=0.2)


def test_profile_at_the_boundary_is_one_sided():
    """All zeros: p = 1, and -2 n log p = q at the lower end."""
    low, high = MLEDensity(Failures()).fit(np.zeros((30, 1))).confidence_intervals()["p"]
    assert high == 1
    assert_allclose(low, np.exp(-stats.chi2.ppf(0.95, 1) / 60), rtol=1e-9)


def test_a_family_must_write_its_methods():
    with pytest.raises(TypeError, match="abstract"):
        Family()


def test_families_read_as_the_call_that_makes_them_and_compare_by_their_settings():
    assert repr(MLEDensity(Failures())) == "MLEDensity(family=Failures())"
    assert clone(MLEDensity(Failures())).get_params() == MLEDensity(Failures()).get_params()
    assert hash(Binomial(3)) == hash(Binomial(3))
    assert Binomial(3) == Binomial(3) != Binomial(4)
    assert repr(Binomial(3)) == "Binomial(n=3)"
    burr = ScipyFamily(stats.burr12)
    assert repr(burr) == "ScipyFamily(stats.burr12, fixed={'loc': 0.0})"
    assert ScipyFamily(copy.deepcopy(stats.burr12)) == burr != ScipyFamily(stats.burr12, {"c": 2})
    own = [type(stats.norm)(name="own") for _ in range(2)]  # no name tells these apart
    assert ScipyFamily(own[0]) == ScipyFamily(own[0]) != ScipyFamily(own[1])


def test_a_missing_constant_leaves_the_tags_of_the_family():
    for name, support in (("binomial", "counts"), ("pareto", "positive")):
        assert MLEDensity(name).__density_tags__().support == support
        assert MLEDensity(name).__sklearn_tags__().input_tags.positive_only
