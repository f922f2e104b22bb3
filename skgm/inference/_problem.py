"""A null hypothesis about a family, and the data it is tested on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import clone

from skgm.inference._constrained import constrained_estimate
from skgm.inference._flattening import flat_information, flat_scores, flat_values
from skgm.inference._mle import MLEDensity
from skgm.inference._naming import naming_columns
from skgm.inference._nesting import limit_case, nested_null
from skgm.inference._nulls import Null, check_parameter_space, read_null
from skgm.inference._results import TestResult
from skgm.inference._special_nulls import is_uniform, limit_root, rayleigh, uniform_scores
from skgm.inference._statistics_of_tests import (
    newton_step,
    robust_score_statistic,
    tail_probability,
)
from skgm.inference.families import get_family
from skgm.inference.families._base import Family

__all__ = [
    "ALTERNATIVES",
    "Problem",
    "check_alternative",
    "family_null",
    "outcome",
    "refuse_forgotten_events",
    "side",
]

ALTERNATIVES = ("two-sided", "greater", "less")


def family_null(model: MLEDensity, family: Family, null: Any, shapes: Any) -> Null:
    """Return what the user wrote as a null hypothesis about `family`."""
    if isinstance(null, MLEDensity):
        null = nested_null(model, null, model.n_features_in_).null
    if isinstance(null, Mapping):
        null = family.expand_null(null)
    aliases = {alias: p.name for p in family.parameters for alias in p.aliases}
    endless = tuple(p.name for p in family.parameters if p.may_be_infinite)
    names = model._column_names()
    return read_null(null, shapes, names, aliases=aliases, endless=endless)


def check_alternative(alternative: Any, n_restrictions: int) -> None:
    """Raise a ValueError for an unknown alternative, or one side of several restrictions."""
    if alternative not in ALTERNATIVES:
        allowed = ", ".join(map(repr, ALTERNATIVES))
        raise ValueError(f"alternative must be one of {allowed}; got {alternative!r}.")
    if alternative != "two-sided" and n_restrictions != 1:
        raise ValueError(
            f"alternative={alternative!r} needs a null with one restriction; this one has "
            f"{n_restrictions}, and no direction. Test one entry (NaN for the others of an array)."
        )


def refuse_forgotten_events(estimator: Any, event: Any) -> None:
    """Raise where the rows that `estimator` saw were censored and those of the test are not."""
    if event is None and "event" in getattr(estimator, "_statistics", {}):
        raise ValueError(
            "estimator was fitted to right-censored rows; pass their event= to the test as well, "
            "or every row would count as observed."
        )


class Problem:
    """A null hypothesis about a family, and the data it is tested on."""

    def __init__(
        self,
        estimator: Any,
        X: Any,
        null: Any,
        sample_weight: Any,
        test: str,
        alternative: str,
        event: Any = None,
    ) -> None:
        if not isinstance(estimator, MLEDensity):
            raise TypeError(
                f"{test} needs the likelihood of an MLEDensity; got {type(estimator).__name__}. "
                "Use wald_test, which works for every estimator with estimating functions."
            )
        refuse_forgotten_events(estimator, event)
        self.model = clone(estimator)
        self.family, self.rows, self.weight, self.statistics = self.model._begin_test(
            X, sample_weight, event
        )
        self.shapes = self.model._parameter_shapes()
        self.null = family_null(self.model, self.family, null, self.shapes)
        self.df = count_restrictions(self.family, self.null, self.rows.shape[1])
        self.uniform = not self.null.is_linear and is_uniform(self.family, self.null.values)
        if self.uniform:
            self.df *= 2  # the direction goes with the concentration
        elif not self.null.is_linear:
            check_parameter_space(self.family, self.null.values)
            self.family.check_restriction(self.null.values)
        self.alternative = alternative
        check_alternative(alternative, self.df)

    @property
    def on_edge(self) -> bool:
        """Whether the null holds a parameter at infinity."""
        return self.null.on_edge

    def estimate(self) -> Any:
        """Return the full estimate, or raise where there is none."""
        names = self.model._column_names()
        self.family.check_statistics(self.statistics, names)
        with naming_columns(names):
            return self.family.estimate(self.statistics)

    def restricted(self) -> Any:
        """Return the restricted estimate, which must lie inside the parameter space."""
        if self.null.is_linear:
            return constrained_estimate(
                self.family, self.statistics, self.rows, self.weight, self.null.rows
            )
        with np.errstate(all="ignore"), naming_columns(self.model._column_names()):
            params = self.family.restricted_estimate(self.statistics, self.null.values)
        if self.uniform:
            return params
        for parameter in self.family.parameters:
            value = params[parameter.name]
            bad = ~np.isfinite(value) | parameter.on_boundary(value)
            free = bad & np.isnan(self.null.values[parameter.name])
            if free.any():
                column = self.model._column_names()[int(np.argwhere(free)[0][0])]
                raise ValueError(
                    f"The restricted estimate of {parameter.name!r} for column {column!r} does "
                    "not exist or lies on the edge of the parameter space, so the test does not "
                    "exist. Drop the column, or restrict all of its parameters."
                )
        return params

    def refuse_options_on_edge(self, correction: str | None) -> None:
        """Raise for what a null at infinity does not have: a second side, and corrections."""
        if self.uniform and correction is not None:
            raise ValueError(
                "No correction is known for the null of uniform angles; leave it out, or use "
                "score_test, whose size is nearer the nominal one."
            )
        if not self.on_edge:
            return
        if correction is not None or self.alternative != "two-sided":
            raise ValueError(
                "A null at infinity has one side only and no known correction; leave alternative "
                "and correction at their defaults."
            )

    def limit(self, estimate: Any, best: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the restricted estimate at infinity and its log-likelihood per column.

        That is `best` where the full estimate is infinite itself.
        """
        name, params, height = self._limit_case()
        return params, np.where(np.isinf(estimate[name]), best, height)

    def limit_score(self) -> TestResult:
        """Return the score test of a null at infinity, which has one side."""
        self.refuse_options_on_edge(None)
        name, params, _ = self._limit_case()
        root = limit_root(name, self.rows[:, 0], self.weight)
        if not np.isfinite(root):
            raise ValueError("The score statistic does not exist: the column is constant. Drop it.")
        return self.result(max(root, 0.0) ** 2, "score", params, sign=float(np.sign(root)))

    def _limit_case(self) -> tuple[str, dict[str, np.ndarray], np.ndarray]:
        """Return which parameter is infinite, the estimate of the limit, and its height."""
        values = self.null.values
        name = next(name for name, value in values.items() if np.isinf(value).any())
        case = limit_case(self.family.name, name)
        if self.df > 1 or case is None or self.model.fixed or self.rows.shape[1] > 1:
            raise ValueError(
                f"null[{name!r}] = inf lies on the edge of the parameter space, where the law of "
                "the statistic is known for one restricted parameter of one column, no other "
                "parameter being restricted or fixed. Test the columns one by one."
            )
        small = get_family(case.small)
        statistics = small.summarize(self.rows, self.weight)
        small.check_statistics(statistics, self.model._column_names())
        found = small.estimate(statistics)
        params = {key: translate(found[s]) for key, (s, translate) in case.shared.items()}
        return name, params | {name: values[name]}, small.log_likelihood(statistics, found)

    def robust_score_statistic(self, params: Any) -> float:
        """Return the score statistic with the sandwich covariance."""
        if self.uniform:
            psi, bread = uniform_scores(self.rows, self.null.values["kappa"] == 0)
            return robust_score_statistic(psi, bread, np.eye(len(bread)), self.weight)
        psi = flat_scores(self.family, self.rows, params, self.statistics)
        bread = flat_information(self.family, params, self.statistics)
        return robust_score_statistic(psi, bread, self.null.rows[0], self.weight)

    def score_statistic(self, params: Any) -> np.ndarray:
        """Return U' I^-1 U per column; of censored rows from the statistics, which hold events."""
        family = self.family
        if self.uniform:
            held = self.null.values["kappa"] == 0
            return np.where(held, rayleigh(self.statistics.length, self.statistics.n), 0.0)
        if family.has_information:
            return family.score_statistic(self.rows, self.weight, params)
        slope = family.mean_score(self.statistics, params)
        information = family.model_information(self.statistics, params)
        solved = np.linalg.solve(information, slope[..., None])[..., 0]
        return self.statistics.n * np.einsum("dk,dk->d", slope, solved)

    def direction(self, params: Any) -> float | None:
        """Return the sign in which the score at `params` pulls the one restriction, or None."""
        if self.df != 1 or self.on_edge:
            return None
        bread = flat_information(self.family, params, self.statistics, model=True)
        psi = flat_scores(self.family, self.rows, params, self.statistics)
        step = newton_step(psi, bread, self.weight)
        return float(np.sign(self.null.rows[0] @ step)[0])

    def distance(self, params: Any) -> float | None:
        """Return the sign of R theta - q, or None for several restrictions."""
        if self.df != 1 or self.on_edge:
            return None
        return side(self.null, flat_values(params))

    def result(self, statistic: float, method: str, params: Any, **details: Any) -> TestResult:
        """Return the outcome of the test."""
        return outcome(
            statistic,
            self.df,
            method,
            self.null.shown,
            alternative=self.alternative,
            restricted_params=self.model._public(params),
            on_edge=self.on_edge,
            **details,
        )


