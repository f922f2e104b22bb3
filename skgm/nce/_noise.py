"""Fits the noise that data are told apart from: by name, from an estimator, or from scipy."""

import copy
import inspect
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.covariance import ledoit_wolf
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.mixture import GaussianMixture
from sklearn.utils import get_tags

from skgm._numerics.distributions import (
    BernoulliNoise,
    GaussianMixtureNoise,
    Noise,
    ProductNoise,
    StudentNoise,
    UniformNoise,
    fresh_completions,
    open_uniform,
)
from skgm.tables._columns import code_table
from skgm.tables._reader import TableReader
from skgm.tables._validation import DISCRETE_SUPPORTS

__all__ = [
    "NOISE_NAMES",
    "EstimatorNoise",
    "QuantileNoise",
    "ScipyNoise",
    "best_mixture",
    "can_condition",
    "check_takes_holes",
    "cholesky_factors",
    "counts_or_coins",
    "density_named",
    "fit_bernoulli",
    "fit_estimator_noise",
    "fit_gaussian",
    "fit_marginals",
    "fit_mixture",
    "fit_quietly",
    "fit_stacked",
    "fit_student",
    "fit_uniform",
    "has_mass",
    "is_binary",
    "is_density",
    "is_scipy",
    "make_noise",
    "moments",
    "nearly_cholesky",
    "reads_kinds",
    "scipy_noise",
    "scores_holes",
    "stacking_weights",
    "weighted_rows",
]

NOISE_NAMES = (
    *("auto", "gaussian", "gmm", "student_t", "uniform", "marginals", "bernoulli"),
    *("chain", "ddpm"),
)


def is_binary(X: np.ndarray) -> bool:
    """Tell whether a table holds zeros and ones alone."""
    return bool(((X == 0) | (X == 1)).all())


def density_named(name: str, rng: np.random.Generator) -> Any:
    """Return the unfitted density that "chain" or "ddpm" stands for."""
    seed = int(rng.integers(2**31))
    if name == "ddpm":
        from skgm.diffusion import DDPM

        return DDPM(random_state=seed)
    from skgm.chain import DensityChain

    return DensityChain(random_state=seed)


def reads_kinds(noise: Any) -> bool:
    """Tell whether noise is for tables of several kinds of columns: a name, or a density."""
    if isinstance(noise, str):
        return noise in ("auto", "chain", "ddpm")
    tags = getattr(noise, "__density_tags__", None)
    return is_density(noise) and tags is not None and tags().mixed_columns


def check_takes_holes(density: Any) -> None:
    """Raise a ValueError where a critic or noise of an NCEDensity cannot learn from holes."""
    noises = density.noise if isinstance(density.noise, list) else [density.noise]
    for noise in noises:
        by_value = density.missing == "value"
        own = isinstance(noise, str) and noise in ("auto",) + ("chain",) * (not by_value)
        other = not isinstance(noise, str) and not by_value and _takes_holes(noise)
        if not (own or other) or density._has_parameters():
            raise ValueError(
                f"missing={density.missing!r} needs a critic that is a classifier, and noise that "
                "learns from holes: 'auto'"
                + ("" if by_value else ", 'chain', or a density like GaussianMixtureDensity")
                + f"; got critic={density.critic!r} and noise={noise!r}."
            )


def _takes_holes(noise: Any) -> bool:
    return is_density(noise) and get_tags(_thawed(noise)).input_tags.allow_nan


def scores_holes(noise: Any) -> bool:
    """Tell whether fitted noise has the density of a part of a row, and draws the rest."""
    if isinstance(noise, EstimatorNoise):
        return _takes_holes(noise.estimator) and can_condition(noise)
    return hasattr(noise, "complete") or isinstance(noise, GaussianMixtureNoise)


def is_density(noise: Any) -> bool:
    """Tell whether this is an estimator that can be cloned, fitted, sampled and scored."""
    return not isinstance(noise, type) and all(
        hasattr(noise, name) for name in ("fit", "sample", "score_samples")
    )


def has_mass(noise: Any, X: np.ndarray) -> bool:
    """Tell whether the noise that `noise` names for X has a mass, not a density."""
    if isinstance(noise, str):
        return noise == "bernoulli" or (noise == "auto" and is_binary(X))
    return counts_or_coins(noise)


