"""Robust statistics of one restriction written out, from how far each row pulls its estimate."""

import numpy as np
from scipy import stats


def error(pull):
    """Standard error: a row with the share h of the squared pulls counts 1 / (1 - h) times."""
    square = pull**2
    return np.sqrt(np.sum(square / (1 - square / square.sum())))


def as_chi2(t, df):
    """The chi-square value with the p-value of Student's t."""
    return stats.chi2.isf(2 * stats.t.sf(abs(t), df), 1)


def wald(gap, pull):
    return as_chi2(gap / error(pull), len(pull) - 1)


def score(pull):
    """Hall's transformation of Student's statistic for a mean of zero."""
    n, mean = len(pull), pull.mean()
    away = pull - mean
    t, skew = mean * n / error(away), stats.skew(pull)
    root = t + skew * t**2 / (3 * np.sqrt(n)) + skew**2 * t**3 / (27 * n) + skew / (6 * np.sqrt(n))
    return as_chi2(root, n - 1)
