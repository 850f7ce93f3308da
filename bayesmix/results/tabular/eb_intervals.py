"""Intervals of an empirical Bayes fit's parameters: Wald on the log scale, or profiles."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.inference.empirical import LARGEST_CORRELATION, maximise
from bayesmix.inference.profile import (
    Likelihood,
    absolute_coordinates,
    profile_coefficient,
    profile_theta,
    standard_deviations,
    theta_covariance,
)

if TYPE_CHECKING:
    from bayesmix.gaussian.problem import Problem
    from bayesmix.inference.empirical import Method, Optimum

__all__ = ["IntervalMethod", "ModeIntervals"]

IntervalMethod = Literal["wald", "profile"]
_PROFILE_SECONDS = 1.0
_EVALUATIONS_PER_PARAMETER = 400  # of a profile, both ends together


class ModeIntervals:
    """What the likelihood around the estimates says of their uncertainty."""

    method: Method
    _problem: Problem
    _optimum: Optimum

    @functools.cached_property
    def _absolute(self) -> tuple[Coordinates, np.ndarray]:
        if self.method == "map":
            sd = np.concatenate([self._optimum.sd, [self._optimum.sigma]])
            co = self._problem.absolute_coordinates()
            x = self._optimum.x.copy()
            n_sd = int(co.sizes[1])
            x[:n_sd] = np.log(np.maximum(sd[:-1], 1e-300))
            if co.sizes[3]:
                x[-1] = np.log(sd[-1])
            return co, x
        return absolute_coordinates(self._problem, self._optimum)

    @functools.cached_property
    def _theta_cov(self) -> np.ndarray:
        co, x = self._absolute
        free = np.ones(len(x), dtype=bool)
        n_sd = int(co.sizes[1])
        corr = slice(n_sd, len(x) - int(co.sizes[3]))
        free[:n_sd] = ~self._optimum.at_zero
        free[corr] = (np.abs(x[corr]) < LARGEST_CORRELATION - 0.5) & self._pairs_vary
        return theta_covariance(self._problem, co, x, self.method != "ml", free)

    @property
    def _pairs_vary(self) -> np.ndarray:
        """Of each partial correlation, whether both of its effects do; in their order."""
        found, start = [], 0
        for group in self._problem.groups:
            zero = self._optimum.at_zero[start : start + group.n_effects]
            start += group.n_effects
            found += [
                not (zero[k] or zero[m])
                for block in group.correlated_blocks
                for m in range(block.start, block.stop)
                for k in range(block.start, m)
            ]
        return np.asarray(found, dtype=bool)

    @functools.cached_property
    def _likelihood(self) -> Likelihood:
        optimum = self._optimum if self.method == "ml" else maximise(self._problem, "ml")
        co, x = absolute_coordinates(self._problem, optimum)
        order = (*self._problem.plan.chain, *self._problem.plan.rest)
        scales = [np.abs(np.diag(self._problem.scaling.TZ[k])) for k in order]
        unit = -np.log(np.concatenate(scales)) if scales else np.zeros(0)
        unit = unit + np.log(self._problem.scaling.y_scale)
        return Likelihood(problem=self._problem, coordinates=co, x=x, unit=unit)

    def _affordable(self) -> IntervalMethod:
        """The profile where it takes under a second, by the size of the model."""
        n_x = len(self._absolute[1])
        evaluations = _EVALUATIONS_PER_PARAMETER * n_x * max(1, n_x / 3)
        seconds = _seconds_of_evaluation(self._problem) * evaluations
        return "profile" if seconds < _PROFILE_SECONDS else "wald"

    def _sd_interval(
        self, ci_prob: float, method: IntervalMethod
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Ends of the intervals of each factor's standard deviations, and the residual's."""
        n_sd = len(self._optimum.sd)
        has_sigma = not self._problem.sigma_is_known
        if method == "profile":
            at = [*range(n_sd), *([len(self._likelihood.x) - 1] if has_sigma else [])]
            ends = [profile_theta(self._likelihood, k, ci_prob, may_be_zero=k < n_sd) for k in at]
            logs = np.asarray(ends).reshape(-1, 2)
            lower, upper = np.exp(logs[:, 0]), np.exp(logs[:, 1])
        else:
            co, x = self._absolute
            sd = standard_deviations(co, x)[: n_sd + has_sigma]
            at = [*range(n_sd), *([len(x) - 1] if has_sigma else [])]
            se = np.sqrt(np.diag(self._theta_cov)[at])
            z = stats.norm.ppf((1 + ci_prob) / 2)
            with np.errstate(over="ignore"):  # infinite where the data say nothing
                lower, upper = sd * np.exp(-z * se), sd * np.exp(z * se)
            lower[:n_sd][self._optimum.at_zero] = 0.0
        low, high, start = {}, {}, 0
        for group in self._problem.groups:
            rows = slice(start, start + group.n_effects)
            low[group.name], high[group.name] = lower[rows], upper[rows]
            start += group.n_effects
        if has_sigma:
            low["Residual"], high["Residual"] = lower[-1:], upper[-1:]
        return low, high

    def _profile_of_coefficient(self, j: int, ci_prob: float) -> tuple[float, float]:
        scaling = self._problem.scaling
        row = np.linalg.inv(scaling.TX)[j] * scaling.y_scale
        return profile_coefficient(self._likelihood, row, float(row @ scaling.beta_0), ci_prob)


def _seconds_of_evaluation(problem: Problem) -> float:
    """Roughly what the likelihood with its gradient takes: not timed, or load would decide.

    Of each level its own columns with those of the fixed effects, and a dense root.
    """
    beside = problem.n_fixed + 1
    levels = sum(g.n_levels * g.n_effects * (g.n_effects + beside) ** 2 for g in problem.groups)
    crossed = problem.groups[len(problem.plan.chain) :]
    root = beside + sum(g.n_levels * g.n_effects for g in crossed)
    return float(1e-5 + levels / 5e8 + root**3 / 2e9)
