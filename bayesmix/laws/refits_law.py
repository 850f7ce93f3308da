"""The law of a bootstrap: a draw for each refit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from scipy import special

from bayesmix.covariance import covariance_of
from bayesmix.laws.draws import DrawsLaw
from bayesmix.laws.jointly import Averaged, DrawnJointly, Inverse, Jointly
from bayesmix.laws.linear import for_each_block
from bayesmix.laws.ran_away import RanAway, limits_along
from bayesmix.laws.summaries import SummaryOptions, summarise
from bayesmix.laws.values import Values
from bayesmix.summed import Summed

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.laws.base import Asked, Columns
    from bayesmix.laws.calibration import Calibration
    from bayesmix.laws.parameters import ParameterDraws
    from bayesmix.laws.request import Kind, PredictionRequest
    from bayesmix.laws.residuals import Residual
    from bayesmix.laws.rows import Rows

__all__ = ["Interval", "RefitsLaw", "limits_of"]

_BEYOND = 1e100  # in the place of infinity: its square is a number
_ANYWHERE = 1e150  # of what can be any number
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
    gone : tuple of RanAway or None
        Directions without a finite estimate in each refit, as `Refit` has them.
    """

    gone: tuple[RanAway | None, ...]
    interval: Interval = "percentile"
    with_fit: RefitsLaw | None = field(default=None, repr=False)
    n_beside: int = 0

    @functools.cached_property
    def stated_values(self) -> Values:
        """Draws in which what ran away is infinite, or NaN, not where a search has ended."""
        others = {name: own.stated_values for name, own in self.others.items()}
        beta, parameters = self.beta, dict(self.parameters)
        beyond = limits_along(self.gone, np.eye(beta.shape[-1]))
        if beyond is not None:
            beta = beta + beyond.T
        for k, one in enumerate(self.gone):
            if one is not None and one.thresholds is not None and self.parameter == "mu":
                if parameters["thresholds"] is self.parameters["thresholds"]:
                    parameters["thresholds"] = self.parameters["thresholds"].copy()
                parameters["thresholds"][0, k] += one.limits_of_thresholds()
        sd, endless = self.values.sd, self._endless
        if endless.any():
            far = endless[None, :, None]
            sd = {name: np.where(far & (v > 0), np.inf, v) for name, v in sd.items()}
        return replace(self.values, beta=beta, sd=sd, parameters=parameters, others=others)

    @property
    def _endless(self) -> np.ndarray:
        """In which refits standard deviations have no bound, shape (B,)."""
        return np.asarray([one is not None and one.with_sds for one in self.gone], dtype=bool)

    @property
    def _where_searches_ended(self) -> Self:
        """The same draws without a word of what ran away."""
        others = {name: own._where_searches_ended for name, own in self.others.items()}
        return replace(self, gone=(None,) * len(self.gone), others=others)

    @property
    def rows_run_apart(self) -> np.ndarray | None:
        """In which refits linear predictors of rows differ without a bound, shape (1, B)."""
        X = self.linear_predictor.X
        if all(one is None for one in self.gone) or isinstance(X, Summed):
            return None
        X = np.unique(X, axis=0)
        found = [one is not None and bool(one.limits(X - X[0]).any()) for one in self.gone]
        return np.asarray(found)[None]

    def coefficients(self, asked: Asked) -> Columns:
        """Columns of the fixed effects' table."""
        asked = _plain(asked)
        found = DrawsLaw.coefficients(self, asked)
        return self._limited(found, lambda law: DrawsLaw.coefficients(law, asked))

    def _against_zero(self) -> Columns:
        """Column p: twice the smaller share of refits on one side of zero, one counted more."""
        draws = self.stated_values.beta.reshape(-1, self.beta.shape[-1])
        # What can be any number may be on either side.
        draws = np.where(np.isnan(draws), 0.0, draws)
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
        endless = self._endless
        above = self._above_all(endless)
        labels, found = DrawsLaw.components(above, asked)
        found = above._limited(found, lambda law: DrawsLaw.components(law, asked)[1])
        for name in ("sd_lower", "sd_upper"):
            found[name] = np.maximum(found[name], 0.0)
        if endless.any():
            groups = self.linear_predictor.grouping
            counts = [covariance_of(g).by_sd((self.sd[g.name][0, endless] > 0).sum(axis=0))
                      for g in groups]  # fmt: skip
            counts.append(np.zeros(len(labels) - sum(map(len, counts))))
            share = np.concatenate(counts) / len(self.gone)
            found["sd_upper"] = np.where(share > (1 - asked.ci_prob) / 2, np.inf, found["sd_upper"])
            for name in ("sd", "variance"):
                found[name] = np.where(share >= 0.5, np.inf, found[name])  # of medians
        return labels, found

    def _above_all(self, endless: np.ndarray) -> Self:
        """The same law where sds of some refits, which have no bound, are the largest of all."""
        if not endless.any():
            return self
        sd = {
            name: np.where(endless[None, :, None] & (v > 0), v.max(axis=(0, 1)), v)
            for name, v in self.sd.items()
        }
        return replace(self, sd=sd)

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

    def draw(
        self, levels: Mapping[str, np.ndarray], n: int | None, seed: int, kind: Kind = "mean"
    ) -> ParameterDraws:
        """Take draws, and what ran away in each of them."""
        found = DrawsLaw.draw(self, levels, n, seed, kind)
        if all(one is None for one in self.gone):
            return found
        return replace(found, gone=tuple(self.gone[k] for k in self.chosen(n)))

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

    def mean_of_rows(self, rows: Rows, kind: Kind) -> np.ndarray:
        """Mean of each row's draws, where searches ended for those that ran away, shape (n,)."""
        return DrawsLaw.mean_of_rows(self._where_searches_ended, rows, kind)

    def residuals(self, kind: Residual, seed: int | None) -> tuple[Rows, np.ndarray]:
        """What the means leave of the response, or where it lies among replicates."""
        return DrawsLaw.residuals(self._where_searches_ended, kind, seed)

    def calibration(self, seed: int | None) -> Calibration:
        """As if each row had been left out."""
        return DrawsLaw.calibration(self._where_searches_ended, seed)

    def jointly(
        self, parts: Sequence[Averaged], request: PredictionRequest, inverse: Inverse | None,
        draws: int | None, seed: int | None,
    ) -> Jointly:  # fmt: skip
        """Sums of averages of rows, whose contrasts know what of them ran away."""
        if request.kind != "linear" or inverse is not None or all(g is None for g in self.gone):
            return DrawsLaw.jointly(self, parts, request, inverse, draws, seed)
        found = DrawsLaw.jointly(self._where_searches_ended, parts, request, inverse, draws, seed)
        assert isinstance(found, DrawnJointly)  # noqa: S101
        X = np.sum([part.weights @ part.rows.X for part in parts], axis=0)
        gone = tuple(self.gone[k] for k in self.chosen(draws))
        return replace(found, X=X, gone=gone)

    # -- inside ---------------------------------------------------------------

    def _limited(self, columns: Columns, of: Callable[[DrawsLaw], Columns]) -> Columns:
        """Columns with the limits that go by the fit itself."""
        if self.with_fit is None:
            return columns
        found = of(self.with_fit)
        ends = ("lower", "upper", "sd_lower", "sd_upper")
        return {name: found[name] if name in ends else v for name, v in columns.items()}

    def _summarise(self, draws: np.ndarray, options: SummaryOptions) -> Columns:
        some = np.isinf(draws).any() or np.isnan(draws).any()
        found = summarise(_far(draws, -1.0), options) if some else summarise(draws, options)
        if some:
            refits = draws[0, : draws.shape[1] - self.n_beside]
            gone = ~np.isfinite(refits).all(axis=0)
            other = summarise(_far(draws, 1.0), options)
            # A median between numbers and what can be any number is not known.
            same = found["estimate"] == other["estimate"]
            found["estimate"] = np.where(same, found["estimate"], np.nan)
            found["upper"] = other["upper"]
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
    if np.isnan(refits).any():  # what can be any number is below all others, and above them
        signs = (1.0, -1.0) if kind == "basic" else (-1.0, 1.0)
        low, high = (
            limits_of(kind, _far(refits, sign), estimate, left_out, ci_prob) for sign in signs
        )
        return low[0], high[1]
    tail = (1 - ci_prob) / 2
    gone = ~(np.abs(refits) < _BEYOND).all(axis=0)
    refits = _far(refits)
    if kind == "normal":
        estimate = np.where(gone, np.nan, estimate)
        centre = 2 * estimate - refits.mean(axis=0)
        z = float(special.ndtri(1 - tail)) * refits.std(axis=0, ddof=1)
        return centre - z, centre + z
    if kind in ("bc", "bca"):
        at = _far(estimate)
        below = (refits < at).mean(axis=0) + (refits == at).mean(axis=0) / 2
        shift = special.ndtri(np.clip(below, 0.5 / len(refits), 1 - 0.5 / len(refits)))
        bend = _acceleration(left_out) if kind == "bca" else np.zeros(len(estimate))
        out = []
        for z in special.ndtri([tail, 1 - tail]):
            level = special.ndtr(shift + (shift + z) / (1 - bend * (shift + z)))
            out.append(np.where(np.isnan(level), np.nan, _infinite(_quantiles(refits, level))))
        return out[0], out[1]
    lower, upper = _infinite(np.quantile(refits, [tail, 1 - tail], axis=0))
    if kind != "basic":
        return lower, upper
    estimate = np.where(np.isfinite(estimate), estimate, np.nan)
    return 2 * estimate - upper, 2 * estimate - lower


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


def _far(values: np.ndarray, unknown: float = 1.0) -> np.ndarray:
    """Values in which the infinite ones are so large that quantiles between them are too.

    What can be any number is farther still, above all others or below them.
    """
    found = np.clip(values, -_BEYOND, _BEYOND) if np.isinf(values).any() else values
    nan = np.isnan(found)
    return np.where(nan, unknown * _ANYWHERE, found) if nan.any() else found


def _infinite(quantiles: np.ndarray) -> np.ndarray:
    """Quantiles with infinity, or NaN, in the place of what stands for it."""
    far = np.abs(quantiles)
    found = np.where(far > _BEYOND**0.8, np.copysign(np.inf, quantiles), quantiles)
    return np.where(far > _ANYWHERE**0.9, np.nan, found)


def _plain(asked: Asked) -> Asked:
    return replace(asked, diagnostics=False)
