"""privacy_audit: what a model or its synthetic rows give away of the rows it was fitted to."""

import numbers
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from skgm._random import spawn
from skgm._sklearn import take_rows
from skgm.evidence._attacks import (
    Guess,
    Membership,
    RareValue,
    infer_attributes,
    membership,
    rare_values,
    single_out,
)
from skgm.evidence._copies import Copies, Nearest, find_copies, nearest_records
from skgm.evidence._findings import ALPHA, Finding, copy_findings
from skgm.tables._coded import as_frame, plain, read_tables
from skgm.tables._validation import check_level

__all__ = ["PrivacyAudit", "RowRisk", "privacy_audit"]

_TELLING = 0.55  # an area of log-densities from here on is a finding, if chance does not explain it
_RATIO_TELLING = (0.7, 0.05)  # area, or share of the rows at one false alarm in a hundred
_MOST_ROWS = 10
_PROMISE = (
    "None of this proves privacy. The attacks are those listed; others, or the same with more "
    "knowledge, may tell more. No differential privacy is claimed: a bound that holds against "
    "every attack needs a method of fitting that adds noise for the purpose."
)


@dataclass(frozen=True)
class RowRisk:
    """A training row that its likelihood ratio gives away most.

    Attributes
    ----------
    row : int
        Its position in the training table.
    log_density, without : float
        Log-density under the fit, and under a refit without the row and its fold.
    ratio : float
        Their difference, in nats.
    false_positives : float
        Share of held-out rows with as large a ratio: small where the row stands out.
    """

    row: int
    log_density: float
    without: float
    ratio: float
    false_positives: float


@dataclass(frozen=True)
class PrivacyAudit:
    """Outcome of :func:`privacy_audit`.

    Attributes
    ----------
    warnings : tuple of Finding
        What is given away beyond chance, the worst first, in plain words.
    copies : Copies
        Synthetic rows equal to a training row, and what chance would give.
    nearest : Nearest
        Share of the synthetic rows nearer to a training row than to any held-out row, with its
        binomial interval, and near copies.
    rare : tuple of RareValue
        Categories of at most three training rows, and of no held-out row, that synthetic rows
        repeat.
    membership : Membership or None
        Training against held-out rows by their log-density under the fit: what somebody learns who
        has the density. None for a table.
    ratio : Membership or None
        The same by likelihood ratios to refits without the row: somebody who also knows the other
        rows. None for a table, and without refits.
    rows : tuple of RowRisk
        The training rows that their ratio gives away most.
    guesses : tuple of Guess
        Singling out and attribute inference after anonymeter.
    n_train, n_holdout, n_synthetic : int
        Rows.
    level : float
        Confidence level of the intervals.
    notes : tuple of str
        What was left out, and why.
    """

    warnings: tuple[Finding, ...]
    copies: Copies
    nearest: Nearest
    rare: tuple[RareValue, ...]
    membership: Membership | None
    ratio: Membership | None
    rows: tuple[RowRisk, ...]
    guesses: tuple[Guess, ...]
    n_train: int
    n_holdout: int
    n_synthetic: int
    level: float
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return the audit as text.

        Returns
        -------
        text : str
            Warnings, then each attack in a line, then what they cannot promise.
        """
        return "\n".join(_lines(self))

    def __str__(self) -> str:
        return self.summary()

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain data.

        Returns
        -------
        audit : dict
            Numbers, texts, lists and dicts only.
        """
        return dict(plain(self))

    def to_frame(self, part: str = "guesses") -> Any:
        """Return a part of the audit as a table.

        Parameters
        ----------
        part : {"guesses", "rows", "rare", "membership", "warnings"}, default="guesses"
            Which.

        Returns
        -------
        frame : pandas.DataFrame
            A row for each entry.
        """
        import pandas as pd  # imported where it is used: it takes a second

        known = ("guesses", "rows", "rare", "membership", "warnings")
        if part not in known:
            raise ValueError(f"part must be one of {', '.join(map(repr, known))}; got {part!r}.")
        entries: Any = getattr(self, part)
        if part == "membership":
            entries = [entry for entry in (self.membership, self.ratio) if entry is not None]
        return pd.DataFrame([asdict(entry) for entry in entries])


