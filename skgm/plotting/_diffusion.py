"""Draws the rows of a diffusion model between noise and data."""

import numbers
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm._random import as_generator
from skgm.diffusion import DDPM
from skgm.plotting._axes import axes_for, check_column, check_pair, panels_for
from skgm.tables._validation import column_names

__all__ = [
    "DiffusionDisplay",
    "draw_field",
    "draw_lines",
    "draw_rows",
    "field_grid",
]

_KINDS = ("reverse", "forward", "trajectory", "score")


class DiffusionDisplay:
    r"""Rows between noise and data, and the score of the model there.

    At an angle :math:`\varphi` of its trajectory a row is
    :math:`\cos\varphi\,z + \sin\varphi\,e`, with scaled data z and noise e. It is shown in the
    units of the table. The score, the gradient of the log-density of such rows, points to where
    they are denser.

    - "reverse": drawn rows at some angles from noise to data and, for tables of two columns, the
      score of the model there;
    - "forward": the rows of a table at the same angles, each with the same noise throughout;
    - "trajectory": the trajectory of each drawn row as a line; with one column, against the angle;
    - "score": the score at one angle, by default at the data, and the rows of a table.

    Create it with :meth:`from_estimator`.

    Parameters
    ----------
    kind : {"reverse", "forward", "trajectory", "score"}
        What is shown.
    angles : ndarray of shape (n_angles,)
        Angles of the positions, decreasing.
    positions : ndarray of shape (n_angles, n_rows, n_columns)
        Where the rows are, in one or two columns.
    names : list of str
        Names of these columns.
    grid : ndarray of shape (n_points, 2), default=None
        Where the score was evaluated.
    score : ndarray of shape (n_angles, n_points, 2), default=None
        The score there.

    Attributes
    ----------
    kind_ : str
        What is shown.
    angles_ : ndarray of shape (n_angles,)
        Angles of the positions, decreasing.
    positions_ : ndarray of shape (n_angles, n_rows, n_columns)
        Where the rows are.
    names_ : list of str
        Names of the columns.
    grid_ : ndarray of shape (n_points, 2) or None
        Where the score was evaluated.
    score_ : ndarray of shape (n_angles, n_points, 2) or None
        The score there.
    ax_ : matplotlib Axes or ndarray of Axes
        Where it was drawn last: an array, one for each angle, for "reverse" and "forward".
    figure_ : matplotlib Figure
        The figure of these axes.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from skgm import DDPM, DiffusionDisplay
    >>> X, _ = make_moons(100, noise=0.1, random_state=0)
    >>> density = DDPM(max_iter=50, random_state=0).fit(X)
    >>> display = DiffusionDisplay.from_estimator(density, n_samples=30, random_state=0)
    >>> display.positions_.shape, display.score_.shape
    ((5, 30, 2), (5, 289, 2))
    """

    def __init__(
        self,
        *,
        kind: str,
        angles: np.ndarray,
        positions: np.ndarray,
        names: list[str],
        grid: np.ndarray | None = None,
        score: np.ndarray | None = None,
    ) -> None:
        self.kind_, self.names_ = kind, names
        self.angles_, self.positions_ = angles, positions
        self.grid_, self.score_ = grid, score

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        kind: str = "reverse",
        columns: Any = (0, 1),
        y: Any = None,
        n_samples: int = 200,
        n_steps: int = 40,
        n_angles: int = 5,
        angle: float | None = None,
        random_state: Any = None,
        ax: Any = None,
    ) -> "DiffusionDisplay":
        """Compute trajectories of a fitted diffusion model, and draw them.

        Parameters
        ----------
        estimator : fitted DDPM
            The model.
        X : array-like or data frame of shape (n_rows, n_features), default=None
            The rows of "forward", or of "score", which draws rows if it gets none.
        kind : {"reverse", "forward", "trajectory", "score"}, default="reverse"
            What to show.
        columns : pair of int or str, default=(0, 1)
            The columns of the axes, in tables of more than two.
        y : label, default=None
            With `class_conditional`, the class to show. If it is None, drawn rows are of all
            classes, and "reverse" has no score; "forward" and "score" need it.
        n_samples : int, default=200
            Number of rows drawn.
        n_steps : int, default=40
            Steps of the probability flow.
        n_angles : int, default=5
            Number of moments of "reverse" and "forward", evenly spread over the steps.
        angle : float, default=None
            The angle of "score", in radians: above 0, the data, up to pi / 2, noise. None: the
            smallest that the model knows, the arctangent of `sigma_min`.
        random_state : None, int, RandomState or Generator, default=None
            Of the rows drawn and the noise.
        ax : matplotlib Axes or sequence of Axes, default=None
            Where to draw: as many as there are angles, for "reverse" and "forward". None: a new
            figure.

        Returns
        -------
        display : DiffusionDisplay
            With the numbers as attributes.

        Raises
        ------
        TypeError
            An estimator that is no DDPM.
        ValueError
            A table with categories or integers; an unknown kind, column or class; "forward"
            without rows; "score" of a table that has not two columns, or of all classes at once;
            another number of axes than of angles.
        ImportError
            Without matplotlib.
        """
        code = _check_model(estimator, kind, X, y)
        rng = as_generator(random_state)
        counts = {"n_samples": n_samples, "n_steps": n_steps, "n_angles": n_angles}
        for name, value in counts.items():
            _check_count(name, value)
        names = column_names(estimator, estimator.n_features_in_)
        chosen = [check_column(column, names) for column in check_pair(columns)[: len(names)]]
        labels = None if y is None else np.repeat(np.asarray(y), n_samples)
        model = estimator._model()
        angles = model.flow_angles(n_steps)
        some = np.unique(np.linspace(0, n_steps, n_angles).round().astype(int))
        if kind == "score":
            angles = np.array([angles[-1] if angle is None else _check_angle(angle)])
            rows = estimator.sample(n_samples, rng, y=labels) if X is None else X
            positions = model.noised(estimator._rows(rows)[1], np.zeros(1), rng, code)
        elif kind == "forward":
            angles = angles[some]
            positions = model.noised(estimator._rows(X)[1], angles, rng, code)
        else:
            positions = estimator.sample(
                n_samples, rng, y=labels, sampler="ode", n_steps=n_steps, return_trajectory=True
            )
            if kind == "reverse":
                angles, positions = angles[some], positions[some]
        grid, score = None, None
        if kind in ("reverse", "score") and len(names) == 2 and code is not None:
            grid = field_grid(positions)
            score = np.stack([model.trajectory_score(grid, phi, code) for phi in angles])
            grid, score = grid[:, chosen], score[..., chosen]
        display = cls(
            kind=kind,
            angles=angles,
            positions=positions[..., chosen],
            names=[names[j] for j in chosen],
            grid=grid,
            score=score,
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> "DiffusionDisplay":
        """Draw the rows and, if it is known, the score.

        Arrows have the direction of the score; their lengths are compressed, so that the longest
        do not hide the others.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, default=None
            Where to draw: as many as there are angles, for "reverse" and "forward". None: a new
            figure.

        Returns
        -------
        display : DiffusionDisplay
            Itself, with `ax_` and `figure_`.
        """
        if self.kind_ in ("reverse", "forward"):
            panels = panels_for(ax, len(self.angles_), "DiffusionDisplay")
        else:
            panels = np.array([axes_for(ax, "DiffusionDisplay")], dtype=object)
        self.ax_: Any = panels if self.kind_ in ("reverse", "forward") else panels[0]
        self.figure_ = panels[0].figure
        if self.kind_ == "trajectory":
            draw_lines(panels[0], self.positions_, self.angles_, self.names_)
            return self
        for index, (panel, phi) in enumerate(zip(panels, self.angles_)):
            if self.score_ is not None:
                draw_field(panel, self.grid_, self.score_[index])
            draw_rows(panel, self.positions_[index], self.names_)
            panel.set_title(f"angle {phi:.2f}")
            if len(panels) > 1:
                panel.label_outer()
        return self


def _check_model(estimator: Any, kind: str, X: Any, y: Any) -> int | None:
    """Refuse what cannot be shown; return the code of the one class to show, or None."""
    if not isinstance(estimator, DDPM):
        raise TypeError(f"DiffusionDisplay needs a fitted DDPM; got {type(estimator).__name__}.")
    check_is_fitted(estimator)
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {[*_KINDS]}; got {kind!r}.")
    estimator._check_not_mixed("trajectories that can be drawn")
    if kind == "forward" and X is None:
        raise ValueError("kind='forward' follows rows of a table: give them as X.")
    if kind == "score" and estimator.n_features_in_ != 2:
        raise ValueError(
            f"kind='score' needs a table of two columns; this one has {estimator.n_features_in_}. "
            "Use kind='trajectory' with two of its columns."
        )
    code = estimator._class_code(y)
    if code is None and kind in ("forward", "score"):
        raise ValueError(
            f"kind={kind!r} shows one class of a class-conditional model: give its label as y, "
            f"one of {estimator.classes_.tolist()}."
        )
    return code


def _check_count(name: str, value: Any) -> None:
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < 1:
        raise ValueError(f"{name} must be an integer >= 1; got {value!r}.")


def _check_angle(angle: Any) -> float:
    if not isinstance(angle, numbers.Real) or not 0 < float(angle) <= np.pi / 2:
        raise ValueError(f"angle must be above 0 and at most pi / 2; got {angle!r}.")
    return float(angle)


# Drawing of rows, trajectories and scores: points, lines, arrows.

_ARROWS = 17  # along an axis
_MARGIN = 0.05


def field_grid(positions: np.ndarray) -> np.ndarray:
    """Return a square of points, (n_points, 2), around positions (..., 2)."""
    flat = positions.reshape(-1, 2)
    low, high = flat.min(axis=0), flat.max(axis=0)
    low, high = low - _MARGIN * (high - low), high + _MARGIN * (high - low)
    axes = np.linspace(low, high, _ARROWS).T
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)


