"""Standard errors where an estimate is infinite: those of the family in the limit."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skgm.inference._information import (
    columnwise_meat,
    errors_from_information,
    errors_from_sandwich,
)

__all__ = ["infinite_estimates", "limit_errors"]

Params = Mapping[str, np.ndarray]


def infinite_estimates(family: Any, params: Params) -> dict[str, np.ndarray]:
    """Return, by parameter that may be infinite, in which columns (d,) its estimate is."""
    found = {p.name: np.isposinf(params[p.name]) for p in family.parameters if p.may_be_infinite}
    return {name: where for name, where in found.items() if where.any()}


def limit_errors(
    family: Any,
    statistics: Any,
    params: Params,
    cov: str,
    rows: tuple[np.ndarray, np.ndarray | None] | None = None,
) -> dict[str, np.ndarray]:
    """Return standard errors with infinite parameters known: there the family is a smaller one.

    Parameters
    ----------
    family : Family
        Negative binomial or Student's t, or one of these with parameters fixed.
    statistics : object
        Its statistics.
    params : dict of str to ndarray of shape (d,)
        The estimate.
    cov : {"model", "observed", "robust"}
        The kind of covariance.
    rows : tuple of ndarray, default=None
        The table and its weights, for "robust".

    Returns
    -------
    errors : dict of str to ndarray of shape (d,)
        NaN where the estimate is infinite.
    """
    infinite = infinite_estimates(family, params)
    if cov == "model":
        information = family.information(params)
    else:
        information = family.observed_information(statistics, params)
    information = np.array(information)
    for k, parameter in enumerate(family.parameters):
        where = infinite.get(parameter.name)
        if where is not None:  # the score in it vanishes, and with it its row and column
            information[where, k], information[where, :, k] = 0.0, 0.0
            information[where, k, k] = 1.0
    if cov == "robust":
        assert rows is not None
        meat = columnwise_meat(lambda part: family.score(part, params), *rows)
        errors = errors_from_sandwich(information, meat, statistics.n)
    else:
        errors = errors_from_information(information, statistics.n)
    return {
        p.name: np.where(infinite.get(p.name, False), np.nan, errors[:, k])
        for k, p in enumerate(family.parameters)
    }
