"""Estimates n-gram language models of large vocabularies by noise contrast."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from skgm._numerics.epochs import LogNormalizerStats, train_epochs
from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import (
    CallbackSupportMixin,
    Interval,
    StrOptions,
    VersionedEstimator,
    epoch_begins,
    epoch_ends,
    fit_task,
    transactional,
)
from skgm._warnings import warn_user
from skgm.nce._vocabulary.sampled_softmax import DistinctClasses, OutputTable, noise_probabilities
from skgm.nce._vocabulary.words import (
    Contexts,
    Vocabulary,
    WordNetwork,
    check_sentences,
    draw_sentences,
    ngrams,
)
from skgm.tables._validation import check_n_samples

__all__ = ["NCELanguageModel"]


_MAX_HELD_OUT = 20_000  # words, whose exact probabilities early stopping looks at


class NCELanguageModel(CallbackSupportMixin, VersionedEstimator):
    r"""Log-bilinear n-gram model of sentences, estimated by noise contrast.

    The words :math:`w_1, \dots, w_{n-1}` before a gap are embedded and combined,
    :math:`h = \sum_j C_j r(w_j)`, and the word w that follows has the probability

    .. math:: p(w \mid h) = \frac{\exp(v_w^\top h + b_w)}{\sum_u \exp(v_u^\top h + b_u)}.

    The sum over the vocabulary, which makes maximum likelihood slow, is replaced by a few hundred
    noise words per mini-batch. Scores, perplexities and draws are exactly normalized.

    Prefer it to an n-gram table where many contexts are rare: words share what their embeddings
    share. Prefer a recurrent network or a transformer where long-range context matters and there
    is a GPU.

    Parameters
    ----------
    order : int, default=4
        Length of the n-grams: a word is predicted from the `order` - 1 words before it.
    n_components : int, default=100
        Length of the embeddings.
    context : {"diagonal", "full"}, default="diagonal"
        The matrices C, one per position.
    loss : {"ranking", "nce", "full"}, default="ranking"
        "ranking" finds the word among noise words and estimates best. "nce" tells it from noise
        words one by one, so that the scores come out nearly normalized by themselves and cost no
        sum (``normalized=False``). "full" is maximum likelihood over the whole vocabulary.
    n_noise : int, default=400
        Noise words per mini-batch, distinct ones, on average. The whole vocabulary if that is
        smaller: the ranking loss is then maximum likelihood.
    noise_power : float, default=1.0
        Noise words are drawn with probabilities proportional to their frequency to this power,
        from 0 to 1.
    min_count : int, default=1
        Words seen less often become the unknown word ``"<unk>"``.
    max_vocabulary : int or None, default=10_000
        Size of the vocabulary, ``"<unk>"`` and the end of a sentence ``"</s>"`` included; rarer
        words become unknown. None keeps all.
    learning_rate : float, default=0.1
        Step size of Adagrad, per row of the tables.
    batch_size : int, default=512
        N-grams per mini-batch.
    max_iter : int, default=100
        Largest number of passes over the corpus; early stopping usually ends the fit before.
    early_stopping : bool, default=True
        Hold out sentences and stop when their likelihood no longer rises; these models overfit
        within a few passes. The best pass is kept.
    validation_fraction : float, default=0.1
        Share of the sentences to hold out, if `fit` gets no `X_val`.
    n_iter_no_change : int, default=1
        Passes without a better held-out likelihood before stopping.
    tol : float, default=1e-3
        What counts as better, in nats per word.
    random_state : None, int, RandomState or Generator, default=None
        Seed of start, noise and order.

    Attributes
    ----------
    vocabulary_ : list of str
        The words by number: ``"<unk>"``, ``"</s>"``, then by falling frequency.
    embeddings_ : ndarray of shape (n_words, n_components)
        The embeddings r of the words as context, float32.
    mixing_ : ndarray of shape (order - 1, n_components) or (order - 1, n_components, n_components)
        The matrices C (their diagonals), nearest word first.
    coef_ : ndarray of shape (n_words, n_components)
        The vectors v.
    intercept_ : ndarray of shape (n_words,)
        The constants b.
    loss_curve_ : list of float
        Mean loss per word of each pass.
    validation_losses_ : list of float
        Mean negative log-probability of held-out words after each pass; empty without any.
    n_iter_ : int
        Passes made.
    best_iter_ : int
        The pass whose parameters are kept.

    Raises
    ------
    TypeError
        A string where a list of tokens belongs, or a token that is not a string.
    ValueError
        No words, a vocabulary without words, nothing to hold out, or a fit that diverges.

    Warns
    -----
    ConvergenceWarning
        `max_iter` passes were not enough for early stopping, or the fit diverged after the first
        pass, whose best one is then kept.

    See Also
    --------
    skgm.NCEDensity : Noise contrast for tables of numbers.

    Notes
    -----
    A sentence ends with ``"</s>"``, whose probability counts in its score. All unknown words are
    one class: the score of a sentence is that of the sentence with each replaced by ``"<unk>"``.
    Training is in float32. Scores and draws compute with the fitted float32 parameters in float64,
    so that probabilities sum to one and do not depend on the batch, both to about 12 digits.
    Noise words form a set in which each word is independently of the others, with a known
    probability that is the correction of its score; sets leave out the repetitions of frequent
    words that independent draws are full of. The ranking loss is consistent whatever the
    normalizers, the noise-contrastive loss if the model can make them one (Ma and Collins).

    References
    ----------
    A. Mnih and Y. W. Teh, "A fast and simple algorithm for training neural probabilistic language
    models", ICML 2012.

    Z. Ma and M. Collins, "Noise contrastive estimation and negative sampling for conditional
    models: consistency and statistical efficiency", EMNLP 2018.

    Examples
    --------
    >>> from skgm import NCELanguageModel
    >>> sentences = [["the", "cat", "sleeps"], ["the", "dog", "sleeps"]] * 50
    >>> model = NCELanguageModel(order=3, n_components=8, random_state=0).fit(sentences)
    >>> model.score([["the", "cat", "sleeps"]]) > model.score([["cat", "the", "sleeps"]])
    True
    """

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

    def __init__(
        self,
        order: int = 4,
        *,
        n_components: int = 100,
        context: str = "diagonal",
        loss: str = "ranking",
        n_noise: int = 400,
        noise_power: float = 1.0,
        min_count: int = 1,
        max_vocabulary: int | None = 10_000,
        learning_rate: float = 0.1,
        batch_size: int = 512,
        max_iter: int = 100,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 1,
        tol: float = 1e-3,
        random_state: Any = None,
    ) -> None:
        self.order = order
        self.n_components = n_components
        self.context = context
        self.loss = loss
        self.n_noise = n_noise
        self.noise_power = noise_power
        self.min_count = min_count
        self.max_vocabulary = max_vocabulary
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        """Say that X is no table of numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags

    @transactional
    def fit(self, X: Any, y: Any = None, *, X_val: Any = None) -> "NCELanguageModel":
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
        with fit_task(self, X=X, y=y, n_subtasks=self.max_iter) as context:
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
    ) -> "NCELanguageModel":
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
            network,
            lambda: network.epoch(contexts, y, self.batch_size, self.learning_rate, rng),
            max_iter=self.max_iter,
            held_out_loss=held_out_loss,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            on_epoch=on_epoch,
        )
        if history.fault is not None:
            warn_user(history.fault, ConvergenceWarning)
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
        """Return the fitted network in float64, whose probabilities sum to one to its rounding."""
        check_is_fitted(self)
        embeddings = np.concatenate([self.embeddings_, self._start_embedding], dtype=np.float64)
        weights, bias = self.coef_.astype(np.float64), self.intercept_.astype(np.float64)
        contexts = Contexts(embeddings, self.mixing_.astype(np.float64))
        return WordNetwork(contexts, OutputTable(weights, bias, loss="full"))

    def score_samples(self, X: Any, *, normalized: bool = True) -> np.ndarray:
        """Return the log-probability of each sentence, its end included.

        Parameters
        ----------
        X : list of list of str
            Sentences as lists of tokens. An empty one is scored by its end alone.
        normalized : bool, default=True
            False leaves out the sums over the vocabulary; only after ``loss="nce"``, which brings
            them near one (see :meth:`log_normalizer_stats`).

        Returns
        -------
        log_probability : ndarray of shape (n_sentences,)
            In nats.
        """
        per_word, lengths = self._score_words(X, normalized)
        ends = np.cumsum(lengths)
        return np.add.reduceat(per_word, ends - lengths)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-probability of a sentence.

        Parameters
        ----------
        X : list of list of str
            Sentences as lists of tokens.
        y : Ignored
            Present for API consistency.

        Returns
        -------
        score : float
            Mean of :meth:`score_samples`, in nats per sentence.
        """
        return float(self.score_samples(X).mean())

    def perplexity(self, X: Any, *, normalized: bool = True) -> float:
        """Return exp of minus the mean log-probability of a word, ends of sentences included.

        Parameters
        ----------
        X : list of list of str
            Sentences as lists of tokens.
        normalized : bool, default=True
            As in :meth:`score_samples`.

        Returns
        -------
        perplexity : float
            The number of equally probable words that would be as hard to predict.
        """
        return float(np.exp(-self._score_words(X, normalized)[0].mean()))

    def _score_words(self, X: Any, normalized: bool) -> tuple[np.ndarray, np.ndarray]:
        network, sentences = self._network(), check_sentences(X)
        if not normalized and self.loss != "nce":
            raise ValueError(
                f"normalized=False needs a model fitted with loss='nce'; loss={self.loss!r} leaves "
                "the sums over the vocabulary free. Use normalized=True."
            )
        contexts, words = self._ngrams(sentences)
        score = network.log_probability if normalized else network.raw_scores
        lengths = np.array([len(sentence) + 1 for sentence in sentences])
        return score(contexts, words), lengths

    def log_normalizer_stats(self, X: Any) -> LogNormalizerStats:
        """Summarize log sum_w exp(score of w) over the contexts of some sentences.

        Zero everywhere would mean that un-normalized scores are log-probabilities. The
        noise-contrastive loss brings them near it, the others have no reason to.

        Parameters
        ----------
        X : list of list of str
            Sentences as lists of tokens.

        Returns
        -------
        stats : skgm.nce.LogNormalizerStats
            Mean, standard deviation and range.
        """
        network = self._network()
        return LogNormalizerStats.of(network.scores(*self._ngrams(check_sentences(X)))[1])

    def sample(
        self, n_samples: int = 1, random_state: Any = None, *, max_length: int = 200
    ) -> list[list[str]]:
        """Draw sentences word by word.

        Parameters
        ----------
        n_samples : int, default=1
            Number of sentences.
        random_state : None, int, RandomState or Generator, default=None
            None draws fresh sentences at each call; an int reproduces.
        max_length : int, default=200
            Sentences that have not ended by then are cut.

        Returns
        -------
        sentences : list of list of str
            Without their ends; ``"<unk>"`` stands for any unknown word.
        """
        network, n_samples = self._network(), check_n_samples(n_samples)
        if isinstance(max_length, bool) or not isinstance(max_length, Integral) or max_length < 1:
            raise ValueError(f"max_length must be an integer >= 1; got {max_length!r}.")
        rng = as_generator(random_state)
        numbers = draw_sentences(network, n_samples, self.order - 1, int(max_length), rng)
        return [[self.vocabulary_[k] for k in sentence] for sentence in numbers]

    def most_similar(self, word: str, n: int = 10) -> list[tuple[str, float]]:
        """Return the words that are used most nearly alike.

        Words are alike if their embeddings point the same way, which is to say that the same words
        follow them, and their vectors v, which is to say that they follow the same words.

        Parameters
        ----------
        word : str
            A word of the vocabulary.
        n : int, default=10
            How many to return; fewer if the vocabulary has no more.

        Returns
        -------
        neighbors : list of (str, float)
            Words and the means of the two cosines, the nearest first.

        Raises
        ------
        ValueError
            A word that is not in the vocabulary, or n < 1.
        """
        check_is_fitted(self)
        if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
            raise ValueError(f"n must be an integer >= 1; got {n!r}.")
        number = self._vocabulary.number.get(word)
        if number is None:
            raise ValueError(
                f"{word!r} is not in the vocabulary (vocabulary_, {len(self.vocabulary_)} words). "
                "Mind upper and lower case, or fit with a lower min_count or a larger "
                "max_vocabulary."
            )
        cosine = (_cosines(self.embeddings_, number) + _cosines(self.coef_, number)) / 2
        order = [int(k) for k in np.argsort(-cosine, kind="stable") if k != number and k > 1]
        return [(self.vocabulary_[k], float(cosine[k])) for k in order[:n]]


def _cosines(table: np.ndarray, row: int) -> np.ndarray:
    """Return the cosines between one row and all."""
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    return unit @ unit[row]
