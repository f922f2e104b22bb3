"""Noise schedules: how much of the data is left at each level of a diffusion."""

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["SCHEDULES", "NoiseSchedule"]

_MAX_BETA = 0.999  # of a step: with 1 nothing of x_{t-1} would be left


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    r"""Levels t = 1, ..., T of a Gaussian diffusion.

    .. math::
        q(x_t \mid x_0) = N\bigl(\sqrt{\bar\alpha_t}\, x_0,\; (1 - \bar\alpha_t) I\bigr), \qquad
        \bar\alpha_t = \prod_{s \le t} \alpha_s, \quad \alpha_t = 1 - \beta_t

    Everything is derived from :math:`\bar\alpha`, in float64: a schedule with some of the levels of
    another has its own :math:`\alpha_t = \bar\alpha_t / \bar\alpha_{t-1}`, and needs no other care.

    Parameters
    ----------
    alpha_bar : array-like of shape (n_timesteps,)
        Share of the variance that is data: strictly decreasing, below 1, not negative. There is no
        entry for level 0, where it is 1.
    name : str, default="custom"
        What to call it.

    Attributes
    ----------
    alpha_bar : ndarray of shape (n_timesteps,)
        Cumulative products of `alpha`; ``alpha_bar[t - 1]`` belongs to level t. Read-only.
    name : str
        "linear", "scaled_linear", "cosine", "angle" or "custom".

    Raises
    ------
    ValueError
        `alpha_bar` of another shape, outside [0, 1), or not decreasing.

    Notes
    -----
    eq. ddpm-marginal.

    References
    ----------
    .. [1] J. Ho, A. Jain and P. Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020,
       section 4.
    .. [2] A. Nichol and P. Dhariwal, "Improved denoising diffusion probabilistic models", ICML
       2021, section 3.2.

    Examples
    --------
    >>> from skgm.diffusion import NoiseSchedule
    >>> schedule = NoiseSchedule.cosine(1000)
    >>> schedule.alpha_bar_at([0, 500, 1000]).round(3)
    array([1.   , 0.494, 0.   ])
    >>> schedule.respace(10).n_timesteps
    10
    """

    alpha_bar: np.ndarray
    name: str = "custom"

    def __post_init__(self) -> None:
        """Check and freeze the levels."""
        alpha_bar = np.array(self.alpha_bar, dtype=np.float64)
        inside = alpha_bar.ndim == 1 and alpha_bar.size and np.all(alpha_bar >= 0)
        if not inside or not alpha_bar[0] < 1 or not np.all(np.diff(alpha_bar) < 0):
            raise ValueError(
                "alpha_bar must be one-dimensional and strictly decreasing, its first entry below "
                f"1 and its last not negative; got {self.alpha_bar!r}."
            )
        alpha_bar.setflags(write=False)
        object.__setattr__(self, "alpha_bar", alpha_bar)

    @property
    def n_timesteps(self) -> int:
        """Number of levels, T."""
        return len(self.alpha_bar)

    @property
    def alpha(self) -> np.ndarray:
        """Share of the variance that a step keeps, (n_timesteps,)."""
        return self.alpha_bar / np.concatenate([[1.0], self.alpha_bar[:-1]])

    @property
    def beta(self) -> np.ndarray:
        """Variance of the noise that a step adds, (n_timesteps,)."""
        return 1.0 - self.alpha

    @property
    def angles(self) -> np.ndarray:
        """Angles phi_t with cos(phi_t)^2 = alpha_bar_t, increasing up to pi / 2, (n_timesteps,)."""
        return np.arctan2(np.sqrt(1.0 - self.alpha_bar), np.sqrt(self.alpha_bar))

    def alpha_bar_at(self, t: Any) -> np.ndarray:
        """Return alpha_bar at given levels; 1 at level 0.

        Parameters
        ----------
        t : int or array-like of int
            Levels, 0 to n_timesteps.

        Returns
        -------
        alpha_bar : ndarray of the shape of t
            Shares of the variance that are data.

        Raises
        ------
        ValueError
            A level that is no whole number or out of range.
        """
        level = np.asarray(t)
        if level.dtype.kind not in "iu" or np.any(level < 0) or np.any(level > self.n_timesteps):
            raise ValueError(f"t must be whole numbers from 0 to {self.n_timesteps}; got {t!r}.")
        return np.concatenate([[1.0], self.alpha_bar])[level]

    def respace(self, n_timesteps: int) -> "NoiseSchedule":
        """Return the schedule of evenly spaced levels of this one, the last included.

        Parameters
        ----------
        n_timesteps : int
            Number of levels to keep, 1 to the present number.

        Returns
        -------
        schedule : NoiseSchedule
            Its steps are longer: their alpha are ratios of alpha_bar, not entries of this alpha.
        """
        n_timesteps = _check_count(n_timesteps)
        if n_timesteps > self.n_timesteps:
            raise ValueError(
                f"n_timesteps must be at most {self.n_timesteps}, the number of levels there are; "
                f"got {n_timesteps}."
            )
        kept = np.linspace(0, self.n_timesteps, n_timesteps + 1)[1:].round().astype(int)
        return NoiseSchedule(self.alpha_bar_at(kept), self.name)

    @classmethod
    def linear(
        cls, n_timesteps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02
    ) -> "NoiseSchedule":
        """Return evenly spaced beta, scaled by 1000 / n_timesteps so that the end is the same.

        Parameters
        ----------
        n_timesteps : int, default=1000
            Number of levels. Few levels need large beta, at most 0.999; a single level has the
            last beta.
        beta_start, beta_end : float
            First and last beta of a schedule of 1000 levels.

        Returns
        -------
        schedule : NoiseSchedule
            Named "linear".
        """
        _check_betas(beta_start, beta_end)
        return cls(_from_betas(_spaced(beta_start, beta_end, n_timesteps)), "linear")

    @classmethod
    def scaled_linear(
        cls, n_timesteps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02
    ) -> "NoiseSchedule":
        """Return beta whose square roots are evenly spaced, scaled as in `linear`.

        Parameters
        ----------
        n_timesteps : int, default=1000
            Number of levels.
        beta_start, beta_end : float
            First and last beta of a schedule of 1000 levels.

        Returns
        -------
        schedule : NoiseSchedule
            Named "scaled_linear".
        """
        _check_betas(beta_start, beta_end)
        roots = _spaced(beta_start**0.5, beta_end**0.5, n_timesteps, power=2)
        return cls(_from_betas(roots), "scaled_linear")

    @classmethod
    def cosine(cls, n_timesteps: int = 1000, offset: float = 0.008) -> "NoiseSchedule":
        """Return the cosine schedule of Nichol and Dhariwal, beta at most 0.999.

        Parameters
        ----------
        n_timesteps : int, default=1000
            Number of levels.
        offset : float, default=0.008
            Keeps the first beta from being too small.

        Returns
        -------
        schedule : NoiseSchedule
            Named "cosine".
        """
        grid = np.arange(_check_count(n_timesteps) + 1) / n_timesteps
        share = np.cos((grid + offset) / (1 + offset) * np.pi / 2) ** 2
        return cls(_from_betas(1 - share[1:] / share[:-1]), "cosine")

    @classmethod
    def from_angles(cls, angles: Any) -> "NoiseSchedule":
        """Return the schedule with given angles.

        Parameters
        ----------
        angles : array-like of shape (n_timesteps,)
            Strictly increasing, above 0, at most pi / 2.

        Returns
        -------
        schedule : NoiseSchedule
            Named "angle".
        """
        phi = np.asarray(angles, dtype=np.float64)
        if phi.ndim != 1 or not np.all((phi > 0) & (phi <= np.pi / 2)):
            raise ValueError(f"angles must lie above 0 and at most at pi / 2; got {angles!r}.")
        cosine = np.where(phi == np.pi / 2, 0.0, np.cos(phi))  # cos(pi / 2) is 6e-17 in floats
        return cls(cosine**2, "angle")


