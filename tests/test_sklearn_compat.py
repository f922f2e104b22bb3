"""What `_sklearn.py` promises on every supported scikit-learn."""

import io
import re
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from skgm import (
    DDPM,
    BernoulliRBMCD,
    DensityChain,
    DensityClassifier,
    DensityOutlierDetector,
    DensityPipeline,
    FitMonitor,
    GaussianMixtureDensity,
    KernelExpFamily,
    MLEDensity,
    MultipleImputer,
    NCEClassifier,
    NCEDensity,
    NCELanguageModel,
    ScoreMatchingExpFamily,
    ScoreMatchingGaussian,
    ScoreMatchingGaussianCV,
    StackedDensity,
)
from skgm._sklearn import SKLEARN_VERSION, check_sample_weight
from tests.test_estimator_checks import public_estimators
from tests.toy import ToyNormal

HAS_CALLBACKS = parse_version("1.9") <= SKLEARN_VERSION
TABLE = np.random.default_rng(0).normal(size=(20, 2))
BITS = (TABLE > 0).astype(float)


@pytest.mark.parametrize("trouble", [ValueError("no"), KeyboardInterrupt(), SystemExit()])
def test_an_interrupted_fit_leaves_the_estimator_as_it_was(trouble):
    estimator = ToyNormal().fit(TABLE)
    estimator.trouble = trouble
    before = dict(vars(estimator))
    with pytest.raises(type(trouble)):
        estimator.fit(TABLE[:, :1] * 100)
    after = vars(estimator)
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    assert estimator.sample(2).shape == (2, 2)


def test_a_failed_first_fit_leaves_nothing_behind():
    estimator = ToyNormal(trouble=ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        estimator.fit(TABLE)
    assert set(vars(estimator)) == {"trouble", "random_state"}


def test_constructor_parameters_are_checked_by_fit():
    with pytest.raises(ValueError, match="'random_state' parameter of ToyNormal"):
        ToyNormal(random_state="seed").fit(TABLE)
    ToyNormal(random_state=np.random.default_rng(0)).fit(TABLE)


def test_the_decorated_method_keeps_its_name_and_signature():
    assert ToyNormal.fit.__name__ == "fit"
    assert ToyNormal().fit(TABLE, None, np.ones(20)).n_features_in_ == 2


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(3), "at least one non-zero"),
        ([1.0, -1.0, 1.0], "[Nn]egative"),
        ([1.0, np.nan, 1.0], "NaN"),
        ([1.0, np.inf, 1.0], "infinity"),
        (np.full(3, 1e308), "sum of sample_weight overflows"),
        ([1.0, 1.0], "inconsistent|shape"),
        (np.ones((3, 2)), "1D array|shape"),
    ],
)
def test_wrong_weights_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        check_sample_weight(weight, np.zeros((3, 1)))


@pytest.mark.parametrize("weight", [[1, 2, 0], np.array([1, 2, 0], dtype=np.float32)])
def test_weights_become_doubles(weight):
    checked = check_sample_weight(weight, np.zeros((3, 1)))
    assert checked.dtype == np.float64
    assert checked.tolist() == [1.0, 2.0, 0.0]


@pytest.mark.skipif(HAS_CALLBACKS, reason="this scikit-learn has callbacks")
def test_callbacks_need_a_newer_scikit_learn():
    with pytest.raises(RuntimeError, match=r"set_callbacks needs scikit-learn >= 1\.9"):
        ToyNormal().set_callbacks(object())


@pytest.mark.skipif(not HAS_CALLBACKS, reason="callbacks came with scikit-learn 1.9")
def test_callbacks_hear_of_every_fit():
    heard = recorder()
    estimator = ToyNormal().set_callbacks(heard)
    weight = np.ones(20)
    estimator.fit(TABLE, sample_weight=weight)
    assert [event for event, _ in heard.events] == ["setup", "begin", "end", "teardown"]
    told = heard.events[1][1]
    assert told["X"] is TABLE
    assert told["metadata"]["sample_weight"] is weight


@pytest.mark.skipif(not HAS_CALLBACKS, reason="callbacks came with scikit-learn 1.9")
def test_callbacks_are_torn_down_when_fit_fails():
    heard = recorder()
    estimator = ToyNormal(trouble=ValueError("no")).set_callbacks(heard)
    with pytest.raises(ValueError, match="no"):
        estimator.fit(TABLE)
    assert heard.events[-1][0] == "teardown"


