"""Score, likelihood-ratio and Wald tests on the likelihood of another package's model."""

from typing import Any

import numpy as np
from scipy import stats

from skgm.inference._model_fit import full_fit, restricted_fit
from skgm.inference._model_nested import edge_of_poisson, nested_loglik, nested_restriction
from skgm.inference._model_null import Restriction, linear_restriction
from skgm.inference._model_protocol import Fit, LikelihoodModel, covariance_of
from skgm.inference._results import TestResult
from skgm.inference._statsmodels import is_statsmodels_result, likelihood_model, unwrap

__all__ = [
    "model_likelihood_ratio_test",
    "model_score_test",
    "model_wald_test",
    "refuse_unconverged",
    "robust_covariance",
]


def model_score_test(result: Any, null: Any, *, robust: bool = False) -> TestResult:
    """Test a null by the score at the restricted estimate; the full estimate need not exist.

    Parameters
    ----------
    result : statsmodels result
        A fitted model; its data are in it.
    null : dict, (R, q) or statsmodels result
        Values by name, linear restrictions R theta = q, or a nested fitted regression.
    robust : bool, default=False
        Use the sandwich covariance of the score.

    Returns
    -------
    outcome : TestResult
    """
    model = likelihood_model(result)
    restriction = _restriction(result, model, null)
    fit = restricted_fit(model, restriction, model.start)
    with np.errstate(all="ignore"):
        score = model.score(fit.params)
        if robust:
            statistic = _robust_score(model, restriction, fit, score)
        else:
            information = model.expected_information(fit.params)
            statistic = float(score @ covariance_of(information) @ score)
    return _outcome(statistic, restriction, "robust score" if robust else "score", model, fit)


def model_likelihood_ratio_test(result: Any, null: Any) -> TestResult:
    """Test a null by the fall of the log-likelihood.

    Parameters
    ----------
    result : statsmodels result
        A fitted model; its data are in it.
    null : dict, (R, q) or statsmodels result
        As in `model_score_test`; also a nested GenericLikelihoodModel, or Poisson in a negative
        binomial model, whose overdispersion is then on the edge of its space: the p-value is that
        of the mixture of chi-squares with 0 and 1 degrees of freedom.

    Returns
    -------
    outcome : TestResult
    """
    refuse_unconverged(result)
    model = likelihood_model(result)
    best = full_fit(model)
    if is_statsmodels_result(null):
        found = nested_loglik(result, null)
        if found is not None:
            return _between_fits(best, *found, null, edge_of_poisson(result, null))
    restriction = _restriction(result, model, null)
    fit = restricted_fit(model, restriction, best.params)
    if fit.loglik > best.loglik + 1e-7 * max(abs(best.loglik), 1.0):
        raise ValueError(
            f"The restricted fit has a higher log-likelihood ({fit.loglik:.6g}) than the full fit "
            f"({best.loglik:.6g}), which is at a local maximum only. Refit with other "
            "start_params."
        )
    statistic = 2 * max(best.loglik - fit.loglik, 0.0)  # rounding may leave -1e-16
    return _outcome(statistic, restriction, "likelihood ratio", model, fit)


def model_wald_test(result: Any, null: Any, *, robust: bool = False) -> TestResult:
    """Test a null by the distance of the estimate, with the observed information.

    Parameters
    ----------
    result : statsmodels result
        A fitted model; its data are in it.
    null : dict, (R, q) or statsmodels result
        As in `model_score_test`.
    robust : bool, default=False
        Use the sandwich covariance of the estimate.

    Returns
    -------
    outcome : TestResult
    """
    refuse_unconverged(result)
    model = likelihood_model(result)
    restriction = _restriction(result, model, null)
    params = full_fit(model).params
    with np.errstate(all="ignore"):
        covariance = (
            robust_covariance(model, params)
            if robust
            else covariance_of(model.observed_information(params))
        )
    difference = restriction.matrix @ params - restriction.values
    inner = restriction.matrix @ covariance @ restriction.matrix.T
    statistic = float(difference @ covariance_of(inner) @ difference)
    return _outcome(statistic, restriction, "robust Wald" if robust else "Wald", model, None)


