"""Tables as text of at most 80 columns, and as HTML. Printing only, no numbers made."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.shorten import one_line, shorten, told_apart

__all__ = [
    "WIDTH", "apart", "cell", "compact", "html_block", "html_table", "text_table",
    "with_intervals", "wrapped_title",
]  # fmt: skip

WIDTH = 80


def cell(value: Any, column: str = "", digits: int | None = None) -> str:
    """Write one value: four significant digits, counts as integers, r_hat to 0.001.

    With `digits` a number has so many decimals.
    """
    if isinstance(value, str):
        return one_line(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if column.startswith("ess"):
        return f"{value:.0f}"
    if column == "r_hat":
        return f"{value:.3f}"
    if isinstance(value, int):
        return str(value)
    if digits is not None:
        return f"{value:.{digits}f}"
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        decimals = 3 if value == 0 else max(0, 3 - math.floor(math.log10(abs(value))))
        return f"{value:.{min(decimals, 7)}f}"
    return f"{value:.3e}"


def apart(table: pd.DataFrame) -> pd.DataFrame:
    """Spell out what is not seen in names of a column that look alike.

    Parameters
    ----------
    table : DataFrame

    Returns
    -------
    DataFrame
        The same where no names do.
    """
    shown = table
    for k, dtype in enumerate(table.dtypes):
        if dtype.kind in "biufc":
            continue
        values = table.iloc[:, k].tolist()
        at = [i for i, value in enumerate(values) if isinstance(value, str)]
        spelt = told_apart([values[i] for i in at])
        if spelt == [values[i] for i in at]:
            continue
        shown = shown.copy() if shown is table else shown
        for i, text in zip(at, spelt, strict=True):
            values[i] = text
        shown.isetitem(k, np.asarray(values, dtype=object))
    return shown


_SHORT = {"sd_lower": "lower", "sd_upper": "upper", "variance_share": "share"}


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """Narrow a table for print: shorter headings, one effective sample size (the smaller).

    Shares that the family has none of, a column without any number, are left out.
    """
    shown = table.rename(columns=_SHORT)
    if "share" in shown.columns and shown["share"].isna().all():
        shown = shown.drop(columns="share")
    if {"ess_bulk", "ess_tail"} <= set(shown.columns):
        smaller = shown[["ess_bulk", "ess_tail"]].min(axis=1)
        shown = shown.drop(columns="ess_tail").assign(ess_bulk=smaller)
        shown = shown.rename(columns={"ess_bulk": "ess"})
    return shown


def with_intervals(table: pd.DataFrame, ci_prob: float, digits: int | None = None) -> pd.DataFrame:
    """Write an estimate and its limits in one column, as papers do; leave diagnostics out.

    Parameters
    ----------
    table : DataFrame
        As `compact` makes it.
    ci_prob : float
    digits : int, optional

    Returns
    -------
    DataFrame
        With a column of text such as "estimate [95 % CI]" in the place of three.
    """
    if not {"lower", "upper"} <= set(table.columns):
        return table
    what = "estimate" if "estimate" in table.columns else "sd"
    texts = [
        text if not (low or high) else f"{text} [{low}, {high}]"
        for text, low, high in zip(
            *([cell(v, name, digits) for v in table[name]] for name in (what, "lower", "upper")),
            strict=True,
        )
    ]
    heading = f"{what.upper() if what == 'sd' else what} [{100 * ci_prob:g} % CI]"
    gone = [name for name in ("lower", "upper", "ess", "r_hat") if name in table.columns]
    shown = table.drop(columns=gone)
    shown[what] = pd.Series(texts, dtype="str", index=shown.index)
    return shown.rename(columns={what: heading})


def wrapped_title(text: str) -> list[str]:
    """Break a heading, a formula as a rule, into lines of at most 80 columns."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_on_hyphens=False) or [""]


def text_table(table: pd.DataFrame, text_columns: Sequence[str], indent: str = "  ") -> str:
    """Lay a table out in columns, shortening long names so that it fits 80 columns.

    Parameters
    ----------
    table : DataFrame
    text_columns : sequence of str
        Columns of names, aligned to the left.
    indent : str

    Returns
    -------
    str
    """
    table = apart(table)
    cells = {str(c): [cell(v, str(c)) for v in table[c]] for c in table.columns}
    width = {c: max([len(c), *map(len, values)]) for c, values in cells.items()}
    excess = len(indent) + sum(width.values()) + 2 * (len(cells) - 1) - WIDTH
    for name in sorted(text_columns, key=lambda c: -width[c]):
        if excess > 0:
            cut = min(excess, max(0, width[name] - 10))
            width[name] -= cut
            excess -= cut
            cells[name] = shorten(cells[name], max(width[name], len(name)))
    lines = []
    for row in range(-1, len(table)):
        parts = []
        for name, values in cells.items():
            text = name if row < 0 else values[row]
            parts.append(
                text.ljust(width[name]) if name in text_columns else text.rjust(width[name])
            )
        lines.append((indent + "  ".join(parts)).rstrip())
    return "\n".join(lines)


def html_table(table: pd.DataFrame, caption: str, *, names: Sequence[str] = ()) -> str:
    """Write a table as HTML; names are escaped.

    Parameters
    ----------
    table : DataFrame
    caption : str
        None is written if it is empty.
    names : sequence of str
        Columns whose cells get the class "name".

    Returns
    -------
    str
    """
    table = apart(table)
    columns = [str(column) for column in table.columns]
    marks = [' class="name"' if column in names else "" for column in columns]

    def row(kind: str, texts: Sequence[str]) -> str:
        cells = "".join(
            f"<{kind}{mark}>{html.escape(text)}</{kind}>"
            for text, mark in zip(texts, marks, strict=True)
        )
        return f"<tr>{cells}</tr>"

    body = "".join(
        row("td", [cell(v, c) for v, c in zip(values, columns, strict=True)])
        for values in table.itertuples(index=False, name=None)
    )
    title = f"<caption>{html.escape(one_line(caption))}</caption>" if caption else ""
    return f"<table>{title}<thead>{row('th', columns)}</thead><tbody>{body}</tbody></table>"


def html_block(parts: Sequence[str]) -> str:
    """Put pieces of HTML together for a notebook, whose dollars are dollars and not formulas."""
    return f'<div class="tex2jax_ignore mathjax_ignore">{"".join(parts)}</div>'
