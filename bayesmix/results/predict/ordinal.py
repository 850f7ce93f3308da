"""Predictions of categories: their probabilities, and the categories themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.laws.linear import for_each_block
from bayesmix.laws.predictor import Predictor, row_summaries
from bayesmix.laws.rows import Rows
from bayesmix.memory import check_memory

__all__ = [
    "as_categories",
    "category_table",
    "probability_draws",
    "probability_table",
]

_NAMES = ("estimate", "sd", "lower", "upper")


def probability_table(
    predictor: Predictor, rows: Rows, n_draws: int, categories: Sequence[Any], ci_prob: float, *,
    ordered: bool = True, counts: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """One row per row and category: category, estimate, sd, lower, upper.

    Parameters
    ----------
    predictor : Predictor
    rows : Rows
    n_draws : int
    categories : sequence
        The lowest first.
    ci_prob : float
    ordered : bool
        Whether they have an order.
    counts : bool
        Whether the numbers are counts of the categories, that are drawn, and no probabilities.
    """
    n, K = rows.n_rows, len(categories)
    out = np.empty((4, n, K))

    def summarise(number: int, block: slice) -> None:
        drawn = (
            np.ascontiguousarray(np.moveaxis(predictor.block(number, block), 2, 0))
            if counts
            else predictor.category_block(block)
        )
        for k, draws in enumerate(drawn):
            out[:, block, k] = row_summaries(draws, ci_prob)

    for_each_block(n, n_draws * K, summarise)
    numbers = np.tile(np.arange(K), n)
    columns = {
        "category": _categorical(numbers, categories, ordered=ordered),
        **dict(zip(_NAMES, out.reshape(4, -1), strict=True)),
    }
    return pd.DataFrame(columns, index=rows.labels.repeat(K))


def category_table(
    predictor: Predictor, rows: Rows, n_draws: int, categories: Sequence[Any], ci_prob: float, *,
    ordered: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """One row per row: the category drawn most often, and summaries of its number.

    Where categories have no order, the share of the draws that are this category.
    """
    out = np.empty((4, rows.n_rows))
    most, share = np.empty(rows.n_rows, dtype=np.int64), np.empty(rows.n_rows)

    def summarise(number: int, block: slice) -> None:
        draws = predictor.block(number, block)
        counts = [(draws == k + 1).sum(axis=1) for k in range(len(categories))]
        most[block], share[block] = np.argmax(counts, axis=0), np.max(counts, axis=0) / n_draws
        out[:, block] = row_summaries(draws, ci_prob)

    for_each_block(rows.n_rows, n_draws, summarise)
    summary = dict(zip(_NAMES, out, strict=True)) if ordered else {"share": share}
    columns = {"category": _categorical(most, categories, ordered=ordered), **summary}
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


def as_categories(
    table: pd.DataFrame, categories: Sequence[Any], *, ordered: bool = True
) -> pd.DataFrame:
    """Turn columns of category numbers, from 1, into categories."""
    columns = {
        name: _categorical(values.to_numpy().astype(np.int64) - 1, categories, ordered=ordered)
        for name, values in table.items()
    }
    return pd.DataFrame(columns, index=table.index)


def _categorical(
    numbers: np.ndarray, categories: Sequence[Any], *, ordered: bool
) -> pd.Categorical:
    dtype = pd.CategoricalDtype(list(categories), ordered=ordered)
    return pd.Categorical.from_codes(numbers.tolist(), dtype=dtype)
