"""Formulas of the paired comparison: pure functions on per-row log-densities."""

from typing import NamedTuple

import numpy as np
from scipy import stats

__all__ = ["PairedMean", "agree_to_rounding", "paired_mean", "student_interval", "win_rate"]


class PairedMean(NamedTuple):
    """Mean of the differences, its standard error, and the number of rows behind them."""

    mean: float
    standard_error: float
    n_rows: float


def paired_mean(difference: np.ndarray, weight: np.ndarray | None = None) -> PairedMean:
    """Return the mean of `difference`, (n,), and its standard error.

    Weights count repetitions: the sum of the weights is the number of rows, and the variance has
    that number less one as its divisor.
    """
    weight = np.ones(difference.size) if weight is None else weight
    n_rows = weight.sum()
    mean = np.average(difference, weights=weight)
    variance = weight @ (difference - mean) ** 2 / (n_rows - 1)
    return PairedMean(float(mean), float(np.sqrt(variance / n_rows)), float(n_rows))


def student_interval(paired: PairedMean, level: float) -> tuple[float, float, float, float]:
    """Return low, high, t statistic and two-sided p-value, Student's t on n_rows - 1 degrees."""
    if paired.standard_error == 0:  # only where both densities agree on every row
        return paired.mean, paired.mean, 0.0, 1.0
    df = paired.n_rows - 1
    half_width = stats.t.isf((1 - level) / 2, df) * paired.standard_error
    statistic = paired.mean / paired.standard_error
    pvalue = 2 * stats.t.sf(abs(statistic), df)
    return paired.mean - half_width, paired.mean + half_width, statistic, float(pvalue)


def win_rate(difference: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return the weighted share of positive differences, ties counted half."""
    return float(np.average((np.sign(difference) + 1) / 2, weights=weight))


def agree_to_rounding(log_a: np.ndarray, log_b: np.ndarray) -> bool:
    """Tell whether two arrays of log-densities are equal but for rounding, row by row.

    The tolerance, 1e-7 relative, is the precision that the density contract promises. Without
    this rule two computations of one density would differ "significantly" by 1e-15 nats.
    """
    return bool(np.allclose(log_a, log_b, rtol=1e-7, atol=1e-7))
