"""Comparisons of densities, with each other and with data."""

from skgm.metrics._comparison import ComparisonSums, DensityComparison, compare_densities
from skgm.metrics._goodness_of_fit import GoodnessOfFit, goodness_of_fit
from skgm.metrics._information_criteria import InformationCriteria, information_criteria
from skgm.metrics._rank_families import FamilyRanking, rank_families
from skgm.metrics._two_sample import TwoSampleResult, two_sample_test

__all__ = [
    "ComparisonSums",
    "DensityComparison",
    "FamilyRanking",
    "GoodnessOfFit",
    "InformationCriteria",
    "TwoSampleResult",
    "compare_densities",
    "goodness_of_fit",
    "information_criteria",
    "rank_families",
    "two_sample_test",
]
