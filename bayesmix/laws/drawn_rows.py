"""Draws that an engine has made, or a file holds, and what they say of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from bayesmix.arguments import checked_seed
from bayesmix.laws.averages import DrawSource, Source
from bayesmix.laws.base import Law
from bayesmix.laws.calibration import (
    Calibration,
    calibration_of_draws,
    calibration_of_residuals,
    commonest_category,
)
from bayesmix.laws.correlations import correlations_at
from bayesmix.laws.levels import group_scales
from bayesmix.laws.linear import for_each_block
from bayesmix.laws.parameters import ParameterDraws, chosen_draws, levels_first, placed_levels
from bayesmix.laws.reach import reaches, reaching_draws
from bayesmix.laws.redrawn import redrawn_effects
from bayesmix.laws.request import Kind, PredictionRequest
from bayesmix.laws.residuals import Residual, refuse_normalized, residual_values
from bayesmix.laws.rows import Rows, rows_of_fit

if TYPE_CHECKING:
    from bayesmix.design import Design
    from bayesmix.inference.draws import GroupMoments
    from bayesmix.laws.predictor import Predictor
    from bayesmix.statement.stated import StatedModel

__all__ = ["DrawnRows"]

_CALIBRATED = 1000  # draws


def _in_one_row(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Draws of all chains after each other, shape (S, ...)."""
    picked = values[:, chosen]
    return picked.reshape(picked.shape[0] * picked.shape[1], *values.shape[2:])


