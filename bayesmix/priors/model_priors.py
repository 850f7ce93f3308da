"""Which prior is in force for which parameter of a model, and where it came from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean
from bayesmix.covariance import GroupCovariance, Parameter, Part, covariance_of
from bayesmix.design import Design, GroupingFactor, LinearPredictor
from bayesmix.errors import PriorError
from bayesmix.families import Family, ResponseScale
from bayesmix.families.links import Link
from bayesmix.priors.defaults import (
    LKJ_ETA,
    coefficient_priors,
    intercept_prior,
    sd_priors,
    tied_sd_prior,
)
from bayesmix.priors.distributions import check_sizes, is_improper, lower_bound, upper_bound
from bayesmix.priors.prior import Prior
from bayesmix.residual import Residual

__all__ = [
    "AT_MEANS", "ModelPriors", "PredictorPriors", "PriorInForce", "kept_priors", "resolve_priors",
]  # fmt: skip


AT_MEANS = "at the predictors' means"
_AS_WRITTEN = "as the formula writes it"
_SETS = frozenset({"fixed", "sd", "corr"})  # names that stand for several parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorInForce:
    """A prior, what it is for, and who said so.

    Attributes
    ----------
    parameter : str
        ``Intercept``, a coefficient's name, ``sd(Subject, Days)``, ``sigma``.
    prior : Prior
    origin : {"default", "user"}
    note : str
        What the table of priors adds, such as where the intercept is taken.
    """

    parameter: str
    prior: Prior
    origin: Literal["default", "user"]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PredictorPriors:
    """The priors of the coefficients of one linear predictor.

    Attributes
    ----------
    intercept : PriorInForce or None
        None in a predictor without an intercept.
    intercept_is_centered : bool
        Whether `intercept` holds for the intercept at the predictors' means
        (the default) and not for the one that the formula writes.
    coefficients : tuple of PriorInForce
        Priors of the fixed effects other than the intercept, in the order of X.
    sd : mapping of str to tuple of PriorInForce
        By grouping factor, in the order of its standard deviations.
    corr : mapping of str to PriorInForce
        By grouping factor, for those with correlations.
    structure : mapping of str to mapping of str to PriorInForce
        By grouping factor and parameter, for what its covariance structures have beside
        standard deviations and free correlations.
    """

    intercept: PriorInForce | None
    intercept_is_centered: bool
    coefficients: tuple[PriorInForce, ...]
    sd: Mapping[str, tuple[PriorInForce, ...]]
    corr: Mapping[str, PriorInForce]
    structure: Mapping[str, Mapping[str, PriorInForce]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[PriorInForce]:
        if self.intercept is not None:
            yield self.intercept
        yield from self.coefficients
        for group, priors in self.sd.items():
            yield from priors
            if group in self.corr:
                yield self.corr[group]
            yield from self.structure.get(group, {}).values()

    def of_part(self, group: str, part: Part) -> dict[str, Prior]:
        """Priors of one block's structure, by the names that the structure has for them."""
        found = {
            p.name: self.structure[group][name].prior for name, p in part.named_parameters().items()
        }
        return found | ({"corr": self.corr[group].prior} if group in self.corr else {})


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ModelPriors:
    """The priors of a model.

    Attributes
    ----------
    predictors : mapping of str to PredictorPriors
        By parameter that has a linear predictor; "mu" first.
    family : mapping of str to PriorInForce
        By parameter of the family that has none.
    residual : mapping of str to PriorInForce
        By parameter of the residual structure, beside sigma.
    """

    predictors: Mapping[str, PredictorPriors]
    family: Mapping[str, PriorInForce]
    residual: Mapping[str, PriorInForce] = field(default_factory=dict)

    @property
    def mu(self) -> PredictorPriors:
        """The priors of mu's predictor."""
        return self.predictors["mu"]

    # -- mu's, for what does not ask for a predictor yet ------------------------

    @property
    def intercept(self) -> PriorInForce | None:
        """The prior of mu's intercept."""
        return self.mu.intercept

    @property
    def intercept_is_centered(self) -> bool:
        """Whether it holds at the predictors' means."""
        return self.mu.intercept_is_centered

    @property
    def coefficients(self) -> tuple[PriorInForce, ...]:
        """The priors of mu's other fixed effects."""
        return self.mu.coefficients

    @property
    def sd(self) -> Mapping[str, tuple[PriorInForce, ...]]:
        """The priors of the standard deviations of mu's group effects."""
        return self.mu.sd

    @property
    def corr(self) -> Mapping[str, PriorInForce]:
        """The priors of the correlations of mu's group effects."""
        return self.mu.corr

    @property
    def structure(self) -> Mapping[str, Mapping[str, PriorInForce]]:
        """The priors of the other parameters of the structures of mu's group effects."""
        return self.mu.structure

    def __iter__(self) -> Iterator[PriorInForce]:
        for predictor in self.predictors.values():
            yield from predictor
        yield from self.family.values()
        yield from self.residual.values()

    @property
    def improper(self) -> list[str]:
        """Parameters whose prior cannot be drawn from."""
        return [entry.parameter for entry in self if is_improper(entry.prior.distribution)]

    def table(self) -> pd.DataFrame:
        """Return one row per prior.

        Returns
        -------
        DataFrame
            With columns parameter, prior, origin, note.
        """
        return pd.DataFrame(
            [(e.parameter, str(e.prior), e.origin, e.note) for e in self],
            columns=["parameter", "prior", "origin", "note"],
        )


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
    of_residual = () if residual is None else residual.parameters
    chosen = _Choices(design, family, user or {}, tuple(one.name for one in of_residual))
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
            centers = predictor.has_intercept
        predictors[name] = _of_predictor(predictor, own, chosen, centers=centers)
    parameters = {
        name: _family_parameter(family, chosen.take(name, [name], default))
        for name, default in defaults.items()
    }
    further = {}
    for one in of_residual:
        entry = chosen.take(one.name, [one.name], Prior(one.prior[0], **one.prior[1]))
        further[one.name] = _positive(entry) if one.support == "positive" else _real(entry)
    return ModelPriors(predictors=predictors, family=parameters, residual=further)


