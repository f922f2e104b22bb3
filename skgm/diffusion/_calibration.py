"""Calibrates a network by held-out rows, and chooses how long to train it.

The output F of a network is its departure from the fitted Gaussian. In short tables a part of F is
memorized: at a new row u it points towards the training rows, hence towards their mean, which makes
samples too narrow. Scaled rows have nearly the covariance of the noise, so that u has it at every
noise level, and no linear function of u predicts the target. The calibrated output is therefore F
without its component along u, times the factor that predicts the targets of held-out rows best. If
the network has learned nothing that generalizes, the result is the fitted Gaussian.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline
from sklearn.exceptions import ConvergenceWarning

from skgm.diffusion._elbo import velocity_jacobian
from skgm.diffusion._flow import trace_of_jacobian
from skgm.diffusion._process import noisy_pairs
from skgm.diffusion._training import History, Plan, Table, fitted_errors, train, updates_for

__all__ = [
    "CalibratedDenoiser",
    "Calibration",
    "Trial",
    "calibrate",
    "calibrate_level",
    "hold_out",
    "try_out",
    "wants_trial",
]

_LEVELS, _SIGMA_MAX = 25, 20.0
_PAIRS = 1024  # noisy rows at each level, about
_FIRST_LOOK, _NEXT_LOOK = 50, 1.4  # updates, and the ratio of successive looks
_PATIENCE = 3  # looks without improvement
_TOLERANCE = 0.005  # nats per row: the smallest improvement that counts
_SHARE, _PER_ROW = 0.2, 10.0  # rows held out by the trial, and its updates per row
_FEWEST_ROWS, _ROWS, _ROWS_PER_COLUMN = 50, 1600, 50  # tables that have a trial


@dataclass(frozen=True)
class Calibration:
    """F becomes factor * F + drift * u; one pair of numbers per angle, smooth in between."""

    angles: np.ndarray
    factors: np.ndarray
    drifts: np.ndarray

    def curve(self) -> CubicSpline:
        """Return factor and drift as a spline; a kink would cost digits of the log-density."""
        return CubicSpline(self.angles, np.column_stack([self.factors, self.drifts]))


class CalibratedDenoiser:
    """A denoiser whose output is calibrated."""

    def __init__(self, denoiser: Any, calibration: Calibration) -> None:
        self._denoiser, self._curve = denoiser, calibration.curve()
        self._ends = calibration.angles[0], calibration.angles[-1]

    def velocity(self, u: np.ndarray, phi: Any, condition: Any = None) -> np.ndarray:
        """Return F(u, phi), (n, d)."""
        value = self._denoiser.velocity(u, phi, condition)
        factor, drift = self._at(phi, value.dtype)
        return np.asarray(factor * value + drift * u)

    def velocity_jvp(
        self, u: np.ndarray, phi: Any, w: np.ndarray, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F and its directional derivative J_F w, each (n, d)."""
        value, along = self._denoiser.velocity_jvp(u, phi, w, condition)
        factor, drift = self._at(phi, value.dtype)
        return factor * value + drift * u, factor * along + drift * w

    def velocity_divergence(
        self, u: np.ndarray, phi: Any, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F, (n, d), and the trace of its Jacobian, (n,)."""
        value, trace = self._denoiser.velocity_divergence(u, phi, condition)
        factor, drift = self._at(phi, value.dtype)
        trace = factor[..., 0] * trace + drift[..., 0] * u.shape[1]
        return factor * value + drift * u, trace

    def velocity_trace(
        self, u: np.ndarray, phi: Any, directions: np.ndarray, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F, (n, d), and the mean of w' J w over the directions w of +-1, (n,)."""
        value, trace = trace_of_jacobian(self._denoiser, u, phi, directions, condition)
        factor, drift = self._at(phi, value.dtype)
        trace = factor[..., 0] * trace + drift[..., 0] * u.shape[1]
        return factor * value + drift * u, trace

    def velocity_jacobian(
        self, u: np.ndarray, phi: Any, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F, (n, d), and its Jacobian, (n, d, d)."""
        value, jacobian = velocity_jacobian(self._denoiser, u, phi, condition)
        factor, drift = self._at(phi, value.dtype)
        jacobian = factor[..., None] * jacobian + drift[..., None] * np.eye(u.shape[1])
        return factor * value + drift * u, jacobian

    def _at(self, phi: Any, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return factor and drift at the angles, each (n, 1) or (1,)."""
        both = self._curve(np.clip(phi, *self._ends)).astype(dtype)
        return both[..., :1], both[..., 1:]


def calibrate_level(
    u: np.ndarray, value: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None
) -> tuple[float, float, float]:
    """Return factor and drift at one noise level, and by how much they lower the squared error.

    Parameters
    ----------
    u, value, target : ndarray of shape (n, d)
        Noisy rows that training has not seen, F there, and what F should have been.
    weight : ndarray of shape (n,), default=None
        Weights of the rows.

    Returns
    -------
    factor : float
        Within [0, 1].
    drift : float
        Minus the factor times the regression of F on u.
    gain : float
        Of the mean over rows of the squared length of target - F, against F = 0.
    """

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.average(np.einsum("ij,ij->i", a, b), weights=weight))

    along = mean(u, value) / mean(u, u)
    rest = value - along * u
    together, square = mean(target, rest), mean(rest, rest)
    factor = float(np.clip(together / square, 0.0, 1.0)) if square > 0 else 0.0
    return factor, -factor * along, factor * (2 * together - factor * square)


def calibrate(
    denoiser: Any, held_out: Table, phi_min: float, rng: np.random.Generator
) -> tuple[Calibration, float]:
    """Return the calibration by rows held out, and the nats per row gained on the Gaussian.

    The gain is that of the evidence lower bound in continuous time: the integral over log sigma
    of cos(phi)^2 times the gain in squared error.
    """
    n = len(held_out.rows)
    repeated = held_out.take(np.tile(np.arange(n), max(1, round(_PAIRS / n)))).jittered(rng)
    noise = rng.standard_normal(repeated.rows.shape, dtype=repeated.rows.dtype)
    log_sigma = np.linspace(np.log(np.tan(phi_min)), np.log(_SIGMA_MAX), _LEVELS)
    angles = np.arctan(np.exp(log_sigma))
    found = []
    for phi in angles:
        u, target = noisy_pairs(repeated.rows, noise, phi)
        value = denoiser.velocity(u, phi, repeated.codes)
        found.append(calibrate_level(u, value, target, repeated.weight))
    factors, drifts, gains = np.array(found).T
    gain = float(np.sum(gains * np.cos(angles) ** 2) * (log_sigma[1] - log_sigma[0]))
    return Calibration(angles, factors, drifts), gain


class Trial:
    """Evaluates a run of training at updates in geometric progression; keeps the best denoiser."""

    def __init__(self, held_out: Table, phi_min: float, seed: int) -> None:
        self._held_out, self._phi_min, self._seed = held_out, phi_min, seed
        self._next, self._since = float(_FIRST_LOOK), 0
        self._gain = -np.inf
        self.best: tuple[Any, Calibration, int] | None = None  # denoiser, and updates until then

    def is_due(self, n_updates: int) -> bool:
        """Return whether it is time for the next evaluation."""
        return n_updates >= self._next

    def is_time_to_stop(self, denoiser: Any, n_updates: int) -> bool:
        """Evaluate the denoiser, under the same noise as before."""
        self._next = n_updates * _NEXT_LOOK
        rng = np.random.default_rng(self._seed)
        calibration, gain = calibrate(denoiser, self._held_out, self._phi_min, rng)
        self._since += 1
        if gain > self._gain + _TOLERANCE:
            self._gain, self._since = gain, 0
            self.best = denoiser, calibration, n_updates
        return self._since >= _PATIENCE


def hold_out(table: Table, share: float, rng: np.random.Generator) -> tuple[Table, Table]:
    """Return the rows to train on and those to hold out, with weights, at least one of each.

    Rows are sorted by their values, and a whole weight is that many copies, some of which may be
    held out: repeated rows give the same split as weights.
    """
    given = np.ones(len(table.rows)) if table.weight is None else table.weight
    codes = np.zeros(len(table.rows)) if table.codes is None else table.codes
    values = np.column_stack([table.rows, codes])
    _, first, which = np.unique(values, axis=0, return_index=True, return_inverse=True)
    weight = np.bincount(which.ravel(), weights=given)
    whole = bool(np.all(weight == np.floor(weight)))
    copies = weight.astype(np.int64) if whole else np.ones(len(first), dtype=np.int64)
    owner = np.repeat(np.arange(len(first)), copies)
    n_out = min(max(1, round(share * len(owner))), len(owner) - 1)
    out = np.bincount(owner[rng.permutation(len(owner))[:n_out]], minlength=len(first))
    parts = []
    for count in (copies - out, out):
        part = table.take(first[count > 0])
        mass = (weight * count / copies)[count > 0]
        parts.append(replace(part, weight=mass))
    return parts[0], parts[1]


def wants_trial(data: Table) -> bool:
    """Return whether a table is short enough, and long enough, for a trial run."""
    most = max(_ROWS, _ROWS_PER_COLUMN * data.rows.shape[1])
    return _FEWEST_ROWS <= data.n_rows < most


def try_out(
    data: Table,
    plan: Plan,
    rng: np.random.Generator,
    new_learner: Callable[[Plan], Any],
    denoiser_of: Callable[[Any], Any],
) -> tuple[Plan, Calibration | None, np.ndarray | None]:
    """Train on four fifths of the rows and evaluate on the others.

    Parameters
    ----------
    data : Table
        Scaled training rows.
    plan : Plan
        Of the fit.
    rng : Generator
        For the split, the first weights and the noise.
    new_learner : callable
        Returns an untrained learner for a plan.
    denoiser_of : callable
        Returns the denoiser of a learner's snapshot.

    Returns
    -------
    plan : Plan
        One that trains as long as was best.
    calibration : Calibration or None
        That of the best evaluation; None if the trial diverged before the first one.
    errors : ndarray or None
        From `fitted_errors`, on rows held out.
    """
    kept, held_out = hold_out(data, _SHARE, rng)
    longest = replace(plan, n_updates=updates_for(data, _PER_ROW))
    phi_min = plan.levels.phi_min
    trial = Trial(held_out, phi_min, int(rng.integers(2**32)))
    learner = new_learner(longest)

    def on_epoch(run: Callable[[], Any], history: History) -> bool:
        run()
        if not trial.is_due(history.n_updates):
            return False
        return trial.is_time_to_stop(denoiser_of(learner.snapshot()), history.n_updates)

    with warnings.catch_warnings():  # the fit itself reports a divergence
        warnings.simplefilter("ignore", ConvergenceWarning)
        train(learner, kept, longest, rng, on_epoch=on_epoch)
    if trial.best is None:
        return plan, None, None
    denoiser, calibration, n_updates = trial.best
    errors = fitted_errors(CalibratedDenoiser(denoiser, calibration), held_out, phi_min, rng)
    n_updates = int(np.ceil(n_updates * data.n_rows / kept.n_rows))
    return replace(plan, n_updates=n_updates), calibration, errors
