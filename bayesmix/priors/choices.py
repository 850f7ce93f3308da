"""The priors that the user gives, by the names of what has one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bayesmix.arguments import did_you_mean
from bayesmix.covariance import covariance_of
from bayesmix.design import Design, LinearPredictor
from bayesmix.errors import PriorError
from bayesmix.families import Family
from bayesmix.priors.distributions import check_sizes
from bayesmix.priors.model_priors import PriorInForce
from bayesmix.priors.prior import Prior

__all__ = ["SETS", "Choices", "prefix_of"]

SETS = frozenset({"fixed", "sd", "corr"})  # names that stand for several parameters


class Choices:
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
        self.reserved = {*SETS, *parameters}
        for group in design.mu.groups:
            self.reserved |= set(covariance_of(group).parameters())
        known = _known_names(design, parameters, self.reserved)
        self._given: dict[str, Prior] = {}
        for key, prior in user.items():
            given = Prior.from_any(prior, str(key))
            check_sizes(given.distribution, given.parameters)
            self._given[_canonical(str(key), known)] = given

    def take(self, parameter: str, keys: list[str], default: Prior) -> PriorInForce:
        """Return the prior that the user gave under the first of some names, or the default."""
        for key in keys:
            if key in self._given:
                return PriorInForce(parameter=parameter, prior=self._given[key], origin="user")
        return PriorInForce(parameter=parameter, prior=default, origin="default")


def _known_names(design: Design, parameters: tuple[str, ...], reserved: set[str]) -> list[str]:
    """Every name that priors= may use."""
    names: list[str] = []
    for parameter, predictor in design.predictors.items():
        found = _names_of(predictor, reserved if parameter == "mu" else SETS)
        names += [prefix_of(parameter) + name for name in found]
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
        names += [f"sd({group.name})", *covariance_of(group).sd_names(group.name)]
    correlated = [g.name for g in predictor.groups if covariance_of(g).has_correlations]
    names += ["corr"] if correlated else []
    names += [f"corr({name})" for name in correlated]
    for group in predictor.groups:
        for name in covariance_of(group).parameters():
            names += [f"{name}({group.name})", name]
    return names + [f"beta({name})" for name in coefficients]


def prefix_of(parameter: str) -> str:
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


def _plain(name: str) -> str:
    return "".join(name.split())
