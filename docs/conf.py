"""How Sphinx builds the documentation: ``make docs``."""

import inspect
from importlib.metadata import version as version_of
from typing import Any

import elastirec
from elastirec._base import Recommender

project = "Elastirec"
author = "the Elastirec authors"
release = version_of("elastirec")
version = release

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
default_role = "py:obj"

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"Elastirec {release}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False


def add_models(app: Any, page: str, source: list[str]) -> None:
    """Put every model of the package in the place that the reference has for them."""
    public = (getattr(elastirec, name) for name in elastirec.__all__)
    models = [one for one in public if inspect.isclass(one) and issubclass(one, Recommender)]
    entries = "\n".join(f".. autoclass:: {one.__name__}\n   :no-members:" for one in models)
    source[0] = source[0].replace("{{ models }}", entries)


def setup(app: Any) -> None:
    """Connect what happens while pages are read."""
    app.connect("source-read", add_models)
