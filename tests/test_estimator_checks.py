"""scikit-learn's checks, for every public estimator as constructed by default.

There are no expected failures. With SCIPY_ARRAY_API=1 in the environment, the one check that
scikit-learn otherwise skips runs as well. A composition cannot be constructed without parts: it
gets the least that its signature requires, as Pipeline does in scikit-learn's own tests.
"""

import inspect

import pytest
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import skgm
from skgm import (
    BernoulliRBMCD,
    DensityChain,
    DensityPipeline,
    NCELanguageModel,
    ScoreMatchingGaussian,
    StackedDensity,
)
from tests.documented_warnings import DOCUMENTED, only_documented_warnings

REQUIRED = {
    DensityPipeline: {"steps": [("scale", StandardScaler()), ("density", ScoreMatchingGaussian())]}
}

# Estimators whose X is no table, which is all that scikit-learn's checks pass. Their own tests run
# those of the checks that pass nothing.
OTHER_INPUT = {NCELanguageModel: "X is a list of sentences, each a list of tokens"}


def public_estimators():
    public = [getattr(skgm, name) for name in skgm.__all__]
    classes = [value for value in public if inspect.isclass(value)]
    return [c for c in classes if issubclass(c, BaseEstimator) and not inspect.isabstract(c)]


def checked_estimators():
    return [c for c in public_estimators() if c not in OTHER_INPUT]


# Older scikit-learn passes a generator, which pytest 9 deprecates: hence the detour over a list.
# Less work in three of the fits: one order of three, a twentieth of the passes over tiny tables,
# and the fastest members.
MEMBERS = [("full", ScoreMatchingGaussian()), ("diag", ScoreMatchingGaussian("diag"))]
OPTIONS = REQUIRED | {
    DensityChain: {"n_orders": 1},
    BernoulliRBMCD: {"n_iter": 250},
    StackedDensity: {"members": MEMBERS},
}
MARK = parametrize_with_checks([c(**OPTIONS.get(c, {})) for c in checked_estimators()]).mark


@pytest.mark.parametrize(MARK.args[0], list(MARK.args[1]), **MARK.kwargs)
def test_estimator_checks(estimator, check):
    with only_documented_warnings(estimator):
        check(estimator)


def test_every_public_estimator_is_checked_and_says_what_it_warns_of():
    assert set(public_estimators()) == set(DOCUMENTED)


@pytest.mark.parametrize("estimator_class", public_estimators())
def test_default_construction_is_given_only_what_the_signature_requires(estimator_class):
    parameters = inspect.signature(estimator_class).parameters.values()
    required = {p.name for p in parameters if p.default is inspect.Parameter.empty}
    assert required == set(REQUIRED.get(estimator_class, {}))
