"""Displays of fits, in scikit-learn's style: numbers as attributes, drawn with matplotlib."""

from skgm.plotting._conditional import ConditionalDisplay
from skgm.plotting._diffusion import DiffusionDisplay
from skgm.plotting._explanation import ExplanationDisplay
from skgm.plotting._filters import FilterDisplay
from skgm.plotting._graph import GraphDisplay
from skgm.plotting._margin import MarginDisplay
from skgm.plotting._pair import PairDisplay
from skgm.plotting._profile import ProfileDisplay
from skgm.plotting._qq import QQDisplay
from skgm.plotting._ranking import RankingDisplay

__all__ = [
    "ConditionalDisplay",
    "DiffusionDisplay",
    "ExplanationDisplay",
    "FilterDisplay",
    "GraphDisplay",
    "MarginDisplay",
    "PairDisplay",
    "ProfileDisplay",
    "QQDisplay",
    "RankingDisplay",
]
