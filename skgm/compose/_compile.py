"""From transformers to bijections: refusals by name before fitting, formulas after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from skgm.base import DensityEstimator, DensityTags
from skgm.compose._bijections import Bijection, Chain, Custom, Partition
from skgm.compose._columns import column_parts, keep_columns, partition_fault
from skgm.compose._densities import reads_kinds
from skgm.compose._registry import KNOWN, Rule, is_passthrough, leaves
from skgm.tables._columns import column_kinds
from skgm.tables._frames import frame_schema
from skgm.tables._validation import DISCRETE_SUPPORTS

__all__ = [
    "Table",
    "acts_by_column",
    "build",
    "check_all_lebesgue",
    "check_custom",
    "check_early",
    "check_keeps_kinds",
    "check_loses_none",
    "check_steps",
    "check_takes_weights",
    "derive_tags",
    "domain_of",
    "examine",
    "fitted_input",
    "kinds_read_by",
    "knows_score_function",
    "refuses_weights",
]


@dataclass(frozen=True)
class Table:
    """What is known about the input of a step before it is fitted."""

    X: Any
    names: list[str] | None  # those by which columns can be selected
    labels: list[str]  # those by which messages call them
    n_rows: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.n_rows, len(self.labels)

    def columns(self, positions: np.ndarray) -> "Table":
        """Return the table that a part of a ColumnTransformer sees."""
        names = None if self.names is None else [self.names[j] for j in positions]
        labels = [self.labels[j] for j in positions]
        return Table(keep_columns(self.X, positions), names, labels, self.n_rows)


def examine(step: Any, path: str, table: Table | None, custom: Mapping[str, Any]) -> None:
    """Raise a ValueError that names a step that is not invertible, or of unknown Jacobian.

    Parameters
    ----------
    step : transformer or "passthrough"
        Fitted or not; what only a fit can tell is checked where it is fitted.
    path : str
        Its name in the pipeline; parts inside it are called ``path__part``.
    table : Table or None
        Its input, None where earlier steps have yet to be fitted.
    custom : mapping of str to callable
        Log-Jacobians supplied by the user, by path.
    """
    if path in custom:
        _check_inverse(step, path)
    elif is_passthrough(step):
        return
    elif type(step) is Pipeline:
        for name, inner in step.steps:
            examine(inner, f"{path}__{name}", None, custom)
    elif type(step) is ColumnTransformer:
        _examine_columns(step, path, table, custom)
    elif type(step) in KNOWN:
        fault = KNOWN[type(step)].fault(step, None if table is None else table.shape)
        if fault is not None:
            raise ValueError(f"Step {path!r} ({type(step).__name__}) cannot be undone: {fault}.")
    else:
        instead = _INSTEAD.get(type(step).__name__, "")
        known = ", ".join(sorted(known.__name__ for known in KNOWN))
        raise ValueError(
            f"Step {path!r} ({type(step).__name__}) is not invertible, or its Jacobian is "
            f"unknown.{instead} Known are {known}, and "
            "ColumnTransformer and Pipeline of these. If it has an inverse_transform, pass "
            f"log_jacobians={{{path!r}: function}}, where function(X) returns the log of the "
            "absolute Jacobian determinant at each row of the step's input."
        )


_FOR_CATEGORIES = (
    " Codes have no density: give the table as it is to a density that reads categories "
    "(DensityChain, DDPM, StackedDensity, MLEDensity('categorical'))."
)
_INSTEAD = dict.fromkeys(("KBinsDiscretizer", "TargetEncoder"), _FOR_CATEGORIES) | {
    "OneHotEncoder": " Its columns of 0 and 1 hold one 1 in each row, and a density of them gives "
    "other rows a probability that is lost." + _FOR_CATEGORIES + " OrdinalEncoder is invertible."
}


def _check_inverse(step: Any, path: str) -> None:
    if not hasattr(step, "inverse_transform") or not hasattr(step, "transform"):
        raise ValueError(
            f"log_jacobians names {path!r} ({type(step).__name__}), which has no "
            "inverse_transform. Write a transformer that has one, or use a FunctionTransformer "
            "with inverse_func."
        )
    if hasattr(step, "inverse_func") and step.inverse_func is None and step.func is not None:
        raise ValueError(
            f"log_jacobians names {path!r}, a FunctionTransformer without inverse_func, whose "
            "inverse_transform does nothing. Give it inverse_func."
        )


def _examine_columns(step: Any, path: str, table: Table | None, custom: Mapping[str, Any]) -> None:
    if step.transformer_weights:
        raise ValueError(
            f"Step {path!r} (ColumnTransformer) has transformer_weights, whose Jacobian is not "
            "known. Leave them out; the density does not need them."
        )
    if table is None and not hasattr(step, "transformers_"):
        for name, part, _ in step.transformers:
            if not (isinstance(part, str) and part == "drop"):
                examine(part, f"{path}__{name}", None, custom)
        return
    names, d = (table.names, table.shape[1]) if table is not None else fitted_input(step)
    labels = table.labels if table is not None else [f"x{j}" for j in range(d)]
    parts = column_parts(step, None if table is None else table.X, names, d)
    fault = partition_fault(parts, labels)
    if fault is not None:
        raise ValueError(
            f"Step {path!r} (ColumnTransformer) does not partition the columns: {fault}."
        )
    for name, part, columns in parts:
        inner = None if table is None else table.columns(columns)
        examine(part, f"{path}__{name}", inner, custom)


def fitted_input(step: Any) -> tuple[list[str] | None, int]:
    """Return names and number of the columns that a fitted step saw."""
    names = getattr(step, "feature_names_in_", None)
    return None if names is None else list(names), step.n_features_in_


def domain_of(
    step: Any, path: str, table: Table, custom: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the open box that the input of an unfitted step must lie in, (d,) and (d,)."""
    d = table.shape[1]
    low, high = np.full(d, -np.inf), np.full(d, np.inf)
    if path in custom or is_passthrough(step):
        return low, high
    if type(step) is Pipeline:
        doing = [(name, s) for name, s in step.steps if not is_passthrough(s)]
        return (
            domain_of(doing[0][1], f"{path}__{doing[0][0]}", table, custom)
            if doing
            else (low, high)
        )
    if type(step) is ColumnTransformer:
        for name, part, columns in column_parts(step, table.X, table.names, d):
            inner = domain_of(part, f"{path}__{name}", table.columns(columns), custom)
            low[columns], high[columns] = inner
        return low, high
    low[:], high[:] = KNOWN[type(step)].domain(step)
    return low, high


