"""The formulas of one model: the first has the response, each further one a parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from bayesmix.errors import FormulaError
from bayesmix.formula.parser import parse_formula
from bayesmix.formula.residual import is_residual_formula, parse_residual
from bayesmix.formula.terms import Formula

__all__ = ["parse_formulas", "whole_formula"]


def parse_formulas(
    text: str | Sequence[str],
    *,
    available: Sequence[str] | None = None,
    functions: Mapping[str, Any] | None = None,
) -> dict[str, Formula]:
    """Read one formula or several.

    Parameters
    ----------
    text : str or sequence of str
        Such as ``["count ~ mined + (1 | site)", "zi ~ mined"]``.
    available, functions
        As of `parse_formula`.

    Returns
    -------
    dict of str to Formula
        By parameter: "mu" for the first, for another what stands on its left. That of
        "residual" is a structure, and no predictor.

    Raises
    ------
    FormulaError
        If a text is not a formula, or has anything but a name on its left where a
        parameter belongs.

    Examples
    --------
    >>> list(parse_formulas(["y ~ x", "sigma ~ 1 + (1 | g)"]))
    ['mu', 'sigma']
    """
    if not (isinstance(text, list | tuple) and text):
        # Anything but a text is refused there.
        return {"mu": parse_formula(cast("str", text), available=available, functions=functions)}
    first, *others = text
    found = {"mu": parse_formula(first, available=available, functions=functions)}
    if available is not None:
        # The dot of another formula is not the response.
        available = [name for name in available if name not in found["mu"].columns_of("response")]
    for other in others:
        if is_residual_formula(other):
            if "residual" in found:
                raise FormulaError("there are two formulas for residual", text=other)
            found["residual"] = parse_residual(other, available=available, functions=functions)
            continue
        formula = parse_formula(other, available=available, functions=functions)
        parameter = formula.response.text
        if not parameter.isidentifier() or formula.extras:
            raise FormulaError(
                f"on the left of a further formula stands a parameter, not {parameter}",
                text=formula.text,
                start=formula.response.start,
                stop=formula.response.stop,
            )
        if parameter in found:
            raise FormulaError(f"there are two formulas for {parameter}", text=formula.text)
        found[parameter] = formula
    return found


def whole_formula(formulas: Sequence[Formula]) -> Formula:
    """Put the columns of all predictors into the first formula.

    Parameters
    ----------
    formulas : sequence of Formula
        That of the response, then those of other parameters.

    Returns
    -------
    Formula
        The first, whose columns have the roles that they have anywhere. What stands on the
        left of the others is a parameter, and no column.
    """
    if len(formulas) == 1:
        return formulas[0]
    columns: dict[str, tuple[str, ...]] = dict(formulas[0].columns)
    for formula in formulas[1:]:
        for name, used in formula.columns.items():
            roles = tuple(role for role in used if role != "response")
            if roles:
                columns[name] = tuple(dict.fromkeys([*columns.get(name, ()), *roles]))
    return replace(
        formulas[0],
        columns=columns,
        groups=tuple(term for formula in formulas for term in formula.groups),
        categorical=frozenset().union(*(formula.categorical for formula in formulas)),
        numeric=frozenset().union(*(formula.numeric for formula in formulas)),
    )
