"""Finds the normalizer and the draws of a density known up to a factor between bounds."""

from dataclasses import dataclass

import numpy as np

from skgm._numerics.distributions import StudentNoise
from skgm._numerics.importance import (
    Normalizer,
    NotIntegrableError,
    estimate,
    importance_resampling,
)
from skgm._numerics.langevin import langevin
from skgm.score_matching._exp_family.line_map import (
    LineDensity,
    LineMap,
    grid_integral,
    log_integrand,
)
from skgm.score_matching._exp_family.statistics import Statistics

__all__ = [
    "GenericDensity",
]

RADII, N_RAYS = (12.5, 25.0, 50.0, 100.0, 200.0), 64  # in standard deviations of the rows
CHAIN = 60  # steps of the chains that move resampled rows


@dataclass(frozen=True)
class GenericDensity:
    """exp(theta' t + b) between bounds, by quadrature (d <= 2) or importance sampling.

    Attributes
    ----------
    statistics : Statistics
    theta : ndarray of shape (m,)
    line : LineMap
        The domain.
    proposal : StudentNoise
        Near the rows, on the line.
    """

    statistics: Statistics
    theta: np.ndarray
    line: LineMap
    proposal: StudentNoise

    def kernel(self, Z: np.ndarray) -> np.ndarray:
        """Return the log-density up to its normalizer, (n,)."""
        return self.statistics.kernel(Z, self.theta)

    def on_line(self, U: np.ndarray) -> np.ndarray:
        """Return the same of the mapped columns, (n,)."""
        found = log_integrand(self.kernel, self.line, U)
        return np.where(np.isnan(found), -np.inf, found)

    def gradient(self, U: np.ndarray) -> np.ndarray:
        """Return its gradient, (n, d)."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            score = self.statistics.score(self.line.forward(U), self.theta)
            return np.nan_to_num(self.line.pull_back(U, score), posinf=0.0, neginf=0.0)

    def _spread(self) -> np.ndarray:
        # the proposal has twice the covariance of the rows, by a factor of df / (df - 2) = 5 / 3
        return np.sqrt((self.proposal.cholesky**2).sum(axis=1) * 5 / 6)

    def normalize(self) -> tuple[float, float, Normalizer | None]:
        """Return log Z, its error, and what importance sampling says, where that found them.

        Raises
        ------
        NotIntegrableError
            There is no integral; the message says why.
        """
        center = self.proposal.location
        if len(center) <= 2:
            return *grid_integral(self.kernel, self.line, center, self._spread()), None
        if not self.statistics.knows_domain:
            self._check_growing_rays()
        try:
            found = estimate(self.log_ratio, self.proposal)
        except ValueError as reason:
            raise NotIntegrableError("is not finite at the points of the proposal") from reason
        return found.log_z, found.se, found

    def log_ratio(self, U: np.ndarray) -> np.ndarray:
        """Return the log-density of mapped columns over that of the proposal, up to log Z, (n,)."""
        return self.on_line(U) - self.proposal.log_density(U)

    def _check_growing_rays(self) -> None:
        d = len(self.proposal.location)
        rng = np.random.default_rng(0)
        axes = np.eye(d)
        rays = np.concatenate([axes, -axes, rng.standard_normal((N_RAYS, d))])
        rays *= self._spread() / np.linalg.norm(rays, axis=1, keepdims=True)
        # the mass beyond a radius is bounded only if r^d times the density falls
        values = np.array(
            [
                log_integrand(self.kernel, self.line, self.proposal.location + r * rays)
                + d * np.log(r)
                for r in RADII
            ]
        )
        known = ~np.isnan(values)  # NaN where the parts overflow: the nearer radii must tell
        for ray, seen in zip(values.T, known.T):
            near, far = ray[seen][-2:] if seen.sum() > 1 else (-np.inf, np.inf)
            if far > -np.inf and far >= near:
                raise NotIntegrableError("does not fall off towards the ends of its support")

    def height_and_slope(self, U: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the log-density of mapped columns and its gradient."""
        return self.on_line(U), self.gradient(U)

    def draw(self, n: int, ess: float, rng: np.random.Generator) -> np.ndarray:
        """Return n rows: by inversion in one column, else by chains from resampled rows.

        Parameters
        ----------
        n : int
            Number of rows.
        ess : float
            Effective share of the rows of the proposal.
        rng : numpy.random.Generator

        Returns
        -------
        rows : ndarray of shape (n, d)
        """
        if len(self.proposal.location) == 1:
            center, spread = float(self.proposal.location[0]), float(self._spread()[0])
            density = LineDensity(self.kernel, self.line, center, spread)
            return density.quantile(rng.uniform(2.0**-53, 1.0, size=n))[:, None]
        starts = importance_resampling(self.log_ratio, self.proposal, n, ess, rng)
        factor = self.proposal.cholesky
        U = langevin(self.height_and_slope, starts, rng, factor=factor, n_steps=CHAIN)
        return self.line.forward(U)
