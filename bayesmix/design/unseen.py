"""What a design cannot meet again: values beyond a spline's range, levels it does not know."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from formulaic import ModelSpec
from formulaic.parser.types import Factor
from formulaic.utils.code import format_expr

from bayesmix.arguments import listed, plain
from bayesmix.design.evaluation import Evaluator
from bayesmix.errors import DataError
from bayesmix.formula.quoting import decode, encode

__all__ = ["BeyondRangeError", "beyond_range", "unseen_level"]

Functions = Mapping[str, Callable[..., Any]]
_SPLINES = frozenset({"bs", "cc", "cr", "cs"})


class BeyondRangeError(DataError):
    """Values beyond the range that a spline is known on."""


def beyond_range(
    spec: ModelSpec, frame: pd.DataFrame, functions: Functions, labels: pd.Index[Any] | None
) -> BeyondRangeError | None:
    """Find the first value that lies beyond a spline's range.

    Parameters
    ----------
    spec : formulaic ModelSpec
        The terms, with what they learned from the data they were first built on.
    frame : DataFrame, n rows
        Prepared columns.
    functions : mapping of str to callable
    labels : Index, length n, or None
        The labels of the rows in the caller's data.

    Returns
    -------
    BeyondRangeError, or None
        None where no spline is left.
    """
    for spline, call in _calls(spec, _SPLINES - set(functions)):
        key = format_expr(call)
        state = spec.transform_state.get(key, {})
        x = np.asarray(_argument(call, spec, frame, functions), dtype=np.float64)
        low = float(state.get("lower_bound", _keyword(call, "lower_bound", np.nanmin(x))))
        high = float(state.get("upper_bound", _keyword(call, "upper_bound", np.nanmax(x))))
        out = np.flatnonzero((x < low) | (x > high))
        default = "raise" if spline == "bs" else "extend"
        if out.size and _keyword(call, "extrapolation", default) == "raise":
            term = decode(key)
            what = decode(ast.unparse(call.args[0]))
            return BeyondRangeError(
                f"`{what}` is {x[out[0]]:.6g}{_row(out[0], labels)}, beyond the range {low:.6g} to "
                f"{high:.6g} that `{term}` is known on; stay inside it, or refit with "
                f'{spline}(..., extrapolation="extend"), which carries the curve on'
            )
    return None


def unseen_level(
    spec: ModelSpec, frame: pd.DataFrame, functions: Functions, labels: pd.Index[Any] | None
) -> DataError | None:
    """Find the first value that is none of a factor's levels.

    Parameters
    ----------
    spec, frame, functions, labels
        As in `beyond_range`.

    Returns
    -------
    DataError, or None
        None where every ``C(...)`` knows its values.
    """
    for _, call in _calls(spec, {"C"} - set(functions)):
        key = format_expr(call)
        state = spec.encoder_state.get(key, (None, {}))[1]
        levels = state.get("categories", _keyword(call, "levels", None))
        if levels is None:
            continue
        values = pd.Series(np.asarray(_argument(call, spec, frame, functions)))
        out = np.flatnonzero(~values.isin(list(levels)))
        if out.size:
            what = decode(ast.unparse(call.args[0]))
            what = f"column `{what}`" if isinstance(call.args[0], ast.Name) else f"`{what}`"
            seen = "the model has not seen" if state else f"`{decode(key)}` does not list"
            return DataError(
                f"{what} has the level {plain(values[out[0]])!r}{_row(out[0], labels)}, which "
                f"{seen}; known are {listed(levels)}"
            )
    return None


def _calls(spec: ModelSpec, names: Collection[str]) -> Iterator[tuple[str, ast.Call]]:
    """Calls of the named functions in the terms, each with an argument."""
    for term in spec.formula:
        for factor in term.factors:
            if factor.eval_method is not Factor.EvalMethod.PYTHON:
                continue
            for node in ast.walk(ast.parse(factor.expr.strip(), mode="eval")):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                    continue
                if node.args and node.func.id in names:
                    yield node.func.id, node


def _argument(
    call: ast.Call, spec: ModelSpec, frame: pd.DataFrame, functions: Functions
) -> np.ndarray:
    """The values that a call is given, inner transforms in the state that they had."""
    columns = {encode(str(name)): frame[name] for name in frame.columns}
    state = {key: dict(value) for key, value in spec.transform_state.items()}
    evaluator = Evaluator(
        columns=columns, functions=functions, state=state, spec=spec, n_rows=len(frame)
    )
    return np.asarray(evaluator.value(call.args[0]))


def _keyword(call: ast.Call, name: str, default: Any) -> Any:
    """The literal that a call gives for an argument."""
    for keyword in call.keywords:
        if keyword.arg == name:
            with contextlib.suppress(ValueError):  # np.pi
                return ast.literal_eval(keyword.value)
    return default


def _row(at: int, labels: pd.Index[Any] | None) -> str:
    return "" if labels is None else f" in row {labels[at]}"
