"""REML by conjugate gradients, where crossed factors are too large for a dense matrix.

What REML needs beside solutions, traces of the inverse and the log determinant, are estimated by
random signs (`conjugate.py`). These stay the same throughout, so that a fit is reproducible, and
the average-information matrix leads to the root of the estimated score.

References
----------
Gilmour, A. R., Thompson, R. and Cullis, B. R. (1995). Average information REML. Biometrics 51,
1440-1450.

Gyger, T., Furrer, R. and Sigrist, F. (2025). Iterative methods for full-scale Gaussian process
approximations and mixed models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayesmix.inference.conjugate import CrossedBlocks, CrossedEquations
from bayesmix.inference.crossed_sums import CrossedSums

__all__ = ["PROBES", "IterativeOptimum", "iterative_reml"]

PROBES = 32
_MOST_ROUNDS = 60  # of the search
_DECREMENT = 1e-7  # of twice the likelihood, below which the search ends
_LEAST = 1e-9  # variance of an effect relative to sigma^2 per unit of information: zero
_EM_ROUNDS = 2


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _At:
    """What is known at one set of covariances."""

    equations: CrossedEquations
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
    parts = CrossedBlocks(sums)
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
        at = _evaluate(sums, parts, [np.linalg.cholesky(G) for G in covariances], signs)
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


def _evaluate(
    sums: CrossedSums, parts: CrossedBlocks, L: Sequence[np.ndarray], signs: np.ndarray
) -> _At:
    """Solve the equations, and estimate the blocks of their inverse."""
    eq, p = CrossedEquations(sums, parts, L), len(sums.Xy)
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
