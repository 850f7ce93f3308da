"""From a design, a family and the user's priors to a prior for every parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bayesmix.covariance import GroupCovariance, Parameter, covariance_of
from bayesmix.design import Design, GroupingFactor, LinearPredictor
from bayesmix.design.by_level import LevelColumns
from bayesmix.families import Family, ResponseScale
from bayesmix.families.links import Link
from bayesmix.priors.choices import SETS, Choices, prefix_of
from bayesmix.priors.defaults import (
    LKJ_ETA,
    coefficient_priors,
    intercept_prior,
    sd_priors,
    tied_sd_prior,
)
from bayesmix.priors.model_priors import (
    AS_WRITTEN,
    AT_MEANS,
    ModelPriors,
    PredictorPriors,
    PriorInForce,
)
from bayesmix.priors.prior import Prior
from bayesmix.priors.supports import lkj, of_family, positive, real, within
from bayesmix.residual import Residual, ResidualParameter

__all__ = ["kept_priors", "resolve_priors"]


def resolve_priors(
    design: Design, family: Family, y: np.ndarray, user: Mapping[str, Any] | None = None,
    residual: Residual | None = None,
) -> ModelPriors:  # fmt: skip
    """Combine the default priors with those of the user; the most specific name wins.

    Parameters
    ----------
    design : Design
    family : Family
    y : ndarray, shape (n,)
    user : mapping of str to Prior, optional
        Names are ``"Intercept"``, a term or a coefficient, ``"fixed"``, ``"sd"``,
        ``"sd(Subject)"``, ``"sd(Subject, Days)"``, ``"corr"``, ``"corr(Subject)"``
        or a parameter of the family or, as ``"rho(Subject)"``, of a covariance structure;
        ``"beta(x)"`` reaches a coefficient that is called like one of these. For the
        predictor of another parameter than mu they have that in front:
        ``"zi: Intercept"``, ``"zi: sd(site)"``.
    residual : Residual, optional
        The residual structure, if the response is normal.

    Returns
    -------
    ModelPriors

    Raises
    ------
    PriorError
        If a name is unknown, or a prior does not fit its parameter.
    """
    of_residual: tuple[ResidualParameter, ...] = ()
    if residual is not None:
        of_residual = (*residual.scale_parameters, *residual.parameters)
    chosen = Choices(
        design, family, user or {}, tuple(dict.fromkeys(one.prior_name for one in of_residual))
    )
    scale = family.response_scale(y, design.mu.offset, design.row_data)
    defaults = {
        name: Prior(distribution, **values)
        for name, (distribution, values) in family.default_priors(scale).items()
    }
    predictors = {}
    for name, predictor in design.predictors.items():
        if name == "mu":
            own, centers = scale, predictor.has_intercept or family.replaces_intercept
        else:
            link = family.parameter_link(name)
            own = _parameter_scale(defaults.pop(name), link, predictor)
            centers = predictor.has_intercept or name in family.optional_parameters
        borrowed = [
            (other, group) for other, one in design.predictors.items() for group in one.borrowed
            if group.owner == name
        ]  # fmt: skip
        predictors[name] = _of_predictor(predictor, own, chosen, borrowed, centers=centers)
    parameters = {
        name: of_family(family, chosen.take(name, [name], default))
        for name, default in defaults.items()
    }
    further: dict[str, PriorInForce] = {}
    for one in of_residual:
        name = one.prior_name
        if name not in further:
            entry = chosen.take(name, [name], Prior(one.prior[0], **one.prior[1]))
            further[name] = _of_residual(entry, one)
    return ModelPriors(predictors=predictors, family=parameters, residual=further)


def _of_residual(entry: PriorInForce, parameter: ResidualParameter) -> PriorInForce:
    """Check the prior of a residual structure's parameter."""
    if parameter.vine is not None:
        return lkj(entry)
    if parameter.support == "interval":
        distribution, values = parameter.prior
        own = Parameter(
            name=parameter.name, lower=parameter.lower, upper=parameter.upper,
            distribution=distribution, prior=values,
        )  # fmt: skip
        return within(entry, own)
    return positive(entry) if parameter.support == "positive" else real(entry)


def _parameter_scale(default: Prior, link: Link, predictor: LinearPredictor) -> ResponseScale:
    """Units of a predictor's default priors: one on the scale of the link, around the usual value.

    That is the median of the prior which the parameter has where it is one number.
    """
    from bayesmix.priors.density import prior_median

    center = float(link.forward(np.asarray(prior_median(default))))
    shift = 0.0 if predictor.offset is None else float(predictor.offset.mean())
    return ResponseScale(center=center - shift, sd=1.0, rms=1.0)


