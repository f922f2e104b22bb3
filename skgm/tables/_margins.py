"""Describe one column by its distribution over a base measure, and cut it into ordered cells.

A column of numbers has atoms (single values with point mass, measured by counting) and a density
elsewhere (Lebesgue measure). The density is a histogram whose knots follow the rows, plus a broad
Student's t of the mass of one row, so that no value of the support has density zero. Values that
were recorded to a resolution h are rounded: each has the probability of its interval of width h,
reported as probability over width, so that a rounded table and its original score alike. A column
of categories has probabilities (counting measure).

Cells are what a model over several columns may condition on: every atom and every heavy value is a
cell of its own, the rest of the line is cut where the knots are. Within a cell the margin says how
values are spread. A column of few values, such as codes 1, 2 and 9, is drawn at recorded values
only: the mass of new values, that of one row, is there for rows that come later.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from skgm.tables._columns import WHOLE

__all__ = [
    "CategoryMargin",
    "Margin",
    "NumberMargin",
    "few_values",
    "learn_margin",
    "margin_of",
    "margin_state",
    "nearest",
    "repeated_values",
    "resolution",
]

_DF = 3.0  # degrees of freedom of the broad part: a finite variance, and tails of the third power
_MOST_DECIMALS = 6
_OFTEN, _SURE = 5.0, 3.0  # rows of a value that repeats; log-likelihood beyond that of chance
_FEWEST, _PENALTY = 2.0, 1.25  # rows of a bin; times the log of the rows that a split divides
_NARROWEST = 1e-300  # width of a bin, so that no density overflows
_FEW_VALUES = 20  # a column of as few values that repeat has atoms only
_FEW_ROWS, _BESIDE = 1000, 10.0  # up to here gaps count; rows on either side that tell their size
_MIN_ATOM = 5.0  # times as many rows as values have on average


def resolution(x: np.ndarray) -> float:
    """Return the power of ten of which all values are multiples, 0 if there is none above 1e-6."""
    for decimals in range(_MOST_DECIMALS + 1):
        with np.errstate(over="ignore"):
            scaled = x * 10.0**decimals
        if not np.isfinite(scaled).all():
            break
        # one part in 1e9 of the value: what is left of a decimal fraction in binary
        if (np.abs(scaled - np.rint(scaled)) <= 1e-9 * np.abs(scaled)).all():
            return float(10.0**-decimals)
    return 0.0


def few_values(value: np.ndarray, n: float) -> bool:
    """Tell whether the distinct values of n rows are so few that new ones are not to be drawn."""
    return len(value) <= max(_FEW_VALUES, n / 40)


def repeated_values(count: np.ndarray) -> np.ndarray:
    """Tell which values, of so many rows each, repeat too often for a density.

    Where all values repeat, repetition is no sign of a point mass.
    """
    n = count.sum()
    return np.asarray(count >= max(_MIN_ATOM * n / len(count), n / 100))


def nearest(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return for each number the nearest of these ascending values, (n,)."""
    return np.asarray(values[np.searchsorted((values[1:] + values[:-1]) / 2, x)])


