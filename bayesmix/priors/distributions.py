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
    "is_improper",
    "is_known",
    "lower_bound",
    "pymc_distribution",
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
    required : tuple of tuple of str
        Of each inner tuple one parameter must be given.
    lower, upper : float
        Ends of the support.
    """

    positive: tuple[str, ...] = ()
    real: tuple[str, ...] = ()
    required: tuple[tuple[str, ...], ...] = ()
    lower: float = -math.inf
    upper: float = math.inf


_KNOWN: dict[str, Distribution] = {
    "Flat": Distribution(),
    "HalfFlat": Distribution(lower=0),
    "Normal": Distribution(real=("mu",), positive=("sigma", "tau")),
    "StudentT": Distribution(real=("mu",), positive=("nu", "sigma", "lam"), required=(("nu",),)),
    "Cauchy": Distribution(real=("alpha",), positive=("beta",), required=(("alpha",), ("beta",))),
    "Laplace": Distribution(real=("mu",), positive=("b",), required=(("mu",), ("b",))),
    "Logistic": Distribution(real=("mu",), positive=("s",)),
    "HalfNormal": Distribution(positive=("sigma", "tau"), lower=0),
    "HalfCauchy": Distribution(positive=("beta",), required=(("beta",),), lower=0),
    "HalfStudentT": Distribution(positive=("nu", "sigma", "lam"), required=(("nu",),), lower=0),
    "Exponential": Distribution(positive=("lam", "scale"), required=(("lam", "scale"),), lower=0),
    "Gamma": Distribution(
        positive=("alpha", "beta", "mu", "sigma"),
        required=(("alpha", "mu"), ("beta", "sigma")),
        lower=0,
    ),
    "InverseGamma": Distribution(
        positive=("alpha", "beta", "mu", "sigma"), required=(("alpha", "mu"),), lower=0
    ),
    "LogNormal": Distribution(real=("mu",), positive=("sigma", "tau"), lower=0),
    "Weibull": Distribution(positive=("alpha", "beta"), required=(("alpha",), ("beta",)), lower=0),
    "Uniform": Distribution(real=("lower", "upper")),
    "Beta": Distribution(
        positive=("alpha", "beta", "mu", "sigma", "nu"),
        required=(("alpha", "mu"), ("beta", "sigma", "nu")),
        lower=0,
        upper=1,
    ),
    "LKJ": Distribution(positive=("eta",), required=(("eta",),)),
}


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


def _usual_parameters(name: str) -> tuple[str, ...]:
    """The parameters that a distribution is mostly written with."""
    known = _KNOWN[name]
    needed = tuple(choice[0] for choice in known.required)
    usual = {"StudentT": ("nu", "mu", "sigma"), "HalfStudentT": ("nu", "sigma")}
    usual |= {"InverseGamma": ("alpha", "beta")}
    every = [*known.real, *(key for key in known.positive if key not in {"tau", "lam"})]
    return usual.get(name) or needed or tuple(every)


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
        For an unknown or absent parameter, or a value out of its range.
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
    for choice in distribution.required:
        given = [key for key in choice if key in parameters]
        if len(given) != 1:
            wanted = " or ".join(choice)
            raise PriorError(f"{name} needs {wanted}" + (", not both" if given else ""))
    for pair in (("sigma", "tau"), ("sigma", "lam")):
        if set(pair) <= set(parameters):
            raise PriorError(f"{name} takes {pair[0]} or {pair[1]}, not both")
    if name == "Uniform" and parameters.get("lower", 0.0) >= parameters.get("upper", 1.0):
        raise PriorError(f"Uniform needs lower < upper, not {dict(parameters)}")


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
        parameters_go = ", ".join(f"{key}=..." for key in _usual_parameters(meant))
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
