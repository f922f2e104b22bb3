"""Exponential families fitted by score matching: one linear system, without the normalizer."""

import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import stats
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

from skgm._numerics.distributions import StudentNoise
from skgm._numerics.gaussian import factorize
from skgm._numerics.importance import NotIntegrableError
from skgm._numerics.moments import Moments
from skgm._parallel import content_hash
from skgm._sklearn import Interval, StrOptions, check_sample_weight, fit_task
from skgm._warnings import renamed_attribute, warn_user
from skgm.base import DensityTags, in_blocks, transactional
from skgm.inference._parametric import ParametricDensity, check_training_table
from skgm.score_matching._bounds import WEIGHTS, check_inside_bounds
from skgm.score_matching._exp_family.closed_forms import (
    OFF_SPHERE,
    FamilyDensity,
    SphereDensity,
    check_on_sphere,
    fit_sphere,
    solve_sphere,
)
from skgm.score_matching._exp_family.density import GenericDensity
from skgm.score_matching._exp_family.line_map import LineMap
from skgm.score_matching._exp_family.linear_system import (
    FAMILIES,
    SPHERE,
    LinearSystem,
    SystemSums,
    check_domain,
    family_of,
    linear_system,
    solve_proper,
    standardize,
)
from skgm.score_matching._exp_family.own_statistics import OwnStatistics, count_statistics
from skgm.score_matching._exp_family.statistics import Quadratic, Statistics
from skgm.tables._summary import TableSummary, named_columns
from skgm.tables._validation import (
    check_finite,
    check_scales,
    check_several_rows,
    check_support,
    warn_singular,
)

__all__ = [
    "ScoreMatchingExpFamily",
]

GRID_ERROR = 0.01  # of a quadrature, from which on it is warned of
MOST_ERRORS = 300  # statistics for which `fit` finds the covariance of theta


