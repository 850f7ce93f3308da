"""From the linear predictor to what is predicted: means, responses, averages over groups."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.errors import NotSupportedError
from bayesmix.families.functions import LOG_2PI, NUMPY
from bayesmix.laws.family_draws import FamilyDraws
from bayesmix.laws.forecast import Forecast
from bayesmix.laws.levels import name_key
from bayesmix.laws.linear import LinearDraws, for_each_block
from bayesmix.laws.parameters import ParameterDraws
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.residual_draws import ResidualDraws
from bayesmix.laws.rows import Rows
from bayesmix.laws.summaries import FEWEST
from bayesmix.memory import check_memory
from bayesmix.residual import Correlated

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["NODES", "WEIGHTS", "Predictor", "refuse_joined", "row_summaries"]


# Points and weights that integrate over a standard normal (Gauss and Hermite).
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(31)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def refuse_joined(model: StatedModel, what: str) -> None:
    """Refuse what does not know effects that are joined across predictors.

    Raises
    ------
    NotSupportedError
    """
    for predictor in model.design.predictors.values():
        for group in predictor.borrowed:
            raise NotSupportedError(
                f"{what}, and those by `{group.name}` are joined across formulas; predict rows "
                "with None for the group, whose effects are drawn together"
            )


class Predictor:
    """Draws of what a request asks for, for blocks of rows.

    Parameters
    ----------
    model : StatedModel
    parameters : ParameterDraws
    rows : Rows
    request : PredictionRequest
    seed : int

    Attributes
    ----------
    parameters : ParameterDraws
    """

    def __init__(
        self,
        model: StatedModel,
        parameters: ParameterDraws,
        rows: Rows,
        request: PredictionRequest,
        seed: int,
    ) -> None:
        if request.marginal and not request.parameter:
            refuse_joined(model, "marginal=True averages over groups of independent effects")
        self._model = model
        self._family = model.family
        self._residual = model.residual
        self._y = model.y
        self.parameters = parameters
        self._parameters = parameters.family_columns()
        self._rows = rows
        self._request = request
        self._seed = seed
        self._linear = LinearDraws(parameters, rows, seed)

    @property
    def n_draws(self) -> int:
        """Number of draws S."""
        return self.parameters.n_draws

    def of_family(self, rows: slice) -> dict[str, np.ndarray]:
        """The family's parameters at each draw, for a block of rows: shape (S, 1) or (S, rows)."""
        return self._own.block(rows)

    @functools.cached_property
    def _own(self) -> FamilyDraws:
        marginal = self._request.marginal
        return FamilyDraws(self._family, self.parameters, self._rows, self._seed, marginal=marginal)

    @functools.cached_property
    def _forecast(self) -> Forecast | None:
        """What known series go on from, if that is asked for."""
        if not self._request.forecast:
            return None
        return Forecast(self._model, self.parameters, self._rows, self._seed)

    @functools.cached_property
    def _in_series(self) -> ResidualDraws | None:
        """Residuals that are correlated within series; None where they are not, or not placed."""
        structure, rows = self._residual, self._rows.per_row
        if not isinstance(structure, Correlated) or not set(structure.needs) <= set(rows):
            return None
        share = None
        if structure.beside_known:
            family = self.of_family(slice(0, self._rows.n_rows))
            share = structure.shares(family, rows, self._rows.n_rows)
        return ResidualDraws(structure, self._parameters, rows, self.n_draws, self._seed, share)

    def _row_sd(self, rows: slice) -> np.ndarray:
        """Residual standard deviation of each row, shape (S, rows) or (S, 1)."""
        assert self._residual is not None  # noqa: S101
        return np.asarray(self._residual.row_sd(self.of_family(rows), self.per_row(rows)))

    @functools.cached_property
    def _linear_predictors(self) -> np.ndarray:
        """Linear predictor of all rows, shape (S, n), for what a row's series has to say."""
        n = self._rows.n_rows
        check_memory(f"{n} rows x {self.n_draws} draws", n * self.n_draws, "use fewer draws")
        return np.ascontiguousarray(self._linear.block(slice(0, n)).T)

    @functools.cached_property
    def _scaled(self) -> np.ndarray:
        """Residuals of the fit's rows, each over its standard deviation, shape (S, n)."""
        difference = self._y - self._linear_predictors
        return np.asarray(difference / self._row_sd(slice(0, len(self._y))))

    def block(self, number: int, rows: slice) -> np.ndarray:
        """Return the draws of a block of rows, shape (rows, S); of counts (rows, S, K)."""
        request = self._request
        eta = self._in_the_limit(self._linear.block(rows), rows)
        if request.kind == "linear":
            return eta
        if request.parameter:
            return self._of_parameter(eta, rows)
        per_row = self.per_row(rows)
        if request.kind == "response":
            words = [self._seed, name_key("response"), number]
            rng = np.random.default_rng(np.random.SeedSequence(words))
            if request.marginal:
                spread = np.sqrt(self._linear.group_variance(rows))
                eta += spread * rng.standard_normal(eta.shape)
            family = self._own.of_new_groups(rows, rng)
            if self._residual is None:
                drawn = self._family.simulate(eta.T, family, per_row, rng)
            elif self._forecast is not None:
                residual = self._forecast.mean[:, rows] + self._forecast.noise[:, rows]
                drawn = eta.T + self._row_sd(rows) * residual
            elif self._in_series is not None:
                drawn = eta.T + self._row_sd(rows) * self._in_series.block(rows)
            else:
                drawn = self._residual.simulate(self._family, eta.T, family, per_row, rng)
            return np.ascontiguousarray(np.swapaxes(np.asarray(drawn, dtype=np.float64), 0, 1))
        if self._forecast is not None:
            eta += (self._row_sd(rows) * self._forecast.mean[:, rows]).T
        if self._family.is_linear_normal or not request.marginal:
            return self._mean(eta, self.of_family(rows), per_row)
        spread = np.sqrt(self._linear.group_variance(rows))
        total = np.zeros_like(eta)
        for part, family in self._own.nodes(rows):
            for node, weight in zip(NODES, WEIGHTS, strict=True):
                total += part * weight * self._mean(eta + node * spread, family, per_row)
        return total

    def _in_the_limit(self, eta: np.ndarray, rows: slice) -> np.ndarray:
        """Linear predictors that are infinite in refits in which they ran away.

        Thresholds may have run away beside them: probabilities are those where a search ended.
        """
        if not self.parameters.gone or self._request.kind == "response":
            return eta
        beyond = self.parameters.beyond(self._rows.X[rows])
        if beyond is None:
            return eta
        if self._request.kind != "linear" and self._family.vector_parameters:
            beyond = np.where(np.isinf(beyond), 0.0, beyond)
        return np.asarray(eta + beyond)

    def _of_parameter(self, eta: np.ndarray, rows: slice) -> np.ndarray:
        """Draws of one parameter of the family at its linear predictor, shape (rows, S)."""
        link = self._model.links[self._request.parameter]
        if not self._request.marginal:
            return np.asarray(link.inverse(NUMPY, eta))
        spread = np.sqrt(self._linear.group_variance(rows))
        total = np.zeros_like(eta)
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            total += weight * link.inverse(NUMPY, eta + node * spread)
        return total

    def category_block(self, rows: slice) -> np.ndarray:
        """Return draws of the probability of each category, shape (K, rows, S)."""
        eta = self._in_the_limit(self._linear.block(rows), rows)
        if not self._request.marginal:
            return self._probabilities(eta, self.of_family(rows))
        spread = np.sqrt(self._linear.group_variance(rows))
        return np.asarray(
            sum(
                part * weight * self._probabilities(eta + node * spread, family)
                for part, family in self._own.nodes(rows)
                for node, weight in zip(NODES, WEIGHTS, strict=True)
            )
        )

    def _probabilities(self, eta: np.ndarray, family: Mapping[str, np.ndarray]) -> np.ndarray:
        found = self._family.probabilities(eta.T, family)
        return np.ascontiguousarray(np.moveaxis(found, (0, 1, 2), (2, 1, 0)))

    def moments(self, eta: np.ndarray, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of an observation given its linear predictor.

        Parameters
        ----------
        eta : ndarray, shape (rows, S)
        rows : slice

        Returns
        -------
        mean, variance : ndarray, shape (rows, S)
        """
        per_row, family = self.per_row(rows), self.of_family(rows)
        variance = (
            self._family.variance(eta.T, family, per_row)
            if self._residual is None
            else self._residual.row_variance(family, per_row)
        )
        return self._mean(eta, family, per_row), np.broadcast_to(variance, eta.T.shape).T

    def log_prob(self, y: np.ndarray, rows: slice) -> np.ndarray:
        """Log density of responses at each draw, shape (S, rows).

        Where residuals are correlated it is that of the fit's rows, each given all other rows
        of its series.

        Parameters
        ----------
        y : ndarray, shape (rows,)
        rows : slice
        """
        if self._in_series is not None:
            deviation, sd = self._in_series.conditional(self._scaled, rows)
            log_sd = np.log(sd) + np.log(self._row_sd(rows))
            return np.asarray(-0.5 * ((deviation / sd) ** 2 + LOG_2PI) - log_sd)
        eta = self._linear.block(rows)
        family = self.of_family(rows)
        return np.asarray(self._family.log_prob(y, eta.T, family, self.per_row(rows)))

    def per_row(self, rows: slice) -> dict[str, np.ndarray]:
        """What is given per row beside the response, for a block of rows."""
        return {name: values[rows] for name, values in self._rows.per_row.items()}

    def completed(self, y: np.ndarray) -> np.ndarray:
        """Draw what the censored rows hide, at one draw of the parameters.

        Parameters
        ----------
        y : ndarray, shape (n,)

        Returns
        -------
        ndarray, shape (n,)
            The same values where nothing is hidden.

        References
        ----------
        Gelman, A., Van Mechelen, I., Verbeke, G., Heitjan, D. F. and Meulders, M.
        (2005). Multiple imputation for model checking: completed-data plots with
        missing and latent data. Biometrics 61, 74-85.
        """
        rng = np.random.default_rng(np.random.SeedSequence([self._seed, name_key("completed")]))
        n_draws = self.parameters.n_draws
        at = int(rng.integers(n_draws))
        parameters = {name: values[at : at + 1] for name, values in self._parameters.items()}
        by_row = self._own.by_row
        parameters |= {name: np.empty((1, len(y))) for name in by_row}
        eta = np.empty(len(y))

        def one_block(_: int, block: slice) -> None:
            eta[block] = self._linear.block(block)[:, at]
            family = self.of_family(block)
            for name in by_row:
                parameters[name][0, block] = family[name][at]

        for_each_block(len(y), n_draws, one_block)
        given = self.per_row(slice(None))
        status = given.pop("status")
        lower, upper = given.get("lower", -np.inf), given.get("upper", np.inf)
        given["lower"] = np.where(status > 0, np.maximum(lower, y), lower)
        given["upper"] = np.where(status < 0, np.minimum(upper, y), upper)
        drawn = self._family.simulate(eta[None], parameters, given, rng)[0]
        return np.where(status == 0, y, drawn)

    def total_log_prob(self, y: np.ndarray, n_rows: int) -> np.ndarray:
        """Log density of all rows together at each draw, shape (S,)."""
        if self._in_series is not None:
            sd = np.broadcast_to(self._row_sd(slice(0, n_rows)), (self.n_draws, n_rows))
            return self._in_series.log_density(self._scaled) - np.log(sd).sum(axis=1)
        parts: dict[int, np.ndarray] = {}

        def add(number: int, block: slice) -> None:
            parts[number] = self.log_prob(y[block], block).sum(axis=1)

        for_each_block(n_rows, self.parameters.n_draws, add)
        total: np.ndarray = np.sum([parts[number] for number in sorted(parts)], axis=0)
        return total

    def all_draws(self, n_rows: int, n_draws: int) -> np.ndarray:
        """Return the draws of all rows, shape (S, n); of counts (S, n, K).

        Raises
        ------
        NotSupportedError
            For more than memory holds.
        """
        behind = self._y.shape[1:] if self._request.kind == "response" else ()
        check_memory(
            f"{n_rows} rows x {n_draws} draws",
            n_rows * n_draws * int(np.prod(behind)),
            "use fewer with draws=, or predict(), which keeps their mean and interval only",
        )
        out = np.empty((n_draws, n_rows, *behind))

        def fill(number: int, block: slice) -> None:
            out[:, block] = np.swapaxes(self.block(number, block), 0, 1)

        for_each_block(n_rows, n_draws, fill)
        return out

    def summaries(self, n_rows: int, n_draws: int, ci_prob: float) -> np.ndarray:
        """Mean, standard deviation and equal-tailed interval of all rows, shape (4, n)."""
        out = np.empty((4, n_rows))

        def summarise(number: int, block: slice) -> None:
            out[:, block] = row_summaries(self.block(number, block), ci_prob)

        for_each_block(n_rows, n_draws, summarise)
        return without_infinite_means(out) if self.parameters.gone else out

    def _mean(
        self, eta: np.ndarray, family: Mapping[str, np.ndarray], per_row: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        mean = self._family.mean(eta.T, family, per_row)
        return np.ascontiguousarray(np.asarray(mean, dtype=np.float64).T)


_WIDE = 1e150  # beyond it a deviation may have no square


def row_summaries(
    draws: np.ndarray, ci_prob: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation and equal-tailed interval of each row.

    Parameters
    ----------
    draws : ndarray, shape (rows, S)
        Overwritten.
    ci_prob : float

    Returns
    -------
    mean, sd, lower, upper : ndarray, shape (rows,)
        The quantiles are numpy's, interpolated between neighbours; of fewer than 20 draws NaN.
    """
    n = draws.shape[1]
    tail = (1 - ci_prob) / 2
    at = [tail * (n - 1), (1 - tail) * (n - 1)]
    below = [int(np.floor(position)) for position in at]
    above = [min(k + 1, n - 1) for k in below]
    unknown = np.isnan(draws).sum(axis=1)  # which may be any number: below all, and above
    draws.partition(sorted({*below, *above}), axis=1)
    if unknown.any():
        lowest = _lower_of_known(draws, unknown, at[0])
    with np.errstate(over="ignore", invalid="ignore"):
        ends = [
            _between(draws[:, k], draws[:, m], position - k)
            for position, k, m in zip(at, below, above, strict=True)
        ]
        if unknown.any():
            ends[0] = np.where(unknown > 0, lowest, ends[0])
        mean = draws.mean(axis=1)
        wide = np.flatnonzero(~(np.abs(mean) < _WIDE) | ~(np.abs(ends) < _WIDE).all(axis=0))
        far = draws[wide]
        draws[wide] = 0.0  # what has no square is summarised on its own scale below
        center = mean.copy()
        center[wide] = 0.0
        draws -= center[:, None]
    sd = np.full(len(draws), np.nan)
    if n > 1:
        sd = np.sqrt(np.einsum("ij,ij->i", draws, draws) / (n - 1))
    if wide.size:
        mean[wide], sd[wide] = _moments_of_far(far)
    if n < FEWEST:
        ends = [np.full(len(draws), np.nan) for _ in ends]
    return mean, sd, ends[0], ends[1]


def _between(low: np.ndarray, high: np.ndarray, share: float) -> np.ndarray:
    """Interpolate between neighbours, which may be infinite."""
    found: np.ndarray = np.where(low == high, low, low + share * (high - low))
    infinite = np.isinf(low) | np.isinf(high)
    if infinite.any():
        sides = low if share == 0 else np.where(np.isinf(low), low, high)
        found = np.where(infinite & (low != high), sides, found)
    return found


def _lower_of_known(draws: np.ndarray, unknown: np.ndarray, position: float) -> np.ndarray:
    """Lower ends of rows in which draws that are not known stand below all others."""
    out = np.full(len(draws), np.nan)
    low, share = int(np.floor(position)), position - np.floor(position)
    for k in np.flatnonzero(unknown <= low).tolist():
        known = np.sort(draws[k])[: draws.shape[1] - unknown[k]]
        at = low - unknown[k]
        next_one = known[min(at + 1, len(known) - 1)]
        out[k] = _between(known[at : at + 1], np.asarray([next_one]), float(share))[0]
    return out


def without_infinite_means(found: np.ndarray) -> np.ndarray:
    """Summaries of refits, in which what ran away in some has neither mean nor deviation."""
    lost = ~np.isfinite(found[0])
    found[:2, lost] = np.nan
    return found


def _moments_of_far(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of rows near the largest number or infinite."""
    n = draws.shape[1]
    size = np.abs(draws).max(axis=1, initial=0.0)
    scale = np.where(np.isfinite(size) & (size > 0), size, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = draws / scale[:, None]
        mean = scaled.mean(axis=1)
        deviation = scaled - mean[:, None]
        sd = np.sqrt((deviation**2).sum(axis=1) / (n - 1)) if n > 1 else np.full(len(draws), np.nan)
        # A row that is infinite somewhere has no spread that is known.
        return mean * scale, np.where(np.isinf(size), np.nan, sd * scale)
