"""Link functions: from the linear predictor eta to the mean mu, and back.

For a mean between 0 and 1 the inverse link is a cumulative distribution function F, and what a
likelihood needs are log F and log(1 - F), each accurate where the other is nearly zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from bayesmix.families.functions import Functions

__all__ = ["LINKS", "UNIT_LINKS", "Link", "UnitLink"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link function.

    Attributes
    ----------
    name : str
    inverse : callable
        mu of (functions, eta).
    forward : callable
        eta of an array mu.
    log_inverse : callable
        log mu of (functions, eta).
    latex : str
        mu as a function of eta_i, in LaTeX.
    ratio : str
        What exp(coefficient) is, in words; empty where it is nothing.
    is_identity, is_log : bool
        Whether mu is eta, or exp(eta).
    is_even : bool
        Whether eta and -eta have the same mean, which turns at 0.
    has_pole : bool
        Whether the mean is infinite at 0, and has no expectation over a normal eta.
    """

    name: str
    inverse: Callable[[Functions, Any], Any]
    forward: Callable[[np.ndarray], np.ndarray]
    log_inverse: Callable[[Functions, Any], Any]
    latex: str
    ratio: str = ""
    is_identity: bool = False
    is_log: bool = False
    is_even: bool = False
    has_pole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitLink(Link):
    """A link whose inverse is a distribution function F.

    Attributes
    ----------
    log_complement : callable
        log(1 - F) of (functions, eta); `log_inverse` is log F.
    latent_variance : float or None
        Variance of the distribution with the distribution function F: the residual
        variance on the scale of the linear predictor. None where there is none.
    """

    log_complement: Callable[[Functions, Any], Any]
    latent_variance: float | None


def _cloglog_log_f(f: Functions, eta: Any) -> Any:
    # Beyond 7 F is 1 to the last bit, and exp(eta) must not overflow.
    return f.log1mexp(-f.exp(f.minimum(eta, 7.0)))


def _cauchy(f: Functions, eta: Any) -> Any:
    # atan2 keeps both tails, where 1/2 + atan(eta) / pi loses the left one.
    return f.arctan2(1.0, -eta) / np.pi


def _cauchit(mu: np.ndarray) -> np.ndarray:
    return np.asarray(-1.0 / np.tan(np.pi * np.asarray(mu)))


LINKS: dict[str, Link] = {
    link.name: link
    for link in (
        Link(
            name="identity",
            inverse=lambda _, eta: eta,
            forward=np.asarray,
            log_inverse=lambda f, eta: f.log(eta),
            latex=r"\eta_i",
            is_identity=True,
        ),
        Link(
            name="log",
            inverse=lambda f, eta: f.exp(eta),
            forward=np.log,
            log_inverse=lambda _, eta: eta,
            latex=r"e^{\eta_i}",
            ratio="ratios of means",
            is_log=True,
        ),
        Link(
            name="sqrt",
            inverse=lambda _, eta: eta**2,
            forward=np.sqrt,
            log_inverse=lambda f, eta: 2 * f.log(f.abs(eta)),
            latex=r"\eta_i^2",
            is_even=True,
        ),
        Link(
            name="tan_half",
            inverse=lambda f, eta: 2.0 * f.arctan2(eta, 1.0),
            forward=lambda mu: np.tan(0.5 * np.asarray(mu)),
            log_inverse=lambda f, eta: f.log(2.0 * f.arctan2(eta, 1.0)),
            latex=r"2 \arctan(\eta_i)",
        ),
        Link(
            name="inverse",
            inverse=lambda _, eta: 1 / eta,
            forward=np.reciprocal,
            log_inverse=lambda f, eta: -f.log(eta),
            latex=r"1 / \eta_i",
            has_pole=True,
        ),
    )
}

UNIT_LINKS: dict[str, UnitLink] = {
    link.name: link
    for link in (
        UnitLink(
            name="logit",
            inverse=lambda f, eta: f.exp(f.log_expit(eta)),
            forward=special.logit,
            log_inverse=lambda f, eta: f.log_expit(eta),
            log_complement=lambda f, eta: f.log_expit(-eta),
            latent_variance=np.pi**2 / 3,
            latex=r"\operatorname{logit}^{-1}(\eta_i)",
            ratio="odds ratios",
        ),
        UnitLink(
            name="probit",
            inverse=lambda f, eta: f.exp(f.log_ndtr(eta)),
            forward=special.ndtri,
            log_inverse=lambda f, eta: f.log_ndtr(eta),
            log_complement=lambda f, eta: f.log_ndtr(-eta),
            latent_variance=1.0,
            latex=r"\Phi(\eta_i)",
        ),
        UnitLink(
            name="cloglog",
            inverse=lambda f, eta: -f.expm1(-f.exp(eta)),
            forward=lambda mu: np.log(-np.log1p(-np.asarray(mu))),
            log_inverse=_cloglog_log_f,
            log_complement=lambda f, eta: -f.exp(eta),
            latent_variance=np.pi**2 / 6,
            latex=r"1 - e^{-e^{\eta_i}}",
            ratio="hazard ratios",
        ),
        UnitLink(
            name="cauchit",
            inverse=_cauchy,
            forward=_cauchit,
            log_inverse=lambda f, eta: f.log(_cauchy(f, eta)),
            log_complement=lambda f, eta: f.log(_cauchy(f, -eta)),
            latent_variance=None,
            latex=r"\tfrac12 + \arctan(\eta_i) / \pi",
        ),
    )
}
LINKS |= UNIT_LINKS
