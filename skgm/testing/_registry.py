"""The table of density checks: a name, a promise, and the rules for when it applies."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import SkipTest

__all__ = ["CHECKS", "DensityCheck", "Rule", "density_check"]

# A rule looks at an unfitted estimator and returns why a check does not apply, or None.
Rule = Callable[[Any], str | None]


@dataclass(frozen=True)
class DensityCheck:
    """One promise of the density contract, callable on an unfitted estimator.

    Attributes
    ----------
    name : str
        Name of the check, "check_...".
    function : callable
        Takes the estimator, never changes it, and raises where the promise is broken.
    rules : tuple of callables
        Each returns why the check does not apply to an estimator, or None.
    """

    name: str
    function: Callable[[Any], None]
    rules: tuple[Rule, ...] = ()

    @property
    def promise(self) -> str:
        """What is checked, in one line."""
        return (self.function.__doc__ or "").strip().splitlines()[0]

    def reason_not_applicable(self, estimator: Any) -> str | None:
        """Return why the check does not apply to `estimator`, or None if it does."""
        return next((reason for rule in self.rules if (reason := rule(estimator))), None)

    def __call__(self, estimator: Any) -> None:
        """Run the check; SkipTest, with the reason, where it does not apply."""
        reason = self.reason_not_applicable(estimator)
        if reason is not None:
            raise SkipTest(reason)
        self.function(estimator)


CHECKS: dict[str, DensityCheck] = {}


def density_check(*rules: Rule) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Decorate a function ``check_...(estimator)`` to make it part of the suite."""

    def register(function: Callable[[Any], None]) -> Callable[[Any], None]:
        name = function.__name__
        if name in CHECKS:
            raise ValueError(f"The density check {name} is registered twice.")
        CHECKS[name] = DensityCheck(name, function, rules)
        return function

    return register
