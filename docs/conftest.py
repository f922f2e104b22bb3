"""The pages' examples are doctests; the pages' machinery is not a test."""

collect_ignore_glob = ["*.py", "_ext/*", "_build/*", "auto_examples/*", "api/generated/*"]
