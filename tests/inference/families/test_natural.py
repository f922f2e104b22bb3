"""Full exponential families: derivatives, r*, scales, merging, references at forty digits."""

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm import MLEDensity
from skgm.inference._likelihood.inversion import Profile
from skgm.inference._likelihood.rstar import rstar
from skgm.inference.families import (
    Beta,
    Exponential,
    Gamma,
    InverseGaussian,
    Normal,
    Pareto,
    Rayleigh,
    VonMises,
)
from skgm.inference.families._gamma import shape_from_digamma
from skgm.inference.families._natural import ModifiedRoot, NaturalFamily
from tests.inference.families.cases import COLUMNWISE, table

CASES = [case for case in COLUMNWISE if isinstance(case[0], NaturalFamily)]
IDS = [case[0].name for case in CASES]
each_family = pytest.mark.parametrize(("family", "params", "distributions"), CASES, ids=IDS)


def slopes(function, params):
    """Central differences along each parameter of a function from parameters to (d, k)."""
    parts = []
    for name, value in params.items():
        step = 1e-5 * np.maximum(np.abs(value), 0.1)
        up, down = (function({**params, name: value + s}) for s in (step, -step))
        parts.append((up - down) / (2 * step)[:, None])
    return np.stack(parts, axis=-1)


def fitted(family, X, weight=None):
    statistics = family.summarize(X, weight)
    return statistics, family.estimate(statistics)


def test_all_of_them_are_here():
    found = {type(family) for family, _, _ in CASES}
    assert found >= {Normal, Exponential, Gamma, Beta, InverseGaussian, Rayleigh, VonMises}


@each_family
def test_mean_score_is_the_mean_of_the_score(family, params, distributions):
    X = table(distributions, 30)
    weight = np.arange(30) % 3 + 0.5
    mean = np.tensordot(weight / weight.sum(), family.score(X, params), axes=1)
    statistics = family.summarize(X, weight)
    assert_allclose(family.mean_score(statistics, params), mean, rtol=1e-11, atol=1e-12)


@each_family
def test_observed_information_is_minus_the_slope_of_the_mean_score(family, params, distributions):
    statistics = family.summarize(table(distributions, 30), None)
    slope = slopes(lambda p: family.mean_score(statistics, p), params)
    found = family.observed_information(statistics, params)
    assert_allclose(found, -slope, rtol=1e-7, atol=1e-7 * np.abs(slope).max())


