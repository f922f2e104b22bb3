"""The only file that imports private or version-dependent scikit-learn names.

Everything else in skgm imports them from here, so that a new scikit-learn release is answered in
one place. Supported: scikit-learn >= 1.6.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, wraps
from typing import Any, TypeVar, cast

import numpy as np
import sklearn
from sklearn.base import BaseEstimator, _fit_context
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils import _safe_indexing as take_rows
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.fixes import parse_version
from sklearn.utils.metaestimators import _BaseComposition as BaseComposition
from sklearn.utils.parallel import _get_threadpool_controller
from sklearn.utils.validation import _check_sample_weight

from skgm._numerics.forest import Forest
from skgm._warnings import InconsistentVersionWarning, warn_user

__all__ = [
    "SKLEARN_VERSION",
    "BaseComposition",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "StrOptions",
    "VersionedEstimator",
    "boosted_forest",
    "boosting_to_best_iteration",
    "check_sample_weight",
    "epoch_begins",
    "epoch_ends",
    "fit_boosting",
    "fit_task",
    "limit_blas_threads",
    "limit_openmp_threads",
    "limit_threads",
    "power_scaler",
    "progress_bar",
    "progress_shown",
    "step_task",
    "take_rows",
    "transactional",
]

SKLEARN_VERSION = parse_version(sklearn.__version__)

Method = TypeVar("Method", bound=Callable[..., Any])


class VersionedEstimator(BaseEstimator):
    """scikit-learn's base class of estimators, whose pickles also record the version of skgm."""

    def __getstate__(self) -> dict[str, Any]:
        from skgm import __version__

        return {**super().__getstate__(), "_skgm_version": __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from skgm import __version__

        written = state.get("_skgm_version", "before 0.2.0")
        if written != __version__:
            name = type(self).__name__
            warn_user(
                InconsistentVersionWarning(
                    estimator_name=name, current=__version__, original=written
                )
            )
        super().__setstate__({k: v for k, v in state.items() if k != "_skgm_version"})


try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in for scikit-learn < 1.9, where estimators have no callbacks."""

        def set_callbacks(self, *callbacks: Any) -> "CallbackSupportMixin":
            """Refuse: callbacks need scikit-learn 1.9.

            Parameters
            ----------
            *callbacks : callback instances
                Ignored.

            Returns
            -------
            self : estimator
                Never.

            Raises
            ------
            RuntimeError
                Always.
            """
            raise RuntimeError(
                "set_callbacks needs scikit-learn >= 1.9 (sklearn.callback); "
                f"scikit-learn {sklearn.__version__} is installed."
            )


def transactional(method: Method) -> Method:
    """Decorate `fit` or `partial_fit`: validate parameters, and commit all fitted state or none.

    Constructor parameters are checked against ``_parameter_constraints``. If the method raises, or
    is interrupted from the keyboard, the estimator's attributes are put back as they were; for
    that, the method must bind new arrays and never write into fitted ones.

    Parameters
    ----------
    method : callable
        A method of an estimator that returns self.

    Returns
    -------
    method : callable
        The same, all or nothing.
    """
    validated = _fit_context(prefer_skip_nested_validation=False)(method)

    @wraps(method)
    def wrapper(estimator: Any, *args: Any, **kwargs: Any) -> Any:
        before = dict(vars(estimator))
        try:
            return validated(estimator, *args, **kwargs)
        except BaseException:
            vars(estimator).clear()
            vars(estimator).update(before)
            raise

    return cast(Method, wrapper)  # type checkers keep the signature of the method


@contextmanager
def fit_task(
    estimator: Any,
    *,
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    n_subtasks: int | str | None = 0,
) -> Iterator[Any]:
    """Announce one whole `fit` to the callbacks; yield their context, None below 1.9.

    `n_subtasks` is how many subtasks may be opened on the context, by which progress bars tell the
    time left; None or "auto" where nobody knows.
    """
    if not hasattr(estimator, "_init_callback_context"):
        yield None
        return
    most = None if isinstance(n_subtasks, str) else n_subtasks
    context = estimator._init_callback_context(max_subtasks=most)
    told = {"estimator": estimator, "X": X, "y": y, "metadata": {"sample_weight": sample_weight}}
    context.call_on_fit_task_begin(**told)
    yield context
    context.call_on_fit_task_end(**told, reconstruction_attributes={})


@contextmanager
def step_task(context: Any, estimator: Any, *, name: str, step: Any, X: Any) -> Iterator[None]:
    """Announce the fit of one step of a composition, and hand the callbacks down to the step.

    Steps without callback support fit silently, where scikit-learn's Pipeline would warn.
    """
    if context is None:
        yield
        return
    task = context.subcontext(task_name=f"fit-{name}")
    supported = hasattr(step, "set_callbacks")
    with task.propagate_callback_context(step) if supported else nullcontext():
        task.call_on_fit_task_begin(estimator=estimator, X=X)
        yield
        task.call_on_fit_task_end(estimator=estimator, X=X)


def epoch_begins(context: Any, estimator: Any, *, X: Any, name: str = "epoch") -> Any:
    """Announce one epoch of an iterative fit; return its task, None without a context."""
    if context is None:
        return None
    task = context.subcontext(task_name=name)
    task.call_on_fit_task_begin(estimator=estimator, X=X)
    return task


def epoch_ends(task: Any, estimator: Any, *, X: Any, state: Callable[[], dict[str, Any]]) -> bool:
    """Announce the end of an epoch; return whether a callback asks the fit to stop.

    `state` returns the fitted attributes with which a copy of the estimator is usable now; it is
    called only if a callback wants such a copy.
    """
    if task is None:
        return False
    return bool(
        task.call_on_fit_task_end(estimator=estimator, X=X, reconstruction_attributes=state)
    )


def limit_blas_threads(n_threads: int) -> AbstractContextManager[Any]:
    """Return a context in which linear algebra runs on at most that many threads."""
    return _get_threadpool_controller().limit(limits=n_threads, user_api="blas")


def limit_openmp_threads(n_threads: int | None) -> AbstractContextManager[Any]:
    """Return a context in which OpenMP loops begun by this thread run on that many; None: on all.

    Unlike the limit of linear algebra it is one of the calling thread alone, so that several may
    hold it at a time.
    """
    if n_threads is None:
        return nullcontext()
    return _get_threadpool_controller().limit(limits=n_threads, user_api="openmp")


def limit_threads(n_threads: int | None) -> AbstractContextManager[Any]:
    """Return a context with at most that many threads in linear algebra and in OpenMP loops.

    None sets no limit. On tables of a few hundred rows threads wait longer than they work.
    """
    if n_threads is None:
        return nullcontext()
    return _get_threadpool_controller().limit(limits=n_threads)


def power_scaler(transformer: Any) -> Any:
    """Return the fitted StandardScaler inside a PowerTransformer; None without one."""
    return transformer._scaler if transformer.standardize else None


def boosting_to_best_iteration(model: Any) -> Any:
    """Drop the trees after the best validation score of a histogram gradient boosting, in place.

    Early stopping keeps those that were grown in vain; without early stopping nothing changes.
    """
    if len(model.validation_score_):
        del model._predictors[int(np.argmax(model.validation_score_)) :]  # 0: before any tree
    return model


def boosted_forest(members: Sequence[Any]) -> Forest | None:
    """Return the mean log-odds of fitted histogram gradient boostings, for fast evaluation.

    None for other classifiers, more than two classes, categories other than codes 0, 1, ..., trees
    of more than 32 leaves, or a scikit-learn that lays out its trees in another way.
    """
    kinds = {type(member) for member in members}
    if kinds != {HistGradientBoostingClassifier} or not _layout_is_known():
        return None
    return _read_forest(members)


def _read_forest(members: Sequence[Any]) -> Forest | None:
    if any(len(m.classes_) > 2 for m in members):
        return None
    trees, lefts = [], []
    for member in members:
        found = _read_trees(member)
        if found is None:
            return None
        trees += found[0]
        lefts += found[1]
    base = float(np.mean([np.ravel(member._baseline_prediction)[0] for member in members]))
    return Forest.of(trees, base, 1 / len(members), np.array(lefts) if lefts else None)


_MOST_CODES = 256  # of a category, in the bit sets of scikit-learn


def _read_trees(model: Any) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """Return the nodes of all trees, and which codes each of their splits on categories sends left.

    scikit-learn puts columns of categories first, and numbers the categories that it has seen.
    """
    trees = [each[0] for each in model._predictors]
    if model.is_categorical_ is None:
        return [tree.nodes for tree in trees], []
    column = np.argsort(~model.is_categorical_, kind="stable")
    encoder = model._preprocessor.named_transformers_["encoder"]
    codes = [known[~np.isnan(known)] for known in encoder.categories_]
    if any(((c < 0) | (c >= _MOST_CODES) | (c != np.floor(c))).any() for c in codes):
        return None
    nodes, lefts = [], []
    for tree in trees:
        own = tree.nodes.copy()
        for node in own[(own["is_categorical"] == 1) & (own["is_leaf"] == 0)]:
            bits = tree.raw_left_cat_bitsets[node["bitset_idx"]].astype("<u4").view(np.uint8)
            known = codes[node["feature_idx"]].astype(np.intp)
            left = np.full(_MOST_CODES, bool(node["missing_go_to_left"]))
            left[known] = np.unpackbits(bits, bitorder="little")[: len(known)].astype(bool)
            lefts.append(left)
        own["feature_idx"] = column[own["feature_idx"]]
        nodes.append(own)
    return nodes, lefts


@cache
def _layout_is_known() -> bool:
    """Whether trees read from private attributes give what `decision_function` does."""
    x = np.arange(60.0)
    X = np.column_stack([x % 7, np.where(x % 5 == 0, np.nan, x % 11)])
    for categories in (None, [1]):
        model = HistGradientBoostingClassifier(
            max_iter=5, min_samples_leaf=3, early_stopping=False, categorical_features=categories
        ).fit(X, np.nan_to_num(X).prod(axis=1) > 12)
        try:
            forest = _read_forest([model])
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            return False
        if forest is None or not np.allclose(forest(X), model.decision_function(X), rtol=1e-9):
            return False
    return True


def progress_bar() -> Any:
    """Return a progress display of one estimator; None below scikit-learn 1.9 or without rich."""
    try:
        from sklearn.callback import ProgressBar

        return ProgressBar(max_propagation_depth=0)  # not a bar for every fit of a grid search
    except ImportError:
        return None


@contextmanager
def progress_shown(estimator: Any, verbose: Any) -> Iterator[None]:
    """Show a progress bar of the fit within, if `verbose` and the estimator has no callbacks."""
    bar = progress_bar() if verbose and not getattr(estimator, "_skl_callbacks", []) else None
    if bar is None:
        if verbose and not getattr(estimator, "_skl_callbacks", []):
            warn_user(
                "verbose shows a progress bar only with scikit-learn >= 1.9 and rich. Install both "
                "(pip install 'skgm[progress]'), or set verbose=False.",
                UserWarning,
            )
        yield
        return
    estimator.set_callbacks(bar)
    try:
        yield
    finally:
        del estimator._skl_callbacks


def check_sample_weight(sample_weight: Any, X: Any) -> np.ndarray:
    """Return weights as float64, shape (n_samples,): finite, non-negative, at least one positive.

    Raises
    ------
    ValueError
        Wrong length, negative, non-finite, masked, or all zero (scikit-learn before 1.8 let that
        pass); weights whose sum overflows.
    """
    if np.ma.is_masked(sample_weight):
        raise ValueError("sample_weight has masked entries; give those rows the weight 0.")
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not np.isfinite(total):
        raise ValueError(
            f"The sum of sample_weight overflows float64 (largest weight {weight.max():g}). "
            "Weights count repetitions of a row; divide them by a common factor."
        )
    return weight


def fit_boosting(
    model: Any, X: np.ndarray, y: np.ndarray, weight: np.ndarray, *, held_out: np.ndarray
) -> Any:
    """Fit a histogram gradient boosting, stopped early on the rows of the mask `held_out`.

    The trees after the best iteration are dropped; `n_iter_` is that iteration, 0 if no tree
    helps. Without rows held out all `max_iter` trees are grown, and so is a fifth of them by
    scikit-learn below 1.7, which takes no validation rows.
    """
    # equal weights are left out: weighted quantiles take half of the time of a small fit
    weights = {} if np.ptp(weight) == 0 else {"sample_weight": weight[~held_out]}
    if not held_out.any() or parse_version("1.7") > SKLEARN_VERSION:
        few = model.max_iter if not held_out.any() else max(model.max_iter // 5, 1)
        model.set_params(early_stopping=False, max_iter=few)
        return model.fit(X[~held_out], y[~held_out], **weights)
    if weights:
        weights["sample_weight_val"] = weight[held_out]
    model.fit(X[~held_out], y[~held_out], X_val=X[held_out], y_val=y[held_out], **weights)
    return boosting_to_best_iteration(model)
