"""Noise-contrastive estimation: normalized densities from classifiers and parametric critics.

Public names resolve on first use, so that a density does not load the models of words and classes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what the table below says, for type checkers and editors
    from skgm._numerics.epochs import LogNormalizerStats
    from skgm.nce._density import NCEDensity
    from skgm.nce._ratio_density import ScoreError
    from skgm.nce._vocabulary.classifier import NCEClassifier
    from skgm.nce._vocabulary.language_model import NCELanguageModel

__all__ = ["LogNormalizerStats", "NCEClassifier", "NCEDensity", "NCELanguageModel", "ScoreError"]

_HOME = {
    "LogNormalizerStats": "skgm._numerics.epochs",
    "NCEClassifier": "skgm.nce._vocabulary.classifier",
    "NCEDensity": "skgm.nce._density",
    "NCELanguageModel": "skgm.nce._vocabulary.language_model",
    "ScoreError": "skgm.nce._ratio_density",
}


if not TYPE_CHECKING:  # with it, type checkers would take any name for one of this package

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'skgm.nce' has no attribute {name!r}")
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
