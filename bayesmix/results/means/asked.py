"""What a caller names: factors to compare, and factors within which they are compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bayesmix.errors import ArgumentError

__all__ = ["factors_and_by"]

_SEPARATORS = re.compile(r"[*:+,]")


def factors_and_by(
    factors: Any, by: Any, known: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read the names of factors, which may be written as a formula.

    Parameters
    ----------
    factors : str, sequence of str, or None
        Such as ``"a"``, ``["a", "b"]``, ``"a * b"`` or ``"a | b"``.
    by : str, sequence of str, or None
    known : iterable of str
        Columns that there are.

    Returns
    -------
    factors, by : tuple of str

    Raises
    ------
    ArgumentError
        If they cannot be read, or one stands in both.
    """
    columns = set(known)
    within: list[str] = []
    if isinstance(factors, str) and factors in columns:
        factors = [factors]
    if isinstance(by, str) and by in columns:
        by = [by]
    if isinstance(factors, str):
        left, tilde, right = factors.partition("~")
        if tilde and left.strip():
            raise ArgumentError(
                f"{factors!r}: contrasts are asked of the means, as in "
                f'marginal_means({right.strip()!r}).contrasts("{left.strip()}")'
            )
        text = right if tilde else left
        if text.count("|") > 1:
            raise ArgumentError(f'{factors!r} has more than one |; write "a | b * c"')
        text, _, behind = text.partition("|")
        within = _names("by", behind)
        factors = _names("factors", text)
    wanted, inside = _names("factors", factors), within + _names("by", by)
    for name in (*wanted, *inside):
        if (wanted + inside).count(name) > 1:
            raise ArgumentError(f"`{name}` is named twice among {wanted + inside}")
    return tuple(wanted), tuple(inside)


def _names(argument: str, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        parts = [part.strip() for part in _SEPARATORS.split(value)]
        found = [part[1:-1] if part[:1] == part[-1:] == "`" else part for part in parts]
        return [part for part in found if part not in {"", "1"}]
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise ArgumentError(
            f"{argument}={value!r} must be a column's name or several; contrasts are asked of the "
            'means, as in marginal_means("a").contrasts("pairwise")'
        )
    names = list(value)
    for name in names:
        if not isinstance(name, str):
            raise ArgumentError(f"{argument}={value!r}: {name!r} is no column's name")
    return names
