"""Sums of trees by bit vectors: the numbers of scikit-learn's own evaluation, node by node."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import HistGradientBoostingClassifier

from skgm import NCEDensity, _sklearn
from skgm._numerics.forest import Forest
from skgm._sklearn import boosted_forest

RNG = np.random.default_rng(0)


def table(n, holes=0.0, d=4):
    X = RNG.normal(size=(n, d))
    X[:, 1] = np.round(X[:, 1])
    X[RNG.random(X.shape) < holes] = np.nan
    return X


def boosted(X, **options):
    y = np.nan_to_num(X[:, 0] * X[:, 1] - X[:, 2]) > 0.3
    settings = {"max_iter": 20, "early_stopping": False, **options}
    return HistGradientBoostingClassifier(**settings).fit(X, y)


@pytest.mark.parametrize("holes", [0.0, 0.2])
@pytest.mark.parametrize("options", [{}, {"max_leaf_nodes": 32}, {"max_depth": 1}, {"max_iter": 1}])
def test_it_gives_the_decision_function_of_boosted_trees(holes, options):
    models = [boosted(table(600, holes), **options) for _ in range(2)]
    forest = boosted_forest(models)
    rows = np.vstack(
        [
            table(700, holes),
            models[0]._predictors[0][0].nodes["num_threshold"][:1, None] * np.ones(4),
        ]
    )  # also a row on a threshold
    wanted = np.mean([model.decision_function(rows) for model in models], axis=0)
    assert_allclose(forest(rows), wanted, rtol=0, atol=1e-13)
    assert_array_equal(forest(rows[5:6]), forest(rows)[5:6])


@pytest.mark.parametrize("p", [0, 1, 3, 4])
def test_pairs_of_parts_are_rows_side_by_side(p):
    X = table(600, 0.1)
    forest = boosted_forest([boosted(X)])
    left, right = table(900, 0.1)[:, :p], table(7, 0.1)[:, p:]
    rows, places = np.sort(RNG.integers(0, 900, 2000)), RNG.integers(0, 7, 2000)
    wanted = forest(np.hstack([left[rows], right[places]]))
    assert_array_equal(forest.at_pairs(left, right, rows, places), wanted)


@pytest.mark.parametrize("columns", [[1], [0, 3], [True, False, False, True]])
def test_categories_go_where_the_trees_send_them(columns):
    X, models = table(900, 0.1), []
    X[:, [0, 1, 3]] = RNG.integers(0, [3, 7, 40], (900, 3))
    X[::9, 1] = X[::13, 3] = np.nan
    for part in (X, X[X[:, 3] < 30]):  # some codes are new to the second
        models.append(boosted(part, categorical_features=columns))
    forest, rows = boosted_forest(models), np.vstack([X, X[:5]])
    rows[-5:, 3] = 99  # new to both
    wanted = np.mean([model.decision_function(rows) for model in models], axis=0)
    assert_allclose(forest(rows), wanted, rtol=0, atol=1e-13)


def test_trees_that_never_split_are_constants():
    X = table(100)
    model = boosted(X, min_samples_leaf=90)
    assert_allclose(boosted_forest([model])(X), model.decision_function(X), rtol=1e-12)
    assert_array_equal(Forest.of([], 0.5)(X), np.full(100, 0.5))


def test_other_classifiers_answer_for_themselves(monkeypatch):
    X = table(600)
    assert boosted_forest([boosted(X, max_leaf_nodes=60, min_samples_leaf=3)]) is None
    assert boosted_forest([boosted(X)]) is not None
    X[:, 1] = RNG.integers(-1, 4, 600)  # no codes 0, 1, ...
    assert boosted_forest([boosted(X, categorical_features=[1])]) is None
    several = HistGradientBoostingClassifier(max_iter=2).fit(X, np.arange(600) % 3)
    assert boosted_forest([several]) is None
    monkeypatch.setattr(_sklearn, "_layout_is_known", lambda: False)
    assert boosted_forest([boosted(X)]) is None


def test_densities_are_the_same_with_the_classifiers_own_evaluation(monkeypatch):
    X = RNG.normal(size=(300, 2)) * np.exp(RNG.normal(size=(300, 1)))
    fast = NCEDensity(n_critics=2, random_state=0, lattice="ignore").fit(X)
    assert "_forest" not in pickle.loads(pickle.dumps(fast))._critic.__dict__
    monkeypatch.setattr("skgm.nce._classifiers.boosted_forest", lambda members: None)
    slow = NCEDensity(n_critics=2, random_state=0, lattice="ignore").fit(X)
    assert_allclose(fast.score_samples(X), slow.score_samples(X), rtol=1e-12)
    assert_allclose(fast.sample(50, 0), slow.sample(50, 0))
