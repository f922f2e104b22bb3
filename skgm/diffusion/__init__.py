"""Denoising diffusion: densities learnt by removing noise, and the formulas behind them."""

from skgm.diffusion._ddpm import DDPM
from skgm.diffusion._forward import forward_marginal, forward_step
from skgm.diffusion._gaussians import gaussian_product, gaussian_quotient
from skgm.diffusion._parameterisations import convert_prediction
from skgm.diffusion._posterior import posterior_mean, posterior_variance
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
