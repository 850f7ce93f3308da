"""`Prior`: a distribution by name with numbers for its parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from bayesmix.errors import PriorError
from bayesmix.priors.distributions import (
    check_parameters,
    check_pymc_distribution,
    in_order,
    is_known,
)

__all__ = ["Prior"]


_WRITTEN = re.compile(r"\s*(?P<name>\w+)\s*(?:\((?P<inside>[^()]*)\))?\s*")


class Prior:
    """A prior distribution: a name from PyMC and numbers for its parameters.

    Parameters
    ----------
    distribution : str
        Name of a PyMC distribution, ``"Normal"`` or ``"HalfCauchy"``;
        ``"LKJ"`` for a correlation matrix.
    **parameters : float
        Its parameters, under PyMC's names.

    Raises
    ------
    PriorError
        If there is no such distribution, it has no such parameter, or a value is
        not a finite number in the parameter's range.

    Examples
    --------
    >>> Prior("HalfCauchy", beta=10)
    Prior("HalfCauchy", beta=10)
    """

    __slots__ = ("distribution", "parameters")

    distribution: str
    parameters: Mapping[str, float]

    def __init__(self, distribution: str, *unnamed: float, **parameters: float) -> None:
        if not isinstance(distribution, str):
            raise PriorError(
                f'a prior starts with the name of a distribution, as in Prior("Normal", mu=0, '
                f"sigma=1), not with {type(distribution).__name__}"
            )
        if unnamed:
            raise PriorError(
                f"{distribution} was given {', '.join(map(repr, unnamed))}: parameters go by name, "
                'as in Prior("Normal", mu=0, sigma=1)'
            )
        name = {"LKJCorr": "LKJ", "Lognormal": "LogNormal"}.get(distribution, distribution)
        values = {key: _number(name, key, value) for key, value in parameters.items()}
        if is_known(name):
            check_parameters(name, values)
        else:
            check_pymc_distribution(name, values)
        object.__setattr__(self, "distribution", name)
        object.__setattr__(self, "parameters", MappingProxyType(values))

    @classmethod
    def from_text(cls, text: str) -> Prior:
        """Read a prior as it is printed, or with numbers in PyMC's order.

        Parameters
        ----------
        text : str
            Such as ``"HalfNormal(1)"``, ``"Normal(mu=0, sigma=2)"`` or ``"Flat"``.

        Returns
        -------
        Prior

        Raises
        ------
        PriorError
            If it is no such text, or there is no such prior.

        Examples
        --------
        >>> Prior.from_text("StudentT(3, 0, 2.5)")
        Prior("StudentT", nu=3.0, mu=0.0, sigma=2.5)
        """
        found = _WRITTEN.fullmatch(text)
        if found is None:
            raise PriorError(f'{text!r} is no prior: write it as "HalfNormal(1)" or "Normal(0, 2)"')
        name, order = found["name"], in_order(found["name"])
        if not is_known(name):
            check_pymc_distribution(name, {})
        values: dict[str, float] = {}
        inside = (found["inside"] or "").strip()
        for k, part in enumerate(inside.split(",") if inside else []):
            key, _, number = part.rpartition("=")
            if not key and k >= len(order):
                raise PriorError(f"{text!r}: write the parameters of {name} with their names")
            try:
                values[key.strip() or order[k]] = float(number)
            except ValueError:
                raise PriorError(f"{text!r}: {number.strip()!r} is not a number") from None
        return cls(name, **values)

    @classmethod
    def from_any(cls, prior: Any, name: str) -> Prior:
        """Take a Prior of this package or of pymc_extras.

        Parameters
        ----------
        prior : Prior or pymc_extras.prior.Prior
        name : str
            What it is given for, for the message.

        Returns
        -------
        Prior

        Raises
        ------
        PriorError
            If it is neither, or has parts that a prior here cannot have.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> bmx.Prior.from_any(bmx.Prior("Normal", mu=0, sigma=1), "x")
        Prior("Normal", mu=0, sigma=1)
        """
        if isinstance(prior, cls):
            return prior
        if not (hasattr(prior, "distribution") and hasattr(prior, "parameters")):
            raise PriorError(
                f"the prior of {name!r} is {prior!r}; write "
                'bmx.Prior("Normal", mu=0, sigma=1), with the distribution of your choice'
            )
        if getattr(prior, "transform", None) is not None or getattr(prior, "dims", None):
            raise PriorError(
                f"the prior of {name!r} has dims or a transform; give a plain distribution"
            )
        return cls(str(prior.distribution), **dict(prior.parameters))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a Prior does not change; make a new one")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Prior)
            and self.distribution == other.distribution
            and dict(self.parameters) == dict(other.parameters)
        )

    def __hash__(self) -> int:
        return hash((self.distribution, tuple(sorted(self.parameters.items()))))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.distribution, dict(self.parameters))

    def __repr__(self) -> str:
        inside = [f'"{self.distribution}"']
        inside += [f"{key}={value!r}" for key, value in self.parameters.items()]
        return f"Prior({', '.join(inside)})"

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={value:.4g}" for key, value in self.parameters.items())
        return f"{self.distribution}({inside})"


def _rebuild(distribution: str, parameters: dict[str, float]) -> Prior:
    return Prior(distribution, **parameters)


def _number(distribution: str, key: str, value: Any) -> float:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise PriorError(
            f"{key}={value!r} in {distribution}: the parameters of a prior are numbers"
        )
    number: float = value.item() if isinstance(value, np.number) else value
    try:
        float(number)
    except OverflowError:
        raise PriorError(f"{key} in {distribution}: the value must be finite") from None
    if math.isnan(number):
        raise PriorError(f"{key}=nan in {distribution} is not a number")
    return number
