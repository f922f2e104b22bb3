"""Tests a null hypothesis about the parameters of a model: score, likelihood ratio and Wald.

`TestedNull` forms the three statistics, their signed roots and results once. A kind of model
(families, results of statsmodels, critics of noise-contrastive estimation) says how it is fitted,
with and without the null, and what its scores and covariances are.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from skgm._numerics.sandwich import diagonal_units, total_weight
from skgm.inference._results import TestResult

__all__ = [
    "ALTERNATIVES",
    "Law",
    "TestedNull",
    "WaldNull",
    "check_alternative",
    "chi2_of_f",
    "in_range",
    "linear_quadratic",
    "masked_quadratic",
    "newton_step",
    "outcome",
    "tail_probability",
]


# From a statistic to the result of a test.

ALTERNATIVES = ("two-sided", "greater", "less")


def check_alternative(alternative: Any, n_restrictions: int) -> None:
    """Raise a ValueError for an unknown alternative, or one side of several restrictions."""
    if alternative not in ALTERNATIVES:
        allowed = ", ".join(map(repr, ALTERNATIVES))
        raise ValueError(f"alternative must be one of {allowed}; got {alternative!r}.")
    if alternative != "two-sided" and n_restrictions != 1:
        raise ValueError(
            f"alternative={alternative!r} needs a null with one restriction; this one has "
            f"{n_restrictions}, and no direction. Test one entry (NaN for the others of an array)."
        )


def outcome(
    statistic: float,
    df: int,
    method: str,
    null: Any,
    *,
    sign: float | None = None,
    alternative: str = "two-sided",
    correction: str | None = None,
    restricted_params: Any = None,
    on_edge: bool = False,
    multiplier: np.ndarray | None = None,
) -> TestResult:
    """Return the result of a test with this chi-square statistic."""
    if not np.isfinite(statistic):
        raise ValueError(
            f"The {method} statistic overflows: the data and the null are too far apart for "
            "floating point. Rescale the columns, or test a nearer value."
        )
    root = None if sign is None else sign * float(np.sqrt(max(statistic, 0.0)))
    shown = statistic if alternative == "two-sided" or root is None else root
    pvalue = tail_probability(shown, df, alternative, on_edge=on_edge)
    under = restricted_params or {}
    return TestResult(
        shown, df, pvalue, method, null, alternative, correction, under, root, multiplier
    )


def tail_probability(
    statistic: float, df: int, alternative: str = "two-sided", *, on_edge: bool = False
) -> float:
    """Return the p-value of a chi-square statistic, or of a standard normal one.

    Parameters
    ----------
    statistic : float
        Chi-square where `alternative` is "two-sided", else its signed root.
    df : int
        Degrees of freedom.
    alternative : {"two-sided", "greater", "less"}
        Which tail of the signed root counts.
    on_edge : bool, default=False
        The null lies on the edge of the parameter space: half the time the estimate is the null
        itself, so that the law is half a point mass at zero and half a chi-square.

    Returns
    -------
    pvalue : float
    """
    if alternative == "greater":
        return float(special.ndtr(-statistic))
    if alternative == "less":
        return float(special.ndtr(statistic))
    upper = float(special.chdtrc(df, statistic))
    if on_edge:
        return upper / 2 if statistic > 0 else 1.0
    return upper


class Law(NamedTuple):
    """The law of an estimate.

    Attributes
    ----------
    covariance : ndarray of shape (k, k)
    df : float
        Degrees of freedom with which the variance of what is tested is known.
    """

    covariance: np.ndarray
    df: float = np.inf


@contextmanager
def in_range() -> Iterator[None]:
    """Turn numerical failures of a test into a ValueError that says what to do."""
    try:
        with np.errstate(all="ignore"):
            yield
    except (np.linalg.LinAlgError, ArithmeticError) as error:
        raise ValueError(
            "The information matrix is singular, or overflows in the units of the columns, so the "
            "test does not exist. Rescale the columns (and the null), or use "
            "likelihood_ratio_test, which needs no information matrix."
        ) from error


class WaldNull(ABC):
    """A null hypothesis R theta = q about a model that has a Wald test.

    Attributes
    ----------
    df : int
        Number of restrictions.
    shown : mapping
        What the result shows of the null.
    alternative : {"two-sided", "greater", "less"}
    on_edge : bool
        The null lies on the edge of the parameter space.
    """

    df: int
    shown: Mapping[str, Any]
    alternative: str
    on_edge: bool = False

    @abstractmethod
    def restrictions(self, fit: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return R (r, k) and q (r,); of functions of the parameters, their tangent at a fit."""

    @abstractmethod
    def full(self) -> Any:
        """Return the fit without the null, or raise where there is none."""

    @abstractmethod
    def theta(self, fit: Any) -> np.ndarray:
        """Return the parameters of a fit as one vector, (k,)."""

    @abstractmethod
    def law(self, fit: Any, *, robust: bool, at_null: bool = False) -> Law:
        """Return the law of the full estimate, as estimated at a fit, full or restricted."""

    def params(self, fit: Any) -> Mapping[str, Any]:
        """Return the parameters of a restricted fit by name."""
        return {}

    def multiplier(self, fit: Any) -> np.ndarray | None:
        """Return the Lagrange multipliers of the restrictions at a restricted fit, if known."""
        return None

    def wald(self, *, robust: bool = False) -> TestResult:
        """Return the Wald test; eq. wald-test."""
        with in_range():
            fit = self.full()
            gap = self.distance(fit)
            statistic = self._quadratic(fit, gap, self.law(fit, robust=robust))
        sign = self._sign(gap) if self.has_sign else None
        return self.result(statistic, "robust Wald" if robust else "Wald", None, sign)

    @property
    def has_sign(self) -> bool:
        """Whether the null is one restriction with two sides."""
        return self.df == 1 and not self.on_edge

    def distance(self, fit: Any) -> np.ndarray:
        """Return R theta - q, (r,)."""
        matrix, target = self.restrictions(fit)
        return matrix @ self.theta(fit) - target

    def result(
        self, statistic: float, method: str, fit: Any, sign: float | None, **details: Any
    ) -> TestResult:
        """Return the outcome; `fit` is the restricted one, None where the test needs none."""
        if np.isnan(statistic):
            raise ValueError(
                "The test statistic is not a number: it overflows or underflows. Rescale the "
                "columns."
            )
        return outcome(
            statistic,
            self.df,
            method,
            self.shown,
            sign=sign,
            alternative=self.alternative,
            restricted_params=None if fit is None else self.params(fit),
            multiplier=None if fit is None else self.multiplier(fit),
            on_edge=self.on_edge,
            **details,
        )

    def _quadratic(self, fit: Any, gap: np.ndarray, law: Law) -> float:
        statistic = linear_quadratic(gap, law.covariance, self.restrictions(fit)[0])
        return chi2_of_f(statistic, len(gap), law.df)

    def _sign(self, gap: np.ndarray) -> float:
        return float(np.sign(gap[0]))


