"""The fit of a diffusion model: classes, weights, scaling; in one go or in parts."""

from typing import Any

import numpy as np

from skgm._numerics.moments import Moments
from skgm._random import as_generator
from skgm._sklearn import fit_task
from skgm.base import DensityTags, transactional
from skgm.diffusion._by_class import check_same_classes, class_codes, encode_labels
from skgm.diffusion._denoisers import DenoiserFit
from skgm.diffusion._scaling import Scaler, bend, choose_bends, fit_scaler
from skgm.diffusion._training import Table

__all__ = ["DiffusionFit"]


class DiffusionFit(DenoiserFit):
    """What `DDPM` does up to and including `fit`; see there for parameters and attributes."""

    _bends: np.ndarray | None = None

    def __density_tags__(self) -> DensityTags:
        """Return the promises that decide which density checks apply."""
        return DensityTags(
            deterministic_fit=False, score_function_is_gradient=False, mixed_columns=True
        )

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "DiffusionFit":
        """Fit the scaling, then train the denoiser.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two, without missing values.
        y : array-like of shape (n_samples,), default=None
            Class labels with `class_conditional`; ignored without.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; an integer weight equals that many repetitions of the row.

        Returns
        -------
        self : DDPM
            The fitted estimator.
        """
        with fit_task(self, X=X, y=y, sample_weight=sample_weight, n_subtasks=None) as context:
            table, weight = self._begin_fit(X, sample_weight, min_samples=2)
            before = self._warm_start()
            self._forget()
            table, codes, weight = self._encode(table, y, weight)
            if len(table) < 2:
                raise ValueError(
                    "Found 1 sample with positive weight while a minimum of 2 is required; give "
                    "more rows a positive sample_weight."
                )
            self._bend(table, codes, weight)
            self._moments = [dict(vars(m)) for m in self._class_moments(table, codes, weight)]
            self._scale()
            rng = as_generator(self.random_state)
            self._draw_probes(rng)
            self._range = np.array([table.min(axis=0), table.max(axis=0)])
            data = self._scaled(table, codes, weight)
            self._choose_widths(data)
            self.__dict__.update(before)
            self._train(data, rng, context, X)
            return self

    @transactional
    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, classes: Any = None
    ) -> "DiffusionFit":
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
        if not self._can_continue():
            raise ValueError(
                f"partial_fit needs a denoiser that can go on training: 'mlp', a torch module or a "
                f"regressor with partial_fit; got {self.denoiser!r}. Use fit."
            )
        with fit_task(self, X=X, y=y, sample_weight=sample_weight, n_subtasks=1) as context:
            first = not hasattr(self, "_moments")
            if first:
                table, weight = self._begin_fit(X, sample_weight)
            else:
                classes_ = getattr(self, "classes_", None)
                check_same_classes(classes_, self.class_conditional, classes)
                table, weight = self._begin_more(X, sample_weight)
            table, codes, weight = self._encode(table, y, weight, classes, first=first)
            ends = [table.min(axis=0), table.max(axis=0)]
            if not first:
                ends = [np.minimum(self._range[0], ends[0]), np.maximum(self._range[1], ends[1])]
            self._range = np.array(ends)
            fresh = self._class_moments(table, codes, weight)
            if not first:
                fresh = [Moments(**old) + new for old, new in zip(self._moments, fresh)]
            self._moments = [dict(vars(m)) for m in fresh]
            active = -1 if first else self._scaling["n_active"]
            self._scale()
            if not hasattr(self, "_seed"):
                self._seed = int(as_generator(self.random_state).integers(2**63))
            rng = np.random.default_rng([self._seed, self.n_iter_])
            if active != self._scaling["n_active"]:  # other columns: another network
                for name in ("weights_", "_optimizer", "denoiser_", "_calibration"):
                    self.__dict__.pop(name, None)
                self._draw_probes(rng)
                self._choose_widths(None)
            self._train(self._scaled(table, codes, weight), rng, context, X, one_epoch=True)
            return self

    def _forget(self) -> None:
        for name in ("weights_", "denoiser_", "_optimizer", "classes_", "class_prior_", "_seed"):
            self.__dict__.pop(name, None)
        self._calibration = self._bends = None
        self.loss_curve_ = []
        self.validation_scores_: list[float] | None = None
        self.n_iter_ = 0
        bound = self._uses_elbo() or self._mixed is not None
        self.log_density_kind_ = "lower_bound" if bound else "estimate"

    def _encode(
        self,
        table: np.ndarray,
        y: Any,
        weight: np.ndarray | None,
        classes: Any = None,
        *,
        first: bool = True,
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Drop rows of weight zero, and code the classes; set `classes_`."""
        if first:
            self._forget()
        codes = None
        if self.class_conditional:
            found, codes = class_codes(y, len(table))
            if first and classes is None:
                counted = codes if weight is None else codes[weight > 0]
                self.classes_ = found[np.unique(counted)]
            elif first:
                self.classes_ = np.unique(classes)
        if weight is not None and not weight.all():
            kept = weight > 0
            table, weight = table[kept], weight[kept]
            y = None if y is None or codes is None else np.asarray(y)[kept]
        if codes is not None:
            codes = encode_labels(y, self.classes_)
        return table, codes, weight

    def _bend(self, table: np.ndarray, codes: np.ndarray | None, weight: np.ndarray | None) -> None:
        """Choose how columns are bent; discrete ones have noise, and stay as they are."""
        if self.scaling == "auto":
            allowed = None if self._mixed is None else ~self._encoding().is_noisy
            self._bends = choose_bends(table, codes, weight, allowed)

    def _class_moments(
        self, table: np.ndarray, codes: np.ndarray | None, weight: np.ndarray | None
    ) -> list[Moments]:
        if codes is None:
            return [self._noisy_moments(table, weight)]
        every = self._noisy_moments(table, weight)
        moments = []
        for code in range(len(self.classes_)):
            mine = codes == code
            if mine.any():
                part = None if weight is None else weight[mine]
                moments.append(self._noisy_moments(table[mine], part))
            else:  # a class that partial_fit has yet to see counts for next to nothing
                tiny = 1e-9 / every.n
                moments.append(Moments(1e-9, every.mean, every.mean_error, every.scatter * tiny))
        return moments

    def _noisy_moments(self, table: np.ndarray, weight: np.ndarray | None) -> Moments:
        """Return the moments of bent rows with the noise of their discrete values."""
        table = table if self._bends is None else bend(table, self._bends)
        moments = Moments.from_chunk(table, weight, joint=True)
        if self._mixed is None:
            return moments
        added = moments.n * np.diag(self._encoding().noise_variance)
        return Moments(moments.n, moments.mean, moments.mean_error, moments.scatter + added)

    def _scale(self) -> None:
        moments = [Moments(**part) for part in self._moments]
        self._scaling = dict(vars(fit_scaler(moments, self.scaling, self._bends)))
        self.location_ = self._scaling["location"]
        if self.class_conditional:
            mass = np.array([part.n for part in moments])
            self.class_prior_ = mass / mass.sum()

    def _scaled(
        self, table: np.ndarray, codes: np.ndarray | None, weight: np.ndarray | None
    ) -> Table:
        scaler = Scaler(**self._scaling)
        rows = scaler.scale_each(table, codes)[:, : scaler.n_active]
        return Table(rows.astype(np.float32), codes, weight, self._jitter())
