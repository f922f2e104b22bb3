"""The printed summary of a fit."""

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from skgm.inference._results import ConfidenceIntervals

__all__ = ["FitSummary", "summarize_fit"]


@dataclass(frozen=True)
class FitSummary:
    """Estimates, standard errors and intervals of a fit; prints as a table.

    Attributes
    ----------
    title : str
        What was fitted.
    facts : dict of str to str
        Number of observations, log-likelihood, AIC, BIC.
    intervals : ConfidenceIntervals
        The intervals, with estimates and methods.
    standard_errors : dict of str to float or ndarray
        NaN where the estimate lies on the edge of the parameter space.
    """

    title: str
    facts: dict[str, str]
    intervals: ConfidenceIntervals
    standard_errors: dict[str, Any]

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
    facts = {
        "observations": f"{estimator.n_observations_:g}",
        "log-likelihood": f"{estimator.loglik_:.6g}",
        "AIC": f"{estimator.aic():.6g}",
        "BIC": f"{estimator.bic():.6g}",
    }
    errors = estimator._errors_or_nan()
    name = " ".join(repr(estimator).split())  # on one line, whatever is fixed
    return FitSummary(f"{name}: maximum likelihood", facts, intervals, errors)
