"""TableReport: what is right and wrong about a synthetic table, and how sure that is."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from skgm._random import spawn
from skgm.evidence._copies import Copies, Nearest, find_copies, nearest_records
from skgm.evidence._figures import draw_bars, draw_column, draw_distances, draw_transforms
from skgm.evidence._findings import FALSE_ALARMS, Finding, find_faults
from skgm.evidence._joint import (
    Energy,
    TwoSample,
    Utility,
    classifier_test,
    energy_test,
    train_on_synthetic,
)
from skgm.evidence._likelihood import Calibration, HeldOut, calibrate_conditionals, held_out_nats
from skgm.evidence._margins import Margin, Special, compare_margins, special_values
from skgm.evidence._page import page
from skgm.evidence._pairs import Association, Pair, compare_associations, compare_pairs
from skgm.tables._coded import plain, read_tables
from skgm.tables._validation import check_level

__all__ = ["TableReport", "report"]

_TITLE = "Synthetic rows beside real ones"


class TableReport:
    r"""Compare a synthetic table with a real one: what is right, what is wrong, how sure that is.

    Every figure has an interval or a p-value, and what is wrong beyond chance becomes a warning in
    plain words. Warnings are ranked: rows copied out, then columns, categories and pairs by the
    size of the fault, then what is wrong with whole rows without a cause. The chance that a
    faithful table gets any is about one in a thousand.

    Parameters
    ----------
    real : array-like or data frame of shape (n_samples, n_features)
        Real rows, with numbers, categories, dates and holes. The rows that the model was fitted
        to, if copies are to be found.
    synthetic : array-like or data frame of shape (n_synthetic, n_features)
        Synthetic rows; columns are matched by name.
    holdout : array-like or data frame, default=None
        Real rows that the model has not seen. With them the report also says whether synthetic
        rows lie too near to the training rows, and the classifier, the energy test and the
        predictions use them.
    density : fitted density, default=None
        The model behind the rows. With a `holdout` the report adds its held-out log-likelihood
        beside baselines, and whether its conditional distributions are calibrated.
    target : str or int, default=None
        A column to predict: trees trained on synthetic rows are compared with trees trained on as
        many real rows, on rows held out from both.
    level : float, default=0.95
        Confidence level of all intervals.
    random_state : None, int, RandomState or Generator, default=0
        Chooses subsamples, splits, permutations and draws.

    Attributes
    ----------
    warnings : tuple of Finding
        What is wrong, the worst first; each has `text`, `part`, `columns` and `severity`. Its str
        is the text.
    margins : list of Margin
        Each column: Kolmogorov-Smirnov or total variation distance with interval, p-value, shape
        score and lost or new categories, the worst first.
    pairs : list of Pair
        Each two columns: difference of correlations or total variation, and the trend score, the
        worst first.
    associations : list of Association
        Columns whose relations to the others changed, whatever happened to their margins.
    special : list of Special
        Holes, point masses, values beyond the real ends, and numbers with too many decimals.
    copies : Copies
        Rows that equal a real row, and what chance would give.
    nearest : Nearest or None
        Whether rows are nearer to training rows than to held-out ones; None without `holdout`.
    classifier : TwoSample
        A classifier told to separate the tables.
    energy : Energy
        The energy test.
    utility : Utility or None
        Training on synthetic rows; None without `target`.
    likelihood : HeldOut or None
        Held-out log-likelihood; None without `density` and `holdout`.
    calibration : tuple of Calibration
        Probability integral transforms of each column given the others.
    shape, trend : float
        Means of the shape and trend scores over columns and pairs.

    Raises
    ------
    ValueError
        Tables without a shared column, of fewer than ten rows, with infinite numbers or with text
        where real rows have numbers; an unknown `target`; a `density` without a `holdout`.

    See Also
    --------
    skgm.privacy_audit : Attacks on the rows that a model was fitted to.
    skgm.compare_densities : Two densities on held-out rows.

    Notes
    -----
    Shape and trend are defined as in the quality report of sdmetrics (column shapes, and pair
    trends of all pairs, without its thresholds), so that published scores compare; they have no
    noise floor, so read the intervals with them. An interval of a distance is that of the distance
    of the two distributions behind the tables. It contains 0 where chance explains the distance.

    Large tables are thinned at random: associations use 5000 rows of each table, the classifier
    4000, the energy test 300 and nearest records 5000.

    References
    ----------
    Lopez-Paz, D. & Oquab, M. (2017). Revisiting classifier two-sample tests. ICLR.

    Szekely, G. J. & Rizzo, M. L. (2013). Energy statistics. Journal of Statistical Planning and
    Inference 143, 1249-1272.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skgm import TableReport
    >>> rng = np.random.default_rng(0)
    >>> age = rng.normal(50, 10, size=(2, 600))
    >>> real, synthetic = (pd.DataFrame({"age": a, "pay": a + rng.normal(size=600)}) for a in age)
    >>> TableReport(real, synthetic).warnings
    ()
    >>> synthetic["pay"] = rng.permutation(synthetic["pay"])
    >>> print(TableReport(real, synthetic).warnings[0])
    Column 'age' has lost its relation to 'pay': the correlation of age and pay is ...
    """

    def __init__(
        self,
        real: Any,
        synthetic: Any,
        holdout: Any = None,
        density: Any = None,
        target: Any = None,
        *,
        level: float = 0.95,
        random_state: Any = 0,
    ) -> None:
        self.level = check_level(level)
        if density is not None and holdout is None:
            raise ValueError(
                "density is judged on rows that it has not seen: pass them as holdout, or leave "
                "density out."
            )
        tables = read_tables(real, synthetic, holdout)
        streams = spawn(random_state, 7)
        self._tables = tables
        self.n_real, self.n_synthetic = len(tables.real), len(tables.synthetic)
        self.n_holdout = 0 if tables.holdout is None else len(tables.holdout)
        self.columns, self.lacking, self.extra = tables.names, tables.lacking, tables.extra
        margins = compare_margins(tables, self.level)
        self.margins: list[Margin] = sorted(margins, key=lambda margin: -margin.distance)
        pairs = compare_pairs(tables, self.level, streams[6])
        self.pairs: list[Pair] = sorted(pairs, key=_badness, reverse=True)
        self.associations: list[Association] = compare_associations(tables, streams[0])
        self.special: list[Special] = special_values(tables, self.level)
        self.copies: Copies = find_copies(tables, self.level)
        self.nearest: Nearest | None = nearest_records(tables, self.level, streams[1])
        self.classifier: TwoSample = classifier_test(tables, self.level, streams[2])
        self.energy: Energy = energy_test(tables, streams[3])
        self.utility: Utility | None = None
        if target is not None:
            self.utility = train_on_synthetic(tables, target, self.level, streams[4])
        self.likelihood: HeldOut | None = None
        self.calibration: tuple[Calibration, ...] = ()
        if density is not None:
            self.likelihood = held_out_nats(density, real, holdout, self.level)
            self.calibration = calibrate_conditionals(density, holdout, streams[5])
        self.shape = _mean([margin.shape for margin in self.margins])
        self.trend = _mean([pair.trend for pair in self.pairs])
        self.warnings: tuple[Finding, ...] = find_faults(self)

    def summary(self) -> str:
        """Return the report as text.

        Returns
        -------
        text : str
            Warnings, then each part in a few lines.
        """
        return "\n".join(_lines(self))

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return (
            f"<TableReport of {self.n_synthetic} synthetic rows beside {self.n_real} real ones: "
            f"{len(self.warnings)} warnings>"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{_escaped(self.summary())}</pre>"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data.

        Returns
        -------
        report : dict
            Numbers, texts, lists and dicts only: ``json.dumps`` takes it. NaN becomes None.
        """
        found: dict[str, Any] = {
            "n_real": self.n_real,
            "n_synthetic": self.n_synthetic,
            "n_holdout": self.n_holdout,
            "level": self.level,
            "shape": self.shape,
            "trend": self.trend,
            "lacking": self.lacking,
            "extra": self.extra,
        }
        parts = (
            *("warnings", "margins", "pairs", "associations", "special", "copies", "nearest"),
            *("classifier", "energy", "utility", "likelihood", "calibration"),
        )
        return dict(plain(found | {name: getattr(self, name) for name in parts}))

    def to_html(self, path: Any = None, *, title: str = _TITLE, n_columns: int = 12) -> str:
        """Write the report as one page of HTML, which needs no network and no other file.

        Parameters
        ----------
        path : str or Path, default=None
            File to write; None writes none.
        title : str, default="Synthetic rows beside real ones"
            Title of the page.
        n_columns : int, default=12
            Number of columns whose distributions are drawn, the worst ones.

        Returns
        -------
        html : str
            The page. Figures are drawn with matplotlib; without it there are tables only.
        """
        text = page(self, title, n_columns)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def plot(self, part: str = "margins", *, ax: Any = None) -> Any:
        """Draw a part of the report.

        Parameters
        ----------
        part : {"margins", "classifier", "calibration"} or column name, default="margins"
            "margins": distances of the worst columns with intervals; "classifier": the columns that
            give synthetic rows away; "calibration": the worst one; the name of a column: its two
            distributions.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        ax : matplotlib Axes
            Where it was drawn.

        Raises
        ------
        ValueError
            An unknown part or column, or a part that this report does not have.
        ImportError
            Without matplotlib.
        """
        draw, arguments = self._drawing(part)
        if ax is None:
            try:
                import matplotlib.pyplot as plt  # only drawing needs it, and it is an extra
            except ImportError as error:
                raise ImportError(
                    "TableReport.plot needs matplotlib, which is not installed: "
                    "pip install 'skgm[plot]'."
                ) from error
            ax = plt.subplots()[1]
        draw(ax, *arguments)
        return ax

    def _drawing(self, part: Any) -> tuple[Any, tuple[Any, ...]]:
        if part == "margins":
            return draw_distances, (self.margins,)
        if part == "classifier":
            label = "what the area loses without the column"
            return draw_bars, (self.classifier.columns, label)
        if part == "calibration" and self.calibration:
            return draw_transforms, (max(self.calibration, key=lambda entry: entry.distance),)
        if part in self.columns:
            return draw_column, (self._tables, self.columns.index(part))
        raise ValueError(
            "part must be 'margins', 'classifier', 'calibration' (of a report with a density) or "
            f"one of the columns {self.columns[:20]}; got {part!r}."
        )

    def to_frame(self, part: str = "margins") -> Any:
        """Return a part of the report that has many entries as a table.

        Parameters
        ----------
        part : {"margins", "pairs", "associations", "special", "warnings"}, default="margins"
            Which.

        Returns
        -------
        frame : pandas.DataFrame
            A row for each entry, the worst first.
        """
        import pandas as pd  # imported where it is used: it takes a second

        known = ("margins", "pairs", "associations", "special", "warnings")
        if part not in known:
            raise ValueError(f"part must be one of {', '.join(map(repr, known))}; got {part!r}.")
        return pd.DataFrame([asdict(entry) for entry in getattr(self, part)])


