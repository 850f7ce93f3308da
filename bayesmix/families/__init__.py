"""Response distributions and links."""

from __future__ import annotations

import re
from typing import Any

from bayesmix.arguments import nearest
from bayesmix.errors import ArgumentError
from bayesmix.families.angles import VonMises
from bayesmix.families.base import Family
from bayesmix.families.counts import (
    GeneralizedPoisson,
    NegativeBinomial,
    NegativeBinomial1,
    Poisson,
)
from bayesmix.families.gaussian import Gaussian, GaussianKnownSE
from bayesmix.families.inflated import (
    HurdleGamma,
    HurdleNegativeBinomial,
    HurdlePoisson,
    ZeroInflatedBinomial,
    ZeroInflatedNegativeBinomial,
    ZeroInflatedPoisson,
)
from bayesmix.families.multinomial import Multinomial
from bayesmix.families.nominal import Categorical
from bayesmix.families.ordbeta import OrderedBeta
from bayesmix.families.ordinal import (
    AdjacentCategories,
    ContinuationRatio,
    Cumulative,
    StoppingRatio,
)
from bayesmix.families.positive import Exponential, Gamma, InverseGaussian, Weibull
from bayesmix.families.proportions import Bernoulli, Beta, BetaBinomial, Binomial
from bayesmix.families.real import Laplace, LogNormal, SkewNormal, StudentT
from bayesmix.families.scale import ResponseScale
from bayesmix.families.tweedie import Tweedie

__all__ = [
    "FAMILIES",
    "AdjacentCategories",
    "Bernoulli",
    "Beta",
    "BetaBinomial",
    "Binomial",
    "Categorical",
    "ContinuationRatio",
    "Cumulative",
    "Exponential",
    "Family",
    "Gamma",
    "Gaussian",
    "GaussianKnownSE",
    "GeneralizedPoisson",
    "HurdleGamma",
    "HurdleNegativeBinomial",
    "HurdlePoisson",
    "InverseGaussian",
    "Laplace",
    "LogNormal",
    "Multinomial",
    "NegativeBinomial",
    "NegativeBinomial1",
    "OrderedBeta",
    "Poisson",
    "ResponseScale",
    "SkewNormal",
    "StoppingRatio",
    "StudentT",
    "Tweedie",
    "VonMises",
    "Weibull",
    "ZeroInflatedBinomial",
    "ZeroInflatedNegativeBinomial",
    "ZeroInflatedPoisson",
    "get_family",
]

FAMILIES: dict[str, type[Family]] = {
    family.name: family
    for family in (
        Gaussian,
        StudentT,
        LogNormal,
        Laplace,
        SkewNormal,
        VonMises,
        Bernoulli,
        Binomial,
        BetaBinomial,
        Poisson,
        NegativeBinomial,
        NegativeBinomial1,
        GeneralizedPoisson,
        Gamma,
        InverseGaussian,
        Exponential,
        Weibull,
        Tweedie,
        Beta,
        OrderedBeta,
        Cumulative,
        StoppingRatio,
        ContinuationRatio,
        AdjacentCategories,
        Categorical,
        Multinomial,
        ZeroInflatedPoisson,
        ZeroInflatedNegativeBinomial,
        ZeroInflatedBinomial,
        HurdlePoisson,
        HurdleNegativeBinomial,
        HurdleGamma,
    )
}
_OTHER_NAMES = {
    "normal": "gaussian",
    "t": "student_t",
    "student": "student_t",
    "studentt": "student_t",
    "binary": "bernoulli",
    "nb": "negative_binomial",
    "negbin": "negative_binomial",
    "negbinomial": "negative_binomial",
    "negativebinomial": "negative_binomial",
    "nbinom": "negative_binomial",
    "nbinom2": "negative_binomial",
    "nb2": "negative_binomial",
    "nbinom1": "negative_binomial1",
    "nb1": "negative_binomial1",
    "negbinomial1": "negative_binomial1",
    "genpois": "generalized_poisson",
    "ordered_beta": "ordbeta",
    "skewnormal": "skew_normal",
    "vonmises": "von_mises",
    "betabinomial": "beta_binomial",
    "log_normal": "lognormal",
    "invgauss": "inverse_gaussian",
    "beta_family": "beta",
    "negbinomial2": "negative_binomial",
    "lognorm": "lognormal",
    "gamma_family": "gamma",
    "logistic": "bernoulli",
    "wald": "inverse_gaussian",
    "tw": "tweedie",
    "betar": "beta",
    "ocat": "cumulative",
    "polr": "cumulative",
    "clmm": "cumulative",
    "clm": "cumulative",
    "ziplss": "zero_inflated_poisson",
    "ordinal": "cumulative",
    "ordered": "cumulative",
    "stopping_ratio": "sratio",
    "sequential": "sratio",
    "nominal": "categorical",
    "multinomial_logit": "categorical",
    "multinom": "categorical",
    "continuation_ratio": "cratio",
    "adjacent_categories": "acat",
    "zip": "zero_inflated_poisson",
    "zinb": "zero_inflated_negative_binomial",
    "zib": "zero_inflated_binomial",
    "zero_inflated_negbinomial": "zero_inflated_negative_binomial",
    "hurdle_negbinomial": "hurdle_negative_binomial",
}


