"""Computes sampled losses of a choice among many classes, and descends on them."""

import numpy as np
from scipy.optimize import brentq
from scipy.sparse import csc_array

from skgm._numerics.optimizers import AdagradRows

__all__ = [
    "AliasTable",
    "DistinctClasses",
    "OutputTable",
    "full_loss",
    "nce_loss",
    "noise_probabilities",
    "ranking_loss",
    "scatter_sum",
]


# Losses of a choice among many classes that look at few of them, and their gradients.
#
# A row's true class y competes with noise classes; class w is expected pi_w times among them (see
# DistinctClasses). With scores s_w:
#
# - full softmax: log sum_w exp(s_w) - s_y, over all classes;
# - ranking: log(exp(t_y) + sum_{noise w != y} exp(t_w)) - t_y, with t_w = s_w - log pi_w;
# - noise-contrastive: log(1 + exp(-t_y)) + sum_{noise w} log(1 + exp(t_w)), the same t_w. For
#   independent draws pi_w = K q_w, so that t_w = s_w - log q_w - log K.
#
# A noise class that happens to be the true one does not count in the ranking loss, where the
# classes form a set in which the true one is to be found. It counts in the noise-contrastive loss,
# where data and noise are drawn independently, and leaving it out would bias the scores. Both
# losses have the true log-probabilities as a stationary point. The ranking loss leaves one constant
# per row free; the noise-contrastive loss makes exp(s) sum to one by itself. (A normalizer to be
# learned would add nothing: the intercepts of the classes contain it.)

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


# Draws from a table of probabilities in constant time per draw, however many classes it has.


