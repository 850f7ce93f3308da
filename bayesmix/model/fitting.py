"""How a model is fitted: what the user asks for is checked, and an engine is chosen."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from bayesmix.arguments import one_of
from bayesmix.covariance import covariance_of
from bayesmix.design.checks import warn_of_far_columns
from bayesmix.errors import (
    OWN_FILES,
    ApproximationWarning,
    ArgumentError,
    BayesmixWarning,
    ConvergenceWarning,
    NotSupportedError,
    PriorError,
    SeparationWarning,
)
from bayesmix.model.by_factors import Asked, mixed_slowly, why_by_factors
from bayesmix.statement.names import posterior_variables
from bayesmix.statement.pymc_changes import added_variables, statement_of

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.inference.collapsed import CollapsedSampler
    from bayesmix.inference.draws import Draws
    from bayesmix.inference.pymc_engine import SamplerName
    from bayesmix.inference.settings import SamplerSettings
    from bayesmix.inference.theta_draws import GroupVariables
    from bayesmix.results import EmpiricalBayes, Posterior
    from bayesmix.results.empirical_bayes import Algebra
    from bayesmix.statement.names import PredictorNames
    from bayesmix.statement.stated import FittableModel

__all__ = ["Engine", "GroupDraws", "Method", "Sampler", "maximise", "sample", "warm_up_steps"]

Engine = Literal["auto", "fast", "pymc"]
Sampler = Literal["auto", "independent", "gibbs", "nuts", "nutpie", "pymc"]
GroupDraws = Literal["auto", "all", "moments"]
Method = Literal["reml", "ml", "map", "mivque0"]

_FAST_TUNE = 300  # the fast engine starts at the mode, in whitened coordinates
_DEAR_TUNE = 100  # enough there, and a gradient with a large root takes a tenth of a second
_LARGE_ROOT = 500  # columns
_PYMC_TUNE = 1000
_SWEEPS = 100  # of Gibbs: each forgets most of what the one before knew
_STATISTICS = 12  # numbers that the sampler keeps of each step


def sample(
    model: FittableModel,
    *,
    tune: int | None,
    target_accept: float | None,
    engine: Engine,
    sampler: Sampler,
    group_draws: GroupDraws,
    prior_only: bool,
    progress: bool,
    **settings: Any,
) -> Posterior:
    """Draw from the posterior, or from the prior; the arguments are those of `Model.fit`."""
    from bayesmix.inference.announce import announce
    from bayesmix.inference.pymc_engine import sample_nuts, sample_prior
    from bayesmix.inference.settings import SamplerSettings
    from bayesmix.results import Posterior

    asked = {
        "tune": tune,
        "target_accept": target_accept,
        "engine": engine,
        "sampler": sampler,
        "group_draws": group_draws,
        "prior_only": prior_only,
        "progress": progress,
        **settings,
    }
    one_of("engine", engine, get_args(Engine))
    one_of("sampler", sampler, get_args(Sampler))
    one_of("group_draws", group_draws, get_args(GroupDraws))
    changes = model.pymc_changes
    why_not = _why_not_fast(model)
    if changes:
        why_not = f"model.pymc_model was changed by hand ({changes.words})"
    by_factors = why_by_factors(
        model,
        Asked(
            sampler=sampler, engine=engine, target_accept=target_accept, prior_only=prior_only
        ),
        why_not,
        integrates=_is_collapsed(model),
    )  # fmt: skip
    dense = not why_not
    if by_factors:
        why_not = ""
    if engine == "fast" and why_not:
        raise NotSupportedError(f'engine="fast" is not possible: {why_not}; take "pymc"')
    fast = engine != "pymc" and not why_not and not prior_only
    if sampler == "independent":
        _refuse_independent(model, why_not, engine, target_accept, prior_only=prior_only)
    _warn_of_far_columns(model)
    if group_draws == "moments" and not (fast and _is_collapsed(model)):
        raise NotSupportedError(
            'group_draws="moments" needs effects that integrate out: the fast engine and a normal '
            'response; take "all"'
        )
    usual = _PYMC_TUNE
    if fast:
        usual = _SWEEPS if by_factors else warm_up_steps(model)
    checked = SamplerSettings.checked(
        tune=usual if tune is None else tune,
        target_accept=0.8 if target_accept is None else target_accept,
        progress=progress,
        **settings,
    )
    _check_sizes(model, checked, group_draws, fast=fast)
    if prior_only:
        improper = model.prior_entries.improper
        if improper:
            raise PriorError(
                f"the prior of {', '.join(improper)} is flat and cannot be drawn from; give a "
                "proper one for prior_only=True"
            )
        if changes:
            _refuse_potentials(model)
        return Posterior(
            model, sample_prior(model.pymc_model, _variables_to_keep(model), checked), asked
        )
    if fast:
        draws = _sample_fast(
            model, checked, group_draws, sampler, tune, target_accept, by_factors=by_factors,
            or_dense=dense,
        )  # fmt: skip
    else:
        if engine == "auto":
            announce(f"Taking the PyMC engine: {why_not}.", progress=progress)
        whose: SamplerName = "pymc" if sampler == "pymc" else "nutpie"
        draws = sample_nuts(model.pymc_model, _variables_to_keep(model), checked, whose)
    posterior = Posterior(model, draws, asked)
    posterior.warn_if_unconverged()
    return posterior


def _refuse_independent(
    model: FittableModel, why_not: str, engine: Engine, target_accept: float | None, *,
    prior_only: bool,
) -> None:  # fmt: skip
    """Say by name why there are no independent draws of what is asked for, if there are none."""
    if not _is_collapsed(model):
        why_not = "it needs effects that integrate out, those of a normal response"
    elif prior_only:
        why_not = "draws from the prior have no sampler: leave sampler= out"
    elif engine == "pymc":
        why_not = "it is one of the fast engine"
    elif target_accept is not None:
        why_not = "it has no step size, which target_accept= is about"
    if why_not:
        raise NotSupportedError(
            f'sampler="independent" is not possible: {why_not}; take sampler="nuts"'
        )


def _variables_to_keep(model: FittableModel) -> list[str]:
    """Names of what a posterior has draws of: the formula's variables, and what a user added."""
    wanted = posterior_variables(model.design, model.names, model.family)
    if not model.pymc_changes:
        return wanted
    known = model.pymc_model.named_vars
    absent = [name for name in wanted if name not in known]
    if absent:
        raise NotSupportedError(
            f"model.pymc_model has no variable {', '.join(f'`{name}`' for name in absent)}, which "
            "the tables of a posterior are made of; keep the names, or sample it with pm.sample "
            "(`del model.pymc_model` brings the formula's back)"
        )
    added = added_variables(model._stated_by_formula(), statement_of(model.pymc_model))
    taken = [name for name in added if name in {"chain", "draw"}]  # PyMC refuses the others
    if taken:
        raise NotSupportedError(
            f"`{taken[0]}`, which was added to model.pymc_model, is called like a dimension of "
            "the draws; give it another name"
        )
    return [*wanted, *added]


