"""Warnings name the line of the user's code, whatever stands between it and the fault.

`conftest.py` holds every warning that a test provokes to the same rule.
"""

import warnings

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skgm import (
    DDPM,
    BernoulliRBMCD,
    DensityOutlierDetector,
    NCEDensity,
    ScoreMatchingGaussian,
    make_density_pipeline,
)

RNG = np.random.default_rng(0)
CONSTANT = np.ones((9, 1))
ROUNDED = np.round(RNG.normal(size=(200, 2)))
NORMAL = RNG.normal(size=(60, 3))

PROVOKED = {
    "singular covariance": (ScoreMatchingGaussian(), CONSTANT),
    "lattice and normalizer": (NCEDensity(random_state=0), ROUNDED),
    "gray units": (BernoulliRBMCD(2, n_iter=2, random_state=0), NORMAL),
    "divergence": (DDPM(learning_rate=1e6, max_iter=200, random_state=0), NORMAL),
}
WRAPPERS = {
    "density pipeline": lambda density: make_density_pipeline(density),
    "scikit-learn's pipeline": lambda density: make_pipeline(FunctionTransformer(), density),
    "outlier detector": lambda density: DensityOutlierDetector(density),
    "grid search": lambda density: GridSearchCV(density, {}, cv=2, error_score="raise"),
}


def files_of_warnings(estimator, X):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(X)
    return {record.filename for record in caught}


@pytest.mark.parametrize("fault", PROVOKED)
def test_warnings_carry_the_file_of_the_caller(fault):
    assert files_of_warnings(*PROVOKED[fault]) == {__file__}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_do_not_stand_in_between(wrapper):
    estimator = WRAPPERS[wrapper](ScoreMatchingGaussian())
    assert files_of_warnings(estimator, CONSTANT) == {__file__}
