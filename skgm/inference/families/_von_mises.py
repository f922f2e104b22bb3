"""The von Mises family of angles."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from skgm._numerics.roots import find_root
from skgm._numerics.special import bessel_gap, bessel_slope
from skgm.inference._likelihood.inversion import Profile
from skgm.inference.families._base import Interval, Parameter, Params, SpecialNull
from skgm.inference.families._natural import (
    METHODS,
    ModifiedRoot,
    NaturalFamily,
    follow,
)
from skgm.inference.families._statistics import check_not_constant, reduce_chunks

__all__ = [
    "AngularMoments",
    "ResultantLength",
    "UniformAngles",
    "VonMises",
    "circular_ends",
    "circular_search",
    "concentration_interval",
]

# Replicates of a direction jump at the cut, and the mean of its likelihood ratio has no expansion
# where whole circles are possible: neither bootstrap nor Bartlett's correction.
_DIRECTION_METHODS = tuple(m for m in METHODS if m not in ("bootstrap", "bartlett"))
_MAX_STEPS = 60
# The exact distribution is used up to here: beyond, its series cancels, and r* is as good.
_EXACT_KAPPA, _EXACT_RAYLEIGH = 2.0, 10.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_REACH = 12.0  # standard deviations beyond which the density is below 1e-31 of its peak


@dataclass(frozen=True)
class AngularMoments:
    """Number of rows, mean directions, and mean versines about them.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    direction : ndarray of shape (d,)
        Directions of the mean vectors, in (-pi, pi].
    versine : ndarray of shape (d,)
        1 minus the lengths of the mean vectors: means of 1 - cos(x - direction).
    """

    n: float
    direction: np.ndarray
    versine: np.ndarray

    @classmethod
    def from_chunk(cls, X: np.ndarray, weight: np.ndarray | None = None) -> "AngularMoments":
        """Summarize rows of angles X, (m, d), with their weights."""
        weight = np.ones(len(X)) if weight is None else weight
        direction = np.arctan2(weight @ np.sin(X), weight @ np.cos(X))
        n = float(weight.sum())
        return cls(n, direction, weight @ _versine(X - direction) / n)

    def __add__(self, other: "AngularMoments") -> "AngularMoments":
        n = self.n + other.n
        apart = other.direction - self.direction
        mine, others = self.n * (1 - self.versine), other.n * (1 - other.versine)
        turn = np.arctan2(others * np.sin(apart), mine + others * np.cos(apart))
        versine = np.zeros_like(turn)
        for part, angle in ((self, turn), (other, turn - apart)):
            versine += (part.versine + (1 - part.versine) * _versine(angle)) * (part.n / n)
        return AngularMoments(n, _wrap(self.direction + turn), versine)

    @property
    def length(self) -> np.ndarray:
        """Lengths of the mean vectors, (d,)."""
        return 1 - self.versine

    def versine_about(self, mu: np.ndarray) -> np.ndarray:
        """Return the means of 1 - cos(x - mu)."""
        return np.asarray(self.versine + self.length * _versine(mu - self.direction))


class UniformAngles(SpecialNull):
    r"""The null that angles are uniform, in some columns: kappa = 0, where mu has no meaning.

    In :math:`\kappa (\cos\mu, \sin\mu)` it is an inner point, and regular: the score test is
    Rayleigh's, and it and the likelihood ratio have two degrees of freedom a column (Mardia and
    Jupp, "Directional Statistics", Wiley, 2000, section 6.3).

    Parameters
    ----------
    columns : ndarray of bool, shape (d,)
        Which columns.
    """

    name = "uniform angles"

    def __init__(self, columns: np.ndarray) -> None:
        self.columns, self.df = columns, 2 * int(columns.sum())

    def scores(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores (n, 2 c) of kappa (cos mu, sin mu) at zero and their information."""
        chosen = X[:, self.columns]
        psi = np.hstack([np.cos(chosen), np.sin(chosen)])
        return psi, np.eye(psi.shape[1]) / 2

    def score_statistic(self, statistics: Any) -> float:
        """Return 2 n R^2, summed over columns, R being the lengths of the mean vectors."""
        return float(2 * statistics.n * np.sum(statistics.length[self.columns] ** 2))


