"""The density checks, for every public estimator in every guise that changes what it promises."""

import pytest
from sklearn.preprocessing import StandardScaler

from skgm import (
    DDPM,
    BernoulliRBMCD,
    DensityChain,
    DensityEstimator,
    GaussianMixtureDensity,
    KernelExpFamily,
    MLEDensity,
    NCEDensity,
    ScoreMatchingExpFamily,
    ScoreMatchingGaussian,
    ScoreMatchingGaussianCV,
    StackedDensity,
    make_density_pipeline,
)
from skgm.testing import check_density_estimator, parametrize_with_density_checks
from skgm.testing._registry import CHECKS
from tests.documented_warnings import DOCUMENTED, only_documented_warnings

ALL_REAL = {"check_minus_infinity_outside_support", "check_fit_outside_support_raises"}
NO_SEED = {"check_random_state_in_constructor"}
NO_GRADIENT = {
    "check_score_function_shape",
    "check_score_function_is_gradient",
    "check_equivariance",
}
DISCRETE = {
    "check_score_function_shape",
    "check_score_function_is_gradient",
    "check_equivariance",
}

CONVERTS = {"check_fit_outside_support_raises"}
NO_STREAM = {"check_partial_fit_split_invariance"}

LEARNED_SCORE = {"check_score_function_is_gradient", "check_equivariance"}

# An estimator, and the checks that its tags or its methods rule out: nothing drops out unseen.
ESTIMATORS = [
    (BernoulliRBMCD(), DISCRETE | CONVERTS),
    (BernoulliRBMCD(3, method="cd", n_gibbs_steps=2, early_stopping=True), DISCRETE | CONVERTS),
    (BernoulliRBMCD(2, method="exact"), DISCRETE | CONVERTS | NO_STREAM),
    (DDPM(), ALL_REAL | LEARNED_SCORE),
    (DDPM(missing="draws", max_iter=50), ALL_REAL | LEARNED_SCORE | {"check_nan_raises"}),
    (DensityChain(n_orders=1), ALL_REAL | NO_GRADIENT | NO_STREAM | {"check_nan_raises"}),
    (
        GaussianMixtureDensity(),
        ALL_REAL | NO_STREAM | {"check_nan_raises", "check_equivariance"},
    ),
    (ScoreMatchingGaussian(), ALL_REAL | NO_SEED),
    (ScoreMatchingGaussian(missing="em"), ALL_REAL | NO_SEED | NO_STREAM | {"check_nan_raises"}),
    (ScoreMatchingGaussian(covariance_type="diag"), ALL_REAL | NO_SEED),
    (
        ScoreMatchingGaussian(covariance_type="spherical"),
        ALL_REAL | NO_SEED | {"check_equivariance"},
    ),
    (ScoreMatchingGaussian(penalty="l1"), ALL_REAL | NO_SEED),
    (ScoreMatchingGaussian(penalty="l2", alpha=0.01), ALL_REAL | NO_SEED),
    (
        ScoreMatchingGaussian(bounds="positive"),
        NO_SEED | {"check_partial_fit_split_invariance"},
    ),
    (ScoreMatchingGaussianCV(), ALL_REAL | NO_SEED | {"check_partial_fit_split_invariance"}),
    (
        ScoreMatchingGaussianCV(selection="cv"),
        ALL_REAL | NO_SEED | {"check_partial_fit_split_invariance"},
    ),
    (ScoreMatchingExpFamily(), ALL_REAL | NO_SEED | NO_STREAM),
    (
        ScoreMatchingExpFamily("polynomial", bounds=(0, 1), degree=3),
        NO_SEED | NO_STREAM | {"check_equivariance"},
    ),
    (ScoreMatchingExpFamily("gamma"), NO_SEED | NO_STREAM),
    (KernelExpFamily(), ALL_REAL | NO_STREAM | {"check_equivariance"}),
    (MLEDensity("normal"), ALL_REAL | NO_SEED),
    (
        MLEDensity("auto"),
        {
            "check_equivariance",
            "check_minus_infinity_outside_support",
            "check_random_state_in_constructor",
            "check_partial_fit_split_invariance",
            "check_nan_raises",
            "check_fit_outside_support_raises",
        },
    ),
    (MLEDensity("exponential"), NO_SEED),
    (MLEDensity("bernoulli"), DISCRETE | NO_SEED),
    (MLEDensity("poisson"), DISCRETE | NO_SEED),
    (MLEDensity("binomial", fixed={"n": 1000}), DISCRETE | NO_SEED),
    (MLEDensity("geometric"), DISCRETE | NO_SEED),
    (MLEDensity("negative_binomial"), DISCRETE | NO_SEED),
    (MLEDensity("burr12"), NO_SEED | {"check_equivariance"}),
    (MLEDensity("logser"), DISCRETE | NO_SEED),
    (MLEDensity("gamma"), NO_SEED),
    (MLEDensity("beta"), NO_SEED | {"check_equivariance"}),
    (MLEDensity("von_mises"), NO_SEED | {"check_equivariance"}),
    (MLEDensity("multivariate_normal"), ALL_REAL | NO_SEED),
    (NCEDensity(), ALL_REAL | NO_STREAM | NO_GRADIENT),
    (
        NCEDensity(missing="draws", n_critics=1),
        ALL_REAL | NO_STREAM | NO_GRADIENT | {"check_nan_raises"},
    ),
    (
        NCEDensity("quadratic"),
        ALL_REAL | NO_STREAM | {"check_equivariance"},
    ),
    (NCEDensity(noise="bernoulli", n_critics=1), DISCRETE | NO_STREAM),
    (
        StackedDensity(
            [
                ("full", ScoreMatchingGaussian(missing="em")),
                ("diag", ScoreMatchingGaussian("diag", missing="em")),
            ],
            min_weight=0.0,
        ),
        ALL_REAL | NO_GRADIENT | NO_STREAM | {"check_nan_raises"},
    ),
    (
        make_density_pipeline(StandardScaler(), ScoreMatchingGaussian()),
        ALL_REAL | NO_SEED | {"check_partial_fit_split_invariance"},
    ),
]


