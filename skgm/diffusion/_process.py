"""Computes the forward process, its posterior and its parameterizations in closed form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from skgm.diffusion._schedule import NoiseSchedule

__all__ = [
    "PREDICTIONS",
    "NoiseLevels",
    "as_columns",
    "check_steps",
    "convert_prediction",
    "forward_marginal",
    "forward_step",
    "gaussian_product",
    "gaussian_quotient",
    "log_normal",
    "noisy_pairs",
    "posterior_mean",
    "posterior_variance",
    "posterior_weights",
    "prediction_gain",
    "turned",
]


def forward_step(x: Any, t: Any, schedule: NoiseSchedule) -> tuple[np.ndarray, np.ndarray]:
    r"""Return mean and variance of one step of noise, from level t - 1 to level t.

    .. math::
        q(x_t \mid x_{t-1}) = N\bigl(\sqrt{\alpha_t}\, x_{t-1},\; (1 - \alpha_t) I\bigr)

    Parameters
    ----------
    x : array-like of shape (n, d)
        Rows at level t - 1.
    t : int or array-like of shape (n,)
        Levels, 1 to n_timesteps.
    schedule : NoiseSchedule
        The levels.

    Returns
    -------
    mean : ndarray of shape (n, d)
        Means of the noisy rows.
    variance : ndarray of shape () or (n,)
        Variance of every coordinate.

    Notes
    -----
    eq. ddpm-forward.
    """
    level = check_steps(t, schedule)
    alpha = schedule.alpha[level - 1]
    return as_columns(np.sqrt(alpha)) * np.asarray(x), 1.0 - alpha


def forward_marginal(x_0: Any, t: Any, schedule: NoiseSchedule) -> tuple[np.ndarray, np.ndarray]:
    r"""Return mean and variance of a row after t steps of noise.

    .. math::
        q(x_t \mid x_0) = N\bigl(\sqrt{\bar\alpha_t}\, x_0,\; (1 - \bar\alpha_t) I\bigr)

    Parameters
    ----------
    x_0 : array-like of shape (n, d)
        Rows of data.
    t : int or array-like of shape (n,)
        Levels, 0 to n_timesteps.
    schedule : NoiseSchedule
        The levels.

    Returns
    -------
    mean : ndarray of shape (n, d)
        Means of the noisy rows.
    variance : ndarray of shape () or (n,)
        Variance of every coordinate.

    Notes
    -----
    eq. ddpm-marginal.
    """
    alpha_bar = schedule.alpha_bar_at(t)
    return as_columns(np.sqrt(alpha_bar)) * np.asarray(x_0), 1.0 - alpha_bar


def check_steps(t: Any, schedule: NoiseSchedule) -> np.ndarray:
    """Return t as an array of levels from 1 on: a step ends there."""
    level = np.asarray(t)
    if level.dtype.kind not in "iu" or np.any(level < 1) or np.any(level > schedule.n_timesteps):
        raise ValueError(f"t must be whole numbers from 1 to {schedule.n_timesteps}; got {t!r}.")
    return level


def as_columns(value: Any) -> np.ndarray:
    """Return one number per row as a column, (n, 1), and a single number as it is."""
    array = np.asarray(value)
    return array[:, None] if array.ndim == 1 else array


# The posterior of one denoising step: the distribution of x_{t-1} given x_t and the data x_0.


def posterior_mean(x_t: Any, x_0: Any, t: Any, schedule: NoiseSchedule) -> np.ndarray:
    r"""Return the mean of x_{t-1} given x_t and x_0.

    .. math::
        \mu_t(x_t, x_0) = \frac{\sqrt{\alpha_t} (1 - \bar\alpha_{t-1})\, x_t
            + \sqrt{\bar\alpha_{t-1}} (1 - \alpha_t)\, x_0}{1 - \bar\alpha_t}

    A linear combination, not an interpolation: the two coefficients sum to less than one for
    t > 1. At t = 1 the mean is x_0.

    Parameters
    ----------
    x_t : array-like of shape (n, d)
        Rows at level t.
    x_0 : array-like of shape (n, d)
        The rows of data they came from.
    t : int or array-like of shape (n,)
        Levels, 1 to n_timesteps.
    schedule : NoiseSchedule
        The levels.

    Returns
    -------
    mean : ndarray of shape (n, d)
        Means of the rows at level t - 1.

    Notes
    -----
    eq. ddpm-posterior-mean, ddpm-bayes.
    """
    level = check_steps(t, schedule)
    of_noisy, of_data, _ = posterior_weights(
        schedule.alpha_bar_at(level), schedule.alpha_bar_at(level - 1)
    )
    return as_columns(of_noisy) * np.asarray(x_t) + as_columns(of_data) * np.asarray(x_0)


def posterior_variance(t: Any, schedule: NoiseSchedule) -> np.ndarray:
    r"""Return the variance of every coordinate of x_{t-1} given x_t and x_0.

    .. math::
        \tilde\beta_t = \frac{(1 - \alpha_t)(1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t}

    It is zero at t = 1, where x_{t-1} is x_0.

    Parameters
    ----------
    t : int or array-like of shape (n,)
        Levels, 1 to n_timesteps.
    schedule : NoiseSchedule
        The levels.

    Returns
    -------
    variance : ndarray of the shape of t
        Variances.

    Notes
    -----
    eq. ddpm-posterior-variance.
    """
    level = check_steps(t, schedule)
    return posterior_weights(schedule.alpha_bar_at(level), schedule.alpha_bar_at(level - 1))[2]


def posterior_weights(alpha_bar_t: Any, alpha_bar_s: Any) -> tuple[Any, Any, Any]:
    """Return the weights of x_t and x_0 in the posterior mean at level s < t, and the variance.

    The levels need not be neighbors of one schedule: alpha is the ratio of the two alpha_bar, which
    is also correct for strided steps.
    """
    alpha_bar_t, alpha_bar_s = np.asarray(alpha_bar_t), np.asarray(alpha_bar_s)
    alpha = alpha_bar_t / alpha_bar_s
    beta, noise_t, noise_s = 1.0 - alpha, 1.0 - alpha_bar_t, 1.0 - alpha_bar_s
    of_noisy = np.sqrt(alpha) * noise_s / noise_t  # eq. ddpm-posterior-mean
    of_data = np.sqrt(alpha_bar_s) * beta / noise_t
    return of_noisy, of_data, beta * noise_s / noise_t  # eq. ddpm-posterior-variance


# Products and quotients of normal densities as functions of the same variable.

Normal = tuple[Any, Any]


def gaussian_product(*factors: Normal) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Return the normal density that a product of normal densities is proportional to.

    .. math::
        \prod_i N(x; \mu_i, s_i) = c\, N(x; \mu, s), \qquad
        \frac1s = \sum_i \frac1{s_i}, \quad \frac\mu s = \sum_i \frac{\mu_i}{s_i}

    Parameters
    ----------
    *factors : tuple of (mean, variance)
        Numbers or arrays that broadcast together; each coordinate is a product of its own.

    Returns
    -------
    mean : ndarray
        Means of the normal density.
    variance : ndarray
        Variances.
    log_scale : ndarray
        Logarithm of c: the product is a density only after division by c.

    Raises
    ------
    ValueError
        A variance that is not positive.
    """
    return _combine(factors, ())


def gaussian_quotient(
    numerator: Normal | list[Normal], denominator: Normal | list[Normal]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Return the normal density that a quotient of normal densities is proportional to.

    .. math::
        \frac{N(x; \mu_1, s_1)\, N(x; \mu_2, s_2)}{N(x; \mu_3, s_3)} = c\, N(x; \mu, s), \qquad
        \frac1s = \frac1{s_1} + \frac1{s_2} - \frac1{s_3}, \quad
        \frac\mu s = \frac{\mu_1}{s_1} + \frac{\mu_2}{s_2} - \frac{\mu_3}{s_3}

    Precisions add and subtract, and so do the precision-weighted means. If what is left of the
    precision is not positive, the quotient grows in the tails and is proportional to no density.

    Parameters
    ----------
    numerator : tuple of (mean, variance), or list of such tuples
        Densities above the line.
    denominator : tuple of (mean, variance), or list of such tuples
        Densities below the line.

    Returns
    -------
    mean : ndarray
        Means of the normal density.
    variance : ndarray
        Variances.
    log_scale : ndarray
        Logarithm of c: the quotient is a density only after division by c.

    Raises
    ------
    ValueError
        A variance, or the precision of the result, that is not positive.

    Notes
    -----
    eq. gaussian-quotient.

    Examples
    --------
    >>> from skgm.diffusion import gaussian_quotient
    >>> mean, variance, _ = gaussian_quotient([(0.0, 1.0), (1.0, 2.0)], (1.0, 5.0))
    >>> round(float(variance), 3), round(float(mean), 3)
    (0.769, 0.231)
    """
    return _combine(_listed(numerator), _listed(denominator))


def _listed(factors: Any) -> tuple[Normal, ...]:
    return (factors,) if isinstance(factors, tuple) else tuple(factors)


def _combine(
    above: tuple[Normal, ...], below: tuple[Normal, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    signed = [(*_checked(f), 1.0) for f in above] + [(*_checked(f), -1.0) for f in below]
    precision = sum(sign / variance for _, variance, sign in signed)
    if not np.all(precision > 0):
        raise ValueError(
            "The quotient of these normal densities has precision "
            f"{float(np.min(precision)):g} <= 0, so it is proportional to no density. The "
            "precisions in the numerator must outweigh those in the denominator."
        )
    variance = 1.0 / precision
    mean = variance * sum(sign * m / v for m, v, sign in signed)  # eq. gaussian-quotient
    log_scale = sum(sign * log_normal(mean, m, v) for m, v, sign in signed)
    log_scale = log_scale + 0.5 * np.log(2 * np.pi * variance)
    return np.asarray(mean), np.asarray(variance), np.asarray(log_scale)


def _checked(factor: Normal) -> tuple[np.ndarray, np.ndarray]:
    mean, variance = (np.asarray(part, dtype=np.float64) for part in factor)
    if not np.all(variance > 0):
        raise ValueError(f"Variances must be positive; got {factor[1]!r}.")
    return mean, variance


def log_normal(x: Any, mean: Any, variance: Any) -> Any:
    """Return the log-density of a normal distribution, elementwise."""
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)


# Conversions between the predictions of a network: noise, data, velocity and score.
#
# With x_t = a x_0 + s eps, a^2 = alpha_bar, a^2 + s^2 = 1 and F = -v = s x_0 - a eps, the map
#
#     (x_0, eps) -> (x_t, F) = (a x_0 + s eps, s x_0 - a eps)
#
# is an orthogonal reflection, hence its own inverse: the data and the noise follow from x_t and F
# (or v) without a division, by `turned`, which training and sampling use too.

PREDICTIONS = ("eps", "x0", "v", "score")


def convert_prediction(
    prediction: Any, x_t: Any, alpha_bar: Any, *, source: str, target: str
) -> np.ndarray:
    r"""Turn one kind of prediction about a noisy row into another.

    .. math::
        x_t = a x_0 + s \epsilon, \qquad v = a \epsilon - s x_0, \qquad
        \nabla \log q(x_t) = -\epsilon / s, \qquad a = \sqrt{\bar\alpha_t}, \;
        s = \sqrt{1 - \bar\alpha_t}

    Parameters
    ----------
    prediction : array-like of shape (n, d)
        What is known.
    x_t : array-like of shape (n, d)
        The noisy rows.
    alpha_bar : float or array-like of shape (n,)
        Share of the variance that is data, 0 to 1.
    source, target : {"eps", "x0", "v", "score"}
        What is known and what is wanted: expected noise, data, velocity, or the gradient of the
        log-density of the noisy rows.

    Returns
    -------
    prediction : ndarray of shape (n, d)
        What was wanted.

    Raises
    ------
    ValueError
        An unknown kind, or a level where the one does not determine the other: the noise says
        nothing about the data at alpha_bar = 0, nor the data about the noise at alpha_bar = 1.

    Notes
    -----
    eq. ddpm-parameterizations.
    """
    for role, kind in (("source", source), ("target", target)):
        if kind not in PREDICTIONS:
            raise ValueError(f"{role} must be one of {', '.join(PREDICTIONS)}; got {kind!r}.")
    share = np.asarray(alpha_bar, dtype=np.float64)
    _check_undetermined(share, source, target)
    known, noisy = np.asarray(prediction), np.asarray(x_t)
    a, s = as_columns(np.sqrt(share)), as_columns(np.sqrt(1.0 - share))
    if source == target:
        return np.array(known)
    if source == "score":
        known, source = -s * known, "eps"  # eq. ddpm-parameterizations
    if source == "eps":
        data, noise = (lambda: (noisy - s * known) / a), (lambda: known)
    elif source == "x0":
        data, noise = (lambda: known), (lambda: (noisy - a * known) / s)
    else:
        of_v = turned(noisy, -known, a, s)
        data, noise = (lambda: of_v[0]), (lambda: of_v[1])
    wanted = {
        "eps": noise,
        "x0": data,
        "v": lambda: a * noise() - s * data(),
        "score": lambda: -noise() / s,
    }
    return np.asarray(wanted[target]())


def _check_undetermined(share: np.ndarray, source: str, target: str) -> None:
    if not np.all((share >= 0) & (share <= 1)):
        raise ValueError(f"alpha_bar must lie between 0 and 1; got {share!r}.")
    needs_data = source in ("eps", "score") and target in ("x0", "v")
    needs_noise = source == "x0" and target in ("eps", "v")
    to_score = target == "score" and source != "score"
    if needs_data and np.any(share == 0):
        raise ValueError(
            f"At alpha_bar = 0 a row is all noise and {source!r} does not determine {target!r}; "
            "use source='v' or 'x0'."
        )
    if (needs_noise or to_score) and np.any(share == 1):
        raise ValueError(
            f"At alpha_bar = 1 a row has no noise and {source!r} does not determine {target!r}; "
            "use a level above 0."
        )


# Noise levels of training, and the pair (noisy row, target) that a network learns from.

# Close to one end of the angles a prediction other than "v" determines F badly: its gain is capped.
_LEAST = 0.1


@dataclass(frozen=True)
class NoiseLevels:
    """A distribution over angles phi, whose tangent is the standard deviation of the noise.

    "lognormal": log tan(phi) is normal, truncated to the range; "uniform": phi is uniform.
    """

    phi_min: float
    phi_max: float
    kind: str = "lognormal"
    mean: float = -1.2
    spread: float = 1.2

    def angles(self, quantiles: np.ndarray) -> np.ndarray:
        """Return the angles at the quantiles, both of shape (n,)."""
        if self.kind == "uniform":
            return self.phi_min + (self.phi_max - self.phi_min) * quantiles
        ends = np.log(np.tan([self.phi_min, self.phi_max]))
        low, high = ndtr((ends - self.mean) / self.spread)
        normal = ndtri(low + (high - low) * quantiles)
        return np.arctan(np.exp(self.mean + self.spread * normal))

    def draw(self, sizes: Sequence[int], rng: np.random.Generator) -> np.ndarray:
        """Draw angles for batches of these sizes, (sum of sizes,).

        In a batch of n there is one in each of n equally likely strata, in random order.
        """
        strata = [rng.permutation(n) / n for n in sizes]
        widths = np.repeat(1 / np.asarray(sizes), sizes)
        return self.angles(np.concatenate(strata) + rng.random(len(widths)) * widths)


def turned(first: Any, second: Any, cos: Any, sin: Any) -> tuple[Any, Any]:
    """Return cos first + sin second and sin first - cos second (eq. ddpm-parameterizations).

    Takes data and noise to the noisy row u and F, and u and F back to data and noise.
    """
    return cos * first + sin * second, sin * first - cos * second


def noisy_pairs(z: np.ndarray, noise: np.ndarray, phi: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return u = cos(phi) z + sin(phi) e and the target F = sin(phi) z - cos(phi) e, (n, d).

    `phi` is one angle, or one for each row, (n,).
    """
    if np.ndim(phi) == 0:
        return turned(z, noise, z.dtype.type(np.cos(phi)), z.dtype.type(np.sin(phi)))
    phi = phi.astype(z.dtype)
    # arrays of the shape of z are faster than broadcasting along few columns
    cos, sin = (np.repeat(f(phi), z.shape[1]).reshape(z.shape) for f in (np.cos, np.sin))
    return turned(z, noise, cos, sin)


def prediction_gain(prediction: str, phi: np.ndarray) -> np.ndarray:
    """Return what turns the output of a network into F, (n,).

    Every prediction is written as its value for Gaussian data plus a multiple of F: for the noise
    e = sin(phi) u - cos(phi) F, for the data z = cos(phi) u + sin(phi) F. The network learns the
    second term, so whatever is predicted, a network of zeros is the fitted Gaussian; the
    predictions differ in how they weight the noise levels.
    """
    if prediction == "v":
        return np.ones_like(phi)
    if prediction == "eps":
        return -1 / np.maximum(np.cos(phi), _LEAST)
    return 1 / np.maximum(np.sin(phi), _LEAST)
