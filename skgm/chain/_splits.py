"""Cut the ordered cells of a column into a binary tree of splits.

A split [a, b) sends cells below m to the left and the others to the right; m is the cell at which
the mass is nearest to half. A cell is then a path of about log2(n_cells) binary decisions, and

    log P(cell) = sum over the splits s on its path of log sigma(+- g_s),

with any log-odds g_s, is normalized by construction. With the log-odds of the masses themselves it
gives back the masses.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_expit

__all__ = ["Splits", "centering_shift", "log_probability"]


@dataclass(frozen=True, eq=False)
class Splits:
    """A binary tree over ordered cells.

    Attributes
    ----------
    low, middle, high : ndarray of shape (n_splits,)
        The cells [low, middle) go left, [middle, high) go right.
    log_odds : ndarray of shape (n_splits,)
        Log of the mass on the right over the mass on the left.
    children : ndarray of shape (n_splits, 2)
        The split that follows on either side; -1 - c where that side is the single cell c.
    path, went_right : ndarrays of shape (n_cells, depth)
        Splits on the way to each cell, -1 after the last, and the sides taken there.
    """

    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    log_odds: np.ndarray
    children: np.ndarray
    path: np.ndarray
    went_right: np.ndarray

    @classmethod
    def of(cls, mass: np.ndarray) -> "Splits":
        """Build the tree for cells of these masses, (n_cells,)."""
        total = np.concatenate([[0.0], np.cumsum(mass)])
        spans: list[tuple[int, int, int]] = []
        children: list[list[int]] = []
        paths: list[list[tuple[int, int]]] = [[] for _ in mass]
        waiting = [(0, len(mass), -1, 0)] if len(mass) > 1 else []
        while waiting:
            low, high, parent, side = waiting.pop()
            half = 0.5 * (total[low] + total[high])
            middle = low + 1 + int(np.argmin(np.abs(total[low + 1 : high] - half)))
            split = len(spans)
            spans.append((low, middle, high))
            children.append([-1 - low, -1 - middle])  # right for single cells
            if parent >= 0:
                children[parent][side] = split
            for cell in range(low, high):
                paths[cell].append((split, int(cell >= middle)))
            waiting += [(middle, high, split, 1)] if high - middle > 1 else []
            waiting += [(low, middle, split, 0)] if middle - low > 1 else []
        depth = max(map(len, paths))
        path, went_right = np.full((len(mass), depth), -1), np.zeros((len(mass), depth), dtype=bool)
        for cell, steps in enumerate(paths):
            for level, (split, side) in enumerate(steps):
                path[cell, level], went_right[cell, level] = split, bool(side)
        low_, middle_, high_ = np.array(spans, dtype=np.intp).reshape(-1, 3).T
        left, right = total[middle_] - total[low_], total[high_] - total[middle_]
        tiny = np.finfo(float).tiny
        log_odds = np.log(np.maximum(right, tiny)) - np.log(np.maximum(left, tiny))
        children_ = np.array(children, dtype=np.intp).reshape(-1, 2)
        return cls(low_, middle_, high_, log_odds, children_, path, went_right)

    def __len__(self) -> int:
        return len(self.low)

    def examples(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return every decision on the paths of rows: the row, the split, and the side taken."""
        rows, levels = np.nonzero(self.path[cells] >= 0)
        splits = self.path[cells[rows], levels]
        return rows, splits, self.went_right[cells[rows], levels]

    def features(self, splits: np.ndarray) -> np.ndarray:
        """Return what tells splits apart, (n, 4): where, how wide, the middle, the log-odds."""
        width = self.high - self.low
        table = np.column_stack([self.low, width, self.middle, self.log_odds])
        return np.asarray(table[splits])


def log_probability(log_odds: np.ndarray, went_right: np.ndarray) -> np.ndarray:
    """Return the log-probability of the sides taken, (n,)."""
    return np.asarray(log_expit(np.where(went_right, log_odds, -log_odds)))


def centering_shift(log_odds: np.ndarray, wanted: float) -> float:
    """Return d such that the mean of sigma(log_odds + d) is sigma(wanted), by Newton's method."""
    target, shift = 1 / (1 + np.exp(-wanted)), 0.0
    for _ in range(30):
        p = 1 / (1 + np.exp(-(log_odds + shift)))
        step = (target - p.mean()) / max((p * (1 - p)).mean(), 1e-9)
        shift += float(np.clip(step, -1.0, 1.0))
        if abs(step) < 1e-9:
            break
    return shift
