"""Noise-contrastive estimation: normalised densities from classifiers and linear critics."""

from skgm.nce._density import NCEDensity
from skgm.nce._score_error import ScoreError
from skgm.nce._vocabulary._classifier import NCEClassifier
from skgm.nce._vocabulary._language_model import NCELanguageModel
from skgm.nce._vocabulary._loop import LogNormalizerStats

__all__ = ["LogNormalizerStats", "NCEClassifier", "NCEDensity", "NCELanguageModel", "ScoreError"]
