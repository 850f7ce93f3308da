"""Dates as levels, and in the place of a predictor."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Any

import pandas as pd

from bayesmix.errors import OWN_FILES, DataWarning

__all__ = ["day_alone", "holds_dates", "warn_of_dates"]

_ISO = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[./]\d{1,2}[./]\d{4}")
_MIDNIGHT = re.compile(r"^(\d{4}-\d\d-\d\d) 00:00:00$")
_END = " 00:00:00"  # asked first: there may be a hundred thousand levels
_MANY_LEVELS = 10  # dates as text: fewer may well be meant as categories


def day_alone(label: str) -> str:
    """Write midnight as its day, as a column does only if all of its times are midnight.

    Parameters
    ----------
    label : str
        A level as text; any but a day at 00:00:00 is returned as it is.

    Returns
    -------
    str
    """
    return _MIDNIGHT.sub(r"\1", label) if label.endswith(_END) else label


def warn_of_dates(given: pd.Series[Any], column: pd.Series[Any]) -> bool:
    """Warn of a column of dates that becomes a category per date.

    Parameters
    ----------
    given : Series
        As it came.
    column : Series
        Categorical, as the formula takes it.

    Returns
    -------
    bool
        Whether it holds dates.

    Warns
    -----
    DataWarning
        If it does.
    """
    dates = _as_dates(given, column)
    if not dates:
        return False
    warnings.warn(
        f"column `{column.name}` holds dates and is taken as {len(column.cat.categories)} "
        f"categories; for a trend count the days in a column of their own: {dates}; "
        f"C({column.name}) in the formula says that categories are meant",
        DataWarning,
        skip_file_prefixes=OWN_FILES,
    )
    return True


def _as_dates(given: pd.Series[Any], column: pd.Series[Any]) -> str:
    """How to count the days of a column of dates; empty for another one."""
    data = f"data[{column.name!r}]"
    kind = pd.api.types.infer_dtype(given) if given.dtype == object else ""
    if pd.api.types.is_datetime64_any_dtype(given.dtype):
        return f"data.assign(days=({data} - {data}.min()).dt.days)"
    if isinstance(given.dtype, pd.PeriodDtype):
        dates = f"{data}.dt.to_timestamp()"
    elif kind in {"date", "datetime", "datetime64"} or _dates_as_text(column):
        dates = f"pd.to_datetime({data})"
    else:
        return ""
    return f"date = {dates}; data.assign(days=(date - date.min()).dt.days)"


def _dates_as_text(column: pd.Series[Any]) -> bool:
    levels = column.cat.categories
    return len(levels) >= _MANY_LEVELS and holds_dates(levels)


def holds_dates(levels: Iterable[Any]) -> bool:
    """Whether all levels of a factor are dates as text."""
    return all(isinstance(level, str) and _ISO.fullmatch(level.strip()) for level in levels)
