"""Small models beyond the normal, as arrays, and what dense algebra says of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg

from bayesmix.design import build_design
from bayesmix.design.between import Matrices
from bayesmix.families import FAMILIES
from bayesmix.formula import parse_formula
from bayesmix.gaussian.coordinates import Coordinates, unpack_theta
from bayesmix.gaussian.density import FixedPrior
from bayesmix.gaussian.problem import _coordinates
from bayesmix.glmm.joint import joint_density
from bayesmix.glmm.problem import GlmmProblem, build_glmm_problem
from bayesmix.priors.prior import Prior

FORMULAS = {
    "no groups": "y ~ x",
    "intercept": "y ~ x + (1 | g)",
    "slope": "y ~ x + (x | g)",
    "uncorrelated": "y ~ x + (x || g)",
    "nested": "y ~ x + (1 | g / k)",
    "crossed": "y ~ x + (1 | g) + (1 | h)",
    "crossed slopes": "y ~ x + (x | g) + (x | h)",
    "everything": "y ~ x + offset(z) + (1 | g:k) + (x | g) + (1 | h)",
    "related": "y ~ x + (1 | gr(g, cov=A))",
    "related slopes": "y ~ x + (x | gr(g, cov=A)) + (1 | h)",
}


def related(n: int = 8) -> pd.DataFrame:
    """A covariance between the levels of g, and of two that are not in the data."""
    half = np.random.default_rng(3).normal(size=(n, n))
    labels = [str(k) for k in range(n)]
    return pd.DataFrame(half @ half.T / n + 0.3 * np.eye(n), index=labels, columns=labels)


def make_data(rng: np.random.Generator, n: int = 200) -> pd.DataFrame:
    g = rng.integers(0, 6, n)
    data = pd.DataFrame(
        {
            "x": rng.normal(3, 1, n),
            "z": rng.normal(0, 0.1, n),
            "g": g.astype(str),
            "h": rng.integers(0, 5, n).astype(str),
            "k": rng.integers(0, 3, n).astype(str),
        }
    )
    data["y"] = rng.poisson(np.exp(0.3 * (data["x"] - 3) + rng.normal(0, 0.5, 6)[g])).astype(float)
    return data


def make_problem(
    text: str, data: pd.DataFrame, family: str = "poisson", link: str = "log",
    parameters: tuple[str, ...] = (), rows: dict[str, np.ndarray] | None = None,
) -> GlmmProblem:  # fmt: skip
    formula = parse_formula(text, available=list(data.columns))
    matrices = Matrices({"A": related()})
    design = build_design(formula, data, residual_is_estimated=False, matrices=matrices)
    kind = FAMILIES[family](link=link)
    assert tuple(kind.parameters) == parameters
    entry = SimpleNamespace(prior=Prior("HalfCauchy", beta=2.0))
    priors: Any = SimpleNamespace(family=dict.fromkeys(parameters, entry))
    y = np.asarray(design.response, dtype=float)
    return build_glmm_problem(design.predictors, kind, y, rows or {}, priors)


def with_priors(gp: GlmmProblem) -> tuple[Coordinates, FixedPrior]:
    """Half-Cauchy on standard deviations, LKJ(2), normal on beta."""
    entry = SimpleNamespace(prior=Prior("HalfCauchy", beta=1.5))
    lkj = SimpleNamespace(prior=Prior("LKJ", eta=2.0))
    groups = gp.problem.groups
    mu = SimpleNamespace(
        sd={g.name: [entry] * g.n_effects for g in groups},
        of_part=lambda *_: {"corr": lkj.prior},
    )
    priors: Any = SimpleNamespace(mu=mu)
    co = _coordinates(gp.problem, priors, with_sigma=False, unit=1.0)
    p = gp.problem.n_fixed
    return co, FixedPrior(np.eye(p) / 4.0, np.full(p, 0.3))


def dense_parts(gp: GlmmProblem, L: list[np.ndarray]) -> np.ndarray:
    """Z times the block diagonal of L, with a column per level and effect, shape (n, n_u)."""
    n = len(gp.rows.y)
    out = np.zeros((n, gp.n_effects))
    for f, group in enumerate(gp.problem.groups):
        q = group.n_effects
        z = gp.rows.Z[gp.rows.z_start[f] : gp.rows.z_start[f + 1]].T @ L[f]
        for i in range(n):
            at = int(gp.rows.u_start[f]) + q * int(group.index[i])
            out[i, at : at + q] = z[i]
    return out


def prior_covariance(gp: GlmmProblem) -> np.ndarray:
    """Covariance of all u, factor behind factor."""
    blocks = [
        np.kron(
            np.eye(g.n_levels) if g.between is None else g.between.covariance, np.eye(g.n_effects)
        )
        for g in gp.problem.groups
    ]
    return linalg.block_diag(*blocks) if blocks else np.zeros((0, 0))


def non_centred_density(
    gp: GlmmProblem, co: Coordinates, prior: FixedPrior, t: np.ndarray, inside: np.ndarray
) -> float:
    """Joint log density of (t, v, beta), where b = T diag(sd) C v by level and T is the scaling."""
    sd, C = unpack_theta(co, np.ascontiguousarray(t[: co.n_x]))
    b, value = inside.copy(), 0.0
    for f, group in enumerate(gp.problem.groups):
        q, at, first = group.n_effects, int(co.L_start[f]), int(co.sd_start[f])
        T, factor = (np.reshape(a[at : at + q * q], (q, q)) for a in (co.T, C))
        L = T @ (sd[first : first + q, None] * factor)
        own = slice(int(gp.rows.u_start[f]), int(gp.rows.u_start[f + 1]))
        b[own] = (inside[own].reshape(-1, q) @ L.T).ravel()
        value += group.n_levels * np.linalg.slogdet(L)[1]
    eq, rows = gp.problem.equations, gp.rows
    return value + joint_density(
        eq.ints, eq.floats, co.ints, co.floats, rows.ints, rows.floats, gp.address(),
        prior.precision, prior.mean, t, b, np.empty(len(t)), np.empty(len(b)),
    )  # fmt: skip
