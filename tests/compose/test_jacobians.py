"""Every known transformer against finite differences, quadrature and scikit-learn itself."""

import numpy as np
import pytest
from scipy import special, stats
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PowerTransformer, StandardScaler

from skgm.compose import make_density_pipeline
from tests.compose.densities import Exponentials, FullNormal
from tests.compose.transformers import (
    AFFINE,
    CURVED,
    KNOWN,
    column_transformer,
    light_table,
    positive_table,
    real_table,
    spread_table,
)

D3 = {**KNOWN, "columns": (column_transformer(), positive_table)}


def fitted(name, d, density=None):
    transformer, table = D3[name]
    X = table(d)
    return make_density_pipeline(transformer, density or FullNormal()).fit(X), X


def numerical_jacobian(transform, x):
    """Central differences of scikit-learn's own transform at one row, (d, d)."""
    step = 1e-6 * np.maximum(1, np.abs(x))
    moves = np.diag(step)
    ahead, behind = transform(x + moves), transform(x - moves)
    return ((ahead - behind) / (2 * step[:, None])).T


@pytest.mark.parametrize("name", D3)
def test_density_is_that_of_the_last_step_plus_numerical_log_determinant(name):
    pipe, X = fitted(name, 3)
    rows = X[:20]
    transform = pipe[:-1].transform
    log_det = [np.linalg.slogdet(numerical_jacobian(transform, x))[1] for x in rows]
    expected = pipe[-1].score_samples(transform(rows)) + log_det - pipe.log_image_probability_
    # truncation of the differences is O(step^2), rounding O(1e-16 / step): both below 1e-7
    np.testing.assert_allclose(pipe.score_samples(rows), expected, atol=1e-6)