def make_noise(
    noise: Any,
    X: np.ndarray,
    weight: np.ndarray | None,
    rng: np.random.Generator,
    *,
    stacked: bool = True,
) -> Noise:
    """Fit the noise that `noise` names to the rows of X, (n, d) float64.

    Parameters
    ----------
    noise : str or object
        "auto": coins for zeros and ones, else Gaussians stacked by held-out likelihood, or "gmm",
        the Gaussian mixture of the best BIC with a wide one of weight 1%;
        "gaussian", "student_t", "uniform", "marginals" (a mixture per column), "bernoulli",
        "chain", "ddpm"; a density estimator, which is cloned and fitted; a frozen distribution of
        scipy's; or an object with `sample(n, rng)` and `log_density(X)`, used as it is.
    stacked : bool, default=True
        Which of the two "auto" is. Stacked ones are the better density; the tails of "gmm" are the
        better noise for parametric critics, whose density does not depend on it.
    """
    if isinstance(noise, str) and noise == "auto" and stacked and not is_binary(X):
        return fit_stacked(X, weight, rng)
    if isinstance(noise, str) and noise in ("chain", "ddpm"):
        noise = density_named(noise, rng)
    if isinstance(noise, str):
        return _named_noise(noise, X, weight, rng)
    if is_scipy(noise):
        return scipy_noise(noise, X.shape[1])
    if is_density(noise):
        return fit_estimator_noise(noise, X, weight)
    methods = hasattr(noise, "sample") and hasattr(noise, "log_density")
    if methods and not isinstance(noise, type):
        return noise
    raise TypeError(
        f"noise must be one of {list(NOISE_NAMES)}, a density estimator with `sample` and "
        "`score_samples`, or a frozen distribution of scipy (scipy.stats.norm(0, 3)); "
        f"got {noise!r}."
    )


def _named_noise(
    noise: str, X: np.ndarray, weight: np.ndarray | None, rng: np.random.Generator
) -> Noise:
    if noise == "bernoulli" or (noise == "auto" and is_binary(X)):
        if not is_binary(X):
            row, column = np.argwhere((X != 0) & (X != 1))[0]
            raise ValueError(
                f"noise='bernoulli' needs a table of 0 and 1; X holds {X[row, column]!r} at row "
                f"{row}, column {column}. Choose another noise, or noise='auto'."
            )
        return fit_bernoulli(X, weight)
    if noise in ("auto", "gmm"):
        return fit_mixture(X, weight, rng)
    if noise == "marginals":
        return fit_marginals(X, weight, rng)
    if noise == "uniform":
        return fit_uniform(X)
    if noise == "gaussian":
        return fit_gaussian(X, weight)
    return fit_student(X, weight)


# Noise of known form, fitted to a table.

RIDGE = 1e-9  # relative to each column's variance
COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
ROUGH, LAST = 0.01, 0.001  # gain of a step of EM, in nats a row, at which it ends
SURELY_TRIED = 8  # components: a few narrow ones may only pay off together
ROWS_PER_COMPONENT = 10  # at least; below, a component can shrink onto a few rows
MAX_ROWS = 10_000  # for choosing and fitting a mixture
GUARD_WEIGHT, GUARD_INFLATION = 0.01, 9.0  # a wide component, so that no tail is uncovered
STUDENT_DF = 5.0
BOX_MARGIN = 0.1  # of each column's range, on either side
PSEUDO_COUNT = 0.5


def weighted_rows(
    X: np.ndarray, weight: np.ndarray | None, n_rows: int, rng: np.random.Generator
) -> np.ndarray:
    """Return n_rows rows in proportion to their weights, by systematic resampling.

    Without weights, and with n_rows = n, these are the rows themselves.
    """
    if weight is None and n_rows >= len(X):
        return X
    share = np.full(len(X), 1.0) if weight is None else weight
    edges = np.cumsum(share) / share.sum()
    picks = (np.arange(n_rows) + rng.uniform()) / n_rows
    order = rng.permutation(len(X)) if weight is None else np.arange(len(X))
    return X[order[np.minimum(np.searchsorted(edges, picks), len(X) - 1)]]


