"""LaTeX equations as MathML, which browsers show without a network."""

from __future__ import annotations

import html
import re

__all__ = ["equation_html"]

_SIDE = re.compile(r"(?<!\\)&")
_BREAK = re.compile(r"\\\\\s*\n")
_TEXT = re.compile(r"\\text\{((?:[^{}\\]|\\.|\{\})*)\}")
_PLACE = re.compile("\ue000([0-9]+)\ue001")
_ESCAPES = (
    (r"\textbackslash{}", "\\"), (r"\textasciicircum{}", "^"), (r"\textasciitilde{}", "~"),
)  # fmt: skip


def equation_html(equation: str) -> str:
    """Turn the lines of an ``aligned`` environment into a table with MathML in its cells.

    Parameters
    ----------
    equation : str
        As `Model.equation` writes it.

    Returns
    -------
    str
        HTML; the LaTeX in a ``pre`` element where it cannot be read.
    """
    body = equation.replace(r"\begin{aligned}", "").replace(r"\end{aligned}", "").strip()
    rows = []
    for line in _BREAK.split(body):
        sides = _SIDE.split(line, maxsplit=1)
        try:
            cells = "".join(f"<td>{_math(side)}</td>" for side in sides)
        except Exception:  # noqa: BLE001 - the converter's errors have no class in common
            return f"<pre>{html.escape(equation)}</pre>"
        rows.append(f"<tr>{cells}</tr>")
    return f'<table class="equation">{"".join(rows)}</table>'


def _math(latex: str) -> str:
    """One piece of an equation as a ``math`` element with names escaped."""
    if not latex.strip():  # a line that goes on has nothing on its left
        return ""
    from latex2mathml.converter import convert

    # The converter leaves names as they are, markup and escapes included.
    names: list[str] = []

    def set_aside(found: re.Match[str]) -> str:
        names.append(_unescaped(found.group(1)))
        return rf"\text{{{chr(0xE000)}{len(names) - 1}{chr(0xE001)}}}"

    converted: str = convert(_TEXT.sub(set_aside, latex).strip())
    converted = converted.replace("&#x0007E;", "&#x0223C;")  # \sim
    return _PLACE.sub(lambda found: html.escape(names[int(found.group(1))]), converted)


def _unescaped(text: str) -> str:
    for escape, character in _ESCAPES:
        text = text.replace(escape, character)
    return re.sub(r"\\([_%&#${}])", r"\1", text)
