"""What an engine hands over: draws as plain arrays, and how they came about."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Draws", "GroupMoments", "keep_complete_draws", "without_shape_warnings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMoments:
    """Posterior means and standard deviations of a grouping factor's effects.

    Attributes
    ----------
    mean, sd : ndarray, shape (G, q)
        Means and standard deviations of the group effects.
    coefficient_mean, coefficient_sd : ndarray, shape (G, q)
        The same for the sum of fixed and group effect.
    """

    mean: np.ndarray
    sd: np.ndarray
    coefficient_mean: np.ndarray
    coefficient_sd: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Draws of an engine, before names and labels are attached.

    Attributes
    ----------
    posterior : mapping of str to ndarray, shape (chains, draws, ...)
    sample_stats : mapping of str to ndarray, shape (chains, draws)
        Under ArviZ's names; empty where the draws are independent.
    engine : str
        What made them, in words.
    seconds : mapping of str to float
        Wall time by stage ("compile", "sample").
    seed : int
    tune : int
        Warm-up steps per chain.
    interrupted : bool
        Whether sampling ended before the draws that were asked for.
    prior_only : bool
        Whether these are draws from the prior.
    group_moments : mapping of str to GroupMoments
        By grouping factor, where draws of the group effects are not kept.
    choice : str
        What speaks for this sampler, in words; empty where there was no choice.
    """

    posterior: Mapping[str, np.ndarray]
    sample_stats: Mapping[str, np.ndarray]
    engine: str
    seconds: Mapping[str, float]
    seed: int
    tune: int
    interrupted: bool = False
    prior_only: bool = False
    group_moments: Mapping[str, GroupMoments] = field(default_factory=dict)
    choice: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of chains and of draws in each."""
        first = next(iter(self.posterior.values()))
        return first.shape[0], first.shape[1]


def keep_complete_draws(
    posterior: Mapping[str, np.ndarray], stats: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Cut chains of uneven length, padded with NaN, to the largest common block.

    Parameters
    ----------
    posterior, stats : mapping of str to ndarray, shape (chains, draws, ...)

    Returns
    -------
    posterior, stats : dict of str to ndarray
        k chains of d draws each, with k and d such that k d is largest; no draws
        if there were none.
    """
    size = next(iter(posterior.values())).shape
    lengths = np.full(size[0], size[1] + 1)
    for values in posterior.values():
        there = ~np.isnan(values.reshape(*size[:2], math.prod(values.shape[2:])))
        if not there.size:
            continue
        last = there.shape[1] - np.argmax(there[:, ::-1], axis=1)
        n_drawn = np.where(there.any(axis=1), last, 0)
        # What a model defines beside its parameters may be NaN in every draw.
        n_drawn = n_drawn[:, n_drawn.any(axis=0)]
        lengths = np.minimum(lengths, n_drawn.min(axis=1, initial=size[1] + 1))
    lengths[lengths > size[1]] = 0  # there was nothing
    order = np.argsort(-1 * lengths, kind="stable")
    kept = lengths[order] * np.arange(1, len(lengths) + 1)
    n_chains = int(np.argmax(kept)) + 1 if len(kept) else 0
    n_draws = int(lengths[order][n_chains - 1]) if n_chains else 0
    chains = np.sort(order[:n_chains])

    def cut(values: np.ndarray) -> np.ndarray:
        return values[chains, :n_draws]

    return (
        {name: cut(values) for name, values in posterior.items()},
        {name: cut(values) for name, values in stats.items()},
    )


@contextmanager
def without_shape_warnings() -> Iterator[None]:
    """Hold ArviZ's question back whether more chains than draws were confused with them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found chain dimension to be longer")
        yield
