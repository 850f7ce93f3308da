"""Coordinates in which the posterior of a model beyond the normal is nearly standard normal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.errors import SamplingError
from bayesmix.gaussian.coordinates import Coordinates, factors_at
from bayesmix.gaussian.density import FixedPrior
from bayesmix.gaussian.equations import Equations
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.glmm.stretch import FOLLOWS, PLAIN, UNLINKED
from bayesmix.glmm.whitened import unwhiten, whitened_joint
from bayesmix.inference.laplace import (
    InnerMode,
    hessian,
    inner_mode,
    maximise_laplace,
)
from bayesmix.inference.laplace_determined import own_weights

__all__ = ["Whitening", "find_whitening"]

_STEP = 1e-4
_WIDEST_STEP = 4.0  # variance of a coordinate of theta, beyond which it is flat
_WELL = 0.3  # posterior sd of log sd: about twenty levels with enough data
_WIDE = 16  # effects of a level, beyond which its own matrices cost more than they save
_WIDEST = 40  # the same where there is one level


@dataclass(frozen=True, slots=True, kw_only=True)
class Whitening:
    """A map from whitened coordinates z to (t, b, beta); see `glmm/whitened.py`.

    Attributes
    ----------
    gp : GlmmProblem
    co : Coordinates
    prior : FixedPrior
    K, panels, root : ndarray
        The blocked factor of minus the Hessian of (u, beta) at the mode.
    kind : ndarray of int, shape (n_factors,)
        How each factor's effects are stated.
    information : ndarray
        What each level's rows know of its effects.
    L_hat : ndarray
        Each factor's upper L at the mode.
    well_determined : bool
        Whether the data determine the logarithm of every standard deviation well.
    n_sd, n_t, n_inside : int
    center, width, base, A, B : ndarray
        As in `whitened.unwhiten`.
    """

    gp: GlmmProblem
    co: Coordinates
    prior: FixedPrior
    K: np.ndarray
    panels: np.ndarray
    root: np.ndarray
    kind: np.ndarray
    information: np.ndarray
    L_hat: np.ndarray
    well_determined: bool
    n_sd: int
    n_t: int
    n_inside: int
    center: np.ndarray
    width: np.ndarray
    base: np.ndarray
    A: np.ndarray
    B: np.ndarray

    def arguments(self) -> list[Any]:
        """Return what the kernel of the density takes before z."""
        eq, rows, co = self.gp.problem.equations, self.gp.rows, self.co
        return [
            eq.ints, eq.floats, co.ints, co.floats, rows.ints, rows.floats, self.gp.address(),
            self.prior.precision, self.prior.mean, self.kind, self.information, self.L_hat,
            self.K, self.panels, self.root, self.n_sd, self.n_t, self.n_inside, self.center,
            self.width, self.base, self.A, self.B,
        ]  # fmt: skip

    def back(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bring draws back.

        Parameters
        ----------
        z : ndarray, shape (S, n_t + n_inside)

        Returns
        -------
        t : ndarray, shape (S, n_t)
        inside : ndarray, shape (S, n_inside)
            The working b, then the working beta.
        """
        z = np.ascontiguousarray(z)
        t, inside = np.empty((len(z), self.n_t)), np.empty((len(z), self.n_inside))
        eq, co = self.gp.problem.equations, self.co
        unwhiten(
            eq.ints, eq.floats, co.ints, co.floats, self.kind, self.information, self.L_hat,
            self.K, self.panels, self.root, self.n_sd, self.n_t, self.n_inside, self.center,
            self.width, self.base, self.A, self.B, len(z), z, t, inside,
        )  # fmt: skip
        return t, inside


