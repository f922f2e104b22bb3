"""NCEDensity on long tables and under large weights: the same numbers, at bounded work."""

import tracemalloc
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from skgm import NCEDensity
from skgm._numerics.blocks import BLOCK, by_blocks, row_blocks
from skgm.nce._contrast import LinearContrast, ModelContrast, Rows
from skgm.nce._covariance import KINDS, covariances
from skgm.nce._parametric import MOST_PATHS, path_starts
from skgm.nce._statistics import polynomial_statistics

RNG = np.random.default_rng(0)
N, M = BLOCK + 300, 16 * 256  # of data and of noise: blocks that end at different places


@pytest.mark.parametrize("n", [0, 1, 5, 6, 7])
def test_blocks_cover_all_rows_once(n):
    rows = np.arange(n)[:, None] * 1.0
    assert [i for part in row_blocks(n, 3) for i in rows[part, 0]] == list(range(n))
    assert_array_equal(by_blocks(lambda X: 2 * X[:, 0], rows, 3), 2 * rows[:, 0])


def contrasts(scrambled, weighted):
    """The same rows with kept statistics, recomputed statistics, and as a model of one's own."""
    X, Y = RNG.normal(0.3, 1.1, size=(N, 2)), RNG.normal(size=(M, 2))
    weight = RNG.uniform(0.5, 2, size=N) if weighted else None
    scramble = np.repeat(np.arange(16), 256) if scrambled else None
    n = N if weight is None else weight.sum()
    log_q = [-0.5 * (table**2).sum(axis=1) - np.log(2 * np.pi) for table in (X, Y)]
    rows = Rows(*log_q, np.log(M / n), weight, scramble)
    form = polynomial_statistics(X, weight, 2, ["a", "b"])
    T = form.transform
    yield LinearContrast(rows, T(X), T(Y))
    yield LinearContrast(rows, X, Y, T)
    yield ModelContrast(rows, X, Y, lambda U, t: T(U) @ t, lambda U, t: T(U))


def by_hand(contrast, theta):
    """Curvature, and scatters of the pulls of data and of noise, from whole tables."""
    rows, tables = contrast.rows, (contrast.data, contrast.noise)
    logits = [
        T @ theta - q - rows.log_nu for T, q in zip(tables, (rows.log_q_data, rows.log_q_noise))
    ]
    h = [1 / (1 + np.exp(-logit)) for logit in logits]
    w = np.ones(N) if rows.weight is None else rows.weight
    curvature = sum(
        np.einsum("i,ij,ik->jk", v * p * (1 - p), T, T)
        for v, p, T in zip((w, np.ones(M)), h, tables)
    )
    pulls = (1 - h[0])[:, None] * tables[0]
    return curvature / w.sum(), np.cov(pulls.T, aweights=w, bias=True) * w.sum() / (w.sum() - 1)


@pytest.mark.parametrize("scrambled", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_and_recomputed_statistics_give_the_numbers_of_whole_tables(scrambled, weighted):
    kept, again, own = contrasts(scrambled, weighted)
    theta = np.array([0.3, -0.2, 0.05, 0.1, -0.1, -1.5])
    curvature, of_data = by_hand(kept, theta)
    robust = covariances(kept, theta)["robust"]
    inverse = np.linalg.inv(curvature)
    assert_allclose(robust.data, inverse @ of_data @ inverse / kept.rows.n, rtol=1e-9, atol=1e-15)
    for other in (kept, again, own):
        assert other.objective(theta) == pytest.approx(kept.objective(theta), rel=1e-13)
        gradient, found = other.derivatives(theta)
        assert_allclose(found, curvature, rtol=1e-11, atol=1e-14)
        assert_allclose(gradient, kept.derivatives(theta)[0], rtol=1e-9, atol=1e-14)
        for kind in KINDS:
            one, two = covariances(other, theta)[kind], covariances(kept, theta)[kind]
            assert_allclose(one.matrix, two.matrix, rtol=1e-8, atol=1e-15)


def test_recomputed_statistics_need_no_table_of_them():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(5_000, 10)), rng.normal(size=(50_000, 10))
    form = polynomial_statistics(X, None, 2, list("abcdefghij"))
    rows = Rows(np.zeros(5_000), np.zeros(50_000), np.log(10))
    contrast = LinearContrast(rows, X, Y, form.transform)
    tracemalloc.start()
    contrast.derivatives(np.zeros(66))
    contrast.objective(np.zeros(66))
    covariances(contrast, np.zeros(66), ("robust",))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * 50_000 * 66 * 8


