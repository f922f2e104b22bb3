"""NCEDensity of tables with categories, whole numbers, point masses and holes."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from skgm import DensityChain, GaussianMixtureDensity, NCEDensity
from skgm.nce._mixed import HoleValues, fit_mixed
from skgm.tables._reader import TableReader

RNG = np.random.default_rng(0)


def mixed_table(n, seed=0):
    """A square in x and y; wet to its right, where it rains and counts are higher."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-2, 2, (2, n))
    wet = rng.uniform(size=n) < 1 / (1 + np.exp(-2 * x))
    rain = np.where(wet, rng.exponential(size=n), 0.0)
    frame = pd.DataFrame({"x": x, "y": y, "kind": np.where(wet, "wet", "dry"), "rain": rain})
    return frame.assign(count=rng.poisson(np.where(wet, 5.0, 1.0)))


TABLE = mixed_table(400)


@pytest.fixture(scope="module")
def fitted():
    return NCEDensity(n_critics=1, random_state=0).fit(TABLE)


def test_kinds_come_back_and_the_base_measure_says_what_is_counted(fitted):
    drawn = fitted.sample(2000, random_state=0)
    assert (drawn.dtypes == TABLE.dtypes).all()
    assert fitted.base_measure_ == {
        "x": "Lebesgue",
        "y": "Lebesgue",
        "kind": "counting",
        "rain": "Lebesgue, and counting at [0.0]",
        "count": "counting",
    }
    assert list(fitted.atoms_) == ["rain"]
    # within four standard errors of both tables' shares
    for share in (lambda t: t.rain == 0, lambda t: t["kind"] == "wet", lambda t: t["count"] == 0):
        assert share(drawn).mean() == pytest.approx(share(TABLE).mean(), abs=0.09)
    assert (drawn.rain >= 0).all()


def test_the_density_integrates_to_one(fitted):
    """By rows from another distribution of known density, each weighted by the ratio of both."""
    n, rng = 20_000, np.random.default_rng(1)
    plane, kind = rng.normal(scale=1.7, size=(n, 2)), rng.integers(0, 2, n)
    dry, rain, count = rng.uniform(size=n) < 0.5, rng.exponential(2.0, n), rng.geometric(0.2, n) - 1
    frame = pd.DataFrame(plane, columns=["x", "y"]).assign(kind=np.where(kind, "wet", "dry"))
    frame = frame.assign(rain=np.where(dry, 0.0, rain), count=count)
    log_q = stats.norm.logpdf(plane, scale=1.7).sum(axis=1) + np.log(0.25)
    log_q += np.where(dry, 0.0, stats.expon.logpdf(rain, scale=2.0))
    log_q += stats.geom.logpmf(count + 1, 0.2)
    ratio = np.exp(fitted.score_samples(frame) - log_q)
    assert len(fitted.critics_[0]._predictors) > 0  # the critic found something
    # beyond the proposal's rows is the tail of the chain, of the mass of one row or two
    assert ratio.mean() == pytest.approx(1.0, abs=4 * ratio.std() / np.sqrt(n) + 0.01)


def test_spikes_at_recorded_values_win_nothing(fitted):
    """A point mass is scored by its share, so that no zero has a density above the square's."""
    held_out = mixed_table(400, seed=1)
    values = np.exp(fitted.score_samples(held_out[held_out.rain == 0]))
    assert len(values) > 100
    assert values.max() < 1.0  # masses times the density of x and y, which is 1/16


def test_draws_given_and_imputation_of_any_column(fitted):
    drawn = fitted.sample(300, given={"kind": "dry"}, random_state=0)
    assert (drawn["kind"] == "dry").all()
    assert (drawn.rain == 0).mean() > 0.95
    holes = TABLE.head(3).copy()
    holes.loc[0, "kind"] = holes.loc[1, "rain"] = np.nan
    filled = fitted.impute(holes, random_state=0)
    assert not filled.isna().any().any()
    assert_array_equal(filled["x"], holes["x"])
    with pytest.raises(ValueError, match="category"):
        fitted.score_samples(TABLE.head(2).assign(kind="foggy"))


@pytest.mark.slow
def test_new_categories_have_the_mass_of_one_row_if_they_are_ignored():
    density = NCEDensity(n_critics=1, handle_unknown="ignore", random_state=0).fit(TABLE)
    values = density.score_samples(TABLE.head(20).assign(kind="foggy"))
    assert np.isfinite(values).all()
    assert (values < density.score_samples(TABLE.head(20))).all()


