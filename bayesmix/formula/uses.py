"""Which columns a formula uses, in which roles, and where it names them."""

from __future__ import annotations

from collections.abc import Iterable

from formulaic.parser.types import Factor, Term

from bayesmix.errors import FormulaError
from bayesmix.formula.grouping import Grouping
from bayesmix.formula.quoting import decode
from bayesmix.formula.safety import read_expression
from bayesmix.formula.terms import GroupTerm, Piece, SmoothTerm

__all__ = ["Uses", "columns_used", "find_name", "place_of"]


class Uses:
    """Columns with their roles and places, gathered over a formula."""

    def __init__(self, text: str, functions: tuple[str, ...]) -> None:
        self.text = text
        self.functions = functions
        self.roles: dict[str, dict[str, None]] = {}
        self.places: dict[str, tuple[int, int]] = {}
        self.called: set[str] = set()
        self.categorical: set[str] = set()
        self.numeric: set[str] = set()  # beside C(...) and bars

    def name(self, name: str, role: str, place: tuple[int, int]) -> None:
        """Add a column."""
        self.roles.setdefault(name, {})[role] = None
        self.places.setdefault(name, find_name(self.text, name, *place))

    def expression(self, expr: str, role: str, place: tuple[int, int]) -> None:
        """Add the columns and functions of an expression."""
        found = read_expression(expr, self.functions)
        self.called.update(found.functions)
        self.categorical.update(found.categorical)
        self.numeric.update(found.numeric)
        for name in found.columns:
            self.name(name, role, place)

    def terms(self, terms: Iterable[Term], role: str) -> None:
        """Add the columns of terms."""
        for factor in (factor for term in terms for factor in term.factors):
            if factor.eval_method is Factor.EvalMethod.LOOKUP:
                self.name(decode(factor.expr), role, place_of(factor))
                self.numeric.add(decode(factor.expr))
            elif factor.eval_method is Factor.EvalMethod.PYTHON:
                self.expression(factor.expr, role, place_of(factor))

    def smooth(self, term: SmoothTerm) -> None:
        """Add the columns of a smooth; those of a curve for each level vary by its factor."""
        place, role = (term.start, term.stop), "effect" if term.at_levels else "fixed"
        for variable in term.variables:
            self.expression(variable, role, place)
        if term.group:
            self.name(term.group, "group", place)
        if term.by_is_factor:
            self.name(decode(term.by), "fixed", place)
            self.categorical.add(decode(term.by))
        elif term.by:
            self.expression(term.by, "fixed", place)

    def refuse_clashes(self) -> None:
        """Refuse a name that is called and is a column as well."""
        for name in self.called & set(self.roles):
            start, stop = self.places[name]
            raise FormulaError(
                f"`{name}` is called as a function and used as a column; rename the column",
                text=self.text,
                start=start,
                stop=stop,
            )


def columns_used(
    response: list[Piece],
    fixed: list[Term],
    offsets: list[Piece],
    groups: list[GroupTerm],
    smooths: list[SmoothTerm],
    uses: Uses,
) -> Uses:
    """Gather what all parts of a formula use."""
    for piece in response:
        uses.expression(piece.expr, "response", (piece.start, piece.stop))
    uses.terms(fixed, "fixed")
    for offset in offsets:
        uses.expression(offset.expr, "offset", (offset.start, offset.stop))
    for group in groups:
        uses.terms(group.effects, "effect")
        if group.has_positions:
            uses.terms(group.effects, "position")
        for name in group.columns:
            uses.name(name, "group", (group.start, group.stop))
        if group.grouping is not None:
            _grouping(uses, group.grouping, (group.start, group.stop))
    for smooth in smooths:
        uses.smooth(smooth)
    uses.refuse_clashes()
    return uses


def _grouping(uses: Uses, grouping: Grouping, place: tuple[int, int]) -> None:
    """Columns beside the levels, which effects are multiplied by."""
    if grouping.by is not None:
        uses.name(grouping.by, "effect", place)
        uses.categorical.add(grouping.by)
    for name in grouping.weights:
        uses.name(name, "effect", place)
        uses.numeric.add(name)


def place_of(factor: Factor) -> tuple[int, int]:
    """Where a factor stands in the text."""
    token = factor.token
    if token is None or token.source_start is None or token.source_end is None:
        return 0, 1
    return token.source_start, token.source_end + 1


def find_name(text: str, name: str, start: int, stop: int) -> tuple[int, int]:
    """Narrow the range of an expression to the column that it names."""
    at = text.find(name, start, stop)
    while at >= 0:
        end = at + len(name)
        if not (_is_word(text[at - 1 : at]) or _is_word(text[end : end + 1])):
            return at, end
        at = text.find(name, at + 1, stop)
    return start, stop


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
