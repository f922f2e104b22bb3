"""Build with ``python -m sphinx -W --keep-going docs docs/_build`` from the checkout."""

import re
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_ext")]

import skgm  # noqa: E402

project = "skgm"
author = "the skgm developers"
copyright = "2026, the skgm developers"
version = release = skgm.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "equations",
    "mathml",
    "pictures",
    "results",
]
exclude_patterns = ["_build", "_templates", "auto_examples/*.ipynb"]
templates_path = ["_templates"]
numfig = True  # equations are numbered by page: 1.1, 1.2, 2.1
math_eqref_format = "eq. {number}"
html_math_renderer = "mathml"
nitpicky = True  # every name resolves, but those of packages whose pages need the network
nitpick_ignore_regex = [
    (r"py:.*", r"(sklearn|scipy|numpy|pandas)\..*"),
    (r"py:class", r"skgm\.inference\.families\._.*"),  # what families keep of the rows
]
autodoc_typehints = "none"  # the sections of parameters say what is allowed, in words

autosummary_generate = True
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "plot_gallery": True,
    "reset_modules": ("matplotlib", "results.use_style"),
    "subsection_order": [
        "../examples/tables",
        "../examples/parameters",
        "../examples/densities",
        "../examples/rbm",
        "../examples/methods",
    ],
    "nested_sections": False,
    "doc_module": ("skgm",),
    "backreferences_dir": "api/generated/backreferences",
}
suppress_warnings = ["config.cache"]  # the gallery's settings cannot be pickled; nothing is wrong

html_theme = "pydata_sphinx_theme"
html_title = f"skgm {version}"
html_theme_options = {
    "logo": {"text": f"skgm {version}"},
    "header_links_before_dropdown": 4,
    "navbar_align": "left",
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_end": [],
}
html_sidebars: dict[str, list[str]] = {"index": [], "comparison": []}
html_static_path = ["_static"]
html_css_files = ["skgm.css"]
html_show_sourcelink = False

warnings.filterwarnings("error", module="skgm")


def quote_fitted_names(app, what, name, obj, options, lines):
    """Quote names such as n_features_in_ in shapes: the underscore would make them references."""
    for i, line in enumerate(lines):
        if " of shape (" in line:
            lines[i] = re.sub(r"\b(\w+_)(?=[,)])", r"``\1``", line)


def rst_of_changelog(text):
    """Return the changelog, which is Markdown, as reStructuredText."""
    text = text[text.index("## ") :]
    text = re.sub(r"(?s)(`+)(.+?)\1", r"``\2``", text)
    text = re.sub(r"\[([^]]+)\]\(([^)]+)\)", r"`\1 <\2>`__", text)
    text = re.sub(r"(?m)^(\s*)- ", r"\n\1- ", text)
    for mark, line in (("### ", "~"), ("## ", "-")):
        text = re.sub(
            rf"(?m)^{mark}(.+)$",
            lambda found, line=line: f"{found[1]}\n{line * len(found[1])}",
            text,
        )
    return text


def read_release_notes(app, docname, source):
    """Put the changelog on the page of release notes."""
    if docname == "release_notes":
        source[0] += "\n" + rst_of_changelog((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))


def setup(app):
    app.connect("source-read", read_release_notes)
    app.connect("autodoc-process-docstring", quote_fitted_names, priority=400)  # before numpydoc
