"""The fast engine for normal models: NUTS on the collapsed density, then exact effects.

With all effects integrated out only the variance parameters are left to sample.
The effects are then drawn from their exact conditional normal, which gives the
same posterior as sampling everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
from scipy import optimize

from bayesmix.errors import NotSupportedError, SamplingError
from bayesmix.gaussian.conditional import conditional_moments, split_by_group
from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.density import FixedPrior, log_density
from bayesmix.gaussian.effect_draws import draw_effects, draw_fixed
from bayesmix.gaussian.problem import Problem
from bayesmix.inference.announce import announce, stage
from bayesmix.inference.draws import Draws, GroupMoments
from bayesmix.inference.nutpie_run import complete_or_warn, run_nutpie
from bayesmix.inference.settings import SamplerSettings
from bayesmix.inference.theta_draws import (
    GroupVariables,
    residual_variables,
    theta_variables,
)
from bayesmix.threads import one_blas_thread

__all__ = ["GroupDraws", "sample_collapsed"]

GroupDraws = Literal["auto", "all", "moments"]

MAX_GROUP_DRAWS = 40_000_000  # numbers, 320 MB: above it "auto" keeps moments only
_MOMENT_DRAWS = 200  # thetas over which conditional moments are averaged


def sample_collapsed(
    problem: Problem,
    co: Coordinates,
    prior: FixedPrior,
    settings: SamplerSettings,
    names: Mapping[str, GroupVariables],
    group_draws: GroupDraws = "auto",
) -> Draws:
    """Sample theta with NUTS and the effects exactly.

    Parameters
    ----------
    problem : Problem
    co : Coordinates
        With the priors.
    prior : FixedPrior
    settings : SamplerSettings
    names : mapping of str to GroupVariables
        The variables' names, by grouping factor.
    group_draws : {"auto", "all", "moments"}
        Whether draws of the group effects are kept, or their means and standard
        deviations only.

    Returns
    -------
    Draws

    Raises
    ------
    NotSupportedError
        If the model has no parameters.
    SamplingError
        If the equations cannot be factored.
    """
    if not co.n_all and not problem.n_fixed:
        raise NotSupportedError("there is nothing to sample: the model has no parameters")
    seconds: dict[str, float] = {}
    with one_blas_thread():
        if co.n_all:
            with stage(seconds, "prepare"):
                center, A = _whitening(problem, co, prior)
            z, stats, interrupted = _sample(problem, co, prior, center, A, settings, seconds)
            X = center + z @ A.T
        else:  # known standard errors and no group effects: all that is left is drawn exactly
            X, stats, interrupted = np.empty((settings.chains, settings.draws, 0)), {}, False
        with stage(seconds, "effects"):
            posterior, moments = _effects(problem, co, prior, X, settings, names, group_draws)
    return Draws(
        posterior=posterior,
        sample_stats=stats,
        engine="fast (collapsed, nutpie)" if stats else "fast (exact draws)",
        seconds=seconds,
        seed=settings.seed,
        tune=settings.tune,
        interrupted=interrupted,
        group_moments=moments,
    )


def _whitening(
    problem: Problem, co: Coordinates, prior: FixedPrior
) -> tuple[np.ndarray, np.ndarray]:
    """Mode of the density of x, and a root of the inverse of its Hessian there."""
    d = co.n_all
    gradient = np.empty(d)
    eq = problem.equations

    def minus(x: np.ndarray) -> tuple[float, np.ndarray]:
        value = log_density(eq, co, prior, np.ascontiguousarray(x), True, gradient)
        return (-value if np.isfinite(value) else 1e300), -gradient

    from bayesmix.inference.empirical import start_point

    start = start_point(problem, co)
    found = optimize.minimize(
        minus, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-10, "gtol": 1e-4}
    )
    mode = found.x if np.isfinite(found.x).all() else start
    H = np.empty((d, d))
    for i in range(d):
        step = np.zeros(d)
        step[i] = 1e-3
        H[i] = (minus(mode + step)[1] - minus(mode - step)[1]) / 2e-3
    H = np.where(np.isfinite(H), H, 0.0)
    values, vectors = np.linalg.eigh((H + H.T) / 2)
    # Where the density is flat or bends the wrong way, a unit step of log sd is wide enough.
    scale = 1 / np.sqrt(np.clip(values, 0.25, None))
    return mode, vectors * scale


def _sample(
    problem: Problem, co: Coordinates, prior: FixedPrior, center: np.ndarray, A: np.ndarray,
    settings: SamplerSettings, seconds: dict[str, float],
) -> tuple[np.ndarray, dict[str, np.ndarray], bool]:  # fmt: skip
    from bayesmix.inference.nutpie_native import compile_density

    d = len(center)

    def start(seed: int) -> np.ndarray:
        # Around the mode, and never on it: nutpie refuses a gradient of zero.
        return np.random.default_rng(seed).normal(0, 0.7, d)

    with stage(seconds, "prepare"):
        compiled = compile_density(problem.equations, co, prior, center, A, start)
    posterior, stats = run_nutpie(compiled, ["z"], settings, seconds)
    posterior, stats, interrupted = complete_or_warn(posterior, stats, settings)
    return posterior["z"], stats, interrupted


def _effects(
    problem: Problem, co: Coordinates, prior: FixedPrior, X: np.ndarray,
    settings: SamplerSettings, names: Mapping[str, GroupVariables],
    group_draws: GroupDraws,
) -> tuple[dict[str, np.ndarray], dict[str, GroupMoments]]:  # fmt: skip
    """Draws of everything, from the draws of theta's coordinates."""
    n_chains, n_draws = X.shape[:2]
    n_u = int((problem.equations.q * problem.equations.n_levels).sum())
    n_numbers = n_chains * n_draws * n_u
    keep = group_draws == "all" or (group_draws == "auto" and n_numbers <= MAX_GROUP_DRAWS)
    if group_draws == "auto" and not keep:
        announce(
            f"{n_u} group effects x {n_chains * n_draws} draws would take "
            f"{n_numbers * 8 / 1e9:.1f} GB: keeping their means and standard deviations "
            '(group_draws="all" keeps the draws).',
            progress=True,
        )
    posterior, sd, _ = theta_variables(problem, co, X, names)
    if not problem.sigma_is_known:
        posterior["sigma"] = sd[:, -1].reshape(n_chains, n_draws)
    posterior |= residual_variables(problem, X[..., co.n_x :])
    p = problem.n_fixed
    scaling = problem.scaling
    back = np.linalg.inv(scaling.TX) * scaling.y_scale
    beta = np.empty((n_chains, n_draws, p))
    b = np.empty((n_chains, n_draws, n_u)) if keep else None
    known = problem.known_precision
    seeds = np.random.SeedSequence(settings.seed).spawn(n_chains)

    def one_chain(c: int) -> bool:
        rng = np.random.default_rng(seeds[c])
        noise = rng.normal(size=(n_draws, p))
        chain_b = rng.normal(size=(n_draws, n_u)) if keep else np.empty((0, n_u))
        if b is not None:
            fine = draw_effects(problem.equations, co, known, prior, X[c], noise, chain_b)
            b[c] = chain_b
        else:
            fine = draw_fixed(problem.equations, co, known, prior, X[c], noise)
        beta[c] = (noise + scaling.beta_0) @ back.T
        return fine

    with ThreadPoolExecutor(max_workers=min(settings.cores, n_chains)) as pool:
        if not all(pool.map(one_chain, range(n_chains))):
            raise SamplingError(
                "the equations could not be factored at a draw of theta: with flat priors and as "
                "many effects as rows there may be no posterior at all"
            )
    if p:
        posterior["beta"] = beta
    if b is not None:
        for group, values in split_by_group(problem, b).items():
            posterior[names[group].b] = values
        return posterior, {}
    return posterior, _average_moments(problem, co, prior, np.concatenate(X))


