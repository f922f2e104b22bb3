"""Fits the kernel exponential family: a Gaussian times the exponential of a kernel function."""

import numbers
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.distributions import GaussianMixtureNoise, KernelProposal
from skgm._numerics.gaussian import factorize
from skgm._numerics.importance import TOLERANCE, estimate, importance_resampling
from skgm._numerics.langevin import langevin
from skgm._numerics.moments import Moments
from skgm._parallel import N_JOBS
from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import Interval, StrOptions, fit_task, limit_threads, step_task
from skgm._warnings import renamed_attribute, warn_user
from skgm.base import DensityEstimator, DensityTags, in_blocks, transactional
from skgm.score_matching._kernel.fit import (
    KernelFunction,
    Sums,
    choose_centers,
    median_distance,
    noisy,
    solve_ridge,
)
from skgm.score_matching._kernel.masses import Pool, choose, correct, peak_bound
from skgm.tables._validation import check_scales, check_several_rows, column_names, warn_singular

__all__ = [
    "KernelExpFamily",
]

FACTORS = (0.2, 0.35, 0.6, 1.0, 1.7)  # of the median distance
# of the ridge under which a row without others near it raises f by one nat
MULTIPLES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
DIRECTIONS = (0, 4, 16)  # along which the masses may be corrected
N_FOLDS, N_NOISE_PAIRS = 5, 4
LEAST_GAIN = 3.0  # nats over all rows held out; less is what the best of many fits gains by chance
CHOICE, CORRECTION = 2**11, 2**13  # rows of the pools
BANDWIDTHS = 1e-70, 1e70  # whose fourth powers float64 holds
CHAIN = 60  # steps of the chains that move resampled rows
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

    Score matching does not determine the relative masses of separate clusters. They are corrected
    by maximum likelihood along the few directions of c that it sees least. Bandwidth, ridge and
    the number of these directions are chosen by the likelihood of rows held out.

    Prefer it for continuous tables of a few columns whose shape has no name, where the gradient
    of the log-density is wanted (`score_function` is exact and smooth). Not for many columns,
    where kernels see all rows at the same distance, or for bounded columns.

    The fitted estimator holds `n_components` rows of the training table.

    Parameters
    ----------
    n_components : int, default=100
        Number of rows at which kernels are centered.
    bandwidth : {"cv", "median"} or float, default="cv"
        h, in standard deviations of the whitened table. "median": the median distance of rows.
        "cv": a fifth to 1.7 times that, by the held-out likelihood of five folds.
    alpha : "cv" or float, default="cv"
        Ridge on the squared norm of f; "cv": 0.01 to 100 times d / (n h^2), under which a row
        without others near it raises f by one nat, by the same likelihood.
    objective : {"implicit", "denoising"}, default="implicit"
        "denoising" fits the table blurred by Gaussian noise of `noise_scale` standard deviations:
        smoother, and a little too wide.
    noise_scale : float, default=0.1
        Of "denoising".
    sampler : {"langevin", "resampling"}, default="langevin"
        Draws are rows of a proposal, picked by their weight; with "langevin" each is then moved by
        a Metropolis-adjusted chain, so that none is repeated.
    correct_masses : bool, default=True
        Whether the masses that score matching does not see are corrected. False is plain score
        matching.
    random_state : None, int, RandomState or Generator, default=None
        Of the choice of centers.
    n_jobs : int, default=None
        Bandwidths tried at a time, in threads; the result is the same for every number. None is
        one, -1 all cores.

    Attributes
    ----------
    centers_ : ndarray of shape (n_components_, n_features_in_)
        The rows at which kernels are centered.
    coef_ : ndarray of shape (n_components_,)
        c; zeros where no kernel part has a higher held-out likelihood than the Gaussian alone.
    n_components_ : int
        Number of kernels: fewer than `n_components` if there are fewer distinct rows.
    bandwidth_, alpha_ : float
        The ones used.
    n_directions_ : int
        Number of directions along which the masses were corrected: 0, 4 or 16.
    cv_losses_ : ndarray of shape (n_bandwidths, n_alphas)
        Minus the held-out log-likelihood per row, in nats, relative to that of the Gaussian.
        Infinite where the normalizer of such a fit is not known.
    loss_ : float
        Score-matching loss relative to that of the Gaussian, in whitened columns.
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
    UserWarning
        A held-out likelihood that is not above that of the Gaussian alone.

    See Also
    --------
    ScoreMatchingExpFamily : Statistics with names, errors and intervals.
    skgm.NCEDensity : Better in many columns.

    Notes
    -----
    eq. sm-implicit, sm-denoising. The kernels are those of the "lite" variant, k(., z_m) instead
    of their derivatives. log Z comes from importance sampling on scrambled Sobol points, the same
    ones each time; half of them are from q, half from normals around the `centers_`. `fit` warns
    as :class:`~skgm.NCEDensity` does where it is not certified: standard error above 0.005, Pareto
    tail index above 0.7, one weight above 1% of the sum, effective sample size below 1%.

    ``sample(given=)`` and `impute` pick among conditional draws of that proposal, by their weights.

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
        "correct_masses": ["boolean"],
        "random_state": RANDOM_STATE,
        "n_jobs": N_JOBS,
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
        correct_masses: bool = True,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.bandwidth = bandwidth
        self.alpha = alpha
        self.objective = objective
        self.noise_scale = noise_scale
        self.sampler = sampler
        self.correct_masses = correct_masses
        self.random_state = random_state
        self.n_jobs = n_jobs

    effective_sample_size_ = renamed_attribute("effective_sample_size_", "normalizer_ess_")

    def __density_tags__(self) -> DensityTags:
        """Return the promises that decide which density checks apply."""
        return DensityTags(deterministic_fit=False)

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "KernelExpFamily":
        """Fit the Gaussian, then the kernel part and its masses, then find the normalizer.

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
        # sums in threads differ by rounding, which ill-conditioned systems and chains magnify
        told = {"X": X, "y": y, "sample_weight": sample_weight}
        with fit_task(self, **told, n_subtasks=None) as context, limit_threads(1):
            table, weight = self._begin_fit(X, sample_weight, min_samples=2)
            weight = np.ones(len(table)) if weight is None else weight
            table, weight = table[weight > 0].astype(np.float64), weight[weight > 0]
            check_several_rows(weight)
            # equal rows become one, so that a weight and repetitions are the same thing
            rows, place = np.unique(table, axis=0, return_inverse=True)
            weight = np.bincount(np.ravel(place), weights=weight)
            self._fit_base(rows, weight)
            self._fit_kernel(rows, weight, context)
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

    def _fit_kernel(self, rows: np.ndarray, weight: np.ndarray, context: Any) -> None:
        Z = self._whiten(rows)
        share = weight / weight.sum()
        # columns that a ridge keeps apart do not vary once whitened: the Gaussian alone knows them
        active = share @ (Z - share @ Z) ** 2 > VARIES
        self._active = active if active.any() else ~active
        Z = Z[:, self._active]
        picked = choose_centers(weight, self.n_components, as_generator(self.random_state))
        self.n_components_, self._centers = len(picked), Z[picked]
        self.centers_ = rows[picked].astype(self._sample_dtype)
        functions, alphas = self._candidates(Z, weight)
        n_rows = weight.sum()
        fold = np.arange(len(Z)) % min(N_FOLDS, len(Z))  # rows are sorted: neighbors part
        if self.objective == "denoising":
            Z = noisy(Z, self.noise_scale, N_NOISE_PAIRS)
            weight, fold = (np.tile(part, 2 * N_NOISE_PAIRS) for part in (weight, fold))
        folds = [(Z[fold == k], weight[fold == k]) for k in range(fold.max() + 1)]
        counts = DIRECTIONS if self.correct_masses else (0,)
        pool = Pool.of(self._kernel_proposal(), CHOICE)

        def around(i: int, _: bool) -> Any:
            name = f"bandwidth-{functions[i].bandwidth:.3g}"
            return step_task(context, self, name=name, step=None, X=rows)

        choice = choose(functions, alphas, folds, pool, counts, self.n_jobs, around)
        self.bandwidth_, self.alpha_ = choice.function.bandwidth, choice.alpha
        self.cv_losses_ = -choice.gains
        fixed, gains = choice.gains.size == 1, choice.gain > LEAST_GAIN / n_rows
        if active.any() and len(folds) > 1 and not gains:
            self._warn_of_no_gain(choice.gain, kept=fixed)
        kept = active.any() and (fixed or gains)
        self._set_coef(choice.function, choice.sums, choice.n_directions if kept else None)

    def _candidates(
        self, Z: np.ndarray, weight: np.ndarray
    ) -> tuple[list[KernelFunction], list[list[float]]]:
        """Return the kernels of all bandwidths to try, and the ridges to try with each."""
        typical = median_distance(Z)
        widths = {"cv": [f * typical for f in FACTORS], "median": [typical]}.get(
            self.bandwidth, [self.bandwidth]
        )
        least, most = BANDWIDTHS
        if not least <= widths[0] <= widths[-1] <= most:
            raise ValueError(
                f"The fourth power of bandwidth={self.bandwidth!r} leaves the range of float64. "
                f"Give one between {least:g} and {most:g}, in standard deviations of the whitened "
                "table."
            )
        unit = Z.shape[1] / weight.sum()
        alphas = [
            [m * unit / w**2 for m in MULTIPLES] if self.alpha == "cv" else [self.alpha]
            for w in widths
        ]
        start = np.zeros(self.n_components_)
        return [KernelFunction(self._centers, start, float(w)) for w in widths], alphas

    def _set_coef(self, function: KernelFunction, sums: Sums, count: int | None) -> None:
        """Solve for the coefficients and correct their masses; None leaves the Gaussian alone."""
        mean, coef = sums.mean(), np.zeros(self.n_components_)
        if count is not None:
            gram = function.kernel(function.centers)
            coef = solve_ridge(mean.G, mean.g, gram, self.alpha_)
            pool = Pool.of(self._kernel_proposal(), CORRECTION)
            coef = correct(function, sums, gram, coef, pool, count)
        if not np.isfinite(coef).all():
            raise ValueError(
                f"The coefficients of the kernels overflow with alpha={self.alpha_:g} and "
                f"bandwidth={self.bandwidth_:g}. Use larger ones."
            )
        self.n_directions_, self._coef = count or 0, coef
        self.loss_ = float(0.5 * coef @ mean.G @ coef - mean.g @ coef)
        self.coef_ = coef.astype(self._sample_dtype)

    def _warn_of_no_gain(self, gain: float, *, kept: bool) -> None:
        if kept and gain > -np.inf:  # if not, the normalizer is warned of
            warn_user(
                f"With alpha={self.alpha_:g} and bandwidth={self.bandwidth_:g} the likelihood of "
                f"rows held out is {gain:+.2g} nats a row relative to the Gaussian alone. Use "
                'alpha="cv" and bandwidth="cv", or skgm.NCEDensity.'
            )
        if kept:
            return
        cure = "" if self.alpha == self.bandwidth == "cv" else 'Use alpha="cv" and bandwidth="cv". '
        warn_user(
            "No kernel part raises the likelihood of rows held out, so the density is the Gaussian "
            f"with the mean and covariance of the table. {cure}If the rows are not Gaussian (if "
            "they form clusters, say), use fewer columns, more rows or skgm.NCEDensity."
        )

    def _function(self) -> KernelFunction:
        return KernelFunction(self._centers, self._coef, self.bandwidth_)

    def _kernel_proposal(self) -> KernelProposal:
        return KernelProposal.near(self._centers, self._active)

    def _proposal(self) -> Any:
        if self._coef.any():
            return self._kernel_proposal()
        d = len(self._center)  # the base is the density
        return GaussianMixtureNoise(np.ones(1), np.zeros((1, d)), np.eye(d)[None])

    def _log_kernel(self, Z: np.ndarray) -> np.ndarray:
        return self._function()(Z[:, self._active]) + _log_base(Z)

    def _height_and_slope(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, gradient = self._function().with_gradient(Z[:, self._active])
        slope = -Z
        slope[:, self._active] += gradient
        return height + _log_base(Z), slope

    def _log_ratio(self, Z: np.ndarray) -> np.ndarray:
        if not self._coef.any():
            return np.zeros(len(Z))
        return self._log_kernel(Z) - self._kernel_proposal().log_density(Z)

    def _normalize(self) -> None:
        found = estimate(self._log_ratio, self._proposal())
        function, faults = self._function(), found.faults()
        gram = function.kernel(self._centers)
        least = float(peak_bound(function, self._coef[:, None], gram)[0])
        if least > found.log_z + TOLERANCE:
            faults.append("the density has a narrow peak at a training row")
        self.log_normalizer_ = max(found.log_z, least)
        self.log_normalizer_se_ = max(found.se, self.log_normalizer_ - found.log_z)
        self.normalizer_ess_, self.log_density_kind_ = found.ess, "estimate"
        if faults:
            warn_user(
                f"The normalizer is uncertain after {found.n_samples} rows: {'; '.join(faults)}. "
                "The density may be off by a common factor. Use a larger alpha or bandwidth, fewer "
                "columns, or skgm.NCEDensity.",
                ConvergenceWarning,
            )

    @in_blocks
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
        return np.linalg.solve(self._cholesky.T, self._height_and_slope(Z)[1].T).T / self._sd

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        with limit_threads(1):
            ess = self.normalizer_ess_
            Z = importance_resampling(self._log_ratio, self._proposal(), n_samples, ess, rng)
            if self.sampler == "langevin":
                factor = np.eye(Z.shape[1])
                Z = langevin(self._height_and_slope, Z, rng, factor=factor, n_steps=CHAIN)
            return self._center + self._sd * (Z @ self._cholesky.T)

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Complete rows by conditional draws of the proposal, picked by their weight."""
        factor = self._sd[:, None] * self._cholesky
        proposal = self._kernel_proposal().unwhitened(self._center, factor)

        def log_ratio(X: np.ndarray) -> np.ndarray:
            return self._log_kernel(self._whiten(X)) - proposal.log_density(X)

        with limit_threads(1):
            return self._picked_completions(
                log_ratio, proposal, given.astype(np.float64), n_samples, rng
            )


def _log_base(Z: np.ndarray) -> np.ndarray:
    return -0.5 * (Z**2).sum(axis=1) - 0.5 * Z.shape[1] * np.log(2 * np.pi)
