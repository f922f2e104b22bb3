"""Robust covariances: the one a statsmodels result was fitted with, and sandwiches of scores.

A result of ``fit(cov_type="cluster", ...)`` says that its rows do not follow the model's variance.
Its Wald statistics take the covariance that statsmodels computed; what rests on the likelihood
alone would ignore it, and is refused.
"""

from typing import Any, NamedTuple

import numpy as np

from skgm.inference._likelihood.model import LikelihoodModel

__all__ = [
    "Clusters",
    "Stated",
    "check_likelihood_holds",
    "cluster_codes",
    "residual_df",
    "robust_covariance",
    "robust_law",
    "score_clusters",
    "stated_covariance",
]

_OF_THE_MODEL = ("nonrobust", "naive", "eim", "oim")


class Stated(NamedTuple):
    """The covariance that a result was fitted with.

    Attributes
    ----------
    kind : str
        statsmodels' name of it, such as "HC1" or "cluster".
    matrix : ndarray of shape (k, k)
    df : float
        Degrees of freedom of Student's t; infinite for the normal distribution.
    groups : ndarray or None
        Clusters of the rows.
    """

    kind: str
    matrix: np.ndarray
    df: float
    groups: Any


class Clusters(NamedTuple):
    """Clusters of the rows, by number, and how many there are."""

    codes: np.ndarray
    n_clusters: int


def stated_covariance(result: Any) -> Stated | None:
    """Return the covariance of a result with `cov_type`, or None where it is the model's."""
    kind = str(getattr(result, "cov_type", "nonrobust"))
    if kind.lower() in _OF_THE_MODEL:
        return None
    matrix = np.asarray(result.cov_params(), dtype=np.float64)
    df = getattr(result, "df_resid_inference", None)
    df = float(result.df_resid if df is None else df) if result.use_t else np.inf
    return Stated(kind, matrix, df, getattr(result, "cov_kwds", {}).get("groups"))


def check_likelihood_holds(model: LikelihoodModel, what: str, cure: str) -> None:
    """Raise for a result with `cov_type`, whose likelihood does not describe its rows."""
    stated: Stated | None = model.stated
    if stated is not None:
        raise ValueError(
            f"The result was fitted with cov_type={stated.kind!r}, which says that its rows do not "
            f"vary as the model does. {what} rests on the likelihood and would ignore it. {cure}, "
            "or refit without cov_type if the model holds."
        )


def cluster_codes(groups: Any, n_rows: int) -> Clusters:
    """Return clusters from one label per row.

    Raises
    ------
    ValueError
        Labels of another length, missing ones, more than one column, or a single cluster.
    """
    labels = np.asarray(groups)
    if labels.ndim != 1 or len(labels) != n_rows:
        raise ValueError(
            f"groups must hold one label for each of the {n_rows} rows of the fit; got shape "
            f"{labels.shape}."
        )
    if (labels != labels).any() or any(label is None for label in labels[:, None].ravel()):
        raise ValueError("groups must not hold missing values (NaN or None).")
    kinds, codes = np.unique(labels, return_inverse=True)
    if len(kinds) < 2:
        raise ValueError("groups must name at least two clusters; all rows are in the same one.")
    return Clusters(codes, len(kinds))


def score_clusters(model: LikelihoodModel, groups: Any) -> Clusters | None:
    """Return the clusters over which a robust score test sums, those of the result by default.

    Raises
    ------
    ValueError
        A result whose covariance has no robust score test.
    """
    n_rows, stated = model.n_rows, model.stated
    if groups is not None:
        return cluster_codes(groups, n_rows)
    if stated is None or stated.kind in ("HC0", "HC1"):
        return None
    if stated.kind == "cluster" and np.ndim(stated.groups) == 1:
        return cluster_codes(stated.groups, n_rows)
    raise ValueError(
        f"A robust score test with cov_type={stated.kind!r} is not known: it exists for HC0, HC1 "
        "and clusters of one kind. Use wald_test, which takes the covariance of the result."
    )


def robust_covariance(
    model: LikelihoodModel, params: np.ndarray, clusters: Clusters | None = None
) -> np.ndarray:
    """Return the sandwich A^-1 B A^-1 of total scores, (k, k).

    B sums the products of the scores of rows without a factor for n; of clusters, with
    statsmodels' factor G / (G - 1) * (n - 1) / (n - k).
    """
    rows = model.score_rows(params)
    weight = np.ones(len(rows)) if model.row_weights is None else model.row_weights
    bread = model.covariance(params)
    if clusters is None:
        return bread @ (rows * weight[:, None]).T @ rows @ bread
    sums = np.zeros((clusters.n_clusters, rows.shape[1]))
    np.add.at(sums, clusters.codes, rows * weight[:, None])
    G, n, k = clusters.n_clusters, model.n, rows.shape[1]
    if n <= k:
        raise ValueError(f"Clusters need more observations ({n:g}) than parameters ({k}).")
    factor = G / (G - 1) * (n - 1) / (n - k)
    return factor * bread @ sums.T @ sums @ bread


def robust_law(
    model: LikelihoodModel, params: np.ndarray, groups: Any = None
) -> tuple[np.ndarray, float]:
    """Return the covariance of robust intervals, (k, k), and degrees of freedom of Student's t.

    The result's own covariance where it was fitted with `cov_type`; of `groups`, the sandwich of
    clusters with G - 1 degrees of freedom; else that of rows times n / (n - k), with n - k.
    """
    if groups is not None:
        clusters = cluster_codes(groups, model.n_rows)
        return robust_covariance(model, params, clusters), float(clusters.n_clusters - 1)
    if model.stated is not None:
        return model.stated.matrix, model.stated.df
    df = residual_df(model)
    return robust_covariance(model, params) * model.n / df, df


def residual_df(model: LikelihoodModel) -> float:
    """Return n - k, or raise where it is not positive."""
    df, k = model.n - len(model.estimate), len(model.estimate)
    if df <= 0:
        raise ValueError(
            f"The interval needs more observations ({model.n:g}) than parameters ({k})."
        )
    return df
