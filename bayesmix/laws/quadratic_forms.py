"""Traces of products of M V M, for covariances V of rows that are sums over levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor

__all__ = ["Form", "Moments", "entry_forms", "root_form", "stacked_columns"]


@dataclass(frozen=True, slots=True)
class Form:
    """The n x n matrix left right', sparse or dense, in rows of unit residual variance."""

    left: Any
    right: Any


@dataclass(frozen=True, slots=True)
class Moments:
    """What least squares knows of matrices V_k: tr(M V_k M V_l) and y' M V_k M y.

    Attributes
    ----------
    Q : ndarray, shape (n, p)
        An orthonormal basis of the fixed columns: M = I - Q Q'.
    residual : ndarray, shape (n,)
        M y.
    """

    Q: np.ndarray
    residual: np.ndarray

    def square(self, own: Sequence[Form]) -> float:
        """Return y' M V M y of a sum of forms."""
        r = self.residual
        return sum(float((f.left.T @ r) @ (f.right.T @ r)) for f in own)

    def product(self, one: Sequence[Form], other: Sequence[Form]) -> float:
        """Return tr(M V M W) of two sums of forms."""
        return sum(self._product(a, b) for a in one for b in other)

    def _product(self, one: Form, other: Form) -> float:
        """tr(M Z_a Z_b' M Z_c Z_d'), the sum of products of Z_b' M Z_c and Z_a' M Z_d.

        Each of the two is a sparse matrix less one of low rank.
        """
        bc, ad = one.right.T @ other.left, one.left.T @ other.right
        a, b, c, d = (Z.T @ self.Q for Z in (one.left, one.right, other.left, other.right))
        total = _sum_of_products(bc, ad) + float(((b.T @ a) * (c.T @ d)).sum())
        return total - float(((bc @ d) * a).sum()) - float(((ad @ c) * b).sum())


def stacked_columns(group: GroupingFactor, effects: slice, w: np.ndarray) -> sparse.csr_array:
    """Columns of some effects of all levels, effect behind effect, times the rows' weights."""
    n = len(group.index)
    out = []
    for k in range(effects.start, effects.stop):
        Z = sparse.csr_array(
            (w * group.Z[:, k], (np.arange(n), group.index)), shape=(n, group.n_levels)
        )
        Z.eliminate_zeros()
        out.append(Z if group.between is None else sparse.csr_array(Z @ group.between.root))
    return sparse.csr_array(sparse.hstack(out, format="csr"))


def entry_forms(columns: sparse.csr_array, size: int) -> list[list[Form]]:
    """Forms of each entry of the covariance of a level's effects, those above with those below.

    Parameters
    ----------
    columns : sparse array, shape (n, size * levels)
        As `stacked_columns` makes them.
    size : int

    Returns
    -------
    list of list of Form
        By entry, row by row from the diagonal.
    """
    n = columns.shape[1] // size
    own = [sparse.csr_array(columns[:, k * n : (k + 1) * n]) for k in range(size)]
    return [
        [Form(own[a], own[b]), *([Form(own[b], own[a])] if a != b else [])]
        for a in range(size)
        for b in range(a, size)
    ]


def root_form(columns: sparse.csr_array, root: np.ndarray) -> Form:
    """Return the form of effects with covariance root root'."""
    n = columns.shape[1] // len(root)
    if np.array_equal(root, np.eye(len(root))):
        return Form(columns, columns)
    if n == 1:  # one level with all: nothing is sparse then
        Z = np.asarray(columns @ root)
        return Form(Z, Z)
    Z = sparse.csr_array(columns @ sparse.kron(sparse.csr_array(root), sparse.eye_array(n)))
    return Form(Z, Z)


def _sum_of_products(one: Any, other: Any) -> float:
    if sparse.issparse(one):
        return float(one.multiply(other).sum())
    return float(other.multiply(one).sum() if sparse.issparse(other) else (one * other).sum())
