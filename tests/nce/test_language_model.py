import pickle
import warnings
from itertools import product

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils import estimator_checks
from sklearn.utils.fixes import parse_version

from skgm import NCELanguageModel
from skgm.nce import LogNormalizerStats
from skgm.nce._vocabulary.words import Vocabulary, ngrams

PATTERNS = [
    (8, "a b c"),
    (4, "a b"),
    (4, "b a c"),
    (2, "c c"),
    (2, "c a b c"),
]
CORPUS = [text.split() for count, text in PATTERNS for _ in range(10 * count)]


def model(**options):
    defaults = {"order": 3, "n_components": 12, "random_state": 0, "early_stopping": False}
    return NCELanguageModel(**{**defaults, "batch_size": 64, "max_iter": 30, **options})


@pytest.fixture(scope="module")
def fitted():
    return model().fit(CORPUS)


# Vocabulary and n-grams


def test_ngrams_by_hand():
    words = Vocabulary(["<unk>", "</s>", "a", "b"])
    contexts, following = ngrams(words.encode([["a", "b"], [], ["x"]]), 2, start=4)
    assert following.tolist() == [2, 3, 1, 1, 0, 1]
    assert contexts.tolist() == [[4, 4], [2, 4], [3, 2], [4, 4], [4, 4], [0, 4]]


def test_the_vocabulary_is_ordered_by_frequency_then_alphabet():
    sentences = [["b", "a", "c", "<unk>"], ["c", "a"], ["d"]]
    full = Vocabulary.of(sentences, min_count=1, max_size=None)
    assert full.words == ["<unk>", "</s>", "a", "c", "b", "d"]
    assert Vocabulary.of(sentences, min_count=2, max_size=None).words[2:] == ["a", "c"]
    assert Vocabulary.of(sentences, min_count=1, max_size=3).words[2:] == ["a"]


# Probabilities


def test_probabilities_of_all_sentences_up_to_a_length_and_of_longer_ones_sum_to_one(fitted):
    """Enumeration: 4 words, all sentences of at most 3, and the beginnings of longer ones."""
    words = ["a", "b", "c", "<unk>"]
    short = [list(s) for n in range(4) for s in product(words, repeat=n)]
    finished = np.exp(fitted.score_samples(short)).sum()
    network = fitted._network()
    beginnings = [list(s) for s in product(words, repeat=4)]
    contexts, following = fitted._ngrams(beginnings)
    keep = following != 1  # all but the ends: the probability of going on for four words
    per_word = network.log_probability(contexts, following)[keep].reshape(len(beginnings), 4)
    # Each of 341 log-probabilities is a sum of at most 4 words' scores, at most 4 * 10 in size,
    # with some ten roundings of eps = 2.2e-16 each: the sum of the probabilities is off by 1e-13.
    assert finished + np.exp(per_word.sum(axis=1)).sum() == pytest.approx(1, abs=1e-13)


def test_probabilities_of_the_next_word_sum_to_one_in_a_large_vocabulary():
    """Word by word, so that no two probabilities come from the same matrix product."""
    rng = np.random.default_rng(0)
    names = [f"w{k}" for k in range(3000)]
    text = [[names[k] for k in rng.zipf(1.2, size=6) % 3000] for _ in range(3000)]
    network = model(max_iter=2, learning_rate=3.0).fit(text)._network()
    n_words = len(network.output.bias)
    context = np.array([[2, 5]])
    alone = [network.log_probability(context, np.array([k]))[0] for k in range(n_words)]
    # Scores of size 100 have errors of 100 eps = 2e-14 times a few roundings.
    assert np.exp(alone).sum() == pytest.approx(1, abs=1e-12)
    together = network.log_probability(np.repeat(context, n_words, axis=0), np.arange(n_words))
    assert_allclose(together, alone, rtol=1e-12)


