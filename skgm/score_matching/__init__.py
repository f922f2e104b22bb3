"""Score matching: densities fitted through the gradient of their log-density."""

from skgm.score_matching._gaussian import ScoreMatchingGaussian

__all__ = ["ScoreMatchingGaussian"]
