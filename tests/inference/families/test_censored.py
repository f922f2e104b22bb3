"""Right censoring: published data, scipy's censored fits, high precision, coverage."""

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, optimize, stats

from skgm.inference._fit_intervals import Fit, fit_interval
from skgm.inference.families import Exponential, Normal
from skgm.inference.families._censored import censored
from skgm.inference.families._censored_laws import CensoredRows, check_event
from skgm.inference.families._fixed import FixedFamily
from skgm.inference.families._gamma import Gamma
from skgm.inference.families._transformed import LogNormal, Weibull

# Weeks of remission on 6-mercaptopurine: Freireich et al., Blood 21, 1963; Gehan, Biometrika 52,
# 1965.
SEEN = [6, 6, 6, 7, 10, 13, 16, 22, 23]
HIDDEN = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
WEEKS = np.array([*SEEN, *HIDDEN], dtype=float)[:, None]
EVENT = np.array([1.0] * len(SEEN) + [0.0] * len(HIDDEN))

# family, a point of two columns, scipy's distribution, scipy's shape and scale
CASES = [
    (Exponential(), {"rate": [0.5, 4.0]}, stats.expon, lambda p: ((), 1 / p["rate"])),
    (
        Weibull(),
        {"shape": [0.7, 3.0], "scale": [2.0, 0.5]},
        stats.weibull_min,
        lambda p: ((p["shape"],), p["scale"]),
    ),
    (
        LogNormal(),
        {"mu": [0.4, -3.0], "sigma": [0.3, 1.5]},
        stats.lognorm,
        lambda p: ((p["sigma"],), np.exp(p["mu"])),
    ),
    (
        Gamma(),
        {"shape": [0.6, 6.0], "scale": [2.0, 0.3]},
        stats.gamma,
        lambda p: ((p["shape"],), p["scale"]),
    ),
]
IDS = [case[0].name for case in CASES]
every_family = pytest.mark.parametrize("case", CASES, ids=IDS)


def frozen(case, params, j=0):
    _, _, law, arguments = case
    shape, scale = arguments({name: np.asarray(value)[j] for name, value in params.items()})
    return law(*shape, scale=scale)


def table(case, n=60, seed=0, share=0.35):
    """Two columns of waiting times, about `share` of them cut by times of a like distribution."""
    family, params, _, _ = case
    params = {name: np.array(value) for name, value in params.items()}
    rng = np.random.default_rng(seed)
    waits = family.sample(params, n, rng)
    cuts = family.sample(params, n, rng) * (1 / share - 1) ** 0.8
    return np.minimum(waits, cuts), (waits <= cuts).astype(float)


def log_likelihood(case, X, event, params):
    """scipy's log f and log S, summed over rows, (d,)."""
    columns = [frozen(case, params, j) for j in range(X.shape[1])]
    terms = [
        np.where(event[:, j] == 1, law.logpdf(X[:, j]), law.logsf(X[:, j]))
        for j, law in enumerate(columns)
    ]
    return np.sum(terms, axis=1)


def fitted(case, X, event, weight=None):
    family = censored(case[0])
    statistics = family.summarize(X, weight, event)
    family.check_statistics(statistics, [f"x{j}" for j in range(X.shape[1])])
    return family, statistics, family.estimate(statistics)


def test_exponential_rate_is_events_per_total_time():
    family, statistics, estimate = fitted(CASES[0], WEEKS, EVENT)
    assert_allclose(estimate["rate"], 9 / 359, rtol=1e-15)
    assert_allclose(family.log_likelihood(statistics, estimate), 9 * np.log(9 / 359) - 9)
    errors = family.model_standard_errors(statistics, estimate)
    assert_allclose(errors["rate"], np.sqrt(9) / 359, rtol=1e-14)