def moments(X: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean and the Cholesky factor of the covariance, barely ridged."""
    mean = np.average(X, axis=0, weights=weight)
    centered = X - mean
    scale = np.sqrt(np.average(centered**2, axis=0, weights=weight))
    z = centered / scale
    share = np.full(len(X), 1 / len(X)) if weight is None else weight / weight.sum()
    correlation = (z * share[:, None]).T @ z
    return mean, scale[:, None] * nearly_cholesky(correlation)


def nearly_cholesky(correlation: np.ndarray) -> np.ndarray:
    """Return the lower factor, of a ridged matrix where columns determine one another."""
    ridge = RIDGE
    while True:
        try:
            return np.linalg.cholesky(correlation + ridge * np.eye(len(correlation)))
        except np.linalg.LinAlgError:  # columns determined by others
            ridge *= 10


def fit_gaussian(X: np.ndarray, weight: np.ndarray | None = None) -> GaussianMixtureNoise:
    """Return the Gaussian with the mean and covariance of the table."""
    mean, factor = moments(X, weight)
    return GaussianMixtureNoise(np.ones(1), mean[None], factor[None])


def fit_student(X: np.ndarray, weight: np.ndarray | None = None) -> StudentNoise:
    """Return a Student t with five degrees of freedom and the moments of the table."""
    mean, factor = moments(X, weight)
    return StudentNoise(STUDENT_DF, mean, factor * np.sqrt((STUDENT_DF - 2) / STUDENT_DF))


def fit_uniform(X: np.ndarray) -> UniformNoise:
    """Return the uniform distribution over the table's box and a tenth more on each side."""
    margin = BOX_MARGIN * np.ptp(X, axis=0)
    return UniformNoise(X.min(axis=0) - margin, X.max(axis=0) + margin)


def fit_bernoulli(X: np.ndarray, weight: np.ndarray | None = None) -> BernoulliNoise:
    """Return coins with the column means, half a pseudo-count added to either side."""
    weight = np.ones(len(X)) if weight is None else weight
    return BernoulliNoise((weight @ X + PSEUDO_COUNT) / (weight.sum() + 2 * PSEUDO_COUNT))


def fit_mixture(
    X: np.ndarray, weight: np.ndarray | None, rng: np.random.Generator, *, guard: bool = True
) -> GaussianMixtureNoise:
    """Return the mixture of Gaussians with the best BIC, plus a wide component as a guard."""
    mean, factor = moments(X, weight)
    scale = np.sqrt(np.einsum("ij,ij->i", factor, factor))
    n_rows = min(len(X), MAX_ROWS)
    Z = (weighted_rows(X, weight, n_rows, rng) - mean) / scale
    best = best_mixture(Z, rng)
    weights, means = best.weights_, mean + scale * best.means_
    cholesky = scale[:, None] * cholesky_factors(best)
    if guard:
        weights = np.append((1 - GUARD_WEIGHT) * weights, GUARD_WEIGHT)
        means = np.vstack([means, mean])
        cholesky = np.concatenate([cholesky, np.sqrt(GUARD_INFLATION) * factor[None]])
    return GaussianMixtureNoise(weights / weights.sum(), means, cholesky)


def best_mixture(Z: np.ndarray, rng: np.random.Generator) -> GaussianMixture:
    """Return the mixture of the best BIC, of full or of diagonal covariances."""
    bic, best = _best_of_ladder(Z, "full", rng, np.inf)
    if Z.shape[1] > 1:
        other_bic, other = _best_of_ladder(Z, "diag", rng, bic)
        best = other if other_bic < bic else best
    return _without_few_rows(_go_on(best.set_params(tol=LAST, warm_start=True), Z), Z)


def _without_few_rows(mixture: GaussianMixture, Z: np.ndarray) -> GaussianMixture:
    """Drop components of too few rows to have a covariance: spikes at single rows."""
    least = Z.shape[1] + 1 if mixture.covariance_type == "full" else 2
    kept = mixture.weights_ * len(Z) > least - 0.5
    if kept.any() and not kept.all():
        for name in ("means_", "covariances_", "precisions_cholesky_", "precisions_"):
            setattr(mixture, name, getattr(mixture, name)[kept])
        mixture.weights_ = mixture.weights_[kept] / mixture.weights_[kept].sum()
        mixture.set_params(n_components=int(kept.sum()))
    return mixture


def _best_of_ladder(
    Z: np.ndarray, kind: str, rng: np.random.Generator, rival: float
) -> tuple[float, GaussianMixture]:
    """Climb the numbers of components, to eight and until BIC has risen twice in a row.

    The climb also ends where a fall as large as the last one at every step left would not reach
    the BIC of the rival.
    """
    best: tuple[float, Any] = (np.inf, None)
    rises = 0
    for step, k in enumerate(COMPONENTS, 1):
        if k > 1 and k * ROWS_PER_COMPONENT > len(Z):
            break
        model = fit_quietly(k, kind, Z, rng, ROUGH)
        bic = model.bic(Z)
        rises, fall = (0, best[0] - bic) if bic < best[0] else (rises + 1, 0.0)
        if bic < best[0]:
            best = (bic, model)
        hopeless = best[0] - fall * (len(COMPONENTS) - step) > rival
        if k >= SURELY_TRIED and (rises >= 2 or hopeless):
            break
    return best


def fit_quietly(
    k: int, kind: str, Z: np.ndarray, rng: np.random.Generator, tol: float = LAST
) -> GaussianMixture:
    """Fit a mixture, which need not be at its optimum to serve as noise."""
    seed = int(rng.integers(2**31))
    return _go_on(GaussianMixture(k, covariance_type=kind, tol=tol, random_state=seed), Z)


def _go_on(model: GaussianMixture, Z: np.ndarray) -> GaussianMixture:
    # with dispatch to other arrays scikit-learn refuses the starts by k-means, which these numpy
    # rows can have
    with warnings.catch_warnings(), config_context(array_api_dispatch=False):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(Z)


def cholesky_factors(model: GaussianMixture) -> np.ndarray:
    """Return the lower factors of the covariances, (k, d, d)."""
    if model.covariance_type == "diag":
        return np.stack([np.diag(np.sqrt(variance)) for variance in model.covariances_])
    return np.linalg.cholesky(model.covariances_)


def fit_marginals(
    X: np.ndarray, weight: np.ndarray | None, rng: np.random.Generator
) -> ProductNoise:
    """Return the product of one mixture per column."""
    columns: list[Any] = [X[:, [j]] for j in range(X.shape[1])]
    return ProductNoise(tuple(fit_mixture(column, weight, rng) for column in columns))


# The default noise: three kinds of Gaussians, weighted by their likelihood of held-out rows.

N_FOLDS = 5
HELD_OUT = 400  # rows that tell enough: of longer tables not all folds are held out
FEW_ROWS = 10  # fewer distinct ones cannot be held out
PSEUDO_ROWS = 0.5  # of the wide Gaussian: no tail is left uncovered
N_STEPS = 200  # of EM; a weight that is still falling then is dropped below half a row
START = (0.98, 0.01, 0.01)


def fit_stacked(
    X: np.ndarray, weight: np.ndarray | None, rng: np.random.Generator
) -> GaussianMixtureNoise:
    """Return a mixture of the mixture of best BIC, a shrunk Gaussian and a wide one.

    BIC is for many rows: where they are few to the columns, its mixture fits them too closely and
    the shrunk Gaussian (Ledoit and Wolf) takes over. The wide one has three times its standard
    deviations. Their weights maximize the likelihood of rows held out, so that none costs anything
    where it is not needed.
    """
    mean, factor = moments(X, weight)
    scale = np.sqrt(np.einsum("ij,ij->i", factor, factor))
    n_rows = min(len(X), MAX_ROWS)
    Z = (weighted_rows(X, weight, n_rows, rng) - mean) / scale
    mixture = best_mixture(Z, rng)
    parts = _parts(Z, mixture)
    weights = np.array([0.0, 0.99, 0.01])
    if len(np.unique(Z, axis=0)) >= FEW_ROWS:
        weights = stacking_weights(_held_out(Z, mixture, rng), len(Z))
    shares = np.concatenate([w * part.weights for w, part in zip(weights, parts)])
    means = np.concatenate([part.means for part in parts])
    cholesky = np.concatenate([part.cholesky for part in parts])
    kept = shares > 0
    return GaussianMixtureNoise(
        shares[kept] / shares[kept].sum(),
        mean + scale * means[kept],
        scale[:, None] * cholesky[kept],
    )


def stacking_weights(log_density: np.ndarray, n_rows: float) -> np.ndarray:
    """Return the weights of densities that give held-out rows the highest likelihood.

    By EM, which climbs to the one maximum; the last density has half a pseudo-row.

    Parameters
    ----------
    log_density : ndarray of shape (m, k)
        Of the held-out rows, under each density.
    n_rows : float
        Number of rows that these stand for.

    Returns
    -------
    weights : ndarray of shape (k,)
        They sum to one; those below half a row are zero, save the last.
    """
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    pseudo = np.append(np.zeros(log_density.shape[1] - 1), PSEUDO_ROWS)
    weights = np.array(START)
    for _ in range(N_STEPS):
        share = density * weights
        share /= share.sum(axis=1, keepdims=True)
        weights = n_rows * share.mean(axis=0) + pseudo
        weights /= weights.sum()
    weights[:-1][weights[:-1] < PSEUDO_ROWS / n_rows] = 0.0
    return weights / weights.sum()


def _held_out(Z: np.ndarray, mixture: GaussianMixture, rng: np.random.Generator) -> np.ndarray:
    """Return the log-density of rows under the three parts, fitted to the other rows, (m, 3).

    Copies of a row are held out together: one that was fitted to tells nothing of the other.
    """
    distinct = _numbered(Z)
    folds = np.array_split(rng.permutation(distinct.max() + 1), N_FOLDS)
    rows = []
    for numbers in folds[: int(np.ceil(N_FOLDS * HELD_OUT / len(Z)))]:
        fold = np.isin(distinct, numbers)
        others = Z[~fold]
        n_components = min(mixture.n_components, len(others))
        again = fit_quietly(n_components, mixture.covariance_type, others, rng)
        rows.append(np.stack([part.log_density(Z[fold]) for part in _parts(others, again)], axis=1))
    return np.concatenate(rows)


def _numbered(Z: np.ndarray) -> np.ndarray:
    """Return the number of every row among the distinct ones, in order of first appearance."""
    _, first, which = np.unique(Z, axis=0, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[which.ravel()])


def _parts(Z: np.ndarray, mixture: GaussianMixture) -> tuple[GaussianMixtureNoise, ...]:
    covariance = ledoit_wolf(Z)[0] if Z.shape[1] > 1 else np.atleast_2d(np.var(Z))
    one, mean, factor = np.ones(1), Z.mean(axis=0)[None], nearly_cholesky(covariance)[None]
    return (
        GaussianMixtureNoise(mixture.weights_, mixture.means_, cholesky_factors(mixture)),
        GaussianMixtureNoise(one, mean, factor),
        GaussianMixtureNoise(one, mean, np.sqrt(GUARD_INFLATION) * factor),
    )


# Noise from density estimators and from distributions of scipy.


@dataclass(frozen=True)
class EstimatorNoise:
    """A fitted density estimator with `sample` and `score_samples`.

    With a `reader`, of tables that hold other things than real numbers: rows are coded ones then.
    """

    estimator: Any
    discrete: bool = False
    reader: TableReader | None = None

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, d) draws in random order, from a seed of `rng`'s."""
        seed = int(rng.integers(2**31))
        inner = _thawed(self.estimator)
        options = inspect.signature(inner.sample).parameters
        if "random_state" in options:  # rows that repel one another would spoil the error of log Z
            independent = {"balanced": False} if "balanced" in options else {}
            drawn = inner.sample(n, random_state=seed, **independent)
        else:  # as GaussianMixture, which draws from its own random_state
            inner = copy.copy(inner)
            inner.random_state = np.random.RandomState(seed)
            drawn = inner.sample(n)
        rows = drawn[0] if isinstance(drawn, tuple) else drawn  # GaussianMixture adds labels
        return self._coded(rows, n)[rng.permutation(n)]  # GaussianMixture groups by component

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, of its observed part where it has holes, (n,)."""
        return np.asarray(self.estimator.score_samples(self._written(X)), dtype=np.float64)

    def sample_given(self, given: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of what is NaN given the rest of each row, (m, n, d)."""
        seed, m = int(rng.integers(2**31)), len(given)
        rows = _thawed(self.estimator).sample(n, random_state=seed, given=self._written(given))
        return self._coded(rows, m * n).reshape(m, n, -1)

    def _written(self, rows: np.ndarray) -> Any:
        return rows if self.reader is None else self.reader.restored(rows)

    def _coded(self, rows: Any, n: int) -> np.ndarray:
        if self.reader is None or self.reader.is_real:
            return np.asarray(rows, dtype=np.float64).reshape(n, -1)
        return code_table(rows, self.reader.columns)