# The positive columns of the suite are exponential, and no member of these families is close to
# that. (A Pareto column must lie above its minimum, where the suite's begin at zero.)
FAR_FROM_EXPONENTIAL = [MLEDensity("rayleigh"), MLEDensity("inverse_gaussian")]


# Each check of these trains models, which is a third of the time of all checks: CI runs them.
TRAINED = (DDPM, KernelExpFamily, NCEDensity, StackedDensity)


def is_trained(estimator):
    return isinstance(estimator, TRAINED) or getattr(estimator, "family", "") == "burr12"


QUICK = [estimator for estimator, _ in ESTIMATORS if not is_trained(estimator)]
LONG = [estimator for estimator, _ in ESTIMATORS if is_trained(estimator)]


@parametrize_with_density_checks(QUICK)
def test_density_checks(estimator, check):
    with only_documented_warnings(estimator):
        check(estimator)


@pytest.mark.slow
@parametrize_with_density_checks(LONG)
def test_density_checks_of_trained_models(estimator, check):
    with only_documented_warnings(estimator):
        check(estimator)


@pytest.mark.parametrize(("estimator", "expected"), ESTIMATORS)
def test_checks_that_do_not_apply_are_the_ones_listed(estimator, expected):
    assert {name for name, check in CHECKS.items() if check.reason_not_applicable(estimator)} == (
        expected
    )


@pytest.mark.parametrize("estimator", FAR_FROM_EXPONENTIAL, ids=lambda e: e.family)
def test_misfits_fail_the_comparison_of_fits_alone(estimator):
    records = check_density_estimator(estimator, on_fail=None)
    failed = {record["check_name"] for record in records if record["status"] == "failed"}
    assert failed == {"check_beats_independent_margins"}


def test_every_public_density_is_among_them():
    densities = {c for c in DOCUMENTED if issubclass(c, DensityEstimator)}
    assert {type(estimator) for estimator, _ in ESTIMATORS} == densities
