"""Columns that repeat what the columns before them already say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.spread import chunks, largest

__all__ = [
    "ColumnUnits", "aliased_columns", "column_units", "combinations_of_others", "triangle",
]  # fmt: skip

_TOLERANCE = 1e-7  # as R's lm: the share of a column that is new


def aliased_columns(X: np.ndarray) -> np.ndarray:
    """Find columns that are linear combinations of earlier ones.

    Columns are taken in order, as R does, so that of two equal columns the
    later one is aliased. Columns are centred first where the design holds a
    constant, so that a large mean (a year) does not look like the constant.

    Parameters
    ----------
    X : ndarray, shape (n, p)

    Returns
    -------
    ndarray of int
        Positions of the aliased columns.
    """
    p = X.shape[1]
    if p == 0:
        return np.zeros(0, dtype=np.int64)
    units = column_units(X)
    unit, means, spread = units.top, units.center, units.scale
    constant = spread <= 1e-13 * np.abs(means)
    zero = constant & (means == 0)
    has_constant = bool(np.any(constant & ~zero))
    center = means if has_constant else np.zeros(p)
    scale = spread if has_constant else np.sqrt(spread**2 + means**2)

    aliased: list[int] = np.flatnonzero(zero).tolist()
    if has_constant:
        aliased += np.flatnonzero(constant & ~zero)[1:].tolist()
    candidates = [j for j in range(p) if j not in aliased and not (has_constant and constant[j])]
    if len(candidates) < 2:  # which is not constant, and has no other beside it
        return np.sort(np.asarray(aliased, dtype=np.int64))
    R = triangle(X, candidates, unit, center, scale)
    basis: list[np.ndarray] = []
    for position, j in enumerate(candidates):
        residual = R[:, position].copy()
        norm = np.linalg.norm(residual)
        for _ in range(2):  # twice is enough (Giraud et al. 2005)
            for q in basis:
                residual -= q * (q @ residual)
        left = np.linalg.norm(residual)
        if left <= _TOLERANCE * norm:
            aliased.append(j)
        else:
            basis.append(residual / left)
    return np.sort(np.asarray(aliased, dtype=np.int64))


def combinations_of_others(X: np.ndarray, aliased: np.ndarray) -> np.ndarray:
    """Write every column as a combination of those that are not aliased.

    Parameters
    ----------
    X : ndarray, shape (n, p)
    aliased : ndarray of int
        As `aliased_columns` finds them.

    Returns
    -------
    ndarray, shape (p, p)
        The coefficients of column j in column j, in units of the largest value of
        each column, what is rounding at exactly zero; rows of aliased columns are zero.
    """
    p = X.shape[1]
    top = largest(X)
    unit = np.where(top == 0, 1.0, top)
    R = triangle(X, list(range(p)), unit, np.zeros(p), np.ones(p))
    kept = np.setdiff1d(np.arange(p), aliased)
    C = np.zeros((p, p))
    C[kept, kept] = 1.0
    found = np.linalg.lstsq(R[:, kept], R[:, aliased], rcond=None)[0]
    C[np.ix_(kept, aliased)] = np.where(np.abs(found) < 1e-6 * np.abs(found).max(axis=0), 0, found)
    return C


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnUnits:
    """Location and spread of columns, each divided by its largest value first.

    Attributes
    ----------
    top : ndarray, shape (p,)
        Largest absolute value; 1 in place of zero.
    center, scale : ndarray, shape (p,)
        Mean and standard deviation in units of `top`.
    constant : int, or None
        Position of the first column that is constant and not zero.
    """

    top: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    constant: int | None


def column_units(X: np.ndarray) -> ColumnUnits:
    """Measure columns without over- and underflow.

    Parameters
    ----------
    X : ndarray, shape (n, p), n > 0
    """
    p = X.shape[1]
    top = largest(X)
    unit = np.where(top == 0, 1.0, top)  # so that squares neither over- nor underflow
    means, squares = np.zeros(p), np.zeros(p)
    for rows in chunks(X):
        means += (rows / unit).sum(axis=0) / len(X)
    for rows in chunks(X):
        squares += ((rows / unit - means) ** 2).sum(axis=0)
    spread = np.sqrt(squares / len(X))
    constants = np.flatnonzero((spread <= 1e-13 * np.abs(means)) & (means != 0))
    return ColumnUnits(
        top=unit,
        center=means,
        scale=np.where(spread <= 1e-13 * np.abs(means), 0.0, spread),
        constant=int(constants[0]) if constants.size else None,
    )


def triangle(
    X: np.ndarray, columns: list[int], unit: np.ndarray, center: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """R of the QR decomposition of the scaled columns, in chunks of rows."""
    R = np.zeros((0, len(columns)))
    for rows in chunks(X):
        scaled = (rows[:, columns] / unit[columns] - center[columns]) / scale[columns]
        R = np.linalg.qr(np.concatenate([R, scaled]), mode="r")
    return R
