"""Equations as MathML, which browsers draw without a network and without scripts."""

from __future__ import annotations

import re
from typing import Any

from latex2mathml.converter import convert
from sphinx.util import logging

from bayesmix.results.files.mathml import equation_html

__all__ = ["setup"]

_LOG = logging.getLogger(__name__)
_ALIGNED = re.compile(r"\s*\\begin\{aligned\}")


def _converted(latex: str, display: str, node: Any) -> str:
    if _ALIGNED.match(latex):  # that of a model, with names of columns in it
        return equation_html(latex)
    try:
        # The converter writes \\sim as the sign on a keyboard.
        return str(convert(latex.strip(), display=display)).replace("&#x0007E;", "&#x0223C;")
    except Exception as error:  # noqa: BLE001 - the converter's errors have no class in common
        _LOG.warning("this equation is not MathML: %s (%r)", latex, error, location=node)
        return ""


def _inline(translator: Any, node: Any) -> None:
    from docutils import nodes

    translator.body.append(_converted(node.astext(), "inline", node))
    raise nodes.SkipNode


def _block(translator: Any, node: Any) -> None:
    from docutils import nodes

    translator.body.append(f'<div class="math">{_converted(node.astext(), "block", node)}</div>\n')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx how equations are written."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
