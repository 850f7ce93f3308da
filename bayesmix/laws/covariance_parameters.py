"""What covariance structures have beside standard deviations: rho, a range, a shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.laws.values import own_parameters

if TYPE_CHECKING:
    from bayesmix.covariance import Part
    from bayesmix.design import GroupingFactor
    from bayesmix.laws.values import Values
    from bayesmix.statement.stated import StatedModel

__all__ = ["CovarianceParameter", "covariance_parameters", "values_of_parameters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CovarianceParameter:
    """One parameter of a covariance structure.

    Attributes
    ----------
    group : str
        Grouping factor, or "Residual".
    name : str
        Its key among the values of a law.
    label : str
        What tables call it: ``rho``; with the block, ``rho_1 of ar1(occasion)``, where
        another block of the grouping factor has one of that name.
    lower, upper : float
        Ends of its range.
    """

    group: str
    name: str
    label: str
    lower: float
    upper: float


def covariance_parameters(model: StatedModel, parameter: str = "mu") -> list[CovarianceParameter]:
    """List the parameters of a model's structures: grouping factors, then the residual.

    Parameters
    ----------
    model : StatedModel
    parameter : str
        The predictor whose grouping factors are meant; the residual is beside mu's.

    Returns
    -------
    list of CovarianceParameter
    """
    found = []
    for group in model.design.predictors[parameter].groups:
        for part in covariance_of(group).parts:
            for name, own in part.named_parameters().items():
                label = f"{name} of {_block_in_words(group, part)}" if part.suffix else name
                found.append(
                    CovarianceParameter(
                        group=group.name, name=name, label=label, lower=own.lower, upper=own.upper
                    )
                )
    if model.residual is None or parameter != "mu":
        return found
    structure = model.residual
    ends = {one.name: (one.lower, one.upper) for one in structure.parameters
            if one.support == "interval"}  # fmt: skip
    for name, dims in structure.dims.items():
        shape = [len(structure.coords[dim]) for dim in dims]
        positive = name.startswith(("sd", "range"))
        lower, upper = ends.get(name, (0.0, np.inf) if positive else (-1.0, 1.0))
        found += [
            CovarianceParameter(
                group="Residual",
                name=one,
                label=one.replace("_residual", ""),
                lower=lower,
                upper=upper,
            )
            for one in structure.labelled(name, np.zeros(shape))
        ]
    return found


def values_of_parameters(
    model: StatedModel, found: list[CovarianceParameter], values: Values
) -> list[np.ndarray]:
    """Take the values of parameters out of a law's, shape (...) each.

    Parameters
    ----------
    model : StatedModel
    found : list of CovarianceParameter
    values : Values
    """
    own = own_parameters(model, values) if any(p.group == "Residual" for p in found) else {}
    return [
        own[p.name] if p.group == "Residual" else values.structure[p.group][p.name] for p in found
    ]


def _block_in_words(group: GroupingFactor, part: Part) -> str:
    """The block as its formula writes it: ``ar1(occasion)``."""
    effects = group.effects[part.effects]
    before, listed, _ = effects[0].partition(")[")  # ar1(occasion)[3]
    return f"{before})" if listed else f"{part.covariance.word}({', '.join(effects)})"
