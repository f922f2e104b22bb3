"""The fitted values of a Gaussian: one of four kinds, plain, and forgotten by the next fit."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.linalg import LinAlgWarning

from skgm import ScoreMatchingGaussian, ScoreMatchingGaussianCV, wald_test

CHAIN = np.eye(3) + np.eye(3, k=1) + np.eye(3, k=-1)
KINDS = {
    "free": {},
    "diagonal": {"covariance_type": "diag"},
    "spherical": {"covariance_type": "spherical"},
    "l1": {"penalty": "l1", "alpha": 0.05},
    "l2": {"penalty": "l2"},
    "graph": {"graph": CHAIN},
    "box": {"bounds": (-9, 9)},
}


@pytest.fixture
def X(rng):
    return rng.multivariate_normal(np.zeros(3), np.linalg.inv(np.eye(3) + 0.4 * CHAIN), size=80)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def plain(value):
    """Whether it holds nothing but numbers, text and arrays of them."""
    if isinstance(value, dict):
        return all(plain(part) for part in value.values())
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return value is None or isinstance(value, str | bool | int | float)


def intervals_or_refusal(fitted, X):
    """Text of the intervals with the table, or of the error."""
    try:
        return repr(dict(fitted.confidence_intervals(X=X)))
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_stored_plainly_and_persists(X, kind):
    fitted = ScoreMatchingGaussian(**KINDS[kind]).fit(X)
    assert plain(fitted._state)
    copy = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(copy.score_samples(X), fitted.score_samples(X))
    assert_array_equal(copy.sample(5, 0), fitted.sample(5, 0))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "box"])
def test_density_and_draws_are_those_of_the_public_parameters(X, kind):
    """scipy's normal with location_ and covariance_."""
    fitted = ScoreMatchingGaussian(**KINDS[kind]).fit(X)
    covariance = fitted.covariance_
    covariance = covariance if np.ndim(covariance) == 2 else np.diag(np.full(3, covariance))
    law = stats.multivariate_normal(fitted.location_, covariance)
    assert_allclose(fitted.score_samples(X), law.logpdf(X), rtol=1e-10)
    assert_allclose(fitted.loglik_, law.logpdf(X).sum(), rtol=1e-10)
    gradient = -np.linalg.solve(covariance, (X - fitted.location_).T).T
    assert_allclose(fitted.score_function(X), gradient, rtol=1e-8, atol=1e-10)
    assert_allclose(np.cov(fitted.sample(20_000, 0).T), covariance, atol=0.2)
    right = 0.5 * (gradient**2).sum(axis=1).mean() - np.trace(np.linalg.inv(covariance))
    assert_allclose(fitted.loss(X), right, rtol=1e-9)


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", KINDS)
def test_a_fit_of_another_kind_forgets_the_first(X, before, after):
    fresh = ScoreMatchingGaussian(**KINDS[after]).fit(X)
    used = ScoreMatchingGaussian(**KINDS[before]).fit(X)
    used.set_params(**(ScoreMatchingGaussian().get_params() | KINDS[after])).fit(X)
    assert set(vars(used)) == set(vars(fresh))
    assert_array_equal(used.score_samples(X), fresh.score_samples(X))
    assert intervals_or_refusal(used, X) == intervals_or_refusal(fresh, X)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ScoreMatchingGaussian(graph=CHAIN), "no Wald tests of a precision on a graph"),
        (ScoreMatchingGaussian(penalty="l1", alpha=0.05), "A regularized fit has no standard"),
        (ScoreMatchingGaussianCV(), "A regularized fit has no standard"),
    ],
)
def test_wald_tests_are_refused_where_there_is_no_covariance(X, model, message):
    null = {"precision": np.eye(3)} if model.get_params().get("graph") is not None else {}
    with pytest.raises(ValueError, match=message):
        wald_test(model, X, null or {"location": np.zeros(3)})


def test_the_methods_of_intervals_are_named(X):
    for kind in ("free", "graph"):
        with pytest.raises(ValueError, match="'auto', 'wald', 'wald-transformed', 'robust'"):
            ScoreMatchingGaussian(**KINDS[kind]).fit(X).confidence_intervals(method="profile")


def test_later_parameters_do_not_change_what_was_fitted(X):
    """Errors are those of the fit, whatever `set_params` says since."""
    graph = ScoreMatchingGaussian(graph=CHAIN, refit="score_matching").fit(X)
    box = ScoreMatchingGaussian(bounds=(-9, 9)).fit(X)
    before = [fitted.standard_errors("robust", X=X) for fitted in (graph, box)]
    graph.set_params(refit="mle", assume_centered=True)
    box.set_params(weight="power", weight_cap=1.0, assume_centered=True)
    for fitted, errors in zip((graph, box), before, strict=True):
        after = fitted.standard_errors("robust", X=X)
        for name in errors:
            assert_array_equal(after[name], errors[name])


