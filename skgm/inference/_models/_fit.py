"""Maximum of a log-likelihood under linear restrictions, by Newton steps that never go downhill."""

import numpy as np
from scipy.linalg import null_space, qr, solve_triangular

from skgm.inference._models._null import Restriction
from skgm.inference._models._protocol import LikelihoodModel, ModelFit

__all__ = ["full_fit", "maximise_along", "restricted_fit"]

_MAX_STEPS = 200
_CONVERGED = 1e-20  # squared length of the Newton step, in standard errors
_STALLED = 1e-9  # of the same, where rounding of the log-likelihood allows no better
_AWAY = 0.005  # of the log-likelihood: the fit is a tenth of a standard error from the maximum
_STRIDES = 60  # attempts to approach a null
_EPS = np.finfo(np.float64).eps


def maximise_along(model: LikelihoodModel, start: np.ndarray, basis: np.ndarray) -> ModelFit:
    """Return the maximum over `start` plus the span of `basis`, (k, m).

    Raises
    ------
    ValueError
        No maximum was reached: the likelihood rises without end, or towards an edge of the space.
    """
    params, value = start, model.loglik(start)
    if not np.isfinite(value):
        raise ValueError("The log-likelihood is not finite where the search starts.")
    previous = np.inf
    for _ in range(_MAX_STEPS if basis.shape[1] else 0):
        step, length2 = _newton_step(model, params, basis)
        stalled = length2 < _STALLED and length2 > previous / 4
        if length2 < _CONVERGED or stalled:
            return ModelFit(params, value)
        found = _line_search(model, params, value, step)
        if found is None and length2 < _STALLED:
            return ModelFit(params, value)
        if found is None:
            break
        params, value, previous = found.params, found.loglik, length2
    if basis.shape[1]:
        raise ValueError(
            "No maximum of the log-likelihood was found: it rises without end or towards the edge "
            "of the parameter space. Standardise the columns, or restrict the parameter."
        )
    return ModelFit(params, value)


def _newton_step(
    model: LikelihoodModel, params: np.ndarray, basis: np.ndarray
) -> tuple[np.ndarray, float]:
    gradient = basis.T @ model.score(params)
    for information in (model.observed_information, model.expected_information):
        curvature = basis.T @ information(params) @ basis
        if not np.isfinite(curvature).all():
            continue
        values, vectors = np.linalg.eigh(curvature)
        if values[0] > 1e-12 * values[-1]:
            break
    if not (np.isfinite(curvature).all() and np.isfinite(gradient).all()):
        raise ValueError("The derivatives of the log-likelihood are not finite during the search.")
    if values[0] <= 1e-12 * values[-1]:
        # a saddle or a plateau: the absolute eigenvalues point uphill all the same
        values = np.maximum(np.abs(values), 1e-8 * max(np.abs(values).max(), np.finfo(float).tiny))
    along = vectors.T @ gradient
    return basis @ (vectors @ (along / values)), float(along @ (along / values))


def _line_search(
    model: LikelihoodModel, params: np.ndarray, value: float, step: np.ndarray
) -> ModelFit | None:
    rounding = 16 * _EPS * max(abs(value), 1.0)
    for halving in range(50):
        moved = params + step * 0.5**halving
        reached = model.loglik(moved)
        if np.isfinite(reached) and reached >= value - rounding:
            return ModelFit(moved, reached)
    return None


def full_fit(model: LikelihoodModel) -> ModelFit:
    """Return the unrestricted maximum: the model's own estimate, refined.

    Raises
    ------
    ValueError
        The estimate does not exist, or is not near the maximum.
    """
    model.refuse_no_estimate()
    cure = "Refit with another `method` or a larger `maxiter`, and standardise the columns."
    everything = np.eye(len(model.estimate))
    with np.errstate(all="ignore"):
        at_estimate = model.loglik(model.estimate)
        basis = everything * _units(model, model.estimate)
        basis = _orthonormal(model, model.estimate, basis)
        try:
            fit = maximise_along(model, model.estimate, basis)
        except ValueError as error:
            if model.infinite_direction(everything):
                raise ValueError(_SEPARATED) from error
            raise ValueError(f"The fit has no usable maximum. {error} {cure}") from error
        if model.is_extreme(fit.params) and model.infinite_direction(everything):
            raise ValueError(_SEPARATED)
    if fit.loglik - at_estimate > _AWAY:
        raise ValueError(
            f"The fit is not at the maximum of its likelihood, which can be raised by "
            f"{fit.loglik - at_estimate:.3g}. {cure}"
        )
    return fit


