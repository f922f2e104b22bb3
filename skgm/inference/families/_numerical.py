"""Families of which only the log-density is known: everything else by numerical derivatives."""

import weakref
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import optimize

from skgm._numerics.differences import STEP, expansion, gradient
from skgm._numerics.sandwich import inverse_information
from skgm.inference._likelihood.model import Line
from skgm.inference.families._base import Interval, Params
from skgm.inference.families._location_scale import SmoothFamily
from skgm.inference.families._statistics import Rows

__all__ = ["NumericalFamily", "RowwiseFamily", "climb_simplex"]

_ROWS_TO_START = 2000
_MANY = 2**16  # numbers, whose arithmetic takes longer than the call of a log-density
_AT_EDGE = 1e-5  # an end nearer to an edge, relative to the estimate, is the edge
_ENDS = {"positive": (0.0, np.inf), "non-negative": (0.0, np.inf), "unit": (0.0, 1.0)}


# The last result of `expansion`: r*, errors and checks of edges ask for the same one after another.
_latest: list[Any] = [None]


class NumericalFamily(SmoothFamily):
    """A columnwise family that is known by its log-density, for distributions of one's own.

    A subclass sets `name`, `support`, `parameters` (and `discrete` for a mass) and writes
    ``log_density(X, params)`` and ``sample(params, n_samples, rng)``, both vectorized over columns
    as in :class:`skgm.inference.Family`. Estimates, standard errors, Wald, profile, score and
    robust intervals and the tests follow from extrapolated central differences on the scale
    without ends: log(theta - low) where a parameter has one finite end, logit where it has two.

    Notes
    -----
    Standard errors rest on the curvature at the estimate (the observed information); a subclass
    that knows the expected one writes `information` and sets ``has_information = True``.

    Starting values come from a simplex search; override `guesses` where it needs help. A real
    parameter is assumed to move in units of the parameter "scale" or "sigma" if there is one,
    and else of one or its own size; override `units` where that is far from true.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm.inference import MLEDensity
    >>> from skgm.inference.families import NumericalFamily, Parameter
    >>> class HalfNormal(NumericalFamily):
    ...     name, support = "half_normal", "positive"
    ...     parameters = (Parameter("sigma", low=0.0, link="log"),)
    ...
    ...     def log_density(self, X, params):
    ...         log_density = 0.5 * np.log(2 / np.pi) - np.log(params["sigma"])
    ...         return np.where(X > 0, log_density - 0.5 * (X / params["sigma"]) ** 2, -np.inf)
    ...
    ...     def sample(self, params, n_samples, rng):
    ...         size = (n_samples, len(params["sigma"]))
    ...         return np.abs(rng.normal(0, params["sigma"], size))
    >>> model = MLEDensity(HalfNormal()).fit(np.array([[1.0], [2.0], [0.5], [1.5]]))
    >>> round(model.params_["sigma"], 6), round(model.standard_errors()["sigma"], 6)
    (1.369306, 0.484123)
    """

    statistics_type = Rows
    has_information = False
    rounding = 1e-8

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Rows:
        """Keep the rows."""
        return Rows.from_chunk(X, weight)

    def check_statistics(self, statistics: Rows, names: list[str]) -> None:
        """Raise for constant columns, where a continuous family has more than one parameter."""
        X = statistics.X
        constant = [names[j] for j in np.flatnonzero(X.min(axis=0) == X.max(axis=0))]
        if constant and not self.discrete and len(self.parameters) > 1:
            raise ValueError(
                f"The {self.name} family has no estimate for constant columns "
                f"({', '.join(constant)}; n_samples = {statistics.n:g}): the likelihood may grow "
                "without bound. Drop them or collect more rows."
            )

    def units(self, params: Params) -> np.ndarray:
        """Return the scales (d, k) on which real parameters move; others move by their logarithm.

        Entries of parameters with a finite end are not read.
        """
        spread = params.get("scale", params.get("sigma"))
        theta = self.pack(params)
        if spread is not None:
            return np.broadcast_to(np.asarray(spread)[:, None], theta.shape)
        return np.maximum(np.abs(theta), 1.0)

    def ends(self, params: Params) -> tuple[Any, Any]:
        """Return the ends of the support, numbers or (d,) arrays."""
        return _ENDS.get(self.support, (-np.inf, np.inf))

    def describe_limit(self, values: Mapping[str, float]) -> str:
        """Return in words what the family becomes where these parameters have run away."""
        return "a smaller one"

    def guesses(self, statistics: Rows) -> list[dict[str, np.ndarray]]:
        """Return rough estimates, (d,) each, to start the search from."""
        middle = np.median(statistics.X, axis=0)
        spread = np.mean(np.abs(statistics.X - middle), axis=0)
        spread = np.where(spread > 0, spread, np.maximum(np.abs(middle), 1.0))
        guess = {}
        for p in self.parameters:
            if p.name in ("scale", "sigma"):
                value = spread
            elif np.isfinite(p.low) and np.isfinite(p.high):
                value = np.full_like(middle, (p.low + p.high) / 2)
            elif np.isfinite(p.low):
                value = np.full_like(middle, p.low + 1)
            else:
                value = middle if p.name in ("loc", "mu") else np.full_like(middle, 0.1)
            guess[p.name] = value
        return [guess]

    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the best of the guesses after a simplex search, column by column."""
        every = max(1, -(-len(statistics.X) // _ROWS_TO_START))
        X, weight = statistics.X[::every], statistics.weight[::every]
        some = Rows(float(weight.sum()), X, weight)
        line = Line(self.parameters)
        starts = [line.outward(self.pack(guess)) for guess in self.guesses(some)]
        found = np.array(starts[0])
        for j in range(X.shape[1]):
            column = Rows(some.n, X[:, [j]], weight)
            height, best = max(
                (_climb(self, column, start[j]) for start in starts), key=lambda pair: pair[0]
            )
            if not np.isfinite(height):
                raise ValueError(
                    f"The {self.name} family has no starting point of positive likelihood for "
                    f"column number {j}. Check that its values lie in the support, or fix a "
                    "parameter."
                )
            found[j] = best
        return self.unpack(line.inward(found))

    def log_likelihood(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        return statistics.n * statistics.mean(self.log_density(statistics.X, params))

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the scores, (n, d, k)."""
        u, unit, slope, _ = self._scale(params)
        return gradient(lambda v: self._log_densities(X, v), u, unit, together=True) / slope

    def kept_scores(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return the scores of the rows in the statistics, (m, d, k)."""
        return self.score(statistics.X, params)

    def mean_score(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, k)."""
        u, unit, slope, _ = self._scale(params)
        return gradient(lambda v: self._height(statistics, v), u, unit, together=True) / slope

    def observed_information(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return minus the mean Hessian, (d, k, k)."""
        return self.expansion(statistics, params)[2]

    def expansion(
        self, statistics: Rows, params: Params
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean log-likelihood, mean score and observed information, together."""
        things = [v for v in vars(statistics).values() if isinstance(v, np.ndarray)]
        key = self.key(), *(np.asarray(value).tobytes() for value in params.values())
        known = _latest[0]
        if known is not None and known[1] == key:
            same = [reference() is thing for reference, thing in zip(known[0], things)]
            if len(known[0]) == len(things) and all(same):
                found: tuple[np.ndarray, np.ndarray, np.ndarray] = known[2]
                return found
        u, unit, slope, turn = self._scale(params)
        height, score, bend = expansion(lambda v: self._height(statistics, v), u, unit)
        score = score / slope
        found = height, score, self._curvature(-bend, score, slope, turn)
        for part in found:
            part.flags.writeable = False
        _latest[0] = tuple(map(weakref.ref, things)), key, found
        return found

    def key(self) -> Any:
        """Return what tells the likelihood of this family from others of the same rows."""
        return self

    def _curvature(
        self, curvature: np.ndarray, score: np.ndarray, slope: np.ndarray, turn: np.ndarray
    ) -> np.ndarray:
        """Return minus the Hessian (d, k, k) in the parameters from that on the other scale."""
        k = np.arange(len(self.parameters))
        curvature[:, k, k] += score * turn
        return curvature / (slope[:, :, None] * slope[:, None, :])

    def information(self, params: Params) -> np.ndarray:
        """Refuse: without data there is no curvature to take."""
        raise ValueError(
            f"The expected information of the {self.name} family is not known; use cov='observed'."
        )

    def score_statistic(
        self, X: np.ndarray, weight: np.ndarray | None, restricted: Params
    ) -> np.ndarray:
        """Return U' I^-1 U at the restricted estimate, (d,); eq. score-test."""
        statistics = self.summarize(X, weight)
        slope = self.mean_score(statistics, restricted)
        information = self.model_information(statistics, restricted)
        inverse = inverse_information(information, definite=False)
        return statistics.n * np.einsum("dj,djk,dk->d", slope, inverse, slope)

    def score_interval(self, name: str, statistics: Rows, params: Params, level: float) -> Interval:
        try:
            return super().score_interval(name, statistics, params, level)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"The score interval of {name!r} has no end: the information vanishes before the "
                "test rejects. Use method='auto' or 'profile', or a lower level."
            ) from error

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, (n, d)."""
        if self.discrete:
            return super().score_function(X, params)
        low, high = self.ends(params)
        with np.errstate(all="ignore"):
            room = np.minimum(X - low, high - X)
            spread = params.get("scale", params.get("sigma", 1.0))
            step = STEP * np.minimum(spread, room / 4)
            step = np.where(room > 0, step, 1.0)

            def difference(s: np.ndarray) -> np.ndarray:
                return self.log_density(X + s, params) - self.log_density(X - s, params)

            slope = (8 * difference(step) - difference(2 * step)) / (12 * step)
        return np.where((room > 0) & np.isfinite(slope), slope, 0.0)

    def _at(self, u: np.ndarray) -> dict[str, np.ndarray]:
        return self.unpack(Line(self.parameters).inward(u))

    def _height(self, statistics: Rows, u: np.ndarray) -> np.ndarray:
        """Return mean log-densities at m points per column, (m d, k), one by one."""
        some = max(1, _MANY // statistics.X.size) * statistics.X.shape[1]
        return np.concatenate(
            [
                statistics.mean(self._log_densities(statistics.X, u[first : first + some]))
                for first in range(0, len(u), some)
            ]
        )

    def _log_densities(self, X: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Return log densities, (n, m d), of X, (n, d), at m points for each column."""
        return self.log_density(self._repeated(X, u), self._at(u))

    @staticmethod
    def _repeated(X: np.ndarray, u: np.ndarray) -> np.ndarray:
        times = len(u) // X.shape[1]
        return X if times == 1 else np.tile(X, (1, times))

    def _scale(self, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the point on the scale without ends, units there, and the map's derivatives."""
        line, theta = Line(self.parameters), self.pack(params)
        real = np.array([not np.isfinite([p.low, p.high]).any() for p in self.parameters])
        unit = np.where(real, self.units(params), 1.0)
        return line.outward(theta), unit, *line.slopes(theta)


class RowwiseFamily(NumericalFamily):
    """A family of rows of which more is known than their values: what was seen, or a constant.

    A subclass writes `contributions`; its statistics have ``distinct``, rows without repetitions,
    and ``repeated(times)``, their columns several times over.
    """

    has_information = False

    @abstractmethod
    def contributions(self, rows: Any, params: Params) -> np.ndarray:
        """Return the log-likelihood of each row, (m, d), or (m, m' d) at m' points."""

    def log_likelihood(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        rows = statistics.distinct
        return statistics.n * rows.mean(self.contributions(rows, params))

    def _height(self, statistics: Any, u: np.ndarray) -> np.ndarray:
        """Return mean log-likelihoods at m points per column, (m d, k), one by one."""
        statistics, d = statistics.distinct, statistics.X.shape[1]
        some, parts = max(1, _MANY // statistics.X.size) * d, []
        for first in range(0, len(u), some):
            points = u[first : first + some]
            rows = statistics.repeated(len(points) // d)
            parts.append(statistics.mean(self.contributions(rows, self._at(points))))
        return np.concatenate(parts)

    def kept_scores(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the scores of the rows in the statistics, (m, d, k)."""
        u, unit, slope, _ = self._scale(params)

        def value(v: np.ndarray) -> np.ndarray:
            rows = statistics.repeated(len(v) // statistics.X.shape[1])
            return self.contributions(rows, self._at(v))

        return gradient(value, u, unit, together=True) / slope


def _climb(family: NumericalFamily, column: Rows, start: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the height and the place (k,) that a simplex search reaches in one column."""

    def depth(u: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            height = float(family._height(column, u[None])[0])
        return -height if np.isfinite(height) else np.inf

    unit = family._scale(family._at(start[None]))[1][0]
    simplex = np.vstack([start, start + 0.3 * np.diag(unit)])
    options = {
        "initial_simplex": simplex,
        "maxiter": 150 * len(start),
        "xatol": 1e-3 * float(unit.min()),
        "fatol": 1e-6,
    }
    with np.errstate(all="ignore"):
        found = optimize.minimize(depth, start, method="Nelder-Mead", options=options)
    return -float(found.fun), found.x


def climb_simplex(family: NumericalFamily, statistics: Any, start: Params) -> dict[str, np.ndarray]:
    """Return parameters, (d,) each, to which a simplex search climbs column by column."""
    line = Line(family.parameters)
    found = line.outward(family.pack(start))
    for j in range(len(found)):
        one: Any = family.columns([j])
        height, found[j] = _climb(one, statistics.column(j), found[j])
        if not np.isfinite(height):
            raise ValueError(
                f"The {family.name} family has no starting point of positive likelihood for column "
                f"number {j}. Check that its values lie in the support, or fix a parameter."
            )
    return family.unpack(line.inward(found))
