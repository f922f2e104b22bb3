import re

import numpy as np
import pytest

from skgm._numerics.epochs import LogNormalizerStats, bounded_repetitions, train_epochs


class Script:
    """A model whose losses are written down; its parameters are the number of the epoch."""

    def __init__(self, losses, held_out=None, bursts_at=None):
        self._losses, self._held_out, self.epoch = losses, held_out, 0
        self._bursts_at = bursts_at

    def run(self):
        self.epoch += 1
        return self._losses[self.epoch - 1]

    def held_out(self):
        return self._held_out[self.epoch - 1]

    def train(self, **options):
        watch = None if self._held_out is None else self.held_out
        return train_epochs(self, self.run, held_out_loss=watch, **options)

    def snapshot(self):
        return self.epoch

    def restore(self, kept):
        self.epoch = kept

    def is_finite(self):
        return self.epoch != self._bursts_at


def test_training_stops_when_the_held_out_loss_rises_and_the_best_epoch_is_kept():
    model = Script([5, 4, 3, 2, 1], held_out=[3, 2, 2.5, 1, 0])
    history = model.train(max_iter=5)
    assert (model.epoch, history.best_iter) == (2, 2)
    assert not history.still_falling
    assert history.losses == [5, 4, 3]
    assert history.validation_losses == [3, 2, 2.5]


def test_patience_looks_past_a_rise():
    model = Script([5, 4, 3, 2, 1], held_out=[3, 2, 2.5, 1, 0])
    assert model.train(max_iter=5, n_iter_no_change=2).best_iter == 5


def test_a_fit_that_max_iter_ends_too_early_says_so():
    assert Script([5, 4], held_out=[3, 2]).train(max_iter=2).still_falling
    assert not Script([5, 4], held_out=[3, 3.5]).train(max_iter=2).still_falling


def test_a_gain_within_tol_does_not_prolong_the_fit_but_is_kept():
    model = Script([5, 4, 3], held_out=[3, 2.95, 2])
    history = model.train(max_iter=3, tol=0.1)
    assert (model.epoch, len(history.losses)) == (2, 2)


def test_without_held_out_rows_all_epochs_are_run():
    model = Script([1, 2, 3])
    history = model.train(max_iter=3)
    assert (model.epoch, history.best_iter, history.validation_losses) == (3, 3, [])


def test_a_callback_can_stop():
    model = Script([1, 2, 3])
    assert len(model.train(max_iter=3, on_epoch=lambda run: bool(run()) or True).losses) == 1


@pytest.mark.parametrize("losses", [[1, np.nan, 0], [1, np.inf, 0]])
def test_divergence_is_told_and_the_best_epoch_is_kept(losses):
    model = Script(losses, held_out=losses)
    history = model.train(max_iter=3)
    assert re.search(r"diverged in epoch 2.*learning_rate", history.fault)
    assert model.epoch == 1
    assert (history.losses, history.validation_losses) == ([1], [1])


@pytest.mark.parametrize("held_out", [None, [3, 2, 1]])
def test_parameters_that_explode_in_the_last_update_are_not_kept(held_out):
    """The loss of an epoch is that of the parameters before each step: it stays finite."""
    model = Script([3, 2, 1], held_out=held_out, bursts_at=3)
    history = model.train(max_iter=3)
    assert "diverged in epoch 3" in history.fault
    assert (model.epoch, history.best_iter, history.losses) == (2, 2, [3, 2])


@pytest.mark.parametrize(("losses", "bursts_at"), [([np.nan], None), ([1.0], 1)])
def test_divergence_at_once_raises(losses, bursts_at):
    with pytest.raises(ValueError, match=r"diverged in epoch 1.*Lower learning_rate"):
        Script(losses, bursts_at=bursts_at).train(max_iter=3)


def test_weights_stand_for_a_bounded_number_of_repetitions():
    small = np.array([3.0, 1.0, 2.5])
    assert bounded_repetitions(small) is small
    for weight in (1e7 * small, 1e300 * small, np.full(30_000, 1e5)):
        bounded = bounded_repetitions(weight)
        assert bounded.sum() == pytest.approx(max(20_000, 4 * len(weight)))
        assert np.allclose(bounded / weight, bounded[0] / weight[0], rtol=1e-12)


def test_stats_of_normalizers():
    stats = LogNormalizerStats.of(np.array([0.0, 1.0, -1.0, 0.0]))
    assert (stats.mean, stats.min, stats.max, stats.n_rows) == (0.0, -1.0, 1.0, 4)
    assert stats.sd == pytest.approx(np.sqrt(0.5))
