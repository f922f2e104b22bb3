"""The kernel exponential family fitted by score matching."""

__all__: list[str] = []
