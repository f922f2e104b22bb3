"""The parts of training: start, plan, average, monitor, tables, callbacks."""

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.utils.fixes import parse_version

from skgm import BernoulliRBMCD
from skgm.rbm._energy import hidden_probabilities, pseudo_log_likelihood
from skgm.rbm._rows import TrainingRows
from skgm.rbm._training import (
    IterateAverage,
    PseudoLikelihoodMonitor,
    initial_parameters,
    make_plan,
    resolve_decay,
    resolve_rate,
)
from tests.rbm.enumerated import Joint, machine


def test_the_start_has_the_means_of_the_data():
    """To first order in the weights, which are 0.01; hidden units are undecided there."""
    mean = np.array([0.02, 0.3, 0.5, 0.9])
    start = initial_parameters(mean, 3, np.random.default_rng(0))
    joint = Joint(start)
    assert_allclose((joint.p_visible @ joint.v).astype(float), mean, atol=1e-3)
    assert_allclose(hidden_probabilities(mean[None], start), 0.5)


@pytest.mark.parametrize(
    ("n_batches", "n_updates", "per_iteration"),
    [
        (1, 150, 7),  # 150 epochs at most, looked at 20 times at least
        (26, 3900, 182),
        (320, 5120, 320),
        (2000, 20_000, 2000),  # 10 epochs at least
        (50_000, 100_000, 50_000),
        (10**12, 100_000, 100_000),  # a part of an epoch
    ],
)
def test_the_automatic_plan(n_batches, n_updates, per_iteration):
    plan = make_plan("auto", n_batches, learning_rate=1.0)
    assert (plan.n_updates, plan.updates_per_iteration) == (n_updates, per_iteration)
    assert (plan.n_iterations - 1) * per_iteration < n_updates <= plan.n_iterations * per_iteration


@pytest.mark.parametrize(("n_columns", "rate"), [(4, 1.0), (100, 1.0), (400, 0.25)])
def test_the_automatic_rate_falls_with_the_total_variance(n_columns, rate):
    assert_allclose(resolve_rate("auto", np.full(n_columns, 0.5)), rate)
    assert resolve_rate(0.3, np.full(n_columns, 0.5)) == 0.3


def test_small_tables_of_gray_rows_are_drawn_5000_times():
    plan = make_plan("auto", 3, fresh_draws=True, learning_rate=1.0)
    assert 5000 <= plan.n_updates <= 5002


@pytest.mark.parametrize(("k", "decay"), [(10, 0.2), (50, 1.0), (512, 1.0)])
def test_the_automatic_weight_decay(k, decay):
    """Total variance 40 / 4 + 20 * .09 = 11.8; min(1, k / 50) V / (120 sqrt(n))."""
    mean = np.repeat([0.5, 0.1], [40, 20])
    assert_allclose(resolve_decay("auto", k, mean, 2500), decay * 11.8 / 6000)
    assert resolve_decay(0.3, k, mean, 2500) == 0.3


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_gray_rows_are_drawn_afresh(make):
    """4000 draws: 4.5 standard errors of 0.008."""
    gray = np.array([[0.0, 0.2, 1.0, 0.7]])
    rows, rng = TrainingRows(make(gray), None), np.random.default_rng(0)
    assert rows.gray
    rows.center(np.zeros(5, dtype=np.float32))
    written = np.empty((4000, 5), dtype=np.float32)
    rows.write(np.zeros(4000, dtype=int), written, rng)
    assert_array_equal(written[:, -1], 1)
    for drawn in (written[:, :-1], rows.draw(np.zeros(4000, dtype=int), rng)):
        assert set(np.unique(drawn)) == {0, 1}
        assert_allclose(drawn.mean(axis=0), gray[0], atol=0.036)
    assert not TrainingRows(make(gray > 0.5), None).gray


def test_an_integer_is_epochs():
    plan = make_plan(7, 3, learning_rate=0.5, linear=False)
    assert (plan.n_updates, plan.updates_per_iteration, plan.n_iterations) == (21, 3, 7)
    assert (plan.rates(20) == 0.5).all()


def test_the_rate_falls_linearly_to_zero():
    plan = make_plan(10, 10, learning_rate=2.0)
    assert_allclose([plan.rates(t)[0] for t in (0, 50, 99)], [2.0, 1.0, 0.02])


def test_late_iterates_weigh_more():
    """Weights (t + 1)(t + 2)(t + 3): as t cubed for all but the first few."""
    iterates = np.random.default_rng(0).standard_normal((40, 3, 2)).astype(np.float32)
    average = IterateAverage(np.full((3, 2), 99, dtype=np.float32))
    for matrix in iterates:
        average.include(matrix)
    t = np.arange(len(iterates))
    weight = (t + 1) * (t + 2) * (t + 3)
    assert_allclose(
        average.matrix, np.average(iterates, axis=0, weights=weight), rtol=1e-4, atol=1e-5
    )


