"""The likelihood ratio of two models over responses that the smaller one has made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.errors import BayesmixError, NotSupportedError
from bayesmix.laws.resampling import Resampling
from bayesmix.results.testing.running import Progress, in_threads

if TYPE_CHECKING:
    from bayesmix.laws.normal import NormalLaw
    from bayesmix.laws.refit import Refitting

__all__ = ["null_statistics"]

_PIECE = 20_000_000  # numbers of responses at a time
_BROKEN = (BayesmixError, FloatingPointError, np.linalg.LinAlgError)


def null_statistics(
    small: NormalLaw, large: NormalLaw, n: int, seed: int, threads: int, *, progress: bool
) -> np.ndarray:
    """Draw likelihood-ratio statistics under the smaller model.

    Parameters
    ----------
    small, large : NormalLaw
        By the same method, of the same rows.
    n : int
        Number of responses.
    seed, threads : int
    progress : bool

    Returns
    -------
    ndarray, shape (at most n,)
        Without those of which a search failed or was not reached before an interruption;
        negative ones, which searches leave, are zero.
    """
    step = max(1, min(n, _PIECE // len(small.model.y)))
    one, other = Resampling(small), Resampling(large)
    counted = Progress("refit", n, shown=progress)
    found: list[float] = []
    for first in range(0, n, step):
        size, before = min(step, n - first), first
        Y = one.responses("parametric", size, (seed, first))
        part, interrupted = in_threads(
            _statistics(one.to(Y), other.to(Y)), size, threads,
            lambda done, before=before: counted.say(before + done),  # type: ignore[misc]
        )  # fmt: skip
        found += part
        if interrupted:
            break
    counted.close()
    drawn = np.asarray(found)
    drawn = np.maximum(drawn[np.isfinite(drawn)], 0.0)
    if not len(drawn):
        raise NotSupportedError("no refit converged, or the run was interrupted before the first")
    return drawn


def _statistics(
    one: Refitting, other: Refitting
) -> Callable[[range, threading.Event], list[float]]:
    def some(own: range, stop: threading.Event) -> list[float]:
        workers, out = (one.worker(own), other.worker(own)), []
        for k in own:
            if stop.is_set():
                break
            try:
                (small, fine), (large, good) = (worker.deviance(k) for worker in workers)
                out.append(small - large if fine and good else np.nan)
            except _BROKEN:
                out.append(np.nan)
        return out

    return some
