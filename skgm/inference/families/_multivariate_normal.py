"""The multivariate normal family: one distribution of the whole row."""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import digamma

from skgm._numerics.gaussian import (
    conditional_draws,
    draws,
    factorize,
    gaussian_log_density,
    gaussian_score_function,
    log_determinant,
    precision,
    scaled_cholesky,
    whiten,
)
from skgm._numerics.moments import Moments
from skgm._numerics.roots import find_root
from skgm._numerics.sandwich import total_weight
from skgm.inference._likelihood.wald import wald_interval
from skgm.inference.families._base import (
    ExponentialFamily,
    Interval,
    Parameter,
    Params,
    SpecialCase,
    same,
)
from skgm.inference.families._normal import mean_interval, student_df, variance_interval

__all__ = [
    "MultivariateNormal",
    "check_covariance_null",
    "covariance_interval",
    "independent_groups",
    "restricted_gaussian",
]


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
    special_cases = (
        # the covariance is zero between columns, and its diagonal is the square of sigma
        SpecialCase(
            "normal",
            {"covariance": 0.0},
            {"mean": ("mu", same), "covariance": ("sigma", np.square)},
        ),
    )
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
        factor = factorize(statistics.covariance(), statistics.mean)
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

    def linear_estimate(
        self, statistics: Any, matrix: np.ndarray, target: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the estimate under linear restrictions of the mean, which couple its entries.

        det(S + e e') = det(S) (1 + e' S^-1 e), e being the shift of the mean: the mean moves as
        little as it can in the metric of S, the covariance for a free mean.
        """
        d = len(statistics.mean)
        if matrix[:, d:].any():
            raise ValueError(
                f"Linear restrictions of the {self.name} family may couple entries of the mean "
                "only; other ones have no restricted estimate here. Use wald_test, which needs "
                "none."
            )
        R, covariance = matrix[:, :d], statistics.covariance()
        sd = np.sqrt(np.diag(covariance))
        correlation, S = covariance / sd / sd[:, None], R * sd
        gap = R @ statistics.mean + R @ statistics.mean_error - target
        shift = sd * (correlation @ S.T @ np.linalg.solve(S @ correlation @ S.T, gap))
        mean = statistics.mean + (statistics.mean_error - shift)
        return {"mean": mean, "covariance": covariance + np.outer(shift, shift)}

    def ratio_mean(self, null: Any, n: float) -> float:
        """Return E[W] under a null, exactly: the statistics are logarithms of Wishart determinants.

        T. W. Anderson, "An Introduction to Multivariate Statistical Analysis", 3rd edition, Wiley,
        2003, sections 8.4, 9.3 and 10.8.
        """
        covariance = null.values["covariance"]
        d = len(covariance)
        if null.matrix is not None:
            return _mean_of_means(n, len(null.matrix))
        held = ~np.isnan(null.values["mean"])
        if not np.isnan(covariance).any():
            # tr A - log|A| - d with n A Wishart on n - 1 degrees of freedom
            return float(held.sum() - d - n * (_mean_log_det(n - 1, d) - d * np.log(n)))
        groups = independent_groups(covariance) or [np.arange(d)]
        apart = sum(_mean_log_det(n - 1, len(group)) for group in groups)
        means = sum(_mean_of_means(n, int(held[group].sum())) for group in groups)
        return n * (apart - _mean_log_det(n - 1, d)) + means

    def check_restriction(self, null: Params) -> None:
        """Raise for restrictions of the covariance without a closed-form estimate."""
        check_covariance_null(null["covariance"])

    def mean(self, params: Params) -> np.ndarray:
        return params["mean"]

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
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


# The multivariate normal fitted under a null hypothesis, where that has a closed form.
#
# A null may fix any entries of the mean, and of the covariance either nothing, everything, or
# blocks to zero (independence of groups of columns).


def _mean_of_means(n: float, r: int) -> float:
    """Return E[W] where r linear functions of a mean are restricted, the covariance being free."""
    return float(n * (digamma(n / 2) - digamma((n - r) / 2)))  # Wilks' lambda is a beta variable


def _mean_log_det(df: float, d: int) -> float:
    """Return the mean log-determinant of a standard Wishart matrix."""
    return float(np.sum(digamma((df - np.arange(d)) / 2)) + d * np.log(2))


def independent_groups(null: np.ndarray) -> list[np.ndarray] | None:
    """Return the groups of columns that zeros in `null` separate; None if it has no such form.

    NaN marks free entries. The zeros have a closed form exactly when the free entries are the
    blocks of a partition of the columns.
    """
    free = np.isnan(null)
    if free.all():
        return [np.arange(len(null))]
    if not np.all(null[~free] == 0) or not np.diag(free).all():
        return None
    groups = [np.flatnonzero(row) for row in np.unique(free, axis=0)]
    is_partition = sum(len(group) for group in groups) == len(null)
    return groups if is_partition and (free == free.T).all() else None


def check_covariance_null(null: np.ndarray) -> None:
    """Raise a ValueError for restrictions of the covariance without a closed-form estimate."""
    if np.isnan(null).any() and independent_groups(null) is None:
        raise ValueError(
            "null['covariance'] must be free (left out), a full positive-definite matrix, or "
            "zeros that separate groups of columns, NaN elsewhere (independence). Other "
            "restrictions have no closed-form restricted estimate: use wald_test, which needs "
            "none, or confidence_intervals(method='profile') for one entry."
        )


def restricted_gaussian(
    statistics: Moments, mean_null: np.ndarray, covariance_null: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (d,) and covariance (d, d) fitted under the null; NaN marks free entries."""
    d = len(statistics.mean)
    if not np.isnan(covariance_null).any():
        mean = _moved_mean(statistics, mean_null, _shift(statistics, mean_null, covariance_null))
        return mean, covariance_null
    mean, covariance = np.empty(d), np.zeros((d, d))
    for group in independent_groups(covariance_null) or [np.arange(d)]:
        part = _subset(statistics, group)
        mean[group], covariance[np.ix_(group, group)] = _free_covariance(part, mean_null[group])
    return mean, covariance


def _subset(statistics: Moments, columns: np.ndarray) -> Moments:
    return replace(
        statistics,
        mean=statistics.mean[columns],
        mean_error=statistics.mean_error[columns],
        scatter=statistics.scatter[np.ix_(columns, columns)],
    )


def _shift(statistics: Moments, mean_null: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return how far the null moves the mean, (d,): free columns follow their regression."""
    fixed = ~np.isnan(mean_null)
    shift = statistics.deviation(np.where(fixed, mean_null, statistics.mean))
    if not fixed.any():
        return np.zeros_like(shift)
    sd = np.sqrt(np.diag(covariance))  # solved on the scale of correlations
    correlation = covariance / sd / sd[:, None]
    pull = np.linalg.solve(correlation[np.ix_(fixed, fixed)], (shift / sd)[fixed])
    return np.where(fixed, shift, sd * (correlation[:, fixed] @ pull))


def _moved_mean(statistics: Moments, mean_null: np.ndarray, shift: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(mean_null), statistics.mean - shift, mean_null)


def _free_covariance(statistics: Moments, mean_null: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance when only entries of the mean are fixed."""
    covariance = statistics.covariance()
    shift = _shift(statistics, mean_null, covariance)
    # the regression on the fixed columns and its residual covariance stay; those gain shift^2
    return _moved_mean(statistics, mean_null, shift), covariance + np.outer(shift, shift)


# Intervals of the covariance of a pair of columns, the rest of a normal model being free.
#
# Restricting one covariance touches only the pair's own marginal distribution. With both variances
# scaled to one and sample correlation r, the estimate restricted to covariance c has equal
# variances a, and with rho = c / a the stationarity condition solves to
# a = (1 + rho^2 - 2 rho r) / (1 - rho^2): a curve in one parameter, so that no cubic is solved.


def covariance_interval(
    method: str, correlation: np.ndarray, n: float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of a covariance in units of the two standard deviations.

    Parameters
    ----------
    method : {"profile", "score"}
        Which test is inverted.
    correlation : ndarray of shape (m,)
        Sample correlations, strictly between -1 and 1.
    n : float
        Number of observations.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (m,)
    """
    statistic = {"profile": _likelihood_ratio, "score": _score}[method]
    quantile = stats.chi2.ppf(level, 1) / n

    def excess(angle: np.ndarray) -> np.ndarray:
        return statistic(np.tanh(angle), correlation) - quantile

    low, high = (_end(excess, correlation, sign) for sign in (-1.0, 1.0))
    return low, high


def _end(excess: Any, r: np.ndarray, sign: float) -> np.ndarray:
    center = np.arctanh(r)
    hump, dip = _turning_angles(r, sign)
    split = (excess(hump) > 0) & (excess(dip) <= 0)  # accepted, rejected, accepted again
    start = np.where(split, dip, center)
    outer = _bracket(excess, start, sign)
    endless = np.isnan(outer)  # few rows reject no covariance, however large
    outer = np.where(endless, start, outer)
    end = np.where(endless, sign * np.inf, _curve(np.tanh(find_root(excess, start, outer)), r)[0])
    if not split.any():
        return end
    first = _curve(np.tanh(find_root(excess, center, np.where(split, hump, outer))), r)[0]
    return sign * np.maximum(sign * end, sign * first)


def _turning_angles(r: np.ndarray, sign: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the covariance turns on the way from r outwards; atanh(r) where it does not.

    dc/drho = 0 where 1 - 4 rho r + 4 rho^2 - rho^4 = 0, which has roots in (-1, 1) where |r|
    exceeds 5 / sqrt(27) = 0.962, on the side of zero.
    """
    hump, dip = np.arctanh(r), np.arctanh(r)
    turns = -sign * r > 5 / np.sqrt(27)
    if turns.any():
        size, middle = np.abs(r[turns]), np.full(turns.sum(), 1 / np.sqrt(3))

        def slope(rho: np.ndarray) -> np.ndarray:
            return 1 - 4 * rho * size + 4 * rho**2 - rho**4

        hump[turns] = -sign * np.arctanh(find_root(slope, middle, size))
        dip[turns] = -sign * np.arctanh(find_root(slope, np.full_like(middle, 0.41), middle))
    return hump, dip


def _curve(rho: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the restricted covariance c and the common variance a at c / a = rho."""
    variance = (1 + rho**2 - 2 * rho * r) / (1 - rho**2)
    return rho * variance, variance


def _likelihood_ratio(rho: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Return W / n = log|Sigma| + tr(Sigma^-1 S) - log|S| - 2."""
    a = _curve(rho, r)[1]
    log_det = 2 * np.log(a) + np.log1p(-(rho**2)) - np.log1p(-(r**2))
    return log_det + 2 * (1 - rho * r) / (a * (1 - rho**2)) - 2


def _score(rho: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Return the score statistic / n = tr[(Sigma^-1 S - I)^2] / 2."""
    a = _curve(rho, r)[1] * (1 - rho**2)
    diagonal, off = (1 - rho * r) / a - 1, (r - rho) / a
    return diagonal**2 + off**2


def _bracket(excess: Any, center: np.ndarray, sign: float) -> np.ndarray:
    """Return angles from `center` outwards that the test rejects, NaN where there is none."""
    found = np.full_like(center, np.nan)
    for width in 2.0 ** np.arange(-4, 5):
        outer = np.clip(center + sign * width, -17.0, 17.0)  # tanh(17) is below one
        found = np.where(np.isnan(found) & (excess(outer) > 0), outer, found)
    return found
