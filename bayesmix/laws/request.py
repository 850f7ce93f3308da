"""What a prediction is asked to be, checked before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from bayesmix.arguments import check_probability, one_of
from bayesmix.errors import ArgumentError

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["Groups", "Kind", "PredictionRequest", "checked_parameter"]

Kind = Literal["mean", "response", "linear", "probability"]
Groups = Literal["conditional", "population"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRequest:
    """What a prediction is asked to be.

    Attributes
    ----------
    kind : {"mean", "response", "linear", "probability"}
    groups : {"conditional", "population"}
    marginal : bool
    ci_prob : float
    forecast : bool
        Whether rows of known series continue from what was observed.
    parameter : str
        The parameter of the family that is predicted in place of the response; empty for
        the response, which all of them make.
    """

    kind: Kind = "mean"
    groups: Groups = "conditional"
    marginal: bool = False
    ci_prob: float = 0.95
    forecast: bool = False
    parameter: str = ""

    def __post_init__(self) -> None:
        one_of("kind", self.kind, get_args(Kind))
        one_of("groups", self.groups, get_args(Groups))
        if not isinstance(self.marginal, bool | np.bool_):
            raise ArgumentError(f"marginal={self.marginal!r} must be True or False")
        if not isinstance(self.forecast, bool | np.bool_):
            raise ArgumentError(f"forecast={self.forecast!r} must be True or False")
        check_probability("ci_prob", self.ci_prob)
        if self.parameter and (self.kind not in {"mean", "linear"} or self.forecast):
            asked = "forecast=True" if self.forecast else f"kind={self.kind!r}"
            raise ArgumentError(
                f"{asked} is for the response, and parameter={self.parameter!r} is no response; "
                'take kind="mean" for its values, or "linear" for those on its link scale'
            )

    @property
    def uses_levels(self) -> bool:
        """Whether it matters which level a row belongs to."""
        return self.groups == "conditional" and not self.marginal

    @property
    def uses_effects(self) -> bool:
        """Whether the columns that vary by group matter."""
        return self.uses_levels or (self.marginal and self.kind != "linear")


def checked_parameter(model: StatedModel, parameter: Any) -> str:
    """Check the parameter of the family that is to be predicted; None is the response.

    Raises
    ------
    ArgumentError
        If the model has no linear predictor of it.
    """
    if parameter is None:
        return ""
    known = tuple(model.design.predictors)
    if parameter in model.family.parameters and parameter not in known:
        raise ArgumentError(
            f"parameter={parameter!r} has no linear predictor and is the same in all rows: "
            f"family_parameters() has it (a formula {parameter} ~ ... makes it differ)"
        )
    one_of("parameter", parameter, known)
    return str(parameter)
