"""The operators ``|`` and ``||`` for formulaic's parser.

formulaic builds sets of terms; a group term enters such a set as a `BarTerm`,
an ordinary term whose single factor carries the group term it stands for.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

from formulaic.parser.parser import DefaultFormulaParser, DefaultOperatorResolver
from formulaic.parser.types import Factor, Operator, OrderedSet, Term, Token

from bayesmix.errors import FormulaError
from bayesmix.formula.bounds import (
    MAX_FACTORS,
    MAX_POWER,
    MAX_TERMS,
    MOST_PRODUCTS,
    check_groups,
)  # fmt: skip
from bayesmix.formula.grouping import is_grouping, read_grouping
from bayesmix.formula.positions import position_terms
from bayesmix.formula.quoting import decode
from bayesmix.formula.terms import GroupTerm
from bayesmix.formula.wrapped import PLAIN, Wrapped

__all__ = ["BarTerm", "MixedOperatorResolver", "group_inside"]

_GROUP = "bayesmix_group"


class BarTerm(Term):
    """A term of formulaic that stands for a group term."""

    def __init__(self, group: GroupTerm) -> None:
        self.group = group
        factor = Factor(str(group), eval_method="lookup", metadata={_GROUP: group})
        super().__init__([factor])


def group_inside(term: Term) -> GroupTerm | None:
    """The group term that `term` holds, also where it was multiplied with another."""
    for factor in term.factors:
        if _GROUP in factor.metadata:
            group: GroupTerm = factor.metadata[_GROUP]
            return group
    return None


class MixedOperatorResolver(DefaultOperatorResolver):
    """formulaic's operators, with ``|`` and ``||`` meaning group terms."""

    text: str = ""

    def __init__(self) -> None:
        self.wrapped: dict[int, Wrapped] = {}

    def resolve(self, token: Token) -> Iterator[tuple[Token, Iterable[Operator]]]:
        """Yield the operators that a token may be; a bar is that of its own word."""
        if token.token not in PLAIN:
            yield from super().resolve(token)
            return
        wrapped = self.wrapped.get(token.source_start or 0, PLAIN[token.token])
        yield (
            token,
            [
                Operator(
                    token.token,
                    arity=2,
                    precedence=-50,
                    accepts_context=_inside_parentheses,
                    to_terms=functools.partial(self._bar, wrapped),
                    structural=True,
                )
            ],
        )

    @property
    def operators(self) -> list[Operator]:
        """The operator table."""
        self.feature_flags = DefaultFormulaParser.FeatureFlags.TWOSIDED
        replaced = {"|", "**", "^", "in"}
        return [
            *(
                _limited(op)
                for op in super().operators
                if op.symbol not in replaced and not _is_plus(op)
            ),
            Operator("+", arity=2, precedence=100, associativity="left", to_terms=self._plus),
            Operator("in", arity=2, precedence=250, associativity="left", to_terms=_inside),
            *(
                Operator(symbol, arity=2, precedence=500, associativity="right", to_terms=_power)
                for symbol in ("**", "^")
            ),
        ]

    def _plus(self, lhs: OrderedSet[Term], rhs: OrderedSet[Term]) -> OrderedSet[Term]:
        # Each set has one parent, so the left one may grow in place: long sums stay linear.
        for term in rhs:
            if isinstance(term, BarTerm) and term in lhs:
                group = term.group
                raise FormulaError(
                    f"{group} is written twice",
                    text=self.text,
                    start=group.start,
                    stop=group.stop,
                )
        lhs.values.update(rhs.values)
        return _checked_size(lhs)

    def _bar(
        self, wrapped: Wrapped, effects: OrderedSet[Term], groups: OrderedSet[Term]
    ) -> OrderedSet[Term]:
        check_groups(len(groups))
        if len(groups) * len(effects) > MAX_TERMS:
            raise _too_many()
        out = []
        for term in groups:
            tokens = [factor.token for factor in term.factors if factor.token is not None]
            start = min(token.source_start or 0 for token in tokens)
            stop = max(token.source_end or 0 for token in tokens) + 1
            varying = tuple(sorted(effects, key=lambda t: t.degree))
            if wrapped.known.left != "effects":
                varying = position_terms(wrapped, varying, self.text)
            grouping, columns = None, tuple(decode(factor.expr) for factor in term.factors)
            if len(term.factors) == 1 and is_grouping(term.factors[0].expr):
                read = read_grouping(term.factors[0].expr, self.text, start, stop)
                grouping, columns = read if read.says_more else None, read.columns
            group = GroupTerm(
                effects=varying,
                columns=() if wrapped.one_series else columns,
                grouping=grouping,
                structure=wrapped.word,
                options=dict(wrapped.options),
                joined=wrapped.joined,
                start=start,
                stop=stop,
            )
            if not group.effects:
                raise FormulaError(
                    "nothing varies by this group: both the intercept and every slope are gone; "
                    f"write (1 | {group.name})",
                    text=self.text,
                    start=start,
                    stop=stop,
                )
            out.append(BarTerm(group))
        return OrderedSet(out)


