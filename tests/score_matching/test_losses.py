"""The public losses: equivalences, standard errors, refusals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skgm import ScoreMatchingGaussian
from skgm.score_matching import (
    denoising_loss,
    explicit_loss,
    generalized_loss,
    implicit_loss,
    sliced_loss,
)

PRECISION = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 0.8]])


def gaussian_score(X):
    return -X @ PRECISION


def wavy_score(X):
    return np.sin(2 * X) - X * np.roll(X, 1, axis=1)


def wavy_divergence(X):
    return (2 * np.cos(2 * X) - np.roll(X, 1, axis=1)).sum(axis=1)


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(400, 3))


def test_differences_replace_the_divergence(X):
    exact = implicit_loss(wavy_score, X, divergence=wavy_divergence)
    assert_allclose(implicit_loss(wavy_score, X).per_row, exact.per_row, rtol=1e-7, atol=1e-8)


def test_estimators_have_score_functions(X):
    density = ScoreMatchingGaussian().fit(X)
    assert_allclose(float(implicit_loss(density, X)), density.loss_, rtol=1e-8)
    data = lambda Z: -Z  # noqa: E731
    expected = density.loss(X, "explicit", score_data=-X)
    assert_allclose(float(explicit_loss(density, data, X)), expected, rtol=1e-12)


def test_equivalence_holds_within_the_standard_error():
    """On normal rows explicit - implicit is d / 2 in expectation: 4.9 standard errors."""
    X = np.random.default_rng(1).normal(size=(20_000, 3))
    explicit = explicit_loss(wavy_score, lambda Z: -Z, X)
    implicit = implicit_loss(wavy_score, X, divergence=wavy_divergence)
    gap = explicit.per_row - implicit.per_row
    assert abs(gap.mean() - 1.5) < 4.9 * gap.std() / np.sqrt(len(X))


@pytest.mark.parametrize("projection", ["rademacher", "normal"])
@pytest.mark.parametrize("variance_reduced", [True, False])
def test_sliced_loss_is_unbiased(X, projection, variance_reduced):
    options = {"projection": projection, "variance_reduced": variance_reduced}
    truth = implicit_loss(wavy_score, X, divergence=wavy_divergence).per_row
    sliced = sliced_loss(wavy_score, X, n_projections=200, random_state=0, **options)
    gap = sliced.per_row - truth
    assert abs(gap.mean()) < 4.9 * gap.std() / np.sqrt(len(X))


def test_sliced_loss_with_signs_is_exact_for_a_diagonal_jacobian(X):
    """v' J v is the trace whatever the signs; so nothing is left to sample."""
    score = lambda Z: np.sin(2 * Z)  # noqa: E731
    exact = implicit_loss(score, X, divergence=lambda Z: 2 * np.cos(2 * Z).sum(axis=1))
    sliced = sliced_loss(score, X, jvp=lambda Z, V: 2 * np.cos(2 * Z) * V, random_state=0)
    assert_allclose(sliced.per_row, exact.per_row, rtol=1e-12)


def test_signs_and_the_exact_square_reduce_the_variance(X):
    def spread(**options):
        values = [
            float(sliced_loss(gaussian_score, X, random_state=seed, **options))
            for seed in range(200)
        ]
        return np.std(values)

    best = spread()
    assert best < spread(projection="normal") < spread(projection="normal", variance_reduced=False)


def test_denoising_a_gaussian_is_a_ridge():
    """1/2 tr K (S + s^2 I) K - tr K + d / (2 s^2), S about the model's mean; 4.9 errors."""
    X = np.random.default_rng(2).normal(size=(500, 3))
    scale, S = 0.7, X.T @ X / len(X)
    truth = 0.5 * np.trace(PRECISION @ (S + scale**2 * np.eye(3)) @ PRECISION)
    truth += -np.trace(PRECISION) + 3 / (2 * scale**2)
    values = [float(denoising_loss(gaussian_score, X, scale, random_state=s)) for s in range(100)]
    assert abs(np.mean(values) - truth) < 4.9 * np.std(values) / np.sqrt(len(values))


def test_denoising_stays_finite_as_the_noise_vanishes(X):
    """The value grows like d / (2 s^2), exactly; what is estimated keeps its spread."""
    truth = float(implicit_loss(gaussian_score, X))
    for scale in (1e-1, 1e-2, 1e-3):
        loss = denoising_loss(gaussian_score, X, scale, n_noise=50, random_state=0)
        error = np.std(loss.per_row) / np.sqrt(len(X)) + scale
        assert abs(loss.value - 3 / (2 * scale**2) - truth) < 4.9 * error


def test_antithetic_noise_helps():
    X = np.random.default_rng(3).normal(size=(50, 3))

    def spread(**options):
        return np.std(
            [
                float(denoising_loss(gaussian_score, X, 0.05, random_state=s, **options))
                for s in range(200)
            ]
        )

    assert spread(antithetic=True) < 0.5 * spread(antithetic=False, n_noise=2)


