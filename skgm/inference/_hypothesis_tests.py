"""Score, likelihood-ratio and Wald tests of hypotheses about parameters."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
from sklearn.base import clone

from skgm._numerics.sandwich import inverse_information, meat, sandwich, total_weight
from skgm.inference._likelihood.nulls import check_off_edge, flat_values, read_null
from skgm.inference._likelihood.statistics import linear_quadratic
from skgm.inference._mle import MLEDensity
from skgm.inference._problem import (
    CORRECTIONS,
    Problem,
    check_correction,
    check_events_given,
    family_null,
    mean_ratio,
    modified_root,
    side,
)
from skgm.inference._results import TestResult, check_alternative, outcome
from skgm.inference._statsmodels.adapters import is_statsmodels_result
from skgm.inference._statsmodels.tests import (
    check_no_event,
    model_likelihood_ratio_test,
    model_score_test,
    model_wald_test,
)

__all__ = [
    "check_no_groups",
    "likelihood_ratio_test",
    "own_statistics_first",
    "score_test",
    "wald_test",
]


# Estimators with test statistics of their own, which the public tests hand over to.

Test = TypeVar("Test", bound=Callable[..., Any])


def own_statistics_first(name: str) -> Callable[[Test], Test]:
    """Decorate a public test: estimators with `_hypothesis_test` answer it themselves.

    They get the name of the test, X, null and the keyword arguments that the user gave.
    """

    def decorate(function: Test) -> Test:
        @wraps(function)
        def test(estimator: Any, X: Any = None, null: Any = None, **options: Any) -> Any:
            if not hasattr(estimator, "_hypothesis_test"):
                return function(estimator, X, null, **options)
            check_no_event(options.pop("event", None))
            check_no_groups(options.pop("groups", None))
            return estimator._hypothesis_test(name, X, null, **options)

        return cast(Test, test)  # type checkers keep the signature of the test

    return decorate


def check_no_groups(groups: Any) -> None:
    """Raise for clusters of rows, which only statsmodels results take."""
    if groups is not None:
        raise ValueError("groups is for statsmodels results; leave it out.")


@own_statistics_first("score")
def score_test(
    estimator: Any,
    X: Any = None,
    null: Any = None,
    *,
    robust: bool = False,
    alternative: str = "two-sided",
    sample_weight: Any = None,
    event: Any = None,
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
    null : dict of str to float or array-like, (R, q), or smaller model
        Values by parameter name: a number stands for every column; NaN entries of an array are
        not restricted. Or a matrix (r, k) and a vector (r,) for R theta = q, theta being all
        parameters in the order of ``params_``, columns within parameters. Or a smaller model.
        All restrictions are tested jointly. Multivariate normal: any entries or linear functions
        of "mean"; "covariance" in full, or zeros that separate groups of columns (NaN elsewhere).
    robust : bool, default=False
        Use the sandwich covariance of the score: right also where the model is not, and where
        columns of an independent family depend on each other.
    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        For one restriction: whether the parameter, or R theta, is greater or less than the null
        says. The statistic then is the signed root of the two-sided one, standard normal.
    sample_weight : array-like of shape (n_samples,), default=None
        A weight w counts its row w times.
    event : array-like of shape (n_samples,) or (n_samples, n_features), default=None
        1 where a value was observed, 0 where it is right-censored; as in :meth:`MLEDensity.fit`.
    groups : array-like of shape (n_samples,), default=None
        For statsmodels results and ``robust=True``: clusters of rows that may depend on each
        other, whose scores are summed in the sandwich.

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
    D. R. Cox and D. V. Hinkley, "Theoretical Statistics", Chapman and Hall, 1974, section 9.3.

    Examples
    --------
    >>> from skgm import MLEDensity, score_test
    >>> X = [[1.0]] * 30 + [[0.0]] * 70
    >>> result = score_test(MLEDensity("bernoulli"), X, {"p": 0.5})
    >>> round(result.statistic, 3), result.df
    (16.0, 1)
    """
    if is_statsmodels_result(estimator):
        check_no_event(event)
        options: dict[str, Any] = {"robust": robust, "groups": groups, "alternative": alternative}
        return model_score_test(estimator, null, X, sample_weight, **options)
    check_no_groups(groups)
    problem = Problem(estimator, X, null, sample_weight, "score_test", alternative, event)
    if problem.on_edge:
        check_off_edge(problem.null, "A robust score_test", "score_test", refused=robust)
        return problem.limit_score()
    params = problem.restricted()
    if robust:
        statistic = problem.robust_score_statistic(params)
    else:
        statistic = float(np.sum(problem.score_statistic(params)))
    method = "robust score" if robust else "score"
    return problem.result(statistic, method, params, sign=problem.direction(params))


