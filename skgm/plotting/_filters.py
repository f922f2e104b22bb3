"""The weights of the hidden units of a restricted Boltzmann machine, as images."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm.plotting._axes import axes_for, panels_for
from skgm.rbm import BernoulliRBMCD

__all__ = ["FilterDisplay"]


class FilterDisplay:
    """The filters of a restricted Boltzmann machine: the weights of its hidden units.

    A unit that is on makes columns with positive weight (red) more probable, and columns with
    negative weight (blue) less. All images have one scale.

    Create it with :meth:`from_estimator`.

    Parameters
    ----------
    filters : ndarray of shape (n_units, height, width)
        The weights.
    units : ndarray of shape (n_units,)
        The numbers of these units.

    Attributes
    ----------
    filters_, units_ : ndarray
        The parameters.
    ax_ : ndarray of Axes
        Of matplotlib, one per unit, set by `plot`.
    figure_ : Figure
        Of these axes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_digits
    >>> from skgm import BernoulliRBMCD, FilterDisplay
    >>> X = (load_digits().data[:200] > 7).astype(float)
    >>> machine = BernoulliRBMCD(4, n_iter=5, random_state=0).fit(X)
    >>> display = FilterDisplay.from_estimator(machine, ax=Figure().subplots(1, 4))
    >>> display.filters_.shape
    (4, 8, 8)
    """

    def __init__(self, *, filters: np.ndarray, units: np.ndarray) -> None:
        self.filters_, self.units_ = filters, units

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        shape: tuple[int, int] | None = None,
        n_units: int = 24,
        ax: Any = None,
    ) -> "FilterDisplay":
        """Draw the filters with the largest weights.

        Parameters
        ----------
        estimator : fitted BernoulliRBMCD
            The machine.
        shape : pair of int, default=None
            Height and width of the images. None: square images.
        n_units : int, default=24
            How many units to draw, those with the largest sums of squared weights.
        ax : sequence of matplotlib Axes, default=None
            Where to draw, one per unit; None: a new figure.

        Returns
        -------
        display : FilterDisplay
            With the weights as attributes.

        Raises
        ------
        TypeError
            An estimator that is no BernoulliRBMCD.
        ValueError
            A number of columns that is not height times width.
        """
        if not isinstance(estimator, BernoulliRBMCD):
            name = type(estimator).__name__
            raise TypeError(f"FilterDisplay needs a fitted BernoulliRBMCD; got {name}.")
        check_is_fitted(estimator)
        weights = estimator.components_
        n_columns = weights.shape[1]
        height, width = (int(np.sqrt(n_columns)),) * 2 if shape is None else shape
        if height * width != n_columns:
            raise ValueError(
                f"shape must be height and width of images of {n_columns} columns; got "
                f"{shape if shape else 'None, and this is no square number'}."
            )
        units = np.argsort(-np.square(weights).sum(axis=1), kind="stable")[:n_units]
        return cls(filters=weights[units].reshape(-1, height, width), units=units).plot(ax)

    def plot(self, ax: Any = None) -> "FilterDisplay":
        """Draw the filters.

        Parameters
        ----------
        ax : sequence of matplotlib Axes, default=None
            Where to draw, one per unit; None: a new figure.

        Returns
        -------
        display : FilterDisplay
            Itself, with `ax_` and `figure_`.
        """
        n_units = len(self.filters_)
        if ax is None:
            figure = axes_for(None, "FilterDisplay").figure
            figure.clear()
            n_across = int(np.ceil(np.sqrt(2 * n_units)))
            n_down = -(-n_units // n_across)
            figure.set_size_inches(n_across, n_down)
            grid = figure.subplots(n_down, n_across, squeeze=False).ravel()
            for panel in grid[n_units:]:
                panel.set_axis_off()
            ax = grid[:n_units]
        self.ax_ = panels_for(ax, n_units, "FilterDisplay")
        self.figure_ = self.ax_[0].figure
        most = float(np.abs(self.filters_).max())
        for panel, picture in zip(self.ax_, self.filters_):
            panel.imshow(picture, cmap="RdBu_r", vmin=-most, vmax=most)
            panel.set_axis_off()
        return self
