"""Unconstrained coordinates of theta, their priors, and the chain rule back to them.

Coordinates are log standard deviations (a scaled logit under a uniform prior)
and inverse hyperbolic tangents of canonical partial correlations. In the C-vine
of Lewandowski, Kurowicka and Joe (2009) the entry (i, j), i > j, of the Cholesky
factor of R is ``z_ij prod_{k<j} sqrt(1 - z_ik^2)``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from bayesmix.gaussian.dense import invert_lower
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inlined, inner, kernel, pointer, shifted
from bayesmix.gaussian.packing import HEADER, Packed
from bayesmix.gaussian.residual_coordinates import ResidualCoordinates

__all__ = [
    "EXPONENTIAL", "GAMMA", "HALF_CAUCHY", "HALF_FLAT", "HALF_NORMAL", "HALF_STUDENT_T",
    "INVERSE_GAMMA", "LOG_NORMAL", "UNIFORM", "Coordinates", "Factors", "chain_rule", "expand",
    "factors_at", "scale_prior", "theta_at", "unpack_theta",
]  # fmt: skip

(
    HALF_FLAT, HALF_NORMAL, HALF_CAUCHY, HALF_STUDENT_T, EXPONENTIAL, GAMMA, LOG_NORMAL,
    INVERSE_GAMMA, UNIFORM,
) = range(9)  # fmt: skip


class Coordinates(Packed):
    """How a vector of coordinates divides, with the priors of what it stands for.

    Attributes
    ----------
    sizes : ndarray of int64
        Number of coordinates, of standard deviations, of correlated blocks, and
        1 if the residual standard deviation is estimated (the last coordinate).
    sd_start : ndarray of int64, shape (n_factors,)
        First standard deviation of each factor; they are the first coordinates.
    q, L_start : ndarray of int64, shape (n_factors,)
    block_factor, block_first, block_size, block_x : ndarray of int64
        For each correlated block, the factor, the first effect, the size, and the
        first coordinate of its partial correlations (row by row).
    eta : ndarray, shape (n_blocks,)
        Shape of each block's LKJ prior.
    prior_kind : ndarray of int64, shape (n_sd + 1,)
        Code of the prior of each standard deviation, the residual's last.
    prior_a, prior_b : ndarray, shape (n_sd + 1,)
        Their parameters.
    T : ndarray
        Each factor's q x q change to working columns, in units of the working
        response, flat like L.
    unit : ndarray, shape (1,)
        Unit of the working response.
    phi : ResidualCoordinates or None
        Further coordinates, behind all these: the residual structure's.
    """

    _INTS = (
        "sizes", "sd_start", "q", "L_start", "block_factor", "block_first", "block_size",
        "block_x", "prior_kind",
    )  # fmt: skip
    _FLOATS = ("eta", "prior_a", "prior_b", "T", "unit")
    _BESIDE = ("phi",)

    phi: ResidualCoordinates | None = None
    sizes: np.ndarray
    sd_start: np.ndarray
    q: np.ndarray
    L_start: np.ndarray
    block_factor: np.ndarray
    block_first: np.ndarray
    block_size: np.ndarray
    block_x: np.ndarray
    prior_kind: np.ndarray
    eta: np.ndarray
    prior_a: np.ndarray
    prior_b: np.ndarray
    T: np.ndarray
    unit: np.ndarray

    @property
    def n_x(self) -> int:
        """Number of coordinates."""
        return int(self.sizes[0])

    @property
    def n_sd(self) -> int:
        """Number of standard deviations of effects."""
        return int(self.sizes[1])

    @property
    def n_blocks(self) -> int:
        """Number of correlated blocks."""
        return int(self.sizes[2])

    @property
    def n_sigma(self) -> int:
        """1 if the residual standard deviation is estimated, the last coordinate; else 0."""
        return int(self.sizes[3])


class Theta(NamedTuple):
    """The same arrays within a kernel, as pointers; the number of factors; the length of L."""

    sizes: Any
    sd_start: Any
    q: Any
    L_start: Any
    block_factor: Any
    block_first: Any
    block_size: Any
    block_x: Any
    prior_kind: Any
    eta: Any
    prior_a: Any
    prior_b: Any
    T: Any
    unit: Any
    n_factors: Any
    L_size: Any


_I = HEADER  # where the offsets of the integer arrays start
_F = HEADER + len(Coordinates._INTS) + 1


@inlined
def theta_at(a, b):  # type: ignore[no-untyped-def]
    """Return the arrays of `Coordinates`, from the addresses of its buffers."""
    return Theta(
        shifted(a, a[_I]), shifted(a, a[_I + 1]), shifted(a, a[_I + 2]), shifted(a, a[_I + 3]),
        shifted(a, a[_I + 4]), shifted(a, a[_I + 5]), shifted(a, a[_I + 6]),
        shifted(a, a[_I + 7]), shifted(a, a[_I + 8]),
        shifted(b, a[_F]), shifted(b, a[_F + 1]), shifted(b, a[_F + 2]), shifted(b, a[_F + 3]),
        shifted(b, a[_F + 4]),
        a[_I + 3] - a[_I + 2], a[_F + 4] - a[_F + 3],
    )  # fmt: skip


def unpack_theta(co: Coordinates, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations and Cholesky factors of the correlation matrices.

    Parameters
    ----------
    co : Coordinates
    x : ndarray, shape (n_x,) or (S, n_x)

    Returns
    -------
    sd : ndarray, shape (n_sd + 1,) or (S, n_sd + 1)
        The residual's last (1 if it is known).
    C : ndarray, shape (n_L,) or (S, n_L)
        A q x q matrix for each factor, flat.
    """
    X = np.ascontiguousarray(x)
    n = 1 if X.ndim == 1 else len(X)
    sd, C = np.empty((n, co.n_sd + 1)), np.empty((n, len(co.T)))
    expand(co.ints, co.floats, n, X, sd, C, np.empty(len(co.T)), np.empty(len(co.T)))
    return (sd[0], C[0]) if X.ndim == 1 else (sd, C)


