"""A fitted smaller statsmodels model as the null: checked, and turned into restrictions."""

from typing import Any

import numpy as np
from scipy.linalg import lstsq, null_space

from skgm.inference._models._fit import full_fit
from skgm.inference._models._null import Restriction
from skgm.inference._models._statsmodels import likelihood_model, refuse_penalised, unwrap

__all__ = ["is_between_fits", "nested_loglik", "nested_restriction"]

_NEGATIVE_BINOMIAL = ("NegativeBinomial", "NegativeBinomialP")


def is_between_fits(full: Any, null: Any) -> bool:
    """Tell whether the null is compared by its own likelihood, not as restrictions of the full."""
    return _is_generic(full) or _is_poisson_edge(full, null)


def _is_generic(result: Any) -> bool:
    line = type(unwrap(result).model).__mro__
    return any(base.__name__ == "GenericLikelihoodModel" for base in line)


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
    df = len(unwrap(full).params) - len(unwrap(null).params)
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
    refuse_penalised(unwrap(null))
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
