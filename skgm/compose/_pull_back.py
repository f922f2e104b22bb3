"""The probability that the last step gives to the set that the transformers map onto.

Where that set is not the whole space (sqrt reaches positive numbers only), the density of the
pipeline is the last step's density restricted to it, and this probability normalizes it.
"""

from typing import Any

import numpy as np

from skgm.compose._bijections import Box, Chain

__all__ = [
    "MAX_ROUNDS",
    "complete_rows",
    "draw_rows",
    "log_image_probability",
    "log_observed_probability",
]

_SUPPORTS = {
    "positive": (0.0, np.inf),
    "non-negative": (0.0, np.inf),
    "unit": (0.0, 1.0),
    "circle": (-np.pi, np.pi),
}
_CHUNK = 2**22  # draws are taken in parts of at most this many values


def log_image_probability(density: Any, chain: Chain, n_draws: int) -> tuple[float, bool]:
    """Return the log-probability of the image, and whether it is more than an estimate.

    Exact where the image contains the support of the density, and by quadrature in one
    dimension; otherwise the share of `n_draws` draws, whose relative standard error is
    sqrt((1 - p) / (p n_draws)).
    """
    d = density.n_features_in_
    box = chain.push_box((np.full(d, -np.inf), np.full(d, np.inf)))
    support = _SUPPORTS.get(density.__density_tags__().support, (-np.inf, np.inf))
    if box is not None and (box[0] <= support[0]).all() and (box[1] >= support[1]).all():
        return 0.0, True
    if box is not None and d == 1:
        return min(np.log(_integrate(density, box)), 0.0), True
    share = _share_inside(density, chain, n_draws)
    if share == 0:
        _raise_empty()
    return float(np.log(share)), False  # also where no draw fell outside: p is then >= 1 - 5e-5


def _share_inside(density: Any, chain: Chain, n_draws: int) -> float:
    rng = np.random.default_rng(0)  # a fixed stream: fitting is deterministic
    part = max(1, _CHUNK // density.n_features_in_)
    inside = 0
    for start in range(0, n_draws, part):
        draws = np.asarray(
            density.sample(min(part, n_draws - start), random_state=rng), dtype=np.float64
        )
        inside += int((~np.isnan(chain.inverse(draws)).any(axis=1)).sum())
    return inside / n_draws


def log_observed_probability(
    density: Any, chain: Chain, n_draws: int, observed: np.ndarray
) -> np.ndarray:
    """Return the log-probability of what the observed columns of each row can reach, (n,).

    It normalizes the density of rows with holes, of each pattern by itself; from draws, the same at
    every call. The maps act on each column alone.
    """
    n_draws = min(n_draws, max(1, _CHUNK // density.n_features_in_))
    draws = density.sample(n_draws, random_state=np.random.default_rng(0))
    inside = ~np.isnan(_back(draws, chain))
    patterns, which = np.unique(observed, axis=0, return_inverse=True)
    share = np.array([inside[:, pattern].all(axis=1).mean() for pattern in patterns])
    return np.asarray(np.log(np.maximum(share, 1 / n_draws))[which.ravel()])


def _integrate(density: Any, box: Box) -> float:
    """Integrate a one-dimensional density over an interval by composite Gauss-Legendre."""
    low, high = box[0][0], box[1][0]
    draws = np.asarray(density.sample(2048, random_state=np.random.default_rng(0))).ravel()
    inside = draws[(draws > low) & (draws < high)].astype(np.float64)
    if len(inside) == 0:
        _raise_empty()
    knots = _knots(inside, np.ptp(draws) or 1.0, low, high)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = np.diff(knots)[:, None] / 2
    points = knots[:-1, None] + half * (1 + nodes)
    values = np.exp(density.score_samples(points.reshape(-1, 1))).reshape(points.shape)
    return float((half * weights * values).sum())


def _knots(inside: np.ndarray, spread: float, low: float, high: float) -> np.ndarray:
    """Return section ends: quantiles of the draws, then doubling steps out to the interval's."""
    quantiles = np.unique(np.quantile(inside, np.linspace(0, 1, 33)))
    steps = spread * (2.0 ** np.arange(60) - 1) / 32
    left, right = quantiles[0] - steps[1:], quantiles[-1] + steps[1:]
    ends = [np.array([low, high])[np.isfinite([low, high])], left[left > low], right[right < high]]
    return np.unique(np.concatenate([quantiles, *ends]))


def _raise_empty() -> None:
    raise ValueError(
        "The last step puts (almost) no probability on the values that the transformers can "
        "produce, so the pipeline has no density. Use a transformer that maps onto the whole "
        "line (log in place of sqrt or exp), or a last step with a matching support."
    )


# Draws of the last step, taken back through the transformers.

MAX_ROUNDS = 1000


def draw_rows(density: Any, chain: Chain, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return rows in original units, (n_samples, d); draws outside the image are rejected."""
    rows = _back(density.sample(n_samples, random_state=rng), chain)
    for _ in range(MAX_ROUNDS):
        lost = np.isnan(rows).any(axis=1)
        if not lost.any():
            return rows
        rows[lost] = _back(density.sample(int(lost.sum()), random_state=rng), chain)
    raise ValueError(
        f"After {MAX_ROUNDS} rounds the last step still draws values that the transformers "
        "cannot produce. Use a transformer that maps onto the whole line (log in place of sqrt)."
    )


def complete_rows(
    density: Any,
    chain: Chain,
    given: np.ndarray,
    n_samples: int,
    rng: np.random.Generator,
    names: list[str],
) -> np.ndarray:
    """Return completions in original units, (m * n_samples, d), grouped by row of `given`."""
    given = given.astype(np.float64)
    with np.errstate(all="ignore"):
        given_z = chain.forward(given)
        lost = np.isnan(chain.inverse(given_z)) & ~np.isnan(given)
    if lost.any():
        row, column = np.argwhere(lost)[0]
        raise ValueError(
            f"given holds {float(given[row, column])!r} in column {names[column]!r} (row {row}), "
            "outside the support of the pipeline."
        )
    rows = _back(density.sample(n_samples, random_state=rng, given=given_z), chain)
    repeated = np.repeat(given_z, n_samples, axis=0)
    for _ in range(MAX_ROUNDS):
        bad = np.isnan(rows).any(axis=1)
        if not bad.any():
            return rows
        rows[bad] = _back(density.sample(1, random_state=rng, given=repeated[bad]), chain)
    raise ValueError(
        f"After {MAX_ROUNDS} rounds some rows of `given` still have no completion that the "
        "transformers can produce. They lie too far outside the training table."
    )


def _back(drawn: Any, chain: Chain) -> np.ndarray:
    with np.errstate(all="ignore"):
        return chain.inverse(np.asarray(drawn, dtype=np.float64))
