"""Families by numerical derivatives: against the families with formulas, and what is refused."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.differences import gradient, hessian
from skgm.inference import MLEDensity, likelihood_ratio_test, score_test, wald_test
from skgm.inference._likelihood.model import Line
from skgm.inference.families import (
    FAMILIES,
    Beta,
    Cauchy,
    Exponential,
    Gamma,
    Gumbel,
    Logistic,
    Normal,
    NumericalFamily,
    Parameter,
    Poisson,
    ScipyFamily,
    Weibull,
    get_family,
)
from tests.inference.every_family import column, model
from tests.inference.families.cases import table

# scipy's distribution, the family with formulas, a law to draw from, and names: scipy's to ours
PAIRS = [
    (stats.norm, Normal(), stats.norm(3, 2), {"loc": "mu", "scale": "sigma"}),
    (stats.norm, Normal(), stats.norm(3e7, 2), {"loc": "mu", "scale": "sigma"}),
    (stats.gamma, Gamma(), stats.gamma(2.3, scale=1e-9), {"a": "shape", "scale": "scale"}),
    (stats.weibull_min, Weibull(), stats.weibull_min(1.5, scale=1e9), {"c": "shape"}),
    (stats.gumbel_r, Gumbel(), stats.gumbel_r(1, 2), {"loc": "loc", "scale": "scale"}),
    (stats.logistic, Logistic(), stats.logistic(1, 2), {"loc": "loc", "scale": "scale"}),
    (stats.cauchy, Cauchy(), stats.cauchy(1, 2), {"loc": "loc", "scale": "scale"}),
    (stats.beta, Beta(), stats.beta(2, 0.7), {"a": "a", "b": "b"}),
    (stats.poisson, Poisson(), stats.poisson(2.2), {"mu": "mu"}),
]


@pytest.mark.parametrize(("law", "peer", "truth", "names"), PAIRS)
def test_agrees_with_the_formulas(law, peer, truth, names):
    """Estimates to 1e-8, standard errors (expected and observed) to 1e-6."""
    X = table([truth, truth], 80)
    family = ScipyFamily(law)
    mine, theirs = family.summarize(X, None), peer.summarize(X, None)
    a, b = family.estimate(mine), peer.estimate(theirs)
    model, expected = family.model_standard_errors(mine, a), peer.standard_errors(b, 80)
    curved = family.observed_standard_errors(mine, a), peer.observed_standard_errors(theirs, b)
    for name, other in names.items():
        assert_allclose(a[name], b[other], rtol=1e-8)
        assert_allclose(model[name], expected[other], rtol=1e-6)
        assert_allclose(curved[0][name], curved[1][other], rtol=1e-6)
    assert_allclose(family.log_likelihood(mine, a), peer.log_likelihood(theirs, b), rtol=1e-9)


@pytest.mark.parametrize(("law", "peer", "truth", "names"), PAIRS[2:6])
@pytest.mark.parametrize("method", ["profile", "rstar", "auto"])
def test_intervals_agree_with_the_formulas(law, peer, truth, names, method):
    X = table([truth], 9)
    a, b = MLEDensity(law).fit(X), MLEDensity(peer).fit(X)
    mine = a.confidence_intervals(method=method)
    theirs = b.confidence_intervals(method="rstar" if method == "auto" else method)
    for name, other in names.items():
        assert_allclose(mine[name], theirs[other], rtol=1e-6)


def test_score_and_its_function_are_gradients():
    """Of burr12, which has no family of its own here, by plain differences."""
    X, family = table([stats.burr12(2, 3)] * 2, 10), ScipyFamily(stats.burr12)
    params = {"c": np.array([2.0, 1.3]), "d": np.array([3.0, 0.8]), "scale": np.array([1.0, 2.0])}
    score = family.score(X, params)
    for k, name in enumerate(params):
        up, down = ({**params, name: params[name] + s} for s in (1e-6, -1e-6))
        rise = family.log_density(X, up) - family.log_density(X, down)
        assert_allclose(score[..., k], rise / 2e-6, rtol=1e-6, atol=1e-7)
    rise = family.log_density(X + 1e-6, params) - family.log_density(X - 1e-6, params)
    assert_allclose(family.score_function(X, params), rise / 2e-6, rtol=1e-6, atol=1e-7)
    assert (family.score_function(-X, params) == 0).all()
    with pytest.raises(NotImplementedError):
        ScipyFamily(stats.zipf).score_function(X, {"a": np.array([2.0, 2.0])})


def test_differences():
    """Polynomials of the fourth degree (third in mixed terms) have exact differences."""

    def f(u):
        return u[:, 0] ** 4 * 0.1 + u[:, 0] ** 2 * u[:, 1] - u[:, 1] ** 3

    u = np.array([[0.5, -1.0], [1.5, 2.0]])
    a, b = u.T
    first = np.stack([0.4 * a**3 + 2 * a * b, a**2 - 3 * b**2], axis=-1)
    assert_allclose(gradient(f, u, np.ones_like(u)), first, rtol=1e-11)
    second = np.array([[1.2 * a**2 + 2 * b, 2 * a], [2 * a, -6 * b]]).transpose(2, 0, 1)
    assert_allclose(hessian(f, u, np.ones_like(u)), second, rtol=1e-8)


def test_generalized_extreme_values():
    """A shape that moves the support, where the density vanishes fast: the score is zero, the two
    informations are close, and scipy's simplex finds no better point."""
    x = stats.genextreme(0.2, 5, 2).rvs(size=(210, 1), random_state=0)
    model = MLEDensity("genextreme").fit(x)
    best = stats.genextreme.logpdf(x, *stats.genextreme.fit(x)).sum()
    assert model.loglik_ >= best - 1e-9
    model_errors, observed = model.standard_errors(), model.standard_errors("observed")
    for name, error in model_errors.items():
        assert_allclose(error, observed[name], rtol=0.2)
    intervals = model.confidence_intervals()
    assert intervals.methods["c"] == "profile"  # more than 200 rows
    found = likelihood_ratio_test(MLEDensity("genextreme"), x, {"c": intervals["c"][0]})
    assert_allclose(found.statistic, stats.chi2.ppf(0.95, 1), rtol=1e-6)


