"""The likelihood of one parameter, as a picture."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from skgm.inference._fit_intervals import Fit, fit_interval
from skgm.inference._hypothesis_tests import likelihood_ratio_test
from skgm.inference._likelihood.rstar import rstar
from skgm.inference._results import takes_level
from skgm.inference._statsmodels.adapters import is_statsmodels_result
from skgm.inference._statsmodels.intervals import confidence_intervals
from skgm.plotting._axes import axes_for, check_column, check_mle
from skgm.tables._validation import check_level

__all__ = [
    "Curves",
    "ProfileDisplay",
    "parameter_curves",
]

_LABELS = {"profile": "profile likelihood", "rstar": "r*", "wald": "Wald"}
_STYLES = {"profile": "-", "rstar": "-.", "wald": "--"}


class ProfileDisplay:
    r"""Profile likelihood, r* and Wald curves of one parameter, with their intervals.

    Each curve is a signed root against the parameter, standard normal in its own approximation:

    .. math::
        r(\psi) = \operatorname{sign}(\hat\psi - \psi)
        \sqrt{2 \{\ell(\hat\theta) - \ell(\hat\theta_\psi)\}}, \qquad
        w(\psi) = (\hat\psi - \psi) / \mathrm{se}

    and r* for the families that have it. An interval ends where its curve crosses the normal
    quantile. The Wald curve is a straight line: where the likelihood's is bent, the Wald interval
    is wrong, and to which side can be seen here.

    Create it with :meth:`from_estimator`.

    Parameters
    ----------
    name : str
        The parameter, with its column.
    estimate : float
        Its estimate.
    values : ndarray of shape (n_points,)
        Values of the parameter.
    roots : dict of str to ndarray of shape (n_points,)
        Signed roots, by "profile", "rstar" and "wald".
    intervals : dict of str to tuple
        Ends of the intervals, likewise.
    level : float
        Confidence level of the intervals.

    Attributes
    ----------
    values_ : ndarray of shape (n_points,)
        Values of the parameter.
    profile_ : ndarray of shape (n_points,)
        Signed root of the likelihood-ratio statistic.
    rstar_, wald_ : ndarray of shape (n_points,) or None
        r*, None for families without it; the Wald root, None at a boundary estimate.
    intervals_ : dict of str to tuple
        Ends of the intervals, by "profile", "rstar" and "wald".
    estimate_, level_ : float
        The estimate, and the confidence level.
    name_ : str
        The parameter, with its column.
    ax_ : matplotlib Axes
        Where it was drawn last.
    figure_ : matplotlib Figure
        The figure of these axes.
    lines_ : dict of str to matplotlib Line2D
        The curves drawn.

    References
    ----------
    A. R. Brazzale, A. C. Davison and N. Reid, "Applied Asymptotics", Cambridge University Press,
    2007, chapter 2.

    Examples
    --------
    >>> from skgm import MLEDensity, ProfileDisplay
    >>> fit = MLEDensity("exponential").fit([[0.3], [1.2], [0.5], [2.0]])
    >>> display = ProfileDisplay.from_estimator(fit, "rate")
    >>> {method: round(low, 2) for method, (low, high) in display.intervals_.items()}
    {'profile': 0.31, 'rstar': 0.27, 'wald': 0.02}
    """

    def __init__(
        self,
        *,
        name: str,
        estimate: float,
        values: np.ndarray,
        roots: Mapping[str, np.ndarray],
        intervals: Mapping[str, tuple[float, float]],
        level: float,
    ) -> None:
        self.name_, self.estimate_, self.values_ = name, estimate, values
        self.profile_, self.rstar_ = roots["profile"], roots.get("rstar")
        self.wald_ = roots.get("wald")
        self.intervals_, self.level_ = dict(intervals), level

    @classmethod
    @takes_level
    def from_estimator(
        cls,
        estimator: Any,
        name: str,
        column: Any = 0,
        *,
        level: float = 0.95,
        n_points: int = 101,
        scale: str = "root",
        ax: Any = None,
    ) -> "ProfileDisplay":
        """Compute the curves of one parameter of a fit, and draw them.

        Parameters
        ----------
        estimator : fitted MLEDensity or statsmodels result
            The fit; its stored statistics answer, so the training table is not needed.
        name : str
            A parameter, as in ``params_``, or of the statsmodels result.
        column : int or str, default=0
            Position or name of the column.
        level : float, default=0.95
            Confidence level of the intervals.
        n_points : int, default=101
            Number of values at which the curves are computed.
        scale : {"root", "deviance"}, default="root"
            As in :meth:`plot`.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : ProfileDisplay
            With the numbers as attributes.

        Raises
        ------
        TypeError
            An estimator that is no MLEDensity and no statsmodels result.
        ValueError
            An unknown parameter, column or scale; a parameter without profile intervals, or a
            matrix, whose entries have no closed-form restricted estimate; an infinite estimate.
        ImportError
            Without matplotlib.
        """
        level = check_level(level)
        _check_scale(scale)
        if not isinstance(n_points, int) or n_points < 3:
            raise ValueError(f"n_points must be an integer >= 3; got {n_points!r}.")
        if is_statsmodels_result(estimator):
            label, curves = name, _result_curves(estimator, name, level, n_points)
        else:
            check_mle(estimator, "ProfileDisplay")
            column = check_column(column, estimator._column_names())
            fit = estimator._fit_record()
            _check_parameter(fit, name)
            error = float(np.ravel(estimator._errors_or_nan()[name])[column])
            curves = parameter_curves(fit, name, column, error, level, n_points)
            several = estimator.n_features_in_ > 1
            label = f"{name}[{fit.columns[column]}]" if several else name
        return cls(
            name=label,
            estimate=curves.estimate,
            values=curves.values,
            roots=curves.roots,
            intervals=curves.intervals,
            level=level,
        ).plot(ax, scale=scale)

    def plot(self, ax: Any = None, *, scale: str = "root") -> "ProfileDisplay":
        """Draw the curves and mark the intervals.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        scale : {"root", "deviance"}, default="root"
            "root": signed roots, between the two normal quantiles of the level; "deviance": their
            squares, below the chi-square quantile.

        Returns
        -------
        display : ProfileDisplay
            Itself, with `ax_`, `figure_` and `lines_`.
        """
        _check_scale(scale)
        self.ax_ = axes_for(ax, "ProfileDisplay")
        self.figure_ = self.ax_.figure
        curves = {"profile": self.profile_, "rstar": self.rstar_, "wald": self.wald_}
        quantile = float(special.ndtri((1 + self.level_) / 2))
        limits = [-quantile, quantile] if scale == "root" else [quantile**2]
        power = 1 if scale == "root" else 2
        self.lines_ = {}
        for method, root in curves.items():
            if root is not None:
                (line,) = self.ax_.plot(
                    self.values_, root**power, _STYLES[method], label=_LABELS[method]
                )
                self.lines_[method] = line
                self._mark(method, line.get_color(), limits)
        for limit in limits:
            self.ax_.axhline(limit, color="0.6", linewidth=0.8)
        self.ax_.axvline(self.estimate_, color="0.6", linewidth=0.8, linestyle=":")
        top = 2.5 * limits[-1]  # where the intervals end is what matters, not the far ends
        self.ax_.set_ylim(-top if scale == "root" else -0.05 * top, top)
        self.ax_.set_xlabel(self.name_)
        self.ax_.set_ylabel("signed root" if scale == "root" else "fall of 2 log-likelihood")
        self.ax_.legend(title=f"{self.level_:.4g} intervals")
        return self

    def _mark(self, method: str, color: Any, limits: list[float]) -> None:
        """Mark the ends of an interval where its curve crosses the limits."""
        low, high = self.intervals_[method]
        heights = (limits[-1], limits[0])  # the root is positive below the estimate
        for end, height in zip((low, high), heights, strict=True):
            if self.values_[0] <= end <= self.values_[-1]:
                self.ax_.plot([end], [height], "|", color=color, markersize=14)


def _check_scale(scale: Any) -> None:
    if scale not in ("root", "deviance"):
        raise ValueError(f"scale must be 'root' or 'deviance'; got {scale!r}.")


def _check_parameter(fit: Any, name: Any) -> None:
    names = [parameter.name for parameter in fit.family.parameters]
    if name not in names:
        raise ValueError(
            f"name must be one of {', '.join(map(repr, names))} for the {fit.family.name} family; "
            f"got {name!r}."
        )
    if np.ndim(fit.params[name]) != 1 or "profile" not in fit.family.parameter(name).methods:
        raise ValueError(
            f"{name!r} of the {fit.family.name} family has no profile curves. Fit the columns "
            "with family='normal' for their spreads, or use confidence_intervals."
        )


# The numbers behind a profile display: values of a parameter, and signed roots at them.

# How far the curves reach beyond the intervals, in lengths of the longest.
_MARGIN = 0.25


class Curves(NamedTuple):
    """Values of one parameter, and per method the signed roots at them and the interval."""

    estimate: float
    values: np.ndarray
    roots: dict[str, np.ndarray]
    intervals: dict[str, tuple[float, float]]


def parameter_curves(
    fit: Fit, name: str, column: int, error: float, level: float, n_points: int
) -> Curves:
    """Return the curves of one parameter of one column.

    Parameters
    ----------
    fit : Fit
        The fitted family.
    name : str
        The parameter.
    column : int
        Position of the column.
    error : float
        Standard error; NaN where the estimate lies on the edge of its space (then no Wald curve).
    level : float
        Confidence level of the intervals.
    n_points : int
        Number of values.

    Returns
    -------
    curves : Curves
        Methods in the order profile, rstar, wald; those that exist.
    """
    estimate = float(fit.params[name][column])
    if not np.isfinite(estimate):
        raise ValueError(
            f"The estimate of {name!r} for column {fit.columns[column]!r} is {estimate}, so its "
            "curves have no center; confidence_intervals gives the finite end."
        )
    intervals: dict[str, tuple[float, float]] = {}
    for method in ("profile", "rstar"):
        if method in fit.family.parameter(name).methods:
            low, high, _ = fit_interval(fit, name, method, level)
            intervals[method] = (float(low[column]), float(high[column]))
    if np.isfinite(error):
        half = special.ndtri((1 + level) / 2) * error
        intervals["wald"] = (float(estimate - half), float(estimate + half))
    values = _grid(fit.family.parameter(name), estimate, intervals, n_points)
    roots: dict[str, np.ndarray] = {}
    for method in intervals:
        if method == "wald":
            roots[method] = (estimate - values) / error
        else:
            root = _profile_root if method == "profile" else _rstar_root
            roots[method] = np.array([root(fit, name, column, value) for value in values])
    return Curves(estimate, values, roots, intervals)


def _result_curves(result: Any, name: str, level: float, n_points: int) -> Curves:
    """Return the curves of one parameter of a statsmodels result."""
    found = {
        method: confidence_intervals(result, level, method, of=name)
        for method in ("profile", "wald")
    }
    intervals = {m: (float(i.low[name]), float(i.high[name])) for m, i in found.items()}
    estimate = float(found["wald"].estimate[name])
    values = _grid(_LINE, estimate, intervals, n_points)

    def root(value: float) -> float:
        fall = likelihood_ratio_test(result, null={name: float(value)}).signed_root
        return 0.0 if value == estimate else float(fall or 0.0)

    error = (intervals["wald"][1] - estimate) / special.ndtri((1 + level) / 2)
    roots = {"profile": np.array([root(v) for v in values]), "wald": (estimate - values) / error}
    return Curves(estimate, values, roots, intervals)


class _Space(NamedTuple):
    """The space of a parameter without ends."""

    low: float = -np.inf
    high: float = np.inf


_LINE = _Space()


def _grid(
    parameter: Any, estimate: float, intervals: Mapping[str, tuple[float, float]], n_points: int
) -> np.ndarray:
    """Return values that reach beyond all intervals, or half-way to the end of the space."""
    ends = np.array([end for pair in intervals.values() for end in pair])
    inside = np.isfinite(ends) & (ends > parameter.low) & (ends < parameter.high)
    reach = np.append(ends[inside], estimate)
    low, high = reach.min(), reach.max()
    if high == estimate:  # no end above: an infinite one
        high += estimate - low
    margin = _MARGIN * (high - low)
    start = max(low - margin, (low + parameter.low) / 2)
    stop = min(high + margin, (high + parameter.high) / 2)
    return np.unique(np.append(np.linspace(start, stop, n_points), estimate))


def _at(fit: Fit, name: str, column: int, value: float, others: Any) -> np.ndarray:
    array = np.array(np.broadcast_to(others, np.shape(fit.params[name])), dtype=np.float64)
    array[column] = value
    return array


def _profile_root(fit: Fit, name: str, column: int, value: float) -> float:
    """Return the signed root of the likelihood-ratio statistic, positive below the estimate."""
    family, statistics = fit.family, fit.statistics
    free = family.no_restriction(statistics)
    null = {**free, name: _at(fit, name, column, value, np.nan)}
    with np.errstate(all="ignore"):
        restricted = family.restricted_estimate(statistics, null)
        fall = family.log_likelihood(statistics, fit.params)
        fall = np.atleast_1d(fall - family.log_likelihood(statistics, restricted))
    fall = fall[0 if family.joint else column]
    return float(np.sign(fit.params[name][column] - value) * np.sqrt(2 * max(fall, 0.0)))


def _rstar_root(fit: Fit, name: str, column: int, value: float) -> float:
    values = _at(fit, name, column, value, fit.params[name])
    return float(rstar(fit.family, name, fit.statistics, fit.params, values)[1][column])
