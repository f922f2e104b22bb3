"""Families of which the values were seen through a scheme: censored, truncated, or both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import special

from skgm.inference.families._base import GENERAL, Family, Params
from skgm.inference.families._numerical import RowwiseFamily, climb_simplex
from skgm.inference.families._schemes import outcomes, read_limits
from skgm.inference.families._statistics import Rows

__all__ = ["ObservedFamily", "ObservedRows", "small_sample_interval"]

Window = tuple[np.ndarray, np.ndarray]

_NARROW = 1e-2  # relative rise of the smaller tail over an interval, below which it loses digits
_NODES, _SHARES = np.polynomial.legendre.leggauss(3)
_SMALL = 200  # rows; with more of them r* and profile intervals agree to three digits
# The outcomes of the last estimate that r* was asked for; replaced as a whole
_LATEST: dict[str, Any] = {}
_FEW = 8  # rows, of which the same ones are not merged
_REJECTIONS = 60  # rounds of draws that may fall outside a window, before quantiles are taken
# Nodes in z of integrals over a distribution by x = quantile(Phi(z))
_Z = np.linspace(-8.0, 8.0, 257)[:, None]


@dataclass(frozen=True)
class ObservedRows(Rows):
    """Rows of which is known between which ends each value lies, and from where it was looked for.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    X, upper : ndarray of shape (m, d)
        The ends; equal where the value itself was seen.
    weight : ndarray of shape (m,)
        Their weights.
    entry : ndarray of shape (m, d)
        A row is there because its value is larger than this; -inf: whatever it is.
    """

    upper: np.ndarray
    entry: np.ndarray

    @classmethod
    def between(
        cls,
        lower: np.ndarray,
        upper: np.ndarray | None,
        entry: np.ndarray | None,
        weight: np.ndarray | None = None,
    ) -> "ObservedRows":
        """Keep the ends (m, d), the entries (m, d) and the weights (m,)."""
        rows = Rows.from_chunk(lower, weight)
        upper = rows.X if upper is None else np.array(upper, dtype=np.float64)
        if entry is None:
            entry = np.full(rows.X.shape, -np.inf)
        return cls(rows.n, rows.X, rows.weight, upper, np.array(entry, dtype=np.float64))

    def __add__(self, other: Any) -> "ObservedRows":
        return ObservedRows(
            self.n + other.n,
            *(
                np.concatenate([getattr(self, name), getattr(other, name)])
                for name in ("X", "weight", "upper", "entry")
            ),
        )

    def column(self, j: int) -> "ObservedRows":
        """Return the rows of one column."""
        return self._of(lambda values: values[:, [j]])

    def repeated(self, times: int) -> "ObservedRows":
        """Return the columns that many times over; one column as it is, which broadcasts."""
        if times == 1 or self.X.shape[1] == 1:
            return self
        return self._of(lambda values: np.tile(values, (1, times)))

    def _of(self, function: Callable[[np.ndarray], np.ndarray]) -> "ObservedRows":
        changed: dict[str, Any] = {
            name: function(getattr(self, name)) for name in ("X", "upper", "entry")
        }
        return replace(self, **changed)

    @cached_property
    def distinct(self) -> "ObservedRows":
        """The different rows of one column, such as the cells of a grid, with their weights.

        All rows where few are the same, and of several columns.
        """
        if self.X.shape[1] > 1 or len(self.X) < _FEW:
            return self
        parts = [self.X[:, 0], self.upper[:, 0]]
        if not np.isneginf(self.entry).all():
            parts.append(self.entry[:, 0])
        order = np.lexsort(parts)
        new = np.ones(len(order), dtype=bool)
        new[1:] = np.any([part[order[1:]] != part[order[:-1]] for part in parts], axis=0)
        first = np.flatnonzero(new)
        if 2 * len(first) > len(order):
            return self
        kept = order[first]
        weight = np.add.reduceat(self.weight[order], first)
        return ObservedRows(self.n, self.X[kept], weight, self.upper[kept], self.entry[kept])

    @property
    def is_complete(self) -> bool:
        """Whether every value was seen, and looked for from the start."""
        return bool(self.seen.all() and np.isneginf(self.entry).all())

    @property
    def seen(self) -> np.ndarray:
        """Which values are known exactly, (m, d)."""
        return self.upper == self.X

    def filled(self) -> np.ndarray:
        """Return a plausible value inside every interval, (m, d), to start a search from."""
        low, high = self.X, self.upper
        with np.errstate(invalid="ignore"):
            middle = (low + high) / 2
        known = np.where(np.isfinite(low), low, high)
        known = known[np.isfinite(known)]
        spread = float(known.std()) if len(known) else 0.0
        spread = spread if spread > 0 else 1.0
        positive = len(known) > 0 and float(known.min()) > 0
        below = high / 2 if positive else high - spread
        filled = np.where(np.isfinite(low), low + spread / 2, below)
        filled = np.where(np.isfinite(middle), middle, filled)
        return np.where(np.isfinite(filled), filled, known.mean() if len(known) else 1.0)


class ObservedFamily(RowwiseFamily):
    r"""A family of values of which some are censored, or seen through a window only.

    .. math:: \ell(\theta) = \sum_i w_i \log\frac{P(l_i \le x \le u_i; \theta)}
        {P(\max(e_i, a) < x \le b; \theta)}

    with the density in the place of the probability where both ends are the value itself. What
    was seen of a value must not depend on the value in another way. The law of the scheme is not
    modeled: standard errors come from the curvature of the likelihood.

    Parameters
    ----------
    inner : Family
        The family of the values, with a distribution function.
    window : pair of float or ndarray of shape (d,), default=None
        Values outside were never seen. The density then is that of the values inside; both ends
        belong to the window.
    """

    statistics_type: type[Rows] = ObservedRows
    has_information = False
    scheme = ("upper", "entry")

    def __init__(self, inner: Family, window: Any = None) -> None:
        if inner.joint or type(inner).cdf is Family.cdf or inner.name == "categorical":
            raise ValueError(
                f"The {inner.name} family has no distribution function of a single column of "
                "numbers, so that it takes no censored or truncated rows (event, upper, entry, "
                "window)."
            )
        self.inner, self.window = inner, window
        self.name, self.aliases, self.support = inner.name, inner.aliases, inner.support
        self.discrete, self.one_maximum = inner.discrete, inner.one_maximum
        self.special_cases = inner.special_cases
        self.equivariance = inner.equivariance if window is None else "none"
        methods = GENERAL if inner.discrete else (*GENERAL, "rstar")
        self.parameters = tuple(
            replace(p, methods=methods, auto="profile", at_low="") for p in inner.parameters
        )

    def columns(self, which: Any) -> "ObservedFamily":
        """Return the family of some columns, with their windows."""
        window = self.window
        if window is not None:
            window = tuple(end[which] if np.ndim(end) else end for end in window)
        return ObservedFamily(self.inner.columns(which), window)

    def key(self) -> Any:
        window = self.window and tuple(np.asarray(end).tobytes() for end in self.window)
        return type(self), self.inner, window

    def expand_null(self, null: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.inner.expand_null(null)

    def space_of(self, name: str, estimate: np.ndarray) -> tuple[float, float]:
        return self.inner.space_of(name, estimate)

    def full(self, params: Params) -> dict[str, Any]:
        return self.inner.full(params)

    def units(self, params: Params) -> np.ndarray:
        units = getattr(self.inner, "units", None)
        return super().units(params) if units is None else units(params)

    def ends(self, params: Params) -> tuple[Any, Any]:
        """Return the ends of the support, of the window where there is one."""
        low, high = super().ends(params)
        if self.window is None:
            return low, high
        return np.maximum(low, self.window[0]), np.minimum(high, self.window[1])

    def describe_limit(self, values: Mapping[str, float]) -> str:
        for case in self.special_cases:
            if any(np.isinf(case.null.get(name, 0.0)) for name in values):
                return f"the {case.small} family"
        limit = getattr(self.inner, "describe_limit", None)
        return "a smaller one" if limit is None else str(limit(values))

    def inside(self, X: np.ndarray) -> np.ndarray:
        """Return which values lie in the support and in the window."""
        inside = self.inner.inside(X)
        if self.window is None:
            return inside
        return inside & (self.window[0] <= X) & (self.window[1] >= X)

    def describe(self, statistics: Any = None) -> str:
        seen = "" if self.window is None else f" Seen only in {self._words()}."
        return f"{self.inner.describe()}{seen}"

    def describe_support(self) -> str:
        inner = self.inner.describe_support()
        return inner if self.window is None else f"{inner}, in the window {self._words()}"

    def _words(self) -> str:
        low, high = (np.unique(end).tolist() for end in self.window)
        if len(low) == len(high) == 1:
            return f"[{low[0]:g}, {high[0]:g}]"
        return "its column's window"

    def _window(self, params: Params) -> tuple[Any, Any]:
        """Return the ends of the window, () or one for each of the points in `params`."""
        if self.window is None:
            return -np.inf, np.inf
        width = len(next(iter(params.values())))
        low, high = (
            np.tile(end, width // len(end)) if np.ndim(end) else end for end in self.window
        )
        return low, high

    # Probabilities of intervals.
    def log_probability(self, low: np.ndarray, high: np.ndarray, params: Params) -> np.ndarray:
        """Return log P(low <= x <= high), (n, d) or as they broadcast; no digits are lost.

        Of the two tails the smaller one is taken, and of an interval so short that its ends have
        nearly the same tails the integral of the density.
        """
        if self.discrete:
            low, high = np.ceil(low) - 1, np.floor(high)
        start, end = np.isneginf(low), np.isposinf(high)
        if start.all() and end.all():
            return np.zeros(np.broadcast_shapes(low.shape, (len(next(iter(params.values()))),)))
        if end.all():
            return np.where(start, 0.0, self._tails(low, params)[1])
        if start.all():
            return np.where(end, 0.0, self._tails(high, params)[0])
        below_low, above_low = self._tails(low, params)
        below_high, above_high = self._tails(high, params)
        above = above_low < below_high
        larger = np.where(above, above_low, below_high)
        smaller = np.where(above, above_high, below_low)
        with np.errstate(invalid="ignore", divide="ignore"):
            gap = smaller - larger
            found = larger + np.log(-np.expm1(gap))
        found = np.where(np.isneginf(larger) | (high < low), -np.inf, found)
        narrow = (gap > -_NARROW) & (low < high)
        if narrow.any() and not self.discrete:
            rows = np.flatnonzero(narrow.any(axis=1))
            short = self._short(low[rows] if len(low) > 1 else low, high[rows], params)
            found[rows] = np.where(narrow[rows], short, found[rows])
        return found

    def _tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithms of both tails, right also at infinite X."""
        finite = np.isfinite(X)
        below, above = self.inner.log_tails(np.where(finite, X, self._somewhere()), params)
        if finite.all():
            return below, above
        first, last = np.isneginf(X), np.isposinf(X)
        below = np.where(first, -np.inf, np.where(last, 0.0, below))
        return below, np.where(first, 0.0, np.where(last, -np.inf, above))

    def _somewhere(self) -> float:
        return 1.0 if self.discrete else 0.5

    def _short(self, low: np.ndarray, high: np.ndarray, params: Params) -> np.ndarray:
        """Return log probabilities of intervals in which the density is nearly a cubic."""
        middle, half = (low + high) / 2, (high - low) / 2
        parts = [self.inner.log_density(middle + node * half, params) for node in _NODES]
        return special.logsumexp(parts, axis=0, b=_SHARES[:, None, None]) + np.log(half)

    def log_seen(self, entry: np.ndarray, params: Params) -> np.ndarray | float:
        """Return the log probability that a value is seen, by entries (m, d) and the window."""
        delayed = not np.isneginf(entry).all()
        if not delayed and self.window is None:
            return 0.0
        low, high = self._window(params)
        if delayed:  # larger than the entry itself
            after = np.floor(entry) + 1 if self.discrete else entry
            low = np.maximum(after, low)
        low, high = np.broadcast_arrays(np.atleast_2d(low), np.atleast_2d(high))
        return self.log_probability(low, high, params)

    def interval(self, low: np.ndarray, high: np.ndarray, params: Params) -> np.ndarray:
        """Return log P(low <= x <= high) of values that are seen, (n, d)."""
        nothing = np.full((1, 1), -np.inf)
        none = np.zeros(np.broadcast_shapes(low.shape, high.shape), dtype=bool)
        return self._of_part(low, high, none, params) - self.log_seen(nothing, params)

    def contributions(self, rows: ObservedRows, params: Params) -> np.ndarray:
        """Return the log-likelihood of each row, (m, d), or (m, m' d) at m' points."""
        with np.errstate(all="ignore"):
            found = self._between(rows, params) - self.log_seen(rows.entry, params)
        return np.where(np.isnan(found), -np.inf, found)

    def _between(self, rows: ObservedRows, params: Params) -> np.ndarray:
        seen = rows.seen
        whole = np.asarray(seen.all(axis=1))
        if whole.all():
            return self.inner.log_density(rows.X, params)
        if whole.any():
            found = np.empty((len(whole), len(next(iter(params.values())))))
            found[whole] = self.inner.log_density(rows.X[whole], params)
            part = np.flatnonzero(~whole)
            found[part] = self._of_part(rows.X[part], rows.upper[part], seen[part], params)
            return found
        return self._of_part(rows.X, rows.upper, seen, params)

    def _of_part(
        self, low: np.ndarray, high: np.ndarray, seen: np.ndarray, params: Params
    ) -> np.ndarray:
        if self.window is not None:  # nothing of an interval outside the window was possible
            first, last = self._window(params)
            low = np.where(seen, low, np.maximum(low, first))
            high = np.where(seen, high, np.minimum(high, last))
        found = self.log_probability(low, high, params)
        if seen.any():
            known = self.inner.log_density(np.where(seen, low, self._somewhere()), params)
            found = np.where(seen, known, found)
        return found

    # The likelihood and its derivatives.
    def summarize(
        self, X: np.ndarray, weight: np.ndarray | None, upper: Any = None, entry: Any = None
    ) -> ObservedRows:
        """Keep the rows with their upper ends and entries."""
        return ObservedRows.between(X, upper, entry, weight)

    def check_statistics(self, statistics: Any, names: list[str]) -> None:
        """Raise where all intervals have a point in common, on which a law could shrink."""
        if self.discrete or len(self.parameters) == 1:
            return
        counted = statistics.weight > 0
        low, high = statistics.X[counted].max(axis=0), statistics.upper[counted].min(axis=0)
        common = [names[j] for j in np.flatnonzero(low <= high)]
        if common:
            raise ValueError(
                f"The {self.name} family has no estimate for columns whose values may all be the "
                f"same ({', '.join(common)}; n_samples = {statistics.n:g}): the likelihood rises "
                "as the spread of the fitted distribution shrinks, or as its mean grows without "
                "bound. Drop them, or collect rows that are known better."
            )

    def start(self, statistics: Any) -> dict[str, np.ndarray]:
        """Return the estimate of the inner family from values filled in."""
        filled = statistics.filled()
        names = [f"column number {j}" for j in range(filled.shape[1])]
        with np.errstate(all="ignore"):
            try:
                filled = np.where(self.inner.inside(filled), filled, self._nearest(filled))
                plain = self.inner.summarize(filled, statistics.weight)
                self.inner.check_statistics(plain, names)
                found = self.inner.estimate(plain)
            except (ValueError, ArithmeticError, np.linalg.LinAlgError):
                found = {}
        if not found or not all(self._is_inner(k, v).all() for k, v in found.items()):
            rough = self.guesses(Rows.from_chunk(filled, statistics.weight))[0]
            found = {
                k: np.where(self._is_inner(k, found.get(k, np.nan)), found.get(k, v), v)
                for k, v in rough.items()
            }
        return found

    def _nearest(self, X: np.ndarray) -> np.ndarray:
        """Return values that a family of whole numbers, or one with an end, may take."""
        return np.maximum(np.rint(X), 1.0) if self.discrete else np.where(X <= 0, 0.5, X / (1 + X))

    def _is_inner(self, name: str, value: Any) -> np.ndarray:
        """Return where an estimate lies well inside its space."""
        return np.isfinite(value) & ~self.parameter(name).on_boundary(np.asarray(value))

    def restricted_estimate(self, statistics: Any, null: Params) -> dict[str, np.ndarray]:
        """Return the restricted estimate; where Newton steps get lost, after a simplex search."""
        start = self.start(statistics)
        try:
            return self.restricted_near(statistics, null, start)
        except (ValueError, np.linalg.LinAlgError):
            if not all(np.isnan(value).all() for value in null.values()):
                full = self.restricted_estimate(statistics, self.no_restriction(statistics))
                return self.restricted_near(statistics, null, full)
            return self.restricted_near(statistics, null, climb_simplex(self, statistics, start))

    # What could have been seen, and expectations over it.
    def _could_be(self, statistics: Any, params: Params) -> tuple[ObservedRows, np.ndarray, bool]:
        """Return outcomes, (m, d), their probabilities at `params`, and whether these are known.

        The rows themselves where the scheme of a column is not known: a mean over them then
        stands for the expectation.
        """
        known = True
        parts = []
        for j in range(statistics.X.shape[1]):
            one = statistics.column(j)
            limits = read_limits(one)
            known &= limits is not None
            if limits is None:
                parts.append((one.X[:, 0], one.upper[:, 0], one.entry[:, 0], one.weight / one.n))
                continue
            there = {k: np.atleast_1d(v[j]) for k, v in params.items()}
            low, high, mass = outcomes(self.columns([j]), limits, there)
            parts.append((low, high, np.full(low.shape, -np.inf), mass / mass.sum()))
        m = max(len(part[0]) for part in parts)
        low, high, entry = (
            np.column_stack([_padded(part[k], m, part[k][0]) for part in parts]) for k in range(3)
        )
        mass = np.column_stack([_padded(part[3], m, 0.0) for part in parts])
        return ObservedRows.between(low, high, entry), mass, known

    def model_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the expected information per row where the scheme tells it, (d, k, k).

        Elsewhere the observed one, which may be indefinite far from the estimate.
        """
        if not self.discrete:
            rows, mass, known = self._could_be(statistics, params)
            if known:
                score = _finite(self.kept_scores(rows, params))
                return np.einsum("md,mda,mdb->dab", mass, score, score)
        return self.observed_information(statistics, params)

    def model_standard_errors(self, statistics: Any, params: Params) -> dict[str, np.ndarray]:
        """Return those of the curvature: what was seen says more than what could have been."""
        return self.observed_standard_errors(statistics, params)

    def canonical(
        self, statistics: Any, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the covariance of the score at `estimate` with log p at `params`, and its slope.

        These approximate r* without an ancillary statistic.

        References
        ----------
        I. M. Skovgaard, "An explicit large-deviation approximation to one-parameter tests",
        Bernoulli 2, 1996; T. A. Severini, "An empirical adjustment to the likelihood ratio
        statistic", Biometrika 86, 1999, where the rows stand for the law.
        """
        if self.discrete:
            raise NotImplementedError("its values jump.")
        rows, pull, height = self._latest(statistics, estimate)
        gain = _finite(self.contributions(rows, params) - height)
        phi = np.einsum("mda,md->da", pull, gain)
        score = _finite(self.kept_scores(rows, params))
        return phi, np.einsum("mda,mdb->dab", pull, score)

    def _latest(
        self, statistics: Any, estimate: Params
    ) -> tuple[ObservedRows, np.ndarray, np.ndarray]:
        """Return outcomes at `estimate`, their weighted scores and log-likelihoods there.

        r* asks for the same ones again and again.
        """
        key = b"".join(value.tobytes() for value in estimate.values())
        known = _LATEST.get("canonical")
        if known is None or known[0] is not statistics.X or known[1] != key:
            rows, mass, _ = self._could_be(statistics, estimate)
            pull = mass[..., None] * _finite(self.kept_scores(rows, estimate))
            known = statistics.X, key, (rows, pull, self.contributions(rows, estimate))
            _LATEST["canonical"] = known
        found: tuple[ObservedRows, np.ndarray, np.ndarray] = known[2]
        return found

    def canonical_free(
        self, statistics: Any, estimate: Params, params: Params, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        phi, jacobian = self.canonical(statistics, estimate, params)
        return phi[:, free], jacobian[:, free[:, None], free]

    def auto_interval(
        self, name: str, statistics: Any, params: Params, level: float
    ) -> tuple[Any, Any, Any]:
        return small_sample_interval(self, name, statistics, params, level)

    # The law of what is seen: that of the values, between the ends of the window.
    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities (n, d) of values that are seen, -inf outside the window."""
        found = self.inner.log_density(X, params)
        if self.window is None:
            return found
        with np.errstate(all="ignore"):
            inside = (self.window[0] <= X) & (self.window[1] >= X)
            nothing = np.full((1, 1), -np.inf)
            return np.where(inside, found - self.log_seen(nothing, params), -np.inf)

    def _shares(self, params: Params) -> tuple[np.ndarray, np.ndarray]:
        """Return P(x < low) and P(x <= high) at the ends of the window, (d,)."""
        low, high = (np.atleast_2d(np.asarray(end, dtype=np.float64)) for end in self.window)
        before = np.ceil(low) - 1 if self.discrete else low
        with np.errstate(all="ignore"):
            return np.exp(self._tails(before, params)[0][0]), np.exp(
                self._tails(high, params)[0][0]
            )

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        if self.window is None:
            return self.inner.cdf(X, params)
        low, high = (np.broadcast_to(end, X.shape[1:]) for end in self.window)
        with np.errstate(all="ignore"):
            up_to = self.log_probability(
                np.broadcast_to(low, X.shape), np.clip(X, low - self.discrete, high), params
            )
            return np.exp(up_to - self.log_seen(np.full((1, 1), -np.inf), params))

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        if self.window is None:
            return self.inner.log_tails(X, params)
        return super().log_tails(X, params)

    def quantile(self, q: np.ndarray, params: Params) -> np.ndarray:
        if self.window is None:
            return self.inner.quantile(q, params)
        low, high = self._shares(params)
        found = self.inner.quantile(low + q * (high - low), params)
        return np.clip(found, *self.window)

    def mean(self, params: Params) -> np.ndarray:
        """Return the mean of the values that are seen, (d,)."""
        whole = self.inner.mean(params)
        if self.window is None:
            return whole
        if self.discrete:
            tails = np.tile([[1e-14], [1 - 1e-14]], (1, len(whole)))
            first, last = self.quantile(tails, params)
            values = np.arange(np.floor(first.min()), last.max() + 1)
            values = np.tile(values[:, None], (1, len(whole)))
            seen = np.sum(values * np.exp(self.log_density(values, params)), axis=0)
        else:
            weight = np.exp(-0.5 * _Z**2)
            shares = np.tile(special.ndtr(_Z), (1, len(whole)))
            seen = np.sum(weight * self.quantile(shares, params), axis=0) / weight.sum()
        open_ended = np.isinf(self.window[0]) | np.isinf(self.window[1])
        return np.where(open_ended & ~np.isfinite(whole), whole, seen)

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws of values that are seen."""
        draws = self.inner.sample(params, n_samples, rng)
        if self.window is None:
            return draws
        for _ in range(_REJECTIONS):
            outside = ~self.inside(draws)
            if not outside.any():
                return draws
            draws = np.where(outside, self.inner.sample(params, n_samples, rng), draws)
        return np.where(outside, self.quantile(rng.random(draws.shape), params), draws)

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, zero outside the window."""
        found = self.inner.score_function(X, params)
        return found if self.window is None else np.where(self.inside(X), found, 0.0)


def small_sample_interval(
    family: Family, name: str, statistics: Any, params: Params, level: float
) -> tuple[Any, Any, Any]:
    """Return the r* interval of up to 200 rows, where it exists; the profile one elsewhere."""
    d = len(params[name])
    if not family.discrete and statistics.n <= _SMALL:
        try:
            low, high = family.rstar_interval(name, statistics, params, level)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError):  # somewhere there is no r*
            low = high = np.full(d, np.nan)
        if ((low < params[name]) & (params[name] < high)).all():  # r* may leave the estimate out
            return low, high, "rstar"
        if d > 1:  # in some columns there may be
            each = [
                small_sample_interval(
                    family.columns([j]),
                    name,
                    statistics.column(j),
                    {key: value[[j]] for key, value in params.items()},
                    level,
                )
                for j in range(d)
            ]
            lows, highs, methods = zip(*each, strict=True)
            return np.concatenate(lows), np.concatenate(highs), np.array(methods)
    return *family.profile_interval(name, statistics, params, level), "profile"


def _finite(values: np.ndarray) -> np.ndarray:
    """Return values with zeros for those of outcomes too rare for their logarithms."""
    return np.where(np.isfinite(values), values, 0.0)


def _padded(values: np.ndarray, m: int, filler: float) -> np.ndarray:
    return np.append(values, np.full(m - len(values), filler))
