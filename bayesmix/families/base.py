"""What a response distribution must know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayesmix.errors import NotSupportedError
from bayesmix.formula import Formula

__all__ = ["Family", "PriorSpec", "ResponseScale"]

# A distribution's name and parameters, before it becomes a Prior.
PriorSpec = tuple[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseScale:
    """Where the response lies on the scale of the linear predictor.

    Attributes
    ----------
    center : float
        Centre of the default prior of the intercept.
    sd : float
        The unit of the default priors: s_y in the design.
    rms : float
        Root mean square, the unit where there is no intercept.
    """

    center: float
    sd: float
    rms: float


@dataclass(frozen=True, slots=True)
class Family(ABC):
    """A response distribution with a link.

    Parameters
    ----------
    link : str
        Name of the link function; the first of `links` by default.
    """

    name: ClassVar[str]
    links: ClassVar[tuple[str, ...]]
    parameters: ClassVar[tuple[str, ...]] = ()
    residual_is_estimated: ClassVar[bool] = False

    link: str = ""

    def __post_init__(self) -> None:
        if not self.link:
            object.__setattr__(self, "link", self.links[0])
        if self.link not in self.links:
            raise NotSupportedError(
                f"the {self.name} family has no link {self.link!r}; "
                f"there is {', '.join(repr(link) for link in self.links)}"
            )

    @abstractmethod
    def response_values(self, response: Any, formula: Formula) -> np.ndarray:
        """Turn the left-hand side into numbers, or say what is wrong with it.

        Parameters
        ----------
        response : ndarray or Series, shape (n,)
        formula : Formula
            For the message.

        Returns
        -------
        ndarray of float, shape (n,)

        Raises
        ------
        FormulaError
            If the response is of the wrong kind.
        DataError
            If a value is not possible under this family.
        """

    @abstractmethod
    def response_scale(self, y: np.ndarray, offset: np.ndarray | None) -> ResponseScale:
        """Return the scale that the default priors take their units from."""

    @abstractmethod
    def default_priors(self, scale: ResponseScale) -> Mapping[str, PriorSpec]:
        """Return the default prior of each of the family's own parameters."""

    @abstractmethod
    def pymc_likelihood(
        self,
        name: str,
        eta: Any,
        parameters: Mapping[str, Any],
        observed: Any,
        dims: str,
        rows: Mapping[str, Any],
    ) -> Any:
        """Add the observed variable to the PyMC model on the context stack.

        `rows` holds what is given per row: "weights" and "known_se", if any.
        """

    @abstractmethod
    def residual_variance(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return the residual variance on the scale of the linear predictor.

        Parameters
        ----------
        parameters : mapping of str to ndarray
            Draws or values of the family's parameters, of any one shape.

        Returns
        -------
        ndarray or None
            Of that shape; None where the family has no such variance.
        """

    @abstractmethod
    def latex(self) -> str:
        """Return the distribution of one observation, in LaTeX."""

    def __str__(self) -> str:
        return f"{self.name} ({self.link} link)"
