"""The tables of a posterior, one function each: labels beside summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats

from bayesmix.covariance import covariance_of
from bayesmix.design import Design, GroupingFactor
from bayesmix.errors import NotSupportedError
from bayesmix.families import Family
from bayesmix.inference.draws import GroupMoments
from bayesmix.results.tabular.components import variance_parts
from bayesmix.results.tabular.summaries import SummaryOptions, diagnose, summarise

__all__ = [
    "PosteriorDraws",
    "correlations_table",
    "estimated_pairs",
    "exponentiated",
    "family_parameters",
    "family_parameters_table",
    "fixed_effects_table",
    "group_table",
    "text_column",
    "variance_components_table",
    "wide_table",
    "with_aliased_terms",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PosteriorDraws:
    """Draws by role, with the design they belong to.

    Attributes
    ----------
    design : Design
    family : Family
    beta : ndarray, shape (chains, draws, p)
    sd : mapping of str to ndarray, shape (chains, draws, q)
    corr : mapping of str to ndarray, shape (chains, draws, q, q)
    b : mapping of str to ndarray, shape (chains, draws, G, q)
    parameters : mapping of str to ndarray, shape (chains, draws)
        The family's own parameters; vectors of them have a further axis.
    moments : mapping of str to GroupMoments
        For grouping factors whose effects have no draws in `b`.
    structure : mapping of str to mapping of str to ndarray, shape (chains, draws)
        By grouping factor, parameters of its covariance structures.
    """

    design: Design
    family: Family
    beta: np.ndarray
    sd: Mapping[str, np.ndarray]
    corr: Mapping[str, np.ndarray]
    b: Mapping[str, np.ndarray]
    parameters: Mapping[str, np.ndarray]
    moments: Mapping[str, GroupMoments]
    structure: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)

    def residual_variance(self) -> np.ndarray | None:
        """Residual variance on the scale of the linear predictor, shape (chains, draws)."""
        residual = self.family.residual_variance(self.parameters)
        return None if residual is None else np.broadcast_to(residual, self.beta.shape[:2])

    def mean_effects(self, group: str) -> np.ndarray:
        """Posterior means of the group effects, shape (G, q)."""
        if group in self.moments:
            return self.moments[group].mean
        means: np.ndarray = self.b[group].mean(axis=(0, 1))
        return means


def fixed_effects_table(draws: PosteriorDraws, options: SummaryOptions) -> pd.DataFrame:
    """One row per coefficient, NaN for one that was left out as aliased."""
    design = draws.design
    table = pd.DataFrame(
        {"term": text_column(design.fixed_effects), **summarise(draws.beta, options)}
    )
    return with_aliased_terms(table, design)


def exponentiated(table: pd.DataFrame, family: Family) -> pd.DataFrame:
    """Turn coefficients into ratios: odds ratios, rate ratios.

    Estimate and interval are exponentiated, so a median or an equal-tailed interval is
    that of the ratio; sd is the ratio times the sd of the coefficient (delta method).

    Raises
    ------
    NotSupportedError
        If exp(coefficient) means nothing under the family's link.
    """
    if not family.ratio:
        raise NotSupportedError(
            f"exponentiate=True makes no sense for the family {family}: its coefficients are "
            "no logarithms of ratios, as they are with the logit, log and cloglog links"
        )
    ratios = table.copy()
    for name in ("estimate", "lower", "upper"):
        ratios[name] = np.exp(table[name])
    ratios["sd"] = ratios["estimate"] * table["sd"]
    return ratios


def family_parameters(draws: PosteriorDraws) -> dict[str, np.ndarray]:
    """Draws of the family's parameters by label, shape (chains, draws) each."""
    labels = draws.family.parameter_labels(draws.design.response)
    found: dict[str, np.ndarray] = {}
    for name, values in draws.parameters.items():
        if name in labels:
            found |= {f"{name}[{label}]": values[..., k] for k, label in enumerate(labels[name])}
        else:
            found[name] = values
    return found


