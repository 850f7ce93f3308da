"""Estimates from a result of statsmodels, known by what it has and not by its class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from bayesmix.errors import NotSupportedError
from bayesmix.results.beside.estimates import Estimates, frame
from bayesmix.results.beside.matching import GroupNames, TermNames

__all__ = ["is_fitted_result", "result_estimates"]


def is_fitted_result(fit: Any) -> bool:
    """Whether an object looks like a result of statsmodels."""
    return all(hasattr(fit, name) for name in ("params", "bse", "conf_int", "model"))


def result_estimates(fit: Any, ci_prob: float, terms: TermNames, groups: GroupNames) -> Estimates:
    """Collect the estimates of a regression or of a MixedLM.

    Parameters
    ----------
    fit : results object
        With params, bse, conf_int and model; a mixed model also with fe_params,
        cov_re and random_effects.
    ci_prob : float
    terms : TermNames
    groups : GroupNames

    Returns
    -------
    Estimates

    Raises
    ------
    NotSupportedError
        If there is more than one column of coefficients.
    """
    name = type(fit.model).__name__
    n_obs = getattr(fit, "nobs", None)
    mixed = hasattr(fit, "fe_params") and hasattr(fit, "random_effects")
    if np.ndim(fit.params) != 1:
        raise NotSupportedError(
            f"a result of {name} has {np.ndim(fit.params)}-dimensional coefficients; "
            "compare_estimates takes one equation at a time"
        )
    limits = np.asarray(fit.conf_int(alpha=1 - ci_prob), dtype=float)
    names = _names(fit)
    if mixed:
        k = len(fit.fe_params)
        names, limits = names[:k], limits[:k]
        estimate, sd = np.asarray(fit.fe_params), np.asarray(fit.bse_fe)
        components, correlations, effects = _mixed(fit, ci_prob, groups)
    else:
        estimate, sd = np.asarray(fit.params), np.asarray(fit.bse)
        components, correlations, effects = [], [], []
        if hasattr(fit, "mse_resid"):  # least squares
            s = float(np.sqrt(fit.scale))
            components = [("Residual", "", s**2, s, np.nan, np.nan)]
    rows = zip([terms.name(n) for n in names], estimate, sd, *limits.T, strict=True)
    return Estimates(
        name=name,
        n_obs=None if n_obs is None else int(n_obs),
        fixed_effects=frame("fixed_effects", list(rows)),
        variance_components=frame("variance_components", components),
        correlations=frame("correlations", correlations),
        covariance_parameters=frame("covariance_parameters", []),
        group_effects=frame("group_effects", effects),
    )


def _names(fit: Any) -> list[str]:
    if isinstance(fit.params, pd.Series):
        return [str(name) for name in fit.params.index]
    names = list(getattr(fit.model, "exog_names", None) or [])
    names += [f"parameter {k + 1}" for k in range(len(names), len(fit.params))]
    return [str(name) for name in names[: len(fit.params)]]


def _mixed(
    fit: Any, ci_prob: float, groups: GroupNames
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    levels = [_level(level) for level in fit.random_effects]
    group = groups.by_levels(levels) or "Group"
    cov = pd.DataFrame(fit.cov_re)
    raw = [str(name) for name in cov.columns]
    constant = _constant_columns(fit, len(raw))
    effects = [
        "Intercept" if constant[k] or name in {"Group", group} else groups.effect(group, name)
        for k, name in enumerate(raw)
    ]
    C, sd = cov.to_numpy(dtype=float), np.sqrt(np.diag(cov.to_numpy(dtype=float)))
    components: list[tuple[Any, ...]] = [
        (group, effect, s**2, s, np.nan, np.nan) for effect, s in zip(effects, sd, strict=True)
    ]
    variances = np.atleast_1d(getattr(fit, "vcomp", []))
    of = getattr(getattr(fit.model, "exog_vc", None), "names", range(len(variances)))
    components += [
        (group, f"vc {name}", float(v), float(np.sqrt(v)), np.nan, np.nan)
        for name, v in zip(of, variances, strict=False)
    ]
    s = float(np.sqrt(fit.scale))
    components.append(("Residual", "", s**2, s, np.nan, np.nan))
    correlations = []
    for k in range(len(effects)):
        for m in range(k + 1, len(effects)):
            scale = sd[k] * sd[m]
            pair = sorted((effects[k], effects[m]), key=lambda e: groups.order(group, e))
            rho = C[k, m] / scale if scale > 0 else np.nan
            correlations.append((group, *pair, rho, np.nan, np.nan))
    return (
        components,
        correlations,
        _modes(fit, ci_prob, group, dict(zip(raw, effects, strict=True))),
    )


def _modes(fit: Any, ci_prob: float, group: str, effects: dict[str, str]) -> list[tuple[Any, ...]]:
    """The conditional modes, with their errors given the fixed effects where there are any."""
    z = special.ndtri((1 + ci_prob) / 2)
    try:
        errors = {level: np.asarray(cov) for level, cov in fit.random_effects_cov.items()}
    except (AttributeError, ValueError, np.linalg.LinAlgError):
        errors = {}
    rows: list[tuple[Any, ...]] = []
    for level, found in fit.random_effects.items():
        modes = pd.Series(found)
        variance = np.full(len(modes), np.nan)
        if level in errors and errors[level].shape == (len(modes), len(modes)):
            variance = np.diag(errors[level])
        for (name, mode), v in zip(modes.items(), variance, strict=True):
            sd = float(np.sqrt(max(v, 0.0))) if np.isfinite(v) else np.nan
            effect = effects.get(str(name), str(name))
            rows.append((group, _level(level), effect, mode, sd, mode - z * sd, mode + z * sd))
    return rows


def _constant_columns(fit: Any, n: int) -> list[bool]:
    Z = getattr(fit.model, "exog_re", None)
    if Z is None or np.ndim(Z) != 2 or np.shape(Z)[1] != n:
        return [False] * n
    return [bool(np.all(np.asarray(Z)[:, k] == 1.0)) for k in range(n)]


def _level(value: Any) -> str:
    whole = isinstance(value, float | np.floating) and value == np.floor(value)
    return str(int(value)) if whole else str(value)
