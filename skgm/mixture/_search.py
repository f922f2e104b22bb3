"""Fits Gaussian mixtures from several starts, and chooses their size by BIC."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.gaussian import RIDGE, Factor, constant_columns, factorize, whiten
from skgm._numerics.gaussian_mixture import (
    EMFit,
    GaussianMixtureModel,
    HoledRows,
    Prior,
    fit_gaussian,
    fit_mixture,
    without_degenerate,
)
from skgm._sklearn import limit_threads

__all__ = ["Candidate", "ScaledTable", "climb", "n_parameters"]

_SHORT = 10  # steps of EM before the best start is chosen
_START_ROWS = 10_000  # for k-means
_SHRINK = 0.2  # of the covariance of a cluster towards that of the table, at the start
_RISES = 2  # of BIC in a row, after which larger mixtures are not tried
_SURELY_TRIED = 4  # components: a few narrow ones may only pay off together


@dataclass(frozen=True, eq=False)
class ScaledTable:
    """A table with holes on the scale of its columns, and its Gaussian.

    Attributes
    ----------
    center, scale : ndarray of shape (d,)
    Z : ndarray of shape (n, d)
        Standardized rows, each with an observed entry; NaN for holes.
    weight : ndarray of shape (n,)
    gaussian : EMFit
        The Gaussian of the observed entries.
    factor : Factor
        Its covariance, with a ridge if that is singular.
    """

    center: np.ndarray
    scale: np.ndarray
    Z: np.ndarray
    weight: np.ndarray
    gaussian: EMFit
    factor: Factor

    @classmethod
    def of(cls, X: np.ndarray, weight: np.ndarray, *, common_scale: bool) -> "ScaledTable":
        """Standardize the columns, all by one number if `common_scale`."""
        seen = ~np.isnan(X)
        filled, mass = np.where(seen, X, 0.0), weight @ seen
        center = weight @ filled / mass
        moved = np.where(seen, X - center, 0.0)
        variance = weight @ moved**2 / mass
        constant = constant_columns(variance, center)
        own = np.where(constant, np.where(center == 0, 1.0, np.abs(center)), np.sqrt(variance))
        if common_scale:
            own = np.full_like(own, np.sqrt(np.mean(own**2)))
        moved[:, constant] = 0.0
        rows = seen.any(axis=1)
        Z = np.where(seen, moved / own, np.nan)[rows]
        gaussian = fit_gaussian(HoledRows.of(Z, weight[rows]))
        factor = factorize(without_degenerate(gaussian.model.covariances[0]), np.zeros(len(own)))
        return cls(center, own, Z, weight[rows], gaussian, factor)

    def thinned(self, n_rows: int) -> "ScaledTable":
        """Return a table of n_rows systematic rows, in proportion to their weights."""
        if len(self.Z) <= n_rows:
            return self
        Z, weight = _thinned(self.Z, self.weight, n_rows)
        return replace(self, Z=Z, weight=weight)

    def filled(self) -> np.ndarray:
        """Return the rows with the conditional means of their holes under the Gaussian."""
        if not np.isnan(self.Z).any():
            return self.Z
        model, filled = self.gaussian.model, self.Z.copy()
        for rows in HoledRows.of(self.Z).chunks():
            part = model._parts(rows)[0]
            mean = model.means[0] + part.pull @ model.covariance(0)
            filled[rows.place] = np.where(rows.mask, rows.values, mean)
        return filled

    def prior(self, kind: str, n_rows: float) -> Prior:
        """Return pseudo-rows with the covariance, or variances, of the table."""
        d = len(self.scale)
        if kind in ("full", "tied"):
            covariance = self.factor.covariance
            if self.factor.ridge and n_rows:  # no component is flatter than the ridge
                covariance = covariance + RIDGE * self.weight.sum() / n_rows * np.eye(d)
            return Prior(n_rows, covariance)
        seen = ~np.isnan(self.Z)
        variance = self.weight @ np.where(seen, self.Z, 0.0) ** 2 / (self.weight @ seen)
        if kind == "spherical":
            variance = np.full(d, variance.mean())
        return Prior(n_rows, np.maximum(variance, RIDGE))


def _thinned(Z: np.ndarray, weight: np.ndarray, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    edges = np.cumsum(weight) / weight.sum()
    picks = np.searchsorted(edges, (np.arange(n_rows) + 0.5) / n_rows)
    rows, counts = np.unique(np.minimum(picks, len(Z) - 1), return_counts=True)
    return Z[rows], counts.astype(np.float64)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fitted mixture on the scale of a table, with its covariance type and BIC."""

    fit: EMFit
    kind: str
    bic: float

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self.fit.model.weights)

    @classmethod
    def of(cls, fit: EMFit, kind: str, table: "ScaledTable") -> "Candidate":
        """Price a fit."""
        price = n_parameters(len(fit.model.weights), len(table.scale), kind)
        loglik = fit.loglik - float(table.weight @ ~np.isnan(table.Z) @ np.log(table.scale))
        return cls(fit, kind, float(price * np.log(table.weight.sum()) - 2 * loglik))

    def refitted(self, table: "ScaledTable", *, prior_rows: float, **options: Any) -> "Candidate":
        """Return the fit to a larger table, from this one."""
        rows, k = HoledRows.of(table.Z, table.weight), self.n_components
        prior = table.prior(self.kind, prior_rows if k > 1 else 0.0)
        start = {"tol": options["tol"], "max_iter": options["max_iter"]}
        return Candidate.of(
            fit_mixture(rows, self.fit.model, self.kind, prior, **start), self.kind, table
        )


