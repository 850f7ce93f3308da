"""The functions of the left-hand side: what is said of each row beside its response."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from types import MappingProxyType

from bayesmix.formula.quoting import decode
from bayesmix.formula.safety import ExpressionError, read_expression, unreadable

__all__ = [
    "RESPONSE_FUNCTIONS",
    "ResponseParts",
    "is_response_function",
    "quotient_of",
    "read_response",
]

_QUOTIENT = re.compile(r"\(?\s*(`[^`]+`|[A-Za-z_][\w.]*)\s*/\s*(`[^`]+`|[A-Za-z_][\w.]*)\s*\)?")

# Each takes the response first; then what its further arguments are called in a design.
RESPONSE_FUNCTIONS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "proportion": ("trials",),
        "censored": ("status",),
        "event": ("event",),
        "truncated": ("lower", "upper"),
        "weighted": ("exponent",),
        "cbind": ("trials",),
    }
)
_SHAPES = {
    "proportion": "proportion(successes, trials)",
    "censored": "censored(y, status)",
    "event": "event(time, status)",
    "truncated": "truncated(y, lower, upper)",
    "weighted": "weighted(y, w)",
    "cbind": "cbind(a, b, c)",
}


@dataclass(slots=True)
class ResponseParts:
    """A left-hand side, taken apart.

    Attributes
    ----------
    response : str
        The expression of the response itself.
    extras : dict of str to str
        Expressions per row by what they are: "trials", "status", "event", "lower",
        "upper", "exponent".
    counts : tuple of str
        Expressions of the counts of categories, where the response is ``cbind`` of them.
    """

    response: str
    extras: dict[str, str] = field(default_factory=dict)
    counts: tuple[str, ...] = ()


def is_response_function(expr: str, functions: Collection[str] = ()) -> bool:
    """Whether an expression is one call of a function of the left-hand side."""
    name = expr.partition("(")[0].strip()
    return name in RESPONSE_FUNCTIONS and name not in functions


def quotient_of(text: str) -> tuple[str, str] | None:
    """Return the two columns of ``k / n``, None for anything else."""
    found = _QUOTIENT.fullmatch(text.strip())
    return (found[1], found[2]) if found else None


def read_response(expr: str, functions: Collection[str] = ()) -> ResponseParts:
    """Take a left-hand side apart and check its pieces.

    ``proportion(k, n)`` are k successes of n trials. ``censored(y, status)`` says with
    "left", "none" and "right" (or -1, 0, 1) whether the value is at most, is, or is at
    least y. ``event(time, status)`` is R's ``Surv``: 1 (or True) says that the event was
    seen at that time, 0 that the time is right-censored. ``truncated(y, lower, upper)`` says
    that rows outside the limits could not be seen. ``weighted(y, w)`` raises the likelihood
    of each row to the power w: it counts the row w times, which is no precision weight, and
    such a model is never collapsed. ``cbind(a, b, c)`` are counts of categories, whose total
    ``cbind(a, b, c) | trials(n)`` names.
    They nest: ``weighted(proportion(k, n), w)``.

    Parameters
    ----------
    expr : str
        The left-hand side; a column that is no Python name stands there encoded.
    functions : collection of str
        The caller's own functions, which come before those of the same name here.

    Returns
    -------
    ResponseParts

    Raises
    ------
    ExpressionError
        If a function lacks an argument or is written twice, or a piece is not allowed.
    """
    extras: dict[str, str] = {}
    counts: tuple[str, ...] = ()
    while not counts and is_response_function(expr, functions):
        try:
            node = ast.parse(expr.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise unreadable(expr) from error
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            name = expr.partition("(")[0].strip()
            raise ExpressionError(
                f"{name}(...) stands around the whole left-hand side: {_SHAPES[name]} ~ ...", name
            )
        name = node.func.id
        if name == "cbind":
            counts = tuple(ast.unparse(count) for count in node.args)
        given = _total_of(node) if counts else _arguments(node, name)
        if set(given) & set(extras):
            raise ExpressionError(f"{name}(...) is written twice on the left-hand side", name)
        extras |= given
        if {"status", "event"} <= set(extras):
            raise ExpressionError(
                "censored(...) and event(...) both say which values were seen: write one of them",
                name,
            )
        expr = f"cbind({', '.join(counts)})" if counts else ast.unparse(node.args[0])
    for piece in (*(counts or (expr,)), *extras.values()):
        if not _is_number(piece):
            read_expression(piece, functions)
    return ResponseParts(response=expr, extras=extras, counts=counts)


def _total_of(node: ast.Call) -> dict[str, str]:
    """The total of counts: the one that is named, or their sum."""
    named = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if set(named) - {"trials"}:
        wrong = next(name for name in named if name != "trials")
        raise ExpressionError(
            f"cbind has no argument `{wrong}`; write cbind(a, b, c), or cbind(a, b, c) | trials(n)",
            "cbind",
        )
    if len(node.args) < 2:
        raise ExpressionError(
            f"`{decode(ast.unparse(node))}` has {len(node.args)} category: cbind(a, b, c) has the "
            "counts of two or more, the reference first",
            "cbind",
        )
    counts = [ast.unparse(count) for count in node.args]
    for k, count in enumerate(counts):
        if count in counts[:k]:
            raise ExpressionError(
                f"`{decode(count)}` is counted twice in cbind(...)", decode(count)
            )
    total = " + ".join(count if count.isidentifier() else f"({count})" for count in counts)
    return {"trials": named.get("trials", total)}


def _arguments(node: ast.Call, name: str) -> dict[str, str]:
    """The arguments behind the response, by what they are; without those that are None."""
    wanted = RESPONSE_FUNCTIONS[name]
    found: dict[str, ast.expr] = dict(zip(wanted, node.args[1:], strict=False))
    for keyword in node.keywords:
        if keyword.arg not in wanted or keyword.arg in found:
            raise ExpressionError(
                f"{name} has no argument `{keyword.arg}` here; write {_SHAPES[name]}", name
            )
        found[keyword.arg] = keyword.value
    for key, value in found.items():
        if isinstance(value, ast.Constant) and isinstance(value.value, bool):
            found[key] = ast.Constant(int(value.value))  # True is 1, as in a column
    given = {
        key: ast.unparse(value)
        for key, value in found.items()
        if not (isinstance(value, ast.Constant) and value.value is None)
    }
    incomplete = name != "truncated" and set(given) != set(wanted)
    if len(node.args) < 1 or len(node.args) > len(wanted) + 1 or incomplete or not given:
        advice = ", where one of the limits may be None" if name == "truncated" else ""
        raise ExpressionError(f"`{decode(ast.unparse(node))}`: write {_SHAPES[name]}{advice}", name)
    return given


def _is_number(expr: str) -> bool:
    try:
        float(expr)
    except ValueError:
        return False
    return True
