"""Tables as files of Word and Excel; the packages that write these are extras."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import re
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from stat import S_ISREG
from typing import Any

import pandas as pd

from bayesmix.errors import FileError, NotSupportedError
from bayesmix.results.files.places import as_path, found_there, write_whole
from bayesmix.results.tabular.section import Section
from bayesmix.results.tabular.text import apart, cell
from bayesmix.shorten import one_line, shorten

__all__ = ["write_docx", "write_excel"]

_SHEET = 31  # letters of a sheet's name, by Excel's own limit
_ROWS = 1_048_575  # of a sheet below its headings


def write_docx(
    path: str | os.PathLike[str], title: str, lines: Sequence[str], tables: Sequence[Section],
    footer: Sequence[str], *, digits: int | None,
) -> Path:  # fmt: skip
    """Write tables as a Word document, each with three rules and its title above.

    Parameters
    ----------
    path : str or path
        Ending in .docx; a former file is replaced.
    title : str
    lines, footer : sequence of str
        Paragraphs before and after the tables.
    tables : sequence of Section
    digits : int or None
        Decimals of numbers; four significant digits by default.

    Returns
    -------
    Path

    Raises
    ------
    NotSupportedError
        Without python-docx.
    FileError
        If the file cannot be written.
    """
    target = _place(path, ".docx")
    docx = _needed("docx", "python-docx", "to_docx()", "docx", "to_markdown() and to_latex()")
    document = docx.Document()
    document.add_heading(_xml(title), level=1)
    for line in lines:
        document.add_paragraph(_xml(line))
    for given in tables:
        caption = document.add_paragraph()
        caption.add_run(_xml(given.title)).bold = True
        caption.paragraph_format.keep_with_next = True
        _add_table(document, given, digits)
        document.add_paragraph(_xml(given.note))
    for line in footer:
        document.add_paragraph(_xml(line))
    buffer = io.BytesIO()
    document.save(buffer)
    write_whole(target, buffer.getvalue())
    return target


def write_excel(
    path: str | os.PathLike[str], lines: Sequence[str], tables: Sequence[Section]
) -> Path:
    """Write tables as an Excel workbook, a sheet each, at full precision.

    Parameters
    ----------
    path : str or path
        Ending in .xlsx; a former file is replaced.
    lines : sequence of str
        A sheet "About"; left out if there are none.
    tables : sequence of Section

    Returns
    -------
    Path

    Raises
    ------
    NotSupportedError
        Without openpyxl, or if a table has more rows than a sheet.
    FileError
        If the file cannot be written.
    """
    target = _place(path, ".xlsx")
    _needed("openpyxl", "openpyxl", "to_excel()", "excel", "to_dataframe().to_csv()")
    for given in tables:
        if len(given.table) > _ROWS:
            raise NotSupportedError(
                f"{given.title!r} has {len(given.table):,} rows, and a sheet of Excel {_ROWS:,}; "
                "to_dataframe().to_csv() has no limit"
            )
    names = _sheet_names([given.title for given in tables])
    buffer = io.BytesIO()
    try:
        with pd.ExcelWriter(buffer, engine="openpyxl") as writer:
            for name, given in zip(names, tables, strict=True):
                table = given.table.copy()
                for column in table.columns:
                    if not pd.api.types.is_numeric_dtype(table[column]):
                        table[column] = table[column].map(_plain)
                table.to_excel(writer, sheet_name=name, index=False)
                _literally(writer.sheets[name])
            notes = [f"{t.title}: {t.note}" for t in tables if t.note]
            about = [_xml(text) for text in (*lines, *notes)]
            if about or not tables:
                pd.DataFrame({"about": about}).to_excel(writer, sheet_name="About", index=False)
                _literally(writer.sheets["About"])
    except Exception as error:
        # It goes by files of its own, and lxml has another error where these have no room.
        if not isinstance(error, OSError) and not type(error).__module__.startswith("lxml"):
            raise
        _close_sheets(error)
        raise FileError(
            f"{str(target)!r} cannot be written, as drafts of its sheets in "
            f"{tempfile.gettempdir()!r} cannot: {error}"
        ) from error
    write_whole(target, buffer.getvalue())
    return target


def _close_sheets(error: BaseException) -> None:
    """Close the sheets that openpyxl was writing, which would complain when they are collected."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        stream = getattr(frame.f_locals.get("self"), "xf", None)
        if inspect.isgenerator(stream):
            with contextlib.suppress(Exception):
                stream.close()


def _needed(module: str, package: str, call: str, extra: str, instead: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotSupportedError(
            f"{call} wants the package {package}, which is not installed here; "
            f'pip install "bayesmix[{extra}]" brings it, and {instead} need nothing'
        ) from error


def _place(path: str | os.PathLike[str], ending: str) -> Path:
    target = as_path(path)
    there = found_there(target)
    if target.suffix.lower() != ending or (there and not S_ISREG(there.st_mode)):
        raise FileError(f"{str(target)!r} must be a file that ends in {ending}")
    if not target.parent.is_dir():
        raise FileError(f"there is no folder {str(target.parent)!r} to write {target.name!r} in")
    return target


def _add_table(document: Any, given: Section, digits: int | None) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Pt

    columns = [str(column) for column in given.table.columns]
    table = document.add_table(rows=1 + len(given.table), cols=len(columns))
    rows: list[list[str]] = [columns]
    rows += [
        [cell(value, column, digits) for value, column in zip(row, columns, strict=True)]
        for row in apart(given.table).itertuples(index=False, name=None)
    ]
    last = len(rows) - 1
    for i, (row, texts) in enumerate(zip(table.rows, rows, strict=True)):
        for place, column, text in zip(row.cells, columns, texts, strict=True):
            paragraph = place.paragraphs[0]
            run = paragraph.add_run(_xml(text))
            run.font.size, run.bold = Pt(9), i == 0
            paragraph.paragraph_format.space_after = Pt(0)
            if column not in given.text_columns:
                paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
            edges = [
                side for side, wanted in (("top", i == 0), ("bottom", i in {0, last})) if wanted
            ]
            _rule(place, edges)


def _rule(place: Any, edges: Sequence[str]) -> None:
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    if not edges:
        return
    borders = OxmlElement("w:tcBorders")
    for edge in edges:
        line = OxmlElement(f"w:{edge}")
        for name, value in (("val", "single"), ("sz", "6"), ("color", "000000")):
            line.set(qn(f"w:{name}"), value)
        borders.append(line)
    place._tc.get_or_add_tcPr().append(borders)


def _xml(text: str) -> str:
    """Write what no file of XML may hold as an escape."""
    return one_line(text).encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:
    return _xml(value) if isinstance(value, str) else value


def _literally(sheet: Any) -> None:
    """Keep names that begin with = as text: a sheet computes nothing of a name."""
    for row in sheet.iter_rows():
        for one in row:
            if one.data_type == "f":
                one.data_type = "s"


def _sheet_names(titles: Sequence[str]) -> list[str]:
    allowed = [re.sub(r"[\[\]:*?/\\]", " ", one_line(title)).strip("' ") or "Table"
               for title in titles]  # fmt: skip
    numbered, seen = [], {"about"}
    for name in shorten(allowed, _SHEET - 4):
        unique, k = name, 2
        while unique.lower() in seen:
            unique, k = f"{name} {k}", k + 1
        seen.add(unique.lower())
        numbered.append(unique)
    return numbered
