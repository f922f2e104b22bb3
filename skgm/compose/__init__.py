"""Compositions: densities made of transformers and densities."""

from skgm.compose._pipeline import DensityPipeline, make_density_pipeline

__all__ = ["DensityPipeline", "make_density_pipeline"]
