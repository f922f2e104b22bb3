"""The estimator: what fit, partial_fit and the methods of a fitted machine promise."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.neural_network import BernoulliRBM

from skgm import BernoulliRBMCD
from skgm.rbm import _energy, _likelihood, _sampling
from tests.rbm.conftest import binary_table
from tests.rbm.enumerated import Joint, states

METHODS = ["pcd", "cd", "exact"]


def rbm(n_components=4, **options):
    return BernoulliRBMCD(n_components, **{"random_state": 0} | options)


def independent(train, X):
    p = train.mean(axis=0)
    return float(np.mean(X @ np.log(p) + (1 - X) @ np.log(1 - p)))


def parameters(model):
    return [model.components_, model.intercept_hidden_, model.intercept_visible_]


@pytest.mark.parametrize("method", METHODS)
def test_it_learns_the_structure(method, table, other_rows):
    """The patterns explain most of what independent units leave: 4.1 against 2.6 nats."""
    model = rbm(method=method).fit(table)
    assert model.score(other_rows) > independent(table, other_rows) + 1.0
    assert model.log_density_kind_ == "exact"


@pytest.mark.parametrize("method", METHODS)
def test_probabilities_of_all_rows_add_up_to_one(method, table):
    model = rbm(method=method).fit(table)
    assert_allclose(np.exp(model.score_samples(states(6))).sum(), 1, rtol=1e-10)


@pytest.mark.parametrize("options", [{}, {"method": "cd"}, {"early_stopping": True}])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_whole_weights_are_repetitions_in_any_order(options, dtype, table):
    """The very same fit: the same batches of the same values."""
    rng = np.random.default_rng(0)
    table = table[:60].astype(dtype)
    weight = rng.integers(0, 4, size=len(table))
    repeated = rng.permutation(np.repeat(table, weight, axis=0))
    one = rbm(**options).fit(table, sample_weight=weight)
    other = rbm(**options).fit(repeated)
    for a, b in zip(parameters(one), parameters(other)):
        assert_allclose(a, b, rtol=1e-6)
        assert a.dtype == dtype


def test_whole_weights_are_repetitions_for_the_exact_fit(table):
    weight = np.random.default_rng(0).integers(0, 4, size=len(table))
    one = rbm(2, method="exact").fit(table, sample_weight=weight)
    other = rbm(2, method="exact").fit(np.repeat(table, weight, axis=0))
    assert_allclose(one.score_samples(table), other.score_samples(table), atol=1e-3)


@pytest.mark.parametrize("n_left", [0, 1, 99])
def test_a_short_last_batch_does_no_harm(n_left):
    """scikit-learn's, with one row left over, is worse than independent units."""
    train, X = binary_table(500 + n_left), binary_table(seed=1)
    options = {"batch_size": 100, "n_iter": 60, "random_state": 0}
    assert BernoulliRBMCD(4, **options).fit(train).score(X) > independent(train, X) + 1.0


def test_scikit_learn_does_harm_there():
    """If this fails, the note under "See Also" is out of date."""
    train, X = binary_table(501), binary_table(seed=1)
    options = {"batch_size": 100, "n_iter": 60, "random_state": 0}
    theirs, ours = BernoulliRBM(4, **options).fit(train), rbm().fit(train)
    for name in ("components_", "intercept_hidden_", "intercept_visible_"):
        setattr(ours, name, getattr(theirs, name))
    assert ours.score(X) < independent(train, X)


@pytest.mark.parametrize("sizes", [[400], [1] * 60 + [340], [49, 1, 50, 300], [399, 1]])
def test_partial_fit_does_not_depend_on_the_parts(sizes, table):
    whole, parts = rbm().partial_fit(table), rbm()
    for part in np.split(table, np.cumsum(sizes)[:-1]):
        assert parts.partial_fit(part) is parts
    for a, b in zip([*parameters(whole), whole.h_samples_], [*parameters(parts), parts.h_samples_]):
        assert_array_equal(a, b)


def test_partial_fit_counts_weights_as_rows_in_their_place(table):
    weight = np.random.default_rng(0).integers(0, 4, size=len(table))
    whole = rbm().partial_fit(np.repeat(table, weight, axis=0))
    parts = rbm()
    for part, w in zip(np.split(table, [130, 131]), np.split(weight, [130, 131])):
        if w.any():
            parts.partial_fit(part, sample_weight=w)
    for a, b in zip(parameters(whole), parameters(parts)):
        assert_array_equal(a, b)


