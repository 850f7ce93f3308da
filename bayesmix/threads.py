"""Threads of linear algebra: one, wherever it is called often for little."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]


def one_blas_thread() -> AbstractContextManager[object]:
    """Keep BLAS to one thread for a while, in the whole process.

    SciPy's optimisers and our kernels call BLAS thousands of times for matrices of a few
    columns. Its threads wait for each other by spinning, and on a busy machine each of these
    calls then takes milliseconds: ten times the time of a whole fit by REML.
    """
    context: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return context


@functools.cache
def _controller() -> ThreadpoolController:
    """Return NumPy's and SciPy's libraries: looking for them takes as long as a small fit."""
    import scipy.linalg.cython_blas  # noqa: F401

    return ThreadpoolController()
