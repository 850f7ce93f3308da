"""REML by conjugate gradients, where crossed factors are too large for a dense matrix.

The largest factor is eliminated level by level; the equations of the others are solved by
conjugate gradients, preconditioned by the levels' own blocks. What REML needs beside solutions,
traces of the inverse and the log determinant, are estimated by random signs: the Lanczos
matrices of the same conjugate gradients give the logarithm. The signs stay the same throughout,
so that a fit is reproducible, and the average-information matrix leads to the root of the
estimated score.

References
----------
Gilmour, A. R., Thompson, R. and Cullis, B. R. (1995). Average information REML. Biometrics 51,
1440-1450.

Gyger, T., Furrer, R. and Sigrist, F. (2025). Iterative methods for full-scale Gaussian process
approximations and mixed models.

Pandolfi, A., Papaspiliopoulos, O. and Zanella, G. (2024). Conjugate gradient methods for
high-dimensional GLMMs.

Ubaru, S., Chen, J. and Saad, Y. (2017). Fast estimation of tr(f(A)) via stochastic Lanczos
quadrature. SIAM Journal on Matrix Analysis and Applications 38, 1075-1099.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from bayesmix.design import LinearPredictor
from bayesmix.gaussian.scaling import Scaling

__all__ = [
    "PROBES", "CrossedSums", "IterativeOptimum", "PredictionErrors", "crossed_sums",
    "iterative_reml",
]  # fmt: skip

PROBES = 32
_TOLERANCE = 1e-9  # of a solution, relative
_MOST_STEPS = 500  # of conjugate gradients
_MOST_ROUNDS = 60  # of the search
_DECREMENT = 1e-7  # of twice the likelihood, below which the search ends
_LEAST = 1e-9  # variance of an effect relative to sigma^2 per unit of information: zero
_EM_ROUNDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedSums:
    """Cross-products of the working columns, those of levels as a sparse matrix.

    Attributes
    ----------
    order : tuple of int
        Grouping factors as they stand here, the largest first.
    shapes : tuple of (int, int)
        Levels and effects of each.
    N : sparse matrix, shape (m, m)
        Z'WZ.
    ZX, Zy : ndarray, shape (m, p) and (m,)
    XX, Xy, yy : ndarray
    n : int
        Number of rows.
    """

    order: tuple[int, ...]
    shapes: tuple[tuple[int, int], ...]
    N: sparse.csr_matrix
    ZX: np.ndarray
    Zy: np.ndarray
    XX: np.ndarray
    Xy: np.ndarray
    yy: float
    n: int

    @property
    def starts(self) -> np.ndarray:
        """Where each factor's columns start, and their number."""
        return np.cumsum([0, *(levels * q for levels, q in self.shapes)])


@dataclass(frozen=True, slots=True, kw_only=True)
class IterativeOptimum:
    """Where the estimated score is zero.

    Attributes
    ----------
    covariances : tuple of ndarray, shape (q, q)
        Those of each factor's effects, relative to sigma^2, in working units.
    variance : float
        sigma^2, in working units.
    information : ndarray, shape (K + 1, K + 1)
        Average information of the entries of the covariances, not relative, and of sigma^2.
    entries : tuple of (int, int, int)
        Factor, row and column of each entry.
    beta, beta_cov : ndarray
        Working fixed effects, with their covariance.
    b, cross : tuple of ndarray
        By factor, effects and their covariances with beta, shapes (G, q) and (G, q, p).
    criterion : float
        REML criterion in working units.
    criterion_error : float
        Its Monte Carlo standard error.
    at_zero : tuple of ndarray of bool, shape (q,)
    converged : bool
    decrement : float
        What the last step would gain.
    rounds : int
    """

    covariances: tuple[np.ndarray, ...]
    variance: float
    information: np.ndarray
    entries: tuple[tuple[int, int, int], ...]
    beta: np.ndarray
    beta_cov: np.ndarray
    b: tuple[np.ndarray, ...]
    cross: tuple[np.ndarray, ...]
    criterion: float
    criterion_error: float
    at_zero: tuple[np.ndarray, ...]
    converged: bool
    decrement: float
    rounds: int


