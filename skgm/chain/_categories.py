"""Models the categories of a table given its numbers (and class) by a chain of classifiers.

Another model, such as a diffusion, learns the numbers x, the chain the categories d after them
(and whatever else is not for that model, such as whole numbers):

    log p(x, d) = log p(x) + sum_t log P(d_t | x, d_1, ..., d_{t-1}),

which is exact given log p(x). Noise about the points of a code would need an average instead, and
that loses a nat on a dozen fair coins. Columns of numbers with point masses may stand among d too.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skgm._numerics.blocks import row_blocks
from skgm._numerics.qmc import row_keys
from skgm.chain._factor import Training
from skgm.chain._ordered import OrderedChain
from skgm.tables._margins import (
    CategoryMargin,
    Margin,
    learn_margin,
    margin_of,
    margin_state,
)

__all__ = ["CategoryChain", "cells_for", "distinct_rows", "with_atoms"]

# 16 rows a cell while rows are few; the square root of the number of rows from 64 cells on
_CELLS = (8, 64, 256)
_ROWS_PER_CELL, _ROOT_FROM = 16, 8_000
_DRAWN_AT_ONCE = 100_000  # rows, so that features of earlier columns take bounded memory


def cells_for(n_rows: float) -> int:
    """Return the number of cells of a column of numbers: a power of two."""
    least, usual, most = _CELLS
    many = usual * np.sqrt(max(n_rows / _ROOT_FROM, 1.0))
    wanted = np.clip(n_rows / _ROWS_PER_CELL, least, min(many, most))
    return int(2 ** np.rint(np.log2(wanted)))


def distinct_rows(coded: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows of positive weight in lexicographic order, and their weights."""
    counted = weight > 0
    keyed = np.where(np.isnan(coded), np.inf, coded)[counted] + 0.0
    rows, place = np.unique(keyed, axis=0, return_inverse=True)
    rows[np.isinf(rows)] = np.nan
    return rows, np.bincount(place.ravel(), weight[counted], minlength=len(rows))


def with_atoms(columns: list[dict[str, Any]], atoms: Any) -> list[dict[str, Any]]:
    """Return descriptions with the atoms that the user names."""
    names, columns = [about["name"] for about in columns], [dict(about) for about in columns]
    for key, values in (atoms or {}).items():
        j = names.index(key) if key in names else key
        if not isinstance(j, (int, np.integer)) or not 0 <= j < len(names):
            raise ValueError(f"atoms names a column {key!r}; the columns are {names}.")
        if columns[j]["kind"] != "real":
            raise ValueError(
                f"atoms names column {key!r}, whose values have masses of their own already. Only "
                "columns of real numbers have atoms."
            )
        columns[j]["atoms"] = np.atleast_1d(np.asarray(values, dtype=np.float64)).tolist()
    return columns


