r"""Families of a column x of which a monotone function t(x) has a known family.

.. math:: \log p(x; \theta) = \log f\{t(x); \eta(\theta)\} + \log|t'(x)|

The map t holds no parameter, and each entry of eta is a monotone function of one entry of theta.
Likelihood ratios, score statistics and r* then are those of the known family, and so are the
intervals, mapped back.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy import special

from skgm.inference.families._base import (
    Family,
    Interval,
    Parameter,
    Params,
    SpecialCase,
    reciprocal,
)
from skgm.inference.families._exponential import Exponential
from skgm.inference.families._extreme_value import GumbelMin
from skgm.inference.families._logistic import Logistic
from skgm.inference.families._normal import Normal

__all__ = [
    "LOG",
    "RECIPROCAL",
    "SAME",
    "LogLogistic",
    "LogNormal",
    "Map",
    "Pareto",
    "Transformed",
    "Weibull",
]


class Map(NamedTuple):
    """A smooth monotone function, of values of a column or of a parameter.

    Attributes
    ----------
    forward, inverse : callable
        The function and its inverse, on arrays.
    slope, bend : callable
        Its first two derivatives. The map of a column needs no `bend`, and must rise.
    log_slope : tuple of float
        a and b where the logarithm of the slope is a + b t(x): for maps of a column.
    """

    forward: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    slope: Callable[[Any], Any]
    bend: Callable[[Any], Any] = np.zeros_like
    log_slope: tuple[float, float] = (0.0, 0.0)


def _logarithm(x: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(x, 0))


SAME = Map(np.asarray, np.asarray, np.ones_like)
LOG = Map(_logarithm, np.exp, lambda x: 1 / x, lambda x: -(x**-2.0), (0.0, -1.0))
RECIPROCAL = Map(lambda x: 1 / x, lambda x: 1 / x, lambda x: -(x**-2.0), lambda x: 2 * x**-3.0)


def parameters_of(
    base: Family, links: Mapping[str, tuple[str, Map]], **aliases: tuple[str, ...]
) -> tuple[Parameter, ...]:
    """Return the parameters of a transformed family, with the interval methods of its base's.

    Parameters
    ----------
    base : Family
        The known family.
    links : mapping of str to (str, Map)
        As in `Transformed`.
    **aliases : tuple of str
        Other names of the parameters.
    """
    found = []
    for name, (source, link) in links.items():
        old = base.parameter(source)
        if link is SAME:
            new = replace(old, name=name, aliases=())
        else:  # a location in logarithms, or the reciprocal of a scale
            new = Parameter(name, 0.0, link="log", methods=old.methods, auto=old.auto)
        found.append(replace(new, aliases=aliases.get(name, ())))
    return tuple(found)


class Transformed(Family):
    """A columnwise family of x, by the known family of a monotone function t(x).

    A subclass sets `name`, `support`, `base`, `links` and `parameters`, and its `map` where that
    is not the logarithm. The family of t(x) must know its expected information.

    Attributes
    ----------
    base : Family
        The family of t(x).
    map : Map
        The function t, rising; its logarithmic slope is linear in t.
    links : mapping of str to (str, Map)
        From each parameter, in order, to the parameter of `base` that is a function of it.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm.inference import MLEDensity
    >>> from skgm.inference.families import Laplace
    >>> from skgm.inference.families._transformed import SAME, Transformed, parameters_of
    >>> class LogLaplace(Transformed):
    ...     name, support, base = "log_laplace", "positive", Laplace()
    ...     links = {"loc": ("loc", SAME), "scale": ("scale", SAME)}
    ...     parameters = parameters_of(base, links)
    >>> model = MLEDensity(LogLaplace()).fit(np.exp([[1.0], [2.0], [6.0]]))
    >>> round(model.params_["loc"], 6), round(model.params_["scale"], 6)
    (2.0, 1.666667)
    """

    base: Family
    map: Map = LOG
    links: ClassVar[Mapping[str, tuple[str, Map]]]

    @property
    def statistics_type(self) -> Any:  # type: ignore[override]
        """The statistics of t(x)."""
        return self.base.statistics_type

    @property
    def one_maximum(self) -> bool:  # type: ignore[override]
        """As the known family."""
        return self.base.one_maximum

    @property
    def ratio_law(self) -> str | None:  # type: ignore[override]
        """As the known family: the same likelihood ratios."""
        return self.base.ratio_law

    @property
    def from_location_scale(self) -> Callable[..., dict[str, np.ndarray]]:
        """The parameters from location and scale of t(x); none where the base is no such family."""
        inner = self.base.from_location_scale  # type: ignore[attr-defined]
        return lambda location, scale: self.own(inner(location, scale))

    def known(self, params: Params) -> dict[str, Any]:
        """Return the parameters of the known family, NaN where these are."""
        with np.errstate(all="ignore"):
            return {
                source: link.forward(np.asarray(params[name], dtype=np.float64))
                for name, (source, link) in self.links.items()
            }

    def own(self, known: Params) -> dict[str, np.ndarray]:
        """Return the parameters from those of the known family."""
        return {
            name: np.asarray(link.inverse(known[source]))
            for name, (source, link) in self.links.items()
        }

    def _slopes(self, params: Params) -> np.ndarray:
        """Return d eta / d theta, (d, k), in the order of `parameters`."""
        parts = [link.slope(np.asarray(params[k])) for k, (_, link) in self.links.items()]
        return np.stack(parts, axis=-1)

    @property
    def _order(self) -> np.ndarray:
        """Positions of the parameters among those of the known family."""
        names = [parameter.name for parameter in self.base.parameters]
        return np.array([names.index(source) for source, _ in self.links.values()])

    def _block(self, matrix: np.ndarray) -> np.ndarray:
        order = self._order
        return matrix[..., order[:, None], order]

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Let errors name this family instead of the known one."""
        try:
            yield
        except ValueError as error:
            text = str(error).replace(f"The {self.base.name} ", f"The {self.name} ")
            raise ValueError(text) from error

    def _t(self, X: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.map.forward(X))

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Any:
        """Return the known family's statistics of t(x)."""
        return self.base.summarize(self._t(X.astype(np.float64, copy=False)), weight)

    def check_statistics(self, statistics: Any, names: list[str]) -> None:
        """Raise for the columns that the known family has no estimate for."""
        with self._named():
            self.base.check_statistics(statistics, names)

    def estimate(self, statistics: Any) -> dict[str, np.ndarray]:
        with self._named():
            return self.own(self.base.estimate(statistics))

    def restricted_estimate(self, statistics: Any, null: Params) -> dict[str, np.ndarray]:
        with self._named():
            found = self.own(self.base.restricted_estimate(statistics, self.known(null)))
        return _keep(null, found)

    def restricted_near(self, statistics: Any, null: Params, near: Params) -> dict[str, np.ndarray]:
        both = self.known(null), self.known(near)
        with self._named():
            return _keep(null, self.own(self.base.restricted_near(statistics, *both)))

    def _jacobian(self, statistics: Any) -> np.ndarray:
        """Return the mean of log |t'(x)|, (d,)."""
        constant, rate = self.map.log_slope
        return constant + rate * statistics.total / statistics.n

    def log_likelihood(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        height = self.base.log_likelihood(statistics, self.known(params))
        return height + statistics.n * self._jacobian(statistics)

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n, d), -inf outside the support."""
        inside, t = self.inside(X), self._t(X)
        constant, rate = self.map.log_slope
        with np.errstate(invalid="ignore"):
            log_density = self.base.log_density(t, self.known(params)) + (constant + rate * t)
        return np.where(inside, log_density, -np.inf)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        return self.base.cdf(self._t(X), self.known(params))

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        return self.base.log_tails(self._t(X), self.known(params))

    def quantile(self, q: np.ndarray, params: Params) -> np.ndarray:
        return np.asarray(self.map.inverse(self.base.quantile(q, self.known(params))))

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        return self.map.inverse(self.base.sample(self.known(params), n_samples, rng))

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the scores, (n, d, k)."""
        known = self.base.score(self._t(X), self.known(params))
        return known[..., self._order] * self._slopes(params)

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the gradient with respect to x: (g'(t) + b) t', as log t' is a + b t."""
        inside = self.inside(X)
        pull = self.base.score_function(self._t(X), self.known(params)) + self.map.log_slope[1]
        with np.errstate(invalid="ignore"):
            return np.where(inside, pull * self.map.slope(np.where(inside, X, 1.0)), 0.0)

    def mean_score(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, k)."""
        known = self.base.mean_score(statistics, self.known(params))
        return known[..., self._order] * self._slopes(params)

    def information(self, params: Params) -> np.ndarray:
        """Return the expected information per observation, (d, k, k)."""
        slopes = self._slopes(params)
        known = self._block(self.base.information(self.known(params)))
        return known * slopes[..., :, None] * slopes[..., None, :]

    def observed_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return minus the mean Hessian, (d, k, k)."""
        return self.expansion(statistics, params)[2]

    def expansion(
        self, statistics: Any, params: Params
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean log-likelihood, mean score and observed information, by the chain rule."""
        slopes, k = self._slopes(params), np.arange(len(self.links))
        bends = [link.bend(np.asarray(params[name])) for name, (_, link) in self.links.items()]
        height, score, information = self.base.expansion(statistics, self.known(params))
        score = score[..., self._order]
        information = self._block(information) * slopes[..., :, None] * slopes[..., None, :]
        information[..., k, k] -= score * np.stack(bends, axis=-1)
        return height + self._jacobian(statistics), score * slopes, information

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return the known family's standard errors, divided by the slopes."""
        errors = self.base.standard_errors(self.known(params), n)
        return {
            name: errors[source] / np.abs(link.slope(np.asarray(params[name])))
            for name, (source, link) in self.links.items()
        }

    def canonical(
        self, statistics: Any, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the known family's canonical parameter, by the chain rule."""
        return self.canonical_free(statistics, estimate, params, np.arange(len(self.links)))

    def canonical_free(
        self, statistics: Any, estimate: Params, params: Params, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `canonical` where only the parameters at positions `free` are unknown."""
        free = np.asarray(free)
        both, order = (self.known(estimate), self.known(params)), self._order[free]
        if len(free) == len(self.links):
            phi, jacobian = self.base.canonical(statistics, *both)
            phi, jacobian = phi[..., order], jacobian[..., order[:, None], order]
        else:
            phi, jacobian = self.base.canonical_free(statistics, *both, order)
        turn, slopes = (self._slopes(p)[..., free] for p in (estimate, params))
        return phi * turn, jacobian * turn[..., :, None] * slopes[..., None, :]

    def cumulants(self, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        return self.base.cumulants(self.known(params))

    def small_sample(self, name: str, n: float) -> tuple[float, float]:
        """Return the known family's factors, for a parameter that is the same."""
        source, link = self.links[name]
        return self.base.small_sample(source, n) if link is SAME else (1.0, 1.0)

    def _interval(
        self, method: str, name: str, statistics: Any, params: Params, level: float
    ) -> tuple[np.ndarray, np.ndarray, Any]:
        """Return the known family's interval, mapped back, and what came with it."""
        source, link = self.links[name]
        ends = getattr(self.base, f"{method}_interval")
        with self._named():
            low, high, *rest = ends(source, statistics, self.known(params), level)
        with np.errstate(divide="ignore", over="ignore"):
            low, high = link.inverse(low), link.inverse(high)
        return np.minimum(low, high), np.maximum(low, high), *rest  # a reciprocal turns them round

    def auto_interval(
        self, name: str, statistics: Any, params: Params, level: float
    ) -> tuple[np.ndarray, np.ndarray, Any]:
        return self._interval("auto", name, statistics, params, level)

    def exact_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        return self._interval("exact", name, statistics, params, level)[:2]

    def score_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        return self._interval("score", name, statistics, params, level)[:2]

    def profile_interval(
        self, name: str, statistics: Any, params: Params, level: float
    ) -> Interval:
        return self._interval("profile", name, statistics, params, level)[:2]

    def rstar_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        return self._interval("rstar", name, statistics, params, level)[:2]

    def bartlett_interval(
        self, name: str, statistics: Any, params: Params, level: float
    ) -> Interval:
        return self._interval("bartlett", name, statistics, params, level)[:2]


def _keep(null: Params, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return parameters of which those held keep their digits."""
    return {k: np.where(np.isnan(null[k]), value, null[k]) for k, value in found.items()}


class LogNormal(Transformed):
    r"""Lognormal distribution: log x is normal with mean mu and standard deviation sigma.

    .. math:: \log p(x) = -\tfrac12 \log 2\pi - \log\sigma - \log x
        - (\log x - \mu)^2 / (2\sigma^2)

    Notes
    -----
    Statistics are the moments of log x; every interval is the normal family's, exact ones too.
    """

    name = "lognormal"
    aliases = ("lognorm", "log_normal")
    support = "positive"
    equivariance = "scale"
    base = Normal()
    links: ClassVar = {"mu": ("mu", SAME), "sigma": ("sigma", SAME)}
    parameters = parameters_of(base, links, sigma=("s",))
    scipy_names: ClassVar = {"scale": "mu = log(scale)"}

    def mean(self, params: Params) -> np.ndarray:
        return np.exp(params["mu"] + params["sigma"] ** 2 / 2)


def _root_two_times(value: Any) -> Any:
    return np.sqrt(2.0) * np.asarray(value, dtype=np.float64)


class Weibull(Transformed):
    r"""Weibull distribution with shape and scale, per column.

    .. math:: \log p(x) = \log(k/l) + (k - 1) \log(x/l) - (x/l)^k

    Notes
    -----
    log x has a smallest-extreme-value distribution with location log(scale) and scale 1 / shape.
    """

    name = "weibull"
    aliases = ("weibull_min",)
    special_cases = (
        SpecialCase("exponential", {"shape": 1.0}, {"scale": ("rate", reciprocal)}),
        SpecialCase("rayleigh", {"shape": 2.0}, {"scale": ("scale", _root_two_times)}),
    )
    support = "positive"
    equivariance = "scale"
    base = GumbelMin()
    links: ClassVar = {"shape": ("scale", RECIPROCAL), "scale": ("loc", LOG)}
    parameters = parameters_of(base, links, shape=("c",))

    def mean(self, params: Params) -> np.ndarray:
        return params["scale"] * special.gamma(1 + 1 / params["shape"])


class LogLogistic(Transformed):
    r"""Log-logistic distribution with shape and scale, per column.

    .. math:: \log p(x) = \log(k/l) + (k - 1) \log(x/l) - 2 \log\{1 + (x/l)^k\}

    Notes
    -----
    log x is logistic with location log(scale) and scale 1 / shape: the scale is the median.
    """

    name = "log_logistic"
    aliases = ("fisk", "loglogistic")
    support = "positive"
    equivariance = "scale"
    base = Logistic()
    links: ClassVar = {"shape": ("scale", RECIPROCAL), "scale": ("loc", LOG)}
    parameters = parameters_of(base, links, shape=("c",))

    def mean(self, params: Params) -> np.ndarray:
        angle = np.pi / params["shape"]
        with np.errstate(all="ignore"):
            return np.where(angle < np.pi, params["scale"] * angle / np.sin(angle), np.inf)


class Pareto(Transformed):
    r"""Pareto distribution with the given shape, above a known minimum, per column.

    .. math:: \log p(x) = \log a + a\log m - (a + 1)\log x, \quad x \ge m

    The minimum must be known beforehand: estimated as the smallest value it makes a model in
    which standard errors, tests and intervals do not hold.

    Parameters
    ----------
    minimum : float, default=None
        The smallest possible value, > 0; may be given later, as
        ``MLEDensity("pareto", fixed={"minimum": 1.0})`` does.

    Notes
    -----
    log(x / m) is exponential with rate a, and the exact interval is that of the rate.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm.inference import MLEDensity
    >>> from skgm.inference.families import Pareto
    >>> X = np.exp([[0.1], [0.4], [0.5]])
    >>> round(MLEDensity(Pareto(minimum=1.0)).fit(X).params_["shape"], 6)
    3.0
    """

    name = "pareto"
    support = "positive"
    base = Exponential()
    links: ClassVar = {"shape": ("rate", SAME)}
    parameters = parameters_of(base, links, shape=("b", "alpha"))
    constants = ("minimum",)
    constant_aliases: Mapping[str, str] = {"scale": "minimum"}

    def __init__(self, minimum: float | None = None) -> None:
        if minimum is not None and not 0 < minimum < np.inf:
            raise ValueError(f"minimum must be a finite number > 0; got {minimum!r}.")
        self.minimum = minimum
        self.constants_given = minimum is not None

    def given(self, **constants: Any) -> Family:
        """Return this family with its minimum set."""
        if set(constants) != {"minimum"}:
            raise ValueError(f"The pareto family takes the constant 'minimum'; got {constants}.")
        return Pareto(float(constants["minimum"]))

    @property
    def map(self) -> Map:  # type: ignore[override]
        """The logarithm of x over the minimum, zero below it."""
        m = self._minimum
        return Map(
            lambda x: np.log1p(np.maximum(x - m, 0) / m),
            lambda t: m * np.exp(np.minimum(t, 700.0)),
            lambda x: 1 / x,
            log_slope=(-np.log(m), -1.0),
        )

    @property
    def _minimum(self) -> float:
        if self.minimum is None:
            raise ValueError(
                "The pareto family needs its minimum: pass fixed={'minimum': ...} or "
                "Pareto(minimum=...)."
            )
        return self.minimum

    def inside(self, X: np.ndarray) -> np.ndarray:
        """Return which values are the minimum or larger."""
        return self._minimum <= X

    def describe_support(self) -> str:
        return f"numbers >= {self._minimum:g} (the minimum)"

    def mean(self, params: Params) -> np.ndarray:
        shape = params["shape"]
        with np.errstate(all="ignore"):
            return np.where(shape > 1, self._minimum * shape / (shape - 1), np.inf)

    def check_statistics(self, statistics: Any, names: list[str]) -> None:
        """Raise for columns in which every value is the minimum."""
        constant = [names[j] for j in np.flatnonzero(statistics.total == 0)]
        if constant:
            raise ValueError(
                f"The pareto family has no estimate for columns that are {self._minimum:g}, the "
                f"minimum, throughout ({', '.join(constant)}; n_samples = {statistics.n:g}): the "
                "shape is infinite. Drop them or give a smaller minimum."
            )