def crossed_sums(
    predictor: LinearPredictor, y: np.ndarray, weights: np.ndarray | None, scaling: Scaling
) -> CrossedSums:
    """Sum the products of the working columns.

    Parameters
    ----------
    predictor : LinearPredictor
    y : ndarray, shape (n,)
        Response minus offset.
    weights : ndarray, shape (n,), or None
    scaling : Scaling
    """
    groups = predictor.groups
    order = sorted(range(len(groups)), key=lambda k: -groups[k].n_levels * groups[k].n_effects)
    root = np.ones(len(y)) if weights is None else np.sqrt(weights)
    X = (predictor.X - scaling.X_shift) / scaling.X_scale
    r = (y / scaling.y_scale - X @ scaling.beta_0) * root
    X *= root[:, None]
    B = sparse.hstack([_columns(groups[k], root) for k in order], format="csr")
    return CrossedSums(
        order=tuple(order),
        shapes=tuple((groups[k].n_levels, groups[k].n_effects) for k in order),
        N=(B.T @ B).tocsr(), ZX=np.asarray(B.T @ X), Zy=np.asarray(B.T @ r),
        XX=X.T @ X, Xy=X.T @ r, yy=float(r @ r), n=len(y),
    )  # fmt: skip


def _columns(group: object, root: np.ndarray) -> sparse.csr_matrix:
    """Columns of one grouping factor's effects, level by level."""
    Z, index, levels = group.Z, group.index, group.n_levels  # type: ignore[attr-defined]
    n, q = Z.shape
    at = (index.astype(np.int64)[:, None] * q + np.arange(q)).ravel()
    return sparse.csr_matrix(
        ((Z * root[:, None]).ravel(), at, np.arange(0, n * q + 1, q)), shape=(n, levels * q)
    )


class _Equations:
    """I + L'Z'WZ L at one set of covariances: solutions, traces, log determinant."""

    def __init__(self, sums: CrossedSums, parts: _Parts, L: Sequence[np.ndarray]) -> None:
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


class _Parts:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _At:
    """What is known at one set of covariances."""

    equations: _Equations
    beta: np.ndarray
    precision: np.ndarray  # of beta, in units of 1 / sigma^2
    UX: np.ndarray
    u: np.ndarray
    variance: float
    traces: list[np.ndarray]  # sum over levels of the blocks of the inverse, (q, q)
    log_dets: np.ndarray


def iterative_reml(
    sums: CrossedSums, structures: Sequence[Sequence[tuple[int, int]]], seed: int = 0
) -> IterativeOptimum:
    """Find the root of the REML score.

    Parameters
    ----------
    sums : CrossedSums
    structures : sequence of sequence of (int, int)
        By factor as in `sums`, entries (i, j), i >= j, of its covariance that are estimated;
        the others are zero.
    seed : int
        Seed of the random signs.

    Returns
    -------
    IterativeOptimum
    """
    parts = _Parts(sums)
    m_rest = int(sums.starts[-1] - sums.starts[1])
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(m_rest, PROBES))
    entries = tuple((f, i, j) for f, own in enumerate(structures) for i, j in own)
    # Where a level of mean size says as much of an effect as a row of the residual.
    units = [
        [_LEAST / max(float(block[:, k, k].mean()), 1e-300) for k in range(block.shape[1])]
        for block in parts.own
    ]
    covariances = [
        np.diag([1e8 * unit for unit in own]) for own in units
    ]  # 0.1 of what a level says
    converged, decrement, rounds = False, np.inf, 0
    while True:
        at = _evaluate(sums, parts, [_root(G) for G in covariances], signs)
        score, information, by_sigma = _score(sums, at, entries)
        active = np.asarray([
            all(covariances[f][k, k] > 2 * units[f][k] for k in (i, j)) for f, i, j in entries
        ])  # fmt: skip
        of_sigma = 0.5 * (sums.n - len(at.beta)) / at.variance**2
        own = information - np.outer(by_sigma, by_sigma) / of_sigma
        step = np.zeros(len(entries))
        if active.any():
            step[active] = np.linalg.lstsq(own[np.ix_(active, active)], score[active])[0]
        decrement = float(score @ step)
        if rounds >= _EM_ROUNDS and abs(decrement) < _DECREMENT:
            converged = True
            break
        if rounds >= _MOST_ROUNDS:
            break
        rounds += 1
        if rounds <= _EM_ROUNDS:
            covariances = _by_expectation(sums, at, structures, units)
        else:
            covariances = _moved(covariances, entries, step, units)
    return _optimum(sums, at, covariances, entries, information, by_sigma, of_sigma, units,
                    converged=converged, decrement=decrement, rounds=rounds)  # fmt: skip


