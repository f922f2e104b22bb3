"""Noise-contrastive estimation: normalised densities from classifiers and linear critics."""

from skgm.nce._density import NCEDensity
from skgm.nce._score_error import ScoreError

__all__ = ["NCEDensity", "ScoreError"]
