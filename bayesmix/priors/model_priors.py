"""Which prior is in force for which parameter of a model, and where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from bayesmix.covariance import Part
from bayesmix.priors.distributions import is_improper
from bayesmix.priors.prior import Prior

__all__ = ["AS_WRITTEN", "AT_MEANS", "ModelPriors", "PredictorPriors", "PriorInForce"]


AT_MEANS = "at the predictors' means"
AS_WRITTEN = "as the formula writes it"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorInForce:
    """A prior, what it is for, and who said so.

    Attributes
    ----------
    parameter : str
        ``Intercept``, a coefficient's name, ``sd(Subject, Days)``, ``sigma``.
    prior : Prior
    origin : {"default", "user"}
    note : str
        What the table of priors adds, such as where the intercept is taken.
    """

    parameter: str
    prior: Prior
    origin: Literal["default", "user"]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PredictorPriors:
    """The priors of the coefficients of one linear predictor.

    Attributes
    ----------
    intercept : PriorInForce or None
        None in a predictor without an intercept.
    intercept_is_centered : bool
        Whether `intercept` holds for the intercept at the predictors' means
        (the default) and not for the one that the formula writes.
    coefficients : tuple of PriorInForce
        Priors of the fixed effects other than the intercept, in the order of X.
    sd : mapping of str to tuple of PriorInForce
        By grouping factor, in the order of its standard deviations.
    corr : mapping of str to PriorInForce
        By grouping factor, for those with correlations.
    structure : mapping of str to mapping of str to PriorInForce
        By grouping factor and parameter, for what its covariance structures have beside
        standard deviations and free correlations.
    """

    intercept: PriorInForce | None
    intercept_is_centered: bool
    coefficients: tuple[PriorInForce, ...]
    sd: Mapping[str, tuple[PriorInForce, ...]]
    corr: Mapping[str, PriorInForce]
    structure: Mapping[str, Mapping[str, PriorInForce]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[PriorInForce]:
        if self.intercept is not None:
            yield self.intercept
        yield from self.coefficients
        for group, priors in self.sd.items():
            yield from priors
            if group in self.corr:
                yield self.corr[group]
            yield from self.structure.get(group, {}).values()

    def of_part(self, group: str, part: Part) -> dict[str, Prior]:
        """Priors of one block's structure, by the names that the structure has for them."""
        found = {
            p.name: self.structure[group][name].prior for name, p in part.named_parameters().items()
        }
        return found | ({"corr": self.corr[group].prior} if group in self.corr else {})


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ModelPriors:
    """The priors of a model.

    Attributes
    ----------
    predictors : mapping of str to PredictorPriors
        By parameter that has a linear predictor; "mu" first.
    family : mapping of str to PriorInForce
        By parameter of the family that has none.
    residual : mapping of str to PriorInForce
        By parameter of the residual structure, beside sigma.
    """

    predictors: Mapping[str, PredictorPriors]
    family: Mapping[str, PriorInForce]
    residual: Mapping[str, PriorInForce] = field(default_factory=dict)

    @property
    def mu(self) -> PredictorPriors:
        """The priors of mu's predictor."""
        return self.predictors["mu"]

    # -- mu's, for what does not ask for a predictor yet ------------------------

    @property
    def intercept(self) -> PriorInForce | None:
        """The prior of mu's intercept."""
        return self.mu.intercept

    @property
    def intercept_is_centered(self) -> bool:
        """Whether it holds at the predictors' means."""
        return self.mu.intercept_is_centered

    @property
    def coefficients(self) -> tuple[PriorInForce, ...]:
        """The priors of mu's other fixed effects."""
        return self.mu.coefficients

    @property
    def sd(self) -> Mapping[str, tuple[PriorInForce, ...]]:
        """The priors of the standard deviations of mu's group effects."""
        return self.mu.sd

    @property
    def corr(self) -> Mapping[str, PriorInForce]:
        """The priors of the correlations of mu's group effects."""
        return self.mu.corr

    @property
    def structure(self) -> Mapping[str, Mapping[str, PriorInForce]]:
        """The priors of the other parameters of the structures of mu's group effects."""
        return self.mu.structure

    def __iter__(self) -> Iterator[PriorInForce]:
        for predictor in self.predictors.values():
            yield from predictor
        yield from self.family.values()
        yield from self.residual.values()

    def of_residual(self, name: str) -> PriorInForce:
        """Return the prior of a parameter of R beside sigma: of the structure or sigma's predictor.

        Parameters
        ----------
        name : str
            As the entry is called: ``rho_residual``, ``"sigma: Intercept"``.
        """
        if name in self.residual:
            return self.residual[name]
        return next(entry for entry in self.predictors["sigma"] if entry.parameter == name)

    @property
    def improper(self) -> list[str]:
        """Parameters whose prior cannot be drawn from."""
        return [entry.parameter for entry in self if is_improper(entry.prior.distribution)]

    def table(self) -> pd.DataFrame:
        """Return one row per prior.

        Returns
        -------
        DataFrame
            With columns parameter, prior, origin, note.
        """
        return pd.DataFrame(
            [(e.parameter, str(e.prior), e.origin, e.note) for e in self],
            columns=["parameter", "prior", "origin", "note"],
        )
