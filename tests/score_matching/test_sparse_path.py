"""The path of sparse precisions, against a dense solver, and its optimality conditions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize

from skgm.score_matching._gaussian import sparse
from skgm.score_matching._gaussian.dense import GaussianQuadratic, minimize_dense
from skgm.score_matching._gaussian.sparse import Support, largest_alpha, solve_path


def correlation(p, n, seed=0):
    rng = np.random.default_rng(seed)
    mixing = np.eye(p) + np.diag(np.full(p - 1, 0.6), 1)
    return np.corrcoef(rng.normal(size=(n, p)) @ mixing, rowvar=False)


def objective(S, K, alpha):
    off = np.abs(K).sum() - np.abs(np.diag(K)).sum()
    return 0.5 * np.trace(K @ S @ K) - np.trace(K) + alpha * off


def dense_solution(S, alpha):
    """The same problem with K = P - N, P and N >= 0 off the diagonal, by a bounded quasi-Newton."""
    p = len(S)
    upper = np.triu_indices(p, 1)

    def unpack(v):
        K = np.zeros((p, p))
        K[upper] = v[: len(upper[0])] - v[len(upper[0]) : 2 * len(upper[0])]
        return K + K.T + np.diag(v[2 * len(upper[0]) :])

    def loss(v):
        K = unpack(v)
        G = 0.5 * (S @ K + K @ S) - np.eye(p)
        half = G[upper] * 2
        m = len(upper[0])
        value = objective(S, K, 0) + 2 * alpha * v[: 2 * m].sum()
        return value, np.concatenate([half + 2 * alpha, -half + 2 * alpha, np.diag(G)])

    m = len(upper[0])
    start = np.concatenate([np.zeros(2 * m), np.ones(p)])
    bounds = [(0, None)] * (2 * m) + [(None, None)] * p
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000, "maxfun": 20000}
    found = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return unpack(found.x)


@pytest.mark.parametrize(("p", "n"), [(6, 30), (8, 500), (10, 8)])
@pytest.mark.parametrize("share", [0.7, 0.3])
def test_agrees_with_a_dense_solver(p, n, share):
    S = correlation(p, n)
    if n < p:
        S = S + 0.1 * np.eye(p)
    alpha = share * largest_alpha(S)
    (point,) = solve_path(S, np.array([alpha]), tol=1e-9)
    assert_allclose(point.precision.toarray(), dense_solution(S, alpha), atol=1e-5)
    assert objective(S, point.precision.toarray(), alpha) <= (
        objective(S, dense_solution(S, alpha), alpha) + 1e-10
    )


def violation(S, K, alpha):
    """Optimality by its definition, entry by entry."""
    G = 0.5 * (S @ K + K @ S) - np.eye(len(S))
    off = ~np.eye(len(S), dtype=bool)
    on = off & (K != 0)
    worst = np.abs(np.diag(G)).max()
    if on.any():
        worst = max(worst, np.abs(G + alpha * np.sign(K))[on].max())
    return max(worst, (np.abs(G) - alpha)[off & ~on].max(initial=0.0))


@pytest.mark.parametrize(("p", "n", "delta"), [(60, 60, 1.0), (60, 400, 1.0), (60, 30, 1.1)])
def test_every_point_of_the_path_is_optimal(p, n, delta):
    S = correlation(p, n)
    S.flat[:: p + 1] *= delta
    alphas = largest_alpha(S) * np.geomspace(0.95, 0.15, 15)
    path = solve_path(S, alphas)
    assert len(path) == 15
    for point in path:
        K = point.precision.toarray()
        assert_allclose(K, K.T, atol=0)
        assert violation(S, K, point.alpha) <= 1e-6 + 1e-12
        assert_allclose(point.kkt_residual, violation(S, K, point.alpha), atol=1e-12)


def test_warm_and_cold_starts_agree():
    S = correlation(40, 80)
    alphas = largest_alpha(S) * np.geomspace(0.9, 0.2, 10)
    warm = solve_path(S, alphas, tol=1e-9)[-1].precision.toarray()
    (cold,) = solve_path(S, alphas[-1:], tol=1e-9)
    assert_allclose(warm, cold.precision.toarray(), atol=1e-7)


def test_largest_alpha_is_where_the_first_pair_enters():
    S = correlation(20, 50) * np.outer(np.arange(1, 21), np.arange(1, 21))
    alpha = largest_alpha(S)
    empty, one = solve_path(S, alpha * np.array([1 + 1e-9, 1 - 1e-4]), tol=1e-9)
    assert len(empty.values) == 20
    assert_allclose(empty.values, 1 / np.diag(S))
    assert len(one.values) == 22


def test_no_penalty_gives_the_inverse():
    S = correlation(12, 100)
    (point,) = solve_path(S, np.array([0.0]), tol=1e-10)
    assert_allclose(point.precision.toarray(), np.linalg.inv(S), rtol=1e-7, atol=1e-8)


def test_the_path_stops_before_too_many_pairs():
    S = correlation(30, 30)
    path = solve_path(S, largest_alpha(S) * np.geomspace(1, 0.05, 20), max_pairs=50)
    assert 0 < len(path) < 20
    assert max((len(point.values) - 30) // 2 for point in path) <= 50


def test_proximal_gradients_reach_the_same_point(monkeypatch):
    """Where active sets are given no chance, the fallback must do alone."""
    S = correlation(15, 20)
    alpha = 0.3 * largest_alpha(S)
    (usual,) = solve_path(S, np.array([alpha]), tol=1e-8)
    monkeypatch.setattr(sparse, "MAX_NEWTON", 1)
    (slow,) = solve_path(S, np.array([alpha]), tol=1e-8)
    assert slow.kkt_residual <= 1e-8
    assert_allclose(slow.precision.toarray(), usual.precision.toarray(), atol=1e-6)


def coordinate_descent(S, alpha, sweeps):
    """Entry by entry: each pair at the exact minimum of the objective along it."""
    p = len(S)
    K = np.diag(1 / np.diag(S))
    for _ in range(sweeps):
        for i in range(p):
            for j in range(i, p):
                slope = 0.5 * (S[i] @ K[:, j] + K[i] @ S[:, j]) - (i == j)
                curvature = 0.5 * (S[i, i] + S[j, j])
                z = K[i, j] - slope / curvature
                threshold = 0.0 if i == j else alpha / curvature
                K[i, j] = K[j, i] = np.sign(z) * max(abs(z) - threshold, 0.0)
    return K


def is_dense(point):
    return point.support.is_dense()


@pytest.mark.parametrize("scales", [False, True])
def test_dense_ends_agree_with_coordinate_descent(scales):
    S = correlation(14, 40)
    if scales:  # the solver takes covariances too
        scale = np.linspace(0.5, 3, 14)
        S = S * np.outer(scale, scale)
    alpha = 0.05 * largest_alpha(S)
    (point,) = solve_path(S, np.array([alpha]), tol=1e-9)
    assert is_dense(point)
    assert_allclose(point.precision.toarray(), coordinate_descent(S, alpha, 200), atol=1e-7)


@pytest.mark.parametrize(
    ("p", "n", "delta", "share"),
    [(60, 60, 1.0, 0.07), (60, 400, 1.0, 0.03), (60, 30, 1.1, 0.05), (100, 100, 1.0, 0.1)],
)
def test_dense_ends_of_paths_are_optimal(p, n, delta, share):
    """With as many rows as columns S is singular, and active sets alone cycle."""
    S = correlation(p, n)
    S.flat[:: p + 1] *= delta
    path = solve_path(S, largest_alpha(S) * np.geomspace(0.9, share, 10))
    assert is_dense(path[-1])
    assert not is_dense(path[0])
    for point in path:
        K = point.precision.toarray()
        assert_allclose(K, K.T, atol=0)
        assert violation(S, K, point.alpha) <= 1e-6 + 1e-12
        assert_allclose(point.kkt_residual, violation(S, K, point.alpha), atol=1e-12)


def test_dense_and_sparse_ends_agree(monkeypatch):
    S = correlation(40, 60)
    alphas = largest_alpha(S) * np.array([0.5, 0.2, 0.1])
    dense = solve_path(S, alphas, tol=1e-9)
    assert is_dense(dense[-1])
    monkeypatch.setattr(Support, "is_dense", lambda self: False)
    for one, other in zip(dense, solve_path(S, alphas, tol=1e-9), strict=True):
        assert_allclose(one.precision.toarray(), other.precision.toarray(), atol=1e-7)


def test_proximal_runs_reach_the_same_point(monkeypatch):
    """Newton steps that are refused leave the descent to proximal gradients."""
    S = correlation(12, 30)
    alpha = 0.1 * largest_alpha(S)
    usual, _ = minimize_dense(GaussianQuadratic(S, alpha), np.eye(12), 1e-8)
    worse = lambda self, K, sign: K + 1e3 * sign  # noqa: E731
    monkeypatch.setattr(GaussianQuadratic, "newton", worse)
    slow, gradient = minimize_dense(GaussianQuadratic(S, alpha), np.eye(12), 1e-8)
    assert violation(S, slow, alpha) <= 2e-8
    assert_allclose(slow, usual, atol=1e-6)
    assert_allclose(gradient, 0.5 * (S @ slow + slow @ S) - np.eye(12), atol=1e-12)


def test_unbounded_problems_come_to_an_end():
    """Without a penalty and with fewer rows than columns there is no minimum."""
    S = correlation(20, 8)
    (point,) = solve_path(S, np.array([1e-6]))
    assert point.kkt_residual > 1e-6
    assert np.isfinite(point.values).all()


def test_support_acts_as_the_dense_product():
    rng = np.random.default_rng(0)
    S = correlation(7, 20)
    first, second = np.array([0, 2, 1, 5]), np.array([3, 4, 6, 6])
    support = Support.from_pairs(7, first, second)
    values = rng.normal(size=len(support.rows))
    values = support.symmetrize(values)
    K = support.to_sparse(values).toarray()
    assert_allclose(K, K.T)
    product = 0.5 * (S @ K + K @ S)
    assert_allclose(support.symmetrize(support.blocks(S) @ values), support.read(product))
    assert_allclose(np.diag(K), values[support.diagonal])
    wider = Support.from_pairs(7, np.append(first, 0), np.append(second, 1))
    assert_allclose(wider.to_sparse(support.expand(values, wider)).toarray(), K)
    kept = support.keep((values > np.quantile(values, 0.5)) | ~support.off_diagonal())
    again = Support.from_pairs(
        7, *np.nonzero(np.triu(kept.to_sparse(kept.rows + 1.0).toarray(), 1))
    )
    for name in ("rows", "columns", "starts", "transposed", "diagonal"):
        assert_allclose(getattr(kept, name), getattr(again, name))
