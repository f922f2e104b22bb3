"""Score, likelihood-ratio and Wald tests on the likelihood of another package's model."""

from typing import Any

import numpy as np

from skgm.inference._models._fit import full_fit, restricted_fit
from skgm.inference._models._nested import is_between_fits, nested_loglik, nested_restriction
from skgm.inference._models._null import Restriction, linear_restriction
from skgm.inference._models._protocol import LikelihoodModel, ModelFit, covariance_of
from skgm.inference._models._statsmodels import (
    is_statsmodels_result,
    likelihood_model,
    parameter_names,
    unwrap,
)
from skgm.inference._problem import check_alternative, outcome
from skgm.inference._results import TestResult

__all__ = [
    "model_likelihood_ratio_test",
    "model_score_test",
    "model_wald_test",
    "refuse_event",
    "refuse_unconverged",
    "robust_covariance",
]


def model_score_test(
    result: Any,
    null: Any,
    X: Any = None,
    sample_weight: Any = None,
    *,
    robust: bool = False,
    alternative: str = "two-sided",
) -> TestResult:
    """Test a null by the score at the restricted estimate; the full estimate need not exist.

    Parameters
    ----------
    result : statsmodels result
        A fitted model; its data are in it.
    null : dict, (R, q) or statsmodels result
        Values by name, linear restrictions R theta = q, or a nested fitted regression.
    X, sample_weight : None
        The data are in the result.
    robust : bool, default=False
        Use the sandwich covariance of the score.
    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        For one restriction: on which side of the null the parameter, or R theta, lies.

    Returns
    -------
    outcome : TestResult
    """
    _refuse_data(X, sample_weight)
    model = likelihood_model(result)
    restriction = _restriction(result, model, null)
    check_alternative(alternative, len(restriction.values))
    fit = restricted_fit(model, restriction, model.start)
    with np.errstate(all="ignore"):
        score = model.score(fit.params)
        if robust:
            pull, statistic = _robust_score(model, restriction, fit, score)
        else:
            step = model.covariance(fit.params, expected=True) @ score
            pull, statistic = restriction.matrix @ step, float(score @ step)
    method = "robust score" if robust else "score"
    return _outcome(statistic, method, restriction, pull, alternative, _named(model, fit))


def model_likelihood_ratio_test(
    result: Any,
    null: Any,
    X: Any = None,
    sample_weight: Any = None,
    *,
    correction: str | None = None,
    alternative: str = "two-sided",
) -> TestResult:
    """Test a null by the fall of the log-likelihood.

    Parameters
    ----------
    result, X, sample_weight, alternative
        As in `model_score_test`.
    null : dict, (R, q) or statsmodels result
        As there; also a nested GenericLikelihoodModel, or Poisson in a negative
        binomial model, whose overdispersion is then on the edge of its space: the p-value is that
        of the mixture of chi-squares with 0 and 1 degrees of freedom.
    correction : None
        Corrections are not known for these models.

    Returns
    -------
    outcome : TestResult
    """
    _refuse_data(X, sample_weight)
    if correction is not None:
        raise ValueError(f"correction must be None for a statsmodels result; got {correction!r}.")
    refuse_unconverged(result)
    model = likelihood_model(result)
    best = full_fit(model)
    if is_statsmodels_result(null) and is_between_fits(result, null):
        return _between_fits(best, result, null, alternative)
    restriction = _restriction(result, model, null)
    check_alternative(alternative, len(restriction.values))
    fit = restricted_fit(model, restriction, best.params)
    if fit.loglik > best.loglik + 1e-7 * max(abs(best.loglik), 1.0):
        raise ValueError(
            f"The restricted fit has a higher log-likelihood ({fit.loglik:.6g}) than the full fit "
            f"({best.loglik:.6g}), which is at a local maximum only. Refit with other "
            "start_params."
        )
    statistic = 2 * max(best.loglik - fit.loglik, 0.0)  # rounding may leave -1e-16
    pull = restriction.matrix @ best.params - restriction.values
    restricted = _named(model, fit)
    return _outcome(statistic, "likelihood ratio", restriction, pull, alternative, restricted)


