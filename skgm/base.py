"""The contract that every density in skgm keeps, and the base class that does its bookkeeping."""

import inspect
from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, TypeVar, cast

import narwhals as nw
import numpy as np
from sklearn.base import DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skgm._monitor import FitMonitor
from skgm._numerics.blocks import row_blocks
from skgm._random import as_generator
from skgm._sklearn import (
    CallbackSupportMixin,
    VersionedEstimator,
    check_sample_weight,
    transactional,
)
from skgm._warnings import warn_user
from skgm.tables._columns import table_shape
from skgm.tables._conditions import Conditions, read_conditions
from skgm.tables._frames import frame_schema, keep_index, restore_frame
from skgm.tables._summary import TableSummary, add_summaries, float_blocks, refusing_part
from skgm.tables._validation import (
    DISCRETE_SUPPORTS,
    check_finite,
    check_n_samples,
    column_names,
    validate_table,
)

__all__ = [
    "DensityEstimator",
    "DensityTags",
    "FitMonitor",
    "TableSummary",
    "in_blocks",
    "transactional",
    "trusted_types",
]

Scores = TypeVar("Scores", bound=Callable[..., np.ndarray])


_ROWS_AT_ONCE = 1 << 15  # scored, or drawn
_FEW_EFFECTIVE = 10.0  # candidates that a completion is picked from


def in_blocks(score_samples: Scores) -> Scores:
    """Decorate `score_samples`: long tables are scored in blocks of rows, in bounded memory.

    Parameters
    ----------
    score_samples : callable
        A method of the fitted estimator and X, for which each row stands by itself.

    Returns
    -------
    score_samples : callable
        The same; of tables up to 32,768 rows bit for bit.
    """

    @wraps(score_samples)
    def wrapper(estimator: Any, X: Any) -> np.ndarray:
        shape = getattr(X, "shape", ())
        if shape and isinstance(shape[0], int) and shape[0] <= _ROWS_AT_ONCE:
            return score_samples(estimator, X)
        if frame_schema(X) is None:
            parts: Any = X if isinstance(X, np.ndarray) and X.ndim == 2 else None
        else:
            parts = nw.from_native(X, eager_only=True)
        if parts is None or len(parts) <= _ROWS_AT_ONCE:
            return score_samples(estimator, X)
        found = np.empty(len(parts))
        try:
            for rows in row_blocks(len(parts), _ROWS_AT_ONCE):
                part = parts[rows] if parts is X else parts[rows].to_native()
                found[rows] = score_samples(estimator, part)
        except ValueError:
            return score_samples(estimator, X)  # its error counts the rows of the whole table
        return found

    return cast(Scores, wrapper)


@dataclass(frozen=True)
class DensityTags:
    """What a density estimator promises beyond the contract; read by ``skgm.testing``.

    Attributes
    ----------
    support : str, default="real"
        "real", "positive", "non-negative", "unit", "circle" (angles > -pi and <= pi), "binary",
        "counts" or "positive-counts": where every value of a training table must lie.
    independent_columns : bool, default=False
        The model multiplies one density per column, so it cannot beat the independent-marginals
        baseline.
    deterministic_fit : bool, default=True
        Two fits on the same data agree whatever `random_state` is.
    score_function_is_gradient : bool, default=True
        `score_function` is the exact gradient of `score_samples` (a learned score need not be).
    equivariance : {"affine", "location-scale", "scale", "none"}, default="none"
        The largest group of maps x -> A x + b under which fitting commutes with change of
        variables: "location-scale" allows a diagonal A, "scale" a diagonal A and b = 0.
    takes_weights : bool, default=True
        The fit can use `sample_weight`, if it has such a parameter. False for a composition one
        of whose parts cannot.
    converts_outside : bool, default=False
        `fit` turns a table with values outside the support into one inside, with a warning,
        where others refuse; all later tables are then turned in the same way.
    mixed_columns : bool, default=False
        Text and integer columns of a data frame are modeled as categories and whole numbers, and
        come back as they were, where others refuse text and return floating numbers.
    smooth : bool, default=True
        The log-density has no jumps inside the support, so that a grid integrates it accurately.
    """

    support: str = "real"
    independent_columns: bool = False
    deterministic_fit: bool = True
    score_function_is_gradient: bool = True
    equivariance: str = "none"
    takes_weights: bool = True
    converts_outside: bool = False
    mixed_columns: bool = False
    smooth: bool = True


