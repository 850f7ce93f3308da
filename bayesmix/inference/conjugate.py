"""Equations of crossed effects by conjugate gradients: solutions, traces, log determinants.

The largest factor is eliminated level by level; the equations of the others are solved for,
preconditioned by the levels' own blocks. With random signs on the right-hand side the same
conjugate gradients give traces of the inverse, and their Lanczos matrices its log determinant.

References
----------
Pandolfi, A., Papaspiliopoulos, O. and Zanella, G. (2024). Conjugate gradient methods for
high-dimensional GLMMs.

Ubaru, S., Chen, J. and Saad, Y. (2017). Fast estimation of tr(f(A)) via stochastic Lanczos
quadrature. SIAM Journal on Matrix Analysis and Applications 38, 1075-1099.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg, sparse

from bayesmix.inference.crossed_sums import CrossedSums

__all__ = ["CrossedBlocks", "CrossedEquations"]

_TOLERANCE = 1e-9  # of a solution, relative
_MOST_STEPS = 500  # of conjugate gradients


class CrossedEquations:
    """I + L'Z'WZ L at one set of covariances: solutions, traces, log determinant."""

    def __init__(self, sums: CrossedSums, parts: CrossedBlocks, L: Sequence[np.ndarray]) -> None:
        self._sums, self._parts, self.L = sums, parts, L
        q = sums.shapes[0][1]
        K = np.eye(q) + np.einsum("ki,gkl,lj->gij", L[0], parts.own[0], L[0])
        self.K_inverse = np.linalg.inv(K)
        self.log_det_K = float(np.linalg.slogdet(K)[1].sum())
        middle = np.einsum("ik,gkl,jl->gij", L[0], self.K_inverse, L[0])
        self._roots, self.log_det_P = [], 0.0
        for f in range(1, len(sums.shapes)):
            within = parts.own[f] - parts.met_within(f, middle)
            P = np.eye(sums.shapes[f][1]) + np.einsum("ki,gkl,lj->gij", L[f], within, L[f])
            self._roots.append(np.linalg.cholesky(P))
            self.log_det_P += 2 * float(
                np.log(np.diagonal(self._roots[-1], axis1=1, axis2=2)).sum()
            )

    # Effects of the largest factor, and of the others, one behind the other.

    def _times(self, v: np.ndarray, f: int, *, transposed: bool) -> np.ndarray:
        levels, q = self._sums.shapes[f]
        L = self.L[f].T if transposed else self.L[f]
        if q == 1:
            return np.asarray(v * L[0, 0])
        return np.einsum("ij,gjk->gik", L, v.reshape(levels, q, -1)).reshape(levels * q, -1)

    def _rest(self, v: np.ndarray, *, transposed: bool) -> np.ndarray:
        starts = self._sums.starts - self._sums.starts[1]
        return np.concatenate([
            self._times(v[starts[f] : starts[f + 1]], f, transposed=transposed)
            for f in range(1, len(self._sums.shapes))
        ] or [v])  # fmt: skip

    def times_root(self, v: np.ndarray, *, transposed: bool = False) -> np.ndarray:
        """L v, or L'v, of all effects."""
        m = int(self._sums.starts[1])
        first = self._times(v[:m], 0, transposed=transposed)
        return np.concatenate([first, self._rest(v[m:], transposed=transposed)])

    def _through_first(self, v: np.ndarray) -> np.ndarray:
        levels, q = self._sums.shapes[0]
        if q == 1:
            return np.asarray(self.K_inverse[:, 0] * v)
        found = np.einsum("gij,gjk->gik", self.K_inverse, v.reshape(levels, q, -1))
        return found.reshape(levels * q, -1)

    def down(self, v: np.ndarray) -> np.ndarray:
        """What effects of the others take along of the largest factor's, K^-1 L'N L v."""
        met = self._parts.N_first_rest @ self._rest(v, transposed=False)
        return self._through_first(self._times(met, 0, transposed=True))

    def complement(self, v: np.ndarray) -> np.ndarray:
        """S v, the equations of the others when the largest factor is eliminated."""
        a = self._rest(v, transposed=False)
        first = self._through_first(self._times(self._parts.N_first_rest @ a, 0, transposed=True))
        out = self._parts.N_rest @ a
        out -= self._parts.N_rest_first @ self._times(first, 0, transposed=False)
        return np.asarray(v + self._rest(out, transposed=True))

    def _by_blocks(self, v: np.ndarray, how: str) -> np.ndarray:
        """P^-1 v, the root of P times v ("root"), or the inverse of its transpose ("back")."""
        out, at = [], 0
        for f, C in enumerate(self._roots, start=1):
            levels, q = self._sums.shapes[f]
            own = v[at : at + levels * q].reshape(levels, q, -1)
            at += levels * q
            if how == "root":
                found = C @ own
            elif how == "back":
                found = np.linalg.solve(np.swapaxes(C, 1, 2), own)
            elif q == 1:
                found = own / C**2
            else:
                found = np.linalg.solve(np.swapaxes(C, 1, 2), np.linalg.solve(C, own))
            out.append(found.reshape(levels * q, -1))
        return np.concatenate(out) if out else v

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """The solution of all equations, shape (m, k)."""
        m = int(self._sums.starts[1])
        first = self._through_first(rhs[:m])
        rest = rhs[m:]
        if len(rest):
            met = self._parts.N_rest_first @ self._times(first, 0, transposed=False)
            rest = self._conjugate(rest - self._rest(met, transposed=True))[0]
            first = first - self.down(rest)
        return np.concatenate([first, rest])

    def probe(self, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Go through the inverse of S with random signs, shape (m_rest, k).

        Returns
        -------
        x, w : ndarray, shape (m_rest, k)
            The mean of x w' is the inverse of S.
        log_det : ndarray, shape (k,)
            Estimates of its log determinant.
        """
        x, logs = self._conjugate(self._by_blocks(signs, "root"), logarithms=True)
        return x, self._by_blocks(signs, "back"), self.log_det_P + logs

    def _conjugate(
        self, rhs: np.ndarray, *, logarithms: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Preconditioned conjugate gradients of several right-hand sides at once."""
        k = rhs.shape[1]
        x, r = np.zeros_like(rhs), rhs.copy()
        z = self._by_blocks(r, "inverse")
        p, rz = z.copy(), np.einsum("ik,ik->k", r, z)
        start = np.where(rz > 0, rz, 1.0)
        alphas, betas = [], []
        running = rz > 0
        for _ in range(_MOST_STEPS):
            if not running.any():
                break
            Ap = self.complement(p)
            alpha = np.where(running, rz / np.where(running, np.einsum("ik,ik->k", p, Ap), 1), 0.0)
            x += alpha * p
            r -= alpha * Ap
            z = self._by_blocks(r, "inverse")
            new = np.einsum("ik,ik->k", r, z)
            beta = np.where(running, new / np.where(running, rz, 1.0), 0.0)
            alphas.append(alpha)
            betas.append(beta)
            p = z + beta * p
            rz = np.where(running, new, rz)
            running = running & (new > _TOLERANCE**2 * start)
        if not logarithms:
            return x, np.zeros(k)
        return x, np.asarray([
            _lanczos_log(np.asarray(alphas)[:, j], np.asarray(betas)[:, j]) * start[j]
            for j in range(k)
        ])  # fmt: skip


def _lanczos_log(alpha: np.ndarray, beta: np.ndarray) -> float:
    """First entry of the logarithm of the Lanczos matrix that conjugate gradients made."""
    n = int((alpha > 0).sum())
    if not n:
        return 0.0
    alpha, beta = alpha[:n], beta[:n]
    diagonal = 1.0 / alpha
    diagonal[1:] += beta[:-1] / alpha[:-1]
    values, vectors = linalg.eigh_tridiagonal(diagonal, np.sqrt(beta[:-1]) / alpha[:-1])
    return float(vectors[0] ** 2 @ np.log(np.maximum(values, 1e-300)))


class CrossedBlocks:
    """Blocks of the cross-products, which no covariance changes."""

    def __init__(self, sums: CrossedSums) -> None:
        at, N = sums.starts, sums.N
        m = int(at[1])
        self.N_first_rest = N[:m, m:].tocsr()
        self.N_rest_first = self.N_first_rest.T.tocsr()
        self.N_rest = N[m:, m:].tocsr()
        self.own = [
            _blocks(N[at[f] : at[f + 1], at[f] : at[f + 1]], *size)
            for f, size in enumerate(sums.shapes)
        ]
        self._sums = sums

    def met_within(self, f: int, middle: np.ndarray) -> np.ndarray:
        """Blocks of N M N of a factor's levels, with M of the largest factor, (G, q, q)."""
        (_, q1), (levels, q) = self._sums.shapes[0], self._sums.shapes[f]
        start = int(self._sums.starts[f] - self._sums.starts[1])
        met = self.N_first_rest[:, start : start + levels * q]
        by = [[met[a::q1, j::q].tocsr() for j in range(q)] for a in range(q1)]
        out = np.zeros((levels, q, q))
        for i in range(q):
            for j in range(q):
                for a in range(q1):
                    for b in range(q1):
                        out[:, i, j] += by[a][i].multiply(by[b][j]).T @ middle[:, a, b]
        return out


def _blocks(N: sparse.spmatrix, levels: int, q: int) -> np.ndarray:
    """The blocks of a block-diagonal matrix, shape (G, q, q)."""
    found, out = N.tocoo(), np.zeros((levels, q, q))
    np.add.at(out, (found.row // q, found.row % q, found.col % q), found.data)
    return out