def test_fractions_among_whole_numbers_have_no_probability(fitted):
    assert (fitted.score_samples(TABLE.head(3).assign(count=1.5)) == -np.inf).all()


def test_point_masses_of_plain_arrays_are_found():
    x = RNG.normal(size=(300, 2))
    x[RNG.uniform(size=300) < 0.4, 1] = -9.0
    density = NCEDensity(n_critics=1, random_state=0).fit(x)
    assert density.base_measure_ == {"x0": "Lebesgue", "x1": "Lebesgue, and counting at [-9.0]"}
    drawn = density.sample(500, random_state=0)
    assert isinstance(drawn, np.ndarray)
    assert (drawn[:, 1] == -9).mean() == pytest.approx((x[:, 1] == -9).mean(), abs=0.1)
    again = pickle.loads(pickle.dumps(density))
    assert_array_equal(again.score_samples(x), density.score_samples(x))


@pytest.mark.slow
def test_weighted_completions_have_the_density_of_what_they_hold_as_their_mean():
    """The filter's mean weight of rows with a hole against a sum or a grid of whole rows."""
    reader, coded = TableReader.learn(NCEDensity(), TABLE)
    in_chain = np.array([False, False, True, True, True])
    noise = fit_mixed(coded, reader.columns, None, in_chain, np.random.default_rng(0))
    given = coded[:1].copy()
    given[0, 2] = np.nan
    _, log_weight = noise.complete(given, 20_000, np.random.default_rng(0))
    whole = np.repeat(given, 2, axis=0)
    whole[:, 2] = [0, 1]
    exact = np.exp(noise.log_density(whole))
    assert np.exp(log_weight).mean() == pytest.approx(exact.sum(), rel=0.03)
    given[0, [0, 2]] = np.nan
    _, log_weight = noise.complete(given, 20_000, np.random.default_rng(0))
    grid = np.repeat(given, 2 * 1201, axis=0)
    grid[:, 2], grid[:, 0] = np.repeat([0, 1], 1201), np.tile(np.linspace(-6, 6, 1201), 2)
    exact = np.exp(noise.log_density(grid)).sum() * 0.01
    assert np.exp(log_weight).mean() == pytest.approx(exact, rel=0.03)


def test_rows_completed_together_are_those_completed_alone(fitted):
    """Every row draws from its own generator of the same seed, whatever rows stand beside it."""
    _, coded = TableReader.learn(NCEDensity(), TABLE)
    given, noise = coded[:30].copy(), fitted.noise_
    given[np.random.default_rng(0).uniform(size=given.shape) < 0.3] = np.nan
    for source, rows in ((noise, given), (noise.gaussians, given[:, :2])):
        together = source.complete_alike(rows, 7, 5)
        for i, row in enumerate(rows[:, None]):
            rng = np.random.default_rng(5)
            if source is noise:
                alone = source.complete(row, 7, rng)
            else:
                alone = source.sample_given(row, 7, rng), np.zeros((1, 7))
            for ours, theirs in zip(together, alone):
                assert_allclose(ours[i], theirs[0], rtol=1e-10, atol=1e-12)


def holed(table, share=0.2, seed=3):
    return table.mask(np.random.default_rng(seed).uniform(size=table.shape) < share)


def test_rows_with_holes_are_scored_by_what_they_hold():
    """The density of one column of two, against a grid of the joint density."""
    X = np.random.default_rng(0).normal(size=(400, 2))
    X[:, 1] += X[:, 0] ** 2
    X[::7, 1] = X[3::9, 0] = np.nan
    density = NCEDensity(n_critics=1, missing="draws", random_state=0).fit(X)
    rows = np.array([[0.5, np.nan], [np.nan, 1.0], [np.nan, np.nan]])
    found = density.score_samples(rows)
    grid = np.linspace(-12, 25, 7401)
    for i, known in ((0, 0), (1, 1)):
        whole = np.repeat(rows[[i]], len(grid), axis=0)
        whole[:, 1 - known] = grid
        exact = np.log(np.exp(density.score_samples(whole)).sum() * 0.005)
        assert found[i] == pytest.approx(exact, abs=0.1)  # 200 completions
    assert found[2] == pytest.approx(0.0, abs=0.1)
    assert_allclose(density.score_samples(rows[::-1]), found[::-1], rtol=1e-12)
    error = density.score_error(rows)
    assert 0 < error.completion_se < 0.1
    with pytest.raises(ValueError, match="holes"):
        density.log_ratio(rows)


