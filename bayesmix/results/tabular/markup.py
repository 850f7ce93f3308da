"""Tables as Markdown and LaTeX. Printing only, no numbers made."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from bayesmix.results.tabular.text import apart, cell
from bayesmix.shorten import one_line

__all__ = ["latex_table", "latex_text", "markdown_table", "markdown_text"]

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>|#~$&"})


def markdown_text(text: str) -> str:
    """Escape what Markdown would read as markup."""
    return one_line(text).translate(_MARKDOWN)


def latex_text(text: str) -> str:
    """Escape what LaTeX would read as a command."""
    return "".join(_LATEX.get(c, c) for c in one_line(text))


def _cells(table: pd.DataFrame, digits: int | None = None) -> list[list[str]]:
    columns = [str(c) for c in table.columns]
    rows = apart(table).itertuples(index=False, name=None)
    return [[cell(v, c, digits) for c, v in zip(columns, row, strict=True)] for row in rows]


def markdown_table(
    table: pd.DataFrame, text_columns: Sequence[str], *, digits: int | None = None
) -> str:
    """Write a table with pipes; names to the left, numbers to the right.

    Parameters
    ----------
    table : DataFrame
    text_columns : sequence of str
        Columns of names.
    digits : int, optional
        Decimals of numbers; four significant digits by default.

    Returns
    -------
    str
    """
    columns = [str(c) for c in table.columns]
    lines = [
        "| " + " | ".join(markdown_text(c) for c in columns) + " |",
        "| " + " | ".join(":---" if c in text_columns else "---:" for c in columns) + " |",
    ]
    lines += ["| " + " | ".join(map(markdown_text, row)) + " |" for row in _cells(table, digits)]
    return "\n".join(lines)


def latex_table(
    table: pd.DataFrame, text_columns: Sequence[str], caption: str, *,
    digits: int | None = None, label: str | None = None,
) -> str:  # fmt: skip
    r"""Write a table environment with the rules of booktabs.

    Parameters
    ----------
    table : DataFrame
    text_columns : sequence of str
        Columns of names, aligned to the left.
    caption : str
    digits : int, optional
        Decimals of numbers; four significant digits by default.
    label : str, optional
        What ``\\ref`` names; letters, digits, ``:``, ``-``, ``_`` and ``.`` stay of it.

    Returns
    -------
    str
        It needs ``\\usepackage{booktabs}``.
    """
    columns = [str(c) for c in table.columns]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(caption)}}}",
        *([] if label is None else [rf"\label{{{re.sub(r'[^\w:.-]', '', label)}}}"]),
        rf"\begin{{tabular}}{{{''.join('l' if c in text_columns else 'r' for c in columns)}}}",
        r"\toprule",
        " & ".join(latex_text(c) for c in columns) + r" \\",
        r"\midrule",
    ]
    for row in _cells(table, digits):
        numbers = [
            v if c in text_columns or not v.startswith("-") else f"${v}$"
            for c, v in zip(columns, row, strict=True)
        ]
        shown = [
            latex_text(v) if c in text_columns else v for c, v in zip(columns, numbers, strict=True)
        ]
        # What begins with these would be an argument of the line break before.
        guard = "{}" if shown and shown[0][:1] in {"[", "*"} else ""
        lines.append(guard + " & ".join(shown) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])
