"""Ordered categories of many levels: whole numbers, and probabilities of cells."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm import DDPM

QUICK = {"max_iter": 60, "random_state": 0}


def ordered_table(n, seed, n_levels=8):
    """A number, and the interval of a noisy copy of it, as an ordered category."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    cuts = stats.norm(0, np.hypot(1, 0.3)).ppf(np.arange(1, n_levels) / n_levels)
    place = np.searchsorted(cuts, x + 0.3 * rng.normal(size=n))
    level = pd.Categorical.from_codes(place, [f"L{9 - k}" for k in range(n_levels)], ordered=True)
    ends = np.concatenate([[-np.inf], cuts, [np.inf]])
    mass = stats.norm(x, 0.3).cdf(ends[place + 1]) - stats.norm(x, 0.3).cdf(ends[place])
    truth = stats.norm.logpdf(x) + np.log(mass)
    return pd.DataFrame({"x": x, "level": level}), truth


@pytest.mark.slow
def test_ordered_categories_of_many_levels_learn_from_their_order():
    """In nats per held-out row, near the truth."""
    (train, _), (test, truth) = ordered_table(400, 0), ordered_table(150, 1)
    model = DDPM(max_iter=400, random_state=0).fit(train)
    assert -0.1 < (truth - model.score_samples(test)).mean() < 0.2
    assert model.sample(9, random_state=0)["level"].dtype == train["level"].dtype
    model = DDPM(random_state=0).partial_fit(train)
    assert len(model.location_[0]) == 2  # a rank, not seven coordinates of eight points


def test_ranked_levels_have_the_mass_of_their_cell():
    """Rows that come in parts: a network of zeros is a normal law of the ranks.

    The outer cells are half-lines. What lies beyond the outer whole numbers is not in the bound, so
    all levels sum to less than 1.
    """
    counts, names = np.array([40, 100, 120, 100, 40]), list("abcef")
    frame = pd.DataFrame({"level": pd.Categorical.from_codes(np.repeat(range(5), counts), names)})
    frame["level"] = frame["level"].cat.as_ordered()
    model = DDPM(learning_rate=1e-30, **QUICK).partial_fit(frame)
    rank = np.repeat(np.arange(5), counts)
    law = stats.norm(rank.mean(), np.sqrt(rank.var() + 1 / 12) * np.sqrt(1 + 0.02**2))
    k = np.arange(5)
    cell = law.cdf(k + 0.5) - law.cdf(k - 0.5)
    asked = pd.DataFrame({"level": pd.Categorical(names, names, ordered=True)})
    bound = model.score_samples(asked)
    assert_allclose(bound, np.log(cell), atol=0.02)
    cell[0], cell[-1] = law.cdf(0.5), law.sf(3.5)
    drawn = model.sample(20_000, random_state=0)["level"].value_counts(normalize=True)
    found = drawn.reindex(list("abcef")).to_numpy()
    assert_allclose(found, cell, atol=4 * 0.5 / np.sqrt(20_000))
    assert np.exp(bound).sum() < 1
    holes = model.impute(pd.DataFrame({"level": asked["level"].mask(np.arange(5) > 1)}), 0)
    assert set(holes["level"]) <= set("abcef")


def test_ranked_levels_of_which_one_was_seen():
    level = pd.Categorical(["c"] * 40, list("abcde"), ordered=True)
    frame = pd.DataFrame({"x": np.arange(40.0), "level": level})
    model = DDPM(**QUICK).fit(frame)
    assert set(model.sample(5, 0)["level"]) == {"c"}
    assert np.isfinite(model.score(frame))
