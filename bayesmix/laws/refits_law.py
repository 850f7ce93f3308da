"""The law of a bootstrap: a draw for each refit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from bayesmix.laws.draws import DrawsLaw
from bayesmix.laws.linear import for_each_block
from bayesmix.laws.summaries import SummaryOptions, summarise
from bayesmix.laws.values import Values

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.laws.base import Asked, Columns
    from bayesmix.laws.request import PredictionRequest
    from bayesmix.laws.rows import Rows

__all__ = ["Interval", "RefitsLaw", "limits_of"]

_BEYOND = 1e150  # in the place of infinity: its square is a number
Interval = Literal["percentile", "basic", "normal", "bc", "bca"]


@dataclass(frozen=True, kw_only=True)
class RefitsLaw(DrawsLaw):
    """Estimates of refits as draws, which no chain has made: there is nothing to diagnose.

    Attributes
    ----------
    interval : {"percentile", "basic", "normal", "bc", "bca"}
    with_fit : RefitsLaw or None
        The same draws, behind which stand those of fits that leave out a level each, and the
        fit itself; for intervals that go by its estimates.
    n_beside : int
        How many draws at the end of `with_fit` are no refits.
    ran_away : ndarray, shape (1, B, p)
        Which way coefficients went that have no finite estimate in a refit, as `Refit` has it.
    """

    ran_away: np.ndarray
    interval: Interval = "percentile"
    with_fit: RefitsLaw | None = field(default=None, repr=False)
    n_beside: int = 0

    @property
    def stated_values(self) -> Values:
        """Draws in which coefficients that ran away are infinite, not where a search has ended."""
        others = {name: own.stated_values for name, own in self.others.items()}
        beyond = np.where(self.ran_away == 0, 0.0, np.copysign(np.inf, self.ran_away))
        return replace(self.values, beta=self.beta + beyond, others=others)

    def coefficients(self, asked: Asked) -> Columns:
        """Columns of the fixed effects' table."""
        asked = _plain(asked)
        found = DrawsLaw.coefficients(self, asked)
        return self._limited(found, lambda law: DrawsLaw.coefficients(law, asked))

    def _against_zero(self) -> Columns:
        """Column p: twice the smaller share of refits on one side of zero, one counted more."""
        draws = self.stated_values.beta.reshape(-1, self.beta.shape[-1])
        fewest = np.minimum((draws >= 0).sum(axis=0), (draws <= 0).sum(axis=0))
        return {"p": np.minimum(2 * (fewest + 1) / (len(draws) + 1), 1.0)}

    def note_of_tests(self, asked: Asked) -> str:
        """What p is a share of."""
        if not asked.tested:
            return ""
        return "p is that of the percentile interval: twice the share of refits beyond zero."

    def own_parameters(self, asked: Asked) -> tuple[list[str], Columns]:
        """Names of the family's parameters, and the columns of their table."""
        asked = _plain(asked)
        names, found = DrawsLaw.own_parameters(self, asked)
        return names, self._limited(found, lambda law: DrawsLaw.own_parameters(law, asked)[1])

    def effects(
        self, group: GroupingFactor, asked: Asked, *, with_fixed: bool, n_levels: int | None = None
    ) -> Columns:
        """Columns of a grouping factor's effects."""
        asked = _plain(asked)

        def of(law: DrawsLaw) -> Columns:
            return DrawsLaw.effects(law, group, asked, with_fixed=with_fixed, n_levels=n_levels)

        return self._limited(of(self), of)

    def components(self, asked: Asked) -> tuple[list[tuple[str, str]], Columns]:
        """Group and effect of each standard deviation, and their columns."""
        asked = _plain(asked)
        labels, found = DrawsLaw.components(self, asked)
        found = self._limited(found, lambda law: DrawsLaw.components(law, asked)[1])
        for name in ("sd_lower", "sd_upper"):
            found[name] = np.maximum(found[name], 0.0)
        return labels, found

    def correlations(self, asked: Asked) -> tuple[list[tuple[str, str, str]], Columns]:
        """Group and pair of effects of each correlation, and their columns."""
        asked = _plain(asked)
        labels, found = DrawsLaw.correlations(self, asked)
        found = self._limited(found, lambda law: DrawsLaw.correlations(law, asked)[1])
        for name in ("lower", "upper"):
            found[name] = np.clip(found[name], -1.0, 1.0)
        return labels, found

    def covariance_parameters(
        self, asked: Asked
    ) -> tuple[list[tuple[str, str]], Columns, list[str]]:
        """Group and name of each parameter of a covariance structure, and their columns."""
        asked = _plain(asked)
        labels, found, notes = DrawsLaw.covariance_parameters(self, asked)
        found = self._limited(found, lambda law: DrawsLaw.covariance_parameters(law, asked)[1])
        return labels, found, notes

    def summaries(
        self, rows: Rows, request: PredictionRequest, draws: int | None, seed: int | None
    ) -> np.ndarray:
        """Mean, sd, lower and upper of each row's draws, shape (4, n).

        What varies beside the estimates (new responses) always has percentiles.
        """
        out = DrawsLaw.summaries(self, rows, request, draws, seed)
        if self.with_fit is None or request.kind == "response" or draws is not None:
            return out
        wide = self.with_fit
        predictor = wide.predictor(rows, request, None, seed)
        options = SummaryOptions(ci_prob=request.ci_prob, diagnostics=False)

        def fill(number: int, block: slice) -> None:
            found = wide._summarise(predictor.block(number, block).T[None], options)
            out[2, block], out[3, block] = found["lower"], found["upper"]

        for_each_block(rows.n_rows, predictor.n_draws, fill)
        return out

    # -- inside ---------------------------------------------------------------

    def _limited(self, columns: Columns, of: Callable[[DrawsLaw], Columns]) -> Columns:
        """Columns with the limits that go by the fit itself."""
        if self.with_fit is None:
            return columns
        found = of(self.with_fit)
        ends = ("lower", "upper", "sd_lower", "sd_upper")
        return {name: found[name] if name in ends else v for name, v in columns.items()}

    def _summarise(self, draws: np.ndarray, options: SummaryOptions) -> Columns:
        far = _far(draws)
        found = summarise(far, options)
        if far is not draws:
            gone = np.isinf(draws[0, : draws.shape[1] - self.n_beside]).any(axis=0)
            if options.point == "mean":
                found["estimate"] = np.where(gone, np.nan, found["estimate"])
            found["sd"] = np.where(gone, np.nan, found["sd"])
            for name in ("estimate", "lower", "upper"):
                found[name] = _infinite(found[name])
        if not self.n_beside:
            return found
        refits, beside = draws[0, : -self.n_beside], draws[0, -self.n_beside :]
        found["lower"], found["upper"] = limits_of(
            self.interval, refits, beside[-1], beside[:-1], options.ci_prob
        )
        return found


