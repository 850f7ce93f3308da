"""From the text of a formula to its terms, on top of formulaic's parser."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

from formulaic.errors import FormulaicError
from formulaic.parser.algos.sanitize_tokens import sanitize_tokens
from formulaic.parser.algos.tokenize import tokenize
from formulaic.parser.parser import DefaultFormulaParser
from formulaic.parser.types import Factor, OrderedSet, Term, Token
from formulaic.parser.utils import merge_operator_tokens, replace_tokens

from bayesmix.errors import FormulaError
from bayesmix.formula.bars import BarTerm, MixedOperatorResolver, group_inside
from bayesmix.formula.bounds import LONGEST_PIECE, check_groups, check_offsets, check_tokens
from bayesmix.formula.brackets import check_bars, made_group
from bayesmix.formula.grouping import is_grouping
from bayesmix.formula.quoting import decode, empty_name_at, encode
from bayesmix.formula.readable import check_text
from bayesmix.formula.remaining import remaining_columns
from bayesmix.formula.response import is_response_function, quotient_of, read_response
from bayesmix.formula.safety import ExpressionError, read_expression
from bayesmix.formula.smooths import is_smooth, read_smooth
from bayesmix.formula.terms import Formula, GroupTerm, Piece, SmoothTerm
from bayesmix.formula.tokens import (
    check_percent,
    encoded,
    encoded_name,
    find_tilde,
    has_dot,
    names_in,
    split_tilde,
    with_trials,
)  # fmt: skip
from bayesmix.formula.translation import from_formulaic
from bayesmix.formula.uses import Uses, columns_used, find_name, place_of
from bayesmix.formula.wrapped import joined_bars, unwrapped

__all__ = ["parse_formula"]


def parse_formula(
    text: str,
    *,
    available: Sequence[str] | None = None,
    functions: Mapping[str, Any] | None = None,
) -> Formula:
    """Read a mixed-model formula.

    Parameters
    ----------
    text : str
        A formula such as ``"Reaction ~ Days + (Days | Subject)"``. It may
        extend over several lines.
    available : sequence of str, optional
        The columns of the data, needed only where the formula writes ``.``
        (every column that is not used otherwise).
    functions : mapping of str to callable, optional
        Functions that the formula may call beside the built-in ones.

    Returns
    -------
    Formula

    Raises
    ------
    FormulaError
        If the text is not a formula, or holds a piece that is not allowed.

    Examples
    --------
    >>> formula = parse_formula("y ~ x + (x || school/class)")
    >>> [str(term) for term in formula.groups]
    ['(1 + x || school)', '(1 + x || school:class)']
    """
    if not isinstance(text, str):
        raise FormulaError(f"a formula is text like 'y ~ x + (x | g)', not {type(text).__name__}")
    check_text(text)
    if functions is not None and not isinstance(functions, Mapping):
        raise FormulaError(f"functions= takes a dict of functions, not {type(functions).__name__}")
    _check_functions(functions or {})
    if "." in text:  # a dot asks which columns there are, and may warn of some
        columns = None if available is None else tuple(available)
        return _parsed.__wrapped__(text, columns, tuple(functions or ()))
    return _parsed(text, None, tuple(functions or ()))


@functools.lru_cache(maxsize=256)
def _parsed(text: str, available: tuple[str, ...] | None, functions: tuple[str, ...]) -> Formula:
    """What a text says is the same each time, and reading it takes longer than a small fit."""
    parser = _MixedFormulaParser(operator_resolver=MixedOperatorResolver(), functions=functions)
    try:
        lhs, rhs = parser.read(text, available)
        return _assemble(text, lhs, rhs, functions)
    except FormulaicError as error:
        raise from_formulaic(error, text) from error
    except ExpressionError as error:
        raise _pointed(text, str(error), error.piece) from error
    except SyntaxError as error:
        raise FormulaError(f"this is not readable: {error.msg}", text=text) from error
    except (RecursionError, MemoryError):
        raise FormulaError("the formula is nested too deeply to be read") from None


class _MixedFormulaParser(DefaultFormulaParser):
    """formulaic's parser with bars, its tokens checked before they become terms."""

    def __init__(
        self, operator_resolver: MixedOperatorResolver, functions: Collection[str]
    ) -> None:
        super().__init__(operator_resolver=operator_resolver, include_intercept=False)
        self.functions = functions
        self.available: Sequence[str] | None = None

    def read(
        self, text: str, available: Sequence[str] | None
    ) -> tuple[OrderedSet[Term], OrderedSet[Term]]:
        self.operator_resolver.text = text
        self.available = available
        terms = self.get_terms(text, context={})
        return terms.lhs, terms.rhs

    def _check_expression(self, expr: str, left: bool) -> None:
        if left and is_response_function(expr, self.functions):
            read_response(expr, self.functions)
        elif not left and is_smooth(expr, self.functions):
            read_smooth(expr, self.functions)
        else:
            read_expression(_without_offset(expr)[0], self.functions)

    def _checked_tokens(self, formula: str) -> list[Token]:
        """Tokens with encoded names, whose expressions have been read."""
        empty = empty_name_at(formula)
        if empty is not None:
            raise FormulaError(
                "no name stands between these backquotes; give the column one",
                text=formula, start=empty, stop=empty + 2,
            )  # fmt: skip
        raw, self.operator_resolver.wrapped = unwrapped(
            formula, list(tokenize(formula)), self.functions
        )
        raw = with_trials(joined_bars(raw, self.operator_resolver.wrapped))
        check_tokens(len(raw))
        left, behind_bar = True, False  # left of the tilde; in the place of a grouping factor
        for token in raw:
            if token.kind is Token.Kind.OPERATOR:
                check_percent(formula, token)
                left = left and "~" not in token.token
                behind_bar = "|" in token.token or (behind_bar and "~" not in token.token)
            elif token.kind is Token.Kind.CONTEXT:
                behind_bar = False
            elif token.kind is Token.Kind.PYTHON:
                token.token = encoded(token.token)
                if left or not behind_bar:
                    self._check_expression(token.token, left)
                elif not is_grouping(token.token):
                    raise made_group(formula, token)
            elif token.kind is Token.Kind.NAME:
                token.token = encoded_name(formula, token)
        return raw

    def _smoothed(self, tokens: list[Token]) -> set[str]:
        """Columns whose straight line is part of a smooth already, and not of the dot."""
        python = [token.token for token in tokens if token.kind is Token.Kind.PYTHON]
        smooths = [read_smooth(e, self.functions) for e in python if is_smooth(e, self.functions)]
        return {name for smooth in smooths for name in (*smooth.variables, encode(smooth.group))}

    def get_tokens_from_formula(
        self, formula: str, *, context: MutableMapping[str, Any]
    ) -> Iterable[Token]:
        """Tokens with the intercepts written out, on the right and in each group."""
        raw = self._checked_tokens(formula)
        tokens = split_tilde(sanitize_tokens(iter(raw)))
        tilde = find_tilde(formula, tokens)
        brackets = check_bars(formula, tokens, tilde)
        check_groups(len(brackets))
        if has_dot(formula, tokens, self.available is not None):
            named = {decode(name) for name in names_in(tokens)}
            columns = remaining_columns(self.available or (), named)
            context["__formulaic_variables_available__"] = [encode(name) for name in columns]
        used = names_in(tokens[:tilde]) | {
            name for b in brackets for name in names_in(tokens[b.bar + 1 : b.closer])
        }
        used |= self._smoothed(tokens[tilde + 1 :])
        context["__formulaic_variables_used_lhs__"] = used

        # `1 +` at the start of the right-hand side and of each group term; the
        # term algebra then takes it away again where 0 or -1 is written.
        wrapped = self.operator_resolver.wrapped
        starts = {tilde + 1}
        for bracket in brackets:
            own = wrapped.get(tokens[bracket.bar].source_start or 0)
            if own is None or own.known.left == "effects":
                starts.add(bracket.opener + 1)
        written: list[Token] = []
        for position, token in enumerate([*tokens, Token("")]):
            if position in starts:
                written.append(Token("1", kind=Token.Kind.VALUE))
                if token.kind is not Token.Kind.OPERATOR or token.token[0] not in "+-":
                    written.append(Token("+", kind=Token.Kind.OPERATOR))
            if token.token:
                written.append(token)
        minus_one = [
            Token("-", kind=Token.Kind.OPERATOR),
            Token("1", kind=Token.Kind.VALUE),
        ]
        folded = replace_tokens(written, "0", minus_one, kind=Token.Kind.VALUE)
        return list(merge_operator_tokens(folded, symbols={"+", "-"}))


