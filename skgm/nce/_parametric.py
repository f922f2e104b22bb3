"""Fits parametric critics: statistics times coefficients, or models of the user's own."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import qr
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.blocks import by_blocks
from skgm._numerics.distributions import StudentNoise, check_rows_inside, has_inverse_map
from skgm._numerics.qmc import sobol_uniforms
from skgm._warnings import warn_user
from skgm.nce._contrast import (
    Contrast,
    LinearContrast,
    LinearFit,
    ModelContrast,
    Rows,
    maximize,
    total_weight,
)
from skgm.nce._covariance import KINDS, Covariance, covariances, solve_curvature
from skgm.nce._statistics import Form, OwnModel, Statistics

__all__ = [
    "NoiseRows",
    "ParametricCritic",
    "Telescope",
    "draw_noise",
    "fit_parametric_critic",
    "path_starts",
    "telescope",
    "waymark",
]


# Telescoping: the ratio of two distant densities as a product of ratios of near ones.
#
# Between the data x and the noise z lie waymarks, c + cos(a) (x - c) + sin(a) (z - c) with c the
# mean of the noise, from the data at angle a = 0 to the noise at pi / 2. One logistic regression
# (a bridge) tells each pair of neighbors apart, and the log-ratios add up (eq. nce-telescoping):
# log p - log q = sum_k log(p_k / p_{k+1}). If a pair is told apart too well, its angle is halved.

MIN_OVERLAP = 0.7  # of neighboring waymarks: normals one standard deviation apart have 0.81
MOST_PATHS = 20_000
_MOST_BRIDGES = 100
_NARROWEST = np.pi / 2**20


class Telescope(NamedTuple):
    """The fitted bridges.

    Attributes
    ----------
    theta : ndarray of shape (k,)
        Coefficients and c of log p - log q.
    covariance : ndarray of shape (k, k)
        Of theta.
    bridges : ndarray of shape (n_bridges, k)
        Coefficients and c of each log-ratio.
    angles : ndarray of shape (n_bridges + 1,)
        Of the waymarks.
    overlap : float
        Least overlap of two neighbors.
    """

    theta: np.ndarray
    covariance: np.ndarray
    bridges: np.ndarray
    angles: np.ndarray
    overlap: float


def waymark(X: np.ndarray, noise: np.ndarray, angle: float) -> np.ndarray:
    """Return points between paired rows of data and noise, (n, d) each."""
    if angle == 0:
        return X
    if angle == np.pi / 2:
        return noise
    center = noise.mean(axis=0)
    return center + np.cos(angle) * (X - center) + np.sin(angle) * (noise - center)


def path_starts(X: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Return the rows at which paths begin, a weight w beginning w of them.

    Larger weights begin four paths per row on average, and no more than 20,000 paths are begun. In
    lexicographic order, so that a weighted table and one with repeated rows begin the same.
    """
    order = np.lexsort(X.T[::-1])
    share = np.ones(len(X)) if weight is None else weight[order]
    total = share.sum()
    most = max(4 * len(X), 1000)
    whole = np.array_equal(share, np.round(share)) and total <= most
    n_paths = min(int(total) if whole else most, MOST_PATHS)
    slots = (np.arange(n_paths) + 0.5) / n_paths * total
    return X[order[np.searchsorted(np.cumsum(share), slots)]]


def telescope(
    X: np.ndarray,
    noise: np.ndarray,
    statistics: Statistics,
    *,
    alpha: float = 0.0,
    n_rows: float | None = None,
) -> Telescope | None:
    """Fit as many bridges as are needed between paired rows of data and noise.

    Parameters
    ----------
    X, noise : ndarray of shape (n, d)
        Rows of data and independent draws of the noise.
    statistics : Statistics
        Of every bridge.
    alpha : float, default=0
        Ridge, as in the fit without bridges.
    n_rows : float, default=None
        How many rows of data the paths stand for, where weights are not whole; else their number.

    Returns
    -------
    telescope : Telescope or None
        None where neighbors are still told apart at the most bridges.
    """
    angles, table = [0.0, np.pi / 2], {}
    for angle in angles:
        table[angle] = statistics.transform(waymark(X, noise, angle))
    fits: list[tuple[np.ndarray, float, np.ndarray]] = []
    low = 0
    while low < len(angles) - 1:
        start, end = angles[low], angles[low + 1]
        fit = _bridge(table[start], table[end], alpha)
        if fit[1] < MIN_OVERLAP and len(angles) <= _MOST_BRIDGES and end - start > _NARROWEST:
            middle = (start + end) / 2
            angles.insert(low + 1, middle)
            table[middle] = statistics.transform(waymark(X, noise, middle))
        elif fit[1] < MIN_OVERLAP / 2:
            return None
        else:
            fits.append(fit)
            del table[start]
            low += 1
    bridges, overlaps, influence = zip(*fits)
    total = np.sum(influence, axis=0)
    n_rows = len(total) if n_rows is None else n_rows
    covariance = total.T @ total / len(total) / max(n_rows - 1, 1)
    return Telescope(
        np.sum(bridges, axis=0), covariance, np.array(bridges), np.array(angles), min(overlaps)
    )


