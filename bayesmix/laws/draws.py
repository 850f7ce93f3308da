"""The law of draws: what an engine has drawn, or a file holds."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import special

from bayesmix.arguments import checked_seed
from bayesmix.covariance import covariance_of
from bayesmix.design import GroupingFactor
from bayesmix.errors import NotSupportedError
from bayesmix.laws.averages import DrawSource, Source
from bayesmix.laws.base import Asked, Columns, Law
from bayesmix.laws.calibration import Calibration, calibration_of_draws, calibration_of_residuals
from bayesmix.laws.components import variance_parts
from bayesmix.laws.correlations import correlations_at
from bayesmix.laws.covariance_parameters import covariance_parameters, values_of_parameters
from bayesmix.laws.levels import group_scales
from bayesmix.laws.linear import for_each_block
from bayesmix.laws.parameters import ParameterDraws, chosen_draws, levels_first, placed_levels
from bayesmix.laws.reach import reaches, reaching_draws
from bayesmix.laws.redrawn import redrawn_effects
from bayesmix.laws.request import Kind, PredictionRequest
from bayesmix.laws.residuals import Residual, refuse_normalized, residual_values
from bayesmix.laws.rows import Rows, rows_of_fit
from bayesmix.laws.smooth_degrees import degrees_of_draws
from bayesmix.laws.summaries import DIAGNOSTICS, SummaryOptions, diagnose, summarise
from bayesmix.laws.values import Values, estimated_pairs, own_parameters

if TYPE_CHECKING:
    from bayesmix.design import Design, GroupingFactor
    from bayesmix.inference.draws import GroupMoments
    from bayesmix.laws.predictor import Predictor
    from bayesmix.statement.stated import StatedModel

__all__ = ["DrawsLaw"]

_CALIBRATED = 1000  # draws
_SECONDS_EACH = 0.003  # that ArviZ needs to diagnose an effect
_INSTEAD: Mapping[str, str] = {
    "ci_method": "its intervals are those of its draws; ci_kind= says which",
    "fixed_uncertainty": "its draws always hold the uncertainty of the fixed effects",
    "ddf": "its intervals hold the uncertainty of the variance parameters, and tests=True adds pd",
}


def _in_one_row(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Draws of all chains after each other, shape (S, ...)."""
    picked = values[:, chosen]
    return picked.reshape(picked.shape[0] * picked.shape[1], *values.shape[2:])


