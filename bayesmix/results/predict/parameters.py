"""Posterior draws in the form that predictions read, group effects redrawn if need be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.arguments import whole_number
from bayesmix.errors import NotSupportedError
from bayesmix.memory import check_memory
from bayesmix.results.predict.levels import group_scales, name_key
from bayesmix.results.predict.linear import ParameterDraws

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmix.results.tabular.tables import PosteriorDraws
    from bayesmix.statement.stated import StatedModel

__all__ = ["check_replicates", "check_size", "chosen_draws", "posterior_parameters"]

_MOST = 200_000_000  # numbers: 1.6 GB of redrawn group effects
_AT_ONCE = 4_000_000  # numbers drawn in one piece


def chosen_draws(n_chains: int, n_draws: int, wanted: int | None) -> np.ndarray:
    """Positions of the draws to use within each chain, evenly spaced.

    Parameters
    ----------
    n_chains, n_draws : int
    wanted : int or None
        Over all chains together; rounded up to a multiple of the chains.

    Raises
    ------
    NotSupportedError
        If it is not a positive whole number.
    """
    if wanted is None:
        return np.arange(n_draws)
    whole_number("draws", wanted, 1)
    each = min(n_draws, -(-int(wanted) // n_chains))
    return np.unique(np.linspace(0, n_draws - 1, each).round().astype(int))


def posterior_parameters(
    model: StatedModel,
    draws: PosteriorDraws,
    levels: Mapping[str, np.ndarray],
    chosen: np.ndarray,
    seed: int,
) -> ParameterDraws:
    """Gather the draws that a prediction needs.

    Parameters
    ----------
    model : Model
    draws : PosteriorDraws
    levels : mapping of str to ndarray of int
        By grouping factor, the levels whose effects are needed.
    chosen : ndarray of int
        Positions of the draws to use within each chain.
    seed : int
        For effects that have to be redrawn.

    Returns
    -------
    ParameterDraws
    """

    def flat(values: np.ndarray) -> np.ndarray:
        picked = values[:, chosen]
        return picked.reshape(picked.shape[0] * picked.shape[1], *values.shape[2:])

    sd = {name: flat(values) for name, values in draws.sd.items()}
    corr = {name: flat(values) for name, values in draws.corr.items()}
    family = {name: flat(values) for name, values in draws.parameters.items()}
    beta = flat(draws.beta)
    if any(name in draws.moments and len(found) for name, found in levels.items()):
        structure = {g: {n: flat(v) for n, v in own.items()} for g, own in draws.structure.items()}
        beta, b = _redrawn(model, sd, corr, structure, family, levels, len(beta), seed)
    else:
        b = {
            name: _levels_first(draws.b[name], chosen, found)
            for name, found in levels.items()
            if len(found)
        }
    level_rows = {}
    for group in model.design.groups:
        if group.name in levels:
            position = np.full(group.n_levels, -1, dtype=np.int64)
            position[levels[group.name]] = np.arange(len(levels[group.name]))
            level_rows[group.name] = position
    return ParameterDraws(
        beta=np.ascontiguousarray(beta.T),
        b=b,
        level_rows=level_rows,
        scales=group_scales(sd, corr),
        family=family,
        n_draws=len(beta),
    )


def check_size(n_effects: int, n_draws: int) -> None:
    """Refuse to draw more effects than memory holds.

    Raises
    ------
    NotSupportedError
    """
    check_memory(
        f"draws={n_draws} of {n_effects} effects and parameters",
        2 * int(n_draws) * n_effects,
        "ask for fewer with draws=, or predict for fewer levels at a time",
    )


def check_replicates(n: int, n_rows: int) -> None:
    """Refuse to simulate more than memory holds.

    Raises
    ------
    NotSupportedError
    """
    check_memory(
        f"n={n} replicates of {n_rows} rows",
        int(n) * (n_rows + 16),  # with their names
        "simulate fewer at a time",
    )


def _levels_first(b: np.ndarray, chosen: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Effects of some levels with the draws last, shape (q, levels, S)."""
    n_chains, _, _, q = b.shape
    out = np.empty((q, len(levels), n_chains * len(chosen)))
    for c in range(n_chains):
        columns = slice(c * len(chosen), (c + 1) * len(chosen))
        for k in range(q):
            out[k, :, columns] = b[c, :, :, k].T[np.ix_(levels, chosen)]
    return out


def _redrawn(
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
    """
    from bayesmix.gaussian.conditional import draw_effects, split_by_group
    from bayesmix.gaussian.theta import pack_theta
    from bayesmix.inference.problems import gaussian_problem

    sizes = {g.name: g.n_effects * len(levels.get(g.name, ())) for g in model.design.groups}
    if sum(sizes.values()) * n_draws > _MOST:
        raise NotSupportedError(
            f"the fit kept means of the group effects only, and draws of {n_draws} x "
            f"{sum(sizes.values())} of them would take "
            f"{sum(sizes.values()) * n_draws * 8e-9:.1f} GB; ask for fewer with draws=, predict "
            'for fewer levels at a time, or fit with group_draws="all"'
        )
    problem = gaussian_problem(model)
    sigma = None if problem.sigma_is_known else family["sigma"]
    X = pack_theta(problem, sd, corr, sigma, structure)
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
        for g in model.design.groups
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
