"""What an estimator's documentation says it may warn of; nothing else is let through."""

import warnings
from contextlib import contextmanager

from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

from skgm import (
    DDPM,
    BernoulliRBMCD,
    DensityChain,
    DensityClassifier,
    DensityOutlierDetector,
    DensityPipeline,
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

DOCUMENTED = {
    BernoulliRBMCD: [DataConversionWarning],  # scikit-learn's tables are not binary
    DDPM: [],
    DensityChain: [],
    DensityClassifier: [LinAlgWarning],  # what its densities warn of
    DensityOutlierDetector: [LinAlgWarning],
    DensityPipeline: [LinAlgWarning],  # what its last step warns of
    GaussianMixtureDensity: [LinAlgWarning],
    # the last one: of a density that is no better than the Gaussian alone
    KernelExpFamily: [LinAlgWarning, ConvergenceWarning, UserWarning],
    MLEDensity: [ConvergenceWarning],  # a numerical fit that runs to an edge
    MultipleImputer: [LinAlgWarning, ConvergenceWarning],  # what its densities warn of
    NCEClassifier: [ConvergenceWarning],  # a search that has not ended
    # of rounded and repeated rows, of equal columns, of an uncertain normalizer
    NCEDensity: [UserWarning, LinAlgWarning, ConvergenceWarning],
    NCELanguageModel: [ConvergenceWarning],
    ScoreMatchingExpFamily: [LinAlgWarning],
    ScoreMatchingGaussian: [LinAlgWarning, ConvergenceWarning],
    ScoreMatchingGaussianCV: [LinAlgWarning],
    StackedDensity: [LinAlgWarning, UserWarning],  # what its members warn of
}


@contextmanager
def only_documented_warnings(estimator):
    with warnings.catch_warnings():
        for category in DOCUMENTED[type(estimator)]:
            warnings.simplefilter("ignore", category)
        yield