def privacy_audit(
    density_or_synthetic: Any,
    train: Any,
    holdout: Any,
    *,
    n_folds: int = 5,
    n_attacks: int = 500,
    level: float = 0.95,
    random_state: Any = 0,
) -> PrivacyAudit:
    """Attack a density, or synthetic rows, for what they give away of the training rows.

    Every attack is made on training rows and on held-out rows alike: what it achieves on the latter
    is knowledge about the population, and only the difference is given away.

    Parameters
    ----------
    density_or_synthetic : fitted density, array-like or data frame
        A density with `score_samples` and `sample`, from which as many rows as in `train` are
        drawn; or synthetic rows.
    train : array-like or data frame of shape (n_samples, n_features)
        The rows that the model was fitted to.
    holdout : array-like or data frame of shape (n_holdout, n_features)
        Real rows of the same kind that it has not seen. A hundred are few for a rate of one in a
        hundred.
    n_folds : int, default=5
        Number of refits of a density, each without one fold of the training rows; 0 makes none.
    n_attacks : int, default=500
        Guesses of each attack by singling out and attribute inference.
    level : float, default=0.95
        Confidence level of the intervals.
    random_state : None, int, RandomState or Generator, default=0
        Of draws, folds and guesses.

    Returns
    -------
    audit : PrivacyAudit
        Figures with intervals, warnings, and what they cannot promise; prints as text.

    Raises
    ------
    ValueError
        No holdout, tables of fewer than ten rows or without shared columns, a bad `n_folds` or
        `n_attacks`.

    See Also
    --------
    skgm.TableReport : Whether the rows are any good.

    Notes
    -----
    *Membership.* Training rows are told from held-out ones by their log-density under the fit, and
    by the likelihood ratio of the fit to a refit without the row (of a held-out row: to one refit,
    chosen at random). The ratio needs somebody who knows the other training rows: it finds also
    the little that any estimate must keep of every row, of order sqrt(parameters / rows).

    *Singling out* takes predicates that hold for exactly one synthetic row and asks how often they
    hold for exactly one real row. *Attribute inference* guesses a column from the nearest synthetic
    row in all other columns: right is the same category, or a number within 5%. Rates become risks
    (rate - control) / (1 - control), as anonymeter defines them.

    For k parameters estimated from n rows the area of the ratio is about Phi(sqrt(k F / (2 n))),
    F the number of folds less one: 0.57 for a Gaussian of three columns and 500 rows. So a warning
    needs an interval above 0.7, or more than 5% of the training rows told at 1% false positives; of
    the log-density, an interval above one half and an area of 0.55. The other warnings need a
    p-value below one in ten thousand, divided by the number of attacks.

    References
    ----------
    Carlini, N. et al. (2022). Membership inference attacks from first principles. IEEE S&P.

    Giomi, M., Boenisch, F., Wehmeyer, C. & Tasnadi, B. (2023). A unified framework for quantifying
    privacy risk in synthetic data. PoPETs 2023(2), 312-328.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import MLEDensity, privacy_audit
    >>> train, holdout = np.random.default_rng(0).normal(size=(2, 400, 2))
    >>> audit = privacy_audit(MLEDensity("mvn").fit(train), train, holdout)
    >>> audit.warnings
    ()
    >>> copied = privacy_audit(train, train, holdout)
    >>> print(copied.warnings[0])
    400 synthetic rows are copied: they are equal to a real row in every column ...
    """
    level = check_level(level)
    _check_count("n_folds", n_folds, 0)
    _check_count("n_attacks", n_attacks, 1)
    if holdout is None:
        raise ValueError(
            "privacy_audit needs real rows that the model has not seen: without a holdout, what is "
            "known of everybody cannot be told from what is given away."
        )
    streams = spawn(random_state, 5)
    is_density = hasattr(density_or_synthetic, "score_samples")
    synthetic: Any = density_or_synthetic
    if is_density:
        seed = int(streams[0].integers(2**31))
        synthetic = _drawn(density_or_synthetic, len(as_frame(train, "train")), seed)
    tables = read_tables(train, synthetic, holdout)
    nearest: Any = nearest_records(tables, level, streams[1])
    told = _Told(None, None, (), ())
    if is_density:
        told = _membership(density_or_synthetic, train, holdout, n_folds, level, streams[2])
    guesses = [
        *single_out(tables, n_attacks, level, streams[3]),
        *infer_attributes(tables, n_attacks, level, streams[4]),
    ]
    audit = PrivacyAudit(
        warnings=(),
        copies=find_copies(tables, level),
        nearest=nearest,
        rare=rare_values(tables),
        membership=told.attack,
        ratio=told.ratio,
        rows=told.rows,
        guesses=tuple(guesses),
        n_train=len(tables.real),
        n_holdout=0 if tables.holdout is None else len(tables.holdout),
        n_synthetic=len(tables.synthetic),
        level=level,
        notes=told.notes,
    )
    return replace(audit, warnings=tuple(_findings(audit)))


