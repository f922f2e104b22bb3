"""Noise-contrastive estimation: normalised densities from classifiers and linear critics."""

from skgm.nce._density import NCEDensity
from skgm.nce._language_model import NCELanguageModel
from skgm.nce._nce_classifier import NCEClassifier
from skgm.nce._score_error import ScoreError
from skgm.nce._vocabulary_loop import LogNormalizerStats

__all__ = ["LogNormalizerStats", "NCEClassifier", "NCEDensity", "NCELanguageModel", "ScoreError"]
