"""Laws of scipy.stats in forms that do not overflow, and the names of their limits."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from scipy import special, stats

__all__ = [
    "LIMITS",
    "common_ends",
    "describe_ends",
    "higher_limit",
    "invert",
    "log_of_share",
    "stable_law",
]

_HALVINGS = 120
_LOG_TINY = -460.0  # below it a gamma law is a power of x, to all digits


@cache
def stable_law(name: str) -> Any:
    """Return the distribution of scipy.stats of that name, computed without overflow.

    Parameters
    ----------
    name : str
        Of a univariate distribution of scipy.stats.

    Returns
    -------
    law : rv_continuous or None
        Its shapes are scipy's; None where scipy's own formulas do.
    """
    if name not in _LAWS:
        return None
    like = getattr(stats, name)
    return _LAWS[name](a=like.a, b=like.b, name=name, shapes=like.shapes)


def invert(
    law: Any, uniform: np.ndarray, shapes: Any, loc: Any, scale: Any, *, upper: bool = False
) -> np.ndarray:
    """Return quantiles found by bisection of the distribution function, (n, d).

    Parameters
    ----------
    law : rv_continuous
        Whose own quantiles fail.
    uniform : ndarray of shape (n, d)
        Probabilities.
    shapes : sequence of float or ndarray of shape (d,)
        Its shapes.
    loc, scale : float or ndarray of shape (d,)
        Its location and scale.
    upper : bool, default=False
        Whether the probabilities are those of larger values.

    Returns
    -------
    quantiles : ndarray of shape (n, d)
    """

    def is_below(z: np.ndarray) -> np.ndarray:
        return law.sf(z, *shapes) > uniform if upper else law.cdf(z, *shapes) < uniform

    low, high = (np.broadcast_to(end, uniform.shape) for end in law.support(*shapes))
    low, high = _bracket(is_below, low, high)
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2
        below = is_below(middle)
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return loc + scale * high


def _bracket(is_below: Any, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return finite ends about the quantiles, from those of the support."""
    start = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high, 0.0))
    step = np.ones_like(start)
    left = np.where(np.isfinite(low), low, start - step)
    right = np.where(np.isfinite(high), high, start + step)
    for _ in range(1020):
        short, far = is_below(right) & ~np.isfinite(high), ~is_below(left) & ~np.isfinite(low)
        if not (short | far).any():
            break
        step = 2 * step
        right, left = np.where(short, start + step, right), np.where(far, start - step, left)
    return left, right


def _softplus(t: Any) -> Any:
    return np.logaddexp(0.0, t)


def _log_expm1(y: Any) -> Any:
    """Return log(e^y - 1) for y > 0, with all digits at both ends."""
    return np.where(y < 1e-8, np.log(y) + y / 2, y + np.log(-np.expm1(-y)))


class _Burr12(stats.rv_continuous):
    """Burr's twelfth law, of survival (1 + x^c)^-d: powers of x are sums of logarithms.

    With ``_sign = -1`` the third, of distribution function (1 + x^-c)^-d: that of 1/x.
    """

    _sign = 1.0

    def _two(self, *shapes: Any) -> tuple[Any, Any]:
        """Return c and d."""
        return shapes[0], shapes[1]

    def _log_tail(self, x: Any, *shapes: Any) -> Any:
        """Return the logarithm of the closed form."""
        c, d = self._two(*shapes)
        return -d * _softplus(self._sign * c * np.log(x))

    def _place(self, depth: Any, *shapes: Any) -> Any:
        """Return where minus the logarithm of the closed form is `depth`."""
        c, d = self._two(*shapes)
        return np.exp(self._sign * _log_expm1(depth / d) / c)

    def _logpdf(self, x: Any, *shapes: Any) -> Any:
        c, d = self._two(*shapes)
        t = self._sign * c * np.log(x)
        inside = np.log(c) + np.log(d) - np.log(x) - d * _softplus(t) - _softplus(-t)
        power = c - 1 if self._sign > 0 else c * d - 1
        return np.where(x > 0, inside, np.log(c) + np.log(d) + special.xlogy(power, x))

    def _pdf(self, x: Any, *shapes: Any) -> Any:
        return np.exp(self._logpdf(x, *shapes))

    def _cdf(self, x: Any, *shapes: Any) -> Any:
        tail = self._log_tail(x, *shapes)
        return -np.expm1(tail) if self._sign > 0 else np.exp(tail)

    def _sf(self, x: Any, *shapes: Any) -> Any:
        tail = self._log_tail(x, *shapes)
        return np.exp(tail) if self._sign > 0 else -np.expm1(tail)

    def _ppf(self, q: Any, *shapes: Any) -> Any:
        return self._place(-np.log1p(-q) if self._sign > 0 else -np.log(q), *shapes)

    def _isf(self, q: Any, *shapes: Any) -> Any:
        return self._place(-np.log(q) if self._sign > 0 else -np.log1p(-q), *shapes)

    def _rvs(self, *shapes: Any, size: Any = None, random_state: Any = None) -> Any:
        return self._place(random_state.standard_exponential(size), *shapes)


