"""A density of the original table from transformers and a density of what they make of it."""

import numbers
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import Bunch, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skgm._random import as_generator
from skgm._sklearn import BaseComposition, Interval, check_sample_weight, fit_task
from skgm.base import DensityEstimator, DensityTags, in_blocks, transactional
from skgm.compose._beside import Beside, Numbers, fit_beside
from skgm.compose._bijections import Chain
from skgm.compose._columns import names_of
from skgm.compose._compile import (
    Table,
    acts_by_column,
    build,
    check_all_lebesgue,
    check_custom,
    check_early,
    check_keeps_kinds,
    check_steps,
    derive_tags,
    kinds_read_by,
    knows_score_function,
)
from skgm.compose._densities import Foreign, reads_kinds
from skgm.compose._fitting import (
    fit_alone,
    fit_steps,
    keep_param_rows,
    keep_rows,
    last_step_params,
)
from skgm.compose._pull_back import (
    complete_rows,
    draw_rows,
    log_image_probability,
    log_observed_probability,
)
from skgm.compose._registry import is_passthrough
from skgm.tables._columns import table_shape
from skgm.tables._frames import frame_schema
from skgm.tables._reader import check_mixed_table
from skgm.tables._validation import check_finite, check_n_samples, column_names

__all__ = [
    "DensityPipeline",
    "NamedSteps",
    "make_density_pipeline",
]


# Steps with names: parameters, indexing and slices, as in scikit-learn's Pipeline.