def _check_count(name: str, value: Any, least: int) -> None:
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < least or (name == "n_folds" and value == 1):
        wanted = "0 (no refits) or a whole number >= 2" if not least else "a whole number >= 1"
        raise ValueError(f"{name} must be {wanted}; got {value!r}.")


def _drawn(density: Any, n: int, seed: int) -> Any:
    """Return n rows; GaussianMixture gives components as well, and KernelDensity takes a seed."""
    try:
        drawn = density.sample(n, random_state=seed)
    except TypeError:
        drawn = density.sample(n)
    return drawn[0] if isinstance(drawn, tuple) else drawn


class _Told(NamedTuple):
    """What the attacks on membership found."""

    attack: Membership | None
    ratio: Membership | None
    rows: tuple[RowRisk, ...]
    notes: tuple[str, ...]


def _membership(
    density: Any, train: Any, holdout: Any, n_folds: int, level: float, rng: np.random.Generator
) -> _Told:
    ours, theirs = (np.asarray(density.score_samples(X), dtype=float) for X in (train, holdout))
    attack = membership("log-density", ours, theirs, level)
    if not n_folds:
        return _Told(attack, None, (), ("No likelihood ratios: n_folds=0.",))
    try:
        without, control = _refits(density, train, holdout, n_folds, rng)
    except (TypeError, ValueError) as error:
        return _Told(attack, None, (), (f"No likelihood ratios, for a refit failed: {error}",))
    ratios = _difference(ours, without), _difference(theirs, control)
    ratio = membership("likelihood ratio", ratios[0], ratios[1], level)
    worst = np.argsort(-ratios[0], kind="stable")[:_MOST_ROWS]
    rows = tuple(
        RowRisk(
            int(i),
            float(ours[i]),
            float(without[i]),
            float(ratios[0][i]),
            float(np.mean(ratios[1] >= ratios[0][i])),
        )
        for i in worst
    )
    return _Told(attack, ratio, rows, ())


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.where(a == b, 0.0, a - b)  # -inf twice is no difference