def recorder():
    """A callback that writes down what it hears (the protocol of sklearn.callback)."""

    class Recorder:
        def __init__(self):
            self.events = []

        def setup(self, estimator, context):
            self.events.append(("setup", {}))

        def on_fit_task_begin(self, estimator, context, *, X, metadata, **told):
            self.events.append(("begin", {"X": X, "metadata": metadata}))

        def on_fit_task_end(self, estimator, context, **told):
            self.events.append(("end", told))

        def teardown(self, estimator, context):
            self.events.append(("teardown", {}))

    return Recorder()


SENTENCES = [["a", "b"], ["b", "a", "a"], ["a"]] * 4
SCALED = [("scale", StandardScaler()), ("density", ScoreMatchingGaussian())]
STACKED = [("full", ScoreMatchingGaussian()), ("diag", ScoreMatchingGaussian("diag"))]
QUICK = [  # each estimator, what it is fitted to, and the subtasks of its fit that are heard of
    (BernoulliRBMCD(2, n_iter=3, random_state=0), BITS, 3),
    (DDPM(max_iter=3, random_state=0), TABLE, 3),
    (DensityChain(n_orders=2, random_state=0), TABLE, 2),
    (DensityClassifier(ScoreMatchingGaussian()), TABLE, 2),
    (DensityOutlierDetector(ScoreMatchingGaussian()), TABLE, 1),
    (DensityPipeline(SCALED), TABLE, 2),
    (GaussianMixtureDensity(2, random_state=0), TABLE, 1),
    (KernelExpFamily(alpha=1.0, random_state=0), TABLE, 2),
    (MLEDensity("normal"), TABLE, 0),
    (MultipleImputer(ScoreMatchingGaussian(), n_imputations=2, random_state=0), TABLE, 2),
    (NCEClassifier(max_iter=3, random_state=0), TABLE, 1),
    (NCEDensity("quadratic", noise="gaussian", random_state=0), TABLE, 1),
    (NCELanguageModel(max_iter=3, random_state=0), SENTENCES, 2),
    (ScoreMatchingExpFamily(), TABLE, 0),
    (ScoreMatchingGaussian(), TABLE, 0),
    (ScoreMatchingGaussianCV(), TABLE, 0),
    (StackedDensity(STACKED, random_state=0), TABLE, 2),
]


@pytest.mark.skipif(not HAS_CALLBACKS, reason="callbacks came with scikit-learn 1.9")
@pytest.mark.parametrize(("estimator", "X", "n_tasks"), QUICK, ids=lambda v: type(v).__name__)
def test_every_fit_is_heard_of_and_shown(estimator, X, n_tasks):
    heard, name = recorder(), type(estimator).__name__
    y = None if X is SENTENCES else np.arange(len(X)) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clone(estimator).set_callbacks(heard).fit(X, y)
    events = [event for event, _ in heard.events]
    assert (events[0], events[-1]) == ("setup", "teardown")
    assert events.count("begin") == events.count("end") > n_tasks
    assert name in estimator._repr_html_()


@pytest.mark.skipif(not HAS_CALLBACKS, reason="callbacks came with scikit-learn 1.9")
def test_monitor_writes_nats_and_time_of_each_part():
    told = io.StringIO()
    monitor = FitMonitor(TABLE, file=told)
    density = DensityChain(n_orders=2, random_state=0).set_callbacks(monitor).fit(TABLE)
    first, second = told.getvalue().splitlines()
    assert re.fullmatch(r"DensityChain: chain 1 of 2, -\d\.\d+ nats per row, \d+ s left", first)
    assert second.endswith(f"{density.score(TABLE):.3f} nats per row, 0 s left")
    assert monitor.scores_[1] == density.score(TABLE)


def test_every_estimator_is_heard_of():
    assert {type(estimator) for estimator, _, _ in QUICK} == set(public_estimators())


def test_verbose_without_rich_names_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    X = np.eye(6)
    with pytest.warns(UserWarning, match=r"progress bar .*pip install 'skgm\[progress\]'"):
        BernoulliRBMCD(2, n_iter=1, verbose=1, random_state=0).fit(X)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*progress bar")
        warnings.filterwarnings("ignore", message="(?!.*progress bar)")
        BernoulliRBMCD(2, n_iter=1, random_state=0).fit(X)
