"""Score matching: densities fitted through the gradient of their log-density."""

from skgm.score_matching._exp_family.estimator import ScoreMatchingExpFamily
from skgm.score_matching._gaussian.cv import ScoreMatchingGaussianCV
from skgm.score_matching._gaussian.edges import EdgeTable
from skgm.score_matching._gaussian.estimator import ScoreMatchingGaussian
from skgm.score_matching._kernel.estimator import KernelExpFamily
from skgm.score_matching._losses import (
    LossEstimate,
    denoising_loss,
    explicit_loss,
    generalized_loss,
    implicit_loss,
    sliced_loss,
)

__all__ = [
    "EdgeTable",
    "KernelExpFamily",
    "LossEstimate",
    "ScoreMatchingExpFamily",
    "ScoreMatchingGaussian",
    "ScoreMatchingGaussianCV",
    "denoising_loss",
    "explicit_loss",
    "generalized_loss",
    "implicit_loss",
    "sliced_loss",
]
