"""Judges the density behind synthetic rows: held-out likelihood, and calibrated conditionals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from skgm.metrics import DensityComparison, compare_densities
from skgm.tables._coded import as_frame, read_tables

__all__ = ["Calibration", "HeldOut", "calibrate_conditionals", "held_out_nats"]

_CALIBRATION_ROWS, _DRAWS, _MOST_COLUMNS = 100, 19, 30


@dataclass(frozen=True)
class HeldOut:
    """Log-density of held-out rows, and how much it beats baselines by.

    Attributes
    ----------
    score : float
        Mean log-density of the held-out rows, in nats per row.
    n_rows : int
        Held-out rows that were scored.
    n_zero : int
        Rows of zero density among them.
    comparisons : dict
        For each baseline the :class:`skgm.DensityComparison` with it.
    notes : tuple of str
        Why a comparison is missing.
    """

    score: float
    n_rows: int
    n_zero: int
    comparisons: dict[str, DensityComparison]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """Probability integral transforms of one column of held-out rows, given the other columns.

    Attributes
    ----------
    column : object
        Its label.
    transforms : tuple of float
        Place of each true value among draws of the density given the other columns, ties broken
        at random: uniform on (0, 1) where the conditional distributions are right.
    distance, pvalue : float
        Kolmogorov-Smirnov distance from uniform, and its p-value.
    """

    column: Any
    transforms: tuple[float, ...]
    distance: float
    pvalue: float


def held_out_nats(density: Any, real: Any, holdout: Any, level: float) -> HeldOut:
    """Score held-out rows, and compare with baselines fitted to the real rows."""
    scores = np.asarray(density.score_samples(holdout), dtype=np.float64)
    zero = int(np.isneginf(scores).sum())
    comparisons, notes = {}, []
    if zero:
        notes.append(f"{zero} held-out rows have zero density, so their mean has no interval.")
    for name, build in (("independent columns", _independent), ("one Gaussian", _gaussian)):
        if zero:
            break
        try:
            baseline = build().fit(real)
            comparisons[name] = compare_densities(density, baseline, holdout, level=level)
        except (ValueError, TypeError) as error:
            notes.append(f"{name}: not compared. {error}")
    return HeldOut(float(np.mean(scores)), len(scores), zero, comparisons, tuple(notes))


def _independent() -> Any:
    from sklearn.dummy import DummyClassifier

    from skgm.chain import DensityChain

    nothing = DummyClassifier(strategy="prior")
    return DensityChain(nothing, n_orders=1, calibrate=False, random_state=0)


def _gaussian() -> Any:
    from skgm.inference import MLEDensity

    return MLEDensity("multivariate_normal")


def calibrate_conditionals(
    density: Any, holdout: Any, rng: np.random.Generator
) -> tuple[Calibration, ...]:
    """Return a Calibration for each column, of a density that draws columns given the others.

    Nothing for one that cannot, and for tables of many columns.
    """
    frame = as_frame(holdout, "holdout")
    names = list(frame.columns)
    if not hasattr(density, "impute") or not 2 <= len(names) <= _MOST_COLUMNS:
        return ()
    some = frame.iloc[np.sort(rng.permutation(len(frame))[:_CALIBRATION_ROWS])]
    found = []
    for j, name in enumerate(names):
        rows = some[some[name].notna()]
        if len(rows) < 20:
            continue
        drawn = _draws(density, rows, j, isinstance(holdout, np.ndarray), rng)
        if drawn is None:
            return ()
        tables = read_tables(rows[[name]], as_frame(drawn, "drawn", names)[[name]])
        true, ours = tables.real[:, :1], tables.synthetic.reshape(len(rows), _DRAWS)
        below, equal = (ours < true).sum(axis=1), (ours == true).sum(axis=1)
        place = (below + rng.uniform(size=len(rows)) * (equal + 1)) / (_DRAWS + 1)
        test = stats.kstest(place, "uniform")
        found.append(
            Calibration(name, tuple(map(float, place)), float(test.statistic), float(test.pvalue))
        )
    return tuple(found)


def _draws(density: Any, rows: Any, j: int, is_array: bool, rng: np.random.Generator) -> Any:
    """Return draws of column j given the others, each row many times; None if it cannot."""
    given = rows.drop(columns=rows.columns[j])
    if is_array:
        given = rows.to_numpy(dtype=np.float64).copy()
        given[:, j] = np.nan
    try:
        return density.sample(_DRAWS, rng, given=given)
    except (ValueError, NotImplementedError):  # no conditions, or not these; the part is left out
        return None
