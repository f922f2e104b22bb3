"""Gives energies, likelihoods and samples of a fitted machine."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skgm._random import as_generator
from skgm.base import DensityEstimator, in_blocks
from skgm.rbm._energy import (
    RBMParameters,
    by_blocks,
    energy,
    free_energy,
    hidden_probabilities,
    pseudo_log_likelihood,
    visible_probabilities,
)
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
    h_samples_: np.ndarray
    _threshold: float | None
    _mean: np.ndarray
    _seed: int
    _log_partition_cache: tuple[str, LogPartition] | None
    n_jobs: int | None

    @property
    def _parameters(self) -> RBMParameters:
        return RBMParameters(self.components_, self.intercept_hidden_, self.intercept_visible_)

    @property
    def _n_features_out(self) -> int:
        return self.components_.shape[0]

    def _fingerprint(self) -> str | None:
        """Return what changes when a fitted array does, also by hand; None if there is none."""
        names = ("components_", "intercept_hidden_", "intercept_visible_", "h_samples_")
        found = [getattr(self, name) for name in names if hasattr(self, name)]
        digest = hashlib.blake2b(digest_size=16)
        for array in found:
            digest.update(np.asarray(array).tobytes())
        return digest.hexdigest() if found else None

    def _by_rows(self, X: Any, function: Callable[[Any], np.ndarray]) -> np.ndarray:
        """Return what a function makes of the units of each row, thresholded as in `fit`."""
        X = self._begin_scoring(X, accept_sparse=True)
        width = sum(self.components_.shape)
        jobs = self.n_jobs
        return by_blocks(lambda rows: function(as_units(rows, self._threshold)), X, width, jobs)

    def _by_binary_rows(self, X: Any, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return the same, but -inf for rows with values other than 0 and 1 after thresholding."""

        def of(rows: Any) -> np.ndarray:
            rows = dense(rows)
            units = as_units(rows, self._threshold)
            values = rows if self._threshold is None else units
            binary = ((values == 0) | (values == 1)).all(axis=1)
            return np.where(binary, function(np.rint(units)), -np.inf)

        X = self._begin_scoring(X, accept_sparse=True)
        return by_blocks(of, X, sum(self.components_.shape), self.n_jobs)

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

        def of(units: Any) -> np.ndarray:
            arrays = [a.astype(units.dtype, copy=False) for a in vars(self._parameters).values()]
            return hidden_probabilities(units, RBMParameters(*arrays))

        return self._by_rows(X, of)

    def log_partition(self) -> LogPartition:
        """Return log Z, exactly or with its uncertainty.

        It is found when first asked for, from a seed stored by `fit`, and remembered until a fitted
        array changes: the same at every call and after pickling.

        Returns
        -------
        log_partition : LogPartition
            With ``.value``, ``.interval`` (95%), ``.standard_error``, ``.ess``, ``.method``
            ("exact" where the smaller layer has at most 25 units, else "annealing"), ``.gap``
            (minus the logarithm of the share of the model's mass that lies near the chains of
            training) and ``.reliable``.

        Warns
        -----
        ConvergenceWarning
            The estimates from both directions disagree, or rest on too few effective chains. Or
            the gap exceeds a nat: training did not see most of the mass.
        """
        check_is_fitted(self)
        cache, fingerprint = self._log_partition_cache, self._fingerprint()
        if cache is None or cache[0] != fingerprint:
            rng = np.random.default_rng(self._seed)
            chains = getattr(self, "h_samples_", None)  # a copy made during `fit` has none yet
            found = estimate_log_partition(
                self._parameters, self._mean, rng, chains=chains, n_jobs=self.n_jobs
            )
            self._log_partition_cache = cache = (str(fingerprint), found)
        return cache[1]

    @in_blocks
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
        log_mass = self._by_binary_rows(X, self._log_mass)
        return log_mass - self.log_partition().value

    def _log_mass(self, units: np.ndarray) -> np.ndarray:
        return -free_energy(units, self._parameters)

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
        log_mass = self._by_binary_rows(X, self._log_mass)
        low, high = self.log_partition().interval
        return log_mass[:, None] - np.array([high, low])

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
        return self._by_rows(X, lambda units: free_energy(dense(units), self._parameters))

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
        v = dense(as_units(self._begin_scoring(v, accept_sparse=True), self._threshold))
        h = np.asarray(h, dtype=np.float64)
        expected = (len(v), self._n_features_out)
        if h.shape != expected:
            raise ValueError(f"h must have shape {expected}, a row for each of v; got {h.shape}.")
        return energy(v, h, self._parameters)

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
        return self._by_binary_rows(X, lambda units: pseudo_log_likelihood(units, self._parameters))

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
        rng = as_generator(random_state)

        def of(units: Any) -> np.ndarray:
            p_h = hidden_probabilities(units, self._parameters)
            h = (rng.random(p_h.shape) < p_h).astype(p_h.dtype)
            p_v = visible_probabilities(h, self._parameters)
            return rng.random(p_v.shape) < p_v

        return self._by_rows(v, of)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        return sample_rows(self._parameters, n_samples, rng)[0]

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        units = np.where(np.isnan(given), np.nan, as_units(given, self._threshold))
        return draw_given(self._parameters, units, n_samples, rng)
