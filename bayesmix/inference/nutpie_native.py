"""A compiled log density, handed to nutpie as a C function.

Calling Python costs the sampler 15 to 37 microseconds a gradient, more than most
densities here; a numba C function that finds its data by address costs one. The
way in fills nutpie's own dataclass, which is private: it lives in this module
alone, behind a pinned minor version, with the Python callable as the way back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import nutpie
from numba import carray, cfunc, njit, types
from nutpie.compile_pymc import CompiledPyMCModel, address_as_void_pointer

from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.density import FixedPrior, compiled_log_density
from bayesmix.gaussian.kernels import Equations

__all__ = ["compile_density", "density_from_python", "native_density"]

_P = types.CPointer(types.float64)
_N_EQUATIONS = len(Equations._fields)
_N_COORDINATES = len(Coordinates._fields)


@njit
def _ints(table: np.ndarray, k: int) -> np.ndarray:
    return carray(address_as_void_pointer(table[2 * k]), (table[2 * k + 1],), np.int64)


@njit
def _floats(table: np.ndarray, k: int) -> np.ndarray:
    return carray(address_as_void_pointer(table[2 * k]), (table[2 * k + 1],), np.float64)


@njit(error_model="numpy")
def _whitened(
    eq: Equations, co: Coordinates, prior: FixedPrior, center: np.ndarray, A: np.ndarray,
    z: np.ndarray, gradient: np.ndarray,
) -> float:  # fmt: skip
    """Log density at x = center + A z, with the gradient in z."""
    d = len(center)
    x = np.empty(d)
    by_x = np.empty(d)
    for i in range(d):
        x[i] = center[i]
        for j in range(d):
            x[i] += A[i, j] * z[j]
    value = compiled_log_density(eq, co, prior, x, True, True, True, by_x)
    for j in range(d):
        s = 0.0
        for i in range(d):
            s += A[i, j] * by_x[i]
        gradient[j] = s
    return value


@cfunc(types.int64(types.uint64, _P, _P, _P, types.voidptr), cache=True)
def _logp(dim, x, gradient, value, data):  # type: ignore[no-untyped-def]
    count = carray(data, (1,), np.uint64)[0]
    table = carray(data, (1 + 2 * count,), np.uint64)[1:]
    n = table[2 * 18 + 1]
    p = table[2 * 35 + 1]
    d = table[2 * 36 + 1]
    eq = Equations(
        _ints(table, 0), _ints(table, 1), _ints(table, 2), _ints(table, 3), _ints(table, 4),
        _ints(table, 5), _ints(table, 6), _ints(table, 7), _ints(table, 8), _ints(table, 9),
        _ints(table, 10), _ints(table, 11), _ints(table, 12), _ints(table, 13), _ints(table, 14),
        _floats(table, 15), _floats(table, 16), _floats(table, 17).reshape((n, n)),
        _floats(table, 18), _floats(table, 19),
    )  # fmt: skip
    co = Coordinates(
        _ints(table, 20), _ints(table, 21), _ints(table, 22), _ints(table, 23), _ints(table, 24),
        _ints(table, 25), _ints(table, 26), _ints(table, 27), _floats(table, 28),
        _ints(table, 29), _floats(table, 30), _floats(table, 31), _floats(table, 32),
        _floats(table, 33),
    )  # fmt: skip
    prior = FixedPrior(_floats(table, 34).reshape((p, p)), _floats(table, 35))
    A = _floats(table, 37).reshape((d, d))
    z = carray(x, (dim,))
    out = carray(gradient, (dim,))
    result = _whitened(eq, co, prior, _floats(table, 36), A, z, out)
    value[0] = result
    if not np.isfinite(result):
        return 4  # nutpie's code for a bad log density: the trajectory ends there
    for i in range(dim):
        if not np.isfinite(out[i]):
            return 3
    return 0


@cfunc(types.int64(types.uint64, types.uint64, _P, _P, types.voidptr), cache=True)
def _expand(dim, n_out, x, out, data):  # type: ignore[no-untyped-def]  # noqa: ARG001
    for i in range(dim):
        out[i] = x[i]
    return 0


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
    arrays = [np.ascontiguousarray(a) for a in (*eq, *co, *prior, center, A)]
    table = np.empty(1 + 2 * len(arrays), dtype=np.uint64)
    table[0] = len(arrays)
    table[1::2] = [a.ctypes.data for a in arrays]
    table[2::2] = [a.size for a in arrays]
    d = len(center)
    return CompiledPyMCModel(
        dims={},
        _coords={},
        _shapes={"z": (d,)},
        _n_dim=d,
        n_expanded=d,
        compiled_logp_func=_logp,
        compiled_expand_func=_expand,
        initial_point_func=start,
        # Kept with the model, so that the addresses stay good.
        shared_data={str(i): a for i, a in enumerate(arrays)},
        shared_var_keys={},
        user_data=table,
        shape_info=(["z"], [slice(0, d)], [(d,)]),
        logp_func=None,
        expand_func=None,
    )


def density_from_python(
    eq: Equations, co: Coordinates, prior: FixedPrior, center: np.ndarray, A: np.ndarray,
    start: Callable[[int], np.ndarray],
) -> Any:  # fmt: skip
    """Return a model of nutpie that calls Python: slower, by its public interface."""
    d = len(center)

    def make_logp() -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        def logp(z: np.ndarray) -> tuple[float, np.ndarray]:
            gradient = np.empty(d)
            value = _whitened(eq, co, prior, center, A, np.ascontiguousarray(z), gradient)
            return value, gradient

        return logp

    def make_expand(*_: Any) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        return lambda z: {"z": np.asarray(z)}

    return nutpie.compiled_pyfunc.from_pyfunc(
        d, make_logp, make_expand, [np.dtype("float64")], [(d,)], ["z"], make_initial_point_fn=start
    )
