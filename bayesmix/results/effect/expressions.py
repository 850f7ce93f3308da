"""Hypotheses as text: arithmetic over the names of parameters, without evaluating any code."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import special

from bayesmix.arguments import did_you_mean
from bayesmix.errors import FormulaError

__all__ = ["Expression", "ParsedHypothesis", "Relation", "parse_hypothesis"]

Relation = Literal["=", ">", "<"]

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "logit": special.logit,
    "inv_logit": special.expit,
}
_OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_RELATIONS: dict[str, Relation] = {
    "==": "=", "=": "=", ">=": ">", "<=": "<", ">": ">", "<": "<",
}  # fmt: skip
_SYMBOL = re.compile(r"\*\*|[-+*/^()]")
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_WORD = re.compile(r"[^\s+\-*/^<>=!~]+")
_RELATION = re.compile(r"[<>=!~]+")
_JOINING = re.compile(r"[,;&|]|(and|or)\b")  # what may part two hypotheses in one text
_LONGEST = 10_000  # characters
_MOST_PARTS = 400  # numbers, names and signs: the arithmetic is read recursively


@dataclass(frozen=True, slots=True)
class Expression:
    """An arithmetic expression over named parameters.

    Attributes
    ----------
    tree : ast.expr
        Over names ``_0``, ``_1``, ...
    names : tuple of str
        What these stand for.
    """

    tree: ast.expr
    names: tuple[str, ...]

    def value(self, values: Mapping[str, Any]) -> np.ndarray:
        """Return the value at values of the parameters, in their shape."""
        with np.errstate(all="ignore"):
            return np.asarray(self._value(self.tree, values), dtype=np.float64)

    def linear(self) -> tuple[float, dict[str, float]] | None:
        """Return the constant and the coefficients; None if it is not linear."""
        return self._linear(self.tree)

    def _name(self, node: ast.Name) -> str:
        return self.names[int(node.id[1:])]

    def _value(self, node: ast.expr, values: Mapping[str, Any]) -> Any:
        match node:
            case ast.Constant(value=number):
                return float(number)  # type: ignore[arg-type]
            case ast.Name():
                return values[self._name(node)]
            case ast.UnaryOp(operand=operand):
                sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
                return sign * self._value(operand, values)
            case ast.BinOp(left=left, op=op, right=right):
                one, other = self._value(left, values), self._value(right, values)
                return _OPERATIONS[type(op)](one, other)
            case ast.Call(func=ast.Name(id=function), args=[argument]):
                return _FUNCTIONS[function](self._value(argument, values))
        raise TypeError(ast.dump(node))

    def _linear(self, node: ast.expr) -> tuple[float, dict[str, float]] | None:
        if not any(isinstance(part, ast.Name) and part.id[0] == "_" for part in ast.walk(node)):
            with np.errstate(all="ignore"):
                return float(self._value(node, {})), {}
        if isinstance(node, ast.Name):
            return 0.0, {self._name(node): 1.0}
        if isinstance(node, ast.UnaryOp):
            return _scaled(
                self._linear(node.operand), -1.0 if isinstance(node.op, ast.USub) else 1.0
            )
        if not isinstance(node, ast.BinOp):
            return None
        one, other = self._linear(node.left), self._linear(node.right)
        if one is None or other is None:
            return None
        if isinstance(node.op, ast.Add | ast.Sub):
            sign = 1.0 if isinstance(node.op, ast.Add) else -1.0
            names = dict.fromkeys([*one[1], *other[1]])
            weights = {n: one[1].get(n, 0.0) + sign * other[1].get(n, 0.0) for n in names}
            return one[0] + sign * other[0], weights
        if isinstance(node.op, ast.Mult) and not one[1]:
            return _scaled(other, one[0])
        if isinstance(node.op, ast.Mult) and not other[1]:
            return _scaled(one, other[0])
        if isinstance(node.op, ast.Div) and not other[1] and other[0] != 0:
            return _scaled(one, 1.0 / other[0])
        return None


def _scaled(
    found: tuple[float, dict[str, float]] | None, factor: float
) -> tuple[float, dict[str, float]] | None:
    if found is None:
        return None
    return factor * found[0], {name: factor * weight for name, weight in found[1].items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedHypothesis:
    """A hypothesis: the left minus the right side, and how it relates to zero.

    Attributes
    ----------
    text : str
    difference : Expression
    relation : {"=", ">", "<"}
    """

    text: str
    difference: Expression
    relation: Relation


def parse_hypothesis(text: str, known: Mapping[str, str]) -> ParsedHypothesis:
    """Read a hypothesis such as ``"2 * x > z"``.

    Names of parameters are matched first, the longest first, so that they may hold
    brackets, colons and operators. A name in backticks is taken as it is.

    Parameters
    ----------
    text : str
    known : mapping of str to str
        What parameters may be called, and their one name.

    Returns
    -------
    ParsedHypothesis

    Raises
    ------
    FormulaError
        If it cannot be read, or a name is not known.
    """
    if not isinstance(text, str) or not text.strip():
        raise FormulaError(f'a hypothesis is text such as "x > 0", not {text!r}')
    if len(text) > _LONGEST:
        raise FormulaError(
            f"the hypothesis has {len(text)} characters; at most {_LONGEST} are read"
        )
    reader = _Reader(text, known)
    sides, relation = reader.sides()
    try:
        tree = ast.parse(f"({sides[0]}) - ({sides[1]})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormulaError(
            f'the hypothesis `{text}` is no arithmetic; write such as "2 * x - z > 1", with '
            f"+ - * / ^ and {', '.join(f'{name}()' for name in _FUNCTIONS)}"
        ) from error
    _check(tree, text)
    return ParsedHypothesis(
        text=" ".join(text.split()),
        difference=Expression(tree, tuple(reader.names)),
        relation=relation,
    )


class _Reader:
    """Turns a hypothesis into two sides of Python's arithmetic over ``_0``, ``_1``, ..."""

    def __init__(self, text: str, known: Mapping[str, str]) -> None:
        self._text = text
        self._known = known
        self._patterns = [(_pattern(name), name) for name in known]
        self.names: list[str] = []

    def sides(self) -> tuple[list[str], Relation]:
        """Return both sides and what is between them."""
        text, at, parts = self._text, 0, 0
        sides: list[str] = [""]
        relations: list[str] = []
        while at < len(text):
            if text[at].isspace():
                at += 1
                continue
            found = _RELATION.match(text, at)
            if found:
                if found.group() not in _RELATIONS or relations:
                    raise FormulaError(
                        _no_relation(found.group()), text=text, start=at, stop=found.end()
                    )
                relations.append(found.group())
                sides.append("")
                at = found.end()
                continue
            joined = _JOINING.match(text, at)
            said = bool(relations and sides[-1])
            if joined and said and sides[-1].count("(") == sides[-1].count(")"):
                parted = [part.strip() for part in (text[:at], text[joined.end() :])]
                raise FormulaError(
                    f"one hypothesis in a text: give a list of them, {parted}",
                    text=text, start=at, stop=joined.end(),
                )  # fmt: skip
            token, at = self._token(at)
            parts += 1
            if parts > _MOST_PARTS:
                raise FormulaError(f"the hypothesis has more than {_MOST_PARTS} parts")
            sides[-1] += f" {token}"
        if not relations:
            raise FormulaError(
                f"the hypothesis `{text.strip()}` has no relation; write it with =, < or >, such "
                f'as "{text.strip()} > 0"'
            )
        for side in sides:
            if not side:
                raise FormulaError(f"the hypothesis `{text.strip()}` has nothing on one side")
        return sides, _RELATIONS[relations[0]]

    def _token(self, at: int) -> tuple[str, int]:
        text = self._text
        if text[at] == "`":
            end = text.find("`", at + 1)
            name = text[at + 1 : end]
            if end < 0 or name not in self._known:
                raise self._unknown(name if end > 0 else text[at:], at, max(end + 1, at + 1))
            return self._placeholder(name), end + 1
        longest = max(
            (
                (found.end(), text[at : found.end()] == name, name)
                for pattern, name in self._patterns
                if (found := pattern.match(text, at))
            ),
            default=None,
        )
        if longest:
            return self._placeholder(longest[2]), longest[0]
        for expression in (_NUMBER, _SYMBOL):
            found = expression.match(text, at)
            if found:
                return found.group().replace("^", "**"), found.end()
        for function in _FUNCTIONS:
            found = re.compile(rf"{function}\s*(?=\()").match(text, at)
            if found:
                return function, found.end()
        word = _WORD.match(text, at)
        stop = _closed(text, at, word.end()) if word else at + 1
        raise self._unknown(text[at:stop], at, stop)

    def _placeholder(self, name: str) -> str:
        canonical = self._known[name]
        if canonical not in self.names:
            self.names.append(canonical)
        return f"_{self.names.index(canonical)}"

    def _unknown(self, word: str, start: int, stop: int) -> FormulaError:
        near = did_you_mean(word, self._known, n=3, cutoff=0.5).strip()
        advice = near or f"known are {', '.join(map(repr, list(self._known)[:12]))}"
        return FormulaError(
            f"the model has no parameter {word!r}; {advice}",
            text=self._text, start=start, stop=stop,
        )  # fmt: skip


