"""How Sphinx builds the documentation: ``make docs``."""

from importlib.metadata import version as version_of

project = "Elastirec"
author = "the Elastirec authors"
release = version_of("elastirec")
version = release

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
default_role = "py:obj"
nitpicky = False

myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository that are no pages

autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"Elastirec {release}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
