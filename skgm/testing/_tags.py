"""The density tags of any estimator, whether or not it knows about skgm."""

from typing import Any

from skgm.base import DensityTags

__all__ = ["get_density_tags"]


def get_density_tags(estimator: Any) -> DensityTags:
    """Return what an estimator promises beyond the density contract.

    Parameters
    ----------
    estimator : estimator object
        Any object with ``fit``. One that defines ``__density_tags__`` speaks for itself; another
        gets the defaults, with `deterministic_fit` False where it has a `random_state`.

    Returns
    -------
    tags : DensityTags
        The tags that decide which density checks apply.

    Raises
    ------
    TypeError
        ``__density_tags__`` returns something other than a DensityTags.

    Examples
    --------
    >>> from sklearn.neighbors import KernelDensity
    >>> from skgm.testing import get_density_tags
    >>> get_density_tags(KernelDensity()).support
    'real'
    """
    if not hasattr(estimator, "__density_tags__"):
        return DensityTags(deterministic_fit="random_state" not in estimator.get_params())
    tags = estimator.__density_tags__()
    if not isinstance(tags, DensityTags):
        raise TypeError(
            f"{type(estimator).__name__}.__density_tags__ must return a skgm.DensityTags; "
            f"got {tags!r}."
        )
    return tags
