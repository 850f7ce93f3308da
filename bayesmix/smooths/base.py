"""What every basis of a smooth has: columns at any values, a penalty, and its mixed-model form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import ClassVar, Self

import numpy as np

from bayesmix.errors import DataError
from bayesmix.memory import check_memory

__all__ = ["MOST_COLUMNS", "Basis", "Moments", "Part", "check_size", "moments_of", "pieces"]

MOST_COLUMNS = 2_000  # of a smooth: its matrices are factored as dense ones
_CELLS = 4_000_000  # numbers of a piece of rows
_UNEVEN = 1e-12  # of a square: what rounding leaves of a difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Columns of a smooth that share a fate: all fixed, or effects with one sd.

    Attributes
    ----------
    name : str
        "constant", "null" or "range"; those of tensor products and of factor
        smooths say which null and range spaces they are made of.
    map : ndarray, shape (k, r)
        The columns are the basis' matrix times this; coefficients of the part times
        this are coefficients of the basis.
    penalised : bool
        Whether the columns are effects u ~ N(0, sd^2 I); the others are fixed.
    energy : float
        The penalty b' S b of the basis' coefficients b = map @ u is energy * u' u. With
        residual variance sigma^2 the smoothing parameter of S is sigma^2 / (sd^2 energy).
        NaN where the basis has more penalties than one, and 0 of fixed columns.
    """

    name: str
    map: np.ndarray
    penalised: bool
    energy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """First and second moments of a basis' columns over the rows of the data.

    Attributes
    ----------
    mean : ndarray, shape (k,)
    gram : ndarray, shape (k, k)
        X' X / n.
    """

    mean: np.ndarray
    gram: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis(ABC):
    """A basis for functions of some coordinates, with what it has learned from data.

    All it has learned are numbers and arrays, so that files can hold it (`state`).
    """

    kind: ClassVar[str]
    # Effects of the parts are those of each level of a factor, not of the whole data.
    grouped: ClassVar[bool] = False
    # The constant is taken out: the intercept of the model stands for it.
    centred: ClassVar[bool] = True

    @property
    @abstractmethod
    def n_coordinates(self) -> int:
        """Number of coordinates of a point."""

    @property
    @abstractmethod
    def n_columns(self) -> int:
        """Number of columns, k in a formula."""

    @property
    @abstractmethod
    def penalty(self) -> np.ndarray:
        """S: wiggliness of a function with coefficients b is b' S b; shape (k, k)."""

    @property
    @abstractmethod
    def null_space(self) -> np.ndarray:
        """Coefficients of functions without wiggliness, the constant 1 first; shape (k, M)."""

    @abstractmethod
    def matrix(self, values: np.ndarray) -> np.ndarray:
        """Columns of the basis at some points.

        Parameters
        ----------
        values : ndarray, shape (n, d)

        Returns
        -------
        ndarray, shape (n, k)
        """

    def parts(self, moments: Moments, name: str) -> tuple[Part, ...]:
        """Write the smooth as a mixed model: constant, null space, range space.

        Null space columns have mean 0 and mean square 1 over the rows of the data.
        Range space columns have the identity as their penalty (Wood 2004), up to a
        scale that makes the mean over rows of their squared length 1: the sd of their
        effects is the typical distance of the function from its null space. They are
        orthogonal over rows to the constant, to the null space and to each other
        (Demmler and Reinsch), from smooth to wiggly.

        Parameters
        ----------
        moments : Moments
            Over the rows of the data.
        name : str
            The term as written, for errors.

        Returns
        -------
        tuple of Part
            Constant, null (if there is more than the constant) and range.
        """
        null = standardised(self.null_space, moments, name)
        effects = penalty_root(self.penalty, null.shape[1], name)
        effects, energy = scaled_effects(effects, null, moments, name)
        parts = [Part(name="constant", map=null[:, :1], penalised=False, energy=0.0)]
        if null.shape[1] > 1:
            parts.append(Part(name="null", map=null[:, 1:], penalised=False, energy=0.0))
        return (*parts, Part(name="range", map=effects, penalised=True, energy=energy))

    def state(self) -> dict[str, np.ndarray]:
        """Return what the basis has learned, by name."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Self:
        """Make the basis again of what `state` gave."""
        return cls(**{
            field.name: value if (value := np.asarray(state[field.name])).ndim else value.item()
            for field in fields(cls)
        })  # fmt: skip


def standardised(null: np.ndarray, moments: Moments, name: str) -> np.ndarray:
    """Null space functions with the constant first, the others of mean 0 and mean square 1."""
    centred = null.copy()
    centred[:, 1:] -= np.outer(null[:, 0], moments.mean @ null[:, 1:])
    gram = centred.T @ moments.gram @ centred
    squares = np.diagonal(gram).copy()
    squares[0] = 1.0
    if (squares < _UNEVEN * (null**2).max(axis=0)).any():
        raise DataError(
            f"{name}: nearly all values lie in one place, compared with the range of all of them; "
            "transform them first, as in log(x), or leave the outlying rows out"
        )
    size = np.sqrt(squares)
    if np.linalg.eigvalsh(gram / np.outer(size, size))[0] < 1e-10:
        raise DataError(
            f"{name}: the rows do not tell its {null.shape[1]} unpenalised functions apart (its "
            "variables lie on a line, or almost); take smooths of fewer variables"
        )
    result: np.ndarray = centred / size
    return result


def penalty_root(penalty: np.ndarray, n_null: int, name: str) -> np.ndarray:
    """Coefficients of functions that have the identity as their penalty; shape (k, k - M)."""
    values, vectors = np.linalg.eigh(penalty)
    clear = int((values > len(values) * np.finfo(float).eps * values[-1]).sum())
    if clear < len(values) - n_null:
        raise DataError(
            f"{name}: its values lie so unevenly that {len(values)} basis functions do not differ "
            f"in their wiggliness by more than rounding; take k={max(clear, n_null + 1)} or fewer, "
            "or transform them first, as in log(x)"
        )
    result: np.ndarray = vectors[:, n_null:] / np.sqrt(values[n_null:])
    return result


def scaled_effects(
    effects: np.ndarray, null: np.ndarray, moments: Moments, name: str
) -> tuple[np.ndarray, float]:
    """Columns turned and scaled: orthogonal over rows, their mean squared length 1."""
    gram = moments.gram
    before = np.trace(effects.T @ gram @ effects)
    for _ in range(2):  # the second time for what rounding left
        inner = null.T @ gram
        effects = effects - null @ np.linalg.solve(inner @ null, inner @ effects)
    values, vectors = np.linalg.eigh(effects.T @ gram @ effects)
    effects = effects @ vectors[:, ::-1]
    total = float(np.maximum(values, 0).sum())
    if total <= _UNEVEN * before:
        raise DataError(
            f"{name}: its {null.shape[1]} unpenalised functions go through all rows, which leaves "
            "nothing to be smoothed; take a simpler term"
        )
    effects = effects / np.sqrt(total)
    peaks = effects[np.abs(effects).argmax(axis=0), np.arange(effects.shape[1])]
    return effects * np.where(peaks < 0, -1.0, 1.0), 1.0 / total


def pieces(n_rows: int, n_numbers: int) -> Iterator[slice]:
    """Stretches of rows that take little memory with so many numbers a row."""
    step = max(1, _CELLS // max(1, n_numbers))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def moments_of(basis: Basis, values: np.ndarray) -> Moments:
    """Moments of a basis' columns over rows, a stretch of rows at a time."""
    k = basis.n_columns
    total, gram = np.zeros(k), np.zeros((k, k))
    with np.errstate(over="ignore"):
        for rows in pieces(len(values), 4 * k):
            X = basis.matrix(values[rows])
            total += X.sum(axis=0)
            gram += X.T @ X
    return Moments(mean=total / len(values), gram=gram / len(values))


def check_size(name: str, k: int, least: int, n_unique: int) -> None:
    """Refuse a number of basis functions that the data or the machine do not bear.

    Raises
    ------
    DataError
        Naming k and what it may be.
    NotSupportedError
        If k squared numbers do not fit into memory.
    """
    if k < least:
        raise DataError(
            f"{name}: k={k} is too few basis functions; this kind takes {least} or more"
        )
    if k > n_unique:
        what = "one distinct value" if n_unique == 1 else f"{n_unique:,} distinct values"
        enough = n_unique >= least
        advice = f"take k={n_unique} or fewer" if enough else "take a factor or a straight line"
        raise DataError(f"{name}: k={k} basis functions need as many points, of {what}; {advice}")
    if k > MOST_COLUMNS:
        raise DataError(
            f"{name}: k={k:,} is more basis functions than the {MOST_COLUMNS:,} allowed"
        )
    check_memory(f"{name} with k={k:,}", 4 * k * k, "take a smaller k")
