"""Maximum likelihood under linear restrictions R theta = q that couple parameters or columns."""

from typing import Any

import numpy as np
from scipy import linalg, optimize

from skgm.inference._estimating_equations import total_weight
from skgm.inference._flattening import flat_information, flat_scores, flat_values
from skgm.inference._newton import maximise
from skgm.inference.families._base import Family, Params

__all__ = ["constrained_estimate"]


def constrained_estimate(
    family: Family,
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
        return _joint_estimate(family, statistics, *restriction)
    search = _Search(family, statistics, rows, weight, *restriction)
    with np.errstate(all="ignore"):
        beta = np.zeros((1, search.basis.shape[1]))
        free = np.ones(beta.shape, dtype=bool)
        found, converged = maximise(search.value, search.derivatives, beta, free)
    if not converged.all():
        raise ValueError(
            f"The {family.name} family has no estimate under these restrictions: the likelihood "
            "still rises towards the edge of the parameter space. Restrict otherwise."
        )
    return search.params(found)


def _joint_estimate(
    family: Family, statistics: Any, matrix: np.ndarray, target: np.ndarray
) -> dict[str, np.ndarray]:
    """Return mean and covariance of a multivariate normal whose mean is restricted.

    |S + e e'| = |S| (1 + e' S^-1 e), e being the shift of the mean: the mean moves as little as it
    can in the metric of S, the covariance for a free mean.
    """
    shapes = [p.name for p in family.parameters]
    d = len(getattr(statistics, "mean", []))
    if shapes != ["mean", "covariance"] or matrix[:, d:].any():
        raise ValueError(
            f"Linear restrictions of the {family.name} family may couple entries of the mean "
            "only; other ones have no restricted estimate here. Use wald_test, which needs none."
        )
    R, covariance = matrix[:, :d], statistics.covariance()
    sd = np.sqrt(np.diag(covariance))
    correlation, S = covariance / sd / sd[:, None], R * sd
    gap = R @ statistics.mean + R @ statistics.mean_error - target
    shift = sd * (correlation @ S.T @ np.linalg.solve(S @ correlation @ S.T, gap))
    mean = statistics.mean + (statistics.mean_error - shift)
    return {"mean": mean, "covariance": covariance + np.outer(shift, shift)}


class _Search:
    """Newton's method along the null space of R, in units of standard errors."""

    def __init__(
        self,
        family: Family,
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
            information = flat_information(self.family, params)
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

    def params(self, beta: np.ndarray) -> dict[str, np.ndarray]:
        """Return the parameters at beta (1, m)."""
        theta = self.unit * (self.start + self.basis @ beta[0])
        return self.family.unpack(theta.reshape(-1, self.d).T)

    def value(self, beta: np.ndarray) -> np.ndarray:
        """Return the mean log-likelihood, (1,), -inf outside the parameter space."""
        params = self.params(beta)
        if self._outside(flat_values(params)):
            return np.array([-np.inf])
        total = np.sum(self.family.log_likelihood(self.statistics, params))
        return np.array([total / self.statistics.n])

    def derivatives(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient (1, m) and minus Hessian (1, m, m)."""
        params = self.params(beta)
        information = flat_information(self.family, params, self.statistics)
        basis = self.unit[:, None] * self.basis
        gradient = basis.T @ self._gradient(params)
        return gradient[None], (basis.T @ information @ basis)[None]

    def _gradient(self, params: Params) -> np.ndarray:
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
