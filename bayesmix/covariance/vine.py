"""Partial correlations of the C-vine and the Cholesky factor they stand for.

In the C-vine of Lewandowski, Kurowicka and Joe (2009) the entry (i, j), i > j, of the
Cholesky factor of a correlation matrix is ``z_ij prod_{k<j} sqrt(1 - z_ik^2)``. The
coordinates are the inverse hyperbolic tangents of the z, row by row. Kernels for the
same are in `gaussian/vine.py`.

References
----------
Lewandowski, D., Kurowicka, D. and Joe, H. (2009). Generating random correlation
matrices based on vines and extended onion method. Journal of Multivariate Analysis
100, section 2.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "factor_of", "lower_factor", "partials_of_correlation", "partials_of_correlations",
    "partials_of_factor", "partials_of_unit_factors",
]  # fmt: skip


def factor_of(x: np.ndarray, size: int) -> np.ndarray:
    """Cholesky factor at coordinates, an analytic function for complex steps.

    Parameters
    ----------
    x : ndarray, shape (size (size - 1) / 2,)
    size : int

    Returns
    -------
    ndarray of complex, shape (size, size)
    """
    C = np.zeros((size, size), dtype=complex)
    position = 0
    C[0, 0] = 1.0
    for i in range(1, size):
        left = 1.0 + 0.0j
        for j in range(i):
            C[i, j] = np.tanh(x[position]) * left
            left *= 1.0 / np.cosh(x[position])
            position += 1
        C[i, i] = left
    return C


def partials_of_correlation(R: np.ndarray) -> np.ndarray:
    """Coordinates of one correlation matrix, an analytic function for complex steps.

    Parameters
    ----------
    R : ndarray of complex, shape (size, size)

    Returns
    -------
    ndarray of complex
    """
    C, x = np.zeros_like(R), []
    C[0, 0] = 1.0
    for i in range(1, len(R)):
        left = 1.0 + 0.0j
        for j in range(i):
            rest = R[i, j] - C[i, :j] @ C[j, :j]
            C[i, j] = rest / C[j, j] if abs(C[j, j]) > 1e-8 else 0.0
            z = C[i, j] / left if abs(left) > 1e-8 else 0.0j
            if abs(z.real) >= 1.0:
                z = np.sign(z.real) * (1.0 - 1e-15) + 0.0j
                C[i, j] = z * left
            x.append(np.arctanh(z))
            left *= np.sqrt(1.0 - z * z)
        C[i, i] = left
    return np.array(x)


def partials_of_correlations(R: np.ndarray) -> np.ndarray:
    """Coordinates of many correlation matrices.

    Parameters
    ----------
    R : ndarray, shape (S, size, size)

    Returns
    -------
    ndarray, shape (S, n)
    """
    try:
        C = np.linalg.cholesky(R)
    except np.linalg.LinAlgError:  # singular up to rounding
        C = np.linalg.cholesky(R + 1e-12 * np.eye(R.shape[1]))
    return partials_of_unit_factors(C, 1e-15)


def partials_of_unit_factors(C: np.ndarray, room: float) -> np.ndarray:
    """Coordinates of Cholesky factors whose rows have length 1.

    Parameters
    ----------
    C : ndarray, shape (S, size, size)
    room : float
        How far a partial correlation stays from -1 and 1.

    Returns
    -------
    ndarray, shape (S, n)
    """
    out = []
    for i in range(1, C.shape[1]):
        left = np.ones(len(C))
        for j in range(i):
            z = np.clip(C[:, i, j] / np.maximum(left, 1e-300), -1 + room, 1 - room)
            out.append(np.arctanh(z))
            left *= np.sqrt(1 - z**2)
    return np.stack(out, axis=-1)


def partials_of_factor(F: np.ndarray, limit: float) -> list[float]:
    """Coordinates of the correlations of a covariance F F', without its squares.

    Parameters
    ----------
    F : ndarray, shape (size, size)
        Any root; it may be singular.
    limit : float
        Largest coordinate.

    Returns
    -------
    list of float
    """
    L, out = lower_factor(F), []
    for i in range(1, len(L)):
        for j in range(i):
            left = float(np.sqrt((L[i, j + 1 : i + 1] ** 2).sum()))
            if left > 0:
                out.append(float(np.clip(np.arcsinh(L[i, j] / left), -limit, limit)))
            else:
                out.append(limit * float(np.sign(L[i, j])))
    return out


def lower_factor(F: np.ndarray) -> np.ndarray:
    """The lower triangle L with L L' = F F', its diagonal not negative; no squares are lost."""
    R = np.linalg.qr(F.T, mode="r")
    return np.asarray((R * np.where(np.diag(R) < 0, -1.0, 1.0)[:, None]).T)
