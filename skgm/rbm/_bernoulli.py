"""Fits the restricted Boltzmann machine of units that are 0 or 1, from a table or a stream."""

from dataclasses import fields
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from skgm._parallel import N_JOBS
from skgm._random import RANDOM_STATE, as_generator
from skgm._sklearn import (
    Interval,
    StrOptions,
    check_sample_weight,
    epoch_begins,
    epoch_ends,
    fit_task,
    progress_shown,
    transactional,
)
from skgm.base import DensityTags
from skgm.rbm._energy import RBMParameters
from skgm.rbm._exact import fit_by_enumeration
from skgm.rbm._likelihood import FittedMachine
from skgm.rbm._log_partition import MAX_ENUMERATED_UNITS
from skgm.rbm._rows import (
    IncompleteRows,
    TrainingRows,
    as_units,
    check_complete,
    choose_threshold,
    dense,
    without_holes,
)
from skgm.rbm._stream import Stream
from skgm.rbm._training import Fitted, Settings, fit_contrastive
from skgm.tables._validation import validate_table

__all__ = ["BernoulliRBMCD"]

# What a new fit deletes first; the other attributes are overwritten.
_OF_ONE_FIT = {"components_", "intercept_hidden_", "intercept_visible_", "h_samples_"}
_OF_ONE_FIT |= {"n_iter_", "loss_curve_", "validation_curve_", "free_energy_gap_"}


def _learns_from_batches(estimator: "BernoulliRBMCD") -> bool:
    if estimator.method == "exact":
        raise AttributeError("method='exact' needs the whole table: there is no partial_fit.")
    return True


