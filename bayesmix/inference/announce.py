"""Lines on standard error for what takes long, and how numbers are written in them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Progress", "announce", "counted", "stage"]

_SAY_AFTER = 2.0  # seconds


def announce(text: str, *, progress: bool) -> None:
    """Write one line to standard error, if progress is wanted."""
    if progress:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def counted(n: int, noun: str) -> str:
    """Write a number with its noun: "1 chain", "4 chains"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


@contextmanager
def stage(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the wall time of a block to `seconds` under `name`."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start


class Progress:
    """A line on standard error that says how far a long run is.

    Parameters
    ----------
    word : str
        What is counted.
    total : int
    shown : bool
        Whether it may be written at all.
    """

    def __init__(self, word: str, total: int, *, shown: bool) -> None:
        self._word, self._total, self._shown = word, total, shown
        self._started, self._said = time.perf_counter(), False

    def say(self, done: int) -> None:
        """Say how many are done, after a run of more than two seconds."""
        if self._shown and time.perf_counter() - self._started > _SAY_AFTER:
            sys.stderr.write(f"\r{self._word} {done:,} of {self._total:,}")
            sys.stderr.flush()
            self._said = True

    def close(self) -> None:
        """End the line, if there is one."""
        if self._said:
            sys.stderr.write("\n")
            self._said = False
