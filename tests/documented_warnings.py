"""What an estimator's documentation says it may warn of; nothing else is let through."""

import warnings
from contextlib import contextmanager

from scipy.linalg import LinAlgWarning

from skgm import (
    DensityClassifier,
    DensityOutlierDetector,
    DensityPipeline,
    MLEDensity,
    ScoreMatchingGaussian,
)

DOCUMENTED = {
    DensityClassifier: [LinAlgWarning],  # what its densities warn of
    DensityOutlierDetector: [LinAlgWarning],
    DensityPipeline: [LinAlgWarning],  # what its last step warns of
    MLEDensity: [],
    ScoreMatchingGaussian: [LinAlgWarning],
}


@contextmanager
def only_documented_warnings(estimator):
    with warnings.catch_warnings():
        for category in DOCUMENTED[type(estimator)]:
            warnings.simplefilter("ignore", category)
        yield
