"""Trust in a network, measured on rows that it has not seen."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_wine, make_moons

from skgm import DDPM
from skgm.diffusion._calibration import (
    CalibratedDenoiser,
    Calibration,
    Trial,
    calibrate,
    calibrate_level,
    hold_out,
)
from skgm.diffusion._empirical import EmpiricalDenoiser
from skgm.diffusion._network import Architecture, NetworkDenoiser
from skgm.diffusion._training import Table
from tests.diffusion.denoisers import MixtureDenoiser

PHI_MIN = np.arctan(0.02)


def test_one_level_is_a_regression():
    rng = np.random.default_rng(0)
    u, rest, noise = rng.standard_normal((3, 400, 3))
    value = 0.3 * u + rest
    target = 0.5 * rest + noise
    weight = rng.integers(0, 3, size=400).astype(float)
    factor, drift, gain = calibrate_level(u, value, target, weight)
    # by least squares on stacked columns: the part of F beside u, then the target on that
    root = np.sqrt(np.repeat(weight, 3))
    a, b, c = (root * part.ravel() for part in (u, value, target))
    along = np.linalg.lstsq(a[:, None], b, rcond=None)[0][0]
    slope = np.linalg.lstsq((b - along * a)[:, None], c, rcond=None)[0][0]
    assert_allclose([factor, drift], [slope, -slope * along], rtol=1e-10)
    left = c - factor * b - drift * a
    assert_allclose(gain, (c @ c - left @ left) / weight.sum(), rtol=1e-10)


@pytest.mark.parametrize("sign", [-1.0, 0.0])
def test_output_that_does_not_help_is_dropped(sign):
    rng = np.random.default_rng(0)
    u, target = rng.standard_normal((2, 100, 2))
    assert calibrate_level(u, sign * target, target)[0] == 0.0


def test_the_exact_denoiser_is_trusted_and_its_gain_is_the_likelihood_ratio():
    rng = np.random.default_rng(0)
    centers = np.array([[0.9, 0.0], [-0.9, 0.0], [0.0, 0.9], [0.0, -0.9]])
    exact = MixtureDenoiser(centers, np.sqrt(1 - 0.405))  # unit covariance
    rows = exact.draw(4000, rng)
    calibration, gain = calibrate(exact, Table(rows), PHI_MIN, rng)
    middle = (calibration.angles > 0.3) & (calibration.angles < 1.0)
    assert_allclose(calibration.factors[middle], 1.0, atol=0.15)
    assert_allclose(calibration.drifts, 0.0, atol=0.02)
    normal = -0.5 * (rows**2).sum(axis=1) - np.log(2 * np.pi)
    ratio = exact.log_density(rows) - normal
    error = ratio.std() / np.sqrt(len(rows))
    # the gain is the same mean in other units of noise: its own error is of the same size
    assert abs(gain - ratio.mean()) < 4 * np.sqrt(2) * error


def test_a_memory_of_the_training_rows_is_not_trusted():
    rng = np.random.default_rng(0)
    train, fresh = rng.standard_normal((2, 60, 6))
    calibration, gain = calibrate(EmpiricalDenoiser(train), Table(fresh), PHI_MIN, rng)
    raw = EmpiricalDenoiser(train).velocity(0.9 * fresh, np.arctan(0.3))
    assert np.mean(raw * fresh) < -0.05  # it points to the middle of the training rows
    assert calibration.factors.max() < 0.5
    assert calibration.drifts.min() >= 0.0
    assert gain < 0.3  # nats per row of six columns: the Gaussian is the truth


def test_calibrated_derivatives_are_those_of_the_calibrated_values():
    rng = np.random.default_rng(0)
    architecture = Architecture(2, (8, 8))
    network = NetworkDenoiser(architecture, rng.standard_normal(architecture.n_weights), "v")
    angles = np.linspace(0.0, np.pi / 2, 7)
    calibration = Calibration(angles, np.linspace(0.2, 1.0, 7), np.linspace(0.1, 0.0, 7))
    denoiser = CalibratedDenoiser(network, calibration)
    u, w, step = rng.standard_normal((5, 2)), rng.standard_normal((5, 2)), 1e-6
    for phi in (0.4, np.linspace(0.1, 1.4, 5)):
        factor = np.interp(phi, [0.0, np.pi / 2], [0.2, 1.0]).reshape(-1, 1)
        drift = np.interp(phi, [0.0, np.pi / 2], [0.1, 0.0]).reshape(-1, 1)
        value = factor * network.velocity(u, phi) + drift * u
        assert_allclose(denoiser.velocity(u, phi), value, rtol=1e-12)
        ends = [denoiser.velocity(u + s * step * w, phi) for s in (-1, 1)]
        again, along = denoiser.velocity_jvp(u, phi, w)
        assert_allclose(again, value, rtol=1e-12)
        assert_allclose(along, (ends[1] - ends[0]) / (2 * step), rtol=1e-6, atol=1e-6)
        again, trace = denoiser.velocity_divergence(u, phi)
        assert_allclose(again, value, rtol=1e-12)
        columns = [denoiser.velocity_jvp(u, phi, np.tile(e, (5, 1)))[1] @ e for e in np.eye(2)]
        assert_allclose(trace, np.sum(columns, axis=0), rtol=1e-10)
        again, jacobian = denoiser.velocity_jacobian(u, phi)
        assert_allclose(again, value, rtol=1e-12)
        assert_allclose(np.einsum("nij,nj->ni", jacobian, w), along, rtol=1e-10)


def test_a_trial_stops_after_looks_without_gain_and_keeps_the_best():
    rng = np.random.default_rng(0)
    exact = MixtureDenoiser(np.array([[1.0, 0.0], [-1.0, 0.0]]), 0.3)
    trial = Trial(Table(exact.draw(200, rng)), PHI_MIN, 0)
    zero = CalibratedDenoiser(exact, Calibration(np.array([0.0, 1.6]), np.zeros(2), np.zeros(2)))
    assert not trial.is_due(49)
    assert trial.is_due(50)
    assert not trial.is_time_to_stop(exact, 50)
    assert not trial.is_due(69)
    assert trial.is_due(70)
    stops = [trial.is_time_to_stop(zero, n) for n in (70, 98, 138)]
    assert stops == [False, False, True]
    assert trial.best is not None
    assert trial.best[0] is exact
    assert trial.best[2] == 50


def test_held_out_rows_are_the_others_and_repetitions_are_weights():
    rng = np.random.default_rng(0)
    rows, codes = rng.standard_normal((50, 2)), rng.integers(0, 2, size=50)
    weight = rng.integers(0, 4, size=50)
    repeated = rng.permutation(np.repeat(np.arange(50), weight))
    positive = weight > 0
    tables = (
        Table(rows[positive], codes[positive], weight[positive].astype(float)),
        Table(rows[repeated], codes[repeated]),
    )
    splits = [hold_out(table, 0.2, np.random.default_rng(1)) for table in tables]
    for one, two in zip(*splits):
        assert_array_equal(one.rows, two.rows)
        assert_array_equal(one.codes, two.codes)
        assert_array_equal(one.weight, two.weight)
    kept, out = splits[0]
    assert out.n_rows == round(0.2 * weight.sum())
    together = {}
    for part in (kept, out):
        for row, count in zip(part.rows, part.weight):
            together[row[0]] = together.get(row[0], 0) + count
    assert together == {row[0]: count for row, count in zip(rows, weight) if count}


def test_rows_of_broken_weight_are_held_out_whole():
    rng = np.random.default_rng(0)
    rows, weight = rng.standard_normal((20, 2)), rng.random(20)
    kept, out = hold_out(Table(rows, None, weight), 0.2, rng)
    assert (len(kept.rows), len(out.rows)) == (16, 4)
    assert not set(kept.rows[:, 0]) & set(out.rows[:, 0])
    assert_allclose(kept.n_rows + out.n_rows, weight.sum(), rtol=1e-12)


@pytest.mark.slow
def test_fit_calibrates_short_tables_only_and_not_where_updates_are_given():
    X, _ = make_moons(80, noise=0.1, random_state=0)
    model = DDPM(random_state=0).fit(X)
    assert isinstance(model._calibration, Calibration)
    assert model.n_iter_ <= 1000  # ten per row of the trial, scaled up to all rows
    for other in (
        DDPM(random_state=0, max_iter=30).fit(X),
        DDPM(random_state=0, early_stopping=True).fit(X),
        DDPM(random_state=0).fit(X[:49]),
        DDPM(random_state=0).partial_fit(X),
    ):
        assert other._calibration is None
    assert model.set_params(max_iter=30).fit(X)._calibration is None  # nothing is left behind


def test_a_weight_is_that_many_rows_in_the_trial_too():
    X, y = load_wine(return_X_y=True)
    X, weight = X[:, :4], np.random.default_rng(0).integers(0, 3, size=len(X))
    one = DDPM(class_conditional=True, random_state=0).fit(X, y, weight)
    two = DDPM(class_conditional=True, random_state=0).fit(
        np.repeat(X, weight, axis=0), np.repeat(y, weight)
    )
    assert_array_equal(one.weights_, two.weights_)
    assert_array_equal(one._calibration.factors, two._calibration.factors)
    assert one.n_iter_ == two.n_iter_


@pytest.mark.slow
def test_normal_rows_are_left_to_the_fitted_gaussian():
    rng = np.random.default_rng(0)
    X, fresh = rng.standard_normal((120, 6)), rng.standard_normal((1000, 6))
    truth = -0.5 * (fresh**2).sum(axis=1) - 3 * np.log(2 * np.pi)

    def lost(model):
        return np.mean(truth - model.fit(X).score_samples(fresh))

    # the fitted mean and covariance alone cost about 27 / 120 nats; 0.05 of sampling error
    calibrated = lost(DDPM(random_state=0))
    assert calibrated < 0.35
    assert lost(DDPM(random_state=0, max_iter=300)) > calibrated + 0.2


def test_samples_of_short_tables_are_as_wide_as_the_rows():
    X, y = load_wine(return_X_y=True)

    def width(model):
        rows = model.fit(X, y).sample(random_state=0, y=np.repeat(y, 5))
        parts = [rows[np.repeat(y, 5) == k].var(axis=0) / X[y == k].var(axis=0) for k in range(3)]
        return np.mean(parts)

    assert 0.9 < width(DDPM(class_conditional=True, random_state=0)) < 1.1
    assert width(DDPM(class_conditional=True, random_state=0, max_iter=450)) < 0.9
