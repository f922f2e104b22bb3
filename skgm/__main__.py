"""``python -m skgm [table.csv]``: the main job, end to end."""

import io
import os
import sys
from collections.abc import Sequence

EXIT_OK, EXIT_BROKEN_PIPE, EXIT_USER_ERROR, EXIT_INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job and return the exit status; what the user can put right takes one block."""
    try:
        return _print_job(argv)
    except SystemExit:  # argparse, after --help
        return EXIT_OK
    except MemoryError:
        return _complain("not enough memory for this table or --n-samples", EXIT_USER_ERROR)
    except KeyboardInterrupt:
        return _complain("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader (head, less) has gone; nothing is left to say
        _silence_stdout()
        return EXIT_BROKEN_PIPE
    except OSError as error:  # a full disk behind stdout, or under an output file
        _silence_stdout()
        return _complain(f"cannot write: {error.strerror or error}", EXIT_USER_ERROR)


def _print_job(argv: Sequence[str] | None) -> int:
    # Imported here: these imports take a second, in which Ctrl-C must be as quiet as later.
    from skgm._main import JobError, parse, run

    if isinstance(sys.stdout, io.TextIOWrapper):  # column names that the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        for line in run(parse(argv)):
            print(line, flush=True)
    except JobError as error:
        return _complain(str(error), EXIT_USER_ERROR)
    return EXIT_OK


def _silence_stdout() -> None:
    """Let what is left in the buffer of stdout go nowhere, for Python flushes it at exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, status: int) -> int:
    print(f"skgm: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
