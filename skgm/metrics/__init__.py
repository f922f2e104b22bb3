"""Comparisons of densities: on held-out rows, or by information criteria."""

from skgm.metrics._comparison import DensityComparison, compare_densities
from skgm.metrics._information_criteria import InformationCriteria, information_criteria

__all__ = [
    "DensityComparison",
    "InformationCriteria",
    "compare_densities",
    "information_criteria",
]
