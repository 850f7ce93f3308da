"""What a fit leaves of the response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from bayesmix.errors import NotSupportedError
from bayesmix.families import Family
from bayesmix.laws.levels import name_key
from bayesmix.laws.linear import for_each_block

if TYPE_CHECKING:
    from bayesmix.laws.predictor import Predictor

__all__ = ["Residual", "refuse_normalized", "residual_values", "share_below"]

Residual = Literal["response", "pearson", "normalized", "quantile"]


def refuse_normalized(family: Family) -> None:
    """Refuse whitened residuals of what is not normal.

    Raises
    ------
    NotSupportedError
    """
    if not family.is_linear_normal:
        raise NotSupportedError(
            f'residuals("normalized") are of a normal response, and the family is {family}; take '
            '"quantile"'
        )


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
        It predicts replicates for "quantile", else the linear predictor.
    n_draws : int
    seed : int

    Returns
    -------
    ndarray, shape (n,)
    """
    if y.ndim > 1:
        raise NotSupportedError(
            "counts of categories have no residual of a row: of_category(...).check() of the fit "
            "shows those of one category"
        )
    out = np.empty(len(y))
    if kind == "quantile":
        words = [seed, name_key("quantile residuals")]
        u = np.random.default_rng(np.random.SeedSequence(words)).uniform(size=len(y))

    def one_block(number: int, block: slice) -> None:
        draws = predictor.block(number, block)
        if kind == "quantile":
            status = predictor.per_row(block).get("status")
            below = share_below(draws, y[block], u[block], status).sum(axis=1)
            # Between the replicates: never quite 0 or 1.
            rank = (below + u[block]) / (n_draws + 1)
            out[block] = special.ndtri(rank)
            return
        mean, variance = predictor.moments(draws, block)
        residual = y[block] - mean.mean(axis=1)
        if kind == "pearson":
            residual = residual / np.sqrt(variance.mean(axis=1))
        out[block] = residual

    for_each_block(len(y), n_draws, one_block)
    return out


def share_below(
    draws: np.ndarray, y: np.ndarray, u: np.ndarray, status: np.ndarray | None
) -> np.ndarray:
    """How far each draw puts an observation up: 0 below it, 1 above it, between at ties.

    Its mean over draws is uniform under the model. For a censored row it is known only
    that the value lies beyond: its place is drawn there, as for ties.

    Parameters
    ----------
    draws : ndarray, shape (n, S)
    y : ndarray, shape (n,)
    u : ndarray, shape (n,)
        Uniform random numbers.
    status : ndarray, shape (n,), or None
        -1 for left-censored rows, 1 for right-censored ones.

    Returns
    -------
    ndarray, shape (n, S)
    """
    below = (draws < y[:, None]).astype(np.float64)
    equal = draws == y[:, None]
    if status is None:
        return below + u[:, None] * equal
    side = status[:, None]
    tied = np.where(side > 0, 1 - below, np.where(side < 0, below + equal, equal))
    return np.where(side < 0, 0.0, below) + u[:, None] * tied
