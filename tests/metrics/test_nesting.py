"""Nested models are told apart from others, and the table of cases is true."""

import numpy as np
import pytest
from scipy import stats

from skgm import MLEDensity, compare_densities
from skgm.inference.families import FAMILIES, Exponential, get_family
from skgm.metrics._comparison import find_nesting

RNG = np.random.default_rng(0)
TRAIN, TEST = RNG.gamma(2.0, size=(60, 2)), RNG.gamma(2.0, size=(40, 2))


CASES = [(family.name, case) for family in FAMILIES for case in family.special_cases]


class Sized(Exponential):
    """A family with a setting of its own."""

    def __init__(self, size):
        self.size = size


def fixed(family, **values):
    return MLEDensity(family, fixed=values)


def test_normal_is_nested_in_multivariate_normal_and_says_so():
    a, b = MLEDensity("norm").fit(TRAIN), MLEDensity("mvn").fit(TRAIN)
    result = compare_densities(a, b, TEST)
    assert result.nested == "a in b"
    assert str(result).splitlines()[-1] == (
        "a (normal) is nested in b (multivariate_normal): no covariances; on the rows they were "
        "fitted to, likelihood_ratio_test(b, X, a) tests that"
    )
    swapped = compare_densities(b, a, TEST)
    assert swapped.nested == "b in a"
    assert "b (normal) is nested in a (multivariate_normal)" in str(swapped)
    assert result.difference == -swapped.difference  # the comparison itself is what it was


def test_models_that_are_not_nested_say_nothing():
    a = MLEDensity("exponential").fit(TRAIN)
    result = compare_densities(a, MLEDensity("normal").fit(TRAIN), TEST)
    assert (result.nested, result.note) == (None, "")
    assert len(str(result).splitlines()) == 3
    assert compare_densities(a, a.score_samples(TEST) - TEST[:, 0], TEST).nested is None


def test_one_model_fitted_twice():
    result = compare_densities(
        MLEDensity("norm").fit(TRAIN), MLEDensity("normal").fit(TRAIN[:30]), TEST
    )
    assert result.nested == "same model"
    assert "a and b are the same model" in str(result)


@pytest.mark.parametrize(
    ("a", "b", "kind", "words"),
    [
        (fixed("normal", mu=0.0), MLEDensity("normal"), "a in b", ": mu = 0;"),
        (fixed("normal", mu=[0.0, 1.0]), MLEDensity("normal"), "a in b", ": mu = [0, 1];"),
        (MLEDensity("normal"), fixed("normal", sigma=2.0), "b in a", ": sigma = 2;"),
        (fixed("normal", mu=0.0), fixed("normal", mu=0.0), "same model", ""),
        (fixed("normal", mu=0.0), fixed("normal", mu=[0.0, 0.0]), "same model", ""),
        (fixed("normal", mu=0.0), fixed("normal", mu=1.0), None, ""),
        (fixed("normal", mu=0.0), fixed("normal", sigma=1.0), None, ""),
        (fixed("normal", mu=1.0), MLEDensity("mvn"), "a in b", "mean = 1, no covariances;"),
        (fixed("normal", sigma=1.0), MLEDensity("mvn"), "a in b", "no covariances, variances giv"),
        (MLEDensity(Sized(3)), MLEDensity(Sized(3)), "same model", ""),
        (MLEDensity(Sized(3)), MLEDensity(Sized(4)), None, ""),
    ],
)
def test_fixed_values_decide(a, b, kind, words):
    a.fit(TRAIN), b.fit(TRAIN)
    found = find_nesting(a, b)
    assert found.kind == kind
    assert words in found.note
    mirror = {"a in b": "b in a", "b in a": "a in b"}
    assert find_nesting(b, a).kind == mirror.get(kind, kind)


# Both sides of each case by scipy, at some values of the parameters that stay free.
FAR = 1e12  # stands in for infinity; 1e7 for a size, beyond which scipy rounds
SCIPY = {
    ("exponential", "gamma"): (stats.expon(scale=3), stats.gamma(1.0, scale=3)),
    ("exponential", "weibull"): (stats.expon(scale=3), stats.weibull_min(1.0, scale=3)),
    ("rayleigh", "weibull"): (stats.rayleigh(scale=3), stats.weibull_min(2, scale=3 * np.sqrt(2))),
    ("cauchy", "student_t"): (stats.cauchy(1, 3), stats.t(1.0, 1, 3)),
    ("normal", "student_t"): (stats.norm(1, 3), stats.t(FAR, 1, 3)),
    ("poisson", "negative_binomial"): (stats.poisson(3), stats.nbinom(1e7, 1e7 / (1e7 + 3))),
    ("normal", "multivariate_normal"): (stats.norm(0, 2), stats.multivariate_normal(0, 4)),
}


@pytest.mark.parametrize(("large", "case"), CASES, ids=lambda x: getattr(x, "small", x))
def test_the_cases_are_true(large, case):
    small, large = SCIPY[case.small, large]
    x = np.arange(1.0, 8.0)
    log_density = [getattr(d, "logpmf", None) or d.logpdf for d in (small, large)]
    np.testing.assert_allclose(log_density[0](x), log_density[1](x), rtol=1e-5)


def test_every_case_is_checked_and_names_parameters_that_exist():
    assert {(case.small, large) for large, case in CASES} == set(SCIPY)
    for name, case in CASES:
        small, large = get_family(case.small), get_family(name)
        assert {*case.null, *case.shared} <= {p.name for p in large.parameters}
        assert {source for source, _ in case.shared.values()} <= {p.name for p in small.parameters}
