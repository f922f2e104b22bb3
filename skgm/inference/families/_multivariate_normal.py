"""The multivariate normal family: one distribution of the whole row."""

from typing import Any

import numpy as np

from skgm.inference._estimating_equations import total_weight
from skgm.inference._factor import factorise
from skgm.inference._gaussian import (
    conditional_draws,
    draws,
    gaussian_log_density,
    gaussian_score_function,
    log_determinant,
    precision,
    scaled_cholesky,
    whiten,
)
from skgm.inference._links import wald_interval
from skgm.inference._moments import Moments
from skgm.inference.families._base import ExponentialFamily, Interval, Parameter, Params
from skgm.inference.families._covariance_intervals import covariance_interval
from skgm.inference.families._gaussian_null import check_covariance_null, restricted_gaussian
from skgm.inference.families._normal import mean_interval, student_df, variance_interval

__all__ = ["MultivariateNormal"]


class MultivariateNormal(ExponentialFamily):
    r"""Multivariate normal distribution with mean vector and covariance matrix.

    .. math:: \log p(x) = -\tfrac{d}{2}\log 2\pi - \tfrac12\log|\Sigma|
        - \tfrac12 (x-\mu)^\top \Sigma^{-1} (x-\mu)

    Notes
    -----
    eq. information-identity. Parameters have shapes (d,) and (d, d) also for one column. The
    flat vector of parameters holds the mean and then the lower triangle of the covariance, row by
    row. A singular covariance (constant or linearly dependent columns, no more rows than
    columns) has no estimate and is refused. Intervals: Student's t for the mean, chi-square for
    variances, profile likelihood for covariances.
    """

    name = "multivariate_normal"
    aliases = ("mvn",)
    joint = True
    equivariance = "affine"
    parameters = (
        Parameter(
            "mean",
            methods=("wald", "wald-transformed", "score", "profile", "exact", "robust"),
            auto="exact",
        ),
        Parameter(
            "covariance",
            methods=("wald", "wald-transformed", "score", "profile", "exact", "robust"),
            auto="exact on the diagonal, profile off it",
        ),
    )
    statistics_type = Moments

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Moments:
        """Return means and scatter matrix."""
        return Moments.from_chunk(X, weight, joint=True)

    def check_statistics(self, statistics: Moments, names: list[str]) -> None:
        """Raise for a singular covariance, or one whose inverse overflows."""
        factor = factorise(statistics.covariance(), statistics.mean)
        if factor.ridge:
            singular, problem = factor.constant, "constant columns"
            if not len(singular):
                singular = factor.dependent
                problem = "columns that are linear combinations of the others"
            culprits = ", ".join(names[j] for j in singular)
            raise ValueError(
                f"The multivariate normal family has no estimate with {problem} ({culprits}; "
                f"n_samples = {statistics.n:g}, n_features = {len(names)}): the covariance is "
                "singular and the likelihood unbounded. Drop them, or collect more rows than "
                "columns."
            )
        if not np.isfinite(factor.precision).all():
            raise ValueError(
                "The inverse covariance of the multivariate normal family overflows; rescale the "
                "columns before fitting."
            )

    def no_restriction(self, statistics: Moments) -> dict[str, Any]:
        """Return a null hypothesis that leaves every entry free."""
        d = len(statistics.mean)
        return {"mean": np.full(d, np.nan), "covariance": np.full((d, d), np.nan)}

    def restricted_estimate(self, statistics: Moments, null: Params) -> dict[str, np.ndarray]:
        """Return means and covariance, or what `null` fixes; see the tests for what it may fix."""
        mean, covariance = restricted_gaussian(statistics, null["mean"], null["covariance"])
        return {"mean": mean, "covariance": covariance}

    def log_likelihood(self, statistics: Moments, params: Params) -> np.ndarray:
        """Return the total log-likelihood, ()."""
        covariance, spread = params["covariance"], statistics.covariance(params["mean"])
        scaled, d = scaled_cholesky(covariance), len(spread)
        at_estimate = np.array_equal(covariance, spread)
        # of precision times spread; spares the inverse where that is the identity
        trace = d if at_estimate else np.vdot(precision(scaled), spread)
        return -statistics.n / 2 * (d * np.log(2 * np.pi) + log_determinant(scaled) + trace)

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n,)."""
        return gaussian_log_density(X, params["mean"], scaled_cholesky(params["covariance"]))

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the scores of the mean and of the lower triangle of the covariance, (n, k)."""
        inverse = precision(scaled_cholesky(params["covariance"]))
        pull = (X - params["mean"]) @ inverse
        rows, columns = self.free_entries("covariance", X.shape[1])
        twice = np.where(rows == columns, 0.5, 1.0)  # an off-diagonal entry stands for two
        quadratic = pull[:, rows] * pull[:, columns] - inverse[rows, columns]
        return np.hstack([pull, twice * quadratic])

    def information(self, params: Params) -> np.ndarray:
        """Return the block-diagonal expected information per observation, (k, k)."""
        inverse = precision(scaled_cholesky(params["covariance"]))
        d = len(inverse)
        i, j = self.free_entries("covariance", d)
        twice = np.where(i == j, 0.5, 1.0)
        block = inverse[np.ix_(i, i)] * inverse[np.ix_(j, j)]
        block = (block + inverse[np.ix_(i, j)] * inverse[np.ix_(j, i)]) * np.outer(twice, twice)
        information = np.zeros((d + len(i), d + len(i)))
        information[:d, :d], information[d:, d:] = inverse, block
        return information

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return the errors of the inverse information in closed form, no (k, k) matrix made."""
        covariance = params["covariance"]
        variance = np.diag(covariance)
        of_covariance = (np.outer(variance, variance) + covariance**2) / n
        return {"mean": np.sqrt(variance / n), "covariance": np.sqrt(of_covariance)}

    def observed_standard_errors(
        self, statistics: Moments, params: Params
    ) -> dict[str, np.ndarray]:
        """Return the model's errors: at the estimate the two informations agree."""
        return self.standard_errors(params, statistics.n)

    def robust_standard_errors(
        self, X: np.ndarray, weight: np.ndarray | None, params: Params
    ) -> dict[str, np.ndarray]:
        """Return the sandwich in closed form: psi solves to x - mean and its square - covariance.

        Var of the (i, j) entry: mean of (z_i z_j)^2 - covariance^2, over n.
        """
        square = (X - params["mean"]) ** 2
        n = total_weight(X, weight)
        left = square if weight is None else square * weight[:, None]
        fourth = left.T @ square / n - params["covariance"] ** 2
        variance = left.sum(axis=0) / n
        return {
            "mean": np.sqrt(variance / n),
            "covariance": np.sqrt(np.maximum(fourth, 0.0) / n),
        }

    def score_statistic(
        self, X: np.ndarray, weight: np.ndarray | None, restricted: Params
    ) -> np.ndarray:
        """Return n times: squared mean shift + half the squared excess covariance, whitened."""
        statistics = self.summarize(X, weight)
        scaled = scaled_cholesky(restricted["covariance"])
        origin = np.zeros(len(scaled.sd))
        shift = whiten(statistics.deviation(restricted["mean"])[None], origin, scaled)
        half = whiten(statistics.covariance(restricted["mean"]), origin, scaled)
        excess = whiten(half.T, origin, scaled) - np.eye(len(origin))
        return statistics.n * (np.sum(shift**2) + 0.5 * np.sum(excess**2))

    def check_restriction(self, null: Params) -> None:
        """Raise for restrictions of the covariance without a closed-form estimate."""
        check_covariance_null(null["covariance"])

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws."""
        return draws(params["mean"], scaled_cholesky(params["covariance"]), n_samples, rng)

    def sample_given(
        self, params: Params, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Return draws from the conditional distributions, (m * n_samples, d)."""
        scaled = scaled_cholesky(params["covariance"])
        return conditional_draws(params["mean"], scaled, given, n_samples, rng)

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return -(x - mean) times the precision, (n, d)."""
        return gaussian_score_function(X, params["mean"], scaled_cholesky(params["covariance"]))

    def free_entries(self, name: str, n_features: int) -> tuple[np.ndarray, ...]:
        """Return the lower triangle for the covariance."""
        if name == "mean":
            return (np.arange(n_features),)
        return np.tril_indices(n_features)

    def small_sample(self, name: str, n: float) -> tuple[float, float]:
        """Return the factors of the unbiased covariance, n / (n - 1)."""
        factor = n / student_df(n)
        return (factor if name == "covariance" else 1.0), float(np.sqrt(factor))

    def transformed_interval(
        self, name: str, estimate: np.ndarray, error: np.ndarray, level: float, df: Any = None
    ) -> Interval:
        """Return Wald intervals: log scale for variances, inverse hyperbolic sine off them."""
        if name == "mean":
            return super().transformed_interval(name, estimate, error, level, df)
        return _transformed_covariances(estimate, error, level, df)

    def exact_interval(
        self, name: str, statistics: Moments, params: Params, level: float
    ) -> Interval:
        """Return Student's t intervals of the mean; a covariance has no exact interval."""
        if name == "covariance" and len(statistics.mean) > 1:
            raise ValueError(
                "No exact interval is known for covariances off the diagonal; method='auto' gives "
                "exact intervals on the diagonal and profile intervals off it."
            )
        return _intervals("exact", "exact", name, statistics, params, level)

    def score_interval(
        self, name: str, statistics: Moments, params: Params, level: float
    ) -> Interval:
        """Return inverted score tests."""
        return _intervals("score", "score", name, statistics, params, level)

    def profile_interval(
        self, name: str, statistics: Moments, params: Params, level: float
    ) -> Interval:
        """Return inverted likelihood-ratio tests."""
        return _intervals("profile", "profile", name, statistics, params, level)

    def auto_interval(
        self, name: str, statistics: Moments, params: Params, level: float
    ) -> tuple[np.ndarray, np.ndarray, Any]:
        """Return exact intervals where they exist, profile intervals elsewhere, and which."""
        low, high = _intervals("exact", "profile", name, statistics, params, level)
        methods = np.full(low.shape, "exact", dtype=object)
        if low.ndim == 2:
            methods[~np.eye(len(low), dtype=bool)] = "profile"
        return low, high, methods


