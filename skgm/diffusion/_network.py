"""Evaluates and trains a small residual network in numpy, with directional derivatives.

One flat vector holds all weights, so that an optimizer step is a few passes over one array. A
hidden layer adds ``a(k) W + context V`` to its input; `context` are smooth functions of the noise
level and the class, and 1 for the bias. W and V are stacked in one matrix, and a(k) and the context
in one buffer, so that a layer is one product. Buffers have one column per row of the table: the
elementwise operations on a(k) then touch one contiguous piece of memory.
"""

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from skgm._numerics.optimizers import Adam
from skgm.diffusion._process import prediction_gain
from skgm.diffusion._training import N_TIME, DenoiserKind, OptimizerOptions

__all__ = [
    "REACH",
    "Architecture",
    "Network",
    "NetworkDenoiser",
    "NetworkKind",
    "NetworkLearner",
    "NoColumns",
    "as_widths",
    "automatic_width",
    "one_blas_thread",
    "squash",
    "squash_slope",
    "time_features",
]

_END = 1e-3
_LEAST_BASE = 0.01  # its sixteenth power is negligible beside one, and avoids a division by zero
REACH = 10.0  # standard deviations: beyond, the network no longer distinguishes rows


def time_features(phi: np.ndarray) -> np.ndarray:
    """Return smooth functions of the angle, (n, N_TIME), for phi of shape (n,).

    They have low frequencies in the angle and in its log-odds: high ones cost likelihood
    (measured).
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

    It is applied to the rows that enter the network. It is close to u where the data are and
    bounded far away, so that far from the data the model stays the fitted Gaussian.
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
        """Return the shapes of the layers, W on V, from the input to the output."""
        widths = (self.n_features, *self.hidden, self.n_features)
        return [(n_in + self.n_context, n_out) for n_in, n_out in pairwise(widths)]

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
        """Draw weights, float64. Those of the output are zero, so the network starts as F = 0."""
        flat = np.zeros(self.n_weights)
        for index, view in enumerate(self.views(flat)[:-1]):
            n_in = len(view) - self.n_context
            gains = (1.0, 1.0) if index == 0 else (1.4, 0.5)
            for part, gain in zip((view[:n_in], view[n_in:]), gains):
                part[:] = rng.standard_normal(part.shape) * (gain / np.sqrt(len(part)))
        return flat

    def context(self, phi: np.ndarray, condition: np.ndarray | None) -> np.ndarray:
        """Return the context rows, (n, n_context): time features, one-hot classes."""
        features = time_features(phi)
        if not self.n_classes:
            return features
        return np.hstack([features, np.eye(self.n_classes, dtype=features.dtype)[condition]])

    def inputs(self, u: np.ndarray, context: np.ndarray) -> np.ndarray:
        """Return squashed rows beside their contexts, (n, d + n_context), columns contiguous.

        `context` has n rows, or one that all rows share.
        """
        stacked = np.empty((self.n_features + self.n_context, len(u)), u.dtype)
        np.copyto(stacked[: self.n_features], squash(u).T)
        stacked[self.n_features :] = context.T
        return stacked.T


class Network:
    """Weights in an architecture, and the buffers to evaluate them in.

    The activation is ``a(k) = k / (1 + (1 + k / 16)^16)``: SiLU at -k with its sign changed, which
    the weights absorb, and with a sixteenth power in place of exp(k). Without AVX-512 an
    exponential takes as long as twenty multiplications, and was a fifth of the time of an update.
    Cheaper curves with algebraic tails, such as sqrt(1 + k^2), cost likelihood (measured).
    """

    def __init__(self, architecture: Architecture, flat: np.ndarray) -> None:
        self.architecture = architecture
        self.flat = flat
        self._views = architecture.views(flat)
        self._buffers: dict[tuple[str, int], np.ndarray] = {}
        self._floor = np.empty(0, flat.dtype)

    @property
    def dtype(self) -> np.dtype:
        """Floating dtype of weights and results."""
        return self.flat.dtype

    def _buffer(self, name: str, index: int, *shape: int) -> np.ndarray:
        """Return an array in memory that is reserved for this use and only grows."""
        size = math.prod(shape)
        held = self._buffers.get((name, index))
        if held is None or held.size < size:
            held = self._buffers[name, index] = np.empty(size, self.dtype)
        return held[:size].reshape(shape)

    def _is_residual(self, index: int) -> bool:
        hidden = self.architecture.hidden
        return 0 < index < len(hidden) and hidden[index] == hidden[index - 1]

    def evaluate(self, rows: np.ndarray, shared: np.ndarray) -> np.ndarray:
        """Return F, (n, d), of squashed rows that share one row of context, without derivatives.

        It uses few buffers, in row order, for which products are faster. The next call overwrites
        the result.
        """
        n_rows, value, k = len(rows), rows, rows
        last = len(self._views) - 1
        for index, layer in enumerate(self._views):
            shape = (n_rows, layer.shape[1])
            weight, extra = layer[: value.shape[1]], self._buffer("extra", index % 2, *shape)
            if self._is_residual(index):
                k += np.matmul(value, weight, out=extra)
            else:
                k = np.matmul(value, weight, out=self._buffer("k", index, *shape))
            k += shared @ layer[value.shape[1] :]
            if index < last:
                value = extra
                self._activate(k, value)
        return k

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        """Return F, (n, d), in a buffer that the next call overwrites.

        `inputs` are from `Architecture.inputs`. The slopes of the activations stay in buffers, for
        the other methods. A residual layer adds to its input in place.
        """
        n_rows = len(inputs)
        value = k = inputs.T
        context = value[self.architecture.n_features :]
        last = len(self._views) - 1
        for index, layer in enumerate(self._views[:last]):
            width = layer.shape[1]
            if self._is_residual(index):
                k += np.matmul(layer.T, value, out=self._buffer("extra", 0, width, n_rows))
            else:
                k = self._buffer("k", index, width, n_rows)
                np.matmul(layer.T, value, out=k)
            value = self._value(index, n_rows)
            value[width:] = context
            self._activate(k, value[:width], self._slope(index, n_rows))
        out = self._buffer("out", 0, n_rows, self.architecture.n_features)
        return np.matmul(value.T, self._views[last], out=out)

    def _value(self, index: int, n_rows: int) -> np.ndarray:
        """Return the buffer for a layer's activations, on their context."""
        height = self.architecture.hidden[index] + self.architecture.n_context
        return self._buffer("value", index, height, n_rows)

    def _activate(self, k: np.ndarray, a: np.ndarray, slope: np.ndarray | None = None) -> None:
        """Write a(k) and a'(k) = (1 + (a - k) / base) / (1 + base^16), base = 1 + k / 16."""
        power = a if slope is None else slope
        base = np.multiply(
            k, 1 / 16, out=power if slope is None else self._buffer("base", 0, *k.shape)
        )
        base += 1
        np.maximum(base, self._least(k.shape), out=base)
        with np.errstate(over="ignore", under="ignore"):  # at inf both are zero: right
            np.multiply(base, base, out=power)
            for _ in range(3):
                power *= power
        power += 1
        np.divide(k, power, out=a)
        if slope is not None:
            change = np.subtract(a, k, out=self._buffer("extra", 0, *k.shape))
            change /= base
            change += 1
            np.divide(change, power, out=slope)

    def _least(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array of the least base, with which a maximum is four times as fast."""
        size = math.prod(shape)
        if self._floor.size < size:
            self._floor = np.full(size, _LEAST_BASE, self.dtype)
        return self._floor[:size].reshape(shape)

    def _slope(self, index: int, n_rows: int) -> np.ndarray:
        return self._buffer("slope", index, self.architecture.hidden[index], n_rows)

    def backward(self, inputs: np.ndarray, grad: np.ndarray, into: Sequence[np.ndarray]) -> None:
        """Write the gradient with respect to the weights into the matrices `into`.

        `grad` is the gradient with respect to F, (n, d), after ``forward(inputs)``.
        """
        n_rows = len(inputs)
        grad = grad.T
        for index in range(len(self._views) - 1, 0, -1):
            width = self.architecture.hidden[index - 1]
            value = self._value(index - 1, n_rows)
            np.matmul(value, grad.T, out=into[index])
            residual = self._is_residual(index)
            down = self._buffer("extra" if residual else "down", index % 2, width, n_rows)
            np.matmul(self._views[index][:width], grad, out=down)
            down *= self._slope(index - 1, n_rows)
            grad = np.add(grad, down, out=grad) if residual else down
        np.matmul(inputs.T, grad.T, out=into[0])

    def directional(self, tangent: np.ndarray) -> np.ndarray:
        """Return J w, (n, d), at the rows of the last `forward`, for w (n, d)."""
        n_rows, last = len(tangent), len(self._views) - 1
        value = before = tangent.T
        for index, layer in enumerate(self._views[:last]):
            change = self._buffer("change", index, layer.shape[1], n_rows)
            np.matmul(layer[: len(value)].T, value, out=change)
            if self._is_residual(index):
                change += before
            value, before = change * self._slope(index, n_rows), change
        return np.matmul(value.T, self._views[last][: len(value)])

    def divergence(self, slope: np.ndarray) -> np.ndarray:
        """Return the trace of the Jacobian, (n,), at the rows of the last `forward`.

        `slope`, (n, d), is the derivative of the squashed inputs. For each of the d tangents the
        first product is with a unit vector, and one column of the last product suffices.
        """
        n_rows, last = len(slope), len(self._views) - 1
        trace = np.zeros(n_rows, self.dtype)
        slopes = [self._slope(index, n_rows) for index in range(last)]
        if not slopes:
            return slope @ self._views[0].diagonal()
        for j in range(slope.shape[1]):
            first = self._views[0][j]
            change = self._buffer("change", 0, len(first), n_rows)
            np.multiply.outer(first, slope[:, j], out=change)
            for index in range(1, last):
                width, below = self.architecture.hidden[index - 1 : index + 1]
                value = self._buffer("bent", index, width, n_rows)
                np.multiply(change, slopes[index - 1], out=value)
                product = self._buffer("change", index, below, n_rows)
                np.matmul(self._views[index][:width].T, value, out=product)
                if self._is_residual(index):
                    product += change
                change = product
            change *= slopes[last - 1]
            trace += self._views[last][: len(change), j] @ change
        return trace


# The network as a learner, as a denoiser, and as a kind of denoiser.

_BLOCK = 1 << 18  # bytes of a hidden layer for one block of rows, so that they stay in cache
_WIDE = 512  # hidden units from which products are large enough for several threads
_DEPTH = 4  # on toys with known densities, better than more updates of three wider layers
_STREAM_ROWS = 1000.0  # assumed for the width of a network that partial_fit begins


def automatic_width(n_rows: float, n_features: int) -> int:
    """Return the width of the hidden layers: a power of two, 16 to 256 (512 for many columns).

    It is at least the square root of four times the number of rows, so that there are a dozen
    weights per row, and at least twice the number of columns.
    """
    wanted = max(np.sqrt(4 * n_rows), 2 * n_features, 16)
    return min(2 ** int(np.ceil(np.log2(wanted))), 512 if n_features > 128 else 256)


def as_widths(sizes: Any, n_rows: float | None, n_features: int) -> tuple[int, ...]:
    """Return the widths of the hidden layers from a parameter; "auto" goes by the table's size.

    `n_rows` is None for a stream of unknown length.
    """
    if isinstance(sizes, str):
        n_rows = _STREAM_ROWS if n_rows is None else n_rows
        return (automatic_width(n_rows, n_features),) * _DEPTH
    widths = np.atleast_1d(np.asarray(sizes, dtype=object)).tolist()
    if not all(isinstance(width, numbers.Integral) and int(width) >= 1 for width in widths):
        raise ValueError(
            "hidden_layer_sizes must be 'auto' or the widths of the layers, integers >= 1; got "
            f"{sizes!r}."
        )
    return tuple(int(width) for width in widths)


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread(hidden: tuple[int, ...]) -> Any:
    """Return a context with one BLAS thread for narrow layers, where more are slower."""
    limit = None if max(hidden, default=0) >= _WIDE else 1
    return _controller().limit(limits=limit, user_api="blas")


class NetworkLearner:
    """A :class:`Learner` of mean squared error by Adam; it returns averaged weights."""

    def __init__(self, network: Network, optimizer: Adam, options: OptimizerOptions) -> None:
        self.network, self._optimizer, self._options = network, optimizer, options
        self._gradient = np.empty_like(network.flat)
        self._parts = network.architecture.views(self._gradient)

    def prepare(
        self, u: np.ndarray, phi: np.ndarray, codes: np.ndarray | None, target: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Return the network's inputs and targets, of many batches at once."""
        architecture = self.network.architecture
        context = architecture.context(phi.astype(self.network.dtype), codes)
        return architecture.inputs(u, context), target

    def update(self, batch: tuple[np.ndarray, ...], k: int) -> float:
        """Make the k-th update and return the loss before it."""
        inputs, target = batch
        network = self.network
        residual = network.forward(inputs)
        residual -= target
        loss = float(np.vdot(residual, residual)) / residual.size
        if math.isfinite(loss):
            residual *= 2 / residual.size
            options = self._options
            rate = options.rate * options.decay(self._optimizer.n_updates)  # of all calls, not k
            network.backward(inputs, residual, self._parts)
            self._optimizer.step(self._gradient, rate)
        return loss

    def loss(
        self, u: np.ndarray, phi: np.ndarray, codes: np.ndarray | None, target: np.ndarray
    ) -> np.ndarray:
        """Return the squared error of every row under the averaged weights, (n,)."""
        average = Network(self.network.architecture, self._optimizer.average)
        context = average.architecture.context(phi, codes).astype(average.dtype)
        error = average.forward(average.architecture.inputs(u, context)) - target
        return np.asarray(np.einsum("ij,ij->i", error, error) / error.shape[1])

    def snapshot(self) -> np.ndarray:
        """Return a copy of the averaged weights."""
        return self._optimizer.average.copy()

    @property
    def learned(self) -> np.ndarray:
        """What the fit would keep now: a copy of the averaged weights."""
        return self.snapshot()

    def state(self) -> dict[str, np.ndarray | int]:
        """Return the state of the optimizer, to go on with more rows."""
        return self._optimizer.state()

    def restore(self, snapshot: np.ndarray) -> None:
        """Make a snapshot the average, and the place where training goes on."""
        self._optimizer.average[:] = snapshot
        self._optimizer.weights[:] = snapshot


class NetworkDenoiser:
    """F(u, phi) and its derivatives from a trained network, in the dtype of its weights.

    Rows are evaluated in blocks that stay in cache. All blocks share their buffers, so that one
    `NetworkDenoiser` must not serve two threads at once.
    """

    def __init__(self, architecture: Architecture, flat: np.ndarray, prediction: str) -> None:
        self._network = Network(architecture, flat)
        self._prediction = prediction
        width = max(architecture.hidden, default=1)
        self._block = max(64, _BLOCK // (width * flat.itemsize))

    def velocity(self, u: np.ndarray, phi: Any, condition: Any = None) -> np.ndarray:
        """Return F(u, phi), (n, d)."""
        network, result = self._network, np.empty(u.shape, self._network.dtype)
        for rows, context, gain in self._parts(u, phi, condition):
            part = self._cast(u[rows])
            if len(context) == 1:
                output = network.evaluate(squash(part), context)
            else:
                output = self._forward(part, context)
            np.multiply(output, gain, out=result[rows])
        return result

    def velocity_jvp(
        self, u: np.ndarray, phi: Any, w: np.ndarray, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F and its directional derivative J_F w, each (n, d)."""
        value, along = np.empty((2, *u.shape), self._network.dtype)
        for rows, context, gain in self._parts(u, phi, condition):
            part = self._cast(u[rows])
            value[rows] = gain * self._forward(part, context)
            along[rows] = gain * self._network.directional(squash_slope(part) * w[rows])
        return value, along

    def velocity_divergence(
        self, u: np.ndarray, phi: Any, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F, (n, d), and the trace of its Jacobian, (n,): one pass forward, d tangents."""
        value = np.empty(u.shape, self._network.dtype)
        trace = np.zeros(len(u), self._network.dtype)
        for rows, context, gain in self._parts(u, phi, condition):
            part = self._cast(u[rows])
            value[rows] = gain * self._forward(part, context)
            trace[rows] = gain[:, 0] * self._network.divergence(squash_slope(part))
        return value, trace

    def velocity_trace(
        self, u: np.ndarray, phi: Any, directions: np.ndarray, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F, (n, d), and the mean of w' J w over the directions w: one pass forward."""
        value = np.empty(u.shape, self._network.dtype)
        trace = np.zeros(len(u), self._network.dtype)
        for rows, context, gain in self._parts(u, phi, condition):
            part = self._cast(u[rows])
            value[rows] = gain * self._forward(part, context)
            slope = squash_slope(part)
            for w in directions.astype(slope.dtype):
                trace[rows] += self._network.directional(slope * w) @ w
            trace[rows] *= gain[:, 0] / len(directions)
        return value, trace

    def velocity_jacobian(
        self, u: np.ndarray, phi: Any, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F, (n, d), and its Jacobian, (n, d, d): one pass forward, d tangents."""
        value = np.empty(u.shape, self._network.dtype)
        jacobian = np.empty((*u.shape, u.shape[1]), self._network.dtype)
        for rows, context, gain in self._parts(u, phi, condition):
            part = self._cast(u[rows])
            value[rows] = gain * self._forward(part, context)
            slope = squash_slope(part)
            for j in range(u.shape[1]):
                tangent = np.zeros_like(slope)
                tangent[:, j] = slope[:, j]
                jacobian[rows, :, j] = gain * self._network.directional(tangent)
        return value, jacobian

    def _forward(self, u: np.ndarray, context: np.ndarray) -> np.ndarray:
        return self._network.forward(self._network.architecture.inputs(u, context))

    def _parts(self, u: np.ndarray, phi: Any, condition: Any) -> Any:
        """Yield, per block of rows: its slice, context, gain."""
        dtype, architecture = self._network.dtype, self._network.architecture
        phi = np.asarray(phi, dtype=np.float64)
        gain = np.atleast_1d(prediction_gain(self._prediction, phi)).astype(dtype)[:, None]
        shared = phi.ndim == 0
        alike = shared and condition is None
        context = architecture.context(np.atleast_1d(phi), None).astype(dtype) if alike else None
        for start in range(0, len(u), self._block):
            rows = slice(start, start + self._block)
            if alike:
                yield rows, context, gain
                continue
            angles = np.atleast_1d(phi) if shared else phi[rows]
            codes = None if condition is None else np.asarray(condition)[rows]
            if codes is not None and shared:
                angles = np.full(len(codes), phi)
            context = architecture.context(angles, codes).astype(dtype)
            yield rows, context, gain if shared else gain[rows]

    def _cast(self, u: np.ndarray) -> np.ndarray:
        return np.clip(u, -1e12, 1e12).astype(self._network.dtype, copy=False)  # squares are finite


class NoColumns:
    """The denoiser of a table in which nothing varies: its scaled rows have no columns."""

    def velocity(self, u: np.ndarray, phi: Any, condition: Any = None) -> np.ndarray:
        """Return F(u, phi), (n, 0)."""
        return np.zeros_like(u)


class NetworkKind(DenoiserKind):
    """A :class:`DenoiserKind`: the network of this module, kept as a flat vector of weights."""

    name, attribute = "mlp", "weights_"
    has_trial = True
    scores_in = np.float32

    def learner(
        self,
        shape: Architecture,
        options: OptimizerOptions,
        rng: np.random.Generator,
        *,
        start: Any = None,
        state: Any = None,
    ) -> NetworkLearner:
        """Return a learner; weights of another architecture are no start."""
        fits = start is not None and len(start) == shape.n_weights
        flat = start if fits else shape.initial(rng)
        optimizer = Adam(
            flat.astype(np.float32),
            average_decay=options.average_decay,
            weight_decay=options.weight_decay,
        )
        if state is not None:
            optimizer.resume(**state)
        return NetworkLearner(Network(shape, optimizer.weights), optimizer, options)

    def denoiser(
        self, learned: Any, shape: Architecture, prediction: str, dtype: Any
    ) -> NetworkDenoiser:
        """Return the denoiser with these weights, which computes in the given dtype."""
        return NetworkDenoiser(shape, learned.astype(dtype, copy=False), prediction)
