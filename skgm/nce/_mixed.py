"""Reads tables of several kinds of columns, and fits their noise: Gaussians, then a chain.

Smooth numbers are noise from a mixture of Gaussians. All other columns (categories, whole numbers,
dates, numbers that are rounded or have point masses) come after them, in a chain of classifiers
over the cells of each column, which knows their base measure. Tables are coded: float64, (n, d).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skgm._numerics.distributions import GaussianMixtureNoise, Noise, RepeatedDraws
from skgm.chain._categories import CategoryChain
from skgm.nce._noise import GUARD_INFLATION, GUARD_WEIGHT, fit_stacked, nearly_cholesky
from skgm.nce._preparation import (
    Prepared,
    check_no_degenerate_columns,
    dequantize,
    inspect_lattice,
    point_masses,
    repeat_rows,
    warn_lattice,
)
from skgm.tables._margins import CategoryMargin, NumberMargin
from skgm.tables._reader import TableReader

__all__ = ["HoleValues", "MixedNoise", "fit_mixed", "prepare_table"]

_CELLS, _ROWS_PER_CELL = (8, 64), 16  # of a column of numbers in the chain


def prepare_table(
    reader: TableReader,
    coded: np.ndarray,
    weight: np.ndarray | None,
    *,
    lattice: str,
    own_noise: bool,
    rng: np.random.Generator,
) -> Prepared:
    """Return the rows of positive weight, and which columns belong in a chain.

    These are all but smooth numbers. With `own_noise` such a chain will be the noise; else rounded
    numbers are warned of, as in tables of numbers alone.
    """
    if weight is not None:
        coded, weight = coded[weight > 0], weight[weight > 0]
    if len(coded) < 2:
        raise ValueError(
            f"Found {len(coded)} sample(s) with positive weight while a minimum of 2 is required."
        )
    real, names = reader.which("real"), reader.names
    report = inspect_lattice(np.where(real, coded, np.arange(len(coded))[:, None] + 0.5))
    if lattice == "dequantize":
        coded = dequantize(coded, report, rng)
    elif lattice == "warn" and not own_noise:
        warn_lattice(report, names)
    rounded = (report.step > 0) & (lattice != "dequantize")
    masses = np.array([point_masses(column) for column in coded.T])
    in_chain = ~real | rounded | masses
    for j, column in enumerate(coded.T):
        seen = column[~np.isnan(column)]
        if not len(seen):
            raise ValueError(
                f"Column {names[j]!r} of X has no value at all, so there is nothing to learn about "
                "it. Drop the column."
            )
        if not in_chain[j] or (reader.columns[j]["kind"] != "category" and np.ptp(seen) > 0):
            check_no_degenerate_columns(seen[:, None], names[j : j + 1])
    return Prepared(*repeat_rows(coded, weight), report, reader.columns, in_chain)


@dataclass(frozen=True, eq=False)
class MixedNoise:
    """Gaussians for smooth columns times a chain for the others.

    Attributes
    ----------
    gaussians : Noise or None
        Of the columns before the chain; None if there are none.
    chain : CategoryChain
        Of the others, given these.
    discrete : bool
        Whether all columns are counted.
    """

    gaussians: Noise | None
    chain: CategoryChain
    discrete: bool

    @property
    def atoms(self) -> dict[int, dict[float, float]]:
        """Values that are point masses, and their probabilities, by the number of the column."""
        return {
            j: dict(zip(margin.atoms.tolist(), margin.atom_mass.tolist()))
            for j, margin in self.chain.margins.items()
            if isinstance(margin, NumberMargin) and len(margin.atoms)
        }

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, d) independent draws."""
        smooth = self.chain.numbers
        rows = np.full((n, len(smooth) + len(self.chain.margins)), np.nan)
        if self.gaussians is not None:
            rows[:, smooth] = self.gaussians.sample(n, rng)
        return self.chain.draw(rows, None, rng, balanced=False)

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, (n,); categories with a negative code are new."""
        coded = [j for j, m in self.chain.margins.items() if isinstance(m, CategoryMargin)]
        new = bool((X[:, coded] < 0).any())
        values = self.chain.log_probability(X, new=new)[:, 0]
        if self.gaussians is not None:
            values += self.gaussians.log_density(X[:, self.chain.numbers])
        return values

    def complete(
        self, given: np.ndarray, n: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return weighted completions of rows, (m, n, d), and the logs of the weights, (m, n).

        The mean weight of a row is an unbiased estimate of the density of what it holds.
        """
        rows, log_weight = self._with_numbers(given, n, rng)
        return self.chain.complete(rows, None, log_weight, rng)

    def complete_alike(self, given: np.ndarray, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what `complete` does for every row by itself, each from one seed."""
        rng = np.random.default_rng(seed)
        rows, log_weight = self._with_numbers(given, n, RepeatedDraws(len(given), rng))
        state, found = rng.bit_generator.state, []
        for i in range(len(given)):
            rng.bit_generator.state = state
            found.append(self.chain.complete(rows[i, None], None, log_weight[i, None], rng))
        completed, weights = zip(*found)
        return np.concatenate(completed), np.concatenate(weights)

    def _with_numbers(self, given: np.ndarray, n: int, rng: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return rows with draws of what the Gaussians hold, and the logs of their weights."""
        smooth = self.chain.numbers
        rows = np.repeat(given[:, None], n, axis=1)
        log_weight = np.zeros((len(given), n))
        if self.gaussians is not None:
            known: Any = self.gaussians
            rows[:, :, smooth] = known.sample_given(given[:, smooth], n, rng)
            log_weight += known.log_density(given[:, smooth])[:, None]
        return rows, log_weight


def fit_mixed(
    coded: np.ndarray,
    columns: list[dict[str, Any]],
    weight: np.ndarray | None,
    in_chain: np.ndarray,
    rng: np.random.Generator,
) -> Noise:
    """Fit Gaussians to smooth columns and a chain to those `in_chain`, (d,); NaN are holes."""
    total = float(len(coded) if weight is None else weight.sum())
    gaussians, smooth = None, coded[:, ~in_chain]
    if smooth.shape[1]:
        holed = np.isnan(smooth).any()
        gaussians = (fit_holed_gaussians if holed else fit_stacked)(smooth, weight, rng)
    if gaussians is not None and not in_chain.any():
        return gaussians
    wanted = np.log2(max(total / _ROWS_PER_CELL, 1.0))
    n_cells = int(2 ** np.clip(np.rint(wanted), *np.log2(_CELLS)))
    places, seed = np.flatnonzero(in_chain).tolist(), int(rng.integers(2**31))
    options: dict[str, Any] = {"places": places, "n_cells": n_cells}
    chain = CategoryChain.fit(coded, columns, None, 0, weight, seed, **options)
    whole = all(
        not isinstance(margin, NumberMargin) or columns[j]["kind"] != "real" or margin.step > 0
        for j, margin in chain.margins.items()
    )
    return MixedNoise(gaussians, chain, whole and gaussians is None)


def fit_holed_gaussians(
    X: np.ndarray, weight: np.ndarray | None, rng: np.random.Generator
) -> GaussianMixtureNoise:
    """Return the mixture of Gaussians of the observed entries, and a wide one as a guard."""
    from skgm.mixture import GaussianMixtureDensity

    seen = ~np.isnan(X).all(axis=1)
    weight = None if weight is None else weight[seen]
    found = GaussianMixtureDensity(random_state=int(rng.integers(2**31)))
    found.fit(X[seen], sample_weight=weight)
    spread = found.means_ - found.weights_ @ found.means_
    total = np.einsum("k,kij->ij", found.weights_, found.covariances_)
    total = total + (spread * found.weights_[:, None]).T @ spread
    covariances = np.concatenate([found.covariances_, GUARD_INFLATION * total[None]])
    return GaussianMixtureNoise(
        np.append((1 - GUARD_WEIGHT) * found.weights_, GUARD_WEIGHT),
        np.vstack([found.means_, found.weights_ @ found.means_]),
        np.stack([nearly_cholesky(covariance) for covariance in covariances]),
    )


@dataclass(frozen=True)
class HoleValues:
    """Codes that stand for holes, where these are values to be reproduced.

    Attributes
    ----------
    codes : dict of int to float
        By the number of the column, for columns that had holes in the training table.
    """

    codes: dict[int, float]

    @classmethod
    def of(cls, coded: np.ndarray, columns: list[dict[str, Any]]) -> "HoleValues":
        """Choose a code beyond all values for each column with holes."""
        codes = {}
        for j in np.flatnonzero(np.isnan(coded).any(axis=0)):
            seen = coded[~np.isnan(coded[:, j]), j]
            if not len(seen):
                raise ValueError(
                    f"Column {columns[j]['name']!r} of X has no value at all, so there is nothing "
                    "to learn about it. Drop the column."
                )
            code = np.floor(seen.max() + np.ptp(seen)) + 1
            known = columns[j].get("values")
            codes[int(j)] = float(code if known is None else len(known))
        return cls(codes)

    def describe(self, columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return descriptions of columns in which the codes are categories or point masses."""
        described = list(columns)
        for j, code in self.codes.items():
            about = columns[j]
            known = about.get("values")
            more = {"atoms": [code]} if known is None else {"values": [*known, None]}
            described[j] = about | more
        return described

    def filled(self, coded: np.ndarray, columns: list[dict[str, Any]]) -> np.ndarray:
        """Return rows with codes in their holes."""
        rows = coded.copy()
        for j, code in self.codes.items():
            rows[np.isnan(rows[:, j]), j] = code
        left = np.isnan(rows)
        if left.any():
            i, j = np.argwhere(left)[0]
            raise ValueError(
                f"Column {columns[j]['name']!r} of X has a hole at row {i}, but had none in fit, "
                "so a hole there has no probability. Drop such rows, or use missing='draws'."
            )
        return rows

    def are(self, rows: np.ndarray) -> np.ndarray:
        """Return which entries of rows, (..., d), are codes of holes."""
        held = np.zeros(rows.shape, dtype=bool)
        for j, code in self.codes.items():
            held[..., j] = rows[..., j] == code
        return held
