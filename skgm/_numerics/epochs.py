"""Epochs with early stopping on a held-out loss, and what un-normalized scores sum to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = [
    "EpochHistory",
    "LogNormalizerStats",
    "train_epochs",
]


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


def train_epochs(
    run_epoch: Callable[[], float],
    snapshot: Callable[[], Any],
    restore: Callable[[Any], None],
    *,
    max_iter: int,
    held_out_loss: Callable[[], float] | None = None,
    n_iter_no_change: int = 1,
    tol: float = 0.0,
    on_epoch: Callable[[Callable[[], None]], bool] | None = None,
) -> EpochHistory:
    """Run epochs until the held-out loss stops falling; restore the best one.

    `run_epoch` makes one pass and returns its mean loss; `on_epoch(run)` calls `run` and returns
    whether to stop. Without `held_out_loss` all `max_iter` epochs are run.

    Raises
    ------
    ValueError
        The first epoch diverges. A later one stops the training, and `fault` says so.
    """
    history, best, since, kept = EpochHistory(), np.inf, 0, None

    def run() -> None:
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
        if not np.isfinite([*watched, history.losses[-1]]).all():
            _diverged(history, kept)
            break
        since = 0 if watched[0] < best - tol else since + 1
        if watched[0] < best or held_out_loss is None:
            best, kept, history.best_iter = watched[0], snapshot(), epoch
        stop |= held_out_loss is not None and since >= n_iter_no_change
        if stop:
            break
    else:
        history.still_falling = since == 0
    if kept is not None and history.best_iter < epoch:
        restore(kept)
    return history


def _diverged(history: EpochHistory, kept: Any) -> None:
    what = f"The fit diverged in epoch {len(history.losses)}: its loss is not finite."
    cure = "Lower learning_rate, or look for rows of extreme values."
    if kept is None:
        raise ValueError(f"{what} {cure}")
    history.losses.pop()
    del history.validation_losses[len(history.losses) :]
    history.fault = f"{what} The best epoch is kept. {cure}"
