"""What `fit` takes besides rows and weights: arguments of the last step, and censoring."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import has_fit_parameter

from skgm.compose._compile import build
from skgm.compose._derived import acts_by_column

__all__ = ["follow_columns", "keep_param_rows", "last_step_params"]

Steps = list[tuple[str, Any]]


def last_step_params(
    steps: Steps, event: Any, params: Mapping[str, Any], custom: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of the last step's `fit`, from `event` and ``step__parameter``.

    Raises
    ------
    ValueError
        An argument of no step, or of one that is not the last; one that its `fit` does not take;
        events with transformers that do not carry them.
    """
    name, density = steps[-1]
    found = _of_last_step(params, name)
    if event is not None:
        if "event" in found:
            raise ValueError(f"Give event or {name}__event, not both.")
        found["event"] = event
    for key in found:
        if not has_fit_parameter(density, key):
            raise ValueError(
                f"The last step, {name!r} ({type(density).__name__}), takes no {key!r} in fit; "
                "leave it out."
            )
    if found.get("event") is None:
        found.pop("event", None)
    elif not acts_by_column(steps, custom):
        raise ValueError(
            "event needs transformers that are known to act on each column alone and to increase, "
            "so that a value known to be larger is still known to be larger after them. Leave out "
            "PCA and steps with log_jacobians."
        )
    return found


def _of_last_step(params: Mapping[str, Any], last: str) -> dict[str, Any]:
    """Return those of `params` by the names that the last step knows them by."""
    found = {}
    for key, value in params.items():
        step, _, argument = key.partition("__")
        if step != last or not argument:
            raise ValueError(
                f"fit takes {last}__parameter=..., an argument of the last step's fit; got "
                f"{key!r}. The transformers learn from X and sample_weight alone."
            )
        if argument == "sample_weight":
            raise ValueError(f"Give sample_weight, which goes to every step; got {key!r}.")
        found[argument] = value
    return found


def keep_param_rows(params: Mapping[str, Any], kept: np.ndarray) -> dict[str, Any]:
    """Return arguments with one value per row, for the rows where `kept`, (n,), is True."""
    return {
        name: np.asarray(value)[kept] if np.shape(value)[:1] == kept.shape else value
        for name, value in params.items()
    }


def follow_columns(params: Mapping[str, Any], fitted: Steps, n_features: int) -> dict[str, Any]:
    """Return arguments with the events, (n, d), in the order of columns that the steps leave."""
    event: Any = params.get("event")
    if np.shape(event)[1:] != (n_features,):
        return dict(params)
    places: Any = list(range(n_features))
    for name, step in fitted:  # a ColumnTransformer moves columns
        places = build(step, name, {}).names_out(places)
    return {**params, "event": np.asarray(event)[:, places]}
