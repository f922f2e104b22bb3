"""Trains and evaluates a network of contexts and words, and draws sentences from it."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from skgm._numerics.optimizers import AdagradRows
from skgm.nce._vocabulary.sampled_softmax import OutputTable, scatter_sum

__all__ = [
    "END",
    "UNKNOWN",
    "Contexts",
    "Vocabulary",
    "WordNetwork",
    "check_sentences",
    "draw_sentences",
    "ngrams",
]


# Log-bilinear representations of a context: its words' embeddings, combined by position.


class Contexts:
    """Representations h = sum_j C_j r(w_j) of the words w_1, w_2, ... before a gap.

    Parameters
    ----------
    embeddings : ndarray of shape (n_words, d)
        Start of r.
    mixing : ndarray of shape (n_context, d) or (n_context, d, d)
        Start of C: diagonal matrices, or full ones with h = sum_j r(w_j) C_j by rows.
    """

    def __init__(self, embeddings: np.ndarray, mixing: np.ndarray) -> None:
        self._embeddings, self._shape = AdagradRows(embeddings), mixing.shape
        self._mixing = AdagradRows(mixing.reshape(-1, mixing.shape[-1]))

    @property
    def embeddings(self) -> np.ndarray:
        """The table r, (n_words, d)."""
        return self._embeddings.values

    @property
    def mixing(self) -> np.ndarray:
        """The matrices C, of the shape they were given in."""
        return self._mixing.values.reshape(self._shape)

    def represent(self, words: np.ndarray) -> np.ndarray:
        """Return the representations (n, d) of contexts (n, n_context)."""
        return self._combine(self.embeddings[words])

    def _combine(self, rows: np.ndarray) -> np.ndarray:
        if len(self._shape) == 2:
            return np.einsum("njd,jd->nd", rows, self._mixing.values)
        return rows.reshape(len(rows), -1) @ self._mixing.values

    def step(self, words: np.ndarray, H_gradient: np.ndarray, learning_rate: float) -> None:
        """Descend along the gradient (n, d) with respect to the representations of `words`."""
        rows = self.embeddings[words]
        if len(self._shape) == 2:
            back = H_gradient[:, None, :] * self._mixing.values
            mixing = np.einsum("nd,njd->jd", H_gradient, rows)
        else:
            back = H_gradient @ self._mixing.values.T
            mixing = rows.reshape(len(rows), -1).T @ H_gradient
        touched, place = np.unique(words.ravel(), return_inverse=True)
        gradient = scatter_sum(place.ravel(), back.reshape(-1, rows.shape[2]), len(touched))
        self._embeddings.update(touched, gradient, learning_rate)
        self._mixing.update(slice(None), mixing, learning_rate)

    def snapshot(self) -> Any:
        """Return a copy of the parameters and their step sizes."""
        return self._embeddings.copy(), self._mixing.copy()

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""
        self._embeddings, self._mixing = snapshot[0].copy(), snapshot[1].copy()


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
        """Return the normalized log-probability of each word after its context, (n,)."""
        scores, log_normalizer = self.scores(words, y)
        return scores - log_normalizer

    def scores(self, words: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (n,) scores of words after their contexts, and (n,) log-normalizers."""
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

    def is_finite(self) -> bool:
        """Return whether all parameters are finite numbers."""
        contexts, output = self.contexts, self.output
        tables = contexts.embeddings, contexts.mixing, output.weights, output.bias
        return all(np.isfinite(table).all() for table in tables)

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


# Sentences as lists of tokens, their vocabulary, and the n-grams they are made of.

UNKNOWN, END = "<unk>", "</s>"


def check_sentences(X: Any, *, name: str = "X") -> list[list[str]]:
    """Return sentences as lists of str; an error names the sentence and token at fault."""
    if isinstance(X, str | bytes):
        raise TypeError(
            f"{name} must be a list of sentences, each a list of tokens; got one string. "
            f"For one sentence pass [{name}.split()]."
        )
    if not isinstance(X, Iterable):
        raise TypeError(
            f"{name} must be a list of sentences, each a list of tokens; got {type(X).__name__}."
        )
    sentences = [_check_sentence(sentence, i, name) for i, sentence in enumerate(X)]
    if not sentences:
        raise ValueError(f"{name} holds no sentences; at least one list of tokens is needed.")
    return sentences


def _check_sentence(sentence: Any, i: int, name: str) -> list[str]:
    if isinstance(sentence, str | bytes):
        raise TypeError(
            f"Sentence {i} of {name} is the string {sentence[:40]!r}, not a list of tokens. Split "
            f"it first: [sentence.split() for sentence in {name}]."
        )
    if not isinstance(sentence, Iterable):
        raise TypeError(
            f"Sentence {i} of {name} must be a list of tokens; got {type(sentence).__name__}."
        )
    tokens = list(sentence)
    for j, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(
                f"Token {j} of sentence {i} of {name} must be a string; got {token!r} "
                f"({type(token).__name__}). Convert tokens with str."
            )
        if token == END:
            raise ValueError(
                f"Token {j} of sentence {i} of {name} is {END!r}, which is kept for the end of a "
                "sentence and added to each by itself. Remove it, or rename it."
            )
    return tokens


class Vocabulary:
    """Words and their numbers: 0 is any unknown word, 1 the end of a sentence.

    Attributes
    ----------
    words : list of str
        By number; after the first two by falling frequency, then in the order of the alphabet.
    """

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.number = {word: k for k, word in enumerate(words)}

    @classmethod
    def of(
        cls, sentences: list[list[str]], *, min_count: int, max_size: int | None
    ) -> "Vocabulary":
        """Return the words seen at least `min_count` times, the most frequent `max_size` of all."""
        counts = Counter(token for sentence in sentences for token in sentence)
        counts.pop(UNKNOWN, None)
        common = [word for word, n in counts.items() if n >= min_count]
        common.sort(key=lambda word: (-counts[word], word))
        room = len(common) if max_size is None else max_size - 2
        return cls([UNKNOWN, END, *common[:room]])

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, sentences: list[list[str]]) -> list[np.ndarray]:
        """Return the numbers of each sentence's words, the end included."""
        get = self.number.get
        return [np.array([*(get(t, 0) for t in s), 1], dtype=np.int32) for s in sentences]


def ngrams(encoded: list[np.ndarray], n_context: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Return contexts (n, n_context), the nearest word first, and the words that follow, (n,).

    Before a sentence stands the number `start`, as often as needed.
    """
    padding = np.full(n_context, start, dtype=np.int32)
    stream = np.concatenate([part for sentence in encoded for part in (padding, sentence)])
    lengths = np.array([len(sentence) for sentence in encoded])
    shift = np.repeat(n_context * np.arange(1, len(encoded) + 1), lengths)
    position = np.arange(lengths.sum()) + shift
    contexts = np.stack([stream[position - j] for j in range(1, n_context + 1)], axis=1)
    return contexts, stream[position]
