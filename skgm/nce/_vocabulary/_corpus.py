"""Sentences as lists of tokens, their vocabulary, and the n-grams they are made of."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["END", "UNKNOWN", "Vocabulary", "check_sentences", "ngrams"]

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
