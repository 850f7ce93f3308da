"""Sums over blocks of rows that threads work on, the same to the last bit each time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["InOrder"]


class InOrder:
    """Lets threads add one after the other, so that rounding is the same each time."""

    def __init__(self) -> None:
        self._next = 0
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, number: int) -> Iterator[None]:
        """Wait until all lower numbers have had their turn.

        Each number must come once, from 0, also where its work has failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._next == number)
            try:
                yield
            finally:
                self._next += 1
                self._changed.notify_all()
