"""Fits a diffusion model to a table, as a density estimator."""

import numbers
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from skgm._parallel import N_JOBS
from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import (
    HasMethods,
    Interval,
    StrOptions,
    epoch_begins,
    epoch_ends,
    fit_task,
    transactional,
)
from skgm.chain._categories import CategoryChain
from skgm.diffusion._calibration import CalibratedDenoiser, Calibration, try_out, wants_trial
from skgm.diffusion._classes import check_same_classes, coded_classes
from skgm.diffusion._coding import TableCoding, read_training_table
from skgm.diffusion._density import AS_FITTED, SAMPLERS, DiffusionDensity
from skgm.diffusion._empirical import EmpiricalKind
from skgm.diffusion._flow import Probes
from skgm.diffusion._network import (
    Architecture,
    NetworkKind,
    NoColumns,
    as_widths,
    one_blas_thread,
)
from skgm.diffusion._regressor import RegressorKind
from skgm.diffusion._scaling import Summary, choose_bends, fit_scaler
from skgm.diffusion._schedule import SCHEDULES
from skgm.diffusion._torch import TorchKind
from skgm.diffusion._training import (
    ERROR_LEVELS,
    DenoiserKind,
    History,
    OptimizerOptions,
    Plan,
    Table,
    fitted_errors,
    split_rows,
    train,
)
from skgm.tables._validation import check_several_rows

__all__ = ["DDPM"]


