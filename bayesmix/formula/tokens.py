"""The tokens of a formula: the tilde among them, and names as expressions can hold them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from formulaic.parser.types import Token

from bayesmix.errors import FormulaError
from bayesmix.formula.quoting import encode, encode_quoted
from bayesmix.formula.safety import ExpressionError
from bayesmix.formula.translation import joined_to_tilde

__all__ = [
    "check_percent",
    "encoded",
    "encoded_name",
    "find_tilde",
    "has_dot",
    "names_in",
    "split_tilde",
    "with_trials",
]

_TRIALS = re.compile(r"trials\((.*)\)", re.DOTALL)


def split_tilde(tokens: Iterable[Token]) -> list[Token]:
    """Part the tilde from a sign: the tokenizer makes one operator of ``~ -``."""
    out = []
    for token in tokens:
        signs = token.token[1:]
        if token.kind is Token.Kind.OPERATOR and token.token[0] == "~" and set(signs) <= set("+-"):
            out.append(token.copy_with_attrs(token="~", source_end=token.source_start))
            if signs:
                out.append(token.copy_with_attrs(token=signs, source_start=token.source_end))
        else:
            out.append(token)
    return out


def with_trials(tokens: list[Token]) -> list[Token]:
    """Put the total of ``cbind(a, b, c) | trials(n)``, brms's words, among the arguments."""
    if len(tokens) < 3 or tokens[1].token != "|" or not tokens[0].token.startswith("cbind("):
        return tokens
    total = _TRIALS.fullmatch(tokens[2].token)
    if total is None:
        return tokens
    written = f"{tokens[0].token[:-1]}, trials={total[1]})"
    return [tokens[0].copy_with_attrs(token=written, source_end=tokens[2].source_end), *tokens[3:]]


def check_percent(text: str, token: Token) -> None:
    """Refuse R's operators between percent signs, of which formulaic leaves out the signs."""
    start = token.source_start or 0
    if text[start] != "%" or token.token == "in":
        return
    written = f"%{token.token}%"
    advice = "; nesting is written f %in% g" if token.token.strip().lower() == "in" else ""
    if token.token == "/":
        advice = "; for a whole quotient write {x // z}"
    raise FormulaError(
        f"`{written}` is no operator of a formula{advice}",
        text=text,
        start=start,
        stop=start + len(written),
    )


def find_tilde(text: str, tokens: list[Token]) -> int:
    """Position of the tilde between two sides that are both there."""
    tildes = [i for i, token in enumerate(tokens) if token.kind is Token.Kind.OPERATOR
              and "~" in token.token]  # fmt: skip
    if not tildes:
        raise FormulaError(
            "a formula has a response, a tilde and predictors: y ~ x + (x | g)", text=text
        )
    start = tokens[tildes[0]].source_start
    if len(tildes) > 1 or tokens[tildes[0]].token != "~":
        last = tokens[tildes[-1]]
        reason = "one tilde, between the two sides"
        if len(tildes) == 1:
            reason = joined_to_tilde(last.token)
        raise FormulaError(reason, text=text, start=last.source_start)
    if tildes[0] == 0:
        raise FormulaError("the left-hand side is empty: name the response", text=text, start=start)
    if tildes[0] == len(tokens) - 1:
        raise FormulaError(
            "the right-hand side is empty: for an intercept alone write ~ 1",
            text=text,
            start=start,
        )
    return tildes[0]


def has_dot(text: str, tokens: list[Token], available: bool) -> bool:
    """Whether the formula writes ``.``, which is an error where there are no data."""
    dots = [t for t in tokens if t.token == "." and t.kind is Token.Kind.OPERATOR]
    if dots and not available:
        raise FormulaError(
            "`.` stands for the remaining columns, and there are no data here",
            text=text,
            start=dots[0].source_start,
        )
    return bool(dots)


def _is_dunder(text: str, token: Token) -> bool:
    quoted = text[token.source_start or 0] == "`"
    return not quoted and any(part.startswith("__") for part in token.token.split("."))


def names_in(tokens: list[Token]) -> set[str]:
    """Names of all columns, encoded as the tokens have them."""
    names: set[str] = set()
    for token in tokens:
        if token.kind is Token.Kind.NAME:
            names.add(token.token)
        elif token.kind is Token.Kind.PYTHON:
            names.update(str(variable) for variable in token.required_variables)
    return names


def encoded_name(formula: str, token: Token) -> str:
    """The name of a token as an expression can hold it."""
    if _is_dunder(formula, token):
        raise ExpressionError(
            f"a name with double underscores is not allowed in a formula: {token}; "
            "a column of that name goes between backquotes",
            token.token,
        )
    return encode(token.token)


def encoded(expression: str) -> str:
    """The expression with encoded names for what stands between backquotes."""
    try:
        return encode_quoted(expression)
    except ValueError as error:
        raise ExpressionError(
            f"`{error}` is a name of the form that bayesmix makes for its own use; a column that "
            "is called so goes between backquotes",
            str(error),
        ) from None