def test_generalized_loss_finds_the_truncated_normal():
    """|N(0, 1)|: the losses of N(0, s^2) cut at 0 are least at s = 1; the plain one is not.

    20,000 rows: the estimate of s^2 has standard deviation sqrt(2.4 / 20000) = 0.011.
    """
    X = np.abs(np.random.default_rng(0).normal(size=(20_000, 1)))

    def best(loss):
        grid = np.linspace(0.5, 1.5, 201)
        return grid[np.argmin([loss(v) for v in grid])]

    generalized = best(
        lambda v: float(
            generalized_loss(lambda Z: -Z / v, X, derivative=lambda Z: np.full(Z.shape, -1 / v))
        )
    )
    assert abs(generalized - 1.0) < 4.9 * 0.013 + 0.005

    def ignoring_the_edge(v):
        score, divergence = (lambda Z: -(Z - 0.8) / v), (lambda Z: np.full(len(Z), -1 / v))
        return float(implicit_loss(score, X, divergence=divergence))

    assert best(ignoring_the_edge) == 0.5  # the least on the grid: the plain loss is misled


def test_generalized_loss_in_a_box_has_a_weight_at_both_ends():
    """Uniform rows: the score function 0 is right, and better than a slope, at both ends."""
    X = np.random.default_rng(0).uniform(-1, 3, size=(5000, 2))
    right = generalized_loss(lambda Z: np.zeros(Z.shape), X, bounds=(-1, 3))
    for tilt in (-0.3, 0.3):
        tilted = generalized_loss(lambda Z: np.full(Z.shape, tilt), X, bounds=(-1, 3))  # noqa: B023
        assert tilted.value > right.value


def test_derivatives_stay_inside_the_bounds():
    def score(Z):
        assert (Z > 0).all()
        return 1 / Z

    X = np.array([[1e-9], [1e-3], [2.0]])
    loss = generalized_loss(score, X, weight="power", weight_cap=2.0)
    # h = x^2, psi = 1/x: 1/2 - 1 + 2
    assert_allclose(loss.per_row, 1.5, rtol=1e-6)


def test_weights_count_rows(X):
    weight = np.random.default_rng(0).integers(0, 4, size=len(X))
    one = implicit_loss(gaussian_score, X, sample_weight=weight)
    other = implicit_loss(gaussian_score, np.repeat(X, weight, axis=0))
    assert_allclose(one.value, other.value)
    assert_allclose(one.standard_error, other.standard_error)


def test_standard_error_is_the_spread_of_repeated_tables():
    """A hundred tables: the ratio of the two has standard error 7%, compared at 4.9 of them."""
    rng = np.random.default_rng(0)
    results = [implicit_loss(gaussian_score, rng.normal(size=(200, 3))) for _ in range(100)]
    claimed = np.mean([r.standard_error for r in results])
    assert abs(np.std([r.value for r in results]) / claimed - 1) < 4.9 * 0.07
    assert np.isnan(implicit_loss(gaussian_score, [[0.0, 1.0, 2.0]]).standard_error)


@pytest.mark.parametrize("score", [gaussian_score, ScoreMatchingGaussian()])
@pytest.mark.parametrize(
    "call",
    [
        lambda score, X: implicit_loss(X, score),
        lambda score, X: explicit_loss(score, X, score),
        lambda score, X: explicit_loss(X, score, score),
        lambda score, X: explicit_loss(score, X, X),
        lambda score, X: sliced_loss(X, score),
        lambda score, X: denoising_loss(X, score, 0.1),
        lambda score, X: generalized_loss(X, score),
    ],
)
def test_swapped_arguments_are_told_their_order(X, score, call):
    if score is not gaussian_score:
        score = ScoreMatchingGaussian().fit(X)
    with pytest.raises(TypeError, match="Score functions come first"):
        call(score, X)


def test_masked_entries_are_refused(X):
    with pytest.raises(ValueError, match="masked entries"):
        implicit_loss(gaussian_score, np.ma.array(X, mask=X > 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda X: implicit_loss("text", X), "score must be a callable"),
        (lambda X: implicit_loss(lambda Z: Z[:, :1], X), "score must return an array of shape"),
        (lambda X: implicit_loss(lambda Z: Z * np.nan, X), "score returned nan for row 0"),
        (lambda X: implicit_loss(gaussian_score, X, divergence=lambda Z: Z), "divergence must"),
        (lambda X: explicit_loss(gaussian_score, 3, X), "score_data must be a callable"),
        (lambda X: denoising_loss(gaussian_score, X, 0.0), "noise_scale must be"),
        (lambda X: denoising_loss(gaussian_score, X, 1.0, n_noise=0), "n_noise must be"),
        (lambda X: sliced_loss(gaussian_score, X, projection="odd"), "projection must be"),
        (lambda X: sliced_loss(gaussian_score, X, jvp=lambda Z, V: V[0]), "jvp must return"),
        (lambda X: generalized_loss(gaussian_score, X), "outside its bounds"),
        (lambda X: generalized_loss(gaussian_score, abs(X), weight="odd"), "weight must be one"),
        (lambda X: generalized_loss(gaussian_score, abs(X), bounds=(2, 1)), "lower < upper"),
        (lambda X: generalized_loss(gaussian_score, abs(X), bounds=3), "bounds must be"),
        (
            lambda X: generalized_loss(gaussian_score, abs(X), weight=lambda t: (t[0], t)),
            "weight must return h",
        ),
        (
            lambda X: generalized_loss(gaussian_score, abs(X), weight=lambda t: (-t, t)),
            "negative h",
        ),
    ],
)
def test_refusals(X, call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(X)