def test_weibull_of_the_remission_times_to_thirty_digits():
    family, statistics, estimate = fitted(CASES[1], WEEKS, EVENT)
    with mpmath.workdps(30):
        times, seen = [mpmath.mpf(x) for x in WEEKS[:, 0]], [mpmath.mpf(x) for x in SEEN]

        def slope(k):  # the profile likelihood's, the scale being (sum x^k / 9)^(1/k)
            powers = [x**k for x in times]
            pull = sum(p * mpmath.log(x) for p, x in zip(powers, times, strict=True))
            return 1 / k + sum(map(mpmath.log, seen)) / 9 - pull / sum(powers)

        shape = mpmath.findroot(slope, 1.3)
        scale = (sum(x**shape for x in times) / 9) ** (1 / shape)

        def fall(k, s):
            z = [k * mpmath.log(x / s) for x in times]
            seen_part = sum(mpmath.log(k / x) + u for x, u in zip(seen, z, strict=False))
            return -seen_part + sum(map(mpmath.exp, z))

        orders = [[(2, 0), (1, 1)], [(1, 1), (0, 2)]]
        hessian = mpmath.matrix([[mpmath.diff(fall, (shape, scale), o) for o in r] for r in orders])
        covariance = hessian**-1
        errors = [mpmath.sqrt(covariance[i, i]) for i in range(2)]
    assert_allclose(estimate["shape"], float(shape), rtol=1e-12)
    assert_allclose(estimate["scale"], float(scale), rtol=1e-12)
    found = family.model_standard_errors(statistics, estimate)
    assert_allclose([found["shape"][0], found["scale"][0]], [float(e) for e in errors], rtol=1e-10)


@every_family
def test_fit_is_scipys_censored_fit(case):
    """scipy maximizes by Nelder and Mead, to about 1e-4 relative."""
    X, event = table(case, 80)
    _, _, estimate = fitted(case, X, event)
    for j in range(2):
        data = stats.CensoredData(uncensored=X[event[:, j] == 1, j], right=X[event[:, j] == 0, j])
        *shape, _, scale = case[2].fit(data, floc=0)
        law = frozen(case, estimate, j)
        assert_allclose([*law.args, law.kwds["scale"]], [*shape, scale], rtol=2e-3)


@every_family
def test_likelihood_is_scipys(case):
    X, event = table(case)
    params = {name: np.array(value) for name, value in case[1].items()}
    family = censored(case[0])
    found = family.log_likelihood(family.summarize(X, None, event), params)
    assert_allclose(found, log_likelihood(case, X, event, params), rtol=1e-12)


@every_family
def test_estimate_is_stationary_and_highest(case):
    X, event = table(case)
    family, statistics, estimate = fitted(case, X, event)
    units = np.sqrt(np.diagonal(family.observed_information(statistics, estimate), 0, 1, 2))
    assert_allclose(family.mean_score(statistics, estimate) / units, 0, atol=1e-12)
    best = log_likelihood(case, X, event, estimate)
    for name, value in estimate.items():
        for factor in (0.98, 1.02):
            moved = {**estimate, name: value * factor}
            assert (log_likelihood(case, X, event, moved) < best).all()


@every_family
@pytest.mark.parametrize("stretch", [0.2, 1.0, 3.0])
def test_scores_and_information_by_differences(case, stretch):
    X, event = table(case)
    X = X * stretch  # away from the estimate
    family = censored(case[0])
    statistics = family.summarize(X, None, event)
    params = {name: np.array(value) for name, value in case[1].items()}
    score, information = (
        family.mean_score(statistics, params),
        family.observed_information(statistics, params),
    )
    assert_allclose(family.kept_scores(statistics, params).mean(axis=0), score, rtol=1e-12)
    for k, (name, value) in enumerate(params.items()):
        step = 1e-5 * np.abs(value)
        sides = [{**params, name: value + s * step} for s in (1, -1)]
        up, down = (log_likelihood(case, X, event, side) / len(X) for side in sides)
        assert_allclose(score[:, k], (up - down) / (2 * step), rtol=1e-6, atol=1e-7)
        up, down = (family.mean_score(statistics, side) for side in sides)
        slope = -(up - down) / (2 * step)[:, None]
        assert_allclose(information[:, k], slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max())


@every_family
def test_without_censoring_it_is_the_plain_fit(case):
    X, _ = table(case)
    family, statistics, estimate = fitted(case, X, np.ones(len(X)))
    plain = case[0].summarize(X, None)
    expected = case[0].estimate(plain)
    for name, value in estimate.items():
        assert_allclose(value, expected[name], rtol=1e-10)
    assert_allclose(
        family.log_likelihood(statistics, estimate), case[0].log_likelihood(plain, expected)
    )
    assert_allclose(
        family.observed_information(statistics, estimate),
        case[0].observed_information(plain, expected),
        rtol=1e-8,
        atol=1e-8,
    )


@every_family
def test_weights_are_repetitions(case):
    X, event = table(case)
    weight = np.random.default_rng(3).integers(0, 4, len(X))
    repeated = [np.repeat(part, weight, axis=0) for part in (X, event)]
    family, statistics, estimate = fitted(case, X, event, weight.astype(float))
    _, whole, expected = fitted(case, *repeated)
    for name in estimate:
        assert_allclose(estimate[name], expected[name], rtol=1e-12)
        for errors in (family.model_standard_errors, family.kept_standard_errors):
            assert_allclose(errors(statistics, estimate)[name], errors(whole, expected)[name])


