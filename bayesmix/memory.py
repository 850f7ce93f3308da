"""How much memory there is, and refusing by name what is larger."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

from bayesmix.errors import NotSupportedError

__all__ = ["available_bytes", "check_memory"]

_UNKNOWN = 16e9  # bytes, where the system does not say
_NUMBER = 8  # bytes


def available_bytes() -> float:
    """Return how many bytes of memory the process may still take."""
    free = _free()
    limit = _limit_of_group()
    return free if limit is None else min(free, limit)


def check_memory(asked: str, n_numbers: int, advice: str) -> None:
    """Refuse what would not fit into memory.

    Parameters
    ----------
    asked : str
        What was asked for, with the argument's name and value.
    n_numbers : int
        Floating-point numbers that it takes, counted as Python's own integers.
    advice : str
        What to ask for instead.

    Raises
    ------
    NotSupportedError
        Naming the size in GB.
    """
    free = available_bytes()
    if n_numbers * _NUMBER > free:
        raise NotSupportedError(
            f"{asked} would take {n_numbers * _NUMBER / 1e9:,.1f} GB of memory, of which "
            f"{free / 1e9:,.1f} GB are free; {advice}"
        )


def _free() -> float:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    if sys.platform == "win32":
        return _free_on_windows()
    return _UNKNOWN


def _limit_of_group() -> float | None:
    """What is left to a container; None where there is no limit."""
    folder = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError, IndexError):
        limit = int((folder / "memory.max").read_text(encoding="ascii"))
        taken = int((folder / "memory.current").read_text(encoding="ascii"))
        for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines():
            if line.startswith("inactive_file "):  # copies of files, given up where need be
                taken -= int(line.split()[1])
        return max(0.0, float(limit - taken))
    return None


def _free_on_windows() -> float:
    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong)
            for name in ("total", "free", "pages", "free_pages", "virtual", "free_virtual", "more")
        ]

    status = Status(length=ctypes.sizeof(Status))
    kernel: object = getattr(getattr(ctypes, "windll", None), "kernel32", None)
    if kernel is None or not kernel.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined]
        return _UNKNOWN
    return float(status.free)
