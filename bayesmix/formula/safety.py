"""Check a Python expression of a formula before anything evaluates it.

formulaic evaluates the expressions of a formula with Python's `eval`. Here each
expression is read as a syntax tree first, and only what is known to be harmless
passes; the rest is refused by name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from bayesmix.formula.functions import (
    BARE_NUMPY_FUNCTIONS,
    CONTRASTS,
    HINTS,
    NUMPY_CONSTANTS,
    NUMPY_FUNCTIONS,
    TRANSFORMS,
    hint_for,
)
from bayesmix.formula.quoting import decode
from bayesmix.formula.signatures import misfit
from bayesmix.formula.structures import STRUCTURE_WORDS

__all__ = ["Expression", "ExpressionError", "read_expression", "unreadable"]

_LARGEST_INTEGER = 2**53
_LARGEST_ARGUMENT = 1000
_BINARY = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_LOGICAL = (ast.BitAnd, ast.BitOr)
_UNARY = (ast.UAdd, ast.USub, ast.Invert)
_COMPARE = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)

_NAMES_OF_REFUSED: dict[type[ast.AST], str] = {
    ast.Attribute: "attribute access",
    ast.Subscript: "a subscript",
    ast.Lambda: "a lambda",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.NamedExpr: "an assignment",
    ast.JoinedStr: "an f-string",
    ast.Starred: "a starred argument",
    ast.IfExp: "a conditional expression",
    ast.BoolOp: "`and` or `or` (write & or |)",
}


class ExpressionError(ValueError):
    """An expression that a formula must not contain.

    Parameters
    ----------
    message : str
        What is refused, and what to write instead.
    piece : str
        The refused piece as it is written.
    """

    def __init__(self, message: str, piece: str) -> None:
        self.piece = piece
        super().__init__(message)


@dataclass(slots=True)
class Expression:
    """What a checked expression uses.

    Attributes
    ----------
    columns : list of str
        Names in the place of data, in order of appearance.
    categorical : set of str
        Columns whose values are taken as categories, by ``C`` or ``hashed``.
    numeric : set of str
        Columns that stand anywhere else.
    functions : set of str
        Bare names that are called.
    """

    columns: list[str] = field(default_factory=list)
    categorical: set[str] = field(default_factory=set)
    numeric: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)


def read_expression(text: str, functions: Collection[str] = ()) -> Expression:
    """Check one Python expression of a formula and say what it uses.

    Parameters
    ----------
    text : str
        The expression; a column that is no Python name stands there encoded.
    functions : collection of str
        Further functions that may be called.

    Returns
    -------
    Expression

    Raises
    ------
    ExpressionError
        If the expression holds anything but columns, literals, operators and
        calls of known functions.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise unreadable(text) from error
    reader = _Reader(extra=frozenset(functions))
    try:
        reader.read(tree.body)
    except RecursionError as error:
        raise ExpressionError(f"`{text[:40]}...` is nested too deeply", text) from error
    if reader.found.functions & TRANSFORMS:
        reader.check_literals(tree)
    return reader.found


def unreadable(text: str) -> ExpressionError:
    """Build the error for what is no Python, with a hint where it is R."""
    shown = decode(text)
    if re.search(r"!(?!=)", shown):
        return ExpressionError(
            f"`!` is no operator of a formula: {shown[:60]}; write ~x for a boolean x, "
            "and x == 0 for a number",
            shown,
        )
    for name in re.findall(r"([A-Za-z][\w.]*)\s*\(", shown):
        if name in HINTS:
            return ExpressionError(
                f"calling `{name}` is not allowed in a formula: {shown[:60]}; " + hint_for(name),
                shown,
            )
    quotient = "; a whole quotient is written x // z" if "%/%" in shown else ""
    return ExpressionError(f"`{shown[:60]}` is not a readable expression{quotient}", shown)


