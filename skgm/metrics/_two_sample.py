"""Tests whether two tables come from one distribution: by energy distance or by a classifier."""

import numbers
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from skgm._random import as_generator
from skgm.tables._columns import code_table, column_kinds, describe_columns
from skgm.tables._frames import frame_fault, frame_schema
from skgm.tables._validation import check_finite

__all__ = [
    "TwoSampleResult",
    "check_n_resamples",
    "encode_tables",
    "energy_statistic",
    "monte_carlo_pvalue",
    "two_sample_test",
]

MOST_ROWS = 2000  # of either table in the energy distance, whose cost is the square of the rows
_BLOCK_VALUES = 2**22  # of permutations in memory at a time
_SMALL = 2000  # up to so many rows a forest separates better than boosting


@dataclass(frozen=True)
class TwoSampleResult:
    """Outcome of :func:`two_sample_test`.

    Attributes
    ----------
    statistic : float
        "energy": n m / (n + m) times the energy distance; "classifier": area under the ROC curve
        on the rows that the classifier was not fitted to.
    pvalue : float
        Probability, where both tables come from one distribution, of a statistic at least as large.
    method : {"energy", "classifier"}
        Which test.
    n_a, n_b : int
        Rows of either table that the statistic compares.
    n_resamples : int
        Number of permutations.
    null_distribution : ndarray of shape (n_resamples,)
        Statistics of permuted tables.
    notes : tuple of str
        What was left out, or read in another way than it stands.
    """

    statistic: float
    pvalue: float
    method: str
    n_a: int
    n_b: int
    n_resamples: int
    null_distribution: np.ndarray = field(repr=False)
    notes: tuple[str, ...] = ()

    def to_frame(self) -> Any:
        """Return the outcome as a table of one row.

        Returns
        -------
        frame : pandas.DataFrame
            Columns method, n_a, n_b, statistic, pvalue.
        """
        import pandas as pd  # imported where it is used: it takes a second

        names = ("method", "n_a", "n_b", "statistic", "pvalue")
        return pd.DataFrame([{name: getattr(self, name) for name in names}])

    def summary(self) -> str:
        """Return the outcome in words.

        Returns
        -------
        text : str
            What ``print`` shows.
        """
        what = "energy distance" if self.method == "energy" else "AUC of a classifier"
        lines = [
            f"two-sample test by {what}: {self.n_a} rows against {self.n_b}",
            f"statistic {self.statistic:.4g}, p-value {self.pvalue:.4g} "
            f"({self.n_resamples} permutations)",
        ]
        return "\n".join([*lines, *self.notes])

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return self.to_frame()._repr_html_()


def two_sample_test(
    A: Any,
    B: Any,
    method: str = "energy",
    *,
    classifier: Any = None,
    n_resamples: int = 999,
    random_state: Any = None,
) -> TwoSampleResult:
    r"""Test whether the rows of two tables come from one distribution.

    .. math::
        T = \frac{nm}{n+m} \{2 E\|X - Y\| - E\|X - X'\| - E\|Y - Y'\|\}

    The p-value is that of a permutation test: the rows of both tables are dealt out anew, so it is
    right in samples of any size. Use it on drawn rows against held-out ones, to see whether a
    density can be told from the data; on this month's rows against last month's; on two groups.

    Parameters
    ----------
    A, B : array-like, data frame or Series of shape (n_samples, n_features)
        The tables, of the same columns. Text, booleans and categories are compared as
        categories; NaN and None are values of their own: what is missing counts.
    method : {"energy", "classifier"}, default="energy"
        "energy": distances between rows; sees every difference, best one of location in few
        columns. "classifier": a classifier learns half of the rows of either table to tell them
        apart, and ranks the others; best in many columns and for differences in how they depend.
    classifier : classifier, default=None
        With `predict_proba`, for method "classifier". None: a random forest up to 2000 rows,
        histogram gradient boosting from there on.
    n_resamples : int, default=999
        Number of permutations; the smallest p-value is 1 / (n_resamples + 1).
    random_state : None, int, RandomState or Generator, default=None
        Of the permutations, the split, and the classifier.

    Returns
    -------
    result : TwoSampleResult
        Statistic and p-value; prints as a sentence.

    Raises
    ------
    ValueError
        Tables of different columns, fewer than two rows (eight for a classifier), infinite values.

    See Also
    --------
    skgm.goodness_of_fit : Tests a fitted density on the rows that it was fitted to.

    Notes
    -----
    eq. energy-distance. Rows must be independent. Columns of numbers are divided by their standard
    deviation over both tables; two different categories are at distance one. Of more than 2000
    rows in a table "energy" takes 2000 at random, and says so. A density that was fitted to the
    rows of B is too near to them: draws of it are to be compared with other rows.

    References
    ----------
    G. J. Szekely and M. L. Rizzo, "Energy statistics: a class of statistics based on distances",
    Journal of Statistical Planning and Inference 143, 2013. I. Kim, A. Ramdas, A. Singh and
    L. Wasserman, "Classification accuracy as a proxy for two-sample testing", Annals of Statistics
    49, 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgm import MLEDensity, two_sample_test
    >>> X = load_iris().data
    >>> drawn = MLEDensity("normal").fit(X[::2]).sample(75, random_state=0)
    >>> print(two_sample_test(drawn, X[1::2], random_state=0))  # independent columns
    two-sample test by energy distance: 75 rows against 75
    statistic 7.802, p-value 0.004 (999 permutations)
    """
    if method not in ("energy", "classifier"):
        raise ValueError(f"method must be 'energy' or 'classifier'; got {method!r}.")
    if classifier is not None and method != "classifier":
        raise ValueError("classifier must be None unless method='classifier'.")
    n_resamples, rng = check_n_resamples(n_resamples), as_generator(random_state)
    least = 2 if method == "energy" else 8
    a, b = encode_tables(A, B, least=least)
    notes: list[str] = []
    if method == "energy":
        a, b = (_some_rows(part, name, rng, notes) for part, name in ((a, "A"), (b, "B")))
        statistic, null = _by_energy(a, b, n_resamples, rng)
    else:
        statistic, null, (a, b) = _by_classifier(a, b, classifier, n_resamples, rng)
        notes.append("The other half of either table was used to fit the classifier.")
    p = monte_carlo_pvalue(statistic, null)
    return TwoSampleResult(
        statistic, float(p), method, len(a), len(b), n_resamples, null, tuple(notes)
    )


