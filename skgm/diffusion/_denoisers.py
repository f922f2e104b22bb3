"""Which denoiser a model has, how it is trained, and how it is rebuilt from fitted arrays."""

import numbers
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.optimizers import Adam, learning_rate_decay
from skgm._sklearn import epoch_begins, epoch_ends
from skgm.diffusion._by_class import EmpiricalDenoiser, PerClassDenoiser
from skgm.diffusion._calibration import CalibratedDenoiser, Calibration, Trial, hold_out
from skgm.diffusion._elbo import level_errors
from skgm.diffusion._flow import Probes
from skgm.diffusion._mixed import MixedTables
from skgm.diffusion._network import (
    Architecture,
    Network,
    NetworkDenoiser,
    NetworkLearner,
    one_blas_thread,
)
from skgm.diffusion._process import NoiseLevels
from skgm.diffusion._regressor import RegressorDenoiser, RegressorLearner, fit_regressor
from skgm.diffusion._samplers import flow_angles
from skgm.diffusion._schedule import SCHEDULES, NoiseSchedule
from skgm.diffusion._torch import (
    TorchDenoiser,
    TorchLearner,
    is_torch_denoiser,
    new_module,
    seeded,
)
from skgm.diffusion._training import History, Plan, Table, train

__all__ = ["DenoiserFit", "automatic_width"]

_SIGMA_MAX = 80.0  # of training, in standard deviations of the data
_EXACT_UP_TO = 16  # columns: beyond, traces are estimated
_PROBES_PER_STEP = 4
_ERROR_LEVELS, _ERROR_ROWS = 24, 512
_DEPTH = 4  # on toys with known densities, better than more updates of three wider layers
_PER_ROW, _FEWEST, _MOST = 2.5, 50, 4000  # updates, where max_iter is "auto"
_TRIAL_PER_ROW, _TRIAL_SHARE = 10.0, 0.2  # updates of a trial run, and what it holds out
_TRIAL_FEWEST, _TRIAL_ROWS, _TRIAL_ROWS_PER_COLUMN = 50, 1600, 50  # rows that ask for a trial
_MOST_REPETITIONS = 2.0**53
_STREAM_ROWS = 1000.0  # assumed for the width of a network that partial_fit begins


def automatic_width(n_rows: float, n_features: int) -> int:
    """Return the width of the hidden layers: a power of two, 16 to 256 (512 for many columns).

    At least the square root of four times the number of rows, so that there are a dozen weights a
    row, and twice the number of columns.
    """
    wanted = max(np.sqrt(4 * n_rows), 2 * n_features, 16)
    return min(2 ** int(np.ceil(np.log2(wanted))), 512 if n_features > 128 else 256)