def test_partial_fit_takes_fractions_of_rows(table):
    """Weights of 1/2: two rows are one. No part is too small to give parameters."""
    model = rbm()
    for part in np.split(table, 100):
        assert np.isfinite(model.partial_fit(part, sample_weight=np.full(4, 0.5)).score(table))
    assert_allclose(model._stream["n_updates"] * 50 + len(model._stream["waiting"]), 200)


def test_partial_fit_learns(table, other_rows):
    model = rbm()
    for _ in range(40):
        model.partial_fit(table)
    assert model.score(other_rows) > independent(table, other_rows) + 1.0


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_partial_fit_goes_on_after_pickling_and_after_fit(momentum, table):
    model = rbm(momentum=momentum).fit(table)
    before = model.score(table)
    model.partial_fit(table[:120])
    copy = pickle.loads(pickle.dumps(model))
    for m in (model, copy):
        m.partial_fit(table[120:333])
    for a, b in zip(parameters(model), parameters(copy)):
        assert_array_equal(a, b)
    assert abs(model.score(table) - before) < 0.05  # few more updates, at a small rate
    refitted = model.fit(table)
    assert_allclose(refitted.score(table), before)


def test_partial_fit_needs_batches():
    assert not hasattr(rbm(method="exact"), "partial_fit")


def test_partial_fit_goes_on_with_other_settings(table):
    model = rbm().partial_fit(table)
    model.set_params(n_components=9, n_chains=7, batch_size=30, learning_rate=0.1)
    assert model.partial_fit(table).components_.shape == (4, 6)


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix])
def test_sparse_tables(make, table, other_rows):
    """Everything is the same as of the dense table; the fit sees its rows in another order."""
    model = rbm().fit(make(table))
    assert model.score(other_rows) > independent(table, other_rows) + 1.0
    for name in ("transform", "score_samples", "free_energy", "pseudo_log_likelihood"):
        found = getattr(model, name)(make(other_rows))
        assert_allclose(found, getattr(model, name)(other_rows), rtol=1e-10)
    stream = rbm().partial_fit(make(table))
    assert_array_equal(stream.components_, rbm().partial_fit(table).components_)


def test_sparse_weights_are_repetitions(table):
    weight = np.random.default_rng(0).integers(0, 3, size=len(table))
    one = rbm().fit(sparse.csr_array(table), sample_weight=weight)
    other = rbm().fit(sparse.csr_array(np.repeat(table, weight, axis=0)))
    assert_allclose(one.components_, other.components_, rtol=1e-6)


def test_gray_values_are_probabilities(table):
    """In training and transform; no row of gray values has a probability."""
    gray = 0.05 + 0.9 * table
    model = rbm().fit(gray)
    assert_allclose(model.sample(4000, random_state=0).mean(axis=0), gray.mean(axis=0), atol=0.05)
    assert_array_equal(model.score_samples(gray[:3]), -np.inf)
    assert np.isfinite(model.score(table))
    assert np.isfinite(model.transform(gray)).all()


def test_values_outside_are_thresholded_with_a_warning(table):
    wide = 10 * table - 3
    with pytest.warns(DataConversionWarning, match=r"-3 to 7.*X > 0.5.*binarize"):
        model = rbm().fit(wide)
    named = rbm(binarize=0.5).fit(wide)  # silent
    plain = rbm().fit(table)
    for m in (model, named):
        assert_array_equal(m.components_, plain.components_)
        assert_array_equal(m.score_samples(wide), plain.score_samples(table))
        assert_array_equal(m.transform(wide), plain.transform(table))
    low = rbm(binarize=-1.0).fit(sparse.csr_array(wide))
    assert_array_equal(low.score_samples(sparse.csr_array(wide)), low.score_samples(wide))


def test_rescaled_columns_may_overshoot_a_little(table):
    model = rbm().fit(table * (1 + 1e-6))
    assert_array_equal(model.transform(1.02 * table), model.transform(table))


def test_nan_names_the_way_out(table):
    table[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"NaN in column 'x2' \(first at row 3\).*impute"):
        rbm().fit(table)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_divergence_is_an_error_with_a_cure(method, table):
    model = rbm(learning_rate=1e38, center=False, average=False)
    with pytest.raises(ValueError, match=r"Training diverged.*Lower learning_rate"):
        getattr(model, method)(table)
    assert not hasattr(model, "components_")


def test_too_large_a_layer_cannot_be_enumerated():
    X = np.random.default_rng(0).integers(0, 2, size=(30, 21))
    with pytest.raises(ValueError, match=r"at most 20 units, got n_components=21 and 21 features"):
        rbm(21, method="exact").fit(X)


