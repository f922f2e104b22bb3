"""Checks of conditional sampling: `sample(given=)` and `impute`."""

from typing import Any

import numpy as np
from numpy.testing import assert_array_equal

from skgm.testing._data import table_for
from skgm.testing._quadrature import cell_pvalue, make_grid
from skgm.testing._registry import density_check
from skgm.testing._rules import get_density_tags, has_method
from skgm.testing._tools import FALSE_ALARM, expect_error, fit_clone, log_density, require

__all__: list[str] = []

conditional = has_method("impute")


def _rows_with_holes(X: np.ndarray) -> np.ndarray:
    """Return rows with every pattern of holes: none, one column, the other, both."""
    given = X[:8].copy()
    given[2:4, 0] = given[4:6, 1] = given[6:8] = np.nan
    return given


@density_check(conditional)
def check_given_keeps_observed_values(estimator: Any) -> None:
    """Completions keep observed values bit for bit, and are grouped by row of `given`."""
    X = table_for(estimator)
    given = _rows_with_holes(X)
    rows = fit_clone(estimator, X).sample(5, random_state=0, given=given)
    require(rows.shape == (40, 2), f"8 rows, 5 completions each: shape {rows.shape}")
    require(np.isfinite(rows).all(), "a completion is not finite")
    expected = np.repeat(given, 5, axis=0)
    observed = ~np.isnan(expected)
    assert_array_equal(rows[observed], expected[observed])


@density_check(conditional)
def check_given_is_not_modified(estimator: Any) -> None:
    """`sample(given=)` and `impute` write neither into `given` nor into the estimator."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    given = _rows_with_holes(X)
    before = given.copy(), log_density(fitted, X)
    fitted.sample(2, given=given)
    fitted.impute(given)
    assert_array_equal(given, before[0])
    assert_array_equal(log_density(fitted, X), before[1])


@density_check(conditional)
def check_given_completions_differ(estimator: Any) -> None:
    """Completions of one row differ, the same seed repeats them, another seed does not."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    given = np.full((1, 2), np.nan)
    rows, again, other = (fitted.sample(50, random_state=seed, given=given) for seed in (0, 0, 1))
    require(len(np.unique(rows, axis=0)) > 1, "all completions of a row are equal")
    assert_array_equal(rows, again)
    require(not np.array_equal(rows, other), "the seed has no effect")


@density_check(conditional)
def check_given_follows_conditional_density(estimator: Any) -> None:
    """Completions fall into cells as often as the joint density, with one value fixed, says.

    A chi-square test for each column, with a chance of 1e-6 of a false alarm in each.
    """
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    for hidden in (0, 1):
        fixed = np.quantile(X[:, 1 - hidden], 0.9, method="nearest")
        given = np.full((1, 2), fixed)
        given[0, hidden] = np.nan
        rows = fitted.sample(2000, random_state=0, given=given)
        grid = make_grid(get_density_tags(estimator).support, X[:, [hidden]], n_cells=12)
        nodes = np.full((len(grid.nodes), 2), fixed)
        nodes[:, hidden] = grid.nodes[:, 0]
        pvalue = cell_pvalue(grid, log_density(fitted, nodes), rows[:, [hidden]])
        require(pvalue > FALSE_ALARM, f"column {hidden}: p-value {pvalue:.2g}")


@density_check(conditional)
def check_impute_is_one_completion(estimator: Any) -> None:
    """`impute(X)` is `sample(1, given=X)` under the same seed."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    given = _rows_with_holes(X)
    expected = fitted.sample(1, random_state=0, given=given)
    assert_array_equal(fitted.impute(given, random_state=0), expected)


@density_check(conditional)
def check_bad_given_raises(estimator: Any) -> None:
    """`given` with infinite values or the wrong number of columns raises a ValueError."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    infinite = _rows_with_holes(X)
    infinite[0, 0] = np.inf
    for what, given in (("infinite values", infinite), ("one column too few", X[:3, :1])):
        with expect_error(f"given with {what}", ValueError):
            fitted.sample(1, given=given)
