"""What was observed of each value: itself, an interval, or nothing below an entry."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import CensoredData

from skgm.inference.families import Family
from skgm.inference.families._censored_laws import LAWS, check_event
from skgm.inference.families._exposed import EXPOSED
from skgm.tables._validation import check_inside_support

__all__ = ["COMPLETE", "KINDS", "Scheme", "check_inside", "read_censored", "read_window"]


class Scheme(NamedTuple):
    """What the caller says of the values: `event`, `upper` and more as in `MLEDensity.fit`."""

    event: Any = None
    upper: Any = None
    entry: Any = None
    exposure: Any = None
    trials: Any = None

    @property
    def given(self) -> list[str]:
        """What was given, by name."""
        return [name for name, value in self._asdict().items() if value is not None]

    def read(
        self,
        rows: np.ndarray,
        names: list[str],
        family: Family,
        window: Any,
        *,
        growing: bool = False,
    ) -> Any:
        """Return the scheme as arrays: ``{"event"}``, ``{"upper", "entry"}`` or ``{"constant"}``.

        Right-censored rows of four families have formulas: they keep their events, but for those
        of a `growing` table, which may go on with other rows.
        """
        if self.exposure is not None or self.trials is not None:
            return {"constant": self._constant(rows, names, family, window)}
        if self.event is not None and self.upper is not None:
            raise ValueError("Give event or upper, not both: event=0 is upper=inf.")
        if self.event is not None:
            event = check_event(self.event, rows.shape)
            if self.entry is None and window is None and family.name in LAWS:
                return {"event": event}
            upper = np.where(event == 1, rows, np.inf)
        elif self.upper is None:
            upper = rows
        else:
            upper = _per_value("upper", self.upper, rows.shape, names)
            upper = upper.astype(rows.dtype, copy=False)  # what rounds X rounds its equal
        entry = None
        if self.entry is not None:
            entry = _per_value("entry", self.entry, rows.shape, names, per_row=True)
        _check_observed(rows, upper, entry, names)
        if entry is None and window is None and family.name in LAWS and not growing:
            event = upper == rows
            if (event | np.isposinf(upper)).all() and not np.isneginf(rows).any():
                return {"event": event.astype(np.float64)}
        return {"upper": upper, "entry": entry}

    def _constant(
        self, rows: np.ndarray, names: list[str], family: Family, window: Any
    ) -> np.ndarray:
        """Return the exposure, or the number of trials, of each value."""
        what = "exposure" if self.exposure is not None else "trials"
        if EXPOSED.get(family.name) != what or {"exposure", "trials"} <= set(self.given):
            raise ValueError(
                f"{what} must be None for the {family.name} family: exposure is for poisson and "
                "negative_binomial, trials is for binomial."
            )
        if window is not None or any(part is not None for part in self[:3]):
            raise ValueError(
                f"{what} does not go with event, upper, entry or window; leave them out."
            )
        constant = _per_value(what, getattr(self, what), rows.shape, names, per_row=True)
        bad = ~(np.isfinite(constant) & (constant > 0))
        if what == "trials":
            bad |= (constant != np.floor(constant)) | (rows > constant)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            wanted = "whole, and at least the count" if what == "trials" else "finite"
            raise ValueError(
                f"{what} must be positive, {wanted}; got {constant[row, column]:g} in row {row}, "
                f"column {names[column]!r}, whose count is {rows[row, column]:g}."
            )
        return constant


COMPLETE = Scheme()
# The fields of statistics that say more of rows than X does, and what the caller called them.
KINDS = {"event": "event=", "upper": "upper= or entry=", "constant": "exposure= or trials="}


def _per_value(
    what: str, values: Any, shape: tuple[int, int], names: list[str], *, per_row: bool = False
) -> np.ndarray:
    """Return one number per value of the table, (n, d), which may be infinite."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} must hold numbers; got {values!r}.") from error
    if array.ndim == 0:
        array = np.full(shape, array)
    if array.shape == shape[:1] and (per_row or shape[1] == 1):
        array = array[:, None]
    if array.shape not in (shape, (shape[0], 1) if per_row else shape):
        rows = f"({shape[0]},), or " if per_row or shape[1] == 1 else ""
        raise ValueError(
            f"{what} must have one entry per value of X, {rows}{shape}; got shape {array.shape}."
        )
    array = np.broadcast_to(array, shape)
    if np.isnan(array).any():
        row, column = np.argwhere(np.isnan(array))[0]
        raise ValueError(
            f"{what} is NaN in row {row}, column {names[column]!r}. Where a value is only known to "
            "be larger than X, upper is inf; where it was seen, upper equals X; a row that was "
            "looked for from the start has the entry -inf."
        )
    return array


