"""Contexts and words together: training passes, probabilities of words, draws of sentences."""

from typing import Any

import numpy as np

from skgm.nce._vocabulary._context import Contexts
from skgm.nce._vocabulary._training import OutputTable

__all__ = ["WordNetwork", "draw_sentences"]

_CHUNK = 4096  # n-grams whose representations are held at once


class WordNetwork:
    """The parameters of a language model: `contexts` and the `output` table of its words."""

    def __init__(self, contexts: Contexts, output: OutputTable) -> None:
        self.contexts, self.output = contexts, output

    def epoch(
        self,
        words: np.ndarray,
        y: np.ndarray,
        batch_size: int,
        learning_rate: float,
        rng: np.random.Generator,
    ) -> float:
        """Train on all n-grams once, in random order; return the mean loss per word."""
        order, total = rng.permutation(len(y)), 0.0
        for start in range(0, len(y), batch_size):
            batch = order[start : start + batch_size]
            total += len(batch) * self.step(words[batch], y[batch], rng, learning_rate)
        return total / len(y)

    def step(
        self, words: np.ndarray, y: np.ndarray, rng: np.random.Generator, learning_rate: float
    ) -> float:
        """Train on one mini-batch; return its mean loss before."""
        H = self.contexts.represent(words)
        loss, H_gradient = self.output.step(H, y, rng, learning_rate)
        self.contexts.step(words, H_gradient, learning_rate)
        return loss

    def log_probability(self, words: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the normalised log-probability of each word after its context, (n,)."""
        scores, log_normalizer = self.scores(words, y)
        return scores - log_normalizer

    def scores(self, words: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (n,) scores of words after their contexts, and (n,) log-normalisers."""
        parts = []
        for start in range(0, len(y), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            H = self.contexts.represent(words[chunk])
            parts.append(self.output.log_likelihood(H, y[chunk]))
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def raw_scores(self, words: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return (n,) scores alone, which cost no sum over the vocabulary."""
        return self.output.true_scores(self.contexts.represent(words), y).astype(np.float64)

    def snapshot(self) -> Any:
        """Return a copy of all parameters and step sizes."""
        return self.contexts.snapshot(), self.output.snapshot()

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""
        self.contexts.restore(snapshot[0])
        self.output.restore(snapshot[1])


def draw_sentences(
    network: WordNetwork, n: int, n_context: int, max_length: int, rng: np.random.Generator
) -> list[list[int]]:
    """Return `n` sentences of word numbers, drawn word by word; number 1 ends one."""
    start = len(network.output.bias)
    words = np.full((n, n_context), start, dtype=np.int64)
    sentences: list[list[int]] = [[] for _ in range(n)]
    alive = np.arange(n)
    for _ in range(max_length):
        drawn = _draw_words(network, words[alive], rng)
        words[alive] = np.column_stack([drawn, words[alive, :-1]])
        going_on = drawn != 1
        alive, drawn = alive[going_on], drawn[going_on]
        for i, word in zip(alive, drawn, strict=True):
            sentences[i].append(int(word))
        if not len(alive):
            break
    return sentences


def _draw_words(network: WordNetwork, words: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    drawn = []
    for start in range(0, len(words), _CHUNK):
        scores = network.output.scores(network.contexts.represent(words[start : start + _CHUNK]))
        scores = scores.astype(np.float64)
        cumulative = np.exp(scores - scores.max(axis=1, keepdims=True)).cumsum(axis=1)
        level = rng.random((len(scores), 1)) * cumulative[:, -1:]
        drawn.append((cumulative <= level).sum(axis=1))
    return np.concatenate(drawn)