def report(real: Any, synthetic: Any, holdout: Any = None, **options: Any) -> TableReport:
    """Compare a synthetic table with a real one; the same as :class:`skgm.TableReport`.

    Parameters
    ----------
    real, synthetic : array-like or data frame
        Real rows, and synthetic ones.
    holdout : array-like or data frame, default=None
        Real rows that the model has not seen.
    **options
        `density`, `target`, `level` and `random_state` of :class:`skgm.TableReport`.

    Returns
    -------
    report : TableReport
        Print it, or write it with ``to_html``.
    """
    return TableReport(real, synthetic, holdout, **options)


def _badness(pair: Pair) -> tuple[float, float]:
    """Rank pairs by the end of the interval that is nearer to 0, then by the difference."""
    if np.isnan(pair.distance):
        return -1.0, -1.0
    surely = max(pair.low, -pair.high, 0.0)
    return surely, abs(pair.distance)


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _lines(found: TableReport) -> Iterator[str]:
    """Yield the text of a report."""
    yield f"{found.n_synthetic} synthetic rows beside {found.n_real} real ones" + (
        f", {found.n_holdout} held out" if found.n_holdout else ""
    )
    if found.warnings:
        yield f"warnings ({len(found.warnings)}), the worst first:"
        yield from (f"  {k}. {finding}" for k, finding in enumerate(found.warnings, 1))
    else:
        yield "no warnings: chance explains all differences"
    if found.extra:
        yield f"columns of the synthetic table alone, left out: {', '.join(map(str, found.extra))}"
    yield f"shape {found.shape:.4f} (mean over columns), trend {found.trend:.4f} (mean over pairs)"
    for margin in found.margins[:5]:
        yield (
            f"  {margin.column}: {margin.measure} {margin.distance:.3f} "
            f"[{margin.low:.3f}, {margin.high:.3f}]"
        )
    for pair in found.pairs[:3]:
        yield (
            f"  {pair.first}, {pair.second}: {pair.measure} {pair.distance:+.3f} "
            f"[{pair.low:+.3f}, {pair.high:+.3f}]"
        )
    yield from _row_lines(found)


