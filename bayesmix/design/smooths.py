"""Smooths of a formula: what they learned from the data, and their columns for any rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import listed, plain
from bayesmix.design.matrices import Columns, Functions, expression_column
from bayesmix.errors import OWN_FILES, DataError, DataWarning, FormulaError
from bayesmix.formula import Formula, SmoothTerm
from bayesmix.formula.quoting import decode, encode
from bayesmix.smooths import Smooth, learn_smooth

__all__ = [
    "FixedColumns", "SmoothColumns", "SmoothParts", "build_smooths", "warn_of_extrapolation",
]  # fmt: skip

_NOTICED = 0.01  # of the range of the data
_DEGREES = ("linear", "quadratic", "cubic")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothColumns:
    """One smooth of a predictor: how its columns are built.

    A term with ``by=f`` of a factor makes one for each level, all with one `smooth`.

    Attributes
    ----------
    name : str
        ``s(x)``, ``s(x):f[a]``: that of its effects, of their sd, and of the term in results.
    term : SmoothTerm
    smooth : Smooth
    variables : tuple of Columns or None
        How each coordinate is computed; None where it is a column of the data.
    by : Columns or None
        How a number that multiplies it is computed.
    level : object
        The level of a factor whose rows it is of; None for all rows.
    levels : tuple
        All levels of that factor.
    """

    name: str
    term: SmoothTerm
    smooth: Smooth
    variables: tuple[Columns | None, ...]
    by: Columns | None = None
    level: Any = None
    levels: tuple[Any, ...] = ()

    @property
    def at_levels(self) -> bool:
        """Whether its effects are those of each level of a factor."""
        return self.term.at_levels

    @property
    def fixed_names(self) -> tuple[str, ...]:
        """Names of its fixed columns: ``s(x)[linear]``."""
        return tuple(f"{self.name}[{own}]" for own in self._names(penalised=False))

    @property
    def effect_names(self) -> tuple[str, ...]:
        """Names of its penalised columns: ``s(x)[1]``, ``s(x)[2]``, ..."""
        return tuple(f"{self.name}[{own}]" for own in self._names(penalised=True))

    @property
    def blocks(self) -> tuple[tuple[str, int], ...]:
        """Label and number of effects of each part that has an sd."""
        parts = [part for part in self.smooth.parts if part.penalised]
        alone = len(parts) == 1
        return tuple(
            (self.name if alone else self._part_name(part.name), part.map.shape[1])
            for part in parts
        )

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of its coordinates, as they are written."""
        return tuple(decode(variable) for variable in self.term.variables)

    @property
    def by_column(self) -> str:
        """The factor whose levels have a smooth each."""
        return decode(self.term.by)

    def points(self, frame: pd.DataFrame, labels: pd.Index[Any] | None = None) -> np.ndarray:
        """Coordinates of the rows of a prepared frame, shape (n, d)."""
        return np.column_stack([
            _numbers(frame, expr) if columns is None else columns.build(frame, labels)[:, 0]
            for expr, columns in zip(self.term.variables, self.variables, strict=True)
        ])  # fmt: skip

    def multiplier(
        self, frame: pd.DataFrame, labels: pd.Index[Any] | None = None
    ) -> np.ndarray | None:
        """What each row's columns are multiplied with, shape (n,); None for 1.

        Raises
        ------
        DataError
            If a row has a level that the factor did not have.
        """
        if self.levels:
            values = frame[self.by_column]
            unseen = np.flatnonzero(~values.isin(list(self.levels)).to_numpy())
            if unseen.size:
                where = "" if labels is None else f" in row {labels[unseen[0]]}"
                raise DataError(
                    f"column `{values.name}` is {plain(values.iloc[unseen[0]])!r}{where}, a level "
                    f"that the model has not seen; known are {listed(self.levels)}"
                )
            return (values == self.level).to_numpy().astype(np.float64)
        if not self.term.by:
            return None
        if self.by is None:
            return _numbers(frame, self.term.by)
        return self.by.build(frame, labels)[:, 0]

    def build(
        self, frame: pd.DataFrame, labels: pd.Index[Any] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fixed and penalised columns for the rows of a prepared frame, shape (n, .) each."""
        parts = self.smooth.columns(self.points(frame, labels), self.multiplier(frame, labels))
        return self.split(parts)

    def split(self, parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Fixed and penalised columns from those of the parts."""
        n = len(parts[0])
        fixed, free = [np.zeros((n, 0))], list[np.ndarray]()
        for part, columns in zip(self.smooth.parts, parts, strict=True):
            (free if part.penalised else fixed).append(columns)
        return np.concatenate(fixed, axis=1), free[0] if len(free) == 1 else np.hstack(free)

    def _names(self, *, penalised: bool) -> Iterator[str]:
        number = 0
        for part in self.smooth.parts:
            if part.penalised != penalised:
                continue
            size = part.map.shape[1]
            if part.name == "null":
                yield from self._null_names(size)
            elif size == 1 and (not penalised or self.at_levels):
                yield self._part_name(part.name)
            else:
                yield from (str(number + k + 1) for k in range(size))
                number += size

    def _part_name(self, part: str) -> str:
        """The name of a part of a curve that varies by level, or of a product."""
        if part.startswith("null"):
            at = int(part[4:] or 1) - 1
            return list(self._null_names(at + 1))[at]
        return "curve" if part == "range" else part

    def _null_names(self, size: int) -> Iterator[str]:
        """Names of what is not penalised, beside the constant."""
        names = self.coordinates
        if len(names) == 1 and size <= len(_DEGREES):
            yield from _DEGREES[:size]
        elif self.term.kind == "t2" and size == 2 ** len(names) - 1:
            for number in range(1, size + 1):
                bits = f"{number:0{len(names)}b}"
                yield ":".join(n for n, bit in zip(names, bits, strict=True) if bit == "1")
        elif size == len(names):
            yield from names
        else:
            yield from (f"null{k + 1}" for k in range(size))


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothParts:
    """A smooth with its columns in some rows.

    Attributes
    ----------
    smooth : SmoothColumns
    fixed : ndarray, shape (n, .)
    penalised : ndarray, shape (n, r)
    """

    smooth: SmoothColumns
    fixed: np.ndarray
    penalised: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedColumns:
    """How the fixed effects' columns are built: those of terms, then those of smooths.

    Attributes
    ----------
    terms : Columns
    smooths : tuple of SmoothColumns
        Those that have fixed columns.
    """

    terms: Columns
    smooths: tuple[SmoothColumns, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; the constant is called ``Intercept``."""
        return (*self.terms.names, *(name for one in self.smooths for name in one.fixed_names))

    def build(self, frame: pd.DataFrame, labels: pd.Index[Any] | None = None) -> np.ndarray:
        """Build the columns for a prepared frame, shape (n, p)."""
        X = self.terms.build(frame, labels)
        if not self.smooths:
            return X
        return np.concatenate([X, *(one.build(frame, labels)[0] for one in self.smooths)], axis=1)

    def columns_of_terms(self) -> dict[str, list[int]]:
        """Positions of the columns that each term made."""
        found, at = self.terms.columns_of_terms(), len(self.terms.names)
        for one in self.smooths:
            found[one.name] = list(range(at, at := at + len(one.fixed_names)))
        return found


def build_smooths(
    formula: Formula,
    frame: pd.DataFrame,
    functions: Functions,
    labels: pd.Index[Any],
    learned: Sequence[SmoothColumns] | None = None,
) -> tuple[SmoothParts, ...]:
    """Learn every smooth of a formula from the rows, or build those of other rows again.

    Parameters
    ----------
    formula : Formula
    frame : DataFrame, n rows
        Prepared columns, without missing values.
    functions : mapping of str to callable
    labels : Index, length n
        Labels of the rows in the caller's data, for messages.
    learned : sequence of SmoothColumns, optional
        The smooths of other data.

    Returns
    -------
    tuple of SmoothParts

    Raises
    ------
    FormulaError
        If a variable is not numeric.
    DataError
        If the data do not bear a basis.

    Warns
    -----
    DataWarning
        If the levels of a factor have curves and no means of their own.
    """
    if learned is not None:
        return tuple(SmoothParts(smooth=one, fixed=X, penalised=Z) for one in learned
                     for X, Z in [one.build(frame, labels)])  # fmt: skip
    found: list[SmoothParts] = []
    for term in formula.smooths:
        found += _learned(term, formula, frame, functions)
    return tuple(found)


def warn_of_extrapolation(smooths: Sequence[SmoothColumns], frame: pd.DataFrame) -> None:
    """Say which smooths are asked beyond the range of the data that they were fitted to.

    Warns
    -----
    DataWarning
    """
    beyond = []
    for term, one in {one.term.name: one for one in smooths}.items():
        points, low, high = one.points(frame), one.smooth.low, one.smooth.high
        room = _NOTICED * (high - low)  # steps of slopes are smaller
        outside = ((points < low - room) | (points > high + room)).any(axis=1)
        if outside.any():
            ranges = " and ".join(
                f"`{name}` from {a:.6g} to {b:.6g}"
                for name, a, b in zip(one.coordinates, low, high, strict=True)
            )
            beyond.append(f"{term} in {int(outside.sum())} rows (the data have {ranges})")
    if beyond:
        warnings.warn(
            f"extrapolated beyond the data: {'; '.join(beyond)}",
            DataWarning,
            skip_file_prefixes=OWN_FILES,
        )


def _learned(
    term: SmoothTerm, formula: Formula, frame: pd.DataFrame, functions: Functions
) -> list[SmoothParts]:
    made = [_coordinate(expr, term, formula, frame, functions) for expr in term.variables]
    points = np.column_stack([values for _, values in made])
    multiplier, by, levels = _multiplier(term, formula, frame, functions)
    smooth = learn_smooth(
        term.kind,
        points,
        k=tuple(term.k) if isinstance(term.k, list) else term.k,
        m=tuple(term.m) if isinstance(term.m, list) else term.m,
        centred=multiplier is None or bool(levels) or _is_constant(multiplier),
        name=str(term),
        **_options(term),
    )
    common: Mapping[str, Any] = {
        "term": term, "smooth": smooth, "variables": tuple(columns for columns, _ in made),
    }  # fmt: skip
    if not levels:
        own = SmoothColumns(name=_checked_name(term.name), by=by, **common)
        X, Z = own.split(smooth.columns(points, multiplier))
        return [SmoothParts(smooth=own, fixed=X, penalised=Z)]
    _remind_of_means(term, formula)
    parts = smooth.columns(points)
    values = frame[decode(term.by)]
    found = []
    for level in levels:
        rows = (values == level).to_numpy().astype(np.float64)[:, None]
        name = _checked_name(f"{term.name}[{plain(level)}]")
        own = SmoothColumns(name=name, level=level, levels=levels, **common)
        X, Z = own.split([columns * rows for columns in parts])
        found.append(SmoothParts(smooth=own, fixed=X, penalised=Z))
    return found


def _coordinate(
    expr: str, term: SmoothTerm, formula: Formula, frame: pd.DataFrame, functions: Functions
) -> tuple[Columns | None, np.ndarray]:
    """How one coordinate is computed, and its values."""
    plain_column = next((name for name in frame.columns if encode(name) == expr), None)
    if plain_column is None:
        columns, values = expression_column(expr, frame, functions)
        return columns, values
    if isinstance(frame[plain_column].dtype, pd.CategoricalDtype):
        advice = f"write s(x, by={plain_column}) for a curve of each level"
        if term.kind == "fs":
            advice = "the factor of a factor smooth is its last variable"
        raise _error(f"{term}: `{plain_column}` holds no numbers; {advice}", term, formula)
    return None, _numbers(frame, expr)


def _multiplier(
    term: SmoothTerm, formula: Formula, frame: pd.DataFrame, functions: Functions
) -> tuple[np.ndarray | None, Columns | None, tuple[Any, ...]]:
    """A number to multiply with, how it is computed, or the levels of a factor."""
    if not term.by:
        return None, None, ()
    column = next((name for name in frame.columns if encode(name) == term.by), None)
    if column is None:
        columns, values = expression_column(term.by, frame, functions)
        return values, columns, ()
    given = frame[column]
    if isinstance(given.dtype, pd.CategoricalDtype):
        return None, None, tuple(given.cat.categories)
    if term.by_is_factor:
        levels = np.unique(given.to_numpy())
        if len(levels) > _MOST_LEVELS:
            raise _error(
                f"{term}: `{column}` has {len(levels)} levels with a smooth each; "
                f'bs="fs" shares one smoothness between them',
                term, formula,
            )  # fmt: skip
        return None, None, tuple(levels.tolist())
    return _numbers(frame, term.by), None, ()


_MOST_LEVELS = 200


def _options(term: SmoothTerm) -> dict[str, Any]:
    return {w: tuple(v) if isinstance(v, list) else v for w, v in term.options.items()}


def _numbers(frame: pd.DataFrame, expr: str) -> np.ndarray:
    column = next(name for name in frame.columns if encode(name) == expr)
    return frame[column].to_numpy(dtype=np.float64)


def _is_constant(values: np.ndarray) -> bool:
    return bool((values == values[0]).all())


def _remind_of_means(term: SmoothTerm, formula: Formula) -> None:
    """Say that centred curves leave the levels' means out, unless the formula has them."""
    by = decode(term.by)
    named = {factor.expr for fixed in formula.fixed for factor in fixed.factors}
    if any(expr == term.by or expr.startswith(f"C({term.by}") for expr in named):
        return
    if any(by in group.columns for group in formula.groups):
        return
    warnings.warn(
        f"{term} has a curve for each level of `{by}`, each with mean 0: the levels' own means are "
        f"not among them; add {by} as a term",
        DataWarning,
        skip_file_prefixes=OWN_FILES,
    )


def _checked_name(name: str) -> str:
    if "/" in name:
        raise DataError(
            f"the smooth {name} has a / in its name, which results cannot be stored under; make "
            "its variable a column of the data first"
        )
    return name


def _error(reason: str, term: SmoothTerm, formula: Formula) -> FormulaError:
    return FormulaError(reason, text=formula.text, start=term.start, stop=term.stop)