@pytest.mark.parametrize("rate", [1e2, 1e10, 1e30])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("loss", ["ranking", "nce", "full"])
def test_a_fit_that_explodes_is_refused_or_leaves_finite_parameters(loss, early_stopping, rate):
    lm = model(loss=loss, learning_rate=rate, early_stopping=early_stopping, max_iter=3)
    refusal = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # tells of a later epoch that diverged
        try:
            lm.fit(CORPUS)
        except ValueError as error:
            refusal = str(error)
    if refusal is not None:
        assert "Lower learning_rate" in refusal
        assert not hasattr(lm, "coef_")
        return
    for name in ("embeddings_", "mixing_", "coef_", "intercept_", "loss_curve_"):
        assert np.isfinite(getattr(lm, name)).all(), name
    assert np.isfinite(lm.score_samples(CORPUS[:20])).all()


def by_counting(sentence):
    """Log-probability of a sentence from the frequencies of pairs of words."""
    pairs = [pair for s in CORPUS for pair in zip(["<s>", *s], [*s, "</s>"], strict=True)]
    total = 0.0
    for first, second in zip(["<s>", *sentence], [*sentence, "</s>"], strict=True):
        after = [b for a, b in pairs if a == first]
        total += np.log(after.count(second) / len(after))
    return total


SLOWLY = {"batch_size": 1000, "max_iter": 500, "learning_rate": 0.2}  # a batch is the corpus


# With all 5 words as noise nothing is random but the start; with 3 the last steps leave a noise.
@pytest.mark.parametrize(
    ("loss", "n_noise", "apart", "mean"),
    [
        ("full", 5, 0.1, 0.01),
        ("ranking", 5, 0.1, 0.01),
        ("nce", 5, 0.1, 0.01),
        ("ranking", 3, 0.8, 0.1),
        ("nce", 3, 0.8, 0.1),
    ],
)
def test_bigram_models_find_the_frequencies_of_pairs(loss, n_noise, apart, mean):
    """With as many components as words every table of pairs is a model, normalized ones too."""
    lm = model(order=2, loss=loss, n_noise=n_noise, **SLOWLY).fit(CORPUS)
    sentences = [text.split() for _, text in PATTERNS]
    best = np.array([by_counting(s) for s in sentences])
    assert_allclose(lm.score_samples(sentences), best, atol=apart)
    share = np.array([count for count, _ in PATTERNS]) / 20
    assert share @ best - mean < lm.score(CORPUS) < share @ best  # none beats the frequencies
    if loss == "nce":
        raw = lm.score_samples(sentences, normalized=False)
        assert_allclose(raw, lm.score_samples(sentences), atol=3 * apart)


def test_two_words_of_context_add_up_as_in_multinomial_regression():
    """Probabilities that tend to 0 and 1 are reached slowly: 0.02 nats in the mean."""
    lm = model(loss="full", **SLOWLY).fit(CORPUS)
    contexts, words = lm._ngrams(CORPUS)
    regression = make_pipeline(OneHotEncoder(), LogisticRegression(C=1e3, max_iter=2000))
    logs = regression.fit(contexts, words).predict_log_proba(contexts)
    expected = logs[np.arange(len(words)), words - 1].mean()  # word 0 is not in the corpus
    assert np.log(lm.perplexity(CORPUS)) == pytest.approx(-expected, abs=0.02)


def test_scores_are_those_of_the_ngrams(fitted):
    sentences = [["a", "b"], [], ["zzz"]]
    alone = [fitted.score_samples([s])[0] for s in sentences]
    assert_allclose(fitted.score_samples(sentences), alone, rtol=1e-12)
    assert fitted.score(sentences) == pytest.approx(np.mean(alone))
    assert fitted.perplexity(sentences) == pytest.approx(np.exp(-np.sum(alone) / 6))
    assert fitted.score_samples(sentences).dtype == np.float64


def test_unknown_words_are_one_class(fitted):
    scores = fitted.score_samples([["a", "xyz"], ["a", "uvw"], ["a", "<unk>"]])
    assert_allclose(scores, scores[0])
    assert np.isfinite(scores).all()


def test_draws_have_the_probabilities_of_the_model(fitted):
    """Frequencies of the common sentences among 4000 draws, within 4 standard errors."""
    drawn = [" ".join(s) for s in fitted.sample(4000, random_state=1)]
    for _, text in PATTERNS[:3]:
        p = np.exp(fitted.score_samples([text.split()]))[0]
        assert abs(drawn.count(text) / 4000 - p) < 4 * np.sqrt(p * (1 - p) / 4000)


