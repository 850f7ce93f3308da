"""How the site is built: `make docs`. Nothing is fetched from a network."""

from __future__ import annotations

import filecmp
import shutil
import sys
from pathlib import Path

import bayesmix

sys.path.insert(0, str(Path(__file__).parent))
import gallery_cards
import made_tables

project = "bayesmix"
author = "The bayesmix developers"
copyright = "the bayesmix developers; Apache-2.0"  # noqa: A001
version = release = bayesmix.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "myst_nb",
    "mathml",
]
html_math_renderer = "mathml"
myst_update_mathjax = False
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks hold their outputs, which tests keep true
nb_remove_code_source = False
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header"]
autosummary_generate = True
templates_path = ["_templates"]
autodoc_typehints = "none"
autodoc_member_order = "alphabetical"
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
default_role = "code"

html_theme = "pydata_sphinx_theme"
html_title = "bayesmix"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "show_nav_level": 1,
    "navigation_depth": 2,
    "navbar_align": "left",
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
}
html_show_sourcelink = False
html_extra_path = ["llms.txt"]

HERE = Path(__file__).parent
_COPIED = HERE / "gallery"


def setup(app: object) -> None:
    """Take the notebooks from where they are kept, and make the tables of the package."""
    _COPIED.mkdir(exist_ok=True)
    notebooks = sorted((HERE.parent / "notebooks").glob("*.ipynb"))
    for notebook in notebooks:
        copy = _COPIED / notebook.name
        if not copy.exists() or not filecmp.cmp(notebook, copy, shallow=False):
            shutil.copyfile(notebook, copy)  # a page whose file is new is built anew
    made = HERE / "reference" / "made"
    made_tables.write(made)
    listed = (HERE / "gallery.md").read_text(encoding="utf-8")
    notebooks.sort(key=lambda path: listed.find(f"gallery/{path.stem}\n"))
    gallery_cards.write(notebooks, made / "cards.html", HERE / "_static" / "stories")
