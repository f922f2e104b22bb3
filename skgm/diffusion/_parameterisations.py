"""What a network may predict: the noise, the data, the velocity or the score, each from the other.

With x_t = a x_0 + s eps, a^2 = alpha_bar, a^2 + s^2 = 1, the pair (x_t, v) with v = a eps - s x_0
is the pair (x_0, eps) turned by the angle of the level: hence v is the one prediction from which
the others follow without a division.
"""

from typing import Any

import numpy as np

from skgm.diffusion._forward import as_columns

__all__ = ["PREDICTIONS", "convert_prediction"]

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
    eq. ddpm-parameterisations.
    """
    for role, kind in (("source", source), ("target", target)):
        if kind not in PREDICTIONS:
            raise ValueError(f"{role} must be one of {', '.join(PREDICTIONS)}; got {kind!r}.")
    share = np.asarray(alpha_bar, dtype=np.float64)
    _refuse_undetermined(share, source, target)
    known, noisy = np.asarray(prediction), np.asarray(x_t)
    a, s = as_columns(np.sqrt(share)), as_columns(np.sqrt(1.0 - share))
    if source == target:
        return np.array(known)
    if source == "score":
        known, source = -s * known, "eps"  # eq. ddpm-parameterisations
    if source == "eps":
        data, noise = (lambda: (noisy - s * known) / a), (lambda: known)
    elif source == "x0":
        data, noise = (lambda: known), (lambda: (noisy - a * known) / s)
    else:
        data, noise = (lambda: a * noisy - s * known), (lambda: s * noisy + a * known)
    wanted = {
        "eps": noise,
        "x0": data,
        "v": lambda: a * noise() - s * data(),
        "score": lambda: -noise() / s,
    }
    return np.asarray(wanted[target]())


def _refuse_undetermined(share: np.ndarray, source: str, target: str) -> None:
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