def parameters_by_part(draws: PosteriorDraws) -> dict[str, dict[str, np.ndarray]]:
    """Gather fixed effects, variance parameters and the family's own.

    Parameters
    ----------
    draws : PosteriorDraws

    Returns
    -------
    dict of str to dict of str to ndarray, shape (chains, draws)
        By "beta", "sd(g)", "corr(g)" and the family's parameters; then by names such
        as ``Days``, ``sd(Subject, Days)``, ``corr(Subject, Intercept, Days)``.
    """
    own = family_parameters(draws)
    found = {
        "beta": {
            f"beta({name})" if name in draws.parameters else name: draws.beta[:, :, j]
            for j, name in enumerate(draws.design.fixed_effects)
        }
    }
    for group in draws.design.groups:
        g, effects, covariance = group.name, group.effects, covariance_of(group)
        found[f"sd({g})"] = {f"sd({g}, {e})": draws.sd[g][:, :, k] for k, e in covariance.sds}
        if covariance.has_correlations:
            found[f"corr({g})"] = {
                f"corr({g}, {effects[k]}, {effects[m]})": draws.corr[g][:, :, k, m]
                for k, m in estimated_pairs(group)
            }
        for name, values in draws.structure.get(g, {}).items():
            found[f"{name}({g})"] = {f"{name}({g})": values}
    for name in draws.parameters:
        found[name] = {
            label: values for label, values in own.items()
            if label == name or label.startswith(f"{name}[")
        }  # fmt: skip
    return found


def parameters_by_name(draws: PosteriorDraws) -> dict[str, np.ndarray]:
    """Draws of every parameter of `parameters_by_part`, shape (chains, draws) each."""
    parts = parameters_by_part(draws).values()
    return {name: values for part in parts for name, values in part.items()}


def family_parameters_table(draws: PosteriorDraws, options: SummaryOptions) -> pd.DataFrame:
    """One row per parameter of the family; a vector of thresholds has one for each."""
    found = family_parameters(draws)
    stacked = np.zeros((*draws.beta.shape[:2], 0))
    if found:
        stacked = np.stack(list(found.values()), axis=-1)
    return pd.DataFrame({"parameter": text_column(list(found)), **summarise(stacked, options)})


def with_aliased_terms(table: pd.DataFrame, design: Design) -> pd.DataFrame:
    """Put coefficients that were left out as aliased in their place, with NaN."""
    if not design.aliased:
        return table
    return table.set_index("term").reindex(list(design.all_fixed_columns)).reset_index()


def wide_table(table: pd.DataFrame) -> pd.DataFrame:
    """Turn a table of group effects into a row per level and a column per effect."""
    wide = table.pivot_table(
        index=["group", "level"], columns="effect", values="estimate", sort=False
    )
    return wide.rename_axis(columns=None).reset_index()


def group_table(
    draws: PosteriorDraws,
    group: GroupingFactor,
    options: SummaryOptions,
    *,
    with_fixed: bool,
    n_levels: int | None = None,
) -> pd.DataFrame:
    """One row per level and effect of a grouping factor.

    Parameters
    ----------
    draws : PosteriorDraws
    group : GroupingFactor
    options : SummaryOptions
    with_fixed : bool
        Whether the fixed effect of the same name is added, draw by draw, so that
        the interval knows their covariance.
    n_levels : int, optional
        Only the first so many levels.
    """
    if group.name in draws.moments:
        return _moments_table(draws.moments[group.name], group, options, with_fixed, n_levels)
    values = draws.b[group.name][:, :, :n_levels]
    if with_fixed:
        values = values + _matching_fixed(draws, group)[:, :, None, :]
    shape = values.shape
    levels = group.levels.labels[:n_levels]
    return pd.DataFrame(
        {
            "group": text_column([group.name] * (len(levels) * shape[3])),
            "level": text_column(np.repeat(levels, shape[3])),
            "effect": text_column(group.effects * len(levels)),
            **summarise(values.reshape(*shape[:2], -1), options),
        }
    )


