"""The normaliser and the draws of any exponential family, from its log-density up to a factor."""

from dataclasses import dataclass

import numpy as np

from skgm.score_matching._family_statistics import Statistics
from skgm.score_matching._line_map import LineDensity, LineMap, NotIntegrableError, grid_integral
from skgm.score_matching._proposal import Normalizer, Proposal, langevin, normalizer

__all__ = ["GenericDensity"]

NEAR, FAR, N_RAYS = 50.0, 200.0, 64  # in units of the proposal


@dataclass(frozen=True)
class GenericDensity:
    """exp(theta' t + b) between bounds, by quadrature (d <= 2) or importance sampling.

    Attributes
    ----------
    statistics : Statistics
    theta : ndarray of shape (m,)
    line : LineMap
        The domain.
    proposal : Proposal
        Near the rows, on the line.
    """

    statistics: Statistics
    theta: np.ndarray
    line: LineMap
    proposal: Proposal

    def kernel(self, Z: np.ndarray) -> np.ndarray:
        """Return the log-density up to its normaliser, (n,)."""
        return self.statistics.kernel(Z, self.theta)

    def on_line(self, U: np.ndarray) -> np.ndarray:
        """Return the same of the mapped columns, (n,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.kernel(self.line.forward(U)) + self.line.log_slope(U).sum(axis=1)
        return np.where(np.isnan(found), -np.inf, found)

    def gradient(self, U: np.ndarray) -> np.ndarray:
        """Return its gradient, (n, d)."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            score = self.statistics.score(self.line.forward(U), self.theta)
            return np.nan_to_num(self.line.pull_back(U, score), posinf=0.0, neginf=0.0)

    def _spread(self) -> np.ndarray:
        # the proposal has twice the covariance of the rows, by a factor of df / (df - 2) = 5 / 3
        return np.sqrt((self.proposal.factor**2).sum(axis=1) * 5 / 6)

    def normalize(self) -> Normalizer:
        """Return log Z with its error; the effective sample size is NaN by quadrature.

        Raises
        ------
        NotIntegrableError
            There is no integral; the message says why.
        """
        d = len(self.proposal.center)
        if d <= 2:
            log_z, error = grid_integral(
                self.kernel, self.line, self.proposal.center, self._spread()
            )
            return Normalizer(log_z, error, float("nan"))
        if not self.statistics.knows_domain:
            self._refuse_growing_rays()
        return normalizer(self.on_line, self.proposal)

    def _refuse_growing_rays(self) -> None:
        d = len(self.proposal.center)
        rng = np.random.default_rng(0)
        axes = np.eye(d)
        ways = np.concatenate([axes, -axes, rng.standard_normal((N_RAYS, d))])
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        ways *= self._spread()
        near, far = (
            self.on_line(self.proposal.center + r * ways) + d * np.log(r) for r in (NEAR, FAR)
        )
        if ((far > -np.inf) & (far >= near)).any():
            raise NotIntegrableError("does not fall off towards the ends of its support")

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n rows: by inversion in one column, else by chains from resampled rows."""
        if len(self.proposal.center) == 1:
            center, spread = float(self.proposal.center[0]), float(self._spread()[0])
            density = LineDensity(self.kernel, self.line, center, spread)
            return density.quantile(rng.uniform(2.0**-53, 1.0, size=n))[:, None]
        return self.line.forward(langevin(self.on_line, self.gradient, self.proposal, n, rng))
