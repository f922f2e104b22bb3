"""The log-partition function and the moments of a model, by enumeration of the smaller layer.

The states of the smaller layer are pairs (i, j) of an outer and an inner half. The activation of a
unit of the other layer is a sum L_i + R_j, so the factor 1 + exp(L_i + R_j) comes from two short
tables of exponentials, and no transcendental function is evaluated per state and unit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from skgm.rbm._energy import RBMParameters, softplus

__all__ = [
    "Enumeration",
    "Moments",
    "all_states",
    "exact_log_partition",
    "exact_moments",
]

_CELLS = 2**14  # states per block, 128 kB: a product and a factor stay in the cache
_STORE = 2**20  # values per block where the factors of all units are kept, for the moments
_RANGE = 300.0  # exponents: a product of factors is renewed before it could overflow


@dataclass(frozen=True, eq=False)
class Moments:
    """Log-partition function and expectations under the model.

    Attributes
    ----------
    log_partition : float
    hidden : ndarray of shape (k,)
        E[h].
    visible : ndarray of shape (m,)
        E[v].
    product : ndarray of shape (k, m)
        E[h v'].
    """

    log_partition: float
    hidden: np.ndarray
    visible: np.ndarray
    product: np.ndarray


def exact_log_partition(parameters: RBMParameters) -> float:
    """Return log Z in float64 (eq. rbm-log-partition-exact).

    The time is proportional to 2 ** min(k, m) * max(k, m).

    Parameters
    ----------
    parameters : RBMParameters

    Returns
    -------
    log_partition : float
    """
    total = _LogSum()
    for _, values in Enumeration(parameters).blocks():
        total.add(values)
    return total.value


def exact_moments(parameters: RBMParameters) -> Moments:
    """Return log Z with its gradient: the moments of the model (eq. rbm-log-partition-exact).

    Parameters
    ----------
    parameters : RBMParameters

    Returns
    -------
    moments : Moments
    """
    plan = Enumeration(parameters, keep_factors=True)
    total = _LogSum()
    n_outer = plan.outer.shape[1]
    enumerated, other = np.zeros(plan.n_enumerated), np.zeros(plan.n_other)
    product = np.zeros((plan.n_other, plan.n_enumerated))
    for rows, values in plan.blocks():
        factor, weight = total.add(values)  # weight relative to the maximum so far
        for array in (enumerated, other, product):
            array *= factor
        outer_bits = plan.outer[rows]
        enumerated[:n_outer] += weight.sum(axis=1) @ outer_bits
        enumerated[n_outer:] += weight.sum(axis=0) @ plan.inner
        for t in range(plan.n_other):
            joint = plan.probability(t, rows)
            joint *= weight
            by_outer = joint.sum(axis=1)
            other[t] += by_outer.sum()
            product[t, :n_outer] += by_outer @ outer_bits
            product[t, n_outer:] += joint.sum(axis=0) @ plan.inner
    enumerated, other, product = (a / total.scaled for a in (enumerated, other, product))
    if plan.hidden_enumerated:
        return Moments(total.value, enumerated, other, product.T)
    return Moments(total.value, other, enumerated, product)


def all_states(n_units: int) -> np.ndarray:
    """Return the 2**n_units binary rows, float64, (2**n_units, n_units), in order of counting."""
    counts = np.arange(2**n_units)[:, None]
    return (counts >> np.arange(n_units)[::-1] & 1).astype(np.float64)


class Enumeration:
    """Unnormalized log-probabilities of all states of the smaller layer, block by block.

    Attributes
    ----------
    hidden_enumerated : bool
        Whether the hidden layer is the smaller one.
    outer, inner : ndarray of shape (2**a, a), (2**b, b)
        The states of the two halves of the enumerated layer.
    """

    def __init__(self, parameters: RBMParameters, *, keep_factors: bool = False) -> None:
        p = parameters.as_float64()
        self.hidden_enumerated = p.n_hidden <= p.n_visible
        self._p = p if self.hidden_enumerated else p.transposed()  # enumerated = "hidden"
        self.n_enumerated, self.n_other = self._p.components.shape
        n_inner = min(self.n_enumerated - self.n_enumerated // 2, 10)
        self.outer = all_states(self.n_enumerated - n_inner)
        self.inner = all_states(n_inner)
        n_outer = self.outer.shape[1]
        weights, own = self._p.components, self._p.intercept_hidden
        left = self.outer @ weights[:n_outer]  # (2**a, t)
        right = (self.inner @ weights[n_outer:] + self._p.intercept_visible).T  # (t, 2**b)
        self._left, self._right = left, np.ascontiguousarray(right)
        self._own_left = self.outer @ own[:n_outer]
        self._own_right = self.inner @ own[n_outer:]
        reach = np.maximum(np.abs(left).max(axis=0), np.abs(right).max(axis=1))
        self._small = reach <= _RANGE  # units whose exponentials can be multiplied
        self._growth = np.maximum(left.max(axis=0) + right.max(axis=1), 0.0) + np.log(2)
        shown = np.where(self._small, left, 0.0)
        self._exp_left = np.exp(shown)
        self._exp_right = np.exp(np.where(self._small[:, None], self._right, 0.0))
        cells = max(1, min(_CELLS, _STORE // max(self.n_other, 1))) if keep_factors else _CELLS
        self._step = max(1, cells // len(self.inner))
        shape = (self._step, len(self.inner))
        self._factors = np.empty((self.n_other if keep_factors else 1, *shape))

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows of `outer` and the log-probabilities, (rows, inner), up to log Z."""
        for start in range(0, len(self.outer), self._step):
            rows = slice(start, min(start + self._step, len(self.outer)))
            yield rows, self._block(rows)

    def probability(self, t: int, rows: slice) -> np.ndarray:
        """Return p(unit t of the other layer = 1 | state), for the block that came last."""
        if not self._small[t]:
            return expit(self._left[rows, t, None] + self._right[t])
        factor = self._factors[t, : rows.stop - rows.start]
        return 1 - 1 / factor

    def _block(self, rows: slice) -> np.ndarray:
        n = rows.stop - rows.start
        values = self._own_left[rows, None] + self._own_right
        product, growth = np.ones_like(values), 0.0
        for t in range(self.n_other):
            if not self._small[t]:
                values += softplus(self._left[rows, t, None] + self._right[t])
                continue
            growth += self._growth[t]
            if growth > 2 * _RANGE:
                values += np.log(product)
                product[:], growth = 1.0, self._growth[t]
            factor = self._factors[t % len(self._factors), :n]
            np.multiply(self._exp_left[rows, t, None], self._exp_right[t], out=factor)
            factor += 1.0
            product *= factor
        values += np.log(product, out=product)
        return values


class _LogSum:
    """A running logsumexp over blocks."""

    def __init__(self) -> None:
        self.maximum, self.scaled = -np.inf, 0.0

    @property
    def value(self) -> float:
        return float(self.maximum + np.log(self.scaled))

    def add(self, values: np.ndarray) -> tuple[float, np.ndarray]:
        """Add a block; return by what earlier sums shrink, and the block's own weights."""
        maximum = max(self.maximum, float(values.max()))
        factor = float(np.exp(self.maximum - maximum))
        weight = np.exp(values - maximum)
        self.maximum, self.scaled = maximum, self.scaled * factor + float(weight.sum())
        return factor, weight
