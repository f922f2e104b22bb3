"""Score, likelihood-ratio and Wald tests of hypotheses about parameters."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from skgm._numerics.sandwich import inverse_information, meat, sandwich, total_weight
from skgm.base import DensityEstimator
from skgm.inference._function_null import FunctionNull
from skgm.inference._likelihood.nulls import check_off_edge, flat_values, read_null
from skgm.inference._likelihood.statistics import (
    Law,
    WaldNull,
    check_alternative,
    chi2_of_f,
    in_range,
    linear_quadratic,
)
from skgm.inference._mle import MLEDensity
from skgm.inference._observations import Scheme
from skgm.inference._problem import FamilyNull, check_scheme_given, family_null
from skgm.inference._results import TestResult
from skgm.inference._robust import group_codes, linked_gap, robust_law
from skgm.inference._statsmodels.adapters import is_statsmodels_result
from skgm.inference._statsmodels.tests import compare_fits, is_between_fits, model_null
from skgm.inference.families import get_family
from skgm.inference.families._registry import has_many

__all__ = [
    "EstimatedNull",
    "likelihood_ratio_test",
    "score_test",
    "wald_test",
]


def score_test(
    estimator: Any,
    X: Any = None,
    null: Any = None,
    *,
    of: Any = None,
    robust: bool = False,
    alternative: str = "two-sided",
    sample_weight: Any = None,
    event: Any = None,
    upper: Any = None,
    entry: Any = None,
    exposure: Any = None,
    trials: Any = None,
    groups: Any = None,
) -> TestResult:
    r"""Test a null hypothesis by the slope of the likelihood at the restricted estimate.

    .. math:: S = U(\tilde\theta)^\top I(\tilde\theta)^{-1} U(\tilde\theta)

    U is the total parameter score and I the total expected information, both at the estimate
    restricted by the null. Only the restricted fit is needed, so the test also works where the
    full estimate lies on the boundary or does not exist. Of the three tests its size is nearest
    the nominal one in small samples; it is unchanged by reparametrization.

    Parameters
    ----------
    estimator : MLEDensity, NCEDensity or statsmodels result
        The model, fitted or not: it is fitted to X anew, and `estimator` is not changed. Or what
        `fit` of a statsmodels model returned, see :func:`confidence_intervals`.
    X : array-like or data frame of shape (n_samples, n_features), default=None
        The data; None for a statsmodels result, which holds its own.
    null : dict of str to float or array-like, str, (R, q), or smaller model
        Values by parameter name: a number stands for every column; NaN entries of an array are
        not restricted. Or equations, such as ``"x1 = 0, x2 - 2 * x3 = 1"``. Or a matrix (r, k) and
        a vector (r,) for R theta = q, theta being all parameters in the order of ``params_``,
        columns within parameters. Or a smaller model.
        All restrictions are tested jointly. Multivariate normal: any entries or linear functions
        of "mean"; "covariance" in full, or zeros that separate groups of columns (NaN elsewhere).
    of : callable, str, tuple or dict of one of these, default=None
        A smooth function of the parameters that the null is about, as in `confidence_intervals`:
        ``of=lambda p: p["shape"] * p["scale"]`` and ``null=6.0``. The names "mean", "median" and
        ``("quantile", 0.9)`` may stand in the null itself: ``{"mean": 6.0}``.
    robust : bool, default=False
        Use the sandwich covariance of the score: right also where the model is not, and where
        columns of an independent family depend on each other. For families with leverages,
        Student's t and, for one restriction, the skewness of the scores removed [1]_.
    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        For one restriction: whether the parameter, or R theta, is greater or less than the null
        says. The statistic then is the signed root of the two-sided one, standard normal.
    sample_weight : array-like of shape (n_samples,), default=None
        A weight w counts its row w times.
    event : array-like of shape (n_samples,) or (n_samples, n_features), default=None
        1 where a value was observed, 0 where it is right-censored; as in :meth:`MLEDensity.fit`.
    upper, entry : array-like of shape (n_samples,) or (n_samples, n_features), default=None
        The value lies in [X, upper], and is in the table because it is larger than `entry`; as
        there.
    exposure, trials : array-like of shape (n_samples,) or (n_samples, n_features), default=None
        Constants of Poisson and binomial rows, as there.
    groups : array-like of shape (n_samples,), default=None
        For ``robust=True``: clusters of rows that may depend on each other, whose scores are
        summed in the sandwich. For families of independent columns and statsmodels results.

    Returns
    -------
    result : TestResult
        With degrees of freedom equal to the number of restrictions.

    Raises
    ------
    ValueError
        A null with an unknown name, a wrong shape, or values outside the parameter space; data
        outside the support.
    TypeError
        An estimator without a likelihood of its own; use :func:`wald_test`.

    Notes
    -----
    eq. score-test. Parameters that the null leaves free enter through the efficient score, at
    the expected information under the null; of right-censored rows, whose expected information
    depends on unknown censoring times, at the predictable variation of the score. At an infinite
    df of Student's t or size of the negative binomial it is one-sided (half a chi-square); with
    ``{"kappa": 0}`` of the von Mises family it is Rayleigh's test of uniform angles, with two
    degrees of freedom a column.

    References
    ----------
    .. [1] P. Hall, "On the removal of skewness by transformation", Journal of the Royal
       Statistical Society B 54, 1992.

    D. R. Cox and D. V. Hinkley, "Theoretical Statistics", Chapman and Hall, 1974, section 9.3.

    Examples
    --------
    >>> from skgm import MLEDensity, score_test
    >>> X = [[1.0]] * 30 + [[0.0]] * 70
    >>> result = score_test(MLEDensity("bernoulli"), X, {"p": 0.5})
    >>> round(result.statistic, 3), result.df
    (16.0, 1)
    """
    data = Data(X, sample_weight, Scheme(event, upper, entry, exposure, trials), groups)
    tested = _null_about(estimator, data, (null, of), "score", alternative, robust)
    result: TestResult = tested.score(robust=robust)
    return result


def likelihood_ratio_test(
    estimator: Any,
    X: Any = None,
    null: Any = None,
    *,
    of: Any = None,
    correction: str | None = None,
    alternative: str = "two-sided",
    sample_weight: Any = None,
    event: Any = None,
    upper: Any = None,
    entry: Any = None,
    exposure: Any = None,
    trials: Any = None,
) -> TestResult:
    r"""Test a null hypothesis by the fall of the log-likelihood that it costs.

    .. math:: W = 2 \{\ell(\hat\theta) - \ell(\tilde\theta)\}

    Unchanged by reparametrization; needs both fits. In small samples it rejects too often (20 %
    at a nominal 5 % for the independence of four normal columns and ten rows), which the
    corrections mend.

    Parameters
    ----------
    estimator : MLEDensity, NCEDensity or statsmodels result
        The model, fitted or not: it is fitted to X anew, and `estimator` is not changed. Or what
        `fit` of a statsmodels model returned, see :func:`confidence_intervals`.
    X : array-like or data frame of shape (n_samples, n_features), default=None
        The data; None for a statsmodels result, which holds its own.
    null : dict of str to float or array-like, str, (R, q), or smaller model
        As in :func:`score_test`. A smaller model has more `fixed` parameters, or a family nested
        in that of `estimator` (exponential in gamma and Weibull, Rayleigh in Weibull, Cauchy and
        normal in Student's t, Poisson in negative binomial, independent normal columns in the
        multivariate normal).
    of : callable, str, tuple or dict of one of these, default=None
        A smooth function of the parameters that the null is about, as in :func:`score_test`.
    correction : {None, "bartlett", "rstar"}, default=None
        "bartlett" divides the statistic by its mean under the null (per restriction); continuous
        families. "rstar" takes the modified signed root, for one parameter of one column: the
        only one that is right on each side, so prefer it for one-sided tests.
    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        For one restriction: whether the parameter, or R theta, is greater or less than the null
        says. The statistic then is the signed root of the two-sided one, standard normal.
    sample_weight : array-like of shape (n_samples,), default=None
        A weight w counts its row w times.
    event : array-like of shape (n_samples,) or (n_samples, n_features), default=None
        1 where a value was observed, 0 where it is right-censored; as in :meth:`MLEDensity.fit`.
    upper, entry : array-like of shape (n_samples,) or (n_samples, n_features), default=None
        The value lies in [X, upper], and is in the table because it is larger than `entry`; as
        there.
    exposure, trials : array-like of shape (n_samples,) or (n_samples, n_features), default=None
        Constants of Poisson and binomial rows, as there.

    Returns
    -------
    result : TestResult
        With degrees of freedom equal to the number of restrictions.

    Raises
    ------
    ValueError
        As in :func:`score_test`, and where no estimate exists.
    TypeError
        An estimator without a likelihood of its own; use :func:`wald_test`.

    Notes
    -----
    eq. likelihood-ratio-test, bartlett, rstar. An infinite df of Student's t or size of the
    negative binomial lies on the edge of the parameter space: half the time the estimate is
    infinite too and the statistic zero, so the p-value is half that of the chi-square (for one
    column, nothing else being restricted). Other edges are refused.

    References
    ----------
    S. S. Wilks, "The large-sample distribution of the likelihood ratio for testing composite
    hypotheses", Annals of Mathematical Statistics 9, 1938. S. G. Self and K.-Y. Liang, "Asymptotic
    properties of maximum likelihood estimators and likelihood ratio tests under nonstandard
    conditions", Journal of the American Statistical Association 82, 1987.

    Examples
    --------
    >>> from skgm import MLEDensity, likelihood_ratio_test
    >>> X = [[1.0]] * 30 + [[0.0]] * 70
    >>> result = likelihood_ratio_test(MLEDensity("bernoulli"), X, {"p": 0.5})
    >>> round(result.statistic, 3), result.df
    (16.457, 1)
    """
    if correction is not None and not isinstance(estimator, MLEDensity):
        raise ValueError(
            f"correction must be None for {type(estimator).__name__}; got {correction!r}."
        )
    scheme = Scheme(event, upper, entry, exposure, trials)
    data, test = Data(X, sample_weight, scheme, None), "likelihood_ratio"
    if of is None and hasattr(null, "params") and is_between_fits(estimator, null):
        data.check_none()
        return compare_fits(estimator, null, alternative)
    tested = _null_about(estimator, data, (null, of), test, alternative, correction=correction)
    result: TestResult = tested.likelihood_ratio()
    return result


def wald_test(
    estimator: Any,
    X: Any = None,
    null: Any = None,
    *,
    of: Any = None,
    robust: bool = False,
    alternative: str = "two-sided",
    sample_weight: Any = None,
    event: Any = None,
    upper: Any = None,
    entry: Any = None,
    exposure: Any = None,
    trials: Any = None,
    groups: Any = None,
) -> TestResult:
    r"""Test a null hypothesis by the distance of the estimate from it.

    .. math:: (C\hat\theta - c)^\top \{C V C^\top\}^{-1} (C\hat\theta - c)

    V is the estimated covariance of the estimate. Works for every estimator with estimating
    functions, and for any subset of parameters, but depends on the parametrization, and in
    small samples it is the least reliable of the three: prefer the others where they exist.

    Parameters
    ----------
    estimator : ParametricDensity, NCEDensity or statsmodels result
        The model, fitted or not: it is fitted to X anew, and `estimator` is not changed. Or what
        `fit` of a statsmodels model returned, see :func:`confidence_intervals`.
    X : array-like or data frame of shape (n_samples, n_features), default=None
        The data; None for a statsmodels result, which holds its own.
    null : dict of str to float or array-like, str, (R, q), or smaller model
        As in :func:`score_test`, and any entries or linear functions of every parameter; of a
        symmetric matrix, theta holds the lower triangle row by row.
    of : callable, str, tuple or dict of one of these, default=None
        A smooth function of the parameters that the null is about, as in :func:`score_test`.
    robust : bool, default=False
        Use the sandwich for V: right also where the model is not. Estimators whose estimating
        functions are not scores of a likelihood allow nothing else. For families it has the scale
        and the corrections of the robust interval, and rejects the values outside it.
    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        For one restriction: whether the parameter, or R theta, is greater or less than the null
        says. The statistic then is the signed root of the two-sided one, standard normal.
    sample_weight : array-like of shape (n_samples,), default=None
        A weight w counts its row w times.
    event : array-like of shape (n_samples,) or (n_samples, n_features), default=None
        1 where a value was observed, 0 where it is right-censored; as in :meth:`MLEDensity.fit`.
    upper, entry : array-like of shape (n_samples,) or (n_samples, n_features), default=None
        The value lies in [X, upper], and is in the table because it is larger than `entry`; as
        there.
    exposure, trials : array-like of shape (n_samples,) or (n_samples, n_features), default=None
        Constants of Poisson and binomial rows, as there.
    groups : array-like of shape (n_samples,), default=None
        For ``robust=True``: clusters of rows that may depend on each other, whose scores are
        summed in the sandwich. For families of independent columns and statsmodels results.

    Returns
    -------
    result : TestResult
        With degrees of freedom equal to the number of restrictions.

    Raises
    ------
    ValueError
        A null with an unknown name, a wrong shape, or values outside the parameter space; an
        estimate on the boundary; `robust=False` where only the sandwich is right.
    TypeError
        An estimator without estimating functions.

    Notes
    -----
    eq. wald-test. V is the inverse of the observed information, the curvature of the
    log-likelihood at the estimate, as in ``standard_errors("observed")`` and in intervals with
    ``method="wald"``: given the data at hand it is the nearer one to the error of the estimate
    [1]_. ``standard_errors()`` defaults to the expected information, which is what intervals on
    transformed scales and the score test use.
    The two are equal in exponential families; elsewhere, and wherever both are estimated, they
    differ by a share of order 1 / sqrt(n).

    References
    ----------
    .. [1] B. Efron and D. V. Hinkley, "Assessing the accuracy of the maximum likelihood estimator:
       observed versus expected Fisher information", Biometrika 65, 1978.

    A. Wald, "Tests of statistical hypotheses concerning several parameters when the number of
    observations is large", Transactions of the American Mathematical Society 54, 1943.

    Examples
    --------
    >>> from skgm import MLEDensity, wald_test
    >>> X = [[1.0]] * 30 + [[0.0]] * 70
    >>> result = wald_test(MLEDensity("bernoulli"), X, {"p": 0.5})
    >>> round(result.statistic, 3), result.df
    (19.048, 1)
    """
    data = Data(X, sample_weight, Scheme(event, upper, entry, exposure, trials), groups)
    tested = _null_about(estimator, data, (null, of), "wald", alternative, robust)
    result: TestResult = tested.wald(robust=robust)
    return result


# From what the user passes to the null hypothesis of one kind of model.


class Data(NamedTuple):
    """The data that a test was given; a statsmodels result holds its own."""

    X: Any
    sample_weight: Any
    scheme: Scheme
    groups: Any

    def check_none(self) -> None:
        """Raise where a statsmodels result was given data beside its own."""
        if self.X is not None or self.sample_weight is not None:
            raise ValueError(
                "X and sample_weight must be None for a statsmodels result: its data and weights "
                "are in it. Write score_test(result, None, null)."
            )
        self.check_plain("a statsmodels result: its data are in it")

    def check_plain(self, what: str) -> None:
        """Raise where values were not seen, for `what` takes seen ones only."""
        for name, value in self.scheme._asdict().items():
            if value is not None:
                raise ValueError(f"{name} must be None for {what}.")


def _null_about(
    estimator: Any,
    data: Data,
    tested: tuple[Any, Any],
    test: str,
    alternative: str,
    robust: bool = False,
    correction: str | None = None,
) -> Any:
    """Return the null hypothesis about an estimator: a WaldNull, or a TestedNull.

    What is tested is the null and the function that it is about, or None.
    """
    null, of = tested
    _check_order(estimator, data.X, null, f"{test}_test")
    if not isinstance(estimator, DensityEstimator) and is_statsmodels_result(estimator):
        data.check_none()
        options: dict[str, Any] = {"robust": robust, "groups": data.groups}
        return model_null(estimator, null, of, test, alternative=alternative, **options)
    if data.groups is not None and not (robust and isinstance(estimator, MLEDensity)):
        raise ValueError(
            "groups is for robust=True of an MLEDensity or a statsmodels result; leave it out."
        )
    if isinstance(estimator, MLEDensity) and of is None:
        of = _of_null(null, estimator.family)
    if of is not None and not isinstance(estimator, MLEDensity):
        raise ValueError(
            f"of is for MLEDensity and statsmodels results, not for {type(estimator).__name__}."
        )
    if hasattr(estimator, "_tested_null"):
        data.check_plain(type(estimator).__name__)
        return estimator._tested_null(data.X, null, alternative, data.sample_weight)
    if test == "wald" and of is None:
        return EstimatedNull(estimator, data, null, alternative, robust)
    details = (data.X, null, data.sample_weight, f"{test}_test", alternative, data.scheme)
    if of is not None:
        return FunctionNull(estimator, of, *details, correction, data.groups)
    return FamilyNull(estimator, *details, correction, data.groups)


def _of_null(null: Any, family: Any) -> Any:
    """Return the functions that a null names without `of`, such as "mean"; None if none.

    `family` is what the constructor of an MLEDensity was given.
    """
    keys = list(null) if isinstance(null, Mapping) else []
    names = [key for key in keys if key in ("mean", "median") or isinstance(key, tuple)]
    if not names or has_many(family):
        return None
    own = {name for p in get_family(family).parameters for name in (p.name, *p.aliases)}
    names = [name for name in names if name not in own]
    if names and len(names) < len(keys):
        raise ValueError(
            f"null holds the function {names[0]!r} beside parameters; test one after the other."
        )
    return names or None


def _check_order(estimator: Any, X: Any, null: Any, test: str) -> None:
    """Raise where arguments were swapped: an estimator has `fit`, a null is a mapping or has it."""
    order = f"the arguments are {test}(estimator, X, null)"
    if not hasattr(estimator, "fit") and not is_statsmodels_result(estimator):
        if hasattr(X, "fit") or hasattr(null, "fit") or is_statsmodels_result(X):
            raise TypeError(
                f"{test} got a {type(estimator).__name__} where the estimator belongs, and the "
                f"estimator after it; {order}."
            )
        raise TypeError(f"estimator must be a model to test; got {type(estimator).__name__}.")
    model = hasattr(X, "fit") or hasattr(X, "params")
    if isinstance(X, Mapping) or (model and not hasattr(X, "columns")):  # which frames may name so
        if null is None:
            raise TypeError(f"{test} got the null where X belongs; {order}. Pass it as null=.")
        raise TypeError(f"{test} got X and null in the wrong order; {order}.")


class EstimatedNull(WaldNull):
    """A null hypothesis about an estimator with estimating functions, fitted to data anew."""

    def __init__(
        self, estimator: Any, data: Data, null: Any, alternative: str, robust: bool
    ) -> None:
        if not hasattr(estimator, "_estimating_functions"):
            raise TypeError(
                "wald_test needs an estimator with estimating functions (a ParametricDensity that "
                f"writes _estimating_functions); got {type(estimator).__name__}."
            )
        if not robust and not estimator._bread_is_information:
            raise ValueError(
                f"{type(estimator).__name__} does not maximize a likelihood, so only the sandwich "
                "covariance is right: pass robust=True."
            )
        told = {"sample_weight": data.sample_weight, **data.scheme._asdict()}
        weighting = {name: value for name, value in told.items() if value is not None}
        check_scheme_given(estimator, data.scheme)
        fresh = clone(estimator)
        if "keep_rows" in fresh.get_params():
            fresh.set_params(keep_rows=True)
        self.fitted = fresh.fit(data.X, **weighting)
        shapes = self.fitted._parameter_shapes()
        if isinstance(self.fitted, MLEDensity):
            null = family_null(self.fitted, self.fitted._family(), null, shapes)
        else:
            null = read_null(null, shapes, self.fitted._column_names())
        check_off_edge(null, "wald_test")
        self.fitted._check_wald(null.values)
        self.null, self.shown = null, null.shown
        self.df, self.alternative = len(null.rows[0]), alternative
        check_alternative(alternative, self.df)
        if getattr(self.fitted, "_statistics", {}).keys() & {
            "event",
            "upper",
            "constant",
        }:  # rows are kept
            self.rows, self.weight = None, self.fitted._statistics["weight"]
        else:
            self.rows, self.weight = self.fitted._check_inference_data(data.X, data.sample_weight)
        self.is_corrected = isinstance(self.fitted, MLEDensity) and not self.fitted._family().joint
        if data.groups is not None and not self.is_corrected:
            raise ValueError("groups is for families of independent columns; leave it out.")
        self.codes = group_codes(data.groups, data.X, data.sample_weight)

    def restrictions(self, fit: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return R (r, k) and q (r,)."""
        return self.null.rows

    def full(self) -> Any:
        """Return the fitted estimator."""
        return self.fitted

    def theta(self, fit: Any) -> np.ndarray:
        """Return the estimates as one vector; what R leaves out may be infinite."""
        theta = flat_values(fit._wald_estimate())
        return np.where((self.restrictions()[0] != 0).any(axis=0), theta, 0.0)

    def wald(self, *, robust: bool = False) -> TestResult:
        """Return the Wald test; the robust one of a family on the scales of its intervals."""
        if not (robust and self.is_corrected):
            return super().wald(robust=robust)
        with in_range():
            law, theta = self.law(self.fitted, robust=True), self.theta(self.fitted)
            n = self.fitted.n_observations_
            gap, slope = linked_gap(self.fitted._family(), self.null, theta, n)
            restriction = slope[:, None] * self.restrictions()[0]
            statistic = linear_quadratic(gap, law.covariance, restriction)
            statistic = chi2_of_f(statistic, self.df, law.df)
        sign = self._sign(gap) if self.has_sign else None
        return self.result(statistic, "robust Wald", None, sign)

    def law(self, fit: Any, *, robust: bool, at_null: bool = False) -> Law:
        """Return the inverse information, or the sandwich."""
        psi, bread = fit._estimating_functions(self.rows)
        n = total_weight(psi, self.weight)
        if robust and self.is_corrected:
            return robust_law(psi, bread, self.weight, self.restrictions()[0], self.codes)
        if robust:
            return Law(sandwich(bread, meat(psi, self.weight), n))
        return Law(inverse_information(bread, n))