class ScoreMatchingExpFamily(ParametricDensity):
    r"""Exponential family of any statistics, fitted by score matching with one linear solve.

    .. math::
        \log p(x) = \theta^\top t(x) + b(x) - A(\theta), \qquad
        G = \overline{\textstyle\sum_j h_j \, \partial_j t \, \partial_j t^\top}, \quad
        g = -\overline{\textstyle\sum_j (h_j \partial_j^2 t + h_j' \partial_j t
        + h_j \, \partial_j t \, \partial_j b)}, \qquad \hat\theta = G^{-1} g

    The (generalized) score-matching loss is quadratic in theta, so no normalizer A is needed to
    fit, to get standard errors, or to test; it is computed once, afterwards, for `score_samples`.

    Prefer it where the statistics are known and the likelihood has no closed normalizer: positive
    data with interactions, polynomials in the exponent, directions, statistics of your own. Not
    for densities of several separate modes, where score matching is inefficient
    (:class:`skgm.NCEDensity` is not), nor where maximum likelihood is as easy
    (:class:`skgm.MLEDensity`).

    Parameters
    ----------
    statistics : str or callable, default="quadratic"
        A ready-made family or t, from rows (n, d) to (n, m):

        - "quadratic": x_i and x_i x_j. Without `bounds` the Gaussian by maximum likelihood.
        - "polynomial": powers 1 to `degree` of every column; columns are independent.
        - "gamma": log x_j and x_j; independent gamma columns.
        - "exponential_square_root": sqrt(x_i) and sqrt(x_i x_j); positive columns that interact.
        - "von_mises_fisher": x_i on rows of unit length; score matching on the sphere.
    gradient : callable, default=None
        Derivatives of t, from (n, d) to (n, d, m); by central differences if None.
    second_derivatives : callable, default=None
        Second derivatives of t with respect to each column, (n, d, m); likewise.
    base : callable, default=None
        The part b of the log-density without parameters, from (n, d) to (n,); for callables.
    base_gradient : callable, default=None
        Its gradient, (n, d); by central differences if None.
    bounds : "positive" or (lower, upper), default=None
        Domain: the positive numbers, or scalars or arrays of shape (n_features,); infinite where
        there is none.
    weight : {"auto", "minlog", "min", "power"} or callable, default="auto"
        Weight function h of the distance t to the nearer bound, in standard deviations of the
        column: min(log(1 + t), cap), min(t, cap), t ** cap; a callable returns h and h'. "auto"
        is "minlog", but min(t, 2) ** 2 for "gamma" and min(t, 2) ** 1.5 for
        "exponential_square_root", whose derivatives have poles at zero.
    weight_cap : float, default=2.0
        The cap.
    degree : int, default=4
        Of "polynomial".

    Attributes
    ----------
    theta_ : ndarray of shape (n_statistics,)
        Coefficients of the statistics in the units of the table.
    theta_covariance_ : ndarray of shape (n_statistics, n_statistics) or None
        Their sandwich covariance; None with more than 300 statistics, or with a ridge.
    params_ : dict
        Name of each statistic to its coefficient: "x0*x1", "log(x0)", ..., "theta0" for callables.
    log_normalizer_, log_normalizer_se_ : float
        A(theta) and its standard error or the error of its quadrature; 0.0 where it is exact.
    normalizer_ess_ : float
        Effective sample size as a share of the points, where A was found by importance
        sampling; else NaN.
    loss_ : float
        Generalized loss at the estimate, without its part that does not depend on theta.
    loglik_ : float
        Total log-likelihood of the training table, in nats.
    ridge_ : float
        0.0, or what made an estimate proper: for "quadratic" without bounds on a singular table,
        as in :class:`ScoreMatchingGaussian`; for columns that interact, a ridge on the
        interactions, relative to the diagonal of G. There are no standard errors then.
    n_samples_seen_ : float
        Number of rows, or the sum of their weights.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    log_density_kind_ : {"exact", "estimate"}
        "exact" also where A is an integral over one or two columns by quadrature.

    Raises
    ------
    ValueError
        In `fit`: statistics that the rows do not determine; an estimate whose density has no
        finite integral; rows outside the bounds or the support; callables that return other shapes
        or numbers that are not finite.

    Warns
    -----
    LinAlgWarning
        An estimate that took a ridge.
    ConvergenceWarning
        A normalizer that is uncertain.

    See Also
    --------
    ScoreMatchingGaussian : Gaussians, also sparse or cut to bounds.
    KernelExpFamily : Without statistics to name.
    skgm.NCEDensity : The same families, with the normalizer as a parameter.

    Notes
    -----
    eq. sm-generalized, sm-implicit, sm-covariance.

    A is in closed form for "quadratic" without bounds, "gamma" and "von_mises_fisher"; by
    double-exponential quadrature for "polynomial" and for any family in one or two columns; else
    by importance sampling on scrambled Sobol points from Student's t, fitted to the rows after the
    bounds are mapped to the line ("quadratic" with bounds: an orthant probability). Draws: exact
    for the closed forms and by inversion of the distribution function for independent columns,
    else resampled from that proposal and moved by Metropolis-adjusted Langevin chains.

    Standard errors and intervals are from the sandwich; those of the model do not exist. Weights
    must vanish at a finite bound fast enough that h p dt vanishes there. ``summarize`` is in units
    of the fit before it: with bounds, or a family of positive rows, they enter the weights h.

    References
    ----------
    .. [1] A. Hyvärinen, "Some extensions of score matching", Computational Statistics & Data
       Analysis 51, 2007.
    .. [2] S. Yu, M. Drton and A. Shojaie, "Generalized score matching for non-negative data",
       Journal of Machine Learning Research 20, 2019.
    .. [3] K. V. Mardia, J. T. Kent and A. K. Laha, "Score matching estimators for directional
       distributions", 2016, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import ScoreMatchingExpFamily
    >>> X = np.random.default_rng(0).gamma(3.0, 2.0, size=(40_000, 1))
    >>> family = ScoreMatchingExpFamily("gamma").fit(X)
    >>> {name: round(value, 1) for name, value in family.params_.items()}
    {'log(x0)': 2.0, 'x0': -0.5}
    """

    _parameter_constraints = {
        "statistics": [StrOptions({*FAMILIES, SPHERE}), callable],
        "gradient": [callable, None],
        "second_derivatives": [callable, None],
        "base": [callable, None],
        "base_gradient": [callable, None],
        "bounds": [StrOptions({"positive"}), "array-like", None],
        "weight": [StrOptions({"auto", *WEIGHTS}), callable],
        "weight_cap": [Interval(numbers.Real, 0, None, closed="neither")],
        "degree": [Interval(numbers.Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        statistics: str | Callable[[np.ndarray], np.ndarray] = "quadratic",
        gradient: Callable[[np.ndarray], np.ndarray] | None = None,
        second_derivatives: Callable[[np.ndarray], np.ndarray] | None = None,
        *,
        base: Callable[[np.ndarray], np.ndarray] | None = None,
        base_gradient: Callable[[np.ndarray], np.ndarray] | None = None,
        bounds: Any = None,
        weight: Any = "auto",
        weight_cap: float = 2.0,
        degree: int = 4,
    ) -> None:
        self.statistics = statistics
        self.gradient = gradient
        self.second_derivatives = second_derivatives
        self.base = base
        self.base_gradient = base_gradient
        self.bounds = bounds
        self.weight = weight
        self.weight_cap = weight_cap
        self.degree = degree

    effective_sample_size_ = renamed_attribute("effective_sample_size_", "normalizer_ess_")

    def __density_tags__(self) -> DensityTags:
        """Return the promises that decide which density checks apply."""
        named = self.statistics if isinstance(self.statistics, str) else ""
        independent = named in ("gamma", "polynomial")
        if named in FAMILIES and FAMILIES[named].positive:
            return DensityTags("positive", independent, equivariance="scale")
        if isinstance(self.bounds, str):
            return DensityTags("non-negative", independent, equivariance="scale")
        if self.bounds is not None:
            ends = [np.ravel(end).tolist() for end in self.bounds]
            support = "unit" if ends == [[0.0], [1.0]] else "real"
            return DensityTags(support, independent)
        group = {"quadratic": "affine", "polynomial": "location-scale"}.get(named, "none")
        return DensityTags("real", independent, equivariance=group)

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "ScoreMatchingExpFamily":
        """Solve the linear system, then find the normalizer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; an integer weight equals that many repetitions of the row.

        Returns
        -------
        self : ScoreMatchingExpFamily
            The fitted estimator.
        """
        task = fit_task(self, X=X, y=y, sample_weight=sample_weight)
        with task, np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            table, weight = self._begin_fit(X, sample_weight, min_samples=2)
            if weight is not None:
                table, weight = table[weight > 0], weight[weight > 0]
                check_several_rows(weight)
            self._check_unused_callables()
            rows = table.astype(np.float64)
            total = float(len(rows) if weight is None else weight.sum())
            share = np.full(len(rows), 1 / total) if weight is None else weight / total
            self.n_samples_seen_, self.ridge_ = total, 0.0
            if self.statistics == SPHERE:
                self._fit_sphere(rows, share)
            else:
                self._fit_system(rows, weight, share)
            log_density = self._log_density(rows)
            self.loglik_ = float(total * (share @ log_density))
            return self

    def _check_unused_callables(self) -> None:
        if callable(self.statistics):
            return
        names = ("gradient", "second_derivatives", "base", "base_gradient")
        unused = [name for name in names if getattr(self, name) is not None]
        if unused:
            raise ValueError(
                f"{', '.join(unused)} go with a callable `statistics`; the family "
                f"{self.statistics!r} has its own."
            )
        if self.statistics == SPHERE and self.bounds is not None:
            raise ValueError(f"{SPHERE!r} takes no bounds; got {self.bounds!r}.")

    def _fit_sphere(self, rows: np.ndarray, share: np.ndarray) -> None:
        check_on_sphere(rows)
        theta, covariance = fit_sphere(rows, share, self.n_samples_seen_)
        self._keep_sphere(theta, covariance, (rows.shape[1] - 1) * (share @ rows))

    def _keep_sphere(self, theta: np.ndarray, covariance: Any, pull: np.ndarray) -> None:
        self._theta, self._log_z = theta, SphereDensity(theta).log_normalizer()[0]
        self.loss_, self.normalizer_ess_ = float(-0.5 * pull @ theta), float("nan")
        self.log_normalizer_, self.log_normalizer_se_ = self._log_z, 0.0
        self._publish(theta, covariance, self._column_names())

    def _fit_system(self, rows: np.ndarray, weight: np.ndarray | None, share: np.ndarray) -> None:
        names = self._column_names()
        check_finite(rows, names)
        lower, upper = check_domain(rows, self.statistics, self.bounds, names)
        is_gaussian = self.statistics == "quadratic" and self.bounds is None
        moments = Moments.from_chunk(rows, weight, joint=is_gaussian)
        check_scales(rows, weight, moments, names)
        self._shift, self._scale, self._spread = standardize(moments, self.statistics)
        self._bounds = (lower - self._shift) / self._scale, (upper - self._shift) / self._scale
        Z = (rows - self._shift) / self._scale
        self._n_statistics = 0
        if callable(self.statistics):
            self._n_statistics = count_statistics(self.statistics, Z[:2])
        family = self._family()
        system = self._system(Z, share)
        if is_gaussian:
            self._theta, self.loss_ = self._gaussian(moments, len(rows))
        else:
            self._solve(family, *system.matrices())
        proposal = StudentNoise.around(LineMap(*self._bounds).backward(Z), share)
        self._proposal = dict(vars(proposal))
        self._normalize(family)
        few = len(family.names) <= MOST_ERRORS and not self.ridge_
        covariance = system.covariance(self._theta, self.n_samples_seen_) if few else None
        self._publish(family.report(self._theta), family.report_errors(covariance), family.names)

    def _sums_of(self, X: Any, sample_weight: Any) -> TableSummary:
        if not hasattr(self, "_theta"):
            raise NotFittedError("Call fit first, on some rows: summarize is in units of a fit.")
        rows = self._begin_scoring(X).astype(np.float64)
        weight = np.ones(len(rows))
        if sample_weight is not None:
            weight = check_sample_weight(sample_weight, rows)
        rows, weight = rows[weight > 0], weight[weight > 0]
        if self.statistics == SPHERE:
            check_on_sphere(rows)
            sums = SystemSums.of_sphere(rows, weight)
        else:
            check_domain(rows, self.statistics, self.bounds, self._column_names())
            sums = self._system((rows - self._shift) / self._scale, weight).sums()
        return TableSummary(self._summary_kind(), len(rows), sums, named_columns(self))

    def _summary_kind(self) -> str:
        units = content_hash([vars(self).get(name) for name in ("_shift", "_scale", "_spread")])
        return f"the linear system of {self.statistics} in the units {units}"

    def _fit_summary(self, total: TableSummary) -> None:
        check_is_fitted(self)
        total.check_kind(self._summary_kind())
        sums = total.statistics
        check_several_rows(np.full(min(total.n_rows, 2), sums.mass))
        G, g = sums.G / sums.mass, sums.g / sums.mass
        self.n_samples_seen_, self.ridge_, log_scale = sums.mass, 0.0, 0.0
        if self.statistics == SPHERE:
            theta = solve_sphere(G, g)
            self._keep_sphere(theta, sums.covariance(theta), g)
        else:
            family = self._family()
            self._solve(family, G, g)
            self._normalize(family)
            covariance = None if self.ridge_ else sums.covariance(self._theta)
            self._publish(
                family.report(self._theta), family.report_errors(covariance), family.names
            )
            log_scale = float(np.log(self._scale).sum())
        height = sums.base + sums.values @ self._theta
        self.loglik_ = float(height - sums.mass * (self._log_z + log_scale))

    def _solve(self, family: Statistics, G: np.ndarray, g: np.ndarray) -> None:
        self._theta, self.ridge_ = solve_proper(family, G, g)
        self.loss_ = float(-0.5 * g @ self._theta)
        if self.ridge_:
            warn_user(
                "The estimate lay outside the natural parameter space (columns that grow together "
                f"without bound); a ridge of {self.ridge_:.2g} on the interactions of the columns "
                "keeps it inside, and standard errors will be refused. Collect more rows, drop "
                "columns that determine one another, or use another family.",
                LinAlgWarning,
            )

    @in_blocks
    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row, on the sphere against its surface.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats; -inf outside the bounds or the support.
        """
        return self._log_density(self._begin_scoring(X).astype(np.float64))

    def score_function(self, X: Any) -> np.ndarray:
        """Return the gradient of the log-density with respect to x.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, inside the support. On the sphere the gradient is tangential.

        Returns
        -------
        gradient : ndarray of shape (n_samples, n_features)
            Stein's score, float64.

        Raises
        ------
        ValueError
            A row outside the bounds or the support, where there is no gradient.
        """
        rows = self._begin_scoring(X).astype(np.float64)
        if self.statistics == SPHERE:
            check_on_sphere(rows)
            return self._theta - rows * (rows @ self._theta)[:, None]
        if self._is_positive():
            model = f"The score function of {self.statistics!r}"
            check_support(rows, "positive", self._column_names(), model=model)
        Z = (rows - self._shift) / self._scale
        check_inside_bounds(Z, *self._bounds, self._column_names(), shown=rows)
        return self._family().score(Z, self._theta) / self._scale

    def _is_positive(self) -> bool:
        return isinstance(self.statistics, str) and FAMILIES[self.statistics].positive

    def _log_density(self, rows: np.ndarray) -> np.ndarray:
        if self.statistics == SPHERE:
            on = np.abs(np.linalg.norm(rows, axis=1) - 1) <= OFF_SPHERE
            return np.where(on, rows @ self._theta - self._log_z, -np.inf)
        Z = (rows - self._shift) / self._scale
        lower, upper = self._bounds
        above = lower < Z if self._is_positive() else lower <= Z
        inside = (above & (upper >= Z)).all(axis=1)
        found = np.full(len(rows), -np.inf)
        if inside.any():
            log_scale = np.log(self._scale).sum()
            found[inside] = self._family().kernel(Z[inside], self._theta) - self._log_z - log_scale
        return found

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        if self.statistics == SPHERE:
            return SphereDensity(self._theta).draw(n_samples, rng)
        own = self._own_density(self._family())
        if own is not None:
            Z = own.draw(n_samples, rng)
        else:
            ess = np.nan_to_num(self.normalizer_ess_, nan=1.0)
            Z = self._generic(self._family()).draw(n_samples, float(ess), rng)
        return self._in_units(Z)

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Complete rows by conditional draws of a Student's t on the line, picked by weight."""
        if self.statistics == SPHERE:
            return SphereDensity(self._theta).complete(given, n_samples, rng)
        own = self._generic(self._family())
        Z = (given - self._shift) / self._scale
        some = own.line.forward(own.proposal.location[None])
        known = np.where(np.isnan(Z), some, Z)
        check_inside_bounds(known, *self._bounds, self._column_names(), shown=given)
        U = self._picked_completions(
            own.log_ratio, own.proposal, own.line.backward(Z), n_samples, rng
        )
        return self._in_units(own.line.forward(U))

    def _in_units(self, Z: np.ndarray) -> np.ndarray:
        """Return rows in the units of the table, inside the bounds."""
        rows = self._shift + self._scale * Z
        lower, upper = (self._shift + self._scale * end for end in self._bounds)
        if not (np.isfinite(lower).any() or np.isfinite(upper).any()):
            return rows
        dtype = np.dtype(self._sample_dtype).type  # its rounding must not cross a bound
        ends = np.nextafter(dtype(lower), dtype(np.inf)), np.nextafter(dtype(upper), -dtype(np.inf))
        return np.clip(rows.astype(dtype), *ends)

    def _family(self) -> Statistics:
        names = self._column_names()
        if isinstance(self.statistics, str):
            return family_of(self.statistics, self._shift, self._scale, names, self.degree)
        functions = ("statistics", "gradient", "second_derivatives", "base", "base_gradient")
        return OwnStatistics(
            self._shift,
            self._scale,
            names,
            {name: getattr(self, name) for name in functions},
            self._n_statistics,
            self._spread,
            *self._bounds,
        )

    def _system(self, Z: np.ndarray, share: np.ndarray) -> LinearSystem:
        return linear_system(
            self._family(),
            Z,
            share,
            self._bounds,
            self._spread,
            statistics=self.statistics,
            weight=self.weight,
            cap=self.weight_cap,
        )

    def _gaussian(self, moments: Moments, n_rows: int) -> tuple[np.ndarray, float]:
        """Return theta of standardized columns and the loss of a Gaussian without bounds."""
        factor = factorize(moments.covariance(None), moments.mean)
        if factor.ridge:
            warn_singular(factor, n_rows, self._column_names())
        self.ridge_ = factor.ridge
        K = factor.precision * self._scale * self._scale[:, None]
        family = self._family()
        assert isinstance(family, Quadratic)
        return family.coefficients(np.zeros(len(K)), K), float(-0.5 * np.trace(K))

    def _own_density(self, family: Statistics) -> FamilyDensity | None:
        return family.density(self._theta, *self._bounds)

    def _generic(self, family: Statistics) -> GenericDensity:
        line = LineMap(*self._bounds)
        return GenericDensity(family, self._theta, line, StudentNoise(**self._proposal))

    def _normalize(self, family: Statistics) -> None:
        """Find the normalizer, or say what is wrong with the estimate."""
        self.normalizer_ess_, self.log_density_kind_ = float("nan"), "exact"
        found = None
        try:
            own = self._own_density(family)
            if own is not None:
                self._log_z, error = own.log_normalizer()
            else:
                self._log_z, error, found = self._generic(family).normalize()
        except NotIntegrableError as reason:
            raise ValueError(
                f"The estimate lies outside the natural parameter space: the density {reason}, so "
                "it cannot be normalized. Collect more rows, use fewer statistics or another "
                "family, or give `bounds`."
            ) from reason
        faults = []
        if found is not None:
            self.normalizer_ess_, self.log_density_kind_ = found.ess, "estimate"
            faults = found.faults()
        elif error > GRID_ERROR:
            faults = [f"the error of the quadrature is {error:.2g}"]
        if own is not None and error > 0 and self.statistics == "quadratic":
            self.log_density_kind_ = "estimate"
        self.log_normalizer_se_ = error
        log_scale = np.log(self._scale).sum()
        self.log_normalizer_ = float(self._log_z + log_scale - family.constant(self._theta))
        if faults:
            warn_user(
                f"The normalizer is uncertain: {'; '.join(faults)}. The density may be off by a "
                "common factor. Use fewer columns or statistics, or skgm.NCEDensity, which "
                "estimates the normalizer as a parameter.",
                ConvergenceWarning,
            )

    def _publish(self, theta: np.ndarray, covariance: np.ndarray | None, names: list[str]) -> None:
        parts = [theta] if covariance is None else [theta, covariance]
        if not all(np.isfinite(part).all() for part in parts):
            raise ValueError(
                "The coefficients or their errors overflow in the units of the table. Rescale the "
                "columns before fitting (for example with sklearn.preprocessing.StandardScaler)."
            )
        self.theta_ = theta.astype(self._sample_dtype)
        self.theta_covariance_ = covariance
        self.params_ = dict(zip(names, theta.tolist()))

    def _sandwich(self, X: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray:
        total = self.n_samples_seen_
        share = np.full(len(X), 1 / total) if sample_weight is None else sample_weight / total
        if self.statistics == SPHERE:
            return fit_sphere(X, share, total)[1]
        system = self._system((X - self._shift) / self._scale, share)
        return system.statistics.report_errors(system.covariance(self._theta, total))

    def _estimating_functions(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return psi (n, m), scaled so that the bread is the identity, and the bread."""
        m = len(self._theta)
        if self.statistics == SPHERE:
            d = X.shape[1]
            bread = np.eye(d) - X.T @ X / len(X)
            psi = self._theta - X * (X @ self._theta)[:, None] - (d - 1) * X
            return -np.linalg.solve(bread, psi.T).T, np.eye(m)
        Z = (X - self._shift) / self._scale
        system = self._system(Z, np.full(len(X), 1 / len(X)))
        psi = np.concatenate([part for _, part in system.estimating_functions(self._theta)])
        mapping = system.statistics.reporting_map()
        return -(mapping @ np.linalg.solve(system.matrices()[0], psi.T)).T, np.eye(m)

    def standard_errors(
        self, cov: str = "robust", *, X: Any = None, sample_weight: Any = None
    ) -> Mapping[str, Any]:
        """Return the standard error of each coefficient.

        Parameters
        ----------
        cov : {"robust"}, default="robust"
            The sandwich, the only one that score matching has.
        X : array-like of shape (n_samples, n_features), default=None
            The training table, needed where there are more than 300 statistics.
        sample_weight : array-like of shape (n_samples,), default=None
            Its weights, as given to `fit`.

        Returns
        -------
        standard_errors : dict of str to float
            With the keys of ``params_``.
        """
        return super().standard_errors(cov, X=X, sample_weight=sample_weight)

    def _standard_errors(self, cov: str, X: Any, sample_weight: Any) -> dict[str, Any]:
        if cov != "robust":
            raise ValueError(f"Score matching has errors by the sandwich alone; got cov={cov!r}.")
        if self.ridge_:
            raise ValueError(
                "The estimate took a ridge (ridge_ > 0), so there are no standard errors or "
                "intervals. Drop constant and collinear columns, or collect more rows."
            )
        covariance = self.theta_covariance_
        if X is not None:
            check_training_table(X, sample_weight, self.n_samples_seen_)
            covariance = self._sandwich(X, sample_weight)
        if covariance is None:
            check_training_table(None, None, self.n_samples_seen_, what="So many standard errors")
        errors = np.sqrt(np.maximum(np.diag(np.asarray(covariance)), 0.0))
        return dict(zip(self.params_, errors.tolist()))

    def _intervals(
        self, level: float, method: str, X: Any, sample_weight: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if method not in ("auto", "robust"):
            raise ValueError(
                f"{type(self).__name__} has intervals by 'auto' or 'robust'; got {method!r}."
            )
        errors = self._standard_errors("robust", X, sample_weight)
        z = float(stats.t.ppf(0.5 + level / 2, max(self.n_samples_seen_ - 1, 1)))
        low = {k: float(self.params_[k] - z * e) for k, e in errors.items()}
        high = {k: float(self.params_[k] + z * e) for k, e in errors.items()}
        return low, high, dict.fromkeys(low, "robust")
