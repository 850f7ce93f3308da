"""What an evaluation of a normal model's likelihood costs, from the model's size."""

from __future__ import annotations

from bayesmix.covariance import covariance_of
from bayesmix.gaussian.problem import Problem

__all__ = ["seconds_of_evaluation", "seconds_of_root", "seconds_of_value"]


def seconds_of_evaluation(problem: Problem) -> float:
    """Roughly what the likelihood with its gradient takes: not timed, or load would decide."""
    levels, root, structures = _steps(problem)
    return float(6e-5 + levels / 5e8 + root / 2e9 + structures / 5e7)


def seconds_of_value(problem: Problem) -> float:
    """Roughly what the likelihood takes without its gradient, called from compiled code."""
    levels, root, structures = _steps(problem)
    return float(1e-6 + levels / 1e9 + root / 4e10 + structures / 5e8)


def seconds_of_root(n: int) -> float:
    """Roughly what the Cholesky factor of n columns takes."""
    return float(n**3 / 4e10)


def _steps(problem: Problem) -> tuple[int, int, int]:
    """Count each level's own columns with those of the fixed effects, a dense root, and structures.

    A structure counts by the root of its covariance, with derivatives.
    """
    beside = problem.n_fixed + 1
    levels = sum(g.n_levels * g.n_effects * (g.n_effects + beside) ** 2 for g in problem.groups)
    crossed = problem.groups[len(problem.plan.chain) :]
    root = beside + sum(g.n_levels * g.n_effects for g in crossed)
    parts = [part for group in problem.groups for part in covariance_of(group).parts]
    return levels, root**3, sum(part.size**3 for part in parts if part.named_parameters())
