"""Named arrays side by side in two buffers, which a kernel takes as two pointers."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, Self

import numpy as np
from numba import carray

from bayesmix.gaussian.linking import inner
from bayesmix.gaussian.pages import copy_written, lazy_zeros

__all__ = ["HEADER", "Packed", "unpack_floats", "unpack_ints"]

# What comes before the offsets: the number of arrays and the length of either buffer.
HEADER = 4

_LARGE = 1_000_000  # numbers


class Packed:
    """Integer and float arrays, each a view into one of two buffers.

    The buffer of integers begins with the number of integer and of float arrays,
    the length of either buffer, and where each array starts and ends.

    Attributes
    ----------
    ints : ndarray of int64
    floats : ndarray of float64
    """

    _INTS: tuple[str, ...] = ()
    _FLOATS: tuple[str, ...] = ()
    _BESIDE: tuple[str, ...] = ()  # attributes that copies and pickles keep

    ints: np.ndarray
    floats: np.ndarray

    def __init__(self, **arrays: Any) -> None:
        values = {name: np.asarray(arrays.pop(name), dtype=np.int64) for name in self._INTS}
        reals = {name: np.asarray(arrays.pop(name), dtype=np.float64) for name in self._FLOATS}
        if arrays:
            raise TypeError(f"unknown arrays: {', '.join(arrays)}")
        first = HEADER + len(values) + 1 + len(reals) + 1
        starts = [*accumulate((v.size for v in values.values()), initial=first)]
        real_starts = [*accumulate((v.size for v in reals.values()), initial=0)]
        self.ints = np.empty(starts[-1], dtype=np.int64)
        # A large square, such as a root of many columns, is mostly zero.
        lazy = any(v.ndim > 1 and v.size > _LARGE for v in reals.values())
        self.floats = lazy_zeros(real_starts[-1]) if lazy else np.empty(real_starts[-1])
        self.ints[:first] = [
            len(values), len(reals), starts[-1], real_starts[-1], *starts, *real_starts
        ]  # fmt: skip
        for buffer, of, at in (
            (self.ints, values, starts), (self.floats, reals, real_starts),
        ):  # fmt: skip
            for k, (name, value) in enumerate(of.items()):
                view = buffer[at[k] : at[k + 1]]
                if value.ndim != 1:
                    view = view.reshape(value.shape)
                if lazy and of is reals:
                    copy_written(value, view)
                else:
                    view[...] = value
                setattr(self, name, view)

    def as_dict(self) -> dict[str, np.ndarray]:
        """Return the arrays by name."""
        return {name: getattr(self, name) for name in (*self._INTS, *self._FLOATS)}

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values for some of the arrays."""
        return _restore(type(self), self.as_dict() | changes, self._beside())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arrays, not the buffers, of which a copy would be no view."""
        return _restore, (type(self), self.as_dict(), self._beside())

    def _beside(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._BESIDE}


def _restore[P: Packed](kind: type[P], arrays: dict[str, Any], beside: dict[str, Any]) -> P:
    made = kind(**arrays)
    for name, value in beside.items():
        setattr(made, name, value)
    return made


@inner
def unpack_ints(ints):  # type: ignore[no-untyped-def]
    """Return the buffer of integers as an array, from its address."""
    return carray(ints, (carray(ints, (HEADER,))[2],))


@inner
def unpack_floats(ints, floats):  # type: ignore[no-untyped-def]
    """Return the buffer of floats as an array, from the addresses of both."""
    return carray(floats, (carray(ints, (HEADER,))[3],))
