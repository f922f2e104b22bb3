"""What a DensityPipeline refuses before anything is fitted."""

from collections.abc import Mapping
from typing import Any

from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from skgm._validation import DISCRETE_SUPPORTS
from skgm.base import DensityEstimator
from skgm.compose._compile import Table, examine
from skgm.compose._registry import is_passthrough, leaves

__all__ = ["check_steps", "refuse_early", "refuses_weights"]

Steps = list[tuple[str, Any]]


def check_steps(steps: Steps) -> Steps:
    """Return `steps` if they are transformers and a density, else raise."""
    try:
        named = [(name, step) for name, step in steps]
    except (TypeError, ValueError) as error:
        raise ValueError(f"steps must be a list of (name, estimator); got {steps!r}.") from error
    if not named:
        raise ValueError("steps is empty; give at least a density, [('name', density)].")
    for name, step in named[:-1]:
        is_transformer = hasattr(step, "fit") and hasattr(step, "transform")
        if isinstance(step, type) or not (is_passthrough(step) or is_transformer):
            raise TypeError(
                f"Step {name!r} must be a transformer instance or 'passthrough'; got {step!r}."
            )
    name, density = named[-1]
    if not isinstance(density, DensityEstimator):
        raise TypeError(
            f"The last step, {name!r}, must be a density with skgm's contract; got {density!r}. "
            "Subclass skgm.DensityEstimator to wrap another model."
        )
    return named


def refuse_early(steps: Steps, custom: Mapping[str, Any], table: Table, *, weighted: bool) -> None:
    """Raise a ValueError for what can be refused before any step is fitted."""
    _check_custom(steps, custom)
    _check_continuous(steps)
    known: Table | None = table
    for name, step in steps[:-1]:
        examine(step, name, known, custom)
        if weighted:
            _check_weights_are_taken(step, name)
        known = known if is_passthrough(step) else None
    if weighted and not has_fit_parameter(steps[-1][1], "sample_weight"):
        raise ValueError(
            f"The last step, {steps[-1][0]!r} ({type(steps[-1][1]).__name__}), takes no "
            "sample_weight in fit. Repeat the rows by their weights and fit without it."
        )


def _check_custom(steps: Steps, custom: Mapping[str, Any]) -> None:
    inside = [path for name, step in steps[:-1] for path, _ in leaves(step, name)]
    known = {*inside, *(name for name, _ in steps[:-1])}
    unknown = sorted(set(custom) - known)
    if unknown:
        raise ValueError(
            f"log_jacobians names {unknown}, which are no transformers of this pipeline; those "
            f"are {sorted(known)}."
        )


def _check_continuous(steps: Steps) -> None:
    name, density = steps[-1]
    if density.__density_tags__().support not in DISCRETE_SUPPORTS:
        return
    for other, step in steps[:-1]:
        if not is_passthrough(step):
            raise ValueError(
                f"The last step, {name!r}, is a probability mass, which has no Jacobian; leave "
                f"out step {other!r} or choose a continuous density."
            )


def refuses_weights(transformer: Any) -> bool:
    """Return whether a transformer learns from the rows, but not with weights."""
    return (
        not has_fit_parameter(transformer, "sample_weight") and get_tags(transformer).requires_fit
    )


def _check_weights_are_taken(step: Any, path: str) -> None:
    for leaf_path, leaf in leaves(step, path):
        if not refuses_weights(leaf):
            continue
        raise ValueError(
            f"Step {leaf_path!r} ({type(leaf).__name__}) learns from the rows but its fit takes "
            "no sample_weight. Use StandardScaler, which does, or repeat the rows by their "
            "weights and fit without sample_weight."
        )
