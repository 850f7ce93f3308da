"""What is known of the distributions that priors are named after."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.arguments import did_you_mean
from bayesmix.errors import PriorError

__all__ = [
    "check_parameters",
    "check_pymc_distribution",
    "check_sizes",
    "in_order",
    "is_improper",
    "is_known",
    "lower_bound",
    "pymc_distribution",
    "standard_parameters",
    "upper_bound",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Parameters and support of a distribution.

    Attributes
    ----------
    positive : tuple of str
        Parameters that must be above zero.
    real : tuple of str
        Parameters that may be any finite number.
    required : tuple of str
        Parameters that must be given.
    ways : tuple of tuple of str
        Parametrisations: of the parameters named here those of one of them, and
        no others, must be given. PyMC would overlook the others.
    lower, upper : float
        Ends of the support.
    """

    positive: tuple[str, ...] = ()
    real: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    ways: tuple[tuple[str, ...], ...] = ()
    lower: float = -math.inf
    upper: float = math.inf


_SIGMA_OR_TAU = (("sigma",), ("tau",), ())
_SIGMA_OR_LAM = (("sigma",), ("lam",), ())
_KNOWN: dict[str, Distribution] = {
    "Flat": Distribution(),
    "HalfFlat": Distribution(lower=0),
    "Normal": Distribution(real=("mu",), positive=("sigma", "tau"), ways=_SIGMA_OR_TAU),
    "StudentT": Distribution(
        real=("mu",), positive=("nu", "sigma", "lam"), required=("nu",), ways=_SIGMA_OR_LAM
    ),
    "Cauchy": Distribution(real=("alpha",), positive=("beta",), required=("alpha", "beta")),
    "Laplace": Distribution(real=("mu",), positive=("b",), required=("mu", "b")),
    "Logistic": Distribution(real=("mu",), positive=("s",)),
    "HalfNormal": Distribution(positive=("sigma", "tau"), ways=_SIGMA_OR_TAU, lower=0),
    "HalfCauchy": Distribution(positive=("beta",), required=("beta",), lower=0),
    "HalfStudentT": Distribution(
        positive=("nu", "sigma", "lam"), required=("nu",), ways=_SIGMA_OR_LAM, lower=0
    ),
    "Exponential": Distribution(positive=("lam", "scale"), ways=(("lam",), ("scale",)), lower=0),
    "Gamma": Distribution(
        positive=("alpha", "beta", "mu", "sigma"), ways=(("alpha", "beta"), ("mu", "sigma")),
        lower=0,
    ),
    "InverseGamma": Distribution(
        positive=("alpha", "beta", "mu", "sigma"),
        ways=(("alpha", "beta"), ("mu", "sigma"), ("alpha",)),
        lower=0,
    ),
    "LogNormal": Distribution(
        real=("mu",), positive=("sigma", "tau"), ways=_SIGMA_OR_TAU, lower=0
    ),
    "Weibull": Distribution(positive=("alpha", "beta"), required=("alpha", "beta"), lower=0),
    "Uniform": Distribution(real=("lower", "upper")),
    "Beta": Distribution(
        positive=("alpha", "beta", "mu", "sigma", "nu"),
        ways=(("alpha", "beta"), ("mu", "sigma"), ("mu", "nu")),
        lower=0,
        upper=1,
    ),
    "LKJ": Distribution(positive=("eta",), required=("eta",)),
}  # fmt: skip

# Their squares are numbers still, and so is what a density makes of them.
_LEAST, _MOST = 1e-100, 1e100


# What Stan, brms, R and scipy call them; without capitals and marks between words.
_ELSEWHERE = {
    "halft": "HalfStudentT",
    "halfstudent": "HalfStudentT",
    "t": "StudentT",
    "student": "StudentT",
    "norm": "Normal",
    "gauss": "Normal",
    "gaussian": "Normal",
    "stdnormal": "Normal",
    "halfgaussian": "HalfNormal",
    "exp": "Exponential",
    "expon": "Exponential",
    "doubleexponential": "Laplace",
    "doubleexp": "Laplace",
    "unif": "Uniform",
    "invgamma": "InverseGamma",
    "lnorm": "LogNormal",
    "improper": "Flat",
    "lkjcorr": "LKJ",
    "lkjcorrcholesky": "LKJ",
    "lkjcholesky": "LKJ",
}


def _called_here(name: str) -> str:
    """PyMC's name of a distribution that others write differently; empty if there is none."""
    plain = re.sub(r"[\W_]+", "", name.partition("(")[0]).lower()
    same = {known.lower(): known for known in _KNOWN}
    meant = same.get(plain) or _ELSEWHERE.get(plain, "")
    return "" if meant == name else meant


def in_order(name: str) -> tuple[str, ...]:
    """Return the parameters that a distribution is mostly written with, in PyMC's order.

    Parameters
    ----------
    name : str
        A distribution; for one that only PyMC knows nothing is returned.
    """
    known = _KNOWN.get(name, Distribution())
    unusual = {key for way in known.ways[1:] for key in way} - set(*known.ways[:1])
    every = (*known.real, *known.positive)
    first = ("nu",) if "nu" in known.required else ()
    return (*first, *(key for key in every if key not in unusual and key not in first))