def fitted(factor, critic="quadratic", **options):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 2)) @ [[1.0, 0.5], [0.0, 1.0]]
    weight = factor * rng.integers(1, 5, size=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        density = NCEDensity(critic, random_state=0, **options).fit(X, sample_weight=weight)
    return density, X, weight


@pytest.mark.parametrize("critic", ["quadratic", "poly4", "linear", "rff", "auto"])
def test_a_factor_common_to_all_weights_of_a_population_changes_no_estimate(critic):
    """Powers of two scale exactly; the work is that of the rows, whatever their sum."""
    (one, X, _), (other, _, _) = fitted(2.0**30, critic), fitted(2.0**60, critic)
    assert_allclose(one.score_samples(X), other.score_samples(X), rtol=1e-8)


def test_large_weights_are_repetitions_in_estimates_and_standard_errors():
    """The data's part of a variance falls as one over the repetitions, the noise's stays."""
    few, X, weight = fitted(10.0)  # 5000 repetitions, which are made
    many, _, _ = fitted(2.0**20)
    mean = np.average(X, axis=0, weights=weight)
    for density in (few, many):
        precision = np.linalg.inv(np.cov(X.T, aweights=weight, bias=True))
        wanted = [*(precision @ mean), -precision[0, 0] / 2, -precision[0, 1], -precision[1, 1] / 2]
        assert_allclose(list(density.params_.values())[:5], wanted, atol=0.05)
    data_part = [density._critic.covariance("model").data for density in (few, many)]
    assert_allclose(data_part[0] * 10 / 2.0**20, data_part[1], rtol=0.1, atol=1e-9)
    errors = np.array(list(many.standard_errors().values()))
    noise_part = np.sqrt(np.diagonal(many._critic.covariance("model").noise))
    assert (noise_part > 0).all()
    assert (errors > noise_part).all()


class Counting(LogisticRegression):
    """Notes how many rows it was given."""

    def fit(self, X, y, sample_weight=None):
        """Fit, and note."""
        self.n_seen_ = len(X)
        return super().fit(X, y, sample_weight)


def test_classifiers_see_no_more_noise_under_the_weights_of_a_population():
    density, X, _ = fitted(1e7, Counting(), n_critics=1)
    assert density.critics_[0].n_seen_ == 11 * len(X)


def test_paths_are_bounded():
    X = RNG.normal(size=(50, 2))
    assert len(path_starts(X, np.full(50, 1e7))) == 1000
    assert len(path_starts(np.tile(X, (1000, 1)), None)) == MOST_PATHS
    assert len(path_starts(X, np.full(50, 3.0))) == 150


@pytest.mark.parametrize(
    ("critic", "scale", "message"),
    [
        ("poly4", 1e-100, "beyond the range"),
        ("poly4", 1e100, "beyond the range"),
        ("poly3", 1e-160, "beyond the range"),
        ("quadratic", 1e-160, "beyond the range"),
        ("auto", 1e-200, "variance of column 'x0' underflows"),
        ("auto", 1e200, "variance of column 'x0' overflows"),
        (lambda X: np.column_stack([X, X**2]), 1e100, "squares overflow"),
    ],
)
def test_scales_that_floating_point_cannot_hold_are_refused_with_the_cure(critic, scale, message):
    X = np.random.default_rng(0).normal(1.0, size=(100, 2)) * scale
    with pytest.raises(ValueError, match=rf"{message}.*([Rr]escale|Standardize)"):
        NCEDensity(critic, random_state=0).fit(X)


@pytest.mark.parametrize(
    "options",
    [
        {"critic": lambda X: np.column_stack([1e-160 * X, X**2])},
        {"log_phi": lambda X, theta: 1e120 * theta[0] * X[:, 0], "theta0": [1e-120]},
        {"critic": lambda X: 1e120 * X},
    ],
)
def test_statistics_of_odd_scales_leak_no_runtime_warning(options):
    X = np.random.default_rng(0).normal(size=(120, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # such models have no normalizer
        warnings.simplefilter("error", RuntimeWarning)
        density = NCEDensity(noise="gaussian", random_state=0, **options).fit(X)
    assert np.isfinite(list(density.params_.values())).all()
    assert np.isfinite(density.score_samples(X)).all()


def test_a_model_whose_gradient_has_no_squares_is_refused():
    X = np.random.default_rng(0).normal(size=(120, 2))
    model = NCEDensity(
        log_phi=lambda X, theta: 1e300 * theta[0] * X[:, 0], theta0=[1e-300], random_state=0
    )
    with pytest.raises(ValueError, match=r"gradient of log_phi is above.*rescale the parameters"):
        model.fit(X)


@pytest.mark.parametrize("critic", ["quadratic", "poly3", "auto"])
def test_small_fits_are_the_same_bits_with_one_and_with_two_threads(critic):
    X = np.random.default_rng(0).normal(size=(500, 3))
    scores = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            density = NCEDensity(critic, n_critics=1, random_state=0).fit(X)
        scores.append(density.score_samples(X[:20]))
    assert_array_equal(*scores)