def _no_relation(written: str) -> str:
    if written in {"!=", "<>", "~=", "=!"}:
        return f"`{written}` is not weighed: write =, whose result speaks for or against equality"
    return "a hypothesis has one relation: =, < or >"


def _closed(text: str, start: int, stop: int) -> int:
    """End of a word that begins at `start`, with the bracket in it that `stop` leaves open."""
    opened = text[start:stop].count("(") - text[start:stop].count(")")
    end = stop
    while opened > 0 and end < len(text):
        opened += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    return stop if opened > 0 else end


def _pattern(name: str) -> re.Pattern[str]:
    """Matches a name, with other spaces in it, and nothing that only begins like it."""
    inside = r"\s*".join(re.escape(part) for part in name.split())
    ending = r"(?![\w.\[(:])" if re.search(r"[\w\])]$", name) else ""
    return re.compile(inside + ending)


def _check(node: ast.expr, text: str) -> None:
    """Let through arithmetic only."""
    for part in ast.walk(node):
        fine = isinstance(
            part, ast.BinOp | ast.Name | ast.operator | ast.USub | ast.UAdd | ast.Load
        )
        fine = fine or (isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub | ast.UAdd))
        fine = fine or (isinstance(part, ast.Constant) and type(part.value) in {int, float})
        if isinstance(part, ast.Constant) and fine and not _is_finite(part.value):
            raise FormulaError(f"the hypothesis `{text[:60]}` holds a number beyond 1e308")
        if isinstance(part, ast.Call):
            called = isinstance(part.func, ast.Name) and part.func.id in _FUNCTIONS
            fine = called and len(part.args) == 1 and not part.keywords
        if isinstance(part, ast.operator) and type(part) not in _OPERATIONS:
            fine = False
        if not fine:
            raise FormulaError(
                f"the hypothesis `{text}` holds more than arithmetic: + - * / ^ and "
                f"{', '.join(f'{name}()' for name in _FUNCTIONS)}"
            )


def _is_finite(number: Any) -> bool:
    try:
        return bool(np.isfinite(float(number)))
    except OverflowError:  # a whole number with more digits than a double has room for
        return False