@dataclass(frozen=True, kw_only=True)
class DrawnRows(Law):
    """Draws by role, with the model they belong to, and what they say of rows.

    Attributes
    ----------
    model : StatedModel
    beta : ndarray, shape (chains, draws, p)
    sd : mapping of str to ndarray, shape (chains, draws, q)
    corr : mapping of str to ndarray, shape (chains, draws, q, q)
    b : mapping of str to ndarray, shape (chains, draws, G, q)
    parameters : mapping of str to ndarray, shape (chains, draws)
        The family's own parameters; vectors of them have a further axis.
    parameter : str
        The one whose linear predictor these are of.
    others : mapping of str to law
        By parameter, the coefficients and effects of other linear predictors than mu's.
    moments : mapping of str to GroupMoments
        For grouping factors whose effects have no draws in `b`.
    labels : tuple of ndarray
        Labels of the chains and of the draws.
    structure : mapping of str to mapping of str to ndarray, shape (chains, draws)
        By grouping factor, parameters of its covariance structures.
    seed : int
        Seed of draws where the caller gives none.
    is_prior : bool
        Whether these are draws from the prior, in which the rows have no part.
    has_stated_prior : bool
        False where the PyMC model was changed by hand.
    of_fit : law or None
        The law of the fit, where `model` has positions or rows that it has not.
    part : int
        Number of the batch of rows that `model` has.
    """

    model: StatedModel
    beta: np.ndarray
    sd: Mapping[str, np.ndarray]
    corr: Mapping[str, np.ndarray]
    b: Mapping[str, np.ndarray]
    labels: tuple[np.ndarray, np.ndarray]
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)
    moments: Mapping[str, GroupMoments] = field(default_factory=dict)
    structure: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    seed: int = 0
    is_prior: bool = False
    has_stated_prior: bool = True
    parameter: str = "mu"
    others: Mapping[str, Self] = field(default_factory=dict)
    of_fit: Self | None = None
    part: int = 0

    @property
    def design(self) -> Design:
        """The design of the model."""
        return self.model.design

    @property
    def predictors(self) -> tuple[str, ...]:
        """Parameters of the family whose linear predictors `of` knows."""
        return (self.parameter, *self.others)

    def of(self, parameter: str) -> Self:
        """The law of one linear predictor's coefficients and effects."""
        return self if parameter == self.parameter else self.others[parameter]

    # -- draws ----------------------------------------------------------------

    def chosen(self, n: int | None) -> np.ndarray:
        """Positions of so many draws within each chain, evenly spaced."""
        return chosen_draws(self.beta.shape[0], self.beta.shape[1], n)

    def draw_labels(self, n: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the chains, and of the draws in each."""
        return self.labels[0], self.labels[1][self.chosen(n)]

    def draw(
        self, levels: Mapping[str, np.ndarray], n: int | None, seed: int, kind: Kind = "mean"
    ) -> ParameterDraws:
        """Take draws, evenly spaced; effects of which only moments were kept are drawn again."""
        if self.of_fit is not None:
            found = self.of_fit.draw(levels, n, seed, kind)
            reached = reaches(self.of_fit.model, self.model, self.parameter)
            given = {name: self._covariance_draws(name, n) for name in reached}
            found = reaching_draws(found, given, reached, seed, self.parameter)
            others = {
                name: own.draw(own._every_level(), n, seed) for name, own in self.others.items()
            }
            return replace(found, others=others)
        chosen = self.chosen(n)

        def flat(values: np.ndarray) -> np.ndarray:
            return _in_one_row(values, chosen)

        sd = {name: flat(values) for name, values in self.sd.items()}
        corr = correlations_at(self.corr, flat)
        family = {name: flat(values) for name, values in self.parameters.items()}
        beta = flat(self.beta)
        structure = {
            g: {name: flat(values) for name, values in own.items()}
            for g, own in self.structure.items()
        }
        if any(name in self.moments and len(found) for name, found in levels.items()):
            of_sigma = {
                self.model.names.of(name).beta: flat(own.beta) for name, own in self.others.items()
            }
            beta, b = redrawn_effects(
                self.model, sd, corr, structure, family | of_sigma, levels, len(beta), seed
            )
        else:
            b = {
                name: levels_first(self.b[name], chosen, found)
                for name, found in levels.items()
                if len(found)
            }
        groups = self.linear_predictor.all_groups
        scales = group_scales(groups, sd, corr, structure)
        # New levels have other effects in each predictor, but for those that are joined.
        owners = {g.name: g.owner or self.parameter for g in groups}
        scales = {
            g: s if owners[g] == "mu" else s.renamed(f"{owners[g]}: {g}") for g, s in scales.items()
        }
        return ParameterDraws(
            beta=np.ascontiguousarray(beta.T),
            b=b,
            level_rows=placed_levels(groups, levels),
            scales=scales,
            family=family,
            n_draws=len(beta),
            others={
                name: own.draw(own._every_level(), n, seed) for name, own in self.others.items()
            },
        )

    def _every_level(self) -> dict[str, np.ndarray]:
        return {g: np.arange(values.shape[2]) for g, values in self.b.items()}

    def _covariance_draws(
        self, group: str, n: int | None
    ) -> tuple[np.ndarray, np.ndarray | None, dict[str, np.ndarray]]:
        """Standard deviations, correlations and structure of a factor in the draws of `draw`."""
        chosen = self.chosen(n)
        corr = self.corr.get(group)
        own = self.structure.get(group, {})
        return (
            _in_one_row(self.sd[group], chosen),
            None if corr is None else _in_one_row(corr, chosen),
            {name: _in_one_row(values, chosen) for name, values in own.items()},
        )

    def seen_as(self, model: StatedModel) -> Self:
        """The same draws, with the model's view of the response."""
        others = {name: replace(own, model=model) for name, own in self.others.items()}
        return replace(self, model=model, others=others)

    def at_rows(self, model: StatedModel, part: int) -> Self:
        """The same draws; effects of which moments were kept are drawn by the whole fit."""
        return replace(self, model=model, of_fit=self, part=part)

    def _reaching(self, model: StatedModel) -> Self:
        others = {name: replace(own, model=model, of_fit=own) for name, own in self.others.items()}
        return replace(self, model=model, of_fit=self, others=others)

    # -- rows -----------------------------------------------------------------

    def summaries(
        self, rows: Rows, request: PredictionRequest, draws: int | None, seed: int | None
    ) -> np.ndarray:
        """Mean, sd, lower and upper of each row's draws, shape (4, n)."""
        predictor = self.predictor(rows, request, draws, seed)
        return predictor.summaries(rows.n_rows, predictor.n_draws, request.ci_prob)

    def mean_of_rows(self, rows: Rows, kind: Kind) -> np.ndarray:
        """Mean of each row's draws, shape (n,)."""
        predictor = self.predictor(rows, PredictionRequest(kind=kind), None, None)
        out = np.empty(rows.n_rows)

        def fill(number: int, block: slice) -> None:
            out[block] = predictor.block(number, block).mean(axis=1)

        for_each_block(rows.n_rows, predictor.n_draws, fill)
        return out

    def source(self, draws: int | None, seed: int | None, parameter: str = "") -> Source:
        """Averages draw by draw."""
        self.chosen(draws)
        number = checked_seed(seed, self.seed)
        own = self.of(parameter) if parameter else self
        return DrawSource(self.model, lambda levels: own.draw(levels, draws, number), number)

    def residuals(self, kind: Residual, seed: int | None) -> tuple[Rows, np.ndarray]:
        """What the posterior means leave of the response, or where it lies among replicates."""
        wanted: Kind = "response" if kind == "quantile" else "linear"
        number = checked_seed(seed, self.seed)
        rows = rows_of_fit(self.model, wanted)
        predictor = self.predictor(rows, PredictionRequest(kind=wanted), None, number)
        if kind == "normalized":
            return rows, self._whitened(rows, predictor, number)
        own = self.row_seed(number)
        return rows, residual_values(kind, self.model.y, predictor, predictor.n_draws, own)

    def replicates(self, n: int, *, new_groups: bool, seed: int | None) -> tuple[Rows, np.ndarray]:
        """Whole responses, each from another draw as long as there are enough, shape (rows, n).

        Those of counts have an axis of the categories behind.
        """
        number = checked_seed(seed, self.seed)
        rows = rows_of_fit(self.model, "response")
        if new_groups:
            rows = rows.with_new_groups(self.design)
        predictor = self.predictor(rows, PredictionRequest(kind="response"), None, number)
        rng = np.random.default_rng(np.random.SeedSequence([number, 1]))
        n_draws = predictor.n_draws
        order = np.concatenate([rng.permutation(n_draws) for _ in range(-(-n // n_draws))])[:n]
        out = np.empty((rows.n_rows, n, *self.model.y.shape[1:]))

        def fill(number: int, block: slice) -> None:
            out[block] = predictor.block(number, block)[:, order]

        for_each_block(rows.n_rows, n_draws, fill)
        return rows, out

    def calibration(self, seed: int | None) -> Calibration:
        """As if each row had been left out; of draws from the prior, where rows lie in it."""
        if self.is_prior:
            rows, quantile = self.residuals("quantile", seed)
            by = self._fitted_by(rows, None, None)
            fitted = by.summaries(rows.n_rows, by.n_draws, 0.95)[0]
            return calibration_of_residuals(quantile, fitted, "prior")
        rows, number = rows_of_fit(self.model, "response"), checked_seed(seed, self.seed)
        responses = self.predictor(rows, PredictionRequest(kind="response"), _CALIBRATED, number)
        means = self._fitted_by(rows, _CALIBRATED, number)
        return calibration_of_draws(self.model.y, responses, means, number)

    def beside_data(self, n: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
        """The response, of censored rows drawn, and replicates by evenly spaced draws."""
        rows, y = rows_of_fit(self.model, "response"), self.model.y
        predictor = self.predictor(rows, PredictionRequest(kind="response"), n, seed)
        replicates = predictor.all_draws(rows.n_rows, predictor.n_draws)
        return (predictor.completed(y) if "status" in self.model.rows else y), replicates

    def sigma_of_rows(self, at: np.ndarray) -> np.ndarray | None:
        """Sigma of rows at each draw, shape (S, rows)."""
        if "sigma" not in self.others or not self.model.family.is_linear_normal:
            return None
        rows = rows_of_fit(self.model, "response")
        predictor = self.predictor(rows, PredictionRequest(), None, None)
        found = [predictor.of_family(slice(i, i + 1))["sigma"] for i in at.tolist()]
        return np.concatenate(found, axis=1)

    # -- inside ---------------------------------------------------------------

    def _fitted_by(self, rows: Rows, draws: int | None, seed: int | None) -> Predictor:
        """What residuals are held against: means, or the commonest category's probability."""
        law = self.seen_as(commonest_category(self.model)) if self.model.family.is_nominal else self
        return law.predictor(rows, PredictionRequest(), draws, seed)

    def _mean_of_squares(self, name: str) -> np.ndarray:
        """Mean over the rows of the square of a parameter with a predictor, (chains, draws)."""
        rows = rows_of_fit(self.model, "response")
        predictor = self.predictor(rows, PredictionRequest(), None, None)
        parts: dict[int, np.ndarray] = {}

        def add(number: int, block: slice) -> None:
            parts[number] = np.square(predictor.of_family(block)[name]).sum(axis=1)

        for_each_block(rows.n_rows, predictor.n_draws, add)
        total = np.sum([parts[number] for number in sorted(parts)], axis=0)
        return np.asarray(total / rows.n_rows).reshape(self.beta.shape[:2])

    def _whitened(self, rows: Rows, predictor: Predictor, seed: int) -> np.ndarray:
        """Residuals of the posterior means, whitened at the posterior means of R's parameters."""
        refuse_normalized(self.model.family)
        structure = self.model.residual
        assert structure is not None  # noqa: S101
        left = residual_values("response", self.model.y, predictor, predictor.n_draws, seed)
        values = {name: own.mean(axis=(0, 1)) for name, own in self.parameters.items()}
        if "sigma" in self.others:
            sigma = np.empty(rows.n_rows)

            def fill(_: int, block: slice) -> None:
                sigma[block] = predictor.of_family(block)["sigma"].mean(axis=0)

            for_each_block(rows.n_rows, predictor.n_draws, fill)
            values["sigma"] = sigma
        return structure.whiten(left, values, rows.per_row)
