"""DensityChain: the density of a mixed and incomplete table as a chain of classifiers."""

import numbers
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skgm._numerics.importance import systematic_picks
from skgm._numerics.qmc import row_keys
from skgm._parallel import N_JOBS
from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import (
    HasMethods,
    Interval,
    StrOptions,
    check_sample_weight,
    epoch_begins,
    epoch_ends,
    fit_task,
)
from skgm._warnings import warn_user
from skgm.base import DensityEstimator, DensityTags, in_blocks, transactional
from skgm.chain._categories import cells_for, distinct_rows, with_atoms
from skgm.chain._factor import FEW_ROWS, Training
from skgm.chain._ordered import OrderedChain
from skgm.tables._columns import base_measures
from skgm.tables._margins import Margin, NumberMargin, learn_margin, margin_of, margin_state
from skgm.tables._reader import TableReader
from skgm.tables._validation import check_n_samples

__all__ = ["DensityChain"]

_WIDEST = 1e150  # range of a column of numbers; its inverse is the narrowest
_SEVERAL_ORDERS_UP_TO = 1_000_000  # entries of the table
_CALIBRATION_ROWS = (2000, 20_000)
_PARTICLES, _ROWS_AT_ONCE, _LEAST_ESS = 64, 500, 0.1


def _has_categories(chain: "DensityChain") -> bool:
    if not hasattr(chain, "columns_"):
        raise AttributeError(
            "DensityChain has predict_proba once it is fitted to a table with a column of "
            "categories."
        )
    if all(about["kind"] != "category" for about in chain.columns_):
        raise AttributeError(
            "This DensityChain was fitted to numbers alone, which have no table of probabilities. "
            "List the columns of categories in categorical_features."
        )
    return True


