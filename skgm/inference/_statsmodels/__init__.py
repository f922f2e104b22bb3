"""Inference for the fitted models of other packages: statsmodels' results as likelihoods."""

__all__: list[str] = []
