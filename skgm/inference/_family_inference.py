"""Inference from the statistics that a fitted family keeps."""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from skgm._random import as_generator
from skgm._warnings import warn_user
from skgm.inference._fit_intervals import Fit, check_off_boundary, fit_interval
from skgm.inference._likelihood.bootstrap import bootstrap_intervals
from skgm.inference._likelihood.functions import function_interval, hazard, named_functions
from skgm.inference._likelihood.nulls import check_parameter_space, flat_information, flat_scores
from skgm.inference._parametric import (
    ParametricDensity,
    check_robust_errors,
    check_training_table,
    refusing_overflow,
)
from skgm.inference._results import ConfidenceIntervals, parameter_labels
from skgm.inference._robust import errors_of_parts, group_codes, small_sample_errors
from skgm.inference.families import Family
from skgm.inference.families._columns import ColumnFamilies
from skgm.inference.families._limits import (
    check_estimate_off_edge,
    describe_irregular,
    edge_errors,
    infinite_estimates,
    limit_errors,
    undetermined,
)
from skgm.tables._summary import refusing_part
from skgm.tables._validation import check_no_overflow, naming_columns

__all__ = ["FamilyInference", "check_inside_for_functions"]


def check_inside_for_functions(fit: Fit, what: str = "Intervals of functions") -> None:
    """Raise where an estimate lies on an edge, or within rounding of one, and say what to do."""
    family = fit.family
    for name, value in fit.params.items():
        parameter = family.parameter(name)
        infinite = np.isposinf(value) & parameter.may_be_infinite
        if infinite.any():
            small = [case.small for case in family.special_cases if np.inf in case.null.values()]
            cure = f"Fit MLEDensity({small[0]!r}), which it is there" if small else "Fix it"
            raise ValueError(
                f"{what} do not exist for column {fit.columns[int(np.argmax(infinite))]!r}: its "
                f"{name!r} of the {family.name} family is infinite. {cure}."
            )
        check_off_boundary(fit, name, what)
        near = parameter.high - value < _ROUNDED * (parameter.high - parameter.low)
        if np.isfinite(parameter.high) and near.any():
            raise ValueError(
                f"{what} do not exist for column {fit.columns[int(np.argmax(near))]!r}: its "
                f"{name!r} is {parameter.high:g} to rounding. Use confidence_intervals of the "
                "parameter with method 'auto' or 'profile'."
            )


_ROUNDED = 1e-12  # distance from an upper end that has lost its digits


_NONE = "none"  # what `methods` says of an interval that was not found


def _every_interval(fit: Fit, method: str, level: float) -> dict[str, tuple[Any, Any, Any]]:
    """Return low, high and method of every parameter; NaN, with a warning, where a search failed.

    It is an error where nothing was found, and for families with formulas.
    """
    found: dict[str, tuple[Any, Any, Any]] = {}
    lost: list[tuple[str, ValueError]] = []
    for name in fit.params:
        try:
            found[name] = fit_interval(fit, name, method, level)
        except ValueError as error:
            if not fit.family.rounding or method not in (
                "auto",
                *fit.family.parameter(name).methods,
            ):
                raise
            lost.append((name, error))
            nothing = np.full_like(fit.params[name], np.nan)
            found[name] = nothing, nothing, _NONE
    if len(lost) == len(found):
        raise lost[0][1]
    for name, reason in lost:
        warn_user(f"No interval of {name!r} was found; it is NaN. {reason}", ConvergenceWarning)
    return found


def _edge_intervals(fit: Fit, level: float, reason: ValueError) -> dict[str, tuple[Any, Any, Any]]:
    """Return profile intervals about an estimate on an edge, where the likelihood is flat.

    Raises
    ------
    ValueError
        The reason, where the support ends by the estimate (c = -0.7 of a generalized Pareto law is
        held in 86 % of all samples of 40 rows), or a search failed.
    """
    if describe_irregular(fit.family, fit.params) or fit.family.joint:
        raise reason
    found: dict[str, tuple[Any, Any, Any]] = {}
    endless = []
    with warnings.catch_warnings():  # all ends that are not found are told at once
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name, estimate in fit.params.items():
            low, high, _ = fit_interval(fit, name, "profile", level)
            if not ((low <= estimate) & (estimate <= high) & (low < high)).all():
                raise reason
            space = fit.family.space_of(name, estimate)
            endless.append(np.all([low == space[0], high == space[1]]))
            found[name] = low, high, "profile"
    if all(endless):
        raise reason
    warn_user(
        f"Profile intervals about an estimate on an edge: {reason} Ends that were not found are "
        "those of the parameter space.",
        ConvergenceWarning,
    )
    return found


