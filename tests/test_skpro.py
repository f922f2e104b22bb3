"""The bridge to skpro, with skpro itself."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm import MLEDensity, fit_family

pytest.importorskip("skpro", reason="skpro is an optional extra: pip install 'skgm[skpro]'")
from skgm.skpro import FamilyDistribution, FamilyFitter

RNG = np.random.default_rng(0)
X = pd.DataFrame({"wait": RNG.gamma(2.0, size=40), "cost": RNG.gamma(3.0, size=40)})


def test_a_scalar_distribution_has_the_functions_of_the_fit():
    model = fit_family(X["wait"], "gamma")
    shape, scale = model.params_["shape"], model.params_["scale"]
    law, known = FamilyDistribution(model), stats.gamma(shape, scale=scale)
    assert law.ndim == 0
    for x in (0.3, 2.0):
        assert_allclose(law.pdf(x), known.pdf(x))
        assert_allclose(law.log_pdf(x), known.logpdf(x))
        assert_allclose(law.cdf(x), known.cdf(x))
    assert_allclose(law.ppf(0.9), known.ppf(0.9))
    assert_allclose(law.mean(), known.mean())
    assert law.clone().model is model
    with pytest.raises(ValueError, match="one family of independent columns"):
        FamilyDistribution(MLEDensity("mvn").fit(X))
    with pytest.raises(TypeError, match="must be a fitted MLEDensity"):
        FamilyDistribution("gamma")


def test_a_table_of_rows_keeps_index_and_columns():
    model = MLEDensity("gamma").fit(X)
    law = FamilyDistribution(model, index=X.index[:3])
    assert law.shape == (3, 2)
    pdf = law.pdf(X[:3])
    assert list(pdf.columns) == ["wait", "cost"]
    assert_allclose(law.log_pdf(X[:3]).sum(axis=1), model.score_samples(X[:3]))
    part = law.loc[[1], ["cost"]]
    assert_allclose(part.mean().to_numpy(), [[model.mean()[1]]])
    assert_allclose(law.iat[2, 1].cdf(1.0), law.cdf(np.ones((3, 2))).iloc[2, 1])
    np.random.seed(0)  # noqa: NPY002 - skpro draws from numpy's global stream
    draws = law.sample(50)
    assert draws.shape == (150, 2)
    with pytest.raises(ValueError, match="columns must be of the fitted ones"):
        FamilyDistribution(model, column="price")


def test_counts_have_masses():
    law = FamilyDistribution(fit_family([0, 1, 3, 2, 2], "poisson"))
    assert_allclose(law.pmf(2.0), stats.poisson(1.6).pmf(2))
    assert law.pdf(2.0) == 0


def test_the_fitter_takes_censored_rows():
    ended = pd.DataFrame({"wait": (X["wait"] > 2.5).astype(int)})
    seen = X[["wait"]].clip(upper=2.5)
    law = FamilyFitter("weibull").fit(seen, C=ended).proba()
    direct = MLEDensity("weibull").fit(seen, event=1 - ended["wait"])
    assert law.model.params_ == pytest.approx(direct.params_)
    window = FamilyFitter("normal", window=(0.0, np.inf)).fit(X[["wait"]])
    assert_allclose(window.proba().cdf(0.0), 0.0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # skpro says that it approximates variances by draws
def test_skpro_accepts_both_classes():
    from skpro.utils.estimator_checks import check_estimator

    found = check_estimator(FamilyFitter, raise_exceptions=False, verbose=False)
    assert {name for name, result in found.items() if result != "PASSED"} == set()
    some = ["test_methods_scalar", "test_methods_p", "test_subsetting", "test_sample"]
    found = check_estimator(
        FamilyDistribution, raise_exceptions=False, verbose=False, tests_to_run=some
    )
    assert {name for name, result in found.items() if result != "PASSED"} == set()
