"""Arguments of the last step's `fit` through a pipeline, above all right-censored rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, StandardScaler

from skgm import MLEDensity
from skgm.compose import DensityPipeline, make_density_pipeline
from tests.compose.densities import FullNormal

pd = pytest.importorskip("pandas")
rng = np.random.default_rng(0)
WAITS = rng.weibull([1.5, 0.8], size=(80, 2)) * [2.0, 30.0]
CUTS = rng.weibull(1.0, size=(80, 2)) * [3.0, 45.0]
TIMES, EVENT = np.minimum(WAITS, CUTS), (WAITS <= CUTS).astype(float)


def in_other_units(family="weibull"):
    return make_density_pipeline(MaxAbsScaler(), MLEDensity(family))


@pytest.mark.parametrize("family", ["exponential", "weibull", "gamma", "lognormal"])
def test_censored_fit_is_that_without_the_change_of_units(family):
    pipe = in_other_units(family).fit(TIMES, event=EVENT)
    direct = MLEDensity(family).fit(TIMES, event=EVENT)
    assert_allclose(pipe.score_samples(WAITS), direct.score_samples(WAITS), rtol=1e-6)
    wrong = in_other_units(family).fit(TIMES)
    assert np.abs(wrong.score_samples(WAITS) - direct.score_samples(WAITS)).max() > 0.1


def test_censored_fit_through_a_curved_map():
    """The root of a Weibull waiting time is Weibull with twice the shape."""
    pipe = make_density_pipeline(FunctionTransformer(np.sqrt), MLEDensity("weibull"))
    pipe.fit(TIMES, event=EVENT)
    direct = MLEDensity("weibull").fit(TIMES, event=EVENT)
    assert_allclose(pipe[-1].params_["shape"], 2 * direct.params_["shape"], rtol=1e-7)
    assert_allclose(pipe.score_samples(WAITS), direct.score_samples(WAITS), rtol=1e-6)


def test_event_by_the_name_of_the_step():
    named = in_other_units().fit(TIMES, mledensity__event=EVENT)
    plain = in_other_units().fit(TIMES, event=EVENT)
    assert_allclose(named.score_samples(WAITS), plain.score_samples(WAITS))
    with pytest.raises(ValueError, match="Give event or mledensity__event, not both"):
        in_other_units().fit(TIMES, event=EVENT, mledensity__event=EVENT)


@pytest.mark.parametrize("as_frame", [False, True])
def test_events_follow_columns_that_a_transformer_moves(as_frame):
    table = pd.DataFrame(TIMES, columns=["short", "long"]) if as_frame else TIMES
    second, first = ("long", "short") if as_frame else (1, 0)
    moved = ColumnTransformer([("a", MaxAbsScaler(), [second]), ("b", "passthrough", [first])])
    pipe = make_density_pipeline(moved, MLEDensity("weibull")).fit(table, event=EVENT)
    direct = MLEDensity("weibull").fit(TIMES, event=EVENT)
    assert_allclose(pipe[-1].params_["shape"], direct.params_["shape"][::-1], rtol=1e-7)


def test_one_event_per_row():
    together = EVENT.min(axis=1)
    pipe = in_other_units().fit(TIMES, event=together.tolist())
    direct = MLEDensity("weibull").fit(TIMES, event=together)
    assert_allclose(pipe.score_samples(WAITS), direct.score_samples(WAITS), rtol=1e-6)


def test_rows_of_weight_zero_go_with_their_events():
    weight = np.arange(len(TIMES)) % 3
    root = FunctionTransformer(np.sqrt)
    pipe = make_density_pipeline(root, MLEDensity("weibull"))
    pipe.fit(TIMES, event=EVENT, sample_weight=weight)
    direct = MLEDensity("weibull").fit(TIMES, event=EVENT, sample_weight=weight)
    assert_allclose(pipe.score_samples(WAITS), direct.score_samples(WAITS), rtol=1e-6)


def test_grid_search_routes_events():
    with config_context(enable_metadata_routing=True):
        pipe = in_other_units().set_fit_request(event=True)
        grid = {"mledensity__family": ["weibull", "exponential"]}
        search = GridSearchCV(pipe, grid, cv=3).fit(TIMES, event=EVENT)
    direct = MLEDensity(search.best_params_["mledensity__family"]).fit(TIMES, event=EVENT)
    assert_allclose(
        search.best_estimator_.score_samples(WAITS), direct.score_samples(WAITS), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("transformer", "jacobians"),
    [
        (PCA(), None),
        (FunctionTransformer(np.negative, np.negative), {"step": lambda X: np.zeros(len(X))}),
    ],
    ids=["mixes columns", "may decrease"],
)
def test_censoring_is_refused_where_it_loses_its_meaning(transformer, jacobians):
    steps = [("step", transformer), ("density", MLEDensity("weibull"))]
    pipe = DensityPipeline(steps, log_jacobians=jacobians)
    with pytest.raises(ValueError, match=r"event needs transformers .* to increase"):
        pipe.fit(TIMES, event=EVENT)


def test_refusals_name_the_argument():
    pipe = make_density_pipeline(StandardScaler(), FullNormal())
    with pytest.raises(ValueError, match=r"'fullnormal' \(FullNormal\), takes no 'event' in fit"):
        pipe.fit(TIMES, event=EVENT)
    with pytest.raises(ValueError, match=r"takes fullnormal__parameter=.*got 'color'"):
        pipe.fit(TIMES, color="red")
    with pytest.raises(ValueError, match=r"got 'standardscaler__copy'.*transformers learn from X"):
        pipe.fit(TIMES, standardscaler__copy=False)
    with pytest.raises(ValueError, match="Give sample_weight, which goes to every step"):
        pipe.fit(TIMES, fullnormal__sample_weight=np.ones(len(TIMES)))
    with pytest.raises(ValueError, match="one entry per row"):
        in_other_units().fit(TIMES, event=EVENT[:-1])