def _check_observed(
    low: np.ndarray, high: np.ndarray, entry: np.ndarray | None, names: list[str]
) -> None:
    """Raise for intervals whose ends are in the wrong order, and for values before their entry."""
    faults: list[tuple[Any, str]] = [
        (np.isnan(low), "X is NaN; where nothing is known of a value leave its row out"),
        (np.isposinf(low) | np.isneginf(high), "the interval lies at infinity"),
        (low > high, "the lower end in X is larger than upper"),
        (entry is not None and high <= entry, "the value cannot be larger than its entry"),
    ]
    for wrong, why in faults:
        if np.any(wrong):
            row, column = np.argwhere(wrong)[0]
            shown = "" if entry is None else f", entry {entry[row, column]:g}"
            raise ValueError(
                f"Row {row} of column {names[column]!r}: {why} (X {low[row, column]:g}, upper "
                f"{high[row, column]:g}{shown})."
            )


def check_inside(family: Family, low: np.ndarray, high: np.ndarray, names: list[str]) -> None:
    """Raise for values outside the support or the window, and intervals without a point in it."""
    seen = low == high
    ends = np.where(np.isneginf(low), high, low), np.where(np.isposinf(high), low, high)
    inside = seen & family.inside(ends[0])
    places: list[Any] = [
        *ends,
        (ends[0] + ends[1]) / 2,
        ends[1] - 1,
        ends[0] + 1,
        -1.0,
        -0.5,
        0.0,
        0.5,
        1.0,
    ]
    if family.discrete:
        places += [np.ceil(ends[0]), np.floor(ends[1])]
    for place in places:
        there = np.broadcast_to(place, low.shape)
        inside |= ~seen & (low <= there) & (there <= high) & family.inside(there)
    check_inside_support(
        np.where(seen | np.isfinite(low), low, high),
        inside,
        family.describe_support(),
        names,
        model=f"The {family.name} family",
    )


def read_window(window: Any, names: list[str]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the window as two ends, () or (d,) each; None where there is none.

    Raises
    ------
    ValueError
        Not a pair of numbers or of arrays with one number per column, or ends in the wrong order.
    """
    if window is None:
        return None
    form = (
        "window must be a pair (low, high) of numbers, or of arrays with one number per column; "
        f"got {window!r}."
    )
    if isinstance(window, Mapping) or not hasattr(window, "__len__") or len(window) != 2:
        raise ValueError(form)
    try:
        low, high = (np.asarray(end, dtype=np.float64) for end in window)
    except (TypeError, ValueError) as error:
        raise ValueError(form) from error
    shapes = ((), (len(names),))
    if low.shape not in shapes or high.shape not in shapes or np.isnan(low).any():
        raise ValueError(form)
    if not (low < high).all():
        raise ValueError(f"window must have its lower end below its upper end; got {window!r}.")
    return (low, high)


def read_censored(X: Any, scheme: Scheme) -> tuple[Any, Scheme]:
    """Return the table of lower ends and the scheme of a scipy CensoredData, other X as it is.

    Its rows come in scipy's order: values seen, left-, right- and interval-censored ones.
    """
    if not isinstance(X, CensoredData):
        return X, scheme
    if scheme.event is not None or scheme.upper is not None:
        raise ValueError("A CensoredData says itself what was censored; leave event and upper out.")
    seen, left, right = (np.ravel(getattr(X, f"_{k}")) for k in ("uncensored", "left", "right"))
    between = np.reshape(X._interval, (-1, 2))
    low = np.concatenate([seen, np.full(len(left), -np.inf), right, between[:, 0]])
    high = np.concatenate([seen, left, np.full(len(right), np.inf), between[:, 1]])
    return low[:, None], scheme._replace(upper=high)
