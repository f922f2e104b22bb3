"""A classifier from one density per class."""

from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.base import ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import assert_all_finite
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skgm._bayes import check_priors, log_marginal, log_posterior
from skgm._parallel import N_JOBS, n_workers, ordered_map
from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import (
    CallbackSupportMixin,
    StrOptions,
    VersionedEstimator,
    check_sample_weight,
    fit_task,
    step_task,
)
from skgm.base import transactional
from skgm.compose._densities import (
    DENSITY,
    draw_rows,
    fit_density,
    log_density,
    prior_covariance,
    read_rows,
)
from skgm.compose._fitting import keep_rows, rows_in_order
from skgm.tables._columns import table_shape
from skgm.tables._validation import check_n_samples

__all__ = ["DensityClassifier"]

MAX_FOLDS = 5


def _can_sample(classifier: "DensityClassifier") -> bool:
    if classifier.density is None or hasattr(classifier.density, "sample"):
        return True
    raise AttributeError(f"{type(classifier.density).__name__} has no sample.")


class DensityClassifier(
    ClassifierMixin, MetaEstimatorMixin, CallbackSupportMixin, VersionedEstimator
):
    r"""Classify by Bayes' rule, with one density per class.

    .. math::
        P(k \mid x) = \frac{\pi_k \, p_k(x)^{1/T}}{\sum_l \pi_l \, p_l(x)^{1/T}}

    A clone of `density` is fitted to the rows of each class. With Gaussians this is quadratic
    discriminant analysis; with a richer density the boundaries take its shape.

    Prefer it to a discriminative classifier if there are few classes and few rows, if priors change
    between training and use, if rows of no known class must be recognized (by a low
    `score_samples`), or if you want labeled synthetic rows. Given many rows, a discriminative
    classifier wastes nothing on the shape of the classes.

    Parameters
    ----------
    density : estimator with `fit` and `score_samples`, default=None
        A density of skgm or scikit-learn (GaussianMixture, KernelDensity); cloned for each class.
        None is a :class:`skgm.ScoreMatchingGaussian` whose covariance is shrunk towards that
        within all classes, as if there were n_features more rows (regularized discriminant
        analysis).
    priors : None, "uniform" or array-like of shape (n_classes,), default=None
        Class probabilities, in the order of the sorted classes; None takes their share of the
        training rows.
    calibration : {None, "temperature"}, default=None
        None trusts the densities: T = 1, and probabilities that are too extreme where they are
        misspecified (correlated columns taken for independent ones). "temperature" chooses T by
        the log-loss of out-of-fold densities, at the price of up to five more fits per class. With
        equal priors it leaves `predict` as it is.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the densities that have no seed of their own, and shuffles the folds of the
        calibration.
    n_jobs : int, default=None
        Classes fitted at a time, in processes; the result is the same for every number. None is
        one, -1 all cores.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted class labels.
    class_prior_ : ndarray of shape (n_classes,)
        Class probabilities in use.
    densities_ : list of estimators
        The fitted densities, in the order of `classes_`.
    temperature_ : float
        T of the formula; 1.0 without calibration.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.

    Raises
    ------
    ValueError
        From `fit`: unusable `priors`, `sample_weight` for a density that takes none, a class with
        one row where there is calibration, or whatever the density refuses.

    See Also
    --------
    DensityOutlierDetector : Rows that no density accounts for.
    sklearn.calibration.CalibratedClassifierCV : Calibration of more than one parameter.

    Notes
    -----
    A row outside the support of every class gets the prior probabilities.

    A density that reads kinds of columns (:class:`skgm.DensityChain`, :class:`skgm.DDPM`) gets the
    table as it is: text, dates and, if it takes them, holes. A class may lack a category that
    others have, so densities with that parameter are fitted with ``handle_unknown="ignore"``.

    References
    ----------
    Friedman, J. H. (1989). Regularized discriminant analysis. JASA 84, section 3.

    Guo, C. et al. (2017). On calibration of modern neural networks. ICML, section 4.2
    (temperature scaling).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgm import DensityClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> round(DensityClassifier().fit(X, y).score(X, y), 2)
    0.98
    """

    _parameter_constraints = {
        "density": DENSITY,
        "priors": [StrOptions({"uniform"}), "array-like", None],
        "calibration": [StrOptions({"temperature"}), None],
        "random_state": RANDOM_STATE,
        "n_jobs": N_JOBS,
    }

    def __init__(
        self,
        density: Any = None,
        *,
        priors: Any = None,
        calibration: str | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.density = density
        self.priors = priors
        self.calibration = calibration
        self.random_state = random_state
        self.n_jobs = n_jobs

    @transactional
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "DensityClassifier":
        """Fit one density per class.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Training rows; the densities get data frames as they are.
        y : array-like of shape (n_samples,)
            Class labels: numbers or text.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight w counts its row w times.

        Returns
        -------
        self : DensityClassifier
            The fitted classifier.
        """
        rows, codes, weight = self._begin_fit(X, y, sample_weight)
        mass = np.ones(len(codes)) if weight is None else weight
        counts = np.bincount(codes, weights=mass)
        self.class_prior_ = check_priors(self.priors, counts)
        n_fits = len(self.classes_)
        with fit_task(self, X=X, y=y, sample_weight=sample_weight, n_subtasks=n_fits) as context:
            self.densities_ = self._fit_classes(rows, codes, weight, context)
        self.temperature_ = 1.0
        if self.calibration is not None:
            held_out = self._out_of_fold(rows, codes, weight)
            self.temperature_ = _best_temperature(held_out, codes, mass, self.class_prior_)
        return self

    def _begin_fit(
        self, X: Any, y: Any, sample_weight: Any
    ) -> tuple[Any, np.ndarray, np.ndarray | None]:
        """Validate; return rows (array or frame), class codes (n,), and weights or None."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        rows, n_rows = read_rows(self, X, reset=True)
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        if len(labels) != n_rows:
            raise ValueError(
                f"y has {len(labels)} labels for the {n_rows} rows of X; inconsistent numbers "
                "of samples."
            )
        weight = None if sample_weight is None else check_sample_weight(sample_weight, labels)
        if weight is not None and not weight.all():  # a row of weight zero is absent
            counted = weight > 0
            rows, labels, weight = keep_rows(rows, counted), labels[counted], weight[counted]
        self.classes_, codes = np.unique(labels, return_inverse=True)
        return rows, codes, weight

    def _fit_classes(
        self, rows: Any, codes: np.ndarray, weight: np.ndarray | None, context: Any = None
    ) -> list[Any]:
        labels, here = self.classes_.tolist(), n_workers(self.n_jobs) == 1
        prior = prior_covariance(self, rows, weight, codes)
        options: dict[str, Any] = {"prior": prior, "context": context if here else None}
        fit = partial(_fit_class, clone(self), **options)
        seeds = as_generator(self.random_state).integers(2**31, size=len(labels)).tolist()

        def around(k: int, here: bool) -> Any:
            named = {"name": f"class-{labels[k]}", "step": None, "X": rows}
            return nullcontext() if here else step_task(context, self, **named)

        work = (
            (label, keep_rows(rows, own), None if weight is None else weight[own], seed)
            for label, own, seed in zip(labels, (codes == k for k in range(len(labels))), seeds)
        )
        return list(ordered_map(fit, work, n_jobs=self.n_jobs, around=around))

    def _out_of_fold(self, rows: Any, codes: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        """Return log p(x | k), (n, K), each row scored by densities that did not see it."""
        fewest = np.bincount(codes).min()
        if fewest < 2:
            label = self.classes_.tolist()[np.bincount(codes).argmin()]
            raise ValueError(
                f"calibration='temperature' needs two rows of each class; class {label!r} has "
                "one. Drop the class, or set calibration=None."
            )
        seed = int(as_generator(self.random_state).integers(2**31))
        folds = StratifiedKFold(min(MAX_FOLDS, fewest), shuffle=True, random_state=seed)
        held_out = np.empty((len(codes), len(self.classes_)))
        for _, test in folds.split(codes, codes):
            tested = np.zeros(len(codes), dtype=bool)
            tested[test] = True
            part = None if weight is None else weight[~tested]
            densities = self._fit_classes(keep_rows(rows, ~tested), codes[~tested], part)
            held_out[tested] = _by_class(densities, keep_rows(rows, tested))
        return held_out

    def _class_log_density(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return _by_class(self.densities_, read_rows(self, X, reset=False)[0])

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the log-probability of each class.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        log_probability : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        return log_posterior(self._class_log_density(X), self.class_prior_, self.temperature_)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; rows sum to one.
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        label : ndarray of shape (n_samples,)
            Entries of `classes_`.
        """
        best = self.predict_log_proba(X).argmax(axis=1)
        return self.classes_[best]

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log of the marginal density, summed over the classes.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats: log sum_k P(k) p_k(x). The temperature plays no part in it.
        """
        return log_marginal(self._class_log_density(X), self.class_prior_)

    @available_if(_can_sample)
    def sample(self, n_samples: int = 1, random_state: Any = None) -> tuple[Any, np.ndarray]:
        """Draw labeled rows: labels by the class probabilities, rows by the class densities.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : None, int, RandomState or Generator, default=None
            None draws fresh rows at each call; an int reproduces.

        Returns
        -------
        rows : ndarray or data frame of shape (n_samples, n_features)
            In random order; a frame where the densities read kinds of columns and `fit` saw one.
        labels : ndarray of shape (n_samples,)
            Their classes.
        """
        check_is_fitted(self)
        n_samples, rng = check_n_samples(n_samples), as_generator(random_state)
        codes = rng.choice(len(self.classes_), size=n_samples, p=self.class_prior_)
        counts = np.bincount(codes, minlength=len(self.classes_))
        parts = [
            draw_rows(density, int(count), rng)
            for density, count in zip(self.densities_, counts)
            if count
        ]
        back = np.argsort(np.argsort(codes, kind="stable"))  # rows of a class stand together
        return rows_in_order(parts, back), self.classes_[codes]


def _fit_class(
    owner: DensityClassifier,
    task: tuple[Any, Any, np.ndarray | None, int],
    prior: np.ndarray | None,
    context: Any,
) -> Any:
    """Return the density of one class, from its label, rows, weights and seed."""
    label, rows, weight, seed = task
    options: dict[str, Any] = {"prior": prior, "name": f"class-{label}", "partial": True}
    options["rng"] = np.random.default_rng(seed)
    try:
        return fit_density(owner, rows, weight, context, **options)
    except ValueError as error:
        raise ValueError(
            f"The density of class {label!r} cannot be fitted to its {table_shape(rows)[0]} rows: "
            f"{error}"
        ) from error


def _by_class(densities: list[Any], rows: Any) -> np.ndarray:
    return np.column_stack([log_density(density, rows) for density in densities])


def _best_temperature(
    held_out: np.ndarray, codes: np.ndarray, weight: np.ndarray, priors: np.ndarray
) -> float:
    """Return the temperature, within a factor of 1000 of one, of the least mean log-loss."""
    # -inf would make every temperature infinitely bad: 700 nats below the best class is zero too
    best = held_out.max(axis=1, keepdims=True)
    log_p = np.maximum(held_out, np.where(np.isneginf(best), 0.0, best) - 700.0)
    own = np.arange(len(codes)), codes

    def loss(log_temperature: float) -> float:
        log_probability = log_posterior(log_p, priors, np.exp(log_temperature))[own]
        return -float(np.average(log_probability, weights=weight))

    bound = np.log(1000.0)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))
