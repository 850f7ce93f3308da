"""Whether the sampler worked: what is looked at, the limits, and what to do."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesmix.results.tabular.summaries import diagnose

__all__ = ["Diagnostics", "diagnose_sampling"]

_R_HAT = 1.01  # Vehtari et al. (2021)
_ESS_PER_CHAIN = 100
_BFMI = 0.3  # Betancourt (2016)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Diagnostics:
    """Convergence of a run, over the fixed effects and the variance parameters.

    Attributes
    ----------
    divergences : int
        Number of divergent transitions after warm-up.
    max_treedepth_hits : int
        Transitions that were cut off at the largest tree.
    bfmi : ndarray, shape (chains,)
        Bayesian fraction of missing information; empty for independent draws.
    parameters : DataFrame
        One row per parameter: parameter, ess_bulk, ess_tail, r_hat.
    chains, draws : int
    """

    divergences: int
    max_treedepth_hits: int
    bfmi: np.ndarray
    parameters: pd.DataFrame
    chains: int
    draws: int

    @property
    def max_r_hat(self) -> float:
        """Largest r_hat; NaN for a single chain."""
        return _extreme(self.parameters["r_hat"], "max")

    @property
    def min_ess_bulk(self) -> float:
        """Smallest bulk effective sample size."""
        return _extreme(self.parameters["ess_bulk"], "min")

    @property
    def min_ess_tail(self) -> float:
        """Smallest tail effective sample size."""
        return _extreme(self.parameters["ess_tail"], "min")

    @property
    def problems(self) -> list[str]:
        """What is wrong, each with what to do about it; empty where all is well."""
        found = []
        if self.divergences:
            found.append(
                f"{self.divergences} divergent transitions: raise target_accept (0.95, 0.99), "
                "or give the standard deviations a tighter prior"
            )
        if self.max_r_hat > _R_HAT:
            worst = self.parameters.sort_values("r_hat")["parameter"].iloc[-1]
            found.append(
                f"r_hat of {worst} is {self.max_r_hat:.3f} (above {_R_HAT}): the chains "
                "disagree; raise tune and draws"
            )
        least = _ESS_PER_CHAIN * self.chains
        ess = min(self.min_ess_bulk, self.min_ess_tail)
        if ess < least:
            found.append(
                f"the smallest effective sample size is {ess:.0f} (below {least}): raise draws"
            )
        if self.bfmi.size and self.bfmi.min() < _BFMI:
            found.append(
                f"BFMI is {self.bfmi.min():.2f} (below {_BFMI}): the tails are explored slowly; "
                "raise tune, or give heavy-tailed priors a tighter scale"
            )
        if self.max_treedepth_hits:
            found.append(
                f"{self.max_treedepth_hits} transitions reached the largest tree: raise tune, "
                "or bring predictors to similar scales with scale(x)"
            )
        return found

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.problems

    def __str__(self) -> str:
        head = (
            f"{self.chains} chains x {self.draws} draws: {self.divergences} divergences, "
            f"smallest ESS {self.min_ess_bulk:.0f} (bulk) and {self.min_ess_tail:.0f} (tail)"
        )
        if np.isfinite(self.max_r_hat):
            head += f", largest r_hat {self.max_r_hat:.3f}"
        return "\n".join([head, *(f"- {problem}" for problem in self.problems)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = html.escape(str(self)).splitlines()
        items = "".join(f"<li>{line[2:]}</li>" for line in lines[1:])
        return f"<p>{lines[0]}</p><ul>{items}</ul>"


def diagnose_sampling(
    parameters: Mapping[str, np.ndarray], stats: Mapping[str, np.ndarray]
) -> Diagnostics:
    """Look at the parameters that every group shares.

    Parameters
    ----------
    parameters : mapping of str to ndarray, shape (chains, draws)
        By label. Group effects are left out: there may be 20,000 of them, and
        their tables diagnose those that are asked for.
    stats : mapping of str to ndarray, shape (chains, draws)
        Under ArviZ's names.

    Returns
    -------
    Diagnostics
    """
    from arviz_stats.base import array_stats

    stacked = np.stack(list(parameters.values()), axis=-1)
    table = pd.DataFrame({"parameter": list(parameters), **diagnose(stacked)})
    bfmi = np.zeros(0)
    if "energy" in stats and stacked.shape[1] > 3:
        bfmi = np.atleast_1d(array_stats.bfmi(np.asarray(stats["energy"], dtype=float)))
    return Diagnostics(
        divergences=int(np.sum(stats.get("diverging", 0))),
        max_treedepth_hits=int(np.sum(stats.get("reached_max_treedepth", 0))),
        bfmi=bfmi,
        parameters=table,
        chains=stacked.shape[0],
        draws=stacked.shape[1],
    )


def _extreme(column: pd.Series[float], which: str) -> float:
    values = column.dropna()
    if values.empty:
        return float("nan")
    return float(values.max() if which == "max" else values.min())
