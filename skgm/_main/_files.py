"""Output files that are either whole or absent."""

import os
from collections.abc import Callable
from pathlib import Path

from skgm._main._errors import JobError, one_line

__all__ = ["check_output", "report_path", "write_files"]

Writer = Callable[[Path], None]


def check_output(output: str, table: str | None) -> Path:
    """Return the path to write to, checked before the long work begins.

    Raises
    ------
    JobError
        A directory or device, a missing or read-only folder or file, the table itself, or a name
        that the plot or the report would take.
    """
    if not output or output.endswith(os.sep):
        raise JobError(f"cannot write {output!r}: it names no file")
    path = Path(os.path.realpath(output))  # a link is written through, not replaced
    for suffix, what in ((".png", "plot"), (".html", "report")):
        if path.suffix.lower() == suffix:
            raise JobError(f"cannot write {output}: {suffix} is for the {what}; name a .csv file")
    for beside in (path, path.with_suffix(".png"), report_path(path)):
        _check_unwritable(
            beside, output if beside == path else str(Path(output).with_name(beside.name))
        )
    if table is not None and path == Path(os.path.realpath(table)):
        raise JobError(f"cannot write {output}: it is the table itself")
    return path


def report_path(path: Path) -> Path:
    """Return where the report on rows goes: beside them, under their name if one was chosen."""
    chosen = path.name not in ("synthetic.csv", "synthetic.parquet")
    return path.with_suffix(".html") if chosen else path.with_name("report.html")


def _check_unwritable(path: Path, shown: str) -> None:
    try:
        if path.is_dir():
            raise JobError(f"cannot write {shown}: it is a directory")
        if path.exists() and not path.is_file():
            raise JobError(f"cannot write {shown}: it is not a regular file")
        if path.exists() and not os.access(path, os.W_OK):
            raise JobError(f"cannot write {shown}: the file is read-only")
        if not path.parent.is_dir():
            raise JobError(f"cannot write {shown}: there is no folder {path.parent}")
        partial = _partial(path)
        partial.touch(exist_ok=False)  # the only honest test of a folder is to write into it
        partial.unlink()
    except OSError as error:
        raise JobError(f"cannot write {shown}: {error.strerror or one_line(error)}") from error


def write_files(writers: dict[Path, Writer]) -> None:
    """Write each file beside its place and move all into place once every one is complete.

    Whatever happens before that (an error, a full disk, an interrupt) leaves no trace.
    """
    partials = {path: _partial(path) for path in writers}
    try:
        for path, write in writers.items():
            try:
                write(partials[path])
            except OSError as error:
                raise JobError(f"cannot write {path}: {error.strerror or error}") from error
        for path, partial in partials.items():
            os.replace(partial, path)
    finally:
        for partial in partials.values():
            partial.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    """Return a name in the same folder, so that moving into place cannot half-happen."""
    return path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
