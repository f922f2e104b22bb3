"""Draws randomized quasi-Monte-Carlo points: independent scrambles of Sobol nets.

The variance of an average over one scrambled net falls faster than 1/m, but a single net does not
tell it. Several independent scrambles do: each is unbiased, and their scatter is the variance.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

__all__ = [
    "MIN_SCRAMBLES",
    "net_sizes",
    "normal_nodes",
    "row_keys",
    "sobol_points",
    "sobol_uniforms",
]

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
    parts = [sobol_points(n_columns, rng)(size) for _ in range(n_scrambles)]
    return np.concatenate(parts), np.repeat(np.arange(n_scrambles), size)


def sobol_points(n_columns: int, rng: np.random.Generator) -> Callable[[int], np.ndarray]:
    """Return a function that gives the next points of one scramble, (n, n_columns).

    Parameters
    ----------
    n_columns : int
        Dimension of the open unit cube.
    rng : numpy.random.Generator
        Seed of the scramble.

    Returns
    -------
    draw : callable
        From the number of points, powers of two together, to the points.
    """
    # an integer seed: scipy has renamed the argument for generators
    engine = qmc.Sobol(n_columns, scramble=True, seed=int(rng.integers(2**31)))
    # the points are multiples of 2^-30, zero among them: the middles of their cells are inside
    return lambda n: engine.random(n) + 2.0**-31


# Noise that belongs to a row: the same in any batch, independent between rows.
#
# Monte-Carlo estimates of a row's log-density must not depend on which other rows are scored with
# it. Noise shared by all rows would do, but its error does not average out over rows. Here the
# row's own values seed its noise, through a hash (Steele, Lea and Flood's splitmix64).

_RESOLUTION = 2.0**20
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def row_keys(rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a 64-bit key for each scaled row from its values and a seed, (n,).

    Values are rounded to a millionth first: scaling rounds differently in batches of other sizes.
    """
    rounded = np.rint(np.asarray(rows, dtype=np.float64) * _RESOLUTION) + 0.0  # -0.0 becomes 0.0
    bits = np.ascontiguousarray(rounded).view(np.uint64)
    key = np.full(len(bits), seed, dtype=np.uint64)
    for column in bits.T:
        key = _splitmix64(key ^ _splitmix64(column + _GOLDEN))
    return key


def normal_nodes(keys: np.ndarray, d: int, n_nodes: int, stream: int) -> np.ndarray:
    """Return standard normal nodes, (2 * n_nodes, n, d): a shifted Sobol set and its mirror image.

    Every row shifts the same set by its own uniform numbers, so each node is exactly standard
    normal, and the nodes of a row are spread evenly. Streams are independent.
    """
    start = _splitmix64(keys + np.array([stream], dtype=np.uint64) * _GOLDEN)
    columns = np.arange(1, d + 1, dtype=np.uint64) * _GOLDEN
    shift = (_splitmix64(start[:, None] + columns) >> np.uint64(11)) * 2.0**-53
    sobol = qmc.Sobol(d, scramble=False).random(n_nodes)
    uniform = (sobol[:, None, :] + shift + 2.0**-54) % 1.0
    half = ndtri(np.maximum(uniform, 2.0**-54))
    return np.concatenate([half, -half])


def _splitmix64(z: np.ndarray) -> np.ndarray:
    """Return splitmix64's finalizer of unsigned 64-bit integers; overflow is intended."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
