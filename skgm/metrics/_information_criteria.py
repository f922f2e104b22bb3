"""Information criteria of models fitted by maximum likelihood."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve
from sklearn.utils.validation import check_is_fitted

from skgm._numerics.sandwich import diagonal_units, meat, total_weight
from skgm.inference import MLEDensity
from skgm.inference._likelihood.fit import full_fit
from skgm.inference._likelihood.nulls import flat_values
from skgm.inference._parametric import ParametricDensity, check_training_table
from skgm.inference._statsmodels.adapters import is_statsmodels_result, likelihood_model
from skgm.inference._statsmodels.covariance import robust_covariance
from skgm.inference._statsmodels.tests import check_converged

__all__ = ["InformationCriteria", "information_criteria"]


@dataclass(frozen=True)
class InformationCriteria:
    """Information criteria of one fit; smaller is better, on the same rows in the same units.

    Attributes
    ----------
    aic : float
        Akaike's, -2 loglik + 2 n_params.
    aicc : float or None
        AIC with the small-sample correction; None where n <= n_params + 1.
    bic : float
        Schwarz's, -2 loglik + n_params log n.
    tic : float or None
        Takeuchi's, -2 loglik + 2 `penalty`; None where the training table was not given.
    loglik : float
        Total log-likelihood of the training table, in nats.
    n_params : int
        Number of free parameters.
    n : float
        Number of rows, or sum of their weights.
    penalty : float or None
        tr(J^-1 K), the number of parameters that TIC counts: near `n_params` where the model is
        right.
    notes : tuple of str
        Why a criterion is None.
    """

    aic: float
    aicc: float | None
    bic: float
    tic: float | None
    loglik: float
    n_params: int
    n: float
    penalty: float | None
    notes: tuple[str, ...] = ()

    def to_frame(self) -> Any:
        """Return the criteria as a table; append those of several fits to compare them.

        Returns
        -------
        frame : pandas.DataFrame
            One row, one column per number, NaN for what is None.
        """
        import pandas as pd  # imported where it is used: it takes a second

        numbers = {key: value for key, value in asdict(self).items() if key != "notes"}
        return pd.DataFrame([{k: np.nan if v is None else v for k, v in numbers.items()}])

    def __str__(self) -> str:
        criteria = {"AIC": self.aic, "AICc": self.aicc, "BIC": self.bic, "TIC": self.tic}
        known = "   ".join(f"{k} {v:.6g}" for k, v in criteria.items() if v is not None)
        facts = f"log-likelihood {self.loglik:.6g}, n_params {self.n_params}, n {self.n:g}"
        if self.penalty is not None:
            facts += f"; TIC counts {self.penalty:.4g} parameters"
        return "\n".join([known, facts, *self.notes])

    def _repr_html_(self) -> str:
        return self.to_frame()._repr_html_()


def information_criteria(
    estimator: Any, X: Any = None, *, sample_weight: Any = None
) -> InformationCriteria:
    r"""Return the information criteria of a model fitted by maximum likelihood.

    .. math::
        \mathrm{AIC} = -2\ell + 2k, \quad
        \mathrm{AICc} = \mathrm{AIC} + \frac{2k(k+1)}{n-k-1}, \quad
        \mathrm{BIC} = -2\ell + k \log n, \quad
        \mathrm{TIC} = -2\ell + 2 \operatorname{tr}(J^{-1} K)

    They estimate from the training rows alone how well a model predicts new ones; half a
    difference of AIC is one of total log-likelihood, in nats. TIC needs no model to be right: J
    is minus the mean Hessian and K the mean outer product of the parameter score, equal under a
    correct model. Prefer held-out rows and :func:`skgm.compare_densities`, which give an interval
    and take any density, where rows can be spared.

    Parameters
    ----------
    estimator : fitted ParametricDensity or statsmodels result
        :class:`skgm.MLEDensity`, :class:`skgm.ScoreMatchingGaussian` (whose estimate is the
        maximum-likelihood one), or another with a likelihood of its own. Or a result as in
        :func:`skgm.confidence_intervals`, which holds its rows; an estimated variance or dispersion
        counts as a parameter, as in R.
    X : array-like or data frame of shape (n_samples, n_features), default=None
        The training table, which TIC needs. None: TIC is None.
    sample_weight : array-like of shape (n_samples,), default=None
        Its weights, as given to `fit`. Weights count repetitions: do not normalize them.

    Returns
    -------
    criteria : InformationCriteria
        AIC, AICc, BIC, TIC and what they are made of.

    Raises
    ------
    NotFittedError
        Before `fit`.
    TypeError
        An estimator that is no ParametricDensity.
    ValueError
        An estimate that does not maximize a likelihood, or had to be regularized; an `X` that is
        not the training table; TIC where the estimate lies on the edge of the parameter space, or
        rows were right-censored.

    See Also
    --------
    skgm.compare_densities : Compares any two densities on held-out rows, with an interval.
    skgm.likelihood_ratio_test : Tests a model within a larger one.

    Notes
    -----
    Only criteria of the same rows in the same units can be compared. BIC's n is the number of
    rows. AICc is exact for normal regression and a rule of thumb elsewhere. The penalty of TIC
    is itself estimated, with fourth moments: it is noisy in small samples and with heavy tails.

    References
    ----------
    K. P. Burnham and D. R. Anderson, "Model Selection and Multimodel Inference", 2nd edition,
    Springer, 2002, chapters 2 and 7.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import MLEDensity, information_criteria
    >>> X = np.random.default_rng(0).gamma(4.0, size=(200, 1))
    >>> print(information_criteria(MLEDensity("exponential").fit(X), X))
    AIC 942.232   AICc 942.252   BIC 945.531   TIC 940.743
    log-likelihood -470.116, n_params 1, n 200; TIC counts 0.2554 parameters
    """
    if is_statsmodels_result(estimator):
        if X is not None or sample_weight is not None:
            raise ValueError("X and sample_weight must be None for a statsmodels result.")
        return _criteria(*_of_result(estimator))
    _check_estimator(estimator)
    loglik, n, rows, weight = _likelihood(estimator, X, sample_weight)
    penalty, reason = None, "TIC needs the training table: pass it as X."
    if rows is not None:
        penalty = _penalty(estimator, rows, weight)
    return _criteria(loglik, n, _count(estimator), penalty, reason)


def _criteria(
    loglik: float, n: float, k: int, penalty: float | None, reason: str
) -> InformationCriteria:
    """Return the criteria; `reason` says why there is no penalty, if there is none."""
    aicc, notes = None, []
    if n > k + 1:
        aicc = 2 * k - 2 * loglik + 2 * k * (k + 1) / (n - k - 1)
    else:
        notes.append(
            f"AICc does not exist: it needs more than n_params + 1 = {k + 1} observations; got "
            f"{n:g}."
        )
    if penalty is None:
        notes.append(reason)
    return InformationCriteria(
        aic=2 * k - 2 * loglik,
        aicc=aicc,
        bic=k * float(np.log(n)) - 2 * loglik,
        tic=None if penalty is None else 2 * penalty - 2 * loglik,
        loglik=loglik,
        n_params=k,
        n=n,
        penalty=penalty,
        notes=tuple(notes),
    )


def _of_result(result: Any) -> tuple[float, float, int, float | None, str]:
    """Return log-likelihood, n, parameters and penalty of a statsmodels result."""
    check_converged(result)
    model = likelihood_model(result)
    fit = full_fit(model)
    nuisance = model.is_linear or getattr(model, "known", 1.0) is None
    loglik, k = float(fit.loglik), len(model.estimate) + int(nuisance)
    if nuisance or fit.recession is not None:
        why = "a dispersion is estimated beside the coefficients" if nuisance else "one is infinite"
        return loglik, model.n, k, None, f"TIC is not available here: {why}."
    information = model.observed_information(fit.params)
    penalty = float(np.trace(information @ robust_covariance(model, fit.params)))
    return loglik, model.n, k, penalty, ""


def _check_estimator(estimator: Any) -> None:
    """Refuse what has no maximized likelihood."""
    name = type(estimator).__name__
    if not isinstance(estimator, ParametricDensity):
        raise TypeError(
            "information_criteria needs a fitted ParametricDensity, such as MLEDensity or "
            f"ScoreMatchingGaussian; got {name}. Any two densities can be compared on held-out "
            "rows with compare_densities."
        )
    if not estimator._bread_is_information:
        raise ValueError(
            f"{name} does not maximize a likelihood, so its information criteria mean nothing. "
            "Use compare_densities on held-out rows."
        )
    check_is_fitted(estimator)
    if not isinstance(estimator, MLEDensity):
        estimator.standard_errors()  # refuses a regularized estimate, and says so


def _likelihood(
    estimator: Any, X: Any, sample_weight: Any
) -> tuple[float, float, np.ndarray | None, np.ndarray | None]:
    """Return log-likelihood, n, and the validated training rows with their weights, or None."""
    n = float(getattr(estimator, "n_observations_", getattr(estimator, "n_samples_seen_", np.nan)))
    rows, weight = estimator._check_inference_data(X, sample_weight)
    if rows is None:
        return float(estimator.loglik_), n, None, None
    if {"event", "upper", "constant"} & getattr(estimator, "_statistics", {}).keys():
        raise ValueError(
            "TIC is not available for a fit to censored or truncated rows; leave X out for AIC, "
            "AICc and BIC, which count censored rows as observations."
        )
    check_training_table(rows, weight, n)
    loglik = n * estimator.score(X, sample_weight=sample_weight)
    # another table of that size differs by about sqrt(n), rounding by far less than this
    if not abs(loglik - estimator.loglik_) <= 1e-4 * (1 + n):
        raise ValueError(
            f"X must be the training table: its log-likelihood is {loglik:.6g}, that of the "
            f"fitted rows {estimator.loglik_:.6g}. Compare on other rows with compare_densities."
        )
    return float(estimator.loglik_), n, rows, weight


def _count(estimator: Any) -> int:
    """Return the number of free parameters; of a symmetric matrix, its lower triangle."""
    if isinstance(estimator, MLEDensity):
        return int(estimator.n_params_)
    return int(flat_values(estimator._wald_estimate()).size)


def _column_fit(family: Any, column: np.ndarray, weight: np.ndarray | None) -> tuple[Any, Any, Any]:
    """Return the fit of a family to the known values of one column, these, and their weights."""
    known = ~np.isnan(column)
    values, own = column[known, None], None if weight is None else weight[known]
    return MLEDensity(family).fit(values, sample_weight=own), values, own


def _penalty(estimator: Any, rows: np.ndarray, weight: np.ndarray | None) -> float:
    """Return tr(J^-1 K) over the free parameters; of independent columns, the sum of theirs."""
    families = getattr(estimator, "_families", None)
    if families is not None:
        return sum(_penalty(*_column_fit(*each, weight)) for each in zip(families, rows.T))
    try:
        estimator.standard_errors()
    except ValueError as error:
        raise ValueError(
            f"TIC does not exist for this fit; leave X out for AIC and BIC. {error}"
        ) from error
    psi, bread = estimator._estimating_functions(rows)
    unit = diagonal_units(bread)  # the trace does not depend on units, its rounding does
    spread = meat(psi * unit, weight)
    penalty = float(np.trace(solve(bread * unit * unit[:, None], spread)))
    if not np.isfinite(penalty):
        raise ValueError(
            f"The penalty of TIC overflows for {total_weight(psi, weight):g} rows; rescale the "
            "columns before fitting, or leave X out."
        )
    return penalty
