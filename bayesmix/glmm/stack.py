"""The linear predictors of a model in one working design: columns side by side.

Coefficients of all predictors stand in one beta, and their grouping factors among the factors
of one elimination. Each column belongs to one predictor, which is all that the rows' kernels
and the weights need to know; the algebra of factors stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import block_diag

from bayesmix.design import GroupingFactor, LinearPredictor
from bayesmix.design.joined import columns_by_predictor
from bayesmix.gaussian.density import FixedPrior
from bayesmix.gaussian.problem import Problem, working_prior
from bayesmix.gaussian.scaling import column_transform, group_transform
from bayesmix.priors.model_priors import ModelPriors, PredictorPriors

__all__ = ["Stack", "stacked"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Stack:
    """Several linear predictors as one.

    Attributes
    ----------
    predictors : mapping of str to LinearPredictor
        By parameter, "mu" first.
    whole : LinearPredictor
        With the columns and grouping factors of all; of one predictor itself.
    X_of : ndarray of int64, shape (p,)
        Position of the predictor that each fixed column belongs to.
    columns_of : tuple of ndarray of int64, shape (q,)
        The same for the columns of each grouping factor of `whole`.
    """

    predictors: Mapping[str, LinearPredictor]
    whole: LinearPredictor
    X_of: np.ndarray
    columns_of: tuple[np.ndarray, ...]

    @property
    def columns(self) -> dict[str, slice]:
        """By parameter its columns of X."""
        found, at = {}, 0
        for name, own in self.predictors.items():
            found[name] = slice(at, at + len(own.fixed_effects))
            at += len(own.fixed_effects)
        return found

    @property
    def offset(self) -> np.ndarray:
        """Offsets of all rows, one predictor behind the other, shape (m n,)."""
        n = self.whole.n_obs
        own = [np.zeros(n) if p.offset is None else p.offset for p in self.predictors.values()]
        return np.concatenate(own)

    def column_transform(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shift and scale of each fixed column, and T with X = Xw T: each predictor's its own."""
        parts = []
        for own in self.predictors.values():
            at = own.fixed_effects.index("Intercept") if own.has_intercept else None
            parts.append(column_transform(own.X, at))
        shift, scale = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
        return shift, scale, block_diag(*(part[2] for part in parts))

    def group_transform(self, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shift, scale and T of a grouping factor's columns, of which no two predictors' mix."""
        group: GroupingFactor = self.whole.groups[k]
        if (self.columns_of[k] == self.columns_of[k][0]).all():
            return group_transform(group)
        shift, scale, _ = column_transform(group.Z, None)
        return shift, scale, np.diag(scale)

    def priors(self, given: ModelPriors) -> ModelPriors:
        """Priors of `whole`: those of its grouping factors, by their names there."""
        if len(self.predictors) == 1:
            return given
        sd, corr, structure = {}, {}, {}
        for parameter, own in given.predictors.items():
            for group in self.predictors[parameter].groups:
                name = _named(parameter, group.name)
                sd[name] = own.sd[group.name]
                if group.name in own.corr:
                    corr[name] = own.corr[group.name]
                if group.name in own.structure:
                    structure[name] = own.structure[group.name]
        mu = PredictorPriors(
            intercept=None, intercept_is_centered=False, coefficients=(), sd=sd, corr=corr,
            structure=structure,
        )  # fmt: skip
        return ModelPriors(predictors={"mu": mu}, family=given.family, residual=given.residual)

    def fixed_prior(self, problem: Problem, given: ModelPriors) -> FixedPrior:
        """Prior of the working fixed effects of all predictors, independent of each other."""
        if len(self.predictors) == 1:
            return problem.fixed_prior(self.whole, given.mu)
        parts = []
        for parameter, at in self.columns.items():
            TX = np.ascontiguousarray(problem.scaling.TX[at, at])
            own = self.predictors[parameter]
            parts.append(working_prior(own, given.predictors[parameter], TX))
        return FixedPrior(
            precision=np.ascontiguousarray(block_diag(*(part.precision for part in parts))),
            mean=np.concatenate([part.mean for part in parts]),
        )


def stacked(predictors: Mapping[str, LinearPredictor]) -> Stack:
    """Put the columns of several predictors side by side.

    Parameters
    ----------
    predictors : mapping of str to LinearPredictor

    Returns
    -------
    Stack
    """
    mu = predictors["mu"]
    X_of = np.repeat(
        np.arange(len(predictors)), [len(p.fixed_effects) for p in predictors.values()]
    )
    groups, columns_of = [], []
    for name, own in predictors.items():
        for group in own.groups:
            Z, of = columns_by_predictor(group, predictors, name)
            columns_of.append(of)
            groups.append(replace(group, name=_named(name, group.name), Z=Z))
    whole = mu
    if len(predictors) > 1:
        whole = replace(
            mu,
            X=np.concatenate([own.X for own in predictors.values()], axis=1),
            fixed_effects=tuple(
                _named(name, effect) for name, own in predictors.items()
                for effect in own.fixed_effects
            ),
            groups=tuple(groups),
            offset=None,
            aliasing=None,
            learned_means=None,
        )  # fmt: skip
    return Stack(
        predictors=predictors, whole=whole, X_of=X_of.astype(np.int64), columns_of=tuple(columns_of)
    )


def _named(parameter: str, name: str) -> str:
    return name if parameter == "mu" else f"{parameter}: {name}"
