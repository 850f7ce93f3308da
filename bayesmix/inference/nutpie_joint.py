"""The whitened joint density of a model beyond the normal, handed to nutpie."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import carray

from bayesmix.gaussian.kernel_files import compiled_function
from bayesmix.glmm.whitened import whitened_joint
from bayesmix.inference.nutpie_native import (
    LOGP_SIGNATURE,
    floats_at,
    ints_at,
    native_model,
    python_model,
)

if TYPE_CHECKING:
    from bayesmix.inference.whitening import Whitening

__all__ = ["compile_joint"]

_whitened = whitened_joint.external


def _logp(dim, x, gradient, value, data):  # type: ignore[no-untyped-def]
    # The table holds six buffers, the row kernel, the prior, how effects are stated, the factor,
    # sizes, the map.
    at = carray(data, (23,), np.uint64)
    result = _whitened(
        ints_at(at[0]).ctypes, floats_at(at[1]).ctypes, ints_at(at[2]).ctypes,
        floats_at(at[3]).ctypes, ints_at(at[4]).ctypes, floats_at(at[5]).ctypes, at[6],
        floats_at(at[7]).ctypes, floats_at(at[8]).ctypes, ints_at(at[9]).ctypes,
        floats_at(at[10]).ctypes, floats_at(at[11]).ctypes, floats_at(at[12]).ctypes,
        floats_at(at[13]).ctypes, floats_at(at[14]).ctypes, at[15], at[16], at[17],
        floats_at(at[18]).ctypes, floats_at(at[19]).ctypes, floats_at(at[20]).ctypes,
        floats_at(at[21]).ctypes, floats_at(at[22]).ctypes, x, gradient,
    )  # fmt: skip
    value[0] = result
    if not np.isfinite(result):
        return 4  # nutpie's code for a bad log density: the trajectory ends there
    for i in range(dim):
        if not np.isfinite(gradient[i]):
            return 3
    return 0


@functools.cache
def _function() -> Any:
    whitened_joint.load()
    return compiled_function(_logp, LOGP_SIGNATURE)


def compile_joint(w: Whitening, start: Callable[[int], np.ndarray]) -> Any:
    """Make a model that nutpie samples, natively where that works.

    Parameters
    ----------
    w : Whitening
    start : callable
        From a seed to a first z.

    Returns
    -------
    A compiled model of nutpie, with the one variable ``z``.
    """
    arguments = w.arguments()
    d = w.n_t + w.n_inside
    try:
        table = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments]
        keep = [a for a in arguments if isinstance(a, np.ndarray)]
        return native_model(_function(), d, start, table, keep)
    except (TypeError, AttributeError, ImportError):  # nutpie changed within
        return python_model(lambda z, g: float(whitened_joint(*arguments, z, g)), d, start)
