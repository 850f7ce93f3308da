"""Cross-products of crossed factors, as sparse as levels meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from bayesmix.design import LinearPredictor
from bayesmix.gaussian.scaling import Scaling

__all__ = ["CrossedSums", "crossed_sums", "level_columns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedSums:
    """Cross-products of the working columns, those of levels as a sparse matrix.

    Attributes
    ----------
    order : tuple of int
        Grouping factors as they stand here, the largest first.
    shapes : tuple of (int, int)
        Levels and effects of each.
    N : sparse matrix, shape (m, m)
        Z'WZ.
    ZX, Zy : ndarray, shape (m, p) and (m,)
    XX, Xy, yy : ndarray
    n : int
        Number of rows.
    """

    order: tuple[int, ...]
    shapes: tuple[tuple[int, int], ...]
    N: sparse.csr_matrix
    ZX: np.ndarray
    Zy: np.ndarray
    XX: np.ndarray
    Xy: np.ndarray
    yy: float
    n: int

    @property
    def starts(self) -> np.ndarray:
        """Where each factor's columns start, and their number."""
        return np.cumsum([0, *(levels * q for levels, q in self.shapes)])


def crossed_sums(
    predictor: LinearPredictor, y: np.ndarray, weights: np.ndarray | None, scaling: Scaling
) -> CrossedSums:
    """Sum the products of the working columns.

    Parameters
    ----------
    predictor : LinearPredictor
    y : ndarray, shape (n,)
        Response minus offset.
    weights : ndarray, shape (n,), or None
    scaling : Scaling
    """
    groups = predictor.groups
    order = sorted(range(len(groups)), key=lambda k: -groups[k].n_levels * groups[k].n_effects)
    root = np.ones(len(y)) if weights is None else np.sqrt(weights)
    X = (predictor.X - scaling.X_shift) / scaling.X_scale
    r = (y / scaling.y_scale - X @ scaling.beta_0) * root
    X *= root[:, None]
    B = sparse.hstack([level_columns(groups[k], root) for k in order], format="csr")
    return CrossedSums(
        order=tuple(order),
        shapes=tuple((groups[k].n_levels, groups[k].n_effects) for k in order),
        N=(B.T @ B).tocsr(), ZX=np.asarray(B.T @ X), Zy=np.asarray(B.T @ r),
        XX=X.T @ X, Xy=X.T @ r, yy=float(r @ r), n=len(y),
    )  # fmt: skip


def level_columns(group: object, root: np.ndarray) -> sparse.csr_matrix:
    """Columns of one grouping factor's effects, level by level."""
    Z, index, levels = group.Z, group.index, group.n_levels  # type: ignore[attr-defined]
    n, q = Z.shape
    at = (index.astype(np.int64)[:, None] * q + np.arange(q)).ravel()
    return sparse.csr_matrix(
        ((Z * root[:, None]).ravel(), at, np.arange(0, n * q + 1, q)), shape=(n, levels * q)
    )
