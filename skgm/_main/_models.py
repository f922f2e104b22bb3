"""The one place where a model joins the main job."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["MODELS", "Model"]


@dataclass(frozen=True)
class Model:
    """A candidate of the main job.

    `build` returns an unfitted :class:`skgm.DensityPipeline` and the grid of its options (as for
    GridSearchCV); it imports what it needs, so that ``--help`` stays quick. A model that draws
    random numbers in `fit` sets its `random_state` to the seed it is given.
    """

    description: str
    build: Callable[[int], tuple[Any, Mapping[str, list[Any]]]]


def _scaled(density: Any, **grid: list[Any]) -> tuple[Any, Mapping[str, list[Any]]]:
    """Put `density` behind a scaling step, which is itself an option; `grid` is for the density."""
    from sklearn.preprocessing import PowerTransformer, StandardScaler

    from skgm.compose import DensityPipeline

    pipeline = DensityPipeline([("scale", StandardScaler()), ("density", density)])
    options = {f"density__{name}": values for name, values in grid.items()}
    return pipeline, {"scale": [StandardScaler(), PowerTransformer()], **options}


def _score_matching_gaussian(random_state: int) -> tuple[Any, Mapping[str, list[Any]]]:
    from skgm.score_matching import ScoreMatchingGaussian

    # Not "spherical": behind a scaler every column has unit variance, so it would equal "diag".
    return _scaled(ScoreMatchingGaussian(), covariance_type=["full", "diag"])


def _mle_normal(random_state: int) -> tuple[Any, Mapping[str, list[Any]]]:
    from skgm.inference import MLEDensity

    return _scaled(MLEDensity("normal"))


def _mle_multivariate_normal(random_state: int) -> tuple[Any, Mapping[str, list[Any]]]:
    from skgm.inference import MLEDensity

    return _scaled(MLEDensity("multivariate_normal"))


# To add a model: one line here. The first of equally good models writes the synthetic rows.
MODELS: dict[str, Model] = {
    "score-matching-gaussian": Model(
        "Gaussian by score matching (with full covariance it is the ML fit)",
        _score_matching_gaussian,
    ),
    "mle-multivariate-normal": Model("Gaussian by maximum likelihood", _mle_multivariate_normal),
    "mle-normal": Model("independent normal columns by maximum likelihood", _mle_normal),
}
