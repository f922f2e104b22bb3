"""Sampled losses against the full softmax and a Kneser-Ney trigram, on the Brown corpus.

Words in lower case, the most frequent 10,000 (the unknown word and the end among them), the first
800,000 tokens to train, the next 200,000 for early stopping, the rest to test; the text is one
stream. All models are as constructed by default, one noise size for everything, on one thread.

Time of an epoch: mini-batches of all losses in turn, time of the thread. Perplexity against the
full softmax: on the first fifth of the training tokens, where it can be trained in minutes.
Perplexity against Kneser-Ney: on all of them. Needs brown_tokens.txt.gz in SKGM_BENCH_DATA.
One argument: how many tokens to train on (default 800000; 50000 for a look).
"""

import gzip
import os
import sys
import time
from pathlib import Path

import numpy as np
from _report import header, table

from skgm import NCELanguageModel
from skgm._sklearn import limit_blas_threads
from skgm.nce._vocabulary.words import Vocabulary

LOSSES = ("full", "ranking", "nce")
N_NOISE = 400
SEED = 0
N_SHORT = 40_000  # test tokens of an earlier protocol, beside all of them


def corpus(folder, n_train):
    """Return train, validation and test streams of tokens."""
    with gzip.open(Path(folder) / "brown_tokens.txt.gz", "rt", encoding="utf-8") as text:
        tokens = text.read().lower().split()
    return tokens[:n_train], tokens[800_000:1_000_000], tokens[1_000_000:]


def new_model(loss):
    return NCELanguageModel(loss=loss, n_noise=N_NOISE, random_state=SEED)


def timed_fit(loss, train, validation):
    start = time.thread_time()
    model = new_model(loss).fit([train], X_val=[validation])
    return model, time.thread_time() - start


# Interpolated Kneser-Ney


