"""Laws of scipy rewritten in logarithms: against its own formulas in many digits, and at edges."""

import pickle
import warnings

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

from skgm.inference import MLEDensity
from skgm.inference.families import ScipyFamily
from skgm.inference.families._scipy_stable import invert, stable_law
from skgm.testing._data import clustered_table, make_table

mpf = mpmath.mpf


def burr3(x, c, d):
    return (1 + x**-c) ** -d


# distribution functions as scipy documents them
CDF = {
    "burr12": lambda x, c, d: 1 - (1 + x**c) ** -d,
    "burr": burr3,
    "fisk": lambda x, c: burr3(x, c, 1),
    "mielke": lambda x, k, s: burr3(x, s, k / s),
    "genlogistic": lambda x, c: (1 + mpmath.exp(-x)) ** -c,
    "gengamma": lambda x, a, c: mpmath.gammainc(a, 0, x**c, regularized=True),
    "exponnorm": lambda x, k: (
        mpmath.ncdf(x) - mpmath.exp(1 / (2 * k * k) - x / k) * mpmath.ncdf(x - 1 / k)
    ),
}
CASES = [
    ("burr12", (2.0, 3.0), [0.01, 0.4, 7.0]),
    ("burr12", (300.0, 4e-3), [0.5, 1.1, 1e3]),
    ("burr12", (1.1, 1e13), [1e-14, 1e-12, 1e-10]),
    ("burr", (2.0, 3.0), [0.01, 0.4, 7.0]),
    ("burr", (300.0, 4e-3), [1e-3, 0.9, 2.0]),
    ("burr", (1.1, 1e13), [5e10, 1e12, 1e14]),
    ("fisk", (400.0,), [0.01, 1.01, 30.0]),
    ("mielke", (1.5, 300.0), [1e-3, 0.99, 20.0]),
    ("genlogistic", (0.3,), [-900.0, 0.1, 900.0]),
    ("genlogistic", (1e15,), [32.0, 35.0, 60.0]),
    ("gengamma", (2.0, 1.5), [0.1, 1.0, 3.0]),
    ("gengamma", (1e-5, 4e4), [1e-4, 0.5, 1.0]),
    ("exponnorm", (2.0,), [-3.0, 0.5, 8.0]),
    ("exponnorm", (1e-6,), [-3.0, 0.2, 4.0]),
]


@pytest.mark.parametrize(("name", "shapes", "places"), CASES)
def test_formulas_in_many_digits(name, shapes, places):
    """Log-density, both tails and quantiles; a double near an end carries 1e-12 of its slope."""
    law = stable_law(name)
    with mpmath.workdps(60 if name == "gengamma" else 1200):
        exact = [mpf(s) for s in shapes]
        below = [CDF[name](mpf(x), *exact) for x in places]
        above = [float(1 - p) for p in below]
        density = [
            float(mpmath.log(mpmath.diff(lambda x: CDF[name](x, *exact), mpf(x)))) for x in places
        ]
        below = [float(p) for p in below]
    with np.errstate(all="ignore"):
        assert_allclose(law.logpdf(places, *shapes), density, rtol=1e-10, atol=1e-10)
        assert_allclose(law.cdf(places, *shapes), below, rtol=1e-9)
        assert_allclose(law.sf(places, *shapes), above, rtol=1e-9)
        for found, tail in ((law.ppf(below, *shapes), below), (law.isf(above, *shapes), above)):
            told = (np.array(tail) > 1e-300) & (np.array(tail) < 0.999)
            assert_allclose(found[told], np.array(places)[told], rtol=1e-9)


