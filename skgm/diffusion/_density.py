"""Answers questions about rows with a fitted diffusion model: densities, scores, draws, classes."""

import numbers
from abc import abstractmethod
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skgm._numerics.importance import systematic_picks
from skgm._random import as_generator
from skgm._warnings import warn_user
from skgm.base import DensityEstimator, DensityTags, in_blocks
from skgm.chain._categories import CategoryChain
from skgm.diffusion._classes import encode_labels
from skgm.diffusion._coding import TableCoding
from skgm.diffusion._elbo import as_seed, jackknifed, standard_error_of_mean
from skgm.diffusion._flow import Probes
from skgm.diffusion._model import DiffusionModel
from skgm.diffusion._samplers import schedule_of
from skgm.diffusion._scaling import Scaler, Summary
from skgm.diffusion._training import DenoiserKind
from skgm.tables._columns import base_measures
from skgm.tables._frames import keep_index
from skgm.tables._validation import check_n_samples

__all__ = ["AS_FITTED", "SAMPLERS", "DiffusionDensity"]

_UNCERTAIN = 0.05  # nats per row: larger errors of the solver are reported
_CANDIDATES = 128  # for the missing numbers of a row with known categories
_LEAST_ESS = 0.05  # share of effective candidates below which a completion is reported
_AT_ONCE = 1 << 15  # candidates at a time
SAMPLERS = ("ode", "ddim", "ancestral")
AS_FITTED = ("prediction", "sigma_min", "class_conditional")  # parameters that fix the model


def _with_classes(estimator: "DiffusionDensity") -> bool:
    if estimator.class_conditional:
        return True
    raise AttributeError("Only a DDPM with class_conditional=True has class probabilities.")


