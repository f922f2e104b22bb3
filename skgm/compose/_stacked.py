"""StackedDensity: a mixture of densities, weighted by the log-density of rows held out."""

import numbers
import time
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skgm._numerics.importance import kept_weights, systematic_picks
from skgm._parallel import N_JOBS, ordered_map
from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import (
    BaseComposition,
    Interval,
    StrOptions,
    check_sample_weight,
    fit_task,
    step_task,
)
from skgm._warnings import warn_user
from skgm.base import DensityEstimator, DensityTags, in_blocks, transactional
from skgm.compose._densities import (
    Members,
    base_measures,
    check_base_measures,
    default_members,
    draw_rows,
    log_density,
    settle,
)
from skgm.compose._fitting import keep_rows, rows_at, rows_in_order
from skgm.tables._columns import column_kinds, table_shape
from skgm.tables._frames import frame_schema
from skgm.tables._reader import TableReader
from skgm.tables._validation import (
    check_finite,
    check_n_samples,
    validate_table,
)

__all__ = ["StackedDensity"]

_FOLDS = 5
_ONE_FOLD = 2_000  # distinct rows from which one fifth held out tells enough
_FEW_ROWS = 10  # fewer distinct ones cannot be held out


class StackedDensity(BaseComposition, DensityEstimator):
    r"""Mixture of densities, weighted by how well they predict rows held out.

    .. math:: p(x) = \sum_k w_k\, p_k(x), \qquad
        \hat w = \arg\max_w \sum_i \log \sum_k w_k\, p_k^{(-i)}(x_i)

    :math:`p_k^{(-i)}` is member k fitted without row i. The weights are found by EM, members of a
    weight below `min_weight` are dropped, and the others are fitted to all rows. No single density
    is best on every table; this one is rarely worse than the best of its members, and often better
    than all of them.

    Prefer it as the first density for a table, where seconds to minutes are affordable. A single
    member is faster and easier to explain.

    Parameters
    ----------
    members : list of (str, density), default=None
        Densities of skgm or scikit-learn (GaussianMixture, KernelDensity), cloned. All must be
        densities over the same base measure. None chooses by the table:
        :class:`skgm.GaussianMixtureDensity` ("mixture", for tables with a column of real numbers),
        :class:`skgm.DensityChain` ("chain"), :class:`skgm.NCEDensity` ("nce", for real numbers
        alone, without point masses and holes) and :class:`skgm.DDPM` ("ddpm", without holes).
    min_weight : float, default=0.05
        Members of a smaller weight are dropped.
    time_limit : float, default=None
        In seconds. No further member is tried once half of it has passed, and a warning says
        which were left out. The first member is always fitted. None is no limit.
    handle_unknown : {"error", "ignore"}, default="error"
        What to do about categories that `fit` has not seen. "ignore" sets the members'
        parameter of that name, and scores such rows.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the folds, and the members that have no seed of their own.
    n_jobs : int, default=None
        Fits at a time (members times folds, then members), in processes; the result is the same
        for every number. None is one, -1 all cores.

    Attributes
    ----------
    members_ : list of (str, density)
        The members kept, fitted to all rows.
    weights_ : dict of str to float
        Their weights, which sum to one.
    member_scores_ : dict of str to float
        Mean log-density of rows held out, in nats, of every member tried.
    left_out_ : dict of str to str
        Why other members were not tried, or were dropped.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    log_density_kind_ : str
        "exact" if all members kept are; else "lower_bound" or "estimate".

    Raises
    ------
    ValueError
        In `fit`: members over different base measures (the column is named), weights for a member
        that takes none, and what the members raise.

    Warns
    -----
    UserWarning
        `time_limit` left out members; a default member failed; completions where a member cannot
        score rows with holes.

    See Also
    --------
    skgm.compare_densities : Whether one density is better than another, with an interval.

    Notes
    -----
    Below 2,000 distinct rows the members are fitted in five folds; from there on one fifth of the
    rows is held out once. Copies of a row are held out together.

    `sample` draws from each member its share of the rows, rounded systematically, so that tables
    that a member balances stay balanced. Completions of a row weight the members by their
    likelihood of what it observes, where all members kept can score rows with holes; otherwise
    they have the weights of the fit, which is approximate, and a warning says so.

    References
    ----------
    Smyth and Wolpert, "Linearly combining density estimators via stacking", Machine Learning 36,
    1999.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KernelDensity
    >>> from skgm import GaussianMixtureDensity, StackedDensity
    >>> members = [("mixture", GaussianMixtureDensity()), ("kernel", KernelDensity(bandwidth=0.3))]
    >>> stack = StackedDensity(members, random_state=0).fit(load_iris().data)
    >>> sorted(stack.weights_), round(sum(stack.weights_.values()), 6)
    (['kernel', 'mixture'], 1.0)
    """

    # how a table is read before its members read it
    categorical_features = integer_features = "from_dtype"

    _parameter_constraints = {
        "members": [list, None],
        "min_weight": [Interval(numbers.Real, 0, 0.5, closed="left")],
        "time_limit": [Interval(numbers.Real, 0, None, closed="neither"), None],
        "handle_unknown": [StrOptions({"error", "ignore"})],
        "random_state": RANDOM_STATE,
        "n_jobs": N_JOBS,
    }

    def __init__(
        self,
        members: Any = None,
        *,
        min_weight: float = 0.05,
        time_limit: float | None = None,
        handle_unknown: str = "error",
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.members = members
        self.min_weight = min_weight
        self.time_limit = time_limit
        self.handle_unknown = handle_unknown
        self.random_state = random_state
        self.n_jobs = n_jobs

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, and with `deep` those of the members.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include members and their parameters.

        Returns
        -------
        params : dict
            By name.
        """
        return dict(self._get_params("members", deep=deep))

    def set_params(self, **params: Any) -> "StackedDensity":
        """Set parameters, replace members by name, or set their parameters.

        Parameters
        ----------
        **params : dict
            ``members``, a member's name, or ``name__parameter``.

        Returns
        -------
        self : StackedDensity
            The estimator.
        """
        self._set_params("members", **params)
        return self

    def __density_tags__(self) -> DensityTags:
        """Return what all members promise together."""
        if self.members is None:
            return DensityTags(mixed_columns=True, smooth=False, deterministic_fit=False)
        tags = [_tags(member) for _, member in _named(self.members)]
        return DensityTags(
            support=tags[0].support,
            independent_columns=all(tag.independent_columns for tag in tags),
            deterministic_fit=False,  # folds are random
            takes_weights=all(has_fit_parameter(m, "sample_weight") for _, m in self.members),
            mixed_columns=all(tag.mixed_columns for tag in tags),
            smooth=all(tag.smooth for tag in tags),
        )

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that holes are allowed where all members take them."""
        tags = super().__sklearn_tags__()
        members = None if self.members is None else _named(self.members)
        tags.input_tags.allow_nan = members is None or all(_takes_holes(m) for _, m in members)
        return tags

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "StackedDensity":
        """Weight the members by rows held out, and fit those kept to all rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Training table.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight w counts its row w times.

        Returns
        -------
        self : StackedDensity
            The fitted estimator.
        """
        start, rng = time.monotonic(), as_generator(self.random_state)
        with fit_task(self, X=X, y=y, sample_weight=sample_weight, n_subtasks=None) as context:
            rows, codes, weight = self._read(X, sample_weight)
            tried = self._choose_members(rows, codes, rng)
            groups = _numbered(codes)
            folds = _folds(groups, rng)
            scores: dict[str, np.ndarray] = {}
            if folds is None or len(tried) == 1:
                for name, _ in tried[1:]:
                    self.left_out_[name] = "too few distinct rows to hold some out"
                tried = tried[:1]
            else:
                scores = self._score_members(tried, rows, weight, folds, start)
            self._weigh(scores, tried, weight, folds)
            kept = [(name, member) for name, member in tried if name in self.weights_]
            self.members_ = self._fit_members(kept, rows, weight, context)
            d = self.n_features_in_
            measures = [(name, base_measures(member, d)) for name, member in self.members_]
            self._settle_measures(measures)
            self.members_ = [(n, member) for n, member in self.members_ if n in self.weights_]
            self._set_kind()
        return self

    @classmethod
    def of_fitted(
        cls, members: Any, X: Any, sample_weight: Any = None, *, min_weight: float = 0.0
    ) -> "StackedDensity":
        """Stack densities that are fitted already, for example to different parts of a table.

        Parameters
        ----------
        members : list of (str, density)
            Fitted densities over the same columns.
        X : array-like or data frame of shape (n_samples, n_features)
            Rows that no member has seen.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight w counts its row w times.
        min_weight : float, default=0.0
            Members of a smaller weight are dropped.

        Returns
        -------
        stack : StackedDensity
            Fitted: its `members_` are those of `members`, not copies.
        """
        stack = cls(members, min_weight=min_weight)
        rows, _, weight = stack._read(X, sample_weight)
        fitted = _named(members)
        measures = [(name, base_measures(member, stack.n_features_in_)) for name, member in fitted]
        check_base_measures(measures, stack._column_names())
        scores = {name: log_density(member, rows) for name, member in fitted}
        stack._weigh(scores, fitted, weight, [np.ones(table_shape(rows)[0], dtype=bool)])
        stack.members_ = [(name, member) for name, member in fitted if name in stack.weights_]
        stack._set_kind()
        return stack

    def _set_kind(self) -> None:
        kinds = {getattr(m, "log_density_kind_", "exact") for _, m in self.members_}
        order = ("lower_bound", "estimate", "exact")
        self.log_density_kind_ = next(kind for kind in order if kind in kinds)

    def _read(self, X: Any, sample_weight: Any) -> tuple[Any, np.ndarray, np.ndarray | None]:
        """Return the rows of positive weight, as given and as numbers, and their weights."""
        mixed = self.__density_tags__().mixed_columns
        self._mixed = mixed and column_kinds(X, "from_dtype", "from_dtype") is not None
        if self._mixed:
            reader, codes = TableReader.learn(self, X, holes=True)
            self._columns, self._frame_schema = reader.columns, reader.schema
            self._sample_dtype, rows, weight = reader.dtype, X, None
            if sample_weight is not None:
                weight = check_sample_weight(sample_weight, codes)
        else:
            array, weight = self._begin_fit(X, sample_weight, finite=False)
            self._check_values(array)
            rows = array if self._frame_schema is None else X
            codes = array.astype(np.float64)
        self.left_out_: dict[str, str] = {}
        self.weights_: dict[str, float] = {}
        self.member_scores_: dict[str, float] = {}
        if weight is not None and not weight.all():
            kept = weight > 0
            rows, codes, weight = keep_rows(rows, kept), codes[kept], weight[kept]
        return rows, codes, weight

    def _check_values(self, array: np.ndarray) -> None:
        """Refuse infinity, and NaN unless members take them."""
        if get_tags(self).input_tags.allow_nan:
            array = np.where(np.isnan(array), 0.0, array)
        check_finite(array, self._column_names())

    def _choose_members(self, rows: Any, codes: np.ndarray, rng: np.random.Generator) -> Members:
        """Return clones of the members to try, seeded."""
        if self.members is not None:
            chosen = [(name, clone(member)) for name, member in _named(self.members)]
            self._validate_names([name for name, _ in chosen])
        else:
            columns = self._columns if self._mixed else None
            chosen = default_members(codes, columns, self.left_out_)
        for _, member in chosen:
            settle(member, rng, unknown=self.handle_unknown == "ignore")
        return chosen

    def _score_members(
        self,
        tried: Members,
        rows: Any,
        weight: np.ndarray | None,
        folds: list[np.ndarray],
        start: float,
    ) -> dict[str, np.ndarray]:
        """Return the log-density of the rows held out under each member, (m,)."""
        scores: dict[str, list[np.ndarray]] = {}
        measures: list[list[tuple[str, list[str]]]] = [[] for _ in folds]
        work = self._member_folds(tried, folds, start)
        score = partial(_held_out, rows=rows, weight=weight)
        for name, values, measure, error in ordered_map(score, work, n_jobs=self.n_jobs):
            if error is None:
                scores.setdefault(name, []).append(values)
                measures[len(scores[name]) - 1].append((name, measure))
                continue
            if self.members is not None:
                raise error
            if name not in self.left_out_:
                self.left_out_[name] = f"its fit to a part of the rows failed: {error}"
                warn_user(f"Member {name!r} was left out: {self.left_out_[name]}", UserWarning)
        names = [name for name, _ in tried]
        for of_fold in measures:  # from one to the next, a member may find other point masses
            of_fold.sort(key=lambda each: names.index(each[0]))
            self._settle_measures([each for each in of_fold if each[0] not in self.left_out_])
        late = [n for n, _ in tried if self.left_out_.get(n, "").startswith("time_limit=")]
        if late:
            warn_user(
                f"time_limit={self.time_limit:g} s left no time for {', '.join(late)}. Raise it, "
                "or name fewer members.",
                UserWarning,
            )
        fine = [name for name in names if name in scores and name not in self.left_out_]
        return {name: np.concatenate(scores[name]) for name in fine}

    def _settle_measures(self, measures: list[tuple[str, list[str]]]) -> None:
        """Refuse members over different base measures, or leave out those taken by default."""
        if self.members is not None:
            check_base_measures(measures, self._column_names())
            return
        first = measures[0][0] if measures else ""
        usual = [measure for name, measure in measures if name == first]
        for name, measure in measures:
            if name != first and any(measure != other for other in usual):
                self.left_out_[name] = f"it gives masses to other values than {first!r}"
        self.weights_ = {n: w for n, w in self.weights_.items() if n not in self.left_out_}
        total = sum(self.weights_.values())
        self.weights_ = {name: weight / total for name, weight in self.weights_.items()}

    def _member_folds(
        self, tried: Members, folds: list[np.ndarray], start: float
    ) -> Iterator[tuple[str, Any, np.ndarray]]:
        """Yield members and folds, as long as there is time and the member does not fail.

        Without a limit the last members come first: they take the most time, and no worker waits
        for them at the end.
        """
        limit = np.inf if self.time_limit is None else float(self.time_limit)
        begun: set[str] = set()
        for name, member in tried if limit < np.inf else tried[::-1]:
            if begun - set(self.left_out_) and time.monotonic() - start > limit / 2:
                self.left_out_[name] = f"time_limit={limit:g} s"
                continue
            begun.add(name)
            for fold in folds:
                if name not in self.left_out_:
                    yield name, member, fold

    def _fit_members(
        self, kept: Members, rows: Any, weight: np.ndarray | None, context: Any
    ) -> Members:
        """Return members fitted to all rows; the last ones are begun first."""
        last_first = kept[::-1]

        def around(i: int, here: bool) -> Any:
            name, member = last_first[i]
            step = member if here else None  # a copy in a worker reports to nobody
            return step_task(context, self, name=name, step=step, X=rows)

        fit = partial(_fit, rows=rows, weight=weight)
        members = [member for _, member in last_first]
        fitted = list(ordered_map(fit, members, n_jobs=self.n_jobs, around=around))
        return list(zip([name for name, _ in kept], fitted[::-1]))

    def _weigh(
        self,
        scores: dict[str, np.ndarray],
        tried: Members,
        weight: np.ndarray | None,
        folds: list[np.ndarray] | None,
    ) -> None:
        """Set the weights: by EM, and again without the members that have little."""
        if folds is None or not scores:
            self.weights_ = {tried[0][0]: 1.0}
            return
        held = np.concatenate([np.flatnonzero(fold) for fold in folds])
        share = np.ones(len(held)) if weight is None else weight[held]
        for name, values in scores.items():
            self.member_scores_[name] = float(np.average(values, weights=share))
        names, table = list(scores), np.column_stack(list(scores.values()))
        found, every = kept_weights(table, share, self.min_weight)
        for name, value in zip(names, every):
            if value < min(self.min_weight, every.max()):
                self.left_out_[name] = f"weight {value:.3f} below min_weight={self.min_weight:g}"
            else:
                self.weights_[name] = float(found[names.index(name)])

    def _begin_scoring(self, X: Any, **options: bool) -> Any:
        """Return X as the members take it, checked against the columns that `fit` saw."""
        check_is_fitted(self)
        if self._mixed:
            reader = TableReader(self._columns, self._frame_schema, self._sample_dtype)
            reader.code(self, X, holes=True, unknown=self.handle_unknown)
            return X
        array = validate_table(self, X, reset=False, finite=False)
        self._check_values(array)
        return array if frame_schema(X) is None or self._frame_schema is None else X

    def _base_measures(self) -> list[str]:
        return base_measures(self.members_[0][1], self.n_features_in_)

    def _log_weights(self) -> np.ndarray:
        return np.log([self.weights_[name] for name, _ in self.members_])

    def _log_joint(self, rows: Any) -> np.ndarray:
        each = [log_density(member, rows) for _, member in self.members_]
        return np.column_stack(each) + self._log_weights()

    @in_blocks
    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row: the logarithm of the weighted sum.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to score; with holes where all members kept take them.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats; -inf outside the support of all members.
        """
        with np.errstate(divide="ignore"):
            return np.asarray(logsumexp(self._log_joint(self._begin_scoring(X)), axis=1))

    def sample(self, n_samples: int = 1, random_state: Any = None, *, given: Any = None) -> Any:
        check_is_fitted(self)
        rng = as_generator(random_state)
        if given is not None:
            conditions = self._read_conditions(given, n_samples)
            return self._completions(conditions.table, conditions.times, rng)
        n_samples = check_n_samples(n_samples)
        picks = systematic_picks(self._log_weights(), n_samples, rng)
        counts = np.bincount(picks, minlength=len(self.members_))
        parts = [
            self._rows_of(member, int(count), rng)
            for (_, member), count in zip(self.members_, counts)
            if count
        ]
        return rows_in_order(parts, rng.permutation(n_samples))

    def _rows_of(self, member: Any, n: int, rng: np.random.Generator) -> Any:
        if not self._mixed:
            rows = np.asarray(draw_rows(member, n, rng)).astype(self._sample_dtype, copy=False)
            return self._to_container(rows, self._frame_schema)
        return member.sample(n, random_state=rng)

    # The contract's hooks give arrays, and members may draw frames of text: `sample`, their only
    # caller, is overridden whole. They stand here because `_draw` is abstract.

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        raise NotImplementedError("StackedDensity draws in `sample`.")

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        raise NotImplementedError("StackedDensity completes rows in `sample`.")

    def _can_condition(self) -> bool:
        members = getattr(self, "members_", None) or _named(self.members or [])
        lacking = [name for name, member in members if not hasattr(member, "impute")]
        if lacking:
            raise AttributeError(
                f"StackedDensity has no conditional draws, because {', '.join(lacking)} has none. "
                "Give members that have, such as GaussianMixtureDensity and DensityChain."
            )
        return True

    def _completions(self, given: Any, n_samples: int, rng: np.random.Generator) -> Any:
        """Return completions: each row picks members by their likelihood of what it observes."""
        try:
            self._can_condition()
        except AttributeError as error:
            raise ValueError(str(error)) from None
        rows = given if self._mixed else self._as_conditions(given)
        n_rows = len(rows)
        log_weight = np.tile(self._log_weights(), (n_rows, 1))
        if len(self.members_) > 1:
            if all(_takes_holes(member) for _, member in self.members_):
                log_weight = self._log_joint(rows)
                log_weight[np.isneginf(log_weight).all(axis=1)] = 0.0
            else:
                warn_user(
                    "The members are weighted as in the fit, whatever is given, because one of "
                    "them cannot score rows with holes. Give members that can, such as "
                    "GaussianMixtureDensity and DensityChain.",
                    UserWarning,
                )
        picks = rng.permuted(systematic_picks(log_weight, n_samples, rng), axis=1)
        parts, places = [], []
        for k, (_, member) in enumerate(self.members_):
            place = np.flatnonzero((picks == k).ravel())
            if len(place):
                asked = rows_at(rows, place // n_samples)
                parts.append(member.sample(1, random_state=rng, given=asked))
                places.append(place)
        return rows_in_order(parts, np.argsort(np.concatenate(places)), given, n_samples)

    def _as_conditions(self, given: Any) -> Any:
        array = self._begin_conditioning(given)
        return array if frame_schema(given) is None else given


def _named(members: Any) -> Members:
    """Return named members, refusing anything else."""
    for item in members:
        pair = isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)
        if not pair or not hasattr(item[1], "score_samples"):
            raise TypeError(
                "members must be a list of (name, density), densities with fit, score_samples and "
                f"sample; got {item!r}."
            )
    if not members:
        raise ValueError("members is empty; name at least one density, or leave it at None.")
    return list(members)


def _tags(member: Any) -> DensityTags:
    tags = getattr(member, "__density_tags__", None)
    return DensityTags() if tags is None else tags()


def _takes_holes(member: Any) -> bool:
    return bool(get_tags(member).input_tags.allow_nan)


def _numbered(codes: np.ndarray) -> np.ndarray:
    """Return the number of each row among the distinct ones, in their order, (n,)."""
    keyed = np.where(np.isnan(codes), np.inf, codes) + 0.0
    return np.asarray(np.unique(keyed, axis=0, return_inverse=True)[1]).ravel()


def _folds(groups: np.ndarray, rng: np.random.Generator) -> list[np.ndarray] | None:
    """Return masks of rows held out; None where the distinct rows are too few."""
    n = int(groups.max()) + 1
    if n < _FEW_ROWS:
        return None
    parts = np.array_split(rng.permutation(n), _FOLDS)[: 1 if n >= _ONE_FOLD else _FOLDS]
    return [np.isin(groups, part) for part in parts]


def _fit(member: Any, rows: Any, weight: np.ndarray | None) -> Any:
    """Fit a clone of a member."""
    twin = clone(member)
    if weight is not None and not has_fit_parameter(twin, "sample_weight"):
        raise ValueError(
            f"Member {type(twin).__name__} takes no sample_weight in fit. Repeat the rows by their "
            "weights and fit without it, or leave that member out."
        )
    return twin.fit(rows, **({} if weight is None else {"sample_weight": weight}))


def _held_out(
    task: tuple[str, Any, np.ndarray], rows: Any, weight: np.ndarray | None
) -> tuple[str, Any, Any, ValueError | None]:
    """Return a member's name, its log-density of one fold held out, and its base measures.

    Or the name and the error of the fit.
    """
    name, member, fold = task
    twin = clone(member)
    settle(twin, unknown=True)  # a category may have all of its rows held out
    part = None if weight is None else weight[~fold]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what there is to warn of, the fit to all rows repeats
        try:
            fitted = _fit(twin, keep_rows(rows, ~fold), part)
            values = log_density(fitted, keep_rows(rows, fold))
        except ValueError as error:
            return name, None, None, error
    d = rows.shape[1]
    return name, values, base_measures(fitted, d), None