class Factors(NamedTuple):
    """What one vector of coordinates stands for, as kernels take it.

    Attributes
    ----------
    sd : ndarray, shape (n_sd + 1,)
        The residual's last (1 if it is known).
    C, L, Q : ndarray, shape (n_L,)
        A q x q matrix for each factor, flat: the Cholesky factor of its correlation
        matrix, the triangular L with b = L u, and the rotation that made it so.
    """

    sd: np.ndarray
    C: np.ndarray
    L: np.ndarray
    Q: np.ndarray


def factors_at(co: Coordinates, x: np.ndarray) -> Factors:
    """Standard deviations and factors at one vector of coordinates.

    Parameters
    ----------
    co : Coordinates
    x : ndarray
        Whose first `n_x` elements are the coordinates.

    Returns
    -------
    Factors
    """
    n_L = len(co.T)
    out = Factors(
        np.empty(co.n_sd + 1), np.empty(n_L), np.empty(n_L), np.empty(n_L)
    )  # fmt: skip
    expand(co.ints, co.floats, 1, np.ascontiguousarray(x[: co.n_x]), *out)
    return out


@inner
def scale_prior(kind: int, a: float, b: float, s: float, out: np.ndarray) -> None:
    """Log density of a standard deviation, up to a constant, and s times its derivative."""
    if kind == HALF_NORMAL:
        z = s / a
        out[0], out[1] = -0.5 * z * z, -z * z
    elif kind == HALF_CAUCHY:
        z = (s / a) * (s / a)
        out[0], out[1] = -np.log1p(z), -2.0 * z / (1.0 + z)
    elif kind == HALF_STUDENT_T:
        z = (s / b) * (s / b) / a
        out[0], out[1] = -0.5 * (a + 1.0) * np.log1p(z), -(a + 1.0) * z / (1.0 + z)
    elif kind == EXPONENTIAL:
        out[0], out[1] = -a * s, -a * s
    elif kind == GAMMA:
        out[0], out[1] = (a - 1.0) * np.log(s) - b * s, a - 1.0 - b * s
    elif kind == LOG_NORMAL:
        z = (np.log(s) - a) / b
        out[0], out[1] = -0.5 * z * z - np.log(s), -z / b - 1.0
    elif kind == INVERSE_GAMMA:
        out[0], out[1] = -(a + 1.0) * np.log(s) - b / s, -(a + 1.0) + b / s
    else:
        out[0], out[1] = 0.0, 0.0


@inner
def _scale_at(kind: int, a: float, b: float, x: float, out: np.ndarray) -> None:
    """Standard deviation at x, d log s / dx, log |ds/dx|, and its derivative."""
    if kind == UNIFORM:
        if x >= 0:
            e = np.exp(-x)
            unit, rest = 1.0 / (1.0 + e), e / (1.0 + e)
        else:
            e = np.exp(x)
            unit, rest = e / (1.0 + e), 1.0 / (1.0 + e)
        s = a + (b - a) * unit
        slope = (b - a) * unit * rest
        out[0], out[1] = s, slope / s
        out[2], out[3] = np.log(slope), rest - unit
    else:
        s = np.exp(x)
        out[0], out[1], out[2], out[3] = s, 1.0, x, 1.0