def test_the_three_tests():
    x = stats.burr12(2, 3).rvs(size=(200, 1), random_state=0)
    model = MLEDensity(stats.burr12, fixed={"d": 3.0})
    values = [test(model, x, {"c": 2.1}).statistic for test in (score_test, wald_test)]
    values.append(likelihood_ratio_test(model, x, {"c": 2.1}).statistic)
    assert_allclose(values, np.mean(values), rtol=0.15)


def test_fixed_parameters_and_constants():
    x = 5 + stats.gamma(2.0).rvs(size=(60, 1), random_state=0)
    shifted = MLEDensity(stats.gamma, fixed={"loc": 5}).fit(x)
    plain = MLEDensity("gamma").fit(x - 5)
    assert_allclose(shifted.params_["a"], plain.params_["shape"], rtol=1e-8)
    counts = stats.hypergeom(30, 12, 9).rvs(size=(5, 1), random_state=0)
    with pytest.raises(ValueError, match="Nothing is left to estimate"):
        MLEDensity(ScipyFamily(stats.hypergeom, {"M": 30, "n": 12, "N": 9})).fit(counts)
    family = ScipyFamily(stats.betabinom, {"n": 9})
    assert family.constants_given
    assert not ScipyFamily(stats.betabinom).constants_given
    params = {"a": np.array([2.0]), "b": np.array([3.0])}
    draws = family.sample(params, 300, np.random.default_rng(0))
    found = MLEDensity("betabinom", fixed={"n": 9}).fit(draws)
    for name, truth in (("a", 2.0), ("b", 3.0)):
        assert abs(found.params_[name] - truth) < 4 * found.standard_errors()[name]


@pytest.mark.parametrize(
    ("law", "truth", "words"),
    [
        ("uniform", stats.uniform(), "Nothing is left to estimate.*ends of its support"),
        ("genpareto", stats.genpareto(-1.5), "genpareto family has"),
        ("truncnorm", stats.truncnorm(-1, 2), "free threshold"),
        ("burr12", stats.norm(), r"burr12 family needs numbers > 0"),
        ("zipf", stats.poisson(2.0), "zipf family needs whole numbers >= 1"),
        ("skewnorm", stats.poisson(0.0), r"constant columns \(x0"),
    ],
)
def test_refusals(law, truth, words):
    with pytest.raises(ValueError, match=words):
        MLEDensity(law).fit(table([truth], 300))


def test_what_is_no_distribution():
    with pytest.raises(TypeError, match="not frozen"):
        ScipyFamily(stats.norm(0, 1))
    with pytest.raises(ValueError, match=r"unknown parameters \['shape'\].*a, loc, scale"):
        ScipyFamily(stats.gamma, {"shape": 2.0})
    with pytest.raises(ValueError, match=r"frozen distribution: pass scipy\.stats\.gamma itself"):
        get_family(stats.gamma(2))
    for wrong in ("nrmal", "kstest", 3):
        with pytest.raises(ValueError, match="family must be one of 'normal'"):
            get_family(wrong)
    assert get_family("burr12").name == "burr12"
    assert isinstance(get_family("norm"), Normal)


