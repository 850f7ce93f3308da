"""Laplace's approximation by passes over rows that are not in memory.

What the kernels of `glmm/` do with rows in memory is done here a block at a time: each Newton
step for the effects is one pass, which adds up the log density and the weighted products at the
point that the step before has gone to; two more passes at the mode give the gradient. Nothing
of the size of the rows is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.gaussian.coordinates import Coordinates, chain_rule, factors_at
from bayesmix.gaussian.density import FixedPrior
from bayesmix.gaussian.selected_inverse import inverse_moments
from bayesmix.gaussian.triangular import backward_solve, forward_solve
from bayesmix.glmm.in_blocks import add_block, add_shift, add_third, newton_point, prior_density

if TYPE_CHECKING:
    from bayesmix.glmm.data import RowData
    from bayesmix.glmm.problem import GlmmProblem

__all__ = [
    "AtMode", "Passed", "blocks_at", "in_passes", "laplace_in_passes", "linear_predictors",
    "row_values",
]  # fmt: skip

_MOST = 100
_HALVINGS = 40
_NEAR = 1e-7  # of a step, relative


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """The mode of (u, beta) or of u, as passes have found it.

    Attributes
    ----------
    status : int
        As `find_mode` returns it.
    beta, u, b : ndarray
        Working coefficients, standardised effects, working effects L u.
    K, panels, root : ndarray
        The factor of minus the Hessian.
    value, penalty, log_det : float
        The rows' log density, u'u / 2 (and beta's prior), log|M_uu|.
    """

    status: int
    beta: np.ndarray
    u: np.ndarray
    b: np.ndarray
    K: np.ndarray
    panels: np.ndarray
    root: np.ndarray
    value: float
    penalty: float
    log_det: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AtMode:
    """A block of rows, with what they are at a mode.

    Attributes
    ----------
    rows : RowData
    eta, value, score, weights : ndarray, shape (n,)
        Linear predictor, log density, its derivative and minus the second.
    """

    rows: RowData
    eta: np.ndarray
    value: np.ndarray
    score: np.ndarray
    weights: np.ndarray


def in_passes(
    gp: GlmmProblem, L: np.ndarray, phi: np.ndarray, prior: FixedPrior, *, beta: np.ndarray,
    u: np.ndarray, with_fixed: bool,
) -> Passed:  # fmt: skip
    """Find the mode of the effects given theta, as `find_mode` does, a pass for each step.

    Parameters
    ----------
    gp : GlmmProblem
        Whose rows are stored; its equations are left with the weights at the mode.
    L, phi : ndarray
        As `inner_mode` takes them.
    prior : FixedPrior
    beta, u : ndarray
        Starts; not changed.
    with_fixed : bool
        Whether beta is at its mode as well, or given.
    """
    own = beta, prior.precision, prior.mean
    key = (with_fixed, *(part.tobytes() for part in (L, phi, *(own if with_fixed else own[:1]))))
    known = gp.known.get("mode")
    if known is not None and known[0] == key:  # the equations are those of it
        return known[1]
    gp.known.clear()
    found = _newton(gp, L, phi, prior, beta, u, with_fixed=with_fixed)
    gp.known["mode"] = key, found
    return found


def _newton(
    gp: GlmmProblem, L: np.ndarray, phi: np.ndarray, prior: FixedPrior, beta: np.ndarray,
    u: np.ndarray, *, with_fixed: bool,
) -> Passed:  # fmt: skip
    eq = gp.problem.equations
    n_root, r = len(eq.root_y), len(eq.root_y) - gp.problem.n_fixed
    K, panels, root = np.empty(len(eq.K)), np.empty(len(eq.panel)), np.empty((n_root, n_root))
    scalars, new_u, new_root = np.zeros(6), np.empty(len(u)), np.zeros(n_root)
    P, mean = np.ascontiguousarray(prior.precision), np.asarray(prior.mean)
    prior_y = P @ mean
    b = _effects(gp, L, u)

    def result(status: int) -> Passed:
        return Passed(
            status=status, beta=beta, u=u, b=b, K=K, panels=panels, root=root, value=total,
            penalty=penalty, log_det=float(scalars[0]),
        )  # fmt: skip

    def penalty_at(u: np.ndarray, beta: np.ndarray) -> float:
        own = float(u @ u)
        return 0.5 * (own + float((beta - mean) @ P @ (beta - mean)) if with_fixed else own)

    penalty = penalty_at(u, beta)
    total, clipped = _add_up(gp, phi, beta, b, with_fixed=with_fixed, concave=True)
    if not np.isfinite(total):
        return result(-1)
    done = False
    for _ in range(_MOST):
        if done and clipped:  # the Hessian is that of all rows, whichever way they bend
            _add_up(gp, phi, beta, b, with_fixed=with_fixed, concave=False)
        fine = newton_point(
            eq.ints, eq.floats, L, int(with_fixed), P, prior_y, K, panels, root, new_u, new_root,
            scalars,
        )  # fmt: skip
        if not fine or done:
            return result(1 if fine else 0)
        new_beta = new_root[r:].copy() if with_fixed else beta
        size = _relative(new_u, u)
        size = max(size, _relative(new_beta, beta)) if with_fixed else size
        step, better = 1.0, False
        for _ in range(_HALVINGS):
            try_u, try_beta = u + step * (new_u - u), beta + step * (new_beta - beta)
            try_b = _effects(gp, L, try_u)
            there, bent = _add_up(gp, phi, try_beta, try_b, with_fixed=with_fixed, concave=True)
            try_penalty = penalty_at(try_u, try_beta)
            gain = (there - try_penalty) - (total - penalty)
            if gain >= -1e-11 * (1.0 + abs(total)):
                better = True
                break
            step *= 0.5
        if better:
            total, penalty, clipped = there, try_penalty, bent
            u, beta, b = try_u, try_beta, try_b
        else:  # rounding: where it is is the mode
            _, clipped = _add_up(gp, phi, beta, b, with_fixed=with_fixed, concave=True)
        done = not better or (size < _NEAR and step == 1.0)
    return result(-2)


def laplace_in_passes(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior, priors: int, x: np.ndarray,
    u: np.ndarray, gradient: np.ndarray,
) -> float:  # fmt: skip
    """Laplace's approximation at x and its gradient, as the kernel `laplace` gives them.

    Parameters
    ----------
    gp : GlmmProblem
        Whose rows are stored.
    co, prior, priors, x, u, gradient
        As of `value_at`.
    """
    key, known = (priors, x.tobytes()), gp.known.get("value")
    if known is not None and known[0] == key:
        value, gradient[:], u[:] = known[1:]
        return float(value)
    value = _value_and_gradient(gp, co, prior, priors, x, u, gradient)
    gp.known["value"] = key, value, gradient.copy(), u.copy()
    return value


def _value_and_gradient(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior, priors: int, x: np.ndarray,
    u: np.ndarray, gradient: np.ndarray,
) -> float:  # fmt: skip
    eq, rows = gp.problem.equations, gp.rows
    d, p, n_u = co.n_x, gp.problem.n_fixed, gp.n_effects
    gradient[:] = 0.0
    x_phi, beta = np.ascontiguousarray(x[d : len(x) - p]), np.ascontiguousarray(x[len(x) - p :])
    at, phi = factors_at(co, x), np.append(gp.phi.values(x_phi), 1.0)
    L, mode = np.ascontiguousarray(at.L), None
    if all(np.isfinite(part).all() for part in (L, phi, beta)):
        held = FixedPrior(np.eye(p), beta)  # keeps the part of beta from being singular
        mode = in_passes(gp, L, phi, held, beta=beta, u=u, with_fixed=False)
    if mode is None or mode.status != 1:
        return -np.inf
    u[:] = mode.u
    value = mode.value - mode.penalty - 0.5 * mode.log_det
    n_root, r = len(eq.root_y), len(eq.root_y) - gp.problem.n_fixed
    inverse, S = np.empty((n_root, n_root)), np.empty(len(L))
    diagonal, across, none = np.empty(len(eq.K)), np.empty(len(eq.panel)), np.zeros(1)
    inverse_moments(
        eq.ints, eq.floats, mode.K, mode.panels, mode.root, 0, inverse, S, len(diagonal),
        diagonal, 0, none, len(across), across,
    )  # fmt: skip
    address, sums = gp.address(), np.zeros((2, p + n_u))
    for block in rows.blocks():
        add_third(
            eq.ints, eq.floats, block.ints, block.floats, address, L, phi, beta, mode.b, diagonal,
            across, inverse, sums,
        )  # fmt: skip
    third, first = sums
    a, a_root = _transposed(gp, L, third[p:]), np.zeros(n_root)
    a_root[:r] = a[n_u - r :]
    forward_solve(eq.ints, eq.floats, mode.K, mode.panels, mode.root, 0, a, a_root)
    backward_solve(eq.ints, eq.floats, mode.K, mode.panels, mode.root, 0, a, a_root)
    a[n_u - r :] = a_root[:r]
    shifted, by_x, b_shift = np.zeros(p + n_u), np.zeros(max(len(x_phi), 1)), _effects(gp, L, a)
    for block in rows.blocks():
        add_shift(
            eq.ints, eq.floats, block.ints, block.floats, address, L, phi, x_phi, beta, mode.b,
            b_shift, diagonal, across, inverse, shifted, by_x,
        )  # fmt: skip
    total = first + third + shifted
    half, half_first = _transposed(gp, L, total[p:]), _transposed(gp, L, first[p:])
    E = S.copy()
    for f, q in enumerate(eq.q.tolist()):
        here = slice(int(rows.u_start[f]), int(rows.u_start[f + 1]))
        own_u, own_a, one, other = (v[here].reshape(-1, q) for v in (u, a, half, half_first))
        own = one.T @ own_u + other.T @ own_a - len(own_u) * np.eye(q)
        E[eq.L_start[f] : eq.L_start[f + 1]] += own.ravel()
    value += chain_rule(
        co.ints, co.floats, np.ascontiguousarray(x), at.C, at.Q, E, 0.0, priors,
        int(priors == 2), gradient,
    )  # fmt: skip
    gradient[d : len(x) - p], gradient[len(x) - p :] = by_x[: len(x_phi)], total[:p]
    if priors:
        header = rows.header
        value += prior_density(
            header.ints, header.floats, phi, beta, np.ascontiguousarray(prior.precision),
            np.ascontiguousarray(prior.mean), d, int(priors == 2), gradient,
        )  # fmt: skip
    return float(value)


def linear_predictors(rows: RowData, beta: np.ndarray, b: np.ndarray) -> np.ndarray:
    """X beta + Z b + offset of rows of one predictor, of working coefficients and effects."""
    eta = rows.offset + beta @ rows.X
    for f in range(len(rows.first)):
        Z = rows.Z[rows.z_start[f] : rows.z_start[f + 1]]
        own = b[rows.u_start[f] : rows.u_start[f + 1]].reshape(-1, len(Z))
        level = rows.index[f] - rows.first[f]
        for k, column in enumerate(Z):
            eta += column * own[level, k]
    return np.asarray(eta)


def blocks_at(gp: GlmmProblem, mode: Passed, phi: np.ndarray) -> Iterator[AtMode]:
    """Go once more over the rows, with what they are at a mode."""
    phi = np.append(np.asarray(phi, dtype=np.float64), 1.0)
    for rows in gp.rows.blocks():
        eta, n = linear_predictors(rows, mode.beta, mode.b), rows.n_obs
        value, first, second = np.full(n, -np.inf), np.zeros(n), np.empty(n)
        gp.kernel(
            rows.link, n, rows.y, rows.trials, eta, phi, 2, value, first, second,
            np.zeros(len(phi) + 4),
        )  # fmt: skip
        yield AtMode(rows=rows, eta=eta, value=value, score=first, weights=-second)


def row_values(gp: GlmmProblem, rows: RowData, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Log density of each row of a block; minus infinity where a mean cannot be.

    Parameters
    ----------
    gp : GlmmProblem
    rows : RowData
    eta : ndarray, shape (n,)
    phi : ndarray
        The family's parameters, and one more number.
    """
    n = rows.n_obs
    value, first, second, by_phi = np.empty(n), np.empty(n), np.empty(n), np.zeros(len(phi) + 4)
    eta = np.ascontiguousarray(eta)
    there = gp.kernel(
        rows.link, n, rows.y, rows.trials, eta, phi, 2, value, first, second, by_phi
    )  # fmt: skip
    if np.isfinite(there):
        return value
    for i in range(n):
        there = gp.kernel(
            rows.link, 1, rows.y[i:], rows.trials[i:], eta[i:], phi, 2, first, first, second,
            by_phi,
        )  # fmt: skip
        value[i] = there if np.isfinite(there) else -np.inf
    return value


def _add_up(
    gp: GlmmProblem, phi: np.ndarray, beta: np.ndarray, b: np.ndarray, *, with_fixed: bool,
    concave: bool,
) -> tuple[float, int]:  # fmt: skip
    """Fill the equations in one pass: log density of all rows, and how many of them bend up."""
    eq, address = gp.problem.equations, gp.address()
    for part in (eq.K, eq.panel, eq.root, eq.root_y):
        part[:] = 0.0
    values, clipped = [], np.zeros(1, dtype=np.int64)
    for rows in gp.rows.blocks():
        values.append(
            add_block(
                eq.ints, eq.floats, rows.ints, rows.floats, address, phi, beta, b,
                int(with_fixed), int(concave), clipped,
            )
        )  # fmt: skip
        if not np.isfinite(values[-1]):
            return -np.inf, 0
    return math.fsum(values), int(clipped[0])


def _effects(gp: GlmmProblem, L: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Working effects b = L u, factor behind factor."""
    return _by_factor(gp, L, u, transpose=False)


def _transposed(gp: GlmmProblem, L: np.ndarray, b: np.ndarray) -> np.ndarray:
    """L' b, factor behind factor."""
    return _by_factor(gp, L, b, transpose=True)


def _by_factor(gp: GlmmProblem, L: np.ndarray, v: np.ndarray, *, transpose: bool) -> np.ndarray:
    eq, start, out = gp.problem.equations, gp.rows.u_start, np.empty(len(v))
    for f, q in enumerate(eq.q.tolist()):
        block, here = L[eq.L_start[f] : eq.L_start[f + 1]].reshape(q, q), slice(*start[f : f + 2])
        own = v[here].reshape(-1, q) @ (block if transpose else block.T)
        out[here] = own.ravel()
    return out


def _relative(new: np.ndarray, old: np.ndarray) -> float:
    return float((np.abs(new - old) / (1.0 + np.abs(old))).max(initial=0.0))
