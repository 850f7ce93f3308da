"""Columns and labels as plain arrays with a word on what they are, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.errors import FileError

__all__ = ["column_from_saved", "index_from_saved", "saved_column", "saved_index"]

Saved = dict[str, Any]


def saved_column(column: pd.Series[Any], name: str, arrays: dict[str, np.ndarray]) -> Saved:
    """Put a prepared column into `arrays` under `name`, and say what it is."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        arrays[name] = column.to_numpy()
        return {"kind": "values", "at": name}
    arrays[name] = column.cat.codes.to_numpy().astype(np.int32)
    levels = saved_index(column.cat.categories, f"{name}_levels", arrays)
    return {"kind": "category", "at": name, "levels": levels, "ordered": bool(column.cat.ordered)}


def column_from_saved(saved: Saved, arrays: Mapping[str, np.ndarray]) -> pd.Series[Any]:
    """Make the column again.

    Raises
    ------
    FileError
        If the arrays do not make one.
    """
    values = _array(arrays, saved["at"])
    if saved["kind"] == "values":
        if values.dtype.kind not in "biuf":
            raise FileError(f"column `{saved['name']}` holds {values.dtype}")
        return pd.Series(values)
    levels = index_from_saved(saved["levels"], arrays)
    if values.dtype.kind not in "iu" or (
        len(values) and not 0 <= values.min() <= values.max() < len(levels)
    ):
        raise FileError(f"column `{saved['name']}` has codes without a level")
    return pd.Series(pd.Categorical.from_codes(values, levels, ordered=bool(saved["ordered"])))


def saved_index(index: pd.Index[Any], name: str, arrays: dict[str, np.ndarray]) -> Saved:
    """Put labels into `arrays` under `name`, and say what they are.

    Numbers, text, dates and intervals come back as they are, others as text.
    """
    if isinstance(index, pd.RangeIndex):
        return {"kind": "range", "range": [index.start, index.stop, index.step]}
    if isinstance(index, pd.IntervalIndex) and index.left.dtype.kind in "iuf":
        arrays[f"{name}_left"] = index.left.to_numpy()
        arrays[f"{name}_right"] = index.right.to_numpy()
        return {"kind": "interval", "at": name, "closed": index.closed}
    if isinstance(index, pd.DatetimeIndex) and index.tz is None:
        arrays[name] = index.to_numpy().astype(np.int64)
        return {"kind": "date", "at": name, "unit": index.unit}
    if isinstance(index.dtype, np.dtype) and index.dtype.kind in "biuf":
        arrays[name] = index.to_numpy()
        return {"kind": "values", "at": name}
    arrays[name] = np.asarray([str(label) for label in index], dtype=object)
    return {"kind": "text", "at": name, "object": index.dtype == np.dtype(object)}


def index_from_saved(saved: Saved, arrays: Mapping[str, np.ndarray]) -> pd.Index[Any]:
    """Make the labels again.

    Raises
    ------
    FileError
        If the arrays do not make them.
    """
    kind = saved["kind"]
    if kind == "range":
        start, stop, step = (int(part) for part in saved["range"])
        return pd.RangeIndex(start, stop, step)
    if kind == "interval":
        left, right = (_array(arrays, f"{saved['at']}_{side}") for side in ("left", "right"))
        return pd.IntervalIndex.from_arrays(left, right, closed=saved["closed"])
    values = _array(arrays, saved["at"])
    if kind == "date":
        return pd.DatetimeIndex(values.astype(np.int64).view(f"datetime64[{saved['unit']}]"))
    if kind == "values":
        return pd.Index(values)
    if kind == "text":
        labels = [str(value) for value in values]
        return pd.Index(labels, dtype=object) if saved["object"] else pd.Index(labels)
    raise FileError(f"there are no labels of kind {kind!r}")


def _array(arrays: Mapping[str, np.ndarray], name: Any) -> np.ndarray:
    if name not in arrays or arrays[name].ndim != 1:
        raise FileError(f"the file lacks the column {name!r}")
    return arrays[name]
