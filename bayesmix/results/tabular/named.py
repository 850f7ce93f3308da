"""Parameters under the names of tables and pictures: a coefficient has its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.laws.values import Values, by_part

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["coefficient_label", "named_parameters", "parameters_by_part"]


def coefficient_label(model: StatedModel, name: str) -> str:
    """Label of a coefficient: its name, unless a parameter of the family has it."""
    return f"beta({name})" if name in model.family.parameters else name


def parameters_by_part(model: StatedModel, values: Values) -> dict[str, dict[str, np.ndarray]]:
    """Parameters as `bayesmix.laws.values.by_part` gathers them, coefficients by their labels."""
    found = by_part(model, values)
    labels = [coefficient_label(model, name) for name in model.design.mu.fixed_effects]
    found = {**found, "beta": dict(zip(labels, found["beta"].values(), strict=True))}
    for parameter in values.others:
        part = f"{parameter}_beta"
        names = model.design.predictors[parameter].fixed_effects
        draws = found[part].values()
        found[part] = {f"{parameter}_{n}": v for n, v in zip(names, draws, strict=True)}
    return found


def named_parameters(model: StatedModel, values: Values) -> dict[str, np.ndarray]:
    """Every parameter by its label, shape (...) each."""
    parts = parameters_by_part(model, values).values()
    return {name: given for part in parts for name, given in part.items()}
