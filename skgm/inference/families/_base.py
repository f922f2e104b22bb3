"""What a family of distributions must know to be fitted, tested and given intervals."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy import special

from skgm._numerics.roots import find_root
from skgm._numerics.sandwich import (
    columnwise_meat,
    columnwise_total,
    errors_from_information,
    errors_from_sandwich,
    total_weight,
)
from skgm.inference._likelihood.bartlett import bartlett_factor, bartlett_interval
from skgm.inference._likelihood.inversion import profile_interval, score_interval
from skgm.inference._likelihood.rstar import rstar_interval
from skgm.inference._likelihood.wald import wald_interval
from skgm.tables._validation import SUPPORTS, inside_support

__all__ = [
    "EXACT_TOO",
    "GENERAL",
    "ExponentialFamily",
    "Family",
    "Parameter",
    "SpecialCase",
    "SpecialNull",
    "reciprocal",
    "same",
]


# One parameter of a family: its name, its space, and the intervals that it has.

# Interval methods of families whose score is known, and of those with an exact law as well.
GENERAL = ("wald", "wald-transformed", "score", "profile", "robust", "bootstrap")
EXACT_TOO = ("wald", "wald-transformed", "score", "profile", "exact", "robust", "bootstrap")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a family: its name, its space, and how its intervals are made.

    Attributes
    ----------
    name : str
        Key in ``params_``.
    low, high : float
        Ends of the parameter space; an estimate on an end is a boundary estimate.
    link : {"identity", "log", "logit", "atanh"}
        Scale of the transformed Wald interval.
    methods : tuple of str
        Interval methods that the family has for it.
    auto : str
        The one of them that "auto" takes.
    aliases : tuple of str
        Other names, among them scipy's; understood in `fixed` and in null hypotheses.
    may_be_infinite : bool
        Infinity is a legitimate estimate (the family then is its own limit) and upper end.
    at_low : str
        How to test that the parameter equals its lower end, where that can be done.
    tested_low : bool
        The lower end is a legitimate estimate, and a null hypothesis: `limit_root` tests it.
    """

    name: str
    low: float = -np.inf
    high: float = np.inf
    link: str = "identity"
    methods: tuple[str, ...] = ("wald", "wald-transformed", "profile", "robust")
    auto: str = "profile"
    aliases: tuple[str, ...] = ()
    may_be_infinite: bool = False
    at_low: str = ""
    tested_low: bool = False

    def on_boundary(self, value: np.ndarray) -> np.ndarray:
        """Return which values lie on an end of the parameter space."""
        return (value <= self.low) | (value >= self.high)

    def describe_space(self) -> str:
        """Return the open parameter space in words."""
        if np.isfinite(self.low) and np.isfinite(self.high):
            return f"strictly between {self.low:g} and {self.high:g}"
        return f"a number > {self.low:g}" if np.isfinite(self.low) else "a finite number"


@dataclass(frozen=True)
class SpecialCase:
    """Another family, which this one is at some values of its parameters.

    Attributes
    ----------
    small : str
        Its name in the registry.
    null : dict of str to float
        Those values; infinite ones lie on the edge of the parameter space.
    shared : dict of str to (str, callable)
        How the other parameters follow from those of the small family.
    """

    small: str
    null: Mapping[str, float]
    shared: Mapping[str, tuple[str, Callable[[Any], Any]]] = field(default_factory=dict)


def same(value: Any) -> Any:
    """Return the value: a parameter that both families have."""
    return value


def reciprocal(value: Any) -> Any:
    """Return 1 / value: a scale from a rate."""
    return 1 / np.asarray(value, dtype=np.float64)


