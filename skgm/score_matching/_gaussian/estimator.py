"""Fits a Gaussian by score matching: in closed form, regularized, incomplete, or cut to bounds."""

import numbers
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from skgm._numerics.gaussian import factorize, factorize_diagonal
from skgm._numerics.moments import Moments
from skgm._sklearn import Interval, StrOptions, check_sample_weight, fit_task
from skgm.base import DensityTags, transactional
from skgm.score_matching._bounds import WEIGHTS
from skgm.score_matching._gaussian.density import GaussianDensity
from skgm.score_matching._gaussian.fitted import UnboundedGaussian
from skgm.score_matching._gaussian.missing import moments_with_missing, observed_log_likelihood
from skgm.score_matching._gaussian.regularization import CONSTRAINTS, RegularizedFit, regularize
from skgm.score_matching._gaussian.truncated import fit_boxed
from skgm.tables._summary import TableSummary, bare_copy, chunks_of, fitted_columns
from skgm.tables._validation import check_scales, check_several_rows, column_names, validate_table

__all__ = [
    "ScoreMatchingGaussian",
]


# Parameters that `regularize` and `fit_boxed` read.
_REGULARIZED = ("covariance_type", "penalty", "alpha", "graph", "refit", "tol")
_BOXED = (
    "covariance_type",
    "assume_centered",
    "penalty",
    "alpha",
    "graph",
    "tol",
    "bounds",
    "weight",
    "weight_cap",
)
_CURE = (
    "Drop such rows, or use missing='em', with which `fit` maximizes the likelihood of the values "
    "that were observed."
)


def _sums(estimator: "ScoreMatchingGaussian") -> bool:
    return estimator.missing != "em" and estimator.bounds is None


def _can_update(estimator: "ScoreMatchingGaussian") -> bool:
    if estimator.missing == "em":
        raise AttributeError(
            "ScoreMatchingGaussian has no partial_fit with missing='em', which fills every row in "
            "from all others. Call fit."
        )
    if estimator.bounds is None:
        return True
    raise AttributeError(
        "ScoreMatchingGaussian has no partial_fit with bounds, where the weight function depends "
        "on the scale of the whole table. Call fit."
    )


