"""Registry of the checks behind the theory pages; `tests/test_equations.py` runs them.

One function per labeled equation, decorated ``@equation("sm-gaussian")``, checks it by a route
that shares no code with skgm. One function per known mistake, decorated
``@mistake("sm-gaussian-score-sign")``, returns ``(right, wrong, truth)``: the value of the right
form, of the wrong form, and of an independent route. The runner asserts that the right one equals
the truth and that the wrong one does not.
"""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

EQUATIONS: dict[str, Callable[[], None]] = {}
MISTAKES: dict[str, Callable[[], tuple[Any, Any, Any]]] = {}


def equation(label: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    return _registrar(EQUATIONS, label)


def mistake(label: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    return _registrar(MISTAKES, label)


def load_registries() -> None:
    """Import every topic, which fills EQUATIONS and MISTAKES."""
    for topic in iter_modules(__path__):
        import_module(f"{__name__}.{topic.name}")


def _registrar(registry: dict[str, Any], label: str) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        assert label not in registry, f"{label} is registered twice"
        registry[label] = function
        return function

    return register
