"""One thread of linear algebra where it is called often for little; results of several."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController

__all__ = ["on_one_thread", "one_blas_thread", "result_of"]

_HEARD = 0.2  # seconds after which an interrupt is heard at the latest


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


def result_of[T](future: Future[T]) -> T:
    """Wait for a result, and hear an interrupt whichever thread the system hands it to.

    A thread that waits without end wakes up by a signal only if the signal is its own.
    """
    while True:
        try:
            return future.result(timeout=_HEARD)
        except TimeoutError:
            if future.done():
                return future.result()
