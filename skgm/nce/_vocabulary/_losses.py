r"""Losses of a choice among many classes that look at few of them, and their gradients.

A row's true class y competes with noise classes that were drawn as they are drawn in
:mod:`skgm.nce._vocabulary._noise`: class w is expected pi_w times among them. With scores s_w:

- full softmax: log sum_w exp(s_w) - s_y, over all classes;
- ranking: log(exp(t_y) + sum_{noise w != y} exp(t_w)) - t_y, with t_w = s_w - log pi_w;
- noise-contrastive: log(1 + exp(-t_y)) + sum_{noise w} log(1 + exp(t_w)), the same t_w. For
  independent draws pi_w = K q_w, so that t_w = s_w - log q_w - log K.

Whether a noise class that happens to be the true one counts is no matter of taste. In the ranking
loss it does not: the classes form a set, in which the true one is to be found. In the
noise-contrastive loss it does: data and noise are drawn independently, and leaving it out would
bias the scores. Both have the true log-probabilities as stationary point; the ranking loss leaves
one constant per row free, where the noise-contrastive loss makes exp(s) sum to one by itself.
(A normaliser to be learnt would add nothing: the intercepts of the classes contain it.)
"""

import numpy as np

__all__ = ["full_loss", "nce_loss", "ranking_loss"]

_FAR = 80.0  # exp overflows float32 beyond 88; gradients are 0 or 1 long before


def full_loss(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return -log p(y) of each row, (n,), and turn `scores` (n, n_classes) into the gradient."""
    rows = np.arange(len(y))
    true = scores[rows, y]
    top = scores.max(axis=1)
    scores -= top[:, None]
    np.exp(scores, out=scores)
    total = scores.sum(axis=1)
    scores /= total[:, None]
    scores[rows, y] -= 1.0
    return np.log(total) + (top - true)


def ranking_loss(true: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the loss of each row and its derivative with respect to `true`, (n,) each.

    `true` (n,) and `noise` (n, n_noise) are scores minus log pi, `noise` -infinity where a noise
    class is the true one. `noise` is turned into the derivative with respect to itself.
    """
    top = np.maximum(true, noise.max(axis=1, initial=-np.inf))
    noise -= top[:, None]
    np.exp(noise, out=noise)
    own = np.exp(true - top)
    total = own + noise.sum(axis=1)
    noise *= (1.0 / total)[:, None]
    return np.log(total) + (top - true), own / total - 1.0


def nce_loss(true: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the loss of each row and its derivative with respect to `true`, (n,) each.

    `true` (n,) and `noise` (n, n_noise) are scores minus log pi. `noise` is turned into the
    derivative with respect to itself.
    """
    odds = np.exp(-np.clip(true, -_FAR, _FAR))
    np.clip(noise, -_FAR, _FAR, out=noise)
    np.exp(noise, out=noise)
    plus_one = noise + 1.0
    noise /= plus_one
    np.log(plus_one, out=plus_one)
    return np.log(1.0 + odds) + plus_one.sum(axis=1), -odds / (1.0 + odds)
