"""Which prior is in force for which parameter of a model, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean
from bayesmix.covariance import GroupCovariance, Parameter, Part, covariance_of
from bayesmix.design import Design, GroupingFactor
from bayesmix.errors import PriorError
from bayesmix.families import Family, ResponseScale
from bayesmix.priors.defaults import (
    LKJ_ETA,
    coefficient_priors,
    intercept_prior,
    sd_priors,
    tied_sd_prior,
)
from bayesmix.priors.distributions import check_sizes, is_improper, lower_bound, upper_bound
from bayesmix.priors.prior import Prior

__all__ = ["AT_MEANS", "ModelPriors", "PriorInForce", "kept_priors", "resolve_priors"]


AT_MEANS = "at the predictors' means"
_AS_WRITTEN = "as the formula writes it"


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
class ModelPriors:
    """The priors of a model.

    Attributes
    ----------
    intercept : PriorInForce or None
        None in a model without an intercept.
    intercept_is_centered : bool
        Whether `intercept` holds for the intercept at the predictors' means
        (the default) and not for the one that the formula writes.
    coefficients : tuple of PriorInForce
        Priors of the fixed effects other than the intercept, in the order of X.
    sd : mapping of str to tuple of PriorInForce
        By grouping factor, in the order of its standard deviations.
    corr : mapping of str to PriorInForce
        By grouping factor, for those with correlations.
    family : mapping of str to PriorInForce
        By parameter of the family.
    structure : mapping of str to mapping of str to PriorInForce
        By grouping factor and parameter, for what its covariance structures have beside
        standard deviations and free correlations.
    """

    intercept: PriorInForce | None
    intercept_is_centered: bool
    coefficients: tuple[PriorInForce, ...]
    sd: Mapping[str, tuple[PriorInForce, ...]]
    corr: Mapping[str, PriorInForce]
    family: Mapping[str, PriorInForce]
    structure: Mapping[str, Mapping[str, PriorInForce]] = field(default_factory=dict)

    def __iter__(self) -> Any:
        if self.intercept is not None:
            yield self.intercept
        yield from self.coefficients
        for group, priors in self.sd.items():
            yield from priors
            if group in self.corr:
                yield self.corr[group]
            yield from self.structure.get(group, {}).values()
        yield from self.family.values()

    def of_part(self, group: str, part: Part) -> dict[str, Prior]:
        """Priors of one block's structure, by the names that the structure has for them."""
        found = {
            p.name: self.structure[group][name].prior for name, p in part.named_parameters().items()
        }
        return found | ({"corr": self.corr[group].prior} if group in self.corr else {})

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
    design: Design, family: Family, y: np.ndarray, user: Mapping[str, Any] | None = None
) -> ModelPriors:
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
        ``"beta(x)"`` reaches a coefficient that is
        called like one of these.

    Returns
    -------
    ModelPriors

    Raises
    ------
    PriorError
        If a name is unknown, or a prior does not fit its parameter.
    """
    chosen = _Choices(design, family, user or {})
    scale = family.response_scale(y, design.offset, design.row_data)
    with_intercept = design.has_intercept
    slopes = [j for j, n in enumerate(design.fixed_effects) if not _is_intercept(design, n)]
    centers = with_intercept or family.replaces_intercept
    defaults = coefficient_priors(design.X[:, slopes], scale, with_intercept=centers)
    coefficients = []
    for j, default in zip(slopes, defaults, strict=True):
        name = design.fixed_effects[j]
        terms = [term for term, columns in design.terms.items() if name in columns]
        keys = [f"beta({name})", *(f"beta({term})" for term in terms)]
        if name not in chosen.reserved:
            keys.append(name)
        keys += [term for term in terms if term not in chosen.reserved]
        coefficients.append(chosen.take(name, [*keys, "fixed"], default))

    intercept = None
    centered = False
    if with_intercept:
        intercept = chosen.take("Intercept", ["beta(Intercept)", "Intercept"],
                                intercept_prior(scale))  # fmt: skip
        centered = intercept.origin == "default"
        intercept = replace(intercept, note=AT_MEANS if centered else _AS_WRITTEN)

    sd = {}
    corr = {}
    structure = {}
    for group in design.groups:
        g, covariance = group.name, covariance_of(group)
        sd[g] = tuple(
            _positive(chosen.take(f"sd({g}, {e})", [f"sd({g}, {e})", f"sd({g})", "sd"], default))
            for e, default in zip(
                covariance.sd_labels, _sd_defaults(group, covariance, scale), strict=True
            )
        )
        if covariance.has_correlations:
            default = Prior("LKJ", eta=LKJ_ETA)
            corr[g] = _lkj(chosen.take(f"corr({g})", [f"corr({g})", "corr"], default))
        if covariance.parameters():
            structure[g] = {
                name: _within(
                    chosen.take(f"{name}({g})", [f"{name}({g})", name],
                                Prior(own.distribution, **own.prior)), own,
                )
                for name, own in covariance.parameters().items()
            }  # fmt: skip

    parameters = {
        name: _family_parameter(family, chosen.take(name, [name], Prior(distribution, **values)))
        for name, (distribution, values) in family.default_priors(scale).items()
    }
    for entry in coefficients:
        _real(entry)
    if intercept is not None:
        _real(intercept)
    return ModelPriors(
        intercept=intercept,
        intercept_is_centered=centered,
        coefficients=tuple(coefficients),
        sd=sd,
        corr=corr,
        family=parameters,
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
    known = {entry.parameter: entry for entry in learned.coefficients}
    return replace(
        learned,
        coefficients=tuple(known.get(entry.parameter, entry) for entry in own.coefficients),
    )


class _Choices:
    """The user's priors, by the names a model knows."""

    def __init__(self, design: Design, family: Family, user: Mapping[str, Any]) -> None:
        if not isinstance(user, Mapping):
            raise PriorError(
                f'priors= takes a dict such as {{"sigma": bmx.Prior("HalfCauchy", beta=10)}}, '
                f"not {type(user).__name__}"
            )
        self.reserved = {"fixed", "sd", "corr", *family.parameters}
        for group in design.groups:
            self.reserved |= set(covariance_of(group).parameters())
        known = _known_names(design, family, self.reserved)
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


