"""Displays of fits, in scikit-learn's style: numbers as attributes, drawn with matplotlib."""

from skgm.plotting._diffusion import DiffusionDisplay
from skgm.plotting._explanation import ExplanationDisplay
from skgm.plotting._profile import ProfileDisplay
from skgm.plotting._qq import QQDisplay
from skgm.plotting._ranking import RankingDisplay

__all__ = [
    "DiffusionDisplay",
    "ExplanationDisplay",
    "ProfileDisplay",
    "QQDisplay",
    "RankingDisplay",
]