def _bridge(
    near: np.ndarray, far: np.ndarray, alpha: float
) -> tuple[np.ndarray, float, np.ndarray]:
    """Return theta, overlap, and the influence of each path on theta, (n, k)."""
    rows = Rows(np.zeros(len(near)), np.zeros(len(far)), 0.0)
    contrast = LinearContrast(rows, near, far)
    fit = maximize(contrast, np.zeros(near.shape[1] + 1), alpha=alpha, max_iter=50)
    if fit.overlap < MIN_OVERLAP / 100:
        return fit.theta, fit.overlap, np.zeros_like(contrast.data)
    _, curvature = contrast.derivatives(fit.theta)
    of_near, of_far = contrast.pulls(fit.theta)
    inverse = solve_curvature(curvature + np.diag(np.append(np.full(near.shape[1], alpha), 0.0)))
    return fit.theta, fit.overlap, (of_near - of_far) @ inverse


CHECKED = 100  # rows at which a gradient is compared with differences
SEPARATED = 0.02  # overlap below which one regression learns next to nothing
_RIDGE = 1e-3  # where nothing else bounds the estimate; on the scale of standardized statistics


MOST_NOISE = 100_000  # rows of noise for weights of a population; more rows of data get more
KEPT = 2**23  # statistics of all rows; of larger tables they are computed again block by block


class NoiseRows(NamedTuple):
    """Noise and, for quasi-Monte-Carlo, the scramble of each row."""

    X: np.ndarray
    scramble: np.ndarray | None


class ParametricCritic:
    """A fitted log-density with parameters.

    Parameters
    ----------
    form : Form
        Statistics, or a model of one's own.
    noise : Noise
        What the data were told from.
    contrast : Contrast
        The rows; left out of pickles.
    fit : LinearFit
        The maximum.
    bridges : Telescope or None
        Where the data were too far from the noise.
    alpha : float
        Ridge that was used.

    Attributes
    ----------
    theta : ndarray of shape (p + 1,)
        Coefficients and c as fitted.
    coef : ndarray of shape (p,)
        Coefficients as reported, of the statistics in units of x.
    log_normalizer : float
        Minus the reported c.
    names : list of str
        Of the reported parameters, "log_normalizer" at the end.
    proposal : StudentNoise or None
        Where the noise is far: what importance sampling should start from instead.
    separation : float
        Overlap of data and noise, relative to that of noise like the data.
    """

    def __init__(
        self,
        form: Form,
        noise: Any,
        contrast: Contrast,
        fit: LinearFit,
        bridges: Telescope | None = None,
        alpha: float = 0.0,
    ) -> None:
        self.form, self.noise, self.bridges, self.alpha = form, noise, bridges, alpha
        self.contrast: Contrast | None = contrast
        self.fit = fit
        self.theta = fit.theta if bridges is None else bridges.theta
        self.tilts = form.tilts_noise
        self.proposal: StudentNoise | None = None
        self.separation = fit.overlap
        self.names = _distinct([*form.names, "log_normalizer"])
        self.map = form.reporting_map()
        reported = self.map @ self.theta
        self.coef, self.log_normalizer = reported[:-1], float(reported[-1])
        self.n, self.m = contrast.rows.n, len(contrast.rows.log_q_noise)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the rows, but not the covariances, which need them."""
        return {**vars(self), "contrast": None, "_covariances": self._covariances}

    @property
    def reported(self) -> np.ndarray:
        """Coefficients and log-normalizer, (p + 1,)."""
        return np.append(self.coef, self.log_normalizer)

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return log p, with the constant c that was fitted, (n,)."""
        value = self.form.phi(X, self.theta[:-1]) + self.theta[-1]
        return value + self.noise.log_density(X) if self.tilts else value

    def log_ratio(self, X: np.ndarray) -> np.ndarray:
        """Return log p - log q, (n,)."""
        value = self.form.phi(X, self.theta[:-1]) + self.theta[-1]
        return value if self.tilts else value - self.noise.log_density(X)

    def score_function(self, X: np.ndarray) -> np.ndarray:
        """Return the gradient of log p with respect to x, (n, d)."""
        slope = self.form.slope(X, self.theta[:-1])
        return slope + self.noise.score_function(X) if self.tilts else slope

    @property
    def has_score_function(self) -> bool:
        """Whether log p is smooth and its gradient known."""
        return self.form.differentiable and (
            not self.tilts or hasattr(self.noise, "score_function")
        )

    def covariance(self, kind: str) -> Covariance:
        """Return the covariance of the reported parameters.

        Raises
        ------
        ValueError
            There is none: a ridge was used, or a direction is flat.
        """
        found = self._covariances[kind]
        if isinstance(found, str):
            raise ValueError(found)
        return found.mapped(self.map)

    @cached_property
    def _covariances(self) -> dict[str, Covariance | str]:
        """The covariance of each kind, or why there is none; found when first asked for."""
        if self.alpha > 0:
            return dict.fromkeys(KINDS, _RIDGED)
        if self.bridges is not None:
            matrix = self.bridges.covariance
            zero = np.zeros_like(matrix)
            found = Covariance(matrix, matrix, zero, max(self.n - 1, 1.0), np.inf)
            return dict.fromkeys(KINDS, found)
        assert self.contrast is not None
        try:
            return {**covariances(self.contrast, self.theta)}
        except ValueError as error:  # kept, to be told when it is asked for
            return dict.fromkeys(KINDS, str(error))