@each_family
def test_informations_agree_at_the_estimate(family, params, distributions):
    statistics, estimate = fitted(family, table(distributions, 30))
    observed = family.observed_information(statistics, estimate)
    expected = family.information(estimate)
    assert_allclose(observed, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    errors = family.standard_errors(estimate, statistics.n)
    inverse = np.linalg.inv(expected) / statistics.n
    for k, name in enumerate(estimate):
        assert_allclose(errors[name], np.sqrt(inverse[:, k, k]), rtol=1e-9)
    again = family.observed_standard_errors(statistics, estimate)
    assert_allclose(family.pack(again), family.pack(errors), rtol=1e-9)


@each_family
def test_canonical_is_natural_with_the_right_jacobian(family, params, distributions):
    """Mean scores of two tables differ by the Jacobian times a difference of statistics."""
    statistics, estimate = fitted(family, table(distributions, 30))
    _, jacobian = family.canonical(statistics, estimate, params)
    numeric = slopes(lambda p: family.canonical(statistics, estimate, p)[0], params)
    assert_allclose(jacobian, numeric, rtol=1e-7, atol=1e-7 * np.abs(numeric).max())
    other = family.summarize(table(distributions, 50, seed=3), None)
    apart = []  # the difference of the sufficient statistics, in which no parameter is left
    for point in (params, {name: value * 1.1 for name, value in params.items()}):
        turn = np.swapaxes(family.canonical(statistics, estimate, point)[1], 1, 2)
        scores = family.mean_score(statistics, point) - family.mean_score(other, point)
        apart.append(np.linalg.solve(turn, scores[..., None]))
    assert_allclose(apart[0], apart[1], rtol=1e-8)


@each_family
def test_closed_form_of_rstar(family, params, distributions):
    """Against determinants of the canonical parameter, by the generic code."""
    statistics, estimate = fitted(family, table(distributions, 12))
    errors = family.standard_errors(estimate, statistics.n)
    for name in estimate:
        for shift in (-1.1, 0.7, 1.5):
            value = estimate[name] + shift * np.minimum(errors[name], estimate[name] / 2)
            if name == "mu" and family.name == "von_mises":
                value = estimate[name] + shift * np.minimum(errors[name], 1.0)  # a right angle
            closed = ModifiedRoot(family, Profile(family, name, statistics, estimate))(value)
            _, generic = rstar(family, name, statistics, estimate, value)
            assert_allclose(closed, generic, rtol=1e-8)


@each_family
@pytest.mark.parametrize("method", ["rstar", "profile"])
@pytest.mark.parametrize("level", [0.2, 0.95, 0.999])
def test_ends_lie_where_the_root_is_the_quantile(family, params, distributions, method, level):
    statistics, estimate = fitted(family, table(distributions, 40))
    quantile = stats.norm.ppf((1 + level) / 2)
    for name in estimate:
        interval = getattr(family, f"{method}_interval")(name, statistics, estimate, level)
        for end, sign in zip(interval, (1, -1)):
            profile = Profile(family, name, statistics, estimate)
            root = ModifiedRoot(family, profile) if method == "rstar" else profile.root
            whole = (name == "mu") & (np.abs(end - estimate[name]) == np.pi)
            cut = (name == "kappa") & ((end == 0) | (end == estimate[name]))
            usual = ~(whole | cut)
            assert usual.any()
            assert_allclose(root(end)[usual], sign * quantile, rtol=1e-8)


@each_family
def test_cdf_is_scipys(family, params, distributions):
    X = table(distributions, 30)
    X = np.vstack([X, X - 40.0, X + 40.0])
    expected = [np.clip(d.cdf(X[:, j]), 0, 1) for j, d in enumerate(distributions)]
    if family.name == "von_mises":
        expected = [
            np.where(x > np.pi, 1, np.where(x < -np.pi, 0, e)) for x, e in zip(X.T, expected)
        ]
    assert_allclose(family.cdf(X, params), np.column_stack(expected), rtol=1e-9, atol=1e-12)


@each_family
def test_weights_are_repetitions(family, params, distributions):
    X = table(distributions, 30)
    weight = np.arange(30) % 4 + 1
    weighted = fitted(family, X, weight.astype(float))
    repeated = fitted(family, X.repeat(weight, axis=0))
    for name in weighted[1]:
        assert_allclose(weighted[1][name], repeated[1][name], rtol=1e-12)
        low, high = family.rstar_interval(name, *weighted, 0.95)
        assert_allclose((low, high), family.rstar_interval(name, *repeated, 0.95), rtol=1e-10)


SCALES = {"exponential": {"rate": -1}, "rayleigh": {"scale": 1}}
SCALES |= {"gamma": {"shape": 0, "scale": 1}, "inverse_gaussian": {"mu": 1, "lam": 1}}
SCALES |= {"normal": {"mu": 1, "sigma": 1}}


@pytest.mark.parametrize("factor", [1e-140, 1e-12, 1e-3, 1e12, 1e140])
@pytest.mark.parametrize("case", [c for c in CASES if c[0].name in SCALES], ids=lambda c: c[0].name)
def test_any_scale_of_the_data(case, factor):
    family, _, distributions = case
    X = table(distributions, 30)
    plain, scaled = fitted(family, X), fitted(family, X * factor)
    errors = [family.standard_errors(estimate, 30.0) for _, estimate in (plain, scaled)]
    for name, power in SCALES[family.name].items():
        unit = factor**power
        assert_allclose(scaled[1][name], plain[1][name] * unit, rtol=1e-12)
        assert_allclose(errors[1][name], errors[0][name] * unit, rtol=1e-12)
        for method in (*set(family.parameter(name).methods) & {"profile", "rstar", "exact"},):
            low, high = getattr(family, f"{method}_interval")(name, *scaled, 0.95)
            expected = getattr(family, f"{method}_interval")(name, *plain, 0.95)
            assert_allclose(np.array([low, high]), np.array(expected) * unit, rtol=1e-9)


def gamma_reference(x, start):
    """Estimate and standard errors of the gamma family at forty digits; the root is unique."""
    x = [mp.mpf(float(v)) for v in x]
    n = len(x)
    mean = mp.fsum(x) / n
    gap = mp.log(mean) - mp.fsum(mp.log(v) for v in x) / n
    shape = mp.findroot(lambda a: mp.log(a) - mp.digamma(a) - gap, start)
    scale, psi = mean / shape, mp.psi(1, shape)
    excess = shape * psi - 1
    errors = mp.sqrt(shape / (n * excess)), scale * mp.sqrt(psi / (n * excess))
    return {"shape": shape, "scale": scale}, dict(zip(("shape", "scale"), errors)), gap


@pytest.mark.parametrize(
    ("shape", "rtol"), [(0.05, 1e-13), (2.0, 1e-13), (300.0, 1e-12), (1e8, 1e-12), (1e14, 1e-8)]
)
def test_gamma_against_forty_digits(shape, rtol):
    """A shape of 1e14 is a mean of 1e7 standard deviations; the data hold eight digits of it."""
    X = np.random.default_rng(5).gamma(shape, 3.0, size=(20, 1))
    statistics, estimate = fitted(Gamma(), X)
    observed = Gamma().observed_standard_errors(statistics, estimate)
    with mp.workdps(50):
        start = estimate["shape"]
        expected, errors, _ = gamma_reference(X[:, 0], float(start[0]))
        for name in expected:
            assert_allclose(estimate[name], float(expected[name]), rtol=rtol)
            for found in (Gamma().standard_errors(estimate, 20.0), observed):
                assert_allclose(found[name], float(errors[name]), rtol=max(rtol, 1e-8))


@pytest.mark.parametrize("shape", [0.5, 30.0, 1e14])
def test_gamma_rstar_against_forty_digits(shape):
    """r* of the shape depends on mean(log) - log(mean) only; both ends are roots of it."""
    X = np.random.default_rng(5).gamma(shape, 3.0, size=(10, 1))
    statistics, params = fitted(Gamma(), X)
    found = Gamma().rstar_interval("shape", statistics, params, 0.95)
    with mp.workdps(50):
        start = params["shape"]
        estimate, _, gap = gamma_reference(X[:, 0], float(start[0]))
        top, n = estimate["shape"], len(X)

        def height(a):
            return n * (a * mp.log(a) - a - mp.loggamma(a) - a * gap)

        def root(a):
            r = mp.sign(top - a) * mp.sqrt(2 * (height(top) - height(a)))
            q = (top - a) * mp.sqrt(n * (mp.psi(1, top) - 1 / top) * a / top)
            return r + mp.log(q / r) / r

        quantile = mp.sqrt(2) * mp.erfinv(mp.mpf("0.95"))
        for end, sign in zip(found, (1, -1)):
            near = mp.mpf(float(end[0]))
            wanted = sign * quantile
            exact = mp.findroot(lambda a, w=wanted: root(a) - w, (near, near * 1.01))
            assert_allclose(end[0], float(exact), rtol=1e-8 if shape > 1e3 else 1e-11)


@pytest.mark.parametrize(("shape", "rtol"), [(0.5, 1e-10), (30.0, 1e-10), (1e14, 1e-7)])
def test_gamma_rstar_of_the_scale_against_forty_digits(shape, rtol):
    """The restricted shape solves digamma(a) = mean(log) - log(scale)."""
    X = np.random.default_rng(6).gamma(shape, 3.0, size=(10, 1))
    statistics, params = fitted(Gamma(), X)
    found = Gamma().rstar_interval("scale", statistics, params, 0.95)
    with mp.workdps(60):
        start = float(params["shape"][0])
        estimate, _, gap = gamma_reference(X[:, 0], start)
        top, n = (estimate["shape"], estimate["scale"]), len(X)
        mean = top[0] * top[1]
        excess = top[0] * mp.psi(1, top[0]) - 1

        def height(a, s):
            return n * (a * (mp.log(mean) - gap) - mean / s - mp.loggamma(a) - a * mp.log(s))

        def root(s):
            wanted = mp.log(mean) - gap - mp.log(s)
            near = shape_from_digamma(np.array([float(wanted)]))[0]  # the root is unique
            a = mp.findroot(lambda a: mp.digamma(a) - wanted, mp.mpf(float(near)))
            r = mp.sign(top[1] - s) * mp.sqrt(2 * (height(*top) - height(a, s)))
            q = (top[1] - s) / s * mp.sqrt(n * excess / mp.psi(1, a))
            return r + mp.log(q / r) / r

        quantile = mp.sqrt(2) * mp.erfinv(mp.mpf("0.95"))
        for end, sign in zip(found, (1, -1)):
            s = mp.mpf(float(end[0]))
            slope = (root(s * (1 + mp.mpf("1e-9"))) - root(s)) / (s * mp.mpf("1e-9"))
            assert abs((root(s) - sign * quantile) / slope / s) < rtol  # one step of Newton's


@pytest.mark.parametrize("shapes", [(0.05, 0.3), (2.0, 5.0), (400.0, 3.0)])
def test_beta_against_forty_digits(shapes):
    x = np.random.default_rng(6).beta(*shapes, size=(20, 1))
    x = np.clip(x, 1e-12, 1 - 2.0**-50)
    _, estimate = fitted(Beta(), x)
    errors = Beta().standard_errors(estimate, 20.0)
    with mp.workdps(40):
        rows = [mp.mpf(float(v)) for v in x[:, 0]]
        log_x = mp.fsum(mp.log(v) for v in rows) / 20
        log_rest = mp.fsum(mp.log(1 - v) for v in rows) / 20

        def score(a, b):
            both = mp.digamma(a + b)
            return [log_x - mp.digamma(a) + both, log_rest - mp.digamma(b) + both]

        start = (mp.mpf(float(estimate["a"][0])), mp.mpf(float(estimate["b"][0])))
        a, b = mp.findroot(score, start)
        both = mp.psi(1, a + b)
        information = mp.matrix([[mp.psi(1, a) - both, -both], [-both, mp.psi(1, b) - both]])
        covariance = information**-1 / 20
        for k, (name, value) in enumerate((("a", a), ("b", b))):
            assert_allclose(estimate[name], float(value), rtol=1e-10)
            assert_allclose(errors[name], float(mp.sqrt(covariance[k, k])), rtol=1e-10)


def test_beta_finds_its_maximum_from_anywhere():
    rng = np.random.default_rng(7)
    for a in (0.02, 1.0, 40.0, 1e5):
        for b in (0.02, 1.0, 1e5):
            X = np.clip(rng.beta(a, b, size=(30, 50)), 1e-300, 1 - 2.0**-53)
            statistics, estimate = fitted(Beta(), X)
            errors = Beta().standard_errors(estimate, 1.0)
            slope = Beta().mean_score(statistics, estimate)
            assert_allclose(slope[:, 0] * errors["a"], 0, atol=1e-9)
            assert_allclose(slope[:, 1] * errors["b"], 0, atol=1e-9)


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-7])
def test_inverse_gaussian_against_forty_digits(spread):
    X = 5.0 + spread * np.random.default_rng(8).uniform(-1, 1, size=(15, 1))
    weight = np.ones(15)
    family = InverseGaussian()
    whole = family.summarize(X, None)
    merged = family.summarize(X[:4], weight[:4]) + family.summarize(X[4:], weight[4:])
    with mp.workdps(40):
        rows = [mp.mpf(float(v)) for v in X[:, 0]]
        mean = mp.fsum(rows) / 15
        lam = 1 / (mp.fsum(1 / v for v in rows) / 15 - 1 / mean)
        for statistics in (whole, merged):
            estimate = family.estimate(statistics)
            errors = family.standard_errors(estimate, 15.0)
            assert_allclose(estimate["mu"], float(mean), rtol=1e-15)
            assert_allclose(estimate["lam"], float(lam), rtol=1e-14 + 1e-15 / spread)
            assert_allclose(errors["mu"], float(mp.sqrt(mean**3 / lam / 15)), rtol=1e-8)
            assert_allclose(errors["lam"], float(lam * mp.sqrt(mp.mpf(2) / 15)), rtol=1e-8)


