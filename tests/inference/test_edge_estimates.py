"""Numerical fits that end on, or run towards, an edge of the parameter space."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

from skgm.inference import MLEDensity, likelihood_ratio_test, wald_test
from skgm.inference.families import ScipyFamily
from skgm.inference.families._limits import undetermined

COUNTS = np.tile([[1.0], [2.0], [3.0], [3.0], [4.0]], (6, 1))
LONG = np.random.default_rng(0).exponential(size=(40, 1))
GUMBEL = np.random.default_rng(0).gumbel(size=(40, 1))


def fitted(distribution, X, named):
    with pytest.warns(ConvergenceWarning, match=f"in the {distribution.name} family.*{named} = "):
        return MLEDensity(distribution).fit(X)


@pytest.fixture(scope="module")
def rice():
    """The second moment of exponential times is too large for any b > 0 of Rice's law."""
    return fitted(stats.rice, LONG, "b")


def test_the_estimate_is_that_of_the_smaller_family(rice):
    rayleigh = MLEDensity("rayleigh").fit(LONG)
    assert_allclose(rice.params_["scale"], rayleigh.params_["scale"], rtol=1e-6)
    assert_allclose(rice.loglik_, rayleigh.loglik_, rtol=1e-9)
    assert rice.params_["b"] < 0.01


def test_what_does_not_exist_is_refused_with_the_reason(rice):
    reason = "do not exist: the likelihood of column 'x0' in the rice family is flat where .*b = "
    for call in (
        rice.standard_errors,
        lambda: rice.standard_errors(cov="observed"),
        lambda: rice.confidence_intervals(method="wald"),
        lambda: rice.confidence_intervals(method="bootstrap", X=LONG),
        lambda: rice.confidence_intervals(of=lambda p: p["scale"]),
    ):
        with pytest.raises(ValueError, match=reason):
            call()
    with pytest.warns(ConvergenceWarning), pytest.raises(ValueError, match="Wald tests " + reason):
        wald_test(rice, LONG, {"scale": 1.0})


def test_profile_intervals_are_nearly_those_of_the_smaller_family(rice):
    with pytest.warns(ConvergenceWarning, match="Profile intervals about an estimate on an edge"):
        found = rice.confidence_intervals()
    smaller = MLEDensity("rayleigh").fit(LONG).confidence_intervals(method="profile")["scale"]
    assert found["b"][0] == 0
    assert found["b"][1] > rice.params_["b"]
    assert_allclose(found["scale"], smaller, rtol=0.05)


def test_a_likelihood_ratio_still_tells_one_parameter(rice):
    result = likelihood_ratio_test(rice, LONG, {"b": 1.0})
    held = MLEDensity(stats.rice, fixed={"b": 1.0}).fit(LONG)
    assert_allclose(result.statistic, 2 * (rice.loglik_ - held.loglik_), rtol=1e-6)
    assert 0 < result.pvalue < 1


def test_several_parameters_that_run_away_together():
    """A generalized logistic law tends to Gumbel's as c and -loc grow."""
    model = fitted(stats.genlogistic, GUMBEL, "c")
    assert_allclose(model.loglik_, MLEDensity("gumbel").fit(GUMBEL).loglik_, rtol=1e-6)
    with pytest.raises(ValueError, match="Fit the smaller family, fix one of them"):
        model.confidence_intervals(method="wald")


def test_counts_without_a_subtrahend():
    """Skellam's law of the difference of two Poisson counts, of which the second vanishes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # the search may or may not see that it has ended
        with pytest.raises(ValueError, match=r"column 'x0'.*(still rises|mu2 = )"):
            MLEDensity(stats.skellam).fit(COUNTS).standard_errors()


def test_ordinary_estimates_are_told():
    x = stats.rice(1.5).rvs(size=(60, 1), random_state=0)
    model = MLEDensity(stats.rice).fit(x)
    family, statistics, params, _ = model._fit_record()[:4]
    flat = undetermined(family, statistics, params)
    assert list(flat) == ["b", "scale"]
    assert not np.any(list(flat.values()))
    held = MLEDensity(stats.rice, fixed={"b": 1.5}).fit(x)
    record = held._fit_record()
    assert list(undetermined(*record[:3])) == ["scale"]
    assert undetermined(*MLEDensity("normal").fit(x)._fit_record()[:3]) == {}


@pytest.mark.parametrize("distribution", [stats.burr12, stats.fisk, stats.genlogistic, stats.rice])
@pytest.mark.parametrize("rows", [[1.0, 2.0], [1.0, 1.0, 1.0, 1.0 + 1e-9], [1e-300, 1.0], [1.0]])
def test_degenerate_tables_give_an_answer_or_a_reason(distribution, rows):
    """Never a RuntimeWarning, which pytest turns into an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        outcome = _fit_whatever_comes(distribution, np.array(rows)[:, None])
    assert np.isfinite(outcome).all() if isinstance(outcome, list) else len(outcome) > 40