class DensityChain(DensityEstimator):
    r"""Density of a table of numbers, categories and holes, as a chain of boosted classifiers.

    .. math::
        \log p(x) = \sum_j \Bigl[ \log P_j(c_j \mid x_{<j}) + \log f_j(x_j) - \log F_j(c_j) \Bigr]

    Every column is cut into ordered cells: single values that many rows share (zeros, codes such
    as -999, limits), categories, and intervals between quantiles. :math:`f_j` is the margin of
    the column, :math:`F_j(c)` its mass in cell c. The probability of a cell given the earlier
    columns is a path of binary splits, and one boosted classifier per column gives the log-odds of
    all its splits. The chain is normalized by construction, so `score_samples` is exact.

    Prefer it for tables with categories, whole numbers, point masses or holes, and for synthetic
    rows that resemble real ones closely. Smooth continuous tables of few rows are better served by
    :class:`skgm.NCEDensity` or a Gaussian mixture: the density of the chain has jumps, and it has
    no `score_function`.

    Parameters
    ----------
    estimator : classifier, default=None
        Fitted to the splits of every column; needs `predict_proba` and, if rows repeat,
        `sample_weight`. None stands for boosted trees, stopped early on held-out rows.
    n_cells : "auto" or int, default="auto"
        Cells of a column of numbers, a power of two if "auto": from 8 to 64 a sixteenth of the
        rows; from 16,000 rows on 128, and from 64,000 on 256, as the square root of their number.
    order : "auto" or list of column names or numbers, default="auto"
        Order of the chain, for a single chain. Known columns of `given` are best placed first.
        "auto" is the order of the table; in tables of up to a thousand rows numbers come after
        categories, given which they are easier to describe.
    n_orders : "auto" or int, default="auto"
        Number of chains with other orders (reversed, then random ones) in an exact equal mixture.
        "auto" is three for tables of up to a million entries, and one beyond.
    calibrate : bool, default=True
        Shift the log-odds so that simulated rows keep the margins of the table.
    categorical_features, integer_features : "from_dtype", None or list, default="from_dtype"
        Columns of categories and of whole numbers: a mask, numbers or names. "from_dtype" goes
        by the dtypes of a data frame.
    atoms : dict, default=None
        Values that are point masses for certain, by the name or number of a column of real
        numbers: ``{"income": [0, -999]}``. Others are found: a value that repeats in a column
        without a resolution, in a hundredth of the rows and five times as often as values do.
    handle_unknown : {"error", "ignore"}, default="error"
        What `score_samples` and `predict_proba` do with a category without training rows. "error":
        one that is declared by its dtype has probability zero, another is refused. "ignore": it
        counts as a new value, which has probability 1 / (n + 1) after n rows (all new values of a
        column together), and the other columns are scored as if it were missing.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the classifiers, the random orders and the calibration.
    n_jobs : int, default=None
        Classifiers fitted at a time, each on one thread; the result is the same for every number.
        None fits one after the other on all threads, which pays for long tables only.

    Attributes
    ----------
    orders_ : list of list of int
        Order of the columns in each chain.
    atoms_ : dict
        For each column of numbers with point masses, the values and their probabilities.
    n_cells_ : list of int
        Number of cells of each column.
    columns_ : list of dict
        Name, kind, dtype and share of holes of each column; categories; support ("real" or
        "non-negative") and resolution of numbers; unit of dates and durations.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    base_measure_ : dict
        For each column "counting", "Lebesgue" or both.
    log_density_kind_ : str
        "exact".

    Notes
    -----
    The base measure is counting measure on categories and atoms and Lebesgue measure elsewhere.
    Numbers recorded to a resolution (.1, or whole numbers) have the probability of their interval
    divided by its width. Dates and durations are whole numbers of the coarsest unit (days, hours,
    ...) that holds every training value, and are counted. Columns of numbers with few recorded
    values (at most 20, or one for forty rows) are drawn at these values alone; others have the
    probability 1 / (n + 1) together after n rows, for rows that come later.

    Rows with holes are scored by the product over the observed columns, each given the observed
    earlier ones. For any pattern of holes that is a normalized density. The densities of two
    patterns are not exactly coherent: each classifier has learned by itself what to do without a
    column. In `fit` a row without a value takes no part in the factor of that column, which is
    right if values are missing at random given the earlier columns.

    Where the earlier columns have more than 100 features (a number is one, a category one for each
    value), a classifier sees the 50 whose ranks differ most between the cells of its column.

    A table from `sample` is balanced: every row has the law of the chain, but the rows of one
    table repel one another, so that it keeps shares and margins more closely than independent rows
    would. Use ``balanced=False`` where draws estimate a Monte Carlo error.

    References
    ----------
    Larochelle and Murray, "The neural autoregressive distribution estimator", AISTATS 2011, for
    chains of binary factors; Uria et al., "Neural autoregressive distribution estimation", JMLR
    2016, section 4, for mixtures of orders.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgm import DensityChain
    >>> table = load_iris(as_frame=True).frame.astype({"target": "category"})
    >>> chain = DensityChain(n_orders=1, random_state=0).fit(table)
    >>> chain.predict_proba(table.head(1), column="target").round(1)
    array([[1., 0., 0.]])
    >>> chain.sample(2, random_state=0).dtypes.equals(table.dtypes)
    True
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "n_cells": [StrOptions({"auto"}), Interval(numbers.Integral, 2, 1024, closed="both")],
        "order": [StrOptions({"auto"}), "array-like"],
        "n_orders": [StrOptions({"auto"}), Interval(numbers.Integral, 1, None, closed="left")],
        "calibrate": ["boolean"],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "integer_features": [StrOptions({"from_dtype"}), "array-like", None],
        "atoms": [dict, None],
        "handle_unknown": [StrOptions({"error", "ignore"})],
        "random_state": RANDOM_STATE,
        "n_jobs": N_JOBS,
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_cells: int | str = "auto",
        order: Any = "auto",
        n_orders: int | str = "auto",
        calibrate: bool = True,
        categorical_features: Any = "from_dtype",
        integer_features: Any = "from_dtype",
        atoms: Any = None,
        handle_unknown: str = "error",
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.n_cells = n_cells
        self.order = order
        self.n_orders = n_orders
        self.calibrate = calibrate
        self.categorical_features = categorical_features
        self.integer_features = integer_features
        self.atoms = atoms
        self.handle_unknown = handle_unknown
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __density_tags__(self) -> DensityTags:
        """Return the promises: mixed columns, a density with jumps."""
        return DensityTags(mixed_columns=True, smooth=False, deterministic_fit=False)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that holes and categories are allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "DensityChain":
        """Fit margins, then one classifier per column and order.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Training table; NaN and None are holes.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight w counts its row w times.

        Returns
        -------
        self : DensityChain
            The fitted chain.
        """
        rows, weight = self._read(X, sample_weight)
        rng = as_generator(self.random_state)
        with fit_task(
            self, X=X, y=y, sample_weight=sample_weight, n_subtasks=self.n_orders
        ) as context:
            margins = self._learn_margins(rows, weight)
            seed = int(rng.integers(2**31))
            training = Training(self.estimator, weight, _places(rows, margins), seed)
            self.orders_ = self._choose_orders(rows.shape, rng)
            self._chains = []
            for order in self.orders_:
                task = epoch_begins(context, self, X=X, name="chain")
                chain = OrderedChain.fit(rows, order, margins, training, self.n_jobs)
                if self.calibrate:
                    n_rows = int(np.clip(weight.sum(), *_CALIBRATION_ROWS))
                    chain = chain.calibrate(n_rows, rng)
                self._chains.append(chain.state())
                if epoch_ends(task, self, X=X, state=lambda: dict(vars(self))):
                    break
            self.orders_ = self.orders_[: len(self._chains)]
        return self

    def _read(self, X: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the distinct coded rows in lexicographic order, and their weights."""
        reader, coded = TableReader.learn(self, X, holes=True)
        coded = coded.astype(np.float64, copy=False)
        weight = np.ones(len(coded))
        if sample_weight is not None:
            weight = check_sample_weight(sample_weight, coded)
        self.columns_ = with_atoms(reader.columns, self.atoms)
        self._frame_schema, self._sample_dtype = reader.schema, reader.dtype
        self.log_density_kind_ = "exact"
        rows, weight = distinct_rows(coded, weight)
        empty = np.isnan(rows).all(axis=0)
        if empty.any():
            name = reader.names[int(np.argmax(empty))]
            raise ValueError(
                f"Column {name!r} of X has no value at all, so there is nothing to learn about it. "
                "Drop the column."
            )
        _check_ranges(rows, reader.names)
        return rows, weight

    def _learn_margins(self, rows: np.ndarray, weight: np.ndarray) -> list[Margin]:
        n_cells = self.n_cells
        if isinstance(n_cells, str):
            n_cells = cells_for(weight.sum())
        margins = [
            learn_margin(column, weight, about, n_cells)
            for column, about in zip(rows.T, self.columns_)
        ]
        self.n_cells_ = [len(margin.mass) for margin in margins]
        holes = weight @ np.isnan(rows) / weight.sum()
        for about, margin, share in zip(self.columns_, margins, holes):
            about["holes"] = float(share)
            if isinstance(margin, NumberMargin):
                about["support"] = "real" if np.isneginf(margin.low) else "non-negative"
                about["resolution"] = margin.step or None
        self.atoms_ = {
            about["name"]: dict(zip(margin.atoms.tolist(), margin.atom_mass.tolist()))
            for about, margin in zip(self.columns_, margins)
            if isinstance(margin, NumberMargin) and len(margin.atoms)
        }
        self._margins = [margin_state(margin) for margin in margins]
        return margins

    def _choose_orders(self, shape: tuple[int, int], rng: np.random.Generator) -> list[list[int]]:
        """Return distinct orders: that of the table, reversed, then random ones.

        In tables of few rows all of them take categories before numbers.
        """
        n, d = shape
        own = not isinstance(self.order, str)
        first = self._named_order(d) if own else list(range(d))
        late = np.array([about["kind"] != "category" for about in self.columns_])
        if own or n > FEW_ROWS:
            late[:] = False
        wanted = self.n_orders
        if isinstance(wanted, str):
            wanted = 1 if own or n * d > _SEVERAL_ORDERS_UP_TO else 3
        orders = [_arranged(first, late), _arranged(first[::-1], late)][: min(wanted, d)]
        orders = orders[: 1 + (orders[0] != orders[-1])]
        for _ in range(20 * wanted):
            if len(orders) == wanted:
                break
            order = _arranged(rng.permutation(d).tolist(), late)
            if order not in orders:
                orders.append(order)
        return orders

    def _named_order(self, d: int) -> list[int]:
        names = [about["name"] for about in self.columns_]
        order = [names.index(item) if item in names else item for item in list(self.order)]
        if sorted(map(str, order)) != sorted(map(str, range(d))):
            raise ValueError(
                f"order must name each of the {d} columns of X once, by name or number; got "
                f"{list(self.order)!r}. The columns are {names}."
            )
        return [int(item) for item in order]

    def _model(self) -> list[OrderedChain]:
        """Return the fitted chains, put together from plain fitted state."""
        margins = [margin_of(state) for state in self._margins]
        return [OrderedChain.of_state(chain, margins) for chain in self._chains]

    def _reader(self) -> TableReader:
        return TableReader(self.columns_, self._frame_schema, self._sample_dtype)

    def _base_measures(self) -> list[str]:
        return base_measures(self.columns_, self.atoms_)

    def _begin_scoring(self, X: Any, **options: bool) -> np.ndarray:
        """Return X coded; NaN are holes."""
        return self._read_to_score(X, self.handle_unknown)[0]

    def _read_to_score(self, X: Any, unknown: str) -> tuple[np.ndarray, np.ndarray]:
        """Return X coded and what its new categories add to the log-densities, (n,).

        In the coded rows they are holes. A row of probability zero has -inf.
        """
        check_is_fitted(self)
        reader = self._reader()
        coded = reader.code(self, X, holes=True, unknown=unknown).astype(np.float64, copy=True)
        log_factor = np.where(reader.impossible(coded), -np.inf, 0.0)
        for j, (kind, state) in enumerate(self._margins):
            if kind != "CategoryMargin":
                continue
            known = np.flatnonzero(~np.isnan(coded[:, j]))
            codes = coded[known, j].astype(np.intp)
            new = (codes < 0) | (state["cell_of_code"][codes] < 0)
            coded[known[new], j] = np.nan
            if unknown == "ignore":
                log_new, log_old = np.log(state["new_mass"]), np.log1p(-state["new_mass"])
                log_factor[known] += np.where(new, log_new, log_old)
            else:
                log_factor[known[new]] = -np.inf
        return coded, log_factor

    def _begin_conditioning(self, given: Any) -> np.ndarray:
        """Return the coded rows; raise for what cannot be a condition."""
        check_is_fitted(self)
        coded = self._reader().code(self, given, holes=True, fractions=False)
        for about, (kind, state), column in zip(self.columns_, self._margins, coded.T):
            if kind != "CategoryMargin":
                continue
            known = column[~np.isnan(column)].astype(np.intp)
            unused = state["cell_of_code"][known] < 0
            if unused.any():
                raise ValueError(
                    f"Column {about['name']!r} of X holds "
                    f"{about['values'][known[np.argmax(unused)]]!r}, a category without training "
                    "rows. Drop or recode such rows, or fit to a table with that category in it."
                )
        return coded.astype(np.float64, copy=False)

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
            In nats, with respect to the base measure in the notes of the class; -inf outside the
            support.
        """
        coded, log_factor = self._read_to_score(X, self.handle_unknown)
        each = [chain.log_density(coded) for chain in self._model()]
        return np.asarray(logsumexp(each, axis=0) - np.log(len(each)) + log_factor)

    def sample(
        self,
        n_samples: int = 1,
        random_state: Any = None,
        *,
        given: Any = None,
        balanced: bool = True,
    ) -> Any:
        """Draw rows from the fitted density.

        Parameters
        ----------
        n_samples : int or array-like of shape (m,), default=1
            Number of rows; with `given`, number of completions of each of its rows.
        random_state : None, int, RandomState or Generator, default=None
            None draws fresh rows at each call; an int reproduces. The estimator never changes.
        given : array-like or data frame of shape (m, n_features), dict or Series, default=None
            Observed values, with holes where values are to be drawn conditionally on the others;
            a frame with some of the columns, a dict of values by column, a row of a frame, or
            `value_counts` of columns.
        balanced : bool, default=True
            Draw a table whose rows together keep the shares of the model, instead of independent
            rows. Completions of `given` are always independent.

        Returns
        -------
        rows : ndarray or data frame of shape (n_samples, n_features)
            In random order, with the dtypes of the training table. With `given`:
            (m * n_samples, n_features), grouped by row of `given`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            `n_samples` < 1, an unusable `random_state`, or `given` of the wrong shape.
        """
        if given is not None or balanced:
            return super().sample(n_samples, random_state, given=given)
        check_is_fitted(self)
        rng = as_generator(random_state)
        rows = self._mixture_draws(check_n_samples(n_samples), rng, balanced=False)
        return self._to_container(rows.astype(self._sample_dtype), self._frame_schema)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        return self._mixture_draws(n_samples, rng, balanced=True)

    def _mixture_draws(self, n: int, rng: np.random.Generator, *, balanced: bool) -> np.ndarray:
        """Draw from every chain in equal shares, and shuffle."""
        chains = self._model()
        if balanced:
            counts = np.bincount(systematic_picks(np.zeros(len(chains)), n, rng), minlength=3)
        else:
            counts = rng.multinomial(n, np.full(len(chains), 1 / len(chains)))
        parts = [
            chain.draw(int(count), rng, balanced=balanced)
            for chain, count in zip(chains, counts)
            if count
        ]
        return rng.permutation(np.vstack(parts))

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Complete rows by a particle filter along every chain, (m * n_samples, d)."""
        parts, poor = [], 0
        for start in range(0, len(given), _ROWS_AT_ONCE):
            block = given[start : start + _ROWS_AT_ONCE]
            rows, log_weight = self._particles(block, max(_PARTICLES, n_samples), rng)
            share = softmax(log_weight, axis=1)
            poor += int((1 / (share**2).sum(axis=1) < _LEAST_ESS * _PARTICLES).sum())
            picks = systematic_picks(log_weight, n_samples, rng)
            picks = rng.permuted(picks, axis=1)
            parts.append(np.take_along_axis(rows, picks[:, :, None], axis=1))
        if poor:
            warn_user(
                f"Completions of {poor} of {len(given)} rows come from few effective particles: "
                "their known values are improbable given the holes drawn. Place the known columns "
                "first by order=, or fit more rows like them.",
                ConvergenceWarning,
            )
        return np.vstack(parts).reshape(-1, given.shape[1])

    def _particles(
        self, given: np.ndarray, n_particles: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return weighted completions from all chains, (m, P, d) and (m, P)."""
        found = [chain.complete(given, n_particles, rng) for chain in self._model()]
        rows = np.concatenate([rows for rows, _ in found], axis=1)
        log_weight = np.concatenate([log_weight for _, log_weight in found], axis=1)
        impossible = np.isneginf(log_weight).all(axis=1)
        log_weight[impossible] = 0.0  # values outside the support: conditions that never hold
        return rows, log_weight

    @available_if(_has_categories)
    def predict_proba(self, X: Any, column: Any) -> np.ndarray:
        """Return the probabilities of the categories of one column given the others.

        The chain is evaluated at every category, so a column anywhere in the order may be asked
        for. What X holds in that column is ignored.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows, with any holes in the other columns.
        column : str or int
            Name or number of a column of categories.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_categories)
            In the order of the column's "values" in `columns_`.

        Raises
        ------
        ValueError
            There is no such column, or it holds numbers.
        """
        check_is_fitted(self)
        names = [about["name"] for about in self.columns_]
        place = names.index(column) if column in names else column
        if not isinstance(place, (int, np.integer)) or not 0 <= place < len(names):
            raise ValueError(f"X has no column {column!r}. The columns are {names}.")
        about = self.columns_[place]
        if about["kind"] != "category":
            raise ValueError(
                f"Column {column!r} holds numbers, which have no table of probabilities. Ask for a "
                "column of categories, list it in categorical_features, or draw it by "
                "sample(given=)."
            )
        if self.handle_unknown == "ignore":
            coded, _ = self._read_to_score(X, "ignore")
        else:
            coded = np.array(self._begin_conditioning(X))
        log_joint = np.full((len(coded), len(about["values"])), -np.inf)
        chains = self._model()
        for code in np.flatnonzero(self._margins[place][1]["cell_of_code"] >= 0):
            coded[:, place] = code
            each = [chain.log_density(coded) for chain in chains]
            log_joint[:, code] = logsumexp(each, axis=0)
        return np.asarray(softmax(log_joint, axis=1))

    def _to_container(self, rows: np.ndarray, schema: dict[str, Any] | None) -> Any:
        super()._to_container(rows, None)  # refuses what is not finite
        return self._reader().written(rows, schema, self._sample_dtype)


def _arranged(order: list[int], late: np.ndarray) -> list[int]:
    """Return the columns in the same order, but those that come late, (d,), after the others."""
    return sorted(order, key=lambda j: bool(late[j]))


def _check_ranges(rows: np.ndarray, names: list[str]) -> None:
    """Refuse columns of numbers whose range overflows, or is so small that densities do."""
    with np.errstate(over="ignore"):
        reach = np.nanmax(rows, axis=0) - np.nanmin(rows, axis=0)
    bad = (reach > _WIDEST) | ((reach > 0) & (reach < 1 / _WIDEST))
    if bad.any():
        j = int(np.argmax(bad))
        raise ValueError(
            f"Column {names[j]!r} of X ranges over {reach[j]:.3g}, which double precision cannot "
            "square. Rescale the column before fitting."
        )


def _places(rows: np.ndarray, margins: list[Margin]) -> np.ndarray:
    """Return a uniform number in [0, 1) for each row that depends on its values alone, (n,)."""
    scaled = rows.copy()
    for j, margin in enumerate(margins):
        if isinstance(margin, NumberMargin):
            scaled[:, j] = (rows[:, j] - margin.center) / margin.scale
    keys = row_keys(np.where(np.isnan(scaled), -1e6, scaled))
    return (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53
