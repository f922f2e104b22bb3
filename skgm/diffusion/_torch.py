"""Trains a torch module as the denoiser, in the same loop as the network.

Torch is an extra, and is imported only when a module is used.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np

from skgm._numerics.optimizers import AVERAGE_EVERY, average_decay_at
from skgm.diffusion._network import REACH, Architecture
from skgm.diffusion._process import prediction_gain
from skgm.diffusion._training import DenoiserKind, OptimizerOptions

__all__ = ["TorchDenoiser", "TorchKind", "TorchLearner", "new_module", "seeded"]

_BLOCK = 1 << 13  # rows of one call


@contextmanager
def seeded(rng: np.random.Generator) -> Iterator[None]:
    """Seed torch from `rng`, and restore its own state afterwards."""
    try:
        import torch  # an extra
    except ImportError as error:
        raise ImportError(
            "denoiser is callable, and so taken for a torch module or what makes one, which needs "
            "torch: pip install 'skgm[torch]'. A regressor must be an instance with fit and "
            "predict."
        ) from error

    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**63)))
        yield


def new_module(denoiser: Any, architecture: Architecture, *, start: Any = None) -> Any:
    """Return a module to train: a copy of the one given, or what the factory makes.

    It takes its parameters from `start`, a module trained before, if they have the same shapes.
    """
    import torch  # an extra

    if isinstance(denoiser, torch.nn.Module):
        module = deepcopy(denoiser)
    else:
        module = denoiser(architecture.n_features, architecture.n_context)
    if not isinstance(module, torch.nn.Module):
        raise TypeError(
            "denoiser must be a torch.nn.Module, or return one when it is called with the numbers "
            f"of columns and of context columns; {denoiser!r} returned {type(module).__name__}."
        )
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError(f"denoiser {denoiser!r} has no parameters to train.")
    if _shapes(start) == _shapes(module):
        module.load_state_dict(start.state_dict())
    return module.requires_grad_(True)


def _shapes(module: Any) -> Any:
    if not hasattr(module, "state_dict"):
        return None
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


class _Caller:
    """Calls a module with numpy arrays, on its device and in its dtype."""

    def __init__(self, module: Any, architecture: Architecture) -> None:
        self.module, self._architecture = module, architecture

    def tensor(self, array: np.ndarray) -> Any:
        """Return an array as the module's kind of tensor."""
        import torch  # an extra

        like = next(self.module.parameters())
        return torch.as_tensor(np.ascontiguousarray(array)).to(like.device, like.dtype)

    def context(self, phi: Any, codes: np.ndarray | None, n: int) -> Any:
        """Return the context of n rows, (n, n_context)."""
        angles = np.broadcast_to(np.asarray(phi, dtype=np.float64), (n,))
        return self.tensor(self._architecture.context(angles, codes))

    def output(self, u: Any, context: Any) -> Any:
        """Return the module's output for rows (n, d), checked."""
        output = self.module(u / (1 + (u / REACH) ** 2).sqrt(), context)
        if getattr(output, "shape", None) != u.shape:
            raise ValueError(
                f"denoiser {type(self.module).__name__} returned {_shape_of(output)} for rows of "
                f"shape {tuple(u.shape)}. It is called as module(rows, context) and returns a "
                "tensor with the shape of the rows."
            )
        return output


def _shape_of(output: Any) -> str:
    shape = getattr(output, "shape", None)
    return type(output).__name__ if shape is None else f"shape {tuple(shape)}"


