"""How Sphinx builds the site: `make docs`. Nothing is fetched, neither to build nor to read it."""

import os
import re
import sys
from pathlib import Path

import matplotlib

import sklearn_swat

matplotlib.use("Agg")
sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "sklearn_swat"
author = copyright = "The sklearn_swat developers"
release = version = sklearn_swat.__version__

extensions = [
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = [
    "_build",
    "gallery/**/*.md5",
    "gallery/**/*.ipynb",
    "gallery/**/*.py",
]

# Formulas are MathML, which browsers draw themselves: MathJax would come from the network.
html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "sklearn_swat"
html_static_path = ["_static"]
html_sidebars = {
    page: [] for page in ("quick_start", "comparison", "changelog")
}
html_css_files = ["site.css"]
html_copy_source = html_show_sphinx = False
html_theme_options = {
    "footer_start": ["copyright"],
    "footer_end": [],
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc", "sg_download_links"],
    "show_prev_next": False,
}

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc sections name the types
numpydoc_show_class_members = False  # the class template lists them
# All checks of numpydoc but those that this project's style decides otherwise.
numpydoc_validation_checks = {
    "all",
    "ES01",  # an extended summary only where there is more to say
    "EX01",  # examples on classes and functions, not on every method
    "GL01",  # the summary begins on the line of the quotes
    "GL08",  # ruff asks for docstrings
    "PR06",  # "int from 1 to 4" is a better type than "int"
    "PR07",  # the type of "X : array-like of shape (n_samples, n_features)" says it all
    "PR08",  # a description may begin with `code`
    "PR09",  # and be one phrase without a full stop
    "RT02",  # a class with attributes names them
    "RT03",
    "RT04",
    "RT05",
    "SA01",  # "see also" where something is alike
    "SS06",  # a summary may take two lines
    "YD01",
}
numpydoc_validation_exclude = {
    r"\.(PathPoint|Compression)$"
}  # data classes: their attributes are their parameters

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "within_subsection_order": "gallery_order.position",
    "abort_on_example_error": True,
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_swat",),
    "download_all_examples": False,
    "min_reported_time": 10
    ** 6,  # how long an example took says more of the machine
    "write_computation_times": False,
    "show_memory": False,
    "capture_repr": (),  # a display is a picture, not <NetworkDisplay object at ...>
    "remove_config_comments": True,
    "show_signature": False,
}

uses_network = bool(os.environ.get("SWAT_DOCS_INTERSPHINX"))
if uses_network:  # links to other projects' pages, by the network
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "numpy": ("https://numpy.org/doc/stable", None),
        "python": ("https://docs.python.org/3", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
    }


def drop_foreign_references(app, what, name, obj, options, lines):
    """Leave the words of references into scikit-learn's own pages, in docstrings we inherit."""
    lines[:] = [
        re.sub(r":ref:`([^`<]*?)\s*(?:<[^>`]*>)?`", r"\1", line)
        for line in lines
    ]


def setup(app):
    """Connect the hook, unless the network resolves such references."""
    if not uses_network:
        app.connect("autodoc-process-docstring", drop_foreign_references)
