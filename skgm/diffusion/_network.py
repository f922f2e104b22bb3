"""A small residual network in numpy: forward, backward and directional derivatives, in place.

One flat vector holds all weights, so that an optimiser is a handful of passes over one array. A
hidden layer adds ``a(k) W + context V`` to its input; `context` are smooth functions of the noise
level and the class, and 1 for the bias. Rows of one batch that share a noise level and a class
share one row of context.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["N_TIME", "REACH", "Architecture", "Network", "squash", "squash_slope", "time_features"]

N_TIME = 8  # features of the noise level, with the constant
_END = 1e-3
REACH = 10.0  # standard deviations: beyond, the network no longer tells rows apart


def time_features(phi: np.ndarray) -> np.ndarray:
    """Return smooth functions of the angle, (n, N_TIME), for phi of shape (n,).

    Low frequencies in the angle and in its log-odds: high ones cost likelihood (measured).
    """
    cos, sin = np.cos(phi), np.sin(phi)
    features = np.empty((len(phi), N_TIME), cos.dtype)
    level = np.log((sin + _END) / (cos + _END))  # finite at 0 and pi / 2
    cos_2, sin_2 = cos * cos - sin * sin, 2 * cos * sin
    features[:, 0] = 1
    features[:, 1] = level / 4
    np.cos(level / 2, out=features[:, 2])
    np.sin(level / 2, out=features[:, 3])
    features[:, 4], features[:, 5] = cos_2, sin_2
    features[:, 6], features[:, 7] = cos_2 * cos_2 - sin_2 * sin_2, 2 * cos_2 * sin_2
    return features


def squash(u: np.ndarray) -> np.ndarray:
    """Return u / sqrt(1 + (u / REACH)^2), elementwise.

    The network sees rows through it: nearly u where the data are, bounded far away, so that far
    from the data the model stays the fitted Gaussian.
    """
    return u / _root(u)


def squash_slope(u: np.ndarray) -> np.ndarray:
    """Return the derivative of `squash`, elementwise."""
    return _root(u) ** -3


def _root(u: np.ndarray) -> np.ndarray:
    root = u * (1 / REACH)
    root *= root
    root += 1
    return np.sqrt(root, out=root)


@dataclass(frozen=True)
class Architecture:
    """Shapes of the layers: columns in and out, hidden widths, classes (0 without)."""

    n_features: int
    hidden: tuple[int, ...]
    n_classes: int = 0

    @property
    def n_context(self) -> int:
        """Columns of a context row."""
        return N_TIME + self.n_classes

    def shapes(self) -> list[tuple[int, int]]:
        """Return the shapes of W, V, W, V, ... from the input to the output."""
        widths = (self.n_features, *self.hidden, self.n_features)
        pairs = [((n_in, n_out), (self.n_context, n_out)) for n_in, n_out in pairwise(widths)]
        return [shape for pair in pairs for shape in pair]

    @property
    def n_weights(self) -> int:
        """Length of the flat vector of weights."""
        return sum(rows * columns for rows, columns in self.shapes())

    def views(self, flat: np.ndarray) -> list[np.ndarray]:
        """Return the matrices inside a flat vector, sharing its memory."""
        shapes = self.shapes()
        ends = np.cumsum([rows * columns for rows, columns in shapes])
        return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes)]

    def initial(self, rng: np.random.Generator) -> np.ndarray:
        """Draw weights, float64; those of the output are zero: the network starts as F = 0."""
        flat = np.zeros(self.n_weights)
        for index, view in enumerate(self.views(flat)[:-2]):
            gain = 1.0 if index < 2 else 1.4 if index % 2 == 0 else 0.5
            view[:] = rng.standard_normal(view.shape) * (gain / np.sqrt(view.shape[0]))
        return flat

    def context(self, phi: np.ndarray, condition: np.ndarray | None) -> np.ndarray:
        """Return the context rows, (n, n_context): time features, one-hot classes."""
        features = time_features(phi)
        if not self.n_classes:
            return features
        return np.hstack([features, np.eye(self.n_classes, dtype=features.dtype)[condition]])


class Network:
    """Weights in an architecture, and the buffers to evaluate them in.

    The activation is ``a(k) = k / (1 + exp(k))``: SiLU with the signs of both its sides turned,
    which the weights absorb. exp, not tanh: twice as fast without AVX-512, and no slower with it.
    """

    def __init__(self, architecture: Architecture, flat: np.ndarray) -> None:
        self.architecture = architecture
        self.flat = flat
        self._views = architecture.views(flat)
        self._buffers: dict[tuple[str, int, int], np.ndarray] = {}

    @property
    def dtype(self) -> np.dtype:
        """Floating dtype of weights and results."""
        return self.flat.dtype

    def _buffer(self, name: str, index: int, n_rows: int, width: int) -> np.ndarray:
        """Return the first rows of an array kept for this use; it grows, and never shrinks."""
        held = self._buffers.get((name, index, width))
        if held is None or len(held) < n_rows:
            held = self._buffers[name, index, width] = np.empty((n_rows, width), self.dtype)
        return held[:n_rows]

    def _layers(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        views = self._views
        return ((i, views[2 * i], views[2 * i + 1]) for i in range(len(views) // 2))

    def _is_residual(self, index: int) -> bool:
        hidden = self.architecture.hidden
        return 0 < index < len(hidden) and hidden[index] == hidden[index - 1]

    def forward(self, u: np.ndarray, context: np.ndarray, *, slopes: bool = False) -> np.ndarray:
        """Return F, (n, d), in a buffer that the next call overwrites.

        `u` is squashed already; `context` has n rows, or one that all rows share. `slopes` leaves
        behind what the other methods need. Few buffers, so that they stay in cache: a residual
        layer adds to its input in place.
        """
        n_rows, value, k = len(u), u, u
        last = len(self._views) // 2 - 1
        for index, weight, shift in self._layers():
            width = weight.shape[1]
            extra = self._buffer("extra", 0 if slopes else index % 2, n_rows, width)
            if self._is_residual(index):
                k += np.matmul(value, weight, out=extra)
            else:
                k = self._buffer("k", index, n_rows, width)
                np.matmul(value, weight, out=k)
            shared = len(context) != n_rows
            k += context @ shift if shared else np.matmul(context, shift, out=extra)
            if index < last:
                value = self._activate(index, k, extra, slopes)
        return k

    def _activate(self, index: int, k: np.ndarray, power: np.ndarray, slopes: bool) -> np.ndarray:
        """Return a(k), and leave a'(k) = (1 + a - k) / (1 + exp(k)) behind if asked to.

        `power` is overwritten, by a(k) where there is no need for slopes.
        """
        with np.errstate(over="ignore", under="ignore"):  # at inf both are zero: right
            np.exp(k, out=power)
        power += 1
        if not slopes:
            return np.divide(k, power, out=power)
        a = np.divide(k, power, out=self._buffer("a", index, *k.shape))
        slope = np.subtract(a, k, out=self._buffer("slope", index, *k.shape))
        slope += 1
        slope /= power
        return a

    def _slope(self, index: int, n_rows: int) -> np.ndarray:
        return self._buffer("slope", index, n_rows, self.architecture.hidden[index])

    def backward(
        self, u: np.ndarray, context: np.ndarray, grad: np.ndarray, into: Sequence[np.ndarray]
    ) -> None:
        """Write the gradient with respect to the weights into the matrices `into`.

        `grad` is the gradient with respect to F after
        `forward(u, context, slopes=True)`; context has n rows.
        """
        n_rows = len(u)
        for index in range(len(self._views) // 2 - 1, -1, -1):
            weight = self._views[2 * index]
            width = weight.shape[0]
            value = u if index == 0 else self._buffer("a", index - 1, n_rows, width)
            np.matmul(value.T, grad, out=into[2 * index])
            np.matmul(context.T, grad, out=into[2 * index + 1])
            if index == 0:
                return
            residual = self._is_residual(index)
            down = self._buffer("extra" if residual else "down", 0, n_rows, width)
            np.matmul(grad, weight.T, out=down)
            down *= self._slope(index - 1, n_rows)
            grad = np.add(grad, down, out=grad) if residual else down

    def directional(self, tangent: np.ndarray) -> np.ndarray:
        """Return J w, (n, d), at the rows of the last `forward` with slopes, for w (n, d)."""
        n_rows, value, before = len(tangent), tangent, tangent
        last = len(self._views) // 2 - 1
        for index, weight, _ in self._layers():
            change = self._buffer("change", index, n_rows, weight.shape[1])
            np.matmul(value, weight, out=change)
            if self._is_residual(index):
                change += before
            if index < last:
                value, before = change * self._slope(index, n_rows), change
        return change

    def divergence(self, slope: np.ndarray) -> np.ndarray:
        """Return the trace of the Jacobian, (n,), at the rows of the last `forward` with slopes.

        `slope`, (n, d), is the derivative of the squashed inputs. The first product of each of
        the d tangents is with a unit vector, the last is needed in one column only.
        """
        n_rows, last = len(slope), len(self._views) // 2 - 1
        trace = np.zeros(n_rows, self.dtype)
        slopes = [self._slope(index, n_rows) for index in range(last)]
        if not slopes:
            return slope @ self._views[0].diagonal()
        for j in range(slope.shape[1]):
            first = self._views[0][j]
            change = self._buffer("change", 0, n_rows, len(first))
            np.multiply.outer(slope[:, j], first, out=change)
            for index in range(1, last):
                weight = self._views[2 * index]
                below = self._buffer("change", index, n_rows, weight.shape[1])
                value = self._buffer("bent", index, n_rows, weight.shape[0])
                np.matmul(np.multiply(change, slopes[index - 1], out=value), weight, out=below)
                if self._is_residual(index):
                    below += change
                change = below
            change *= slopes[last - 1]
            trace += change @ self._views[2 * last][:, j]
        return trace