_SEPARATED = (
    "The estimate is infinite: a combination of the columns separates the outcomes perfectly, so "
    "Wald and likelihood-ratio statistics do not exist. Drop or merge columns, or use score_test, "
    "which needs the restricted estimate only."
)


def _units(model: LikelihoodModel, params: np.ndarray) -> np.ndarray:
    """Return rough standard errors, (k,), to make the parameters commensurable."""
    diagonal = np.diagonal(model.observed_information(params)).copy()
    bad = ~(np.isfinite(diagonal) & (diagonal > 0))
    if bad.any():
        diagonal[bad] = np.diagonal(model.expected_information(params))[bad]
    usable = np.isfinite(diagonal) & (diagonal > 0)
    return 1 / np.sqrt(np.where(usable, diagonal, 1.0))


def _orthonormal(model: LikelihoodModel, params: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return a basis of the same span, orthonormal in the metric of the information if known."""
    root = model.information_root(params, expected=True)
    if root is None or not np.isfinite(root).all() or basis.shape[1] == 0:
        return basis
    triangle = qr(root @ basis, mode="r")[0][: basis.shape[1]]
    values = np.linalg.svd(triangle, compute_uv=False)
    if triangle.shape[0] < basis.shape[1] or values[-1] <= 1e-13 * values[0]:
        return basis
    return solve_triangular(triangle.T, basis.T, lower=True).T


def restricted_fit(
    model: LikelihoodModel, restriction: Restriction, origin: np.ndarray, strides: int = _STRIDES
) -> ModelFit:
    """Return the maximum under R theta = q.

    Parameters
    ----------
    model : LikelihoodModel
        The likelihood.
    restriction : Restriction
        R and q.
    origin : ndarray of shape (k,)
        Where the search starts; the null is approached from here, in smaller strides where one is
        too large.

    Raises
    ------
    ValueError
        The restricted estimate does not exist.
    """
    with np.errstate(all="ignore"):
        units = _units(model, origin)
        basis = units[:, None] * null_space(restriction.matrix * units)
        basis = _orthonormal(model, origin, basis)
        try:
            fit = _approach(model, restriction, origin, units, basis, strides)
        except ValueError as error:
            if model.infinite_direction(basis):
                raise ValueError(_SEPARATED_NULL) from error
            raise
        if model.is_extreme(fit.params) and model.infinite_direction(basis):
            raise ValueError(_SEPARATED_NULL)
    return fit


def _approach(
    model: LikelihoodModel,
    restriction: Restriction,
    origin: np.ndarray,
    units: np.ndarray,
    basis: np.ndarray,
    strides: int,
) -> ModelFit:
    """Return the restricted maximum, in smaller strides from the origin where one is too large."""
    params, begin = origin, restriction.matrix @ origin
    done, stride = 0.0, 1.0
    for attempt in range(strides):
        stride = min(stride, 1 - done)
        target = begin + (done + stride) * (restriction.values - begin)
        if done + stride >= 1:
            target = restriction.values
        try:
            fit = maximise_along(model, _project(model, restriction, params, target, units), basis)
        except ValueError:
            if attempt == strides - 1:
                raise
            stride /= 2
            continue
        params, done = fit.params, done + stride
        if done >= 1:
            return fit
    raise ValueError("The null was not reached: it is too far from the estimate for the data.")


_SEPARATED_NULL = (
    "The restricted estimate is infinite: under the null, a combination of the columns still "
    "separates the outcomes perfectly. Drop or merge columns, or restrict more parameters."
)


def _project(
    model: LikelihoodModel,
    restriction: Restriction,
    params: np.ndarray,
    target: np.ndarray,
    units: np.ndarray,
) -> np.ndarray:
    """Return the point of R theta = target that is nearest in the metric of the information."""
    matrix = restriction.matrix
    try:
        covariance = model.covariance(params, expected=True)
    except ValueError:  # any other metric will do
        covariance = np.diag(units**2)
    half = covariance @ matrix.T
    moved = params + half @ np.linalg.solve(matrix @ half, target - matrix @ params)
    single = restriction.fixed_entries
    if single is not None:  # exactly the value asked for, not to rounding
        moved[single] = target
    return moved
