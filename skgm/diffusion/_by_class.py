"""Classes: their codes, labels to draw, and one denoiser for each where none serves all."""

from typing import Any

import numpy as np
from scipy.special import logsumexp
from sklearn.utils.validation import column_or_1d

__all__ = [
    "EmpiricalDenoiser",
    "PerClassDenoiser",
    "check_same_classes",
    "class_codes",
    "encode_labels",
    "stratified_codes",
]


def class_codes(y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted classes of the labels y and the code of each row."""
    if y is None:
        raise ValueError(
            "class_conditional=True requires y to be passed, but the target y is None: give one "
            "class label per row."
        )
    labels = column_or_1d(y)
    if len(labels) != n_rows:
        raise ValueError(f"y has {len(labels)} labels for {n_rows} rows of X; give one per row.")
    missing = np.array([label is None or label != label for label in labels.tolist()], dtype=bool)
    if missing.any():
        raise ValueError(
            f"y has a missing label at row {int(np.argmax(missing))}. Drop that row, or give the "
            "missing labels a class of their own."
        )
    classes, codes = np.unique(labels, return_inverse=True)
    return classes, codes


def check_same_classes(fitted: np.ndarray | None, conditional: bool, classes: Any) -> None:
    """Raise if more rows come with other classes than `fitted`, those of the first: None without.

    `classes` are those that a later call names: None if it names none.
    """
    if conditional != (fitted is not None):
        raise ValueError(
            f"class_conditional={conditional}, but the rows so far were fitted with "
            f"class_conditional={not conditional}, which partial_fit cannot change. Call fit "
            f"again, with all rows, or set class_conditional={not conditional}."
        )
    if fitted is None or classes is None:
        return
    if not np.array_equal(np.unique(classes), fitted):
        raise ValueError(
            f"classes={classes!r} are not those of the first call, which were "
            f"{fitted.tolist()}. Give the same or None, or call fit again, with all rows."
        )


def encode_labels(y: Any, classes: np.ndarray) -> np.ndarray:
    """Return the codes of labels among known classes; others raise, named."""
    labels = column_or_1d(y)
    lookup = {label: code for code, label in enumerate(classes.tolist())}
    unknown = [label for label in labels.tolist() if label not in lookup]
    if unknown:
        raise ValueError(
            f"y contains the label {unknown[0]!r}, which fit has not seen; its classes are "
            f"{classes.tolist()}."
        )
    return np.array([lookup[label] for label in labels.tolist()], dtype=np.intp)


def stratified_codes(prior: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n class codes in random order, each class as often as n * prior says, to within one.

    Systematic sampling: unbiased, and without the variance of independent draws.
    """
    points = (np.arange(n) + rng.random()) / n
    codes = np.searchsorted(np.cumsum(prior), points, side="right")
    return rng.permutation(np.minimum(codes, len(prior) - 1))


class PerClassDenoiser:
    """A denoiser for each class, side by side; `condition` holds the codes."""

    def __init__(self, denoisers: list[Any]) -> None:
        self._denoisers = denoisers

    def velocity(self, u: np.ndarray, phi: Any, condition: Any = None) -> np.ndarray:
        """Return F(u, phi), (n, d)."""
        return self._gather("velocity", u, phi, condition)[0]

    def velocity_jvp(
        self, u: np.ndarray, phi: Any, w: np.ndarray, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F and its directional derivative J_F w, each (n, d)."""
        value, along = self._gather("velocity_jvp", u, phi, condition, w)
        return value, along

    def velocity_divergence(
        self, u: np.ndarray, phi: Any, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F, (n, d), and the trace of its Jacobian, (n,)."""
        value, trace = self._gather("velocity_divergence", u, phi, condition)
        return value, trace

    def _gather(
        self, method: str, u: np.ndarray, phi: Any, condition: Any, *rows: np.ndarray
    ) -> list[np.ndarray]:
        parts: list[np.ndarray] = []
        for code in np.unique(condition):
            mine = condition == code
            angle = phi if np.ndim(phi) == 0 else phi[mine]
            outputs = getattr(self._denoisers[code], method)(
                u[mine], angle, *(array[mine] for array in rows)
            )
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            parts = parts or [np.empty((len(u), *out.shape[1:])) for out in outputs]
            for part, output in zip(parts, outputs):
                part[mine] = output
        return parts


# The exact denoiser of a table: what training would converge to, and never should.

_BLOCK = 1 << 21  # entries of the largest (block, n) array: 16 MiB in float64


class EmpiricalDenoiser:
    """Bayes' denoiser of the empirical distribution of weighted rows.

    With noise added, the empirical distribution is a mixture of normals centered on the rows; its
    posterior mean of the data is in closed form. The probability flow from it has exactly the
    density of a kernel density estimate (eq. ddpm-probability-flow), which is what it is for:
    the reference for solvers and likelihoods. Its samples are training rows plus the noise of the
    last level.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, d)
        Scaled data.
    weight : ndarray of shape (n_rows,), default=None
        Weights; rows of weight zero are left out.
    """

    def __init__(self, rows: np.ndarray, weight: np.ndarray | None = None) -> None:
        rows = np.asarray(rows, dtype=np.float64)
        counted = slice(None) if weight is None else np.asarray(weight) > 0
        self.rows = rows[counted]
        mass = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64)
        self.log_weight = np.log(mass[counted] / mass.sum())

    def velocity(self, u: np.ndarray, phi: Any, condition: Any = None) -> np.ndarray:
        """Return F(u, phi), the expectation of sin(phi) z - cos(phi) e given u, (n, d)."""
        cos, sin = _cos_sin(phi, len(u))
        mean = np.empty(u.shape)
        for block in self._blocks(len(u)):
            mean[block] = self._shares(u[block], cos[block], sin[block]) @ self.rows
        return (mean - cos * u) / sin

    def velocity_jvp(
        self, u: np.ndarray, phi: Any, w: np.ndarray, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F and its directional derivative J_F w, each (n, d)."""
        cos, sin = _cos_sin(phi, len(u))
        mean, spread = np.empty(u.shape), np.empty(u.shape)
        for block in self._blocks(len(u)):
            share = self._shares(u[block], cos[block], sin[block])
            mean[block] = share @ self.rows
            share *= w[block] @ self.rows.T - (mean[block] * w[block]).sum(axis=1, keepdims=True)
            spread[block] = share @ self.rows  # posterior covariance times w
        return (mean - cos * u) / sin, cos * (spread / sin**2 - w) / sin

    def velocity_divergence(
        self, u: np.ndarray, phi: Any, condition: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return F, (n, d), and the trace of its Jacobian, (n,)."""
        cos, sin = _cos_sin(phi, len(u))
        mean, spread = np.empty(u.shape), np.empty((len(u), 1))
        for block in self._blocks(len(u)):
            share = self._shares(u[block], cos[block], sin[block])
            mean[block] = share @ self.rows
            squares = ((mean[block][:, None, :] - self.rows) ** 2).sum(axis=2)
            spread[block] = (share * squares).sum(axis=1, keepdims=True)
        divergence = cos * (spread / sin**2 - u.shape[1]) / sin
        return (mean - cos * u) / sin, divergence[:, 0]

    def _shares(self, u: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        """Return the posterior probability of each row, (block, n_rows)."""
        squares = np.zeros((len(u), len(self.rows)))
        for j in range(u.shape[1]):  # differences, not squares of norms: no cancellation
            squares += (u[:, j, None] - cos * self.rows[:, j]) ** 2
        log_share = self.log_weight - 0.5 * squares / sin**2
        return np.exp(log_share - logsumexp(log_share, axis=1, keepdims=True))

    def _blocks(self, n: int) -> list[slice]:
        size = max(1, _BLOCK // (len(self.rows) * max(1, self.rows.shape[1])))
        return [slice(start, start + size) for start in range(0, n, size)]


def _cos_sin(phi: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cosine and sine of the angle of each row, (n, 1)."""
    column = np.broadcast_to(np.asarray(phi, dtype=np.float64), (n,))[:, None]
    return np.cos(column), np.sin(column)
