"""Codes class labels, checks them, and draws them."""

import warnings
from typing import Any

import numpy as np
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import column_or_1d

from skgm._numerics.importance import systematic_picks
from skgm._warnings import warn_user

__all__ = [
    "check_same_classes",
    "coded_classes",
    "encode_labels",
    "stratified_codes",
]

_FEW_ROWS = 20  # up to here as many classes as rows are no surprise


def _class_codes(y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted classes of the labels y and the code of each row."""
    if y is None:
        raise ValueError(
            "class_conditional=True requires y to be passed, but the target y is None: give one "
            "class label per row."
        )
    labels = column_or_1d(y)
    if len(labels) != n_rows:
        raise ValueError(f"y has {len(labels)} labels for {n_rows} rows of X; give one per row.")
    missing = np.array([label is None or label != label for label in labels.tolist()], dtype=bool)
    if missing.any():
        raise ValueError(
            f"y has a missing label at row {int(np.argmax(missing))}. Drop that row, or give the "
            "missing labels a class of their own."
        )
    with warnings.catch_warnings():  # of many classes: `coded_classes` warns, with the cure
        warnings.simplefilter("ignore", UserWarning)
        kind = type_of_target(labels, input_name="y")
    if kind not in ("binary", "multiclass"):
        raise ValueError(
            f"class_conditional=True needs class labels in y, and y is of kind {kind!r}. For a "
            "real-valued y set class_conditional=False and put y into X as a column, or cut it "
            "into classes (for example with sklearn.preprocessing.KBinsDiscretizer)."
        )
    classes, codes = np.unique(labels, return_inverse=True)
    return classes, codes


def coded_classes(
    y: Any, weight: np.ndarray | None, n_rows: int, wanted: Any, known: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes of a fit and the code of each row; rows of weight zero have any code.

    The classes are those `known` from before, else those `wanted`, else those of `y`.
    """
    found, codes = _class_codes(y, n_rows)
    counted = slice(None) if weight is None else weight > 0
    classes = known
    if classes is None:
        classes = found[np.unique(codes[counted])] if wanted is None else np.unique(wanted)
        if wanted is None and n_rows > _FEW_ROWS and len(classes) > n_rows / 2:
            warn_user(
                f"y has {len(classes)} classes in {n_rows} rows, and each is learned as a class of "
                "its own. If y is a number, set class_conditional=False and put it into X as a "
                "column.",
                UserWarning,
            )
    coded = np.zeros(n_rows, dtype=np.intp)
    coded[counted] = encode_labels(found[codes[counted]], classes)
    return classes, coded


def check_same_classes(fitted: np.ndarray | None, classes: Any) -> None:
    """Raise if `classes`, which a later `partial_fit` names, are not those of the first call."""
    if fitted is None or classes is None or np.array_equal(np.unique(classes), fitted):
        return
    raise ValueError(
        f"classes={classes!r} are not those of the first call, which were "
        f"{fitted.tolist()}. Give the same or None, or call fit again, with all rows."
    )


def encode_labels(y: Any, classes: np.ndarray) -> np.ndarray:
    """Return the codes of labels among known classes; raise for others."""
    labels = column_or_1d(y)
    lookup = {label: code for code, label in enumerate(classes.tolist())}
    unknown = [label for label in labels.tolist() if label not in lookup]
    if unknown:
        raise ValueError(
            f"y contains the label {unknown[0]!r}, which fit has not seen; its classes are "
            f"{classes.tolist()}."
        )
    return np.array([lookup[label] for label in labels.tolist()], dtype=np.intp)


def stratified_codes(prior: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n class codes in random order, each class as often as n * prior says, to within one.

    Systematic sampling is unbiased and has less variance than independent draws.
    """
    with np.errstate(divide="ignore"):
        return rng.permutation(systematic_picks(np.log(prior), n, rng))
