"""When a posterior is drawn one grouping factor after the other."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.errors import NotSupportedError

if TYPE_CHECKING:
    from bayesmix.inference.draws import Draws
    from bayesmix.statement.stated import FittableModel

__all__ = ["Asked", "mixed_slowly", "why_by_factors"]

_OF_SHORT = 10  # draws of a short chain for each that is to be effective


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a user asks of a sampler.

    Attributes
    ----------
    sampler, engine : str
    target_accept : float or None
    prior_only : bool
    """

    sampler: str
    engine: str
    target_accept: float | None
    prior_only: bool


def why_by_factors(
    model: FittableModel, asked: Asked, why_not_fast: str, *, integrates: bool
) -> str:
    """What speaks for it, in words; empty if nothing does.

    Parameters
    ----------
    model : FittableModel
    asked : Asked
    why_not_fast : str
        Why the fast engine takes no other way, if it does not.
    integrates : bool
        Whether the effects are those of a plain normal response.

    Returns
    -------
    str

    Raises
    ------
    NotSupportedError
        If it is asked for and not possible.
    """
    from bayesmix.inference.engines import why_not_integrated
    from bayesmix.inference.factor_blocks import why_not_by_factors, why_quicker

    by_name = asked.sampler == "gibbs"
    if not by_name and (asked.sampler != "auto" or asked.engine == "pymc"):
        return ""
    reason = "it needs effects that integrate out, those of a normal response"
    if model.pymc_changes:
        reason = why_not_fast
    elif integrates:
        parts = (model.design, model.family, model.rows, model.prior_entries)
        reason = why_not_integrated(*parts) or why_not_by_factors(model)
    if asked.prior_only:
        reason = "draws from the prior have no sampler: leave sampler= out"
    elif asked.engine == "pymc":
        reason = "it is one of the fast engine"
    elif asked.target_accept is not None:
        reason = reason or "it has no step size, which target_accept= is about"
    if by_name and reason:
        raise NotSupportedError(f'sampler="gibbs" is not possible: {reason}; take sampler="auto"')
    because = why_not_fast
    if not reason and not by_name:
        because = why_not_fast or why_quicker(model)
    if reason or not (because or by_name):
        return ""
    return "One grouping factor after the other" + (f": {because}" if because else "")


def mixed_slowly(draws: Draws, effects: Collection[str]) -> str:
    """What shows that sweeps were too dependent, in words; empty if they were not.

    Crossed factors that are nearly nested tell little of each other's effects but their sum,
    and a sweep moves one of them at a time.

    Parameters
    ----------
    draws : Draws
    effects : collection of str
        Variables that are not looked at.

    Returns
    -------
    str
    """
    from bayesmix.laws.summaries import diagnose
    from bayesmix.results.tabular.diagnostics import ESS_PER_CHAIN, R_HAT_ALARM

    if draws.interrupted:
        return ""
    shared = [
        values.reshape(*values.shape[:2], -1)
        for name, values in draws.posterior.items() if name not in effects
    ]  # fmt: skip
    found = diagnose(np.concatenate(shared, axis=2))
    n_chains, n_draws = shared[0].shape[:2]
    least = n_chains * min(ESS_PER_CHAIN, n_draws / _OF_SHORT)
    smallest = np.nanmin([*found["ess_bulk"], *found["ess_tail"], np.inf])
    largest = np.nanmax([*found["r_hat"], 1.0])
    if smallest < least:
        return f"has a smallest effective sample size of {smallest:.0f}"
    return f"has a largest r_hat of {largest:.2f}" if largest > R_HAT_ALARM else ""
