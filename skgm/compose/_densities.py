"""The densities inside other estimators: ours, scikit-learn's, or those taken by default."""

import inspect
from copy import copy
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from skgm._sklearn import HasMethods, step_task
from skgm.base import DensityTags
from skgm.score_matching import ScoreMatchingGaussian
from skgm.tables._columns import table_shape
from skgm.tables._frames import frame_schema
from skgm.tables._margins import NumberMargin, learn_margin
from skgm.tables._reader import check_mixed_table
from skgm.tables._validation import DISCRETE_SUPPORTS, validate_table

__all__ = [
    "DENSITY",
    "Foreign",
    "Members",
    "base_measures",
    "check_base_measures",
    "default_members",
    "draw_rows",
    "fit_density",
    "log_density",
    "prior_covariance",
    "read_rows",
    "reads_kinds",
    "settle",
]

_CELLS = 64  # of a margin whose point masses are looked for

Members = list[tuple[str, Any]]

# The entry for `_parameter_constraints` of estimators that take a `density`.
DENSITY: list[Any] = [HasMethods(["fit", "score_samples"]), None]


def reads_kinds(density: Any) -> bool:
    """Return whether a density takes tables of categories, whole numbers and dates as they are."""
    tags = getattr(density, "__density_tags__", None)
    return tags is not None and tags().mixed_columns


def read_rows(owner: Any, X: Any, *, reset: bool) -> tuple[Any, int]:
    """Return what the owner's densities are fitted to and score, and the number of rows.

    That is X if it is a frame, or an array. A density that reads kinds of columns judges them by
    itself; of others, the table is one of numbers. The default density gets an array:
    `fit_density` adds rows that have no names.
    """
    if reads_kinds(owner.density):
        check_mixed_table(owner, X, reset=reset)
        rows = X if frame_schema(X) is not None or hasattr(X, "dtype") else _plain_array(X)
        return rows, table_shape(X)[0]
    array = validate_table(owner, X, reset=reset)
    return array if owner.density is None or frame_schema(X) is None else X, len(array)


def _plain_array(X: Any) -> np.ndarray:
    array = np.asarray(X)
    return array if array.dtype.kind in "fiub" else np.asarray(X, dtype=object)


def settle(
    density: Any,
    rng: np.random.Generator | None = None,
    *,
    unknown: bool = False,
    partial: bool = False,
) -> None:
    """Seed an unfitted density and its parts where they have no seed of their own.

    With `unknown`, categories that its rows lack are possible all the same. With `partial`, its
    rows are one part of several, and show no point masses that other parts may not have.
    """
    told: dict[str, Any] = {}
    for key, value in sorted(density.get_params().items()):
        name = key.rpartition("__")[2]
        if name == "random_state" and value is None and rng is not None:
            told[key] = int(rng.integers(2**31))
        elif (unknown or partial) and name == "handle_unknown" and value == "error":
            told[key] = "ignore"
        elif partial and name == "atoms" and isinstance(value, str):
            told[key] = None
    density.set_params(**told)


def fit_density(
    owner: Any,
    X: Any,
    weight: np.ndarray | None,
    context: Any,
    *,
    rng: np.random.Generator | None = None,
    prior: np.ndarray | None = None,
    name: str = "density",
    partial: bool = False,
) -> Any:
    """Return a clone of the owner's density, or the default one, fitted to the rows of X.

    `rng` and `partial` are those of `settle`.

    The default is a Gaussian whose covariance S of n rows in d columns is shrunk to
    (n S + d P) / (n + d), P the `prior` covariance, (d, d): as if there were d more rows. So a
    class of a few rows, even of one, and tables of more columns than rows have a usable density.

    Raises
    ------
    ValueError
        Weights for a density whose `fit` takes none.
    """
    density = ScoreMatchingGaussian() if owner.density is None else clone(owner.density)
    settle(density, rng, partial=partial)
    if weight is not None and not has_fit_parameter(density, "sample_weight"):
        raise ValueError(
            f"density={type(density).__name__} takes no sample_weight in fit. Repeat the rows by "
            "their weights and fit without it, or choose a density that does."
        )
    if prior is not None:
        X, weight = _with_prior_rows(X, weight, prior)
    with step_task(context, owner, name=name, step=density, X=X):
        density.fit(X, **({} if weight is None else {"sample_weight": weight}))
    return density


