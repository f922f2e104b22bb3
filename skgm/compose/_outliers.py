"""An outlier detector from any density."""

import numbers
from typing import Any

import numpy as np
from sklearn.base import MetaEstimatorMixin, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import (
    CallbackSupportMixin,
    Interval,
    VersionedEstimator,
    check_sample_weight,
    fit_task,
)
from skgm.base import transactional
from skgm.compose._densities import DENSITY, fit_density, log_density, prior_covariance, read_rows
from skgm.compose._explanation import explain_rows
from skgm.compose._fitting import keep_rows
from skgm.tables._validation import check_n_samples, column_names

__all__ = ["DensityOutlierDetector"]


class DensityOutlierDetector(
    OutlierMixin, MetaEstimatorMixin, CallbackSupportMixin, VersionedEstimator
):
    r"""Call a row an outlier where the density is low.

    A row is an outlier if :math:`\log p(x) < t`. The threshold t comes from either of two
    statements:

    - `contamination`: this share of the training rows are outliers; t is that quantile of their
      log-densities.
    - `false_alarm_rate` :math:`\alpha`: at most this share of *regular* rows may be called
      outliers. A part of the rows, `calibration_fraction` of them, is kept from the density; t is
      the :math:`\lfloor \alpha (m + 1) \rfloor`-th smallest of their m log-densities. A new row of
      the same distribution then falls below t with probability at most :math:`\alpha`, whatever
      that distribution is and however poor the density (split conformal prediction). This holds on
      average over training tables. The rate of one table varies around it by about
      :math:`\sqrt{\alpha (1 - \alpha) / m}`.

    Prefer it to IsolationForest and LocalOutlierFactor where a density that fits the table is at
    hand, or a false-alarm rate must be kept.

    Parameters
    ----------
    density : estimator with `fit` and `score_samples`, default=None
        A density of skgm or scikit-learn (GaussianMixture, KernelDensity); cloned. None is a
        :class:`skgm.ScoreMatchingGaussian` whose covariance is shrunk as if there were n_features
        more rows, of uncorrelated columns.
    contamination : float, default=0.1
        Share of outliers among the training rows, above 0 and at most 0.5. Ignored with
        `false_alarm_rate`.
    false_alarm_rate : float, default=None
        Between 0 and 1; replaces `contamination`. The training rows should then be regular.
    calibration_fraction : float, default=0.3
        Share of the rows kept from the density where there is a `false_alarm_rate`.
    random_state : None, int, RandomState or Generator, default=None
        Seeds a density that has no seed of its own, and chooses the rows of the calibration.

    Attributes
    ----------
    density_ : estimator
        The fitted density.
    offset_ : float
        The threshold t, in nats.
    calibration_scores_ : ndarray of shape (n_calibration,)
        Sorted log-densities of the rows that `p_values` compares with: those kept for calibration
        where there is a `false_alarm_rate`, else those of the training rows.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.

    Raises
    ------
    ValueError
        From `fit`: too few rows for the `false_alarm_rate` (1 / rate - 1 are needed for the
        calibration), `sample_weight` with a `false_alarm_rate` or for a density that takes none,
        or whatever the density refuses.

    See Also
    --------
    DensityClassifier : One density per class.
    sklearn.covariance.EllipticEnvelope : A robust Gaussian.

    Notes
    -----
    A density that reads kinds of columns (:class:`skgm.DensityChain`, :class:`skgm.DDPM`) gets the
    table as it is. A density with that parameter is fitted with ``handle_unknown="ignore"``: a
    category that the training rows lack is improbable, not an error.

    References
    ----------
    Laxhammar, R. & Falkman, G. (2010). Conformal prediction for distribution-independent anomaly
    detection in streaming vessel data. StreamKDD, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import DensityOutlierDetector
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> detector = DensityOutlierDetector(false_alarm_rate=0.01, random_state=0).fit(X)
    >>> detector.predict([[0.0, 0.0], [6.0, 0.0]])
    array([ 1, -1])
    """

    _parameter_constraints = {
        "density": DENSITY,
        "contamination": [Interval(numbers.Real, 0, 0.5, closed="right")],
        "false_alarm_rate": [Interval(numbers.Real, 0, 1, closed="neither"), None],
        "calibration_fraction": [Interval(numbers.Real, 0, 1, closed="neither")],
        "random_state": RANDOM_STATE,
    }

    def __init__(
        self,
        density: Any = None,
        *,
        contamination: float = 0.1,
        false_alarm_rate: float | None = None,
        calibration_fraction: float = 0.3,
        random_state: Any = None,
    ) -> None:
        self.density = density
        self.contamination = contamination
        self.false_alarm_rate = false_alarm_rate
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "DensityOutlierDetector":
        """Fit the density and find the threshold.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Training rows.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight w counts its row w times, in the density and in the quantile. Not with a
            `false_alarm_rate`.

        Returns
        -------
        self : DensityOutlierDetector
            The fitted detector.
        """
        rows, n_rows = read_rows(self, X, reset=True)
        with fit_task(self, X=X, sample_weight=sample_weight, n_subtasks=1) as context:
            if self.false_alarm_rate is None:
                weight = None
                if sample_weight is not None:
                    weight = check_sample_weight(sample_weight, np.empty((n_rows, 1)))
                self._fit_contamination(rows, weight, context)
            else:
                _check_no_weights(sample_weight)
                self._fit_false_alarms(rows, n_rows, self.false_alarm_rate, context)
        return self

    def _fit_contamination(self, rows: Any, weight: np.ndarray | None, context: Any) -> None:
        if weight is not None:  # a row of weight zero is absent
            rows, weight = keep_rows(rows, weight > 0), weight[weight > 0]
        prior = prior_covariance(self, rows, weight)
        options: dict[str, Any] = {
            "prior": prior,
            "rng": as_generator(self.random_state),
            "partial": True,
        }
        self.density_ = fit_density(self, rows, weight, context, **options)
        scores = log_density(self.density_, rows)
        order = np.argsort(scores)
        self.calibration_scores_ = scores[order]
        share = np.ones(len(scores)) if weight is None else weight[order]
        self.offset_ = _quantile(self.calibration_scores_, share, self.contamination)

    def _fit_false_alarms(self, rows: Any, n_rows: int, rate: float, context: Any) -> None:
        n_kept = round(self.calibration_fraction * n_rows)
        rank = int(rate * (n_kept + 1) + 1e-9)  # .29 * 100 is a little less than 29
        if rank < 1 or n_kept == n_rows:
            needed = int(np.ceil(1 / rate)) - 1
            raise ValueError(
                f"false_alarm_rate={rate:g} needs at least {needed} rows for the "
                f"calibration and some for the density; calibration_fraction="
                f"{self.calibration_fraction:g} of {n_rows} rows leaves {n_kept} and "
                f"{n_rows - n_kept}. Fit on more rows, or change one of the two parameters."
            )
        kept = np.zeros(n_rows, dtype=bool)
        rng = as_generator(self.random_state)
        kept[rng.permutation(n_rows)[:n_kept]] = True
        fitted = keep_rows(rows, ~kept)
        prior = prior_covariance(self, fitted, None)
        self.density_ = fit_density(self, fitted, None, context, rng=rng, prior=prior, partial=True)
        self.calibration_scores_ = np.sort(log_density(self.density_, keep_rows(rows, kept)))
        self.offset_ = float(self.calibration_scores_[rank - 1])

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row: the lower, the more of an outlier.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats.
        """
        check_is_fitted(self)
        return log_density(self.density_, read_rows(self, X, reset=False)[0])

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the log-density above the threshold; negative for outliers.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        decision : ndarray of shape (n_samples,)
            ``score_samples(X) - offset_``, in nats.
        """
        scores = self.score_samples(X)
        if np.isneginf(self.offset_):  # rows outside the support are at the threshold, not below
            return np.where(np.isneginf(scores), 0.0, np.inf)
        return scores - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Return 1 for regular rows and -1 for outliers.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to judge.

        Returns
        -------
        label : ndarray of shape (n_samples,)
            1 or -1.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> np.ndarray:
        """Return how often a regular row has a density this low.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to judge.

        Returns
        -------
        pvalue : ndarray of shape (n_samples,)
            (1 + number of calibration rows with a log-density no higher) / (1 + their number).
            Valid in finite samples where there is a `false_alarm_rate`; without one the density
            has seen the rows it is compared with, and values are too small.
        """
        scores = self.score_samples(X)
        no_higher = np.searchsorted(self.calibration_scores_, scores, side="right")
        return (1.0 + no_higher) / (1.0 + len(self.calibration_scores_))

    def explain(self, X: Any, *, n_draws: int = 200, random_state: Any = 0) -> Any:
        r"""Say which columns make rows improbable.

        The surprise of a value is :math:`-\log p(x_j \mid x_{-j}) = \log p(x_{-j}) - \log p(x)`,
        minus its log-density given all other observed values of the row. It is compared with the
        surprises of rows drawn from the density, which have the same unit.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows to explain; with holes where the density reads them.
        n_draws : int, default=200
            Number of rows to draw for comparison.
        random_state : None, int, RandomState or Generator, default=0
            Of these rows.

        Returns
        -------
        explanation : pandas.DataFrame
            A line for each observed value, those of a row together, the most surprising first:
            "row" (position in X), "column", "value", "surprise" in nats, the "usual" one (median of
            the draws), their difference "excess", and "pvalue", the share of draws with as large a
            surprise in that column.

        Raises
        ------
        ValueError
            Rows with holes, for a density that neither scores nor completes them.

        See Also
        --------
        skgm.ExplanationDisplay : Draws it.

        Notes
        -----
        A density that scores incomplete rows (:class:`skgm.DensityChain`,
        :class:`skgm.GaussianMixtureDensity`) gives :math:`p(x_{-j})` itself. For others the column
        is integrated out on a grid, which takes 500 scores for each value, or summed over its
        categories (those of X and of the draws); point masses are added. In a row with holes such
        a density (:class:`skgm.DDPM`) fills them 40 times given the values other than :math:`x_j`,
        and the mean of :math:`p(x_j \mid \cdot)` over the completions is taken.

        Two values that do not go together surprise one another: both columns are then named.

        Examples
        --------
        >>> import numpy as np
        >>> from skgm import DensityOutlierDetector
        >>> X = np.random.default_rng(0).normal(size=(300, 3))
        >>> detector = DensityOutlierDetector().fit(X)
        >>> detector.explain([[0.1, 7.0, -0.2]])[["column", "excess"]].round(0)
          column  excess
        0     x1    ...
        1     x...
        2     x...
        """
        check_is_fitted(self)
        check_n_samples(n_draws)
        rows, _ = read_rows(self, X, reset=False)
        names = column_names(self, self.n_features_in_)
        return explain_rows(self.density_, rows, names, n_draws, as_generator(random_state))


def _check_no_weights(sample_weight: Any) -> None:
    if sample_weight is not None:
        raise ValueError(
            "sample_weight has no meaning with false_alarm_rate, whose guarantee counts rows. "
            "Leave it out, or use contamination."
        )


def _quantile(scores: np.ndarray, weight: np.ndarray, share: float) -> float:
    """Return the quantile of sorted scores that equals repeating each by an integer weight.

    Linear interpolation between order statistics, as in numpy, of the repeated sample.
    """
    ends = np.cumsum(weight)
    position = max(share * (ends[-1] - 1.0), 0.0)
    low = np.searchsorted(ends, np.floor(position), side="right")
    high = np.searchsorted(ends, np.floor(position) + 1.0, side="right")
    low, high = min(low, len(scores) - 1), min(high, len(scores) - 1)
    step = position - np.floor(position)
    if step == 0 or scores[low] == scores[high]:  # -inf - -inf is no number
        return float(scores[low])
    return float(scores[low] + step * (scores[high] - scores[low]))
