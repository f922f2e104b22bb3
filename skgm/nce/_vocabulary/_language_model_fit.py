"""The fit of a language model: vocabulary, n-grams, training."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import (
    CallbackSupportMixin,
    Interval,
    StrOptions,
    epoch_begins,
    epoch_ends,
    fit_task,
    transactional,
)
from skgm._warnings import warn_user
from skgm.nce._vocabulary._context import Contexts
from skgm.nce._vocabulary._corpus import Vocabulary, check_sentences, ngrams
from skgm.nce._vocabulary._loop import train_epochs
from skgm.nce._vocabulary._noise import DistinctClasses, noise_probabilities
from skgm.nce._vocabulary._training import OutputTable
from skgm.nce._vocabulary._word_network import WordNetwork

__all__ = ["LanguageModelFit"]

_MAX_HELD_OUT = 20_000  # words, whose exact probabilities early stopping looks at


class LanguageModelFit(CallbackSupportMixin, BaseEstimator):
    """What `NCELanguageModel` does up to and including `fit`; see there."""

    _parameter_constraints = {
        "order": [Interval(Integral, 2, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "context": [StrOptions({"diagonal", "full"})],
        "loss": [StrOptions({"ranking", "nce", "full"})],
        "n_noise": [Interval(Integral, 1, None, closed="left")],
        "noise_power": [Interval(Real, 0, 1, closed="both")],
        "min_count": [Interval(Integral, 1, None, closed="left")],
        "max_vocabulary": [Interval(Integral, 3, None, closed="left"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": RANDOM_STATE,
    }

    def __sklearn_tags__(self) -> Any:
        """Say that X is no table of numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags

    @transactional
    def fit(self, X: Any, y: Any = None, *, X_val: Any = None) -> "LanguageModelFit":
        """Choose the vocabulary, and train on the n-grams of all sentences.

        Parameters
        ----------
        X : list of list of str
            Sentences as lists of tokens. A text without sentences is one long one.
        y : Ignored
            Present for API consistency.
        X_val : list of list of str, default=None
            Sentences for early stopping, instead of a share of X.

        Returns
        -------
        self : NCELanguageModel
            The fitted estimator.
        """
        sentences = check_sentences(X)
        rng = as_generator(self.random_state)
        held_out = None if X_val is None else check_sentences(X_val, name="X_val")
        if held_out is None and self.early_stopping:
            sentences, held_out = self._split(sentences, rng)
        words = Vocabulary.of(sentences, min_count=self.min_count, max_size=self.max_vocabulary)
        if len(words) == 2:
            raise ValueError(
                f"No word of X is seen min_count={self.min_count} times; lower min_count, or give "
                "more sentences."
            )
        self.vocabulary_ = words.words
        with fit_task(self, X=X, y=y, n_subtasks=None) as context:
            return self._train(sentences, held_out, rng, context)

    def _split(self, sentences: list[Any], rng: np.random.Generator) -> tuple[list[Any], list[Any]]:
        n = len(sentences)
        if n < 2:
            raise ValueError(
                "early_stopping=True needs at least 2 sentences, to hold one out; got 1. Cut the "
                "text into sentences, pass X_val, or set early_stopping=False."
            )
        n_held_out = min(max(1, round(self.validation_fraction * n)), n - 1)
        order = rng.permutation(n)
        kept = sorted(order[n_held_out:])
        return [sentences[i] for i in kept], [sentences[i] for i in order[:n_held_out]]

    def _train(
        self, sentences: list[Any], held_out: Any, rng: np.random.Generator, context: Any
    ) -> "LanguageModelFit":
        contexts, y = self._ngrams(sentences)
        network = self._start(np.bincount(y, minlength=len(self.vocabulary_)), rng)
        held_out_loss: Callable[[], float] | None = None
        if held_out is not None and self.early_stopping:
            seen, following = self._ngrams(held_out)
            some = np.sort(rng.permutation(len(following))[:_MAX_HELD_OUT])

            def held_out_loss() -> float:
                return -float(network.log_probability(seen[some], following[some]).mean())

        def on_epoch(run: Callable[[], None]) -> bool:
            task = epoch_begins(context, self, X=sentences)
            run()
            return epoch_ends(
                task, self, X=sentences, state=lambda: {**vars(self), **self._public(network)}
            )

        history = train_epochs(
            lambda: network.epoch(contexts, y, self.batch_size, self.learning_rate, rng),
            network.snapshot,
            network.restore,
            max_iter=self.max_iter,
            held_out_loss=held_out_loss,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            on_epoch=on_epoch,
        )
        self.__dict__.update(self._public(network))
        self.loss_curve_, self.validation_losses_ = history.losses, history.validation_losses
        self.n_iter_, self.best_iter_ = len(history.losses), history.best_iter
        if held_out_loss is not None and history.still_falling:
            warn_user(
                f"The held-out likelihood was still rising after max_iter={self.max_iter} passes; "
                "raise max_iter or learning_rate.",
                ConvergenceWarning,
            )
        return self

    @property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self.vocabulary_)  # fitted state is plain lists and arrays

    def _ngrams(self, sentences: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        encoded = self._vocabulary.encode(sentences)
        return ngrams(encoded, self.order - 1, start=len(self.vocabulary_))

    def _start(self, counts: np.ndarray, rng: np.random.Generator) -> WordNetwork:
        """Return a network whose first probabilities are about the frequencies of the words."""
        n_words, d, n_context = len(counts), self.n_components, self.order - 1
        frequency = noise_probabilities(counts, 1.0)
        noise = None
        if self.loss != "full":
            noise = DistinctClasses(noise_probabilities(counts, self.noise_power), self.n_noise)

        def small(*shape: int) -> np.ndarray:
            return 0.03 * rng.standard_normal(shape, dtype=np.float32)

        output = OutputTable(
            small(n_words, d), np.log(frequency).astype(np.float32), loss=self.loss, noise=noise
        )
        unit = np.ones(d) if self.context == "diagonal" else np.eye(d)
        mixing = unit.astype(np.float32) + small(n_context, *unit.shape)
        return WordNetwork(Contexts(small(n_words + 1, d), mixing), output)

    def _public(self, network: WordNetwork) -> dict[str, Any]:
        """Return the fitted attributes that a network makes."""
        return {
            "embeddings_": network.contexts.embeddings[:-1].copy(),
            "mixing_": network.contexts.mixing.copy(),
            "coef_": network.output.weights.copy(),
            "intercept_": network.output.bias.copy(),
            "_start_embedding": network.contexts.embeddings[-1:].copy(),
        }

    def _network(self) -> WordNetwork:
        check_is_fitted(self)
        embeddings = np.concatenate([self.embeddings_, self._start_embedding])
        output = OutputTable(self.coef_, self.intercept_, loss="full")
        return WordNetwork(Contexts(embeddings, self.mixing_), output)
