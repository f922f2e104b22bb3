"""What the checks share: seeded clones, draws, expected errors, comparisons."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from unittest import SkipTest

import numpy as np
from numpy.testing import assert_allclose
from sklearn.base import clone

from skgm.testing._registry import accepts, get_density_tags

__all__ = [
    "FALSE_ALARM",
    "RTOL",
    "assert_same_density",
    "draw",
    "expect_error",
    "fit_clone",
    "import_or_skip",
    "log_density",
    "require",
    "rows_of",
    "seeded_clone",
]

RTOL = 1e-7  # what the contract promises for one row scored twice
FALSE_ALARM = 1e-6  # chance that a right estimator fails a statistical check, per test


def require(condition: Any, message: str) -> None:
    """Raise an AssertionError with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def seeded_clone(estimator: Any, seed: Any = 0) -> Any:
    """Return an unfitted clone whose every `random_state`, nested ones as well, is `seed`."""
    twin = clone(estimator)
    names = [key for key in twin.get_params() if key.split("__")[-1] == "random_state"]
    return twin.set_params(**dict.fromkeys(names, seed)) if names else twin


def fit_clone(estimator: Any, X: Any, *, seed: Any = 0, **fit_params: Any) -> Any:
    """Return a seeded clone fitted to X."""
    twin = seeded_clone(estimator, seed)
    twin.fit(X, **fit_params)
    return twin


def log_density(fitted: Any, X: Any) -> np.ndarray:
    """Return score_samples(X), having made sure that it is one number per row, none NaN."""
    values = fitted.score_samples(X)
    require(isinstance(values, np.ndarray), f"score_samples must return an array; got {values!r}")
    require(values.shape == (len(X),), f"score_samples gave shape {values.shape} for {len(X)} rows")
    require(not np.isnan(values).any(), "score_samples returned NaN")
    return values


def rows_of(drawn: Any) -> np.ndarray:
    """Return what `sample` gave as a table, also where it gave (rows, labels).

    One check, one promise: that `sample` returns an array alone is for check_sample_shape to say.
    """
    rows = drawn[0] if isinstance(drawn, tuple) else drawn
    require(
        isinstance(rows, np.ndarray) and rows.ndim == 2,
        f"sample must return an array (n_samples, n_features); got {type(rows).__name__}",
    )
    return rows


def draw(fitted: Any, n_samples: int, random_state: Any = 0) -> np.ndarray:
    """Return the rows of sample(n_samples), seeded where `sample` allows it."""
    options = {"random_state": random_state} if accepts(fitted, "sample", "random_state") else {}
    return rows_of(fitted.sample(n_samples, **options))


@contextmanager
def expect_error(what: str, *kinds: type[BaseException], words: tuple[str, ...] = ()) -> Iterator:
    """Require that the block raises one of `kinds`, with one of `words` in its message."""
    try:
        yield
    except kinds as error:
        found = not words or any(word.lower() in str(error).lower() for word in words)
        require(found, f"{what}: the error should mention {' or '.join(words)}; it says: {error}")
    except Exception as error:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise AssertionError(f"{what} should raise {names}; it raised {error!r}") from error
    else:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise AssertionError(f"{what} should raise {names}; it raised nothing")


def assert_same_density(estimator: Any, one: Any, other: Any, X: Any, why: str) -> None:
    """Require that two fits, to the same data in two forms, have the same log-density at X.

    A deterministic fit must agree row by row, to a relative 1e-6. A stochastic one may follow
    another path: its mean must agree within 0.1 nats per column.
    """
    values, others = log_density(one, X), log_density(other, X)
    if get_density_tags(estimator).deterministic_fit:
        assert_allclose(values, others, rtol=1e-6, atol=1e-6, err_msg=why)
    else:
        assert_allclose(values.mean(), others.mean(), atol=0.1 * X.shape[1], rtol=0, err_msg=why)


def import_or_skip(name: str) -> Any:
    """Import a library, or skip the check where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        raise SkipTest(f"{name} is not installed") from None