class _Burr3(_Burr12):
    _sign = -1.0


class _Fisk(_Burr3):
    def _two(self, *shapes: Any) -> tuple[Any, Any]:
        return shapes[0], 1.0


class _Mielke(_Burr3):
    def _two(self, *shapes: Any) -> tuple[Any, Any]:
        k, s = shapes
        return s, k / s


class _GenLogistic(_Burr3):
    """The law of log x where x follows Burr's third law with c = 1."""

    def _log_tail(self, x: Any, *shapes: Any) -> Any:
        return -shapes[0] * _softplus(-x)

    def _place(self, depth: Any, *shapes: Any) -> Any:
        return -_log_expm1(depth / shapes[0])

    def _logpdf(self, x: Any, *shapes: Any) -> Any:
        return np.log(shapes[0]) - shapes[0] * _softplus(-x) - _softplus(x)


class _GenGamma(type(stats.gengamma)):  # type: ignore[misc]
    """Scipy's, in which x^c follows the gamma law and may underflow; its logarithm does not."""

    def _lower(self, x: Any, a: Any, c: Any) -> Any:
        """Return the probability that the gamma law gives to values below x^c."""
        log_x = np.log(x)
        near = np.exp(a * c * log_x - special.gammaln(a + 1))
        return np.where(c * log_x > _LOG_TINY, special.gammainc(a, np.exp(c * log_x)), near)

    def _upper(self, x: Any, a: Any, c: Any) -> Any:
        log_x = np.log(x)
        near = -np.expm1(a * c * log_x - special.gammaln(a + 1))
        return np.where(c * log_x > _LOG_TINY, special.gammaincc(a, np.exp(c * log_x)), near)

    def _cdf(self, x: Any, a: Any, c: Any) -> Any:
        return np.where(c > 0, self._lower(x, a, c), self._upper(x, a, c))

    def _sf(self, x: Any, a: Any, c: Any) -> Any:
        return np.where(c > 0, self._upper(x, a, c), self._lower(x, a, c))

    def _place(self, power: Any, log_q: Any, a: Any, c: Any) -> Any:
        """Return power^(1/c), where the gamma law gives exp(log_q) to values below `power`."""
        near = (log_q + special.gammaln(a + 1)) / a
        return np.exp(np.where(power > np.exp(_LOG_TINY), np.log(power), near) / c)

    def _ppf(self, q: Any, a: Any, c: Any) -> Any:
        power = np.where(c > 0, special.gammaincinv(a, q), special.gammainccinv(a, q))
        return self._place(power, np.where(c > 0, np.log(q), np.log1p(-q)), a, c)

    def _isf(self, q: Any, a: Any, c: Any) -> Any:
        power = np.where(c > 0, special.gammainccinv(a, q), special.gammaincinv(a, q))
        return self._place(power, np.where(c > 0, np.log1p(-q), np.log(q)), a, c)

    def _rvs(self, a: Any, c: Any, size: Any = None, random_state: Any = None) -> Any:
        log_power = np.log(random_state.standard_gamma(a + 1, size=size))
        return np.exp((log_power - random_state.standard_exponential(size) / a) / c)