@dataclass(frozen=True, eq=False)
class CategoryChain:
    """The distribution of the categories of coded rows, (n, d), given numbers and class.

    Attributes
    ----------
    numbers : ndarray of shape (n_numbers,)
        The columns that come before the chain.
    n_classes : int
        Number of classes, 0 without.
    margins : dict
        Of each column in the chain.
    chain : OrderedChain
        Of these columns.
    """

    numbers: np.ndarray
    n_classes: int
    margins: dict[int, Margin]
    chain: OrderedChain

    @classmethod
    def fit(
        cls,
        coded: np.ndarray,
        columns: list[dict[str, Any]],
        codes: np.ndarray | None,
        n_classes: int,
        weight: np.ndarray | None,
        seed: int,
        *,
        places: list[int] | None = None,
        n_cells: int = 1,
    ) -> "CategoryChain":
        """Fit a factor to each column of categories, or of `places`, given classes and the others.

        Equal rows become one with a weight, so that repeated rows are weights. `places` are the
        columns in the chain, where these are not the categories: numbers are cut into `n_cells`.
        """
        if places is None:
            places = [j for j, about in enumerate(columns) if about["kind"] == "category"]
        numbers = np.setdiff1d(np.arange(len(columns)), places)
        weight = np.ones(len(coded)) if weight is None else weight
        own = np.zeros(len(coded)) if codes is None else codes
        rows, weight = distinct_rows(np.column_stack([own, coded]), weight)
        own, rows = rows[:, 0].astype(np.intp), rows[:, 1:]
        margins = {j: learn_margin(rows[:, j], weight, columns[j], n_cells) for j in places}
        training = Training(None, weight, _positions(rows, own, numbers, weight), seed)
        empty = cls(numbers, n_classes, margins, OrderedChain([], []))
        before = empty._features(rows, own)
        chain = OrderedChain.fit(rows, places, margins, training, before=before)
        return cls(numbers, n_classes, margins, chain)

    def state(self) -> dict[str, Any]:
        """Return what is kept of it: plain data and scikit-learn's classifiers."""
        margins = {str(j): margin_state(margin) for j, margin in self.margins.items()}
        parts = {"numbers": self.numbers, "n_classes": self.n_classes, "margins": margins}
        return parts | {"chain": self.chain.state()}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> "CategoryChain":
        """Put it together again."""
        margins = {int(j): margin_of(margin) for j, margin in state["margins"].items()}
        chain = OrderedChain.of_state(state["chain"], margins)
        return cls(state["numbers"], state["n_classes"], margins, chain)

    def log_probability(self, coded: np.ndarray, *, new: bool) -> np.ndarray:
        """Return the log-probability of the categories of each row under each class, (n, k).

        Categories without training rows have none; or, if they may be `new`, the probability of one
        row more, and the others are scored as if they were missing.
        """
        n, coded, log_factor = len(coded), coded.copy(), np.zeros((len(coded), 1))
        for j, margin in self.margins.items() if new else ():
            if not isinstance(margin, CategoryMargin):
                continue
            known = np.flatnonzero(~np.isnan(coded[:, j]))
            codes = coded[known, j].astype(np.intp)
            unseen = (codes < 0) | (margin.cell_of_code[codes] < 0)
            log_factor[known[unseen]] += np.log(margin.new_mass)
            log_factor[known[~unseen]] += np.log1p(-margin.new_mass)
            coded[known[unseen], j] = np.nan
        each = [
            self.chain.log_density(coded, self._features(coded, np.full(n, code)))
            for code in range(max(self.n_classes, 1))
        ]
        return np.stack(each, axis=-1) + log_factor

    def draw(
        self,
        coded: np.ndarray,
        codes: np.ndarray | None,
        rng: np.random.Generator,
        *,
        balanced: bool = True,
    ) -> np.ndarray:
        """Return rows with categories drawn; shares of the table are kept closely if `balanced`."""
        rows = coded.copy()
        for part in row_blocks(len(rows), _DRAWN_AT_ONCE):
            before = self._features(coded[part], None if codes is None else codes[part])
            drawn = self.chain.draw_after(before, rng, balanced=balanced)
            rows[part, self.chain.order] = drawn
        return rows

    def complete(
        self,
        particles: np.ndarray,
        codes: np.ndarray | None,
        log_weight: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw missing categories of weighted rows, (m, P, d), all of whose numbers are there.

        Return rows and the logs of their weights, which known categories multiply.
        """
        before = self._features(particles.reshape(-1, particles.shape[-1]), codes)
        options: dict[str, Any] = {"before": before, "log_weight": log_weight}
        return self.chain.complete(particles, log_weight.shape[1], rng, **options)

    def check_known(self, coded: np.ndarray, columns: list[dict[str, Any]]) -> None:
        """Refuse known categories of probability zero."""
        for j, margin in self.margins.items():
            if not isinstance(margin, CategoryMargin):
                continue
            known = coded[:, j][~np.isnan(coded[:, j])]
            bad = margin.cells(known) < 0
            if bad.any():
                about = columns[j]
                culprit = about["values"][int(known[np.argmax(bad)])]
                raise ValueError(
                    f"Column {about['name']!r} of X holds {culprit!r}, a category without training "
                    "rows. Drop or recode such rows, or fit to a table with such rows in it."
                )

    def _features(self, coded: np.ndarray, codes: np.ndarray | None) -> np.ndarray:
        """Return what stands before the chain: bits of the class, then the numbers."""
        x = coded[:, self.numbers]
        return np.hstack([np.eye(self.n_classes)[codes], x]) if self.n_classes > 1 else x


def _positions(
    rows: np.ndarray, codes: np.ndarray, numbers: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Return a uniform number in [0, 1) for each row that depends on its values alone, (n,)."""
    scaled = rows.copy()
    for j in numbers:
        seen = ~np.isnan(rows[:, j])
        x, share = rows[seen, j], weight[seen]
        mean = np.average(x, weights=share)
        spread = np.sqrt(np.average((x - mean) ** 2, weights=share))
        scaled[seen, j] = (x - mean) / (spread if spread > 0 else 1.0)
    keys = row_keys(np.column_stack([codes, np.where(np.isnan(scaled), -1e6, scaled)]))
    return (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53
