"""Messages of searches, which know columns by number, in terms of the columns' names."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["naming_columns"]


@contextmanager
def naming_columns(columns: Sequence[str]) -> Iterator[None]:
    """Let a ValueError about "column number 2" speak of the column by its name.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns of the table, in order.
    """

    def name(match: re.Match[str]) -> str:
        j = int(match[1])
        return f"column {columns[j]!r}" if j < len(columns) else "a column"

    try:
        yield
    except ValueError as error:
        text = re.sub(r"column '?number (\d+)'?", name, str(error))
        if text == str(error):
            raise
        raise ValueError(text) from error
