"""How many columns a formula may ask of the rows that there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

__all__ = ["check_columns", "checked_counts", "refuse_columns"]

# What transforms take behind their data, in order; these arguments make columns.
_ARGUMENTS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "poly": ("degree",),
        "bs": ("df", "knots", "degree"),
        "cr": ("df", "knots"),
        "cs": ("df", "knots"),
        "cc": ("df", "knots"),
        "hashed": ("levels",),
    }
)
_NEVER_NONE = frozenset({("poly", "degree"), ("bs", "degree"), ("hashed", "levels")})
_MOST = 1000  # of one transform, whatever the rows
_MOST_DEGREE = 25  # of a spline: beyond it the pieces are noise in double precision
_MOST_COLUMNS = 2000  # of a design with fewer rows than that
_MOST_VALUES = 4e9  # of a design: 32 GB


def checked_counts(
    transform: str, args: Sequence[Any], kwargs: dict[str, Any], n_rows: int | None
) -> tuple[list[Any], dict[str, Any]]:
    """Check the arguments of a transform that say how many columns it makes.

    Parameters
    ----------
    transform : str
        The name of one of formulaic's transforms.
    args, kwargs
        What it is called with, evaluated; the data come first.
    n_rows : int or None
        The rows that bound the columns; None where they have been made before.

    Returns
    -------
    args, kwargs
        The same, with whole numbers as integers.

    Raises
    ------
    ValueError
        If a number is not whole or asks for as many columns as there are rows.
    """
    args, kwargs = list(args), dict(kwargs)
    if transform in _ARGUMENTS and args:
        data = getattr(args[0], "__wrapped__", args[0])
        if isinstance(data, dict) or np.ndim(data) != 1:
            raise ValueError(f"{transform} takes one column, not several")
    _check_counts(transform, args, kwargs, n_rows)
    refuse_columns([*enumerate(args[1:], 2), *kwargs.items()])
    if n_rows is None:
        return args, kwargs
    if transform == "C" and args:
        _check_lists([*args[1:2], *kwargs.values()], args[0], n_rows)
    if transform == "poly" and args:
        degree = args[1] if len(args) > 1 else kwargs.get("degree", 1)
        raw = args[2] if len(args) > 2 else kwargs.get("raw", False)
        _check_distinct(args[0], degree, bool(raw))
    return args, kwargs


def _check_counts(
    transform: str, args: list[Any], kwargs: dict[str, Any], n_rows: int | None
) -> None:
    """Check what makes columns, and put whole numbers in its place."""
    for at, name in enumerate(_ARGUMENTS.get(transform, ()), 1):
        given: Any = args[at] if at < len(args) else kwargs.get(name)
        written = at < len(args) or name in kwargs
        if given is None and not (written and (transform, name) in _NEVER_NONE):
            continue
        if name == "knots":
            refuse_columns([(name, given)])
            if np.asarray(given).dtype.kind not in "iuf":
                raise ValueError(f"knots must be numbers, not {given!r}")
            _check_size("the number of knots", np.size(given), n_rows)
            continue
        count = _whole(name, given)
        _check_size(name, count, n_rows)
        if transform == "bs" and name == "degree" and count > _MOST_DEGREE:
            raise ValueError(f"degree is {count}; splines go up to degree {_MOST_DEGREE}")
        if at < len(args):
            args[at] = count
        else:
            kwargs[name] = count


def refuse_columns(arguments: Iterable[tuple[int | str, Any]]) -> None:
    """Refuse a column in the place of an option.

    Parameters
    ----------
    arguments : iterable of (int or str, value)
        The number of each argument, or its name.

    Raises
    ------
    ValueError
    """
    for name, value in arguments:
        if getattr(value, "ndim", 0) and hasattr(value, "dtype"):
            which = f"argument {name}" if isinstance(name, int) else name
            raise ValueError(f"{which} must be written out, and is a column here")


def check_columns(n_columns: int, n_rows: int, what: str) -> None:
    """Refuse more columns than any data of this size can tell apart, before they are made.

    Parameters
    ----------
    n_columns : int
        How many there would be.
    n_rows : int
    what : str
        What makes them, for the message.

    Raises
    ------
    ValueError
        Naming the number, and the memory where that is what is lacking.
    """
    most = max(_MOST_COLUMNS, n_rows)
    advice = "a factor with many levels belongs behind a bar, as in (1 | g)"
    if n_columns > most:
        raise ValueError(
            f"{what} would make {n_columns} columns for {n_rows} rows, and {most} are the most; "
            + advice
        )
    if n_columns * n_rows > _MOST_VALUES:
        raise ValueError(
            f"{what} would make {n_columns} columns for {n_rows} rows, which take "
            f"{n_columns * n_rows * 8e-9:.0f} GB; {advice}"
        )


def _whole(name: str, value: Any) -> int:
    if np.ndim(value) or value is None or isinstance(value, str | bool | dict):
        held = "a column or list" if np.ndim(value) else repr(value)
        raise ValueError(f"{name} must be one whole number, not {held}")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be one whole number that a table can hold") from error
    if not number.is_integer():
        raise ValueError(f"{name} must be one whole number, not {number:g}")
    return int(number)


def _check_size(name: str, count: int, n_rows: int | None) -> None:
    least = 1 if name == "levels" else 0
    if count < least:
        raise ValueError(f"{name} is {count}; it must be {least} or more")
    if n_rows is None:
        return
    if count > _MOST:
        raise ValueError(f"{name} is {count:.10g}; at most {_MOST} columns are made here")
    if count >= n_rows:
        raise ValueError(f"{name} is {count}; {n_rows} rows bear at most {n_rows - 1} columns")


def _check_lists(given: Sequence[Any], data: Any, n_rows: int) -> None:
    """Refuse more levels than rows, by the thousand, and more contrasts than there are levels."""
    for value in given:
        if isinstance(value, dict) and len(value) > len(set(np.asarray(data).tolist())):
            raise ValueError(f"{len(value)} contrasts are more than there are levels")
        if isinstance(value, list) and len(value) > max(_MOST, n_rows):
            raise ValueError(f"{len(value)} levels are listed, and there are {n_rows} rows")


def _check_distinct(x: Any, degree: int, raw: bool) -> None:
    """Refuse a degree that the values cannot tell from lower ones: what is left is rounding."""
    if degree < 1:
        raise ValueError(f"degree is {degree}; it must be 1 or more")
    values = np.asarray(x)
    if raw or values.ndim != 1 or values.dtype.kind != "f":
        return
    if len(np.unique(values[:_MOST])) > degree:
        return
    distinct = len(np.unique(values[np.isfinite(values)]))
    if 0 < distinct <= degree:
        raise ValueError(
            f"degree is {degree}, and {distinct} distinct values determine polynomials up to "
            f"degree {distinct - 1}"
        )