@kernel(types.void, INTS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS)
def expand(co_ints, co_floats, n, X, sd, C, L, Q):  # type: ignore[no-untyped-def]
    """Standard deviations, Cholesky factors of R, and working L of each factor.

    Parameters
    ----------
    co_ints, co_floats : ndarray
        The arrays of `Coordinates`.
    n : int
    X : ndarray, shape (n, n_x)
        Coordinates of n thetas.
    sd : ndarray, shape (n, n_sd + 1)
        Receives the standard deviations, the residual's last (1 if it is known).
    C : ndarray, shape (n, n_L)
        Receives the Cholesky factors of the correlation matrices.
    L, Q : ndarray
        Receive, for the last theta, T diag(sd) C made lower triangular, and the
        rotations that do so: T diag(sd) C = L Q.
    """
    co = theta_at(co_ints, co_floats)
    for s in range(n):
        _expand(
            co, shifted(X, s * co.sizes[0]), shifted(sd, s * (co.sizes[1] + 1)),
            shifted(C, s * co.L_size), L,
        )  # fmt: skip
    _make_triangular(co, L, Q)


@inner
def _expand(co, x, sd, C, L):  # type: ignore[no-untyped-def]
    four = np.empty(4)
    n_sd = co.sizes[1]
    for k in range(n_sd):
        _scale_at(co.prior_kind[k], co.prior_a[k], co.prior_b[k], x[k], four)
        sd[k] = four[0]
    sd[n_sd] = 1.0
    if co.sizes[3] == 1:
        last = co.sizes[0] - 1
        _scale_at(co.prior_kind[n_sd], co.prior_a[n_sd], co.prior_b[n_sd], x[last], four)
        sd[n_sd] = four[0]
    for i in range(co.L_size):
        C[i] = 0.0
    for f in range(co.n_factors):
        for i in range(co.q[f]):
            C[co.L_start[f] + i * co.q[f] + i] = 1.0
    for block in range(co.sizes[2]):
        f, first, size = co.block_factor[block], co.block_first[block], co.block_size[block]
        q, at, position = co.q[f], co.L_start[f], co.block_x[block]
        for i in range(1, size):
            left = 1.0
            for j in range(i):
                z = np.tanh(x[position])
                C[at + (first + i) * q + first + j] = z * left
                # sqrt(1 - tanh^2) without cancellation
                left /= np.cosh(x[position])
                position += 1
            C[at + (first + i) * q + first + i] = left
    for f in range(co.n_factors):
        q, at = co.q[f], co.L_start[f]
        for i in range(q):
            for j in range(q):
                s = 0.0
                for k in range(q):
                    s += co.T[at + i * q + k] * sd[co.sd_start[f] + k] * C[at + k * q + j]
                L[at + i * q + j] = s


@inner
def _make_triangular(co, L, Q):  # type: ignore[no-untyped-def]
    """Replace each L by the lower triangle of L = L_new Q, with Q orthogonal.

    An intercept far outside the data makes the columns of L nearly parallel, and
    the equations would lose the digits that tell them apart. In u_new = Q u they
    are not.
    """
    for f in range(co.n_factors):
        q, at = co.q[f], co.L_start[f]
        for i in range(q):
            row = at + i * q
            for c in range(q):
                Q[row + c] = L[row + c]
                L[row + c] = 0.0
            for _ in range(2):  # orthogonalised twice, so that Q is exact to rounding
                for j in range(i):
                    s = 0.0
                    for c in range(q):
                        s += Q[row + c] * Q[at + j * q + c]
                    L[row + j] += s
                    for c in range(q):
                        Q[row + c] -= s * Q[at + j * q + c]
            length = 0.0
            for c in range(q):
                length += Q[row + c] * Q[row + c]
            length = np.sqrt(length)
            L[row + i] = length
            if length > 0.0:
                for c in range(q):
                    Q[row + c] /= length


@inner
def _rotate_back(co, E, Q):  # type: ignore[no-untyped-def]
    """Bring moments of Q u back to those of u: Q' E Q, in place."""
    for f in range(co.n_factors):
        q, at = co.q[f], co.L_start[f]
        half = np.empty((q, q))
        for i in range(q):
            for j in range(q):
                s = 0.0
                for k in range(q):
                    s += E[at + i * q + k] * Q[at + k * q + j]
                half[i, j] = s
        for i in range(q):
            for j in range(q):
                s = 0.0
                for k in range(q):
                    s += Q[at + k * q + i] * half[k, j]
                E[at + i * q + j] = s


