"""Group effects of which moments were kept: drawn again given each draw of theta."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.errors import NotSupportedError
from bayesmix.gaussian.conditional import split_by_group
from bayesmix.gaussian.effect_draws import draw_effects
from bayesmix.gaussian.structure import root_columns
from bayesmix.gaussian.theta import pack_theta
from bayesmix.inference.problems import gaussian_problem
from bayesmix.laws.levels import name_key

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["redrawn_effects"]

_MOST = 200_000_000  # numbers: 1.6 GB of redrawn group effects
_AT_ONCE = 4_000_000  # numbers drawn in one piece


def redrawn_effects(
    model: StatedModel,
    sd: Mapping[str, np.ndarray],
    corr: Mapping[str, np.ndarray],
    structure: Mapping[str, Mapping[str, np.ndarray]],
    family: Mapping[str, np.ndarray],
    levels: Mapping[str, np.ndarray],
    n_draws: int,
    seed: int,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draw (beta, b) given each draw of theta, and keep the levels that are needed.

    Where a fit kept moments of the group effects only, this gives exact draws of
    the same posterior again, some thetas at a time.

    Parameters
    ----------
    model : StatedModel
    sd, corr, family : mapping of str to ndarray, shape (S, ...)
        Draws of theta.
    structure : mapping of str to mapping of str to ndarray, shape (S,)
        By grouping factor, those of the parameters of its covariance structures.
    levels : mapping of str to ndarray of int
        By grouping factor, the levels whose effects are needed.
    n_draws : int
        S.
    seed : int

    Returns
    -------
    beta : ndarray, shape (S, p)
    b : dict of str to ndarray, shape (q, levels, S)

    Raises
    ------
    NotSupportedError
        For more than memory holds, or where the equations cannot be factored.
    """
    sizes = {g.name: g.n_effects * len(levels.get(g.name, ())) for g in model.design.mu.groups}
    if sum(sizes.values()) * n_draws > _MOST:
        raise NotSupportedError(
            f"the fit kept means of the group effects only, and draws of {n_draws} x "
            f"{sum(sizes.values())} of them would take "
            f"{sum(sizes.values()) * n_draws * 8e-9:.1f} GB; ask for fewer with draws=, predict "
            'for fewer levels at a time, or fit with group_draws="all"'
        )
    too_large = root_columns(model.design.mu.groups) if model.design.streamed is None else ""
    if too_large:
        raise NotSupportedError(
            "the fit kept means of the group effects only, and they are not drawn again: "
            f'{too_large}; fit with group_draws="all"'
        )
    problem = gaussian_problem(model)
    sigma = None if problem.sigma_is_known else family["sigma"]
    X = pack_theta(problem, sd, corr, sigma, structure, family)
    co = problem.absolute_coordinates()
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    known = problem.known_precision
    p = problem.n_fixed
    n_u = int((problem.equations.q * problem.equations.n_levels).sum())
    back = np.linalg.inv(problem.scaling.TX) * problem.scaling.y_scale
    rng = np.random.default_rng(np.random.SeedSequence([seed, name_key("group effects")]))
    beta = np.empty((n_draws, p))
    b = {
        g.name: np.empty((g.n_effects, len(levels[g.name]), n_draws))
        for g in model.design.mu.groups
        if len(levels.get(g.name, ()))
    }
    step = max(1, _AT_ONCE // max(1, n_u))
    for start in range(0, n_draws, step):
        rows = slice(start, min(start + step, n_draws))
        noise = rng.standard_normal((rows.stop - start, p))
        effects = rng.standard_normal((rows.stop - start, n_u))
        if not draw_effects(
            problem.equations, co, known, prior, np.ascontiguousarray(X[rows]), noise, effects
        ):
            raise NotSupportedError(
                'the equations could not be factored at a draw of theta; fit with group_draws="all"'
            )
        beta[rows] = (noise + problem.scaling.beta_0) @ back.T
        for name, values in split_by_group(problem, effects).items():
            if name in b:
                b[name][:, :, rows] = values[:, levels[name]].T
    return beta, b
