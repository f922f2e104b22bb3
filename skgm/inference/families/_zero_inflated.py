"""Counts with more zeros than their family has."""

from dataclasses import replace
from typing import Any

import numpy as np

from skgm.inference.families._base import GENERAL, Parameter, Params, SpecialCase, same
from skgm.inference.families._hurdle import named_family
from skgm.inference.families._numerical import NumericalFamily
from skgm.inference.families._statistics import Rows

__all__ = ["ZeroInflated"]


class ZeroInflated(NumericalFamily):
    r"""A family of counts, and zeros beside those that it has itself.

    .. math:: p(x) = \pi\, 1\{x = 0\} + (1 - \pi) f(x; \theta), \quad 0 \le \pi < 1

    If there are no more zeros than the family expects, the estimate of `inflation` is zero. It lies
    on the edge, so it has no standard error, and its interval is one-sided. "No inflation",
    ``{"inflation": 0}``, is tested by :func:`~skgm.score_test` and
    :func:`~skgm.likelihood_ratio_test` of one column, whose p-value is half that of the chi-square:
    half the time the estimate lies on the edge itself.

    Parameters
    ----------
    family : str, Family or scipy.stats distribution
        Of counts, among them zero.

    References
    ----------
    J. van den Broek, "A score test for zero inflation in a Poisson distribution", Biometrics 51,
    1995. S. G. Self and K.-Y. Liang, "Asymptotic properties of maximum likelihood estimators and
    likelihood ratio tests under nonstandard conditions", JASA 82, 1987.

    Examples
    --------
    >>> from skgm import fit_family
    >>> from skgm.inference.families import ZeroInflated
    >>> model = fit_family([0, 0, 0, 0, 3, 2, 0, 4, 0, 3, 1, 2], ZeroInflated("poisson"))
    >>> round(model.params_["inflation"], 3), round(model.params_["mu"], 3)
    (0.44, 2.232)
    """

    discrete = True
    one_maximum = False

    def __init__(self, family: Any) -> None:
        self.family = family
        base = named_family(family)
        zero = np.zeros((1, 1))
        if not base.discrete or base.joint or not base.inside(zero).all():
            raise ValueError(
                f"ZeroInflated needs a family of counts that takes zero; got {base.name}. Where "
                "zero is a value apart, use Hurdle."
            )
        self.base_family = base
        self.name, self.support = f"zero_inflated_{base.name}", base.support
        self.special_cases = (
            SpecialCase(
                base.name,
                {"inflation": 0.0},
                {p.name: (p.name, same) for p in base.parameters},
            ),
        )
        self.parameters = (
            *(replace(p, methods=GENERAL, auto="profile", at_low="") for p in base.parameters),
            Parameter(
                "inflation",
                low=0.0,
                high=1.0,
                link="logit",
                methods=GENERAL,
                tested_low=True,
            ),
        )

    def inside(self, X: np.ndarray) -> np.ndarray:
        """Return which values lie in the support."""
        return self.base_family.inside(X)

    def describe(self, statistics: Any = None) -> str:
        return f"Zeros beside those of: {self.base_family.describe()}"

    def describe_support(self) -> str:
        return self.base_family.describe_support()

    def _base(self, params: Params) -> dict[str, Any]:
        return {p.name: params[p.name] for p in self.base_family.parameters}

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log masses, (n, d)."""
        inflation = params["inflation"]
        with np.errstate(divide="ignore"):
            rest = np.log1p(-inflation) + self.base_family.log_density(X, self._base(params))
            return np.where(X == 0, np.logaddexp(np.log(inflation), rest), rest)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        inflation = params["inflation"]
        below = self.base_family.cdf(X, self._base(params))
        return inflation * (X >= 0) + (1 - inflation) * below

    def mean(self, params: Params) -> np.ndarray:
        return (1 - params["inflation"]) * self.base_family.mean(self._base(params))

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws."""
        draws = self.base_family.sample(self._base(params), n_samples, rng)
        return np.where(rng.random(draws.shape) < params["inflation"], 0.0, draws)

    def units(self, params: Params) -> np.ndarray:
        return np.maximum(np.abs(self.pack(params)), 1.0)

    # The estimate: inside the space, or on its edge, where the likelihood is that of the family.
    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the family's estimate with zeros replaced by a middle value, and what is left."""
        X, weight = statistics.X, statistics.weight
        positive = X > 0
        middle = (weight @ X) / np.maximum(weight @ positive, 1e-9)
        filled = np.where(positive, X, np.maximum(np.floor(middle), 1.0))
        found = self._plain(filled, weight)
        with np.errstate(all="ignore"):
            none = np.exp(self.base_family.log_density(np.zeros((1, X.shape[1])), found))[0]
        share = 1 - weight @ positive / statistics.n
        more = np.clip((share - none) / (1 - none), 0.05, 0.95)
        return {**found, "inflation": np.where(np.isfinite(more), more, 0.5)}

    def _plain(self, X: np.ndarray, weight: np.ndarray, null: Any = None) -> dict[str, np.ndarray]:
        """Return the estimate of the family alone, inside its space."""
        statistics = self.base_family.summarize(X, weight)
        if null is not None:
            return self.base_family.restricted_estimate(statistics, null)
        found = self.base_family.estimate(statistics)
        for p in self.base_family.parameters:
            value = np.where(np.isfinite(found[p.name]), found[p.name], 10.0)
            value = np.where(value >= p.high, (max(p.low, 0.0) + p.high) / 2, value)
            found[p.name] = np.where(value <= p.low, p.low + 0.5, value)
        return found

    def restricted_estimate(self, statistics: Rows, null: Params) -> dict[str, np.ndarray]:
        return self.restricted_near(statistics, null, self.start(statistics))

    def restricted_near(
        self, statistics: Rows, null: Params, near: Params
    ) -> dict[str, np.ndarray]:
        """Return the higher of the maximum inside the space and that without inflation."""
        d = statistics.X.shape[1]
        held = {k: np.broadcast_to(np.asarray(v, dtype=float), (d,)) for k, v in null.items()}
        inflation = held["inflation"]
        near = {**near, "inflation": np.clip(near["inflation"], 1e-3, 1 - 1e-3)}
        edge = np.isnan(inflation) | (inflation == 0)
        inner = super().restricted_near(
            statistics, {**held, "inflation": np.where(inflation == 0, 0.5, inflation)}, near
        )
        if not edge.any():
            return self._known(inner)
        with np.errstate(all="ignore"):
            plain = self._plain(statistics.X, statistics.weight, self._base(held))
            plain["inflation"] = np.zeros(d)
            heights = [
                np.nan_to_num(self.log_likelihood(statistics, p), nan=-np.inf)
                for p in (inner, plain)
            ]
        lower = (inflation == 0) | (np.isnan(inflation) & ~(heights[0] > heights[1] + 1e-9))
        return self._known({k: np.where(lower, plain[k], v) for k, v in inner.items()})

    def _known(self, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        lost = np.any([np.isnan(value) for value in found.values()], axis=0)
        if lost.any():
            raise ValueError(
                f"The {self.name} family has no estimate for column number "
                f"{int(np.argmax(lost))}: the likelihood still rises where the search ended."
            )
        return found

    def settle(
        self, statistics: Any, null: Params, found: dict[str, np.ndarray], converged: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return NaN where the search inside the space did not converge."""
        return {name: np.where(converged, value, np.nan) for name, value in found.items()}

    def limit_root(self, name: str, x: np.ndarray, weight: np.ndarray | None) -> float:
        """Return the standardized score of `inflation` of one column x, (n,), at no inflation."""
        X, base = x[:, None], self.base_family
        weight = np.ones(len(x)) if weight is None else weight
        statistics = base.summarize(X, weight)
        found = base.estimate(statistics)
        none = np.exp(base.log_density(np.zeros((1, 1)), found))[0, 0]
        slope = float(weight @ ((x == 0) / none - 1))
        mixed = base.score(np.zeros((1, 1)), found)[0, 0]
        information = base.model_information(statistics, found)[0]
        variance = 1 / none - 1 - mixed @ np.linalg.solve(information, mixed)
        return slope / float(np.sqrt(weight.sum() * variance))
