"""Maximum-likelihood fits of parametric families, as a density estimator with inference."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.metaestimators import available_if

from skgm._sklearn import check_sample_weight, fit_task, transactional
from skgm.base import DensityTags, in_blocks
from skgm.inference._family_inference import FamilyInference
from skgm.inference._observations import (
    COMPLETE,
    KINDS,
    Scheme,
    check_inside,
    read_censored,
    read_window,
)
from skgm.inference._results import FitSummary, summarize_fit, takes_level
from skgm.inference._tables import as_table, families_of, read_table
from skgm.inference.families import Family, get_family
from skgm.inference.families._columns import ColumnFamilies
from skgm.inference.families._limits import warn_edge_estimate
from skgm.inference.families._registry import has_many, resolve_family
from skgm.inference.families._statistics import plain_fields
from skgm.tables._summary import TableSummary, bare_copy, chunks_of, fitted_columns
from skgm.tables._validation import (
    check_finite,
    check_inside_support,
    check_no_overflow,
    naming_columns,
    validate_table,
)

__all__ = ["MLEDensity"]


def _is_continuous(estimator: "MLEDensity") -> bool:
    if has_many(estimator.family):
        return not any(family.discrete for family in getattr(estimator, "_families", ()))
    return not get_family(estimator.family).discrete


def _can_grow(estimator: "MLEDensity") -> bool:
    return not has_many(estimator.family)  # the first rows must not choose for the others


class MLEDensity(FamilyInference):
    r"""Maximum-likelihood fit of a parametric family, with tests and intervals.

    .. math:: \hat\theta = \arg\max_\theta \sum_i w_i \log p(x_i; \theta)

    Columns are independent, each with parameters of its own, except in the multivariate normal
    family. Prefer it where a standard family describes the columns and their parameters are of
    interest. Where columns depend on each other, independent families miss that;
    :class:`skgm.ScoreMatchingGaussian` also takes tables with more columns than
    rows, which no maximum-likelihood fit does.

    Parameters
    ----------
    family : str, Family or scipy.stats distribution, default="normal"
        Continuous: "normal", "lognormal", "exponential", "gamma", "weibull", "log_logistic",
        "beta", "laplace", "cauchy", "student_t", "logistic", "gumbel", "gumbel_min",
        "inverse_gaussian", "rayleigh", "pareto", "von_mises". Discrete: "bernoulli",
        "binomial", "poisson", "geometric", "negative_binomial", "categorical". Joint:
        "multivariate_normal". scipy's names ("norm", "expon", "weibull_min", ...) mean the same
        families. Also an instance of
        :class:`skgm.inference.Family`, and any other distribution of ``scipy.stats``.

        A family per column: a dict from column names to families, a list of them in the order of
        the columns, or "auto", which takes for each column the family with the smallest AIC among
        those whose support holds it: categories for text and booleans, counts for whole numbers
        that are not negative. Holes (NaN) then are skipped column by column, in scores as well, and
        parameters are called ``shape[age]``. Text columns are categories, and draws of whole
        numbers are rounded.
    fixed : dict of str to float or array-like, default=None
        Parameters (or constants, such as the ``n`` of a binomial) that are known: one value, or
        one per column. They are not estimated, and stay what they are in every interval and test.
    window : tuple of (float, float) or of arrays of shape (n_features,), default=None
        The ends, both included, between which values were seen at all. Rows with values outside are
        missing from the table. ``(1, inf)`` are counts without zeros. The fitted distribution is
        that of the values in the window; `params_` are those of the whole one.
    keep_rows : bool, default=True
        Whether families whose likelihood needs the rows keep them. If not, `partial_fit` cannot
        go on, and standard errors and intervals ask for the training table as `X`.

    Attributes
    ----------
    params_ : dict of str to float or ndarray
        Estimates, and the values in `fixed`, by parameter name: floats for one column, arrays
        (n_features,) otherwise. Multivariate normal: mean, (n_features,), and covariance,
        (n_features, n_features), always arrays.
    loglik_ : float
        Total (weighted) log-likelihood at the estimate, in nats.
    n_params_ : int
        Number of free parameters.
    n_observations_ : float
        Number of rows, or sum of their weights.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    log_density_kind_ : str
        "exact".

    Raises
    ------
    ValueError
        Data outside the support (column and row named); a column for which no estimate exists
        (constant for the normal, all zero for the exponential, singular covariance); statistics
        that overflow or underflow.

    Warns
    -----
    ConvergenceWarning
        A family with numerical derivatives whose likelihood rises towards an edge of its parameter
        space: it has no standard errors there.

    Notes
    -----
    eq. mle-asymptotic-normality. Everything but robust errors comes from stored sufficient
    statistics, which merge: `partial_fit` on the parts of a table is as good as `fit` on the
    whole. Until the rows seen determine the parameters, `partial_fit` leaves the estimator not
    fitted.

    The likelihood of some families has no summary smaller than the rows: Laplace, Cauchy, Student's
    t, (log-)logistic, Gumbel, Weibull, censored or truncated rows and distributions of scipy.stats.
    Their fitted estimators keep the whole table, and so do their pickles, if not `keep_rows`.

    A column of zeros or ones (Bernoulli) or zeros (Poisson) is fitted on the boundary: it has
    intervals by score, profile and exact methods, but no standard errors.

    References
    ----------
    E. L. Lehmann and G. Casella, "Theory of Point Estimation", 2nd edition, Springer, 1998,
    chapter 6.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import MLEDensity
    >>> waits = np.array([[0.3], [1.2], [0.5], [2.0]])
    >>> model = MLEDensity("exponential").fit(waits)
    >>> round(model.params_["rate"], 3), model.confidence_intervals().methods["rate"]
    (1.0, 'exact')
    """

    # scipy's distributions are told apart, and refused by name, in `get_family`
    _parameter_constraints = {
        "family": "no_validation",
        "fixed": [Mapping, None],
        "window": "no_validation",
        "keep_rows": ["boolean"],
    }

    def __init__(
        self,
        family: Any = "normal",
        *,
        fixed: Any = None,
        window: Any = None,
        keep_rows: bool = True,
    ) -> None:
        self.family = family
        self.fixed = fixed
        self.window = window
        self.keep_rows = keep_rows

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that some families take no negative data."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = has_many(self.family)
        tags.input_tags.positive_only = self.__density_tags__().support not in ("real", "circle")
        return tags

    def __density_tags__(self) -> DensityTags:
        """Return the promises of the family."""
        if has_many(self.family):
            return DensityTags(independent_columns=True, mixed_columns=True)
        try:
            family = get_family(self.family)
        except ValueError:  # tags must exist before `fit` refuses the family
            return DensityTags()
        with suppress(TypeError, ValueError):  # and before it learns or misses a constant
            family = self._family("complete") if self.window is None else family
        return DensityTags(
            support=family.support,
            independent_columns=not family.joint,
            equivariance=family.equivariance,
        )

    def _base_measures(self) -> list[str]:
        if not has_many(self.family):
            return super()._base_measures()
        return ["counting" if family.discrete else "Lebesgue" for family in self._families]

    def __sklearn_is_fitted__(self) -> bool:
        """Whether the rows seen so far determine the parameters."""
        return hasattr(self, "params_")

    def _begin_scoring(self, X: Any, *, finite: bool = True, **options: bool) -> np.ndarray:
        if hasattr(self, "_obstacle"):
            raise NotFittedError(f"partial_fit has not seen enough data yet: {self._obstacle}")
        reader = getattr(self, "_reader", None)
        if reader is not None:
            return reader.code(self, as_table(X), holes=not finite, unknown="ignore")
        rows = super()._begin_scoring(as_table(X), finite=finite, **options)
        if not finite:
            check_finite(np.where(np.isnan(rows), 0.0, rows), self._column_names())
        return rows

    def _begin_fit(
        self,
        X: Any,
        sample_weight: Any = None,
        *,
        min_samples: int = 1,
        infinite: bool = False,
        **options: bool,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        many = has_many(self.family)
        numbers = type(X) is np.ndarray and X.dtype.kind not in "OUS"
        self._reader, X = (None, X) if numbers else read_table(as_table(X), self.family)
        rows, weight = super()._begin_fit(
            X, sample_weight, min_samples=min_samples, finite=not (many or infinite), **options
        )
        if many:
            check_finite(np.where(np.isnan(rows), 0.0, rows), self._column_names())
            self._families = families_of(self, rows, weight, self._reader)
        return rows, weight

    def _begin_conditioning(self, given: Any) -> np.ndarray:
        if self._reader is None:
            return super()._begin_conditioning(as_table(given))
        return np.array(self._reader.code(self, as_table(given), holes=True))

    def _to_container(self, rows: np.ndarray, schema: dict[str, Any] | None) -> Any:
        if self._reader is None:
            return super()._to_container(rows, schema)
        return self._reader.written(rows, self._reader.schema, self._reader.dtype)

    @transactional
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        event: Any = None,
        upper: Any = None,
        entry: Any = None,
        exposure: Any = None,
        trials: Any = None,
    ) -> "MLEDensity":
        """Fit the family to X.

        Parameters
        ----------
        X : array-like, data frame or Series of shape (n_samples, n_features)
            Training table, inside the family's support. A Series is a table of one column, and so
            is a ``scipy.stats.CensoredData``.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight w counts its row w times.
        event : array-like of shape (n_samples,) or (n_samples, n_features), default=None
            1 where the value was observed, 0 where it is only known to be larger (right-censored):
            a short form of `upper`.
        upper : array-like of shape (n_samples,) or (n_samples, n_features), default=None
            The value is known to lie in [X, upper]: equal ends were observed, ``X = -inf`` is
            left-censored and ``upper = inf`` right-censored. Families with a distribution function.
        entry : array-like of shape (n_samples,) or (n_samples, n_features), default=None
            A row is in the table because its value is larger than this (delayed entry, left
            truncation).
        exposure : array-like of shape (n_samples,) or (n_samples, n_features), default=None
            Poisson and negative binomial counts have the mean ``exposure * mu``; `params_` and the
            fitted distribution are those of an exposure of one.
        trials : array-like of shape (n_samples,) or (n_samples, n_features), default=None
            Binomial counts are successes in that many trials; the fitted distribution is that of
            one trial.

        Returns
        -------
        self : MLEDensity
            The fitted estimator.
        """
        with fit_task(self, X=X, y=y, sample_weight=sample_weight):
            if not has_many(self.family):
                get_family(self.family)  # refuse an unknown one before looking at the table
            scheme = Scheme(event, upper, entry, exposure, trials)
            if hasattr(X, "num_censored"):
                X, scheme = read_censored(X, scheme)
            chunks = None if type(X) is np.ndarray else chunks_of(X)
            if chunks is not None:
                return self._fit_stream(chunks, sample_weight)
            family, _, _, statistics = self._read(X, sample_weight, scheme)
            family.check_statistics(statistics, self._column_names())
            self._commit(family, statistics)
        return self

    @available_if(_can_grow)
    @transactional
    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        event: Any = None,
        upper: Any = None,
        entry: Any = None,
        exposure: Any = None,
        trials: Any = None,
    ) -> "MLEDensity":
        """Add the rows of X to those seen so far.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            More rows.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight w counts its row w times.
        event : array-like of shape (n_samples,) or (n_samples, n_features), default=None
            1 where the value was observed, 0 where it is only known to be larger (right-censored):
            a short form of `upper`.
        upper : array-like of shape (n_samples,) or (n_samples, n_features), default=None
            The value is known to lie in [X, upper]: equal ends were observed, ``X = -inf`` is
            left-censored and ``upper = inf`` right-censored. Families with a distribution function.
        entry : array-like of shape (n_samples,) or (n_samples, n_features), default=None
            A row is in the table because its value is larger than this (delayed entry, left
            truncation).
        exposure : array-like of shape (n_samples,) or (n_samples, n_features), default=None
            Poisson and negative binomial counts have the mean ``exposure * mu``; `params_` and the
            fitted distribution are those of an exposure of one.
        trials : array-like of shape (n_samples,) or (n_samples, n_features), default=None
            Binomial counts are successes in that many trials; the fitted distribution is that of
            one trial.

        Returns
        -------
        self : MLEDensity
            The estimator, fitted if the rows seen so far determine the parameters.
        """
        with fit_task(self, X=X, y=y, sample_weight=sample_weight):
            scheme = Scheme(event, upper, entry, exposure, trials)
            seen = getattr(self, "_statistics", None)
            family, _, _, statistics = self._read(X, sample_weight, scheme, seen=seen)
            if seen is not None:
                if self._dropped_rows():
                    raise ValueError(
                        f"partial_fit of the {family.name} family needs the rows seen so far, "
                        "which keep_rows=False drops. Set keep_rows=True and fit again."
                    )
                if plain_fields(statistics).keys() != seen.keys():
                    raise ValueError(
                        "Pass event, or upper and entry, to all calls of partial_fit or to none; "
                        "where every value was observed event is an array of ones, and upper is X."
                    )
                statistics = family.statistics_type(**seen) + statistics
            try:
                family.check_statistics(statistics, self._column_names())
            except ValueError as error:
                self._wait(statistics, str(error))
            else:
                self._commit(family, statistics)
        return self

    def _can_summarize(self) -> bool:
        if has_many(self.family):
            why = "a family per column, which the whole table chooses"
        elif self.window is not None:
            why = "values seen in a window, whose likelihood needs the rows"
        elif "X" in getattr(get_family(self.family).statistics_type, "__dataclass_fields__", {}):
            why = f"the {get_family(self.family).name} family, whose likelihood needs the rows"
        else:
            return True
        raise AttributeError(f"MLEDensity has no sums that add up for {why}. Call fit.")

    def _sums_of(self, X: Any, sample_weight: Any) -> TableSummary:
        twin = bare_copy(self)
        _, rows, _, statistics = twin._read(X, sample_weight, COMPLETE)
        return TableSummary(twin._summary_kind(), len(rows), statistics, fitted_columns(twin))

    def _summary_kind(self) -> str:
        held = {**getattr(self, "_learned_constants", {}), **(self.fixed or {})}
        named = "".join(f", {name}={held[name]}" for name in sorted(held))
        return f"sums of the {get_family(self.family).name} family{named}"

    def _fit_summary(self, total: TableSummary) -> None:
        self.__dict__.update(total.columns)
        total.check_kind(self._summary_kind())
        family = self._family("complete")
        family.check_statistics(total.statistics, self._column_names())
        self._commit(family, total.statistics)

    def _read(
        self, X: Any, sample_weight: Any, scheme: Scheme, *, seen: Any = False
    ) -> tuple[Family, np.ndarray, np.ndarray | None, Any]:
        """Return the family, rows of positive weight, their weights and statistics.

        What `partial_fit` has seen so far, None at first, is `seen`; its columns must be the same.
        """
        complete = self.window is None and all(part is None for part in scheme)
        if not complete and has_many(self.family):
            raise ValueError(
                f"{', '.join(scheme.given) or 'window'} must be None where each column has a "
                "family of its own; fit the column of interest alone."
            )
        growing = seen is not False
        if growing and seen is not None:
            rows = self._more_rows(X, infinite=not complete)
            weight = None if sample_weight is None else check_sample_weight(sample_weight, rows)
        else:
            rows, weight = self._begin_fit(X, sample_weight, infinite=not complete)
            self._learn_constants(rows)
        kind, told = "complete", {}
        if not complete:
            names, window = self._column_names(), self.window
            told = scheme.read(rows, names, get_family(self.family), window, growing=growing)
            kind = next(iter(told))
        family = self._family(kind)
        if weight is not None and not weight.all():  # zero-weight rows are as if absent
            kept = weight > 0
            rows, weight = rows[kept], weight[kept]
            told = {k: v if v is None else v[kept] for k, v in told.items()}
        if kind == "constant" and "trials" in scheme.given:
            self._check_support(get_family("poisson"), rows)  # at most the trials already
        elif kind == "upper":
            check_inside(family, rows, told["upper"], self._column_names())
        else:
            self._check_support(family, rows)
        # a family per column checks its columns itself
        statistics = family.summarize(rows, weight, *told.values())
        if not isinstance(family, ColumnFamilies):
            ends = ("X", "upper", "entry") if kind == "upper" else ()
            check_no_overflow(vars(statistics), "sufficient statistics", but=ends)
        return family, rows, weight, statistics

    def _more_rows(self, X: Any, *, infinite: bool) -> np.ndarray:
        if self._reader is None:
            return validate_table(self, as_table(X), reset=False, finite=not infinite)
        return self._reader.code(self, as_table(X), holes=False)

    def _wait(self, statistics: Any, obstacle: str) -> None:
        for name in ("params_", "loglik_", "n_params_", "n_observations_", "_estimate"):
            self.__dict__.pop(name, None)
        self._statistics = plain_fields(statistics)
        self._obstacle = obstacle

    def _commit(self, family: Family, statistics: Any) -> None:
        """Set all fitted attributes from the statistics."""
        quiet = np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore")
        with quiet, naming_columns(self._column_names()):
            try:
                estimate = family.estimate(statistics)
            except (np.linalg.LinAlgError, ArithmeticError) as error:
                raise ValueError(
                    f"The fit of the {family.name} family overflows or underflows; rescale the "
                    "columns before fitting."
                ) from error
            loglik = float(np.sum(family.log_likelihood(statistics, estimate)))
            public = {name: self._cast(v) for name, v in family.full(estimate).items()}
        endless = {p.name for p in family.parameters if p.may_be_infinite}
        check_no_overflow(estimate | {"log-likelihood": loglik}, "fit", but=endless)
        check_no_overflow(public, f"fit in {self._sample_dtype}", but=endless)
        if family.rounding:  # formulas know their edges
            warn_edge_estimate(family, statistics, estimate, self._column_names())
        self.__dict__.pop("_obstacle", None)
        self._statistics = plain_fields(statistics)  # plain arrays persist anywhere
        if not self.keep_rows and "X" in self._statistics:
            if family.scheme and not getattr(statistics, "is_complete", False):
                raise ValueError("keep_rows must be True where rows are not plain values.")
            self._statistics = {"n": statistics.n}
        self._estimate = estimate
        self.params_ = self._public(public)
        self.loglik_ = loglik
        d = self.n_features_in_
        self.n_params_ = sum(len(family.free_entries(name, d)[0]) for name in estimate)
        self.n_observations_ = float(statistics.n)

    def _cast(self, value: np.ndarray) -> np.ndarray:
        """Return `value` in the floating dtype of the training data."""
        single = value.ndim == 1 and len(value) == 1
        cast = value if single else value.astype(self._sample_dtype)
        if ((cast == 0) & (value != 0)).any():
            raise ValueError(
                f"The fit underflows {self._sample_dtype}; rescale the columns, or pass float64."
            )
        return cast

    @in_blocks
    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, -inf outside the support (and where a boundary estimate rules a value out, or
            the log-density overflows). With a family per column, of the values that a row has.
        """
        finite = not has_many(self.family)
        rows = self._begin_scoring(X, finite=finite).astype(np.float64, copy=False)
        family = self._family()
        with np.errstate(all="ignore"):
            log_density = family.log_density(rows, self._estimate)
            total = log_density if log_density.ndim == 1 else log_density.sum(axis=1)
        if not (total < np.inf).all():
            row = int(np.flatnonzero(~(total < np.inf))[0])
            raise ValueError(
                f"The {family.name} family has no finite log-density at row {row}, "
                f"{rows[row].tolist()}: its log_density gives {total[row]}."
            )
        return total

    @available_if(_is_continuous)
    def score_function(self, X: Any) -> np.ndarray:
        """Return the gradient of the log-density with respect to x; continuous families only.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        gradient : ndarray of shape (n_samples, n_features)
            Stein's score; zero outside the support, and the largest number where it overflows.
        """
        rows = self._begin_scoring(X).astype(np.float64, copy=False)
        largest = np.finfo(np.float64).max
        with np.errstate(all="ignore"):
            gradient = self._family().score_function(rows, self._estimate)
            return np.clip(gradient, -largest, largest)

    @takes_level
    def summary(self, level: float = 0.95) -> FitSummary:
        """Return estimates, standard errors and intervals, made to be printed.

        Parameters
        ----------
        level : float, default=0.95
            Confidence level of the intervals (method "auto").

        Returns
        -------
        summary : FitSummary
            Prints as a table; ``.to_frame()`` gives a pandas DataFrame.
        """
        return summarize_fit(self, level)

    def _family(self, kind: str | None = None) -> Family:
        """Return the family that the constructor names, without what is known of it.

        Its likelihood is that of plain rows, "complete", of right-censored ones, "event", or of any
        scheme, "upper"; None: as the fit was.
        """
        if has_many(self.family):
            return ColumnFamilies(self._column_names(), self._families)
        if kind is None:
            known = getattr(self, "_statistics", {})
            kind = next((each for each in KINDS if each in known), "complete")
        window = None
        if self.window is not None:
            kind, window = "upper", read_window(self.window, self._column_names())
        learned = getattr(self, "_learned_constants", {})
        fixed = {**learned, **self.fixed} if learned and self.fixed else learned or self.fixed
        if kind == "constant" and get_family(self.family).name == "binomial":
            fixed = {**(fixed or {}), "n": 1}  # the rows have theirs
        return resolve_family(
            self.family,
            fixed,
            censored=kind == "event",
            scheme=kind == "upper",
            exposed=kind == "constant",
            window=window,
        )

    def _learn_constants(self, rows: np.ndarray) -> None:
        """Remember the constants that the rows tell and the constructor does not."""
        if has_many(self.family):  # its columns have learnt them
            return
        learned = get_family(self.family).learn_constants(rows)
        given = self.fixed or {}
        self._learned_constants = {k: v for k, v in learned.items() if k not in given}

    def _public(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return floats for one column of an independent family, arrays otherwise."""
        if self._family().joint:
            return dict(values)
        return {
            name: value
            if len(value) > 1
            else value[0]
            if value.dtype == object or value.ndim > 1
            else float(value[0])
            for name, value in values.items()
        }

    def _check_support(self, family: Family, rows: np.ndarray) -> None:
        if family.support != "real":  # finite already
            model = f"The {family.name} family"
            inside, words = family.inside(rows), family.describe_support()
            check_inside_support(rows, inside, words, self._column_names(), model=model)

    def _parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        family, d = self._family(), self.n_features_in_
        if isinstance(family, ColumnFamilies):
            family.refuse()
        return {p.name: (d,) * len(family.free_entries(p.name, d)) for p in family.parameters}

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        return self._family().sample(self._estimate, n_samples, rng)

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        family = self._family()
        holes = np.isnan(given)
        inside = family.inside(np.where(holes, 0.0, given)) | holes
        model = f"The {family.name} family"
        check_inside_support(
            given, inside, family.describe_support(), self._column_names(), model=model
        )
        return family.sample_given(self._estimate, given, n_samples, rng)

    def _begin_test(
        self, X: Any, sample_weight: Any, scheme: Scheme = COMPLETE
    ) -> tuple[Family, np.ndarray, np.ndarray | None, Any]:
        """Return the family, float64 rows of positive weight, their weights and statistics."""
        if hasattr(X, "num_censored"):
            X, scheme = read_censored(X, scheme)
        family, rows, weight, statistics = self._read(X, sample_weight, scheme)
        return family, rows.astype(np.float64, copy=False), weight, statistics
