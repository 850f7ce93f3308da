"""Levels with equal products but for the response share one factor: a pattern of levels.

With one grouping factor, a level enters the equations by Z'WZ, Z'WX and Z'Wy. Where levels
have the first two in common (everybody observed on the same occasions), one Cholesky factor
serves them all, and of their responses the sums of Z'Wy and of its outer products are all
that the likelihood and its gradient need: an evaluation costs the number of patterns.
"""

from __future__ import annotations

import numpy as np

from bayesmix.gaussian.dense import (
    factor_root,
    invert_lower,
    root_inverse,
    small_cholesky,
    solve_root,
)
from bayesmix.gaussian.equations import Arrays, Equations, equations_at
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel, pointer, shifted

__all__ = [
    "draw_by_pattern", "factor_pattern", "pattern_moments", "share_patterns", "sum_responses",
    "whiten_pattern",
]  # fmt: skip

# Levels to a pattern from which on a shared factor is cheaper, by the number of effects: one
# or two have kernels of their own, that pass over the levels.
_FEWEST_LEVELS = {1: 8, 2: 8}
_FEWEST_LEVELS_OTHERWISE = 2
# So many levels tell whether patterns are worth looking for in all of them.
_LOOKED_AT, _FEWEST_THERE = 512, 1.1
_DIGITS = 2.0**40  # to which products are compared: rows in another order round otherwise

_factor_root, _root_inverse, _solve_root = (
    factor_root.external, root_inverse.external, solve_root.external,
)  # fmt: skip


def share_patterns(equations: Equations) -> Equations:
    """Add the patterns of the levels, where levels enough have each in common.

    Where the first levels hardly share any, the others are taken to share none.

    Parameters
    ----------
    equations : Equations

    Returns
    -------
    Equations
        The same if there is not one grouping factor, or too many patterns.
    """
    n_chain, n_rest, n_levels = (int(n) for n in equations.sizes[:3])
    if n_chain != 1 or n_rest or n_levels < 2:
        return equations
    q, p = int(equations.q[0]), equations.n_fixed
    fewest = _FEWEST_LEVELS.get(q, _FEWEST_LEVELS_OTHERWISE)
    blocks = equations.K.reshape(n_levels, q * q)
    panels = equations.panel.reshape(n_levels, q, p + 1)[:, :, :p].reshape(n_levels, q * p)
    some = slice(_LOOKED_AT)
    if n_levels > _LOOKED_AT and _patterns(blocks[some], panels[some], _FEWEST_THERE) is None:
        return equations
    found = _patterns(blocks, panels, fewest)
    if found is None:
        return equations
    first, pattern = found
    shared = equations.replace(
        pattern=pattern,
        pattern_count=np.bincount(pattern),
        pattern_block=blocks[first].ravel(),
        pattern_panel=panels[first].ravel(),
        pattern_y=np.zeros(len(first) * q),
        pattern_yy=np.zeros(len(first) * q * q),
    )
    sum_responses(shared)
    return shared