def limits_of(
    kind: Interval, refits: np.ndarray, estimate: np.ndarray, left_out: np.ndarray, ci_prob: float
) -> tuple[np.ndarray, np.ndarray]:
    """Limits by one of the bootstrap's ways.

    Parameters
    ----------
    kind : {"percentile", "basic", "normal", "bc", "bca"}
    refits : ndarray, shape (B, k)
    estimate : ndarray, shape (k,)
        Those of the fit.
    left_out : ndarray, shape (J, k)
        Estimates without one level each, for "bca".
    ci_prob : float

    Returns
    -------
    lower, upper : ndarray, shape (k,)

    References
    ----------
    Davison, A. C. and Hinkley, D. V. (1997). Bootstrap Methods and their Application,
    chapter 5. Cambridge University Press; Efron, B. (1987). Better bootstrap confidence
    intervals. Journal of the American Statistical Association 82, 171-185.
    """
    tail = (1 - ci_prob) / 2
    gone = np.isinf(refits).any(axis=0)
    refits = _far(refits)
    if kind == "normal":
        estimate = np.where(gone, np.nan, estimate)
        centre = 2 * estimate - refits.mean(axis=0)
        z = float(special.ndtri(1 - tail)) * refits.std(axis=0, ddof=1)
        return centre - z, centre + z
    if kind in ("bc", "bca"):
        below = (refits < estimate).mean(axis=0) + (refits == estimate).mean(axis=0) / 2
        shift = special.ndtri(np.clip(below, 0.5 / len(refits), 1 - 0.5 / len(refits)))
        bend = _acceleration(left_out) if kind == "bca" else np.zeros(len(estimate))
        out = []
        for z in special.ndtri([tail, 1 - tail]):
            level = special.ndtr(shift + (shift + z) / (1 - bend * (shift + z)))
            out.append(np.where(np.isnan(level), np.nan, _infinite(_quantiles(refits, level))))
        return out[0], out[1]
    lower, upper = _infinite(np.quantile(refits, [tail, 1 - tail], axis=0))
    return (2 * estimate - upper, 2 * estimate - lower) if kind == "basic" else (lower, upper)


def _acceleration(left_out: np.ndarray) -> np.ndarray:
    """A sixth of the skewness of what each level adds to an estimate."""
    with np.errstate(divide="ignore", invalid="ignore"):
        d = left_out.mean(axis=0) - left_out
        size = (d**2).sum(axis=0)
        return np.where(size == 0, 0.0, (d**3).sum(axis=0) / (6 * size**1.5))


def _quantiles(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The quantile of each column at its own level."""
    ordered = np.sort(values, axis=0)
    at = np.clip(np.nan_to_num(levels), 0.0, 1.0) * (len(values) - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    k = np.arange(values.shape[1])
    return np.asarray(ordered[low, k] + (at - low) * (ordered[high, k] - ordered[low, k]))


def _far(values: np.ndarray) -> np.ndarray:
    """Values in which the infinite ones are so large that quantiles between them are too."""
    return np.clip(values, -_BEYOND, _BEYOND) if np.isinf(values).any() else values


def _infinite(quantiles: np.ndarray) -> np.ndarray:
    return np.where(np.abs(quantiles) > _BEYOND**0.8, np.copysign(np.inf, quantiles), quantiles)


def _plain(asked: Asked) -> Asked:
    return replace(asked, diagnostics=False)
