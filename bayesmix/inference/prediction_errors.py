"""Errors of crossed effects where their covariance matrix is nowhere whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from bayesmix.design import LinearPredictor
from bayesmix.gaussian.scaling import Scaling
from bayesmix.inference.conjugate import CrossedBlocks, CrossedEquations
from bayesmix.inference.crossed_sums import CrossedSums, level_columns
from bayesmix.inference.iterative import PROBES, IterativeOptimum

__all__ = ["PredictionErrors"]


class PredictionErrors:
    """Errors of all effects, by solutions for perturbed right-hand sides.

    Parameters
    ----------
    sums : CrossedSums
    predictor : LinearPredictor
    weights : ndarray, shape (n,), or None
    scaling : Scaling
    optimum : IterativeOptimum

    References
    ----------
    Papandreou, G. and Yuille, A. (2010). Gaussian sampling by local perturbations. Advances in
    Neural Information Processing Systems 23.
    """

    def __init__(
        self, sums: CrossedSums, predictor: LinearPredictor, weights: np.ndarray | None,
        scaling: Scaling, optimum: IterativeOptimum,
    ) -> None:  # fmt: skip
        root = np.ones(sums.n) if weights is None else np.sqrt(weights)
        self._sums, self._variance = sums, optimum.variance
        self._X = (predictor.X - scaling.X_shift) / scaling.X_scale * root[:, None]
        B = sparse.hstack(
            [level_columns(predictor.groups[k], root) for k in sums.order], format="csr"
        )
        self._by_level = B.T.tocsr()
        self._parts = CrossedBlocks(sums)
        self._eq = CrossedEquations(
            sums, self._parts, [np.linalg.cholesky(G) for G in optimum.covariances]
        )
        self._known = self._eq.times_root(sums.ZX, transposed=True)
        self._UX = self._eq.solve(self._known)
        self._precision = sums.XX - self._known.T @ self._UX

    def draws(self, n_draws: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
        """Draw errors.

        Parameters
        ----------
        n_draws : int
        rng : Generator

        Returns
        -------
        beta : ndarray, shape (p, S)
            In working units.
        b : list of ndarray, shape (G, q, S)
            By factor as in the sums.
        """
        sums = self._sums
        beta, b = np.empty((len(sums.Xy), n_draws)), [np.empty((*g, n_draws)) for g in sums.shapes]
        for some, of_beta, u, _ in self._pieces(n_draws, rng):
            beta[:, some] = of_beta
            found = self._eq.times_root(u)
            for own, size, at in zip(b, sums.shapes, sums.starts[:-1].tolist(), strict=True):
                own[:, :, some] = found[at : at + size[0] * size[1]].reshape(*size, -1)
        sigma = np.sqrt(self._variance)
        return beta * sigma, [own * sigma for own in b]

    def variances(
        self, n_draws: int, rng: np.random.Generator
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Prediction error variances of effects, and those given the fixed effects, (G, q) each.

        The variance of a level's effects given all others is exact; that of their conditional
        mean, mostly a small part of the whole, is an average over draws.
        """
        sums, eq = self._sums, self._eq
        inverse = [
            np.linalg.inv(np.eye(len(L)) + np.einsum("ki,gkl,lj->gij", L, own, L))
            for L, own in zip(eq.L, self._parts.own, strict=True)
        ]
        found = [[np.zeros((*size, size[1])) for size in sums.shapes] for _ in range(2)]
        for _, beta, u, given in self._pieces(n_draws, rng):
            for into, error, of_beta in ((found[0], u, beta), (found[1], given, None)):
                whole = error + eq.times_root(sums.N @ eq.times_root(error), transposed=True)
                if of_beta is not None:
                    whole += self._known @ of_beta
                for f, (levels, q) in enumerate(sums.shapes):
                    here = slice(*sums.starts[f : f + 2].tolist())
                    own = error[here].reshape(levels, q, -1)
                    mean = own - inverse[f] @ whole[here].reshape(levels, q, -1)
                    into[f] += np.einsum("gis,gjs->gij", mean, mean) / n_draws
        return tuple(
            [
                self._variance * np.einsum("ik,gkl,il->gi", L, block + own, L)
                for L, block, own in zip(eq.L, inverse, blocks, strict=True)
            ]
            for blocks in found
        )  # type: ignore[return-value]

    def _pieces(
        self, n_draws: int, rng: np.random.Generator
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
        """Some draws at a time: errors of beta, of u, and of u given beta, where sigma is 1."""
        sums, p = self._sums, len(self._sums.Xy)
        step = max(1, min(PROBES, 32_000_000 // sums.n))
        for start in range(0, n_draws, step):
            some = slice(start, min(start + step, n_draws))
            noise = rng.standard_normal((sums.n, some.stop - start))
            f = self._eq.times_root(np.asarray(self._by_level @ noise), transposed=True)
            f += rng.standard_normal(f.shape)
            given = self._eq.solve(f)
            beta = np.zeros((0, noise.shape[1]))
            if p:
                beta = np.linalg.solve(self._precision, self._X.T @ noise - self._known.T @ given)
            yield some, beta, given - self._UX @ beta, given
