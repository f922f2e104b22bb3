"""Pickles record the version of skgm, and say so where another version loads them."""

import inspect
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning

import skgm
from skgm import MLEDensity

ESTIMATORS = [
    thing
    for thing in (getattr(skgm, name) for name in skgm.__all__)
    if hasattr(thing, "get_params") and not inspect.isabstract(thing)
]


@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
def test_every_estimator_records_the_version(kind):
    empty = kind.__new__(kind)
    state = empty.__getstate__()
    assert state["_skgm_version"] == skgm.__version__
    empty.__setstate__(state)
    assert "_skgm_version" not in vars(empty)


def test_another_version_is_told():
    model = MLEDensity().fit([[1.0], [2.0], [4.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = pickle.loads(pickle.dumps(model))
        clone(again)
    assert again.params_ == model.params_
    for written in ("0.0.9", None):
        state = model.__getstate__() | {"_skgm_version": written}
        if written is None:
            del state["_skgm_version"]
        words = "pickled by skgm (0.0.9|before 0.2.0) and is loaded by skgm"
        other = MLEDensity.__new__(MLEDensity)
        with pytest.warns(InconsistentVersionWarning, match=words) as caught:
            other.__setstate__(state)
        assert caught[0].filename == __file__
        assert np.isfinite(other.score([[2.0]]))


def test_the_citation_and_the_changelog_name_the_version():
    root = Path(__file__).resolve().parents[1]
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {skgm.__version__}\n" in citation
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {skgm.__version__} (" in changelog
