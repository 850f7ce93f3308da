"""The grouping factors of a normal model taken apart: each is a model given the others' effects.

All that a factor has to know of the rows are cross-products: its own, and those between its
levels and the others', which are as sparse as levels meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from bayesmix.design import GroupingFactor
from bayesmix.errors import SamplingError
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.independence import Chain, ValueDensity
from bayesmix.gaussian.patterns import sum_responses
from bayesmix.gaussian.problem import Problem, build_problem
from bayesmix.gaussian.structure import heaviest_chain
from bayesmix.inference.cost import seconds_of_root
from bayesmix.inference.kernel_cache import announce_compilation
from bayesmix.inference.response_columns import response_columns

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = [
    "Blocks", "Conditional", "divided", "factors_together", "why_not_by_factors", "why_quicker",
]  # fmt: skip

_MOST_COLUMNS = 500  # of a block's dense root, which each of some ten values of a sweep factors
_DEAR = 0.02  # seconds of a value with a dense root, from which sweeps are quicker
_OF_PAIR = 5e-9  # seconds of a sweep for a row and a factor, at most


def why_not_by_factors(model: StatedModel) -> str:
    """Why effects cannot be drawn factor by factor, in words; empty if they can.

    Asked of a model whose effects are normal given its parameters, with known priors.

    Parameters
    ----------
    model : StatedModel

    Returns
    -------
    str
    """
    residual, groups = model.residual, model.design.mu.groups
    if model.design.streamed is not None:
        return "of data that are read in batches"
    if residual is None or residual.parameters or residual.correlated:
        return "of residuals that are not independent with one sigma"
    if "sigma" in model.design.predictors:
        return "of residuals that are not independent with one sigma"
    for group in groups:
        if group.between is not None:
            return f"the levels of `{group.name}` are related"
        if group.n_effects > _MOST_COLUMNS:
            return f"`{group.name}` has {group.n_effects} effects (at most {_MOST_COLUMNS})"
    return "" if groups else "it has no group effects"


def why_quicker(model: StatedModel) -> str:
    """Why sweeps are quicker than a dense root, in words; empty if they are not."""
    groups = model.design.mu.groups
    sizes = [_columns(group) for group in groups]
    if seconds_of_root(sum(sizes) - max(sizes, default=0)) < _DEAR:
        return ""  # nested or not
    chain = heaviest_chain(groups)
    n = sum(_columns(group) for k, group in enumerate(groups) if k not in chain)
    dense = seconds_of_root(n)
    if dense < _DEAR or len(model.y) * len(groups) * _OF_PAIR > dense / 2:
        return ""
    return f"a dense matrix of {n} columns takes longer at each draw"


def _columns(group: GroupingFactor) -> int:
    return group.n_levels * group.n_effects


def factors_together(groups: Sequence[GroupingFactor]) -> list[tuple[int, ...]]:
    """Places of the grouping factors whose effects are drawn together: those that are nested.

    Parameters
    ----------
    groups : sequence of GroupingFactor

    Returns
    -------
    list of tuple of int
        The block with the most columns first.
    """
    left, blocks = list(range(len(groups))), []
    while left:
        chain = [left[k] for k in heaviest_chain([groups[k] for k in left])]
        blocks.append(tuple(chain))
        left = [k for k in left if k not in chain]
    return sorted(blocks, key=lambda block: -sum(_columns(groups[k]) for k in block))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Factors that are drawn together, as a model of their own.

    Attributes
    ----------
    problem : Problem
    density : ValueDensity
    positions : ndarray of int64, shape (m,)
        Where the products of the working columns with the response stand: those of the
        effects, then those of the fixed ones.
    products : ndarray, shape (m,)
        Products with the whole response.
    """

    problem: Problem
    density: ValueDensity
    positions: np.ndarray
    products: np.ndarray

    @property
    def n_effects(self) -> int:
        """Number of effects."""
        return len(self.positions) - self.problem.n_fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """All blocks, and the cross-products between them.

    Attributes
    ----------
    blocks : tuple of Block
    between : tuple of tuple of sparse matrix, shape (m_i, number of effects of j)
        Products of the working columns of block i with the effects' columns of block j.
    yy : float
        y'Wy of the working response.
    """

    blocks: tuple[Block, ...]
    between: tuple[tuple[sparse.csr_array, ...], ...]
    yy: float

    @property
    def has_sigma(self) -> bool:
        """Whether sigma is among the coordinates of each block, the last of them."""
        return not self.blocks[0].problem.sigma_is_known


def divided(model: StatedModel) -> Blocks:
    """Take the grouping factors of a model apart.

    Parameters
    ----------
    model : StatedModel
        One that `why_not_by_factors` has nothing against.

    Returns
    -------
    Blocks
    """
    announce_compilation(normal=True)
    mu, priors, residual = model.design.mu, model.prior_entries, model.residual
    assert residual is not None  # noqa: S101
    weights = residual.pairs(model.rows, mu.n_obs).weights
    problems, columns, positions = [], [], []
    for places in factors_together(mu.groups):
        own = replace(mu, groups=tuple(mu.groups[k] for k in places))
        problems.append((
            own, build_problem(own, model.y, residual=residual, rows=model.rows)
        ))  # fmt: skip
        found, where = response_columns(own, problems[-1][1])
        columns.append(found)
        positions.append(where)
    scaling = problems[0][1].scaling
    y = model.y if mu.offset is None else model.y - mu.offset
    y = y / scaling.y_scale - (mu.X - scaling.X_shift) / scaling.X_scale @ scaling.beta_0
    weighted = y if weights is None else weights * y
    effects = [own[:, : own.shape[1] - len(mu.fixed_effects)] for own in columns]
    if weights is not None:
        effects = [sparse.csr_array(own.multiply(weights[:, None])) for own in effects]
    return Blocks(
        blocks=tuple(
            Block(
                problem=problem, positions=where, products=np.asarray(own.T @ weighted),
                density=ValueDensity(
                    eq=problem.equations, co=problem.coordinates(priors),
                    prior=problem.fixed_prior(predictor, priors.mu),
                    known=problem.known_precision,
                ),
            )
            for (predictor, problem), own, where in zip(problems, columns, positions, strict=True)
        ),
        between=tuple(
            tuple(sparse.csr_array(own.T @ other) for other in effects) for own in columns
        ),
        yy=float(y @ weighted),
    )  # fmt: skip


class Conditional:
    """A block's equations given the effects of all others, in one chain.

    Parameters
    ----------
    block : Block
    """

    def __init__(self, block: Block) -> None:
        self.block = block
        self.equations: Equations = block.problem.equations.replace()
        self._chain = Chain(replace(block.density, eq=self.equations))

    def given(self, products: np.ndarray, yy: float) -> None:
        """Take products with what the others leave of the response, and its square."""
        self.equations.floats[self.block.positions] = products
        self.equations.yy[0] = yy
        sum_responses(self.equations)

    def value(self, x: np.ndarray) -> float:
        """Log density of coordinates with all effects of the block integrated out."""
        return self._chain.value(x)

    def draw(self, x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw working fixed effects, shape (p,), and effects given the coordinates.

        Raises
        ------
        SamplingError
            If the equations cannot be factored.
        """
        beta = rng.standard_normal((1, self.block.problem.n_fixed))
        b = rng.standard_normal((1, self.block.n_effects))
        if not self._chain.draw_at(x, beta, b):
            raise SamplingError("effects could not be drawn at a draw of theta")
        return beta[0], b[0]