@pytest.mark.parametrize("name", D3)
def test_own_maps_agree_with_scikit_learn_both_ways(name):
    pipe, X = fitted(name, 3)
    Z = pipe[:-1].transform(X)
    np.testing.assert_allclose(pipe._chain.forward(X), Z, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(pipe._chain.inverse(Z), X, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", D3)
def test_score_function_is_the_gradient(name):
    pipe, X = fitted(name, 3)
    for x in X[:5]:
        step = 1e-6 * np.maximum(1, np.abs(x))
        moves = np.diag(step)
        ahead, behind = pipe.score_samples(x + moves), pipe.score_samples(x - moves)
        gradient = (ahead - behind) / (2 * step)
        np.testing.assert_allclose(pipe.score_function([x])[0], gradient, rtol=1e-5, atol=1e-6)


# Transformers whose domain is the whole line.
ON_THE_LINE = {
    *AFFINE,
    "yeo-johnson",
    "yeo-johnson-raw",
    "yeo-johnson-left",
    "yeo-johnson-skewed",
    "exp",
    "expm1",
}


def nodes_of(name, X, n_nodes):
    """One axis per column: nodes and log-volumes that cover the domain."""
    on_the_line = name in ON_THE_LINE
    low = -np.inf if on_the_line else -1.0 if name == "log1p" else 0.0
    return [axis(column, low, n_nodes) for column in X.T]


def axis(column, low, n_nodes):
    """Trapezoidal nodes and log-volumes, even in u: sinh on the line, exp on a half-line."""
    if np.isinf(low):
        u = np.linspace(-16, 16, n_nodes)
        x = np.median(column) + column.std() * np.sinh(u)
        log_slope = np.log(column.std() * np.cosh(u))
    else:
        u = np.linspace(-80, 20, n_nodes)
        x = low + column.std() * np.exp(u)
        log_slope = np.log(column.std()) + u
    return x, log_slope + np.log(u[1] - u[0])


@pytest.mark.parametrize("name", [name for name in KNOWN if "quantile" not in name])
def test_density_integrates_to_one_in_one_dimension(name):
    pipe, X = fitted(name, 1)
    [(nodes, log_volume)] = nodes_of(name, X, 20_001)
    total = np.exp(special.logsumexp(pipe.score_samples(nodes[:, None]) + log_volume))
    assert pipe.log_density_kind_ == "exact"
    assert total == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("name", ["quantile", "quantile-normal"])
def test_density_between_quantiles_integrates_to_one(name):
    """By Gauss's rule between any two; it errs at the ends, where powers of the level stand."""
    pipe, X = fitted(name, 1)
    knots = pipe[0].quantiles_[:, 0]
    nodes, weights = np.polynomial.legendre.leggauss(64)
    half = np.diff(knots)[:, None] / 2
    rows = knots[:-1, None] + half * (1 + nodes)
    density = np.exp(pipe.score_samples(rows.reshape(-1, 1))).reshape(rows.shape)
    assert (half * weights * density).sum() == pytest.approx(1, abs=1e-4)
    beyond = [[X.min() - 1e-6], [X.max() + 1e-6]]
    assert np.isneginf(pipe.score_samples(beyond)).all()
    assert np.isfinite(pipe.score_samples([[X.min()], [X.max()]])).all()


@pytest.mark.parametrize("name", [name for name in KNOWN if "quantile" not in name])
def test_density_integrates_to_one_in_two_dimensions(name):
    pipe, X = fitted(name, 2)
    nodes, volumes = zip(*nodes_of(name, X, 801))
    grid = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    log_volume = np.add.outer(*volumes).ravel()
    total = np.exp(special.logsumexp(pipe.score_samples(grid) + log_volume))
    # Where the image is estimated by 65536 draws, its probability p has standard error
    # sqrt(p (1 - p) / 65536) <= 0.002; four of these. The quadrature itself errs by rounding.
    p = np.exp(pipe.log_image_probability_)
    error = np.sqrt((1 - p) / p / 65536) if pipe.log_density_kind_ == "estimate" else 0.0
    assert total == pytest.approx(1, abs=4 * error + 1e-6)


def test_tables_reach_every_branch_of_yeo_johnson():
    powers = {
        name: fitted(name, 2)[0][0].lambdas_
        for name in ("yeo-johnson-skewed", "yeo-johnson-left", "yeo-johnson")
    }
    assert (powers["yeo-johnson-skewed"] < 0).any()
    assert (powers["yeo-johnson-left"] > 2).any()
    assert ((powers["yeo-johnson"] > 0) & (powers["yeo-johnson"] < 2)).any()


def test_truncation_in_one_dimension_matches_the_normal_cdf():
    X = spread_table(1)
    pipe = make_density_pipeline(FunctionTransformer(np.sqrt), FullNormal()).fit(X)
    root = np.sqrt(X)
    expected = stats.norm.logsf(0, root.mean(), root.std())
    assert expected < -1e-3  # there is something to correct
    np.testing.assert_allclose(pipe.log_image_probability_, expected, rtol=1e-9)
    assert pipe.log_density_kind_ == "exact"


def test_truncation_in_two_dimensions_matches_the_normal_cdf():
    X = spread_table(2)
    pipe = make_density_pipeline(FunctionTransformer(np.sqrt), StandardScaler(), FullNormal()).fit(
        X
    )
    root = np.sqrt(X)
    law = stats.multivariate_normal(-root.mean(axis=0), np.cov(root.T, bias=True))
    p = law.cdf([0.0, 0.0])  # P(-Z < 0)
    error = np.sqrt((1 - p) / p / pipe.normalizer_draws)
    assert p < 0.99
    np.testing.assert_allclose(pipe.log_image_probability_, np.log(p), atol=4 * error)
    assert pipe.log_density_kind_ == "estimate"


def test_no_truncation_where_the_last_step_stays_inside_the_image():
    """If sqrt(x) is exponential, x is Weibull with shape 1/2."""
    X = positive_table(2)
    pipe = make_density_pipeline(FunctionTransformer(np.sqrt), Exponentials()).fit(X)
    assert pipe.log_image_probability_ == 0
    assert pipe.log_density_kind_ == "exact"
    expected = stats.weibull_min.logpdf(X, 0.5, scale=np.sqrt(X).mean(axis=0) ** 2).sum(axis=1)
    np.testing.assert_allclose(pipe.score_samples(X), expected)


def test_a_last_step_without_mass_in_the_image_is_refused():
    class Wrong(Exponentials):
        def _draw(self, n_samples, rng):
            return -super()._draw(n_samples, rng)

        def __density_tags__(self):
            return FullNormal().__density_tags__()

    with pytest.raises(ValueError, match="no probability on the values"):
        make_density_pipeline(FunctionTransformer(np.exp), Wrong()).fit(light_table(2))


@pytest.mark.parametrize("name", [n for n in D3 if n not in AFFINE])
def test_draws_follow_the_density(name):
    """The share of draws in a cell equals the integral of the density over it.

    By importance: E[1 / (p(x))] over draws inside a box equals the box's volume. The box holds
    the central part of the table, so weights are bounded and the mean is asymptotically normal.
    """
    pipe, X = fitted(name, 2) if name != "columns" else fitted(name, 3)
    low, high = np.quantile(X, [0.2, 0.8], axis=0)
    draws = pipe.sample(20_000, random_state=1)
    inside = ((draws > low) & (draws < high)).all(axis=1)
    weights = np.where(inside, np.exp(-pipe.score_samples(draws)), 0.0)
    error = weights.std() / np.sqrt(len(draws))
    volume = np.prod(high - low)
    assert error < 0.05 * volume
    assert weights.mean() == pytest.approx(volume, abs=4 * error)


@pytest.mark.parametrize("name", AFFINE)
def test_affine_transformers_do_not_change_an_affine_equivariant_density(name):
    transformer, table = KNOWN[name]
    X, new = table(3), table(3, seed=1)
    pipe = make_density_pipeline(transformer, FullNormal()).fit(X)
    alone = FullNormal().fit(X)
    np.testing.assert_allclose(pipe.score_samples(new), alone.score_samples(new), rtol=1e-9)
    np.testing.assert_allclose(pipe.score_function(new), alone.score_function(new), rtol=1e-7)


@pytest.mark.parametrize("name", CURVED)
def test_no_warnings_and_float64_whatever_the_row(name):
    pipe, _ = fitted(name, 2)
    rows = [[-1e300, 1.0], [0.0, 1.0], [-1.0, 1.0], [1e300, 1.0], [800.0, -800.0]]
    value = pipe.score_samples(rows)
    assert value.dtype == np.float64
    assert not np.isnan(value).any()
    assert not np.isposinf(value).any()


def test_outside_the_domain_is_minus_infinity():
    X = positive_table(2)
    pipe = make_density_pipeline(FunctionTransformer(np.log), FullNormal()).fit(X)
    value = pipe.score_samples([[1.0, 1.0], [-1.0, 1.0], [1.0, 0.0]])
    assert np.isfinite(value[0])
    np.testing.assert_array_equal(value[1:], -np.inf)
    with pytest.raises(ValueError, match="Row 1 of X lies outside the support"):
        pipe.score_function([[1.0, 1.0], [-1.0, 1.0]])


def test_several_curved_steps_in_a_row():
    X = positive_table(2)
    steps = [FunctionTransformer(np.log1p), PowerTransformer(), PCA(whiten=True)]
    pipe = make_density_pipeline(*steps, FullNormal()).fit(X)
    reference = make_pipeline(*[clone(step) for step in steps]).fit(X)
    log_det = [np.linalg.slogdet(numerical_jacobian(reference.transform, x))[1] for x in X[:10]]
    expected = (
        FullNormal().fit(reference.transform(X)).score_samples(reference.transform(X[:10]))
        + log_det
        - pipe.log_image_probability_
    )
    np.testing.assert_allclose(pipe.score_samples(X[:10]), expected, atol=1e-6)


def test_constant_column_under_standard_scaler():
    """scale_ is 1 there: the column is only shifted, and the log-determinant has no term for it."""
    X = real_table(2)
    X[:, 1] = 7.0
    pipe = make_density_pipeline(StandardScaler(), FullNormal()).fit(X)
    expected = pipe[-1].score_samples((X - X.mean(axis=0)) / [X[:, 0].std(), 1.0])
    np.testing.assert_allclose(pipe.score_samples(X), expected - np.log(X[:, 0].std()))
