"""The likelihood of one parameter, as a picture."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from skgm._validation import check_level
from skgm.plotting._axes import axes_for, check_column, check_mle
from skgm.plotting._curves import parameter_curves

__all__ = ["ProfileDisplay"]

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
        estimator : fitted MLEDensity
            The fit; its stored statistics answer, so the training table is not needed.
        name : str
            A parameter, as in ``params_``.
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
            An estimator that is no MLEDensity.
        ValueError
            An unknown parameter, column or scale; a parameter without profile intervals, or a
            matrix, whose entries have no closed-form restricted estimate; an infinite estimate.
        ImportError
            Without matplotlib.
        """
        check_mle(estimator, "ProfileDisplay")
        level = check_level(level)
        column = check_column(column, estimator._column_names())
        _check_scale(scale)
        if not isinstance(n_points, int) or n_points < 3:
            raise ValueError(f"n_points must be an integer >= 3; got {n_points!r}.")
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
