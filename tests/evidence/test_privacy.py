"""The audit: saboteurs are caught, honest models pass."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from skgm import DDPM, DensityEstimator, MLEDensity, privacy_audit
from skgm.evidence._attacks import _guess, _holds, membership
from tests.evidence.tables import draw


class Leaky(DensityEstimator):
    """A Gaussian of which a share of the mass stands on the training rows, and of its draws too."""

    def __init__(self, share=0.05, width=0.001):
        self.share = share
        self.width = width

    def fit(self, X, y=None, sample_weight=None):
        X, _ = self._begin_fit(X, sample_weight)
        self.rows_ = X
        self.normal_ = stats.multivariate_normal(X.mean(axis=0), np.cov(X.T))
        return self

    def score_samples(self, X):
        X = self._begin_scoring(X)
        square = ((X[:, None] - self.rows_) ** 2).sum(axis=2)
        spike = np.exp(-square / (2 * self.width**2)).mean(axis=1)
        spike /= (2 * np.pi * self.width**2) ** (X.shape[1] / 2)
        return np.log((1 - self.share) * self.normal_.pdf(X) + self.share * spike)

    def _draw(self, n_samples, rng):
        rows = self.normal_.rvs(n_samples, random_state=rng)
        leaked = rng.uniform(size=n_samples) < self.share
        chosen = self.rows_[rng.integers(0, len(self.rows_), leaked.sum())]
        rows[leaked] = chosen + self.width * rng.normal(size=chosen.shape)
        return rows


@pytest.fixture(scope="module")
def tables():
    return np.random.default_rng(0).normal(size=(2, 600, 3))


def test_copy_machine_is_caught(tables):
    train, holdout = tables
    audit = privacy_audit(train, train, holdout, n_attacks=100)
    assert audit.warnings[0].part == "copies"
    assert audit.copies.n_exact == 600
    assert audit.nearest.share == 1.0
    guess = next(g for g in audit.guesses if g.attack == "attribute inference")
    assert guess.rate == 1.0
    assert guess.risk > 0.9
    noisy = privacy_audit(train + 1e-4, train, holdout, n_attacks=100)
    assert noisy.copies.n_exact == 0
    assert "nearer to a training row" in noisy.warnings[0].text


def test_a_leak_of_a_twentieth_is_caught(tables):
    train, holdout = tables
    audit = privacy_audit(Leaky().fit(train), train, holdout, n_attacks=100)
    texts = " ".join(map(str, audit.warnings))
    assert "nearly repeat a training row" in texts
    assert "by their log-density" in texts
    assert "by their likelihood ratio" in texts
    assert audit.ratio.tpr > 0.9
    fresh = np.random.default_rng(1).normal(size=(600, 3))
    fresh[:30] = train[:30]
    exact = privacy_audit(fresh, train, holdout, n_attacks=100)
    assert exact.warnings[0].text.startswith("30 synthetic rows are copied")
    assert exact.copies.pvalue < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_an_honest_gaussian_passes(seed):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(3, 3))
    train, holdout = rng.normal(size=(2, 500, 3)) @ mixing
    audit = privacy_audit(
        MLEDensity("mvn").fit(train), train, holdout, n_attacks=150, random_state=seed
    )
    assert audit.warnings == ()
    assert audit.nearest.low < 0.5


def test_chance_is_no_finding_of_membership():
    """Few rows held out, 25 honest models: areas of .58 come by chance, and are no findings."""
    for seed in range(25):
        table = np.random.default_rng(seed).normal(size=(600, 3))
        model = MLEDensity("mvn").fit(table[:400])
        audit = privacy_audit(model, table[:400], table[400:], n_attacks=20, random_state=seed)
        assert audit.warnings == (), seed


def test_membership_of_a_gaussian_of_2000_rows_covers_one_half():
    # 40 tables: 95% of the intervals, less 4.5 standard errors of sqrt(.05 * .95 / 40)
    hits = 0
    for seed in range(40):
        train, holdout = np.random.default_rng(seed).normal(size=(2, 2000, 4))
        scores = (MLEDensity("mvn").fit(train).score_samples(X) for X in (train, holdout))
        found = membership("log-density", *scores, 0.95)
        hits += found.low <= 0.5 <= found.high and found.tpr_low <= 0.01 <= found.tpr_high
    assert hits / 40 > 0.95 - 4.5 * 0.0345
    train, holdout = np.random.default_rng(1).normal(size=(2, 2000, 4))
    audit = privacy_audit(MLEDensity("mvn").fit(train), train, holdout, n_attacks=50)
    assert audit.membership.low < 0.5 < audit.membership.high
    # 14 parameters, four folds in common: the area of the theory, to 4.5 standard errors of 0.009
    assert audit.ratio.auc == pytest.approx(stats.norm.cdf(np.sqrt(14 * 4 / 4000)), abs=0.042)
    assert audit.warnings == ()


def test_membership_of_the_empirical_denoiser_is_nearly_certain():
    train, holdout = np.random.default_rng(0).normal(size=(2, 150, 2))
    density = DDPM("empirical", random_state=0).fit(train)
    audit = privacy_audit(density, train, holdout, n_folds=2, n_attacks=50)
    assert audit.membership.low > 0.95
    assert audit.warnings[0].part == "copies"


def test_mixed_table_with_a_copied_name():
    rng = np.random.default_rng(0)
    train, holdout, synthetic = (draw(300, rng) for _ in range(3))
    train.loc[7, "city"] = "the only one"
    synthetic.loc[3, "city"] = "the only one"
    audit = privacy_audit(synthetic, train, holdout, n_attacks=100)
    assert [(v.column, v.value) for v in audit.rare] == [("city", "'the only one'")]
    assert "city = 'the only one'" in audit.warnings[0].text
    assert len(audit.warnings) == 1
    assert audit.membership is None
    assert len(audit.to_frame()) == 2 + 7
    json.dumps(audit.to_dict(), allow_nan=False)
    assert "No differential privacy is claimed" in str(audit)


def test_rows_at_risk_are_those_that_move_the_fit():
    rng = np.random.default_rng(0)
    train = pd.DataFrame(rng.normal(size=(200, 2)), columns=["p", "q"])
    train.iloc[17] = 8.0
    holdout = pd.DataFrame(rng.normal(size=(200, 2)), columns=["p", "q"])
    audit = privacy_audit(MLEDensity("mvn").fit(train), train, holdout, n_attacks=20)
    first = audit.rows[0]
    assert first.row == 17
    assert first.false_positives == 0.0
    assert first.ratio == pytest.approx(first.log_density - first.without)
    assert audit.to_frame("rows")["ratio"].is_monotonic_decreasing
    assert len(audit.to_frame("membership")) == 2
    without = privacy_audit(MLEDensity("mvn").fit(train), train, holdout, n_folds=0, n_attacks=20)
    assert without.ratio is None
    assert "n_folds=0" in str(without)


def test_intervals_of_membership_cover():
    # normal scores, shifted by 1 for training rows: area Phi(1 / sqrt 2), TPR Phi(1 - z_.99)
    auc, tpr = stats.norm.cdf(1 / np.sqrt(2)), stats.norm.cdf(1 - stats.norm.isf(0.01))
    hits = np.zeros(2)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found = membership("", rng.normal(1, 1, 150), rng.normal(0, 1, 200), 0.95)
        hits += [found.low <= auc <= found.high, found.tpr_low <= tpr <= found.tpr_high]
    assert (hits / 200 > 0.95 - 4.5 * 0.0155).all()


def test_two_columns_of_one_law_are_no_near_copies():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        parts = [
            pd.DataFrame({"g": rng.choice(list("ab"), 100), "x": rng.normal(size=100)})
            for _ in range(3)
        ]
        audit = privacy_audit(*parts, n_attacks=20)
        assert audit.warnings == ()


def test_risk_is_that_of_the_definition():
    right = [np.arange(400) < 200, np.arange(400) < 100]
    guess = _guess("a", None, right, 0.95)
    assert guess.risk == pytest.approx((0.5 - 0.25) / 0.75, abs=0.01)
    rng = np.random.default_rng(0)
    a, c = rng.binomial(400, [[0.5], [0.25]], (2, 4000)) / 400
    assert (guess.high - guess.low) / 3.92 == pytest.approx(np.std((a - c) / (1 - c)), rel=0.05)
    assert _holds([(0, "==", np.nan), (1, ">=", 2.0)], np.array([[np.nan, 3], [1, 3]])) == 1


def test_refusals(tables):
    train, holdout = tables
    with pytest.raises(ValueError, match="needs real rows that the model has not seen"):
        privacy_audit(train, train, None)
    with pytest.raises(ValueError, match="n_folds must be 0"):
        privacy_audit(train, train, holdout, n_folds=1)
    with pytest.raises(ValueError, match="n_attacks must be a whole number"):
        privacy_audit(train, train, holdout, n_attacks=0)
    with pytest.raises(ValueError, match="part must be"):
        privacy_audit(train, train, holdout, n_attacks=5).to_frame("nothing")
