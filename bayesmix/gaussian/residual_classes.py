"""Cross-products by class of pairs of rows.

The products of a model are linear in those of its classes, so the equations at phi are
sum_k c_k(phi) E_k, and the expectation of r' M_k r given y is a sum over the products of
class k: of the same numbers, the derivative of r' M r by each product, for every class.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from bayesmix.gaussian.kernel_files import compiled_function
from bayesmix.gaussian.linking import FLOATS, INTS, inlined, shifted
from bayesmix.gaussian.packing import HEADER, Packed
from bayesmix.residual import Residual

__all__ = ["ResidualClasses", "call_coefficients", "classes_at"]


class ResidualClasses(Packed):
    """The products of each class, and what its coefficient is made of.

    Attributes
    ----------
    sizes : ndarray of int64
        Number of classes, of parameters, of products.
    numbers : ndarray of int64
    table : ndarray
        The structure's constants.
    products : ndarray, shape (K, number of products)
        Each row laid out like the floats of `Equations`.
    structure : Residual
    """

    _INTS = ("sizes", "numbers")
    _FLOATS = ("table", "products")
    _BESIDE = ("structure",)

    structure: Residual
    sizes: np.ndarray
    numbers: np.ndarray
    table: np.ndarray
    products: np.ndarray

    def address(self) -> int:
        """Return the address of the compiled coefficients."""
        address: int = _compiled(type(self.structure).coefficients).address
        return address


class Classes(NamedTuple):
    """The same arrays within a kernel, as pointers."""

    sizes: Any
    numbers: Any
    table: Any
    products: Any


_I = HEADER
_F = HEADER + len(ResidualClasses._INTS) + 1
_SIGNATURE = types.void(INTS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS)


@inlined
def classes_at(a, b):  # type: ignore[no-untyped-def]
    """Return the arrays of `ResidualClasses`, from the addresses of its buffers."""
    return Classes(
        shifted(a, a[_I]), shifted(a, a[_I + 1]), shifted(b, a[_F]), shifted(b, a[_F + 1])
    )


@functools.cache
def _compiled(coefficients: Callable[..., None]) -> Any:
    return compiled_function(coefficients, _SIGNATURE, error_model="numpy")


@intrinsic
def call_coefficients(  # type: ignore[no-untyped-def]
    typingctx, address, numbers, table, phi, c, by_phi, log_det
):
    """Call the coefficients at an address: what is called is data, nothing is compiled anew."""
    signature = types.void(types.int64, *_SIGNATURE.args)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        double, long = ir.DoubleType().as_pointer(), ir.IntType(64).as_pointer()
        kinds = [long, double, double, double, double, double]
        function = builder.inttoptr(args[0], ir.FunctionType(ir.VoidType(), kinds).as_pointer())
        builder.call(function, args[1:])
        return context.get_dummy_value()

    return signature, codegen