def _refuse_potentials(model: FittableModel) -> None:
    """Refuse draws from a prior that is known up to a constant only."""
    potentials = [str(variable.name) for variable in model.pymc_model.potentials]
    if potentials:
        raise NotSupportedError(
            f"the potential {', '.join(f'`{name}`' for name in potentials)} that was added to "
            "model.pymc_model can be sampled with NUTS and not be drawn from; take it out for "
            "prior_only=True, or state it as a prior"
        )


def _check_sizes(
    model: FittableModel, settings: SamplerSettings, group_draws: GroupDraws, *, fast: bool
) -> None:
    """Refuse more draws than memory holds: the sampler would end the whole process."""
    from bayesmix.inference.collapsed import MAX_GROUP_DRAWS
    from bayesmix.memory import check_memory

    predictors = model.design.predictors.values()
    groups = [group for predictor in predictors for group in predictor.groups]
    n_draws = settings.chains * settings.draws
    effects = sum(g.n_levels * g.n_effects for g in groups)
    collapsed = fast and _is_collapsed(model)
    sampled = sum(len(predictor.fixed_effects) for predictor in predictors)
    sampled += sum(g.n_effects**2 + g.n_effects for g in groups)
    labels = model.names.parameter_labels
    sampled += 0 if model.residual is None else len(model.residual.parameters)
    sampled += sum(len(labels.get(name, "1")) for name in model.parameters)
    too_many = group_draws == "auto" and effects * n_draws > MAX_GROUP_DRAWS
    kept = sampled + (0 if collapsed and (too_many or group_draws == "moments") else effects)
    if not collapsed:
        sampled += effects
    # The sampler sets all steps of a chain aside at the start, and its draws are copied
    # twice on their way into labelled arrays.
    warm_up = settings.chains * settings.tune * (sampled + _STATISTICS)
    check_memory(
        f"draws={settings.draws} and tune={settings.tune} in chains={settings.chains}, of "
        f"{kept} numbers each,",
        n_draws * (3 * kept + 2 * _STATISTICS) + warm_up,
        "ask for fewer: some thousand draws are enough for any summary",
    )


