"""Criteria at a mode, and what its estimates say of themselves in words."""

from __future__ import annotations

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.gaussian.density import log_likelihood
from bayesmix.laws.structure_intervals import StructureIntervals
from bayesmix.laws.values import estimated_pairs, sd_in_words

__all__ = ["Criteria"]


class Criteria(StructureIntervals):
    """How good the estimates are, and where they lie at a boundary."""

    @property
    def singular(self) -> str:
        """Which component is at its boundary, in words; empty if none is."""
        found = []
        at = 0
        for f, group in enumerate(self.problem.groups):
            for k, effect in covariance_of(group).sds:
                if self.optimum.sd[at + k] == 0:
                    found.append(f"{sd_in_words(group, effect)} is zero")
                if self.optimum.dependent[at + k]:
                    before = [m for m, j in estimated_pairs(group) if j == k]
                    if len(before) == 1:
                        rho = self.optimum.corr[f][before[0], k]
                        found.append(
                            f"the correlation of {group.effects[before[0]]} and {effect} by "
                            f"{group.name} is {rho:+.0f}"
                        )
                    else:
                        found.append(f"the other effects by {group.name} determine {effect}")
            at += group.n_effects
        return "; ".join(found + self.at_ends)

    @property
    def flat(self) -> str:
        """Which standard deviations have other values that are as good; empty if none has.

        Along them the criterion does not bend at its end, or further searches from a
        boundary end elsewhere and as well.
        """
        if self.optimum.flat is None:
            return ""
        flat, at = [], 0
        for g in self.problem.groups:
            for k, label in covariance_of(g).sds:
                flat += (
                    [g.name if label == g.name else f"{label} by {g.name}"]
                    if self.optimum.flat[at + k]
                    else []
                )
            at += g.n_effects
        return ", ".join(flat)

    @property
    def deviance(self) -> float:
        """Minus twice the log-likelihood: of REML, or of ML at the estimates."""
        if self.method in ("map", "mivque0"):  # not at a maximum of the likelihood
            (co, x), reml = self.absolute, self.is_restricted
            value = log_likelihood(self.problem.equations, co, x, reml, np.empty(len(x)))
            # It leaves out n log(2 pi) / 2.
            n = self.problem.n_obs - (self.problem.n_fixed if reml else 0)
            return (
                -2 * value + n * float(np.log(2 * np.pi)) + self.problem.criterion_offset(reml=reml)
            )
        offset = self.problem.criterion_offset(reml=self.method == "reml")
        return self.optimum.criterion + offset

    @property
    def loglik(self) -> float:
        """Log-likelihood; the restricted one for REML."""
        return -self.deviance / 2

    @property
    def df(self) -> int:
        """Number of parameters: fixed effects, covariance parameters, sigma."""
        n_theta = sum(covariance_of(group).n_coordinates for group in self.problem.groups)
        n_theta += len(self.problem.phi)
        return self.problem.n_fixed + n_theta + (not self.problem.sigma_is_known)

    @property
    def method_in_words(self) -> str:
        """What was maximised."""
        names = {"reml": "REML", "ml": "maximum likelihood", "map": "marginal posterior mode",
                 "mivque0": "MIVQUE(0)"}  # fmt: skip
        return names[self.method]

    @property
    def integrated_in_words(self) -> str:
        """How the effects of a normal model were integrated out."""
        return "exactly"

    @property
    def has_sigma(self) -> bool:
        """Whether there is a residual standard deviation."""
        return True

    @property
    def notes(self) -> list[str]:
        """What else the reader of a summary should know."""
        return []
