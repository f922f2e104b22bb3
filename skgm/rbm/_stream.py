"""Learns from a stream of rows, with a result that does not depend on how it is cut into parts.

An update is made whenever `batch_size` rows have come in, whatever call brought them. The rows
left over wait, but are not lost: the parameters shown are those after one more update with them,
of a size in proportion to their number, which is undone when the next rows come.
"""

from typing import Any

import numpy as np

from skgm._warnings import warn_user
from skgm.rbm._energy import RBMParameters
from skgm.rbm._rows import TrainingRows
from skgm.rbm._training import (
    IterateAverage,
    Settings,
    check_finite_parameters,
    fast_generator,
    initial_parameters,
    make_kernel,
    one_thread_where_small,
    resolve_decay,
    resolve_rate,
)
from skgm.rbm._update import QUIET, ContrastiveUpdate

__all__ = ["Stream"]

_SLOW = 400  # updates after which the learning rate has fallen to 1 / sqrt(2)
_MOST_ROWS = 25_000  # that the weights of one call may stand for, if they stand for more than n


class Stream:
    """A stream that goes on from a state, which it does not change.

    A state consists of numbers and numpy arrays, which are easy to persist. A new one has a `seed`
    and the numbers of updates and rows, `n_updates` and `n_rows`, that have led to where the stream
    starts. Later ones have also `carry`, the fraction by which the weights so far exceed a whole
    number, `waiting`, the rows that do not fill a batch yet, and from the first full batch on
    `kernel`. Update t takes its random numbers from a generator of its own, seeded by (seed, t).

    Parameters
    ----------
    settings : Settings
    state : dict
        A new one, or :attr:`state`.
    """

    def __init__(self, settings: Settings, state: dict[str, Any]) -> None:
        self._settings, self._seed = settings, state["seed"]
        self._n_updates, self._n_rows = state["n_updates"], state["n_rows"]
        self._carry, self._waiting = state.get("carry", 0.0), state.get("waiting", np.empty((0, 0)))
        self._kernel: ContrastiveUpdate | None = None
        if "kernel" in state:
            size = settings.n_components, len(state["mean"])
            empty = RBMParameters(np.zeros(size), np.zeros(size[0]), np.zeros(size[1]))
            self._open(state["mean"], empty, np.zeros((1, size[0]))).restore(state["kernel"])
            self._average = IterateAverage(state["average"], self._n_updates)

    @property
    def state(self) -> dict[str, Any]:
        """What a later stream can go on from."""
        state = {"seed": self._seed, "n_updates": self._n_updates, "n_rows": self._n_rows}
        state |= {"carry": self._carry, "waiting": self._waiting}
        if self._kernel is not None:
            state["kernel"] = self._kernel.snapshot()
            state |= {"average": self._average.matrix.copy(), "mean": self._mean}
        return state

    def begin(
        self, mean: np.ndarray, found: dict[str, np.ndarray] | None = None
    ) -> ContrastiveUpdate:
        """Start from the data's mean, and from those of the estimator's arrays that are `found`.

        These are weights, intercepts, and hidden units of any number of chains. The numbers of
        updates and rows that have led to them stay as they are.
        """
        s, rng, found = self._settings, fast_generator([self._seed, 0]), found or {}
        start = initial_parameters(mean, s.n_components, rng, found.get("components_"))
        parameters = RBMParameters(
            start.components,
            found.get("intercept_hidden_", start.intercept_hidden),
            found.get("intercept_visible_", start.intercept_visible),
        )
        chains = found.get("h_samples_", np.empty((0, 0)))
        if chains.shape[1] != s.n_components or not len(chains):
            chains = rng.integers(0, 2, size=(s.chains, s.n_components))
        return self._open(mean, parameters, chains)

    def _open(
        self, mean: np.ndarray, parameters: RBMParameters, chains: np.ndarray
    ) -> ContrastiveUpdate:
        s = self._settings
        chains = np.resize(chains, (s.chains, s.n_components))
        center = mean if s.center else None
        self._kernel = make_kernel(parameters, s.rule, s.batch_size, chains, center)
        self._average = IterateAverage(self._kernel.matrix, self._n_updates)
        self._mean, self._rate = mean, resolve_rate(s.learning_rate, mean)
        return self._kernel

    def feed(self, rows: np.ndarray, weight: np.ndarray | None) -> None:
        """Take in rows (n, m) in [0, 1]; a row of weight w counts as w rows in its place."""
        weight = np.ones(len(rows)) if weight is None else _bounded(weight)
        if not len(self._waiting):
            self._waiting = rows[:0].astype(np.float32)
        ends = self._carry + np.cumsum(weight)
        last_slot = np.ceil(ends) - np.ceil(self._carry)  # a row has the whole numbers it spans
        self._carry = float(ends[-1] - np.floor(ends[-1]))
        size, n_waiting = self._settings.batch_size, len(self._waiting)
        n_batches, n_left = divmod(n_waiting + int(last_slot[-1]), size)
        with one_thread_where_small(size * rows.shape[1] * self._settings.n_components):
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
        ahead = Stream(self._settings, self.state)
        kernel = ahead._update(self._waiting)
        matrix = ahead._average.matrix if self._settings.average else kernel.matrix
        return kernel.unpack(matrix), kernel.chains, ahead._mean

    def _update(self, rows: np.ndarray) -> ContrastiveUpdate:
        """Make one update with up to `batch_size` rows; its size is in proportion to theirs."""
        kernel = self._kernel or self.begin(TrainingRows(rows, None).mean())
        if not len(rows):
            return kernel
        rng, s = fast_generator([self._seed, self._n_updates + 1]), self._settings
        self._n_rows += len(rows)
        decay = s.weight_decay, s.n_components, self._mean, self._n_rows
        kernel.weight_decay = resolve_decay(*decay)
        rows = TrainingRows(rows, None).draw(np.arange(len(rows)), rng)
        kernel.batch(len(rows))[:] = kernel.centered(rows)
        share = len(rows) / s.batch_size
        rate = share * self._rate
        if s.schedule == "linear":  # with averages of iterates, the best rate without a known end
            rate /= np.sqrt(1 + self._n_updates / _SLOW)
        with np.errstate(**QUIET):
            kernel.update(len(rows), rate, rng)
        check_finite_parameters(kernel.matrix, self._rate)
        self._average.include(kernel.matrix, share)
        self._n_updates += 1
        return kernel


def _bounded(weight: np.ndarray) -> np.ndarray:
    """Return weights whose sum is at most 25,000, or the number of rows if that is more."""
    total, most = weight.sum(), max(_MOST_ROWS, len(weight))
    if total <= most:
        return weight
    warn_user(
        f"The weights of this call sum to {total:.4g}. They are reduced in proportion to a sum of "
        f"{most}, because a row of weight w makes w / batch_size updates. Divide the weights of "
        "all calls by a common factor, or give the whole table to `fit`.",
        UserWarning,
    )
    return weight * (most / total)
