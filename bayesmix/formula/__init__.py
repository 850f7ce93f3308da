"""From the text of a formula to its terms."""

from bayesmix.formula.parser import parse_formula
from bayesmix.formula.several import parse_formulas, whole_formula
from bayesmix.formula.terms import Formula, GroupTerm, Piece, SmoothTerm

__all__ = [
    "Formula", "GroupTerm", "Piece", "SmoothTerm", "parse_formula", "parse_formulas",
    "whole_formula",
]  # fmt: skip