def _warn_of_far_columns(model: FittableModel) -> None:
    for predictor in model.design.predictors.values():
        warn_of_far_columns(predictor.groups)


def warm_up_steps(model: FittableModel) -> int:
    """Return how long the fast engine warms up, if the user does not say."""
    from bayesmix.gaussian.structure import plan_elimination

    groups = model.design.mu.groups
    if not _is_collapsed(model):
        return _FAST_TUNE
    if model.design.streamed is not None:
        from bayesmix.inference.problems import gaussian_problem

        rest = gaussian_problem(model).plan.rest
    else:
        rest = plan_elimination(groups).rest
    dear = sum(groups[k].n_levels * groups[k].n_effects for k in rest) > _LARGE_ROOT
    return _DEAR_TUNE if dear else _FAST_TUNE


def maximise(
    model: FittableModel, method: Method | None, n_quadrature: int, algebra: Algebra = "auto"
) -> EmpiricalBayes:
    """Set the variance parameters to their best values; the arguments of `Model.fit_eb`."""
    from bayesmix.gaussian.problem import unsupported_priors
    from bayesmix.inference.engines import (
        why_not_normal,
        why_not_normal_effects,
        why_not_one_predictor,
    )  # fmt: skip
    from bayesmix.results import EmpiricalBayes

    if method is None:
        method = "reml" if _is_collapsed(model) else "ml"
    one_of("method", method, get_args(Method))
    changes = model.pymc_changes
    if changes:
        raise NotSupportedError(
            f"model.pymc_model was changed by hand ({changes.words}), and fit_eb() maximises what "
            "the formula says; fit() samples the changed model (`del model.pymc_model` brings the "
            "formula's back)"
        )
    if method == "map":
        _warn_of_far_columns(model)
    unsupported = unsupported_priors(model.prior_entries) if method == "map" else []
    if unsupported:
        raise NotSupportedError(
            f'method="map" does not know the prior {unsupported[0]}; take "ml", or fit()'
        )
    if not _is_collapsed(model):
        if algebra != "auto":
            raise NotSupportedError(
                f"algebra={algebra!r} is for effects that integrate out, those of a normal response"
            )
        return _maximise_laplace(model, method, n_quadrature)
    why_not = (
        why_not_normal(model.family, model.rows)
        or why_not_one_predictor(model.design, model.family)
        or why_not_normal_effects(model.design)
    )
    if why_not:
        raise NotSupportedError(f"fit_eb() has no exact algebra because {why_not}; take fit()")
    if n_quadrature != 1:
        raise NotSupportedError(
            "n_quadrature is for non-normal responses: a normal one is integrated exactly"
        )
    fit = EmpiricalBayes(model, method, algebra)
    if fit._law.flat_in_words:
        _say(SeparationWarning, model, fit._law.flat_in_words)
    return _warned(fit)


