"""Roots of a known covariance between levels: independent effects in place of related ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from bayesmix.design.known_covariance import KnownCovariance

__all__ = ["LevelsRoot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelsRoot:
    """Effects b = sd * root @ u of the levels in the data, with u independent.

    Attributes
    ----------
    known : KnownCovariance
    places : ndarray of int, shape (n,)
        Places of the data's levels in `known`.
    root : ndarray, shape (n, n)
        L with L L' = A over the data's levels.
    """

    known: KnownCovariance
    places: np.ndarray
    root: np.ndarray

    @classmethod
    def triangular(cls, known: KnownCovariance, levels: Iterable[Any], name: str) -> Self:
        """Lower triangular root, for any model.

        Parameters
        ----------
        known : KnownCovariance
        levels : iterable
            Levels of the data, in their order.
        name : str
            That of A, for errors.

        Raises
        ------
        DataError
            If a level is not in A.
        NotSupportedError
            If memory does not hold the root.
        """
        places = known.places(levels, name)
        A = known.blocks(places, places)
        return cls(known=known, places=places, root=np.linalg.cholesky((A + A.T) / 2))

    def diagonal(self, weights: np.ndarray) -> tuple[LevelsRoot, np.ndarray]:
        """Turn the root so that the levels' cross-products become diagonal.

        With one covariance of levels and one sd, the mixed-model equations of u are then
        diagonal for every sd, and an evaluation costs the number of levels, not its cube.

        Parameters
        ----------
        weights : ndarray, shape (n,)
            Z'Z of the levels: their numbers of rows, or sums of weights. With all ones
            the columns of the root are eigenvectors of A times roots of eigenvalues.

        Returns
        -------
        root : LevelsRoot
            With root' diag(weights) root diagonal.
        values : ndarray, shape (n,)
            That diagonal, ascending.
        """
        inner = self.root.T @ (weights[:, None] * self.root)
        values, vectors = np.linalg.eigh((inner + inner.T) / 2)
        turned = LevelsRoot(known=self.known, places=self.places, root=self.root @ vectors)
        return turned, np.maximum(values, 0.0)

    def others(self, levels: Iterable[Any], name: str) -> tuple[np.ndarray, np.ndarray]:
        """Effects of levels without data, given those of the data.

        They are sd * (given @ u + rest @ v), with v standard normal and independent of u.

        Parameters
        ----------
        levels : iterable
            Levels of A; those of the data are allowed, and follow their own effects.
        name : str
            That of A, for errors.

        Returns
        -------
        given : ndarray, shape (m, n)
        rest : ndarray, shape (m, m)
            Root of their covariance given the data's levels: with given, it makes
            given given' + rest rest' = A.

        Raises
        ------
        DataError
            If a level is not in A.
        """
        places = self.known.places(levels, name)
        across = self.known.blocks(places, self.places)
        given = np.linalg.solve(self.root, across.T).T
        A = self.known.blocks(places, places)
        values, vectors = np.linalg.eigh((A + A.T) / 2 - given @ given.T)
        rest = vectors * np.sqrt(np.where(values > 1e-12 * np.diagonal(A).max(), values, 0.0))
        return given, rest
