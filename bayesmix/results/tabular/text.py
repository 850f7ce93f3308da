"""Tables as text of at most 80 columns, and as HTML. Printing only, no numbers made."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd

__all__ = ["WIDTH", "cell", "compact", "html_table", "shortened", "text_table", "wrapped_title"]

WIDTH = 80
_LEAST_WIDTH = 8  # of a shortened name


def cell(value: Any, column: str = "") -> str:
    """Write one value: four significant digits, counts as integers, r_hat to 0.001."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if column.startswith("ess"):
        return f"{value:.0f}"
    if column == "r_hat":
        return f"{value:.3f}"
    if isinstance(value, int):
        return str(value)
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        decimals = 3 if value == 0 else max(0, 3 - math.floor(math.log10(abs(value))))
        return f"{value:.{min(decimals, 7)}f}"
    return f"{value:.3e}"


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


def wrapped_title(text: str) -> list[str]:
    """Break a heading, a formula as a rule, into lines of at most 80 columns."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_on_hyphens=False) or [""]


def shortened(names: Sequence[str], width: int) -> list[str]:
    """Shorten names to a width where they do not differ, so that they stay apart.

    Parameters
    ----------
    names : sequence of str
    width : int
        Characters, at least 8.

    Returns
    -------
    list of str
        Of at most `width` characters. Different names are different: a long one has its
        start and its end, or where it differs from those that have both in common
        that part; as a last resort a number.
    """
    plain = {name: _cut(name, width) for name in dict.fromkeys(names)}
    alike: dict[str, list[str]] = {}
    for name, text in plain.items():
        alike.setdefault(text, []).append(name)
    apart, together = dict(plain), dict(plain)
    for same in alike.values():
        if len(same) > 1:
            apart |= dict(zip(same, _cut_around(same, width), strict=True))
    long = [name for name in plain if len(name) > width]
    if len(long) > 1:
        together |= dict(zip(long, _cut_around(long, width), strict=True))
    short = max((plain, apart, together), key=lambda found: len(set(found.values())))
    taken: dict[str, str] = {}
    for name in sorted(short, key=len):  # what is not cut keeps its text
        text, number = short[name], 1
        while text in taken:
            number += 1
            mark = f"…{number}"
            text = _cut(name, width - len(mark)) + mark
        taken[text] = name
        short[name] = text
    return [short[name] for name in names]


def _cut(text: str, width: int) -> str:
    """Leave the middle out: names differ at the end as often as at the start."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return text[:head] + "…" + text[len(text) - (width - 1 - head) :]


def _cut_around(names: Sequence[str], width: int) -> list[str]:
    """Keep the part in which names differ, with a start and an end that they share."""
    before = _in_common(names)
    after = min(_in_common([name[::-1] for name in names]), min(map(len, names)) - before)
    first = names[0]
    while before and first[before - 1].isdigit():  # whole numbers: 308 and not 08
        before -= 1
    parts = [name[before : len(name) - after] for name in names]
    room = max(0, width - max(map(len, parts)) - 2)
    head, tail = min(before, room // 2), min(after, room - room // 2)
    start = first[:head] + ("…" if head < before else "")
    end = ("…" if tail < after else "") + first[len(first) - tail :]
    left = width - len(start) - len(end)
    if before + after and left >= _LEAST_WIDTH:
        parts = shortened(parts, left)
    return [f"{start}{_cut(part, max(1, left))}{end}" for part in parts]


def _in_common(names: Sequence[str]) -> int:
    """Count the characters with which all names begin."""
    low, high = min(names), max(names)
    differ = (k for k, (a, b) in enumerate(zip(low, high, strict=False)) if a != b)
    return next(differ, min(len(low), len(high)))


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
    cells = {str(c): [cell(v, str(c)) for v in table[c]] for c in table.columns}
    width = {c: max([len(c), *map(len, values)]) for c, values in cells.items()}
    excess = len(indent) + sum(width.values()) + 2 * (len(cells) - 1) - WIDTH
    for name in sorted(text_columns, key=lambda c: -width[c]):
        if excess > 0:
            cut = min(excess, max(0, width[name] - 10))
            width[name] -= cut
            excess -= cut
            cells[name] = shortened(cells[name], max(width[name], len(name)))
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
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead>{row('th', columns)}</thead><tbody>{body}</tbody></table>"
