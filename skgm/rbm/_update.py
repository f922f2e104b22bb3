"""Makes one update of (persistent) contrastive divergence, in little more than its products' time.

The state is one float32 matrix, -[[W, b], [c, large]], (m + 1, k + 1): with a column of ones
beside the units of each layer, a single product gives minus the log-odds of the other layer,
intercepts included, and a single accumulating product is the whole update.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg.blas import saxpy, sgemm

from skgm.rbm._energy import RBMParameters

__all__ = ["QUIET", "ContrastiveUpdate", "UpdateRule"]

# exp(-x) may overflow, and 1 / u divide by zero: infinite odds, which compare as they should
QUIET: dict[str, Any] = {"over": "ignore", "divide": "ignore"}

_SURE = np.float32(1e4)  # log-odds of the column of ones: exp(-1e4) is 0, its unit is always on
_ONE = np.float32(1.0)
_SMALL = 2**14  # entries
_AHEAD = 2**15  # random numbers drawn at once: they stay in the cache
_IN_PLACE = {"trans_b": True, "overwrite_c": True}  # of a transpose: Fortran order, so no copy
# 2^16 plus two roundings: without them 1 <= levels / (2^16 - 2^-8) could round to equality, and a
# unit that is surely on would be off once in 2^24 draws
_LEVELS = np.float32(2**16 + 2**-7)


@dataclass(frozen=True)
class UpdateRule:
    """What an update is, apart from its learning rate and its weight decay.

    Attributes
    ----------
    persistent : bool
        PCD: chains go on from update to update. Otherwise CD: they start from the batch.
    n_gibbs_steps : int
        Steps of the chains per update.
    momentum : float
        Share of the last step that is added to the next.
    sparsity_target, sparsity_cost : float
        The mean probability of each hidden unit is drawn to the target with this strength.
    """

    persistent: bool = True
    n_gibbs_steps: int = 1
    momentum: float = 0.0
    sparsity_target: float = 0.1
    sparsity_cost: float = 0.0


class ContrastiveUpdate:
    """Parameters that move by mini-batches (eq. rbm-cd-update).

    The mean over the batch's own rows and the mean over the chains' own number are subtracted:
    neither phase is ever divided by the other's count.

    Parameters
    ----------
    parameters : RBMParameters
        Where to start.
    rule : UpdateRule
    batch_size : int
        Most rows that a batch may have.
    chains : ndarray of shape (n_chains, k)
        Hidden units of the persistent chains, 0 or 1; not used by CD.
    center_visible, center_hidden : ndarray of shape (m,) and (k,)
        Offsets of the units. The weights' gradient is the covariance about them, and the
        intercepts that are kept fixed in a step are those of the shifted units ("centering");
        zeros are the plain gradient.
    draw_ahead : bool, default=False
        Draw the random numbers of several small updates in one call: the generator given to an
        update is then not only for that update.

    Attributes
    ----------
    weight_decay : float
        Strength of the penalty, half the squared weights (intercepts are left alone); 0 at first.
    """

    def __init__(
        self,
        parameters: RBMParameters,
        rule: UpdateRule,
        batch_size: int,
        chains: np.ndarray,
        center_visible: np.ndarray,
        center_hidden: np.ndarray,
        *,
        draw_ahead: bool = False,
    ) -> None:
        k, m = parameters.n_hidden, parameters.n_visible
        self.rule, self.weight_decay = rule, 0.0
        self._centers = [_augmented(c) for c in (center_visible, center_hidden)]
        self._centered = bool(center_visible.any() or center_hidden.any())
        self._negative = np.empty((m + 1, k + 1), dtype=np.float32)
        self._weights = self._negative[:-1, :-1]
        self.parameters = parameters
        n_chains = len(chains) if rule.persistent else batch_size
        self._visible = np.ones((n_chains + batch_size, m + 1), dtype=np.float32)
        self._hidden = np.ones((n_chains + batch_size, k + 1), dtype=np.float32)
        n_draws = n_chains * (m + k + 2)
        n_updates = max(1, min(_AHEAD // n_draws, 16)) if draw_ahead else 1
        self._noise = np.empty((n_updates, n_draws), dtype=np.float32)
        self._n_used = n_updates
        self._views: dict[int, tuple[np.ndarray, ...]] = {}
        self._state = np.ones((len(chains), k + 1), dtype=np.float32)
        self._velocity = np.zeros_like(self._negative) if rule.momentum else None
        # an accumulating product saves a pass over the matrix, but starts more slowly
        self._product = np.empty_like(self._negative) if self._negative.size < _SMALL else None
        self._mean_hidden = np.full(k + 1, rule.sparsity_target, dtype=np.float32)
        self.chains = chains

    @property
    def parameters(self) -> RBMParameters:
        """The parameters of units that are 0 or 1, in float64."""
        return self.unpack(self._negative)

    @parameters.setter
    def parameters(self, parameters: RBMParameters) -> None:
        p = parameters.as_float64()
        visible, hidden = (center[:-1].astype(np.float64) for center in self._centers)
        self._negative[:-1, :-1] = -p.components.T
        self._negative[:-1, -1] = -(p.intercept_visible + hidden @ p.components)
        self._negative[-1, :-1] = -(p.intercept_hidden + p.components @ visible)
        self._negative[-1, -1] = -_SURE

    def unpack(self, negative: np.ndarray) -> RBMParameters:
        """Return the parameters that a matrix in the layout of the state stands for."""
        positive = -np.asarray(negative, dtype=np.float64)
        visible, hidden = (center[:-1].astype(np.float64) for center in self._centers)
        components = np.ascontiguousarray(positive[:-1, :-1].T)
        return RBMParameters(
            components,
            positive[-1, :-1] - components @ visible,
            positive[:-1, -1] - hidden @ components,
        )

    @property
    def matrix(self) -> np.ndarray:
        """The state itself, for averages: (m + 1, k + 1) float32, changed in place by updates."""
        return self._negative

    @property
    def chains(self) -> np.ndarray:
        """The hidden units of the persistent chains, 0 or 1, (n_chains, k)."""
        return np.rint(self._state[:, :-1] + self._centers[1][:-1])

    @chains.setter
    def chains(self, chains: np.ndarray) -> None:
        self._state[:, :-1] = chains
        self._state -= self._centers[1]

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return a copy of all that updates change."""
        arrays = {"matrix": self._negative, "state": self._state, "mean": self._mean_hidden}
        if self._velocity is not None:
            arrays["velocity"] = self._velocity
        return {name: array.copy() for name, array in arrays.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go back to a snapshot, of a kernel with the same centers."""
        self._negative[:] = arrays["matrix"]
        self._mean_hidden[:] = arrays["mean"]
        if arrays["state"].shape == self._state.shape:  # not another number of chains
            self._state[:] = arrays["state"]
        if self._velocity is not None and "velocity" in arrays:
            self._velocity[:] = arrays["velocity"]

    @property
    def center_visible(self) -> np.ndarray:
        """What :meth:`centered` subtracts: (m + 1,) float32, with a zero at the end."""
        return self._centers[0]

    def centered(self, rows: np.ndarray) -> np.ndarray:
        """Return rows (n, m) as batches want them: float32, (n, m + 1), ones in the last column."""
        table = np.ones((len(rows), rows.shape[1] + 1), dtype=np.float32)
        table[:, :-1] = rows
        if self._centered:
            table -= self._centers[0]
        return table

    def batch(self, n_rows: int) -> np.ndarray:
        """Return where to write the centered rows of a batch before :meth:`update`."""
        return self._views_of(n_rows)[1]

    def _views_of(self, n_rows: int) -> tuple[np.ndarray, ...]:
        """Return visible units of model, data and both, hidden units likewise; kept for speed.

        The last two are what hidden units of the model count in the gradient, and all centers.
        """
        views = self._views.get(n_rows)
        if views is None:
            n_chains = len(self._state) if self.rule.persistent else n_rows
            visible = self._visible[: n_chains + n_rows]
            hidden = self._hidden[: n_chains + n_rows]
            views = (visible[:n_chains], visible[n_chains:], visible)
            views += (hidden[:n_chains], hidden[n_chains:], hidden)
            count = np.full((), -n_rows / n_chains, dtype=np.float32)
            center = np.tile(self._centers[1], (len(hidden), 1))
            center[:n_chains] *= count
            views += (count, center)
            self._views[n_rows] = views
        return views

    def update(self, n_rows: int, rate: float, rng: np.random.Generator) -> None:
        """Make one step of size `rate` with the rows written into ``batch(n_rows)``.

        To be called within ``np.errstate(**QUIET)``: infinite odds are right ones here.
        """
        views = self._views_of(n_rows)
        if self.rule.persistent:
            self._persistent_phases(views, rng)
        else:
            self._short_phases(views, rng)
        _, _, visible, model, data, hidden, count, center = views
        np.divide(count, model, out=model)  # probabilities, signed; eq. rbm-conditionals
        np.divide(_ONE, data, out=data)
        if self._centered:
            np.subtract(hidden, center, out=hidden)
        if self.rule.sparsity_cost:
            self._pull_to_sparsity(data)
        self._apply(visible, hidden, rate, n_rows)

    def _persistent_phases(self, views: tuple[np.ndarray, ...], rng: np.random.Generator) -> None:
        model_visible, _, visible, model, _, hidden, _, _ = views
        for step in range(self.rule.n_gibbs_steps):
            noise_visible, noise_hidden = self._draw_noise(model_visible, model, rng)
            self._draw_visible(self._state, noise_visible, model_visible)
            if step == self.rule.n_gibbs_steps - 1:  # both phases in one product
                self._inverse_hidden(visible, hidden)
            else:
                self._inverse_hidden(model_visible, model)
            self._draw(model, noise_hidden, self._centers[1], self._state)

    def _short_phases(self, views: tuple[np.ndarray, ...], rng: np.random.Generator) -> None:
        model_visible, data_visible, _, model, data, _, _, _ = views
        self._inverse_hidden(data_visible, data)
        before = data
        for _ in range(self.rule.n_gibbs_steps):
            noise_visible, noise_hidden = self._draw_noise(model_visible, model, rng)
            self._draw(before, noise_hidden, self._centers[1], model)
            self._draw_visible(model, noise_visible, model_visible)
            self._inverse_hidden(model_visible, model)
            before = model

    def _inverse_hidden(self, visible: np.ndarray, out: np.ndarray) -> None:
        """Write 1 / p(h = 1 | v); exp, not tanh or expit: half their time without AVX-512."""
        np.dot(visible, self._negative, out=out)
        np.exp(out, out=out)
        np.add(out, _ONE, out=out)

    def _draw_visible(self, hidden: np.ndarray, noise: np.ndarray, out: np.ndarray) -> None:
        np.dot(hidden, self._negative.T, out=out)
        np.exp(out, out=out)
        np.add(out, _ONE, out=out)
        self._draw(out, noise, self._centers[0], out)

    def _draw_noise(
        self, visible: np.ndarray, hidden: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return 1 / u for uniform u, in the shapes of both layers.

        16 random bits for each unit, below which 8 more are shared by all units of a call: every
        unit is on with its probability to within 2^-24 or so, for the price of 16 bits.
        """
        n, n_visible = visible.size + hidden.size, visible.size
        if self._n_used == len(self._noise):
            self._refill(rng, n)
        noise = self._noise[self._n_used, :n]
        self._n_used += 1
        return noise[:n_visible].reshape(visible.shape), noise[n_visible:].reshape(hidden.shape)

    def _refill(self, rng: np.random.Generator, n: int) -> None:
        n_updates, n_draws = self._noise.shape
        if n_updates > 1:
            n = n_draws  # whatever later updates need
        words = rng.bit_generator.random_raw(n_updates * n // 4 + 1 + n_updates)
        noise = self._noise[:, :n]
        for update in range(n_updates):
            low = np.float32((int(words[-1 - update]) & 255) / 256)
            bits = words.view(np.uint16)[update * n : (update + 1) * n]
            np.add(bits, low, out=noise[update])
        np.divide(_LEVELS, noise, out=noise)
        self._n_used = 0

    def _draw(
        self, inverse: np.ndarray, noise: np.ndarray, center: np.ndarray, out: np.ndarray
    ) -> None:
        """Write centered units, on with probability 1 / `inverse`, all independent."""
        np.less(inverse, noise, out=out)
        if self._centered:
            np.subtract(out, center, out=out)

    def _pull_to_sparsity(self, data: np.ndarray) -> None:
        """Add to each row's hidden units what moves their running mean to the target."""
        target, cost = self.rule.sparsity_target, self.rule.sparsity_cost
        mean = data.mean(axis=0) + self._centers[1]
        self._mean_hidden += np.float32(0.1) * (mean - self._mean_hidden)
        pull = np.float32(cost) * (np.float32(target) - self._mean_hidden)
        pull[-1] = 0.0
        np.add(data, pull, out=data)

    def _apply(self, visible: np.ndarray, hidden: np.ndarray, rate: float, n_rows: int) -> None:
        if self.weight_decay:
            weights, kept = self._weights, np.float32(max(0.0, 1 - rate * self.weight_decay))
            np.multiply(weights, kept, out=weights)
        step = -rate / n_rows  # eq. rbm-gradient: weights and both intercepts in one product
        if self._velocity is not None:
            velocity = self._velocity
            sgemm(step, hidden.T, visible.T, self.rule.momentum, velocity.T, **_IN_PLACE)
            velocity[-1, -1] = 0.0
            self._negative += velocity
        elif self._product is not None:
            np.dot(visible.T, hidden, out=self._product)
            saxpy(self._product.ravel(), self._negative.ravel(), a=step)
        else:
            sgemm(step, hidden.T, visible.T, 1.0, self._negative.T, **_IN_PLACE)


def _augmented(center: np.ndarray) -> np.ndarray:
    return np.append(center, 0.0).astype(np.float32)