class SpecialNull(ABC):
    """A null hypothesis that is no point of the usual parameters, but regular in others.

    Attributes
    ----------
    name : str
        What it says, for messages.
    df : int
        Number of restrictions, in the other parameters.
    """

    name: str
    df: int

    @abstractmethod
    def scores(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores (n, df) in the other parameters and their information per row."""

    @abstractmethod
    def score_statistic(self, statistics: Any) -> float:
        """Return the score statistic."""


Params = Mapping[str, np.ndarray]
Interval = tuple[np.ndarray, np.ndarray]
# From the line to supports with an end; quantiles are sought on the line.
_LINES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "positive": np.exp,
    "non-negative": np.exp,
    "unit": special.expit,
    "circle": lambda u: np.pi * np.tanh(u),
}


class Family(ABC):
    r"""A parametric family of distributions, the unit that MLEDensity works with.

    A family is stateless. It fits d columns at once, each with parameters of its own: `params` is
    a dict from a parameter's name to an array (d,), and every method is vectorized over columns.
    (A *joint* family, such as the multivariate normal, sets ``joint = True``; its parameters have
    shapes of their own and its results lack the axis of columns.)

    A subclass sets the class attributes below and writes the abstract methods; pass an instance
    as ``MLEDensity(family=MyFamily())``. Standard errors, Wald, transformed Wald, profile and
    robust intervals and the three tests then work. More intervals, named in the `methods` of its
    parameters, follow from what it may add: "score" from ``mean_score``, "rstar" from
    ``mean_score`` and ``canonical``, "exact" from ``exact_interval``; "bartlett" and "bootstrap"
    need columns of a continuous distribution.

    Statistics are objects with the attribute ``n`` (number of rows, or sum of weights), arrays as
    other fields, and ``+`` for merging; frozen dataclasses, rebuilt from their fields by
    ``statistics_type(**fields)``. ``Sums`` and ``Moments`` are ready for use.

    Attributes
    ----------
    name : str
        Name in the registry.
    aliases : tuple of str
        Other names, among them scipy's.
    support : str
        "real", "positive", "non-negative", "unit", "binary", "counts" or "positive-counts":
        where the data must lie.
    discrete : bool
        A mass, not a density: no score function.
    joint : bool
        One distribution of the whole row.
    equivariance : {"affine", "location-scale", "scale", "none"}
        See :class:`skgm.base.DensityTags`.
    parameters : tuple of Parameter
        In the order of ``params_``.
    statistics_type : type
        Class of the statistics.
    has_information : bool
        Whether `information` exists. Under censoring it would need the law of the censoring; the
        observed information stands in for it.
    scheme : tuple of str
        What the statistics hold of every value besides X, and `summarize` takes after the weights:
        whether it was censored, say.
    rounding : float
        Relative error of restricted estimates, in standard errors: that of numerical derivatives,
        zero where there are formulas.
    one_maximum : bool
        Whether the likelihood has one maximum also where some parameters are held; where it may
        have several, ends of intervals are bracketed, not followed.
    constants : tuple of str
        Names of known constants that `given` takes and that are not estimated.
    constants_given : bool
        Whether they have their values.
    constant_aliases : mapping of str to str
        Other names of constants, among them scipy's, to the family's own.
    special_cases : tuple of SpecialCase
        Families nested in this one.
    ratio_law : {"exponential", "gaussian"} or None
        Whose law the likelihood-ratio statistics have exactly: of an exponential rate, or of a
        normal mean and variance (in the order of `parameters`).
    scipy_names : mapping of str to str
        Parameters of scipy's that are functions of the family's own, to what to write instead.

    Notes
    -----
    eq. score-mean-zero, information-identity: the support must not depend on the parameters, and
    the density must be smooth in them.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm.inference import MLEDensity
    >>> from skgm.inference.families import Exponential
    >>> MLEDensity(Exponential()).fit(np.array([[1.0], [3.0]])).params_
    {'rate': 0.5}
    """

    name: str
    aliases: tuple[str, ...] = ()
    support: str = "real"
    discrete: bool = False
    joint: bool = False
    equivariance: str = "none"
    parameters: tuple[Parameter, ...]
    statistics_type: type
    has_information: bool = True
    scheme: tuple[str, ...] = ()
    rounding: float = 0.0
    one_maximum: bool = True
    constants: tuple[str, ...] = ()
    constants_given: bool = False
    constant_aliases: Mapping[str, str] = {}
    special_cases: tuple[SpecialCase, ...] = ()
    ratio_law: str | None = None
    scipy_names: ClassVar[Mapping[str, str]] = {}

    def __repr__(self) -> str:
        """Return the call that makes this family."""
        given = inspect.signature(type(self)).parameters.values()
        shown = [p.name for p in given if getattr(self, p.name, p.default) is not p.default]
        return f"{type(self).__name__}({', '.join(f'{k}={getattr(self, k)!r}' for k in shown)})"

    def __eq__(self, other: object) -> bool:
        """Whether the other is the same family with the same settings."""
        return type(other) is type(self) and repr(vars(other)) == repr(vars(self))

    def __hash__(self) -> int:
        """Return a number that equal families share."""
        return hash((type(self), self.name))

    def given(self, **constants: float) -> "Family":
        """Return this family with its known constants set (the n of a binomial)."""
        raise ValueError(f"The {self.name} family has no constants to give; got {constants}.")

    def learn_constants(self, X: np.ndarray) -> dict[str, float]:
        """Return constants that rows (n, d) can tell, where they were not given."""
        return {}

    def expand_null(self, null: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a null hypothesis in terms of `parameters` from what users may write instead."""
        return null

    def inside(self, X: np.ndarray) -> np.ndarray:
        """Return which values of X, (n, d), lie in the support."""
        return inside_support(X, self.support)

    def describe_support(self) -> str:
        """Return in words what every value must be."""
        return SUPPORTS[self.support][1]

    def signature(self) -> str:
        """Return the name of the family with those of its free parameters."""
        return f"{self.name}({', '.join(p.name for p in self.parameters)})"

    def describe(self, statistics: Any = None) -> str:
        """Return in words what the family and its parameters are."""
        first = (inspect.getdoc(type(self)) or self.name).split("\n")[0]
        return first.replace(", per column", "")

    @abstractmethod
    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Any:
        """Return the mergeable statistics of float64 rows X, (n, d), with weights (n,) or None."""

    @abstractmethod
    def check_statistics(self, statistics: Any, names: list[str]) -> None:
        """Raise a ValueError naming the columns for which no maximum-likelihood estimate exists."""

    @abstractmethod
    def restricted_estimate(self, statistics: Any, null: Params) -> dict[str, np.ndarray]:
        """Return the estimate with the entries of `null` held fixed; NaN marks the free ones."""

    @abstractmethod
    def log_likelihood(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,); () for a joint family."""

    @abstractmethod
    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities (n, d), -inf outside the support; (n,) for a joint family."""

    @abstractmethod
    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the parameter score of each row, (n, d, k); (n, k) for a joint family."""

    @abstractmethod
    def information(self, params: Params) -> np.ndarray:
        """Return the expected information per observation, (d, k, k); (k, k) for a joint one."""

    @abstractmethod
    def observed_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return minus the mean Hessian at `params`, shaped as `information`.

        The bread of sandwiches: at the estimate, and for robust score tests at restricted ones.
        """

    @abstractmethod
    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws."""

    def estimate(self, statistics: Any) -> dict[str, np.ndarray]:
        """Return the maximum-likelihood estimate: the restricted one without restrictions."""
        return self.restricted_estimate(statistics, self.no_restriction(statistics))

    def columns(self, which: Any) -> "Family":
        """Return the family of some columns, by position or bool mask, of the table."""
        return self

    def no_restriction(self, statistics: Any) -> dict[str, Any]:
        """Return a null hypothesis that leaves every entry free."""
        return {parameter.name: np.nan for parameter in self.parameters}

    def full(self, params: Params) -> dict[str, Any]:
        """Return all parameters by name: those estimated, and those held where some are."""
        return dict(params)

    def restricted_near(self, statistics: Any, null: Params, near: Params) -> dict[str, np.ndarray]:
        """Return the restricted estimate; a family that searches for it starts from `near`."""
        return self.restricted_estimate(statistics, null)

    def pack(self, params: Params, d: int | None = None) -> np.ndarray:
        """Return columnwise parameters as one array (d, k), in the order of `parameters`."""
        parts = [np.asarray(params[p.name], dtype=np.float64) for p in self.parameters]
        if d is not None:
            parts = [np.broadcast_to(part, (d,)) for part in parts]
        return np.stack(parts, axis=-1)

    def unpack(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """Return parameters by name from an array (..., k)."""
        return {p.name: theta[..., k] for k, p in enumerate(self.parameters)}

    # Not abstract, as a family may lack it: a mass has no gradient, and few have exact intervals.
    def mean_score(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the mean over rows of the parameter score, (d, k), from the statistics."""
        raise NotImplementedError(f"{type(self).__name__} does not define mean_score.")

    def expansion(
        self, statistics: Any, params: Params
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean log-likelihood, mean score and observed information, together.

        A family that gets all three from one pass over its rows overrides it.
        """
        return (
            self.log_likelihood(statistics, params) / statistics.n,
            self.mean_score(statistics, params),
            self.observed_information(statistics, params),
        )

    def canonical(
        self, statistics: Any, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return phi (d, k) and d phi / d theta (d, k, k) at `params`, for eq. rstar.

        The natural parameter of an exponential family; elsewhere the tangent exponential
        parameter, the mean over rows of (d log p / dx) V, V being dx / dtheta at `estimate` with
        the pivots held.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define canonical.")

    def canonical_free(
        self, statistics: Any, estimate: Params, params: Params, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `canonical` where only the parameters at positions `free` are unknown.

        With the others held an exponential family may be curved: its natural parameter is
        projected on the directions in which the free parameters move the mean of the sufficient
        statistics at `estimate`, Cov(t) d eta / d theta.
        """
        phi, jacobian = self.canonical(statistics, estimate, params)
        _, there = self.canonical(statistics, estimate, estimate)
        # information = there' Cov(t) there, so that there' Cov(t) = information there^-1
        turn = (self.information(estimate) @ np.linalg.inv(there))[:, free]
        return (turn @ phi[..., None])[..., 0], turn @ jacobian[:, :, free]

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d), column by column."""
        raise NotImplementedError(f"{type(self).__name__} does not define cdf.")

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        """Return log P(x <= X) and log P(x > X), (n, d) each.

        A family that knows its smaller tail to all digits overrides it.
        """
        below = self.cdf(X, params)
        return np.log(below), np.log1p(-below)

    def mean(self, params: Params) -> np.ndarray:
        """Return the means of the columns, (d,): NaN where there is none, infinite where it is."""
        raise NotImplementedError(f"{type(self).__name__} does not define mean.")

    def quantile(self, q: np.ndarray, params: Params) -> np.ndarray:
        """Return the smallest values, (m, d), at which `cdf` is at least q, (m, d) in (0, 1)."""
        map_back = _LINES.get(self.support, np.sinh)
        goal = q * (1 - 64 * np.finfo(np.float64).eps) if self.discrete else q

        def excess(u: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):
                below = self.cdf(u if self.discrete else map_back(u), params)
            return np.where(np.isnan(below), np.sign(u), below - goal)

        low, high = -np.ones(q.shape), np.ones(q.shape)
        for _ in range(64):
            under, over = excess(low) >= 0, excess(high) < 0
            if not (under.any() or over.any()):
                break
            low, high = np.where(under, 2 * low, low), np.where(over, 2 * high, high)
        if not self.discrete:
            return np.asarray(map_back(find_root(excess, low, high)))
        while (high - low > 1).any():
            middle = np.floor((low + high) / 2)
            enough = excess(middle) >= 0
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return high

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, (n, d); continuous only."""
        raise NotImplementedError(f"{type(self).__name__} does not define score_function.")

    def sample_given(
        self, params: Params, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Return completions (m * n_samples, d) of rows with NaN; independent columns: draws."""
        return self.sample(params, len(given) * n_samples, rng)

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return the model's standard errors from the expected information, (d,) each."""
        return self._by_name(errors_from_information(self.information(params), n))

    def model_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the expected information per observation, or what score tests take for it."""
        if self.has_information:
            return self.information(params)
        return self.observed_information(statistics, params)

    def model_standard_errors(self, statistics: Any, params: Params) -> dict[str, np.ndarray]:
        """Return the model's standard errors, (d,) each."""
        if self.has_information:
            return self.standard_errors(params, statistics.n)
        return self.observed_standard_errors(statistics, params)

    def observed_standard_errors(self, statistics: Any, params: Params) -> dict[str, np.ndarray]:
        """Return standard errors from the curvature at the estimate, (d,) each."""
        information = self.observed_information(statistics, params)
        return self._by_name(errors_from_information(information, statistics.n))

    def kept_scores(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the scores (m, d, k) of the rows in the statistics, where these say more than X.

        A censored family, whose rows do not tell which of them are censored, defines it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define kept_scores.")

    def kept_standard_errors(self, statistics: Any, params: Params) -> dict[str, np.ndarray]:
        """Return the sandwich's standard errors from the rows in the statistics, (d,) each."""
        bread = self.observed_information(statistics, params)
        scores = self.kept_scores(statistics, params)
        meat = columnwise_meat(lambda rows: rows, scores, statistics.weight)
        return self._by_name(errors_from_sandwich(bread, meat, statistics.n))

    def robust_standard_errors(
        self, X: np.ndarray, weight: np.ndarray | None, params: Params
    ) -> dict[str, np.ndarray]:
        """Return the sandwich's standard errors, (d,) each."""
        statistics = self.summarize(X, weight)
        bread = self.observed_information(statistics, params)
        meat = columnwise_meat(lambda rows: self.score(rows, params), X, weight)
        return self._by_name(errors_from_sandwich(bread, meat, statistics.n))

    def score_statistic(
        self, X: np.ndarray, weight: np.ndarray | None, restricted: Params
    ) -> np.ndarray:
        """Return U' I^-1 U at the restricted estimate, (d,); eq. score-test.

        The free parameters' scores are zero there, so the full quadratic form equals that of the
        efficient score of the restricted ones.
        """
        n = total_weight(X, weight)
        total = columnwise_total(lambda rows: self.score(rows, restricted), X, weight)
        information = self.information(restricted)
        diagonal = np.diagonal(information, axis1=1, axis2=2)
        if not (np.isfinite(diagonal) & (diagonal > np.finfo(np.float64).tiny)).all():
            raise FloatingPointError("The information is out of range.")  # tests explain it
        unit = 1 / np.sqrt(diagonal)  # in units of standard errors, which do not overflow
        total, information = total * unit, information * unit[:, :, None] * unit[:, None, :]
        solved = np.linalg.solve(information, total[..., None])[..., 0]
        return np.einsum("dk,dk->d", total, solved) / n

    # What tests ask beyond points inside the parameter space.
    def cumulants(self, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return cumulants of order 2, 3 and 4 of the sufficient statistics; None if not known.

        Of shapes (d, k, k), (d, k, k, k) and (d, k, k, k, k), up to the scale of each statistic.
        """
        return None

    def special_null(self, values: Params) -> SpecialNull | None:
        """Return the null that values mean if they are no point inside the space, or None."""
        return None

    def limit_root(self, name: str, x: np.ndarray, weight: np.ndarray | None) -> float:
        """Return the standardized score of one column x, (n,), where `name` is infinite."""
        raise NotImplementedError(f"{type(self).__name__} has no limit in {name!r}.")

    def linear_estimate(
        self, statistics: Any, matrix: np.ndarray, target: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the estimate of a joint family under R theta = q that couple entries."""
        raise ValueError(
            f"Linear restrictions of the {self.name} family that couple entries have no restricted "
            "estimate here. Use wald_test, which needs none."
        )

    def ratio_mean(self, null: Any, n: float) -> float:
        """Return the mean of the likelihood ratio of a joint family under a null."""
        raise ValueError(
            f"correction='bartlett' is not known for the {self.name} family; use score_test."
        )

    def check_restriction(self, null: Params) -> None:  # noqa: B027 (nothing to check is common)
        """Raise a ValueError for restrictions that `restricted_estimate` cannot handle."""

    def _by_name(self, errors: np.ndarray) -> dict[str, np.ndarray]:
        return {parameter.name: errors[:, k] for k, parameter in enumerate(self.parameters)}

    def small_sample(self, name: str, n: float) -> tuple[float, float]:
        """Return factors for the estimate and its standard error in transformed intervals."""
        return 1.0, 1.0

    def transformed_interval(
        self, name: str, estimate: np.ndarray, error: np.ndarray, level: float, df: Any = None
    ) -> Interval:
        """Return the Wald interval on the scale of the parameter's link."""
        return wald_interval(estimate, error, level, link=self.parameter(name).link, df=df)

    def auto_interval(
        self, name: str, statistics: Any, params: Params, level: float
    ) -> tuple[np.ndarray, np.ndarray, Any]:
        """Return the interval by the parameter's `auto` method, and which that is."""
        method = self.parameter(name).auto
        low, high = getattr(self, f"{method}_interval")(name, statistics, params, level)
        return low, high, method

    def exact_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        """Return the interval from the exact distribution of the estimate."""
        raise NotImplementedError(f"{type(self).__name__} does not define exact_interval.")

    def space_of(self, name: str, estimate: np.ndarray) -> tuple[float, float]:
        """Return the ends of the space of a parameter about its estimate, (d,), for intervals."""
        parameter = self.parameter(name)
        return parameter.low, parameter.high

    def score_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        """Return the values that the score test does not reject, found by search."""
        return score_interval(self, name, statistics, params, level)

    def profile_interval(
        self, name: str, statistics: Any, params: Params, level: float
    ) -> Interval:
        """Return the values that the likelihood-ratio test does not reject, found by search."""
        return profile_interval(self, name, statistics, params, level)

    def rstar_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        """Return the values at which the modified signed root is not extreme; eq. rstar."""
        return rstar_interval(self, name, statistics, params, level)

    def bartlett_interval(
        self, name: str, statistics: Any, params: Params, level: float
    ) -> Interval:
        """Return the values that the Bartlett-corrected test does not reject; eq. bartlett."""
        return bartlett_interval(self, name, statistics, params, level)

    def bartlett_factor(
        self, name: str, statistics: Any, params: Params, value: np.ndarray
    ) -> np.ndarray:
        """Return the mean of the likelihood-ratio statistic if `name` equals `value`, (d,)."""
        return bartlett_factor(self, name, statistics, params, value)

    def parameter(self, name: str) -> Parameter:
        """Return the parameter called `name`."""
        return {parameter.name: parameter for parameter in self.parameters}[name]

    def free_entries(self, name: str, n_features: int) -> tuple[np.ndarray, ...]:
        """Return the indices of the entries of `name` that are free parameters, (d,) by default.

        A symmetric matrix has its lower triangle here, so that the flat vector of parameters
        holds each free number once.
        """
        return (np.arange(n_features),)


class ExponentialFamily(Family):
    """A full exponential family: at the estimate, observed and expected information agree."""

    def observed_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the expected information, which the observed one equals at the estimate."""
        return self.information(params)
