"""Families with a mass of its own at zero, or at both ends of the unit interval."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import special

from skgm._numerics.sandwich import errors_from_information
from skgm.inference.families._base import EXACT_TOO, Family, Interval, Parameter, Params
from skgm.inference.families._binomial import Bernoulli
from skgm.inference.families._observed import ObservedFamily
from skgm.inference.families._statistics import Rows, Sums

__all__ = ["Hurdle", "ZeroOneInflated", "named_family"]

_SHARE = Bernoulli()


class Hurdle(Family):
    r"""Zero with a probability of its own, and another family for what is not zero.

    .. math:: P(x = 0) = z, \quad p(x) = (1 - z)\, f(x; \theta \mid x \ne 0)

    The zeros tell z and the other values tell the rest, so that intervals of `zero` are those of a
    proportion, and those of the other parameters those of their family on the values that are not
    zero. With a continuous family (``Hurdle("gamma")`` for rain or cost), `log_density` is the
    log-density of a value that is not zero, and the log-probability of zero. With counts
    (``Hurdle("poisson")``), the other values are counts without zeros.

    Parameters
    ----------
    family : str, Family or scipy.stats distribution
        Of the values that are not zero, one with independent columns.

    Examples
    --------
    >>> from skgm import fit_family
    >>> from skgm.inference.families import Hurdle
    >>> rain = [0.0, 0.0, 3.1, 0.0, 7.4, 1.2, 0.0, 2.2]
    >>> model = fit_family(rain, Hurdle("gamma"))
    >>> model.params_["zero"], round(model.params_["shape"], 3)
    (0.5, 2.43)
    """

    statistics_type = Rows
    _atoms: tuple[tuple[str, float], ...] = (("zero", 0.0),)

    def __init__(self, family: Any) -> None:
        self.family = family
        base = named_family(family)
        if base.joint:
            raise ValueError(f"The {base.name} family is joint; a hurdle needs one of columns.")
        self.values = base
        inside = base.inside(np.zeros((1, 1))).all()
        if inside and not base.discrete:
            raise ValueError(
                f"The {base.name} family takes zero itself, as one value among many: its values "
                "need no hurdle. Choose a family of positive numbers, or of counts."
            )
        if inside:
            if (
                not base.inside(np.full((1, 1), 1.0)).all()
                or base.inside(np.full((1, 1), -1.0)).all()
            ):
                raise ValueError(f"A hurdle needs counts, or positive numbers; got {base.name}.")
            self.values = ObservedFamily(base, (np.asarray(1.0), np.asarray(np.inf)))
        self.name = f"{type(self).__name__.lower()}_{base.name}"
        self.discrete = base.discrete
        self.support = "counts" if base.discrete else "non-negative"
        self.has_information = self.values.has_information
        self.one_maximum, self.rounding = base.one_maximum, self.values.rounding
        self.parameters = (
            *(
                Parameter(name, low=0.0, high=1.0, link="logit", methods=EXACT_TOO, auto="score")
                for name, _ in self._atoms
            ),
            *(replace(p, at_low="") for p in self.values.parameters),
        )

    def describe(self, statistics: Any = None) -> str:
        atoms = " and ".join(name for name, _ in self._atoms)
        return f"A mass at {atoms}; elsewhere: {self.values.describe()}"

    def inside(self, X: np.ndarray) -> np.ndarray:
        """Return which values are atoms, or in the support of the family."""
        return self.values.inside(X) | self._at_atom(X)

    def describe_support(self) -> str:
        atoms = " or ".join(f"{value:g}" for _, value in self._atoms)
        return f"{atoms}, or {self.values.describe_support()}"

    def _at_atom(self, X: np.ndarray) -> np.ndarray:
        return np.isin(X, [value for _, value in self._atoms])

    # What the rows of one column tell the parts: of each mass, and of the family.
    def _shares(self, statistics: Rows) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the weight at each atom and that of the rows that could be there, (d,) each."""
        weight, left, found = statistics.weight, np.ones(statistics.X.shape, dtype=bool), []
        for _, value in self._atoms:
            there = left & (value == statistics.X)
            found.append((weight @ there, weight @ left))
            left &= ~there
        return found

    def _rest(self, statistics: Rows, j: int) -> Any:
        """Return the family's statistics of the values of column j that are no atoms."""
        there = ~self._at_atom(statistics.X[:, j])
        family = self.values.columns([j])
        return family.summarize(statistics.X[there][:, [j]], statistics.weight[there])

    def _inner(self, params: Params, j: int | None = None) -> dict[str, np.ndarray]:
        names = [p.name for p in self.values.parameters]
        return {
            k: np.asarray(params[k]) if j is None else np.atleast_1d(params[k][j]) for k in names
        }

    def _by_column(self, statistics: Rows, of_one: Callable[[Family, Any, int], Any]) -> list[Any]:
        d = statistics.X.shape[1]
        return [of_one(self.values.columns([j]), self._rest(statistics, j), j) for j in range(d)]

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Rows:
        """Keep the rows."""
        return Rows.from_chunk(X, weight)

    def check_statistics(self, statistics: Rows, names: list[str]) -> None:
        """Raise for columns whose other values the family has no estimate for."""
        for j, name in enumerate(names):
            if self._at_atom(statistics.X[:, j]).all():
                raise ValueError(
                    f"The {self.name} family has no estimate for column {name!r}: all of its "
                    f"values are {' or '.join(k for k, _ in self._atoms)}. Drop it."
                )
            self.values.columns([j]).check_statistics(self._rest(statistics, j), [name])

    def restricted_estimate(self, statistics: Rows, null: Params) -> dict[str, np.ndarray]:
        """Return shares of the atoms, and the family's estimate from the other values."""
        d, found = statistics.X.shape[1], {}
        held = {p.name: np.broadcast_to(np.asarray(null[p.name]), (d,)) for p in self.parameters}
        for (name, _), (there, left) in zip(self._atoms, self._shares(statistics), strict=True):
            found[name] = np.where(np.isnan(held[name]), there / left, held[name])
        parts = self._by_column(
            statistics, lambda f, rows, j: f.restricted_estimate(rows, self._inner(held, j))
        )
        return found | {
            p.name: np.concatenate([e[p.name] for e in parts]) for p in self.values.parameters
        }

    def log_likelihood(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        inner = self._by_column(
            statistics, lambda f, rows, j: f.log_likelihood(rows, self._inner(params, j))
        )
        total = np.concatenate(inner)
        for (name, _), (there, left) in zip(self._atoms, self._shares(statistics), strict=True):
            p = params[name]
            total = total + special.xlogy(there, p) + special.xlog1py(left - there, -p)
        return total

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities of other values, and log probabilities of atoms, (n, d)."""
        there = self._at_atom(X)
        somewhere = 1.0 if self.discrete else 0.5
        with np.errstate(all="ignore"):
            found = self.values.log_density(np.where(there, somewhere, X), self._inner(params))
            left = np.zeros(X.shape)
            masses = np.full(X.shape, -np.inf)
            for name, value in self._atoms:
                masses = np.where(value == X, left + np.log(params[name]), masses)
                left = left + np.log1p(-params[name])
        return np.where(there, masses, found + left)

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the scores, (n, d, k)."""
        left, parts = np.ones(X.shape, dtype=bool), []
        for name, value in self._atoms:
            there = left & (value == X)
            parts.append(
                np.where(there, 1 / params[name], np.where(left, -1 / (1 - params[name]), 0.0))
            )
            left &= ~there
        somewhere = 1.0 if self.discrete else 0.5
        inner = self.values.score(np.where(left, X, somewhere), self._inner(params))
        return np.concatenate([np.stack(parts, -1), np.where(left[..., None], inner, 0.0)], axis=-1)

    def mean_score(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, k)."""
        return statistics.mean(self.score(statistics.X, params))

    def kept_scores(self, statistics: Rows, params: Params) -> np.ndarray:
        return self.score(statistics.X, params)

    def information(self, params: Params) -> np.ndarray:
        """Return the expected information per row, (d, k, k)."""
        left, shares = np.ones(np.shape(params[self._atoms[0][0]])), []
        for name, _ in self._atoms:
            shares.append(left / (params[name] * (1 - params[name])))
            left = left * (1 - params[name])
        inner = self.values.information(self._inner(params)) * left[:, None, None]
        return _blocks(shares, inner)

    def observed_information(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return minus the mean Hessian, (d, k, k)."""
        shares = []
        for (name, _), (there, left) in zip(self._atoms, self._shares(statistics), strict=True):
            p = params[name]
            shares.append((there / p**2 + (left - there) / (1 - p) ** 2) / statistics.n)
        inner = self._by_column(
            statistics,
            lambda f, rows, j: f.observed_information(rows, self._inner(params, j)) * rows.n,
        )
        return _blocks(shares, np.concatenate(inner) / statistics.n)

    def model_standard_errors(self, statistics: Any, params: Params) -> dict[str, np.ndarray]:
        """Return those of the observed shares, and of the family on the other values."""
        information = self.observed_information(statistics, params)
        if self.has_information:
            expected = self.values.information(self._inner(params))
            left = statistics.weight @ ~self._at_atom(statistics.X) / statistics.n
            m = len(self._atoms)
            information[:, m:, m:] = expected * left[:, None, None]
        return self._by_name(errors_from_information(information, statistics.n))

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        left, below = np.ones(X.shape), np.zeros(X.shape)
        for name, value in self._atoms:
            below = below + left * params[name] * (value <= X)
            left = left * (1 - params[name])
        return below + left * self.values.cdf(X, self._inner(params))

    def quantile(self, q: np.ndarray, params: Params) -> np.ndarray:
        """Return the smallest values, (m, d), at which `cdf` is at least q."""
        zero = params["zero"]
        ones = (1 - zero) * params["one"] if "one" in params else 0.0
        share = np.clip((q - zero) / (1 - zero - ones), 1e-300, 1 - 2**-53)
        inner = self.values.quantile(share, self._inner(params))
        return np.where(q <= zero, 0.0, np.where(q > 1 - ones, 1.0, inner))

    def mean(self, params: Params) -> np.ndarray:
        left, total = np.ones(1), np.zeros(1)
        for name, value in self._atoms:
            total = total + left * params[name] * value
            left = left * (1 - params[name])
        return np.asarray(total + left * self.values.mean(self._inner(params)))

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws."""
        draws = self.values.sample(self._inner(params), n_samples, rng)
        left = np.ones(draws.shape, dtype=bool)
        for name, value in self._atoms:
            there = left & (rng.random(draws.shape) < params[name])
            draws = np.where(there, value, draws)
            left &= ~there
        return draws

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the gradient of the log-density of other values with respect to x, (n, d)."""
        there = self._at_atom(X)
        found = self.values.score_function(np.where(there, 0.5, X), self._inner(params))
        return np.where(there, 0.0, found)

    # Intervals of each part are those of its own family.
    def auto_interval(
        self, name: str, statistics: Any, params: Params, level: float
    ) -> tuple[Any, Any, Any]:
        parts = self._parts("auto_interval", name, statistics, params, level)
        low, high, methods = zip(*parts, strict=True)
        same = all(str(each) == str(methods[0]) for each in methods)
        method = methods[0] if same else np.array([str(each) for each in methods])
        return np.concatenate(low), np.concatenate(high), method

    def _parts(
        self, method: str, name: str, statistics: Any, params: Params, level: float
    ) -> list[Any]:
        for (atom, _), (there, left) in zip(self._atoms, self._shares(statistics), strict=True):
            if name == atom:
                return [
                    getattr(_SHARE, method)(
                        "p",
                        Sums(float(n), there[[j]], np.zeros(1)),
                        {"p": params[name][[j]]},
                        level,
                    )
                    for j, n in enumerate(left)
                ]
        return self._by_column(
            statistics,
            lambda f, rows, j: getattr(f, method)(name, rows, self._inner(params, j), level),
        )

    def _interval(self, method: str, *args: Any) -> Interval:
        low, high = zip(*self._parts(method, *args), strict=True)
        return np.concatenate(low), np.concatenate(high)

    def exact_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        return self._interval("exact_interval", name, statistics, params, level)

    def score_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        return self._interval("score_interval", name, statistics, params, level)

    def profile_interval(
        self, name: str, statistics: Any, params: Params, level: float
    ) -> Interval:
        return self._interval("profile_interval", name, statistics, params, level)

    def rstar_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        return self._interval("rstar_interval", name, statistics, params, level)

    def bartlett_interval(
        self, name: str, statistics: Any, params: Params, level: float
    ) -> Interval:
        return self._interval("bartlett_interval", name, statistics, params, level)


class ZeroOneInflated(Hurdle):
    r"""Zero and one with probabilities of their own, and the beta family between them.

    .. math:: P(x = 0) = z, \quad P(x = 1) = (1 - z)\, o, \quad
        p(x) = (1 - z)(1 - o)\, f(x; \theta)

    `one` is the probability of one among the values that are not zero.

    Parameters
    ----------
    family : str, Family or scipy.stats distribution, default="beta"
        Of the values between zero and one.

    Examples
    --------
    >>> from skgm import fit_family
    >>> from skgm.inference.families import ZeroOneInflated
    >>> shares = [0.0, 0.2, 1.0, 0.7, 0.5, 0.0, 0.4, 1.0, 0.3, 0.6]
    >>> model = fit_family(shares, ZeroOneInflated())
    >>> model.params_["zero"], model.params_["one"]
    (0.2, 0.25)
    """

    _atoms = (("zero", 0.0), ("one", 1.0))

    def __init__(self, family: Any = "beta") -> None:
        super().__init__(family)
        if self.values.discrete or self.values.inside(np.ones((1, 1))).all():
            raise ValueError(
                f"ZeroOneInflated needs a continuous family strictly between 0 and 1; got "
                f"{self.values.name}."
            )
        self.name = f"zero_one_inflated_{self.values.name}"


def named_family(family: Any) -> Family:
    """Return the family of that name, as `get_family` does."""
    from skgm.inference.families._registry import get_family  # the registry imports every family

    return get_family(family)


def _blocks(shares: list[np.ndarray], inner: np.ndarray) -> np.ndarray:
    """Return block-diagonal matrices (d, k, k)."""
    m, (d, k, _) = len(shares), inner.shape
    found = np.zeros((d, m + k, m + k))
    for a, share in enumerate(shares):
        found[:, a, a] = share
    found[:, m:, m:] = inner
    return found
