"""Noise that belongs to a row: the same in any batch, independent between rows.

Monte-Carlo estimates of a row's log-density must not depend on which other rows are scored with
it. Noise shared by all rows would do, but its error does not average out over rows. Here the
row's own values seed its noise, through a hash (Steele, Lea and Flood's splitmix64).
"""

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

__all__ = ["normal_nodes", "row_keys"]

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
        key = _mixed(key ^ _mixed(column + _GOLDEN))
    return key


def normal_nodes(keys: np.ndarray, d: int, n_nodes: int, stream: int) -> np.ndarray:
    """Return standard normal nodes, (2 * n_nodes, n, d): a shifted Sobol set and its mirror image.

    Every row shifts the same set by its own uniform numbers, so each node is exactly standard
    normal, and the nodes of a row are spread evenly. Streams are independent.
    """
    start = _mixed(keys + np.array([stream], dtype=np.uint64) * _GOLDEN)
    columns = np.arange(1, d + 1, dtype=np.uint64) * _GOLDEN
    shift = (_mixed(start[:, None] + columns) >> np.uint64(11)) * 2.0**-53
    sobol = qmc.Sobol(d, scramble=False).random(n_nodes)
    uniform = (sobol[:, None, :] + shift + 2.0**-54) % 1.0
    half = ndtri(np.maximum(uniform, 2.0**-54))
    return np.concatenate([half, -half])


def _mixed(z: np.ndarray) -> np.ndarray:
    """Return splitmix64's finaliser of unsigned 64-bit integers; overflow is intended."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
