"""A compiled log density, handed to nutpie as a C function.

Calling Python costs the sampler 15 to 37 microseconds a gradient, more than most
densities here; a numba C function that finds its data by address costs one. The
way in fills nutpie's own dataclass, which is private: it lives in this module
alone, behind a pinned minor version, with the Python callable as the way back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, types

from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.criterion import JACOBIAN, PRIORS, WITH_FIXED, criterion
from bayesmix.gaussian.density import FixedPrior, log_density
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.kernel_files import compiled_function
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel
from bayesmix.gaussian.structured import structured_criterion
from bayesmix.inference.lean_nutpie import nutpie

__all__ = [
    "LOGP_SIGNATURE", "compile_density", "density_from_python", "floats_at", "ints_at",
    "native_density", "native_model", "python_model",
]  # fmt: skip

_P = types.CPointer(types.float64)
address_as_void_pointer = nutpie.compile_pymc.address_as_void_pointer
LOGP_SIGNATURE = types.int64(types.uint64, _P, _P, _P, types.voidptr)
_criterion, _structured = criterion.external, structured_criterion.external


@kernel(
    f8, INTS, FLOATS, INTS, FLOATS, FLOATS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS,
    needs=(criterion,),
)  # fmt: skip
def whitened_density(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, co_ints, co_floats, prior_precision, prior_mean, d, center, A, z, gradient
):
    """Log density at x = center + A z, with the gradient in z."""
    x, by_x, variance = np.empty(d), np.empty(d), np.empty(1)
    for i in range(d):
        x[i] = center[i]
        for j in range(d):
            x[i] += A[i * d + j] * z[j]
    value = _criterion(
        eq_ints, eq_floats, co_ints, co_floats, prior_precision, prior_mean, x.ctypes,
        WITH_FIXED | PRIORS | JACOBIAN, 0.0, by_x.ctypes, variance.ctypes,
    )  # fmt: skip
    for j in range(d):
        s = 0.0
        for i in range(d):
            s += A[i * d + j] * by_x[i]
        gradient[j] = s
    return value


_whitened = whitened_density.external


@kernel(
    f8, INTS, INTS, FLOATS, i8, INTS, FLOATS, INTS, FLOATS, FLOATS, FLOATS, i8, FLOATS, FLOATS,
    FLOATS, FLOATS, needs=(structured_criterion,),
)  # fmt: skip
def whitened_structured(  # type: ignore[no-untyped-def]
    eq_ints, class_ints, class_floats, address, phi_ints, phi_floats, co_ints, co_floats,
    prior_precision, prior_mean, d, center, A, z, gradient,
):  # fmt: skip
    """Log density at x = center + A z, where the residual structure has parameters."""
    x, by_x, variance = np.empty(d), np.empty(d), np.empty(1)
    for i in range(d):
        x[i] = center[i]
        for j in range(d):
            x[i] += A[i * d + j] * z[j]
    value = _structured(
        eq_ints, class_ints, class_floats, address, phi_ints, phi_floats, co_ints, co_floats,
        prior_precision, prior_mean, x.ctypes, WITH_FIXED | PRIORS | JACOBIAN, 0.0, by_x.ctypes,
        variance.ctypes,
    )  # fmt: skip
    for j in range(d):
        s = 0.0
        for i in range(d):
            s += A[i * d + j] * by_x[i]
        gradient[j] = s
    return value


_whitened_structured = whitened_structured.external


@inner
def ints_at(address):  # type: ignore[no-untyped-def]
    """Return an array that begins at an address."""
    return carray(address_as_void_pointer(address), (1,), np.int64)


@inner
def floats_at(address):  # type: ignore[no-untyped-def]
    """Return an array that begins at an address."""
    return carray(address_as_void_pointer(address), (1,), np.float64)


def _logp(dim, x, gradient, value, data):  # type: ignore[no-untyped-def]
    # Addresses of the four buffers, of the prior's two arrays, of center and of A.
    at = carray(data, (8,), np.uint64)
    result = _whitened(
        ints_at(at[0]).ctypes, floats_at(at[1]).ctypes, ints_at(at[2]).ctypes,
        floats_at(at[3]).ctypes, floats_at(at[4]).ctypes, floats_at(at[5]).ctypes, dim,
        floats_at(at[6]).ctypes, floats_at(at[7]).ctypes, x, gradient,
    )  # fmt: skip
    value[0] = result
    if not np.isfinite(result):
        return 4  # nutpie's code for a bad log density: the trajectory ends there
    for i in range(dim):
        if not np.isfinite(gradient[i]):
            return 3
    return 0


def _structured_logp(dim, x, gradient, value, data):  # type: ignore[no-untyped-def]
    # Addresses as above, those of the classes and of phi's coordinates, and of the coefficients.
    at = carray(data, (12,), np.uint64)
    result = _whitened_structured(
        ints_at(at[0]).ctypes, ints_at(at[7]).ctypes, floats_at(at[8]).ctypes, np.int64(at[11]),
        ints_at(at[9]).ctypes, floats_at(at[10]).ctypes, ints_at(at[1]).ctypes,
        floats_at(at[2]).ctypes, floats_at(at[3]).ctypes, floats_at(at[4]).ctypes, dim,
        floats_at(at[5]).ctypes, floats_at(at[6]).ctypes, x, gradient,
    )  # fmt: skip
    value[0] = result
    if not np.isfinite(result):
        return 4
    for i in range(dim):
        if not np.isfinite(gradient[i]):
            return 3
    return 0


def _expand(dim, n_out, x, out, data):  # type: ignore[no-untyped-def]  # noqa: ARG001
    for i in range(dim):
        out[i] = x[i]
    return 0


@functools.cache
def _logp_function() -> Any:
    """Return nutpie's C function, compiled or from disk."""
    whitened_density.load()
    return compiled_function(_logp, LOGP_SIGNATURE)


