"""What a user writes, with types: `.ci/run` holds it to mypy --strict."""

import numpy as np

from skgm import (
    DDPM,
    BernoulliRBMCD,
    ConfidenceIntervals,
    DensityChain,
    DensityComparison,
    DensityEstimator,
    MLEDensity,
    NCEDensity,
    ScoreMatchingGaussian,
    TestResult,
    compare_densities,
    confidence_intervals,
    likelihood_ratio_test,
    make_density_pipeline,
)


def fitted(density: DensityEstimator, X: np.ndarray) -> DensityEstimator:
    """Any density of ours is fitted and scored through the base class."""
    density.fit(X)
    nats: float = density.score(X)
    assert np.isfinite(nats)
    return density


def main() -> None:
    """Fit, compare, test, and put intervals on parameters."""
    X = np.random.default_rng(0).normal(size=(50, 2))
    model: MLEDensity = MLEDensity("normal").fit(X)
    intervals: ConfidenceIntervals = model.confidence_intervals(level=0.9)
    same: ConfidenceIntervals = confidence_intervals(model, level=0.9)
    low, again = intervals.low["mu"], same.low["mu"]
    assert np.array_equal(low, again)
    result: TestResult = likelihood_ratio_test(model, X, {"mu": 0})
    print(result.pvalue, model.standard_errors())
    candidates: list[DensityEstimator] = [
        DensityChain(random_state=0),
        DDPM(),
        NCEDensity(),
        BernoulliRBMCD(n_components=4),
        ScoreMatchingGaussian(),
    ]
    print(len(candidates), make_density_pipeline(ScoreMatchingGaussian()))
    comparison: DensityComparison = compare_densities(
        fitted(ScoreMatchingGaussian(), X), fitted(MLEDensity(), X), X
    )
    print(comparison)


if __name__ == "__main__":
    main()
