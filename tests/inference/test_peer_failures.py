"""Where scipy and statsmodels are silently wrong: the right number, or a clear error, here.

Each test first shows that the peer still fails, so that the list stays true.
"""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special, stats

from skgm.inference import MLEDensity
from skgm.inference.families import get_family
from tests.inference.every_family import COUNTS, SPREAD, UNIVARIATE, column, model


def quietly(function, *arguments, **options):
    """Call a peer without its warnings."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


def generic_fit(x, log_density, start, method="nm"):
    """Fit by statsmodels' GenericLikelihoodModel; return its result."""
    from statsmodels.base.model import GenericLikelihoodModel

    class Model(GenericLikelihoodModel):
        def loglikeobs(self, params):
            return log_density(self.endog, *params)

    def fit():
        unused = np.ones(len(x))
        return Model(np.asarray(x), unused).fit(start, method=method, maxiter=800, disp=0)

    return quietly(fit)


def gamma_log_density(x, shape, scale):
    return (shape - 1) * np.log(x) - x / scale - special.gammaln(shape) - shape * np.log(scale)


def bernoulli_log_mass(x, p):
    return special.xlogy(x, p) + special.xlog1py(1 - x, -p)


def poisson_log_mass(x, mu):
    return special.xlogy(x, mu) - mu - special.gammaln(x + 1)


# statsmodels


def test_laplace_standard_error():
    """The Hessian of |x - loc| is zero or infinite; the information is 1 / scale^2."""
    x = np.random.default_rng(0).laplace(size=101)
    peer = generic_fit(x, stats.laplace.logpdf, [np.median(x), np.abs(x).mean()])
    fit = MLEDensity("laplace").fit(x[:, None])
    assert_allclose(fit.params_["loc"], np.median(x), rtol=1e-15)
    right = np.abs(x - np.median(x)).mean() / np.sqrt(101)
    assert_allclose(fit.standard_errors()["loc"], right, rtol=1e-13)
    assert peer.mle_retvals["converged"]
    assert not 0.2 < peer.bse[0] / right < 5  # or not a number


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_gamma_in_other_units(unit):
    x = np.random.default_rng(0).gamma(2.0, 1.0, 200)
    plain, fit = (MLEDensity("gamma").fit(data[:, None]) for data in (x, x * unit))
    start, method = ([2.0, unit], "nm") if unit < 1 else ([1.0, 1.0], "bfgs")
    peer = generic_fit(x * unit, gamma_log_density, start, method)
    assert np.isnan(peer.bse).all()
    for name, power in (("shape", 0), ("scale", 1)):
        assert_allclose(fit.params_[name], plain.params_[name] * unit**power, rtol=1e-12)
        ours = fit.standard_errors()[name]
        assert_allclose(ours, plain.standard_errors()[name] * unit**power, rtol=1e-11)


