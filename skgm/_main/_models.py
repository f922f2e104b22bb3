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
    random numbers in `fit` sets its `random_state` to the seed it is given. One that takes more
    than a second or two on a small table is not `by_default`: it is fitted where it is named.
    """

    description: str
    build: Callable[[int], tuple[Any, Mapping[str, list[Any]]]]
    by_default: bool = True


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


def _score_matching_sparse(random_state: int) -> tuple[Any, Mapping[str, list[Any]]]:
    from skgm.score_matching import ScoreMatchingGaussianCV

    return _scaled(ScoreMatchingGaussianCV(), gamma=[0.0, 0.25])


def _kernel(random_state: int) -> tuple[Any, Mapping[str, list[Any]]]:
    from skgm.score_matching import KernelExpFamily

    return _scaled(KernelExpFamily(random_state=random_state))


def _nce(random_state: int) -> tuple[Any, Mapping[str, list[Any]]]:
    from skgm.nce import NCEDensity

    return _scaled(NCEDensity(random_state=random_state))


def _ddpm(random_state: int) -> tuple[Any, Mapping[str, list[Any]]]:
    from skgm.diffusion import DDPM

    return _scaled(DDPM(random_state=random_state))


def _chain(random_state: int) -> tuple[Any, Mapping[str, list[Any]]]:
    from skgm.chain import DensityChain
    from skgm.compose import DensityPipeline

    return DensityPipeline([("density", DensityChain(random_state=random_state))]), {}


# To add a model: one line here. The first of equally good models writes the synthetic rows.
MODELS: dict[str, Model] = {
    "score-matching-gaussian": Model(
        "Gaussian by score matching (with full covariance it is the ML fit)",
        _score_matching_gaussian,
    ),
    "mle-multivariate-normal": Model("Gaussian by maximum likelihood", _mle_multivariate_normal),
    "mle-normal": Model("independent normal columns by maximum likelihood", _mle_normal),
    "sparse-gaussian": Model(
        "sparse Gaussian by score matching", _score_matching_sparse, by_default=False
    ),
    "kernel": Model(
        "kernel exponential family by score matching, for a few columns", _kernel, by_default=False
    ),
    "nce": Model("density by noise-contrastive estimation", _nce, by_default=False),
    "density-chain": Model(
        "chain of classifiers over cells of the columns", _chain, by_default=False
    ),
    "ddpm": Model("denoising diffusion", _ddpm, by_default=False),
}
