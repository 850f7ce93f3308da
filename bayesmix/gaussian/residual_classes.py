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

    A class is one of the structure's (its kind) between rows of two strata. The products of
    all classes are kept where these are few; where they are many, as between times that
    are all different, the pairs of rows are, and each evaluation passes over them.

    Attributes
    ----------
    sizes : ndarray of int64
        Number of classes, of parameters, of products, of coefficients of the rows' scale
        (the first parameters), of kinds, of strata, of patterns, of pairs that are kept, and
        whether there are known variances.
    numbers : ndarray of int64
    table : ndarray
        The structure's constants.
    kind, first, second : ndarray of int64, shape (K,)
        Kind of each class, and strata of its rows.
    count : ndarray of int64, shape (n_strata,)
        Number of rows.
    pattern_size, pattern_count : ndarray of int64, shape (n_patterns,)
        Size of each correlation matrix, and number of its series.
    products : ndarray, shape (K, number of products)
        Each row laid out like the floats of `Equations`; none where pairs are kept.
    scale_X : ndarray, shape (n_strata, n_beta)
    scale_offset : ndarray, shape (n_strata,)
    known : ndarray, shape (K,) or (0,)
        Known variance that each class, the entry of one inverse, has beside; each is then a
        kind of its own.
    pair_class : ndarray of int64, shape (m,)
    pair_value : ndarray, shape (m,)
    pair_index, pair_index_2 : ndarray of int64, shape (n_factors, m)
    pair_X, pair_y, pair_Z, pair_X_2, pair_y_2, pair_Z_2 : ndarray
        Working columns of the pairs' rows, as `add_pairs` takes them.
    structure : Residual
    """

    _INTS = (
        "sizes", "numbers", "kind", "first", "second", "count", "pattern_size", "pattern_count",
        "pair_class", "pair_index", "pair_index_2",
    )  # fmt: skip
    _FLOATS = (
        "table", "products", "scale_X", "scale_offset", "pair_value", "pair_X", "pair_y", "pair_Z",
        "pair_X_2", "pair_y_2", "pair_Z_2", "known",
    )  # fmt: skip
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
    kind: Any
    first: Any
    second: Any
    count: Any
    pattern_size: Any
    pattern_count: Any
    pair_class: Any
    pair_index: Any
    pair_index_2: Any
    table: Any
    products: Any
    scale_X: Any  # noqa: N815
    scale_offset: Any
    pair_value: Any
    pair_X: Any  # noqa: N815
    pair_y: Any
    pair_Z: Any  # noqa: N815
    pair_X_2: Any  # noqa: N815
    pair_y_2: Any
    pair_Z_2: Any  # noqa: N815
    known: Any


_I = HEADER
_F = HEADER + len(ResidualClasses._INTS) + 1
_SIGNATURE = types.void(INTS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS)


@inlined
def classes_at(a, b):  # type: ignore[no-untyped-def]
    """Return the arrays of `ResidualClasses`, from the addresses of its buffers."""
    return Classes(
        shifted(a, a[_I]), shifted(a, a[_I + 1]), shifted(a, a[_I + 2]), shifted(a, a[_I + 3]),
        shifted(a, a[_I + 4]), shifted(a, a[_I + 5]), shifted(a, a[_I + 6]), shifted(a, a[_I + 7]),
        shifted(a, a[_I + 8]), shifted(a, a[_I + 9]), shifted(a, a[_I + 10]), shifted(b, a[_F]),
        shifted(b, a[_F + 1]), shifted(b, a[_F + 2]), shifted(b, a[_F + 3]), shifted(b, a[_F + 4]),
        shifted(b, a[_F + 5]), shifted(b, a[_F + 6]), shifted(b, a[_F + 7]), shifted(b, a[_F + 8]),
        shifted(b, a[_F + 9]), shifted(b, a[_F + 10]), shifted(b, a[_F + 11]),
    )  # fmt: skip


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