def _parameter_scale(default: Prior, link: Link, predictor: LinearPredictor) -> ResponseScale:
    """Units of a predictor's default priors: one on the scale of the link, around the usual value.

    That is the median of the prior which the parameter has where it is one number.
    """
    from bayesmix.priors.density import prior_median

    center = float(link.forward(np.asarray(prior_median(default))))
    shift = 0.0 if predictor.offset is None else float(predictor.offset.mean())
    return ResponseScale(center=center - shift, sd=1.0, rms=1.0)


def _of_predictor(
    predictor: LinearPredictor, scale: ResponseScale, chosen: _Choices, *, centers: bool
) -> PredictorPriors:
    """The priors of one predictor; `centers` says whether something stands for an intercept."""
    prefix = _prefix(predictor.parameter)

    def take(name: str, keys: list[str], default: Prior) -> PriorInForce:
        return chosen.take(prefix + name, [prefix + key for key in keys], default)

    reserved = chosen.reserved if predictor.parameter == "mu" else _SETS
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
        intercept = replace(intercept, note=AT_MEANS if centered else _AS_WRITTEN)

    sd = {}
    corr = {}
    structure = {}
    for group in predictor.groups:
        g, covariance = group.name, covariance_of(group)
        sd[g] = tuple(
            _positive(take(f"sd({g}, {e})", [f"sd({g}, {e})", f"sd({g})", "sd"], default))
            for e, default in zip(
                covariance.sd_labels, _sd_defaults(group, covariance, scale), strict=True
            )
        )
        if covariance.has_correlations:
            default = Prior("LKJ", eta=LKJ_ETA)
            corr[g] = _lkj(take(f"corr({g})", [f"corr({g})", "corr"], default))
        if covariance.parameters():
            structure[g] = {
                name: _within(
                    take(f"{name}({g})", [f"{name}({g})", name],
                         Prior(own.distribution, **own.prior)), own,
                )
                for name, own in covariance.parameters().items()
            }  # fmt: skip
    for entry in coefficients:
        _real(entry)
    if intercept is not None:
        _real(intercept)
    return PredictorPriors(
        intercept=intercept,
        intercept_is_centered=centered,
        coefficients=tuple(coefficients),
        sd=sd,
        corr=corr,
        structure=structure,
    )


def _sd_defaults(
    group: GroupingFactor, covariance: GroupCovariance, scale: ResponseScale
) -> list[Prior]:
    """Default priors of a grouping factor's standard deviations."""
    found = sd_priors(group.Z, group.effects, scale)
    for part in covariance.parts:
        if part.covariance.one_scale:
            own = tied_sd_prior(group.Z[:, part.effects], scale)
            found[part.effects] = [own] * part.size
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
        coefficients = own.predictors[parameter].coefficients
        predictors[parameter] = replace(
            before,
            coefficients=tuple(known.get(entry.parameter, entry) for entry in coefficients),
        )
    return replace(learned, predictors=predictors)


class _Choices:
    """The user's priors, by the names a model knows."""

    def __init__(
        self, design: Design, family: Family, user: Mapping[str, Any], residual: tuple[str, ...]
    ) -> None:
        if not isinstance(user, Mapping):
            raise PriorError(
                f'priors= takes a dict such as {{"sigma": bmx.Prior("HalfCauchy", beta=10)}}, '
                f"not {type(user).__name__}"
            )
        parameters = (*family.parameters, *residual)
        self.reserved = {*_SETS, *parameters}
        for group in design.mu.groups:
            self.reserved |= set(covariance_of(group).parameters())
        known = _known_names(design, parameters, self.reserved)
        self._given: dict[str, Prior] = {}
        for key, prior in user.items():
            given = Prior.from_any(prior, str(key))
            check_sizes(given.distribution, given.parameters)
            self._given[_canonical(str(key), known)] = given

    def take(self, parameter: str, keys: list[str], default: Prior) -> PriorInForce:
        for key in keys:
            if key in self._given:
                return PriorInForce(parameter=parameter, prior=self._given[key], origin="user")
        return PriorInForce(parameter=parameter, prior=default, origin="default")


