"""What replicated bounds say of their mean: no bias from classes, and an honest standard error."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import logsumexp
from sklearn.datasets import load_iris, make_moons

from skgm import DDPM
from skgm.diffusion._elbo import as_seed, jackknifed, standard_error_of_mean

MOONS, SIDE = make_moons(200, noise=0.1, random_state=0)
QUICK = {"max_iter": 60, "random_state": 0}


def marginal(log_density):
    return logsumexp(log_density - np.log(2), axis=1)


def test_noise_of_class_bounds_does_not_raise_their_mixture():
    """Noise of 0.5 nats; means of 20,000 rows, at four standard errors."""
    rng, n = np.random.default_rng(0), 20_000
    truth = rng.normal(size=(n, 2))
    parts = truth + 0.5 * rng.standard_normal((4, n, 2))
    gap = jackknifed(parts, marginal).mean(axis=0) - marginal(truth)
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(n)
    plain = np.mean([marginal(part) for part in parts], axis=0) - marginal(truth)
    assert plain.mean() > 8 * plain.std() / np.sqrt(n)  # what the jackknife takes away
    one = parts[:, :, :1]
    assert_allclose(jackknifed(one, lambda a: a[:, 0]), one[:, :, 0], atol=1e-12)


def test_rows_beyond_every_class_stay_there():
    parts = np.random.default_rng(0).normal(size=(4, 3, 2))
    parts[:, 0], parts[:, 1, 0] = -np.inf, -np.inf
    bounds = jackknifed(parts, marginal)
    assert np.isneginf(bounds[:, 0]).all()
    assert_allclose(bounds[:, 1], parts[:, 1, 1] - np.log(2))
    assert np.isfinite(bounds[:, 2]).all()
    assert standard_error_of_mean(bounds, np.eye(3)) == 0.0


def test_standard_error_of_rows_that_are_repeated():
    """Twenty rows, each five times under the same noise: 1 / sqrt(20), not 1 / sqrt(100)."""
    rng, rows = np.random.default_rng(0), np.repeat(np.arange(20.0), 5)[:, None]
    errors = []
    for _ in range(200):
        bounds = 2.0 * np.repeat(rng.standard_normal((4, 20)), 5, axis=1)
        errors.append(standard_error_of_mean(bounds, rows) ** 2)
    assert_allclose(np.mean(errors), 1 / 20, rtol=4 * np.sqrt(2 / (3 * 20 * 200)))


def mixed_rows(n):
    return pd.DataFrame(MOONS[:n], columns=["a", "b"]).assign(side=np.array(["u", "v"])[SIDE[:n]])


@pytest.mark.parametrize("table", ["numbers", "repeated", "classes", "mixed"])
def test_standard_error_of_the_bound_is_that_over_seeds(table):
    """Twenty seeds: the ratio of variances within the 1e-4 quantiles of its chi-square law."""
    if table == "classes":
        iris, species = load_iris(return_X_y=True)
        model, rows = DDPM(class_conditional=True, **QUICK).fit(iris, species), iris[:150:15]
    elif table == "mixed":
        model, rows = DDPM(**QUICK).fit(mixed_rows(200)), mixed_rows(8)
    else:
        model, rows = DDPM(**QUICK).fit(MOONS), MOONS[:40]
        rows = np.repeat(MOONS[:8], 5, axis=0) if table == "repeated" else rows
    found = np.array([model.elbo(rows, 4, return_se=True, random_state=s) for s in range(20)])
    ratio = found[:, 0].var(ddof=1) / np.mean(found[:, 1] ** 2)
    low, high = stats.chi2(19).ppf([1e-4, 1 - 1e-4]) / 19
    assert low < ratio < high


def test_seed_of_the_bound():
    model = DDPM(**QUICK).fit(MOONS)
    one = model.elbo(MOONS[:5], 3, random_state=7)
    assert one == model.elbo(MOONS[:5], 3, random_state=7)
    assert one != model.elbo(MOONS[:5], 3)
    same = [model.elbo(MOONS[:5], 3, random_state=np.random.default_rng(0)) for _ in range(2)]
    assert same[0] == same[1]
    assert model.elbo(MOONS[:5], 3, random_state=None) != model.elbo(
        MOONS[:5], 3, random_state=None
    )
    assert as_seed(3) == 3
    with pytest.raises(ValueError, match="random_state must be"):
        model.elbo(MOONS[:5], 3, random_state=-1)
    assert_array_equal(model.elbo([[1e200, 0.0]], 3, return_se=True), [-np.inf, 0.0])
