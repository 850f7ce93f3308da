"""The one signature of the row kernels, and the list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from bayesmix.gaussian.linking import FLOATS, Kernel, f8, i8, kernel

__all__ = [
    "ROW_KERNELS", "SIGNATURE", "Constant", "RowKernel", "call_rows", "constant", "row_kernel",
]  # fmt: skip

# link, n, y, trials, eta, family parameters, order, values, first, second, by parameters.
# Order 0: the sum alone; 1: also first derivatives and those by the parameters;
# 2: also second derivatives and each row's value.
SIGNATURE = (f8, i8, i8, FLOATS, FLOATS, FLOATS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS)

Constant = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class RowKernel:
    """The rows of the families that name it as their `row_kernel`.

    Attributes
    ----------
    kernel : Kernel
    constant : callable or None
        What the kernel leaves out of each row's log density, of y and trials.
    fast_link : int
        Code of the link with which it takes several rows at a time where first
        derivatives are wanted; -1 for none.
    adds : bool
        Whether rows with the same linear predictor are one with the sums of their responses
        and of their trials.
    """

    kernel: Kernel
    constant: Constant | None
    fast_link: int
    adds: bool = False


ROW_KERNELS: dict[str, RowKernel] = {}


def row_kernel(
    name: str, constant: Constant | None = None, fast_link: int = -1, *, adds: bool = False
) -> Callable[[Callable[..., Any]], Kernel]:
    """Register a kernel by the name that families give; its function's name is the symbol."""

    def register(function: Callable[..., Any]) -> Kernel:
        made = kernel(*SIGNATURE, reorder=True)(function)
        ROW_KERNELS[name] = RowKernel(made, constant, fast_link, adds)
        return made

    return register


@intrinsic
def call_rows(  # type: ignore[no-untyped-def]
    typingctx, address, link, n, y, trials, eta, phi, order, value, first, second, by_phi
):
    """Call the row kernel at an address: what is called is data, nothing is compiled anew."""
    signature = f8(types.int64, *SIGNATURE[1:])

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        double, pointer = ir.DoubleType(), ir.DoubleType().as_pointer()
        long = ir.IntType(64)
        kinds = [long, long, pointer, pointer, pointer, pointer, long, pointer, pointer, pointer,
                 pointer]  # fmt: skip
        function = builder.inttoptr(args[0], ir.FunctionType(double, kinds).as_pointer())
        return builder.call(function, args[1:])

    return signature, codegen


def constant(name: str, y: np.ndarray, rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return what the kernels leave out of each row's log density.

    Parameters
    ----------
    name : str
        A family's `row_kernel`.
    y : ndarray, shape (n,)
    rows : mapping of str to ndarray
        What is given per row.

    Returns
    -------
    ndarray, shape (n,)
    """
    made = ROW_KERNELS[name].constant
    if made is None:
        return np.zeros(len(y))
    seen = np.asarray(rows.get("status", 0.0)) == 0
    exponent = np.asarray(rows.get("exponent", 1.0))
    return np.where(seen, exponent, 0.0) * made(y, rows.get("trials", np.ones(len(y))))
