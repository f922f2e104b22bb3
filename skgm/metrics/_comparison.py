"""The paired comparison of two densities on held-out rows."""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from skgm._numerics.moments import Moments
from skgm._parallel import ordered_map
from skgm._sklearn import check_sample_weight
from skgm.inference import MLEDensity
from skgm.inference._nesting import fixed_values, nested_null
from skgm.inference._results import takes_level
from skgm.inference.families import get_family
from skgm.inference.families._registry import has_many
from skgm.tables._validation import check_level

__all__ = [
    "ComparisonSums",
    "DensityComparison",
    "Nesting",
    "PairedMean",
    "agree_to_rounding",
    "check_base_measures",
    "compare_densities",
    "find_nesting",
    "paired_mean",
    "student_interval",
    "win_rate",
]


# Formulas of the paired comparison: pure functions on per-row log-densities.


class PairedMean(NamedTuple):
    """Mean of the differences, its standard error, and the number of rows behind them."""

    mean: float
    standard_error: float
    n_rows: float


def paired_mean(difference: np.ndarray, weight: np.ndarray | None = None) -> PairedMean:
    """Return the mean of `difference`, (n,), and its standard error.

    Weights count repetitions: the sum of the weights is the number of rows, and the variance has
    that number less one as its divisor.
    """
    weight = np.ones(difference.size) if weight is None else weight
    n_rows = weight.sum()
    mean = np.average(difference, weights=weight)
    variance = weight @ (difference - mean) ** 2 / (n_rows - 1)
    return PairedMean(float(mean), float(np.sqrt(variance / n_rows)), float(n_rows))


def student_interval(paired: PairedMean, level: float) -> tuple[float, float, float, float]:
    """Return low, high, t statistic and two-sided p-value, Student's t on n_rows - 1 degrees."""
    if paired.standard_error == 0:  # only where both densities agree on every row
        return paired.mean, paired.mean, 0.0, 1.0
    df = paired.n_rows - 1
    half_width = stats.t.isf((1 - level) / 2, df) * paired.standard_error
    statistic = paired.mean / paired.standard_error
    pvalue = 2 * stats.t.sf(abs(statistic), df)
    return paired.mean - half_width, paired.mean + half_width, statistic, float(pvalue)


