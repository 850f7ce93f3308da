"""Threads of linear algebra: one where it is called often for little, else as many as pay."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from threadpoolctl import ThreadpoolController

__all__ = ["Pace", "on_one_thread", "one_blas_thread"]

_AGAIN = 40  # calls after which the slower way is tried again


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


class Pace:
    """Whether work of one size is done sooner with BLAS's threads or without, as it turns out.

    Two threads take a large factor in half of the time of one, where both have a processor
    of their own. Where other work runs beside them they wait for each other, and it takes six
    times as long. Both ways are timed, and the slower is tried again now and then.
    """

    def __init__(self) -> None:
        self._seconds = {True: 0.0, False: 0.0}  # whether alone: what the last call took
        self._calls = 0

    def run[R](self, work: Callable[[], R]) -> R:
        """Do the work, on one thread or on all there are."""
        turn = self._calls % _AGAIN
        alone = turn == 1 if turn < 2 else self._seconds[True] < self._seconds[False]
        self._calls += 1
        begin = time.perf_counter()
        with one_blas_thread() if alone else nullcontext():
            result = work()
        self._seconds[alone] = time.perf_counter() - begin
        return result


@functools.cache
def _controller() -> ThreadpoolController:
    """Return NumPy's and SciPy's libraries: looking for them takes as long as a small fit."""
    import scipy.linalg.cython_blas  # noqa: F401

    return ThreadpoolController()
