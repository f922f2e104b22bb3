"""The Laplace family: its kinks, and its exact conditional intervals against quadrature."""

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from skgm import MLEDensity
from skgm.inference.families import Laplace
from tests.inference.families import test_columnwise as columnwise
from tests.inference.families.cases import table
from tests.inference.families.cases_location_scale import LAPLACE

SHARED = [
    "log_density_is_scipys",
    "log_density_outside_the_support",
    "log_likelihood_needs_the_statistics_only",
    "score_is_the_gradient",
    "score_function_is_the_gradient_in_x",
    "samples_follow_scipys_distribution",
    "statistics_merge",
]


@pytest.mark.parametrize("check", SHARED)
def test_as_every_columnwise_family(check):
    getattr(columnwise, f"test_{check}")(*LAPLACE)


def test_information_is_the_variance_of_the_score():
    """Under a standard Laplace: sign(z) and |z| - 1 are uncorrelated with variance one."""
    family, params, _ = LAPLACE
    z = np.random.default_rng(0).laplace(size=(200_000, 2))
    score = family.score(params["loc"] + params["scale"] * z, params)
    variance = np.einsum("nda,ndb->dab", score, score) / len(z)
    unit = params["scale"][:, None, None] ** 2
    # the fourth moment of |z| - 1 is 9: a standard error of sqrt(8 / 2e5) = 0.0063
    assert_allclose(variance * unit, family.information(params) * unit, atol=0.03)


def test_standard_errors_are_scale_over_root_n():
    """statsmodels, by a numerical Hessian of the kinked likelihood, gives .004 in this place."""
    X = np.random.default_rng(0).laplace(size=(100, 1))
    model = MLEDensity("laplace").fit(X)
    for kind in ("model", "observed"):
        errors = model.standard_errors(kind)
        assert_allclose(errors["loc"], model.params_["scale"] / 10)
        assert_allclose(errors["scale"], model.params_["scale"] / 10)


@pytest.mark.parametrize("n", [4, 7])
def test_estimate_is_median_and_mean_distance(n):
    X = np.random.default_rng(n).normal(size=(n, 3))
    family = Laplace()
    found = family.estimate(family.summarize(X, None))
    middle = np.median(X, axis=0)
    assert_allclose(found["loc"], middle)
    assert_allclose(found["scale"], np.abs(X - middle).mean(axis=0))


def test_weights_are_repetitions():
    X, family = table(LAPLACE[2], 9), Laplace()
    weight = np.array([1, 3, 2, 1, 1, 4, 2, 1, 1])
    one, many = family.summarize(X, weight * 1.0), family.summarize(X.repeat(weight, 0), None)
    first, second = family.estimate(one), family.estimate(many)
    for name in first:
        assert_allclose(first[name], second[name], rtol=1e-13)
        limits = [family.exact_interval(name, s, first, 0.9) for s in (one, many)]
        assert_allclose(*limits, rtol=1e-9)


def posterior_masses(x, n, weight, low, high, scale_ends):
    """Masses below and above the limits of the location, and below those of the scale."""
    x, order = sorted(x), np.argsort(x)
    w = [mp.mpf(float(weight[i])) for i in order]

    def S(m):
        return mp.fsum(a * abs(m - v) for a, v in zip(w, x))

    def density(m):
        return (S(m) / S(x[len(x) // 2])) ** -n

    span = x[-1] - x[0]
    nodes = [-mp.inf, x[0] - 20 * span, x[0] - span, *x, x[-1] + span, x[-1] + 20 * span, mp.inf]
    total = mp.quad(density, nodes)
    below = mp.quad(density, [v for v in nodes if v < low] + [low]) / total
    above = mp.quad(density, [high] + [v for v in nodes if v > high]) / total

    def joint(end):
        return mp.quad(lambda m: density(m) * mp.gammainc(n, S(m) / end, regularized=True), nodes)

    return below, above, *[joint(end) / total for end in scale_ends]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [2, 3, 6])
def test_exact_limits_by_quadrature(n, weighted):
    rng, family = np.random.default_rng(n), Laplace()
    X = rng.laplace(2, 3, size=(n, 1))
    weight = rng.uniform(0.7, 2.2, n) if weighted else np.ones(n)
    statistics = family.summarize(X, weight)
    estimate = family.estimate(statistics)
    (low,), (high,) = family.exact_interval("loc", statistics, estimate, 0.9)
    ends = np.ravel(family.exact_interval("scale", statistics, estimate, 0.9))
    masses = posterior_masses(
        [mp.mpf(float(v)) for v in X[:, 0]],
        mp.mpf(statistics.n),
        weight,
        *map(mp.mpf, map(float, (low, high))),
        list(map(mp.mpf, map(float, ends))),
    )
    assert_allclose([float(v) for v in masses], [0.05, 0.05, 0.05, 0.95], rtol=1e-8)


def test_exact_limits_of_a_large_sample():
    """At n = 20,000 the posterior is normal to a thousandth: limits at 1.96 standard errors."""
    family, n = Laplace(), 20_000
    statistics = family.summarize(np.random.default_rng(0).laplace(size=(n, 1)), None)
    estimate = family.estimate(statistics)
    for name in ("loc", "scale"):
        low, high = family.exact_interval(name, statistics, estimate, 0.95)
        half = 1.959964 * estimate["scale"] / np.sqrt(n)
        assert_allclose(
            [low, high], estimate[name] + half * np.array([[-1], [1]]), atol=0.15 * float(half[0])
        )


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_limits_scale_with_the_data(factor):
    X, family = table(LAPLACE[2], 11), Laplace()
    base, scaled = family.summarize(X, None), family.summarize(X * factor, None)
    for name in ("loc", "scale"):
        for method in ("exact", "profile"):
            before, after = (
                getattr(family, f"{method}_interval")(name, s, family.estimate(s), 0.95)
                for s in (base, scaled)
            )
            assert_allclose(after, np.array(before) * factor, rtol=1e-9)


def test_profile_limits_are_where_the_distance_has_grown():
    """The profile of the location falls by n log(S(m) / S): both limits have one S."""
    X, family = table(LAPLACE[2], 15), Laplace()
    statistics = family.summarize(X, None)
    estimate = family.estimate(statistics)
    ends = family.profile_interval("loc", statistics, estimate, 0.95)
    fall = [15 * np.log(np.abs(X - end).mean(axis=0) / estimate["scale"]) for end in ends]
    assert_allclose(fall, np.full((2, 2), 3.841458820694124 / 2), rtol=1e-10)


def test_r_star_is_refused():
    model = MLEDensity("laplace").fit(table(LAPLACE[2], 15))
    with pytest.raises(ValueError, match="no 'rstar' interval"):
        model.confidence_intervals(method="rstar")
    assert (np.asarray(model.confidence_intervals().methods["loc"]) == "exact").all()


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 5, 10])
def test_exact_intervals_cover(n):
    """20,000 replicates: Monte-Carlo error of a tail 0.11 %, so that four are 0.45 %."""
    X, family = np.random.default_rng(n).laplace(2, 3, size=(n, 20_000)), Laplace()
    statistics = family.summarize(X, None)
    estimate = family.estimate(statistics)
    for name, value in {"loc": 2.0, "scale": 3.0}.items():
        low, high = family.exact_interval(name, statistics, estimate, 0.95)
        tails = 100 * np.array([(low > value).mean(), (high < value).mean()])
        assert_allclose(tails, 2.5, atol=0.45)