def _assemble(
    text: str, lhs: OrderedSet[Term], rhs: OrderedSet[Term], functions: tuple[str, ...]
) -> Formula:
    response, extras, counts = _response(text, list(lhs), functions)
    fixed: list[Term] = []
    offsets: list[Piece] = []
    groups: list[GroupTerm] = []
    smooths: list[SmoothTerm] = []
    for term in rhs:
        group = group_inside(term)
        if isinstance(term, BarTerm):
            groups.append(term.group)
        elif group is not None:
            raise FormulaError(
                f"{group} cannot be multiplied; group terms are joined by +",
                text=text,
                start=group.start,
                stop=group.stop,
            )
        elif any(_without_offset(factor.expr)[1] for factor in term.factors):
            offsets.append(_offset(text, term))
        elif any(is_smooth(factor.expr, functions) for factor in term.factors):
            smooths.append(_smooth(text, term, functions))
        else:
            fixed.append(term)
    fixed.sort(key=lambda term: term.degree)
    for term in fixed:
        if [factor.expr for factor in term.factors] == [response.expr]:
            start, stop = place_of(term.factors[0])
            raise _own_predictor(text, response, start, stop)
    groups += [_group_of(smooth) for smooth in smooths if smooth.kind == "re"]
    smooths = [smooth for smooth in smooths if smooth.kind != "re"]
    _check_smooths(text, smooths)
    check_groups(len(groups) + len(smooths))
    check_offsets(len(offsets))
    groups = _checked_groups(text, _same_order(groups), functions)
    pieces = [*(counts or (response,)), *extras.values()]
    uses = columns_used(pieces, fixed, offsets, groups, smooths, Uses(text, functions))
    for piece in counts or (response,):
        if len(uses.roles.get(piece.text, ())) > 1:
            raise _own_predictor(text, piece, piece.start, piece.stop)
    if "Intercept" in uses.roles:
        start, stop = uses.places["Intercept"]
        raise FormulaError(
            "a column called `Intercept` cannot be told from the intercept; rename it",
            text=text,
            start=start,
            stop=stop,
        )
    return Formula(
        text=text,
        response=response,
        extras=extras,
        counts=counts,
        fixed=tuple(fixed),
        offsets=tuple(offsets),
        groups=tuple(groups),
        smooths=tuple(smooths),
        columns={name: tuple(roles) for name, roles in uses.roles.items()},
        places=uses.places,
        categorical=frozenset(uses.categorical),
        numeric=frozenset(uses.numeric),
        called=frozenset(uses.called),
    )