def _warned(fit: EmpiricalBayes) -> EmpiricalBayes:
    """Say of a fit that ended before its optimum that its numbers are none."""
    if not fit.converged:
        warnings.warn(
            f"`{fit.model.formula}` has not converged ({fit.optimizer.message.rstrip('.')}): do "
            "not trust these estimates; centre and scale the predictors, simplify the group "
            "effects, or take fit()",
            ConvergenceWarning,
            skip_file_prefixes=OWN_FILES,
        )
    return fit


def _is_collapsed(model: FittableModel) -> bool:
    """Whether the effects are to integrate out: of a plain normal response, with none on sigma."""
    from bayesmix.inference.engines import why_not_normal

    sigma = model.design.predictors.get("sigma")
    if not model.family.is_normal or (sigma is not None and sigma.groups):
        return False
    # One that has no rows in compiled code is told why it has no exact algebra either.
    return not (why_not_normal(model.family, model.rows) and model.family.has_laplace)


def _why_not_fast(model: FittableModel) -> str:
    """Why neither the collapsed nor the joint density has kernels; empty if one has."""
    from bayesmix.inference.engines import why_not_collapsed, why_not_joint

    parts = (model.design, model.family, model.rows, model.prior_entries)
    if _is_collapsed(model):
        return why_not_collapsed(*parts, model.residual)
    if model.residual is not None and model.residual.correlated:
        return "of group effects on sigma beside correlated residuals"
    return why_not_joint(*parts)


def _sample_fast(
    model: FittableModel, settings: SamplerSettings, group_draws: GroupDraws, sampler: Sampler,
    tune: int | None, target_accept: float | None, *, by_factors: str, or_dense: bool,
) -> Draws:  # fmt: skip
    mu, priors, names = model.design.mu, model.prior_entries, model.names
    if by_factors:
        from bayesmix.inference.announce import announce
        from bayesmix.inference.gibbs import sample_gibbs

        of_groups = {g.name: _variables(names, g) for g in mu.groups}
        found = sample_gibbs(model, settings, of_groups, group_draws, by_factors)
        effects = {own.b for own in of_groups.values()}
        slowly = mixed_slowly(found, effects) if sampler == "auto" and or_dense else ""
        if not slowly:
            return found
        announce(
            f"What was drawn one grouping factor after the other {slowly}: drawing with all of "
            "them together, which takes longer.", progress=settings.progress,
        )  # fmt: skip
        settings = replace(settings, tune=warm_up_steps(model) if tune is None else tune)
    if _is_collapsed(model):
        from bayesmix.inference.collapsed import sample_collapsed
        from bayesmix.inference.iterative_start import mode_of_large
        from bayesmix.inference.perfect import refuse_perfect_fit
        from bayesmix.inference.problems import gaussian_problem

        how: CollapsedSampler = "nuts"
        if target_accept is None and (sampler == "auto" or sampler == "independent"):  # noqa: PLR1714, for mypy
            how = sampler
        problem = gaussian_problem(model)
        refuse_perfect_fit(problem, mu, model.y)
        draws = sample_collapsed(
            problem,
            problem.coordinates(priors),
            problem.fixed_prior(mu, priors.mu),
            settings,
            {g.name: _variables(names, g) for g in mu.groups},
            group_draws,
            how,
            tune,
            lambda: mode_of_large(model, problem),
        )
    else:
        draws = _sample_joint(model, settings, careful=target_accept is None)
    if sampler == "auto" and target_accept is not None and draws.sample_stats:
        why = f"NUTS, which has a step size for target_accept={target_accept:g}"
        return replace(draws, choice=why)
    return draws