@dataclass(frozen=True, eq=False)
class CategoryMargin:
    """Probabilities of the categories of one column, each a cell.

    Attributes
    ----------
    mass : ndarray of shape (n_cells,)
        Probability of each cell.
    cell_of_code : ndarray of shape (n_values,)
        The cell of each coded value; -1 for a value without training rows.
    new_mass : float
        Probability of all values without training rows together, where there may be any: that of
        one row among n + 1. The others then have the rest.
    """

    mass: np.ndarray
    cell_of_code: np.ndarray
    new_mass: float

    @classmethod
    def learn(
        cls, codes: np.ndarray, weight: np.ndarray, n_values: int, *, ordered: bool
    ) -> "CategoryMargin":
        """Count the observed codes; unordered categories are arranged by frequency."""
        count = np.bincount(codes.astype(np.intp), weight, minlength=n_values)
        used = np.flatnonzero(count)
        if not ordered:
            used = used[np.argsort(-count[used], kind="stable")]
        cell_of_code = np.full(n_values, -1)
        cell_of_code[used] = np.arange(len(used))
        return cls(count[used] / count.sum(), cell_of_code, float(1 / (count.sum() + 1)))

    def cells(self, x: np.ndarray) -> np.ndarray:
        """Return the cell of each coded value, (n,); -1 for values without training rows."""
        return np.asarray(self.cell_of_code[x.astype(np.intp)])

    def log_density_in_cell(self, x: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Return zeros: a cell holds a single category."""
        return np.zeros(len(x))

    def draw_in_cell(self, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the coded value of each cell, (n,)."""
        used = np.flatnonzero(self.cell_of_code >= 0)
        code_of_cell = used[np.argsort(self.cell_of_code[used])]
        return code_of_cell[cells].astype(np.float64)


@dataclass(frozen=True, eq=False)
class NumberMargin:
    """Atoms, a histogram and a broad tail: the distribution of one column of numbers.

    Attributes
    ----------
    atoms, atom_mass : ndarray of shape (n_atoms,)
        Values with point mass in ascending order, and their probabilities.
    knots, knot_mass : ndarrays of shape (n_bins + 1,) and (n_bins,)
        Edges and probabilities of the histogram.
    broad_mass, center, scale, low : float
        Probability, location and scale of Student's t, which is cut off below `low`.
    step : float
        Resolution of the recorded values, 0 for none.
    edges : ndarray of shape (n_intervals - 1,)
        Bounds of the cells that are intervals; atoms stand on bounds.
    drawn : ndarray of shape (n_values,)
        The values that are drawn, in ascending order; empty where any may be.
    """

    atoms: np.ndarray
    atom_mass: np.ndarray
    knots: np.ndarray
    knot_mass: np.ndarray
    broad_mass: float
    center: float
    scale: float
    low: float
    step: float
    edges: np.ndarray
    drawn: np.ndarray

    @classmethod
    def learn(
        cls,
        x: np.ndarray,
        weight: np.ndarray,
        n_cells: int,
        *,
        atoms: np.ndarray | None = None,
        step: float | None = None,
        signed: bool = False,
    ) -> "NumberMargin":
        """Fit the margin to observed values, (n,), of positive weights.

        `atoms` are values that are atoms for certain; `step` is the resolution, found where None.
        Values without a negative one stay non-negative, unless they are `signed`.
        """
        value, place = np.unique(x, return_inverse=True)
        count = np.bincount(place, weight)
        n = float(count.sum())
        step = resolution(value) if step is None else step
        named = np.zeros(len(value), dtype=bool) if atoms is None else np.isin(value, atoms)
        few = len(value) <= _FEW_VALUES and n / len(value) >= _MIN_ATOM
        is_atom = named | ((repeated_values(count) | few) & (step == 0))
        share, per_cell = 1 / (n + 1), n / n_cells
        # a grid of few values has a bin for each: what lies between them was never recorded
        is_grid = few_values(value, n) and step > 0
        knots, rows, edges = _histogram(value[~is_atom], count[~is_atom], per_cell, step, is_grid)
        knot_mass = rows * share
        edges = np.union1d(edges, value[is_atom])
        center, scale = _center_and_scale(value, count, step)
        low = -step / 2 if value[0] >= 0 and not signed else -np.inf
        return cls(
            value[is_atom],
            count[is_atom] * share,
            knots,
            knot_mass,
            share,
            center,
            scale,
            low,
            step,
            edges,
            value if is_grid or is_atom.all() else value[:0],
        )

    @property
    def mass(self) -> np.ndarray:
        """Probability of each cell, (n_cells,)."""
        mass = np.empty(len(self.edges) + 1 + len(self.atoms))
        ends = np.concatenate([[0.0], self._cdf(self.edges), [1 - self.atom_mass.sum()]])
        mass[self._interval_cells] = np.maximum(np.diff(ends), 1e-300)
        mass[self._atom_cells] = self.atom_mass
        return mass

    @property
    def _interval_cells(self) -> np.ndarray:
        """The cell of each interval: one place further for every atom that stands before it."""
        starts = np.concatenate([[-np.inf], self.edges])
        return np.arange(len(starts)) + np.searchsorted(self.atoms, starts, side="right")

    @property
    def _atom_cells(self) -> np.ndarray:
        return np.searchsorted(self.edges, self.atoms) + 1 + np.arange(len(self.atoms))

    def cells(self, x: np.ndarray) -> np.ndarray:
        """Return the cell of each value, (n,); -1 outside the support."""
        cells = self._interval_cells[np.searchsorted(self.edges, x, side="right")]
        atom, place = self._find_atoms(x)
        cells[atom] = self._atom_cells[place]
        return np.where(x < self.low, -1, cells)

    def _find_atoms(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which values are atoms, (n,), and the number of the atom for those that are."""
        if not len(self.atoms):
            return np.zeros(len(x), dtype=bool), np.zeros(0, dtype=np.intp)
        place = np.minimum(np.searchsorted(self.atoms, x), len(self.atoms) - 1)
        atom = self.atoms[place] == x
        return atom, place[atom]

    def _broad_cdf(self, x: np.ndarray) -> np.ndarray:
        below = stdtr(_DF, (self.low - self.center) / self.scale)
        return np.maximum(stdtr(_DF, (x - self.center) / self.scale) - below, 0.0) / (1 - below)

    def _broad_density(self, x: np.ndarray) -> np.ndarray:
        z = (x - self.center) / self.scale
        with np.errstate(over="ignore"):  # Student's t with three degrees of freedom
            density = 2 / (np.pi * np.sqrt(3.0) * (1 + z**2 / 3) ** 2) / self.scale
        below = stdtr(_DF, (self.low - self.center) / self.scale)
        return np.where(x < self.low, 0.0, density / (1 - below))

    def _cdf(self, x: np.ndarray) -> np.ndarray:
        """Return the probability of values up to x that are no atoms, (n,)."""
        below = self.broad_mass * self._broad_cdf(x)
        if len(self.knots):
            total = np.concatenate([[0.0], np.cumsum(self.knot_mass)])
            below = below + np.interp(x, self.knots, total)
        return np.asarray(below)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Return the log of mass (atoms), or of density, of each value, (n,)."""
        if self.step:
            half = self.step / 2
            value = np.maximum(self._cdf(x + half) - self._cdf(x - half), 0.0) / self.step
        else:
            value = self.broad_mass * self._broad_density(x)
            if len(self.knots):
                bins = np.searchsorted(self.knots, x, side="right") - 1
                inside = (bins >= 0) & (bins < len(self.knot_mass))
                width = np.maximum(np.diff(self.knots), _NARROWEST)
                height = self.knot_mass / width
                value[inside] += height[bins[inside]]
        atom, place = self._find_atoms(x)
        value[atom] = self.atom_mass[place]
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(value))

    def log_density_in_cell(self, x: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Return the log-density of each value given its cell, (n,); -inf outside the support."""
        inside = cells >= 0
        log_mass = np.log(self.mass)[np.where(inside, cells, 0)]
        return np.where(inside, self.log_density(x) - log_mass, -np.inf)

    def draw_in_cell(self, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a value drawn from the margin inside each cell, (n,)."""
        bounds = np.full((len(self.mass), 2), np.nan)
        bounds[self._interval_cells, 0] = np.concatenate([[self.low], self.edges])
        bounds[self._interval_cells, 1] = np.concatenate([self.edges, [np.inf]])
        bounds[self._atom_cells] = self.atoms[:, None]
        low, high = bounds[cells].T
        rows = low.copy()
        drawn = high > low
        rows[drawn] = self._draw_between(low[drawn], high[drawn], rng)
        return nearest(rows, self.drawn) if len(self.drawn) else rows

    def _draw_between(
        self, low: np.ndarray, high: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw from the part without atoms, between bounds, (n,): first the part, then its CDF."""
        below, above = self._broad_cdf(low), self._broad_cdf(high)
        broad = self.broad_mass * (above - below)
        total = np.concatenate([[0.0], np.cumsum(self.knot_mass)])
        start = end = np.zeros(len(low))
        if len(self.knots):
            start, end = np.interp(low, self.knots, total), np.interp(high, self.knots, total)
        uniform, pick = rng.uniform(size=(2, len(low)))
        from_broad = pick * (broad + end - start) < broad
        if len(self.knot_mass) == 1 and not len(self.atoms):
            from_broad[:] = False  # a constant column stays constant
        inside = below + uniform * (above - below)
        cut = stdtr(_DF, (self.low - self.center) / self.scale)
        rows = self.center + self.scale * stdtrit(_DF, cut + inside * (1 - cut))
        if len(self.knots):
            rows = np.where(
                from_broad, rows, _inverse(start + uniform * (end - start), total, self.knots)
            )
        rows = np.clip(rows, low, high)
        if not self.step:
            return rows
        half = self.step / 2  # the bounds lie halfway between recorded values
        rows = np.rint(rows / self.step) * self.step
        rows = np.where(rows > high, rows - self.step, np.where(rows < low, rows + self.step, rows))
        decimals = round(-np.log10(self.step)) if half else 0
        return np.asarray(np.round(rows, max(decimals, 0)) + 0.0)  # no minus zero


Margin = CategoryMargin | NumberMargin


def margin_state(margin: Margin) -> tuple[str, dict[str, Any]]:
    """Return a margin as plain data."""
    return type(margin).__name__, asdict(margin)


def margin_of(state: tuple[str, dict[str, Any]]) -> Margin:
    """Put a margin together again."""
    kind, parts = state
    return CategoryMargin(**parts) if kind == "CategoryMargin" else NumberMargin(**parts)


def learn_margin(x: np.ndarray, weight: np.ndarray, about: dict[str, Any], n_cells: int) -> Margin:
    """Fit the margin of a coded column, (n,), NaN where it has holes.

    `about` describes the column: its "kind", for categories "values" and whether they are
    "ordered", for numbers optionally "atoms".
    """
    seen = ~np.isnan(x) & (weight > 0)
    x, weight = x[seen], weight[seen]
    if about["kind"] == "category":
        return CategoryMargin.learn(x, weight, len(about["values"]), ordered=about["ordered"])
    step = 1.0 if about["kind"] in WHOLE else None
    signed = about["kind"] == "datetime"  # dates before the first are possible
    options = {"atoms": about.get("atoms"), "step": step, "signed": signed}
    return NumberMargin.learn(x, weight, n_cells, **options)


def _center_and_scale(value: np.ndarray, count: np.ndarray, step: float) -> tuple[float, float]:
    """Return the weighted median, and the half-width of the middle 80% or what stands for it."""
    place = (np.cumsum(count) - count / 2) / count.sum()
    low, center, high = np.interp([0.1, 0.5, 0.9], place, value)
    reach = float(value[-1]) - float(value[0])
    scale = max((high - low) / 2, 1e-3 * reach, 1e-6 * abs(center), step, 1e-300)
    return float(center), float(scale)


def _histogram(
    value: np.ndarray, count: np.ndarray, per_cell: float, step: float, is_grid: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return knots, rows per bin, and the knots at which cells end, for distinct values.

    A cell is closed after `per_cell` rows, and a value of so many rows is a cell of its own. A
    value that repeats more often than its neighborhood explains, and every value of a grid, has a
    bin of its own, as narrow as the resolution. Cells are split further into bins where their rows
    are not spread evenly.
    """
    if not len(value):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    heavy = (count >= per_cell) & (step > 0)
    light = np.where(heavy, 0.0, count)
    group = np.floor((np.cumsum(light) - light / 2) / per_cell)
    closes = (np.diff(group) > 0) | heavy[1:] | heavy[:-1]
    alone = heavy | (_repeats(value, count, closes, step) if not is_grid else step > 0)
    starts = np.concatenate([[True], closes | alone[1:] | alone[:-1]])
    empty = _wide_gaps(value, count, step)
    starts[1:] |= empty
    closes |= empty
    starts = _split_evenly(value, count, starts, step)
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(value)) - 1
    left, right = _bin_ends(value, first, last, alone[first], step, empty)
    edges = left[1:][closes[first[1:] - 1]]
    gap = np.flatnonzero(left[1:] > right[:-1]) + 1  # between two recorded values
    edges = np.union1d(edges, right[:-1][closes[first[1:] - 1]])
    knots = np.insert(np.append(left[:1], right), gap + 1, left[gap])
    rows = np.insert(np.add.reduceat(count, first), gap, 0.0)
    return knots, rows, edges


def _repeats(value: np.ndarray, count: np.ndarray, closes: np.ndarray, step: float) -> np.ndarray:
    """Return which values repeat too often for rows that are spread over their cell, (n,).

    Of m places of width `step` in a cell of k rows, each then has k / m rows on average: the
    likelihood ratio of a Poisson law, against the best of m places.
    """
    if not step:
        return np.zeros(len(value), dtype=bool)
    cell = np.concatenate([[0], np.cumsum(closes)])
    first = np.flatnonzero(np.diff(cell, prepend=-1))
    bounds = _bounds(value, step)
    places = np.diff(np.append(bounds[first], bounds[-1]))[cell] / step
    usual = np.bincount(cell, count)[cell] / places
    gain = count * np.log(count / usual) - (count - usual)
    return np.asarray((count >= _OFTEN) & (count > usual) & (gain > np.log(places) + _SURE))


def _bounds(value: np.ndarray, step: float) -> np.ndarray:
    """Return the ends of the histogram, and the middles between values, (n + 1,)."""
    end = (step or _gap_of(value)) / 2
    return np.concatenate([[value[0] - end], _middles(value, step), [value[-1] + end]])


def _split_evenly(
    value: np.ndarray, count: np.ndarray, starts: np.ndarray, step: float
) -> np.ndarray:
    """Return where bins start once those whose rows are not spread evenly are split in two.

    A split has to raise the log-likelihood of the k rows of a bin by more than the best of k
    places does by chance.
    """
    total = np.concatenate([[0.0], np.cumsum(count)])
    bounds = _bounds(value, step)
    starts, first = starts.copy(), np.flatnonzero(starts)
    waiting = list(zip(first.tolist(), np.append(first[1:], len(value)).tolist()))
    while waiting:
        low, high = waiting.pop()
        places = np.arange(low + 1, high)
        left, rows = total[places] - total[low], total[high] - total[low]
        places = places[(left >= _FEWEST) & (rows - left >= _FEWEST)]
        if not len(places):
            continue
        left, right = total[places] - total[low], total[high] - total[places]
        width = bounds[high] - bounds[low]
        shares = (bounds[places] - bounds[low]) / width
        with np.errstate(divide="ignore"):
            gain = left * np.log(left / rows / shares) + right * np.log(right / rows / (1 - shares))
        best = int(np.argmax(gain))
        if gain[best] > _PENALTY * np.log(rows):
            place = int(places[best])
            starts[place] = True
            waiting += [(low, place), (place, high)]
    return starts


def _middles(value: np.ndarray, step: float) -> np.ndarray:
    """Return the middle between each value and the next; half a step off values where recorded."""
    middle = 0.5 * (value[:-1] + value[1:])
    if step:
        middle = np.minimum((np.floor(middle / step) + 0.5) * step, value[1:] - step / 2)
    return np.asarray(middle)


def _wide_gaps(value: np.ndarray, count: np.ndarray, step: float) -> np.ndarray:
    """Return which spaces between neighbors stay empty, in a table of few rows, (n - 1,).

    Spaces of rows that are spread evenly are exponential, and one is t times as wide as the mean of
    m others with the probability (1 + t/m)^-m. The others are next to it, on either side. Of k
    spaces the widest is taken for a gap once in twenty columns, by e^-3 / k.
    """
    gap, total = np.diff(value), np.cumsum(count)
    if total[-1] > _FEW_ROWS:
        return np.zeros(len(gap), dtype=bool)
    below, above = total[:-1], total[-1] - total[:-1]
    low = np.searchsorted(total, below - _BESIDE, side="right")
    high = np.searchsorted(total, below + _BESIDE)
    m = 2 * _BESIDE - 2
    usual = (value[np.minimum(high, len(value) - 1)] - value[low] - gap) / m
    surprising = m * np.expm1((np.log(len(value)) + _SURE) / m)
    wide = gap - step > np.maximum(usual, step / 2) * surprising
    return np.asarray(wide & (below >= _BESIDE) & (above >= _BESIDE))


def _bin_ends(
    value: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    tight: np.ndarray,
    step: float,
    empty: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return both ends of each bin: halfway to the next one, or half a step from a heavy value.

    Bins reach as little into a gap that is `empty`.
    """
    half = step / 2
    gap = _gap_of(value)
    outer = half if step else gap / 2
    left, right = value[first] - half, value[last] + half
    middle = _middles(value, step)[last[:-1]]
    open_ = ~(tight[:-1] | tight[1:] | empty[last[:-1]])
    left[1:][open_], right[:-1][open_] = middle[open_], middle[open_]
    if not step:
        bare = empty[last[:-1]]
        reach = np.minimum(outer, (left[1:] - right[:-1])[bare] / 4)
        left[1:][bare] -= reach
        right[:-1][bare] += reach
    left[0], right[-1] = value[first[0]] - outer, value[last[-1]] + outer
    return left, right


def _gap_of(value: np.ndarray) -> float:
    """Return the median distance of neighbors, for the ends of the histogram."""
    if len(value) < 2:
        return 1e-6 * max(abs(float(value[0])), 1e-290)
    return float(np.median(np.diff(value)))


def _inverse(target: np.ndarray, total: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return where a piecewise linear CDF takes the targets; bins without mass are jumped over."""
    bins = np.clip(np.searchsorted(total, target, side="right") - 1, 0, len(knots) - 2)
    height = total[bins + 1] - total[bins]
    share = np.divide(target - total[bins], height, out=np.zeros(len(target)), where=height > 0)
    return np.asarray(knots[bins] + np.clip(share, 0.0, 1.0) * (knots[bins + 1] - knots[bins]))
