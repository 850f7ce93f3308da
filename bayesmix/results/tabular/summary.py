"""`Summary`: everything a fit found, as one object to print."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass

import pandas as pd

from bayesmix.results.tabular.markup import latex_table, latex_text, markdown_table, markdown_text
from bayesmix.results.tabular.text import WIDTH, compact, html_table, text_table

__all__ = ["Section", "Summary"]


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
    """

    title: str
    table: pd.DataFrame
    text_columns: tuple[str, ...]
    note: str = ""


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
        out = [self.title, *_wrapped(self.lines)]
        for section in self.sections:
            out += ["", section.title, text_table(compact(section.table), section.text_columns)]
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
        return f"<div>{''.join(parts)}</div>"

    def to_dataframe(self) -> pd.DataFrame:
        """Stack the tables into one.

        Returns
        -------
        DataFrame
            The tables below each other, at full precision, with the title of each in
            the column `section`; a column that a table lacks is empty there.
        """
        tables = []
        for section in self.sections:
            table = section.table.copy()
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


def _bullets(lines: tuple[str, ...]) -> list[str]:
    return ["\n".join(f"- {markdown_text(line)}" for line in lines)] if lines else []


def _wrapped(lines: tuple[str, ...] | list[str]) -> list[str]:
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ")
        or [""]
    ]
