"""Estimates normalized densities by noise contrast: a critic tells the data from known noise.

The critic is the model whose log-odds estimate the log-ratio of data to noise. It is a bag of
classifiers (`_classifiers`) or a model with parameters (`_parametric`).
"""

import numbers
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm._numerics.distributions import BernoulliNoise, Noise
from skgm._parallel import N_JOBS
from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import (
    Interval,
    StrOptions,
    check_sample_weight,
    epoch_begins,
    epoch_ends,
    fit_task,
    limit_threads,
    step_task,
)
from skgm.base import DensityTags, transactional
from skgm.nce._classifiers import (
    HOLE_ROUNDS,
    MIN_ROWS,
    ClassifierCritic,
    complete_tables,
    constant_critic,
    fit_classifier_critic,
    is_classifier_like,
)
from skgm.nce._inference import ParametricInference
from skgm.nce._noise import (
    NOISE_NAMES,
    check_takes_holes,
    density_named,
    fit_estimator_noise,
    has_mass,
    make_noise,
    reads_kinds,
    scores_holes,
)
from skgm.nce._parametric import ParametricCritic, fit_parametric_critic
from skgm.nce._preparation import Prepared, needs_chain, prepare_rows
from skgm.nce._ratio_density import OLD_SAMPLERS, RatioDensity, chosen_sampler, held_out_scores
from skgm.nce._statistics import Form, is_linear_critic, make_statistics, own_model
from skgm.tables._columns import base_measures
from skgm.tables._reader import TableReader
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

    Frames may hold categories, whole numbers, booleans, dates and numbers with point masses
    (zeros, codes, limits). The noise is then the Gaussians for the smooth numbers, and for all
    other columns a chain of classifiers after them, as in :class:`~skgm.DensityChain`.

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
        shrunk covariance and a wide one for the tails, weighted by held-out likelihood; then a
        chain for columns that are no smooth numbers. "chain" and "ddpm" are a
        :class:`~skgm.DensityChain` and a :class:`~skgm.DDPM`. Of a list of noises the one whose
        density has the highest score of a fifth of the rows, held out, is taken. For
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
    normalizer_tol : float or "auto", default="auto"
        Largest standard error of log Z, in nats. "auto": a fifth of the standard error of the mean
        log-density of as many rows as were fitted, which it raises by 2%; from 0.01 to 0.03.
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
    missing : {"raise", "draws", "value"}, default="raise"
        NaN in X. "draws": values are missing at random. The noise is fitted to the observed
        entries, each critic learns from rows completed by the noise, and twice more from rows
        completed by noise and critics. "value": a hole is a value like others, to be reproduced.
    categorical_features, integer_features : "from_dtype", None or list, default="from_dtype"
        Columns of categories and of whole numbers: a mask, numbers or names. "from_dtype" goes
        by the dtypes of a data frame. Only where noise and critic are for such tables.
    handle_unknown : {"error", "ignore"}, default="error"
        Of categories without training rows, of noise="auto": refuse them, or give all new ones of
        a column together the probability 1 / (n + 1) after n rows.
    random_state : None, int, RandomState or Generator, default=None
        Of noise, mixtures, classifiers and normalizer.
    n_jobs : int, default=None
        Critics that are classifiers fitted at a time, in processes (long tables in threads); the
        result is the same for every number. None is one, -1 all cores.

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
    atoms_ : dict
        For each column of real numbers with point masses, the values and their probabilities under
        the noise.
    noise_scores_ : list of float
        Of a list of noises: mean log-density of rows held out, in their order.
    lattice_report_ : object or None
        Shares of unique values (`unique_share`), steps of rounded columns (`step`) and share of
        repeated rows (`duplicate_share`); None for zeros and ones.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    base_measure_ : dict
        For each column "counting", "Lebesgue" or both: that of the noise.
    log_density_kind_ : str
        "estimate": the normalizer is known to `log_normalizer_se_`. "lower_bound" where the
        density of the noise is one.

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
    size below 1%). It warns with UserWarning of rounded or repeated rows, and with LinAlgWarning of
    columns that are equal up to scale or determine one another linearly.

    Rows with holes are scored, with missing="draws", by the density of what they hold: that of the
    noise times the mean ratio over 200 completions by the noise. `score_error` tells the error
    of that. The noise of several kinds of columns is a particle filter there.

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

    _reader: TableReader | None = None
    _hole_values: Any = None

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
        "normalizer_tol": [Interval(numbers.Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "max_normalizer_samples": [
            Interval(numbers.Integral, 100, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "sampler": [StrOptions({"resampling", "rejection", "langevin"})],
        "sampling": [StrOptions({"deprecated", *OLD_SAMPLERS})],
        "lattice": [StrOptions({"warn", "dequantize", "ignore"})],
        "missing": [StrOptions({"raise", "draws", "value"})],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "integer_features": [StrOptions({"from_dtype"}), "array-like", None],
        "handle_unknown": [StrOptions({"error", "ignore"})],
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
        normalizer_tol: float | str = "auto",
        max_normalizer_samples: int | str = "auto",
        sampler: str = "resampling",
        sampling: str = "deprecated",
        lattice: str = "warn",
        missing: str = "raise",
        categorical_features: Any = "from_dtype",
        integer_features: Any = "from_dtype",
        handle_unknown: str = "error",
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
        self.missing = missing
        self.categorical_features = categorical_features
        self.integer_features = integer_features
        self.handle_unknown = handle_unknown
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __density_tags__(self) -> DensityTags:
        """Return the promises that decide which density checks apply."""
        fitted = getattr(self, "noise_", None)
        if self._reader is not None or (fitted is None and self._takes_kinds()):
            return DensityTags(mixed_columns=True, deterministic_fit=False)
        coins = self._noise_is("bernoulli") or isinstance(fitted, BernoulliNoise)
        counts = getattr(fitted, "discrete", False)
        support = "binary" if coins else "counts" if counts else "real"
        mixed = support == "real" and self._takes_kinds()
        return DensityTags(support=support, mixed_columns=mixed, deterministic_fit=False)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn whether holes are allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing != "raise"
        return tags

    def _takes_kinds(self) -> bool:
        """Return whether critic and noise are for tables of several kinds of columns."""
        noises = self.noise if isinstance(self.noise, list) else [self.noise]
        return not self._has_parameters() and all(reads_kinds(noise) for noise in noises)

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
        if isinstance(self.noise, list) and not self.noise:
            raise ValueError("noise is an empty list. Give names or densities to choose from.")
        for noise in self.noise if isinstance(self.noise, list) else [self.noise]:
            if isinstance(noise, str) and noise not in NOISE_NAMES:
                raise ValueError(f"noise must be one of {list(NOISE_NAMES)}; got {noise!r}.")
        if self.missing != "raise":
            check_takes_holes(self)
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
        X : array-like or data frame of shape (n_samples, n_features)
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
            noise = self._chosen_noise(X, sample_weight, rng)
            rows = self._begin(X, sample_weight, noise, rng)
            with limit_threads(1 if len(rows.X) < FEW_ROWS else None):
                return self._learn(
                    rows, self._fit_noise(noise, rows, X, sample_weight, rng), context, rng
                )

    def _learn(
        self, rows: Prepared, noise: Noise, context: Any, rng: np.random.Generator
    ) -> "NCEDensity":
        self.noise_ = noise
        self.lattice_report_ = rows.lattice
        bound = getattr(getattr(noise, "estimator", None), "log_density_kind_", "") == "lower_bound"
        self.log_density_kind_ = "lower_bound" if bound else "estimate"
        self.loss_curve_: list[float] = []
        if self._has_parameters():
            self._critic = self._fit_parameters(rows, context, rng)
            self.critics_: list[Any] = []
            self.n_iter_, completed = max(1, self._critic.fit.n_iter), rows.X
            self.separation_ = self._critic.separation
        else:
            self._critic, completed = self._fit_classifiers(rows, context, rng)
            self.critics_ = list(self._critic.members)
            trees = [getattr(member, "n_iter_", 1) for member in self.critics_]
            self.n_iter_ = int(np.max([1, *map(np.max, trees)]))
            noise_rows = self.noise_.sample(len(rows.X), rng)
            self.separation_ = self._critic.overlap(completed, noise_rows)
        self._normalize(completed, rng)
        return self

    def _chosen_noise(self, X: Any, sample_weight: Any, rng: np.random.Generator) -> Any:
        """Return what `noise` says; of a list the one with the best density of rows held out."""
        self.__dict__.pop("noise_scores_", None)
        if not isinstance(self.noise, list):
            gaussian = self._is_gaussian() and self._noise_is("auto")
            return "gaussian" if gaussian else self.noise
        self.noise_scores_ = held_out_scores(self, X, sample_weight, rng)
        return self.noise[int(np.argmax(self.noise_scores_))]

    def _fit_noise(
        self, noise: Any, rows: Prepared, X: Any, sample_weight: Any, rng: np.random.Generator
    ) -> Noise:
        if rows.columns is None:
            return make_noise(noise, rows.X, rows.weight, rng, stacked=not self._has_parameters())
        if isinstance(noise, str) and noise == "auto":
            from skgm.nce._mixed import fit_mixed

            assert rows.in_chain is not None
            return fit_mixed(rows.X, rows.columns, rows.weight, rows.in_chain, rng)
        noise = density_named(noise, rng) if isinstance(noise, str) else noise
        return fit_estimator_noise(noise, X, sample_weight, self._reader)

    def _begin(self, X: Any, sample_weight: Any, noise: Any, rng: np.random.Generator) -> Prepared:
        self._reader, self._hole_values = None, None
        if self._takes_kinds():
            found = self._begin_kinds(X, sample_weight, noise, rng)
            if found is not None:
                return found
        table, weight = self._begin_fit(X, sample_weight, min_samples=2)
        names = column_names(self, table.shape[1])
        if self._noise_is("bernoulli"):
            check_support(table, "binary", names, model="noise='bernoulli'")
        discrete = has_mass(noise, table)
        return prepare_rows(table, weight, names, lattice=self.lattice, discrete=discrete, rng=rng)

    def _begin_kinds(
        self, X: Any, sample_weight: Any, noise: Any, rng: np.random.Generator
    ) -> Prepared | None:
        """Return the rows of a table of several kinds of columns, or for holes; else None."""
        reader, coded = TableReader.learn(self, X, min_samples=2, holes=self.missing != "raise")
        coded, own_noise = coded.astype(np.float64), isinstance(noise, str) and noise == "auto"
        plain = self.missing == "raise" and (own_noise or reader.is_real)
        if plain and not (own_noise and needs_chain(reader, coded, self.lattice)):
            return None
        from skgm.nce._mixed import HoleValues, prepare_table

        weight = None if sample_weight is None else check_sample_weight(sample_weight, coded)
        self._reader = reader
        self._frame_schema, self._sample_dtype = reader.schema, reader.dtype
        if self.missing == "value":
            self._hole_values = HoleValues.of(coded, reader.columns)
            coded = self._hole_values.filled(coded, reader.columns)
            reader = replace(reader, columns=self._hole_values.describe(reader.columns))
        options: dict[str, Any] = {"lattice": self.lattice, "own_noise": own_noise, "rng": rng}
        return prepare_table(reader, coded, weight, **options)

    @property
    def atoms_(self) -> dict[Any, dict[float, float]]:
        """Point masses of real columns under the noise, by the name of the column."""
        check_is_fitted(self)
        labels, found = self._column_labels_in_order(), getattr(self.noise_, "atoms", {})
        real = None if self._reader is None else self._reader.which("real")
        return {labels[j]: atoms for j, atoms in found.items() if real is not None and real[j]}

    def _base_measures(self) -> list[str]:
        inner: Any = getattr(self.noise_, "estimator", None)
        if hasattr(inner, "base_measure_"):
            return list(inner.base_measure_.values())
        if self._reader is None:
            return super()._base_measures()
        codes = {} if self._hole_values is None else self._hole_values.codes
        atoms = getattr(self.noise_, "atoms", {})
        columns = self._reader.columns
        held = {
            columns[j]["name"]: ["missing" if x == codes.get(j) else x for x in values]
            for j, values in atoms.items()
        }
        return base_measures(columns, held)

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
    ) -> tuple[ClassifierCritic, np.ndarray]:
        """Return the critic, and the rows, completed if they have holes."""
        automatic = isinstance(self.critic, str)
        holed = np.isnan(rows.X).any()
        tables = [rows.X] * self.n_critics
        critic = constant_critic(self.noise_ratio)
        if holed:
            tables = complete_tables(critic, self.noise_, rows.X, self.n_critics, rng)
        if automatic and len(rows.X) < MIN_ROWS:
            return critic, tables[0]

        def step(name: str, member: Any | None) -> AbstractContextManager[None]:
            return step_task(context, self, name=name, step=member, X=rows.X)

        for again in range(HOLE_ROUNDS if holed else 1):
            if again:
                tables = complete_tables(critic, self.noise_, rows.X, self.n_critics, rng)
            critic = fit_classifier_critic(
                tables,
                rows.weight,
                self.noise_,
                None if automatic else self.critic,
                noise_ratio=self.noise_ratio,
                rng=rng,
                step=step,
                n_jobs=self.n_jobs,
                categories=rows.categories,
            )
        return critic, tables[0]

    # Tables of several kinds of columns, or with holes: coded rows inside, tables outside.

    def _begin_scoring(self, X: Any, **options: bool) -> np.ndarray:
        check_is_fitted(self)
        if self._reader is None:
            return super()._begin_scoring(X, **options)
        holes, unknown = self.missing != "raise", self.handle_unknown
        if self._hole_values is None and not scores_holes(self.noise_):
            holes = False
        coded = self._reader.code(self, X, holes=holes, unknown=unknown).astype(np.float64)
        if self._hole_values is not None:
            coded = self._hole_values.filled(coded, self._reader.columns)
        return coded

    def _impossible(self, X: np.ndarray) -> np.ndarray:
        if self._reader is None:
            return np.zeros(len(X), dtype=bool)
        return self._reader.impossible(X)

    def _begin_conditioning(self, given: Any) -> np.ndarray:
        if self._reader is None:
            return super()._begin_conditioning(given)
        coded = self._reader.code(self, given, holes=True, fractions=False)
        return np.array(coded, dtype=np.float64)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        rows = super()._draw(n_samples, rng)
        if self._hole_values is not None:
            rows[self._hole_values.are(rows)] = np.nan
        return rows

    def _source_given(self) -> tuple[Any, Noise]:
        log_ratio, source = super()._source_given()
        if self._hole_values is None:
            return log_ratio, source
        are = self._hole_values.are  # a completed row has no holes left

        def ratio(X: np.ndarray) -> np.ndarray:
            return np.where(are(X).any(axis=1), -np.inf, log_ratio(X))

        return ratio, source

    def _to_container(self, rows: np.ndarray, schema: dict[str, Any] | None) -> Any:
        if self._reader is None:
            return super()._to_container(rows, schema)
        held = rows if self._hole_values is None else np.nan_to_num(rows, posinf=np.inf)
        super()._to_container(held, None)  # refuses what is not finite
        return self._reader.written(rows, schema, self._sample_dtype)
