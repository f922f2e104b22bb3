"""The command line of the main job."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from skgm._main._errors import JobError
from skgm._main._models import MODELS

__all__ = ["Options", "parse"]

DESCRIPTION = """\
Fit densities to a table, compare them on rows held out for the purpose, print
confidence intervals, and write synthetic rows.

A quarter of the rows is put aside. On the rest, each model's options are chosen by 5-fold
cross-validated log-likelihood; the rows put aside then compare the models with two baselines:
one normal per column, independent, and one joint normal. The model that cross-validation likes
best writes the synthetic rows. Rows are shuffled, so the table should not be a time series.

A table with text, booleans or missing values (empty, NA or ?) is fitted by a chain of classifiers
and compared with independent columns; its synthetic rows have the same kinds and holes."""


@dataclass(frozen=True)
class Options:
    """What the user asked for, checked; `table` None stands for the built-in one."""

    table: str | None
    models: tuple[str, ...]
    n_samples: int | None
    output: str
    level: float
    random_state: int


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
    )


def _parser() -> _Parser:
    listing = "\n".join(
        f"{'*' if model.by_default else ' '} {name:<26}{model.description}"
        for name, model in MODELS.items()
    )
    parser = _Parser(
        prog="python -m skgm",
        description=DESCRIPTION,
        epilog=f"models:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name, options in _arguments().items():
        parser.add_argument(name, **options)
    return parser


def _arguments() -> dict[str, dict[str, Any]]:
    return {
        "table": {
            "nargs": "?",
            "metavar": "table.csv",
            "help": "CSV file, with or without a line of names (default: the wine "
            "measurements that ship with scikit-learn)",
        },
        "--model": {
            "action": "append",
            "metavar": "NAME",
            "help": "model to fit, or all; repeat it or separate by commas (default: the quick "
            "ones, marked *)",
        },
        "--n-samples": {
            "type": _count,
            "metavar": "N",
            "help": "synthetic rows to write (default: as many as the table has)",
        },
        "--output": {
            "default": "synthetic.csv",
            "metavar": "FILE",
            "help": "file of synthetic rows, replaced if it exists; the pair plot goes beside it "
            "as .png where matplotlib is installed (default: %(default)s)",
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


def _chosen_models(given: list[str] | None) -> tuple[str, ...]:
    if given is None:
        return tuple(name for name, model in MODELS.items() if model.by_default)
    names = [name.strip() for part in given for name in part.split(",")]
    if "all" in names:
        return tuple(MODELS)
    for name in names:
        if name not in MODELS:
            raise JobError(f"argument --model: unknown model {name!r}; known: {', '.join(MODELS)}")
    return tuple(dict.fromkeys(names))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1; got {text!r}")
    return int(text)


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