def test_an_exact_fit_that_has_not_finished_says_so(table):
    with pytest.warns(ConvergenceWarning, match=r"after 3 iterations.*Raise n_iter"):
        model = rbm(method="exact", n_iter=3).fit(table)
    assert model.n_iter_ == len(model.loss_curve_) == 3


@pytest.mark.parametrize("method", METHODS)
def test_early_stopping_holds_out_rows(method, table):
    model = rbm(method=method, early_stopping=True, n_iter_no_change=2, n_iter=300)
    model.fit(table)
    assert 3 <= model.n_iter_ < 300
    assert len(model.validation_curve_) == len(model.loss_curve_)
    best = int(np.argmin(model.validation_curve_))
    assert best < len(model.validation_curve_) - 1
    with pytest.raises(ValueError, match=r"early_stopping holds out .* leaves none of 1 row"):
        clone(model).fit(table[:1])


def test_the_exact_fit_is_the_maximum(table):
    """No other method, and no step away from it, has a higher likelihood."""
    best = rbm(2, method="exact", weight_decay=0.0, n_iter=2000).fit(table)
    top = best.score(table)
    assert top > rbm(2, weight_decay=0.0).fit(table).score(table)
    rng = np.random.default_rng(0)
    for _ in range(10):
        other = clone(best).fit(table)
        other.components_ = best.components_ + 0.05 * rng.standard_normal((2, 6))
        assert other.score(table) < top + 1e-6


def test_methods_agree_with_the_list_of_all_states(table):
    model = rbm(3).fit(table)
    joint = Joint(model._parameters)
    log_p = np.log(joint.p_visible.astype(float))
    assert_allclose(model.score_samples(joint.v), log_p, rtol=1e-9)
    assert_allclose(-model.free_energy(joint.v) - model.log_partition().value, log_p, rtol=1e-9)
    given_v = (joint.p @ joint.h / joint.p_visible[:, None]).astype(float)
    assert_allclose(model.transform(joint.v), given_v, rtol=1e-9)
    h = np.tile(joint.h[5], (len(joint.v), 1))
    assert_allclose(model.energy(joint.v, h), -joint.log_mass[:, 5].astype(float), rtol=1e-9)
    interval = model.score_interval(joint.v)
    assert_array_equal(interval, model.score_samples(joint.v)[:, None] * [1, 1])
    with pytest.raises(ValueError, match=r"h must have shape \(64, 3\)"):
        model.energy(joint.v, h[:2])


def test_gibbs_is_one_step_of_the_chain(table):
    """4000 steps from each of two rows: standard error 0.008 of each mean; 4.5 of them."""
    model = rbm(3).fit(table)
    joint = Joint(model._parameters)
    up = (joint.p / joint.p_visible[:, None]).astype(float)
    down = (joint.p / joint.p.sum(axis=0)).T.astype(float)
    for i in (7, 50):
        v = model.gibbs(np.repeat(joint.v[i : i + 1], 4000, axis=0), random_state=0)
        assert v.dtype == bool
        assert_allclose(v.mean(axis=0), (up @ down)[i] @ joint.v, atol=0.036)
    assert not np.array_equal(model.gibbs(table), model.gibbs(table))


@pytest.mark.parametrize("options", [{}, {"method": "cd"}, {"n_chains": 9}, {"method": "exact"}])
def test_hidden_samples_are_those_of_the_chains(options, table):
    model = rbm(**options).fit(table.astype(np.float32))
    assert model.h_samples_.shape == (options.get("n_chains", 50), 4)
    assert model.h_samples_.dtype == np.float32
    assert set(np.unique(model.h_samples_)) <= {0, 1}


def test_log_partition_is_remembered(table):
    model = rbm().fit(table)
    found = model.log_partition()
    assert model.log_partition() is found
    assert pickle.loads(pickle.dumps(model)).log_partition() == found
    assert clone(model).fit(table).log_partition() == found
    model.partial_fit(table)
    assert model.log_partition() != found


def test_log_partition_of_a_large_machine_is_an_estimate_with_a_seed():
    """30 independent units of each kind, whose log Z is known: 60 log 2 if nothing is learned."""
    X = np.random.default_rng(0).integers(0, 2, size=(40, 30)).astype(float)
    model = rbm(30, n_iter=1, learning_rate=1e-9).fit(X)
    assert model.log_density_kind_ == "estimate"
    found = model.log_partition()
    b, c, W = (np.asarray(a, float) for a in reversed(parameters(model)))
    first_order = np.logaddexp(0, b).sum() + np.logaddexp(0, c + W @ (1 / (1 + np.exp(-b)))).sum()
    assert abs(found.value - first_order) < 0.1  # the weights are 0.01: of second order
    assert found.interval[0] <= found.value <= found.interval[1]
    assert pickle.loads(pickle.dumps(model)).score(X) == model.score(X)
    low, high = model.score_interval(X).T
    assert_allclose(high - low, found.interval[1] - found.interval[0])


