"""The joint density and its whitened coordinates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bayesmix.covariance import covariance_of
from bayesmix.gaussian.coordinates import unpack_theta
from bayesmix.glmm.joint import joint_density
from bayesmix.glmm.whitened import whitened_joint
from bayesmix.inference.whitening import find_whitening

from .models import FORMULAS, dense_parts, make_data, make_problem, with_priors


def arguments(gp, co, prior):  # type: ignore[no-untyped-def]
    eq, rows = gp.problem.equations, gp.rows
    return (
        eq.ints, eq.floats, co.ints, co.floats, rows.ints, rows.floats, gp.address(),
        prior.precision, prior.mean,
    )  # fmt: skip


def dense_density(gp, co, t: np.ndarray, inside: np.ndarray) -> float:  # type: ignore[no-untyped-def]
    """Everything but the constants; of partial correlations the LKJ with its Jacobian."""
    sd, C = unpack_theta(co, t)
    blocks = []
    value = 0.0
    for f, group in enumerate(gp.problem.groups):
        q, at, first = group.n_effects, int(co.L_start[f]), int(co.sd_start[f])
        s = sd[first : first + q]
        factor = C[at : at + q * q].reshape(q, q)
        blocks.append(np.asarray(co.T[at : at + q * q]).reshape(q, q) @ (s[:, None] * factor))
        value += stats.halfcauchy.logpdf(s, scale=1.5).sum() + np.log(s).sum()
        if covariance_of(group).has_correlations:
            # LKJ(2) of one correlation is proportional to 1 - r^2; d r / d atanh = 1 - r^2.
            value += 2.0 * np.log1p(-(factor[1, 0] ** 2))
    n_u = gp.n_effects
    b, beta = inside[:n_u], inside[n_u:]
    for f, group in enumerate(gp.problem.groups):
        q, Sigma = group.n_effects, blocks[f] @ blocks[f].T
        D = np.eye(group.n_levels) if group.between is None else group.between.covariance
        own = slice(int(gp.rows.u_start[f]), int(gp.rows.u_start[f + 1]))
        value += stats.multivariate_normal.logpdf(b[own], np.zeros(len(D) * q), np.kron(D, Sigma))
    unit = [np.eye(len(block)) for block in blocks]
    eta = gp.rows.offset + gp.rows.X.T @ beta + dense_parts(gp, unit) @ b
    value += stats.poisson.logpmf(gp.rows.y, np.exp(eta)).sum()
    value += stats.norm.logpdf(beta, 0.3, 2.0).sum()
    return float(value)


@pytest.mark.parametrize("kind", FORMULAS)
def test_the_joint_density_is_the_dense_one(kind: str, rng: np.random.Generator) -> None:
    gp = make_problem(FORMULAS[kind], make_data(rng))
    co, prior = with_priors(gp)
    n_t, n_inside = co.n_x, gp.n_effects + gp.problem.n_fixed
    given = arguments(gp, co, prior)
    ours, dense = [], []
    by_t, by_inside = np.empty(n_t), np.empty(n_inside)
    for _ in range(4):
        t, inside = rng.normal(0, 0.4, n_t), rng.normal(0, 0.5, n_inside)
        ours.append(joint_density(*given, t, inside, by_t, by_inside))
        dense.append(dense_density(gp, co, t, inside))
    assert np.abs(np.diff(ours) - np.diff(dense)).max() < 1e-8 * np.abs(dense).max()
    h = 1e-5
    scratch = np.empty(n_t), np.empty(n_inside)
    for i in range(n_t + n_inside):
        e = np.zeros(n_t + n_inside)
        e[i] = h
        sides = [
            joint_density(*given, t + s * e[:n_t], inside + s * e[n_t:], *scratch) for s in (1, -1)
        ]
        slope = by_t[i] if i < n_t else by_inside[i - n_t]
        assert slope == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("width", [0.0, 1.3])
@pytest.mark.parametrize("kind", FORMULAS)
def test_whitened_coordinates_are_the_same_density_and_nearly_standard(
    kind: str, width: float, rng: np.random.Generator
) -> None:
    gp = make_problem(FORMULAS[kind], make_data(rng))
    co, prior = with_priors(gp)
    w = find_whitening(gp, co, prior, 0.3)
    # Standard deviations that may be zero are bent, whatever these data say of theirs.
    w = replace(w, width=np.where(np.arange(w.n_t) < w.n_sd, width, 0.0))
    d = w.n_t + w.n_inside
    gradient = np.empty(d)
    given = arguments(gp, co, prior)
    apart = []
    for _ in range(3):
        z = rng.normal(0, 0.7, d)
        value = whitened_joint(*w.arguments(), z, gradient)
        t, inside = w.back(z[None])
        plain = joint_density(*given, t[0], inside[0], np.empty(w.n_t), np.empty(w.n_inside))
        steps = z + 1e-6 * np.concatenate([np.eye(d), -np.eye(d)])[:, None, :]
        moved = np.concatenate(w.back(steps[:, 0]), axis=1)
        slope = (moved[:d] - moved[d:]) / 2e-6
        apart.append(value - plain - np.linalg.slogdet(slope)[1])
    assert np.diff(apart) == pytest.approx(0.0, abs=1e-5)
    h, scratch = 1e-5, np.empty(d)
    for i in range(d):
        e = np.zeros(d)
        e[i] = h
        sides = [whitened_joint(*w.arguments(), z + s * e, scratch) for s in (1, -1)]
        assert gradient[i] == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=1e-5, abs=1e-4)
    # At the centre the effects' coordinates have unit curvature and no slope.
    center = np.zeros(d)
    whitened_joint(*w.arguments(), center, gradient)
    assert np.abs(gradient[w.n_t :]).max(initial=0.0) < 1e-6
    for i in range(w.n_t, d, max(1, d // 7)):
        e = np.zeros(d)
        e[i] = 1e-4
        up, down = np.empty(d), np.empty(d)
        whitened_joint(*w.arguments(), e, up)
        whitened_joint(*w.arguments(), -e, down)
        curvature = -(up - down) / 2e-4
        assert curvature[i] == pytest.approx(1.0, abs=1e-5)
        assert np.abs(np.delete(curvature[w.n_t :], i - w.n_t)).max(initial=0.0) < 1e-5
