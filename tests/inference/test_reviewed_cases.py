"""Cases found by review: tiny samples at high levels, and resamples without an estimate."""

import numpy as np
import pytest
from scipy import stats

from skgm import MLEDensity


@pytest.mark.parametrize(
    ("family", "method", "values"),
    [
        ("gamma", "bartlett", [11.94162505, 2.7396926]),
        ("gamma", "bartlett", [1.52593834, 5.16176874, 4.19959191]),
        ("weibull", "rstar", [6.63138169, 0.03550932]),
        ("weibull", "bartlett", [6.63138169, 0.03550932]),
    ],
)
def test_an_end_past_the_largest_float_is_infinite(family, method, values):
    model = MLEDensity(family).fit(np.array(values)[:, None])
    found = model.confidence_intervals(0.999, method)
    assert np.isinf([end for ends in found.values() for end in ends]).any()
    for name, (low, high) in found.items():
        assert low < model.params_[name] < high
    low, high = model.confidence_intervals(0.9, method)["shape"]
    assert 0 < low < high < np.inf


def test_resamples_of_zeros_and_of_little_spread_leave_a_size_with_an_infinite_end():
    """{0, 7} resamples to itself (1/2), to zeros (no estimate) and to sevens (infinite size)."""
    counts = np.array([[0.0], [7.0]])
    model = MLEDensity("negative_binomial").fit(counts)
    found = model.confidence_intervals(0.95, "bootstrap", X=counts, random_state=0)
    assert found["size"] == (pytest.approx(model.params_["size"], rel=1e-9), np.inf)


def test_infinite_sizes_are_ordered_not_interpolated():
    counts = np.array([[10.0], [4.0], [2.0]])
    found = MLEDensity("negative_binomial").fit(counts)
    low, high = found.confidence_intervals(0.95, "bootstrap", X=counts, random_state=0)["size"]
    assert 0 < low < found.params_["size"]
    assert high == np.inf


def test_tied_resamples_of_cauchy_rows_are_left_out():
    rows = np.random.default_rng(0).standard_cauchy((5, 1))
    model = MLEDensity("cauchy").fit(rows)
    found = model.confidence_intervals(0.95, "bootstrap", X=rows, random_state=0)
    for name, estimate in model.params_.items():
        low, high = found[name]
        assert low < estimate < high


@pytest.mark.slow
def test_many_resamples_without_an_estimate_are_refused_in_words():
    rows = np.random.default_rng(3).standard_t(2, (12, 1))
    model = MLEDensity("student_t").fit(rows)
    with pytest.raises(ValueError, match="Too many bootstrap resamples have no estimate"):
        model.confidence_intervals(0.95, "bootstrap", X=rows, random_state=0)


def test_shapes_of_scipy_families_do_not_move_with_the_scale_of_the_data():
    """Differences in a real shape take steps of its own size, whatever the unit of the rows."""
    rows = stats.genextreme.rvs(0.05, loc=4, scale=0.2, size=(60, 1), random_state=0)
    model = MLEDensity("genextreme").fit(rows)
    for unit in (1e-6, 1e4):
        other = MLEDensity("genextreme").fit(rows * unit)
        assert other.params_["c"] == pytest.approx(model.params_["c"], rel=1e-6)
        for cov in ("model", "observed"):
            found = other.standard_errors(cov)["c"]
            assert found == pytest.approx(model.standard_errors(cov)["c"], rel=1e-6)
