"""The PyMC engine: NUTS on the full hierarchical model."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from bayesmix.errors import NotSupportedError, PriorError, SamplingError
from bayesmix.inference.announce import announce, counted, stage
from bayesmix.inference.draws import Draws
from bayesmix.inference.nutpie_run import STATS, complete_or_warn, run_nutpie
from bayesmix.inference.settings import SamplerSettings
from bayesmix.statement.pymc_changes import statement_of

__all__ = ["SamplerName", "sample_nuts", "sample_prior"]

SamplerName = Literal["nutpie", "pymc"]

_COMPILING = (
    "Compiling the PyMC model: 5 to 30 s, and 1 to 2 minutes for the first on a machine ..."
)
# Compiled models with what they were compiled from: refitting takes no second compilation.
_COMPILED: weakref.WeakKeyDictionary[Any, tuple[tuple[Any, ...], Any]] = weakref.WeakKeyDictionary()


def sample_nuts(
    model: Any, variables: Sequence[str], settings: SamplerSettings, sampler: SamplerName
) -> Draws:
    """Sample a PyMC model.

    Parameters
    ----------
    model : pymc.Model
    variables : sequence of str
        Variables to keep.
    settings : SamplerSettings
    sampler : {"nutpie", "pymc"}

    Returns
    -------
    Draws

    Raises
    ------
    SamplingError
        If the sampler cannot start.
    KeyboardInterrupt
        If it is interrupted before the first draw.

    Warns
    -----
    SamplingWarning
        If it is interrupted later; the draws so far are returned.
    """
    run = _run_nutpie if sampler == "nutpie" else _run_pymc
    seconds: dict[str, float] = {}
    with threadpool_limits(1):  # chains run side by side; threaded BLAS would fight them
        posterior, stats = run(model, variables, settings, seconds)
    posterior, stats, interrupted = complete_or_warn(posterior, stats, settings)
    return Draws(
        posterior=posterior,
        sample_stats=stats,
        engine=f"pymc ({sampler})",
        seconds=seconds,
        seed=settings.seed,
        tune=settings.tune,
        interrupted=interrupted,
    )


def sample_prior(model: Any, variables: Sequence[str], settings: SamplerSettings) -> Draws:
    """Draw from the prior, independently and exactly, without the likelihood.

    Parameters
    ----------
    model : pymc.Model
        With proper priors.
    variables : sequence of str
        Variables to keep.
    settings : SamplerSettings

    Returns
    -------
    Draws
        In the shape that NUTS would have given.

    Raises
    ------
    PriorError
        If the priors reach beyond the numbers that a computer holds.
    """
    import pymc as pm

    seconds: dict[str, float] = {}
    n_chains, n_draws = settings.chains, settings.draws
    with stage(seconds, "sample"), model, _quiet_pymc():
        try:
            drawn = pm.draw(
                [model[name] for name in variables],
                draws=n_chains * n_draws,
                random_seed=settings.seed,
            )
        except ArithmeticError as error:
            raise PriorError(
                "the priors give values that are too large or too near to zero to be computed; "
                "narrow the widest of them"
            ) from error
    posterior = {
        name: np.asarray(values).reshape(n_chains, n_draws, *np.shape(values)[1:])
        for name, values in zip(variables, drawn, strict=True)
    }
    return Draws(
        posterior=posterior,
        sample_stats={},
        engine="pymc (prior draws)",
        seconds=seconds,
        seed=settings.seed,
        tune=0,
        prior_only=True,
    )


def _run_nutpie(
    model: Any, variables: Sequence[str], settings: SamplerSettings, seconds: dict[str, float]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    discrete = [str(variable.name) for variable in model.free_RVs if variable.dtype[0] in "iub"]
    if discrete:
        names = ", ".join(f"`{name}`" for name in discrete)
        raise NotSupportedError(
            f"{names} of model.pymc_model: whole numbers are not sampled by NUTS; "
            'sampler="pymc" steps through them beside it, or sum over them in a potential'
        )
    compiled = _compiled(model, variables, settings, seconds)
    announce(
        f"Sampling {counted(settings.chains, 'chain')} of {settings.tune} + {settings.draws} "
        "steps ...",
        progress=settings.progress,
    )
    return run_nutpie(compiled, variables, settings, seconds)


def _compiled(
    model: Any, variables: Sequence[str], settings: SamplerSettings, seconds: dict[str, float]
) -> Any:
    """Compile with nutpie, or take what an earlier fit of the unchanged model compiled."""
    from bayesmix.inference.lean_nutpie import nutpie

    # What it says, data included, whatever became of its objects.
    print_of_model = (tuple(variables), statement_of(model))
    known = _COMPILED.get(model)
    if known is not None and known[0] == print_of_model:
        seconds["compile"] = 0.0
        return known[1]
    announce(_COMPILING, progress=settings.progress)
    with stage(seconds, "compile"), _quiet_pymc():
        compiled = nutpie.compile_pymc_model(model, var_names=list(variables))
    announce(f"Compiled in {seconds['compile']:.1f} s.", progress=settings.progress)
    _COMPILED[model] = (print_of_model, compiled)
    return compiled


def _run_pymc(
    model: Any, variables: Sequence[str], settings: SamplerSettings, seconds: dict[str, float]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    import pymc as pm

    announce(_COMPILING, progress=settings.progress)
    try:
        with stage(seconds, "sample"), model, _quiet_pymc():
            tree = pm.sample(
                draws=settings.draws,
                tune=settings.tune,
                chains=settings.chains,
                cores=settings.cores,
                random_seed=settings.seed,
                nuts_sampler="pymc",
                target_accept=settings.target_accept,
                var_names=list(variables),
                progressbar=settings.progress,
                compute_convergence_checks=False,
            )
    except (ValueError, RuntimeError, pm.exceptions.SamplingError) as error:
        raise SamplingError(f"PyMC could not sample this model: {error}") from error
    posterior = {name: tree["posterior"][name].values for name in variables}
    found: Mapping[str, Any] = tree["sample_stats"].to_dataset()
    stats = {name: found[name].values for name in STATS if name in found}
    return posterior, stats


@contextmanager
def _quiet_pymc() -> Iterator[None]:
    """Keep PyMC's own log lines back: what matters is said once, after sampling."""
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