def test_a_monitor_of_all_flips_is_the_pseudo_likelihood():
    p = machine(3, 5)
    rows = np.random.default_rng(0).integers(0, 2, size=(20, 5)).astype(float)
    exact = -pseudo_log_likelihood(rows, p).mean()
    assert_allclose(PseudoLikelihoodMonitor(rows, 5, np.random.default_rng(0))(p), exact)
    some = [PseudoLikelihoodMonitor(rows, 1, np.random.default_rng(s))(p) for s in range(400)]
    assert abs(np.mean(some) - exact) < 4.5 * np.std(some) / 20  # unbiased
    monitor = PseudoLikelihoodMonitor(rows, 2, np.random.default_rng(0))
    assert monitor(p) == monitor(p)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_rows_of_a_table(make):
    X = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0], [0, 1, 1.0]])
    rows = TrainingRows(make(X), np.array([1.0, 2.0, 0.0, 1.0]))
    assert_allclose(rows.mean(), (np.array([2, 2, 2]) + 0.5) / 5)
    rng = np.random.default_rng(0)
    assert_array_equal(rows.draw(np.array([3, 1]), rng), X[[3, 1]])
    center = np.array([0.5, 0.25, 0.0, 0.0], dtype=np.float32)
    rows.center(center)
    out = np.full((2, 4), np.nan, dtype=np.float32)
    rows.write(np.array([1, 0]), out, rng)
    assert_array_equal(out, np.column_stack([X[[1, 0]], [1, 1]]) - center)
    keys = rows.keys if isinstance(rows.keys, np.ndarray) else rows.keys.toarray()
    assert (keys[0] == keys[3]).all()
    assert (keys[0] != keys[1]).any()


def test_the_loss_curve_falls_and_is_in_nats(table):
    model = BernoulliRBMCD(4, random_state=0).fit(table)
    assert model.loss_curve_[-1] < model.loss_curve_[0] - 0.5
    # of a sample of 50 rows, one unit each: standard error of 6 units about 0.5
    assert abs(model.loss_curve_[-1] + model.pseudo_log_likelihood(table).mean()) < 2.0
    assert model.n_iter_ == 150


def test_rescaled_sparsity_target_is_reached(table):
    plain = BernoulliRBMCD(8, random_state=0).fit(table)
    sparse_model = BernoulliRBMCD(
        8, sparsity_target=0.1, sparsity_cost=1.0, random_state=0, schedule="constant"
    ).fit(table)
    activity = [m.transform(table).mean() for m in (plain, sparse_model)]
    assert abs(activity[1] - 0.1) < min(0.1, abs(activity[0] - 0.1))


def test_weight_decay_shrinks_the_weights(table):
    norms = [
        np.linalg.norm(BernoulliRBMCD(4, random_state=0, weight_decay=d).fit(table).components_)
        for d in (0.0, "auto", 0.1)
    ]
    assert norms[0] > norms[1] > norms[2]


@pytest.mark.parametrize("center", [True, False])
def test_flipped_tables_are_learned_as_well_when_centered(center, table, other_rows):
    """Rare zeros instead of rare ones: plain gradients need a small learning rate."""
    rate = 1.0 if center else 0.1
    model = BernoulliRBMCD(4, random_state=0, center=center, learning_rate=rate)
    scores = [model.fit(t).score(X) for t, X in ((table, other_rows), (1 - table, 1 - other_rows))]
    assert abs(scores[0] - scores[1]) < 0.15


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"), reason="callbacks came with 1.9"
)
@pytest.mark.parametrize("method", ["pcd", "exact"])
def test_callbacks_see_usable_estimators_and_may_stop_the_fit(method, table):
    class Watch:
        def __init__(self):
            self.scores = []

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, X, fitted_estimator):
            if context.task_name == "epoch":
                self.scores.append(fitted_estimator.free_energy(X).mean())
                assert np.isfinite(fitted_estimator.score(X))  # a copy is usable in every way
                return len(self.scores) == 4
            return False

    watch = Watch()
    model = BernoulliRBMCD(3, method=method, n_iter=10, random_state=0)
    model.set_callbacks(watch).fit(table)
    assert model.n_iter_ == len(watch.scores) == 4
    assert len(set(watch.scores)) == 4


def test_verbose_shows_a_bar_and_leaves_no_trace(table, capsys):
    model = BernoulliRBMCD(3, n_iter=2, verbose=1, random_state=0).fit(table)
    silent = BernoulliRBMCD(3, n_iter=2, random_state=0).fit(table)
    assert not hasattr(model, "_skl_callbacks")
    assert_array_equal(model.components_, silent.components_)


def test_the_gap_of_free_energies_is_that_of_log_likelihoods(table):
    """The log-likelihood of held-out rows is in the curve, that of training rows in the rest."""
    options = {"method": "exact", "early_stopping": True, "validation_fraction": 0.5}
    model = BernoulliRBMCD(8, random_state=0, **options).fit(table[:30])
    held_out = -min(model.validation_curve_)
    training = 2 * model.score(table[:30]) - held_out
    assert_allclose(model.free_energy_gap_, training - held_out, rtol=1e-6)
    contrastive = BernoulliRBMCD(8, early_stopping=True, random_state=0).fit(table)
    assert abs(contrastive.free_energy_gap_) < 1
    assert not hasattr(contrastive.set_params(early_stopping=False).fit(table), "free_energy_gap_")
