"""Pools estimates from completed tables by Rubin's rules, as multiple imputation needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats
from sklearn.utils.validation import check_is_fitted

from skgm.inference._parametric import ParametricDensity
from skgm.inference._results import ConfidenceIntervals, TestResult, parameter_labels, takes_level
from skgm.inference._statsmodels.adapters import is_statsmodels_result, parameter_names, unwrap
from skgm.tables._validation import check_level

__all__ = ["PooledEstimates", "pool"]


@dataclass(frozen=True, eq=False)
class PooledEstimates:
    r"""Estimates from m completed tables, pooled by Rubin's rules; made by :func:`skgm.pool`.

    With :math:`\bar U` the mean of the m covariances and B the covariance of the m estimates, the
    pooled covariance is :math:`T = \bar U + (1 + 1/m) B`.

    Attributes
    ----------
    names : list of str
        Names of the parameters.
    params : ndarray of shape (n_params,)
        Means of the m estimates.
    within, between : ndarray of shape (n_params, n_params)
        Mean of the covariances of the m fits, and covariance of their estimates. Off the diagonal
        `within` is NaN where the fits only give standard errors.
    df : ndarray of shape (n_params,)
        Degrees of freedom of Student's t, by Barnard and Rubin.
    missing_information : ndarray of shape (n_params,)
        Fraction of the information on each parameter that the holes took.
    n_imputations : int
        How many fits were pooled.
    df_complete : float
        Degrees of freedom of the fits, had the table been complete.
    fits : list
        The fits themselves.
    """

    names: list[str]
    params: np.ndarray
    within: np.ndarray
    between: np.ndarray
    df: np.ndarray
    missing_information: np.ndarray
    n_imputations: int
    df_complete: float
    fits: Sequence[Any] = field(repr=False)

    @property
    def covariance(self) -> np.ndarray:
        """The pooled covariance, (n_params, n_params)."""
        return self.within + (1 + 1 / self.n_imputations) * self.between

    @property
    def standard_errors(self) -> np.ndarray:
        """The pooled standard errors, (n_params,)."""
        return np.sqrt(np.diag(self.covariance))

    @takes_level
    def confidence_intervals(self, level: float = 0.95) -> ConfidenceIntervals:
        """Return the interval of each parameter, by Student's t.

        Parameters
        ----------
        level : float, default=0.95
            Confidence level.

        Returns
        -------
        intervals : ConfidenceIntervals
            Maps a name to ``(low, high)``; prints as a table.
        """
        check_level(level)
        reach = stats.t.ppf((1 + level) / 2, self.df) * self.standard_errors
        low, high = self.params - reach, self.params + reach
        return ConfidenceIntervals(
            estimate=self._by_name(self.params),
            low=self._by_name(low),
            high=self._by_name(high),
            level=float(level),
            method="pooled",
            methods=dict.fromkeys(self.names, "pooled"),
            labels={name: np.array(name, dtype=object) for name in self.names},
        )

    @takes_level
    def summary(self, level: float = 0.95) -> Any:
        """Return a table of all parameters.

        Parameters
        ----------
        level : float, default=0.95
            Confidence level of the intervals.

        Returns
        -------
        frame : pandas.DataFrame
            A row per parameter; columns estimate, std_error, t, df, pvalue, low, high,
            missing_information.
        """
        import pandas as pd  # imported where it is used: it takes a second

        intervals = self.confidence_intervals(level)
        error = self.standard_errors
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.params / error
        columns = {
            "estimate": self.params,
            "std_error": error,
            "t": ratio,
            "df": self.df,
            "pvalue": 2 * stats.t.sf(np.abs(ratio), self.df),
            "low": [intervals.low[name] for name in self.names],
            "high": [intervals.high[name] for name in self.names],
            "missing_information": self.missing_information,
        }
        return pd.DataFrame(columns, index=pd.Index(self.names, name="parameter"))

    def wald_test(self, null: Mapping[str, float]) -> TestResult:
        """Test values of one or several parameters by the pooled Wald statistic.

        Parameters
        ----------
        null : dict of str to float
            Values of some of the parameters.

        Returns
        -------
        result : TestResult
            `statistic` is the number of parameters times the F statistic of Li, Raghunathan and
            Rubin; `correction` names the F law of the p-value.

        Raises
        ------
        ValueError
            An unknown parameter, or several ones where the fits give no covariances.
        """
        places = self._places(null)
        if len(places) > 1 and np.isnan(self.within[np.ix_(places, places)]).any():
            raise ValueError(
                "A joint test of several parameters needs their covariance, which these fits do "
                "not give: test one parameter at a time."
            )
        within, between = (M[np.ix_(places, places)] for M in (self.within, self.between))
        away = self.params[places] - np.array([float(null[self.names[j]]) for j in places])
        k, m = len(places), self.n_imputations
        increase = (1 + 1 / m) * float(np.trace(np.linalg.solve(within, between))) / k
        statistic = float(away @ np.linalg.solve(within, away)) / (1 + increase)
        df = float(self.df[places[0]]) if k == 1 else self._denominator(k, increase)
        return _f_test("pooled Wald", statistic, k, df, null)

    def likelihood_ratio_test(self, null: "PooledEstimates") -> TestResult:
        r"""Test a restricted model by the pooled likelihood ratio of Meng and Rubin.

        The statistic compares the log-likelihoods at the pooled estimates of both models; how
        much larger the mean of the m ratios at their own estimates is measures the information
        that is missing.

        Parameters
        ----------
        null : PooledEstimates
            The restricted model, fitted to the same completed tables in the same order.

        Returns
        -------
        result : TestResult
            `statistic` is the number of restrictions times the F statistic; `correction` names
            the F law of the p-value.

        Raises
        ------
        ValueError
            Other fits than those of statsmodels, other tables, or a null that is not smaller.
        """
        self._check_nested(null)
        k, m = len(self.params) - len(null.params), self.n_imputations
        own = np.mean([2 * (a.llf - b.llf) for a, b in zip(self.fits, null.fits, strict=True)])
        pooled = np.mean(
            [
                2 * (a.model.loglike(self.params) - b.model.loglike(null.params))
                for a, b in zip(self.fits, null.fits, strict=True)
            ]
        )
        increase = max((m + 1) / (k * (m - 1)) * float(own - pooled), 0.0)
        statistic = max(float(pooled), 0.0) / (1 + increase)
        shown = {name: 0.0 for name in self.names if name not in null.names}
        df = self._denominator(k, increase)
        return _f_test("pooled likelihood-ratio", statistic, k, df, shown)

    def _by_name(self, values: np.ndarray) -> dict[str, float]:
        return dict(zip(self.names, map(float, values), strict=True))

    def _places(self, null: Mapping[str, float]) -> list[int]:
        unknown = [name for name in null if name not in self.names]
        if unknown or not null:
            raise ValueError(
                f"null names {', '.join(map(repr, unknown)) or 'no parameter'}; the parameters "
                f"are {', '.join(self.names)}."
            )
        return [self.names.index(name) for name in null]

    def _check_nested(self, null: "PooledEstimates") -> None:
        if not all(hasattr(fit, "llf") for fit in [*self.fits, *null.fits]):
            raise ValueError(
                "The pooled likelihood-ratio test needs results of statsmodels; use wald_test."
            )
        if len(null.params) >= len(self.params):
            raise ValueError(
                f"null has {len(null.params)} parameters and must have fewer than the "
                f"{len(self.params)} of this model: exchange the two."
            )
        same = len(null.fits) == len(self.fits) and all(
            np.array_equal(a.model.endog, b.model.endog)
            for a, b in zip(self.fits, null.fits, strict=True)
        )
        if not same:
            raise ValueError(
                "null was not fitted to the same completed tables: fit both models to each table."
            )

    def _denominator(self, k: int, increase: float) -> float:
        """Return the denominator's degrees of freedom of a pooled F statistic."""
        t = k * (self.n_imputations - 1)
        if increase <= 1e-12:
            return _observed_df(self.df_complete, 0.0)
        if t <= 4:
            return t * (1 + 1 / k) * (1 + 1 / increase) ** 2 / 2
        large = 4 + (t - 4) * (1 + (1 - 2 / t) / increase) ** 2
        return large if np.isinf(self.df_complete) else self._reiter(t, increase)

    def _reiter(self, t: int, increase: float) -> float:
        """Return Reiter's (2007) degrees of freedom, for a finite sample."""
        a = increase * t / (t - 2)
        complete = _observed_df(self.df_complete, 0.0)
        c1, c2 = complete - 2 * (1 + a), complete - 4 * (1 + a)
        if c2 <= 0:  # so few rows that the expansion does not hold: the smallest parameter's
            return float(self.df.min())
        series = (
            a**2 * c1 / ((1 + a) ** 2 * c2)
            + 8 * a**2 * c1 / ((1 + a) * c2**2)
            + 4 * a**2 / ((1 + a) * c2)
            + 4 * a**2 / (c2 * c1)
            + 16 * a**2 * c1 / c2**3
            + 8 * a**2 / c2**2
        )
        return 4 + 1 / (1 / c2 + series / (t - 4))

    def __str__(self) -> str:
        head = f"{self.n_imputations} completed tables, pooled by Rubin's rules"
        return f"{head}\n{self.summary().to_string(float_format='%.4g')}"

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


