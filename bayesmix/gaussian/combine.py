"""The equations at given parameters of the residual structure: the classes' sum."""

from __future__ import annotations

import numpy as np
from numba import types

from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.dense import small_cholesky
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.linking import FLOATS, INTS, i8, inner, kernel, pointer, shifted
from bayesmix.gaussian.pairwise import sum_pairs
from bayesmix.gaussian.residual_classes import call_coefficients, classes_at
from bayesmix.gaussian.residual_coordinates import parameter_at, phi_at

__all__ = ["add_up", "combine", "equations_for", "separate_theta"]

_sum_pairs = sum_pairs.external


@kernel(
    types.void, INTS, INTS, FLOATS, i8, INTS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
    needs=(sum_pairs,),
)  # fmt: skip
def combine(  # type: ignore[no-untyped-def]
    eq_ints, class_ints, class_floats, address, phi_ints, phi_floats, x, c, by_x, log_det, products
):
    """Add up the products at the coordinates x of phi.

    Parameters
    ----------
    eq_ints : ndarray
        The integers of `Equations`.
    class_ints, class_floats, phi_ints, phi_floats : ndarray
        The arrays of `ResidualClasses` and of `ResidualCoordinates`.
    address : int
        Address of the compiled coefficients.
    x : ndarray, shape (n_phi,)
    c : ndarray, shape (K,)
        Receives the coefficients.
    by_x : ndarray, shape (K, n_phi)
        Receives their derivatives.
    log_det : ndarray, shape (1 + n_phi,)
        Receives the log determinant of the sum of the M_k, then its derivatives.
    products : ndarray
        Receives the sum, laid out like the floats of `Equations`.
    """
    classes, co = classes_at(class_ints, class_floats), phi_at(phi_ints, phi_floats)
    K, n_phi, n_beta = classes.sizes[0], classes.sizes[1], classes.sizes[3]
    n_kinds, n_strata, n_patterns = classes.sizes[4], classes.sizes[5], classes.sizes[6]
    n = n_phi - n_beta
    phi, slope, four = np.empty(n + 1), np.empty(n + 1), np.empty(4)
    for j in range(n):
        at = n_beta + j
        parameter_at(co.support[at], co.lower[at], co.upper[at], x[at], four)
        phi[j], slope[j] = four[0], four[1]
    own, by_own, own_det = np.empty(n_kinds), np.empty(n_kinds * n + 1), np.zeros(1 + n)
    call_coefficients(
        address, classes.numbers, classes.table, phi.ctypes, own.ctypes, by_own.ctypes,
        own_det.ctypes,
    )  # fmt: skip
    phi[n] = 0.0  # held till here: a function that makes arrays would be given its memory again
    scale = np.empty(n_strata)
    for s in range(n_strata):
        scale[s] = classes.scale_offset[s]
        for j in range(n_beta):
            scale[s] += classes.scale_X[s * n_beta + j] * x[j]
    if classes.sizes[8] > 0:
        _beside_known(classes, scale, slope, own, by_own, c, by_x)
        whole_det = np.zeros(1 + n_phi)
        _invert(classes, n_patterns, n_phi, c, by_x, whole_det)
        for j in range(1 + n_phi):
            log_det[j] = whole_det[j]
        _add_all(eq_ints, class_ints, class_floats, classes, c, products)
        return
    if n_patterns > 0:
        _invert(classes, n_patterns, n, own, by_own, own_det)
    log_det[0] = own_det[0]
    for j in range(n):
        log_det[1 + n_beta + j] = own_det[1 + j] * slope[j]
    for j in range(n_beta):
        log_det[1 + j] = 0.0
    for s in range(n_strata):
        for j in range(n_beta):
            log_det[1 + j] -= 2.0 * classes.count[s] * classes.scale_X[s * n_beta + j]
        log_det[0] -= 2.0 * classes.count[s] * scale[s]
    for k in range(K):
        kind, weight = classes.kind[k], 1.0
        if n_strata > 0:
            s, t = classes.first[k], classes.second[k]
            weight = np.exp(-scale[s] - scale[t])
            for j in range(n_beta):
                both = classes.scale_X[s * n_beta + j] + classes.scale_X[t * n_beta + j]
                by_x[k * n_phi + j] = -both * weight * own[kind]
        c[k] = weight * own[kind]
        for j in range(n):
            by_x[k * n_phi + n_beta + j] = weight * by_own[kind * n + j] * slope[j]
    _add_all(eq_ints, class_ints, class_floats, classes, c, products)


