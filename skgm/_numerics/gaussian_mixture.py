"""Gaussian mixtures on rows with holes: densities, conditional draws, and fits by EM.

What is observed of a Gaussian row is Gaussian, so a hole needs no integral. Let A be the inverse of
the observed block of the covariance S, with zeros elsewhere, and d the deviations from the mean m
with zeros in the holes. Everything follows from A d:

    squared distance        d' A d
    conditional mean        m + S A d
    conditional covariance  S - S A S
    conditional draw        x + S A (given - x), where x is a draw of a whole row

Rows are grouped by what they observe, and A is computed once per group and component.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import NamedTuple

import numpy as np

from skgm._numerics.gaussian import RIDGE

__all__ = [
    "EMFit",
    "EMSums",
    "GaussianMixtureModel",
    "HoledRows",
    "Prior",
    "fit_gaussian",
    "fit_mixture",
    "maximization",
    "without_degenerate",
]

_ROWS, _VALUES = 4096, 2**22  # of a chunk, and of its inverse matrices
_FEW = 4  # rows from which a group is worth a product of its own
_STILL = 1e-8  # a step of EM that moves no standardized parameter by more has arrived


@dataclass(frozen=True, eq=False)
class HoledRows:
    """Rows grouped by what they observe.

    Attributes
    ----------
    values : ndarray of shape (n, d)
        The rows, zero in holes.
    weight : ndarray of shape (n,)
    seen : ndarray of shape (n_patterns, d), bool
        Columns observed.
    pattern : ndarray of shape (n,)
        Pattern of each row, ascending.
    place : ndarray of shape (n,)
        Number of each row in the table.
    """

    values: np.ndarray
    weight: np.ndarray
    seen: np.ndarray
    pattern: np.ndarray
    place: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, weight: np.ndarray | None = None) -> "HoledRows":
        """Group the rows of a table with NaN, (n, d)."""
        weight = np.ones(len(X)) if weight is None else weight
        seen, place = ~np.isnan(X), np.arange(len(X))
        if seen.all():
            return cls(X, weight, seen[:1], np.zeros(len(X), dtype=np.intp), place)
        packed = np.ascontiguousarray(np.packbits(seen, axis=1))
        keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
        _, first, pattern = np.unique(keys, return_index=True, return_inverse=True)
        order = np.argsort(pattern, kind="stable")
        values = np.where(seen, X, 0.0)[order]
        return cls(values, weight[order], seen[first], pattern[order], place[order])

    @cached_property
    def complete(self) -> bool:
        """Whether there are no holes."""
        return bool(self.seen.all())

    @cached_property
    def mask(self) -> np.ndarray:
        """The entries observed, (n, d), bool."""
        return np.asarray(self.seen[self.pattern])

    def chunks(self) -> Iterator["HoledRows"]:
        """Yield parts whose intermediate results stay small."""
        n, d = self.values.shape
        step = _ROWS if self.complete else max(1, min(_ROWS, _VALUES // d**2))
        for start in range(0, n, step):
            rows = slice(start, start + step)
            pattern = self.pattern[rows]
            first, last = pattern[0], pattern[-1]
            seen = self.seen[first : last + 1]
            parts = (self.values[rows], self.weight[rows], seen, pattern - first, self.place[rows])
            yield HoledRows(*parts)

    def deviation(self, mean: np.ndarray) -> np.ndarray:
        """Return the rows minus a mean, zero in holes, (n, d)."""
        moved = self.values - mean
        return moved if self.complete else moved * self.mask

    def times(self, rows: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        """Return each row of an array (n, d) times the matrix of its pattern."""
        if len(matrices) == 1:
            return rows @ matrices[0]
        product = np.empty_like(rows)
        ends = np.searchsorted(self.pattern, np.arange(len(matrices) + 1))
        large = np.diff(ends) >= _FEW
        for p in np.flatnonzero(large):
            part = slice(ends[p], ends[p + 1])
            product[part] = rows[part] @ matrices[p]
        small = np.flatnonzero(~large[self.pattern])
        product[small] = np.einsum("ni,nij->nj", rows[small], matrices[self.pattern[small]])
        return product


class _Part(NamedTuple):
    """What one component says of rows."""

    deviation: np.ndarray
    pull: np.ndarray  # A d, (n, d)
    inverse: np.ndarray  # A, (n_patterns, d, d); 1 / variances of a diagonal covariance
    log_density: np.ndarray


@dataclass(frozen=True, eq=False)
class GaussianMixtureModel:
    """Weights, means and covariances of a mixture of Gaussians.

    Attributes
    ----------
    weights : ndarray of shape (k,)
    means : ndarray of shape (k, d)
    covariances : ndarray of shape (k, d, d), (1, d, d) or (k, d)
        Of each component, of all, or variances.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def covariance(self, k: int) -> np.ndarray:
        """Return the covariance of one component, (d, d), or its variances, (d,)."""
        return np.asarray(self.covariances[min(k, len(self.covariances) - 1)])

    def _parts(self, rows: HoledRows) -> list[_Part]:
        n_seen = rows.seen.sum(axis=1)[rows.pattern]
        parts: list[_Part] = []
        for k, mean in enumerate(self.means):
            deviation = rows.deviation(mean)
            if self.covariances.ndim == 2:
                inverse = 1 / self.covariances[k]
                log_det, pull = -(rows.seen @ np.log(inverse)), deviation * inverse
            elif k == 0 or len(self.covariances) > 1:
                inverse, log_det = _observed_inverse(self.covariance(k), rows.seen)
            if self.covariances.ndim == 3:
                pull = rows.times(deviation, inverse)
            distance = np.einsum("ij,ij->i", deviation, pull)
            distance[np.isnan(distance)] = np.inf  # rows so far away that they leave float64
            constant = n_seen * np.log(2 * np.pi) + log_det[rows.pattern]
            parts.append(_Part(deviation, pull, inverse, -0.5 * (constant + distance)))
        return parts

    def _joint(self, parts: list[_Part]) -> np.ndarray:
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        return np.column_stack([part.log_density for part in parts]) + log_weights

    def log_joint(self, X: np.ndarray) -> np.ndarray:
        """Return log(weight) + log-density of the observed part of rows, (n, k)."""
        joint = np.empty((len(X), len(self.weights)))
        with np.errstate(over="ignore", invalid="ignore"):
            for rows in HoledRows.of(X).chunks():
                joint[rows.place] = self._joint(self._parts(rows))
        return joint

    def score_function(self, X: np.ndarray) -> np.ndarray:
        """Return the gradient of the log-density of complete rows, (n, d)."""
        gradient = np.empty(X.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            for rows in HoledRows.of(X).chunks():
                parts = self._parts(rows)
                share, _ = _shares(self._joint(parts))
                pulls = [r[:, None] * part.pull for r, part in zip(share.T, parts)]
                gradient[rows.place] = -np.sum(pulls, axis=0)
        return gradient

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return independent rows, (n, d)."""
        return self._draw_from(rng.choice(len(self.weights), size=n, p=self.weights), rng)

    def _draw_from(self, component: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal((len(component), self.means.shape[1]))
        for k in range(len(self.weights)):
            own, covariance = component == k, self.covariance(k)
            if covariance.ndim == 1:
                noise[own] *= np.sqrt(covariance)
            else:
                noise[own] = noise[own] @ _cholesky(covariance).T
        return self.means[component] + noise

    def complete(self, given: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n draws of each row given what it observes, (m * n, d), grouped by row."""
        share, _ = _shares(self.log_joint(given))
        picked = rng.random((len(given), n, 1)) > np.cumsum(share, axis=1)[:, None, :-1]
        component = picked.sum(axis=2).ravel()
        drawn = self._draw_from(component, rng)
        wanted = np.repeat(given, n, axis=0)
        for k in np.unique(component):
            own = np.flatnonzero(component == k)
            for rows in HoledRows.of(wanted[own] - drawn[own]).chunks():
                change, covariance = rows.values, self.covariance(k)
                if covariance.ndim == 2:
                    inverse, _ = _observed_inverse(covariance, rows.seen)
                    change = rows.times(change, inverse) @ covariance
                drawn[own[rows.place]] += change
        seen = ~np.isnan(wanted)
        drawn[seen] = wanted[seen]
        return drawn


def _shares(log_joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of the components, (n, k), and the log-densities, (n,)."""
    top = log_joint.max(axis=1)
    top[np.isneginf(top)] = 0.0
    share = np.exp(log_joint - top[:, None])
    total = share.sum(axis=1)
    lost = total == 0  # too far from all components: any will do
    share[lost], total[lost] = 1 / share.shape[1], 1.0
    log_density = np.log(total) + top
    log_density[lost] = -np.inf
    return share / total[:, None], log_density


def _cholesky(covariance: np.ndarray) -> np.ndarray:
    """Return the lower factors of matrices, (..., d, d); singular ones get a ridge."""
    try:
        factors = np.linalg.cholesky(covariance)
        singular = np.einsum("...ii->...i", factors).min(axis=-1) ** 2 < RIDGE
    except np.linalg.LinAlgError:
        singular = np.linalg.eigvalsh(covariance)[..., 0] < RIDGE
    if singular.any():  # always the same ridge, so that EM comes to rest
        ridge = np.where(singular, 2 * RIDGE, 0.0)[..., None, None]
        factors = np.linalg.cholesky(covariance + ridge * np.eye(covariance.shape[-1]))
    return np.asarray(factors)


def _observed_inverse(covariance: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return inverses of the observed blocks, in zeros, (p, d, d), and log-determinants, (p,)."""
    both = seen[:, :, None] & seen[:, None, :]
    blocks = np.where(both, covariance, np.eye(len(covariance)))
    factors = _cholesky(blocks)
    half = np.linalg.inv(factors)
    inverse = half.transpose(0, 2, 1) @ half
    log_det = 2 * np.log(np.einsum("pii->pi", factors)).sum(axis=1)
    return inverse * both, log_det


# Expectation-maximization, on standardized columns.


class Prior(NamedTuple):
    """Pseudo-rows that every component has, of a given covariance, (d, d), or variances, (d,)."""

    n_rows: float
    covariance: np.ndarray


class EMFit(NamedTuple):
    """A fitted mixture.

    `objective` is the mean log-likelihood of the observed entries plus the logarithm of the prior
    over the number of rows; EM never lowers it.
    """

    model: GaussianMixtureModel
    loglik: float
    objective: float
    n_iter: int
    converged: bool


@dataclass(frozen=True, eq=False)
class EMSums:
    """Sums over rows and the conditional law of their holes, about the present means.

    Attributes
    ----------
    loglik : float
    mass : ndarray of shape (k,)
    first : ndarray of shape (k, d)
    second : ndarray of shape (k, d, d) or (k, d)
    """

    loglik: float
    mass: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, model: GaussianMixtureModel, chunks: Iterable[HoledRows]) -> "EMSums":
        """Return the sums over chunks of standardized rows, each with an observed entry."""
        return reduce(add, (_expectation(model, chunk) for chunk in chunks))

    def __add__(self, other: "EMSums") -> "EMSums":
        return EMSums(*(ours + vars(other)[name] for name, ours in vars(self).items()))


def _expectation(model: GaussianMixtureModel, rows: HoledRows) -> EMSums:
    """Return the sums of one chunk."""
    parts = model._parts(rows)
    share, log_density = _shares(model._joint(parts))
    share *= rows.weight[:, None]
    first, second = (
        np.empty(model.means.shape),
        np.empty((len(parts), *model.covariances.shape[1:])),
    )
    for k, part in enumerate(parts):
        r, filled, covariance = share[:, k], part.deviation, model.covariance(k)
        diagonal = covariance.ndim == 1
        if not rows.complete and not diagonal:
            filled = np.where(rows.mask, filled, part.pull @ covariance)
        first[k] = r @ filled
        second[k] = r @ filled**2 if diagonal else (filled * r[:, None]).T @ filled
        if rows.complete:
            continue
        mass = np.bincount(rows.pattern, r, minlength=len(rows.seen))
        if diagonal:
            second[k] += covariance * (mass @ ~rows.seen)
        else:
            left = covariance - covariance @ part.inverse @ covariance
            # what is zero in theory is set to zero: near-singular covariances lose all digits
            hidden = ~rows.seen[:, :, None] & ~rows.seen[:, None, :]
            second[k] += np.tensordot(mass, left * hidden, axes=1)
    return EMSums(float(rows.weight @ log_density), share.sum(axis=0), first, second)


def maximization(
    model: GaussianMixtureModel, sums: EMSums, kind: str, prior: Prior, *, centered: bool = False
) -> GaussianMixtureModel:
    """Return the mixture that maximizes the expected log-likelihood and the prior."""
    mass = np.maximum(sums.mass, np.finfo(float).tiny)
    total, dense = sums.mass.sum(), sums.second.ndim == 3
    shift = sums.first / mass[:, None]
    if centered:
        shift = -model.means
    second = sums.second.copy()
    for k, (moved, first) in enumerate(zip(shift, sums.first)):
        if dense:
            cross = np.outer(moved, first)
            second[k] += sums.mass[k] * np.outer(moved, moved) - cross - cross.T
        else:
            second[k] += sums.mass[k] * moved**2 - 2 * moved * first
    extra = prior.n_rows * prior.covariance
    if kind == "tied":
        covariances = (second.sum(axis=0, keepdims=True) + extra) / (total + prior.n_rows)
    else:
        rows = mass + prior.n_rows
        covariances = (second + extra) / (rows[:, None, None] if dense else rows[:, None])
    if kind == "spherical":
        covariances = np.broadcast_to(covariances.mean(axis=1, keepdims=True), covariances.shape)
    return GaussianMixtureModel(sums.mass / total, model.means + shift, covariances)


def _log_prior(model: GaussianMixtureModel, prior: Prior) -> float:
    """Return the sum over components of -(rows / 2) (log det S + tr(P S^-1))."""
    if prior.n_rows == 0:
        return 0.0
    if model.covariances.ndim == 2:
        terms = np.log(model.covariances) + prior.covariance / model.covariances
    else:
        factors = _cholesky(model.covariances)
        solved = np.linalg.solve(model.covariances, prior.covariance[None])
        terms = 2 * np.log(np.einsum("kii->ki", factors)) + np.einsum("kii->ki", solved)
    return float(-0.5 * prior.n_rows * terms.sum())


def fit_mixture(
    rows: HoledRows,
    model: GaussianMixtureModel,
    kind: str,
    prior: Prior,
    *,
    tol: float,
    max_iter: int,
    centered: bool = False,
) -> EMFit:
    """Maximize the likelihood of the observed entries, times the prior, from a start.

    Parameters
    ----------
    rows : HoledRows
        Standardized rows, each with an observed entry.
    model : GaussianMixtureModel
        The start; its covariances have the shape that `kind` needs.
    kind : {"full", "tied", "diag", "spherical"}
    prior : Prior
    tol : float
        Least gain in the objective, per row, for which the iteration goes on.
    max_iter : int
    centered : bool, default=False
        Keep all means at zero.

    Returns
    -------
    fit : EMFit
    """
    total, before, converged, step = rows.weight.sum(), -np.inf, False, 0
    chunks = list(rows.chunks())
    while True:
        sums = EMSums.of(model, chunks)
        objective = (sums.loglik + _log_prior(model, prior)) / total
        converged |= objective - before <= tol
        if converged or step == max_iter:
            return EMFit(model, sums.loglik, objective, step, bool(converged))
        update = maximization(model, sums, kind, prior, centered=centered)
        converged, before, step = _moved(model, update) <= _STILL, objective, step + 1
        model = update


def _moved(model: GaussianMixtureModel, update: GaussianMixtureModel) -> float:
    by_means = np.abs(update.means - model.means).max()
    return float(max(by_means, np.abs(update.covariances - model.covariances).max()))


def fit_gaussian(rows: HoledRows, *, centered: bool = False, max_iter: int = 1000) -> EMFit:
    """Fit one Gaussian with a full covariance to standardized rows, until nothing moves."""
    d = rows.values.shape[1]
    start = GaussianMixtureModel(np.ones(1), np.zeros((1, d)), np.eye(d)[None])
    prior = Prior(0.0, np.zeros((d, d)))
    return fit_mixture(
        rows, start, "full", prior, tol=-np.inf, max_iter=max_iter, centered=centered
    )


def without_degenerate(covariance: np.ndarray) -> np.ndarray:
    """Set to zero the eigenvalues that are smaller than what the iteration can tell from zero.

    Where columns determine one another, or are too many for the rows, the likelihood grows without
    bound as a variance shrinks to zero, and the iteration ends somewhere on the way.
    """
    values, vectors = np.linalg.eigh(covariance)
    if values[0] >= RIDGE:
        return covariance
    return np.asarray((vectors * np.where(values < RIDGE, 0.0, values)) @ vectors.T)
