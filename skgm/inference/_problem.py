"""A null hypothesis about a family, and the data it is tested on."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.special import digamma
from sklearn.base import clone

from skgm._numerics.sandwich import inverse_information, meat, sandwich, total_weight
from skgm.inference._family_inference import naming_columns
from skgm.inference._likelihood.bartlett import check_known_mean, column_means
from skgm.inference._likelihood.fit import constrained_estimate
from skgm.inference._likelihood.nulls import (
    Null,
    check_off_edge,
    check_parameter_space,
    flat_information,
    flat_scores,
    flat_values,
    read_null,
)
from skgm.inference._likelihood.rstar import rstar
from skgm.inference._likelihood.statistics import Law, TestedNull, newton_step
from skgm.inference._mle import MLEDensity
from skgm.inference._nesting import limit_case, nested_null
from skgm.inference._results import TestResult, check_alternative
from skgm.inference.families import get_family
from skgm.inference.families._base import Family, Params
from skgm.inference.families._multivariate_normal import independent_groups

__all__ = [
    "CORRECTIONS",
    "FamilyFit",
    "FamilyNull",
    "check_correction",
    "check_events_given",
    "family_null",
    "heavy_tails_root",
    "is_uniform",
    "limit_root",
    "mean_ratio",
    "modified_root",
    "overdispersion_root",
    "rayleigh",
    "uniform_scores",
]


def family_null(model: MLEDensity, family: Family, null: Any, shapes: Any) -> Null:
    """Return what the user wrote as a null hypothesis about `family`."""
    if isinstance(null, MLEDensity):
        null = nested_null(model, null, model.n_features_in_).null
    if isinstance(null, Mapping):
        null = family.expand_null(null)
    aliases = {alias: p.name for p in family.parameters for alias in p.aliases}
    endless = tuple(p.name for p in family.parameters if p.may_be_infinite)
    names = model._column_names()
    return read_null(null, shapes, names, aliases=aliases, endless=endless)


def check_events_given(estimator: Any, event: Any) -> None:
    """Raise where the rows that `estimator` saw were censored and those of the test are not."""
    if event is None and "event" in getattr(estimator, "_statistics", {}):
        raise ValueError(
            "estimator was fitted to right-censored rows; pass their event= to the test as well, "
            "or every row would count as observed."
        )


class FamilyFit(NamedTuple):
    """An estimate and its log-likelihood per column."""

    params: Mapping[str, np.ndarray]
    loglik: np.ndarray


class FamilyNull(TestedNull):
    """A null hypothesis about a family, and the data it is tested on."""

    def __init__(
        self,
        estimator: Any,
        X: Any,
        null: Any,
        sample_weight: Any,
        test: str,
        alternative: str,
        event: Any = None,
        correction: str | None = None,
    ) -> None:
        if not isinstance(estimator, MLEDensity):
            raise TypeError(
                f"{test} needs the likelihood of an MLEDensity; got {type(estimator).__name__}. "
                "Use wald_test, which works for every estimator with estimating functions."
            )
        check_events_given(estimator, event)
        self.model = clone(estimator)
        self.family, self.rows, self.weight, self.statistics = self.model._begin_test(
            X, sample_weight, event
        )
        shapes = self.model._parameter_shapes()
        self.null = family_null(self.model, self.family, null, shapes)
        self.shown, self.on_edge = self.null.shown, self.null.on_edge
        self.df = count_restrictions(self.family, self.null, self.rows.shape[1])
        self.uniform = not self.null.is_linear and is_uniform(self.family, self.null.values)
        if self.uniform:
            self.df *= 2  # the direction goes with the concentration
        elif not self.null.is_linear:
            check_parameter_space(self.family, self.null.values)
            self.family.check_restriction(self.null.values)
        self.alternative, self.correction = alternative, correction
        check_alternative(alternative, self.df)
        check_correction(correction, event)

    @property
    def restrictions(self) -> tuple[np.ndarray, np.ndarray]:
        """R (r, k) and q (r,); of uniform angles, about kappa (cos mu, sin mu)."""
        return (np.eye(self.df), np.zeros(self.df)) if self.uniform else self.null.rows

    def full(self) -> FamilyFit:
        """Return the full estimate, or raise where there is none."""
        names = self.model._column_names()
        self.family.check_statistics(self.statistics, names)
        with naming_columns(names):
            params = self.family.estimate(self.statistics)
        self._check_options_on_edge()
        return self._fit(params)

    def _fit(self, params: Mapping[str, np.ndarray]) -> FamilyFit:
        return FamilyFit(params, self.family.log_likelihood(self.statistics, params))

    def restricted(self, full: FamilyFit | None = None) -> Any:
        """Return the restricted fit, which must lie inside the parameter space.

        Of a null at infinity its likelihood is that of `full` where that is infinite itself.
        """
        if self.on_edge and full is not None:
            name, params, height = self._limit_case()
            return FamilyFit(params, np.where(np.isinf(full.params[name]), full.loglik, height))
        if self.null.is_linear:
            params = constrained_estimate(
                self.family, self.statistics, self.rows, self.weight, self.null.rows
            )
        else:
            with np.errstate(all="ignore"), naming_columns(self.model._column_names()):
                params = self.family.restricted_estimate(self.statistics, self.null.values)
            if not self.uniform:
                self._check_inside(params)
        return FamilyFit(params, np.empty(0)) if full is None else self._fit(params)

    def _check_inside(self, params: Mapping[str, np.ndarray]) -> None:
        for parameter in self.family.parameters:
            value = params[parameter.name]
            bad = ~np.isfinite(value) | parameter.on_boundary(value)
            free = bad & np.isnan(self.null.values[parameter.name])
            if free.any():
                column = self.model._column_names()[int(np.argwhere(free)[0][0])]
                raise ValueError(
                    f"The restricted estimate of {parameter.name!r} for column {column!r} does "
                    "not exist or lies on the edge of the parameter space, so the test does not "
                    "exist. Drop the column, or restrict all of its parameters."
                )

    def theta(self, fit: FamilyFit) -> np.ndarray:
        """Return the parameters as one vector; what R leaves out may be infinite."""
        theta = flat_values(fit.params)
        return np.where((self.restrictions[0] != 0).any(axis=0), theta, 0.0)

    def loglik(self, fit: FamilyFit) -> np.ndarray:
        """Return the log-likelihood per column."""
        return fit.loglik

    def params(self, fit: FamilyFit) -> Mapping[str, Any]:
        """Return the parameters by name, shaped as in ``params_``."""
        return self.model._public(fit.params)

    def step(self, fit: FamilyFit, *, robust: bool) -> np.ndarray:
        """Return A^-1 U at a restricted fit."""
        return newton_step(*self._scores(fit, robust), self.weight)

    def _scores(self, fit: FamilyFit, robust: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores of the rows and the information per observation."""
        if self.uniform:
            return uniform_scores(self.rows, self.null.values["kappa"] == 0)
        psi = flat_scores(self.family, self.rows, fit.params, self.statistics)
        bread = flat_information(self.family, fit.params, self.statistics, model=not robust)
        return psi, bread

    def law(self, fit: FamilyFit, *, robust: bool, at_null: bool = False) -> Law:
        """Return the sandwich at a restricted fit."""
        psi, bread = self._scores(fit, robust)
        return Law(sandwich(bread, meat(psi, self.weight), total_weight(psi, self.weight)))

    def information_score(self, fit: FamilyFit) -> float:
        """Return U' I^-1 U; of censored rows from the statistics, which hold events."""
        family, params = self.family, fit.params
        if self.uniform:
            held = self.null.values["kappa"] == 0
            lengths = rayleigh(self.statistics.length, self.statistics.n)
            return float(np.sum(np.where(held, lengths, 0.0)))
        if family.has_information:
            return float(np.sum(family.score_statistic(self.rows, self.weight, params)))
        slope = family.mean_score(self.statistics, params)
        information = family.model_information(self.statistics, params)
        inverse = inverse_information(information, definite=False)
        return float(self.statistics.n * np.einsum("dj,djk,dk", slope, inverse, slope))

    def score(self, *, robust: bool = False) -> TestResult:
        """Return the score test; that of a null at infinity has one side."""
        if not self.on_edge:
            return super().score(robust=robust)
        check_off_edge(self.null, "A robust score_test", "score_test", refused=robust)
        self._check_options_on_edge()
        name, params, _ = self._limit_case()
        root = limit_root(name, self.rows[:, 0], self.weight)
        if not np.isfinite(root):
            raise ValueError("The score statistic does not exist: the column is constant. Drop it.")
        fit = FamilyFit(params, np.empty(0))
        return self.result(max(root, 0.0) ** 2, "score", fit, float(np.sign(root)))

    def corrected(self, statistic: float, method: str, fit: Any, sign: float | None) -> TestResult:
        """Return the result of the likelihood ratio, corrected for small samples if asked for."""
        if self.correction == "bartlett":
            statistic *= self.df / mean_ratio(self.family, self.statistics.n, self.null, fit.params)
        elif self.correction == "rstar":
            root = modified_root(self.family, self.rows, self.weight, self.null)
            statistic, sign = root**2, float(np.sign(root))
        return self.result(statistic, method, fit, sign, correction=self.correction)

    def _check_options_on_edge(self) -> None:
        """Raise for what a null at infinity does not have: a second side, and corrections."""
        if self.uniform and self.correction is not None:
            raise ValueError(
                "No correction is known for the null of uniform angles; leave it out, or use "
                "score_test, whose size is nearer the nominal one."
            )
        if self.on_edge and (self.correction is not None or self.alternative != "two-sided"):
            raise ValueError(
                "A null at infinity has one side only and no known correction; leave alternative "
                "and correction at their defaults."
            )

    def _limit_case(self) -> tuple[str, dict[str, np.ndarray], np.ndarray]:
        """Return which parameter is infinite, the estimate of the limit, and its height."""
        values = self.null.values
        name = next(name for name, value in values.items() if np.isinf(value).any())
        case = limit_case(self.family.name, name)
        if self.df > 1 or case is None or self.model.fixed or self.rows.shape[1] > 1:
            raise ValueError(
                f"null[{name!r}] = inf lies on the edge of the parameter space, where the law of "
                "the statistic is known for one restricted parameter of one column, no other "
                "parameter being restricted or fixed. Test the columns one by one."
            )
        small = get_family(case.small)
        statistics = small.summarize(self.rows, self.weight)
        small.check_statistics(statistics, self.model._column_names())
        found = small.estimate(statistics)
        params = {key: translate(found[s]) for key, (s, translate) in case.shared.items()}
        return name, params | {name: values[name]}, small.log_likelihood(statistics, found)


