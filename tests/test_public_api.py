"""Every public name: exported once, on the API page, with a docstring that numpydoc accepts."""

import ast
import dataclasses
import inspect
import re
from collections import Counter
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import skgm
from skgm.inference import families

numpydoc_validate = pytest.importorskip("numpydoc.validate")

ROOT = Path(__file__).resolve().parents[1]
# skgm.skpro needs skpro, which not every environment has; most of its docstrings are skpro's
PACKAGES = [
    f"skgm.{m.name}"
    for m in iter_modules(skgm.__path__)
    if not m.name.startswith("_") and m.name != "skpro"
]

NOT_ENFORCED = {
    "GL01",  # "summary on the line after the quotes": ours stands beside them, as PEP 257 has it
    "GL02",  # the closing quotes of one-line docstrings
    "GL03",  # the blank line between the two
    "ES01",  # an extended summary only where there is something to say
    "SA01",  # likewise See Also,
    "SA04",
    "EX01",  # and Examples: the doctests stand on the classes, not on every method
    "RT02",  # "only the type": a returned value may have a name, as in scipy
}

# Families are written by a protocol: all methods share their arguments and the shapes of what they
# return, which the class docstring explains once. Each method has a one-line docstring.
PROTOCOL_METHODS = "skgm.inference.families._base.Family."


def public_methods(cls):
    """Public functions and properties that skgm documents, wherever in the class's line.

    An override without a docstring has that of the method it overrides.
    """
    ours = [base for base in cls.__mro__ if base.__module__.startswith("skgm")]
    found = {}
    for base in ours:
        for name, member in vars(base).items():
            is_request = name.startswith("set_") and name.endswith("_request")  # scikit-learn's
            is_method = callable(member) or isinstance(member, property) or hasattr(member, "fn")
            if is_method and member.__doc__ and not name.startswith("_") and not is_request:
                found.setdefault(name, f"{base.__module__}.{base.__qualname__}.{name}")
    return found


def public_names():
    """Where to import each public name: from skgm, or from the sub-package that alone has it."""
    for package in PACKAGES:
        for name in getattr(import_module(package), "__all__", []):
            yield f"skgm.{name}" if name in skgm.__all__ else f"{package}.{name}"


def documented_objects():
    for path in public_names():
        module, _, name = path.rpartition(".")
        value = getattr(import_module(module), name)
        yield path
        if inspect.isclass(value):
            yield from public_methods(value).values()


def ids(path):
    return path.removeprefix("skgm.")


@pytest.mark.parametrize("name", skgm.__all__)
def test_name_resolves_and_is_exported_by_one_package(name):
    value = getattr(skgm, name)
    exporters = [p for p in PACKAGES if name in getattr(import_module(p), "__all__", [])]
    assert len(exporters) == 1, exporters
    assert getattr(import_module(exporters[0]), name) is value


def test_names_are_unique_and_sorted():
    assert [name for name, n in Counter(skgm.__all__).items() if n > 1] == []
    assert skgm.__all__ == sorted(skgm.__all__)


def test_dir_lists_public_names():
    assert set(skgm.__all__) <= set(dir(skgm))
    assert "__version__" in dir(skgm)


def test_unknown_name_raises_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'NoSuchThing'"):
        _ = skgm.NoSuchThing


def test_star_import_gives_exactly_the_public_names():
    namespace = {}
    exec("from skgm import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(skgm.__all__)


def test_api_page_lists_every_public_name_once():
    page = (ROOT / "docs" / "api" / "index.rst").read_text(encoding="utf-8")
    listed = re.findall(r"^   ([A-Za-z_.]+)$", page, flags=re.MULTILINE)
    members = [name for name in listed if name.startswith("inference.families.")]
    rest = [f"skgm.{name}" for name in listed if name not in members]
    assert sorted(rest) == sorted(public_names())
    assert len(members) == len(set(members))
    names = {name.rpartition(".")[2] for name in members}
    assert {type(family).__name__ for family in families.FAMILIES} <= names
    assert names <= set(families.__all__)


@pytest.mark.parametrize("path", sorted(set(documented_objects())), ids=ids)
def test_docstring_is_numpydoc_valid(path):
    report = numpydoc_validate.validate(path)
    target = numpydoc_validate.Validator._load_obj(path)
    ignored = set(NOT_ENFORCED)
    if path.startswith(PROTOCOL_METHODS):
        ignored |= {"PR01", "RT01"}
    if dataclasses.is_dataclass(target):  # results: their fields are documented as Attributes
        ignored.add("PR01")
        fields = {f.name for f in dataclasses.fields(target)}
        documented = set(re.findall(r"\w+", " ".join(attribute_headings(target))))
        assert fields <= documented
    errors = [f"{code}: {text}" for code, text in report["errors"] if code not in ignored]
    assert not errors, "\n".join(errors)


def attribute_headings(cls):
    section = inspect.getdoc(cls).split("Attributes\n----------\n")[1]
    return [line.split(" : ")[0] for line in section.splitlines() if re.match(r"\S.* : ", line)]


def test_type_checkers_see_the_public_names():
    """The imports under TYPE_CHECKING, which nothing runs, name the same things."""
    tree = ast.parse(Path(skgm.__file__).read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    (block,) = (node for node in blocks if ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {(node.module, alias.name) for node in block.body for alias in node.names}
    homes = {(f"skgm.{m}", name) for m, names in skgm._HOME.items() for name in names}
    assert seen == homes
    assert sorted(name for _, name in homes) == skgm.__all__


@pytest.mark.parametrize("path", list(public_names()), ids=ids)
def test_every_public_method_has_a_docstring_or_inherits_one(path):
    module, _, name = path.rpartition(".")
    cls = getattr(import_module(module), name)
    if not inspect.isclass(cls):
        return
    for member in (name for name in dir(cls) if not name.startswith("_")):
        value = inspect.getattr_static(cls, member)
        if callable(value) or isinstance(value, property):
            assert inspect.getdoc(getattr(cls, member)), member
