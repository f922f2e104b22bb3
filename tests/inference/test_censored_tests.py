"""The three tests on right-censored rows, against likelihoods written out here."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize

from skgm.inference import MLEDensity, likelihood_ratio_test, score_test, wald_test
from tests.inference import robust_forms

EVENTS = [6, 6, 6, 7, 10, 13, 16, 22, 23]
CENSORED = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
TIMES = np.array([*EVENTS, *CENSORED], dtype=float)[:, None]
EVENT = np.r_[np.ones(9), np.zeros(12)]
RATE, SEEN, TOTAL = 9 / 359, 9, 359


def test_exponential_in_closed_form():
    """l = 9 log rate - 359 rate: U = 9 / rate - 359, its predictable variation 359 / rate."""
    null, model = 0.05, MLEDensity("exponential")
    ratio = likelihood_ratio_test(model, TIMES, {"rate": null}, event=EVENT)
    expected = 2 * (SEEN * np.log(RATE / null) - TOTAL * (RATE - null))
    assert_allclose(ratio.statistic, expected)
    score = score_test(model, TIMES, {"rate": null}, event=EVENT)
    assert_allclose(score.statistic, (SEEN / null - TOTAL) ** 2 / (TOTAL / null))
    wald = wald_test(model, TIMES, {"rate": null}, event=EVENT)
    assert_allclose(wald.statistic, (RATE - null) ** 2 / (RATE**2 / SEEN))


def test_weibull_shape_one_by_a_general_optimizer():
    def fall(theta):
        shape, scale = np.exp(theta)
        z = (TIMES[:, 0] / scale) ** shape
        return -np.sum(EVENT * np.log(shape / TIMES[:, 0] * z) - z)

    best = optimize.minimize(fall, [0.0, 3.0], method="Nelder-Mead", options={"xatol": 1e-9})
    at_null = SEEN * np.log(RATE) - TOTAL * RATE
    result = likelihood_ratio_test(MLEDensity("weibull"), TIMES, {"shape": 1.0}, event=EVENT)
    assert_allclose(result.statistic, 2 * (-best.fun - at_null), rtol=1e-5)


def test_robust_versions_in_closed_form():
    """psi_i = event_i / rate - time_i; the sandwich of one parameter."""
    model, null = MLEDensity("exponential"), 0.05
    robust = score_test(model, TIMES, {"rate": null}, event=EVENT, robust=True)
    psi = EVENT / null - TIMES[:, 0]
    assert_allclose(robust.statistic, robust_forms.score(psi))
    wald = wald_test(model, TIMES, {"rate": null}, event=EVENT, robust=True)
    psi = EVENT / RATE - TIMES[:, 0]
    pull = psi / (SEEN / RATE**2) / RATE  # of the log rate
    assert_allclose(wald.statistic, robust_forms.wald(np.log(RATE / null), pull))


def test_signed_root_points_from_the_null_to_the_estimate():
    """Also where the observed information at the null is indefinite."""
    for shape in (0.2, 0.6, 3.0, 6.0):
        result = score_test(MLEDensity("weibull"), TIMES, {"shape": shape}, event=EVENT)
        assert result.statistic > 0
        assert np.sign(result.signed_root) == np.sign(1.35 - shape)


def test_zero_weight_rows_are_absent_with_their_events():
    weight = np.r_[0.0, np.ones(20)]
    model = MLEDensity("weibull")
    dropped = likelihood_ratio_test(model, TIMES[1:], {"shape": 1.0}, event=EVENT[1:])
    weighted = likelihood_ratio_test(
        model, TIMES, {"shape": 1.0}, event=EVENT, sample_weight=weight
    )
    assert_allclose(weighted.statistic, dropped.statistic)


@pytest.mark.parametrize("test", [score_test, likelihood_ratio_test, wald_test])
def test_forgotten_events_are_refused(test):
    fitted = MLEDensity("exponential").fit(TIMES, event=EVENT)
    with pytest.raises(ValueError, match="fitted with event="):
        test(fitted, TIMES, {"rate": 0.05})


def test_corrections_are_refused():
    with pytest.raises(ValueError, match="law of the censoring times"):
        likelihood_ratio_test(
            MLEDensity("exponential"), TIMES, {"rate": 0.05}, event=EVENT, correction="bartlett"
        )
