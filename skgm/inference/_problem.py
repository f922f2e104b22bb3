"""A null hypothesis about a family, and the data it is tested on."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from skgm._numerics.sandwich import inverse_information, meat, sandwich, total_weight
from skgm.inference._likelihood.bartlett import column_means
from skgm.inference._likelihood.fit import constrained_estimate
from skgm.inference._likelihood.nulls import (
    Null,
    check_off_edge,
    check_parameter_space,
    flat_information,
    flat_scores,
    flat_values,
    read_null,
)
from skgm.inference._likelihood.rstar import rstar
from skgm.inference._likelihood.statistics import Law, TestedNull, check_alternative, newton_step
from skgm.inference._mle import MLEDensity
from skgm.inference._nesting import limit_case, nested_null
from skgm.inference._observations import COMPLETE, KINDS, Scheme
from skgm.inference._results import TestResult
from skgm.inference._robust import group_codes, robust_score
from skgm.inference.families import get_family
from skgm.inference.families._base import Family, Params
from skgm.inference.families._limits import describe_irregular
from skgm.inference.families._observed import ObservedRows
from skgm.tables._validation import naming_columns

__all__ = [
    "CORRECTIONS",
    "FamilyFit",
    "FamilyNull",
    "check_correction",
    "check_scheme_given",
    "family_null",
    "mean_ratio",
    "modified_root",
]


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


def check_scheme_given(estimator: Any, scheme: Scheme) -> None:
    """Raise where the rows that `estimator` saw were censored and those of the test are not."""
    seen = getattr(estimator, "_statistics", {})
    names = next((n for key, n in KINDS.items() if key in seen), None)
    if names is None or any(part is not None for part in scheme):
        return
    if "upper" not in seen or not ObservedRows(**seen).is_complete:
        raise ValueError(
            f"estimator was fitted with {names}; pass these to the test as well, or every row "
            "would count as a plain value."
        )


class FamilyFit(NamedTuple):
    """An estimate and its log-likelihood per column."""

    params: Mapping[str, np.ndarray]
    loglik: np.ndarray


class FamilyNull(TestedNull):
    """A null hypothesis about a family, and the data it is tested on."""

    def __init__(
        self,
        estimator: Any,
        X: Any,
        null: Any,
        sample_weight: Any,
        test: str,
        alternative: str,
        scheme: Scheme = COMPLETE,
        correction: str | None = None,
        groups: Any = None,
    ) -> None:
        if not isinstance(estimator, MLEDensity):
            raise TypeError(
                f"{test} needs the likelihood of an MLEDensity; got {type(estimator).__name__}. "
                "Use wald_test, which works for every estimator with estimating functions."
            )
        check_scheme_given(estimator, scheme)
        self.model = clone(estimator).set_params(keep_rows=True)
        self.family, self.rows, self.weight, self.statistics = self.model._begin_test(
            X, sample_weight, scheme
        )
        if groups is not None and self.family.joint:
            raise ValueError("groups is for families of independent columns; leave it out.")
        self.codes = None if groups is None else group_codes(groups, X, sample_weight)
        self.alternative, self.correction = alternative, correction
        self._read(null)
        check_alternative(alternative, self.df)
        check_correction(correction, self.family)

    def _read(self, null: Any) -> None:
        """Set what the null says, and how many restrictions it has."""
        shapes = self.model._parameter_shapes()
        self.null = family_null(self.model, self.family, null, shapes)
        self.shown = self.null.shown
        self.low_edge = None if self.null.is_linear else held_low(self.family, self.null.values)
        self.on_edge = self.null.on_edge or self.low_edge is not None
        self.df = count_restrictions(self.family, self.null, self.rows.shape[1])
        values = self.null.values
        self.special = None if self.null.is_linear else self.family.special_null(values)
        if self.special is not None:
            self.df = self.special.df
        elif not self.null.is_linear:
            check_parameter_space(self.family, self.null.values)
            self.family.check_restriction(self.null.values)

    def restrictions(self, fit: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return R (r, k) and q (r,); of a special null about the parameters of its own."""
        return self.null.rows if self.special is None else (np.eye(self.df), np.zeros(self.df))

    def full(self) -> FamilyFit:
        """Return the full estimate, or raise where there is none."""
        names = self.model._column_names()
        self.family.check_statistics(self.statistics, names)
        with naming_columns(names):
            params = self.family.estimate(self.statistics)
        self._check_options_on_edge()
        irregular = describe_irregular(self.family, params)
        if irregular:
            raise ValueError(f"The test does not exist: {irregular}.")
        return self._fit(params)

    def _fit(self, params: Mapping[str, np.ndarray]) -> FamilyFit:
        return FamilyFit(params, self.family.log_likelihood(self.statistics, params))

    def restricted(self, full: FamilyFit | None = None) -> Any:
        """Return the restricted fit, which must lie inside the parameter space.

        Of a null at infinity its likelihood is that of `full` where that is infinite itself.
        """
        if self.on_edge and full is not None:
            name, params, height = self._limit_case()
            at_edge = np.isinf(full.params[name]) if self.low_edge is None else False
            return FamilyFit(params, np.where(at_edge, full.loglik, height))
        if self.null.is_linear:
            params = constrained_estimate(
                self.family, self.statistics, self.rows, self.weight, self.null.rows
            )
        else:
            with np.errstate(all="ignore"), naming_columns(self.model._column_names()):
                params = self.family.restricted_estimate(self.statistics, self.null.values)
            if self.special is None:
                self._check_inside(params, endless=full is not None)
        return FamilyFit(params, np.empty(0)) if full is None else self._fit(params)

    def _check_inside(self, params: Mapping[str, np.ndarray], endless: bool) -> None:
        for parameter in self.family.parameters:
            value = params[parameter.name]
            bad = ~np.isfinite(value) | parameter.on_boundary(value)
            if endless and parameter.may_be_infinite:  # the likelihood has a limit there
                bad &= ~np.isposinf(value)
            free = bad & np.isnan(self.null.values[parameter.name])
            if free.any():
                column = self.model._column_names()[int(np.argwhere(free)[0][0])]
                raise ValueError(
                    f"The restricted estimate of {parameter.name!r} for column {column!r} does "
                    "not exist or lies on the edge of the parameter space, so the test does not "
                    "exist. Drop the column, or restrict all of its parameters."
                )

    def theta(self, fit: FamilyFit) -> np.ndarray:
        """Return the parameters as one vector; what R leaves out may be infinite."""
        theta = flat_values(fit.params)
        return np.where((self.restrictions(fit)[0] != 0).any(axis=0), theta, 0.0)

    def loglik(self, fit: FamilyFit) -> np.ndarray:
        """Return the log-likelihood per column."""
        return fit.loglik

    def params(self, fit: FamilyFit) -> Mapping[str, Any]:
        """Return the parameters by name, shaped as in ``params_``."""
        return self.model._public(fit.params)

    def slope(self, fit: FamilyFit) -> np.ndarray | None:
        """Return the total score at a restricted fit; None where the null is none of theta."""
        if self.special is not None or self.on_edge:
            return None
        with np.errstate(all="ignore"):
            with suppress(NotImplementedError):  # from the statistics: no pass over the rows
                mean = self.family.mean_score(self.statistics, fit.params)
                return np.asarray(self.statistics.n * mean).T.ravel()
            psi = flat_scores(self.family, self.rows, fit.params, self.statistics)
        return np.asarray(psi.sum(axis=0) if self.weight is None else self.weight @ psi)

    def multiplier(self, fit: FamilyFit) -> np.ndarray | None:
        """Return the score of the entries that the null holds, or what it gives them together."""
        total = None if self.null.is_linear else self.slope(fit)
        if total is None:
            return super().multiplier(fit) if self.null.is_linear else None
        return total[~np.isnan(self.null.flat)] if np.isfinite(total).all() else None

    def step(self, fit: FamilyFit, *, robust: bool) -> np.ndarray:
        """Return A^-1 U at a restricted fit."""
        return newton_step(*self._scores(fit, robust), self.weight)

    def _scores(self, fit: FamilyFit, robust: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores of the rows and the information per observation."""
        if self.special is not None:
            return self.special.scores(self.rows)
        psi = flat_scores(self.family, self.rows, fit.params, self.statistics)
        bread = flat_information(self.family, fit.params, self.statistics, model=not robust)
        return psi, bread

    def score_statistic(self, fit: FamilyFit, *, robust: bool) -> float:
        """Return the score statistic; the robust one is corrected for few rows."""
        if not robust or self.family.joint or self.special is not None:
            return super().score_statistic(fit, robust=robust)
        psi, bread = self._scores(self._centered(fit), robust)
        return robust_score(psi, bread, self.weight, self.restrictions(fit)[0], self.codes)

    def _centered(self, fit: FamilyFit) -> FamilyFit:
        """Return the fit under the null for estimates that are unbiased, as in intervals."""
        n, values = self.statistics.n, self.null.values
        factors = {p.name: self.family.small_sample(p.name, n)[0] for p in self.family.parameters}
        held = {k for k, v in values.items() if factors[k] != 1 and not np.isnan(v).all()}
        if self.null.is_linear or not held:
            return fit
        moved = {name: value / factors[name] for name, value in values.items()}
        return fit._replace(params=self.family.restricted_estimate(self.statistics, moved))

    def law(self, fit: FamilyFit, *, robust: bool, at_null: bool = False) -> Law:
        """Return the sandwich at a restricted fit."""
        psi, bread = self._scores(fit, robust)
        return Law(sandwich(bread, meat(psi, self.weight), total_weight(psi, self.weight)))

    def information_score(self, fit: FamilyFit) -> float:
        """Return U' I^-1 U; of censored rows from the statistics, which hold events."""
        family, params = self.family, fit.params
        if self.special is not None:
            return self.special.score_statistic(self.statistics)
        if family.has_information:
            return float(np.sum(family.score_statistic(self.rows, self.weight, params)))
        slope = family.mean_score(self.statistics, params)
        information = family.model_information(self.statistics, params)
        inverse = inverse_information(information, definite=False)
        return float(self.statistics.n * np.einsum("dj,djk,dk", slope, inverse, slope))

    def score(self, *, robust: bool = False) -> TestResult:
        """Return the score test; that of a null at infinity has one side."""
        if not self.on_edge:
            return super().score(robust=robust)
        check_off_edge(self.null, "A robust score_test", "score_test", refused=robust)
        if robust:
            raise ValueError("A robust score_test of a null on the edge has no known law.")
        self._check_options_on_edge()
        name, params, _ = self._limit_case()
        root = self.family.limit_root(name, self.rows[:, 0], self.weight)
        if not np.isfinite(root):
            raise ValueError("The score statistic does not exist: the column is constant. Drop it.")
        fit = FamilyFit(params, np.empty(0))
        return self.result(max(root, 0.0) ** 2, "score", fit, float(np.sign(root)))

    def corrected(self, statistic: float, method: str, fit: Any, sign: float | None) -> TestResult:
        """Return the result of the likelihood ratio, corrected for small samples if asked for."""
        if self.correction == "bartlett":
            statistic *= self.df / mean_ratio(self.family, self.statistics.n, self.null, fit.params)
        elif self.correction == "rstar":
            root = modified_root(self.family, self.rows, self.weight, self.null)
            statistic, sign = root**2, float(np.sign(root))
        return self.result(statistic, method, fit, sign, correction=self.correction)

    def _check_options_on_edge(self) -> None:
        """Raise for what a null at infinity does not have: a second side, and corrections."""
        if self.special is not None and self.correction is not None:
            raise ValueError(
                f"No correction is known for the null of {self.special.name}; leave it out, or use "
                "score_test, whose size is nearer the nominal one."
            )
        if self.on_edge and (self.correction is not None or self.alternative != "two-sided"):
            raise ValueError(
                "A null on the edge has one side only and no known correction; leave alternative "
                "and correction at their defaults."
            )

    def _limit_case(self) -> tuple[str, dict[str, np.ndarray], np.ndarray]:
        """Return which parameter is infinite, the estimate of the limit, and its height."""
        values = self.null.values
        if self.low_edge is not None:
            return self._low_case(self.low_edge)
        name = next(name for name, value in values.items() if np.isinf(value).any())
        case = limit_case(self.family, name)
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

    def _low_case(self, name: str) -> tuple[str, dict[str, np.ndarray], np.ndarray]:
        """Return the parameter that is held at its lower end, the estimate there, its height."""
        if self.df > 1 or self.model.fixed or self.rows.shape[1] > 1:
            raise ValueError(
                f"null[{name!r}] lies on the edge of the parameter space, where the law of the "
                "statistic is known for one restricted parameter of one column, no other parameter "
                "being restricted or fixed. Test the columns one by one."
            )
        params = self.family.restricted_estimate(self.statistics, self.null.values)
        return name, params, self.family.log_likelihood(self.statistics, params)


def held_low(family: Family, values: Params) -> str | None:
    """Return the parameter that a null holds at a lower end which it may test, or None."""
    return next(
        (p.name for p in family.parameters if p.tested_low and (values[p.name] == p.low).any()),
        None,
    )


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


# Small-sample corrections of the likelihood-ratio statistic, as the tests apply them.

CORRECTIONS = (None, "bartlett", "rstar")


def mean_ratio(family: Family, n: float, null: Null, params: Params) -> float:
    """Return the mean under the null of the likelihood-ratio statistic; eq. bartlett.

    Parameters
    ----------
    family : Family
        Continuous.
    n : float
        Number of rows.
    null : Null
        The hypothesis.
    params : dict of str to ndarray
        The restricted estimate.

    Returns
    -------
    mean : float
        Summed over columns.

    Raises
    ------
    ValueError
        A discrete family, a null that couples entries, or one whose mean is not known.
    """
    if family.joint:
        return family.ratio_mean(null, n)
    if null.is_linear:
        raise ValueError(
            "correction='bartlett' needs a null that holds parameters at values; for restrictions "
            "that couple parameters the mean of the statistic is not known."
        )
    held = ~np.isnan(family.pack(null.values))
    total = 0.0
    for pattern in np.unique(held, axis=0):
        columns = (held == pattern).all(axis=1)
        if pattern.any():
            part = {name: value[columns] for name, value in params.items()}
            means = column_means(family.columns(columns), pattern, part, n)
            total += float(np.sum(means))
    return total


def modified_root(family: Family, rows: np.ndarray, weight: np.ndarray | None, null: Null) -> float:
    """Return r* for a null that holds one parameter of one column; eq. rstar.

    Parameters
    ----------
    family : Family
        Continuous, of independent columns, and one that defines `canonical`.
    rows : ndarray of shape (n, d)
        The data.
    weight : ndarray of shape (n,) or None
        A weight w counts its row w times.
    null : Null
        The hypothesis.

    Returns
    -------
    root : float
        Positive where the data point above the null.

    Raises
    ------
    ValueError
        Another null, or a family without r*.
    """
    held = np.argwhere(np.empty((0, 2)) if family.joint else ~np.isnan(family.pack(null.values)))
    if len(held) != 1 or family.discrete:
        raise ValueError(
            "correction='rstar' is for one parameter of one column of a continuous family of "
            f"independent columns; this null of the {family.name} family is not of that kind. Use "
            "correction='bartlett' or none."
        )
    column, index = held[0]
    name = family.parameters[index].name
    family = family.columns([column])
    statistics = family.summarize(rows[:, [column]], weight)
    estimate = family.estimate(statistics)
    try:
        _, root = rstar(family, name, statistics, estimate, null.values[name][[column]])
    except NotImplementedError as error:  # the families without r* say which one they are
        raise ValueError(
            f"correction='rstar' is not known for the {family.name} family: {error} Use "
            "correction='bartlett' or none."
        ) from error
    return float(root[0])


def check_correction(correction: str | None, family: Family) -> None:
    """Raise for an unknown small-sample correction, or one of right-censored rows."""
    if correction not in CORRECTIONS:
        allowed = ", ".join(map(repr, CORRECTIONS))
        raise ValueError(f"correction must be one of {allowed}; got {correction!r}.")
    if correction is not None and family.scheme:
        raise ValueError(
            f"correction={correction!r} needs the law of the censoring times, which is not "
            "modeled; use correction=None with event, upper, entry and window."
        )
