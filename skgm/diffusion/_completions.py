"""Training tables with holes: completed by draws of a mixture, which also scores what rows hold.

The mixture q is fitted by EM to the observed values. The diffusion trains on several completions of
every row, another one at every look. What a row observes, o, has the density

    p(x_o) = E_v [ p(x_o, v) / q(v | x_o) ],    v ~ q(. | x_o),

an average over draws that depend on the row alone.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import LinAlgWarning
from scipy.special import logsumexp, ndtr

from skgm._numerics.qmc import normal_nodes, row_keys
from skgm.mixture import GaussianMixtureDensity
from skgm.tables._reader import TableReader

__all__ = ["Completions"]

_COMPLETIONS = 5  # of a training row
_PAIRS = 8  # of mirrored draws for a row that is scored


@dataclass(frozen=True, eq=False)
class Completions:
    """The mixture of a table with holes.

    Attributes
    ----------
    mixture : GaussianMixtureDensity
        Fitted to the table.
    plain : ndarray of shape (p,)
        The columns of real numbers without atoms, whose holes can be scored.
    bounds : ndarray of shape (2, d)
        Range of the observed values of each column.
    """

    mixture: GaussianMixtureDensity
    plain: np.ndarray
    bounds: np.ndarray

    @classmethod
    def learn(
        cls,
        estimator: Any,
        reader: TableReader,
        X: Any,
        coded: np.ndarray,
        weight: np.ndarray | None,
        atoms: dict[Any, Any],
        seed: int,
    ) -> "Completions":
        """Fit the mixture to X, whose rows are `coded`."""
        kinds = (estimator.categorical_features, estimator.integer_features)
        mixture = GaussianMixtureDensity(
            categorical_features=kinds[0],
            integer_features=kinds[1],
            atoms=atoms or None,
            random_state=seed,
        )
        with warnings.catch_warnings():  # a ridge is right for completions; DDPM has no covariance
            warnings.simplefilter("ignore", LinAlgWarning)
            mixture.fit(X, sample_weight=weight)
        real = [about["kind"] == "real" and about["name"] not in atoms for about in reader.columns]
        counted = coded if weight is None else coded[weight > 0]
        bounds = np.array([np.nanmin(counted, axis=0), np.nanmax(counted, axis=0)])
        return cls(mixture, np.flatnonzero(real), bounds.astype(np.float64))

    def of(self, estimator: Any, reader: TableReader, X: Any, seed: int) -> list[np.ndarray]:
        """Return completed coded tables; numbers lie within the range of those observed."""
        drawn = self.mixture.sample(_COMPLETIONS, random_state=seed, given=X)
        coded = np.array(reader.code(estimator, drawn, holes=False), dtype=np.float64)
        coded[:, self.plain] = np.clip(coded[:, self.plain], *self.bounds[:, self.plain])
        return [coded[k::_COMPLETIONS] for k in range(_COMPLETIONS)]

    def check_scored(self, coded: np.ndarray, columns: list[dict[str, Any]]) -> np.ndarray:
        """Return which coded rows lack a number, (n,); refuse holes that cannot be averaged."""
        hole = np.isnan(coded)
        for j, about in enumerate(columns):
            if about["kind"] != "category" and j not in self.plain and hole[:, j].any():
                raise ValueError(
                    f"Column {about['name']!r} of X has no value at row {np.argmax(hole[:, j])}, "
                    "and a DDPM scores rows without whole numbers, dates or values that may be "
                    "atoms only when these are filled. Call impute first, or use DensityChain or "
                    "GaussianMixtureDensity."
                )
        return np.asarray(hole[:, self.plain].any(axis=1))

    def average(self, coded: np.ndarray, log_density: Any) -> np.ndarray:
        """Return log-densities, (n, k), of coded rows that lack plain numbers.

        `log_density` is a function of rows that lack none.
        """
        numbers = np.full((len(coded), len(self.mixture.base_measure_)), np.nan)
        numbers[:, self.plain] = coded[:, self.plain]
        scaled = self.mixture._standardized(numbers)
        noise: Any = _Noise(row_keys(np.where(np.isnan(scaled), -1e6, scaled)))
        n = 2 * _PAIRS
        drawn = self.mixture._numbers_given(numbers, n, noise)
        full, observed = (self.mixture._log_joint(rows) for rows in (drawn, numbers))
        log_q = logsumexp(full, axis=1) - np.repeat(logsumexp(observed, axis=1), n)
        rows = np.repeat(coded, n, axis=0)
        rows[:, self.plain] = drawn[:, self.plain]
        ratio = (log_density(rows).T - log_q).T
        return np.asarray(logsumexp(ratio.reshape(len(coded), n, -1), axis=1) - np.log(n))


class _Noise:
    """Stands for a Generator: numbers of each row that depend on its key alone."""

    def __init__(self, keys: np.ndarray) -> None:
        self._keys = keys

    def random(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return uniform numbers, (m, n, 1)."""
        return ndtr(normal_nodes(self._keys, 1, shape[1] // 2, stream=5).transpose(1, 0, 2))

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return normal numbers, (m * n, d), grouped by row."""
        n_nodes = shape[0] // len(self._keys) // 2
        nodes = normal_nodes(self._keys, shape[1], n_nodes, stream=6)
        return nodes.transpose(1, 0, 2).reshape(shape)
