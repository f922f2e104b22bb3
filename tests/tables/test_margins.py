"""Margins of one column: they integrate to one, agree with their draws, and know point masses."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import ks_2samp

from skgm.tables._margins import CategoryMargin, NumberMargin, resolution

RNG = np.random.default_rng(0)
COLUMNS = {
    "normal": RNG.normal(size=1000),
    "few normal": RNG.normal(size=60),
    "positive": RNG.lognormal(size=500),
    "zeros": np.where(RNG.random(1000) < 0.8, 0.0, RNG.lognormal(size=1000)),
    "code": np.where(RNG.random(1000) < 0.3, -999.0, RNG.normal(50, 10, size=1000)),
    "limit": np.minimum(RNG.normal(size=1000), 0.7),
    "tenths": np.round(RNG.normal(size=1000), 1),
    "counts": RNG.poisson(3, 500).astype(float),
    "large counts": np.rint(RNG.lognormal(4, 0.5, size=300)),
    "constant": np.full(50, 3.0),
    "odd constant": np.full(50, 0.123456789),
    "thirds": RNG.integers(0, 6, 200) / 3,
    "tiny": 1e-200 * RNG.normal(size=100),
    "codes": RNG.choice([1.0, 2.0, 9.0], 300),
}
DISCRETE = ("tenths", "counts", "large counts", "constant", "codes")


def margin_of(name, n_cells=16):
    x = COLUMNS[name]
    return NumberMargin.learn(x, np.ones(len(x)), n_cells)


@pytest.mark.parametrize("name", COLUMNS)
def test_masses_of_cells_sum_to_one_and_are_the_shares_of_the_rows(name):
    x, margin = COLUMNS[name], margin_of(name)
    assert margin.mass.sum() == pytest.approx(1, abs=1e-12)
    share = np.bincount(margin.cells(x), minlength=len(margin.mass)) / len(x)
    # the broad part holds the mass of one row, which it may take from or give to a cell
    assert share == pytest.approx(margin.mass, abs=1 / len(x))


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "tiny"])
def test_the_density_integrates_to_one(name):
    margin = margin_of(name)
    if name in DISCRETE:
        values = np.arange(-40_000, 40_000) * margin.step
        total = np.exp(margin.log_density(values)).sum() * margin.step
        assert total == pytest.approx(1, abs=1e-4)  # Student's t beyond the last value
        return
    ends = np.concatenate([margin.knots, [margin.center, margin.low]])
    low = max(margin.low, margin.center - 1e4 * margin.scale)
    points = np.unique(
        np.concatenate([ends[ends > low], [low, margin.center + 1e4 * margin.scale]])
    )
    total = sum(
        quad(lambda t: float(np.exp(margin.log_density(np.array([t]))[0])), a, b)[0]
        for a, b in pairwise(points)
    )
    assert total + margin.atom_mass.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", COLUMNS)
def test_draws_stay_in_their_cell_and_have_the_distribution_of_the_rows(name):
    x, margin = COLUMNS[name], margin_of(name)
    rng = np.random.default_rng(1)
    cells = rng.choice(len(margin.mass), 20_000, p=margin.mass)
    rows = margin.draw_in_cell(cells, rng)
    moved = 1 / (len(x) + 1) if len(margin.drawn) else 0  # new values become recorded ones
    assert (margin.cells(rows) == cells).mean() > 0.999 - moved
    # one draw in a thousand tables exceeds the first term; a bin holds four rows or more
    assert ks_2samp(rows, x).statistic < 1.95 / np.sqrt(20_000) + 4 / len(x)


def test_point_masses_are_found():
    assert margin_of("zeros").atoms.tolist() == [0.0]
    assert margin_of("code").atoms.tolist() == [-999.0]
    assert margin_of("limit").atoms.tolist() == [0.7]
    assert margin_of("thirds").atoms == pytest.approx(np.arange(6) / 3)
    assert margin_of("odd constant").atoms.tolist() == [0.123456789]
    for name in ("normal", "few normal", "positive", *DISCRETE):
        assert len(margin_of(name).atoms) == 0


@pytest.mark.parametrize("name", ["codes", "counts", "thirds", "odd constant"])
def test_of_few_values_recorded_ones_are_drawn_and_new_ones_have_the_mass_of_one_row(name):
    x, margin = COLUMNS[name], margin_of(name)
    cells = np.repeat(np.arange(len(margin.mass)), 1000)
    rows = margin.draw_in_cell(cells, np.random.default_rng(0))
    assert set(rows) == set(x)
    recorded = np.exp(margin.log_density(np.unique(x))).sum()
    assert 0 < 1 - recorded < 1 / len(x)  # some of the mass lies at recorded values
    assert np.isfinite(margin.log_density(np.array([7.0]))).all()


def test_every_row_repeated_is_no_sign_of_point_masses():
    margin = NumberMargin.learn(COLUMNS["normal"], np.full(1000, 10.0), 16)
    assert len(margin.atoms) == 0


@pytest.mark.parametrize("name", COLUMNS)
def test_weights_are_repetitions(name):
    x = COLUMNS[name]
    weight = np.random.default_rng(2).integers(1, 4, len(x))
    one = NumberMargin.learn(x, weight.astype(float), 16)
    other = NumberMargin.learn(np.repeat(x, weight), np.ones(weight.sum()), 16)
    assert one.log_density(x) == pytest.approx(other.log_density(x), abs=1e-9)
    assert (one.cells(x) == other.cells(x)).all()


def test_nothing_positive_is_drawn_or_scored_below_zero():
    margin = margin_of("positive")
    rows = margin.draw_in_cell(np.zeros(5000, dtype=int), np.random.default_rng(0))
    assert (rows >= 0).all()
    assert np.isneginf(margin.log_density(np.array([-1e-3]))).all()
    assert np.isfinite(margin.log_density(np.array([1e6]))).all()
    assert (margin.cells(np.array([-1e-3])) == -1).all()


def test_rounded_and_unrounded_columns_score_alike():
    """A density times a width is the probability of the recorded value."""
    x = np.random.default_rng(3).normal(size=20_000)
    fine, coarse = x, np.round(x, 1)
    both = [
        NumberMargin.learn(v, np.ones(len(v)), 64).log_density(v).mean() for v in (fine, coarse)
    ]
    assert both[0] == pytest.approx(both[1], abs=0.03)


@pytest.mark.parametrize(
    ("values", "step"),
    [([1.0, 2.0, 5.0], 1.0), ([0.1, 0.7], 0.1), ([1e-6, 3e-6], 1e-6), ([0.1234567], 0.0)],
)
def test_resolution(values, step):
    assert resolution(np.array(values)) == pytest.approx(step)


def test_categories_are_arranged_by_frequency_unless_they_are_ordered():
    codes, weight = np.array([0.0, 2, 2, 2, 3, 3]), np.ones(6)
    free = CategoryMargin.learn(codes, weight, 4, ordered=False)
    assert free.cell_of_code.tolist() == [2, -1, 0, 1]
    assert free.mass == pytest.approx([1 / 2, 1 / 3, 1 / 6])
    ordered = CategoryMargin.learn(codes, weight, 4, ordered=True)
    assert ordered.cell_of_code.tolist() == [0, -1, 1, 2]
    drawn = free.draw_in_cell(np.array([0, 1, 2]), np.random.default_rng(0))
    assert drawn.tolist() == [2, 3, 0]


def test_the_spread_of_draws_inside_cells_is_that_of_the_rows():
    """A wide bin at the end of a skewed column would draw far too many large values."""
    x = np.random.default_rng(1).lognormal(sigma=1.2, size=2000)
    margin = NumberMargin.learn(x, np.ones(len(x)), 8)
    drawn = margin.draw_in_cell(margin.cells(x), np.random.default_rng(0))
    kept = np.clip(drawn, 0, x.max())  # without the tail of the broad part
    assert kept.var() == pytest.approx(x.var(), rel=0.1)


@pytest.mark.parametrize("shift", [0.0, 0.0313])
def test_values_that_repeat_have_bins_of_their_own_in_any_lattice(shift):
    """The values of a lattice have their masses, whatever its origin and spacing."""
    rng = np.random.default_rng(0)
    x, later = np.round(rng.normal(size=(2, 2000)) / 0.025) * 0.025 + shift
    margin = NumberMargin.learn(x, np.ones(len(x)), 16)
    value, count = np.unique(x, return_counts=True)
    log_mass = margin.log_density(value) + np.log(margin.step)
    often = count >= 15
    assert log_mass[often] == pytest.approx(np.log(count[often] / 2001), abs=0.1)
    of_law = np.log(0.025) - 0.5 * np.log(2 * np.pi * np.e)
    assert margin.log_density(later).mean() + np.log(margin.step) > of_law - 0.6  # rare values


def test_evenly_spread_rows_are_not_split():
    x = np.random.default_rng(0).uniform(size=1000)
    margin = NumberMargin.learn(x, np.ones(len(x)), 8)
    assert len(margin.knot_mass) <= 12


def test_a_gap_between_two_clumps_of_few_rows_stays_empty():
    """A gap is found in one in twenty columns where there is none, and no bin reaches into one."""
    rng = np.random.default_rng(0)
    clumps = np.concatenate([rng.uniform(0, 1, 70), rng.uniform(3, 4, 80)])
    for x in (clumps, np.round(clumps, 2)):
        margin = NumberMargin.learn(x, np.ones(len(x)), 8)
        inside = np.exp(margin.log_density(np.linspace(1.1, 2.9, 50)))
        assert inside.max() < 0.01  # the broad part alone, where a bin had about 0.05
        drawn = margin.draw_in_cell(rng.choice(len(margin.mass), 1000, p=margin.mass), rng)
        assert ((drawn > 1.1) & (drawn < 2.9)).mean() < 0.01
    columns = rng.lognormal(size=(200, 100))
    cut = [(NumberMargin.learn(x, np.ones(100), 8).knot_mass == 0).any() for x in columns]
    assert np.mean(cut) < 0.1


def test_a_constant_column_gives_other_values_a_density():
    margin = margin_of("constant")
    assert np.isfinite(margin.log_density(np.array([4.0, 0.0, 2209.0]))).all()


@pytest.mark.parametrize("name", ["tenths", "zeros"])
def test_zeros_are_drawn_without_a_sign(name):
    margin, rng = margin_of(name), np.random.default_rng(0)
    cells = rng.choice(len(margin.mass), 4000, p=margin.mass)
    drawn = margin.draw_in_cell(cells, rng)
    assert (drawn == 0).any()
    assert not np.signbit(drawn[drawn == 0]).any()
