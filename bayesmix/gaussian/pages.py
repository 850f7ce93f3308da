"""Large arrays that are mostly zero: memory is taken where something is written, and not before."""

from __future__ import annotations

import mmap

import numpy as np

__all__ = ["copy_written", "lazy_zeros"]

_CHUNK = 512  # numbers: a page of memory


def lazy_zeros(n: int) -> np.ndarray:
    """Return n zeros, of which only pages that are written to take memory.

    NumPy asks the system for pages of 2 MB, so that one number a row would take all of them.

    Parameters
    ----------
    n : int

    Returns
    -------
    ndarray, shape (n,)
    """
    private = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    size = max(n, 1) * np.dtype(np.float64).itemsize
    buffer = mmap.mmap(-1, size, flags=private) if private else mmap.mmap(-1, size)
    return np.frombuffer(buffer, dtype=np.float64, count=n)


def copy_written(values: np.ndarray, to: np.ndarray) -> None:
    """Copy what is not zero, a page at a time, to zeros of the same shape."""
    flat, out = values.reshape(-1), to.reshape(-1)
    whole = len(flat) // _CHUNK * _CHUNK
    rows = flat[:whole].reshape(-1, _CHUNK)
    for start in range(0, len(rows), _CHUNK):  # a few MB of answers are not kept
        part = rows[start : start + _CHUNK]
        for k in np.flatnonzero(part.any(axis=1)) + start:
            out[k * _CHUNK : (k + 1) * _CHUNK] = rows[k]
    out[whole:] = flat[whole:]
