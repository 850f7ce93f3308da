"""Compiled kernels that find each other by name, so that each is compiled once.

numba copies the machine code of every function a compiled function calls into it
and optimises the copy again: a chain of kernels is paid for at each of its links.
So the large ones are C functions, entered under their names in the symbol table
of the process, and others call them through it. Compiled files are kept on disk,
and what is compiled first on a machine is only what a fit needs.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from llvmlite import binding
from numba import njit, types
from numba.extending import get_cython_function_address, intrinsic

from bayesmix.gaussian.kernel_files import compiled_function, is_kept

__all__ = [
    "FLOATS", "INTS", "Kernel", "blas", "called", "f8", "floats_at", "i8", "inlined", "inner",
    "inner_called", "inner_sums", "kernel", "lapack", "pointer", "shifted",
]  # fmt: skip

i8, f8 = types.int64, types.float64
INTS, FLOATS = types.CPointer(i8), types.CPointer(f8)
_C_TYPES: dict[Any, Any] = {
    i8: ctypes.c_int64, f8: ctypes.c_double, INTS: ctypes.c_void_p, FLOATS: ctypes.c_void_p,
    types.void: None,
}  # fmt: skip
_DTYPES: dict[Any, np.dtype] = {INTS: np.dtype(np.int64), FLOATS: np.dtype(np.float64)}

# Within a kernel, data are pointers: numba hands over an array as seven to nine values, counts
# references to it, and asks of every index whether it counts from the end.

# For functions that only kernels call: no way in from Python or C is compiled for them.
# Strict arithmetic is said aloud: otherwise it is inherited from whoever compiles first.
inner = njit(
    nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True,
    fastmath=False,
)  # fmt: skip
# Where a kernel calls it per level: a call would hand over twenty arrays each time.
inlined = njit(
    nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True,
    fastmath=False, forceinline=True,
)  # fmt: skip
# Sums over rows in any order: several at a time. Infinities and NaN keep their meaning.
REORDER = frozenset({"reassoc", "contract", "nsz"})
inner_sums = njit(
    nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True,
    fastmath=set(REORDER),
)  # fmt: skip


def called(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Give a closure a name that tells what it closes over.

    Kernels kept on disk are found and linked by name: two closures of one function that
    numba has numbered alike in different processes would be taken for one another.
    """

    def renamed(function: Callable[..., Any]) -> Any:
        function.__name__ = function.__qualname__ = name
        return function

    return renamed


