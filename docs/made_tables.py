"""Tables of the reference that are made of the package, so that they are never out of date."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path

from bayesmix import errors, families
from bayesmix.formula.structures import STRUCTURE_WORDS

__all__ = ["TABLES", "write"]

_LEFT = {
    "effects": "what varies, as in `(x | g)`",
    "steps": "a column of whole numbers, or a factor's levels in order",
    "times": "a column of numbers",
    "places": "one or more coordinates",
}


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").splitlines()[0].replace("``", "`")


def _rows(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heading = list(heading)
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines
    )


def family_table() -> str:
    """Return one row per family: name, density in words, links, parameters of its own."""
    rows = []
    for name, family in families.FAMILIES.items():
        made = family()
        links = ", ".join(f"`{link}`" for link in made.links)
        own = ", ".join(f"`{parameter}`" for parameter in made.parameters)
        rows.append([f"`{name}`", _first_line(family), links, own])
    return _rows(["family", "what it is", "links, default first", "parameters beside mu"], rows)


def structure_table() -> str:
    """Return one row per covariance structure: how it is written, and what stands on its left."""
    rows = [
        [f"`{name}(... | g)`", _LEFT[word.left], "one" if word.tied else "one for each effect"]
        for name, word in STRUCTURE_WORDS.items()
    ]
    return _rows(["term", "on the left", "standard deviations"], rows)


def error_table() -> str:
    """Return one row per error and warning."""
    names = [name for name in errors.__all__ if name != "OWN_FILES"]
    return _rows(
        ["class", "when"], [[f"`{name}`", _first_line(getattr(errors, name))] for name in names]
    )


TABLES = {"families": family_table, "structures": structure_table, "errors": error_table}


def write(folder: Path) -> None:
    """Write the tables as files that pages include."""
    folder.mkdir(exist_ok=True)
    for name, made in TABLES.items():
        (folder / f"{name}.txt").write_text(made(), encoding="utf-8")