class BernoulliRBMCD(FittedMachine):
    r"""Restricted Boltzmann machine of binary units, with a likelihood.

    .. math::

        p(v, h) = \frac{1}{Z} \exp(b'v + c'h + v'Wh), \qquad
        \Delta W \propto \langle v h' \rangle_{\text{data}} - \langle v h' \rangle_{\text{model}}

    A drop-in for :class:`sklearn.neural_network.BernoulliRBM` whose updates are faster and right
    for any number of rows, and whose model can be scored, grid-searched, sampled from and
    conditioned on. Use it for binary tables with many dependent columns. It is the wrong model for
    counts, and as a density for gray values, which it takes as probabilities.

    Parameters
    ----------
    n_components : int, default=256
        Number of hidden units.
    learning_rate : float or "auto", default="auto"
        Learning rate of the first update. "auto" is 1, or 25 / V if the total variance V of the
        columns exceeds 25. A smaller rate needs a larger `n_iter`.
    batch_size : int, default=50
        Largest size of a mini-batch; the rows of an epoch are spread over batches evenly.
    n_iter : int or "auto", default="auto"
        Number of epochs, as in scikit-learn; with ``method="exact"`` the largest number of
        iterations of L-BFGS. An epoch takes as many rows as the weights sum to, but at most 25,000,
        or the number of distinct rows if that is larger. "auto" makes 5000 updates, in 10 epochs at
        least (with at most 100,000 updates) and 150 at most (no limit with gray values); 400
        iterations of L-BFGS. `partial_fit` makes one pass over its rows.
    verbose : int, default=0
        Show a progress bar, where ``sklearn.callback`` (1.9) and rich are installed and no
        callbacks are set.
    random_state : None, int, RandomState or Generator, default=None
        Determines initial weights, order of rows and Gibbs steps.
    method : {"pcd", "cd", "exact"}, default="pcd"
        Where the model's moments come from. "pcd" uses persistent chains. "cd" uses Gibbs chains
        started at the batch, and cannot see modes far from the data. "exact" enumerates the smaller
        layer, of at most 20 units, and finds the maximum of the likelihood by L-BFGS.
    n_gibbs_steps : int, default=2
        Steps of the chains per update.
    n_chains : int, default=None
        Number of persistent chains; None is `batch_size`.
    schedule : {"linear", "constant"}, default="linear"
        The learning rate falls linearly to zero, or stays. `partial_fit`, which knows no end,
        lets it fall with the square root of the number of updates instead.
    average : bool, default=True
        The result is the average of the iterates, the t-th of which has weight t cubed.
    momentum : float, default=0.0
        Share of the last step in the next.
    weight_decay : float or "auto", default="auto"
        Half of this times the squared weights is added to the loss per row. "auto" is
        min(1, n_components / 50) V / (120 sqrt(n)) for n rows (those seen so far in `partial_fit`)
        of total variance V. With much less, large machines put mass where no data are. With
        ``method="exact"`` it is 1 / n, a standard normal prior on each weight, without which the
        maximum of the likelihood is often infinitely far away.
    center : bool, default=True
        Take gradients about the mean of the data, and about 1/2 for the hidden units. Training
        then does not depend on which of its two values a unit has most often.
    sparsity_target : float, default=None
        Value to which the mean activity of each hidden unit is drawn; None draws it to none.
    sparsity_cost : float, default=0.1
        Strength of this pull.
    early_stopping : bool, default=False
        Hold out rows, and return the parameters with their best (pseudo-)likelihood.
    validation_fraction : float, default=0.1
        Share of the rows held out, 10,000 at most.
    n_iter_no_change : int, default=10
        Number of looks at the held-out rows without improvement after which training stops. A look
        comes after each entry of `loss_curve_`.
    tol : float, default=1e-4
        Smallest decrease of the held-out loss that counts as an improvement, in nats per row.
    binarize : float, default=None
        Threshold: all tables are taken as X > binarize. None takes values in [0, 1] as they are. A
        gray value, strictly between, is the probability that a unit is on: training draws 0 or 1
        from it at each presentation, and `transform` uses the probability itself. If the training
        table has values outside [0, 1], it and all later tables are taken as X > 0.5, with a
        warning.
    missing : {"raise", "draws"}, default="raise"
        "draws": NaN in the table of `fit` are units like the hidden ones. They are drawn given what
        the row observes, one Gibbs step at each presentation, which maximizes the likelihood of
        the observed values; right if values are missing at random. `partial_fit`, "exact" and
        `early_stopping` need complete rows, and so does `score_samples`: see :meth:`impute`.
    n_jobs : int, default=None
        Blocks of rows scored, and groups of annealed chains, at a time, in threads; the result is
        the same for every number. None is one, -1 all cores.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features_in_)
        Weights, the transpose of W.
    intercept_hidden_ : ndarray of shape (n_components,)
        Intercepts c of the hidden units.
    intercept_visible_ : ndarray of shape (n_features_in_,)
        Intercepts b of the visible units.
    h_samples_ : ndarray of shape (n_chains, n_components)
        Hidden units of the persistent chains; with other methods, drawn given training rows.
    n_iter_ : int
        Number of epochs, or of iterations of L-BFGS, made by `fit`.
    loss_curve_ : list of float
        Mean negative log pseudo-likelihood of a sample of training rows, after every epoch of
        `fit`; with ``n_iter="auto"`` after as many epochs as make about 200 updates. With
        ``method="exact"`` the mean negative log-likelihood. No sign that the model has no mass
        far from the data: see :meth:`log_partition`.
    validation_curve_ : list of float
        The same loss on the rows held out, with `early_stopping`.
    free_energy_gap_ : float
        Mean log-likelihood of training rows minus that of the rows held out, with `early_stopping`:
        the difference of their free energies. A large gap tells of overfitting.
    n_features_in_ : int
        Number of columns seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where `fit` saw a data frame with text names.
    log_density_kind_ : {"exact", "estimate"}
        "exact" where the smaller layer has at most 25 units.

    Raises
    ------
    ValueError
        In `fit`: NaN or infinity, training that diverges, ``method="exact"`` with more than 20
        units in both layers, `early_stopping` that leaves no rows.

    Warns
    -----
    DataConversionWarning
        Training values outside [0, 1] without `binarize`.
    ConvergenceWarning
        L-BFGS has not finished. From methods that need log Z: it is uncertain, or much of the
        model's mass lies where training did not look (see :meth:`log_partition`).
    UserWarning
        From `partial_fit`: the weights of one call are so large that they are reduced.

    See Also
    --------
    sklearn.neural_network.BernoulliRBM : Its short last mini-batch gets a wrong gradient.

    Notes
    -----
    eq. rbm-energy, rbm-joint, rbm-conditionals, rbm-gradient, rbm-cd-update,
    rbm-log-partition-exact, rbm-ais.

    Training computes in float32, evaluation in float64. The defaults were chosen on 14 tables, and
    checked on nine others, with 16 to 256 hidden units (``benchmarks/rbm_quality.py widths``).

    `score_samples` is the log-probability of a row of 0 and 1, after thresholding if there is
    any. Without a threshold, a row with another value has probability zero.

    References
    ----------
    .. [1] G. E. Hinton, "Training products of experts by minimizing contrastive divergence",
       Neural Computation 14, 2002.
    .. [2] T. Tieleman, "Training restricted Boltzmann machines using approximations to the
       likelihood gradient", ICML 2008.
    .. [3] G. Montavon and K.-R. Müller, "Deep Boltzmann machines and the centering trick", in
       Neural Networks: Tricks of the Trade, 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import BernoulliRBMCD
    >>> X = np.repeat([[0, 0, 1], [1, 1, 0], [1, 1, 1]], [50, 30, 20], axis=0)
    >>> rbm = BernoulliRBMCD(2, random_state=0).fit(X)
    >>> rbm.impute([[1, np.nan, 0]], random_state=0)
    array([[1., 1., 0.]])
    """

    _stream: dict[str, Any]

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "n_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "verbose": ["verbose"],
        "random_state": RANDOM_STATE,
        "method": [StrOptions({"pcd", "cd", "exact"})],
        "n_gibbs_steps": [Interval(Integral, 1, None, closed="left")],
        "n_chains": [Interval(Integral, 1, None, closed="left"), None],
        "schedule": [StrOptions({"linear", "constant"})],
        "average": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "center": ["boolean"],
        "sparsity_target": [Interval(Real, 0, 1, closed="neither"), None],
        "sparsity_cost": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "binarize": [Interval(Real, None, None, closed="neither"), None],
        "missing": [StrOptions({"raise", "draws"})],
        "n_jobs": N_JOBS,
    }

    def __init__(
        self,
        n_components: int = 256,
        *,
        learning_rate: float | str = "auto",
        batch_size: int = 50,
        n_iter: int | str = "auto",
        verbose: int = 0,
        random_state: Any = None,
        method: str = "pcd",
        n_gibbs_steps: int = 2,
        n_chains: int | None = None,
        schedule: str = "linear",
        average: bool = True,
        momentum: float = 0.0,
        weight_decay: float | str = "auto",
        center: bool = True,
        sparsity_target: float | None = None,
        sparsity_cost: float = 0.1,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        binarize: float | None = None,
        missing: str = "raise",
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.verbose = verbose
        self.random_state = random_state
        self.method = method
        self.n_gibbs_steps = n_gibbs_steps
        self.n_chains = n_chains
        self.schedule = schedule
        self.average = average
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.center = center
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.binarize = binarize
        self.missing = missing
        self.n_jobs = n_jobs

    def __density_tags__(self) -> DensityTags:
        """Return the promises that decide which density checks apply."""
        return DensityTags(support="binary", deterministic_fit=False, converts_outside=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "BernoulliRBMCD":
        """Fit weights and intercepts from the start.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. Values in [0, 1] are probabilities that a unit is on; for others see
            `binarize`.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; an integer weight equals that many repetitions of the row, under the same
            `random_state`. Weights of any size take no more time than a table of 25,000 rows, or
            than as many rows as X has.

        Returns
        -------
        self : BernoulliRBMCD
            The fitted estimator.
        """
        with (
            progress_shown(self, self.verbose),
            fit_task(
                self, X=X, y=y, sample_weight=sample_weight, n_subtasks=self.n_iter
            ) as context,
        ):
            table, weight = self._begin_fit(X, sample_weight, accept_sparse=True, finite=False)
            table, holes = without_holes(table, self)
            self._threshold = choose_threshold(table, self.binarize)
            rng = as_generator(self.random_state)
            for name in _OF_ONE_FIT & vars(self).keys():
                delattr(self, name)
            self._open_stream(rng)
            units = as_units(table, self._threshold)
            rows = TrainingRows(units, weight)
            if holes is not None:
                rows = IncompleteRows(units, weight, holes, rng)
            rows = rows.bounded()
            self._mean = rows.mean()
            train = fit_by_enumeration if self.method == "exact" else fit_contrastive
            fitted = train(
                self._settings(),
                rows,
                rng,
                begin=lambda: epoch_begins(context, self, X=X),
                end=lambda task, p: epoch_ends(task, self, X=X, state=lambda: self._public(p)),
            )
            return self._finish(fitted)

    @available_if(_learns_from_batches)
    @transactional
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "BernoulliRBMCD":
        """Go on with more rows, in their order; parts of a table are as good as the whole.

        Training goes on from the parameters as they are, also if they were assigned. An update is
        made whenever `batch_size` rows are complete; those left over make a smaller, provisional
        one, until the next call. The learning rate falls with the square root of the number of
        updates, those of an earlier `fit` included, unless `schedule` is "constant". If the whole
        table is at hand, `fit` finds better parameters in the same time.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            More rows; one is enough.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of these rows. They are reduced, with a warning, if they sum to more than
            25,000 and more than the number of rows.

        Returns
        -------
        self : BernoulliRBMCD
            The updated estimator.
        """
        with fit_task(self, X=X, y=y, sample_weight=sample_weight):
            if hasattr(self, "_stream"):
                table = validate_table(self, X, reset=False, accept_sparse=True, finite=False)
                weight = None if sample_weight is None else check_sample_weight(sample_weight, X)
            else:
                table, weight = self._begin_fit(X, sample_weight, accept_sparse=True, finite=False)
                self._threshold = None
                self._open_stream(as_generator(self.random_state))
            check_complete(table, self)
            if self._threshold is None:
                self._threshold = choose_threshold(table, self.binarize)
            table = as_units(table, self._threshold)
            if self._fingerprint() == self._stream.get("shown"):
                stream = Stream(self._settings(), self._stream)
            else:  # after `fit`, or with assigned parameters
                if not hasattr(self, "_mean"):
                    self._mean = TrainingRows(table, weight).mean()
                state = {name: part for name, part in self._stream.items() if name != "kernel"}
                stream = Stream(self._settings(), state)
                stream.begin(self._mean, self._found())
            stream.feed(dense(table), weight)
            self._publish(*stream.result())
            self._stream = stream.state | {"shown": self._fingerprint()}
            return self

    def _found(self) -> dict[str, np.ndarray]:
        """Return those of the fitted arrays that there are; `partial_fit` starts from them."""
        shapes = {
            "components_": (self._settings().n_components, self.n_features_in_),
            "intercept_hidden_": (self._settings().n_components,),
            "intercept_visible_": (self.n_features_in_,),
        }
        found = {name: np.asarray(getattr(self, name)) for name in shapes if hasattr(self, name)}
        for name, array in found.items():
            if array.shape != shapes[name] or not np.isfinite(array).all():
                raise ValueError(
                    f"{name} must be finite, of shape {shapes[name]}, for partial_fit to go on "
                    f"from; it has shape {array.shape}."
                )
        return found | {"h_samples_": getattr(self, "h_samples_", np.empty((0, 0)))}

    def _open_stream(self, rng: np.random.Generator) -> None:
        self._seed = int(rng.integers(2**63))
        self._stream = {"seed": self._seed, "n_updates": 0, "n_rows": 0.0}
        self._log_partition_cache = None
        smaller = min(self._settings().n_components, self.n_features_in_)
        self.log_density_kind_ = "exact" if smaller <= MAX_ENUMERATED_UNITS else "estimate"

    def _settings(self) -> Settings:
        chosen = {field.name: getattr(self, field.name) for field in fields(Settings)}
        if hasattr(self, "components_"):  # partial_fit goes on with the units there are
            chosen["n_components"] = self.components_.shape[0]
        return Settings(**chosen)

    def _finish(self, fitted: Fitted) -> "BernoulliRBMCD":
        self.n_iter_, self.loss_curve_ = fitted.n_iter, fitted.loss_curve
        if self.early_stopping:
            self.validation_curve_ = fitted.validation_curve
            self.free_energy_gap_ = fitted.free_energy_gap
        self._stream |= {"n_updates": fitted.n_updates, "n_rows": fitted.n_rows}
        return self._publish(fitted.parameters, fitted.chains, fitted.mean)

    def _publish(
        self, parameters: RBMParameters, chains: np.ndarray, mean: np.ndarray
    ) -> "BernoulliRBMCD":
        for name, array in self._public(parameters).items():
            setattr(self, name, array)
        self.h_samples_ = chains.astype(self._sample_dtype)
        self._mean = mean
        return self

    def _public(self, parameters: RBMParameters) -> dict[str, np.ndarray]:
        """Return the fitted arrays in the floating dtype of the training table."""
        arrays = vars(parameters)
        return {f"{name}_": a.astype(self._sample_dtype) for name, a in arrays.items()}
