"""Transformed families against the known family of t(x), and by differences."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm import MLEDensity, likelihood_ratio_test
from skgm.inference.families import Cauchy, Laplace, LogLogistic, LogNormal, Pareto, Weibull
from skgm.inference.families._transformed import (
    LOG,
    RECIPROCAL,
    SAME,
    Map,
    Transformed,
    parameters_of,
)
from tests.inference.families.cases import table

CASES = [
    (Weibull(), stats.weibull_min(1.7, scale=2.0)),
    (LogLogistic(), stats.fisk(1.7, scale=2.0)),
    (LogNormal(), stats.lognorm(0.6, scale=2.0)),
    (Pareto(minimum=1.5), stats.pareto(2.0, scale=1.5)),
]
each = pytest.mark.parametrize(("family", "law"), CASES, ids=[f.name for f, _ in CASES])


def fitted(family, law, n=25):
    X = table([law, law], n)
    statistics = family.summarize(X, None)
    return X, statistics, family.estimate(statistics)


def slope(function, params, name):
    step = 1e-5 * np.abs(params[name])
    up, down = (np.asarray(function({**params, name: params[name] + s})) for s in (step, -step))
    return (up - down) / (2 * step).reshape((-1,) + (1,) * (up.ndim - 1))


@pytest.mark.parametrize("link", [SAME, LOG, RECIPROCAL])
def test_maps_have_their_inverses_and_derivatives(link):
    x, step = np.array([0.3, 1.0, 4.0]), 1e-5
    assert_allclose(link.inverse(link.forward(x)), x, rtol=1e-14)
    for function, derivative in ((link.forward, link.slope), (link.slope, link.bend)):
        rise = (function(x + step) - function(x - step)) / (2 * step)
        assert_allclose(derivative(x), rise, rtol=1e-7, atol=1e-9)


@each
def test_expansion_and_canonical_are_their_differences(family, law):
    _, statistics, estimate = fitted(family, law)
    there = {name: value * 1.1 + 0.05 for name, value in estimate.items()}
    height, score, information = family.expansion(statistics, there)
    assert_allclose(height * 25, family.log_likelihood(statistics, there), rtol=1e-12)
    assert_allclose(score, family.mean_score(statistics, there), rtol=1e-12)
    _, jacobian = family.canonical(statistics, estimate, there)
    for k, name in enumerate(estimate):
        rise = slope(lambda p: family.log_likelihood(statistics, p) / 25, there, name)
        assert_allclose(score[:, k], rise, rtol=1e-6, atol=1e-8)
        rise = slope(lambda p: family.mean_score(statistics, p), there, name)
        assert_allclose(information[..., k], -rise, rtol=1e-6, atol=1e-7)
        rise = slope(lambda p: family.canonical(statistics, estimate, p)[0], there, name)
        assert_allclose(jacobian[..., k], rise, rtol=1e-6, atol=1e-7)


@each
@pytest.mark.parametrize("method", ["profile", "rstar"])
def test_the_test_at_an_end_of_an_interval_has_its_level(family, law, method):
    """Intervals are mapped back from the known family, tests are computed in these parameters."""
    X = table([law], 15)
    model = MLEDensity(family).fit(X)
    correction = "rstar" if method == "rstar" else None
    for name, ends in model.confidence_intervals(0.9, method).items():
        for end in ends:
            found = likelihood_ratio_test(MLEDensity(family), X, {name: end}, correction=correction)
            assert_allclose(found.pvalue, 0.1, rtol=1e-6)


@each
def test_what_is_held_keeps_its_digits(family, law):
    _, statistics, estimate = fitted(family, law)
    for name in estimate:
        null = {**family.no_restriction(statistics), name: estimate[name] * 1.1}
        for found in (
            family.restricted_estimate(statistics, null),
            family.restricted_near(statistics, null, estimate),
        ):
            assert np.array_equal(found[name], null[name])


class LogLaplace(Transformed):
    name, support, base = "log_laplace", "positive", Laplace()
    links = {"loc": ("loc", SAME), "scale": ("scale", SAME)}
    parameters = parameters_of(base, links)


class CauchyThird(Transformed):
    """A family of 3 x: a map of one's own, on the whole line."""

    name, support, base = "cauchy_third", "real", Cauchy()
    map = Map(lambda x: 3 * x, lambda t: t / 3, lambda x: np.full_like(x, 3.0), np.zeros_like)
    map = map._replace(log_slope=(np.log(3), 0.0))
    links = {"loc": ("loc", SAME), "scale": ("scale", SAME)}
    parameters = parameters_of(base, links)


def test_a_family_of_ones_own_in_five_lines():
    x = np.random.default_rng(0).laplace(1.0, 0.5, (30, 1))
    own, known = MLEDensity(LogLaplace()).fit(np.exp(x)), MLEDensity("laplace").fit(x)
    assert_allclose(own.score_samples(np.exp(x)), known.score_samples(x) - x[:, 0], rtol=1e-12)
    for name, ends in known.confidence_intervals().items():
        assert_allclose(own.confidence_intervals()[name], ends, rtol=1e-9)


def test_another_map_and_its_density():
    x = np.random.default_rng(0).standard_cauchy((30, 1))
    own, known = MLEDensity(CauchyThird()).fit(x / 3), MLEDensity("cauchy").fit(x)
    assert_allclose(own.score_samples(x / 3), known.score_samples(x) + np.log(3), rtol=1e-12)
    assert_allclose(own.score_function(x / 3), 3 * known.score_function(x), rtol=1e-12)
    for name, ends in known.confidence_intervals(0.9, "rstar").items():
        assert_allclose(own.confidence_intervals(0.9, "rstar")[name], ends, rtol=1e-9)


def test_errors_name_the_family():
    for family in (Weibull(), LogNormal(), LogLogistic()):
        with pytest.raises(ValueError, match=f"The {family.name} family has no estimate for const"):
            MLEDensity(family).fit([[2.0], [2.0]])


@each
def test_standard_errors_are_those_of_the_inverse_information(family, law):
    _, statistics, estimate = fitted(family, law)
    inverse = np.linalg.inv(family.information(estimate)) / statistics.n
    errors = family.pack(family.standard_errors(estimate, statistics.n))
    assert_allclose(errors, np.sqrt(np.diagonal(inverse, axis1=1, axis2=2)), rtol=1e-12)


@each
def test_canonical_of_one_free_parameter_is_its_own_column(family, law):
    _, statistics, estimate = fitted(family, law)
    there = {name: value * 1.1 for name, value in estimate.items()}
    for k in range(len(estimate)):
        phi, jacobian = family.canonical_free(statistics, estimate, there, [k])
        name = family.parameters[k].name
        step = 1e-5 * there[name]
        ends = [{**there, name: there[name] + s} for s in (step, -step)]
        up, down = (family.canonical_free(statistics, estimate, p, [k])[0] for p in ends)
        assert phi.shape == (2, 1)
        assert_allclose(jacobian[..., 0], (up - down) / (2 * step[:, None]), rtol=1e-6)
