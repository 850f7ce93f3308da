"""A mixed model as a PyMC model: the full hierarchical statement, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from bayesmix.covariance import GroupCovariance, covariance_of
from bayesmix.design import Design, GroupingFactor, LinearPredictor
from bayesmix.families import Family
from bayesmix.families.functions import tensor_functions
from bayesmix.priors.model_priors import ModelPriors, PredictorPriors, PriorInForce
from bayesmix.priors.prior import Prior
from bayesmix.residual import Residual
from bayesmix.statement.names import CATEGORY, Names, PredictorNames

__all__ = ["Parametrization", "build_pymc_model"]

Parametrization = Literal["non-centered", "centered"]


def build_pymc_model(
    design: Design,
    family: Family,
    y: np.ndarray,
    priors: ModelPriors,
    names: Names,
    parametrization: Parametrization = "non-centered",
    residual: Residual | None = None,
    row_data: Mapping[str, np.ndarray] | None = None,
) -> Any:
    """State a mixed model in PyMC.

    Parameters
    ----------
    design : Design
    family : Family
    y : ndarray, shape (n,)
    priors : ModelPriors
    names : Names
    parametrization : {"non-centered", "centered"}
        Whether group effects are standard normals times their Cholesky factor,
        or drawn from their normal directly.
    residual : Residual, optional
        The residual structure of a normal response; where there is none, rows are
        independent given the family's parameters.
    row_data : mapping of str to ndarray, shape (n,), optional
        What family and structure want to know of each row; by default the design's.

    Returns
    -------
    pymc.Model
        With the variables ``beta``, ``sd_<g>``, ``corr_<g>``, ``b_<g>`` and the
        family's parameters, on the scale that the formula writes; y, X, Z and
        the level of each row are ``pm.Data``. A parameter with a predictor of its
        own has these with its name in front, ``zi_beta``.
    """
    import pymc as pm

    coords: dict[str, Any] = {names.obs_dim: design.row_positions}
    for parameter, predictor in design.predictors.items():
        coords |= _coordinates(predictor, names.of(parameter))
    for name, labels in names.parameter_labels.items():
        coords[names.parameter_dim(name)] = list(labels)
    coords |= {dim: list(labels) for dim, labels in names.residual_coords.items()}
    if names.counted:
        coords[CATEGORY] = list(names.counted)

    with pm.Model(coords=coords) as model:
        etas, betas = {}, {}
        for parameter, predictor in design.predictors.items():
            etas[parameter], betas[parameter] = _linear_predictor(
                predictor, priors.predictors[parameter], names.of(parameter), parametrization
            )
            for group in predictor.borrowed:  # of an earlier predictor
                here, there = names.of(parameter), names.of(group.owner)
                effect = there.effect_dim(group.name)
                Z = pm.Data(here.Z(group.name), group.Z, dims=(names.obs_dim, effect))
                index = pm.Data(here.index(group.name), group.index, dims=names.obs_dim)
                b = model[there.b(group.name)]
                etas[parameter] = etas[parameter] + (Z * b[index]).sum(axis=1)
        parameters = {
            name: _thresholds(
                name,
                entry,
                design.mu,
                betas["mu"],
                names,
                ordered=family.parameters[name].support == "ordered",
            )
            if name in names.parameter_labels
            else _variable(name, entry.prior)
            for name, entry in priors.family.items()
        }
        eta = etas.pop("mu")
        parameters |= {
            name: family.parameter_link(name).inverse(tensor_functions(), own)
            for name, own in etas.items()
        }
        # PyMC wants whole numbers for a discrete distribution to be of an integer type.
        data = y.astype(np.int64) if family.discrete else y
        dims: Any = names.observed_dims if names.counted else names.obs_dim
        observed = pm.Data(f"{names.observed}_data", data, dims=dims)
        rows = {
            name: pm.Data(name, values, dims=names.obs_dim)
            for name, values in (design.row_data if row_data is None else row_data).items()
        }
        if residual is not None:
            own = {name: entry.prior for name, entry in priors.residual.items()}
            parameters |= residual.pymc_parameters(own)
        if residual is None:
            family.pymc_likelihood(names.observed, eta, parameters, observed, dims, rows)
        else:
            residual.pymc_likelihood(
                names.observed, family, eta, parameters, observed, names.obs_dim, rows
            )
    return model


def _coordinates(predictor: LinearPredictor, names: PredictorNames) -> dict[str, Any]:
    """Labels along the dimensions of one predictor's variables."""
    coords: dict[str, Any] = {}
    if predictor.fixed_effects:
        coords[names.fixed_effect] = list(predictor.fixed_effects)
    if predictor.has_intercept and len(predictor.fixed_effects) > 1:
        coords[names.fixed_slope] = [predictor.fixed_effects[j] for j in predictor.slopes]
    for group in predictor.groups:
        coords[names.level_dim(group.name)] = list(group.levels.labels)
        coords[names.effect_dim(group.name)] = list(group.effects)
        covariance = covariance_of(group)
        if covariance.tied:
            coords[names.sd_dim(group)] = list(covariance.sd_labels)
        if covariance.has_correlations:
            coords[names.effect_dim_bis(group.name)] = list(group.effects)
    return coords


