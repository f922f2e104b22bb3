"""Maximum-likelihood fits of one column, by one call."""

from typing import Any

import numpy as np

from skgm.inference._mle import MLEDensity
from skgm.inference._tables import as_table

__all__ = ["fit_family"]


def fit_family(
    x: Any,
    family: Any = "normal",
    *,
    fixed: Any = None,
    window: Any = None,
    sample_weight: Any = None,
    event: Any = None,
    upper: Any = None,
    entry: Any = None,
    exposure: Any = None,
    trials: Any = None,
) -> MLEDensity:
    """Fit a parametric family to one column of numbers.

    Parameters
    ----------
    x : Series, array-like of shape (n,) or table of shape (n, 1)
        The values. The name of a Series is that of the column.
    family : str, Family or scipy.stats distribution, default="normal"
        As in :class:`MLEDensity`.
    fixed : dict of str to float, default=None
        Known parameters or constants, as there.
    window : tuple of (float, float), default=None
        Between which ends values were seen at all.
    sample_weight : array-like of shape (n,), default=None
        A weight w counts its value w times.
    event : array-like of shape (n,), default=None
        1 where the value was observed, 0 where it is right-censored.
    upper, entry : array-like of shape (n,), default=None
        The value lies in [x, upper], and is in the table because it is larger than `entry`; as in
        :meth:`MLEDensity.fit`.
    exposure, trials : array-like of shape (n,), default=None
        Constants of Poisson, negative binomial and binomial counts, as there.

    Returns
    -------
    model : MLEDensity
        The fitted estimator: ``params_``, ``confidence_intervals()``, ``summary()``, ``quantile``.

    Examples
    --------
    >>> from skgm import fit_family
    >>> model = fit_family([0.3, 1.2, 0.5, 2.0], "exponential")
    >>> model.params_, round(model.quantile(0.5), 3)
    ({'rate': 1.0}, 0.693)
    >>> low, high = model.confidence_intervals(of="median")["median"]
    >>> round(low, 3), round(high, 3)
    (0.298, 2.233)
    """
    told = {"event": event, "upper": upper, "entry": entry}
    told |= {"exposure": exposure, "trials": trials}
    told = {name: value for name, value in told.items() if value is not None}
    table = as_table(x)
    if hasattr(x, "num_censored"):  # scipy's CensoredData: a column by itself
        return MLEDensity(family, fixed=fixed, window=window).fit(x, None, sample_weight, **told)
    if not hasattr(table, "columns"):
        table = np.asarray(table)
        table = table[:, None] if table.ndim == 1 else table
    if len(np.shape(table)) != 2 or np.shape(table)[1] != 1:
        raise ValueError(
            f"x must be one column, got shape {np.shape(table)}. Fit the columns of a table by "
            "MLEDensity(family).fit(X)."
        )
    return MLEDensity(family, fixed=fixed, window=window).fit(table, None, sample_weight, **told)
