"""Tensor products of smooths, as sums of parts that each have one penalty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Any, ClassVar, Self

import numpy as np

from bayesmix.errors import DataError
from bayesmix.smooths.base import (
    MOST_COLUMNS,
    Basis,
    Moments,
    Part,
    penalty_root,
    scaled_effects,
    standardised,
)
from bayesmix.smooths.cr import CubicRegression
from bayesmix.smooths.fs import orthonormal
from bayesmix.smooths.ps import PSpline
from bayesmix.smooths.tp import ThinPlate

__all__ = ["TensorProduct"]

_BASES: dict[str, Any] = {"cr": CubicRegression, "ps": PSpline, "tp": ThinPlate}


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorProduct(Basis):
    """A smooth of several variables, each in its own units.

    The columns are products of the margins'. Every margin is split into its null and
    its range space, and each product of those is a part: products of null spaces are
    fixed, the others have an sd each. As in mgcv, a margin's range space is orthogonal to its
    null space by the coefficients of its basis; the axes of the null space, which in mgcv
    are arbitrary, are the constant and the line.

    Attributes
    ----------
    margins : tuple of Basis
    sections : ndarray of int, shape (n_margins + 1,)
        Margin i has the coordinates from ``sections[i]`` to ``sections[i + 1]``.
    full : bool
        Whether each function of a null space makes parts of its own.

    References
    ----------
    Wood, Scheipl and Faraway (2013), Statistics and Computing 23, 341-360.
    """

    kind: ClassVar[str] = "t2"

    margins: tuple[Basis, ...]
    sections: np.ndarray
    full: bool

    @classmethod
    def learn(
        cls, values: np.ndarray, k: Any = None, m: Any = None, *, bs: Any = "cr", d: Any = None,
        full: bool = False, name: str,
    ) -> Self:  # fmt: skip
        """Learn each margin from its own coordinates.

        Parameters
        ----------
        values : ndarray, shape (n, d)
        k : int or sequence of int, optional
            Basis functions of the margins; 5 to the power of their dimension by default.
        m : sequence, optional
            That of each margin.
        bs : str or sequence of str
            "cr" (default), "ps" or "tp"; margins of several coordinates are "tp".
        d : sequence of int, optional
            Number of coordinates of each margin, 1 by default.
        full : bool
        name : str
            The term as written, for errors.

        Raises
        ------
        DataError
        """
        n_coordinates = values.shape[1]
        sizes = [1] * n_coordinates if d is None else [int(i) for i in _sequence(d, 1)]
        if sum(sizes) != n_coordinates or min(sizes) < 1:
            raise DataError(f"{name}: d={d!r} must be numbers above 0 that sum to {n_coordinates}")
        n = len(sizes)
        if n < 2:
            raise DataError(f"{name}: a tensor product has two margins or more; take s()")
        each = {"k": _sequence(k, n), "m": _sequence(m, n), "bs": _sequence(bs, n)}
        for word, given in each.items():
            if len(given) != n:
                raise DataError(f"{name}: {word} has {len(given)} values for {n} margins")
        sections = np.concatenate([[0], np.cumsum(sizes)])
        margins = []
        for i, size in enumerate(sizes):
            kind = "tp" if size > 1 else each["bs"][i]
            if kind not in _BASES:
                raise DataError(f"{name}: its margins are {', '.join(_BASES)}, not {kind!r}")
            own = values[:, sections[i] : sections[i + 1]]
            width = 5**size if each["k"][i] is None else each["k"][i]
            margins.append(_BASES[kind].learn(own, width, each["m"][i], name=name))
        total = int(np.prod([margin.n_columns for margin in margins]))
        if total > MOST_COLUMNS:
            raise DataError(
                f"{name}: k={[margin.n_columns for margin in margins]} makes {total:,} products, "
                f"more than the {MOST_COLUMNS:,} allowed; take smaller k"
            )
        return cls(margins=tuple(margins), sections=sections, full=full)

    @property
    def n_coordinates(self) -> int:
        """Those of all margins."""
        return int(self.sections[-1])

    @property
    def n_columns(self) -> int:
        """Product of the margins' numbers of columns."""
        return int(np.prod([margin.n_columns for margin in self.margins]))

    @property
    def penalty(self) -> np.ndarray:
        """Sum of the margins' penalties, whose null space is that of the whole smooth."""
        eyes = [np.eye(margin.n_columns) for margin in self.margins]
        return np.asarray(sum(
            reduce(np.kron, [margin.penalty if i == j else eye for j, eye in enumerate(eyes)])
            for i, margin in enumerate(self.margins)
        ))  # fmt: skip

    @property
    def null_space(self) -> np.ndarray:
        """Products of the margins' null spaces, the constant first."""
        return reduce(np.kron, [margin.null_space for margin in self.margins])

    def matrix(self, values: np.ndarray) -> np.ndarray:
        """Products of the margins' columns.

        Parameters
        ----------
        values : ndarray, shape (n, d)

        Returns
        -------
        ndarray, shape (n, k)
        """
        return reduce(_products, [
            margin.matrix(values[:, self.sections[i] : self.sections[i + 1]])
            for i, margin in enumerate(self.margins)
        ])  # fmt: skip

    def parts(self, moments: Moments, name: str) -> tuple[Part, ...]:
        """Fixed products of null spaces, and each product with a range space.

        Parameters
        ----------
        moments : Moments
        name : str

        Returns
        -------
        tuple of Part
            Named by a letter per margin: "r" range and "n" null space ("1", "2", ...
            its functions, in a full product).
        """
        spaces = [self._spaces(i, moments, name) for i in range(len(self.margins))]
        free = reduce(np.kron, [space[0] for space in spaces])
        free = orthonormal(standardised(free, moments, name), moments)
        parts = [
            Part(name="constant", map=free[:, :1], penalised=False, energy=0.0),
            Part(name="null", map=free[:, 1:], penalised=False, energy=0.0),
        ][: 1 + (free.shape[1] > 1)]
        choices = [self._choices(*space) for space in spaces]
        for pattern in product(*choices):
            label = "".join(word for word, _ in pattern)
            if "r" in label:
                effects = reduce(np.kron, [block for _, block in pattern])
                effects, _ = scaled_effects(effects, free, moments, name)
                part = Part(name=label, map=effects, penalised=True, energy=float("nan"))
                parts.append(part)
        return tuple(parts)

    def _choices(self, null: np.ndarray, effects: np.ndarray) -> list[tuple[str, np.ndarray]]:
        """Spaces of a margin that products are made of, with their letters."""
        if self.full:
            own = [(str(i + 1), null[:, [i]]) for i in range(null.shape[1])]
        else:
            own = [("n", null)]
        return [("r", effects), *own]

    def _spaces(self, i: int, moments: Moments, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Null and range space of a margin, by moments that those of the products hold.

        The constant of the other margins leaves this one's columns alone.
        """
        ones = [margin.null_space[:, :1] for margin in self.margins]
        eye = np.eye(self.margins[i].n_columns)
        alone = reduce(np.kron, [eye if i == j else one for j, one in enumerate(ones)])
        own = Moments(mean=alone.T @ moments.mean, gram=alone.T @ moments.gram @ alone)
        margin = self.margins[i]
        null = orthonormal(standardised(margin.null_space, own, name), own)
        effects = penalty_root(margin.penalty, null.shape[1], name)
        # Sizes over rows near 1, so that products neither vanish nor grow.
        size = np.sqrt(np.trace(effects.T @ own.gram @ effects))
        return null, effects / size

    def state(self) -> dict[str, np.ndarray]:
        """Return what the basis has learned, by name."""
        found = {
            "kinds": np.asarray([margin.kind for margin in self.margins]),
            "sections": self.sections,
            "full": np.asarray(self.full),
        }
        for i, margin in enumerate(self.margins):
            found |= {f"{i}.{key}": value for key, value in margin.state().items()}
        return found

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Self:
        """Make the basis again of what `state` gave."""
        margins = []
        for i, kind in enumerate(state["kinds"]):
            own = {
                key.removeprefix(f"{i}."): state[key] for key in state if key.startswith(f"{i}.")
            }
            margins.append(_BASES[str(kind)].from_state(own))
        sections = np.asarray(state["sections"])
        return cls(margins=tuple(margins), sections=sections, full=bool(state["full"]))


def _sequence(value: Any, n: int) -> Sequence[Any]:
    """One value for each margin."""
    given = isinstance(value, list | tuple | np.ndarray)
    return list(value) if given else [value] * n


def _products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Products of each column of one table with each of another, row by row."""
    return (left[:, :, None] * right[:, None, :]).reshape(len(left), -1)
