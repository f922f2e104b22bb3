"""A proposal for kernel families: half the Gaussian base, half kernels at the centres."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

__all__ = ["KernelProposal"]

SHARE = 0.5  # of the base, which bounds every weight: the kernels may miss a part of the mass


@dataclass(frozen=True)
class KernelProposal:
    """A mixture on whitened columns that is where the rows are, and has the tails of the base.

    Attributes
    ----------
    centers : ndarray of shape (m, d_active)
        Rows, in the columns that vary.
    active : ndarray of shape (d,), bool
        Those columns; the others are standard normal.
    """

    centers: np.ndarray
    active: np.ndarray

    @property
    def center(self) -> np.ndarray:
        """The origin, (d,)."""
        return np.zeros(len(self.active))

    @property
    def factor(self) -> np.ndarray:
        """The scale of moves, (d, d)."""
        return np.eye(len(self.active))

    @property
    def width(self) -> float:
        """Standard deviation of the kernels: the rule for m normal rows of unit variance."""
        m, d = self.centers.shape
        return float(m ** (-1 / (d + 4)))

    def transform(self, uniforms: np.ndarray) -> np.ndarray:
        """Return rows from uniforms in the open cube, (n, d + 1); the first one picks the part."""
        rows = stats.norm.ppf(uniforms[:, 1:])
        place = (uniforms[:, 0] - SHARE) / (1 - SHARE) * len(self.centers)
        near = place >= 0
        picked = self.centers[np.minimum(place[near].astype(int), len(self.centers) - 1)]
        cells = np.ix_(near, self.active)
        rows[cells] = picked + self.width * rows[cells]
        return rows

    def log_density(self, U: np.ndarray) -> np.ndarray:
        """Return the log-density of rows, (n,)."""
        inside, d = U[:, self.active], self.centers.shape[1]
        base = -0.5 * (inside**2).sum(axis=1) + np.log(SHARE)
        square = cdist(inside, self.centers, "sqeuclidean") / self.width**2
        near = logsumexp(-0.5 * square, axis=1) - np.log(len(self.centers)) - d * np.log(self.width)
        rest = -0.5 * (U[:, ~self.active] ** 2).sum(axis=1) - 0.5 * U.shape[1] * np.log(2 * np.pi)
        return np.logaddexp(base, near + np.log(1 - SHARE)) + rest
