"""Classifies rows into thousands of classes, of which each training step looks at a few."""

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from skgm._numerics.epochs import bounded_repetitions, train_epochs
from skgm._random import RANDOM_STATE, MinibatchSampler, as_generator
from skgm._sklearn import (
    CallbackSupportMixin,
    Interval,
    StrOptions,
    VersionedEstimator,
    check_sample_weight,
    epoch_begins,
    epoch_ends,
    fit_task,
    limit_threads,
)
from skgm._warnings import warn_user
from skgm.base import transactional
from skgm.nce._vocabulary.class_model import (
    ClassModel,
    Schedule,
    batch_noise,
    row_keys,
    run_epoch,
    start_model,
    train_by_batches,
)
from skgm.nce._vocabulary.full_softmax import SoftmaxPrediction, fit_softmax, merge_labeled_rows
from skgm.tables._validation import validate_table

__all__ = ["NCEClassifier"]


MAX_MERGED = 10_000_000  # entries of a table whose equal rows are looked for
MAX_ITER = {"lbfgs": 1000, "adagrad": 50}
FEW_ROWS = 2_000  # below, more than one thread costs more than it saves


class NCEClassifier(SoftmaxPrediction, ClassifierMixin, CallbackSupportMixin, VersionedEstimator):
    r"""Linear classifier for thousands of classes, trained on samples of them.

    .. math::
        p(k \mid x) = \frac{\exp s_k(x)}{\sum_l \exp s_l(x)}, \qquad
        s_k(x) = w_k^{\mathsf T} A^{\mathsf T} x + b_k

    A softmax classifier spends its time on the normalizer, a sum over all classes for each row.
    Here a batch of rows shares a few hundred noise classes, drawn by their frequency, and learns
    to tell the true classes from them, so that the time of an update does not depend on the number
    of classes. Probabilities are exact: they are normalized over all classes, in blocks of rows.

    Prefer it for a thousand classes or more. With no more classes than `n_noise` it is multinomial
    logistic regression and has the optimum of
    :class:`~sklearn.linear_model.LogisticRegression`. Standardize the columns.

    Parameters
    ----------
    loss : {"ranking", "nce", "full"}, default="ranking"
        "ranking" finds the true class among the noise classes and gives the better probabilities.
        "nce" tells data from noise class by class, which makes the exponentials of the scores sum
        to nearly one (see `log_normalizer_stats`). "full" is over all classes, and slow; it is
        used whatever is said here if there are no more classes than `n_noise`.
    n_noise : int, default=256
        Distinct noise classes per batch, on average.
    rank : int or None, default=None
        Number of columns of A: classes are scored on that many linear combinations of the columns,
        so that a class has few coefficients. None scores them on the columns themselves.
    noise_power : float, default=1.0
        Noise classes are drawn in proportion to this power of their frequency.
    alpha : float or "auto", default="auto"
        Half of this times the squared coefficients is added to the mean loss. "auto" is a
        standard normal prior, 1 / n_samples, as is C=1 in LogisticRegression; in `partial_fit` 0.
    solver : {"auto", "lbfgs", "adagrad"}, default="auto"
        "lbfgs" finds the optimum of a loss over all classes, without `rank`; "adagrad" trains by
        mini-batches. "auto" is "lbfgs" if there are no more classes than `n_noise` and no `rank`.
    learning_rate : float, default=0.3
        Step size of Adagrad.
    batch_size : int, default=512
        Largest size of a mini-batch.
    max_iter : int or "auto", default="auto"
        Largest number of epochs of Adagrad ("auto": 50) or iterations of L-BFGS (1000).
    tol : float, default=1e-5
        L-BFGS stops if no entry of the gradient is larger; an epoch of Adagrad is an improvement
        if the held-out loss falls by more.
    early_stopping : bool, default=True
        Hold out rows from Adagrad, stop if their exact log-loss no longer falls, and keep the
        parameters of the best epoch.
    validation_fraction : float, default=0.1
        Share of the rows held out, 5000 at most; a class keeps some of its rows.
    n_iter_no_change : int, default=2
        Epochs without improvement before training stops.
    random_state : None, int, RandomState or Generator, default=None
        Seed of the start of A, the rows held out, batches and noise classes.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted class labels.
    class_count_ : ndarray of shape (n_classes,)
        Weighted rows of each class.
    coef_ : ndarray of shape (n_classes, n_features_in_) or (n_classes, rank)
        The w of the classes.
    intercept_ : ndarray of shape (n_classes,)
        b.
    projection_ : ndarray of shape (n_features_in_, rank) or None
        A; None without `rank`.
    n_iter_ : int
        Epochs or iterations.
    loss_curve_ : list of float
        Mean loss of each epoch, or penalized log-loss after each iteration. Losses of different
        kinds do not compare.
    validation_curve_ : list of float
        Exact log-loss of the rows held out after each epoch; empty without them.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.

    Raises
    ------
    ValueError
        From `fit`: NaN or infinity, fewer than two classes, `solver="lbfgs"` with a sampled loss or
        `rank`, training that diverges in its first epoch.

    Warns
    -----
    ConvergenceWarning
        L-BFGS has not finished, or the held-out loss still falls after `max_iter` epochs, or
        training diverges later.

    See Also
    --------
    sklearn.linear_model.LogisticRegression : The exact optimum of few classes.
    sklearn.linear_model.SGDClassifier : One class against the rest.

    Notes
    -----
    Mini-batches are computed in float32, L-BFGS and predictions in float64. For two classes the
    penalty is on both rows of `coef_`, whose difference is what LogisticRegression calls `coef_`.
    An integer weight equals that many repetitions of the row, under the same `random_state`.
    Weights that sum to more than 20,000 and more than four per row are scaled down together for
    the mini-batches, so that an epoch does not grow with them.

    References
    ----------
    .. [1] A. Mnih and Y. W. Teh, "A fast and simple algorithm for training neural probabilistic
       language models", ICML 2012, section 3.
    .. [2] Z. Ma and M. Collins, "Noise contrastive estimation and negative sampling for
       conditional models: consistency and statistical efficiency", EMNLP 2018, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import NCEClassifier
    >>> X = np.random.default_rng(0).normal(size=(5000, 2))
    >>> y = np.floor(X[:, 0] * 100).astype(int)  # hundreds of classes
    >>> classifier = NCEClassifier(n_noise=50, random_state=0).fit(X, y)
    >>> bool(abs(classifier.predict_proba(X[:1]).sum() - 1) < 1e-12)
    True
    """

    class_count_: np.ndarray
    loss_curve_: list[float]
    validation_curve_: list[float]
    _dtype: str
    _seed: int
    _n_calls: int
    _squares: dict[str, np.ndarray] | None

    _parameter_constraints = {
        "loss": [StrOptions({"ranking", "nce", "full"})],
        "n_noise": [Interval(Integral, 1, None, closed="left")],
        "rank": [Interval(Integral, 1, None, closed="left"), None],
        "noise_power": [Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "solver": [StrOptions({"auto", "lbfgs", "adagrad"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "random_state": RANDOM_STATE,
    }

    def __init__(
        self,
        loss: str = "ranking",
        *,
        n_noise: int = 256,
        rank: int | None = None,
        noise_power: float = 1.0,
        alpha: float | str = "auto",
        solver: str = "auto",
        learning_rate: float = 0.3,
        batch_size: int = 512,
        max_iter: int | str = "auto",
        tol: float = 1e-5,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 2,
        random_state: Any = None,
    ) -> None:
        self.loss = loss
        self.n_noise = n_noise
        self.rank = rank
        self.noise_power = noise_power
        self.alpha = alpha
        self.solver = solver
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @transactional
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "NCEClassifier":
        """Fit the coefficients of all classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,)
            Class labels: numbers or text.
        sample_weight : array-like of shape (n_samples,), default=None
            An integer weight equals that many repetitions of the row.

        Returns
        -------
        self : NCEClassifier
            The fitted classifier.
        """
        table, labels, weight = _begin_labeled(self, X, y, sample_weight, reset=True)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs rows of at least two classes; got one class, "
                f"{self.classes_.tolist()[0]!r}."
            )
        self._start_over(table.dtype.name, np.bincount(codes, weights=weight))
        solver = self._chosen_solver()
        fit_by = self._fit_lbfgs if solver == "lbfgs" else self._fit_adagrad
        most = self._most_iterations(solver)
        with (
            fit_task(self, X=X, y=y, sample_weight=sample_weight, n_subtasks=most) as context,
            limit_threads(1 if len(codes) < FEW_ROWS else None),
        ):
            return fit_by(table, codes, weight, context)

    def _start_over(self, dtype: str, counts: np.ndarray) -> None:
        for name in ("coef_", "n_iter_"):
            if hasattr(self, name):
                delattr(self, name)
        self.class_count_, self._dtype = counts, dtype
        self._squares = None
        self._seed, self._n_calls = int(as_generator(self.random_state).integers(2**63)), 0

    @transactional
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> "NCEClassifier":
        """Go on with more rows: one pass of Adagrad over them, in random order.

        Noise classes follow the frequencies of all rows so far. Calls with a `batch_size` of rows
        or more learn as much as one call on all of them; smaller calls make smaller batches.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            More rows.
        y : array-like of shape (n_samples,)
            Their labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call only.
        sample_weight : array-like of shape (n_samples,), default=None
            An integer weight equals that many repetitions of the row.

        Returns
        -------
        self : NCEClassifier
            The updated classifier.
        """
        first = not hasattr(self, "classes_")
        table, labels, weight = _begin_labeled(self, X, y, sample_weight, reset=first)
        if first:
            self.classes_ = _first_classes(classes, type(self).__name__)
            self._start_over(table.dtype.name, np.zeros(len(self.classes_)))
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                "classes differ from those of the first call to partial_fit. Leave them out, or "
                "start with a clone."
            )
        codes = _codes_of(labels, self.classes_)
        counts = np.bincount(codes, weights=weight, minlength=len(self.classes_))
        self.class_count_ = self.class_count_ + counts
        with (
            fit_task(self, X=X, y=y, sample_weight=sample_weight),
            limit_threads(1 if len(codes) < FEW_ROWS else None),
        ):
            return self._go_on(table, codes, weight)

    def _chosen_solver(self) -> str:
        n_classes = len(self.classes_)
        exact = self.loss == "full" or n_classes <= self.n_noise
        if self.solver == "lbfgs" and (self.rank is not None or not exact):
            raise ValueError(
                "solver='lbfgs' is for losses over all classes (loss='full', or at most n_noise "
                f"classes) without rank; got loss={self.loss!r}, n_noise={self.n_noise}, "
                f"{n_classes} classes and rank={self.rank}. Use solver='adagrad'."
            )
        if self.solver != "auto":
            return self.solver
        return "lbfgs" if self.rank is None and n_classes <= self.n_noise else "adagrad"

    def _most_iterations(self, solver: str) -> int:
        return MAX_ITER[solver] if isinstance(self.max_iter, str) else self.max_iter

    def _ridge(self, automatic: float) -> float:
        return automatic if isinstance(self.alpha, str) else self.alpha

    def _fit_lbfgs(self, table: Any, codes: np.ndarray, weight: np.ndarray, context: Any) -> Any:
        rows = table.astype(np.float64)
        if rows.shape[0] * rows.shape[1] <= MAX_MERGED:
            rows = rows.toarray() if issparse(rows) else rows
            rows, codes, weight = merge_labeled_rows(rows, codes, weight)

        def observe(loss: float) -> bool:
            task = epoch_begins(context, self, X=table, name="lbfgs-iteration")
            return epoch_ends(task, self, X=table, state=dict)

        found = fit_softmax(
            rows,
            codes,
            weight,
            len(self.classes_),
            alpha=self._ridge(1 / weight.sum()),
            max_iter=self._most_iterations("lbfgs"),
            tol=self.tol,
            observe=observe,
        )
        if not found.converged:
            warn_user(
                f"L-BFGS has not converged after {len(found.losses)} iterations. Standardize the "
                "columns, or raise max_iter, tol or alpha.",
                ConvergenceWarning,
            )
        with np.errstate(over="ignore"):
            self.coef_ = found.coef.astype(self._dtype)
            self.intercept_ = found.intercept.astype(self._dtype)
        if not (np.isfinite(self.coef_).all() and np.isfinite(self.intercept_).all()):
            raise ValueError(
                f"The coefficients are not finite in {self._dtype}: columns differ too much in "
                "scale. Standardize the columns, or pass X in float64."
            )
        self.projection_ = None
        self.loss_curve_, self.validation_curve_ = found.losses, []
        self.n_iter_ = len(found.losses)
        return self

    def _fit_adagrad(self, table: Any, codes: np.ndarray, weight: np.ndarray, context: Any) -> Any:
        rng = np.random.default_rng(self._seed)
        model = self._new_model(table.shape[1], self._ridge(1 / weight.sum()), rng)

        def on_epoch(run: Callable[[], None]) -> bool:
            task = epoch_begins(context, self, X=table)
            run()
            return epoch_ends(task, self, X=table, state=lambda: self._public(model))

        max_iter = self._most_iterations("adagrad")
        schedule = Schedule(
            self.learning_rate,
            self.batch_size,
            max_iter,
            self.validation_fraction if self.early_stopping else 0.0,
            self.n_iter_no_change,
            self.tol,
        )
        history = train_by_batches(model, table, codes, weight, schedule, rng, on_epoch)
        self.loss_curve_, self.validation_curve_ = history.losses, history.validation_losses
        self.n_iter_ = len(history.losses)
        if history.validation_losses and history.best_iter == max_iter:
            warn_user(
                f"The held-out loss still falls after {max_iter} epochs. Raise max_iter, or "
                "learning_rate.",
                ConvergenceWarning,
            )
        return self._publish(model)

    def _noise_options(self) -> dict[str, Any]:
        counts, power = self.class_count_, self.noise_power
        noise = batch_noise(counts, loss=self.loss, n_noise=self.n_noise, power=power)
        return {"loss": self.loss, "noise": noise}

    def _new_model(self, n_features: int, alpha: float, rng: np.random.Generator) -> ClassModel:
        options = {**self._noise_options(), "alpha": alpha}
        return start_model(self.class_count_, n_features, self.rank, rng, **options)

    def _public(self, model: ClassModel) -> dict[str, Any]:
        state = model.snapshot()
        projection = state.get("projection")
        return {
            "coef_": state["weights"].astype(self._dtype),
            "intercept_": state["bias"].astype(self._dtype),
            "projection_": None if projection is None else projection.astype(self._dtype),
        }

    def _publish(self, model: ClassModel) -> Any:
        self.__dict__.update(self._public(model))
        state = model.snapshot()
        self._squares = {name: a for name, a in state.items() if name.endswith("_squares")}
        return self

    def _go_on(self, table: Any, codes: np.ndarray, weight: np.ndarray) -> Any:
        """Make one pass over more rows, from where the last call ended."""
        rng = np.random.default_rng([self._seed, self._n_calls])
        if hasattr(self, "coef_"):
            model = self._model_so_far()
        else:
            model = self._new_model(table.shape[1], self._ridge(0.0), rng)
        repetitions = bounded_repetitions(weight)
        sampler = MinibatchSampler(row_keys(table, codes), repetitions, self.batch_size)

        def pass_over() -> float:
            return run_epoch(model, table, codes, sampler.epoch(rng), self.learning_rate, rng)

        if hasattr(self, "coef_") and self._squares is None:
            self._learn_steps(model, pass_over, self.class_count_.sum() / weight.sum())
        history = train_epochs(model, pass_over, max_iter=1)
        self._n_calls += 1
        self.n_iter_ = getattr(self, "n_iter_", 0) + 1
        self.loss_curve_ = [*getattr(self, "loss_curve_", []), *history.losses]
        self.validation_curve_ = getattr(self, "validation_curve_", [])
        return self._publish(model)

    def _model_so_far(self) -> ClassModel:
        projection = None if self.projection_ is None else self.projection_.astype(np.float32)
        start = self.coef_.astype(np.float32), self.intercept_.astype(np.float32), projection
        model = ClassModel(*start, **self._noise_options(), alpha=self._ridge(0.0))
        if self._squares is not None:
            model.restore(model.snapshot() | self._squares)
        return model

    def _learn_steps(self, model: ClassModel, pass_over: Callable[[], float], n: float) -> None:
        """Give a model from L-BFGS the step sizes that `n` passes would have left it with."""
        before = model.snapshot()
        train_epochs(model, pass_over, max_iter=1)
        after = model.snapshot()
        squares = {name: a * np.float32(n) for name, a in after.items() if "squares" in name}
        model.restore(before | squares)


def _begin_labeled(
    estimator: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Validate; return table (array or CSR), labels (n,) and weights (n,), all positive."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y "
            "is None."
        )
    table = validate_table(estimator, X, reset=reset, accept_sparse=True)
    labels = column_or_1d(y, warn=True)
    assert_all_finite(labels, input_name="y")
    with warnings.catch_warnings():  # many classes, and few rows of a stream, are meant here
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        check_classification_targets(labels)
    if len(labels) != table.shape[0]:
        raise ValueError(
            f"y has {len(labels)} labels for the {table.shape[0]} rows of X; inconsistent numbers "
            "of samples."
        )
    if sample_weight is None:
        return table, labels, np.ones(len(labels))
    weight = check_sample_weight(sample_weight, table)
    counted = weight > 0
    return table[counted], labels[counted], weight[counted]


def _first_classes(classes: Any, name: str) -> np.ndarray:
    """Return the sorted classes that the first call of `partial_fit` is told of.

    Raises
    ------
    ValueError
        None, fewer than two, or repeated ones.
    """
    if classes is None:
        raise ValueError(
            f"classes must be passed on the first call to {name}.partial_fit: all labels that "
            "will ever come, in any order."
        )
    given = column_or_1d(classes)
    distinct = np.unique(given)
    if len(distinct) < 2 or len(distinct) < len(given):
        raise ValueError(
            f"classes must name at least two distinct classes, each once; got {len(given)} labels, "
            f"{len(distinct)} of them distinct."
        )
    return distinct


def _codes_of(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the positions of labels among the sorted classes, (n,).

    Raises
    ------
    ValueError
        A label that is none of the classes.
    """
    place = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    unknown = classes[place] != labels
    if unknown.any():
        row = int(np.argmax(unknown))
        raise ValueError(
            f"y holds the label {labels.tolist()[row]!r} (row {row}), which is none of the "
            f"{len(classes)} classes given to the first call of partial_fit. Name all there."
        )
    return place
