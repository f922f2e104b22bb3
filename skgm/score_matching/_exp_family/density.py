"""What a fitted exponential family does: density, score function, draws, errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.distributions import Proposal
from skgm._numerics.gaussian import factorize
from skgm._numerics.importance import NotIntegrableError, SobolNormalizer, normalizer
from skgm._numerics.langevin import langevin
from skgm._numerics.moments import Moments
from skgm._validation import check_support, warn_singular
from skgm._warnings import warn_user
from skgm.inference._parametric import ParametricDensity, check_training_table
from skgm.score_matching._bounds import check_inside_bounds
from skgm.score_matching._exp_family.closed_forms import (
    OFF_SPHERE,
    FamilyDensity,
    SphereDensity,
    check_on_sphere,
    fit_sphere,
)
from skgm.score_matching._exp_family.line_map import LineDensity, LineMap, grid_integral
from skgm.score_matching._exp_family.linear_system import (
    FAMILIES,
    SPHERE,
    LinearSystem,
    family_of,
    linear_system,
)
from skgm.score_matching._exp_family.own_statistics import OwnStatistics
from skgm.score_matching._exp_family.statistics import Quadratic, Statistics

__all__ = [
    "FamilyInference",
    "FamilyMethods",
    "GenericDensity",
]


# Standard errors, intervals and estimating functions of an exponential family.


class FamilyInference(ParametricDensity):
    """Inference by the sandwich alone; its covariance was found by `fit`, or X is needed."""

    n_samples_seen_: float
    ridge_: float
    theta_covariance_: np.ndarray | None
    _theta: np.ndarray

    def _sandwich(self, X: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray:
        """Return the covariance of the reported coefficients, (m, m)."""
        raise NotImplementedError

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


# The normalizer and the draws of any exponential family, from its log-density up to a factor.

NEAR, FAR, N_RAYS = 50.0, 200.0, 64  # in units of the proposal


@dataclass(frozen=True)
class GenericDensity:
    """exp(theta' t + b) between bounds, by quadrature (d <= 2) or importance sampling.

    Attributes
    ----------
    statistics : Statistics
    theta : ndarray of shape (m,)
    line : LineMap
        The domain.
    proposal : Proposal
        Near the rows, on the line.
    """

    statistics: Statistics
    theta: np.ndarray
    line: LineMap
    proposal: Proposal

    def kernel(self, Z: np.ndarray) -> np.ndarray:
        """Return the log-density up to its normalizer, (n,)."""
        return self.statistics.kernel(Z, self.theta)

    def on_line(self, U: np.ndarray) -> np.ndarray:
        """Return the same of the mapped columns, (n,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.kernel(self.line.forward(U)) + self.line.log_slope(U).sum(axis=1)
        return np.where(np.isnan(found), -np.inf, found)

    def gradient(self, U: np.ndarray) -> np.ndarray:
        """Return its gradient, (n, d)."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            score = self.statistics.score(self.line.forward(U), self.theta)
            return np.nan_to_num(self.line.pull_back(U, score), posinf=0.0, neginf=0.0)

    def _spread(self) -> np.ndarray:
        # the proposal has twice the covariance of the rows, by a factor of df / (df - 2) = 5 / 3
        return np.sqrt((self.proposal.factor**2).sum(axis=1) * 5 / 6)

    def normalize(self) -> SobolNormalizer:
        """Return log Z with its error; the effective sample size is NaN by quadrature.

        Raises
        ------
        NotIntegrableError
            There is no integral; the message says why.
        """
        d = len(self.proposal.center)
        if d <= 2:
            log_z, error = grid_integral(
                self.kernel, self.line, self.proposal.center, self._spread()
            )
            return SobolNormalizer(log_z, error, float("nan"))
        if not self.statistics.knows_domain:
            self._check_growing_rays()
        return normalizer(self.on_line, self.proposal)

    def _check_growing_rays(self) -> None:
        d = len(self.proposal.center)
        rng = np.random.default_rng(0)
        axes = np.eye(d)
        ways = np.concatenate([axes, -axes, rng.standard_normal((N_RAYS, d))])
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        ways *= self._spread()
        near, far = (
            self.on_line(self.proposal.center + r * ways) + d * np.log(r) for r in (NEAR, FAR)
        )
        if ((far > -np.inf) & (far >= near)).any():
            raise NotIntegrableError("does not fall off towards the ends of its support")

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n rows: by inversion in one column, else by chains from resampled rows."""
        if len(self.proposal.center) == 1:
            center, spread = float(self.proposal.center[0]), float(self._spread()[0])
            density = LineDensity(self.kernel, self.line, center, spread)
            return density.quantile(rng.uniform(2.0**-53, 1.0, size=n))[:, None]
        return self.line.forward(langevin(self.on_line, self.gradient, self.proposal, n, rng))


GRID_ERROR = 0.01  # of a quadrature, from which on it is warned of


class FamilyMethods(FamilyInference):
    """Density, draws and errors from theta of standardized columns, kept as plain arrays."""

    statistics: Any
    degree: int
    weight: Any
    weight_cap: float
    _shift: np.ndarray
    _scale: np.ndarray
    _spread: np.ndarray
    _bounds: tuple[np.ndarray, np.ndarray]
    _n_statistics: int
    _proposal: dict[str, Any]
    _log_z: float

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats; -inf outside the bounds or the support. On the sphere, against its surface.
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
        density = self._own_density(self._family()) or self._generic(self._family())
        rows = self._shift + self._scale * density.draw(n_samples, rng)
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

    def _warn_of_ridge(self) -> None:
        warn_user(
            "The estimate lay outside the natural parameter space (columns that grow together "
            f"without bound); a ridge of {self.ridge_:.2g} on the interactions of the columns "
            "keeps it inside, and standard errors will be refused. Collect more rows, drop columns "
            "that determine one another, or use another family.",
            LinAlgWarning,
        )

    def _own_density(self, family: Statistics) -> FamilyDensity | None:
        return family.density(self._theta, *self._bounds)

    def _generic(self, family: Statistics) -> GenericDensity:
        return GenericDensity(
            family, self._theta, LineMap(*self._bounds), Proposal(**self._proposal)
        )

    def _normalize(self, family: Statistics, Z: np.ndarray, share: np.ndarray) -> None:
        """Find the normalizer, or say what is wrong with the estimate."""
        proposal = Proposal.around(LineMap(*self._bounds).backward(Z), share)
        self._proposal = dict(vars(proposal))
        try:
            own = self._own_density(family)
            if own is not None:
                self._log_z, error = own.log_normalizer()
                found = None
            else:
                found = self._generic(family).normalize()
                self._log_z, error = found.log_z, found.se
        except NotIntegrableError as reason:
            raise ValueError(
                f"The estimate lies outside the natural parameter space: the density {reason}, so "
                "it cannot be normalized. Collect more rows, use fewer statistics or another "
                "family, or give `bounds`."
            ) from reason
        faults = [] if found is None else found.faults()
        if found is not None and np.isfinite(found.ess):
            self.normalizer_ess_, self.log_density_kind_ = found.ess, "estimate"
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

    def _mapped_covariance(self, system: LinearSystem) -> np.ndarray:
        mapping = system.statistics.reporting_map()
        covariance = system.covariance(self._theta, self.n_samples_seen_)
        return mapping @ covariance @ mapping.T

    def _sandwich(self, X: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray:
        total = self.n_samples_seen_
        share = np.full(len(X), 1 / total) if sample_weight is None else sample_weight / total
        if self.statistics == SPHERE:
            return fit_sphere(X, share, total)[1]
        return self._mapped_covariance(self._system((X - self._shift) / self._scale, share))

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
