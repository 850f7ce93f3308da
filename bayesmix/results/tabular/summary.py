"""`Summary`: everything a fit found, as one object to print."""

from __future__ import annotations

import html
import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from bayesmix.arguments import whole_number
from bayesmix.inference.announce import counted
from bayesmix.results.tabular.markup import latex_table, latex_text, markdown_table, markdown_text
from bayesmix.results.tabular.office import write_docx, write_excel
from bayesmix.results.tabular.section import Section
from bayesmix.results.tabular.text import (
    WIDTH,
    compact,
    html_block,
    html_table,
    text_table,
    with_intervals,
    wrapped_title,
)
from bayesmix.results.tabular.wording import check_words, in_words, renamed

__all__ = [
    "Summary", "first_rows", "more_levels", "of_columns", "of_negative_shares",
]  # fmt: skip

_MOST_ROWS = 40  # of variance components, or correlations, in print


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
    ci_prob : float
        Probability inside the intervals.
    """

    title: str
    lines: tuple[str, ...]
    sections: tuple[Section, ...]
    footer: tuple[str, ...]
    ci_prob: float = 0.95

    def __str__(self) -> str:
        out = [*(wrapped_title(self.title) if self.title else []), *_wrapped(self.lines)]
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

    def labelled(self, labels: Mapping[str, str] | None) -> Summary:
        """Return the same with the user's words in the place of names.

        Parameters
        ----------
        labels : mapping of str to str, or None
            Words by names of terms, groups, levels and columns.

        Returns
        -------
        Summary
            The title, which is the formula, stays.

        Raises
        ------
        ArgumentError
            If `labels` is no mapping of text to text.
        """
        words = check_words(labels)
        if not words:
            return self
        return replace(self, sections=tuple(_in_words(one, words) for one in self.sections))

    def to_markdown(
        self, *, digits: int | None = None, intervals: bool = False,
        labels: Mapping[str, str] | None = None,
    ) -> str:  # fmt: skip
        """Write the summary as Markdown, with pipe tables.

        Parameters
        ----------
        digits, intervals, labels
            As in `to_latex`.

        Returns
        -------
        str

        Raises
        ------
        ArgumentError
            If `digits` is no whole number from 0 to 15, or `labels` no mapping.
        """
        out = [f"#### {markdown_text(self.title)}"] if self.title else []
        out += _bullets(self.lines)
        for section in self._shown(digits, labels, intervals=intervals):
            table = markdown_table(section.table, section.text_columns, digits=digits)
            out += [f"**{markdown_text(section.title)}**", table]
            if section.note:
                out.append(markdown_text(section.note))
        return "\n\n".join([*out, *_bullets(self.footer)]) + "\n"

    def to_latex(
        self,
        *,
        caption: str | None = None,
        label: str | None = None,
        digits: int | None = None,
        intervals: bool = False,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        r"""Write the tables as LaTeX; they need ``\usepackage{booktabs}``.

        Parameters
        ----------
        caption : str, optional
            What stands in front of each table's own title, such as "Sleep study".
        label : str, optional
            The label of the first table, such as "tab:sleep"; the others have "-2", "-3"
            behind it.
        digits : int, optional
            Decimals of numbers; four significant digits by default.
        intervals : bool
            Whether limits stand in one column, as in "10.47 [7.44, 13.50]", and diagnostics
            are left out: a table for a paper.
        labels : mapping of str to str, optional
            Words in the place of names of terms, groups, levels and columns.

        Returns
        -------
        str
            One table environment per section; notes and diagnostics as text.

        Raises
        ------
        ArgumentError
            If `digits` is no whole number from 0 to 15, or `labels` no mapping.
        """
        facts = [line for line in (self.title, *self.lines) if line]
        out = [" ".join(latex_text(line.rstrip(".")) + "." for line in facts)] if facts else []
        shown = self._shown(digits, labels, intervals=intervals)
        for number, section in enumerate(shown, start=1):
            title = section.title if caption is None else f"{caption}. {section.title}"
            behind = "" if number == 1 else f"-{number}"
            out.append(
                latex_table(
                    section.table, section.text_columns, title, digits=digits,
                    label=None if label is None else label + behind,
                )
            )  # fmt: skip
            if section.note:
                out.append(latex_text(section.note))
        if self.footer:
            out.append(" ".join(latex_text(line) for line in self.footer))
        return "\n\n".join(out) + "\n"

    def to_docx(
        self, path: str | os.PathLike[str], *, digits: int | None = None,
        intervals: bool = False, labels: Mapping[str, str] | None = None,
    ) -> Path:  # fmt: skip
        """Write the tables as a Word document.

        Parameters
        ----------
        path : str or path
            Ending in .docx; a former file is replaced.
        digits, intervals, labels
            As in `to_latex`.

        Returns
        -------
        Path

        Raises
        ------
        NotSupportedError
            Without python-docx, which ``pip install "bayesmix[docx]"`` brings.
        ArgumentError
            As `to_latex`.
        FileError
            If the file cannot be written.
        """
        found = self._shown(digits, labels, intervals=intervals)
        title = self.title or "Tables"
        return write_docx(path, title, self.lines, found, self.footer, digits=digits)

    def to_excel(
        self, path: str | os.PathLike[str], *, labels: Mapping[str, str] | None = None
    ) -> Path:
        """Write the tables as an Excel workbook: a sheet each, all rows, at full precision.

        Parameters
        ----------
        path : str or path
            Ending in .xlsx; a former file is replaced.
        labels : mapping of str to str, optional
            As in `to_latex`.

        Returns
        -------
        Path

        Raises
        ------
        NotSupportedError
            Without openpyxl, which ``pip install "bayesmix[excel]"`` brings, or if a table has
            more rows than a sheet.
        ArgumentError
            If `labels` is no mapping.
        FileError
            If the file cannot be written.
        """
        words = check_words(labels)
        whole = [s if s.whole is None else replace(s, table=s.whole()) for s in self.sections]
        named = [_in_words(section, words) for section in whole]
        lines = [line for line in (self.title, *self.lines, *self.footer) if line]
        return write_excel(path, lines, named)

    def _shown(
        self, digits: int | None, labels: Mapping[str, str] | None, *, intervals: bool
    ) -> list[Section]:
        """The sections with their tables as they are to be written."""
        if digits is not None:
            whole_number("digits", digits, 0, 15)
        words = check_words(labels)
        found = []
        for section in self.sections:
            table = compact(section.table)
            if intervals:
                table = with_intervals(table, self.ci_prob, digits)
            found.append(_in_words(replace(section, table=table), words))
        return found


def _in_words(section: Section, words: Mapping[str, str]) -> Section:
    if not words:
        return section
    table, names = renamed(section.table, section.text_columns, words)
    every = section.whole
    return replace(
        section, title=in_words(section.title, words), table=table, text_columns=names,
        whole=every and (lambda: renamed(every(), section.text_columns, words)[0]),
    )  # fmt: skip


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