def test_a_penalty_too_small_for_a_singular_table_is_refused(X):
    twins = np.column_stack([X, X[:, 0]])
    with pytest.raises(ValueError, match=r"singular to working precision\. Choose a larger"):
        ScoreMatchingGaussian(penalty="l2", alpha=1e-300).fit(twins)
    fitted = ScoreMatchingGaussian(penalty="l2", alpha=1e-3).fit(twins)
    assert np.isfinite(fitted.precision_).all()


@pytest.mark.parametrize("kind", ["diagonal", "spherical"])
def test_errors_and_losses_that_leave_the_range_are_refused(X, kind):
    large = ScoreMatchingGaussian(**KINDS[kind], assume_centered=True).fit(X * 1e150)
    with pytest.raises(ValueError, match="standard errors of this Gaussian leave the range"):
        large.standard_errors("robust", X=X * 1e150)
    with pytest.raises(ValueError, match="loss of this Gaussian leave the range"):
        ScoreMatchingGaussian(**KINDS[kind]).fit(X * 1e-100).loss(X * 1e100)


def test_small_columns_beside_a_constant_one_have_a_finite_loss(X):
    X = X * [1e-130, 1, 1]
    X[:, 1] = 3.0
    with pytest.warns(LinAlgWarning, match="constant columns"):
        fitted = ScoreMatchingGaussian("diag").fit(X)
    right = -0.5 * (1 / X[:, [0, 2]].var(axis=0)).sum()
    assert_allclose(fitted.loss_, right, rtol=1e-6)


def test_edge_tests_of_too_few_rows_are_refused():
    X = np.random.default_rng(0).normal(size=(2, 3))
    fitted = ScoreMatchingGaussian(penalty="l2", alpha=0.5).fit(X)
    with pytest.raises(ValueError, match="vary too little"):
        fitted.edges(X=X)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_odd_tables_give_clear_errors_or_finite_results(seed):
    """Constant, repeated, rounded, huge and tiny columns, few rows; every kind and method."""
    rng = np.random.default_rng(seed)
    for _ in range(15):
        p = int(rng.integers(1, 5))
        X = rng.normal(size=(int(rng.choice([2, 3, p + 1, 30])) + 1, p))
        for j in range(p):
            kind = rng.integers(7)
            X[:, j] = [
                X[:, j],
                np.full(len(X), rng.choice([0.0, 1, 1e10])),
                X[:, 0],
                np.round(X[:, j]),
                X[:, j] * 10.0 ** rng.choice([-300, -150, 150, 300]),
                X[:, j] + 10.0 ** rng.choice([3, 8, 15]),
                X.sum(axis=1),
            ][kind]
        half = rng.random((p, p)) < 0.4
        graph = half | half.T
        for options in [*KINDS.values(), {"bounds": "positive"}, {"missing": "em"}]:
            options = options | ({"graph": graph} if "graph" in options else {})
            check_every_method(ScoreMatchingGaussian(**options), X, rng)


def check_every_method(model, X, rng):
    """Fit and call everything; let pass only a plain ValueError or finite values."""
    X = np.abs(X) if model.bounds == "positive" else X
    table = np.where(rng.random(X.shape) < 0.2, np.nan, X) if model.missing == "em" else X
    far = np.vstack([X, X + 1e3, np.clip(X, -1e200, 1e200) * 1e100])
    calls = {
        "score_samples": lambda: np.maximum(model.score_samples(far), -1e300),
        "score_function": lambda: model.score_function(far),
        "sample": lambda: model.sample(3, 0),
        "edges": lambda: model.edges(1.0, X=X).pvalue,
        "loss": lambda: model.loss(X),
        "errors": lambda: list(model.standard_errors("robust", X=X).values()),
        "intervals": lambda: list(model.confidence_intervals(X=X).values()),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        try:
            model.fit(table)
        except ValueError as error:
            assert type(error) is ValueError  # noqa: PT017
            return
        for name, call in calls.items():
            try:
                values = call()
            except ValueError as error:
                assert type(error) is ValueError, name  # noqa: PT017
            else:
                assert all(np.isfinite(value).all() for value in flat(values)), name


def flat(values):
    """Arrays and numbers of nested lists and tuples."""
    if isinstance(values, list | tuple):
        return [leaf for part in values for leaf in flat(part)]
    return [values]