def near_student(X: np.ndarray, weight: np.ndarray | None) -> StudentNoise:
    """Return Student's t with five degrees of freedom and twice the covariance of the rows."""
    mean = np.average(X, axis=0, weights=weight)
    covariance = np.atleast_2d(np.cov(X.T, aweights=weight, bias=True))
    unit = np.sqrt(np.diagonal(covariance))
    values, vectors = np.linalg.eigh(covariance / unit / unit[:, None])
    root = vectors * np.sqrt(np.maximum(values, 1e-10))  # columns may determine one another
    factor = qr(root.T, mode="r")[0].T * unit[:, None]
    return StudentNoise(5.0, mean, factor * np.sign(np.diagonal(factor)) * np.sqrt(2 * 3 / 5))


def draw_noise(noise: Any, n_rows: float, sampling: str, rng: np.random.Generator) -> NoiseRows:
    """Return noise rows, by quasi-Monte-Carlo where the noise has an inverse map.

    Parameters
    ----------
    noise : Noise
        Fitted noise.
    n_rows : float
        Number of rows wanted.
    sampling : {"auto", "qmc", "iid"}
        "auto": scrambled Sobol points where possible.
    rng : numpy.random.Generator
        Source of both.

    Raises
    ------
    ValueError
        "qmc" for noise without an inverse map.
    """
    if sampling == "qmc" and not has_inverse_map(noise):
        raise ValueError(
            "noise_sampling='qmc' needs noise with an inverse map: 'gaussian', 'gmm', 'student_t', "
            "'uniform', 'marginals' or 'bernoulli'. Use noise_sampling='auto'."
        )
    if sampling == "iid" or not has_inverse_map(noise):
        return NoiseRows(noise.sample(max(round(n_rows), 2), rng), None)
    uniforms, scramble = sobol_uniforms(n_rows, noise.n_uniforms, rng)
    return NoiseRows(noise.transform(uniforms), scramble)


