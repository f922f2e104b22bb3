"""StackedDensity: an exact mixture of its members, weighted by rows they were not fitted to."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KernelDensity

from skgm import (
    DensityChain,
    GaussianMixtureDensity,
    MLEDensity,
    NCEDensity,
    ScoreMatchingGaussian,
    StackedDensity,
)
from skgm._numerics.importance import kept_weights
from skgm.compose import _densities, _stacked
from tests.mixture.test_gaussian_mixture import clusters, holed

GAUSSIANS = [("full", ScoreMatchingGaussian()), ("diag", ScoreMatchingGaussian("diag"))]
WITH_HOLES = [
    ("three", GaussianMixtureDensity(3)),
    ("one", ScoreMatchingGaussian(missing="em")),
]


def two_laws(n, seed=0):
    """Half of the rows uniform over a box, half a narrow normal: no member has both."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, 1)) < 0.5, rng.uniform(-6, 6, (n, 2)), rng.normal(size=(n, 2)))


@pytest.fixture(scope="module")
def stack():
    members = [("normal", GaussianMixtureDensity(1)), ("kernel", KernelDensity(bandwidth=0.3))]
    return StackedDensity(members, min_weight=0, random_state=0).fit(two_laws(400))


def test_the_density_is_the_weighted_sum_of_the_members(stack):
    rows = two_laws(30, seed=1)
    weights = [stack.weights_[name] for name, _ in stack.members_]
    density = sum(w * np.exp(m.score_samples(rows)) for w, (_, m) in zip(weights, stack.members_))
    np.testing.assert_allclose(stack.score_samples(rows), np.log(density))
    assert sum(weights) == pytest.approx(1)
    assert stack.log_density_kind_ == "exact"


def test_weights_maximize_the_likelihood_of_held_out_rows():
    """Against a grid of weights of two members."""
    rng = np.random.default_rng(0)
    table, share = rng.normal(size=(200, 2)), rng.integers(1, 4, 200).astype(float)
    found, _ = kept_weights(table, share, 0.0)
    grid = np.linspace(0, 1, 2001)[1:-1]
    log_grid = np.stack([np.log(grid), np.log1p(-grid)], axis=1)
    each = np.logaddexp.reduce(table[:, None] + log_grid, axis=2)
    assert found[0] == pytest.approx(grid[np.argmax(share @ each)], abs=1e-3)
    lost = np.full((3, 2), -np.inf)
    assert kept_weights(lost, np.ones(3), 0.0)[0] == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("make", [clusters, two_laws])
def test_it_is_not_worse_than_its_best_member_on_new_rows(make):
    train, test = train_test_split(make(700), random_state=0)
    members = [
        ("mixture", GaussianMixtureDensity()),
        ("kernel", KernelDensity(bandwidth=0.5)),
        ("foreign", GaussianMixture(2, random_state=0)),
    ]
    stack = StackedDensity(members, random_state=0).fit(train)
    best = max(member.fit(train).score_samples(test).mean() for _, member in members)
    assert stack.score(test) > best - 0.02
    assert set(stack.member_scores_) == {"mixture", "kernel", "foreign"}


def test_rows_held_out_are_not_fitted_to():
    """A kernel of no width is perfect on rows that it has seen, also on copies of them."""
    X = np.repeat(clusters(60), 3, axis=0)
    members = [("narrow", KernelDensity(bandwidth=1e-3)), *GAUSSIANS]
    stack = StackedDensity(members, random_state=0).fit(X)
    assert "narrow" not in stack.weights_
    assert "below min_weight" in stack.left_out_["narrow"]
    assert stack.member_scores_["narrow"] < stack.member_scores_["full"]


def test_large_tables_hold_out_one_part(monkeypatch):
    calls = []
    monkeypatch.setattr(_stacked, "_ONE_FOLD", 100)
    monkeypatch.setattr(
        _stacked, "_fit", lambda m, rows, weight: calls.append(len(rows)) or m.fit(rows)
    )
    StackedDensity(GAUSSIANS, random_state=0).fit(clusters(100))
    assert calls[:2] == [80, 80]
    assert set(calls[2:]) == {100}


def test_members_have_their_shares_of_the_draws(stack):
    """Systematic rounding: the number of rows from each member is never off by one or more."""
    far = [("left", Point(-100.0)), ("right", Point(100.0))]
    twin = StackedDensity(far, random_state=0)
    vars(twin).update({k: v for k, v in vars(stack).items() if k.endswith("_") or k[0] == "_"})
    twin.members_ = [(name, member.fit(np.zeros((2, 2)))) for name, member in far]
    twin.weights_ = {"left": 0.3, "right": 0.7}
    for seed in range(5):
        rows = twin.sample(101, random_state=seed)
        assert (rows[:, 0] < 0).sum() in (30, 31)
    assert len(np.unique(np.sign(rows[:20, 0]))) == 2


