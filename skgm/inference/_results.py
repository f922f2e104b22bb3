"""What inference returns: frozen results that print, index and turn into data frames."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from html import escape
from numbers import Real
from typing import Any, TypeVar, cast

import numpy as np

__all__ = [
    "ConfidenceIntervals",
    "FitSummary",
    "TestResult",
    "parameter_labels",
    "summarize_fit",
    "takes_level",
]


Function = TypeVar("Function", bound=Callable[..., Any])


def takes_level(function: Function) -> Function:
    """Decorate a function of `level`: `alpha`, statsmodels' spelling, is answered with the cure."""

    @wraps(function)
    def checked(*args: Any, **options: Any) -> Any:
        if "alpha" in options:
            alpha = options["alpha"]
            number = isinstance(alpha, Real) and 0 < float(alpha) < 1
            example = f"level={1 - float(alpha):g}" if number else "level=0.95"
            raise TypeError(
                f"{function.__name__} takes the confidence level, level = 1 - alpha, and not "
                f"alpha={alpha!r}: pass {example}."
            )
        return function(*args, **options)

    return cast(Function, checked)  # type checkers keep the signature


def parameter_labels(name: str, value: Any, columns: list[str]) -> np.ndarray:
    """Return labels such as "mu[age]", in the shape of the value (a scalar: the name alone)."""
    shape = np.shape(value)
    labels = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        labels[index] = f"{name}[{', '.join(columns[i] for i in index)}]" if index else name
    return labels


@dataclass(frozen=True)
class ConfidenceIntervals(Mapping):
    """Confidence intervals of all parameters; maps a name to ``(low, high)``.

    Attributes
    ----------
    estimate, low, high : dict of str to float or ndarray
        Per parameter; arrays over columns where the model has several.
    level : float
        Confidence level, e.g. 0.95.
    method : str
        The method asked for.
    methods : dict of str to str or ndarray of str
        The method that each interval was made by (what "auto" chose).
    labels : dict of str to ndarray of str
        Names of the single entries, for printing.
    simultaneous : bool
        Whether `level` is the probability that all intervals hold their parameters.
    """

    estimate: Mapping[str, Any]
    low: Mapping[str, Any]
    high: Mapping[str, Any]
    level: float
    method: str
    methods: Mapping[str, Any] = field(repr=False)
    labels: Mapping[str, np.ndarray] = field(repr=False)
    simultaneous: bool = field(default=False, repr=False)

    def __getitem__(self, name: str) -> tuple[Any, Any]:
        return self.low[name], self.high[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.estimate)

    def __len__(self) -> int:
        return len(self.estimate)

    def to_frame(self) -> Any:
        """Return the intervals as a table.

        Returns
        -------
        frame : pandas.DataFrame
            One row per entry; columns estimate, low, high, method.
        """
        import pandas as pd  # imported where it is used: it takes a second

        def flat(values: Mapping[str, Any], dtype: Any) -> np.ndarray:
            shaped = (np.broadcast_to(values[k], np.shape(self.estimate[k])) for k in self)
            return np.concatenate([np.ravel(value) for value in shaped]).astype(dtype)

        columns = {key: flat(getattr(self, key), float) for key in ("estimate", "low", "high")}
        index = pd.Index(flat(self.labels, object), name="parameter")
        return pd.DataFrame(columns | {"method": flat(self.methods, object)}, index=index)

    def __str__(self) -> str:
        kind = "simultaneous confidence" if self.simultaneous else "confidence"
        return f"{self.level:.4g} {kind} intervals\n{self.to_frame()}"

    def _repr_html_(self) -> str:
        return self.to_frame()._repr_html_()


