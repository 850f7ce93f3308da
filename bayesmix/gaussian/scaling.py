"""Columns shifted and scaled before their products are summed.

A year as a predictor, or a mean of 1e6 with a standard deviation of 1, would
lose all its digits in X'X. Everything is computed in shifted and scaled columns
and brought back at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.design import GroupingFactor, LinearPredictor
from bayesmix.spread import largest, root_mean_square

__all__ = ["Scaling", "column_transform", "group_transform", "scale_design"]

_CHUNK = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How the working columns follow from the design's.

    Working columns are ``Xw = X TX^-1`` and ``Zw = Z TZ^-1``, so that working
    coefficients are ``TX beta`` and ``TZ b``; the working response is
    ``(y - offset - X beta_0) / y_scale``.

    Attributes
    ----------
    TX : ndarray, shape (p, p)
    TZ : tuple of ndarray, shape (q, q)
        By grouping factor.
    X_shift, X_scale : ndarray, shape (p,)
    Z_shift, Z_scale : tuple of ndarray, shape (q,)
    beta_0 : ndarray, shape (p,)
        Working coefficients of the least-squares fit, in units of `y_scale`.
    y_scale : float
    """

    TX: np.ndarray
    TZ: tuple[np.ndarray, ...]
    X_shift: np.ndarray
    X_scale: np.ndarray
    Z_shift: tuple[np.ndarray, ...]
    Z_scale: tuple[np.ndarray, ...]
    beta_0: np.ndarray
    y_scale: float


def column_transform(
    A: np.ndarray, constant: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shift and scale of each column, and the matrix T with A = Aw T.

    Parameters
    ----------
    A : ndarray, shape (n, k)
    constant : int or None
        Position of the constant column, which lets the others be centred.

    Returns
    -------
    shift, scale : ndarray, shape (k,)
    T : ndarray, shape (k, k)
    """
    k = A.shape[1]
    shift, scale = np.zeros(k), np.ones(k)
    T = np.eye(k)
    for j in range(k):
        if j == constant:
            continue
        column = A[:, j]
        mean = float(column.mean()) if constant is not None else 0.0
        spread = root_mean_square(column, mean, unit=_unit(column))
        size = max(abs(mean), spread)
        # A column that is constant itself, or zero, is left as it is.
        if spread <= 1e-13 * size or spread == 0:
            mean, spread = 0.0, size or 1.0
        shift[j], scale[j] = mean, spread
        T[j, j] = spread
        if constant is not None:
            T[constant, j] = mean
    return shift, scale, T


def group_transform(group: GroupingFactor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shift and scale of each column of Z, and the matrix T with Z = Zw T.

    Columns of a structure that asks for it are scaled by one number, in which the effects
    of working columns have the same structure, and not shifted or mixed with others.

    Parameters
    ----------
    group : GroupingFactor

    Returns
    -------
    shift, scale : ndarray, shape (q,)
    T : ndarray, shape (q, q)
    """
    kept = [part for part in covariance_of(group).parts if part.covariance.one_scale]
    constant = group.effects.index("Intercept") if "Intercept" in group.effects else None
    if constant is not None and any(part.start <= constant < part.stop for part in kept):
        constant = None
    shift, scale, T = column_transform(group.Z, constant)
    for part in kept:
        own = group.Z[:, part.effects]
        lengths = np.sqrt((own**2).sum(axis=1))
        size = root_mean_square(lengths, unit=_unit(lengths)) or 1.0
        shift[part.effects], scale[part.effects] = 0.0, size
        T[:, part.effects] = 0.0
        T[part.effects, part.effects] = size * np.eye(own.shape[1])
    return shift, scale, T


def scale_design(predictor: LinearPredictor, y: np.ndarray, weights: np.ndarray | None) -> Scaling:
    """Choose shifts, scales and the least-squares fit to take off the response.

    Parameters
    ----------
    predictor : LinearPredictor
    y : ndarray, shape (n,)
        Response minus offset.
    weights : ndarray, shape (n,), or None

    Returns
    -------
    Scaling
    """
    names = predictor.fixed_effects
    constant = names.index("Intercept") if predictor.has_intercept else None
    X_shift, X_scale, TX = column_transform(predictor.X, constant)
    Z = [
        (X_shift, X_scale, TX) if _has_columns_of_X(group, predictor) else group_transform(group)
        for group in predictor.groups
    ]
    # Least squares on working columns, in chunks: of R and Q'y only.
    p = len(names)
    R = np.zeros((0, p + 1))
    for start in range(0, len(y), _CHUNK):
        rows = slice(start, start + _CHUNK)
        block = np.empty((len(y[rows]), p + 1))
        block[:, :p] = (predictor.X[rows] - X_shift) / X_scale
        block[:, p] = y[rows]
        if weights is not None:
            block *= np.sqrt(weights[rows])[:, None]
        R = np.linalg.qr(np.concatenate([R, block]), mode="r")
    beta_0 = np.linalg.lstsq(R[:, :p], R[:, p], rcond=1e-12)[0] if p else np.zeros(0)
    residual = 0.0
    for start in range(0, len(y), _CHUNK):
        rows = slice(start, start + _CHUNK)
        rest = y[rows] - ((predictor.X[rows] - X_shift) / X_scale) @ beta_0
        residual += float(np.sum(rest**2 if weights is None else weights[rows] * rest**2))
    total = np.sum(y**2) if weights is None else np.sum(weights * y**2)
    # A perfect fit leaves only rounding, whose size is no scale.
    y_scale = np.sqrt(max(residual, 1e-24 * float(total)) / len(y)) or 1.0
    return Scaling(
        TX=TX,
        TZ=tuple(T for _, _, T in Z),
        X_shift=X_shift,
        X_scale=X_scale,
        Z_shift=tuple(shift for shift, _, _ in Z),
        Z_scale=tuple(scale for _, scale, _ in Z),
        beta_0=beta_0 / y_scale,
        y_scale=float(y_scale),
    )


def _has_columns_of_X(group: GroupingFactor, predictor: LinearPredictor) -> bool:  # noqa: N802
    """Whether the columns are shared, and shifted and scaled alike."""
    if group.Z is not predictor.X or group.effects != predictor.fixed_effects:
        return False
    own_scale = all(not part.covariance.one_scale for part in covariance_of(group).parts)
    return own_scale and ("Intercept" in group.effects) == predictor.has_intercept


def _unit(column: np.ndarray) -> float:
    """1, which rounds nothing, as long as squares are numbers; else the largest value."""
    top = float(largest(column))
    return 1.0 if 1e-100 < top < 1e100 else top or 1.0