class VonMises(NaturalFamily):
    r"""Von Mises distribution of angles with mean direction mu and concentration kappa.

    .. math:: \log p(x) = \kappa \cos(x - \mu) - \log\{2\pi I_0(\kappa)\}, \quad -\pi < x \le \pi

    Notes
    -----
    Angles are radians in (-pi, pi]; wrap others with ``np.angle(np.exp(1j * x))``. Intervals of mu
    lie around the estimate and may reach beyond pi: (2.9, 3.5) crosses the cut. Where the data do
    not rule out any direction the interval is the whole circle, estimate -+ pi. The lower end for
    kappa is zero where uniform angles are not ruled out; there r* is conservative, and the default
    is the exact distribution of the resultant length.

    References
    ----------
    K. V. Mardia and P. E. Jupp, "Directional Statistics", Wiley, 2000, chapter 5.
    """

    name = "von_mises"
    aliases = ("vonmises",)
    support = "circle"
    parameters = (
        Parameter("mu", methods=_DIRECTION_METHODS, auto="rstar", aliases=("loc",)),
        Parameter(
            "kappa",
            low=0.0,
            link="log",
            methods=(*_DIRECTION_METHODS, "exact"),
            auto="exact",
            at_low="Uniform angles: use score_test or likelihood_ratio_test, mu being free.",
        ),
    )
    statistics_type = AngularMoments

    def special_null(self, values: Params) -> UniformAngles | None:
        """Return the null of uniform angles where kappa is held at zero.

        Raises
        ------
        ValueError
            The null says more than that: a direction, or another concentration elsewhere.
        """
        kappa = values["kappa"]
        if not (kappa == 0).any():
            return None
        if not np.isnan(values["mu"]).all() or (kappa > 0).any():
            raise ValueError(
                "null['kappa'] = 0 says that angles are uniform, without a direction: restrict "
                "nothing beside it (NaN for the columns that are free)."
            )
        return UniformAngles(kappa == 0)

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> AngularMoments:
        """Return mean directions and versines."""
        return reduce_chunks(AngularMoments.from_chunk, X, weight)

    def check_statistics(self, statistics: AngularMoments, names: list[str]) -> None:
        """Raise for constant columns."""
        why = "the likelihood grows without bound as kappa grows"
        check_not_constant(self.name, np.sqrt(statistics.versine), statistics.n, names, why)

    def restricted_estimate(
        self, statistics: AngularMoments, null: Params
    ) -> dict[str, np.ndarray]:
        """Return the estimate with the entries of `null` held fixed."""
        held, zero = ~np.isnan(null["mu"]), np.zeros_like(statistics.direction)
        mu = np.where(held, null["mu"], statistics.direction) + zero
        kappa = null["kappa"] + zero
        if np.isnan(kappa).any():
            versine = statistics.versine_about(mu) if held.any() else statistics.versine
            kappa = np.where(np.isnan(kappa), _concentration(versine), kappa)
        return {"mu": mu, "kappa": kappa}

    def log_likelihood(self, statistics: AngularMoments, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        kappa = params["kappa"]
        fit = kappa * statistics.versine_about(params["mu"]) + _log_norm(kappa)
        return np.asarray(-statistics.n * fit)

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n, d), -inf outside (-pi, pi]."""
        kappa = params["kappa"]
        fit = kappa * _versine(X - params["mu"]) + _log_norm(kappa)
        return np.where(_on_circle(X), -fit, -np.inf)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the probability of (-pi, x], (n, d), by quadrature."""
        mu, kappa = params["mu"], params["kappa"]
        x = np.clip(X, -np.pi, np.pi)
        return _unwound(x - mu, kappa) - _unwound(-np.pi - mu, kappa)

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return kappa sin(x - mu) and cos(x - mu) - A(kappa), (n, d, 2)."""
        kappa, y = params["kappa"], X - params["mu"]
        return np.stack([kappa * np.sin(y), bessel_gap(kappa) - _versine(y)], axis=-1)

    def mean_score(self, statistics: AngularMoments, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 2)."""
        mu, kappa = params["mu"], params["kappa"]
        pull = kappa * statistics.length * np.sin(statistics.direction - mu)
        return np.stack([pull, bessel_gap(kappa) - statistics.versine_about(mu)], axis=-1)

    def information(self, params: Params) -> np.ndarray:
        """Return diag(kappa A, A'), (d, 2, 2), with A the ratio of Bessel functions."""
        kappa = params["kappa"]
        zero = np.zeros_like(kappa)
        return _matrix(kappa * (1 - bessel_gap(kappa)), zero, zero, bessel_slope(kappa))

    def observed_information(self, statistics: AngularMoments, params: Params) -> np.ndarray:
        """Return minus the mean Hessian, (d, 2, 2)."""
        mu, kappa = params["mu"], params["kappa"]
        cross = -statistics.length * np.sin(statistics.direction - mu)
        along = kappa * (1 - statistics.versine_about(mu))
        return _matrix(along, cross, cross, bessel_slope(kappa))

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return the roots of the inverse diagonal of the information."""
        kappa = params["kappa"]
        pull = kappa * (1 - bessel_gap(kappa))
        with np.errstate(divide="ignore"):
            return {"mu": 1 / np.sqrt(n * pull), "kappa": 1 / np.sqrt(n * bessel_slope(kappa))}

    def canonical(
        self, statistics: AngularMoments, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return kappa (sin, -versine) of mu - direction, and kappa's share of the latter.

        Natural for sine and cosine about the mean direction, in coordinates whose origin moves
        with nothing but the statistics.
        """
        kappa, y = params["kappa"], params["mu"] - statistics.direction
        sine, cosine = np.sin(y), np.cos(y)
        phi = np.stack([kappa * sine, kappa * cosine], axis=-1)
        return phi, _matrix(kappa * cosine, sine, -kappa * sine, cosine)

    def standardized(
        self, name: str, statistics: AngularMoments, estimate: Params, restricted: Params
    ) -> np.ndarray:
        """Return q of eq. rstar."""
        top, kappa, n = estimate["kappa"], restricted["kappa"], statistics.n
        slope = bessel_slope(top)
        if name == "mu":
            root = np.sqrt(n * top * statistics.length * slope / bessel_slope(kappa))
            return np.asarray(np.sin(estimate["mu"] - restricted["mu"]) * root)
        return np.asarray((top - kappa) * np.sqrt(kappa / top * n * slope))

    def rstar_interval(
        self, name: str, statistics: AngularMoments, params: Params, level: float
    ) -> Interval:
        profile = Profile(self, name, statistics, params)
        return circular_ends(ModifiedRoot(self, profile), profile, level)

    def profile_interval(
        self, name: str, statistics: AngularMoments, params: Params, level: float
    ) -> Interval:
        profile = Profile(self, name, statistics, params)
        return circular_ends(profile.root, profile, level)

    def score_interval(
        self, name: str, statistics: AngularMoments, params: Params, level: float
    ) -> Interval:
        """Return the values around the estimate that the score test does not reject."""
        profile = Profile(self, name, statistics, params)

        def root(value: np.ndarray) -> np.ndarray:
            restricted, _ = profile.at(value)
            mu, kappa = restricted["mu"], restricted["kappa"]
            if name == "kappa":
                gap = statistics.versine - bessel_gap(kappa)
                return np.asarray(-gap * np.sqrt(statistics.n / bessel_slope(kappa)))
            sine = np.sin(statistics.direction - mu)
            with np.errstate(invalid="ignore", divide="ignore"):
                share = np.where(kappa > 1e-8, kappa / (1 - bessel_gap(kappa)), 2.0)
            return np.asarray(statistics.length * sine * np.sqrt(statistics.n * share))

        return circular_search(root, profile, level)

    def exact_interval(
        self, name: str, statistics: AngularMoments, params: Params, level: float
    ) -> Interval:
        """Return the interval of kappa from the exact distribution of the resultant length.

        It takes over from r* where the angles are hardly concentrated; r* is right to three digits
        elsewhere, and stands in where weights are not whole numbers. Angles more evenly spread
        than chance spreads uniform ones give the short interval from zero to the estimate.
        """
        n, estimate = statistics.n, params["kappa"]
        usable = (estimate <= _EXACT_KAPPA) & (n * statistics.length**2 <= _EXACT_RAYLEIGH)
        usable &= n == round(n)
        low, high = np.zeros_like(estimate), np.zeros_like(estimate)
        for part, exact in ((usable, True), (~usable, False)):
            if not part.any():
                continue
            some = AngularMoments(n, statistics.direction[part], statistics.versine[part])
            inside = {name: value[part] for name, value in params.items()}
            if exact:
                error = 1 / np.sqrt(n * bessel_slope(inside["kappa"]))
                ends = concentration_interval(round(n), some.length, inside["kappa"], error, level)
            else:
                ends = self.rstar_interval("kappa", some, inside, level)
            low[part], high[part] = ends
        return low, high

    def mean(self, params: Params) -> np.ndarray:
        """Return the mean direction, (d,)."""
        return params["mu"]

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        mu, kappa = params["mu"], params["kappa"]
        # numpy's angles lie in [-pi, pi]; beyond 1e6 it switches to a normal of its own accord
        return _wrap(mu + rng.vonmises(0.0, kappa, size=(n_samples, len(mu))))

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return -kappa sin(x - mu), (n, d) (zero outside the support)."""
        return np.where(_on_circle(X), -params["kappa"] * np.sin(X - params["mu"]), 0.0)


def _versine(x: np.ndarray) -> np.ndarray:
    """Return 1 - cos x."""
    return np.asarray(2 * np.sin(x / 2) ** 2)


def _wrap(x: np.ndarray) -> np.ndarray:
    """Return angles in (-pi, pi]; those already there keep their digits."""
    return np.where(_on_circle(x), x, np.pi - np.mod(np.pi - x, 2 * np.pi))


def _on_circle(x: np.ndarray) -> np.ndarray:
    return np.asarray((x > -np.pi) & (x <= np.pi))


def _log_norm(kappa: np.ndarray) -> np.ndarray:
    """Return log{2 pi I_0(kappa)} - kappa."""
    return np.asarray(np.log(2 * np.pi * special.i0e(kappa)))


def _concentration(versine: np.ndarray) -> np.ndarray:
    """Return kappa with 1 - A(kappa) = versine, zero where the versine is one or more."""
    length = np.clip(1 - versine, 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = length * (2 - length**2) / (np.minimum(versine, 1.0) * (1 + length))
        for _ in range(_MAX_STEPS):
            step = (bessel_gap(kappa) - versine) / bessel_slope(kappa)
            kappa = np.maximum(kappa + step, kappa / 4)
            if not (np.abs(step) > 1e-8 * kappa)[length > 0].any():
                break
    return np.where(length > 0, kappa, 0.0)


def _unwound(y: np.ndarray, kappa: np.ndarray) -> np.ndarray:
    """Return the integral of the density about zero from zero to y, any number of turns."""
    turns = np.round(y / (2 * np.pi))
    rest = y - 2 * np.pi * turns
    end = np.minimum(np.abs(rest), _REACH / np.sqrt(np.maximum(kappa, 1e-300)))
    half = end[..., None] / 2
    angles = half * (_NODES + 1)
    density = np.exp(-kappa[..., None] * _versine(angles) - _log_norm(kappa)[..., None])
    return np.asarray(turns + np.sign(rest) * np.sum(half * _WEIGHTS * density, axis=-1))


def _matrix(aa: np.ndarray, ab: np.ndarray, ba: np.ndarray, bb: np.ndarray) -> np.ndarray:
    return np.stack([np.stack([aa, ab], axis=-1), np.stack([ba, bb], axis=-1)], axis=-2)


# Ends of intervals for angles: arcs that may close to a circle, and concentrations from zero.


def circular_ends(root: Any, profile: Profile, level: float) -> Interval:
    """Return the interval by the secant rule where that works, and by a bracketed search."""
    circular = profile.name == "mu"
    found = follow(root, profile, level)
    if found is not None and (not circular or (found[1] - found[0] < 3).all()):
        return found
    again = Profile(profile.family, profile.name, profile.statistics, profile.params)
    root = again.root if root == profile.root else ModifiedRoot(profile.family, again)
    return circular_search(root, again, level)


def circular_search(root: Any, profile: Profile, level: float) -> Interval:
    """Return the interval of mu, around the circle, or of kappa, by a bracketed search."""
    return (_arc if profile.name == "mu" else _concentrations)(root, profile, level)


def _arc(root: Any, profile: Profile, level: float) -> Interval:
    """Return the arc around the mean direction on which `root` is not extreme.

    Beyond a right angle the restricted kappa is zero and the data have no more to say: an arc that
    reaches so far is the whole circle.
    """
    quantile = special.ndtri((1 + level) / 2)
    mu, n = profile.params["mu"], profile.statistics.n

    def excess(width: np.ndarray) -> np.ndarray:
        return np.asarray(root(mu - width) - quantile)

    quarter = np.full(mu.shape, np.pi / 2)
    whole = excess(quarter) <= 0
    with np.errstate(divide="ignore"):
        near = 8 / np.sqrt(n * profile.params["kappa"] * profile.statistics.length)
    far = np.where(near < quarter, near, quarter)
    far = np.where(excess(far) > 0, far, quarter)
    width = find_root(excess, np.where(whole, quarter, 0.0), far)
    width = np.where(whole, np.pi, width)
    return mu - width, mu + width


def _concentrations(root: Any, profile: Profile, level: float) -> Interval:
    """Return the concentrations around the estimate at which `root` is not extreme.

    Close to zero r* turns back: its first crossing is the end, or zero where there is none.
    """
    quantile = special.ndtri((1 + level) / 2)
    kappa, n = profile.params["kappa"], profile.statistics.n

    def below(value: np.ndarray) -> np.ndarray:
        return np.asarray(root(value) - quantile)

    def above(value: np.ndarray) -> np.ndarray:
        return np.asarray(-root(value) - quantile)

    shares = 0.8 ** np.arange(1, 40)[:, None]
    low = _first_crossing(below, kappa, kappa * shares)
    step = np.minimum(1 / np.sqrt(n * bessel_slope(kappa)), kappa + 1)
    high = _first_crossing(above, kappa, kappa + step * 2.0 ** np.arange(-1, 60)[:, None])
    return np.where(np.isnan(low), 0.0, low), high


def _first_crossing(excess: Any, start: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return where `excess` first turns positive along a grid (m, d) from `start`; NaN: nowhere.

    It may be so at `start`: at low levels the ends of a corrected interval need not hold the
    estimate between them. `start` is then the end.
    """
    grid = np.concatenate([start[None, :], grid])
    with np.errstate(all="ignore"):
        positive = excess(grid) > 0
    first, columns = positive.argmax(axis=0), np.arange(len(start))
    none = ~positive.any(axis=0)
    outer = grid[first, columns]
    inner = np.where(first > 0, grid[first - 1, columns], outer)
    with np.errstate(all="ignore"):
        found = find_root(excess, inner, np.where(none, inner, outer))
    return np.where(none, np.nan, found)


