"""Tests that skops reads fitted estimators back with the types that skgm vouches for."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

import skgm

skops = pytest.importorskip("skops.io")

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(60, 2))
BITS = (RNG.random((60, 6)) < 0.4).astype(float)
MIXED = pd.DataFrame({"a": REAL[:, 0].round(1), "b": np.where(REAL[:, 1] > 0, "x", "y")})
FITS = [
    (skgm.GaussianMixtureDensity(2), REAL),
    (skgm.ScoreMatchingGaussian(missing="em"), REAL),
    (skgm.ScoreMatchingGaussianCV(), REAL),
    (skgm.ScoreMatchingExpFamily(), REAL),
    (skgm.KernelExpFamily(alpha=0.1, bandwidth=2.0), REAL),
    (skgm.MLEDensity("logistic"), REAL),
    (skgm.MLEDensity("auto"), MIXED),
    (skgm.NCEDensity(random_state=0), REAL),
    (skgm.NCEDensity("quadratic", random_state=0), REAL),
    (skgm.DensityChain(n_orders=1, random_state=0), MIXED),
    (skgm.DDPM(max_iter=2, random_state=0), REAL),
    (skgm.BernoulliRBMCD(2, n_iter=2, random_state=0), BITS),
    (skgm.make_density_pipeline(StandardScaler(), skgm.GaussianMixtureDensity(1)), REAL),
]


@pytest.mark.parametrize(("estimator", "table"), FITS, ids=lambda case: type(case).__name__)
def test_skops_reads_with_trusted_types(estimator, table):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about so few rows
        blob = skops.dumps(estimator.fit(table))
    assert set(skops.get_untrusted_types(data=blob)) <= set(skgm.trusted_types())
    copy = skops.loads(blob, trusted=skgm.trusted_types())
    np.testing.assert_array_equal(copy.score_samples(table), estimator.score_samples(table))
