"""Infinite estimates of binary and count regressions, decided exactly by linear programming."""

import numpy as np
from scipy.optimize import linprog

__all__ = ["is_extreme", "is_separated"]

_NEARLY_CERTAIN = 1e-5  # probabilities or counts this near an end suggest an infinite estimate


def is_extreme(mean: np.ndarray, side: np.ndarray) -> bool:
    """Tell whether some outcome at an end of its range was fitted as all but certain."""
    near = (side < 0) & (mean < _NEARLY_CERTAIN) | (side > 0) & (mean > 1 - _NEARLY_CERTAIN)
    return bool(near.any())


def is_separated(design: np.ndarray, side: np.ndarray) -> bool:
    """Tell whether some direction raises the likelihood of a regression without end.

    That is so if, and only if, a combination z = X d of the columns is nowhere on the wrong side
    and not zero everywhere: z >= 0 where the outcome is at its upper end, z <= 0 where it is at
    its lower end, z = 0 in between.

    Parameters
    ----------
    design : ndarray of shape (n, k)
        Columns of the linear predictor.
    side : ndarray of shape (n,)
        1 where the outcome is at its upper end (a success), -1 at its lower end (a failure, a
        count of zero), 0 in between.

    Returns
    -------
    separated : bool

    References
    ----------
    A. Albert and J. A. Anderson, "On the existence of maximum likelihood estimates in logistic
    regression models", Biometrika 71, 1984.
    """
    if design.shape[1] == 0:
        return False
    size = np.abs(design).max(axis=0)
    scaled = design / np.where(size > 0, size, 1.0)
    one_sided = side != 0
    z = scaled[one_sided] * side[one_sided, None]
    inside = scaled[~one_sided]
    result = linprog(
        -z.sum(axis=0),
        A_ub=np.vstack([-z, z]),
        b_ub=np.concatenate([np.zeros(len(z)), np.ones(len(z))]),
        A_eq=inside if len(inside) else None,
        b_eq=np.zeros(len(inside)) if len(inside) else None,
        bounds=(None, None),
    )
    return bool(result.status == 3 or (result.status == 0 and -result.fun > 1e-6))