def test_pickles_and_clones():
    x = table([stats.burr12(2, 3)], 40)
    model = MLEDensity(stats.burr12).fit(x)
    again = pickle.loads(pickle.dumps(model))
    assert_allclose(again.score_samples(x), model.score_samples(x))
    assert_allclose(clone(model).fit(x).loglik_, model.loglik_)


def test_weights_are_repetitions():
    x = table([stats.skewnorm(2.0)], 60)
    weight = np.random.default_rng(1).integers(0, 3, 60)
    a = MLEDensity("skewnorm").fit(x, sample_weight=weight)
    b = MLEDensity("skewnorm").fit(x.repeat(weight, axis=0))
    for name, value in a.params_.items():
        assert_allclose(value, b.params_[name], rtol=1e-8)
        assert_allclose(a.standard_errors()[name], b.standard_errors()[name], rtol=1e-6)


class OwnExponential(NumericalFamily):
    """A family that its user knows by the density alone."""

    name = "own_exponential"
    support = "positive"
    parameters = (Parameter("rate", low=0.0, link="log"),)

    def log_density(self, X, params):
        inside = np.log(params["rate"]) - params["rate"] * X
        return np.where(X > 0, inside, -np.inf)

    def sample(self, params, n_samples, rng):
        return rng.exponential(1 / params["rate"], (n_samples, len(params["rate"])))


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_a_family_of_ones_own(scale):
    X = scale * table([stats.expon(), stats.expon(scale=3)], 25)
    mine, peer = MLEDensity(OwnExponential()).fit(X), MLEDensity(Exponential()).fit(X)
    assert_allclose(mine.params_["rate"], peer.params_["rate"], rtol=1e-9)
    assert_allclose(mine.loglik_, peer.loglik_, rtol=1e-11)
    for cov in ("model", "observed", "robust"):
        a, b = (m.standard_errors(cov, X=X)["rate"] for m in (mine, peer))
        assert_allclose(a, b, rtol=1e-7)
    for method in ("wald", "wald-transformed", "profile", "robust"):
        a, b = (m.confidence_intervals(0.9, method, X=X)["rate"] for m in (mine, peer))
        assert_allclose(a, b, rtol=1e-7)
    null = {"rate": 0.7 / scale}
    for test in (score_test, likelihood_ratio_test, wald_test):
        a, b = (test(m, X, null).statistic for m in (mine, peer))
        # the score test of a family without expected information uses the observed one
        assert_allclose(a, b, rtol=0.8 if test is score_test else 1e-7)
    with pytest.raises(ValueError, match=r"expected information .* is not known"):
        OwnExponential().information({"rate": np.array([1.0])})


TWINS = [
    (family.name, distribution)
    for family in FAMILIES
    for distribution in [getattr(stats, n, None) for n in (family.name, *family.aliases)]
    if isinstance(distribution, stats.rv_continuous | stats.rv_discrete)
]


def test_every_family_of_one_variable_but_one_has_a_twin_in_scipy():
    names = {name for name, _ in TWINS}
    assert {f.name for f in FAMILIES} - names == {"categorical", "multivariate_normal"}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "distribution"), TWINS, ids=[name for name, _ in TWINS])
def test_a_distribution_reaches_the_likelihood_of_the_family_with_formulas(
    name, distribution, seed
):
    X = column(name, n=30 + seed, seed=seed)
    fixed = {"n": 6} if name == "binomial" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a t with no end of its df
        numerical = MLEDensity(distribution, fixed=fixed).fit(X)
    assert_allclose(numerical.loglik_, model(name).fit(X).loglik_, rtol=1e-9)


def test_scipys_von_mises_is_a_law_of_angles():
    X = column("von_mises", n=60)
    numerical, closed = MLEDensity(stats.vonmises).fit(X), MLEDensity("von_mises").fit(X)
    assert_allclose(numerical.params_["kappa"], closed.params_["kappa"], rtol=1e-7)
    assert_allclose(numerical.params_["loc"], closed.params_["mu"], rtol=1e-7)
    errors, expected = numerical.standard_errors(), closed.standard_errors()
    assert_allclose(errors["kappa"], expected["kappa"], rtol=1e-6)
    assert_allclose(errors["loc"], expected["mu"], rtol=1e-6)
    with pytest.raises(ValueError, match="Divide the column by the scale"):
        MLEDensity(stats.vonmises, fixed={"scale": 2.0}).fit(X)
    with pytest.raises(ValueError, match="pi"):
        MLEDensity(stats.vonmises).fit(X + 7.0)