def test_the_mean_of_an_inverse_gaussian_may_be_as_large_as_you_like():
    """Its limit is Lévy's distribution: x / lam is one over a squared standard normal."""
    X = 1 / np.random.default_rng(9).standard_normal((8, 1)) ** 2
    family = InverseGaussian()
    statistics, estimate = fitted(family, X)
    for method in ("rstar", "profile", "exact"):
        low, high = getattr(family, f"{method}_interval")("mu", statistics, estimate, 0.95)
        assert 0 < low[0] < estimate["mu"][0]
        assert high[0] == np.inf
    endless = {"mu": np.array([np.inf]), "lam": np.array([1.3])}
    total = stats.levy(scale=1.3).logpdf(X).sum()
    assert_allclose(family.log_likelihood(statistics, endless), total, rtol=1e-12)


@pytest.mark.parametrize(
    ("family", "X"),
    [
        (Gamma(), np.full((5, 1), 0.3)),
        (Gamma(), np.array([[2.0]])),
        (Beta(), np.full((5, 1), 0.3)),
        (Beta(), np.array([[0.25]])),
        (InverseGaussian(), np.full((7, 1), 0.1)),
        (Pareto(minimum=2.0), np.full((4, 1), 2.0)),
        (VonMises(), np.full((6, 1), -0.7)),
        (VonMises(), np.array([[np.pi]])),
    ],
)
def test_constant_columns_have_no_estimate(family, X):
    statistics = family.summarize(X, None)
    with pytest.raises(ValueError, match=r"no estimate for .*heights"):
        family.check_statistics(statistics, ["heights"])


