"""What a fitted choice among many classes predicts: exact, in chunks of rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import logsumexp
from sklearn.utils.validation import check_is_fitted

from skgm._validation import validate_table
from skgm.nce._vocabulary._loop import LogNormalizerStats

__all__ = ["SoftmaxPrediction"]

_CHUNK = 2**22  # scores held at once


class SoftmaxPrediction:
    """The half of NCEClassifier that comes after `coef_`, `intercept_` and `projection_`."""

    classes_: np.ndarray
    coef_: np.ndarray
    intercept_: np.ndarray
    projection_: np.ndarray | None

    def _begin_predicting(self, X: Any) -> Any:
        check_is_fitted(self)
        return validate_table(self, X, reset=False, accept_sparse=True)

    def _scores(self, table: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield parts of the rows and the scores of all classes there, in float64."""
        coef = self.coef_.astype(np.float64, copy=False)
        n_rows = max(1, _CHUNK // len(coef))
        for start in range(0, table.shape[0], n_rows):
            part = slice(start, start + n_rows)
            rows = table[part].astype(np.float64, copy=False)
            if self.projection_ is not None:
                rows = rows @ self.projection_.astype(np.float64, copy=False)
            yield part, rows @ coef.T + self.intercept_

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the scores of the classes: log-probabilities up to the log-normaliser of the row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; for two classes (n_samples,), the log-odds of the second.
        """
        table = self._begin_predicting(X)
        scores = np.empty((table.shape[0], len(self.classes_)))
        for part, values in self._scores(table):
            scores[part] = values
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the log-probabilities of the classes, normalised exactly.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_probability : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        table = self._begin_predicting(X)
        values = np.empty((table.shape[0], len(self.classes_)))
        for part, scores in self._scores(table):
            values[part] = scores - logsumexp(scores, axis=1, keepdims=True)
        return values

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; rows sum to one.
        """
        probability = self.predict_log_proba(X)
        return np.exp(probability, out=probability)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Of `classes_`.
        """
        table = self._begin_predicting(X)
        best = np.empty(table.shape[0], dtype=np.intp)
        for part, scores in self._scores(table):
            best[part] = scores.argmax(axis=1)
        return self.classes_[best]

    def log_normalizer_stats(self, X: Any) -> LogNormalizerStats:
        """Return how far the exponentials of the scores are from summing to one.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        stats : LogNormalizerStats
            Frozen; `mean` and `sd` of the log of the sum over classes. Both are near zero after
            ``loss="nce"``: there the score of one class alone is nearly its log-probability.
        """
        table = self._begin_predicting(X)
        return LogNormalizerStats.of(
            np.concatenate([logsumexp(scores, axis=1) for _, scores in self._scores(table)])
        )
