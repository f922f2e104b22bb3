"""A family of its own for each column, and the choice of one by Akaike's criterion."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skgm.inference.families._base import Family, Params
from skgm.inference.families._registry import get_family
from skgm.tables._validation import check_inside_support, check_no_overflow

__all__ = ["ColumnFamilies", "ColumnStatistics", "choose_family"]

_COUNTS = ("bernoulli", "poisson", "geometric", "negative_binomial")
_REAL = ("normal", "laplace", "logistic", "gumbel", "gumbel_min", "student_t")
_POSITIVE = (
    "exponential",
    "gamma",
    "weibull",
    "lognormal",
    "log_logistic",
    "inverse_gaussian",
    "rayleigh",
    "beta",
)


def choose_family(x: np.ndarray, weight: np.ndarray | None, kind: str, name: str) -> Family:
    """Return the family with the smallest AIC among those whose support holds a column.

    Whole numbers of integer dtype are counts where none is negative; for numbers that are all
    positive no family is considered that could draw others. What has no estimate, or an infinite
    one, is passed over.

    Parameters
    ----------
    x : ndarray of shape (n,)
        The column, without its holes.
    weight : ndarray of shape (n,) or None
        A weight w counts its value w times.
    kind : {"real", "integer", "category"}
        What the column holds.
    name : str
        Its name, for messages.
    """
    if kind == "category":
        return get_family("categorical")
    X, least, best = x[:, None], np.inf, None
    if kind == "integer" and (x >= 0).all():
        candidates: tuple[str, ...] = _COUNTS
    else:
        candidates = _POSITIVE if (x > 0).all() else (*_REAL, "exponential")
        if x.min() == x.max():  # one parameter may have an estimate, and draws that vary
            candidates = ()
    for each in candidates:
        family = get_family(each)
        if not family.inside(X).all():
            continue
        with np.errstate(all="ignore"):
            try:
                statistics = family.summarize(X, weight)
                family.check_statistics(statistics, [name])
                estimate = family.estimate(statistics)
                aic = 2 * len(estimate) - 2 * float(family.log_likelihood(statistics, estimate)[0])
            except (ValueError, ArithmeticError, np.linalg.LinAlgError):
                continue
        if np.isfinite([aic, *np.ravel(list(estimate.values()))]).all() and aic < least:
            least, best = aic, family
    if best is None:
        raise ValueError(
            f"family='auto': no family has an estimate for column {name!r} (n_samples = {len(x)}). "
            "Drop it if it is constant, or name a family for it."
        )
    return best


@dataclass(frozen=True)
class ColumnStatistics:
    """The statistics of each column by the family of its own.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    parts : tuple of object
        Of the values of each column that are there.
    """

    n: float
    parts: tuple[Any, ...]

    def __add__(self, other: "ColumnStatistics") -> "ColumnStatistics":
        parts = tuple(a + b for a, b in zip(self.parts, other.parts, strict=True))
        return ColumnStatistics(self.n + other.n, parts)


class ColumnFamilies(Family):
    """Independent columns, each with a family of its own; NaN are left out column by column.

    Its parameters are those of the columns, called ``shape[age]``; every estimate has shape (1,).

    Parameters
    ----------
    names : sequence of str
        Names of the columns.
    families : sequence of Family
        Their families, of independent columns.
    """

    name = "column-wise"
    statistics_type = ColumnStatistics

    def __init__(self, names: Sequence[str], families: Sequence[Family]) -> None:
        self.names, self.families = list(names), list(families)
        self.discrete = any(family.discrete for family in families)
        self.parameters = tuple(
            replace(p, name=f"{p.name}[{name}]", aliases=())
            for name, family in zip(names, families, strict=True)
            for p in family.parameters
        )

    def of_column(self, j: int, params: Params) -> dict[str, np.ndarray]:
        """Return the parameters of column j by its family's own names."""
        return {p.name: params[self.label(p.name, j)] for p in self.families[j].parameters}

    def label(self, name: str, j: int) -> str:
        """Return what the parameter `name` of column j is called here."""
        return f"{name}[{self.names[j]}]"

    def _merge(self, of_column: Callable[[int], Params]) -> dict[str, Any]:
        """Return one dict from those of the columns."""
        pairs = ((j, of_column(j)) for j in range(len(self.families)))
        return {self.label(k, j): v for j, found in pairs for k, v in found.items()}

    def _columns(self, of_column: Callable[[int], np.ndarray]) -> np.ndarray:
        return np.hstack([of_column(j) for j in range(len(self.families))])

    def full(self, params: Params) -> dict[str, Any]:
        return self._merge(lambda j: self.families[j].full(self.of_column(j, params)))

    def signature(self) -> str:
        return "one for each column, see the notes"

    def describe(self, statistics: Any = None) -> str:
        """Return the family of each column, and how many values it is fitted to."""
        parts = [None] * len(self.names) if statistics is None else statistics.parts
        return "\n".join(
            f"{name}: {family.name}{'' if part is None else f', {part.n:g} values'}. "
            f"{family.describe()}"
            for name, family, part in zip(self.names, self.families, parts)
        )

    def free_entries(self, name: str, n_features: int) -> tuple[np.ndarray, ...]:
        return (np.arange(1),)

    def inside(self, X: np.ndarray) -> np.ndarray:
        """Return which values lie in the support of their column's family."""
        return self._columns(lambda j: self.families[j].inside(X[:, [j]]))

    def describe_support(self) -> str:
        return "values in the support of each column's family"

    def rows(self, X: np.ndarray, weight: np.ndarray | None, j: int) -> tuple[Any, Any]:
        """Return the values of column j that are there, (m, 1), and their weights."""
        there = ~np.isnan(X[:, j])
        return X[there][:, [j]], None if weight is None else weight[there]

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> ColumnStatistics:
        """Return the statistics of each column."""
        parts = []
        for j, (name, family) in enumerate(zip(self.names, self.families)):
            x, share = self.rows(X, weight, j)
            if not len(x):
                raise ValueError(f"Column {name!r} has no values; drop it.")
            model, words = f"The {family.name} family", family.describe_support()
            check_inside_support(x, family.inside(x), words, [name], model=model)
            parts.append(family.summarize(x, share))
            check_no_overflow(vars(parts[-1]), f"sufficient statistics of column {name!r}")
        return ColumnStatistics(float(len(X) if weight is None else weight.sum()), tuple(parts))

    def check_statistics(self, statistics: ColumnStatistics, names: list[str]) -> None:
        """Raise for the columns that their family has no estimate for."""
        for family, part, name in zip(self.families, statistics.parts, names):
            family.check_statistics(part, [name])

    def estimate(self, statistics: ColumnStatistics) -> dict[str, np.ndarray]:
        return self._merge(lambda j: self.families[j].estimate(statistics.parts[j]))

    def log_likelihood(self, statistics: ColumnStatistics, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        parts = zip(self.families, statistics.parts)
        each = [f.log_likelihood(s, self.of_column(j, params)) for j, (f, s) in enumerate(parts)]
        return np.concatenate(each)

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities (masses of categories and counts), (n, d), 0 of missing values."""
        found = np.zeros(X.shape)
        for j, family in enumerate(self.families):
            there = ~np.isnan(X[:, j])
            if there.any():
                rows = X[there][:, [j]]
                found[there, j] = family.log_density(rows, self.of_column(j, params))[:, 0]
        return found

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, (n, d)."""
        return self._columns(
            lambda j: self.families[j].score_function(X[:, [j]], self.of_column(j, params))
        )

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        return self._columns(lambda j: self.families[j].cdf(X[:, [j]], self.of_column(j, params)))

    def quantile(self, q: np.ndarray, params: Params) -> np.ndarray:
        return self._columns(
            lambda j: self.families[j].quantile(q[:, [j]], self.of_column(j, params))
        )

    def mean(self, params: Params) -> np.ndarray:
        return self._columns(lambda j: self.families[j].mean(self.of_column(j, params)))

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        return self._columns(
            lambda j: self.families[j].sample(self.of_column(j, params), n_samples, rng)
        )

    def refuse(self, *args: Any) -> Any:
        """Refuse what couples columns: a test or a function is about one of them."""
        raise ValueError(
            "Tests, functions of parameters and the bootstrap are for one family; fit the column "
            f"of interest alone, by fit_family(X[{self.names[0]!r}], "
            f"{self.families[0].name!r}) say."
        )

    # each for the signature of its own
    restricted_estimate = score = information = observed_information = refuse  # type: ignore
