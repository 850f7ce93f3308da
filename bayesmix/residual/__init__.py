"""Residual structures: the covariance R of what the predictors leave, one class a file."""

from __future__ import annotations

from typing import Any

from bayesmix.residual.ar1 import Autoregressive
from bayesmix.residual.base import PairClasses, Residual, ResidualParameter, Rows, RowScale
from bayesmix.residual.correlated import Correlated
from bayesmix.residual.cs import CompoundSymmetry
from bayesmix.residual.independent import Independent
from bayesmix.residual.known_se import KnownStandardErrors
from bayesmix.residual.weighted import Weighted

__all__ = [
    "BY_ROWS", "STRUCTURES", "Correlated", "Independent", "KnownStandardErrors", "PairClasses",
    "Residual", "ResidualParameter", "RowScale", "Rows", "Weighted", "residual_by_rows",
    "residual_structure",
]  # fmt: skip

# Structures that what is given per row decides on: the first whose needs are met.
BY_ROWS: tuple[Residual, ...] = (KnownStandardErrors(), Weighted(), Independent())

# Structures that a formula names.
STRUCTURES: dict[str, type[Correlated]] = {
    structure.word: structure for structure in (Autoregressive, CompoundSymmetry)
}


def residual_structure(
    word: str, text: str, rows: Rows, n_coordinates: int, labels: tuple[Any, ...] | None = None
) -> Correlated:
    """Return the structure that a formula names, with what it learns from the rows.

    Parameters
    ----------
    word : str
        Such as "ar1".
    text : str
        The structure as the formula writes it.
    rows : mapping of str to ndarray, shape (n,)
        Series and coordinates.
    n_coordinates : int
    labels : tuple, optional
        What the places are called, where they are categories.

    Returns
    -------
    Correlated
    """
    return STRUCTURES[word].learned(text, rows, n_coordinates, labels)


def residual_by_rows(rows: Rows) -> Residual:
    """Return the structure that the data given per row call for.

    Parameters
    ----------
    rows : mapping of str to ndarray, shape (n,)

    Returns
    -------
    Residual
    """
    return next(structure for structure in BY_ROWS if set(structure.needs) <= set(rows))