def test_a_pareto_needs_its_minimum():
    with pytest.raises(ValueError, match="needs its minimum"):
        Pareto().inside(np.ones((1, 1)))
    with pytest.raises(ValueError, match="minimum must be a finite number > 0; got -1"):
        Pareto(minimum=-1)
    with pytest.raises(ValueError, match="takes the constant 'minimum'"):
        Pareto().given(n=3)
    given = Pareto().given(minimum=2)
    assert given.constants_given
    assert given.describe_support() == "numbers >= 2 (the minimum)"
    X = np.array([[1.9, 2.0, 5.0]])
    assert given.inside(X).tolist() == [[False, True, True]]
    assert np.isfinite(given.log_density(X, {"shape": np.ones(3)})).tolist() == [
        [False, True, True]
    ]


def test_pareto_families_are_equal_where_their_minimum_is():
    assert Pareto(minimum=2.0) == Pareto(minimum=2.0) != Pareto(minimum=3.0)
    assert hash(Pareto(minimum=2.0)) == hash(Pareto(minimum=2.0))
    assert repr(Pareto(minimum=2.0)) == "Pareto(minimum=2.0)"
    assert repr(Pareto()) == "Pareto()"


def test_squares_that_overflow_are_refused():
    for factor in (1e-300, 1e300):
        with pytest.raises(ValueError, match=r"flow.*rescale the columns"):
            MLEDensity("rayleigh").fit(np.array([[0.5], [2.0]]) * factor)