@pytest.mark.slow
def test_mixed_tables_with_holes_learn_and_score():
    table = holed(TABLE)
    density = NCEDensity(n_critics=1, missing="draws", random_state=0).fit(table)
    assert np.isfinite(density.score_samples(table.head(10))).all()
    drawn = density.sample(200, random_state=0)
    assert not drawn.isna().any().any()
    assert not density.impute(table.head(5), random_state=0).isna().any().any()


@pytest.mark.slow
def test_holes_as_values_are_drawn_in_their_share_and_scored():
    table = TABLE.assign(kind=TABLE["kind"].where(TABLE.rain > 0.3), x=holed(TABLE).x)
    density = NCEDensity(n_critics=1, missing="value", random_state=0).fit(table)
    drawn = density.sample(1500, random_state=0)
    assert (drawn.dtypes == table.dtypes).all()
    for name in ("kind", "x"):
        assert drawn[name].isna().mean() == pytest.approx(table[name].isna().mean(), abs=0.08)
    assert "missing" in density.base_measure_["x"]
    some = table[table["kind"].notna()].head(10)
    assert not density.impute(some, random_state=0).isna().any().any()
    with pytest.raises(ValueError, match="'rain' of X has a hole at row 0"):
        density.score_samples(table.head(1).assign(rain=np.nan))


@pytest.mark.parametrize(
    "options",
    [{"critic": "quadratic"}, {"noise": "gaussian"}, {"noise": "ddpm", "missing": "value"}],
)
def test_what_cannot_learn_from_holes_is_refused(options):
    with pytest.raises(ValueError, match="learns from holes"):
        NCEDensity(**{"missing": "draws", **options}).fit(holed(TABLE[["x", "rain"]]))


def test_columns_without_a_value_are_named_and_complete_tables_score_holes():
    with pytest.raises(ValueError, match="'kind' of X has no value at all"):
        NCEDensity(missing="draws").fit(TABLE.assign(kind=None))
    density = NCEDensity(n_critics=1, missing="draws", random_state=0).fit(TABLE[["x", "y"]])
    assert np.isfinite(density.score(TABLE[["x", "y"]].head(3).assign(x=np.nan)))


def test_holes_are_refused_by_default():
    with pytest.raises(ValueError, match="NaN"):
        NCEDensity().fit(holed(TABLE[["x", "rain"]]))


@pytest.mark.slow
def test_any_density_of_mixed_tables_is_noise():
    chain = DensityChain(n_orders=1, calibrate=False)
    density = NCEDensity(noise=chain, n_critics=1, random_state=0, lattice="ignore").fit(TABLE)
    assert density.base_measure_ == density.noise_.estimator.base_measure_
    drawn = density.sample(50, random_state=0)
    assert (drawn.dtypes == TABLE.dtypes).all()
    given = density.sample(20, given={"kind": "wet", "count": 4}, random_state=0)
    assert (given["kind"] == "wet").all()
    assert np.isfinite(density.score(TABLE))


@pytest.mark.slow
def test_of_several_noises_the_best_on_held_out_rows_is_taken():
    rng = np.random.default_rng(0)
    X = np.where(np.arange(400)[:, None] % 2, 4.0, -4.0) + rng.normal(size=(400, 2))
    one = GaussianMixtureDensity(1)
    density = NCEDensity(
        noise=["student_t", one, "gmm"], critic="auto", n_critics=1, random_state=0
    )
    density.fit(X)
    assert len(density.noise_scores_) == 3
    assert int(np.argmax(density.noise_scores_)) == 2
    assert len(density.noise_.weights) == 3  # two clusters, and the guard


def test_codes_of_holes_are_beyond_all_values():
    coded = np.array([[0.0, 5.0], [np.nan, np.nan], [1.0, -2.0]])
    columns = [
        {"name": "a", "kind": "category", "values": ["p", "q"]},
        {"name": "b", "kind": "real"},
    ]
    values = HoleValues.of(coded, columns)
    filled = values.filled(coded, columns)
    assert filled[1, 0] == 2
    assert filled[1, 1] > 5
    assert_array_equal(values.are(filled), np.isnan(coded))
