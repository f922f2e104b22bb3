"""Log-bilinear representations of a context: its words' embeddings, combined by position."""

from typing import Any

import numpy as np

from skgm.nce._vocabulary._training import AdagradRows, scatter_sum

__all__ = ["Contexts"]


class Contexts:
    """Representations h = sum_j C_j r(w_j) of the words w_1, w_2, ... before a gap.

    Parameters
    ----------
    embeddings : ndarray of shape (n_words, d)
        Start of r.
    mixing : ndarray of shape (n_context, d) or (n_context, d, d)
        Start of C: diagonal matrices, or full ones with h = sum_j r(w_j) C_j by rows.
    """

    def __init__(self, embeddings: np.ndarray, mixing: np.ndarray) -> None:
        self._embeddings, self._shape = AdagradRows(embeddings), mixing.shape
        self._mixing = AdagradRows(mixing.reshape(-1, mixing.shape[-1]))

    @property
    def embeddings(self) -> np.ndarray:
        """The table r, (n_words, d)."""
        return self._embeddings.values

    @property
    def mixing(self) -> np.ndarray:
        """The matrices C, of the shape they were given in."""
        return self._mixing.values.reshape(self._shape)

    def represent(self, words: np.ndarray) -> np.ndarray:
        """Return the representations (n, d) of contexts (n, n_context)."""
        return self._combine(self.embeddings[words])

    def _combine(self, rows: np.ndarray) -> np.ndarray:
        if len(self._shape) == 2:
            return np.einsum("njd,jd->nd", rows, self._mixing.values)
        return rows.reshape(len(rows), -1) @ self._mixing.values

    def step(self, words: np.ndarray, H_gradient: np.ndarray, learning_rate: float) -> None:
        """Descend along the gradient (n, d) with respect to the representations of `words`."""
        rows = self.embeddings[words]
        if len(self._shape) == 2:
            back = H_gradient[:, None, :] * self._mixing.values
            mixing = np.einsum("nd,njd->jd", H_gradient, rows)
        else:
            back = H_gradient @ self._mixing.values.T
            mixing = rows.reshape(len(rows), -1).T @ H_gradient
        touched, place = np.unique(words.ravel(), return_inverse=True)
        gradient = scatter_sum(place.ravel(), back.reshape(-1, rows.shape[2]), len(touched))
        self._embeddings.update(touched, gradient, learning_rate)
        self._mixing.update(slice(None), mixing, learning_rate)

    def snapshot(self) -> Any:
        """Return a copy of the parameters and their step sizes."""
        return self._embeddings.copy(), self._mixing.copy()

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""
        self._embeddings, self._mixing = snapshot[0].copy(), snapshot[1].copy()
