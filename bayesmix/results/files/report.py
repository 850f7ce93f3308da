"""A fit as one HTML page that needs no network: model, diagnostics, tables, pictures."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

from bayesmix.errors import BayesmixError, FileError
from bayesmix.inference.announce import announce
from bayesmix.results.files.mathml import equation_html
from bayesmix.results.files.places import as_path, found_there, write_whole
from bayesmix.results.tabular.methods import Methods
from bayesmix.results.tabular.section import Section
from bayesmix.results.tabular.summary import Summary
from bayesmix.results.tabular.text import compact, html_table

if TYPE_CHECKING:
    import pandas as pd

    from bayesmix.statement.stated import StatedModel

__all__ = ["Picture", "report_place", "write_report"]

_DPI = 110
_MOST_ROWS = 2000  # of group effects on the page
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; margin: 0 auto;
  max-width: 60rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
.scroll { overflow-x: auto; margin: 0.8rem 0; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.3rem; }
th, td { padding: 0.2rem 0.7rem; text-align: right; }
th { border-bottom: 1px solid #888; }
th.name, td.name { text-align: left; max-width: 24rem; overflow-wrap: anywhere; }
table.equation { font-size: 1rem; }
table.equation td { padding: 0.15rem 0.2rem; }
table.equation td:last-child { text-align: left; }
img { max-width: 100%; height: auto; }
figure { margin: 1rem 0; }
p.text { overflow-wrap: anywhere; max-width: 46rem; }
figcaption, .note { color: #555; font-size: 0.9rem; }
.warning { border-left: 4px solid #d55e00; padding-left: 0.8rem; }
summary { cursor: pointer; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture of a report.

    Attributes
    ----------
    title : str
    caption : str
    draw : callable
        Without arguments; returns a matplotlib Figure. Where it raises an error of
        bayesmix, the report has that error's words in the place of the picture.
    """

    title: str
    caption: str
    draw: Callable[[], Any]


def write_report(
    path: str | os.PathLike[str],
    *,
    model: StatedModel,
    summary: Summary,
    methods: Methods,
    beside: Sequence[Section] = (),
    more: Sequence[Section] = (),
    group_effects: Sequence[Section],
    pictures: Sequence[Picture],
    problems: Sequence[str],
    facts: Sequence[tuple[str, str]],
) -> Path:
    """Write the page.

    Parameters
    ----------
    path : str or path
        Ending in .html.
    model : Model
    summary : Summary
        Its lines, tables and footer; tables of group effects are left out.
    methods : Methods
    beside : sequence of Section
        Tables that the summary does not have.
    more : sequence of Section
        Those that the caller gives.
    group_effects : sequence of Section
        The whole tables, folded away.
    pictures : sequence of Picture
    problems : sequence of str
        What the diagnostics found, shown at the top.
    facts : sequence of (str, str)
        Seed, versions and what else reproduces the fit.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    target = report_place(path)
    if pictures:
        announce(f"Drawing {len(pictures)} pictures for {target.name} ...", progress=True)
    parts = [f"<h1>{html.escape(summary.title)}</h1>", _lines(summary.lines)]
    if problems:
        listed = "".join(f"<li>{html.escape(text)}</li>" for text in problems)
        parts.append(
            f'<div class="warning"><p>Do not trust this fit yet:</p><ul>{listed}</ul></div>'
        )
    parts += ["<h2>Model</h2>", f'<div class="scroll">{equation_html(model.equation())}</div>']
    parts.append(_table(model.priors, ("parameter", "prior", "origin", "note"), "Priors"))
    parts.append(f"<h2>Methods</h2>{_methods(methods)}")
    parts.append("<h2>Estimates</h2>")
    for section in summary.sections:
        if not section.title.startswith("Group effects"):
            parts.append(_section(section))
    parts.append(_lines(summary.footer))
    parts += [_section(section) for section in beside]
    if more:
        parts += ["<h2>Asked for</h2>", *(_section(section) for section in more)]
    parts.append("<h2>Pictures</h2>")
    parts += [_figure(picture) for picture in pictures]
    if group_effects:
        parts.append("<h2>Group effects</h2>")
        parts += [_folded(section) for section in group_effects]
    parts.append("<h2>To reproduce this</h2>")
    rows = "".join(
        f'<tr><td class="name">{html.escape(name)}</td>'
        f'<td class="name">{html.escape(value)}</td></tr>'
        for name, value in facts
    )
    parts.append(f'<div class="scroll"><table>{rows}</table></div>')
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(summary.title)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )
    # Half of a character, which some texts hold, is none in a page.
    write_whole(target, page.encode("utf-8", "backslashreplace"))
    return target


def report_place(path: str | os.PathLike[str]) -> Path:
    """Check that a page could be written there.

    Raises
    ------
    FileError
        If the ending is not .html or the folder does not exist.
    """
    target = as_path(path)
    there = found_there(target)
    if target.suffix.lower() not in {".html", ".htm"} or (there and not S_ISREG(there.st_mode)):
        raise FileError(f"{str(target)!r} must be a file that ends in .html")
    if not target.parent.is_dir():
        raise FileError(f"there is no folder {str(target.parent)!r} to write {target.name!r} in")
    return target


def _methods(methods: Methods) -> str:
    listed = "".join(f"<li>{html.escape(text)}</li>" for text in methods.references)
    return f'<p class="text">{html.escape(methods.text)}</p><ul class="note">{listed}</ul>'


def _section(section: Section) -> str:
    return _table(section.table, section.text_columns, section.title) + _note(section.note)


def _table(table: pd.DataFrame, names: Sequence[str], caption: str) -> str:
    markup = html_table(compact(table), caption, names=names)
    return f'<div class="scroll">{markup}</div>'


def _folded(section: Section) -> str:
    shown = section.table.head(_MOST_ROWS)
    rest = len(section.table) - len(shown)
    note = f"and {rest} more rows" if rest else ""
    return (
        f"<details><summary>{html.escape(section.title)}, {len(section.table)} rows</summary>"
        f"{_table(shown, section.text_columns, '')}{_note(note)}</details>"
    )


def _figure(picture: Picture) -> str:
    import matplotlib.pyplot as plt

    title = html.escape(picture.title)
    try:
        figure = picture.draw()
    except BayesmixError as error:
        return f'<figure><p class="note">{title}: {html.escape(str(error))}</p></figure>'
    buffer = io.BytesIO()
    # Nothing reaches beyond a figure: cutting it to what is drawn would draw it twice.
    figure.savefig(buffer, format="png", dpi=_DPI)
    plt.close(figure)
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<figure><img alt="{title}" src="data:image/png;base64,{content}">'
        f"<figcaption>{title}. {html.escape(picture.caption)}</figcaption></figure>"
    )


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"<div>{html.escape(line)}</div>" for line in lines)


def _note(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>' if text else ""