def n_parameters(k: int, d: int, kind: str) -> int:
    """Return the number of free parameters of a mixture."""
    covariance = {"full": k * d * (d + 1) // 2, "tied": d * (d + 1) // 2, "diag": k * d}
    return k * d + k - 1 + covariance.get(kind, k)


def climb(
    table: ScaledTable,
    sizes: list[int],
    kind: str,
    rng: np.random.Generator,
    **options: Any,
) -> Iterator[Candidate]:
    """Yield fits of rising size, until BIC has risen twice in a row.

    Options: `n_init`, `prior_rows`, `tol`, `max_iter`.
    """
    rows, filled = HoledRows.of(table.Z, table.weight), table.filled()
    best, rises = np.inf, 0
    for k in sizes:
        with limit_threads(1):  # products of few columns, which threads only slow down
            fit = _fit(table, rows, filled, k, kind, rng, **options)
        found = Candidate.of(fit, kind, table)
        rises = 0 if found.bic < best else rises + 1
        best = min(best, found.bic)
        yield found
        if rises >= _RISES and k >= _SURELY_TRIED:
            return


def _fit(
    table: ScaledTable,
    rows: HoledRows,
    filled: np.ndarray,
    k: int,
    kind: str,
    rng: np.random.Generator,
    *,
    n_init: int,
    prior_rows: float,
    tol: float,
    max_iter: int,
) -> EMFit:
    """Return the fit of one size: several short runs of EM, of which the best goes on."""
    prior, d = table.prior(kind, prior_rows), len(table.scale)
    options: dict[str, Any] = {"tol": tol, "max_iter": max_iter}
    if k == 1:
        mean = table.gaussian.model.means
        if kind in ("full", "tied"):
            start = GaussianMixtureModel(np.ones(1), mean, table.factor.covariance[None])
            none = Prior(0.0, prior.covariance)
            return fit_mixture(rows, start, kind, none, tol=np.inf, max_iter=0)
        start = GaussianMixtureModel(np.ones(1), np.zeros((1, d)), prior.covariance[None])
        return fit_mixture(rows, start, kind, prior, tol=0.0, max_iter=max_iter)
    starts = [_start(table, filled, k, kind, rng, whitened=j % 2 == 1) for j in range(n_init)]
    if n_init > 1:
        short = options | {"max_iter": _SHORT}
        fits = [fit_mixture(rows, start, kind, prior, **short) for start in starts]
        starts = [max(fits, key=lambda fit: fit.objective).model]
    return fit_mixture(rows, starts[0], kind, prior, **options)


def _start(
    table: ScaledTable,
    filled: np.ndarray,
    k: int,
    kind: str,
    rng: np.random.Generator,
    *,
    whitened: bool,
) -> GaussianMixtureModel:
    """Return the mixture of the clusters of k-means, standardized or whitened."""
    Z, weight = filled, table.weight
    if len(Z) > _START_ROWS:
        Z, weight = _thinned(Z, weight, _START_ROWS)
    place = whiten(Z, np.zeros(Z.shape[1]), table.factor.scaled) if whitened else Z
    means = KMeans(k, n_init=1, random_state=int(rng.integers(2**31)))
    # with dispatch to other arrays scikit-learn refuses k-means of weighted numpy rows
    with warnings.catch_warnings(), config_context(array_api_dispatch=False):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer clusters than asked for
        labels = means.fit(place, sample_weight=weight).labels_
    share = np.zeros((len(Z), k))
    share[np.arange(len(Z)), labels] = weight
    mass = share.sum(axis=0)
    center = share.T @ Z / np.maximum(mass, 1e-300)[:, None]
    base = table.prior(kind, 0.0).covariance
    covariances = np.empty((k, *base.shape))
    for j in range(k):
        moved = Z - center[j]
        if base.ndim == 1:
            within = share[:, j] @ moved**2 / max(mass[j], 1e-300)
            within = np.full_like(within, within.mean()) if kind == "spherical" else within
        else:
            within = (moved * share[:, [j]]).T @ moved / max(mass[j], 1e-300)
        covariances[j] = (1 - _SHRINK) * within + _SHRINK * base
    if kind == "tied":
        covariances = np.tensordot(mass / mass.sum(), covariances, axes=1)[None]
    return GaussianMixtureModel(mass / mass.sum(), center, covariances)
