"""What `laplace_determined` asks of the rows, of rows on disk: a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bayesmix.gaussian.density import FixedPrior
from bayesmix.glmm.data import RowData
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.inference.passes import AtMode, Passed, blocks_at
from bayesmix.inference.separation import null_space, rising_directions
from bayesmix.memory import check_memory

__all__ = [
    "Rises", "all_reproduced", "curvature_of_fixed", "held_directions", "separated_in_blocks",
    "silent_in_blocks",
]  # fmt: skip

Rises = Callable[[RowData], np.ndarray]  # which way each row's likelihood rises for ever


def separated_in_blocks(
    gp: GlmmProblem, mode: Passed, phi: np.ndarray, held: np.ndarray, rises: Rises, near: float,
) -> np.ndarray:  # fmt: skip
    """Directions of the working coefficients along which the likelihood rises for ever.

    Parameters
    ----------
    gp : GlmmProblem
    mode : Passed
    phi : ndarray
    held : ndarray, shape (k, p)
        Directions that a prior holds.
    rises : callable
    near : float
        How far below 1 the likelihood of a row that is asked may be, as a logarithm.

    Returns
    -------
    ndarray, shape (p, k)
    """
    p = gp.problem.n_fixed
    unknown = silent_in_blocks(gp, held, rises)
    if unknown.shape[1] == p:
        return unknown

    def parts() -> Iterator[tuple[AtMode, np.ndarray, np.ndarray]]:
        for at in blocks_at(gp, mode, phi):
            way = rises(at.rows)
            says = at.rows.says & ~np.isnan(way)
            way = np.where(says & (at.value > -near), way, 0.0)
            yield at, says, way

    R, n_asked = held, 0
    for at, says, way in parts():
        R = _triangle(R, at.rows.X.T[says & (way == 0)])
        n_asked += int(np.count_nonzero(way))
    beside = np.linalg.svd(unknown, full_matrices=True)[0][:, unknown.shape[1] :]
    if not n_asked or not null_space(R @ beside, beside.shape[1]).shape[1]:
        return unknown
    check_memory(
        f"the question which of {n_asked:,} rows are separated", 4 * p * n_asked,
        "leave out predictors that few rows have, or read some of the rows into a frame",
    )  # fmt: skip
    asked = [
        (at.rows.X.T[way != 0], way[way != 0], np.abs(at.score[way != 0])) for at, _, way in parts()
    ]
    X, ways, scores = (np.concatenate([one[k] for one in asked]) for k in range(3))
    none = np.zeros(len(R))
    found = rising_directions(
        np.concatenate([X, R]) @ beside, np.append(ways, none), np.append(scores, none)
    )
    return np.concatenate([unknown, beside @ found], axis=1)


def silent_in_blocks(gp: GlmmProblem, held: np.ndarray, rises: Rises) -> np.ndarray:
    """Directions in which no row moves that says anything, shape (p, k)."""
    R, all_say = held, True
    for rows in gp.rows.blocks():
        says = rows.says & ~np.isnan(rises(rows))
        all_say = all_say and bool(says.all())
        R = _triangle(R, rows.X.T[says])
    return np.zeros((gp.problem.n_fixed, 0)) if all_say else null_space(R, gp.problem.n_fixed)


def all_reproduced(
    gp: GlmmProblem, mode: Passed, phi: np.ndarray, rises: Rises, near: float
) -> bool:
    """Whether each row's likelihood rises for ever, and has come near 1."""
    return all(
        bool((rises(at.rows) != 0).all()) and bool((at.value >= -near).all())
        for at in blocks_at(gp, mode, phi)
    )


def curvature_of_fixed(gp: GlmmProblem, mode: Passed, phi: np.ndarray, least: float) -> np.ndarray:
    """X'WX of the working columns, W the sizes of the rows' curvatures.

    Parameters
    ----------
    gp, mode, phi
    least : float
        Least weight of a row, relative to the mean.
    """
    total = sum(float(_sizes(at).sum()) for at in blocks_at(gp, mode, phi))
    floor = max(least * total / gp.rows.n_obs, 1e-300)
    A = np.zeros((gp.problem.n_fixed, gp.problem.n_fixed))
    for at in blocks_at(gp, mode, phi):
        W = np.where(at.rows.says, np.maximum(_sizes(at), floor), 0.0)
        A += (at.rows.X * W) @ at.rows.X.T
    return A


def held_directions(prior: FixedPrior) -> np.ndarray:
    """Directions that a prior holds, one a row, each of length one."""
    held = prior.precision[np.diag(prior.precision) > 0]
    return np.asarray(held / np.sqrt(np.sum(held**2, axis=1))[:, None])


def _sizes(at: AtMode) -> np.ndarray:
    return np.abs(np.where(np.isfinite(at.weights), at.weights, 0.0))


def _triangle(R: np.ndarray, X: np.ndarray) -> np.ndarray:
    """The triangle of rows of which some have been triangulated already."""
    return np.linalg.qr(np.concatenate([R, X]), mode="r") if len(X) else R
