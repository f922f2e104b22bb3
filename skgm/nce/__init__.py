"""Noise-contrastive estimation: normalized densities from classifiers and linear critics."""

from skgm._numerics.epochs import LogNormalizerStats
from skgm.nce._density import NCEDensity
from skgm.nce._ratio_density import ScoreError
from skgm.nce._vocabulary.classifier import NCEClassifier
from skgm.nce._vocabulary.language_model import NCELanguageModel

__all__ = ["LogNormalizerStats", "NCEClassifier", "NCEDensity", "NCELanguageModel", "ScoreError"]
