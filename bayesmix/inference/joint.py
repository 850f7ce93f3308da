"""The fast engine beyond the normal: NUTS on the joint density, whitened at Laplace's mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bayesmix.gaussian.conditional import split_by_group
from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.density import FixedPrior
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.inference.announce import stage
from bayesmix.inference.draws import Draws
from bayesmix.inference.nutpie_run import complete_or_warn, run_nutpie
from bayesmix.inference.settings import SamplerSettings
from bayesmix.inference.theta_draws import GroupVariables, theta_variables
from bayesmix.inference.whitening import Whitening, find_whitening
from bayesmix.threads import one_blas_thread

__all__ = ["sample_joint"]

# Where a standard deviation may be ten times that of the mode, so may the curvature.
_CAREFUL = 0.9


def sample_joint(
    gp: GlmmProblem,
    co: Coordinates,
    prior: FixedPrior,
    settings: SamplerSettings,
    names: Mapping[str, GroupVariables],
    betas: Sequence[str],
    link_start: float,
    *,
    careful: bool = False,
) -> Draws:
    """Sample everything with NUTS, without compiling anything per model.

    Parameters
    ----------
    gp : GlmmProblem
    co : Coordinates
        With the priors.
    prior : FixedPrior
    settings : SamplerSettings
    names : mapping of str to GroupVariables
        The variables' names, by grouping factor of the stacked predictors.
    betas : sequence of str
        Those of each predictor's fixed effects.
    link_start : float
        Linear predictor of the mean response.
    careful : bool
        Whether the step size may be made smaller where the data say little about a
        standard deviation.

    Returns
    -------
    Draws
    """
    from bayesmix.inference.nutpie_joint import compile_joint

    seconds: dict[str, float] = {}
    with one_blas_thread():
        with stage(seconds, "prepare"):
            w = find_whitening(gp, co, prior, link_start)

            def start(seed: int) -> np.ndarray:
                # Around the mode, and never on it: nutpie refuses a gradient of zero.
                return np.random.default_rng(seed).normal(0, 0.7, w.n_t + w.n_inside)

            compiled = compile_joint(w, start)
            if careful and not w.well_determined:
                settings = replace(settings, target_accept=_CAREFUL)
        z, stats = run_nutpie(compiled, ["z"], settings, seconds)
        z, stats, interrupted = complete_or_warn(z, stats, settings)
        with stage(seconds, "effects"):
            posterior = _posterior(w, z["z"], names, betas)
    return Draws(
        posterior=posterior,
        sample_stats=stats,
        engine="fast (joint density whitened at Laplace's mode, nutpie)",
        seconds=seconds,
        seed=settings.seed,
        tune=settings.tune,
        interrupted=interrupted,
        group_moments={},
    )


def _posterior(
    w: Whitening, z: np.ndarray, names: Mapping[str, GroupVariables], betas: Sequence[str]
) -> dict[str, np.ndarray]:
    """Draws of everything on the scale of the formula."""
    n_chains, n_draws = z.shape[:2]
    gp, co, problem = w.gp, w.co, w.gp.problem
    t, inside = w.back(z.reshape(n_chains * n_draws, -1))
    d, n_u = co.n_x, gp.n_effects
    x = t[:, :d].reshape(n_chains, n_draws, d)
    posterior = theta_variables(problem, co, x, names)[0]
    b = inside[:, :n_u]
    for group_name, effect in split_by_group(problem, b.reshape(n_chains, n_draws, n_u)).items():
        posterior[names[group_name].b] = effect
    if problem.n_fixed:
        back = np.linalg.inv(problem.scaling.TX)
        beta = (inside[:, n_u:] @ back.T).reshape(n_chains, n_draws, -1)
        for name, own in zip(betas, gp.stack.columns.values(), strict=True):
            if own.stop > own.start:
                posterior[name] = beta[..., own]
    beta = inside[:, n_u:] @ np.linalg.inv(problem.scaling.TX).T
    for name, values in gp.parameter_values(t[:, d : d + len(gp.phi)], beta).items():
        posterior[name] = values.reshape(n_chains, n_draws, *values.shape[1:])
    return posterior