class KneserNey:
    """Interpolated Kneser-Ney trigram of numbers below n_words, one discount per order."""

    def __init__(self, stream, n_words):
        self.base = n_words + 1  # n_words itself stands before the text
        a, b, c = self._triples(stream)
        keys, counts = np.unique((a * self.base + b) * self.base + c, return_counts=True)
        self.orders = [self._order(keys, counts)]
        for power in (2, 1):  # a lower order counts the different words that came before
            lower, counts = np.unique(keys % self.base**power, return_counts=True)
            self.orders.append(self._order(lower, counts))
            keys = lower
        self.n_words = n_words

    def _triples(self, stream):
        padded = np.concatenate([[self.base - 1] * 2, stream]).astype(np.int64)
        return padded[:-2], padded[1:-1], padded[2:]

    def _order(self, keys, counts):
        once, twice = np.sum(counts == 1), np.sum(counts == 2)
        contexts, place = np.unique(keys // self.base, return_inverse=True)
        total = np.bincount(place, weights=counts)
        return keys, counts, contexts, total, np.bincount(place), once / (once + 2 * twice)

    def log_probability(self, stream):
        """Return log p of each word of a stream given the two before it."""
        a, b, c = self._triples(stream)
        asked = [(a * self.base + b) * self.base + c, b * self.base + c, c]
        p = np.full(len(c), 1 / self.n_words)
        for key, order in zip(asked[::-1], self.orders[::-1], strict=True):
            keys, counts, contexts, total, types, discount = order
            count = look_up(keys, counts, key)
            seen = look_up(contexts, total, key // self.base)
            rest = discount * look_up(contexts, types, key // self.base)
            mixed = (np.maximum(count - discount, 0) + rest * p) / np.maximum(seen, 1)
            p = np.where(seen > 0, mixed, p)
        return np.log(p)


def look_up(keys, values, asked):
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[place] == asked, values[place], 0)


# Tables


def untrained(loss, words, train, rng):
    """Return a network before its first step, the contexts and the words that follow."""
    model = new_model(loss)
    model.vocabulary_ = words.words
    contexts, following = model._ngrams([train])
    counts = np.bincount(following, minlength=len(words))
    return model._start(counts, rng), contexts, following


def epoch_times(train, rounds=15, per_round=4):
    """Yield milliseconds of a mini-batch, seconds of an epoch, speed relative to full softmax."""
    rng, size = np.random.default_rng(SEED), new_model("full").batch_size
    words = Vocabulary.of([train], min_count=1, max_size=new_model("full").max_vocabulary)
    prepared = {loss: untrained(loss, words, train, rng) for loss in LOSSES}
    times = {loss: [] for loss in LOSSES}
    for _ in range(rounds):
        for loss, (network, contexts, following) in prepared.items():
            n_batches = 1 if loss == "full" else per_round
            batches = rng.integers(len(following), size=(n_batches, size))
            start = time.thread_time()
            for batch in batches:
                network.step(contexts[batch], following[batch], rng, 0.1)
            times[loss].append((time.thread_time() - start) / n_batches)
    for loss in LOSSES:
        seconds, faster = np.median(times[loss]), np.array(times["full"]) / np.array(times[loss])
        epoch = float(seconds) * len(train) / size
        yield [loss, float(1e3 * seconds), epoch, f"{np.median(faster):.1f}"]


def against_full_softmax(train, validation, test):
    """Yield perplexities of models that see a fifth of the training tokens."""
    reference = None
    for loss in LOSSES:
        model, seconds = timed_fit(loss, train[: len(train) // 5], validation)
        perplexity = model.perplexity([test[:N_SHORT]])
        reference = reference or perplexity
        change = f"{100 * (perplexity / reference - 1):+.1f}%"
        yield [loss, model.best_iter_, seconds, f"{perplexity:.1f}", change]


def against_kneser_ney(train, validation, test):
    """Yield perplexities of models that see all training tokens; the trigram's first."""
    reference = None
    for loss in ("ranking", "nce"):
        model, seconds = timed_fit(loss, train, validation)
        if reference is None:
            encoded = model._vocabulary.encode([train, test])
            trigram = KneserNey(encoded[0][:-1], len(model.vocabulary_))
            logs = trigram.log_probability(encoded[1][:-1])
            reference = np.exp(-logs.mean())
            short = np.exp(-logs[:N_SHORT].mean())
            yield ["Kneser-Ney trigram", "", "", f"{reference:.1f}", "", f"{short:.1f}", ""]
        perplexities = model.perplexity([test]), model.perplexity([test[:N_SHORT]])
        below = [f"{100 * (p / r - 1):+.1f}%" for p, r in zip(perplexities, (reference, short))]
        shown = [f"{p:.1f}" for p in perplexities]
        stats = model.log_normalizer_stats([test[:N_SHORT]])
        found = f"{stats.mean:+.2f} ± {stats.sd:.2f}"
        yield [loss, f"{seconds:.0f}", found, shown[0], below[0], shown[1], below[1]]


def report(title, headings, rows):
    """Print rows as they come, then the table."""
    shown = []
    for row in rows:
        print(*row, flush=True)
        shown.append(row)
    print(f"\n{title}\n")
    table(headings, shown)
    print(flush=True)


def main(n_train):
    header("Language models of the Brown corpus", ("numpy", "scipy", "scikit-learn"))
    folder = os.environ.get("SKGM_BENCH_DATA")
    if folder is None or not (Path(folder) / "brown_tokens.txt.gz").exists():
        print("brown_tokens.txt.gz is missing: set SKGM_BENCH_DATA to its folder.")
        return
    parts = corpus(folder, n_train)
    with limit_blas_threads(1):
        headings = ["loss", "ms per batch", "s per epoch", "times as fast"]
        report(f"Time of an epoch, {N_NOISE} noise words", headings, epoch_times(parts[0]))
        title = f"Perplexity, {len(parts[0]) // 5} training tokens, first {N_SHORT} test tokens"
        headings = ["loss", "passes", "s of fit", "perplexity", "against full"]
        report(title, headings, against_full_softmax(*parts))
        short = f"first {N_SHORT}"
        headings = ["model", "s of fit", "log Z", "perplexity", "", short, ""]
        title = f"Perplexity, {len(parts[0])} training tokens, all {len(parts[2])} test tokens"
        report(title, headings, against_kneser_ney(*parts))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 800_000)
