"""Rows from a fitted diffusion model: which solver, which classes, in what units."""

import numbers
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm._random import as_generator
from skgm._validation import check_n_samples
from skgm.diffusion._by_class import encode_labels, stratified_codes
from skgm.diffusion._conditional import draw_given
from skgm.diffusion._elbo import step_variances
from skgm.diffusion._learner import one_blas_thread
from skgm.diffusion._samplers import (
    flow_angles,
    sample_ancestral,
    sample_ddim,
    sample_flow,
)
from skgm.diffusion._scaling import Scaler
from skgm.diffusion._way import DiffusionWay

__all__ = ["SAMPLERS", "DiffusionSampling"]

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
            _refuse_with_given(
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
            self._refuse_mixed("return_trajectory: on the way to a category there is no row")
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


def _refuse_with_given(**options: Any) -> None:
    named = [name for name, value in options.items() if value is not None and value is not False]
    if named:
        raise ValueError(
            f"sample takes no {' or '.join(named)} with given: completions have a sampler of their "
            "own, and are of any class. To complete rows of one class, put the labels into X as a "
            "column of categories."
        )
