"""A family that is not exponential: its sandwich needs the observed information as bread."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize

from skgm.inference import Family, MLEDensity, wald_test
from skgm.inference.families import Parameter


@dataclass(frozen=True)
class Rows:
    """Statistics that keep everything."""

    n: float
    rows: np.ndarray

    def __add__(self, other):
        return Rows(self.n + other.n, np.concatenate([self.rows, other.rows]))


def _slope(x, mu):
    return np.tanh((x - mu) / 2).sum()


class LogisticLocation(Family):
    """Logistic distribution with unknown location and scale one."""

    name = "logistic_location"
    parameters = (Parameter("mu"),)
    statistics_type = Rows

    def summarize(self, X, weight):
        return Rows(float(len(X)), X)

    def check_statistics(self, statistics, names):
        pass

    def restricted_estimate(self, statistics, null):
        columns = statistics.rows.T
        roots = [optimize.brentq(lambda m, x=x: _slope(x, m), -99, 99) for x in columns]
        return {"mu": np.where(np.isnan(null["mu"]), roots, null["mu"])}

    def log_likelihood(self, statistics, params):
        return self.log_density(statistics.rows, params).sum(axis=0)

    def log_density(self, X, params):
        z = X - params["mu"]
        return -z - 2 * np.logaddexp(0, -z)

    def score(self, X, params):
        return np.tanh((X - params["mu"]) / 2)[..., None]

    def information(self, params):
        return np.full((len(params["mu"]), 1, 1), 1 / 3)

    def observed_information(self, statistics, params):
        slope = 1 / np.cosh((statistics.rows - params["mu"]) / 2) ** 2 / 2
        return slope.mean(axis=0)[:, None, None]

    def sample(self, params, n_samples, rng):
        return rng.logistic(params["mu"], size=(n_samples, len(params["mu"])))


def test_robust_wald_test_is_that_of_the_robust_interval():
    """On N(0, 36) data the expected information is far from the mean curvature."""
    X = np.random.default_rng(0).normal(0, 6, (200, 1))
    model = MLEDensity(LogisticLocation()).fit(X)
    z = (model.params_["mu"] - 0.5) / model.standard_errors("robust", X=X)["mu"]
    low, _ = model.confidence_intervals(method="robust", X=X)["mu"]
    assert_allclose(wald_test(model, X, {"mu": low}, robust=True).pvalue, 0.05, rtol=1e-8)
    assert_allclose(wald_test(model, X, {"mu": 0.5}, robust=True).statistic, z**2, rtol=0.05)
    mistaken = (model.params_["mu"] - 0.5) / model.standard_errors()["mu"]
    assert abs(mistaken**2 / z**2 - 1) > 0.5  # the two breads differ enough to tell


@pytest.mark.slow
def test_robust_wald_test_has_its_size():
    """2000 replications at 5%: standard error 0.5%; four of those, and 1% for n = 100."""
    rng = np.random.default_rng(1)
    model = MLEDensity(LogisticLocation())
    pvalues = [
        wald_test(model, rng.normal(0, 6, (100, 1)), {"mu": 0.0}, robust=True).pvalue
        for _ in range(2000)
    ]
    assert abs(np.mean(np.array(pvalues) < 0.05) - 0.05) < 0.03
