"""Mean and centered scatter of a table: mergeable, exact, in one pass where that is safe.

Sums and products come from BLAS, in blocks that stay in cache while both are taken; the mean is
then removed by a downdate. Where a mean lies many standard deviations from zero that would
cancel, so such tables are shifted block by block.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg.blas import dgemv, dsyr, dsyrk

__all__ = [
    "Moments",
    "mirror_lower",
]

# Removing a mean of k standard deviations costs k^2 roundings; beyond this k^2, shift first. Where
# no products of columns are taken a shift costs little, and fewer digits are given away.
_MAX_OFFSET, _MAX_OFFSET_COLUMNS = 1e3, 16.0
_PILOT_ROWS = 256
_SMALL = 2**16  # values that stay in cache: a second pass over them costs next to nothing


@dataclass(frozen=True)
class Moments:
    """Number of rows, column means, and the scatter about the means.

    The mean is kept as a rounded value plus its rounding error, so that a mean of 1e7 standard
    deviations costs the scatter nothing, in one table or merged from many.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    mean : ndarray of shape (d,)
        Column means, rounded.
    mean_error : ndarray of shape (d,)
        What rounding took from the means.
    scatter : ndarray of shape (d,) or (d, d)
        Sums of squares (and products, for a joint family) of deviations from the means.
    """

    n: float
    mean: np.ndarray
    mean_error: np.ndarray
    scatter: np.ndarray

    @classmethod
    def from_chunk(
        cls, X: np.ndarray, weight: np.ndarray | None = None, *, joint: bool = False
    ) -> "Moments":
        """Summarize the rows of X, (n, d), in float64 whatever its dtype; joint: (d, d) scatter.

        Overflow and non-finite values show as a non-finite scatter; the caller reports them.
        """
        if weight is None:
            n, head = float(len(X)), X[:_PILOT_ROWS]
        else:
            n, head = float(weight.sum()), X[np.flatnonzero(weight)[:_PILOT_ROWS]]
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            if not joint and X.size <= _SMALL:
                return cls(n, *_two_passes(X, weight, n))
            limit = _MAX_OFFSET if joint else _MAX_OFFSET_COLUMNS
            shift = _pilot_shift(head, limit)
            offset, scatter = _pass(X, weight, shift, n, joint)
            if _far(offset, _diagonal(scatter) / n, limit):  # the pilot rows misled
                shift = shift + offset
                offset, scatter = _pass(X, weight, shift, n, joint)
            return cls(n, *_two_sum(shift, offset), scatter)

    @property
    def total(self) -> np.ndarray:
        """Column sums, (d,)."""
        return self.n * (self.mean + self.mean_error)

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of both sets of rows together (Chan, Golub and LeVeque)."""
        if self.scatter.shape != other.scatter.shape:
            raise ValueError("Moments of different kinds (joint and not) cannot be merged.")
        n = self.n + other.n
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            delta = (other.mean - self.mean) + (other.mean_error - self.mean_error)
            mean = _two_sum(self.mean, self.mean_error + delta * (other.n / n))
            scatter = self.scatter + other.scatter
            scatter += self._square(delta) * (self.n * (other.n / n))
        return Moments(n, *mean, scatter)

    @property
    def variance(self) -> np.ndarray:
        """Variances with divisor n, (d,)."""
        return _diagonal(self.scatter) / self.n

    def deviation(self, mean: Any) -> np.ndarray:
        """Return the sample means minus `mean`, without the rounding of the sample means."""
        return np.asarray((self.mean - mean) + self.mean_error)

    def covariance(self, mean: Any = None) -> np.ndarray:
        """Return scatter / n, about the sample means or about `mean`."""
        if mean is None:
            return self.scatter / self.n
        return self.scatter / self.n + self._square(self.deviation(mean))

    def _square(self, vector: np.ndarray) -> np.ndarray:
        return np.outer(vector, vector) if self.scatter.ndim == 2 else vector**2


