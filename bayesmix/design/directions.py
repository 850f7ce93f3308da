"""In which directions the covariance of a block can move: for what the data can tell apart."""

from __future__ import annotations

import numpy as np

from bayesmix.design.groups import Block
from bayesmix.formula.structures import STRUCTURE_WORDS

__all__ = ["directions"]


def directions(block: Block) -> np.ndarray:
    """Derivatives of Sigma by its parameters at a point without special values.

    What holds there holds almost everywhere. Structures whose correlations depend on a
    distance are alike in this, so one stands for all.

    Parameters
    ----------
    block : Block

    Returns
    -------
    ndarray, shape (n_parameters, size, size)
        Symmetric.
    """
    q = block.size
    word = STRUCTURE_WORDS.get(block.structure)
    rng = np.random.default_rng(1)
    if block.structure == "diag":
        return _by_pairs([(k, k) for k in range(q)], q)
    if block.structure == "homdiag":
        return np.eye(q)[None]
    if block.structure == "rr":
        factor = rng.normal(size=(q, block.options.get("d", 2)))
        moved = np.zeros((factor.size, q, q))
        for n, (k, m) in enumerate(np.ndindex(*factor.shape)):
            if k >= m:
                moved[n, k] = factor[:, m]
        return _symmetric(moved[[k >= m for k, m in np.ndindex(*factor.shape)]])
    if word is None or word.left == "effects" or block.positions is None:
        return _by_pairs([(k, m) for k in range(q) for m in range(k + 1)], q)
    R, by_R = _correlations(block.structure, block.positions)
    if word.tied:
        return np.concatenate([R[None], by_R])
    sd = rng.uniform(1.0, 2.0, q)
    scaled = sd[:, None] * R * sd
    by_sd = np.zeros((q, q, q))
    by_sd[np.arange(q), np.arange(q)] = scaled
    return np.concatenate([_symmetric(by_sd), sd[:, None] * by_R * sd])


def _correlations(structure: str, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A correlation matrix of the structure and its derivatives."""
    q = len(positions)
    gaps = np.sqrt(((positions[:, None] - positions[None]) ** 2).sum(axis=-1))
    apart = ~np.eye(q, dtype=bool)
    if structure in {"cs", "homcs"}:
        return np.where(apart, 0.4, 1.0), apart[None].astype(float)
    if structure in {"toep", "homtoep"}:
        lags = np.unique(gaps[apart])
        return np.exp(-gaps / lags[-1]), np.asarray([gaps == lag for lag in lags], dtype=float)
    D = gaps / np.median(gaps[apart])
    R = np.exp(-D)
    return R, np.asarray([D * R, D**2 * R] if structure == "mat" else [D * R])


def _by_pairs(pairs: list[tuple[int, int]], q: int) -> np.ndarray:
    out = np.zeros((len(pairs), q, q))
    for n, (k, m) in enumerate(pairs):
        out[n, k, m] = out[n, m, k] = 1.0
    return out


def _symmetric(matrices: np.ndarray) -> np.ndarray:
    return np.asarray(matrices + np.swapaxes(matrices, 1, 2))
