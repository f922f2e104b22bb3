"""How the coefficients of NCEClassifier are found: all at once, by epochs, or by a stream."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning

from skgm._random import MinibatchSampler
from skgm._sklearn import epoch_begins, epoch_ends
from skgm._warnings import warn_user
from skgm.nce._vocabulary._class_model import ClassModel, batch_noise, start_model
from skgm.nce._vocabulary._class_training import Schedule, row_keys, run_epoch, train_by_batches
from skgm.nce._vocabulary._softmax import fit_softmax, merge_labelled_rows

__all__ = ["ClassEstimation"]

MAX_MERGED = 10_000_000  # entries of a table whose equal rows are looked for
MAX_ITER = {"lbfgs": 1000, "adagrad": 50}


class ClassEstimation:
    """The half of NCEClassifier that estimates, between validation and prediction."""

    classes_: np.ndarray
    class_count_: np.ndarray
    projection_: np.ndarray | None
    coef_: np.ndarray
    intercept_: np.ndarray
    loss_curve_: list[float]
    validation_curve_: list[float]
    _dtype: str
    _seed: int
    _n_calls: int
    _squares: dict[str, np.ndarray] | None
    loss: str
    n_noise: int
    rank: int | None
    noise_power: float
    alpha: float | str
    solver: str
    learning_rate: float
    batch_size: int
    max_iter: int | str
    tol: float
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int

    def _chosen_solver(self) -> str:
        n_classes = len(self.classes_)
        exact = self.loss == "full" or n_classes <= self.n_noise
        if self.solver == "lbfgs" and (self.rank is not None or not exact):
            raise ValueError(
                "solver='lbfgs' is for losses over all classes (loss='full', or at most n_noise "
                f"classes) without rank; got loss={self.loss!r}, n_noise={self.n_noise}, "
                f"{n_classes} classes and rank={self.rank}. Use solver='adagrad'."
            )
        if self.solver != "auto":
            return self.solver
        return "lbfgs" if self.rank is None and n_classes <= self.n_noise else "adagrad"

    def _most_iterations(self, solver: str) -> int:
        return MAX_ITER[solver] if isinstance(self.max_iter, str) else self.max_iter

    def _ridge(self, automatic: float) -> float:
        return automatic if isinstance(self.alpha, str) else self.alpha

    def _fit_lbfgs(self, table: Any, codes: np.ndarray, weight: np.ndarray, context: Any) -> Any:
        rows = table.astype(np.float64)
        if rows.shape[0] * rows.shape[1] <= MAX_MERGED:
            rows = rows.toarray() if issparse(rows) else rows
            rows, codes, weight = merge_labelled_rows(rows, codes, weight)

        def observe(loss: float) -> bool:
            task = epoch_begins(context, self, X=table, name="lbfgs-iteration")
            return epoch_ends(task, self, X=table, state=dict)

        found = fit_softmax(
            rows,
            codes,
            weight,
            len(self.classes_),
            alpha=self._ridge(1 / weight.sum()),
            max_iter=self._most_iterations("lbfgs"),
            tol=self.tol,
            observe=observe,
        )
        if not found.converged:
            warn_user(
                f"L-BFGS has not converged after {len(found.losses)} iterations. Standardise the "
                "columns, or raise max_iter, tol or alpha.",
                ConvergenceWarning,
            )
        self.coef_, self.intercept_ = (
            found.coef.astype(self._dtype),
            found.intercept.astype(self._dtype),
        )
        self.projection_ = None
        self.loss_curve_, self.validation_curve_ = found.losses, []
        self.n_iter_ = len(found.losses)
        return self

    def _fit_adagrad(self, table: Any, codes: np.ndarray, weight: np.ndarray, context: Any) -> Any:
        rng = np.random.default_rng(self._seed)
        model = self._new_model(table.shape[1], self._ridge(1 / weight.sum()), rng)

        def on_epoch(run: Callable[[], None]) -> bool:
            task = epoch_begins(context, self, X=table)
            run()
            return epoch_ends(task, self, X=table, state=lambda: self._public(model))

        max_iter = self._most_iterations("adagrad")
        schedule = Schedule(
            self.learning_rate,
            self.batch_size,
            max_iter,
            self.validation_fraction if self.early_stopping else 0.0,
            self.n_iter_no_change,
            self.tol,
        )
        history = train_by_batches(model, table, codes, weight, schedule, rng, on_epoch)
        self.loss_curve_, self.validation_curve_ = history.losses, history.validation_losses
        self.n_iter_ = len(history.losses)
        if history.validation_losses and history.best_iter == max_iter:
            warn_user(
                f"The held-out loss still falls after {max_iter} epochs. Raise max_iter, or "
                "learning_rate.",
                ConvergenceWarning,
            )
        return self._publish(model)

    def _noise_options(self) -> dict[str, Any]:
        counts, power = self.class_count_, self.noise_power
        noise = batch_noise(counts, loss=self.loss, n_noise=self.n_noise, power=power)
        return {"loss": self.loss, "noise": noise}

    def _new_model(self, n_features: int, alpha: float, rng: np.random.Generator) -> ClassModel:
        options = {**self._noise_options(), "alpha": alpha}
        return start_model(self.class_count_, n_features, self.rank, rng, **options)

    def _public(self, model: ClassModel) -> dict[str, Any]:
        state = model.snapshot()
        projection = state.get("projection")
        return {
            "coef_": state["weights"].astype(self._dtype),
            "intercept_": state["bias"].astype(self._dtype),
            "projection_": None if projection is None else projection.astype(self._dtype),
        }

    def _publish(self, model: ClassModel) -> Any:
        for name, array in self._public(model).items():
            if array is not None and not np.isfinite(array).all():
                raise ValueError(
                    "The fit diverged: coefficients are not finite. Lower learning_rate, or look "
                    "for rows of extreme values."
                )
            setattr(self, name, array)
        state = model.snapshot()
        self._squares = {name: a for name, a in state.items() if name.endswith("_squares")}
        return self

    def _go_on(self, table: Any, codes: np.ndarray, weight: np.ndarray) -> Any:
        """Make one pass over more rows, from where the last call ended."""
        rng = np.random.default_rng([self._seed, self._n_calls])
        if hasattr(self, "coef_"):
            model = self._model_so_far()
        else:
            model = self._new_model(table.shape[1], self._ridge(0.0), rng)
        sampler = MinibatchSampler(row_keys(table, codes), weight, self.batch_size)

        def pass_over() -> float:
            return run_epoch(model, table, codes, sampler.epoch(rng), self.learning_rate, rng)

        if hasattr(self, "coef_") and self._squares is None:
            self._learn_steps(model, pass_over, self.class_count_.sum() / weight.sum())
        loss = pass_over()
        self._n_calls += 1
        self.n_iter_ = getattr(self, "n_iter_", 0) + 1
        self.loss_curve_ = [*getattr(self, "loss_curve_", []), loss]
        self.validation_curve_ = getattr(self, "validation_curve_", [])
        return self._publish(model)

    def _model_so_far(self) -> ClassModel:
        projection = None if self.projection_ is None else self.projection_.astype(np.float32)
        start = self.coef_.astype(np.float32), self.intercept_.astype(np.float32), projection
        model = ClassModel(*start, **self._noise_options(), alpha=self._ridge(0.0))
        if self._squares is not None:
            model.restore(model.snapshot() | self._squares)
        return model

    def _learn_steps(self, model: ClassModel, pass_over: Callable[[], float], n: float) -> None:
        """Give a model from L-BFGS the step sizes that `n` passes would have left it with."""
        before = model.snapshot()
        pass_over()
        after = model.snapshot()
        squares = {name: a * np.float32(n) for name, a in after.items() if "squares" in name}
        model.restore(before | squares)
