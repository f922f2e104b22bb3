"""Comparisons of densities on rows that neither was fitted to."""

from skgm.metrics._comparison import DensityComparison, compare_densities

__all__ = ["DensityComparison", "compare_densities"]
