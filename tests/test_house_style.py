"""The rules of the house, asserted: sizes, floors, privacy, no printing."""

import ast
import inspect
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

import skgm

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "skgm").rglob("*.py"))
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))

MAX_MODULE, MAX_FUNCTION, MAX_EXAMPLE, MAX_BASES = 650, 40, 60, 2

# Who may import whom, besides the floors below it, which are open to all.
BELOW = {
    "inference": set(),
    "nce": {"inference", "chain", "mixture", "diffusion"},
    "score_matching": {"inference", "nce"},
    "rbm": set(),
    "chain": set(),
    "mixture": {"chain"},
    "diffusion": {"chain", "mixture"},
}
# The floors, lowest first: each imports only what stands before it (and its neighbors).
FLOORS = [
    {"_numerics", "_bayes", "_monitor", "_parallel", "_random", "_sklearn", "_warnings"},
    {"tables"},
    {"base"},
]
FOUNDATION = set().union(*FLOORS)
MAY_PRINT = {"__main__", "_main"}  # the main job and the package behind it


def name_of(path):
    return str(path.relative_to(ROOT))


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def line_count(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(tree):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def body_length(function):
    """Lines from the first statement after the docstring to the last."""
    body = function.body
    has_docstring = ast.get_docstring(function) is not None
    body = body[1:] if has_docstring else body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def is_for_type_checkers(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def executed(tree):
    """All nodes but those that only type checkers read."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not is_for_type_checkers(child):
            yield from executed(child)


@cache
def imports(tree):
    """All imports that run, at any depth, as dotted (module, name)."""
    found = []
    for node in executed(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            found += [(node.module, alias.name) for alias in node.names]
    return found


def package_of(path):
    """The part of skgm that a module belongs to: a sub-package, or the module itself."""
    return path.relative_to(ROOT / "skgm").parts[0].removesuffix(".py")


def imported_packages(path):
    """Parts of skgm that a module imports, other than its own."""
    for module, name in imports(tree_of(path)):
        parts = f"{module}.{name}".rstrip(".").split(".")
        if parts[0] == "skgm" and len(parts) > 1 and parts[1] != package_of(path):
            yield parts[1], parts[2:]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_is_small(path):
    assert line_count(path) <= MAX_MODULE


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_are_small(path):
    long = {f.name: body_length(f) for f in functions(tree_of(path))}
    assert {name: n for name, n in long.items() if n > MAX_FUNCTION} == {}


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_example_is_short(path):
    assert line_count(path) < MAX_EXAMPLE


def test_there_are_examples():
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_declares_what_it_exports(path):
    if path.name == "__main__.py":
        return
    body = tree_of(path).body
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    targets += [node.target for node in body if isinstance(node, ast.AnnAssign)]
    assert any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_private_names_of_scikit_learn_stay_in_one_file(path):
    if path.name == "_sklearn.py":
        return
    private = [
        f"{module}.{name}"
        for module, name in imports(tree_of(path))
        if module.split(".")[0] == "sklearn"
        and any(part.startswith("_") for part in f"{module}.{name}".split("."))
    ]
    assert private == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_one_module_imports_joblib(path):
    if path.name == "_parallel.py":
        return
    roots = {module.split(".")[0] for module, _ in imports(tree_of(path))}
    names = {f"{module}.{name}" for module, name in imports(tree_of(path))}
    assert "joblib" not in roots
    assert not {"sklearn.utils.parallel.Parallel", "sklearn.utils.parallel.delayed"} & names


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_prints_but_the_main_job(path):
    if package_of(path) in MAY_PRINT:
        return
    calls = [node.func for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    assert not any(isinstance(f, ast.Name) and f.id == "print" for f in calls)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_one_way(path):
    package = package_of(path)
    imported = {p for p, _ in imported_packages(path)} - FOUNDATION - {"__version__"}
    if package == "__init__":
        assert imported == set()
    elif package in BELOW:
        assert imported <= BELOW[package]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_floors_rest_on_lower_floors(path):
    package = package_of(path)
    storey = next((i for i, floor in enumerate(FLOORS) if package in floor), None)
    if storey is None:
        return
    allowed = set().union(*FLOORS[: storey + 1])
    assert {p for p, _ in imported_packages(path)} - {"__version__"} <= allowed


def test_numerics_know_nothing_of_skgm():
    paths = [path for path in MODULES if package_of(path) == "_numerics"]
    assert paths
    assert [package for path in paths for package, _ in imported_packages(path)] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_one_module_counts_stack_levels(path):
    if path.name == "_warnings.py":
        return
    assert "stacklevel=" not in path.read_text(encoding="utf-8")


def test_imports_have_no_cycle():
    graph = {}
    for path in MODULES:
        names = {p for p, _ in imported_packages(path)} - {"__version__"}
        graph.setdefault(package_of(path), set()).update(names)
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_private_modules_are_private_to_their_package(path):
    """`inference` and `chain` are the exceptions: sub-packages share their machinery."""
    foreign = [
        f"{package}.{'.'.join(rest)}"
        for package, rest in imported_packages(path)
        if package not in FOUNDATION | {"inference", "chain"}
        and any(part.startswith("_") for part in rest)
    ]
    assert foreign == []


def public_estimators():
    values = [getattr(skgm, name) for name in skgm.__all__]
    classes = [value for value in values if inspect.isclass(value)]
    return [c for c in classes if issubclass(c, BaseEstimator) and not inspect.isabstract(c)]


@pytest.mark.parametrize("estimator", public_estimators(), ids=lambda c: c.__name__)
def test_estimators_compose_rather_than_inherit(estimator):
    ours = [c for c in estimator.__mro__[1:] if c.__module__.startswith("skgm")]
    bases = [c.__name__ for c in ours if c.__module__ not in ("skgm.base", "skgm._sklearn")]
    assert len(bases) <= MAX_BASES, bases


@pytest.mark.parametrize("estimator", public_estimators(), ids=lambda c: c.__name__)
def test_fit_stands_in_the_file_of_its_estimator(estimator):
    for method in ("fit", "partial_fit"):
        if hasattr(estimator, method):
            function = inspect.unwrap(getattr(estimator, method))
            assert function.__code__.co_filename == inspect.getsourcefile(estimator)
