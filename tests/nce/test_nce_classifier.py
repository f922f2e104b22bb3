"""NCEClassifier: the optimum of few classes, a good model of many, and what it promises besides."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import check_grad
from scipy.sparse import csr_array
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from skgm import NCEClassifier
from skgm.nce._vocabulary import full_softmax
from skgm.nce._vocabulary.full_softmax import softmax_loss

IRIS, SPECIES = load_iris(return_X_y=True)


def problem(n_classes, n_features, n_rows, seed=0, steep=1.0):
    """Rows, labels of a linear softmax whose class frequencies fall with the rank, and scores."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(n_classes, n_features))
    X = rng.normal(size=(n_rows, n_features))
    scores = X @ W.T - steep * np.log(np.arange(1, n_classes + 1) + n_classes / 5)
    waits = rng.standard_exponential(scores.shape, dtype=np.float32)
    scores_and_noise = scores - np.log(np.maximum(waits, 1e-30))  # Gumbel's law
    return X, scores_and_noise.argmax(axis=1), scores


def mean_loss(classifier, X, y):
    return log_loss(y, classifier.predict_proba(X), labels=classifier.classes_)


def epochs(loss="ranking", *, max_iter, **options):
    """A classifier that runs all its epochs."""
    chosen = {"solver": "adagrad", "early_stopping": False, "random_state": 0, **options}
    return NCEClassifier(loss, max_iter=max_iter, **chosen)


def test_gradient_of_the_log_loss_against_differences():
    rng = np.random.default_rng(0)
    X, y, share = rng.normal(size=(30, 3)), rng.integers(4, size=30), rng.dirichlet(np.ones(30))

    def parts(v):
        return softmax_loss(v[:12].reshape(4, 3), v[12:], X, y, share, 0.3)

    def slope(v):
        return np.concatenate([parts(v)[1].ravel(), parts(v)[2]])

    at = rng.normal(size=16)
    assert check_grad(lambda v: parts(v)[0], slope, at) < 1e-6


@pytest.mark.parametrize("scale", [1.0, np.array([1e-3, 1.0, 1e3, 1.0])])
def test_few_classes_are_logistic_regression(scale):
    """The same objective, so the same optimum, also where columns differ in scale."""
    X = IRIS * scale
    ours = NCEClassifier(alpha=0.01, tol=1e-10).fit(X, SPECIES)
    peer = LogisticRegression(C=1 / (0.01 * len(X)), solver="newton-cholesky", tol=1e-12)
    assert_allclose(ours.predict_proba(X), peer.fit(X, SPECIES).predict_proba(X), atol=1e-6)
    assert_allclose(ours.coef_, peer.coef_, atol=1e-6 * np.abs(peer.coef_).max())


def test_two_classes_and_weights_are_logistic_regression():
    """Two rows of coefficients, each with the penalty, are one row with half of it."""
    X, y = IRIS[50:], SPECIES[50:]
    weight = np.random.default_rng(0).integers(0, 4, len(y)).astype(float)
    ours = NCEClassifier(alpha=0.02, tol=1e-10).fit(X, y, sample_weight=weight)
    peer = LogisticRegression(C=2 / (0.02 * weight.sum()), solver="newton-cholesky", tol=1e-12)
    peer.fit(X, y, sample_weight=weight)
    assert_allclose(ours.decision_function(X), peer.decision_function(X), atol=1e-6)


def test_mini_batches_with_a_ridge_end_at_the_same_optimum():
    """Adagrad's steps fall with the root of their number; .01 is five times what 400 leave."""
    X = StandardScaler().fit_transform(IRIS)
    exact = NCEClassifier(alpha=0.1, tol=1e-10).fit(X, SPECIES)
    found = epochs(alpha=0.1, max_iter=400, batch_size=50, learning_rate=0.1).fit(X, SPECIES)
    assert_allclose(found.coef_, exact.coef_, atol=0.01)
    assert np.abs(exact.coef_).max() > 0.4


