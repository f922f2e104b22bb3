"""One rule for randomness: whatever `random_state` is, work with a numpy Generator."""

import numbers
from typing import Any

import numpy as np

__all__ = ["RANDOM_STATE", "as_generator", "spawn"]

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