# The exact distribution of the resultant length of von Mises angles.
#
# The length R of the sum of n unit vectors has, with concentration kappa, the density I_0(kappa
# R) / I_0(kappa)^n times that of uniform angles, and the latter is a Fourier-Bessel series on the
# disc of radius n (J. C. Kluyver, "A local probability problem", Proceedings of the Royal Academy
# of Amsterdam 8, 1905). Its integral is a series of the same kind, by Lommel's integral.

_N_TERMS = 4000  # the terms fall as k^-(n + 1)/2, with alternating signs
_COLUMNS = 256  # at a time
_MAX_DOUBLINGS = 60


def _zeros_of_j0(count: int) -> np.ndarray:
    """Return the first zeros of J_0: McMahon's expansion, then Newton's steps."""
    x = (np.arange(1, count + 1) - 0.25) * np.pi
    x = x + 1 / (8 * x) - 31 / (384 * x**3)
    for _ in range(3):
        x = x + special.j0(x) / special.j1(x)
    return x


class ResultantLength:
    """Distribution function at given resultants, as a function of kappa.

    Parameters
    ----------
    n : int
        Number of angles.
    resultant : ndarray of shape (d,)
        Resultant lengths, 0 <= R < n.
    """

    def __init__(self, n: int, resultant: np.ndarray) -> None:
        zeros = _zeros_of_j0(_N_TERMS)
        frequency = zeros / n
        weight = special.j0(frequency) ** n / special.j1(zeros) ** 2 * (2 / n**2)
        keep = np.abs(weight) > 1e-25
        keep[:10] = True
        self.n, self.resultant = n, resultant
        frequency, weight = frequency[keep], weight[keep]
        at = resultant[:, None] * frequency
        self._square = frequency**2
        self._even = weight * special.j0(at)
        self._odd = weight * frequency * special.j1(at)

    def cdf(self, kappa: np.ndarray) -> np.ndarray:
        """Return P(length <= resultant) at concentrations kappa, (d,)."""
        x = kappa * self.resultant
        # scaled Bessel functions: exp(x - n kappa) is left over
        scale = np.exp(x - self.n * kappa) / special.i0e(kappa) ** self.n * self.resultant
        shares = 1 / (kappa[:, None] ** 2 + self._square)
        even = np.einsum("dk,dk->d", self._even, shares) * kappa * special.i1e(x)
        odd = np.einsum("dk,dk->d", self._odd, shares) * special.i0e(x)
        return np.clip(scale * (even + odd), 0.0, 1.0)


