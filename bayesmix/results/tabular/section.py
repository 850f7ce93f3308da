"""`Section`: a table with what stands around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

__all__ = ["Section"]


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
