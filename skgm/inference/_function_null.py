"""A null hypothesis about a function of the parameters of a family."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skgm._numerics.sandwich import inverse_information
from skgm.inference._family_inference import check_inside_for_functions
from skgm.inference._fit_intervals import Fit
from skgm.inference._likelihood.functions import (
    NEARLY_INFINITE,
    delta_errors,
    fitted_value,
    function_null,
    function_slopes,
    function_surfaces,
    function_value,
    named_functions,
)
from skgm.inference._likelihood.nulls import flat_information
from skgm.inference._likelihood.statistics import Law
from skgm.inference._likelihood.surfaces import profile_at
from skgm.inference._problem import FamilyFit, FamilyNull
from skgm.inference._results import TestResult
from skgm.inference._robust import robust_law
from skgm.inference.families._columns import ColumnFamilies

__all__ = ["FunctionNull"]

_STATIONARY = 1e-6  # of the score along the restriction, as a chi-square
_KINKS = (
    "The score test of this function does not exist: the likelihood has kinks, or a parameter is "
    "infinite under the null. Use likelihood_ratio_test."
)


class FunctionNull(FamilyNull):
    """A null hypothesis that a function of the parameters has a value, in each column."""

    of: Any = None

    def __init__(self, estimator: Any, of: Any, X: Any, *details: Any) -> None:
        self.of = of
        super().__init__(estimator, X, *details)

    def _read(self, null: Any) -> None:
        if isinstance(self.family, ColumnFamilies):
            self.family.refuse()
        functions = named_functions(self.of, self.family)
        given = self.of.values() if isinstance(self.of, Mapping) else self.of
        parts = list(given) if isinstance(self.of, Mapping | list) else [self.of]
        wanted = function_null(null, list(functions), parts)
        (self.label, self.function), width = next(iter(functions.items())), self.rows.shape[1]
        width = 1 if self.family.joint else width
        if wanted.shape not in ((), (width,)):
            raise ValueError(f"null must have one value per column ({width}); got {wanted}.")
        self.wanted = np.broadcast_to(wanted, (width,))
        self.df, self.shown = int((~np.isnan(wanted)).sum()), {self.label: wanted}
        self.df = self.df if wanted.ndim else width
        self.special, self.low_edge, self.on_edge = None, None, False
        if self.correction is not None:
            raise ValueError("correction must be None for functions of the parameters.")

    def full(self) -> FamilyFit:
        """Return the full estimate, inside the parameter space."""
        names = self.model._column_names()
        self.family.check_statistics(self.statistics, names)
        params = self.family.estimate(self.statistics)
        check_inside_for_functions(self._record(params), "Tests of functions")
        return self._fit(params)

    def _record(self, params: Mapping[str, np.ndarray]) -> Fit:
        return Fit(self.family, self.statistics, params, self.model._column_names())

    def restricted(self, full: FamilyFit | None = None) -> FamilyFit:
        """Return the fit at which the function has the value, at the end of its profile path."""
        if self.family.joint:
            raise ValueError(
                f"Functions of the parameters of the {self.family.name} family are for wald_test."
            )
        full = self.full() if full is None else full
        function_value(self.function, self.family.full(full.params))
        surface, edges = function_surfaces(self.family, self.function, self.statistics, full.params)
        height, theta = profile_at(surface, self.wanted, edges)
        params = self.family.unpack(np.where(theta >= NEARLY_INFINITE, np.inf, theta))
        return FamilyFit(params, full.loglik + height)

    def restrictions(self, fit: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return R and q of the function's tangent at a fit."""
        slopes = function_slopes(self.family, self.function, self._record({}), fit.params)
        held = np.flatnonzero(~np.isnan(self.wanted))
        d, k = slopes.shape
        rows = np.zeros((len(held), k, d))
        rows[np.arange(len(held)), :, held] = slopes[held]
        R = rows.reshape(len(held), k * d)
        theta = self.family.pack(fit.params).T.ravel()
        return R, R @ theta - self.distance(fit)

    def distance(self, fit: FamilyFit) -> np.ndarray:
        """Return the function less its value under the null, (r,)."""
        gap = fitted_value(self._record(fit.params), self.function) - self.wanted
        return gap[~np.isnan(gap)]

    def multiplier(self, fit: FamilyFit) -> np.ndarray | None:
        """Return the multiplier of the tangent; None where a parameter is infinite."""
        values = fit.params.values()
        return super(FamilyNull, self).multiplier(fit) if np.isfinite([*values]).all() else None

    def _centered(self, fit: FamilyFit) -> FamilyFit:
        return fit

    def score_statistic(self, fit: FamilyFit, *, robust: bool) -> float:
        """Return the score statistic at the restricted fit, which must be known and inside."""
        if not np.isfinite([*fit.params.values()]).all():
            raise ValueError(_KINKS)
        slope, R = self.slope(fit), self.restrictions(fit)[0]
        # at a kink the score is not that of the constraint
        if slope is not None and not robust:
            rest = slope - R.T @ np.linalg.lstsq(R.T, slope, rcond=None)[0]
            bread = flat_information(self.family, fit.params, self.statistics, model=True)
            if rest @ np.linalg.solve(bread, rest) / self.statistics.n > _STATIONARY:
                raise ValueError(_KINKS)
        return super().score_statistic(fit, robust=robust)

    def wald(self, *, robust: bool = False) -> TestResult:
        """Return the Wald test by the delta method, as the Wald interval of the function."""
        if robust and self.family.joint:
            raise ValueError(
                f"Functions of the parameters of the {self.family.name} family have no robust test."
            )
        if robust:
            return super().wald(robust=True)
        full = self.full()
        held = ~np.isnan(self.wanted)
        errors, gap = delta_errors(self._record(full.params), self.function)[held], None
        gap = self.distance(full)
        statistic = float(np.sum((gap / errors) ** 2))
        return self.result(statistic, "Wald", None, self._sign(gap) if self.has_sign else None)

    def law(self, fit: FamilyFit, *, robust: bool, at_null: bool = False) -> Law:
        """Return the law of the estimate, robust with leverages."""
        psi, bread = self._scores(fit, robust)
        if robust and not at_null:
            return robust_law(psi, bread, self.weight, self.restrictions(fit)[0], self.codes)
        return Law(inverse_information(bread, self.statistics.n))