REPLICATES = 20_000
COVERAGE = [
    (Gamma(), {"shape": 0.5, "scale": 1.0}),
    (Gamma(), {"shape": 2.0, "scale": 1.0}),
    (Gamma(), {"shape": 10.0, "scale": 1.0}),
    (Beta(), {"a": 2.0, "b": 2.0}),
    (Beta(), {"a": 0.5, "b": 0.5}),
    (Beta(), {"a": 2.0, "b": 5.0}),
    (InverseGaussian(), {"mu": 1.0, "lam": 1.0}),
    (InverseGaussian(), {"mu": 1.0, "lam": 5.0}),
    (Rayleigh(), {"scale": 2.0}),
    (Pareto(minimum=1.0), {"shape": 2.0}),
    (VonMises(), {"mu": 0.0, "kappa": 1.0}),
    (VonMises(), {"mu": 0.0, "kappa": 4.0}),
    (Normal(), {"mu": 2.0, "sigma": 1.0}),
    (Exponential(), {"rate": 2.0}),
]


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10])
@pytest.mark.parametrize(("family", "truth"), COVERAGE)
def test_default_intervals_cover_in_small_samples(family, truth, n):
    """Nominal 95 %: 94.3 to 95.7, and 1.9 to 3.1 in each tail (Monte-Carlo errors 0.15, 0.11)."""
    params = {name: np.full(REPLICATES, value) for name, value in truth.items()}
    X = family.sample(params, n, np.random.default_rng(n))
    statistics, estimate = fitted(family, X)
    for name, value in truth.items():
        low, high, _ = family.auto_interval(name, statistics, estimate, 0.95)
        below, above = 100 * np.mean(value < low), 100 * np.mean(value > high)
        assert 1.9 <= below <= 3.1
        assert 1.9 <= above <= 3.1
        assert 94.3 <= 100 - below - above <= 95.7


def test_exact_intervals_of_rates_invert_the_chi_square_law():
    """2 n rate / estimate is chi-square on 2 n degrees of freedom."""
    X = table([stats.expon(), stats.expon(scale=4.0)], 7)
    ends = stats.chi2.ppf([[0.05], [0.95]], 14) / 14
    for family, power, estimate in (
        (Exponential(), 1.0, 1 / X.mean(axis=0)),
        (Rayleigh(), -0.5, np.sqrt((X**2).mean(axis=0) / 2)),
    ):
        statistics, params = fitted(family, X)
        (name,) = params
        assert_allclose(params[name], estimate, rtol=1e-13)
        found = family.exact_interval(name, statistics, params, 0.9)
        assert_allclose(found, np.sort(estimate * ends**power, axis=0), rtol=1e-12)
