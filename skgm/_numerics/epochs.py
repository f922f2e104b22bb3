"""Trains models by epochs with early stopping, and summarizes unnormalized scores."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

__all__ = [
    "EpochHistory",
    "LogNormalizerStats",
    "TrainableModel",
    "bounded_repetitions",
    "train_epochs",
]

MOST_REPETITIONS, MOST_PER_ROW = 20_000, 4


def bounded_repetitions(weight: np.ndarray) -> np.ndarray:
    """Return weights that stand for a bounded number of repetitions of the rows.

    A weight w means w repetitions of its row. Weights are returned as they are if they sum to at
    most 20,000, or to four times the number of rows. Larger ones (of a population, say) are
    divided by a common factor: the weighted objective is the same up to that factor, and the work
    of an epoch does not grow with the weights.
    """
    most = max(MOST_REPETITIONS, MOST_PER_ROW * len(weight))
    largest = float(weight.max())
    total = float(np.sum(weight / largest))  # the plain sum could overflow
    return weight if total * largest <= most else weight / largest * (most / total)


@dataclass(frozen=True)
class LogNormalizerStats:
    """How far the sums of un-normalized probabilities are from one.

    Attributes
    ----------
    mean, sd : float
        Mean and standard deviation, over rows, of log sum_w exp(score of class w).
    min, max : float
        Smallest and largest.
    n_rows : int
        How many rows were looked at.
    """

    mean: float
    sd: float
    min: float
    max: float
    n_rows: int

    @classmethod
    def of(cls, log_normalizer: np.ndarray) -> "LogNormalizerStats":
        """Summarize the log-normalizers of rows.

        Parameters
        ----------
        log_normalizer : ndarray of shape (n_rows,)
            One per row.

        Returns
        -------
        stats : LogNormalizerStats
            Their summary.
        """
        z = np.asarray(log_normalizer, dtype=np.float64)
        return cls(float(z.mean()), float(z.std()), float(z.min()), float(z.max()), len(z))


@dataclass
class EpochHistory:
    """Mean training loss and held-out loss per epoch; the epoch whose parameters were kept."""

    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    best_iter: int = 0
    still_falling: bool = False  # the held-out loss, when max_iter ended the training
    fault: str | None = None  # why the training stopped early, and the cure


class TrainableModel(Protocol):
    """What `train_epochs` asks of a model beside its epochs."""

    def snapshot(self) -> Any:
        """Return a copy of the parameters."""

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""

    def is_finite(self) -> bool:
        """Return whether all parameters are finite numbers."""


def train_epochs(
    model: TrainableModel,
    run_epoch: Callable[[], float],
    *,
    max_iter: int,
    held_out_loss: Callable[[], float] | None = None,
    n_iter_no_change: int = 1,
    tol: float = 0.0,
    on_epoch: Callable[[Callable[[], None]], bool] | None = None,
) -> EpochHistory:
    """Run epochs until the held-out loss stops falling; restore the best one.

    `run_epoch` makes one pass over the rows, which changes the model in place, and returns the
    mean loss; `on_epoch(run)` calls `run` and returns whether to stop. Without `held_out_loss` all
    `max_iter` epochs are run. An epoch diverges if a loss or a parameter is not finite after it.

    Raises
    ------
    ValueError
        The first epoch diverges. A later one stops the training, and `fault` says so; the model
        is then that of the best epoch before.
    """
    history, best, since, kept = EpochHistory(), np.inf, 0, None

    def run() -> None:
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # looked for below
            history.losses.append(run_epoch())
            if held_out_loss is not None:
                history.validation_losses.append(held_out_loss())

    for epoch in range(1, max_iter + 1):
        stop = False
        if on_epoch is None:
            run()
        else:
            stop = on_epoch(run)
        watched = history.losses[-1:] if held_out_loss is None else history.validation_losses[-1:]
        if not (np.isfinite([*watched, history.losses[-1]]).all() and model.is_finite()):
            _diverged(history, kept)
            break
        since = 0 if watched[0] < best - tol else since + 1
        if watched[0] < best or held_out_loss is None:
            best, kept, history.best_iter = watched[0], model.snapshot(), epoch
        stop |= held_out_loss is not None and since >= n_iter_no_change
        if stop:
            break
    else:
        history.still_falling = since == 0
    if kept is not None and history.best_iter < epoch:
        model.restore(kept)
    return history


def _diverged(history: EpochHistory, kept: Any) -> None:
    what = (
        f"The fit diverged in epoch {len(history.losses)}: its loss or a parameter is not finite."
    )
    cure = "Lower learning_rate, or look for rows of extreme values."
    if kept is None:
        raise ValueError(f"{what} {cure}")
    history.losses.pop()
    del history.validation_losses[len(history.losses) :]
    history.fault = f"{what} The best epoch is kept. {cure}"
