"""Any table ends in a clear refusal or in finite results, whatever stands in it.

Tables are drawn by hypothesis: few rows, huge and tiny scales, constants, ties, holes, infinities,
weights. An error must be a ValueError or TypeError of a full sentence, and what `fit` returns must
score with finite numbers (or -inf) and draw finite rows.
"""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

from skgm import (
    DDPM,
    BernoulliRBMCD,
    DensityChain,
    KernelExpFamily,
    MLEDensity,
    NCEDensity,
    ScoreMatchingExpFamily,
    ScoreMatchingGaussian,
)
from skgm.inference.families import FAMILIES

pytestmark = pytest.mark.slow

DOCUMENTED = (LinAlgWarning, ConvergenceWarning, DataConversionWarning, UserWarning)
SCALES = [1e-310, 1e-200, 1e-8, 1.0, 1e8, 1e150, 1e200, 1e300]
SPECIAL = [0.0, 1.0, -1.0, 0.5, 2.0, 1e-310, 1e300, -1e300, 5e-324]
WRONG = [np.nan, np.inf, -np.inf]

ESTIMATORS = {
    "gaussian": (ScoreMatchingGaussian(), 2000),
    "diagonal": (ScoreMatchingGaussian(covariance_type="diag"), 2000),
    "sparse": (ScoreMatchingGaussian(penalty="l1"), 1000),
    "incomplete": (ScoreMatchingGaussian(missing="em"), 1000),
    "truncated": (ScoreMatchingGaussian(bounds="positive"), 300),
    "exponential family": (ScoreMatchingExpFamily(), 300),
    "kernel family": (KernelExpFamily(n_components=5, bandwidth="median", random_state=0), 50),
    "linear critic": (NCEDensity("quadratic", noise="gaussian", random_state=0), 100),
    "machine": (BernoulliRBMCD(2, n_iter=2, random_state=0), 300),
    "diffusion": (DDPM(max_iter=3, hidden_layer_sizes=(8,), random_state=0), 50),
    "chain": (DensityChain(n_orders=1, calibrate=False, random_state=0), 50),
}
FAMILY_NAMES = sorted(family.name for family in FAMILIES if family.name != "multivariate_normal")


@st.composite
def tables(draw):
    """A table, (n, d), whose columns have their own scale, sign, ties and special values."""
    n, d = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.normal(size=(n, d)) * draw(st.sampled_from(SCALES))
    shape = draw(st.sampled_from(["as it is", "positive", "whole", "constant", "ties", "unit"]))
    with np.errstate(over="ignore", under="ignore"):
        if shape == "positive":
            X = np.abs(X)
        elif shape == "whole":
            X = np.abs(np.rint(X))
        elif shape == "constant":
            X[:] = X[:1]
        elif shape == "ties":
            X = X[rng.integers(0, max(1, n // 3), n)]
        elif shape == "unit":
            X = rng.uniform(size=(n, d))
    for value in draw(st.lists(st.sampled_from(SPECIAL), max_size=3)):
        X[rng.integers(n), rng.integers(d)] = value
    if draw(st.integers(0, 9)) == 0:
        X[rng.integers(n), rng.integers(d)] = draw(st.sampled_from(WRONG))
    return X


WEIGHTS = st.sampled_from([None, None, "ones", "zeros", "large", "fractions"])


def weights_of(kind, n):
    rng = np.random.default_rng(n)
    return {
        None: None,
        "ones": np.ones(n),
        "zeros": rng.integers(0, 2, n).astype(float),
        "large": rng.integers(1, 4, n) * 1e6,
        "fractions": rng.uniform(size=n),
    }[kind]


def fitted_or_refused(estimator, X, kind):
    """Return the fitted estimator, or the error of its fit."""
    try:
        return clone(estimator).fit(X, sample_weight=weights_of(kind, len(X))), None
    except (ValueError, TypeError) as error:
        return None, error


def check(estimator, X, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for category in DOCUMENTED:
            warnings.simplefilter("ignore", category)
        fitted, refusal = fitted_or_refused(estimator, X, kind)
        if refusal is not None:
            assert not isinstance(refusal, np.linalg.LinAlgError), refusal
            assert len(str(refusal)) > 20, refusal
            return
        score = fitted.score_samples(np.where(np.isfinite(X), X, 1.0))
        assert not np.isnan(score).any()
        assert not np.isposinf(score).any()
        try:
            rows = fitted.sample(3, random_state=0)
        except ValueError as error:
            if "overflow" not in str(error):  # rows beyond the range of the table's dtype
                raise
        else:
            assert np.isfinite(rows).all()


def fuzzed(n_examples):
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=n_examples, deadline=None, derandomize=True, suppress_health_check=checks
    )


@pytest.mark.parametrize("name", ESTIMATORS)
def test_tables_are_refused_or_fitted_finitely(name):
    estimator, n_examples = ESTIMATORS[name]

    @fuzzed(n_examples)
    @given(tables(), WEIGHTS)
    def run(X, kind):
        check(estimator, X, kind)

    run()


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_families_refuse_or_fit_finitely(family):
    options = {"fixed": {"n": 5}} if family == "binomial" else {}

    @fuzzed(2000)
    @given(tables(), WEIGHTS)
    def run(X, kind):
        check(MLEDensity(family, **options), X, kind)

    run()