@pytest.mark.parametrize(("name", "shapes", "places"), CASES)
def test_draws_follow_the_law(name, shapes, places):
    """By Kolmogorov's test of the probabilities of the draws, false alarms 1e-4."""
    family = ScipyFamily(getattr(stats, name), {"loc": 0.0, "scale": 2.0})
    names = [p.name for p in family.parameters]
    params = {k: np.array([v]) for k, v in zip(names, shapes, strict=True)}
    draws = family.sample(params, 4000, np.random.default_rng(0))
    assert np.isfinite(draws).all()
    assert np.isfinite(family.log_density(draws, params)).all()
    with mpmath.workdps(40):
        exact = [mpf(s) for s in shapes]
        p = [float(CDF[name](mpf(x) / 2, *exact)) for x in draws[::20, 0]]
    assert stats.kstest(p, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("name", ["burr12", "burr", "mielke"])
def test_density_at_zero_is_scipys(name):
    for shapes in ((1.0, 2.0), (2.0, 0.5), (0.5, 2.0), (2.0, 3.0)):
        with np.errstate(all="ignore"):
            expected = getattr(stats, name).pdf(0.0, *shapes)
            found = stable_law(name).pdf(0.0, *shapes)
        if np.isfinite(expected):
            assert_allclose(found, expected)


def test_others_are_scipys_own():
    assert stable_law("gamma") is None
    assert ScipyFamily(stats.gamma)._law is stats.gamma


def test_bisection():
    """Against quantiles that are known, with two ends, one and none."""
    uniform = np.random.default_rng(0).random((50, 2))
    where = {"loc": np.array([0.0, 3.0]), "scale": np.array([1.0, 2.0])}
    for law, shapes in ((stats.norm, ()), (stats.expon, ()), (stats.gumbel_l, ()),
                        (stats.beta, (2.0, 0.5)), (stats.weibull_max, (2.0,)),
                        (stats.lognorm, (30.0,))):  # fmt: skip
        expected = law.ppf(uniform, *shapes, **where)
        assert_allclose(invert(law, uniform, shapes, **where), expected, rtol=1e-9, atol=1e-13)


def test_draws_where_scipys_quantiles_fail():
    """Scipy's generalized exponential law draws -0.06 at this estimate; its hazard is linear."""
    family = ScipyFamily(stats.genexpon)
    params = {"a": 0.12, "b": 664020.0, "c": 4.7894e-09, "scale": 0.27611}
    column = {name: np.array([value]) for name, value in params.items()}
    draws = family.sample(column, 3000, np.random.default_rng(0))
    x = draws[:, 0] / params["scale"]
    hazard = params["a"] * x + params["b"] * params["c"] * x**2 / 2
    assert stats.kstest(-np.expm1(-hazard), "uniform").pvalue > 1e-4


def test_draws_that_round_to_an_end_are_moved_inside():
    """A beta law of tiny shapes draws zeros and ones; infinite draws are no ends."""
    draws = ScipyFamily(stats.beta).sample(
        {"a": np.array([1e-3]), "b": np.array([1e-3])}, 200, np.random.default_rng(0)
    )
    assert ((draws > 0) & (draws < 1)).all()
    heavy = ScipyFamily(stats.burr12).sample(
        {"c": np.array([1e-3]), "d": np.array([1.0]), "scale": np.array([1.0])},
        200,
        np.random.default_rng(0),
    )
    assert not np.isfinite(heavy).all()  # for `MLEDensity` to refuse


def quiet_fit(family, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return MLEDensity(family).fit(X)


@pytest.mark.parametrize("round_up", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_burr_at_its_edges(seed, round_up):
    """Exponential columns run to d = infinity, rounded ones to a Pareto law, c = infinity."""
    X = make_table("positive", seed=seed)
    model = quiet_fit("burr12", np.ceil(X) if round_up else X)
    draws = model.sample(3000, random_state=seed)
    assert (np.isfinite(draws) & (draws > 0)).all()
    assert np.isfinite(model.score_samples(draws)).all()
    for what in (model.standard_errors, lambda: model.confidence_intervals(method="wald")):
        with pytest.raises(
            ValueError, match=r"do not exist: the likelihood of column 'x\d' in the"
        ):
            what()


def test_the_limit_of_a_burr_law_is_a_pareto_law():
    """Rows with many ties at their minimum; the Pareto law's best is in closed form."""
    X = np.ceil(make_table("positive", seed=0))[:, :1]
    with pytest.warns(ConvergenceWarning, match="edge of the parameter space"):
        model = MLEDensity("burr12").fit(X)
    limit = MLEDensity("pareto", fixed={"minimum": 1 - 1e-12}).fit(X)
    assert_allclose(model.loglik_, limit.loglik_, rtol=1e-6)
    far = np.array([[50.0], [1e6]])
    assert_allclose(model.score_samples(far), limit.score_samples(far), rtol=1e-5)


def test_a_generalized_gamma_law_at_its_edge():
    model = quiet_fit("gengamma", clustered_table("positive"))
    draws = model.sample(2000, random_state=0)
    assert (draws > 0).all()
    assert np.isfinite(model.score_samples(draws)).all()


def test_pickles():
    family = ScipyFamily(stats.burr12)
    params = {k: np.array([v]) for k, v in {"c": 300.0, "d": 4e-3, "scale": 1.0}.items()}
    one, two = (f.sample(params, 5, np.random.default_rng(0)) for f in
                (family, pickle.loads(pickle.dumps(family))))  # fmt: skip
    assert_array_equal(one, two)
