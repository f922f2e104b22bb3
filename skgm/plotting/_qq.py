"""Quantiles of a fitted family against those of the data."""

from typing import Any

import numpy as np
from scipy import special, stats

from skgm.inference._results import takes_level
from skgm.inference.families import Family
from skgm.inference.families._schemes import turnbull
from skgm.plotting._axes import axes_for, check_column, check_mle
from skgm.tables._validation import check_level

__all__ = ["QQDisplay"]


class QQDisplay:
    r"""Sorted quantile residuals of one column against normal quantiles.

    .. math::
        z_{(i)} = \Phi^{-1}\{F_{\hat\theta}(x_{(i)})\}
        \quad\text{against}\quad \Phi^{-1}\{(i - \tfrac12)/n\}

    F is the fitted distribution function. If the family is right, the residuals are standard
    normal whatever it is, so all families are read alike: on the line, bent at the ends (tails),
    S-shaped (skewness). The band holds each point with probability `level`, from the beta
    distribution of uniform order statistics; with many points some leave it. It takes the
    parameters as known: right for rows that were not fitted, too wide for the training rows.

    Of a fit to censored rows the points are those of the nonparametric estimate: Kaplan and
    Meier's of right-censored rows, Turnbull's of intervals, a point in the middle of each step.

    Create it with :meth:`from_estimator`.

    Parameters
    ----------
    name : str
        The column.
    theoretical : ndarray of shape (n_samples,)
        Normal quantiles.
    residuals : ndarray of shape (n_samples,)
        Sorted quantile residuals.
    low, high : ndarray of shape (n_samples,)
        Ends of the band.
    level : float
        Probability of the band at each point.

    Attributes
    ----------
    theoretical_, residuals_, low_, high_ : ndarray of shape (n_samples,)
        What is drawn.
    outside_ : float
        Share of the points outside the band.
    level_ : float
        Probability of the band at each point.
    name_ : str
        The column.
    ax_ : matplotlib Axes
        Where it was drawn last.
    figure_ : matplotlib Figure
        The figure of these axes.
    points_ : matplotlib Line2D
        The points drawn.
    band_ : matplotlib PolyCollection
        The band drawn.

    References
    ----------
    P. K. Dunn and G. K. Smyth, "Randomized quantile residuals", Journal of Computational and
    Graphical Statistics 5, 1996. B. W. Turnbull, "The empirical distribution function with
    arbitrarily grouped, censored and truncated data", Journal of the Royal Statistical Society B
    38, 1976.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import MLEDensity, QQDisplay
    >>> X = np.random.default_rng(0).lognormal(size=(100, 1))
    >>> display = QQDisplay.from_estimator(MLEDensity("mvn").fit(X), X)
    >>> display.outside_ > 0.5  # not normal
    True
    """

    def __init__(
        self,
        *,
        name: str,
        theoretical: np.ndarray,
        residuals: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        level: float,
    ) -> None:
        self.name_, self.level_ = name, level
        self.theoretical_, self.residuals_ = theoretical, residuals
        self.low_, self.high_ = low, high
        self.outside_ = float(np.mean((residuals < low) | (residuals > high)))

    @classmethod
    @takes_level
    def from_estimator(
        cls, estimator: Any, X: Any = None, column: Any = 0, *, level: float = 0.95, ax: Any = None
    ) -> "QQDisplay":
        """Compute the residuals of one column of X, and draw them.

        Parameters
        ----------
        estimator : fitted MLEDensity
            Of a continuous family.
        X : array-like or data frame of shape (n_samples, n_features), default=None
            Rows, fitted or new; None for a fit to censored rows, which it keeps.
        column : int or str, default=0
            Position or name of the column.
        level : float, default=0.95
            Probability of the band at each point.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : QQDisplay
            With the numbers as attributes.

        Raises
        ------
        TypeError
            An estimator that is no MLEDensity.
        ValueError
            A discrete family, or one without a distribution function; a fit to rows of delayed
            entry; an unknown column; rows outside the support.
        ImportError
            Without matplotlib.
        """
        check_mle(estimator, "QQDisplay")
        level = check_level(level)
        column = check_column(column, estimator._column_names())
        fit = estimator._fit_record()
        if fit.family.scheme and not getattr(fit.statistics, "is_complete", False):
            order, residuals, n = _of_censored(fit, X, column)
        else:
            if X is None:
                raise ValueError("X must be the rows to compare; None is for a censored fit.")
            rows, _ = estimator._check_inference_data(X, None)
            estimator._check_support(fit.family, rows)
            residuals = np.sort(_residuals(fit.family, fit.params, rows, column))
            n = float(len(residuals))
            order = np.arange(1.0, n + 1)
        tail = (1 - level) / 2
        low, high = (stats.beta.ppf(p, order, n - order + 1) for p in (tail, 1 - tail))
        return cls(
            name=fit.columns[column],
            theoretical=special.ndtri((order - 0.5) / n),
            residuals=residuals,
            low=special.ndtri(low),
            high=special.ndtri(high),
            level=level,
        ).plot(ax)

    def plot(self, ax: Any = None) -> "QQDisplay":
        """Draw the points, the line of equality and the band.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : QQDisplay
            Itself, with `ax_`, `figure_`, `points_` and `band_`.
        """
        self.ax_ = axes_for(ax, "QQDisplay")
        self.figure_ = self.ax_.figure
        label = f"{self.level_:.4g} band"
        self.band_ = self.ax_.fill_between(
            self.theoretical_, self.low_, self.high_, color="0.85", label=label
        )
        ends = self.theoretical_[[0, -1]]
        self.ax_.plot(ends, ends, color="0.4", linewidth=0.8)
        (self.points_,) = self.ax_.plot(self.theoretical_, self.residuals_, ".", markersize=4)
        self.ax_.set_xlabel("normal quantile")
        self.ax_.set_ylabel(f"quantile residual of {self.name_}")
        self.ax_.legend()
        return self