def _can_condition(estimator: "DensityEstimator") -> bool:
    return estimator._can_condition()


def _can_summarize(estimator: "DensityEstimator") -> bool:
    return estimator._can_summarize()


class DensityEstimator(DensityMixin, CallbackSupportMixin, VersionedEstimator, metaclass=ABCMeta):
    r"""Base class of generative models with a log-density.

    A subclass writes three methods and inherits the rest of the contract:

    - ``fit(X, y=None, sample_weight=None)`` returns self. It starts with
      ``X, weight = self._begin_fit(X, sample_weight)``, which validates the table, remembers the
      data frame it came in, and gives `weight` as None or float64. `y` is ignored; all fitted
      state is set anew; an integer weight equals that many repetitions of the row.
    - ``score_samples(X)`` returns (n_samples,) float64, the log of a *normalized* density or mass
      in nats, and -inf outside the support. It is a function of the row alone: the same in any
      batch, in any order, and after pickling. It starts with ``X = self._begin_scoring(X)``.
    - ``_draw(n_samples, rng)`` returns (n_samples, n_features): exchangeable rows drawn with the
      numpy Generator `rng`, without changing the estimator.

    Optional members: ``_draw_given(given, n_samples, rng)``, which makes ``sample(given=)`` and
    ``impute`` available; ``_sums_of(X, sample_weight)`` and ``_fit_summary(total)``, which do so
    for ``summarize`` and ``fit_statistics``; ``score_function(X)``, the gradient of the log-density
    with respect to x (Stein's score), for continuous models; ``partial_fit(X, y=None,
    sample_weight=None)``, as good on the parts of a table as one call on the whole;
    ``__density_tags__()``.

    As in all of scikit-learn, ``__init__`` only assigns its arguments. Decorate `fit` with
    :func:`skgm.base.transactional` to have ``_parameter_constraints`` checked and a failed or
    interrupted fit leave the estimator as it was. Check an estimator with
    :func:`skgm.testing.check_density_estimator`.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    log_density_kind_ : {"exact", "estimate", "lower_bound"}
        What `score_samples` returns.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm.base import DensityEstimator
    >>> class UnitExponential(DensityEstimator):
    ...     def fit(self, X, y=None, sample_weight=None):
    ...         X, weight = self._begin_fit(X, sample_weight)
    ...         return self
    ...     def score_samples(self, X):
    ...         X = self._begin_scoring(X).astype(np.float64)
    ...         return np.where(X >= 0, -X, -np.inf).sum(axis=1)
    ...     def _draw(self, n_samples, rng):
    ...         return rng.exponential(size=(n_samples, self.n_features_in_))
    >>> UnitExponential().fit([[1.0], [2.0]]).score([[0.5], [1.5]])
    -1.0
    """

    _parameter_constraints: dict[str, Any] = {}

    def __density_tags__(self) -> DensityTags:
        """Return the promises that decide which density checks apply."""
        return DensityTags()

    @abstractmethod
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "DensityEstimator":
        """Fit the density to the rows of X.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Training table.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight w counts its row w times.

        Returns
        -------
        self : DensityEstimator
            The fitted estimator.
        """

    @abstractmethod
    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, float64; -inf outside the support.
        """

    @abstractmethod
    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, n_features) draws."""

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Return (m * n_samples, n_features) completions of `given`, grouped by row."""
        raise ValueError(
            f"{type(self).__name__} cannot sample conditionally; call sample without `given`."
        )

    def _picked_completions(
        self,
        log_ratio: Callable[[np.ndarray], np.ndarray],
        proposal: Any,
        given: np.ndarray,
        n: int,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Return completions of rows, (m * n, d), by a proposal given what they hold.

        They are picked in proportion to the ratio of the density to the proposal. Rows with few
        effective candidates are warned of, impossible ones refused.
        """
        from skgm._numerics.importance import conditional_resampling

        rows, ess = conditional_resampling(log_ratio, proposal, given, n, rng)
        if (ess == 0).any():
            raise ValueError(
                f"Row {int(np.argmax(ess == 0))} of given holds values at which the density is "
                "zero or too small to tell, so nothing can be drawn given them. Correct the row."
            )
        poor = ess < max(_FEW_EFFECTIVE, n / 4)
        if poor.any():
            warn_user(
                f"Completions of {poor.sum()} of {len(given)} rows come from few effective draws "
                f"of the noise (row {int(np.argmin(ess))}: {ess.min():.1f} for {n} completions), "
                "so they may be too much alike. Choose noise nearer to the data.",
                ConvergenceWarning,
            )
        return rows.reshape(-1, given.shape[1])

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the mean log-density per row.

        A mean, as in GaussianMixture and unlike KernelDensity's sum, so that grid search does not
        depend on the size of the folds.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to score.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the mean.

        Returns
        -------
        score : float
            Weighted mean of :meth:`score_samples`, in nats per row.
        """
        log_density = self.score_samples(X)
        if sample_weight is None:
            return float(np.mean(log_density))
        weight = check_sample_weight(sample_weight, log_density)
        counted = weight > 0  # 0 * -inf would be NaN; a zero-weight row is absent
        return float(np.average(log_density[counted], weights=weight[counted]))

    def sample(self, n_samples: int = 1, random_state: Any = None, *, given: Any = None) -> Any:
        """Draw rows from the fitted density.

        Parameters
        ----------
        n_samples : int or array-like of shape (m,), default=1
            Number of rows; with `given`, number of completions of each of its rows, the same for
            all or one for each.
        random_state : None, int, RandomState or Generator, default=None
            None draws fresh rows at each call; an int reproduces. The estimator never changes.
        given : array-like or data frame of shape (m, n_features), dict or Series, default=None
            Observed values, NaN where values are to be drawn conditionally on the others. Only
            for models that can (the others raise). A frame may have some of the columns; a dict
            has a value, or a list of values, for some of them; a Series is a row of a frame, or
            what `value_counts` returns: how many rows to draw for each condition.

        Returns
        -------
        rows : ndarray or data frame of shape (n_samples, n_features)
            In random order, with the floating dtype of the training data; a data frame with the
            same columns where `fit` saw one. With `given`: (m * n_samples, n_features), grouped
            by row of `given`, observed values bit for bit; a pandas frame keeps its index.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            `n_samples` < 1, an unusable `random_state`, or `given` of the wrong shape, with
            infinite values, or for a model without conditional sampling.
        """
        check_is_fitted(self)
        rng = as_generator(random_state)
        if given is None:
            n_samples = check_n_samples(n_samples)
            return self._to_container(self._draw_rows(n_samples, rng), self._frame_schema)
        conditions = self._read_conditions(given, n_samples)
        observed = self._begin_conditioning(conditions.table)
        drawn = self._draw_given(observed, conditions.times, rng)
        rows = np.repeat(observed, conditions.times, axis=0)
        missing = np.isnan(rows)
        rows[missing] = drawn[missing]
        completed = self._to_container(rows, conditions.schema)
        return keep_index(completed, conditions.table, conditions.times)

    def _draw_rows(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws in the dtype of the training table, in blocks of bounded memory."""
        with np.errstate(over="ignore"):  # an overflow is reported by _to_container
            if n_samples <= _ROWS_AT_ONCE:
                return self._draw(n_samples, rng).astype(self._sample_dtype, copy=False)
            drawn = np.empty((n_samples, self.n_features_in_), dtype=self._sample_dtype)
            for rows in row_blocks(n_samples, _ROWS_AT_ONCE):
                drawn[rows] = self._draw(rows.stop - rows.start, rng)
        return drawn

    def _read_conditions(self, given: Any, n_samples: Any) -> Conditions:
        if np.ndim(n_samples) == 0:
            n_samples = check_n_samples(n_samples)
        labels = self._column_labels_in_order()
        return read_conditions(given, n_samples, labels, self._fitted_schema())

    @available_if(_can_condition)
    def impute(self, X: Any, random_state: Any = None) -> Any:
        """Fill the NaN of X with one draw from the model given the observed values.

        Parameters
        ----------
        X : array-like or data frame of shape (m, n_features)
            Rows with NaN where values are missing.
        random_state : None, int, RandomState or Generator, default=None
            As in :meth:`sample`.

        Returns
        -------
        rows : ndarray or data frame of shape (m, n_features)
            X with its NaN filled; ``sample(1, given=X)``.
        """
        return self.sample(1, random_state, given=X)

    @available_if(_can_summarize)
    def summarize(self, X: Any, sample_weight: Any = None) -> TableSummary:
        """Return what the fit needs of the rows of X: sums that add up over the parts of a table.

        The estimator does not change. Rows may be spread over files, processes or machines: add
        the summaries and hand the total to :meth:`fit_statistics`.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Some rows of the training table, or none.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of these rows; all may be zero.

        Returns
        -------
        summary : TableSummary
            Plain and small; ``+`` adds two.
        """
        if table_shape(X)[0] == 0 or (sample_weight is not None and not np.any(sample_weight)):
            return TableSummary(type(self).__name__, 0)
        return self._sums_of(X, sample_weight)

    @available_if(_can_summarize)
    @transactional
    def fit_statistics(self, total: TableSummary) -> "DensityEstimator":
        """Fit to the rows that a summary is of.

        Parameters
        ----------
        total : TableSummary
            Sum of what :meth:`summarize` returned for the parts of the training table.

        Returns
        -------
        self : DensityEstimator
            The fitted estimator, as `fit` to the whole table gives it, up to rounding.
        """
        if not isinstance(total, TableSummary):
            raise TypeError(
                f"total must be a sum of what summarize returns; got a {type(total).__name__}."
            )
        if total.statistics is None:
            raise ValueError("total is the summary of no rows, so there is nothing to fit.")
        self._fit_summary(total)
        return self

    def _can_summarize(self) -> bool:
        """Whether `summarize` is available; may raise an AttributeError that says why it is not."""
        return type(self)._sums_of is not DensityEstimator._sums_of

    def _sums_of(self, X: Any, sample_weight: Any) -> TableSummary:
        """Return the summary of one row or more, without changing the estimator."""
        raise NotImplementedError  # not abstract: asked only where `_can_summarize`

    def _fit_summary(self, total: TableSummary) -> None:
        """Set the fitted attributes from the summary of one row or more."""
        raise NotImplementedError  # likewise

    def _fit_stream(self, chunks: Any, sample_weight: Any) -> Any:
        """Fit to the parts of a table, in one pass."""
        try:
            self._can_summarize()
        except AttributeError as error:
            raise ValueError(f"X comes in parts. {error} It takes all rows in one table.") from None
        if sample_weight is not None:
            raise ValueError(
                "sample_weight must be None where X comes in parts. Give each part with its "
                "weights to summarize, add the summaries, and call fit_statistics."
            )

        def summaries() -> Any:
            first: tuple[Any, TableSummary] | None = None
            for number, part in enumerate(chunks):
                blocks = None if first is None else float_blocks(part, first[0])
                try:
                    if first is not None and blocks is not None:
                        # a part like the first: its columns need no second look
                        columns = first[1].columns
                        total = [replace(self.summarize(b), columns=columns) for b in blocks]
                        yield add_summaries(total)
                        continue
                except ValueError:
                    pass  # its error names the columns
                try:
                    summary = self.summarize(part)
                except ValueError as error:
                    raise refusing_part(number, error) from error
                first = (part, summary) if first is None and summary.n_rows else first
                yield summary

        total = add_summaries(summaries())
        return self.fit_statistics(total)

    @property
    def base_measure_(self) -> dict[Any, str]:
        """What the density of each column is a density of: two densities compare only over one.

        "counting" (probabilities of values), "Lebesgue" (densities per unit of the column), or
        both for a column of numbers with point masses: "Lebesgue, and counting at [0.0]".
        """
        check_is_fitted(self)
        return dict(zip(self._column_labels_in_order(), self._base_measures()))

    def _base_measures(self) -> list[str]:
        discrete = self.__density_tags__().support in DISCRETE_SUPPORTS
        return ["counting" if discrete else "Lebesgue"] * self.n_features_in_

    def _fitted_schema(self) -> dict[str, Any] | None:
        """Return the schema of the data frame that `fit` saw, if it saw one."""
        return vars(self).get("_frame_schema")

    def _column_labels_in_order(self) -> list[Any]:
        """Return the labels of the columns as the frame of `fit` has them, or x0, x1, ..."""
        schema = self._fitted_schema()
        return self._column_names() if schema is None else schema["columns"]

    def _can_condition(self) -> bool:
        """Whether `impute` is available; may raise an AttributeError that says why it is not."""
        return type(self)._draw_given is not DensityEstimator._draw_given

    def _column_names(self) -> list[str]:
        return column_names(self, self.n_features_in_)

    def _begin_fit(
        self, X: Any, sample_weight: Any = None, *, min_samples: int = 1, **options: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Validate a training table and remember its columns; return it and its weights or None."""
        array = validate_table(self, X, reset=True, min_samples=min_samples, **options)
        weight = None if sample_weight is None else check_sample_weight(sample_weight, array)
        self._frame_schema = None if type(X) is np.ndarray else frame_schema(X)
        self._sample_dtype = array.dtype.name
        self.log_density_kind_ = "exact"
        return array, weight

    def _begin_scoring(self, X: Any, **options: bool) -> np.ndarray:
        """Check that the estimator is fitted and return X validated, (n_samples, n_features)."""
        check_is_fitted(self)
        return validate_table(self, X, reset=False, **options)

    def _begin_conditioning(self, given: Any) -> np.ndarray:
        """Return `given` as a fresh float array (m, n_features) whose only holes are NaN."""
        array = np.array(validate_table(self, given, reset=False, finite=False))
        names = getattr(self, "feature_names_in_", [f"x{j}" for j in range(array.shape[1])])
        check_finite(np.where(np.isnan(array), 0.0, array), list(names))
        return array

    def _to_container(self, rows: np.ndarray, schema: dict[str, Any] | None) -> Any:
        """Put drawn rows, (n, d), into the data frame that `schema` describes, if any."""
        if not np.isfinite(rows.sum()) and not np.isfinite(rows).all():  # a sum needs no memory
            raise ValueError(
                f"{type(self).__name__} drew non-finite values: its fitted parameters overflow "
                f"{rows.dtype}. Rescale the columns before fitting."
            )
        if schema is None:
            return rows
        discrete = self.__density_tags__().support in DISCRETE_SUPPORTS
        return restore_frame(rows, schema, discrete=discrete)


def trusted_types() -> list[str]:
    """Return the names of the types that fitted estimators of skgm hold, for `skops.io.load`.

    They are the classes of skgm, and of scikit-learn the trees that boosted densities hold, which
    skops does not trust by itself. A file that holds any other type is still refused.

    Returns
    -------
    names : list of str
        To be passed as ``trusted=``.

    Examples
    --------
    >>> from skgm import trusted_types
    >>> "skgm.mixture._gaussian_mixture.GaussianMixtureDensity" in trusted_types()
    True
    """
    package = import_module("skgm")
    names = {"sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"}
    for found in walk_packages(package.__path__, "skgm."):
        if found.name.rpartition(".")[2] == "__main__":
            continue
        try:
            module = import_module(found.name)
        except ImportError:  # an extra that is not installed, so that no fit can hold its types
            continue
        names.update(
            f"{module.__name__}.{name}"
            for name, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__
        )
    return sorted(names)
