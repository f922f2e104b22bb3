"""Randomised quasi-Monte-Carlo noise: independent scrambles of Sobol points.

The variance of an average over one scrambled net falls faster than 1/m, but a single net does not
tell it. Several independent scrambles do: each is unbiased, and their scatter is the variance.
"""

from typing import Any

import numpy as np
from scipy.stats import qmc

__all__ = ["MIN_SCRAMBLES", "net_sizes", "sobol_uniforms"]

MIN_SCRAMBLES = 8


def net_sizes(n_points: float) -> tuple[int, int]:
    """Return how many scrambles of how many points make at least `n_points`.

    Sobol points are balanced in powers of two only, so each scramble has 2^k of them; the number
    of scrambles, from 8 to 16, makes up the rest.

    Parameters
    ----------
    n_points : float
        Number of noise rows wanted.

    Returns
    -------
    n_scrambles, size : int
    """
    size = 2 ** int(np.floor(np.log2(max(n_points / MIN_SCRAMBLES, 1.0))))
    return max(MIN_SCRAMBLES, int(np.ceil(n_points / size - 1e-9))), size


def sobol_uniforms(
    n_points: float, n_columns: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return uniforms in the open unit cube and the scramble that each row belongs to.

    Parameters
    ----------
    n_points : float
        Number of rows wanted; somewhat more are returned.
    n_columns : int
        Dimension of the cube.
    rng : numpy.random.Generator
        Seeds of the scrambles.

    Returns
    -------
    uniforms : ndarray of shape (m, n_columns)
    scramble : ndarray of int, shape (m,)
    """
    n_scrambles, size = net_sizes(n_points)
    parts = [_net(size, n_columns, rng) for _ in range(n_scrambles)]
    return np.concatenate(parts), np.repeat(np.arange(n_scrambles), size)


def _net(size: int, n_columns: int, rng: np.random.Generator) -> Any:
    # an integer seed: scipy has renamed the argument for generators
    engine = qmc.Sobol(n_columns, scramble=True, seed=int(rng.integers(2**31)))
    points = engine.random_base2(size.bit_length() - 1)
    # the points are multiples of 2^-30, zero among them: the middles of their cells are inside
    return points + 2.0**-31