def model_wald_test(
    result: Any,
    null: Any,
    X: Any = None,
    sample_weight: Any = None,
    *,
    robust: bool = False,
    alternative: str = "two-sided",
) -> TestResult:
    """Test a null by the distance of the estimate, with the observed information.

    Parameters
    ----------
    result, null, X, sample_weight, alternative
        As in `model_score_test`.
    robust : bool, default=False
        Use the sandwich covariance of the estimate.

    Returns
    -------
    outcome : TestResult
    """
    _refuse_data(X, sample_weight)
    refuse_unconverged(result)
    model = likelihood_model(result)
    restriction = _restriction(result, model, null)
    check_alternative(alternative, len(restriction.values))
    params = full_fit(model).params
    with np.errstate(all="ignore"):
        covariance = robust_covariance(model, params) if robust else model.covariance(params)
    difference = restriction.matrix @ params - restriction.values
    inner = restriction.matrix @ covariance @ restriction.matrix.T
    statistic = float(difference @ covariance_of(inner) @ difference)
    method = "robust Wald" if robust else "Wald"
    return _outcome(statistic, method, restriction, difference, alternative, {})


def robust_covariance(model: LikelihoodModel, params: np.ndarray) -> np.ndarray:
    """Return the sandwich A^-1 B A^-1 of total scores, (k, k), without a factor for n."""
    rows = model.score_rows(params)
    weight = np.ones(len(rows)) if model.row_weights is None else model.row_weights
    bread = model.covariance(params)
    return bread @ (rows * weight[:, None]).T @ rows @ bread


def _robust_score(
    model: LikelihoodModel, restriction: Restriction, fit: ModelFit, score: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return R A^-1 U and U'A^-1 R' (R V R')^-1 R A^-1 U, V the sandwich at the restricted fit."""
    bread = model.covariance(fit.params)
    step = restriction.matrix @ bread @ score
    inner = restriction.matrix @ robust_covariance(model, fit.params) @ restriction.matrix.T
    return step, float(step @ covariance_of(inner) @ step)


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


def _between_fits(best: ModelFit, result: Any, null: Any, alternative: str) -> TestResult:
    """Return the likelihood ratio of two fits, whose parameters need not be comparable."""
    loglik, df, on_edge = nested_loglik(result, null)
    if alternative != "two-sided":
        raise ValueError("alternative must be 'two-sided' where null is a model of this kind.")
    if loglik > best.loglik + 1e-6 * max(abs(best.loglik), 1.0):
        raise ValueError(
            f"The restricted model has a higher log-likelihood ({loglik:.6g}) than the full one "
            f"({best.loglik:.6g}): it is not nested in it, or the full fit is not the maximum."
        )
    statistic = 2 * max(best.loglik - loglik, 0.0)
    names = parameter_names(result)
    shown = {names[-1]: 0.0} if on_edge else {"free parameters": float(len(names) - df)}
    return outcome(statistic, df, "likelihood ratio", shown, on_edge=on_edge)


def _outcome(
    statistic: float,
    method: str,
    restriction: Restriction,
    pull: np.ndarray,
    alternative: str,
    restricted: dict[str, float],
) -> TestResult:
    """Return the result; `pull` points from the null to the estimate, in R theta."""
    return outcome(
        statistic,
        len(restriction.values),
        method,
        restriction.null,
        sign=float(np.sign(pull[0])) if len(pull) == 1 else None,
        alternative=alternative,
        restricted_params=restricted,
    )


def _named(model: LikelihoodModel, fit: ModelFit) -> dict[str, float]:
    return dict(zip(model.names, fit.params.tolist()))


def _refuse_data(X: Any, sample_weight: Any) -> None:
    if X is not None or sample_weight is not None:
        raise ValueError(
            "X and sample_weight must be None for a statsmodels result: its data and weights are "
            "in it. Write score_test(result, None, null)."
        )


def refuse_event(event: Any) -> None:
    """Raise for right-censored rows, which only families have."""
    if event is not None:
        raise ValueError("event must be None for a statsmodels result: its data are in it.")
