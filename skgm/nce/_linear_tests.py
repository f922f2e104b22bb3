"""Wald, score and likelihood-ratio tests of the parameters of a linear critic.

With independent noise and a null that leaves c alone, the score and the likelihood-ratio statistic
are those of logistic regression. In general the variance of dJ/d theta is not its curvature: the
Wald and score statistics use the covariance of eq. nce-covariance, and the likelihood ratio is
multiplied by the ratio of the two score statistics, with and without it.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

from skgm.inference._statistics_of_tests import linear_quadratic
from skgm.nce._covariance import Covariance, covariance
from skgm.nce._linear import LinearCritic
from skgm.nce._newton import maximise

__all__ = ["Outcome", "critic_test", "restricted_tests"]


class Outcome(NamedTuple):
    """Statistic, the sign of its root for one restriction, and the restricted estimate."""

    statistic: float
    sign: float
    restricted: np.ndarray | None


def critic_test(
    critic: LinearCritic, test: str, matrix: np.ndarray, target: np.ndarray, *, robust: bool
) -> Outcome:
    """Test R theta = q about the reported parameters.

    Parameters
    ----------
    critic : LinearCritic
        Fitted to the data, in this process (pickles have lost the rows).
    test : {"wald", "score", "likelihood_ratio"}
        Which test.
    matrix, target : ndarray of shape (r, k) and (r,)
        R and q.
    robust : bool
        Use the sandwich for the variance.

    Returns
    -------
    outcome : Outcome
        Chi-square with r degrees of freedom under the null.

    Raises
    ------
    ValueError
        The critic has no covariance; a score or likelihood-ratio test after telescoping.
    """
    if test == "wald":
        gap = matrix @ critic.reported - target
        found = critic.covariance("robust" if robust else "model")
        return Outcome(_statistic(gap, found, matrix), float(gap[0]), None)
    kind = "robust" if robust else "observed"
    critic.covariance(kind)  # refuses where there is none
    if critic.bridges is not None:
        raise ValueError(
            f"The {test.replace('_', ' ')} test needs one objective; this fit is made of "
            "bridges, because the noise is far from the data. Use wald_test, or nearer noise."
        )
    return restricted_tests(critic, matrix, target, kind)[test]


def restricted_tests(
    critic: LinearCritic, matrix: np.ndarray, target: np.ndarray, kind: str
) -> dict[str, Outcome]:
    """Return the outcomes of the score and the likelihood-ratio test, of one restricted fit.

    Parameters
    ----------
    critic, matrix, target
        As in :func:`critic_test`.
    kind : {"observed", "robust"}
        Which covariance, at the restricted estimate.

    Raises
    ------
    ValueError
        The restricted estimate was not found.
    """
    contrast = critic.contrast
    assert contrast is not None
    own = matrix @ critic.map  # restrictions of the parameters as fitted
    fit = maximise(contrast, critic.theta, restriction=(own, target), max_iter=200)
    if not fit.converged:
        raise ValueError(
            "The restricted estimate was not found: the null is too far from the data, or it "
            "leaves no density. Use wald_test, or test a nearer value."
        )
    gradient, curvature = contrast.derivatives(fit.theta)
    step = np.linalg.solve(curvature, gradient)
    found = covariance(contrast, fit.theta, kind=kind)
    score = _statistic(own @ step, found, own)
    restricted = critic.map @ fit.theta
    naive = critic.n * float(gradient @ step)
    fall = 2 * critic.n * max(critic.fit.objective - fit.objective, 0.0)
    ratio = score / naive if naive > 0 else 1.0
    gap = matrix @ critic.reported - target
    return {
        "score": Outcome(score, float((own @ step)[0]), restricted),
        "likelihood_ratio": Outcome(fall * ratio, float(gap[0]), restricted),
    }


def _statistic(gap: np.ndarray, found: Covariance, matrix: np.ndarray) -> float:
    """Return the quadratic form, on the scale of chi-square.

    A variance with few degrees of freedom (scrambles) makes it F; it is moved to the chi-square
    quantile of the same probability.
    """
    statistic, r = linear_quadratic(gap, found.matrix, matrix), len(matrix)
    inner = matrix @ found.matrix @ matrix.T
    unit = 1 / np.sqrt(np.diagonal(inner))
    root = np.linalg.cholesky(inner * unit * unit[:, None])
    directions = np.linalg.solve(root, matrix * unit[:, None])
    spread = float(np.mean(1 / found.degrees_of_freedom(directions)))
    if spread == 0:
        return statistic
    tail = float(special.fdtrc(r, 1 / spread, statistic / r))
    return float(special.chdtri(r, tail)) if tail > 1e-300 else statistic
