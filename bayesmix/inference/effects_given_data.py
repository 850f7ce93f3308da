"""The group effects given the data and the parameters, beyond a normal law at their mode.

Numbers only. Effects are b = root u with u standard normal a priori; `LogDensity` maps linear
predictors, shape (n, S), to the rows' log densities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

__all__ = ["Block", "LogDensity", "adaptive_points", "correct_draws", "scalar_law"]

LogDensity = Callable[[np.ndarray], np.ndarray]

_POINTS = 41
_DF = 5.0  # of the proposals, whose tails are to be heavier than any effect's
_STILL, _STILL_OF_A_LEVEL = 0.003, 0.05  # share of the draws that may not have moved
_FEWEST, _MOST = 3, 60  # sweeps
_TOGETHER = 8  # sweeps where factors have to find each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The effects of one grouping factor.

    Attributes
    ----------
    V : ndarray, shape (n, q)
        Columns of u, which are those of the effects times their root.
    index : ndarray of int, shape (n,)
        Level of each row.
    n_levels : int
    """

    V: np.ndarray
    index: np.ndarray
    n_levels: int

    def part(self, u: np.ndarray) -> np.ndarray:
        """Sum v' u of each row, shape (n, S), for u of shape (G, q, S)."""
        out: np.ndarray = self.V[:, 0, None] * u[self.index, 0]
        for k in range(1, self.V.shape[1]):
            out += self.V[:, k, None] * u[self.index, k]
        return out

    def total(self) -> sparse.csr_matrix:
        """Sum over the rows of each level, a matrix of shape (G, n)."""
        n = len(self.index)
        return sparse.csr_matrix((np.ones(n), (self.index, np.arange(n))), shape=(self.n_levels, n))

    def precision(self, weights: np.ndarray) -> np.ndarray:
        """Curvature of each level's log density in u where rows weigh `weights`, (G, q, q)."""
        rows = np.einsum("ni,n,nj->nij", self.V, np.maximum(weights, 0.0), self.V)
        q = self.V.shape[1]
        found = np.asarray(self.total() @ rows.reshape(len(rows), -1)).reshape(-1, q, q)
        return found + np.eye(q)