def _of_censored(fit: Any, X: Any, column: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return order numbers and residuals of the steps of the nonparametric estimate, and n."""
    statistics, n = fit.statistics, fit.statistics.n
    if X is not None:
        raise ValueError(
            "X must be None for a fit to censored rows, which keeps them and what is known of each."
        )
    if not {"event", "upper"} & vars(statistics).keys():
        raise ValueError("QQDisplay needs rows of one distribution; these have constants each.")
    if not np.isneginf(getattr(statistics, "entry", -np.inf)).all():
        raise ValueError("QQDisplay does not take rows of delayed entry; fit without entry.")
    low = statistics.X
    high = getattr(statistics, "upper", None)
    if high is None:
        high = np.where(statistics.event == 1, low, np.inf)
    ends = []
    for values in (low, high):
        known = np.isfinite(values)
        z = _residuals(fit.family, fit.params, np.where(known, values, 1.0), column)
        ends.append(np.where(known[:, column], z, values[:, column]))
    found = turnbull(ends[0][:, None], ends[1][:, None], statistics.weight / n, **_EM)
    first, last, mass = (part[:, 0] for part in found)
    steps = np.cumsum(mass) - mass / 2
    kept = np.isfinite(first) & np.isfinite(last) & (mass > 1e-9)
    middle = special.ndtri((special.ndtr(first) + special.ndtr(last)) / 2)
    return (n * steps + 0.5)[kept], np.where(first == last, first, middle)[kept], n


_EM: dict[str, Any] = {"tolerance": 1e-9, "most": 5000}


def _residuals(family: Family, params: Any, rows: np.ndarray, column: int) -> np.ndarray:
    """Return normal quantiles of the fitted distribution function, finite.

    Cut at 8.2 in the upper tail and 37.5 in the lower, where probabilities end in float64.
    """
    if family.name == "multivariate_normal":
        return (rows - params["mean"])[:, column] / np.sqrt(params["covariance"][column, column])
    try:
        if family.discrete or family.joint:
            raise NotImplementedError  # a step function has no one residual; a joint one several
        probability = family.cdf(rows, params)[:, column]
    except (AttributeError, NotImplementedError) as error:
        raise ValueError(
            f"QQDisplay needs a continuous family with a distribution function (cdf); the "
            f"{family.name} family has none."
        ) from error
    info = np.finfo(np.float64)
    return special.ndtri(np.clip(probability, info.tiny, 1 - info.epsneg))
