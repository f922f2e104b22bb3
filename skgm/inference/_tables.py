"""Reads tables for families: a Series as a column, text as categories, a family per column."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np
from scipy.sparse import issparse

from skgm.inference.families import Family, get_family
from skgm.inference.families._categorical import Categorical
from skgm.inference.families._columns import choose_family
from skgm.inference.families._registry import has_many, resolve_family
from skgm.tables._columns import code_table, column_kinds, describe_columns, table_shape
from skgm.tables._frames import (
    frame_fault,
    frame_schema,
    is_float_frame,
    real_schema,
    restore_frame,
)
from skgm.tables._reader import TableReader

__all__ = ["as_table", "families_of", "read_table"]

_ANY_TWO = ("auto", "bernoulli")  # what may be called for text (of two values) and booleans


def as_table(X: Any) -> Any:
    """Return a Series as a data frame of one column; anything else as it is."""
    if not hasattr(X, "to_frame") or hasattr(X, "columns"):
        return X
    return X.to_frame("x" if X.name in (None, "") else str(X.name))


def read_table(X: Any, family: Any) -> tuple[TableReader | None, Any]:
    """Return a table of numbers that stands for X, and its reader; None and X where it is one.

    Columns of text, booleans or a categorical dtype are coded by the numbers of their categories,
    and those that `family` calls categorical.
    """
    if issparse(X):
        return None, X
    many = has_many(family)
    if not many and is_float_frame(X):
        return None, X
    schema = frame_schema(X)
    if schema is not None and frame_fault(X, dates=True) is None:
        kinds, names = column_kinds(X, "from_dtype", "from_dtype"), schema["columns"]
    elif np.asarray(X).dtype.kind in "OUS" and np.ndim(X) == 2:
        kinds, names = None, [f"x{j}" for j in range(table_shape(X)[1])]
    else:
        return None, X
    kinds = ["real"] * len(names) if kinds is None else list(kinds)
    called = _called(family, names) if many else [family] * len(names)
    for j, each in enumerate(called):
        categories = isinstance(each, Categorical) or each == "categorical"
        if categories and (many or schema is None):
            kinds[j] = "category"
        elif kinds[j] == "category" and not (categories or (many and each in _ANY_TWO)):
            return None, X  # the validation of numbers reports text, and takes booleans
    if set(kinds) == {"real"} or (not many and "category" not in kinds):
        return None, X
    columns = describe_columns(X, kinds)
    coded = code_table(X, columns)
    plain = coded if schema is None else restore_frame(coded, real_schema(schema) or {})
    return TableReader(columns, schema, "float64"), plain


def _called(family: Any, names: list[Any]) -> list[Any]:
    """Return what `family` calls the family of each column."""
    if isinstance(family, str):
        return [family] * len(names)
    if isinstance(family, Mapping):
        unknown = [name for name in family if name not in names]
        if unknown:
            near = get_close_matches(str(unknown[0]), [str(name) for name in names], n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"family names the column {unknown[0]!r}, which X lacks; its columns are "
                f"{names}.{meant}"
            )
        missing = [name for name in names if name not in family]
        if missing:
            raise ValueError(
                f"family has no entry for the columns {missing}; give each a family, or 'auto', or "
                "drop them from X."
            )
        return [family[name] for name in names]
    if len(family) != len(names):
        raise ValueError(
            f"family must have an entry for each of the {len(names)} columns of X; got "
            f"{len(family)}."
        )
    return list(family)


def families_of(
    estimator: Any, rows: np.ndarray, weight: np.ndarray | None, reader: TableReader | None
) -> tuple[Family, ...]:
    """Return the family of each column, constants learnt and parameters fixed.

    Parameters
    ----------
    estimator : MLEDensity
        Its `family`, "auto", a mapping or a list, and its `fixed`, from columns to dicts.
    rows : ndarray of shape (n, d)
        The table coded, with NaN for holes.
    weight : ndarray of shape (n,) or None
        A weight w counts its row w times.
    reader : TableReader or None
        Of the table, where it does not hold real numbers alone.
    """
    names, fixed = estimator._column_names(), estimator.fixed or {}
    if not estimator.keep_rows:
        raise ValueError("keep_rows must be True where each column has a family of its own.")
    wrong = [
        name for name, known in fixed.items() if name not in names or not hasattr(known, "keys")
    ]
    if wrong:
        raise ValueError(
            f"fixed must map columns ({', '.join(names)}) to dicts from parameters to values where "
            f"each column has a family of its own; got {wrong[0]!r}."
        )
    found = []
    for j, called in enumerate(_called(estimator.family, names)):
        about = {"kind": "real"} if reader is None else reader.columns[j]
        there = ~np.isnan(rows[:, j]) & (True if weight is None else weight > 0)
        x, share = rows[there, j], None if weight is None else weight[there]
        if not len(x):
            raise ValueError(f"Column {names[j]!r} has no values; drop it.")
        if isinstance(called, str) and called == "auto":
            called = choose_family(x, share, about["kind"], names[j])
        family = get_family(called)
        if family.joint:
            raise ValueError(f"The {family.name} family is of the whole row, not of a column.")
        learned = family.learn_constants(x[:, None])
        if about["kind"] == "category" and "n_categories" in learned:
            learned["n_categories"] = max(len(about["values"]), 2)
        if about["kind"] == "integer" and not family.discrete and family.support != "real":
            about["kind"] = "real"  # a draw that is rounded to zero would leave the support
        found.append(resolve_family(called, {**learned, **fixed.get(names[j], {})} or None))
    return tuple(found)
