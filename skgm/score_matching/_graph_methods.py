"""What a fitted Gaussian says of the graph of its columns."""

import numbers
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm._validation import column_names, validate_table
from skgm.inference._moments import Moments
from skgm.score_matching._edges import (
    EdgeTable,
    debiased_statistics,
    edge_table,
    exact_statistics,
)

__all__ = ["GraphMethods"]


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

        Unlike the graph of a penalised fit, which is a choice without an error rate, the pairs
        returned here have a controlled false discovery rate.

        Parameters
        ----------
        fdr : float, default=0.05
            Of the pairs returned, at most this share is expected to be false; 1 returns all.
        X : array-like of shape (n_samples, n_features), default=None
            The training table. With it the tests of a regularised fit do not rest on normal rows.

        Returns
        -------
        edges : EdgeTable
            Pairs with an adjusted p-value of at most `fdr`, the most significant first. Without
            regularisation by exact t tests; with `penalty` by the debiased precision, an
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
