"""Fits a sparse Gaussian whose penalty is chosen by extended BIC or cross-validation."""

import numbers
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import check_cv

from skgm._numerics.moments import Moments
from skgm._parallel import N_JOBS, ordered_map
from skgm._sklearn import Interval, StrOptions, fit_task
from skgm.base import DensityTags, transactional
from skgm.score_matching._gaussian.density import GaussianDensity
from skgm.score_matching._gaussian.regularization import (
    CONSTRAINTS,
    RegularizedFit,
    bounded,
    correlations,
    factor_of,
    log_likelihood,
    refit_point,
    warn_of,
)
from skgm.score_matching._gaussian.sparse import largest_alpha, solve_path
from skgm.tables._validation import check_scales, check_several_rows, column_names

__all__ = [
    "Path",
    "ScoreMatchingGaussianCV",
    "alpha_grid",
    "ebic",
    "fit_path",
    "held_out",
]


# Choosing the penalty of a sparse Gaussian: extended BIC, or held-out likelihood.

LEAST_ALPHA = 0.05  # of the largest: far beyond what either criterion chooses
NEIGHBORS = 0.1  # average number of neighbors per row at which the path stops


@dataclass(frozen=True)
class Path:
    """Refitted precisions along decreasing penalties, on the scale of correlations.

    Attributes
    ----------
    alphas : ndarray of shape (k,)
        Penalties; fewer than asked for where the graph became too dense for the rows.
    fits : list of RegularizedFit
        One per penalty.
    """

    alphas: np.ndarray
    fits: list[RegularizedFit]


def alpha_grid(R: np.ndarray, n_alphas: int) -> np.ndarray:
    """Return decreasing penalties, (n_alphas,), from the empty graph down."""
    most = largest_alpha(bounded(R))
    return np.geomspace(most, LEAST_ALPHA * most, n_alphas) if most > 0 else np.zeros(1)


def fit_path(
    R: np.ndarray, n_rows: float, alphas: np.ndarray, refit: str | None, tol: float
) -> Path:
    """Solve the path and refit each point; dense ends that the rows cannot support are cut off."""
    R_bounded, p = bounded(R), len(R)
    cap = int(max(p, NEIGHBORS * n_rows * p / 2))
    points = solve_path(R_bounded, alphas, tol=tol, max_pairs=cap)
    most = largest_alpha(R_bounded)
    fits = [refit_point(R, point, n_rows, refit, most) for point in points]
    return Path(alphas[: len(fits)], fits)


def ebic(fit: RegularizedFit, R: np.ndarray, n_rows: float, gamma: float) -> float:
    """Return the extended Bayesian information criterion, up to a constant; lower is better.

    -2 log-likelihood + E log n + 4 gamma E log p for E edges: with gamma > 0 the number of graphs
    with E edges counts as well (Foygel & Drton, 2010).
    """
    n_edges = fit.graph.sum() / 2
    penalty = np.log(n_rows) + 4 * gamma * np.log(len(R))
    return float(-n_rows * log_likelihood(fit.precision, R) + n_edges * penalty)


def held_out(fit: RegularizedFit, sd: np.ndarray, second_moment: np.ndarray) -> float:
    """Return the mean log-likelihood per row up to a constant, from held-out second moments."""
    scaled = second_moment / sd / sd[:, None]
    return 0.5 * log_likelihood(fit.precision, scaled) - float(np.log(sd).sum())


