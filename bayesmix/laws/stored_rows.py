"""Rows on disk as the formula has them, and what is known of them at the mode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.gaussian.rowvariance import RowVariance, WeighedRows, row_variance_of_parts
from bayesmix.glmm.data import joined_rows
from bayesmix.inference.effects_given_data import adaptive_points
from bayesmix.inference.laplace_determined import mode_of
from bayesmix.inference.passes import AtMode, blocks_at, row_values
from bayesmix.laws.ridge import ridge_of_parts

if TYPE_CHECKING:
    from bayesmix.gaussian.coordinates import Coordinates
    from bayesmix.glmm.problem import GlmmProblem
    from bayesmix.inference.laplace import LaplaceOptimum

__all__ = [
    "PlainRows", "plain_rows", "row_variance_of_blocks", "rows_where",
    "scalar_law_of_blocks",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRows:
    """A block of rows with the columns of the formula.

    Attributes
    ----------
    X : ndarray, shape (n, p)
    Z : mapping of str to ndarray, shape (n, q)
    index : mapping of str to ndarray of int, shape (n,)
    at : AtMode
        The same rows as kernels have them, at the mode.
    """

    X: np.ndarray
    Z: Mapping[str, np.ndarray]
    index: Mapping[str, np.ndarray]
    at: AtMode

    def take(self, some: np.ndarray) -> PlainRows:
        """Copy some of the rows."""
        at = self.at
        return PlainRows(
            X=self.X[some], Z={name: Z[some] for name, Z in self.Z.items()},
            index={name: index[some] for name, index in self.index.items()},
            at=AtMode(
                rows=at.rows.of_rows(some), eta=at.eta[some], value=at.value[some],
                score=at.score[some], weights=at.weights[some],
            ),
        )  # fmt: skip


def plain_rows(gp: GlmmProblem, co: Coordinates, found: LaplaceOptimum) -> Iterator[PlainRows]:
    """Go over the rows of a fit once, with the columns of the formula.

    Parameters
    ----------
    gp : GlmmProblem
        Whose rows are stored.
    co : Coordinates
    found : LaplaceOptimum
    """
    mode, scaling, plan = mode_of(gp, co, found).passed, gp.problem.scaling, gp.problem.plan
    assert mode is not None  # noqa: S101, for mypy
    phi = gp.phi.values(found.x[co.n_x : len(found.x) - gp.problem.n_fixed])
    for at in blocks_at(gp, mode, phi):
        rows, Z, index = at.rows, {}, {}
        for f, k in enumerate((*plan.chain, *plan.rest)):
            own = rows.Z[rows.z_start[f] : rows.z_start[f + 1]].T
            name = gp.problem.groups[f].name
            Z[name] = own * scaling.Z_scale[k] + scaling.Z_shift[k]
            index[name] = rows.index[f] - rows.first[f]
        yield PlainRows(X=rows.X.T * scaling.X_scale + scaling.X_shift, Z=Z, index=index, at=at)


def rows_where(
    gp: GlmmProblem, co: Coordinates, found: LaplaceOptimum, name: str, wanted: np.ndarray
) -> PlainRows:
    """Gather the rows of some levels of a factor, in memory.

    Parameters
    ----------
    gp, co, found
        As of `plain_rows`.
    name : str
        The factor.
    wanted : ndarray of bool, shape (G,)
        Which of its levels.
    """
    kept = []
    for rows in plain_rows(gp, co, found):
        some = np.flatnonzero(wanted[rows.index[name]])
        if len(some):
            kept.append(rows.take(some))
    if not kept:
        return next(plain_rows(gp, co, found)).take(np.arange(0))
    return PlainRows(
        X=np.concatenate([one.X for one in kept]),
        Z={key: np.concatenate([one.Z[key] for one in kept]) for key in kept[0].Z},
        index={key: np.concatenate([one.index[key] for one in kept]) for key in kept[0].index},
        at=AtMode(
            rows=joined_rows([one.at.rows for one in kept]),
            **{
                part: np.concatenate([getattr(one.at, part) for one in kept])
                for part in ("eta", "value", "score", "weights")
            },
        ),
    )


def row_variance_of_blocks(
    gp: GlmmProblem, co: Coordinates, found: LaplaceOptimum, roots: Mapping[str, np.ndarray]
) -> RowVariance:
    """Factor the precision of all effects at the mode, by two passes."""
    p = gp.problem.n_fixed
    ridge = ridge_of_parts(((rows.X, rows.at.weights) for rows in plain_rows(gp, co, found)), p)
    parts = (
        WeighedRows(X=rows.X, Z=rows.Z, index=rows.index, precision=rows.at.weights)
        for rows in plain_rows(gp, co, found)
    )
    return row_variance_of_parts(gp.problem.groups, roots, parts, ridge)


def scalar_law_of_blocks(
    gp: GlmmProblem, co: Coordinates, found: LaplaceOptimum, root: float
) -> tuple[np.ndarray, np.ndarray]:
    """The law of one effect a level given the data: points of u and probabilities, (G, K).

    Parameters
    ----------
    gp : GlmmProblem
        With one grouping factor and one effect, whose rows are stored.
    co, found
    root : float
        Standard deviation of the effect, where u has 1.
    """
    (group,) = gp.problem.groups
    name, n_levels = group.name, group.n_levels
    phi = gp.phi.values(found.x[co.n_x : len(found.x) - gp.problem.n_fixed])
    phi = np.append(phi, 1.0)
    mode, precision = np.zeros(n_levels), np.ones(n_levels)
    b = mode_of(gp, co, found).passed
    assert b is not None  # noqa: S101, for mypy
    if root:
        mode = b.b * float(1.0 / gp.problem.scaling.TZ[0][0, 0]) / root
    for rows in plain_rows(gp, co, found):
        v = rows.Z[name][:, 0] * root
        own = np.maximum(rows.at.weights, 0.0) * v**2
        precision += np.bincount(rows.index[name], own, minlength=n_levels)

    def likelihood(u: np.ndarray) -> np.ndarray:
        total = np.zeros(u.shape)
        for rows in plain_rows(gp, co, found):
            level, v = rows.index[name], rows.Z[name][:, 0] * root
            fixed = rows.at.eta - v * mode[level]
            for k in range(u.shape[1]):
                there = row_values(gp, rows.at.rows, fixed + v * u[level, k], phi)
                total[:, k] += np.bincount(level, there, minlength=n_levels)
        return total

    return adaptive_points(likelihood, mode, precision)