def test_draws_are_seeded_and_cut(fitted):
    assert fitted.sample(5, random_state=2) == fitted.sample(5, random_state=2)
    assert fitted.sample(50, random_state=2) != fitted.sample(50, random_state=3)
    assert max(map(len, fitted.sample(200, random_state=0, max_length=2))) == 2


# What noise contrast is for


def test_nce_scores_are_nearly_normalized():
    """The sums scatter about one: by 0.3 nats a word, and by less in the mean."""
    nce = model(loss="nce", n_noise=3, max_iter=60).fit(CORPUS)
    stats = nce.log_normalizer_stats(CORPUS)
    assert isinstance(stats, LogNormalizerStats)
    assert abs(stats.mean) < 0.1
    assert stats.sd < 0.4
    assert stats.n_rows == sum(len(s) + 1 for s in CORPUS)
    raw = nce.perplexity(CORPUS, normalized=False)
    assert np.log(raw) + stats.mean == pytest.approx(np.log(nce.perplexity(CORPUS)), abs=1e-5)


def test_unnormalized_scores_of_other_losses_are_refused(fitted):
    with pytest.raises(ValueError, match="normalized=False needs a model fitted with loss='nce'"):
        fitted.score_samples(CORPUS, normalized=False)


def test_words_in_the_same_places_are_similar():
    subjects, verbs = ["cat", "dog", "cow"], ["eats", "sleeps", "runs"]
    corpus = [["the", s, v] for s in subjects for v in verbs] * 20
    lm = model(max_iter=40).fit(corpus)
    for group in (subjects, verbs):
        nearest = {word for word, _ in lm.most_similar(group[0], 2)}
        assert nearest == set(group[1:])
    (_, first), (_, second) = lm.most_similar("cat", 2)
    assert 1 >= first >= second >= -1
    assert len(lm.most_similar("cat", 100)) == 6


# Fitting


def test_early_stopping_keeps_the_best_pass():
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(30)]  # nothing to learn but frequencies: it must overfit
    noise = [list(rng.choice(words, size=5)) for _ in range(200)]
    lm = model(early_stopping=True, learning_rate=0.3, n_iter_no_change=3).fit(noise[:150])
    assert lm.best_iter_ < lm.n_iter_ < 30
    assert np.argmin(lm.validation_losses_) == lm.best_iter_ - 1
    given = clone(lm).fit(noise[:150], X_val=noise[150:])
    assert min(given.validation_losses_) == pytest.approx(
        np.log(given.perplexity(noise[150:])), rel=1e-5
    )


def test_too_few_passes_are_warned_of():
    with pytest.warns(ConvergenceWarning, match=r"still rising after max_iter=2 passes; raise"):
        model(early_stopping=True, max_iter=2).fit(CORPUS)


def test_cross_validation_takes_lists_of_tokens():
    scores = cross_val_score(model(max_iter=5), CORPUS, cv=3)
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()


def test_a_seed_reproduces_and_another_does_not(fitted):
    again = model().fit(CORPUS)
    assert_allclose(again.coef_, fitted.coef_, rtol=1e-6)
    assert np.abs(model(random_state=1).fit(CORPUS).coef_ - fitted.coef_).max() > 1e-3


def test_pickles_and_clones(fitted):
    twin = pickle.loads(pickle.dumps(fitted))
    assert_allclose(twin.score_samples(CORPUS[:5]), fitted.score_samples(CORPUS[:5]))
    assert clone(fitted).get_params() == fitted.get_params()


def test_shapes_of_what_is_fitted(fitted):
    n_words = len(fitted.vocabulary_)
    assert fitted.vocabulary_[:2] == ["<unk>", "</s>"]
    assert fitted.embeddings_.shape == fitted.coef_.shape == (n_words, 12)
    assert fitted.embeddings_.dtype == np.float32
    assert fitted.intercept_.shape == (n_words,)
    assert fitted.mixing_.shape == (2, 12)
    assert len(fitted.loss_curve_) == fitted.n_iter_ == fitted.best_iter_ == 30
    assert model(context="full", max_iter=1).fit(CORPUS).mixing_.shape == (2, 12, 12)


