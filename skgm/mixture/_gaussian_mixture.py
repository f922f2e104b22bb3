"""GaussianMixtureDensity: mixtures of Gaussians fitted to what is observed of a table."""

import numbers
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

from skgm._numerics.gaussian import RIDGE
from skgm._numerics.gaussian_mixture import (
    EMSums,
    GaussianMixtureModel,
    HoledRows,
    Prior,
    maximization,
)
from skgm._numerics.importance import systematic_picks
from skgm._numerics.moments import Moments
from skgm._parallel import content_hash
from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import (
    Interval,
    StrOptions,
    check_sample_weight,
    epoch_begins,
    epoch_ends,
    fit_task,
)
from skgm._warnings import warn_user
from skgm.base import DensityEstimator, DensityTags, in_blocks, transactional
from skgm.chain._categories import CategoryChain, cells_for, distinct_rows, with_atoms
from skgm.mixture._search import Candidate, ScaledTable, climb, n_parameters
from skgm.tables._columns import base_measures
from skgm.tables._reader import TableReader
from skgm.tables._summary import TableSummary, named_columns
from skgm.tables._validation import (
    check_finite,
    check_scales,
    check_several_rows,
    warn_singular,
)

__all__ = ["GaussianMixtureDensity"]

_ROWS_PER_COMPONENT = 10
_SEARCHED_ROWS = 20_000
_CANDIDATES, _ROWS_AT_ONCE, _LEAST_ESS = 128, 250, 0.05  # of completions of mixed rows