def _patterns(
    blocks: np.ndarray, panels: np.ndarray, fewest: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """First level of each pattern and the levels' patterns; None if levels are too few to each."""
    products = np.hstack([blocks, panels])
    largest = np.abs(products).max(axis=0)
    rounded = np.round(products / np.where(largest > 0, largest, 1.0) * _DIGITS)
    key = rounded @ np.random.default_rng(0).normal(size=rounded.shape[1])
    _, first, pattern = np.unique(key, return_index=True, return_inverse=True)
    if fewest * len(first) > len(products) or not np.array_equal(rounded[first][pattern], rounded):
        return None
    return first, pattern


def sum_responses(equations: Equations) -> None:
    """Add up what patterns need of the response, after another was written to the panels.

    Parameters
    ----------
    equations : Equations
        Changed in place; nothing is done where levels share nothing.
    """
    if not len(equations.pattern):
        return
    q, n_levels = int(equations.q[0]), len(equations.pattern)
    y = equations.panel.reshape(n_levels, q, -1)[:, :, -1]
    order = np.argsort(equations.pattern, kind="stable")
    starts = np.cumsum(equations.pattern_count) - equations.pattern_count
    equations.pattern_y[:] = np.add.reduceat(y[order], starts).ravel()
    squares = (y[order][:, :, None] * y[order][:, None, :]).reshape(n_levels, q * q)
    equations.pattern_yy[:] = np.add.reduceat(squares, starts).ravel()


@inner
def factor_pattern(eq: Arrays, k, L, precision, room, C, A):  # type: ignore[no-untyped-def]
    """Factor C C' = I + L'Z'WZ L / s2 of a pattern, and make A = L C'^-1.

    Parameters
    ----------
    eq : Arrays
    k : int
        The pattern.
    L : pointer
    precision : float
    room : pointer
        Room to work in, q x q.
    C, A : pointer
        Receive q x q matrices; nothing is written above the diagonal of C.

    Returns
    -------
    bool
        False if it is not positive definite.
    """
    q, raw = eq.q[0], shifted(eq.pattern_block, k * eq.q[0] * eq.q[0])
    for i in range(q):
        for j in range(q):
            s = 0.0
            for a in range(q):
                s += raw[i * q + a] * L[a * q + j]
            room[i * q + j] = s
    for i in range(q):
        for j in range(i + 1):
            s = 0.0
            for a in range(q):
                s += L[a * q + i] * room[a * q + j]
            C[i * q + j] = s * precision
        C[i * q + i] += 1.0
    if not small_cholesky(C, q):
        return False
    invert_lower(C, q, q, room)
    for i in range(q):
        for j in range(q):
            s = 0.0
            for a in range(j + 1):
                s += L[i * q + a] * room[j * q + a]
            A[i * q + j] = s
    return True


@kernel(
    i8, INTS, FLOATS, FLOATS, f8, FLOATS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
    needs=(factor_root, root_inverse, solve_root),
)  # fmt: skip
def pattern_moments(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, L, precision, prior, prior_y, with_fixed, S, U, beta, beta_cov, scalars
):
    """The moments of `moments`, where levels share factors.

    With C C' the matrix of a pattern's levels and H = C^-1, u given beta has the mean
    H'H L'(Z'Wy - Z'WX beta) / s2 and the covariance H'H.
    """
    eq = equations_at(eq_ints, eq_floats)
    p, q, n_patterns = eq.sizes[4], eq.q[0], eq.n_patterns
    m = p + 1
    size = q * q + q * m
    C, A, room = np.empty(q * q), np.empty(q * q), np.empty(q * q)
    # By pattern: H, then V = H L'[Z'WX, sum of Z'Wy] / s2.
    kept = np.empty(n_patterns * size)
    reduced = np.zeros((m, m))
    log_det, length = 0.0, 0.0
    for k in range(n_patterns):
        if not factor_pattern(eq, k, L, precision, pointer(room), pointer(C), pointer(A)):
            return 0
        count = float(eq.pattern_count[k])
        half, V = shifted(pointer(kept), k * size), shifted(pointer(kept), k * size + q * q)
        for i in range(q):
            log_det += 2.0 * count * np.log(C[i * q + i])
            for j in range(q):
                half[i * q + j] = room[i * q + j] if j <= i else 0.0
        length += whiten_pattern(eq, k, A, precision, V)
        for i in range(q):
            for c in range(m):
                for d in range(c + 1):
                    times = count if c < p else (1.0 if d < p else 0.0)
                    reduced[c, d] += times * V[i * m + c] * V[i * m + d]
    root = np.empty((p, p))
    for i in range(p):
        for j in range(i + 1):
            root[i, j] = eq.root[i * p + j] * precision + prior[i * p + j] - reduced[i, j]
            root[j, i] = root[i, j]
        beta[i] = eq.root_y[i] * precision + prior_y[i] - reduced[p, i]
    if _factor_root(root.ctypes, p) == 0:
        return 0
    _solve_root(root.ctypes, p, p, 0, beta)
    log_det_x = 0.0
    for i in range(p):
        length += beta[i] * beta[i]
        log_det_x += np.log(root[i, i])
    _solve_root(root.ctypes, p, p, 1, beta)
    _root_inverse(root.ctypes, p, p, beta_cov)
    for i in range(q * q):
        S[i], U[i] = 0.0, 0.0
    for k in range(n_patterns):
        _add_moments(
            eq, k, L, precision, with_fixed, kept, beta, beta_cov, pointer(C), A, room,
            np.empty((q, m)), S, U,
        )  # fmt: skip
    trace, squares, trace_p = 0.0, 0.0, 0.0
    for i in range(q):
        trace += S[i * q + i]
        squares += U[i * q + i]
    for i in range(p * p):
        trace_p += prior[i] * beta_cov[i]
    scalars[0], scalars[1], scalars[2] = log_det, 2.0 * log_det_x, length
    scalars[3], scalars[4], scalars[5] = trace, squares, trace_p
    return 1 if np.isfinite(length) and np.isfinite(log_det) else 0


@inner
def whiten_pattern(eq, k, A, precision, V):  # type: ignore[no-untyped-def]
    """V = A'[Z'WX, sum of Z'Wy] / s2; returns the squared length of all A'Z'Wy / s2."""
    p, q = eq.sizes[4], eq.q[0]
    m = p + 1
    X, y, yy = (
        shifted(eq.pattern_panel, k * q * p), shifted(eq.pattern_y, k * q),
        shifted(eq.pattern_yy, k * q * q),
    )  # fmt: skip
    length = 0.0
    for i in range(q):
        for c in range(m):
            V[i * m + c] = 0.0
        for a in range(q):
            scale = precision * A[a * q + i]
            for c in range(p):
                V[i * m + c] += scale * X[a * p + c]
            V[i * m + p] += scale * y[a]
            s = 0.0
            for b in range(q):
                s += yy[a * q + b] * A[b * q + i]
            length += scale * precision * s
    return length


@inner
def _add_moments(  # type: ignore[no-untyped-def]
    eq, k, L, precision, with_fixed, kept, beta, beta_cov, C, B, room, W, S, U
):
    """Add a pattern's sums of covariances and of squared means; C, B, room, W are to work in."""
    p, q = eq.sizes[4], eq.q[0]
    m = p + 1
    count = float(eq.pattern_count[k])
    size = q * q + q * m
    half, V = shifted(pointer(kept), k * size), shifted(pointer(kept), k * size + q * q)
    yy = shifted(eq.pattern_yy, k * q * q)
    # C = H'H, the covariance of u given beta; W = H'V; B = C L' / s2.
    for i in range(q):
        for j in range(i + 1):
            s = 0.0
            for a in range(i, q):
                s += half[a * q + i] * half[a * q + j]
            C[i * q + j], C[j * q + i] = s, s
        for c in range(m):
            s = 0.0
            for a in range(i, q):
                s += half[a * q + i] * V[a * m + c]
            W[i, c] = s
    for i in range(q):
        for j in range(q):
            s = 0.0
            for a in range(q):
                s += C[i * q + a] * L[j * q + a]
            B[i * q + j] = precision * s
    for i in range(q):
        for j in range(q):
            s = 0.0
            for a in range(q):
                s += B[i * q + a] * yy[a * q + j]
            room[i * q + j] = s
    # The sum of the means, in the last column of W, loses what beta explains below.
    for i in range(q):
        fixed = 0.0
        for c in range(p):
            fixed += W[i, c] * beta[c]
        for j in range(i + 1):
            other = 0.0
            for c in range(p):
                other += W[j, c] * beta[c]
            s = count * fixed * other - fixed * W[j, p] - other * W[i, p]
            for a in range(q):
                s += room[i * q + a] * B[j * q + a]
            U[i * q + j] += s
            if j < i:
                U[j * q + i] += s
            s = C[i * q + j]
            if with_fixed != 0:
                for c in range(p):
                    for d in range(p):
                        s += W[i, c] * beta_cov[c * p + d] * W[j, d]
            S[i * q + j] += count * s
            if j < i:
                S[j * q + i] += count * s


@inner
def draw_by_pattern(eq, L, precision, beta, C, A, room, b):  # type: ignore[no-untyped-def]
    """Draw b = A (noise + A'(Z'Wy - Z'WX beta) / s2) of each level.

    Parameters
    ----------
    eq : Arrays
    L : pointer
    precision : float
    beta : ndarray, shape (p,)
    C, room : ndarray, shape (q q,)
        Room to work in.
    A : ndarray, shape (n_patterns, q q + q)
        Room to work in.
    b : ndarray, shape (G q,)
        Holds standard normals, receives the draws.

    Returns
    -------
    bool
        False if a pattern's matrix is not positive definite.
    """
    p, q, n_patterns = eq.sizes[4], eq.q[0], eq.n_patterns
    m = p + 1
    for k in range(n_patterns):
        own, X = A[k], shifted(eq.pattern_panel, k * q * p)
        if not factor_pattern(eq, k, L, precision, pointer(room), pointer(C), pointer(own)):
            return False
        for i in range(q):
            own[q * q + i] = 0.0
        for a in range(q):
            fitted = 0.0
            for c in range(p):
                fitted += X[a * p + c] * beta[c]
            for i in range(q):
                own[q * q + i] -= precision * own[a * q + i] * fitted
    for g in range(eq.n_levels[0]):
        own, panel = A[eq.pattern[g]], shifted(eq.panel, g * q * m)
        for i in range(q):
            room[i] = b[g * q + i] + own[q * q + i]
        for a in range(q):
            y = precision * panel[a * m + p]
            for i in range(q):
                room[i] += own[a * q + i] * y
        for i in range(q):
            s = 0.0
            for a in range(q):
                s += own[i * q + a] * room[a]
            b[g * q + i] = s
    return True
