"""Prints how far a fit has come, what its density scores, and the time that is left."""

import sys
import time
from typing import Any, TextIO

from sklearn.exceptions import NotFittedError

__all__ = ["FitMonitor"]


class FitMonitor:
    """A callback that writes a line after each epoch, or other part, of a fit.

    Set it by ``estimator.set_callbacks(FitMonitor(held_out))``, with scikit-learn 1.9 or later. The
    time left is known if the number of parts is known before the fit.

    Parameters
    ----------
    X : array-like or data frame, default=None
        Rows, best held out, whose mean log-density in nats is computed after each part. None
        leaves it out: it can take longer than the part itself.
    file : text stream, default=None
        Where to write; None is ``sys.stderr``.

    Attributes
    ----------
    scores_ : list of float
        Nats per row after each part of the last fit, with `X`.

    Examples
    --------
    >>> import sys
    >>> from sklearn.datasets import make_moons
    >>> from skgm import DDPM, FitMonitor
    >>> X, _ = make_moons(200, noise=0.1, random_state=0)
    >>> monitor = FitMonitor(X[:50], file=sys.stdout)
    >>> density = DDPM(max_iter=2, random_state=0).set_callbacks(monitor)
    >>> density.fit(X[50:])  # doctest: +ELLIPSIS
    DDPM: epoch 1 of 2, -1.8... nats per row, ... s left
    DDPM: epoch 2 of 2, -1.8... nats per row, 0 s left
    DDPM(max_iter=2, random_state=0)
    """

    def __init__(self, X: Any = None, *, file: TextIO | None = None) -> None:
        self.X, self.file = X, file
        self.scores_: list[float] = []

    def setup(self, estimator: Any, context: Any) -> None:
        """Start the clock.

        Parameters
        ----------
        estimator : estimator
            What is fitted.
        context : CallbackContext
            Its fit.
        """
        self._start, self._n_done, self.scores_ = time.perf_counter(), 0, []

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing.

        Parameters
        ----------
        estimator : estimator
            What is fitted.
        context : CallbackContext
            The part that begins.
        """

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, fitted_estimator: Any = None
    ) -> None:
        """Write a line, if this is a part of the whole fit and not a part of a part.

        Parameters
        ----------
        estimator : estimator
            What is fitted.
        context : CallbackContext
            The part that ends.
        fitted_estimator : estimator, default=None
            A copy that is usable now, where the fit gives one.
        """
        whole = context.parent
        if whole is None or whole.parent is not None:
            return
        self._n_done += 1
        most = whole.max_subtasks
        line = f"{whole.estimator_name}: {context.task_name} {self._n_done}"
        line += f" of {most}" if most else ""
        nats = None if self.X is None else _score(fitted_estimator, self.X)
        if nats is not None:
            self.scores_.append(nats)
            line += f", {nats:.3f} nats per row"
        spent = time.perf_counter() - self._start
        left = f"{spent / self._n_done * (most - self._n_done):.0f} s left" if most else ""
        (self.file or sys.stderr).write(f"{line}, {left or f'{spent:.0f} s'}\n")

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing.

        Parameters
        ----------
        estimator : estimator
            What was fitted.
        context : CallbackContext
            Its fit.
        """


def _score(estimator: Any, X: Any) -> float | None:
    """Return the score of a copy amid its fit; None where it cannot score yet."""
    try:
        return float(estimator.score(X))
    except (NotFittedError, AttributeError, TypeError):  # no state yet, or a score that needs y
        return None
