"""Intervals, tests and probabilities of quantities with a joint law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from bayesmix.laws.jointly import DrawnJointly, Jointly, NormalJointly
from bayesmix.laws.predictor import row_summaries, without_infinite_means
from bayesmix.results.means.adjustment import Adjust, adjusted, critical_values
from bayesmix.results.means.simultaneous import simultaneous_intervals

if TYPE_CHECKING:
    from bayesmix.laws.small_samples import SmallSample
    from bayesmix.results.means.scale import Scale

__all__ = ["Judging", "judged"]

Rope = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How quantities are held against zero.

    Attributes
    ----------
    tests : bool
        Whether by tests; else by probabilities of their sign.
    method : SmallSample or None
        Degrees of freedom of functions of the fixed effects; endless ones without it.
    words : str
        Which method it is.
    """

    tests: bool
    method: SmallSample | None = None
    words: str = ""

    def errors(self, jointly: NormalJointly) -> tuple[np.ndarray, np.ndarray]:
        """Covariance of quantities, and degrees of freedom of each."""
        K = len(jointly.estimate)
        df, spread = np.full(K, np.inf), jointly.spread
        if self.method is None or not self.tests:
            return spread, df
        own = jointly.of_fixed
        if own.all():
            spread = self.method.of(jointly.X)
        variance = np.diag(spread)
        size = float(np.abs(variance).max(initial=0.0))
        for k in np.flatnonzero(own & (variance > 1e-14 * size)).tolist():
            df[k] = self.method.test(jointly.X[k : k + 1])[0]
        return spread, df


def judged(
    jointly: Jointly, judging: Judging, scale: Scale, *, ci_prob: float, adjust: Adjust | None,
    n_means: int, rope: Rope | None = None, signs: bool = False,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Columns of a table for one family of quantities.

    Parameters
    ----------
    jointly : Jointly
        K quantities.
    judging : Judging
    scale : Scale
    ci_prob : float
    adjust : str or None
        How intervals and p-values allow for the number of quantities.
    n_means : int
        Number of means of which they are the differences.
    rope : tuple of float, optional
        Region of practical equivalence.
    signs : bool
        Whether the probability to be above zero is shown.

    Returns
    -------
    dict of str to ndarray, shape (K,)
    """
    if isinstance(jointly, DrawnJointly):
        return _of_draws(jointly, scale, ci_prob, adjust, rope, signs=signs)
    assert isinstance(jointly, NormalJointly)  # noqa: S101
    spread, df = judging.errors(jointly)
    estimate, lost = np.where(jointly.untold, np.nan, jointly.estimate), jointly.unknown
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.where(lost, np.nan, np.sqrt(np.maximum(np.diag(spread), 0.0)))
        t = estimate / sd
    half = critical_values(ci_prob, df, sd, spread, adjust, n_means) * sd
    out = _shown(estimate, sd, estimate - half, estimate + half, scale)
    if judging.tests:
        nothing = lost | (sd == 0)
        return out | {"df": np.where(nothing, np.nan, df), "t": t,
                      "p": adjusted(t, df, sd, spread, adjust, n_means)}  # fmt: skip
    out["pd"] = special.ndtr(np.abs(t))
    if signs:
        out["positive"] = special.ndtr(t)
    if rope is not None:
        low, high = ((end - estimate) / sd for end in rope)
        out["rope"] = special.ndtr(high) - special.ndtr(low)
    return out


def _of_draws(
    jointly: DrawnJointly, scale: Scale, ci_prob: float, adjust: Adjust | None,
    rope: Rope | None, *, signs: bool,
) -> dict[str, np.ndarray]:  # fmt: skip
    draws = jointly.stated
    with np.errstate(over="ignore"):
        shown = draws if scale.shown is None else scale.shown(draws)
    found = np.stack(row_summaries(np.array(shown), ci_prob))
    if jointly.gone:
        found = without_infinite_means(found)
    estimate, sd, lower, upper = found
    if jointly.at is not None:
        estimate = jointly.at if scale.shown is None else scale.shown(jointly.at)
    if adjust is not None:
        lower, upper = simultaneous_intervals(shown, ci_prob)
        anywhere = np.isnan(shown).any(axis=1)
        lower, upper = (np.where(anywhere, np.nan, end) for end in (lower, upper))
    above, below = (draws > 0).mean(axis=1), (draws < 0).mean(axis=1)
    out = {"estimate": estimate, "sd": sd, "lower": lower, "upper": upper,
           "pd": np.maximum(above, below)}  # fmt: skip
    if signs:
        out["positive"] = above
    if rope is not None:
        out["rope"] = ((draws > rope[0]) & (draws < rope[1])).mean(axis=1)
    return out


def _shown(
    estimate: np.ndarray, sd: np.ndarray, lower: np.ndarray, upper: np.ndarray, scale: Scale
) -> dict[str, np.ndarray]:
    """Estimates and limits on the scale of the table; sd by the delta method."""
    f = scale.shown
    if f is not None:
        step = 1e-5 * (1.0 + np.abs(estimate))
        with np.errstate(over="ignore", invalid="ignore"):
            sd = np.abs(f(estimate + step) - f(estimate - step)) / (2 * step) * sd
            ends = np.stack([f(lower), f(upper)])
        estimate, lower, upper = f(estimate), ends.min(axis=0), ends.max(axis=0)
    return {"estimate": estimate, "sd": sd, "lower": lower, "upper": upper}
