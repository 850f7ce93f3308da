"""Factor smooths: a curve for each level of a factor, all of the same smoothness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from bayesmix.errors import DataError
from bayesmix.smooths.base import Basis, Moments, Part
from bayesmix.smooths.cr import CubicRegression
from bayesmix.smooths.ps import PSpline
from bayesmix.smooths.tp import ThinPlate

__all__ = ["FactorSmooth"]

_BASES: dict[str, Any] = {"cr": CubicRegression, "ps": PSpline, "tp": ThinPlate}


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorSmooth(Basis):
    """Curves of a factor's levels as effects: every part of them is penalised.

    The range space has one sd, and so has each function of the null space: levels,
    slopes and curves vary each with their own sd. mgcv does the same; its axes
    within the null space are arbitrary, here they are the constant and the line.

    Attributes
    ----------
    base : Basis
        That of one level's curve.
    """

    kind: ClassVar[str] = "fs"
    grouped: ClassVar[bool] = True
    centred: ClassVar[bool] = False

    base: Basis

    @classmethod
    def learn(
        cls, values: np.ndarray, k: int | None = None, m: Any = None, *, base: str = "tp", name: str
    ) -> Self:
        """Learn the basis of one level's curve from all rows.

        Parameters
        ----------
        values : ndarray, shape (n, d)
        k, m
            Those of the basis.
        base : {"tp", "cr", "ps"}
        name : str
            The term as written, for errors.

        Raises
        ------
        DataError
        """
        if base not in _BASES:
            raise DataError(f"{name}: a factor smooth is made of {', '.join(_BASES)}, not {base!r}")
        return cls(base=_BASES[base].learn(values, k, m, name=name))

    @property
    def n_coordinates(self) -> int:
        """That of a level's curve."""
        return self.base.n_coordinates

    @property
    def n_columns(self) -> int:
        """That of a level's curve."""
        return self.base.n_columns

    @property
    def penalty(self) -> np.ndarray:
        """Wiggliness of a level's curve."""
        return self.base.penalty

    @property
    def null_space(self) -> np.ndarray:
        """That of a level's curve, which has penalties of its own here."""
        return self.base.null_space

    def matrix(self, values: np.ndarray) -> np.ndarray:
        """Columns of a level's curve.

        Parameters
        ----------
        values : ndarray, shape (n, d)

        Returns
        -------
        ndarray, shape (n, k)
        """
        return self.base.matrix(values)

    def parts(self, moments: Moments, name: str) -> tuple[Part, ...]:
        """Range space, constant, and each further function of the null space.

        Parameters
        ----------
        moments : Moments
        name : str

        Returns
        -------
        tuple of Part
            All penalised.
        """
        *null, effects = self.base.parts(moments, name)
        free = orthonormal(np.hstack([part.map for part in null]), moments)
        names = ["constant", *(f"null{i}" for i in range(1, free.shape[1]))]
        return (
            effects,
            *(
                Part(name=which, map=free[:, [i]], penalised=True, energy=float("nan"))
                for i, which in enumerate(names)
            ),
        )

    def state(self) -> dict[str, np.ndarray]:
        """Return what the basis has learned, by name."""
        own = {f"base.{key}": value for key, value in self.base.state().items()}
        return {"base": np.asarray(self.base.kind), **own}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Self:
        """Make the basis again of what `state` gave."""
        own = {key.removeprefix("base."): value for key, value in state.items() if "." in key}
        return cls(base=_BASES[str(state["base"])].from_state(own))


def orthonormal(null: np.ndarray, moments: Moments) -> np.ndarray:
    """Functions made orthogonal over rows, one after the other, with mean square 1."""
    root = np.linalg.cholesky(null.T @ moments.gram @ null)
    result: np.ndarray = np.linalg.solve(root, null.T).T
    return result