def count_restrictions(family: Family, null: Null, n_features: int) -> int:
    """Return the number of free numbers that the null takes away."""
    if null.matrix is not None:
        return len(null.matrix)
    return sum(
        min(int(np.sum(~np.isnan(part))), len(family.free_entries(name, n_features)[0]))
        for name, part in ((name, _lower(value)) for name, value in null.values.items())
    )


def _lower(value: np.ndarray) -> np.ndarray:
    return value[np.tril_indices(len(value))] if value.ndim == 2 else value


# Score statistics of nulls that are no points of the usual parameters: whole circles, infinity.
#
# Uniform angles are the von Mises distribution with :math:`\kappa = 0`, where the direction has no
# meaning. In :math:`\kappa (\cos\mu, \sin\mu)` they are an inner point, and regular: the score test
# is Rayleigh's, :math:`2 n \bar R^2`, and it and the likelihood ratio have two degrees of freedom.
#
# At an infinite ``size`` (negative binomial) or ``df`` (Student's t) the score is that of their
# inverse at zero, an end of its space: it counts where it is positive.
#
# References
# ---------- K. V. Mardia and P. E. Jupp, "Directional Statistics", Wiley, 2000, section 6.3; C.
#   Dean and J. F. Lawless, "Tests for detecting overdispersion in Poisson regression models",
#   Journal of the American Statistical Association 84, 1989.


