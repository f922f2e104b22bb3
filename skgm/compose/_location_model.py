"""Gaussians with posterior draws: one, or one for each combination of categories."""

from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.utils.validation import check_is_fitted

from skgm._numerics.gaussian import RIDGE
from skgm._numerics.gaussian_mixture import (
    EMSums,
    GaussianMixtureModel,
    HoledRows,
    Prior,
    maximization,
)
from skgm._sklearn import check_sample_weight
from skgm.base import DensityEstimator, DensityTags, transactional
from skgm.tables._columns import base_measures
from skgm.tables._reader import TableReader

__all__ = ["LocationModel"]

_PRIOR_ROWS = 1.0  # of the covariance within all cells, which every cell has
_STILL, _MOST_STEPS = 1e-6, 500
_LEAST_ROWS, _ROWS_PER_COLUMN = 10, 5  # of a cell
_AUGMENTATIONS = 20  # steps that forget where they began, also where most information is missing


class LocationModel(DensityEstimator):
    """Density of real numbers, and of categories with few combinations, with holes: by Gaussians.

    The general location model. A cell is a combination of categories that occurs; without any there
    is one. It has a probability, and the numbers have a mean and a covariance of their own in it:
    so every relation between categories and numbers, and every interaction of a category with a
    correlation, is kept. EM treats holes in both.

    Olkin and Tate, "Multivariate correlation models with mixed discrete and continuous variables",
    Annals of Mathematical Statistics 32, 1961; Schafer, "Analysis of Incomplete Multivariate Data",
    1997, chapter 9.
    """

    categorical_features = integer_features = "from_dtype"

    def __density_tags__(self) -> DensityTags:
        """Return the promises: mixed columns."""
        return DensityTags(mixed_columns=True)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that holes are allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @classmethod
    def suits(cls, X: Any) -> bool:
        """Whether a table has real numbers, and enough rows in each combination of categories."""
        reader, coded = TableReader.learn(cls(), X, holes=True)
        category = reader.which("category")
        n_numbers = int(reader.which("real").sum())
        if not n_numbers or n_numbers + category.sum() < len(category):
            return False
        known = coded[:, category][~np.isnan(coded[:, category]).any(axis=1)]
        counts = _cells_of(known)[1]
        least = max(_LEAST_ROWS, _ROWS_PER_COLUMN * n_numbers)
        return bool(len(counts) and counts.min() >= least)

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "LocationModel":
        """Fit the cells by EM; a weight w counts its row w times."""
        reader, coded = TableReader.learn(self, X, holes=True)
        self.columns_ = reader.columns
        self._frame_schema, self._sample_dtype = reader.schema, reader.dtype
        self.log_density_kind_ = "exact"
        weight = np.ones(len(coded))
        if sample_weight is not None:
            weight = check_sample_weight(sample_weight, coded)
        coded, weight = coded[weight > 0], weight[weight > 0]
        self._category = reader.which("category")
        known = coded[:, self._category]
        self._cells = _cells_of(known[~np.isnan(known).any(axis=1)])[0]
        numbers = coded[:, ~self._category]
        seen = ~np.isnan(numbers)
        mass = np.maximum(weight @ seen, np.finfo(float).tiny)
        self._center = weight @ np.where(seen, numbers, 0.0) / mass
        with np.errstate(over="ignore"):
            spread = weight @ np.where(seen, (numbers - self._center) ** 2, 0.0) / mass
        names = [name for name, own in zip(reader.names, self._category) if not own]
        _check_numbers(seen, spread, names)
        self._scale = np.where(spread > 0, np.sqrt(spread), 1.0)
        self._state = vars(_fit_cells(self._standardized(coded), weight, self._allowed(coded)))
        return self

    def posterior_draw(
        self, X: Any, sample_weight: np.ndarray, rng: np.random.Generator
    ) -> "LocationModel":
        """Return a copy whose parameters are drawn given the training table, by augmentation.

        Holes are drawn given the parameters, and these given the completed table, in turn. Few
        rows of a cell leave its covariance open: a bootstrap would not show by how much.
        """
        coded, drawn = self._begin_scoring(X)[sample_weight > 0], copy(self)
        weight = sample_weight[sample_weight > 0]
        for _ in range(_AUGMENTATIONS if np.isnan(coded).any() else 1):
            Z, cell = drawn._completed(coded, rng)
            drawn._state = vars(_draw_parameters(Z, cell, weight, len(self._cells), rng))
        return drawn

    def _standardized(self, coded: np.ndarray) -> np.ndarray:
        return (coded[:, ~self._category] - self._center) / self._scale

    def _allowed(self, coded: np.ndarray) -> np.ndarray:
        """Return which cells agree with the known categories of each row, (n, k)."""
        known = coded[:, None, self._category]
        agrees = ((known == self._cells) | np.isnan(known)).all(axis=2)
        agrees[~agrees.any(axis=1)] = True  # a combination that never occurred
        return agrees

    def _log_joint(self, coded: np.ndarray) -> np.ndarray:
        joint = GaussianMixtureModel(**self._state).log_joint(self._standardized(coded))
        return np.where(self._allowed(coded), joint, -np.inf)

    def _reader(self) -> TableReader:
        return TableReader(self.columns_, self._frame_schema, self._sample_dtype)

    def _base_measures(self) -> list[str]:
        return base_measures(self.columns_, {})

    def _begin_scoring(self, X: Any, **options: bool) -> np.ndarray:
        check_is_fitted(self)
        return self._reader().code(self, X, holes=True).astype(np.float64)

    def _begin_conditioning(self, given: Any) -> np.ndarray:
        return self._begin_scoring(given)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of the observed part of each row."""
        coded = self._begin_scoring(X)
        units = ~np.isnan(coded[:, ~self._category]) @ np.log(self._scale)
        return np.asarray(logsumexp(self._log_joint(coded), axis=1) - units)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        return self._draw_given(np.full((n_samples, len(self._category)), np.nan), 1, rng)

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        rows = np.repeat(given, n_samples, axis=0)
        Z, cell = self._completed(rows, rng)
        rows[:, self._category] = self._cells[cell]
        rows[:, ~self._category] = self._center + self._scale * Z
        return rows

    def _completed(
        self, coded: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return draws of the standardized numbers of each row, (n, d), and of its cell, (n,)."""
        model, Z = GaussianMixtureModel(**self._state), self._standardized(coded)
        allowed = self._allowed(coded)
        cell = allowed.argmax(axis=1)
        if (allowed.sum(axis=1) > 1).any():
            share = np.cumsum(softmax(self._log_joint(coded), axis=1), axis=1)
            cell = (rng.random((len(coded), 1)) > share[:, :-1]).sum(axis=1)
        for k in np.unique(cell):
            Z[cell == k] = _one(model, k).complete(Z[cell == k], 1, rng)
        return Z, cell

    def _to_container(self, rows: np.ndarray, schema: dict[str, Any] | None) -> Any:
        super()._to_container(rows, None)  # refuses what is not finite
        return self._reader().written(rows, schema, self._sample_dtype)


