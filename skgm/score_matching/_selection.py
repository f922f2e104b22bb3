"""Choosing the penalty of a sparse Gaussian: extended BIC, or held-out likelihood."""

from dataclasses import dataclass

import numpy as np

from skgm.score_matching._refit import log_likelihood
from skgm.score_matching._regularized import RegularizedFit, bounded, refit_point
from skgm.score_matching._sparse_path import largest_alpha, solve_path

__all__ = ["Path", "alpha_grid", "ebic", "fit_path", "held_out"]

LEAST_ALPHA = 0.05  # of the largest: far beyond what either criterion chooses
NEIGHBOURS = 0.1  # average number of neighbours per row at which the path stops


@dataclass(frozen=True)
class Path:
    """Refitted precisions along decreasing penalties, on the scale of correlations.

    Attributes
    ----------
    alphas : ndarray of shape (k,)
        Penalties; fewer than asked for where the graph became too dense for the rows.
    fits : list of RegularizedFit
        One per penalty.
    """

    alphas: np.ndarray
    fits: list[RegularizedFit]


def alpha_grid(R: np.ndarray, n_alphas: int) -> np.ndarray:
    """Return decreasing penalties, (n_alphas,), from the empty graph down."""
    most = largest_alpha(bounded(R))
    return np.geomspace(most, LEAST_ALPHA * most, n_alphas) if most > 0 else np.zeros(1)


def fit_path(
    R: np.ndarray, n_rows: float, alphas: np.ndarray, refit: str | None, tol: float
) -> Path:
    """Solve the path and refit each point; dense ends that the rows cannot support are cut off."""
    R_bounded, p = bounded(R), len(R)
    cap = int(max(p, NEIGHBOURS * n_rows * p / 2))
    points = solve_path(R_bounded, alphas, tol=tol, max_pairs=cap)
    most = largest_alpha(R_bounded)
    fits = [refit_point(R, point, n_rows, refit, most) for point in points]
    return Path(alphas[: len(fits)], fits)


def ebic(fit: RegularizedFit, R: np.ndarray, n_rows: float, gamma: float) -> float:
    """Return the extended Bayesian information criterion, up to a constant; lower is better.

    -2 log-likelihood + E log n + 4 gamma E log p for E edges: with gamma > 0 the number of graphs
    with E edges counts as well (Foygel & Drton, 2010).
    """
    n_edges = fit.graph.sum() / 2
    penalty = np.log(n_rows) + 4 * gamma * np.log(len(R))
    return float(-n_rows * log_likelihood(fit.precision, R) + n_edges * penalty)


def held_out(fit: RegularizedFit, sd: np.ndarray, second_moment: np.ndarray) -> float:
    """Return the mean log-likelihood per row up to a constant, from held-out second moments."""
    scaled = second_moment / sd / sd[:, None]
    return 0.5 * log_likelihood(fit.precision, scaled) - float(np.log(sd).sum())
