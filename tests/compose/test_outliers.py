"""DensityOutlierDetector: thresholds that keep what they promise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from skgm import DensityOutlierDetector, MLEDensity, ScoreMatchingGaussian


@pytest.mark.parametrize("contamination", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("density", [None, KernelDensity(), GaussianMixture(random_state=0)])
def test_contamination_is_the_share_of_the_training_rows(density, contamination):
    X = np.random.default_rng(0).normal(size=(1000, 2))
    detector = DensityOutlierDetector(density, contamination=contamination).fit(X)
    assert abs((detector.predict(X) == -1).mean() - contamination) <= 1e-3
    assert_allclose(detector.offset_, np.quantile(detector.score_samples(X), contamination))


def test_false_alarm_rate_holds_for_any_density():
    """A standard Cauchy in two columns, and a Gaussian that does not fit it at all.

    300 tables; per table the rate among 200 new rows has mean r / (m + 1) = 0.1 and variance
    below 0.09 / 200 + 0.09 / (m + 2), m = 99: the mean of 300 has standard error 0.0021, and is
    compared at 4.9 of them.
    """
    rng = np.random.default_rng(0)
    rates = []
    for seed in range(300):
        X, new = rng.standard_cauchy((330, 2)), rng.standard_cauchy((200, 2))
        detector = DensityOutlierDetector(false_alarm_rate=0.1, random_state=seed).fit(X)
        assert len(detector.calibration_scores_) == 99
        rates.append((detector.predict(new) == -1).mean())
    assert abs(np.mean(rates) - 0.1) < 4.9 * 0.0021


def test_p_values_count_calibration_rows_of_an_equal_density():
    """Counts tie: a row is as surprising as the calibration rows that equal it."""
    X = np.random.default_rng(3).poisson(3.0, size=(200, 1))
    detector = DensityOutlierDetector(
        MLEDensity("poisson"), false_alarm_rate=0.2, random_state=0
    ).fit(X)
    known = detector.calibration_scores_.tolist()
    rows = np.arange(9)[:, None]
    scores = detector.score_samples(rows)
    assert set(scores.tolist()) & set(known)
    by_hand = [(1 + sum(k <= s for k in known)) / (1 + len(known)) for s in scores]
    assert_allclose(detector.p_values(rows), by_hand, rtol=1e-14)


def test_training_quantile_would_not_keep_the_rate():
    """What the calibration is for: a kernel density has seen the rows it is thresholded on."""
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(200, 3)), rng.normal(size=(2000, 3))
    narrow = KernelDensity(bandwidth=0.2)
    trusting = DensityOutlierDetector(narrow, contamination=0.05).fit(X)
    calibrated = DensityOutlierDetector(narrow, false_alarm_rate=0.05, random_state=0).fit(X)
    assert (trusting.predict(new) == -1).mean() > 0.5
    assert (calibrated.predict(new) == -1).mean() < 0.15


def test_p_values_of_regular_rows_are_uniform_or_larger():
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(2000, 2)), rng.normal(size=(4000, 2))
    detector = DensityOutlierDetector(false_alarm_rate=0.05, random_state=0).fit(X)
    p = detector.p_values(new)
    for level in (0.01, 0.05, 0.2, 0.5):
        # binomial error of 4000 rows and of the 600 calibration rows, at 4.9 standard errors
        error = np.sqrt(level * (1 - level) * (1 / 4000 + 1 / 600))
        assert (p <= level).mean() < level + 4.9 * error
    assert_array_equal(p <= 0.05, detector.predict(new) == -1)  # one statement in two forms
    assert detector.p_values([[50.0, 0.0]]) == [1 / 601]


def test_too_few_rows_for_the_rate_say_how_many_are_needed():
    X = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.raises(ValueError, match=r"false_alarm_rate=0.01 needs at least 99 rows"):
        DensityOutlierDetector(false_alarm_rate=0.01).fit(X)
    with pytest.raises(ValueError, match=r"of 100 rows leaves 100 and 0"):
        DensityOutlierDetector(false_alarm_rate=0.5, calibration_fraction=0.999).fit(X)


def test_weights_are_repetitions():
    X, _ = load_iris(return_X_y=True)
    weight = np.random.default_rng(0).integers(0, 4, size=len(X))
    one = DensityOutlierDetector().fit(X, sample_weight=weight)
    other = DensityOutlierDetector().fit(np.repeat(X, weight, axis=0))
    assert_allclose(one.offset_, other.offset_, rtol=1e-9)
    with pytest.raises(ValueError, match="no meaning with false_alarm_rate"):
        DensityOutlierDetector(false_alarm_rate=0.1).fit(X, sample_weight=weight)
    with pytest.raises(ValueError, match="GaussianMixture takes no sample_weight"):
        DensityOutlierDetector(GaussianMixture()).fit(X, sample_weight=weight)


def test_threshold_outside_the_support_is_no_nan():
    X = np.array([[1.0], [2.0], [3.0], [4.0]])
    detector = DensityOutlierDetector(MLEDensity("exponential"), contamination=0.5).fit(X)
    detector.offset_ = -np.inf
    assert_array_equal(detector.decision_function([[-1.0], [1.0]]), [0.0, np.inf])
    assert_array_equal(detector.predict([[-1.0], [1.0]]), [1, 1])


def test_default_density_copes_with_more_columns_than_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 60))
    detector = DensityOutlierDetector().fit(X)
    assert np.linalg.cond(detector.density_.covariance_) < 1e4
    assert detector.predict(X.mean(axis=0)[None]) == [1]
    assert detector.predict(X[:1] + 20.0) == [-1]


def test_frames_reach_the_density():
    X = load_iris(as_frame=True).data
    detector = DensityOutlierDetector(ScoreMatchingGaussian()).fit(X)
    assert_array_equal(detector.density_.feature_names_in_, X.columns)
    assert detector.predict(X).shape == (150,)
