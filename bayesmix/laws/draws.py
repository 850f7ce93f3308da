"""The law of draws: what an engine has drawn, or a file holds."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from bayesmix.covariance import covariance_of
from bayesmix.design import GroupingFactor
from bayesmix.errors import NotSupportedError
from bayesmix.laws.base import Asked, Columns
from bayesmix.laws.components import variance_parts
from bayesmix.laws.covariance_parameters import covariance_parameters, values_of_parameters
from bayesmix.laws.drawn_rows import DrawnRows
from bayesmix.laws.smooth_degrees import degrees_of_draws
from bayesmix.laws.summaries import DIAGNOSTICS, SummaryOptions, diagnose, summarise
from bayesmix.laws.values import Values, estimated_pairs, own_parameters

__all__ = ["DrawsLaw"]

_SECONDS_A_DRAW = 2.5e-7  # that diagnosing an effect takes for each of its draws
_INSTEAD: Mapping[str, str] = {
    "ci_method": "its intervals are those of its draws; ci_kind= says which",
    "fixed_uncertainty": "its draws always hold the uncertainty of the fixed effects",
    "ddf": "its intervals hold the uncertainty of the variance parameters, and tests=True adds pd",
}


@dataclass(frozen=True, kw_only=True)
class DrawsLaw(DrawnRows):
    """The tables of draws, whose attributes are those of `DrawnRows`."""

    given_variances: ClassVar[bool] = False
    quick: ClassVar[Mapping[str, Any]] = {"diagnostics": False}
    refused: ClassVar[Mapping[str, str]] = {
        name: f"of a posterior has no {name}=: {reason}; fit_eb() has it"
        for name, reason in _INSTEAD.items()
    }

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
        columns = self._summarise(self.stated_values.beta, asked.of_draws())
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
        found = own_parameters(self.model, self.stated_values)
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
                    fixed[:, :, k] = self.stated_values.beta[:, :, j]
            values = values + fixed[:, :, None, :]
        return self._summarise(values.reshape(*values.shape[:2], -1), asked.of_draws())

    def seconds_of_effects(self, n_effects: int, asked: Asked) -> float:
        """Time that diagnosing them takes, where they have draws."""
        diagnosed = asked.of_draws().diagnostics and not self.moments
        n_draws = self.beta.shape[0] * self.beta.shape[1]
        return _SECONDS_A_DRAW * n_draws * n_effects if diagnosed else 0.0

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
        found = covariance_parameters(self.model, self.parameter)
        draws = values_of_parameters(self.model, found, self.values)
        labels = [(p.group, p.label) for p in found]
        return labels, self._summarise(self._stacked(draws), asked.of_draws()), []

    def residual_variance(self) -> np.ndarray | None:
        """Residual variance on the scale of the linear predictor, shape (chains, draws).

        Where sigma of a normal response has a predictor it is the mean over the rows.
        """
        if "sigma" in self.others and self.model.family.is_linear_normal:
            known = self.model.design.known_se
            beside = 0.0 if known is None else float(np.mean(np.square(known)))
            return self._mean_of_squares("sigma") + beside
        if self.others or self.parameter != "mu":  # it differs from row to row; there is none
            return None
        structure = self.model.residual
        if structure is not None and structure.scale_parameters:
            return structure.mean_variance(self.parameters, self.model.rows)
        residual = self.model.family.residual_variance(self.parameters)
        return None if residual is None else np.broadcast_to(residual, self.beta.shape[:2])

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

    # -- inside ---------------------------------------------------------------

    def _summarise(self, draws: np.ndarray, options: SummaryOptions) -> Columns:
        """Columns of a table for draws of k quantities, shape (chains, draws, k)."""
        return summarise(draws, options)

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
