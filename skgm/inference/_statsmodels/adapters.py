"""Recognize a fitted statsmodels result, and read its likelihood.

statsmodels costs seconds to import and is not imported here: an object that is one of its results
has brought it along.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skgm.inference._likelihood.model import LikelihoodModel
from skgm.inference._statsmodels.covariance import stated_covariance
from skgm.inference._statsmodels.discrete import DiscreteModel, GenericModel
from skgm.inference._statsmodels.regression import GeneralizedLinear, LinearRegression

__all__ = [
    "check_unpenalized",
    "is_statsmodels_result",
    "likelihood_model",
    "parameter_names",
    "unwrap",
]

_SUPPORTED = (
    "OLS, WLS, GLS, GLM, Logit, Probit, MNLogit, Poisson, NegativeBinomial, NegativeBinomialP, "
    "ZeroInflatedPoisson, ZeroInflatedNegativeBinomialP and any GenericLikelihoodModel"
)
# Classes by module and name, the first match along the class's line decides.
_ADAPTERS: Mapping[tuple[str, str], Any] = {
    ("statsmodels.regression.linear_model", "OLS"): LinearRegression,
    ("statsmodels.regression.linear_model", "WLS"): LinearRegression,
    ("statsmodels.regression.linear_model", "GLS"): LinearRegression,
    ("statsmodels.genmod.generalized_linear_model", "GLM"): GeneralizedLinear,
    ("statsmodels.discrete.discrete_model", "Logit"): DiscreteModel,
    ("statsmodels.discrete.discrete_model", "Probit"): DiscreteModel,
    ("statsmodels.discrete.discrete_model", "Poisson"): DiscreteModel,
    ("statsmodels.discrete.discrete_model", "NegativeBinomial"): DiscreteModel,
    ("statsmodels.discrete.discrete_model", "NegativeBinomialP"): DiscreteModel,
    ("statsmodels.discrete.discrete_model", "MNLogit"): GenericModel,
    ("statsmodels.discrete.count_model", "ZeroInflatedPoisson"): GenericModel,
    ("statsmodels.discrete.count_model", "ZeroInflatedNegativeBinomialP"): GenericModel,
    ("statsmodels.base.model", "GenericLikelihoodModel"): GenericModel,
}
_REASONS = {
    "RLM": "it solves robust estimating equations, not a likelihood",
    "GEE": "it solves generalized estimating equations, not a likelihood",
    "NominalGEE": "it solves generalized estimating equations, not a likelihood",
    "OrdinalGEE": "it solves generalized estimating equations, not a likelihood",
    "QuantReg": "it minimizes a quantile loss, which is no likelihood",
    "GLSAR": "its autocorrelation is estimated outside the likelihood",
    "RecursiveLS": "its likelihood is that of a filter",
    "MixedLM": "its variance components may lie on the edge of their space",
    "GLMGam": "its fit is penalized",
    "GMM": "it minimizes a moment criterion, not a likelihood",
}


def is_statsmodels_result(value: Any) -> bool:
    """Tell whether an object is a fitted statsmodels result, wrapped or not.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    answer : bool
    """
    line = (base.__module__ for base in type(value).__mro__)
    if not any(module.split(".")[0] == "statsmodels" for module in line):
        return False
    return hasattr(value, "params") and hasattr(value, "model")


def unwrap(result: Any) -> Any:
    """Return the result behind statsmodels' pandas wrapper."""
    return getattr(result, "_results", result)


def likelihood_model(result: Any) -> LikelihoodModel:
    """Return the likelihood of a fitted statsmodels result.

    Parameters
    ----------
    result : object
        A result for which `is_statsmodels_result` is true.

    Returns
    -------
    model : LikelihoodModel

    Raises
    ------
    ValueError
        A regularized or constrained fit, a model without a likelihood of independent rows, missing
        data, a fit whose likelihood is not smooth.
    """
    inner = unwrap(result)
    check_unpenalized(inner)
    if getattr(inner, "constraints", None) is not None:
        raise ValueError(
            "A fit under constraints is not the maximum of its likelihood. Pass the result of "
            "fit(), and the constraints, or this result, as null."
        )
    adapter = _adapter(inner.model)
    if getattr(inner.model, "endog", None) is None:
        raise ValueError("The result has lost its data (remove_data was called): refit the model.")
    if np.ndim(inner.params) not in (1, 2) or not np.isfinite(inner.params).all():
        raise ValueError(
            f"The fit has no finite vector of parameters ({inner.params}): check the data for "
            "missing values, and refit."
        )
    model: LikelihoodModel = adapter(inner, parameter_names(result))
    model.n_rows, model.stated = len(inner.model.endog), stated_covariance(inner)
    return model


def _adapter(model: Any) -> Any:
    for base in type(model).__mro__:
        if base.__name__ in _REASONS and base.__module__.startswith("statsmodels."):
            break
        found = _ADAPTERS.get((base.__module__, base.__name__))
        if found is not None and (found is GenericModel or not _overrides(model, base)):
            return found
    name = type(model).__name__
    reason = _REASONS.get(name, "its likelihood is not known here")
    raise ValueError(f"A fitted {name} is not supported: {reason}. Supported: {_SUPPORTED}.")


def _overrides(model: Any, base: type) -> bool:
    """Tell whether a subclass has changed the likelihood of a supported model."""
    names = ("loglike", "loglikeobs", "score", "hessian", "predict", "whiten")
    return any(getattr(type(model), n, None) is not getattr(base, n, None) for n in names)


def check_unpenalized(result: Any) -> None:
    """Raise for a regularized fit."""
    kind = type(result).__name__
    if kind.startswith(("L1", "Regularized")) or getattr(result, "regularized", False):
        raise ValueError(
            f"A regularized fit ({kind}) does not maximize the likelihood, so its tests and "
            "intervals do not exist. Refit with fit()."
        )


def parameter_names(result: Any) -> list[str]:
    """Return the names that the summary of the result shows."""
    if np.ndim(result.params) == 2:  # MNLogit: a column per outcome but the first
        outcomes = range(1, np.shape(result.params)[1] + 1)
        exog = [str(name) for name in unwrap(result).model.exog_names]
        return [f"{name}[{outcome}]" for outcome in outcomes for name in exog]
    index = getattr(result.params, "index", None)
    if index is not None and not callable(index):
        return [str(name) for name in index]
    model = unwrap(result).model
    k = len(unwrap(result).params)
    known = [str(name) for name in (model.exog_names or [])][:k]
    return known + [f"par{i}" for i in range(len(known), k)]
