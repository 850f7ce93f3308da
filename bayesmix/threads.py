"""One thread of linear algebra where it is called often for little; results of several."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["on_one_thread", "one_blas_thread", "result_of", "until_done"]

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


def until_done(running: Iterable[Future[Any]]) -> None:
    """Wait until all work is done or some has failed; an interrupt is heard within .2 s.

    A thread that waits without end is woken by a signal only if the system hands it that.
    """
    waiting, failed = set(running), False
    while waiting and not failed:
        done, waiting = wait(waiting, _HEARD, return_when=FIRST_EXCEPTION)
        failed = any(one.exception() is not None for one in done)


def result_of[T](future: Future[T]) -> T:
    """Wait for a result as `until_done` does."""
    until_done([future])
    return future.result()
