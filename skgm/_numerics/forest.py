"""Evaluates sums of decision trees for many rows at once, by bit vectors.

A tree of at most 32 leaves is a word of 32 bits, one for each leaf from left to right. A split that
sends a row to the right rules out the leaves of its left side; the leaf that the row comes to is
the first that no split on any path rules out. What the splits of a column rule out depends on
nothing but the bin of the value between their thresholds, or on its category, so that it is looked
up, for all trees at once, and the words of the columns are joined by "and".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Forest"]

_WORD = 32
_ALL = np.uint32(0xFFFFFFFF)
_CELLS = 1 << 17  # trees times rows of a block, whose tables stay in cache
_MOST_ENTRIES = 1 << 26  # of all look-up tables: 256 MiB


@dataclass(frozen=True, eq=False)
class Forest:
    """A sum of trees that split at thresholds, or into sets of categories.

    Attributes
    ----------
    columns : ndarray of int, shape (c,)
        Those with splits.
    thresholds : list of ndarray, one for each of `columns`
        In ascending order. A value x falls into the bin numbered by how many lie below it. The
        codes 0, 1, ... of a column of categories.
    words : list of ndarray of uint32, shape (len(thresholds) + 2, n_trees)
        For each bin, and last for a hole: the leaves that are left.
    leaves : ndarray of shape (32 n_trees,)
        Values of the leaves of each tree.
    base : float
        Added to the sum.
    """

    columns: np.ndarray
    thresholds: list[np.ndarray]
    words: list[np.ndarray]
    leaves: np.ndarray
    base: float

    @classmethod
    def of(
        cls,
        trees: Sequence[np.ndarray],
        base: float,
        scale: float = 1.0,
        lefts: np.ndarray | None = None,
    ) -> "Forest | None":
        """Read trees from tables of nodes; None where a tree has more than 32 leaves.

        Parameters
        ----------
        trees : sequence of structured ndarray
            One row per node, in depth-first order, left before right, with the fields "is_leaf",
            "left", "right" (row of a child), "feature_idx", "num_threshold", "missing_go_to_left",
            "is_categorical" and "value" of scikit-learn's histogram gradient boosting.
        base : float
            Added to the sum.
        scale : float, default=1
            Of the values of leaves.
        lefts : ndarray of shape (n_splits, n_codes), bool, default=None
            Which codes go left at each split on categories, in the order of the nodes.
        """
        sizes = np.array([len(tree) for tree in trees], dtype=np.intp)
        if not len(sizes):
            return cls(np.empty(0, dtype=np.intp), [], [], np.empty(0), base)
        nodes = np.concatenate(trees)
        tree = np.repeat(np.arange(len(sizes)), sizes)
        first = np.repeat(np.cumsum(sizes) - sizes, sizes)
        leaf = nodes["is_leaf"].astype(bool)
        before = np.cumsum(leaf) - leaf
        before = before - before[first]  # leaves of the same tree to the left
        if before[leaf].max() >= _WORD or (lefts is None and nodes["is_categorical"].any()):
            return None
        leaves = np.zeros(_WORD * len(sizes))
        leaves[_WORD * tree[leaf] + before[leaf]] = scale * nodes["value"][leaf]
        split = nodes[~leaf]
        children = [split[side].astype(np.intp) + first[~leaf] for side in ("left", "right")]
        start, stop = (before[child].astype(np.uint64) for child in children)
        one = np.uint64(1)
        keeps = ~((one << stop) - (one << start)).astype(np.uint32)  # but for those of the left
        columns = np.unique(split["feature_idx"]).astype(np.intp)
        by_code = split["is_categorical"].astype(bool)
        number = np.cumsum(by_code) - 1  # of a split among those on categories
        tables = []
        for column in columns:
            here = split["feature_idx"] == column
            parts = split[here], tree[~leaf][here], keeps[here], len(sizes)
            own = None if lefts is None else lefts[number[here]]
            tables.append(_look_up(*parts, own if by_code[here].any() else None))
        if sum(words.size for _, words in tables) > _MOST_ENTRIES:
            return None
        thresholds, words = ([table[k] for table in tables] for k in (0, 1))
        return cls(columns, thresholds, words, leaves, base)

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.leaves) // _WORD

    def part(self, trees: np.ndarray) -> "Forest":
        """Return the sum of some of the trees, (k,), given by their numbers."""
        words = [np.ascontiguousarray(table[:, trees]) for table in self.words]
        leaves = self.leaves.reshape(-1, _WORD)[trees].ravel()
        return Forest(self.columns, self.thresholds, words, leaves, self.base)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return the sum of the trees for each row of X, (n,); NaN are holes."""
        total = np.empty(len(X))
        for start in range(0, len(X), self._block):
            part = slice(start, start + self._block)
            total[part] = self._sum(self._left(X[part], 0, len(self.columns)))
        return total

    def at_pairs(
        self, X: np.ndarray, Z: np.ndarray, rows: np.ndarray, places: np.ndarray
    ) -> np.ndarray:
        """Return the sum of the trees for rows of X with rows of Z to their right, (m,).

        What the columns of one part rule out is found once for each of its rows.

        Parameters
        ----------
        X, Z : ndarray of shape (n, p) and (k, q)
            Columns 0 to p - 1, and p to p + q - 1.
        rows, places : ndarray of int, shape (m,)
            Which row of either; `rows` in ascending order.
        """
        middle = int(np.searchsorted(self.columns, X.shape[1]))
        right = self._left(Z, middle, len(self.columns), X.shape[1])
        total = np.empty(len(rows))
        for first in range(0, len(X), self._block):
            left = self._left(X[first : first + self._block], 0, middle)
            begin, end = np.searchsorted(rows, [first, first + self._block])
            for start in range(begin, end, self._block):
                part = slice(start, min(start + self._block, end))
                words = left[rows[part] - first]
                words &= right[places[part]]
                total[part] = self._sum(words)
        return total

    @property
    def _block(self) -> int:
        """Rows whose words stay in cache."""
        return int(np.clip(_CELLS // max(self.n_trees, 1), 16, 512))

    def _left(self, X: np.ndarray, begin: int, end: int, offset: int = 0) -> np.ndarray:
        """Return the leaves that some columns leave, (n, n_trees); the first of X is `offset`."""
        left = np.full((len(X), self.n_trees), _ALL)
        buffer = np.empty_like(left)
        for k in range(begin, end):
            x = np.ascontiguousarray(X[:, self.columns[k] - offset])
            place = np.searchsorted(self.thresholds[k], x)
            place[np.isnan(x)] = len(self.thresholds[k]) + 1
            np.take(self.words[k], place, axis=0, out=buffer, mode="clip")
            np.bitwise_and(left, buffer, out=left)
        return left

    def _sum(self, words: np.ndarray) -> np.ndarray:
        """Return the sum of the values of the first leaves, (b,); overwrites its argument."""
        words &= ~words + np.uint32(1)  # the lowest bit alone
        power = words.astype(np.float32)  # 2 ** leaf, whose exponent is stored plus 127
        place = power.view(np.int32)
        place >>= 23
        place += np.arange(self.n_trees, dtype=np.int32) * _WORD - 127
        return np.asarray(self.base + np.take(self.leaves, place, mode="clip").sum(axis=1))


def _look_up(
    split: np.ndarray,
    tree: np.ndarray,
    keeps: np.ndarray,
    n_trees: int,
    lefts: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the thresholds of one column, or its codes, and the words of its bins."""
    right = ~split["missing_go_to_left"].astype(bool)
    if lefts is None:
        thresholds, place = np.unique(split["num_threshold"], return_inverse=True)
        words = np.full((len(thresholds) + 2, n_trees), _ALL)
        np.bitwise_and.at(words, (place + 1, tree), keeps)
        np.bitwise_and.accumulate(words[:-1], axis=0, out=words[:-1])
        words[-1] = _ALL
    else:
        thresholds = np.arange(lefts.shape[1], dtype=np.float64)
        words = np.full((len(thresholds) + 2, n_trees), _ALL)
        which, code = np.nonzero(~lefts)
        np.bitwise_and.at(words, (code, tree[which]), keeps[which])
        np.bitwise_and.at(words[-2], tree[right], keeps[right])  # a code beyond: as a hole
    np.bitwise_and.at(words[-1], tree[right], keeps[right])
    return thresholds, words
