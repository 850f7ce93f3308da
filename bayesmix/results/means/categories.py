"""Means of each category's probability: what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.results.means.estimable import Estimable

__all__ = ["each_category"]


def each_category(
    keys: pd.DataFrame, known: Estimable, categories: Sequence[Any]
) -> tuple[pd.DataFrame, Estimable]:
    """Repeat what averages are called for each category, and add its column.

    Parameters
    ----------
    keys : DataFrame, K rows
    known : Estimable
        The K averages.
    categories : sequence, length C

    Returns
    -------
    DataFrame, K C rows
        The categories of an average behind each other, in the last column.
    Estimable
    """
    K, C = len(keys), len(categories)
    name = "category" if "category" not in keys.columns else "response_category"
    repeated = keys.loc[keys.index.repeat(C)].reset_index(drop=True)
    dtype = pd.CategoricalDtype(list(categories), ordered=True)
    numbers = np.tile(np.arange(C), K)
    repeated[name] = pd.Categorical.from_codes(numbers.tolist(), dtype=dtype)
    return repeated, known.combined(np.repeat(np.eye(K), C, axis=0))
