"""Compares censored columns with a law, by Turnbull's estimate, and draws their schemes anew."""

from typing import Any, NamedTuple

import numpy as np

from skgm.inference._likelihood.bootstrap import fits_of_columns
from skgm.inference.families import Family
from skgm.inference.families._censored import CensoredFamily
from skgm.inference.families._fixed import FixedFamily
from skgm.inference.families._schemes import product_limit, turnbull

__all__ = ["CensoredColumns", "censored_statistic"]

_NODES, _SHARES = np.polynomial.legendre.leggauss(3)
_NARROW = 1e-2  # pieces, relative to the distance from 0 or 1, that take Gauss's rule


def censored_statistic(kind: str, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    r"""Return the distance between Turnbull's estimate and the law, (d,); eq. anderson-darling.

    Inside an innermost interval, where the estimate does not tell, its mass is spread like the
    law's. Of values that were all seen it is the usual statistic.

    Parameters
    ----------
    kind : {"ad", "ks", "cvm"}
        Anderson and Darling, Kolmogorov and Smirnov, Cramer and von Mises.
    low, high : ndarray of shape (n, d)
        Between which probabilities of the law each value lies.
    """
    n, d = low.shape
    first, last, mass = turnbull(low, high)
    steps = np.cumsum(mass, axis=0)
    u = np.stack([first, last], axis=1).reshape(-1, d)
    height = np.stack([steps - mass, steps], axis=1).reshape(-1, d)
    u = np.concatenate([np.zeros((1, d)), u, np.ones((1, d))])
    height = np.concatenate([np.zeros((1, d)), height, np.ones((1, d))])
    gap = height - u
    if kind == "ks":
        return np.asarray(np.abs(gap).max(axis=0))
    before, after, length = gap[:-1], gap[1:], np.diff(u, axis=0)
    if kind == "cvm":
        parts = length * (before**2 + before * after + after**2) / 3
        return np.asarray(n * parts.sum(axis=0))
    return np.asarray(n * _weighted_squares(u, before, after).sum(axis=0))


def _weighted_squares(u: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    r"""Return the integrals of g^2 / {u (1 - u)} over pieces on which the gap g is linear.

    With :math:`g = \alpha + \beta u` the integrand is :math:`\alpha^2 / u + (\alpha + \beta)^2 /
    (1 - u) - \beta^2`.
    """
    info = np.finfo(np.float64)
    u = np.clip(u, info.tiny, 1 - info.epsneg)  # else one far value is infinitely far
    start, end = u[:-1], u[1:]
    length = end - start
    with np.errstate(all="ignore"):
        slope = (after - before) / length
        level = before - slope * start
        whole = level**2 * np.log(end / start) - slope**2 * length
        whole = whole - (level + slope) ** 2 * (np.log1p(-end) - np.log1p(-start))
    gauss = np.zeros_like(length)
    for node, share in zip((_NODES + 1) / 2, _SHARES / 2, strict=True):
        at = start + node * length
        gauss = gauss + share * (before + node * (after - before)) ** 2 / (at * (1 - at))
    narrow = length < _NARROW * np.minimum(start, 1 - end)
    return np.where(narrow, gauss * length, whole)


class CensoredColumns(NamedTuple):
    """A fitted column of which some values were not seen: its law, and what is known of each.

    Attributes
    ----------
    family : Family
        Of one column, as it was fitted.
    params : dict of str to ndarray of shape (1,)
        The estimate.
    low, high, entry : ndarray of shape (n, 1)
        Between which ends each value lies, and from where it was looked for.
    """

    family: Family
    params: Any
    low: np.ndarray
    high: np.ndarray
    entry: np.ndarray

    @classmethod
    def of(cls, family: Family, params: Any, statistics: Any) -> "CensoredColumns":
        """Take one column of a fit, its rows as often as their weights say."""
        low, weight = statistics.X, statistics.weight
        upper = getattr(statistics, "upper", None)
        high = np.where(statistics.event == 1, low, np.inf) if upper is None else upper
        entry = getattr(statistics, "entry", np.full(low.shape, -np.inf))
        times = np.rint(weight).astype(np.intp)
        return cls(family, params, *(np.repeat(part, times, axis=0) for part in (low, high, entry)))

    def shares(
        self, family: Family, params: Any, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the probabilities up to both ends, of what could be seen of each row, (n, d).

        They are those of the law beyond the entry and in the window, so that values of all rows
        are uniform if the law is right.
        """
        base = family.base if isinstance(family, FixedFamily) else family
        law: Any = base.general if isinstance(base, CensoredFamily) else base
        full = family.full(params)
        with np.errstate(all="ignore"):
            start, end = (np.broadcast_to(each, low.shape) for each in law._window(full))
            entry = np.floor(self.entry) + 1 if law.discrete else self.entry
            start = np.maximum(start, entry)
            seen = law.log_seen(self.entry, full)

            def up_to(place: np.ndarray) -> np.ndarray:
                place = np.minimum(place, end)
                found = np.exp(law.log_probability(start, place, full) - seen)
                return np.where(place < start, 0.0, np.clip(found, 0.0, 1.0))

            above = up_to(high)
            below = up_to(np.ceil(low) - 1 if law.discrete else low)
        return (below, above) if law.discrete else (np.where(low == high, above, below), above)

    def statistic(self, kind: str) -> float:
        """Return the statistic of the column."""
        ends = self.shares(self.family, self.params, self.low, self.high)
        return float(censored_statistic(kind, *ends)[0])

    def null_statistics(self, kind: str, work: tuple[int, np.random.Generator]) -> np.ndarray:
        """Return statistics of columns drawn from the fit, censored alike and fitted anew."""
        size, rng = work
        drawn = _Fits(self, *self.draw(size, rng))
        found = []
        for picked, params in fits_of_columns(drawn, np.arange(size)[None]):
            low, high = drawn.low[:, picked[0]], drawn.high[:, picked[0]]
            ends = self.shares(drawn.of(picked), params, low, high)
            found.append(censored_statistic(kind, *ends))
        return np.concatenate([np.zeros(0), *found])

    def draw(self, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return both ends of what is seen of drawn columns, (n, size) each."""
        family = self.family.columns(np.zeros(size, dtype=np.intp))
        wide = {name: np.repeat(value, size) for name, value in self.params.items()}
        n = len(self.low)
        with np.errstate(all="ignore"):
            if np.isneginf(self.entry).all():
                x = family.sample(wide, n, rng)
            else:
                before = family.cdf(np.tile(self.entry, (1, size)), wide)
                before = np.where(np.isneginf(self.entry), 0.0, before)
                x = family.quantile(before + rng.random((n, size)) * (1 - before), wide)
        return self._see(x, rng)

    def _see(self, x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return what the scheme would show of other values."""
        seen = self.low == self.high
        below, above = np.isneginf(self.low) & ~seen, np.isposinf(self.high) & ~seen
        if (seen | below | above).all():
            if not seen.any():  # one look at each, whose time is known
                look = np.where(below, self.high, self.low)
                return np.where(x <= look, -np.inf, look), np.where(x <= look, look, np.inf)
            right = _limits(self.low, above, ~below, x.shape[1], rng)
            left = -_limits(-self.high, below, ~above, x.shape[1], rng)
            low = np.where(x < left, -np.inf, np.minimum(x, right))
            return low, np.where(x < left, left, np.where(x > right, np.inf, x))
        cells = np.unique(np.column_stack([self.low, self.high])[~seen[:, 0]], axis=0)
        apart = (cells[1:, 0] >= cells[:-1, 1]).all()
        if apart or seen.any():
            return self._see_cells(x, seen, rng)
        return self._see_between_looks(x, below, above, rng)

    def _see_between_looks(
        self, x: np.ndarray, below: np.ndarray, above: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return between which looks values lie, of rows that were looked at each in its own time.

        A row goes on to be looked at, as often as in its own interval, until its follow-up ends.
        """
        known = ~below & ~above
        with np.errstate(invalid="ignore"):
            width = np.where(known, self.high - self.low, 1.0)
        usual = np.median(width[known])
        width = np.where(known, width, usual)
        look = np.where(below, self.high, self.low)
        with np.errstate(over="ignore"):
            number = np.ceil((x - look) / width) - 1
            low, high = look + number * width, look + (number + 1) * width
        low, high = np.where(below & (x <= look), -np.inf, low), np.maximum(high, x)
        last = _limits(np.where(above, self.low, self.high), above, ~below, x.shape[1], rng)
        out = x > last
        low, high = np.where(out, last, np.minimum(low, x)), np.where(out, np.inf, high)
        first = -_limits(-np.where(below, self.high, self.low), below, ~above, x.shape[1], rng)
        out = x <= first
        return np.where(out, -np.inf, low), np.where(out, first, high)

    def _see_cells(
        self, x: np.ndarray, seen: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return for each value one of the cells of the table that hold it.

        A cell that stands there N times, of probability p, shows a value inside it with the
        probability N / (n p): that is the mean share of its values that it showed.
        """
        ends = np.column_stack([self.low, self.high])[~seen[:, 0]]
        cells, count = np.unique(ends, axis=0, return_counts=True)
        below, above = self.shares(self.family, self.params, self.low, self.high)
        places = {tuple(cell): i for i, cell in enumerate(ends.tolist())}
        p = (above - below)[~seen[:, 0], 0][[places[tuple(cell)] for cell in cells.tolist()]]
        chance = count / (len(x) * np.maximum(p, np.finfo(np.float64).tiny))
        values = self.low[seen]
        total, may_show = np.zeros(x.shape), np.zeros(x.shape, dtype=bool)
        for (start, end), each in zip(cells, chance, strict=True):
            inside = (start < x) & (x <= end)
            total += each * inside
            may_show |= inside & bool(((start < values) & (values < end)).any())
        may_show |= (total == 0) & seen.any()
        left = rng.random(x.shape) * np.where(may_show, np.maximum(total, 1.0), total)
        low, high = x.copy(), x.copy()
        for (start, end), each in zip(cells, chance, strict=True):
            inside = (start < x) & (x <= end)
            taken = inside & (left >= 0) & (left < each)
            low, high = np.where(taken, start, low), np.where(taken, end, high)
            left = np.where(inside, left - each, left)
        lost = (low == high) & ~may_show
        if lost.any():  # between the looks of other rows
            looks = np.unique(ends)
            looks = np.concatenate([[-np.inf], looks[np.isfinite(looks)], [np.inf]])
            cell = np.searchsorted(looks, x)
            low, high = np.where(lost, looks[cell - 1], low), np.where(lost, looks[cell], high)
        return low, high


def _limits(
    place: np.ndarray, ended: np.ndarray, told: np.ndarray, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Return limits of follow-up of each row, (n, size): its own, where it is known.

    Elsewhere they are drawn from the estimate of Kaplan and Meier, beyond the value that was seen;
    what its masses miss to one lies half at the last place of the table, half beyond all values.
    """
    if not ended.any():
        return np.full((len(place), size), np.inf)

    weight = np.ones(int(told.sum()))
    at, mass = product_limit(place[told], ended[told], weight)
    passed = np.append(0.0, np.cumsum(mass))
    before = passed[np.searchsorted(at, np.where(told, place, -np.inf)[:, 0])][:, None]
    drawn = np.searchsorted(passed, before + rng.random((len(place), size)) * (1 - before), "right")
    limit = np.append(at, np.inf)[np.minimum(drawn - 1, len(at))]
    at_last = np.isinf(limit) & (rng.random(limit.shape) < 0.5)
    return np.where(ended, place, np.where(at_last, place[told].max(), limit))


class _Fits:
    """Drawn columns and their schemes, to be fitted by the family of the first column."""

    def __init__(self, column: CensoredColumns, low: np.ndarray, high: np.ndarray) -> None:
        self.column, self.low, self.high = column, low, high
        self.family: Any = column.family

    def of(self, picked: np.ndarray) -> Any:
        return self.family.columns(np.zeros(picked.shape[1], dtype=np.intp))

    def _statistics(self, picked: np.ndarray) -> Any:
        low, high = self.low[:, picked[0]], self.high[:, picked[0]]
        if self.family.scheme == ("event",):
            return self.family.summarize(low, None, np.isfinite(high).astype(np.float64))
        entry = np.tile(self.column.entry, (1, low.shape[1]))
        return self.family.summarize(low, None, high, entry)

    def estimates(self, picked: np.ndarray) -> dict[str, np.ndarray]:
        """Return the estimates from columns, or raise where one has none."""
        with np.errstate(all="ignore"):
            family = self.of(picked)
            statistics = self._statistics(picked)
            family.check_statistics(statistics, [str(b) for b in picked[0]])
            found: dict[str, np.ndarray] = family.estimate(statistics)
        return found

    def determine(self, picked: np.ndarray) -> bool:
        """Whether one column determines the parameters."""
        try:
            self.of(picked).check_statistics(self._statistics(picked), ["resample"])
        except ValueError:
            return False
        return True