def _known_names(design: Design, family: Family, reserved: set[str]) -> list[str]:
    """Every name that priors= may use."""
    coefficients = [*design.fixed_effects, *(t for t, c in design.terms.items() if c and t != "1")]
    names = [name for name in dict.fromkeys(coefficients) if name not in reserved]
    names += ["fixed"] if len(design.fixed_effects) > design.has_intercept else []
    if design.groups:
        names.append("sd")
    for group in design.groups:
        labels = covariance_of(group).sd_labels
        names += [f"sd({group.name})", *(f"sd({group.name}, {e})" for e in labels)]
    correlated = [g.name for g in design.groups if covariance_of(g).has_correlations]
    names += ["corr"] if correlated else []
    names += [f"corr({name})" for name in correlated]
    for group in design.groups:
        for name in covariance_of(group).parameters():
            names += [f"{name}({group.name})", name]
    names += family.parameters
    names += [f"beta({name})" for name in dict.fromkeys(coefficients)]
    return list(dict.fromkeys(names))


def _canonical(key: str, known: list[str]) -> str:
    """The known name that `key` stands for: spaces do not matter unless they decide."""
    if key in known:
        return key
    same = [name for name in known if _plain(name) == _plain(key)]
    if len(same) != 1:
        raise _unknown(key, known)
    return same[0]


def _unknown(key: str, known: list[str]) -> PriorError:
    shown = [repr(name) for name in known if not name.startswith("beta(")]
    return PriorError(
        f"the model has no parameter {key!r} to give a prior to; "
        f"{did_you_mean(key, known, cutoff=0.7)}"
        f"known are {', '.join(shown)}"
    )


def _is_intercept(design: Design, name: str) -> bool:
    return design.has_intercept and name == "Intercept"


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