def find_whitening(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior, link_start: float
) -> Whitening:
    """Start from Laplace's approximation of the posterior.

    Parameters
    ----------
    gp : GlmmProblem
    co : Coordinates
        With the priors.
    prior : FixedPrior
    link_start : float

    Returns
    -------
    Whitening

    Raises
    ------
    SamplingError
        If the posterior has no mode that can be found.
    """
    eq = gp.problem.equations
    d, n_sd = co.n_x, co.n_sd
    n_t = d + len(gp.phi)
    best = maximise_laplace(gp, co, prior, 2, link_start)
    x = best.x
    if not (np.isfinite(best.loglik) and np.isfinite(x).all()):
        raise SamplingError("the posterior has no finite mode to start from")
    # Where the marginal density is flat or bends the wrong way, a unit step is wide enough.
    H = hessian(gp, co, prior, 2, x, best.u, np.ones(len(x), dtype=bool))
    H = np.where(np.isfinite(H), H, 0.0)
    values, vectors = np.linalg.eigh(H)
    scale = np.clip(values, 1e-10 * max(float(values.max(initial=1.0)), 1.0), None)
    covariance = (vectors / scale) @ vectors.T
    outer, outer_vectors = np.linalg.eigh(covariance[:n_t, :n_t])
    A = outer_vectors * np.sqrt(np.clip(outer, 1e-8, _WIDEST_STEP))

    at = factors_at(co, x)
    L_hat, rotation = _upper(gp, at.L)
    mode = inner_mode(
        gp, L_hat, gp.phi.values(x[d:n_t]), prior, beta=x[n_t:],
        u=_rotated(gp, best.u, rotation), with_fixed=True,
    )  # fmt: skip
    if mode.status != 1:
        raise SamplingError('the Hessian at the mode is not negative definite; take engine="pymc"')
    inside = np.concatenate([mode.u, mode.beta])
    n_inside = len(inside)
    # The (approximate) posterior sd of each log standard deviation.
    spread = np.sqrt(np.clip(np.diag(covariance)[:n_sd], 0.0, None))
    # Below a mode that is well determined the logarithm falls off as that of a normal would.
    width = np.zeros(n_t)
    width[:n_sd] = np.where(spread < _WELL, 0.0, np.clip(spread**2, 1.0, _WIDEST_STEP))
    factors = _factors(eq, mode)
    kind = _kinds(gp)
    w = Whitening(
        gp=gp, co=co, prior=prior, K=mode.K, panels=mode.panels, root=mode.root, kind=kind,
        information=_information(gp, mode, kind, factors), L_hat=L_hat,
        well_determined=bool((spread < _WELL).all()), n_sd=n_sd, n_t=n_t, n_inside=n_inside,
        center=np.concatenate([x[:n_t], inside]), width=width, base=_base(gp, factors, mode.u),
        A=np.eye(n_t), B=np.zeros((n_inside, n_t)),
    )  # fmt: skip
    # Minus the Hessian in the effects' z is the identity: the gradient says how the mode moves.
    B, z, arguments = np.empty((n_inside, n_t)), np.zeros(n_t + n_inside), w.arguments()
    for k in range(n_t):
        sides = []
        for step in (_STEP, -_STEP):
            z[k], gradient = step, np.empty(len(z))
            whitened_joint(*arguments, z, gradient)
            sides.append(gradient[n_t:])
        z[k] = 0.0
        B[:, k] = (sides[0] - sides[1]) / (2 * _STEP)
    B = np.where(np.isfinite(B), B, 0.0)
    return replace(w, A=np.ascontiguousarray(A), B=B)


def _kinds(gp: GlmmProblem) -> np.ndarray:
    """How each factor's effects are stated."""
    out = []
    for group in gp.problem.groups:
        wide = group.n_effects > (_WIDEST if group.n_levels == 1 else _WIDE)
        if group.between is not None:
            out.append(UNLINKED if group.n_effects == 1 else PLAIN)
        else:
            out.append(PLAIN if wide else FOLLOWS)
    return np.asarray(out, dtype=np.int64)


def _factors(eq: Equations, mode: InnerMode) -> list[np.ndarray]:
    """Diagonal blocks of the factor at the mode, shape (n_levels, q, q) for each factor."""
    out, n_chain, first, node = [], eq.n_chain, 0, 0
    for f, (q, n_levels) in enumerate(zip(eq.q.tolist(), eq.n_levels.tolist(), strict=True)):
        if f < n_chain:
            at = eq.K_start[node] + np.arange(n_levels * q * q)
            block = mode.K[at].reshape(n_levels, q, q)
            node += n_levels
        else:
            at = first + q * np.arange(n_levels)[:, None] + np.arange(q)
            block = mode.root[at[:, :, None], at[:, None, :]]
            first += q * n_levels
        out.append(np.tril(block))
    return out


