"""BernoulliRBMCD with holes in the training table."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.impute import SimpleImputer

from skgm import BernoulliRBMCD


def groups(n, seed=0):
    """Two groups of rows: mostly ones on the left, or on the right."""
    rng = np.random.default_rng(seed)
    p = np.where(rng.random((n, 1)) < 0.5, [[0.9] * 4 + [0.1] * 4], [[0.1] * 4 + [0.9] * 4])
    return (rng.random((n, 8)) < p).astype(float)


def holed(X, share=0.4, seed=1):
    return np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


@pytest.fixture
def machine():
    return BernoulliRBMCD(2, missing="draws", n_iter=60, random_state=0)


def test_holes_cost_little_where_filling_them_costs_much(machine):
    """By the exact likelihood of complete new rows."""
    X, new = groups(800), groups(4000, seed=2)
    complete = machine.fit(X).score(new)
    with_holes = machine.fit(holed(X)).score(new)
    filled = machine.fit(SimpleImputer(strategy="most_frequent").fit_transform(holed(X))).score(new)
    assert with_holes > complete - 0.06
    assert with_holes > filled + 0.15


def test_complete_tables_are_fitted_as_ever(machine):
    X = groups(100)
    expected = BernoulliRBMCD(2, n_iter=60, random_state=0).fit(X)
    assert np.array_equal(machine.fit(X).components_, expected.components_)
    rows = sparse.csr_array(X)
    assert np.array_equal(machine.fit(rows).components_, expected.fit(rows).components_)


def test_weights_and_order_decide_like_rows(machine):
    """A weight is so many rows, of which each draws its own holes: close, not equal."""
    X, weight = holed(groups(200)), np.random.default_rng(0).integers(0, 3, 200)
    machine.set_params(batch_size=20)
    new = groups(500, seed=3)
    weighted = machine.fit(X, sample_weight=weight).score(new)
    repeated = machine.fit(np.repeat(X, weight, axis=0)).score(new)
    assert weighted == pytest.approx(repeated, abs=0.15)
    assert np.array_equal(machine.fit(X).components_, machine.fit(X).components_)


def test_thresholds_and_gray_values_go_with_holes(machine):
    X = holed(groups(100))
    tens = machine.set_params(binarize=5.0).fit(10 * X)
    assert np.array_equal(tens.components_, machine.set_params(binarize=0.5).fit(X).components_)
    machine.set_params(binarize=None)
    gray = machine.fit(0.9 * X)
    assert gray.sample(2000, random_state=0).mean() == pytest.approx(0.45, abs=0.06)


def test_what_takes_no_holes_says_so(machine):
    X = holed(groups(40))
    with pytest.raises(ValueError, match="NaN in column"):
        BernoulliRBMCD(2).fit(X)
    with pytest.raises(ValueError, match="method='exact' needs complete rows"):
        machine.set_params(method="exact").fit(X)
    machine.set_params(method="pcd")
    with pytest.raises(ValueError, match="early_stopping=True needs complete rows"):
        machine.set_params(early_stopping=True).fit(X)
    machine.set_params(early_stopping=False).fit(X)
    with pytest.raises(ValueError, match="NaN"):
        machine.score_samples(X)
    assert np.isfinite(machine.score_samples(machine.impute(X, random_state=0))).all()
    X[:, 2] = np.nan
    with pytest.raises(ValueError, match="Column 'x2' of X has no value"):
        machine.fit(X)
