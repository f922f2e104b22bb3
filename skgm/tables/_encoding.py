"""Encodes coded tables as real numbers: categories as points, discrete values with noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from skgm.tables._margins import few_values, nearest

__all__ = [
    "NOISE",
    "Encoding",
    "Jitter",
    "category_points",
    "cell_noise",
    "log_noise_density",
    "nearest_point",
]


@dataclass(frozen=True, eq=False)
class Encoding:
    """Between coded tables, (n, d), and real rows, (n, width).

    Attributes
    ----------
    kinds : sequence of str
        "real", "integer", "category" or "ranked" for each column. A ranked category is a whole
        number, how many values with training rows come before it.
    shares : sequence of ndarray or None
        Of each category column, the shares of its values among the training rows.
    drawn : sequence of ndarray or None
        Of each column of whole numbers that has few values, these values, which alone are drawn.
    """

    kinds: Sequence[str]
    shares: Sequence[Any]
    drawn: Sequence[Any]

    @classmethod
    def learn(
        cls,
        coded: np.ndarray,
        kinds: Sequence[str],
        n_values: Sequence[int],
        weight: Any,
        *,
        reserve: int = 0,
    ) -> "Encoding":
        """Take the shares of categories from the rows of a training table.

        In columns of at most `reserve` values, those without rows count as half a row: rows that
        come later may have them, and any whole number.
        """
        shares: list[Any] = []
        drawn: list[Any] = [None] * len(kinds)
        counted = slice(None) if weight is None else weight > 0
        n = float(len(coded) if weight is None else np.sum(weight))
        for j, (column, kind, size) in enumerate(zip(coded.T, kinds, n_values)):
            counts = None
            if kind == "integer" and not reserve:
                value = np.unique(column[counted])
                drawn[j] = value if few_values(value, n) else None
            if kind in ("category", "ranked"):
                counts = np.bincount(column.astype(np.intp), weight, minlength=size)
                if size <= reserve:
                    counts = np.where(counts > 0, counts, 0.5)
                counts = counts / counts.sum()
            shares.append(counts)
        return cls(kinds, shares, drawn)

    @property
    def widths(self) -> list[int]:
        """Number of encoded columns of each column: one less than the categories it has."""
        free = [1 if share is None else int((share > 0).sum()) - 1 for share in self.shares]
        return [min(n, 1) if kind == "ranked" else n for kind, n in zip(self.kinds, free)]

    def spans(self) -> list[slice]:
        """Return the encoded columns of each column."""
        ends = np.cumsum(self.widths)
        return [slice(int(end) - width, int(end)) for end, width in zip(ends, self.widths)]

    @property
    def is_whole(self) -> np.ndarray:
        """Which encoded columns are whole numbers."""
        return np.repeat([kind in ("integer", "ranked") for kind in self.kinds], self.widths)

    @property
    def is_noisy(self) -> np.ndarray:
        """Which encoded columns have noise: all but the real ones."""
        return np.repeat([kind != "real" for kind in self.kinds], self.widths)

    @property
    def is_bits(self) -> np.ndarray:
        """Which encoded columns belong to a category that is a point."""
        return np.repeat([kind == "category" for kind in self.kinds], self.widths)

    @property
    def noise_variance(self) -> np.ndarray:
        """Variance that the noise adds to each encoded column."""
        return np.where(self.is_whole, 1 / 12, np.where(self.is_bits, NOISE**2, 0.0))

    def encode(self, coded: np.ndarray) -> np.ndarray:
        """Return the encoded rows, NaN for missing values; rows of probability zero are infinite.

        These have a category without training rows, or a fraction in a column of whole numbers.
        """
        parts, impossible = [], np.zeros(len(coded), dtype=bool)
        columns = zip(coded.T, self.kinds, self.shares)
        for j, (column, kind, share) in enumerate(columns):
            if share is None:
                parts.append(column[:, None])
                impossible |= (kind == "integer") & (column != np.floor(column))
                continue
            seen, hole = share > 0, np.isnan(column)
            points = np.zeros((len(share), self.widths[j]))
            if kind == "ranked":
                points[:, :] = np.cumsum(seen)[:, None] - 1.0
            else:
                points[seen] = category_points(share[seen])
            code = np.where(hole, 0, column).astype(np.intp)
            parts.append(np.where(hole[:, None], np.nan, points[code]))
            impossible |= ~hole & ~seen[code]
        encoded = np.hstack(parts).astype(np.float64, copy=False)
        encoded[impossible & ~np.isnan(coded).any(axis=1)] = np.inf
        return encoded

    def decode(self, rows: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Return the coded table whose values the encoded rows are nearest to.

        Whole numbers beyond `low` and `high`, of the encoded columns, become these; in columns of
        few values they become the nearest of those.
        """
        coded = np.empty((len(rows), len(self.kinds)))
        for j, (kind, share, span) in enumerate(zip(self.kinds, self.shares, self.spans())):
            part = rows[:, span]
            if kind == "category":
                seen = np.flatnonzero(share > 0)
                coded[:, j] = seen[nearest_point(category_points(share[seen]), part)]
            elif kind == "ranked":
                seen = np.flatnonzero(share > 0)
                rank = np.rint(part[:, 0]) if part.shape[1] else np.zeros(len(part))
                coded[:, j] = seen[np.clip(rank, 0, len(seen) - 1).astype(np.intp)]
            elif kind == "integer":
                whole = np.clip(np.rint(part), low[span], high[span])[:, 0]
                drawn = self.drawn[j]
                coded[:, j] = whole if drawn is None else nearest(part[:, 0], drawn)
            else:
                coded[:, j] = part[:, 0]
        return coded

    def noise(self, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return noise of rows, (n, width), from normal numbers (n, n_noisy); its log-density."""
        noisy = self.is_noisy
        whole = self.is_whole[noisy]
        noise = np.zeros((len(normal), len(noisy)))
        noise[:, noisy] = cell_noise(normal, whole)
        return noise, log_noise_density(normal, whole)


@dataclass(frozen=True, eq=False)
class Jitter:
    """Fresh noise for scaled training rows: that of an encoding under the maps of the classes.

    Attributes
    ----------
    encoding : Encoding
        What noise each column has.
    forward : ndarray of shape (k, r, width)
        Scaled columns from encoded ones, for each class.
    """

    encoding: Encoding
    forward: np.ndarray

    def draw(self, n: int, codes: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
        """Return noise for n rows with these codes of classes, (n, r)."""
        noisy = self.encoding.is_noisy
        normal = rng.standard_normal((n, int(noisy.sum())))
        noise = cell_noise(normal, self.encoding.is_whole[noisy])
        maps = self.forward[:, :, noisy]
        if codes is None:
            return np.asarray(noise @ maps[0].T)
        scaled = np.empty((n, maps.shape[1]))
        for code in np.unique(codes):
            scaled[codes == code] = noise[codes == code] @ maps[code].T
        return scaled


# Discrete values as regions of space: a point for each category, a cell for each whole number.
#
# The categories of a column with shares pi are points with weighted mean zero and weighted
# covariance the identity (the coordinates of multiple correspondence analysis). K categories take
# K - 1 columns, two categories lie at +- the square root of their odds, and any two points are
# sqrt(1 / pi_i + 1 / pi_j) >= 2 apart. One-hot columns would be collinear, with scales that ignore
# how rare a category is. A category is the region nearest to its point, a whole number the interval
# that rounds to it. In training a category is its point plus normal noise of standard deviation
# NOISE, and a whole number has uniform noise added, so that the network learns smooth densities
# instead of spikes. NOISE is a fifth of the least distance to the region of another category: about
# one draw in a million leaves its own. Ordered categories of many levels are coded by their ranks.

NOISE = 0.2


def category_points(share: np.ndarray) -> np.ndarray:
    """Return the points of K categories with positive shares that sum to 1, (K, K - 1)."""
    root = np.sqrt(np.asarray(share, dtype=np.float64))[:, None]
    complement = np.linalg.qr(root, mode="complete")[0][:, 1:]
    return complement / root


def nearest_point(points: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the number of the point nearest to each row of z, (n,)."""
    return np.asarray(np.argmin((points**2).sum(axis=1) - 2 * (z @ points.T), axis=1))


def cell_noise(normal: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Turn standard normal numbers, (..., J), into the noise of J columns of discrete values.

    `whole`, (J,), marks columns of whole numbers, whose noise is uniform on (-1/2, 1/2).
    """
    noise = NOISE * normal
    noise[..., whole] = ndtr(normal[..., whole]) - 0.5
    return noise


def log_noise_density(normal: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the log-density of `cell_noise(normal, whole)`, (...); uniform noise has density 1."""
    squares = normal[..., ~whole] ** 2 + np.log(2 * np.pi * NOISE**2)
    return np.asarray(-0.5 * squares.sum(axis=-1))