def side(null: Null, theta: np.ndarray) -> float:
    """Return the sign of R theta - q, of one restriction; what R leaves out may be infinite."""
    matrix, target = null.rows
    used = matrix[0] != 0
    return float(np.sign(matrix[0, used] @ theta[used] - target[0]))


def count_restrictions(family: Family, null: Null, n_features: int) -> int:
    """Return the number of free numbers that the null takes away."""
    if null.matrix is not None:
        return len(null.matrix)
    return sum(
        min(int(np.sum(~np.isnan(part))), len(family.free_entries(name, n_features)[0]))
        for name, part in ((name, _lower(value)) for name, value in null.values.items())
    )


def _lower(value: np.ndarray) -> np.ndarray:
    return value[np.tril_indices(len(value))] if value.ndim == 2 else value


def outcome(
    statistic: float,
    df: int,
    method: str,
    null: Any,
    *,
    sign: float | None = None,
    alternative: str = "two-sided",
    correction: str | None = None,
    restricted_params: Any = None,
    on_edge: bool = False,
) -> TestResult:
    """Return the result of a test with this chi-square statistic."""
    if not np.isfinite(statistic):
        raise ValueError(
            f"The {method} statistic overflows: the data and the null are too far apart for "
            "floating point. Rescale the columns, or test a nearer value."
        )
    root = None if sign is None else sign * float(np.sqrt(max(statistic, 0.0)))
    shown = statistic if alternative == "two-sided" or root is None else root
    pvalue = tail_probability(shown, df, alternative, on_edge=on_edge)
    return TestResult(
        shown, df, pvalue, method, null, alternative, correction, restricted_params or {}, root
    )
