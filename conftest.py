"""For all tests: one BLAS thread per process, and warnings that point at the caller.

pytest itself runs one process per core. Threads of small matrix products that outnumber the cores
wait for one another by spinning, which can make a test twenty times slower.
"""

import os
from importlib.util import find_spec

import numpy as np  # noqa: F401  (the limit holds for libraries that are loaded)
import pytest
import scipy.linalg  # noqa: F401
import sklearn  # noqa: F401  (its OpenMP runtime is loaded now, and limited)
from threadpoolctl import threadpool_limits

import skgm

# optional extras
collect_ignore = [f"skgm/{name}.py" for name in ("dask", "skpro") if not find_spec(name)]

threadpool_limits(int(os.environ.get("SKGM_TEST_THREADS", "1")))

_HOUSE = os.path.dirname(skgm.__file__) + os.sep


@pytest.fixture(autouse=True)
def _warnings_point_at_the_caller(monkeypatch):
    """Fail a test that records a warning whose line is one of skgm's own."""
    leave = pytest.WarningsRecorder.__exit__

    def leave_and_look(recorder, *exception):
        inside = [w for w in recorder.list if w.filename.startswith(_HOUSE)]
        leave(recorder, *exception)
        assert not inside, [f"{w.filename}:{w.lineno}: {w.message}" for w in inside]

    monkeypatch.setattr(pytest.WarningsRecorder, "__exit__", leave_and_look)
