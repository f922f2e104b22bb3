"""DDPM: a diffusion model for tables, as a density estimator."""

import numbers
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import HasMethods, Interval, StrOptions
from skgm._validation import check_n_samples
from skgm.diffusion._by_class import encode_labels, stratified_codes
from skgm.diffusion._conditional import draw_given
from skgm.diffusion._elbo import step_variances
from skgm.diffusion._model import DiffusionWay
from skgm.diffusion._network import one_blas_thread
from skgm.diffusion._samplers import (
    flow_angles,
    sample_ancestral,
    sample_ddim,
    sample_flow,
)
from skgm.diffusion._scaling import Scaler
from skgm.diffusion._schedule import SCHEDULES

__all__ = [
    "DDPM",
    "SAMPLERS",
    "DiffusionSampling",
]


# Rows from a fitted diffusion model: which solver, which classes, in what units.

_GIVEN_STEPS = 50  # levels of the chain that completes rows
SAMPLERS = ("ode", "ddim", "ancestral")


class DiffusionSampling(DiffusionWay):
    """How `DDPM` draws rows; see there for parameters and attributes."""

    def sample(
        self,
        n_samples: int = 1,
        random_state: Any = None,
        *,
        given: Any = None,
        y: Any = None,
        return_labels: bool = False,
        sampler: str | None = None,
        n_steps: int | None = None,
        return_trajectory: bool = False,
    ) -> Any:
        """Draw rows from the fitted density.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : None, int, RandomState or Generator, default=None
            None draws fresh rows at each call; an int reproduces. The estimator never changes.
        given : array-like or data frame of shape (m, n_features), default=None
            Observed values, NaN where values are to be drawn.
        y : array-like of shape (n,), default=None
            With `class_conditional`: one row of each of these classes, in their order, instead of
            `n_samples` rows.
        return_labels : bool, default=False
            With `class_conditional`: return the label of each row as well. Without `y`, labels
            are drawn stratified: each class as often as its share says, to within one row.
        sampler : {"ode", "ddim", "ancestral"}, default=None
            Instead of the constructor's.
        n_steps : int, default=None
            Instead of the constructor's.
        return_trajectory : bool, default=False
            Return all positions on the way from noise to rows, in the units of the table.

        Returns
        -------
        rows : ndarray or data frame of shape (n_samples, n_features)
            In random order, with the floating dtype of the training data; a data frame with the
            same columns where `fit` saw one. With `return_trajectory`, an array
            (n_steps + 1, n_samples, n_features), the rows last.
        labels : ndarray of shape (n_samples,)
            Only with `return_labels`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            `n_samples` < 1; labels that `fit` has not seen; `y` or `return_labels` without
            `class_conditional`; an unknown `sampler`; any of the other options with `given`.
        """
        check_is_fitted(self)
        if given is not None:
            _check_with_given(
                y=y,
                return_labels=return_labels,
                sampler=sampler,
                n_steps=n_steps,
                return_trajectory=return_trajectory,
            )
        if given is not None and self._mixed is None:
            return super().sample(n_samples, random_state, given=given)
        if given is not None:
            return self._complete(given, check_n_samples(n_samples), as_generator(random_state))
        if return_trajectory:
            self._check_not_mixed("return_trajectory: on the way to a category there is no row")
        if not self.class_conditional and (y is not None or return_labels):
            raise ValueError(
                "sample takes y and return_labels only with class_conditional=True in the fit."
            )
        n_samples = check_n_samples(n_samples)
        self._check_sampling(sampler, n_steps)
        rng = as_generator(random_state)
        codes = self._random_codes(n_samples, rng) if y is None else encode_labels(y, self.classes_)
        n_samples = n_samples if y is None else len(y)
        if not n_samples:
            raise ValueError("y is empty; give at least one label, one for each row to draw.")
        path = self._draw_path(n_samples, codes, rng, sampler, n_steps, every=return_trajectory)
        path = path.astype(self._sample_dtype, copy=False)
        if return_trajectory:
            rows = self._to_container(path.reshape(-1, path.shape[-1]), None).reshape(path.shape)
        else:
            rows = self._to_container(path[-1], self._frame_schema)
        return (rows, self.classes_[codes]) if return_labels else rows

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        return self._draw_path(n_samples, self._random_codes(n_samples, rng), rng)[-1]

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        schedule = self._schedule().respace(min(_GIVEN_STEPS, self.n_timesteps))
        with one_blas_thread(self.hidden_layer_sizes_):
            rows = draw_given(
                self._denoiser(np.float32),
                Scaler(**self._scaling),
                given,
                n_samples,
                rng,
                schedule,
                self._errors_at(schedule),
                log_prior=self._log_prior() if self.class_conditional else None,
            )
        return np.clip(rows, *self._sample_bounds()) if self.clip else rows

    def _random_codes(self, n_samples: int, rng: np.random.Generator) -> np.ndarray | None:
        if not self.class_conditional:
            return None
        return stratified_codes(self.class_prior_, n_samples, rng)

    def _check_sampling(self, sampler: str | None, n_steps: int | None) -> None:
        if sampler is not None and sampler not in SAMPLERS:
            raise ValueError(f"sampler must be one of {[*SAMPLERS]}; got {sampler!r}.")
        whole = isinstance(n_steps, numbers.Integral) and not isinstance(n_steps, bool)
        if n_steps is not None and (not whole or n_steps < 1):
            raise ValueError(f"n_steps must be an integer >= 1; got {n_steps!r}.")

    def _draw_path(
        self,
        n_samples: int,
        codes: np.ndarray | None,
        rng: np.random.Generator,
        sampler: str | None = None,
        n_steps: int | None = None,
        *,
        every: bool = False,
    ) -> np.ndarray:
        """Return positions in the units of the table, (n_positions, n_samples, d); the rows last.

        Only the last position is returned unless `every`.
        """
        scaler = Scaler(**self._scaling)
        r, d = scaler.n_active, scaler.location.shape[1]
        narrow = rng.standard_normal((n_samples, d - r))
        steps = self.n_steps if n_steps is None else n_steps
        path = np.zeros((steps + 1 if every else 1, n_samples, 0))  # where nothing varies
        if r:
            with one_blas_thread(self.hidden_layer_sizes_):
                path = self._solve(n_samples, codes, rng, sampler, n_steps, every)
        rows = np.stack(
            [scaler.unscale_each(np.hstack([u, narrow]), codes) for u in path.astype(np.float64)]
        )
        if self.clip:
            rows[-1] = np.clip(rows[-1], *self._sample_bounds())
        return rows

    def _solve(
        self,
        n_samples: int,
        codes: np.ndarray | None,
        rng: np.random.Generator,
        sampler: str | None,
        n_steps: int | None,
        every: bool,
    ) -> np.ndarray:
        """Return scaled positions on the way from noise, (n_positions, n_samples, r)."""
        denoiser = self._denoiser(np.float32)
        sampler = self.sampler if sampler is None else sampler
        n_steps = self.n_steps if n_steps is None else n_steps
        start = rng.standard_normal((n_samples, self._scaling["n_active"]), dtype=np.float32)
        options: dict[str, Any] = {"condition": codes, "every": every}
        if sampler == "ode":
            return sample_flow(denoiser, start, flow_angles(self._phi_min, n_steps), **options)
        schedule = self._schedule().respace(min(n_steps, self.n_timesteps))
        if sampler == "ddim":
            return sample_ddim(denoiser, start, schedule, rng, **options)
        variances = step_variances(schedule, self._errors_at(schedule), self.variance)
        return sample_ancestral(denoiser, start, schedule, rng, variances, **options)