class ScoreMatchingGaussianCV(GaussianDensity):
    r"""Sparse Gaussian by score matching, its penalty chosen by extended BIC or cross-validation.

    .. math::

        \min_K\; \tfrac12 \operatorname{tr}(K R K) - \operatorname{tr} K
        + \alpha \sum_{i \ne j} |K_{ij}|

    on the correlation matrix R, along a path of penalties; the support of each solution is fitted
    again without the penalty, and the one with the best criterion is kept. Where columns are many
    and the graph is sparse the path costs a fraction of that of the graphical lasso; where most
    pairs are connected, half to three quarters.

    Prefer it to :class:`skgm.ScoreMatchingGaussian` where columns are many and most pairs of them
    independent given the rest, and to :class:`sklearn.covariance.GraphicalLassoCV`, which keeps
    many false edges. Where nearly every pair is dependent, an l2 penalty is better.

    Parameters
    ----------
    alphas : int or array-like of shape (n_alphas,), default=40
        Number of penalties, or the penalties themselves, on the scale of correlations.
    selection : {"ebic", "cv"}, default="ebic"
        "ebic" aims at the graph and needs one path; "cv" at held-out likelihood, and keeps more
        edges.
    gamma : float, default=0.25
        Of the extended BIC: 0 is BIC; 0.5 guards harder against false edges where columns are
        more than rows.
    cv : int, cross-validation generator or iterable, default=None
        Folds of "cv"; None is five, or one per row where there are fewer.
    refit : {"one_step", "mle", "score_matching"} or None, default="one_step"
        How the chosen support is fitted: as in :class:`skgm.ScoreMatchingGaussian`.
    assume_centered : bool, default=False
        Take the mean to be zero instead of estimating it.
    tol : float, default=1e-6
        Optimality residual of the path.
    n_jobs : int, default=None
        Folds of selection="cv" at a time, in processes; the result is the same for
        every number. None is one, -1 all cores.

    Attributes
    ----------
    location_ : ndarray of shape (n_features_in_,)
        Mean.
    covariance_, precision_ : ndarray of shape (n_features_in_, n_features_in_)
        Covariance and its inverse, whose zeros are exact.
    alpha_ : float
        The penalty chosen.
    alphas_ : ndarray of shape (n_alphas,)
        Penalties of the path, decreasing; cut off where the graph became too dense for the rows.
    criterion_ : ndarray of shape (n_alphas,)
        Extended BIC (lower is better), or mean held-out log-likelihood per row (higher is
        better).
    graph_ : ndarray of shape (n_features_in_, n_features_in_), bool
        Pairs with a non-zero entry; the diagonal is False.
    n_edges_ : int
        Number of them.
    alpha_max_ : float
        Least penalty with an empty graph.
    kkt_residual_ : float
        Optimality residual at the chosen penalty.
    ridge_ : float
        0.0 unless the covariance needed a ridge.
    loss_, loglik_ : float
        Implicit loss and total log-likelihood of the training table at the estimate.
    params_ : dict
        ``{"location": location_, "covariance": covariance_}``.
    n_samples_seen_ : float
        Number of rows, or the sum of their weights.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    log_density_kind_ : str
        "exact".

    Raises
    ------
    ValueError
        In `fit`: a constant column, NaN or infinity, fewer than two rows, penalties that are not
        positive.

    Notes
    -----
    eq. sm-gaussian-sparse. The graph is chosen by the data, so standard errors that take it for
    known would be too small: they are refused. `edges` tests all pairs with a controlled false
    discovery rate. As in :class:`skgm.ScoreMatchingGaussian`, none of the rows is stored.

    References
    ----------
    .. [1] T. Zhang and H. Zou, "Sparse precision matrix estimation via lasso penalized D-trace
       loss", Biometrika 101, 2014, equation 2.
    .. [2] R. Foygel and M. Drton, "Extended Bayesian information criteria for Gaussian graphical
       models", NeurIPS 2010, equation 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import ScoreMatchingGaussianCV
    >>> X = np.random.default_rng(0).normal(size=(300, 10)).cumsum(axis=1)
    >>> int(ScoreMatchingGaussianCV().fit(X).n_edges_)
    9
    """

    _parameter_constraints = {
        "alphas": [Interval(numbers.Integral, 1, None, closed="left"), "array-like"],
        "selection": [StrOptions({"ebic", "cv"})],
        "gamma": [Interval(numbers.Real, 0, None, closed="left")],
        "cv": ["cv_object"],
        "refit": CONSTRAINTS["refit"],
        "assume_centered": ["boolean"],
        "tol": CONSTRAINTS["tol"],
        "n_jobs": N_JOBS,
    }

    covariance_type = "full"  # what the methods of a Gaussian ask for

    def __init__(
        self,
        alphas: Any = 40,
        *,
        selection: str = "ebic",
        gamma: float = 0.25,
        cv: Any = None,
        refit: str | None = "one_step",
        assume_centered: bool = False,
        tol: float = 1e-6,
        n_jobs: int | None = None,
    ) -> None:
        self.alphas = alphas
        self.selection = selection
        self.gamma = gamma
        self.cv = cv
        self.refit = refit
        self.assume_centered = assume_centered
        self.tol = tol
        self.n_jobs = n_jobs

    def __density_tags__(self) -> DensityTags:
        """Return the promises that decide which density checks apply."""
        return DensityTags(equivariance="scale" if self.assume_centered else "location-scale")

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "ScoreMatchingGaussianCV":
        """Fit the path and choose the penalty.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; an integer weight equals that many repetitions of the row (with "cv" up to
            the folds, which are of rows).

        Returns
        -------
        self : ScoreMatchingGaussianCV
            The fitted estimator.
        """
        with fit_task(self, X=X, y=y, sample_weight=sample_weight):
            table, weight = self._begin_fit(X, sample_weight, min_samples=2, finite=False)
            check_several_rows(weight)
            moments = Moments.from_chunk(table, weight, joint=True)
            check_scales(table, weight, moments, column_names(self, table.shape[1]))
            if weight is not None:  # a row of weight zero is absent, from the folds too
                table, weight = table[weight > 0], weight[weight > 0]
            center = np.zeros(len(moments.mean)) if self.assume_centered else moments.mean
            R, sd, constant = correlations(self._second_moment(moments), center)
            path = fit_path(R, moments.n, self._grid(R), self.refit, self.tol)
            best = path.fits[self._choose(path, R, moments.n, table, weight)]
            nothing_else = self.alphas_[-1] >= best.alpha_max > 0  # no alpha could give an edge
            warn_of(best, self.alpha_, self.tol, penalized=nothing_else)
            self._keep_factor(factor_of(best, sd, constant), moments, len(table), fit=best)
        return self

    def _second_moment(self, moments: Moments) -> np.ndarray:
        return moments.covariance(0.0 if self.assume_centered else None)

    def _grid(self, R: np.ndarray) -> np.ndarray:
        if isinstance(self.alphas, numbers.Integral):
            return alpha_grid(R, int(self.alphas))
        alphas = np.sort(np.asarray(self.alphas, dtype=np.float64).ravel())[::-1]
        if not len(alphas) or not np.isfinite(alphas).all() or alphas[-1] <= 0:
            raise ValueError(f"alphas must be an integer or numbers > 0; got {self.alphas!r}.")
        return alphas

    def _choose(
        self, path: Path, R: np.ndarray, n_rows: float, table: np.ndarray, weight: Any
    ) -> int:
        """Return the index of the best penalty; keep it, and the criterion along the path."""
        self.alphas_ = path.alphas
        if self.selection == "ebic":
            self.criterion_ = np.array([ebic(fit, R, n_rows, self.gamma) for fit in path.fits])
            best = int(self.criterion_.argmin())
        else:
            self.criterion_ = self._cross_validate(path.alphas, table, weight)
            best = int(self.criterion_.argmax())
        self.alpha_ = float(path.alphas[best])
        return best

    def _cross_validate(self, alphas: np.ndarray, table: np.ndarray, weight: Any) -> np.ndarray:
        """Return the mean held-out log-likelihood per row at each penalty; -inf where cut off."""
        total, mass = np.zeros(len(alphas)), 0.0
        pairs = (
            tuple(
                Moments.from_chunk(
                    table[rows], None if weight is None else weight[rows], joint=True
                )
                for rows in fold
            )
            for fold in self._folds(table)
        )
        score = partial(clone(self)._score_fold, alphas=alphas)
        for scores, n in ordered_map(score, pairs, n_jobs=self.n_jobs):
            total, mass = total + n * scores, mass + n
        p = table.shape[1]
        return total / mass - 0.5 * p * np.log(2 * np.pi)

    def _score_fold(
        self, pair: tuple[Moments, Moments], alphas: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Return the criterion of one fold at each penalty, and its number of rows held out."""
        fitted, other = pair
        center = np.zeros(len(fitted.mean)) if self.assume_centered else fitted.mean
        R, sd, _ = correlations(self._second_moment(fitted), center)
        fits = fit_path(R, fitted.n, alphas, self.refit, self.tol).fits
        about = other.covariance(center)
        scores = [held_out(fit, sd, about) for fit in fits]
        return np.array(scores + [-np.inf] * (len(alphas) - len(fits))), other.n

    def _folds(self, table: np.ndarray) -> Any:
        n_folds = min(5, len(table)) if self.cv is None else self.cv
        return check_cv(n_folds).split(table)