@every_family
@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_units_do_not_matter(case, unit):
    X, event = table(case)
    _, _, estimate = fitted(case, X, event)
    _, _, scaled = fitted(case, X * unit, event)
    for name, value in estimate.items():
        expected = {"rate": value / unit, "scale": value * unit, "mu": value + np.log(unit)}.get(
            name, value
        )
        assert_allclose(scaled[name], expected, rtol=1e-11)


@every_family
def test_profile_limits_solve_the_likelihood_ratio(case):
    X, event = table(case, 40)
    family, statistics, estimate = fitted(case, X, event)
    fit = Fit(family, statistics, estimate, ["a", "b"])
    quantile = stats.chi2.ppf(0.95, 1)
    for name in estimate:
        low, high, _ = fit_interval(fit, name, "profile", 0.95)
        for end in (low, high):
            for j in range(2):
                fall = _profile_fall(case, X, event, estimate, name, end[j], j)
                assert_allclose(2 * fall, quantile, rtol=1e-6)


def _profile_fall(case, X, event, estimate, name, value, j):
    """The fall of scipy's log-likelihood to its maximum with `name` held, by Brent's search."""
    column = {key: v[j : j + 1] for key, v in estimate.items()}
    one, seen = X[:, [j]], event[:, [j]]
    best = log_likelihood(case, one, seen, column)[0]
    others = [key for key in estimate if key != name]
    if not others:
        return best - log_likelihood(case, one, seen, {name: np.array([value])})[0]
    other, center = others[0], column[others[0]][0]

    def height(move):
        moved = center + move if other == "mu" else center * np.exp(move)
        params = {name: np.array([value]), other: np.array([moved])}
        return -log_likelihood(case, one, seen, params)[0]

    found = optimize.minimize_scalar(height, bracket=(-0.1, 0.1), options={"xtol": 1e-9})
    return best + found.fun


def test_score_interval_of_the_exponential_in_closed_form():
    """(D - rate T)^2 / (rate T) is the statistic: that of a Poisson count of D events."""
    family, statistics, estimate = fitted(CASES[0], WEEKS, EVENT)
    fit = Fit(family, statistics, estimate, ["weeks"])
    low, high, _ = fit_interval(fit, "rate", "score", 0.95)
    z = stats.norm.ppf(0.975)
    ends = 9 + z * z / 2 + z * np.sqrt(9 + z * z / 4) * np.array([-1, 1])
    assert_allclose([low[0], high[0]], ends / 359, rtol=1e-10)


@every_family
def test_predictable_information_by_quadrature(case):
    """The integral of u u' h over time, u by differences of scipy's log hazard."""
    family, params = case[0], {name: np.array(value) for name, value in case[1].items()}
    X = np.array([[0.3, 0.1], [2.5, 1.2]])
    found = censored(family).model_information(
        censored(family).summarize(X, None, np.zeros(2)), params
    )

    def log_hazard(t, j, name=None, step=0.0):
        moved = {k: v + (step if k == name else 0.0) for k, v in params.items()}
        law = frozen(case, moved, j)
        return law.logpdf(t) - law.logsf(t)

    w = np.linspace(0, 60, 40_001)  # t = x exp(-w)
    for j in range(2):
        total = 0.0
        for x in X[:, j]:
            t, u = x * np.exp(-w), []
            for name, value in params.items():
                h = 1e-5 * abs(value[j])
                u.append((log_hazard(t, j, name, h) - log_hazard(t, j, name, -h)) / (2 * h))
            with np.errstate(invalid="ignore"):
                values = np.array(u)[:, None] * np.array(u) * np.exp(log_hazard(t, j)) * t
            total += integrate.simpson(np.nan_to_num(values), x=w)
        assert_allclose(found[j], total / 2, rtol=1e-6)


@every_family
def test_predictable_information_has_the_mean_of_the_observed_one(case):
    """Whatever the law of the censoring times. 4000 rows; six Monte-Carlo standard errors."""
    X, event = table(case, 4000, seed=5)
    family, params = censored(case[0]), {name: np.array(v) for name, v in case[1].items()}
    rows = [family.summarize(X[i : i + 20], None, event[i : i + 20]) for i in range(0, 4000, 20)]
    gaps = np.array(
        [family.model_information(r, params) - family.observed_information(r, params) for r in rows]
    )
    error = gaps.std(axis=0) / np.sqrt(len(rows))
    assert (np.abs(gaps.mean(axis=0)) < 6 * error).all()
    assert (error < 0.2 * np.abs(family.model_information(rows[0], params)).max()).all()