class Point(ScoreMatchingGaussian):
    """Draws around one point, whatever it was fitted to."""

    def __init__(self, where=0.0):
        super().__init__()
        self.where = where

    def fit(self, X, y=None, sample_weight=None):
        super().fit(np.random.default_rng(0).normal(self.where, 1, (50, X.shape[1])))
        return self


def test_completions_weight_members_by_what_they_observe():
    """Against the mixture of the two conditional densities on a grid."""
    X = holed(clusters(300, 2), 0.1)
    stack = StackedDensity(WITH_HOLES, min_weight=0, random_state=0).fit(X)
    stack.weights_ = {"three": 0.5, "one": 0.5}
    grid = np.linspace(-30, 30, 6001)
    rows = np.column_stack([np.full(len(grid), 2.0), grid])
    p = np.exp(stack.score_samples(rows))
    drawn = stack.sample(8000, random_state=0, given=[[2.0, np.nan]])
    assert (drawn[:, 0] == 2.0).all()
    cdf = np.cumsum(p) / p.sum()
    levels = np.interp(np.quantile(drawn[:, 1], [0.1, 0.3, 0.5, 0.7, 0.9]), grid, cdf)
    assert levels == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9], abs=5 * 0.5 / np.sqrt(8000))
    marginal = np.exp(stack.score_samples([[2.0, np.nan]]))[0]
    assert marginal == pytest.approx(p.sum() * (grid[1] - grid[0]), rel=1e-4)


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_frames_come_back_as_they_were(kind):
    frame = kind({"a": clusters(60)[:, 0], "b": clusters(60)[:, 1].astype(np.float32)})
    stack = StackedDensity(WITH_HOLES, min_weight=0, random_state=0).fit(frame)
    rows = stack.sample(7, random_state=0)
    assert type(rows) is kind
    assert list(rows.dtypes) == list(frame.dtypes)
    holes = pd.DataFrame({"a": [1.0, np.nan], "b": [np.nan, 2.0]}, index=[5, 9])
    filled = stack.impute(holes, random_state=0)
    assert filled.index.tolist() == [5, 9]
    assert filled.loc[5, "a"] == 1.0
    assert filled.loc[9, "b"] == 2.0


def test_default_members_follow_the_table():
    rng = np.random.default_rng(0)

    def chosen(codes, columns=None):
        left_out = {}
        names = [n for n, _ in _densities.default_members(codes, columns, left_out)]
        assert set(names) | set(left_out) == {"mixture", "chain", "nce", "ddpm"}
        return names

    X = rng.normal(size=(200, 2))
    assert chosen(X) == ["mixture", "chain", "nce", "ddpm"]
    assert chosen(holed(X)) == ["mixture", "chain"]
    assert chosen(np.where(rng.random(X.shape) < 0.5, 0.0, X)) == ["chain", "ddpm"]
    one_of_two = np.where(rng.random(X.shape) < [0.5, 0.0], 0.0, X)
    assert chosen(one_of_two) == ["mixture", "chain", "ddpm"]
    mixed = [{"name": "a", "kind": "real"}, {"name": "b", "kind": "category"}]
    labeled = np.column_stack([X[:, 0], X[:, 1] > 0]).astype(float)
    assert chosen(labeled, mixed) == ["mixture", "chain", "ddpm"]
    assert chosen(holed(labeled), mixed) == ["mixture", "chain"]
    assert chosen(labeled * (X[:, :1] > 0), mixed) == ["chain", "ddpm"]  # zeros are atoms of both


@pytest.mark.slow
def test_a_mixed_table_with_smooth_numbers_gains_by_diffusion():
    """Rings of two classes: the mixture over one base measure beats the chain on new rows."""
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b"], 300)
    angle, radius = rng.uniform(0, 2 * np.pi, 300), np.where(kind == "a", 1.0, 3.0)
    frame = pd.DataFrame({"x": radius * np.cos(angle), "y": radius * np.sin(angle)})
    frame = frame + rng.normal(0, 0.2, frame.shape)
    frame["kind"] = kind
    stack = StackedDensity(random_state=0).fit(frame[:200])
    chain = DensityChain(random_state=0).fit(frame[:200])
    assert "ddpm" in stack.weights_
    assert stack.score(frame[200:]) > chain.score(frame[200:])
    assert stack.sample(9, random_state=0).dtypes.equals(frame.dtypes)


