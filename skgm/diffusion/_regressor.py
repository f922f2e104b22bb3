"""Trains any scikit-learn regressor as the denoiser, with noise level and class as columns."""

import warnings
from copy import deepcopy
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils.validation import check_is_fitted

from skgm._random import MinibatchSampler
from skgm.diffusion._network import Architecture
from skgm.diffusion._process import prediction_gain
from skgm.diffusion._training import DenoiserKind, OptimizerOptions, Plan, Table, make_pairs

__all__ = ["RegressorDenoiser", "RegressorKind", "RegressorLearner", "fit_regressor"]

_MOST_COPIES = 2**27


def _design(u: np.ndarray, phi: Any, codes: np.ndarray | None, n_classes: int) -> np.ndarray:
    """Return the columns that a regressor sees: the row, log tan(phi), one-hot classes."""
    level = np.log(np.tan(np.clip(phi, 1e-3, np.pi / 2 - 1e-3)))
    parts = [u, np.broadcast_to(level, len(u))[:, None]]
    if codes is not None:
        parts.append(np.eye(n_classes)[codes])
    return np.hstack(parts).astype(np.float64, copy=False)


def _checked(output: Any, shape: tuple[int, int], regressor: Any) -> np.ndarray:
    """Return predictions as (n, d) float64; raise if they have another shape or are not finite."""
    output = np.asarray(output, dtype=np.float64).reshape(len(output), -1)
    if output.shape != shape:
        raise ValueError(
            f"denoiser {regressor!r} predicted an array of shape {output.shape}, not {shape}. "
            "Give a regressor that accepts several targets, or wrap it in "
            "sklearn.multioutput.MultiOutputRegressor."
        )
    if not np.isfinite(output).all():
        raise ValueError(
            f"denoiser {regressor!r} returned values that are not finite. Check its settings "
            "(a smaller learning rate, stronger regularization), or use denoiser='mlp'."
        )
    return output


def _takes_several_targets(regressor: Any, design: np.ndarray, target: np.ndarray) -> bool:
    """Return whether a clone can be fitted to a few rows: no tag says so in every version."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clone(regressor).fit(design[:16], target[:16])
    except (ValueError, TypeError):
        return False
    return True


def fit_regressor(
    regressor: Any, table: Table, plan: Plan, n_noise: int, n_classes: int, rng: np.random.Generator
) -> Any:
    """Return a clone of the regressor fitted once, to `n_noise` noisy copies of every row.

    Weights decide how often a row is copied, so the regressor need not accept weights.
    """
    sampler = MinibatchSampler(table.rows, table.weight, 2**31)
    if table.weight is not None and sampler.n_slots * n_noise > _MOST_COPIES:
        raise ValueError(
            f"sample_weight sums to {table.n_rows:.3g} repetitions of rows, and each is copied "
            f"n_noise = {n_noise} times for {regressor!r}: more rows than memory holds. Divide "
            "sample_weight by its mean, or lower n_noise."
        )
    index = np.concatenate([rows for _ in range(n_noise) for rows in sampler.epoch(rng)])
    u, phi, codes, target = make_pairs(table.take(index), plan, rng)
    design = _design(u, phi, codes, n_classes)
    fitted = clone(regressor)
    if target.shape[1] == 1:
        target = target[:, 0]
    elif not _takes_several_targets(regressor, design, target):
        fitted = MultiOutputRegressor(fitted)
    fitted.fit(design, target)
    _checked(fitted.predict(design[:64]), u[:64].shape, regressor)
    return fitted


class RegressorLearner:
    """A :class:`Learner` around a regressor with `partial_fit`; each update has fresh noise."""

    starts_anywhere = True  # not at F = 0

    def __init__(self, regressor: Any, n_classes: int) -> None:
        self.learned = clone(regressor)
        self._regressor, self._n_classes = regressor, n_classes
        self._is_new = True

    def prepare(
        self, u: np.ndarray, phi: np.ndarray, codes: np.ndarray | None, target: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Return the columns that the regressor sees, and the targets."""
        return _design(u, phi, codes, self._n_classes), target

    def update(self, batch: tuple[np.ndarray, ...], k: int) -> float:
        """Make the k-th update and return the loss before it."""
        design, target = batch
        loss = float(np.mean(target**2))  # that of F = 0, before there is a fit
        if not self._is_new:
            loss = float(np.mean((self._predict(design, target.shape) - target) ** 2))
        elif target.shape[1] > 1 and not _takes_several_targets(self._regressor, design, target):
            self.learned = MultiOutputRegressor(self.learned)
        self._is_new = False
        self.learned.partial_fit(design, target[:, 0] if target.shape[1] == 1 else target)
        return loss

    def resume(self, fitted: Any) -> None:
        """Go on with a copy of a fitted regressor."""
        self.learned, self._is_new = deepcopy(fitted), False

    def loss(
        self, u: np.ndarray, phi: np.ndarray, codes: np.ndarray | None, target: np.ndarray
    ) -> np.ndarray:
        """Return the squared error of every row, (n,)."""
        output = self._predict(_design(u, phi, codes, self._n_classes), target.shape)
        return np.asarray(np.mean((output - target) ** 2, axis=1))

    def _predict(self, design: np.ndarray, shape: Any) -> np.ndarray:
        return _checked(self.learned.predict(design), shape, self._regressor)

    def state(self) -> None:
        """Return nothing: the regressor is its own state."""

    def snapshot(self) -> Any:
        """Return a copy of the regressor."""
        return deepcopy(self.learned)

    def restore(self, snapshot: Any) -> None:
        """Go back to a copy, unless it was taken before the first update."""
        try:
            check_is_fitted(snapshot)
        except NotFittedError:
            return
        self.learned = snapshot


