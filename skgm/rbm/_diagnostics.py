"""How well the rows of a fitted machine can be drawn."""

from typing import Any

from sklearn.utils.validation import check_is_fitted

from skgm._random import as_generator
from skgm.rbm._tempering import SamplingDiagnostics, sample_rows

__all__ = ["sampling_diagnostics"]


def sampling_diagnostics(
    estimator: Any, n_samples: int = 128, random_state: Any = None
) -> SamplingDiagnostics:
    """Draw rows as `sample` does, and return how the chains behaved instead of the rows.

    Parameters
    ----------
    estimator : BernoulliRBMCD
        A fitted machine.
    n_samples : int, default=128
        Number of rows to draw.
    random_state : None, int, RandomState or Generator, default=None
        The seed of a call of `sample` describes the chains of that call.

    Returns
    -------
    diagnostics : SamplingDiagnostics
        Method, R-hat, exchange rates, burn-in, thinning.

    Warns
    -----
    ConvergenceWarning
        The chains have not mixed.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgm.rbm import BernoulliRBMCD, sampling_diagnostics
    >>> machine = BernoulliRBMCD(8, n_iter=2, random_state=0).fit(load_digits().data > 7)
    >>> sampling_diagnostics(machine).method  # few hidden units: all their states are listed
    'exact'
    """
    check_is_fitted(estimator)
    return sample_rows(estimator._parameters, n_samples, as_generator(random_state))[1]
