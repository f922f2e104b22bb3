"""Mixtures of Gaussians for tables with holes."""

from skgm.mixture._gaussian_mixture import GaussianMixtureDensity

__all__ = ["GaussianMixtureDensity"]
