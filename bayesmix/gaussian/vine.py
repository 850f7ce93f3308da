"""Kernels of the C-vine: the Cholesky factor of R from partial correlations, and back.

The entry (i, j), i > j, of the factor is ``z_ij prod_{k<j} sqrt(1 - z_ik^2)``; coordinates
are inverse hyperbolic tangents of the z (`covariance/vine.py` has the inverse).
"""

from __future__ import annotations

import numpy as np

from bayesmix.gaussian.linking import inner

__all__ = ["vine_log_prior", "vine_pull_back", "vine_root"]


@inner
def vine_root(co, block, x, C):  # type: ignore[no-untyped-def]
    """Write a block's rows of C."""
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


@inner
def vine_pull_back(  # type: ignore[no-untyped-def]
    co, block, x, C, E, inverse, priors, jacobian, gradient, start
):
    """Write the gradient in a block's coordinates; return `start` with the prior added.

    `inverse` is that of the factor's C; E is the derivative by T in C -> C (I + T).
    """
    value = start
    f = co.block_factor[block]
    q, at = co.q[f], co.L_start[f]
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
    return value


@inner
def vine_log_prior(co, block, x):  # type: ignore[no-untyped-def]
    """Log density of a block's coordinates, up to a constant."""
    size, position = co.block_size[block], co.block_x[block]
    value = 0.0
    for i in range(1, size):
        for j in range(i):
            power = co.eta[block] + 0.5 * (size - 2 - j)
            value -= 2.0 * power * _log_cosh(x[position + j])
        position += i
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