def win_rate(difference: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return the weighted share of positive differences, ties counted half."""
    return float(np.average((np.sign(difference) + 1) / 2, weights=weight))


def agree_to_rounding(log_a: np.ndarray, log_b: np.ndarray) -> bool:
    """Tell whether two arrays of log-densities are equal but for rounding, row by row.

    The tolerance, 1e-7 relative, is the precision that the density contract promises. Without
    this rule two computations of one density would differ "significantly" by 1e-15 nats.
    """
    return bool(np.allclose(log_a, log_b, rtol=1e-7, atol=1e-7))


@dataclass(frozen=True)
class DensityComparison:
    """Outcome of :func:`compare_densities`: density `a` minus density `b`.

    Attributes
    ----------
    difference : float
        Mean of log a(x) - log b(x) over the rows, in nats per row; positive where `a` is better.
    standard_error : float
        Standard error of `difference`.
    low, high : float
        Confidence interval of the expected difference.
    statistic : float
        ``difference / standard_error`` (0 where both densities agree on every row).
    df : float
        Degrees of freedom of Student's t: the number of rows less one.
    pvalue : float
        Two-sided, for an expected difference of zero.
    level : float
        Confidence level, e.g. 0.95.
    n_rows : float
        Number of rows, repetitions counted.
    mean_a, mean_b : float
        Mean log-density of each, in nats per row.
    win_rate : float
        Share of the rows to which `a` gives the higher density; ties count half.
    kind_a, kind_b : {"exact", "estimate", "lower_bound", "unknown"}
        What the log-densities are; "unknown" for arrays and for estimators that do not say.
    nested : {"a in b", "b in a", "same model"} or None
        Whether one of two :class:`skgm.MLEDensity` is a special case of the other. Then
        :func:`skgm.likelihood_ratio_test` tests the smaller one on the rows they were fitted to.
    note : str
        At which parameter values, in words.
    """

    difference: float
    standard_error: float
    low: float
    high: float
    statistic: float
    df: float
    pvalue: float
    level: float
    n_rows: float
    mean_a: float
    mean_b: float
    win_rate: float
    kind_a: str
    kind_b: str
    nested: str | None = None
    note: str = ""

    def to_frame(self) -> Any:
        """Return the comparison as a table.

        Returns
        -------
        frame : pandas.DataFrame
            One row, one column per attribute.
        """
        import pandas as pd  # imported where it is used: it takes a second

        return pd.DataFrame([asdict(self)])

    def __str__(self) -> str:
        lines = [
            f"a - b: {self.difference:+.4g} nats per row, "
            f"{self.level:.4g} confidence interval [{self.low:+.4g}, {self.high:+.4g}]",
            f"t = {self.statistic:.4g} on {self.df:g} degrees of freedom, p = {self.pvalue:.3g}; "
            f"a is higher on {self.win_rate:.1%} of {self.n_rows:g} rows",
            f"mean log-density: a {self.mean_a:.6g}, b {self.mean_b:.6g}",
        ]
        for name, kind in (("a", self.kind_a), ("b", self.kind_b)):
            if kind in ("estimate", "lower_bound"):
                lines.append(f"the log-density of {name} is {_KIND_IN_WORDS[kind]}")
        return "\n".join([*lines, self.note] if self.note else lines)

    def _repr_html_(self) -> str:
        return self.to_frame()._repr_html_()


_KIND_IN_WORDS = {"estimate": "an estimate", "lower_bound": "a lower bound"}


@takes_level
def compare_densities(
    a: Any,
    b: Any,
    X: Any = None,
    *,
    sample_weight: Any = None,
    level: float = 0.95,
    n_jobs: int | None = None,
) -> DensityComparison:
    r"""Compare two fitted densities on the same held-out rows.

    .. math::
        \bar d = \frac{1}{n} \sum_i \{\log a(x_i) - \log b(x_i)\}, \qquad
        \bar d \pm t_{n-1} \, s_d / \sqrt{n}

    The expected difference is how much closer `a` is to the distribution of the rows than `b`, in
    Kullback-Leibler divergence. The comparison is paired: what makes a row hard for both densities
    cancels, so the interval is much narrower than two separate ones would suggest.

    Use it on rows that were used neither to fit nor to choose `a` or `b`; on training rows the
    more flexible density wins by overfitting. Both densities must be in the same units (a
    :class:`skgm.DensityPipeline` sees to that; a scikit-learn Pipeline does not).

    Parameters
    ----------
    a, b : fitted estimator with `score_samples`, or array-like of shape (n_samples,)
        The two densities, from any library, or their log-densities of the rows, in nats.
    X : array-like or data frame of shape (n_samples, n_features), default=None
        Held-out rows. Not needed where `a` and `b` are both arrays.
    sample_weight : array-like of shape (n_samples,), default=None
        Number of times each row counts; rows of zero weight are as if absent. Weights are
        repetitions, so their sum is the number of rows: do not normalize them.
    level : float, default=0.95
        Confidence level, strictly between 0 and 1.
    n_jobs : int, default=None
        2 scores the rows by both densities at a time, in processes. None is one.

    Returns
    -------
    comparison : DensityComparison
        Difference in nats per row, standard error, interval, t statistic and p-value.

    Raises
    ------
    ValueError
        A log-density that is not finite: where one density is zero the mean difference is infinite
        or undefined and has no interval. The message counts and locates the rows. Also for
        densities over different base measures (see `base_measure_`; the column is named), fewer
        than two rows, unequal lengths, a missing `X`, a level outside (0, 1), and a difference
        that is the same non-zero number in every row (its standard error cannot be estimated).

    See Also
    --------
    skgm.likelihood_ratio_test : Compares nested models on the rows they were fitted to.

    Notes
    -----
    The interval answers for the choice of the held-out rows, given the two fitted densities; it
    does not answer for the choice of the training rows. Rows must be independent: for time series
    or clusters it is too narrow. The log-density ratio of one row can be heavy-tailed (a density
    with light tails meeting an outlier), and then the interval covers too rarely where few rows are
    held out: in a simulation with N(0, 1) against N(0.3, 1.44) 95% intervals covered 86% with 10
    rows, 91% with 30, 94% with 200. Look at the single differences.

    Densities that agree on every row to 1e-7 (relative), the precision of the density contract,
    count as equal: difference 0, p-value 1. Unlike in Vuong's test, which uses the training rows,
    the densities may be nested or overlap: held-out rows were not used to choose the parameters.
    Where one parametric model is a special case of the other, the result says so (``nested``). The
    question whether the restriction holds is then better asked of
    :func:`skgm.likelihood_ratio_test`, on all rows; the question answered here is which of the two
    fitted densities predicts better, and for few training rows that may be the smaller one even if
    the restriction does not hold.

    References
    ----------
    Vuong, Q. H. (1989). Likelihood ratio tests for model selection and non-nested hypotheses.
    Econometrica 57, 307-333.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.mixture import GaussianMixture
    >>> from skgm.metrics import compare_densities
    >>> X = load_iris().data
    >>> a, b = (GaussianMixture(k, random_state=0).fit(X[::2]) for k in (3, 1))
    >>> print(compare_densities(a, b, X[1::2]))
    a - b: +0.9184 nats per row, 0.95 confidence interval [+0.5354, +1.301]
    t = 4.778 on 74 degrees of freedom, p = 8.76e-06; a is higher on 78.7% of 75 rows
    mean log-density: a -1.76637, b -2.68478
    """
    level = check_level(level)
    check_base_measures(a, b)
    scored = ordered_map(partial(_log_density, X), (("a", a), ("b", b)), n_jobs=n_jobs)
    log_a, log_b = scored
    if log_a.size != log_b.size:
        raise ValueError(
            f"a and b must be about the same rows; got {log_a.size} log-densities for a and "
            f"{log_b.size} for b."
        )
    weight = None if sample_weight is None else check_sample_weight(sample_weight, log_a)
    sums = ComparisonSums.of(log_a, log_b, weight)
    return sums.compared(a, b, level=level)


def check_base_measures(a: Any, b: Any) -> None:
    """Refuse a density of values and a probability of values: their difference has a unit."""
    ours, theirs = _base_measures(a), _base_measures(b)
    for j, ((name, one), (alias, other)) in enumerate(zip(ours, theirs)):
        if one != other:
            name = alias if name == f"x{j}" else name
            raise ValueError(
                f"a and b have different base measures in column {name!r}: {_shortened(one)} and "
                f"{_shortened(other)}. A probability of a value and a density per unit of the "
                "column cannot be compared. Fit both to the same kinds of columns "
                "(categorical_features, integer_features, atoms), or leave the column out."
            )


def _base_measures(density: Any) -> list[tuple[Any, str]]:
    """Return the base measure of each column with its name; nothing where it is not known."""
    for inner in ("best_estimator_", "density_"):
        density = getattr(density, inner, density)
    if hasattr(density, "base_measure_"):
        return list(density.base_measure_.items())
    if type(density).__module__.startswith(("sklearn.mixture.", "sklearn.neighbors.")):
        return [(f"x{j}", "Lebesgue") for j in range(getattr(density, "n_features_in_", 0))]
    return []


def _shortened(measure: str) -> str:
    return measure if len(measure) <= 60 else f"{measure[:60]}...]"


@dataclass(frozen=True)
class ComparisonSums:
    """What a comparison of two densities needs of some rows; ``+`` adds those of two parts.

    For rows that are spread over files or machines: :func:`skgm.compare_densities` of the whole
    table is ``sum`` of these sums over its parts, and then :meth:`compared`.

    Attributes
    ----------
    moments : Moments
        Of the columns log a, log b and their difference.
    wins : float
        Rows to which `a` gives the higher density; ties count half.
    agree : bool
        Whether both agree on every row to rounding.
    low, high : float
        Least and largest difference.
    """

    moments: Moments
    wins: float
    agree: bool
    low: float
    high: float

    @classmethod
    def of(
        cls, log_a: np.ndarray, log_b: np.ndarray, weight: np.ndarray | None
    ) -> "ComparisonSums":
        """Return the sums of rows with these log-densities.

        Parameters
        ----------
        log_a, log_b : ndarray of shape (n_samples,)
            Log-densities of the rows under either density, in nats.
        weight : ndarray of shape (n_samples,) or None
            Number of times each row counts.

        Returns
        -------
        sums : ComparisonSums
            Of some rows with a positive weight.

        Raises
        ------
        ValueError
            A log-density that is not finite.
        """
        counted = np.ones(log_a.size, bool) if weight is None else weight > 0
        _check_finite(log_a, log_b, counted)
        log_a, log_b = log_a[counted], log_b[counted]
        weight = np.ones(log_a.size) if weight is None else weight[counted]
        difference = log_a - log_b
        return cls(
            Moments.from_chunk(np.column_stack([log_a, log_b, difference]), weight),
            float(weight.sum() * win_rate(difference, weight)),
            agree_to_rounding(log_a, log_b),
            float(difference.min()),
            float(difference.max()),
        )

    def __add__(self, other: Any) -> "ComparisonSums":
        if other == 0:  # a part without rows, or the start of `sum`
            return self
        return ComparisonSums(
            self.moments + other.moments,
            self.wins + other.wins,
            self.agree and other.agree,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    __radd__ = __add__

    def compared(self, a: Any, b: Any, *, level: float = 0.95) -> DensityComparison:
        """Return the comparison of two densities from the sums of all rows.

        Parameters
        ----------
        a, b : fitted estimators, or arrays
            The two densities.
        level : float, default=0.95
            Confidence level, strictly between 0 and 1.

        Returns
        -------
        comparison : DensityComparison
            As :func:`skgm.compare_densities` returns it.
        """
        check_base_measures(a, b)
        paired, level = self._paired(), check_level(level)
        nesting = find_nesting(a, b)
        low, high, statistic, pvalue = student_interval(paired, level)
        kind_a, kind_b = (getattr(each, "log_density_kind_", "unknown") for each in (a, b))
        mean_a, mean_b, _ = (float(value) for value in self.moments.mean)
        return DensityComparison(
            difference=paired.mean,
            standard_error=paired.standard_error,
            low=low,
            high=high,
            statistic=statistic,
            df=paired.n_rows - 1,
            pvalue=pvalue,
            level=level,
            n_rows=paired.n_rows,
            mean_a=mean_a,
            mean_b=mean_b,
            win_rate=0.5 if self.agree else self.wins / paired.n_rows,
            kind_a=kind_a,
            kind_b=kind_b,
            nested=nesting.kind,
            note=nesting.note,
        )

    def _paired(self) -> PairedMean:
        n_rows = self.moments.n
        if n_rows < 2:
            raise ValueError(
                f"The comparison needs at least 2 held-out rows; got {n_rows:g} (repetitions "
                "counted). sample_weight counts repetitions: do not normalize it."
            )
        if self.agree:
            return PairedMean(0.0, 0.0, n_rows)
        if self.high - self.low <= 1e-12 * max(abs(self.low), abs(self.high)):
            raise ValueError(
                f"log a - log b is {self.low:.6g} in each of the {n_rows:g} rows, so its standard "
                "error cannot be estimated. Hold out more rows, with other values."
            )
        variance = self.moments.scatter[2] / (n_rows - 1)
        return PairedMean(float(self.moments.mean[2]), float(np.sqrt(variance / n_rows)), n_rows)


def _log_density(X: Any, named: tuple[str, Any]) -> np.ndarray:
    """Return the log-densities of the rows, (n,) float64."""
    name, density = named
    if hasattr(density, "score_samples"):
        if X is None:
            raise ValueError(f"{name} is an estimator; pass the held-out rows as X.")
        values = density.score_samples(X)
    else:
        values = density
    try:
        values = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be a fitted estimator with score_samples, or an array of log-densities; "
            f"got {type(density).__name__}."
        ) from error
    _check_length(name, values, X)
    return values


def _check_length(name: str, values: np.ndarray, X: Any) -> None:
    if values.ndim != 1:
        raise ValueError(
            f"{name} must give one log-density per row, shape (n_samples,); got {values.shape}."
        )
    if X is not None and len(X) != values.size:
        raise ValueError(f"{name} has {values.size} log-densities, but X has {len(X)} rows.")


def _check_finite(log_a: np.ndarray, log_b: np.ndarray, counted: np.ndarray) -> None:
    for name, values in (("a", log_a), ("b", log_b)):
        wrong = counted & (np.isnan(values) | (values == np.inf))
        if wrong.any():
            raise ValueError(
                f"The log-density of {name} is {values[wrong][0]} in {wrong.sum()} of "
                f"{counted.sum()} rows (first at row {np.flatnonzero(wrong)[0]}); "
                f"{name}.score_samples must return finite numbers, or -inf outside the support."
            )
    zero_a, zero_b = counted & (log_a == -np.inf), counted & (log_b == -np.inf)
    if not (zero_a.any() or zero_b.any()):
        return
    first = np.flatnonzero(zero_a | zero_b)[0]
    raise ValueError(
        f"The density is zero (log-density -inf) in {zero_a.sum()} rows for a and in "
        f"{zero_b.sum()} for b, of {counted.sum()} (first at row {first}), so the mean difference "
        f"is {_infinite_difference(zero_a, zero_b)} and has no interval. A density that gives zero "
        "to a row that happened is refuted by it: use one whose support contains these rows, or "
        "compare on the rows inside both supports and report how many were left out."
    )


def _infinite_difference(zero_a: np.ndarray, zero_b: np.ndarray) -> str:
    if not zero_b.any():
        return "-inf (b is better)"
    return "undefined" if zero_a.any() else "+inf (a is better)"


# Whether one of two parametric models is a special case of the other, in words.


class Nesting(NamedTuple):
    """How two models are related, in a word and in a sentence."""

    kind: str | None
    note: str = ""


def find_nesting(a: Any, b: Any) -> Nesting:
    """Return whether one of two densities is a special case of the other.

    Parameters
    ----------
    a, b : object
        Densities; only two fitted :class:`skgm.MLEDensity` can be nested.

    Returns
    -------
    nesting : Nesting
        Kind "a in b", "b in a", "same model" (family and fixed values agree) or None.
    """
    if not (isinstance(a, MLEDensity) and isinstance(b, MLEDensity)):
        return Nesting(None)
    if has_many(a.family) or has_many(b.family):
        return Nesting(None)
    if _same_model(a, b):
        note = "a and b are the same model, so only the rows they were fitted to tell them apart"
        return Nesting("same model", note)
    for small, large, names in ((a, b, "ab"), (b, a, "ba")):
        words = _restriction(small, large)
        if words is not None:
            kinds = [get_family(model.family).name for model in (small, large)]
            note = (
                f"{names[0]} ({kinds[0]}) is nested in {names[1]} ({kinds[1]}): {words}; on the "
                f"rows they were fitted to, likelihood_ratio_test({names[1]}, X, {names[0]}) tests "
                "that"
            )
            return Nesting(f"{names[0]} in {names[1]}", note)
    return Nesting(None)


def _same_model(a: MLEDensity, b: MLEDensity) -> bool:
    """Whether family, its settings, and the fixed values agree."""
    if get_family(a.family) != get_family(b.family):
        return False
    held, others = fixed_values(a), fixed_values(b)
    return held.keys() == others.keys() and all(
        np.all(np.asarray(held[name]) == np.asarray(others[name])) for name in held
    )


def _restriction(small: MLEDensity, large: MLEDensity) -> str | None:
    """Return in words what makes `large` equal to `small`; None where nothing does."""
    try:
        null = nested_null(large, small, small.n_features_in_).null
    except ValueError:  # not nested
        return None
    words = ", ".join(_in_words(name, value) for name, value in null.items())
    return f"{words} (on the edge of the parameter space)" if "inf" in words else words


def _in_words(name: str, value: np.ndarray) -> str:
    if value.ndim == 2:
        diagonal = np.isnan(np.diag(value)).all()
        return "no covariances" if diagonal else "no covariances, variances given"
    known = value[~np.isnan(value)]
    if len(set(known)) == 1:
        return f"{name} = {known[0]:g}"
    return f"{name} = [{', '.join(f'{v:g}' for v in known)}]"