def _by_column(fit: Fit, X: Any, sample_weight: Any, result: Callable[..., Any]) -> dict[str, Any]:
    """Return ``result(fit, X, sample_weight)``, column by column where their families differ."""
    family = fit.family
    if not isinstance(family, ColumnFamilies):
        return dict(result(fit, X, sample_weight))
    found: dict[str, Any] = {}
    for j, (own, name) in enumerate(zip(family.families, family.names)):
        part = Fit(own, fit.statistics.parts[j], family.of_column(j, fit.params), [name])
        rows = (None, None) if X is None else family.rows(X, sample_weight, j)
        found |= {family.label(k, j): value for k, value in result(part, *rows).items()}
    return found


class FamilyInference(ParametricDensity):
    """The inference half of MLEDensity.

    It reads the constructor's `family` and `fixed`, and what `fit` leaves: ``_statistics`` (the
    fields of the family's statistics) and ``_estimate`` (name -> float64 array).
    """

    _bread_is_information = True

    family: Any
    fixed: Any
    _statistics: dict[str, Any]
    n_params_: int
    n_observations_: float
    _estimate: dict[str, np.ndarray]

    @abstractmethod
    def _family(self, kind: str | None = None) -> Family:
        """Return the family that was fitted, without what is known of it."""

    @abstractmethod
    def _public(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return values by parameter as ``params_`` has them."""

    def cdf(self, X: Any) -> np.ndarray:
        """Return the distribution function of each column.

        Parameters
        ----------
        X : array-like, data frame or Series of shape (n_samples, n_features)
            Values.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_features)
            P(x <= X), column by column.
        """
        rows = self._begin_scoring(X).astype(np.float64, copy=False)
        with np.errstate(all="ignore"):
            return np.clip(self._margins("cdf", rows), 0.0, 1.0)

    def survival(self, X: Any) -> np.ndarray:
        """Return the survival function of each column.

        Parameters
        ----------
        X : array-like, data frame or Series of shape (n_samples, n_features)
            Values.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_features)
            P(x > X), column by column; far in the tail too, where 1 - `cdf` has no digits.
        """
        rows = self._begin_scoring(X).astype(np.float64, copy=False)
        with np.errstate(all="ignore"):
            above = np.exp(self._margins("log_tails", rows)[1])
            plain = 1 - np.clip(self._margins("cdf", rows), 0.0, 1.0)
        return np.where(np.isnan(above), plain, above)

    def hazard(self, X: Any) -> np.ndarray:
        """Return the hazard of each column, the density of values among those not smaller.

        Parameters
        ----------
        X : array-like, data frame or Series of shape (n_samples, n_features)
            Values.

        Returns
        -------
        hazard : ndarray of shape (n_samples, n_features)
            The density over P(x > X); of counts P(x = X) / P(x >= X).

        Raises
        ------
        ValueError
            A family without a distribution function; a value beyond which the probability is zero
            to rounding.
        """
        rows = self._begin_scoring(X).astype(np.float64, copy=False)
        with np.errstate(all="ignore"):
            below = np.clip(self._margins("cdf", rows), 0.0, 1.0)
            found = hazard(self._family(), rows, self._estimate, below)
        lost = ~np.isfinite(found)
        if lost.any():
            i, j = np.argwhere(lost)[0]
            raise ValueError(
                f"The hazard at row {i} of column {self._column_names()[j]!r}, {rows[i, j]:g}, has "
                "no digits: the fitted distribution has no probability beyond it to rounding. Ask "
                "at smaller values."
            )
        return found

    def ppf(self, q: Any) -> Any:
        """Return quantiles: scipy's name of `quantile`.

        Parameters
        ----------
        q : float or array-like of shape (m,)
            Probabilities in (0, 1).

        Returns
        -------
        values : float or ndarray of shape (n_features,), (m,) or (m, n_features)
            As `quantile` returns them.
        """
        return self.quantile(q)

    def quantile(self, q: Any) -> Any:
        """Return quantiles of each column, the inverse of `cdf` (scipy's ``ppf``).

        Parameters
        ----------
        q : float or array-like of shape (m,)
            Probabilities in (0, 1).

        Returns
        -------
        values : float or ndarray of shape (n_features,), (m,) or (m, n_features)
            One per probability and column; the smallest value that `cdf` reaches it at.
        """
        check_is_fitted(self)
        q = np.asarray(q, dtype=np.float64)
        if q.ndim > 1 or not ((q > 0) & (q < 1)).all():
            raise ValueError(f"q must be a probability in (0, 1), or a list of them; got {q!r}.")
        goals = np.repeat(q.reshape(-1, 1), self.n_features_in_, axis=1)
        with np.errstate(all="ignore"):
            values = self._margins("quantile", goals)
        values = values if q.ndim else values[0]
        values = values[..., 0] if self.n_features_in_ == 1 else values
        return values if np.ndim(values) else float(values)

    def mean(self) -> Any:
        """Return the mean of the fitted distribution, of von Mises columns the mean direction.

        Returns
        -------
        mean : float or ndarray of shape (n_features,)
            Infinite where the distribution has an infinite mean (a Pareto shape of 1 or less).

        Raises
        ------
        ValueError
            A distribution without a mean (Cauchy, categories).
        """
        check_is_fitted(self)
        family = self._family()
        try:
            mean = family.mean(self._estimate)
        except NotImplementedError as error:  # categories, or a family of one's own without it
            raise ValueError(f"The {family.name} family defines no mean.") from error
        if np.isnan(mean).any():
            raise ValueError(
                f"The fitted {family.name} distribution has no mean; ask for quantile(0.5)."
            )
        return self._public({"mean": mean})["mean"]

    def aic(self) -> float:
        """Return Akaike's information criterion of the fit, 2 n_params - 2 log-likelihood.

        Returns
        -------
        aic : float
            Smaller is better.
        """
        check_is_fitted(self)
        return 2 * self.n_params_ - 2 * self.loglik_

    def bic(self) -> float:
        """Return Schwarz's criterion of the fit, n_params log(n) - 2 log-likelihood.

        Returns
        -------
        bic : float
            Smaller is better; n is the number of rows, or the sum of their weights.
        """
        check_is_fitted(self)
        return self.n_params_ * float(np.log(self.n_observations_)) - 2 * self.loglik_

    def _margins(self, kind: str, table: np.ndarray) -> np.ndarray:
        """Return `cdf` or `quantile` of every entry of a table, (m, d)."""
        family = self._family()
        try:
            return getattr(family, kind)(table, self._estimate)
        except NotImplementedError as error:  # a joint family, or one of one's own without it
            raise ValueError(
                f"The {family.name} family has no distribution function of a single column here."
            ) from error

    def _dropped_rows(self) -> bool:
        """Whether the likelihood needs rows that ``keep_rows=False`` dropped."""
        fields = getattr(self._family().statistics_type, "__dataclass_fields__", {})
        return "X" in fields and "X" not in self._statistics

    def _fit_record(self, X: Any = None, sample_weight: Any = None) -> Fit:
        """Return the fit; `X` is the training table, for fits that have dropped it."""
        family = self._family()
        if not self._dropped_rows():
            statistics = family.statistics_type(**self._statistics)
        elif X is None:
            raise ValueError(
                f"The {family.name} family needs the rows, which keep_rows=False dropped: pass the "
                "training table as X (and its sample_weight) where X is an argument, or fit with "
                "keep_rows=True."
            )
        else:
            check_training_table(X, sample_weight, self._statistics["n"], what="Inference")
            self._check_support(family, X)
            statistics = family.summarize(X.astype(np.float64, copy=False), sample_weight)
        return Fit(family, statistics, self._estimate, self._column_names())

    def _check_inference_data(self, X: Any, sample_weight: Any) -> tuple[Any, Any]:
        if X is not None and "upper" in self._statistics:
            with suppress(TypeError, ValueError):  # other tables are checked as they are
                if np.isinf(np.asarray(X, dtype=np.float64)).any():
                    X = sample_weight = None  # censored rows are kept, with both ends and weights
        return super()._check_inference_data(X, sample_weight)

    def _standard_errors(self, cov: str, X: Any, sample_weight: Any) -> dict[str, Any]:
        fit = self._fit_record(X, sample_weight)
        errors = _by_column(fit, X, sample_weight, partial(self._errors_of_one, cov))
        return self._public(errors)

    def _errors_of_parts(self, parts: Any) -> dict[str, Any]:
        fit = self._fit_record()
        columnwise = not isinstance(fit.family, ColumnFamilies) and not fit.family.joint
        if not columnwise or fit.family.scheme or not fit.family.has_information:
            return super()._errors_of_parts(parts)
        for name in fit.params:
            check_off_boundary(fit, name, "Standard errors")

        def tables() -> Iterator[np.ndarray]:
            for number, part in enumerate(parts):
                try:
                    rows = self._begin_scoring(part).astype(np.float64, copy=False)
                    self._check_support(fit.family, rows)
                except ValueError as error:
                    raise refusing_part(number, error) from error
                yield rows

        errors, n = errors_of_parts(fit, tables())
        check_training_table(np.empty(0), np.array([n]), fit.statistics.n)
        check_robust_errors(errors, fit.family.model_standard_errors(fit.statistics, fit.params))
        return self._public(errors)

    def _errors_of_one(
        self, cov: str, fit: Fit, X: Any, sample_weight: Any
    ) -> dict[str, np.ndarray]:
        infinite = infinite_estimates(fit.family, fit.params)
        for name in fit.params:
            if name not in infinite:
                check_off_boundary(fit, name, "Standard errors")
        check_estimate_off_edge(*fit[:4], "Standard errors")
        try:
            with np.errstate(all="ignore"):  # what overflows or underflows is refused below
                errors = self._errors(fit, cov, X, sample_weight)
        except np.linalg.LinAlgError:  # an information matrix that underflows
            errors = dict.fromkeys(fit.params, np.zeros(1))
        errors = {name: np.where(error > 0, error, np.nan) for name, error in errors.items()}
        known = {name: np.where(infinite.get(name, False), 1.0, e) for name, e in errors.items()}
        check_no_overflow(known, "standard errors")
        return errors

    def _errors(self, fit: Fit, cov: str, X: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        """Return standard errors of the kind `cov`, as they are computed."""
        if infinite_estimates(fit.family, fit.params):
            if cov == "robust":
                check_training_table(X, sample_weight, fit.statistics.n)
                self._check_support(fit.family, X)
            return limit_errors(fit.family, fit.statistics, fit.params, cov, (X, sample_weight))
        if cov == "robust":
            return self._robust_errors(fit, X, sample_weight)
        if cov == "observed":
            return fit.family.observed_standard_errors(fit.statistics, fit.params)
        return fit.family.model_standard_errors(fit.statistics, fit.params)

    def _errors_or_nan(self) -> dict[str, Any]:
        """Return standard errors, NaN for estimates on the edge of their space."""
        return self._public(_by_column(self._fit_record(), None, None, self._inner_errors))

    def _inner_errors(self, fit: Fit, *_: Any) -> dict[str, np.ndarray]:
        edge = {k: fit.family.parameter(k).on_boundary(v) for k, v in fit.params.items()}
        if any(p.tested_low for p in fit.family.parameters) and np.any(list(edge.values())):
            return edge_errors(fit.family, fit.statistics, fit.params, edge)
        with refusing_overflow("covariance"):
            # an infinite estimate is its family's own limit; any other edge has no errors at all
            inner = {k: np.where(edge[k] & np.isfinite(v), 0.5, v) for k, v in fit.params.items()}
            errors = fit.family.model_standard_errors(fit.statistics, inner)
        flat = undetermined(fit.family, fit.statistics, fit.params)
        edge = {k: v | flat[k] for k, v in edge.items()} if flat else edge
        return {k: np.where(edge[k], np.nan, v) for k, v in errors.items()}

    def _robust_errors(self, fit: Fit, X: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        if fit.family.scheme and not self._dropped_rows():
            # the table does not say which of its rows are censored; the statistics do
            errors = fit.family.kept_standard_errors(fit.statistics, fit.params)
            check_robust_errors(
                errors, fit.family.model_standard_errors(fit.statistics, fit.params)
            )
            return errors
        check_training_table(X, sample_weight, fit.statistics.n)
        self._check_support(fit.family, X)
        if fit.family.has_information:
            errors = fit.family.robust_standard_errors(X, sample_weight, fit.params)
        else:
            errors = fit.family.kept_standard_errors(fit.statistics, fit.params)
        check_robust_errors(errors, fit.family.model_standard_errors(fit.statistics, fit.params))
        return errors

    def _intervals(
        self, level: float, method: str, X: Any, sample_weight: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        fit = self._fit_record(X, sample_weight)
        of_one = partial(self._intervals_of_one, level, method)
        found = _by_column(fit, X, sample_weight, of_one)
        low, high, methods = ({k: v[part] for k, v in found.items()} for part in range(3))
        return self._public(low), self._public(high), methods

    def _n_intervals(self, of: Any) -> int:
        whole = of is None and self._family().name == "categorical"
        # the first category is no parameter, but its share is a proportion like the others
        return super()._n_intervals(of) + (self.n_features_in_ if whole else 0)

    def _check_groups(self, groups: Any, method: str, X: Any, sample_weight: Any) -> Any:
        if groups is None:
            return None
        family = self._family()
        if method != "robust" or X is None or family.joint or isinstance(family, ColumnFamilies):
            raise ValueError(
                "groups is for method='robust' with the training table X=, and for one family of "
                "independent columns."
            )
        return group_codes(groups, X, sample_weight)

    def _grouped_intervals(self, level: float, X: Any, sample_weight: Any, codes: Any) -> Any:
        fit = self._fit_record(X, sample_weight)._replace(codes=codes)
        found = self._intervals_of_one(level, "robust", fit, X, sample_weight)
        low, high, methods = ({k: v[part] for k, v in found.items()} for part in range(3))
        return self._public(low), self._public(high), methods

    def _intervals_of_one(
        self, level: float, method: str, fit: Fit, X: Any, sample_weight: Any
    ) -> dict[str, tuple[Any, Any, Any]]:
        """Return low, high and method of each parameter of one family."""
        if method in ("auto", "profile") and fit.family.rounding:
            # a profile needs no curvature at the estimate
            try:
                check_estimate_off_edge(*fit[:4], "Intervals")
            except ValueError as reason:
                return _edge_intervals(fit, level, reason)
        check_estimate_off_edge(*fit[:4], "Intervals")
        by_error = method in ("wald", "wald-transformed", "robust")
        infinite = infinite_estimates(fit.family, fit.params) if by_error else {}
        if method == "robust":
            for name in fit.params:
                if name not in infinite:
                    check_off_boundary(fit, name, "Robust intervals")
            errors = self._errors(fit, "robust", X, sample_weight)
            if infinite and fit.codes is not None:
                raise ValueError("groups must be None where an estimate is infinite.")
            if infinite or fit.family.joint or fit.statistics.n <= 1:
                n = fit.statistics.n
                errors = {name: e * np.sqrt(n / max(n - 1, 1.0)) for name, e in errors.items()}
            else:
                errors = small_sample_errors(fit, X, sample_weight)
            fit = fit._replace(robust_errors=errors)
        with naming_columns(fit.columns), np.errstate(invalid="ignore"):  # inf -+ NaN
            found = _every_interval(fit, method, level)
        low, high, methods = ({k: v[part] for k, v in found.items()} for part in range(3))
        # where a Wald interval reaches infinity, its error overflowed
        both = low | {f"{k} (high)": v for k, v in high.items()}
        none = infinite | {k: True for k, v in methods.items() if isinstance(v, str) and v == _NONE}
        known = {
            k: np.where(none.get(k.removesuffix(" (high)"), False), 0.0, v) for k, v in both.items()
        }
        check_no_overflow(known, "intervals", but=() if by_error else set(both))
        for name, where in infinite.items():
            column = fit.columns[int(np.flatnonzero(where)[0])]
            warn_user(
                f"There is no {method!r} interval of {name!r} for column {column!r}, whose "
                "estimate is infinite; it is NaN. method='auto' gives [low, inf).",
                ConvergenceWarning,
            )
        return found

    def _bootstrap_intervals(
        self, level: float, X: Any, sample_weight: Any, random_state: Any, n_jobs: int | None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        fit = self._fit_record(X, sample_weight)
        if isinstance(fit.family, ColumnFamilies):
            fit.family.refuse()
        if fit.family.joint:
            raise ValueError(
                "Bootstrap intervals are for families of independent columns; use method='auto'."
            )
        told: tuple[Any, ...] = ()
        if fit.family.scheme and not self._dropped_rows():  # the rows are kept, with what is known
            told = tuple(self._statistics[name] for name in fit.family.scheme)
            _check_other_rows(X, fit.statistics.X)
            X, sample_weight = fit.statistics.X, fit.statistics.weight
        check_training_table(X, sample_weight, fit.statistics.n, what="Bootstrap intervals")
        for name in self._estimate:
            check_off_boundary(fit, name, "Bootstrap intervals")
        check_estimate_off_edge(*fit[:4], "Bootstrap intervals")
        rng = as_generator(random_state)
        found = bootstrap_intervals(
            fit.family, X, sample_weight, fit.params, level, rng, told, n_jobs
        )
        low, high = ({name: ends[side] for name, ends in found.items()} for side in (0, 1))
        endless = {p.name for p in fit.family.parameters if p.may_be_infinite}
        check_no_overflow(low, "bootstrap intervals", but=endless)
        check_no_overflow(high, "bootstrap intervals", but=endless)
        return self._public(low), self._public(high), dict.fromkeys(found, "bootstrap")

    def _function_intervals(self, of: Any, level: float, method: str) -> ConfidenceIntervals:
        """Return intervals of smooth functions of the parameters, profile or delta."""
        fit = self._fit_record()
        if isinstance(fit.family, ColumnFamilies):
            fit.family.refuse()
        functions = named_functions(of, fit.family)
        if method == "auto":
            method = "wald" if fit.family.joint else "profile"
        check_inside_for_functions(fit)
        check_estimate_off_edge(*fit[:4], "Intervals of functions")
        with naming_columns(fit.columns):
            found = {
                name: function_interval(fit, function, method, level)
                for name, function in functions.items()
            }
        value, low, high = (
            self._public({name: ends[part] for name, ends in found.items()}) for part in range(3)
        )
        check_no_overflow(value, "functions")
        labels = {k: parameter_labels(k, v, self._column_names()) for k, v in value.items()}
        methods = dict.fromkeys(found, method)
        return ConfidenceIntervals(value, low, high, level, method, methods, labels)

    def _check_wald(self, null: dict[str, np.ndarray]) -> None:
        fit = self._fit_record()
        check_parameter_space(fit.family, null)
        for p in fit.family.parameters:
            if p.tested_low and np.any(np.asarray(null[p.name]) == p.low):
                raise ValueError(
                    f"null[{p.name!r}] = {p.low:g} lies on the edge of the parameter space, where "
                    "the Wald statistic has no known law; use score_test or likelihood_ratio_test."
                )
        for name in null:
            check_off_boundary(fit, name, "Wald tests")
        check_estimate_off_edge(*fit[:4], "Wald tests")

    def _interval_estimates(self) -> dict[str, Any]:
        return {name: self.params_[name] for name in self._estimate}

    def _wald_estimate(self) -> dict[str, np.ndarray]:
        return self._estimate

    def _estimating_functions(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return parameter scores (n, k) and information (k, k), flat in the order of params_."""
        fit = self._fit_record()
        bread = flat_information(fit.family, fit.params, fit.statistics)
        return flat_scores(fit.family, X, fit.params, fit.statistics), bread


def _check_other_rows(X: Any, kept: np.ndarray) -> None:
    if X is not None and not np.array_equal(X, kept):
        raise ValueError(
            "X must be the training table, whose rows are kept with their events: leave it out."
        )