class TestedNull(WaldNull):
    """A null hypothesis R theta = q about a likelihood, which has all three tests.

    Attributes
    ----------
    calibrated : bool
        Whether U' A^-1 U is chi-square if the model is right. It is for likelihoods.
    """

    __test__ = False  # the name starts with Test; pytest must not collect it

    calibrated: bool = True

    @abstractmethod
    def restricted(self, full: Any = None) -> Any:
        """Return the fit under the null; where `full` is known, a search may start there."""

    @abstractmethod
    def loglik(self, fit: Any) -> Any:
        """Return the log-likelihood of a fit: a number, or one per independent column."""

    @abstractmethod
    def step(self, fit: Any, *, robust: bool) -> np.ndarray:
        """Return A^-1 U, (k,), from a restricted fit towards the full one.

        A is the expected information where there is one, of robust tests the observed one.
        """

    @abstractmethod
    def information_score(self, fit: Any) -> float:
        """Return U' A^-1 U at a restricted fit; eq. score-test."""

    def slope(self, fit: Any) -> np.ndarray | None:
        """Return the total score, (k,), at a restricted fit, if it is known."""
        return None

    def multiplier(self, fit: Any) -> np.ndarray | None:
        """Return the multipliers lambda of R'lambda = U; eq. lagrange-multiplier."""
        total = self.slope(fit)
        if total is None or not np.isfinite(total).all():
            return None
        found: np.ndarray = np.linalg.lstsq(self.restrictions(fit)[0].T, total, rcond=None)[0]
        return found

    def score(self, *, robust: bool = False) -> TestResult:
        """Return the score test."""
        sign = None
        with in_range():
            fit = self.restricted()
            statistic = self.score_statistic(fit, robust=robust)
            if self.has_sign:
                sign = self._sign(self.restrictions(fit)[0] @ self.step(fit, robust=robust))
        return self.result(statistic, "robust score" if robust else "score", fit, sign)

    def score_statistic(self, fit: Any, *, robust: bool) -> float:
        """Return the score statistic at a restricted fit, robust by the sandwich there.

        That is (R A^-1 U)' (R V R')^-1 (R A^-1 U); under a correct likelihood V = A^-1, and what
        remains is U' A^-1 U.
        """
        if self.calibrated and not robust:
            return self.information_score(fit)
        gap = self.restrictions(fit)[0] @ self.step(fit, robust=robust)
        return self._quadratic(fit, gap, self.law(fit, robust=robust, at_null=True))

    def likelihood_ratio(self) -> TestResult:
        """Return the likelihood-ratio test.

        Where the score statistic U' A^-1 U is not chi-square, neither is the likelihood ratio: it
        is multiplied by the ratio of the two score statistics, with the right covariance and with
        A^-1.
        """
        with in_range():
            full = self.full()
            fit = self.restricted(full)
            # rounding may leave -1e-16
            fall = np.maximum(self.loglik(full) - self.loglik(fit), 0.0)
            statistic = 2 * float(np.sum(fall))
            if not self.calibrated:
                naive = self.information_score(fit)
                statistic *= self.score_statistic(fit, robust=False) / naive if naive > 0 else 1.0
        sign = self._sign(self.distance(full)) if self.has_sign else None
        return self.corrected(statistic, "likelihood ratio", fit, sign)

    def corrected(self, statistic: float, method: str, fit: Any, sign: float | None) -> TestResult:
        """Return the result of the likelihood ratio, corrected for small samples if asked for."""
        return self.result(statistic, method, fit, sign)