def is_known(name: str) -> bool:
    """Whether the distribution can be checked without PyMC."""
    return name in _KNOWN


def is_improper(name: str) -> bool:
    """Whether the distribution has no finite integral, so that nothing is drawn from it."""
    return name in {"Flat", "HalfFlat"}


def lower_bound(name: str, parameters: Mapping[str, float]) -> float:
    """Lower end of the support of a distribution.

    Parameters
    ----------
    name : str
    parameters : mapping of str to float

    Returns
    -------
    float
        Exact for the distributions known here; for others 0 where PyMC's log
        density is minus infinity at negative points, else minus infinity.
    """
    if name == "Uniform":
        return float(parameters.get("lower", 0.0))
    if name in _KNOWN:
        return _KNOWN[name].lower
    return 0.0 if _vanishes(name, parameters, -np.logspace(-8, 8, 33)) else -math.inf


def upper_bound(name: str, parameters: Mapping[str, float]) -> float:
    """Upper end of the support of a distribution.

    Parameters
    ----------
    name : str
    parameters : mapping of str to float

    Returns
    -------
    float
        Exact for the distributions known here; for others 1 where PyMC's log density
        is minus infinity above 1, else infinity.
    """
    if name == "Uniform":
        return float(parameters.get("upper", 1.0))
    if name in _KNOWN:
        return _KNOWN[name].upper
    return 1.0 if _vanishes(name, parameters, 1 + np.logspace(-8, 8, 33)) else math.inf


def _vanishes(name: str, parameters: Mapping[str, float], points: np.ndarray) -> bool:
    """Whether PyMC's density is zero at all points."""
    import pymc as pm

    density = pm.logp(pymc_distribution(name, parameters), points).eval(mode="FAST_COMPILE")
    return bool(np.all(np.isneginf(density)))


def check_parameters(name: str, parameters: Mapping[str, float]) -> None:
    """Check the parameters of a known distribution.

    Raises
    ------
    PriorError
        For an unknown or absent parameter, parameters of two parametrisations, or
        a value out of its range.
    """
    distribution = _KNOWN[name]
    known = (*distribution.real, *distribution.positive)
    for key, value in parameters.items():
        if key not in known:
            raise PriorError(
                f"{name} has no parameter {key!r}; it has {', '.join(known) or 'none'}"
            )
        if not math.isfinite(value):
            raise PriorError(f"{key}={value} in {name}: the value must be finite")
        if key in distribution.positive and value <= 0:
            raise PriorError(f"{key}={value} in {name}: the value must be above zero")
    absent = [key for key in distribution.required if key not in parameters]
    if absent:
        raise PriorError(f"{name} needs {absent[0]}")
    _check_ways(name, distribution.ways, parameters)
    if name == "Uniform" and parameters.get("lower", 0.0) >= parameters.get("upper", 1.0):
        raise PriorError(f"Uniform needs lower < upper, not {dict(parameters)}")
    if name == "Beta" and "mu" in parameters:
        _check_beta_mean(parameters)


def _check_ways(
    name: str, ways: tuple[tuple[str, ...], ...], parameters: Mapping[str, float]
) -> None:
    choices = {key for way in ways for key in way}
    given = [key for key in parameters if key in choices]
    if not ways or any(set(way) == set(given) for way in ways):
        return
    verb = "takes" if () in ways else "needs"
    either = " or " if all(len(way) < 2 for way in ways) else ", or "
    wanted = either.join(" and ".join(way) for way in ways if way)
    raise PriorError(f"{name} {verb} {wanted}" + (f", not {' and '.join(given)}" if given else ""))


def _check_beta_mean(parameters: Mapping[str, float]) -> None:
    mean, sd = parameters["mu"], parameters.get("sigma", 0.0)
    if mean >= 1:
        raise PriorError(f"mu={mean} in Beta: the mean must lie between 0 and 1")
    most = math.sqrt(mean * (1 - mean))
    if sd >= most:
        raise PriorError(
            f"sigma={sd} in Beta: with the mean {mean} the value must be below {most:.4g}"
        )


def check_sizes(name: str, parameters: Mapping[str, float]) -> None:
    """Refuse numbers that a density cannot be computed with.

    A user's priors are checked when a model is built; the default ones follow
    columns of any size, and are checked by what computes with them.

    Raises
    ------
    PriorError
    """
    distribution = _KNOWN.get(name)
    if distribution is None:
        return
    shown = f"{name}({', '.join(f'{key}={value:.4g}' for key, value in parameters.items())})"
    for make in (dict, lambda given: standard_parameters(name, given)):
        for key, value in make(parameters).items():
            least = -_MOST if key in distribution.real else _LEAST
            if not least <= value <= _MOST:
                stands = "" if parameters.get(key) == value else f" ({key}={value:.4g})"
                raise PriorError(
                    f"the numbers of {shown}{stands} must lie between {_LEAST:.0e} and "
                    f"{_MOST:.0e} in size; rescale the data, so that they are nearer to 1"
                )