@own_statistics_first("likelihood_ratio")
def likelihood_ratio_test(
    estimator: Any,
    X: Any = None,
    null: Any = None,
    *,
    correction: str | None = None,
    alternative: str = "two-sided",
    sample_weight: Any = None,
    event: Any = None,
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
    null : dict of str to float or array-like, (R, q), or smaller model
        As in :func:`score_test`. A smaller model has more `fixed` parameters, or a family nested
        in that of `estimator` (exponential in gamma and Weibull, Rayleigh in Weibull, Cauchy and
        normal in Student's t, Poisson in negative binomial, independent normal columns in the
        multivariate normal).
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
    if is_statsmodels_result(estimator):
        check_no_event(event)
        return model_likelihood_ratio_test(
            estimator, null, X, sample_weight, correction=correction, alternative=alternative
        )
    if correction not in CORRECTIONS:
        allowed = ", ".join(map(repr, CORRECTIONS))
        raise ValueError(f"correction must be one of {allowed}; got {correction!r}.")
    problem = Problem(
        estimator, X, null, sample_weight, "likelihood_ratio_test", alternative, event
    )
    check_correction(correction, event)
    estimate = problem.estimate()
    best = problem.family.log_likelihood(problem.statistics, estimate)
    problem.check_options_on_edge(correction)
    if problem.on_edge:
        params, height = problem.limit(estimate, best)
    else:
        params = problem.restricted()
        height = problem.family.log_likelihood(problem.statistics, params)
    statistic = 2 * float(np.sum(np.maximum(best - height, 0.0)))  # rounding may leave -1e-16
    sign = problem.distance(estimate)
    if correction == "bartlett":
        mean = mean_ratio(problem.family, problem.statistics.n, problem.null, params)
        statistic *= problem.df / mean
    elif correction == "rstar":
        root = modified_root(problem.family, problem.rows, problem.weight, problem.null)
        statistic, sign = root**2, float(np.sign(root))
    return problem.result(statistic, "likelihood ratio", params, sign=sign, correction=correction)


@own_statistics_first("wald")
def wald_test(
    estimator: Any,
    X: Any = None,
    null: Any = None,
    *,
    robust: bool = False,
    alternative: str = "two-sided",
    sample_weight: Any = None,
    event: Any = None,
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
    null : dict of str to float or array-like, (R, q), or smaller model
        As in :func:`score_test`, and any entries or linear functions of every parameter; of a
        symmetric matrix, theta holds the lower triangle row by row.
    robust : bool, default=False
        Use the sandwich for V: right also where the model is not. Estimators whose estimating
        functions are not scores of a likelihood allow nothing else.
    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        For one restriction: whether the parameter, or R theta, is greater or less than the null
        says. The statistic then is the signed root of the two-sided one, standard normal.
    sample_weight : array-like of shape (n_samples,), default=None
        A weight w counts its row w times.
    event : array-like of shape (n_samples,) or (n_samples, n_features), default=None
        1 where a value was observed, 0 where it is right-censored; as in :meth:`MLEDensity.fit`.
    groups : array-like of shape (n_samples,), default=None
        For statsmodels results and ``robust=True``: clusters of rows that may depend on each
        other, whose scores are summed in the sandwich.

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
    eq. wald-test.

    References
    ----------
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
    if is_statsmodels_result(estimator):
        check_no_event(event)
        options: dict[str, Any] = {"robust": robust, "groups": groups, "alternative": alternative}
        return model_wald_test(estimator, null, X, sample_weight, **options)
    check_no_groups(groups)
    if not hasattr(estimator, "_estimating_functions"):
        raise TypeError(
            f"wald_test needs an estimator with estimating functions (a ParametricDensity that "
            f"writes _estimating_functions); got {type(estimator).__name__}."
        )
    if not robust and not estimator._bread_is_information:
        raise ValueError(
            f"{type(estimator).__name__} does not maximize a likelihood, so only the sandwich "
            "covariance is right: pass robust=True."
        )
    given = {"sample_weight": sample_weight, "event": event}
    weighting = {name: value for name, value in given.items() if value is not None}
    check_events_given(estimator, event)
    fitted = clone(estimator).fit(X, **weighting)
    shapes = fitted._parameter_shapes()
    if isinstance(fitted, MLEDensity):
        hypothesis = family_null(fitted, fitted._family(), null, shapes)
    else:
        hypothesis = read_null(null, shapes, fitted._column_names())
    check_off_edge(hypothesis, "wald_test")
    fitted._check_wald(hypothesis.values)
    matrix, target = hypothesis.rows
    check_alternative(alternative, len(matrix))
    rows, weight = fitted._check_inference_data(X, sample_weight)
    psi, bread = fitted._estimating_functions(rows)
    n = total_weight(psi, weight)
    covariance = sandwich(bread, meat(psi, weight), n) if robust else inverse_information(bread, n)
    estimate = flat_values(fitted._wald_estimate())
    statistic = linear_quadratic(matrix @ estimate - target, covariance, matrix)
    sign = side(hypothesis, estimate) if len(matrix) == 1 else None
    method = "robust Wald" if robust else "Wald"
    shown, df = hypothesis.shown, len(matrix)
    return outcome(statistic, df, method, shown, sign=sign, alternative=alternative)