def concentration_interval(
    n: int, length: np.ndarray, estimate: np.ndarray, error: np.ndarray, level: float
) -> Interval:
    """Return the concentrations at which neither tail of the resultant is below (1 - level) / 2.

    Parameters
    ----------
    n : int
        Number of angles.
    length : ndarray of shape (d,)
        Mean resultant lengths.
    estimate, error : ndarray of shape (d,)
        Estimates of kappa, which the interval holds in any case, and their standard errors.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)
        The lower end is zero where uniform angles are not ruled out.
    """
    ends = []
    for first in range(0, len(length), _COLUMNS):
        part = slice(first, first + _COLUMNS)
        law = ResultantLength(n, n * length[part])
        ends.append(_ends(law, estimate[part], error[part], (1 - level) / 2))
    low, high = (np.concatenate(side) for side in zip(*ends))
    return low, high


def _ends(
    law: ResultantLength, estimate: np.ndarray, error: np.ndarray, tail: float
) -> tuple[np.ndarray, np.ndarray]:
    zero = np.zeros_like(estimate)

    def above(kappa: np.ndarray) -> np.ndarray:
        return law.cdf(kappa) - tail

    def below(kappa: np.ndarray) -> np.ndarray:
        return law.cdf(kappa) - (1 - tail)

    far = estimate + error
    for _ in range(_MAX_DOUBLINGS):
        short = above(far) > 0
        if not short.any():
            break
        far = np.where(short, 2 * far, far)
    none, uniform = above(zero) <= 0, below(zero) <= 0
    high = np.where(none, 0.0, find_root(above, zero, np.where(none, 0.0, far)))
    low = np.where(uniform, 0.0, find_root(below, zero, np.where(uniform, 0.0, far)))
    return np.minimum(low, estimate), np.maximum(high, estimate)
