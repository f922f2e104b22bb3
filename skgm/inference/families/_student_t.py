"""Student's t family: degrees of freedom, location and scale."""

from typing import Any

import numpy as np
from scipy import special

from skgm._numerics.roots import find_root
from skgm._numerics.sandwich import errors_from_information
from skgm.inference.families._base import Interval, Parameter, Params, SpecialCase, same
from skgm.inference.families._heavy_tails import HeavyTailedFamily, heaviest_tie
from skgm.inference.families._location_scale import REGULAR, location_and_scale
from skgm.inference.families._statistics import Rows

__all__ = [
    "StudentT",
    "constant",
    "df_interval",
    "estimate_kappa",
    "kappa_information",
    "log_kernel",
    "tilt",
]


def _kappa(params: Params) -> np.ndarray:
    return 1 / np.asarray(params["df"], dtype=np.float64)


class StudentT(HeavyTailedFamily):
    r"""Student's t distribution with degrees of freedom, location and scale, per column.

    .. math:: \log p(x) = \log\frac{\Gamma\{(\nu+1)/2\}}{\Gamma(\nu/2) \sqrt{\pi\nu}}
        - \frac{\nu+1}{2} \log\Bigl(1 + \frac{z^2}{\nu}\Bigr) - \log s, \quad z = (x - m) / s

    Notes
    -----
    Infinite degrees of freedom are a legitimate estimate: where no finite ones are more likely,
    the fit is the normal one, its ``df`` is infinite and has no standard error, and its profile
    interval reaches from a finite number to infinity.

    With free degrees of freedom the likelihood is unbounded near df = 0, where the distribution
    shrinks onto one row. The estimate is the highest maximum away from there; columns for which
    there is none are refused, and so are those with half of the weight or more on one value.

    r* intervals are for held degrees of freedom (``fixed={"df": 4}``).

    References
    ----------
    C. Fernandez and M. F. J. Steel, "Multivariate Student-t regression models: pitfalls and
    inference", Biometrika 86, 1999; K. L. Lange, R. J. A. Little and J. M. G. Taylor, "Robust
    statistical modeling using the t distribution", JASA 84, 1989.
    """

    name = "student_t"
    special_cases = (
        SpecialCase("cauchy", {"df": 1.0}, {"loc": ("loc", same), "scale": ("scale", same)}),
        SpecialCase("normal", {"df": np.inf}, {"loc": ("mu", same), "scale": ("sigma", same)}),
    )
    aliases = ("t",)
    equivariance = "location-scale"
    parameters = (
        Parameter(
            "df",
            0.0,
            link="log",
            # no score interval: at df = inf the information of df is zero
            methods=("wald", "wald-transformed", "profile", "robust", "bootstrap"),
            auto="profile",
            may_be_infinite=True,
        ),
        *location_and_scale(REGULAR, "profile"),
    )

    def limit_root(self, name: str, x: np.ndarray, weight: np.ndarray | None) -> float:
        """Return sum(z^4 - 3) / sqrt(24 n), the score of 1 / df: kurtosis beyond a normal's."""
        weight = np.ones(len(x)) if weight is None else weight
        n = weight.sum()
        centered = x - weight @ x / n
        z = centered / np.sqrt(weight @ centered**2 / n)
        return float(weight @ (z**4 - 3) / np.sqrt(24 * n))

    def kernel(self, z: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return g and its derivatives in z."""
        kappa = _kappa(params)
        g, g1, g2, _ = log_kernel(z, kappa)
        return g + constant(kappa)[0], g1, g2

    def tail_index(self, params: Params) -> np.ndarray:
        """Return the degrees of freedom."""
        return np.asarray(params["df"])

    def unit_information(self, params: Params) -> np.ndarray:
        """Return diag(1 + k, 2) / (1 + 3 k), k = 1 / df, (d, 2, 2)."""
        kappa = _kappa(params)
        unit = np.zeros((*kappa.shape, 2, 2))
        unit[..., 0, 0] = (1 + kappa) / (1 + 3 * kappa)
        unit[..., 1, 1] = 2 / (1 + 3 * kappa)
        return unit

    def unit_cdf(self, z: np.ndarray, params: Params) -> np.ndarray:
        df = np.broadcast_to(np.asarray(params["df"], dtype=np.float64), z.shape)
        return np.where(np.isinf(df), special.ndtr(z), special.stdtr(np.minimum(df, 1e300), z))

    def mean(self, params: Params) -> np.ndarray:
        return np.where(params["df"] > 1, params["loc"], np.nan)  # none for heavier tails

    def unit_draws(
        self, params: Params, size: tuple[int, int], rng: np.random.Generator
    ) -> np.ndarray:
        """Return draws of z: normal ones over the root of a scaled chi-square."""
        df = np.broadcast_to(np.asarray(params["df"], dtype=np.float64), size[1:])
        z = rng.standard_normal(size)
        finite = np.where(np.isinf(df), 1.0, df)
        stretch = np.sqrt(rng.chisquare(finite, size) / finite)
        return z / np.where(np.isinf(df), 1.0, stretch)

    def check_statistics(self, statistics: Rows, names: list[str]) -> None:
        """Raise for constant columns and those with half of the weight or more on one value."""
        super().check_statistics(statistics, names)
        self.check_no_ties(statistics, {"df": np.ones(len(names))}, names)

    def restricted_estimate(self, statistics: Rows, null: Params) -> dict[str, np.ndarray]:
        df = np.broadcast_to(np.asarray(null["df"], dtype=np.float64), statistics.X.shape[1:])
        held = ~np.isnan(df) & np.isnan(null["scale"])
        if held.any():
            columns = np.flatnonzero(held)
            part = Rows(statistics.n, statistics.X[:, columns], statistics.weight)
            self.check_no_ties(part, {"df": df[columns]}, [f"number {j}" for j in columns])
        return super().restricted_estimate(statistics, null)

    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return median, half the distance of the quartiles, and no degrees of freedom yet."""
        start = super().start(statistics)
        return {"df": np.full(start["loc"].shape, np.nan), **start}

    def restricted_near(
        self, statistics: Rows, null: Params, near: Params
    ) -> dict[str, np.ndarray]:
        d = statistics.X.shape[1]
        df = np.array(np.broadcast_to(np.asarray(null["df"], dtype=np.float64), d))
        free = np.flatnonzero(np.isnan(df))
        if len(free):
            part = Rows(statistics.n, statistics.X[:, free], statistics.weight)
            place = {
                k: {name: np.broadcast_to(value, d)[free] for name, value in params.items()}
                for k, params in {"null": null, "near": near}.items()
            }
            kappa, m, s = estimate_kappa(self, part, place["null"], place["near"])
            with np.errstate(divide="ignore"):
                df[free] = 1 / kappa
            if len(free) == d:
                return {"df": df, **self._merge(null, m, s)}
            near = {name: np.array(np.broadcast_to(value, d)) for name, value in near.items()}
            near["loc"][free], near["scale"][free] = m, s
        whole = {**near, "df": df}
        return {"df": df, **self._merge(null, *self._search(statistics, null, whole))}

    def mean_score(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 3)."""
        return self.expansion(statistics, params)[1]

    def observed_information(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return minus the mean Hessian, (d, 3, 3)."""
        return self.expansion(statistics, params)[2]

    def expansion(
        self, statistics: Rows, params: Params
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        height, score, information = self.kappa_expansion(statistics, params)
        turn = -(_kappa(params) ** 2)  # d kappa / d df
        bend = -2 * turn * _kappa(params) * score[:, 0]
        score[:, 0] *= turn
        information[:, 0] *= turn[:, None]
        information[:, :, 0] *= turn[:, None]
        information[:, 0, 0] -= bend
        return height, score, information

    def kappa_expansion(
        self, statistics: Rows, params: Params
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what `expansion` does, for 1 / df in the place of df."""
        kappa, s = _kappa(params), np.asarray(params["scale"])
        z = (statistics.X - params["loc"]) / s
        g, g1, g2, share = log_kernel(z, kappa)
        tilted, twice, crossed = tilt(z, kappa, share)
        c, c1, c2 = constant(kappa)
        weight = statistics.weight / statistics.n
        m1, z1, m2, z2 = weight @ g1, weight @ (z * g1), weight @ g2, weight @ (z * g2)
        cross = weight @ crossed, weight @ (z * crossed)
        score = np.stack([c1 + weight @ tilted, -m1 / s, -(1 + z1) / s], axis=-1)
        information = np.empty((len(s), 3, 3))
        information[:, 0, 0] = -(c2 + weight @ twice)
        information[:, 0, 1] = information[:, 1, 0] = cross[0] / s
        information[:, 0, 2] = information[:, 2, 0] = cross[1] / s
        information[:, 1, 1] = -m2 / s**2
        information[:, 1, 2] = information[:, 2, 1] = -(m1 + z2) / s**2
        information[:, 2, 2] = -(1 + 2 * z1 + weight @ (z * z * g2)) / s**2
        return c + weight @ g - np.log(s), score, information

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the scores, (n, d, 3)."""
        kappa = _kappa(params)
        z, s = self._standardize(X, params)
        _, g1, _, share = log_kernel(z, kappa)
        tilted = tilt(z, kappa, share)[0] + constant(kappa)[1]
        return np.stack([-(kappa**2) * tilted, -g1 / s, -(1 + z * g1) / s], axis=-1)

    def information(self, params: Params) -> np.ndarray:
        """Return the expected information per observation, (d, 3, 3)."""
        kappa, s = _kappa(params), np.asarray(params["scale"])
        information = np.zeros((len(s), 3, 3))
        information[:, 1:, 1:] = self.unit_information(params) / (s**2)[:, None, None]
        information[:, 0, 0] = kappa_information(kappa) * kappa**4
        cross = -2 * kappa**2 / (s * (1 + kappa) * (1 + 3 * kappa))
        information[:, 0, 2] = information[:, 2, 0] = cross
        return information

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return the model's standard errors; infinite df has none (NaN), and costs no others."""
        information = self.information(params)
        infinite = np.isinf(params["df"])
        information[infinite, 0, 0] = 1.0
        errors = self._by_name(errors_from_information(information, n))
        return {**errors, "df": np.where(infinite, np.nan, errors["df"])}

    def canonical(
        self, statistics: Rows, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Refuse: three parameters are too many for the two pivots."""
        raise ValueError(
            "r* intervals of the student_t family need known degrees of freedom: pass "
            "fixed={'df': ...}, or use method='profile'."
        )

    def profile_interval(
        self, name: str, statistics: Rows, params: Params, level: float
    ) -> Interval:
        """Return the values that the likelihood-ratio test does not reject."""
        if name == "df":
            return df_interval(self, statistics, params, level)
        return super().profile_interval(name, statistics, params, level)


# The degrees of freedom of Student's t: the highest maximum of their profile, and its interval.
#
# All of it in kappa = 1 / df, in which the normal limit is the end kappa = 0 of the space.

# Places where the profile is looked at; near zero they lie close, as it may bend there.
_GRID = np.array([0.0, 0.003, 0.01, 0.03, 0.08, 0.16, 0.3, 0.5, 0.8, 1.2, 1.8, 2.7, 4.0, 6.5, 10.0])
_COARSE = np.array([0.0, 0.01, 0.08, 0.3, 0.8, 1.8, 4.0, 10.0])
_MANY_ROWS = 200  # from here on the profile is smooth enough for the coarse one
_MAX_ITERATIONS = 100
_LAST_STEP = 1e-9
_NEIGHBORHOOD = 4.0
_NOTHING = 1e-12  # kappa below this is zero: no sample tells such df from infinite ones


def _inner(
    family: Any, statistics: Rows, null: Params, near: Params, kappa: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the best location and scale at a kappa."""
    with np.errstate(divide="ignore"):
        df = 1 / kappa
    held = {**null, "df": df}
    location, scale = family._search(statistics, held, {**near, "df": df})
    return {"df": df, **family._merge(null, location, scale)}


def _profile_slope(
    family: Any, statistics: Rows, null: Params, params: Params
) -> tuple[np.ndarray, np.ndarray]:
    """Return slope and curvature of the profile log-likelihood in kappa, per row."""
    _, score, information = family.kappa_expansion(statistics, params)
    free = np.stack([np.isnan(null["loc"]), np.isnan(null["scale"])], axis=-1)
    cross = np.where(free, information[:, 0, 1:], 0.0)
    both = free[:, :, None] & free[:, None, :]
    block = np.where(both, information[:, 1:, 1:], np.eye(2))
    gained = np.linalg.solve(block, cross[..., None])[..., 0]
    return score[:, 0], -information[:, 0, 0] + np.sum(cross * gained, axis=1)


def estimate_kappa(
    family: Any, statistics: Rows, null: Params, near: Params
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return kappa, location and scale where the likelihood is highest; kappa is free.

    Parameters
    ----------
    family : StudentT
        The family.
    statistics : Rows
        The rows.
    null : dict of str to ndarray of shape (d,)
        Location and scale where they are held, NaN where they are free.
    near : dict of str to ndarray of shape (d,)
        Where to start.

    Returns
    -------
    kappa, location, scale : ndarray of shape (d,)
        kappa is zero where no finite degrees of freedom are more likely than the normal limit.

    Raises
    ------
    ValueError
        The likelihood rises towards df = 0 where `near` has no degrees of freedom yet. A search
        that follows a profile takes the fewest that it allows then.
    """
    tied = heaviest_tie(statistics)
    # there the likelihood is unbounded: the search stays at half that kappa
    ceiling = 0.5 * (statistics.n - tied) / tied
    places = _GRID if statistics.n < _MANY_ROWS else _COARSE
    grid = np.minimum(places[:, None], ceiling)
    kappa = 1 / near["df"]
    if not np.isnan(kappa).any():  # NaN where there is no estimate yet
        # a search that follows a profile: its maximum moves little from one value to the next
        low, high = kappa / _NEIGHBORHOOD, np.minimum(kappa * _NEIGHBORHOOD, ceiling)
        found, params = _climb(family, statistics, null, near, (low, kappa, high))
        slope, _ = _profile_slope(family, statistics, null, params)
        inside = (found > 1.01 * low) & (found < 0.99 * high)
        if np.where(kappa == 0, slope <= 0, inside).all():
            return found, params["loc"], params["scale"]
    bracket, params = _bracket(family, statistics, null, near, grid, np.isnan(kappa))
    kappa, params = _climb(family, statistics, null, params, bracket)
    return kappa, params["loc"], params["scale"]


def _climb(
    family: Any,
    statistics: Rows,
    null: Params,
    params: Params,
    bracket: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[np.ndarray, Params]:
    """Return where the slope of the profile turns negative inside a bracket: guarded Newton."""
    low, kappa, high = bracket
    normal = high == 0
    params = _inner(family, statistics, null, params, kappa)
    for _ in range(_MAX_ITERATIONS):
        slope, curvature = _profile_slope(family, statistics, null, params)
        low, high = np.where(slope > 0, kappa, low), np.where(slope > 0, high, kappa)
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = kappa - slope / curvature
        safe = (curvature < 0) & (moved >= low) & (moved <= high)
        moved = np.where(normal, 0.0, np.where(safe, moved, (low + high) / 2))
        change = np.abs(moved - kappa)
        kappa = np.where(moved < _NOTHING, 0.0, moved)
        params = _inner(family, statistics, null, params, kappa)
        if (change <= _LAST_STEP * kappa + _NOTHING).all():
            break
    return kappa, params


def _bracket(
    family: Any, statistics: Rows, null: Params, near: Params, grid: np.ndarray, refused: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], Params]:
    """Return lower end, start and upper end around the profile's highest maximum, and a fit."""
    heights, fits = [], []
    params: Any = near
    for kappa in grid:  # from the normal limit on
        params = _inner(family, statistics, null, params, kappa)
        fits.append(params)
        heights.append(family.log_likelihood(statistics, params))
    best = np.argmax(heights, axis=0)
    columns = np.arange(grid.shape[1])
    edge = np.flatnonzero((grid[best, columns] == grid[-1]) & (best > 0) & refused)
    if len(edge):
        raise ValueError(
            f"The student_t family has no estimate for column number {int(edge[0])}: the "
            "likelihood still rises where its degrees of freedom fall below "
            f"{1 / grid[-1, edge[0]]:.3g}, and grows without bound as the distribution shrinks "
            "onto one value. Hold the degrees of freedom (fixed={'df': ...})."
        )
    # a maximum next to the normal limit starts just inside it, if the profile rises there
    slope, _ = _profile_slope(family, statistics, null, fits[0])
    inside = (best == 0) & (slope > 0)
    best = np.where(inside, 1, best)
    low = np.where(inside, 0.0, grid[np.maximum(best - 1, 0), columns])
    high = np.where(best == 0, 0.0, grid[np.minimum(best + 1, len(grid) - 1), columns])
    high = np.where(inside, grid[1], high)
    start = {name: np.choose(best, [f[name] for f in fits]) for name in ("df", "loc", "scale")}
    return (low, np.where(inside, grid[1], grid[best, columns]), high), start


def df_interval(
    family: Any, statistics: Rows, params: Params, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the profile interval of the degrees of freedom; its upper end may be infinite.

    Parameters
    ----------
    family : StudentT
        The family.
    statistics : Rows
        The rows.
    params : dict of str to ndarray of shape (d,)
        The maximum-likelihood estimate.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)
        The ends: infinity where the normal limit is not rejected, and zero where the profile does
        not fall far enough before it grows without bound towards df = 0.
    """
    allowed = special.chdtri(1, 1 - level) / 2
    top = family.log_likelihood(statistics, params)
    none = {name: np.full(top.shape, np.nan) for name in ("loc", "scale")}
    latest = [params]

    def excess(kappa: np.ndarray) -> np.ndarray:
        latest[0] = _inner(family, statistics, none, latest[0], kappa)
        return top - family.log_likelihood(statistics, latest[0]) - allowed

    estimate = 1 / params["df"]
    zero = np.zeros_like(estimate)
    open_ended = excess(zero) <= 0
    end = np.where(open_ended, zero, find_root(excess, estimate, np.where(open_ended, estimate, 0)))
    tied = heaviest_tie(statistics)
    ceiling = 0.98 * (statistics.n - tied) / tied
    outer = np.minimum(np.maximum(2 * estimate, 0.05), ceiling)
    for _ in range(60):
        inside = (excess(outer) < 0) & (outer < ceiling)
        if not inside.any():
            break
        outer = np.where(inside, np.minimum(2 * outer, ceiling), outer)
    endless = excess(outer) < 0
    low = find_root(excess, estimate, np.where(endless, estimate, outer))
    with np.errstate(divide="ignore"):
        return np.where(endless, 0.0, 1 / low), 1 / end


# Student's t with kappa = 1 / df, in which the normal limit kappa = 0 is a point like others.
#
# .. math:: g(z; \kappa) = c(\kappa) - \frac{1 + \kappa}{2 \kappa} \log(1 + \kappa z^2)
#
# Differences that cancel for small kappa (of log-gammas and their derivatives, of logarithms) are
# replaced by their series there.

_SERIES = 1 / 30  # for kappa up to this the last terms below are under 1e-15
_SMALL = 0.03  # likewise for kappa z^2
_TERMS = np.arange(12)
# Asymptotic series of log Gamma(a + 1/2) - log Gamma(a) - log(a) / 2 in a = 1 / (2 kappa), odd
# powers of kappa from the first (Abramowitz and Stegun, section 6.1).
_POWERS = np.arange(1, 13, 2)
_COEFFICIENTS = np.array([-1 / 4, 1 / 24, -1 / 20, 17 / 112, -31 / 36, 691 / 88])


def _series(kappa: np.ndarray, derivative: int) -> np.ndarray:
    factor = [1.0, _POWERS, _POWERS * (_POWERS - 1)][derivative]
    powers = np.maximum(_POWERS - derivative, 0)
    return np.sum(_COEFFICIENTS * factor * kappa[..., None] ** powers, axis=-1)


def constant(kappa: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return c and its first two derivatives in kappa."""
    kappa = np.asarray(kappa, dtype=np.float64)
    small = np.where(kappa < _SERIES, kappa, 0.0)
    near = [_series(small, derivative) for derivative in range(3)]
    near[0] = near[0] - 0.5 * np.log(2 * np.pi)
    if (kappa < _SERIES).all():
        return near[0], near[1], near[2]
    nu = 1 / np.where(kappa < _SERIES, 1.0, kappa)
    up, down = (nu + 1) / 2, nu / 2
    value = special.gammaln(up) - special.gammaln(down) - 0.5 * np.log(np.pi * nu)
    first = 0.5 * (special.digamma(up) - special.digamma(down) - 1 / nu)
    second = 0.25 * (special.polygamma(1, up) - special.polygamma(1, down)) + 0.5 / nu**2
    far = value, -first * nu**2, nu**3 * (2 * first + nu * second)
    c, c1, c2 = (np.where(kappa < _SERIES, a, b) for a, b in zip(near, far))
    return c, c1, c2


def log_kernel(
    z: np.ndarray, kappa: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return g - c, its first two derivatives in z, and 1 / (1 + kappa z^2)."""
    square = z * z
    x = kappa * square
    share = 1 / (1 + x)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log1p(x) / kappa
    if not np.all(kappa > 0):
        logarithm = np.where(kappa > 0, logarithm, square)
    pull = (1 + kappa) * share
    return -0.5 * (1 + kappa) * logarithm, -pull * z, pull * (1 - 2 * share), share


def tilt(
    z: np.ndarray, kappa: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the derivatives of g - c: in kappa, in kappa twice, and in kappa and z."""
    square = z * z
    x = kappa * square
    a, slope = _half(x, share)
    # square^2 a(x) with a ~ log(x) / x^2 far out: no overflow where x does not
    first = 0.5 * square * (square * a - share)
    second = 0.5 * square * square * (square * slope + share * share)
    return first, second, z * (square - 1) * share * share


def _half(x: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a(x) = (log(1 + x) - x / (1 + x)) / x^2 and its derivative."""
    small = x < _SMALL
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (np.log1p(x) - x * share) / (x * x)
        slope = (share * share - 2 * a) / x
    if small.any():
        near, sign = x[small], (-1.0) ** _TERMS
        coefficients = sign * (_TERMS + 1) / (_TERMS + 2)
        a[small] = np.polynomial.polynomial.polyval(near, coefficients)
        slope[small] = np.polynomial.polynomial.polyval(near, (_TERMS * coefficients)[1:])
    return a, slope


def kappa_information(kappa: np.ndarray) -> np.ndarray:
    """Return the expected information of kappa, location and scale known."""
    kappa = np.asarray(kappa, dtype=np.float64)
    small = np.where(kappa < _SERIES, kappa, 0.0)
    spread = (7 + 3 * small) / ((1 + small) * (1 + 3 * small))
    odd = small * (-1 + small**2 * (3 + small**2 * (-17 + small**2 * (155 - 2073 * small**2))))
    near = 0.5 * (spread + odd)
    nu = 1 / np.where(kappa < _SERIES, 1.0, kappa)
    trigamma = special.polygamma(1, nu / 2) - special.polygamma(1, (nu + 1) / 2)
    far = nu**4 * (trigamma / 4 - (nu + 5) / (2 * nu * (nu + 1) * (nu + 3)))
    return np.where(kappa < _SERIES, near, far)
