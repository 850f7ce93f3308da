"""A run of nutpie, whoever compiled the density: sampling, statistics, interruptions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bayesmix.errors import OWN_FILES, SamplingError, SamplingWarning
from bayesmix.inference.announce import counted, stage
from bayesmix.inference.draws import keep_complete_draws, without_shape_warnings
from bayesmix.inference.settings import SamplerSettings
from bayesmix.inference.traces import arrays_of

__all__ = ["complete_or_warn", "run_nutpie"]

# nutpie's names of sampler statistics, and ArviZ's.
_STATS = {
    "diverging": "diverging",
    "energy": "energy",
    "logp": "lp",
    "mean_tree_accept": "acceptance_rate",
    "depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
    "n_steps": "n_steps",
    "step_size": "step_size",
}
STATS = tuple(_STATS.values())


def run_nutpie(
    compiled: Any, variables: Sequence[str], settings: SamplerSettings, seconds: dict[str, float]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Sample a compiled model.

    Parameters
    ----------
    compiled : a compiled model of nutpie
    variables : sequence of str
    settings : SamplerSettings
    seconds : dict
        Receives the wall time under "sample".

    Returns
    -------
    posterior, sample_stats : dict of str to ndarray, shape (chains, draws, ...)
        Padded with NaN where the run was interrupted.

    Raises
    ------
    SamplingError
        If nutpie fails.
    """
    from bayesmix.inference.lean_nutpie import nutpie

    try:
        with stage(seconds, "sample"), without_shape_warnings():
            trace: Any = nutpie.sample(
                compiled,
                draws=settings.draws,
                tune=settings.tune,
                chains=settings.chains,
                cores=settings.cores,
                seed=settings.seed,
                target_accept=settings.target_accept,
                save_warmup=False,
                progress_bar=settings.progress,
                return_raw_trace=True,
            )
            draws, about = trace.get_arrow_trace()
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    # nutpie's PanicException is no Exception, so that is not enough to catch it.
    except BaseException as error:
        raise SamplingError(
            f"nutpie could not sample this model: {_reason(error)}; "
            "look at the scales of the priors and of the data"
        ) from error
    tuning = [np.asarray(arrays.column("tuning")).astype(bool) for arrays in about]
    posterior = arrays_of(draws, tuning, variables)
    found = arrays_of(about, tuning, _STATS)
    stats = {_STATS[name]: values for name, values in found.items()}
    return posterior, stats


def _reason(error: BaseException) -> str:
    """What nutpie says on one line, without the addresses of its stack."""
    return " ".join(str(error).partition("Stack backtrace")[0].split()).rstrip(".")


def complete_or_warn(
    posterior: Mapping[str, np.ndarray],
    stats: Mapping[str, np.ndarray],
    settings: SamplerSettings,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], bool]:
    """Keep the complete draws, and say so where they are fewer than was asked for.

    Returns
    -------
    posterior, sample_stats : dict of str to ndarray
    interrupted : bool

    Raises
    ------
    KeyboardInterrupt
        If there is no draw at all.

    Warns
    -----
    SamplingWarning
    """
    kept, kept_stats = keep_complete_draws(posterior, stats)
    n_chains, n_draws = next(iter(kept.values())).shape[:2]
    if n_draws == 0:
        raise KeyboardInterrupt("sampling was interrupted during warm-up, before the first draw")
    interrupted = (n_chains, n_draws) != (settings.chains, settings.draws)
    if interrupted:
        warnings.warn(
            f"sampling was interrupted: {counted(n_chains, 'chain')} of "
            f"{counted(n_draws, 'draw')} are kept, of "
            f"{settings.chains} x {settings.draws}",
            SamplingWarning,
            skip_file_prefixes=OWN_FILES,
        )
    return kept, kept_stats, interrupted
