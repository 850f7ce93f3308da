"""Where the bars of a formula stand, and whether each has its two sides."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from formulaic.parser.types import Token

from bayesmix.errors import FormulaError
from bayesmix.formula.functions import HINTS, hint_for
from bayesmix.formula.grouping import is_grouping
from bayesmix.formula.quoting import decode

__all__ = ["NUMBERS", "Bracket", "check_bars", "made_group", "outside_brackets"]

NUMBERS = "numbers other than 0 and 1 are no terms; for arithmetic write {2 * x} or {x / 2}"

_CATEGORIES = frozenset(
    {"C", "factor", "as.factor", "ordered", "as.ordered", "as.character", "mo", "dummy"}
)
_PRODUCTS = frozenset({"interaction", "paste", "paste0"})
_GROUPING_OPERATORS = frozenset({":", "/", "*", "+"})
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_COMPARES = frozenset("<>=!")
_NO_OPERATORS = _COMPARES | frozenset("%&@$;,")  # refused by the parser in their own words


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """Positions, among the tokens, of one ``( ... | ... )``."""

    opener: int
    bar: int
    closer: int


def check_bars(text: str, tokens: list[Token], tilde: int) -> list[Bracket]:
    """Find every group term and check what can be checked before parsing.

    Parameters
    ----------
    text : str
        The formula.
    tokens : list of Token
        Its tokens.
    tilde : int
        Position of the tilde among `tokens`.

    Returns
    -------
    list of Bracket

    Raises
    ------
    FormulaError
        For a bar outside parentheses or on the left-hand side, an empty side, a
        second bar in one group term, an unpaired parenthesis, or a grouping
        factor that is not made of column names.
    """
    brackets: list[Bracket] = []
    openers: list[int] = []
    bars: dict[int, int] = {}
    pairs = {"(": ")", "[": "]"}
    for position, token in enumerate(tokens):
        if token.kind is Token.Kind.CONTEXT and token.token in "([":
            openers.append(position)
        elif token.kind is Token.Kind.CONTEXT:
            if not openers:
                raise _error("a parenthesis is closed that was never opened", text, token)
            opener = openers.pop()
            if pairs[tokens[opener].token] != token.token:
                raise _error(f"`{tokens[opener].token}` is closed by `{token.token}`", text, token)
            if opener == position - 1:
                raise _error("nothing stands between these parentheses", text, token)
            if opener in bars:
                bracket = Bracket(opener=opener, bar=bars.pop(opener), closer=position)
                _check_sides(text, tokens, bracket)
                brackets.append(bracket)
        elif token.kind is Token.Kind.OPERATOR and "|" in token.token:
            _check_bar(text, token, position, tilde, openers, bars)
            bars[openers[-1]] = position
    if openers:
        raise _error("this parenthesis is never closed", text, tokens[openers[-1]])
    _check_zeros(text, tokens, {b.opener: b for b in brackets})
    _check_slashes(text, tokens[tilde + 1 :])
    _check_numbers(text, tokens)
    return brackets


def outside_brackets(text: str) -> Iterator[tuple[int, str]]:
    """The characters outside brackets and quotes, and closing ones too many, with positions."""
    depth, quote = 0, ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "`\"'":
            quote = character
        elif character in _PAIRS:
            depth += 1
        elif character in _PAIRS.values() and depth > 0:
            depth -= 1
        elif depth == 0:
            yield at, character


def _check_bar(
    text: str,
    token: Token,
    position: int,
    tilde: int,
    openers: list[int],
    bars: dict[int, int],
) -> None:
    if position < tilde:
        raise _error(
            "a `|` cannot stand on the left-hand side: what is given per row goes into "
            "proportion, event, censored, truncated or weighted(...), and the total of counts "
            "behind them, cbind(a, b, c) | trials(n)",
            text,
            token,
        )
    if not openers:
        raise _error("a `|` stands outside parentheses: write group terms as (x | g)", text, token)
    if openers[-1] in bars:
        raise _error(
            "two bars in one group term: write one (x | g) for each grouping factor", text, token
        )
    if token.token not in {"|", "||"}:
        raise _error(f"a term is missing beside the bar of `{token.token}`", text, token)


def _check_sides(text: str, tokens: list[Token], bracket: Bracket) -> None:
    bar = tokens[bracket.bar]
    if bracket.bar == bracket.opener + 1:
        raise _error("nothing stands before the bar: write (1 | g) for an intercept", text, bar)
    if bracket.closer == bracket.bar + 1:
        raise _error("no grouping factor stands behind the bar", text, bar)
    for token in tokens[bracket.bar + 1 : bracket.closer]:
        if token.kind is Token.Kind.PYTHON:
            if not is_grouping(token.token):
                raise made_group(text, token)
            if bracket.closer > bracket.bar + 2:
                raise _error(
                    f"`{decode(token.token)}` stands alone behind the bar; nested and crossed "
                    "factors are terms of their own: (1 | a) + (1 | gr(b, cov=A))",
                    text,
                    token,
                )
        if token.kind is Token.Kind.VALUE:
            raise _error(f"a grouping factor is a column, not the literal {token}", text, token)
        if token.kind is Token.Kind.OPERATOR and token.token not in _GROUPING_OPERATORS:
            written = "%in%" if token.token == "in" else token.token
            raise _error(
                f"`{written}` cannot join grouping factors: use a:b, a/b or a*b", text, token
            )


def made_group(text: str, token: Token) -> FormulaError:
    """Build the error for an expression in the place of a grouping factor."""
    return _error(_instead_of(decode(token.token)), text, token)


def _instead_of(written: str) -> str:
    found = re.fullmatch(r"([A-Za-z][\w.]*)\(\s*([\w.\s,`]+?)\s*\)", written)
    name, inside = found.groups() if found else ("", "")
    if name in _CATEGORIES and "," not in inside:
        return f"`{inside}` is enough behind the bar: its levels are categories anyway"
    if name in _PRODUCTS and "," in inside:
        return f"write {':'.join(part.strip() for part in inside.split(','))} behind the bar"
    called = re.match(r"([A-Za-z][\w.]*)\(", written)
    name = called[1] if called else ""
    if name in HINTS and name not in _CATEGORIES | _PRODUCTS:
        return f"`{written}` is no grouping factor here: {hint_for(name)}"
    return (
        f"a grouping factor is made of columns, not of `{written}`: "
        "add it to the data as a column first"
    )


def _check_zeros(text: str, tokens: list[Token], brackets: dict[int, Bracket]) -> None:
    """Refuse a 0 or -1 inside parentheses of its own, where it would not be heard."""
    openers: list[int] = []
    for position, token in enumerate(tokens):
        if token.kind is Token.Kind.CONTEXT:
            if token.token in "([":
                openers.append(position)
            else:
                openers.pop()
            continue
        before = tokens[position - 1].token if position else ""
        after = tokens[position + 1].token if position + 1 < len(tokens) else ""
        removes = token.token == "0" or (token.token == "1" and before.endswith("-"))
        if _COMPARES & {*before, *after}:
            continue
        if removes and token.kind is Token.Kind.VALUE and openers and openers[-1] not in brackets:
            raise _error(
                "an intercept cannot be removed inside parentheses: write 0 or -1 at the top "
                "of the formula, or right inside (0 + x | g); for arithmetic write {...}",
                text,
                token,
            )


def _check_slashes(text: str, tokens: list[Token]) -> None:
    """Refuse (1 / g), a slip for (1 | g) that would be read as a fixed effect."""
    for token, operator in itertools.pairwise(tokens):
        if token.kind is Token.Kind.VALUE and operator.token == "/":
            raise _error(
                f"nothing can be nested in the number {token.token}: write (1 | g) for an "
                f"intercept that varies by g; for arithmetic write {{{token.token} / x}}",
                text,
                operator,
            )


def _check_numbers(text: str, tokens: list[Token]) -> None:
    """Refuse numbers among terms: formulaic multiplies columns by them and keeps their names."""
    for position, token in enumerate(tokens):
        before = tokens[position - 1].token if position else ""
        after = tokens[position + 1].token if position + 1 < len(tokens) else ""
        if token.kind is not Token.Kind.VALUE or not re.match(r"[.\d]", token.token):
            continue
        is_exponent = before.startswith(("**", "^"))
        refused_elsewhere = _NO_OPERATORS & {*before, *after} or "//" in {before, after}
        if not is_exponent and not refused_elsewhere and token.token not in {"0", "1"}:
            raise _error(NUMBERS, text, token)


def _error(message: str, text: str, token: Token) -> FormulaError:
    start = token.source_start
    stop = None if token.source_end is None else token.source_end + 1
    return FormulaError(message, text=text, start=start, stop=stop)
