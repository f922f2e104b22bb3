"""Fits the kernel part of a log-density by score matching: one linear system per bandwidth.

log p = log q + f - log Z with q standard normal, f(z) = sum_m c_m k(z, z_m) and a Gaussian kernel.
The implicit loss is quadratic in c: c' G c / 2 - g' c with G = mean sum_i d_i k d_i k' and
g = -mean [laplacian k + grad k . grad log q]   (eq. sm-implicit).
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist, pdist
from scipy.special import ndtri

from skgm._numerics.qmc import sobol_points

__all__ = [
    "KernelFunction",
    "Sums",
    "choose_centers",
    "median_distance",
    "noisy",
    "solve_ridge",
]

BLOCK = 4096  # rows at a time
MOST_FOR_MEDIAN = 1000


@dataclass(frozen=True)
class Sums:
    """What the fit needs of weighted rows, as sums over them or as means.

    Attributes
    ----------
    G : ndarray of shape (m, m)
    g : ndarray of shape (m,)
        The quadratic loss is c' G c / 2 - g' c.
    kernel : ndarray of shape (m,)
        Of k(z, z_m).
    products : ndarray of shape (m, m)
        Of k(z, z_m) k(z, z_l).
    total : float
        Of the weights.
    """

    G: np.ndarray
    g: np.ndarray
    kernel: np.ndarray
    products: np.ndarray
    total: float

    def minus(self, other: "Sums") -> "Sums":
        """Return the sums over the rows that are not in `other`."""
        return Sums(*(mine - theirs for mine, theirs in zip(self._parts(), other._parts())))

    def plus(self, other: "Sums") -> "Sums":
        """Return the sums over the rows of both."""
        return Sums(*(mine + theirs for mine, theirs in zip(self._parts(), other._parts())))

    def mean(self) -> "Sums":
        """Return the means."""
        return Sums(*(part / self.total for part in self._parts()))

    def _parts(self) -> tuple:
        return self.G, self.g, self.kernel, self.products, self.total


@dataclass(frozen=True)
class KernelFunction:
    """f(z) = sum_m coef_m exp(-|z - center_m|^2 / (2 bandwidth^2)).

    Attributes
    ----------
    centers : ndarray of shape (m, d)
    coef : ndarray of shape (m,)
    bandwidth : float
    """

    centers: np.ndarray
    coef: np.ndarray
    bandwidth: float

    def kernel(self, Z: np.ndarray) -> np.ndarray:
        """Return k(z, z_m), (n, m)."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            square = cdist(Z, self.centers, "sqeuclidean") / self.bandwidth**2
            return np.exp(-0.5 * np.nan_to_num(square, nan=np.inf))

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        """Return f, (n,), a block of rows at a time."""
        found = np.empty(len(Z))
        for start in range(0, len(Z), BLOCK):
            found[start : start + BLOCK] = self.kernel(Z[start : start + BLOCK]) @ self.coef
        return found

    def with_gradient(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return f, (n,), and its gradient, (n, d)."""
        found, gradient = np.empty(len(Z)), np.empty(Z.shape)
        for start in range(0, len(Z), BLOCK):
            block = slice(start, start + BLOCK)
            weighted = self.kernel(Z[block]) * self.coef
            found[block] = weighted.sum(axis=1)
            pull = weighted @ self.centers - Z[block] * found[block, None]
            gradient[block] = pull / self.bandwidth**2
        return found, gradient

    def sums(self, Z: np.ndarray, weight: np.ndarray) -> Sums:
        """Return the sums over weighted rows.

        grad k(z, z_m) . grad k(z, z_l) = k(z, z_m) k(z, z_l) (z - z_m) . (z - z_l) / h^4, and the
        product is half of |z - z_m|^2 + |z - z_l|^2 - |z_m - z_l|^2.
        """
        m, d = self.centers.shape
        inverse, apart = self.bandwidth**-2, cdist(self.centers, self.centers, "sqeuclidean")
        crossed, products, g, kernel = np.zeros((m, m)), np.zeros((m, m)), np.zeros(m), np.zeros(m)
        for start in range(0, len(Z), BLOCK):
            rows, share = Z[start : start + BLOCK], weight[start : start + BLOCK, None]
            k = self.kernel(rows)
            weighted = share * k
            square = cdist(rows, self.centers, "sqeuclidean")
            kernel += weighted.sum(axis=0)
            products += k.T @ weighted
            crossed += (square * k).T @ weighted
            # laplacian k + grad k . grad log q, over k, with grad log q = -z
            slope = (rows**2).sum(axis=1)[:, None] - rows @ self.centers.T
            g -= (weighted * ((square * inverse - d) * inverse + slope * inverse)).sum(axis=0)
        G = 0.5 * inverse**2 * (crossed + crossed.T - apart * products)
        return Sums(G, g, kernel, products, float(weight.sum()))


def choose_centers(weight: np.ndarray, n_components: int, rng: np.random.Generator) -> np.ndarray:
    """Return indices of distinct rows, drawn without replacement in proportion to their weights."""
    keys = np.log(rng.uniform(2.0**-53, 1.0, size=len(weight))) / weight
    return np.sort(np.argsort(-keys, kind="stable")[:n_components])


def median_distance(Z: np.ndarray) -> float:
    """Return the median distance of pairs of rows; 1 where all are equal."""
    found = float(np.median(pdist(Z[:: max(len(Z) // MOST_FOR_MEDIAN, 1)]))) if len(Z) > 1 else 0.0
    return found if found > 0 else 1.0


def noisy(Z: np.ndarray, scale: float, n_pairs: int) -> np.ndarray:
    """Return every row plus the same 2 n_pairs antithetic normals, (2 n_pairs n, d), pair by pair.

    The noise does not depend on the row, so that a weight equals repetitions of a row.
    """
    half = ndtri(sobol_points(Z.shape[1], np.random.default_rng(0))(n_pairs)) * scale
    return np.concatenate([Z + shift for shift in np.concatenate([half, -half])])


def solve_ridge(G: np.ndarray, g: np.ndarray, gram: np.ndarray, alpha: float) -> np.ndarray:
    """Return c that minimizes the quadratic loss plus alpha / 2 times the squared norm of f."""
    matrix = G + alpha * gram
    jitter = 1e-10 * max(float(np.trace(matrix)) / len(g), 1e-300)
    return np.linalg.solve(matrix + jitter * np.eye(len(g)), g)
