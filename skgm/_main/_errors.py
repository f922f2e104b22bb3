"""The one exception of the main job: a message for a person."""

from collections.abc import Sequence

__all__ = ["JobError", "one_line"]


class JobError(Exception):
    """Something the user can put right; the message names the culprit."""

    @classmethod
    def of(cls, origin: str, faults: Sequence[str]) -> "JobError":
        """Return one error for all that is wrong with a file: a line, or a block of lines."""
        if len(faults) == 1:
            return cls(f"{origin}: {faults[0]}")
        return cls(
            f"{origin} cannot be used, for {len(faults)} reasons:"
            + "".join(f"\n  - {one_line(fault)}" for fault in faults)
        )


def one_line(error: BaseException | str) -> str:
    """Return what an exception or a warning says, on a single line."""
    return " ".join(str(error).split()) or type(error).__name__
