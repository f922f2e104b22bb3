"""Numerical methods on arrays. Nothing here knows a model, a table or any other part of skgm."""

__all__: list[str] = []