@dataclass(frozen=True)
class TestResult:
    """Outcome of a hypothesis test.

    Attributes
    ----------
    statistic : float
        Two-sided: chi-square on `df` degrees of freedom under the null, asymptotically. One-sided:
        its signed root, standard normal under the null.
    df : int
        Number of restrictions.
    pvalue : float
        Probability, under the null, of a statistic at least as far in the direction of the
        alternative.
    method : str
        Which test.
    null : dict
        The restrictions tested.
    alternative : {"two-sided", "greater", "less"}
        Where the restricted parameter (or row of R theta) lies if the null is wrong.
    correction : str or None
        Small-sample correction applied to the statistic.
    restricted_params : dict
        Estimates under the null (empty for Wald tests, which need none).
    signed_root : float or None
        Root of the statistic, positive where the data point above the null; None for more than
        one restriction.
    multiplier : ndarray of shape (df,) or None
        Lagrange multipliers of the restrictions at the restricted estimate, how fast the
        log-likelihood would rise if they were loosened: the scores of the parameters that the null
        holds. None for Wald tests, and where the null is no restriction of the parameters.
    """

    statistic: float
    df: int
    pvalue: float
    method: str
    null: Mapping[str, Any]
    alternative: str = "two-sided"
    correction: str | None = None
    restricted_params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    signed_root: float | None = field(default=None, repr=False)
    multiplier: np.ndarray | None = field(default=None, repr=False)

    __test__ = False  # the name starts with Test; pytest must not collect it

    def to_frame(self) -> Any:
        """Return the outcome as a table of one row.

        Returns
        -------
        frame : pandas.DataFrame
            Columns test, null, alternative, correction, statistic, df, pvalue.
        """
        import pandas as pd  # imported where it is used: it takes a second

        row = {
            "test": self.method,
            "null": describe_null(self.null),
            "alternative": self.alternative,
            "correction": self.correction or "none",
            "statistic": self.statistic,
            "df": self.df,
            "pvalue": self.pvalue,
        }
        return pd.DataFrame([row])

    def __str__(self) -> str:
        corrected = f", {self.correction} correction" if self.correction else ""
        if self.alternative == "two-sided":
            law = f"chi-square = {self.statistic:.4g}, df = {self.df}"
        else:
            law = f"z = {self.statistic:.4g}"
        return (
            f"{self.method[0].upper()}{self.method[1:]} test{corrected}\n"
            f"null: {describe_null(self.null)}; alternative: {self.alternative}\n"
            f"{law}, p-value = {self.pvalue:.4g}"
        )

    def _repr_html_(self) -> str:
        return self.to_frame()._repr_html_()


def describe_null(null: Mapping[str, Any]) -> str:
    """Return a null hypothesis in one line; values of many entries are cut short."""
    if set(null) == {"R", "q"}:
        rows = len(np.atleast_1d(null["q"]))
        return f"{rows} linear restriction{'s' if rows > 1 else ''} R theta = q"
    parts = []
    for name, value in null.items():
        array = np.asarray(value, dtype=np.float64)
        words = ["free" if np.isnan(v) else f"{v:g}" for v in array.ravel()[:6]]
        text = " ".join(words)
        dots = " ..." if array.size > 6 else ""
        parts.append(f"{name} = {text}" if array.ndim == 0 else f"{name} = [{text}{dots}]")
    return ", ".join(parts)


# The printed summary of a fit.


