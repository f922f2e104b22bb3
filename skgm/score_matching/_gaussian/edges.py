"""Tests pairs of columns for dependence given the rest, with a controlled false discovery rate."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

__all__ = [
    "EdgeTable",
    "debiased_statistics",
    "edge_table",
    "exact_statistics",
]


@dataclass(frozen=True)
class EdgeTable:
    """Pairs of columns and whether they are dependent given the others.

    Attributes
    ----------
    first, second : ndarray of shape (n_pairs,)
        Names of the columns of each pair.
    partial_correlation : ndarray of shape (n_pairs,)
        Given all other columns; of the fitted density.
    statistic : ndarray of shape (n_pairs,)
        Test statistic of no dependence.
    pvalue : ndarray of shape (n_pairs,)
        Two-sided.
    adjusted_pvalue : ndarray of shape (n_pairs,)
        Of Benjamini and Hochberg, over all pairs of columns.
    fdr : float
        Level of the false discovery rate that chose the pairs; 1.0 for all pairs.
    method : str
        "t" (exact, without penalty) or "debiased" (asymptotically normal).
    """

    first: np.ndarray
    second: np.ndarray
    partial_correlation: np.ndarray
    statistic: np.ndarray
    pvalue: np.ndarray
    adjusted_pvalue: np.ndarray
    fdr: float
    method: str

    def __len__(self) -> int:
        return len(self.first)

    def to_frame(self) -> Any:
        """Return the pairs as a table.

        Returns
        -------
        frame : pandas.DataFrame
            One row per pair, the most significant first.
        """
        import pandas as pd  # imported where it is used: it takes a second

        columns = (
            "first",
            "second",
            "partial_correlation",
            "statistic",
            "pvalue",
            "adjusted_pvalue",
        )
        return pd.DataFrame({name: getattr(self, name) for name in columns})

    def _repr_html_(self) -> str:
        return self.to_frame()._repr_html_()


def exact_statistics(partial_correlation: np.ndarray, df: float) -> tuple[np.ndarray, np.ndarray]:
    """Return Student's t of partial correlations, and its two-sided p-values.

    Exact for normal rows; `df` is the number of rows less that of the columns.
    """
    with np.errstate(divide="ignore"):
        t = partial_correlation * np.sqrt(df / (1 - partial_correlation**2))
    return t, 2 * stats.t.sf(np.abs(t), df)


def debiased_statistics(
    K: np.ndarray, R: np.ndarray, n_rows: float, rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return standard normal statistics of a regularized precision, (p, p), and p-values.

    One Newton step undoes the bias of any good sparse estimate: T = 2 K - K R K, with asymptotic
    variance (K_ii K_jj + K_ij^2) / n for normal rows. With standardized `rows`, (n, p), the
    variance is that of z_i z_j, z = K x, which does not need them to be normal.
    """
    debiased = 2 * K - K @ R @ K
    if rows is None:
        diagonal = np.diag(K)
        variance = diagonal * diagonal[:, None] + K**2
    else:
        z = rows @ K
        variance = (z**2).T @ z**2 / len(z) - (z.T @ z / len(z)) ** 2
    statistic = debiased / np.sqrt(variance / n_rows)
    return statistic, 2 * stats.norm.sf(np.abs(statistic))


def edge_table(
    partial_correlation: np.ndarray,
    statistic: np.ndarray,
    pvalue: np.ndarray,
    names: list[str],
    *,
    fdr: float,
    method: str,
) -> EdgeTable:
    """Return the pairs whose adjusted p-value is at most `fdr`, the most significant first."""
    first, second = np.triu_indices(len(names), 1)
    p = pvalue[first, second]
    adjusted = stats.false_discovery_control(p) if len(p) else p
    order = np.argsort(p, kind="stable")
    order = order[adjusted[order] <= fdr]
    i, j = first[order], second[order]
    labels = np.asarray(names, dtype=object)
    return EdgeTable(
        labels[i],
        labels[j],
        partial_correlation[i, j],
        statistic[i, j],
        p[order],
        adjusted[order],
        fdr,
        method,
    )
