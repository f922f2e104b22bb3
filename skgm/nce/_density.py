"""Estimates normalized densities by noise contrast: a critic tells the data from known noise.

The critic is the model whose log-odds estimate the log-ratio of data to noise. It is a bag of
classifiers (`_classifiers`) or a model with parameters (`_parametric`).
"""

import numbers
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from skgm._numerics.distributions import BernoulliNoise
from skgm._parallel import N_JOBS
from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import (
    Interval,
    StrOptions,
    epoch_begins,
    epoch_ends,
    fit_task,
    limit_threads,
    step_task,
)
from skgm.base import DensityTags, transactional
from skgm.nce._classifiers import (
    MIN_ROWS,
    ClassifierCritic,
    constant_critic,
    fit_classifier_critic,
    is_classifier_like,
)
from skgm.nce._inference import ParametricInference
from skgm.nce._noise import NOISE_NAMES, has_mass, make_noise
from skgm.nce._own_model import own_model
from skgm.nce._parametric import ParametricCritic, fit_parametric_critic
from skgm.nce._preparation import Prepared, prepare_rows
from skgm.nce._ratio_density import OLD_SAMPLERS, RatioDensity, chosen_sampler
from skgm.nce._statistics import Form, is_linear_critic, make_statistics
from skgm.tables._validation import check_support, column_names

__all__ = ["NCEDensity"]

FEW_ROWS = 2_000  # below, more than one thread costs more than it saves


