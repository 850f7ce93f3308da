"""Evaluation of a formula's expressions: a tree that is walked, without Python's `eval`.

Truth values count as the numbers 0 and 1 in arithmetic and in functions, where numpy would add
them by "or" and take halves of the digits; whole numbers are doubles there, so that nothing
overflows. Only ``&``, ``|`` and ``~`` are logical. What a transform may be asked for is bounded
by the rows: no data bear more columns.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulaic import ModelSpec
from formulaic.errors import FactorEvaluationError
from formulaic.materializers.types import FactorValues
from formulaic.transforms import TRANSFORMS
from formulaic.utils.code import format_expr

from bayesmix.design.bounds import checked_counts, refuse_columns
from bayesmix.design.options import checked_options, coding_options
from bayesmix.formula.functions import BARE_NUMPY_FUNCTIONS
from bayesmix.formula.quoting import decode

__all__ = ["EvaluationError", "Evaluator", "as_number"]

Functions = Mapping[str, Callable[..., Any]]

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_LOGICAL: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_TAKE_TEXT = frozenset({"np.equal", "np.not_equal"})
# Transforms whose data are categories, or handed on as they are.
_AS_THEY_ARE = frozenset({"C", "I", "hashed"})


class EvaluationError(FactorEvaluationError):
    """An expression that the data cannot bear; its message is for the user as it stands."""


def as_number(value: Any) -> Any:
    """Return truth values and whole numbers of a column as doubles, anything else as it is.

    Parameters
    ----------
    value : Series, ndarray or any other value

    Returns
    -------
    Series, ndarray or any other value
    """
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in {"b", "i", "u"} and np.ndim(value):
        return value.astype(np.float64)
    return float(value) if kind == "b" else value


@dataclass(slots=True, kw_only=True)
class Evaluator:
    """Evaluates the expressions of one set of terms over one frame.

    Attributes
    ----------
    columns : DataFrame, or mapping of str to Series
        The columns under the names that expressions have for them.
    functions : mapping of str to callable
        The caller's own, which come before those of the same name here and get columns as
        they are.
    state : mutable mapping of str to dict
        What transforms have learned, by their text; filled where it is empty.
    spec : formulaic ModelSpec
    n_rows : int
    bounded : bool
        Whether transforms are built for the first time, so that the rows bound their columns.
    """

    columns: pd.DataFrame | Mapping[str, Any]
    functions: Functions
    state: MutableMapping[str, Any]
    spec: ModelSpec
    n_rows: int
    bounded: bool = False

    def evaluate(self, expr: str) -> Any:
        """Return the value of a checked expression."""
        return self.value(ast.parse(expr.strip(), mode="eval").body)

    def value(self, node: ast.expr) -> Any:
        """Return the value of one node of a checked expression."""
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self.columns[node.id]
            case ast.Attribute():
                return self._attribute(node)
            case ast.BinOp() if type(node.op) in _LOGICAL:
                return _LOGICAL[type(node.op)](self._truth(node.left), self._truth(node.right))
            case ast.BinOp():
                left, right = as_number(self.value(node.left)), as_number(self.value(node.right))
                return _ARITHMETIC[type(node.op)](left, right)
            case ast.UnaryOp(op=ast.Invert()):
                return np.logical_not(self._truth(node.operand))
            case ast.UnaryOp():
                value = as_number(self.value(node.operand))
                return -value if isinstance(node.op, ast.USub) else +value
            case ast.Compare(ops=[op], comparators=[other]):
                return _COMPARISONS[type(op)](self.value(node.left), self.value(other))
            case ast.Call():
                return self._call(node)
            case ast.List() | ast.Tuple():
                return [self.value(element) for element in node.elts]
            case ast.Dict():
                keys = [self.value(key) for key in node.keys if key is not None]
                return dict(zip(keys, map(self.value, node.values), strict=True))
        raise TypeError(f"{type(node).__name__} is no part of an expression")

    def _attribute(self, node: ast.Attribute) -> Any:
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        return getattr(np if owner == "np" else TRANSFORMS[owner], node.attr)

    def _call(self, node: ast.Call) -> Any:
        args = [self.value(argument) for argument in node.args]
        kwargs = {str(item.arg): self.value(item.value) for item in node.keywords}
        if isinstance(node.func, ast.Attribute):
            function = self._attribute(node.func)
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "np":
                return self._row_wise(function, node, [as_number(value) for value in args])
            return self._coding(function, node, args, kwargs)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        function = self.functions.get(name)
        if function is None:
            if name in BARE_NUMPY_FUNCTIONS:
                numbers = [as_number(value) for value in args]
                return self._row_wise(getattr(np, name), node, numbers)
            function = TRANSFORMS[name]
            if name not in _AS_THEY_ARE:
                args = [as_number(value) for value in args]
            args, kwargs = self._within_bounds(name, node, args, kwargs)
        if getattr(function, "__is_stateful_transform__", False):
            kwargs |= {
                "_context": self.columns,
                "_metadata": None,
                "_state": self.state.setdefault(format_expr(node), {}),
                "_spec": self.spec,
            }
        found = function(*args, **kwargs)
        return _by_degree(found) if function is TRANSFORMS["poly"] else found

    def _row_wise(self, function: Callable[..., Any], node: ast.Call, args: list[Any]) -> Any:
        """Call a function of numpy, which takes and gives numbers or truth values."""
        name = ast.unparse(node.func)
        for value in args:
            text = isinstance(value, str) and name not in _TAKE_TEXT
            if text or (value is None and name != "np.clip"):
                raise EvaluationError(f"`{_shown(node)}`: {name} takes numbers, not {value!r}")
        if name == "np.where" and np.asarray(args[0]).dtype.kind not in "biuf":
            raise TypeError("the condition of np.where is text")
        found = function(*args)
        if getattr(found, "dtype", np.dtype(float)).kind not in "biuf":
            raise TypeError(f"{name} takes numbers")
        return found

    def _coding(
        self, coding: Callable[..., Any], node: ast.Call, args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        """Make a contrast coding, whose arguments are no columns."""
        try:
            refuse_columns([*enumerate(args, 1), *kwargs.items()])
            args, kwargs = coding_options(ast.unparse(node.func), args, kwargs)
            return coding(*args, **kwargs)
        except ValueError as error:
            raise EvaluationError(f"`{_shown(node)}`: {error}") from error

    def _within_bounds(
        self, name: str, node: ast.Call, args: list[Any], kwargs: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        n_rows = self.n_rows if self.bounded else None
        try:
            args, kwargs = checked_counts(name, args, kwargs, n_rows)
            return checked_options(name, args, kwargs, n_rows)
        except ValueError as error:
            raise EvaluationError(f"`{_shown(node)}`: {error}") from error

    def _truth(self, node: ast.expr) -> Any:
        """Truth values as they are, and 0 and 1 as truth values."""
        value = self.value(node)
        values = np.asarray(value)
        if values.dtype == bool:
            return value
        text = decode(ast.unparse(node))
        what = "text"
        if values.dtype.kind in "iuf":
            others = np.flatnonzero(~np.isin(values, (0.0, 1.0)))
            if not others.size:
                return pd.Series(value) == 1 if values.ndim else bool(value)
            what = f"{values.reshape(-1)[others[0]]:.10g}"
        raise EvaluationError(
            f"`&`, `|` and `~` take truth values, or 0 and 1, and `{text}` holds {what}; "
            "a comparison stands in parentheses: (x > 0) & (z > 0)"
        )


def _shown(node: ast.expr) -> str:
    """An expression as it is written, cut where it is long."""
    text = decode(format_expr(node))
    return text if len(text) <= 80 else f"{text[:76]} ..."


def _by_degree(powers: Any) -> Any:
    """Call columns of raw powers by their degrees, as orthogonal polynomials are."""
    if isinstance(powers, FactorValues):
        return powers
    names = tuple(str(degree) for degree in range(1, powers.shape[1] + 1))
    return FactorValues(powers, column_names=names)
