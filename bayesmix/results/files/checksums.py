"""Checksums of the numbers in a file: a bit that has turned is no longer read as a draw."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["changed_array", "sums_of"]

_AT_ONCE = 1_000_000  # numbers


def sums_of(groups: Mapping[str, xr.Dataset]) -> str:
    """Compute a checksum of each array of numbers.

    Parameters
    ----------
    groups : mapping of str to Dataset

    Returns
    -------
    str
        JSON: by group and variable, CRC-32 of the values, which takes about a second for
        each GB. Texts and dates, which a file holds in another form, have none.
    """
    return json.dumps(
        {
            name: {
                str(variable): _sum(values.to_numpy())
                for variable, values in data.variables.items()
                if _has_sum(values)
            }
            for name, data in groups.items()
        }
    )


def changed_array(data: xr.Dataset, sums: Mapping[str, int]) -> str:
    """Name the first array whose numbers are others than when they were saved; empty if none is.

    Parameters
    ----------
    data : Dataset
    sums : mapping of str to int
        What `sums_of` has for it.
    """
    for name, wanted in sums.items():
        values = data.variables.get(name)
        if values is not None and (not _has_sum(values) or _sum(values.to_numpy()) != wanted):
            return name
    return ""


def _has_sum(values: xr.Variable) -> bool:
    return values.dtype.kind in "biuf"


def _sum(values: np.ndarray) -> int:
    flat, found = values.reshape(-1), 0
    for start in range(0, len(flat), _AT_ONCE):
        block = flat[start : start + _AT_ONCE]
        if block.dtype.kind == "f" and np.isnan(block).any():
            block = np.where(np.isnan(block), np.nan, block)  # NaN of any sign and content
        block = np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("<"))
        found = zlib.crc32(block.view(np.uint8), found)
    return found
