"""GaussianMixtureDensity: against scikit-learn, quadrature, and fits of a single Gaussian."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skgm import GaussianMixtureDensity, ScoreMatchingGaussian
from skgm._numerics.gaussian_mixture import GaussianMixtureModel, HoledRows, Prior, fit_mixture
from skgm.mixture import _gaussian_mixture

KINDS = ("full", "tied", "diag", "spherical")


def clusters(n, d=3, seed=0):
    """Three groups of rows with covariances of their own."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(3, d, d))
    means = 4 * np.random.default_rng(98).normal(size=(3, d))
    group = rng.integers(3, size=n)
    return means[group] + np.einsum("ni,nij->nj", rng.normal(size=(n, d)), mixing[group])


def holed(X, share=0.2, seed=5):
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return X


@pytest.fixture(scope="module")
def fitted():
    return GaussianMixtureDensity(3, random_state=0).fit(holed(clusters(400)))


def in_our_shape(mixture, d):
    covariances = mixture.covariances_
    if mixture.covariance_type == "spherical":
        return np.repeat(covariances[:, None], d, axis=1)
    return covariances[None] if mixture.covariance_type == "tied" else covariances


@pytest.mark.parametrize("kind", KINDS)
def test_em_from_the_start_of_scikit_learn_ends_where_it_ends(kind):
    X = clusters(300)
    options = {"covariance_type": kind, "random_state": 0, "reg_covar": 1e-14, "tol": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        first = GaussianMixture(3, max_iter=1, **options).fit(X)
        last = GaussianMixture(3, max_iter=25, **options).fit(X)
    start = GaussianMixtureModel(first.weights_, first.means_, in_our_shape(first, 3))
    rows, prior = HoledRows.of(X), Prior(0.0, np.zeros(1))
    fit = fit_mixture(rows, start, kind, prior, tol=-np.inf, max_iter=24)
    np.testing.assert_allclose(fit.model.weights, last.weights_, atol=1e-6)
    np.testing.assert_allclose(fit.model.means, last.means_, atol=1e-6)
    np.testing.assert_allclose(fit.model.covariances, in_our_shape(last, 3), atol=1e-6)


def test_one_component_is_the_gaussian_of_the_observed_entries():
    X = holed(clusters(200))
    weight = np.random.default_rng(1).integers(1, 4, 200).astype(float)
    ours = GaussianMixtureDensity(1).fit(X, sample_weight=weight)
    other = ScoreMatchingGaussian(missing="em").fit(X, sample_weight=weight)
    np.testing.assert_allclose(ours.means_[0], other.location_, rtol=1e-6)
    np.testing.assert_allclose(ours.covariances_[0], other.covariance_, rtol=1e-6)
    assert ours.loglik_ == pytest.approx(other.loglik_, rel=1e-8)
    complete = GaussianMixtureDensity(1).fit(clusters(200))
    np.testing.assert_allclose(complete.covariances_[0], np.cov(clusters(200).T, ddof=0))


@pytest.mark.parametrize("kind", KINDS)
def test_holes_are_integrated_out(kind):
    density = GaussianMixtureDensity(3, covariance_type=kind, random_state=0)
    density.fit(holed(clusters(300)))
    row = clusters(1, seed=3)
    part = row.copy()
    part[0, 1] = np.nan

    def integrand(value):
        row[0, 1] = value
        return np.exp(density.score_samples(row))[0]

    total, _ = integrate.quad(integrand, -40, 40, limit=200, epsabs=1e-12, points=[-5, 0, 5])
    assert np.exp(density.score_samples(part))[0] == pytest.approx(total, rel=1e-6)
    assert density.score_samples(np.full((1, 3), np.nan))[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_completions_have_the_moments_of_the_conditional_density(kind):
    """Against sums over a grid of the joint density; five standard errors of 20,000 draws."""
    density = GaussianMixtureDensity(3, covariance_type=kind, random_state=0)
    density.fit(holed(clusters(300, 2)))
    grid = np.linspace(-40, 40, 20_001)
    for hidden in (0, 1):
        rows = np.full((len(grid), 2), 1.0)
        rows[:, hidden] = grid
        p = np.exp(density.score_samples(rows))
        p /= p.sum()
        mean, sd = p @ grid, np.sqrt(p @ (grid - p @ grid) ** 2)
        given = np.full((1, 2), 1.0)
        given[0, hidden] = np.nan
        drawn = density.sample(20_000, random_state=0, given=given)[:, hidden]
        assert drawn.mean() == pytest.approx(mean, abs=5 * sd / np.sqrt(20_000))
        cumulative = np.interp(np.quantile(drawn, [0.1, 0.5, 0.9]), grid, np.cumsum(p))
        assert cumulative == pytest.approx([0.1, 0.5, 0.9], abs=5 * 0.5 / np.sqrt(20_000))


def test_conditions_of_several_columns_agree_with_the_marginal(fitted):
    """Completing rows that observe what was drawn from the model gives draws from the model."""
    rows = fitted.sample(4000, random_state=0)
    part = holed(rows, 0.5)
    again = fitted.impute(part, random_state=1)
    assert np.array_equal(again[~np.isnan(part)], part[~np.isnan(part)])
    for one, other in zip(again.T, fitted.sample(4000, random_state=2).T):
        assert stats.ks_2samp(one, other).pvalue > 1e-6
    assert np.cov(again.T) == pytest.approx(np.cov(rows.T), rel=0.25, abs=1.0)


def test_density_and_shares_are_those_of_scipy(fitted):
    rows = clusters(20, seed=2)
    each = np.array(
        [
            w * stats.multivariate_normal.pdf(rows, m, c)
            for w, m, c in zip(fitted.weights_, fitted.means_, fitted.covariances_)
        ]
    )
    np.testing.assert_allclose(fitted.score_samples(rows), np.log(each.sum(axis=0)), rtol=1e-9)
    np.testing.assert_allclose(fitted.predict_proba(rows), (each / each.sum(axis=0)).T, atol=1e-9)
    far = np.full((1, 3), 1e200)
    assert fitted.predict_proba(far).sum() == pytest.approx(1)
    assert fitted.score_samples(far)[0] == -np.inf


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_lowers_the_objective(kind):
    X = holed(clusters(150))
    Z = (X - np.nanmean(X, axis=0)) / np.nanstd(X, axis=0)
    d = Z.shape[1]
    dense = kind in ("full", "tied")
    base = np.eye(d) if dense else np.ones(d)
    covariances = np.repeat(base[None], 1 if kind == "tied" else 3, axis=0)
    means = np.random.default_rng(0).normal(size=(3, d))
    model, prior = GaussianMixtureModel(np.full(3, 1 / 3), means, covariances), Prior(2.0, base)
    rows = HoledRows.of(Z[~np.isnan(Z).all(axis=1)])
    steps = [
        fit_mixture(rows, model, kind, prior, tol=-np.inf, max_iter=k).objective for k in range(25)
    ]
    assert (np.diff(steps) > -1e-12).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_is_so_many_rows(kind):
    X = holed(clusters(80))
    weight = np.random.default_rng(2).integers(0, 4, 80)
    density = GaussianMixtureDensity(2, covariance_type=kind, random_state=0)
    once = density.fit(X, sample_weight=weight).score_samples(X)
    twice = density.fit(np.repeat(X, weight, axis=0)[::-1]).score_samples(X)
    np.testing.assert_allclose(once, twice, rtol=1e-9, atol=1e-9)


def test_the_number_of_components_is_found_with_holes_and_without():
    for X in (clusters(400), holed(clusters(400))):
        density = GaussianMixtureDensity(random_state=0).fit(X)
        assert density.n_components_ == 3
        path = density.bic_path_["full"]
        assert density.bic_ == min(path.values()) == path[3]
    new = clusters(1000, seed=7)
    n = (~np.isnan(X)).any(axis=1).sum()
    bic = density.n_params_ * np.log(n) - 2 * density.score_samples(X).sum()
    assert density.bic_ == pytest.approx(bic)
    whole = GaussianMixtureDensity(random_state=0).fit(clusters(400))
    assert density.score(new) > whole.score(new) - 0.1


def test_the_type_of_covariance_is_found():
    rng = np.random.default_rng(0)
    group = 8.0 * (np.arange(600) % 2)[:, None]
    correlated = rng.normal(size=(600, 3)) @ np.array([[1, 0.9, 0.5], [0, 1, 0.9], [0, 0, 1]])
    for expected, X in (("tied", correlated + group), ("full", clusters(600))):
        density = GaussianMixtureDensity(
            covariance_type="auto", max_components=3, random_state=0
        ).fit(X)
        assert density.covariance_type_ == expected
    assert set(density.bic_path_) == {"full", "tied", "diag"}


def test_units_of_the_columns_do_not_matter():
    X, units = holed(clusters(150)), np.array([1e-12, 1.0, 1e12])
    plain = GaussianMixtureDensity(3, random_state=0).fit(X)
    scaled = GaussianMixtureDensity(3, random_state=0).fit(X * units)
    shift = ~np.isnan(X) @ np.log(units)
    np.testing.assert_allclose(
        scaled.score_samples(X * units) + shift, plain.score_samples(X), rtol=1e-6, atol=1e-6
    )


def test_many_rows_are_searched_thinned_and_fitted_whole(monkeypatch):
    X = clusters(1500)
    whole = GaussianMixtureDensity(random_state=0).fit(X)
    monkeypatch.setattr(_gaussian_mixture, "_SEARCHED_ROWS", 400)
    thinned = GaussianMixtureDensity(random_state=0).fit(X)
    assert thinned.n_components_ == whole.n_components_
    assert thinned.loglik_ == pytest.approx(whole.loglik_, rel=1e-4)
    assert thinned.loglik_ == pytest.approx(thinned.score_samples(X).sum())


def test_bad_tables_are_refused_by_name():
    X = clusters(30)
    X[:, 1] = np.nan
    with pytest.raises(ValueError, match="Column 'x1' of X has no value"):
        GaussianMixtureDensity().fit(X)
    with pytest.raises(ValueError, match="n_components=40 is more than the 30"):
        GaussianMixtureDensity(40).fit(clusters(30))
    with pytest.raises(ValueError, match="infinity in column 'x0'"):
        GaussianMixtureDensity().fit(clusters(30)).score_samples([[np.inf, np.nan, 0.0]])
    with pytest.raises(ValueError, match="NaN in column 'x1'"):
        GaussianMixtureDensity().fit(clusters(30)).score_function([[0.0, np.nan, 0.0]])


def test_singular_tables_get_the_ridge_and_its_warning():
    X = np.column_stack([clusters(100, 2), np.full(100, 7.0)])
    with pytest.warns(LinAlgWarning, match="constant columns"):
        density = GaussianMixtureDensity(2, random_state=0).fit(X)
    assert np.isfinite(density.score_samples(X)).all()
    assert density.sample(5, random_state=0)[:, 2] == pytest.approx(7.0, abs=0.01)
    equal = np.column_stack([X[:, :2], X[:, 0]])
    with pytest.warns(LinAlgWarning, match="determine one another"):
        density = GaussianMixtureDensity(3, random_state=0).fit(equal)
    drawn = density.sample(50, random_state=0)
    assert drawn[:, 0] == pytest.approx(drawn[:, 2], abs=0.01)


def test_a_component_that_collapses_is_warned_of():
    X = np.vstack([clusters(40, 2), np.full((1, 2), 500.0)])
    with pytest.warns(ConvergenceWarning, match="shrunk onto a few rows"):
        GaussianMixtureDensity(4, prior_rows=0, random_state=0).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixtureDensity(4, random_state=0).fit(X)


@pytest.fixture(scope="module")
def mixed():
    """Two numbers, a kind that moves both, and a count that grows with the first."""
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], 240, p=[0.5, 0.3, 0.2])
    numbers = rng.normal(size=(240, 2)) + 3 * pd.factorize(kind, sort=True)[0][:, None]
    frame = pd.DataFrame(numbers, columns=["x", "y"]).assign(kind=kind)
    frame["count"] = rng.poisson(np.exp(0.2 * numbers[:, 0]))
    frame = frame.mask(rng.random(frame.shape) < 0.1)
    return frame.astype({"count": "Int64"})


