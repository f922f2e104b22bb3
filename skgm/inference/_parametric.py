"""The inference methods that every density with named parameters shares."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm._sklearn import check_sample_weight
from skgm.base import DensityEstimator
from skgm.inference._results import ConfidenceIntervals, parameter_labels, takes_level
from skgm.tables._summary import chunks_of
from skgm.tables._validation import check_level

__all__ = [
    "COVARIANCES",
    "INTERVAL_METHODS",
    "ParametricDensity",
    "check_robust_errors",
    "check_training_table",
    "refusing_overflow",
]

COVARIANCES = ("model", "observed", "robust")
INTERVAL_METHODS = (
    "auto",
    "wald",
    "wald-transformed",
    "score",
    "profile",
    "bartlett",
    "rstar",
    "exact",
    "robust",
    "bootstrap",
)


class ParametricDensity(DensityEstimator):
    """A density whose parameters have names, standard errors and confidence intervals.

    A subclass sets ``params_`` (name -> float or ndarray) in `fit` and writes

    - ``_standard_errors(cov, X, sample_weight)`` -> dict of name -> float or ndarray,
    - ``_intervals(level, method, X, sample_weight)`` -> ``(low, high, methods)``, three dicts with
      the keys of ``params_``; `methods` says what "auto" chose.

    Both get arguments that are already checked; X is an array or None. For the general Wald test
    it also writes ``_estimating_functions(X)`` -> ``(psi, bread)``, (n, k) and (k, k), on the
    parameters flattened in the order of ``params_``; a square matrix there is symmetric and
    contributes its lower triangle, row by row. Where psi is the score of a likelihood, so that
    the bread is the Fisher information, it sets ``_bread_is_information = True``; elsewhere only
    robust tests are right.
    """

    _bread_is_information = False

    params_: dict[str, Any]
    loglik_: float

    @abstractmethod
    def _standard_errors(self, cov: str, X: Any, sample_weight: Any) -> dict[str, Any]:
        """Return one standard error per parameter entry."""

    @abstractmethod
    def _intervals(
        self, level: float, method: str, X: Any, sample_weight: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Return low, high and the method used, per parameter."""

    def standard_errors(
        self, cov: str = "model", *, X: Any = None, sample_weight: Any = None
    ) -> Mapping[str, Any]:
        """Return the standard error of each parameter.

        Parameters
        ----------
        cov : {"model", "observed", "robust"}, default="model"
            "model": from the expected information, right if the model is; "observed": from the
            curvature at the estimate; "robust": the sandwich, right even if the model is not.
        X : array-like of shape (n_samples, n_features), default=None
            The training table, where the stored statistics cannot answer ("robust"). For the
            families of :class:`skgm.MLEDensity` that fit in one pass it may come in parts again,
            as in `fit`: a second pass.
        sample_weight : array-like of shape (n_samples,), default=None
            Its weights, as given to `fit`.

        Returns
        -------
        standard_errors : dict of str to float or ndarray
            Shaped as in ``params_``. NaN for an infinite degrees of freedom (Student's t) or size
            (negative binomial), which has none; the others then are those of the normal or
            Poisson family.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            An unknown `cov`, a missing `X`, or a fit that has no standard errors; the message
            says why.
        """
        check_is_fitted(self)
        _check_choice("cov", cov, COVARIANCES)
        parts = None if X is None or isinstance(X, np.ndarray) else chunks_of(X)
        if cov == "robust" and parts is not None and sample_weight is None:
            with refusing_overflow("covariance"):
                return self._errors_of_parts(parts)
        X, sample_weight = self._check_inference_data(X, sample_weight)
        with refusing_overflow("covariance"):
            return self._standard_errors(cov, X, sample_weight)

    @takes_level
    def confidence_intervals(
        self,
        level: float = 0.95,
        method: str = "auto",
        *,
        X: Any = None,
        sample_weight: Any = None,
        of: Any = None,
        groups: Any = None,
        simultaneous: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> ConfidenceIntervals:
        """Return a confidence interval for each parameter, or for functions of them.

        Parameters
        ----------
        level : float, default=0.95
            Confidence level, strictly between 0 and 1.
        method : str, default="auto"
            "auto" takes the best known for each parameter, never plain Wald for a variance, a
            rate or a proportion. Others: "wald", "wald-transformed" (on the log or logit scale),
            "score", "profile" (likelihood), "bartlett" (profile, rescaled to its mean under the
            null), "rstar" (modified signed root), "exact", "robust" (sandwich, Student's t,
            transformed scale), "bootstrap" (BCa). Not every model has every method.
        X : array-like of shape (n_samples, n_features), default=None
            The training table, where the stored statistics cannot answer ("robust", "bootstrap").
        sample_weight : array-like of shape (n_samples,), default=None
            Its weights, as given to `fit`.
        of : callable, str, tuple, list or dict of these, default=None
            Smooth functions of the parameters, from a dict like ``params_`` to a number (or one
            number per column): ``of=lambda p: p["shape"] * p["scale"]``. By name: "mean",
            "median", ``("quantile", 0.9)``, ``("cdf", 5.0)``, ``("survival", 5.0)``,
            ``("hazard", 5.0)``. Methods: "profile" (and "auto"), "wald" (the delta method).
        groups : array-like of shape (n_samples,), default=None
            For "robust": clusters of rows that may depend on each other. Families of independent
            columns of :class:`skgm.MLEDensity`.
        simultaneous : bool, default=False
            Whether all intervals together hold their parameters with probability `level`: each of
            k is formed at 1 - (1 - level) / k (Bonferroni). Of categories by "score", these are
            Goodman's intervals of multinomial proportions; the first one counts as well.
        random_state : None, int, RandomState or Generator, default=None
            Of the bootstrap.
        n_jobs : int, default=None
            Blocks of resamples of the bootstrap at a time, in threads; the intervals are the same
            for every number. None is one, -1 all cores. Other methods are one vectorized
            computation.

        Returns
        -------
        intervals : ConfidenceIntervals
            Maps a parameter's name to ``(low, high)``.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            A level outside (0, 1), a method that this model does not have, or a missing `X`.
        """
        check_is_fitted(self)
        level = check_level(level)
        _check_choice("method", method, INTERVAL_METHODS)
        if simultaneous:
            options = {"X": X, "sample_weight": sample_weight, "of": of, "groups": groups}
            each = 1 - (1 - level) / self._n_intervals(of)
            options |= {"random_state": random_state, "n_jobs": n_jobs}
            every = self.confidence_intervals(each, method, **options)
            return replace(every, level=level, simultaneous=True)
        codes = self._check_groups(groups, method, X, sample_weight)
        X, sample_weight = self._check_inference_data(X, sample_weight)
        with refusing_overflow("interval"):
            if codes is not None:
                found = self._grouped_intervals(level, X, sample_weight, codes)
            elif of is not None:
                return self._function_intervals(of, level, method)
            elif method == "bootstrap":
                found = self._bootstrap_intervals(level, X, sample_weight, random_state, n_jobs)
            else:
                found = self._intervals(level, method, X, sample_weight)
        low, high, methods = found
        columns = self._column_names()
        estimates = self._interval_estimates()
        labels = {k: parameter_labels(k, v, columns) for k, v in estimates.items()}
        return ConfidenceIntervals(estimates, low, high, level, method, methods, labels)

    def _errors_of_parts(self, parts: Any) -> dict[str, Any]:
        """Return robust standard errors from the parts of the training table."""
        raise ValueError(
            f"{type(self).__name__} needs the training table whole for robust standard errors. "
            "Give one table that has all rows."
        )

    def _bootstrap_intervals(
        self, level: float, X: Any, sample_weight: Any, random_state: Any, n_jobs: int | None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Return what `_intervals` returns, by resampling."""
        raise ValueError(f"{type(self).__name__} has no bootstrap intervals; use method='auto'.")

    def _n_intervals(self, of: Any) -> int:
        """Return how many intervals there will be."""
        if of is None:
            return sum(np.size(value) for value in self._interval_estimates().values())
        several = len(of) if isinstance(of, list | dict) else 1
        return max(several, 1) * self.n_features_in_

    def _check_groups(self, groups: Any, method: str, X: Any, sample_weight: Any) -> Any:
        """Return the number of each row's cluster, or None without groups."""
        if groups is not None:
            raise ValueError(f"groups must be None for {type(self).__name__}; got clusters.")
        return None

    def _grouped_intervals(self, level: float, X: Any, sample_weight: Any, codes: Any) -> Any:
        """Return what `_intervals` returns, robust to rows of a cluster that depend."""
        raise NotImplementedError  # asked only of kinds that take `groups`

    def _function_intervals(self, of: Any, level: float, method: str) -> ConfidenceIntervals:
        """Return intervals of functions of the parameters."""
        raise ValueError(f"{type(self).__name__} has no intervals of functions; of must be None.")

    def _interval_estimates(self) -> dict[str, Any]:
        """Return the parameters that have intervals: those that were estimated."""
        return self.params_

    def _parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes in which `wald_test` reads a null hypothesis."""
        return {name: np.shape(value) for name, value in self.params_.items()}

    def _check_wald(self, null: dict[str, np.ndarray]) -> None:
        """Raise a ValueError where a Wald test of `null` (NaN: free) does not exist."""

    def _wald_estimate(self) -> dict[str, Any]:
        """Return the estimates, shaped as in `_parameter_shapes`."""
        return self.params_

    def _check_inference_data(self, X: Any, sample_weight: Any) -> tuple[Any, Any]:
        if X is None:
            if sample_weight is not None:
                raise ValueError(
                    "sample_weight was given without X; pass the training table as X=."
                )
            return None, None
        finite = not hasattr(self, "_families")  # a family per column skips holes
        X = self._begin_scoring(X, finite=finite).astype(np.float64, copy=False)
        if sample_weight is None:
            return X, None
        weight = check_sample_weight(sample_weight, X)
        return X[weight > 0], weight[weight > 0]  # rows of zero weight are as if absent


@contextmanager
def refusing_overflow(what: str) -> Iterator[None]:
    """Refuse by name what overflows, underflows or is singular, instead of numpy's words for it.

    Parameters
    ----------
    what : str
        What is computed: the subject of the message, in the singular.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except (np.linalg.LinAlgError, ArithmeticError) as error:
        raise ValueError(
            f"The {what} cannot be computed: numbers overflow or underflow, or a matrix is "
            f"singular ({error}). Rescale the columns, or drop those that others determine."
        ) from error


def check_training_table(
    X: Any, sample_weight: Any, n: float, *, what: str = "Robust standard errors"
) -> None:
    """Raise a ValueError unless X is there and stands for as many rows, n, as were fitted."""
    if X is None:
        raise ValueError(
            f"{what} need the training table: pass it as X= (and its weights "
            "as sample_weight=); the stored statistics cannot answer."
        )
    total = len(X) if sample_weight is None else sample_weight.sum()
    if not np.isclose(total, n, rtol=1e-9):
        raise ValueError(
            f"X must be the whole training table, of total weight {n:g}; got {total:g}."
        )


def check_robust_errors(robust: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    """Raise a ValueError where a sandwich error is zero, to rounding, beside the model's."""
    for name, error in robust.items():
        if np.any(np.asarray(error) <= 1e-6 * np.asarray(model[name])):
            raise ValueError(
                f"The robust standard error of {name!r} is zero: the rows vary too little in "
                "what it rests on. Use more rows, or cov='model' (method='auto')."
            )


def _check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}.")
