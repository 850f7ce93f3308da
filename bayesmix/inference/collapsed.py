"""The fast engine for normal models: draws from the collapsed density, and exact effects.

With all effects integrated out only the variance parameters are left to sample: by
independent proposals where these are good, and by NUTS elsewhere. The effects are drawn
from their exact conditional normal, which gives the same posterior as sampling everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import optimize

from bayesmix.errors import NotSupportedError, SamplingError
from bayesmix.gaussian.conditional import split_by_group
from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.density import FixedPrior, log_density
from bayesmix.gaussian.effect_draws import draw_effects, draw_fixed
from bayesmix.gaussian.independence import ValueDensity
from bayesmix.gaussian.problem import Problem
from bayesmix.inference.announce import announce, stage
from bayesmix.inference.average_moments import average_moments
from bayesmix.inference.cost import seconds_of_value
from bayesmix.inference.draws import Draws, GroupMoments
from bayesmix.inference.independent import propose, take_draws, why_too_many
from bayesmix.inference.nutpie_run import complete_or_warn, run_nutpie
from bayesmix.inference.settings import SamplerSettings
from bayesmix.inference.theta_draws import (
    GroupVariables,
    residual_variables,
    theta_variables,
)
from bayesmix.threads import one_blas_thread

if TYPE_CHECKING:
    from bayesmix.inference.empirical import Near

__all__ = ["CollapsedSampler", "GroupDraws", "keeps_effects", "sample_collapsed", "whitening"]

CollapsedSampler = Literal["auto", "independent", "nuts"]
GroupDraws = Literal["auto", "all", "moments"]

MAX_GROUP_DRAWS = 40_000_000  # numbers, 320 MB: above it "auto" keeps moments only


def sample_collapsed(
    problem: Problem,
    co: Coordinates,
    prior: FixedPrior,
    settings: SamplerSettings,
    names: Mapping[str, GroupVariables],
    group_draws: GroupDraws = "auto",
    sampler: CollapsedSampler = "nuts",
    tune: int | None = None,
    find_near: Callable[[], Near | None] = lambda: None,
) -> Draws:
    """Sample theta, and the effects exactly.

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
    sampler : {"auto", "independent", "nuts"}
        "auto" takes independent proposals where they are good.
    tune : int, optional
        Points for each chain to which proposals are fitted.
    find_near : callable, optional
        Finds about where the posterior is, in absolute coordinates, where that is known at less
        cost than a search; independent proposals are fitted from there.

    Returns
    -------
    Draws

    Raises
    ------
    NotSupportedError
        If the model has no parameters, or independent proposals are asked for and not good.
    SamplingError
        If the equations cannot be factored.
    """
    if not co.n_all and not problem.n_fixed:
        raise NotSupportedError("there is nothing to sample: the model has no parameters")
    seconds: dict[str, float] = {}
    choice = ""
    with one_blas_thread():
        if co.n_all:
            density = ValueDensity(
                eq=problem.equations, co=co, prior=prior, known=problem.known_precision
            )
            # What the user hears of it is said once.
            keep = keeps_effects(_number_of_effects(problem), settings, group_draws)
            choice = why_too_many(co.n_all) if sampler != "nuts" else ""
            at_mode = near = None
            if sampler != "nuts" and not choice:
                with stage(seconds, "prepare"):
                    near = find_near()
                    at_mode = whitening(problem, co, prior) if near is None else _about(near)
                found = _sample_independent(
                    problem, density, at_mode, settings, names, keep, seconds, tune
                )
                if isinstance(found, Draws):
                    return found
                choice = found
            if choice and sampler == "independent":
                raise NotSupportedError(
                    f'sampler="independent" is not possible: {choice}; take sampler="nuts"'
                )
            with stage(seconds, "prepare"):
                if at_mode is None or near is not None:  # what is only near is no start of NUTS
                    at_mode = whitening(problem, co, prior)
                center, A = at_mode
            z, stats, interrupted = _sample(problem, co, prior, center, A, settings, seconds)
            X = center + z @ A.T
        else:  # known standard errors and no group effects: all that is left is drawn exactly
            X, stats, interrupted = np.empty((settings.chains, settings.draws, 0)), {}, False
            keep = True
        with stage(seconds, "effects"):
            posterior, moments = _effects(problem, co, prior, X, settings, names, keep)
    return Draws(
        posterior=posterior,
        sample_stats=stats,
        engine="fast (collapsed, nutpie)" if stats else "fast (exact draws)",
        seconds=seconds,
        seed=settings.seed,
        tune=settings.tune,
        interrupted=interrupted,
        group_moments=moments,
        choice=f"NUTS in place of independent draws: {choice}" if choice else "",
    )


def _sample_independent(
    problem: Problem, density: ValueDensity, at_mode: tuple[np.ndarray, np.ndarray],
    settings: SamplerSettings, names: Mapping[str, GroupVariables], keep: bool,
    seconds: dict[str, float], tune: int | None,
) -> Draws | str:  # fmt: skip
    """Draw by independent proposals, or say in words why they will not do."""
    one = seconds_of_value(problem)
    with stage(seconds, "prepare"):
        fitted = propose(density, *at_mode, settings, one, tune)
    if fitted.quality.why_not:
        return fitted.quality.why_not
    with stage(seconds, "sample"):
        n_b = _number_of_effects(problem) if keep else 0
        run = take_draws(density, fitted, settings, n_b, one)
    order = np.arange(settings.chains * settings.draws, dtype=float)
    drawn = np.where(np.isnan(run.stats["lp"]), np.nan, order.reshape(run.stats["lp"].shape))
    kept, stats, interrupted = complete_or_warn({"at": drawn}, run.stats, settings)
    if run.quality.why_not and not interrupted:
        return run.quality.why_not
    X, beta, b = run.X, run.beta, run.b
    if interrupted:
        chain, at = np.divmod(kept["at"].astype(int), settings.draws)
        X, beta, b = X[chain, at], beta[chain, at], b[chain, at]
    with stage(seconds, "effects"):
        posterior, moments = _named(
            problem, density.co, density.prior, X, beta, b, names, keep, settings.cores
        )
    return Draws(
        posterior=posterior,
        sample_stats=stats,
        engine="fast (independent draws)",
        seconds=seconds,
        seed=settings.seed,
        tune=-(-fitted.n_points // settings.chains),
        interrupted=interrupted,
        group_moments=moments,
        choice=(
            f"{run.quality.accepted:.0%} of the independent proposals accepted, "
            f"Pareto k {run.quality.pareto_k:.2f}"
            + (f", {run.evaluated:.0%} evaluated" if run.evaluated < 1 else "")
        ),
    )


def whitening(
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


def _about(near: Near) -> tuple[np.ndarray, np.ndarray]:
    """What `whitening` finds, from what is known of it."""
    values, vectors = np.linalg.eigh((near.covariance + near.covariance.T) / 2)
    return near.x, vectors * np.sqrt(np.clip(values, 1e-12, 4.0))


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


def _number_of_effects(problem: Problem) -> int:
    return int((problem.equations.q * problem.equations.n_levels).sum())


def keeps_effects(n_u: int, settings: SamplerSettings, group_draws: GroupDraws) -> bool:
    """Whether draws of the group effects are kept; says so where "auto" keeps none."""
    n_draws = settings.chains * settings.draws
    keep = group_draws == "all" or (group_draws == "auto" and n_u * n_draws <= MAX_GROUP_DRAWS)
    if group_draws == "auto" and not keep:
        announce(
            f"{n_u} group effects x {n_draws} draws would take "
            f"{n_u * n_draws * 8 / 1e9:.1f} GB: keeping their means and standard deviations "
            '(group_draws="all" keeps the draws).',
            progress=True,
        )
    return keep


def _effects(
    problem: Problem, co: Coordinates, prior: FixedPrior, X: np.ndarray,
    settings: SamplerSettings, names: Mapping[str, GroupVariables], keep: bool,
) -> tuple[dict[str, np.ndarray], dict[str, GroupMoments]]:  # fmt: skip
    """Draws of everything, from the draws of theta's coordinates."""
    n_chains, n_draws = X.shape[:2]
    n_u = _number_of_effects(problem)
    p = problem.n_fixed
    beta = np.empty((n_chains, n_draws, p))
    b = np.empty((n_chains, n_draws, n_u if keep else 0))
    known = problem.known_precision
    seeds = np.random.SeedSequence(settings.seed).spawn(n_chains)

    def one_chain(c: int) -> bool:
        rng = np.random.default_rng(seeds[c])
        noise = rng.normal(size=(n_draws, p))
        if keep:
            chain_b = rng.normal(size=(n_draws, n_u))
            fine = draw_effects(problem.equations, co, known, prior, X[c], noise, chain_b)
            b[c] = chain_b
        else:
            fine = draw_fixed(problem.equations, co, known, prior, X[c], noise)
        beta[c] = noise
        return fine

    with ThreadPoolExecutor(max_workers=min(settings.cores, n_chains)) as pool:
        if not all(pool.map(one_chain, range(n_chains))):
            raise SamplingError(
                "the equations could not be factored at a draw of theta: with flat priors and as "
                "many effects as rows there may be no posterior at all"
            )
    return _named(problem, co, prior, X, beta, b, names, keep, settings.cores)


def _named(
    problem: Problem, co: Coordinates, prior: FixedPrior, X: np.ndarray, beta: np.ndarray,
    b: np.ndarray, names: Mapping[str, GroupVariables], keep: bool, cores: int,
) -> tuple[dict[str, np.ndarray], dict[str, GroupMoments]]:  # fmt: skip
    """Variables of the posterior, from coordinates of theta and effects in working units."""
    n_chains, n_draws = X.shape[:2]
    posterior, sd, _ = theta_variables(problem, co, X, names)
    if not problem.sigma_is_known:
        posterior["sigma"] = sd[:, -1].reshape(n_chains, n_draws)
    posterior |= residual_variables(problem, X[..., co.n_x :])
    if problem.n_fixed:
        scaling = problem.scaling
        back = np.linalg.inv(scaling.TX) * scaling.y_scale
        # Chain by chain: rounding is that of a product of this size.
        posterior["beta"] = np.stack([(own + scaling.beta_0) @ back.T for own in beta])
    if not keep:
        return posterior, average_moments(problem, co, prior, np.concatenate(X), cores)
    for group, values in split_by_group(problem, b).items():
        posterior[names[group].b] = values
    return posterior, {}
