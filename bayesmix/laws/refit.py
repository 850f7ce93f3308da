"""What refits of a model to other responses, or to other levels, have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bayesmix.gaussian.conditional import split_by_group
from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.density import flat_prior
from bayesmix.gaussian.effect_draws import draw_effects
from bayesmix.gaussian.problem import Problem
from bayesmix.laws.ran_away import RanAway

__all__ = ["Refit", "Refitting", "Worker", "effects_given"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refit:
    """Estimates from one response.

    Attributes
    ----------
    beta : ndarray, shape (p,)
    sd : dict of str to ndarray, shape (q,)
        By grouping factor.
    corr : dict of str to ndarray, shape (q, q)
        For grouping factors whose effects are correlated.
    structure : dict of str to dict of str to ndarray
        By grouping factor, parameters of its covariance structures.
    parameters : dict of str to ndarray
        The family's own, and those of the residual's structure.
    effects : dict of str to ndarray, shape (G, q)
        Drawn given these estimates and the response that was seen.
    deviance : float
        The REML criterion, or minus twice the log-likelihood.
    converged : bool
    ran_away : RanAway or None
        Directions of the coefficients along which there is no finite estimate; None where all
        have one.
    """

    beta: np.ndarray
    sd: dict[str, np.ndarray]
    corr: dict[str, np.ndarray]
    structure: dict[str, dict[str, np.ndarray]]
    parameters: dict[str, np.ndarray]
    effects: dict[str, np.ndarray]
    deviance: float
    converged: bool
    ran_away: RanAway | None = None

    @property
    def sigma(self) -> float:
        """The residual standard deviation; 1 where there is none or it is known."""
        return float(self.parameters.get("sigma", 1.0))


class Worker(Protocol):
    """What one thread needs to fit one response after the other."""

    def fit(self, k: int, rng: np.random.Generator | None) -> Refit:
        """Fit to the k-th; `rng` is for the effects, which without it are at their means."""

    def deviance(self, k: int) -> tuple[float, bool]:
        """The criterion at the estimates from the k-th, and whether the search converged."""


class Refitting(Protocol):
    """Responses that a model is to be fitted to."""

    def worker(self, own: range) -> Worker:
        """Return a worker for some of them, in order, with arrays of its own."""


def effects_given(
    problem: Problem,
    co: Coordinates,
    known: float,
    at: np.ndarray,
    beta: np.ndarray,
    beta_cov: np.ndarray,
    cross: Mapping[str, np.ndarray],
    rng: np.random.Generator | None,
) -> dict[str, np.ndarray]:
    """Draw group effects given a refit's estimates and the data that were seen.

    Drawn with the fixed effects and then moved along their regression on these.

    Parameters
    ----------
    problem : Problem
        With the sums of the response that was seen.
    co : Coordinates
        Absolute ones.
    known : float
        Residual precision in working units, or 0.
    at : ndarray, shape (n_all,)
        Those of the refit's variance parameters.
    beta : ndarray, shape (p,)
        Its fixed effects.
    beta_cov : ndarray, shape (p, p)
    cross : mapping of str to ndarray, shape (G, q, p)
        Covariances at these coordinates.
    rng : Generator or None
        None for their means.

    Returns
    -------
    dict of str to ndarray, shape (G, q)

    Raises
    ------
    FloatingPointError
        If the equations cannot be factored there.
    """
    eq, p = problem.equations, problem.n_fixed
    n_u = int((eq.q * eq.n_levels).sum())
    fixed, b = np.zeros((1, p)), np.zeros((1, n_u))
    if rng is not None:
        fixed, b = rng.normal(size=(1, p)), rng.normal(size=(1, n_u))
    if not draw_effects(eq, co, known, flat_prior(p), at[None], fixed, b):
        raise FloatingPointError("the equations could not be factored at a refit's estimates")
    found = split_by_group(problem, b[0])
    if not p:
        return found
    back = np.linalg.inv(problem.scaling.TX) * problem.scaling.y_scale
    drawn = back @ (fixed[0] + problem.scaling.beta_0)
    moved = np.linalg.solve(beta_cov, beta - drawn)
    return {name: values + cross[name] @ moved for name, values in found.items()}
