"""Tables, and the densities of scikit-learn that stand beside ours, for all benchmarks.

Larger tables are read from the folder that the environment variable SKGM_BENCH_DATA names; a table
that is not there is left out with a word.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity

__all__ = [
    "FOLDS",
    "SEED",
    "bits",
    "bundled",
    "cells",
    "data_file",
    "dequantized",
    "from_folder",
    "kernel_by_cv",
    "mixture_by_bic",
]

SEED = 0
FOLDS = KFold(5, shuffle=True, random_state=SEED)
FILES = {
    "red wine": ("winequality-red.csv", None),
    "power plant": ("CCPP.csv", 0),
    "concrete": ("Concrete_Data.csv", 0),
}


def data_file(name: str) -> Path | None:
    """Return the path of a file in SKGM_BENCH_DATA; None, with a word, if it is not there."""
    path = Path(os.environ.get("SKGM_BENCH_DATA", ".")) / name
    if path.exists():
        return path
    print(f"{name} is not in SKGM_BENCH_DATA: left out\n")
    return None


def bundled() -> Iterator[tuple[str, pd.DataFrame]]:
    """Tables that ship with scikit-learn; columns that are codes rather than numbers left out."""
    yield "iris", load_iris(as_frame=True).data
    yield "wine", load_wine(as_frame=True).data
    yield "diabetes", load_diabetes(as_frame=True, scaled=False).data.drop(columns="sex")
    yield "breast cancer", load_breast_cancer(as_frame=True).data.iloc[:, :10]


def from_folder() -> Iterator[tuple[str, pd.DataFrame]]:
    """Tables of numbers that are read from files."""
    for name, (file, header_row) in FILES.items():
        path = data_file(file)
        if path is not None:
            yield name, pd.read_csv(path, header=header_row)


def bits(name: str, part: str) -> np.ndarray | None:
    """Return a binary table, "train" or "test" part, as float64; None if its file is missing."""
    path = data_file(f"{name}.npz")
    if path is None:
        return None
    with np.load(path) as file:
        packed, m = file[part], int(file["n_features"])
    return np.unpackbits(packed, axis=1)[:, :m].astype(np.float64)


def rounding_step(column: np.ndarray) -> float:
    """Return 10 ** -k for the least k at which 95% of the values have no further decimals."""
    for k in range(-3, 12):
        if np.mean(np.isclose(column, np.round(column, k), rtol=0, atol=1e-9)) >= 0.95:
            return 10.0**-k
    return 0.0


def dequantized(frame: pd.DataFrame) -> np.ndarray:
    """Return distinct rows, each number drawn uniformly from the cell that is recorded as it.

    The cell of a value that comes again reaches halfway to the next recorded values, and that of
    any other is one rounding step wide. So what is scored is the probability of a cell over its
    width, and no density gains by a peak at a value that many rows share.
    """
    X = frame.drop_duplicates().to_numpy(dtype=np.float64)
    rng = np.random.default_rng(SEED)
    return np.column_stack([rng.uniform(*cells(column)) for column in X.T])


def cells(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and the upper end of the cell of each number, (n,) each."""
    values, place, times = np.unique(column, return_inverse=True, return_counts=True)
    gaps = np.diff(values)
    below, above = np.append(gaps[0], gaps) / 2, np.append(gaps, gaps[-1]) / 2
    once, half = times == 1, rounding_step(column) / 2
    below[once], above[once] = np.minimum(below[once], half), np.minimum(above[once], half)
    return (values - below)[place], (values + above)[place]


def mixture_by_bic(
    Z: np.ndarray, components: Sequence[int] = range(1, 9), n_init: int = 2
) -> GaussianMixture:
    """Return the Gaussian mixture that BIC prefers, of full or diagonal covariances."""
    candidates = [
        GaussianMixture(k, covariance_type=kind, n_init=n_init, random_state=SEED).fit(Z)
        for kind in ("full", "diag")
        for k in components
        if k == 1 or 10 * k <= len(Z)
    ]
    return min(candidates, key=lambda mixture: mixture.bic(Z))


def kernel_by_cv(Z: np.ndarray) -> Any:
    """Return the kernel density whose bandwidth has the best cross-validated score."""
    grid = {"bandwidth": np.geomspace(0.05, 1.0, 10)}
    return GridSearchCV(KernelDensity(rtol=1e-4), grid, cv=FOLDS).fit(Z).best_estimator_
