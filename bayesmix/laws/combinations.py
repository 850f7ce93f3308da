"""Linear combinations of effects at the conditional modes: exact moments, by linear algebra."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse, special

from bayesmix.errors import NotSupportedError
from bayesmix.gaussian.rowvariance import RowVariance
from bayesmix.laws.averages import Cells
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import Rows

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.gaussian.conditional import Conditional

__all__ = ["Combinations", "ModeSource", "NormalEffects"]

_CHUNK = 4_000_000  # numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Combinations:
    """Linear combinations x' beta + v' b + offset of the effects, K of them.

    Attributes
    ----------
    X : ndarray, shape (K, p)
    offset : ndarray, shape (K,)
    V : mapping of str to sparse matrix, shape (K, G q)
        By grouping factor, coefficients of the effects of its levels.
    new : mapping of str to sparse matrix, shape (K, levels q)
        The same for levels that were not seen.
    """

    X: np.ndarray
    offset: np.ndarray
    V: Mapping[str, sparse.csr_matrix]
    new: Mapping[str, sparse.csr_matrix]


class NormalEffects:
    """The normal distribution of (beta, b) given the variance parameters.

    Parameters
    ----------
    conditional : Conditional
    row_variance : callable
        Returns the factored precision of all effects; called where levels play a part.
    roots : mapping of str to ndarray, shape (q, q)
        Roots of the covariance of each grouping factor's effects.
    """

    def __init__(
        self,
        conditional: Conditional,
        row_variance: Callable[[], RowVariance],
        roots: Mapping[str, np.ndarray],
    ) -> None:
        self._conditional = conditional
        self._row_variance = row_variance
        self._roots = roots

    def combined(self, parts: Sequence[Rows], A: sparse.csr_matrix) -> list[Combinations]:
        """Combine rows by A, shape (K, n); a new level of one part is the same in the others."""
        known = {
            name: _numbered(np.concatenate([rows.new_levels[name] for rows in parts]))
            for name in parts[0].index
        }
        return [self._combined(rows, A, known) for rows in parts]

    def _combined(
        self, rows: Rows, A: sparse.csr_matrix, known: Mapping[str, Mapping[str, int]]
    ) -> Combinations:
        V, new = {}, {}
        for name, index in rows.index.items():
            Z, (G, _) = rows.Z[name], self._conditional.b[name].shape
            V[name] = A @ _spread(Z, index, G)
            # A level that was not seen has its effects from the group distribution, the same
            # in all of its rows; where it is missing, each row has its own.
            unseen, number = np.flatnonzero(index < 0), known[name]
            at = np.full(len(index), -1, dtype=np.int64)
            at[unseen] = [
                len(number) + row if label is None else number[label]
                for row, label in zip(unseen, rows.new_levels[name], strict=True)
            ]
            new[name] = A @ _spread(Z, at, len(number) + len(index))
        offset = np.zeros(A.shape[0]) if rows.offset is None else A @ rows.offset
        return Combinations(X=A @ rows.X, offset=offset, V=V, new=new)

    def width(self, rows: Rows) -> int:
        """How many numbers a combination has."""
        return sum(self._conditional.b[name].size for name in rows.index) + 1

    def mean(self, given: Combinations) -> np.ndarray:
        """Means, shape (K,)."""
        found = self._conditional
        mean: np.ndarray = given.X @ found.beta + given.offset
        for name, V in given.V.items():
            mean = mean + V @ found.b[name].ravel()
        return mean

    def covariance(self, a: Combinations, b: Combinations, *, pairs: bool = False) -> np.ndarray:
        """Covariance of each combination with its counterpart, shape (K,), or of all pairs.

        Parameters
        ----------
        a, b : Combinations
            K each.
        pairs : bool
            Whether each of `a` is taken with each of `b`: shape (K, K).
        """
        both = _all_pairs if pairs else _each_pair
        if not a.V:
            return both(a.X @ self._conditional.beta_cov, b.X)
        found = self._row_variance()
        rest_a, _, solved_a = _working(found, a, self._roots)
        rest_b, first_b, _ = _working(found, b, self._roots)
        out = np.zeros((len(a.X), len(b.X)) if pairs else len(a.X))
        if solved_a is not None:
            out += both(solved_a, first_b)
        out += both(rest_a @ found.covariance, rest_b)
        for name, V in a.new.items():
            if V.nnz:
                root = self._roots[name]
                out += both(_times_blocks(V, root), _times_blocks(b.new[name], root))
        return out


class ModeSource:
    """Averages under the normal distribution of the effects.

    Parameters
    ----------
    effects : NormalEffects
    """

    def __init__(self, effects: NormalEffects) -> None:
        self._effects = effects

    def summaries(self, cells: Cells, request: PredictionRequest) -> np.ndarray:
        """Return estimate, sd, lower and upper of each cell, shape (4, cells)."""
        if cells.name not in {"identity", "difference", "ratio"}:
            raise NotSupportedError(
                f"compare={cells.name!r} of a normal response, which may be below zero: take "
                '"difference" or "ratio"'
            )
        n, n_cells = len(cells.weight), cells.n_cells
        out = np.empty((2, n_cells))
        if cells.cell is None:
            step = max(1, _CHUNK // self._effects.width(cells.parts[0])) if n > 1 else 1
            for start in range(0, n, step):
                rows = np.arange(start, min(start + step, n))
                A = sparse.csr_matrix(
                    (cells.weight[rows], (np.arange(len(rows)), rows)), shape=(len(rows), n)
                )
                out[:, rows] = self._moments(cells, A)
        else:
            A = sparse.csr_matrix((cells.weight, (cells.cell, np.arange(n))), shape=(n_cells, n))
            out[:] = self._moments(cells, A)
        estimate, sd = out
        z = special.ndtri((1 + request.ci_prob) / 2)
        return np.stack([estimate, sd, estimate - z * sd, estimate + z * sd])

    def _moments(self, cells: Cells, A: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of what is made of the averages A."""
        effects = self._effects
        parts = effects.combined(cells.parts, A)
        means = [effects.mean(part) for part in parts]
        if cells.name == "identity":
            return means[0], _root(effects.covariance(parts[0], parts[0]))
        if cells.name == "difference":
            both = _minus(*parts)
            return means[0] - means[1], _root(effects.covariance(both, both))
        high, low = means
        with np.errstate(all="ignore"):
            ratio = high / low
            # Delta method: d(h / l) = (dh - (h / l) dl) / l.
            variance = (
                effects.covariance(parts[0], parts[0])
                - 2 * ratio * effects.covariance(parts[0], parts[1])
                + ratio**2 * effects.covariance(parts[1], parts[1])
            ) / low**2
        return ratio, _root(variance)


