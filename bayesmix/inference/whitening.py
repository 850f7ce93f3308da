"""Coordinates in which the posterior of a model beyond the normal is nearly standard normal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.errors import SamplingError
from bayesmix.gaussian.coordinates import Coordinates, factors_at
from bayesmix.gaussian.density import FixedPrior
from bayesmix.gaussian.triangular import backward_solve, forward_solve
from bayesmix.glmm.joint import joint_density, unwhiten
from bayesmix.glmm.problem import GlmmProblem
from bayesmix.inference.laplace import (
    InnerMode,
    LaplaceOptimum,
    hessian,
    inner_mode,
    log_posterior,
    maximise_laplace,
)
from bayesmix.inference.laplace_determined import own_weights

__all__ = ["Whitening", "find_whitening"]

_STEP = 1e-4
_WELL = 0.3  # posterior sd of log sd: about twenty levels with enough data
_NO_ROOM = 8.0  # of the log density, at a twentieth of the standard deviation


@dataclass(frozen=True, slots=True, kw_only=True)
class Whitening:
    """A map from whitened coordinates z to (t, v, beta), with a constant Jacobian.

    ``t = center + A z_t`` and ``(v, beta) = center + C'^-1 z + B drift(t - center)``,
    with C the blocked factor of minus the Hessian of (v, beta) at the mode.

    Attributes
    ----------
    gp : GlmmProblem
    co : Coordinates
    prior : FixedPrior
    K, panels, root : ndarray
        The factor C.
    information : ndarray
        What each level's rows know, which decides how its effects are stated.
    L_hat : ndarray
        Each factor's L at the mode.
    well_determined : bool
        Whether the data determine the logarithm of every standard deviation well.
    n_sd, n_t, n_inside : int
    center, A, B : ndarray
    """

    gp: GlmmProblem
    co: Coordinates
    prior: FixedPrior
    K: np.ndarray
    panels: np.ndarray
    root: np.ndarray
    information: np.ndarray
    L_hat: np.ndarray
    well_determined: bool
    n_sd: int
    n_t: int
    n_inside: int
    center: np.ndarray
    A: np.ndarray
    B: np.ndarray

    def arguments(self) -> list[Any]:
        """Return what the kernel of the density takes before z."""
        eq, rows, co = self.gp.problem.equations, self.gp.rows, self.co
        return [
            eq.ints, eq.floats, co.ints, co.floats, rows.ints, rows.floats, self.gp.address(),
            self.prior.precision, self.prior.mean, self.information, self.L_hat, self.K,
            self.panels, self.root, self.n_sd, self.n_t, self.n_inside, self.center, self.A,
            self.B,
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
            v, then the working beta.
        """
        z = np.ascontiguousarray(z)
        t, inside = np.empty((len(z), self.n_t)), np.empty((len(z), self.n_inside))
        eq = self.gp.problem.equations
        unwhiten(
            eq.ints, eq.floats, self.K, self.panels, self.root, self.n_sd, self.n_t,
            self.n_inside, self.center, self.A, self.B, len(z), z, t, inside,
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
    A = outer_vectors * np.sqrt(np.clip(outer, 1e-8, 4.0))

    at = factors_at(co, x)
    L_hat = _untriangular(gp, at.L, at.Q)
    mode = inner_mode(
        gp, L_hat, gp.phi.values(x[d:n_t]), prior, beta=x[n_t:],
        u=_rotated(gp, best.u, at.Q), with_fixed=True,
    )  # fmt: skip
    if mode.status != 1:
        raise SamplingError('the Hessian at the mode is not negative definite; take engine="pymc"')
    inside = np.concatenate([mode.u, mode.beta])
    t = np.ascontiguousarray(x[:n_t])
    n_inside = len(inside)
    n_nodes = n_inside - len(eq.root_y)
    # The (approximate) posterior sd of each log standard deviation.
    spread = np.sqrt(np.clip(np.diag(covariance)[:n_sd], 0.0, None))
    certain = _far_from_zero(gp, co, prior, best)
    information = _information(gp, mode, certain, co.effect_sd)
    B = np.empty((n_inside, n_t))
    rows = gp.rows
    for k in range(n_t):
        sides = []
        for sign in (1.0, -1.0):
            moved = t.copy()
            moved[k] += sign * _STEP
            by_t, by_inside = np.empty(n_t), np.empty(n_inside)
            joint_density(
                eq.ints, eq.floats, co.ints, co.floats, rows.ints, rows.floats, gp.address(),
                prior.precision, prior.mean, information, L_hat, moved, inside, by_t, by_inside,
            )  # fmt: skip
            sides.append(by_inside)
        change = (sides[0] - sides[1]) / (2 * _STEP)
        u, values = change[:n_nodes].copy(), change[n_nodes:].copy()
        for solve in (forward_solve, backward_solve):
            solve(eq.ints, eq.floats, mode.K, mode.panels, mode.root, 1, u, values)
        B[:, k] = np.concatenate([u, values])
    B = np.where(np.isfinite(B), B, 0.0)
    return Whitening(
        gp=gp, co=co, prior=prior, K=mode.K, panels=mode.panels, root=mode.root,
        information=information, L_hat=L_hat, well_determined=bool((spread < _WELL).all()),
        n_sd=n_sd, n_t=n_t, n_inside=n_inside, center=np.concatenate([t, inside]),
        A=np.ascontiguousarray(A), B=np.ascontiguousarray(B),
    )  # fmt: skip


def _far_from_zero(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior, best: LaplaceOptimum
) -> np.ndarray:
    """For each standard deviation whether the posterior leaves no room for one near zero."""
    n_sd = co.n_sd
    out = np.zeros(n_sd, dtype=bool)
    for k in range(n_sd):
        x = best.x.copy()
        x[k] -= 3.0
        value = log_posterior(gp, co, prior, x, best.u)
        out[k] = not value > best.loglik - _NO_ROOM
    return out


def _information(
    gp: GlmmProblem, mode: InnerMode, certain: np.ndarray, effect_sd: np.ndarray
) -> np.ndarray:
    """What each level's rows know of its effects at the mode.

    For a scalar effect its information. For several, 1 where the rows weigh more than
    twice what the group's distribution does, and 0 elsewhere; always 0 where a
    standard deviation may be close to zero: there a centred effect is a funnel.
    """
    eq, information = gp.problem.equations, []
    rows = gp.rows
    by_predictor = np.maximum(own_weights(gp, mode.weights), 0.0)
    for f, group in enumerate(gp.problem.groups):
        z = rows.Z[rows.z_start[f] : rows.z_start[f + 1]].T
        level = rows.index[f] - rows.first[f]
        of = rows.Z_of[rows.z_start[f] : rows.z_start[f + 1]]
        w = by_predictor[of[0]]
        if group.n_effects == 1:
            information.append(np.bincount(level, w * z[:, 0] ** 2, minlength=group.n_levels))
            continue
        L = mode.L[eq.L_start[f] : eq.L_start[f + 1]].reshape(group.n_effects, -1)
        weight = w * ((z @ L) ** 2).mean(axis=1)
        if (of != of[0]).any():  # of several predictors
            weight = np.sum(
                [by_predictor[j] * (((z * (of == j)) @ L) ** 2).mean(axis=1) for j in set(of)],
                axis=0,
            )
        first = int(eq.q[:f].sum())
        sure = certain[effect_sd[first : first + group.n_effects]].all()
        added = np.bincount(level, weight, minlength=group.n_levels)
        information.append(((added > 2.0) & sure).astype(np.float64))
    return np.concatenate(information) if information else np.zeros(0)


def _blocks(gp: GlmmProblem, values: np.ndarray) -> list[np.ndarray]:
    eq = gp.problem.equations
    return [
        values[eq.L_start[f] : eq.L_start[f + 1]].reshape(q, q) for f, q in enumerate(eq.q.tolist())
    ]


def _untriangular(gp: GlmmProblem, L: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """L as it was before it was made triangular, which is what the joint density uses."""
    parts = [(a @ b).ravel() for a, b in zip(_blocks(gp, L), _blocks(gp, Q), strict=True)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _rotated(gp: GlmmProblem, u: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """Bring effects of the triangular L to those of the other: Q' u by level."""
    out = u.copy()
    start = gp.rows.u_start
    for f, rotation in enumerate(_blocks(gp, Q)):
        part = u[start[f] : start[f + 1]].reshape(-1, len(rotation))
        out[start[f] : start[f + 1]] = (part @ rotation).ravel()
    return out
