"""Every family that a column allows: order, held-out scores, p-values, and what is left out."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from scipy import stats

from skgm import MLEDensity, RankingDisplay, goodness_of_fit, rank_families
from skgm.inference.families._registry import all_families

QUICK = {"n_resamples": 99, "random_state": 0}
WAITS = np.random.default_rng(0).gamma(3.0, size=150)


def test_numbers_are_those_of_fits_and_tests_made_one_by_one():
    names = ["normal", "gamma", "exponential", "weibull"]
    ranking = rank_families(WAITS, names, cv=3, **QUICK)
    frame = ranking.to_frame()
    assert set(frame.index) == set(names)
    assert frame["aic"].is_monotonic_increasing
    for name, row in frame.iterrows():
        fit = MLEDensity(name).fit(WAITS[:, None])
        assert_allclose(
            [row["aic"], row["bic"], row["loglik"]], [fit.aic(), fit.bic(), fit.loglik_]
        )
        assert row["n_params"] == fit.n_params_
        test = goodness_of_fit(fit, WAITS[:, None], **QUICK)
        assert_allclose(row["statistic"], test.statistic)
        assert abs(row["pvalue"] - test.pvalue) < 4 * np.sqrt(0.25 * 2 / 99)
        assert abs(row["held_out"] - fit.loglik_ / 150) < 0.1
    assert ranking.best == frame.index[0]
    assert frame.loc["exponential", "pvalue"] <= 0.05


def test_candidates_are_the_families_whose_support_holds_every_value():
    for x, discrete in ((WAITS, False), (WAITS - 2, False), (np.arange(30) % 4, True)):
        ranking = rank_families(x, n_resamples=19, cv=2, random_state=0)
        assert ranking.discrete == discrete
        for family in all_families():
            constants = family.constants and not family.constants_given
            if family.joint or constants or family.name in ("categorical", "von_mises"):
                continue
            allowed = family.discrete == discrete and family.inside(x[:, None].astype(float)).all()
            named = any(note.startswith(family.name) for note in ranking.notes)
            assert (family.name in ranking.fits) == (allowed and not named)


def test_holes_whole_floats_and_families_without_an_estimate_are_named():
    x = pd.Series([0.0, 2.0, np.nan, 1.0, 3.0, 1.0, 4.0, 2.0, 0.0, 1.0, 5.0], name="visits")
    ranking = rank_families(x, cv=2, n_resamples=19, random_state=0)
    assert "1 missing values" in ranking.summary()
    assert "discrete=True" in ranking.summary()
    counts = rank_families(x, discrete=True, cv=2, n_resamples=19, random_state=0)
    assert "poisson" in counts.fits
    wrong = rank_families(x, ["gamma", "normal", "poisson"], cv=2, n_resamples=19, random_state=0)
    assert list(wrong.fits) == ["normal"]
    assert "gamma: no fit" in wrong.summary()
    assert "poisson: left out" in wrong.summary()
    both = rank_families(WAITS, ["gamma", stats.gamma], cv=2, n_resamples=19, random_state=0)
    assert len(both.fits) == 2


def test_bad_columns_are_refused():
    for x, words in (
        (np.ones((5, 2)), "one column"),
        (["a", "b"] * 9, "must hold numbers"),
        ([1.0, np.inf] * 9, "infinity at position 1"),
        ([1.0, 2.0], "at least 10 values"),
        (np.ones(20), "No family has an estimate"),
    ):
        with pytest.raises(ValueError, match=words):
            rank_families(x, ["normal"])
    with pytest.raises(ValueError, match="statistic must be"):
        rank_families(WAITS, statistic="energy")
    with pytest.raises(ValueError, match="cv must be"):
        rank_families(WAITS, cv=1)


def test_display_draws_the_first_families():
    ax = Figure().subplots()
    ranking = rank_families(WAITS, ["normal", "gamma", "weibull"], **QUICK)
    display = RankingDisplay.from_ranking(ranking, n_families=2, ax=ax)
    assert list(display.densities_) == list(ranking.fits)[:2]
    best = ranking.fits[ranking.best]
    expected = np.exp(best.score_samples(display.at_[:, None]))
    assert_allclose(display.lines_[0].get_ydata(), expected)
    assert ranking.best in ax.get_legend().get_texts()[1].get_text()
    counts = np.random.default_rng(0).poisson(3, 40)
    bars = RankingDisplay.from_values(
        counts, families=["poisson", "geometric"], ax=Figure().subplots(), **QUICK
    )
    assert_allclose(bars.at_, np.arange(counts.min(), counts.max() + 1))
    assert "geometric: no fit" in bars.ranking_.summary() or counts.min() > 0
