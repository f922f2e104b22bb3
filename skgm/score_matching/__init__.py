"""Score matching: densities fitted through the gradient of their log-density."""

from skgm.score_matching._evaluation import LossEstimate
from skgm.score_matching._gaussian import ScoreMatchingGaussian
from skgm.score_matching._losses import (
    denoising_loss,
    explicit_loss,
    generalized_loss,
    implicit_loss,
    sliced_loss,
)

__all__ = [
    "LossEstimate",
    "ScoreMatchingGaussian",
    "denoising_loss",
    "explicit_loss",
    "generalized_loss",
    "implicit_loss",
    "sliced_loss",
]
