"""Score matching: densities fitted through the gradient of their log-density."""

from skgm.score_matching._edges import EdgeTable
from skgm.score_matching._evaluation import LossEstimate
from skgm.score_matching._exp_family import ScoreMatchingExpFamily
from skgm.score_matching._gaussian import ScoreMatchingGaussian
from skgm.score_matching._gaussian_cv import ScoreMatchingGaussianCV
from skgm.score_matching._kernel_family import KernelExpFamily
from skgm.score_matching._losses import (
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
