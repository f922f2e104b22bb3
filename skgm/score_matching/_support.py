"""Symmetric matrices on a sparse support, and a dense one acting on them within it."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

__all__ = ["Support"]


@dataclass(frozen=True)
class Support:
    """Positions (i, j) that a symmetric matrix may fill: all diagonal ones, and both of a pair.

    A matrix is a vector of its entries in column order. Restricted to the support, the map
    K -> (S K + K S) / 2 is a block per column, S at the rows of the column, and an average with
    the transpose: its cost is the sum of squared column counts.

    Attributes
    ----------
    rows, columns : ndarray of shape (m,)
        Positions, sorted by column, then row.
    starts : ndarray of shape (p + 1,)
        Where each column begins.
    transposed : ndarray of shape (m,)
        Where the entry (j, i) stands.
    diagonal : ndarray of shape (p,)
        Where the diagonal entries stand.
    """

    rows: np.ndarray
    columns: np.ndarray
    starts: np.ndarray
    transposed: np.ndarray
    diagonal: np.ndarray

    @classmethod
    def from_pairs(cls, n: int, first: np.ndarray, second: np.ndarray) -> "Support":
        """Build the support of the pairs i < j, (m,) each, in any order, and the diagonal."""
        own = np.arange(n)
        keys = np.concatenate([second * n + first, first * n + second, own * (n + 1)])
        keys.sort()
        columns, rows = keys // n, keys % n
        starts = np.searchsorted(columns, np.arange(n + 1))
        transposed = np.searchsorted(keys, rows * n + columns)
        diagonal = np.flatnonzero(rows == columns)
        return cls(rows, columns, starts, transposed, diagonal)

    @classmethod
    def of_matrix(cls, K: np.ndarray) -> tuple["Support", np.ndarray]:
        """Return the support of a dense symmetric matrix and its entries on it."""
        support = cls.from_pairs(len(K), *np.nonzero(np.triu(K, 1)))
        return support, support.read(K)

    def keep(self, on: np.ndarray) -> "Support":
        """Return the support of some of the entries, (m,) bool: both of a pair, or none."""
        if on.all():
            return self
        new = np.cumsum(on) - 1
        before = np.append(0, new + 1)
        rows, columns, starts = self.rows[on], self.columns[on], before[self.starts]
        return Support(rows, columns, starts, new[self.transposed[on]], new[self.diagonal])

    @property
    def n(self) -> int:
        """Number of columns of the matrix."""
        return len(self.starts) - 1

    def is_dense(self) -> bool:
        """Tell whether products of dense matrices cost less than those with `blocks`.

        A dense product makes some fifty multiplications in the time of one of a sparse matrix;
        the passes over the whole matrix count as well.
        """
        n, counts = self.n, np.diff(self.starts)
        return float(counts @ counts) > n * n * (n / 50 + 1.5)

    def off_diagonal(self) -> np.ndarray:
        """Return which entries are off the diagonal, (m,) bool."""
        return self.rows != self.columns

    def read(self, matrix: np.ndarray) -> np.ndarray:
        """Return the entries of a dense matrix, (m,)."""
        return matrix[self.rows, self.columns]

    def to_sparse(self, values: np.ndarray) -> sparse.csc_matrix:
        """Return the matrix of these entries."""
        return sparse.csc_matrix((values, self.rows, self.starts), shape=(self.n, self.n))

    def blocks(self, S: np.ndarray) -> sparse.csr_matrix:
        """Return the (m, m) matrix whose block of column j is S at the rows of column j."""
        counts = np.diff(self.starts)
        size = counts[self.columns]  # entries of each row of the block matrix
        indptr = np.append(0, np.cumsum(size))
        index = np.int32 if indptr[-1] < np.iinfo(np.int32).max else np.int64
        shift = self.starts[self.columns] - indptr[:-1]  # from a place in the data to its column
        indices = np.arange(indptr[-1], dtype=index)
        indices += np.repeat(shift.astype(index), size)
        places = np.repeat(self.rows * self.n, size)
        places += self.rows.take(indices)
        m = len(self.rows)
        return sparse.csr_matrix((S.take(places), indices, indptr.astype(index)), shape=(m, m))

    def symmetrize(self, values: np.ndarray) -> np.ndarray:
        """Return the average with the transpose, (m,)."""
        return 0.5 * (values + values[self.transposed])

    def expand(self, values: np.ndarray, other: "Support") -> np.ndarray:
        """Return the entries on another support, zero where they are new."""
        own = self.columns * self.n + self.rows
        asked = other.columns * other.n + other.rows
        places = np.minimum(np.searchsorted(own, asked), len(own) - 1)
        return np.where(own[places] == asked, values[places], 0.0)
