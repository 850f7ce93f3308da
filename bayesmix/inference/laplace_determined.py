"""What Laplace's approximation, or quadrature, knows of the parameters at its maximum."""

from __future__ import annotations

import numpy as np

from bayesmix.gaussian.coordinates import Coordinates, factors_at
from bayesmix.gaussian.density import FixedPrior, flat_prior
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.inference.determined import Determined, determined_at
from bayesmix.inference.laplace import (
    InnerMode,
    LaplaceOptimum,
    Priors,
    curvature,
    inner_mode,
)
from bayesmix.inference.passes import Passed
from bayesmix.inference.quadrature import QuadratureMarginal
from bayesmix.inference.separation import null_space, rising_directions
from bayesmix.inference.stored_limits import (
    Rises,
    all_reproduced,
    curvature_of_fixed,
    held_directions,
    separated_in_blocks,
    silent_in_blocks,
)

__all__ = [
    "determined_of", "mode_of", "one_sided_rows", "own_weights", "reproduced", "row_densities",
    "separated", "silent",
]  # fmt: skip

_NEAR = 0.05  # log density of a row whose likelihood has all but reached 1
_RISEN = 2.5  # of a factor on the scale of the link
_MANY = 50_000  # entries of the design, beyond which linear programming costs seconds
_LEAST = 1e-4  # weight of a row in the size of steps, relative to the mean


def mode_of(gp: GlmmProblem, co: Coordinates, found: LaplaceOptimum) -> InnerMode:
    """Return the mode of the effects given the parameters at the optimum."""
    x, p = found.x, gp.problem.n_fixed
    phi = gp.phi.values(x[co.n_x : len(x) - p])
    return inner_mode(
        gp, factors_at(co, x).L, phi, flat_prior(p), beta=x[len(x) - p :], u=found.u,
        with_fixed=False,
    )  # fmt: skip


def _passed(gp: GlmmProblem, co: Coordinates, found: LaplaceOptimum) -> tuple[Passed, np.ndarray]:
    """The same of rows on disk, and the family's parameters there."""
    mode = mode_of(gp, co, found).passed
    assert mode is not None  # noqa: S101, for mypy
    return mode, gp.phi.values(found.x[co.n_x : len(found.x) - gp.problem.n_fixed])