def prior_covariance(
    owner: Any, X: Any, weight: np.ndarray | None, codes: np.ndarray | None = None
) -> np.ndarray | None:
    """Return what the default density is shrunk towards, (d, d); None for other densities.

    The covariance S of the n rows within their classes `codes`, itself shrunk to its diagonal:
    (n S + d diag S) / (n + d).
    """
    if owner.density is not None:
        return None
    weight = np.ones(len(X)) if weight is None else weight
    codes = np.zeros(len(X), dtype=int) if codes is None else codes
    residual = X.astype(np.float64)
    for k in np.unique(codes):
        own = codes == k
        residual[own] -= np.average(residual[own], axis=0, weights=weight[own])
    n_rows, n_columns = weight.sum(), X.shape[1]
    scatter = (residual * weight[:, None]).T @ residual
    return (scatter + np.diag(np.diag(scatter)) * n_columns / n_rows) / (n_rows + n_columns)


def _with_prior_rows(
    X: np.ndarray, weight: np.ndarray | None, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return X and its weights with d pairs of rows, each of weight 1 and covariance `prior`."""
    weight = np.ones(len(X)) if weight is None else weight
    mean, n_columns = np.average(X, axis=0, weights=weight), len(prior)
    scale = np.sqrt(np.diag(prior))
    scale = np.where(scale > 0, scale, 1.0)  # factored as correlations: columns of any units
    values, vectors = np.linalg.eigh(prior / np.outer(scale, scale))
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T * scale * np.sqrt(n_columns)
    rows = np.concatenate([X, mean + root, mean - root]).astype(X.dtype)
    return rows, np.concatenate([weight, np.full(2 * n_columns, 0.5)])


def log_density(density: Any, X: Any) -> np.ndarray:
    """Return the density's `score_samples` as float64, (n,).

    Raises
    ------
    ValueError
        NaN or +infinity among them.
    """
    values = np.asarray(density.score_samples(X), dtype=np.float64)
    bad = np.isnan(values) | np.isposinf(values)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"{type(density).__name__}.score_samples returned {values[row]} for row {row} of X; a "
            "log-density must be a finite number, or -inf outside the support."
        )
    return values


def draw_rows(density: Any, n_samples: int, rng: np.random.Generator) -> Any:
    """Return (n_samples, n_features) rows from a fitted density's `sample`, in random order.

    A density of ours that reads kinds of columns returns what it was fitted to: a frame.

    `sample` may take a `random_state` (skgm, KernelDensity) or read it from the estimator
    (GaussianMixture, which also returns its components and groups the rows by them). The density
    itself is never changed.
    """
    if hasattr(density, "__density_tags__"):
        rows = density.sample(n_samples, random_state=rng)
        return rows if reads_kinds(density) else np.asarray(rows)
    seed = int(rng.integers(2**31))
    if "random_state" in inspect.signature(density.sample).parameters:
        drawn = density.sample(n_samples, random_state=seed)
    elif hasattr(density, "random_state"):
        twin = copy(density)  # a shallow copy shares the fitted arrays, and its seed is its own
        twin.random_state = seed
        drawn = twin.sample(n_samples)
    else:
        drawn = density.sample(n_samples)
    rows = np.asarray(drawn[0] if isinstance(drawn, tuple) else drawn)
    return rows[rng.permutation(len(rows))]


class Foreign:
    """A fitted density of scikit-learn with the methods that a pipeline asks of ours.

    Parameters
    ----------
    density : estimator with `score_samples` and `sample`
        Fitted, such as GaussianMixture or KernelDensity.
    """

    log_density_kind_ = "exact"

    def __init__(self, density: Any) -> None:
        self.density = density
        self.n_features_in_ = density.n_features_in_

    def __density_tags__(self) -> DensityTags:
        """Return the defaults."""
        return DensityTags()

    @property
    def base_measure_(self) -> dict[str, str]:
        """A density per unit of every column."""
        return {f"x{j}": "Lebesgue" for j in range(self.n_features_in_)}

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, (n,)."""
        return log_density(self.density, X)

    def sample(self, n_samples: int, random_state: np.random.Generator) -> np.ndarray:
        """Return draws, (n_samples, n_features)."""
        return np.asarray(draw_rows(self.density, n_samples, random_state))


def check_base_measures(members: list[tuple[str, list[str]]], names: list[str]) -> None:
    """Refuse members of which one counts values where another has a density per unit."""
    if not members:
        return
    first, expected = members[0]
    for other, measures in members[1:]:
        for name, one, two in zip(names, expected, measures):
            if one != two:
                raise ValueError(
                    f"Members {first!r} and {other!r} have different base measures in column "
                    f"{name!r} ({one}; {two}): probabilities of values and densities per unit "
                    "cannot be mixed. Leave one of the members out, or give both the same kinds "
                    "of columns."
                )


def base_measures(member: Any, d: int) -> list[str]:
    """Return what the density of each column is a density of."""
    if hasattr(member, "base_measure_"):
        return list(member.base_measure_.values())
    if hasattr(member, "columns_"):  # a chain
        atoms = getattr(member, "atoms_", {})
        real = [about["kind"] == "real" for about in member.columns_]
        points = [sorted(atoms.get(about["name"], ())) for about in member.columns_]
        with_points = [f"Lebesgue, and counting at {p}" if p else "Lebesgue" for p in points]
        return [words if is_real else "counting" for words, is_real in zip(with_points, real)]
    tags = getattr(member, "__density_tags__", DensityTags)()
    return ["counting" if tags.support in DISCRETE_SUPPORTS else "Lebesgue"] * d


def default_members(
    codes: np.ndarray, columns: list[dict[str, Any]] | None, left_out: dict[str, str]
) -> Members:
    """Return the members for a coded table, cheapest first; say in `left_out` why not others.

    `columns` describes those of a mixed table, and is None where all are numbers.
    """
    from skgm.chain import DensityChain  # here: a pipeline of a Gaussian need not wait for them
    from skgm.diffusion import DDPM
    from skgm.mixture import GaussianMixtureDensity
    from skgm.nce import NCEDensity

    numbers = [{"kind": "real", "name": j} for j in range(codes.shape[1])]
    described = numbers if columns is None else columns
    atoms, holes = _atoms(codes, described), bool(np.isnan(codes).any())
    is_plain = [about["kind"] == "real" and about["name"] not in atoms for about in described]
    mixed = columns is not None or bool(atoms)
    # all give masses to the same values
    options: dict[str, Any] = {"atoms": atoms} if mixed else {}
    members: Members = [
        ("mixture", GaussianMixtureDensity(**options)),
        ("chain", DensityChain(**options)),
        ("nce", NCEDensity()),
        ("ddpm", DDPM(**options)),
    ]
    why = {"nce": "categories, whole numbers or point masses"} if mixed else {}
    if not any(is_plain):
        why["mixture"] = "no column of real numbers without point masses"
    if holes:
        why = {"nce": "holes in the table", "ddpm": "holes in the table"} | why
    left_out.update(why)
    return [(name, member) for name, member in members if name not in why]


def _atoms(codes: np.ndarray, columns: list[dict[str, Any]]) -> dict[Any, list[float]]:
    """Return the values that many rows share in columns of real numbers, by column."""
    weight, found = np.ones(len(codes)), {}
    for column, about in zip(codes.T, columns):
        if about["kind"] == "real" and not np.isnan(column).all():
            margin = learn_margin(column, weight, {"kind": "real"}, _CELLS)
            if isinstance(margin, NumberMargin) and len(margin.atoms):
                found[about["name"]] = margin.atoms.tolist()
    return found
