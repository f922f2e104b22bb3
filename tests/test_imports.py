"""`import skgm` is light: nothing heavy is imported before it is used."""

import json
import subprocess
import sys

PROBE = """
import json, sys
import sklearn.base
before = set(sys.modules)
import skgm
after_import = set(sys.modules)
for name in skgm.__all__:
    getattr(skgm, name)
after_names = set(sys.modules)
print(json.dumps([sorted(after_import - before), sorted(after_names - before)]))
"""


def imported_modules():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE], capture_output=True, text=True, check=True
    )
    return (set(modules) for modules in json.loads(done.stdout))


def top_level(modules):
    return {name.partition(".")[0] for name in modules}


def test_import_and_public_names_pull_in_nothing_heavy():
    by_import, by_names = imported_modules()
    assert top_level(by_import) == {"skgm"}
    assert by_import == {"skgm"}, "a sub-package was imported before it was needed"
    assert "skgm.inference" in by_names
    heavy = {"statsmodels", "matplotlib", "pandas", "polars", "torch", "dask"}
    assert top_level(by_names) & heavy == set()
