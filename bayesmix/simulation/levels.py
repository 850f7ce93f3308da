"""Designs of other sizes: a factor with more levels, or fewer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean
from bayesmix.errors import ArgumentError
from bayesmix.memory import check_memory

if TYPE_CHECKING:
    from bayesmix.model import Model

__all__ = ["with_levels"]


def with_levels(frame: pd.DataFrame, model: Model, sizes: Mapping[str, int]) -> pd.DataFrame:
    """Give factors other numbers of levels.

    Levels beyond those that are there have the rows of the first ones again, under new labels,
    and so have the levels of other grouping factors that lie within them.

    Parameters
    ----------
    frame : DataFrame
    model : Model
        Whose grouping factors those are that may lie within.
    sizes : mapping of str to int
        By column.

    Returns
    -------
    DataFrame

    Raises
    ------
    ArgumentError
        If there is no such column, or one has fewer than one level.
    """
    grouping = {
        column
        for predictor in model.design.predictors.values()
        for group in predictor.grouping
        for column in group.levels.columns
    }
    for name, n in sizes.items():
        if name not in frame.columns:
            raise ArgumentError(
                f"levels= names {name!r}, which is no column; "
                f"{did_you_mean(name, map(str, frame.columns))}there are "
                f"{', '.join(map(str, frame.columns))}"
            )
        frame = _resized(frame, name, n, grouping - {name})
    return frame


def _resized(frame: pd.DataFrame, name: str, n: int, grouping: set[str]) -> pd.DataFrame:
    codes, labels = pd.factorize(frame[name])
    n_rows = n * len(frame) // max(len(labels), 1)
    check_memory(
        f"levels={{{name!r}: {n}}}", n_rows * (len(frame.columns) + 8), "take fewer levels"
    )
    own = {k: np.flatnonzero(codes == k) for k in range(len(labels))}
    rows = np.concatenate([own[k % len(labels)] for k in range(n)])
    level = np.repeat(np.arange(n), [len(own[k % len(labels)]) for k in range(n)])
    out = frame.iloc[rows].reset_index(drop=True)
    copy = level // len(labels)
    within = [
        column for column in grouping
        if column in frame.columns and _lies_within(frame[column], frame[name])
    ]  # fmt: skip
    for column in (name, *within):
        out[column] = _relabelled(out[column], copy)
    return out


def _lies_within(inner: pd.Series, outer: pd.Series) -> bool:
    """Whether each level of one column occurs in one level of another only, and parts it."""
    pairs = pd.DataFrame({"inner": inner, "outer": outer}).drop_duplicates()
    return bool(len(pairs) == pairs["inner"].nunique() > pairs["outer"].nunique())


def _relabelled(values: pd.Series, copy: np.ndarray) -> pd.Series:
    """Labels of copies: numbers go on counting, text has the number of its copy behind it."""
    if not copy.any():
        return values.cat.remove_unused_categories() if hasattr(values, "cat") else values
    if pd.api.types.is_integer_dtype(values):
        step = int(values.max()) - int(values.min()) + 1
        return values + step * copy
    text = values.astype(str)
    return text.where(copy == 0, text + "." + (pd.Series(copy, index=text.index) + 1).astype(str))
