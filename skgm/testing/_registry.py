"""The table of density checks: a name, a promise, and the rules for when it applies."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import SkipTest

from sklearn.utils import get_tags

from skgm.base import DensityTags
from skgm.tables._validation import DISCRETE_SUPPORTS

__all__ = [
    "CHECKS",
    "DensityCheck",
    "Rule",
    "accepts",
    "continuous",
    "density_check",
    "equivariant",
    "fit_takes_weights",
    "get_density_tags",
    "has_method",
    "has_random_state",
    "limited_support",
    "refuses_nan",
    "refuses_outside",
    "score_is_gradient",
    "takes",
]

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


# Rules: when a density check does not apply, and why, in words for the record.

DISCRETE = DISCRETE_SUPPORTS


def accepts(estimator: Any, method: str, parameter: str) -> bool:
    """Tell whether a method of the estimator names this parameter."""
    function = getattr(estimator, method, None)
    return function is not None and parameter in inspect.signature(function).parameters


def has_method(name: str) -> Rule:
    """Make the rule: the estimator has this method."""

    def rule(estimator: Any) -> str | None:
        return None if hasattr(estimator, name) else f"it has no {name}"

    return rule


def takes(method: str, parameter: str) -> Rule:
    """Make the rule: this method takes this parameter."""

    def rule(estimator: Any) -> str | None:
        taken = accepts(estimator, method, parameter)
        return None if taken else f"its {method} takes no {parameter}"

    return rule


def fit_takes_weights(estimator: Any) -> str | None:
    """Rule: `fit` has a `sample_weight`, and the tags do not say that it refuses it."""
    if not accepts(estimator, "fit", "sample_weight"):
        return "its fit takes no sample_weight"
    taken = get_density_tags(estimator).takes_weights
    return None if taken else "its tags say that a part of it takes no sample_weight"


def has_random_state(estimator: Any) -> str | None:
    """Rule: the constructor has a `random_state`."""
    return None if "random_state" in estimator.get_params() else "it has no random_state parameter"


def continuous(estimator: Any) -> str | None:
    """Rule: the model has a density, not a mass function."""
    support = get_density_tags(estimator).support
    return f"its support is {support}: it has no density" if support in DISCRETE else None


def refuses_outside(estimator: Any) -> str | None:
    """Rule: `fit` does not turn values outside the support into values inside."""
    converts = get_density_tags(estimator).converts_outside
    return "its tags say that fit converts values outside the support" if converts else None


def limited_support(estimator: Any) -> str | None:
    """Rule: some finite tables lie outside the support."""
    real = get_density_tags(estimator).support == "real"
    return "its support is real: no finite value lies outside" if real else None


def score_is_gradient(estimator: Any) -> str | None:
    """Rule: `score_function` is the exact gradient of `score_samples`."""
    exact = get_density_tags(estimator).score_function_is_gradient
    return None if exact else "its tags say that score_function is not the exact gradient"


def equivariant(estimator: Any) -> str | None:
    """Rule: the fit commutes with some change of variables."""
    group = get_density_tags(estimator).equivariance
    return "its tags promise no equivariance" if group == "none" else None


def refuses_nan(estimator: Any) -> str | None:
    """Rule: the estimator does not declare that it takes NaN."""
    allowed = get_tags(estimator).input_tags.allow_nan
    return "its scikit-learn tags say that it takes NaN" if allowed else None


def get_density_tags(estimator: Any) -> DensityTags:
    """Return what an estimator promises beyond the density contract.

    Parameters
    ----------
    estimator : estimator object
        Any object with ``fit``. One that defines ``__density_tags__`` speaks for itself; another
        gets the defaults, with `deterministic_fit` False where it has a `random_state`.

    Returns
    -------
    tags : DensityTags
        The tags that decide which density checks apply.

    Raises
    ------
    TypeError
        ``__density_tags__`` returns something other than a DensityTags.

    Examples
    --------
    >>> from sklearn.neighbors import KernelDensity
    >>> from skgm.testing import get_density_tags
    >>> get_density_tags(KernelDensity()).support
    'real'
    """
    if not hasattr(estimator, "__density_tags__"):
        return DensityTags(deterministic_fit="random_state" not in estimator.get_params())
    tags = estimator.__density_tags__()
    if not isinstance(tags, DensityTags):
        raise TypeError(
            f"{type(estimator).__name__}.__density_tags__ must return a skgm.DensityTags; "
            f"got {tags!r}."
        )
    return tags
