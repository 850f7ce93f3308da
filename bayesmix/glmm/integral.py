"""Integral of the density of some rows over the effects that they alone have."""

from __future__ import annotations

import math

import numpy as np
from numba import carray

from bayesmix.gaussian.linking import FLOATS, INTS, i8, inner, kernel
from bayesmix.glmm.rows.kernels import call_rows

__all__ = ["integrate_effects"]

_MOST_STEPS = 50
_CLOSE = 0.1  # standard deviations that the last Newton step may have been long


@kernel(i8, i8, INTS, *(FLOATS,) * 9)
def integrate_effects(  # type: ignore[no-untyped-def]
    address, sizes, y, trials, eta, A, phi, nodes, log_weights, u, out
):
    """Adaptive Gauss-Hermite quadrature over standard normals u, draw by draw.

    Parameters
    ----------
    address : int
        Address of the family's row kernel.
    sizes : ndarray of int64
        Number of draws S, of rows n, of effects d, of points m, of the family's
        parameters k; code of the link; order at which the row kernel is called for the
        points (see `rows.py`: for some families 1 is faster than 0).
    y, trials : ndarray, shape (n,)
    eta : ndarray, shape (S, n)
        Linear predictor without the effects.
    A : ndarray, shape (S, n, d)
        Its derivative by the effects.
    phi : ndarray, shape (S, max(k, 1))
    nodes : ndarray, shape (m, d)
    log_weights : ndarray, shape (m,)
        Log weights of the product rule for standard normals, x'x / 2 included.
    u : ndarray, shape (d,)
        Start; receives the mode at the last draw.
    out : ndarray, shape (S,)
        Receives the logarithms of the integrals, without the rows' constants.
    """
    sizes_ = carray(sizes, (7,))
    n_draws, n, d, m, link = sizes_[0], sizes_[1], sizes_[2], sizes_[3], sizes_[5]
    n_phi = max(sizes_[4], 1)
    y_, trials_ = carray(y, (n,)), carray(trials, (n,))
    eta_, A_, phi_ = (
        carray(eta, (n_draws, n)),
        carray(A, (n_draws, n, d)),
        carray(phi, (n_draws, n_phi)),
    )
    nodes_, log_weights_, out_ = (
        carray(nodes, (m, d)),
        carray(log_weights, (m,)),
        carray(out, (n_draws,)),
    )
    u_ = carray(u, (d,))
    at, first, second, value = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    by_phi, phi_s = np.empty(n_phi + 4), np.empty(n_phi)
    H, step, trial, terms = np.empty((d, d)), np.empty(d), np.empty(d), np.empty(m)
    for s in range(n_draws):
        for k in range(n_phi):
            phi_s[k] = phi_[s, k]
        base, Z = eta_[s], A_[s]
        for i in range(n):  # a mean that cannot be leaves them as they were
            first[i], second[i] = 0.0, 0.0
        best = _value(
            address, link, y_, trials_, base, Z, phi_s, u_, 2, at, value, first, second, by_phi
        )
        if not np.isfinite(best):
            u_[:] = 0.0
            best = _value(
                address, link, y_, trials_, base, Z, phi_s, u_, 2, at, value, first, second, by_phi
            )
        for _ in range(_MOST_STEPS):
            _hessian(Z, second, H)
            length = _newton_step(Z, first, u_, H, step)
            size, better = 1.0, False
            for _ in range(20):
                for i in range(d):
                    trial[i] = u_[i] + size * step[i]
                new = _value(
                    address, link, y_, trials_, base, Z, phi_s, trial, 2, at, value, first,
                    second, by_phi,
                )  # fmt: skip
                if new >= best - 1e-9 * (1.0 + abs(best)):
                    better = True
                    break
                size *= 0.5
            if not better:
                break
            best = new
            for i in range(d):
                u_[i] = trial[i]
            if length < _CLOSE:
                break
        log_scale = 0.0
        for i in range(d):
            log_scale -= math.log(H[i, i])
        top = -np.inf
        for k in range(m):
            _spread(H, nodes_[k], u_, trial)
            terms[k] = log_weights_[k] + _value(
                address, link, y_, trials_, base, Z, phi_s, trial, sizes_[6], at, value,
                first, second, by_phi,
            )  # fmt: skip
            top = max(top, terms[k])
        total = 0.0
        for k in range(m):
            if terms[k] > -np.inf:
                total += math.exp(terms[k] - top)
        out_[s] = top + math.log(total) + log_scale if top > -np.inf else -np.inf
    return 1


@inner
def _value(  # type: ignore[no-untyped-def]
    address, link, y, trials, base, Z, phi, u, order, at, value, first, second, by_phi
):
    """Rows' log density and standard normals' at u."""
    n, d = Z.shape
    if d == 1:
        for i in range(n):
            at[i] = base[i] + Z[i, 0] * u[0]
    else:
        for i in range(n):
            part = base[i]
            for k in range(d):
                part += Z[i, k] * u[k]
            at[i] = part
    total = call_rows(
        address, link, n, y.ctypes, trials.ctypes, at.ctypes, phi.ctypes, order, value.ctypes,
        first.ctypes, second.ctypes, by_phi.ctypes,
    )  # fmt: skip
    for k in range(d):
        total -= 0.5 * u[k] * u[k]
    return total if total == total else -np.inf  # noqa: PLR0124


@inner
def _hessian(Z: np.ndarray, second: np.ndarray, H: np.ndarray) -> None:
    """Cholesky factor of I + Z'WZ, W the curvature where the density is concave."""
    n, d = Z.shape
    for i in range(d):
        for j in range(i + 1):
            H[i, j] = 1.0 if i == j else 0.0
    for row in range(n):
        w = -second[row]
        if not (w > 0.0 and np.isfinite(w)):
            continue
        for i in range(d):
            for j in range(i + 1):
                H[i, j] += w * Z[row, i] * Z[row, j]
    for i in range(d):
        for j in range(i + 1):
            part = H[i, j]
            for k in range(j):
                part -= H[i, k] * H[j, k]
            H[i, j] = math.sqrt(part) if i == j else part / H[j, j]


@inner
def _newton_step(
    Z: np.ndarray, first: np.ndarray, u: np.ndarray, C: np.ndarray, step: np.ndarray
) -> float:
    """Newton's step, and how many standard deviations long it is."""
    n, d = Z.shape
    for i in range(d):
        step[i] = -u[i]
    for row in range(n):
        if np.isfinite(first[row]):
            for i in range(d):
                step[i] += Z[row, i] * first[row]
    square = 0.0
    for i in range(d):
        for k in range(i):
            step[i] -= C[i, k] * step[k]
        step[i] /= C[i, i]
        square += step[i] * step[i]
    _back(C, step)
    return math.sqrt(square)


@inner
def _spread(C: np.ndarray, node: np.ndarray, u: np.ndarray, point: np.ndarray) -> None:
    """Carry a node to where the integrand is: u + C'^-1 x."""
    for i in range(len(u)):
        point[i] = node[i]
    _back(C, point)
    for i in range(len(u)):
        point[i] += u[i]


@inner
def _back(C: np.ndarray, x: np.ndarray) -> None:
    """Solve C'z = x in place, C lower triangular."""
    for i in range(len(x) - 1, -1, -1):
        for k in range(i + 1, len(x)):
            x[i] -= C[k, i] * x[k]
        x[i] /= C[i, i]