def _numbered(labels: np.ndarray) -> dict[str, int]:
    """Number the new levels; those that are missing have no number."""
    return {label: i for i, label in enumerate(dict.fromkeys(x for x in labels if x is not None))}


def _root(variance: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(variance, 0.0))


def _minus(a: Combinations, b: Combinations) -> Combinations:
    return Combinations(
        X=a.X - b.X,
        offset=a.offset - b.offset,
        V={name: V - b.V[name] for name, V in a.V.items()},
        new={name: V - b.new[name] for name, V in a.new.items()},
    )


def _spread(Z: np.ndarray, index: np.ndarray, n_levels: int) -> sparse.csr_matrix:
    """Put each row's values in the columns of its level; nothing where it has none."""
    n, q = Z.shape
    known = index >= 0
    rows = np.repeat(np.flatnonzero(known), q)
    at = (index[known].astype(np.int64)[:, None] * q + np.arange(q)).ravel()
    return sparse.csr_matrix((Z[known].ravel(), (rows, at)), shape=(n, n_levels * q))


def _each_pair(a: Any, b: Any) -> np.ndarray:
    """Products of rows with their counterparts, shape (K,)."""
    if sparse.issparse(a):
        return np.asarray(a.multiply(b).sum(axis=1)).ravel()
    return np.einsum("ki,ki->k", a, b)


def _all_pairs(a: Any, b: Any) -> np.ndarray:
    """Products of each row with each, shape (K, K)."""
    found = a @ b.T
    return np.asarray(found.toarray() if sparse.issparse(found) else found)


def _times_blocks(V: sparse.csr_matrix, block: np.ndarray) -> sparse.csr_matrix:
    """V times a block-diagonal matrix with the same block for each level."""
    n_levels = V.shape[1] // len(block)
    return (V @ sparse.kron(sparse.identity(n_levels), block, format="csr")).tocsr()


def _of_factor(
    group: GroupingFactor, given: Combinations, roots: Mapping[str, np.ndarray]
) -> sparse.csr_matrix:
    """Coefficients of a factor's standard normal u; nothing where it plays no part."""
    if group.name not in given.V:
        return sparse.csr_matrix((len(given.X), group.n_levels * group.n_effects))
    return _times_blocks(given.V[group.name], roots[group.name])


def _working(
    found: RowVariance, given: Combinations, roots: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, sparse.csr_matrix | None, sparse.csr_matrix | None]:
    """Combinations of standard normal u, the eliminated factor's apart.

    With the precision matrix [[K, B], [B', M]] the covariance of v and w is
    v1' K^-1 w1 + (v2 - B' K^-1 v1)' S (w2 - B' K^-1 w1), S the covariance of the rest.
    """
    parts = [_of_factor(g, given, roots) for g in found.others]
    rest = sparse.hstack([*parts, sparse.csr_matrix(given.X)]).toarray()
    if found.first is None:
        return rest, None, None
    g = found.first
    v = _of_factor(g, given, roots)
    n = g.n_levels
    inverse = sparse.bsr_matrix(
        (found.K_inverse, np.arange(n), np.arange(n + 1)), shape=(n * g.n_effects,) * 2
    )
    solved = (v @ inverse).tocsr()
    rest = rest - (solved @ found.B).toarray()
    return rest, v, solved