def standard_parameters(name: str, parameters: Mapping[str, float]) -> dict[str, float]:
    """Return the parameters under the first of a distribution's parametrisations.

    Parameters
    ----------
    name : str
        One of those known here.
    parameters : mapping of str to float
        Checked ones.

    Returns
    -------
    dict of str to float
        Every parameter that the density has, those that were not given at PyMC's
        defaults, always in the same order: sigma for tau and lam, lam for an
        exponential's scale, alpha and beta for a mean and a standard deviation.
    """
    p = parameters
    match name:
        case "Normal" | "LogNormal":
            return {"mu": float(p.get("mu", 0.0)), "sigma": _sigma(p)}
        case "HalfNormal":
            return {"sigma": _sigma(p)}
        case "StudentT":
            return {"nu": float(p["nu"]), "mu": float(p.get("mu", 0.0)), "sigma": _sigma(p)}
        case "HalfStudentT":
            return {"nu": float(p["nu"]), "sigma": _sigma(p)}
        case "Exponential":
            return {"lam": float(p["lam"] if "lam" in p else 1 / p["scale"])}
        case "Logistic":
            return {"mu": float(p.get("mu", 0.0)), "s": float(p.get("s", 1.0))}
        case "Uniform":
            return {"lower": float(p.get("lower", 0.0)), "upper": float(p.get("upper", 1.0))}
        case "Gamma" | "InverseGamma" | "Beta" if "mu" in p:
            alpha, beta = _from_moments(name, p)
            return {"alpha": alpha, "beta": beta}
        case "InverseGamma":
            return {"alpha": float(p["alpha"]), "beta": float(p.get("beta", 1.0))}
    known = _KNOWN[name]
    return {key: float(p[key]) for key in (*known.real, *known.positive) if key in p}


def _sigma(p: Mapping[str, float]) -> float:
    """Scale, given as such, as a precision (tau, lam), or 1."""
    precision = p.get("tau", p.get("lam"))
    return float(p.get("sigma", 1.0) if precision is None else precision**-0.5)


def _from_moments(name: str, p: Mapping[str, float]) -> tuple[float, float]:
    """Both shape parameters from the mean and the standard deviation, as PyMC has them."""
    mean = float(p["mu"])
    if name == "Beta":
        size = float(p["nu"]) if "nu" in p else mean * (1 - mean) / p["sigma"] ** 2 - 1
        return mean * size, (1 - mean) * size
    variance = float(p["sigma"]) ** 2
    if name == "Gamma":
        return mean**2 / variance, mean / variance
    return (2 * variance + mean**2) / variance, mean * (mean**2 + variance) / variance


def check_pymc_distribution(name: str, parameters: Mapping[str, float]) -> None:
    """Check a distribution that only PyMC knows.

    Raises
    ------
    PriorError
        If PyMC has no such continuous, scalar distribution, or refuses the
        parameters.
    """
    meant = _called_here(name)
    if meant:
        parameters_go = ", ".join(f"{key}=..." for key in in_order(meant))
        raise PriorError(
            f"there is no distribution {name!r}; PyMC calls it {meant}: "
            f'Prior("{meant}"{parameters_go and ", "}{parameters_go})'
        )
    import pymc as pm

    found: Any = getattr(pm, name, None)
    # ChiSquared and a few others are factories, not subclasses of Distribution.
    if name not in pm.distributions.__all__ or not hasattr(found, "dist"):
        known = sorted({*_KNOWN, *pm.distributions.__all__})
        advice = did_you_mean(name, known, quote="", n=3).strip() or "see pymc.distributions"
        raise PriorError(f"PyMC has no distribution {name!r}; {advice}")
    # PyMC passes on what it does not know, so a misspelt name would go unnoticed.
    signature = inspect.signature(found.dist).parameters.values()
    names = [p.name for p in signature if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}]
    unknown = [key for key in parameters if names and key not in names]
    if unknown:
        raise PriorError(f"{name} has no parameter {unknown[0]!r}; it has {', '.join(names)}")
    variable = pymc_distribution(name, parameters)
    if variable.ndim != 0 or variable.dtype.startswith(("int", "uint", "bool")):
        raise PriorError(f"{name} is not a distribution of one continuous number")
    try:
        pm.logp(variable, 0.5).eval(mode="FAST_COMPILE")
    except NotImplementedError as error:
        raise PriorError(f"PyMC has no density for {name}") from error
    except Exception as error:
        raise PriorError(f"PyMC refuses {name}({dict(parameters)}): {error}") from error


def pymc_distribution(name: str, parameters: Mapping[str, float]) -> Any:
    """Return the PyMC distribution, outside any model.

    Raises
    ------
    PriorError
        If PyMC refuses the parameters.
    """
    import pymc as pm

    try:
        return getattr(pm, name).dist(**parameters)
    except Exception as error:
        raise PriorError(f"PyMC refuses {name}({dict(parameters)}): {error}") from error
