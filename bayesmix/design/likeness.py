"""A column of new data becomes what the fitted column was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import listed, plain
from bayesmix.design.frame import prepare_column
from bayesmix.errors import DataError

__all__ = ["like_fitted"]


def like_fitted(
    column: pd.Series[Any], fitted: pd.Series[Any], labels: pd.Index[Any]
) -> pd.Series[Any]:
    """Bring a new column to the kind and the levels that the fitted one had, or say why not.

    Parameters
    ----------
    column : Series, length n
    fitted : Series
    labels : Index, length n
        The labels of the rows in the caller's data, for messages.

    Raises
    ------
    DataError
        If it has a missing value, another type, or a level that the fitted one had not.
    """
    holes = np.flatnonzero(column.isna())
    if holes.size:
        raise DataError(
            f"the new data have a missing value in column `{column.name}`, row "
            f"{labels[holes[0]]}; a prediction needs every predictor"
        )
    prepared = prepare_column(column)
    if isinstance(fitted.dtype, pd.CategoricalDtype):
        levels = fitted.cat.categories
        unseen = [value for value in pd.unique(prepared) if value not in levels]
        if unseen:
            raise DataError(
                f"column `{column.name}` has the level {plain(unseen[0])!r}, which the model has "
                f"not seen; known are {listed(levels)}"
            )
        return pd.Series(
            pd.Categorical(prepared, categories=levels, ordered=fitted.cat.ordered),
            index=column.index,
            name=column.name,
        )
    if fitted.dtype == bool:
        return _like_truth(prepared, labels)
    if isinstance(prepared.dtype, pd.CategoricalDtype):
        raise DataError(
            f"column `{column.name}` was numeric in fitting ({fitted.dtype}) and holds text now, "
            f"such as {prepared.iloc[0]!r}"
        )
    return prepared.astype(fitted.dtype) if prepared.dtype.kind in "iu" else prepared


def _like_truth(column: pd.Series[Any], labels: pd.Index[Any]) -> pd.Series[Any]:
    """Take True, False, 1 and 0 for a column that held truth values."""
    other = np.flatnonzero(~column.isin([True, False]).to_numpy())
    if other.size:
        raise DataError(
            f"column `{column.name}` is {plain(column.iloc[other[0]])!r} in row "
            f"{labels[other[0]]}, and was True or False in fitting; give True, False, 1 or 0"
        )
    return column.astype(bool)