def _average_moments(
    problem: Problem, co: Coordinates, prior: FixedPrior, X: np.ndarray
) -> dict[str, GroupMoments]:
    """Posterior means and variances of b: conditional ones, averaged over draws of theta."""
    chosen = X[np.linspace(0, len(X) - 1, min(_MOMENT_DRAWS, len(X))).astype(int)]
    sums: dict[str, list[np.ndarray]] = {}
    for x in chosen:
        found = conditional_moments(problem, co, x, prior, known=problem.known_precision)
        for group in problem.groups:
            mean, variance = found.b[group.name], found.b_var[group.name]
            total, total_var = mean.copy(), variance.copy()
            for k, j in enumerate(group.fixed_column):
                if j is not None:
                    total[:, k] += found.beta[j]
                    total_var[:, k] += found.beta_cov[j, j] + 2 * found.cross[group.name][:, k, j]
            new = [mean, mean**2 + variance, total, total**2 + total_var]
            before = sums.get(group.name)
            sums[group.name] = (
                new if before is None else [a + b for a, b in zip(before, new, strict=True)]
            )
    out = {}
    for name, values in sums.items():
        m, m2, t, t2 = (value / len(chosen) for value in values)
        out[name] = GroupMoments(
            mean=m,
            sd=np.sqrt(np.maximum(m2 - m**2, 0.0)),
            coefficient_mean=t,
            coefficient_sd=np.sqrt(np.maximum(t2 - t**2, 0.0)),
        )
    return out
