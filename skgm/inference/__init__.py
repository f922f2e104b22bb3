"""Likelihood inference: fits by maximum likelihood, tests and confidence intervals."""

from skgm.inference._hypothesis_tests import likelihood_ratio_test, score_test, wald_test
from skgm.inference._mle import MLEDensity
from skgm.inference._results import ConfidenceIntervals, TestResult
from skgm.inference._statsmodels.intervals import confidence_intervals
from skgm.inference.families import Family

__all__ = [
    "ConfidenceIntervals",
    "Family",
    "MLEDensity",
    "TestResult",
    "confidence_intervals",
    "likelihood_ratio_test",
    "score_test",
    "wald_test",
]