def _known_names(design: Design, parameters: tuple[str, ...], reserved: set[str]) -> list[str]:
    """Every name that priors= may use."""
    names: list[str] = []
    for parameter, predictor in design.predictors.items():
        found = _names_of(predictor, reserved if parameter == "mu" else _SETS)
        names += [_prefix(parameter) + name for name in found]
    names += [name for name in parameters if name not in design.predictors]
    return list(dict.fromkeys(names))


def _names_of(predictor: LinearPredictor, reserved: Collection[str]) -> list[str]:
    """Names of what has a prior in one predictor."""
    terms = [term for term, columns in predictor.terms.items() if columns and term != "1"]
    coefficients = list(dict.fromkeys([*predictor.fixed_effects, *terms]))
    names = [name for name in coefficients if name not in reserved]
    names += ["fixed"] if predictor.slopes else []
    if predictor.groups:
        names.append("sd")
    for group in predictor.groups:
        labels = covariance_of(group).sd_labels
        names += [f"sd({group.name})", *(f"sd({group.name}, {e})" for e in labels)]
    correlated = [g.name for g in predictor.groups if covariance_of(g).has_correlations]
    names += ["corr"] if correlated else []
    names += [f"corr({name})" for name in correlated]
    for group in predictor.groups:
        for name in covariance_of(group).parameters():
            names += [f"{name}({group.name})", name]
    return names + [f"beta({name})" for name in coefficients]


def _prefix(parameter: str) -> str:
    """What stands in front of the names of another predictor than mu's."""
    return "" if parameter == "mu" else f"{parameter}: "


def _canonical(key: str, known: list[str]) -> str:
    """The known name that `key` stands for: spaces do not matter unless they decide."""
    if key in known:
        return key
    same = [name for name in known if _plain(name) == _plain(key)]
    if len(same) != 1:
        raise _unknown(key, known)
    return same[0]


def _unknown(key: str, known: list[str]) -> PriorError:
    shown = [repr(name) for name in known if not name.split(": ")[-1].startswith("beta(")]
    return PriorError(
        f"the model has no parameter {key!r} to give a prior to; "
        f"{did_you_mean(key, known, cutoff=0.7)}"
        f"known are {', '.join(shown)}"
    )


def _family_parameter(family: Family, entry: PriorInForce) -> PriorInForce:
    """Check the prior of a family's parameter: in the unit interval, ordered, or positive."""
    if entry.parameter in family.vector_parameters:
        _real(entry)
        note = f"each, in order, {AT_MEANS if entry.origin == 'default' else _AS_WRITTEN}"
        return replace(entry, note=note)
    if entry.parameter in family.unit_parameters:
        return _unit(entry)
    return _positive(entry)


def _unit(entry: PriorInForce) -> PriorInForce:
    prior = entry.prior
    inside = prior.distribution != "LKJ" and (
        lower_bound(prior.distribution, prior.parameters) >= 0
        and upper_bound(prior.distribution, prior.parameters) <= 1
    )
    if not inside:
        raise PriorError(
            f"{prior} does not fit {entry.parameter!r}: it is a probability, between 0 and 1; "
            'take Prior("Beta", alpha=1, beta=1) or Prior("Uniform", lower=0, upper=1)'
        )
    return entry


def _positive(entry: PriorInForce) -> PriorInForce:
    prior = entry.prior
    if prior.distribution == "LKJ" or lower_bound(prior.distribution, prior.parameters) < 0:
        raise PriorError(
            f"{prior} does not fit {entry.parameter!r}: it is not negative; "
            "take HalfNormal, HalfCauchy, HalfStudentT, Exponential, Gamma or LogNormal"
        )
    return entry


def _within(entry: PriorInForce, parameter: Parameter) -> PriorInForce:
    """Check that the prior of a structure's parameter stays within its range."""
    prior = entry.prior
    inside = prior.distribution != "LKJ" and (
        lower_bound(prior.distribution, prior.parameters) >= parameter.lower
        and upper_bound(prior.distribution, prior.parameters) <= parameter.upper
    )
    if not inside:
        default = Prior(parameter.distribution, **parameter.prior)
        raise PriorError(
            f"{prior} does not fit {entry.parameter!r}, which lies between {parameter.lower:g} and "
            f"{parameter.upper:g}; take {default}, the default, or another prior within"
        )
    return entry


def _real(entry: PriorInForce) -> PriorInForce:
    if entry.prior.distribution == "LKJ":
        raise PriorError(f"{entry.prior} does not fit {entry.parameter!r}: that is one number")
    return entry


def _lkj(entry: PriorInForce) -> PriorInForce:
    if entry.prior.distribution != "LKJ":
        raise PriorError(
            f"{entry.prior} does not fit {entry.parameter!r}: the prior of a correlation matrix "
            'is Prior("LKJ", eta=...), with eta=1 uniform and larger values towards zero'
        )
    return entry


def _plain(name: str) -> str:
    return "".join(name.split())
