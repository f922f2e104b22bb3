"""DDPM(missing="draws"): fits to tables with holes, and the density of what a row observes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import get_tags

from skgm import DDPM, ScoreMatchingGaussian

GAUSSIAN = {"scaling": "whiten", "max_iter": 1, "learning_rate": 1e-9}  # a network of zeros


def holed(X, share=0.2):
    return np.where(np.random.default_rng(5).random(X.shape) < share, np.nan, X)


@pytest.fixture(scope="module")
def gaussian_table():
    rng = np.random.default_rng(0)
    return holed(rng.normal(size=(400, 3)) @ rng.normal(size=(3, 3)))


def test_the_fitted_gaussian_is_that_of_the_observed_values(gaussian_table):
    """Completions have the moments of EM, and rows with holes the marginal of the Gaussian."""
    density = DDPM(missing="draws", random_state=0, **GAUSSIAN).fit(gaussian_table)
    expected = ScoreMatchingGaussian(missing="em").fit(gaussian_table)
    one = density.score_samples(gaussian_table)
    # five completions of 80 holes a column: covariances to about 2%
    np.testing.assert_allclose(one, expected.score_samples(gaussian_table), atol=0.3)
    parts = [density.score_samples(part) for part in (gaussian_table[:9], gaussian_table[9:])]
    np.testing.assert_allclose(np.concatenate(parts), one, atol=1e-6)
    assert abs(density.score(gaussian_table) - expected.score(gaussian_table)) < 0.01
    assert get_tags(density).input_tags.allow_nan
    with pytest.raises(ValueError, match="NaN"):
        DDPM(**GAUSSIAN).fit(gaussian_table)


def test_weights_are_repeated_rows_with_holes_too(gaussian_table):
    rows, weight = gaussian_table[:60], np.repeat([1, 2], 30)
    options = {"missing": "draws", "random_state": 0, **GAUSSIAN}
    one = DDPM(**options).fit(rows, sample_weight=weight)
    two = DDPM(**options).fit(np.repeat(rows, weight, axis=0))
    complete = np.nan_to_num(rows)
    np.testing.assert_allclose(one.score(complete), two.score(complete), atol=0.1)  # other draws


@pytest.mark.slow
def test_holes_in_every_kind_of_column():
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b"], 200)
    size = rng.normal(size=200) + 3 * (kind == "a")
    amount = np.where(rng.random(200) < 0.4, 0.0, rng.lognormal(size=200))
    frame = pd.DataFrame({"kind": kind, "size": size, "amount": amount})
    frame["count"] = rng.poisson(3, 200)
    frame = frame.mask(rng.random(frame.shape) < 0.15).astype({"count": "Int64"})
    density = DDPM(missing="draws", max_iter=200, random_state=0).fit(frame)
    filled = density.impute(frame, random_state=0)
    assert filled.dtypes.equals(frame.dtypes)
    assert not filled.isna().any().any()
    drawn = density.sample(1000, random_state=0)
    assert (drawn["amount"] >= 0).all()
    assert abs((drawn["amount"] == 0).mean() - (frame["amount"] == 0).sum() / 170) < 0.1
    some = filled.assign(kind=frame["kind"], size=frame["size"])
    assert np.isfinite(density.score_samples(some)).all()
    with pytest.raises(ValueError, match="Column 'amount' of X has no value at row"):
        density.score_samples(frame)
