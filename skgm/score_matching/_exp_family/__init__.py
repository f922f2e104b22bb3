"""Exponential families fitted by score matching, which is one linear system."""

__all__: list[str] = []