class _ExponWeibull(type(stats.exponweib)):  # type: ignore[misc]
    """Scipy's, in which x^c may underflow; its logarithm does not."""

    def _logpdf(self, x: Any, a: Any, c: Any) -> Any:
        t = c * np.log(x)
        power = np.exp(t)
        below = np.where(t < -30, t - power / 2, np.log(-np.expm1(-power)))  # log(1 - e^-power)
        return np.log(a) + np.log(c) + (a - 1) * below - power + t - np.log(x)


class _ExponNorm(type(stats.exponnorm)):  # type: ignore[misc]
    """Scipy's, in which exp(1 / (2 K^2)) is taken back by a normal tail: here by their product.

    f = phi(x) m(1 / K - x) / K and F = phi(x) {m(-x) - m(1 / K - x)}, m being the ratio of a
    normal tail to its density (Mills): m(a) = sqrt(pi / 2) erfcx(a / sqrt(2)).
    """

    def _logpdf(self, x: Any, K: Any) -> Any:
        a = 1 / K - x
        # far out on the right the ratio overflows, and the tail is one
        ratio = special.erfcx(np.maximum(a, -20.0) / np.sqrt(2)) / 2
        right = special.log_ndtr(-a) + a * a / 2
        return np.where(a > -20, np.log(ratio), right) - x * x / 2 - np.log(K)

    def _pdf(self, x: Any, K: Any) -> Any:
        return np.exp(self._logpdf(x, K))

    def _cdf(self, x: Any, K: Any) -> Any:
        below = np.minimum(x, 0.0)
        ratios = special.erfcx(-below / np.sqrt(2)) - special.erfcx((1 / K - below) / np.sqrt(2))
        left = np.exp(-below * below / 2) * ratios / 2
        return np.where(x < 0, left, special.ndtr(x) - K * self._pdf(x, K))

    def _sf(self, x: Any, K: Any) -> Any:
        return special.ndtr(-x) + K * self._pdf(x, K)


_LAWS: dict[str, Any] = {
    "exponnorm": _ExponNorm,
    "burr12": _Burr12,
    "burr": _Burr3,
    "fisk": _Fisk,
    "mielke": _Mielke,
    "genlogistic": _GenLogistic,
    "gengamma": _GenGamma,
    "exponweib": _ExponWeibull,
}


def higher_limit(family: Any, statistics: Any, start: Any) -> dict[str, np.ndarray]:
    """Return a start of a search, or a limit of the family where the likelihood is higher there.

    The likelihood of a skew normal law, say, often has one maximum inside and a higher one at an
    infinite shape, which no search from moments finds.
    """
    for there in _limits_of_family(family.name, statistics.X, statistics.weight):
        if there.keys() == start.keys():
            gain = family.log_likelihood(statistics, there)
            higher = gain > family.log_likelihood(statistics, start)
            start = {k: np.where(higher, there[k], v) for k, v in start.items()}
    return dict(start)


def _limits_of_family(name: str, X: np.ndarray, weight: np.ndarray) -> list[dict[str, Any]]:
    """Return parameters far out, (d,) each, at which a family is as good as its limit.

    A half-normal law from either end of the column for the skew normal, and an exponential one for
    the exponentially modified normal.
    """
    ends = X.min(axis=0), X.max(axis=0)
    away = [np.abs(X - end) for end in ends]
    if name == "skewnorm":
        scales = [np.sqrt(weight @ gap**2 / weight.sum()) for gap in away]
        parts = zip((1.0, -1.0), ends, scales)
        # so near to the end that nothing is lost but a share of 1e-5
        return [
            {"a": np.full(s.shape, sign * _OUT), "loc": end - sign * 1e-5 * s, "scale": s}
            for sign, end, s in parts
        ]
    if name == "exponnorm":
        mean = weight @ away[0] / weight.sum()
        return [{"K": np.full(mean.shape, _OUT), "loc": ends[0], "scale": mean / _OUT}]
    return []


_OUT = 2e6

