"""Fitted families as distributions of skpro, and maximum likelihood as a fitter of skpro.

Needs skpro (``pip install "skgm[skpro]"``).
"""

from typing import Any

import numpy as np
import pandas as pd
from skpro.distfitter.base import BaseDistFitter
from skpro.distributions.base import BaseDistribution

from skgm.inference import MLEDensity
from skgm.inference.families._columns import ColumnFamilies

__all__ = ["FamilyDistribution", "FamilyFitter"]


class FamilyDistribution(BaseDistribution):
    """Distribution of skpro: the families that an MLEDensity has fitted, column by column.

    Parameters
    ----------
    model : MLEDensity
        Fitted, with one family of independent columns.
    column : str, default=None
        The column of the model that a scalar distribution is of; None for a model of one column.
    index : pandas.Index, default=None
        Of a table of independent rows with the same laws; None: one row, or a scalar distribution
        where there is one column and no `columns`.
    columns : pandas.Index, default=None
        Some of the model's columns; None for all.

    Raises
    ------
    TypeError
        A `model` that is no MLEDensity.
    ValueError
        A joint family, a family per column, or unknown columns.

    Examples
    --------
    >>> from skgm import fit_family
    >>> from skgm.skpro import FamilyDistribution
    >>> law = FamilyDistribution(fit_family([0.3, 1.2, 0.5, 2.0], "exponential"))
    >>> float(law.mean()), round(float(law.ppf(0.5)), 3)
    (1.0, 0.693)
    """

    _tags = {
        "authors": ["skgm"],
        "capabilities:approx": ["pdfnorm", "energy", "var"],
        "capabilities:exact": ["mean", "pdf", "log_pdf", "cdf", "ppf", "pmf", "log_pmf"],
        "distr:measuretype": "continuous",
        "distr:paramtype": "parametric",
        "broadcast_init": "off",
    }

    def __init__(
        self, model: MLEDensity, column: Any = None, index: Any = None, columns: Any = None
    ) -> None:
        self.model, self.column = model, column
        self._family, names = _checked_family(model)
        scalar = column is not None or (len(names) == 1 and index is None and columns is None)
        if scalar:
            columns = None
            wanted = [names[0] if column is None else column]
        else:
            index = pd.RangeIndex(1) if index is None else index
            columns = pd.Index(names) if columns is None else columns
            wanted = list(columns)
        unknown = [name for name in wanted if str(name) not in names]
        if unknown and len(names) > 1:
            raise ValueError(
                f"columns must be of the fitted ones, {names}; got {unknown}. Columns are found by "
                "their names."
            )
        self._places = [0 if len(names) == 1 else names.index(str(name)) for name in wanted]
        super().__init__(index=None if scalar else index, columns=columns)
        if self._family.discrete:
            self.set_tags(**{"distr:measuretype": "discrete"})

    def clone(self) -> "FamilyDistribution":
        """Return a copy with the same fitted model."""
        index, columns = (None, None) if self.column is not None else (self.index, self.columns)
        return FamilyDistribution(self.model, self.column, index, columns)

    def _subset_params(self, rowidx: Any, colidx: Any, coerce_scalar: bool = False) -> Any:
        return {"model": self.model}

    def _iat(self, rowidx: Any = None, colidx: Any = None) -> "FamilyDistribution":
        names = self.model._column_names()
        return FamilyDistribution(self.model, column=names[self._places[colidx]])

    def _of(self, function: str, x: Any) -> Any:
        """Return a function of the families at x, which has the shape of the distribution."""
        x = np.asarray(x, dtype=np.float64)
        family = self._family.columns(np.array(self._places))
        params = {k: v[self._places] for k, v in self.model._estimate.items()}
        with np.errstate(all="ignore"):
            found = getattr(family, function)(np.atleast_2d(x), params)
        return np.asarray(found).reshape(x.shape)

    def _log_pdf(self, x: Any) -> Any:
        return self._of("log_density", x)

    def _pdf(self, x: Any) -> Any:
        return np.exp(self._of("log_density", x))

    def _log_pmf(self, x: Any) -> Any:
        return self._of("log_density", x)

    def _pmf(self, x: Any) -> Any:
        return np.exp(self._of("log_density", x))

    def _cdf(self, x: Any) -> Any:
        return self._of("cdf", x)

    def _ppf(self, p: Any) -> Any:
        return self._of("quantile", p)

    def _mean(self) -> Any:
        family = self._family.columns(np.array(self._places))
        found = family.mean({k: v[self._places] for k, v in self.model._estimate.items()})
        return np.broadcast_to(found, self.shape) if self.ndim else float(found[0])

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return arguments with which skpro tests the class.

        Parameters
        ----------
        parameter_set : str, default="default"
            Which; there is one.

        Returns
        -------
        params : list of dict
        """
        rng = np.random.default_rng(0)
        one = MLEDensity("gamma").fit(rng.gamma(2.0, size=(30, 1)))
        two = MLEDensity("logistic").fit(pd.DataFrame(rng.normal(size=(30, 2)), columns=["a", "b"]))
        index = pd.Index([1, 2, 5])
        return [{"model": one}, {"model": two, "index": index, "columns": pd.Index(["a", "b"])}]


class FamilyFitter(BaseDistFitter):
    """Fitter of skpro by maximum likelihood, of every family that MLEDensity has.

    Parameters
    ----------
    family : str, Family or scipy.stats distribution, default="normal"
        As in :class:`skgm.MLEDensity`.
    fixed : dict of str to float, default=None
        Parameters that are known.
    window : tuple of (float, float), default=None
        Between which ends values were seen at all.

    Attributes
    ----------
    model_ : MLEDensity
        The fit, with its intervals and tests.

    Examples
    --------
    >>> import pandas as pd
    >>> from skgm.skpro import FamilyFitter
    >>> waits = pd.DataFrame({"wait": [0.3, 1.2, 0.5, 2.0]})
    >>> ended = pd.DataFrame({"wait": [0, 0, 0, 1]})  # skpro's 1 is right-censored
    >>> fitter = FamilyFitter("exponential").fit(waits, C=ended)
    >>> round(float(fitter.proba().mean()), 3)
    1.333
    """

    _tags = {"authors": ["skgm"], "capability:survival": True}

    def __init__(self, family: Any = "normal", fixed: Any = None, window: Any = None) -> None:
        self.family, self.fixed, self.window = family, fixed, window
        super().__init__()

    def _fit(self, X: pd.DataFrame, C: pd.DataFrame | None = None) -> "FamilyFitter":
        event = None if C is None else 1 - np.asarray(C, dtype=np.float64)
        X = X.set_axis([str(name) for name in X.columns], axis=1)
        model = MLEDensity(self.family, fixed=self.fixed, window=self.window)
        self.model_ = model.fit(X, event=event)
        return self

    def _proba(self) -> FamilyDistribution:
        return FamilyDistribution(self.model_)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return arguments with which skpro tests the class.

        Parameters
        ----------
        parameter_set : str, default="default"
            Which; there is one.

        Returns
        -------
        params : list of dict
        """
        return [{}, {"family": "logistic"}, {"family": "normal", "fixed": {"sigma": 1.0}}]


def _checked_family(model: Any) -> tuple[Any, list[str]]:
    """Return the family of a fitted model and the names of its columns."""
    if not isinstance(model, MLEDensity):
        raise TypeError(
            f"model must be a fitted MLEDensity; got {type(model).__name__}. Fit one by "
            "MLEDensity(family).fit(X), or by fit_family."
        )
    names = model._column_names()
    family = model._family()
    if isinstance(family, ColumnFamilies) or family.joint:
        raise ValueError(
            "model must have one family of independent columns; fit the column of interest alone, "
            "by fit_family."
        )
    return family, names