def _response(
    text: str, terms: list[Term], functions: tuple[str, ...]
) -> tuple[Piece, dict[str, Piece], tuple[Piece, ...]]:
    """The response, what the functions around it say of each row, and its counts, if it has."""
    if len(terms) != 1 or len(terms[0].factors) != 1 or _has_more(text, terms[0].factors[0]):
        written = text[: text.find("~")].strip()
        advice = f"for arithmetic write {{{written}}}"
        quotient = quotient_of(written)
        if quotient is not None:
            k, n = quotient
            advice = f"write proportion({k}, {n}) for successes of trials, {{{written}}} for others"
        raise FormulaError(
            f"the left-hand side must be one response, not `{written}`; {advice}",
            text=text,
            start=0,
            stop=text.find("~"),
        )
    factor = terms[0].factors[0]
    start, stop = place_of(factor)
    if factor.eval_method is Factor.EvalMethod.LITERAL:
        raise FormulaError(
            f"the response must be a column, not the literal {factor.expr}",
            text=text,
            start=start,
            stop=stop,
        )
    if factor.eval_method is Factor.EvalMethod.LOOKUP:
        return Piece(expr=factor.expr, start=start, stop=stop), {}, ()
    parts = read_response(factor.expr, functions)
    if parts.extras:
        extras = {
            name: Piece(expr=expr, start=start, stop=stop) for name, expr in parts.extras.items()
        }
        if parts.counts:
            counts = tuple(Piece(expr=expr, start=start, stop=stop) for expr in parts.counts)
            return Piece(expr=parts.response, start=start, stop=stop), extras, counts
        start, stop = find_name(text, decode(parts.response), start, stop)
        return Piece(expr=parts.response, start=start, stop=stop), extras, ()
    return Piece(expr=factor.expr, start=start, stop=stop), {}, ()


def _has_more(text: str, factor: Factor) -> bool:
    """Whether more than one factor is written on the left: ``y - z`` leaves y alone."""
    start, stop = place_of(factor)
    return bool(set(text[:start] + text[stop : text.find("~")]) & set("+-*/:^"))


def _offset(text: str, term: Term) -> Piece:
    start, stop = place_of(term.factors[0])
    inner, is_offset = _without_offset(term.factors[0].expr)
    if len(term.factors) > 1 or not is_offset:
        raise FormulaError(
            "offset(...) stands alone: it cannot be part of an interaction",
            text=text,
            start=start,
            stop=stop,
        )
    return Piece(expr=inner, start=start, stop=stop)


def _smooth(text: str, term: Term, functions: tuple[str, ...]) -> SmoothTerm:
    start = min(place_of(factor)[0] for factor in term.factors)
    stop = max(place_of(factor)[1] for factor in term.factors)
    if len(term.factors) > 1:
        shown = decode(str(term))
        raise FormulaError(
            f"{shown}: a smooth has no interactions; s(x, by=z) multiplies it with a number or "
            "has a curve for each level of a factor, t2(x, z) is a surface",
            text=text,
            start=start,
            stop=stop,
        )
    return replace(read_smooth(term.factors[0].expr, functions), start=start, stop=stop)


