"""Results fitted with `cov_type`: their covariance is honored, and what would ignore it refused."""

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import stats

from skgm import confidence_intervals, likelihood_ratio_test, score_test, wald_test

pytestmark = pytest.mark.filterwarnings("ignore:Keyword arguments have been passed:FutureWarning")

RNG = np.random.default_rng(20)
GROUPS = np.repeat(np.arange(15), [3, 4, 5] * 5)
SHIFT = 0.6 * RNG.normal(size=15)[GROUPS]
X = sm.add_constant(np.column_stack([RNG.normal(size=15)[GROUPS], RNG.normal(size=60)]))
COUNTS = RNG.poisson(np.exp(0.4 + SHIFT + 0.2 * X[:, 2])).astype(float)
MODELS = {
    "OLS": lambda: sm.OLS(SHIFT + RNG.normal(size=60), X),
    "Logit": lambda: sm.Logit((COUNTS > 1).astype(float), X),
    "Poisson": lambda: sm.Poisson(COUNTS, X),
    "GLM": lambda: sm.GLM(COUNTS, X, family=sm.families.Poisson()),
    "GLM gamma": lambda: sm.GLM(
        COUNTS + 0.5, X, family=sm.families.Gamma(link=sm.families.links.Log())
    ),
}
KINDS = {
    "HC0": {},
    "HC1": {},
    "HC2": {},
    "HC3": {},
    "cluster": {"groups": GROUPS},
    "HAC": {"maxlags": 2},
}


def fitted(name, **options):
    model = MODELS[name]()
    quiet = {"disp": 0} if name in ("Logit", "Poisson") else {}
    precise = {"tol": 1e-12} if name.startswith("GLM") else {}
    return model.fit(**quiet, **precise, **options)


@pytest.mark.parametrize("use_t", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_wald_agrees_with_statsmodels(name, kind, use_t):
    result = fitted(name, cov_type=kind, cov_kwds=dict(KINDS[kind]), use_t=use_t)
    for method in ("auto", "wald", "robust"):
        intervals = confidence_intervals(result, 0.9, method)
        found = np.array([intervals[label] for label in intervals])
        assert_allclose(found, np.asarray(result.conf_int(0.1)), rtol=1e-6, atol=1e-8)
        assert set(intervals.methods.values()) == {"robust"}
    for j, name in enumerate(result.model.exog_names):
        test = wald_test(result, null={name: 0.0})
        assert_allclose(test.pvalue, result.pvalues[j], rtol=1e-5)
        assert test.method == "robust Wald"
        one_sided = wald_test(result, null={name: 0.0}, alternative="greater")
        half = result.pvalues[j] / 2
        assert_allclose(one_sided.pvalue, half if result.params[j] > 0 else 1 - half, rtol=1e-5)
    R = np.eye(3)[1:]
    joint = result.wald_test(R, use_f=use_t, scalar=True)
    assert_allclose(wald_test(result, null=(R, np.zeros(2))).pvalue, joint.pvalue, rtol=1e-4)


@pytest.mark.parametrize("name", ["OLS", "Logit", "Poisson", "GLM"])
def test_groups_agree_with_clusters_of_statsmodels(name):
    plain = fitted(name)
    clustered = plain.model.fit(
        **({"disp": 0} if name in ("Logit", "Poisson") else {}),
        cov_type="cluster",
        cov_kwds={"groups": GROUPS},
        use_t=True,
    )
    labels = np.array([f"school {g}" for g in GROUPS])
    for method in ("auto", "robust"):
        intervals = confidence_intervals(plain, method=method, groups=labels)
        found = np.array([intervals[label] for label in intervals])
        assert_allclose(found, np.asarray(clustered.conf_int()), rtol=1e-5, atol=1e-7)
    test = wald_test(plain, null={"x1": 0.0}, robust=True, groups=labels)
    assert_allclose(test.pvalue, clustered.pvalues[1], rtol=1e-4)


def test_groups_of_one_row_are_the_sandwich_of_rows():
    plain, own = fitted("Poisson"), np.arange(60)
    robust = score_test(plain, null={"x1": 0.0}, robust=True)
    factor = 60 / 59 * 59 / 57  # G / (G - 1) * (n - 1) / (n - k)
    clustered = score_test(plain, null={"x1": 0.0}, robust=True, groups=own)
    assert_allclose(clustered.statistic * factor, robust.statistic, rtol=1e-10)


def test_robust_score_test_sums_scores_within_clusters():
    result = fitted("Poisson", cov_type="cluster", cov_kwds={"groups": GROUPS})
    found = score_test(result, null={"x1": 0.0}, robust=True)
    small = sm.Poisson(COUNTS, X[:, [0, 2]]).fit(disp=0, tol=1e-12)
    mean = small.predict()
    rows = X * (COUNTS - mean)[:, None]
    sums = np.array([rows[g == GROUPS].sum(axis=0) for g in range(15)])
    A = (X * mean[:, None]).T @ X
    a = np.linalg.solve(A[np.ix_([0, 2], [0, 2])], A[[0, 2], 1])  # efficient score of x1
    efficient = np.array([-a[0], 1.0, -a[1]])
    U, V = efficient @ rows.sum(axis=0), efficient @ sums.T @ sums @ efficient
    statistic = U**2 / (V * 15 / 14 * 59 / 57)
    assert_allclose(found.statistic, statistic, rtol=1e-6)
    assert_allclose(found.pvalue, stats.chi2.sf(statistic, 1), rtol=1e-5)


def test_what_rests_on_the_likelihood_is_refused():
    result = fitted("Poisson", cov_type="HC3")
    for method in ("profile", "score"):
        with pytest.raises(ValueError, match=r"cov_type='HC3'.*method='robust'"):
            confidence_intervals(result, method=method)
    with pytest.raises(ValueError, match=r"cov_type='HC3'.*wald_test"):
        likelihood_ratio_test(result, null={"x1": 0.0})
    with pytest.raises(ValueError, match=r"cov_type='HC3'.*robust=True"):
        score_test(result, null={"x1": 0.0})
    with pytest.raises(ValueError, match=r"robust score test with cov_type='HC3'"):
        score_test(result, null={"x1": 0.0}, robust=True)
    assert score_test(fitted("Poisson", cov_type="HC0"), null={"x1": 0}, robust=True).df == 1


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.zeros(60), "at least two clusters"),
        (np.zeros(59), "one label for each of the 60 rows"),
        (np.where(np.arange(60) == 3, np.nan, np.arange(60)), "missing"),
    ],
)
def test_groups_that_cannot_be_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        confidence_intervals(fitted("Poisson"), groups=groups)


def test_groups_where_they_would_not_count_are_refused():
    with pytest.raises(ValueError, match="robust=True"):
        wald_test(fitted("Poisson"), null={"x1": 0.0}, groups=GROUPS)
    with pytest.raises(ValueError, match="method='robust'"):
        confidence_intervals(fitted("Poisson"), method="profile", groups=GROUPS)
