"""Numbers that a table holds as text."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.errors import OWN_FILES, DataWarning

__all__ = ["not_numbers", "warn_of_numbers_as_text", "warn_of_other_numerals"]

_MANY_LEVELS = 10  # fewer may well be meant as categories: years, stages, doses


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
    others = _beside_numbers(column)
    if others is None:
        return f"it holds {_listed(list(column.cat.categories))}"
    data = f"data[{column.name!r}]"
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
        If it has ten levels or more, most of which can be read as numbers.
    """
    n_levels = len(column.cat.categories)
    if n_levels < _MANY_LEVELS or _beside_numbers(column) is None:
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


def _listed(levels: list[Any]) -> str:
    return ", ".join(repr(level) for level in levels[:4])
