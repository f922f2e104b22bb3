"""Reads tables into rows of real numbers, and restores drawn rows to the kind of table they were.

The table is coded by :mod:`skgm.tables._reader`. Its numbers are the rows of the diffusion, encoded
by :mod:`skgm.tables._encoding` if some are whole. Its categories are left to a chain after the
diffusion; where rows come in parts, which a chain cannot learn, they are encoded too. The estimator
that the methods are given is for its column names and width.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skgm._sklearn import check_sample_weight
from skgm.diffusion._atoms import AtomColumns
from skgm.diffusion._completions import Completions
from skgm.tables._columns import MOST_CATEGORIES, encoded_kinds
from skgm.tables._encoding import Encoding, Jitter
from skgm.tables._reader import TableReader

__all__ = ["TableCoding", "read_training_table"]

_NOTHING = (
    "Every column of X is a category with a single value: there is nothing to learn. Give a table "
    "with a column that varies."
)


@dataclass(frozen=True, eq=False)
class TableCoding:
    """Between tables and the rows of real numbers that a diffusion learns.

    Attributes
    ----------
    reader : TableReader
        Between tables and coded ones.
    encoding : Encoding or None
        Between coded columns and rows of real numbers; None for real numbers alone.
    numbers : ndarray of shape (n_numbers,), default=None
        The columns that the rows encode, where the others are categories left to a chain; None for
        all columns.
    atoms : AtomColumns or None, default=None
        Columns with point masses, which coded rows hold as numbers and categories.
    holed : Completions or None, default=None
        What completes rows with holes, if the fit was told to.
    """

    reader: TableReader
    encoding: Encoding | None
    numbers: np.ndarray | None = None
    atoms: AtomColumns | None = None
    holed: Completions | None = None

    @property
    def columns(self) -> list[dict[str, Any]]:
        """Descriptions of the columns, those of atoms included."""
        own = self.reader.columns
        return own if self.atoms is None else self.atoms.describe(own)

    @property
    def masses(self) -> dict[Any, Any]:
        """The atoms of each column of real numbers that has some, by its name."""
        return {} if self.atoms is None else self.atoms.masses(self.reader.columns)

    @property
    def is_noisy(self) -> bool:
        """Whether noise stands for some values, which densities average over."""
        return self.encoding is not None or self.atoms is not None

    @property
    def dtype(self) -> str:
        """Of drawn rows."""
        return self.reader.dtype

    @property
    def is_mixed(self) -> bool:
        """Whether there are columns of other things than real numbers."""
        return not self.reader.is_real or self.atoms is not None

    @property
    def noise_variance(self) -> np.ndarray | None:
        """Variance of the noise in each encoded column; None where no column has any."""
        return None if self.encoding is None else self.encoding.noise_variance

    @property
    def may_bend(self) -> np.ndarray | None:
        """Which encoded columns may be transformed: those without noise; None for all."""
        return None if self.encoding is None else ~self.encoding.is_noisy

    def jitter(self, forward: np.ndarray) -> Jitter | None:
        """Return what draws the noise of scaled rows, from the maps of the classes, (k, r, d)."""
        return None if self.encoding is None else Jitter(self.encoding, forward)

    def more(
        self, estimator: Any, X: Any, sample_weight: Any
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return more training rows encoded, and their weights or None."""
        if self.numbers is not None:
            raise ValueError(
                "partial_fit cannot go on from a fit with columns of categories: they are learned "
                "by trees, which take all rows at once. Call fit with all rows, or partial_fit "
                "from the first rows on."
            )
        coded = self.reader.code(estimator, X, holes=False, fractions=False)
        return self._encoded(coded), _weights(sample_weight, coded)

    def scored(
        self, estimator: Any, X: Any, unknown: str, *, holes: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows to score, coded, and which of them lack a number.

        Only a chain knows what to do with `unknown` categories, and only a fit to a table with
        `holes` with them.
        """
        unknown = "error" if self.numbers is None else unknown
        holes = holes and self.holed is not None
        coded = self.reader.code(estimator, X, holes=holes, unknown=unknown)
        lacking = np.zeros(len(coded), dtype=bool)
        if self.holed is not None and holes:
            lacking = self.holed.check_scored(coded, self.reader.columns)
        return coded if self.atoms is None else self.atoms.expanded(coded), lacking

    def average(self, coded: np.ndarray, lacking: np.ndarray, log_density: Any) -> np.ndarray:
        """Return log-densities of coded rows, averaged over noise at atoms and lacking numbers."""

        def of_complete(rows: np.ndarray) -> np.ndarray:
            return (
                log_density(rows) if self.atoms is None else self.atoms.average(rows, log_density)
            )

        if self.holed is None or not lacking.any():
            return of_complete(coded)
        of_holed = self.holed.average(coded[lacking], of_complete)
        result = np.empty((len(coded), of_holed.shape[1]))
        result[lacking] = of_holed
        if not lacking.all():
            result[~lacking] = of_complete(coded[~lacking])
        return result

    def filled(self, coded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return coded rows with noise at atoms, and its log-density, (n,)."""
        if self.atoms is None:
            return coded, np.zeros(len(coded))
        return self.atoms.filled(coded, self.atoms.nodes(coded)[0])

    def rows(self, coded: np.ndarray) -> np.ndarray:
        """Return coded rows encoded; rows of probability zero are infinite."""
        part = coded if self.numbers is None else coded[:, self.numbers]
        return part if self.encoding is None else self.encoding.encode(part)

    def coded(self, estimator: Any, given: Any) -> np.ndarray:
        """Return coded rows to complete, NaN for missing values."""
        coded = np.array(self.reader.code(estimator, given, holes=True, fractions=False))
        if self.atoms is None:
            return coded
        coded = self.atoms.expanded(coded)
        if np.isinf(coded).any():
            j = int(np.argmax(np.isinf(coded).any(axis=0)))
            raise ValueError(
                f"given holds a value <= 0 in column {self.columns[j]['name']!r}, where all values "
                "but the atoms are positive. Drop such rows."
            )
        return coded

    def collapsed(self, coded: np.ndarray) -> np.ndarray:
        """Return coded rows as the reader writes them: atoms are values again."""
        return coded if self.atoms is None else self.atoms.collapsed(coded)

    def encoded(self, coded: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the known values of coded rows as the model sees them, with noise."""
        part = coded if self.numbers is None else coded[:, self.numbers]
        if self.encoding is None:
            return part
        rows = self._encoded(part)
        normal = rng.standard_normal((len(rows), int(self.encoding.is_noisy.sum())))
        return rows + self.encoding.noise(normal)[0]

    def clip_bounds(self, bounds: np.ndarray) -> np.ndarray:
        """Return the range that encoded rows are clipped to; points of categories have none."""
        if self.encoding is None:
            return bounds
        return np.where(self.encoding.is_bits, np.array([[-np.inf], [np.inf]]), bounds)

    def decoded(self, rows: np.ndarray, bounds: np.ndarray) -> np.ndarray:
        """Return drawn rows as coded ones; whole numbers stay within the training range.

        Categories that a chain draws are NaN.
        """
        part = rows if self.encoding is None else self.encoding.decode(rows, *bounds)
        if self.numbers is None:
            return part
        coded = np.full((len(rows), len(self.columns)), np.nan)
        coded[:, self.numbers] = part
        return coded

    def _encoded(self, coded: np.ndarray, positive: np.ndarray | None = None) -> np.ndarray:
        """Encode training rows or known values; raise for categories of probability zero.

        Rows whose weight `positive` is zero are not checked.
        """
        if self.encoding is None:
            return coded
        counted = slice(None) if positive is None else positive > 0
        for about, share, column in zip(self.columns, self.encoding.shares, coded.T):
            if share is None:
                continue
            known = column[counted]
            known = known[~np.isnan(known)].astype(np.intp)
            bad = share[known] == 0
            if bad.any():
                culprit = about["values"][known[np.argmax(bad)]]
                raise ValueError(
                    f"Column {about['name']!r} of X holds {culprit!r}, a category without training "
                    "rows. Drop or recode such rows, fit to a table with such rows in it, or give "
                    "the column another kind by categorical_features and integer_features."
                )
        encoded = self.encoding.encode(coded)
        if not encoded.shape[1]:
            raise ValueError(_NOTHING)
        return encoded


def read_training_table(
    estimator: Any,
    X: Any,
    sample_weight: Any,
    *,
    min_samples: int = 1,
    in_parts: bool = False,
    seed: int = 0,
) -> tuple[TableCoding, np.ndarray, np.ndarray, np.ndarray | None]:
    """Validate a training table; return its coding, coded and encoded rows, and weights or None.

    With `in_parts` more rows will come: categories are encoded, and those that are declared without
    rows are allowed in later rows. Encoded rows of a table with holes have several versions,
    (k, n, width).
    """
    holes = estimator.missing != "raise" and not in_parts
    reader, coded = TableReader.learn(estimator, X, min_samples=min_samples, holes=holes)
    weight = _weights(sample_weight, coded)
    atoms = None
    if not in_parts:
        atoms = AtomColumns.learn(coded, reader.columns, weight, estimator.atoms)
    holed, versions = None, [coded]
    if holes:
        masses = {} if atoms is None else atoms.masses(reader.columns)
        holed = Completions.learn(estimator, reader, X, coded, weight, masses, seed)
        versions = holed.of(estimator, reader, X, seed) if np.isnan(coded).any() else [coded]
    if reader.is_real and atoms is None:
        coding = TableCoding(reader, None, holed=holed)
        return coding, coded, _stacked(versions), weight
    hole = np.isnan(coded)
    if atoms is not None:
        versions = [_with_noise(atoms, version) for version in versions]
        coded = np.hstack([coded, atoms.expanded(coded)[:, coded.shape[1] :]])
    # what stands at atoms is noise, and holes are left to the chain
    coded = np.where(_wide(hole, coded), np.nan, versions[0])
    columns, kinds = _kinds(reader, atoms)
    is_category = np.array([about["kind"] == "category" for about in columns])
    numbers = None
    if not in_parts and is_category.any():
        numbers = np.flatnonzero(~is_category)
        kinds = [kinds[j] for j in numbers]
        if not len(numbers) and not np.ptp(versions[0], axis=0).any():
            raise ValueError(_NOTHING)
    parts = [version if numbers is None else version[:, numbers] for version in versions]
    encoding = None
    if set(kinds) - {"real"}:
        sizes = [len(about.get("values", ())) for about in columns]
        reserve = MOST_CATEGORIES if in_parts else 0
        each = None if weight is None and len(parts) == 1 else _shared(weight, parts)
        encoding = Encoding.learn(np.vstack(parts), kinds, sizes, each, reserve=reserve)
    coding = TableCoding(reader, encoding, numbers, atoms, holed)
    encoded = [coding._encoded(part, positive=weight) for part in parts]
    return coding, coded, _stacked(encoded), weight


def _kinds(
    reader: TableReader, atoms: AtomColumns | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the columns, those of atoms included, and how each is encoded."""
    kinds = encoded_kinds(reader.columns)
    if atoms is None:
        return reader.columns, kinds
    kinds = ["real" if whole else kind for kind, whole in zip(kinds, atoms.whole)]
    return atoms.describe(reader.columns), kinds + ["category"] * len(atoms.places)


def _stacked(versions: list[np.ndarray]) -> np.ndarray:
    return versions[0] if len(versions) == 1 else np.stack(versions)


def _wide(hole: np.ndarray, coded: np.ndarray) -> np.ndarray:
    """Return which entries of coded rows are holes, those of atoms' categories included."""
    extra = np.isnan(coded[:, hole.shape[1] :])
    return np.hstack([hole, extra])


def _shared(weight: np.ndarray | None, parts: list[np.ndarray]) -> np.ndarray:
    """Return the weights of all versions of the rows, (k * n,)."""
    own = np.ones(len(parts[0])) if weight is None else weight
    return np.tile(own, len(parts)) / len(parts)


def _with_noise(atoms: AtomColumns, coded: np.ndarray) -> np.ndarray:
    """Return training rows with categories for atoms, and noise in place of these.

    Every row has noise of its own: equal rows would make a point mass of it.
    """
    normal = np.random.default_rng(0).standard_normal((len(coded), atoms.n_noisy))
    return atoms.filled(atoms.expanded(coded), normal)[0]


def _weights(sample_weight: Any, rows: np.ndarray) -> np.ndarray | None:
    return None if sample_weight is None else check_sample_weight(sample_weight, rows)
