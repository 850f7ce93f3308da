"""Kenward and Roger's covariance of the fixed effects, which knows that variances are estimates.

V = sum_i theta_i V_i, with V_i = Z_i E_i Z_i' for each variance and covariance of group
effects and V_0 = W^-1 for the residual variance. What the method asks for (quadratic forms of
V^-1 in X, traces of V^-1 V_i V^-1 V_j) is taken from Z'WZ and Z'WX alone, by

    V^-1 = (W - W Z B Z' W) / sigma^2,   B = L (I + L' Z'WZ L)^-1 L',   L L' = D / sigma^2.

All of it divides into sets of levels that share rows (a chain of nested factors: one set for
each level of the coarsest), so that no matrix has a row for each observation, and none is larger
than the effects of one set. A variance of zero needs nothing of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from bayesmix.memory import check_memory

__all__ = ["Adjusted", "LinearFactor", "kenward_roger"]

_PIECE = 2_000_000  # numbers of one matrix that is worked on at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearFactor:
    """A grouping factor whose covariance is linear in its parameters.

    Attributes
    ----------
    index : ndarray of int, shape (n,)
        Level of each row.
    n_levels : int
    Z : ndarray, shape (n, q)
    root : ndarray, shape (q, q)
        L of the covariance L L' of one level's effects, in units of the residual sd.
    entries : tuple of tuple of (int, int)
        For each parameter the entries (a, b), a <= b, of the covariance that it is.
    """

    index: np.ndarray
    n_levels: int
    Z: np.ndarray
    root: np.ndarray
    entries: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """The adjusted covariance, and what degrees of freedom are made of.

    Attributes
    ----------
    covariance : ndarray, shape (p, p)
        The adjusted one.
    plain : ndarray, shape (p, p)
        (X' V^-1 X)^-1.
    P : ndarray, shape (r, p, p)
        Derivatives of X' V^-1 X by the r parameters.
    W : ndarray, shape (r, r)
        Covariance of the parameters' estimates, by the expected information.
    """

    covariance: np.ndarray
    plain: np.ndarray
    P: np.ndarray
    W: np.ndarray

    def of(self, L: np.ndarray) -> np.ndarray:
        """Covariance of L beta."""
        return L @ self.covariance @ L.T

    def test(self, L: np.ndarray) -> tuple[float, float]:
        """Degrees of freedom of a hypothesis L beta = 0, and what its Wald statistic is scaled by.

        Parameters
        ----------
        L : ndarray, shape (q, p)
            With full row rank.

        Returns
        -------
        df, scale : float
            ``scale (L beta)' (L C L')^-1 (L beta) / q``, with C the adjusted covariance, is
            taken to be F distributed with q and df degrees of freedom.
        """
        q = len(L)
        theta = L.T @ np.linalg.solve(L @ self.plain @ L.T, L)
        each = np.einsum("ab,ibc,cd->iad", theta @ self.plain, self.P, self.plain)
        traces = np.einsum("iaa->i", each)
        A1 = float(traces @ self.W @ traces)
        A2 = float(np.einsum("ij,iab,jba->", self.W, each, each))
        B = (A1 + 6 * A2) / (2 * q)
        g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2) if A2 > 0 else 0.0
        below = 3 * q + 2 * (1 - g)
        c1, c2, c3 = g / below, (q - g) / below, (q + 2 - g) / below
        expected = 1.0 / (1.0 - A2 / q)
        v0, v1, v2 = max(1 + c1 * B, 0.0), 1 - c2 * B, 1 - c3 * B
        rho = (v0 / v2) / (q * v1**2 * expected**2)
        with np.errstate(divide="ignore"):
            df = float(4 + (q + 2) / np.asarray(q * rho - 1))
        scale = 1.0 / expected if not np.isfinite(df) else df / (expected * (df - 2))
        return df, scale


@dataclass(slots=True)
class _Sums:
    """Sums over sets of levels, in units of the residual standard deviation."""

    gram: np.ndarray  # X' V^-1 X
    P: np.ndarray  # X' V^-1 V_i V^-1 X
    Q: np.ndarray  # X' V^-1 V_i V^-1 V_j V^-1 X
    traces: np.ndarray  # tr V^-1 V_i V^-1 V_j


def kenward_roger(
    X: np.ndarray, weights: np.ndarray | None, factors: Sequence[LinearFactor], *,
    sigma: float, sigma_is_known: bool,
) -> Adjusted:  # fmt: skip
    """Adjust the covariance of the fixed effects for the estimation of variances.

    Parameters
    ----------
    X : ndarray, shape (n, p)
        With full column rank.
    weights : ndarray, shape (n,), or None
        W: residual variances are sigma^2 / weights.
    factors : sequence of LinearFactor
    sigma : float
    sigma_is_known : bool
        Whether the residual variance is no parameter.

    Returns
    -------
    Adjusted

    Raises
    ------
    NotSupportedError
        If memory does not hold the largest set of levels that share rows.

    References
    ----------
    Kenward, M. G. and Roger, J. H. (1997). Small sample inference for fixed effects from
    restricted maximum likelihood. Biometrics 53, 983-997.
    """
    basis, R = np.linalg.qr(X)  # so that no column's size or place costs digits
    n, p = X.shape
    r = sum(len(f.entries) for f in factors) + (not sigma_is_known)
    w = np.ones(n) if weights is None else weights
    first = basis.T @ (w[:, None] * basis)
    sums = _Sums(
        gram=first.copy(), P=np.zeros((r, p, p)), Q=np.zeros((r, r, p, p)),
        traces=np.zeros((r, r)),
    )  # fmt: skip
    if not sigma_is_known:
        sums.P[-1] = first
        sums.Q[-1, -1] = first
        sums.traces[-1, -1] = n
    if factors:
        for sets in _sets_of_levels(factors, basis, w):
            _add(sums, factors, sets, sigma_is_known=sigma_is_known)
    plain = np.linalg.inv(sums.gram)
    PCP = np.einsum("iab,bc,jcd->ijad", sums.P, plain, sums.P)
    left = np.einsum("ab,ijba->ij", plain, 2 * sums.Q - PCP)
    W = 2.0 * np.linalg.pinv(sums.traces - (left + left.T) / 2, hermitian=True)
    middle = np.einsum("ij,ijab->ab", W, sums.Q - PCP)
    adjusted = plain + 2.0 * plain @ ((middle + middle.T) / 2) @ plain
    back = np.linalg.inv(R) * sigma  # beta = R^-1 of the basis' coefficients
    return Adjusted(
        covariance=back @ adjusted @ back.T,
        plain=back @ plain @ back.T,
        P=-np.einsum("ba,ibc,cd->iad", R, sums.P, R) / sigma**2,
        W=W,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sets:
    """Sets of levels of one shape: so many levels of each factor.

    Attributes
    ----------
    counts : tuple of int
        Levels of each factor in a set.
    M : ndarray, shape (c, m, m)
        Z'WZ of each set.
    N : ndarray, shape (c, m, p)
        Z'WX.
    """

    counts: tuple[int, ...]
    M: np.ndarray
    N: np.ndarray


def _sets_of_levels(
    factors: Sequence[LinearFactor], X: np.ndarray, w: np.ndarray
) -> Iterator[_Sets]:
    """Levels that share rows, those of one shape together; within a set factor by factor."""
    n = len(X)
    levels = np.asarray([f.n_levels for f in factors])
    first_level = np.concatenate([[0], np.cumsum(levels)])
    rows = np.arange(n)
    occurs = sparse.csr_array(
        (np.ones(n * len(factors)), (np.tile(rows, len(factors)), np.concatenate(
            [f.index + s for f, s in zip(factors, first_level, strict=False)]))),
        shape=(n, int(first_level[-1])),
    )  # fmt: skip
    n_sets, of_level = connected_components(occurs.T @ occurs, directed=False)
    counts = np.stack(
        [np.bincount(of_level[s : s + k], minlength=n_sets)
         for s, k in zip(first_level, levels, strict=False)], axis=1,
    )  # fmt: skip
    q = np.asarray([f.Z.shape[1] for f in factors])
    size = counts @ q
    largest = int(size.max())
    check_memory(
        f"the {largest:,} group effects that share rows", 6 * largest**2,
        'take ddf="satterthwaite"',
    )  # fmt: skip
    shapes, of_shape = np.unique(counts, axis=0, return_inverse=True)
    of_shape = np.ravel(of_shape)
    of_row = of_level[factors[0].index + first_level[0]]
    order = np.argsort(of_row, kind="stable")
    row_start = np.concatenate([[0], np.cumsum(np.bincount(of_row, minlength=n_sets))])
    # Place of each level among those of its factor in its set.
    place = np.empty(int(first_level[-1]), dtype=np.int64)
    for s, k in zip(first_level, levels, strict=False):
        own = of_level[s : s + k]
        at = np.argsort(own, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(own, minlength=n_sets))])
        place[s + at] = np.arange(k) - start[own[at]]
    for number, shape in enumerate(shapes):
        sets = np.flatnonzero(of_shape == number)
        m = int(shape @ q)
        offset = np.concatenate([[0], np.cumsum(shape * q)])
        step = max(1, _PIECE // max(m * m, 1))
        for begin in range(0, len(sets), step):
            some = sets[begin : begin + step]
            yield _products(factors, X, w, some, tuple(shape.tolist()), offset,
                            (order, row_start, place, first_level))  # fmt: skip


def _products(
    factors: Sequence[LinearFactor], X: np.ndarray, w: np.ndarray, sets: np.ndarray,
    counts: tuple[int, ...], offset: np.ndarray, where: tuple[np.ndarray, ...],
) -> _Sets:  # fmt: skip
    order, row_start, place, first_level = where
    m, p = int(offset[-1]), X.shape[1]
    lengths = row_start[sets + 1] - row_start[sets]
    local = np.repeat(np.arange(len(sets)), lengths)
    begin = np.repeat(row_start[sets] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    rows = order[np.arange(len(local)) + begin]
    columns, values = [], []
    for f, factor in enumerate(factors):
        q = factor.Z.shape[1]
        at = place[factor.index[rows] + first_level[f]]
        for a in range(q):
            columns.append(local * m + offset[f] + at * q + a)
            values.append(factor.Z[rows, a])
    k = len(columns)
    Z = sparse.csr_array(
        (np.stack(values, axis=1).ravel(), np.stack(columns, axis=1).ravel(),
         np.arange(len(rows) + 1) * k),
        shape=(len(rows), len(sets) * m),
    )  # fmt: skip
    weighted = Z.T.tocsr() @ sparse.diags_array(w[rows])
    M = np.zeros((len(sets), m, m))
    product = (weighted @ Z).tocoo()
    M[product.row // m, product.row % m, product.col % m] = product.data
    N = np.asarray(weighted @ X[rows]).reshape(len(sets), m, p)
    return _Sets(counts=counts, M=M, N=N)


def _add(
    sums: _Sums, factors: Sequence[LinearFactor], sets: _Sets, *, sigma_is_known: bool
) -> None:
    M, N = sets.M, sets.N
    m = M.shape[1]
    at, pairs, roots = 0, [], []
    for factor, count in zip(factors, sets.counts, strict=True):
        q = factor.Z.shape[1]
        roots.append((slice(at, at + count * q), factor.root))
        pairs += [_where(entries, at, count, q) for entries in factor.entries]
        at += count * q
    half = _times(roots, M)  # L' M
    inner = _times(roots, np.swapaxes(half, 1, 2))
    inner = (inner + np.swapaxes(inner, 1, 2)) / 2 + np.eye(m)
    BM = _times(roots, np.linalg.solve(inner, half), transposed=False)
    MB = np.swapaxes(BM, 1, 2)
    left = np.eye(m) - MB
    G = M - M @ BM  # Z' V^-1 Z
    F = left @ N  # Z' V^-1 X
    FT = np.swapaxes(F, 1, 2)
    BN = _times(roots, np.linalg.solve(inner, _times(roots, N)), transposed=False)
    NB = np.swapaxes(BN, 1, 2)
    sums.gram -= (NB @ N).sum(axis=0)
    picked = []  # G E_i, and F' E_i as far as they are not zero
    for i, (rows, columns) in enumerate(pairs):
        sums.P[i] += np.einsum("cpk,ckq->pq", FT[:, :, rows], F[:, columns])
        picked.append((rows, columns))
    for i, (rows, columns) in enumerate(picked):
        for j, (rows_j, columns_j) in enumerate(picked[: i + 1]):
            block = G[:, columns][:, :, rows_j]
            other = G[:, columns_j][:, :, rows]
            sums.traces[i, j] += np.einsum("ckl,clk->", block, other)
            Q = (FT[:, :, rows] @ block @ F[:, columns_j]).sum(axis=0)
            sums.Q[i, j] += Q
            if i != j:
                sums.Q[j, i] += Q.T
    if sigma_is_known:
        _mirror(sums.traces, len(pairs))
        return
    F2 = left @ F  # Z' V^-1 W^-1 V^-1 X
    NBM = NB @ M
    sums.P[-1] += (-2 * (NB @ N) + NBM @ BN).sum(axis=0)
    sums.Q[-1, -1] += (-3 * (NB @ N) + 3 * NBM @ BN - NBM @ BM @ BN).sum(axis=0)
    sums.traces[-1, -1] += -2 * np.einsum("cii->", MB) + np.einsum("cij,cji->", MB, MB)
    for i, (rows, columns) in enumerate(picked):
        Q = (FT[:, :, rows] @ F2[:, columns]).sum(axis=0)
        sums.Q[i, -1] += Q
        sums.Q[-1, i] += Q.T
        # From Z' V^-1 W^-1 V^-1 Z = (I - MB) G only the entries of E.
        sums.traces[-1, i] += np.einsum("ckm,cmk->", left[:, columns], G[:, :, rows])
    _mirror(sums.traces, len(sums.traces))


def _times(
    roots: list[tuple[slice, np.ndarray]], A: np.ndarray, *, transposed: bool = True
) -> np.ndarray:
    """L' A or L A, with L made of one root for each level."""
    out = np.empty_like(A)
    for rows, root in roots:
        q = len(root)
        part = A[:, rows].reshape(len(A), -1, q, A.shape[2])
        by = root.T if transposed else root
        out[:, rows] = np.matmul(by, part).reshape(len(A), -1, A.shape[2])
    return out


def _where(
    entries: tuple[tuple[int, int], ...], start: int, count: int, q: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the ones of E: level by level, both of a pair."""
    both = [(a, b) for a, b in entries] + [(b, a) for a, b in entries if a != b]
    base = start + q * np.arange(count)
    rows = np.concatenate([base + a for a, _ in both])
    columns = np.concatenate([base + b for _, b in both])
    return rows, columns


def _mirror(square: np.ndarray, n: int) -> None:
    upper = np.triu_indices(n, 1)
    square[upper] = square.T[upper]