@pytest.mark.parametrize("case", CASES[1:], ids=IDS[1:])
def test_score_limits_are_not_rejected_by_a_hair(case):
    """The efficient score, with the other parameter at scipy's maximum along the null."""
    X, event = table(case, 30)
    X, event = X[:, :1], event[:, :1]
    family, statistics, estimate = fitted(case, X, event)
    for k, name in enumerate(estimate):
        ends = family.score_interval(name, statistics, estimate, 0.9)
        for end, side in zip(ends, (1, -1), strict=True):
            null = {**family.no_restriction(statistics), name: end}
            restricted = family.restricted_estimate(statistics, null)
            slope = family.mean_score(statistics, restricted)[0]
            assert_allclose(slope[1 - k] * list(restricted.values())[1 - k], 0, atol=1e-8)
            information = family.model_information(statistics, restricted)[0]
            left = information[k, k] - information[0, 1] ** 2 / information[1 - k, 1 - k]
            root = slope[k] * np.sqrt(len(X) / left)
            assert_allclose(root, side * stats.norm.ppf(0.95), rtol=1e-6)


@pytest.mark.parametrize("case", [CASES[1], CASES[2]], ids=[IDS[1], IDS[2]])
def test_score_tests_hold_their_size_with_censoring(case):
    """2000 tables of 15 rows, a third of them censored: 4 to 8 %, with Monte-Carlo error 0.6 %.
    The observed information, indefinite in some of the tables, rejects in 10 to 20 %."""
    family, params = censored(case[0]), {k: np.full(2000, v[0]) for k, v in case[1].items()}
    rng = np.random.default_rng(8)
    waits, cuts = (case[0].sample(params, 15, rng) * stretch for stretch in (1.0, 1.97))
    X, event = np.minimum(waits, cuts), (waits <= cuts).astype(float)
    kept = event.sum(axis=0) > 1
    statistics = family.summarize(X[:, kept], None, event[:, kept])
    for name, value in params.items():
        null = {**family.no_restriction(statistics), name: value[kept]}
        restricted = family.restricted_estimate(statistics, null)
        slope = family.mean_score(statistics, restricted)
        information = family.model_information(statistics, restricted)
        solved = np.linalg.solve(information, slope[..., None])[..., 0]
        statistic = 15 * np.einsum("dk,dk->d", slope, solved)
        size = np.mean(statistic > stats.chi2.ppf(0.95, 1))
        assert 0.03 < size < 0.09


@every_family
def test_robust_errors_by_the_jackknife(case):
    """The infinitesimal jackknife: n d(estimate) / d(weight), by differences of the weights."""
    X, event = table(case, 25)
    family, statistics, estimate = fitted(case, X, event)
    errors = family.kept_standard_errors(statistics, estimate)
    squares = {name: np.zeros(2) for name in estimate}
    for row in range(len(X)):
        weight = np.ones(len(X))
        weight[row] += 1e-4
        up = fitted(case, X, event, weight)[2]
        weight[row] -= 2e-4
        down = fitted(case, X, event, weight)[2]
        for name in squares:
            squares[name] += ((up[name] - down[name]) / 2e-4) ** 2
    for name, square in squares.items():
        assert_allclose(errors[name], np.sqrt(square), rtol=1e-5)


@pytest.mark.parametrize("case", CASES[1:], ids=IDS[1:])
def test_a_fixed_parameter_stays_fixed(case):
    X, event = table(case)
    name, held = next((name, value[0]) for name, value in case[1].items())
    family = FixedFamily(censored(case[0]), {name: held})
    statistics = censored(case[0]).summarize(X, None, event)
    estimate = family.estimate(statistics)
    (other,) = estimate
    assert {"score", "bootstrap"} < set(family.parameter(other).methods)
    null = {name: np.full(2, held), other: np.full(2, np.nan)}
    restricted = censored(case[0]).restricted_estimate(statistics, null)
    assert_allclose(estimate[other], restricted[other], rtol=1e-12)
    error = family.model_standard_errors(statistics, estimate)[other]
    curvature = censored(case[0]).observed_information(statistics, restricted)
    k = list(case[1]).index(other)
    assert_allclose(error, 1 / np.sqrt(len(X) * curvature[:, k, k]), rtol=1e-10)
    assert (family.kept_standard_errors(statistics, estimate)[other] > 0).all()
    for interval in (family.profile_interval, family.score_interval):
        low, high = interval(other, statistics, estimate, 0.95)
        assert (low < estimate[other]).all()
        assert (estimate[other] < high).all()


