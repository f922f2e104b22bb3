"""Likelihood inference: fits by maximum likelihood, tests and confidence intervals."""

from skgm.inference._results import ConfidenceIntervals, TestResult

__all__ = ["ConfidenceIntervals", "TestResult"]
