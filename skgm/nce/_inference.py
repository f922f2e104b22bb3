"""Standard errors, intervals and tests of densities with linear critics."""

from typing import Any

import numpy as np
from scipy import stats
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from skgm.inference._likelihood.nulls import read_null
from skgm.inference._likelihood.statistics import Law, TestedNull, check_alternative
from skgm.inference._results import ConfidenceIntervals, takes_level
from skgm.nce._contrast import LinearFit, maximize
from skgm.nce._covariance import KINDS, Covariance, covariance
from skgm.nce._parametric import ParametricCritic
from skgm.tables._validation import check_level

__all__ = ["CriticNull", "ParametricInference"]

_METHODS = ("auto", "wald", "robust")


class ParametricInference:
    """The inference half of NCEDensity: for critics that have parameters.

    It reads `_critic`, a :class:`ParametricCritic` where there are any.
    """

    _critic: Any

    def _parametric_critic(self) -> ParametricCritic:
        check_is_fitted(self)
        if not isinstance(self._critic, ParametricCritic):
            raise AttributeError(
                f"{type(self).__name__} has parameters, standard errors, intervals and tests only "
                "for linear critics ('quadratic', a transformer, a callable) and for log_phi; "
                "this one was fitted with a classifier."
            )
        return self._critic

    @property
    def params_(self) -> dict[str, float]:
        """Estimates by name, "log_normalizer" among them."""
        critic = self._parametric_critic()
        return dict(zip(critic.names, critic.reported.tolist()))

    def standard_errors(self, cov: str = "model") -> dict[str, float]:
        """Return the standard error of each parameter, of the log-normalizer too.

        Parameters
        ----------
        cov : {"model", "observed", "robust"}, default="model"
            "model": right if the model is; the part of the noise is its scatter, between rows or,
            with quasi-Monte-Carlo noise, between scrambles. "observed": by the curvature alone, as
            in logistic regression; with quasi-Monte-Carlo noise the same as "model". "robust": the
            sandwich, centered within data and noise.

        Returns
        -------
        standard_errors : dict of str to float
            By the names of ``params_``.

        Raises
        ------
        NotFittedError
            Before `fit`.
        AttributeError
            A classifier critic, which has no parameters.
        ValueError
            An unknown `cov`, or a fit that has no standard errors; the message says why.
        """
        critic = self._parametric_critic()
        if cov not in KINDS:
            raise ValueError(f"cov must be one of {KINDS}; got {cov!r}.")
        matrix = critic.covariance(cov).matrix
        return dict(zip(critic.names, np.sqrt(np.diagonal(matrix)).tolist()))

    @takes_level
    def confidence_intervals(
        self, level: float = 0.95, method: str = "auto"
    ) -> ConfidenceIntervals:
        """Return a confidence interval for each parameter, for the log-normalizer too.

        Parameters
        ----------
        level : float, default=0.95
            Confidence level, strictly between 0 and 1.
        method : {"auto", "wald", "robust"}, default="auto"
            "auto" and "wald": standard errors that are right if the model is; "robust": the
            sandwich. With quasi-Monte-Carlo noise, Student's t with Satterthwaite's degrees of
            freedom, because few scrambles tell the variance of the noise.

        Returns
        -------
        intervals : ConfidenceIntervals
            Maps a parameter's name to ``(low, high)``.

        Raises
        ------
        NotFittedError, AttributeError, ValueError
            As in :meth:`standard_errors`.
        """
        critic, level = self._parametric_critic(), check_level(level)
        if method not in _METHODS:
            raise ValueError(f"method must be one of {_METHODS}; got {method!r}.")
        found = critic.covariance("robust" if method == "robust" else "model")
        df = found.degrees_of_freedom(np.eye(len(critic.names)))
        width = stats.t.ppf((1 + level) / 2, df) * np.sqrt(np.diagonal(found.matrix))
        estimate, used = self.params_, "robust" if method == "robust" else "wald"
        low = dict(zip(critic.names, (critic.reported - width).tolist()))
        high = dict(zip(critic.names, (critic.reported + width).tolist()))
        labels = {name: np.array(name, dtype=object) for name in critic.names}
        methods = dict.fromkeys(critic.names, used)
        return ConfidenceIntervals(estimate, low, high, level, method, methods, labels)

    def _tested_null(
        self, X: Any, null: Any, alternative: str, sample_weight: Any = None
    ) -> "CriticNull":
        """Return a null hypothesis for :func:`skgm.score_test` and its siblings, fitted to X."""
        critic = clone(self).fit(X, sample_weight=sample_weight)._parametric_critic()
        hypothesis = read_null(null, dict.fromkeys(critic.names, ()), [])
        return CriticNull(critic, *hypothesis.rows, hypothesis.shown, alternative)


