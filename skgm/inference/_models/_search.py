"""The ends of an interval: where the root of a test statistic reaches its quantile."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize

from skgm.inference._models._protocol import LikelihoodModel, ModelFit

__all__ = ["IntervalSearch"]

_WIDENINGS = 14  # doublings of the distance from the estimate: 16,000 standard errors
_AT_EDGE = 1e-6  # nearer to an edge, relative to the estimate, likelihoods drown in rounding


class IntervalSearch:
    """One interval's search: restricted fits warm-started from the last one."""

    def __init__(
        self,
        model: LikelihoodModel,
        fit: ModelFit,
        target: Any,
        distance: Callable[[ModelFit], float],
        quantile: float,
    ) -> None:
        self.model, self.fit, self.target = model, fit, target
        self.distance, self.quantile = distance, quantile
        self.last = fit.params
        self.known: dict[float, float] = {}
        self.centre, self.edge = target.value(fit.params), target.edge(model)

    def excess(self, value: float) -> float:
        """Return the root of the statistic at a value, less the quantile."""
        if value not in self.known:
            self.known[value] = self._excess(value)
        return self.known[value]

    def _excess(self, value: float) -> float:
        try:
            restricted = self.target.fit(self.model, value, self.last)
            excess = self.distance(restricted) - self.quantile
        except ValueError:  # outside the parameter space
            return np.inf
        self.last = restricted.params
        return excess if np.isfinite(excess) else np.inf

    def end(self, width: float) -> float:
        """Return the end of the interval on the side of the sign of `width`."""
        self.last = self.fit.params
        inner = self.centre
        for widening in range(_WIDENINGS):
            outer = self.centre + width * 2.0**widening
            if outer <= self.edge:  # approach the edge of the space instead
                outer = self.edge + (inner - self.edge) / 16
                if outer - self.edge < _AT_EDGE * (self.centre - self.edge):
                    return self.edge
            at_outer = self.excess(outer)
            if at_outer >= 0:
                return self._root(inner, outer, at_outer)
            inner = outer
        raise ValueError(
            "The interval has no end at this level on one side: the statistic stays below its "
            "quantile however far the value lies from the estimate. Use a lower level, or another "
            "method."
        )

    def _root(self, inner: float, outer: float, at_outer: float) -> float:
        for _ in range(60):  # bring the outer end into the parameter space
            if np.isfinite(at_outer):
                break
            middle = (inner + outer) / 2
            at_middle = self.excess(middle)
            if at_middle < 0:
                inner = middle
            else:
                outer, at_outer = middle, at_middle
        if not np.isfinite(at_outer):
            raise ValueError(
                "The interval ends where the restricted estimate ceases to exist, so its end is "
                "not found. Use a lower level, or another method."
            )
        span = abs(outer - inner)
        return float(
            optimize.brentq(self.excess, inner, outer, xtol=1e-13 * span + 1e-300, rtol=1e-14)
        )
