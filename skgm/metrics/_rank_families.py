"""Ranks the families that the support of one column allows, and tests whether each fits."""

import numbers
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.model_selection import KFold

from skgm._random import as_generator
from skgm.inference import MLEDensity, fit_family
from skgm.inference.families import get_family
from skgm.inference.families._registry import all_families
from skgm.metrics._distribution_statistics import COLUMN_STATISTICS
from skgm.metrics._goodness_of_fit import goodness_of_fit
from skgm.metrics._two_sample import check_n_resamples

__all__ = ["FamilyRanking", "rank_families"]

_ASKED_FOR = ("categorical", "von_mises")  # whose data a column of numbers does not show
_COLUMNS = ("n_params", "loglik", "aic", "bic", "held_out", "statistic", "pvalue")


@dataclass(frozen=True)
class FamilyRanking:
    """Outcome of :func:`rank_families`, the family with the smallest AIC first.

    Attributes
    ----------
    fits : dict of str to MLEDensity
        The fit of each family.
    table : dict of str to dict of str to float
        Of each family: n_params, loglik, aic, bic, held_out, statistic, pvalue.
    x : ndarray of shape (n,)
        The values.
    discrete : bool
        Whether families of counts were ranked.
    method : {"ad", "ks", "cvm"}
        Which statistic the p-values are of.
    notes : tuple of str
        What was left out and why.
    """

    fits: dict[str, MLEDensity] = field(repr=False)
    table: dict[str, dict[str, float]]
    x: np.ndarray = field(repr=False)
    discrete: bool
    method: str
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> str:
        """The family with the smallest AIC."""
        return next(iter(self.fits))

    def to_frame(self) -> Any:
        """Return the ranking as a table.

        Returns
        -------
        frame : pandas.DataFrame
            One row per family: n_params, loglik, aic, bic, held_out (log-density of rows left out,
            in nats per row), statistic, pvalue (of its fit).
        """
        import pandas as pd  # imported where it is used: it takes a second

        frame = pd.DataFrame.from_dict(self.table, orient="index", columns=list(_COLUMNS))
        frame["n_params"] = frame["n_params"].astype(int)
        return frame.rename_axis("family")

    def summary(self) -> str:
        """Return the ranking as text.

        Returns
        -------
        text : str
            What ``print`` shows.
        """
        frame = self.to_frame().drop(columns=["loglik", "bic"]).rename_axis(None)
        shown = frame.to_string(float_format="%.4g")
        return "\n".join([f"{len(self.x)} values, {len(self.fits)} families", shown, *self.notes])

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return self.to_frame()._repr_html_()


def rank_families(
    x: Any,
    families: Sequence[Any] | None = None,
    *,
    discrete: bool | None = None,
    statistic: str = "ad",
    n_resamples: int = 999,
    cv: int = 5,
    random_state: Any = None,
) -> FamilyRanking:
    """Fit every family that the support of a column allows, and say which fit.

    Families are ranked by AIC. The held-out score, the mean log-density of values left out of the
    fit in turn, is the check of that order; the p-value, by :func:`goodness_of_fit`, says whether
    the values contradict the family at all: the first of the list may be wrong too.

    Parameters
    ----------
    x : Series, array-like of shape (n,) or table of shape (n, 1)
        The values. NaN are left out.
    families : sequence of str, Family or scipy.stats distribution, default=None
        What to rank, as in :class:`skgm.MLEDensity`. None: its families, but for those of
        categories and angles, and those that need a constant.
    discrete : bool, default=None
        Whether to rank families of counts or of real numbers: a probability and a density cannot
        be compared. None: counts where the dtype is of integers and no value is negative.
    statistic : {"ad", "ks", "cvm"}, default="ad"
        Of the p-value, as in :func:`goodness_of_fit`.
    n_resamples : int, default=999
        Number of drawn tables for each p-value.
    cv : int, default=5
        Number of folds of the held-out score.
    random_state : None, int, RandomState or Generator, default=None
        Of the folds and the draws.

    Returns
    -------
    ranking : FamilyRanking
        Prints as a table; ``.to_frame()`` gives a data frame, ``.fits`` the fitted estimators.

    Raises
    ------
    ValueError
        Several columns, fewer values than twice `cv`, infinite values, no family with an estimate.

    See Also
    --------
    skgm.RankingDisplay : Draws the first families over a histogram.

    Notes
    -----
    With so many families one of them often has a large p-value by chance: a family that was
    chosen by this list is to be tested on other values, or believed for other reasons.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import rank_families
    >>> x = np.random.default_rng(0).gamma(2.0, size=200)
    >>> ranking = rank_families(x, ["normal", "gamma", "exponential"], random_state=0)
    >>> ranking.best, [name for name, row in ranking.table.items() if row["pvalue"] < 0.05]
    ('gamma', ['exponential', 'normal'])
    """
    if statistic not in COLUMN_STATISTICS:
        raise ValueError(f"statistic must be 'ad', 'ks' or 'cvm'; got {statistic!r}.")
    if not isinstance(cv, numbers.Integral) or cv < 2:
        raise ValueError(f"cv must be a whole number >= 2; got {cv!r}.")
    check_n_resamples(n_resamples)
    rng = as_generator(random_state)
    values, notes = _values(x, int(cv))
    counts = _are_counts(x, values, notes) if discrete is None else bool(discrete)
    fits = _fits(values, families, counts, notes)
    folds = list(KFold(int(cv), shuffle=True, random_state=int(rng.integers(2**31))).split(values))
    table = {}
    for name in sorted(fits, key=lambda key: fits[key].aic()):
        table[name] = _measures(name, fits[name], values, folds, notes)
        try:
            tested = goodness_of_fit(
                fits[name],
                values[:, None],
                statistic=statistic,
                n_resamples=n_resamples,
                random_state=rng,
            )
            table[name] |= {"statistic": tested.statistic, "pvalue": tested.pvalue}
        except ValueError as error:
            notes.append(f"{name}: no p-value. {error}")
    in_order = {name: fits[name] for name in table}
    return FamilyRanking(in_order, table, values, counts, statistic, tuple(notes))


