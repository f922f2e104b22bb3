"""Tests whether a family, or any density, fits: bootstrap with the parameters estimated anew."""

import warnings
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from scipy import stats
from sklearn.base import clone

from skgm._parallel import ordered_map
from skgm._random import as_generator, spawn
from skgm._sklearn import check_sample_weight
from skgm.base import DensityEstimator
from skgm.inference import MLEDensity
from skgm.inference._likelihood.bootstrap import fits_of_columns
from skgm.inference.families._columns import ColumnFamilies
from skgm.metrics._censored_fit import CensoredColumns
from skgm.metrics._distribution_statistics import (
    COLUMN_STATISTICS,
    continuous_statistic,
    discrete_statistic,
)
from skgm.metrics._two_sample import (
    check_n_resamples,
    encode_tables,
    energy_statistic,
    monte_carlo_pvalue,
)

__all__ = ["GoodnessOfFit", "goodness_of_fit"]

_BLOCK_VALUES = 2**21  # of drawn tables in memory at a time
_AT_ONCE = 250  # drawn columns that are fitted together, at most
_MOST_POINTS = 500  # at which the distribution function of counts is compared
_LEFT_OUT = 1e-6  # probability of the counts below and above these points
_MOST_LOST = 0.05  # share of resamples without an estimate
_ROWS = (200, 2000)  # drawn rows that the energy distance compares: ten times the data, in between
_NAMES = {
    "ad": "Anderson-Darling",
    "ks": "Kolmogorov-Smirnov",
    "cvm": "Cramer-von Mises",
    "energy": "energy distance",
}


