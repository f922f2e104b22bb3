r"""Describes regressions with infinite estimates: what is finite in them, and what is not.

Some outcomes lie at an end of their range (a failure, a success, a count of zero). A direction
:math:`d` of the parameters is one of recession if :math:`z = X d` points every such row towards its
end, or leaves it alone, and is zero on all other rows: along it the likelihood rises without end,
unless :math:`z = 0`. In the limit the rows with :math:`z \ne 0` are certain and add nothing to the
log-likelihood. What remains is the likelihood of the other rows, which has a finite maximum in the
directions that move them.

References
----------
A. Albert and J. A. Anderson, "On the existence of maximum likelihood estimates in logistic
regression models", Biometrika 71, 1984. C. J. Geyer, "Likelihood inference in exponential families
and directions of recession", Electronic Journal of Statistics 3, 2009.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import null_space, orth
from scipy.optimize import linprog

__all__ = [
    "Recession",
    "find_recession",
    "infinite_signs",
    "is_extreme",
    "is_separated",
]

_NEARLY_CERTAIN = 1e-5  # probabilities or counts this near an end suggest an infinite estimate
_MOVED = 1e-6  # of a direction with entries up to one


class Recession(NamedTuple):
    """The directions along which a likelihood rises without end.

    Attributes
    ----------
    deepest : ndarray of shape (k,)
        One of them, which makes every row certain that any of them makes certain.
    infinite : ndarray of shape (k, p)
        Basis of all that they span.
    finite : ndarray of shape (k, m)
        Basis of the other directions of the search, in which the maximum is finite.
    certain : ndarray of bool, shape (n,)
        The rows that become certain.
    """

    deepest: np.ndarray
    infinite: np.ndarray
    finite: np.ndarray
    certain: np.ndarray


def is_extreme(mean: np.ndarray, side: np.ndarray) -> bool:
    """Tell whether some outcome at an end of its range was fitted as all but certain."""
    near = (side < 0) & (mean < _NEARLY_CERTAIN) | (side > 0) & (mean > 1 - _NEARLY_CERTAIN)
    return bool(near.any())


def is_separated(design: np.ndarray, side: np.ndarray) -> bool:
    """Tell whether some direction raises the likelihood of a regression without end.

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
    """
    return find_recession(design, side, np.eye(design.shape[1])) is not None


def find_recession(design: np.ndarray, side: np.ndarray, basis: np.ndarray) -> Recession | None:
    """Return the directions of recession within the span of `basis`, or None where there are none.

    Parameters
    ----------
    design, side : ndarray of shape (n, k) and (n,)
        As in :func:`is_separated`.
    basis : ndarray of shape (k, m)
        Directions of the search.

    Returns
    -------
    recession : Recession or None
    """
    Z = _scaled(design @ basis)[0]
    if Z.shape[1] == 0:
        return None
    certain = np.zeros(len(Z), dtype=bool)
    while True:  # a program need not find all rows at once; the sum of what it finds does
        found = _farthest(Z, side, certain)
        fresh = ~certain & (Z @ found * side > _MOVED)
        if not fresh.any():
            break
        certain |= fresh
    if not certain.any():
        return None
    seen = orth(Z.T, rcond=1e-11)  # directions that no row sees, such as overdispersion, stay out
    rows = np.vstack([Z[~certain] @ seen, np.zeros((seen.shape[1], seen.shape[1]))])
    _, lengths, turned = np.linalg.svd(rows, full_matrices=False)
    rank = np.sum(lengths > 1e-11 * np.linalg.norm(Z))
    null = seen @ turned[rank:].T
    deepest = null @ (null.T @ _deepest(Z, side, certain))  # exactly zero on the other rows
    unit = 1 / _scaled(design @ basis)[1]
    back = basis * unit
    infinite, rest = back @ null, back @ null_space(null.T)
    return Recession(back @ deepest, infinite, rest, certain)


def infinite_signs(
    recession: Recession, design: np.ndarray, side: np.ndarray, c: np.ndarray
) -> set:
    """Return the signs, 1 and -1, with which the combination c of parameters may be infinite.

    Empty where c is finite: where it is zero along all directions of recession.
    """
    slope = c @ recession.infinite
    size = np.linalg.norm(recession.infinite, axis=0) * np.linalg.norm(c)
    if (np.abs(slope) <= 1e-9 * size).all():
        return set()
    Z = design @ recession.infinite
    rows = recession.certain
    signs = set()
    for sign in (1, -1):
        result = linprog(
            -sign * slope,
            A_ub=-Z[rows] * side[rows, None],
            b_ub=np.zeros(rows.sum()),
            bounds=(-1.0, 1.0),
        )
        if result.status == 0 and -result.fun > _MOVED * np.abs(slope).max():
            signs.add(sign)
    return signs


def _scaled(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of Z in units of their largest entries, and these."""
    size = np.abs(Z).max(axis=0, initial=0.0)
    size = np.where(size > 0, size, 1.0)
    return Z / size, size


def _farthest(Z: np.ndarray, side: np.ndarray, certain: np.ndarray) -> np.ndarray:
    """Return the direction d with X d on the right side that moves the other rows most in sum."""
    one_sided = side != 0
    z = Z[one_sided] * side[one_sided, None]
    wanted = z[~certain[one_sided]]
    inside = Z[~one_sided]
    result = linprog(
        -wanted.sum(axis=0),
        A_ub=np.vstack([-z, wanted]),
        b_ub=np.concatenate([np.zeros(len(z)), np.ones(len(wanted))]),
        A_eq=inside if len(inside) else None,
        b_eq=np.zeros(len(inside)) if len(inside) else None,
        bounds=(-1e6, 1e6),
    )
    return result.x if result.status == 0 else np.zeros(Z.shape[1])


def _deepest(Z: np.ndarray, side: np.ndarray, certain: np.ndarray) -> np.ndarray:
    """Return the direction along which the least moved of the certain rows moves most."""
    k = Z.shape[1]
    z, still = Z[certain] * side[certain, None], Z[~certain]
    result = linprog(
        np.append(np.zeros(k), -1.0),  # the last variable is the least move
        A_ub=np.column_stack([-z, np.ones(len(z))]),
        b_ub=np.zeros(len(z)),
        A_eq=np.column_stack([still, np.zeros(len(still))]) if len(still) else None,
        b_eq=np.zeros(len(still)) if len(still) else None,
        bounds=[(-1.0, 1.0)] * k + [(0.0, 1.0)],
    )
    return result.x[:k]
