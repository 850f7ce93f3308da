"""Small and dense matrices, by rows: Cholesky factors, triangular solves, inverses."""

from __future__ import annotations

import numpy as np
from numba import types

from bayesmix.gaussian.linking import (
    FLOATS,
    i8,
    inlined,
    inner,
    kernel,
    lapack,
    pointer,
    shifted,
)

__all__ = [
    "columns_times", "factor_root", "invert_lower", "lower", "root_inverse", "small_cholesky",
    "solve_lower", "solve_lower_panel", "solve_root", "solve_upper",
]  # fmt: skip

_INT32 = types.CPointer(types.int32)
_dpotrf = lapack("dpotrf", _INT32, _INT32, FLOATS, _INT32, _INT32)
_dpotri = lapack("dpotri", _INT32, _INT32, FLOATS, _INT32, _INT32)
_TINY, _SMALL = 8, 64  # columns up to which the plainest loops are fastest, and loops at all


@inlined
def small_cholesky(A, n):  # type: ignore[no-untyped-def]
    """Lower Cholesky factor of a small n x n matrix, in place; False if it is not positive."""
    for j in range(n):
        d = A[j * n + j]
        for k in range(j):
            d -= A[j * n + k] * A[j * n + k]
        if not d > 0.0:
            return False
        d = np.sqrt(d)
        A[j * n + j] = d
        for i in range(j + 1, n):
            s = A[i * n + j]
            for k in range(j):
                s -= A[i * n + k] * A[j * n + k]
            A[i * n + j] = s / d
    return True


@inner
def _cholesky(A, n, work):  # type: ignore[no-untyped-def]
    """Like `small_cholesky`, row by row of the upper factor, for which there is room to work in."""
    U = pointer(work)
    for i in range(n):
        for j in range(i + 1):
            U[j * n + i] = A[i * n + j]
    for k in range(n):
        row = shifted(U, k * n)
        d = row[k]
        if not d > 0.0:
            return False
        d = np.sqrt(d)
        row[k] = d
        for j in range(k + 1, n):
            row[j] /= d
        for i in range(k + 1, n):
            t, other = row[i], shifted(U, i * n)
            for j in range(i, n):
                other[j] -= t * row[j]
    for i in range(n):
        for j in range(i + 1):
            A[i * n + j] = U[j * n + i]
    return True


@kernel(i8, FLOATS, i8)
def factor_root(A, n):  # type: ignore[no-untyped-def]
    """Lower Cholesky factor of an n x n matrix of any size, in place.

    Returns
    -------
    int
        0 if A is not positive definite, else 1.
    """
    if n <= _TINY:
        return 1 if small_cholesky(A, n) else 0
    if n <= _SMALL:
        work = np.empty(n * n)
        return 1 if _cholesky(A, n, work) else 0
    numbers = np.empty(4, dtype=np.int32)
    # The lower triangle by rows is LAPACK's upper one by columns.
    numbers[0], numbers[1], numbers[2], numbers[3] = ord("U"), n, n, 0
    at = numbers.ctypes
    _dpotrf(at, numbers[1:].ctypes, A, numbers[2:].ctypes, numbers[3:].ctypes)
    return 1 if numbers[3] == 0 else 0


@inlined
def columns_times(V, q, m, column, L, size, row):  # type: ignore[no-untyped-def]
    """Multiply `size` columns of a q x m panel from the right by L, size x size.

    `row` is room to work in.
    """
    if size == 1:
        scale = L[0]
        for i in range(q):
            V[i * m + column] *= scale
        return
    for i in range(q):
        at = i * m + column
        for c in range(size):
            s = 0.0
            for a in range(size):
                s += V[at + a] * L[a * size + c]
            row[c] = s
        for c in range(size):
            V[at + c] = row[c]


@inlined
def solve_lower_panel(C, q, V, m):  # type: ignore[no-untyped-def]
    """Make V C^-1 V, in place, of a q x m panel."""
    for i in range(q):
        d = 1.0 / C[i * q + i]
        for k in range(i):
            t = C[i * q + k]
            for c in range(m):
                V[i * m + c] -= t * V[k * m + c]
        for c in range(m):
            V[i * m + c] *= d


