"""Mean and centred scatter of a table: mergeable, in one pass where that is safe.

The Gram matrix comes from BLAS in blocks that stay in cache while their column sums are taken;
the mean is then removed by a rank-one downdate. Where a mean lies many standard deviations from
zero that would cancel, so such tables are shifted block by block.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg.blas import dgemv, dsyr, dsyrk

__all__ = ["GaussianMoments", "mirror_lower", "underflowing_columns"]

# Removing a mean of k standard deviations costs k^2 roundings; beyond this k^2, shift first.
_MAX_OFFSET = 1e3
_PILOT_ROWS = 256
# A variance below this has lost digits to underflow (or its inverse would overflow).
_MIN_VARIANCE = 1e-280


@dataclass(frozen=True)
class GaussianMoments:
    """Sufficient statistics of a Gaussian.

    Attributes
    ----------
    weight : float
        Total weight; the number of rows without weights.
    n_rows : int
        Number of rows of positive weight.
    mean : ndarray of shape (p,)
        Weighted mean.
    scatter : ndarray of shape (p, p) or (p,)
        Weighted sum of (x - mean)(x - mean)', or its diagonal alone.
    """

    weight: float
    n_rows: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def from_chunk(
        cls, X: np.ndarray, weight: np.ndarray | None = None, *, diagonal: bool = False
    ) -> "GaussianMoments":
        """Return the moments of the rows of X, (n, p), in float64 whatever the dtype of X.

        Overflow and non-finite values show as a non-finite scatter; the caller reports them.
        """
        if weight is None:
            n_rows, total, head = len(X), float(len(X)), X[:_PILOT_ROWS]
        else:
            counted = np.flatnonzero(weight)
            n_rows, total, head = len(counted), float(weight.sum()), X[counted[:_PILOT_ROWS]]
        shift, needed = _pilot_shift(head)
        with np.errstate(over="ignore", invalid="ignore"):
            offset, scatter = _pass(X, weight, shift if needed else None, total, diagonal)
            mean = offset + shift if needed else offset
            variance = _diagonal(scatter) / total
            if (offset**2 > _MAX_OFFSET * variance).any():  # the pilot rows misled
                offset, scatter = _pass(X, weight, mean, total, diagonal)
                mean = mean + offset
        return cls(total, n_rows, mean, scatter)

    def __add__(self, other: "GaussianMoments") -> "GaussianMoments":
        """Return the moments of both sets of rows together (Chan, Golub and LeVeque)."""
        if self.scatter.shape != other.scatter.shape:
            raise ValueError("Moments of different kinds (full and diagonal) cannot be merged.")
        weight = self.weight + other.weight
        delta = other.mean - self.mean
        square = delta**2 if self.scatter.ndim == 1 else np.outer(delta, delta)
        scatter = self.scatter + other.scatter
        scatter += square * (self.weight * other.weight / weight)
        mean = self.mean + delta * (other.weight / weight)
        return GaussianMoments(weight, self.n_rows + other.n_rows, mean, scatter)

    @property
    def variance(self) -> np.ndarray:
        """Variances, divisor n, (p,)."""
        return _diagonal(self.scatter) / self.weight

    def covariance(self, *, centered_at_zero: bool = False) -> np.ndarray:
        """Return the covariance with divisor n (or its diagonal); about zero if so told."""
        covariance = self.scatter / self.weight
        if centered_at_zero:
            mean = self.mean
            covariance += mean**2 if covariance.ndim == 1 else np.outer(mean, mean)
        return covariance


def mirror_lower(matrix: np.ndarray) -> np.ndarray:
    """Copy the lower triangle onto the upper one, in place, in cache-sized tiles."""
    size, step = len(matrix), 128
    for i in range(0, size, step):
        tile = matrix[i : i + step, i : i + step]
        tile[:] = np.tril(tile) + np.tril(tile, -1).T
        matrix[i : i + step, i + step :] = matrix[i + step :, i : i + step].T
    return matrix


def underflowing_columns(
    X: np.ndarray, weight: np.ndarray | None, moments: GaussianMoments
) -> list[int]:
    """Return which columns vary, but by so little that their squares underflow.

    X is the table that `moments` summarises, or the last chunk of it.
    """
    variance = moments.variance
    small = np.flatnonzero(variance < _MIN_VARIANCE)
    counted = slice(None) if weight is None else weight > 0
    return [int(j) for j in small if variance[j] > 0 or np.ptp(X[counted, j]) > 0]


def _diagonal(scatter: np.ndarray) -> np.ndarray:
    return scatter if scatter.ndim == 1 else scatter.diagonal()


def _pilot_shift(head: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the mean of the first rows and whether subtracting it beforehand is needed."""
    first = head[0].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        centred = head - first  # exact zeros in a constant column
        offset = centred.mean(axis=0)
        shift = first + offset
        variance = ((centred - offset) ** 2).mean(axis=0)
        return shift, bool((shift**2 > _MAX_OFFSET * variance).any())


def _block_rows(n: int, p: int) -> int:
    """Rows per block: 1 MiB where p is small, then enough for BLAS, never above 32 MiB."""
    return min(n, max(2**17 // p, min(4 * p, 2**22 // p), 64))


def _blocks(
    X: np.ndarray, weight: np.ndarray | None, shift: np.ndarray | None
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
        if shift is not None:
            block = block - shift
        block = np.asarray(block, dtype=np.float64)
        if weight is not None:
            block = block * root[:, None]
        if not (block.flags.c_contiguous or block.flags.f_contiguous):
            block = block.copy(order="K")
        yield block, root


def _pass(
    X: np.ndarray, weight: np.ndarray | None, shift: Any, total: float, diagonal: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of X - shift and the scatter about it, in one pass."""
    p = X.shape[1]
    sums, scatter = np.zeros(p), np.zeros(p if diagonal else (p, p), order="F")
    for block, root in _blocks(X, weight, shift):
        if diagonal:
            scatter += np.einsum("ij,ij->j", block, block)
            sums += root @ block
        else:
            # scipy's BLAS throughout: alternating with numpy's makes two thread pools fight
            by_columns = not block.flags.c_contiguous
            a = block if by_columns else block.T
            scatter = dsyrk(1.0, a, 1.0, scatter, trans=by_columns, lower=1, overwrite_c=1)
            sums = dgemv(1.0, a, root, 1.0, sums, trans=by_columns, overwrite_y=1)
    if diagonal:
        return sums / total, np.maximum(scatter - sums**2 / total, 0)
    scatter = mirror_lower(dsyr(-1 / total, sums, lower=1, a=scatter, overwrite_a=1))
    return sums / total, scatter
