"""Log-densities by the probability flow: exact change of variables along an ordinary equation.

In angle time the flow is du/dphi = -F(u, phi), so that along a path
d log p(u) / dphi = trace of the Jacobian of F (eq. ddpm-probability-flow). From the data, at a
small angle phi_min, to the prior N(0, I) at pi / 2,

    log p(u at phi_min) = log N(u at pi / 2) - integral of trace J_F dphi,

and u = cos(phi_min) x is the row x with noise of standard deviation tan(phi_min) added: the
density of x is that of the data smoothed by so much.

The trace does not act on the path, so the integral is a quadrature along it: Gauss-Legendre nodes
in the time s = log tan(phi / 2) + 2 phi, a step of Runge-Kutta from each node to the next with
cheap values of F, and a trace at each node. In log tan(phi / 2) the stiff part of the flow, the
contraction onto the data, has rate cos(phi) <= 1 at every level; the second term places more nodes
where noise and data are alike, which halved the error on five networks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.linalg import hadamard

__all__ = ["Probes", "flow_log_density", "trace_of_jacobian"]

_BLOCK = 1 << 14  # rows times directions of one call of the network
_ROWS_AT_ONCE = 32


_EXACT_UP_TO, _PER_STEP = 64, 16  # columns; beyond, traces are estimated along so many directions


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
    def of(cls, d: int, rng: np.random.Generator) -> "Probes | None":
        """Draw directions for rows of d columns; None where traces are exact."""
        return None if d <= _EXACT_UP_TO else cls.draw(d, _PER_STEP, rng)

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
    n_steps: int = 16,
    probes: Probes | None = None,
    condition: np.ndarray | None = None,
) -> np.ndarray:
    """Return the log-density of scaled rows under the probability flow (eq. ddpm-probability-flow).

    Parameters
    ----------
    denoiser : object
        With ``velocity(u, phi, condition)`` and ``velocity_jvp(u, phi, w, condition)``, smooth in
        u. It may compute in float32: positions and sums are float64.
    rows : ndarray of shape (n, d)
        Scaled data.
    phi_min : float
        Angle of the data end; the density is that of the data smoothed by tan(phi_min).
    n_steps : int, default=16
        Nodes of the quadrature from phi_min to pi / 2.
    probes : Probes, default=None
        None: exact traces, d directional derivatives at each node.
    condition : ndarray of shape (n, k), default=None
        Passed on to the denoiser.

    Returns
    -------
    log_density : ndarray of shape (n,)
    """
    u, condition = _padded(np.cos(phi_min) * np.asarray(rows, dtype=np.float64), condition)
    d, volume = u.shape[1], np.zeros(len(u))
    times, weights = _nodes(phi_min, n_steps)

    def step(u: np.ndarray, here: float, there: float, k1: np.ndarray) -> np.ndarray:
        """Go from one time to another by the method of Runge and Kutta of fourth order."""
        h, middle = there - here, _angle_at((here + there) / 2)
        k2 = _slope(middle) * denoiser.velocity(u + 0.5 * h * k1, middle, condition)
        k3 = _slope(middle) * denoiser.velocity(u + 0.5 * h * k2, middle, condition)
        end = _angle_at(there)
        k4 = _slope(end) * denoiser.velocity(u + h * k3, end, condition)
        return np.asarray(u + (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4))

    slope = _slope(phi_min) * denoiser.velocity(u, phi_min, condition)
    for i, weight in enumerate(weights):
        u = step(u, times[i], times[i + 1], slope)
        phi = _angle_at(times[i + 1])
        at = None if probes is None else probes.at(i)
        velocity, trace = trace_of_jacobian(denoiser, u, phi, at, condition)
        slope = _slope(phi) * velocity
        volume -= weight * _slope(phi) * trace.astype(np.float64)
    u = step(u, times[-2], times[-1], slope)
    log_prior = -0.5 * (np.einsum("ij,ij->i", u, u) + d * np.log(2 * np.pi))
    return (log_prior - volume + d * np.log(np.cos(phi_min)))[: len(rows)]


def _padded(u: np.ndarray, condition: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Append rows, so that their number is a multiple of what matrix products do at once.

    A product in float32 rounds the last rows of a matrix otherwise than the others. The value of a
    row would depend on its place, by some 1e-6.
    """
    more = -len(u) % _ROWS_AT_ONCE
    u = np.concatenate([u, np.zeros((more, u.shape[1]))])
    if condition is None or not more:
        return u, condition
    return u, np.concatenate([condition, np.repeat(condition[:1], more, axis=0)])


def _time_at(phi: float) -> float:
    return float(np.log(np.tan(phi / 2)) + 2 * phi)


def _angle_at(time: float) -> float:
    """Return the angle at a time, by Newton's method in x = log tan(phi / 2)."""
    x = time
    for _ in range(30):  # the derivative 1 + 2 sin(phi) lies between 1 and 3
        phi = 2 * np.arctan(np.exp(x))
        x -= (x + 2 * phi - time) / (1 + 2 * np.sin(phi))
    return float(2 * np.arctan(np.exp(x)))


def _slope(phi: float) -> float:
    """Return -dphi / ds, the factor that turns F into du / ds."""
    return float(-np.sin(phi) / (1 + 2 * np.sin(phi)))


def _nodes(phi_min: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return times, the nodes between both ends, (n + 2,), and the weights of the nodes, (n,)."""
    start, end = _time_at(phi_min), _time_at(np.pi / 2)
    node, weight = leggauss(n)
    inner = start + (end - start) * (node + 1) / 2
    return np.concatenate([[start], inner, [end]]), weight * (end - start) / 2


def trace_of_jacobian(
    denoiser: Any,
    u: np.ndarray,
    phi: float,
    directions: np.ndarray | None = None,
    condition: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return F(u, phi) and the trace of its Jacobian, exact or from directions of +-1.

    A denoiser that has a ``velocity_divergence(u, phi, condition)`` is asked for exact traces, one
    that has a ``velocity_trace(u, phi, directions, condition)`` for estimates.
    """
    exact = directions is None
    if exact and hasattr(denoiser, "velocity_divergence"):
        return denoiser.velocity_divergence(u, phi, condition)
    if not exact and hasattr(denoiser, "velocity_trace"):
        return denoiser.velocity_trace(u, phi, directions, condition)
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
