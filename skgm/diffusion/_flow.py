"""Log-densities by the probability flow: exact change of variables along an ordinary equation.

In angle time the flow is du/dphi = -F(u, phi), so that along a path
d log p(u) / dphi = trace of the Jacobian of F (eq. ddpm-probability-flow). From the data, at a
small angle phi_min, to the prior N(0, I) at pi / 2,

    log p(u at phi_min) = log N(u at pi / 2) - integral of trace J_F dphi,

and u = cos(phi_min) x is the row x with noise of standard deviation tan(phi_min) added: the
density of x is that of the data smoothed by so much.

Steps are even in log tan(phi / 2). In that time the stiff part of the flow, the contraction onto
the data, has rate cos(phi) <= 1 at every level: even steps in phi need four times as many for the
same error at phi_min = 0.3, and are unstable at 0.05.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import hadamard

__all__ = ["Probes", "flow_log_density", "trace_of_jacobian"]

_BLOCK = 1 << 14  # rows times directions of one call of the network


@dataclass(frozen=True, eq=False)
class Probes:
    """Directions for traces, fixed once so that every row meets the same ones.

    `signs` is (n_probes, d) of +-1, rows of a Hadamard matrix in random order with random signs of
    columns and rows: all of them together give the trace exactly, so that estimates from
    successive groups of rows, met at successive steps, err in opposite directions.
    """

    signs: np.ndarray
    per_step: int

    @classmethod
    def draw(cls, d: int, per_step: int, rng: np.random.Generator) -> "Probes":
        """Draw directions for rows of d columns, `per_step` of them for each evaluation."""
        size = 1 << (d - 1).bit_length()
        signs = hadamard(size)[rng.permutation(size)][:, rng.permutation(size)[:d]]
        return cls(signs * rng.choice([-1.0, 1.0], size=d), per_step)

    def at(self, evaluation: int) -> np.ndarray:
        """Return the directions of the k-th evaluation, (per_step, d)."""
        start = evaluation * self.per_step
        return self.signs.take(range(start, start + self.per_step), axis=0, mode="wrap")


def flow_log_density(
    denoiser: Any,
    rows: np.ndarray,
    phi_min: float,
    *,
    n_steps: int = 20,
    probes: Probes | None = None,
    condition: np.ndarray | None = None,
) -> np.ndarray:
    """Return the log-density of scaled rows under the probability flow (eq. ddpm-probability-flow).

    Parameters
    ----------
    denoiser : object
        With ``velocity_jvp(u, phi, w, condition)``, smooth in u.
    rows : ndarray of shape (n, d)
        Scaled data.
    phi_min : float
        Angle of the data end; the density is that of the data smoothed by tan(phi_min).
    n_steps : int, default=20
        Runge-Kutta steps of fourth order from phi_min to pi / 2.
    probes : Probes, default=None
        None: exact traces, d directional derivatives at each evaluation.
    condition : ndarray of shape (n, k), default=None
        Passed on to the denoiser.

    Returns
    -------
    log_density : ndarray of shape (n,)
    """
    u = np.cos(phi_min) * np.asarray(rows, dtype=np.float64)
    d = u.shape[1]
    volume = np.zeros(len(u))
    times, h = np.linspace(np.log(np.tan(phi_min / 2)), 0.0, 2 * n_steps + 1, retstep=True)
    h *= 2.0  # every other time is the middle of a step

    def slope(position: np.ndarray, k: int, evaluation: int) -> tuple[np.ndarray, np.ndarray]:
        phi = 2.0 * np.arctan(np.exp(times[k]))
        at = None if probes is None else probes.at(evaluation)
        velocity, trace = trace_of_jacobian(denoiser, position, phi, at, condition)
        return -np.sin(phi) * velocity, np.sin(phi) * trace

    for i in range(n_steps):  # 5, not 4: each stage of the method meets every probe in turn
        k1, t1 = slope(u, 2 * i, 5 * i)
        k2, t2 = slope(u + 0.5 * h * k1, 2 * i + 1, 5 * i + 1)
        k3, t3 = slope(u + 0.5 * h * k2, 2 * i + 1, 5 * i + 2)
        k4, t4 = slope(u + h * k3, 2 * i + 2, 5 * i + 3)
        u += (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4)
        volume += (h / 6) * (t1 + 2 * t2 + 2 * t3 + t4)
    log_prior = -0.5 * (np.einsum("ij,ij->i", u, u) + d * np.log(2 * np.pi))
    return log_prior - volume + d * np.log(np.cos(phi_min))


def trace_of_jacobian(
    denoiser: Any,
    u: np.ndarray,
    phi: float,
    directions: np.ndarray | None = None,
    condition: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return F(u, phi) and the trace of its Jacobian, exact or from directions of +-1.

    A denoiser that has a ``velocity_divergence(u, phi, condition)`` is asked for exact traces.
    """
    exact = directions is None
    if exact and hasattr(denoiser, "velocity_divergence"):
        return denoiser.velocity_divergence(u, phi, condition)
    w = np.eye(u.shape[1]) if directions is None else directions
    velocity, trace = np.empty_like(u), np.empty(len(u))
    for block in _blocks(len(u), len(w)):
        velocity[block], trace[block] = _trace_block(
            denoiser, u[block], phi, w, None if condition is None else condition[block]
        )
    return velocity, trace if exact else trace / len(w)


def _trace_block(
    denoiser: Any, u: np.ndarray, phi: float, w: np.ndarray, condition: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return F and the sum of w' J w over the rows of w; one call for all directions."""
    n, k = len(u), len(w)
    stacked = np.repeat(u, k, axis=0)
    directions = np.tile(w, (n, 1))
    repeated = None if condition is None else np.repeat(condition, k, axis=0)
    velocity, along = denoiser.velocity_jvp(stacked, phi, directions, repeated)
    return velocity[::k], np.einsum("nkj,kj->n", along.reshape(n, k, -1), w)


def _blocks(n: int, k: int) -> Iterator[slice]:
    size = max(1, _BLOCK // k)
    for start in range(0, n, size):
        yield slice(start, start + size)