@functools.cache
def _structured_function() -> Any:
    whitened_structured.load()
    return compiled_function(_structured_logp, LOGP_SIGNATURE)


@functools.cache
def _expand_function() -> Any:
    return compiled_function(
        _expand, types.int64(types.uint64, types.uint64, _P, _P, types.voidptr)
    )


def compile_density(
    eq: Equations,
    co: Coordinates,
    prior: FixedPrior,
    center: np.ndarray,
    A: np.ndarray,
    start: Callable[[int], np.ndarray],
) -> Any:
    """Make a model that nutpie samples, natively where that works.

    Parameters
    ----------
    eq : Equations
    co : Coordinates
    prior : FixedPrior
    center : ndarray, shape (d,)
    A : ndarray, shape (d, d)
        The coordinates that are sampled are z in x = center + A z.
    start : callable
        From a seed to a first z.

    Returns
    -------
    A compiled model of nutpie, with the one variable ``z``.
    """
    try:
        return native_density(eq, co, prior, center, A, start)
    except (TypeError, AttributeError, ImportError):  # nutpie changed within
        return density_from_python(eq, co, prior, center, A, start)


def native_density(
    eq: Equations, co: Coordinates, prior: FixedPrior, center: np.ndarray, A: np.ndarray,
    start: Callable[[int], np.ndarray],
) -> Any:  # fmt: skip
    """Return a model of nutpie that calls the C function."""
    arrays = _arrays(eq, co, prior, center, A)
    if eq.classes is None or co.phi is None:
        return native_model(
            _logp_function(), len(center), start, [a.ctypes.data for a in arrays], arrays
        )
    # The products are those of the classes; the equations' own are not read.
    arrays = [
        arrays[0],
        *arrays[2:],
        eq.classes.ints,
        eq.classes.floats,
        co.phi.ints,
        co.phi.floats,
    ]
    table = [*(a.ctypes.data for a in arrays), eq.classes.address()]
    return native_model(_structured_function(), len(center), start, table, arrays)


def density_from_python(
    eq: Equations, co: Coordinates, prior: FixedPrior, center: np.ndarray, A: np.ndarray,
    start: Callable[[int], np.ndarray],
) -> Any:  # fmt: skip
    """Return a model of nutpie that calls Python: slower, by its public interface."""
    d = len(center)
    *before, center, A = _arrays(eq, co, prior, center, A)

    def density(z: np.ndarray, gradient: np.ndarray) -> float:
        if eq.classes is not None:
            by_x = np.empty(d)
            found = log_density(eq, co, prior, center + A @ z, True, by_x)
            gradient[:] = A.T @ by_x
            return found
        value: float = whitened_density(*before, d, center, A, z, gradient)
        return value

    return python_model(density, d, start)


def native_model(
    logp: Any, d: int, start: Callable[[int], np.ndarray], table: list[int],
    keep: list[np.ndarray],
) -> Any:  # fmt: skip
    """Fill nutpie's dataclass.

    Parameters
    ----------
    logp : numba CFunc
        Takes nutpie's arguments, the last the address of the table.
    d : int
    start : callable
        From a seed to a first z.
    table : list of int
        Addresses and numbers that `logp` reads.
    keep : list of ndarray
        Arrays whose addresses must stay good.

    Returns
    -------
    A compiled model of nutpie, with the one variable ``z``.
    """
    return nutpie.compile_pymc.CompiledPyMCModel(
        dims={},
        _coords={},
        _shapes={"z": (d,)},
        _n_dim=d,
        n_expanded=d,
        compiled_logp_func=logp,
        compiled_expand_func=_expand_function(),
        initial_point_func=start,
        shared_data={str(i): a for i, a in enumerate(keep)},
        shared_var_keys={},
        user_data=np.asarray(table, dtype=np.uint64),
        shape_info=(["z"], [slice(0, d)], [(d,)]),
        logp_func=None,
        expand_func=None,
    )


def python_model(
    density: Callable[[np.ndarray, np.ndarray], float], d: int,
    start: Callable[[int], np.ndarray],
) -> Any:  # fmt: skip
    """Make a model of nutpie from a function of (z, gradient to fill)."""

    def make_logp() -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        def logp(z: np.ndarray) -> tuple[float, np.ndarray]:
            gradient = np.empty(d)
            return density(np.ascontiguousarray(z), gradient), gradient

        return logp

    def make_expand(*_: Any) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        return lambda z: {"z": np.asarray(z)}

    return nutpie.compiled_pyfunc.from_pyfunc(
        d, make_logp, make_expand, [np.dtype("float64")], [(d,)], ["z"], make_initial_point_fn=start
    )


def _arrays(
    eq: Equations, co: Coordinates, prior: FixedPrior, center: np.ndarray, A: np.ndarray
) -> list[np.ndarray]:
    return [
        eq.ints, eq.floats, co.ints, co.floats,
        *(np.ascontiguousarray(a) for a in (*prior, center, A)),
    ]  # fmt: skip