def _of_predictor(
    predictor: LinearPredictor, scale: ResponseScale, chosen: Choices,
    borrowed: Sequence[tuple[str, GroupingFactor]], *, centers: bool,
) -> PredictorPriors:  # fmt: skip
    """The priors of one predictor; `centers` says whether something stands for an intercept."""
    prefix = prefix_of(predictor.parameter)

    def take(name: str, keys: list[str], default: Prior) -> PriorInForce:
        return chosen.take(prefix + name, [prefix + key for key in keys], default)

    reserved = chosen.reserved if predictor.parameter == "mu" else SETS
    slopes = list(predictor.slopes)
    defaults = coefficient_priors(predictor.X[:, slopes], scale, with_intercept=centers)
    coefficients = []
    for j, default in zip(slopes, defaults, strict=True):
        name = predictor.fixed_effects[j]
        terms = [term for term, columns in predictor.terms.items() if name in columns]
        keys = [f"beta({name})", *(f"beta({term})" for term in terms)]
        if name not in reserved:
            keys.append(name)
        keys += [term for term in terms if term not in reserved]
        coefficients.append(take(name, [*keys, "fixed"], default))

    intercept = None
    centered = False
    if predictor.has_intercept:
        intercept = take("Intercept", ["beta(Intercept)", "Intercept"], intercept_prior(scale))
        centered = intercept.origin == "default"
        intercept = replace(intercept, note=AT_MEANS if centered else AS_WRITTEN)

    sd = {}
    corr = {}
    structure = {}
    for group in predictor.groups:
        g, covariance = group.name, covariance_of(group)
        of_sds = _sd_defaults(group, covariance, scale)
        for other, lent in borrowed:
            if lent.name == g:
                _set_defaults_of_other(of_sds, other, lent)
        sd[g] = tuple(
            positive(take(name, [name, f"sd({g})", "sd"], default))
            for name, default in zip(covariance.sd_names(g), of_sds, strict=True)
        )
        if covariance.has_correlations:
            default = Prior("LKJ", eta=LKJ_ETA)
            corr[g] = lkj(take(f"corr({g})", [f"corr({g})", "corr"], default))
        if covariance.parameters():
            structure[g] = {
                name: within(
                    take(f"{name}({g})", [f"{name}({g})", name],
                         Prior(own.distribution, **own.prior)), own,
                )
                for name, own in covariance.parameters().items()
            }  # fmt: skip
    for entry in coefficients:
        real(entry)
    if intercept is not None:
        real(intercept)
    return PredictorPriors(
        intercept=intercept,
        intercept_is_centered=centered,
        coefficients=tuple(coefficients),
        sd=sd,
        corr=corr,
        structure=structure,
    )


def _set_defaults_of_other(defaults: list[Prior], parameter: str, group: GroupingFactor) -> None:
    """Standard deviations of another predictor's effects: in units of its own link."""
    at = [k for k, effect in enumerate(group.effects) if effect.startswith(f"{parameter}: ")]
    names = tuple(group.effects[k].removeprefix(f"{parameter}: ") for k in at)
    scale = ResponseScale(center=0.0, sd=1.0, rms=1.0)
    for k, prior in zip(at, sd_priors(group.Z[:, at], names, scale), strict=True):
        defaults[k] = prior


def _sd_defaults(
    group: GroupingFactor, covariance: GroupCovariance, scale: ResponseScale
) -> list[Prior]:
    """Default priors of a grouping factor's standard deviations."""
    alike = all(part.covariance.one_scale for part in covariance.parts)
    found = [] if alike else sd_priors(group.Z, group.effects, scale)
    found = found or [Prior("HalfFlat")] * group.n_effects
    for block, columns in zip(group.blocks, group.terms, strict=False):  # a smooth has no terms
        if isinstance(columns, LevelColumns):  # as without by=, in its own rows
            own_rows = group.Z[:, block.start : block.stop]
            own_rows = own_rows[own_rows.any(axis=1)]
            found[block.start : block.stop] = sd_priors(own_rows, columns.columns.names, scale)
    for part in covariance.parts:
        if part.covariance.one_scale:
            own = tied_sd_prior(group.Z[:, part.effects], scale)
            found[part.effects] = [own] * part.size
    if group.between is not None:  # a level's own sd is sd times the root of A's diagonal
        unit = float(f"{np.sqrt(group.mean_variance):.9g}")
        found = [Prior("HalfCauchy", beta=prior.parameters["beta"] / unit) for prior in found]
    return [found[k] for k in covariance.effect_of_sd.tolist()]


def kept_priors(learned: ModelPriors, own: ModelPriors) -> ModelPriors:
    """Take the priors that other data gave the same model, by the names of the coefficients.

    Parameters
    ----------
    learned, own : ModelPriors
        Priors by the other data, and by the model's own: these are in force for coefficients
        that the other data did not determine.
    """
    predictors = {}
    for parameter, before in learned.predictors.items():
        known = {entry.parameter: entry for entry in before.coefficients}
        now = own.predictors[parameter]
        known |= {entry.parameter: entry for entries in before.sd.values() for entry in entries}
        predictors[parameter] = replace(
            before,
            coefficients=tuple(known.get(entry.parameter, entry) for entry in now.coefficients),
            sd={
                group: tuple(known.get(entry.parameter, entry) for entry in entries)
                for group, entries in now.sd.items()
            },
            structure={
                group: {
                    # The range of a correlation depends on the number of positions.
                    name: entry if entry.prior.distribution == "Uniform"
                    else before.structure[group].get(name, entry)
                    for name, entry in entries.items()
                }
                for group, entries in now.structure.items()
            },
        )  # fmt: skip
    return replace(learned, predictors=predictors)
