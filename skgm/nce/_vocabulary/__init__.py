"""Choices among thousands of classes, trained on samples of them: classifier, language model."""

__all__: list[str] = []
