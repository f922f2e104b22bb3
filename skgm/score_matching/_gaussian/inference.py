"""Inference for a fitted Gaussian: from its stored moments, or from the training table."""

from typing import Any

import numpy as np
from scipy import stats

from skgm._numerics.moments import Moments, mirror_lower
from skgm._numerics.sandwich import total_weight
from skgm.inference._likelihood.nulls import check_covariance
from skgm.inference._likelihood.wald import wald_interval
from skgm.inference._parametric import (
    ParametricDensity,
    check_robust_errors,
    check_training_table,
)
from skgm.inference.families import MultivariateNormal

__all__ = [
    "METHODS",
    "GaussianInference",
    "covariance_interval",
    "gaussian_intervals",
    "gaussian_psi",
    "graph_errors",
    "graph_intervals",
    "matching_errors",
    "model_errors",
    "robust_errors",
    "system_residual",
]

METHODS = ("auto", "wald", "wald-transformed", "robust")
SOLVED = 1e-4  # of the linear system on a graph; rounding of near-collinear columns stays below


class GaussianInference(ParametricDensity):
    """Standard errors, intervals and estimating functions of location and covariance."""

    # A Gaussian's score-matching estimate is the maximum-likelihood one, so psi may be scaled to
    # the parameter score, whose bread is the Fisher information.
    _bread_is_information = True

    covariance_type: str
    assume_centered: bool
    ridge_: float
    _center: np.ndarray
    _moments: dict[str, Any]
    _n_rows: int
    _is_incomplete = False
    _fitted_graph: np.ndarray | None
    _sd: np.ndarray
    _cholesky: np.ndarray | None
    refit: str | None
    _truncation: dict[str, np.ndarray] | None
    _truncated_errors: Any
    _truncated_intervals: Any

    def _inference_state(self) -> tuple[np.ndarray, Any, float]:
        """Return location, covariance in float64, and n; refuse where a ridge was added."""
        if self.ridge_:
            raise ValueError(
                "The covariance is singular and was given a ridge (ridge_ > 0), so there are no "
                "standard errors or intervals. Drop constant and collinear columns, collect more "
                "rows, or use another covariance_type."
            )
        if self._is_incomplete:
            raise ValueError(
                "There are no standard errors or intervals of a fit to missing values: the stored "
                "moments count its rows as complete. Bootstrap the rows instead."
            )
        if hasattr(self, "graph_"):
            raise ValueError(
                "A regularized fit has no standard errors of its covariance: a penalty biases it, "
                "and a graph chosen by the data is not a known one. edges() tests pairs of "
                "columns; without a penalty there are standard errors and intervals."
            )
        moments = Moments(**self._moments)
        covariance = moments.covariance(0.0 if self.assume_centered else None)
        if self.covariance_type == "spherical":
            return self._center, float(covariance.mean()), moments.n
        return self._center, covariance, moments.n

    def _standard_errors(self, cov: str, X: Any, sample_weight: Any) -> dict[str, Any]:
        if self._truncation is not None:
            if cov != "robust":
                raise ValueError(
                    f"A truncated Gaussian has errors by the sandwich alone; got cov={cov!r}. Use "
                    "cov='robust' with X."
                )
            return self._truncated_errors(X, sample_weight)
        if self._fitted_graph is not None:
            return self._errors_on_graph(cov, X, sample_weight)
        location, covariance, n = self._inference_state()
        if cov == "robust":
            check_training_table(X, sample_weight, n)
            errors = robust_errors(X - location, sample_weight, covariance)
            check_robust_errors(self._named(errors), self._standard_errors("model", None, None))
        else:  # at the optimum the observed information is the expected one
            errors = model_errors(covariance, len(location), n)
        return self._named(errors)

    def _errors_on_graph(self, cov: str, X: Any, sample_weight: Any) -> dict[str, Any]:
        """Return errors of location and precision; at the maximum observed = expected."""
        if self.ridge_ or self._is_incomplete:
            raise ValueError(
                "On a graph there are standard errors with complete rows and no constant column."
            )
        scaled = self._sd[:, None] * np.asarray(self._cholesky)
        covariance, n, rows = scaled @ scaled.T, Moments(**self._moments).n, None
        if cov == "robust":
            check_training_table(X, sample_weight, n)
            rows = np.asarray(X, dtype=np.float64) - self._center
            of_location, _ = robust_errors(rows, sample_weight, covariance)
        else:
            of_location, _ = model_errors(covariance, len(self._center), n)
        graph = np.asarray(self._fitted_graph)
        if self.refit in ("one_step", "mle"):
            of_precision = graph_errors(covariance, graph, n, rows, sample_weight)
        else:
            of_precision = self._matching_errors(covariance, graph, n, rows, sample_weight)
        errors = {"location": of_location, "precision": of_precision}
        return {name: errors[name] for name in self.params_}

    def _matching_errors(
        self, covariance: np.ndarray, graph: np.ndarray, n: float, rows: Any, weight: Any
    ) -> np.ndarray:
        """Return errors of the precision where it solves the linear system of score matching."""
        moment = Moments(**self._moments).covariance(0.0 if self.assume_centered else None)
        scale = np.sqrt(moment.diagonal())
        precision = np.linalg.inv(covariance / scale / scale[:, None])
        precision *= graph | np.eye(len(graph), dtype=bool)  # exact zeros, not those of rounding
        if system_residual(moment / scale / scale[:, None], precision, graph) > SOLVED:
            raise ValueError(
                "The score-matching estimate on this graph was not positive definite and was "
                "changed to be, so it has no standard errors. Use refit='one_step' or 'mle', or "
                "collect more rows."
            )
        return matching_errors(precision / scale / scale[:, None], graph, n, moment, rows, weight)

    def _intervals_on_graph(
        self, level: float, method: str, X: Any, sample_weight: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        self._check_method(method)
        if method == "auto":
            method = "wald-transformed" if X is None else "robust"
        errors = self._standard_errors(
            "robust" if method == "robust" else "model", X, sample_weight
        )
        low, high = {}, {}
        for name, error in errors.items():
            value = np.asarray(self.params_[name], dtype=np.float64)
            log_scale = name == "precision" and method != "wald"
            low[name], high[name] = graph_intervals(value, error, level, log_scale=log_scale)
        return low, high, dict.fromkeys(low, method)

    def _check_method(self, method: str) -> None:
        if method not in METHODS:
            raise ValueError(
                f"{type(self).__name__} has intervals by {', '.join(map(repr, METHODS))}; "
                f"got method={method!r}."
            )

    def _named(self, errors: tuple[Any, Any]) -> dict[str, Any]:
        return {k: v for k, v in zip(("location", "covariance"), errors) if k in self.params_}

    def _intervals(
        self, level: float, method: str, X: Any, sample_weight: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if self._truncation is not None:
            return self._truncated_intervals(level, method, X, sample_weight)
        if self._fitted_graph is not None:
            return self._intervals_on_graph(level, method, X, sample_weight)
        location, covariance, n = self._inference_state()
        self._check_method(method)
        if method == "auto":
            method = "wald-transformed" if X is None else "robust"
        cov = "robust" if method == "robust" else "model"
        errors = self._standard_errors(cov, X, sample_weight)
        found = gaussian_intervals(
            method, level, location, covariance, errors, n, centered=self.assume_centered
        )
        low, high = ({k: v[end] for k, v in found.items()} for end in (0, 1))
        return low, high, dict.fromkeys(found, method)

    def _wald_estimate(self) -> dict[str, Any]:
        location, covariance, _ = self._inference_state()  # params_ may be rounded to float32
        values = {"location": location, "covariance": covariance}
        return {name: values[name] for name in self.params_}

    def _check_wald(self, null: dict[str, np.ndarray]) -> None:
        check_covariance("covariance", null["covariance"])

    def _estimating_functions(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return psi (n, k) and bread (k, k); a full covariance as its lower triangle."""
        location, covariance, _ = self._inference_state()
        psi, bread = gaussian_psi(X, location, covariance)
        free = slice(len(location) if self.assume_centered else 0, None)
        return psi[:, free], bread[free, free]


# Confidence intervals of Gaussian location and covariance.


def gaussian_intervals(
    method: str,
    level: float,
    location: np.ndarray,
    covariance: Any,
    errors: dict[str, Any],
    n: float,
    *,
    centered: bool,
) -> dict[str, tuple[Any, Any]]:
    """Return the intervals of the parameters that `errors` names.

    Parameters
    ----------
    method : {"wald", "wald-transformed", "robust"}
        Plain Wald; the others with Student's t, the unbiased covariance and transformed scales.
    level : float
        Confidence level.
    location : ndarray of shape (p,)
        Estimated mean.
    covariance : ndarray of shape (p, p) or (p,), or float
        Estimated covariance with divisor n.
    errors : dict
        Standard errors of "location" and "covariance", from divisor n.
    n : float
        Number of rows.
    centered : bool
        The mean was known, which leaves n degrees of freedom instead of n - 1.

    Returns
    -------
    intervals : dict
        Name to (low, high).
    """
    if method == "wald":
        estimates = {"location": location, "covariance": covariance}
        return {k: wald_interval(estimates[k], errors[k], level) for k in errors}
    df = n if centered else n - 1
    if df <= 0:
        raise ValueError(f"Intervals need a total weight above 1; got {n:g}.")
    factor = n / df  # makes the covariance unbiased, and its sandwich the one called HC1
    unbiased, error = covariance * factor, errors["covariance"] * factor**1.5
    with np.errstate(over="ignore", invalid="ignore"):
        if np.ndim(covariance) < 2:
            pair = wald_interval(unbiased, error, level, link="log", df=df)
        elif method == "robust":
            family = MultivariateNormal()
            pair = family.transformed_interval("covariance", unbiased, error, level, df)
        else:
            pair = covariance_interval(unbiased, df, float(stats.t.ppf((1 + level) / 2, df)))
        found = {"covariance": pair}
        if "location" in errors:
            of_location = wald_interval(
                location, errors["location"] * np.sqrt(factor), level, df=df
            )
            found = {"location": of_location} | found
    if not np.isfinite(np.concatenate([np.ravel(pair) for pair in found.values()])).all():
        raise ValueError(
            f"The {method} interval at this level is unbounded with n = {n:g} observations; use a "
            "lower level or more rows."
        )
    return found


def covariance_interval(
    covariance: np.ndarray, df: float, quantile: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return intervals of all covariance entries under the Gaussian model.

    With both columns scaled to variance one, 4 S_ij is the variance of their sum minus that of
    their difference, which are independent: each has its interval on the log scale, and the
    interval of the difference recovers its variances from theirs (MOVER). On the diagonal the
    second variance is zero and the log-scale interval remains.

    Parameters
    ----------
    covariance : ndarray of shape (p, p)
        Unbiased, divisor `df`.
    df : float
        Degrees of freedom.
    quantile : float
        Of Student's t.

    Returns
    -------
    low, high : ndarray of shape (p, p)
    """
    sd = np.sqrt(covariance.diagonal())
    unit = np.outer(sd, sd) / 4
    correlation = np.clip(covariance / sd / sd[:, None], -1, 1)
    of_sum, of_difference = 2 * (1 + correlation), 2 * (1 - correlation)
    width = quantile * np.sqrt(2 / df)
    down, up = -np.expm1(-width), np.expm1(width)
    low = covariance - unit * np.hypot(of_sum * down, of_difference * up)
    high = covariance + unit * np.hypot(of_sum * up, of_difference * down)
    # some processors round the lanes of a vector differently: the two triangles must agree exactly
    return mirror_lower(low), mirror_lower(high)


# Standard errors and estimating functions of Gaussian location and covariance.
#
# The saturated Gaussian's score-matching estimating equations are an invertible linear map of
# x - mu and (x - mu)(x - mu)' - Sigma, so their sandwich needs no (n, p^2) table: the variances of
# all covariance entries are one Gram matrix of squared deviations (eq. sm-covariance).


def model_errors(covariance: Any, p: int, n: float) -> tuple[np.ndarray, Any]:
    """Return standard errors of location and covariance under the Gaussian model.

    Parameters
    ----------
    covariance : ndarray of shape (p, p) or (p,), or float
        Full, diagonal or spherical; divisor n.
    p : int
        Number of columns.
    n : float
        Number of rows.

    Returns
    -------
    of_location : ndarray of shape (p,)
    of_covariance : ndarray or float
        sqrt((S_ii S_jj + S_ij^2) / n); the variance of a spherical model pools p columns.
    """
    if np.ndim(covariance) == 2:
        errors = MultivariateNormal().standard_errors({"covariance": covariance}, n)
        return errors["mean"], errors["covariance"]
    pooled = p if np.ndim(covariance) == 0 else 1
    of_location = np.broadcast_to(np.sqrt(covariance / n), (p,)).copy()
    return of_location, covariance * np.sqrt(2 / (n * pooled))


def robust_errors(
    centered: np.ndarray, sample_weight: np.ndarray | None, covariance: Any
) -> tuple[np.ndarray, Any]:
    """Return sandwich standard errors of location and covariance.

    Parameters
    ----------
    centered : ndarray of shape (n, p)
        Training rows minus the location.
    sample_weight : ndarray of shape (n,) or None
        A weight w counts the row w times.
    covariance : ndarray of shape (p, p) or (p,), or float
        Full, diagonal or spherical estimate from the same rows; divisor n.

    Returns
    -------
    of_location : ndarray of shape (p,)
    of_covariance : ndarray or float
    """
    if np.ndim(covariance) == 2:
        params = {"mean": np.zeros(len(covariance)), "covariance": covariance}
        errors = MultivariateNormal().robust_standard_errors(centered, sample_weight, params)
        return errors["mean"], errors["covariance"]
    n = total_weight(centered, sample_weight)
    weight = np.ones(len(centered)) if sample_weight is None else sample_weight
    square = centered**2
    variance = weight @ square / n
    if np.ndim(covariance) == 1:
        spread = weight @ (square - variance) ** 2 / n
    else:
        mean_square = square.mean(axis=1)
        spread = weight @ (mean_square - weight @ mean_square / n) ** 2 / n
    return np.sqrt(variance / n), np.sqrt(np.maximum(spread, 0) / n)


def gaussian_psi(
    X: np.ndarray, location: np.ndarray, covariance: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return estimating functions and bread of the location and the covariance, in this order.

    Scaled so that bread equals meat under the model. A full covariance is represented by its lower
    triangle, row by row.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Rows.
    location : ndarray of shape (p,)
        Mean of the model.
    covariance : ndarray of shape (p, p) or (p,), or float
        Full, diagonal or spherical.

    Returns
    -------
    psi : ndarray of shape (n, k)
    bread : ndarray of shape (k, k)
    """
    if np.ndim(covariance) == 2:
        family, params = MultivariateNormal(), {"mean": location, "covariance": covariance}
        return family.score(X, params), family.information(params)
    p, centered = len(location), X - location
    pull = centered / covariance
    spread = (centered * pull - 1) / (2 * covariance)
    of_variance = 1 / (2 * np.square(covariance))
    if np.ndim(covariance) == 0:
        spread, of_variance = spread.sum(axis=1, keepdims=True), np.atleast_1d(p * of_variance)
    of_location = np.broadcast_to(1 / covariance, (p,))
    return np.hstack([pull, spread]), np.diag(np.concatenate([of_location, of_variance]))


# Standard errors of a precision on a known graph, at or near the maximum of the likelihood.


def graph_errors(
    covariance: np.ndarray, graph: np.ndarray, n: float, rows: Any = None, weight: Any = None
) -> np.ndarray:
    """Return the standard error of each entry of the precision, (p, p); zeros off the graph.

    The parameter score of K_ij is Sigma_ij - x_i x_j (half of it on the diagonal), its variance
    under the model Sigma_ii Sigma_jj + Sigma_ij^2. With centered training `rows`, (n, p), the
    sandwich (eq. sm-covariance); without, the inverse information.
    """
    scale = np.sqrt(covariance.diagonal())
    S = covariance / scale / scale[:, None]  # in units of the columns, for the inverse's sake
    first, second = np.nonzero(np.triu(graph | np.eye(len(S), dtype=bool)))
    half = np.where(first == second, 0.5, 1.0)
    information = S[np.ix_(first, first)] * S[np.ix_(second, second)]
    information += S[np.ix_(first, second)] * S[np.ix_(second, first)]
    information *= half * half[:, None]
    inverse = np.linalg.inv(information)
    variance = inverse.diagonal()
    if rows is not None:
        Z = rows / scale
        psi = half * (S[first, second] - Z[:, first] * Z[:, second])
        weighted = psi if weight is None else psi * weight[:, None]
        variance = np.einsum("ij,jk,ki->i", inverse, psi.T @ weighted / n, inverse)
    errors = np.zeros_like(S)
    errors[first, second] = errors[second, first] = np.sqrt(variance / n)
    return errors / scale / scale[:, None]


def graph_intervals(
    precision: np.ndarray, errors: np.ndarray, level: float, *, log_scale: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return normal intervals of the precision, (p, p) each; the diagonal on the log scale."""
    z = stats.norm.ppf(0.5 + level / 2)
    low, high = precision - z * errors, precision + z * errors
    if log_scale:
        own = precision.diagonal()
        ratio = np.exp(z * errors.diagonal() / own)
        np.fill_diagonal(low, own / ratio)
        np.fill_diagonal(high, own * ratio)
    return low, high


# Standard errors of a precision fitted by score matching on a known graph.
#
# In standardized columns z = (x - mean) / sd with correlations R, the estimate K solves
# (R K + K R) / 2 = I on the graph: one linear system, whose sandwich is in closed form.


def system_residual(R: np.ndarray, K: np.ndarray, graph: np.ndarray) -> float:
    """Return the largest violation of (R K + K R) / 2 = I on the graph."""
    free = graph | np.eye(len(R), dtype=bool)
    product = R @ K
    return float(np.abs((0.5 * (product + product.T) - np.eye(len(R)))[free]).max())


def matching_errors(
    precision: np.ndarray,
    graph: np.ndarray,
    n: float,
    moment: np.ndarray,
    rows: Any = None,
    weight: Any = None,
) -> np.ndarray:
    """Return the standard error of each entry of the precision, (p, p); zeros off the graph.

    With centered training `rows`, (n, p), and their second `moment`, the sandwich, which sees that
    the scales of the columns are estimated too; it needs neither normal rows nor a right graph.
    Without rows, that of normal rows with this precision.

    eq. sm-covariance
    """
    scale = np.sqrt(moment.diagonal())
    first, second = np.nonzero(np.triu(graph | np.eye(len(moment), dtype=bool)))
    K = precision * scale * scale[:, None]
    if rows is None:
        S = np.linalg.inv(K)
        inverse = np.linalg.inv(_bread(S, first, second))
        variance = np.einsum("ij,jk,ik->i", inverse, _meat(S, K, first, second), inverse)
    else:
        influence = _influence(K, moment / scale / scale[:, None], rows / scale, first, second)
        share = np.full(len(rows), 1 / n) if weight is None else weight / n
        variance = share @ influence**2
    errors = np.zeros_like(K)
    errors[first, second] = errors[second, first] = np.sqrt(variance / n)
    return errors / scale / scale[:, None]


def _bread(S: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return derivatives of the entries of (S K + K S) / 2 in the free entries of K, (m, m)."""
    i, j = first[:, None], second[:, None]
    k, l = first, second  # noqa: E741
    terms = S[i, k] * (j == l) + S[i, l] * (j == k) + S[j, l] * (i == k) + S[j, k] * (i == l)
    return 0.5 * terms * np.where(first == second, 0.5, 1.0)


def _meat(S: np.ndarray, K: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the covariance of (z_i y_j + z_j y_i) / 2, y = K z, of normal z; K S = I."""
    i, j = first[:, None], second[:, None]
    k, l = first, second  # noqa: E741
    total = S[i, k] * K[j, l] + S[i, l] * K[j, k] + S[j, k] * K[i, l] + S[j, l] * K[i, k]
    same = 2.0 * ((i == k) & (j == l)) + 2.0 * ((i == l) & (j == k))
    return 0.25 * (total + same)


def _influence(
    K: np.ndarray, R: np.ndarray, Z: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Return what each row does to each free entry of K in units of the columns, (n, m).

    A row z moves R by z z' less half of each entry's two squares; that moves K along the inverse
    of the bread, and the scales move it once more.
    """
    Y, square, product = Z @ K, Z**2, R @ K
    moved = 0.5 * (Z[:, first] * Y[:, second] + Z[:, second] * Y[:, first])
    moved -= 0.25 * square[:, first] * product[first, second]
    moved -= 0.25 * square[:, second] * product[second, first]
    moved -= 0.25 * square @ (R[:, first] * K[:, second] + R[:, second] * K[:, first])
    change = -np.linalg.solve(_bread(R, first, second), moved.T).T
    return change - 0.5 * K[first, second] * (square[:, first] + square[:, second] - 2)
