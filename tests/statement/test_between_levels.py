"""The PyMC model of related levels and of Student's t effects, against densities of scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmix as bmx
from bayesmix.errors import NotSupportedError

FAST = "FAST_COMPILE"


@pytest.fixture
def data(rng: np.random.Generator) -> pd.DataFrame:
    d = pd.DataFrame({"g": rng.integers(0, 4, 30).astype(str), "x": rng.normal(size=30)})
    return d.assign(y=d["x"] + rng.normal(size=30))


@pytest.fixture
def A(rng: np.random.Generator) -> pd.DataFrame:
    half = rng.normal(size=(6, 6))
    labels = list("031254")  # two of them without data, in an order of its own
    return pd.DataFrame(half @ half.T / 6 + np.eye(6) / 2, index=labels, columns=labels)


def of_effects(model: bmx.Model, names: dict[str, Any], log_density: Any) -> None:
    """The density changes with b as the effects' and the rows' do."""
    logp = model.pymc_model.compile_logp(jacobian=False, mode=FAST)
    point = model.pymc_model.initial_point()
    point |= {k: v for k, v in names.items() if k in point}
    group = model.design.mu.group("g")
    sigma = np.exp(point["sigma_log__"])
    fixed = model.design.mu.X @ np.zeros(2)
    rng = np.random.default_rng(3)
    ours, expected = [], []
    for _ in range(3):
        b = rng.normal(size=(group.n_levels, group.n_effects))
        point["b_g"] = b
        ours.append(logp(point))
        eta = fixed + (group.Z * b[group.index]).sum(axis=1)
        expected.append(stats.norm(eta, sigma).logpdf(model.y).sum() + log_density(b, point))
    np.testing.assert_allclose(np.diff(ours), np.diff(expected), rtol=1e-7)


def values_at(pymc_model: Any, variables: list[Any], point: dict[str, Any]) -> list[Any]:
    function = pymc_model.compile_fn(
        pymc_model.replace_rvs_by_values(variables), inputs=pymc_model.value_vars, mode=FAST,
        on_unused_input="ignore",
    )  # fmt: skip
    return list(function(point))


ZERO = {"intercept_at_means": np.asarray(0.0), "coefficients": np.zeros(1)}


def test_related_effects_are_matrix_normal(data: pd.DataFrame, A: pd.DataFrame) -> None:
    model = bmx.Model(
        "y ~ x + (x || gr(g, cov=A))", data, matrices={"A": A}, parametrization="centered",
        priors={"Intercept": bmx.Prior("Normal", mu=0, sigma=1)},
    )  # fmt: skip

    def density(b: np.ndarray, point: dict[str, Any]) -> float:
        Sigma = np.diag(np.exp(point["sd_g_log__"]) ** 2)
        normal = stats.multivariate_normal(np.zeros(b.size), np.kron(A.to_numpy(), Sigma))
        return float(normal.logpdf(b.ravel()))

    of_effects(model, ZERO | {"intercept": np.asarray(0.0)}, density)


@pytest.mark.parametrize("effects", ["1", "x"])
def test_what_is_drawn_without_a_centre_is_the_same(
    effects: str, data: pd.DataFrame, A: pd.DataFrame
) -> None:
    model = bmx.Model(f"y ~ x + ({effects} | gr(g, cov=A))", data, matrices={"A": A})
    pymc_model, group = model.pymc_model, model.design.mu.group("g")
    assert group.levels.labels.tolist() == list(A.index)
    point = pymc_model.initial_point()
    z = np.random.default_rng(4).normal(size=(6, group.n_effects))
    point["z_g"] = z
    wanted = [pymc_model["b_g"], pymc_model["sd_g"]]
    if group.n_effects > 1:
        wanted.append(pymc_model["corr_g"])
    found = values_at(pymc_model, wanted, point)
    root = np.diag(found[1])
    if group.n_effects > 1:
        root = root @ np.linalg.cholesky(found[2])
    np.testing.assert_allclose(found[0], np.linalg.cholesky(A.to_numpy()) @ z @ root.T, atol=1e-10)


def test_student_effects_are_multivariate_t(data: pd.DataFrame) -> None:
    model = bmx.Model(
        'y ~ x + (1 | gr(g, dist="student"))', data, parametrization="centered",
        priors={"Intercept": bmx.Prior("Normal", mu=0, sigma=1)},
    )  # fmt: skip

    def density(b: np.ndarray, point: dict[str, Any]) -> float:
        df, sd = np.exp(point["df_g_log__"]), np.exp(point["sd_g_log__"])[0]
        return float(stats.t(df, scale=sd).logpdf(b).sum())

    of_effects(model, ZERO | {"intercept": np.asarray(0.0)}, density)


def test_student_effects_have_a_scale_of_each_level(data: pd.DataFrame) -> None:
    model = bmx.Model('y ~ x + (x || gr(g, dist="student"))', data)
    table = model.priors.set_index("parameter")["prior"]
    assert table["df(g)"] == "Gamma(alpha=2, beta=0.1)"
    pymc_model = model.pymc_model
    point = pymc_model.initial_point()
    z, w = np.ones((4, 2)), np.asarray([0.25, 1.0, 4.0, 16.0])
    point |= {"z_g": z, "w_g_log__": np.log(w)}
    b, sd = values_at(pymc_model, [pymc_model["b_g"], pymc_model["sd_g"]], point)
    np.testing.assert_allclose(b, sd / np.sqrt(w)[:, None])
    logp = pymc_model.compile_logp(vars=[pymc_model["w_g"]], jacobian=False, mode=FAST)
    df = float(np.exp(point["df_g_log__"]))
    assert logp(point) == pytest.approx(stats.gamma(df / 2, scale=2 / df).logpdf(w).sum())


def test_engines_without_t_effects_say_so(data: pd.DataFrame) -> None:
    model = bmx.Model('y ~ x + (1 | gr(g, dist="student"))', data)
    said = 'the effects of `g` have dist="student"'
    with pytest.raises(NotSupportedError, match=said):
        model.fit_eb()
    with pytest.raises(NotSupportedError, match=said):
        model.fit(engine="fast", progress=False)
    assert "StudentT" in model.equation()
    assert "as Student's t" in repr(model)


def test_words_and_latex_name_the_matrix(data: pd.DataFrame, A: pd.DataFrame) -> None:
    model = bmx.Model("y ~ x + (x | gr(g, cov=A))", data, matrices={"A": A})
    assert "vary by g (6 levels, related by A)" in " ".join(repr(model).split())
    assert r"\Sigma_{\text{g}} \otimes \text{A}" in model.equation()