@kernel(f8, INTS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, f8, i8, i8, FLOATS)
def chain_rule(  # type: ignore[no-untyped-def]
    co_ints, co_floats, x, sd, C, Q, E, by_log_sigma, priors, jacobian, gradient
):
    """Gradient in the coordinates, and the priors' part of the log density.

    Parameters
    ----------
    co_ints, co_floats : ndarray
        The arrays of `Coordinates`.
    x, sd, C, Q : ndarray
        As `expand` takes and makes them, of one theta.
    E : ndarray
        Like L: for each factor the derivative by T in L -> L (I + T), which is
        the sum over levels of E[u u'] minus the number of levels. Overwritten.
    by_log_sigma : float
        Derivative by the log residual standard deviation.
    priors : int
        Whether priors are added to value and gradient.
    jacobian : int
        Whether the density is that of x, or of (sd, R, sigma) at x.
    gradient : ndarray
        Receives the gradient.

    Returns
    -------
    float
        Log density of the priors, with the log Jacobian if asked for; 0 without.
    """
    co = theta_at(co_ints, co_floats)
    _rotate_back(co, E, Q)
    q_max = 1
    for f in range(co.n_factors):
        q_max = max(q_max, co.q[f])
    return _chain_rule(
        co, x, sd, C, E, by_log_sigma, priors != 0, jacobian != 0, gradient, np.empty(q_max * q_max)
    )


@inner
def _chain_rule(  # type: ignore[no-untyped-def]
    co, x, sd, C, E, by_log_sigma, priors, jacobian, gradient, inverse
):
    n_sd = co.sizes[1]
    inverse = pointer(inverse)
    value = 0.0
    two, four = np.empty(2), np.empty(4)
    for f in range(co.n_factors):
        q, at = co.q[f], co.L_start[f]
        invert_lower(shifted(C, at), q, q, inverse)
        # By log sd_k: (C E' C^-1)_kk. By C_ij: (C^-T E)_ij.
        for k in range(q):
            s = 0.0
            for a in range(k + 1):
                t = 0.0
                for b in range(k, q):
                    t += E[at + b * q + a] * inverse[b * q + k]
                s += C[at + k * q + a] * t
            gradient[co.sd_start[f] + k] = s
        for block in range(co.sizes[2]):
            if co.block_factor[block] != f:
                continue
            first, size, position = co.block_first[block], co.block_size[block], co.block_x[block]
            eta = co.eta[block]
            for i in range(1, size):
                row = first + i
                # Derivatives by this row of C, then by its partial correlations.
                by = np.empty(i + 1)
                for j in range(i + 1):
                    s = 0.0
                    for a in range(row, q):
                        s += inverse[a * q + row] * E[at + a * q + first + j]
                    by[j] = s
                tail = by[i] * C[at + row * q + row]
                for j in range(i - 1, -1, -1):
                    z = np.tanh(x[position + j])
                    entry = C[at + row * q + first + j]
                    sech2 = 1.0 / np.cosh(x[position + j]) ** 2
                    # d C_ij / dx = C_ij (1 - z^2) / z, and each later entry times -z.
                    left = entry / z if abs(z) > 1e-8 else _left(x, position, j)
                    gradient[position + j] = by[j] * left * sech2 - z * tail
                    tail += by[j] * entry
                    if priors:
                        power = eta - 1.0
                        if jacobian:
                            power = eta + 0.5 * (size - 2 - j)
                        value -= 2.0 * power * _log_cosh(x[position + j])
                        gradient[position + j] -= 2.0 * power * z
                position += i
    for k in range(n_sd + co.sizes[3]):
        at_x = k if k < n_sd else co.sizes[0] - 1
        if k == n_sd:
            gradient[at_x] = by_log_sigma
        kind, a, b = co.prior_kind[k], co.prior_a[k], co.prior_b[k]
        _scale_at(kind, a, b, x[at_x], four)
        by_log = gradient[at_x]
        if priors:
            scale_prior(kind, a, b, sd[k], two)
            value += two[0]
            by_log += two[1]
        gradient[at_x] = by_log * four[1]
        if priors and jacobian:
            value += four[2]
            gradient[at_x] += four[3]
    return value


@inner
def _left(x, position, j):  # type: ignore[no-untyped-def]
    left = 1.0
    for k in range(j):
        left /= np.cosh(x[position + k])
    return left


@inner
def _log_cosh(x: float) -> float:
    a = abs(x)
    return a + np.log1p(np.exp(-2.0 * a)) - np.log(2.0)
