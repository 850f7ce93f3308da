"""What a fit returns: tables, diagnostics, summaries."""

from bayesmix.results.anova import anova
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
    "Hypotheses",
    "Loo",
    "Posterior",
    "Shrinkage",
    "Summary",
    "anova",
    "compare",
    "load",
]