def test_conditional_draws_are_of_the_model(table):
    """4000 draws: 4.5 standard errors of 0.008."""
    model = rbm(3).fit(table)
    joint = Joint(model._parameters)
    given = np.array([[1, np.nan, 1, 0, np.nan, np.nan]])
    rows = model.sample(4000, random_state=0, given=given)
    fits = (joint.v[:, [0, 2, 3]] == [1, 1, 0]).all(axis=1)
    p = joint.p_visible[fits].astype(float)
    assert_allclose(rows.mean(axis=0), p @ joint.v[fits] / p.sum(), atol=0.036)
    assert_array_equal(model.impute(given, random_state=0)[0, [0, 2, 3]], [1, 1, 0])


def test_features_have_names(table):
    model = rbm(2).set_output(transform="pandas").fit(table)
    assert model.transform(table).columns.tolist() == ["bernoullirbmcd0", "bernoullirbmcd1"]


def test_it_takes_the_place_of_scikit_learns(table):
    """The same constructor call, fitted attributes and use as a transformer."""
    options = {"n_components": 3, "learning_rate": 0.1, "batch_size": 10, "n_iter": 5}
    options |= {"verbose": 0, "random_state": np.random.RandomState(0)}
    theirs, ours = BernoulliRBM(**options).fit(table), BernoulliRBMCD(**options).fit(table)
    for name in ("components_", "intercept_hidden_", "intercept_visible_", "h_samples_"):
        assert getattr(ours, name).shape == getattr(theirs, name).shape
    setting = [ours.components_, ours.intercept_hidden_, ours.intercept_visible_]
    theirs.components_, theirs.intercept_hidden_, theirs.intercept_visible_ = setting
    assert_allclose(ours.transform(table), theirs.transform(table), rtol=1e-10)


def long_weights(n_rows=40):
    """Rows whose weights sum to 60,000, more than an epoch takes."""
    rng = np.random.default_rng(3)
    return binary_table(n_rows, seed=3), rng.multinomial(60_000, rng.dirichlet(np.ones(n_rows)))


