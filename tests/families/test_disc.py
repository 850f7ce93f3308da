"""Ordered categories with a predictor of disc: disc multiplies thresholds less eta."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

import bayesmix as bmx
from bayesmix.errors import FormulaError, NotSupportedError
from bayesmix.families import FAMILIES
from bayesmix.glmm.rows import JOINT_KERNELS, packed_links

ORDERED = ["cumulative", "sratio", "cratio", "acat"]
F = {"logit": special.expit, "probit": stats.norm.cdf, "cloglog": stats.gumbel_l.cdf}
REST = {"logit": stats.logistic.sf, "probit": stats.norm.sf, "cloglog": stats.gumbel_l.sf}


def ordered_data(n: int = 400, n_groups: int = 12, seed: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, f = rng.normal(size=n), rng.choice(["u", "v"], n)
    g = rng.integers(0, n_groups, n)
    eta = 0.8 * x + rng.normal(0, 0.7, n_groups)[g]
    latent = eta + rng.logistic(size=n) / np.where(f == "v", 2.0, 1.0)
    y = pd.cut(latent, [-np.inf, -1.0, 0.5, 1.5, np.inf], labels=["lo", "mid", "high", "top"])
    return pd.DataFrame({"x": x, "f": f, "g": [f"g{k}" for k in g], "y": y})


DATA = ordered_data()


def probabilities(
    name: str, link: str, tau: np.ndarray, eta: np.ndarray, disc: np.ndarray
) -> np.ndarray:
    """Written out step by step, shape (n, K)."""
    x = disc[:, None] * (tau - eta[:, None])
    if name == "cumulative":
        below = np.column_stack([np.zeros(len(eta)), F[link](x), np.ones(len(eta))])
        return np.diff(below, axis=1)
    if name == "acat":
        odds = F[link](-x) / REST[link](-x)
        weight = np.column_stack([np.ones(len(eta)), np.cumprod(odds, axis=1)])
        return weight / weight.sum(axis=1, keepdims=True)
    stop = F[link](x) if name == "sratio" else REST[link](-x)
    left, found = np.ones(len(eta)), []
    for k in range(len(tau)):
        found.append(left * stop[:, k])
        left = left * (1 - stop[:, k])
    return np.column_stack([*found, left])


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
@pytest.mark.parametrize("name", ORDERED)
def test_the_kernel_is_the_density_with_its_derivatives(
    name: str, link: str, rng: np.random.Generator
) -> None:
    n, tau = 60, np.array([-1.1, 0.2, 0.9])
    family: Any = FAMILIES[name](link=link).with_predictors({"disc"})
    y = rng.integers(1, 5, n).astype(float)
    eta = np.stack([rng.normal(0, 0.7, n), rng.normal(0, 0.4, n)])
    links = packed_links(link, {"thresholds": None, "disc": "log"})

    def run(eta: np.ndarray, tau: np.ndarray) -> tuple[np.ndarray, ...]:
        value, first, second, by_tau = np.zeros(n), np.zeros((2, n)), np.zeros((3, n)), np.zeros(8)
        JOINT_KERNELS[name](links, n, y, np.full(n, 4.0), np.ascontiguousarray(eta), tau, 2, value,
                            first, second, by_tau)  # fmt: skip
        return value, first, second, by_tau[:3]

    value, first, second, by_tau = run(eta, tau)
    p = probabilities(name, link, tau, eta[0], np.exp(eta[1]))[np.arange(n), y.astype(int) - 1]
    np.testing.assert_allclose(value, np.log(p), rtol=1e-5, atol=1e-9)
    at = {"thresholds": tau, "disc": np.exp(eta[1])}
    np.testing.assert_allclose(family.log_prob(y, eta[0], at), value, rtol=1e-9, atol=1e-9)
    of_all = family.probabilities(eta[0], at)
    np.testing.assert_allclose(of_all[np.arange(n), y.astype(int) - 1], p, rtol=1e-5)
    for k in range(2):
        step = 1e-5 * np.eye(2)[k][:, None]
        up, down = run(eta + step, tau), run(eta - step, tau)
        np.testing.assert_allclose((up[0] - down[0]) / 2e-5, first[k], rtol=1e-6, atol=1e-6)
        for j in range(k + 1):
            slope = (up[1][j] - down[1][j]) / 2e-5
            np.testing.assert_allclose(slope, second[k * (k + 1) // 2 + j], rtol=1e-6, atol=2e-6)
    for k in range(3):
        step = 1e-6 * np.eye(3)[k]
        slope = (run(eta, tau + step)[0] - run(eta, tau - step)[0]).sum() / 2e-6
        assert by_tau[k] == pytest.approx(slope, rel=1e-6, abs=1e-5)


@pytest.mark.parametrize("name", ["cumulative", "sratio"])
def test_maximum_likelihood_is_that_of_the_formula(name: str) -> None:
    eb = bmx.Model(["y ~ x", "disc ~ f"], DATA, family=name).fit_eb("ml")
    y = DATA["y"].cat.codes.to_numpy()

    def deviance(v: np.ndarray) -> float:
        disc = np.exp(v[1] * (DATA["f"] == "v")).to_numpy()
        p = probabilities(name, "logit", v[2:], v[0] * DATA["x"].to_numpy(), disc)
        return -float(np.log(p[np.arange(len(y)), y]).sum())

    found = optimize.minimize(
        deviance, [0.5, 0.1, -1.0, 0.2, 1.0], method="BFGS", options={"gtol": 1e-6}
    )
    assert eb.loglik == pytest.approx(-found.fun, abs=1e-6)
    table = eb.fixed_effects(parameter="all")
    assert table["parameter"].tolist() == ["mu", "disc"]
    np.testing.assert_allclose(table["estimate"], found.x[:2], atol=2e-4)
    np.testing.assert_allclose(eb.family_parameters()["estimate"], found.x[2:], atol=2e-4)
    inverse = optimize.approx_fprime(
        found.x, lambda v: optimize.approx_fprime(v, deviance, 1e-5), 1e-4
    )
    se = np.sqrt(np.diag(np.linalg.inv(inverse)))
    np.testing.assert_allclose(table["sd"], se[:2], rtol=0.02)
    np.testing.assert_allclose(eb.family_parameters()["sd"], se[2:], rtol=0.02)


@pytest.mark.parametrize("name", ORDERED)
def test_the_pymc_model_has_the_density_of_the_formula(name: str) -> None:
    data = DATA.head(50)
    stated = bmx.Model(["y ~ x", "disc ~ f"], data, family=name).pymc_model
    density = stated.compile_logp(vars=[stated["y_obs"]], jacobian=False, mode="FAST_COMPILE")
    point = stated.initial_point()
    point["beta"], point["disc_beta"] = np.array([0.7]), np.array([0.4])
    at_means = next(key for key in point if key.startswith("thresholds"))
    tau = np.array([-0.8, 0.3, 1.1])
    shifted = tau - 0.7 * data["x"].mean()
    ordered = [shifted[0], *np.log(np.diff(shifted))]
    point[at_means] = np.array(ordered) if name == "cumulative" else shifted
    disc = np.exp(0.4 * (data["f"] == "v")).to_numpy()
    p = probabilities(name, "logit", tau, 0.7 * data["x"].to_numpy(), disc)
    expected = np.log(p[np.arange(50), data["y"].cat.codes]).sum()
    assert float(density(point)) == pytest.approx(expected, rel=1e-9)


@pytest.fixture(scope="module")
def post() -> bmx.Posterior:
    model = bmx.Model(["y ~ x + (1 | g)", "disc ~ f"], DATA, family="cumulative")
    return model.fit(draws=500, tune=500, chains=2, seed=1, progress=False)


def test_fits_agree_and_find_what_made_the_data(post: bmx.Posterior) -> None:
    eb = post.model.fit_eb("ml")
    assert "engine fast" in str(post.summary())
    for parameter in ("mu", "disc"):
        a, b = eb.fixed_effects(parameter=parameter), post.fixed_effects(parameter=parameter)
        assert (np.abs(a["estimate"] - b["estimate"]) < 0.4 * b["sd"]).all()
    disc = post.fixed_effects(parameter="disc").iloc[0]
    assert disc["term"] == "f[T.v]"
    assert abs(disc["estimate"] - np.log(2)) < 3 * disc["sd"]
    assert disc["lower"] > 0


def test_predictions_take_disc_into_account(post: bmx.Posterior, tmp_path: Any) -> None:
    new = {"x": [0.3, 0.3], "f": ["u", "v"], "g": ["g0", "g0"]}
    found = post.predict(new, kind="probability")["estimate"].to_numpy().reshape(2, 4)
    draws = post.idata.posterior
    b = draws["b_g"].sel(g_level="g0").to_numpy().ravel()
    eta = 0.3 * draws["beta"].to_numpy().ravel() + b
    tau = draws["thresholds"].to_numpy().reshape(-1, 3)
    for row, disc in enumerate((0.0, 1.0)):
        scale = np.exp(disc * draws["disc_beta"].to_numpy().ravel())
        p = [
            probabilities("cumulative", "logit", t, e[None], s[None])[0]
            for t, e, s in zip(tau, eta, scale, strict=True)
        ]
        np.testing.assert_allclose(found[row], np.mean(p, axis=0), rtol=1e-9)
    path = tmp_path / "fit.nc"
    post.save(path)
    again = bmx.load(path).predict(new, kind="probability")["estimate"].to_numpy()
    np.testing.assert_array_equal(again.reshape(2, 4), found)
    assert post.loo().elpd > post.update(["y ~ x + (1 | g)"]).loo().elpd
    assert post.simulate(2, seed=1)["sim_1"].cat.ordered
    assert post.check(seed=1).axes


def test_words_and_mathematics() -> None:
    model = bmx.Model(["y ~ x", "disc ~ f"], DATA, family="cumulative")
    assert "disc (log link)" in repr(model)
    assert r"\text{disc}_i (\tau_k - \eta_i)" in model.equation()
    assert "disc: f[T.v]" in model.priors["parameter"].tolist()
    plain = bmx.Model("y ~ x", DATA, family="cumulative")
    assert "disc" not in plain.family.parameters
    assert "disc" not in plain.equation()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(FormulaError, match="take the 0 or -1 out"):
        bmx.Model(["y ~ x", "disc ~ 0 + f"], DATA, family="cumulative")
    with pytest.raises(FormulaError, match="no parameter disk; did you mean 'disc'"):
        bmx.Model(["y ~ x", "disk ~ f"], DATA, family="cumulative")
    weighted = bmx.Model(
        ["weighted(y, w) ~ x", "disc ~ f"], DATA.assign(w=1.0), family="cumulative"
    )
    with pytest.raises(NotSupportedError, match="weighted"):
        weighted.fit_eb("ml")
