"""Estimators that break one promise each, and what else breaks with it.

``@breaks("check_a", "check_b")`` above a class says: it was made to fail check_a; check_b cannot
but fail with it; every other check that applies to it passes.
"""

from importlib import import_module

BROKEN = {}


def breaks(check_name, *also):
    def register(estimator_class):
        assert check_name not in BROKEN, f"{check_name} has two broken estimators"
        BROKEN[check_name] = (estimator_class(), {check_name, *also})
        return estimator_class

    return register


for _topic in ("density", "score", "sample", "fit", "weights", "given", "frames", "errors"):
    import_module(f"tests.testing.broken.{_topic}")