def test_rare_words_become_unknown():
    lm = model(min_count=25, max_iter=2).fit([*CORPUS, ["rare"]])
    assert "rare" not in lm.vocabulary_
    assert len(model(max_vocabulary=4, max_iter=2).fit(CORPUS).vocabulary_) == 4


def test_tuples_and_arrays_of_tokens_will_do(fitted):
    as_given = [tuple(CORPUS[0]), np.array(CORPUS[1])]
    assert_allclose(fitted.score_samples(as_given), fitted.score_samples(CORPUS[:2]))


# Errors


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("the cat", TypeError, r"X must be a list of sentences.*X.split\(\)"),
        (["the cat"], TypeError, r"Sentence 0 of X is the string 'the cat'.*sentence.split"),
        ([["a"], 3], TypeError, "Sentence 1 of X must be a list of tokens; got int"),
        ([["a", 3]], TypeError, r"Token 1 of sentence 0 of X must be a string; got 3 \(int\)"),
        (3, TypeError, "X must be a list of sentences.*got int"),
        ([], ValueError, "X holds no sentences"),
        ([[], []], ValueError, "No word of X"),
        ([["a", "</s>"], ["b"]], ValueError, "'</s>', which is kept for the end"),
    ],
)
def test_what_is_not_a_corpus_is_refused(X, error, message):
    with pytest.raises(error, match=message):
        model().fit(X)


def test_other_mistakes(fitted):
    with pytest.raises(ValueError, match=r"'zebra' is not in the vocabulary.*min_count"):
        fitted.most_similar("zebra")
    with pytest.raises(ValueError, match="n must be an integer >= 1"):
        fitted.most_similar("a", 0)
    with pytest.raises(ValueError, match="max_length must be an integer >= 1"):
        fitted.sample(1, max_length=0)
    with pytest.raises(ValueError, match="early_stopping=True needs at least 2 sentences"):
        model(early_stopping=True).fit(CORPUS[:1])
    with pytest.raises(ValueError, match="min_count=5 times; lower min_count"):
        model(min_count=5).fit([["a", "b"], ["c"]])
    with pytest.raises(ValueError, match="'order' parameter"):
        model(order=1).fit(CORPUS)
    with pytest.raises(TypeError, match="Sentence 0 of X_val is the string"):
        model().fit(CORPUS, X_val=["a b"])


@pytest.mark.parametrize("method", ["score_samples", "perplexity", "log_normalizer_stats"])
def test_unfitted(method):
    with pytest.raises(NotFittedError):
        getattr(model(), method)(CORPUS)
    with pytest.raises(NotFittedError):
        model().sample()
    with pytest.raises(NotFittedError):
        model().most_similar("a")


def test_divergence_is_reported_and_leaves_the_estimator_as_it_was():
    lm = model(max_iter=1).fit(CORPUS)
    before = lm.score(CORPUS)
    lm.set_params(learning_rate=1e30, max_iter=5)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="diverged in epoch 1"):
        lm.fit(CORPUS)
    assert lm.score(CORPUS) == before


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"), reason="callbacks came with 1.9"
)
def test_callbacks_see_usable_models_and_may_stop_the_fit():
    class Watch:
        def __init__(self):
            self.scores = []

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            if context.task_name == "epoch":
                self.scores.append(fitted_estimator.score(CORPUS))
                return len(self.scores) == 3
            return False

    watch = Watch()
    lm = model().set_callbacks(watch).fit(CORPUS)
    assert lm.n_iter_ == len(watch.scores) == 3
    assert watch.scores == sorted(watch.scores)


# scikit-learn's checks pass tables of numbers, which are no sentences; these do not.
@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_estimator_get_tags_default_keys",
        "check_no_attributes_set_in_init",
        "check_get_params_invariance",
        "check_set_params",
        "check_parameters_default_constructible",
        "check_do_not_raise_errors_in_init_or_set_param",
        "check_valid_tag_types",
    ],
)
def test_checks_of_scikit_learn_that_need_no_table(check):
    function = getattr(estimator_checks, check, None)
    if function is not None:  # they come and go with versions
        function("NCELanguageModel", NCELanguageModel())
