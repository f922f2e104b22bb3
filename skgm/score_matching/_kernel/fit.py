"""Fitting the kernel part of a log-density by score matching: one linear system per bandwidth.

log p = log q + f - log Z with q standard normal, f(z) = sum_m c_m k(z, z_m) and a Gaussian kernel.
The implicit loss is quadratic in c: c' G c / 2 - g' c with G = mean sum_i d_i k d_i k' and
g = -mean [laplacian k + grad k . grad log q]   (eq. sm-implicit).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist, pdist
from scipy.stats import norm, qmc

__all__ = [
    "KernelFunction",
    "choose",
    "choose_centers",
    "fold_systems",
    "median_distance",
    "noisy",
    "solve_ridge",
]

BLOCK = 4096  # rows at a time
MOST_FOR_MEDIAN = 1000


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
        """Return f, (n,)."""
        return self.kernel(Z) @ self.coef

    def gradient(self, Z: np.ndarray) -> np.ndarray:
        """Return the gradient of f, (n, d)."""
        weighted = self.kernel(Z) * self.coef
        pull = weighted @ self.centers - Z * weighted.sum(axis=1, keepdims=True)
        return pull / self.bandwidth**2

    def system(self, Z: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sums over weighted rows that G and g are the means of."""
        m, d = self.centers.shape
        G, g, inverse = np.zeros((m, m)), np.zeros(m), self.bandwidth**-2
        for start in range(0, len(Z), BLOCK):
            rows, share = Z[start : start + BLOCK], weight[start : start + BLOCK, None]
            k = self.kernel(rows)
            square = cdist(rows, self.centers, "sqeuclidean")
            laplacian = (square * inverse - d) * inverse * k
            towards = np.zeros(k.shape)  # grad log q . grad k, with grad log q = -z
            for i in range(d):
                slope = -(rows[:, i, None] - self.centers[:, i]) * inverse * k
                towards -= rows[:, i, None] * slope
                G += slope.T @ (share * slope)
            g -= (share * (laplacian + towards)).sum(axis=0)
        return G, g


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
    engine = qmc.Sobol(Z.shape[1], seed=np.random.default_rng(0))
    half = norm.ppf(engine.random(n_pairs) + 2.0**-31) * scale
    return np.concatenate([Z + shift for shift in np.concatenate([half, -half])])


def fold_systems(
    function: KernelFunction, Z: np.ndarray, weight: np.ndarray, fold: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the sums of each fold."""
    return [function.system(Z[fold == k], weight[fold == k]) for k in range(int(fold.max()) + 1)]


def solve_ridge(G: np.ndarray, g: np.ndarray, gram: np.ndarray, alpha: float) -> np.ndarray:
    """Return c that minimizes the quadratic loss plus alpha / 2 times the squared norm of f."""
    matrix = G + alpha * gram
    jitter = 1e-10 * max(float(np.trace(matrix)) / len(g), 1e-300)
    return np.linalg.solve(matrix + jitter * np.eye(len(g)), g)


def choose(
    functions: Sequence[KernelFunction],
    alphas: Sequence[Sequence[float]],
    Z: np.ndarray,
    weight: np.ndarray,
    fold: np.ndarray,
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Return held-out losses, (n_bandwidths, n_alphas), and the whole systems.

    `alphas` are the ridges to try with each function.

    The loss of the base density is zero: a kernel part with a positive one does harm.
    """
    losses, systems = np.zeros((len(functions), len(alphas[0]))), []
    total = weight.sum()
    for b, function in enumerate(functions):
        parts = fold_systems(function, Z, weight, fold)
        shares = np.bincount(fold, weights=weight)
        G, g = sum(part[0] for part in parts), sum(part[1] for part in parts)
        systems.append((G / total, g / total))
        if len(parts) < 2:
            continue
        gram = function.kernel(function.centers)
        for (own_G, own_g), share in zip(parts, shares):
            rest_G, rest_g = (G - own_G) / (total - share), (g - own_g) / (total - share)
            for a, alpha in enumerate(alphas[b]):
                coef = solve_ridge(rest_G, rest_g, gram, alpha)
                losses[b, a] += (0.5 * coef @ own_G @ coef - own_g @ coef) / total
    return losses, systems
