"""Draws become numbers: estimate, spread, interval and diagnostics. No labels here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from bayesmix.arguments import check_probability, one_of
from bayesmix.laws.chain_diagnostics import bulk_and_r_hat, quantile_ess

__all__ = [
    "DIAGNOSTICS",
    "FEWEST",
    "LEAST_DRAWS",
    "IntervalKind",
    "Point",
    "SummaryOptions",
    "diagnose",
    "ess_of_limits",
    "monte_carlo_errors",
    "summarise",
    "varying",
]

IntervalKind = Literal["eti", "hdi"]
Point = Literal["mean", "median"]
DIAGNOSTICS = ("ess_bulk", "ess_tail", "r_hat")
_FAR = 1e150  # beyond which squares overflow
FEWEST = 20  # draws that have limits; those of fewer would be mere extremes of chance
LEAST_DRAWS = 4  # of a chain: each is split in two to be diagnosed
_LIMITS = (0.025, 0.975)
_TAILS = (0.05, 0.95)  # of the tail effective sample size (Vehtari et al. 2021)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryOptions:
    """How draws are summarised.

    Attributes
    ----------
    ci_prob : float
        Probability inside the interval, in (0, 1).
    ci_kind : {"eti", "hdi"}
        Equal-tailed or highest-density interval.
    point : {"mean", "median"}
    diagnostics : bool
        Whether effective sample sizes and r_hat are computed.
    """

    ci_prob: float = 0.95
    ci_kind: IntervalKind = "eti"
    point: Point = "mean"
    diagnostics: bool = True

    def __post_init__(self) -> None:
        check_probability("ci_prob", self.ci_prob)
        one_of("ci_kind", self.ci_kind, get_args(IntervalKind))
        one_of("point", self.point, get_args(Point))

    def without_diagnostics(self) -> SummaryOptions:
        """Return the same without effective sample sizes and r_hat."""
        return replace(self, diagnostics=False)


def summarise(draws: np.ndarray, options: SummaryOptions) -> dict[str, np.ndarray]:
    """Summarise k quantities.

    Parameters
    ----------
    draws : ndarray, shape (chains, draws, k)
    options : SummaryOptions

    Returns
    -------
    dict of str to ndarray, shape (k,)
        estimate, sd, lower, upper; with diagnostics also ess_bulk, ess_tail and
        r_hat, which are NaN for a quantity that is the same in every draw. Fewer than
        20 draws have no limits: NaN.
    """
    flat = _pooled(draws)
    center = flat.mean(axis=0) if options.point == "mean" else np.median(flat, axis=0)
    spread = _sd(flat) if len(flat) > 1 else np.full(flat.shape[1], np.nan)
    lower, upper = _interval(flat, options)
    columns = {"estimate": center, "sd": spread, "lower": lower, "upper": upper}
    return columns | diagnose(draws) if options.diagnostics else columns


def _sd(flat: np.ndarray) -> np.ndarray:
    """Standard deviation of columns, also of numbers whose squares are none."""
    top = np.abs(flat).max(axis=0, initial=0.0)
    far = np.isfinite(top) & (top > _FAR)
    if not far.any():
        return np.asarray(flat.std(axis=0, ddof=1))
    unit = np.where(far, top, 1.0)
    return np.asarray((flat / unit).std(axis=0, ddof=1) * unit)


def _pooled(draws: np.ndarray) -> np.ndarray:
    """All chains in one, shape (chains * draws, k); k may be 0."""
    return draws.reshape(draws.shape[0] * draws.shape[1], draws.shape[2])


def _interval(flat: np.ndarray, options: SummaryOptions) -> tuple[np.ndarray, np.ndarray]:
    if len(flat) < FEWEST:
        unknown = np.full(flat.shape[1], np.nan)
        return unknown, unknown.copy()
    if options.ci_kind == "hdi":
        from arviz_stats.base import array_stats

        found = array_stats.hdi(flat, prob=options.ci_prob, axis=0)
        return found[:, 0], found[:, 1]
    tail = (1 - options.ci_prob) / 2
    lower, upper = np.quantile(flat, [tail, 1 - tail], axis=0)
    return lower, upper


def varying(draws: np.ndarray) -> np.ndarray:
    """Which quantities are not the same in every draw; what is not finite counts as such.

    Parameters
    ----------
    draws : ndarray, shape (chains, draws, k)

    Returns
    -------
    ndarray of bool, shape (k,)
    """
    with np.errstate(invalid="ignore"):
        same: np.ndarray = np.ptp(_pooled(draws), axis=0) == 0
    return ~same


def diagnose(draws: np.ndarray) -> dict[str, np.ndarray]:
    """Effective sample sizes and r_hat (Vehtari et al. 2021), as ArviZ has them.

    Parameters
    ----------
    draws : ndarray, shape (chains, draws, k)

    Returns
    -------
    dict of str to ndarray, shape (k,)
        ess_bulk, ess_tail, r_hat. NaN where a quantity is constant, where a
        chain has fewer than four draws, and r_hat of a single chain too.
    """
    bulk, tail, r_hat = np.full((3, draws.shape[2]), np.nan)
    judged = _judged(draws)
    if judged.size:
        moving = _chosen(draws, judged)
        bulk[judged], r_hat[judged] = bulk_and_r_hat(moving)
        tail[judged] = quantile_ess(moving, _TAILS).min(axis=0)
    return dict(zip(DIAGNOSTICS, (bulk, tail, r_hat), strict=True))


def _judged(draws: np.ndarray) -> np.ndarray:
    """Positions of quantities that vary, if chains are long enough to be split."""
    if draws.shape[1] < LEAST_DRAWS:
        return np.zeros(0, dtype=int)
    with np.errstate(invalid="ignore"):
        return np.flatnonzero(np.ptp(_pooled(draws), axis=0) > 0)


def _chosen(draws: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Draws of some quantities; no copy where these are all."""
    return draws if len(which) == draws.shape[2] else draws[:, :, which]


def monte_carlo_errors(draws: np.ndarray) -> dict[str, np.ndarray]:
    """Monte Carlo standard errors of means, medians and standard deviations.

    Parameters
    ----------
    draws : ndarray, shape (chains, draws, k)

    Returns
    -------
    dict of str to ndarray, shape (k,)
        mcse_mean, mcse_median, mcse_sd. NaN where `diagnose` has it.
    """
    from arviz_stats.base import array_stats

    judged = _judged(draws)
    out = {}
    for method in ("mean", "median", "sd"):
        found = np.full(draws.shape[2], np.nan)
        if judged.size:
            moving: Any = _chosen(draws, judged)
            found[judged] = array_stats.mcse(moving, chain_axis=0, draw_axis=1, method=method)
        out[f"mcse_{method}"] = found
    return out


def ess_of_limits(draws: np.ndarray) -> np.ndarray:
    """Effective sample size of the limits of 95 % equal-tailed intervals, the smaller of two.

    The tail effective sample size is of the 5 % and 95 % quantiles: of a standard
    deviation that the data hardly tell from zero the chains may visit what lies below the
    lower limit much more rarely.

    Parameters
    ----------
    draws : ndarray, shape (chains, draws, k)

    Returns
    -------
    ndarray, shape (k,)
        NaN where `diagnose` has it.
    """
    out = np.full(draws.shape[2], np.nan)
    judged = _judged(draws)
    if judged.size:
        out[judged] = quantile_ess(_chosen(draws, judged), _LIMITS).min(axis=0)
    return out