@inlined
def solve_lower(C, stride, n, x):  # type: ignore[no-untyped-def]
    """Make x C^-1 x, in place, of the leading n rows."""
    for i in range(n):
        s = x[i]
        for k in range(i):
            s -= C[i * stride + k] * x[k]
        x[i] = s / C[i * stride + i]


@inlined
def solve_upper(C, stride, n, x):  # type: ignore[no-untyped-def]
    """Make x C'^-1 x, in place; by rows of C, which lie behind each other."""
    for i in range(n - 1, -1, -1):
        t = x[i] / C[i * stride + i]
        x[i] = t
        for k in range(i):
            x[k] -= C[i * stride + k] * t


@kernel(types.void, FLOATS, i8, i8, i8, FLOATS)
def solve_root(C, stride, n, transposed, x):  # type: ignore[no-untyped-def]
    """C^-1 x, or C'^-1 x, in place, with the leading n rows of C."""
    if transposed != 0:
        solve_upper(C, stride, n, x)
    else:
        solve_lower(C, stride, n, x)


@inlined
def invert_lower(C, stride, n, half):  # type: ignore[no-untyped-def]
    """Inverse of a lower triangle; nothing is written above the diagonal."""
    for j in range(n):
        half[j * n + j] = 1.0 / C[j * stride + j]
        for i in range(j + 1, n):
            s = 0.0
            for k in range(j, i):
                s -= C[i * stride + k] * half[k * n + j]
            half[i * n + j] = s / C[i * stride + i]


@inner
def _inverse_of_factor(C, n, work, inverse, stride):  # type: ignore[no-untyped-def]
    """(C C')^-1 by rows of X = C^-1, for which there is room to work in; `inverse` is zero."""
    X = pointer(work)
    for i in range(n):
        row, own = shifted(X, i * n), shifted(C, i * n)
        for j in range(i):
            row[j] = 0.0
        row[i] = 1.0
        for k in range(i):
            t, other = own[k], shifted(X, k * n)
            for j in range(k + 1):
                row[j] -= t * other[j]
        d = own[i]
        for j in range(i + 1):
            row[j] /= d
        if i + 1 < n:
            row[i + 1] = 0.0
    # X'X, two rows of X at a time: each entry of the sum is read and written half as often.
    for k in range(0, n, 2):
        row, last = shifted(X, k * n), min(k + 1, n - 1)
        other = shifted(X, last * n)
        for i in range(last + 1):
            s, t = row[i], other[i] if last > k else 0.0
            to = shifted(inverse, i * stride)
            for j in range(i + 1):
                to[j] += s * row[j] + t * other[j]
    for i in range(n):
        for j in range(i):
            inverse[j * stride + i] = inverse[i * stride + j]


@inlined
def lower(n, i, j):  # type: ignore[no-untyped-def]
    """Where the entry (i, j) of a symmetric n x n matrix is, in its lower triangle."""
    return i * n + j if j <= i else j * n + i


@kernel(types.void, FLOATS, i8, i8, FLOATS)
def root_inverse(root, n, used, inverse):  # type: ignore[no-untyped-def]
    """Inverse of the leading `used` rows of an n x n matrix from its factor; zero elsewhere.

    It may take the factor's place. Of a large matrix the lower triangle alone is written: what
    is above is not looked at, and takes no memory where nobody writes it.
    """
    if used <= _SMALL:
        work, factor = np.empty(used * used), np.empty(used * used)
        for i in range(used):
            for j in range(i + 1):
                factor[i * used + j] = root[i * n + j]
        for i in range(n * n):
            inverse[i] = 0.0
        _inverse_of_factor(pointer(factor), used, work, inverse, n)
        return
    for i in range(n):
        for j in range(i + 1):
            inverse[i * n + j] = root[i * n + j] if i < used else 0.0
    numbers = np.empty(4, dtype=np.int32)
    numbers[0], numbers[1], numbers[2], numbers[3] = ord("U"), used, n, 0
    at = numbers.ctypes
    _dpotri(at, numbers[1:].ctypes, inverse, numbers[2:].ctypes, numbers[3:].ctypes)
