"""`Summary`: everything a fit found, as one object to print."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from bayesmix.inference.announce import counted
from bayesmix.results.tabular.markup import latex_table, latex_text, markdown_table, markdown_text
from bayesmix.results.tabular.text import (
    WIDTH,
    compact,
    html_block,
    html_table,
    text_table,
    wrapped_title,
)

__all__ = [
    "Section", "Summary", "first_rows", "more_levels", "of_columns", "of_negative_shares",
]  # fmt: skip

_MOST_ROWS = 40  # of variance components, or correlations, in print


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table with its heading and a line below it.

    Attributes
    ----------
    title : str
    table : DataFrame
    text_columns : tuple of str
        The columns that hold names.
    note : str
        A line below the table; may be empty.
    whole : callable, optional
        Makes the table with all rows, where `table` has the first of them only.
    """

    title: str
    table: pd.DataFrame
    text_columns: tuple[str, ...]
    note: str = ""
    whole: Callable[[], pd.DataFrame] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Summary:
    """The printed form of a fit.

    Attributes
    ----------
    title : str
    lines : tuple of str
        Facts about the model and the run.
    sections : tuple of Section
    footer : tuple of str
        Diagnostics and remarks.
    """

    title: str
    lines: tuple[str, ...]
    sections: tuple[Section, ...]
    footer: tuple[str, ...]

    def __str__(self) -> str:
        out = [*wrapped_title(self.title), *_wrapped(self.lines)]
        for section in self.sections:
            out += ["", *wrapped_title(section.title)]
            out += [text_table(compact(section.table), section.text_columns)]
            if section.note:
                out += _wrapped([section.note])
        if self.footer:
            out += ["", *_wrapped(self.footer)]
        return "\n".join(out)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [f"<h4>{html.escape(self.title)}</h4>"]
        parts += [f"<div>{html.escape(line)}</div>" for line in self.lines]
        for section in self.sections:
            parts.append(html_table(compact(section.table), section.title))
            if section.note:
                parts.append(f"<div>{html.escape(section.note)}</div>")
        parts += [f"<div>{html.escape(line)}</div>" for line in self.footer]
        return html_block(parts)

    def to_dataframe(self) -> pd.DataFrame:
        """Stack the tables into one.

        Returns
        -------
        DataFrame
            The tables below each other, at full precision and with all levels of the
            group effects, with the title of each in the column `section`; a column that
            a table lacks is empty there.
        """
        tables = []
        for section in self.sections:
            table = section.table.copy() if section.whole is None else section.whole()
            table.insert(0, "section", section.title)
            tables.append(table)
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def to_markdown(self) -> str:
        """Write the summary as Markdown, with pipe tables.

        Returns
        -------
        str
        """
        out = [f"#### {markdown_text(self.title)}", *_bullets(self.lines)]
        for section in self.sections:
            table = markdown_table(compact(section.table), section.text_columns)
            out += [f"**{markdown_text(section.title)}**", table]
            if section.note:
                out.append(markdown_text(section.note))
        return "\n\n".join([*out, *_bullets(self.footer)]) + "\n"

    def to_latex(self) -> str:
        r"""Write the tables as LaTeX; they need ``\usepackage{booktabs}``.

        Returns
        -------
        str
            One table environment per section; notes and diagnostics as text.
        """
        out = [" ".join(latex_text(line.rstrip(".")) + "." for line in (self.title, *self.lines))]
        for section in self.sections:
            out.append(latex_table(compact(section.table), section.text_columns, section.title))
            if section.note:
                out.append(latex_text(section.note))
        out.append(" ".join(latex_text(line) for line in self.footer))
        return "\n\n".join(out) + "\n"


def more_levels(group: str, rest: int) -> str:
    """Write the note below the first levels of a grouping factor; empty if these are all."""
    return f"and {counted(rest, 'more level')}: group_effects({group!r})" if rest > 0 else ""


def first_rows(section: Section, call: str) -> Section:
    """Keep the first rows of a long table: 200 effects have 19,900 correlations.

    Parameters
    ----------
    section : Section
    call : str
        What returns the whole table.
    """
    table = section.table
    if len(table) <= _MOST_ROWS:
        return section
    shown = _MOST_ROWS // 2
    note = f"and {len(table) - shown:,} more rows: {call}"
    return replace(
        section, table=table.iloc[:shown], whole=table.copy,
        note="; ".join(part for part in (note, section.note) if part),
    )  # fmt: skip


def of_columns(estimates: str, sd: str, components: pd.DataFrame) -> list[str]:
    """Say what the columns of a summary are, which differ between its tables.

    Parameters
    ----------
    estimates : str
        What the estimates are, a sentence; may be empty.
    sd : str
        What sd is beside an estimate, such as "the standard error".
    components : DataFrame
        The variance components, in which it is a parameter.
    """
    lines = [estimates] if estimates else []
    if len(components):
        lines.append(
            "Among the variance components sd is the parameter, and lower and upper are its "
            f"limits; beside an estimate sd is {sd}."
        )
    return lines


def of_negative_shares(components: pd.DataFrame) -> list[str]:
    """Say what a share below zero means, where there is one."""
    if not (components["variance_share"] < 0).any():
        return []
    return [
        "A share is negative where an effect's covariances with others outweigh its variance: "
        "each covariance is split evenly between its two effects."
    ]


def _bullets(lines: tuple[str, ...]) -> list[str]:
    return ["\n".join(f"- {markdown_text(line)}" for line in lines)] if lines else []


def _wrapped(lines: tuple[str, ...] | list[str]) -> list[str]:
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ")
        or [""]
    ]
