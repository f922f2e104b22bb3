"""The main job behind ``python -m skgm``: read, fit, compare, infer, sample, plot."""

from skgm._main._arguments import Options, parse
from skgm._main._errors import JobError, one_line
from skgm._main._job import run

__all__ = ["JobError", "Options", "one_line", "parse", "run"]
