"""Response distributions and links."""

from __future__ import annotations

from bayesmix.arguments import nearest
from bayesmix.errors import NotSupportedError
from bayesmix.families.base import Family
from bayesmix.families.counts import NegativeBinomial, Poisson
from bayesmix.families.gaussian import Gaussian, GaussianKnownSE
from bayesmix.families.inflated import (
    HurdleGamma,
    HurdleNegativeBinomial,
    HurdlePoisson,
    ZeroInflatedBinomial,
    ZeroInflatedNegativeBinomial,
    ZeroInflatedPoisson,
)
from bayesmix.families.ordinal import Cumulative
from bayesmix.families.positive import Exponential, Gamma, InverseGaussian, Weibull
from bayesmix.families.proportions import Bernoulli, Beta, BetaBinomial, Binomial
from bayesmix.families.real import Laplace, LogNormal, StudentT
from bayesmix.families.scale import ResponseScale

__all__ = [
    "FAMILIES",
    "Bernoulli",
    "Beta",
    "BetaBinomial",
    "Binomial",
    "Cumulative",
    "Exponential",
    "Family",
    "Gamma",
    "Gaussian",
    "GaussianKnownSE",
    "HurdleGamma",
    "HurdleNegativeBinomial",
    "HurdlePoisson",
    "InverseGaussian",
    "Laplace",
    "LogNormal",
    "NegativeBinomial",
    "Poisson",
    "ResponseScale",
    "StudentT",
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
        Bernoulli,
        Binomial,
        BetaBinomial,
        Poisson,
        NegativeBinomial,
        Gamma,
        InverseGaussian,
        Exponential,
        Weibull,
        Beta,
        Cumulative,
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
    "logistic": "bernoulli",
    "wald": "inverse_gaussian",
    "ordinal": "cumulative",
    "ordered": "cumulative",
    "zip": "zero_inflated_poisson",
    "zinb": "zero_inflated_negative_binomial",
    "zib": "zero_inflated_binomial",
    "zero_inflated_negbinomial": "zero_inflated_negative_binomial",
    "hurdle_negbinomial": "hurdle_negative_binomial",
}


def get_family(family: str | Family | type[Family]) -> Family:
    """Find a family by name.

    Parameters
    ----------
    family : str or Family
        ``"gaussian"``, or a family object, which is returned as it is.

    Returns
    -------
    Family

    Raises
    ------
    NotSupportedError
        If there is no family of that name.
    """
    if isinstance(family, Family):
        return family
    if isinstance(family, type) and issubclass(family, Family):
        return family()
    name = str(family).lower().replace(" ", "_").replace("-", "_")
    name = _OTHER_NAMES.get(name, name)
    if name not in FAMILIES:
        near = [known for known in FAMILIES if known.startswith(f"{name}_")]
        near = near or nearest(name, FAMILIES)
        advice = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise NotSupportedError(
            f"there is no family {family!r}; {advice}known: {', '.join(FAMILIES)}"
        )
    return FAMILIES[name]()
