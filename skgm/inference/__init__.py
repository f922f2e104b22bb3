"""Likelihood inference: fits by maximum likelihood, tests and confidence intervals.

Public names resolve on first use, so that other sub-packages may import the likelihood engine
without loading the estimator and its families.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what the table below says, for type checkers and editors
    from skgm.inference._fit_family import fit_family
    from skgm.inference._hypothesis_tests import likelihood_ratio_test, score_test, wald_test
    from skgm.inference._mle import MLEDensity
    from skgm.inference._pooling import PooledEstimates, pool
    from skgm.inference._results import ConfidenceIntervals, TestResult
    from skgm.inference._statsmodels.intervals import confidence_intervals
    from skgm.inference.families import Family

__all__ = [
    "ConfidenceIntervals",
    "Family",
    "MLEDensity",
    "PooledEstimates",
    "TestResult",
    "confidence_intervals",
    "fit_family",
    "likelihood_ratio_test",
    "pool",
    "score_test",
    "wald_test",
]

_HOME = {
    "_hypothesis_tests": ("likelihood_ratio_test", "score_test", "wald_test"),
    "_fit_family": ("fit_family",),
    "_mle": ("MLEDensity",),
    "_pooling": ("PooledEstimates", "pool"),
    "_results": ("ConfidenceIntervals", "TestResult"),
    "_statsmodels.intervals": ("confidence_intervals",),
    "families": ("Family",),
}


if not TYPE_CHECKING:  # with it, type checkers would take any name for one of this package

    def __getattr__(name: str) -> Any:
        for module, names in _HOME.items():
            if name in names:
                value = getattr(import_module(f"skgm.inference.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module 'skgm.inference' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
