"""A family with some parameters held at known values: a smaller family, in every respect."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from skgm.inference.families._base import Family, Interval, Params
from skgm.inference.families._observed import small_sample_interval

__all__ = ["FixedFamily"]

_GENERIC = ("wald", "wald-transformed", "score", "profile", "rstar", "robust", "bootstrap")


class FixedFamily(Family):
    """A columnwise family of which some parameters are known.

    Parameters
    ----------
    base : Family
        The whole family.
    fixed : mapping of str to float or array-like of shape (d,)
        Values of the known parameters.
    """

    def __init__(self, base: Family, fixed: Mapping[str, Any]) -> None:
        if base.joint:
            raise ValueError(
                f"fixed is for families of independent columns; the {base.name} family is joint. "
                "Test the restriction with score_test or likelihood_ratio_test instead."
            )
        self.base = base
        self.fixed = {name: _check_value(base, name, value) for name, value in fixed.items()}
        free = [p for p in base.parameters if p.name not in self.fixed]
        if not free:
            raise ValueError("fixed holds every parameter; leave at least one to estimate.")
        self.free = np.array([base.parameters.index(p) for p in free])
        self.parameters = tuple(_generic(p, base) for p in free)
        self.name, self.aliases, self.support = base.name, base.aliases, base.support
        self.discrete, self.statistics_type = base.discrete, base.statistics_type
        self.has_information, self.scheme = base.has_information, base.scheme
        self.one_maximum, self.rounding = base.one_maximum, base.rounding
        # what moves or stretches the table no longer finds the held parameter moved along
        self.equivariance = "none"

    def full(self, params: Params) -> dict[str, np.ndarray]:
        """Return all parameters of the base, the held ones included, in its order."""
        d = len(next(iter(params.values())))
        held = {name: np.broadcast_to(value, (d,)) for name, value in self.fixed.items()}
        both = {**held, **params}
        return {p.name: both[p.name] for p in self.base.parameters}

    def columns(self, which: Any) -> "FixedFamily":
        """Return the family of some columns, with what is known of them."""
        known = {name: v[which] if v.ndim else v for name, v in self.fixed.items()}
        return FixedFamily(self.base.columns(which), known)

    def _free(self, params: Params) -> dict[str, np.ndarray]:
        return {p.name: params[p.name] for p in self.parameters}

    def _block(self, matrix: np.ndarray) -> np.ndarray:
        return matrix[:, self.free[:, None], self.free]

    def inside(self, X: np.ndarray) -> np.ndarray:
        """Return which values lie in the support."""
        return self.base.inside(X)

    def describe(self, statistics: Any = None) -> str:
        return self.base.describe()

    def describe_support(self) -> str:
        return self.base.describe_support()

    def summarize(self, X: np.ndarray, weight: np.ndarray | None, *event: np.ndarray) -> Any:
        """Return the base's statistics; `event` is for bases of right-censored rows."""
        for name, value in self.fixed.items():
            if value.ndim and len(value) != X.shape[1]:
                raise ValueError(
                    f"fixed[{name!r}] must be a number or have one value per column "
                    f"({X.shape[1]}); got {len(value)}."
                )
        return self.base.summarize(X, weight, *event)

    def check_statistics(self, statistics: Any, names: list[str]) -> None:
        """Raise where the base has no estimate, unless holding parameters gives it one."""
        try:
            self.base.check_statistics(statistics, names)
        except ValueError:
            with np.errstate(all="ignore"):
                try:
                    estimate = self.estimate(statistics)
                    information = self.model_information(statistics, estimate)
                except (ValueError, np.linalg.LinAlgError):
                    estimate, information = {}, np.array([np.nan])
            theta = np.array(list(estimate.values()))
            edges = [p.on_boundary(estimate[p.name]).any() for p in self.parameters if estimate]
            if not (np.isfinite(information).all() and np.isfinite(theta).all()) or any(edges):
                raise

    def restricted_estimate(self, statistics: Any, null: Params) -> dict[str, np.ndarray]:
        """Return the estimate with `null` and the known values held."""
        return self._free(self.base.restricted_estimate(statistics, {**null, **self.fixed}))

    def restricted_near(self, statistics: Any, null: Params, near: Params) -> dict[str, np.ndarray]:
        """Return the restricted estimate, searched from `near`."""
        both = {**null, **self.fixed}
        return self._free(self.base.restricted_near(statistics, both, self.full(near)))

    def log_likelihood(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        return self.base.log_likelihood(statistics, self.full(params))

    def space_of(self, name: str, estimate: np.ndarray) -> tuple[float, float]:
        return self.base.space_of(name, estimate)

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n, d)."""
        return self.base.log_density(X, self.full(params))

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        return self.base.cdf(X, self.full(params))

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        return self.base.log_tails(X, self.full(params))

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the scores of the free parameters, (n, d, k)."""
        return self.base.score(X, self.full(params))[..., self.free]

    def mean_score(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the mean score of the free parameters, (d, k)."""
        return self.base.mean_score(statistics, self.full(params))[:, self.free]

    def kept_scores(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the scores of the rows in the statistics, of the free parameters."""
        return self.base.kept_scores(statistics, self.full(params))[..., self.free]

    def information(self, params: Params) -> np.ndarray:
        """Return the block of the free parameters: what is known costs no information."""
        return self._block(self.base.information(self.full(params)))

    def model_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the block of the free parameters."""
        return self._block(self.base.model_information(statistics, self.full(params)))

    def observed_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the block of the free parameters."""
        return self._block(self.base.observed_information(statistics, self.full(params)))

    def expansion(
        self, statistics: Any, params: Params
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean log-likelihood, mean score and observed information, of the free ones."""
        height, score, information = self.base.expansion(statistics, self.full(params))
        return height, score[:, self.free], self._block(information)

    def canonical(
        self, statistics: Any, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the canonical parameter along the free ones."""
        both = self.full(estimate), self.full(params)
        return self.base.canonical_free(statistics, *both, self.free)

    def mean(self, params: Params) -> np.ndarray:
        return self.base.mean(self.full(params))

    def quantile(self, q: np.ndarray, params: Params) -> np.ndarray:
        return self.base.quantile(q, self.full(params))

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        return self.base.sample(self.full(params), n_samples, rng)

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, (n, d)."""
        return self.base.score_function(X, self.full(params))

    def auto_interval(
        self, name: str, statistics: Any, params: Params, level: float
    ) -> tuple[Any, Any, Any]:
        try:
            if self.scheme:
                return small_sample_interval(self, name, statistics, params, level)
            return super().auto_interval(name, statistics, params, level)
        except NotImplementedError:  # a family of one's own need not define `canonical`
            low, high = self.profile_interval(name, statistics, params, level)
            return low, high, "profile"

    def exact_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        """Refuse: exact distributions are those of the whole family's estimates."""
        raise ValueError("Exact intervals are not known with fixed parameters; use method='auto'.")


def _generic(parameter: Any, base: Family) -> Any:
    methods = tuple(m for m in _GENERIC if m in (*parameter.methods, "score", "profile"))
    auto = "rstar" if "rstar" in methods else "profile"
    return replace(parameter, methods=methods, auto=auto)


def _check_value(base: Family, name: str, value: Any) -> np.ndarray:
    parameter = base.parameter(name)
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"fixed[{name!r}] must hold numbers; got {value!r}.") from error
    if array.ndim > 1 or not np.isfinite(array).all() or parameter.on_boundary(array).any():
        raise ValueError(
            f"fixed[{name!r}] must be {parameter.describe_space()}, one or one per column; "
            f"got {value!r}."
        )
    return array
