"""The output table of a choice among many classes, and how one mini-batch changes it."""

from typing import Any

import numpy as np
from scipy.sparse import csc_array

from skgm.nce._vocabulary._losses import full_loss, nce_loss, ranking_loss
from skgm.nce._vocabulary._noise import DistinctClasses

__all__ = ["AdagradRows", "OutputTable", "scatter_sum"]

_CHUNK = 2**20  # scores held at once in evaluation
_START = 1e-7  # mean square of a row's gradient of a mean loss


def scatter_sum(index: np.ndarray, rows: np.ndarray, n_targets: int) -> np.ndarray:
    """Return (n_targets, d): the sum of those `rows` (n, d) that `index` (n,) sends to each."""
    ones = np.ones(len(index), dtype=rows.dtype)
    parts = (ones, index, np.arange(len(index) + 1))
    return csc_array(parts, shape=(n_targets, len(index))) @ rows  # no sort; np.add.at is slow


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


class OutputTable:
    """Scores s = H W' + b of `n_classes` classes for representations H (n, d).

    Parameters
    ----------
    weights : ndarray of shape (n_classes, d)
        Start of W, float32 or float64; changed in place, as is `bias`.
    bias : ndarray of shape (n_classes,)
        Start of b. The log of the class frequencies makes a good one.
    loss : {"ranking", "nce", "full"}
        What a step descends.
    noise : DistinctClasses or None
        Where the noise classes come from; None for the full softmax.
    """

    def __init__(
        self,
        weights: np.ndarray,
        bias: np.ndarray,
        *,
        loss: str = "ranking",
        noise: DistinctClasses | None = None,
    ) -> None:
        self._weights, self._bias = AdagradRows(weights), AdagradRows(bias)
        self._loss, self._noise = loss, noise
        self._place = np.full(len(bias), -1)  # of a class among those that a step touches
        if noise is not None:
            self._log_pi = noise.log_inclusion.astype(bias.dtype)

    @property
    def weights(self) -> np.ndarray:
        """W, (n_classes, d)."""
        return self._weights.values

    @property
    def bias(self) -> np.ndarray:
        """b, (n_classes,)."""
        return self._bias.values

    def step(
        self, H: np.ndarray, y: np.ndarray, rng: np.random.Generator, learning_rate: float
    ) -> tuple[float, np.ndarray]:
        """Descend on one batch; return its mean loss before and that loss's gradient in H (n, d).

        One set of noise classes serves all rows, so that their scores are one matrix product.
        """
        if self._noise is None:
            return self._full_step(H, y, learning_rate)
        drawn = self._noise.draw(rng)
        touched = self._touch(drawn, y)
        near = self.weights[drawn]
        own = self.weights[y]
        noise = H @ near.T
        noise += self.bias[drawn] - self._log_pi[drawn]
        true = np.einsum("ij,ij->i", H, own) + self.bias[y] - self._log_pi[y]
        place = self._place[y]
        if self._loss == "ranking":
            hit = place < len(drawn)
            noise[hit, place[hit]] = -np.inf
            losses, own_slope = ranking_loss(true, noise)
        else:
            losses, own_slope = nce_loss(true, noise)
        own_slope /= len(y)
        noise /= len(y)
        H_gradient = noise @ near
        H_gradient += own_slope[:, None] * own
        self._descend(H, place, touched, noise, own_slope, learning_rate)
        self._place[touched] = -1
        return float(losses.mean()), H_gradient

    def _touch(self, drawn: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return all classes that a batch touches, the noise first, and note their places."""
        self._place[drawn] = np.arange(len(drawn))
        rest = np.unique(y[self._place[y] < 0])
        touched = np.concatenate([drawn, rest])
        self._place[rest] = np.arange(len(drawn), len(touched))
        return touched

    def _descend(
        self,
        H: np.ndarray,
        place: np.ndarray,
        touched: np.ndarray,
        noise_slope: np.ndarray,
        own_slope: np.ndarray,
        learning_rate: float,
    ) -> None:
        """Merge what a batch says of each class, and update it once."""
        n_noise = noise_slope.shape[1]
        gradient = scatter_sum(place, own_slope[:, None] * H, len(touched))
        gradient[:n_noise] += noise_slope.T @ H
        slope = np.bincount(place, weights=own_slope, minlength=len(touched)).astype(H.dtype)
        slope[:n_noise] += noise_slope.sum(axis=0)
        self._weights.update(touched, gradient, learning_rate)
        self._bias.update(touched, slope, learning_rate)

    def _full_step(
        self, H: np.ndarray, y: np.ndarray, learning_rate: float
    ) -> tuple[float, np.ndarray]:
        scores = H @ self.weights.T
        scores += self.bias
        losses = full_loss(scores, y)
        scores /= len(y)
        H_gradient = scores @ self.weights
        everything = slice(None)
        slope = scores.sum(axis=0)
        self._weights.update(everything, scores.T @ H, learning_rate)
        self._bias.update(everything, slope, learning_rate)
        return float(losses.mean()), H_gradient

    def scores(self, H: np.ndarray) -> np.ndarray:
        """Return the scores of all classes, (n, n_classes)."""
        scores = H @ self.weights.T
        scores += self.bias
        return scores

    def log_likelihood(self, H: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (n,) unnormalised log-probabilities of `y`, and (n,) log-normalisers."""
        log_normalizer = np.empty(len(H), dtype=np.float64)
        n_rows = max(1, _CHUNK // len(self.bias))
        for start in range(0, len(H), n_rows):
            part = slice(start, start + n_rows)
            log_normalizer[part] = _log_sum_exp(self.scores(H[part]))
        return self.true_scores(H, y).astype(np.float64), log_normalizer

    def true_scores(self, H: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the scores of the classes `y` alone, (n,)."""
        return np.einsum("ij,ij->i", H, self.weights[y]) + self.bias[y]

    def snapshot(self) -> tuple[AdagradRows, AdagradRows]:
        """Return a copy of the parameters and their step sizes."""
        return self._weights.copy(), self._bias.copy()

    def restore(self, snapshot: tuple[AdagradRows, AdagradRows]) -> None:
        """Go back to a snapshot."""
        self._weights, self._bias = snapshot[0].copy(), snapshot[1].copy()


def _log_sum_exp(scores: np.ndarray) -> np.ndarray:
    """Return log sum exp of each row, in half of scipy's time; `scores` is overwritten."""
    top = scores.max(axis=1)
    scores -= top[:, None]
    return np.log(np.exp(scores, out=scores).sum(axis=1, dtype=np.float64)) + top
