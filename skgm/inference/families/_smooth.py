"""Families without closed-form estimates: Newton's method on a scale without ends."""

from abc import abstractmethod
from typing import Any

import numpy as np

from skgm.inference._line import Line
from skgm.inference._newton import maximise
from skgm.inference.families._base import Family, Params

__all__ = ["SmoothFamily"]


class SmoothFamily(Family):
    """A columnwise family that gives value, slope and curvature of its mean log-likelihood.

    Beyond those of :class:`Family` (but `restricted_estimate`), a subclass writes `start`,
    `mean_score` and `observed_information`. Parameters whose `low` is finite are moved on the
    scale log(theta - low), those between two finite ends on the logit scale, the others as they
    are, in units of the curvature.
    """

    @abstractmethod
    def start(self, statistics: Any) -> dict[str, np.ndarray]:
        """Return a rough estimate, (d,) each, strictly inside the parameter space."""

    def restricted_estimate(self, statistics: Any, null: Params) -> dict[str, np.ndarray]:
        """Return the estimate with the entries of `null` held fixed; NaN marks the free ones."""
        return self.restricted_near(statistics, null, self.start(statistics))

    def restricted_near(self, statistics: Any, null: Params, near: Params) -> dict[str, np.ndarray]:
        """Return the restricted estimate, searched from `near`."""
        line = Line(self.parameters)
        theta = self.pack(near)
        held = self.pack(null, len(theta))
        free = np.isnan(held)
        theta = np.where(free, theta, held)

        def value(u: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):
                params = self.unpack(line.inward(u))
                return self.log_likelihood(statistics, params) / statistics.n

        def derivatives(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            with np.errstate(all="ignore"):
                point = line.inward(u)
                params = self.unpack(point)
                slope, turn = line.slopes(point)
                gradient = self.mean_score(statistics, params)
                curvature = self.observed_information(statistics, params)
                curvature = curvature * slope[:, :, None] * slope[:, None, :]
                k = np.arange(len(self.parameters))
                curvature[:, k, k] -= gradient * turn
                return gradient * slope, curvature

        moved, converged = maximise(value, derivatives, line.outward(theta), free)
        # what is held keeps its digits: it does not go through the scale and back
        found = self.unpack(np.where(free, line.inward(moved), theta))
        return self.settle(statistics, null, found, converged)

    def settle(
        self, statistics: Any, null: Params, found: dict[str, np.ndarray], converged: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the estimate from the point where the search ended; refuse what did not converge.

        A family whose likelihood may rise towards the edge of its space overrides it.
        """
        if not converged.all():
            column = int(np.flatnonzero(~converged)[0])
            raise ValueError(
                f"The {self.name} family has no estimate for column number {column}: the "
                "likelihood still rises where the search ended. Check for constant, tied or "
                "extreme values, or fix a parameter."
            )
        return found