class DDPM(DiffusionDensity):
    r"""Density of a table by denoising diffusion.

    .. math::
        \min_F\; \mathrm E\,\lVert F(u, \varphi) - (\sin\varphi\, z - \cos\varphi\, e) \rVert^2,
        \qquad u = \cos\varphi\, z + \sin\varphi\, e, \quad e \sim N(0, I)

    Scaled rows z are mixed with noise e at an angle :math:`\varphi` between 0 (data) and
    :math:`\pi/2` (noise), and a network learns the direction F in which the mixture moves. The
    ordinary differential equation :math:`du/d\varphi = -F(u, \varphi)`, solved from noise to data,
    draws rows; solved from data to noise it gives their log-density. A network of zeros is the
    Gaussian fitted to the table after skewed columns are transformed. Training starts there, and
    far from the data the model stays there.

    Prefer it for a table whose shape no simple family has (clusters of any form, curved ridges,
    classes), from about a hundred rows, for synthetic rows that are no copies. Data frames may hold
    categories and whole numbers. If a Gaussian mixture fits well, use that: it takes milliseconds.

    Parameters
    ----------
    denoiser : {"mlp", "empirical"}, regressor, torch module or callable, default="mlp"
        "mlp": a residual network of this package. "empirical": the exact denoiser of the training
        rows, which reproduces them; a reference, with the same density as
        :class:`sklearn.neighbors.KernelDensity` with bandwidth `sigma_min`. A scikit-learn
        regressor is cloned, and fitted to the row, the noise level and the class as columns; one
        with `partial_fit` gets fresh noise at every update, another is fitted once to `n_noise`
        noisy copies of every row. A ``torch.nn.Module`` is called as ``module(rows, context)``
        with tensors (n, n_columns) and (n, n_context), and returns one like the rows; a copy of it
        is trained on its device. A callable ``factory(n_columns, n_context)`` makes such a module.
    hidden_layer_sizes : "auto" or tuple of int, default="auto"
        Widths of the network. "auto": four layers as wide as the square root of four times the
        number of rows, at least twice the number of columns; 16 to 256 (512 beyond 128 columns),
        rounded up to a power of two.
    n_timesteps : int, default=1000
        Levels of the ancestral chain and of DDIM. Training and the probability flow use a continuum
        of noise levels and do not depend on it.
    schedule : {"angle", "cosine", "linear", "scaled_linear"}, default="angle"
        Their spacing: even square roots of the angle, or as in :class:`skgm.NoiseSchedule`.
    prediction : {"v", "eps", "x0"}, default="v"
        What the network predicts, which determines how noise levels are weighted: the direction F
        (even weights), the noise, or the data. Held-out likelihoods differed by at most 0.04 nats
        per row in the plane, and 0.6 in thirty columns (breast cancer).
    scaling : {"auto", "shrink", "whiten", "standard"}, default="auto"
        "standard" divides columns by their standard deviations; "whiten" also removes
        correlations; "shrink" whitens by a shrunk covariance, between the two according to the
        number of rows. "auto" is "shrink" after a transformation of skewed columns and of columns
        in curved relations, if that gains enough likelihood (see Notes). With `class_conditional`,
        every class is scaled separately as far as its number of rows allows; the transformations
        are common to all. Columns without variation get a very narrow normal distribution.
    noise_distribution : {"lognormal", "uniform"}, default="lognormal"
        Noise levels in training: the logarithm of the noise's standard deviation is normal with
        mean -1.2 and standard deviation 1.2, or the angle is uniform.
    sigma_min : float, default=0.02
        Standard deviation of the noise at the data end, in units of the scaled data: the density
        is that of the data with this much noise.
    max_iter : "auto" or int, default="auto"
        Number of updates. "auto": two and a half per row, at least 50 and at most 4000. For tables
        of 50 to 1600 rows (or fifty per column), with "mlp" and without `early_stopping`, a trial
        run of at most ten updates per row, evaluated on a fifth of the rows, chooses the number and
        calibrates the network (see Notes).
    batch_size : int, default=256
        Noisy rows per update; short tables are repeated with different noise up to this number.
    learning_rate : float, default=0.003
        Largest learning rate of Adam.
    learning_rate_decay : {"cosine", "linear", "constant"}, default="cosine"
        How it falls to zero over the updates.
    average_decay : float, default=0.999
        Decay of the running average of the weights, which is what the fit returns.
    weight_decay : float, default=0.0
        Decoupled weight decay.
    n_noise : int, default=100
        Noisy copies of every row, for regressors without `partial_fit`.
    sampler : {"ode", "ddim", "ancestral"}, default="ode"
        How `sample` draws: by the probability flow, with a solver of second order; by DDIM; by
        the ancestral chain.
    n_steps : int, default=25
        Evaluations of the denoiser in `sample`.
    variance : {"analytic", "beta_tilde", "beta"}, default="analytic"
        Of the steps of the ancestral sampler; "analytic" is the optimal one, measured at fit.
    clip : bool, default=False
        Clip samples, and the values that complete rows, to the range of the training table.
    score_method : {"auto", "ode", "elbo"}, default="auto"
        `score_samples` by the probability flow, or by the evidence lower bound. "auto" uses the
        bound for regressors, which have no derivatives.
    n_score_steps : int, default=16
        Nodes of the quadrature in `score_samples`.
    class_conditional : bool, default=False
        Learn the density of each class of `y`, and that of the table as their mixture.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Columns of categories: a mask, column numbers or names. "from_dtype": those of a data
        frame that hold text, booleans or a categorical dtype. None: no column. A chain of boosted
        classifiers learns them after the numbers (see Notes).
    integer_features : "from_dtype", array-like or None, default="from_dtype"
        Columns of whole numbers, likewise; "from_dtype": those of a data frame with an integer
        dtype. Arrays have none unless they are named here. Columns of few values (at most 20, or
        one for forty rows) are drawn at recorded values alone.
    atoms : "auto", dict or None, default="auto"
        Values of columns of real numbers that have masses: ``{"income": [0, -999]}``. "auto": a
        tenth of the rows and five times as many as have the next value, where there is no rounding.
    handle_unknown : {"error", "ignore"}, default="error"
        What scores do with a category without training rows: as in :class:`skgm.DensityChain`.
    missing : {"raise", "draws"}, default="raise"
        "draws": NaN are holes. `fit` trains on five completions of each row, drawn by a
        :class:`skgm.GaussianMixtureDensity` of what is observed, another one at every look. That is
        right if values are missing at random. Scores are of what a row observes (see Notes).
    early_stopping : bool, default=False
        Hold out rows, stop when their loss no longer falls, and keep the best weights.
    validation_fraction : float, default=0.1
        Their share.
    n_iter_no_change : int, default=20
        Evaluations of the held-out loss (a hundred at most) without improvement before stopping.
    tol : float, default=1e-4
        Smallest change of the held-out loss that counts.
    warm_start : bool, default=False
        Start the network where the previous `fit` ended.
    random_state : int, RandomState, Generator or None, default=None
        For initial weights, order of rows, and noise.
    n_jobs : int, default=None
        Blocks of 2048 rows scored, and of 16,384 drawn, at a time, in processes; -1 is all cores.

    Attributes
    ----------
    weights_ : ndarray of shape (n_weights,)
        Averaged weights of the network, float32; "mlp" only.
    hidden_layer_sizes_ : tuple of int
        Widths of the network.
    denoiser_ : regressor or torch module
        The fitted regressor or module (with averaged parameters), if `denoiser` is one.
    location_ : ndarray of shape (n_classes or 1, n_coded_columns)
        Means that the scaling subtracts, of transformed columns of numbers. (After `partial_fit`
        also of categories: one column less than a category has values, or a single rank.)
    level_errors_ : ndarray of shape (n_levels, n_varying_columns)
        Mean squared error of F at evenly spaced angles.
    loss_curve_ : list of float
        Mean loss per epoch; the fitted Gaussian has about 1.
    validation_scores_ : list of float or None
        Minus the held-out loss at each evaluation, with `early_stopping`.
    n_iter_ : int
        Updates made.
    classes_ : ndarray of shape (n_classes,)
        Labels, with `class_conditional`.
    class_prior_ : ndarray of shape (n_classes,)
        Shares of the classes.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if `fit` saw a data frame with text names.
    log_density_kind_ : str
        "estimate" (a numerical solution, and beyond 64 columns traces along fixed directions) or
        "lower_bound" (of the chain; of the log-probability of rows with whole numbers), or "exact"
        for a table of categories alone.

    Raises
    ------
    ValueError
        In `fit`: missing or infinite values, fewer than two rows, no `y` with `class_conditional`;
        a regressor that predicts no finite values. Later: an unseen category.

    Warns
    -----
    ConvergenceWarning
        If training diverges. The best weights up to then are kept.

    See Also
    --------
    skgm.NoiseSchedule : The levels of the ancestral chain.
    skgm.ScoreMatchingGaussian : The Gaussian from which training starts.

    Notes
    -----
    eq. ddpm-marginal, ddpm-parameterizations, ddpm-probability-flow, ddpm-elbo, ddpm-ddim,
    ddpm-posterior-mean.

    With `scaling` "auto", `fit` transforms a column by Johnson's curve
    :math:`c + w\operatorname{arsinh}((x - c) / w)` within the range of the table and by its tangent
    beyond. The c and w maximize the likelihood of the Gaussian of all columns; a column is
    transformed if that gains .05 nats per row more than BIC charges for them. Discrete columns,
    columns in which a tenth of the rows share a value, tables below 50 rows, and a `partial_fit`
    without an earlier `fit` are not transformed.

    In short tables a network memorizes training rows, which makes samples too narrow. The trial run
    measures this on held-out rows, and the fit corrects F to c (F - b u): b is the regression of F
    on u, which is zero for the true F, and c, within [0, 1], that of the targets on the rest. If
    the network has learned nothing that generalizes, the model is the fitted Gaussian (of each
    class).

    Categories d of a row with numbers x have the log-probability
    :math:`\sum_t \log P(d_t \mid x, d_1, \dots, d_{t-1})`, which is added to the log-density of x:
    the factors of :class:`skgm.DensityChain`. In a table that `partial_fit` learns in parts they
    are points in space, and :meth:`score_samples` is a lower bound.

    A row that lacks numbers has the log-density of its observed part, averaged over 16 draws of the
    rest from that mixture; lacking categories are left to the chain.

    The network computes in float32. A row has the same log-density in any batch.

    References
    ----------
    .. [1] J. Ho, A. Jain and P. Abbeel, "Denoising diffusion probabilistic models", NeurIPS 2020.
    .. [2] Y. Song et al., "Score-based generative modeling through stochastic differential
       equations", ICLR 2021.
    .. [3] T. Karras, M. Aittala, T. Aila and S. Laine, "Elucidating the design space of
       diffusion-based generative models", NeurIPS 2022.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from skgm import DDPM
    >>> X, _ = make_moons(300, noise=0.1, random_state=0)
    >>> density = DDPM(random_state=0).fit(X)
    >>> density.sample(5, random_state=0).shape
    (5, 2)
    """

    _parameter_constraints = {
        "denoiser": [StrOptions({"mlp", "empirical"}), HasMethods(["fit", "predict"]), callable],
        "hidden_layer_sizes": [
            StrOptions({"auto"}),
            "array-like",
            Interval(numbers.Integral, 1, None, closed="left"),
        ],
        "n_timesteps": [Interval(numbers.Integral, 1, None, closed="left")],
        "schedule": [StrOptions({"angle", *SCHEDULES})],
        "prediction": [StrOptions({"v", "eps", "x0"})],
        "scaling": [StrOptions({"auto", "shrink", "whiten", "standard"})],
        "noise_distribution": [StrOptions({"lognormal", "uniform"})],
        "sigma_min": [Interval(numbers.Real, 1e-4, 1.0, closed="both")],
        "max_iter": [StrOptions({"auto"}), Interval(numbers.Integral, 1, None, closed="left")],
        "batch_size": [Interval(numbers.Integral, 1, None, closed="left")],
        "learning_rate": [Interval(numbers.Real, 0, None, closed="neither")],
        "learning_rate_decay": [StrOptions({"cosine", "linear", "constant"})],
        "average_decay": [Interval(numbers.Real, 0, 1, closed="left")],
        "weight_decay": [Interval(numbers.Real, 0, None, closed="left")],
        "n_noise": [Interval(numbers.Integral, 1, None, closed="left")],
        "sampler": [StrOptions(set(SAMPLERS))],
        "n_steps": [Interval(numbers.Integral, 1, None, closed="left")],
        "variance": [StrOptions({"analytic", "beta_tilde", "beta"})],
        "clip": ["boolean"],
        "score_method": [StrOptions({"auto", "ode", "elbo"})],
        "n_score_steps": [Interval(numbers.Integral, 1, None, closed="left")],
        "class_conditional": ["boolean"],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "integer_features": [StrOptions({"from_dtype"}), "array-like", None],
        "atoms": [StrOptions({"auto"}), dict, None],
        "handle_unknown": [StrOptions({"error", "ignore"})],
        "missing": [StrOptions({"raise", "draws"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(numbers.Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(numbers.Integral, 1, None, closed="left")],
        "tol": [Interval(numbers.Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": RANDOM_STATE,
        "n_jobs": N_JOBS,
    }

    def __init__(
        self,
        denoiser: Any = "mlp",
        *,
        hidden_layer_sizes: Any = "auto",
        n_timesteps: int = 1000,
        schedule: str = "angle",
        prediction: str = "v",
        scaling: str = "auto",
        noise_distribution: str = "lognormal",
        sigma_min: float = 0.02,
        max_iter: Any = "auto",
        batch_size: int = 256,
        learning_rate: float = 3e-3,
        learning_rate_decay: str = "cosine",
        average_decay: float = 0.999,
        weight_decay: float = 0.0,
        n_noise: int = 100,
        sampler: str = "ode",
        n_steps: int = 25,
        variance: str = "analytic",
        clip: bool = False,
        score_method: str = "auto",
        n_score_steps: int = 16,
        class_conditional: bool = False,
        categorical_features: Any = "from_dtype",
        integer_features: Any = "from_dtype",
        atoms: Any = "auto",
        handle_unknown: str = "error",
        missing: str = "raise",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.denoiser = denoiser
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_timesteps = n_timesteps
        self.schedule = schedule
        self.prediction = prediction
        self.scaling = scaling
        self.noise_distribution = noise_distribution
        self.sigma_min = sigma_min
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_decay = learning_rate_decay
        self.average_decay = average_decay
        self.weight_decay = weight_decay
        self.n_noise = n_noise
        self.sampler = sampler
        self.n_steps = n_steps
        self.variance = variance
        self.clip = clip
        self.score_method = score_method
        self.n_score_steps = n_score_steps
        self.class_conditional = class_conditional
        self.categorical_features = categorical_features
        self.integer_features = integer_features
        self.atoms = atoms
        self.handle_unknown = handle_unknown
        self.missing = missing
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "DDPM":
        """Fit the scaling, then train the denoiser.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two; NaN are holes with ``missing="draws"``, refused without.
        y : array-like of shape (n_samples,), default=None
            Class labels with `class_conditional`; ignored without.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; an integer weight equals that many repetitions of the row.

        Returns
        -------
        self : DDPM
            The fitted estimator.
        """
        rng = as_generator(self.random_state)
        seed = int(deepcopy(rng).integers(2**31))
        told = {"X": X, "y": y, "sample_weight": sample_weight, "n_subtasks": self.max_iter}
        with fit_task(self, **told) as context:
            read = read_training_table(self, X, sample_weight, min_samples=2, seed=seed)
            coding, coded, rows, weight = read
            kind = self._kind()
            goes_on = self.warm_start and kind.can_start
            start = self.__dict__.get(kind.attribute) if goes_on else None
            self._forget(coding, kind)
            table = self._classified(rows, y, weight, None, first=True)
            check_several_rows(np.ones(len(table.rows)))
            bends = None
            if self.scaling == "auto":
                every = table.every_version()
                bends = choose_bends(every.rows, every.codes, every.weight, coding.may_bend)
            self._scale(self._summary_of(table, bends), bends)
            if coding.numbers is not None:
                counted = slice(None) if weight is None else weight > 0
                self._fit_categories(coded[counted], table, rng)
            self._probes = Probes.of(self._scaler.n_active, rng)
            data = self._scaled(table)
            self._choose_widths(data.n_rows)
            if start is not None:
                self.__dict__[kind.attribute] = start
            self._train(data, Plan.of(self, data), rng, (context, X))
            return self

    @transactional
    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, classes: Any = None
    ) -> "DDPM":
        """Update the scaling with more rows, and train on them for one epoch.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            More rows; one is enough. As long as no column varies the fit is a narrow Gaussian.
        y : array-like of shape (n_samples,), default=None
            Class labels with `class_conditional`; ignored without.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of these rows.
        classes : array-like, default=None
            With `class_conditional`: all classes that will ever come, at the first call; by
            default those of the first `y`. Later calls may leave them out, but not change them.

        Returns
        -------
        self : DDPM
            The updated estimator.
        """
        kind = self._kind()
        if not kind.is_iterative:
            raise ValueError(
                f"partial_fit needs a denoiser that can go on training: 'mlp', a torch module or a "
                f"regressor with partial_fit; got {self.denoiser!r}. Use fit."
            )
        with fit_task(self, X=X, y=y, sample_weight=sample_weight, n_subtasks=1) as context:
            first = not hasattr(self, "_summary")
            if first:
                read = read_training_table(self, X, sample_weight, in_parts=True)
                coding, _, rows, weight = read
                self._forget(coding, kind)
            else:
                self._check_as_fitted(kind)
                check_same_classes(getattr(self, "classes_", None), classes)
                rows, weight = self._coding.more(self, X, sample_weight)
            table = self._classified(rows, y, weight, classes, first=first)
            bends, n_active = (None, -1) if first else (self._scaler.bends, self._scaler.n_active)
            summary = self._summary_of(table, bends)
            self._scale(summary if first else self._summary + summary, bends)
            if not hasattr(self, "_seed"):
                self._seed = int(as_generator(self.random_state).integers(2**63))
            rng = np.random.default_rng([self._seed, self.n_iter_])
            if n_active != self._scaler.n_active:  # other columns need another network
                self._forget_denoiser()
                self._probes = Probes.of(self._scaler.n_active, rng)
                self._choose_widths(None)
            data = self._scaled(table)
            self._train(data, Plan.of(self, data, one_epoch=True), rng, (context, X))
            return self

    def _kind(self) -> DenoiserKind:
        if isinstance(self.denoiser, str):
            return NetworkKind() if self.denoiser == "mlp" else EmpiricalKind()
        if callable(self.denoiser) and not hasattr(self.denoiser, "fit"):
            return TorchKind(self.denoiser)
        return RegressorKind(self.denoiser)

    def _forget(self, coding: TableCoding, kind: DenoiserKind) -> None:
        """Start with the coding of a new table, and nothing learned."""
        for name in ("classes_", "class_prior_", "_seed", "_categories"):
            self.__dict__.pop(name, None)
        self._forget_denoiser()
        self._coding = coding
        self._fitted_with = {"denoiser": kind.name} | {p: getattr(self, p) for p in AS_FITTED}
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = None
        self.n_iter_ = 0
        bound = kind.by_elbo(self.score_method) or coding.is_noisy
        self.log_density_kind_ = "lower_bound" if bound else "estimate"
        if coding.numbers is not None and not len(coding.numbers):
            self.log_density_kind_ = "exact"

    def _fit_categories(self, coded: np.ndarray, table: Table, rng: np.random.Generator) -> None:
        """Fit the chain of the categories, of the same rows coded, after the numbers."""
        seed = int(deepcopy(rng).integers(2**31))  # the numbers are learned as without categories
        about, n_classes = self._coding.columns, self._n_classes()
        chain = CategoryChain.fit(coded, about, table.codes, n_classes, table.weight, seed)
        self._categories = chain.state()

    def _forget_denoiser(self) -> None:
        for name in ("weights_", "denoiser_", "_training_rows", "_optimizer"):
            self.__dict__.pop(name, None)
        self._calibration: Calibration | None = None

    def _classified(
        self, rows: np.ndarray, y: Any, weight: np.ndarray | None, classes: Any, *, first: bool
    ) -> Table:
        """Return the rows of positive weight with the codes of their classes; set `classes_`."""
        codes = None
        if self.class_conditional:
            known = None if first else self.classes_
            self.classes_, codes = coded_classes(y, weight, rows.shape[-2], classes, known)
        versions = rows if rows.ndim == 3 else None
        table = Table(rows if versions is None else rows[0], codes, weight, None, versions)
        return table.of_positive_weight()

    def _summary_of(self, table: Table, bends: np.ndarray | None) -> Summary:
        n_classes, noise = self._n_classes(), self._coding.noise_variance
        parts = table.every_version()
        return Summary.of(parts.rows, parts.codes, parts.weight, n_classes, bends, noise)

    def _scale(self, summary: Summary, bends: np.ndarray | None) -> None:
        summary.check_spread()
        self._summary = summary
        self._scaler = fit_scaler(summary.moments, self.scaling, bends)
        self.location_ = self._scaler.location
        if self.class_conditional:
            self.class_prior_ = summary.shares

    def _scaled(self, table: Table) -> Table:
        r = self._scaler.n_active
        versions = table.rows[None] if table.completions is None else table.completions
        each = [self._scaler.scale_each(part, table.codes)[:, :r] for part in versions]
        rows = np.stack(each).astype(np.float32)
        jitter = self._coding.jitter(self._scaler.forward[:, :r])
        kept = None if len(rows) == 1 else rows
        return Table(rows[0], table.codes, table.weight, jitter, kept)

    def _choose_widths(self, n_rows: float | None) -> None:
        d = self.location_.shape[1]
        self.hidden_layer_sizes_ = as_widths(self.hidden_layer_sizes, n_rows, d)

    def _n_classes(self) -> int:
        return len(self.classes_) if self.class_conditional else 0

    def _architecture(self) -> Architecture:
        return Architecture(self._scaler.n_active, self.hidden_layer_sizes_, self._n_classes())

    def _train(self, data: Table, plan: Plan, rng: np.random.Generator, told: Any) -> None:
        """Train the denoiser, and measure its errors; `told` are the callbacks and their X."""
        kind = self._kind()
        kept, held_out, errors = data, None, None
        if not data.rows.shape[1]:  # nothing varies, so there is nothing to learn
            self.level_errors_ = np.ones((ERROR_LEVELS, 0))
            return
        if plan.patience is not None:
            kept, held_out = split_rows(data, self.validation_fraction, rng)
        if not kind.is_iterative:
            learned, data = kind.fit_once(data, plan, self.n_noise, self._architecture(), rng)
            self.__dict__[kind.attribute] = learned
        else:
            automatic = kind.has_trial and isinstance(self.max_iter, str) and not plan.one_epoch
            with one_blas_thread(self.hidden_layer_sizes_), kind.seeded(rng):
                if automatic and held_out is None and wants_trial(data):
                    plan, self._calibration, errors = try_out(
                        data,
                        plan,
                        rng,
                        lambda longest: self._learner(kind, longest, rng, fresh=True),
                        lambda weights: self._uncalibrated(kind, weights, np.float32),
                    )
                self._iterate(kind, kept, held_out, plan, rng, told)
        if errors is None:
            errors = self._errors(data if held_out is None else held_out, rng)
        self.level_errors_ = errors

    def _iterate(
        self,
        kind: DenoiserKind,
        kept: Table,
        held_out: Table | None,
        plan: Plan,
        rng: np.random.Generator,
        told: Any,
    ) -> None:
        context, X = told
        learner = self._learner(kind, plan, rng)
        shown = np.random.default_rng(0)  # of errors that only callbacks see

        def on_epoch(run: Callable[[], Any], history: History) -> bool:
            def state() -> dict[str, Any]:
                self._keep(kind, learner, history)
                return {**self.__dict__, "level_errors_": self._errors(kept, shown)}

            task = epoch_begins(context, self, X=X)
            run()
            return epoch_ends(task, self, X=X, state=state)

        n_before, losses = self.n_iter_, self.loss_curve_
        history = train(learner, kept, plan, rng, held_out=held_out, on_epoch=on_epoch)
        self._keep(kind, learner, history)
        self.n_iter_ = n_before + history.n_updates
        self.loss_curve_ = losses + history.losses
        if plan.one_epoch:
            self._optimizer = learner.state()

    def _learner(
        self, kind: DenoiserKind, plan: Plan, rng: np.random.Generator, *, fresh: bool = False
    ) -> Any:
        options = OptimizerOptions.of(self, plan)
        start = None if fresh else self.__dict__.get(kind.attribute)
        state = self.__dict__.get("_optimizer") if plan.one_epoch else None
        return kind.learner(self._architecture(), options, rng, start=start, state=state)

    def _keep(self, kind: DenoiserKind, learner: Any, history: History) -> None:
        """Make the estimator what it would be if training ended now."""
        self.__dict__[kind.attribute] = learner.learned
        self.loss_curve_ = list(history.losses)
        self.n_iter_ = history.n_updates
        self.validation_scores_ = None
        if self.early_stopping:
            self.validation_scores_ = [-loss for loss in history.validation_losses]

    def _errors(self, data: Table, rng: np.random.Generator) -> np.ndarray:
        return fitted_errors(self._denoiser(np.float32), data, np.arctan(self.sigma_min), rng)

    def _denoiser(self, dtype: Any) -> Any:
        """Return the fitted denoiser of scaled rows, which computes in the given dtype."""
        if not self._scaler.n_active:
            return NoColumns()
        kind = self._kind()
        denoiser = self._uncalibrated(kind, self.__dict__[kind.attribute], dtype)
        if self._calibration is None:
            return denoiser
        return CalibratedDenoiser(denoiser, self._calibration)

    def _uncalibrated(self, kind: DenoiserKind, learned: Any, dtype: Any) -> Any:
        return kind.denoiser(learned, self._architecture(), self.prediction, dtype)