def inner_called(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a closure as `inner` does, under a name of its own."""
    return lambda function: inner(called(name)(function))


@intrinsic
def shifted(typingctx, pointer, n):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Move a pointer on by n elements."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]  # noqa: ARG001
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, i8), codegen


@intrinsic
def pointer(typingctx, array):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Point to an array's first element, without keeping it alive.

    Only for an array that was handed over: who hands it over holds it till the end.
    """

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def floats_at(typingctx, address):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Point to numbers at an address that is kept as an integer."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return FLOATS(i8), codegen


_LOADING = threading.RLock()  # chains in threads ask for the same kernels


class Kernel:
    """A compiled C function, called from Python with arrays, from kernels by its name.

    Attributes
    ----------
    external : numba ExternalFunction
        What compiled code calls.
    """

    def __init__(
        self, function: Callable[..., Any], result: Any, arguments: tuple[Any, ...],
        needs: Iterable[Kernel], *, reorder: bool = False,
    ) -> None:  # fmt: skip
        self.name = function.__name__
        self.__doc__ = function.__doc__
        self._function = function
        self._signature = result(*arguments)
        self._needs = tuple(needs)
        self._fastmath = set(REORDER) if reorder else False
        self._dtypes = [_DTYPES.get(a) for a in arguments]
        self._compiled: Any = None
        self._call: Any = None
        self.external = types.ExternalFunction(f"bayesmix_{self.name}", self._signature)

    def __repr__(self) -> str:
        """Name and state."""
        return f"<kernel {self.name}, {'loaded' if self._compiled else 'not loaded'}>"

    def load(self) -> Any:
        """Compile the kernel and what it calls, or load them from disk.

        Returns
        -------
        numba CFunc
        """
        with _LOADING:
            return self._load()

    def _load(self) -> Any:
        if self._compiled is None:
            for other in self._needs:
                other.load()
            compiled = compiled_function(
                self._function, self._signature, error_model="numpy", fastmath=self._fastmath
            )
            binding.add_symbol(f"bayesmix_{self.name}", compiled.address)
            prototype = ctypes.CFUNCTYPE(
                _C_TYPES[self._signature.return_type],
                *(_C_TYPES[a] for a in self._signature.args),
            )
            self._call = prototype(compiled.address)
            self._compiled = compiled
        return self._compiled

    def is_compiled(self) -> bool:
        """Whether the kernel is loaded, or kept on disk."""
        return self._compiled is not None or is_kept(self._function, self._signature)

    def __call__(self, *arguments: Any) -> Any:
        """Run the kernel; the global interpreter lock is released meanwhile."""
        if self._compiled is None:
            self.load()
        return self._call(*self._passed(arguments, self._dtypes))

    def bound(self, *first: Any) -> Callable[..., Any]:
        """Return the kernel with its first arguments given, for those who call it many times.

        Their addresses are taken once, and they are held as long as what is returned.
        """
        if self._compiled is None:
            self.load()
        call, others = self._call, self._dtypes[len(first) :]
        given = self._passed(first, self._dtypes[: len(first)])

        def run(*arguments: Any, _held: tuple[Any, ...] = first) -> Any:
            return call(*given, *self._passed(arguments, others))

        return run

    def _passed(self, arguments: tuple[Any, ...], dtypes: list[np.dtype | None]) -> list[Any]:
        """Addresses of arrays, and numbers as they are."""
        passed = []
        for value, dtype in zip(arguments, dtypes, strict=True):
            if dtype is None:
                passed.append(value)
                continue
            if value.dtype != dtype or not value.flags.c_contiguous:
                raise TypeError(
                    f"{self.name} takes contiguous arrays of {dtype}, not {value.dtype} "
                    f"with strides {value.strides}"
                )
            passed.append(_address(value))
        return passed


_one_byte = ctypes.c_char.from_buffer


def _address(array: np.ndarray) -> int:
    """Where an array's numbers are; `array.ctypes` takes as long as a small kernel."""
    try:
        return ctypes.addressof(_one_byte(array))
    except (TypeError, ValueError):  # not to be written, or empty
        return int(array.ctypes.data)


def kernel(
    result: Any, *arguments: Any, needs: Iterable[Kernel] = (), reorder: bool = False
) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a C function of one that takes pointers and numbers.

    Parameters
    ----------
    result : numba type
    *arguments : numba type
        INTS, FLOATS, i8 or f8.
    needs : iterable of Kernel
        Kernels that it calls.
    reorder : bool
        Whether sums may be taken in any order.

    Returns
    -------
    callable
        A decorator, which returns a `Kernel`.
    """
    return lambda function: Kernel(function, result, arguments, needs, reorder=reorder)


def lapack(name: str, *arguments: Any) -> types.ExternalFunction:
    """LAPACK's function of that name, as scipy ships it, for compiled code to call.

    Parameters
    ----------
    name : str
    *arguments : numba type

    Returns
    -------
    numba ExternalFunction
    """
    return _of_scipy("cython_lapack", name, arguments)


def blas(name: str, *arguments: Any) -> types.ExternalFunction:
    """BLAS's function of that name; see `lapack`."""
    return _of_scipy("cython_blas", name, arguments)


def _of_scipy(module: str, name: str, arguments: tuple[Any, ...]) -> types.ExternalFunction:
    symbol = f"bayesmix_{module}_{name}"
    binding.add_symbol(symbol, get_cython_function_address(f"scipy.linalg.{module}", name))
    return types.ExternalFunction(symbol, types.void(*arguments))
