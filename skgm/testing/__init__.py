"""Checks that any density estimator can be run through, whoever wrote it."""

from skgm.testing._registry import get_density_tags
from skgm.testing._runner import (
    check_density_estimator,
    parametrize_with_density_checks,
)

__all__ = ["check_density_estimator", "get_density_tags", "parametrize_with_density_checks"]