def masked_quadratic(
    difference: np.ndarray, covariance: np.ndarray, fixed: np.ndarray
) -> np.ndarray:
    """Return (C d)' (C V C')^-1 (C d), C picking the entries of `fixed` (eq. wald-test).

    Parameters
    ----------
    difference : ndarray of shape (..., k)
        Estimate minus null; entries that are not fixed are ignored.
    covariance : ndarray of shape (..., k, k)
        Covariance of the estimate.
    fixed : ndarray of bool, shape (..., k)
        Which entries the null restricts.

    Returns
    -------
    statistic : ndarray of shape (...)
        Zero where nothing is restricted.

    Raises
    ------
    ValueError
        The covariance of the restricted entries is singular.
    """
    both = fixed[..., :, None] & fixed[..., None, :]
    identity = np.eye(covariance.shape[-1])
    scale = np.sqrt(np.where(fixed, np.diagonal(covariance, axis1=-2, axis2=-1), 1.0))
    d = np.where(fixed, difference, 0.0) / np.where(scale > 0, scale, 1.0)
    correlation = np.where(both, covariance, identity)
    correlation = correlation / np.where(both, scale[..., :, None] * scale[..., None, :], 1.0)
    _check_nonsingular(correlation)
    return np.einsum("...i,...i->...", d, np.linalg.solve(correlation, d[..., None])[..., 0])


def _check_nonsingular(correlation: np.ndarray) -> None:
    k = correlation.shape[-1]
    usable = np.isfinite(correlation).all()
    if not usable or np.linalg.eigvalsh(correlation).min() <= 64 * k * np.finfo(np.float64).eps:
        raise ValueError(
            "The covariance of the restricted estimates is singular, so the test does not exist: "
            "restrict fewer parameters, or use more rows (robust tests need more rows than "
            "restrictions)."
        )


def newton_step(psi: np.ndarray, bread: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray:
    """Return A^-1 times the mean of psi, (k,): from the restricted estimate to the full one."""
    n = total_weight(psi, sample_weight)
    total = psi.sum(axis=0) if sample_weight is None else sample_weight @ psi
    unit = diagonal_units(bread)
    return unit * np.linalg.solve(bread * unit * unit[:, None], unit * total) / n


def linear_quadratic(gap: np.ndarray, covariance: np.ndarray, restriction: np.ndarray) -> float:
    """Return g' (R V R')^-1 g (eq. wald-test), g (r,) being the distance from R theta to q."""
    turned = restriction @ covariance @ restriction.T
    return float(masked_quadratic(gap, turned, np.ones(len(turned), dtype=bool)))


def chi2_of_f(statistic: float, r: int, df: float) -> float:
    """Return the chi-square quantile that r F, with r and df degrees of freedom, has reached."""
    if not np.isfinite(df):
        return statistic
    tail = float(special.fdtrc(r, df, statistic / r))
    return float(special.chdtri(r, tail)) if tail > 1e-300 else statistic
