"""Checks of `sample`: what it returns, how it is seeded, and that it follows the density."""

# ruff: noqa: D401 -- the first line of a check states the promise that it checks
import pickle
from typing import Any
from unittest import SkipTest

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from skgm._parallel import content_hash
from skgm.tables._validation import inside_support
from skgm.testing._data import clustered_table, table_for
from skgm.testing._quadrature import cell_pvalue, grid_for, make_grid
from skgm.testing._registry import accepts, density_check, get_density_tags, has_method
from skgm.testing._tools import (
    FALSE_ALARM,
    draw,
    expect_error,
    fit_clone,
    log_density,
    require,
    rows_of,
)

__all__: list[str] = []


def _fitted(estimator: Any) -> Any:
    return fit_clone(estimator, table_for(estimator))


def _check_random_state(fitted: Any) -> None:
    require(accepts(fitted, "sample", "random_state"), "sample takes no random_state")


@density_check()
def check_sample_shape(estimator: Any) -> None:
    """`sample(n)` is an array (n, n_features); `sample()` draws one row."""
    fitted = _fitted(estimator)
    for arguments in ((), (1,), (7,)):
        rows = fitted.sample(*arguments)
        require(isinstance(rows, np.ndarray), f"sample returned a {type(rows).__name__}")
        wanted = (*arguments, 1)[0], 2
        require(rows.shape == wanted, f"sample{arguments} has shape {rows.shape}, not {wanted}")


@density_check()
def check_sample_dtype(estimator: Any) -> None:
    """Samples are float64 after float64 and integer tables, and float32 after float32."""
    X = table_for(estimator, 60)
    tables: dict[Any, np.ndarray] = {np.float64: X, np.float32: X}
    if _takes_integers(estimator):
        tables[np.int64] = np.ceil(X)
    for kind, table in tables.items():
        dtype = draw(fit_clone(estimator, table.astype(kind)), 3).dtype
        wanted = np.float32 if kind == np.float32 else np.float64
        require(dtype == wanted, f"fitted to {kind.__name__}, sample returned {dtype}")


def _takes_integers(estimator: Any) -> bool:
    return get_density_tags(estimator).support != "unit"


@density_check()
def check_sample_inside_support(estimator: Any) -> None:
    """Samples are finite and lie inside the support."""
    rows = draw(_fitted(estimator), 500)
    require(np.isfinite(rows).all(), "sample returned values that are not finite")
    support = get_density_tags(estimator).support
    inside = inside_support(rows, support)
    require(inside.all(), f"outside the support ({support}): {rows[~inside][:3]}")


@density_check()
def check_sample_seeded(estimator: Any) -> None:
    """The same int gives the same samples, another int others."""
    fitted = _fitted(estimator)
    _check_random_state(fitted)
    assert_array_equal(draw(fitted, 50, 3), draw(fitted, 50, 3))
    require(not np.array_equal(draw(fitted, 50, 3), draw(fitted, 50, 4)), "the seed has no effect")


@density_check()
def check_sample_accepts_generators(estimator: Any) -> None:
    """`sample` takes a RandomState or a Generator, which reproduces and is used up."""
    fitted = _fitted(estimator)
    _check_random_state(fitted)
    for make in (np.random.RandomState, np.random.default_rng):
        first = make(3)
        one, two = draw(fitted, 50, first), draw(fitted, 50, first)
        assert_array_equal(one, draw(fitted, 50, make(3)))
        require(not np.array_equal(one, two), f"{type(first).__name__} is not advanced by use")


@density_check()
def check_unseeded_samples_differ(estimator: Any) -> None:
    """Without a seed each call draws fresh rows, whatever seed the constructor was given."""
    fitted = _fitted(estimator)
    one, two = fitted.sample(50), fitted.sample(50)
    require(not np.array_equal(rows_of(one), rows_of(two)), "two calls of sample are equal")


@density_check()
def check_sample_rows_exchangeable(estimator: Any) -> None:
    """Rows come in random order, not sorted by value or by component.

    Lag-one autocorrelation and correlation with the row number have standard deviation
    n**-0.5 for exchangeable rows; five of those are allowed (about 1e-6 false alarms each).
    """
    n_samples = 600
    fitted = fit_clone(estimator, clustered_table(get_density_tags(estimator).support))
    rows = draw(fitted, n_samples)
    for column in rows.T[rows.std(axis=0) > 0]:
        lagged = np.corrcoef(column[1:], column[:-1])[0, 1]
        trend = np.corrcoef(column, np.arange(n_samples))[0, 1]
        worst = max(abs(lagged), abs(trend))
        require(worst < 5 / np.sqrt(n_samples), f"rows depend on their place: r = {worst:.2f}")


@density_check()
def check_sample_leaves_estimator_unchanged(estimator: Any) -> None:
    """`sample` changes nothing in the estimator."""
    fitted = _fitted(estimator)
    before = content_hash(fitted)
    fitted.sample(5)
    draw(fitted, 5)
    require(content_hash(fitted) == before, "sample changed the estimator")


@density_check()
def check_sample_validates_n_samples(estimator: Any) -> None:
    """A number of rows that is no integer >= 1 raises an error that names `n_samples`."""
    fitted = _fitted(estimator)
    for n_samples in (0, -3, 2.5, "5"):
        with expect_error(f"sample({n_samples!r})", ValueError, TypeError, words=("n_samples",)):
            fitted.sample(n_samples)


@density_check()
def check_samples_follow_density(estimator: Any) -> None:
    """Samples fall into cells as often as the density says (chi-square, false alarms 1e-6)."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    if getattr(fitted, "log_density_kind_", "exact") == "lower_bound":
        raise SkipTest("score_samples is a lower bound: cells have no known probability")
    grid = grid_for(get_density_tags(estimator), X)
    pvalue = cell_pvalue(grid, log_density(fitted, grid.nodes), draw(fitted, 3000))
    require(pvalue > FALSE_ALARM, f"samples do not follow the density: p-value {pvalue:.2g}")


@density_check()
def check_pickle(estimator: Any) -> None:
    """A pickled estimator scores the same, and draws the same rows under a seed."""
    fitted = _fitted(estimator)
    twin = pickle.loads(pickle.dumps(fitted))
    X = table_for(estimator, seed=1)
    assert_allclose(log_density(twin, X), log_density(fitted, X), rtol=1e-12)
    if accepts(fitted, "sample", "random_state"):
        assert_array_equal(draw(twin, 9), draw(fitted, 9))
    else:
        rows_of(twin.sample(9))


# Checks of conditional sampling: `sample(given=)` and `impute`.

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