def build(
    step: Any, path: str, custom: Mapping[str, Any], schema: dict[str, Any] | None = None
) -> Bijection:
    """Return the map of a fitted step; `schema` is the frame that a custom one was fitted on."""
    if path in custom:
        return Custom(step, custom[path], path, schema)
    if is_passthrough(step):
        return Chain(())
    if type(step) is Pipeline:
        return Chain(tuple(build(s, f"{path}__{name}", custom) for name, s in step.steps))
    if type(step) is ColumnTransformer:
        positions = np.arange(step.n_features_in_)
        return Partition(
            tuple(
                (
                    columns,
                    positions[step.output_indices_[name]],
                    build(part, f"{path}__{name}", custom),
                )
                for name, part, columns in column_parts(step, None, *fitted_input(step))
            )
        )
    return KNOWN[type(step)].build(step)


# What a DensityPipeline refuses before anything is fitted.

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
    is_density = all(hasattr(density, method) for method in ("fit", "score_samples", "sample"))
    if isinstance(density, type) or not is_density or is_classifier(density):
        raise TypeError(
            f"The last step, {name!r}, must be a density with skgm's contract, or one of "
            f"scikit-learn with score_samples and sample; got {density!r}. Subclass "
            "skgm.DensityEstimator to wrap another model."
        )
    return named


def check_keeps_kinds(steps: Steps, X: Any, custom: Mapping[str, Any]) -> None:
    """Refuse encoders, and transformers before a last step that reads kinds of columns."""
    for name, step in steps[:-1]:
        for path, leaf in leaves(step, name):
            if type(leaf).__name__ in _INSTEAD:  # before X is refused for the text it is to encode
                examine(leaf, path, None, custom)
    last = steps[-1][1]
    if not reads_kinds(last):
        _check_no_codes(steps)
        return
    kinds = kinds_read_by(last, X)
    if kinds is None:
        _check_no_codes(steps, "needs a data frame whose dtypes say which columns are categories.")
        return
    if frame_schema(X) is not None:
        return  # checked step by step
    name, step = next((name, s) for name, s in steps if not is_passthrough(s))
    check_loses_none(name, step, last, [f"x{j}" for j in range(len(kinds))], kinds)


def _check_no_codes(steps: Steps, why: str = "") -> None:
    """Refuse codes of categories where the last step would take them for real numbers."""
    last = type(steps[-1][1]).__name__
    for name, step in steps[:-1]:
        for path, leaf in leaves(step, name):
            if type(leaf) is OrdinalEncoder:
                why = why or (
                    f"makes codes of categories, which have probabilities, and the last step "
                    f"({last}) reads numbers with a density per unit.{_FOR_CATEGORIES}"
                )
                raise ValueError(f"Step {path!r} (OrdinalEncoder) {why}")


def kinds_read_by(density: Any, X: Any) -> list[str] | None:
    """Return the kinds that a density sees in the columns of X, or None if all are real."""
    kinds = ("categorical", "integer")
    return column_kinds(X, *(getattr(density, f"{kind}_features", "from_dtype") for kind in kinds))


def check_loses_none(
    name: str, step: Any, last: Any, labels: Sequence[Any], kinds: Sequence[str]
) -> None:
    """Refuse a step that changes columns, of these kinds, of which some are not real numbers."""
    lost = [label for label, kind in zip(labels, kinds) if kind != "real"]
    if not lost:
        return
    raise ValueError(
        f"Step {name!r} ({type(step).__name__}) would turn columns {lost}, which are categories, "
        f"whole numbers or dates, into real numbers. Give {type(last).__name__} the table as it "
        "is: it scales columns by itself. Or let these columns pass through a ColumnTransformer. "
        "Or set its categorical_features and integer_features to None, and drop text, to model all "
        "columns as real numbers."
    )


