"""What a fit leaves of the response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from bayesmix.results.predict.levels import name_key
from bayesmix.results.predict.linear import for_each_block

if TYPE_CHECKING:
    from bayesmix.results.predict.predictor import Predictor

__all__ = ["Residual", "residual_values"]

Residual = Literal["response", "pearson", "quantile"]


def residual_values(
    kind: Residual,
    y: np.ndarray,
    predictor: Predictor,
    n_draws: int,
    seed: int,
) -> np.ndarray:
    """Residuals of one kind.

    Parameters
    ----------
    kind : {"response", "pearson", "quantile"}
    y : ndarray, shape (n,)
    predictor : Predictor
        Of replicates for "quantile", else of the linear predictor.
    n_draws : int
    seed : int

    Returns
    -------
    ndarray, shape (n,)
    """
    out = np.empty(len(y))
    if kind == "quantile":
        words = [seed, name_key("quantile residuals")]
        u = np.random.default_rng(np.random.SeedSequence(words)).uniform(size=len(y))

    def one_block(number: int, block: slice) -> None:
        draws = predictor.block(number, block)
        if kind == "quantile":
            below = (draws < y[block, None]).sum(axis=1)
            equal = (draws == y[block, None]).sum(axis=1)
            # Between the replicates: never quite 0 or 1.
            rank = (below + u[block] * (equal + 1)) / (n_draws + 1)
            out[block] = special.ndtri(rank)
            return
        mean, variance = predictor.moments(draws, block)
        residual = y[block] - mean.mean(axis=1)
        if kind == "pearson":
            residual = residual / np.sqrt(variance.mean(axis=1))
        out[block] = residual

    for_each_block(len(y), n_draws, one_block)
    return out
