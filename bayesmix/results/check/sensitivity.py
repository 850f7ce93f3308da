"""How much the posterior depends on the priors: power scaling, through ArviZ."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayesmix.covariance import covariance_of
from bayesmix.priors.density import lkj_log_density, prior_log_density
from bayesmix.results.tabular.tables import text_column

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.design import LinearPredictor
    from bayesmix.laws.values import Values
    from bayesmix.priors.model_priors import PredictorPriors
    from bayesmix.statement.names import PredictorNames
    from bayesmix.statement.stated import StatedModel

__all__ = ["log_prior_of", "power_scaling_table"]

CONFLICT = "potential prior-data conflict"
STRONG_PRIOR = "potential strong prior / weak likelihood"
NOTHING = "no sign of trouble"


def log_prior_of(model: StatedModel, values: Values) -> dict[str, np.ndarray]:
    """Log density of the priors at draws, by variable.

    In the parameters of the tables, without log Jacobians of any transformation:
    coefficients (with the intercept where its prior holds), standard deviations,
    correlation matrices (|R|^(eta - 1)), and the family's parameters. The normal
    distribution of the group effects is no prior but part of the model.

    Parameters
    ----------
    model : StatedModel
    values : Values
        Arrays of shape (...) and more.

    Returns
    -------
    dict of str to ndarray, shape (...)
    """
    priors, mu = model.prior_entries, model.design.mu
    found: dict[str, np.ndarray] = {}
    for parameter, own in {"mu": values, **values.others}.items():
        predictor, names = model.design.predictors[parameter], model.names.of(parameter)
        found |= _of_predictor(predictor, priors.predictors[parameter], names, own)
    for name, entry in priors.family.items():
        given = values.parameters[name]
        if name in model.family.vector_parameters:
            if entry.origin == "default" and mu.fixed_effects:  # at the predictors' means
                given = given - (values.beta @ mu.means)[..., None]
            found[name] = prior_log_density(entry.prior, given).sum(axis=-1)
        else:
            found[name] = prior_log_density(entry.prior, given)
    if model.residual is not None and priors.residual:
        densities = {
            name: functools.partial(lkj_log_density, entry.prior.parameters["eta"])
            if entry.prior.distribution == "LKJ"
            else functools.partial(prior_log_density, entry.prior)
            for name, entry in priors.residual.items()
        }
        found |= model.residual.log_prior(densities, values.parameters)
    return found


def _of_predictor(
    predictor: LinearPredictor, priors: PredictorPriors, names: PredictorNames, values: Values
) -> dict[str, np.ndarray]:
    sd, corr = values.sd, values.corr
    found: dict[str, np.ndarray] = {}
    if predictor.fixed_effects:
        found[names.beta] = _of_coefficients(predictor, priors, values.beta)
    for group in predictor.groups:
        g, covariance = group.name, covariance_of(group)
        of_sd = covariance.by_sd(sd[g])
        found[names.sd(g)] = np.sum(
            [prior_log_density(e.prior, of_sd[..., k]) for k, e in enumerate(priors.sd[g])], axis=0
        )
        if covariance.has_correlations:
            eta = priors.corr[g].prior.parameters["eta"]
            found[names.corr(g)] = np.sum(
                [
                    lkj_log_density(eta, corr[g][..., at, :][..., at])
                    for at in (part.effects for part in covariance.free)
                ],
                axis=0,
            )
        for name, entry in priors.structure.get(g, {}).items():
            found[names.parameter(name, g)] = prior_log_density(
                entry.prior, values.structure[g][name]
            )
    return found


def _of_coefficients(
    predictor: LinearPredictor, priors: PredictorPriors, beta: np.ndarray
) -> np.ndarray:
    names = list(predictor.fixed_effects)
    has_own = priors.intercept is not None
    slopes = [j for j, name in enumerate(names) if not (has_own and name == "Intercept")]
    total = np.zeros(beta.shape[:-1])
    for j, entry in zip(slopes, priors.coefficients, strict=True):
        total = total + prior_log_density(entry.prior, beta[..., j])
    if priors.intercept is not None:
        intercept = beta[..., names.index("Intercept")]
        if priors.intercept_is_centered:
            intercept = intercept + beta[..., slopes] @ predictor.means[slopes]
        total = total + prior_log_density(priors.intercept.prior, intercept)
    return np.asarray(total)


def power_scaling_table(
    values: Mapping[str, np.ndarray],
    log_prior: np.ndarray,
    log_likelihood: np.ndarray,
    threshold: float,
) -> pd.DataFrame:
    """Sensitivity of each parameter to powers of the prior and of the likelihood.

    Parameters
    ----------
    values : mapping of str to ndarray, shape (chains, draws)
        Draws by parameter.
    log_prior, log_likelihood : ndarray, shape (chains, draws)
    threshold : float
        From where on a sensitivity counts.

    Returns
    -------
    DataFrame
        parameter, prior, likelihood, diagnosis.
    """
    import arviz_base
    import arviz_stats

    tree: xr.DataTree = arviz_base.from_dict(
        {
            "posterior": {"parameter_values": np.stack(list(values.values()), axis=-1)},
            "log_prior": {"all": log_prior[..., None]},
            "log_likelihood": {"all": log_likelihood[..., None]},
        },
        dims={"parameter_values": ["parameter_number"]},
    )
    prior, likelihood = (
        arviz_stats.psense(tree, group=group)["parameter_values"].to_numpy()
        for group in ("prior", "likelihood")
    )
    strong, informed = prior >= threshold, likelihood >= threshold
    diagnosis = np.where(strong & informed, CONFLICT, np.where(strong, STRONG_PRIOR, NOTHING))
    return pd.DataFrame(
        {
            "parameter": text_column(list(values)),
            "prior": prior,
            "likelihood": likelihood,
            "diagnosis": text_column(diagnosis),
        }
    )