def draw_rows(ax: Any, rows: np.ndarray, names: list[str]) -> None:
    """Draw rows (n, 2) as points; of one column, as a histogram."""
    ax.set_xlabel(names[0])
    if len(names) == 1:
        ax.hist(rows[:, 0], bins="auto", density=True)
        return
    ax.plot(*rows.T, ".", markersize=3)
    ax.set_ylabel(names[1])


def draw_lines(ax: Any, path: np.ndarray, angles: np.ndarray, names: list[str]) -> None:
    """Draw the trajectory of every row, (n_angles, n, 1 or 2), and its two ends."""
    if len(names) == 1:
        across, up, labels = np.broadcast_to(angles[:, None], path.shape[:2]), path[..., 0], names
        ax.invert_xaxis()
        labels = ["angle", names[0]]
    else:
        across, up, labels = path[..., 0], path[..., 1], names
    ax.plot(across, up, color="0.6", linewidth=0.5)
    ax.plot(across[0], up[0], ".", markersize=3, color="C1", label="noise")
    ax.plot(across[-1], up[-1], ".", markersize=3, color="C0", label="data")
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    ax.legend()


def draw_field(ax: Any, grid: Any, score: np.ndarray) -> None:
    """Draw the score at the points of a grid, with compressed lengths."""
    length = np.linalg.norm(score, axis=1, keepdims=True)
    arrows = score / (length + np.median(length) + np.finfo(float).tiny)
    ax.quiver(*grid.T, *arrows.T, color="0.6", width=0.005, angles="xy")
