"""Each columnwise family against quadrature or enumeration, finite differences and scipy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm.inference.families._statistics import Rows
from skgm.tables._validation import inside_support
from tests.inference.families.cases import COLUMNWISE, IDS, nodes, table

pytestmark = pytest.mark.parametrize(("family", "params", "distributions"), COLUMNWISE, ids=IDS)


def shifted(params, name, step):
    return {**params, name: params[name] + step}


def numeric_gradient(function, params):
    """Central differences along each parameter: (..., k) of a columnwise function."""
    parts = []
    for name, value in params.items():
        step = 1e-5 * np.maximum(np.abs(value), 0.1)
        rise = function(shifted(params, name, step)) - function(shifted(params, name, -step))
        parts.append(rise / (2 * step))
    return np.stack(parts, axis=-1)


def numeric_hessian(family, X, params):
    """Central differences of the score, (n, d, k, k)."""
    parts = []
    for name, value in params.items():
        step = 1e-5 * np.maximum(np.abs(value), 0.1)
        up, down = (family.score(X, shifted(params, name, s)) for s in (step, -step))
        parts.append((up - down) / (2 * step)[:, None])
    return np.stack(parts, axis=-1)


def test_log_density_is_scipys(family, params, distributions):
    X = table(distributions, 50)
    log = "logpmf" if family.discrete else "logpdf"
    expected = np.column_stack([getattr(d, log)(X[:, j]) for j, d in enumerate(distributions)])
    assert_allclose(family.log_density(X, params), expected, rtol=1e-12, atol=1e-13)


def test_log_density_outside_the_support(family, params, distributions):
    X = np.array([[-1.0, -1.0], [0.5, 0.5], [2.0, 2.0]])
    inside, log_density = inside_support(X, family.support), family.log_density(X, params)
    assert np.isfinite(log_density[inside]).all()
    assert (log_density[~inside] == -np.inf).all()
    if not family.discrete:
        assert (family.score_function(X, params)[~inside] == 0).all()


def test_log_likelihood_needs_the_statistics_only(family, params, distributions):
    X = table(distributions, 70)
    total = family.log_density(X, params).sum(axis=0)
    assert_allclose(family.log_likelihood(family.summarize(X, None), params), total, rtol=1e-12)


def test_score_is_the_gradient(family, params, distributions):
    X = table(distributions, 20)
    numeric = numeric_gradient(lambda p: family.log_density(X, p), params)
    assert_allclose(family.score(X, params), numeric, rtol=1e-7, atol=1e-7)


def test_score_has_mean_zero_and_the_two_informations_agree(family, params, distributions):
    """eq. score-mean-zero and information-identity: E s = 0, E s s' = -E ds/dtheta = I."""
    for j, distribution in enumerate(distributions):
        values, weight = nodes(distribution)
        X = np.tile(values[:, None], (1, 2))
        score = family.score(X, params)[:, j]
        information = family.information(params)[j]
        hessian = numeric_hessian(family, X, params)
        scale = np.abs(information).max()
        assert_allclose(weight @ score, 0, atol=1e-11 * np.sqrt(scale))
        outer = np.einsum("n,na,nb->ab", weight, score, score)
        assert_allclose(outer, information, rtol=1e-10, atol=1e-10 * scale)
        curvature = -np.einsum("n,nab->ab", weight, hessian[:, j])
        assert_allclose(curvature, information, rtol=1e-7, atol=1e-7 * scale)


def test_score_function_is_the_gradient_in_x(family, params, distributions):
    if family.discrete:
        with pytest.raises(NotImplementedError):
            family.score_function(np.ones((1, 2)), params)
        return
    X = table(distributions, 20)
    step = 1e-6
    rise = family.log_density(X + step, params) - family.log_density(X - step, params)
    assert_allclose(family.score_function(X, params), rise / (2 * step), rtol=1e-6, atol=1e-7)


def test_samples_follow_scipys_distribution(family, params, distributions):
    """KS for continuous columns, chi-square for discrete ones; p > 1e-4 at a fixed seed."""
    X = family.sample(params, 20_000, np.random.default_rng(1))
    for j, distribution in enumerate(distributions):
        if family.discrete:
            values = np.arange(0, 4)
            expected = distribution.pmf(values)
            seen = np.array([(X[:, j] == v).sum() for v in values])
            keep = expected > 1e-3
            expected, seen = expected[keep], seen[keep]
            rest = max(1 - expected.sum(), 0)
            if rest > 1e-3:
                expected, seen = np.append(expected, rest), np.append(seen, len(X) - seen.sum())
            assert stats.chisquare(seen, expected / expected.sum() * seen.sum()).pvalue > 1e-4
        else:
            assert stats.kstest(X[:, j], distribution.cdf).pvalue > 1e-4


def test_estimate_maximizes_the_likelihood(family, params, distributions):
    statistics = family.summarize(table(distributions, 60), None)
    estimate = family.estimate(statistics)
    best = family.log_likelihood(statistics, estimate)
    for name, value in estimate.items():
        for factor in (0.97, 1.03):
            worse = family.log_likelihood(statistics, {**estimate, name: value * factor})
            assert (worse < best).all()
    slope = numeric_gradient(lambda p: family.log_likelihood(statistics, p), estimate)
    assert_allclose(slope, 0, atol=1e-5 * statistics.n)


def test_restricted_estimate_maximizes_what_is_left(family, params, distributions):
    statistics = family.summarize(table(distributions, 60), None)
    names = [parameter.name for parameter in family.parameters]
    for fixed in names:
        null = {name: np.full(2, np.nan) for name in names} | {fixed: params[fixed] * 1.2}
        restricted = family.restricted_estimate(statistics, null)
        assert_allclose(restricted[fixed], params[fixed] * 1.2)
        best = family.log_likelihood(statistics, restricted)
        for name in set(names) - {fixed}:
            for factor in (0.97, 1.03):
                moved = {**restricted, name: restricted[name] * factor}
                assert (family.log_likelihood(statistics, moved) < best).all()


def test_columns_may_be_restricted_differently(family, params, distributions):
    """Every pair of patterns of held parameters, against each column alone."""
    X = table(distributions, 60)
    statistics = family.summarize(X, None)
    names = [p.name for p in family.parameters]
    values = family.pack(params)
    patterns = np.array(list(np.ndindex(*(2,) * len(names))), dtype=bool)
    for first in patterns:
        for second in patterns:
            held = np.where([first, second], values, np.nan)
            both = family.restricted_estimate(statistics, family.unpack(held))
            for j in (0, 1):
                column = family.summarize(X[:, [j]], None)
                alone = family.restricted_estimate(column, family.unpack(held[[j]]))
                for name in names:
                    found = np.broadcast_to(both[name], (2,))[j]
                    assert_allclose(found, np.broadcast_to(alone[name], (1,))[0], rtol=1e-6)


def test_statistics_merge(family, params, distributions):
    X = table(distributions, 90)
    weight = np.random.default_rng(2).integers(0, 4, 90).astype(float)
    whole = family.summarize(X.repeat(weight.astype(int), axis=0), None)
    parts = family.summarize(X[:17], weight[:17]) + family.summarize(X[17:], weight[17:])
    if isinstance(whole, Rows):  # weighted rows and repeated rows differ, their likelihoods do not
        merged, once = (family.log_likelihood(s, params) for s in (parts, whole))
        assert_allclose(merged, once, rtol=1e-13)
        return
    for name, value in vars(whole).items():
        assert_allclose(getattr(parts, name), value, rtol=1e-13, atol=1e-14)
