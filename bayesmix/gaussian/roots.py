"""Roots of the structures in `covariance/`, called by their addresses.

A structure's two functions are plain Python. Each is compiled once on a machine, to
a C function of its own; what is called is data of a model (`Coordinates.block_fill`), so
that none of the other kernels knows which structures there are.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from bayesmix.covariance.base import NUGGET
from bayesmix.gaussian.dense import small_cholesky
from bayesmix.gaussian.linking import FLOATS, Kernel, i8, inner, kernel, pointer, shifted

if TYPE_CHECKING:
    from bayesmix.covariance import Covariance

__all__ = ["CODES", "VINE", "kernel_addresses", "structure_pull_back", "structure_root"]

VINE, ROOT, CORRELATION, COVARIANCE = range(4)
CODES = {"vine": VINE, "root": ROOT, "correlation": CORRELATION, "covariance": COVARIANCE}
_SHORTEST = 1e-150  # length of a row

# size, values, data, matrix
_FILL = (types.void, i8, FLOATS, FLOATS, FLOATS)
# size, values, data, matrix, derivatives by it, derivatives by the values
_PULL_BACK = (types.void, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS)


@functools.cache
def _kernels(structure: type[Covariance]) -> tuple[Kernel, Kernel]:
    return kernel(*_FILL)(structure.fill), kernel(*_PULL_BACK)(structure.pull_back)


def kernel_addresses(structure: type[Covariance]) -> tuple[int, int]:
    """Addresses of a structure's kernels in this process, compiled if need be; or zeros."""
    if structure.kernels not in {"root", "correlation", "covariance"}:
        return 0, 0
    fill, pull_back = (found.load().address for found in _kernels(structure))
    return fill, pull_back


@intrinsic
def _call_fill(typingctx, address, size, values, data, out):  # type: ignore[no-untyped-def]  # noqa: ARG001
    return types.void(i8, i8, FLOATS, FLOATS, FLOATS), _call(1, 3)


@intrinsic
def _call_pull_back(  # type: ignore[no-untyped-def]
    typingctx, address, size, values, data, matrix, by_matrix, by_values  # noqa: ARG001
):  # fmt: skip
    return types.void(i8, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS), _call(1, 5)


def _call(n_ints, n_pointers):  # type: ignore[no-untyped-def]
    """Code that calls the function at the address that is the first argument."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]  # noqa: ARG001
        double = ir.DoubleType().as_pointer()
        kinds = [ir.IntType(64)] * n_ints + [double] * n_pointers
        function = builder.inttoptr(args[0], ir.FunctionType(ir.VoidType(), kinds).as_pointer())
        builder.call(function, args[1:])
        return context.get_dummy_value()

    return codegen


@inner
def structure_root(co, block, values, own, sd, C):  # type: ignore[no-untyped-def]
    """Write a block's rows of C, from the values of its parameters.

    Where these say how much larger the effects are, their `sd` is changed.
    `own` is room to work in, size x size. C is NaN where R is not positive definite.
    """
    size = co.block_size[block]
    f, first = co.block_factor[block], co.block_first[block]
    q, at = co.q[f], co.L_start[f]
    for i in range(size * size):
        own[i] = 0.0
    matrix = pointer(own)
    _call_fill(
        co.block_fill[block], size, shifted(pointer(values), 3 * co.block_value[block]),
        shifted(co.data, co.block_data[block]), matrix,
    )  # fmt: skip
    positive = True
    if co.block_code[block] == COVARIANCE:
        for i in range(size):
            length = max(np.sqrt(own[i * size + i]), _SHORTEST)
            sd[co.sd_start[f] + first + i] *= length
            for j in range(size):
                own[i * size + j] /= length
                own[j * size + i] /= length
            own[i * size + i] = 1.0
    if co.block_code[block] != ROOT:
        for i in range(size):
            own[i * size + i] += NUGGET
        positive = small_cholesky(matrix, size)
    for i in range(size):
        for j in range(i + 1):
            C[at + (first + i) * q + first + j] = own[i * size + j] if positive else np.nan


@inner
def structure_pull_back(  # type: ignore[no-untyped-def]
    co, block, values, C, E, inverse, matrix, by_matrix, by_values
):
    """Add the derivatives by a block's parameters.

    `inverse` is that of the factor's C; E is the derivative by T in C -> C (I + T). `matrix`
    and `by_matrix` are zero, size x size: the caller holds them, because the structure's
    function would be given their memory again for what it makes itself.
    """
    size = co.block_size[block]
    f, first = co.block_factor[block], co.block_first[block]
    q, at = co.q[f], co.L_start[f]
    own_values = shifted(pointer(values), 3 * co.block_value[block])
    data = shifted(co.data, co.block_data[block])
    if co.block_code[block] == ROOT:
        for i in range(size):
            row = first + i
            for j in range(i + 1):
                matrix[i * size + j] = C[at + row * q + first + j]
                s = 0.0
                for a in range(row, first + size):
                    s += inverse[a * q + row] * E[at + a * q + first + j]
                by_matrix[i * size + j] = s
    else:
        _call_fill(co.block_fill[block], size, own_values, data, pointer(matrix))
        _by_correlation(q, size, first, shifted(E, at), inverse, by_matrix)
        if co.block_code[block] == COVARIANCE:
            for i in range(size):
                length = max(np.sqrt(matrix[i * size + i]), _SHORTEST)
                for j in range(size):
                    by_matrix[i * size + j] /= length
                    by_matrix[j * size + i] /= length
    _call_pull_back(
        co.block_pull[block], size, own_values, data, pointer(matrix), pointer(by_matrix),
        shifted(pointer(by_values), co.block_value[block]),
    )  # fmt: skip


@inner
def _by_correlation(q, size, first, E, inverse, out):  # type: ignore[no-untyped-def]
    """Derivatives by R = C C', of which C is the Cholesky factor: symmetric.

    C^-T P C^-1 made symmetric, where P is the lower triangle of E with half its diagonal
    (Murray 2016, arXiv:1602.07527, equation 10).
    """
    half = np.zeros(size * size)  # P C^-1
    for i in range(size):
        for j in range(i + 1):
            s = 0.0
            for k in range(j, i + 1):
                e = E[(first + i) * q + first + k]
                s += (0.5 * e if k == i else e) * inverse[(first + k) * q + first + j]
            half[i * size + j] = s
    for i in range(size):
        for j in range(size):
            s = 0.0
            for k in range(max(i, j), size):
                s += inverse[(first + k) * q + first + i] * half[k * size + j]
            out[i * size + j] += 0.5 * s
            out[j * size + i] += 0.5 * s