@dataclass(frozen=True)
class FitSummary:
    """Estimates, standard errors and intervals of a fit; prints as a table.

    Attributes
    ----------
    title : str
        What was fitted.
    facts : dict of str to str
        Family, number of observations, log-likelihood, AIC, BIC.
    intervals : ConfidenceIntervals
        The intervals, with estimates and methods.
    standard_errors : dict of str to float or ndarray
        NaN where the estimate lies on the edge of the parameter space.
    meaning : str
        The family and its parameters in words.
    """

    title: str
    facts: dict[str, str]
    intervals: ConfidenceIntervals
    standard_errors: dict[str, Any]
    meaning: str = ""

    def to_frame(self) -> Any:
        """Return a pandas DataFrame: estimate, std_error, low, high, method.

        Returns
        -------
        frame : pandas.DataFrame
            One row per parameter entry.
        """
        frame = self.intervals.to_frame()
        errors = [np.ravel(self.standard_errors[name]) for name in self.intervals]
        frame.insert(1, "std_error", np.concatenate(errors))
        return frame

    def as_text(self) -> str:
        """Return the summary as plain text.

        Returns
        -------
        text : str
            What ``print`` shows.
        """
        from statsmodels.iolib.table import SimpleTable  # costs a second; only printing needs it

        stubs, cells = self._cells()
        table = str(SimpleTable(cells, headers=self._headers(), stubs=stubs))
        width = max(len(line) for line in [self.title, *table.splitlines()])
        facts = [f"{key}: {value}" for key, value in self.facts.items()]
        column = max(len(fact) for fact in facts)
        pairs = zip(facts[::2], [*facts[1::2], ""], strict=False)
        lines = [f"{left.ljust(column)}   {right}".rstrip() for left, right in pairs]
        title = self.title.center(width).rstrip()
        return "\n".join([title, "=" * width, *lines, table, "Notes:", *self._notes()])

    def as_html(self) -> str:
        """Return the summary as HTML: title, facts, the table, notes on the methods.

        Returns
        -------
        html : str
            What a notebook shows.
        """
        facts = "".join(
            f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>"
            for key, value in self.facts.items()
        )
        head = "".join(f"<th>{escape(header)}</th>" for header in ["", *self._headers()])
        body = "".join(
            f"<tr><th>{escape(str(stub))}</th>"
            + "".join(f"<td>{escape(cell)}</td>" for cell in row)
            + "</tr>"
            for stub, row in zip(*self._cells(), strict=True)
        )
        notes = "<br/>".join(escape(note) for note in self._notes())
        return (
            f"<div><table><caption>{escape(self.title)}</caption><tbody>{facts}</tbody></table>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<p>{notes}</p></div>"
        )

    def _headers(self) -> list[str]:
        tail = (1 - self.intervals.level) / 2
        return ["estimate", "std error", f"[{tail:.4g}", f"{1 - tail:.4g}]", "method"]

    def _cells(self) -> tuple[list[Any], list[list[str]]]:
        """Return the labels and the formatted rows of the table."""
        frame = self.to_frame()
        rows = frame.itertuples(index=False)
        cells = [[*(_number(value) for value in row[:-1]), str(row[-1])] for row in rows]
        return list(frame.index), cells

    def _notes(self) -> list[str]:
        """Return what the methods of the intervals are, and what a dash means."""
        frame = self.to_frame()
        notes = [
            f"{method}: {_METHODS[method]}"
            for method in dict.fromkeys(frame["method"])
            if method in _METHODS
        ]
        if self.meaning:
            notes.append(self.meaning)
        notes.append(
            "Standard errors are the model's; robust ones: standard_errors('robust', X=X)."
        )
        if frame["std_error"].isna().any():
            notes.append("-: none, as an estimate lies on the edge of the parameter space.")
        return notes

    def __str__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return self.as_html()


_METHODS = {
    "wald": "estimate -+ normal quantile * standard error.",
    "wald-transformed": "Wald interval on the log, logit or similar scale, mapped back.",
    "score": "the values that the score test does not reject.",
    "profile": "the values that the likelihood-ratio test does not reject.",
    "bartlett": "profile likelihood, corrected for its mean in small samples.",
    "rstar": "the modified signed root r* of the likelihood ratio.",
    "exact": "from the exact distribution of the estimate.",
    "robust": "by the sandwich, right also where the family is not.",
    "bootstrap": "by resampling.",
}


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.6g}"


def summarize_fit(estimator: Any, level: float) -> FitSummary:
    """Return the summary of a fitted MLEDensity."""
    intervals = estimator.confidence_intervals(level)
    family, statistics = estimator._family(), estimator._fit_record().statistics
    facts = {
        "family": family.signature(),
        "observations": f"{estimator.n_observations_:g}",
        "log-likelihood": f"{estimator.loglik_:.6g}",
        "AIC": f"{estimator.aic():.6g}",
        "BIC": f"{estimator.bic():.6g}",
    }
    errors = estimator._errors_or_nan()
    name = " ".join(repr(estimator).split())  # on one line, whatever is fixed
    return FitSummary(
        f"{name}: maximum likelihood", facts, intervals, errors, family.describe(statistics)
    )
