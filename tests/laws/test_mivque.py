"""MIVQUE(0) against dense matrices, and against analyses of variance."""

from __future__ import annotations

import functools
from pathlib import Path

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


def moments_left(model: bmx.Model, V: np.ndarray) -> float:
    """What M V M leaves of M y y' M, whose least squares Rao's equations solve."""
    w = np.ones(len(model.y)) if model.design.weights is None else np.sqrt(model.design.weights)
    X = w[:, None] * model.design.mu.X
    M = np.eye(len(w)) - X @ np.linalg.pinv(X)
    r = M @ (w * model.y)
    return float(((np.outer(r, r) - M @ (w[:, None] * V * w) @ M) ** 2).sum() / (r @ r) ** 2)


def series(seed: int = 3) -> pd.DataFrame:
    """Forty subjects at up to five times, with effects that are alike at times nearby."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"s": np.repeat(np.arange(40), 10), "t": np.tile(np.repeat(range(5), 2), 40)}
    )
    R = 0.7 ** np.abs(np.subtract.outer(range(5), range(5)))
    effects = rng.multivariate_normal(np.zeros(5), 4 * R, 40)
    frame["x"] = rng.normal(size=400)
    frame["w"] = rng.uniform(0.5, 2, 400)
    frame["y"] = 3 + frame["x"] + effects[frame["s"], frame["t"]] + rng.normal(size=400)
    return frame.drop(index=rng.choice(400, 50, replace=False)).reset_index(drop=True)


def lags() -> np.ndarray:
    return np.abs(np.subtract.outer(np.arange(5), np.arange(5)))


def partial_to_lags(p: np.ndarray) -> np.ndarray:
    """Correlations at 0, 1, ... of partial ones, by regressions on what lies between."""
    r = [1.0]
    for k, value in enumerate(p, 1):
        if k == 1:
            r.append(value)
            continue
        T = np.asarray(r)[np.abs(np.subtract.outer(range(k - 1), range(k - 1)))]
        a = np.linalg.solve(T, r[1:k])
        r.append(float(a @ np.asarray(r[1:k])[::-1] + value * (1 - a @ r[1:k])))
    return np.asarray(r)


# By word: Sigma of the five effects at standard deviations and other parameters.
EFFECTS = {
    "ar1": lambda sd, z: sd[0] ** 2 * z[0] ** lags(),
    "hetar1": lambda sd, z: np.outer(sd, sd) * z[0] ** lags(),
    "ou": lambda sd, z: sd[0] ** 2 * np.exp(-lags() / z[0]),
    "exp": lambda sd, z: sd[0] ** 2 * np.exp(-lags() / z[0]),
    "gau": lambda sd, z: sd[0] ** 2 * np.exp(-((lags() / z[0]) ** 2)),
    "homcs": lambda sd, z: sd[0] ** 2 * (z[0] + (1 - z[0]) * np.eye(5)),
    "cs": lambda sd, z: np.outer(sd, sd) * (z[0] + (1 - z[0]) * np.eye(5)),
    "homtoep": lambda sd, z: sd[0] ** 2 * partial_to_lags(z)[lags()],
    "toep": lambda sd, z: np.outer(sd, sd) * partial_to_lags(z)[lags()],
}  # fmt: skip


@pytest.mark.parametrize("word", EFFECTS)
def test_parameters_that_v_is_not_linear_in_are_those_of_least_squares(word: str) -> None:
    frame = series()
    model = bmx.Model(f"y ~ x + {word}(t | s)", frame, weights="w")
    fit = model.fit_eb("mivque0")
    sd = np.atleast_1d(fit.variance_components()["sd"].to_numpy()[:-1])
    own = fit.covariance_parameters()["estimate"].to_numpy()
    same = frame["s"].to_numpy()[:, None] == frame["s"].to_numpy()
    t = frame["t"].to_numpy()

    def left(at: np.ndarray) -> float:
        Sigma = EFFECTS[word](at[: len(sd)], at[len(sd) : -1])
        V = Sigma[np.ix_(t, t)] * same + at[-1] ** 2 * np.diag(1 / frame["w"])
        return moments_left(model, V)

    at = np.concatenate([sd, own, [fit.sigma]])
    best = left(at)
    for k in range(len(at)):
        step = 3e-3 * max(abs(at[k]), 0.1) * np.eye(len(at))[k]
        above, below = left(at + step), left(at - step)
        curvature = above + below - 2 * best
        assert curvature > 0
        # The parabola through the three has its lowest point within a fiftieth of a step.
        assert abs(above - below) / (2 * curvature) < 0.02
    assert fit.converged
    assert len(fit.predict()) == len(frame)


RESIDUALS = {
    "ar1": ("residual ~ ar1(t | u)", lambda s, z, d: s**2 * z[0] ** d),
    "exp": ("residual ~ exp(t | u)", lambda s, z, d: s**2 * np.exp(-d / z[0])),
    "gau": ("residual ~ gau(t | u)", lambda s, z, d: s**2 * np.exp(-((d / z[0]) ** 2))),
    "cs": ("residual ~ cs(u)", lambda s, z, d: s**2 * (z[0] + (1 - z[0]) * (d == 0))),
}


@pytest.mark.parametrize("word", RESIDUALS)
def test_residual_structures_are_those_of_least_squares(word: str) -> None:
    frame = series().drop_duplicates(["s", "t"]).reset_index(drop=True)
    frame["u"] = frame["s"]
    formula, R = RESIDUALS[word]
    model = bmx.Model(["y ~ x" + (" + (1 | s)" if word == "ar1" else ""), formula], frame)
    fit = model.fit_eb("mivque0")
    found = dict(fit._law.family_values)
    same = frame["s"].to_numpy()[:, None] == frame["s"].to_numpy()
    d = np.abs(np.subtract.outer(frame["t"].to_numpy(), frame["t"].to_numpy()))
    sd = fit._law.by_group()[0].get("s", np.zeros(1))
    (name,) = set(found) - {"sigma"}

    def left(at: np.ndarray) -> float:
        return moments_left(model, same * (R(at[0], at[1:2], d) + at[2] ** 2))

    at = np.asarray([fit.sigma, float(found[name]), sd[0]])
    best = left(at)
    for k in range(2 + (sd[0] > 0)):
        step = 3e-3 * max(abs(at[k]), 0.1) * np.eye(3)[k]
        above, below = left(at + step), left(at - step)
        assert abs(above - below) / (2 * (above + below - 2 * best)) < 0.02


def test_an_unstructured_residual_of_balanced_data_is_the_sample_covariance() -> None:
    rng = np.random.default_rng(2)
    Y = rng.multivariate_normal([1, 2, 3], [[2, 1, 0.5], [1, 2, 1], [0.5, 1, 3]], 30)
    frame = pd.DataFrame({"y": Y.ravel(), "t": np.tile(range(3), 30), "s": np.repeat(range(30), 3)})
    fit = bmx.Model(["y ~ C(t)", "residual ~ us(t | s)"], frame).fit_eb("mivque0")
    found = fit._law.family_values
    sd = found["sd_residual"]
    np.testing.assert_allclose(
        found["corr_residual"] * np.outer(sd, sd), np.cov(Y.T), rtol=1e-4, atol=1e-5
    )
    toep = bmx.Model(["y ~ C(t)", "residual ~ toep(t | s)"], frame).fit_eb("mivque0")
    r = toep._law.family_values["rho_residual"]
    E = (Y - Y.mean(axis=0)) / np.sqrt(29)
    S = E.T @ E
    assert toep.sigma**2 == pytest.approx(np.trace(S) / 3, rel=1e-5)
    assert r[0] * toep.sigma**2 == pytest.approx((S[0, 1] + S[1, 2]) / 2, rel=1e-4)
    assert r[1] * toep.sigma**2 == pytest.approx(S[0, 2], rel=1e-4)


@pytest.mark.parametrize("sigma", ["sigma ~ f", "sigma ~ 0 + f"])
def test_standard_deviations_by_level_are_those_of_dense_equations(sigma: str) -> None:
    """The variance of two kinds of rows is linear: Rao's equations have one for each."""
    frame = series().assign(f=lambda d: np.where(d["t"] > 2, "late", "early"))
    frame.loc[frame["f"] == "late", "y"] += 2 * frame["x"] ** 2
    model = bmx.Model(["y ~ x + (1 | s)", sigma], frame)
    fit = model.fit_eb("mivque0")
    X = model.design.mu.X
    M = np.eye(len(X)) - X @ np.linalg.pinv(X)
    same = (frame["s"].to_numpy()[:, None] == frame["s"].to_numpy()).astype(float)
    P = [
        M @ V
        for V in (same, *(np.diag((frame["f"] == f).astype(float)) for f in ("early", "late")))
    ]
    S = np.asarray([[np.trace(p @ q) for q in P] for p in P])
    r = M @ model.y
    theta = np.linalg.solve(S, [r @ p @ r for p in P])
    assert fit._law.by_group()[0]["s"][0] ** 2 == pytest.approx(theta[0], rel=1e-4)
    rows = np.asarray(fit._law.row_sigma(None))
    late = (frame["f"] == "late").to_numpy()
    assert rows[~late][0] ** 2 == pytest.approx(theta[1], rel=1e-4)
    assert rows[late][0] ** 2 == pytest.approx(theta[2], rel=1e-4)