class CriticNull(TestedNull):
    """A null hypothesis R theta = q about the reported parameters of a linear critic.

    With independent noise and a null that leaves c alone, the score and the likelihood-ratio
    statistic are those of logistic regression. In general the variance of dJ/d theta is not its
    curvature: the Wald and score statistics use the covariance of eq. nce-covariance, and the
    likelihood ratio is multiplied by the ratio of the two score statistics, with and without it.

    Parameters
    ----------
    critic : ParametricCritic
        Fitted to the data, in this process (pickles have lost the rows).
    matrix, target : ndarray of shape (r, k) and (r,)
        R and q.
    shown : mapping
        The null, as the result shows it.
    alternative : {"two-sided", "greater", "less"}
    """

    calibrated = False

    def __init__(
        self,
        critic: ParametricCritic,
        matrix: np.ndarray,
        target: np.ndarray,
        shown: Any = None,
        alternative: str = "two-sided",
    ) -> None:
        self.critic, self.df = critic, len(matrix)
        self.matrix, self.target = matrix, target
        self.shown, self.alternative = {} if shown is None else shown, alternative
        check_alternative(alternative, self.df)

    def restrictions(self, fit: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """R (r, k) and q (r,)."""
        return self.matrix, self.target

    def full(self) -> LinearFit:
        """Return the fit."""
        return self.critic.fit

    def restricted(self, full: Any = None) -> LinearFit:
        """Return the restricted fit.

        Raises
        ------
        ValueError
            The critic has no covariance, or is made of bridges; the estimate was not found.
        """
        critic = self.critic
        critic.covariance("observed")  # refuses where there is none
        if critic.bridges is not None or critic.contrast is None:
            raise ValueError(
                f"The {'score' if full is None else 'likelihood ratio'} test needs one objective; "
                "this fit is made of bridges, because the noise is far from the data. Use "
                "wald_test, or nearer noise."
            )
        own = self.matrix @ critic.map, self.target  # restrictions of the parameters as fitted
        fit = maximize(critic.contrast, critic.theta, restriction=own, max_iter=200)
        if not fit.converged:
            raise ValueError(
                "The restricted estimate was not found: the null is too far from the data, or it "
                "leaves no density. Use wald_test, or test a nearer value."
            )
        return fit

    def theta(self, fit: LinearFit) -> np.ndarray:
        """Return the reported parameters."""
        return self.critic.reported if fit is self.critic.fit else self.critic.map @ fit.theta

    def loglik(self, fit: LinearFit) -> float:
        """Return the total objective."""
        return self.critic.n * fit.objective

    def params(self, fit: LinearFit) -> dict[str, float]:
        """Return the reported parameters by name."""
        return dict(zip(self.critic.names, self.theta(fit).tolist()))

    def _newton(self, fit: LinearFit) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradient of J and the Newton step, as fitted."""
        assert self.critic.contrast is not None
        gradient, curvature = self.critic.contrast.derivatives(fit.theta)
        return gradient, np.linalg.solve(curvature, gradient)

    def step(self, fit: LinearFit, *, robust: bool) -> np.ndarray:
        """Return the Newton step of the reported parameters."""
        return self.critic.map @ self._newton(fit)[1]

    def information_score(self, fit: LinearFit) -> float:
        """Return n g' I^-1 g, with the curvature I of J."""
        gradient, step = self._newton(fit)
        return self.critic.n * float(gradient @ step)

    def law(self, fit: LinearFit, *, robust: bool, at_null: bool = False) -> Law:
        """Return the law of the reported parameters."""
        critic = self.critic
        if not at_null:
            found = critic.covariance("robust" if robust else "model")
        else:
            assert critic.contrast is not None
            kind = "robust" if robust else "observed"
            own = covariance(critic.contrast, fit.theta, kind=kind)
            found = own.mapped(critic.map)
        return Law(found.matrix, _degrees_of_freedom(found, self.matrix))


def _degrees_of_freedom(found: Covariance, matrix: np.ndarray) -> float:
    """Return those of the variance of R theta, whose parts have few where noise is scrambled."""
    inner = matrix @ found.matrix @ matrix.T
    unit = 1 / np.sqrt(np.diagonal(inner))
    root = np.linalg.cholesky(inner * unit * unit[:, None])
    directions = np.linalg.solve(root, matrix * unit[:, None])
    spread = float(np.mean(1 / found.degrees_of_freedom(directions)))
    return 1 / spread if spread > 0 else np.inf