def test_other_columns_come_after_the_numbers(mixed):
    """Summed over kinds and counts the density is that of the mixture of the numbers."""
    density = GaussianMixtureDensity(2, random_state=0).fit(mixed)
    alone = GaussianMixtureDensity(2, random_state=0).fit(mixed[["x", "y"]].to_numpy())
    kinds, counts = ["a", "b", "c"], np.arange(60)
    for x in ([0.3, 0.1], [np.nan, 4.0], [np.nan, np.nan]):
        rows = pd.DataFrame({"x": x[0], "y": x[1], "kind": np.repeat(kinds, 60)})
        rows["count"] = np.tile(counts, 3)
        total = np.logaddexp.reduce(density.score_samples(rows))
        known = alone.score_samples([x])[0]
        assert total == pytest.approx(known, abs=0.02)  # counts above 59, and another start
    assert list(density.base_measure_.values()) == ["Lebesgue", "Lebesgue", "counting", "counting"]
    assert np.isneginf(density.score_samples(rows.iloc[:1].assign(count=1.5)))


def test_conditions_on_other_columns_move_the_numbers(mixed):
    density = GaussianMixtureDensity(random_state=0).fit(mixed)
    rows = density.sample(400, random_state=0, given={"kind": ["a", "c"]})
    assert list(rows["kind"]) == ["a"] * 400 + ["c"] * 400
    for kind, part in (("a", rows[:400]), ("c", rows[400:])):
        wanted = mixed.loc[mixed["kind"] == kind, ["x", "y"]].mean()
        np.testing.assert_allclose(part[["x", "y"]].mean(), wanted, atol=0.6)  # of 48 rows, leaks
    filled = density.impute(mixed, random_state=0)
    assert filled.dtypes.equals(mixed.dtypes)
    pd.testing.assert_frame_equal(filled.where(mixed.notna()), mixed, check_dtype=False)
    with pytest.raises(ValueError, match="no score_function, because columns"):
        density.score_function(filled)


def test_a_table_without_real_numbers_is_the_chains(mixed):
    density = GaussianMixtureDensity(random_state=0).fit(mixed[["kind", "count"]])
    assert density.n_components_ == 0
    assert density.sample(5, random_state=0).dtypes.equals(mixed.dtypes[2:])
    assert np.isfinite(density.score(mixed[["kind", "count"]]))
