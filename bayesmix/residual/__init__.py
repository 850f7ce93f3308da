"""Residual structures: the covariance R of what the predictors leave, one class a file."""

from __future__ import annotations

from typing import Any

from bayesmix.residual.ar1 import Autoregressive
from bayesmix.residual.base import Residual, Rows
from bayesmix.residual.correlated import Correlated
from bayesmix.residual.cs import CompoundSymmetry
from bayesmix.residual.distance import Exponential, ExponentialField, GaussianField
from bayesmix.residual.independent import Independent
from bayesmix.residual.known_se import KnownStandardErrors
from bayesmix.residual.pairs import PairClasses
from bayesmix.residual.parameter import ResidualParameter
from bayesmix.residual.row_scale import RowScale
from bayesmix.residual.sigma_beside import SigmaBesideKnown
from bayesmix.residual.toep import Toeplitz
from bayesmix.residual.us import Unstructured
from bayesmix.residual.weighted import Weighted

__all__ = [
    "BY_ROWS", "STRUCTURES", "Correlated", "Independent", "KnownStandardErrors", "PairClasses",
    "Residual", "ResidualParameter", "RowScale", "Rows", "SigmaBesideKnown", "Weighted",
    "residual_by_rows", "residual_structure",
]  # fmt: skip

# Structures that what is given per row decides on: the first whose needs are met.
BY_ROWS: tuple[Residual, ...] = (KnownStandardErrors(), Weighted(), Independent())

# Structures that a formula names.
STRUCTURES: dict[str, type[Correlated]] = {
    structure.word: structure
    for structure in (
        Autoregressive,
        CompoundSymmetry,
        Toeplitz,
        Unstructured,
        Exponential,
        GaussianField,
    )
}


def residual_structure(
    word: str, text: str, rows: Rows, n_coordinates: int, labels: tuple[Any, ...] | None,
    unit: float,
) -> Correlated:  # fmt: skip
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
    labels : tuple or None
        What the places are called, where they are categories.
    unit : float
        Standard deviation of the response.

    Returns
    -------
    Correlated
    """
    structure = STRUCTURES[word]
    if word == "exp" and n_coordinates > 1:
        structure = ExponentialField
    return structure.learned(text, rows, n_coordinates, labels, unit)


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