def _sample_joint(model: FittableModel, settings: SamplerSettings, *, careful: bool) -> Draws:
    from bayesmix.inference.joint import sample_joint
    from bayesmix.inference.problems import glmm_problem

    priors, names = model.prior_entries, model.names
    gp = glmm_problem(model, in_memory=True)
    predictors = gp.stack.predictors
    of_groups = [_variables(names.of(p), g) for p, own in predictors.items() for g in own.groups]
    return sample_joint(
        gp,
        gp.coordinates(priors),
        gp.fixed_prior(priors),
        settings,
        {g.name: own for g, own in zip(gp.stack.whole.groups, of_groups, strict=True)},
        [names.of(parameter).beta for parameter in predictors],
        model.link_start,
        careful=careful,
    )


def _variables(names: PredictorNames, group: GroupingFactor) -> GroupVariables:
    from bayesmix.inference.theta_draws import GroupVariables

    own, parameters = group.name, covariance_of(group).parameters()
    return GroupVariables(
        sd=names.sd(own), corr=names.corr(own), b=names.b(own),
        parameters={p: names.parameter(p, own) for p in parameters},
    )  # fmt: skip


def _maximise_laplace(model: FittableModel, method: Method, n_quadrature: int) -> EmpiricalBayes:
    from bayesmix.families import FAMILIES
    from bayesmix.inference.engines import why_not_joint, why_not_normal
    from bayesmix.results.laplace_fit import LaplaceFit

    family, groups = model.family, model.design.mu.groups
    several = len(model.design.predictors) > 1
    if method == "reml" or method == "mivque0":  # noqa: PLR1714, for mypy
        raise NotSupportedError(
            f'method="{method}" needs effects that integrate out, and here '
            f'{why_not_normal(family, model.rows) or "those on sigma do not"}: take "ml"'
            if family.is_normal
            else f'method="{method}" is for normal responses; the family is {family}: take "ml"'
        )
    if not (family.has_laplace or several):
        taken = [name for name, known in FAMILIES.items() if known.is_normal or known.has_laplace]
        raise NotSupportedError(
            f"fit_eb() knows {', '.join(taken)}; the family is {family}: take fit()"
        )
    # Priors do not matter to maximum likelihood: only the rows and the groups do.
    priors = model.prior_entries if method == "map" else None
    why_not = why_not_joint(model.design, family, model.rows, priors)
    if model.residual is not None and model.residual.correlated:
        why_not = "of group effects on sigma beside correlated residuals"
    if why_not:
        raise NotSupportedError(f"fit_eb() cannot take this model because {why_not}; take fit()")
    if not (isinstance(n_quadrature, int) and 1 <= n_quadrature <= 100):
        raise ArgumentError(f"n_quadrature={n_quadrature!r} must lie between 1 and 100")
    scalar = len(groups) == 1 and groups[0].n_effects == 1 and groups[0].between is None
    scalar = scalar and not several
    if n_quadrature > 1 and not scalar:
        raise NotSupportedError(
            f"n_quadrature={n_quadrature} needs one grouping factor with one effect, whose levels "
            "are independent; "
            "here n_quadrature=1, Laplace's approximation, is possible"
        )
    fit = LaplaceFit(model, method, n_quadrature)
    if fit.mean_branch:
        _say(ConvergenceWarning, model, fit.mean_branch)
    if fit.separation:
        _say(SeparationWarning, model, fit.separation)
    elif fit._law.flat_in_words:
        _say(SeparationWarning, model, fit._law.flat_in_words)
    if fit._law.is_rough:
        _say(ApproximationWarning, model, fit.approximation)
    return _warned(fit)


def _say(category: type[BayesmixWarning], model: FittableModel, text: str) -> None:
    warnings.warn(f"`{model.formula}`: {text}", category, skip_file_prefixes=OWN_FILES)
