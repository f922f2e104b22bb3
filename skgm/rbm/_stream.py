"""Learning from a stream of rows, with a result that does not depend on how it is cut into parts.

An update is made whenever `batch_size` rows have come in, whatever call brought them. The rows
left over wait, but are not lost: the parameters shown are those after one more update with them,
of a size in proportion to their number, which is undone when the next rows come.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skgm.rbm._energy import RBMParameters
from skgm.rbm._rows import TrainingRows
from skgm.rbm._training import (
    IterateAverage,
    check_finite_parameters,
    fast_generator,
    initial_parameters,
    make_kernel,
    one_thread_where_small,
    resolve_rate,
)
from skgm.rbm._update import QUIET, ContrastiveUpdate, UpdateRule

__all__ = ["Stream", "StreamOptions", "new_stream"]

_SLOW = 400  # updates after which the learning rate has fallen to 1 / sqrt(2)


@dataclass(frozen=True)
class StreamOptions:
    """What a stream takes from the estimator's parameters."""

    rule: UpdateRule
    n_components: int
    batch_size: int
    n_chains: int
    learning_rate: float | str
    falling: bool
    average: bool
    center: bool


def new_stream(seed: int, n_features: int) -> dict[str, Any]:
    """Return the state of a stream without rows: numbers and numpy arrays, easy to persist.

    `carry` is the fraction by which the weights so far exceed a whole number, `waiting` holds the
    rows that do not fill a batch yet, `kernel` is None until the first full batch. Update t takes
    its random numbers from a generator of its own, seeded by (seed, t).
    """
    waiting = np.empty((0, n_features), dtype=np.float32)
    return {"seed": seed, "n_updates": 0, "carry": 0.0, "waiting": waiting, "kernel": None}


class Stream:
    """A stream that goes on from a state, which it does not change.

    Parameters
    ----------
    options : StreamOptions
    state : dict
        From :func:`new_stream` or :attr:`state`.
    """

    def __init__(self, options: StreamOptions, state: dict[str, Any]) -> None:
        self._options, self._seed = options, state["seed"]
        self._n_updates, self._carry = state["n_updates"], state["carry"]
        self._waiting = state["waiting"]
        self._kernel: ContrastiveUpdate | None = None
        if state["kernel"] is not None:
            kernel = self.begin(state["mean"], n_updates=state["n_updates"])
            kernel.restore(state["kernel"])
            self._average = IterateAverage(state["average"], state["n_updates"])

    @property
    def state(self) -> dict[str, Any]:
        """What a later stream can go on from."""
        state = {"seed": self._seed, "n_updates": self._n_updates, "carry": self._carry}
        state |= {"waiting": self._waiting, "kernel": None}
        if self._kernel is not None:
            state["kernel"] = self._kernel.snapshot()
            state |= {"average": self._average.matrix.copy(), "mean": self._mean}
        return state

    def begin(
        self,
        mean: np.ndarray,
        parameters: RBMParameters | None = None,
        chains: np.ndarray | None = None,
        n_updates: int = 0,
    ) -> ContrastiveUpdate:
        """Start from the data's mean, parameters, and hidden units of any number of chains.

        `n_updates` is how many updates have led to these parameters.
        """
        o, rng = self._options, fast_generator([self._seed, 0])
        if parameters is None:
            parameters = initial_parameters(mean, o.n_components, rng)
        if chains is None:
            chains = rng.integers(0, 2, size=(o.n_chains, o.n_components))
        chains = np.resize(chains, (o.n_chains, o.n_components))
        center = mean if o.center else None
        self._kernel = make_kernel(parameters, o.rule, o.batch_size, chains, center)
        self._average = IterateAverage(self._kernel.matrix, n_updates)
        self._mean, self._n_updates = mean, n_updates
        self._rate = resolve_rate(o.learning_rate, mean)
        return self._kernel

    def feed(self, rows: np.ndarray, weight: np.ndarray | None) -> None:
        """Take in rows (n, m) in [0, 1]; a row of weight w counts as w rows in its place."""
        weight = np.ones(len(rows)) if weight is None else weight
        ends = self._carry + np.cumsum(weight)
        last_slot = np.ceil(ends) - np.ceil(self._carry)  # a row has the whole numbers it spans
        self._carry = float(ends[-1] - np.floor(ends[-1]))
        size, n_waiting = self._options.batch_size, len(self._waiting)
        n_batches, n_left = divmod(n_waiting + int(last_slot[-1]), size)
        with one_thread_where_small(size * rows.shape[1] * self._options.n_components):
            for batch in range(n_batches + 1):
                n_rows = size if batch < n_batches else n_left
                start = batch * size - n_waiting
                slots = np.arange(max(start, 0), start + n_rows)
                taken = rows[np.searchsorted(last_slot, slots, side="right")]
                taken = np.concatenate([self._waiting, taken]) if batch == 0 else taken
                if batch < n_batches:
                    self._update(taken)
        self._waiting = taken.astype(np.float32)

    def result(self) -> tuple[RBMParameters, np.ndarray, np.ndarray]:
        """Return parameters, hidden units of the chains (n_chains, k), and the data's mean."""
        ahead = Stream(self._options, self.state)
        kernel = ahead._update(self._waiting)
        matrix = ahead._average.matrix if self._options.average else kernel.matrix
        return kernel.unpack(matrix), kernel.chains, ahead._mean

    def _update(self, rows: np.ndarray) -> ContrastiveUpdate:
        """Make one update with up to `batch_size` rows; its size is in proportion to theirs."""
        kernel = self._kernel or self.begin(TrainingRows(rows, None).mean())
        if not len(rows):
            return kernel
        rng = fast_generator([self._seed, self._n_updates + 1])
        share = len(rows) / self._options.batch_size
        kernel.batch(len(rows))[:] = kernel.centered(rows)
        rate = share * self._rate
        if self._options.falling:  # with averages of iterates, the best rate where no end is known
            rate /= np.sqrt(1 + self._n_updates / _SLOW)
        with np.errstate(**QUIET):
            kernel.update(len(rows), rate, rng)
        check_finite_parameters(kernel.matrix, self._rate)
        self._average.include(kernel.matrix, share)
        self._n_updates += 1
        return kernel
