"""Words about means that two linear predictors have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesmix.inference.link_branches import rows_below_zero

if TYPE_CHECKING:
    from bayesmix.gaussian.coordinates import Coordinates
    from bayesmix.glmm.problem import GlmmProblem
    from bayesmix.inference.laplace import LaplaceOptimum

__all__ = ["branch_in_words"]


def branch_in_words(gp: GlmmProblem, co: Coordinates, optimum: LaplaceOptimum) -> str:
    """Say how many rows have their mean from a linear predictor below zero; empty if none."""
    if not gp.link_is_even:
        return ""
    n = rows_below_zero(gp, co, optimum)
    if n == 0:
        return ""
    rows = f"{n} row with a count has a linear predictor" if n == 1 else (
        f"{n} rows with counts have linear predictors"
    )  # fmt: skip
    return (
        f"{rows} below zero, where its square rises again, and signs of coefficients turn; "
        "take the log link, or check which levels these are"
    )
