"""Completes a table several times, each by a fit to reweighted rows: multiple imputation."""

import numbers
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import (
    MetaEstimatorMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skgm._parallel import N_JOBS, ordered_map
from skgm._random import RANDOM_STATE, spawn
from skgm._sklearn import (
    CallbackSupportMixin,
    HasMethods,
    Interval,
    VersionedEstimator,
    check_sample_weight,
    fit_task,
    step_task,
    take_rows,
)
from skgm.base import transactional
from skgm.chain import DensityChain
from skgm.compose._densities import settle
from skgm.compose._location_model import LocationModel
from skgm.score_matching import ScoreMatchingGaussian
from skgm.tables._columns import column_kinds, table_shape
from skgm.tables._validation import validate_table

__all__ = ["MultipleImputer"]


class MultipleImputer(
    OneToOneFeatureMixin,
    TransformerMixin,
    MetaEstimatorMixin,
    CallbackSupportMixin,
    VersionedEstimator,
):
    r"""Complete a table several times, so that the spread shows what the holes leave uncertain.

    One completed table, analyzed as if it had been observed, gives intervals that are too short.
    Here each of `n_imputations` completions comes from its own fit of the density, to rows with
    random weights from a Dirichlet law (the Bayesian bootstrap). So the completions differ by the
    uncertainty of the holes and by that of the fit, as Rubin's rules demand ("proper" imputation).
    The Gaussians of the default are drawn from their posterior instead, which is right for few
    rows too. Fit the analysis to each completed table, and pass the results to :func:`skgm.pool`.

    Parameters
    ----------
    density : estimator with `fit` and `impute`, default=None
        A density that takes NaN in `fit`; cloned. None is
        a Gaussian of the numbers for each combination of categories, where each of them has ten
        rows or more, and five for each column of numbers. Elsewhere it is
        ``ScoreMatchingGaussian(missing="em")`` for numbers alone, and :class:`skgm.DensityChain`.
    n_imputations : int, default=20
        Number of completed tables. As many as the percentage of incomplete rows is a common rule.
    random_state : None, int, RandomState or Generator, default=None
        Weighs the rows and seeds the draws. The draws are seeded in `fit`: each call of
        `transform` on the same table completes it in the same way.
    n_jobs : int, default=None
        Fits, and later completions, at a time, in processes; the result is the same for every
        number. None is one, -1 all cores.

    Attributes
    ----------
    densities_ : list of estimators
        The fitted densities, one for each completion.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.

    Raises
    ------
    ValueError
        From `fit`: whatever the density refuses, such as a column without any value.

    See Also
    --------
    skgm.pool : Rubin's rules for the results.
    sklearn.impute.IterativeImputer : Conditional means or draws by one regression per column.

    Notes
    -----
    Right where holes depend on observed values only ("missing at random"), and where the density
    holds the relations that the analysis asks about: a Gaussian knows no interactions, a Gaussian
    for each combination of categories those with categories. The boosted trees of the chain pull
    weak relations towards none where rows are few, and intervals then miss.

    A density whose `fit` takes no `sample_weight` is fitted to rows drawn with replacement instead.

    References
    ----------
    Rubin, D. B. (1981). The Bayesian bootstrap. Annals of Statistics 9, 130-134.
    van Buuren, S. (2018). Flexible Imputation of Missing Data, 2nd ed., sections 2.3 and 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import MultipleImputer
    >>> table = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, np.nan], [3.0, 7.0], [4.0, 8.0]])
    >>> imputer = MultipleImputer(n_imputations=5, random_state=0).fit(table)
    >>> completed = imputer.transform_all(table)
    >>> len(completed), [bool(np.isfinite(rows).all()) for rows in completed]
    (5, [True, True, True, True, True])
    """

    _parameter_constraints = {
        "density": [HasMethods(["fit", "impute"]), None],
        "n_imputations": [Interval(numbers.Integral, 1, None, closed="left")],
        "random_state": RANDOM_STATE,
        "n_jobs": N_JOBS,
    }

    def __init__(
        self,
        density: Any = None,
        *,
        n_imputations: int = 20,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.density = density
        self.n_imputations = n_imputations
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: NaN are what this is for."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "MultipleImputer":
        """Fit one density to each reweighting of the rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Training table, with NaN where values are missing.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight w counts its row w times, or as w parts of a row.

        Returns
        -------
        self : MultipleImputer
            The fitted imputer.
        """
        mixed = column_kinds(X, "from_dtype", "from_dtype") is not None
        if not mixed:  # else the density reads the columns
            validate_table(self, X, reset=True, finite=False)
        density = self.density
        if density is None:
            density = _default(X, mixed)
        n_rows = table_shape(X)[0]
        weight = np.ones(n_rows) if sample_weight is None else check_sample_weight(sample_weight, X)
        streams = spawn(self.random_state, self.n_imputations)
        fit = partial(_fit_once, density, X, weight)
        if isinstance(density, LocationModel):
            fit = partial(_draw_once, density.fit(X, sample_weight=weight), X, weight)
        told = {"X": X, "y": y, "sample_weight": sample_weight}
        with fit_task(self, **told, n_subtasks=self.n_imputations) as context:

            def around(i: int, _: bool) -> Any:
                return step_task(context, self, name=f"imputation-{i}", step=None, X=X)

            fits = list(ordered_map(fit, streams, n_jobs=self.n_jobs, around=around))
        self.densities_, self._seeds = [fitted for fitted, _ in fits], [seed for _, seed in fits]
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(self.densities_[0], name):
                setattr(self, name, getattr(self.densities_[0], name))
        return self

    def transform(self, X: Any) -> Any:
        """Return the first completion of X.

        Parameters
        ----------
        X : array-like or data frame of shape (m, n_features)
            Rows with NaN where values are missing.

        Returns
        -------
        rows : ndarray or data frame of shape (m, n_features)
            X with its holes filled; a data frame with the same columns where X is one.
        """
        check_is_fitted(self)
        return self.densities_[0].impute(X, random_state=self._seeds[0])

    def transform_all(self, X: Any) -> list[Any]:
        """Return all completions of X.

        Parameters
        ----------
        X : array-like or data frame of shape (m, n_features)
            Rows with NaN where values are missing.

        Returns
        -------
        completed : list of ndarray or data frame of shape (m, n_features)
            `n_imputations` tables; the first is that of `transform`.
        """
        check_is_fitted(self)
        pairs = zip(self.densities_, self._seeds, strict=True)
        return list(ordered_map(partial(_impute, X), pairs, n_jobs=self.n_jobs))


def _default(X: Any, mixed: bool) -> Any:
    if LocationModel.suits(X):
        return LocationModel()
    return DensityChain() if mixed else ScoreMatchingGaussian(missing="em")


def _impute(X: Any, pair: tuple[Any, int]) -> Any:
    density, seed = pair
    return density.impute(X, random_state=seed)


def _draw_once(
    density: LocationModel, X: Any, weight: np.ndarray, rng: np.random.Generator
) -> tuple[Any, int]:
    """Return a copy of the fitted density with parameters from their posterior, and a seed."""
    return density.posterior_draw(X, weight, rng), int(rng.integers(2**31))


def _fit_once(
    density: Any, X: Any, weight: np.ndarray, rng: np.random.Generator
) -> tuple[Any, int]:
    """Return a clone of the density fitted to one reweighting of the rows, and a seed of draws."""
    fitted = clone(density)
    if "random_state" in fitted.get_params(deep=False):
        fitted.set_params(random_state=int(rng.integers(2**31)))
    settle(fitted, rng)
    if has_fit_parameter(fitted, "sample_weight"):
        share = np.zeros(len(weight))
        counted = weight > 0
        share[counted] = rng.gamma(weight[counted])  # a Dirichlet law, but for its sum
        fitted.fit(X, sample_weight=share * (weight.sum() / share.sum()))
    else:
        rows = rng.choice(len(weight), size=len(weight), p=weight / weight.sum())
        fitted.fit(take_rows(X, rows))
    return fitted, int(rng.integers(2**31))