class AliasTable:
    """Walker's alias method, with Vose's construction.

    Class i keeps a column of height 1 of the unit-width histogram; what its probability (times the
    number of classes) lacks of 1 is filled from one other class, its alias. A draw picks a column
    and then, by one uniform number, the class or its alias.

    Parameters
    ----------
    probabilities : ndarray of shape (n_classes,)
        Non-negative, with a positive sum; normalized here.

    Attributes
    ----------
    keep : ndarray of shape (n_classes,)
        Probability of staying with the column that was picked.
    alias : ndarray of shape (n_classes,)
        The class that fills the rest of the column.
    """

    def __init__(self, probabilities: np.ndarray) -> None:
        share = np.asarray(probabilities, dtype=np.float64)
        share = share * (len(share) / share.sum())
        self.keep, self.alias = np.ones(len(share)), np.arange(len(share))
        rest = share.tolist()  # plain floats: the loop below is then five times faster
        small = np.flatnonzero(share < 1.0).tolist()
        large = np.flatnonzero(share >= 1.0).tolist()
        while small and large:
            poor, rich = small.pop(), large[-1]
            self.keep[poor], self.alias[poor] = rest[poor], rich
            rest[rich] -= 1.0 - rest[poor]
            if rest[rich] < 1.0:
                small.append(large.pop())
        # What is left over is a full column, up to rounding, and has kept its 1.

    @property
    def probabilities(self) -> np.ndarray:
        """The probabilities of the classes as the table draws them, (n_classes,)."""
        filled = np.bincount(self.alias, weights=1.0 - self.keep, minlength=len(self.keep))
        return (self.keep + filled) / len(self.keep)

    def draw(self, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return `n_draws` independent classes, (n_draws,)."""
        column = rng.integers(len(self.keep), size=n_draws)
        return np.where(rng.random(n_draws) < self.keep[column], column, self.alias[column])


# Noise classes: distinct ones, each in or out independently of the others.


class DistinctClasses:
    """A random set of classes, of `n_noise` on average.

    The set holds what a Poisson number of independent draws hit at least once. That makes class w
    a member with probability pi_w = 1 - exp(-rate q_w), independently of all others, and takes
    time that does not depend on the number of classes. Independent draws of a fixed number, the
    usual choice, spend a good part of them on a few frequent classes again and again.

    Parameters
    ----------
    q : ndarray of shape (n_classes,)
        Positive probabilities of the draws.
    n_noise : int
        Expected size of the set; all classes, always, where there are no more than that.

    Attributes
    ----------
    log_inclusion : ndarray of shape (n_classes,)
        log pi.
    """

    def __init__(self, q: np.ndarray, n_noise: int) -> None:
        self._everything = np.arange(len(q)) if n_noise >= len(q) else None
        if self._everything is not None:
            self.log_inclusion = np.zeros(len(q))
            return
        self._rate = _rate_of(q, n_noise)
        self._inclusion = -np.expm1(-self._rate * q)
        self.log_inclusion = np.log(self._inclusion)
        # Near the number of classes it takes more draws than there are classes to fill the set.
        self._table = AliasTable(q) if self._rate < len(q) else None

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return the members of one set in ascending order."""
        if self._everything is not None:
            return self._everything
        if self._table is None:
            return np.flatnonzero(rng.random(len(self._inclusion)) < self._inclusion)
        return np.unique(self._table.draw(int(rng.poisson(self._rate)), rng))


def _rate_of(q: np.ndarray, n_noise: int) -> float:
    """Return the number of draws that hit `n_noise` classes on average, 0 < n_noise < len(q)."""

    def excess(log_rate: float) -> float:
        return float(-np.expm1(-np.exp(log_rate) * q).sum()) - n_noise

    high = np.log(n_noise)  # n draws hit at most n classes
    while excess(high) < 0:
        high += 1.0
    return float(np.exp(brentq(excess, np.log(n_noise) - 1.0, high, xtol=1e-12)))


def noise_probabilities(counts: np.ndarray, power: float) -> np.ndarray:
    """Return q proportional to counts**power, classes without a count as if seen half a time."""
    weight = np.maximum(np.asarray(counts, dtype=np.float64), 0.5) ** power
    return weight / weight.sum()


_CHUNK = 2**20  # scores held at once in evaluation


def scatter_sum(index: np.ndarray, rows: np.ndarray, n_targets: int) -> np.ndarray:
    """Return (n_targets, d): the sum of those `rows` (n, d) that `index` (n,) sends to each."""
    ones = np.ones(len(index), dtype=rows.dtype)
    parts = (ones, index, np.arange(len(index) + 1))
    return csc_array(parts, shape=(n_targets, len(index))) @ rows  # no sort; np.add.at is slow


class OutputTable:
    """Scores s = H W' + b of `n_classes` classes for representations H (n, d).

    Parameters
    ----------
    weights : ndarray of shape (n_classes, d)
        Start of W, float32 or float64; changed in place, as is `bias`.
    bias : ndarray of shape (n_classes,)
        Start of b. The log of the class frequencies makes a good one.
    loss : {"ranking", "nce", "full"}
        What a step descends.
    noise : DistinctClasses or None
        Where the noise classes come from; None for the full softmax.
    """

    def __init__(
        self,
        weights: np.ndarray,
        bias: np.ndarray,
        *,
        loss: str = "ranking",
        noise: DistinctClasses | None = None,
    ) -> None:
        self._weights, self._bias = AdagradRows(weights), AdagradRows(bias)
        self._loss, self._noise = loss, noise
        self._place = np.full(len(bias), -1)  # of a class among those that a step touches
        if noise is not None:
            self._log_pi = noise.log_inclusion.astype(bias.dtype)

    @property
    def weights(self) -> np.ndarray:
        """W, (n_classes, d)."""
        return self._weights.values

    @property
    def bias(self) -> np.ndarray:
        """b, (n_classes,)."""
        return self._bias.values

    def step(
        self, H: np.ndarray, y: np.ndarray, rng: np.random.Generator, learning_rate: float
    ) -> tuple[float, np.ndarray]:
        """Descend on one batch; return its mean loss before and that loss's gradient in H (n, d).

        One set of noise classes serves all rows, so that their scores are one matrix product.
        """
        if self._noise is None:
            return self._full_step(H, y, learning_rate)
        drawn = self._noise.draw(rng)
        touched = self._touch(drawn, y)
        near = self.weights[drawn]
        own = self.weights[y]
        noise = H @ near.T
        noise += self.bias[drawn] - self._log_pi[drawn]
        true = np.einsum("ij,ij->i", H, own) + self.bias[y] - self._log_pi[y]
        place = self._place[y]
        if self._loss == "ranking":
            hit = place < len(drawn)
            noise[hit, place[hit]] = -np.inf
            losses, own_slope = ranking_loss(true, noise)
        else:
            losses, own_slope = nce_loss(true, noise)
        own_slope /= len(y)
        noise /= len(y)
        H_gradient = noise @ near
        H_gradient += own_slope[:, None] * own
        self._descend(H, place, touched, noise, own_slope, learning_rate)
        self._place[touched] = -1
        return float(losses.mean()), H_gradient

    def _touch(self, drawn: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return all classes that a batch touches, the noise first, and note their places."""
        self._place[drawn] = np.arange(len(drawn))
        rest = np.unique(y[self._place[y] < 0])
        touched = np.concatenate([drawn, rest])
        self._place[rest] = np.arange(len(drawn), len(touched))
        return touched

    def _descend(
        self,
        H: np.ndarray,
        place: np.ndarray,
        touched: np.ndarray,
        noise_slope: np.ndarray,
        own_slope: np.ndarray,
        learning_rate: float,
    ) -> None:
        """Merge what a batch says of each class, and update it once."""
        n_noise = noise_slope.shape[1]
        gradient = scatter_sum(place, own_slope[:, None] * H, len(touched))
        gradient[:n_noise] += noise_slope.T @ H
        slope = np.bincount(place, weights=own_slope, minlength=len(touched)).astype(H.dtype)
        slope[:n_noise] += noise_slope.sum(axis=0)
        self._weights.update(touched, gradient, learning_rate)
        self._bias.update(touched, slope, learning_rate)

    def _full_step(
        self, H: np.ndarray, y: np.ndarray, learning_rate: float
    ) -> tuple[float, np.ndarray]:
        scores = H @ self.weights.T
        scores += self.bias
        losses = full_loss(scores, y)
        scores /= len(y)
        H_gradient = scores @ self.weights
        everything = slice(None)
        slope = scores.sum(axis=0)
        self._weights.update(everything, scores.T @ H, learning_rate)
        self._bias.update(everything, slope, learning_rate)
        return float(losses.mean()), H_gradient

    def scores(self, H: np.ndarray) -> np.ndarray:
        """Return the scores of all classes, (n, n_classes)."""
        scores = H @ self.weights.T
        scores += self.bias
        return scores

    def log_likelihood(self, H: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (n,) unnormalized log-probabilities of `y`, and (n,) log-normalizers."""
        log_normalizer = np.empty(len(H), dtype=np.float64)
        n_rows = max(1, _CHUNK // len(self.bias))
        for start in range(0, len(H), n_rows):
            part = slice(start, start + n_rows)
            log_normalizer[part] = _log_sum_exp(self.scores(H[part]))
        return self.true_scores(H, y).astype(np.float64), log_normalizer

    def true_scores(self, H: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the scores of the classes `y` alone, (n,)."""
        return np.einsum("ij,ij->i", H, self.weights[y]) + self.bias[y]

    def snapshot(self) -> tuple[AdagradRows, AdagradRows]:
        """Return a copy of the parameters and their step sizes."""
        return self._weights.copy(), self._bias.copy()

    def restore(self, snapshot: tuple[AdagradRows, AdagradRows]) -> None:
        """Go back to a snapshot."""
        self._weights, self._bias = snapshot[0].copy(), snapshot[1].copy()


def _log_sum_exp(scores: np.ndarray) -> np.ndarray:
    """Return log sum exp of each row, in half of scipy's time; `scores` is overwritten."""
    top = scores.max(axis=1)
    scores -= top[:, None]
    return np.log(np.exp(scores, out=scores).sum(axis=1, dtype=np.float64)) + top