@inner
def _add_all(eq_ints, class_ints, class_floats, classes, c, products):  # type: ignore[no-untyped-def]
    """Sum of the classes' products, or of those of all pairs where these are kept."""
    K, size = classes.sizes[0], classes.sizes[2]
    if classes.sizes[7] > 0:
        _sum_pairs(eq_ints, class_ints, class_floats, c, products)
        return
    for i in range(size):
        products[i] = 0.0
    for k in range(K):
        part = shifted(classes.products, k * size)
        for i in range(size):
            products[i] += c[k] * part[i]


@inner
def _beside_known(classes, scale, slope, own, by_own, c, by_x):  # type: ignore[no-untyped-def]
    """Entries of the covariance matrices S C S + diag(se^2), with their derivatives."""
    n_phi, n_beta = classes.sizes[1], classes.sizes[3]
    n = n_phi - n_beta
    for k in range(classes.sizes[0]):
        s, t = classes.first[k], classes.second[k]
        entry, weight = own[k], np.exp(scale[s] + scale[t])
        for j in range(n_beta):
            both = classes.scale_X[s * n_beta + j] + classes.scale_X[t * n_beta + j]
            by_x[k * n_phi + j] = both * weight * entry
        for j in range(n):
            by_x[k * n_phi + n_beta + j] = weight * by_own[k * n + j] * slope[j]
        c[k] = weight * entry + classes.known[k]


@inner
def _invert(classes, n_patterns, n, own, by_own, log_det):  # type: ignore[no-untyped-def]
    """Put entries of the inverses in the place of those of correlation matrices.

    The log determinant is NaN where a matrix is not positive definite.
    """
    start = 0
    for pattern in range(n_patterns):
        m, count = classes.pattern_size[pattern], classes.pattern_count[pattern]
        C, P = np.empty((m, m)), np.zeros((m, m))
        for a in range(m):
            for b in range(a + 1):
                C[a, b] = own[start + a * (a + 1) // 2 + b]
        if not small_cholesky(pointer(C), m):
            log_det[0] = np.nan
            return
        for a in range(m):
            log_det[0] -= 2.0 * count * np.log(C[a, a])
        # P = C^-T C^-1, from the inverse of the factor in its place.
        for j in range(m):
            C[j, j] = 1.0 / C[j, j]
            for i in range(j + 1, m):
                s = 0.0
                for k in range(j, i):
                    s += C[i, k] * C[k, j]
                C[i, j] = -s / C[i, i]
        for a in range(m):
            for b in range(a + 1):
                s = 0.0
                for k in range(a, m):
                    s += C[k, a] * C[k, b]
                P[a, b], P[b, a] = s, s
                own[start + a * (a + 1) // 2 + b] = s
        half = np.empty((m, m))
        for j in range(n):
            trace = 0.0
            for a in range(m):
                for b in range(m):
                    s = 0.0
                    for k in range(m):
                        high, low = max(k, b), min(k, b)
                        s += P[a, k] * by_own[(start + high * (high + 1) // 2 + low) * n + j]
                    half[a, b] = s
                trace += half[a, a]
            log_det[1 + j] -= count * trace
            for a in range(m):
                for b in range(a + 1):
                    s = 0.0
                    for k in range(m):
                        s += half[a, k] * P[k, b]
                    C[a, b] = -s
            for a in range(m):
                for b in range(a + 1):
                    by_own[(start + a * (a + 1) // 2 + b) * n + j] = C[a, b]
        start += m * (m + 1) // 2


def separate_theta(co: Coordinates, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Divide coordinates into those of theta and those of phi.

    Parameters
    ----------
    co : Coordinates
    x : ndarray, shape (..., n_x)

    Returns
    -------
    ndarray, shape (..., d)
    ndarray, shape (..., n_phi)
    """
    d = int(co.sizes[0])
    return np.ascontiguousarray(x[..., :d]), np.ascontiguousarray(x[..., d:])


def equations_for(eq: Equations, co: Coordinates, x: np.ndarray) -> Equations:
    """Return the equations at one vector of coordinates; the same where there is no phi.

    Parameters
    ----------
    eq : Equations
    co : Coordinates
    x : ndarray, shape (n_x,)

    Returns
    -------
    Equations
    """
    if eq.classes is None or co.phi is None:
        return eq
    out = eq.empty_like()
    add_up(eq, co, x, out)
    return out


def add_up(eq: Equations, co: Coordinates, x: np.ndarray, out: Equations) -> None:
    """Write the products at one vector of coordinates into equations of the same layout."""
    classes, phi = eq.classes, co.phi
    assert classes is not None and phi is not None  # noqa: S101, PT018
    K, n_phi, _ = (int(n) for n in classes.sizes[:3])
    combine(
        eq.ints, classes.ints, classes.floats, classes.address(), phi.ints, phi.floats,
        separate_theta(co, x)[1], np.empty(K), np.empty(K * n_phi), np.empty(1 + n_phi),
        out.floats,
    )  # fmt: skip
