"""What a formula says, as data: a response, fixed terms, offsets, group terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from formulaic.parser.types import Term

from bayesmix.formula.grouping import Grouping
from bayesmix.formula.quoting import decode
from bayesmix.formula.structures import STRUCTURE_WORDS

__all__ = ["Formula", "GroupTerm", "Piece", "SmoothTerm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """An expression of the formula and the place where it is written.

    Attributes
    ----------
    expr : str
        The expression, as formulaic evaluates it.
    start, stop : int
        Half-open range of character positions in the formula.
    """

    expr: str
    start: int
    stop: int

    @property
    def text(self) -> str:
        """The expression with the columns' own names."""
        return decode(self.expr)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTerm:
    """One ``(effects | group)`` of a formula, for a single grouping factor.

    Attributes
    ----------
    effects : tuple of formulaic Term
        What varies; the literal term ``1`` stands for the intercept. For structures of
        positions the columns that say where an effect is.
    columns : tuple of str
        The columns whose observed combinations are the levels; none for ``| 1``.
    structure : str
        The word of the covariance structure: "us" of ``|``, "diag" of ``||``.
    start, stop : int
        Where the grouping factor is written.
    options : mapping of str to int
        What stands behind the grouping factor: ``d`` of ``rr``.
    grouping : Grouping, optional
        What is said of it in ``gr(...)`` or ``mm(...)``.
    joined : str
        The word between two bars, ``(x | p | g)``: effects of several formulas with the same
        word are correlated.
    """

    effects: tuple[Term, ...]
    columns: tuple[str, ...]
    structure: str
    start: int
    stop: int
    options: Mapping[str, int] = field(default_factory=dict)
    grouping: Grouping | None = None
    joined: str = ""

    @property
    def name(self) -> str:
        """The grouping factor's name, ``hospital:ward``; "1" for ``| 1``."""
        return (":".join(self.columns) or "1") if self.grouping is None else self.grouping.name

    @property
    def group_text(self) -> str:
        """What stands behind the bar, in one way of writing it."""
        return self.name if self.grouping is None else str(self.grouping)

    @property
    def has_positions(self) -> bool:
        """Whether there is an effect for each position, and not for each column."""
        return STRUCTURE_WORDS[self.structure].left != "effects"

    @property
    def left(self) -> str:
        """What stands on the left of the bar."""
        effects = [decode(str(term)) for term in self.effects]
        if not self.has_positions and (not effects or effects[0] != "1"):
            effects.insert(0, "0")
        return (", " if self.has_positions else " + ").join(effects)

    def __str__(self) -> str:
        bar = "||" if self.structure == "diag" else "|"
        bar = f"| {self.joined} |" if self.joined else bar
        word = "" if self.structure in {"us", "diag"} else self.structure
        options = "".join(f", {name}={value}" for name, value in self.options.items())
        left = self.left.replace(", ", " + ") if self.has_positions else self.left
        return f"{word}({left} {bar} {self.group_text}{options})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothTerm:
    """One ``s(...)`` or ``t2(...)`` of a formula.

    Attributes
    ----------
    function : str
        "s" or "t2".
    variables : tuple of str
        Expressions of its coordinates, checked.
    kind : str
        Word of its basis: "tp", "cr", "ps", "fs", "re" or "t2".
    group : str
        Column whose levels have a curve each, in a factor smooth; empty otherwise.
    k, m : int, sequence or None
    by : str
        Expression that the smooth is multiplied with, or column of the factor whose
        levels have a smooth each; empty without.
    by_is_factor : bool
        Whether ``C(...)`` says that it is a factor.
    options : mapping of str to object
        What else its basis is given.
    text : str
        As it is written, spaces apart.
    start, stop : int
        Where it is written.
    """

    function: str
    variables: tuple[str, ...]
    kind: str
    group: str = ""
    k: Any = None
    m: Any = None
    by: str = ""
    by_is_factor: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    start: int = 0
    stop: int = 0

    @property
    def name(self) -> str:
        """What results call it: ``s(x)``, ``s(x, g)``, ``s(x):z``."""
        inside = [*(decode(variable) for variable in self.variables)]
        inside += [self.group] if self.group else []
        by = f":{decode(self.by)}" if self.by else ""
        return f"{self.function}({', '.join(inside)}){by}"

    @property
    def at_levels(self) -> bool:
        """Whether it is a curve for each level of a factor, as group effects are."""
        return bool(self.group)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """A parsed mixed-model formula. It knows no data.

    Attributes
    ----------
    text : str
        The formula as the user wrote it.
    response : Piece
        The response of the left-hand side, an expression of Python.
    extras : mapping of str to Piece
        What the functions of the left-hand side give per row: "trials" of
        ``proportion``, "status" of ``censored``, "event" of ``event``, "lower" and
        "upper" of ``truncated``, "exponent" of ``weighted``; a column, an expression or a number.
    counts : tuple of Piece
        The counts of ``cbind(a, b, c)``, which the response then is.
    fixed : tuple of formulaic Term
        The fixed terms; the literal term ``1`` stands for the intercept.
    offsets : tuple of Piece
        The arguments of ``offset(...)`` terms.
    groups : tuple of GroupTerm
        One entry per term and grouping factor, ``a/b`` expanded.
    smooths : tuple of SmoothTerm
        Those of ``s(...)`` and ``t2(...)``, without ``bs="re"``, which is a group term.
    columns : mapping of str to tuple of str
        For each column used, the roles it is used in: "response", "fixed",
        "offset", "effect", "group"; "position" beside "effect" where it says where effects are.
    places : mapping of str to tuple of (int, int)
        Where each column is first named in `text`.
    categorical : frozenset of str
        Columns whose values ``C`` or ``hashed`` takes as categories.
    numeric : frozenset of str
        Columns that stand anywhere but in ``C`` or ``hashed``, or behind a bar.
    called : frozenset of str
        Functions that expressions call; ``np`` for those of numpy.
    """

    text: str
    response: Piece
    fixed: tuple[Term, ...]
    offsets: tuple[Piece, ...]
    groups: tuple[GroupTerm, ...]
    columns: Mapping[str, tuple[str, ...]]
    places: Mapping[str, tuple[int, int]] = field(repr=False)
    categorical: frozenset[str] = frozenset()
    numeric: frozenset[str] = frozenset()
    called: frozenset[str] = frozenset()
    extras: Mapping[str, Piece] = field(default_factory=dict)
    counts: tuple[Piece, ...] = ()
    smooths: tuple[SmoothTerm, ...] = ()

    @property
    def has_intercept(self) -> bool:
        """Whether the formula writes a fixed intercept."""
        return any(str(term) == "1" for term in self.fixed)

    @property
    def grouping_factors(self) -> tuple[str, ...]:
        """Names of the grouping factors, in order of appearance."""
        return tuple(dict.fromkeys(term.name for term in self.groups))

    @property
    def predictor_columns(self) -> tuple[str, ...]:
        """Columns of the right-hand side."""
        return self.columns_of("fixed", "effect", "offset", "group")

    def columns_of(self, *roles: str) -> tuple[str, ...]:
        """Columns that are used in any of `roles`."""
        return tuple(c for c, used in self.columns.items() if set(used) & set(roles))

    def __str__(self) -> str:
        return " ".join(self.text.split())
