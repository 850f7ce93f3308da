"""Bayesian hierarchical (mixed) models from a formula and a data frame."""

from __future__ import annotations

import importlib
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from bayesmix import errors

if TYPE_CHECKING:
    from bayesmix import families
    from bayesmix.datasets import load_dataset
    from bayesmix.design.crossing import design
    from bayesmix.model import Model
    from bayesmix.model.loading import load
    from bayesmix.pedigree import relationship
    from bayesmix.priors import Prior
    from bayesmix.results import (
        EmpiricalBayes,
        Posterior,
        anova,
        compare,
        compare_estimates,
        tables,
    )
    from bayesmix.simulation import Scenario, calibrate, power, simulate

__all__ = [
    "EmpiricalBayes",
    "Model",
    "Posterior",
    "Prior",
    "Scenario",
    "anova",
    "calibrate",
    "compare",
    "compare_estimates",
    "design",
    "errors",
    "families",
    "load",
    "load_dataset",
    "power",
    "relationship",
    "simulate",
    "tables",
]

__version__ = _version("bayesmix")

# Loaded when first used: importing the package is to stay cheap.
_WHERE = {
    "EmpiricalBayes": "bayesmix.results",
    "anova": "bayesmix.results",
    "compare": "bayesmix.results",
    "compare_estimates": "bayesmix.results",
    "Model": "bayesmix.model",
    "Posterior": "bayesmix.results",
    "Prior": "bayesmix.priors",
    "families": "bayesmix.families",
    "load": "bayesmix.model.loading",
    "load_dataset": "bayesmix.datasets",
    "relationship": "bayesmix.pedigree",
    "Scenario": "bayesmix.simulation",
    "calibrate": "bayesmix.simulation",
    "design": "bayesmix.design",
    "power": "bayesmix.simulation",
    "simulate": "bayesmix.simulation",
    "tables": "bayesmix.results",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        from bayesmix.words_of_others import OF_PACKAGE

        if name in OF_PACKAGE:
            raise AttributeError(
                f"module 'bayesmix' has no attribute {name!r}; take bayesmix.{OF_PACKAGE[name]}"
            )
        raise AttributeError(f"module 'bayesmix' has no attribute {name!r}")
    module = importlib.import_module(_WHERE[name])
    value = module if module.__name__ == f"bayesmix.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})
