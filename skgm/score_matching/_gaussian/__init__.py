"""The Gaussian fitted by score matching: full, sparse, on a known graph, truncated, incomplete."""

__all__: list[str] = []
