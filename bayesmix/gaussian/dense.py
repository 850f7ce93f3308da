"""Small and dense matrices: Cholesky factors, triangular solves, inverses."""

from __future__ import annotations

import numpy as np
from numba import types

from bayesmix.gaussian.linking import FLOATS, inlined, inner, lapack

__all__ = [
    "columns_times", "factor_root", "invert_lower", "root_inverse", "small_cholesky", "solve_lower",
    "solve_lower_panel", "solve_upper",
]  # fmt: skip

_INT32 = types.CPointer(types.int32)
_dpotrf = lapack("dpotrf", _INT32, _INT32, FLOATS, _INT32, _INT32)
_dpotri = lapack("dpotri", _INT32, _INT32, FLOATS, _INT32, _INT32)
_SMALL = 24  # up to here loops are faster than LAPACK


@inner
def small_cholesky(A: np.ndarray, n: int) -> bool:
    """Lower Cholesky factor of a small matrix, in place; False if it is not positive."""
    for j in range(n):
        d = A[j, j]
        for k in range(j):
            d -= A[j, k] * A[j, k]
        if not d > 0.0:
            return False
        d = np.sqrt(d)
        A[j, j] = d
        for i in range(j + 1, n):
            s = A[i, j]
            for k in range(j):
                s -= A[i, k] * A[j, k]
            A[i, j] = s / d
    return True


@inner
def factor_root(A: np.ndarray, n: int) -> bool:
    """Lower Cholesky factor of any size, in place; False if A is not positive definite."""
    if n <= _SMALL:
        return small_cholesky(A, n)
    numbers = np.empty(4, dtype=np.int32)
    # The lower triangle by rows is LAPACK's upper one by columns.
    numbers[0], numbers[1], numbers[2], numbers[3] = ord("U"), n, A.shape[1], 0
    at = numbers.ctypes
    _dpotrf(at, numbers[1:].ctypes, A.ctypes, numbers[2:].ctypes, numbers[3:].ctypes)
    return numbers[3] == 0


@inlined
def columns_times(V: np.ndarray, q: int, column: int, L: np.ndarray, at: int, size: int) -> None:
    """Multiply `size` columns of V from the right by the size x size matrix at `at`."""
    if size == 1:
        scale = L[at]
        for i in range(q):
            V[i, column] *= scale
        return
    row = np.empty(size)
    for i in range(q):
        for c in range(size):
            s = 0.0
            for a in range(size):
                s += V[i, column + a] * L[at + a * size + c]
            row[c] = s
        for c in range(size):
            V[i, column + c] = row[c]


@inlined
def solve_lower_panel(C: np.ndarray, q: int, V: np.ndarray, m: int) -> None:
    """V := C^-1 V, in place."""
    for i in range(q):
        d = 1.0 / C[i, i]
        for k in range(i):
            t = C[i, k]
            for c in range(m):
                V[i, c] -= t * V[k, c]
        for c in range(m):
            V[i, c] *= d


@inner
def solve_lower(C: np.ndarray, n: int, x: np.ndarray) -> None:
    """Make x C^-1 x, in place, of the leading n rows."""
    for i in range(n):
        s = x[i]
        for k in range(i):
            s -= C[i, k] * x[k]
        x[i] = s / C[i, i]


@inner
def solve_upper(C: np.ndarray, n: int, x: np.ndarray) -> None:
    """Make x C'^-1 x, in place; by rows of C, which lie behind each other."""
    for i in range(n - 1, -1, -1):
        t = x[i] / C[i, i]
        x[i] = t
        for k in range(i):
            x[k] -= C[i, k] * t


@inlined
def invert_lower(C: np.ndarray, q: int, half: np.ndarray) -> None:
    """Inverse of a lower triangle, of which only the lower triangle is filled."""
    for j in range(q):
        half[j, j] = 1.0 / C[j, j]
        for i in range(j + 1, q):
            s = 0.0
            for k in range(j, i):
                s -= C[i, k] * half[k, j]
            half[i, j] = s / C[i, i]


@inner
def root_inverse(root: np.ndarray, n: int, used: int, inverse: np.ndarray) -> None:
    """Inverse of the root's leading `used` rows from its factor; zero elsewhere."""
    for i in range(n):
        for j in range(n):
            inverse[i, j] = 0.0
    if used == 0:
        return
    if used > _SMALL:
        for i in range(used):
            for j in range(i + 1):
                inverse[i, j] = root[i, j]
        numbers = np.empty(4, dtype=np.int32)
        numbers[0], numbers[1], numbers[2], numbers[3] = ord("U"), used, n, 0
        at = numbers.ctypes
        _dpotri(at, numbers[1:].ctypes, inverse.ctypes, numbers[2:].ctypes, numbers[3:].ctypes)
        for i in range(used):
            for j in range(i):
                inverse[j, i] = inverse[i, j]
        return
    half = np.empty((used, used))
    invert_lower(root, used, half)
    for i in range(used):
        for j in range(i + 1):
            s = 0.0
            for k in range(i, used):
                s += half[k, i] * half[k, j]
            inverse[i, j] = s
            inverse[j, i] = s
