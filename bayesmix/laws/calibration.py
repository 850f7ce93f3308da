"""How the observations lie in their predictive distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from bayesmix.families.one_category import one_category
from bayesmix.laws.levels import name_key
from bayesmix.laws.linear import for_each_block
from bayesmix.laws.predictor import Predictor
from bayesmix.laws.residuals import share_below
from bayesmix.laws.weights import LEAST_FOR_WEIGHTS, kept_apart

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = [
    "Calibration", "calibration_of_draws", "calibration_of_residuals", "commonest_category",
]  # fmt: skip

_LOOKED_AT = 150  # rows whose weights are judged: 2 ms each


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How the observations lie in their predictive distributions.

    Attributes
    ----------
    pit : ndarray, shape (n,)
        Probability integral transforms.
    name : str
        How they came about.
    quantile : ndarray, shape (n,)
        Quantile residuals of the fit.
    fitted : ndarray, shape (n,)
    note : str
        What is to be said of the weights that leave rows out; empty where nothing is.
    """

    pit: np.ndarray
    name: str
    quantile: np.ndarray
    fitted: np.ndarray
    note: str = ""


def commonest_category(model: StatedModel) -> StatedModel:
    """The model whose response is whether it is the commonest category."""
    if model.family.has_counts:
        number = 1 + int(np.argmax(model.y.sum(axis=0)))
    else:
        number = int(np.argmax(np.bincount(model.y.astype(np.int64))))
    family, y = one_category(model.family, model.y, number)
    return model.with_parts(family=family, y=y)


def calibration_of_residuals(quantile: np.ndarray, fitted: np.ndarray, name: str) -> Calibration:
    """Where quantile residuals say that the observations lie."""
    return Calibration(pit=special.ndtr(quantile), name=name, quantile=quantile, fitted=fitted)


def calibration_of_draws(
    y: np.ndarray, responses: Predictor, means: Predictor, seed: int
) -> Calibration:
    """PIT as if each row had been left out, quantile residuals, and fitted values.

    Parameters
    ----------
    y : ndarray, shape (n,)
    responses, means : Predictor
        Responses and means of the rows of the fit, by the same draws.
    seed : int
    """
    n_draws = responses.n_draws
    words = [seed, name_key("pit")]
    u = np.random.default_rng(np.random.SeedSequence(words)).uniform(size=len(y))
    pit, rank, fitted = np.empty(len(y)), np.empty(len(y)), np.empty(len(y))
    looked_at = np.linspace(0, len(y) - 1, min(len(y), _LOOKED_AT)).astype(int)
    log_density = np.empty((len(looked_at), n_draws))

    def one_block(number: int, block: slice) -> None:
        drawn = responses.block(number, block)
        log_p = responses.log_prob(y[block], block).T
        fitted[block] = means.block(number, block).mean(axis=1)
        status = responses.per_row(block).get("status")
        below = share_below(drawn, y[block], u[block], status)
        own = np.flatnonzero((looked_at >= block.start) & (looked_at < block.stop))
        log_density[own] = log_p[looked_at[own] - block.start]
        # Importance weights of leaving the row out, truncated (Ionides 2008).
        weight = np.exp(np.minimum(log_p.max(axis=1, keepdims=True) - log_p, 500.0))
        weight = np.minimum(weight, np.sqrt(n_draws) * weight.mean(axis=1, keepdims=True))
        pit[block] = (weight * below).sum(axis=1) / weight.sum(axis=1)
        rank[block] = (below.sum(axis=1) + u[block]) / (n_draws + 1)

    for_each_block(len(y), n_draws, one_block)
    quantile = special.ndtri(rank)
    note = _unreliable(log_density)
    return Calibration(pit=pit, name="leave-one-out", quantile=quantile, fitted=fitted, note=note)


def _unreliable(log_density: np.ndarray) -> str:
    """Say of how many rows Pareto's k is too large, as `Posterior.loo` does of all."""
    from arviz_stats.base import array_stats

    n_rows, n_draws = log_density.shape
    if n_draws < LEAST_FOR_WEIGHTS or not np.isfinite(log_density).all():
        return ""
    k = array_stats.psislw(kept_apart(log_density))[1]  # of the weights 1 / density
    # Vehtari et al. (2024): what so many draws can bear.
    n_bad = int((~(k <= min(1 - 1 / np.log10(n_draws), 0.7))).sum())
    return f"{n_bad} of {n_rows} weights unreliable: loo()" if n_bad else ""