def _root(G: np.ndarray) -> np.ndarray:
    """Lower triangular root of a covariance."""
    return np.linalg.cholesky(G)


def _evaluate(sums: CrossedSums, parts: _Parts, L: Sequence[np.ndarray], signs: np.ndarray) -> _At:
    """Solve the equations, and estimate the blocks of their inverse."""
    eq, p = _Equations(sums, parts, L), len(sums.Xy)
    rhs = eq.times_root(np.column_stack([sums.ZX, sums.Zy]), transposed=True)
    found = eq.solve(rhs)
    UX, Uy = found[:, :p], found[:, p]
    precision = sums.XX - rhs[:, :p].T @ UX
    beta = np.linalg.solve(precision, sums.Xy - rhs[:, :p].T @ Uy) if p else np.zeros(0)
    u = Uy - UX @ beta
    rest = sums.yy - rhs[:, p] @ u - sums.Xy @ beta
    m, traces = int(sums.starts[1]), []
    between = np.linalg.inv(precision) if p else np.zeros((0, 0))
    if len(signs):
        x, w, log_dets = eq.probe(signs)
        through = (eq.down(x), eq.down(w)), (x, w)
    else:
        log_dets, through = np.zeros(1), ((np.zeros((m, 1)), np.zeros((m, 1))),) * 2
    for f, (levels, q) in enumerate(sums.shapes):
        a, c = through[min(f, 1)]
        start = int(sums.starts[f] - (sums.starts[1] if f else 0))
        here, whole = slice(start, start + levels * q), slice(*sums.starts[f : f + 2].tolist())
        a, c = (v[here].reshape(levels, q, -1) for v in (a, c))
        trace = np.einsum("gik,gjk->ij", a, c) / a.shape[2]
        trace = (trace + trace.T) / 2 + (eq.K_inverse.sum(axis=0) if f == 0 else 0.0)
        J = UX[whole].reshape(levels, q, p)
        traces.append(trace + np.einsum("gip,pr,gjr->ij", J, between, J))
    return _At(
        equations=eq, beta=beta, precision=precision, UX=UX, u=u,
        variance=float(rest / (sums.n - p)), traces=traces, log_dets=log_dets + eq.log_det_K,
    )  # fmt: skip


