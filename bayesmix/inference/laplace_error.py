"""How far Laplace's approximation is from the integral, at its own optimum.

The approximation is poor where a level's rows say little of its effect, as with one or two
binary rows, and standard deviations then come out too small. Level by level and effect by
effect, the others held at their mode, the integral is taken by Gauss-Hermite quadrature. With
one scalar group term that is the exact correction of the log-likelihood; with several effects
it is the leading part of it, without what errors of different effects have in common.

References
----------
Joe, H. (2008). Accuracy of Laplace approximation for discrete response mixed models.
Computational Statistics and Data Analysis 52(12), 5066-5074.

Pinheiro, J. C. and Chao, E. C. (2006). Efficient Laplacian and adaptive Gaussian quadrature
algorithms for multilevel generalized linear mixed models. Journal of Computational and
Graphical Statistics 15(1), 58-81.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from bayesmix.gaussian.coordinates import Coordinates, factors_at
from bayesmix.gaussian.density import FixedPrior, flat_prior
from bayesmix.glmm.data import RowData
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.inference.determined import Determined
from bayesmix.inference.laplace import InnerMode, LaplaceOptimum, Priors, inner_mode, value_at
from bayesmix.inference.passes import blocks_at, row_values
from bayesmix.inference.quadrature import LevelRows

__all__ = ["GRAVE", "NOTICED", "Shift", "laplace_shifts"]

NOTICED = 0.25  # standard errors: an interval of 95 % then covers 94 %
GRAVE = 0.5  # standard errors: it covers 92 %
_WORTH_A_SEARCH = 0.1
_POINTS = 9
_NEVER = 1e10  # minus a log-likelihood that is not finite
_FARTHEST = 4.0  # standard errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Where a standard deviation would be without the approximation.

    Attributes
    ----------
    at : int
        Its place among the standard deviations.
    sd : float
        What it would be, about.
    errors : float
        How far that is, in standard errors, on the logarithmic scale (or whatever else
        the coordinate is).
    """

    at: int
    sd: float
    errors: float


def laplace_shifts(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior | None, priors: Priors,
    found: LaplaceOptimum, determined: Determined,
) -> list[Shift]:  # fmt: skip
    """Estimate how far the approximation moves each standard deviation.

    Along the profile of a standard deviation (the other parameters follow as the Hessian
    says) the corrected log-likelihood has a slope at the optimum. If a step of Newton's
    method from there is longer than a tenth of a standard error, its maximum is searched.
    A standard deviation of zero is left there: near zero the approximation has no error.

    Parameters
    ----------
    gp, co, prior, priors, found
        As of `maximise_laplace`.
    determined : Determined
        What is known of the coordinates.

    Returns
    -------
    list of Shift
        Those of `NOTICED` standard errors and more.
    """
    n_sd = co.n_sd
    correction = (_CorrectionInBlocks if gp.rows.is_stored else _CorrectionInMemory)(gp, co)
    fixed = flat_prior(gp.problem.n_fixed) if prior is None else prior
    lost, out = determined.lost(np.eye(len(found.x))), []

    def corrected(x: np.ndarray) -> float:
        x, u = np.ascontiguousarray(x), found.u.copy()
        value = value_at(gp, co, fixed, priors, x, u, np.empty(len(x)))
        return value + correction(x, u) if np.isfinite(value) else -np.inf

    for k in range(n_sd):
        variance = float(determined.covariance[k, k])
        if lost[k] or not variance > 0:
            continue
        se, along = np.sqrt(variance), determined.covariance[k] / variance
        h = min(0.1 * se, 0.1)
        up, down = (corrected(found.x + step * along) for step in (h, -h))
        slope = (up - down) / (2 * h)  # Laplace's own is zero there
        if not abs(slope) * se > _WORTH_A_SEARCH:
            continue
        sign, farthest = float(np.sign(slope)), min(_FARTHEST * se, 3.0)
        best = optimize.minimize_scalar(
            lambda s, sign=sign, along=along: min(-corrected(found.x + sign * s * along), _NEVER),
            bounds=(0.0, farthest), method="bounded",
            options={"maxiter": 8, "xatol": 0.05 * se},
        )  # fmt: skip
        moved = sign * float(best.x)
        if abs(moved) > NOTICED * se and best.fun < _NEVER:
            there = factors_at(co, np.ascontiguousarray(found.x + moved * along))
            out.append(
                Shift(at=k, sd=float(there.sd[co.effect_of_sd[k]]), errors=moved / float(se))
            )
    return out


class _Correction(ABC):
    """Log of the integral over each effect, relative to Laplace's approximation.

    Parameters
    ----------
    gp : GlmmProblem
    co : Coordinates
    """

    def __init__(self, gp: GlmmProblem, co: Coordinates) -> None:
        self._gp, self._co = gp, co
        nodes, weights = np.polynomial.hermite_e.hermegauss(_POINTS)
        self._nodes = nodes
        self._log_weights = np.log(weights) + nodes**2 / 2 - 0.5 * np.log(2 * np.pi)

    def __call__(self, x: np.ndarray, u: np.ndarray) -> float:
        gp, p = self._gp, self._gp.problem.n_fixed
        phi = gp.phi.values(x[self._co.n_x : len(x) - p])
        mode = inner_mode(
            gp, factors_at(self._co, x).L, phi, flat_prior(p), beta=x[len(x) - p :], u=u,
            with_fixed=False,
        )  # fmt: skip
        return self._at(mode, phi) if mode.status == 1 else -np.inf

    @abstractmethod
    def _at(self, mode: InnerMode, phi: np.ndarray) -> float:
        """Take the integrals at a mode, with the family's parameters."""