def _moments_table(
    moments: GroupMoments,
    group: GroupingFactor,
    options: SummaryOptions,
    with_fixed: bool,
    n_levels: int | None,
) -> pd.DataFrame:
    """The same table from means and standard deviations, with normal intervals."""
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
    levels = group.levels.labels[:n_levels]
    z = stats.norm.ppf((1 + options.ci_prob) / 2)
    columns = {
        "group": text_column([group.name] * mean.size),
        "level": text_column(np.repeat(levels, group.n_effects)),
        "effect": text_column(group.effects * len(levels)),
        "estimate": mean,
        "sd": sd,
        "lower": mean - z * sd,
        "upper": mean + z * sd,
    }
    if options.diagnostics:
        columns |= {name: np.full(mean.size, np.nan) for name in ("ess_bulk", "ess_tail", "r_hat")}
    return pd.DataFrame(columns)


def _matching_fixed(draws: PosteriorDraws, group: GroupingFactor) -> np.ndarray:
    """Fixed effects under the effects' names, shape (chains, draws, q); else zero."""
    out = np.zeros((*draws.beta.shape[:2], group.n_effects))
    for k, j in enumerate(group.fixed_column):
        if j is not None:
            out[:, :, k] = draws.beta[:, :, j]
    return out


def variance_components_table(draws: PosteriorDraws, options: SummaryOptions) -> pd.DataFrame:
    """One row per standard deviation of a group's effect, and the residual's."""
    residual = draws.residual_variance()
    parts = None
    if residual is not None:
        parts = variance_parts(draws.design.groups, draws.sd, draws.corr, residual)
    labels: list[tuple[str, str]] = []
    sds: list[np.ndarray] = []
    shares: list[np.ndarray] = []
    for group in draws.design.groups:
        covariance = covariance_of(group)
        labels += [(group.name, label) for label in covariance.sd_labels]
        sds.append(covariance.by_sd(draws.sd[group.name]))
        if parts is not None:
            share = parts.effects[group.name] / parts.total[..., None]
            shares.append(covariance.sum_by_sd(share))
    if parts is not None and residual is not None:
        # That of a binary response is of the latent variable, and not estimated.
        labels.append(("Residual", "" if draws.family.residual_is_estimated else "latent"))
        sds.append(np.sqrt(residual)[..., None])
        shares.append((parts.residual / parts.total)[..., None])
    sd = np.concatenate(sds, axis=-1) if sds else np.zeros((*draws.beta.shape[:2], 0))
    plain = replace(options, diagnostics=False)
    of_sd = summarise(sd, plain)
    share = (
        summarise(np.concatenate(shares, axis=-1), plain)["estimate"]
        if shares
        else np.full(len(labels), np.nan)
    )
    columns = {
        "group": text_column([g for g, _ in labels]),
        "effect": text_column([e for _, e in labels]),
        "variance": summarise(sd**2, plain)["estimate"],
        "sd": of_sd["estimate"],
        "sd_lower": of_sd["lower"],
        "sd_upper": of_sd["upper"],
        "variance_share": share,
    }
    return pd.DataFrame(columns | diagnose(sd) if options.diagnostics else columns)


def correlations_table(draws: PosteriorDraws, options: SummaryOptions) -> pd.DataFrame:
    """One row per pair of effects whose correlation is estimated."""
    labels: list[tuple[str, str, str]] = []
    values: list[np.ndarray] = []
    for group in draws.design.groups:
        for k, m in estimated_pairs(group):
            labels.append((group.name, group.effects[k], group.effects[m]))
            values.append(draws.corr[group.name][:, :, k, m])
    stacked = np.stack(values, axis=-1) if values else np.zeros((*draws.beta.shape[:2], 0))
    summary = summarise(stacked, options)
    del summary["sd"]
    names = ("group", "effect_1", "effect_2")
    columns = {name: text_column([row[i] for row in labels]) for i, name in enumerate(names)}
    return pd.DataFrame(columns | summary)


def estimated_pairs(group: GroupingFactor) -> Sequence[tuple[int, int]]:
    """Pairs of effects in one correlated block; the other entries of R are 0 or 1."""
    return covariance_of(group).pairs


def text_column(values: Sequence[str] | np.ndarray) -> pd.Series[str]:
    """Return a column of text, of pandas' own text type also where it is empty."""
    return pd.Series(list(values), dtype="str")
