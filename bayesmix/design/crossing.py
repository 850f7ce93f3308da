"""`design`: factors crossed or nested, as a frame without a response."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sized
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean, whole_number
from bayesmix.errors import ArgumentError
from bayesmix.memory import check_memory

__all__ = ["design"]

_NUMBERS_PER_LEVEL = 10  # the size of a short text, in numbers


def design(
    factors: Mapping[str, Any] | None = None,
    *,
    nested: Mapping[str, str] | None = None,
    replicates: int = 1,
    **more: Any,
) -> pd.DataFrame:
    """Cross or nest factors into a frame: one row per combination.

    Parameters
    ----------
    factors : mapping of str to int or sequence, optional
        As `more`, for columns whose names are no Python names.
    nested : mapping of str to str, optional
        Which factor lies within which: with ``{"pupil": "school"}`` each school has pupils of
        its own, as many as `pupil` says; with ``{"subject": "group"}`` each group has subjects
        of its own, so that `group` varies between subjects.
    replicates : int
        Rows of each combination.
    **more
        The columns: a number of levels, which become text such as ``"01"`` to ``"30"``, or the
        values themselves, such as ``range(10)`` or ``["a", "b"]``.

    Returns
    -------
    DataFrame
        The columns in the order in which they are given, the last one running fastest.

    Raises
    ------
    ArgumentError
        If a factor has no level, or lies within one that is not there, or within itself.
    NotSupportedError
        If memory does not hold so many rows, naming the size in GB.

    Examples
    --------
    >>> import bayesmix as bmx
    >>> bmx.design(subject=3, day=range(2)).values.tolist()[:3]
    [['1', 0], ['1', 1], ['2', 0]]
    >>> frame = bmx.design(school=2, pupil=3, nested={"pupil": "school"})
    >>> frame["pupil"].tolist()
    ['1:1', '1:2', '1:3', '2:1', '2:2', '2:3']
    """
    columns = {**(factors or {}), **more}
    if not columns:
        raise ArgumentError("design() needs columns, such as design(subject=30, day=range(10))")
    whole_number("replicates", replicates, 1)
    within = dict(nested or {})
    for inner, outer in within.items():
        for name in (inner, outer):
            if name not in columns:
                raise ArgumentError(
                    f"nested={{{inner!r}: {outer!r}}}: there is no column {name!r}; "
                    f"{did_you_mean(name, columns)}there are {', '.join(columns)}"
                )
    levels = {name: _levels(name, given) for name, given in columns.items()}
    n_rows = math.prod(len(own) for own in levels.values()) * replicates
    sizes = " x ".join(f"{name} {len(own):,}" for name, own in levels.items())
    check_memory(
        f"design() of {sizes} = {n_rows:,} rows", 2 * n_rows * len(levels), "take fewer levels"
    )
    rows = pd.MultiIndex.from_product(list(levels.values()), names=list(levels))
    frame = rows.to_frame(index=False)
    for name in _outermost_first(within):
        frame[name] = frame[within[name]].astype(str) + ":" + frame[name].astype(str)
    if replicates > 1:
        frame = frame.loc[np.repeat(frame.index, replicates)].reset_index(drop=True)
    return frame


def _levels(name: str, given: Any) -> list[Any]:
    if isinstance(given, bool) or not isinstance(given, int | np.integer | Iterable):
        raise ArgumentError(
            f"{name}={given!r} must be a number of levels, or the values themselves"
        )
    if isinstance(given, int | np.integer):
        n = whole_number(name, given, 1)
        check_memory(f"{name}={n}", _NUMBERS_PER_LEVEL * n, "take fewer levels")
        return [f"{k:0{len(str(n))}d}" for k in range(1, n + 1)]
    if isinstance(given, str):
        raise ArgumentError(f"{name}={given!r} is one text; give a list of values")
    if isinstance(given, Sized):
        check_memory(f"{name}= of {len(given):,} values", 5 * len(given), "take fewer levels")
    values = list(given)
    if not values:
        raise ArgumentError(f"{name}= has no level")
    return values


def _outermost_first(within: Mapping[str, str]) -> list[str]:
    """Nested factors in an order in which each comes behind the one it lies in."""
    out: list[str] = []
    for name in within:
        path, at = [name], name
        while at in within:
            at = within[at]
            if at in path:
                raise ArgumentError(f"nested= says that {at!r} lies within itself")
            path.append(at)
        out += [p for p in reversed(path) if p in within and p not in out]
    return out
