"""The kernel exponential family: a Gaussian times the exponential of a function of a kernel."""

import numbers
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.distributions import KernelProposal, Proposal
from skgm._numerics.gaussian import factorize
from skgm._numerics.importance import MAX_ERROR, normalizer, resample
from skgm._numerics.langevin import langevin
from skgm._numerics.moments import Moments
from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import Interval, StrOptions, fit_task
from skgm._validation import check_scales, check_several_rows, column_names, warn_singular
from skgm._warnings import renamed_attribute, warn_user
from skgm.base import DensityEstimator, DensityTags, transactional
from skgm.score_matching._kernel.fit import (
    KernelFunction,
    choose,
    choose_centers,
    median_distance,
    noisy,
    solve_ridge,
)

__all__ = [
    "KernelExpFamily",
]

FACTORS = (0.2, 0.35, 0.6, 1.0, 1.7)  # of the median distance
# of the ridge under which a row without others near it raises f by one nat; less lets the fit put
# most of the mass on such a row, which its held-out loss cannot see
MULTIPLES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
N_FOLDS, N_NOISE_PAIRS = 5, 4
VARIES = 0.5  # variance of a whitened column, which is 1 but for those kept apart by a ridge


class KernelExpFamily(DensityEstimator):
    r"""Density with a smooth log-density of any shape, fitted by score matching.

    .. math::
        \log p(x) = \log q(x) + f(x) - \log Z, \qquad
        f(x) = \sum_m c_m \, e^{-\|z - z_m\|^2 / (2 h^2)}, \qquad
        (G + \alpha K)\, c = g

    q is the Gaussian with the mean and covariance of the table, z = z(x) the table whitened by
    it, and the z_m are some of its rows (Nyström). The score-matching loss is quadratic in c, so a
    fit solves one linear system per bandwidth. As f is bounded, p has the tails of q and always
    an integral.

    Prefer it for continuous tables of a few columns whose shape has no name, where the gradient
    of the log-density is wanted (`score_function` is exact and smooth). Not for many columns,
    where kernels see all rows at the same distance, for modes far apart, whose shares score
    matching cannot tell, or for bounded columns.

    Parameters
    ----------
    n_components : int, default=100
        Number of rows at which kernels are centered.
    bandwidth : {"cv", "median"} or float, default="cv"
        h, in standard deviations of the whitened table. "median": the median distance of rows.
        "cv": a fifth to 1.7 times that, by the held-out loss of five folds.
    alpha : "cv" or float, default="cv"
        Ridge on the squared norm of f; "cv": 0.3 to 300 times d / (n h^2), under which a row
        without others near it raises f by one nat, by the same loss.
    objective : {"implicit", "denoising"}, default="implicit"
        "denoising" fits the table blurred by Gaussian noise of `noise_scale` standard deviations:
        smoother, and a little too wide.
    noise_scale : float, default=0.1
        Of "denoising".
    sampler : {"langevin", "resampling"}, default="langevin"
        Draws are rows of a proposal, picked by their weight; with "langevin" each is then moved by
        a Metropolis-adjusted chain, so that none is repeated.
    random_state : None, int, RandomState or Generator, default=None
        Of the choice of centers.

    Attributes
    ----------
    centers_ : ndarray of shape (n_components_, n_features_in_)
        The rows at which kernels are centered.
    coef_ : ndarray of shape (n_components_,)
        c; zeros where no kernel part has a smaller held-out loss than the Gaussian alone.
    n_components_ : int
        Number of kernels: fewer than `n_components` if there are fewer distinct rows.
    bandwidth_, alpha_ : float
        The ones used.
    cv_losses_ : ndarray of shape (n_bandwidths, n_alphas)
        Held-out losses relative to that of the Gaussian, where "cv" chose; else zeros.
    loss_ : float
        Loss of the fit relative to that of the Gaussian, at most 0, in whitened columns.
    log_normalizer_, log_normalizer_se_ : float
        log Z and its standard error.
    normalizer_ess_ : float
        Effective sample size of the points that found it, as a share.
    location_ : ndarray of shape (n_features_in_,)
        Mean of q.
    covariance_ : ndarray of shape (n_features_in_, n_features_in_)
        Its covariance.
    ridge_ : float
        As in :class:`ScoreMatchingGaussian`, where the covariance is singular.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    log_density_kind_ : str
        "estimate": log Z is found by quasi-Monte-Carlo.

    Raises
    ------
    ValueError
        In `fit`: NaN or infinity, fewer than two rows, columns whose squares overflow.

    Warns
    -----
    LinAlgWarning
        A singular covariance, which gets a ridge.
    ConvergenceWarning
        An uncertain normalizer.

    See Also
    --------
    ScoreMatchingExpFamily : Statistics with names, errors and intervals.
    skgm.NCEDensity : Better in many columns.

    Notes
    -----
    eq. sm-implicit, sm-denoising. The kernels are those of the "lite" variant, k(., z_m) instead
    of their derivatives. log Z comes from importance sampling on scrambled Sobol points, the same
    ones each time; half of them are from q, half from normals around the `centers_`.

    References
    ----------
    .. [1] B. Sriperumbudur, K. Fukumizu, A. Gretton, A. Hyvärinen and R. Kumar, "Density
       estimation in infinite dimensional exponential families", Journal of Machine Learning
       Research 18, 2017.
    .. [2] D. Sutherland, H. Strathmann, M. Arbel and A. Gretton, "Efficient and principled score
       estimation with Nyström kernel exponential families", AISTATS 2018.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from skgm import KernelExpFamily, ScoreMatchingGaussian
    >>> X, new = (make_moons(400, noise=0.1, random_state=seed)[0] for seed in (0, 1))
    >>> density = KernelExpFamily(random_state=0).fit(X)
    >>> bool(density.score(new) > ScoreMatchingGaussian().fit(X).score(new) + 0.5)
    True
    """

    _parameter_constraints = {
        "n_components": [Interval(numbers.Integral, 1, None, closed="left")],
        "bandwidth": [
            StrOptions({"cv", "median"}),
            Interval(numbers.Real, 0, None, closed="neither"),
        ],
        "alpha": [StrOptions({"cv"}), Interval(numbers.Real, 0, None, closed="neither")],
        "objective": [StrOptions({"implicit", "denoising"})],
        "noise_scale": [Interval(numbers.Real, 0, None, closed="neither")],
        "sampler": [StrOptions({"langevin", "resampling"})],
        "random_state": RANDOM_STATE,
    }

    def __init__(
        self,
        n_components: int = 100,
        *,
        bandwidth: Any = "cv",
        alpha: Any = "cv",
        objective: str = "implicit",
        noise_scale: float = 0.1,
        sampler: str = "langevin",
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.bandwidth = bandwidth
        self.alpha = alpha
        self.objective = objective
        self.noise_scale = noise_scale
        self.sampler = sampler
        self.random_state = random_state

    effective_sample_size_ = renamed_attribute("effective_sample_size_", "normalizer_ess_")

    def __density_tags__(self) -> DensityTags:
        """Return the promises that decide which density checks apply."""
        return DensityTags(deterministic_fit=False)

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "KernelExpFamily":
        """Fit the Gaussian, then the kernel part, then find the normalizer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; an integer weight equals that many repetitions of the row.

        Returns
        -------
        self : KernelExpFamily
            The fitted estimator.
        """
        with fit_task(self, X=X, y=y, sample_weight=sample_weight):
            table, weight = self._begin_fit(X, sample_weight, min_samples=2)
            weight = np.ones(len(table)) if weight is None else weight
            table, weight = table[weight > 0].astype(np.float64), weight[weight > 0]
            check_several_rows(weight)
            # equal rows become one, so that a weight and repetitions are the same thing
            rows, place = np.unique(table, axis=0, return_inverse=True)
            weight = np.bincount(np.ravel(place), weights=weight)
            self._fit_base(rows, weight)
            self._fit_kernel(rows, weight)
            self._normalize()
            return self

    def _fit_base(self, rows: np.ndarray, weight: np.ndarray) -> None:
        names = column_names(self, rows.shape[1])
        moments = Moments.from_chunk(rows, weight, joint=True)
        check_scales(rows, weight, moments, names)
        factor = factorize(moments.covariance(None), moments.mean)
        if factor.ridge:
            warn_singular(factor, len(rows), names)
        self.ridge_, self._center = factor.ridge, moments.mean
        self._sd, cholesky = factor.scaled
        self._cholesky = np.asarray(cholesky)
        dtype = self._sample_dtype
        self.location_, self.covariance_ = (
            part.astype(dtype) for part in (moments.mean, factor.covariance)
        )

    def _whiten(self, X: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (X - self._center) / self._sd
            return np.linalg.solve(self._cholesky, scaled.T).T

    def _fit_kernel(self, rows: np.ndarray, weight: np.ndarray) -> None:
        Z = self._whiten(rows)
        share = weight / weight.sum()
        # columns that a ridge keeps apart do not vary once whitened: the Gaussian alone knows them
        active = share @ (Z - share @ Z) ** 2 > VARIES
        self._active = active if active.any() else ~active
        Z = Z[:, self._active]
        picked = choose_centers(weight, self.n_components, as_generator(self.random_state))
        centers, typical = Z[picked], median_distance(Z)
        widths = {"cv": [f * typical for f in FACTORS], "median": [typical]}.get(
            self.bandwidth, [self.bandwidth]
        )
        unit = Z.shape[1] / weight.sum()
        alphas = [
            [m * unit / w**2 for m in MULTIPLES] if self.alpha == "cv" else [self.alpha]
            for w in widths
        ]
        fold = np.arange(len(Z)) % min(N_FOLDS, len(Z))  # rows are sorted: neighbors part
        if len(widths) == len(alphas[0]) == 1:
            fold[:] = 0
        if self.objective == "denoising":
            Z = noisy(Z, self.noise_scale, N_NOISE_PAIRS)
            weight, fold = (np.tile(part, 2 * N_NOISE_PAIRS) for part in (weight, fold))
        functions = [KernelFunction(centers, np.zeros(len(picked)), float(w)) for w in widths]
        self.cv_losses_, systems = choose(functions, alphas, Z, weight, fold)
        best = np.unravel_index(int(np.argmin(self.cv_losses_)), self.cv_losses_.shape)
        self.bandwidth_, self.alpha_ = functions[best[0]].bandwidth, float(alphas[best[0]][best[1]])
        (G, g), gram = systems[best[0]], functions[best[0]].kernel(centers)
        coef = solve_ridge(G, g, gram, self.alpha_)
        if (
            not active.any()
            or self.cv_losses_[best] > 0
            or (fold.any() and self.cv_losses_[best] == 0)
        ):
            coef = np.zeros(len(g))  # worse than the Gaussian alone
        self.loss_ = float(0.5 * coef @ G @ coef - g @ coef)
        self.n_components_, self._centers, self._coef = len(picked), centers, coef
        self.centers_, self.coef_ = (
            part.astype(self._sample_dtype) for part in (rows[picked], coef)
        )

    def _function(self) -> KernelFunction:
        return KernelFunction(self._centers, self._coef, self.bandwidth_)

    def _base(self) -> Proposal:
        d = len(self._center)
        return Proposal(np.zeros(d), np.eye(d), np.inf)

    def _proposal(self) -> Any:
        if not self._coef.any():
            return self._base()  # exact
        return KernelProposal(self._centers, self._active)

    def _log_kernel(self, Z: np.ndarray) -> np.ndarray:
        return self._function()(Z[:, self._active]) + self._base().log_density(Z)

    def _gradient(self, Z: np.ndarray) -> np.ndarray:
        slope = -Z
        slope[:, self._active] += self._function().gradient(Z[:, self._active])
        return slope

    def _normalize(self) -> None:
        found = normalizer(self._log_kernel, self._proposal())
        least, faults = self._least_log_normalizer(), found.faults()
        if least > found.log_z + MAX_ERROR:
            faults.append("the density has a narrow peak at a training row")
        self.log_normalizer_ = max(found.log_z, least)
        self.log_normalizer_se_ = max(found.se, self.log_normalizer_ - found.log_z)
        self.normalizer_ess_, self.log_density_kind_ = found.ess, "estimate"
        if faults:
            warn_user(
                f"The normalizer is uncertain: {'; '.join(faults)}. The density may be "
                "off by a common factor. Use a larger alpha or bandwidth, fewer columns, or "
                "skgm.NCEDensity.",
                ConvergenceWarning,
            )

    def _least_log_normalizer(self) -> float:
        """Return a lower bound of log Z: around any point log p curves by at most `bend`."""
        bend = 1 + np.abs(self._coef).sum() / self.bandwidth_**2
        peaks = np.zeros((len(self._centers), len(self._center)))
        peaks[:, self._active] = self._centers
        height = float(self._log_kernel(peaks).max())
        return height + 0.5 * len(self._center) * float(np.log(2 * np.pi / bend))

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats; -inf for rows so far away that it leaves the range of float64.
        """
        Z = self._whiten(self._begin_scoring(X).astype(np.float64))
        log_det = np.log(self._sd).sum() + np.log(np.diag(self._cholesky)).sum()
        with np.errstate(over="ignore", invalid="ignore"):
            found = self._log_kernel(Z) - self.log_normalizer_ - log_det
        return np.where(np.isnan(found), -np.inf, found)

    def score_function(self, X: Any) -> np.ndarray:
        """Return the gradient of the log-density with respect to x; no normalizer is involved.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        gradient : ndarray of shape (n_samples, n_features)
            Stein's score.
        """
        Z = self._whiten(self._begin_scoring(X).astype(np.float64))
        return np.linalg.solve(self._cholesky.T, self._gradient(Z).T).T / self._sd

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        proposal = self._proposal()
        if self.sampler == "resampling":
            Z = resample(self._log_kernel, proposal, n_samples, rng)
        else:
            Z = langevin(self._log_kernel, self._gradient, proposal, n_samples, rng)
        return self._center + self._sd * (Z @ self._cholesky.T)