@pytest.mark.parametrize("case", CASES[1:], ids=IDS[1:])
def test_a_fixed_spread_bounds_the_likelihood(case):
    """All events on the last time: no estimate of both parameters, but one of the other."""
    name = {"weibull": "shape", "lognormal": "sigma", "gamma": "shape"}[case[0].name]
    family = FixedFamily(censored(case[0]), {name: 2.0})
    X = np.array([[2.0], [2.0], [1.0]])
    statistics = censored(case[0]).summarize(X, None, [1, 1, 0])
    family.check_statistics(statistics, ["x"])
    estimate = family.estimate(statistics)
    assert_allclose(family.mean_score(statistics, estimate), 0, atol=1e-12)
    none = censored(case[0]).summarize(X, None, [0, 0, 0])
    with pytest.raises(ValueError, match="without an observed event"):
        family.check_statistics(none, ["x"])


@every_family
@pytest.mark.parametrize("seen", [1, 2])
def test_very_few_events(case, seen):
    """One or two events among forty rows, the rest censored before, between and after them."""
    rng = np.random.default_rng(seen)
    X = rng.uniform(0.5, 3.0, (40, 1))
    event = np.zeros(40)
    event[:seen] = 1
    X[:seen, 0] = [1.0, 1.7][:seen]
    family, statistics, estimate = fitted(case, X, event)
    assert all(np.isfinite(value).all() and (value != 0).all() for value in estimate.values())
    units = np.sqrt(np.diagonal(family.observed_information(statistics, estimate), 0, 1, 2))
    assert_allclose(family.mean_score(statistics, estimate) / units, 0, atol=1e-8)


@pytest.mark.parametrize("case", CASES[1:], ids=IDS[1:])
def test_a_search_may_start_far_away(case):
    """One event in ten: along the profile the scale moves over many powers of ten."""
    X = np.array([[1.0, 0.6, 0.8, 1.2, 1.7, 2.0, 2.1, 2.3, 2.4, 2.6]]).T
    family, statistics, estimate = fitted(case, X, [1] + [0] * 9)
    first, second = estimate
    far, near = 1e9 if second == "scale" else 3.0, dict(estimate)
    near[second] = near[second] * far
    for factor in (0.2, 1.0, 5.0):
        value = estimate[first] * factor
        null = {first: value, second: np.full(1, np.nan)}
        found = family.restricted_near(statistics, null, near)
        expected = family.restricted_near(statistics, null, estimate)
        assert_allclose(found[second], expected[second], rtol=1e-8)
        slope = family.mean_score(statistics, found)[:, 1] * found[second]
        assert_allclose(slope, 0, atol=1e-12)
    low, high = family.profile_interval(first, statistics, estimate, 0.95)
    best = log_likelihood(case, X, statistics.event, estimate)
    for end in (low, high):
        null = {first: end, second: np.full(1, np.nan)}
        restricted = family.restricted_estimate(statistics, null)
        fall = best - log_likelihood(case, X, statistics.event, restricted)
        assert_allclose(2 * fall, stats.chi2.ppf(0.95, 1), rtol=1e-6)


def test_statistics_merge():
    X, event = table(CASES[1])
    weight = np.random.default_rng(2).integers(0, 4, len(X)).astype(float)
    family = censored(Weibull())
    whole = family.summarize(X, weight, event)
    parts = family.summarize(X[:7], weight[:7], event[:7]) + family.summarize(
        X[7:], weight[7:], event[7:]
    )
    for name, value in vars(whole).items():
        assert_allclose(getattr(parts, name), value, rtol=1e-14)
    rebuilt = CensoredRows(**vars(whole))
    assert rebuilt.mean(X).shape == (2,)


