"""Many small tasks in threads, with progress, which an interruption does not lose."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from bayesmix.arguments import whole_number
from bayesmix.errors import BayesmixWarning
from bayesmix.inference.announce import Progress
from bayesmix.threads import one_blas_thread, result_of

__all__ = ["Progress", "in_threads", "threads_of"]

_PARTS = 64


def threads_of(cores: int | None) -> int:
    """How many threads are meant: as many as there are processors, up to 8, by default."""
    return min(os.cpu_count() or 1, 8) if cores is None else whole_number("cores", cores, 1, 1024)


def in_threads[T](
    some: Callable[[range, threading.Event], list[T]],
    n: int,
    threads: int,
    say: Callable[[int], None],
) -> tuple[list[T], bool]:
    """Do n tasks, as far as they come, without their warnings: callers count what is wrong.

    Filters of warnings belong to the process: threads that each set and restore them leave those
    of another behind.

    Parameters
    ----------
    some : callable
        Does those of a range in order, and ends early where the event is set; returns what it
        has done.
    n : int
    threads : int
    say : callable
        Is told how many are done.

    Returns
    -------
    list
        Results in the order of the tasks; some are missing after an interruption.
    bool
        Whether the run was interrupted (Ctrl-C).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesmixWarning)
        return _in_threads(some, n, threads, say)


def _in_threads[T](
    some: Callable[[range, threading.Event], list[T]],
    n: int,
    threads: int,
    say: Callable[[int], None],
) -> tuple[list[T], bool]:
    stop = threading.Event()
    # The first one loads the kernels, which is not for several threads at once.
    try:
        found = some(range(1), stop)
    except KeyboardInterrupt:
        return [], True
    cuts = np.linspace(1, n, min(n - 1, max(_PARTS, 4 * threads)) + 1).astype(int).tolist()
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        parts = [pool.submit(some, range(a, b), stop) for a, b in pairwise(cuts)]
        at = 0
        try:
            for part in parts:
                own: list[T] = result_of(part)
                found += own
                at += 1
                say(len(found))
        except KeyboardInterrupt:
            stop.set()
            for part in parts[at:]:
                if not part.cancel():
                    found += part.result()
            return found, True
        finally:
            stop.set()
    return found, False