def _check_numbers(seen: np.ndarray, spread: np.ndarray, names: list[str]) -> None:
    empty, wide = ~seen.any(axis=0), ~np.isfinite(spread)
    if empty.any():
        raise ValueError(
            f"Column {names[int(np.argmax(empty))]!r} of X has no value at all, so there is "
            "nothing to learn about it. Drop the column."
        )
    if wide.any():
        raise ValueError(
            f"The squares of column {names[int(np.argmax(wide))]!r} leave the range of float64. "
            "Rescale it before fitting."
        )


def _cells_of(known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows, (k, c), and how often each occurs; c may be zero."""
    if not known.shape[1]:
        return known[:1], np.array([len(known)])
    return np.unique(known, axis=0, return_counts=True)


def _one(model: GaussianMixtureModel, k: int) -> GaussianMixtureModel:
    """Return one component as a mixture."""
    return GaussianMixtureModel(np.ones(1), model.means[[k]], model.covariances[[k]])


def _draw_parameters(
    Z: np.ndarray, cell: np.ndarray, weight: np.ndarray, n_cells: int, rng: np.random.Generator
) -> GaussianMixtureModel:
    """Return parameters drawn given complete standardized rows and their cells.

    n - d degrees of freedom of the inverse Wishart law are those of the residual variance of one
    column given the others, so that intervals of a regression have their level.
    """
    d = Z.shape[1]
    share = rng.gamma(np.bincount(cell, weight, minlength=n_cells) + 1 / n_cells)
    means, covariances = np.empty((n_cells, d)), np.empty((n_cells, d, d))
    for k in range(n_cells):
        own = weight[cell == k]
        n = own.sum()
        mean = own @ Z[cell == k] / n
        deviation = Z[cell == k] - mean
        scatter = (deviation * own[:, None]).T @ deviation + RIDGE * n * np.eye(d)
        # Bartlett: the inverse of L^-T A A' L^-1, where scatter = L L'
        A = np.tril(rng.normal(size=(d, d)), -1)
        A[np.diag_indices(d)] = np.sqrt(rng.chisquare(max(n - d, d) - np.arange(d)))
        root = np.linalg.solve(A, np.linalg.cholesky(scatter).T).T
        covariances[k] = root @ root.T
        means[k] = mean + root @ rng.normal(size=d) / np.sqrt(n)
    return GaussianMixtureModel(share / share.sum(), means, covariances)


def _fit_cells(Z: np.ndarray, weight: np.ndarray, allowed: np.ndarray) -> GaussianMixtureModel:
    """Maximize the likelihood of standardized rows whose cells are known in part, by EM."""
    n_cells, d = allowed.shape[1], Z.shape[1]
    start = np.repeat(np.eye(d)[None], n_cells, axis=0)
    model = GaussianMixtureModel(np.full(n_cells, 1 / n_cells), np.zeros((n_cells, d)), start)
    own = [HoledRows.of(Z[rows], weight[rows]) for rows in allowed.T]
    certain = bool((allowed.sum(axis=1) == 1).all())
    for _ in range(_MOST_STEPS):
        share = allowed.astype(np.float64)
        if not certain:
            share = softmax(np.where(allowed, model.log_joint(Z), -np.inf), axis=1)
        parts = []
        for k, rows in enumerate(own):
            mass = rows.weight * share[allowed[:, k], k][rows.place]
            parts.append(EMSums.of(_one(model, k), replace(rows, weight=mass).chunks()))
        arrays = ([getattr(part, name) for part in parts] for name in ("mass", "first", "second"))
        sums = EMSums(0.0, *map(np.concatenate, arrays))
        within = maximization(model, sums, "tied", Prior(0.0, np.zeros((d, d)))).covariances[0]
        update = maximization(model, sums, "full", Prior(_PRIOR_ROWS, within))
        moved = max(
            float(np.abs(getattr(update, name) - getattr(model, name)).max())
            for name in ("weights", "means", "covariances")
        )
        model = update
        if moved <= _STILL:
            break
    return model
