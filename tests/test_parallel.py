"""One map for all parallel work: order, errors, warnings, seeds, and equal results."""

import warnings
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skgm import (
    DDPM,
    BernoulliRBMCD,
    DensityChain,
    DensityClassifier,
    KernelExpFamily,
    MLEDensity,
    MultipleImputer,
    NCEDensity,
    ScoreMatchingGaussian,
    ScoreMatchingGaussianCV,
    StackedDensity,
    compare_densities,
    goodness_of_fit,
)
from skgm._parallel import map_rows, ordered_map, worker_threads
from skgm._random import spawn
from skgm._warnings import warn_user

X = np.random.default_rng(0).normal(size=(60, 3)).cumsum(axis=1)
STACK = [("normal", ScoreMatchingGaussian()), ("chain", DensityChain(n_orders=1))]


def square(x):
    return x * x


def fail_at(value, rows):
    if value in rows:
        raise ValueError(f"{value:g} is no value")
    return rows.sum(axis=1)


def warn_of(x):
    warn_user(f"item {x}", UserWarning)
    return x


@pytest.mark.parametrize("n_jobs", [None, 1, 2])
def test_results_come_in_order(n_jobs):
    with worker_threads(2):
        assert list(ordered_map(square, iter(range(9)), n_jobs=n_jobs)) == [k * k for k in range(9)]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_names_the_rows(n_jobs):
    rows = np.arange(20.0)[:, None]
    with worker_threads(n_jobs), pytest.raises(ValueError, match="13 is no value") as caught:
        map_rows(partial(fail_at, 13.0), rows, size=5)
    assert caught.value.__notes__ == ["The error came in rows 10 to 14."]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_contexts_surround_the_items_in_order(n_jobs):
    seen = []

    @contextmanager
    def around(i, here):
        seen.append((i, here))
        yield

    with worker_threads(n_jobs):
        list(ordered_map(square, range(3), around=around))
    assert seen == [(i, n_jobs == 1) for i in range(3)]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_blocks_of_rows_do_not_depend_on_the_number_of_workers(n_jobs):
    rows = np.arange(22.0).reshape(-1, 2)
    with worker_threads(n_jobs):
        assert_array_equal(map_rows(square, rows, size=4), rows**2)


def draw(rng):
    return rng.normal(size=3)


def test_streams_are_drawn_before_the_work_is_handed_out():
    found = []
    for n_jobs in (1, 2):
        with worker_threads(n_jobs):
            found.append(np.stack(list(ordered_map(draw, spawn(0, 7)))))
    assert_array_equal(*found)
    assert len(np.unique(found[0])) == 21


ESTIMATORS = {
    "stack": StackedDensity(STACK, random_state=0),
    "nce": NCEDensity(random_state=0),
    "ddpm": DDPM(max_iter=20, random_state=0),
    "chain": DensityChain(random_state=0),
    "cv": ScoreMatchingGaussianCV(selection="cv"),
    "kernel": KernelExpFamily(10, random_state=0),
}


def results(estimator):
    fitted = estimator.fit(X)
    return fitted.score_samples(X), fitted.sample(5, random_state=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The normalizer is uncertain", "ignore:No kernel part")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_processes_give_the_same_bits(name):
    one, two = (results(ESTIMATORS[name].set_params(n_jobs=n)) for n in (1, 2))
    for first, second in zip(one, two):
        assert_array_equal(first, second)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_classes_of_a_classifier(n_jobs):
    y = np.arange(len(X)) % 3
    with worker_threads(n_jobs):
        found = DensityClassifier(calibration="temperature", random_state=0).fit(X, y)
    assert_array_equal(
        found.predict_proba(X),
        DensityClassifier(calibration="temperature", random_state=0).fit(X, y).predict_proba(X),
    )


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_imputer(n_jobs):
    holes = X.copy()
    holes[::7, 1] = np.nan
    expected = MultipleImputer(n_imputations=3, random_state=0).fit(holes)
    with worker_threads(n_jobs):
        found = MultipleImputer(n_imputations=3, random_state=0).fit(holes).transform_all(holes)
    assert_array_equal(np.stack(found), np.stack(expected.transform_all(holes)))
    assert_array_equal(found[0], expected.transform(holes))


def test_long_tables_are_drawn_and_scored_in_blocks(monkeypatch):
    density = DDPM(max_iter=20, random_state=0).fit(X)
    whole = density.score_samples(X)
    monkeypatch.setattr("skgm.diffusion._model._SCORED_AT_ONCE", 32)
    monkeypatch.setattr("skgm.diffusion._model._DRAWN_AT_ONCE", 16)
    found = []
    for n_jobs in (1, 2):
        with worker_threads(n_jobs):
            assert_array_equal(density.score_samples(X), whole)
            found.append(density.sample(40, random_state=0))
    assert_array_equal(*found)
    assert len(np.unique(found[0], axis=0)) == 40


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("method", ["bootstrap", "ad", "energy", "compare"])
def test_inference(method, n_jobs, monkeypatch):
    monkeypatch.setattr("skgm.inference._likelihood.bootstrap._RESAMPLES", 60)
    monkeypatch.setattr("skgm.inference._likelihood.bootstrap._AT_ONCE", 25)
    monkeypatch.setattr("skgm.metrics._goodness_of_fit._AT_ONCE", 7)
    normal, mixture = MLEDensity().fit(X), ScoreMatchingGaussian().fit(X)

    def found(**options):
        if method == "bootstrap":
            both = normal.confidence_intervals(method="bootstrap", X=X, random_state=0, **options)
            return np.stack([*both.low.values(), *both.high.values()])
        if method == "compare":
            return compare_densities(normal, mixture, X, **options).difference
        options |= {"statistic": method, "n_resamples": 20, "random_state": 0}
        return goodness_of_fit(normal, X, **options).null_distribution

    with worker_threads(n_jobs):
        assert_array_equal(found(), found(n_jobs=1))


@pytest.mark.filterwarnings("ignore:log Z is uncertain")
def test_a_machine(monkeypatch):
    monkeypatch.setattr("skgm.rbm._energy._BLOCK", 64)
    monkeypatch.setattr("skgm.rbm._log_partition._STEPS", (20, 20))
    table = np.random.default_rng(0).integers(0, 2, size=(60, 26))
    found = []
    for n_jobs in (1, 2):
        machine = BernoulliRBMCD(26, n_iter=1, random_state=0, n_jobs=n_jobs).fit(table)
        found.append(machine.score_samples(table))
    assert_array_equal(*found)


@pytest.mark.slow
def test_warnings_of_processes_are_issued_here():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert list(ordered_map(warn_of, range(2), n_jobs=2)) == [0, 1]
    assert [str(w.message).splitlines()[0] for w in caught] == ["item 0", "item 1"]
    assert caught[0].filename == __file__
