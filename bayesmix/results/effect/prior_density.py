"""Density of the prior of a combination of parameters at a point, for Savage and Dickey's ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.covariance import covariance_of
from bayesmix.priors.density import lkj_correlation, prior_distribution
from bayesmix.priors.prior import Prior
from bayesmix.results.effect.expressions import Expression

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["density_at_zero", "draws_density"]

_DRAWS = 200_000
_AT_MEANS = "Intercept at the predictors' means"


class NoDensityError(Exception):
    """Why a prior density is not to be had, in words."""


def density_at_zero(model: StatedModel, difference: Expression) -> tuple[float, str]:
    """Density of the prior of an expression at zero.

    Exact for linear combinations of coefficients with normal priors and for a linear
    function of one parameter; otherwise from draws of the priors.

    Parameters
    ----------
    model : Model
    difference : Expression

    Returns
    -------
    density : float
        NaN where there is none.
    reason : str
        Why there is none; or how it was found, where it is not exact.
    """
    try:
        return _density(model, difference)
    except NoDensityError as reason:
        return np.nan, str(reason)


def _density(model: StatedModel, difference: Expression) -> tuple[float, str]:
    linear = difference.linear()
    if linear is not None:
        constant, weights = linear
        weights = {n: w for n, w in _independent(model, weights).items() if w != 0}
        if not weights:
            raise NoDensityError("both sides are always the same, or never")
        if all(_is_normal(model, name) for name in weights):
            found = {name: _distribution(model, name) for name in weights}
            mean = constant + sum(w * found[n].mean() for n, w in weights.items())
            variance = sum(w**2 * found[n].var() for n, w in weights.items())
            from scipy import stats

            return float(stats.norm(mean, np.sqrt(variance)).pdf(0.0)), ""
        if len(weights) == 1:
            name, weight = next(iter(weights.items()))
            point = -constant / weight
            density = float(_distribution(model, name).pdf(point)) / abs(weight)
            _check_inside(_draws(model, {name})[name] - point)
            return density, ""
    values = _coefficients(model, _draws(model, _needed(model, difference.names)))
    draws = difference.value(values)
    if not np.isfinite(draws).mean() > 0.999:
        raise NoDensityError("the expression has no value at part of the prior's draws")
    draws = draws[np.isfinite(draws)]
    _check_inside(draws)
    return draws_density(draws), "the prior density is from draws of the priors"


def draws_density(draws: np.ndarray) -> float:
    """Density of draws at zero, by a normal kernel.

    The draws are shrunk towards their mean so that the smoothed distribution keeps
    their variance (West 1993), which is exact where they are normal.

    Parameters
    ----------
    draws : ndarray, shape (S,)

    References
    ----------
    West, M. (1993). Approximating posterior distributions by mixtures. Journal of the
    Royal Statistical Society B 55, 409-422.
    """
    sd = float(draws.std(ddof=1))
    low, high = np.quantile(draws, [0.25, 0.75])
    robust = float(high - low) / 1.349
    scale = min(sd, robust) if robust > 0 else sd
    if not scale > 0:
        return np.inf if float(draws.mean()) == 0 else 0.0
    width = len(draws) ** -0.2
    # Heavy tails have no variance to keep; their middle stays where it is.
    normal = sd < 1.5 * robust
    center = float(draws.mean())
    shrunk = center + np.sqrt(1 - width**2) * (draws - center) if normal else draws
    h = width * scale * (1.0 if normal else 0.5)
    from scipy import stats

    return float(stats.norm.pdf(shrunk / h).mean() / h)


def _check_inside(draws: np.ndarray) -> None:
    """Refuse a point that the prior has on its edge or beyond it."""
    if (draws >= 0).all() or (draws <= 0).all():
        raise NoDensityError(
            "under the prior all values lie on one side: the point is at the edge of what is "
            "possible or beyond it; compare models with and without the effect instead, by loo()"
        )


def _independent(model: StatedModel, weights: Mapping[str, float]) -> dict[str, float]:
    """Weights of parameters that are independent under the prior."""
    out = dict(weights)
    priors, design = model.prior_entries, model.design
    if priors.intercept is not None and priors.intercept_is_centered:
        weight = out.pop("beta(Intercept)", 0.0)
        if weight:
            out[_AT_MEANS] = weight
            means = design.mu.means
            for j, name in enumerate(design.mu.fixed_effects):
                if name != "Intercept":
                    key = f"beta({name})"
                    out[key] = out.get(key, 0.0) - weight * float(means[j])
    return out


def _needed(model: StatedModel, names: tuple[str, ...]) -> set[str]:
    needed = set(_independent(model, dict.fromkeys(names, 1.0)))
    return needed | {name for name in names if _AT_MEANS not in needed or name != "beta(Intercept)"}


def _coefficients(model: StatedModel, draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add the intercept as the formula writes it."""
    if _AT_MEANS not in draws:
        return draws
    mu = model.design.mu
    intercept, means = draws[_AT_MEANS].copy(), mu.means
    for j, name in enumerate(mu.fixed_effects):
        if name != "Intercept":
            intercept -= float(means[j]) * draws[f"beta({name})"]
    return {**draws, "beta(Intercept)": intercept}


def _draws(model: StatedModel, names: set[str]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(20130701)
    pairs = [name for name in names if name.startswith("corr(")]
    if len(pairs) > 1:
        raise NoDensityError("correlations are not independent under the prior")
    return {name: _distribution(model, name).rvs(_DRAWS, rng) for name in sorted(names)}


def _distribution(model: StatedModel, name: str) -> Any:
    if not name.startswith("corr("):
        prior = _prior(model, name)
        distribution = prior_distribution(prior)
        if distribution is None:
            raise NoDensityError(f"the density of {prior} is not known here")
        return distribution
    for group in model.design.mu.groups:
        for part in covariance_of(group).free:
            effects = group.effects[part.effects]
            pairs = {f"corr({group.name}, {a}, {b})" for a in effects for b in effects}
            if name in pairs:
                eta = model.prior_entries.corr[group.name].prior.parameters["eta"]
                return lkj_correlation(eta, part.size)
    raise NoDensityError(f"{name} is not estimated")


def _is_normal(model: StatedModel, name: str) -> bool:
    return not name.startswith("corr(") and _prior(model, name).distribution == "Normal"


def _prior(model: StatedModel, name: str) -> Prior:
    priors, design = model.prior_entries, model.design
    entries = {f"beta({e.parameter})": e for e in priors.coefficients}
    if priors.intercept is not None:
        key = _AT_MEANS if priors.intercept_is_centered else "beta(Intercept)"
        entries[key] = priors.intercept
    for group in design.mu.groups:
        names = covariance_of(group).sd_names(group.name)
        entries |= dict(zip(names, priors.sd[group.name], strict=True))
        entries |= {e.parameter: e for e in priors.structure.get(group.name, {}).values()}
    entries |= {k: e for k, e in priors.family.items() if k not in model.family.vector_parameters}
    if name not in entries:
        raise NoDensityError(f"the prior density of {name} is not known")
    prior = entries[name].prior
    if prior.distribution in {"Flat", "HalfFlat"}:
        raise NoDensityError(
            f"the prior of {name} is flat and has no density; give it a proper one"
        )
    return prior