class RegressorDenoiser:
    """F(u, phi) from a fitted regressor; it has no derivatives."""

    def __init__(self, fitted: Any, prediction: str, n_classes: int) -> None:
        self._fitted, self._prediction, self._n_classes = fitted, prediction, n_classes

    def velocity(self, u: np.ndarray, phi: Any, condition: Any = None) -> np.ndarray:
        """Return F(u, phi), (n, d)."""
        design = _design(u, phi, condition, self._n_classes)
        output = _checked(self._fitted.predict(design), u.shape, self._fitted)
        phi = np.asarray(phi, dtype=np.float64)
        return output * np.atleast_1d(prediction_gain(self._prediction, phi))[:, None]


class RegressorKind(DenoiserKind):
    """A :class:`DenoiserKind`: a scikit-learn regressor, updated if it has `partial_fit`."""

    name, attribute = "regressor", "denoiser_"
    is_smooth = can_start = False

    def __init__(self, regressor: Any) -> None:
        self._regressor = regressor
        self.is_iterative = hasattr(regressor, "partial_fit")

    def learner(
        self,
        shape: Architecture,
        options: OptimizerOptions,
        rng: np.random.Generator,
        *,
        start: Any = None,
        state: Any = None,
    ) -> RegressorLearner:
        """Return a learner; the regressor has its own optimizer."""
        learner = RegressorLearner(self._regressor, shape.n_classes)
        if start is not None:
            learner.resume(start)
        return learner

    def fit_once(
        self, table: Table, plan: Plan, n_noise: int, shape: Architecture, rng: np.random.Generator
    ) -> tuple[Any, Table]:
        """Return a clone fitted to noisy copies of all rows, and the rows."""
        return fit_regressor(self._regressor, table, plan, n_noise, shape.n_classes, rng), table

    def denoiser(
        self, learned: Any, shape: Architecture, prediction: str, dtype: Any
    ) -> RegressorDenoiser:
        """Return the denoiser, which computes in float64 whatever the dtype."""
        return RegressorDenoiser(learned, prediction, shape.n_classes)
