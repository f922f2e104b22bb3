"""Coverage of the automatic intervals and sizes of the tests, by simulation."""

import numpy as np
import pytest

from skgm.inference import MLEDensity, likelihood_ratio_test, score_test, wald_test

REPLICATES, N = 4000, 200
TRUTH = {
    "normal": {"mu": 3.0, "sigma": 2.0},
    "exponential": {"rate": 0.4},
    "bernoulli": {"p": 0.3},
    "poisson": {"mu": 2.0},
}
DRAW = {
    "normal": lambda rng, size: rng.normal(3.0, 2.0, size),
    "exponential": lambda rng, size: rng.exponential(2.5, size),
    "bernoulli": lambda rng, size: (rng.random(size) < 0.3).astype(float),
    "poisson": lambda rng, size: rng.poisson(2.0, size).astype(float),
}


def covered(ends, truth):
    low, high = ends
    return (low <= truth) & (truth <= high)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTH)
def test_95_percent_intervals_cover(name):
    """Replicates are columns of one fit. Monte-Carlo error 0.34 %; the band is 93.5 to 96.5."""
    X = DRAW[name](np.random.default_rng(0), (N, REPLICATES))
    found = MLEDensity(name).fit(X).confidence_intervals()
    for parameter, truth in TRUTH[name].items():
        assert 0.935 <= covered(found[parameter], truth).mean() <= 0.965


@pytest.mark.slow
def test_95_percent_intervals_cover_multivariate_normal():
    root = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [-0.5, 0.2, 1.5]])
    truth = {"mean": np.array([1.0, 2.0, 3.0]), "covariance": root @ root.T}
    rng, hits = np.random.default_rng(0), dict.fromkeys(truth, 0)
    for _ in range(REPLICATES):
        X = truth["mean"] + rng.standard_normal((N, 3)) @ root.T
        found = MLEDensity("multivariate_normal").fit(X).confidence_intervals()
        for name, value in truth.items():
            hits[name] = hits[name] + covered(found[name], value)
    for count in hits.values():
        assert (count / REPLICATES >= 0.935).all()
        assert (count / REPLICATES <= 0.965).all()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["wald-transformed", "score", "profile", "robust"])
@pytest.mark.parametrize("name", TRUTH)
def test_every_other_method_covers(name, method):
    """Same band: at n = 200 every method but plain Wald is close to its level."""
    X = DRAW[name](np.random.default_rng(1), (N, REPLICATES))
    found = MLEDensity(name).fit(X).confidence_intervals(method=method, X=X)
    for parameter, truth in TRUTH[name].items():
        assert 0.935 <= covered(found[parameter], truth).mean() <= 0.965


@pytest.mark.slow
def test_robust_intervals_cover_where_the_model_is_wrong():
    """Poisson model, negative binomial data (variance three times the mean): model errors cover
    about 74 %, the sandwich 93.5 to 96.5 %."""
    X = np.random.default_rng(2).negative_binomial(2, 1 / 3, (N, REPLICATES)).astype(float)
    model = MLEDensity("poisson").fit(X)
    assert covered(model.confidence_intervals()["mu"], 4.0).mean() < 0.8
    robust = model.confidence_intervals(method="robust", X=X)["mu"]
    assert 0.935 <= covered(robust, 4.0).mean() <= 0.965


NULLS = [
    ("normal", {"mu": 3.0}, 1),
    ("normal", TRUTH["normal"], 2),
    ("exponential", TRUTH["exponential"], 1),
    ("poisson", TRUTH["poisson"], 1),
    ("multivariate_normal", {"mean": 3.0}, 3),
    (
        "multivariate_normal",
        {"covariance": np.where(np.eye(3, dtype=bool), np.nan, 0.0)},
        3,
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "null", "df"), NULLS)
def test_sizes_of_the_three_tests(name, null, df):
    """Nominal 5 %, 1000 replicates at n = 200: four Monte-Carlo errors are 2.8 %."""
    rng = np.random.default_rng(3)
    draw = DRAW.get(name, DRAW["normal"])
    options = [
        (score_test, {}),
        (likelihood_ratio_test, {}),
        (wald_test, {}),
        (score_test, {"robust": True}),
        (wald_test, {"robust": True}),
    ]
    rejections = np.zeros(len(options))
    for _ in range(1000):
        X = draw(rng, (N, 3 if name == "multivariate_normal" else 1))
        for k, (test, keywords) in enumerate(options):
            result = test(MLEDensity(name), X, null, **keywords)
            assert result.df == df
            rejections[k] += result.pvalue < 0.05
    assert (np.abs(rejections / 1000 - 0.05) < 0.028).all()
