"""Marginal prior densities beside the posterior's draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import integrate, special

from bayesmix.covariance import covariance_of
from bayesmix.laws.draws import DrawsLaw
from bayesmix.laws.values import estimated_pairs
from bayesmix.priors.density import lkj_correlation, prior_log_density
from bayesmix.priors.distributions import is_improper, lower_bound, upper_bound
from bayesmix.results.tabular.named import coefficient_label

if TYPE_CHECKING:
    from bayesmix.priors import Prior
    from bayesmix.statement.stated import StatedModel

__all__ = ["PriorCurve", "prior_curves"]

_GRID = 241
_AT_MEANS = " at the predictors' means"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorCurve:
    """One parameter: its posterior draws and the density of its prior.

    Attributes
    ----------
    name : str
    prior : str
        In words.
    draws : ndarray, shape (S,)
    lower, upper : float
        Ends of the prior's support.
    grid : ndarray, shape (m,)
        Where the picture looks.
    density : ndarray, shape (m,), or None
        Density of the prior on the grid; None for a flat one.
    """

    name: str
    prior: str
    draws: np.ndarray
    lower: float
    upper: float
    grid: np.ndarray
    density: np.ndarray | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marginal:
    prior: str
    lower: float
    upper: float
    density: Callable[[np.ndarray], np.ndarray] | None


def prior_curves(law: DrawsLaw, chosen: Mapping[str, np.ndarray]) -> list[PriorCurve]:
    """Set posterior draws beside the densities of their priors.

    Parameters
    ----------
    law : DrawsLaw
    chosen : mapping of str to ndarray, shape (chains, draws)
        As `chosen_parameters` names them.

    Returns
    -------
    list of PriorCurve
    """
    marginals = _marginals(law.model)
    shifted = _at_means(law)
    curves = []
    for name, values in chosen.items():
        found = marginals.get(name)
        if found is None:  # its prior is that of others, of which it follows
            continue
        own = shifted.get(name, values).ravel()
        grid = _grid(own, found)
        density = None if found.density is None else found.density(grid)
        curves.append(
            PriorCurve(
                name=name + (_AT_MEANS if name in shifted else ""),
                prior=found.prior,
                draws=own,
                lower=found.lower,
                upper=found.upper,
                grid=grid,
                density=density,
            )
        )
    return curves


def _grid(draws: np.ndarray, marginal: _Marginal) -> np.ndarray:
    """The posterior's range, and as much again on either side, within the support."""
    low, first, middle, third, high = np.quantile(draws, [0.001, 0.25, 0.5, 0.75, 0.999])
    reach = 5 * (third - first)  # of a normal all but 1e-11: a heavy tail must not set the scale
    low, high = max(low, middle - reach), min(high, middle + reach)
    width = float(high - low) or abs(float(high)) or 1.0
    low = max(float(low) - width, marginal.lower)
    return np.linspace(low, min(float(high) + width, marginal.upper), _GRID)


def _marginals(model: StatedModel) -> dict[str, _Marginal]:
    design, priors = model.design, model.prior_entries
    found: dict[str, _Marginal] = {}

    own = priors.intercept
    if own is not None:
        found[coefficient_label(model, "Intercept")] = _of_number(own.prior)
    slopes = [name for name in design.mu.fixed_effects if own is None or name != "Intercept"]
    for name, entry in zip(slopes, priors.coefficients, strict=True):
        found[coefficient_label(model, name)] = _of_number(entry.prior)
    for group in design.mu.groups:
        g, effects = group.name, group.effects
        covariance = covariance_of(group)
        for name, entry in zip(covariance.sd_names(g), priors.sd[g], strict=True):
            found[name] = _of_number(entry.prior)
        for name, entry in priors.structure.get(g, {}).items():
            found[f"{name}({g})"] = _of_number(entry.prior)
        for k, m in estimated_pairs(group):
            size = next(p.size for p in covariance.free if p.start <= k < p.stop)
            prior = priors.corr[g].prior
            found[f"corr({g}, {effects[k]}, {effects[m]})"] = _of_correlation(prior, size)
    labels = model.family.parameter_labels(design.response)
    for name, entry in priors.family.items():
        if name in labels:
            n = len(labels[name])
            found |= {
                f"{name}[{text}]": _in_order(entry.prior, k, n)
                for k, text in enumerate(labels[name])
            }
        else:
            found[name] = _of_number(entry.prior)
    found |= {
        n: _of_number(e.prior) for n, e in priors.residual.items() if e.prior.distribution != "LKJ"
    }
    return found


def _at_means(law: DrawsLaw) -> dict[str, np.ndarray]:
    """Draws of what has its prior at the predictors' means, there."""
    model = law.model
    design, priors = model.design, model.prior_entries
    means = design.mu.means
    moves = np.asarray([name != "Intercept" or priors.intercept is None
                        for name in design.mu.fixed_effects], dtype=bool)  # fmt: skip
    if not moves.any():
        return {}
    shift = law.beta[:, :, moves] @ means[moves]
    found = {}
    if priors.intercept is not None and priors.intercept_is_centered:
        name = coefficient_label(model, "Intercept")
        found[name] = law.beta[:, :, design.mu.fixed_effects.index("Intercept")] + shift
    labels = model.family.parameter_labels(design.response)
    for name, texts in labels.items():
        if priors.family[name].origin == "default":
            values = law.parameters[name] - shift[..., None]
            found |= {f"{name}[{text}]": values[..., k] for k, text in enumerate(texts)}
    return found


def _of_number(prior: Prior) -> _Marginal:
    name, parameters = prior.distribution, prior.parameters
    return _Marginal(
        prior=str(prior),
        lower=lower_bound(name, parameters),
        upper=upper_bound(name, parameters),
        density=None if is_improper(name) else lambda x: np.exp(prior_log_density(prior, x)),
    )


def _of_correlation(prior: Prior, size: int) -> _Marginal:
    density = lkj_correlation(prior.parameters["eta"], size).pdf
    return _Marginal(prior=str(prior), lower=-1.0, upper=1.0, density=density)


def _in_order(prior: Prior, k: int, n: int) -> _Marginal:
    """The k-th smallest (from 0) of n independent draws: the marginal of ordered numbers."""
    plain = _of_number(prior)
    if plain.density is None or n == 1:
        return plain
    single = plain.density
    log_count = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k)

    def density(x: np.ndarray) -> np.ndarray:
        first = integrate.quad(lambda t: float(single(np.asarray(t))), plain.lower, x[0])[0]
        f = single(x)
        below = first + integrate.cumulative_simpson(f, x=x, initial=0.0)
        below = np.clip(below, 0.0, 1.0)
        found: np.ndarray = np.exp(log_count) * f * below**k * (1 - below) ** (n - 1 - k)
        return found

    return _Marginal(
        prior=f"{prior}, in order", lower=plain.lower, upper=plain.upper, density=density
    )
