"""The scalar functions against finite differences and scipy."""

import numpy as np
import pytest
from scipy import stats

from skgm.compose._bijections import FUNCTIONS, box_cox, yeo_johnson

POWERS = np.array([-1.5, -0.3, 0.0, 1e-12, 0.7, 1.0, 2.0, 2.0 - 1e-12, 3.5])


def points(function, n=400):
    low = np.max(np.asarray(function.domain[0]))
    rng = np.random.default_rng(0)
    x = low + rng.gamma(1.0, size=n) if np.isfinite(low) else rng.normal(0, 2, size=n)
    return np.broadcast_to(x[:, None], (n, len(POWERS))).copy()


CASES = {f.__name__: FUNCTIONS[f] for f in FUNCTIONS} | {
    "box-cox": box_cox(POWERS),
    "yeo-johnson": yeo_johnson(POWERS),
}


@pytest.mark.parametrize("name", CASES)
def test_slopes_are_derivatives(name):
    function, x = CASES[name], points(CASES[name])
    step = 1e-5 * np.maximum(1e-2, np.abs(x - max(np.max(function.domain[0]), -100.0)))
    step = np.minimum(step, 1e-5)
    slope = (function.forward(x + step) - function.forward(x - step)) / (2 * step)
    bend = (function.log_slope(x + step) - function.log_slope(x - step)) / (2 * step)
    # rounding of the differences: 1e-16 |f| / step
    np.testing.assert_allclose(np.exp(function.log_slope(x)), slope, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(function.bend(x) * np.ones_like(x), bend, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_inverse_leads_back_and_values_stay_in_the_image(name):
    function, x = CASES[name], points(CASES[name])
    z = function.forward(x)
    assert (z > function.image[0]).all()
    assert (z < function.image[1]).all()
    np.testing.assert_allclose(function.inverse(z), x, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("family", "oracle"), [(box_cox, stats.boxcox), (yeo_johnson, stats.yeojohnson)]
)
def test_power_families_match_scipy(family, oracle):
    x = points(family(POWERS))
    expected = np.column_stack([oracle(x[:, j], lmbda) for j, lmbda in enumerate(POWERS)])
    np.testing.assert_allclose(family(POWERS).forward(x), expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", ["box-cox", "yeo-johnson"])
def test_images_are_the_limits_of_the_functions(name):
    function = CASES[name]
    ends = np.array([[1e-300 if name == "box-cox" else -1e300], [1e300]]) * np.ones(len(POWERS))
    with np.errstate(over="ignore"):
        low, high = function.forward(ends)
    reached = np.abs(POWERS) != 1e-12  # that bound, 1e12, lies beyond what 1e300 maps to
    reached &= np.abs(POWERS - 2) != 1e-12
    for end, bound in zip((low, high), function.image):
        bounded = np.isfinite(bound)
        np.testing.assert_allclose(end[bounded & reached], bound[bounded & reached], rtol=1e-9)
        assert (np.abs(end[~bounded]) > 500).all()