@pytest.mark.slow
def test_members_by_default_agree_on_point_masses():
    """Zeros are atoms of both; a code of few rows is one of the chain in some folds only."""
    rng = np.random.default_rng(0)
    amount = np.where(rng.random(120) < 0.4, 0.0, rng.lognormal(size=120))
    amount[:3] = -999.0
    frame = pd.DataFrame({"amount": amount, "kind": rng.choice(["a", "b"], 120)})
    stack = StackedDensity(random_state=0).fit(frame)
    measures = [member.base_measure_ for _, member in stack.members_]
    assert all(measure == measures[0] for measure in measures)
    assert sum(stack.weights_.values()) == pytest.approx(1.0)
    assert set(stack.weights_) | set(stack.left_out_) == {"mixture", "chain", "nce", "ddpm"}
    drawn = stack.sample(400, random_state=0)["amount"]
    assert abs((drawn == 0).mean() - (amount == 0).mean()) < 0.08


def test_a_mixed_table_with_holes_is_the_chains():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"kind": rng.choice(["a", "b"], 80), "count": rng.poisson(4, 80)})
    frame.loc[3, "kind"] = None
    stack = StackedDensity(random_state=0).fit(frame)
    assert stack.weights_ == {"chain": 1.0}
    rows = stack.sample(9, random_state=0)
    assert rows.dtypes.equals(frame.dtypes)
    assert stack.score(frame) == pytest.approx(stack.members_[0][1].score(frame))
    assert not stack.impute(frame, random_state=0).isna().any().any()


def test_what_does_not_fit_together_is_refused():
    rng = np.random.default_rng(0)
    X = np.where(rng.random((200, 2)) < [0.5, 0.0], 0.0, rng.normal(size=(200, 2)))
    members = [("mixture", GaussianMixtureDensity(2)), ("chain", DensityChain(n_orders=1))]
    with pytest.raises(ValueError, match="different base measures in column 'x0'"):
        StackedDensity(members, random_state=0).fit(X)
    weighted = [("foreign", GaussianMixture()), *GAUSSIANS]
    with pytest.raises(ValueError, match="GaussianMixture takes no sample_weight"):
        StackedDensity(weighted).fit(clusters(40), sample_weight=np.ones(40))
    with pytest.raises(TypeError, match="must be a list of"):
        StackedDensity([GaussianMixtureDensity()]).fit(clusters(40))
    with pytest.raises(ValueError, match="members is empty"):
        StackedDensity([]).fit(clusters(40))
    stack = StackedDensity([("k", KernelDensity()), *GAUSSIANS], min_weight=0).fit(clusters(40))
    assert not hasattr(stack, "impute")
    with pytest.raises(ValueError, match="because k has none"):
        stack.sample(1, given=[[0.0, np.nan, 1.0]])


def test_members_that_score_no_holes_keep_their_weights_with_a_warning():
    members = [("mle", MLEDensity("multivariate_normal")), ("mixture", GaussianMixtureDensity(1))]
    stack = StackedDensity(members, min_weight=0, random_state=0).fit(clusters(80))
    with pytest.warns(UserWarning, match="cannot score rows with holes"):
        rows = stack.sample(50, random_state=0, given=clusters(1) * [1, np.nan, np.nan])
    assert rows.shape == (50, 3)


def test_a_time_limit_says_what_it_left_out():
    with pytest.warns(UserWarning, match="left no time for diag"):
        stack = StackedDensity(GAUSSIANS, time_limit=1e-6, random_state=0).fit(clusters(60))
    assert stack.weights_ == {"full": 1.0}
    assert stack.left_out_ == {"diag": "time_limit=1e-06 s"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        StackedDensity(GAUSSIANS, time_limit=1e6, random_state=0).fit(clusters(60))


def test_parameters_of_members_are_reached_and_seeded():
    stack = StackedDensity([("mixture", GaussianMixtureDensity()), *GAUSSIANS], random_state=0)
    stack.set_params(mixture__n_components=2, diag=NCEDensity())
    assert stack.get_params()["mixture__n_components"] == 2
    assert isinstance(dict(stack.members)["diag"], NCEDensity)
    stack.set_params(members=WITH_HOLES)
    one = stack.fit(holed(clusters(90))).score_samples(clusters(20))
    assert np.array_equal(one, stack.fit(holed(clusters(90))).score_samples(clusters(20)))


def test_few_rows_leave_the_first_member():
    stack = StackedDensity(GAUSSIANS, random_state=0).fit(clusters(8))
    assert stack.weights_ == {"full": 1.0}
    assert "too few" in stack.left_out_["diag"]


def test_draws_follow_the_density(stack):
    rows = stack.sample(4000, random_state=0)
    inside = (np.abs(rows) < 1).all(axis=1).mean()
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 81)[:-1] + 1 / 80] * 2), axis=-1).reshape(
        -1, 2
    )
    expected = np.exp(stack.score_samples(grid)).sum() / 1600
    assert inside == pytest.approx(expected, abs=5 * stats.bernoulli.std(expected) / np.sqrt(4000))
