"""What a pipeline promises, derived from its unfitted steps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline

from skgm.base import DensityEstimator, DensityTags
from skgm.compose._checks import refuses_weights
from skgm.compose._registry import KNOWN, Rule, is_passthrough, leaves

__all__ = ["acts_by_column", "derive_tags", "knows_score_function"]

Steps = list[tuple[str, Any]]


def acts_by_column(steps: Steps, custom: Mapping[str, Any]) -> bool:
    """Return whether every transformer is known to act on each column alone."""
    rules = _rules(steps, custom)
    return not custom and all(rule is not None and rule.by_column for rule in rules)


def knows_score_function(steps: Steps, custom: Mapping[str, Any]) -> bool:
    """Return whether the derivative of every log-determinant is known."""
    return not custom and None not in _rules(steps, custom)


def derive_tags(steps: Steps, custom: Mapping[str, Any]) -> DensityTags:
    """Return the tags of a pipeline; where they depend on the fit, the more modest promise."""
    density = steps[-1][1] if steps else None
    if not isinstance(density, DensityEstimator):
        return DensityTags()
    tags = density.__density_tags__()
    doing = [(name, step) for name, step in steps[:-1] if not is_passthrough(step)]
    if not doing:
        return replace(tags, mixed_columns=False)
    return replace(
        tags,
        support=_support(doing, tags.support, custom),
        independent_columns=tags.independent_columns and acts_by_column(steps, custom),
        deterministic_fit=tags.deterministic_fit and not any(map(_is_random, _parts(doing))),
        equivariance=_equivariance(steps, tags.equivariance, custom),
        takes_weights=tags.takes_weights and not any(map(refuses_weights, _parts(doing))),
        mixed_columns=False,
    )


def _parts(steps: Steps) -> list[Any]:
    return [leaf for name, step in steps for _, leaf in leaves(step, name)]


def _rules(steps: Steps, custom: Mapping[str, Any]) -> list[Rule | None]:
    return [KNOWN.get(type(leaf)) for leaf in _parts(steps[:-1])]


def _is_random(leaf: Any) -> bool:
    return isinstance(leaf, PCA) and leaf.svd_solver == "randomized" and leaf.random_state is None


def _equivariance(steps: Steps, last: str, custom: Mapping[str, Any]) -> str:
    """Affine maps before and after a change of units differ by an affine map of the same kind.

    So the fit of the last step, if equivariant under that kind, makes up for it. Nothing is
    promised for "scale", which a scaler that centres would break.
    """
    all_affine = not custom and all(
        rule is not None and rule.affine for rule in _rules(steps, custom)
    )
    if not all_affine or last not in ("affine", "location-scale"):
        return "none"
    return last if last == "affine" or acts_by_column(steps, custom) else "none"


def _support(doing: Steps, last: str, custom: Mapping[str, Any]) -> str:
    """Return the support that the first transformer asks for, if the last step asks for none."""
    rescaled_only = all(_keeps_sign(leaf) for leaf in _parts(doing)) and not custom
    if last in ("positive", "non-negative") and rescaled_only:
        return last
    low = max((_lower_bound(step) for step in _first_parts(doing[0])), default=-np.inf)
    # the tags have no word for x > -1; non-negative tables, at least, are inside
    return {0.0: "positive", -1.0: "non-negative"}.get(low, "real")


def _keeps_sign(leaf: Any) -> bool:
    rule = KNOWN.get(type(leaf))
    return rule is not None and rule.affine and rule.by_column and not rule.moves_zero(leaf)


def _lower_bound(leaf: Any) -> float:
    rule = KNOWN.get(type(leaf))
    return -np.inf if rule is None else rule.domain(leaf)[0]


def _first_parts(named: tuple[str, Any]) -> list[Any]:
    """Return the transformers that see the columns of the input of a step."""
    step = named[1]
    if type(step) is Pipeline:
        doing = [item for item in step.steps if not is_passthrough(item[1])]
        return _first_parts(doing[0]) if doing else []
    if type(step) is ColumnTransformer:
        parts = [(name, part) for name, part, _ in step.transformers]
        return [leaf for part in parts for leaf in _first_parts(part)]
    return [] if isinstance(step, str) else [step]
