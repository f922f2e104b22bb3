"""Which critic the parameters of NCEDensity describe, and its fit."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skgm.nce._classifiers import is_classifier_like
from skgm.nce._forms import Form
from skgm.nce._linear import LinearCritic
from skgm.nce._models import own_model
from skgm.nce._noise_choice import NOISE_NAMES
from skgm.nce._preparation import Prepared
from skgm.nce._statistics import is_linear_critic, make_statistics

__all__ = ["check_choices", "has_parameters", "linear_form", "noise_spec", "observer", "smooth"]


def has_parameters(critic: Any, log_phi: Any) -> bool:
    """Tell whether these arguments describe a model with parameters, not a classifier."""
    return log_phi is not None or is_linear_critic(critic)


def check_choices(critic: Any, noise: Any, log_phi: Any) -> None:
    """Refuse a critic or a noise that is neither a known name nor a usable object.

    Raises
    ------
    ValueError
        An unknown name; `log_phi` together with a `critic`.
    TypeError
        An object of another kind.
    """
    if isinstance(noise, str) and noise not in NOISE_NAMES:
        raise ValueError(f"noise must be one of {list(NOISE_NAMES)}; got {noise!r}.")
    automatic = isinstance(critic, str) and critic == "auto"
    if log_phi is not None:
        if not callable(log_phi):
            raise TypeError(f"log_phi must be a callable log_phi(X, theta); got {log_phi!r}.")
        if not automatic:
            raise ValueError("log_phi is the model: leave critic='auto' with it.")
    elif not (automatic or is_linear_critic(critic) or is_classifier_like(critic)):
        kind = ValueError if isinstance(critic, str) else TypeError
        raise kind(
            "critic must be 'auto', 'linear', 'quadratic', 'poly3', 'poly4', 'rff', a transformer "
            "or callable that gives statistics, or a classifier with decision_function or "
            f"predict_proba; got {critic!r}."
        )


def noise_spec(noise: Any, critic: Any, log_phi: Any) -> Any:
    """Return the noise that is meant by "auto": for a Gaussian model, the matching Gaussian."""
    automatic = isinstance(noise, str) and noise == "auto"
    gaussian = log_phi is None and isinstance(critic, str) and critic in ("quadratic", "poly2")
    return "gaussian" if automatic and gaussian else noise


def linear_form(
    critic: Any,
    log_phi: Any,
    theta0: Any,
    gradient: Any,
    rows: Prepared,
    names: list[str],
    rng: np.random.Generator,
) -> Form:
    """Return the form of log p that the parameters of NCEDensity describe."""
    if log_phi is None:
        return make_statistics(critic, rows.X, rows.weight, names, rng)
    smooth_in_x = rows.lattice is not None  # none for zeros and ones
    return own_model(log_phi, theta0, gradient, rows.X, differentiable=smooth_in_x)


def observer(losses: list[float], announce: Callable[[], Any]) -> Callable[[int, float], Any]:
    """Return what the search calls after each step: it keeps minus J, and tells the callbacks."""

    def observe(n_iter: int, height: float) -> None:
        losses.append(-height)
        announce()

    return observe


def smooth(estimator: Any) -> bool:
    """Whether an estimator has a score function: parameters, and a critic smooth in x."""
    critic = getattr(estimator, "_critic", None)
    if critic is None:
        return has_parameters(estimator.critic, estimator.log_phi)
    return isinstance(critic, LinearCritic) and critic.has_score_function
