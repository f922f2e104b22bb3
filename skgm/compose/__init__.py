"""Compositions: densities of transformed tables, and decisions made with densities."""

from skgm.compose._classifier import DensityClassifier
from skgm.compose._multiple_imputer import MultipleImputer
from skgm.compose._outliers import DensityOutlierDetector
from skgm.compose._pipeline import DensityPipeline, make_density_pipeline
from skgm.compose._stacked import StackedDensity

__all__ = [
    "DensityClassifier",
    "DensityOutlierDetector",
    "DensityPipeline",
    "MultipleImputer",
    "StackedDensity",
    "make_density_pipeline",
]
