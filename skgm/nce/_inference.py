"""Standard errors, intervals and tests of densities with linear critics."""

from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from skgm._validation import check_level
from skgm.inference._likelihood.nulls import read_null
from skgm.inference._likelihood.statistics import chi2_of_f, linear_quadratic
from skgm.inference._results import ConfidenceIntervals, TestResult, check_alternative, outcome
from skgm.nce._covariance import KINDS, Covariance, covariance
from skgm.nce._newton import maximize
from skgm.nce._parametric import LinearCritic

__all__ = [
    "LinearInference",
    "Outcome",
    "critic_test",
    "restricted_tests",
]

_METHODS = ("auto", "wald", "robust")
_TITLES = {"wald": "Wald", "score": "score", "likelihood_ratio": "likelihood ratio"}


class LinearInference:
    """The inference half of NCEDensity: for critics that have parameters.

    It reads `_critic`, a :class:`LinearCritic` where there are any.
    """

    _critic: Any

    def _linear_critic(self) -> LinearCritic:
        check_is_fitted(self)
        if not isinstance(self._critic, LinearCritic):
            raise AttributeError(
                f"{type(self).__name__} has parameters, standard errors, intervals and tests only "
                "for linear critics ('quadratic', a transformer, a callable) and for log_phi; "
                "this one was fitted with a classifier."
            )
        return self._critic

    @property
    def params_(self) -> dict[str, float]:
        """Estimates by name, "log_normalizer" among them."""
        critic = self._linear_critic()
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
        critic = self._linear_critic()
        if cov not in KINDS:
            raise ValueError(f"cov must be one of {KINDS}; got {cov!r}.")
        matrix = critic.covariance(cov).matrix
        return dict(zip(critic.names, np.sqrt(np.diagonal(matrix)).tolist()))

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
        critic, level = self._linear_critic(), check_level(level)
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

    def _hypothesis_test(
        self,
        test: str,
        X: Any,
        null: Any,
        *,
        robust: bool = False,
        correction: str | None = None,
        alternative: str = "two-sided",
        sample_weight: Any = None,
    ) -> TestResult:
        """Answer :func:`skgm.score_test` and its siblings, on a fit of a clone to X."""
        if correction is not None:
            raise ValueError(f"correction must be None for {type(self).__name__}.")
        model = clone(self).fit(X, sample_weight=sample_weight)
        critic = model._linear_critic()
        hypothesis = read_null(null, dict.fromkeys(critic.names, ()), [])
        matrix, target = hypothesis.rows
        check_alternative(alternative, len(matrix))
        found = critic_test(critic, test, matrix, target, robust=robust)
        names = critic.names if found.restricted is not None else []
        restricted = dict(zip(names, [] if found.restricted is None else found.restricted.tolist()))
        return outcome(
            found.statistic,
            len(matrix),
            f"robust {_TITLES[test]}" if robust else _TITLES[test],
            hypothesis.shown,
            sign=float(np.sign(found.sign)) if len(matrix) == 1 else None,
            alternative=alternative,
            restricted_params=restricted,
        )


# Wald, score and likelihood-ratio tests of the parameters of a linear critic.
#
# With independent noise and a null that leaves c alone, the score and the likelihood-ratio
# statistic are those of logistic regression. In general the variance of dJ/d theta is not its
# curvature: the Wald and score statistics use the covariance of eq. nce-covariance, and the
# likelihood ratio is multiplied by the ratio of the two score statistics, with and without it.


class Outcome(NamedTuple):
    """Statistic, the sign of its root for one restriction, and the restricted estimate."""

    statistic: float
    sign: float
    restricted: np.ndarray | None


def critic_test(
    critic: LinearCritic, test: str, matrix: np.ndarray, target: np.ndarray, *, robust: bool
) -> Outcome:
    """Test R theta = q about the reported parameters.

    Parameters
    ----------
    critic : LinearCritic
        Fitted to the data, in this process (pickles have lost the rows).
    test : {"wald", "score", "likelihood_ratio"}
        Which test.
    matrix, target : ndarray of shape (r, k) and (r,)
        R and q.
    robust : bool
        Use the sandwich for the variance.

    Returns
    -------
    outcome : Outcome
        Chi-square with r degrees of freedom under the null.

    Raises
    ------
    ValueError
        The critic has no covariance; a score or likelihood-ratio test after telescoping.
    """
    if test == "wald":
        gap = matrix @ critic.reported - target
        found = critic.covariance("robust" if robust else "model")
        return Outcome(_statistic(gap, found, matrix), float(gap[0]), None)
    kind = "robust" if robust else "observed"
    critic.covariance(kind)  # refuses where there is none
    if critic.bridges is not None:
        raise ValueError(
            f"The {test.replace('_', ' ')} test needs one objective; this fit is made of "
            "bridges, because the noise is far from the data. Use wald_test, or nearer noise."
        )
    return restricted_tests(critic, matrix, target, kind)[test]


def restricted_tests(
    critic: LinearCritic, matrix: np.ndarray, target: np.ndarray, kind: str
) -> dict[str, Outcome]:
    """Return the outcomes of the score and the likelihood-ratio test, of one restricted fit.

    Parameters
    ----------
    critic, matrix, target
        As in :func:`critic_test`.
    kind : {"observed", "robust"}
        Which covariance, at the restricted estimate.

    Raises
    ------
    ValueError
        The restricted estimate was not found.
    """
    contrast = critic.contrast
    assert contrast is not None
    own = matrix @ critic.map  # restrictions of the parameters as fitted
    fit = maximize(contrast, critic.theta, restriction=(own, target), max_iter=200)
    if not fit.converged:
        raise ValueError(
            "The restricted estimate was not found: the null is too far from the data, or it "
            "leaves no density. Use wald_test, or test a nearer value."
        )
    gradient, curvature = contrast.derivatives(fit.theta)
    step = np.linalg.solve(curvature, gradient)
    found = covariance(contrast, fit.theta, kind=kind)
    score = _statistic(own @ step, found, own)
    restricted = critic.map @ fit.theta
    naive = critic.n * float(gradient @ step)
    fall = 2 * critic.n * max(critic.fit.objective - fit.objective, 0.0)
    ratio = score / naive if naive > 0 else 1.0
    gap = matrix @ critic.reported - target
    return {
        "score": Outcome(score, float((own @ step)[0]), restricted),
        "likelihood_ratio": Outcome(fall * ratio, float(gap[0]), restricted),
    }


def _statistic(gap: np.ndarray, found: Covariance, matrix: np.ndarray) -> float:
    """Return the quadratic form, on the scale of chi-square.

    A variance with few degrees of freedom (scrambles) makes it F; it is moved to the chi-square
    quantile of the same probability.
    """
    statistic, r = linear_quadratic(gap, found.matrix, matrix), len(matrix)
    inner = matrix @ found.matrix @ matrix.T
    unit = 1 / np.sqrt(np.diagonal(inner))
    root = np.linalg.cholesky(inner * unit * unit[:, None])
    directions = np.linalg.solve(root, matrix * unit[:, None])
    spread = float(np.mean(1 / found.degrees_of_freedom(directions)))
    return chi2_of_f(statistic, r, 1 / spread if spread > 0 else np.inf)