@pytest.mark.parametrize("kind", ["cov", "mm", "homdiag", "smooth"])
def test_levels_that_share_rows_are_in_the_dense_equations(
    kind: str, rng: np.random.Generator
) -> None:
    frame = series()
    n = len(frame)
    frame["other"] = rng.integers(0, 40, n)
    A = 0.4 + 0.6 * np.eye(40)
    matrices = {"A": pd.DataFrame(A, index=range(40), columns=range(40))} if kind == "cov" else None
    formula = {
        "cov": "y ~ x + (1 | gr(s, cov=A))",
        "mm": "y ~ x + (1 | mm(s, other))",
        "homdiag": "y ~ x + homdiag(x | s)",
        "smooth": "y ~ s(x, k=6) + (1 | s)",
    }[kind]
    model = bmx.Model(formula, frame, matrices=matrices)
    fit = model.fit_eb("mivque0")
    V = []
    for g in model.design.mu.groups:
        Z = np.zeros((n, g.n_levels, g.n_effects))
        Z[np.arange(n), g.index] = g.Z
        K = np.eye(g.n_levels) if g.between is None else A
        V.append(np.einsum("nlq,lm,kmq->nk", Z, K, Z))
    X = model.design.mu.X
    M = np.eye(n) - X @ np.linalg.pinv(X)
    P = [M @ v for v in (*V, np.eye(n))]
    S = np.asarray([[np.trace(p @ q) for q in P] for p in P])
    r = M @ model.y
    theta = np.linalg.solve(S, [r @ v @ r for v in (*V, np.eye(n))])
    assert fit.sigma**2 == pytest.approx(theta[-1], rel=1e-6)
    for g, wanted in zip(model.design.mu.groups, theta, strict=False):
        assert fit._law.by_group()[0][g.name][0] ** 2 == pytest.approx(max(wanted, 0), rel=1e-6)