def _group_of(smooth: SmoothTerm) -> GroupTerm:
    """``s(g, bs="re")`` is ``(1 | g)``."""
    one = Term([Factor("1", eval_method="literal")])
    return GroupTerm(
        effects=(one,),
        columns=(smooth.group,),
        structure="us",
        start=smooth.start,
        stop=smooth.stop,
    )


def _check_smooths(text: str, smooths: list[SmoothTerm]) -> None:
    seen: dict[str, SmoothTerm] = {}
    for smooth in smooths:
        if smooth.name in seen:
            raise FormulaError(
                f"{smooth} and {seen[smooth.name]} are two smooths {smooth.name}; leave one out",
                text=text,
                start=smooth.start,
                stop=smooth.stop,
            )
        seen[smooth.name] = smooth


def _without_offset(expr: str) -> tuple[str, bool]:
    """The argument of ``offset(...)``, and whether `expr` is one."""
    match = re.fullmatch(r"\s*offset\s*\((.*)\)\s*", expr, re.DOTALL)
    return (match[1], True) if match else (expr, False)


def _own_predictor(text: str, response: Piece, start: int, stop: int) -> FormulaError:
    return FormulaError(
        f"the response `{response.text}` is also a predictor", text=text, start=start, stop=stop
    )


def _same_order(groups: list[GroupTerm]) -> list[GroupTerm]:
    """Write a:b and b:a the same way: they are one grouping factor."""
    first: dict[frozenset[str], tuple[str, ...]] = {}
    return [
        replace(group, columns=first.setdefault(frozenset(group.columns), group.columns))
        if group.grouping is None
        else group
        for group in groups
    ]


def _checked_groups(
    text: str, groups: list[GroupTerm], functions: tuple[str, ...]
) -> list[GroupTerm]:
    """Refuse what no reading can repair: an effect twice on one grouping factor."""
    seen: dict[tuple[str, frozenset[str]], GroupTerm] = {}
    said: dict[str, GroupTerm] = {}
    for group in groups:
        other = said.setdefault(group.name, group)
        if other.grouping != group.grouping:
            raise FormulaError(
                f"`{group.name}` is grouped by in two ways, {other.group_text} and "
                f"{group.group_text}, and results would not tell them apart: give one of the "
                f"two a copy of the column, such as `{group.columns[0]}_2`",
                text=text,
                start=group.start,
                stop=group.stop,
            )
        for effect in () if group.has_positions else group.effects:
            if any(_without_offset(factor.expr)[1] for factor in effect.factors):
                raise FormulaError(
                    "offset(...) cannot stand in a group term", text=text, start=group.start
                )
            if any(is_smooth(factor.expr, functions) for factor in effect.factors):
                raise FormulaError(
                    f"{decode(str(effect))} cannot stand in a group term; a curve for each level "
                    f'is s(x, {group.name}, bs="fs")',
                    text=text,
                    start=group.start,
                    stop=group.stop,
                )
            key = (group.name, frozenset(f.expr for f in effect.factors))
            if key in seen:
                name = "the intercept" if str(effect) == "1" else f"`{decode(str(effect))}`"
                way_out = (
                    f"write (0 + ... | {group.name}) in one of the terms"
                    if str(effect) == "1"
                    else "take it out of one of the terms"
                )
                raise FormulaError(
                    f"{name} varies by `{group.name}` in two terms, "
                    f"{seen[key]} and {group}; {way_out}",
                    text=text,
                    start=group.start,
                    stop=group.stop,
                )
            seen[key] = group
    return groups


def _check_functions(functions: Mapping[str, Any]) -> None:
    for name, function in functions.items():
        if not (isinstance(name, str) and name.isidentifier() and not name.startswith("_")):
            raise FormulaError(f"functions={{{name!r}: ...}}: not a name that can be called")
        if not callable(function):
            raise FormulaError(
                f"functions={{{name!r}: ...}}: {type(function).__name__} cannot be called"
            )


def _pointed(text: str, message: str, piece: str) -> FormulaError:
    """Point at `piece`, which is written with Python's own spacing."""
    if len(piece) > LONGEST_PIECE:
        return FormulaError(message, text=text)
    pattern = r"\s*".join(
        re.escape(part).replace("'", "['\"]") for part in re.findall(r"\w+|[^\w\s]", piece)
    )
    match = re.search(pattern, text) if pattern else None
    if match is None:
        return FormulaError(message, text=text)
    return FormulaError(message, text=text, start=match.start(), stop=match.end())
