"""Which pairs are dependent given the rest: partial correlations, tests, false discovery rate."""

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from sklearn.utils.validation import check_is_fitted

from skgm._numerics.moments import Moments
from skgm._validation import column_names, validate_table

__all__ = [
    "EdgeTable",
    "GraphMethods",
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


# What a fitted Gaussian says of the graph of its columns.


class GraphMethods:
    """Partial correlations and edges of a Gaussian with a full covariance."""

    def partial_correlation(self: Any) -> np.ndarray:
        """Return the correlation of each pair of columns given all others.

        Returns
        -------
        partial_correlation : ndarray of shape (n_features, n_features)
            -K_ij / sqrt(K_ii K_jj) of the fitted precision K, with ones on the diagonal. Zeros of
            a sparse precision are exact.

        Raises
        ------
        ValueError
            Where `covariance_type` is not "full".
        """
        check_is_fitted(self)
        if np.ndim(self.precision_) != 2:
            raise ValueError(
                f"covariance_type={self.covariance_type!r} takes all columns for independent; "
                "partial correlations need 'full'."
            )
        K = np.asarray(self.precision_, dtype=np.float64)
        scale = np.sqrt(K.diagonal())
        result = 0.0 - K / scale / scale[:, None]  # no negative zeros
        np.fill_diagonal(result, 1.0)
        return result

    def edges(self: Any, fdr: float = 0.05, *, X: Any = None) -> EdgeTable:
        """Test every pair of columns for dependence given the others.

        Unlike the graph of a penalized fit, which is a choice without an error rate, the pairs
        returned here have a controlled false discovery rate.

        Parameters
        ----------
        fdr : float, default=0.05
            Of the pairs returned, at most this share is expected to be false; 1 returns all.
        X : array-like of shape (n_samples, n_features), default=None
            The training table. With it the tests of a regularized fit do not rest on normal rows.

        Returns
        -------
        edges : EdgeTable
            Pairs with an adjusted p-value of at most `fdr`, the most significant first. Without
            regularization by exact t tests; with `penalty` by the debiased precision, an
            approximation for many rows.

        Raises
        ------
        ValueError
            `fdr` not above 0 and at most 1; a known `graph` (its edges are not in question); a
            singular covariance.
        """
        partial = self.partial_correlation()
        if not isinstance(fdr, numbers.Real) or not 0 < float(fdr) <= 1:
            raise ValueError(f"fdr must be a number above 0 and at most 1; got {fdr!r}.")
        if self._truncation is not None:
            raise ValueError(
                "There are no edge tests with bounds; confidence_intervals(X=X) has the sandwich "
                "intervals of the precision."
            )
        if self._fitted_graph is not None:
            raise ValueError(
                "The graph was given, so its edges are not in question; standard_errors() has the "
                "uncertainty of their values."
            )
        names, moments = column_names(self, len(partial)), Moments(**self._moments)
        options = {"names": names, "fdr": float(fdr)}
        if not hasattr(self, "graph_"):
            self._inference_state()  # refuses a singular covariance
            df = moments.n - len(partial) + self.assume_centered
            statistic, pvalue = exact_statistics(partial - np.eye(len(partial)), df)
            return edge_table(partial, statistic, pvalue, method="t", **options)
        second_moment = moments.covariance(0.0 if self.assume_centered else None)
        sd = np.sqrt(second_moment.diagonal())
        K = self.precision_ * sd * sd[:, None]
        rows = None
        if X is not None:
            rows = (validate_table(self, X, reset=False) - self._center) / sd
        tests = debiased_statistics(K, second_moment / sd / sd[:, None], moments.n, rows)
        return edge_table(partial, *tests, method="debiased", **options)