def test_differences_at_once_are_those_one_by_one():
    def function(u):
        return np.stack([np.exp(u[:, 0]) * u[:, 1], np.sin(u[:, 1] * u[:, 0])])

    u, unit = np.array([[0.3, 1.2], [0.1, -0.4], [1.0, 2.0]]), np.ones((3, 2))
    assert_allclose(gradient(function, u, unit, together=True), gradient(function, u, unit))

    def first(v):
        return function(v)[0]

    assert_allclose(hessian(first, u, unit, together=True), hessian(first, u, unit), rtol=1e-12)


@pytest.mark.slow
def test_a_shape_that_runs_to_its_edge_along_a_profile_costs_no_interval():
    """An exponnorm law tends to the normal one as K does to 0; its likelihood is at least that."""
    X = np.random.default_rng(4).normal(size=(30, 1))
    model, normal = MLEDensity(stats.exponnorm).fit(X), MLEDensity("normal").fit(X)
    found = model.confidence_intervals(method="profile")
    assert found["K"][0] == 0 < model.params_["K"] < found["K"][1]
    # at the upper end of loc K is 0, so that the normal law with that mean is rejected just there
    loc, allowed = found["loc"][1], 2 * (model.loglik_ - normal.loglik_)
    wilks = 30 * np.log(np.mean((X - loc) ** 2) / X.var())
    assert_allclose(wilks + allowed, stats.chi2.ppf(0.95, 1), rtol=1e-4)
    assert found["scale"][0] < model.params_["scale"] < found["scale"][1]


@pytest.mark.slow
def test_lost_ends_are_the_ends_of_the_space_and_spare_the_others():
    """The likelihood is highest at an infinite shape, though it has a lower maximum besides."""
    X = stats.skewnorm.rvs(2, size=(30, 1), random_state=0)
    with pytest.warns(ConvergenceWarning, match="runs towards, an edge"):
        model = MLEDensity(stats.skewnorm).fit(X)
    with pytest.warns(ConvergenceWarning, match="about an estimate on an edge"):
        found = model.confidence_intervals(method="profile")
    assert found["a"][1] == found["scale"][1] == np.inf
    assert found["loc"][0] < model.params_["loc"] < found["loc"][1]
    for loc in found["loc"]:
        tried = [
            optimize.minimize(
                lambda t, end=loc: -stats.skewnorm.logpdf(X, np.exp(t[0]), end, np.exp(t[1])).sum(),
                [shape, 0.0],
                method="Nelder-Mead",
                options={"maxiter": 4000, "maxfev": 4000},
            ).fun
            for shape in (0.0, 1.0, 4.0)
        ]
        assert_allclose(2 * (model.loglik_ + min(tried)), stats.chi2.ppf(0.95, 1), rtol=1e-2)


def test_a_restricted_estimate_that_is_lost_says_so():
    """Restrictions of one column are numbers, what is free is NaN: the message takes both."""
    family = ScipyFamily(stats.skewnorm)
    statistics = family.summarize(stats.skewnorm.rvs(2, size=(30, 1), random_state=0), None)
    estimate = family.estimate(statistics)
    null = {"a": np.nan, "loc": np.nan, "scale": np.array([1.4])}
    with pytest.raises(ValueError, match="skewnorm family has no estimate for column number 0"):
        family.restricted_near(statistics, null, estimate)


def test_searches_for_ends_are_given_up_after_many_restricted_estimates(monkeypatch):
    """What was not found is the end of the space, with a warning; the other end stays."""
    monkeypatch.setattr("skgm.inference._likelihood.inversion._MOST_FITS", 3)
    X = np.random.default_rng(4).normal(size=(30, 1))
    record = MLEDensity(stats.exponnorm).fit(X)._fit_record()
    args = "loc", record.statistics, record.params, 0.95
    with pytest.warns(ConvergenceWarning, match="upper end of the interval of 'loc'"):
        low, high = record.family.profile_interval(*args)
    monkeypatch.setattr("skgm.inference._likelihood.inversion._MOST_FITS", 100)
    found = record.family.profile_interval(*args)
    assert_allclose(low, found[0], rtol=1e-6)
    assert high == np.inf > found[1]


