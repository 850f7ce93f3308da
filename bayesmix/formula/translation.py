"""formulaic's complaints about a formula, in the words of this package."""

from __future__ import annotations

import re

from formulaic.errors import FormulaicError

from bayesmix.errors import FormulaError
from bayesmix.formula.brackets import NUMBERS
from bayesmix.formula.quoting import decode

__all__ = ["from_formulaic", "joined_to_tilde"]

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_OPERATORS = frozenset({"*", "/", ":", "**", "^", "|", "||", "%in%"})
_NEGATION = "`!` is no operator of a formula; write {x == 0}"
_COMPARISONS = frozenset({"<", ">", "=", "!", "==", "!=", "<=", ">="})
_ARITHMETIC = frozenset({"&", "%", "//", "~="})


def from_formulaic(error: FormulaicError, text: str) -> FormulaError:
    """Translate an error of formulaic, whose message marks the place itself.

    Parameters
    ----------
    error : FormulaicError
    text : str
        The formula.

    Returns
    -------
    FormulaError
    """
    reason, _, marked = decode(_ANSI.sub("", str(error))).partition("\n\n")
    start = stop = None
    if "⧛" in marked:
        start, stop = marked.index("⧛"), marked.index("⧚") - 1
    return FormulaError(_reason(reason, text, start), text=text, start=start, stop=stop)


def joined_to_tilde(operator: str) -> str:
    """Say what is wrong with an operator right beside the tilde, such as ``~ *``."""
    others = operator.replace("~", "", 1)
    if "~" in others:
        return "one tilde, between the two sides"
    if others in _OPERATORS or set(others) <= set("+-"):
        return f"a term is missing between the tilde and `{others}`"
    return _NEGATION if others == "!" else _no_operator(others)


def _reason(reason: str, text: str, start: int | None) -> str:
    named = re.search(r"(?:Operator `|Unknown operator ')(.+?)['`]", reason)
    operator = named[1] if named else ""
    if reason.startswith("Missing operator"):
        return (
            f"{reason.rstrip('.')}: is a + missing? A column's name with a space goes between "
            "backquotes"
        )
    if reason.startswith("Unknown operator"):
        return _unknown(operator, text, start)
    if "misplaced" in reason:
        if operator in _OPERATORS or set(operator) <= set("+-"):
            return f"a term is missing beside `{operator}`: write it, or take the `{operator}` out"
        return _no_operator(operator)
    if "incorrectly used" in reason and operator in {"|", "||"}:
        return f"group terms stand in round parentheses: (x {operator} g)"
    if "quote context" in reason:
        closing = reason.rpartition(" ")[2]
        if closing == "%":
            return _no_operator("%")
        return f"the formula ends where a {closing} is missing"
    signs = re.search(r"%%+(\w*)%*", text)
    if reason.startswith("Unexpected token") and signs:
        name = signs[1] or "%"
        return f"`{signs[0]}` is no operator of a formula; " + (
            "nesting is written f %in% g" if name == "in" else "for arithmetic write {x % z}"
        )
    if reason.startswith(("Numeric literals", "Term already seen with a different numerical")):
        return NUMBERS
    if reason.startswith("String literals"):
        return "text in quotes is no term: write a column's name without them, or in backquotes"
    return reason


def _unknown(operator: str, text: str, start: int | None) -> str:
    tilde = text.find("~")
    left = text[:tilde].strip()
    if operator == "!" and start is not None and text[start : start + 2] != "!=":
        return _NEGATION
    if operator in _COMPARISONS and start is not None and start < tilde and "{" not in left:
        left = left.replace("=", "==") if operator == "=" and "==" not in left else left
        return f"a comparison stands in braces: write {{{left}}} ~ ..."
    if f"%{operator}%" in text:
        operator = f"%{operator}%"
    return _no_operator(operator)


def _no_operator(operator: str) -> str:
    if operator in _COMPARISONS:
        return "a comparison stands in braces, as in {x > 0}"
    if operator in _ARITHMETIC:
        return f"`{operator}` is no operator between terms; for arithmetic write {{x {operator} z}}"
    if operator in {",", ";"}:
        return f"terms are joined by +, not by `{operator}`"
    return f"`{operator}` is no operator of a formula"
