"""Denoising diffusion: densities learned by removing noise, and the formulas behind them."""

from skgm.diffusion._ddpm import DDPM
from skgm.diffusion._process import (
    convert_prediction,
    forward_marginal,
    forward_step,
    gaussian_product,
    gaussian_quotient,
    posterior_mean,
    posterior_variance,
)
from skgm.diffusion._schedule import NoiseSchedule

__all__ = [
    "DDPM",
    "NoiseSchedule",
    "convert_prediction",
    "forward_marginal",
    "forward_step",
    "gaussian_product",
    "gaussian_quotient",
    "posterior_mean",
    "posterior_variance",
]