def _score(
    sums: CrossedSums, at: _At, entries: Sequence[tuple[int, int, int]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Score and average information of relative covariances, and that beside sigma^2."""
    L, starts, K = at.equations.L, sums.starts, len(entries)
    # L^-T u, which is Z'P y in units of sigma^2.
    a = [
        np.linalg.solve(own.T, at.u[starts[f] : starts[f + 1]].reshape(-1, len(own)).T)
        for f, own in enumerate(L)
    ]
    score, by_sigma = np.empty(K), np.empty(K)
    moved = np.zeros((int(starts[-1]), K))
    for k, (f, i, j) in enumerate(entries):
        levels, q = sums.shapes[f]
        inverse = np.linalg.inv(L[f])
        M = inverse.T @ (levels * np.eye(q) - at.traces[f]) @ inverse
        S = a[f] @ a[f].T
        twice = 1.0 if i == j else 2.0
        score[k] = -0.5 * twice * (M[i, j] - S[i, j] / at.variance)
        by_sigma[k] = 0.5 * twice * S[i, j] / at.variance**2
        own = moved[starts[f] : starts[f + 1], k].reshape(levels, q)
        own[:, i] += a[f][j]
        if i != j:
            own[:, j] += a[f][i]
    Nc = sums.N @ moved
    rhs = at.equations.times_root(Nc, transposed=True)
    found = at.equations.solve(rhs)
    Xc = sums.ZX.T @ moved
    p = len(at.beta)
    beta = np.zeros((0, K))
    if p:
        known = at.equations.times_root(sums.ZX, transposed=True)
        beta = np.linalg.solve(at.precision, Xc - known.T @ found)
    W = moved.T @ Nc - Xc.T @ beta - rhs.T @ (found - at.UX @ beta)
    return score, 0.5 * (W + W.T) / 2 / at.variance, by_sigma


def _by_expectation(
    sums: CrossedSums, at: _At, structures: Sequence[Sequence[tuple[int, int]]],
    units: Sequence[Sequence[float]],
) -> list[np.ndarray]:  # fmt: skip
    """One step of EM, which never leaves what is a covariance."""
    found = []
    for f, (levels, q) in enumerate(sums.shapes):
        u = at.u[sums.starts[f] : sums.starts[f + 1]].reshape(levels, q)
        L = at.equations.L[f]
        G = L @ (u.T @ u / at.variance + at.traces[f]) @ L.T / levels
        kept = np.zeros((q, q), dtype=bool)
        for i, j in structures[f]:
            kept[i, j] = kept[j, i] = True
        found.append(_held(np.where(kept, G, 0.0), units[f]))
    return found


def _moved(
    covariances: Sequence[np.ndarray], entries: Sequence[tuple[int, int, int]], step: np.ndarray,
    units: Sequence[Sequence[float]],
) -> list[np.ndarray]:  # fmt: skip
    """Take a step, or as much of it in each factor as leaves a covariance."""
    found = []
    for f, G in enumerate(covariances):
        change = np.zeros_like(G)
        for (own, i, j), by in zip(entries, step, strict=True):
            if own == f:
                change[i, j] = change[j, i] = by
        C, size = np.linalg.cholesky(G), 1.0
        relative = np.linalg.solve(C, np.linalg.solve(C, change).T)
        least = float(np.linalg.eigvalsh(relative)[0])
        if least < -0.9:  # variances fall to a tenth at most
            size = 0.9 / -least
        found.append(_held(G + size * change, units[f]))
    return found


def _held(G: np.ndarray, units: Sequence[float]) -> np.ndarray:
    """Keep variances above what counts as zero."""
    low = np.diag(G) < units
    if not low.any():
        return (G + G.T) / 2
    G = G.copy()
    G[low], G[:, low] = 0.0, 0.0
    G[low, low] = np.asarray(units)[low]
    return (G + G.T) / 2


def _optimum(
    sums: CrossedSums, at: _At, covariances: Sequence[np.ndarray],
    entries: tuple[tuple[int, int, int], ...], information: np.ndarray, by_sigma: np.ndarray,
    of_sigma: float, units: Sequence[Sequence[float]], *, converged: bool, decrement: float,
    rounds: int,
) -> IterativeOptimum:  # fmt: skip
    """Bring what was found to effects b = L u."""
    variance, L, p = at.variance, at.equations.L, len(at.beta)
    between = np.linalg.inv(at.precision) if p else np.zeros((0, 0))
    b, cross = [], []
    for f, (levels, q) in enumerate(sums.shapes):
        here = slice(*sums.starts[f : f + 2].tolist())
        b.append(at.u[here].reshape(levels, q) @ L[f].T)
        J = np.einsum("ik,gkp->gip", L[f], at.UX[here].reshape(levels, q, p))
        cross.append(-variance * J @ between)
    # From relative covariances to those that are not: theta = sigma^2 Gamma.
    K = len(entries)
    relative = np.asarray([covariances[f][i, j] for f, i, j in entries])
    whole = np.empty((K + 1, K + 1))
    whole[:K, :K], whole[:K, K], whole[K, :K] = information, by_sigma, by_sigma
    whole[K, K] = of_sigma
    J = np.eye(K + 1) / variance  # derivatives of (Gamma, sigma^2) by (theta, sigma^2)
    J[:K, K], J[K, K] = -relative / variance, 1.0
    log_det, n = float(at.log_dets.mean()), sums.n - p
    error = (
        float(at.log_dets.std(ddof=1) / np.sqrt(len(at.log_dets))) if len(at.log_dets) > 1 else 0.0
    )
    return IterativeOptimum(
        covariances=tuple(covariances), variance=variance, information=J.T @ whole @ J,
        entries=entries, beta=at.beta, beta_cov=variance * between, b=tuple(b),
        cross=tuple(cross),
        criterion=log_det + float(np.linalg.slogdet(at.precision)[1])
        + n * (1.0 + np.log(2 * np.pi * variance)),
        criterion_error=error,
        at_zero=tuple(
            np.asarray([G[k, k] <= 2 * own[k] for k in range(len(G))])
            for G, own in zip(covariances, units, strict=True)
        ),
        converged=converged, decrement=decrement, rounds=rounds,
    )  # fmt: skip


class PredictionErrors:
    """Errors of all effects, by solutions for perturbed right-hand sides.

    Parameters
    ----------
    sums : CrossedSums
    predictor : LinearPredictor
    weights : ndarray, shape (n,), or None
    scaling : Scaling
    optimum : IterativeOptimum

    References
    ----------
    Papandreou, G. and Yuille, A. (2010). Gaussian sampling by local perturbations. Advances in
    Neural Information Processing Systems 23.
    """

    def __init__(
        self, sums: CrossedSums, predictor: LinearPredictor, weights: np.ndarray | None,
        scaling: Scaling, optimum: IterativeOptimum,
    ) -> None:  # fmt: skip
        root = np.ones(sums.n) if weights is None else np.sqrt(weights)
        self._sums, self._variance = sums, optimum.variance
        self._X = (predictor.X - scaling.X_shift) / scaling.X_scale * root[:, None]
        B = sparse.hstack([_columns(predictor.groups[k], root) for k in sums.order], format="csr")
        self._by_level = B.T.tocsr()
        self._parts = _Parts(sums)
        self._eq = _Equations(sums, self._parts, [_root(G) for G in optimum.covariances])
        self._known = self._eq.times_root(sums.ZX, transposed=True)
        self._UX = self._eq.solve(self._known)
        self._precision = sums.XX - self._known.T @ self._UX

    def draws(self, n_draws: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
        """Draw errors.

        Parameters
        ----------
        n_draws : int
        rng : Generator

        Returns
        -------
        beta : ndarray, shape (p, S)
            In working units.
        b : list of ndarray, shape (G, q, S)
            By factor as in the sums.
        """
        sums = self._sums
        beta, b = np.empty((len(sums.Xy), n_draws)), [np.empty((*g, n_draws)) for g in sums.shapes]
        for some, of_beta, u, _ in self._pieces(n_draws, rng):
            beta[:, some] = of_beta
            found = self._eq.times_root(u)
            for own, size, at in zip(b, sums.shapes, sums.starts[:-1].tolist(), strict=True):
                own[:, :, some] = found[at : at + size[0] * size[1]].reshape(*size, -1)
        sigma = np.sqrt(self._variance)
        return beta * sigma, [own * sigma for own in b]

    def variances(
        self, n_draws: int, rng: np.random.Generator
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Prediction error variances of effects, and those given the fixed effects, (G, q) each.

        The variance of a level's effects given all others is exact; that of their conditional
        mean, mostly a small part of the whole, is an average over draws.
        """
        sums, eq = self._sums, self._eq
        inverse = [
            np.linalg.inv(np.eye(len(L)) + np.einsum("ki,gkl,lj->gij", L, own, L))
            for L, own in zip(eq.L, self._parts.own, strict=True)
        ]
        found = [[np.zeros((*size, size[1])) for size in sums.shapes] for _ in range(2)]
        for _, beta, u, given in self._pieces(n_draws, rng):
            for into, error, of_beta in ((found[0], u, beta), (found[1], given, None)):
                whole = error + eq.times_root(sums.N @ eq.times_root(error), transposed=True)
                if of_beta is not None:
                    whole += self._known @ of_beta
                for f, (levels, q) in enumerate(sums.shapes):
                    here = slice(*sums.starts[f : f + 2].tolist())
                    own = error[here].reshape(levels, q, -1)
                    mean = own - inverse[f] @ whole[here].reshape(levels, q, -1)
                    into[f] += np.einsum("gis,gjs->gij", mean, mean) / n_draws
        return tuple(
            [
                self._variance * np.einsum("ik,gkl,il->gi", L, block + own, L)
                for L, block, own in zip(eq.L, inverse, blocks, strict=True)
            ]
            for blocks in found
        )  # type: ignore[return-value]

    def _pieces(
        self, n_draws: int, rng: np.random.Generator
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
        """Some draws at a time: errors of beta, of u, and of u given beta, where sigma is 1."""
        sums, p = self._sums, len(self._sums.Xy)
        step = max(1, min(PROBES, 32_000_000 // sums.n))
        for start in range(0, n_draws, step):
            some = slice(start, min(start + step, n_draws))
            noise = rng.standard_normal((sums.n, some.stop - start))
            f = self._eq.times_root(np.asarray(self._by_level @ noise), transposed=True)
            f += rng.standard_normal(f.shape)
            given = self._eq.solve(f)
            beta = np.zeros((0, noise.shape[1]))
            if p:
                beta = np.linalg.solve(self._precision, self._X.T @ noise - self._known.T @ given)
            yield some, beta, given - self._UX @ beta, given
