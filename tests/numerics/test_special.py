"""Differences of special functions against mpmath at fifty digits."""

import mpmath as mp
import numpy as np
import pytest

from skgm._numerics.special import (
    bessel_gap,
    bessel_slope,
    gamma_gap,
    log1p_gap,
    log_minus_digamma,
    trigamma_excess,
)

SHAPES = np.concatenate([np.geomspace(1e-6, 1e15, 64), [9.999, 10.0, 10.001]])
NEAR_MINUS_ONE = -np.geomspace(1e-15, 0.999, 40)
STEPS = np.concatenate([np.geomspace(1e-15, 1e3, 40), NEAR_MINUS_ONE, [-0.1801, 0.1799]])
KAPPAS = np.concatenate([np.geomspace(1e-6, 1e4, 60), [29.99, 30.0, 30.01]])


def ratio(k):
    return mp.besseli(1, k) / mp.besseli(0, k)


CASES = [
    (gamma_gap, lambda a: mp.loggamma(a) - a * mp.log(a) + a, SHAPES, 3e-14),
    (log_minus_digamma, lambda a: mp.log(a) - mp.digamma(a), SHAPES, 5e-15),
    (trigamma_excess, lambda a: a * mp.psi(1, a) - 1, SHAPES, 1e-14),
    (log1p_gap, lambda u: u - mp.log1p(u), STEPS, 2e-15),
    (bessel_gap, lambda k: 1 - ratio(k), KAPPAS, 2e-14),
    (bessel_slope, lambda k: 1 - ratio(k) / k - ratio(k) ** 2, KAPPAS, 1e-12),
]


@pytest.mark.parametrize(("function", "exact", "points", "rtol"), CASES)
def test_against_fifty_digits(function, exact, points, rtol):
    with mp.workdps(50):
        expected = [exact(mp.mpf(float(x))) for x in points]
        for found in (function(points), [function(np.array([x]))[0] for x in points]):
            errors = [abs(mp.mpf(float(f)) / e - 1) for f, e in zip(found, expected)]
            assert max(errors) < rtol


def test_one_plus_u_may_be_given_where_the_sum_would_lose_it():
    with mp.workdps(50):
        expected = float(mp.mpf("1e-30") - 1 - mp.log(mp.mpf("1e-30")))
    assert log1p_gap(np.array([1e-30 - 1]), np.array([1e-30]))[0] == pytest.approx(expected, 1e-15)


def test_bessel_functions_at_zero():
    assert bessel_gap(np.zeros(1))[0] == 1
    assert bessel_slope(np.zeros(1))[0] == 0.5