def _row_lines(found: TableReport) -> Iterator[str]:
    test, energy, copies = found.classifier, found.energy, found.copies
    yield f"classifier: area {test.auc:.3f} [{test.low:.3f}, {test.high:.3f}], 0.5 is best" + (
        f"; by {', '.join(name for name, _ in test.columns[:3])}" if test.auc > 0.55 else ""
    )
    yield f"energy test: p = {energy.pvalue:.3g} on {energy.n_rows} rows"
    yield (f"rows equal to a real row: {copies.n_exact} ({copies.share:.2%}); {copies.by_chance()}")
    if found.nearest is not None:
        near = found.nearest
        yield (
            f"nearer to training than to held-out rows: {near.share:.1%} "
            f"[{near.low:.1%}, {near.high:.1%}], 50% gives nothing away"
        )
    if found.utility is not None:
        use = found.utility
        yield (
            f"prediction of {use.target}: {use.measure} {use.synthetic:.3f} trained on synthetic "
            f"rows, {use.real:.3f} on real ones; {use.difference:+.3f} nats per row "
            f"[{use.low:+.3f}, {use.high:+.3f}]"
        )
    if found.likelihood is not None:
        nats = found.likelihood
        yield f"held-out log-likelihood: {nats.score:.4f} nats per row, {nats.n_rows} rows"
        for name, versus in nats.comparisons.items():
            ends = f"[{versus.low:+.3f}, {versus.high:+.3f}]"
            yield f"  minus {name}: {versus.difference:+.3f} {ends}"
        yield from (f"  {note}" for note in nats.notes)
    if found.calibration:
        worst = max(found.calibration, key=lambda entry: entry.distance)
        yield (
            f"calibration of {len(found.calibration)} conditionals: worst {worst.column}, distance "
            f"{worst.distance:.3f} (p = {worst.pvalue:.2g})"
        )
    yield (
        f"Warnings are given where chance would bring one such report in {1 / FALSE_ALARMS:.0f}. "
        f"Intervals: {100 * found.level:.6g}%, one at a time."
    )
