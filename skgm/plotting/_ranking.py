"""The families of a ranking over a histogram of the values."""

from typing import Any

import numpy as np

from skgm.metrics import FamilyRanking, rank_families
from skgm.plotting._axes import axes_for

__all__ = ["RankingDisplay"]

_POINTS = 400  # of each curve


class RankingDisplay:
    """The densities of the first families of a ranking, over a histogram of the values.

    Probabilities over the shares of the values, for families of counts.

    Parameters
    ----------
    ranking : FamilyRanking
        What :func:`skgm.rank_families` returned.
    at : ndarray of shape (m,)
        Where densities are drawn.
    densities : dict of str to ndarray of shape (m,)
        Of each family that is drawn.

    Attributes
    ----------
    ranking_, at_, densities_ : FamilyRanking, ndarray of shape (m,), dict of str to ndarray
        The parameters.
    ax_, figure_ : Axes and Figure
        Of matplotlib, set by `plot`.
    lines_ : list of artists
        One per family.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from skgm import RankingDisplay
    >>> x = np.random.default_rng(0).gamma(2.0, size=200)
    >>> families, ax = ["gamma", "normal"], Figure().subplots()
    >>> display = RankingDisplay.from_values(x, families=families, random_state=0, ax=ax)
    >>> list(display.densities_)
    ['gamma', 'normal']
    """

    def __init__(
        self, *, ranking: FamilyRanking, at: np.ndarray, densities: dict[str, np.ndarray]
    ) -> None:
        self.ranking_, self.at_, self.densities_ = ranking, at, densities

    @classmethod
    def from_values(
        cls, x: Any, *, n_families: int = 3, ax: Any = None, **options: Any
    ) -> "RankingDisplay":
        """Rank the families of a column, and draw the first.

        Parameters
        ----------
        x : Series, array-like of shape (n,) or table of shape (n, 1)
            The values.
        n_families : int, default=3
            How many families to draw.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        **options : dict
            As in :func:`skgm.rank_families`.

        Returns
        -------
        display : RankingDisplay
            With the numbers as attributes.
        """
        return cls.from_ranking(rank_families(x, **options), n_families=n_families, ax=ax)

    @classmethod
    def from_ranking(
        cls, ranking: FamilyRanking, *, n_families: int = 3, ax: Any = None
    ) -> "RankingDisplay":
        """Draw the first families of a ranking.

        Parameters
        ----------
        ranking : FamilyRanking
            What :func:`skgm.rank_families` returned.
        n_families : int, default=3
            How many families to draw.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : RankingDisplay
            With the numbers as attributes.
        """
        low, high = ranking.x.min(), ranking.x.max()
        if ranking.discrete:
            at = np.arange(low, high + 1, max(1, (high - low) // _POINTS))
        else:
            at = np.linspace(low, high, _POINTS)
        densities = {
            name: np.exp(fit.score_samples(at[:, None]))
            for name, fit in list(ranking.fits.items())[:n_families]
        }
        return cls(ranking=ranking, at=at, densities=densities).plot(ax)

    def plot(self, ax: Any = None) -> "RankingDisplay":
        """Draw the histogram and the families, with the p-values of their fits.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : RankingDisplay
            Itself, with `ax_`, `figure_` and `lines_`.
        """
        self.ax_ = axes_for(ax, "RankingDisplay")
        self.figure_ = self.ax_.figure
        x, style = self.ranking_.x, {"color": "0.85", "label": "data"}
        if self.ranking_.discrete:
            values, counts = np.unique(x, return_counts=True)
            self.ax_.bar(values, counts / len(x), **style)
        else:
            self.ax_.hist(x, bins="auto", density=True, **style)
        self.lines_ = []
        for name, density in self.densities_.items():
            p = self.ranking_.table[name]["pvalue"]
            label = f"{name} (p = {p:.2g})"
            marker = "." if self.ranking_.discrete else None
            self.lines_ += self.ax_.plot(self.at_, density, marker=marker, label=label)
        self.ax_.set_xlabel("value")
        self.ax_.set_ylabel("probability" if self.ranking_.discrete else "density")
        self.ax_.legend()
        return self
