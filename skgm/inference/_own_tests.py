"""Estimators with test statistics of their own, which the public tests hand over to."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from skgm.inference._models._tests import refuse_event

__all__ = ["own_statistics_first"]

Test = TypeVar("Test", bound=Callable[..., Any])


def own_statistics_first(name: str) -> Callable[[Test], Test]:
    """Decorate a public test: estimators with `_hypothesis_test` answer it themselves.

    They get the name of the test, X, null and the keyword arguments that the user gave.
    """

    def decorate(function: Test) -> Test:
        @wraps(function)
        def test(estimator: Any, X: Any = None, null: Any = None, **options: Any) -> Any:
            if not hasattr(estimator, "_hypothesis_test"):
                return function(estimator, X, null, **options)
            refuse_event(options.pop("event", None))
            return estimator._hypothesis_test(name, X, null, **options)

        return cast(Test, test)  # type checkers keep the signature of the test

    return decorate
