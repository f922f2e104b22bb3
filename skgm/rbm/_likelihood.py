"""What a fitted machine can tell and do: energies, likelihoods, samples."""

from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skgm._random import as_generator
from skgm.base import DensityEstimator
from skgm.rbm import _energy
from skgm.rbm._energy import RBMParameters
from skgm.rbm._log_partition import LogPartition
from skgm.rbm._log_partition import log_partition as estimate_log_partition
from skgm.rbm._rows import as_units, dense
from skgm.rbm._sampling import draw_given, sample_rows

__all__ = ["FittedMachine"]


class FittedMachine(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityEstimator):
    """The methods of a fitted estimator, given its parameters, threshold, mean and seed."""

    components_: np.ndarray
    intercept_hidden_: np.ndarray
    intercept_visible_: np.ndarray
    _threshold: float | None
    _mean: np.ndarray
    _seed: int
    _log_partition_cache: LogPartition | None

    @property
    def _parameters(self) -> RBMParameters:
        return RBMParameters(self.components_, self.intercept_hidden_, self.intercept_visible_)

    @property
    def _n_features_out(self) -> int:
        return self.components_.shape[0]

    def _units(self, X: Any) -> Any:
        """Return a table of visible units, validated and thresholded as in `fit`; maybe sparse."""
        return as_units(self._begin_scoring(X, accept_sparse=True), self._threshold)

    def transform(self, X: Any) -> np.ndarray:
        """Return the probability of each hidden unit given each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows; values in [0, 1] that are neither 0 nor 1 are taken as they are.

        Returns
        -------
        h : ndarray of shape (n_samples, n_components)
            Eq. rbm-conditionals, in the floating dtype of X.
        """
        X = self._units(X)
        arrays = [a.astype(X.dtype, copy=False) for a in vars(self._parameters).values()]
        return _energy.hidden_probabilities(X, RBMParameters(*arrays))

    def log_partition(self) -> LogPartition:
        """Return log Z, exactly or with its uncertainty.

        It is found when first asked for, from a seed stored by `fit`, and remembered: the same at
        every call and after pickling.

        Returns
        -------
        log_partition : LogPartition
            With ``.value``, ``.interval`` (95%), ``.standard_error``, ``.ess``, ``.method``
            ("exact" where the smaller layer has at most 25 units, else "annealing").

        Warns
        -----
        ConvergenceWarning
            The estimates from both directions disagree, or rest on too few effective chains.
        """
        check_is_fitted(self)
        if self._log_partition_cache is None:
            rng = np.random.default_rng(self._seed)
            found = estimate_log_partition(self._parameters, self._mean, rng)
            self._log_partition_cache = found
        return self._log_partition_cache

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-probability of each row, -F(v) - log Z.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows of 0 and 1, after thresholding where there is any.

        Returns
        -------
        log_probability : ndarray of shape (n_samples,)
            In nats; -inf for rows with any other value. Exact, or as good as
            :meth:`log_partition`, whose error is the same for all rows.
        """
        X = self._begin_scoring(X, accept_sparse=True)
        return -self._free_energy(X) - self.log_partition().value

    def score_interval(self, X: Any) -> np.ndarray:
        """Return the 95% interval that the uncertainty of log Z leaves to :meth:`score_samples`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        interval : ndarray of shape (n_samples, 2)
            Lower and upper ends; equal where log Z is exact. The error is shared: differences
            between rows are exact.
        """
        X = self._begin_scoring(X, accept_sparse=True)
        low, high = self.log_partition().interval
        return -self._free_energy(X)[:, None] - np.array([high, low])

    def _free_energy(self, X: Any) -> np.ndarray:
        """Return F of rows of 0 and 1, infinite for others."""
        units = dense(as_units(X, self._threshold))
        F = _energy.free_energy(units, self._parameters)
        if self._threshold is None:
            X = dense(X)
            F[~((X == 0) | (X == 1)).all(axis=1)] = np.inf
        return F

    def free_energy(self, X: Any) -> np.ndarray:
        """Return F(v), the energy of each row with the hidden units summed out.

        A gap between its means over training and validation rows tells of overfitting: log Z
        cancels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows; values in [0, 1] that are neither 0 nor 1 are taken as they are.

        Returns
        -------
        free_energy : ndarray of shape (n_samples,)
            Eq. rbm-free-energy, in nats.
        """
        return _energy.free_energy(dense(self._units(X)), self._parameters)

    def energy(self, v: Any, h: Any) -> np.ndarray:
        """Return E(v, h) of pairs of visible and hidden rows.

        Parameters
        ----------
        v : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible units.
        h : array-like of shape (n_samples, n_components)
            Hidden units.

        Returns
        -------
        energy : ndarray of shape (n_samples,)
            Eq. rbm-energy, in nats.

        Raises
        ------
        ValueError
            `h` of another shape.
        """
        v = dense(self._units(v))
        h = np.asarray(h, dtype=np.float64)
        expected = (len(v), self._n_features_out)
        if h.shape != expected:
            raise ValueError(f"h must have shape {expected}, a row for each of v; got {h.shape}.")
        return _energy.energy(v, h, self._parameters)

    def pseudo_log_likelihood(self, X: Any) -> np.ndarray:
        """Return the sum over units of log p(unit | all others), for each row.

        It needs no log Z, and is exact where scikit-learn flips one random unit.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        pseudo_log_likelihood : ndarray of shape (n_samples,)
            Eq. rbm-pseudolikelihood, in nats; -inf for rows with values other than 0 and 1.
        """
        X = self._begin_scoring(X, accept_sparse=True)
        outside = np.isinf(self._free_energy(X))
        units = np.rint(dense(as_units(X, self._threshold)))
        return np.where(outside, -np.inf, _energy.pseudo_log_likelihood(units, self._parameters))

    def gibbs(self, v: Any, random_state: Any = None) -> np.ndarray:
        """Make one Gibbs step from each row: hidden units given it, new visible units given them.

        Parameters
        ----------
        v : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to start from.
        random_state : None, int, RandomState or Generator, default=None
            As in :meth:`sample`.

        Returns
        -------
        v_new : ndarray of shape (n_samples, n_features)
            Booleans, as in scikit-learn.
        """
        v, rng = self._units(v), as_generator(random_state)
        p_h = _energy.hidden_probabilities(v, self._parameters)
        h = (rng.random(p_h.shape) < p_h).astype(p_h.dtype)
        p_v = _energy.visible_probabilities(h, self._parameters)
        return rng.random(p_v.shape) < p_v

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        return sample_rows(self._parameters, n_samples, rng)[0]

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        units = np.where(np.isnan(given), np.nan, as_units(given, self._threshold))
        return draw_given(self._parameters, units, n_samples, rng)
