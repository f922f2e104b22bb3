"""What inference returns: frozen results that print, index and turn into data frames."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["ConfidenceIntervals", "TestResult", "parameter_labels"]


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
    """

    estimate: Mapping[str, Any]
    low: Mapping[str, Any]
    high: Mapping[str, Any]
    level: float
    method: str
    methods: Mapping[str, Any] = field(repr=False)
    labels: Mapping[str, np.ndarray] = field(repr=False)

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
        return f"{self.level:.4g} confidence intervals\n{self.to_frame()}"

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