def mirror_lower(matrix: np.ndarray) -> np.ndarray:
    """Copy the lower triangle onto the upper one, in place, in cache-sized tiles."""
    size, step = len(matrix), 128
    for i in range(0, size, step):
        tile = matrix[i : i + step, i : i + step]
        tile[:] = np.tril(tile) + np.tril(tile, -1).T
        matrix[i : i + step, i + step :] = matrix[i + step :, i : i + step].T
    return matrix


def _two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a + b rounded, and the rounding error, exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _two_passes(
    X: np.ndarray, weight: np.ndarray | None, n: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, its rounding error and the columns' scatter: mean first, then deviations."""
    X = X.astype(np.float64, copy=False)
    if weight is not None:
        X, weight = X[weight > 0], weight[weight > 0]
    first = X[0]  # a constant column has deviations of exactly zero
    shift = first + _column_sums(X - first, weight) / n
    centered = X - shift
    offset = _column_sums(centered, weight) / n
    scatter = _column_sums(centered * centered, weight) - n * offset**2
    return *_two_sum(shift, offset), np.maximum(scatter, 0.0)


def _column_sums(values: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    return values.sum(axis=0) if weight is None else weight @ values


def _diagonal(scatter: np.ndarray) -> np.ndarray:
    return scatter if scatter.ndim == 1 else scatter.diagonal()


def _far(offset: np.ndarray, variance: np.ndarray, limit: float) -> bool:
    """Whether some mean lies too many standard deviations from zero to be removed afterwards."""
    return bool((offset**2 > limit * variance).any())


def _pilot_shift(head: np.ndarray, limit: float) -> np.ndarray:
    """Return what to subtract beforehand: the mean of the first rows, or zeros if not needed."""
    first = head[0].astype(np.float64)
    centered = head - first  # exact zeros in a constant column
    offset = centered.mean(axis=0)
    shift = first + offset
    needed = _far(shift, ((centered - offset) ** 2).mean(axis=0), limit)
    return shift if needed else np.zeros_like(shift)


def _block_rows(n: int, p: int) -> int:
    """Rows per block: 1 MiB where p is small, then enough for BLAS, never above 32 MiB."""
    return min(n, max(2**17 // p, min(4 * p, 2**22 // p), 64))


def _blocks(
    X: np.ndarray, weight: np.ndarray | None, shift: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (block, root), block = root * (X - shift) in float64 and root the root of the weights.

    Rows of zero weight are left out; contiguous float64 rows are passed on without a copy.
    """
    step = _block_rows(*X.shape)
    ones = np.ones(step)
    for start in range(0, len(X), step):
        block = X[start : start + step]
        root = ones[: len(block)]
        if weight is not None:
            part = weight[start : start + step]
            if not part.any():
                continue
            block, root = block[part > 0], np.sqrt(part[part > 0])
        if shift.any():
            block = block - shift
        block = np.asarray(block, dtype=np.float64)
        if weight is not None:
            block = block * root[:, None]
        if not (block.flags.c_contiguous or block.flags.f_contiguous):
            block = block.copy(order="K")
        yield block, root


def _pass(
    X: np.ndarray, weight: np.ndarray | None, shift: np.ndarray, total: float, joint: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of X - shift and the scatter about it, in one pass."""
    p = X.shape[1]
    sums, scatter = np.zeros(p), np.zeros((p, p) if joint else p, order="F")
    for block, root in _blocks(X, weight, shift):
        if joint:
            # scipy's BLAS throughout: alternating with numpy's makes two thread pools fight
            by_columns = not block.flags.c_contiguous
            a = block if by_columns else block.T
            scatter = dsyrk(1.0, a, 1.0, scatter, trans=by_columns, lower=1, overwrite_c=1)
            sums = dgemv(1.0, a, root, 1.0, sums, trans=by_columns, overwrite_y=1)
        else:
            scatter += np.einsum("ij,ij->j", block, block)
            sums += root @ block
    if joint:
        scatter = mirror_lower(dsyr(-1 / total, sums, lower=1, a=scatter, overwrite_a=1))
        return sums / total, scatter
    mean = sums / total
    return mean, np.maximum(scatter - sums * mean, 0)
