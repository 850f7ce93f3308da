"""Whether a prior fits the range of its parameter."""

from __future__ import annotations

from dataclasses import replace

from bayesmix.covariance import Parameter
from bayesmix.errors import PriorError
from bayesmix.families import Family
from bayesmix.priors.distributions import lower_bound, upper_bound
from bayesmix.priors.model_priors import AS_WRITTEN, AT_MEANS, PriorInForce
from bayesmix.priors.prior import Prior

__all__ = ["lkj", "of_family", "positive", "real", "within"]


def of_family(family: Family, entry: PriorInForce) -> PriorInForce:
    """Check the prior of a family's parameter: in the unit interval, ordered, or positive."""
    if entry.parameter in family.vector_parameters:
        real(entry)
        ordered = family.parameters[entry.parameter].support == "ordered"
        note = (
            f"each, {'in order, ' * ordered}{AT_MEANS if entry.origin == 'default' else AS_WRITTEN}"
        )
        return replace(entry, note=note)
    if family.parameters[entry.parameter].support == "real":
        real(entry)
        return entry
    if entry.parameter in family.unit_parameters:
        return _unit(entry)
    return positive(entry)


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


def positive(entry: PriorInForce) -> PriorInForce:
    """Check the prior of a parameter that is not negative."""
    prior = entry.prior
    if prior.distribution == "LKJ" or lower_bound(prior.distribution, prior.parameters) < 0:
        raise PriorError(
            f"{prior} does not fit {entry.parameter!r}: it is not negative; "
            "take HalfNormal, HalfCauchy, HalfStudentT, Exponential, Gamma or LogNormal"
        )
    return entry


def within(entry: PriorInForce, parameter: Parameter) -> PriorInForce:
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


def real(entry: PriorInForce) -> PriorInForce:
    """Check the prior of a parameter that may be any number."""
    if entry.prior.distribution == "LKJ":
        raise PriorError(f"{entry.prior} does not fit {entry.parameter!r}: that is one number")
    return entry


def lkj(entry: PriorInForce) -> PriorInForce:
    """Check the prior of a correlation matrix."""
    if entry.prior.distribution != "LKJ":
        raise PriorError(
            f"{entry.prior} does not fit {entry.parameter!r}: the prior of a correlation matrix "
            'is Prior("LKJ", eta=...), with eta=1 uniform and larger values towards zero'
        )
    return entry
