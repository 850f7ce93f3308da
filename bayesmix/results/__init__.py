"""What a fit returns: tables, diagnostics, summaries."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesmix.results.beside.compare_estimates import compare_estimates
    from bayesmix.results.beside.estimate_comparison import EstimateComparison
    from bayesmix.results.beside.shrinkage import Shrinkage
    from bayesmix.results.check.anova import anova
    from bayesmix.results.check.comparison import compare
    from bayesmix.results.check.loo import Loo
    from bayesmix.results.effect.hypothesis import Hypotheses
    from bayesmix.results.empirical_bayes import EmpiricalBayes
    from bayesmix.results.posterior import Posterior
    from bayesmix.results.tabular.diagnostics import Diagnostics
    from bayesmix.results.tabular.gathering import tables
    from bayesmix.results.tabular.summary import Summary

__all__ = [
    "Diagnostics",
    "EmpiricalBayes",
    "EstimateComparison",
    "Hypotheses",
    "Loo",
    "Posterior",
    "Shrinkage",
    "Summary",
    "anova",
    "compare",
    "compare_estimates",
    "tables",
]

# Loaded when first used: a fit needs few of them.
_WHERE = {
    "Diagnostics": "tabular.diagnostics",
    "EmpiricalBayes": "empirical_bayes",
    "EstimateComparison": "beside.estimate_comparison",
    "Hypotheses": "effect.hypothesis",
    "Loo": "check.loo",
    "Posterior": "posterior",
    "Shrinkage": "beside.shrinkage",
    "Summary": "tabular.summary",
    "anova": "check.anova",
    "compare": "check.comparison",
    "compare_estimates": "beside.compare_estimates",
    "tables": "tabular.gathering",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
