"""`tables`: any tables of the package as one object that prints and writes itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bayesmix.answering import answering
from bayesmix.errors import ArgumentError
from bayesmix.results.tabular.section import Section
from bayesmix.results.tabular.summary import Summary

__all__ = ["sections_of", "tables"]


@answering
def tables(given: Mapping[str, Any], *, title: str = "", ci_prob: float = 0.95) -> Summary:
    """Gather tables under their titles, to print them or write them for a paper.

    Parameters
    ----------
    given : mapping of str to table
        By title a DataFrame, as `fixed_effects`, `variance_components` or `anova` return,
        `MarginalMeans` or contrasts of them, `Diagnostics`, or a `Summary`, whose tables all
        come.
    title : str
    ci_prob : float
        Probability inside the intervals, for the headings of ``intervals=True``.

    Returns
    -------
    Summary
        With `to_latex`, `to_markdown`, `to_docx`, `to_excel` and `to_dataframe`.

    Raises
    ------
    ArgumentError
        If there is something else.

    Examples
    --------
    >>> import bayesmix as bmx
    >>> oats = bmx.load_dataset("penicillin")
    >>> eb = bmx.Model("yield ~ treat + (1 | blend)", oats).fit_eb()
    >>> found = bmx.tables({"Means": eb.marginal_means("treat"), "Tests": eb.anova()})
    >>> [section.title for section in found.sections]
    ['Means', 'Tests']
    """
    return Summary(
        title=title, lines=(), sections=tuple(sections_of(given)), footer=(), ci_prob=ci_prob
    )


def sections_of(given: Any) -> list[Section]:
    """Turn tables by their titles into sections, with what is printed below them.

    Raises
    ------
    ArgumentError
        If it is no mapping of tables.
    """
    if not isinstance(given, Mapping):
        raise ArgumentError(_ADVICE)
    found: list[Section] = []
    for title, one in given.items():
        if isinstance(one, Summary):
            found += one.sections
            continue
        table = next(
            (
                part
                for part in (one, getattr(one, "table", None), getattr(one, "parameters", None))
                if isinstance(part, pd.DataFrame)
            ),
            None,
        )
        if table is None:
            raise ArgumentError(_ADVICE)
        names = [str(c) for c in table.columns if not pd.api.types.is_numeric_dtype(table[c])]
        notes = getattr(one, "notes", None) or getattr(one, "problems", None) or ()
        note = "" if one is table else " ".join(notes)
        found.append(Section(title=str(title), table=table, text_columns=tuple(names), note=note))
    return found


_ADVICE = (
    'tables= must be a dict of tables by their titles, such as {"Means": fit.marginal_means("a")}'
)