def test_known_errors_are_in_the_dense_equations(rng: np.random.Generator) -> None:
    frame = series().assign(se=lambda d: rng.uniform(0.5, 1.5, len(d)))
    model = bmx.Model("y ~ x + (1 | s)", frame, known_se="se")
    fit = model.fit_eb("mivque0")
    w = 1 / frame["se"].to_numpy()
    X = w[:, None] * model.design.mu.X
    M = np.eye(len(w)) - X @ np.linalg.pinv(X)
    same = (frame["s"].to_numpy()[:, None] == frame["s"].to_numpy()) * np.outer(w, w)
    r = M @ (w * model.y)
    wanted = (r @ same @ r - np.trace(M @ same)) / np.trace(M @ same @ M @ same)
    assert fit._law.by_group()[0]["s"][0] ** 2 == pytest.approx(wanted, rel=1e-8)


def test_what_has_no_mivque(sleepstudy: pd.DataFrame) -> None:
    fit = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy).fit_eb("mivque0")
    for call in (
        functools.partial(fit.fixed_effects, tests=True), fit.anova, fit.drop1, fit.ranova,
        functools.partial(fit.bootstrap, 10), functools.partial(bmx.anova, fit, fit),
        functools.partial(fit.variance_components, ci_method="profile"),
    ):  # fmt: skip
        with pytest.raises(NotSupportedError, match=r"mivque0|MIVQUE|reml"):
            call()


def test_the_summary_says_what_there_is_and_files_keep_it(tmp_path: Path) -> None:
    fit = bmx.Model("y ~ x + ar1(t | s)", series()).fit_eb("mivque0")
    text = " ".join(str(fit).split())
    assert "a search over what the covariance is not linear in" in text
    assert "no intervals of components" in text
    assert "flat" not in text
    assert "by Wald" not in text
    fit.save(tmp_path / "fit.nc")
    again = bmx.load(tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(again.covariance_parameters(), fit.covariance_parameters())
    pd.testing.assert_frame_equal(again.predict(), fit.predict())
