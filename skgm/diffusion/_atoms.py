"""Columns with point masses (zeros, codes, limits), as a number and a category beside it.

Of a column with atoms a diffusion learns the values elsewhere, in the logarithm if all of them are
positive. At an atom its place is taken by normal noise V of density q, independent of all else, and
the chain of the categories says after the numbers which atom it is:

    log p(row, atom a) = log E_V [ p(.., V) P(a | .., V) / q(V) ],    V ~ q,

which is exact but for the average over draws of V.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp

from skgm._numerics.qmc import normal_nodes, row_keys
from skgm.tables._margins import resolution

__all__ = ["AtomColumns"]

_LEAST_SHARE = 0.1  # of the rows: more at one value
_TIMES = 5.0  # as many rows as at the next value
_LEAST_REST = 20  # rows, and different values, elsewhere
_MOST = 3  # atoms of a column
_PAIRS = 4  # of mirrored draws of the noise


@dataclass(frozen=True, eq=False)
class AtomColumns:
    """Between coded tables, (n, d), and those with a category for each column with atoms, (n, e).

    Attributes
    ----------
    places : ndarray of shape (k,)
        The columns.
    atoms : tuple of ndarray
        Their atoms, in ascending order.
    positive : ndarray of shape (k,)
        Whether all other values are positive, and learned in the logarithm.
    center, spread : ndarrays of shape (e,)
        Mean and standard deviation of each column elsewhere: those of the noise.
    """

    places: np.ndarray
    atoms: tuple[np.ndarray, ...]
    positive: np.ndarray
    center: np.ndarray
    spread: np.ndarray

    @classmethod
    def learn(
        cls, coded: np.ndarray, columns: list[dict[str, Any]], weight: Any, wanted: Any
    ) -> "AtomColumns | None":
        """Find the atoms of a training table, or take those that are `wanted`.

        `wanted` is "auto", None, or values by the name or number of a column.
        """
        if wanted is None:
            return None
        weight = np.ones(len(coded)) if weight is None else weight
        named = None if isinstance(wanted, str) else _by_place(wanted, columns)
        places, atoms = [], []
        for j, about in enumerate(columns):
            if about["kind"] != "real":
                continue
            seen = ~np.isnan(coded[:, j]) & (weight > 0)
            found = np.zeros(0) if named is None else named.get(j, np.zeros(0))
            if named is None and seen.any():
                found = _found(coded[seen, j], weight[seen])
            rest = coded[~np.isin(coded[:, j], found) & seen, j]
            if not len(found):
                continue
            if named is not None and len(np.unique(rest)) < 2:
                raise ValueError(
                    f"atoms leaves fewer than two values in column {about['name']!r}. Name it in "
                    "categorical_features."
                )
            places.append(j)
            atoms.append(found)
        if not places:
            return None
        rests = [coded[~np.isin(coded[:, j], a) & (weight > 0), j] for j, a in zip(places, atoms)]
        positive = np.array([bool((rest[~np.isnan(rest)] > 0).all()) for rest in rests])
        whole = cls(np.array(places), tuple(atoms), positive, np.zeros(0), np.ones(0))
        wide = whole.expanded(coded)[weight > 0]
        with np.errstate(invalid="ignore"):
            spread = np.nanstd(wide, axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        return cls(whole.places, whole.atoms, positive, np.nanmean(wide, axis=0), spread)

    def describe(self, columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the descriptions of the columns, with those of the categories."""
        return columns + [
            {
                "name": columns[j]["name"],
                "kind": "category",
                "dtype": "Int64",
                "ordered": False,
                "values": ["no atom", *atoms.tolist()],
            }
            for j, atoms in zip(self.places, self.atoms)
        ]

    def masses(self, columns: list[dict[str, Any]]) -> dict[Any, Any]:
        """Return the atoms of each column that has some, by its name."""
        return {columns[j]["name"]: a.tolist() for j, a in zip(self.places, self.atoms)}

    def expanded(self, coded: np.ndarray) -> np.ndarray:
        """Return coded rows with the categories, and NaN for the number at an atom.

        It is infinite where it is no atom and not positive, though it had to be.
        """
        wide = np.hstack([coded, np.zeros((len(coded), len(self.places)))])
        for k, (j, atoms) in enumerate(zip(self.places, self.atoms)):
            x, indicator = wide[:, j], wide[:, coded.shape[1] + k]
            for number, atom in enumerate(atoms):
                indicator[x == atom] = number + 1
            indicator[np.isnan(x)] = np.nan
            x[indicator > 0] = np.nan
            if self.positive[k]:
                with np.errstate(divide="ignore", invalid="ignore"):
                    wide[:, j] = np.where(x <= 0, np.inf, np.log(x))
        return wide

    def collapsed(self, wide: np.ndarray) -> np.ndarray:
        """Return coded rows of those with categories."""
        d = wide.shape[1] - len(self.places)
        coded = wide[:, :d].copy()
        for k, (j, atoms) in enumerate(zip(self.places, self.atoms)):
            if self.positive[k]:
                with np.errstate(over="ignore"):
                    coded[:, j] = np.exp(coded[:, j])
            at = np.flatnonzero(wide[:, d + k] > 0)
            coded[at, j] = atoms[wide[at, d + k].astype(np.intp) - 1]
        return coded

    def filled(self, wide: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return rows with noise at the atoms, from normal numbers, (n, k), and its log-density.

        The logarithm of a value adds its slope; rows that cannot be have an infinite one.
        """
        wide, log_density = wide.copy(), np.zeros(len(wide))
        for k, j in enumerate(self.places):
            x, at = wide[:, j], np.isnan(wide[:, j])
            x[at] = self.center[j] + self.spread[j] * normal[at, k]
            own = -0.5 * normal[:, k] ** 2 - 0.5 * np.log(2 * np.pi) - np.log(self.spread[j])
            log_density += np.where(at, own, x if self.positive[k] else 0.0)
            x[np.isinf(x)] = self.center[j]
        return wide, log_density

    def nodes(self, wide: np.ndarray) -> np.ndarray:
        """Return draws of normal numbers that depend on the rows alone, (m, n, k)."""
        scaled = (wide - self.center) / self.spread
        keys = row_keys(np.where(np.isfinite(scaled), scaled, -1e6))
        return normal_nodes(keys, len(self.places), _PAIRS, stream=3)

    def average(self, wide: np.ndarray, log_density: Any) -> np.ndarray:
        """Return log-densities of rows with categories, (n, ...), averaged over the noise.

        `log_density` is a function of rows with numbers only.
        """
        normal = self.nodes(wide)
        first, log_noise = self.filled(wide, normal[0])
        result = (log_density(first).T - log_noise).T
        at = np.flatnonzero(np.isnan(wide[:, self.places]).any(axis=1))
        if len(at):
            parts = [result[at]]
            for draws in normal[1:]:
                rows, log_noise = self.filled(wide[at], draws[at])
                parts.append((log_density(rows).T - log_noise).T)
            result[at] = logsumexp(parts, axis=0) - np.log(len(parts))
        return np.asarray(result)


def _found(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the atoms of a column that no resolution explains."""
    value, which = np.unique(x, return_inverse=True)
    count = np.bincount(which, weight)
    if count.max() <= _LEAST_SHARE * count.sum() or resolution(value):
        return value[:0]
    order = np.argsort(-count)
    for n_atoms in range(min(_MOST, len(value) - 1), 0, -1):
        last, following = count[order[n_atoms - 1]], count[order[n_atoms]]
        often = last > _LEAST_SHARE * count.sum() and last >= _TIMES * following
        if often and min(count[order[n_atoms:]].sum(), len(value) - n_atoms) >= _LEAST_REST:
            return np.sort(value[order[:n_atoms]])
    return value[:0]


def _by_place(wanted: Any, columns: list[dict[str, Any]]) -> dict[int, np.ndarray]:
    names = [about["name"] for about in columns]
    found = {}
    for key, values in wanted.items():
        j = names.index(key) if key in names else key
        if not isinstance(j, (int, np.integer)) or not 0 <= j < len(names):
            raise ValueError(f"atoms names a column {key!r}; the columns are {names}.")
        if columns[j]["kind"] != "real":
            raise ValueError(
                f"atoms names column {key!r}, whose values have masses of their own already. Only "
                "columns of real numbers have atoms."
            )
        found[int(j)] = np.unique(np.atleast_1d(np.asarray(values, dtype=np.float64)))
    return found
