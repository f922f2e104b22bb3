"""The binomial family: numbers of successes in a known number of trials."""

import numpy as np
from scipy import special, stats

from skgm.inference.families._base import EXACT_TOO, ExponentialFamily, Interval, Parameter, Params
from skgm.inference.families._statistics import Sums, reduce_chunks

__all__ = [
    "Bernoulli",
    "Binomial",
]


class Binomial(ExponentialFamily):
    r"""Binomial distribution with known number of trials m and success probability p, per column.

    .. math:: \log p(x) = \log\binom{m}{x} + x \log p + (m - x) \log(1 - p),
        \quad x \in \{0, \dots, m\}

    Parameters
    ----------
    n : int, default=None
        The number of trials m behind every value, the same in all rows and columns. Without it
        the family cannot be fitted.

    Raises
    ------
    ValueError
        An `n` that is not a whole number >= 1.

    Notes
    -----
    The sum of a column is binomial with as many trials as all its rows together, so its intervals
    are those of one proportion: Wilson's (score) and Clopper and Pearson's (exact).

    A column of zeros (of m only) has the legitimate estimate p = 0 (p = 1), on the boundary:
    other values then have log-density -inf, standard errors and Wald intervals are refused, and
    score, profile and exact intervals are one-sided.

    References
    ----------
    L. D. Brown, T. T. Cai and A. DasGupta, "Interval estimation for a binomial proportion",
    Statistical Science 16, 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm.inference import MLEDensity
    >>> from skgm.inference.families import Binomial
    >>> MLEDensity(Binomial(n=10)).fit(np.array([[3.0], [5.0]])).params_
    {'p': 0.4}
    """

    name = "binomial"
    aliases: tuple[str, ...] = ("binom",)
    support = "counts"
    discrete = True
    parameters = (Parameter("p", low=0.0, high=1.0, link="logit", methods=EXACT_TOO, auto="score"),)
    statistics_type = Sums
    constants: tuple[str, ...] = ("n",)

    def __init__(self, n: float | None = None) -> None:
        if n is not None and not (n >= 1 and n == np.floor(n) and np.isfinite(n)):
            raise ValueError(f"n, the number of trials, must be a whole number >= 1; got {n!r}.")
        self.n = n

    def given(self, **constants: float) -> "Binomial":
        """Return the family with its number of trials, n, set."""
        if set(constants) != {"n"}:
            raise ValueError(f"The binomial family has the constant 'n' only; got {constants}.")
        return Binomial(**constants)

    @property
    def constants_given(self) -> bool:  # type: ignore[override]
        """Whether the number of trials is known."""
        return self.n is not None

    @property
    def trials(self) -> float:
        """Number of trials behind every value."""
        if self.n is None:
            raise ValueError(
                "The binomial family needs its number of trials: use the family Binomial(n=10), "
                "say, or fix n."
            )
        return float(self.n)

    def inside(self, X: np.ndarray) -> np.ndarray:
        """Return which values are 0, 1, ..., n."""
        return (X >= 0) & (self.trials >= X) & (np.floor(X) == X)

    def describe_support(self) -> str:
        return f"whole numbers from 0 to {self.trials:g}"

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Sums:
        """Return the numbers of successes."""
        base = self._log_base if self.trials > 1 else None
        return reduce_chunks(lambda rows, w: Sums.from_chunk(rows, w, base), X, weight)

    def check_statistics(self, statistics: Sums, names: list[str]) -> None:
        """Accept any table inside the support."""

    def restricted_estimate(self, statistics: Sums, null: Params) -> dict[str, np.ndarray]:
        """Return the proportions of successes, or what `null` fixes."""
        # weighted sums round, so that a column of successes could end above one
        share = np.minimum(statistics.mean / self.trials, 1.0)
        return {"p": np.where(np.isnan(null["p"]), share, null["p"])}

    def log_likelihood(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        p, (successes, failures) = params["p"], self._outcomes(statistics)
        fit = special.xlogy(successes, p) + special.xlog1py(failures, -p)
        return fit + statistics.log_base

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log masses, (n, d), -inf outside the support."""
        inside = self.inside(X)
        x, p = np.where(inside, X, 0.0), params["p"]
        log_mass = special.xlogy(x, p) + special.xlog1py(self.trials - x, -p)
        if self.trials > 1:
            log_mass = log_mass + self._log_base(x)
        return np.where(inside, log_mass, -np.inf)

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return (x - m p) / (p (1 - p)), (n, d, 1)."""
        p = params["p"]
        return ((X - self.trials * p) / (p * (1 - p)))[..., None]

    def mean_score(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 1)."""
        return self.score(statistics.mean, params)

    def information(self, params: Params) -> np.ndarray:
        """Return m / (p (1 - p)), (d, 1, 1)."""
        p = params["p"]
        return (self.trials / (p * (1 - p)))[..., None, None]

    def observed_information(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return mean(x) / p^2 + mean(m - x) / (1 - p)^2, (d, 1, 1)."""
        p, (successes, failures) = params["p"], self._outcomes(statistics)
        return ((successes / p**2 + failures / (1 - p) ** 2) / statistics.n)[..., None, None]

    def mean(self, params: Params) -> np.ndarray:
        return self.trials * params["p"]

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        p = params["p"]
        return rng.binomial(int(self.trials), p, size=(n_samples, len(p))).astype(np.float64)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        return stats.binom.cdf(X, self.trials, params["p"])

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        k = np.clip(np.floor(X), -1, self.trials) + 1
        none, over = k == 0, k > self.trials
        k = np.clip(k, 1, self.trials)
        below = np.log(special.betaincc(k, self.trials - k + 1, params["p"]))
        above = np.log(special.betainc(k, self.trials - k + 1, params["p"]))
        below = np.where(none, -np.inf, np.where(over, 0.0, below))
        return below, np.where(none, 0.0, np.where(over, -np.inf, above))

    def exact_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return the Clopper-Pearson interval."""
        tail, (successes, failures) = (1 - level) / 2, self._outcomes(statistics)
        at_zero, at_one = params["p"] == 0, params["p"] == 1
        low = stats.beta.ppf(tail, np.where(at_zero, 1, successes), failures + 1)
        high = stats.beta.ppf(1 - tail, successes + 1, np.where(at_one, 1, failures))
        return np.where(at_zero, 0.0, low), np.where(at_one, 1.0, high)

    def score_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return Wilson's interval."""
        p, n, q = params["p"], statistics.n * self.trials, stats.chi2.ppf(level, 1)
        center = (p + q / (2 * n)) / (1 + q / n)
        half = np.sqrt(q / n * (p * (1 - p) + q / (4 * n))) / (1 + q / n)
        # the ends are the roots of a quadratic: p^2 / (1 + q / n) is their product
        low = p**2 / ((1 + q / n) * (center + half))
        return low, np.where(p == 1, 1.0, np.minimum(center + half, 1.0))

    def _outcomes(self, statistics: Sums) -> tuple[np.ndarray, np.ndarray]:
        """Return numbers of successes and failures, (d,) each."""
        successes = statistics.total
        return successes, np.maximum(statistics.n * self.trials - successes, 0.0)

    def _log_base(self, X: np.ndarray) -> np.ndarray:
        """Return the log binomial coefficients."""
        return -special.betaln(X + 1, self.trials - X + 1) - np.log(self.trials + 1)


# The Bernoulli family: columns of zeros and ones.


class Bernoulli(Binomial):
    r"""Bernoulli distribution with success probability p, per column: one binomial trial.

    .. math:: \log p(x) = x \log p + (1 - x) \log(1 - p), \quad x \in \{0, 1\}

    Notes
    -----
    A column of zeros (ones) has the legitimate estimate p = 0 (p = 1), on the boundary: the other
    value then has log-density -inf, standard errors and Wald intervals are refused, and score
    (Wilson), profile and exact (Clopper-Pearson) intervals are one-sided.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm.inference import MLEDensity
    >>> model = MLEDensity("bernoulli").fit(np.array([[0.0]] * 10))
    >>> low, high = model.confidence_intervals()["p"]
    >>> low, round(high, 3)
    (0.0, 0.278)
    """

    name = "bernoulli"
    aliases = ()
    support = "binary"
    constants = ()

    def __init__(self) -> None:
        super().__init__(n=1)

    def given(self, **constants: float) -> "Bernoulli":
        """Refuse: a Bernoulli trial has no constants."""
        raise ValueError(f"The bernoulli family has no constants to give; got {constants}.")

    def describe_support(self) -> str:
        return "0 or 1"

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        p = params["p"]
        return (rng.random((n_samples, len(p))) < p).astype(np.float64)
