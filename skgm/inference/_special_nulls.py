r"""Score statistics of nulls that are no points of the usual parameters: whole circles, infinity.

Uniform angles are the von Mises distribution with :math:`\kappa = 0`, where the direction has no
meaning. In :math:`\kappa (\cos\mu, \sin\mu)` they are an inner point, and regular: the score test
is Rayleigh's, :math:`2 n \bar R^2`, and it and the likelihood ratio have two degrees of freedom.

At an infinite ``size`` (negative binomial) or ``df`` (Student's t) the score is that of their
inverse at zero, an end of its space: it counts where it is positive.

References
----------
K. V. Mardia and P. E. Jupp, "Directional Statistics", Wiley, 2000, section 6.3; C. Dean and J. F.
Lawless, "Tests for detecting overdispersion in Poisson regression models", Journal of the American
Statistical Association 84, 1989.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = [
    "heavy_tails_root",
    "is_uniform",
    "limit_root",
    "overdispersion_root",
    "rayleigh",
    "uniform_scores",
]


def is_uniform(family: Any, values: Mapping[str, np.ndarray]) -> bool:
    """Whether a null says that angles are uniform, in some columns.

    Raises
    ------
    ValueError
        It says more than that: a direction, or another concentration elsewhere.
    """
    if family.name != "von_mises" or set(values) != {"mu", "kappa"}:
        return False
    kappa = values["kappa"]
    if not (kappa == 0).any():
        return False
    if not np.isnan(values["mu"]).all() or (kappa > 0).any():
        raise ValueError(
            "null['kappa'] = 0 says that angles are uniform, without a direction: restrict "
            "nothing beside it (NaN for the columns that are free)."
        )
    return True


def rayleigh(lengths: np.ndarray, n: float) -> np.ndarray:
    """Return 2 n R^2 per column, (d,), R being the lengths of the mean vectors."""
    return 2 * n * lengths**2


def uniform_scores(X: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores (n, 2 c) of kappa (cos mu, sin mu) at zero and their information."""
    chosen = X[:, columns]
    psi = np.hstack([np.cos(chosen), np.sin(chosen)])
    return psi, np.eye(psi.shape[1]) / 2


def limit_root(name: str, x: np.ndarray, weight: np.ndarray | None) -> float:
    """Return the standardised score at an infinite `size` or `df` of one column x, (n,)."""
    weight = np.ones(len(x)) if weight is None else weight
    return (overdispersion_root if name == "size" else heavy_tails_root)(x, weight)


def overdispersion_root(x: np.ndarray, weight: np.ndarray) -> float:
    """Return sum{(x - mean)^2 - x} / (mean sqrt(2 n)): variance beyond that of a Poisson."""
    n = weight.sum()
    mean = weight @ x / n
    return float(weight @ ((x - mean) ** 2 - x) / (mean * np.sqrt(2 * n)))


def heavy_tails_root(x: np.ndarray, weight: np.ndarray) -> float:
    """Return sum(z^4 - 3) / sqrt(24 n): kurtosis beyond that of a normal."""
    n = weight.sum()
    centred = x - weight @ x / n
    z = centred / np.sqrt(weight @ centred**2 / n)
    return float(weight @ (z**4 - 3) / np.sqrt(24 * n))
