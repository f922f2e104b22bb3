"""Validation of labelled tables, and codes for labels."""

import warnings
from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from skgm._sklearn import check_sample_weight
from skgm._validation import validate_table

__all__ = ["begin_labelled", "codes_of", "first_classes"]


def begin_labelled(
    estimator: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Validate; return table (array or CSR), labels (n,) and weights (n,), all positive."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y "
            "is None."
        )
    table = validate_table(estimator, X, reset=reset, accept_sparse=True)
    labels = column_or_1d(y, warn=True)
    assert_all_finite(labels, input_name="y")
    with warnings.catch_warnings():  # many classes, and few rows of a stream, are meant here
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        check_classification_targets(labels)
    if len(labels) != table.shape[0]:
        raise ValueError(
            f"y has {len(labels)} labels for the {table.shape[0]} rows of X; inconsistent numbers "
            "of samples."
        )
    if sample_weight is None:
        return table, labels, np.ones(len(labels))
    weight = check_sample_weight(sample_weight, table)
    counted = weight > 0
    return table[counted], labels[counted], weight[counted]


def first_classes(classes: Any, name: str) -> np.ndarray:
    """Return the sorted classes that the first call of `partial_fit` is told of.

    Raises
    ------
    ValueError
        None, fewer than two, or repeated ones.
    """
    if classes is None:
        raise ValueError(
            f"classes must be passed on the first call to {name}.partial_fit: all labels that "
            "will ever come, in any order."
        )
    given = column_or_1d(classes)
    distinct = np.unique(given)
    if len(distinct) < 2 or len(distinct) < len(given):
        raise ValueError(
            f"classes must name at least two distinct classes, each once; got {len(given)} labels, "
            f"{len(distinct)} of them distinct."
        )
    return distinct


def codes_of(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the positions of labels among the sorted classes, (n,).

    Raises
    ------
    ValueError
        A label that is none of the classes.
    """
    place = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    unknown = classes[place] != labels
    if unknown.any():
        row = int(np.argmax(unknown))
        raise ValueError(
            f"y holds the label {labels.tolist()[row]!r} (row {row}), which is none of the "
            f"{len(classes)} classes given to the first call of partial_fit. Name all there."
        )
    return place