def _intervals(
    on: str, off: str, name: str, statistics: Moments, params: Params, level: float
) -> Interval:
    """Return intervals by method `on` (mean, diagonal) and `off` (off the diagonal)."""
    covariance, n = params["covariance"], statistics.n
    variance = np.diag(covariance)
    if name == "mean":
        return mean_interval(on, params["mean"], variance, n, level)
    low, high = np.empty_like(covariance), np.empty_like(covariance)
    diagonal = np.diag_indices_from(covariance)
    low[diagonal], high[diagonal] = variance_interval(on, variance, n, level)
    i, j = np.tril_indices_from(covariance, -1)
    if len(i):
        unit = np.sqrt(variance[i]) * np.sqrt(variance[j])
        pair = covariance_interval(off, covariance[i, j] / unit, n, level)
        low[i, j], high[i, j] = pair[0] * unit, pair[1] * unit
        low[j, i], high[j, i] = low[i, j], high[i, j]
    return low, high


def _transformed_covariances(
    estimate: np.ndarray, error: np.ndarray, level: float, df: Any
) -> Interval:
    """Return Wald intervals of a covariance matrix on scales that steady their variance.

    With the variances held, asinh(c / (sd_i sd_j)) has variance 1 / n whatever the covariance c.
    """
    variance = np.diag(estimate)
    sd = np.sqrt(variance)
    unit = np.outer(sd, sd)
    low, high = wald_interval(estimate / unit, error / unit, level, link="asinh", df=df)
    low, high = low * unit, high * unit
    ends = wald_interval(variance, np.diag(error), level, link="log", df=df)
    diagonal = np.diag_indices_from(estimate)
    low[diagonal], high[diagonal] = ends
    return low, high
