"""Names of variables and dimensions, in the PyMC model and in the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bayesmix.covariance import covariance_of
from bayesmix.design import Design, GroupingFactor
from bayesmix.errors import DataError
from bayesmix.families import Family

__all__ = ["Names", "model_names", "posterior_variables"]

FIXED_EFFECT = "fixed_effect"
FIXED_SLOPE = "fixed_slope"  # the fixed effects without the intercept


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the parts of one model are called.

    Attributes
    ----------
    observed : str
        The observed variable; no column of the data has this name.
    obs_dim : str
        The dimension of the rows.
    parameter_labels : mapping of str to tuple of str
        The labels of those parameters of the family that are vectors.
    """

    observed: str
    obs_dim: str
    parameter_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @staticmethod
    def parameter_dim(parameter: str) -> str:
        """Dimension of a parameter that is a vector: ``threshold`` of ``thresholds``."""
        return parameter.removesuffix("s")

    @staticmethod
    def sd(group: str) -> str:
        """Standard deviations of a grouping factor's effects."""
        return f"sd_{group}"

    @staticmethod
    def corr(group: str) -> str:
        """Correlation matrix of a grouping factor's effects."""
        return f"corr_{group}"

    @staticmethod
    def parameter(name: str, group: str) -> str:
        """A parameter of a grouping factor's covariance structure: ``rho_g``."""
        return f"{name}_{group}"

    @staticmethod
    def b(group: str) -> str:
        """Group effects."""
        return f"b_{group}"

    @staticmethod
    def level_dim(group: str) -> str:
        """Dimension of the levels."""
        return f"{group}_level"

    @staticmethod
    def effect_dim(group: str) -> str:
        """Dimension of the effects."""
        return f"{group}_effect"

    @staticmethod
    def sd_dim(group: GroupingFactor) -> str:
        """Dimension of the standard deviations: the effects', where each has its own."""
        tied = covariance_of(group).tied
        return f"{group.name}_sd" if tied else f"{group.name}_effect"

    @staticmethod
    def effect_dim_bis(group: str) -> str:
        """Second dimension of the correlation matrix."""
        return f"{group}_effect_bis"


def model_names(design: Design, family: Family) -> Names:
    """Choose names that collide neither with a column nor with each other.

    A variable and a dimension of one name would lose the variable's draws in an
    xarray data set, without a word, so such a collision is an error here.

    Raises
    ------
    DataError
        If the grouping factors' names make a variable and a dimension the same.
    """
    taken = set(map(str, design.formula.columns))
    observed = "y"
    while observed in taken:
        observed = f"{observed}_obs" if observed == "y" else f"{observed}_"
    obs_dim = "row"
    while obs_dim in taken:
        obs_dim += "_"
    variables = {"beta", "coefficients", "intercept", "intercept_at_means", "X", "offset"}
    variables |= {observed, f"{observed}_data", *family.parameters}
    variables |= {"weights", "known_se", "trials", "status", "lower", "upper", "exponent"}
    labels = family.parameter_labels(design.response)
    variables |= {f"{name}_at_means" for name in labels}
    dims = {FIXED_EFFECT, FIXED_SLOPE, obs_dim, "chain", "draw"}
    dims |= {Names.parameter_dim(name) for name in labels}
    for group in design.groups:
        g = group.name
        own = {Names.level_dim(g), Names.effect_dim(g), Names.effect_dim_bis(g)}
        own.add(Names.sd_dim(group))
        new = {Names.sd(g), Names.corr(g), Names.b(g)}
        new |= {Names.parameter(name, g) for name in covariance_of(group).parameters()}
        new |= {f"{part}_{g}" for part in ("Z", "index", "z", "partial_corr")}
        if own & (dims | variables) or new & (dims | variables) or own & new:
            raise DataError(
                f"the grouping factor `{g}` gives results the same names as another part of "
                "the model; rename its column"
            )
        dims |= own
        variables |= new
    return Names(observed=observed, obs_dim=obs_dim, parameter_labels=labels)


def posterior_variables(design: Design, names: Names, family: Family) -> list[str]:
    """Names of the PyMC model's variables that a posterior keeps."""
    variables = ["beta"] if design.fixed_effects else []
    for group in design.groups:
        variables.append(names.sd(group.name))
        covariance = covariance_of(group)
        if covariance.has_correlations:
            variables.append(names.corr(group.name))
        variables += [names.parameter(p, group.name) for p in covariance.parameters()]
        variables.append(names.b(group.name))
    return [*variables, *family.parameters]
