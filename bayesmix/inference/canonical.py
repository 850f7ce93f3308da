"""One order of rows and levels for small models, in which their optimum is searched.

Where effects are nearly as many as rows a likelihood has several optima, or rises without a
bound along a path that a search may miss, and rounding decides where it ends. Rounding is that
of sums over rows and levels: in an order that their values alone determine it is the same
however the data are sorted and the levels are called.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bayesmix.design import Design, GroupingFactor, LinearPredictor
from bayesmix.design.subset import design_of_rows
from bayesmix.gaussian.problem import Problem, build_problem
from bayesmix.inference.problems import gaussian_problem, row_scale
from bayesmix.priors.model_priors import ModelPriors, PriorInForce
from bayesmix.priors.prior import Prior
from bayesmix.statement.stated import StatedModel

__all__ = ["Canonical", "canonical"]

_FEW_ROWS = 4  # for each effect
_MOST_ROWS = 5000
_DIGITS = 12  # of the priors, whose scales are sums over rows as well
_PASSES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Canonical:
    """A normal model as it is searched.

    Attributes
    ----------
    problem : Problem
    predictor : LinearPredictor
    y : ndarray, shape (n,)
    model : StatedModel
    """

    problem: Problem
    predictor: LinearPredictor
    y: np.ndarray
    model: StatedModel

    @property
    def priors(self) -> ModelPriors:
        """The model's, in the digits that do not depend on the order of its rows."""
        given = self.model.prior_entries
        return given if self.predictor is self.model.design.mu else _rounded(given)


def canonical(model: StatedModel) -> Canonical:
    """Bring a normal model to one order, where its rows are few for its effects.

    Parameters
    ----------
    model : StatedModel

    Returns
    -------
    Canonical
        With the model's own rows in their order where they are many.
    """
    mu, y = model.design.mu, model.y
    n, p = mu.X.shape
    effects = p + sum(g.n_levels * g.n_effects for g in mu.groups)
    many = model.design.streamed is not None or n > min(_MOST_ROWS, _FEW_ROWS * effects)
    if not mu.groups or many:
        return Canonical(problem=gaussian_problem(model), predictor=mu, y=y, model=model)
    order = np.argsort(_ranks(model.design, y), kind="stable")
    there = design_of_rows(model.design, order)
    ordered = replace(
        there.mu,
        groups=tuple(map(_by_appearance, there.mu.groups)),
        learned_means=mu.learned_means,
    )
    y = y[order]
    problem = build_problem(
        ordered, y, residual=model.residual, rows=there.row_data, scale=row_scale(model, there)
    )
    return Canonical(problem=problem, predictor=ordered, y=y, model=model)


def _ranks(design: Design, y: np.ndarray) -> np.ndarray:
    """Number the rows by their values, and by the values of the other rows of their levels."""
    mu = design.mu
    # Series are numbered: their numbers say nothing, and places in them say something.
    given = [v for name, v in design.row_data.items() if name != "residual_series"]
    beside = [*([] if mu.offset is None else [mu.offset]), *given]
    columns = [y, *beside, *mu.X.T, *(z for g in mu.groups for z in g.Z.T)]
    ranks = _numbered(np.column_stack(columns))
    for _ in range(_PASSES):
        if ranks.max(initial=-1) == len(ranks) - 1:
            break  # no two are alike
        keys = [ranks]
        for group in mu.groups:
            ends = np.cumsum(np.bincount(group.index, minlength=group.n_levels))[:-1]
            sorted_ranks = ranks[np.lexsort((ranks, group.index))]
            rows = [tuple(part.tolist()) for part in np.split(sorted_ranks, ends)]
            number = {found: i for i, found in enumerate(sorted(set(rows)))}
            keys.append(np.asarray([number[found] for found in rows])[group.index])
        ranks = _numbered(np.column_stack(keys))
    return ranks


def _numbered(keys: np.ndarray) -> np.ndarray:
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)


def _by_appearance(group: GroupingFactor) -> GroupingFactor:
    """Number the levels as they appear."""
    if group.between is not None:  # levels are not alike, and keep their places
        return group
    first = np.unique(group.index, return_index=True)[1]
    order = np.argsort(first)
    place = np.argsort(order).astype(np.int32)
    return replace(
        group, levels=group.levels.taken(order), index=place[group.index],
        present=None if group.present is None else group.present[order],
    )  # fmt: skip


def _rounded(priors: ModelPriors) -> ModelPriors:
    def entry(given: PriorInForce) -> PriorInForce:
        prior = given.prior
        values = {k: float(f"{v:.{_DIGITS}g}") for k, v in prior.parameters.items()}
        return replace(given, prior=Prior(prior.distribution, **values))

    mu = replace(
        priors.mu,
        intercept=None if priors.mu.intercept is None else entry(priors.mu.intercept),
        coefficients=tuple(map(entry, priors.mu.coefficients)),
        sd={name: tuple(map(entry, entries)) for name, entries in priors.mu.sd.items()},
        corr={name: entry(e) for name, e in priors.mu.corr.items()},
        structure={
            group: {name: entry(e) for name, e in own.items()}
            for group, own in priors.mu.structure.items()
        },
    )
    return replace(
        priors,
        predictors={**priors.predictors, "mu": mu},
        family={name: entry(e) for name, e in priors.family.items()},
    )