class NamedSteps(BaseComposition):
    """Mixin for a composition with constructor argument `steps` and fitted `pipeline_`."""

    steps: list[tuple[str, Any]]
    pipeline_: Pipeline
    log_jacobians: dict[str, Any] | None
    normalizer_draws: int

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the pipeline and, if `deep`, of its steps.

        Parameters
        ----------
        deep : bool, default=True
            Include the steps by name and their parameters as ``step__parameter``.

        Returns
        -------
        params : dict of str to object
            Parameter names mapped to their values.
        """
        return self._get_params("steps", deep=deep)

    def set_params(self, **params: Any) -> "NamedSteps":
        """Set parameters of the pipeline or of its steps, or replace steps by name.

        Parameters
        ----------
        **params : dict
            ``steps``, ``name`` of a step (to replace it) or ``name__parameter``.

        Returns
        -------
        self : estimator
            The pipeline.
        """
        self._set_params("steps", **params)
        return self

    @property
    def _current(self) -> Pipeline:
        """The fitted steps where there are, else those of the constructor."""
        return self.pipeline_ if hasattr(self, "pipeline_") else Pipeline(self.steps)

    @property
    def named_steps(self) -> Bunch:
        """The steps by name: the fitted ones after `fit`, those of `steps` before."""
        return self._current.named_steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: Any) -> Any:
        """Return a step by position or name; for a slice, a pipeline.

        A slice without the last step is a scikit-learn Pipeline of the transformers, fitted if
        this is; one with it is a DensityPipeline, not fitted.
        """
        steps = self._current.steps
        if not isinstance(index, slice) or len(steps) - 1 not in range(len(steps))[index]:
            return self._current[index]
        if index.step not in (1, None):
            raise ValueError("A slice of a pipeline must have a step of 1.")
        kept = [(name, step) for name, step in self.steps[index]]
        names = [name for name, _ in kept]
        custom = {k: v for k, v in self._custom.items() if k.split("__")[0] in names}
        return type(self)(
            kept, log_jacobians=custom or None, normalizer_draws=self.normalizer_draws
        )

    def _sk_visual_block_(self) -> Any:
        return Pipeline(self.steps)._sk_visual_block_()


def _cure_of_missing(steps: Any) -> dict[str, str]:
    """Return what `check_finite` should advise where an imputer is a step already."""
    if not any(type(step).__name__.endswith("Imputer") for _, step in steps):
        return {}
    cure = (
        "A density pipeline takes no missing values, also with an imputer among its steps: filling "
        "in has no inverse. Impute the table before it comes here, or drop such rows."
    )
    return {"cure": cure}


def _check_last_step_has(pipeline: "DensityPipeline", name: str) -> None:
    last = pipeline.steps[-1] if pipeline.steps else None
    if not hasattr(last[1] if last else None, name):
        raise AttributeError(f"The last step, {last!r}, has no {name}.")


def _has_score_function(pipeline: "DensityPipeline") -> bool:
    _check_last_step_has(pipeline, "score_function")
    if vars(pipeline).get("_beside") is not None:
        raise AttributeError("A table with categories or whole numbers has no score_function.")
    if knows_score_function(pipeline.steps, pipeline._custom):
        return True
    raise AttributeError(
        "DensityPipeline has no score_function where log_jacobians are given: their derivatives "
        f"are not known ({', '.join(pipeline._custom)})."
    )


def _score_far_rows(density: DensityEstimator, Z: np.ndarray) -> np.ndarray:
    """Score rows that exp may have sent so far out that a quadratic form overflows: -inf."""
    with np.errstate(over="ignore", invalid="ignore"):
        log_density = density.score_samples(Z)
    overflown = np.isnan(log_density) & (np.abs(Z) > 1e150).any(axis=1)
    return np.where(overflown, -np.inf, log_density)


_NOT_BY_COLUMN = (
    "observed values only pass through transformers that act on each column alone. Leave out PCA "
    "and steps with log_jacobians."
)


class DensityPipeline(DensityEstimator, NamedSteps):
    r"""Transformers followed by a density, as one density of the original table.

    With :math:`z = T(x)` the chain of fitted transformers and :math:`q` the fitted last step,

    .. math::

        \log p(x) = \log q(T(x)) + \log|\det \partial T / \partial x| - \log Q(T(\mathbb{R}^d)),

    so log-densities are in the units of the original table and comparable between pipelines with
    different transformers. The last term is zero unless the transformers cannot reach every
    value that q can take (``sqrt`` reaches positive numbers only): then q is restricted to the
    values they reach.

    Prefer it to :class:`sklearn.pipeline.Pipeline`, whose `score` is in transformed units, where
    pipelines are compared, rows are drawn, or the table has units that matter. Use Pipeline where
    the transformers are not invertible (feature selection, PCA to fewer dimensions).

    Parameters
    ----------
    steps : list of (str, estimator)
        Transformers, or "passthrough", and last a :class:`skgm.DensityEstimator`, or a density of
        scikit-learn (GaussianMixture, KernelDensity). Known transformers: StandardScaler,
        MinMaxScaler, MaxAbsScaler, RobustScaler, PowerTransformer, QuantileTransformer where no
        two quantiles are equal, PCA that keeps every component, FunctionTransformer of numpy's
        log, log1p, exp, expm1 or sqrt (`inverse_func` may be left out: the inverse is supplied),
        OrdinalEncoder before a last step that reads categories,
        ColumnTransformer whose parts partition the columns, and Pipeline of these. They are cloned
        by `fit`.
    log_jacobians : dict of str to callable, default=None
        For other invertible transformers: ``function(X)`` returns the log of the absolute Jacobian
        determinant at each row of the step's input X, (n_samples,). Keys are names of steps; a
        transformer inside a step is called ``step__part``.
    normalizer_draws : int, default=65536
        Number of draws from the last step that estimate the last term of the formula where the
        transformers cannot reach every value, there is more than one column, and so no exact
        value is at hand.

    Attributes
    ----------
    pipeline_ : sklearn.pipeline.Pipeline
        The fitted steps. Its own `score_samples` is in transformed units.
    named_steps : Bunch
        The steps by name: the fitted ones after `fit`, those of `steps` before. Indexing
        (``pipe["pca"]``, ``pipe[-1]``, ``pipe[:-1]``) reads the same.
    log_image_probability_ : float
        Log-probability that the last step gives to the values that the transformers reach; 0
        where they reach every value. An estimate has standard error sqrt((1 - p) / (p m)) nats
        for m draws; 0 from m = 65536 draws means that 1 - p < 5e-5, with 95% confidence.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    log_density_kind_ : {"exact", "estimate", "lower_bound"}
        That of the last step; "estimate" where ``log_image_probability_`` is an estimate.

    Raises
    ------
    ValueError
        From `fit`: a step that is not invertible or whose Jacobian is unknown, a value outside
        the domain of a step, or `sample_weight` with a transformer that learns but takes no
        weights; the message names the step, the column and the cure.

    See Also
    --------
    make_density_pipeline : The same without naming the steps.

    Notes
    -----
    Rows outside the domain of a transformer (the logarithm of a negative number) have log-density
    -inf in `score_samples`; in `fit` they are errors. `sample_weight` goes to every step whose
    `fit` takes it, `event` to the last. With scikit-learn's metadata routing it is the pipeline
    that requests them (``pipe.set_fit_request(event=True)``), not its steps.

    Missing values (NaN) go through transformers that act on each column alone to a last step that
    takes them (:class:`skgm.GaussianMixtureDensity`, :class:`skgm.DensityChain`). Rows with holes
    are then scored by the density of what they observe, which is normalized for each pattern.

    Without transformers the last step gets the table as it is, and the pipeline is that density.
    Behind transformers of real numbers it never sees a data frame, and its messages call columns by
    position. In a frame with categories, whole numbers or dates, a ColumnTransformer may change the
    real columns; the last step reads the frame with the changed values. It is handed the categories
    that the codes of an OrdinalEncoder stand for, so that the encoder changes neither scores nor
    draws; ``pipeline_[:-1]`` still gives codes. A step that changes columns of other kinds is
    refused.

    Behind a QuantileTransformer the density has the range of the training rows as its support, and
    follows the spacing of the quantiles: set `n_quantiles` to a small part of the number of rows.

    A probability mass (support "binary", "counts" or "positive-counts") has no Jacobian: such a
    last step is only accepted without transformers.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from skgm import ScoreMatchingGaussian, make_density_pipeline
    >>> X = np.exp(np.random.default_rng(0).normal(size=(500, 2)))
    >>> pipe = make_density_pipeline(FunctionTransformer(np.log), ScoreMatchingGaussian()).fit(X)
    >>> bool(pipe.sample(100, random_state=0).min() > 0), pipe.score_samples([[-1.0, 1.0]])
    (True, array([-inf]))
    """

    _parameter_constraints = {
        "steps": [list],
        "log_jacobians": [dict, None],
        "normalizer_draws": [Interval(numbers.Integral, 1, None, closed="left")],
    }

    def __init__(
        self, steps: Any, *, log_jacobians: Any = None, normalizer_draws: int = 65536
    ) -> None:
        self.steps = steps
        self.log_jacobians = log_jacobians
        self.normalizer_draws = normalizer_draws

    @transactional
    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, event: Any = None, **params: Any
    ) -> "DensityPipeline":
        """Fit clones of the steps, one after the other.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Training table; the first step gets the data frame itself.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Given to every step whose `fit` takes it. A transformer that learns but takes no
            weights is then an error.
        event : array-like of shape (n_samples,) or (n_samples, n_features), default=None
            1 where the value was observed, 0 where it is only known to be larger (right-censored).
            Given to the last step, if its `fit` takes it (:class:`skgm.MLEDensity`); the
            transformers must act on each column alone, and learn as if nothing were censored.
        **params : dict
            Other arguments of the last step's `fit`, as ``step__parameter``.

        Returns
        -------
        self : DensityPipeline
            The fitted pipeline.
        """
        self._fitted_jacobians = dict(self.log_jacobians or {})
        self._beside: Beside | None = None
        self._validate_names([name for name, _ in check_steps(self.steps)])
        n_steps = len(self.steps)
        with fit_task(self, X=X, y=y, sample_weight=sample_weight, n_subtasks=n_steps) as context:
            check_custom(self.steps, self._custom)
            if self._stands_alone:
                told = last_step_params(self.steps, event, params, self._custom)
                fit_alone(self, X, sample_weight, told, context)
                return self
            check_keeps_kinds(self.steps, X, self._custom)
            density = self.steps[-1][1]
            if reads_kinds(density) and kinds_read_by(density, X) is not None:
                self._fit_frame(X, sample_weight, event, params, context)
                return self
            array, weight = self._begin_fit(X, sample_weight, finite=False)
            known = np.where(np.isnan(array), 0.0, array) if self._takes_holes else array
            check_finite(known, column_names(self, array.shape[1]), **_cure_of_missing(self.steps))
            rows = array if self._frame_schema is None else X
            kept = np.ones(len(array), dtype=bool) if weight is None else weight > 0
            if weight is not None and not kept.all():  # a row of weight zero is absent
                rows, weight = keep_rows(rows, kept), weight[kept]
            table = Table(rows, names_of(rows), column_names(self, array.shape[1]), len(rows))
            check_early(self.steps, self._custom, table, weighted=weight is not None)
            told = last_step_params(self.steps, event, params, self._custom)
            told = keep_param_rows(told, kept)
            self.pipeline_, self._step_schemas = fit_steps(self, table, weight, told, context)
            self._settle()
        return self

    def _fit_frame(
        self, X: Any, sample_weight: Any, event: Any, params: dict[str, Any], context: Any
    ) -> None:
        """Fit to a frame some of whose columns are no real numbers."""
        check_mixed_table(self, X, reset=True)
        self._frame_schema = frame_schema(X)
        kept = np.ones(table_shape(X)[0], dtype=bool)
        weight = None
        if sample_weight is not None:
            weight = check_sample_weight(sample_weight, np.empty((len(kept), 1)))
            kept = weight > 0
            X, weight = keep_rows(X, kept), weight[kept]
        table = Table(X, names_of(X), column_names(self, self.n_features_in_), table_shape(X)[0])
        check_early(self.steps, self._custom, table, weighted=weight is not None)
        told = last_step_params(self.steps, event, params, self._custom)
        told = keep_param_rows(told, kept)
        self.pipeline_, self._beside = fit_beside(self, X, weight, told, context)
        self._step_schemas = {}
        self._settle()

    @property
    def _takes_holes(self) -> bool:
        """Whether the last step takes NaN, and the others carry them through."""
        density = self._current.steps[-1][1]
        if not isinstance(density, DensityEstimator) or not get_tags(density).input_tags.allow_nan:
            return False
        return self._stands_alone or acts_by_column(self.steps, self._custom)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn whether missing values are allowed."""
        tags = super().__sklearn_tags__()
        try:
            tags.input_tags.allow_nan = self._takes_holes
        except (AttributeError, TypeError, ValueError, IndexError):  # steps that `fit` refuses
            tags.input_tags.allow_nan = False
        return tags

    @property
    def _stands_alone(self) -> bool:
        """Whether the last step is a density of ours, and the only step that does anything."""
        *others, (_, density) = self._current.steps
        idle = all(is_passthrough(step) for _, step in others)
        return idle and isinstance(density, DensityEstimator)

    def _settle(self) -> None:
        """Derive the remaining fitted attributes from the fitted steps."""
        density, changed = self._density, np.ones(self.n_features_in_, dtype=bool)
        changed = changed if self._beside is None else self._beside.changed
        check_all_lebesgue(self.steps, density, self._column_labels_in_order(), changed)
        numbers_ = density if self._beside is None else Numbers(density, self._beside)
        value, exact = log_image_probability(numbers_, self._chain, self.normalizer_draws)
        self.log_image_probability_ = value
        self.log_density_kind_ = density.log_density_kind_ if exact else "estimate"

    @property
    def _custom(self) -> dict[str, Any]:
        # after `fit`, those of the fit: a later set_params must not change a fitted density
        return vars(self).get("_fitted_jacobians", self.log_jacobians) or {}

    @property
    def _density(self) -> Any:
        density = self.pipeline_.steps[-1][1]
        return density if isinstance(density, DensityEstimator) else Foreign(density)

    def _base_measures(self) -> list[str]:
        measures = list(self._density.base_measure_.values())
        if self._stands_alone or self._beside is not None:
            return measures
        return ["Lebesgue"] * self.n_features_in_

    @property
    def _chain(self) -> Chain:
        """The fitted transformers as one map; cheap to build, so never stored."""
        schemas = self._step_schemas
        return Chain(
            tuple(
                build(step, name, self._custom, schemas.get(name))
                for name, step in self.pipeline_.steps[:-1]
            )
        )

    @in_blocks
    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row in the units of the original table.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats; -inf outside the domain of a transformer.
        """
        check_is_fitted(self)
        if self._stands_alone:
            return self._density.score_samples(X)
        frame, X = X, self._rows_to_score(X)
        with np.errstate(all="ignore"):  # rows outside the domain are dealt with below
            Z, log_det = self._chain.forward_and_log_det(X)
        log_density = np.full(len(X), -np.inf)
        kept = np.isnan(Z).sum(axis=1) == np.isnan(X).sum(axis=1)  # holes stay holes
        inside = kept & ~np.isinf(Z).any(axis=1) & np.isfinite(log_det)
        if self._beside is not None and inside.any():
            rows = self._beside.behind(frame, Z)
            rows = rows if inside.all() else keep_rows(rows, inside)
            log_density[inside] = self._density.score_samples(rows) + log_det[inside]
        elif inside.any():
            log_density[inside] = _score_far_rows(self._density, Z[inside]) + log_det[inside]
        return np.asarray(log_density - self._log_image(X))

    def _rows_to_score(self, X: Any) -> np.ndarray:
        """Return rows validated; NaN are holes where the pipeline takes them."""
        takes = self._takes_holes
        if self._beside is not None:
            check_mixed_table(self, X, reset=False)
            return self._beside.values(X, holes=takes)
        X = self._begin_scoring(X, finite=not takes).astype(np.float64, copy=False)
        if not takes:
            return X
        check_finite(np.where(np.isnan(X), 0.0, X), column_names(self, X.shape[1]))
        return X

    def _log_image(self, X: np.ndarray) -> Any:
        """Return the log-probability of the values that the transformers reach, of each row."""
        holes = np.isnan(X)
        if self.log_image_probability_ == 0 or not holes.any():
            return self.log_image_probability_
        part = holes.any(axis=1)
        result = np.full(len(X), self.log_image_probability_)
        density = self._density
        density = density if self._beside is None else Numbers(density, self._beside)
        model = density, self._chain, self.normalizer_draws
        result[part] = log_observed_probability(*model, ~holes[part])
        return result

    @available_if(_has_score_function)
    def score_function(self, X: Any) -> np.ndarray:
        """Return the gradient of the log-density with respect to each row.

        The chain rule through the transformers. Available if the last step has it and no step
        depends on `log_jacobians`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows inside the domain of every transformer.

        Returns
        -------
        score : ndarray of shape (n_samples, n_features)
            Stein score, per unit of the original columns.

        Raises
        ------
        ValueError
            A row outside the domain of a transformer, where there is no gradient.
        """
        check_is_fitted(self)
        if self._stands_alone:
            return self._density.score_function(X)
        X = self._begin_scoring(X).astype(np.float64, copy=False)
        chain = self._chain
        with np.errstate(all="ignore"):
            Z = chain.forward(X)
        outside = ~np.isfinite(Z).all(axis=1)
        if outside.any():
            raise ValueError(
                f"Row {int(np.argmax(outside))} of X lies outside the support of the pipeline, "
                "where the log-density is -inf and has no gradient. Drop such rows."
            )
        return chain.pull_back(X, self._density.score_function(Z))

    def sample(self, n_samples: int = 1, random_state: Any = None, *, given: Any = None) -> Any:
        if "pipeline_" in vars(self) and self._stands_alone:
            return self._density.sample(n_samples, random_state, given=given)
        if vars(self).get("_beside") is not None:
            return self._sample_frame(n_samples, as_generator(random_state), given)
        return super().sample(n_samples, random_state, given=given)

    def _sample_frame(self, n_samples: Any, rng: np.random.Generator, given: Any) -> Any:
        assert self._beside is not None
        model = self._density, self._chain
        if given is None:
            return self._beside.draw(*model, check_n_samples(n_samples), rng)
        if not acts_by_column(self.pipeline_.steps, self._custom):
            raise ValueError(f"Cannot draw conditionally: {_NOT_BY_COLUMN}")
        told = self._read_conditions(given, n_samples)
        check_mixed_table(self, told.table, reset=False)
        return self._beside.complete(*model, told.table, told.times, rng)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        return draw_rows(self._density, self._chain, n_samples, rng)

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        if not acts_by_column(self.pipeline_.steps, self._custom):
            raise ValueError(f"Cannot draw conditionally: {_NOT_BY_COLUMN}")
        names = column_names(self, self.n_features_in_)
        return complete_rows(self._density, self._chain, given, n_samples, rng, names)

    def _can_condition(self) -> bool:
        _check_last_step_has(self, "impute")
        if acts_by_column(self.steps, self._custom):
            return True
        raise AttributeError(f"DensityPipeline has no conditional draws: {_NOT_BY_COLUMN}")

    def __density_tags__(self) -> DensityTags:
        return derive_tags(self.steps, self._custom)


def make_density_pipeline(
    *steps: Any, log_jacobians: Any = None, normalizer_draws: int = 65536
) -> DensityPipeline:
    """Build a :class:`DensityPipeline`, naming each step after its class in lower case.

    Parameters
    ----------
    *steps : transformers and, last, a density
        The steps in order.
    log_jacobians : dict of str to callable, default=None
        As in :class:`DensityPipeline`.
    normalizer_draws : int, default=65536
        As in :class:`DensityPipeline`.

    Returns
    -------
    pipeline : DensityPipeline
        Not fitted.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skgm import ScoreMatchingGaussian, make_density_pipeline
    >>> pipe = make_density_pipeline(StandardScaler(), ScoreMatchingGaussian())
    >>> list(pipe.named_steps)
    ['standardscaler', 'scorematchinggaussian']
    """
    named = make_pipeline(*steps).steps
    return DensityPipeline(named, log_jacobians=log_jacobians, normalizer_draws=normalizer_draws)
