"""The command line of the main job."""

import argparse
import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from skgm._main._errors import JobError
from skgm._main._layout import Hints
from skgm._main._models import MODELS

__all__ = ["Options", "parse"]

DESCRIPTION = """\
Fit densities to a table, compare them on rows held out for the purpose, print
confidence intervals, and write synthetic rows like those of the table.

A quarter of the rows (of 3000 at most) is put aside. On the rest, each model's options are chosen
by cross-validated log-likelihood; the rows put aside then compare the models with baselines:
independent columns, and a joint normal where the table has complete numbers only. The model that
cross-validation likes best, or the stack of several, is fitted to all rows and writes the synthetic
ones. Rows are shuffled, so the table should not be a time series.

The file may be text (any usual delimiter, encoding, decimal mark, dates, currency, percent, holes;
packed by gzip or not) or Parquet. What was guessed about it is printed; the options of the second
group overrule it."""

ALIASES = {"tab": "\t", "\\t": "\t", "space": " ", "spaces": " "}


@dataclass(frozen=True)
class Options:
    """What the user asked for, checked.

    `table` None stands for the built-in one, `models` None for those that suit the table, and
    `output` None for a name that suits it.
    """

    table: str | None
    models: tuple[str, ...] | None
    n_samples: int | None
    output: str | None
    level: float
    random_state: int
    is_quick: bool
    hints: Hints
    has_report: bool = True
    n_jobs: int | None = None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # argparse would print its usage as well
        raise JobError(f"{message} (see python -m skgm --help)")


def parse(argv: Sequence[str] | None = None) -> Options:
    """Turn command-line words into Options; exits for --help.

    Raises
    ------
    JobError
        An unknown option or model, a level outside (0, 1), a count below one, a bad seed.
    """
    words = _parser().parse_args(argv)
    return Options(
        table=words.table,
        models=_chosen_models(words.model),
        n_samples=words.n_samples,
        output=words.output,
        level=words.level,
        random_state=words.random_state,
        is_quick=words.quick,
        hints=_hints(words),
        has_report=not words.no_report,
        n_jobs=words.jobs,
    )


def _hints(words: argparse.Namespace) -> Hints:
    encoding = words.encoding
    if encoding is not None:
        try:
            encoding = codecs.lookup(encoding).name
        except LookupError as error:
            raise JobError(f"argument --encoding: unknown encoding {encoding!r}") from error
    return Hints(
        encoding=encoding,
        delimiter=words.delimiter,
        header=words.header,
        decimal={"point": ".", "comma": ","}.get(words.decimal),
        day_first=words.day_first,
        missing=tuple(words.missing),
        categories=tuple(words.categories),
        keep=tuple(words.keep),
        drop=tuple(words.drop),
    )


def _parser() -> _Parser:
    listing = "\n".join(
        f"{'*' if model.quick_on else ' '} {name:<26}{model.description}"
        for name, model in MODELS.items()
    )
    parser = _Parser(
        prog="python -m skgm",
        description=DESCRIPTION,
        epilog=f"models (* with --quick as well):\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name, options in (_arguments() | _output_arguments()).items():
        parser.add_argument(name, **options)
    group = parser.add_argument_group("how to read the table, where a guess is wrong")
    for name, options in _reading_arguments().items():
        group.add_argument(name, **options)
    return parser


def _arguments() -> dict[str, dict[str, Any]]:
    return {
        "table": {
            "nargs": "?",
            "metavar": "table.csv",
            "help": "text or Parquet file, with or without a line of names (default: the wine "
            "measurements that ship with scikit-learn)",
        },
        "--model": {
            "action": "append",
            "metavar": "NAME",
            "help": "model to fit, or all; repeat it or separate by commas (default: every one "
            "that can read the table in reasonable time)",
        },
        "--quick": {
            "action": "store_true",
            "help": "fit the quick models only, a large table in part",
        },
        "--jobs": {
            "type": _jobs,
            "metavar": "N",
            "help": "models to fit at a time, on as many cores; -1 for all cores (default: one)",
        },
    }


def _output_arguments() -> dict[str, dict[str, Any]]:
    return {
        "--n-samples": {
            "type": _count,
            "metavar": "N",
            "help": "synthetic rows to write (default: as many as the table has)",
        },
        "--output": {
            "metavar": "FILE",
            "help": "file of synthetic rows, replaced if it exists: .csv, .csv.gz or .parquet; the "
            "pair plot goes beside it as .png where matplotlib is installed (default: "
            "synthetic.csv, or .parquet for such a table)",
        },
        "--no-report": {
            "action": "store_true",
            "help": "write no report on the synthetic rows; else report.html, or a file named like "
            "that of --output, shows what is right and wrong about them",
        },
        "--level": {
            "type": _level,
            "default": 0.95,
            "help": "confidence level of all intervals (default: %(default)s)",
        },
        "--random-state": {
            "type": _seed,
            "default": 0,
            "metavar": "SEED",
            "help": "seed of the split, the folds and the synthetic rows (default: %(default)s)",
        },
    }


def _reading_arguments() -> dict[str, dict[str, Any]]:
    names = {"action": "append", "default": [], "metavar": "NAME"}
    return {
        "--encoding": {"metavar": "NAME", "help": "such as utf-8, utf-16 or latin-1"},
        "--delimiter": {"type": _mark, "metavar": "MARK", "help": "one character, tab or space"},
        "--header": {
            "type": _yes_or_no,
            "metavar": "yes|no",
            "help": "whether the first line holds the names of the columns",
        },
        "--decimal": {"choices": ["point", "comma"], "help": "decimal mark"},
        "--day-first": {
            "type": _yes_or_no,
            "metavar": "yes|no",
            "help": "whether 1/2/2030 is in February",
        },
        "--missing": {
            "action": "append",
            "default": [],
            "metavar": "WORD",
            "help": "word that stands for a missing value, besides empty cells, NA and the like; "
            "write --missing=-999 for a number; may be repeated",
        },
        "--categories": names | {"help": "column of numbers that are names; may be repeated"},
        "--keep": names | {"help": "column to keep that would be set aside; may be repeated"},
        "--drop": names | {"help": "column to leave out; may be repeated"},
    }


def _chosen_models(given: list[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    names = [name.strip() for part in given for name in part.split(",")]
    if "all" in names:
        return tuple(MODELS)
    for name in names:
        if name not in MODELS:
            raise JobError(f"argument --model: unknown model {name!r}; known: {', '.join(MODELS)}")
    return tuple(dict.fromkeys(names))


def _mark(text: str) -> str:
    mark = ALIASES.get(text, text)
    if len(mark) != 1 or mark.isalnum() or mark in '"\n\r':
        raise argparse.ArgumentTypeError(f"must be one mark, tab or space; got {text!r}")
    return mark


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"must be yes or no; got {text!r}")
    return text == "yes"


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1; got {text!r}")
    return int(text)


def _jobs(text: str) -> int:
    return -1 if text == "-1" else _count(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 0 to 2**32 - 1; got {text!r}"
        )
    return int(text)


def _level(text: str) -> float:
    try:
        level = float(text)
    except ValueError:
        level = float("nan")
    if not 0 < level < 1:
        raise argparse.ArgumentTypeError(f"must be a number strictly between 0 and 1; got {text!r}")
    return level
