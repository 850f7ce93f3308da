"""Where the effects of a structured term are: learned from data, and looked up in others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import plain
from bayesmix.design.dates import holds_dates
from bayesmix.design.matrices import Columns, Functions, expression_column, expression_values
from bayesmix.design.missing import check_finite, check_size
from bayesmix.design.steps import ORDERED, factor_steps, warn_of_alphabet
from bayesmix.errors import DataError, FormulaError
from bayesmix.formula import Formula, GroupTerm
from bayesmix.formula.quoting import decode
from bayesmix.formula.structures import STRUCTURE_WORDS, as_residual
from bayesmix.memory import check_memory

__all__ = ["MOST_POSITIONS", "PositionColumns", "learn_positions"]

MOST_POSITIONS = 200  # effects of a level, whose covariance is factored again and again
_SAME = 1e-9  # of the range of a coordinate: places that are nearer are one


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionColumns:
    """The indicator columns of a structured term, one for each position.

    Attributes
    ----------
    label : str
        Word and left side as written, ``ar1(occasion)``: what names begin with.
    names : tuple of str, length q
        ``ar1(occasion)[3]``.
    positions : ndarray, shape (q, d)
        Sorted and distinct. Those of a factor are its levels where these are whole
        numbers, and their order otherwise.
    columns : tuple of Columns, length d
        How the coordinates are built; of a factor there is none.
    column : str
        The column, where it is a factor.
    levels : tuple of str
        The levels of a factor, in order; empty for numbers.
    whole : bool
        Whether positions are whole numbers.
    """

    label: str
    names: tuple[str, ...]
    positions: np.ndarray
    columns: tuple[Columns, ...]
    column: str = ""
    levels: tuple[str, ...] = ()
    whole: bool = False

    def coordinates(self, frame: pd.DataFrame, labels: pd.Index[Any] | None = None) -> np.ndarray:
        """Where the rows of a prepared frame are, shape (n, d).

        Raises
        ------
        DataError
            If a coordinate is not finite, or not whole where all are.
        """
        if self.column:
            place = dict(zip(self.levels, factor_steps(self.levels), strict=True))
            return frame[self.column].astype(str).map(place).to_numpy(dtype=np.float64)[:, None]
        built = [column.build(frame, labels) for column in self.columns]
        values = np.concatenate(built, axis=1)
        rows = frame.index if labels is None else labels
        check_finite(values, (self.label,) * values.shape[1], rows, "the position of")
        check_size(values, (self.label,) * values.shape[1], "the position of")
        bad = np.flatnonzero(values[:, 0] != np.floor(values[:, 0]))
        if self.whole and bad.size:
            raise DataError(
                f"the positions of {self.label} must be whole numbers, and that of row "
                f"{rows[bad[0]]} is {values[bad[0], 0]:.6g}: take the nearest whole one, or "
                'predict with groups="population"'
            )
        return values

    def index_of(self, coordinates: np.ndarray) -> np.ndarray:
        """Position of each row, -1 where it is new; shape (n,)."""
        low, step = self.positions.min(axis=0), self._steps
        known = {key: k for k, key in enumerate(map(tuple, _keys(self.positions, low, step)))}
        given, inverse = np.unique(_keys(coordinates, low, step), axis=0, return_inverse=True)
        found = np.asarray([known.get(tuple(key), -1) for key in given], dtype=np.int64)
        return found[inverse.ravel()]

    def build(self, frame: pd.DataFrame, labels: pd.Index[Any] | None = None) -> np.ndarray:
        """Build the indicator columns; zero in rows whose position is new. Shape (n, q)."""
        return indicators(self.index_of(self.coordinates(frame, labels)), len(self.names))

    def with_places_of(self, frame: pd.DataFrame) -> PositionColumns:
        """Add positions that other data have."""
        own = self.coordinates(frame)
        new = own[self.index_of(own) < 0]
        return self._at(np.concatenate([self.positions, new])) if len(new) else self

    def at_positions_of(self, frame: pd.DataFrame) -> PositionColumns:
        """Keep the positions that other data have, and those alone."""
        own = self.coordinates(frame)
        at = self.index_of(own)
        if np.array_equal(np.unique(at), np.arange(len(self.names))):
            return self
        return self._at(np.concatenate([self.positions[np.unique(at[at >= 0])], own[at < 0]]))

    def _at(self, positions: np.ndarray) -> PositionColumns:
        found = distinct(positions, steps=self._counted)
        return replace(self, positions=found, names=self.names_of(found))

    @property
    def _counted(self) -> bool:
        """Whether positions are whole numbers or levels, which are the same or are not."""
        return self.whole or bool(self.column)

    @property
    def _steps(self) -> np.ndarray:
        """Distance in each coordinate below which two are the same."""
        return np.ones(self.positions.shape[1]) if self._counted else _steps(self.positions)

    def names_of(self, positions: np.ndarray) -> tuple[str, ...]:
        """Names of the effects at positions of shape (m, d)."""
        if self.column:
            label = dict(zip(factor_steps(self.levels), self.levels, strict=True))
            written = [label.get(value, f"{value:g}") for value in positions[:, 0].tolist()]
        else:
            for digits in (6, 9, 12, 17):
                written = [", ".join(f"{v:.{digits}g}" for v in row) for row in positions.tolist()]
                if len(set(written)) == len(written):
                    break
        return tuple(f"{self.label}[{text}]" for text in written)


def learn_positions(
    term: GroupTerm,
    frame: pd.DataFrame,
    functions: Functions,
    labels: pd.Index[Any],
    formula: Formula,
) -> PositionColumns:
    """Find where the effects of a term are.

    Parameters
    ----------
    term : GroupTerm
    frame : DataFrame, n rows
        Prepared columns, without missing values.
    functions : mapping of str to callable
    labels : Index, length n
        The labels of the rows in the caller's data, for messages.
    formula : Formula

    Returns
    -------
    PositionColumns

    Raises
    ------
    FormulaError
        If positions are no numbers, or not whole where whole ones are wanted, if there
        is a single one, or more than `MOST_POSITIONS`.
    DataError
        For infinite coordinates, or indicators that memory does not hold.
    """
    word, label = term.structure, f"{term.structure}({term.left})"
    steps = STRUCTURE_WORDS[word].left == "steps"

    def refused(reason: str) -> FormulaError:
        return FormulaError(reason, text=formula.text, start=term.start, stop=term.stop)

    columns: list[Columns] = []
    values: list[np.ndarray] = []
    column = ""
    levels: tuple[str, ...] = ()
    for part in term.effects:
        (factor,) = part.factors
        written = decode(factor.expr)
        given = expression_values(factor.expr, frame, functions)
        if isinstance(getattr(given, "dtype", None), pd.CategoricalDtype):
            if not steps:
                raise refused(
                    f"`{written}` of {label} holds text such as {plain(given.iloc[0])!r}, and "
                    f"{word} needs numbers: give its coordinates as columns of the data"
                )
            column, levels = written, tuple(map(str, given.cat.categories))
            if holds_dates(levels):
                raise refused(
                    f"`{written}` of {label} holds dates, whose gaps a factor does not count: make "
                    "a column that counts the days, and write ou(days | g) where they are irregular"
                )
            if word in ORDERED:
                warn_of_alphabet(label, given)
            place = dict(zip(levels, factor_steps(levels), strict=True))
            values.append(given.astype(str).map(place).to_numpy(dtype=np.float64))
            continue
        own, numbers = expression_column(factor.expr, frame, functions)
        check_finite(numbers[:, None], (written,), labels, f"the position of {label},")
        check_size(numbers[:, None], (written,), f"the position of {label},")
        bad = np.flatnonzero(numbers != np.floor(numbers)) if steps else np.zeros(0, dtype=np.int64)
        if bad.size:
            way_out = (
                f"ou({term.left} | {term.name}) takes any times"
                if "ar1" in word or "toep" in word
                else f"cut `{written}` into classes first"
            )
            raise refused(
                f"the positions of {label} must be whole numbers, and `{written}` is "
                f"{numbers[bad[0]]:.6g} in row {labels[bad[0]]}: {way_out}"
            )
        columns.append(own)
        values.append(numbers)
    positions = distinct(np.stack(values, axis=1), steps=steps)
    if len(positions) == 1:
        raise refused(
            f"{label} has a single position, {', '.join(f'{v:g}' for v in positions[0])}, so "
            f"there is nothing to correlate: write (1 | {term.name})"
        )
    if len(positions) > MOST_POSITIONS:
        raise refused(f"{label} has {len(positions)} positions{_too_many(term)}")
    check_memory(
        f"the columns of {label}, one for each of {len(positions)} positions,",
        len(frame) * len(positions),
        "take fewer positions or fewer rows",
    )
    found = PositionColumns(
        label=label, names=(), positions=positions, columns=tuple(columns), column=column,
        levels=levels, whole=steps,
    )  # fmt: skip
    return replace(found, names=found.names_of(positions))


def indicators(index: np.ndarray, n_columns: int) -> np.ndarray:
    """A column for each position, with ones in its rows and nowhere for -1; shape (n, q)."""
    out = np.zeros((len(index), n_columns))
    known = np.flatnonzero(index >= 0)
    out[known, index[known]] = 1.0
    return out


def distinct(coordinates: np.ndarray, *, steps: bool = False) -> np.ndarray:
    """Sorted positions without those that are the same but for rounding, shape (m, d)."""
    found = np.unique(coordinates, axis=0)
    if steps:
        return found
    keys = _keys(found, found.min(axis=0), _steps(found))
    first = np.unique(keys, axis=0, return_index=True)[1]
    return found[np.sort(first)]


def _steps(positions: np.ndarray) -> np.ndarray:
    """Distance in each coordinate below which two are the same."""
    span = np.ptp(positions, axis=0)
    size = np.maximum(np.abs(positions).max(axis=0), 1e-300)
    return np.where(span > 0, span, size) * _SAME


def _keys(coordinates: np.ndarray, low: np.ndarray, step: np.ndarray) -> np.ndarray:
    return np.round((coordinates - low) / step)


def _too_many(term: GroupTerm) -> str:
    """What to write in place of more positions than there can be effects of."""
    instead = as_residual(term.structure, term.left, term.name)
    return (
        f"; {MOST_POSITIONS} are the most for effects of a level: say that the residuals are "
        f'correlated, which has no such bound, by a second formula "{instead}", or round the '
        "positions"
    )
