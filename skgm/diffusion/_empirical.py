"""Computes the exact denoiser of the training rows, which reproduces them: a reference."""

from typing import Any

import numpy as np
from scipy.special import logsumexp

from skgm.diffusion._network import Architecture
from skgm.diffusion._training import DenoiserKind, Plan, Table

__all__ = ["EmpiricalDenoiser", "EmpiricalKind", "PerClassDenoiser"]

_BLOCK = 1 << 21  # entries of the largest (block, n) array: 16 MiB in float64


class EmpiricalDenoiser:
    """Bayes' denoiser of the empirical distribution of weighted rows.

    With noise added, the empirical distribution is a mixture of normals centered on the rows, so
    its posterior mean of the data has a closed form. Its probability flow has exactly the density
    of a kernel density estimate (eq. ddpm-probability-flow), which makes it the reference for
    solvers and likelihoods. Its samples are training rows plus the noise of the last level.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, d)
        Scaled data.
    weight : ndarray of shape (n_rows,), default=None
        Weights; rows of weight zero are left out.
    """

    def __init__(self, rows: np.ndarray, weight: np.ndarray | None = None) -> None:
        rows = np.asarray(rows, dtype=np.float64)
        counted = slice(None) if weight is None else np.asarray(weight) > 0
        self.rows = rows[counted]
        mass = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64)
        self.log_weight = np.log(mass[counted] / mass.sum())

    def velocity(self, u: np.ndarray, phi: Any, condition: Any = None) -> np.ndarray:
        """Return F(u, phi), the expectation of sin(phi) z - cos(phi) e given u, (n, d)."""
        cos, sin = _cos_sin(phi, len(u))
        mean = np.empty(u.shape)
        for block in self._blocks(len(u)):
            mean[block] = self._shares(u[block], cos[block], sin[block]) @ self.rows
        return (mean - cos * u) / sin

    def velocity_jvp(
        self, u: np.ndarray, phi: Any, w: np.ndarray, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F and its directional derivative J_F w, each (n, d)."""
        cos, sin = _cos_sin(phi, len(u))
        mean, spread = np.empty(u.shape), np.empty(u.shape)
        for block in self._blocks(len(u)):
            share = self._shares(u[block], cos[block], sin[block])
            mean[block] = share @ self.rows
            share *= w[block] @ self.rows.T - (mean[block] * w[block]).sum(axis=1, keepdims=True)
            spread[block] = share @ self.rows  # posterior covariance times w
        return (mean - cos * u) / sin, cos * (spread / sin**2 - w) / sin

    def velocity_divergence(
        self, u: np.ndarray, phi: Any, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F, (n, d), and the trace of its Jacobian, (n,)."""
        cos, sin = _cos_sin(phi, len(u))
        mean, spread = np.empty(u.shape), np.empty((len(u), 1))
        for block in self._blocks(len(u)):
            share = self._shares(u[block], cos[block], sin[block])
            mean[block] = share @ self.rows
            squares = ((mean[block][:, None, :] - self.rows) ** 2).sum(axis=2)
            spread[block] = (share * squares).sum(axis=1, keepdims=True)
        divergence = cos * (spread / sin**2 - u.shape[1]) / sin
        return (mean - cos * u) / sin, divergence[:, 0]

    def _shares(self, u: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        """Return the posterior probability of each row, (block, n_rows)."""
        squares = np.zeros((len(u), len(self.rows)))
        for j in range(u.shape[1]):  # differences do not cancel, squares of norms would
            squares += (u[:, j, None] - cos * self.rows[:, j]) ** 2
        log_share = self.log_weight - 0.5 * squares / sin**2
        return np.exp(log_share - logsumexp(log_share, axis=1, keepdims=True))

    def _blocks(self, n: int) -> list[slice]:
        size = max(1, _BLOCK // (len(self.rows) * max(1, self.rows.shape[1])))
        return [slice(start, start + size) for start in range(0, n, size)]


def _cos_sin(phi: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cosine and sine of the angle of each row, (n, 1)."""
    column = np.broadcast_to(np.asarray(phi, dtype=np.float64), (n,))[:, None]
    return np.cos(column), np.sin(column)


class PerClassDenoiser:
    """A denoiser for each class, side by side; `condition` holds the codes."""

    def __init__(self, denoisers: list[Any]) -> None:
        self._denoisers = denoisers

    def velocity(self, u: np.ndarray, phi: Any, condition: Any = None) -> np.ndarray:
        """Return F(u, phi), (n, d)."""
        return self._gather("velocity", u, phi, condition)[0]

    def velocity_jvp(
        self, u: np.ndarray, phi: Any, w: np.ndarray, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F and its directional derivative J_F w, each (n, d)."""
        value, along = self._gather("velocity_jvp", u, phi, condition, w)
        return value, along

    def velocity_divergence(
        self, u: np.ndarray, phi: Any, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F, (n, d), and the trace of its Jacobian, (n,)."""
        value, trace = self._gather("velocity_divergence", u, phi, condition)
        return value, trace

    def _gather(
        self, method: str, u: np.ndarray, phi: Any, condition: Any, *rows: np.ndarray
    ) -> list[np.ndarray]:
        parts: list[np.ndarray] = []
        for code in np.unique(condition):
            mine = condition == code
            angle = phi if np.ndim(phi) == 0 else phi[mine]
            outputs = getattr(self._denoisers[code], method)(
                u[mine], angle, *(array[mine] for array in rows)
            )
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            parts = parts or [np.empty((len(u), *out.shape[1:])) for out in outputs]
            for part, output in zip(parts, outputs):
                part[mine] = output
        return parts


class EmpiricalKind(DenoiserKind):
    """A :class:`DenoiserKind`: nothing is trained, and the rows are kept."""

    name, attribute = "empirical", "_training_rows"
    is_iterative = can_start = False

    def fit_once(
        self, table: Table, plan: Plan, n_noise: int, shape: Architecture, rng: np.random.Generator
    ) -> tuple[Table, Table]:
        """Return the rows, whose noise stays as it is drawn now."""
        rows = table.jittered(rng)
        return rows, rows

    def denoiser(self, learned: Table, shape: Architecture, prediction: str, dtype: Any) -> Any:
        """Return the denoiser, one for each class, which computes in float64."""
        if learned.codes is None:
            return EmpiricalDenoiser(learned.rows, learned.weight)
        parts = [learned.take(learned.codes == code) for code in range(shape.n_classes)]
        return PerClassDenoiser([EmpiricalDenoiser(part.rows, part.weight) for part in parts])