@pytest.mark.parametrize(("loss", "near"), [("ranking", 0.05), ("nce", 0.25)])
def test_more_noise_classes_come_nearer_to_the_exact_optimum(loss, near):
    X, y, _ = problem(60, 5, 3000)
    best = mean_loss(NCEClassifier(alpha=0, tol=1e-6).fit(X, y), X, y)
    excess = [
        mean_loss(epochs(loss, n_noise=k, alpha=0, max_iter=15).fit(X, y), X, y) - best
        for k in (2, 10, 50)
    ]
    assert excess[0] > excess[1] > excess[2] > 0
    assert excess[2] < near  # of 1.5 nats that the exact optimum has over the frequencies


@pytest.fixture(scope="module")
def many():
    return problem(2500, 10, 22_000, steep=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"loss": "nce"}, {"rank": 10}])
def test_thousands_of_classes(many, options):
    """Two thirds at least of what the truth has over the class frequencies, on new rows."""
    X, y, scores = many
    X_new, y_new, scores = X[20_000:], y[20_000:], scores[20_000:]
    X, y = X[:20_000], y[:20_000]
    known = np.isin(y_new, y)  # a class without a row cannot be predicted
    X_new, y_new, scores = X_new[known], y_new[known], scores[known]
    truth = (logsumexp(scores, axis=1) - scores[np.arange(len(y_new)), y_new]).mean()
    frequency = -np.log(np.bincount(y, minlength=2500)[y_new] / len(y)).mean()
    classifier = NCEClassifier(max_iter=8, random_state=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it would gain from more epochs
        classifier.fit(X, y)
    assert len(classifier.classes_) > 2000
    gain = frequency - mean_loss(classifier, X_new, y_new)
    assert gain > 2 / 3 * (frequency - truth) > 1


def test_scores_of_noise_contrastive_training_sum_to_one():
    X, y, _ = problem(300, 5, 6000)
    by_noise = epochs("nce", n_noise=100, max_iter=10).fit(X, y).log_normalizer_stats(X)
    by_ranking = epochs("ranking", n_noise=100, max_iter=10).fit(X, y).log_normalizer_stats(X)
    assert abs(by_noise.mean) < 0.1
    assert by_noise.sd < 0.5
    assert by_ranking.mean > 3 * by_noise.sd
    assert by_noise.n_rows == 6000


def test_predictions_belong_together_whatever_the_chunks(monkeypatch):
    X, y, _ = problem(40, 3, 500)
    classifier = NCEClassifier(n_noise=10, max_iter=5, early_stopping=False, random_state=0)
    classifier.fit(X, y)
    scores, logs = classifier.decision_function(X), classifier.predict_log_proba(X)
    assert_allclose(classifier.predict_proba(X).sum(axis=1), 1, rtol=1e-12)
    assert_allclose(logs, scores - logsumexp(scores, axis=1, keepdims=True), atol=1e-12)
    assert_array_equal(classifier.predict(X), classifier.classes_[scores.argmax(axis=1)])
    stats = classifier.log_normalizer_stats(X)
    assert stats.mean == pytest.approx(logsumexp(scores, axis=1).mean())
    monkeypatch.setattr(full_softmax, "_CHUNK", 100)
    assert_allclose(classifier.predict_log_proba(X), logs, atol=1e-12)
    assert classifier.log_normalizer_stats(X).sd == pytest.approx(stats.sd)


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_weights_are_repetitions_of_rows(kind, rank):
    """Also of the rows held out, and in an order of rows of its own."""
    X, y, _ = problem(30, 4, 300)
    rng = np.random.default_rng(1)
    weight = rng.integers(0, 3, len(y))
    repeated = rng.permutation(np.repeat(np.arange(len(y)), weight))
    make = NCEClassifier(n_noise=8, rank=rank, batch_size=32, max_iter=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of three epochs
        one = clone(make).fit(kind(X), y, sample_weight=weight)
        other = clone(make).fit(kind(X[repeated]), y[repeated])
    assert_allclose(one.coef_, other.coef_, rtol=1e-4, atol=1e-6)  # float32
    assert_allclose(one.validation_curve_, other.validation_curve_, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"n_noise": 8}, {"n_noise": 8, "rank": 3}])
