"""The parameters of a model by their role, and by the names that a reader knows them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.laws.correlations import correlations_at

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor, LinearPredictor
    from bayesmix.statement.stated import StatedModel

__all__ = [
    "Values", "by_name", "by_part", "estimated_pairs", "own_parameters", "residual_values",
    "sd_in_words",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Values of the fixed effects and the variance parameters: one, or one for each draw.

    Attributes
    ----------
    beta : ndarray, shape (..., p)
    sd : mapping of str to ndarray, shape (..., q)
        By grouping factor.
    corr : mapping of str to ndarray, shape (..., q, q)
        For those grouping factors that have correlations.
    parameters : mapping of str to ndarray, shape (...) or (..., k)
        The family's own parameters.
    structure : mapping of str to mapping of str to ndarray, shape (...)
        By grouping factor, parameters of its covariance structures.
    others : mapping of str to Values
        By parameter that has a linear predictor beside mu's, those of that.
    """

    beta: np.ndarray
    sd: Mapping[str, np.ndarray]
    corr: Mapping[str, np.ndarray]
    parameters: Mapping[str, np.ndarray]
    structure: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    others: Mapping[str, Values] = field(default_factory=dict)

    def at_draws(self, chosen: np.ndarray) -> Values:
        """The same at some draws of each chain."""

        def some(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: values[:, chosen] for name, values in given.items()}

        return Values(
            beta=self.beta[:, chosen],
            sd=some(self.sd),
            corr=correlations_at(self.corr, lambda values: values[:, chosen]),
            parameters=some(self.parameters),
            structure={g: some(own) for g, own in self.structure.items()},
            others={name: own.at_draws(chosen) for name, own in self.others.items()},
        )


def estimated_pairs(group: GroupingFactor) -> Sequence[tuple[int, int]]:
    """Pairs of effects whose correlation is a parameter of its own."""
    return covariance_of(group).pairs


def sd_in_words(group: GroupingFactor, label: str) -> str:
    """A standard deviation of a grouping factor's effects in words, or that of a smooth."""
    return f"the sd of {label}" if label == group.name else f"the sd of {label} by {group.name}"


def residual_values(model: StatedModel, values: Values) -> dict[str, np.ndarray]:
    """Values of R's variables, and of the coefficients of sigma's predictor, by their names.

    Parameters
    ----------
    model : StatedModel
        With a normal response.
    values : Values
    """
    structure = model.residual
    found = {} if structure is None else {name: values.parameters[name] for name in structure.dims}
    if "sigma" in values.others:
        found[model.names.of("sigma").beta] = values.others["sigma"].beta
    return found


def own_parameters(model: StatedModel, values: Values) -> dict[str, np.ndarray]:
    """The family's parameters by label, shape (...) each."""
    labels = model.family.parameter_labels(model.design.response)
    found: dict[str, np.ndarray] = {}
    for name, given in values.parameters.items():
        if name in labels:
            found |= {f"{name}[{label}]": given[..., k] for k, label in enumerate(labels[name])}
        elif name in model.names.residual_dims and model.residual is not None:
            found |= model.residual.labelled(name, given)
        else:
            found[name] = given
    return found


def by_part(model: StatedModel, values: Values) -> dict[str, dict[str, np.ndarray]]:
    """Gather fixed effects, variance parameters and the family's own.

    Parameters
    ----------
    model : StatedModel
    values : Values

    Returns
    -------
    dict of str to dict of str to ndarray, shape (...)
        By "beta", "sd(g)", "corr(g)" and the family's parameters; then by names such
        as ``beta(Days)``, ``sd(Subject, Days)``, ``corr(Subject, Intercept, Days)``. Those of
        the linear predictor of ``zi`` have ``zi_`` in front.
    """
    found = _of_predictor(model.design.mu, values)
    own = own_parameters(model, values)
    for name in values.parameters:
        found[name] = {
            label: given for label, given in own.items()
            if label == name or label.startswith(f"{name}[")
        }  # fmt: skip
    for parameter, given in values.others.items():
        found |= {
            f"{parameter}_{part}": {f"{parameter}_{name}": v for name, v in named.items()}
            for part, named in _of_predictor(model.design.predictors[parameter], given).items()
        }
    return found


def _of_predictor(predictor: LinearPredictor, values: Values) -> dict[str, dict[str, np.ndarray]]:
    """Fixed effects and variance parameters of one linear predictor."""
    names = predictor.fixed_effects
    found = {"beta": {f"beta({name})": values.beta[..., j] for j, name in enumerate(names)}}
    for group in predictor.groups:
        g, effects, covariance = group.name, group.effects, covariance_of(group)
        sds = zip(covariance.sd_names(g), covariance.effect_of_sd.tolist(), strict=True)
        found[f"sd({g})"] = {name: values.sd[g][..., k] for name, k in sds}
        if covariance.has_correlations:
            found[f"corr({g})"] = {
                f"corr({g}, {effects[k]}, {effects[m]})": values.corr[g][..., k, m]
                for k, m in covariance.pairs
            }
        for name, given in values.structure.get(g, {}).items():
            found[f"{name}({g})"] = {f"{name}({g})": given}
    return found


def by_name(model: StatedModel, values: Values) -> dict[str, np.ndarray]:
    """Every parameter of `by_part` by its one name, shape (...) each."""
    return {name: v for part in by_part(model, values).values() for name, v in part.items()}
