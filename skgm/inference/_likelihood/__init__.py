"""Fits, tests and intervals from a likelihood, whatever model it belongs to."""

__all__: list[str] = []
