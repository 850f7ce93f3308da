"""Arguments that a caller gives: whether they will do, and what may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bayesmix.errors import ArgumentError

__all__ = [
    "check_probability",
    "checked_seed",
    "did_you_mean",
    "listed",
    "nearest",
    "one_of",
    "one_or_several",
    "plain",
    "whole_number",
]


def nearest(word: Any, known: Iterable[str], n: int = 1, cutoff: float = 0.6) -> list[str]:
    """Known words that look like another, the likest first; capitals do not matter.

    Parameters
    ----------
    word : object
        What was given; mostly, but not always, text.
    known : iterable of str
    n : int
        Number of words at most.
    cutoff : float
        How like they must be, from 0 to 1.

    Returns
    -------
    list of str
    """
    by_lower: dict[str, list[str]] = {}
    for name in known:
        by_lower.setdefault(str(name).lower(), []).append(str(name))
    found = difflib.get_close_matches(str(word).lower(), by_lower, n=n, cutoff=cutoff)
    return [name for key in found for name in by_lower[key]][:n]


def did_you_mean(
    word: Any, known: Iterable[str], quote: str = "'", n: int = 1, cutoff: float = 0.6
) -> str:
    """Write ``"did you mean 'plot'? "``, or nothing where no known word looks like it.

    Parameters
    ----------
    word, known, n, cutoff
        As in `nearest`.
    quote : str
        What stands around a name: a quotation mark, or a backquote for columns.

    Returns
    -------
    str
        Ending in a space where it is not empty.
    """
    found = nearest(word, known, n, cutoff)
    words = " or ".join(f"{quote}{name}{quote}" for name in found)
    return f"did you mean {words}? " if found else ""


def plain(value: Any) -> Any:
    """Return a number or text of numpy as Python's own, which prints as it is written."""
    return value.item() if isinstance(value, np.generic) else value


def listed(values: Iterable[Any], most: int = 12) -> str:
    """Write ``1, 2, 'a'``, with dots behind where there are more.

    Parameters
    ----------
    values : iterable
    most : int
        Number of values that are written at most.

    Returns
    -------
    str
    """
    given = list(values)
    shown = ", ".join(repr(plain(value)) for value in given[:most])
    return f"{shown}, ..." if len(given) > most else shown


def one_of(name: str, value: Any, known: Iterable[str]) -> None:
    """Refuse an argument that is not one of the known words.

    Raises
    ------
    ArgumentError
    """
    known = tuple(known)
    if not (isinstance(value, str) and value in known):
        near = did_you_mean(value, known).strip() if isinstance(value, str) else ""
        raise ArgumentError(
            f"{name}={value!r} is not one of {listed(known, len(known))}"
            + (f"; {near}" if near else "")
        )


def one_or_several(name: str, value: Any) -> list[Any]:
    """Return a list of the names that were given, of which one may stand alone.

    Raises
    ------
    ArgumentError
    """
    if isinstance(value, Mapping) or not isinstance(value, str | Iterable):
        raise ArgumentError(f"{name}={value!r} must be a name, or a list of names")
    return [value] if isinstance(value, str) else list(value)


def check_probability(name: str, value: Any) -> None:
    """Refuse what is no probability inside an interval.

    Raises
    ------
    ArgumentError
    """
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and 0 < value < 1):
        raise ArgumentError(f"{name}={value!r} must lie between 0 and 1, such as 0.95")


def checked_seed(seed: Any, default: int) -> int:
    """Return a seed that is a whole number.

    Raises
    ------
    ArgumentError
    """
    if seed is None:
        return default
    return whole_number("seed", seed, 0)


def whole_number(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Return a whole number within bounds, which themselves will do.

    Raises
    ------
    ArgumentError
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"{name}={value!r} must be a whole number of at least {least}")
    if most is not None and value > most:
        raise ArgumentError(f"{name}={value!r} must be a whole number of at most {most}")
    return int(value)