@dataclass(frozen=True, kw_only=True)
class DrawsLaw(Law):
    """Draws by role, with the model they belong to.

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
    others : mapping of str to DrawsLaw
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
    of_fit : DrawsLaw or None
        The law of the fit, where `model` has positions that it has not.
    """

    given_variances: ClassVar[bool] = False
    quick: ClassVar[Mapping[str, Any]] = {"diagnostics": False}
    refused: ClassVar[Mapping[str, str]] = {
        name: f"of a posterior has no {name}=: {reason}; fit_eb() has it"
        for name, reason in _INSTEAD.items()
    }

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
    others: Mapping[str, DrawsLaw] = field(default_factory=dict)
    of_fit: DrawsLaw | None = None

    @property
    def design(self) -> Design:
        """The design of the model."""
        return self.model.design

    @property
    def predictors(self) -> tuple[str, ...]:
        """Parameters of the family whose linear predictors `of` knows."""
        return (self.parameter, *self.others)

    def of(self, parameter: str) -> DrawsLaw:
        """The law of one linear predictor's coefficients and effects."""
        return self if parameter == self.parameter else self.others[parameter]

    # -- parameters -----------------------------------------------------------

    @property
    def values(self) -> Values:
        """Draws of fixed effects and variance parameters, (chains, draws) first."""
        return Values(
            beta=self.beta, sd=self.sd, corr=self.corr, parameters=self.parameters,
            structure=self.structure,
            others={name: own.values for name, own in self.others.items()},
        )  # fmt: skip

    def summarise(self, values: np.ndarray, asked: Asked) -> Columns:
        """Columns of a table for functions of `values`, shape (chains, draws, k)."""
        return self._summarise(values, asked.of_draws("median"))

    def coefficients(self, asked: Asked) -> Columns:
        """Columns of the fixed effects' table, shape (p,) each."""
        columns = self._summarise(self.beta, asked.of_draws())
        if not asked.tested:
            return columns
        diagnosis = {name: columns.pop(name) for name in list(columns) if name in DIAGNOSTICS}
        return columns | self._against_zero() | diagnosis

    def _against_zero(self) -> Columns:
        """Columns pd and p_mcmc: how many draws are on the side of most, and of the fewest."""
        draws = self.beta.reshape(-1, self.beta.shape[-1])
        above, below = (draws > 0).mean(axis=0), (draws < 0).mean(axis=0)
        fewest = np.maximum(np.minimum(above, below), 0.5 / max(len(draws), 1))
        return {"pd": np.maximum(above, below), "p_mcmc": 2 * fewest}

    def note_of_tests(self, asked: Asked) -> str:
        """What the share of draws on one side of zero says."""
        if not asked.tested:
            return ""
        return (
            "pd is the probability that a coefficient has the sign that most draws have; p_mcmc "
            "is twice the probability of the other, as in MCMCglmm."
        )

    def own_parameters(self, asked: Asked) -> tuple[list[str], Columns]:
        """Names of the family's parameters, and the columns of their table."""
        found = own_parameters(self.model, self.values)
        return list(found), self._summarise(self._stacked(list(found.values())), asked.of_draws())

    def effects(
        self, group: GroupingFactor, asked: Asked, *, with_fixed: bool, n_levels: int | None = None
    ) -> Columns:
        """Columns of a grouping factor's effects, each added to its fixed effect draw by draw."""
        if group.name in self.moments:
            return self._from_moments(group, asked, n_levels, with_fixed=with_fixed)
        values = self.b[group.name][:, :, :n_levels]
        if with_fixed:
            fixed = np.zeros((*self.beta.shape[:2], group.n_effects))
            for k, j in enumerate(group.fixed_column):
                if j is not None:
                    fixed[:, :, k] = self.beta[:, :, j]
            values = values + fixed[:, :, None, :]
        return self._summarise(values.reshape(*values.shape[:2], -1), asked.of_draws())

    def seconds_of_effects(self, n_effects: int, asked: Asked) -> float:
        """Time that diagnosing them takes, where they have draws."""
        diagnosed = asked.of_draws().diagnostics and not self.moments
        return _SECONDS_EACH * n_effects if diagnosed else 0.0

    def note_of_effects(self, group: GroupingFactor) -> str:
        """That of some effects there are moments only."""
        if group.name not in self.moments:
            return ""
        return "means and normal intervals, from the moments that were kept"

    def components(self, asked: Asked) -> tuple[list[tuple[str, str]], Columns]:
        """Group and effect of each standard deviation, the residual's last, and their columns."""
        options = asked.of_draws("median")
        groups, residual = self.linear_predictor.grouping, self.residual_variance()
        labels = [(g.name, label) for g in groups for label in covariance_of(g).sd_labels]
        sds = [covariance_of(g).by_sd(self.sd[g.name]) for g in groups]
        shares: list[np.ndarray] = []
        if residual is not None:
            parts = variance_parts(groups, self.sd, self.corr, residual)
            shares = [
                covariance_of(g).sum_by_sd(parts.effects[g.name] / parts.total[..., None])
                for g in groups
            ]
            # That of a binary response is of the latent variable, and not estimated.
            estimated = self.model.family.residual_is_estimated
            labels.append(("Residual", "" if estimated else "latent"))
            sds.append(np.sqrt(residual)[..., None])
            shares.append((parts.residual / parts.total)[..., None])
        sd = np.concatenate(sds, axis=-1) if sds else np.zeros((*self.beta.shape[:2], 0))
        plain = asked.of_draws("median").without_diagnostics()
        share = np.full(len(labels), np.nan)
        if shares:
            share = summarise(np.concatenate(shares, axis=-1), plain)["estimate"]
        found = self._summarise(sd, plain)
        columns = {
            "variance": summarise(sd**2, plain)["estimate"],
            "sd": found["estimate"],
            "sd_lower": found["lower"],
            "sd_upper": found["upper"],
            "variance_share": share,
        }
        return labels, columns | diagnose(sd) if options.diagnostics else columns

    def correlations(self, asked: Asked) -> tuple[list[tuple[str, str, str]], Columns]:
        """Group and pair of effects of each correlation, and their columns."""
        labels: list[tuple[str, str, str]] = []
        values: list[np.ndarray] = []
        for group in self.linear_predictor.groups:
            for k, m in estimated_pairs(group):
                labels.append((group.name, group.effects[k], group.effects[m]))
                values.append(self.corr[group.name][:, :, k, m])
        columns = self._summarise(self._stacked(values), asked.of_draws())
        del columns["sd"]
        return labels, columns

    @functools.cached_property
    def _smooth_degrees(self) -> Mapping[str, float]:
        return degrees_of_draws(self)

    def smooth_sds(self, asked: Asked) -> Columns:
        """Columns sd, lower and upper of the standard deviations of smooths, in their order."""
        smooths = [g for g in self.design.mu.groups if g.smooth is not None]
        sds = [covariance_of(g).by_sd(self.sd[g.name]) for g in smooths]
        found = self._summarise(np.concatenate(sds, axis=-1), asked.of_draws("median"))
        return {"sd": found.pop("estimate"), **{k: v for k, v in found.items() if k != "sd"}}

    def smooth_degrees(self) -> Mapping[str, float]:
        """Means over some draws."""
        return self._smooth_degrees

    def covariance_parameters(
        self, asked: Asked
    ) -> tuple[list[tuple[str, str]], Columns, list[str]]:
        """Group and name of each parameter of a covariance structure, and their columns."""
        found = covariance_parameters(self.model)
        draws = values_of_parameters(self.model, found, self.values)
        labels = [(p.group, p.label) for p in found]
        return labels, self._summarise(self._stacked(draws), asked.of_draws()), []

    def residual_variance(self) -> np.ndarray | None:
        """Residual variance on the scale of the linear predictor, shape (chains, draws).

        Where sigma of a normal response has a predictor it is the mean over the rows.
        """
        if "sigma" in self.others and self.model.family.is_linear_normal:
            return self._mean_of_squares("sigma")
        if self.others or self.parameter != "mu":  # it differs from row to row; there is none
            return None
        structure = self.model.residual
        if structure is not None and structure.scale_parameters:
            return structure.mean_variance(self.parameters, self.model.rows)
        residual = self.model.family.residual_variance(self.parameters)
        return None if residual is None else np.broadcast_to(residual, self.beta.shape[:2])

    def sigma_of_rows(self, at: np.ndarray) -> np.ndarray | None:
        """Sigma of rows at each draw, shape (S, rows)."""
        if "sigma" not in self.others or not self.model.family.is_linear_normal:
            return None
        rows = rows_of_fit(self.model, "response")
        predictor = self.predictor(rows, PredictionRequest(), None, None)
        found = [predictor.of_family(slice(i, i + 1))["sigma"] for i in at.tolist()]
        return np.concatenate(found, axis=1)

    def point_estimates(self) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Means of fixed effects, of group effects, and of the family's own parameters."""
        effects = {
            g.name: self.moments[g.name].mean if g.name in self.moments
            else self.b[g.name].mean(axis=(0, 1))
            for g in self.linear_predictor.groups
        }  # fmt: skip
        own = {name: values.mean(axis=(0, 1)) for name, values in self.parameters.items()}
        return self.beta.mean(axis=(0, 1)), effects, own

    def smooth_effects(self) -> dict[str, np.ndarray]:
        """Draws of the effects of smooths; where only moments were kept, their means."""
        shape = self.beta.shape[:2]
        return {
            g.name: np.broadcast_to(self.moments[g.name].mean[0], (*shape, g.n_effects))
            if g.name in self.moments
            else self.b[g.name][:, :, 0]
            for g in self.design.mu.groups
            if g.is_smooth
        }

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
            reached = reaches(self.of_fit.model, self.model)
            given = {name: self._covariance_draws(name, n) for name in reached}
            return reaching_draws(found, given, reached, seed)
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
                name: own.draw({g: np.arange(v.shape[2]) for g, v in own.b.items()}, n, seed)
                for name, own in self.others.items()
            },
        )

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

    def _reaching(self, model: StatedModel) -> DrawsLaw:
        return replace(self, model=model, of_fit=self)

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
        return rows, residual_values(kind, self.model.y, predictor, predictor.n_draws, number)

    def replicates(self, n: int, *, new_groups: bool, seed: int | None) -> tuple[Rows, np.ndarray]:
        """Whole responses, each from another draw as long as there are enough, shape (rows, n)."""
        number = checked_seed(seed, self.seed)
        rows = rows_of_fit(self.model, "response")
        if new_groups:
            rows = rows.with_new_groups(self.design)
        predictor = self.predictor(rows, PredictionRequest(kind="response"), None, number)
        rng = np.random.default_rng(np.random.SeedSequence([number, 1]))
        n_draws = predictor.n_draws
        order = np.concatenate([rng.permutation(n_draws) for _ in range(-(-n // n_draws))])[:n]
        out = np.empty((rows.n_rows, n))

        def fill(number: int, block: slice) -> None:
            out[block] = predictor.block(number, block)[:, order]

        for_each_block(rows.n_rows, n_draws, fill)
        return rows, out

    def calibration(self, seed: int | None) -> Calibration:
        """As if each row had been left out; of draws from the prior, where rows lie in it."""
        if self.is_prior:
            rows, quantile = self.residuals("quantile", seed)
            fitted = self.summaries(rows, PredictionRequest(), None, None)[0]
            return calibration_of_residuals(quantile, fitted, "prior")
        rows, number = rows_of_fit(self.model, "response"), checked_seed(seed, self.seed)
        responses = self.predictor(rows, PredictionRequest(kind="response"), _CALIBRATED, number)
        means = self.predictor(rows, PredictionRequest(), _CALIBRATED, number)
        return calibration_of_draws(self.model.y, responses, means, number)

    def beside_data(self, n: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
        """The response, of censored rows drawn, and replicates by evenly spaced draws."""
        rows, y = rows_of_fit(self.model, "response"), self.model.y
        predictor = self.predictor(rows, PredictionRequest(kind="response"), n, seed)
        replicates = predictor.all_draws(rows.n_rows, predictor.n_draws)
        return (predictor.completed(y) if "status" in self.model.rows else y), replicates

    # -- inside ---------------------------------------------------------------

    def _summarise(self, draws: np.ndarray, options: SummaryOptions) -> Columns:
        """Columns of a table for draws of k quantities, shape (chains, draws, k)."""
        return summarise(draws, options)

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

    def _stacked(self, values: list[np.ndarray]) -> np.ndarray:
        if values:
            return np.stack(values, axis=-1)
        return np.zeros((*self.beta.shape[:2], 0))

    def _from_moments(
        self, group: GroupingFactor, asked: Asked, n_levels: int | None, *, with_fixed: bool
    ) -> Columns:
        """The same columns from means and standard deviations, with normal intervals."""
        options, moments = asked.of_draws(), self.moments[group.name]
        for argument, value, only in (
            ("ci_kind", options.ci_kind, "eti"),
            ("point", options.point, "mean"),
        ):
            if value != only:
                raise NotSupportedError(
                    f"{argument}={value!r} needs draws of the effects by `{group.name}`, of which "
                    "this fit kept means and standard deviations only; take "
                    f'{argument}="{only}", or fit(group_draws="all")'
                )
        mean = (moments.coefficient_mean if with_fixed else moments.mean)[:n_levels].ravel()
        sd = (moments.coefficient_sd if with_fixed else moments.sd)[:n_levels].ravel()
        z = special.ndtri((1 + options.ci_prob) / 2)
        columns = {"estimate": mean, "sd": sd, "lower": mean - z * sd, "upper": mean + z * sd}
        if options.diagnostics:
            columns |= {n: np.full(mean.size, np.nan) for n in ("ess_bulk", "ess_tail", "r_hat")}
        return columns
