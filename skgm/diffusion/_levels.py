"""Which noise levels training visits, and the one pair (noisy row, target) that it learns from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

__all__ = ["NoiseLevels", "noisy_pairs", "prediction_gain"]

# At its far end a prediction other than "v" says little of F: no gain grows beyond 1 / this.
_LEAST = 0.1


@dataclass(frozen=True)
class NoiseLevels:
    """A distribution over angles phi, whose tangent is the standard deviation of the noise.

    "lognormal": log tan(phi) is normal, cut off at both ends; "uniform": phi is uniform.
    """

    phi_min: float
    phi_max: float
    kind: str = "lognormal"
    mean: float = -1.2
    spread: float = 1.2

    def angles(self, quantiles: np.ndarray) -> np.ndarray:
        """Return the angles at the quantiles, both of shape (n,)."""
        if self.kind == "uniform":
            return self.phi_min + (self.phi_max - self.phi_min) * quantiles
        ends = np.log(np.tan([self.phi_min, self.phi_max]))
        low, high = ndtr((ends - self.mean) / self.spread)
        normal = ndtri(low + (high - low) * quantiles)
        return np.arctan(np.exp(self.mean + self.spread * normal))

    def draw(self, sizes: Sequence[int], rng: np.random.Generator) -> np.ndarray:
        """Draw angles for batches of these sizes, (sum of sizes,).

        In a batch of n there is one in each of n equally likely strata, in random order.
        """
        strata = [rng.permutation(n) / n for n in sizes]
        widths = np.repeat(1 / np.asarray(sizes), sizes)
        return self.angles(np.concatenate(strata) + rng.random(len(widths)) * widths)


def noisy_pairs(z: np.ndarray, noise: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return u = cos(phi) z + sin(phi) e and the target F = sin(phi) z - cos(phi) e, (n, d)."""
    phi = phi.astype(z.dtype)
    # of the shape of z: faster than broadcasting along few columns
    cos, sin = (np.repeat(f(phi), z.shape[1]).reshape(z.shape) for f in (np.cos, np.sin))
    return cos * z + sin * noise, sin * z - cos * noise


def prediction_gain(prediction: str, phi: np.ndarray) -> np.ndarray:
    """Return what turns the output of a network into F, (n,).

    Every prediction is written as its value for Gaussian data plus a multiple of F: for the noise
    e = sin(phi) u - cos(phi) F, for the data z = cos(phi) u + sin(phi) F. The network learns the
    second term, so whatever is predicted, a network of zeros is the fitted Gaussian; the
    predictions differ in how they weight the noise levels.
    """
    if prediction == "v":
        return np.ones_like(phi)
    if prediction == "eps":
        return -1 / np.maximum(np.cos(phi), _LEAST)
    return 1 / np.maximum(np.sin(phi), _LEAST)
