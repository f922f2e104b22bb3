"""Generative models and likelihood inference for scikit-learn users.

Public names resolve on first use (PEP 562): ``import skgm`` costs next to nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# One line per public name: this table is also what `__all__`, `dir` and the API page are made of.
_HOME = {
    "ConfidenceIntervals": "skgm.inference",
    "DensityEstimator": "skgm.base",
    "DensityPipeline": "skgm.compose",
    "DensityTags": "skgm.base",
    "MLEDensity": "skgm.inference",
    "ScoreMatchingGaussian": "skgm.score_matching",
    "TestResult": "skgm.inference",
    "compare_densities": "skgm.metrics",
    "likelihood_ratio_test": "skgm.inference",
    "make_density_pipeline": "skgm.compose",
    "score_test": "skgm.inference",
    "wald_test": "skgm.inference",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'skgm' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