# The names that an estimator's `schedule` may have.
SCHEDULES: dict[str, Callable[..., NoiseSchedule]] = {
    "cosine": NoiseSchedule.cosine,
    "linear": NoiseSchedule.linear,
    "scaled_linear": NoiseSchedule.scaled_linear,
}


def _spaced(start: float, end: float, n_timesteps: int, power: int = 1) -> np.ndarray:
    n = _check_count(n_timesteps)
    beta = np.linspace(start, end, n) ** power if n > 1 else np.array([end]) ** power
    return beta * (1000 / n)


def _from_betas(beta: np.ndarray) -> np.ndarray:
    return np.cumprod(1.0 - np.minimum(beta, _MAX_BETA))


def _check_count(n_timesteps: Any) -> int:
    is_integer = isinstance(n_timesteps, numbers.Integral) and not isinstance(n_timesteps, bool)
    if not is_integer or n_timesteps < 1:
        raise ValueError(f"n_timesteps must be an integer >= 1; got {n_timesteps!r}.")
    return int(n_timesteps)


def _check_betas(beta_start: float, beta_end: float) -> None:
    if not 0 < beta_start <= beta_end < 1:
        raise ValueError(
            "beta_start and beta_end must satisfy 0 < beta_start <= beta_end < 1; "
            f"got {beta_start!r} and {beta_end!r}."
        )
