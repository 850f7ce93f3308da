"""Tables of the reference that are made of the package, so that they are never out of date."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from densities import DENSITIES

from bayesmix import errors, families
from bayesmix.covariance.base import Covariance
from bayesmix.covariance.layout import STRUCTURES
from bayesmix.families.scale import ResponseScale
from bayesmix.formula.structures import STRUCTURE_WORDS

__all__ = ["TABLES", "write"]

_LEFT = {
    "effects": "what varies, as in `(x | g)`",
    "steps": "whole numbers, or a factor's levels in order",
    "times": "numbers",
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


def density_list() -> str:
    """Return one section per family: its density, and its parameters with links and priors."""
    parts = []
    for name, family in families.FAMILIES.items():
        made, density = family(), DENSITIES[name]
        parts.append(f"### {name}\n\n{_first_line(family)}\n\n$$\n{density.latex()}\n$$\n")
        if density.base:
            parts.append(f"f is the density of [{density.base}](#{density.base}).\n")
        priors = made.default_priors(_SCALE)
        for parameter, spec in made.parameters.items():
            formula = "" if spec.is_vector else f", a formula of it has the {spec.link} link,"
            verb = "are" if spec.is_vector else "is"
            parts.append(
                f"- `{parameter}` {verb} {_SUPPORTS[spec.support]}{formula} and the prior is "
                f"{_prior(*priors[parameter])}"
            )
        parts.append("")
    return "\n".join(parts)


_SUPPORTS = {
    "positive": "above zero", "unit": "between 0 and 1", "real": "any number",
    "ordered": "rising numbers",
}  # fmt: skip
# Numbers that stand for what the data say, and are told apart by their values.
_SCALE = ResponseScale(center=3.1, sd=37.3, rms=41.9, response_mean=53.7, response_sd=37.3)
_GAP = 17.9
_UNITS = {
    37.3: "sd(y)", 53.7: "mean(y)", math.sqrt(53.7): "sqrt(mean(y))",
    math.log(_GAP): "log(median distance)", -0.5: "-1 / (K - 1)",
}  # fmt: skip


def _prior(distribution: str, parameters: Mapping[str, float]) -> str:
    """Write a prior, with the data's units in words."""
    known = {round(value, 9): words for value, words in _UNITS.items()}
    inside = (f"{k}={known.get(round(v, 9), f'{v:g}')}" for k, v in parameters.items())
    return f"`{distribution}({', '.join(inside)})`"


def structure_table() -> str:
    """Return one row per covariance structure: how it is written, and what it says."""
    rows = []
    for name, word in STRUCTURE_WORDS.items():
        made = _structure(name)
        symbols = {p.name: rf"\{p.name}" if p.name == "rho" else rf"\text{{{p.name}}}"
                   for p in made.parameters()}  # fmt: skip
        entries = made.latex(symbols)
        free = "free" if made.free_correlations else "none"
        rows.append([
            f"`{name}(... | g)`", _LEFT[word.left], "one" if word.tied else "one for each effect",
            free if entries is None else f"${_in_a_cell(entries)}$",
        ])  # fmt: skip
    heading = ["term", "on the left", "standard deviations", "correlation of effects i and j"]
    return _rows(heading, rows)


def structure_priors() -> str:
    """Return one row per parameter of structures that has a prior of its own."""
    found: dict[tuple[str, str], list[str]] = {("corr", "`LKJ(eta=2)`"): ["us"]}
    for name in STRUCTURE_WORDS:
        for p in _structure(name).parameters():
            # Those of one kind are numbered, and have one prior.
            kind = re.sub(r"[_\d]+$", "", p.name)
            words = found.setdefault((kind, _prior(p.distribution, p.prior)), [])
            if name not in words:
                words.append(name)
    rows = [
        [f"`{kind}`", ", ".join(f"`{word}`" for word in words), prior]
        for (kind, prior), words in found.items()
    ]
    return _rows(["parameter", "of", "prior"], rows)


def _structure(name: str) -> Covariance:
    """A structure of three effects."""
    positions = np.array([[0.0], [_GAP], [2 * _GAP]])
    kind = STRUCTURES[name]
    if STRUCTURE_WORDS[name].options:
        return kind(3, d=1)  # type: ignore[call-arg]
    return kind(3, positions if STRUCTURE_WORDS[name].left != "effects" else None)


def _in_a_cell(latex: str) -> str:
    """Write bars by their names: a bar would end a table's cell."""
    named = re.sub(r"\\\|", lambda _: r"\Vert ", latex)
    return named.replace("|", r"\vert ").replace("  ", " ")


def error_table() -> str:
    """Return one row per error and warning."""
    names = [name for name in errors.__all__ if name != "OWN_FILES"]
    return _rows(
        ["class", "when"], [[f"`{name}`", _first_line(getattr(errors, name))] for name in names]
    )


TABLES = {
    "families": family_table, "densities": density_list, "structures": structure_table,
    "structure_priors": structure_priors, "errors": error_table,
}  # fmt: skip


def write(folder: Path) -> None:
    """Write the tables as files that pages include."""
    folder.mkdir(exist_ok=True)
    for name, made in TABLES.items():
        (folder / f"{name}.txt").write_text(made(), encoding="utf-8")