def pool(results: Sequence[Any], *, df_complete: float | None = None) -> PooledEstimates:
    """Pool the fits of one model to several completed tables, by Rubin's rules.

    Parameters
    ----------
    results : sequence of statsmodels results, or of fitted densities with parameters
        The same model fitted to each completed table, such as those of
        :meth:`skgm.MultipleImputer.transform_all`; at least two. Densities are those with
        `standard_errors` (:class:`skgm.MLEDensity`, :class:`skgm.ScoreMatchingGaussian`).
    df_complete : float, default=None
        Degrees of freedom of the fit to a complete table. None takes `df_resid` of statsmodels'
        results, and infinity for densities.

    Returns
    -------
    pooled : PooledEstimates
        Estimates, errors, intervals and tests; prints as a table.

    Raises
    ------
    ValueError
        Fewer than two results, or results with different parameters.
    TypeError
        Results of another kind.

    See Also
    --------
    skgm.MultipleImputer : Makes the completed tables.

    References
    ----------
    Rubin, D. B. (1987). Multiple Imputation for Nonresponse in Surveys, section 3.1.
    Barnard, J. & Rubin, D. B. (1999). Small-sample degrees of freedom with multiple imputation.
    Biometrika 86, 948-955.
    Reiter, J. P. (2007). Small-sample degrees of freedom for multi-component significance tests
    with multiple imputation for missing data. Biometrika 94, 502-508.
    Meng, X.-L. & Rubin, D. B. (1992). Performing likelihood ratio tests with multiply-imputed
    data sets. Biometrika 79, 103-111.

    Examples
    --------
    >>> import numpy as np
    >>> import statsmodels.api as sm
    >>> from skgm import MultipleImputer, pool
    >>> rng = np.random.default_rng(0)
    >>> table = rng.normal(size=(200, 2)) @ [[1.0, 0.5], [0.0, 1.0]]
    >>> table[rng.random(200) < 0.3, 1] = np.nan
    >>> imputer = MultipleImputer(n_imputations=20, random_state=0).fit(table)
    >>> completed = imputer.transform_all(table)
    >>> fits = [sm.OLS(rows[:, 1], sm.add_constant(rows[:, 0])).fit() for rows in completed]
    >>> low, high = pool(fits).confidence_intervals()["x1"]
    >>> bool(low < 0.5 < high)
    True
    """
    results = list(results)
    if len(results) < 2:
        raise ValueError(
            f"pool needs the fits of at least two completed tables; got {len(results)}. The "
            "spread between them is what the missing values leave uncertain."
        )
    names, params, covariances, df = _read(results)
    m = len(results)
    within, between = covariances.mean(axis=0), np.atleast_2d(np.cov(params, rowvar=False))
    increase = (1 + 1 / m) * np.diag(between)
    share = increase / (np.diag(within) + increase)  # of the variance: what the holes add
    share = np.where(share > 1e-12, share, 0.0)  # else the fits differ by rounding alone
    complete = df if df_complete is None else float(df_complete)
    degrees = np.array([_barnard_rubin(s, m, complete) for s in share])
    ratio = share / (1 - share)
    information = (ratio + 2 / (degrees + 3)) / (1 + ratio)
    return PooledEstimates(
        names=names,
        params=params.mean(axis=0),
        within=within,
        between=between,
        df=degrees,
        missing_information=np.where(share > 0, information, 0.0),
        n_imputations=m,
        df_complete=complete,
        fits=results,
    )


