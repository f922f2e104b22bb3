"""The two ways to run the suite: one call that returns records, and a pytest decorator."""

import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any
from unittest import SkipTest

from sklearn import config_context
from sklearn.exceptions import EstimatorCheckFailedWarning

from skgm._warnings import warn_user
from skgm.testing._registry import CHECKS, DensityCheck

__all__ = ["check_density_estimator", "parametrize_with_density_checks"]

# The order of the modules is the order of the checks in a record.
for _module in ("density", "score", "sample", "fit", "frames", "errors"):
    import_module(f"skgm.testing._checks_{_module}")


def check_density_estimator(
    estimator: Any, *, on_fail: str | None = "raise"
) -> list[dict[str, Any]]:
    """Check that an estimator keeps the promises of a density estimator.

    What :func:`sklearn.utils.estimator_checks.check_estimator` is for the conventions of
    scikit-learn, this is for densities: `score_samples` is the log of a density that integrates
    to one, `sample` draws from that density, `score` is a mean, weights are repetitions, data
    frames come back as data frames, and so on. Each check clones the estimator, seeds the clone,
    and fits it to a small table inside the support that its tags declare.

    Run it on any object with `fit`, `score_samples` and `sample`. Estimators that do not define
    ``__density_tags__`` get the defaults of :class:`skgm.DensityTags`.

    Parameters
    ----------
    estimator : estimator object
        An instance, fitted or not; it is not changed.
    on_fail : {"raise", "warn"} or None, default="raise"
        "raise": raise the exception of the first check that fails. "warn": give an
        EstimatorCheckFailedWarning for each. None: neither; look at the records.

    Returns
    -------
    records : list of dict
        One per check, in the order of the suite, with the keys "estimator", "check_name",
        "status" ("passed", "failed" or "not applicable"), "exception" (of a failed check, else
        None) and "reason" (why a check is not applicable, or what failed, else None).

    Raises
    ------
    TypeError
        A class is given instead of an instance.
    ValueError
        `on_fail` is none of the three.
    Exception
        With ``on_fail="raise"``, whatever the first failing check raised.

    See Also
    --------
    parametrize_with_density_checks : The same checks, as one pytest item each.
    skgm.DensityTags : What decides which checks apply.

    Notes
    -----
    Statistical checks use fixed seeds. Where the estimator honours them the outcome is
    reproducible; where it does not, a right estimator fails each with a chance of about 1e-6.

    Examples
    --------
    >>> from sklearn.neighbors import KernelDensity
    >>> from skgm.testing import check_density_estimator
    >>> records = check_density_estimator(KernelDensity(), on_fail=None)
    >>> [r["status"] for r in records if r["check_name"] == "check_density_integrates_to_one"]
    ['passed']
    """
    _check_instance(estimator)
    if on_fail not in ("raise", "warn", None):
        raise ValueError(f"on_fail must be 'raise', 'warn' or None; got {on_fail!r}.")
    records = []
    for check in CHECKS.values():
        record = _run(check, estimator)
        records.append(record)
        if record["status"] == "failed" and on_fail == "raise":
            raise record["exception"]
        if record["status"] == "failed" and on_fail == "warn":
            _warn(record)
    return records


def _run(check: DensityCheck, estimator: Any) -> dict[str, Any]:
    status, exception, reason = "passed", None, None
    try:
        check(estimator)
    except SkipTest as skip:
        status, reason = "not applicable", str(skip)
    except Exception as error:
        error.add_note(f"{check.name}: {check.promise}")
        status, exception = "failed", error
        reason = f"{type(error).__name__}: {error}".strip()
    return {
        "estimator": estimator,
        "check_name": check.name,
        "status": status,
        "exception": exception,
        "reason": reason,
    }


def _warn(record: dict[str, Any]) -> None:
    keys = ("estimator", "check_name", "exception", "status")
    known = {key: record[key] for key in keys}
    warn_user(
        EstimatorCheckFailedWarning(
            **known, expected_to_fail=False, expected_to_fail_reason="Check is not expected to fail"
        ),
    )


def parametrize_with_density_checks(estimators: Iterable[Any]) -> Any:
    """Make a pytest decorator: one test item per estimator and density check that applies.

    Checks that the estimator's tags or methods rule out are not collected;
    :func:`check_density_estimator` lists them, with the reason. A check that turns out not to
    apply only after a fit (a lower bound need not integrate to one) or for want of a library is
    skipped with the reason.

    Parameters
    ----------
    estimators : iterable of estimator objects
        Instances; they are not changed.

    Returns
    -------
    decorator : pytest.mark.parametrize
        For a test function with the arguments `estimator` and `check`.

    Raises
    ------
    TypeError
        A class is given instead of an instance.

    See Also
    --------
    check_density_estimator : The same checks in one call, without pytest.

    Examples
    --------
    >>> from sklearn.mixture import GaussianMixture
    >>> from skgm.testing import parametrize_with_density_checks
    >>> @parametrize_with_density_checks([GaussianMixture(), GaussianMixture(3)])
    ... def test_density(estimator, check):
    ...     check(estimator)
    """
    import pytest

    items = []
    for estimator in estimators:
        _check_instance(estimator)
        checks = [check for check in CHECKS.values() if not _ruled_out(check, estimator)]
        label = _label(estimator)
        items += [pytest.param(estimator, check, id=f"{label}-{check.name}") for check in checks]
    return pytest.mark.parametrize(("estimator", "check"), items)


def _ruled_out(check: DensityCheck, estimator: Any) -> bool:
    try:
        return check.reason_not_applicable(estimator) is not None
    except Exception:  # tags that cannot be read must fail as a test, not at collection
        return False


def _label(estimator: Any) -> str:
    with config_context(print_changed_only=True):
        return re.sub(r"\s", "", str(estimator))


def _check_instance(estimator: Any) -> None:
    if isinstance(estimator, type):
        raise TypeError(f"Pass an instance, not a class: {estimator.__name__}().")
