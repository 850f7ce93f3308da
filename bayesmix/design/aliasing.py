"""Columns that were left out of X, and for which rows that does not matter.

With columns of X left out as combinations of the others, x'beta has an estimate only where
the row's left-out columns are the same combinations as in the data: then, and only then, x
lies in the row space of the full design (Searle 1971, Linear Models, ch. 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.design.rank import column_units, triangle
from bayesmix.spread import chunks

__all__ = ["Aliasing", "Departure", "aliasing"]

# The share of a row that may be due to how columns were rounded when they were stored; as
# large as what `aliased_columns` takes for no new direction.
_TOLERANCE = 1e-6
_ROUNDING = 16 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """How far left-out columns are from the combinations that they are in the data.

    Attributes
    ----------
    value : ndarray, shape (n, m)
        By row and left-out column, in standard deviations of the column.
    tolerance : ndarray, shape (n, m)
        What rounding may account for.
    """

    value: np.ndarray
    tolerance: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """Whether there is one, by row and column; bool, shape (n, m)."""
        # What is not a number is no estimate either.
        found: np.ndarray = ~(np.abs(self.value) <= self.tolerance)
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aliasing:
    """What the left-out columns of a design are in every row of its data.

    The columns are those of X followed by all others of the formula. In units of
    `unit`, less `center` times the constant column and divided by `scale`, the left-out
    ones are `combination` of the kept ones.

    Attributes
    ----------
    kept, left_out : ndarray of int
        Positions among the columns; `kept` without the constant column.
    constant : int, or None
        Position of the constant column, if one is kept.
    unit, center, scale : ndarray, one per column
    combination : ndarray, shape (kept, left out)
    noise : ndarray, shape (left out,)
        The largest departure among the rows of the data.
    names : tuple of str
        Names of all columns.
    reasons : tuple of str
        What each left-out column is in the data, in words.
    """

    kept: np.ndarray
    left_out: np.ndarray
    constant: int | None
    unit: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    combination: np.ndarray
    noise: np.ndarray
    names: tuple[str, ...]
    reasons: tuple[str, ...]

    def of_rows(self, X: np.ndarray, others: np.ndarray) -> Departure:
        """Say which rows have no estimate.

        Parameters
        ----------
        X : ndarray, shape (n, p)
        others : ndarray, shape (n, P - p)
            The formula's other columns, in order.
        """
        value, size, rounding = self._parts(np.concatenate([X, others], axis=1))
        tolerance = np.maximum(_TOLERANCE * (1.0 + size), 4.0 * self.noise) + rounding
        return Departure(value=value, tolerance=tolerance)

    def of_changes(
        self, high: tuple[np.ndarray, np.ndarray], low: tuple[np.ndarray, np.ndarray]
    ) -> Departure:
        """Say which differences of two versions of rows have no estimate.

        One may have one although neither row has: what is not known cancels.

        Parameters
        ----------
        high, low : tuple of ndarray
            X and the other columns, as in `of_rows`.
        """
        above, below = np.concatenate(high, axis=1), np.concatenate(low, axis=1)
        value, size, _ = self._parts(above - below)
        rounding = self._parts(above)[2] + self._parts(below)[2]
        return Departure(value=value, tolerance=_TOLERANCE * size + rounding)

    def _parts(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Departure, the size of what it is the difference of, and of its rounding."""
        columns = columns / self.unit
        z = columns
        if self.constant is not None:
            share = columns[:, self.constant] / self.center[self.constant]
            z = columns - share[:, None] * self.center
        z = z / self.scale
        raw = np.abs(columns) / self.scale
        A = self.combination
        with np.errstate(invalid="ignore", over="ignore"):
            value = z[:, self.left_out] - z[:, self.kept] @ A
            size = np.abs(z[:, self.left_out]) + np.abs(z[:, self.kept]) @ np.abs(A)
            rounding = raw[:, self.left_out] + raw[:, self.kept] @ np.abs(A)
        return value, size, _ROUNDING * rounding


def aliasing(
    full: np.ndarray, names: tuple[str, ...], in_X: list[int], full_rank: list[int]
) -> Aliasing:
    """Find out what left-out columns are.

    Parameters
    ----------
    full : ndarray, shape (n, P)
        All columns of the formula.
    names : tuple of str, length P
    in_X : list of int
        Positions of the columns of X.
    full_rank : list of int
        Positions of those that are not aliased: these, and the constant column where
        thresholds stand in its place.
    """
    P = full.shape[1]
    units = column_units(full)
    kept = [j for j in full_rank if j != units.constant]
    dropped = [j for j in range(P) if j not in set(full_rank)]
    if units.constant is None:
        center, scale = np.zeros(P), np.hypot(units.scale, units.center)
    else:
        center, scale = units.center, units.scale
    scale = np.where(scale > 0, scale, np.abs(units.center))
    scale = np.where(scale > 0, scale, 1.0)
    R = triangle(full, [*kept, *dropped], units.top, center, scale)
    q = len(kept)
    A = np.linalg.lstsq(R[:, :q], R[:, q:], rcond=None)[0] if q else np.zeros((0, len(dropped)))
    # A coefficient that is rounding would say of a column that it matters.
    A = np.where(np.abs(A) < 1e-9 * np.abs(A).max(axis=0, initial=1e-3), 0.0, A)
    order = [*in_X, *(j for j in range(P) if j not in set(in_X))]
    place = {j: i for i, j in enumerate(order)}
    found = Aliasing(
        kept=np.asarray([place[j] for j in kept], dtype=np.int64),
        left_out=np.asarray([place[j] for j in dropped], dtype=np.int64),
        constant=None if units.constant is None else place[units.constant],
        unit=units.top[order],
        center=center[order],
        scale=scale[order],
        combination=A,
        noise=np.zeros(len(dropped)),
        names=tuple(names[j] for j in order),
        reasons=tuple(
            _in_words(full[:, j], names[j], [names[kept[i]] for i in np.flatnonzero(of_j)])
            for j, of_j in zip(dropped, A.T, strict=True)
        ),
    )  # fmt: skip
    noise = found.noise
    for rows in chunks(full):
        noise = np.maximum(noise, np.abs(found._parts(rows[:, order])[0]).max(axis=0))
    found.noise[:] = noise
    return found


def _in_words(column: np.ndarray, name: str, others: list[str]) -> str:
    """Say what a left-out column is in the data."""
    if not others:
        value = f"{column[0]:g}"
        return f"`{name}` is {'zero' if value == '0' else value} in every row of the data"
    shown = ", ".join(f"`{other}`" for other in others[:4]) + (", ..." if len(others) > 4 else "")
    return f"`{name}` is determined by {shown} in the data"
