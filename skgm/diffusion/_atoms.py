"""Columns with point masses (zeros, codes, limits), as a number and a category beside it.

Of a column with atoms a diffusion learns the values elsewhere, in the logarithm if all of them are
positive. At an atom its place is taken by normal noise V of density q, independent of all else, and
the chain of the categories says after the numbers which atom it is:

    log p(row, atom a) = log E_V [ p(.., V) P(a | .., V) / q(V) ],    V ~ q,

which is exact but for the average over draws of V. Skewed whole numbers k, with atoms or without,
are learned as log(k + U), U uniform, so that no draw falls below zero or piles up at the least one.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import logsumexp, ndtr

from skgm._numerics.qmc import normal_nodes, row_keys
from skgm.tables._margins import few_values, resolution

__all__ = ["AtomColumns"]

_LEAST_SHARE = 0.1  # of the rows: more at one value
_TIMES = 5.0  # as many rows as at the next value
_LEAST_REST = 20  # rows, and different values, elsewhere
_MOST = 3  # atoms of a column
_PAIRS = 4  # of mirrored draws of the noise
_SKEWED, _CURED = 2.0, 1.0  # skewness of whole numbers, and of their logarithms at the most
_WIDE = 30.0  # whole numbers below: the noise of their cell matters


@dataclass(frozen=True, eq=False)
class AtomColumns:
    """Between coded tables, (n, d), and those with a category for each column with atoms, (n, e).

    Attributes
    ----------
    places : ndarray of shape (k,)
        The columns.
    atoms : tuple of ndarray
        Their atoms, in ascending order.
    logged : ndarray of shape (d,)
        Whether a column is learned in the logarithm, because all other values are positive.
    whole : ndarray of shape (d,)
        Whether its values are whole numbers k, learned as log(k + U).
    limits : ndarray of shape (2, d)
        Least and largest value of each column.
    center, spread : ndarrays of shape (e,)
        Mean and standard deviation of each column elsewhere: those of the noise.
    """

    places: np.ndarray
    atoms: tuple[np.ndarray, ...]
    logged: np.ndarray
    whole: np.ndarray
    limits: np.ndarray
    center: np.ndarray
    spread: np.ndarray

    @classmethod
    def learn(
        cls, coded: np.ndarray, columns: list[dict[str, Any]], weight: Any, wanted: Any
    ) -> "AtomColumns | None":
        """Find the atoms of a training table, or take those that are `wanted`.

        `wanted` is "auto", None, or values by the name or number of a column.
        """
        weight = np.ones(len(coded)) if weight is None else weight
        named: dict[int, np.ndarray] | None = {} if wanted is None else None
        if wanted is not None and not isinstance(wanted, str):
            named = _by_place(wanted, columns)
        atoms: dict[int, np.ndarray] = {}
        logged, whole = np.zeros(len(columns), dtype=bool), np.zeros(len(columns), dtype=bool)
        for j, about in enumerate(columns):
            counted = ~np.isnan(coded[:, j]) & (weight > 0)
            x, share = coded[counted, j], weight[counted]
            if not len(x) or about["kind"] not in ("real", "integer"):
                continue
            if about["kind"] == "integer":
                found, whole[j] = _of_whole(x, share, search=isinstance(wanted, str))
                logged[j] = whole[j]
            else:
                found = _found(x, share) if named is None else named.get(j, np.zeros(0))
                rest = x[~np.isin(x, found)]
                if len(found) and named is not None and len(np.unique(rest)) < 2:
                    raise ValueError(
                        f"atoms leaves fewer than two values in column {about['name']!r}. Name it "
                        "in categorical_features."
                    )
                logged[j] = len(found) and (rest > 0).all()
            if len(found):
                atoms[j] = found
        if not atoms and not whole.any():
            return None
        return cls._measured(coded[weight > 0], atoms, logged, whole)

    @classmethod
    def _measured(
        cls, coded: np.ndarray, atoms: dict[int, np.ndarray], logged: np.ndarray, whole: np.ndarray
    ) -> "AtomColumns":
        """Add what training rows say: limits, and mean and spread of the numbers elsewhere."""
        limits = np.array([np.nanmin(coded, axis=0), np.nanmax(coded, axis=0)])
        places = np.array(list(atoms), dtype=np.intp)
        own = cls(places, tuple(atoms.values()), logged, whole, limits, np.zeros(0), np.ones(0))
        wide = own.expanded(coded)
        with np.errstate(invalid="ignore"):
            spread = np.nanstd(wide, axis=0)
        center, spread = np.nanmean(wide, axis=0), np.where(spread > 0, spread, 1.0)
        return replace(own, center=center, spread=spread)

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
        """Return the atoms of each column of real numbers that has some, by its name."""
        found = zip(self.places, self.atoms)
        return {columns[j]["name"]: a.tolist() for j, a in found if not self.whole[j]}

    def expanded(self, coded: np.ndarray) -> np.ndarray:
        """Return coded rows with the categories, and NaN for the number at an atom.

        It is infinite where it is no atom and not positive, or a fraction, though it had to be.
        """
        wide = np.hstack([coded, np.zeros((len(coded), len(self.places)))])
        for k, (j, atoms) in enumerate(zip(self.places, self.atoms)):
            x, indicator = wide[:, j], wide[:, coded.shape[1] + k]
            for number, atom in enumerate(atoms):
                indicator[x == atom] = number + 1
            indicator[np.isnan(x)] = np.nan
            x[indicator > 0] = np.nan
        for j in np.flatnonzero(self.logged):
            x, half = wide[:, j], 0.5 * self.whole[j]
            with np.errstate(divide="ignore", invalid="ignore"):
                bad = (x + half <= 0) | (self.whole[j] & (x != np.floor(x)) & ~np.isnan(x))
                wide[:, j] = np.where(bad, np.inf, np.log(x + half))
        return wide

    def collapsed(self, wide: np.ndarray) -> np.ndarray:
        """Return coded rows of those with categories."""
        d = wide.shape[1] - len(self.places)
        coded = wide[:, :d].copy()
        with np.errstate(over="ignore"):
            coded[:, self.logged] = np.exp(coded[:, self.logged])
        drawn = np.floor(coded[:, self.whole])
        coded[:, self.whole] = np.clip(drawn, *self.limits[:, self.whole])
        for k, (j, atoms) in enumerate(zip(self.places, self.atoms)):
            at = np.flatnonzero(wide[:, d + k] > 0)
            coded[at, j] = atoms[wide[at, d + k].astype(np.intp) - 1]
        return coded

    @property
    def _noisy(self) -> np.ndarray:
        """The columns that have noise in some rows, (k,)."""
        return np.union1d(self.places, np.flatnonzero(self.whole))

    @property
    def n_noisy(self) -> int:
        """Their number."""
        return len(self._noisy)

    def filled(self, wide: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return rows with noise at the atoms, from normal numbers, (n, k), and its log-density.

        The logarithm of a value adds its slope; rows that cannot be have an infinite one.
        """
        wide, log_density = wide.copy(), np.zeros(len(wide))
        for j, draws in zip(self._noisy, normal.T):
            x, at = wide[:, j], np.isnan(wide[:, j])
            if self.whole[j]:
                inside = np.flatnonzero(np.isfinite(x))
                x[inside] = np.log(np.rint(np.exp(x[inside]) - 0.5) + ndtr(draws[inside]))
            x[at] = self.center[j] + self.spread[j] * draws[at]
            own = -0.5 * draws**2 - 0.5 * np.log(2 * np.pi) - np.log(self.spread[j])
            log_density += np.where(at, own, x if self.logged[j] else 0.0)
            x[np.isinf(x)] = self.center[j]
        return wide, log_density

    def nodes(self, wide: np.ndarray) -> np.ndarray:
        """Return draws of normal numbers that depend on the rows alone, (m, n, k)."""
        scaled = (wide - self.center) / self.spread
        keys = row_keys(np.where(np.isfinite(scaled), scaled, -1e6))
        return normal_nodes(keys, len(self._noisy), _PAIRS, stream=3)

    def average(self, wide: np.ndarray, log_density: Any) -> np.ndarray:
        """Return log-densities of rows with categories, (n, ...), averaged over the noise.

        `log_density` is a function of rows with numbers only.
        """
        normal = self.nodes(wide)
        first, log_noise = self.filled(wide, normal[0])
        result = (log_density(first).T - log_noise).T
        small = wide[:, : len(self.whole)][:, self.whole] < np.log(_WIDE)
        at = np.flatnonzero(np.isnan(wide[:, self.places]).any(axis=1) | small.any(axis=1))
        if len(at):
            parts = [result[at]]
            for draws in normal[1:]:
                rows, log_noise = self.filled(wide[at], draws[at])
                parts.append((log_density(rows).T - log_noise).T)
            result[at] = logsumexp(parts, axis=0) - np.log(len(parts))
        return np.asarray(result)