@dataclass(slots=True)
class _Reader:
    """Walk a syntax tree from the top, naming the first piece that is refused."""

    extra: frozenset[str]
    found: Expression = field(default_factory=Expression)

    def read(self, node: ast.AST) -> None:
        match node:
            case ast.Constant():
                self._constant(node)
            case ast.Name():
                self._column(node)
            case ast.BinOp():
                self._binary(node)
            case ast.UnaryOp() if isinstance(node.op, _UNARY):
                self.read(node.operand)
            case ast.Compare():
                self._comparison(node)
            case ast.Attribute() if self._dotted(node) in {f"np.{c}" for c in NUMPY_CONSTANTS}:
                self.found.functions.add("np")
            case ast.Call():
                self._call(node)
            case ast.List() | ast.Tuple() | ast.Dict():
                self._refuse("a list, tuple or dict outside a function's arguments", node)
            case _:
                self._refuse_kind(node)

    def check_literals(self, tree: ast.AST) -> None:
        """Refuse text that formulaic, which rewrites stateful calls as text, may misread."""
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and set(text) & set("\"'\\\n"):
                self._refuse(
                    "a quote or backslash in text beside a transform", node, "rename the level"
                )

    def _constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, int) and abs(node.value) > _LARGEST_INTEGER:
            self._refuse("an integer of that size", node, "write it as 1e20")
        if not (node.value is None or isinstance(node.value, bool | int | float | str)):
            self._refuse("this literal", node)

    def _column(self, node: ast.Name, *, as_category: bool = False) -> None:
        name = decode(node.id)
        if node.id.startswith("__"):
            self._refuse("a name with double underscores", node)
        if node.id in {"TRUE", "FALSE"}:
            self._refuse(f"`{name}`", node, f"Python writes {name.capitalize()}")
        if name not in self.found.columns:
            self.found.columns.append(name)
        if not as_category:
            self.found.numeric.add(name)

    def _comparison(self, node: ast.Compare) -> None:
        if not all(isinstance(op, _COMPARE) for op in node.ops):
            self._refuse("`in`, `not in`, `is` and `is not`", node)
        if len(node.ops) > 1:
            advice = "write (0 < x) & (x < 3); beside & and | each comparison has parentheses"
            self._refuse("a chain of comparisons", node, advice)
        for part in (node.left, *node.comparators):
            if isinstance(part, ast.Constant) and part.value is None:
                self._refuse(
                    "a comparison with None", node, "rows with missing values are left out"
                )
            self.read(part)

    def _binary(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.BitXor):
            self._refuse("`^`", node, "inside a function Python reads it as XOR; write **")
        if not isinstance(node.op, _BINARY + _LOGICAL):
            self._refuse(f"the operator `{type(node.op).__name__}`", node)
        for side in (node.left, node.right):
            if isinstance(side, ast.Constant) and not isinstance(side.value, int | float):
                self._refuse("arithmetic with anything but numbers", node)
            self.read(side)
        # A power of constants can be as large as one likes: 9**9**9.
        if isinstance(node.op, ast.Pow) and not self._has_column(node):
            self._refuse("a power without a column in it", node)

    def _call(self, node: ast.Call) -> None:
        name = self._dotted(node.func)
        if name is None:
            self._refuse_kind(node.func)
        elif name in {*STRUCTURE_WORDS} - self.extra and any(
            isinstance(argument, ast.BinOp) and isinstance(argument.op, ast.BitOr)
            for argument in node.args
        ):
            self._refuse(f"`{name}(x | g)` within an expression", node, "it is a term by itself")
        elif name.startswith("np.") and name[3:] in NUMPY_FUNCTIONS:
            self.found.functions.add("np")
            self._positional_only(node, name, *NUMPY_FUNCTIONS[name[3:]])
        elif name in self.extra:
            self.found.functions.add(name)
            self._arguments(node)
        elif name in TRANSFORMS | BARE_NUMPY_FUNCTIONS and not (
            node.args and self._has_column(node.args[0])
        ):
            self._refuse(f"{name} without a column", node, "its first argument is a column")
        elif name in BARE_NUMPY_FUNCTIONS:
            self.found.functions.add(name)
            self._positional_only(node, name, 1, 1)
        elif name in TRANSFORMS:
            self.found.functions.add(name)
            self._arguments(node)
            self._fitting(node, name)
        elif "." in name and not name.startswith(("np.", "contr.")):
            advice = "compute it as a column of the data first, or pass functions={...}"
            self._refuse(f"attribute access `.{name.partition('.')[2]}`", node, advice)
        else:
            bar = any(isinstance(part, ast.BitOr) for part in ast.walk(node))
            missing = bar and name not in HINTS
            hint = "is a + missing before the parenthesis?" if missing else hint_for(name)
            self._refuse(f"calling `{name}`", node, hint)

    def _positional_only(self, node: ast.Call, name: str, least: int, most: int) -> None:
        if node.keywords:
            self._refuse(f"a keyword argument of {name}", node)
        if not least <= len(node.args) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            self._refuse(f"{name} with {len(node.args)} arguments", node, f"it takes {wanted} here")
        for argument in node.args:
            self.read(argument)

    def _fitting(self, node: ast.Call, name: str) -> None:
        found = misfit(name, node)
        if found is not None:
            self._refuse(found[0], node, found[1])

    def _arguments(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "C" and "C" not in self.extra:
            self._coding(node)
        categories = isinstance(node.func, ast.Name) and node.func.id in {"C", "hashed"}
        for at, argument in enumerate(node.args):
            if categories and at == 0 and isinstance(argument, ast.Name):
                self._column(argument, as_category=True)
                self.found.categorical.add(decode(argument.id))
            else:
                self._argument(argument)
        if isinstance(node.func, ast.Name) and node.func.id in TRANSFORMS:
            for value in [*node.args[1:], *(item.value for item in node.keywords)]:
                if (
                    isinstance(value, ast.Constant)
                    and isinstance(value.value, int)
                    and value.value > _LARGEST_ARGUMENT
                ):
                    self._refuse(f"{value.value} as an argument of {node.func.id}", node,
                                 f"at most {_LARGEST_ARGUMENT}")  # fmt: skip
        for item in node.keywords:
            if item.arg is None:
                self._refuse("a ** argument", node)
            elif item.arg.startswith("_") or item.arg == "hash_func":
                self._refuse(f"the argument `{item.arg}`", node)
            elif item.arg == "constraints" and not (
                isinstance(item.value, ast.Constant) and item.value.value in {None, "center"}
            ):
                self._refuse("spline constraints other than 'center'", node)
            self._argument(item.value)

    def _coding(self, node: ast.Call) -> None:
        """Refuse a contrast coding under the name that patsy or R has for it."""
        named = [item.value for item in node.keywords if item.arg in {"contr", "contrasts"}]
        for value in [*node.args[1:2], *named]:
            coding, base = value, ""
            if isinstance(value, ast.Call):
                coding = value.func
                given = [*value.args, *(item.value for item in value.keywords)]
                base = f"(base={ast.unparse(given[0])})" if given else ""
            quoted = coding.value if isinstance(coding, ast.Constant) else None
            text = quoted if isinstance(quoted, str) else self._dotted(coding)
            bare = str(text).removeprefix("contr.").lower()
            known = {name.lower(): name for name in CONTRASTS} | {"sdif": "diff"}
            if bare in known and (quoted or text != f"contr.{known[bare]}"):
                column = ast.unparse(node.args[0])
                self._refuse(
                    f"the coding `{text}`", node,
                    f"write C({decode(column)}, contr.{known[bare]}{base})",
                )  # fmt: skip

    def _argument(self, node: ast.AST) -> None:
        """Read an argument, where also literals in lists and contrasts may stand."""
        if isinstance(node, ast.List | ast.Tuple | ast.Dict):
            for part in _literal_parts(node):
                value = part.operand if isinstance(part, ast.UnaryOp) else part
                if isinstance(value, ast.Constant):
                    self._constant(value)
                else:
                    self._refuse("anything but literals in a list", part)
            return
        contrast = node.func if isinstance(node, ast.Call) else node
        name = self._dotted(contrast)
        if name is not None and name.startswith("contr."):
            if name[6:] not in CONTRASTS:
                self._refuse(f"`{name}`", node, f"known are contr.{', contr.'.join(CONTRASTS)}")
            self.found.functions.add("contr")
            if isinstance(node, ast.Call):
                self._arguments(node)
                self._fitting(node, name)
            return
        self.read(node)

    def _has_column(self, node: ast.AST) -> bool:
        """Whether a name stands anywhere in the place of data."""
        called = {id(part.func) for part in ast.walk(node) if isinstance(part, ast.Call)}
        owners = {
            id(part.value)
            for part in ast.walk(node)
            if isinstance(part, ast.Attribute)
            and isinstance(part.value, ast.Name)
            and part.value.id in {"np", "contr"}
        }
        return any(
            isinstance(part, ast.Name) and id(part) not in called | owners
            for part in ast.walk(node)
        )

    def _dotted(self, node: ast.AST) -> str | None:
        """``np.log`` for an attribute of a plain name, ``log`` for a name."""
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return f"{node.value.id}.{node.attr}"
        return None

    def _refuse_kind(self, node: ast.AST) -> None:
        what = _NAMES_OF_REFUSED.get(type(node), f"this ({type(node).__name__})")
        advice = ""
        if isinstance(node, ast.UnaryOp):
            what = "`not` (write ~)"
        if isinstance(node, ast.Attribute):
            what = f"attribute access `.{node.attr}`"
            advice = "a column's name with a dot goes between backquotes"
        self._refuse(what, node, advice)

    def _refuse(self, what: str, node: ast.AST, advice: str = "") -> None:
        try:
            piece = decode(ast.unparse(node))
        except (ValueError, RecursionError):  # an integer too long to write, or a deep nest
            piece = "..."
        message = f"{what} is not allowed in a formula: {piece}"
        raise ExpressionError(f"{message}; {advice}" if advice else message, piece)


def _literal_parts(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.List | ast.Tuple):
        for element in node.elts:
            yield from _literal_parts(element)
    elif isinstance(node, ast.Dict):
        for key in node.keys:
            yield key if key is not None else node
        for value in node.values:
            yield from _literal_parts(value)
    else:
        yield node
