"""Takes steps of Adam over one flat vector of weights, and of Adagrad over rows of a table."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg.blas import get_blas_funcs

__all__ = [
    "AVERAGE_EVERY",
    "AdagradRows",
    "Adam",
    "average_decay_at",
    "learning_rate_decay",
]

_CHUNK = 32768  # weights; they stay in cache
_SMALLEST_SCALE = 1e-3
_START = 1e-7  # of Adagrad's sums: the mean square of a row's gradient of a mean loss
AVERAGE_EVERY = 8  # the average moves slowly: a pass over the weights every so many updates


def learning_rate_decay(kind: str, n_updates: int) -> Callable[[int], float]:
    """Return the factor of the learning rate at update k = 0, 1, ..., with a short warm-up.

    "cosine" and "linear" fall to zero at `n_updates`; "constant" stays.
    """
    warm_up = min(50, max(1, n_updates // 10))

    def factor(k: int) -> float:
        done = min(k / n_updates, 1.0)
        shape = {"cosine": 0.5 * (1 + np.cos(np.pi * done)), "linear": 1 - done, "constant": 1.0}
        return float(shape[kind] * min(1.0, (k + 1) / warm_up))

    return factor


def average_decay_at(k: int, decay: float) -> float:
    """Return the decay of the average of the weights over `AVERAGE_EVERY` updates, after k.

    It is reached gradually: the k-th update counts for at least about 10 / k, so that short runs
    forget where they started.
    """
    return min(decay, (1 + k) / (10 + k)) ** AVERAGE_EVERY


class Adam:
    """Adam with decoupled weight decay, in place, and an average of the weights it visits.

    Parameters
    ----------
    weights : ndarray of shape (p,)
        Changed in place by `step`.
    beta_1, beta_2 : float
        Decay of the running means of gradient and squared gradient.
    average_decay : float
        Decay of the average of the weights, as in `average_decay_at`.
    weight_decay : float
        Every update multiplies the weights by 1 - learning rate * weight_decay.
    """

    def __init__(
        self,
        weights: np.ndarray,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        average_decay: float = 0.999,
        weight_decay: float = 0.0,
    ) -> None:
        self.weights = weights
        self.average = weights.copy()
        self.n_updates = 0
        self._beta_1, self._beta_2 = beta_1, beta_2
        self._average_decay, self._weight_decay = average_decay, weight_decay
        # Running sums are _scale[i] times what is stored: they decay without a pass over them.
        self._first, self._second = np.zeros_like(weights), np.zeros_like(weights)
        self._scale = np.ones(2)
        self._scratch = np.empty_like(weights[:_CHUNK])
        self._add_multiple = get_blas_funcs("axpy", dtype=weights.dtype)

    def step(self, gradient: np.ndarray, learning_rate: float) -> None:
        """Make one update, and at times move the average."""
        self.n_updates += 1
        k, beta_1, beta_2 = self.n_updates, self._beta_1, self._beta_2
        if self._scale[0] < _SMALLEST_SCALE:
            self._normalize()
        self._scale *= beta_1, beta_2
        scale_1, scale_2 = self._scale.tolist()
        # the means are kept unnormalized: their factors join the learning rate. Python's numbers,
        # not numpy's of float64: a pass over float32 weights with those computes in float64
        root = math.sqrt(scale_2 * (1 - beta_2) / (1 - beta_2**k))
        rate = learning_rate * scale_1 * (1 - beta_1) / (1 - beta_1**k) / root
        shrink = 1 - learning_rate * self._weight_decay
        add_multiple = self._add_multiple  # axpy: y += a x in one pass
        for start in range(0, len(self.weights), _CHUNK):
            part = slice(start, start + _CHUNK)
            grad, first, second = gradient[part], self._first[part], self._second[part]
            scratch, weights = self._scratch[: len(grad)], self.weights[part]
            add_multiple(grad, first, a=1 / scale_1)
            np.multiply(grad, grad, out=scratch)
            add_multiple(scratch, second, a=1 / scale_2)
            np.sqrt(second, out=scratch)
            scratch += 1e-8 / root
            np.divide(first, scratch, out=scratch)
            if shrink != 1:
                weights *= shrink
            add_multiple(scratch, weights, a=-rate)
        if k % AVERAGE_EVERY == 0:
            self.move_average()

    def _normalize(self) -> None:
        """Multiply the running sums by their scales."""
        self._first *= float(self._scale[0])
        self._second *= float(self._scale[1])
        self._scale[:] = 1.0

    def move_average(self) -> None:
        """Move the average towards the weights, as after `AVERAGE_EVERY` updates."""
        decay = average_decay_at(self.n_updates, self._average_decay)
        for start in range(0, len(self.weights), _CHUNK):
            part = slice(start, start + _CHUNK)
            average = self.average[part]
            scratch = self._scratch[: len(average)]
            np.subtract(self.weights[part], average, out=scratch)
            self._add_multiple(scratch, average, a=1 - decay)

    def state(self) -> dict[str, np.ndarray | int]:
        """Return what `resume` needs to go on from here."""
        return {
            "weights": self.weights,
            "average": self.average,
            "first": self._first,
            "second": self._second,
            "scale": self._scale,
            "n_updates": self.n_updates,
        }

    def resume(
        self,
        weights: np.ndarray,
        average: np.ndarray,
        first: np.ndarray,
        second: np.ndarray,
        scale: np.ndarray,
        n_updates: int,
    ) -> None:
        """Go on from a `state`, without writing into its arrays."""
        self.weights[:], self.average = weights, average.copy()
        self._first, self._second = first.copy(), second.copy()
        self._scale = scale.copy()
        self.n_updates = n_updates


class AdagradRows:
    """A table (n, d) whose rows, or vector (n,) whose entries, have one adaptive step size each.

    A row moves by learning_rate * gradient / sqrt(sum over updates of the mean square of its
    gradient). Rows that an update does not touch cost nothing. The sum starts at `start`, without
    which the first move of a row would have full length however small its gradient.
    """

    def __init__(self, values: np.ndarray, start: float = _START) -> None:
        self.values = values
        self.squares = np.full(len(values), start, dtype=values.dtype)

    def update(self, rows: Any, gradient: np.ndarray, learning_rate: float) -> None:
        """Change `rows` (distinct numbers, or a slice) along `gradient`, which is overwritten."""
        if gradient.ndim == 1:
            squares = self.squares[rows] + gradient * gradient
            step = learning_rate / np.sqrt(squares)
        else:
            mean_square = np.einsum("ij,ij->i", gradient, gradient) / gradient.shape[1]
            squares = self.squares[rows] + mean_square
            step = (learning_rate / np.sqrt(squares))[:, None]
        self.squares[rows] = squares
        gradient *= step
        self.values[rows] -= gradient

    def copy(self) -> "AdagradRows":
        """Return an independent copy."""
        twin = AdagradRows(self.values.copy())
        twin.squares = self.squares.copy()
        return twin