def _refits(
    density: Any, train: Any, holdout: Any, n_folds: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-densities of training rows without them, and of held-out rows by one refit."""
    n, m = (len(as_frame(X, "X")) for X in (train, holdout))
    folds, parts = (rng.permutation(np.arange(k) % n_folds) for k in (n, m))
    without, control = np.empty(n), np.empty(m)
    for k in range(n_folds):
        refit = clone(density)
        if "handle_unknown" in refit.get_params():
            refit.set_params(handle_unknown="ignore")
        refit.fit(take_rows(train, np.flatnonzero(folds != k)))
        for values, X, at in ((without, train, folds == k), (control, holdout, parts == k)):
            if at.any():
                values[at] = refit.score_samples(take_rows(X, np.flatnonzero(at)))
    return without, control


def _findings(audit: PrivacyAudit) -> Iterator[Finding]:
    yield from copy_findings(audit)
    for attack in (audit.membership, audit.ratio):
        if attack is not None and _tells(attack):
            text = (
                f"Training rows are told from held-out rows by their {attack.score}: area "
                f"{attack.auc:.3f} ({attack.low:.3f} to {attack.high:.3f}), where 0.5 tells none; "
                f"{attack.tpr:.1%} of them at one false alarm in a hundred."
            )
            yield Finding(text, "membership", (), 2 * attack.auc - 1)
    alpha = ALPHA / max(len(audit.guesses), 1)
    for guess in audit.guesses:
        if guess.pvalue < alpha:
            what = f" of {guess.column!r}" if guess.column is not None else ""
            text = (
                f"{guess.attack[0].upper()}{guess.attack[1:]}{what} succeeds on {guess.rate:.1%} "
                f"of the training rows and on {guess.control:.1%} of the held-out rows."
            )
            columns = () if guess.column is None else (guess.column,)
            yield Finding(text, "guesses", columns, guess.risk)
    alone = [value for value in audit.rare if value.n_train == 1]
    if alone:
        shown = ", ".join(f"{value.column} = {value.value}" for value in alone[:3])
        more = f" and {len(alone) - 3} more" if len(alone) > 3 else ""
        text = (
            f"Categories that a single training row has were copied out: {shown}{more}. Merge rare "
            "categories, or drop columns of names, before fitting."
        )
        yield Finding(text, "rare", tuple({value.column: None for value in alone}), 0.05)


def _tells(attack: Membership) -> bool:
    """Return whether an attack is a finding: every estimate keeps something of every row."""
    if attack.score == "log-density":
        return attack.pvalue < ALPHA and attack.auc >= _TELLING
    area, share = _RATIO_TELLING
    return attack.low > area or attack.tpr_low > share


def _lines(audit: PrivacyAudit) -> Iterator[str]:
    yield (
        f"privacy audit: {audit.n_synthetic} synthetic rows, {audit.n_train} training rows, "
        f"{audit.n_holdout} held out"
    )
    if audit.warnings:
        yield f"warnings ({len(audit.warnings)}), the worst first:"
        yield from (f"  {k}. {finding}" for k, finding in enumerate(audit.warnings, 1))
    else:
        yield "no warnings: these attacks found nothing beyond chance"
    near, copies = audit.nearest, audit.copies
    yield (
        f"rows equal to a training row: {copies.n_exact} ({copies.low:.2%} to {copies.high:.2%}); "
        f"{copies.by_chance()}"
    )
    yield (
        f"nearer to a training row than to any held-out row: {near.share:.1%} "
        f"[{near.low:.1%}, {near.high:.1%}], 50% gives nothing away"
    )
    for attack in (audit.membership, audit.ratio):
        if attack is not None:
            yield (
                f"membership by {attack.score}: area {attack.auc:.3f} [{attack.low:.3f}, "
                f"{attack.high:.3f}]; {attack.tpr:.1%} [{attack.tpr_low:.1%}, "
                f"{attack.tpr_high:.1%}] of the training rows at 1% false positives"
            )
    for guess in audit.guesses:
        what = f" of {guess.column}" if guess.column is not None else ""
        yield (
            f"{guess.attack}{what}: risk {guess.risk:.3f} [{guess.low:.3f}, {guess.high:.3f}] "
            f"(right {guess.rate:.1%}, on held-out rows {guess.control:.1%})"
        )
    if audit.rare:
        yield f"rare categories copied out: {len(audit.rare)}"
    yield from audit.notes
    yield _PROMISE