@pytest.mark.parametrize("z", [-40.0, -5.0, 0.0, 3.0, 24.9, 25.1, 300.0, 1e6])
def test_lognormal_curvature_far_out(z):
    """Of one censored row: -M (M - z), M the normal hazard, which tends to -1."""
    family = censored(LogNormal())
    statistics = family.summarize(np.array([[1.0]]), None, [0])
    sigma = 1 / max(abs(z), 1.0)
    params = {"mu": np.array([-z * sigma]), "sigma": np.array([sigma])}
    with mpmath.workdps(60):
        exact = mpmath.mpf(-params["mu"][0]) / mpmath.mpf(sigma)
        hazard = mpmath.npdf(exact) / (mpmath.erfc(exact / mpmath.sqrt(2)) / 2)
        rise = hazard * (hazard - exact)
    information = family.observed_information(statistics, params)[0, 0, 0] * sigma**2
    score = family.mean_score(statistics, params)[0, 0] * sigma
    assert_allclose(information, float(rise), rtol=2e-12, atol=1e-300)
    assert_allclose(score, float(hazard), rtol=1e-13, atol=1e-300)


def test_other_families_are_refused():
    with pytest.raises(ValueError, match="exponential, weibull, lognormal, gamma"):
        censored(Normal())


@every_family
def test_no_event_is_refused(case):
    family = censored(case[0])
    X, event = table(case, 10)
    event[:, 1] = 0
    statistics = family.summarize(X, None, event)
    with pytest.raises(ValueError, match=r"without an observed event \(second"):
        family.check_statistics(statistics, ["first", "second"])
    event[3, 1] = 1  # of no weight: as if absent
    weight = np.ones(10)
    weight[3] = 0
    statistics = family.summarize(X, weight, event)
    with pytest.raises(ValueError, match=r"without an observed event \(second"):
        family.check_statistics(statistics, ["first", "second"])


@pytest.mark.parametrize("case", CASES[1:], ids=IDS[1:])
def test_events_on_the_last_time_are_refused(case):
    """All events at 2 and nothing later: the likelihood grows as the spread shrinks."""
    family = censored(case[0])
    X, event = np.array([[2.0], [2.0], [2.0], [1.0]]), np.array([1, 1, 0, 0])
    with pytest.raises(ValueError, match="all events fall on the last time"):
        family.check_statistics(family.summarize(X, None, event), ["x"])
    X[2] = 2.5  # one that outlasts them bounds it
    _, _, estimate = fitted(case, X, event)
    assert all(np.isfinite(value).all() for value in estimate.values())


def test_exponential_of_zeros_is_refused():
    family = censored(Exponential())
    statistics = family.summarize(np.zeros((3, 1)), None, [1, 1, 0])
    with pytest.raises(ValueError, match="all times are zero"):
        family.check_statistics(statistics, ["x"])


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ([1, 0], "one entry per row"),
        ([[1, 0, 1]] * 3, "one entry per row"),
        ([1, 0, 2], "got 2 in row 2"),
        ([1, np.nan, 0], "got nan in row 1"),
        (["yes", "no", "no"], "booleans"),
        (None, "need their `event`"),
    ],
)
def test_bad_events(event, message):
    with pytest.raises(ValueError, match=message):
        censored(Exponential()).summarize(np.ones((3, 2)), None, event)


def test_events_per_row_stand_for_all_columns():
    expected = [[1, 1], [0, 0]]
    for event in ([True, False], [[1], [0]], np.array(expected)):
        assert np.array_equal(check_event(event, (2, 2)), expected)


def test_what_needs_the_law_of_the_censoring_is_refused():
    family = censored(Exponential())
    params = {"rate": np.ones(1)}
    with pytest.raises(ValueError, match="no expected information"):
        family.information(params)
    with pytest.raises(ValueError, match="depend on their events"):
        family.score(np.ones((1, 1)), params)


@pytest.mark.slow
@every_family
def test_coverage_under_censoring(case):
    """n = 50, uniform censoring of about 30%: 4000 samples, Monte-Carlo error 0.35%.

    The profile interval of a maximum-likelihood estimate errs by order 1/n: 1% is allowed for it.
    """
    family, params, _, _ = case
    params = {name: np.full(4000, value[0]) for name, value in params.items()}
    rng = np.random.default_rng(8)
    waits = family.sample(params, 50, rng)
    cuts = rng.uniform(0, 3.2 * frozen(case, params).mean(), waits.shape)
    event = (waits <= cuts).astype(float)
    assert 0.2 < 1 - event.mean() < 0.4
    _, statistics, estimate = fitted(case, np.minimum(waits, cuts), event)
    for name, truth in params.items():
        low, high = censored(family).profile_interval(name, statistics, estimate, 0.95)
        coverage = np.mean((low <= truth) & (truth <= high))
        assert abs(coverage - 0.95) < 0.01 + 3 * np.sqrt(0.95 * 0.05 / 4000), (name, coverage)
