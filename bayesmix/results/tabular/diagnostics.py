"""Whether the sampler worked: what is looked at, the limits, and what to do."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesmix.inference.announce import counted
from bayesmix.laws.summaries import (
    LEAST_DRAWS,
    SummaryOptions,
    diagnose,
    ess_of_limits,
    monte_carlo_errors,
    summarise,
    varying,
)
from bayesmix.results.tabular.tables import text_column
from bayesmix.results.tabular.text import html_block

__all__ = ["ESS_PER_CHAIN", "R_HAT_ALARM", "Diagnostics", "convergence_of", "diagnose_sampling"]

_R_HAT = 1.01  # Vehtari et al. (2021)
# Beyond this the chains are in different places; below it they are short.
R_HAT_ALARM = 1.05
# Vehtari et al. (2021). With 400 in all, a limit that is to leave 2.5 % outside leaves 1 to 4 %.
ESS_PER_CHAIN = 100
# Fewer than these and estimates themselves are not to be trusted.
_ESS_ALARM_PER_CHAIN = 25
_MOST_DRAWS = 20_000  # beyond these other advice helps more
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
    ess_limits : ndarray, shape (parameters,)
        Effective sample size of the limits of the 95 % equal-tailed interval, the smaller
        of the two.
    unjudged : tuple of str
        Parameters that vary and whose effective sample size or r_hat cannot be
        computed; none for independent draws.
    chains, draws : int
    """

    divergences: int
    max_treedepth_hits: int
    bfmi: np.ndarray
    parameters: pd.DataFrame
    ess_limits: np.ndarray
    unjudged: tuple[str, ...]
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
        """What is wrong, each with what to do about it; empty where all is well.

        Alarms come first.
        """
        return self._found(alarming=True) + self._found(alarming=False)

    @property
    def alarming(self) -> bool:
        """Whether the draws are not to be trusted, or are just fewer than one would have.

        Divergences, chains that disagree (r_hat above 1.05), fewer than 25 effective draws
        for each chain, low BFMI. What a longer run mends by itself is no alarm.
        """
        return bool(self._found(alarming=True))

    def _found(self, *, alarming: bool) -> list[str]:
        return [words for alarm, words in self._judgements() if alarm == alarming]

    def _judgements(self) -> list[tuple[bool, str]]:
        """What is wrong, and whether it is alarming."""
        found: list[tuple[bool, str]] = []
        if self.unjudged:
            found.append((True, self._not_judged()))
        if self.divergences:
            found.append((
                True,
                f"{counted(self.divergences, 'divergent transition')}: raise target_accept "
                "(0.95, 0.99), or give the standard deviations a tighter prior",
            ))  # fmt: skip
        if self.max_r_hat > _R_HAT:
            worst = self.parameters.sort_values("r_hat")["parameter"].iloc[-1]
            alarm = self.max_r_hat > R_HAT_ALARM
            what = "the chains disagree" if alarm else "the chains are short"
            found.append((
                alarm,
                f"r_hat of {worst} is {self.max_r_hat:.3f} (above {_R_HAT}): {what}; raise tune "
                "and draws",
            ))  # fmt: skip
        found += self._too_few_effective()
        if self.bfmi.size and self.bfmi.min() < _BFMI:
            found.append((
                True,
                f"BFMI is {self.bfmi.min():.2f} (below {_BFMI}): the tails are explored slowly; "
                "raise tune, or give heavy-tailed priors a tighter scale",
            ))  # fmt: skip
        if self.max_treedepth_hits:
            found.append((
                False,
                f"{counted(self.max_treedepth_hits, 'transition')} reached the largest tree: "
                "raise tune, or bring predictors to similar scales with scale(x)",
            ))  # fmt: skip
        return found

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.problems

    def __str__(self) -> str:
        head = (
            f"{counted(self.chains, 'chain')} x {counted(self.draws, 'draw')}: "
            f"{counted(self.divergences, 'divergence')}"
        )
        if np.isfinite([self.min_ess_bulk, self.min_ess_tail]).all():
            head += (
                f", smallest ESS {self.min_ess_bulk:.0f} (bulk) and {self.min_ess_tail:.0f} (tail)"
            )
        if np.isfinite(self.max_r_hat):
            head += f", largest r_hat {self.max_r_hat:.3f}"
        return "\n".join([head, *(f"- {problem}" for problem in self.problems)])

    __repr__ = __str__

    def _too_few_effective(self) -> list[tuple[bool, str]]:
        """Name what rests on too few effective draws, and how many draws would be enough."""
        least, alarm = ESS_PER_CHAIN * self.chains, _ESS_ALARM_PER_CHAIN * self.chains
        found = []
        tail = np.fmin(self.parameters["ess_tail"].to_numpy(), self.ess_limits)
        for values, what in (
            (self.parameters["ess_bulk"].to_numpy(), "estimate of {} rests"),
            (tail, "limits of {} rest"),
        ):
            few = np.flatnonzero(values < least)
            if few.size:
                worst = few[np.argmin(values[few])]
                name = str(self.parameters["parameter"].iloc[worst])
                others = f" ({few.size - 1} more have fewer than {least})" if few.size > 1 else ""
                # A little more than in proportion, in round numbers.
                enough = 1.2 * self.draws * least / max(float(values[worst]), 1.0)
                unit = 10.0 ** max(np.floor(np.log10(enough)) - 1, 1)
                enough = int(np.ceil(enough / unit) * unit)
                found.append((
                    bool(values[worst] < alarm),
                    f"the {what.format(name)} on an effective sample size of "
                    f"{values[worst]:.0f} (below {least}){others}: raise draws"
                    + (f"; about draws={enough} would be enough" if enough <= _MOST_DRAWS else ""),
                ))  # fmt: skip
        return found

    def _not_judged(self) -> str:
        if self.draws < LEAST_DRAWS:
            return (
                f"too few draws to judge: {self.draws} of each chain, and r_hat and effective "
                f"sample size take {LEAST_DRAWS}; raise draws"
            )
        names = ", ".join(self.unjudged[:4])
        more = len(self.unjudged) - 4
        return (
            f"r_hat and effective sample size cannot be computed of {names}"
            + (f" and {more} more" if more > 0 else "")
            + ": a chain stands still, or its draws are not finite; raise tune and draws"
        )

    def _repr_html_(self) -> str:
        lines = html.escape(str(self)).splitlines()
        items = "".join(f"<li>{line[2:]}</li>" for line in lines[1:])
        return html_block([f"<p>{lines[0]}</p><ul>{items}</ul>"])


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
        Under ArviZ's names; empty where the draws are independent.

    Returns
    -------
    Diagnostics
    """
    stacked = np.stack(list(parameters.values()), axis=-1)
    table = pd.DataFrame({"parameter": list(parameters), **diagnose(stacked)})
    bfmi = np.zeros(0)
    if "energy" in stats and stacked.shape[1] > 3:
        from arviz_stats.base import array_stats

        bfmi = np.atleast_1d(array_stats.bfmi(np.asarray(stats["energy"], dtype=float)))
    unjudged: tuple[str, ...] = ()
    if stats:
        columns = ["ess_bulk", "ess_tail", *(["r_hat"] if stacked.shape[0] > 1 else [])]
        unknown = table[columns].isna().any(axis=1).to_numpy()
        if stacked.shape[1] >= LEAST_DRAWS:  # of fewer, one alone cannot vary
            unknown = unknown & varying(stacked)
        unjudged = tuple(table["parameter"][unknown])
    return Diagnostics(
        divergences=int(np.sum(stats.get("diverging", 0))),
        max_treedepth_hits=int(np.sum(stats.get("reached_max_treedepth", 0))),
        bfmi=bfmi,
        parameters=table,
        ess_limits=ess_of_limits(stacked),
        unjudged=unjudged,
        chains=stacked.shape[0],
        draws=stacked.shape[1],
    )


def convergence_of(
    parameters: Mapping[str, np.ndarray], diverging: np.ndarray | None
) -> pd.DataFrame:
    """Set estimates of parameters beside how sure the chains make them.

    Parameters
    ----------
    parameters : mapping of str to ndarray, shape (chains, draws)
        By label.
    diverging : ndarray of bool, shape (chains, draws), optional
        Transitions that diverged; None where the draws are independent.

    Returns
    -------
    DataFrame
    """
    stacked = np.stack(list(parameters.values()), axis=-1)
    options = SummaryOptions(diagnostics=False)
    found = summarise(stacked, options)
    shift = np.full(stacked.shape[2], np.nan)
    n = 0
    if diverging is not None:
        chosen = np.asarray(diverging, dtype=bool)
        n = int(chosen.sum())
        if 0 < n < chosen.size:
            with np.errstate(invalid="ignore", divide="ignore"):
                shift = (stacked[chosen].mean(axis=0) - found["estimate"]) / found["sd"]
    return pd.DataFrame(
        {
            "parameter": text_column(list(parameters)),
            "estimate": found["estimate"],
            "sd": found["sd"],
            **monte_carlo_errors(stacked),
            **diagnose(stacked),
            "divergences": n,
            "divergences_at": shift,
        }
    )


def _extreme(column: pd.Series[float], which: str) -> float:
    values = column.dropna()
    if values.empty:
        return float("nan")
    return float(values.max() if which == "max" else values.min())
