"""Score, likelihood-ratio and Wald tests on the likelihood of another package's model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.linalg import lstsq, null_space

from skgm.inference._likelihood.fit import check_finite, finite_part, full_fit, restricted_fit
from skgm.inference._likelihood.functions import LinearTarget, function_null, read_targets
from skgm.inference._likelihood.model import LikelihoodModel, ModelFit
from skgm.inference._likelihood.nulls import Restriction, linear_restriction
from skgm.inference._likelihood.separation import infinite_signs
from skgm.inference._likelihood.statistics import Law, TestedNull, check_alternative, outcome
from skgm.inference._likelihood.surfaces import model_surface, profile_at
from skgm.inference._results import TestResult
from skgm.inference._statsmodels.adapters import (
    check_unpenalized,
    is_statsmodels_result,
    likelihood_model,
    parameter_names,
    unwrap,
)
from skgm.inference._statsmodels.covariance import (
    check_likelihood_holds,
    robust_covariance,
    robust_law,
    score_clusters,
)
from skgm.inference._statsmodels.separated import check_covariance_finite

__all__ = [
    "ModelFunctionNull",
    "ModelNull",
    "check_converged",
    "check_groups",
    "compare_fits",
    "is_between_fits",
    "model_null",
    "nested_loglik",
    "nested_restriction",
]


class ModelNull(TestedNull):
    """A null hypothesis about a fitted statsmodels result.

    Parameters
    ----------
    result : statsmodels result
        A fitted model; its data are in it.
    null : dict, (R, q) or statsmodels result
        Values by name, linear restrictions R theta = q, or a nested fitted regression.
    test : {"score", "likelihood_ratio", "wald"}
        Which test it is for.
    robust : bool, default=False
        Use the sandwich covariance.
    groups : array-like of shape (n_rows,), default=None
        Clusters of rows, within which the robust covariance lets the scores depend on each other.
    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        For one restriction: on which side of the null the parameter, or R theta, lies.
    """

    def __init__(
        self,
        result: Any,
        null: Any,
        test: str,
        *,
        robust: bool = False,
        groups: Any = None,
        alternative: str = "two-sided",
    ) -> None:
        if test != "score":  # which needs no full estimate
            check_converged(result)
        self.model, self.groups = likelihood_model(result), groups
        check_groups(groups, robust)
        if test == "likelihood_ratio":
            check_likelihood_holds(self.model, "likelihood_ratio_test", "Use wald_test")
        elif test == "score" and not robust:
            check_likelihood_holds(self.model, "score_test", "Pass robust=True, use wald_test")
        self.clusters = score_clusters(self.model, groups) if test == "score" and robust else None
        self.restriction = self._read(result, null)
        self.df, self.shown = len(self.restriction.values), self.restriction.null
        self.alternative = alternative
        check_alternative(alternative, self.df)

    def _read(self, result: Any, null: Any) -> Restriction:
        return _restriction(result, self.model, null)

    def restrictions(self, fit: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return R (r, k) and q (r,)."""
        return self.restriction.matrix, self.restriction.values

    def full(self) -> ModelFit:
        """Return the unrestricted maximum."""
        return full_fit(self.model)

    def restricted(self, full: ModelFit | None = None) -> ModelFit:
        """Return the restricted maximum, which a score test needs to be finite.

        Raises
        ------
        ValueError
            Its likelihood is higher than that of the full fit.
        """
        if full is None or full.recession is not None:
            fit = restricted_fit(self.model, self.restriction, self.model.start)
        else:
            fit = restricted_fit(self.model, self.restriction, full.params)
        if full is None and fit.recession is not None:
            raise ValueError(
                "The restricted estimate is infinite: under the null, a combination of the columns "
                "still separates the outcomes perfectly. Use likelihood_ratio_test, or restrict "
                "more parameters."
            )
        if full is not None and fit.loglik > full.loglik + 1e-7 * max(abs(full.loglik), 1.0):
            raise ValueError(
                f"The restricted fit has a higher log-likelihood ({fit.loglik:.6g}) than the full "
                f"fit ({full.loglik:.6g}), which is at a local maximum only. Refit with other "
                "start_params."
            )
        return fit

    def theta(self, fit: ModelFit) -> np.ndarray:
        """Return the parameters, (k,)."""
        return fit.params

    def loglik(self, fit: ModelFit) -> float:
        """Return the log-likelihood, or what it tends to."""
        return fit.loglik

    def params(self, fit: ModelFit) -> dict[str, float]:
        """Return the parameters by name."""
        return dict(zip(self.model.names, fit.params.tolist()))

    def slope(self, fit: ModelFit) -> np.ndarray | None:
        """Return the score of the log-likelihood at a restricted fit."""
        return self.model.score(fit.params)

    def step(self, fit: ModelFit, *, robust: bool) -> np.ndarray:
        """Return A^-1 U at a restricted fit."""
        with np.errstate(all="ignore"):
            covariance = self.model.covariance(fit.params, expected=not robust)
            return covariance @ self.model.score(fit.params)

    def information_score(self, fit: ModelFit) -> float:
        """Return U' A^-1 U at a restricted fit."""
        with np.errstate(all="ignore"):
            return float(self.model.score(fit.params) @ self.step(fit, robust=False))

    def law(self, fit: ModelFit, *, robust: bool, at_null: bool = False) -> Law:
        """Return the law of the estimate: of the model, robust, or what the result came with."""
        model = self.model
        with np.errstate(all="ignore"):
            if at_null:
                return Law(robust_covariance(model, fit.params, self.clusters))
            check_covariance_finite(model, fit)
            check_finite(fit, self.restriction.matrix, "wald_test")
            part, params, basis = finite_part(model, fit)
            df = np.inf
            if self.groups is not None or model.stated is not None:
                covariance, df = robust_law(part, params, self.groups)
            else:
                covariance = robust_covariance(part, params) if robust else part.covariance(params)
        return Law(basis @ covariance @ basis.T, df)

    def wald(self, *, robust: bool = False) -> TestResult:
        """Return the Wald test, robust where the result was fitted with `cov_type`."""
        return super().wald(robust=robust or self.model.stated is not None)

    def distance(self, fit: ModelFit) -> np.ndarray:
        """Return R theta - q, infinite where one restriction is of something infinite.

        Raises
        ------
        ValueError
            A side is asked for and the likelihood does not determine the sign.
        """
        pull, rows = super().distance(fit), self.model.one_sided_rows()
        if fit.recession is None or rows is None or len(pull) > 1:
            return pull
        signs = infinite_signs(fit.recession, *rows, self.restriction.matrix[0])
        if len(signs) == 2 and self.alternative != "two-sided":
            raise ValueError(
                f"alternative={self.alternative!r}: the likelihood does not determine the sign of "
                "what the null restricts, which is infinite on either side. Use "
                "alternative='two-sided'."
            )
        return np.array([np.inf * max(signs)]) if signs else pull


