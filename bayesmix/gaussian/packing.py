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
    _shapes: dict[str, tuple[int, ...]]

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
        np.concatenate([v.ravel() for v in values.values()], out=self.ints[first:])
        if lazy:
            for value, at in zip(reals.values(), real_starts, strict=False):
                copy_written(value, self.floats[at : at + value.size])
        else:
            np.concatenate([v.ravel() for v in reals.values()], out=self.floats)
        self._shapes = {name: value.shape for name, value in (values | reals).items()}

    def __getattr__(self, name: str) -> np.ndarray:
        """Look at an array when it is asked for: kernels never do."""
        shape = vars(self).get("_shapes", {}).get(name)
        if shape is None:
            raise AttributeError(f"{type(self).__name__!r} has no {name!r}")
        is_int = name in self._INTS
        k = self._INTS.index(name) if is_int else len(self._INTS) + 1 + self._FLOATS.index(name)
        start, stop = self.ints[HEADER + k : HEADER + k + 2].tolist()
        view = (self.ints if is_int else self.floats)[start:stop].reshape(shape)
        setattr(self, name, view)
        return view

    def empty_like(self) -> Self:
        """Return arrays of the same layout whose integers are these and whose floats are not set.

        Nothing that stands beside the arrays is taken along.
        """
        made = object.__new__(type(self))
        made.ints, made.floats, made._shapes = self.ints, np.empty_like(self.floats), self._shapes
        return made

    def as_dict(self) -> dict[str, np.ndarray]:
        """Return the arrays by name."""
        return {name: getattr(self, name) for name in (*self._INTS, *self._FLOATS)}

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values for some of the arrays."""
        if all(np.shape(value) == self._shapes.get(name) for name, value in changes.items()):
            made = object.__new__(type(self))
            vars(made).update({k: v for k, v in vars(self).items() if k not in self._shapes})
            made.ints, made.floats = self.ints.copy(), self.floats.copy()
            for name, value in changes.items():
                getattr(made, name)[...] = value
            return made
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
