"""Issues warnings that name the caller's line: the first frame outside skgm and scikit-learn."""

import contextlib
import os
import sys
import warnings
from importlib.util import find_spec
from typing import Any

import sklearn
from sklearn import exceptions

__all__ = ["InconsistentVersionWarning", "renamed_attribute", "section_of", "warn_user"]

# joblib and contextlib stand between frames of scikit-learn (cross-validation, fit contexts).
_JOBLIB = find_spec("joblib")
_LIBRARIES = (__file__, sklearn.__file__, str(_JOBLIB and _JOBLIB.origin))
_INSIDE = (*(os.path.dirname(path) + os.sep for path in _LIBRARIES), contextlib.__file__)


def warn_user(message: str | Warning, category: type[Warning] | None = None) -> None:
    """Issue a warning that names the line by which the user's code entered skgm.

    A message gets a second line: where the documentation says what it means, by the sub-package
    that warns.

    A fixed `stacklevel` would be wrong wherever the chain of calls has several lengths, as it has
    for a fit that runs alone, in a pipeline or in a grid search.

    Parameters
    ----------
    message : str or Warning
        What is uncertain, and the cure.
    category : type, default=None
        A subclass of Warning; that of `message` where this is a warning itself.
    """
    frame, level = sys._getframe(1), 2
    if isinstance(message, str):
        section = section_of(frame.f_globals["__name__"])
        message += f"\nSee troubleshooting.html#{section} in the documentation of skgm."
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def section_of(module: str) -> str:
    """Return the section of the page of troubleshooting that explains the warnings of a module.

    Parameters
    ----------
    module : str
        Its dotted name.

    Returns
    -------
    section : str
        The anchor: "warnings-nce" of skgm.nce and all below it.
    """
    room = module.split(".")[1]
    return "warnings-" + ("names" if room.startswith("_") else room.replace("_", "-"))


class InconsistentVersionWarning(exceptions.InconsistentVersionWarning):
    """An estimator that another version of skgm pickled was loaded.

    Parameters
    ----------
    estimator_name : str
        Its class.
    current : str
        The version that runs.
    original : str
        The version that wrote the pickle.
    """

    def __init__(self, *, estimator_name: str, current: str, original: str) -> None:
        super().__init__(
            estimator_name=estimator_name,
            current_sklearn_version=sklearn.__version__,
            original_sklearn_version=sklearn.__version__,
        )
        self.current_version, self.original_version = current, original

    def __str__(self) -> str:
        """Return what may go wrong, and the cure."""
        return (
            f"{self.estimator_name} was pickled by skgm {self.original_version} and is loaded by "
            f"skgm {self.current_version}: it may fail, or give other results. Fit it again, or "
            f"load it with skgm {self.original_version}."
        )


def renamed_attribute(old: str, new: str) -> Any:
    """Return a property for the old name of an attribute, which warns and gives the new one.

    Parameters
    ----------
    old, new : str
        Names of the attribute.

    Returns
    -------
    alias : property
    """

    def read(self: Any) -> Any:
        value = getattr(self, new)  # before the warning: an unfitted estimator has neither
        warn_user(f"`{old}` is now `{new}`; the old name goes in two releases.", FutureWarning)
        return value

    return property(read, doc=f"Old name of `{new}`.")
