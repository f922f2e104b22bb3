"""The categorical family: codes of categories, with one probability for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from skgm.inference.families._base import EXACT_TOO, ExponentialFamily, Interval, Parameter, Params
from skgm.inference.families._binomial import Bernoulli
from skgm.inference.families._statistics import Sums, reduce_chunks

__all__ = ["Categorical", "CategoryCounts"]

_MOST_CATEGORIES = 1000  # more are taken for numbers that are no codes
_SHARE = Bernoulli()  # one category against all others


@dataclass(frozen=True)
class CategoryCounts:
    """How often each category occurs.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    counts : ndarray of shape (d, n_categories)
        Weighted numbers of rows, per column.
    """

    n: float
    counts: np.ndarray

    def __add__(self, other: "CategoryCounts") -> "CategoryCounts":
        return CategoryCounts(self.n + other.n, self.counts + other.counts)


class Categorical(ExponentialFamily):
    r"""Categories coded 0, 1, ..., K - 1 with free probabilities, per column.

    .. math:: \log p(x) = \log p_x, \quad p_0 = 1 - p_1 - \dots - p_{K-1}

    Parameters
    ----------
    n_categories : int, default=None
        The number of categories K, also of those that no row holds. Without it `MLEDensity` takes
        the largest code in the table it is fitted to, plus one.

    Raises
    ------
    ValueError
        A number of categories that is not a whole number >= 2.

    Notes
    -----
    The free parameters are p1, ..., p(K-1); that of category 0 is what remains. ``params_["p"]``
    holds all of them, and a null hypothesis may be written ``{"p": [...]}``. The score test of it
    is exactly Pearson's chi-square test of goodness of fit, the likelihood-ratio test is the G
    test, on K - 1 degrees of freedom.

    Each category against the others is a proportion, so intervals are Wilson's (score) and
    Clopper and Pearson's (exact); a category without rows has the estimate 0 and a one-sided
    interval.

    References
    ----------
    A. Agresti, "Categorical Data Analysis", 3rd edition, Wiley, 2013, section 1.5.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import MLEDensity, score_test
    >>> from skgm.inference.families import Categorical
    >>> rolls = np.repeat([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [4, 6, 17, 16, 8, 9])[:, None]
    >>> result = score_test(MLEDensity(Categorical()), rolls, {"p": [1 / 6] * 6})
    >>> round(result.statistic, 3), result.df
    (14.2, 5)
    """

    name = "categorical"
    support = "counts"
    discrete = True
    statistics_type = CategoryCounts
    constants = ("n_categories",)

    def __init__(self, n_categories: float | None = None) -> None:
        k = n_categories
        if k is not None and not (np.isfinite(k) and k >= 2 and k == np.floor(k)):
            raise ValueError(f"n_categories must be a whole number >= 2; got {k!r}.")
        self.n_categories = None if k is None else int(k)
        self.parameters = tuple(
            Parameter(f"p{j}", low=0.0, high=1.0, link="logit", methods=EXACT_TOO, auto="score")
            for j in range(1, self.n_categories or 0)
        )

    def given(self, **constants: float) -> "Categorical":
        """Return the family with its number of categories set."""
        if set(constants) != {"n_categories"}:
            raise ValueError(
                f"The categorical family has the constant 'n_categories' only; got {constants}."
            )
        return Categorical(**constants)

    @property
    def constants_given(self) -> bool:  # type: ignore[override]
        """Whether the number of categories is known."""
        return self.n_categories is not None

    @property
    def _k(self) -> int:
        if self.n_categories is None:
            raise ValueError(
                "The categorical family needs its number of categories: use the family "
                "Categorical(n_categories=6), say, or fix n_categories."
            )
        return self.n_categories

    def learn_constants(self, X: np.ndarray) -> dict[str, float]:
        """Return the largest code plus one as the number of categories."""
        if self.constants_given:
            return {}
        top = float(X.max())
        if top >= _MOST_CATEGORIES:
            raise ValueError(
                f"The categorical family needs codes 0, 1, ..., K - 1; the table holds {top:g}. "
                "Encode it (for example with sklearn.preprocessing.OrdinalEncoder), or fix "
                "n_categories."
            )
        return {"n_categories": max(int(top) + 1, 2)}

    def full(self, params: Params) -> dict[str, Any]:
        """Return the free probabilities, and all of them as "p", (d, K)."""
        return {"p": self._table(params), **params}

    def expand_null(self, null: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return {"p": probabilities of all categories} in terms of p1, ..., p(K-1)."""
        if "p" not in null:
            return null
        if len(null) > 1:
            raise ValueError('null["p"] holds the probabilities of all categories; pass no others.')
        array = np.asarray(null["p"], dtype=np.float64)
        one = array.ndim > 0 and array.shape[-1] == self._k and (array > 0).all()
        if not one or not np.allclose(array.sum(axis=-1), 1):
            raise ValueError(
                f'null["p"] must hold {self._k} positive probabilities that sum to one; got '
                f"{null['p']!r}."
            )
        # one vector stands for every column
        return {f"p{j}": array[..., j] for j in range(1, self._k)}

    def inside(self, X: np.ndarray) -> np.ndarray:
        """Return which values are codes of categories."""
        return (X >= 0) & (self._k > X) & (np.floor(X) == X)

    def describe_support(self) -> str:
        return f"codes of categories, whole numbers from 0 to {self._k - 1}"

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> CategoryCounts:
        """Return the counts."""
        return reduce_chunks(self._count, X, weight)

    def _count(self, X: np.ndarray, weight: np.ndarray | None) -> CategoryCounts:
        w = np.ones(len(X)) if weight is None else weight
        counts = np.stack([w @ (j == X) for j in range(self._k)], axis=-1)
        return CategoryCounts(float(w.sum()), counts)

    def check_statistics(self, statistics: CategoryCounts, names: list[str]) -> None:
        """Accept any table of codes."""

    def restricted_estimate(
        self, statistics: CategoryCounts, null: Params
    ) -> dict[str, np.ndarray]:
        """Return the shares; what `null` leaves is shared in proportion among the others."""
        counts, d = statistics.counts, len(statistics.counts)
        held = np.full((d, self._k), np.nan)
        for j in range(1, self._k):
            held[:, j] = null[f"p{j}"]
        free = np.isnan(held)
        left = 1 - np.where(free, 0.0, held).sum(axis=1)
        if (left <= 0).any():
            raise ValueError(
                "null must leave some probability to category 0: the values for the others sum "
                f"to {1 - left.min():g}."
            )
        pool = np.where(free, counts, 0.0)
        total = pool.sum(axis=1)
        # no rows at all in the free categories: category 0 takes what is left
        pool[total == 0, 0] = 1.0
        shared = left[:, None] * pool / pool.sum(axis=1, keepdims=True)
        return self._named(np.where(free, shared, held))

    def _named(self, p: np.ndarray) -> dict[str, np.ndarray]:
        return {f"p{j}": p[:, j] for j in range(1, self._k)}

    def _table(self, params: Params) -> np.ndarray:
        """Return all probabilities, (d, K)."""
        rest = np.stack([np.asarray(params[f"p{j}"]) for j in range(1, self._k)], axis=-1)
        first = np.maximum(1 - rest.sum(axis=-1, keepdims=True), 0.0)
        return np.concatenate([np.where(first < 1e-15, 0.0, first), rest], axis=-1)

    def log_likelihood(self, statistics: CategoryCounts, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        return special.xlogy(statistics.counts, self._table(params)).sum(axis=1)

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log masses, (n, d), -inf outside the support."""
        inside, p = self.inside(X), self._table(params)
        code = np.where(inside, X, 0).astype(np.intp)
        with np.errstate(divide="ignore"):
            found = np.log(p[np.arange(p.shape[0]), code])
        return np.where(inside, found, -np.inf)

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return 1[x = j] / p_j - 1[x = 0] / p_0, (n, d, K - 1)."""
        p = self._table(params)
        hits = X[..., None] == np.arange(1, self._k)
        return hits / p[:, 1:] - (X == 0)[..., None] / p[:, :1]

    def mean_score(self, statistics: CategoryCounts, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, K - 1)."""
        ratio = statistics.counts / (statistics.n * self._table(params))
        return ratio[:, 1:] - ratio[:, :1]

    def information(self, params: Params) -> np.ndarray:
        """Return diag(1 / p_j) + 1 / p_0, (d, K - 1, K - 1)."""
        inverse = 1 / self._table(params)
        return inverse[:, 1:, None] * np.eye(self._k - 1) + inverse[:, :1, None]

    def observed_information(self, statistics: CategoryCounts, params: Params) -> np.ndarray:
        """Return minus the mean Hessian, (d, K - 1, K - 1)."""
        pull = statistics.counts / (statistics.n * self._table(params) ** 2)
        return pull[:, 1:, None] * np.eye(self._k - 1) + pull[:, :1, None]

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return sqrt(p (1 - p) / n), which also holds where category 0 has no rows."""
        return {name: np.sqrt(p * (1 - p) / n) for name, p in params.items()}

    def observed_standard_errors(
        self, statistics: CategoryCounts, params: Params
    ) -> dict[str, np.ndarray]:
        """Return the model's errors: at the estimate the two informations agree."""
        return self.standard_errors(params, statistics.n)

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        bounds = np.cumsum(self._table(params), axis=1)[:, :-1]
        return (rng.random((n_samples, len(bounds), 1)) >= bounds).sum(axis=-1).astype(np.float64)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        table = np.cumsum(self._table(params), axis=1)
        code = np.clip(np.floor(X), -1, self._k - 1).astype(np.intp)
        return np.where(code < 0, 0.0, table[np.arange(len(table)), np.maximum(code, 0)])

    def exact_interval(
        self, name: str, statistics: CategoryCounts, params: Params, level: float
    ) -> Interval:
        """Return Clopper and Pearson's interval."""
        return _SHARE.exact_interval("p", *self._as_share(name, statistics, params), level)

    def score_interval(
        self, name: str, statistics: CategoryCounts, params: Params, level: float
    ) -> Interval:
        """Return Wilson's interval."""
        return _SHARE.score_interval("p", *self._as_share(name, statistics, params), level)

    def profile_interval(
        self, name: str, statistics: CategoryCounts, params: Params, level: float
    ) -> Interval:
        """Return the profile interval: the others keep their proportions, so it is binomial."""
        return _SHARE.profile_interval("p", *self._as_share(name, statistics, params), level)

    def _as_share(
        self, name: str, statistics: CategoryCounts, params: Params
    ) -> tuple[Sums, dict[str, np.ndarray]]:
        total = statistics.counts[:, int(name[1:])]
        return Sums(statistics.n, total, np.zeros_like(total)), {"p": params[name]}