# What a family becomes as a shape goes to infinity or zero, by its name, the shape and the end.
LIMITS = {
    "alpha a 0": "that of 1/|z|, z normal (invgamma with a = 1/2)",
    "beta a inf": "the normal one",
    "betabinom a inf": "the binomial one, with p = a / (a + b)",
    "betabinom b inf": "the binomial one, with p = a / (a + b)",
    "betanbinom a inf": "the negative binomial one, with p = a / (a + b)",
    "betanbinom b inf": "the negative binomial one, with p = a / (a + b)",
    "betaprime b inf": "the gamma one",
    "betaprime a inf": "the inverse gamma one (invgamma)",
    "burr c inf": "the power one (powerlaw)",
    "burr d inf": "the inverse Weibull one (invweibull)",
    "burr12 c inf": "the Pareto one",
    "burr12 d 0": "the Pareto one",
    "burr12 d inf": "the Weibull one (weibull_min)",
    "crystalball beta inf": "the normal one",
    "exponnorm K 0": "the normal one",
    "exponnorm K inf": "the exponential one, from loc on",
    "exponweib a inf": "the inverse Weibull or the lognormal one",
    "f dfd inf": "the chi-squared one over its degrees of freedom (a gamma distribution)",
    "f dfn inf": "that of the inverse of chi-squared (invgamma)",
    "foldcauchy c 0": "the half-Cauchy one (halfcauchy)",
    "foldnorm c 0": "the half-normal one (halfnorm)",
    "genextreme c 0": "Gumbel's (gumbel_r)",
    "gengamma a inf": "the lognormal one",
    "genhalflogistic c 0": "the half-logistic one (halflogistic)",
    "genhyperbolic a inf": "the normal one",
    "genlogistic c inf": "Gumbel's (gumbel_r)",
    "gennorm beta inf": "the uniform one",
    "genpareto c 0": "the exponential one",
    "jf_skew_t a inf": "the normal one",
    "jf_skew_t b inf": "the normal one",
    "johnsonsb b inf": "the normal or the lognormal one",
    "johnsonsu a inf": "the normal or the lognormal one",
    "johnsonsu b inf": "the normal or the lognormal one",
    "loggamma c inf": "the normal one",
    "lomax c inf": "the exponential one",
    "nbinom n inf": "the Poisson one",
    "nct df inf": "the normal one",
    "ncx2 nc 0": "the chi-squared one (chi2)",
    "norminvgauss a inf": "the normal one",
    "pearson3 skew 0": "the normal one",
    "rice b 0": "Rayleigh's (rayleigh)",
    "skellam mu1 0": "that of minus a Poisson count",
    "skellam mu2 0": "the Poisson one",
    "skewnorm a inf": "the half-normal one (halfnorm), whose end is at loc",
    "t df inf": "the normal one",
}


# Of any law.


def log_of_share(share: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return the logarithm of a share, of the smaller of it and the rest."""
    with np.errstate(divide="ignore"):
        return np.where(share < 0.5, np.log(share), np.log1p(-rest))


def describe_ends(low: float, high: float, discrete: bool) -> str:
    """Return in words what every value in the support is."""
    kind = "whole numbers" if discrete else "numbers"
    if np.isfinite(low) and np.isfinite(high):
        return f"{kind} from {low:g} to {high:g}" if discrete else f"{kind} in ({low:g}, {high:g})"
    if np.isfinite(low):
        return f"{kind} {'>=' if discrete else '>'} {low:g}"
    if np.isfinite(high):
        return f"{kind} {'<=' if discrete else '<'} {high:g}"
    return "whole numbers" if discrete else "finite numbers"


def common_ends(
    distribution: Any, shapes: list[Any], fixed: Mapping[str, float]
) -> tuple[float, float]:
    """Return the ends of the standard support that no shape moves; infinite where there is none."""
    found = []
    for k in range(3):
        # apart from each other, where shapes must be ordered
        values = [fixed.get(s.name, s.examples[k] + 0.1 * i) for i, s in enumerate(shapes)]
        with np.errstate(all="ignore"):
            low, high = distribution.support(*values)
        if not (np.isnan(low) or np.isnan(high)):
            found.append((float(low), float(high)))
    lows, highs = {low for low, _ in found}, {high for _, high in found}
    return (
        lows.pop() if len(lows) == 1 else -np.inf,
        highs.pop() if len(highs) == 1 else np.inf,
    )
