"""What an evaluation of a normal model's likelihood costs, from the model's size."""

from __future__ import annotations

from bayesmix.gaussian.problem import Problem

__all__ = ["seconds_of_evaluation"]


def seconds_of_evaluation(problem: Problem) -> float:
    """Roughly what the likelihood with its gradient takes: not timed, or load would decide.

    It counts each level's own columns with those of the fixed effects, and a dense root.
    """
    beside = problem.n_fixed + 1
    levels = sum(g.n_levels * g.n_effects * (g.n_effects + beside) ** 2 for g in problem.groups)
    crossed = problem.groups[len(problem.plan.chain) :]
    root = beside + sum(g.n_levels * g.n_effects for g in crossed)
    return float(6e-5 + levels / 5e8 + root**3 / 2e9)
