"""A mean log-likelihood with its two errors."""

from dataclasses import dataclass

import numpy as np

__all__ = ["ScoreError"]


@dataclass(frozen=True)
class ScoreError:
    """Mean log-likelihood of a table, and how far it can be off.

    Attributes
    ----------
    mean : float
        Mean log-density per row, in nats: what `score` returns.
    sampling_se : float
        Standard error of the mean over rows: another table would give another mean.
    normalizer_se : float
        Standard error of log Z, common to all rows: it cancels in differences between tables
        under one model, and not between models.

    Examples
    --------
    >>> from skgm.nce import ScoreError
    >>> round(ScoreError(mean=-1.0, sampling_se=0.03, normalizer_se=0.004).se, 4)
    0.0303
    """

    mean: float
    sampling_se: float
    normalizer_se: float

    @property
    def se(self) -> float:
        """Standard error of the mean from both sources."""
        return float(np.hypot(self.sampling_se, self.normalizer_se))

    @classmethod
    def from_rows(
        cls, log_density: np.ndarray, weight: np.ndarray | None, normalizer_se: float
    ) -> "ScoreError":
        """Summarise the log-densities of rows.

        Parameters
        ----------
        log_density : ndarray of shape (n,)
            One value per row.
        weight : ndarray of shape (n,) or None
            Weights of the rows in the mean.
        normalizer_se : float
            Standard error of log Z.

        Returns
        -------
        error : ScoreError
        """
        share = np.full(len(log_density), 1.0) if weight is None else weight
        counted = share > 0  # 0 * -inf would be NaN
        values, share = log_density[counted], share[counted]
        mean = float(np.average(values, weights=share))
        if not np.isfinite(mean):
            return cls(mean, np.inf, normalizer_se)
        n = share.sum()
        variance = np.average((values - mean) ** 2, weights=share) * n / max(n - 1, 1e-300)
        sampling = float(np.sqrt(variance / n)) if n > 1 else np.inf
        return cls(mean, sampling, normalizer_se)