class TorchLearner:
    """A :class:`Learner` of mean squared error by Adam; it returns averaged parameters."""

    starts_anywhere = True  # with the module's own parameters, not at F = 0

    def __init__(self, module: Any, architecture: Architecture, options: OptimizerOptions) -> None:
        import torch  # an extra

        self._trained = _Caller(module.train(), architecture)
        self._averaged = _Caller(deepcopy(module).requires_grad_(False).eval(), architecture)
        self._options = options
        self._optimizer = torch.optim.AdamW(
            module.parameters(),
            lr=options.rate,
            betas=(0.9, 0.99),
            weight_decay=options.weight_decay,
        )
        self._n_updates = 0

    @property
    def learned(self) -> Any:
        """A copy of the module with the averaged parameters, ready to be evaluated."""
        return deepcopy(self._averaged.module)

    def prepare(
        self, u: np.ndarray, phi: np.ndarray, codes: np.ndarray | None, target: np.ndarray
    ) -> tuple[Any, ...]:
        """Return what `update` takes, as it is."""
        return u, phi, codes, target

    def update(self, batch: tuple[Any, ...], k: int) -> float:
        """Make the k-th update and return the loss before it."""
        u, phi, codes, target = batch
        caller = self._trained
        output = caller.output(caller.tensor(u), caller.context(phi, codes, len(u)))
        loss = ((output - caller.tensor(target)) ** 2).mean()
        value = float(loss.detach())
        if np.isfinite(value):
            self._optimizer.zero_grad()
            loss.backward()
            options = self._options
            rate = options.rate * options.decay(self._n_updates)  # of all calls, not k
            self._optimizer.param_groups[0]["lr"] = rate
            self._optimizer.step()
            self._n_updates += 1
            if self._n_updates % AVERAGE_EVERY == 0:
                self._move_average()
        return value

    def _move_average(self) -> None:
        import torch  # an extra

        share = 1 - average_decay_at(self._n_updates, self._options.average_decay)
        averaged, trained = self._averaged.module, self._trained.module
        with torch.no_grad():
            for mean, parameter in zip(averaged.parameters(), trained.parameters()):
                mean.lerp_(parameter, share)
            for mine, theirs in zip(averaged.buffers(), trained.buffers()):
                mine.copy_(theirs)

    def loss(
        self, u: np.ndarray, phi: np.ndarray, codes: np.ndarray | None, target: np.ndarray
    ) -> np.ndarray:
        """Return the squared error of every row under the averaged parameters, (n,)."""
        caller = self._averaged
        output = caller.output(caller.tensor(u), caller.context(phi, codes, len(u)))
        error = output - caller.tensor(target)
        return np.asarray((error**2).mean(dim=1).cpu().numpy(), dtype=np.float64)

    def snapshot(self) -> dict[str, Any]:
        """Return a copy of the averaged parameters and of the buffers."""
        return deepcopy(self._averaged.module.state_dict())

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Make a snapshot the average, and the place where training goes on."""
        self._averaged.module.load_state_dict(snapshot)
        self._trained.module.load_state_dict(snapshot)

    def state(self) -> dict[str, Any]:
        """Return what `resume` needs to go on from here."""
        return deepcopy(
            {
                "trained": self._trained.module.state_dict(),
                "averaged": self._averaged.module.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "n_updates": self._n_updates,
            }
        )

    def resume(self, trained: Any, averaged: Any, optimizer: Any, n_updates: int) -> None:
        """Go on from a `state`, without writing into it."""
        self._trained.module.load_state_dict(trained)
        self._averaged.module.load_state_dict(averaged)
        self._optimizer.load_state_dict(deepcopy(optimizer))
        self._n_updates = n_updates


class TorchDenoiser:
    """F(u, phi) and its directional derivatives, by forward differentiation, from a module."""

    def __init__(
        self, module: Any, architecture: Architecture, prediction: str, dtype: Any
    ) -> None:
        import torch  # an extra

        precise = np.dtype(dtype) == np.float64  # a row has one value in any batch
        module = deepcopy(module).to(torch.float64) if precise else module
        self._caller, self._prediction = _Caller(module, architecture), prediction
        self._dtype = np.dtype(dtype)

    def velocity(self, u: np.ndarray, phi: Any, condition: Any = None) -> np.ndarray:
        """Return F(u, phi), (n, d)."""
        import torch  # an extra

        result = np.empty(u.shape, self._dtype)
        with torch.no_grad():
            for rows, context, gain in self._parts(u, phi, condition):
                output = self._caller.output(self._caller.tensor(_bounded(u[rows])), context)
                result[rows] = gain * self._checked(output)
        return result

    def velocity_jvp(
        self, u: np.ndarray, phi: Any, w: np.ndarray, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F and its directional derivative J_F w, each (n, d)."""
        value, along = np.empty((2, *u.shape), self._dtype)
        for rows, context, gain in self._parts(u, phi, condition):
            at, direction = (self._caller.tensor(array[rows]) for array in (_bounded(u), w))
            outputs = self._forward_derivative(at, direction, context)
            for result, output in zip((value, along), outputs):
                result[rows] = gain * self._checked(output.detach())
        return value, along

    def _forward_derivative(self, at: Any, direction: Any, context: Any) -> Any:
        import torch  # an extra

        try:
            with warnings.catch_warnings():
                # torch's own, from a module that it loads at the first call
                warnings.simplefilter("ignore", DeprecationWarning)
                return torch.func.jvp(
                    lambda u: self._caller.output(u, context), (at,), (direction,)
                )
        except (NotImplementedError, RuntimeError) as error:  # as torch raises them
            raise ValueError(
                f"denoiser {type(self._caller.module).__name__} has an operation that torch cannot "
                "differentiate forwards, which score_samples needs. Use score_method='elbo'."
            ) from error

    def _parts(self, u: np.ndarray, phi: Any, condition: Any) -> Iterator[tuple[slice, Any, Any]]:
        """Yield, per block of rows: its slice, context, gain."""
        angles = np.broadcast_to(np.asarray(phi, dtype=np.float64), (len(u),))
        gain = prediction_gain(self._prediction, angles).astype(self._dtype)[:, None]
        for start in range(0, len(u), _BLOCK):
            rows = slice(start, start + _BLOCK)
            codes = None if condition is None else np.asarray(condition)[rows]
            yield rows, self._caller.context(angles[rows], codes, len(angles[rows])), gain[rows]

    def _checked(self, output: Any) -> np.ndarray:
        output = output.cpu().numpy()
        if not np.isfinite(output).all():
            raise ValueError(
                f"denoiser {type(self._caller.module).__name__} returned values that are not "
                "finite. Lower learning_rate, or look for extreme rows in X."
            )
        return np.asarray(output)


def _bounded(u: np.ndarray) -> np.ndarray:
    return np.clip(u, -1e12, 1e12)  # squares are finite


class TorchKind(DenoiserKind):
    """A :class:`DenoiserKind`: a torch module, or a callable that makes one."""

    name, attribute = "torch", "denoiser_"

    def __init__(self, denoiser: Any) -> None:
        self._denoiser = denoiser

    def seeded(self, rng: np.random.Generator) -> Any:
        """Return a context in which torch draws from `rng`."""
        return seeded(rng)

    def learner(
        self,
        shape: Architecture,
        options: OptimizerOptions,
        rng: np.random.Generator,
        *,
        start: Any = None,
        state: Any = None,
    ) -> TorchLearner:
        """Return a learner of a copy of the module."""
        learner = TorchLearner(new_module(self._denoiser, shape, start=start), shape, options)
        if state is not None:
            learner.resume(**state)
        return learner

    def denoiser(
        self, learned: Any, shape: Architecture, prediction: str, dtype: Any
    ) -> TorchDenoiser:
        """Return the denoiser of this module, which computes in the given dtype."""
        return TorchDenoiser(learned, shape, prediction, dtype)
