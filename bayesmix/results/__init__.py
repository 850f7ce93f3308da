"""What a fit returns: tables, diagnostics, summaries."""

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
