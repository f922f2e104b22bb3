"""The printed summary of a fit."""

from dataclasses import dataclass
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

        facts = "   ".join(f"{key}: {value}" for key, value in self.facts.items())
        frame = self.to_frame()
        cells = [
            [*(_number(value) for value in row[:-1]), row[-1]]
            for row in frame.itertuples(index=False)
        ]
        tail = (1 - self.intervals.level) / 2
        headers = ["estimate", "std error", f"[{tail:.4g}", f"{1 - tail:.4g}]", "method"]
        table = SimpleTable(cells, headers=headers, stubs=list(frame.index))
        return f"{self.title}\n{facts}\n{table}"

    def __str__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return self.to_frame()._repr_html_()


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
    return FitSummary(f"{estimator!r}: maximum likelihood", facts, intervals, errors)
