"""Bayes' rule for classes that each have a density."""

from typing import Any

import numpy as np
from scipy.special import logsumexp

__all__ = ["check_priors", "log_marginal", "log_posterior"]


def check_priors(priors: Any, counts: np.ndarray) -> np.ndarray:
    """Return class probabilities, (K,), from a `priors` parameter and the weight of each class.

    Raises
    ------
    ValueError
        Neither None (relative frequencies), "uniform", nor K positive numbers that sum to one.
    """
    n_classes = len(counts)
    if priors is None:
        return counts / counts.sum()
    if isinstance(priors, str) and priors == "uniform":
        return np.full(n_classes, 1.0 / n_classes)
    try:
        given = np.asarray(priors, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.shape == (n_classes,) and (given > 0).all() and abs(given.sum() - 1) <= 1e-8:
        return given / given.sum()
    raise ValueError(
        f"priors must be None, 'uniform' or {n_classes} positive numbers that sum to 1, in the "
        f"order of the sorted classes; got {priors!r}."
    )


def log_posterior(
    log_density: np.ndarray, priors: np.ndarray, temperature: float = 1.0
) -> np.ndarray:
    """Return log P(class | x), (n, K), from log p(x | class), (n, K), and P(class), (K,).

    With a temperature T the densities enter as their 1/T-th powers. A row outside the support of
    every class tells nothing: it gets the prior.
    """
    joint = log_density / temperature + np.log(priors)
    joint[np.isneginf(joint).all(axis=1)] = np.log(priors)
    return joint - logsumexp(joint, axis=1, keepdims=True)


def log_marginal(log_density: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Return log sum_k P(k) p(x | k), (n,); -inf outside the support of every class."""
    return logsumexp(log_density + np.log(priors), axis=1)
