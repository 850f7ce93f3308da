"""Predictions of ordered categories: their probabilities, and the categories themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.laws.linear import for_each_block
from bayesmix.laws.predictor import Predictor, row_summaries
from bayesmix.laws.rows import Rows
from bayesmix.memory import check_memory

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "CATEGORY",
    "as_categories",
    "category_table",
    "probability_draws",
    "probability_table",
    "with_categories",
]

CATEGORY = "response_category"  # the dimension of draws
_NAMES = ("estimate", "sd", "lower", "upper")


def probability_table(
    predictor: Predictor, rows: Rows, n_draws: int, categories: Sequence[Any], ci_prob: float
) -> pd.DataFrame:
    """One row per row and category: category, estimate, sd, lower, upper.

    Parameters
    ----------
    predictor : Predictor
    rows : Rows
    n_draws : int
    categories : sequence
        The lowest first.
    ci_prob : float
    """
    n, K = rows.n_rows, len(categories)
    out = np.empty((4, n, K))

    def summarise(_: int, block: slice) -> None:
        for k, draws in enumerate(predictor.category_block(block)):
            out[:, block, k] = row_summaries(draws, ci_prob)

    for_each_block(n, n_draws * K, summarise)
    numbers = np.tile(np.arange(K), n)
    columns = {
        "category": _categorical(numbers, categories),
        **dict(zip(_NAMES, out.reshape(4, -1), strict=True)),
    }
    return pd.DataFrame(columns, index=rows.labels.repeat(K))


def category_table(
    predictor: Predictor, rows: Rows, n_draws: int, categories: Sequence[Any], ci_prob: float
) -> pd.DataFrame:
    """One row per row: the category drawn most often, and summaries of its number."""
    out = np.empty((4, rows.n_rows))
    most = np.empty(rows.n_rows, dtype=np.int64)

    def summarise(number: int, block: slice) -> None:
        draws = predictor.block(number, block)
        counts = [(draws == k + 1).sum(axis=1) for k in range(len(categories))]
        most[block] = np.argmax(counts, axis=0)
        out[:, block] = row_summaries(draws, ci_prob)

    for_each_block(rows.n_rows, n_draws, summarise)
    columns = {"category": _categorical(most, categories), **dict(zip(_NAMES, out, strict=True))}
    return pd.DataFrame(columns, index=rows.labels)


def probability_draws(
    predictor: Predictor, rows: Rows, n_draws: int, categories: Sequence[Any]
) -> np.ndarray:
    """Draws of each probability, shape (S, n, K).

    Raises
    ------
    NotSupportedError
        For more than memory holds.
    """
    n, K = rows.n_rows, len(categories)
    check_memory(
        f"{n} rows x {n_draws} draws x {K} categories",
        n * n_draws * K,
        "use fewer with draws=, or predict(), which keeps their mean and interval only",
    )
    out = np.empty((n_draws, n, K))

    def fill(_: int, block: slice) -> None:
        out[:, block] = np.moveaxis(predictor.category_block(block), (0, 1, 2), (2, 1, 0))

    for_each_block(n, n_draws * K, fill)
    return out


def with_categories(
    one: xr.DataArray, values: np.ndarray, categories: Sequence[Any]
) -> xr.DataArray:
    """Add the dimension of the categories to labelled draws.

    Parameters
    ----------
    one : DataArray, dims (chain, draw, row)
        Whose labels are used.
    values : ndarray, shape (S, n, K)
    categories : sequence
    """
    import xarray as xr

    return xr.DataArray(
        values.reshape(*one.shape, len(categories)),
        dims=(*one.dims, CATEGORY),
        coords={**one.coords, CATEGORY: [str(category) for category in categories]},
        name=one.name,
    )


def as_categories(table: pd.DataFrame, categories: Sequence[Any]) -> pd.DataFrame:
    """Turn columns of category numbers, from 1, into ordered categories."""
    columns = {
        name: _categorical(values.to_numpy().astype(np.int64) - 1, categories)
        for name, values in table.items()
    }
    return pd.DataFrame(columns, index=table.index)


def _categorical(numbers: np.ndarray, categories: Sequence[Any]) -> pd.Categorical:
    dtype = pd.CategoricalDtype(list(categories), ordered=True)
    return pd.Categorical.from_codes(numbers.tolist(), dtype=dtype)
