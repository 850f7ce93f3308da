"""One thread of linear algebra, where it is called often for little."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController

__all__ = ["on_one_thread", "one_blas_thread"]


def one_blas_thread() -> AbstractContextManager[object]:
    """Keep BLAS to one thread for a while, in the whole process.

    SciPy's optimisers and our kernels call BLAS thousands of times for matrices of a few
    columns. Its threads wait for each other by spinning, and on a busy machine each of these
    calls then takes milliseconds: ten times the time of a whole fit by REML.
    """
    context: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return context


def on_one_thread[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Let a function's BLAS have one thread."""

    @functools.wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        with one_blas_thread():
            return function(*args, **kwargs)

    return limited


@functools.cache
def _controller() -> ThreadpoolController:
    """Return NumPy's and SciPy's libraries: looking for them takes as long as a small fit."""
    import scipy.linalg.cython_blas  # noqa: F401

    return ThreadpoolController()