def _of_whole(x: np.ndarray, weight: np.ndarray, *, search: bool) -> tuple[np.ndarray, bool]:
    """Return the atoms of a column of whole numbers, and whether its logarithm is learned."""
    found = _found(x, weight, whole=True) if search else np.zeros(0)
    rest = ~np.isin(x, found)
    if _is_skewed(x[rest], weight[rest]):
        return found, True
    return np.zeros(0), False


def _is_skewed(x: np.ndarray, weight: np.ndarray) -> bool:
    """Tell whether whole numbers have a long tail that the logarithm takes away."""
    if not len(x) or x.min() < 0 or few_values(np.unique(x), weight.sum()):
        return False

    def skewness(x: np.ndarray) -> float:
        moved = x - np.average(x, weights=weight)
        second, third = (np.average(moved**k, weights=weight) for k in (2, 3))
        return float(third / second**1.5)

    return skewness(x) > _SKEWED and abs(skewness(np.log(x + 0.5))) < _CURED


def _found(x: np.ndarray, weight: np.ndarray, *, whole: bool = False) -> np.ndarray:
    """Return the atoms of a column that no resolution explains, unless it is of `whole` numbers."""
    value, which = np.unique(x, return_inverse=True)
    count = np.bincount(which, weight)
    if count.max() <= _LEAST_SHARE * count.sum() or (resolution(value) and not whole):
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
