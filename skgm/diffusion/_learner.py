"""Our network as the thing that is trained, and as the denoiser that it becomes."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from skgm.diffusion._levels import prediction_gain
from skgm.diffusion._network import Architecture, Network, squash, squash_slope
from skgm.diffusion._optimizer import Adam

__all__ = ["NetworkDenoiser", "NetworkLearner", "one_blas_thread"]

_BLOCK = 1 << 18  # bytes of a hidden layer of one block of rows: they stay in cache
_WIDE = 512  # hidden units from which products are large enough for several threads


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread(hidden: tuple[int, ...]) -> Any:
    """Return a context with one BLAS thread for narrow layers, where more are slower."""
    limit = None if max(hidden, default=0) >= _WIDE else 1
    return _controller().limit(limits=limit, user_api="blas")


class NetworkLearner:
    """A :class:`Learner`: mean squared error, Adam, and the averaged weights as the result."""

    def __init__(
        self, network: Network, optimizer: Adam, rate: float, decay: Callable[[int], float]
    ) -> None:
        self.network, self._optimizer = network, optimizer
        self._rate, self._decay = rate, decay
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
            rate = self._rate * self._decay(self._optimizer.n_updates)  # of all calls, not k
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

    def state(self) -> dict[str, np.ndarray | int]:
        """Return the state of the optimiser, to go on with more rows."""
        return self._optimizer.state()

    def restore(self, snapshot: np.ndarray) -> None:
        """Make a snapshot the average, and the place where training goes on."""
        self._optimizer.average[:] = snapshot
        self._optimizer.weights[:] = snapshot


class NetworkDenoiser:
    """F(u, phi) and its derivatives from a trained network, in the dtype of its weights.

    Rows go through in blocks that stay in cache. A block shares its buffers with the next, and
    one `NetworkDenoiser` must not serve two threads at once.
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