def check_all_lebesgue(steps: Steps, density: Any, labels: list[Any], changed: Any) -> None:
    """Refuse a last step with probabilities of single values in `changed` columns, (d,)."""
    doing = [(name, step) for name, step in steps[:-1] if not is_passthrough(step)]
    for label, measure, moved in zip(labels, density.base_measure_.values(), changed):
        if doing and moved and measure != "Lebesgue":
            name, step = doing[0]
            raise ValueError(
                f"The last step has probabilities of single values ({measure:.60}) in column "
                f"{label!r}, which have no Jacobian. Leave out step {name!r} "
                f"({type(step).__name__}), or choose a last step with a density in that column."
            )


def check_early(steps: Steps, custom: Mapping[str, Any], table: Table, *, weighted: bool) -> None:
    """Raise a ValueError for what can be refused before any step is fitted."""
    check_custom(steps, custom)
    _check_continuous(steps)
    known: Table | None = table
    for name, step in steps[:-1]:
        examine(step, name, known, custom)
        if weighted:
            _check_weights_are_taken(step, name)
        known = known if is_passthrough(step) else None
    if weighted:
        check_takes_weights(steps)


def check_takes_weights(steps: Steps) -> None:
    """Refuse weights for a last step whose `fit` takes none."""
    if not has_fit_parameter(steps[-1][1], "sample_weight"):
        raise ValueError(
            f"The last step, {steps[-1][0]!r} ({type(steps[-1][1]).__name__}), takes no "
            "sample_weight in fit. Repeat the rows by their weights and fit without it."
        )


def check_custom(steps: Steps, custom: Mapping[str, Any]) -> None:
    """Refuse log-Jacobians of what is no transformer of the pipeline."""
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
    is_ours = isinstance(density, DensityEstimator)
    if not is_ours or density.__density_tags__().support not in DISCRETE_SUPPORTS:
        return
    for other, step in steps[:-1]:
        if not is_passthrough(step):
            raise ValueError(
                f"The last step, {name!r}, is a probability mass, which has no Jacobian; leave "
                f"out step {other!r} or choose a continuous density."
            )


def refuses_weights(transformer: Any) -> bool:
    """Return whether a transformer learns from the rows, but not with weights."""
    if type(transformer) is OrdinalEncoder:
        return False  # codes do not depend on the numbers of rows
    takes = has_fit_parameter(transformer, "sample_weight")
    return not takes and get_tags(transformer).requires_fit


def _check_weights_are_taken(step: Any, path: str) -> None:
    for leaf_path, leaf in leaves(step, path):
        if not refuses_weights(leaf):
            continue
        raise ValueError(
            f"Step {leaf_path!r} ({type(leaf).__name__}) learns from the rows but its fit takes "
            "no sample_weight. Use StandardScaler, which does, or repeat the rows by their "
            "weights and fit without sample_weight."
        )


# What a pipeline promises, derived from its unfitted steps.


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
        weighted = density is not None and has_fit_parameter(density, "sample_weight")
        return DensityTags(deterministic_fit=False, takes_weights=weighted)
    tags = density.__density_tags__()
    doing = [(name, step) for name, step in steps[:-1] if not is_passthrough(step)]
    if not doing:
        return tags
    return replace(
        tags,
        support=_support(doing, tags.support, custom),
        independent_columns=tags.independent_columns and acts_by_column(steps, custom),
        deterministic_fit=tags.deterministic_fit and not any(map(_is_random, _parts(doing))),
        equivariance=_equivariance(steps, tags.equivariance, custom),
        takes_weights=tags.takes_weights and not any(map(refuses_weights, _parts(doing))),
        mixed_columns=tags.mixed_columns and all(map(_may_leave_columns, doing)),
    )


def _may_leave_columns(named: tuple[str, Any]) -> bool:
    """Whether a step may leave categories as they are."""
    return type(named[1]) in (ColumnTransformer, OrdinalEncoder, Pipeline)


def _parts(steps: Steps) -> list[Any]:
    return [leaf for name, step in steps for _, leaf in leaves(step, name)]


def _rules(steps: Steps, custom: Mapping[str, Any]) -> list[Rule | None]:
    return [KNOWN.get(type(leaf)) for leaf in _parts(steps[:-1])]


def _is_random(leaf: Any) -> bool:
    return isinstance(leaf, PCA) and leaf.svd_solver == "randomized" and leaf.random_state is None


def _equivariance(steps: Steps, last: str, custom: Mapping[str, Any]) -> str:
    """Affine maps before and after a change of units differ by an affine map of the same kind.

    So the fit of the last step, if equivariant under that kind, makes up for it. Nothing is
    promised for "scale", which a scaler that centers would break.
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