@pytest.mark.parametrize("options", [{}, {"method": "cd"}, {"early_stopping": True, "n_iter": 2}])
def test_large_weights_are_repetitions_too(options):
    rows, weight = long_weights()
    one = rbm(2, **options).fit(rows, sample_weight=weight)
    repeated = np.random.default_rng(0).permutation(np.repeat(rows, weight, axis=0))
    other = rbm(2, **options).fit(repeated)
    for a, b in zip(parameters(one), parameters(other)):
        assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_weights_of_any_size_take_no_more_updates_than_rows(method, make, other_rows):
    """A population of 10^14 per row: the weights alone would ask for petabytes."""
    rows, weight = long_weights()
    options = {"method": method, "n_iter": 12 if method == "exact" else 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # twelve iterations of the exact fit
        small = rbm(2, **options).fit(make(rows), sample_weight=weight)
        large = rbm(2, **options).fit(make(rows), sample_weight=weight * 10**10)
    assert large._stream["n_updates"] == small._stream["n_updates"] <= 1000
    assert_allclose(large.score(other_rows), small.score(other_rows), atol=0.05)


def test_partial_fit_reduces_large_weights_with_a_warning(table):
    weight = np.arange(400.0)
    with pytest.warns(UserWarning, match=r"sum to 7.98e\+16.*a sum of 25000.*common factor"):
        model = rbm().partial_fit(table, sample_weight=1e12 * weight)
    assert model._stream["n_updates"] == 500
    assert np.isfinite(model.score(table))


@pytest.mark.parametrize("first", ["fit", "partial_fit", None])
def test_partial_fit_goes_on_from_assigned_parameters(first, table):
    """As in scikit-learn; a part of no consequence shows what it goes on from."""
    rng = np.random.default_rng(0)
    assigned = {
        "components_": rng.standard_normal((5, 6)),
        "intercept_hidden_": rng.standard_normal(5),
        "intercept_visible_": rng.standard_normal(6),
    }
    model = rbm(4)
    if first is not None:
        getattr(model, first)(table)
    for name, array in assigned.items():
        setattr(model, name, array)
    model.set_params(n_components=5, learning_rate=1e-9, average=False)
    model.partial_fit(table)
    for name, array in assigned.items():
        assert_allclose(getattr(model, name), array, rtol=1e-5)
    model.components_ *= 2  # in place
    model.partial_fit(table[:7])
    assert_allclose(model.components_, 2 * assigned["components_"], rtol=1e-5)
    theirs = BernoulliRBM(5, learning_rate=1e-9, random_state=0)
    vars(theirs).update(assigned)
    theirs.partial_fit(table)
    assert_allclose(theirs.components_, assigned["components_"], rtol=1e-5)


def test_partial_fit_starts_from_assigned_weights_alone(table):
    """Hidden units are then on with probability 1/2 at the mean of the data."""
    model = rbm(2, learning_rate=1e-9, average=False)
    model.components_ = np.array([[1.0, 2, 0, 0, 0, -1], [0, 0, 1, 1, 1, 1]])
    expected = model.components_ @ ((table.sum(axis=0) + 0.5) / 401)
    assert_allclose(model.partial_fit(table).intercept_hidden_, -expected, rtol=1e-5)
    model.components_ = np.ones((2, 7))
    with pytest.raises(ValueError, match=r"components_ must be finite, of shape \(2, 6\)"):
        model.partial_fit(table)


def test_log_partition_follows_assigned_parameters(table):
    model = rbm(3).fit(table)
    assert_allclose(np.exp(model.score_samples(states(6))).sum(), 1, rtol=1e-10)
    model.components_ *= 3
    model.intercept_visible_ = model.intercept_visible_ - 1
    assert_allclose(np.exp(model.score_samples(states(6))).sum(), 1, rtol=1e-10)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_rows_are_taken_in_blocks(make, table, monkeypatch):
    """The same values as of the whole table, from temporaries of three rows."""
    model = rbm().fit(table)
    table[5, 2] = 0.5
    names = ("transform", "score_samples", "free_energy", "pseudo_log_likelihood", "score_interval")
    whole = [getattr(model, name)(make(table)) for name in names]
    largest = []
    function = _energy.hidden_probabilities
    monkeypatch.setattr(
        _likelihood,
        "hidden_probabilities",
        lambda v, p: largest.append(v.shape[0]) or function(v, p),
    )
    monkeypatch.setattr(_energy, "_BLOCK", 30)
    for name, expected in zip(names, whole):
        assert_allclose(getattr(model, name)(make(table)), expected, rtol=1e-12)
    assert model.gibbs(make(table), random_state=0).shape == (400, 6)
    assert max(largest) == 3


def test_rows_are_drawn_in_blocks(table, monkeypatch):
    model = rbm().fit(table)
    whole = model.sample(500, random_state=0)
    monkeypatch.setattr(_sampling, "_BLOCK", 60)
    assert_array_equal(model.sample(500, random_state=0), whole)


def one_hot(X, n_bins):
    edges = np.quantile(X, np.linspace(0, 1, n_bins + 1)[1:-1], axis=0)
    bins = (X[:, None] > edges).sum(axis=1)
    return np.concatenate([bins == level for level in range(n_bins)], axis=1).astype(float)


@pytest.mark.slow
def test_more_hidden_units_are_not_worse_on_one_hot_tables():
    """With a weight decay of 1 / n and one Gibbs step 256 units lost 4.7 nats to 16 here."""
    X = one_hot(load_breast_cancer().data, 4)
    X = X[np.random.default_rng(3).permutation(len(X))]
    scores = [rbm(k).fit(X[:398]).score(X[398:]) for k in (16, 256)]
    assert scores[1] > scores[0] - 0.5


@pytest.mark.parametrize("method", ["pcd", "exact", "stream"])
def test_gray_rows_are_learned_as_rows_drawn_from_them(method):
    """The two classes of columns go together only from row to row, by at most a quarter: taken as
    values, the columns vary so little that no weights are the best."""
    rng = np.random.default_rng(0)
    state = rng.random((200, 1))
    gray = np.hstack(
        [np.repeat(0.25 + 0.5 * state, 3, axis=1), np.repeat(0.75 - 0.5 * state, 3, 1)]
    )
    if method == "stream":
        model = rbm(2)
        for _ in range(100):
            model.partial_fit(gray[rng.permutation(200)])
    else:
        model = rbm(2, method=method, weight_decay=0.0).fit(gray)
    truth = np.cov(gray.T, bias=True)[0, [1, 5]]  # off the diagonal
    p = np.exp(model.score_samples(states(6)))
    found = np.cov(states(6).T, aweights=p, ddof=0)[0, [1, 5]]
    assert_allclose(found, truth, atol=0.5 * truth[0])
    assert found[0] > 0.5 * truth[0]
    assert np.abs(model.transform(gray).std(axis=0)).max() > 0.02
