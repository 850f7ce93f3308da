"""Random effects: a ridge penalty on one coefficient per level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from bayesmix.smooths.base import Basis, Moments, Part

__all__ = ["RandomEffect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomEffect(Basis):
    """Independent normal effects of a factor's levels, or of a slope in each of them.

    The levels themselves are the design's: here is the one column that each level's
    effect multiplies, the product of the numeric variables of the term.

    Attributes
    ----------
    n_variables : int
        Number of numeric variables, 0 in ``s(g, bs="re")``.
    """

    kind: ClassVar[str] = "re"
    grouped: ClassVar[bool] = True
    centred: ClassVar[bool] = False

    n_variables: int

    @classmethod
    def learn(cls, values: np.ndarray, k: int | None = None, m: Any = None, *, name: str) -> Self:  # noqa: ARG003
        """Take as many numeric variables as there are.

        Parameters
        ----------
        values : ndarray, shape (n, d)
        k, m
            Not used: the levels are the basis.
        name : str
            The term as written.
        """
        return cls(n_variables=values.shape[1])

    @property
    def n_coordinates(self) -> int:
        """Number of numeric variables."""
        return self.n_variables

    @property
    def n_columns(self) -> int:
        """One: that of a level."""
        return 1

    @property
    def penalty(self) -> np.ndarray:
        """The square."""
        return np.ones((1, 1))

    @property
    def null_space(self) -> np.ndarray:
        """Nothing is left without penalty."""
        return np.zeros((1, 0))

    def matrix(self, values: np.ndarray) -> np.ndarray:
        """Product of the variables; 1 where there are none.

        Parameters
        ----------
        values : ndarray, shape (n, d)

        Returns
        -------
        ndarray, shape (n, 1)
        """
        with np.errstate(over="ignore"):
            result: np.ndarray = np.prod(values, axis=1, keepdims=True)
        return result

    def parts(self, moments: Moments, name: str) -> tuple[Part, ...]:
        """One part, in the units of the variables, as ``(1 | g)`` has it.

        Parameters
        ----------
        moments : Moments
        name : str

        Returns
        -------
        tuple of Part
        """
        return (Part(name="range", map=np.ones((1, 1)), penalised=True, energy=1.0),)
