"""One line on standard error for what takes long, and how numbers are written in it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["announce", "counted", "stage"]


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