def _values(x: Any, cv: int) -> tuple[np.ndarray, list[str]]:
    """Return the values of a column without its holes."""
    array = np.asarray(x.to_numpy() if hasattr(x, "to_numpy") else x)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"x must be one column, got shape {array.shape}. Rank the columns one by one."
        )
    try:
        array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"x must hold numbers; got values of type {array.dtype}. Categories have one family, "
            "'categorical', which fits them always."
        ) from error
    hole = np.isnan(array)
    values = array[~hole]
    if np.isinf(values).any():
        raise ValueError(f"x holds infinity at position {int(np.argmax(np.isinf(array)))}.")
    if len(values) < 2 * cv:
        raise ValueError(
            f"x must have at least {2 * cv} values, twice cv={cv}; got {len(values)}. Use more "
            "values, or a smaller cv."
        )
    return values, [f"{hole.sum()} missing values were left out."] if hole.any() else []


def _are_counts(x: Any, values: np.ndarray, notes: list[str]) -> bool:
    whole = (values == np.floor(values)).all() and (values >= 0).all()
    kind = np.asarray(x.to_numpy() if hasattr(x, "to_numpy") else x).dtype.kind
    if whole and kind not in "iub":
        notes.append(
            "All values are whole numbers, read as real ones: discrete=True ranks families of "
            "counts."
        )
    return bool(whole and kind in "iub")


def _fits(
    values: np.ndarray, families: Sequence[Any] | None, counts: bool, notes: list[str]
) -> dict[str, MLEDensity]:
    """Return the fits of all candidates that have one."""
    if families is None:
        candidates: list[Any] = [f for f in all_families() if f.name not in _ASKED_FOR]
    else:
        candidates = list(families)
    fits = {}
    for each in candidates:
        family = get_family(each)
        if family.joint or family.discrete != counts:
            if families is not None:
                kind = "of several columns" if family.joint else "of another kind of values"
                notes.append(f"{family.name}: left out, a family {kind} (discrete={counts}).")
            continue
        needs = family.constants and not family.constants_given
        if families is None and (needs or not family.inside(values[:, None]).all()):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of searches that end on an edge
                name = f"{family.name} (again)" if family.name in fits else family.name
                fits[name] = fit_family(values, each)
        except ValueError as error:
            notes.append(f"{family.name}: no fit. {error}")
    if not fits:
        raise ValueError("No family has an estimate for these values. " + " ".join(notes))
    return fits


def _measures(
    name: str, fit: MLEDensity, values: np.ndarray, folds: list[Any], notes: list[str]
) -> dict[str, float]:
    """Return what the ranking shows of one fit but its test."""
    total = 0.0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as above
            for train, test in folds:
                part = fit_family(values[train], fit.family)
                total += float(part.score_samples(values[test][:, None]).sum())
    except ValueError as error:
        total = np.nan
        notes.append(f"{name}: no held-out score. {error}")
    return {
        "n_params": fit.n_params_,
        "loglik": fit.loglik_,
        "aic": fit.aic(),
        "bic": fit.bic(),
        "held_out": total / len(values),
        "statistic": np.nan,
        "pvalue": np.nan,
    }