def test_sparse_tables_are_like_dense_ones(options):
    """But for the order of rows, and columns that a batch has no entry in: they stay in place."""
    X, y, _ = problem(30, 4, 2000)
    X[np.abs(X) < 0.8] = 0
    fits = [
        NCEClassifier(max_iter=20, early_stopping=False, solver="auto", random_state=0, **options)
        for _ in range(2)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of twenty iterations
        losses = [mean_loss(f.fit(k(X), y), X, y) for f, k in zip(fits, (np.asarray, csr_array))]
    assert losses[0] == pytest.approx(losses[1], abs=0.02)
    rows = csr_array(X[:50])
    assert_allclose(fits[0].predict_proba(rows), fits[0].predict_proba(X[:50]), atol=1e-12)


def test_early_stopping_returns_the_best_epoch():
    X, y, _ = problem(50, 10, 600)
    stopped = NCEClassifier(n_noise=20, learning_rate=0.5, alpha=0, random_state=0).fit(X, y)
    best = int(np.argmin(stopped.validation_curve_)) + 1
    assert best < stopped.n_iter_ == len(stopped.loss_curve_)
    with pytest.warns(ConvergenceWarning, match="still falls after"):
        until = clone(stopped).set_params(max_iter=best).fit(X, y)
    assert_array_equal(until.coef_, stopped.coef_)


@pytest.mark.parametrize("n_calls", [1, 8, 120])
def test_parts_of_a_stream_are_as_good_as_the_whole(n_calls):
    X, y, _ = problem(60, 5, 10_000)
    streamed = NCEClassifier(n_noise=20, batch_size=100, random_state=0)
    for part in np.array_split(np.arange(8_000), n_calls):
        streamed.partial_fit(X[part], y[part], classes=np.arange(60))
    exact = mean_loss(NCEClassifier().fit(X[:8_000], y[:8_000]), X[8_000:], y[8_000:])
    assert mean_loss(streamed, X[8_000:], y[8_000:]) < exact + 0.1
    assert streamed.class_count_.sum() == 8_000


@pytest.mark.parametrize("options", [{}, {"n_noise": 10}, {"rank": 3}])
def test_a_fit_can_go_on_with_more_rows(options):
    """More rows do not undo what the fit has learned."""
    X, y, _ = problem(40, 5, 6000)
    classifier = NCEClassifier(random_state=0, early_stopping=False, **options)
    before = mean_loss(classifier.fit(X[:4000], y[:4000]), X, y)
    assert mean_loss(classifier.partial_fit(X[4000:], y[4000:]), X, y) < before + 0.02


def test_text_labels_and_dtypes():
    names = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
    classifier = NCEClassifier().fit(IRIS.astype(np.float32), names)
    assert classifier.coef_.dtype == classifier.intercept_.dtype == np.float32
    assert set(classifier.predict(IRIS)) == set(names)
    assert classifier.score(IRIS, names) > 0.95
    assert_array_equal(
        classifier.predict(IRIS),
        classifier.classes_[NCEClassifier().fit(IRIS, SPECIES).predict(IRIS)],
    )


@pytest.mark.parametrize("options", [{}, {"rank": 2}])
def test_probabilities_sum_to_one_in_float64_whatever_rows_come_in(options):
    """Scores of size 1000 have errors of 1000 eps = 2e-13 times a few roundings."""
    X, y, _ = problem(500, 3, 3000)
    rows = X.astype(np.float32)
    classifier = epochs(n_noise=50, max_iter=2, **options).fit(rows, y)
    far = 100 * rows[:20]
    logs = classifier.predict_log_proba(far)
    assert np.abs(classifier.decision_function(far)).max() > 100
    assert logs.dtype == np.float64
    assert_allclose(np.exp(logs).sum(axis=1), 1, rtol=0, atol=2e-12)
    assert_allclose(classifier.predict_proba(far).sum(axis=1), 1, rtol=0, atol=2e-12)
    assert_allclose(np.vstack([classifier.predict_log_proba(row[None]) for row in far]), logs)


@pytest.mark.parametrize("rate", [1e5, 1e20, 1e36])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("options", [{}, {"rank": 2}, {"loss": "nce", "n_noise": 2}])
def test_training_that_explodes_is_refused_or_leaves_finite_parameters(options, method, rate):
    classifier = epochs(learning_rate=rate, max_iter=3, **{"loss": "full", **options})
    more = {"classes": [0, 1, 2]} if method == "partial_fit" else {}
    refusal = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            getattr(classifier, method)(IRIS, SPECIES, **more)
        except ValueError as error:
            refusal = str(error)
    if refusal is not None:
        assert "Lower learning_rate" in refusal
        assert not hasattr(classifier, "coef_")
        return
    assert np.isfinite(classifier.coef_).all()
    assert np.isfinite(classifier.intercept_).all()
    assert np.isfinite(classifier.predict_proba(IRIS)).all()


def test_coefficients_that_single_precision_cannot_hold_are_refused():
    tiny = (IRIS * np.float32(1e-39)).astype(np.float32)
    with pytest.raises(ValueError, match=r"not finite in float32.*Standardize"):
        NCEClassifier(alpha=0).fit(tiny, SPECIES)


@pytest.mark.parametrize("rank", [None, 4])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_weights_of_a_population_cost_no_more_than_rows(method, rank):
    """Powers of two scale exactly, so that a factor common to all weights changes no bit."""
    X, y, _ = problem(30, 4, 300)
    weight = np.random.default_rng(1).integers(1, 5, len(y)).astype(float)
    more = {"classes": np.arange(30)} if method == "partial_fit" else {}
    fits = []
    for factor in (2.0**24, 2.0**40):
        classifier = epochs(n_noise=8, rank=rank, max_iter=2, alpha=0)
        fits.append(getattr(classifier, method)(X, y, sample_weight=factor * weight, **more))
    assert_array_equal(fits[0].coef_, fits[1].coef_)
    assert fits[1].class_count_.sum() == 2.0**40 * weight.sum()
    exact = NCEClassifier(alpha=0).fit(X, y, sample_weight=weight)
    assert mean_loss(fits[0], X, y) < mean_loss(exact, X, y) + 0.3


def test_same_seed_same_model():
    X, y, _ = problem(40, 3, 1000)
    model = epochs(n_noise=10, max_iter=2)
    assert_array_equal(clone(model).fit(X, y).coef_, clone(model).fit(X, y).coef_)
    other = clone(model).set_params(random_state=1).fit(X, y)
    assert not np.array_equal(clone(model).fit(X, y).coef_, other.coef_)


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({"solver": "lbfgs", "rank": 2}, SPECIES, "without rank"),
        ({"solver": "lbfgs", "n_noise": 2}, SPECIES, "loss='full', or at most n_noise"),
        ({}, np.zeros(150), "at least two classes"),
        ({}, SPECIES[:100], "100 labels for the 150 rows"),
        ({"solver": "adagrad", "learning_rate": 1e38}, SPECIES, "diverge"),
    ],
)
def test_fits_that_are_refused(options, y, message):
    with pytest.raises(ValueError, match=message):
        NCEClassifier(random_state=0, **options).fit(IRIS, y)


def test_streams_that_are_refused():
    classifier = NCEClassifier(random_state=0)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        classifier.partial_fit(IRIS, SPECIES)
    with pytest.raises(ValueError, match="at least two distinct"):
        classifier.partial_fit(IRIS, SPECIES, classes=[0, 0, 1, 2])
    with pytest.raises(ValueError, match=r"label 2 \(row 100\)"):
        classifier.partial_fit(IRIS, SPECIES, classes=[0, 1])
    assert not hasattr(classifier, "classes_")
    classifier.partial_fit(IRIS, SPECIES, classes=[2, 0, 1])
    with pytest.raises(ValueError, match="classes differ"):
        classifier.partial_fit(IRIS, SPECIES, classes=[0, 1, 2, 3])


def test_unfinished_searches_warn():
    with pytest.warns(ConvergenceWarning, match="L-BFGS has not converged after 2"):
        NCEClassifier(max_iter=2).fit(IRIS, SPECIES)