def robust_covariance(model: LikelihoodModel, params: np.ndarray) -> np.ndarray:
    """Return the sandwich A^-1 B A^-1 of total scores, (k, k), without a factor for n."""
    rows = model.score_rows(params)
    weight = np.ones(len(rows)) if model.row_weights is None else model.row_weights
    bread = covariance_of(model.observed_information(params))
    return bread @ (rows * weight[:, None]).T @ rows @ bread


def _robust_score(
    model: LikelihoodModel, restriction: Restriction, fit: Fit, score: np.ndarray
) -> float:
    """Return U'A^-1 R' (R V R')^-1 R A^-1 U with V the sandwich, at the restricted estimate."""
    bread = covariance_of(model.observed_information(fit.params))
    step = restriction.matrix @ bread @ score
    inner = restriction.matrix @ robust_covariance(model, fit.params) @ restriction.matrix.T
    return float(step @ covariance_of(inner) @ step)


def _restriction(result: Any, model: LikelihoodModel, null: Any) -> Restriction:
    if is_statsmodels_result(null):
        return nested_restriction(result, null)
    restriction = linear_restriction(null, model.names)
    single = restriction.fixed_entries
    if single is not None and (restriction.values <= model.lower[single]).any():
        name = model.names[int(single[restriction.values <= model.lower[single]][0])]
        raise ValueError(
            f"null[{name!r}] lies on or beyond the edge of the parameter space, where the "
            "statistics are not chi-square. To test it, pass the smaller model (a fitted Poisson) "
            "as null to likelihood_ratio_test."
        )
    return restriction


def refuse_unconverged(result: Any) -> None:
    """Refuse a fit that says itself that it did not converge."""
    inner = unwrap(result)
    details = getattr(inner, "mle_retvals", None)
    converged = getattr(inner, "converged", True)
    if isinstance(details, dict):
        converged = details.get("converged", converged)
    if not converged:
        model = likelihood_model(result)
        if model.infinite_direction(np.eye(len(model.estimate))):
            return  # full_fit explains the separation
        raise ValueError(
            "The fit did not converge. Refit with a larger `maxiter` or another `method`, and "
            "standardise the columns."
        )


def _between_fits(best: Fit, loglik: float, df: int, null: Any, edge: bool) -> TestResult:
    if loglik > best.loglik + 1e-6 * max(abs(best.loglik), 1.0):
        raise ValueError(
            f"The restricted model has a higher log-likelihood ({loglik:.6g}) than the full one "
            f"({best.loglik:.6g}): it is not nested in it, or the full fit is not the maximum."
        )
    statistic = 2 * max(best.loglik - loglik, 0.0)
    pvalue = float(stats.chi2.sf(statistic, df))
    if edge:
        pvalue = pvalue / 2 if statistic > 0 else 1.0
    method = "likelihood ratio, chi-bar-square" if edge else "likelihood ratio"
    description = {"nested": type(unwrap(null).model).__name__}
    return TestResult(statistic, df, pvalue, method, description)


def _outcome(
    statistic: float, restriction: Restriction, method: str, model: LikelihoodModel, fit: Fit | None
) -> TestResult:
    if not np.isfinite(statistic):
        raise ValueError(
            f"The {method} statistic is not finite: data and null are too far apart for floating "
            "point. Standardise the columns, or test a nearer value."
        )
    df = len(restriction.values)
    restricted = {} if fit is None else dict(zip(model.names, fit.params.tolist()))
    pvalue = float(stats.chi2.sf(statistic, df))
    return TestResult(statistic, df, pvalue, method, restriction.null, restricted_params=restricted)
