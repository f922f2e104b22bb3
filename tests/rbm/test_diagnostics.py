"""What a fitted estimator tells about the chains behind its rows."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skgm.rbm import BernoulliRBMCD, SamplingDiagnostics, _sampling, sampling_diagnostics
from skgm.rbm._sampling import sample_rows


@pytest.fixture
def fitted():
    rows = np.random.default_rng(0).random((40, 5)) < 0.4
    return BernoulliRBMCD(3, n_iter=2, random_state=0).fit(rows)


def test_an_unfitted_estimator_has_none():
    with pytest.raises(NotFittedError):
        sampling_diagnostics(BernoulliRBMCD(3))


def test_small_machines_are_drawn_exactly(fitted):
    assert sampling_diagnostics(fitted, 10) == SamplingDiagnostics("exact")


def test_a_seed_describes_the_call_of_sample_with_that_seed(fitted, monkeypatch):
    monkeypatch.setattr(_sampling, "_MAX_ENUMERATED", 1)
    diagnostics = sampling_diagnostics(fitted, 20, random_state=3)
    rows, expected = sample_rows(fitted._parameters, 20, np.random.default_rng(3))
    assert diagnostics == expected
    assert diagnostics.method == "tempered"
    assert (fitted.sample(20, random_state=3) == rows).all()
