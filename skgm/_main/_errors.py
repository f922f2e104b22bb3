"""The one exception of the main job: a message of one line, for a person."""

__all__ = ["JobError", "one_line"]


class JobError(Exception):
    """Something the user can put right; the message names the culprit."""


def one_line(error: BaseException | str) -> str:
    """Return what an exception or a warning says, on a single line."""
    return " ".join(str(error).split()) or type(error).__name__