def _information(
    gp: GlmmProblem, mode: InnerMode, kind: np.ndarray, factors: list[np.ndarray]
) -> np.ndarray:
    """What each level's rows know of its effects at the mode, given those of coarser levels.

    For several effects a matrix, then the lower factor of I + L' information L.
    """
    eq, information = gp.problem.equations, []
    for f, group in enumerate(gp.problem.groups):
        q, n_levels = group.n_effects, group.n_levels
        L = mode.L[eq.L_start[f] : eq.L_start[f] + q * q].reshape(q, q)
        if kind[f] == PLAIN:
            information.append(np.zeros(n_levels * (1 if q == 1 else 2 * q * q)))
            continue
        if kind[f] == UNLINKED:
            information.append(_of_rows(gp, mode, f))
            continue
        known = factors[f] @ np.swapaxes(factors[f], 1, 2) - np.eye(q)
        if q == 1:
            information.append(np.maximum(known[:, 0, 0], 0.0) / L[0, 0] ** 2)
            continue
        values, vectors = np.linalg.eigh(known)
        half = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
        known = half @ np.swapaxes(half, 1, 2)
        back = np.linalg.solve(L.T, half)
        parts = [back @ np.swapaxes(back, 1, 2), np.linalg.cholesky(np.eye(q) + known)]
        information.append(np.concatenate([a.reshape(n_levels, -1) for a in parts], 1).ravel())
    return np.concatenate(information) if information else np.zeros(0)


def _of_rows(gp: GlmmProblem, mode: InnerMode, f: int) -> np.ndarray:
    """What the rows of each level know of its one effect, given all others."""
    rows, group = gp.rows, gp.problem.groups[f]
    z, own = rows.Z[rows.z_start[f]], rows.Z_of[rows.z_start[f]]
    weight = np.maximum(own_weights(gp, mode.weights), 0.0)[own]
    return np.bincount(rows.index[f] - rows.first[f], weight * z**2, minlength=group.n_levels)


def _base(gp: GlmmProblem, factors: list[np.ndarray], u: np.ndarray) -> np.ndarray:
    """K' u, level by level."""
    start, out = gp.rows.u_start, np.empty(len(u))
    for f, block in enumerate(factors):
        own = slice(start[f], start[f + 1])
        out[own] = np.einsum("gki,gk->gi", block, u[own].reshape(len(block), -1)).ravel()
    return out


def _blocks(gp: GlmmProblem, values: np.ndarray) -> list[np.ndarray]:
    eq = gp.problem.equations
    return [
        values[eq.L_start[f] : eq.L_start[f + 1]].reshape(q, q) for f, q in enumerate(eq.q.tolist())
    ]


def _upper(gp: GlmmProblem, L: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper roots U and rotations R with L = U R."""
    U, R = [], []
    for block in _blocks(gp, L):
        # L' = Q T reversed: rows and columns from the last to the first.
        Q, T = np.linalg.qr(block[::-1].T)
        sign = np.where(np.diag(T) < 0, -1.0, 1.0)
        U.append((sign[:, None] * T).T[::-1, ::-1].ravel())
        R.append((Q * sign).T[::-1].ravel())
    empty = np.zeros(0)
    return np.concatenate([empty, *U]), np.concatenate([empty, *R])


def _rotated(gp: GlmmProblem, u: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Bring effects of the lower L to those of the upper: R u by level."""
    out = u.copy()
    start = gp.rows.u_start
    for f, rotation in enumerate(_blocks(gp, R)):
        part = u[start[f] : start[f + 1]].reshape(-1, len(rotation))
        out[start[f] : start[f + 1]] = (part @ rotation.T).ravel()
    return out
