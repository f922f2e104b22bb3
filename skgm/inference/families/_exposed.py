"""Counts with a constant per row: the exposure of events, the trials of a binomial."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy import optimize, special

from skgm.inference.families._base import Family, Interval, Params
from skgm.inference.families._negative_binomial import NegativeBinomial, dispersion_information
from skgm.inference.families._numerical import RowwiseFamily
from skgm.inference.families._statistics import Rows, Sums

__all__ = ["EXPOSED", "ExposedFamily", "ExposedRows", "exposed"]

# What the constant of each family is called.
EXPOSED = {"poisson": "exposure", "negative_binomial": "exposure", "binomial": "trials"}


def exposed(base: Family) -> Family:
    """Return the family of counts with a constant per row, of which `base` is that of one unit."""
    return ExposedSizes(base) if base.name == "negative_binomial" else ExposedFamily(base)


@dataclass(frozen=True)
class ExposedRows(Rows):
    """Rows of counts with a constant each.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    X : ndarray of shape (m, d)
        The counts.
    weight : ndarray of shape (m,)
        Their weights.
    constant : ndarray of shape (m, d)
        Their exposures, or numbers of trials.
    """

    constant: np.ndarray

    def __add__(self, other: Any) -> "ExposedRows":
        parts = (
            np.concatenate([getattr(self, k), getattr(other, k)])
            for k in ("X", "weight", "constant")
        )
        return ExposedRows(self.n + other.n, *parts)

    @property
    def distinct(self) -> "ExposedRows":
        """The rows themselves: constants hardly repeat."""
        return self

    def column(self, j: int) -> "ExposedRows":
        """Return the rows of one column."""
        return replace(self, X=self.X[:, [j]], constant=self.constant[:, [j]])

    def repeated(self, times: int) -> "ExposedRows":
        """Return the columns that many times over; one column as it is, which broadcasts."""
        if times == 1 or self.X.shape[1] == 1:
            return self
        wide = (np.tile(values, (1, times)) for values in (self.X, self.constant))
        X, constant = wide
        return replace(self, X=X, constant=constant)


class ExposedFamily(Family):
    r"""Poisson counts of mean :math:`e_i \mu`, or binomial ones of :math:`m_i` trials.

    Their sum is Poisson of mean :math:`\mu \sum e_i`, or binomial of :math:`\sum m_i` trials, so
    that estimate, tests and intervals, exact ones too, are those of one such count. The fitted
    distribution is that of a unit of exposure, or of one trial.

    Parameters
    ----------
    base : Family
        Poisson, or binomial with one trial.
    """

    statistics_type: type[Rows] = ExposedRows
    discrete = True
    has_information = False
    scheme = ("constant",)

    def __init__(self, base: Family) -> None:
        self.base = base
        self.name, self.aliases, self.support = base.name, base.aliases, base.support
        (parameter,) = base.parameters
        methods = tuple(m for m in parameter.methods if m != "bartlett")
        self.parameters = (replace(parameter, methods=methods),)
        self.is_binomial = base.name == "binomial"

    def describe(self, statistics: Any = None) -> str:
        return f"{self.base.describe()} Each row has {EXPOSED[self.name]} of its own."

    def inside(self, X: np.ndarray) -> np.ndarray:
        return self.base.inside(X)

    def describe_support(self) -> str:
        return self.base.describe_support()

    def summarize(
        self, X: np.ndarray, weight: np.ndarray | None, constant: Any = None
    ) -> ExposedRows:
        """Keep the counts with their constants, of one where there is none."""
        rows = Rows.from_chunk(X, weight)
        constant = np.ones(rows.X.shape) if constant is None else np.array(constant, dtype=float)
        return ExposedRows(rows.n, rows.X, rows.weight, constant)

    def _sums(self, statistics: Any) -> tuple[Sums, np.ndarray]:
        """Return the sums of all columns, and their units, (d,)."""
        units = statistics.weight @ statistics.constant
        x, e = statistics.X, statistics.constant
        if self.is_binomial:
            base = -special.betaln(x + 1, e - x + 1) - np.log(e + 1)
        else:
            base = special.xlogy(x, e) - special.gammaln(x + 1)
        return Sums(1.0, statistics.weight @ x, statistics.weight @ base), units

    def _by_column(self, statistics: Any) -> list[Sums]:
        """Return the sums of each column, with as many rows as it has units."""
        sums, units = self._sums(statistics)
        return [
            Sums(float(units[j]), sums.total[[j]], sums.log_base[[j]]) for j in range(len(units))
        ]

    def check_statistics(self, statistics: Any, names: list[str]) -> None:
        """Accept any counts."""

    def restricted_estimate(self, statistics: Any, null: Params) -> dict[str, np.ndarray]:
        """Return totals over units, or what `null` holds."""
        (name,) = (p.name for p in self.parameters)
        sums, units = self._sums(statistics)
        share = sums.total / units
        share = np.minimum(share, 1.0) if self.is_binomial else share
        held = np.broadcast_to(np.asarray(null[name], dtype=np.float64), share.shape)
        return {name: np.where(np.isnan(held), share, held)}

    def log_likelihood(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        parts = enumerate(self._by_column(statistics))
        return np.concatenate(
            [self.base.log_likelihood(sums, _column(params, j)) for j, sums in parts]
        )

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log masses of counts of one unit, (n, d)."""
        return self.base.log_density(X, params)

    def kept_scores(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the scores of the rows in the statistics, (m, d, 1)."""
        (theta,) = params.values()
        variance = theta * (1 - theta) if self.is_binomial else theta
        return ((statistics.X - statistics.constant * theta) / variance)[..., None]

    def mean_score(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 1)."""
        return statistics.mean(self.kept_scores(statistics, params))

    def observed_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return minus the mean second derivative, (d, 1, 1)."""
        found = [
            self.base.observed_information(sums, _column(params, j)) * sums.n / statistics.n
            for j, sums in enumerate(self._by_column(statistics))
        ]
        return np.concatenate(found)

    def model_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the expected information per row, (d, 1, 1)."""
        _, units = self._sums(statistics)
        return self.base.information(params) * (units / statistics.n)[:, None, None]

    def information(self, params: Params) -> np.ndarray:
        """Refuse: it depends on the constants of the rows."""
        raise ValueError("The information of counts with constants per row depends on these.")

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the scores of counts of one unit, (n, d, 1)."""
        return self.base.score(X, params)

    def mean(self, params: Params) -> np.ndarray:
        return self.base.mean(params)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X) of counts of one unit, (n, d)."""
        return self.base.cdf(X, params)

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) counts of one unit."""
        return self.base.sample(params, n_samples, rng)

    def exact_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        return self._interval("exact_interval", name, statistics, params, level)

    def score_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        return self._interval("score_interval", name, statistics, params, level)

    def _interval(
        self, method: str, name: str, statistics: Any, params: Params, level: float
    ) -> Interval:
        """Return the interval that the base has for a count of all units, column by column."""
        found = [
            getattr(self.base, method)(name, sums, _column(params, j), level)
            for j, sums in enumerate(self._by_column(statistics))
        ]
        low, high = (np.concatenate(ends) for ends in zip(*found, strict=True))
        return low, high


class ExposedSizes(RowwiseFamily):
    r"""Negative binomial counts of mean :math:`e_i \mu` and size k, whatever the exposure.

    Their variance is :math:`e_i \mu + (e_i \mu)^2 / k`: rates differ from row to row by a gamma
    variable, as in negative binomial regression with an offset. (Counts that add up over pieces
    of exposure have a size that grows with it; they are another family.)

    Parameters
    ----------
    base : NegativeBinomial
        The family of a unit of exposure.
    """

    statistics_type: type[Rows] = ExposedRows
    discrete = True
    scheme = ("constant",)
    scipy_names: ClassVar = NegativeBinomial.scipy_names

    def __init__(self, base: Family) -> None:
        self.base = base
        self.name, self.aliases, self.support = base.name, base.aliases, base.support
        self.parameters = base.parameters

    def key(self) -> Any:
        return type(self)

    def describe(self, statistics: Any = None) -> str:
        return f"{self.base.describe()} Each row has an exposure of its own."

    def describe_limit(self, values: Mapping[str, float]) -> str:
        return "the poisson family"

    def units(self, params: Params) -> np.ndarray:
        return np.ones((len(params["mu"]), 2))

    def summarize(
        self, X: np.ndarray, weight: np.ndarray | None, constant: Any = None
    ) -> ExposedRows:
        """Keep the counts with their exposures, of one where there is none."""
        rows = Rows.from_chunk(X, weight)
        constant = np.ones(rows.X.shape) if constant is None else np.array(constant, dtype=float)
        return ExposedRows(rows.n, rows.X, rows.weight, constant)

    def check_statistics(self, statistics: Any, names: list[str]) -> None:
        """Raise for columns of zeros."""
        self.base.check_statistics(self.base.summarize(statistics.X, statistics.weight), names)

    def contributions(self, rows: Any, params: Params) -> np.ndarray:
        """Return the log masses of the rows, (m, d), or (m, m' d) at m' points."""
        there = {"mu": rows.constant * params["mu"], "size": params["size"]}
        with np.errstate(all="ignore"):
            return self.base.log_density(rows.X, there)

    def start(self, statistics: Any) -> dict[str, np.ndarray]:
        """Return total over exposure, and the size that the squared gaps tell."""
        x, e, weight = statistics.X, statistics.constant, statistics.weight
        mu = (weight @ x) / (weight @ e)
        square = weight @ (e * mu) ** 2
        excess = (weight @ ((x - e * mu) ** 2 - e * mu)) / square
        return {"mu": mu, "size": 1 / np.maximum(excess, 1e-2)}

    def model_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the expected information per row, (d, 2, 2); mean and size are orthogonal."""
        mu, alpha = params["mu"], 1 / params["size"]
        found = np.zeros((len(mu), 2, 2))
        for j, e in enumerate(statistics.constant.T):
            each, places = np.unique(e, return_inverse=True)
            own = each * mu[j]
            of_mean = each / (mu[j] * (1 + alpha[j] * own))
            of_size = alpha[j] ** 4 * dispersion_information(own, np.full(own.shape, alpha[j]))
            for k, part in enumerate((of_mean, of_size)):
                found[j, k, k] = statistics.mean(part[places])
        return found

    def model_standard_errors(self, statistics: Any, params: Params) -> dict[str, np.ndarray]:
        """Return those of the curvature, as of every scheme of rows."""
        return self.observed_standard_errors(statistics, params)

    def profile_interval(
        self, name: str, statistics: Any, params: Params, level: float
    ) -> Interval:
        """Return the values that the likelihood-ratio test does not reject.

        Of an infinite size the lower end is searched in 1 / size.
        """
        endless = np.isinf(params["size"])
        if name != "size" or not endless.any():
            return super().profile_interval(name, statistics, params, level)
        low, high = np.zeros(len(endless)), np.full(len(endless), np.inf)
        half = special.chdtri(1, 1 - level) / 2
        for j in range(len(endless)):
            one, there = statistics.column(j), _column(params, j)
            if not endless[j]:
                ends = super().profile_interval(name, one, there, level)
                low[j], high[j] = ends[0][0], ends[1][0]
                continue
            highest = self.log_likelihood(one, there)[0]

            def excess(v: float, one: Any = one, highest: float = highest) -> float:
                held = {"mu": np.full(1, np.nan), "size": np.full(1, np.exp(v))}
                found = self.restricted_estimate(one, held)
                return float(highest - half - self.log_likelihood(one, found)[0])

            v = 12.0  # log of the size
            while excess(v) < 0 and v > -700:
                v -= 2.0
            low[j] = np.exp(optimize.brentq(excess, v, v + 2, xtol=1e-10)) if v > -700 else 0.0
        return low, high

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log masses of counts of one unit, (n, d)."""
        return self.base.log_density(X, params)

    def mean(self, params: Params) -> np.ndarray:
        return self.base.mean(params)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X) of counts of one unit, (n, d)."""
        return self.base.cdf(X, params)

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        return self.base.log_tails(X, params)

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) counts of one unit."""
        return self.base.sample(params, n_samples, rng)


def _column(params: Params, j: int) -> dict[str, np.ndarray]:
    return {name: value[[j]] for name, value in params.items()}
