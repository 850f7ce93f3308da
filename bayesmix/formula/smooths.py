"""``s(...)`` and ``t2(...)`` of a formula, read and never called."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from bayesmix.arguments import did_you_mean, listed
from bayesmix.formula.quoting import decode
from bayesmix.formula.safety import ExpressionError, read_expression
from bayesmix.formula.terms import SmoothTerm

__all__ = ["SMOOTHS", "is_smooth", "read_smooth"]

SMOOTHS = frozenset({"s", "t2"})
_MOST_VARIABLES = 6
_LARGEST = 2**31

_ARGUMENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"s": ("k", "bs", "m", "by", "xt"), "t2": ("k", "bs", "m", "d", "by", "full")}
)
_KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"s": ("tp", "cr", "ps", "re", "fs"), "t2": ("tp", "cr", "ps")}
)
# What mgcv has beside, and what does for it here.
_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "fx": "a curve without a penalty is bs(x, df=...) or cr(x, df=...)",
        "sp": "the smoothness is estimated; a prior of sd(s(x)) holds it near a value",
        "id": "each smooth has a smoothness of its own",
        "pc": "a smooth has mean 0 over the rows",
        "df": "write k=",
        "knots": "write k=, the number of basis functions",
        "degree": "write m=",
    }
)
_OTHER_KINDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("ts", "cs"), "without shrinkage of the straight line"),
        **dict.fromkeys(("cc", "cp"), "cyclic smooths are not available; cc(x, df=...) is fixed"),
        **dict.fromkeys(("gp", "ad", "ds", "bs"), 'bs="tp" and bs="ps" are the nearest'),
        "sz": 'bs="fs" has curves of levels as effects',
        **dict.fromkeys(("mrf", "sos", "so"), 'areas and spheres are not available; take bs="tp"'),
    }
)


def is_smooth(expr: str, functions: Collection[str] = ()) -> bool:
    """Whether an expression is a call of ``s`` or ``t2`` that is no function of the user's.

    Parameters
    ----------
    expr : str
    functions : collection of str
        Names of the user's own.
    """
    name = expr.partition("(")[0].strip()
    if name not in SMOOTHS or name in functions or not expr.rstrip().endswith(")"):
        return False
    try:
        body = ast.parse(expr.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return isinstance(body, ast.Call) and isinstance(body.func, ast.Name)


def read_smooth(expr: str, functions: Collection[str] = ()) -> SmoothTerm:
    """Read a smooth.

    Parameters
    ----------
    expr : str
        For which `is_smooth` holds, with encoded names.
    functions : collection of str
        Functions of the user that its variables may call.

    Returns
    -------
    SmoothTerm

    Raises
    ------
    ExpressionError
        If it is not written as a smooth is.
    """
    call = ast.parse(expr.strip(), mode="eval").body
    assert isinstance(call, ast.Call)  # noqa: S101
    assert isinstance(call.func, ast.Name)  # noqa: S101
    return _Reader(call, call.func.id, functions).term()


class _Reader:
    """Reads one call."""

    def __init__(self, call: ast.Call, name: str, functions: Collection[str]) -> None:
        self._call, self._name, self._functions = call, name, functions
        self._piece = decode(ast.unparse(call))

    def term(self) -> SmoothTerm:
        name, given = self._name, self._keywords()
        variables = tuple(self._variable(node) for node in self._call.args)
        if not variables:
            self._refuse("has no variable", f"write {name}({'x' if name == 's' else 'x, z'})")
        if len(set(variables)) < len(variables):
            self._refuse("has a variable twice", "leave one out")
        if len(variables) > _MOST_VARIABLES:
            self._refuse(f"has {len(variables)} variables", f"{_MOST_VARIABLES} are the most")
        kind = self._kind(given.get("bs"))
        by, by_is_factor = self._by(given.get("by"))
        options: dict[str, Any] = {}
        if name == "t2":
            if len(variables) < 2:
                self._refuse("has one variable", f"write s({decode(variables[0])})")
            options = {w: self._literal(given[w], w) for w in ("bs", "d", "full") if w in given}
            kind = "t2"
        group = ""
        if kind in {"fs", "re"}:
            if by:
                self._refuse(f'has by= and bs="{kind}"', "leave one of them out")
            variables, group = self._grouped(variables, kind)
            if kind == "fs" and "xt" in given:
                options["base"] = self._base(given["xt"])
        elif "xt" in given:
            self._refuse("has xt=", 'only bs="fs" takes it, as in xt="cr"')
        return SmoothTerm(
            function=name,
            variables=variables,
            kind=kind,
            group=group,
            k=self._k(given.get("k")),
            m=self._literal(given["m"], "m") if "m" in given else None,
            by=by,
            by_is_factor=by_is_factor,
            options=options,
            text=self._piece,
        )

    def _keywords(self) -> dict[str, ast.expr]:
        known = _ARGUMENTS[self._name]
        given: dict[str, ast.expr] = {}
        for item in self._call.keywords:
            word = item.arg
            if word is None:
                self._refuse("has a ** argument", f"known are {listed(known)}")
            elif word not in known:
                advice = _ELSEWHERE.get(word) or did_you_mean(word, known).strip(" ;")
                takes = f"{self._name} takes variables and {', '.join(f'{n}=' for n in known)}"
                self._refuse(f"has the argument `{word}`", "; ".join(filter(None, [advice, takes])))
            else:
                given[word] = item.value
        return given

    def _variable(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant | ast.List | ast.Tuple | ast.Dict):
            self._refuse(
                f"has {decode(ast.unparse(node))} in the place of a variable",
                f"options have names, as in {self._name}(x, k=10)",
            )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "C":
            self._refuse("is of a factor", "write by=f for a smooth of each level")
        expr = ast.unparse(node)
        found = read_expression(expr, self._functions)
        if not found.columns:
            self._refuse("has a variable without a column", "write a column's name")
        return expr

    def _kind(self, node: ast.expr | None) -> str:
        if node is None:
            return "tp"
        value = self._literal(node, "bs")
        known = _KINDS[self._name]
        for word in value if isinstance(value, list) else [value]:
            if not isinstance(word, str) or word not in known:
                near = _OTHER_KINDS.get(str(word)) or did_you_mean(str(word), known).strip(" ;")
                self._refuse(
                    f"has bs={word!r}",
                    "; ".join(filter(None, [near, f"there are {listed(known)}"])),
                )
        if self._name == "s" and isinstance(value, list):
            self._refuse("has several bs=", "t2(x, z) takes one for each variable")
        return value if isinstance(value, str) else "t2"

    def _by(self, node: ast.expr | None) -> tuple[str, bool]:
        if node is None:
            return "", False
        match node:
            case ast.Call(func=ast.Name(id="C"), args=[ast.Name(id=name)], keywords=[]):
                return name, True
        found = read_expression(ast.unparse(node), self._functions)
        if not found.columns or found.categorical:
            self._refuse(
                f"has by={decode(ast.unparse(node))}", "by= takes a number or a factor, as in by=f"
            )
        return ast.unparse(node), False

    def _grouped(self, variables: tuple[str, ...], kind: str) -> tuple[tuple[str, ...], str]:
        """The coordinates, and the factor behind them."""
        *others, last = variables
        if not last.isidentifier():
            self._refuse(
                f"has the factor {decode(last)}", "a factor is a column; add it to the data"
            )
        if kind == "re" and others:
            a, g = decode(others[0]), decode(last)
            self._refuse(
                "has several variables",
                f"write (0 + {a} | {g}) for slopes, (1 | {a}:{g}) for cells",
            )
        if kind == "fs" and not others:
            self._refuse("has one variable", f'write s(x, {decode(last)}, bs="fs")')
        return tuple(others), decode(last)

    def _base(self, node: ast.expr) -> str:
        value = self._literal(node, "xt")
        if value not in ("tp", "cr", "ps"):
            self._refuse(f"has xt={value!r}", 'the curves of bs="fs" are "tp", "cr" or "ps"')
        return str(value)

    def _k(self, node: ast.expr | None) -> Any:
        value = None if node is None else self._literal(node, "k")
        if isinstance(value, list) and self._name == "t2":
            return [None if one == -1 else one for one in value]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            several = ", or one for each margin, k=(5, 5)" if self._name == "t2" else ""
            self._refuse(f"has k={value!r}", f"write a whole number{several}")
        return None if value == -1 else value

    def _literal(self, node: ast.expr, word: str) -> Any:
        """A number, text, truth value, or a list of those."""
        if isinstance(node, ast.List | ast.Tuple):
            if len(node.elts) > _MOST_VARIABLES:
                self._refuse(f"has {len(node.elts)} values of {word}=", "one for each margin")
            return [self._literal(part, word) for part in node.elts]
        sign, inner = 1, node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            sign, inner = -1, node.operand
        if isinstance(inner, ast.Constant):
            value = inner.value
            if sign == 1 and (value is None or isinstance(value, str | bool)):
                return value
            if isinstance(value, int | float) and abs(value) <= _LARGEST:
                return sign * value
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "c":
            inside = ", ".join(ast.unparse(part) for part in node.args)
            self._refuse(f"has {word}=c({inside})", f"write {word}=({inside})")
        written = decode(ast.unparse(node))[:40]
        advice = {"TRUE": "write True", "FALSE": "write False", "T": "write True"}.get(written)
        return self._refuse(
            f"has {word}={written}", advice or "it takes numbers and words as they stand"
        )

    def _refuse(self, what: str, advice: str) -> NoReturn:
        raise ExpressionError(f"the smooth {self._piece} {what}; {advice}", self._piece)
