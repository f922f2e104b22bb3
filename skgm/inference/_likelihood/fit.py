"""Maximum of a log-likelihood under linear restrictions, by Newton steps that never go downhill."""

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import linalg, optimize
from scipy.linalg import null_space, qr, solve_triangular

from skgm._numerics.newton import maximize_within
from skgm._numerics.sandwich import total_weight
from skgm.inference._likelihood.model import LikelihoodModel, ModelFit, Slice
from skgm.inference._likelihood.nulls import Restriction, flat_information, flat_scores, flat_values
from skgm.inference._likelihood.separation import Recession

if TYPE_CHECKING:  # families stand on this floor
    from skgm.inference.families._base import Family, Params

__all__ = [
    "check_finite",
    "constrained_estimate",
    "finite_part",
    "full_fit",
    "maximize_along",
    "restricted_fit",
]

_AWAY = 0.005  # of the log-likelihood: the fit is a tenth of a standard error from the maximum
_STRIDES = 60  # attempts to approach a null
_PUSHES = 20


def maximize_along(model: LikelihoodModel, start: np.ndarray, basis: np.ndarray) -> ModelFit:
    """Return the maximum over `start` plus the span of `basis`, (k, m).

    Raises
    ------
    ValueError
        No maximum was reached: the likelihood rises without end, or towards an edge of the space.
    """
    if not np.isfinite(model.loglik(start)):
        raise ValueError("The log-likelihood is not finite where the search starts.")

    def derivatives(params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gradient, curvature = model.score(params), _curvature(model, params, basis)
        if not (np.isfinite(curvature).all() and np.isfinite(gradient).all()):
            raise ValueError(
                "The derivatives of the log-likelihood are not finite during the search."
            )
        return gradient / model.n, curvature / model.n

    found = maximize_within(lambda p: model.loglik(p) / model.n, derivatives, start, basis)
    if not found.converged:
        raise ValueError(
            "No maximum of the log-likelihood was found: it rises without end or towards the edge "
            "of the parameter space. Standardize the columns, or restrict the parameter."
        )
    return ModelFit(found.point, model.loglik(found.point))


def _curvature(model: LikelihoodModel, params: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return the observed information, or the expected one where that has a maximum on `basis`."""
    observed = model.observed_information(params)
    if _is_definite(basis.T @ observed @ basis):
        return observed
    expected = model.expected_information(params)
    return expected if np.isfinite(expected).all() else observed


def _is_definite(curvature: np.ndarray) -> bool:
    if not np.isfinite(curvature).all():
        return False
    values = np.linalg.eigvalsh(curvature)
    return bool((values > 1e-12 * values[-1:]).all())


def full_fit(model: LikelihoodModel) -> ModelFit:
    """Return the unrestricted maximum: the model's own estimate, refined.

    Raises
    ------
    ValueError
        The estimate does not exist, or is not near the maximum.
    """
    model.check_estimate_exists()
    cure = "Refit with another `method` or a larger `maxiter`, and standardize the columns."
    everything = np.eye(len(model.estimate))
    with np.errstate(all="ignore"):
        at_estimate = model.loglik(model.estimate)
        basis = everything * _units(model, model.estimate)
        basis = _orthonormal(model, model.estimate, basis)
        try:
            fit = maximize_along(model, model.estimate, basis)
        except ValueError as error:
            if (recession := model.recession(everything)) is not None:
                return _at_infinity(model, model.start, recession)
            raise ValueError(f"The fit has no usable maximum. {error} {cure}") from error
        if model.is_extreme(fit.params) and (recession := model.recession(everything)) is not None:
            return _at_infinity(model, model.start, recession)
    if fit.loglik - at_estimate > _AWAY:
        raise ValueError(
            f"The fit is not at the maximum of its likelihood, which can be raised by "
            f"{fit.loglik - at_estimate:.3g}. {cure}"
        )
    return fit


def _at_infinity(model: LikelihoodModel, start: np.ndarray, recession: Recession) -> ModelFit:
    """Return what the likelihood tends to along its directions of recession.

    Far out along the deepest one the certain rows add less than rounding; the maximum over the
    other directions is that of the other rows.
    """
    if not np.isfinite(model.certain_at):
        raise ValueError(
            "The estimate is infinite: a combination of the columns separates the outcomes "
            "perfectly. For this link only score_test is offered then, with a null under which "
            "the estimate is finite. Drop or merge columns, or choose another link."
        )
    params = start
    for _ in range(_PUSHES):
        params = _pushed(model, params, recession)
        fit = maximize_along(model, params, recession.finite)
        params = fit.params
        if np.array_equal(_pushed(model, params, recession), params):
            return ModelFit(params, fit.loglik, recession)
    raise ValueError("The limit of the log-likelihood at infinity was not found.")


def _pushed(model: LikelihoodModel, params: np.ndarray, recession: Recession) -> np.ndarray:
    """Return the point moved along the deepest direction until its rows are certain."""
    design, side = model.one_sided_rows() or (np.empty((0, len(params))), np.empty(0))
    rows = recession.certain
    reached = (design @ params * side)[rows]
    moves = (design @ recession.deepest * side)[rows]
    missing = (model.certain_at - reached) / moves
    return params + max(1.5 * missing.max(), 0.0) * recession.deepest


def check_finite(fit: ModelFit, matrix: np.ndarray, what: str) -> None:
    """Raise where R theta is not finite at the maximum, so that it has no standard error."""
    if fit.recession is None:
        return
    slope = matrix @ fit.recession.infinite
    size = np.linalg.norm(fit.recession.infinite, axis=0) * np.linalg.norm(matrix, axis=1)[:, None]
    if (np.abs(slope) > 1e-9 * size).any():
        raise ValueError(
            "The estimate is infinite: a combination of the columns separates the outcomes "
            f"perfectly, so that {what} does not exist. Use likelihood_ratio_test or profile "
            "intervals, or score_test, which needs the restricted estimate only."
        )


def finite_part(
    model: LikelihoodModel, fit: ModelFit
) -> tuple[LikelihoodModel, np.ndarray, np.ndarray]:
    """Return the likelihood of what is finite at a maximum, its maximum, and its directions."""
    if fit.recession is None:
        return model, fit.params, np.eye(len(fit.params))
    part = Slice(model, fit.params, fit.recession.finite)
    return part, part.start, fit.recession.finite


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
        except ValueError:
            if (recession := model.recession(basis)) is None:
                raise
            start = _project(model, restriction, model.start, restriction.values, units)
            return _at_infinity(model, start, recession)
        if model.is_extreme(fit.params) and (recession := model.recession(basis)) is not None:
            start = _project(model, restriction, model.start, restriction.values, units)
            return _at_infinity(model, start, recession)
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
            fit = maximize_along(model, _project(model, restriction, params, target, units), basis)
        except ValueError:
            if attempt == strides - 1:
                raise
            stride /= 2
            continue
        params, done = fit.params, done + stride
        if done >= 1:
            return fit
    raise ValueError("The null was not reached: it is too far from the estimate for the data.")


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


# Maximum likelihood under linear restrictions R theta = q that couple parameters or columns.


def constrained_estimate(
    family: "Family",
    statistics: Any,
    rows: np.ndarray,
    weight: np.ndarray | None,
    restriction: tuple[np.ndarray, np.ndarray],
) -> dict[str, np.ndarray]:
    """Return the estimate among parameters with R theta = q.

    Parameters
    ----------
    family : Family
        Columnwise, or the multivariate normal with restrictions of its mean alone.
    statistics : object
        The family's statistics.
    rows : ndarray of shape (n, d)
        The data, for families that have no `mean_score`.
    weight : ndarray of shape (n,) or None
        A weight w counts its row w times.
    restriction : (R, q)
        Of shapes (r, k) and (r,), on the flat vector of parameters.

    Returns
    -------
    params : dict of str to ndarray
        The restricted estimate.

    Raises
    ------
    ValueError
        Nothing in the parameter space satisfies the restrictions, the likelihood has no maximum
        under them, or they are of a kind that has no restricted estimate here.
    """
    if family.joint:
        return family.linear_estimate(statistics, *restriction)
    search = _Search(family, statistics, rows, weight, *restriction)
    with np.errstate(all="ignore"):
        found = maximize_within(search.value, search.derivatives, search.start, search.basis)
    if not found.converged:
        raise ValueError(
            f"The {family.name} family has no estimate under these restrictions: the likelihood "
            "still rises towards the edge of the parameter space. Restrict otherwise."
        )
    return search.params(found.point)


class _Search:
    """Newton's method along the null space of R, in units of standard errors."""

    def __init__(
        self,
        family: "Family",
        statistics: Any,
        rows: np.ndarray,
        weight: np.ndarray | None,
        matrix: np.ndarray,
        target: np.ndarray,
    ) -> None:
        self.family, self.statistics = family, statistics
        self.rows, self.weight, self.d = rows, weight, rows.shape[1]
        self.unit, start, covariance = self._metric()
        scaled = matrix * self.unit
        length = np.linalg.norm(scaled, axis=1)
        scaled, target = scaled / length[:, None], target / length
        self.start = self._start(scaled, target, start, covariance)
        self.basis = linalg.null_space(scaled)

    def _metric(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return units, the full estimate in these units, and its covariance there."""
        with np.errstate(all="ignore"):
            params = self.family.estimate(self.statistics)
            theta = flat_values(self.family.unpack(self.family.pack(params, self.d)))
            known = None if self.family.has_information else self.statistics
            information = flat_information(self.family, params, known)
        diagonal = np.diagonal(information)
        usable = np.isfinite(information).all() and (diagonal > 0).all()
        if not usable or not np.isfinite(theta).all() or self._outside(theta):
            # an estimate on the edge: any unit, any metric
            unit = np.where(np.isfinite(theta) & (theta != 0), np.abs(theta), 1.0)
            return unit, np.ones(len(theta)), np.eye(len(theta))
        unit = 1 / np.sqrt(diagonal)
        return unit, theta / unit, np.linalg.inv(information * unit * unit[:, None])

    def _start(
        self, R: np.ndarray, target: np.ndarray, near: np.ndarray, covariance: np.ndarray
    ) -> np.ndarray:
        """Return the point of R t = q nearest to the estimate, or any in the parameter space."""
        pull = covariance @ R.T
        projected = near - pull @ np.linalg.solve(R @ pull, R @ near - target)
        if not self._outside(projected * self.unit):
            return projected
        low, high = (
            np.repeat([getattr(p, end) for p in self.family.parameters], self.d) / self.unit
            for end in ("low", "high")
        )
        return _inner_point(R, target, low, high)

    def _outside(self, theta: np.ndarray) -> bool:
        values = theta.reshape(-1, self.d)
        return any(p.on_boundary(v).any() for p, v in zip(self.family.parameters, values))

    def params(self, t: np.ndarray) -> dict[str, np.ndarray]:
        """Return the parameters at t (k,), in units of standard errors."""
        return self.family.unpack((self.unit * t).reshape(-1, self.d).T)

    def value(self, t: np.ndarray) -> float:
        """Return the mean log-likelihood, -inf outside the parameter space."""
        if self._outside(self.unit * t):
            return -np.inf
        total = np.sum(self.family.log_likelihood(self.statistics, self.params(t)))
        return float(total / self.statistics.n)

    def derivatives(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient (k,) and minus Hessian (k, k) of the value."""
        params = self.params(t)
        information = flat_information(self.family, params, self.statistics)
        return self.unit * self._gradient(params), information * self.unit * self.unit[:, None]

    def _gradient(self, params: "Params") -> np.ndarray:
        try:
            return self.family.mean_score(self.statistics, params).T.ravel()
        except NotImplementedError:  # a family of one's own need not define it
            psi = flat_scores(self.family, self.rows, params)
            total = psi.sum(axis=0) if self.weight is None else self.weight @ psi
            return total / total_weight(psi, self.weight)


def _inner_point(R: np.ndarray, target: np.ndarray, low: np.ndarray, high: np.ndarray) -> Any:
    """Return the point of R t = q that lies deepest, up to one unit, inside low < t < high."""
    k = len(low)
    objective = np.append(np.zeros(k), -1.0)  # the last variable is the depth
    sides = [(-np.eye(k), -low), (np.eye(k), high)]
    A = np.vstack([np.column_stack([a, np.ones(k)])[np.isfinite(b)] for a, b in sides])
    b = np.concatenate([b[np.isfinite(b)] for _, b in sides])
    found = optimize.linprog(
        objective,
        A_ub=A,
        b_ub=b,
        A_eq=np.column_stack([R, np.zeros(len(R))]),
        b_eq=target,
        bounds=[(None, None)] * k + [(None, 1.0)],
    )
    if found.status != 0 or found.x[-1] <= 0:
        raise ValueError(
            "No point of the parameter space satisfies the restrictions R theta = q; check their "
            "signs, and the order of the parameters (that of params_)."
        )
    return found.x[:-1]