def is_uniform(family: Any, values: Mapping[str, np.ndarray]) -> bool:
    """Whether a null says that angles are uniform, in some columns.

    Raises
    ------
    ValueError
        It says more than that: a direction, or another concentration elsewhere.
    """
    if family.name != "von_mises" or set(values) != {"mu", "kappa"}:
        return False
    kappa = values["kappa"]
    if not (kappa == 0).any():
        return False
    if not np.isnan(values["mu"]).all() or (kappa > 0).any():
        raise ValueError(
            "null['kappa'] = 0 says that angles are uniform, without a direction: restrict "
            "nothing beside it (NaN for the columns that are free)."
        )
    return True


def rayleigh(lengths: np.ndarray, n: float) -> np.ndarray:
    """Return 2 n R^2 per column, (d,), R being the lengths of the mean vectors."""
    return 2 * n * lengths**2


def uniform_scores(X: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores (n, 2 c) of kappa (cos mu, sin mu) at zero and their information."""
    chosen = X[:, columns]
    psi = np.hstack([np.cos(chosen), np.sin(chosen)])
    return psi, np.eye(psi.shape[1]) / 2


def limit_root(name: str, x: np.ndarray, weight: np.ndarray | None) -> float:
    """Return the standardized score at an infinite `size` or `df` of one column x, (n,)."""
    weight = np.ones(len(x)) if weight is None else weight
    return (overdispersion_root if name == "size" else heavy_tails_root)(x, weight)


def overdispersion_root(x: np.ndarray, weight: np.ndarray) -> float:
    """Return sum{(x - mean)^2 - x} / (mean sqrt(2 n)): variance beyond that of a Poisson."""
    n = weight.sum()
    mean = weight @ x / n
    return float(weight @ ((x - mean) ** 2 - x) / (mean * np.sqrt(2 * n)))


def heavy_tails_root(x: np.ndarray, weight: np.ndarray) -> float:
    """Return sum(z^4 - 3) / sqrt(24 n): kurtosis beyond that of a normal."""
    n = weight.sum()
    centered = x - weight @ x / n
    z = centered / np.sqrt(weight @ centered**2 / n)
    return float(weight @ (z**4 - 3) / np.sqrt(24 * n))


# Small-sample corrections of the likelihood-ratio statistic, as the tests apply them.

CORRECTIONS = (None, "bartlett", "rstar")


def mean_ratio(family: Family, n: float, null: Null, params: Params) -> float:
    """Return the mean under the null of the likelihood-ratio statistic; eq. bartlett.

    Parameters
    ----------
    family : Family
        Continuous.
    n : float
        Number of rows.
    null : Null
        The hypothesis.
    params : dict of str to ndarray
        The restricted estimate.

    Returns
    -------
    mean : float
        Summed over columns.

    Raises
    ------
    ValueError
        A discrete family, a null that couples entries, or one whose mean is not known.
    """
    if family.joint:
        return _gaussian_mean(family, n, null)
    if null.is_linear:
        raise ValueError(
            "correction='bartlett' needs a null that holds parameters at values; for restrictions "
            "that couple parameters the mean of the statistic is not known."
        )
    held = ~np.isnan(family.pack(null.values))
    total = 0.0
    for pattern in np.unique(held, axis=0):
        columns = (held == pattern).all(axis=1)
        if pattern.any():
            part = {name: value[columns] for name, value in params.items()}
            means = column_means(family.columns(columns), pattern, part, n)
            total += float(np.sum(means))
    return total


def _gaussian_mean(family: Family, n: float, null: Null) -> float:
    """Return E[W] of a multivariate normal, exactly.

    T. W. Anderson, "An Introduction to Multivariate Statistical Analysis", 3rd edition, Wiley,
    2003, sections 8.4, 9.3 and 10.8: the statistics are logarithms of Wishart determinants.
    """
    if [p.name for p in family.parameters] != ["mean", "covariance"]:
        check_known_mean(family)
    covariance = null.values["covariance"]
    d = len(covariance)
    if null.matrix is not None:
        return _of_means(n, len(null.matrix))
    held = ~np.isnan(null.values["mean"])
    if not np.isnan(covariance).any():
        # tr A - log|A| - d with n A Wishart on n - 1 degrees of freedom
        return float(held.sum() - d - n * (_mean_log_det(n - 1, d) - d * np.log(n)))
    groups = independent_groups(covariance) or [np.arange(d)]
    apart = sum(_mean_log_det(n - 1, len(group)) for group in groups)
    means = sum(_of_means(n, int(held[group].sum())) for group in groups)
    return n * (apart - _mean_log_det(n - 1, d)) + means


def _of_means(n: float, r: int) -> float:
    """Return E[W] where r linear functions of a mean are restricted, the covariance being free."""
    return float(n * (digamma(n / 2) - digamma((n - r) / 2)))  # Wilks' lambda is a beta variable


def _mean_log_det(df: float, d: int) -> float:
    """Return the mean log-determinant of a standard Wishart matrix."""
    return float(np.sum(digamma((df - np.arange(d)) / 2)) + d * np.log(2))


def modified_root(family: Family, rows: np.ndarray, weight: np.ndarray | None, null: Null) -> float:
    """Return r* for a null that holds one parameter of one column; eq. rstar.

    Parameters
    ----------
    family : Family
        Continuous, of independent columns, and one that defines `canonical`.
    rows : ndarray of shape (n, d)
        The data.
    weight : ndarray of shape (n,) or None
        A weight w counts its row w times.
    null : Null
        The hypothesis.

    Returns
    -------
    root : float
        Positive where the data point above the null.

    Raises
    ------
    ValueError
        Another null, or a family without r*.
    """
    held = np.argwhere(np.empty((0, 2)) if family.joint else ~np.isnan(family.pack(null.values)))
    if len(held) != 1 or family.discrete:
        raise ValueError(
            "correction='rstar' is for one parameter of one column of a continuous family of "
            f"independent columns; this null of the {family.name} family is not of that kind. Use "
            "correction='bartlett' or none."
        )
    column, index = held[0]
    name = family.parameters[index].name
    family = family.columns([column])
    statistics = family.summarize(rows[:, [column]], weight)
    estimate = family.estimate(statistics)
    try:
        _, root = rstar(family, name, statistics, estimate, null.values[name][[column]])
    except NotImplementedError as error:
        raise ValueError(
            f"correction='rstar' is not known for the {family.name} family: {error} Use "
            "correction='bartlett' or none."
        ) from error
    return float(root[0])


def check_correction(correction: str | None, event: Any) -> None:
    """Raise for an unknown small-sample correction, or one of right-censored rows."""
    if correction not in CORRECTIONS:
        allowed = ", ".join(map(repr, CORRECTIONS))
        raise ValueError(f"correction must be one of {allowed}; got {correction!r}.")
    if correction is not None and event is not None:
        raise ValueError(
            f"correction={correction!r} needs the law of the censoring times, which is not "
            "modeled; use correction=None with event."
        )
