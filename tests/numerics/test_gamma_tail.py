"""The logarithm of the upper incomplete gamma function and its derivatives, to high precision."""

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose

from skgm._numerics.special import gamma_tail, log_gamma_tail


@pytest.mark.parametrize(
    ("a", "y"),
    [
        (0.05, 1e-6), (0.05, 0.4), (0.05, 1.5), (0.5, 30.0), (1.0, 0.9), (3.0, 2.9), (3.0, 700.0),
        (3.0, 1500.0), (40.0, 21.0), (40.0, 36.0), (40.0, 90.0), (1e3, 950.0), (1e3, 1100.0),
        (1e5, 1e5), (1e5, 1.02e5),
    ],
)  # fmt: skip
def test_gamma_tail_against_mpmath(a, y):
    """Relative to the value itself; the curvature relative to the variance it is a part of."""
    found = gamma_tail(np.array([a]), np.array([y]))
    with mpmath.workdps(80):
        exact_a, exact_y = mpmath.mpf(a), mpmath.mpf(y)

        def log_tail(s):
            return mpmath.log(mpmath.gammainc(s, exact_y, regularized=True))

        step = exact_a * mpmath.mpf(10) ** -18
        here, up, down = (log_tail(exact_a + s * step) for s in (0, 1, -1))
        slope, curvature = (up - down) / (2 * step), (up - 2 * here + down) / step**2
        front = exact_a * mpmath.log(exact_y) - exact_y - mpmath.loggamma(exact_a)
        hazard = mpmath.exp(front - here)
        rise = hazard * (mpmath.log(exact_y) - mpmath.digamma(exact_a) - slope)
    value = log_gamma_tail(np.array([a]), np.array([y]))
    assert_allclose(value, float(here), rtol=1e-12)
    assert_allclose(found.slope, float(slope), rtol=1e-10)
    assert_allclose(found.curvature, float(curvature), rtol=1e-10, atol=1e-12 / a)
    assert_allclose(found.hazard, float(hazard), rtol=1e-11)
    assert_allclose(found.hazard_slope, float(rise), rtol=1e-10)


def test_gamma_tail_at_the_start_of_time():
    one = np.ones(1)
    found = gamma_tail(2 * one, 0 * one)
    assert log_gamma_tail(2 * one, 0 * one) == 0
    assert all(part == 0 for part in found)
