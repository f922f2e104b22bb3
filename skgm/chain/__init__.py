"""Chains of classifiers: exact densities of tables with numbers, atoms, categories and holes."""

from skgm.chain._chain import DensityChain

__all__ = ["DensityChain"]