class GaussianMixtureDensity(DensityEstimator):
    r"""Mixture of Gaussians, fitted by expectation-maximization to the observed entries.

    .. math::
        \log p(x_o) = \log \sum_k w_k\, N(x_o;\; \mu_{k,o},\; \Sigma_{k,oo})

    o are the columns that a row observes: a hole is integrated out, exactly, in `fit`, in
    `score_samples` and in conditional draws. That is right if holes are missing at random given
    what is observed.

    Prefer it for tables of continuous columns with several groups of rows, for tables with holes,
    and as the density that others are compared with: its fit takes seconds, and marginals and
    conditionals of any pattern of numbers are exact. Categories, whole numbers and columns with
    named point masses come after the numbers, by the factors of :class:`skgm.DensityChain`, which
    is itself the better choice where most columns are of that kind. Transform bounded columns
    first.

    Parameters
    ----------
    n_components : "auto" or int, default="auto"
        "auto" climbs from one component until the Bayesian information criterion (BIC) has risen
        twice in a row, up to `max_components` and a component per ten rows, and keeps the best.
    covariance_type : {"full", "tied", "diag", "spherical", "auto"}, default="full"
        Any covariance per component, one for all, independent columns, or one variance per
        component. "auto" chooses among the first three by BIC.
    max_components : int, default=20
        Limit of ``n_components="auto"``.
    n_init : int, default=2
        Starts per number of components, by k-means on standardized columns and on whitened ones
        in turn. All run for ten steps, and the best one goes on.
    prior_rows : "auto" or float, default="auto"
        Weight of the prior on each covariance, in rows: so many pseudo-rows lie about its mean,
        with the covariance of the table. "auto" is 2 / n, see Notes. 0 is plain maximum
        likelihood, which is unbounded: a component can shrink onto a few rows.
    tol : float, default=1e-4
        EM ends when a step gains less than this, in nats per row.
    max_iter : int, default=500
        Most steps of EM.
    categorical_features, integer_features : "from_dtype", None or list, default="from_dtype"
        Columns of categories and of whole numbers: a mask, numbers or names. "from_dtype" goes
        by the dtypes of a data frame. With ``integer_features=None`` whole numbers are numbers.
    atoms : dict, default=None
        Values that are point masses, by the name or number of a column of real numbers:
        ``{"income": [0, -999]}``.
    handle_unknown : {"error", "ignore"}, default="error"
        What scores do with a category without training rows: as in :class:`skgm.DensityChain`.
    random_state : None, int, RandomState or Generator, default=None
        Seeds k-means and the classifiers of the categories.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components_,)
        Shares of the components, descending.
    means_ : ndarray of shape (n_components_, d)
        Their means, in the d columns of the mixture: all, or those of real numbers.
    covariances_ : ndarray
        Their covariances, in scikit-learn's shapes: ``(n_components_, d, d)`` for "full",
        ``(d, d)`` for "tied", ``(n_components_, d)`` for "diag", ``(n_components_,)`` for
        "spherical".
    n_components_ : int
        Number of components.
    covariance_type_ : str
        The type, chosen if that was "auto".
    bic_ : float
        Bayesian information criterion of the fit, lower is better.
    bic_path_ : dict
        For each covariance type, the criterion of each number of components tried.
    loglik_ : float
        Total (weighted) log-likelihood of the observed numbers under the mixture; after
        `fit_statistics`, a step of EM, that of the mixture before the step.
    n_params_ : int
        Number of free parameters.
    n_iter_ : int
        Steps of EM of the fit that was kept.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    log_density_kind_ : str
        "exact".

    Raises
    ------
    ValueError
        In `fit`: infinity, fewer than two rows, a column without observed values (named), columns
        whose squares overflow, fewer rows than components.

    Warns
    -----
    LinAlgWarning
        Constant columns or columns that determine one another: the covariances have a ridge then.
    ConvergenceWarning
        `max_iter` steps were not enough; a component shrank onto a few rows (``prior_rows=0``).

    See Also
    --------
    skgm.DensityChain : Tables with categories, whole numbers and point masses.
    sklearn.mixture.GaussianMixture : Complete tables without weights.

    Notes
    -----
    The prior is the penalty of Chen and Tan: it bounds the likelihood, keeps the estimate
    consistent, and moves with any linear map of the columns. One component has no prior and is the
    Gaussian of ``ScoreMatchingGaussian(missing="em")``. BIC takes the likelihood at this estimate.

    A row of numbers x and other values d has the log-density
    :math:`\log p(x) + \sum_t \log P(d_t \mid x, d_1, \dots, d_{t-1})`, over Lebesgue measure for x
    and counting measure for d. Holes among the numbers are integrated out of the first term; the
    classifiers of the second have learned what to do without a value. A table without real numbers
    has no mixture, and is left to the chain.

    Repeated rows are merged and their weights added, so that a weight of w is the same as w rows.
    The size is chosen on at most 20,000 rows; EM then goes on with all of them. For rows in many
    files, `fit` a sample of them; then each pass of `summarize` over all parts, and
    `fit_statistics` with their sum, is one step of EM, and `loglik_` tells when to stop.

    References
    ----------
    Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the EM algorithm",
    Journal of the Royal Statistical Society B 39, 1977; Ghahramani and Jordan, "Supervised learning
    from incomplete data via an EM approach", NIPS 1993; Chen and Tan, "Inference for multivariate
    normal mixtures", Journal of Multivariate Analysis 100, 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import GaussianMixtureDensity
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2)) + 6 * (np.arange(300) % 2)[:, None]
    >>> X[::5, 1] = np.nan
    >>> density = GaussianMixtureDensity(random_state=0).fit(X)
    >>> density.n_components_
    2
    >>> density.impute([[0.0, np.nan], [6.0, np.nan]], random_state=0).round()[:, 1] > 3
    array([False,  True])
    """

    _parameter_constraints = {
        "n_components": [StrOptions({"auto"}), Interval(numbers.Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions({"full", "tied", "diag", "spherical", "auto"})],
        "max_components": [Interval(numbers.Integral, 1, None, closed="left")],
        "n_init": [Interval(numbers.Integral, 1, None, closed="left")],
        "prior_rows": [StrOptions({"auto"}), Interval(numbers.Real, 0, None, closed="left")],
        "tol": [Interval(numbers.Real, 0, None, closed="left")],
        "max_iter": [Interval(numbers.Integral, 1, None, closed="left")],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "integer_features": [StrOptions({"from_dtype"}), "array-like", None],
        "atoms": [dict, None],
        "handle_unknown": [StrOptions({"error", "ignore"})],
        "random_state": RANDOM_STATE,
    }

    def __init__(
        self,
        n_components: int | str = "auto",
        *,
        covariance_type: str = "full",
        max_components: int = 20,
        n_init: int = 2,
        prior_rows: float | str = "auto",
        tol: float = 1e-4,
        max_iter: int = 500,
        categorical_features: Any = "from_dtype",
        integer_features: Any = "from_dtype",
        atoms: Any = None,
        handle_unknown: str = "error",
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.max_components = max_components
        self.n_init = n_init
        self.prior_rows = prior_rows
        self.tol = tol
        self.max_iter = max_iter
        self.categorical_features = categorical_features
        self.integer_features = integer_features
        self.atoms = atoms
        self.handle_unknown = handle_unknown
        self.random_state = random_state

    def __density_tags__(self) -> DensityTags:
        """Return the promises: another start may lead to another mixture."""
        return DensityTags(deterministic_fit=False, mixed_columns=True)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that holes are allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "GaussianMixtureDensity":
        """Fit the mixture, and choose its size where that is "auto".

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Training table, at least two rows; NaN are holes.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight w counts its row w times.

        Returns
        -------
        self : GaussianMixtureDensity
            The fitted mixture.
        """
        rng = as_generator(self.random_state)
        with fit_task(self, X=X, y=y, sample_weight=sample_weight, n_subtasks=None) as context:
            coded, weight = self._read(X, sample_weight)
            self._others: dict[str, Any] | None = None
            places = np.setdiff1d(np.arange(coded.shape[1]), self._numbers).tolist()
            if places:
                seed = int(rng.integers(2**31))
                options = {"places": places, "n_cells": cells_for(weight.sum())}
                parts = (coded, self._columns, None, 0, weight, seed)
                chain = CategoryChain.fit(*parts, **options)
                self._others = chain.state()
            self._state: dict[str, np.ndarray] | None = None
            self.bic_path_: dict[str, dict[int, float]] = {}
            if len(self._numbers):
                self._fit_numbers(coded[:, self._numbers], weight, rng, (context, X))
            else:
                self._keep_nothing()
        return self

    def _fit_numbers(
        self, numbers: np.ndarray, weight: np.ndarray, rng: np.random.Generator, told: Any
    ) -> None:
        """Fit the mixture to the columns of numbers; `told` are the callbacks and their X."""
        context, X = told
        rows, weight = distinct_rows(numbers, weight)
        table = ScaledTable.of(rows, weight, common_scale=self.covariance_type == "spherical")
        if table.factor.ridge:
            warn_singular(table.factor, len(rows), self._names(self._numbers))
        best: Candidate | None = None
        options = self._options(weight.sum())
        few = table.thinned(_SEARCHED_ROWS)
        for candidate in self._candidates(few, rng, options):
            task = epoch_begins(context, self, X=X, name="size")
            path = self.bic_path_.setdefault(candidate.kind, {})
            path[candidate.n_components] = candidate.bic
            if best is None or candidate.bic < best.bic:
                best = candidate
                self._keep(table, best)
            if epoch_ends(task, self, X=X, state=lambda: dict(vars(self))):
                break
        assert best is not None
        if len(table.Z) > _SEARCHED_ROWS:
            self._keep(table, best.refitted(table, **options))
        self._warn(table, best)

    def _keep_nothing(self) -> None:
        """Set the fitted attributes where there is no column for a mixture."""
        kind = self.covariance_type
        self.weights_, self.means_ = np.zeros(0), np.zeros((0, 0))
        self.covariances_, self.covariance_type_ = np.zeros((0, 0)), kind
        self.n_components_ = self.n_params_ = self.n_iter_ = 0
        self.bic_ = self.loglik_ = 0.0

    def _options(self, n_rows: float) -> dict[str, Any]:
        names = ("n_init", "prior_rows", "tol", "max_iter")
        options = {name: getattr(self, name) for name in names}
        return options | ({"prior_rows": 2 / n_rows} if self.prior_rows == "auto" else {})

    def _read(self, X: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the coded rows of positive weight, and their weights."""
        reader, coded = TableReader.learn(self, X, min_samples=2, holes=True)
        weight = np.ones(len(coded))
        if sample_weight is not None:
            weight = check_sample_weight(sample_weight, coded)
            check_several_rows(weight)
        self._columns = with_atoms(reader.columns, self.atoms)
        self._frame_schema, self._sample_dtype = reader.schema, reader.dtype
        self.log_density_kind_ = "exact"
        mixed = [about["kind"] != "real" or "atoms" in about for about in self._columns]
        self._numbers = np.flatnonzero(~np.array(mixed))
        table, weight = coded[weight > 0].astype(np.float64), weight[weight > 0]
        seen = ~np.isnan(table)
        empty = ~seen.any(axis=0)
        if empty.any():
            raise ValueError(
                f"Column {reader.names[int(np.argmax(empty))]!r} of X has no value at all, so "
                "there is nothing to learn about it. Drop the column."
            )
        filled = np.where(seen, table, table[seen.argmax(axis=0), np.arange(table.shape[1])])
        check_finite(filled, reader.names)
        numbers = filled[:, self._numbers]
        if numbers.shape[1]:
            names = self._names(self._numbers)
            check_scales(numbers, weight, Moments.from_chunk(numbers), names)
        return table, weight

    def _names(self, places: Any) -> list[str]:
        return [str(self._columns[j]["name"]) for j in places]

    def _reader(self) -> TableReader:
        return TableReader(self._columns, self._frame_schema, self._sample_dtype)

    def _chain(self) -> CategoryChain | None:
        """Return the chain of what is no number; None without."""
        return None if self._others is None else CategoryChain.of_state(self._others)

    def _base_measures(self) -> list[str]:
        atoms = {about["name"]: about["atoms"] for about in self._columns if "atoms" in about}
        return base_measures(self._columns, atoms)

    def _candidates(
        self, table: ScaledTable, rng: np.random.Generator, options: dict[str, Any]
    ) -> Iterator[Candidate]:
        """Yield fitted mixtures of the sizes and types to choose from."""
        wanted = self.n_components
        if isinstance(wanted, str):
            most = min(self.max_components, len(table.Z) // _ROWS_PER_COMPONENT)
            sizes = list(range(1, max(most, 1) + 1))
        elif wanted > len(table.Z):
            raise ValueError(
                f"n_components={wanted} is more than the {len(table.Z)} distinct rows "
                "of X. Give at most as many components as rows."
            )
        else:
            sizes = [wanted]
        auto = self.covariance_type == "auto"
        for kind in ("full", "tied", "diag") if auto else (self.covariance_type,):
            yield from climb(table, sizes, kind, rng, **options)

    def _keep(self, table: ScaledTable, found: Candidate) -> None:
        """Store a fitted mixture."""
        self._center, self._scale = table.center, table.scale
        pseudo = self._options(table.weight.sum())["prior_rows"]
        self._prior_covariance = table.prior(found.kind, pseudo).covariance
        self._keep_model(found.fit.model, found.kind)
        self.bic_, self.n_iter_ = found.bic, max(found.fit.n_iter, 1)
        self.loglik_ = 0.5 * (self.n_params_ * np.log(table.weight.sum()) - found.bic)

    def _keep_model(self, model: GaussianMixtureModel, kind: str) -> None:
        """Store a mixture of standardized columns, largest component first."""
        d = len(self._numbers)
        order = np.argsort(-model.weights, kind="stable")
        covariances = model.covariances if kind == "tied" else model.covariances[order]
        self._state = {
            "weights": model.weights[order],
            "means": model.means[order],
            "covariances": np.array(covariances),
        }
        scale = self._scale
        public = covariances * (scale * scale[:, None] if covariances.ndim == 3 else scale**2)
        if kind == "tied":
            public = public[0]
        elif kind == "spherical":
            public = public[:, 0]
        dtype = self._sample_dtype
        self.weights_ = model.weights[order].astype(dtype)
        self.means_ = (self._center + scale * model.means[order]).astype(dtype)
        self.covariances_ = public.astype(dtype)
        self.n_components_, self.covariance_type_ = len(model.weights), kind
        self.n_params_ = n_parameters(len(model.weights), d, kind)

    # One step of EM over rows in parts: their sums under the present mixture, and the next one.

    def _sums_of(self, X: Any, sample_weight: Any) -> TableSummary:
        if not hasattr(self, "_state"):
            raise NotFittedError(
                "summarize of a GaussianMixtureDensity is one step of EM, from the fitted mixture. "
                "Call fit first, on a sample of the rows."
            )
        self._check_numbers("summarize")
        Z = self._standardized(self._begin_scoring(X))
        weight = np.ones(len(Z)) if sample_weight is None else check_sample_weight(sample_weight, Z)
        seen = ~np.isnan(Z)
        counted = seen.any(axis=1) & (weight > 0)
        if not counted.any():
            return TableSummary(self._summary_kind(), 0)
        Z, weight = Z[counted], weight[counted]
        sums = EMSums.of(self._model(), HoledRows.of(Z, weight).chunks())
        units = float(weight @ seen[counted] @ np.log(self._scale))
        sums = replace(sums, loglik=sums.loglik - units)
        return TableSummary(self._summary_kind(), len(Z), sums, named_columns(self))

    def _summary_kind(self) -> str:
        return f"a step of EM from the mixture {content_hash(self._state)}"

    def _fit_summary(self, total: TableSummary) -> None:
        check_is_fitted(self)
        total.check_kind(self._summary_kind())
        sums, kind = total.statistics, self.covariance_type_
        n_rows = float(sums.mass.sum())
        pseudo = self._options(n_rows)["prior_rows"] if self.n_components_ > 1 else 0.0
        prior = Prior(pseudo, self._prior_covariance)
        self._keep_model(maximization(self._model(), sums, kind, prior), kind)
        self.n_iter_, self.loglik_ = self.n_iter_ + 1, float(sums.loglik)
        self.bic_ = float(self.n_params_ * np.log(n_rows) - 2 * sums.loglik)

    def _warn(self, table: ScaledTable, found: Candidate) -> None:
        if not found.fit.converged:
            warn_user(
                f"EM did not converge in max_iter={self.max_iter} steps. Raise max_iter or tol.",
                ConvergenceWarning,
            )
        covariances = found.fit.model.covariances
        least = covariances if covariances.ndim == 2 else np.linalg.eigvalsh(covariances)
        if not table.factor.ridge and least.min() < RIDGE:
            warn_user(
                "A component has shrunk onto a few rows, where the likelihood has no bound. Set "
                "prior_rows above 0, or fit fewer components.",
                ConvergenceWarning,
            )

    def _model(self) -> GaussianMixtureModel:
        """Return the mixture of standardized columns."""
        assert self._state is not None
        return GaussianMixtureModel(**self._state)

    def _log_joint(self, coded: np.ndarray) -> np.ndarray:
        """Return log(weight) + log-density of each component, (n, k), in standardized columns."""
        if self._state is None:
            return np.zeros((len(coded), 1))
        Z = self._standardized(coded)
        return self._model().log_joint(Z) - (~np.isnan(Z) @ np.log(self._scale))[:, None]

    def _begin_scoring(self, X: Any, **options: bool) -> np.ndarray:
        """Return X coded; NaN are holes."""
        check_is_fitted(self)
        coded = self._reader().code(self, X, holes=True, unknown=self.handle_unknown)
        return coded.astype(np.float64)

    def _standardized(self, coded: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.asarray((coded[:, self._numbers] - self._center) / self._scale)

    def _check_numbers(self, what: str) -> None:
        if self._others is not None:
            named = self._names(np.setdiff1d(np.arange(len(self._columns)), self._numbers))
            raise ValueError(
                f"This fit has no {what}, because columns {named} are categories or whole numbers "
                "or have atoms. Fit to the others alone, or set categorical_features, "
                "integer_features and atoms to None."
            )

    @in_blocks
    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row, of its observed part where it has holes.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats. A row without any observed value has the log-density zero.
        """
        coded, chain = self._begin_scoring(X), self._chain()
        log_density = log_sum(self._log_joint(coded))
        if chain is None:
            return log_density
        new = self.handle_unknown == "ignore"
        log_density += chain.log_probability(coded, new=new)[:, 0]
        return np.where(self._reader().impossible(coded), -np.inf, log_density)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each component given the numbers that a row observes.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows, with holes or without.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_components_)
            In the order of `weights_`.
        """
        joint = self._log_joint(self._begin_scoring(X))
        joint[np.isneginf(joint).all(axis=1)] = 0.0
        return np.asarray(np.exp(joint - log_sum(joint)[:, None]))

    def score_function(self, X: Any) -> np.ndarray:
        """Return the gradient of the log-density with respect to x.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Complete rows.

        Returns
        -------
        gradient : ndarray of shape (n_samples, n_features)
            Float64.
        """
        check_is_fitted(self)
        self._check_numbers("score_function")
        coded = self._begin_scoring(X)
        check_finite(coded, self._column_names())
        Z = self._standardized(coded)
        return self._model().score_function(Z) / self._scale

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        rows, chain = np.full((n_samples, len(self._columns)), np.nan), self._chain()
        if self._state is not None:
            drawn = self._model().draw(n_samples, rng)
            rows[:, self._numbers] = self._center + self._scale * drawn
        return rows if chain is None else chain.draw(rows, None, rng)

    def _begin_conditioning(self, given: Any) -> np.ndarray:
        check_is_fitted(self)
        coded = np.array(self._reader().code(self, given, holes=True, fractions=False))
        chain = self._chain()
        if chain is not None:
            chain.check_known(coded, self._columns)
        return coded

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        chain = self._chain()
        if chain is None:
            return self._numbers_given(given, n_samples, rng)
        parts, poor = [], 0
        for block in np.split(given, range(_ROWS_AT_ONCE, len(given), _ROWS_AT_ONCE)):
            n_particles = max(_CANDIDATES, n_samples)
            rows = self._numbers_given(block, n_particles, rng)
            rows = rows.reshape(len(block), n_particles, -1)
            rows, log_weight = chain.complete(rows, None, np.zeros(rows.shape[:2]), rng)
            log_weight[np.isneginf(log_weight).all(axis=1)] = 0.0
            share = softmax(log_weight, axis=1)
            poor += int((1 / (share**2).sum(axis=1) < _LEAST_ESS * n_particles).sum())
            picks = rng.permuted(systematic_picks(log_weight, n_samples, rng), axis=1)
            parts.append(np.take_along_axis(rows, picks[:, :, None], axis=1))
        if poor:
            warn_user(
                f"Completions of {poor} of {len(given)} rows come from few effective candidates: "
                "their known categories or whole numbers are improbable given the numbers drawn. "
                "Compare with DensityChain, whose order= may start with the known columns.",
                ConvergenceWarning,
            )
        return np.vstack(parts).reshape(-1, given.shape[1])

    def _numbers_given(self, given: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return rows with the numbers drawn given those that are known, (m * n, d)."""
        rows = np.repeat(given.astype(np.float64), n, axis=0)
        if self._state is not None:
            drawn = self._model().complete(self._standardized(given), n, rng)
            rows[:, self._numbers] = self._center + self._scale * drawn
        return rows

    def _to_container(self, rows: np.ndarray, schema: dict[str, Any] | None) -> Any:
        super()._to_container(rows, None)  # refuses what is not finite
        return self._reader().written(rows, schema, self._sample_dtype)


def log_sum(log_joint: np.ndarray) -> np.ndarray:
    """Return the logs of the sums of rows of exponentials, (n,)."""
    top = log_joint.max(axis=1)
    finite = np.where(np.isneginf(top), 0.0, top)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(log_joint - finite[:, None]).sum(axis=1)) + finite)
