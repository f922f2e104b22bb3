"""Tables for the checks, one recipe per support, all made from a Gaussian copula."""

from typing import Any

import numpy as np
from scipy import special, stats

from skgm.testing._registry import get_density_tags

__all__ = [
    "MARGINS",
    "clustered_table",
    "far_tables",
    "held_out_baseline",
    "make_table",
    "outside_support",
    "table_for",
]


def _counts(mean: float) -> Any:
    return lambda z: stats.poisson.ppf(special.ndtr(z), mean)


# From a standard normal to a margin with the given support; the same for every column, so that
# models with one common scale (spherical covariances) are not at a disadvantage.
MARGINS: dict[str, Any] = {
    "real": lambda z: 2.0 * z + 1.0,
    "positive": lambda z: -2.0 * special.log_ndtr(-z),
    "non-negative": lambda z: -2.0 * special.log_ndtr(-z),
    "unit": lambda z: special.expit(0.5 + z),
    "circle": lambda z: 2 * np.arctan(0.4 * z + 0.5),
    "binary": lambda z: (z < 0.5).astype(np.float64),
    "counts": _counts(4.0),
    "positive-counts": lambda z: stats.geom.ppf(special.ndtr(z), 0.25),
}


def make_table(
    support: str,
    n_rows: int = 120,
    n_columns: int = 2,
    *,
    correlation: float = 0.8,
    shift: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """Return dependent columns inside the support, (n_rows, n_columns) float64."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n_rows, 1))
    own = rng.standard_normal((n_rows, n_columns))
    latent = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    return MARGINS[support](latent + shift)


def table_for(estimator: Any, n_rows: int = 120, n_columns: int = 2, **options: Any) -> np.ndarray:
    """Return :func:`make_table` for the support that the estimator declares."""
    return make_table(get_density_tags(estimator).support, n_rows, n_columns, **options)


def clustered_table(support: str, n_rows: int = 120) -> np.ndarray:
    """Return two well separated clusters of rows, in turn: a mixture that might come out sorted."""
    noise = 0.2 * np.random.default_rng(0).standard_normal((n_rows, 2))
    sign = np.where(np.arange(n_rows) % 2, 2.0, -2.0)[:, None]
    return MARGINS[support](sign + noise)


def far_tables(support: str, train: np.ndarray) -> list[np.ndarray]:
    """Return tables inside the support that look nothing like `train`."""
    spread = 20 * np.ptp(train, axis=0)
    return {
        "real": [train + spread, train - spread],
        "positive": [train + spread],
        "non-negative": [train + spread],
        "unit": [special.expit(special.logit(train) + shift) for shift in (-9.0, 9.0)],
        "circle": [np.where(train > 0, train - np.pi, train + np.pi)],
        "binary": [np.zeros_like(train)],
        "counts": [train + np.ceil(spread)],
        "positive-counts": [train + np.ceil(spread)],
    }[support]


def outside_support(support: str) -> list[float]:
    """Return values that do not belong to the support."""
    return {
        "positive": [-1.0, 0.0],
        "non-negative": [-1.0],
        "unit": [-0.5, 1.5],
        "circle": [-np.pi, 3.5],
        "binary": [-1.0, 0.5, 2.0],
        "counts": [-1.0, 0.5],
        "positive-counts": [0.0, 1.5],
    }[support]


def _log_beta(train: np.ndarray, X: np.ndarray) -> np.ndarray:
    mean, variance = train.mean(axis=0), train.var(axis=0)
    size = mean * (1 - mean) / variance - 1  # the method of moments
    return stats.beta.logpdf(X, mean * size, (1 - mean) * size)


def _log_von_mises(train: np.ndarray, X: np.ndarray) -> np.ndarray:
    mean = np.exp(1j * train).mean(axis=0)
    length = np.abs(mean)
    kappa = length * (2 - length**2) / (1 - length**2)  # close to the maximum of the likelihood
    return stats.vonmises.logpdf(X, kappa, np.angle(mean))


def held_out_baseline(support: str, train: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return the log-density of X under independent margins fitted to `train`, (n_rows,)."""
    mean = train.mean(axis=0)
    margins = {
        "real": lambda: stats.norm.logpdf(X, mean, train.std(axis=0)),
        "positive": lambda: stats.expon.logpdf(X, scale=mean),
        "non-negative": lambda: stats.expon.logpdf(X, scale=mean),
        "unit": lambda: _log_beta(train, X),
        "circle": lambda: _log_von_mises(train, X),
        "binary": lambda: stats.bernoulli.logpmf(X, mean),
        "counts": lambda: stats.poisson.logpmf(X, mean),
        "positive-counts": lambda: stats.geom.logpmf(X, 1 / mean),
    }
    return margins[support]().sum(axis=1)