def _fit_whatever_comes(distribution, X):
    try:
        model = MLEDensity(ScipyFamily(distribution)).fit(X)
        errors = model.standard_errors()
    except ValueError as error:
        return str(error)
    return [*model.params_.values(), model.loglik_, *errors.values()]


EVEN = stats.norm.ppf((np.arange(40) + 0.5) / 40)[:, None]  # lighter tails than any t
UNDER = np.array([5, 5, 6, 5, 4, 5, 6, 5, 5, 4.0])[:, None]  # less spread than a binomial's
LEFT = -np.random.default_rng(0).exponential(size=(40, 1))
STEADY = np.linspace(0.5, 1.5, 30)[:, None]
LIMITS = [
    (stats.betabinom, UNDER, {"n": 10}, "a", "the binomial one", stats.binom(10, 0.5)),
    (stats.nbinom, UNDER, None, "n", "the Poisson one", stats.poisson(5.0)),
    (stats.t, EVEN, None, "df", "the normal one", stats.norm(0.0, EVEN.std())),
    (stats.exponnorm, LEFT, None, "K", "the normal one", stats.norm(LEFT.mean(), LEFT.std())),
    (stats.lomax, STEADY, None, "c", "the exponential one", stats.expon(scale=1.0)),
    (stats.rice, LONG, None, "b", "Rayleigh's", stats.rayleigh(0, (LONG**2 / 2).mean() ** 0.5)),
]


@pytest.mark.parametrize("case", LIMITS, ids=lambda case: case[0].name)
def test_an_edge_at_infinity_is_named_after_the_limit(case):
    distribution, X, fixed, named, limit, law = case
    message = rf"{named} = .*space, where the family becomes .*{limit}"
    with pytest.warns(ConvergenceWarning, match=message):
        model = MLEDensity(distribution, fixed=fixed).fit(X)
    height = (law.logpmf if hasattr(law.dist, "pmf") else law.logpdf)(X).sum()
    assert_allclose(model.loglik_, height, atol=2e-3)
    with pytest.raises(ValueError, match=rf"Standard errors do not exist: .*{limit}"):
        model.standard_errors()
    with pytest.raises(ValueError, match=rf"Intervals do not exist: .*{limit}"):
        model.confidence_intervals(method="wald")


@pytest.mark.parametrize("case", [LIMITS[1], LIMITS[2], LIMITS[3]], ids=lambda case: case[0].name)
def test_profile_intervals_stay_at_an_edge(case):
    """The parameter that ran away has one side; the others hold the limit's estimates."""
    distribution, X, fixed, named, _, _ = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLEDensity(distribution, fixed=fixed).fit(X)
        intervals = model.confidence_intervals()
    for name, estimate in model.params_.items():
        low, high = intervals[name]
        assert low < high
        assert low <= estimate <= high
    assert intervals[named][0 if model.params_[named] < 1 else 1] in (0.0, np.inf)


@pytest.mark.parametrize(
    ("distribution", "X", "limit"),
    [
        (stats.gengamma, np.exp(EVEN), r"a = .*the lognormal one. Fit that, or fix a"),
        (stats.loggamma, EVEN, r"c = .*the normal one. Fit that, or fix c"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_likelihood_that_rises_to_its_limit_is_refused_by_the_limit(distribution, X, limit):
    with pytest.raises(ValueError, match=f"still rises .*{limit}"):
        MLEDensity(distribution).fit(X)


def test_an_infinite_shape_keeps_estimate_and_height():
    """A skew normal law whose shape is infinite is half-normal from its least value."""
    x = np.abs(EVEN[::2])
    with pytest.warns(ConvergenceWarning, match="the half-normal one"):
        model = MLEDensity(stats.skewnorm).fit(x)
    spread = np.sqrt(np.mean((x - x.min()) ** 2))
    height = stats.halfnorm.logpdf(x, x.min(), spread).sum()
    assert_allclose(model.loglik_, height, atol=1e-4)
    assert_allclose(model.params_["loc"], x.min(), atol=1e-6)


def test_a_large_shape_that_the_data_tell_is_no_edge():
    x = stats.gamma(2000.0).rvs(size=(50, 1), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        errors = MLEDensity(stats.gamma).fit(x).standard_errors()
    assert_allclose(errors["a"], MLEDensity("gamma").fit(x).standard_errors()["shape"], rtol=1e-4)