def test_logarithms_of_tails_are_scipy_s():
    """Families without a formula of their own need no median for them."""
    x = np.array([[-3.0], [0.5], [2.0], [40.0]])
    family = ScipyFamily(stats.exponnorm)
    params = {"K": np.array([1.5]), "loc": np.array([0.2]), "scale": np.array([0.7])}
    below, above = family.log_tails(x, params)
    assert_allclose(below, stats.exponnorm.logcdf(x, 1.5, 0.2, 0.7), rtol=1e-12)
    assert_allclose(above, stats.exponnorm.logsf(x, 1.5, 0.2, 0.7), rtol=1e-12)


def test_parameters_of_a_generalized_gamma_law_do_not_contradict_each_other():
    """The intervals stay on the side of c = 0 on which the estimate is."""
    x = stats.gengamma(2, 1.3).rvs(size=(25, 1), random_state=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLEDensity(stats.gengamma, fixed={"loc": 0.0}).fit(x)
        intervals = model.confidence_intervals(method="profile")
    assert intervals["c"][0] == 0.0  # the lognormal law, where a is infinite
    assert intervals["a"][1] == np.inf


def test_an_irregular_estimate_stays_without_errors():
    x = stats.genpareto.rvs(-0.8, size=60, random_state=np.random.default_rng(0))
    with pytest.warns(ConvergenceWarning, match="Estimate and log-likelihood stay"):
        model = MLEDensity("genpareto").fit(x[:, None])
    c, _, scale = stats.genpareto.fit(x, floc=0)
    assert model.params_["c"] == pytest.approx(c, rel=1e-3)
    assert model.loglik_ == pytest.approx(stats.genpareto.logpdf(x, c, 0, scale).sum(), abs=1e-3)
    for refused in (model.standard_errors, model.confidence_intervals):
        with pytest.raises(ValueError, match="support of the genpareto family ends"):
            refused()
    with pytest.raises(ValueError, match="test does not exist"):
        likelihood_ratio_test(MLEDensity("genpareto"), x[:, None], {"scale": 1.0})


@pytest.mark.parametrize("seed", [1, 14])
def test_skew_normal_columns_are_not_fitted_below_their_half_normal_limit(seed):
    x = stats.skewnorm.rvs(3, size=30, random_state=seed)
    ends = ((x - x.min()), (x.max() - x))
    limits = [stats.halfnorm.logpdf(g, scale=np.sqrt(np.mean(g**2))).sum() for g in ends]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of the infinite shape
        model = MLEDensity(stats.skewnorm).fit(x[:, None])
    assert model.loglik_ > max(limits) - 0.01
    assert abs(model.params_["a"]) > 1e4


_MODAL = {
    "skewnorm": stats.skewnorm(2),
    "exponnorm": stats.exponnorm(1.5),
    "gengamma": stats.gengamma(2, 1.2),
    "burr12": stats.burr12(2, 1.5),
    "johnsonsu": stats.johnsonsu(0.5, 1.5),
    "t": stats.t(2),
    "cauchy": stats.cauchy(),
    "beta": stats.beta(0.3, 0.4),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _MODAL)
def test_no_other_start_leads_higher(name):
    """Simplex searches from eight other starts, on columns of 12 and 30 rows."""
    for n, seed in ((12, 0), (12, 1), (30, 2), (30, 3)):
        rng = np.random.default_rng(seed)
        x = _MODAL[name].rvs(n, random_state=rng)
        family = getattr(stats, name) if name not in ("t", "cauchy", "beta") else name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                model = MLEDensity(family).fit(x[:, None])
            except ValueError:  # it says why there is no estimate
                continue
        law, line = model._family(), Line(model._family().parameters)
        statistics = law.summarize(x[:, None], None)

        def depth(u, law=law, line=line, statistics=statistics):
            with np.errstate(all="ignore"):
                found = law.log_likelihood(statistics, law.unpack(line.inward(u[None])))
            return -float(found[0]) if np.isfinite(found[0]) else 1e9

        middle = line.outward(law.pack(model._estimate))[0]
        for k in range(8):
            spread = np.array([x.std() if p.name == "loc" else 2.0 for p in law.parameters])
            start = np.where(np.isfinite(middle), middle, 3.0) + spread * rng.normal(
                size=len(middle)
            )
            start[0] = -start[0] if k % 2 and not np.isfinite(law.parameters[0].low) else start[0]
            if depth(start) < 1e9:
                options = {"maxiter": 400, "fatol": 1e-5}
                found = optimize.minimize(depth, start, method="Nelder-Mead", options=options)
                assert -found.fun < model.loglik_ + 0.01, (n, seed, line.inward(found.x[None]))
