"""Names of variables and dimensions, in the PyMC model and in the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bayesmix.covariance import covariance_of
from bayesmix.design import Design, GroupingFactor
from bayesmix.errors import DataError
from bayesmix.families import Family
from bayesmix.residual import Residual

__all__ = ["CATEGORY", "Names", "PredictorNames", "model_names", "posterior_variables"]

CATEGORY = "response_category"  # the dimension of categories of the response

FIXED_EFFECT = "fixed_effect"
FIXED_SLOPE = "fixed_slope"  # the fixed effects without the intercept


def _in_dimension(group: str) -> str:
    """Write a grouping factor's name without commas, at which nutpie parts dimensions."""
    return group.replace(",", ";")


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorNames:
    """What the parts of one linear predictor are called.

    Attributes
    ----------
    obs_dim : str
        The dimension of the rows.
    prefix : str
        What stands in front: nothing for mu, ``zi_`` for zi.
    """

    obs_dim: str
    prefix: str = ""

    def own(self, name: str) -> str:
        """Return the name of any other part, such as "X" or "offset"."""
        return self.prefix + name

    @property
    def beta(self) -> str:
        """Fixed effects."""
        return f"{self.prefix}beta"

    @property
    def fixed_effect(self) -> str:
        """Dimension of the fixed effects."""
        return self.prefix + FIXED_EFFECT

    @property
    def fixed_slope(self) -> str:
        """Dimension of the fixed effects without the intercept."""
        return self.prefix + FIXED_SLOPE

    def sd(self, group: str) -> str:
        """Standard deviations of a grouping factor's effects."""
        return f"{self.prefix}sd_{group}"

    def corr(self, group: str) -> str:
        """Correlation matrix of a grouping factor's effects."""
        return f"{self.prefix}corr_{group}"

    def parameter(self, name: str, group: str) -> str:
        """A parameter of a grouping factor's covariance structure: ``rho_g``."""
        return f"{self.prefix}{name}_{group}"

    def b(self, group: str) -> str:
        """Group effects."""
        return f"{self.prefix}b_{group}"

    def Z(self, group: str) -> str:  # noqa: N802
        """Columns that vary by a grouping factor."""
        return f"{self.prefix}Z_{group}"

    def index(self, group: str) -> str:
        """Level of each row."""
        return f"{self.prefix}index_{group}"

    def level_dim(self, group: str) -> str:
        """Dimension of the levels."""
        return f"{self.prefix}{_in_dimension(group)}_level"

    def effect_dim(self, group: str) -> str:
        """Dimension of the effects."""
        return f"{self.prefix}{_in_dimension(group)}_effect"

    def sd_dim(self, group: GroupingFactor) -> str:
        """Dimension of the standard deviations: the effects', where each has its own."""
        tied = covariance_of(group).tied
        return (
            f"{self.prefix}{_in_dimension(group.name)}_sd" if tied else self.effect_dim(group.name)
        )

    def effect_dim_bis(self, group: str) -> str:
        """Second dimension of the correlation matrix."""
        return f"{self.prefix}{_in_dimension(group)}_effect_bis"

    @property
    def fixed_variables(self) -> set[str]:
        """Every variable that the PyMC model may have beside those of grouping factors."""
        parts = ("beta", "coefficients", "intercept", "intercept_at_means", "X", "offset")
        return {self.prefix + part for part in parts}

    def group_variables(self, group: str) -> set[str]:
        """Every variable that the PyMC model may have for a grouping factor."""
        parts = ("sd", "corr", "b", "Z", "index", "z", "partial_corr", "root", "w")
        return {f"{self.prefix}{part}_{group}" for part in parts}

    def group_dims(self, group: str) -> set[str]:
        """Every dimension that the PyMC model may have for a grouping factor."""
        return {self.level_dim(group), self.effect_dim(group), self.effect_dim_bis(group)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Names(PredictorNames):
    """What the parts of one model are called; those of a predictor are mu's.

    Attributes
    ----------
    observed : str
        The observed variable; no column of the data has this name.
    parameter_labels : mapping of str to tuple of str
        The labels of those parameters of the family that are vectors.
    residual_dims : mapping of str to tuple of str
        The residual structure's variables, and the dimensions of each.
    residual_coords : mapping of str to tuple of str
        Labels along these.
    counted : tuple of str
        The categories of which each row has a count.
    """

    observed: str
    parameter_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    residual_dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    residual_coords: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counted: tuple[str, ...] = ()

    @property
    def observed_dims(self) -> tuple[str, ...]:
        """Dimensions of the observed variable."""
        return (self.obs_dim, CATEGORY) if self.counted else (self.obs_dim,)

    def of(self, parameter: str) -> PredictorNames:
        """Return the names of the predictor of a parameter."""
        if parameter == "mu":
            return self
        return PredictorNames(obs_dim=self.obs_dim, prefix=f"{parameter}_")

    @staticmethod
    def parameter_dim(parameter: str) -> str:
        """Dimension of a parameter that is a vector: ``threshold`` of ``thresholds``."""
        return parameter.removesuffix("s")


def model_names(design: Design, family: Family, residual: Residual | None = None) -> Names:
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
    variables = {observed, f"{observed}_data", *family.parameters}
    variables |= {"weights", "known_se", "trials", "status", "lower", "upper", "exponent"}
    labels = family.parameter_labels(design.response)
    variables |= {f"{name}_at_means" for name in labels}
    of_residual = {} if residual is None else dict(residual.dims)
    variables |= set(of_residual)
    counted = tuple(count.text for count in design.formula.counts)
    dims = {obs_dim, "chain", "draw", *([CATEGORY] if counted else [])}
    dims |= {Names.parameter_dim(name) for name in labels}
    variables |= set(design.row_data)
    dims |= {dim for own in of_residual.values() for dim in own}
    names = Names(
        observed=observed, obs_dim=obs_dim, parameter_labels=labels, residual_dims=of_residual,
        residual_coords={} if residual is None else dict(residual.coords), counted=counted,
    )  # fmt: skip
    for parameter in design.predictors:
        variables |= names.of(parameter).fixed_variables
        dims |= {names.of(parameter).fixed_effect, names.of(parameter).fixed_slope}
    for parameter, predictor in design.predictors.items():
        called = names.of(parameter)
        for group in predictor.groups:
            own, new = called.group_dims(group.name), called.group_variables(group.name)
            own.add(called.sd_dim(group))
            new |= {called.parameter(p, group.name) for p in covariance_of(group).parameters()}
            if own & (dims | variables) or new & (dims | variables) or own & new:
                raise DataError(
                    f"the grouping factor `{group.name}` gives results the same names as another "
                    "part of the model; rename its column"
                )
            dims |= own
            variables |= new
    return names


def posterior_variables(design: Design, names: Names, family: Family) -> list[str]:
    """Names of the PyMC model's variables that a posterior keeps."""
    variables = []
    for parameter, predictor in design.predictors.items():
        called = names.of(parameter)
        if predictor.fixed_effects:
            variables.append(called.beta)
        for group in predictor.groups:
            variables.append(called.sd(group.name))
            covariance = covariance_of(group)
            if covariance.has_correlations:
                variables.append(called.corr(group.name))
            variables += [called.parameter(p, group.name) for p in covariance.parameters()]
            variables.append(called.b(group.name))
    variables += [name for name in family.parameters if name not in design.predictors]
    return [*variables, *names.residual_dims]