def row_densities(
    gp: GlmmProblem, eta: np.ndarray, phi: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log density of each row and its derivative in the linear predictor, shape (n,) each."""
    rows, n = gp.rows, len(eta)
    value, first, second = np.full(n, -np.inf), np.zeros(n), np.empty(n)
    gp.kernel(
        rows.link, n, rows.y, rows.trials, np.ascontiguousarray(eta),
        np.append(np.asarray(phi, dtype=np.float64), 1.0), 2, value, first, second,
        np.zeros(len(phi) + 4),
    )  # fmt: skip
    return value, first


def separated(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior, found: LaplaceOptimum,
    rises: np.ndarray | Rises, *, thorough: bool = False,
) -> np.ndarray:  # fmt: skip
    """Directions of the working coefficients along which the likelihood rises for ever.

    With many rows only those are asked whose likelihood has come near 1, as where a search
    ends all do that are separated; the others take part through what they determine, which
    is mostly all there is.

    Parameters
    ----------
    gp, co, found
    prior : FixedPrior
        What it holds does not run away.
    rises : ndarray, shape (n,), or callable
        As the family's `rises` gives it; of rows on disk what gives it for a block of them.
    thorough : bool
        Whether all rows are asked however many they are.

    Returns
    -------
    ndarray, shape (p, k)
    """
    p = gp.problem.n_fixed
    if not (p and np.isfinite(found.x).all()):
        return np.zeros((p, 0))
    if not isinstance(rises, np.ndarray):
        near = np.inf if thorough else _NEAR
        held = held_directions(prior)
        return separated_in_blocks(gp, *_passed(gp, co, found), held, rises, near)
    unknown = silent(gp, prior, rises)
    if not (np.abs(rises) > 0).any() or unknown.shape[1] == p:
        return unknown
    mode = mode_of(gp, co, found)
    phi = gp.phi.values(found.x[co.n_x : len(found.x) - p])
    value, score = row_densities(gp, mode.eta, phi)
    if not thorough and gp.rows.X.size > _MANY and mode.status == 1:
        rises = np.where((value > -_NEAR) | np.isnan(rises), rises, 0.0)
    says = gp.rows.says & ~np.isnan(rises)
    held = held_directions(prior)
    X = np.concatenate([gp.rows.X.T[says], held])
    none = np.zeros(len(held))
    beside = np.linalg.svd(unknown, full_matrices=True)[0][:, unknown.shape[1] :]
    X = X @ beside if unknown.shape[1] else X
    found_rising = rising_directions(
        X, np.append(rises[says], none), np.append(np.abs(score[says]), none)
    )
    if not unknown.shape[1]:
        return found_rising
    return np.concatenate([unknown, beside @ found_rising], axis=1)


def silent(gp: GlmmProblem, prior: FixedPrior, rises: np.ndarray | Rises) -> np.ndarray:
    """Directions in which no row moves that says anything.

    A level whose rows have no trials, or a least count that all counts have by design, is
    one of which the data tell nothing, neither an estimate nor a limit.

    Parameters
    ----------
    gp, prior, rises
        As of `separated`.

    Returns
    -------
    ndarray, shape (p, k)
    """
    if not isinstance(rises, np.ndarray):
        return silent_in_blocks(gp, held_directions(prior), rises)
    says = gp.rows.says & ~np.isnan(rises)
    if says.all():
        return np.zeros((gp.problem.n_fixed, 0))
    X = np.concatenate([gp.rows.X.T[says], held_directions(prior)])
    return null_space(X, gp.problem.n_fixed)


def one_sided_rows(
    gp: GlmmProblem, co: Coordinates, found: LaplaceOptimum,
    factors: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Columns of the factors of ordered categories' likelihoods, and which have all but risen.

    Parameters
    ----------
    gp, co, found
    factors : tuple of ndarray
        As the family's `one_sided` gives them.

    Returns
    -------
    ndarray, shape (m, p + T)
        Their columns are those of the working coefficients, then of the thresholds.
    ndarray, shape (m,)
        1 where a factor is near its bound where the search has ended, and 0 elsewhere.
    """
    row, sign, T = factors
    says = gp.rows.says[row]
    row, sign, T = row[says], sign[says], T[says]
    x, p = found.x, gp.problem.n_fixed
    distance = sign * mode_of(gp, co, found).eta[row] + T @ gp.phi.values(x[co.n_x : len(x) - p])
    X = np.concatenate([sign[:, None] * gp.rows.X.T[row], T], axis=1)
    return X, np.where(distance > _RISEN, 1.0, 0.0)


def reproduced(
    gp: GlmmProblem, co: Coordinates, found: LaplaceOptimum, rises: np.ndarray | Rises
) -> np.ndarray:
    """Direction along which all effects grow together, where they reproduce every outcome.

    If each group has but one outcome, or its own effects and the fixed ones separate what it
    has, every row's likelihood is near 1 at the mode, and larger coefficients with larger
    standard deviations do no worse: where a search then ends is the approximation's doing.

    Parameters
    ----------
    gp, co, found, rises
        As of `separated`.

    Returns
    -------
    ndarray, shape (n_x, k)
        k is 1 or 0.
    """
    x, p, n_sd = found.x, gp.problem.n_fixed, co.n_sd
    nothing = np.zeros((len(x), 0))
    grows = ~found.theta.at_zero[co.effect_of_sd]
    if not (grows.any() and np.isfinite(x).all()):
        return nothing
    if not isinstance(rises, np.ndarray):
        if not all_reproduced(gp, *_passed(gp, co, found), rises, _NEAR):
            return nothing
    elif not (rises != 0).all():
        return nothing
    else:
        phi = gp.phi.values(x[co.n_x : len(x) - p])
        if (row_densities(gp, mode_of(gp, co, found).eta, phi)[0] < -_NEAR).any():
            return nothing
    out = np.zeros((len(x), 1))
    out[:n_sd, 0] = grows
    out[len(x) - p :, 0] = x[len(x) - p :]
    return out


def determined_of(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior | None, priors: Priors,
    found: LaplaceOptimum, free: np.ndarray, flat: np.ndarray, grows: np.ndarray,
    n_quadrature: int,
) -> Determined:  # fmt: skip
    """Covariance of all coordinates, and what the likelihood does not say.

    The curvature is taken along directions of the coefficients that the rows tell apart,
    each with a step in the size of its standard error: nearly collinear columns, or those
    of a few rows alone, lose no digits by others.

    Parameters
    ----------
    gp, co, prior, priors, found
    free : ndarray of bool, shape (n_x,)
        Coordinates that are not at a boundary.
    flat : ndarray, shape (p, k)
        As `separated` gives it.
    grows : ndarray, shape (n_x, j)
        As `reproduced` gives it.
    n_quadrature : int
        Points of the quadrature that gave the optimum; 1 for Laplace's approximation.

    Returns
    -------
    Determined
        Coordinates that are not free have a variance of zero.
    """
    n_x, p, k = len(found.x), gp.problem.n_fixed, flat.shape[1]
    others = np.flatnonzero(free[: n_x - p])
    if gp.rows.is_stored:
        A = curvature_of_fixed(gp, *_passed(gp, co, found), _LEAST)
        A = A if prior is None else A + prior.precision
        steps = _directions(A, flat, gp.link_unit) if p else np.zeros((0, 0))
    else:
        steps = _steps(gp, mode_of(gp, co, found).weights, prior, flat)
    D = np.zeros((n_x, len(others) + steps.shape[1]))
    D[others, np.arange(len(others))] = 1.0
    D[n_x - p :, len(others) :] = steps
    runs = np.zeros((n_x, k))
    runs[n_x - p :] = flat * gp.link_unit
    is_log = np.arange(D.shape[1]) < len(others)

    def along(D: np.ndarray) -> np.ndarray:
        if n_quadrature > 1:
            marginal = QuadratureMarginal(gp, co, prior, found.u, n_quadrature)
            return marginal.curvature(found.x, D)
        return curvature(gp, co, prior, priors, found.x, found.u, D)

    return determined_at(along, D, is_log, np.concatenate([runs, grows], axis=1))


def _steps(
    gp: GlmmProblem, weights: np.ndarray, prior: FixedPrior | None, flat: np.ndarray
) -> np.ndarray:
    """Directions of the working coefficients beside the flat ones, shape (p, p - k)."""
    X, p = gp.rows.X, gp.problem.n_fixed
    if not p:
        return np.zeros((0, 0))
    W = np.abs(np.where(np.isfinite(weights), weights, 0.0))
    if gp.rows.n_predictors > 1:
        return _steps_of_several(gp, W, prior, flat)
    W = np.maximum(W, max(_LEAST * float(W.mean()), 1e-300))
    W[~gp.rows.says] = 0.0
    A = (X * W) @ X.T
    if prior is not None:
        A = A + prior.precision
    return _directions(A, flat, gp.link_unit)


def _steps_of_several(
    gp: GlmmProblem, weights: np.ndarray, prior: FixedPrior | None, flat: np.ndarray
) -> np.ndarray:
    """The same of several predictors, each by its own weights."""
    rows = gp.rows
    W = own_weights(gp, weights)
    W = np.maximum(W, np.maximum(_LEAST * W.mean(axis=1), 1e-300)[:, None])
    A = (rows.X * W[rows.X_of]) @ rows.X.T
    A = A * (rows.X_of[:, None] == rows.X_of)
    return _directions(A if prior is None else A + prior.precision, flat, 1.0)


def own_weights(gp: GlmmProblem, weights: np.ndarray) -> np.ndarray:
    """Weights of each predictor by itself, shape (m, n): the diagonals of the rows' matrices."""
    n, m = gp.rows.n_obs, gp.rows.n_predictors
    return np.asarray(weights).reshape(-1, n)[[j * (j + 3) // 2 for j in range(m)]]


def _directions(A: np.ndarray, flat: np.ndarray, unit: float) -> np.ndarray:
    """Directions beside the flat ones, in the size of their standard errors."""
    left = np.linalg.svd(flat, full_matrices=True)[0][:, flat.shape[1] :]
    values, vectors = np.linalg.eigh(left.T @ A @ left)
    if not (len(values) and np.isfinite(values).all()):
        return np.asarray(left * unit)
    floor = max(1e-14 * float(values[-1]), 1e-300)
    return np.asarray((left @ vectors) / np.sqrt(np.maximum(values, floor)))
