"""The one place where a model joins the main job."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["MODELS", "Model", "Obstacles", "Setting"]


@dataclass(frozen=True)
class Setting:
    """What a model may want to know before it is built."""

    random_state: int = 0
    is_mixed: bool = False
    is_quick: bool = False


@dataclass(frozen=True)
class Obstacles:
    """Why densities of complete numbers, of complete mixed rows, of real numbers do not suit.

    Each is None where they do.
    """

    to_numbers: str | None = None
    to_mixed: str | None = None
    to_holed: str | None = None


@dataclass(frozen=True)
class Model:
    """A candidate of the main job.

    `build` returns an unfitted density and the grid of its options (as for GridSearchCV). It
    imports what it needs, so that ``--help`` stays quick. A model that draws random numbers in
    `fit` sets its `random_state` to that of the setting.

    Attributes
    ----------
    description : str
        For the help, a line.
    build : callable
        See above.
    reads : {"numbers", "mixed", "holed", "all"}
        The tables that it reads: complete numbers; categories as well; holes as well, where some
        column holds real numbers without masses; all.
    reads_cells : bool
        It takes rounded values for the intervals that are rounded to them. For other models the
        values are spread over these intervals.
    quick_on : {"", "numbers", "mixed"}
        The tables on which it is fitted with ``--quick`` as well.
    most_entries : int or None
        The largest mixed table for which it is fitted by default.
    most_in_all : int or None
        The largest table, of all rows, for which it is fitted by default.
    most_columns : int or None
        The most columns for which it is fitted by default.
    """

    description: str
    build: Callable[[Setting], tuple[Any, Mapping[str, list[Any]]]]
    reads: str = "numbers"
    reads_cells: bool = False
    quick_on: str = ""
    most_entries: int | None = None
    most_in_all: int | None = None
    most_columns: int | None = None

    def refusal(self, found: Obstacles) -> str | None:
        """Say why the model does not read a table; None where it does."""
        reasons = {
            "numbers": found.to_numbers,
            "mixed": found.to_mixed,
            "holed": found.to_holed and found.to_numbers,
        }
        return reasons.get(self.reads)

    def hesitation(
        self, n_rows: int, n_columns: int, found: Obstacles, n_in_all: int = 0
    ) -> str | None:
        """Say why the model is not fitted by default, first to `n_rows`; None where it is."""
        if self.most_columns is not None and n_columns > self.most_columns:
            return f"{n_columns} columns are too many for it by default"
        large = self.most_entries is not None and n_rows * n_columns > self.most_entries
        long = self.most_in_all is not None and n_in_all * n_columns > self.most_in_all
        return "it would take minutes" if long or (large and found.to_numbers) else None


Built = tuple[Any, Mapping[str, list[Any]]]


def _bent(density: Any) -> Built:
    """Put `density` behind a power transform; it takes too long to try several."""
    from sklearn.preprocessing import PowerTransformer

    from skgm.compose import DensityPipeline

    return DensityPipeline([("scale", PowerTransformer()), ("density", density)]), {}


def _scaled(density: Any, **grid: list[Any]) -> Built:
    """Put `density` behind a scaling step, which is itself an option; `grid` is for the density."""
    from sklearn.preprocessing import PowerTransformer, StandardScaler

    from skgm.compose import DensityPipeline

    pipeline = DensityPipeline([("scale", StandardScaler()), ("density", density)])
    options = {f"density__{name}": values for name, values in grid.items()}
    return pipeline, {"scale": [StandardScaler(), PowerTransformer()], **options}


def _score_matching_gaussian(setting: Setting) -> Built:
    from skgm.score_matching import ScoreMatchingGaussian

    # Not "spherical": behind a scaler every column has unit variance, so it would equal "diag".
    return _scaled(ScoreMatchingGaussian(), covariance_type=["full", "diag"])


def _mle_normal(setting: Setting) -> Built:
    from skgm.inference import MLEDensity

    return _scaled(MLEDensity("normal"))


def _mle_multivariate_normal(setting: Setting) -> Built:
    from skgm.inference import MLEDensity

    return _scaled(MLEDensity("multivariate_normal"))


def _score_matching_sparse(setting: Setting) -> Built:
    from skgm.score_matching import ScoreMatchingGaussianCV

    return _scaled(ScoreMatchingGaussianCV(), gamma=[0.0, 0.25])


def _kernel(setting: Setting) -> Built:
    from skgm.score_matching import KernelExpFamily

    return _bent(KernelExpFamily(random_state=setting.random_state))


def _nce(setting: Setting) -> Built:
    from skgm.nce import NCEDensity

    density = NCEDensity(random_state=setting.random_state)
    return (density, {}) if setting.is_mixed else _bent(density)


def _mixture(setting: Setting) -> Built:
    from skgm.mixture import GaussianMixtureDensity

    mixture = GaussianMixtureDensity(random_state=setting.random_state)
    return (mixture, {}) if setting.is_mixed else _scaled(mixture)


def _ddpm(setting: Setting) -> Built:
    from skgm.diffusion import DDPM

    return DDPM(random_state=setting.random_state), {}


def _chain(setting: Setting) -> Built:
    from skgm.chain import DensityChain

    trees = None
    if setting.is_quick:  # a tenth of the time
        from sklearn.ensemble import HistGradientBoostingClassifier

        trees = HistGradientBoostingClassifier(
            max_iter=30,
            learning_rate=0.15,
            max_depth=4,
            l2_regularization=2.0,
            early_stopping=False,
        )
    return DensityChain(trees, n_orders=1, random_state=setting.random_state), {}


# To add a model: one line here. The first of equally good models writes the synthetic rows.
MODELS: dict[str, Model] = {
    "score-matching-gaussian": Model(
        "Gaussian by score matching (with full covariance it is the ML fit)",
        _score_matching_gaussian,
        quick_on="numbers",
    ),
    "mle-multivariate-normal": Model(
        "Gaussian by maximum likelihood", _mle_multivariate_normal, quick_on="numbers"
    ),
    "mle-normal": Model(
        "independent normal columns by maximum likelihood", _mle_normal, quick_on="numbers"
    ),
    "sparse-gaussian": Model("sparse Gaussian by score matching", _score_matching_sparse),
    "mixture": Model(
        "mixture of Gaussians, and a chain of classifiers for categories",
        _mixture,
        reads="holed",
        quick_on="numbers",
        most_entries=35_000,
    ),
    "kernel": Model(
        "kernel exponential family by score matching, for a few columns", _kernel, most_columns=6
    ),
    "nce": Model(
        "density by noise-contrastive estimation",
        _nce,
        reads="mixed",
        most_entries=35_000,
        most_in_all=300_000,
    ),
    "ddpm": Model(
        "denoising diffusion", _ddpm, reads="mixed", most_entries=35_000, most_in_all=300_000
    ),
    "density-chain": Model(
        "chain of classifiers over cells of the columns",
        _chain,
        reads="all",
        reads_cells=True,
        quick_on="mixed",
    ),
}
