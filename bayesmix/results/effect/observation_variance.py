"""The variance of one observation on the scale of the linear predictor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from scipy import special

from bayesmix.errors import NotSupportedError
from bayesmix.families import Family
from bayesmix.residual import Residual

__all__ = ["Approximation", "observation_variance"]

Approximation = Literal["lognormal", "delta", "trigamma"]

_HALVINGS = 80  # of an interval of the mean's logit or logarithm


def observation_variance(
    family: Family,
    parameters: Mapping[str, np.ndarray],
    rows: Mapping[str, np.ndarray],
    y: np.ndarray,
    approximation: Approximation = "lognormal",
    residual: Residual | None = None,
) -> np.ndarray:
    """Residual variance on the scale of the linear predictor, for every family.

    - On an identity link (and for the log-normal family on the log scale) it is the
      residual variance itself; where standard errors are known, their mean square.
    - For binary, binomial and ordinal responses it is the variance of the latent
      variable: pi^2 / 3 (logit), 1 (probit), pi^2 / 6 (cloglog).
    - For every other family it is the observation-level variance, at the mean lambda of
      the response: v = Var(y) / (d mean / d eta)^2 by the delta method. Under a log link
      "lognormal" takes ln(1 + v) and "trigamma" psi_1(1 / v). So a Poisson has
      ln(1 + 1 / lambda), 1 / lambda or psi_1(lambda); a negative binomial
      ln(1 + 1 / lambda + 1 / alpha); a gamma ln(1 + 1 / alpha); under the sqrt link a
      Poisson has 1 / 4.

    Parameters
    ----------
    family : Family
    parameters : mapping of str to ndarray, shape (S,) or (S, k)
        Draws or values of the family's parameters.
    rows : mapping of str to ndarray, shape (n,)
        What is given per row: trials, known standard errors.
    y : ndarray, shape (n,)
        The response: lambda is its mean (successes by trials where there are trials). A
        model without predictors estimates the same, to which the R package performance
        refits: exp(intercept + sum of variances / 2) under the log link.
    approximation : {"lognormal", "delta", "trigamma"}
    residual : Residual, optional
        The residual structure of a normal response.

    Returns
    -------
    ndarray, shape (S,) or ()

    Raises
    ------
    NotSupportedError
        For angles, and for ordered categories without a latent variable.

    References
    ----------
    Nakagawa, S., Johnson, P. C. D. and Schielzeth, H. (2017). The coefficient of
    determination R2 and intra-class correlation coefficient from generalized linear
    mixed-effects models revisited and expanded. Journal of the Royal Society Interface
    14, 20170213 (table 1 and appendix S1).
    """
    if family.is_circular:
        raise NotSupportedError(
            f"the {family.name} family has angles, whose variance has no parts that add up: R2 and "
            "icc() are not defined for it; variance_components() has the standard deviations"
        )
    own = family.residual_variance(parameters)
    if residual is not None and family.is_linear_normal:
        own = residual.mean_variance(parameters, rows)
    if own is not None:
        return np.asarray(own, dtype=np.float64)
    if family.replaces_intercept:
        raise NotSupportedError(
            f"the {family.name} family has no single latent variable with a variance: R2 and icc() "
            "are not defined for it; the cumulative family has one"
        )
    columns = {name: np.asarray(values)[:, None] for name, values in parameters.items()}
    n_draws = max((len(values) for values in columns.values()), default=1)
    trials, share = _trials(rows)
    given = _given(rows, trials)
    level = float(y.sum() / rows["trials"].sum()) if "trials" in rows else float(y.mean())
    one = _given(rows, np.ones(1))
    with np.errstate(all="ignore"):
        eta = _predictor_of_mean(family, columns, one, level, n_draws)
        step = 1e-6 * (1.0 + np.abs(eta))
        up, down = (family.mean(eta + h, columns, given) for h in (step, -step))
        v = np.asarray(family.variance(eta, columns, given)) / ((up - down) / (2 * step)) ** 2
        is_log = family.link_functions.is_log
        if is_log and approximation == "lognormal":
            v = np.log1p(v)
        elif is_log and approximation == "trigamma":
            v = special.polygamma(1, 1 / v)
    found: np.ndarray = np.broadcast_to(v, (n_draws, len(share))) @ share
    return found


def _trials(rows: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of trials that occur, and the share of rows that have each."""
    if "trials" not in rows:
        return np.ones(1), np.ones(1)
    values, counts = np.unique(rows["trials"][rows["trials"] > 0], return_counts=True)
    return values, counts / counts.sum()


def _given(rows: Mapping[str, np.ndarray], trials: np.ndarray) -> dict[str, Any]:
    given: dict[str, Any] = {"trials": trials} if "trials" in rows else {}
    if "known_se" in rows:
        given["known_se"] = np.sqrt(np.mean(np.square(rows["known_se"]), keepdims=True))
    return given


def _predictor_of_mean(
    family: Family, columns: Mapping[str, np.ndarray], rows: Mapping[str, Any], level: float,
    n_draws: int,
) -> np.ndarray:  # fmt: skip
    """Return the linear predictor at which the mean response is `level`, shape (S, 1)."""
    if family.mean_is_linear and family.has_constant_variance:
        return np.full((n_draws, 1), level)  # the variance is the same everywhere
    unit = family.mean_is_fraction
    inside = special.expit if unit else np.exp
    end = 30.0 if unit else 100.0
    low, high = np.full((n_draws, 1), -end), np.full((n_draws, 1), end)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        mean = family.mean(family.link_function(inside(middle)), columns, rows)
        below = mean < level
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return family.link_function(inside((low + high) / 2))
