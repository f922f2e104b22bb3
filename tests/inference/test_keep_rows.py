"""Fits that keep no training rows: the same answers, from the table where it is needed."""

import pickle

import numpy as np
import pytest
from scipy import stats

from skgm.inference import MLEDensity, likelihood_ratio_test, score_test, wald_test
from tests.inference.every_family import column

NEED_ROWS = ["laplace", "student_t", "logistic", "gumbel", stats.fisk]


def table(family):
    return column(family, 300) if isinstance(family, str) else column("gamma", 300)


@pytest.mark.parametrize("family", NEED_ROWS)
def test_nothing_of_the_table_is_kept_and_the_table_gives_the_same_answers(family):
    X = table(family)
    whole, bare = (MLEDensity(family, keep_rows=keep).fit(X) for keep in (True, False))
    assert len(pickle.dumps(bare)) < len(pickle.dumps(whole)) - 300 * 8
    assert bare.params_ == whole.params_
    assert (bare.score_samples(X) == whole.score_samples(X)).all()
    assert bare.standard_errors(X=X) == whole.standard_errors()
    method = "wald"
    assert dict(bare.confidence_intervals(method=method, X=X)) == dict(
        whole.confidence_intervals(method=method)
    )
    for call in (bare.standard_errors, bare.confidence_intervals):
        with pytest.raises(ValueError, match=r"needs the rows.*pass the training table as X"):
            call()
    with pytest.raises(ValueError, match="needs the rows seen so far, which keep_rows=False"):
        bare.partial_fit(X)


def test_families_with_a_summary_keep_it():
    X = column("gamma")
    bare = MLEDensity("gamma", keep_rows=False).fit(X)
    assert bare.standard_errors() == MLEDensity("gamma").fit(X).standard_errors()


@pytest.mark.parametrize("test", [score_test, wald_test, likelihood_ratio_test])
def test_tests_have_the_table(test):
    X = column("logistic")
    null = {"loc": np.mean(X)}
    bare, whole = (MLEDensity("logistic", keep_rows=keep) for keep in (False, True))
    assert test(bare, X, null).statistic == test(whole, X, null).statistic


def test_censored_rows_must_be_kept():
    X = column("weibull")
    with pytest.raises(ValueError, match="keep_rows must be True"):
        MLEDensity("weibull", keep_rows=False).fit(X, event=np.arange(len(X)) % 3 > 0)