def _read(results: Sequence[Any]) -> tuple[list[str], np.ndarray, np.ndarray, float]:
    """Return names, estimates (m, k), covariances (m, k, k) and the complete-data df."""
    if all(is_statsmodels_result(result) for result in results):
        read = [_read_statsmodels(result) for result in results]
    elif all(isinstance(result, ParametricDensity) for result in results):
        read = [_read_density(result) for result in results]
    else:
        kinds = ", ".join(sorted({type(result).__name__ for result in results}))
        raise TypeError(
            "pool takes results of statsmodels, or fitted densities with standard errors "
            f"(MLEDensity, ScoreMatchingGaussian), all of one kind; got {kinds}."
        )
    names = read[0][0]
    for i, one in enumerate(read):
        if one[0] != names:
            raise ValueError(
                f"Fit {i} has the parameters {', '.join(one[0])}, and fit 0 has "
                f"{', '.join(names)}: pool the fits of one model."
            )
    params = np.array([one[1] for one in read], dtype=np.float64)
    covariances = np.array([one[2] for one in read], dtype=np.float64)
    if not (np.isfinite(params).all() and np.isfinite(np.einsum("ijj->ij", covariances)).all()):
        raise ValueError(
            "An estimate or standard error among the fits is not finite: one of the completed "
            "tables does not identify the model."
        )
    return names, params, covariances, float(np.mean([one[3] for one in read]))