def _thawed(estimator: Any) -> Any:
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    return estimator


def can_condition(noise: Any) -> bool:
    """Tell whether a noise, fitted or as named in the constructor, draws conditionally."""
    if isinstance(noise, (str, type)):
        return True
    if isinstance(noise, list):
        return all(map(can_condition, noise))
    if isinstance(noise, EstimatorNoise):
        noise = noise.estimator
    if is_density(noise):
        return hasattr(_thawed(noise), "impute")
    if is_scipy(noise):
        return hasattr(noise, "ppf")
    return hasattr(noise, "sample_given") or hasattr(noise, "complete")


def fit_estimator_noise(
    estimator: Any, X: Any, weight: np.ndarray | None, reader: TableReader | None = None
) -> EstimatorNoise:
    """Clone and fit a density estimator; one in a FrozenEstimator stays as it is."""
    fitted = clone(estimator)
    takes_weight = "sample_weight" in inspect.signature(fitted.fit).parameters
    if weight is not None and takes_weight:
        fitted.fit(X, sample_weight=weight)
    else:
        fitted.fit(X, None)
    return EstimatorNoise(fitted, counts_or_coins(fitted), reader)


def counts_or_coins(noise: Any) -> bool:
    """Tell whether an estimator or a distribution of scipy's has a mass, not a density."""
    if hasattr(noise, "logpmf"):
        return not hasattr(noise, "logpdf")
    tags = getattr(noise, "__density_tags__", None)
    return tags is not None and tags().support in DISCRETE_SUPPORTS