def _linear_predictor(
    predictor: LinearPredictor,
    priors: PredictorPriors,
    names: PredictorNames,
    parametrization: Parametrization,
) -> tuple[Any, Any | None]:
    """Return eta, shape (n,), and its fixed effects, if it has some."""
    import pymc as pm

    eta: Any = np.zeros(predictor.n_obs)
    beta = None
    if predictor.fixed_effects:
        X = pm.Data(names.own("X"), predictor.X, dims=(names.obs_dim, names.fixed_effect))
        beta = _beta(predictor, priors, names)
        eta = X @ beta
    if predictor.offset is not None:
        eta = eta + pm.Data(names.own("offset"), predictor.offset, dims=names.obs_dim)
    for group in predictor.groups:
        eta = eta + _group_part(group, priors, names, parametrization)
    return eta, beta


def _beta(predictor: LinearPredictor, priors: PredictorPriors, names: PredictorNames) -> Any:
    """Coefficients, with the intercept where its prior is stated."""
    import pymc as pm
    import pytensor.tensor as pt

    at = list(predictor.slopes)
    slopes = [predictor.fixed_effects[j] for j in at]
    beta_name, dim = names.beta, names.fixed_effect
    if priors.intercept is None:
        return _vector(beta_name, priors.coefficients, slopes, dim)
    part = "intercept_at_means" if priors.intercept_is_centered else "intercept"
    intercept = _variable(names.own(part), priors.intercept.prior)
    if not slopes:
        return pm.Deterministic(beta_name, pt.atleast_1d(intercept), dims=dim)
    coefficients = _vector(
        names.own("coefficients"), priors.coefficients, slopes, names.fixed_slope
    )
    if priors.intercept_is_centered:
        intercept = intercept - pt.dot(predictor.means[at], coefficients)
    where = predictor.fixed_effects.index("Intercept")
    beta = pt.zeros(len(predictor.fixed_effects))
    beta = beta[np.asarray(at)].set(coefficients)[where].set(intercept)
    return pm.Deterministic(beta_name, beta, dims=dim)


def _group_part(
    group: GroupingFactor,
    priors: PredictorPriors,
    names: PredictorNames,
    parametrization: Parametrization,
) -> Any:
    """Contribution of one grouping factor to the linear predictor, shape (n,)."""
    import pymc as pm

    g, covariance = group.name, covariance_of(group)
    level, effect = names.level_dim(g), names.effect_dim(g)
    sd = _vector(names.sd(g), priors.sd[g], covariance.sd_labels, names.sd_dim(group))
    if covariance.tied:
        sd = sd[covariance.sd_of_effect]
    L = _root_of_correlation(group, covariance, priors, names)
    if group.between is not None:
        b = _related_effects(group, sd, L, names, parametrization)
    elif group.is_student:
        b = _student_effects(group, sd, L, priors, names, parametrization)
    elif parametrization == "centered":
        if L is None:
            b = pm.Normal(names.b(g), 0.0, sd, dims=(level, effect))
        else:
            b = pm.MvNormal(names.b(g), np.zeros(group.n_effects), chol=sd[:, None] * L,
                            dims=(level, effect))  # fmt: skip
    else:
        z = pm.Normal(names.own(f"z_{g}"), 0.0, 1.0, dims=(level, effect))
        b = pm.Deterministic(
            names.b(g), z * sd if L is None else z @ (sd[:, None] * L).T, dims=(level, effect)
        )
    index = pm.Data(names.index(g), group.index, dims=names.obs_dim)
    if group.effects == ("Intercept",):
        return b[index, 0]
    Z = pm.Data(names.Z(g), group.Z, dims=(names.obs_dim, effect))
    if group.is_smooth or group.is_membership:
        return Z @ b[0]
    return (Z * b[index]).sum(axis=1)


def _related_effects(
    group: GroupingFactor, sd: Any, L: Any | None, names: PredictorNames,
    parametrization: Parametrization,
) -> Any:  # fmt: skip
    """Effects of levels with a known covariance between them: matrix normal."""
    import pymc as pm
    import pytensor.tensor as pt

    between, g = group.between, group.name
    assert between is not None  # noqa: S101
    level, effect = names.level_dim(g), names.effect_dim(g)
    within = pt.diag(sd) if L is None else sd[:, None] * L
    if parametrization == "centered":
        if group.n_effects == 1:
            b = pm.MvNormal(
                names.own(f"b_{g}_column"), np.zeros(group.n_levels),
                chol=sd[0] * between.root, dims=level,
            )  # fmt: skip
            return pm.Deterministic(names.b(g), b[:, None], dims=(level, effect))
        return pm.MatrixNormal(
            names.b(g), np.zeros((group.n_levels, group.n_effects)), rowchol=between.root,
            colchol=within, dims=(level, effect),
        )  # fmt: skip
    root = pm.Data(names.own(f"root_{g}"), between.root)
    z = pm.Normal(names.own(f"z_{g}"), 0.0, 1.0, dims=(level, effect))
    return pm.Deterministic(names.b(g), root @ z @ within.T, dims=(level, effect))