class _CorrectionInMemory(_Correction):
    """The integrals of rows in memory, factor by factor."""

    def __init__(self, gp: GlmmProblem, co: Coordinates) -> None:
        super().__init__(gp, co)
        self._levels = [LevelRows(gp, f) for f in range(len(gp.rows.z_start) - 1)]

    def _at(self, mode: InnerMode, phi: np.ndarray) -> float:
        parameters = np.append(phi, 1.0)
        return sum(self._of_factor(f, mode, parameters) for f in range(len(self._levels)))

    def _of_factor(self, f: int, mode: InnerMode, phi: np.ndarray) -> float:
        gp, levels = self._gp, self._levels[f]
        rows, eq = gp.rows, gp.problem.equations
        first, stop = int(rows.z_start[f]), int(rows.z_start[f + 1])
        q = stop - first
        L = mode.L[int(eq.L_start[f]) : int(eq.L_start[f + 1])].reshape(q, q)
        u = mode.u[int(rows.u_start[f]) : int(rows.u_start[f + 1])].reshape(-1, q)
        # Given the other levels: of related ones each has its own precision, and is pulled.
        between = gp.problem.groups[f].between
        pull = u if between is None else between.precision @ u
        precision = np.ones(len(u)) if between is None else np.diagonal(between.precision)
        eta = mode.eta[levels.order]
        center, total = levels(eta, phi), 0.0
        for k in range(q):
            if not L[:, k].any():
                continue
            z = (L[:, k] @ rows.Z[first:stop])[levels.order]
            curvature = precision + levels.sums(mode.weights[levels.order] * z**2)
            scale = 1.0 / np.sqrt(np.maximum(curvature, 1e-8))
            terms = np.empty((_POINTS, levels.n_levels))
            for i, node in enumerate(self._nodes):
                move = scale * node
                change = levels(eta + z * move[levels.level], phi) - center
                prior = move * pull[:, k] + precision * move**2 / 2
                terms[i] = change - prior + self._log_weights[i]
            top = terms.max(axis=0)
            total += float((top + np.log(np.exp(terms - top).sum(axis=0))).sum())
        return total


class _CorrectionInBlocks(_Correction):
    """The integrals of rows on disk: two more passes, for all effects together."""

    def _at(self, mode: InnerMode, phi: np.ndarray) -> float:
        if mode.passed is None:
            return -np.inf
        gp = self._gp
        effects = self._effects(mode.L)
        sums = [np.ones(n_levels) for _, _, _, n_levels in effects]
        for at in blocks_at(gp, mode.passed, phi):
            for k, (f, _, column, n_levels) in enumerate(effects):
                level, z = _by_level(at.rows, f, column)
                sums[k] += np.bincount(level, at.weights * z**2, minlength=n_levels)
        scales = [1.0 / np.sqrt(np.maximum(own, 1e-8)) for own in sums]
        changes = [np.zeros((_POINTS, n_levels)) for _, _, _, n_levels in effects]
        parameters = np.append(phi, 1.0)
        for at in blocks_at(gp, mode.passed, phi):
            for k, (f, _, column, n_levels) in enumerate(effects):
                level, z = _by_level(at.rows, f, column)
                for i, node in enumerate(self._nodes):
                    there = at.eta + z * (scales[k] * node)[level]
                    change = row_values(gp, at.rows, there, parameters) - at.value
                    changes[k][i] += np.bincount(level, change, minlength=n_levels)
        total = 0.0
        for k, (f, own, _, _) in enumerate(effects):
            start, stop = (int(gp.rows.u_start[j]) for j in (f, f + 1))
            q = int(gp.rows.z_start[f + 1] - gp.rows.z_start[f])
            pull = mode.u[start:stop].reshape(-1, q)[:, own]
            move = scales[k] * self._nodes[:, None]
            terms = changes[k] - move * pull - move**2 / 2 + self._log_weights[:, None]
            terms = np.where(np.isnan(terms), -np.inf, terms)
            top = terms.max(axis=0)
            total += float((top + np.log(np.exp(terms - top).sum(axis=0))).sum())
        return total

    def _effects(self, L: np.ndarray) -> list[tuple[int, int, np.ndarray, int]]:
        """Factor, place there, column of L and number of levels of each effect that varies."""
        rows, eq, found = self._gp.rows, self._gp.problem.equations, []
        for f, q in enumerate(eq.q.tolist()):
            block = L[int(eq.L_start[f]) : int(eq.L_start[f + 1])].reshape(q, q)
            n_levels = int(rows.u_start[f + 1] - rows.u_start[f]) // q
            found += [(f, k, block[:, k], n_levels) for k in range(q) if block[:, k].any()]
        return found


def _by_level(rows: RowData, f: int, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Level of each row in a factor, and how its predictor moves with one effect of it."""
    Z = rows.Z[rows.z_start[f] : rows.z_start[f + 1]]
    return rows.index[f] - rows.first[f], column @ Z