def fit_parametric_critic(
    X: np.ndarray,
    weight: np.ndarray | None,
    noise: Any,
    form: Form,
    *,
    noise_ratio: float,
    noise_sampling: str = "auto",
    rng: np.random.Generator,
    alpha: float = 0.0,
    tol: float = 1e-12,
    max_iter: int = 100,
    observe: Callable[[int, float], Any] | None = None,
) -> ParametricCritic:
    """Tell data from noise with a critic that has parameters.

    If the two are told apart almost without error, a tilt of the noise, log p - log q, is
    estimated by telescoping. A critic that is a log-density does not depend on the noise, so it is
    fitted against Student's t near the data instead. If neither helps, a ridge bounds the
    estimate, with a warning, and there is no inference.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Training rows.
    weight : ndarray of shape (n,) or None
        Their weights.
    noise : Noise
        Fitted noise.
    form : Form
        Statistics, or a model of one's own.
    noise_ratio : float
        Noise rows per data row.
    noise_sampling : {"auto", "qmc", "iid"}
        See :func:`draw_noise`.
    rng : numpy.random.Generator
        Of the noise.
    alpha : float, default=0
        Ridge on the coefficients.
    tol, max_iter, observe
        As in :func:`skgm.nce._contrast.maximize`.

    Returns
    -------
    critic : ParametricCritic

    Raises
    ------
    ValueError
        Rows outside the support of the noise; statistics that are not finite.
    """
    n = total_weight(len(X), weight)
    n_noise = min(noise_ratio * n, max(noise_ratio * len(X), MOST_NOISE))
    alpha = max(alpha, form.ridge)
    options: dict[str, Any] = {"tol": tol, "max_iter": max_iter, "observe": observe}

    def tell_from(source: Any, ridge: float) -> tuple[Contrast, LinearFit]:
        rows = draw_noise(source, n_noise, noise_sampling, rng)
        contrast = _contrast(X, weight, source, form, rows, noise_ratio * n / n_noise)
        fit = maximize(contrast, _start(contrast, form), alpha=ridge, **options)
        if isinstance(form, OwnModel):  # right where it began does not make a gradient right here
            form.check_gradient(X[:CHECKED], fit.coef)
        return contrast, fit

    contrast, fit = tell_from(noise, alpha)
    if fit.overlap >= SEPARATED:
        _warn_unconverged(fit, max_iter)
        return ParametricCritic(form, noise, contrast, fit, alpha=alpha)
    if not noise.discrete and n > 5 * len(form.names):  # fewer rows are separated by chance
        near = near_student(X, weight)
        found = None
        if not form.tilts_noise:
            found = ParametricCritic(form, noise, *tell_from(near, alpha), alpha=alpha)
        elif isinstance(form, Statistics):
            starts = path_starts(X, weight)
            draws = noise.sample(len(starts), rng)
            bridges = telescope(starts, draws, form, alpha=alpha, n_rows=min(n, len(starts)))
            found = bridges and ParametricCritic(form, noise, contrast, fit, bridges, alpha)
        if found is not None and (found.bridges or found.separation >= SEPARATED):
            found.proposal, found.separation = near, fit.overlap
            return found
    warn_user(_SEPARATED.format(fit.overlap), ConvergenceWarning)
    return ParametricCritic(
        form, noise, *tell_from(noise, max(alpha, _RIDGE)), alpha=max(alpha, _RIDGE)
    )


def _distinct(names: list[str]) -> list[str]:
    """Return the names of the parameters, refusing two of the same."""
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValueError(
            f"Two parameters would be named {twice[0]!r}. Rename the column (a product of columns "
            "'a' and 'b' is named 'a b', the constant 'log_normalizer') or the key of theta0."
        )
    return names


def _start(contrast: Contrast, form: Form) -> np.ndarray:
    """Return where the search begins: logits of median zero, where it can see its way."""
    own = form.start if isinstance(form, OwnModel) else np.zeros(len(form.names))
    start = np.append(own, 0.0)
    logits = np.concatenate(contrast.logits(start))
    start[-1] = -np.median(logits[np.isfinite(logits)])
    return start


def _contrast(
    X: np.ndarray,
    weight: np.ndarray | None,
    noise: Any,
    form: Form,
    rows: NoiseRows,
    multiplicity: float,
) -> Contrast:
    """Return the objective on data and noise rows, each data row standing for `multiplicity`.

    Dividing the weights by the multiplicity keeps the ratio of noise to data, and with it the
    objective, at the chosen noise ratio.
    """
    if weight is not None:
        weight = weight / multiplicity
    log_nu = float(np.log(len(rows.X) / total_weight(len(X), weight)))
    if form.tilts_noise:
        log_q = np.zeros(len(X)), np.zeros(len(rows.X))
    else:
        log_q = by_blocks(noise.log_density, X), by_blocks(noise.log_density, rows.X)
    check_rows_inside(log_q[0])
    known = Rows(*log_q, log_nu, weight, rows.scramble, multiplicity)
    if isinstance(form, Statistics):
        if (len(X) + len(rows.X)) * len(form.names) > KEPT:
            return LinearContrast(known, X, rows.X, form.transform)
        return LinearContrast(known, form.transform(X), form.transform(rows.X))
    assert isinstance(form, OwnModel)
    form.check_values(rows.X, form.start)
    return ModelContrast(known, X, rows.X, form.phi, form.gradient)


def _warn_unconverged(fit: LinearFit, max_iter: int) -> None:
    if not fit.converged:
        warn_user(
            f"The estimate has not converged after {fit.n_iter} Newton steps (max_iter="
            f"{max_iter}). Raise max_iter, start nearer to the estimate (theta0), or leave out "
            "statistics that the data do not determine.",
            ConvergenceWarning,
        )


_RIDGED = (
    "The estimate was bounded by a ridge (alpha > 0, or data that are told from the noise without "
    "error), so standard errors, intervals and tests do not exist. Use alpha=0, noise nearer to "
    "the data (noise='gaussian' or 'gmm'), more rows, or fewer statistics."
)
_SEPARATED = (
    "The critic tells data from noise almost without error (separation_ = {:.2g}): the noise is "
    "too far from the data, or there are more statistics than the rows determine. A ridge bounds "
    "the estimate; its size is arbitrary. Choose noise nearer to the data (noise='gaussian' or "
    "'gmm'), or fewer statistics."
)
