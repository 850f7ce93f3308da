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
import nutpie
from numba import carray, cfunc, types
from nutpie.compile_pymc import CompiledPyMCModel, address_as_void_pointer

from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.density import JACOBIAN, PRIORS, WITH_FIXED, FixedPrior, criterion
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, inner, kernel

__all__ = ["compile_density", "density_from_python", "native_density"]

_P = types.CPointer(types.float64)
_criterion = criterion.external


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


@inner
def _ints(address):  # type: ignore[no-untyped-def]
    return carray(address_as_void_pointer(address), (1,), np.int64)


@inner
def _floats(address):  # type: ignore[no-untyped-def]
    return carray(address_as_void_pointer(address), (1,), np.float64)


def _logp(dim, x, gradient, value, data):  # type: ignore[no-untyped-def]
    # Addresses of the four buffers, of the prior's two arrays, of center and of A.
    at = carray(data, (8,), np.uint64)
    result = _whitened(
        _ints(at[0]).ctypes, _floats(at[1]).ctypes, _ints(at[2]).ctypes, _floats(at[3]).ctypes,
        _floats(at[4]).ctypes, _floats(at[5]).ctypes, dim, _floats(at[6]).ctypes,
        _floats(at[7]).ctypes, x, gradient,
    )  # fmt: skip
    value[0] = result
    if not np.isfinite(result):
        return 4  # nutpie's code for a bad log density: the trajectory ends there
    for i in range(dim):
        if not np.isfinite(gradient[i]):
            return 3
    return 0


def _expand(dim, n_out, x, out, data):  # type: ignore[no-untyped-def]  # noqa: ARG001
    for i in range(dim):
        out[i] = x[i]
    return 0


@functools.cache
def _functions() -> tuple[Any, Any]:
    """Return nutpie's two C functions, compiled or from numba's cache."""
    whitened_density.load()
    signature = types.int64(types.uint64, _P, _P, _P, types.voidptr)
    logp = cfunc(signature, cache=True)(_logp)
    signature = types.int64(types.uint64, types.uint64, _P, _P, types.voidptr)
    return logp, cfunc(signature, cache=True)(_expand)


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
    table = np.asarray([a.ctypes.data for a in arrays], dtype=np.uint64)
    d = len(center)
    logp, expand = _functions()
    return CompiledPyMCModel(
        dims={},
        _coords={},
        _shapes={"z": (d,)},
        _n_dim=d,
        n_expanded=d,
        compiled_logp_func=logp,
        compiled_expand_func=expand,
        initial_point_func=start,
        # Kept with the model, so that the addresses stay good.
        shared_data={str(i): a for i, a in enumerate(arrays)},
        shared_var_keys={},
        user_data=table,
        shape_info=(["z"], [slice(0, d)], [(d,)]),
        logp_func=None,
        expand_func=None,
    )


def _arrays(
    eq: Equations, co: Coordinates, prior: FixedPrior, center: np.ndarray, A: np.ndarray
) -> list[np.ndarray]:
    return [
        eq.ints, eq.floats, co.ints, co.floats,
        *(np.ascontiguousarray(a) for a in (*prior, center, A)),
    ]  # fmt: skip


def density_from_python(
    eq: Equations, co: Coordinates, prior: FixedPrior, center: np.ndarray, A: np.ndarray,
    start: Callable[[int], np.ndarray],
) -> Any:  # fmt: skip
    """Return a model of nutpie that calls Python: slower, by its public interface."""
    d = len(center)
    *before, center, A = _arrays(eq, co, prior, center, A)
    after = (center, A)

    def make_logp() -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        def logp(z: np.ndarray) -> tuple[float, np.ndarray]:
            gradient = np.empty(d)
            value = whitened_density(*before, d, *after, np.ascontiguousarray(z), gradient)
            return value, gradient

        return logp

    def make_expand(*_: Any) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        return lambda z: {"z": np.asarray(z)}

    return nutpie.compiled_pyfunc.from_pyfunc(
        d, make_logp, make_expand, [np.dtype("float64")], [(d,)], ["z"], make_initial_point_fn=start
    )