@dataclass(frozen=True)
class GoodnessOfFit:
    """Outcome of :func:`goodness_of_fit`.

    Attributes
    ----------
    statistic : float or ndarray of shape (n_features,)
        Distance between data and fit; of each column, where there are several and the statistic is
        of columns.
    pvalue : float or ndarray of shape (n_features,)
        Probability, if the family is right, of a statistic at least as large.
    method : {"ad", "ks", "cvm", "energy"}
        Which statistic.
    n_resamples : int
        Number of tables drawn from the fit, and fitted anew.
    null_distribution : ndarray of shape (n_resamples,) or (n_resamples, n_features)
        Their statistics; NaN where a drawn table has no estimate.
    fitted : estimator
        The fit that was tested.
    columns : tuple of str
        What the entries of `statistic` are about.
    notes : tuple of str
        What to know about the test at hand.
    """

    statistic: Any
    pvalue: Any
    method: str
    n_resamples: int
    null_distribution: np.ndarray = field(repr=False)
    fitted: Any = field(repr=False)
    columns: tuple[str, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    def to_frame(self) -> Any:
        """Return the outcome as a table.

        Returns
        -------
        frame : pandas.DataFrame
            One row per column that was tested: statistic, pvalue.
        """
        import pandas as pd  # imported where it is used: it takes a second

        numbers = {"statistic": np.ravel(self.statistic), "pvalue": np.ravel(self.pvalue)}
        return pd.DataFrame(numbers, index=pd.Index(self.columns, name="column"))

    def summary(self) -> str:
        """Return the outcome in words.

        Returns
        -------
        text : str
            What ``print`` shows.
        """
        lines = [
            f"goodness of fit of {' '.join(repr(self.fitted).split())}",
            f"{_NAMES[self.method]} statistic, {self.n_resamples} tables drawn from the fit and "
            "fitted anew",
        ]
        each = zip(self.columns, np.ravel(self.statistic), np.ravel(self.pvalue))
        lines += [f"{name}: statistic {s:.4g}, p-value {p:.4g}" for name, s, p in each]
        return "\n".join([*lines, *self.notes])

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return self.to_frame()._repr_html_()


def goodness_of_fit(
    estimator: Any,
    X: Any,
    *,
    statistic: str = "auto",
    n_resamples: int | None = None,
    sample_weight: Any = None,
    event: Any = None,
    upper: Any = None,
    entry: Any = None,
    random_state: Any = None,
    n_jobs: int | None = None,
) -> GoodnessOfFit:
    r"""Test whether the rows come from the family that `estimator` fits to them.

    .. math:: A^2 = n \int \frac{\{F_n(x) - F_{\hat\theta}(x)\}^2}
        {F_{\hat\theta}(x) \{1 - F_{\hat\theta}(x)\}} \, dF_{\hat\theta}(x)

    The parameters are estimated from the rows that are tested, so the distances are smaller than
    for a law known beforehand, and tables for that case give p-values far too large. Here tables
    are drawn from the fit, fitted anew and measured in the same way (parametric bootstrap). All
    drawn columns are fitted at once.

    Parameters
    ----------
    estimator : DensityEstimator
        :class:`skgm.MLEDensity` or any other density, fitted or not: it is fitted to X anew, and
        `estimator` is not changed.
    X : array-like, data frame or Series of shape (n_samples, n_features)
        The rows; or a ``scipy.stats.CensoredData``.
    statistic : {"auto", "ad", "ks", "cvm", "energy"}, default="auto"
        Of each column, for families of independent columns: "ad", Anderson and Darling's, which
        weighs the tails; "ks", Kolmogorov and Smirnov's; "cvm", Cramer and von Mises'. Of the
        whole row, for any density: "energy", the energy distance to rows drawn from the fit, which
        also sees columns that depend on each other. "auto": "ad" where there is a distribution
        function of single columns, else "energy".
    n_resamples : int, default=None
        Number of tables drawn; None: 999 for statistics of columns, 99 for "energy", which takes a
        fit of `estimator` for each.
    sample_weight : array-like of shape (n_samples,), default=None
        Whole numbers: how often each row counts.
    event, upper, entry : array-like of shape (n_samples,) or (n_samples, n_features), default=None
        What was observed of each value, as in :meth:`skgm.MLEDensity.fit`; statistics of columns.
    random_state : None, int, RandomState or Generator, default=None
        Of the draws.
    n_jobs : int, default=None
        Drawn tables fitted at a time: for "energy" in processes, for statistics of columns blocks
        of them in threads. The result is the same for every number. None is one, -1 all cores.

    Returns
    -------
    result : GoodnessOfFit
        Statistic and p-value, floats for one column and for "energy", else arrays by column.

    Raises
    ------
    TypeError
        An `estimator` that is no density of skgm.
    ValueError
        A statistic that the family does not have, weights that are no repetitions, categories
        (their frequencies fit any table), a family of whose drawn tables many have no estimate.

    See Also
    --------
    skgm.rank_families : All families that the support allows, with their p-values.
    skgm.two_sample_test : Compares rows drawn from a density with rows that it has not seen.
    skgm.QQDisplay : Shows where a family does not fit.

    Notes
    -----
    eq. anderson-darling, energy-distance. For counts the integrals are sums over the counts with
    probability more than 1e-6 below and above, merged into 500 intervals at most [1]_; the p-value
    is from the same bootstrap. A Bernoulli column is fitted by any data: its p-value is 1.

    A large p-value says that the rows do not contradict the family, which few rows rarely do; a
    small one in a large table, that the family is not exact, though it may be near enough. Rounded
    values are ties, that no continuous family has: with many of them the test rejects for that.
    Where the estimator chose the family by the same rows (``family="auto"``) p-values are too
    large. The bootstrap is not exact: benchmarks/goodness_of_fit.py measures its size.

    Of censored rows F_n is Turnbull's estimate (of right-censored rows Kaplan and Meier's); where
    it does not say how its mass lies in an interval, the mass is spread like that of the fit. Drawn
    values are censored by the scheme of the table, which must not depend on them in another way. A
    row keeps its entry and the limit at which it was censored. The limit of a row that was seen is
    not known: it is drawn from the estimate of Kaplan and Meier of the limits, beyond the value
    itself; the mass that it misses to one lies half at the last time, half beyond. Rows without any
    value seen and with one limit each keep their limits. Intervals that do not overlap are a grid,
    and a drawn value is known to lie in its cell. Where they overlap and no value was seen, a row
    was looked at in its own time: its looks go on in steps as long as its own interval. Where
    values were seen inside intervals of other rows, a drawn value is shown as one that holds it,
    with the probability N / (n p) for an interval that stands there N times and has the
    probability p; such tests reject too rarely where all intervals are different.
    With random limits of follow-up the test is conservative in few rows, too.

    References
    ----------
    .. [1] V. Choulakian, R. A. Lockhart and M. A. Stephens, "Cramer-von Mises statistics for
       discrete distributions", Canadian Journal of Statistics 22, 1994.

    W. Stute, W. Gonzales Manteiga and M. Presedo Quindimil, "Bootstrap based goodness-of-fit
    tests", Metrika 40, 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import MLEDensity, goodness_of_fit
    >>> x = np.random.default_rng(0).gamma(2.0, size=(100, 1))
    >>> for family in ("gamma", "normal"):
    ...     print(family, goodness_of_fit(MLEDensity(family), x, random_state=0).pvalue > 0.05)
    gamma True
    normal False
    """
    if not isinstance(estimator, DensityEstimator):
        raise TypeError(
            "goodness_of_fit needs a density of skgm, such as MLEDensity('normal'); got "
            f"{type(estimator).__name__}. Rows drawn from any other model are compared with held-"
            "out rows by two_sample_test."
        )
    kinds = ("auto", *COLUMN_STATISTICS, "energy")
    if statistic not in kinds:
        raise ValueError(
            f"statistic must be one of {', '.join(map(repr, kinds))}; got {statistic!r}."
        )
    rng = as_generator(random_state)
    told = {"event": event, "upper": upper, "entry": entry}
    told = {name: value for name, value in told.items() if value is not None}
    fitted, X = _refitted(estimator, X, sample_weight, told)
    by_column = isinstance(fitted, MLEDensity) and not fitted._family().joint
    if statistic == "auto":
        statistic = "ad" if by_column else "energy"
    if statistic == "energy":
        if told or isinstance(X, stats.CensoredData):
            raise ValueError(
                "statistic must be 'ad', 'ks' or 'cvm' for censored or truncated rows; got "
                "'energy', which compares rows that were seen."
            )
        count = check_n_resamples(99 if n_resamples is None else n_resamples)
        return _by_rows(fitted, X, count, rng, n_jobs)
    if not by_column:
        raise ValueError(
            f"statistic={statistic!r} is of single columns, which {type(fitted).__name__} here "
            "does not model one by one; use statistic='energy'."
        )
    count = check_n_resamples(999 if n_resamples is None else n_resamples)
    return _by_columns(fitted, X, statistic, count, rng, n_jobs)


def _refitted(estimator: Any, X: Any, sample_weight: Any, told: dict[str, Any]) -> tuple[Any, Any]:
    """Return the estimator fitted to the rows, and the rows, as often as their weights say."""
    if not told and not isinstance(X, stats.CensoredData):
        X = _repeated(X, sample_weight)
        return clone(estimator).fit(X), X
    if not isinstance(estimator, MLEDensity):
        raise ValueError(
            f"{', '.join(told) or 'X'} says what was observed of each value, which only "
            f"MLEDensity takes; {type(estimator).__name__} needs rows that were seen."
        )
    if sample_weight is not None:
        _check_repetitions(np.asarray(sample_weight, dtype=np.float64))
    fitted = clone(estimator).set_params(keep_rows=True)
    return fitted.fit(X, sample_weight=sample_weight, **told), X


def _repeated(X: Any, sample_weight: Any) -> Any:
    """Return the rows of a table, each as often as its weight says."""
    if hasattr(X, "to_frame") and not hasattr(X, "columns"):
        X = X.to_frame("x" if X.name in (None, "") else str(X.name))
    if sample_weight is None:
        return X
    table = X if hasattr(X, "columns") else np.asarray(X)
    weight = check_sample_weight(sample_weight, table)
    _check_repetitions(weight)
    places = np.repeat(np.arange(len(weight)), weight.astype(np.intp))
    if hasattr(table, "iloc"):
        return table.iloc[places]
    return table[places] if not hasattr(table, "take") else table.take(places, axis=0)


def _check_repetitions(weight: np.ndarray) -> None:
    broken = weight != np.floor(weight)
    if broken.any():
        row = int(np.argmax(broken))
        raise ValueError(
            "sample_weight must be whole numbers, how often each row counts, as the test depends "
            f"on the number of rows; got {weight[row]:g} at row {row}."
        )


# Columns of a family: all drawn tables are the columns of one.


class _Drawn:
    """Columns drawn from one fitted column, to be fitted by its family."""

    def __init__(self, family: Any) -> None:
        self.family = family

    def of(self, n_columns: int) -> Any:
        return self.family.columns(np.zeros(n_columns, dtype=np.intp))

    def estimates(self, table: np.ndarray) -> dict[str, np.ndarray]:
        """Return the estimates from columns, or raise where one has none."""
        family = self.of(table.shape[1])
        with np.errstate(all="ignore"):
            found: dict[str, np.ndarray] = family.estimate(family.summarize(table, None))
        return found

    def determine(self, column: np.ndarray) -> bool:
        """Whether one column, (n, 1), determines the parameters."""
        try:
            family = self.of(1)
            family.check_statistics(family.summarize(column, None), ["resample"])
        except ValueError:
            return False
        return True

    def tables(
        self, params: Any, n: int, size: int, rng: np.random.Generator
    ) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """Return drawn columns, (n, <= size), with their estimates, in parts."""
        wide = {name: np.repeat(value, size, axis=0) for name, value in params.items()}
        with np.errstate(all="ignore"):
            drawn = self.of(size).sample(wide, n, rng)
        telling = drawn.min(axis=0) < drawn.max(axis=0)
        drawn = drawn if self.family.discrete else drawn[:, telling]
        return fits_of_columns(self, drawn) if drawn.shape[1] else []


def _by_columns(
    fitted: MLEDensity,
    X: Any,
    kind: str,
    n_resamples: int,
    rng: np.random.Generator,
    n_jobs: int | None,
) -> GoodnessOfFit:
    record, names = fitted._fit_record(), fitted._column_names()
    censored = record.family.scheme and not getattr(record.statistics, "is_complete", False)
    rows = None if censored else _training_rows(fitted, X)
    found, null, notes = [], [], []
    for j, name in enumerate(names):
        if isinstance(record.family, ColumnFamilies):
            family = record.family.families[j]
            params = record.family.of_column(j, record.params)
        else:
            family = record.family.columns([j])
            params = {k: value[[j]] for k, value in record.params.items()}
        _check_family(family, name)
        if rows is None:
            column = CensoredColumns.of(family, params, record.statistics.column(j))
            x, measured = column.low[column.low == column.high], column.statistic(kind)
            drawn = _draws(family, partial(column.null_statistics, kind), n_resamples, rng, n_jobs)
        else:
            x = np.sort(rows[~np.isnan(rows[:, j]), j])[:, None]
            measured, drawn = _column_test(family, params, x, kind, n_resamples, rng, n_jobs)
        found.append(measured)
        null.append(drawn)
        notes += _notes(family, name, x, drawn)
    if isinstance(fitted.family, str) and fitted.family == "auto":
        notes.append("The families were chosen by the same rows, so p-values are too large.")
    each = np.array([monte_carlo_pvalue(s, d[~np.isnan(d)]) for s, d in zip(found, null)])
    one = len(names) == 1
    return GoodnessOfFit(
        found[0] if one else np.array(found),
        float(each[0]) if one else each,
        kind,
        n_resamples,
        null[0] if one else np.column_stack(null),
        fitted,
        tuple(names),
        tuple(notes),
    )


def _training_rows(fitted: MLEDensity, X: Any) -> np.ndarray:
    if isinstance(fitted._family(), ColumnFamilies):
        return fitted._begin_conditioning(X).astype(np.float64)
    return fitted._begin_scoring(X).astype(np.float64)


def _check_family(family: Any, name: str) -> None:
    if family.name == "categorical":
        raise ValueError(
            f"Column {name!r} is categorical: the frequencies of its categories fit any table, and "
            "there is nothing to test. Leave the column out, or test all columns together by "
            "statistic='energy'."
        )


def _column_test(
    family: Any,
    params: Any,
    x: np.ndarray,
    kind: str,
    n_resamples: int,
    rng: np.random.Generator,
    n_jobs: int | None,
) -> tuple[float, np.ndarray]:
    """Return the statistic of a sorted column, (n, 1), and of drawn ones, NaN where it has none."""
    points = _points(family, params, x) if family.discrete else None
    try:
        observed = _statistic(family.columns([0]), kind, x, params, points)
    except NotImplementedError as error:
        raise ValueError(
            f"The {family.name} family has no distribution function here; use statistic='energy'."
        ) from error
    measure = partial(_null_statistics, _Drawn(family), params, len(x), kind, points)
    return float(observed[0]), _draws(family, measure, n_resamples, rng, n_jobs, len(x))


def _draws(
    family: Any,
    measure: Any,
    n_resamples: int,
    rng: np.random.Generator,
    n_jobs: int | None,
    n: int = 0,
) -> np.ndarray:
    """Return statistics of drawn columns by `measure`, of (number, generator); NaN at the end."""
    block = min(max(1, _BLOCK_VALUES // max(n, _MOST_POINTS)), _AT_ONCE)
    sizes = [min(block, n_resamples - start) for start in range(0, n_resamples, block)]
    work = zip(sizes, spawn(rng, len(sizes)))
    null, reason = [np.zeros(0)], None
    try:
        null += ordered_map(measure, work, n_jobs=n_jobs, threads=True)
    except ValueError as error:
        reason = error
    known = np.concatenate(null)
    known = known[np.isfinite(known)]
    if reason is not None or len(known) < (1 - _MOST_LOST) * n_resamples:
        raise ValueError(
            f"Of {n_resamples} tables drawn from the fitted {family.name} family too many have no "
            "estimate in it for a p-value. Use a family with fewer parameters, or fix one "
            "(fixed={...})."
        ) from reason
    lost = np.full(n_resamples - len(known), np.nan)
    return np.concatenate([known, lost])


def _null_statistics(
    drawn: _Drawn,
    params: Any,
    n: int,
    kind: str,
    points: np.ndarray | None,
    work: tuple[int, np.random.Generator],
) -> np.ndarray:
    """Return the statistics of some columns drawn from the fit and fitted anew."""
    found = [
        _statistic(drawn.of(table.shape[1]), kind, np.sort(table, axis=0), own, points)
        for table, own in drawn.tables(params, n, *work)
    ]
    return np.concatenate([np.zeros(0), *found])


def _statistic(
    family: Any, kind: str, table: np.ndarray, params: Any, points: np.ndarray | None
) -> np.ndarray:
    """Return the statistic of each sorted column, (n, d) -> (d,)."""
    with np.errstate(all="ignore"):
        if points is None:
            return continuous_statistic(kind, family.cdf(table, params))
        n, d = table.shape
        below = family.cdf(np.repeat(points[:, None], d, axis=1), params)
        counts = [np.searchsorted(column, points, side="right") for column in table.T]
        return discrete_statistic(kind, n, np.column_stack(counts) / n, below)


def _points(family: Any, params: Any, x: np.ndarray) -> np.ndarray:
    """Return the counts up to which shares are compared, (m,)."""
    ends = family.quantile(np.array([[_LEFT_OUT], [1 - _LEFT_OUT]]), params)[:, 0]
    low, high = min(ends[0], x.min()), max(ends[1], x.max())
    step = max(np.ceil((high - low) / _MOST_POINTS), 1.0)
    return np.asarray(np.arange(low, high + step, step))


def _notes(family: Any, name: str, x: np.ndarray, drawn: np.ndarray) -> list[str]:
    notes = []
    ties = 1 - len(np.unique(x)) / max(len(x), 1)
    if not family.discrete and ties > 0.1:
        notes.append(
            f"{name}: {ties:.0%} of the values are ties, as of rounded numbers, which a continuous "
            "family does not have; a small p-value may say no more."
        )
    lost = int(np.isnan(drawn).sum())
    if lost:
        notes.append(f"{name}: {lost} drawn tables without an estimate were left out.")
    if family.name == "bernoulli":
        notes.append(f"{name}: a Bernoulli family fits any column of zeros and ones.")
    return notes


# Any density: the energy distance between rows and draws.


def _by_rows(
    fitted: Any, X: Any, n_resamples: int, rng: np.random.Generator, n_jobs: int | None
) -> GoodnessOfFit:
    n = len(X) if hasattr(X, "__len__") else X.shape[0]
    m, shown = int(np.clip(10 * n, *_ROWS)), min(n, _ROWS[1])
    picked = rng.permutation(n)[:shown] if shown < n else None
    observed = _distance(fitted, X if picked is None else _take(X, picked), m, rng)
    again = partial(_distance_anew, fitted, n, m, shown)
    null, lost = np.full(n_resamples, np.nan), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of searches, said once by the fit to X
        for b, found in enumerate(ordered_map(again, spawn(rng, n_resamples), n_jobs=n_jobs)):
            if not isinstance(found, str):
                null[b] = found
                continue
            lost += 1
            if lost > _MOST_LOST * n_resamples:
                raise ValueError(
                    f"{lost} of {b + 1} tables drawn from the fit could not be fitted, too many "
                    f"for a p-value: {found}"
                )
    notes = [f"{lost} drawn tables without a fit were left out."] if lost else []
    if shown < n:
        notes.append(f"Distances are between {shown} of the {n} rows and {m} drawn ones.")
    p = monte_carlo_pvalue(observed, null[~np.isnan(null)])
    return GoodnessOfFit(
        observed, float(p), "energy", n_resamples, null, fitted, ("all columns",), tuple(notes)
    )


def _distance(model: Any, rows: Any, m: int, rng: np.random.Generator) -> float:
    """Return the energy distance between rows and m rows drawn from a model."""
    drawn = model.sample(m, random_state=rng)
    return energy_statistic(*(part[: _ROWS[1]] for part in encode_tables(rows, drawn)))


def _distance_anew(
    fitted: Any, n: int, m: int, shown: int, rng: np.random.Generator
) -> float | str:
    """Draw n rows, fit them anew and return their distance; or why they could not be fitted."""
    rows, again = fitted.sample(n, random_state=rng), clone(fitted)
    if "random_state" in again.get_params(deep=False):
        again.set_params(random_state=int(rng.integers(2**31)))
    try:
        again.fit(rows)
    except ValueError as error:
        return str(error)
    return _distance(again, _take(rows, np.arange(shown)), m, rng)


def _take(X: Any, places: np.ndarray) -> Any:
    if hasattr(X, "iloc"):
        return X.iloc[places]
    return X[places] if hasattr(X, "columns") else np.asarray(X)[places]
