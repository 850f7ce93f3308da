"""What the user asks of the sampler, checked before anything is compiled."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.arguments import check_probability, whole_number

__all__ = ["SamplerSettings"]

_LEAST_TUNE = 20  # fewer warm-up steps leave no step size (measured; nutpie panics at 0)

_MOST_CHAINS = 10_000  # each has a warm-up and memory of its own
_MOST_CORES = 1024  # each is a thread

_LARGEST_SEED = 2**64 - 1  # the sampler's is a number of 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerSettings:
    """Settings of a NUTS run.

    Attributes
    ----------
    draws, tune, chains : int
        Draws kept and warm-up steps per chain, and number of chains.
    cores : int
        Chains that run at the same time.
    seed : int
        Always a number here, so that a run can be repeated.
    target_accept : float
        Mean acceptance probability that the step size is tuned to, in (0, 1).
    progress : bool
        Whether to tell on standard error what is going on.
    """

    draws: int
    tune: int
    chains: int
    cores: int
    seed: int
    target_accept: float
    progress: bool

    @classmethod
    def checked(
        cls,
        *,
        draws: Any,
        tune: Any,
        chains: Any,
        cores: Any,
        seed: Any,
        target_accept: Any,
        progress: bool,
    ) -> SamplerSettings:
        """Check what the user gave.

        Raises
        ------
        ArgumentError
            Naming the argument, the value and what is wanted.
        """
        n_chains = whole_number("chains", chains, 1, _MOST_CHAINS)
        if cores is None:
            cores = min(n_chains, os.cpu_count() or 1)
        check_probability("target_accept", target_accept)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        return cls(
            draws=whole_number("draws", draws, 1),
            tune=whole_number("tune", tune, _LEAST_TUNE),
            chains=n_chains,
            cores=whole_number("cores", cores, 1, _MOST_CORES),
            seed=whole_number("seed", seed, 0, _LARGEST_SEED),
            target_accept=float(target_accept),
            progress=progress,
        )