def model_null(result: Any, null: Any, of: Any, test: str, **options: Any) -> ModelNull:
    """Return the null about parameters, or about a linear or smooth function `of` of them."""
    if of is None:
        return ModelNull(result, null, test, **options)
    if test == "score":  # which needs a full estimate here: the path to the null begins there
        check_converged(result)
    model = likelihood_model(result)
    fit = full_fit(model)
    if fit.recession is not None:
        raise ValueError(
            "Tests of functions do not exist: an estimate is infinite, as a combination of the "
            "columns separates the outcomes perfectly."
        )
    targets = read_targets(of, model, fit)
    parts = list(of.values()) if isinstance(of, Mapping) else [of]
    wanted = function_null(null, list(targets), parts)
    if wanted.ndim:
        raise ValueError(f"null must be one number for of; got {null!r}.")
    (label, target), value = next(iter(targets.items())), float(wanted)
    if isinstance(target, LinearTarget):
        return ModelNull(result, (target.combination, value), test, **options)
    return ModelFunctionNull(result, (label, target, value), test, **options)


class ModelFunctionNull(ModelNull):
    """A null hypothesis that a smooth function of a result's parameters has a value."""

    def _read(self, result: Any, null: Any) -> Restriction:
        label, self.target, self.wanted = null
        slope = self.target.gradient(self.model.estimate)[None]  # replaced by that of each fit
        return Restriction(slope, np.array([self.wanted]), {label: self.wanted})

    def restrictions(self, fit: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return R and q of the function's tangent at a fit."""
        R = self.target.gradient(fit.params)[None]
        return R, R @ fit.params - self.distance(fit)

    def restricted(self, full: ModelFit | None = None) -> ModelFit:
        """Return the fit at which the function has the value, at the end of its profile path."""
        full = self.full() if full is None else full
        with np.errstate(all="ignore"):
            surface = model_surface(self.model, full, self.target)
            height, params = profile_at(surface, np.array([self.wanted]))
        return ModelFit(params[0], full.loglik + float(height[0]))

    def distance(self, fit: ModelFit) -> np.ndarray:
        """Return the function less its value under the null, (1,)."""
        return np.array([self.target.value(fit.params) - self.wanted])


def compare_fits(result: Any, null: Any, alternative: str) -> TestResult:
    """Return the likelihood ratio of two fits, whose parameters need not be comparable."""
    check_converged(result)
    model = likelihood_model(result)
    check_likelihood_holds(model, "likelihood_ratio_test", "Use wald_test")
    best = full_fit(model)
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


def check_converged(result: Any) -> None:
    """Refuse a fit that says itself that it did not converge."""
    inner = unwrap(result)
    details = getattr(inner, "mle_retvals", None)
    converged = getattr(inner, "converged", True)
    if isinstance(details, dict):
        converged = details.get("converged", converged)
    if not converged:
        model = likelihood_model(result)
        if model.recession(np.eye(len(model.estimate))) is not None:
            return  # no fit converges to infinity
        model.check_estimate_exists()
        raise ValueError(
            "The fit did not converge. Refit with a larger `maxiter` or another `method`, and "
            "standardize the columns."
        )


def check_groups(groups: Any, robust: bool) -> None:
    """Raise where clusters are given and the test would not use them."""
    if groups is not None and not robust:
        raise ValueError("groups is for robust tests: pass robust=True as well.")


# A fitted smaller statsmodels model as the null: checked, and turned into restrictions.

_NEGATIVE_BINOMIAL = ("NegativeBinomial", "NegativeBinomialP")


def is_between_fits(full: Any, null: Any) -> bool:
    """Tell whether the null is compared by its own likelihood, not as restrictions of the full."""
    return _is_generic(full) or _is_poisson_edge(full, null)


_WITHOUT_ONE_DESIGN = (
    "GenericLikelihoodModel",
    "MNLogit",
    "ZeroInflatedPoisson",
    "ZeroInflatedNegativeBinomialP",
)


def _is_generic(result: Any) -> bool:
    line = type(unwrap(result).model).__mro__
    return any(base.__name__ in _WITHOUT_ONE_DESIGN for base in line)


def _is_poisson_edge(full: Any, null: Any) -> bool:
    """Tell whether the null is the edge, without overdispersion, of a negative binomial model."""
    return (
        type(unwrap(full).model).__name__ in _NEGATIVE_BINOMIAL
        and type(unwrap(null).model).__name__ == "Poisson"
    )


def nested_loglik(full: Any, null: Any) -> tuple[float, int, bool]:
    """Return the log-likelihood of the smaller fit, the degrees of freedom, and if on the edge."""
    _check_same_data(full, null)
    on_edge = _is_poisson_edge(full, null)
    if on_edge:
        M, b = _coefficients(full, null)
        if M.shape[0] != M.shape[1] or np.abs(b).max() > 0:
            raise ValueError(
                "A Poisson null of a negative binomial model must have the same columns and "
                "offset: only the overdispersion may differ. Test the columns separately."
            )
    else:
        _check_same_kind(full, null)
        if unwrap(full).model.exog is not None and unwrap(null).model.exog is not None:
            _coefficients(full, null)
    df = np.size(unwrap(full).params) - np.size(unwrap(null).params)
    _check_df(df)
    return full_fit(likelihood_model(null)).loglik, df, on_edge


def nested_restriction(full: Any, null: Any) -> Restriction:
    """Return R and q under which the full regression is the smaller one.

    The columns of the smaller model, X0 = X1 M, and the difference of the offsets, X1 b, must be
    combinations of the columns of the full one; then theta = b + M gamma, so R spans what is
    orthogonal to M, and q = R b.
    """
    _check_same_data(full, null)
    _check_same_kind(full, null)
    if _is_generic(full):
        raise ValueError(
            "A nested GenericLikelihoodModel allows the likelihood-ratio test only: write the null "
            "as a dict or as (R, q)."
        )
    M, b = _coefficients(full, null)
    constraints = getattr(unwrap(null), "constraints", None)
    if constraints is not None:  # fit_constrained of statsmodels
        if M.shape[0] != M.shape[1] or not np.allclose(M, np.eye(len(M))) or np.abs(b).max() > 0:
            raise ValueError("A constrained fit as null must have the columns of the full model.")
        R, q = np.atleast_2d(constraints.coefs), np.ravel(constraints.constants)
        return Restriction(R, q, {"R": R, "q": q})
    extra = len(unwrap(full).params) - M.shape[0]  # alpha, which both models have
    M = np.block(
        [[M, np.zeros((M.shape[0], extra))], [np.zeros((extra, M.shape[1])), np.eye(extra)]]
    )
    b = np.concatenate([b, np.zeros(extra)])
    R = null_space(M.T).T
    _check_df(len(R))
    q = R @ b
    return Restriction(R, q, {"R": R, "q": q})


def _coefficients(full: Any, null: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return M and b with X0 = X1 M and offset0 - offset1 = X1 b."""
    large, small = unwrap(full).model, unwrap(null).model
    shift = np.zeros(len(large.endog)) + _offset(small) - _offset(large)
    wanted = np.column_stack([small.exog, shift])
    unit = np.linalg.norm(large.exog, axis=0)
    unit = np.where(unit > 0, unit, 1.0)
    found = lstsq(large.exog / unit, wanted)[0]
    misfit = np.linalg.norm(wanted - large.exog / unit @ found, axis=0)
    if (misfit > 1e-8 * np.maximum(np.linalg.norm(wanted, axis=0), 1e-300)).any():
        raise ValueError(
            "The restricted model is not nested in the full one: its columns (or its offset) are "
            "not combinations of the columns of the full model."
        )
    found = found / unit[:, None]
    return found[:, :-1], found[:, -1]


def _offset(model: Any) -> Any:
    """Return what is added to the linear predictor."""
    if hasattr(model, "_offset_exposure"):
        return model._offset_exposure
    offset, exposure = getattr(model, "offset", None), getattr(model, "exposure", None)
    total = 0.0 if offset is None else np.asarray(offset)
    return total + (0.0 if exposure is None else np.asarray(exposure))  # stored as a logarithm


def _check_same_data(full: Any, null: Any) -> None:
    check_unpenalized(unwrap(null))
    large, small = unwrap(full).model, unwrap(null).model
    y1, y0 = np.asarray(large.endog), np.asarray(small.endog)
    if y1.shape != y0.shape or not np.array_equal(y1, y0):
        raise ValueError(
            f"The restricted model was fitted to other outcomes ({y0.shape[0]} rows) than the full "
            f"one ({y1.shape[0]} rows), or in another order: refit both to the same rows."
        )


def _check_same_kind(full: Any, null: Any) -> None:
    large, small = unwrap(full).model, unwrap(null).model
    # a GLM has working weights, which differ, under the same name
    weighting = () if hasattr(large, "family") else ("weights", "sigma")
    if type(large) is not type(small):
        raise ValueError(
            f"The restricted model is a {type(small).__name__}, the full one a "
            f"{type(large).__name__}: nested models must be of one class."
        )
    for name in ("freq_weights", "var_weights", *weighting, "n_trials", "parameterization"):
        first, second = getattr(large, name, None), getattr(small, name, None)
        if not np.array_equal(np.asarray(first, dtype=object), np.asarray(second, dtype=object)):
            raise ValueError(f"The two models differ in {name}: refit them with the same.")
    first, second = (_family(model) for model in (large, small))
    if first != second:
        raise ValueError(f"The two models differ in family or link: {second} and {first}.")


def _family(model: Any) -> tuple[Any, ...]:
    family = getattr(model, "family", None)
    if family is None:
        return (getattr(model, "loglike_method", None),)
    link = family.link
    return (
        type(family).__name__,
        getattr(family, "alpha", None),
        type(link).__name__,
        getattr(link, "power", None),
        getattr(model, "scaletype", None),
    )


def _check_df(df: int) -> None:
    if df <= 0:
        raise ValueError(
            "The restricted model has as many free parameters as the full one: it restricts "
            "nothing. Pass the larger model first and the smaller one as null."
        )