def _check_with_given(**options: Any) -> None:
    named = [name for name, value in options.items() if value is not None and value is not False]
    if named:
        raise ValueError(
            f"sample takes no {' or '.join(named)} with given: completions have a sampler of their "
            "own, and are of any class. To complete rows of one class, put the labels into X as a "
            "column of categories."
        )


class DDPM(DiffusionSampling):
    r"""Density of a table by denoising diffusion.

    .. math::
        \min_F\; \mathrm E\,\lVert F(u, \varphi) - (\sin\varphi\, z - \cos\varphi\, e) \rVert^2,
        \qquad u = \cos\varphi\, z + \sin\varphi\, e, \quad e \sim N(0, I)

    Rows z, scaled, are mixed with noise e at an angle :math:`\varphi` between 0 (data) and
    :math:`\pi/2` (noise), and a network learns the direction F in which the mixture moves. The
    ordinary equation :math:`du/d\varphi = -F(u, \varphi)`, followed from noise to data, draws
    rows; followed from data to noise it gives their log-density. A network of zeros is the
    Gaussian fitted to the table, skewed columns bent first: training starts there, and far from
    the data the model stays there.

    Prefer it where a table has a shape that no simple family has (clusters of any form, curved
    ridges, classes), from about a hundred rows on, for synthetic rows that are no copies, and
    where densities are to be compared by held-out likelihood. Data frames may hold categories and
    whole numbers. Not where a Gaussian mixture does: that is fitted in milliseconds.

    Parameters
    ----------
    denoiser : {"mlp", "empirical"}, regressor, torch module or callable, default="mlp"
        "mlp": a residual network of this package. "empirical": the exact denoiser of the training
        rows, which reproduces them; a reference, and the same density as
        :class:`sklearn.neighbors.KernelDensity` with bandwidth `sigma_min`. A scikit-learn
        regressor: cloned, and fitted to the row, the noise level and the class as columns; one
        with `partial_fit` gets fresh noise at every update, another is fitted once to `n_noise`
        noisy copies of every row. A ``torch.nn.Module``, called as ``module(rows, context)``
        with tensors (n, n_columns) and (n, n_context), returns a tensor like the rows; a copy of
        it is trained, from the parameters it has, on the device where they are. Or a callable
        that makes one: ``factory(n_columns, n_context)``.
    hidden_layer_sizes : "auto" or tuple of int, default="auto"
        Widths of the network. "auto": four layers as wide as the square root of four times the
        number of rows, at least twice the number of columns; 16 to 256 (512 beyond 128 columns),
        rounded up to a power of two.
    n_timesteps : int, default=1000
        Levels of the ancestral chain and of DDIM. Training and the probability flow do not depend
        on it: they take noise levels from a continuum.
    schedule : {"angle", "cosine", "linear", "scaled_linear"}, default="angle"
        How these levels are spaced. "angle": even square roots of the angle, from `sigma_min` to
        pure noise; the others are those of :class:`skgm.NoiseSchedule`.
    prediction : {"v", "eps", "x0"}, default="v"
        What the network predicts, and so how noise levels are weighted: the direction F, whose
        weights are even, the noise, or the data. Held-out likelihoods came within 0.04 nats a row
        of one another in the plane, and within 0.6 in thirty columns (breast cancer).
    scaling : {"auto", "shrink", "whiten", "standard"}, default="auto"
        "standard" divides columns by their standard deviations; "whiten" also removes
        correlations; "shrink" whitens by a shrunk covariance, between the two according to the
        number of rows. "auto" does so after bending skewed columns and columns in curved relations,
        those where that gains likelihood enough (see Notes). With `class_conditional`, every class
        is scaled by itself, as far as it has the rows; bends are common to all.
        Columns without variation are left to a very narrow normal distribution.
    noise_distribution : {"lognormal", "uniform"}, default="lognormal"
        Noise levels in training: the logarithm of the noise's standard deviation is normal with
        mean -1.2 and standard deviation 1.2, or the angle is uniform.
    sigma_min : float, default=0.02
        Standard deviation of the noise at the data end, in units of the scaled data: the density
        is that of the data with so much noise.
    max_iter : "auto" or int, default="auto"
        Number of updates. "auto": two and a half per row, at least 50 and at most 4000; in tables
        of 50 to 1600 rows (or fifty a column), with "mlp" and without `early_stopping`, as many
        as were best in a trial run of at most ten per row, judged by a fifth of the rows. That
        trial also says how far the network is trusted at each noise level (see Notes).
    batch_size : int, default=256
        Noisy rows per update; short tables are repeated, under different noise, to this number.
    learning_rate : float, default=0.003
        Of Adam, at its largest.
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
        `score_samples` by the probability flow, or by the evidence lower bound, which "auto"
        takes for regressors: they have no derivatives.
    n_score_steps : int, default=15
        Runge-Kutta steps of `score_samples`.
    class_conditional : bool, default=False
        Learn the density of each class of `y`, and that of the table as their mixture.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Columns of categories: a mask, column numbers or names. "from_dtype": those of a data
        frame that hold text, booleans or a categorical dtype. None: no column. An ordered pandas
        categorical of five levels or more is learned by its rank.
    integer_features : "from_dtype", array-like or None, default="from_dtype"
        Columns of whole numbers, likewise; "from_dtype": those of a data frame with an integer
        dtype. Arrays have none unless they are named here.
    early_stopping : bool, default=False
        Hold out rows, stop when their loss no longer falls, and keep the best weights.
    validation_fraction : float, default=0.1
        Share of the rows that is held out.
    n_iter_no_change : int, default=20
        Looks at the held-out loss without improvement before stopping early; there are at most a
        hundred looks, evenly spaced.
    tol : float, default=1e-4
        Smallest change of the held-out loss that counts.
    warm_start : bool, default=False
        Start the network where the previous `fit` ended.
    random_state : int, RandomState, Generator or None, default=None
        For initial weights, order of rows, and noise.

    Attributes
    ----------
    weights_ : ndarray of shape (n_weights,)
        Averaged weights of the network, float32; "mlp" only.
    hidden_layer_sizes_ : tuple of int
        Widths of the network.
    denoiser_ : regressor or torch module
        The fitted regressor, or the module with averaged parameters, where `denoiser` is one.
    location_ : ndarray of shape (n_classes or 1, n_coded_columns)
        Means that the scaling subtracts, of bent columns; a category has one column less than it
        has values, and a single one where it is learned by its rank.
    level_errors_ : ndarray of shape (n_levels, n_varying_columns)
        Mean squared error of F at evenly spaced angles.
    loss_curve_ : list of float
        Mean loss per epoch; the fitted Gaussian has about 1.
    validation_scores_ : list of float or None
        Minus the held-out loss at each look, with `early_stopping`.
    n_iter_ : int
        Updates made.
    classes_ : ndarray of shape (n_classes,)
        Labels, with `class_conditional`.
    class_prior_ : ndarray of shape (n_classes,)
        Shares of the classes.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    log_density_kind_ : str
        "estimate" (a numerical solution, and beyond 16 columns traces along fixed directions) or
        "lower_bound" (of the chain; of the log-probability of rows with discrete columns).

    Raises
    ------
    ValueError
        In `fit`: missing or infinite values, fewer than two rows, `class_conditional` without
        `y`; a regressor that predicts values that are not finite; a column of more than 255
        categories. Later: a category that `fit` has not seen.

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

    Tables with skewed columns, or columns tied by curved relations, are far from the Gaussian that
    training starts from. With `scaling` "auto", `fit` bends such a column first: to
    :math:`c + w\operatorname{arsinh}((x - c) / w)`, Johnson's curve, within the range of the table
    and along its tangent beyond, with the c and w of a grid that maximize the likelihood of the
    Gaussian of all columns, and only where that gains .05 nats a row beyond what two parameters
    cost by the Bayesian information criterion. Normal columns stay as they are, and so do discrete
    ones, those in which a tenth of the rows share a value, all of a table below 50 rows, and the
    columns of a `partial_fit` that no `fit` went before.

    In short tables a network remembers training rows: from a new row it points to the middle of
    them, and samples are too narrow. The trial run measures this on rows held out, and the fit
    corrects F to c (F - b u): b is the regression of F on u, which the scaling makes zero for the
    truth, and c, within [0, 1], that of the targets on the rest. Where nothing was learned that
    holds for new rows the model is the fitted Gaussian, with classes a Gaussian per class.

    Training computes in float32; `score_samples` in float64, row by row: a row has one value in
    any batch. An integer weight is that many repetitions of the row.

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
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(numbers.Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(numbers.Integral, 1, None, closed="left")],
        "tol": [Interval(numbers.Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": RANDOM_STATE,
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
        n_score_steps: int = 15,
        class_conditional: bool = False,
        categorical_features: Any = "from_dtype",
        integer_features: Any = "from_dtype",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
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
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
