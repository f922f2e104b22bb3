"""Searches know columns by number; messages call them by name."""

import pytest

from skgm.inference import MLEDensity, likelihood_ratio_test
from skgm.tables._validation import naming_columns

pd = pytest.importorskip("pandas")


def test_numbers_become_names():
    with (
        pytest.raises(ValueError, match=r"^no estimate for column 'b': it is constant$"),
        naming_columns(["a", "b"]),
    ):
        raise ValueError("no estimate for column number 1: it is constant")
    with pytest.raises(ValueError, match=r"^a column and column 'a'$"), naming_columns(["a"]):
        raise ValueError("column number 7 and column 'number 0'")  # 7: of simulated tables
    error = ValueError("column 12 of 3")
    with pytest.raises(ValueError) as caught, naming_columns(["a"]):
        raise error
    assert caught.value is error


def test_a_search_that_does_not_end_names_the_column():
    table = pd.DataFrame({"fine": [1.0, 2, 3, 4, 6], "odd": [1.0, 1, 1, 2, 3]})
    with pytest.raises(ValueError, match="for column 'odd': 3 of 5 observations lie on one value"):
        MLEDensity("student_t", fixed={"df": 1.0}).fit(table)
    with pytest.raises(ValueError, match="for column 'odd': 3 of 5 observations lie on one value"):
        likelihood_ratio_test(MLEDensity("student_t"), table, {"df": 1.0})
