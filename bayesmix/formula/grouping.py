"""What stands behind a bar beside columns: ``gr(...)`` and ``mm(...)``."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bayesmix.arguments import did_you_mean
from bayesmix.errors import FormulaError
from bayesmix.formula.quoting import decode

__all__ = ["Grouping", "is_grouping", "read_grouping"]

_ARGUMENTS = {"gr": ("cov", "precision", "by", "dist"), "mm": ("weights", "scale")}
_NORMAL = "gaussian"  # brms' word for effects that are normal
_DISTRIBUTIONS = {_NORMAL: _NORMAL, "normal": _NORMAL, "student": "student"}
_OTHER_WORDS = {"cor": "for uncorrelated effects write (x || gr(g)); "}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """A grouping factor that more is said of than its columns.

    Attributes
    ----------
    columns : tuple of str
        The column of ``gr``, or the columns of ``mm``, one for each membership.
    matrix : str, optional
        The name of a known covariance between levels, or of its inverse.
    is_precision : bool
        Whether it is the inverse.
    by : str, optional
        The column whose values have a covariance of effects each.
    dist : {"gaussian", "student"}
        The distribution of the levels' effects.
    weights : tuple of str
        The columns with the weight of each membership; empty for equal weights.
    scale : bool
        Whether the weights of a row are divided by their sum.
    """

    columns: tuple[str, ...]
    matrix: str | None = None
    is_precision: bool = False
    by: str | None = None
    dist: str = _NORMAL
    weights: tuple[str, ...] = ()
    scale: bool = True

    @property
    def is_membership(self) -> bool:
        """Whether a row belongs to several levels."""
        return len(self.columns) > 1

    @property
    def says_more(self) -> bool:
        """Whether it differs from the bare column."""
        return self.is_membership or bool(self.matrix or self.by or self.dist != _NORMAL)

    @property
    def name(self) -> str:
        """What the grouping factor is called: its column, or ``mm(a, b)``."""
        if self.is_membership:
            return f"mm({', '.join(self.columns)})"
        return self.columns[0]

    def __str__(self) -> str:
        said = [*self.columns]
        if self.matrix is not None:
            said.append(f"{'precision' if self.is_precision else 'cov'}={self.matrix}")
        if self.by is not None:
            said.append(f"by={self.by}")
        if self.dist != _NORMAL:
            said.append(f'dist="{self.dist}"')
        if self.weights:
            said.append(f"weights=[{', '.join(self.weights)}]")
        if not self.scale:
            said.append("scale=False")
        return f"{'mm' if self.is_membership else 'gr'}({', '.join(said)})"


def is_grouping(expression: str) -> bool:
    """Whether an expression behind a bar is a call of ``gr`` or ``mm``."""
    return re.match(r"\s*(gr|mm)\s*\(", expression) is not None


def read_grouping(expression: str, text: str, start: int, stop: int) -> Grouping:
    """Read a call of ``gr`` or ``mm``.

    Parameters
    ----------
    expression : str
        With encoded names, as expressions of a formula have them.
    text : str
        The formula, for errors.
    start, stop : int
        Where the call is written.

    Returns
    -------
    Grouping

    Raises
    ------
    FormulaError
        Saying what cannot stand there.
    """
    call = _called(expression)

    def wrong(reason: str) -> FormulaError:
        return FormulaError(reason, text=text, start=start, stop=stop)

    if call is None:
        raise wrong(
            f"`{decode(expression)}` is not readable; write gr(g, cov=A) or mm(a, b): nested and "
            "crossed factors are a column of their own, or a term each"
        )
    word = call.func.id  # type: ignore[attr-defined]
    columns = []
    for argument in call.args:
        if not isinstance(argument, ast.Name):
            raise wrong(
                f"{word}(...) takes columns, not `{decode(ast.unparse(argument))}`: nested and "
                "crossed factors are a column of their own (paste the two), or a term each"
            )
        columns.append(decode(argument.id))
    given: dict[str, ast.expr] = {}
    for keyword in call.keywords:
        if keyword.arg not in _ARGUMENTS[word]:
            name = keyword.arg or "**"
            more = _OTHER_WORDS.get(name, "") or did_you_mean(name, _ARGUMENTS[word], "`")
            raise wrong(
                f"{word}(...) has no argument {name}; {more}there is {', '.join(_ARGUMENTS[word])}"
            )
        given[keyword.arg] = keyword.value
    if word == "gr" and len(columns) != 1:
        raise wrong(
            f"gr(...) takes one column, not {len(columns)}: make one column of the combinations, "
            "or write mm(a, b) for rows that belong to several levels"
        )
    if word == "mm" and len(columns) < 2:
        raise wrong("mm(...) takes a column for each membership, mm(a, b); for one write (1 | g)")
    if len(set(columns)) < len(columns):
        raise wrong(f"mm(...) has the column `{columns[-1]}` twice")
    if "cov" in given and "precision" in given:
        raise wrong("gr(...) takes cov= or precision=, its inverse, not both")
    matrix = given.get("cov", given.get("precision"))
    dist = _text(given.get("dist"), _NORMAL)
    if dist not in _DISTRIBUTIONS:
        raise wrong(f'dist={dist!r} is not available; there is "gaussian" and "student"')
    grouping = Grouping(
        columns=tuple(columns),
        matrix=None if matrix is None else _name(matrix, "cov", wrong),
        is_precision="precision" in given,
        by=None if "by" not in given else _name(given["by"], "by", wrong),
        dist=_DISTRIBUTIONS[dist],
        weights=() if "weights" not in given else _names(given["weights"], len(columns), wrong),
        scale=_truth(given["scale"], wrong) if "scale" in given else True,
    )
    _check_together(grouping, wrong)
    return grouping


def _check_together(grouping: Grouping, wrong) -> None:  # type: ignore[no-untyped-def]
    said = [
        name
        for name, there in (
            ("cov=", grouping.matrix is not None),
            ("by=", grouping.by is not None),
            ('dist="student"', grouping.dist == "student"),
        )
        if there
    ]
    if len(said) > 1:
        raise wrong(
            f"{' and '.join(said)} together are not available; take one of them, or a term for "
            "each on columns of their own"
        )
    if grouping.by in grouping.columns:
        raise wrong(f"by={grouping.by} is the grouping factor itself; each level has one row of it")
    if not grouping.scale and not grouping.weights:
        raise wrong("scale=False belongs to weights=, whose sums it leaves as they are")


def _called(expression: str) -> ast.Call | None:
    try:
        node = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError:
        return None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node if node.func.id in _ARGUMENTS else None
    return None


def _name(node: ast.expr, argument: str, wrong) -> str:  # type: ignore[no-untyped-def]
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and argument == "cov":
        return node.value
    if not isinstance(node, ast.Name):
        what = 'a name of matrices={"A": ...}' if argument == "cov" else "a column"
        raise wrong(f"{argument}= takes {what}, not `{decode(ast.unparse(node))}`")
    return decode(node.id)


def _names(node: ast.expr, n: int, wrong) -> tuple[str, ...]:  # type: ignore[no-untyped-def]
    parts: Sequence[ast.expr] = []
    if isinstance(node, ast.List | ast.Tuple):
        parts = node.elts
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"cbind", "c"}:
        parts = node.args
    names = [decode(part.id) for part in parts if isinstance(part, ast.Name)]
    if len(names) != n or len(parts) != n:
        raise wrong(
            f"weights= takes a list of {n} columns, one for each membership, not "
            f"`{decode(ast.unparse(node))}`"
        )
    return tuple(names)


def _text(node: ast.expr | None, default: str) -> str:
    if node is None:
        return default
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return decode(ast.unparse(node))


def _truth(node: ast.expr, wrong) -> bool:  # type: ignore[no-untyped-def]
    known = {"True": True, "TRUE": True, "T": True, "False": False, "FALSE": False, "F": False}
    written = decode(ast.unparse(node))
    if written not in known:
        raise wrong(f"scale= takes True or False, not `{written}`")
    return known[written]