def _student_effects(
    group: GroupingFactor, sd: Any, L: Any | None, priors: PredictorPriors,
    names: PredictorNames, parametrization: Parametrization,
) -> Any:  # fmt: skip
    """Multivariate t effects: normal ones, divided by the root of a gamma variable a level."""
    import pymc as pm
    import pytensor.tensor as pt

    g = group.name
    level, effect = names.level_dim(g), names.effect_dim(g)
    df = _variable(names.parameter("df", g), priors.structure[g]["df"].prior)
    root = pt.diag(sd) if L is None else sd[:, None] * L
    if parametrization == "centered":
        if group.n_effects == 1:
            return pm.StudentT(names.b(g), nu=df, mu=0.0, sigma=sd, dims=(level, effect))
        mean = np.zeros(group.n_effects)
        return pm.MvStudentT(names.b(g), nu=df, mu=mean, chol=root, dims=(level, effect))
    z = pm.Normal(names.own(f"z_{g}"), 0.0, 1.0, dims=(level, effect))
    w = pm.Gamma(names.own(f"w_{g}"), df / 2, df / 2, dims=level)
    b = (z @ root.T) / pt.sqrt(w)[:, None]
    return pm.Deterministic(names.b(g), b, dims=(level, effect))


def _root_of_correlation(
    group: GroupingFactor,
    covariance: GroupCovariance,
    priors: PredictorPriors,
    names: PredictorNames,
) -> Any | None:
    """Root of R over all effects, block by block; None for the identity."""
    import pymc as pm
    import pytensor.tensor as pt

    g, parts = group.name, covariance.with_coordinates
    if not parts:
        return None
    whole = len(parts) == 1 and parts[0].covariance.size == group.n_effects
    L: Any = pt.eye(group.n_effects)
    for number, part in enumerate(parts):
        variables = {p.name: names.parameter(own, g) for own, p in part.named_parameters().items()}
        alone = len(covariance.free) == 1
        variables["partial_corr"] = names.own(
            f"partial_corr_{g}" if alone else f"partial_corr_{g}_{number}"
        )
        root = part.covariance.pymc_root(variables, priors.of_part(g, part))
        L = root if whole else L[part.effects, part.effects].set(root)
    if covariance.has_correlations:
        dims = (names.effect_dim(g), names.effect_dim_bis(g))
        pm.Deterministic(names.corr(g), L @ L.T, dims=dims)
    return L


def _thresholds(
    name: str, entry: PriorInForce, mu: LinearPredictor, beta: Any | None, names: Names, *,
    ordered: bool,
) -> Any:  # fmt: skip
    """Thresholds, in rising order or in none, with one prior for each.

    The default prior holds at the predictors' means, as the intercept's does: a
    threshold there is tau_k - mean(x)'beta.
    """
    import pymc as pm
    import pytensor.tensor as pt
    from pymc.distributions.transforms import ordered as in_order

    k = len(names.parameter_labels[name])
    start = np.linspace(-1.0, 1.0, k) if k > 1 else np.zeros(1)
    centered = entry.origin == "default" and beta is not None
    raw = getattr(pm, entry.prior.distribution)(
        f"{name}_at_means" if centered else f"{name}_unordered" if ordered else f"{name}_as_given",
        **entry.prior.parameters,
        shape=k,
        **({"transform": in_order} if ordered else {}),
        initval=start,
    )
    # Sorting leaves what NUTS sees as it is, and orders independent draws from the prior.
    vector = pt.sort(raw) if ordered else raw
    if centered:
        vector = vector + pt.dot(mu.means, beta)
    return pm.Deterministic(name, vector, dims=names.parameter_dim(name))


def _variable(name: str, prior: Prior) -> Any:
    import pymc as pm

    return getattr(pm, prior.distribution)(name, **prior.parameters)


def _vector(name: str, entries: Sequence[PriorInForce], labels: Sequence[str], dim: str) -> Any:
    """Parameters in one vector: one variable where their priors are of one kind."""
    import pymc as pm
    import pytensor.tensor as pt

    priors = [entry.prior for entry in entries]
    kinds = {(prior.distribution, tuple(prior.parameters)) for prior in priors}
    if len(kinds) == 1:
        distribution = getattr(pm, priors[0].distribution)
        parameters = {key: _stacked(priors, key) for key in priors[0].parameters}
        return distribution(name, **parameters, dims=dim)
    parts = [
        _variable(f"{name}[{label}]", prior) for label, prior in zip(labels, priors, strict=True)
    ]
    return pm.Deterministic(name, pt.stack(parts), dims=dim)


def _stacked(priors: Sequence[Prior], key: str) -> float | np.ndarray:
    values = [prior.parameters[key] for prior in priors]
    return values[0] if len(set(values)) == 1 else np.asarray(values, dtype=np.float64)