class NCEDensity(ParametricInference, RatioDensity):
    r"""Density by noise-contrastive estimation, from a classifier or a parametric model.

    .. math::
        J = \frac1n\Big[\sum_{i \le n} \log h(x_i) + \sum_{j \le \nu n} \log(1 - h(y_j))\Big],
        \qquad \log\frac{h}{1 - h} = \log p - \log q - \log\nu

    A model, called the critic, is trained to tell the n rows of the table from :math:`\nu n` rows
    of noise whose density q is known. With h the probability of data that it gives a row, the odds
    h / (1 - h) estimate the ratio :math:`p / (\nu q)`, so that noise times ratio is a density. It
    is normalized by importance sampling on fresh noise, to a stated error.

    By default the noise is a mixture of Gaussians, and the critic is a bag of three
    gradient-boosted tree ensembles, each trained on its own noise. The trees find what the mixture
    misses. Prefer it for tables of up to a few dozen continuous columns with structure that no
    parametric family has. It is not for tables of a few dozen rows, where only the mixture
    remains, nor for rounded or repeated rows, unless they are spread out (`lattice="dequantize"`).

    Parameters
    ----------
    critic : str, classifier, transformer or callable, default="auto"
        "auto": boosted trees (:class:`~sklearn.ensemble.HistGradientBoostingClassifier`), cut back
        to the best held-out log-loss; with fewer than 50 rows the density is the noise alone.
        Otherwise any calibrated classifier with `predict_proba` or `decision_function`, which is
        cloned for each draw of noise. Or the statistics T(x) of a parametric critic, which has
        standard errors, intervals and tests. "quadratic" (a Gaussian), "poly4" and a callable
        from rows to statistics are statistics of the log-density; "linear", "poly3", "rff"
        (random Fourier features) and a transformer are statistics of a tilt of the noise.
    noise : str, density estimator or distribution, default="auto"
        "auto": the mixture of Gaussians of the best BIC with up to 32 components, a Gaussian with
        shrunk covariance and a wide one for the tails, weighted by held-out likelihood. For
        parametric critics "auto" is "gmm", that mixture with a wide component of weight 1%
        ("gaussian" for critic="quadratic"); for tables of zeros and ones it is "bernoulli",
        independent coins. Other names are "gaussian", "student_t" (five degrees of freedom),
        "uniform" (over a box; the density is zero outside) and "marginals" (independent columns, a
        mixture each). A density estimator with `sample` and `score_samples` is cloned and fitted
        to the rows of X; one in :class:`~sklearn.frozen.FrozenEstimator` is used as it is. A frozen
        distribution of scipy has as many variables as X has columns, or one that serves each.
    noise_ratio : float, default=10.0
        Noise rows per data row.
    noise_sampling : {"auto", "qmc", "iid"}, default="auto"
        Of parametric critics. "auto": scrambled Sobol points if the noise has an inverse map, which
        removes most of the noise's variance; "iid": independent noise.
    n_critics : int, default=3
        Classifiers in the bag; their log-odds are averaged.
    log_phi : callable, default=None
        An unnormalized model of your own, ``log_phi(X, theta) -> (n_samples,)``, in place of
        `critic`.
    theta0 : array-like or dict, default=None
        Where the search for its parameters begins; the keys of a dict name them.
    gradient : callable, default=None
        ``gradient(X, theta) -> (n_samples, n_params)`` of `log_phi`; None for differences.
    alpha : float, default=0.0
        Ridge on the coefficients of standardized statistics; with it there is no inference.
    max_iter : int, default=100
        Newton steps at most.
    tol : float, default=1e-12
        Newton steps stop where the objective can rise by less than this.
    normalizer_tol : float, default=0.01
        Largest standard error of log Z, in nats: well below that of the mean log-density of a
        thousand held-out rows.
    max_normalizer_samples : int or "auto", default="auto"
        Most noise rows used for log Z; `fit` gives up earlier where four times as many would not
        reach `normalizer_tol`. "auto": 300,000, and with boosted trees as many as take three to
        five seconds (2.5e8 evaluations of a tree), between that and 3,000,000.
    sampler : {"resampling", "rejection", "langevin"}, default="resampling"
        How `sample` works. "resampling": rows of a large pool of noise, picked in proportion to
        their ratio, so approximately independent draws; "rejection": independent draws, slow where
        the noise is far from the data; "langevin": resampled rows, moved by Metropolis-adjusted
        Langevin chains, for critics with a score function.
    sampling : {"sir", "rejection", "mala"}
        Old name of `sampler`, with "sir" for "resampling" and "mala" for "langevin".

        .. deprecated:: 0.1
            Use `sampler`.
    lattice : {"warn", "dequantize", "ignore"}, default="warn"
        What to do about rounded and repeated values: warn, or add uniform noise of one step of
        each rounded column to the training rows.
    random_state : None, int, RandomState or Generator, default=None
        Of noise, mixtures, classifiers and normalizer.
    n_jobs : int, default=None
        Critics that are classifiers fitted at a time, in threads; the result is the same for every
        number. None is one, -1 all cores.

    Attributes
    ----------
    noise_ : object
        The fitted noise, with `sample(n, rng)` and `log_density(X)`.
    critics_ : list of classifiers
        The bag; empty where the density is the noise, and for parametric critics.
    params_ : dict of str to float
        Coefficients by name, and "log_normalizer" as the free constant estimates it; only of
        parametric critics.
    loss_curve_ : list of float
        Minus J after each Newton step; empty for classifiers.
    n_iter_ : int
        Newton steps, or trees of the largest classifier; at least 1.
    log_normalizer_ : float
        Estimate of log Z: the log of the mean of ratio over noise; of parametric critics,
        log Z of their unnormalized density at the estimate.
    log_normalizer_se_ : float
        Its standard error.
    normalizer_ess_ : float
        Effective sample size of the normalizer as a share of the noise rows: 1 where the density
        is the noise.
    pareto_k_ : float
        Tail index of the ratios; above 0.7 `log_normalizer_` and its error mean little.
    max_weight_ : float
        Share of the largest ratio in their sum.
    n_normalizer_samples_ : int
        Noise rows used for `log_normalizer_`.
    separation_ : float
        Sum of h (1 - h) over data and noise relative to that of noise like the data: 1 where
        nothing can be told apart, near 0 where the noise is too far to learn from.
    lattice_report_ : object or None
        Shares of unique values (`unique_share`), steps of rounded columns (`step`) and share of
        repeated rows (`duplicate_share`); None for zeros and ones.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    log_density_kind_ : str
        "estimate": the normalizer is known to `log_normalizer_se_`.

    Raises
    ------
    ValueError
        In `fit`: NaN or infinity, fewer than two rows, constant columns, weights that the
        classifier cannot take.
    TypeError
        In `fit`: a `critic` or `noise` that is none of the above.

    See Also
    --------
    skgm.ScoreMatchingGaussian : One Gaussian, in closed form.
    sklearn.mixture.GaussianMixture : The noise without the critic.
    sklearn.neighbors.KernelDensity : Smooths instead of learning structure.

    Notes
    -----
    eq. nce-objective, nce-normalizer, nce-covariance, nce-telescoping.

    Parametric critics maximize J over their coefficients and a free constant c by Newton's method.
    If the noise is too far from the data, a critic that is a log-density is fitted against
    Student's t near the data instead, and a tilt of the noise is estimated over waymarks between
    data and noise. The normalizer and draws then start from that Student's t.

    `fit` warns with ConvergenceWarning if the normalizer is not certified (standard error above
    `normalizer_tol`, Pareto tail index above 0.7, one weight above 1% of the sum, effective sample
    size below 1%), with UserWarning of rounded or repeated rows, and with LinAlgWarning of columns
    that are equal up to scale or determine one another linearly.

    The average of log-odds is a geometric mean, so that Z is below one; this is no fault.
    `score_error` returns the error of a score from both sources. Noise close to the data is best.

    An integer weight means that many repetitions of its row. Repetitions are made up to 20,000
    rows (or four per row); larger weights stay weights, in the same proportions, and the number of
    noise rows follows the rows of X.

    References
    ----------
    .. [1] M. U. Gutmann and A. Hyvärinen, "Noise-contrastive estimation of unnormalized
       statistical models, with applications to natural image statistics", Journal of Machine
       Learning Research 13, 2012, section 2.
    .. [2] A. Vehtari, D. Simpson, A. Gelman, Y. Yao and J. Gabry, "Pareto smoothed importance
       sampling", Journal of Machine Learning Research 25, 2024, section 3.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from skgm import NCEDensity
    >>> X, _ = make_moons(500, noise=0.1, random_state=0)
    >>> density = NCEDensity(random_state=0).fit(X)
    >>> bool(density.log_normalizer_se_ <= 0.01)
    True
    """

    _parameter_constraints = {
        "critic": [object],
        "noise": [object],
        "noise_ratio": [Interval(numbers.Real, 0, None, closed="neither")],
        "noise_sampling": [StrOptions({"auto", "qmc", "iid"})],
        "n_critics": [Interval(numbers.Integral, 1, None, closed="left")],
        "log_phi": [callable, None],
        "theta0": ["array-like", dict, None],
        "gradient": [callable, None],
        "alpha": [Interval(numbers.Real, 0, None, closed="left")],
        "max_iter": [Interval(numbers.Integral, 1, None, closed="left")],
        "tol": [Interval(numbers.Real, 0, None, closed="neither")],
        "normalizer_tol": [Interval(numbers.Real, 0, None, closed="neither")],
        "max_normalizer_samples": [
            Interval(numbers.Integral, 100, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "sampler": [StrOptions({"resampling", "rejection", "langevin"})],
        "sampling": [StrOptions({"deprecated", *OLD_SAMPLERS})],
        "lattice": [StrOptions({"warn", "dequantize", "ignore"})],
        "random_state": RANDOM_STATE,
        "n_jobs": N_JOBS,
    }

    def __init__(
        self,
        critic: Any = "auto",
        noise: Any = "auto",
        *,
        noise_ratio: float = 10.0,
        noise_sampling: str = "auto",
        n_critics: int = 3,
        log_phi: Any = None,
        theta0: Any = None,
        gradient: Any = None,
        alpha: float = 0.0,
        max_iter: int = 100,
        tol: float = 1e-12,
        normalizer_tol: float = 0.01,
        max_normalizer_samples: int | str = "auto",
        sampler: str = "resampling",
        sampling: str = "deprecated",
        lattice: str = "warn",
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.critic = critic
        self.noise = noise
        self.noise_ratio = noise_ratio
        self.noise_sampling = noise_sampling
        self.n_critics = n_critics
        self.log_phi = log_phi
        self.theta0 = theta0
        self.gradient = gradient
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.normalizer_tol = normalizer_tol
        self.max_normalizer_samples = max_normalizer_samples
        self.sampler = sampler
        self.sampling = sampling
        self.lattice = lattice
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __density_tags__(self) -> DensityTags:
        """Return the promises that decide which density checks apply."""
        fitted = getattr(self, "noise_", None)
        coins = self._noise_is("bernoulli") or isinstance(fitted, BernoulliNoise)
        counts = getattr(fitted, "discrete", False)
        support = "binary" if coins else "counts" if counts else "real"
        return DensityTags(support=support, deterministic_fit=False)

    def _noise_is(self, name: str) -> bool:
        return isinstance(self.noise, str) and self.noise == name

    def _critic_is(self, *names: str) -> bool:
        return isinstance(self.critic, str) and self.critic in names

    def _has_parameters(self) -> bool:
        """Return whether the critic is a model with parameters, not a classifier."""
        if self.log_phi is not None:
            return True
        return not self._critic_is("auto") and is_linear_critic(self.critic)

    def _is_gaussian(self) -> bool:
        return self.log_phi is None and self._critic_is("quadratic", "poly2")

    def _check_choices(self) -> None:
        """Raise an error for a critic or a noise that is neither a known name nor usable."""
        if isinstance(self.noise, str) and self.noise not in NOISE_NAMES:
            raise ValueError(f"noise must be one of {list(NOISE_NAMES)}; got {self.noise!r}.")
        if self._critic_is("auto"):
            return
        if self.log_phi is not None:
            raise ValueError("log_phi is the model: leave critic='auto' with it.")
        if not (is_linear_critic(self.critic) or is_classifier_like(self.critic)):
            kind = ValueError if isinstance(self.critic, str) else TypeError
            raise kind(
                "critic must be 'auto', 'linear', 'quadratic', 'poly3', 'poly4', 'rff', a "
                "transformer or callable that gives statistics, or a classifier with "
                f"decision_function or predict_proba; got {self.critic!r}."
            )

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "NCEDensity":
        """Fit noise, critic and normalizer.

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
        self : NCEDensity
            The fitted estimator.
        """
        self._check_choices()
        chosen_sampler(self.sampler, self.sampling)  # warns of the old name
        with fit_task(self, X=X, y=y, sample_weight=sample_weight, n_subtasks=None) as context:
            rng = as_generator(self.random_state)
            rows = self._begin(X, sample_weight, rng)
            with limit_threads(1 if len(rows.X) < FEW_ROWS else None):
                return self._learn(rows, context, rng)

    def _learn(self, rows: Prepared, context: Any, rng: np.random.Generator) -> "NCEDensity":
        parametric = self._has_parameters()
        noise = "gaussian" if self._is_gaussian() and self._noise_is("auto") else self.noise
        self.noise_ = make_noise(noise, rows.X, rows.weight, rng, stacked=not parametric)
        self.lattice_report_ = rows.lattice
        self.log_density_kind_ = "estimate"
        self.loss_curve_: list[float] = []
        if parametric:
            self._critic = self._fit_parameters(rows, context, rng)
            self.critics_: list[Any] = []
            self.n_iter_ = max(1, self._critic.fit.n_iter)
            self.separation_ = self._critic.separation
        else:
            self._critic = self._fit_classifiers(rows, context, rng)
            self.critics_ = list(self._critic.members)
            trees = [getattr(member, "n_iter_", 1) for member in self.critics_]
            self.n_iter_ = int(np.max([1, *map(np.max, trees)]))
            noise_rows = self.noise_.sample(len(rows.X), rng)
            self.separation_ = self._critic.overlap(rows.X, noise_rows)
        self._normalize(rng)
        return self

    def _begin(self, X: Any, sample_weight: Any, rng: np.random.Generator) -> Prepared:
        table, weight = self._begin_fit(X, sample_weight, min_samples=2)
        names = column_names(self, table.shape[1])
        if self._noise_is("bernoulli"):
            check_support(table, "binary", names, model="noise='bernoulli'")
        discrete = has_mass(self.noise, table)
        return prepare_rows(table, weight, names, lattice=self.lattice, discrete=discrete, rng=rng)

    def _fit_parameters(
        self, rows: Prepared, context: Any, rng: np.random.Generator
    ) -> ParametricCritic:
        def observe(n_iter: int, height: float) -> None:
            self.loss_curve_.append(-height)
            task = epoch_begins(context, self, X=rows.X, name="newton-step")
            epoch_ends(task, self, X=rows.X, state=dict)

        return fit_parametric_critic(
            rows.X,
            rows.weight,
            self.noise_,
            self._form(rows, rng),
            noise_ratio=self.noise_ratio,
            noise_sampling=self.noise_sampling,
            rng=rng,
            alpha=self.alpha,
            tol=self.tol,
            max_iter=self.max_iter,
            observe=observe,
        )

    def _form(self, rows: Prepared, rng: np.random.Generator) -> Form:
        """Return the form of log p that the arguments describe."""
        if self.log_phi is None:
            names = column_names(self, rows.X.shape[1])
            return make_statistics(self.critic, rows.X, rows.weight, names, rng)
        smooth = rows.lattice is not None  # none for zeros and ones
        return own_model(self.log_phi, self.theta0, self.gradient, rows.X, differentiable=smooth)

    def _fit_classifiers(
        self, rows: Prepared, context: Any, rng: np.random.Generator
    ) -> ClassifierCritic:
        automatic = isinstance(self.critic, str)
        if automatic and len(rows.X) < MIN_ROWS:
            return constant_critic(self.noise_ratio)

        def step(name: str, member: Any | None) -> AbstractContextManager[None]:
            return step_task(context, self, name=name, step=member, X=rows.X)

        return fit_classifier_critic(
            rows.X,
            rows.weight,
            self.noise_,
            None if automatic else self.critic,
            noise_ratio=self.noise_ratio,
            n_critics=self.n_critics,
            rng=rng,
            step=step,
            n_jobs=self.n_jobs,
        )
