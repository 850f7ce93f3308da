"""The levels of a factor as positions, between which gaps are counted."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bayesmix.errors import OWN_FILES, DataWarning

__all__ = ["ORDERED", "factor_steps", "warn_of_alphabet"]

ORDERED = frozenset({"ar1", "hetar1", "toep", "homtoep"})  # correlations go by gaps
_NUMBER = re.compile(r"[0-9]+")


def factor_steps(levels: tuple[str, ...]) -> list[float]:
    """Positions of a factor's levels: whole numbers as they are, others in their order."""
    return _whole_numbers(levels) or [float(k) for k in range(1, len(levels) + 1)]


def _whole_numbers(levels: tuple[str, ...]) -> list[float] | None:
    """The levels as numbers, where these are whole and different."""
    try:
        numbers = [float(level) for level in levels]
    except ValueError:
        return None
    whole = all(number.is_integer() for number in numbers) and len(set(numbers)) == len(levels)
    return numbers if whole else None


def warn_of_alphabet(label: str, column: pd.Series[Any]) -> None:
    """Warn of text whose numbers go up in another order than that of the alphabet.

    Parameters
    ----------
    label : str
        The term as written.
    column : Series
        Categorical. Nothing is said of one that is ordered.

    Warns
    -----
    DataWarning
        For w10, w2, w4, which are taken in this order.
    """
    levels = tuple(map(str, column.cat.categories))
    numbers = [tuple(map(int, _NUMBER.findall(level))) for level in levels]
    alike = len({_NUMBER.sub("0", level) for level in levels}) == 1
    in_order = numbers in (sorted(numbers), sorted(numbers, reverse=True))
    if column.cat.ordered or not alike or in_order or _whole_numbers(levels):
        return
    meant = [level for _, level in sorted(zip(numbers, levels, strict=True))]
    warnings.warn(
        f"the positions of {label} are levels of text in the order of the alphabet, "
        f"{_some(levels)}, one step each, and not in that of their numbers, {_some(meant)}: give "
        f"the numbers as a column, or the order: pd.Categorical(data[{column.name!r}], [...], "
        "ordered=True)",
        DataWarning,
        skip_file_prefixes=OWN_FILES,
    )


def _some(levels: Sequence[str]) -> str:
    return ", ".join(levels[:4]) + (", ..." if len(levels) > 4 else "")