class ScoreMatchingGaussian(GaussianDensity):
    r"""Gaussian density fitted by score matching, in closed form.

    .. math::
        \min_{\mu, K}\; \tfrac12 \operatorname{tr}(K S_\mu K) - \operatorname{tr} K, \qquad
        S_\mu = \tfrac1n \sum_i (x_i - \mu)(x_i - \mu)^\top

    The implicit score-matching loss of a Gaussian with precision K is quadratic in K; its minimum
    is the sample mean and the inverse of the sample covariance (divisor n), which is also the
    maximum-likelihood estimate. Fitting costs little more than one pass for the Gram matrix, and
    the accuracy of the covariance survives means of ten million standard deviations.

    Prefer it as the baseline density of real-valued tables, for streams (`partial_fit`), to fill
    or simulate missing values, and for intervals of means and covariances. Not for tables with
    several clusters or a bounded support. Where the columns approach the rows in number, or most
    pairs of columns are independent given the rest, use `penalty` (or
    :class:`ScoreMatchingGaussianCV`, which chooses it), or a known `graph`:

    .. math::
        \min_K\; \tfrac12 \operatorname{tr}(K R K) - \operatorname{tr} K
        + \alpha \sum_{i \ne j} |K_{ij}| \quad \text{(l1)}, \qquad
        \ldots + \tfrac{\alpha}{2} \|K\|^2 \quad \text{(l2)}

    on the correlation matrix R, so that the units of the columns do not matter.

    Parameters
    ----------
    covariance_type : {"full", "diag", "spherical"}, default="full"
        "full": any covariance; "diag": independent columns; "spherical": independent columns
        with one common variance.
    assume_centered : bool, default=False
        Take the mean to be zero instead of estimating it.
    penalty : {"l1", "l2"}, default=None
        "l1": a sparse precision. "l2": the inverse of R + alpha I, which is also the denoising
        estimate for noise of variance alpha. Needs ``covariance_type="full"``.
    alpha : float, default=0.1
        Strength of the penalty, on the scale of correlations: with "l1", no pair is connected
        from `alpha_max_` <= 1 on.
    graph : array-like or sparse matrix of shape (n_features, n_features), default=None
        Known pairs of columns that may be dependent given the rest: non-zero off the diagonal,
        symmetric. All other entries of the precision are zero.
    refit : {"one_step", "mle", "score_matching"} or None, default="one_step"
        How the entries of a sparse precision are fitted once its support is known (by "l1" or
        `graph`): by score matching without penalty; by one step of Fisher scoring from there,
        which is as efficient as maximum likelihood; or by maximum likelihood. None keeps the
        penalized values.
    tol : float, default=1e-6
        Optimality residual of the l1 problem, and of the system with `bounds`.
    missing : {"raise", "em"}, default="raise"
        "em": NaN in the training table are allowed, and the likelihood of what was observed is
        maximized by expectation-maximization; right if entries are missing at random. There are
        no standard errors then, and `loglik_` is that of the observed entries. Rows with NaN are
        scored by the density of what they observe.
    bounds : "positive" or (lower, upper), default=None
        The density is that of a Gaussian cut to these bounds, scalars or arrays of shape
        (n_features,), and is fitted by generalized score matching (eq. sm-generalized), without
        its normalizer, an orthant probability, which is computed once afterwards.
    weight : {"minlog", "min", "power"} or callable, default="minlog"
        Weight function with `bounds`, of the distance to the nearer bound in standard deviations
        of the column: min(log(1 + t), cap), min(t, cap), t ** cap; a callable returns the
        function and its derivative.
    weight_cap : float, default=2.0
        The cap.

    Attributes
    ----------
    location_ : ndarray of shape (n_features_in_,)
        Mean; zeros with `assume_centered`.
    covariance_ : ndarray of shape (n_features_in_, n_features_in_) or (n_features_in_,), or float
        Covariance with divisor n (ridge included): a matrix ("full"), the variances ("diag"), or
        the common variance ("spherical").
    precision_ : ndarray of shape (n_features_in_, n_features_in_) or (n_features_in_,), or float
        Its inverse, in the same form.
    ridge_ : float
        0.0, or what was added to make a singular covariance positive definite, relative to the
        squared scale of each column: its variance; for a constant column its squared value, or 1
        if that is zero ("spherical": the mean of these).
    loss_ : float
        Implicit loss at the estimate; -tr(K) / 2 without a ridge. It is not invariant to the
        scale of the columns and not a log-likelihood.
    loglik_ : float
        Total log-likelihood of the training table, in nats.
    params_ : dict
        ``{"location": location_, "covariance": covariance_}``, without "location" if
        `assume_centered`; "precision" instead of "covariance" on a `graph`, and "precision" and
        "natural_param" with `bounds`.
    graph_ : ndarray of shape (n_features_in_, n_features_in_), bool
        Pairs with a non-zero entry; the diagonal is False. Only with `penalty` or `graph`, as the
        next three.
    n_edges_ : int
        Number of such pairs.
    alpha_max_ : float
        Least l1 penalty with an empty graph; NaN without one.
    kkt_residual_ : float
        Optimality residual of the l1 problem.
    natural_param_ : ndarray of shape (n_features_in_,)
        `precision_` times `location_`; only with `bounds`, as the next one. `location_` and
        `covariance_` are then those of the Gaussian before it is cut.
    log_normalizer_, log_normalizer_se_ : float
        Log of the integral of exp(-x' K x / 2 + eta' x), eta = `natural_param_`, over the box and
        its standard error; exact for one column.
    n_samples_seen_ : float
        Number of rows seen, or the sum of their weights.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    log_density_kind_ : str
        "exact"; "estimate" with `bounds` and more than one column.

    Raises
    ------
    ValueError
        In `fit`: NaN (allowed with `missing`) or infinity, fewer than two rows, columns whose
        squares overflow or underflow; `penalty` or `graph` together or without a full covariance,
        a `graph` that is no symmetric matrix of the right size or has too many edges for the rows.

    Warns
    -----
    LinAlgWarning
        A singular covariance, see Notes; an l1 estimate that had to be made positive definite.
    ConvergenceWarning
        `alpha` so large that the graph is empty, or so small that the problem did not converge.

    See Also
    --------
    skgm.MLEDensity : Parametric families by maximum likelihood.
    sklearn.covariance.EmpiricalCovariance : The same estimate, without density or inference.

    Notes
    -----
    eq. sm-gaussian, sm-gaussian-sparse, sm-implicit, sm-explicit, sm-covariance.

    Singular covariances (constant columns, columns determined by others, no more rows than columns)
    do not stop `fit`. It warns with :class:`scipy.linalg.LinAlgWarning`, names the columns, and
    adds a ridge of :math:`2^{-26}`, relative to the scale of each column. This is the smallest
    ridge that leaves half of the digits of the precision. Standard errors and intervals are then
    refused. A column counts as determined by others if they leave less than about a thousand
    rounding errors of its variance, on the scale of correlations, so columns in units of 1e-6 and
    1e6 may stand side by side.

    `confidence_intervals` has the methods "wald" (normal quantile, plain), "wald-transformed",
    "robust", and "auto" ("robust" where X is given, else "wald-transformed"). Both of the latter
    use Student's t and the unbiased covariance. "wald-transformed": variances on the log scale; a
    covariance as the difference of the variances of sum and difference of the two scaled columns,
    which are independent. "robust": sandwich errors with factor n / (n - 1), variances on the log
    scale, covariances on an inverse hyperbolic sine scale. In simulations with 200 Gaussian rows
    their 95% intervals cover 94.5 to 96% (model-based) and 93 to 95.5% (robust). With Student's t
    rows of 7 degrees of freedom "robust" covers about 93% for variances, and "wald-transformed"
    about 85%.

    A fitted estimator stores the means and the sums of squares and products of the training table,
    and none of its rows. A table of one or two rows can be computed from these.

    With `penalty` there are no standard errors; `edges` tests the pairs of columns. On a `graph`
    and with `bounds` there are those of the precision, by the sandwich where X is given.

    References
    ----------
    .. [1] A. Hyvärinen, "Estimation of non-normalized statistical models by score matching",
       Journal of Machine Learning Research 6, 2005, section 3.1.
    .. [2] T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample
       variance", The American Statistician 37, 1983.
    .. [3] G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures",
       Statistics in Medicine 27, 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import ScoreMatchingGaussian
    >>> X = np.random.default_rng(0).normal([1.0, -2.0], [1.0, 3.0], size=(500, 2))
    >>> density = ScoreMatchingGaussian().fit(X)
    >>> density.sample(3, given=[[1.0, np.nan]]).shape
    (3, 2)
    """

    _parameter_constraints = {
        "covariance_type": [StrOptions({"full", "diag", "spherical"})],
        "assume_centered": ["boolean"],
        **CONSTRAINTS,
        "missing": [StrOptions({"raise", "em"})],
        "bounds": [StrOptions({"positive"}), "array-like", None],
        "weight": [StrOptions(set(WEIGHTS)), callable],
        "weight_cap": [Interval(numbers.Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        covariance_type: str = "full",
        *,
        assume_centered: bool = False,
        penalty: str | None = None,
        alpha: float = 0.1,
        graph: Any = None,
        refit: str | None = "one_step",
        tol: float = 1e-6,
        missing: str = "raise",
        bounds: Any = None,
        weight: Any = "minlog",
        weight_cap: float = 2.0,
    ) -> None:
        self.covariance_type = covariance_type
        self.assume_centered = assume_centered
        self.penalty = penalty
        self.alpha = alpha
        self.graph = graph
        self.refit = refit
        self.tol = tol
        self.missing = missing
        self.bounds = bounds
        self.weight = weight
        self.weight_cap = weight_cap

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: NaN are allowed with ``missing="em"``."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "em" and self.bounds is None
        return tags

    def __density_tags__(self) -> DensityTags:
        """Return the promises that decide which density checks apply."""
        if self.bounds is not None:
            is_positive = isinstance(self.bounds, str)
            return DensityTags(
                support="non-negative" if is_positive else "real",
                equivariance="scale" if is_positive else "none",
            )
        group = {"full": "affine", "diag": "location-scale"}.get(self.covariance_type, "none")
        if self.penalty is not None or self.graph is not None:
            group = "location-scale"
        if self.assume_centered and group != "none":
            group = "scale"
        return DensityTags(independent_columns=self.covariance_type != "full", equivariance=group)

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "ScoreMatchingGaussian":
        """Fit location and covariance.

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
        self : ScoreMatchingGaussian
            The fitted estimator.
        """
        with fit_task(self, X=X, y=y, sample_weight=sample_weight):
            chunks = chunks_of(X)
            if chunks is not None:
                return self._fit_stream(chunks, sample_weight)
            table, weight = self._begin_fit(X, sample_weight, min_samples=2, finite=False)
            check_several_rows(weight)
            if self.bounds is not None:
                return self._fit_boxed(table, weight)
            if self.missing == "em":
                return self._fit_missing(table, weight)
            return self._absorb(table, weight)

    @available_if(_can_update)
    @transactional
    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None
    ) -> "ScoreMatchingGaussian":
        """Add rows to what was fitted so far; the parts of a table are as good as the whole.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            More rows; one is enough. Until there are more rows than columns the covariance is
            singular, with the warning and the ridge that `fit` gives.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of these rows.

        Returns
        -------
        self : ScoreMatchingGaussian
            The updated estimator.
        """
        with fit_task(self, X=X, y=y, sample_weight=sample_weight):
            if "moments" not in getattr(self, "_state", {}):
                table, weight = self._begin_fit(X, sample_weight, finite=False)
                return self._absorb(table, weight)
            table = validate_table(self, X, reset=False, finite=False)
            weight = None if sample_weight is None else check_sample_weight(sample_weight, table)
            return self._absorb(table, weight, Moments(**self._state["moments"]))

    def _can_summarize(self) -> bool:
        if _sums(self):
            return True
        raise AttributeError(
            "ScoreMatchingGaussian has no sums that add up with missing='em' or bounds, which pass "
            "over the rows many times. Call fit."
        )

    def _sums_of(self, X: Any, sample_weight: Any) -> TableSummary:
        twin = bare_copy(self)
        table, weight = twin._begin_fit(X, sample_weight, finite=False)
        moments = Moments.from_chunk(table, weight, joint=self.covariance_type == "full")
        check_scales(table, weight, moments, twin._column_names(), cure=_CURE)
        return TableSummary(
            self._summary_kind(), _count_rows(table, weight), moments, fitted_columns(twin)
        )

    def _summary_kind(self) -> str:
        return f"means and {'products' if self.covariance_type == 'full' else 'squares'}"

    def _fit_summary(self, total: TableSummary) -> None:
        total.check_kind(self._summary_kind())
        if total.n_rows < 2 and total.statistics.n < 2:
            raise ValueError("total is the summary of 1 row while a minimum of 2 is required.")
        self.__dict__.update(total.columns)
        self._fit_moments(total.statistics, total.n_rows, incomplete=False)

    def _absorb(
        self, table: np.ndarray, weight: np.ndarray | None, before: Moments | None = None
    ) -> "ScoreMatchingGaussian":
        """Fit from the moments of the rows, and of those that came `before`."""
        moments = Moments.from_chunk(table, weight, joint=self.covariance_type == "full")
        moments = moments if before is None else before + moments
        check_scales(table, weight, moments, column_names(self, table.shape[1]), cure=_CURE)
        n_rows, incomplete = _count_rows(table, weight), False
        if before is not None:
            n_rows, incomplete = n_rows + self._state["n_rows"], self._state["incomplete"]
        self._fit_moments(moments, n_rows, incomplete=incomplete)
        return self

    def _fit_missing(self, table: np.ndarray, weight: np.ndarray | None) -> "ScoreMatchingGaussian":
        """Fit by expectation-maximization."""
        names, centered = column_names(self, table.shape[1]), self.assume_centered
        moments = moments_with_missing(table, weight, names, centered=centered)
        if self.covariance_type != "full":
            moments = replace(moments, scatter=moments.scatter.diagonal().copy())
        incomplete = bool(np.isnan(table).any())
        fitted = self._fit_moments(moments, _count_rows(table, weight), incomplete=incomplete)
        self.loglik_ = observed_log_likelihood(table, weight, fitted.center, fitted.scaled)
        return self

    def _fit_boxed(self, table: np.ndarray, weight: np.ndarray | None) -> "ScoreMatchingGaussian":
        """Fit with bounds; publish arrays in the floating dtype of the table."""
        options = {name: getattr(self, name) for name in _BOXED}
        fitted, public = fit_boxed(table, weight, column_names(self, table.shape[1]), **options)
        for name in ("location_", "precision_", "natural_param_", "covariance_"):
            public[name] = public[name].astype(self._sample_dtype)
        parameters = {name: public[f"{name}_"] for name in ("precision", "natural_param")}
        self._keep(fitted, public | {"params_": parameters})
        return self

    def _fit_moments(self, moments: Moments, n_rows: int, *, incomplete: bool) -> UnboundedGaussian:
        """Turn moments into a fitted Gaussian."""
        center = np.zeros(len(moments.mean)) if self.assume_centered else moments.mean
        second_moment = moments.covariance(0.0 if self.assume_centered else None)
        fit: RegularizedFit | None = None
        if self.penalty is not None or self.graph is not None:
            options = {name: getattr(self, name) for name in _REGULARIZED}
            fit, factor = regularize(second_moment, center, moments.n, **options)
        elif self.covariance_type == "full":
            factor = factorize(second_moment, center)
        else:
            pooled = self.covariance_type == "spherical"
            factor = factorize_diagonal(second_moment, center, pooled=pooled)
        return self._keep_factor(factor, moments, n_rows, fit=fit, incomplete=incomplete)


def _count_rows(table: np.ndarray, weight: np.ndarray | None) -> int:
    return len(table) if weight is None else int(np.count_nonzero(weight))
