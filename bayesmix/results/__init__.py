"""What a fit returns: tables, diagnostics, summaries."""

from bayesmix.results.anova import anova
from bayesmix.results.compare_estimates import EstimateComparison, compare_estimates
from bayesmix.results.comparison import compare
from bayesmix.results.diagnostics import Diagnostics
from bayesmix.results.empirical_bayes import EmpiricalBayes
from bayesmix.results.hypothesis import Hypotheses
from bayesmix.results.loading import load
from bayesmix.results.loo import Loo
from bayesmix.results.posterior import Posterior
from bayesmix.results.shrinkage import Shrinkage
from bayesmix.results.summary import Summary

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
    "load",
]