class DenoiserFit(MixedTables):
    """The denoiser's part of `DDPM`; see there for parameters and attributes."""

    n_iter_: int
    loss_curve_: list[float]
    _calibration: dict[str, Any] | None = None

    def _is_network(self) -> bool:
        return isinstance(self.denoiser, str) and self.denoiser == "mlp"

    def _is_empirical(self) -> bool:
        return isinstance(self.denoiser, str) and self.denoiser == "empirical"

    def _can_continue(self) -> bool:
        known = self._is_network() or is_torch_denoiser(self.denoiser)
        return known or hasattr(self.denoiser, "partial_fit")

    def _is_smooth(self) -> bool:
        return isinstance(self.denoiser, str) or is_torch_denoiser(self.denoiser)

    def _uses_elbo(self) -> bool:
        if self.score_method == "ode" and not self._is_smooth():
            raise ValueError(
                "score_method='ode' needs a denoiser with derivatives: 'mlp', 'empirical' or a "
                f"torch module; got {self.denoiser!r}. Use score_method='auto' or 'elbo'."
            )
        return bool(self.score_method == "elbo" or not self._is_smooth())

    @property
    def _phi_min(self) -> float:
        return float(np.arctan(self.sigma_min))

    def _n_classes(self) -> int:
        return len(self.classes_) if self.class_conditional else 0

    def _schedule(self) -> NoiseSchedule:
        if self.schedule != "angle":
            return SCHEDULES[self.schedule](self.n_timesteps)
        levels = flow_angles(self._phi_min, max(self.n_timesteps - 1, 1))[::-1]
        return NoiseSchedule.from_angles(np.minimum(levels[-self.n_timesteps :], np.pi / 2))

    def _choose_widths(self, data: Table | None) -> None:
        if not isinstance(self.hidden_layer_sizes, str):
            widths = _as_widths(self.hidden_layer_sizes)
        else:
            n_rows = _STREAM_ROWS if data is None else data.n_rows
            widths = (automatic_width(n_rows, self.location_.shape[1]),) * _DEPTH
        self.hidden_layer_sizes_ = widths

    def _architecture(self) -> Architecture:
        active = self._scaling["n_active"]
        return Architecture(active, self.hidden_layer_sizes_, self._n_classes())

    def _draw_probes(self, rng: np.random.Generator) -> None:
        """Fix the directions along which traces are estimated, once and for all rows."""
        active = self._scaling["n_active"]
        self._signs = None
        if active > _EXACT_UP_TO:
            self._signs = Probes.draw(active, _PROBES_PER_STEP, rng).signs

    def _probes(self) -> Probes | None:
        return None if self._signs is None else Probes(self._signs, _PROBES_PER_STEP)

    def _plan(self, data: Table, *, one_epoch: bool) -> Plan:
        if not data.n_rows <= _MOST_REPETITIONS:
            raise ValueError(
                f"sample_weight sums to {data.n_rows:.3g}; a weight counts repetitions of its row, "
                "and there can be no more than 2**53 in all. Divide sample_weight by its mean."
            )
        n_updates = self.max_iter
        if isinstance(n_updates, str):
            n_updates = int(min(max(_PER_ROW * data.n_rows, _FEWEST), _MOST))
        return Plan(
            NoiseLevels(self._phi_min, np.arctan(_SIGMA_MAX), self.noise_distribution),
            n_updates=n_updates,
            one_epoch=one_epoch,
            batch_size=self.batch_size,
            prediction=self.prediction,
            patience=self.n_iter_no_change if self.early_stopping and not one_epoch else None,
            tolerance=self.tol,
        )

    def _train(
        self,
        data: Table,
        rng: np.random.Generator,
        context: Any,
        X: Any,
        *,
        one_epoch: bool = False,
    ) -> None:
        """Train, and set what the fit leaves behind."""
        plan, held_out, kept = self._plan(data, one_epoch=one_epoch), None, data
        if not data.rows.shape[1]:  # nothing varies: there is nothing to learn
            self.level_errors_ = np.ones((_ERROR_LEVELS, 0))
            return
        if self.early_stopping and not one_epoch:
            kept, held_out = _split(data, self.validation_fraction, rng)
        if self._is_empirical():
            data = kept = data.jittered(rng)  # the exact denoiser of rows that stay as they are
            self._rows: dict[str, Any] = dict(vars(data))
        elif self._wants_trial(data, one_epoch):
            with one_blas_thread(self.hidden_layer_sizes_):
                plan, errors = self._try_out(data, plan, rng)
                self._iterate(data, None, plan, rng, context, X, False)
            self.level_errors_ = self._errors(data, rng) if errors is None else errors
            return
        elif self._is_network() or self._can_continue():
            torch = is_torch_denoiser(self.denoiser)
            with one_blas_thread(self.hidden_layer_sizes_), seeded(rng) if torch else nullcontext():
                self._iterate(kept, held_out, plan, rng, context, X, one_epoch)
        else:
            self.denoiser_ = fit_regressor(
                self.denoiser, data, plan, self.n_noise, self._n_classes(), rng
            )
        self.level_errors_ = self._errors(kept if held_out is None else held_out, rng)

    def _wants_trial(self, data: Table, one_epoch: bool) -> bool:
        automatic = self._is_network() and isinstance(self.max_iter, str)
        if not automatic or one_epoch or self.early_stopping:
            return False
        most = max(_TRIAL_ROWS, _TRIAL_ROWS_PER_COLUMN * data.rows.shape[1])
        return _TRIAL_FEWEST <= data.n_rows < most

    def _try_out(
        self, data: Table, plan: Plan, rng: np.random.Generator
    ) -> tuple[Plan, np.ndarray | None]:
        """Train on part of the rows and look at the others.

        Set the calibration; return a plan that trains as long as was best, and the errors on rows
        held out: None where the trial diverged before its first look.
        """
        self._calibration = None
        kept, held_out = hold_out(data, _TRIAL_SHARE, rng)
        most = int(min(max(_TRIAL_PER_ROW * data.n_rows, _FEWEST), _MOST))
        longest = replace(plan, n_updates=most)
        trial = Trial(held_out, self._phi_min, int(rng.integers(2**32)))
        learner = self._learner(kept, longest, rng, False, fresh=True)

        def on_epoch(run: Callable[[], Any], history: History) -> bool:
            run()
            if not trial.is_due(history.n_updates):
                return False
            denoiser = NetworkDenoiser(self._architecture(), learner.snapshot(), self.prediction)
            return trial.is_time_to_stop(denoiser, history.n_updates)

        with warnings.catch_warnings():  # the fit itself says whether it diverges
            warnings.simplefilter("ignore", ConvergenceWarning)
            train(learner, kept, longest, rng, on_epoch=on_epoch)
        if trial.best is None:
            return plan, None
        denoiser, calibration, n_updates = trial.best
        errors = self._errors(held_out, rng, CalibratedDenoiser(denoiser, calibration))
        self._calibration = dict(vars(calibration))
        n_updates = int(np.ceil(n_updates * data.n_rows / kept.n_rows))
        return replace(plan, n_updates=n_updates), errors

    def _iterate(
        self,
        data: Table,
        held_out: Table | None,
        plan: Plan,
        rng: np.random.Generator,
        context: Any,
        X: Any,
        one_epoch: bool,
    ) -> None:
        learner = self._learner(data, plan, rng, one_epoch)
        shown = np.random.default_rng(0)  # of errors that only callbacks see

        def on_epoch(run: Callable[[], Any], history: History) -> bool:
            def state() -> dict[str, Any]:
                self._keep(learner, history)
                return {**vars(self), "level_errors_": self._errors(data, shown)}

            task = epoch_begins(context, self, X=X)
            run()
            return epoch_ends(task, self, X=X, state=state)

        n_before, losses = self.n_iter_, self.loss_curve_
        history = train(learner, data, plan, rng, held_out=held_out, on_epoch=on_epoch)
        self._keep(learner, history)
        self.n_iter_ = n_before + history.n_updates
        self.loss_curve_ = losses + history.losses
        if one_epoch and hasattr(learner, "state"):
            self._optimizer = learner.state()

    def _learner(
        self,
        data: Table,
        plan: Plan,
        rng: np.random.Generator,
        one_epoch: bool,
        *,
        fresh: bool = False,
    ) -> Any:
        kind = "constant" if one_epoch else self.learning_rate_decay
        decay = learning_rate_decay(kind, plan.n_updates)
        if is_torch_denoiser(self.denoiser):
            return self._torch_learner(decay, one_epoch)
        if not self._is_network():
            learner = RegressorLearner(self.denoiser, self._n_classes())
            if one_epoch and hasattr(self, "denoiser_"):
                learner.resume(self.denoiser_)
            return learner
        architecture = self._architecture()
        flat = None if fresh else getattr(self, "weights_", None)
        if flat is None or len(flat) != architecture.n_weights:
            flat = architecture.initial(rng)
        optimizer = Adam(
            flat.astype(np.float32),
            average_decay=self.average_decay,
            weight_decay=self.weight_decay,
        )
        if one_epoch and hasattr(self, "_optimizer"):
            optimizer.resume(**self._optimizer)
        network = Network(architecture, optimizer.weights)
        return NetworkLearner(network, optimizer, self.learning_rate, decay)

    def _warm_start(self) -> dict[str, Any]:
        """Return what the next fit starts from: with `warm_start`, what this one ended with."""
        kept = "weights_" if self._is_network() else "denoiser_"
        can = self.warm_start and (self._is_network() or is_torch_denoiser(self.denoiser))
        return {kept: vars(self)[kept]} if can and kept in vars(self) else {}

    def _torch_learner(self, decay: Callable[[int], float], one_epoch: bool) -> TorchLearner:
        architecture = self._architecture()
        learner = TorchLearner(
            new_module(self.denoiser, architecture, start=getattr(self, "denoiser_", None)),
            architecture,
            self.learning_rate,
            decay,
            average_decay=self.average_decay,
            weight_decay=self.weight_decay,
        )
        if one_epoch and hasattr(self, "_optimizer"):
            learner.resume(**self._optimizer)
        return learner

    def _keep(self, learner: Any, history: History) -> None:
        """Make the estimator what it would be if training ended now."""
        if self._is_network():
            self.weights_ = learner.snapshot()
        else:
            self.denoiser_ = learner.fitted
        self.loss_curve_ = list(history.losses)
        self.n_iter_ = history.n_updates
        self.validation_scores_ = None
        if self.early_stopping:
            self.validation_scores_ = [-loss for loss in history.validation_losses]

    def _errors(self, data: Table, rng: np.random.Generator, denoiser: Any = None) -> np.ndarray:
        """Return the mean squared error of F per level and column, at evenly spaced angles."""
        denoiser = self._denoiser(np.float32) if denoiser is None else denoiser
        index = rng.permutation(len(data.rows))[:_ERROR_ROWS]
        part = data.take(index).jittered(rng)
        angles = np.linspace(self._phi_min, np.pi / 2, _ERROR_LEVELS)
        errors = level_errors(
            denoiser,
            part.rows,
            NoiseSchedule.from_angles(angles),
            rng,
            sample_weight=part.weight,
            condition=part.codes,
            n_noise=2,
        )
        return errors / np.sin(angles)[:, None] ** 2

    def _errors_at(self, schedule: NoiseSchedule) -> np.ndarray:
        """Return the mean squared error of the predicted data at the levels of a schedule."""
        angles = np.linspace(self._phi_min, np.pi / 2, _ERROR_LEVELS)
        columns = [np.interp(schedule.angles, angles, column) for column in self.level_errors_.T]
        errors = np.array(columns).reshape(-1, schedule.n_timesteps).T
        return errors * np.sin(schedule.angles)[:, None] ** 2

    def _denoiser(self, dtype: Any) -> Any:
        """Return the fitted denoiser of scaled rows; networks compute in the given dtype."""
        if not self._scaling["n_active"]:
            return _NoColumns()
        if self._is_network():
            flat = self.weights_.astype(dtype, copy=False)
            network = NetworkDenoiser(self._architecture(), flat, self.prediction)
            if self._calibration is None:
                return network
            return CalibratedDenoiser(network, Calibration(**self._calibration))
        if is_torch_denoiser(self.denoiser):
            architecture = self._architecture()
            return TorchDenoiser(self.denoiser_, architecture, self.prediction, dtype)
        if not self._is_empirical():
            return RegressorDenoiser(self.denoiser_, self.prediction, self._n_classes())
        rows, codes, weight = (self._rows[name] for name in ("rows", "codes", "weight"))
        if codes is None:
            return EmpiricalDenoiser(rows, weight)
        parts = [
            EmpiricalDenoiser(
                rows[codes == code], None if weight is None else weight[codes == code]
            )
            for code in range(self._n_classes())
        ]
        return PerClassDenoiser(parts)


def _as_widths(sizes: Any) -> tuple[int, ...]:
    widths = np.atleast_1d(np.asarray(sizes, dtype=object)).tolist()
    if not all(isinstance(width, numbers.Integral) and int(width) >= 1 for width in widths):
        raise ValueError(
            "hidden_layer_sizes must be 'auto' or the widths of the layers, integers >= 1; got "
            f"{sizes!r}."
        )
    return tuple(int(width) for width in widths)


class _NoColumns:
    """F of a table in which nothing varies: scaled rows have no columns."""

    def velocity(self, u: np.ndarray, phi: Any, condition: Any = None) -> np.ndarray:
        """Return F(u, phi), (n, 0)."""
        return np.zeros_like(u)


def _split(data: Table, fraction: float, rng: np.random.Generator) -> tuple[Table, Table]:
    """Return the rows to train on and those to hold out, at least one of each."""
    n = len(data.rows)
    n_held_out = min(max(1, round(fraction * n)), n - 1)
    order = rng.permutation(n)
    return data.take(order[n_held_out:]), data.take(order[:n_held_out])
