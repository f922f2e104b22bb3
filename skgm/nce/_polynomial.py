"""Monomials of the columns as statistics, computed in standardised columns."""

from itertools import combinations_with_replacement

import numpy as np
from scipy.special import comb

from skgm.nce._forms import Statistics

__all__ = ["PolynomialStatistics", "monomials", "polynomial_statistics"]

_MOST_STATISTICS = 2000


def monomials(n_columns: int, degree: int, distinct: np.ndarray) -> np.ndarray:
    """Return the exponents of all monomials up to a degree, (p, n_columns), lower degrees first.

    A column with u distinct values has u - 1 linearly independent powers (zeros and ones: one), so
    higher ones are left out.
    """
    rows = [
        np.bincount(chosen, minlength=n_columns)
        for total in range(1, degree + 1)
        for chosen in combinations_with_replacement(range(n_columns), total)
    ]
    exponents = np.array(rows, dtype=np.int64).reshape(-1, n_columns)
    return exponents[(exponents < distinct).all(axis=1)]


class PolynomialStatistics(Statistics):
    """Monomials of z = (x - center) / scale, whose coefficients are told in units of x.

    Parameters
    ----------
    exponents : ndarray of int, shape (p, d)
        One row per monomial.
    center, scale : ndarray of shape (d,)
        Of the columns.
    columns : list of str
        Names of the columns.
    """

    def __init__(
        self, exponents: np.ndarray, center: np.ndarray, scale: np.ndarray, columns: list[str]
    ) -> None:
        self.exponents, self.center, self.scale = exponents, center, scale
        self.names = [_name(row, columns) for row in exponents]

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the statistics of each row, (n, p), in standardised columns."""
        return self._values((X - self.center) / self.scale, self.exponents)

    def _values(self, z: np.ndarray, exponents: np.ndarray) -> np.ndarray:
        out = np.ones((len(z), len(exponents)))
        for j in range(z.shape[1]):
            for power in np.unique(exponents[:, j]):
                chosen = exponents[:, j] == power
                if power:
                    out[:, chosen] *= z[:, [j]] ** int(power)
        return out

    def slope(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return the gradient of T(x)'coef with respect to x, (n, d)."""
        z = (X - self.center) / self.scale
        gradient = np.zeros_like(z)
        for j in range(z.shape[1]):
            present = self.exponents[:, j] > 0
            lower = self.exponents[present].copy()
            factor = lower[:, j] * coef[present]
            lower[:, j] -= 1
            gradient[:, j] = self._values(z, lower) @ factor / self.scale[j]
        return gradient

    def reporting_map(self) -> np.ndarray:
        """Return M, (p + 1, p + 1): M theta are coefficients of monomials of x, and log Z.

        A monomial of x is a combination of those of z by the binomial theorem, T_x = A T_z + b, so
        the coefficients are A^-T times those of z, and c loses b times them.
        """
        low, high = self.exponents[None, :, :], self.exponents[:, None, :]
        ways = comb(high, low) * (low <= high)
        shift = self.center ** np.maximum(high - low, 0)
        A = np.prod(ways * shift * self.scale**low, axis=2)
        b = np.prod(self.center**self.exponents, axis=1)
        p = len(A)
        out = np.zeros((p + 1, p + 1))
        out[:p, :p] = np.linalg.inv(A).T
        out[p, :p], out[p, p] = b @ out[:p, :p], -1.0
        return out


def polynomial_statistics(
    X: np.ndarray, weight: np.ndarray | None, degree: int, columns: list[str]
) -> PolynomialStatistics:
    """Return the monomials up to a degree, standardised by the rows of X.

    Raises
    ------
    ValueError
        More than a few thousand statistics.
    """
    count = comb(X.shape[1] + degree, degree, exact=True) - 1
    if count > _MOST_STATISTICS:
        raise ValueError(
            f"A polynomial critic of degree {degree} on {X.shape[1]} columns has {count} "
            f"statistics; at most {_MOST_STATISTICS} are fitted. Use a lower degree, fewer "
            "columns, critic='rff' or a classifier."
        )
    center = np.average(X, axis=0, weights=weight)
    scale = np.sqrt(np.average((X - center) ** 2, axis=0, weights=weight))
    scale = np.where(scale > 0, scale, 1.0)
    distinct = np.array([len(np.unique(column[: degree * 50])) for column in X.T])
    few = distinct <= degree
    distinct[few] = [len(np.unique(column)) for column in X[:, few].T]
    return PolynomialStatistics(monomials(X.shape[1], degree, distinct), center, scale, columns)


def _name(exponents: np.ndarray, columns: list[str]) -> str:
    parts = [
        columns[j] if power == 1 else f"{columns[j]}^{power}"
        for j, power in enumerate(exponents)
        if power
    ]
    return " ".join(parts)
