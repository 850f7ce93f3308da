"""MIVQUE(0) against dense matrices, and against analyses of variance."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import NotSupportedError
from tests.builders import nested_data


def dense(model: bmx.Model) -> tuple[np.ndarray, list[tuple[str, int, int]]]:
    """Solve Rao's equations with n x n matrices; one parameter per entry of each Sigma."""
    mu, design = model.design.mu, model.design
    n = len(model.y)
    w = np.ones(n) if design.weights is None else np.sqrt(design.weights)
    X = w[:, None] * mu.X
    M = np.eye(n) - X @ np.linalg.pinv(X)
    V, names = [], []
    for g in mu.groups:
        same = g.index[:, None] == g.index
        Z = w[:, None] * g.Z
        for block in g.blocks:
            for a in range(block.start, block.stop):
                for b in range(a, block.stop if block.structure == "us" else a + 1):
                    part = np.outer(Z[:, a], Z[:, b]) * same
                    V.append(part if a == b else part + part.T)
                    names.append((g.name, a, b))
    V.append(np.eye(n))
    P = [M @ v for v in V]
    S = np.asarray([[np.trace(p @ q) for q in P] for p in P])
    r = M @ (w * model.y)
    return np.linalg.solve(S, [r @ v @ r for v in V]), names


@pytest.mark.parametrize(
    ("formula", "weights"),
    [
        ("y ~ x + (x | g)", None),
        ("y ~ x + f + (1 | g) + (1 | h)", None),
        ("y ~ x + (1 | h/ward)", "u"),
        ("y ~ x + (z || g) + (1 | ward)", None),
    ],
)
def test_estimates_are_those_of_dense_equations(
    formula: str, weights: str | None, rng: np.random.Generator
) -> None:
    frame = nested_data(rng)
    for name, size in (("g", 8), ("h", 5), ("ward", 3)):
        frame["y"] += 6 * rng.normal(size=size)[pd.factorize(frame[name])[0]]
        frame["y"] += (frame["x"] + 3 * frame["z"]) * (
            3 * rng.normal(size=size)[pd.factorize(frame[name])[0]]
        )
    model = bmx.Model(formula, frame, weights=weights)
    fit = model.fit_eb("mivque0")
    theta, names = dense(model)
    assert fit.sigma**2 == pytest.approx(theta[-1], rel=1e-8)
    sd, corr = fit._law.by_group()
    if min(t for t, (_, a, b) in zip(theta, names, strict=False) if a == b) > 0:
        for value, (g, a, b) in zip(theta, names, strict=False):
            R = corr[g][a, b] if a != b else 1.0
            assert sd[g][a] * sd[g][b] * R == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("data", ["pulp", "penicillin", "sleepstudy"])
def test_in_balanced_data_they_are_those_of_reml(data: str) -> None:
    formula = {
        "pulp": "bright ~ 1 + (1 | operator)", "penicillin": "yield ~ treat + (1 | blend)",
        "sleepstudy": "Reaction ~ Days + (Days | Subject)",
    }[data]  # fmt: skip
    model = bmx.Model(formula, bmx.load_dataset(data))
    one, other = model.fit_eb("mivque0"), model.fit_eb()
    for table in ("fixed_effects", "group_effects"):
        found, wanted = (getattr(fit, table)() for fit in (one, other))
        np.testing.assert_allclose(found["estimate"], wanted["estimate"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["sd"], wanted["sd"], rtol=1e-4)
    assert one.deviance == pytest.approx(other.deviance, abs=1e-6)
    assert one.variance_components()["sd_lower"].isna().all()
    assert "MIVQUE(0)" in str(one)


def test_a_negative_variance_is_zero(rng: np.random.Generator) -> None:
    y = np.tile([1.0, -1.0], 20) + 0.1 * rng.normal(size=40)
    frame = pd.DataFrame({"y": y, "g": np.repeat(np.arange(10), 4)})
    fit = bmx.Model("y ~ 1 + (1 | g)", frame).fit_eb("mivque0")
    assert fit.variance_components()["sd"][0] == 0
    assert "nearest" in fit.optimizer.message
    assert (fit.group_effects()["estimate"] == 0).all()


def test_what_has_no_mivque(sleepstudy: pd.DataFrame) -> None:
    model = bmx.Model("Reaction ~ Days + ar1(Days | Subject)", sleepstudy)
    with pytest.raises(NotSupportedError, match=r"ar1\(... \| Subject\) is not"):
        model.fit_eb("mivque0")
    serial = bmx.Model(["Reaction ~ Days", "residual ~ ar1(Days | Subject)"], sleepstudy)
    with pytest.raises(NotSupportedError, match="residuals here are not"):
        serial.fit_eb("mivque0")
    fit = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit_eb("mivque0")
    for call in (
        functools.partial(fit.fixed_effects, tests=True), fit.anova, fit.drop1, fit.ranova,
        functools.partial(fit.bootstrap, 10), functools.partial(bmx.anova, fit, fit),
        functools.partial(fit.variance_components, ci_method="profile"),
    ):  # fmt: skip
        with pytest.raises(NotSupportedError, match=r"mivque0|MIVQUE|reml"):
            call()
