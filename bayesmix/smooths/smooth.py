"""A smooth as learned from data: its columns at any values, fixed or effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from bayesmix.arguments import did_you_mean, listed
from bayesmix.errors import DataError, FileError
from bayesmix.memory import check_memory
from bayesmix.smooths.base import Basis, Part, moments_of, pieces
from bayesmix.smooths.cr import CubicRegression
from bayesmix.smooths.fs import FactorSmooth
from bayesmix.smooths.points import checked_points
from bayesmix.smooths.ps import PSpline
from bayesmix.smooths.re import RandomEffect
from bayesmix.smooths.t2 import TensorProduct
from bayesmix.smooths.tp import ThinPlate

__all__ = ["BASES", "Smooth", "learn_smooth"]

BASES: dict[str, Any] = {
    basis.kind: basis
    for basis in (CubicRegression, FactorSmooth, PSpline, RandomEffect, TensorProduct, ThinPlate)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Smooth:
    """A smooth term: its basis, and its mixed-model form over the rows of the data.

    Attributes
    ----------
    basis : Basis
    parts : tuple of Part
        Those that enter the model, fixed ones first; the constant is not among them
        where the smooth is centred.
    low, high : ndarray, shape (d,)
        Range of the data in each coordinate.
    """

    basis: Basis
    parts: tuple[Part, ...]
    low: np.ndarray
    high: np.ndarray

    @property
    def grouped(self) -> bool:
        """Whether the effects of the parts are those of each level of a factor."""
        return self.basis.grouped

    @property
    def n_columns(self) -> int:
        """Number of coefficients, of a level if they are grouped."""
        return sum(part.map.shape[1] for part in self.parts)

    def columns(self, values: np.ndarray, by: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """Columns of each part at some values.

        Parameters
        ----------
        values : ndarray, shape (n, d)
        by : ndarray, shape (n,), optional
            What the smooth is multiplied with: a variable, or 1 in rows of a level
            and 0 in the others.

        Returns
        -------
        tuple of ndarray, shape (n, r)
            One for each part, in their order.

        Raises
        ------
        DataError
            If a value is no finite number.
        NotSupportedError
            If memory does not hold them.
        """
        points = checked_points(values, "a smooth")
        n, k = len(points), self.basis.n_columns
        check_memory(f"a smooth with k={k} at {n:,} rows", n * self.n_columns, "take a smaller k")
        # A column behind the other: what is asked of columns is many times as fast.
        found = tuple(np.empty((n, part.map.shape[1]), order="F") for part in self.parts)
        for rows in pieces(n, 4 * k):
            with np.errstate(over="ignore", invalid="ignore"):  # found below
                X = self.basis.matrix(points[rows])
                if by is not None:
                    X *= np.asarray(by, dtype=np.float64)[rows, None]
                own_columns = [X @ part.map for part in self.parts]
            for columns, own in zip(found, own_columns, strict=True):
                columns[rows] = own
                if not np.isfinite(own).all():
                    raise DataError(
                        "the columns of a smooth overflow at some rows: its variables or their "
                        "products are too large; divide them by a constant"
                    )
        return found

    def outside(self, values: np.ndarray) -> np.ndarray:
        """Whether points lie beyond the range of the data, where the smooth extrapolates.

        Parameters
        ----------
        values : ndarray, shape (n, d)

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        points = checked_points(values, "a smooth")
        result: np.ndarray = ((points < self.low) | (points > self.high)).any(axis=1)
        return result

    def state(self) -> dict[str, np.ndarray]:
        """Return what the smooth has learned, as arrays by name."""
        found = {"kind": np.asarray(self.basis.kind), "low": self.low, "high": self.high}
        found["parts"] = np.asarray([part.name for part in self.parts])
        found["penalised"] = np.asarray([part.penalised for part in self.parts])
        found["energy"] = np.asarray([part.energy for part in self.parts])
        found |= {f"map.{i}": part.map for i, part in enumerate(self.parts)}
        return found | {f"basis.{key}": value for key, value in self.basis.state().items()}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> Self:
        """Make the smooth again of what `state` gave.

        Parameters
        ----------
        state : mapping of str to ndarray

        Returns
        -------
        Smooth
            With the same columns, to the last bit.

        Raises
        ------
        FileError
            If an array is missing, or the kind of smooth is unknown.
        """
        try:
            kind = BASES[str(state["kind"])]
            own = {key.removeprefix("basis."): state[key] for key in state if "basis." in key}
            told = zip(state["parts"], state["penalised"], state["energy"], strict=True)
            parts = tuple(
                Part(name=str(name), map=np.asarray(state[f"map.{i}"]), penalised=bool(penalised),
                     energy=float(energy))
                for i, (name, penalised, energy) in enumerate(told)
            )  # fmt: skip
            return cls(basis=kind.from_state(own), parts=parts, low=np.asarray(state["low"]),
                       high=np.asarray(state["high"]))  # fmt: skip
        except (KeyError, ValueError, TypeError) as error:
            raise FileError(f"the state of a smooth is damaged: {error}") from error


def learn_smooth(
    kind: str, values: np.ndarray, *, k: Any = None, m: Any = None, centred: bool = True,
    name: str = "the smooth", **options: Any,
) -> Smooth:  # fmt: skip
    """Learn a smooth from the rows of the data.

    Parameters
    ----------
    kind : {"cr", "fs", "ps", "re", "t2", "tp"}
    values : ndarray, shape (n, d)
        The numeric coordinates, without missing values; a factor is not among them.
    k : int, optional
        Number of basis functions; a sequence with one for each margin of "t2".
    m : int or pair of int, optional
        Order of the penalty, in mgcv's sense.
    centred : bool
        Take the constant out, so that the smooth has mean 0 over the rows. False where a
        variable multiplies it.
    name : str
        The term as written, for errors.
    **options
        ``bs``, ``d`` and ``full`` of "t2"; ``base`` of "fs".

    Returns
    -------
    Smooth

    Raises
    ------
    DataError
        If the kind is unknown, or the data do not bear the basis.
    """
    if kind not in BASES:
        near = did_you_mean(kind, BASES)
        raise DataError(f"{name}: there is no basis bs={kind!r}; {near}there are {listed(BASES)}")
    points = checked_points(values, name)
    if not len(points):
        raise DataError(f"{name}: there are no rows to learn it from")
    if k is not None and kind != "t2" and not isinstance(k, int | np.integer):
        raise DataError(f"{name}: k={k!r} must be a whole number, such as k=10")
    basis: Basis = BASES[kind].learn(points, k, m, name=name, **options)
    parts = basis.parts(moments_of(basis, points), name)
    if centred and basis.centred:
        parts = tuple(part for part in parts if part.penalised or part.name != "constant")
    return Smooth(basis=basis, parts=parts, low=points.min(axis=0), high=points.max(axis=0))
