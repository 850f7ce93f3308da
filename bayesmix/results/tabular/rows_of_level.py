"""The rows of one level of a grouping factor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean
from bayesmix.design import Design, GroupingFactor
from bayesmix.design.known_covariance import as_label
from bayesmix.design.levels import Levels
from bayesmix.design.residual_rows import ResidualRows
from bayesmix.errors import ArgumentError, NotSupportedError

__all__ = ["rows_of_level"]


def rows_of_level(design: Design, level: Any, group: str | None) -> tuple[np.ndarray, str]:
    """Find the rows of a level, and what the level is called.

    Parameters
    ----------
    design : Design
    level : object
        A level as the data or the tables have it; a tuple of values where a grouping factor
        has several columns; None for the first level.
    group : str or None
        The first grouping factor by default. Series of correlated residuals are a group too.

    Returns
    -------
    rows : ndarray of int
    name : str
        ``student 17``.

    Raises
    ------
    NotSupportedError
        If there are neither grouping factors nor series.
    ArgumentError
        If there is no such level.
    DataError
        If there is no such grouping factor.
    """
    factor, name = _group_of_rows(design, group)
    if isinstance(factor, GroupingFactor) and factor.is_membership:
        return _rows_of_member(factor, level)
    labels = factor.levels.labels
    found = (
        np.zeros(1, dtype=int)
        if level is None
        else np.flatnonzero(labels == _label(factor.levels, level))
    )
    if not found.size:
        raise _no_such(name, level, labels)
    return np.flatnonzero(factor.index == found[0]), f"{name} {labels[found[0]]}"


def _group_of_rows(design: Design, group: str | None) -> tuple[GroupingFactor | ResidualRows, str]:
    """Find what tells the rows apart: a grouping factor, or the series of the residuals."""
    series = design.residual
    if series is not None:
        name = ":".join(series.levels.columns)
        known = {factor.name for factor in design.mu.grouping}
        if name not in known and (group == name or (group is None and not known)):
            return series, name
    if not design.mu.grouping:
        raise NotSupportedError(f"the model {design.formula} has no group effects")
    factor = design.mu.grouping[0] if group is None else design.mu.group(group)
    return factor, factor.name


def _rows_of_member(factor: GroupingFactor, level: Any) -> tuple[np.ndarray, str]:
    """The rows that belong, among others, to a level of ``mm(...)``."""
    labels = np.asarray(factor.effects, dtype=object)
    found = np.flatnonzero(labels == as_label(labels[0] if level is None else level))
    if not found.size:
        raise _no_such(factor.name, level, labels)
    return np.flatnonzero(factor.Z[:, found[0]] != 0), f"{factor.name} {labels[found[0]]}"


def _no_such(name: str, level: Any, labels: np.ndarray) -> ArgumentError:
    near = did_you_mean(str(level), labels).strip()
    some = ", ".join(map(str, labels[:3]))
    return ArgumentError(f"`{name}` has no level {level!r}; {near or f'it has {some}, ...'}")


def _label(levels: Levels, level: Any) -> str:
    """Label of a level that is given as text, or as the data hold it."""
    values = level if isinstance(level, tuple) else (level,)
    if len(values) != len(levels.columns):
        return str(level)
    frame = pd.DataFrame({c: [v] for c, v in zip(levels.columns, values, strict=True)})
    return str(levels.labels_of(frame)[0])
