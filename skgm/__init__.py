"""Generative models and likelihood inference for scikit-learn users.

Public names resolve on first use (PEP 562): ``import skgm`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what the table below says, for type checkers and editors
    from skgm.base import DensityEstimator, DensityTags, FitMonitor, trusted_types
    from skgm.chain import DensityChain
    from skgm.compose import (
        DensityClassifier,
        DensityOutlierDetector,
        DensityPipeline,
        MultipleImputer,
        StackedDensity,
        make_density_pipeline,
    )
    from skgm.diffusion import DDPM, NoiseSchedule
    from skgm.evidence import PrivacyAudit, TableReport, privacy_audit, report
    from skgm.inference import (
        ConfidenceIntervals,
        MLEDensity,
        PooledEstimates,
        TestResult,
        confidence_intervals,
        fit_family,
        likelihood_ratio_test,
        pool,
        score_test,
        wald_test,
    )
    from skgm.metrics import (
        ComparisonSums,
        DensityComparison,
        FamilyRanking,
        GoodnessOfFit,
        InformationCriteria,
        TwoSampleResult,
        compare_densities,
        goodness_of_fit,
        information_criteria,
        rank_families,
        two_sample_test,
    )
    from skgm.mixture import GaussianMixtureDensity
    from skgm.nce import NCEClassifier, NCEDensity, NCELanguageModel
    from skgm.plotting import (
        ConditionalDisplay,
        DiffusionDisplay,
        ExplanationDisplay,
        FilterDisplay,
        GraphDisplay,
        MarginDisplay,
        PairDisplay,
        ProfileDisplay,
        QQDisplay,
        RankingDisplay,
    )
    from skgm.rbm import BernoulliRBMCD
    from skgm.score_matching import (
        KernelExpFamily,
        ScoreMatchingExpFamily,
        ScoreMatchingGaussian,
        ScoreMatchingGaussianCV,
    )

__version__ = "0.2.0"

__all__ = [  # noqa: RUF022 -- in the order of sorted(), not with constants first
    "BernoulliRBMCD",
    "ComparisonSums",
    "ConditionalDisplay",
    "ConfidenceIntervals",
    "DDPM",
    "DensityChain",
    "DensityClassifier",
    "DensityComparison",
    "DensityEstimator",
    "DensityOutlierDetector",
    "DensityPipeline",
    "DensityTags",
    "DiffusionDisplay",
    "ExplanationDisplay",
    "FamilyRanking",
    "FilterDisplay",
    "FitMonitor",
    "GaussianMixtureDensity",
    "GoodnessOfFit",
    "GraphDisplay",
    "InformationCriteria",
    "KernelExpFamily",
    "MLEDensity",
    "MarginDisplay",
    "MultipleImputer",
    "NCEClassifier",
    "NCEDensity",
    "NCELanguageModel",
    "NoiseSchedule",
    "PairDisplay",
    "PooledEstimates",
    "PrivacyAudit",
    "ProfileDisplay",
    "QQDisplay",
    "RankingDisplay",
    "ScoreMatchingExpFamily",
    "ScoreMatchingGaussian",
    "ScoreMatchingGaussianCV",
    "StackedDensity",
    "TableReport",
    "TestResult",
    "TwoSampleResult",
    "compare_densities",
    "confidence_intervals",
    "fit_family",
    "goodness_of_fit",
    "information_criteria",
    "likelihood_ratio_test",
    "make_density_pipeline",
    "pool",
    "privacy_audit",
    "rank_families",
    "report",
    "score_test",
    "trusted_types",
    "two_sample_test",
    "wald_test",
]

_HOME = {
    "base": ("DensityEstimator", "DensityTags", "FitMonitor", "trusted_types"),
    "chain": ("DensityChain",),
    "compose": (
        "DensityClassifier",
        "DensityOutlierDetector",
        "DensityPipeline",
        "StackedDensity",
        "MultipleImputer",
        "make_density_pipeline",
    ),
    "diffusion": ("DDPM", "NoiseSchedule"),
    "evidence": ("PrivacyAudit", "TableReport", "privacy_audit", "report"),
    "inference": (
        "ConfidenceIntervals",
        "MLEDensity",
        "PooledEstimates",
        "TestResult",
        "confidence_intervals",
        "fit_family",
        "likelihood_ratio_test",
        "pool",
        "score_test",
        "wald_test",
    ),
    "metrics": (
        "ComparisonSums",
        "DensityComparison",
        "FamilyRanking",
        "GoodnessOfFit",
        "InformationCriteria",
        "TwoSampleResult",
        "compare_densities",
        "goodness_of_fit",
        "information_criteria",
        "rank_families",
        "two_sample_test",
    ),
    "mixture": ("GaussianMixtureDensity",),
    "nce": ("NCEClassifier", "NCEDensity", "NCELanguageModel"),
    "plotting": (
        "ConditionalDisplay",
        "DiffusionDisplay",
        "ExplanationDisplay",
        "FilterDisplay",
        "GraphDisplay",
        "MarginDisplay",
        "PairDisplay",
        "ProfileDisplay",
        "QQDisplay",
        "RankingDisplay",
    ),
    "rbm": ("BernoulliRBMCD",),
    "score_matching": (
        "KernelExpFamily",
        "ScoreMatchingExpFamily",
        "ScoreMatchingGaussian",
        "ScoreMatchingGaussianCV",
    ),
}


if not TYPE_CHECKING:  # with it, type checkers would take any name for one of skgm

    def __getattr__(name: str) -> Any:
        for module, names in _HOME.items():
            if name in names:
                value = getattr(import_module(f"skgm.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module 'skgm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
