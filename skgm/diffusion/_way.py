"""Rows between data and noise, in the units of the table: what pictures of a model show."""

from typing import Any

import numpy as np

from skgm.diffusion._by_class import encode_labels
from skgm.diffusion._evaluation import DiffusionEvaluation
from skgm.diffusion._samplers import flow_angles
from skgm.diffusion._scaling import Scaler

__all__ = ["DiffusionWay"]


class DiffusionWay(DiffusionEvaluation):
    """What :class:`skgm.DiffusionDisplay` asks of `DDPM`."""

    def _way_angles(self, n_steps: int) -> np.ndarray:
        """Return the angles of the positions of a trajectory of the probability flow."""
        return flow_angles(self._phi_min, n_steps)

    def _way_code(self, y: Any) -> int | None:
        """Return the code of the class with label y; None: of all classes, there being several."""
        if y is not None and not self.class_conditional:
            raise ValueError("y is a class only with class_conditional=True in the fit.")
        if self.class_conditional:
            return None if y is None else int(encode_labels(np.atleast_1d(y), self.classes_)[0])
        return 0

    def _way_of(
        self, X: Any, angles: np.ndarray, rng: np.random.Generator, code: int
    ) -> np.ndarray:
        """Return rows of one class on the way to noise, (n_angles, n, d), in the table's units."""
        scaler, X = Scaler(**self._scaling), self._begin_scoring(X)
        z = scaler.scale(X, code)
        noise = rng.standard_normal(z.shape)
        return np.stack(
            [scaler.unscale(np.cos(phi) * z + np.sin(phi) * noise, code) for phi in angles]
        )

    def _way_score(self, X: np.ndarray, phi: float, code: int) -> np.ndarray:
        """Return the gradient of the log-density of rows on the way, at angle phi, (n, d)."""
        scaler = Scaler(**self._scaling)
        u, r = scaler.scale(X, code), scaler.n_active
        condition = np.full(len(u), code) if self.class_conditional else None
        gradient = -u
        if r:
            velocity = self._denoiser(np.float64).velocity(u[:, :r], phi, condition)
            # eq. ddpm-parameterisations: minus the predicted noise, sin u - cos F, over sin
            gradient[:, :r] += velocity * (np.cos(phi) / np.sin(phi))
        return scaler.pull_back(gradient, X, code)