def test_three_ones_in_ten():
    x = np.repeat([1.0, 0.0], [3, 7])
    peer = generic_fit(x, bernoulli_log_mass, [0.5], "bfgs")
    assert not 0 <= peer.params[0] <= 1
    fit = MLEDensity("bernoulli").fit(x[:, None])
    assert_allclose(fit.params_["p"], 0.3, rtol=1e-15)
    assert_allclose(fit.standard_errors()["p"], np.sqrt(0.021), rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "value", "log_mass", "start", "wilson"),
    [
        # Wilson's interval: the other end solves n (1 - p) / p = z^2, and n mu = z^2
        ("bernoulli", 1.0, bernoulli_log_mass, 0.5, lambda z, n: (n / (n + z * z), 1.0)),
        ("poisson", 0.0, poisson_log_mass, 1.0, lambda z, n: (0.0, z * z / n)),
    ],
)
def test_estimates_on_the_edge(name, value, log_mass, start, wilson):
    x = np.full(10, value)
    peer = generic_fit(x, log_mass, [start], "bfgs")
    assert not peer.mle_retvals["converged"] or abs(peer.params[0] - value) > 1
    fit = MLEDensity(name).fit(x[:, None])
    (estimate,) = fit.params_.values()
    assert estimate == value
    with pytest.raises(ValueError, match="edge of the parameter space"):
        fit.standard_errors()
    with pytest.raises(ValueError, match="edge of the parameter space"):
        fit.confidence_intervals(method="wald")
    (parameter,) = fit.params_
    ends = fit.confidence_intervals(method="score")[parameter]
    assert_allclose(ends, wilson(special.ndtri(0.975), 10), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("n", [1, 10])
def test_constant_column_in_statsmodels(n):
    peer = generic_fit(np.full(n, 2.0), gamma_log_density, [1.0, 1.0], "bfgs")
    assert peer.params[0] > 1e3  # a number, where no estimate exists
    with pytest.raises(ValueError, match=r"gamma family has no estimate.*x0"):
        MLEDensity("gamma").fit(np.full((n, 1), 2.0))


@pytest.mark.parametrize("bad", [np.nan, -1.0, 0.0])
def test_a_bad_value_is_not_the_start_value(bad):
    x = np.append(np.random.default_rng(0).gamma(2.0, 1.0, 30), bad)
    peer = generic_fit(x, gamma_log_density, [1.0, 1.0], "bfgs")
    assert_allclose(peer.params, 1.0)  # returned as if it were an estimate
    with pytest.raises(ValueError, match=r"'x0'.*row 30"):
        MLEDensity("gamma").fit(x[:, None])


# scipy


def test_negative_value_in_weibull_data():
    x = np.append(column("weibull")[:, 0], -1.0)
    assert np.isfinite(quietly(stats.weibull_min.fit, x, floc=0)).all()
    with pytest.raises(ValueError, match=r"numbers > 0.*'x0' holds -1.0 at row 40"):
        MLEDensity("weibull").fit(x[:, None])


@pytest.mark.parametrize(
    ("name", "peer", "spread"),
    [
        ("weibull", stats.weibull_min, lambda fit: 1 / fit[0]),
        ("lognormal", stats.lognorm, lambda fit: fit[0]),
        ("student_t", stats.t, lambda fit: fit[2]),
        ("normal", stats.norm, lambda fit: fit[1]),
        ("laplace", stats.laplace, lambda fit: fit[1]),
        ("cauchy", stats.cauchy, lambda fit: fit[1]),
        ("logistic", stats.logistic, lambda fit: fit[1]),
        ("inverse_gaussian", stats.invgauss, lambda fit: fit[0]),
    ],
)
def test_constant_column_in_scipy(name, peer, spread):
    options = {"floc": 0} if name in ("weibull", "lognormal", "inverse_gaussian") else {}
    found = quietly(peer.fit, np.full(10, 2.5), **options)
    assert spread(found) < 1e-6  # a distribution without spread, and no word about it
    with pytest.raises(ValueError, match=f"{name} family has no estimate.*x0"):
        MLEDensity(name).fit(np.full((10, 1), 2.5))


def test_constant_column_for_gamma_says_why():
    with pytest.raises(ValueError, match="NaN"):
        quietly(stats.gamma.fit, np.full(10, 2.5), floc=0)
    with pytest.raises(ValueError, match="likelihood grows without bound as the shape grows"):
        MLEDensity("gamma").fit(np.full((10, 1), 2.5))


@pytest.mark.parametrize("name", SPREAD)
def test_constant_columns_and_single_rows_have_no_estimate(name):
    value = 0.5
    for n in (1, 2, 10):
        X = np.hstack([np.full((n, 1), value), column(name, n)])
        with pytest.raises(ValueError, match=f"{name} family has no estimate.*x0"):
            model(name).fit(X)


def test_a_free_threshold_makes_an_observation_impossible():
    """With a threshold more, scipy's fit gives the sample the likelihood zero.

    There is no maximum likelihood to find: as the threshold nears the smallest row, the
    likelihood of a shape below one grows without bound. Hence no threshold here.
    """
    x = stats.weibull_min.rvs(0.8, size=200, random_state=0)
    whole = quietly(stats.weibull_min.fit, x)
    assert stats.weibull_min.logpdf(x, *whole).min() == -np.inf
    fit = MLEDensity("weibull").fit(x[:, None])
    shape, scale = fit.params_["shape"], fit.params_["scale"]
    assert_allclose(fit.loglik_, stats.weibull_min.logpdf(x, shape, scale=scale).sum())
    assert fit.loglik_ > stats.weibull_min.logpdf(x, 0.8).sum()  # the truth
    with pytest.raises(ValueError, match=r"unknown parameter 'loc'.*shape, scale"):
        MLEDensity("weibull", fixed={"loc": 0.1}).fit(x[:, None])
    same = MLEDensity("weibull", fixed={"loc": 0}).fit(x[:, None])
    assert same.params_ == fit.params_


def test_gamma_at_1e12():
    """The shape has no unit. With a threshold more, scipy's depends on it."""
    x = stats.gamma.rvs(2.3, size=20, random_state=5)
    shapes = [quietly(stats.gamma.fit, data)[0] for data in (x, x * 1e12)]
    assert abs(shapes[1] / shapes[0] - 1) > 0.1
    plain, large = (MLEDensity("gamma").fit(data[:, None]) for data in (x, x * 1e12))
    assert_allclose(large.params_["shape"], plain.params_["shape"], rtol=1e-12)
    shape, _, scale = stats.gamma.fit(x, floc=0)
    assert_allclose(list(plain.params_.values()), [shape, scale], rtol=1e-6)


# the data of scipy's issue 22328
ISSUE_22328 = np.array(
    [
        *(0.7122827, 0.04830956, 0.54410219, 0.04173127, 0.54462469),
        *(0.54565197, 0.05497849, 0.07792652, 0.6817948, 0.19735519),
    ]
)
NEAR_THE_ENDS = np.array([1e-12, 1e-3, 0.3, 0.9, 1 - 1e-3, 1 - 1e-12])


@pytest.mark.parametrize("x", [ISSUE_22328, NEAR_THE_ENDS], ids=["issue", "ends"])
def test_beta_converges(x):
    """The likelihood equations hold: the mean logarithms are psi(a) - psi(a + b), and so for b."""
    fit = MLEDensity("beta").fit(x[:, None])
    a, b = fit.params_["a"], fit.params_["b"]
    both = special.digamma(a + b)
    assert_allclose(np.log(x).mean(), special.digamma(a) - both, rtol=1e-10)
    assert_allclose(np.log1p(-x).mean(), special.digamma(b) - both, rtol=1e-10)
    low, high = fit.confidence_intervals()["a"]
    assert 0 < low < a < high < np.inf


def test_scipy_fails_on_its_issue_22328():
    """An error on these data, or ends of the support that are not those of the beta family."""
    try:
        _, _, loc, scale = quietly(stats.beta.fit, ISSUE_22328)
    except stats.FitError:
        return
    assert (loc, scale) != (0, 1)


@pytest.mark.parametrize("name", UNIVARIATE)
def test_one_message_for_no_rows(name):
    with pytest.raises(ValueError, match=r"0 sample\(s\).*minimum of 1 is required"):
        model(name).fit(np.empty((0, 1)))


def test_four_points_and_a_t_distribution():
    """No tails are seen: the estimate of df is infinity, and the distribution a normal one."""
    x = np.array([1.0, 2.0, 3.0, 4.0])
    df, _, _ = quietly(stats.t.fit, x)
    assert df > 1e6
    fit, normal = MLEDensity("student_t").fit(x[:, None]), MLEDensity("normal").fit(x[:, None])
    assert fit.params_["df"] == np.inf
    assert_allclose(fit.params_["loc"], normal.params_["mu"], rtol=1e-12)
    assert_allclose(fit.params_["scale"], normal.params_["sigma"], rtol=1e-8)
    assert_allclose(fit.loglik_, normal.loglik_, rtol=1e-9)
    low, high = fit.confidence_intervals(level=0.5)["df"]
    assert 0 < low < high == np.inf
    there = MLEDensity("student_t", fixed={"df": low}).fit(x[:, None])
    assert_allclose(2 * (fit.loglik_ - there.loglik_), stats.chi2(1).ppf(0.5), rtol=1e-6)
    with pytest.raises(ValueError, match=r"[Hh]old the degrees of freedom|fix a parameter"):
        fit.confidence_intervals(level=0.95)  # four rows leave df near zero possible
    known = MLEDensity("student_t", fixed={"df": 4.0}).fit(x[:, None])
    low, high = known.confidence_intervals()["loc"]
    assert -np.inf < low < 2.5 < high < np.inf
    errors, truth = fit.standard_errors(), normal.standard_errors()  # of the others, by the limit
    assert_allclose(errors["loc"], truth["mu"], rtol=1e-8)
    assert_allclose(errors["scale"], truth["sigma"], rtol=1e-8)
    assert np.isnan(errors["df"])  # an infinite estimate has no error of its own


# what textbooks leave out


def test_a_root_of_the_score_is_not_the_estimate():
    """With a known scale the Cauchy score has several roots; the highest maximum is taken."""
    x = np.array([-8.0, -6.0, 0.0, 5.0, 5.5])
    grid = np.linspace(-10, 10, 20_001)
    heights = stats.cauchy.logpdf(x[:, None] - grid).sum(axis=0)
    score = np.sum(2 * (x[:, None] - grid) / (1 + (x[:, None] - grid) ** 2), axis=0)
    assert np.sum(score[1:] * score[:-1] < 0) >= 5
    fit = MLEDensity("cauchy", fixed={"scale": 1.0}).fit(x[:, None])
    assert abs(fit.params_["loc"] - grid[heights.argmax()]) < 1e-3
    assert fit.loglik_ >= heights.max()


def test_three_things_called_score():
    """The gradient in the parameters vanishes at the estimate, the one in x does not."""
    x = np.random.default_rng(0).normal(3.0, 2.0, (50, 1))
    fit = MLEDensity("normal").fit(x)
    params = {name: np.array([value]) for name, value in fit.params_.items()}
    in_theta = get_family("normal").score(x, params).sum(axis=0)
    assert_allclose(in_theta, 0, atol=1e-11)
    z = (x - fit.params_["mu"]) / fit.params_["sigma"]
    assert_allclose(fit.score_function(x), -z / fit.params_["sigma"], rtol=1e-12)
    assert_allclose(fit.score(x), fit.loglik_ / 50, rtol=1e-13)


@pytest.mark.parametrize("distribution", [stats.uniform, "uniform", stats.randint])
def test_supports_that_end_at_a_parameter_are_refused(distribution):
    """Uniform(0, theta): the score has the mean -1 / theta, and the estimate no normal error."""
    with pytest.raises(ValueError, match=r"Nothing is left to estimate|needs its"):
        MLEDensity(distribution).fit(np.array([[1.0], [2.0], [4.0]]))


# both


@pytest.mark.parametrize("name", UNIVARIATE)
def test_nan_is_named(name):
    X = column(name, 6)
    X[4] = np.nan
    with pytest.raises(ValueError, match=r"NaN in column 'x0' \(first at row 4\)"):
        model(name).fit(X)


@pytest.mark.parametrize("name", UNIVARIATE)
def test_standard_errors_and_intervals_are_finite_numbers(name):
    fit = model(name).fit(column(name))
    intervals = fit.confidence_intervals()
    for parameter, error in fit.standard_errors().items():
        low, high = intervals[parameter]
        assert 0 < error < np.inf
        assert -np.inf < low < fit.params_[parameter] < high
        assert high < np.inf or (name, parameter) == ("student_t", "df")  # hardly lighter tails


@pytest.mark.parametrize("name", COUNTS)
def test_one_row_of_counts(name):
    """One count has a likelihood; what it cannot determine is refused or has infinite ends."""
    fit = model(name).fit([[1.0]])
    for parameter, (low, high) in fit.confidence_intervals().items():
        assert 0 <= low <= fit.params_[parameter] <= high
        assert low < high