def _limited(operator: Operator) -> Operator:
    """Let an operator that multiplies terms stop before it makes too many."""
    if operator.symbol in {"*", ":", "/"}:
        expand = operator.to_terms
        operator.to_terms = lambda *sets, context=None: _checked_products(
            expand(*sets, context=context)
        )
    return operator


def _checked_size(terms: Any) -> Any:
    if len(terms) > MAX_TERMS:
        raise _too_many()
    return terms


def _checked_products(terms: Any) -> Any:
    for term in _checked_size(terms):
        if len(term.factors) > MAX_FACTORS:
            raise FormulaError(f"a product of more than {MAX_FACTORS} columns is no term")
    return terms


def _too_many() -> FormulaError:
    return FormulaError(f"the formula has more than {MAX_TERMS} terms")


def _is_plus(operator: Operator) -> bool:
    return operator.symbol == "+" and operator.arity == 2


def _inside_parentheses(context: list[Token | Operator]) -> bool:
    return bool(context) and isinstance(context[-1], Token) and context[-1].token == "("


def _power(base: OrderedSet[Term], exponent: OrderedSet[Term]) -> OrderedSet[Term]:
    """``(a + b)**2``: all interactions up to the order of the exponent."""
    (factor,) = _single_factor(exponent)
    number = factor.expr if factor.expr.isdecimal() and len(factor.expr) < 10 else "0"
    if not 1 <= int(number) <= MAX_POWER:
        written = decode(factor.expr)[:20]
        raise FormulaError(
            f"the exponent in `**{written}` must be an integer from 1 to {MAX_POWER}: "
            "(a + b)**2 means a + b + a:b; for a square write I(x**2)"
        )
    order = int(number)
    for term in base:
        group = group_inside(term)
        if group is not None:
            raise FormulaError(f"{group} cannot be multiplied; group terms are joined by +")
    products = made = OrderedSet(base)
    while order > 1 and len(made):
        if len(made) * len(base) > MOST_PRODUCTS:
            raise _too_many()
        made = OrderedSet(a * b for a in made for b in base) - products
        products = _checked_size(products | made)
        order -= 1
    return products


def _inside(nested: OrderedSet[Term], parents: OrderedSet[Term]) -> OrderedSet[Term]:
    """``a %in% (b + c)`` as R reads it: each term of the left by all those of the right."""
    parent = functools.reduce(lambda x, y: x * y, parents)
    return _checked_products(OrderedSet(term * parent for term in nested))


def _single_factor(terms: Iterable[Term]) -> tuple[Any, ...]:
    listed = list(terms)
    if len(listed) == 1 and len(listed[0].factors) == 1:
        return listed[0].factors
    return (Factor("(...)"),)