_TRUNCATED = "write truncated(y, 1) ~ ... with family={!r}"
_BY_LINK = "it is a link: family=bmx.families.Bernoulli(link={!r})"
_UNIT = "for fractions with zeros and ones take 'ordbeta'"
# Families of other packages that are none here, and what serves instead.
_INSTEAD = {
    "quasipoisson": "for overdispersed counts take 'negative_binomial'",
    "quasibinomial": "for overdispersed proportions take 'beta_binomial'",
    "quasi": "for overdispersion take 'negative_binomial' or 'beta_binomial'",
    "compois": "for overdispersed counts take 'negative_binomial'",
    "geometric": "take 'negative_binomial', which it is at alpha = 1",
    "ordered_logit": "take 'cumulative', whose link is the logit",
    "logit": _BY_LINK.format("logit"),
    "probit": _BY_LINK.format("probit"),
    "cloglog": _BY_LINK.format("cloglog"),
    "truncated_poisson": _TRUNCATED.format("poisson"),
    "truncated_nbinom2": _TRUNCATED.format("negative_binomial"),
    "zero_inflated_beta": _UNIT,
    "zero_one_inflated_beta": _UNIT,
}


_CALLED = re.compile(r"""(?P<name>[\w.]+)\((?:(?:link\s*=\s*)?["']?(?P<link>\w+)["']?)?\)""")


def get_family(family: str | Family | type[Family]) -> Family:
    """Find a family by name.

    Parameters
    ----------
    family : str or Family
        ``"gaussian"``, ``'binomial(link="probit")'``, or a family object, which is returned
        as it is.

    Returns
    -------
    Family

    Raises
    ------
    ArgumentError
        If there is no family of that name.
    """
    if isinstance(family, Family):
        return family
    if isinstance(family, type) and issubclass(family, Family):
        return family()
    called = _CALLED.fullmatch(str(family).strip())
    if called is not None:  # as R calls them: binomial(link = "probit")
        found = get_family(called["name"])
        return type(found)(link=called["link"]) if called["link"] else found
    name = re.sub(r"[ .-]", "_", str(family).lower())
    name = _OTHER_NAMES.get(name, name)
    if name not in FAMILIES:
        near = [known for known in FAMILIES if known.startswith(f"{name}_")]
        near = near or nearest(name, FAMILIES, cutoff=0.75)
        advice = f"known: {', '.join(FAMILIES)}"
        if name in _INSTEAD:
            advice = _INSTEAD[name]
        elif near:
            advice = f"did you mean {' or '.join(map(repr, near))}?"
        raise ArgumentError(f"there is no family {family!r}; {advice}")
    return FAMILIES[name]()


def __getattr__(name: str) -> Any:
    """Name the class that a word of R or another spelling stands for."""
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        ours = type(get_family(name)).__name__
    except ArgumentError as error:
        raise AttributeError(f"bayesmix.families has no {name!r}: {error}") from None
    raise AttributeError(f"bayesmix.families has no {name!r}; take bayesmix.families.{ours}")