class DiffusionDensity(DensityEstimator):
    """The methods of a fitted `DDPM`, which asks its :class:`DiffusionModel`."""

    # parameters and fitted attributes of DDPM that are read here
    class_conditional: bool
    class_prior_: np.ndarray
    hidden_layer_sizes_: tuple[int, ...]
    level_errors_: np.ndarray
    n_score_steps: int
    n_timesteps: int
    schedule: str
    score_method: str
    sigma_min: float
    _probes: Probes | None
    _scaler: Scaler
    clip: bool
    n_jobs: int | None
    n_steps: int
    sampler: str
    variance: str
    classes_: np.ndarray
    _coding: TableCoding
    _categories: dict[str, Any]
    _summary: Summary
    _fitted_with: dict[str, Any]
    missing: str

    @abstractmethod
    def _kind(self) -> DenoiserKind:
        """Return how the denoiser is learned."""

    @abstractmethod
    def _denoiser(self, dtype: Any) -> Any:
        """Return the fitted denoiser of scaled rows, which computes in the given dtype."""

    def _check_as_fitted(self, kind: DenoiserKind) -> None:
        """Raise if parameters that fix the fitted model have been changed since."""
        now = {"denoiser": kind.name} | {name: getattr(self, name) for name in AS_FITTED}
        for name, value in self._fitted_with.items():
            if now[name] != value:
                raise NotFittedError(
                    f"{name}={now[name]!r}, but this DDPM was fitted with {name}={value!r}. Call "
                    f"fit again, with all rows, or set {name}={value!r}."
                )

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn whether holes are allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing != "raise"
        return tags

    def _model(self) -> DiffusionModel:
        """Return the fitted model."""
        check_is_fitted(self)
        kind = self._kind()
        self._check_as_fitted(kind)
        phi_min = float(np.arctan(self.sigma_min))
        return DiffusionModel(
            scaler=self._scaler,
            denoiser=self._denoiser,
            phi_min=phi_min,
            schedule=schedule_of(self.schedule, self.n_timesteps, phi_min),
            errors=self.level_errors_,
            prior=self.class_prior_ if self.class_conditional else np.ones(1),
            conditional=self.class_conditional,
            by_elbo=kind.by_elbo(self.score_method),
            is_smooth=kind.is_smooth,
            probes=self._probes,
            n_score_steps=self.n_score_steps,
            scores_in=kind.scores_in,
            encoding=self._coding.encoding,
            hidden=self.hidden_layer_sizes_,
            n_jobs=self.n_jobs,
        )

    def __density_tags__(self) -> DensityTags:
        """Return the promises that decide which density checks apply."""
        return DensityTags(
            deterministic_fit=False, score_function_is_gradient=False, mixed_columns=True
        )

    @in_blocks
    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row, the marginal over classes if there are any.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, float64, including the log-determinant of the scaling. It is the log-density of
            the probability flow (eq. ddpm-probability-flow), or with `score_method` "elbo" an
            estimate of a lower bound of the log-density of the chain of :meth:`elbo` (eq.
            ddpm-elbo). -inf for rows so far away that squares overflow.

        Notes
        -----
        The solver of the probability flow has an error, which `n_score_steps` makes smaller. With
        16 nodes it was below .005 nats per row on tables of 400 to 3000 rows in 2, 10 and 30
        columns. After a fit to 14,000 rows of a table with narrow structure it was .03, with a bias
        of -.01. :meth:`score` checks this, and warns; rows far from the data have larger errors.
        Beyond 64 varying columns the traces along fixed directions add an error of their own.
        """
        model, log_mass = self._class_log_mass(X)
        return model.marginal(log_mass)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the mean log-density per row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to score.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the mean.

        Returns
        -------
        score : float
            Weighted mean of :meth:`score_samples`, in nats per row.

        Warns
        -----
        ConvergenceWarning
            If twice as many nodes change the log-densities by more than 0.05 nats per row (root
            mean square over one row in sixteen). Below 16 rows there is no such check.
        """
        mean = super().score(X, y, sample_weight)
        model = self._model()
        coded, lacking = self._coding.scored(self, X, self.handle_unknown, holes=True)
        complete = self._coding.filled(coded[~lacking])[0]
        error = model.solver_error(self._coding.rows(complete))
        if error > _UNCERTAIN:
            warn_user(
                f"The log-densities of this DDPM have errors of at least {error:.2g} nats per row: "
                f"they change by that much between n_score_steps={model.n_score_steps} and "
                f"{2 * model.n_score_steps}. Increase n_score_steps.",
                ConvergenceWarning,
            )
        return mean

    def elbo(
        self, X: Any, n_steps: int | None = None, *, return_se: bool = False, random_state: Any = 0
    ) -> Any:
        """Return the mean evidence lower bound of the ancestral chain over the rows.

        It is a lower bound of the log-density of a chain of `n_steps` steps from N(0, I) to the
        data. It is no bound of :meth:`score_samples`, which is the log-density of the probability
        flow: flow and chain are two models made of the same network, and either may give a row the
        higher density. (With three modes far apart, 300 rows, the bound was 0.04 nats above.)

        With up to 10 varying columns, and a denoiser with derivatives, the steps of the chain have
        the covariance of the data given each noisy row, from the Jacobian of the denoiser.
        Otherwise they have one variance per level and column, as in the chain that `sample` draws
        from with `sampler` "ancestral" and `variance` "analytic".

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        n_steps : int, default=None
            Steps of the chain, at most `n_timesteps`; by default 50 or `n_timesteps`.
        return_se : bool, default=False
            Return the standard error that the noise causes in the mean as well.
        random_state : int, RandomState, Generator or None, default=0
            Seed of the noise, which depends on nothing else. None: fresh noise at each call.

        Returns
        -------
        bound : float
            In nats per row (eq. ddpm-elbo): an unbiased estimate of the bound, or with classes one
            of small bias, whose standard error `return_se` gives.
        standard_error : float
            Only with `return_se`.
        """
        coded, rows, log_noise = self._rows(X)
        model = self._model()
        parts = model.replicated_bounds(rows, n_steps, as_seed(random_state))
        parts = parts + self._log_categories(coded) - log_noise[:, None]
        bounds = jackknifed(parts, model.marginal)  # (n_replicates, n)
        mean = float(bounds.mean())
        return (mean, standard_error_of_mean(bounds, rows)) if return_se else mean

    def score_function(self, X: Any, t: int | None = None) -> np.ndarray:
        r"""Return the gradient of the log-density with respect to x, from the denoiser.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; with `t`, rows with noise added, in the units of the training table.
        t : int, default=None
            Noise level, 1 to `n_timesteps`: the score of the data to which noise with standard
            deviation :math:`\sqrt{(1 - \bar\alpha_t) / \bar\alpha_t}` (in units of the scaled
            data) has been added. None is the data end, noise `sigma_min`.

        Returns
        -------
        gradient : ndarray of shape (n_samples, n_features)
            Float64. It is learned, not differentiated, so it is close to the gradient of
            :meth:`score_samples` but not equal to it.
        """
        self._check_not_mixed("score_function, because discrete values have no gradient")
        rows = self._rows(X)[1]
        model = self._model()
        return model.score(rows, model.phi_min if t is None else _angle_of_level(model, t))

    @available_if(_with_classes)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, by Bayes' rule from the densities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        model, log_mass = self._class_log_mass(X)
        return model.shares(log_mass)

    @available_if(_with_classes)
    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Among `classes_`.
        """
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

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
        n_samples : int or array-like of shape (m,), default=1
            Number of rows; with `given`, number of completions of each of its rows.
        random_state : None, int, RandomState or Generator, default=None
            None draws fresh rows at each call; an int reproduces. The estimator never changes.
        given : array-like or data frame of shape (m, n_features), dict or Series, default=None
            Observed values, NaN where values are to be drawn; a frame with some of the columns, a
            dict of values by column, a row of a frame, or `value_counts` of columns.
        y : array-like of shape (n,), default=None
            With `class_conditional`: one row of each of these classes, in their order, instead of
            `n_samples` rows.
        return_labels : bool, default=False
            With `class_conditional`: return the label of each row as well. Without `y`, labels
            are drawn stratified: each class as often as its share says, to within one row.
        sampler : {"ode", "ddim", "ancestral"}, default=None
            Replaces the constructor's.
        n_steps : int, default=None
            Replaces the constructor's.
        return_trajectory : bool, default=False
            Return all positions from noise to data, in the units of the table.

        Returns
        -------
        rows : ndarray or data frame of shape (n_samples, n_features)
            In random order, with the dtypes of the training data; a data frame with the same
            columns if `fit` saw one. With `given`: (m * n_samples, n_features), grouped by row of
            `given`. With `return_trajectory`, an array (n_steps + 1, n_samples, n_features), the
            rows last.
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
        options: dict[str, Any] = {"sampler": sampler, "n_steps": n_steps}
        if given is not None:
            _check_with_given(
                y=y, return_labels=return_labels, return_trajectory=return_trajectory, **options
            )
            return self._complete(given, n_samples, as_generator(random_state))
        n_samples = check_n_samples(n_samples)
        if return_trajectory:
            self._check_not_mixed("return_trajectory, because positions before the last are no row")
        if not self.class_conditional and (y is not None or return_labels):
            raise ValueError(
                "sample takes y and return_labels only with class_conditional=True in the fit."
            )
        _check_sampling(sampler, n_steps)
        model, rng = self._model(), as_generator(random_state)
        if y is None:
            codes = model.random_codes(n_samples, rng)
        else:
            codes = encode_labels(y, self.classes_)
            n_samples = len(codes)
        if not n_samples:
            raise ValueError("y is empty; give at least one label, one for each row to draw.")
        path = self._draw_path(model, n_samples, codes, rng, every=return_trajectory, **options)
        rows = self._as_drawn(path) if return_trajectory else self._restored(path[-1], codes, rng)
        return (rows, self.classes_[codes]) if return_labels else rows

    def _rows(self, X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return X validated: coded, encoded, and the log-density of the noise at its atoms."""
        check_is_fitted(self)
        coded, _ = self._coding.scored(self, X, self.handle_unknown)
        coded, log_noise = self._coding.filled(coded)
        return coded, self._coding.rows(coded), log_noise

    def _class_log_mass(self, X: Any) -> tuple[DiffusionModel, np.ndarray]:
        """Return the model, and the log-density of every row under every class, (n, k)."""
        check_is_fitted(self)
        scored = self._coding.scored(self, X, self.handle_unknown, holes=True)
        (coded, lacking), model = scored, self._model()

        def log_mass(coded: np.ndarray) -> np.ndarray:
            return model.class_log_mass(self._coding.rows(coded)) + self._log_categories(coded)

        return model, self._coding.average(coded, lacking, log_mass)

    def _chain(self) -> CategoryChain | None:
        """Return the chain of the categories; None without."""
        return None if self._coding.numbers is None else CategoryChain.of_state(self._categories)

    def _log_categories(self, coded: np.ndarray) -> np.ndarray:
        """Return the log-probability of the categories under every class, (n, k)."""
        chain = self._chain()
        if chain is None:
            return np.zeros((len(coded), 1))
        return chain.log_probability(coded, new=self.handle_unknown == "ignore")

    def _class_code(self, y: Any) -> int | None:
        """Return the code of the class with label y: 0 without classes, None for all of them."""
        if y is not None and not self.class_conditional:
            raise ValueError("y is a class only with class_conditional=True in the fit.")
        if not self.class_conditional:
            return 0
        return None if y is None else int(encode_labels(np.atleast_1d(y), self.classes_)[0])

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        model = self._model()
        return self._draw_path(model, n_samples, model.random_codes(n_samples, rng), rng)[-1]

    def _draw_path(
        self,
        model: DiffusionModel,
        n_samples: int,
        codes: np.ndarray | None,
        rng: np.random.Generator,
        *,
        sampler: str | None = None,
        n_steps: int | None = None,
        every: bool = False,
    ) -> np.ndarray:
        path = model.draw(
            n_samples,
            codes,
            rng,
            sampler=self.sampler if sampler is None else sampler,
            n_steps=self.n_steps if n_steps is None else n_steps,
            variance=self.variance,
            every=every,
        )
        path[-1] = self._clipped(path[-1])
        return path

    def _clipped(self, rows: np.ndarray) -> np.ndarray:
        """Return encoded rows, with `clip` within the range of the training rows."""
        return np.clip(rows, *self._coding.clip_bounds(self._summary.bounds)) if self.clip else rows

    def _as_drawn(self, path: np.ndarray) -> np.ndarray:
        """Return positions as an array with the dtype of drawn rows."""
        path = path.astype(self._coding.dtype, copy=False)
        return self._to_container(path.reshape(-1, path.shape[-1]), None).reshape(path.shape)

    def _restored(
        self, rows: np.ndarray, codes: np.ndarray | None, rng: np.random.Generator
    ) -> Any:
        """Return encoded rows of these classes, with categories, as the table that `fit` saw."""
        with np.errstate(over="ignore"):  # an overflow is reported by _to_container
            self._to_container(rows.astype(self._coding.dtype, copy=False), None)
        coded, chain = self._coding.decoded(rows, self._summary.bounds), self._chain()
        coded = coded if chain is None else chain.draw(coded, codes, rng)
        return self._coding.reader.restored(self._coding.collapsed(coded))

    def _can_condition(self) -> bool:
        return True

    def _base_measures(self) -> list[str]:
        return base_measures(self._coding.reader.columns, self._coding.masses)

    def _fitted_schema(self) -> dict[str, Any] | None:
        return self._coding.reader.schema

    def _complete(self, given: Any, n_samples: Any, rng: np.random.Generator) -> Any:
        """Return completions of rows: missing values drawn, the others unchanged."""
        coding, chain = self._coding, self._chain()
        conditions = self._read_conditions(given, n_samples)
        known, n_samples = coding.coded(self, conditions.table), conditions.times
        if chain is None:
            rows = np.repeat(known, n_samples, axis=0)
            drawn = self._model().complete(coding.encoded(rows, rng), 1, rng)
            rows = self._numbers_filled(rows, drawn)
        else:
            chain.check_known(known, coding.columns)
            rows = self._complete_mixed(known, n_samples, chain, rng)
        rows = self._to_container(coding.collapsed(rows), None)
        completed = coding.reader.written(rows, conditions.schema, rows.dtype.name)
        return keep_index(completed, conditions.table, n_samples)

    def _numbers_filled(self, coded: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Return coded rows with what they lack from drawn, encoded ones."""
        filled = self._coding.decoded(self._clipped(drawn), self._summary.bounds)
        return np.where(np.isnan(coded), filled, coded)

    def _complete_mixed(
        self, known: np.ndarray, n_samples: int, chain: CategoryChain, rng: np.random.Generator
    ) -> np.ndarray:
        """Complete rows with categories, (m * n_samples, d): the numbers, then the categories.

        Known categories weight candidates for the numbers, among which completions are drawn.
        """
        told = ~np.isnan(known[:, chain.chain.order]).all(axis=1)
        result, poor = np.empty((len(known), n_samples, known.shape[1])), 0
        for weighted in (True, False):
            n_particles = max(_CANDIDATES, n_samples) if weighted else n_samples
            which = np.flatnonzero(told == weighted)
            for mine in np.array_split(which, len(which) * n_particles // _AT_ONCE + 1):
                if not len(mine):
                    continue
                drawn, codes, log_weight = self._model().particles(
                    self._coding.encoded(known[mine], rng), n_particles, rng, weighted=weighted
                )
                rows = self._numbers_filled(np.repeat(known[mine], n_particles, axis=0), drawn)
                rows = rows.reshape(len(mine), n_particles, -1)
                rows, log_weight = chain.complete(rows, codes, log_weight, rng)
                share = softmax(log_weight, axis=1)
                poor += int((1 / (share**2).sum(axis=1) < _LEAST_ESS * n_particles).sum())
                picks = rng.permuted(systematic_picks(log_weight, n_samples, rng), axis=1)
                result[mine] = np.take_along_axis(rows, picks[:, :, None], axis=1)
        if poor:
            warn_user(
                f"Completions of {poor} of {len(known)} rows come from few effective particles: "
                "their known categories are improbable given the numbers drawn. Make these columns "
                "the classes y of a fit with class_conditional=True, or use DensityChain.",
                ConvergenceWarning,
            )
        return result.reshape(-1, known.shape[1])

    def _check_not_mixed(self, what: str) -> None:
        check_is_fitted(self)
        if not self._coding.is_mixed:
            return
        named = [about["name"] for about in self._coding.columns if about["kind"] != "real"]
        raise ValueError(
            f"This fit has no {what}. Columns {named} are categories or integers or have atoms; "
            "fit to the others alone, or with categorical_features=None, integer_features=None "
            "and atoms=None."
        )


def _angle_of_level(model: DiffusionModel, t: int) -> float:
    schedule = model.schedule
    schedule.alpha_bar_at(t)  # raises for what is no level
    if np.ndim(t) or t < 1:
        raise ValueError(f"t must be one level, 1 to {schedule.n_timesteps}; got {t!r}.")
    return float(schedule.angles[t - 1])


def _check_sampling(sampler: str | None, n_steps: int | None) -> None:
    if sampler is not None and sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {[*SAMPLERS]}; got {sampler!r}.")
    whole = isinstance(n_steps, numbers.Integral) and not isinstance(n_steps, bool)
    if n_steps is not None and (not whole or n_steps < 1):
        raise ValueError(f"n_steps must be an integer >= 1; got {n_steps!r}.")


def _check_with_given(**options: Any) -> None:
    named = [name for name, value in options.items() if value is not None and value is not False]
    if named:
        raise ValueError(
            f"sample takes no {' or '.join(named)} with given: completions are drawn by another "
            "sampler, from all classes. To complete rows of one class, put the labels into X as a "
            "column of categories."
        )