def scalar_law(
    log_density: LogDensity, fixed: np.ndarray, block: Block, mode: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Integrate over one effect a level, by adaptive quadrature.

    The points are centred at each level's mode and spread by its curvature first, then at its
    mean by its standard deviation (Naylor and Smith), which holds for skewed effects too.

    Parameters
    ----------
    log_density : callable
    fixed : ndarray, shape (n,)
        Linear predictor without the effects.
    block : Block
        With one effect a level.
    mode : ndarray, shape (G,)
    weights : ndarray, shape (n,)
        Curvature of each row's log density at the mode.

    Returns
    -------
    u : ndarray, shape (G, K)
    probability : ndarray, shape (G, K)
        Probability of each point; a level's sum to 1.

    References
    ----------
    Naylor, J. C. and Smith, A. F. M. (1982). Applications of a method for the efficient
    computation of posterior distributions. Applied Statistics 31, 214-225.
    """
    total, v = block.total(), block.V[:, 0]

    def likelihood(u: np.ndarray) -> np.ndarray:
        terms = np.empty(u.shape)
        for k in range(u.shape[1]):
            terms[:, k] = total @ log_density((fixed + v * u[block.index, k])[:, None])[:, 0]
        return terms

    return adaptive_points(likelihood, mode, block.precision(weights)[:, 0, 0])


def adaptive_points(
    likelihood: Callable[[np.ndarray], np.ndarray], mode: np.ndarray, precision: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points of standard normal effects and their probabilities given the data, as `scalar_law`.

    Parameters
    ----------
    likelihood : callable
        From points, shape (G, K), to the log density of each level's rows there.
    mode, precision : ndarray, shape (G,)
        Where the points begin, and how far they spread.
    """
    nodes, at_nodes = np.polynomial.hermite_e.hermegauss(_POINTS)
    log_weights = np.log(at_nodes) + nodes**2 / 2
    centre, scale = mode.copy(), 1.0 / np.sqrt(precision)
    for _ in range(4):
        u = centre[:, None] + scale[:, None] * nodes
        terms = log_weights - u**2 / 2 + likelihood(u)
        terms[np.isnan(terms)] = -np.inf
        probability = np.exp(terms - terms.max(axis=1, keepdims=True))
        probability /= probability.sum(axis=1, keepdims=True)
        centre = (probability * u).sum(axis=1)
        scale = np.sqrt((probability * (u - centre[:, None]) ** 2).sum(axis=1))
    return u, probability


def correct_draws(
    log_density: LogDensity,
    fixed: np.ndarray,
    blocks: Sequence[Block],
    u: Sequence[np.ndarray],
    modes: Sequence[np.ndarray],
    eta_mode: np.ndarray,
    weights: np.ndarray,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Turn draws of a normal approximation into draws of the effects given the data.

    Each draw is the start of a Markov chain at its own parameters. A sweep proposes new
    effects, factor by factor and level by level, from a multivariate t distribution with
    the mean and the curvature that the normal approximation has given everything else, and
    accepts by Metropolis and Hastings. The weights of such proposals are bounded, and as
    the chains start near where they should be, a few sweeps are enough: they end when
    nearly all draws of every level have moved.

    Parameters
    ----------
    log_density : callable
    fixed : ndarray, shape (n, S)
        Linear predictors without the effects, of each draw.
    blocks : sequence of Block
        One for each grouping factor.
    u : sequence of ndarray, shape (G, q, S)
        Where the draws start; not changed.
    modes : sequence of ndarray, shape (G, q)
        Mode of u at the estimates.
    eta_mode, weights : ndarray, shape (n,)
        Linear predictor there, and the curvature of the rows' log density.
    rng : numpy Generator

    Returns
    -------
    list of ndarray, shape (G, q, S)

    References
    ----------
    Tierney, L. (1994). Markov chains for exploring posterior distributions. Annals of
    Statistics 22, 1701-1762.
    """
    u = [values.copy() for values in u]
    proposals = [_Proposal(block, weights, mode) for block, mode in zip(blocks, modes, strict=True)]
    still = [np.ones((len(values), values.shape[2]), dtype=bool) for values in u]
    eta = fixed + sum(block.part(values) for block, values in zip(blocks, u, strict=True))
    density = log_density(eta)
    for sweep in range(1, _MOST + 1):
        for f, proposal in enumerate(proposals):
            own = proposal.block.part(u[f])
            apart = (eta - own) - (eta_mode - proposal.part_at_mode)[:, None]
            centre = proposal.centre(apart)
            new, spread = proposal.draw(centre, rng)
            there = eta - own + proposal.block.part(new)
            found = log_density(there)
            with np.errstate(invalid="ignore"):
                gain = proposal.total @ (found - density)
                gain += ((u[f] ** 2).sum(axis=1) - (new**2).sum(axis=1)) / 2
                gain += proposal.log_density(proposal.distance(u[f] - centre))
                gain -= proposal.log_density(spread)
                take = np.log(rng.random(gain.shape)) < gain
            u[f] = np.where(take[:, None], new, u[f])
            rows = take[proposal.block.index]
            eta, density = np.where(rows, there, eta), np.where(rows, found, density)
            still[f] &= ~take
        enough = sweep >= (_FEWEST if len(blocks) == 1 else _TOGETHER)
        if enough and all(map(_have_moved, still)):
            break
    return u


def _have_moved(still: np.ndarray) -> bool:
    """Whether nearly all draws have moved, over all and of each level; `still` is (G, S)."""
    of_a_level = max(_STILL_OF_A_LEVEL, 1.5 / max(1, still.shape[1]))
    share = still.mean(axis=1)
    return bool(share.mean() <= _STILL and share.max() <= of_a_level) if still.size else True


def _least_spread(precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariances, and roots of them, of precisions that rounding has made singular, (G, q, q)."""
    values, vectors = np.linalg.eigh(precision)
    least = np.finfo(float).eps * values[:, -1:]
    root = vectors / np.sqrt(np.maximum(values, least))[:, None]
    return root @ root.swapaxes(1, 2), root


class _Proposal:
    """Proposals for the effects of one factor given all others."""

    def __init__(self, block: Block, weights: np.ndarray, mode: np.ndarray) -> None:
        self.block, self.mode, self.total = block, mode, block.total()
        self.part_at_mode = block.part(mode[:, :, None])[:, 0]
        precision = block.precision(weights)
        self._weighted = np.maximum(weights, 0.0)[:, None] * block.V
        try:
            self._covariance = np.linalg.inv(precision)
            self._root = np.linalg.cholesky(self._covariance)
        except np.linalg.LinAlgError:  # some direction is known to the last digit
            self._covariance, self._root = _least_spread(precision)
        self._inverse_root = np.linalg.inv(self._root)

    def centre(self, apart: np.ndarray) -> np.ndarray:
        """Mean of u where the other parts are `apart`, (n, S), from where they are at the mode."""
        pull = [self.total @ (column[:, None] * apart) for column in self._weighted.T]
        moved = np.einsum("gij,jgs->gis", self._covariance, np.stack(pull))
        centre: np.ndarray = self.mode[:, :, None] - moved
        return centre

    def draw(self, centre: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw u, (G, q, S), and say how far from the centre it is, (G, S)."""
        z = rng.standard_normal(centre.shape)
        z *= np.sqrt(_DF / rng.chisquare(_DF, (len(centre), 1, centre.shape[2])))
        return centre + np.einsum("gij,gjs->gis", self._root, z), (z**2).sum(axis=1)

    def distance(self, deviation: np.ndarray) -> np.ndarray:
        """Squared distance in standard deviations, (G, S)."""
        z = np.einsum("gij,gjs->gis", self._inverse_root, deviation)
        found: np.ndarray = (z**2).sum(axis=1)
        return found

    def log_density(self, distance: np.ndarray) -> np.ndarray:
        """Log density of the t distribution, up to a constant."""
        found: np.ndarray = -0.5 * (_DF + self.block.V.shape[1]) * np.log1p(distance / _DF)
        return found