def _read_statsmodels(result: Any) -> tuple[list[str], np.ndarray, np.ndarray, float]:
    inner = unwrap(result)
    df = getattr(inner, "df_resid", np.inf)
    return (
        [str(name) for name in parameter_names(result)],
        np.asarray(inner.params, dtype=np.float64).ravel(),
        np.asarray(inner.cov_params(), dtype=np.float64),
        float(df),
    )


def _read_density(density: ParametricDensity) -> tuple[list[str], np.ndarray, np.ndarray, float]:
    check_is_fitted(density)
    errors = density.standard_errors()
    columns, names, params, scale = density._column_names(), [], [], []
    for name, value in density.params_.items():
        names += [str(label) for label in np.ravel(parameter_labels(name, value, columns))]
        params.append(np.ravel(value))
        scale.append(np.ravel(np.broadcast_to(errors[name], np.shape(value))))
    variance = np.concatenate(scale) ** 2
    covariance = np.full((len(variance), len(variance)), np.nan)
    np.fill_diagonal(covariance, variance)
    return names, np.concatenate(params), covariance, np.inf


def _observed_df(complete: float, share: float) -> float:
    """Return the degrees of freedom that the observed values leave of the complete ones."""
    if np.isinf(complete):
        return complete
    return (complete + 1) / (complete + 3) * complete * (1 - share)


def _barnard_rubin(share: float, m: int, complete: float) -> float:
    """Return the degrees of freedom for one parameter; `share` of its variance is of the holes."""
    observed = _observed_df(complete, share)
    if share <= 0:
        return observed
    many = (m - 1) / share**2
    return many if np.isinf(observed) else many * observed / (many + observed)


def _f_test(method: str, statistic: float, k: int, df: float, null: Any) -> TestResult:
    law = stats.chi2(k) if np.isinf(df) else stats.f(k, df)
    pvalue = float(law.sf(statistic if np.isinf(df) else statistic / k))
    correction = None if np.isinf(df) else f"F({k}, {df:.4g})"
    return TestResult(statistic, k, pvalue, method, dict(null), correction=correction)
