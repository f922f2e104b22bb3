"""One rule for randomness: whatever `random_state` is, work with a numpy Generator."""

import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["RANDOM_STATE", "MinibatchSampler", "as_generator", "spawn"]

# The entry for `_parameter_constraints` of constructors that take a `random_state`.
RANDOM_STATE: list[Any] = ["random_state", np.random.Generator]


def as_generator(random_state: Any = None) -> np.random.Generator:
    """Turn None, an int, a RandomState or a Generator into a Generator.

    Parameters
    ----------
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator
        None gives fresh entropy; an int always the same stream. A RandomState or Generator is
        advanced by use, never copied: two calls in a row draw different numbers.

    Returns
    -------
    numpy.random.Generator

    Raises
    ------
    ValueError
        Anything else.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if random_state is np.random:  # scikit-learn accepts the module: the global RandomState
        random_state = np.random.mtrand._rand
    if isinstance(random_state, np.random.RandomState):
        return np.random.Generator(random_state._bit_generator)
    if random_state is None:
        return np.random.default_rng()
    is_integer = isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool)
    if is_integer and int(random_state) >= 0:
        return np.random.default_rng(int(random_state))
    raise ValueError(
        "random_state must be None, a non-negative int, a numpy RandomState or a numpy Generator; "
        f"got {random_state!r}."
    )


def spawn(random_state: Any, n_streams: int) -> list[np.random.Generator]:
    """Return `n_streams` independent Generators for parallel parts.

    Seeds are drawn from the parent instead of spawned from its seed sequence, because the bit
    generator inside a RandomState may have none; the parent is advanced, so a second call gives
    other streams.
    """
    rng = as_generator(random_state)
    seeds = rng.integers(0, 2**63, size=(n_streams, 4))
    return [np.random.default_rng(seed) for seed in seeds]


# Up to here an epoch is a shuffle without replacement (128 MiB of slot numbers); beyond, draws
# with replacement, of which a weight cannot make too many for the memory.
_MAX_SHUFFLED = 2**24


class MinibatchSampler:
    """Mini-batches in which an integer weight is that many repetitions, exactly.

    An epoch is `n_slots` slots of equal width on the line of cumulative weights, shuffled; a slot
    is the row that a uniform point in it falls on. With unit or integer weights a slot lies
    within one row, so that an epoch visits every row exactly as often as its weight says. Rows
    stand on the line in an order that depends on their values alone (of the bytes, ties as given):
    a table with integer weights and the repeated table, in any order, give batches with the same
    values under the same seed.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...)
        The rows, for their order and number; several tables side by side where rows have several
        parts. Only their values are read, now.
    sample_weight : ndarray of shape (n_samples,) or None
        Non-negative; rows of weight zero never appear. None is weight one.
    batch_size : int
        Largest size of a batch. An epoch is spread over its batches evenly, their sizes differing
        by one at most: no short last batch, whatever the number of rows.

    Attributes
    ----------
    n_slots : int
        Rows drawn per epoch: the sum of the weights, rounded up, and at least the number of rows
        of positive weight.
    n_batches : int
        Batches per epoch.

    Examples
    --------
    >>> import numpy as np
    >>> sampler = MinibatchSampler(np.arange(5.0)[:, None], None, batch_size=3)
    >>> [len(rows) for rows in sampler.epoch(np.random.default_rng(0))]
    [2, 3]
    """

    def __init__(self, X: np.ndarray, sample_weight: np.ndarray | None, batch_size: int) -> None:
        order = _order_of_values(X)
        weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        self._rows = order[weight[order] > 0]
        weight = weight[self._rows]
        self._ends = np.cumsum(weight)
        self._whole = bool(np.all(weight == np.floor(weight)))
        self._unit = bool(np.all(weight == 1.0))
        self.n_slots = max(int(np.ceil(self._ends[-1])), len(weight))
        self.n_batches = -(-self.n_slots // batch_size)

    def epoch(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield one epoch of batches as arrays of row numbers of X."""
        small = self.n_slots <= _MAX_SHUFFLED
        shuffled = rng.permutation(self.n_slots) if small else None
        rows = None
        if shuffled is not None and self._whole:  # all places at once: no numbers are drawn
            rows = self._rows[self._places(shuffled, rng)]
        start = 0
        for batch in range(1, self.n_batches + 1):
            stop = batch * self.n_slots // self.n_batches
            if rows is not None:
                yield rows[start:stop]
            else:
                if shuffled is not None:
                    slots = shuffled[start:stop]
                else:
                    slots = rng.integers(self.n_slots, size=stop - start)
                yield self._rows[self._places(slots, rng)]
            start = stop

    def draw(self, n_rows: int, rng: np.random.Generator) -> np.ndarray:
        """Return `n_rows` row numbers of X, or an epoch's where that has fewer, shuffled."""
        n_rows = min(n_rows, self.n_slots)
        if self.n_slots <= _MAX_SHUFFLED:
            slots = rng.permutation(self.n_slots)[:n_rows]
        else:
            slots = rng.integers(self.n_slots, size=n_rows)
        return self._rows[self._places(slots, rng)]

    def _places(self, slots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return where on the line of weights the slots fall, as positions in `_rows`."""
        if self._unit:
            return slots
        within = 0.5 if self._whole else rng.random(len(slots))
        points = (slots + within) * (self._ends[-1] / self.n_slots)
        places = np.searchsorted(self._ends, points, side="right")
        return np.minimum(places, len(self._ends) - 1)  # a point rounded up to the end


def _order_of_values(X: np.ndarray) -> np.ndarray:
    """Return an order of the rows that depends on their values alone, equal rows side by side."""
    values = np.ascontiguousarray(X + 0.0 if X.dtype.kind == "f" else X)  # -0.0 becomes 0.0
    if not values[:1].nbytes:
        return np.arange(len(X))
    values = values.reshape(len(X), -1)
    row = np.dtype((np.void, values.shape[1] * values.itemsize))  # 60 times lexsort's speed
    return values.view(row).ravel().argsort(kind="stable")
