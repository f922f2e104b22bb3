"""Fits a linear softmax over all classes by L-BFGS, and predicts from one."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import issparse
from scipy.special import logsumexp
from sklearn.utils.validation import check_is_fitted

from skgm._numerics.epochs import LogNormalizerStats
from skgm.tables._validation import validate_table

__all__ = [
    "SoftmaxFit",
    "SoftmaxPrediction",
    "fit_softmax",
    "merge_labeled_rows",
    "softmax_loss",
]

_CHUNK = 2**22  # scores held at once


class SoftmaxFit(NamedTuple):
    """The minimum that was found.

    Attributes
    ----------
    coef : ndarray of shape (n_classes, d)
        W.
    intercept : ndarray of shape (n_classes,)
        b.
    losses : list of float
        Penalized mean loss after each iteration.
    converged : bool
        Whether the gradient vanishes to the tolerance.
    """

    coef: np.ndarray
    intercept: np.ndarray
    losses: list[float]
    converged: bool


def softmax_loss(
    coef: np.ndarray,
    intercept: np.ndarray,
    X: Any,
    y: np.ndarray,
    share: np.ndarray,
    alpha: float,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the weighted log-loss plus alpha |W|^2 / 2, and its gradients in W and b.

    `share` (n,) are the weights of the rows, with sum one; X is an array or a CSR matrix (n, d).
    """
    loss = 0.5 * alpha * float(np.einsum("ij,ij->", coef, coef))
    slope, level = alpha * coef, np.zeros_like(intercept)
    n_rows = max(1, _CHUNK // len(intercept))
    for start in range(0, len(y), n_rows):
        part = slice(start, start + n_rows)
        rows, labels, mass = X[part], y[part], share[part]
        scores = rows @ coef.T + intercept
        own = np.arange(len(labels)), labels
        normalizer = logsumexp(scores, axis=1)
        loss += float(mass @ (normalizer - scores[own]))
        excess = np.exp(scores - normalizer[:, None])
        excess[own] -= 1.0
        excess *= mass[:, None]
        level += excess.sum(axis=0)
        slope += (rows.T @ excess).T
    return loss, slope, level


def fit_softmax(
    X: Any,
    y: np.ndarray,
    weight: np.ndarray,
    n_classes: int,
    *,
    alpha: float,
    max_iter: int,
    tol: float,
    observe: Callable[[float], Any],
) -> SoftmaxFit:
    """Minimize `softmax_loss` by L-BFGS, from the class frequencies.

    The search runs in coefficients of columns that are centered and divided by the root of variance
    plus n_classes * alpha: a change of variables that leaves the objective as it is, penalty
    included, and gives all coefficients about the same curvature. `observe(loss)` is called after
    each iteration; a true result stops the search.
    """
    share = weight / weight.sum()
    mean, variance = _moments(X, share)
    scale = np.sqrt(variance + n_classes * alpha)
    scale[scale == 0] = 1.0
    d = len(mean)
    shape = n_classes, d + 1

    def unpack(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        table = vector.reshape(shape)
        coef = table[:, :d] / scale
        return coef, table[:, d] - coef @ mean

    def objective(vector: np.ndarray) -> tuple[float, np.ndarray]:
        loss, slope, level = softmax_loss(*unpack(vector), X, y, share, alpha)
        inner = (slope - level[:, None] * mean) / scale
        return loss, np.hstack([inner, level[:, None]]).ravel()

    losses: list[float] = []

    def after(intermediate_result: Any) -> None:
        losses.append(float(intermediate_result.fun))
        if observe(losses[-1]):
            raise StopIteration

    start = np.zeros(shape)
    counts = np.bincount(y, weights=share, minlength=n_classes)
    start[:, d] = np.log(np.maximum(counts, 0.5 / len(y)))
    options = {"maxiter": max_iter, "maxfun": 10 * max_iter, "gtol": tol, "ftol": 0, "maxls": 50}
    found = minimize(
        objective, start.ravel(), jac=True, method="L-BFGS-B", callback=after, options=options
    )
    coef, intercept = unpack(found.x)
    intercept -= intercept.mean()  # a constant in all scores cancels
    # Status 2: no step makes the loss smaller, so that it is at its minimum to rounding.
    converged = found.status == 0 or (found.status == 2 and np.abs(found.jac).max() < 1e-5)
    return SoftmaxFit(coef, intercept, losses or [float(found.fun)], converged)


def _moments(X: Any, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of the columns."""
    mean = np.asarray(X.T @ share).ravel()
    if issparse(X):
        square = np.asarray(X.multiply(X).T @ share).ravel()
        variance = np.maximum(square - mean**2, 0.0)
        variance[variance <= 1e-12 * square] = 0.0
    else:
        with np.errstate(over="ignore"):
            variance = share @ (X - mean) ** 2
    if not np.isfinite(variance).all():
        j = int(np.argmax(~np.isfinite(variance)))
        raise ValueError(
            f"The variance of column {j} overflows. Rescale the columns before fitting."
        )
    return mean, variance


def merge_labeled_rows(
    X: np.ndarray, y: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the distinct pairs of row and label in an order of their own, weights added up.

    Repetitions and weights then lead to the same arithmetic, bit for bit.
    """
    table = np.column_stack([X, y])
    distinct, place = np.unique(table, axis=0, return_inverse=True)
    total = np.bincount(place.ravel(), weights=weight)
    return distinct[:, :-1], distinct[:, -1].astype(np.intp), total


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
        """Return the scores of the classes: log-probabilities up to the log-normalizer of the row.

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
        """Return the log-probabilities of the classes, normalized exactly.

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
