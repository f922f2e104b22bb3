"""A fit in parts: regressors that have hardly begun, and classes that do not change."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDRegressor
from sklearn.neural_network import MLPRegressor

from skgm import DDPM

IRIS, SPECIES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]


def test_a_regressor_that_has_hardly_begun_has_not_diverged():
    """Random weights are worse than the Gaussian by more than a fifth, and improve."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 60)) @ rng.standard_normal((60, 60))
    model = DDPM(MLPRegressor(random_state=0), n_timesteps=10, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        for _ in range(30):
            model.partial_fit(X)
    losses = model.loss_curve_[1:]  # the first is that before there is a fit
    assert max(losses) > 1.2
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


@pytest.mark.parametrize(
    "regressor",
    [
        SGDRegressor(eta0=10.0, learning_rate="constant", random_state=0),
        MLPRegressor(learning_rate_init=1.0, random_state=0),
    ],
    ids=lambda r: type(r).__name__,
)
def test_a_regressor_that_grows_far_beyond_its_start_has_diverged(regressor):
    model = DDPM(regressor, batch_size=64, n_timesteps=10, random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.partial_fit(IRIS)
    assert model.loss_curve_[-1] > 10


@pytest.mark.parametrize("conditional", [False, True])
def test_whether_there_are_classes_does_not_change(conditional):
    model = DDPM(class_conditional=conditional, max_iter=20, random_state=0).fit(IRIS, NAMES)
    before = model.score_samples(IRIS[:5])
    model.set_params(class_conditional=not conditional)
    with pytest.raises(ValueError, match=rf"class_conditional={not conditional}.*fit again"):
        model.partial_fit(IRIS, NAMES)
    model.set_params(class_conditional=conditional)
    assert_array_equal(model.score_samples(IRIS[:5]), before)
    model.partial_fit(IRIS, NAMES)
    model.set_params(class_conditional=not conditional).fit(IRIS, NAMES).partial_fit(IRIS, NAMES)


@pytest.mark.parametrize("begin", ["partial_fit", "fit"])
def test_other_classes_than_at_first_are_refused(begin):
    model = DDPM(class_conditional=True, max_iter=20, random_state=0)
    getattr(model, begin)(IRIS, NAMES)
    model.partial_fit(IRIS[:60], NAMES[:60], classes=np.unique(NAMES)[::-1])  # the same, unsorted
    for other in (["setosa"], ["setosa", "tulip", "virginica"], [0, 1, 2]):
        with pytest.raises(ValueError, match=r"classes.*the first call.*'versicolor'"):
            model.partial_fit(IRIS[:60], NAMES[:60], classes=other)
    assert_array_equal(model.classes_, np.unique(NAMES))


def test_classes_count_for_nothing_without_class_conditional():
    model = DDPM(random_state=0)
    model.partial_fit(IRIS, classes=[1, 2]).partial_fit(IRIS, classes=[3])
    assert not hasattr(model, "classes_")
