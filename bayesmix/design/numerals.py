"""Numbers that a table holds as text."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bayesmix.errors import OWN_FILES, DataWarning

__all__ = ["not_numbers", "warn_of_numbers_as_text", "warn_of_other_numerals"]

_MANY_LEVELS = 10  # fewer may well be meant as categories: years, stages, doses


class _Notation(NamedTuple):
    """A way to write numbers that text is not read as, and what to replace in it by what."""

    words: str
    pattern: str
    replaced: str


_NUMBER = r"\d[\d.,]*"
_NOTATIONS = (
    _Notation("percent signs", rf"[+-]?{_NUMBER}\s*%", 'r"[%\\s]", ""'),
    _Notation(
        "signs of a currency", rf"[+-]?[$€£¥]\s*[+-]?{_NUMBER}|[+-]?{_NUMBER}\s*[$€£¥]",
        'r"[$€£¥,\\s]", ""',
    ),
    _Notation("commas between thousands", r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?", '",", ""'),
    _Notation("decimal commas", r"[+-]?\d*,\d+", '",", "."'),
)  # fmt: skip


def not_numbers(column: pd.Series[Any]) -> str:
    """Say in words what a column holds of which numbers were wanted.

    Parameters
    ----------
    column : Series
        Categorical.

    Returns
    -------
    str
        Its first levels; or, where most of them can be read as numbers, how to read
        them, and those that cannot.
    """
    data = f"data[{column.name!r}]"
    if (notation := _notation(column)) is not None:
        example = next(x for x in column.cat.categories if re.fullmatch(notation.pattern, str(x)))
        return (
            f"it holds numbers with {notation.words}, such as {example!r}; write {data} = "
            f"pd.to_numeric({data}.str.replace({notation.replaced}, regex=True))"
        )
    others = _beside_numbers(column)
    if others is None:
        return f"it holds {_listed(list(column.cat.categories))}"
    if not others:
        return f"it holds numbers as text; write {data} = pd.to_numeric({data})"
    return (
        f"it holds numbers as text, and {_listed(others)}; write {data} = "
        f'pd.to_numeric({data}, errors="coerce"), which makes the others missing'
    )


def warn_of_numbers_as_text(column: pd.Series[Any]) -> None:
    """Warn of a text column that becomes many categories where numbers were meant.

    Parameters
    ----------
    column : Series
        Categorical.

    Warns
    -----
    DataWarning
        If it has ten levels or more, most of which can be read as numbers, or could be without
        the signs of percentages and currencies, and commas.
    """
    n_levels = len(column.cat.categories)
    if n_levels < _MANY_LEVELS or (_beside_numbers(column) is None and _notation(column) is None):
        return
    warnings.warn(
        f"column `{column.name}` is taken as {n_levels} categories, but {not_numbers(column)}; "
        f"C({column.name}) in the formula says that categories are meant",
        DataWarning,
        skip_file_prefixes=OWN_FILES,
    )


def warn_of_other_numerals(name: str, known: Collection[str], given: Collection[str]) -> None:
    """Warn of levels that are new only in how their numbers are written.

    Parameters
    ----------
    name : str
        The column.
    known, given : collection of str
        Levels of the fit, and of new data.

    Warns
    -----
    DataWarning
        If a new level is the same number as a known one: 1 beside 001.
    """
    new = sorted(set(given) - set(known))
    if not new:
        return
    numbers = pd.to_numeric(pd.Series(sorted(known), dtype=object), errors="coerce")
    written = dict(zip(numbers[numbers.notna()], numbers.index[numbers.notna()], strict=True))
    for level, number in zip(
        new, pd.to_numeric(pd.Series(new, dtype=object), errors="coerce"), strict=True
    ):
        if number in written:
            warnings.warn(
                f"column `{name}` has the level {level!r}, which is predicted as a new one, as "
                f"the model knows it as {sorted(known)[written[number]]!r}; write levels as in "
                f"the fit (for codes in a file: pd.read_csv(..., dtype={{{name!r}: str}}))",
                DataWarning,
                skip_file_prefixes=OWN_FILES,
            )
            return


def _beside_numbers(column: pd.Series[Any]) -> list[Any] | None:
    """The levels that are no numbers, if most are; else None."""
    levels = column.cat.categories
    numbers = pd.to_numeric(pd.Series(levels.astype(str)), errors="coerce").to_numpy()
    others = [level for level, x in zip(levels, numbers, strict=True) if np.isnan(x)]
    return others if len(others) < len(levels) / 2 else None


def _notation(column: pd.Series[Any]) -> _Notation | None:
    """How most levels are written, if they are numbers in a notation that is not read as such."""
    texts = pd.Series(column.cat.categories.astype(str)).str.strip()
    plain = pd.to_numeric(texts, errors="coerce").notna()
    commas = ~plain & texts.str.fullmatch(r"[+-]?[\d.,]+")
    for notation in _NOTATIONS:
        written = ~plain & texts.str.fullmatch(notation.pattern)
        # That 0,134 is no number of thousands says what 1,046 is beside it.
        if written.any() and (written | plain).mean() > 0.5 and not (commas & ~written).any():
            return notation
    return None


def _listed(levels: list[Any]) -> str:
    return ", ".join(repr(level) for level in levels[:4])