def check_n_resamples(n_resamples: Any) -> int:
    """Return a number of resamples, or raise unless it is a whole number of at least 19."""
    whole = isinstance(n_resamples, numbers.Integral) and not isinstance(n_resamples, bool)
    if not whole or n_resamples < 19:
        raise ValueError(
            "n_resamples must be a whole number >= 19, with which p-values of 0.05 exist; got "
            f"{n_resamples!r}."
        )
    return int(n_resamples)


def monte_carlo_pvalue(statistic: Any, null: np.ndarray) -> np.ndarray:
    """Return the share of statistics, (m, ...), that reach the observed one, itself included.

    What is equal but for rounding reaches it.
    """
    reached = null >= statistic - 1e-9 * np.abs(statistic) - 1e-12
    return np.asarray((1 + reached.sum(axis=0)) / (1 + len(null)))


# Tables as rows of numbers, between which distances mean something.


def encode_tables(A: Any, B: Any, *, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return two tables of the same columns as numbers, (n, k) and (m, k), in common units."""
    A, B = _frame_of(A, "A"), _frame_of(B, "B")
    names = _check_columns(A, B)
    if hasattr(B, "columns") and hasattr(A, "columns"):
        B = B[names]
    for name, table in (("A", A), ("B", B)):
        if len(table) < least:
            raise ValueError(f"{name} must have at least {least} rows; got {len(table)}.")
    kinds = _kinds(A, B)
    described = describe_columns(A, kinds)
    for about, other in zip(described, describe_columns(B, kinds)):
        if about["kind"] == "category":
            known = set(about["values"])
            about["values"] = [*about["values"], *(v for v in other["values"] if v not in known)]
    coded = np.vstack([code_table(A, described), code_table(B, described)])
    check_finite(np.where(np.isnan(coded), 0.0, coded), [str(name) for name in names])
    parts = [_encoded(x, about["kind"]) for x, about in zip(coded.T, described)]
    both = np.hstack(parts)
    return both[: len(A)], both[len(A) :]


def _frame_of(X: Any, name: str) -> Any:
    """Return a table of numbers as an array, of anything else as a frame; a column is a table."""
    if hasattr(X, "to_frame") and not hasattr(X, "columns"):
        X = X.to_frame()
    if frame_schema(X) is not None or hasattr(X, "columns"):
        fault = frame_fault(X, dates=True)
        if fault is not None:
            raise ValueError(fault)
        return X
    array = np.asarray(X)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(f"{name} must be a table of rows and columns; got shape {array.shape}.")
    if array.dtype.kind in "fiub":
        return array.astype(np.float64)
    import pandas as pd  # imported where it is used: it takes a second

    return pd.DataFrame(array.astype(object), columns=[f"x{j}" for j in range(array.shape[1])])


def _check_columns(A: Any, B: Any) -> list[Any]:
    """Return the names of the columns, or raise where they are not those of both tables."""
    ours, theirs = (list(X.columns) if hasattr(X, "columns") else None for X in (A, B))
    widths = [np.shape(X)[1] for X in (A, B)]
    if ours is not None and theirs is not None and set(ours) != set(theirs):
        odd = [name for name in (*ours, *theirs) if (name in ours) != (name in theirs)]
        raise ValueError(f"A and B must have the same columns; only one of them has {odd}.")
    if widths[0] != widths[1]:
        raise ValueError(
            f"A and B must have the same columns; got {widths[0]} columns and {widths[1]}."
        )
    return ours or theirs or [f"x{j}" for j in range(widths[0])]


def _kinds(A: Any, B: Any) -> list[str]:
    """Return "category" for columns that are so in either table; the kinds of A elsewhere."""
    found = []
    for X in (A, B):
        kinds = column_kinds(X, "from_dtype", "from_dtype")
        found.append(["real"] * np.shape(X)[1] if kinds is None else list(kinds))
    return ["category" if "category" in pair else pair[0] for pair in zip(*found)]


def _encoded(x: np.ndarray, kind: str) -> np.ndarray:
    """Return a coded column of both tables as columns: indicators, or units of its deviation."""
    hole = np.isnan(x)
    if kind == "category":
        levels = np.unique(x[~hole])
        shown = np.column_stack([x == level for level in levels] + [hole] * bool(hole.any()))
        return shown / np.sqrt(2)  # so that two categories are at distance one
    known = x[~hole]
    largest = np.abs(known).max() if known.size else 0.0
    known = known / largest if largest > 0 else known  # squares of 1e300 overflow
    values = np.zeros(len(x))
    spread = known.std() if known.size else 0.0
    values[~hole] = (known - known.mean()) / spread if spread > 0 else 0.0
    return np.column_stack([values, hole]) if hole.any() else values[:, None]


def _some_rows(
    rows: np.ndarray, name: str, rng: np.random.Generator, notes: list[str]
) -> np.ndarray:
    if len(rows) <= MOST_ROWS:
        return rows
    notes.append(f"{MOST_ROWS} of the {len(rows)} rows of {name} were taken at random.")
    return rows[rng.choice(len(rows), MOST_ROWS, replace=False)]


# The statistics.


def energy_statistic(a: np.ndarray, b: np.ndarray) -> float:
    """Return n m / (n + m) times the energy distance of rows (n, k) and (m, k)."""
    n, m = len(a), len(b)
    between, within = cdist(a, b).mean(), cdist(a, a).mean() + cdist(b, b).mean()
    return float(n * m / (n + m) * (2 * between - within))


def _by_energy(
    a: np.ndarray, b: np.ndarray, n_resamples: int, rng: np.random.Generator
) -> tuple[float, np.ndarray]:
    both, n, m = np.vstack([a, b]), len(a), len(b)
    distance = cdist(both, both)
    row, total = distance.sum(axis=0), distance.sum()

    def statistic(first: np.ndarray) -> np.ndarray:
        """Return the statistic where the rows of each column of indicators are the first table."""
        inside = (first * (distance @ first)).sum(axis=0)
        across = row @ first - inside
        rest = total - inside - 2 * across
        means = 2 * across / (n * m) - inside / n**2 - rest / m**2
        return np.asarray(n * m / (n + m) * means)

    own = np.repeat([1.0, 0.0], [n, m])
    block = max(1, _BLOCK_VALUES // (n + m))
    null = [
        statistic(rng.permuted(np.repeat(own[:, None], size, axis=1), axis=0))
        for size in _sizes(n_resamples, block)
    ]
    return float(statistic(own[:, None])[0]), np.concatenate(null)


def _sizes(total: int, block: int) -> list[int]:
    return [min(block, total - start) for start in range(0, total, block)]


def _by_classifier(
    a: np.ndarray, b: np.ndarray, classifier: Any, n_resamples: int, rng: np.random.Generator
) -> tuple[float, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Return the area under the curve on the half that was not learnt, and permuted ones."""
    if classifier is None:
        small = len(a) + len(b) <= _SMALL
        classifier = RandomForestClassifier(200) if small else HistGradientBoostingClassifier()
    model = clone(classifier)
    if "random_state" in model.get_params():
        model.set_params(random_state=int(rng.integers(2**31)))
    (a_fit, a_test), (b_fit, b_test) = (_halves(part, rng) for part in (a, b))
    model.fit(np.vstack([a_fit, b_fit]), np.repeat([1, 0], [len(a_fit), len(b_fit)]))
    rank = stats.rankdata(model.predict_proba(np.vstack([a_test, b_test]))[:, 1])
    n, m = len(a_test), len(b_test)

    def area(ranks: np.ndarray) -> np.ndarray:
        return np.asarray((ranks[:n].sum(axis=0) - n * (n + 1) / 2) / (n * m))

    block = max(1, _BLOCK_VALUES // (n + m))
    null = [
        area(rng.permuted(np.repeat(rank[:, None], size, axis=1), axis=0))
        for size in _sizes(n_resamples, block)
    ]
    return float(area(rank)), np.concatenate(null), (a_test, b_test)


def _halves(rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(len(rows))
    return rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]
