"""The Pareto family above a known minimum."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skgm.inference.families._base import Family, Interval, Parameter, Params
from skgm.inference.families._exponential import rate_interval
from skgm.inference.families._natural import METHODS, NaturalFamily, choose
from skgm.inference.families._statistics import Sums, reduce_chunks

__all__ = ["Pareto"]


class Pareto(NaturalFamily):
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
    parameters = (
        Parameter(
            "shape",
            low=0.0,
            link="log",
            methods=(*METHODS, "exact"),
            auto="exact",
            aliases=("b", "alpha"),
        ),
    )
    statistics_type = Sums
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
        """Return in words what every value must be."""
        return f"numbers >= {self._minimum:g} (the minimum)"

    def _log_ratio(self, X: np.ndarray) -> np.ndarray:
        """Return log(x / minimum), zero below it."""
        return np.asarray(np.log1p(np.maximum(X - self._minimum, 0) / self._minimum))

    def _from_chunk(self, X: np.ndarray, weight: np.ndarray | None) -> Sums:
        sums = Sums.from_chunk(self._log_ratio(X), weight)
        return Sums(sums.n, sums.total, -sums.total - sums.n * np.log(self._minimum))

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Sums:
        """Return the column sums of log(x / minimum)."""
        return reduce_chunks(self._from_chunk, X, weight)

    def check_statistics(self, statistics: Sums, names: list[str]) -> None:
        """Raise for columns in which every value is the minimum."""
        constant = [names[j] for j in np.flatnonzero(statistics.total == 0)]
        if constant:
            raise ValueError(
                f"The pareto family has no estimate for columns that are {self._minimum:g}, the "
                f"minimum, throughout ({', '.join(constant)}; n_samples = {statistics.n:g}): the "
                "shape is infinite. Drop them or give a smaller minimum."
            )

    def restricted_estimate(self, statistics: Sums, null: Params) -> dict[str, np.ndarray]:
        """Return 1 / mean of log(x / minimum), or what `null` fixes."""
        with np.errstate(divide="ignore", over="ignore"):
            return {"shape": choose(null["shape"], 1 / statistics.mean)}

    def log_likelihood(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        shape = params["shape"]
        return statistics.n * np.log(shape) - shape * statistics.total + statistics.log_base

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n, d), -inf below the minimum."""
        shape, t = params["shape"], self._log_ratio(X)
        log_density = np.log(shape) - (shape + 1) * t - np.log(self._minimum)
        return np.where(self.inside(X), log_density, -np.inf)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return 1 - (minimum / x)^a, (n, d)."""
        return -np.expm1(-params["shape"] * self._log_ratio(X))

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return 1 / a - log(x / minimum), (n, d, 1)."""
        return (1 / params["shape"] - self._log_ratio(X))[..., None]

    def mean_score(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 1)."""
        return (1 / params["shape"] - statistics.mean)[..., None]

    def information(self, params: Params) -> np.ndarray:
        """Return 1 / a^2, (d, 1, 1)."""
        return (params["shape"] ** -2.0)[..., None, None]

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return shape / sqrt(n)."""
        return {"shape": params["shape"] / np.sqrt(n)}

    def canonical(
        self, statistics: Sums, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the shape, natural for -log x."""
        return params["shape"][..., None], np.ones((*np.shape(params["shape"]), 1, 1))

    def standardised(
        self, name: str, statistics: Sums, estimate: Params, restricted: Params
    ) -> np.ndarray:
        """Return q of eq. rstar."""
        top = estimate["shape"]
        return np.asarray((top - restricted["shape"]) / top * np.sqrt(statistics.n))

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws."""
        shape = params["shape"]
        t = rng.standard_exponential((n_samples, len(shape))) / shape
        return self._minimum * np.exp(np.minimum(t, 700.0))

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return -(a + 1) / x, (n, d) (zero outside the support)."""
        inside = self.inside(X)
        return np.where(inside, -(params["shape"] + 1) / np.where(inside, X, 1.0), 0.0)

    def exact_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return the interval from the chi-square distribution of 2 a sum(log(x / minimum))."""
        return rate_interval("exact", params["shape"], statistics.n, level)

    def score_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return the inverted score test, in closed form."""
        return rate_interval("score", params["shape"], statistics.n, level)

    def profile_interval(
        self, name: str, statistics: Sums, params: Params, level: float
    ) -> Interval:
        """Return the inverted likelihood-ratio test, in closed form."""
        return rate_interval("profile", params["shape"], statistics.n, level)
