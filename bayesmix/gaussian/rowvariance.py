"""Variance of v'(b, beta) given theta and y, for rows v of new data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg, sparse

from bayesmix.design import GroupingFactor, LinearPredictor
from bayesmix.errors import NotSupportedError

__all__ = [
    "MAX_DENSE", "RowVariance", "WeighedRows", "check_dense", "eliminated", "row_variance",
    "row_variance_of_parts",
]  # fmt: skip

MAX_DENSE = 6000  # columns of what is left when the largest factor is eliminated
_CHUNK = 4_000_000  # numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class RowVariance:
    """The precision matrix of all effects, factored for one theta.

    The group with the most columns is eliminated: its levels share no row, so their
    block K of the precision is block-diagonal. What is left is dense.

    Attributes
    ----------
    first : GroupingFactor or None
        The eliminated grouping factor.
    others : tuple of GroupingFactor
    roots : mapping of str to ndarray, shape (q, q)
        With b = root u, u standard normal.
    K_inverse : ndarray, shape (G, q, q)
        Blocks of the first factor, one per level.
    B : sparse matrix, shape (G q, m)
        Its products with the columns that are left.
    covariance : ndarray, shape (m, m)
        Covariance of the other factors' u and of beta, given y.
    """

    first: GroupingFactor | None
    others: tuple[GroupingFactor, ...]
    roots: Mapping[str, np.ndarray]
    K_inverse: np.ndarray
    B: sparse.csr_matrix
    covariance: np.ndarray

    def of_rows(
        self, X: np.ndarray, Z: Mapping[str, np.ndarray], index: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Variance of x' beta + z' b, shape (n,).

        Parameters
        ----------
        X : ndarray, shape (n, p)
        Z : mapping of str to ndarray, shape (n, q)
            For the grouping factors that play a part.
        index : mapping of str to ndarray of int, shape (n,)
            Level of each row, -1 where the row has no known level.
        """
        out = np.empty(len(X))
        step = max(1, _CHUNK // max(1, len(self.covariance)))
        for start in range(0, len(X), step):
            rows = slice(start, min(start + step, len(X)))
            out[rows] = self._chunk(
                X[rows],
                {name: values[rows] for name, values in Z.items()},
                {name: values[rows] for name, values in index.items()},
            )
        return out

    def _chunk(
        self, X: np.ndarray, Z: Mapping[str, np.ndarray], index: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        parts = [
            _columns(g, Z[g.name] @ self.roots[g.name], index[g.name])
            if g.name in index
            else sparse.csr_matrix((len(X), g.n_levels * g.n_effects))
            for g in self.others
        ]
        rest = sparse.hstack([*parts, sparse.csr_matrix(X)]).toarray()
        own = np.zeros(len(X))
        if self.first is not None and self.first.name in index:
            g = self.first
            at = index[g.name]
            v = Z[g.name] @ self.roots[g.name]
            t = np.einsum("nij,nj->ni", self.K_inverse[np.maximum(at, 0)], v)
            known = at >= 0
            own = np.where(known, np.einsum("ni,ni->n", t, v), 0.0)
            rest -= (_columns(g, t, at) @ self.B).toarray()
        return own + np.einsum("ni,ni->n", rest @ self.covariance, rest)

    def solve(self, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Multiply by the covariance of u, that of the fixed effects' part being left out.

        Parameters
        ----------
        given : mapping of str to ndarray, shape (G, q)
            A vector, by grouping factor; zero for the fixed effects.

        Returns
        -------
        dict of str to ndarray, shape (G, q)
        """
        rest = np.zeros(len(self.covariance))
        at = 0
        for g in self.others:
            rest[at : at + given[g.name].size] = given[g.name].ravel()
            at += given[g.name].size
        out, at = {}, 0
        if self.first is not None:
            solved = np.einsum("gij,gj->gi", self.K_inverse, given[self.first.name])
            rest = self.covariance @ (rest - self.B.T @ solved.ravel())
            pull = (self.B @ rest).reshape(solved.shape)
            out[self.first.name] = solved - np.einsum("gij,gj->gi", self.K_inverse, pull)
        for g in self.others:
            size = g.n_levels * g.n_effects
            out[g.name] = rest[at : at + size].reshape(g.n_levels, g.n_effects)
            at += size
        return out

    def with_fixed(self, fixed: np.ndarray) -> RowVariance:
        """Return the same with another covariance of the fixed effects.

        That of b given beta stays as it is, and so does how b moves with beta.

        Parameters
        ----------
        fixed : ndarray, shape (p, p)
        """
        p = len(fixed)
        at = slice(len(self.covariance) - p, None)
        moves = np.linalg.solve(self.covariance[at, at], self.covariance[at]).T
        moves[at] = np.eye(p)  # to the last digit, however little a column's rows say
        difference = fixed - self.covariance[at, at]
        return replace(self, covariance=self.covariance + moves @ difference @ moves.T)

    def draw(
        self, levels: Mapping[str, np.ndarray], n_draws: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Draw deviations of (beta, b) from their mean, jointly.

        Parameters
        ----------
        levels : mapping of str to ndarray of int
            By grouping factor, the levels whose effects are wanted.
        n_draws : int
        rng : numpy Generator

        Returns
        -------
        beta : ndarray, shape (p, S)
        b : dict of str to ndarray, shape (q, levels, S)
        """
        m = len(self.covariance)
        values, vectors = np.linalg.eigh(self.covariance)
        half = vectors * np.sqrt(np.maximum(values, 0.0))
        rest = half @ rng.standard_normal((m, n_draws))
        out, at = {}, 0
        for g in self.others:
            size = g.n_levels * g.n_effects
            if g.name in levels:
                u = rest[at : at + size].reshape(g.n_levels, g.n_effects, n_draws)
                out[g.name] = self._effects(g, u[levels[g.name]])
            at += size
        if self.first is not None and self.first.name in levels:
            g, wanted = self.first, levels[self.first.name]
            q = g.n_effects
            columns = (wanted[:, None] * q + np.arange(q)).ravel()
            u = rng.standard_normal((len(wanted), q, n_draws))
            given = (self.B[columns] @ rest).reshape(len(wanted), q, n_draws)
            K_inverse = self.K_inverse[wanted]
            u = np.linalg.cholesky(K_inverse) @ u - K_inverse @ given
            out[g.name] = self._effects(g, u)
        return rest[at:], out

    def _effects(self, group: GroupingFactor, u: np.ndarray) -> np.ndarray:
        """Turn u, shape (levels, q, S), into b = root u, shape (q, levels, S)."""
        return np.einsum("ik,gks->igs", self.roots[group.name], u)


def row_variance(
    predictor: LinearPredictor,
    roots: Mapping[str, np.ndarray],
    precision: np.ndarray,
    prior_precision: np.ndarray,
    whitening: sparse.csr_matrix | None = None,
) -> RowVariance:
    """Factor the precision matrix of all effects.

    Parameters
    ----------
    predictor : LinearPredictor
    roots : mapping of str to ndarray, shape (q, q)
        By grouping factor, a root of the covariance of its effects.
    precision : ndarray, shape (n,)
        Inverse residual variance of each row.
    prior_precision : ndarray, shape (p, p)
        Prior precision of the fixed effects; zero where their prior is flat.
    whitening : sparse matrix, shape (n, n), optional
        W with R^-1 = W' W where residuals are correlated; `precision` is not read then.

    Returns
    -------
    RowVariance

    Raises
    ------
    NotSupportedError
        If more than `MAX_DENSE` columns are left.
    """
    order = sorted(
        predictor.groups, key=lambda g: (g.between is not None, -g.n_levels * g.n_effects)
    )
    W = sparse.eye_array(len(precision)).tocsr() if whitening is None else whitening
    pairs = W.nonzero()
    # Related levels are no blocks of their own, and what changes within a series of correlated
    # residuals has none: they are never the eliminated ones.
    whole = [
        g
        for g in order
        if g.between is None and np.array_equal(g.index[pairs[0]], g.index[pairs[1]])
    ]
    first = whole[0] if whole else None
    others = tuple(g for g in order if g is not first)
    m = sum(g.n_levels * g.n_effects for g in others) + predictor.X.shape[1]
    check_dense(m)
    if whitening is not None:
        precision = np.ones(len(precision))
    weights = sparse.diags(precision)
    blocks = [_columns(g, g.Z @ roots[g.name], g.index) for g in others]
    A = (W @ sparse.hstack([*blocks, sparse.csr_matrix(predictor.X)])).tocsr()
    M = (A.T @ weights @ A).toarray()
    _add_priors(M, others, prior_precision)
    if first is None:
        none = np.zeros((0, 0, 0)), sparse.csr_matrix((0, m))
        return eliminated(None, others, roots, *none, M)
    V = W @ (first.Z @ roots[first.name])
    q = first.n_effects
    K = _products_by_level(first, V, first.index, precision)
    K[:, range(q), range(q)] += 1.0
    B = (_columns(first, V, first.index).T @ weights @ A).tocsr()
    return eliminated(first, others, roots, K, B, M)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighedRows:
    """Some rows of a design, with their precisions.

    Attributes
    ----------
    X : ndarray, shape (n, p)
    Z : mapping of str to ndarray, shape (n, q)
    index : mapping of str to ndarray of int, shape (n,)
    precision : ndarray, shape (n,)
    """

    X: np.ndarray
    Z: Mapping[str, np.ndarray]
    index: Mapping[str, np.ndarray]
    precision: np.ndarray


def row_variance_of_parts(
    groups: Sequence[GroupingFactor], roots: Mapping[str, np.ndarray],
    parts: Iterable[WeighedRows], prior_precision: np.ndarray,
) -> RowVariance:  # fmt: skip
    """Factor the precision matrix of all effects, of rows that come in parts.

    Parameters
    ----------
    groups : sequence of GroupingFactor
        With independent levels; of their rows nothing is asked.
    roots, prior_precision
        As of `row_variance`.
    parts : iterable of WeighedRows

    Raises
    ------
    NotSupportedError
        If more than `MAX_DENSE` columns are left.
    """
    order = sorted(groups, key=lambda g: -g.n_levels * g.n_effects)
    first, others = (order[0] if order else None), tuple(order[1:])
    m = sum(g.n_levels * g.n_effects for g in others) + len(prior_precision)
    check_dense(m)
    M, B = sparse.csr_matrix((m, m)), None
    q = 0 if first is None else first.n_effects
    K = np.zeros((0 if first is None else first.n_levels, q, q))
    for part in parts:
        blocks = [_columns(g, part.Z[g.name] @ roots[g.name], part.index[g.name]) for g in others]
        A = sparse.hstack([*blocks, sparse.csr_matrix(part.X)]).tocsr()
        weighted = sparse.diags(part.precision) @ A
        M = M + A.T @ weighted
        if first is not None:
            V, index = part.Z[first.name] @ roots[first.name], part.index[first.name]
            K += _products_by_level(first, V, index, part.precision)
            added = (_columns(first, V, index).T @ weighted).tocsr()
            B = added if B is None else B + added
    K[:, range(q), range(q)] += 1.0
    dense = M.toarray()
    _add_priors(dense, others, prior_precision)
    none = sparse.csr_matrix((len(K) * q, m))
    return eliminated(first, others, roots, K, none if B is None else B, dense)


def _add_priors(
    M: np.ndarray, others: Sequence[GroupingFactor], prior_precision: np.ndarray
) -> None:
    """Add the prior precision of the effects that are left, and of the fixed ones."""
    start = 0
    for g in others:
        at = np.arange(start, start + g.n_levels * g.n_effects)
        start += len(at)
        if g.between is None:
            M[at, at] += 1.0
        else:
            M[np.ix_(at, at)] += np.kron(g.between.precision, np.eye(g.n_effects))
    M[start:, start:] += prior_precision


def _products_by_level(
    group: GroupingFactor, V: np.ndarray, index: np.ndarray, precision: np.ndarray
) -> np.ndarray:
    """V'PV of each level's rows, shape (G, q, q)."""
    q = group.n_effects
    K = np.zeros((group.n_levels, q, q))
    for i in range(q):
        for j in range(q):
            K[:, i, j] = np.bincount(index, precision * V[:, i] * V[:, j], minlength=group.n_levels)
    return K


def check_dense(m: int) -> None:
    """Refuse to hold the covariance of more effects than memory should.

    Raises
    ------
    NotSupportedError
    """
    if m > MAX_DENSE:
        raise NotSupportedError(
            f"the prediction error needs the covariance of {m} effects at once, and at most "
            f'{MAX_DENSE} are held in memory; take groups="population", or predict from fit()'
        )


def eliminated(
    first: GroupingFactor | None, others: tuple[GroupingFactor, ...],
    roots: Mapping[str, np.ndarray], K: np.ndarray, B: sparse.csr_matrix, M: np.ndarray,
) -> RowVariance:  # fmt: skip
    """Eliminate a factor's effects from the precision matrix of all.

    Parameters
    ----------
    first : GroupingFactor or None
        The factor, if there is one.
    others : tuple of GroupingFactor
    roots : mapping of str to ndarray
    K : ndarray, shape (levels, q, q)
        Its blocks of the precision matrix.
    B : sparse matrix, shape (levels x q, m)
        What they have in common with the effects that are left.
    M : ndarray, shape (m, m)
        The precision matrix of the latter, then of the fixed effects; changed.
    """
    K_inverse = _inverses(K)
    if first is not None:
        n_blocks, size = first.n_levels, first.n_levels * first.n_effects
        solved = sparse.bsr_matrix(
            (K_inverse, np.arange(n_blocks), np.arange(n_blocks + 1)), shape=(size, size)
        )
        M -= (B.T @ (solved @ B)).toarray()
    return RowVariance(
        first=first, others=others, roots=roots, K_inverse=K_inverse, B=B, covariance=_inverse(M)
    )


def _columns(group: GroupingFactor, V: np.ndarray, index: np.ndarray) -> sparse.csr_matrix:
    """Spread each row's values over the columns of its level; nothing where it has none."""
    n, q = V.shape
    known = index >= 0
    rows = np.repeat(np.flatnonzero(known), q)
    at = (index[known].astype(np.int64)[:, None] * q + np.arange(q)).ravel()
    return sparse.csr_matrix((V[known].ravel(), (rows, at)), shape=(n, group.n_levels * q))


def _inverses(K: np.ndarray) -> np.ndarray:
    """Inverse of each level's block; NaN where weights too large for a double left none."""
    try:
        return np.linalg.inv(K)
    except np.linalg.LinAlgError:
        return np.stack([_inverse(block) for block in K])


def _inverse(M: np.ndarray) -> np.ndarray:
    """Inverse of a positive definite matrix, its rows brought to one scale first.

    NaN where rounding, or effects too large for a double, left none.
    """
    if not len(M):
        return M
    diagonal = np.diag(M)
    unknown = np.full_like(M, np.nan)
    if not (np.isfinite(M).all() and (diagonal > 0).all()):
        return unknown
    scale = 1.0 / np.sqrt(diagonal)
    try:
        factor = linalg.cho_factor(M * scale[:, None] * scale, lower=True)
    except linalg.LinAlgError:
        return unknown
    found: np.ndarray = linalg.cho_solve(factor, np.diag(scale)) * scale[:, None]
    return (found + found.T) / 2
