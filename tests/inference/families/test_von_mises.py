"""Angles: the cut of the circle, tight and spread columns, the exact law of the resultant."""

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, special

from skgm import MLEDensity
from skgm.inference.families import VonMises
from skgm.inference.families._von_mises import ResultantLength

FAMILY = VonMises()


def fitted(X):
    statistics = FAMILY.summarize(X, None)
    return statistics, FAMILY.estimate(statistics)


def wrapped(x):
    return np.angle(np.exp(1j * x))


def test_turning_the_angles_turns_the_fit():
    X = np.random.default_rng(0).vonmises(0.3, 2.0, size=(20, 1))
    plain, turned = fitted(X), fitted(wrapped(X + 3.0))
    assert_allclose(turned[1]["mu"], wrapped(plain[1]["mu"] + 3.0), atol=1e-14)
    assert_allclose(turned[1]["kappa"], plain[1]["kappa"], rtol=1e-13)
    for method in ("rstar", "profile", "score"):
        interval = getattr(FAMILY, f"{method}_interval")
        widths = [np.diff(interval("mu", *fit, 0.95), axis=0) for fit in (plain, turned)]
        assert_allclose(*widths, rtol=1e-12)


def test_an_interval_of_the_direction_goes_on_beyond_the_cut():
    X = wrapped(np.random.default_rng(1).vonmises(3.1, 3.0, size=(25, 1)))
    model = MLEDensity("von_mises").fit(X)
    low, high = model.confidence_intervals()["mu"]
    assert low < model.params_["mu"] < high
    assert high - low < 1
    assert high > np.pi or low < -np.pi


def test_nearly_uniform_angles_leave_the_whole_circle():
    """Four right angles and one angle more: kappa may be zero, and mu anything."""
    X = np.array([[0.0], [np.pi / 2], [np.pi], [-np.pi / 2], [0.4]])
    statistics, estimate = fitted(X)
    for method in ("rstar", "profile", "score"):
        interval = getattr(FAMILY, f"{method}_interval")
        low, high = interval("mu", statistics, estimate, 0.95)
        assert_allclose((low, high), (estimate["mu"] - np.pi, estimate["mu"] + np.pi))
        low, high = interval("kappa", statistics, estimate, 0.95)
        assert low[0] == 0
        assert estimate["kappa"][0] < high[0] < 5
    low, high = FAMILY.exact_interval("kappa", statistics, estimate, 0.95)
    assert low[0] == 0
    assert estimate["kappa"][0] < high[0] < 5


@pytest.mark.parametrize("spread", [1e-2, 1e-7])
def test_tight_angles_keep_their_digits(spread):
    """kappa about 1 / spread^2, to what float64 angles hold of it."""
    X = 2.0 + spread * np.random.default_rng(2).standard_normal((20, 1))
    whole = FAMILY.summarize(X, None)
    merged = FAMILY.summarize(X[:6], None) + FAMILY.summarize(X[6:], None)
    with mp.workdps(40):
        rows = [mp.mpf(float(x)) for x in X[:, 0]]
        cosine, sine = mp.fsum(map(mp.cos, rows)) / 20, mp.fsum(map(mp.sin, rows)) / 20
        length = mp.sqrt(cosine**2 + sine**2)
        start = mp.mpf(float(FAMILY.estimate(whole)["kappa"][0]))

        def gap(k):  # the asymptotic series is exact to forty digits for the larger kappa
            if k > 1e10:
                return length - 1 + 1 / (2 * k) + 1 / (8 * k**2) + 1 / (8 * k**3)
            return length - mp.besseli(1, k) / mp.besseli(0, k)

        kappa, mu = mp.findroot(gap, (start, start * 1.001)), mp.atan2(sine, cosine)
        for statistics in (whole, merged):
            estimate = FAMILY.estimate(statistics)
            assert_allclose(estimate["mu"], float(mu), rtol=1e-15)
            assert_allclose(estimate["kappa"], float(kappa), rtol=1e-13 + 1e-15 / spread)


def test_the_law_of_the_resultant_of_two_uniform_angles():
    """R = 2 |cos(half their difference)|: P(R <= r) = 2 asin(r / 2) / pi."""
    r = np.array([0.1, 0.8, 1.5, 1.99])
    found = ResultantLength(2, r).cdf(np.zeros(4))
    assert_allclose(found, 2 / np.pi * np.arcsin(r / 2), atol=2e-5)  # the slowest of the series


@pytest.mark.parametrize("kappa", [0.0, 0.7, 3.0])
@pytest.mark.parametrize("n", [5, 12])
def test_the_law_of_the_resultant_by_quadrature(n, kappa):
    """Density r I_0(kappa r) / I_0(kappa)^n int_0^inf u J_0(r u) J_0(u)^n du."""
    resultant = 0.6 * n

    def uniform(r):
        u = np.linspace(0, 300, 60_001)
        return r * integrate.simpson(u * special.j0(r * u) * special.j0(u) ** n, x=u)

    nodes, weights = np.polynomial.legendre.leggauss(30)
    r = resultant * (nodes + 1) / 2
    density = np.array([uniform(value) for value in r]) * special.i0(kappa * r)
    expected = resultant / 2 * weights @ density / special.i0(kappa) ** n
    found = ResultantLength(n, np.array([resultant])).cdf(np.array([kappa]))
    assert_allclose(found, expected, rtol=2e-4)  # the quadrature of kinks at whole numbers


def test_the_exact_interval_of_kappa_has_the_tails_it_promises():
    X = np.random.default_rng(3).vonmises(0.0, 0.8, size=(15, 1))
    statistics, estimate = fitted(X)
    low, high = FAMILY.exact_interval("kappa", statistics, estimate, 0.9)
    law = ResultantLength(15, 15 * statistics.length)
    assert_allclose(law.cdf(high), 0.05, rtol=1e-9)
    assert low[0] == 0 or abs(law.cdf(low)[0] - 0.95) < 1e-9


def test_fractional_weights_fall_back_on_rstar():
    X = np.random.default_rng(4).vonmises(0.0, 0.8, size=(15, 1))
    statistics = FAMILY.summarize(X, np.full(15, 1.1))
    estimate = FAMILY.estimate(statistics)
    exact = FAMILY.exact_interval("kappa", statistics, estimate, 0.95)
    assert_allclose(exact, FAMILY.rstar_interval("kappa", statistics, estimate, 0.95))


def test_angles_of_a_wider_range_are_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"angles > -pi and <= pi .*numpy\.angle"):
        MLEDensity("von_mises").fit([[0.1], [4.0]])