def is_scipy(noise: Any) -> bool:
    """Tell whether this is a frozen distribution of scipy's."""
    return hasattr(noise, "rvs") and (hasattr(noise, "logpdf") or hasattr(noise, "logpmf"))


@dataclass(frozen=True)
class ScipyNoise:
    """A frozen distribution: of one variable, used for every column, or of `d` variables."""

    distribution: Any
    n_columns: int
    discrete: bool = False

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, d) draws."""
        size = (n, self.n_columns) if self._is_univariate() else n
        rows = self.distribution.rvs(size=size, random_state=rng)
        return np.asarray(rows, dtype=np.float64).reshape(n, self.n_columns)

    def _is_univariate(self) -> bool:
        return hasattr(self.distribution, "ppf")

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, (n,)."""
        log = self.distribution.logpmf if self.discrete else self.distribution.logpdf
        values = np.asarray(log(X), dtype=np.float64)
        return values.sum(axis=1) if self._is_univariate() else values.reshape(len(X))


class QuantileNoise(ScipyNoise):
    """A frozen distribution of one variable, whose quantile function is an inverse map."""

    @property
    def n_uniforms(self) -> int:
        """One number per column."""
        return self.n_columns

    def sample_given(self, given: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of what is NaN, independent of the rest of each row, (m, n, d)."""
        return fresh_completions(self, given, n, rng)

    def transform(self, u: np.ndarray) -> np.ndarray:
        """Turn uniforms (m, d) into draws."""
        return np.asarray(self.distribution.ppf(open_uniform(u)), dtype=np.float64)


def scipy_noise(distribution: Any, n_columns: int) -> ScipyNoise:
    """Wrap a frozen distribution for a table with `n_columns` columns.

    Raises
    ------
    ValueError
        A multivariate distribution of another dimension.
    """
    if hasattr(distribution, "ppf"):
        return QuantileNoise(distribution, n_columns, counts_or_coins(distribution))
    width = np.size(distribution.rvs(size=1, random_state=np.random.default_rng(0)))
    if width != n_columns:
        raise ValueError(
            f"noise is a distribution over {width} columns, but X has {n_columns}. Give one of "
            "as many dimensions, or a distribution of one variable, which serves every column."
        )
    return ScipyNoise(distribution, n_columns, counts_or_coins(distribution))
